/*
 * quota.h - how much a consumer, a group or a key may use: prepaid, or anew every day, week or month.
 *
 * The definition is configuration and travels with the snapshot.  Balances do not: the control plane's ledger has them,
 * and workers spend from shares of what is left (wire.h, `quotas`).
 *
 * One ledger row counts towards a quota by what stands in the row alone, so both sides agree about every row.
 */
#ifndef GW_PROTO_QUOTA_H
#define GW_PROTO_QUOTA_H

#include "base/arena.h"
#include "usage.h"

#define GW_QUOTA_THRESHOLDS 5
#define GW_QUOTA_EXCHANGES  16
#define GW_QUOTA_MAX        ((int64_t)1 << 50)

/* X(NAME, word) */
#define GW_QUOTA_SUBJECT_TABLE(X) X(CONSUMER, "consumer") X(GROUP, "group") X(KEY, "key")
#define GW_QUOTA_UNIT_TABLE(X)    X(TOKENS, "tokens") X(REQUESTS, "requests") X(MONEY, "money")
#define GW_QUOTA_PERIOD_TABLE(X)  X(TOTAL, "total") X(DAY, "day") X(WEEK, "week") X(MONTH, "month")
#define X(name, word) GW_QUOTA_##name,
enum gw_quota_subject { GW_QUOTA_SUBJECT_TABLE(X) GW_QUOTA_SUBJECTS };
enum gw_quota_unit { GW_QUOTA_UNIT_TABLE(X) GW_QUOTA_UNITS };
#undef X
#define X(name, word) GW_QUOTA_PER_##name,
enum gw_quota_period { GW_QUOTA_PERIOD_TABLE(X) GW_QUOTA_PERIODS };
#undef X
const char *gw_quota_subject_name(enum gw_quota_subject s);
const char *gw_quota_unit_name(enum gw_quota_unit u);
const char *gw_quota_period_name(enum gw_quota_period p);

/* What one unit of `currency` is worth, in micro-units of the quota's currency. */
struct gw_exchange { struct gw_str currency; int64_t micro; };

struct gw_quota {
	struct gw_str name;
	bool enabled;
	enum gw_quota_subject subject;
	struct gw_str who;                   /* name of the consumer or group, id of the key */
	enum gw_quota_unit unit;
	struct gw_str currency;              /* MONEY */
	const struct gw_exchange *exchange;
	size_t n_exchange;
	int64_t limit;                       /* tokens, requests or micro-units per period */
	enum gw_quota_period period;
	struct gw_str time_zone;             /* IANA name; weeks begin on Monday */
	bool hard;                           /* what exceeds it is refused; else only reported */
	unsigned status;                     /* of the refusal: 429 or 402 */
	bool open_on_failure;                /* no share and no word from the control plane: admit instead of refusing */
	int64_t assumed_tokens;              /* of an answer whose request says no max_tokens, when it is reserved */
	bool refuse_unpriced;                /* MONEY: what has no price is refused instead of not counted */
	int64_t thresholds[GW_QUOTA_THRESHOLDS]; /* per cent of the limit at which an event is raised, rising */
	size_t n_thresholds;
};

/* `micro` of `currency` in the quota's; half up.  false: there is no rate for it. */
bool gw_quota_exchange(const struct gw_quota *q, struct gw_str currency, int64_t micro, int64_t *out);
/* What a finished request counts; 0 for one that nobody served. */
int64_t gw_quota_amount(const struct gw_quota *q, const struct gw_usage_record *r);

/*
 * The view of one object as stored or sent, by itself; texts are arena, `name` is borrowed.  Unknown members are ignored.
 */
enum gw_rc gw_quota_read(struct gw_quota *out, struct gw_str name, const json_t *spec, struct gw_arena *a,
                         struct gw_error *err) GW_MUST_CHECK;

#endif
