/*
 * request-ratelimit: so many requests per window.
 *
 * A refused request takes nothing.  The answer always says how much is left (x-ratelimit-*-requests).
 */
#include <stdio.h>

#include "plugins/limits/rules.h"

#define NAME "request-ratelimit"

struct conf { struct dp_limits limits; };
struct state { struct dp_limit_hit hits[DP_LIMIT_HITS_MAX]; };

static const struct gw_field rule_fields[] = {
	DP_LIMIT_BY_FIELD(struct dp_limit, ),
	DP_LIMIT_NAME_FIELD(struct dp_limit, ),
	DP_LIMIT_WHOM_FIELDS,
	GW_FIELD_INT(struct dp_limit, amount, "requests", 1, 1000000000, 60, "Requests per window.", "每个窗口允许的请求数。"),
	DP_LIMIT_WINDOW_FIELDS(struct dp_limit, , 1),
	GW_FIELD_END
};

static const struct gw_field fields[] = {
	DP_LIMIT_BY_FIELD(struct conf, limits.base.),
	DP_LIMIT_NAME_FIELD(struct conf, limits.base.),
	GW_FIELD_INT(struct conf, limits.base.amount, "requests", 0, 1000000000, 60,
	             "Requests that each may make per window; 0: only the rules below count.", "每个对象在每个窗口内允许的请求数；0 表示仅按下面的规则。"),
	DP_LIMIT_WINDOW_FIELDS(struct conf, limits.base., 1),
	GW_FIELD_OBJECTS(struct conf, limits.rules, "rules", DP_LIMIT_RULES_MAX, struct dp_limit, rule_fields,
	                 "Further limits, and exceptions for certain values. Rules of the same limit_by, name and window replace each "
	                 "other, the most exact first; others add up.",
	                 "更多限制，以及针对某些值的例外。维度与窗口相同的规则以更精确者为准，其余同时生效。"),
	DP_LIMIT_COMMON_FIELDS(struct conf, limits.),
	GW_FIELD_END
};

static enum dp_verdict on_body(struct dp_call *c)
{
	const struct conf *cf = c->conf;
	struct state *st = c->state;
	size_t n = dp_limits_find(c, &cf->limits, st->hits);

	if (n > DP_LIMIT_HITS_MAX)
		return DP_BROKEN;
	for (size_t i = 0; i < n; i++) {
		char text[DP_LIMIT_TEXT];
		struct dp_claim claim;

		dp_limit_claim(c, NAME, &cf->limits, &st->hits[i], 1, &claim, text);
		claim.keeps = true;
		claim.unit = "requests";
		dp_claim(c, &claim);
	}
	return DP_NEXT;
}

static void on_admission(struct dp_call *c, const struct dp_claim_state *v, size_t n, const struct dp_claim_state *refused)
{
	const struct state *st = c->state;
	char words[256];

	dp_limit_headers(c, "requests", v, n);
	if (!refused)
		return;
	dp_limit_words(&st->hits[refused - v], "requests", words, sizeof words);
	dp_deny(c, 429, "rate_limit_error", "rate_limit_exceeded", refused->wait_ms, "request rate limit reached: %s; try again in %lld s",
	        words, dp_limit_seconds(refused->wait_ms));
}

extern const struct dp_plugin dp_plugin_request_ratelimit;
const struct dp_plugin dp_plugin_request_ratelimit = {
	.abi = DP_PLUGIN_ABI, .name = NAME, .label = "Request rate limit", .label_zh = "请求限流",
	.rank = DP_RANK_LIMIT, .adds_up = true, .doc = "Limits how many requests come through per window.",
	.doc_zh = "限制单位时间内的请求数。",
	.fields = fields, .conf_size = sizeof(struct conf), .state_size = sizeof(struct state),
	.on = { [DP_HOOK_BODY] = on_body }, .on_admission = on_admission,
};
