/* quota.c - words of quotas, and what a row of the ledger counts. */
#include "quota.h"
#include "base/str.h"

__extension__ typedef __int128 wide;

#define NAMES(fn, type, table)                                                                     \
	const char *fn(enum type v)                                                                \
	{                                                                                          \
		static const char *const words[] = { table(X) };                                   \
		assert((size_t)v < GW_COUNT(words));                                               \
		return words[v];                                                                   \
	}
#define X(name, word) word,
NAMES(gw_quota_subject_name, gw_quota_subject, GW_QUOTA_SUBJECT_TABLE)
NAMES(gw_quota_unit_name, gw_quota_unit, GW_QUOTA_UNIT_TABLE)
NAMES(gw_quota_period_name, gw_quota_period, GW_QUOTA_PERIOD_TABLE)
#undef X

bool gw_quota_exchange(const struct gw_quota *q, struct gw_str currency, int64_t micro, int64_t *out)
{
	*out = micro;
	if (gw_str_eq(currency, q->currency))
		return true;
	for (size_t i = 0; i < q->n_exchange; i++) {
		if (!gw_str_eq(currency, q->exchange[i].currency))
			continue;
		wide v = ((wide)micro * q->exchange[i].micro + 500000) / 1000000;
		*out = v > GW_QUOTA_MAX ? GW_QUOTA_MAX : (int64_t)v;
		return true;
	}
	return false;
}

static int64_t positive(int64_t n)
{
	return n < 0 ? 0 : n > GW_QUOTA_MAX ? GW_QUOTA_MAX : n;
}

int64_t gw_quota_amount(const struct gw_quota *q, const struct gw_usage_record *r)
{
	int64_t money;

	switch (q->unit) {
	case GW_QUOTA_TOKENS:
		return positive(positive(r->prompt_tokens) + positive(r->completion_tokens));
	case GW_QUOTA_REQUESTS:
		return r->attempts > 0;
	default:
		return r->currency.n && gw_quota_exchange(q, r->currency, r->cost, &money) ? positive(money) : 0;
	}
}
