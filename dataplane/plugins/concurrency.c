/*
 * concurrency: so many calls at once.
 *
 * A call counts from its admission until its last byte has been sent, or until it ended in any other way.
 */
#include <stdio.h>

#include "plugins/limits/rules.h"

#define NAME "concurrency"

struct conf { struct dp_limits limits; };
struct state { struct dp_limit_hit hits[DP_LIMIT_HITS_MAX]; };

static const struct gw_field rule_fields[] = {
	DP_LIMIT_BY_FIELD(struct dp_limit, ),
	DP_LIMIT_NAME_FIELD(struct dp_limit, ),
	DP_LIMIT_WHOM_FIELDS,
	GW_FIELD_INT(struct dp_limit, amount, "calls", 1, 1000000, 10, "Calls at once.", "同时进行的调用数。"),
	GW_FIELD_END
};

static const struct gw_field fields[] = {
	DP_LIMIT_BY_FIELD(struct conf, limits.base.),
	DP_LIMIT_NAME_FIELD(struct conf, limits.base.),
	GW_FIELD_INT(struct conf, limits.base.amount, "calls", 0, 1000000, 10,
	             "Calls that each may have in flight; 0: only the rules below count.", "每个对象同时进行的调用数；0 表示仅按下面的规则。"),
	GW_FIELD_OBJECTS(struct conf, limits.rules, "rules", DP_LIMIT_RULES_MAX, struct dp_limit, rule_fields,
	                 "Further limits, and exceptions for certain values. Rules of the same limit_by and name replace each other, the "
	                 "most exact first; others add up.",
	                 "更多限制，以及针对某些值的例外。维度相同的规则以更精确者为准，其余同时生效。"),
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
		claim.unit = "calls";
		dp_claim(c, &claim);
	}
	return DP_NEXT;
}

static void on_admission(struct dp_call *c, const struct dp_claim_state *v, size_t n, const struct dp_claim_state *refused)
{
	const struct state *st = c->state;
	char words[256];

	(void)n;
	if (!refused)
		return;
	dp_limit_words(&st->hits[refused - v], "calls at once", words, sizeof words);
	dp_deny(c, 429, "rate_limit_error", "concurrency_limit_exceeded", refused->wait_ms,
	        "too many calls in flight: %s; try again when one has ended", words);
}

extern const struct dp_plugin dp_plugin_concurrency;
const struct dp_plugin dp_plugin_concurrency = {
	.abi = DP_PLUGIN_ABI, .name = NAME, .label = "Concurrency limit", .label_zh = "并发限制",
	.rank = DP_RANK_LIMIT, .adds_up = true, .doc = "Limits how many calls are in flight at once.", .doc_zh = "限制同时进行的调用数。",
	.fields = fields, .conf_size = sizeof(struct conf), .state_size = sizeof(struct state),
	.on = { [DP_HOOK_BODY] = on_body }, .on_admission = on_admission,
};
