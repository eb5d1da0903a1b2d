/*
 * token-ratelimit: so many tokens per window.
 *
 * Before the provider is asked, what the request may use is reserved: its prompt, estimated, and the answer it allows
 * itself (max_tokens).  At the end it is settled to what was really used, so the rest is free again at once, and a
 * request that used more than it had asked for is charged for all of it.
 */
#include <stdio.h>

#include "plugins/limits/rules.h"

#define NAME "token-ratelimit"

struct conf {
	struct dp_limits limits;
	int64_t reserve;
};

struct state { struct dp_limit_hit hits[DP_LIMIT_HITS_MAX]; size_t n; };

static const struct gw_field rule_fields[] = {
	DP_LIMIT_BY_FIELD(struct dp_limit, ),
	DP_LIMIT_NAME_FIELD(struct dp_limit, ),
	DP_LIMIT_WHOM_FIELDS,
	GW_FIELD_INT(struct dp_limit, amount, "tokens", 1, 1000000000000, 60000, "Tokens per window.", "每个窗口允许的令牌数。"),
	GW_FIELD_ENUM(struct dp_limit, count, "count", dp_limit_count_words, DP_COUNT_TOTAL, "Which tokens count.", "计入哪些令牌：全部、输入或输出。"),
	DP_LIMIT_WINDOW_FIELDS(struct dp_limit, , 0),
	GW_FIELD_END
};

static const struct gw_field fields[] = {
	DP_LIMIT_BY_FIELD(struct conf, limits.base.),
	DP_LIMIT_NAME_FIELD(struct conf, limits.base.),
	GW_FIELD_INT(struct conf, limits.base.amount, "tokens", 0, 1000000000000, 60000,
	             "Tokens that each may use per window; 0: only the rules below count.", "每个对象在每个窗口内可用的令牌数；0 表示仅按下面的规则。"),
	GW_FIELD_ENUM(struct conf, limits.base.count, "count", dp_limit_count_words, DP_COUNT_TOTAL, "Which tokens count.", "计入哪些令牌：全部、输入或输出。"),
	DP_LIMIT_WINDOW_FIELDS(struct conf, limits.base., 0),
	GW_FIELD_INT(struct conf, reserve, "reserve", 0, 1000000, 256,
	             "Tokens to reserve for the answer when the client gives no max_tokens; the real ones are charged.",
	             "客户端未给出 max_tokens 时为回答预留的令牌数；最终按实际用量计。"),
	GW_FIELD_OBJECTS(struct conf, limits.rules, "rules", DP_LIMIT_RULES_MAX, struct dp_limit, rule_fields,
	                 "Further limits, and exceptions for certain values. Rules of the same limit_by, name, count and window "
	                 "replace each other, the most exact first; others add up.",
	                 "更多限制，以及针对某些值的例外。维度、计数与窗口相同的规则以更精确者为准，其余同时生效。"),
	DP_LIMIT_COMMON_FIELDS(struct conf, limits.),
	GW_FIELD_END
};

static int64_t share(const struct dp_limit *l, int64_t prompt, int64_t completion)
{
	return l->count == DP_COUNT_PROMPT ? prompt : l->count == DP_COUNT_COMPLETION ? completion : prompt + completion;
}

static enum dp_verdict on_body(struct dp_call *c)
{
	const struct conf *cf = c->conf;
	struct state *st = c->state;
	int64_t answer = dp_answer_tokens(c, cf->reserve);

	st->n = dp_limits_find(c, &cf->limits, st->hits);
	if (st->n > DP_LIMIT_HITS_MAX) {
		st->n = 0;
		return DP_BROKEN;
	}
	for (size_t i = 0; i < st->n; i++) {
		char text[DP_LIMIT_TEXT];
		struct dp_claim claim;

		dp_limit_claim(c, NAME, &cf->limits, &st->hits[i], share(st->hits[i].limit, dp_prompt_tokens(c), answer), &claim, text);
		claim.capped = true;
		claim.unit = "tokens";
		claim.label = gw_str_c(dp_limit_count_words[st->hits[i].limit->count]); /* static */
		dp_claim(c, &claim);
	}
	return DP_NEXT;
}

static void on_admission(struct dp_call *c, const struct dp_claim_state *v, size_t n, const struct dp_claim_state *refused)
{
	const struct state *st = c->state;
	char words[256], what[32];
	const struct dp_limit_hit *hit;

	dp_limit_headers(c, "tokens", v, n);
	if (!refused)
		return;
	hit = &st->hits[refused - v];
	snprintf(what, sizeof what, "%s%stokens", hit->limit->count ? dp_limit_count_words[hit->limit->count] : "", hit->limit->count ? " " : "");
	dp_limit_words(hit, what, words, sizeof words);
	dp_deny(c, 429, "rate_limit_error", "rate_limit_exceeded", refused->wait_ms,
	        "token rate limit reached: %s; %lld are left; try again in %lld s", words, (long long)refused->left,
	        dp_limit_seconds(refused->wait_ms));
}

static void on_end(struct dp_call *c, const struct dp_outcome *o)
{
	const struct state *st = c->state;

	for (size_t i = 0; i < st->n; i++)
		dp_settle(c, (unsigned)i, share(st->hits[i].limit, o->prompt, o->completion));
}

extern const struct dp_plugin dp_plugin_token_ratelimit;
const struct dp_plugin dp_plugin_token_ratelimit = {
	.abi = DP_PLUGIN_ABI, .name = NAME, .label = "Token rate limit", .label_zh = "令牌限流", .rank = DP_RANK_LIMIT,
	.adds_up = true,
	.doc = "Limits how many tokens are used per window.", .doc_zh = "限制单位时间内使用的令牌数。",
	.fields = fields, .conf_size = sizeof(struct conf), .state_size = sizeof(struct state),
	.on = { [DP_HOOK_BODY] = on_body }, .on_admission = on_admission, .on_end = on_end,
};
