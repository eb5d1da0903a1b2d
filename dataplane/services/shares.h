/*
 * shares.h - this worker's shares of quotas: how much of each it may use without asking.
 *
 * The control plane has the balances.  It grants every worker a ceiling for each quota and period, counted from the
 * first time that it granted anything; what requests used and what those in flight hold stays below it, so all workers
 * together never use more than there is.  A worker that needs more says so and waits a moment, since others may hold
 * what they do not need.
 *
 * A ceiling is lowered only with the worker's consent: it answers with the value that it keeps to from then on.  Without
 * word from the control plane a share holds for DP_QUOTA_HOLD_MS.
 *
 * Shared by all loops and the channel; one short lock, which requests of subjects without quotas never take.
 */
#ifndef DP_SERVICES_SHARES_H
#define DP_SERVICES_SHARES_H

#include "base/buf.h"
#include "quota.h"

#define DP_QUOTA_HOLD_MS (10 * 60 * 1000)

struct dp_quotas;
struct dp_quota_line;                    /* one quota in one period */

struct dp_quotas *dp_quotas_open(void);  /* owned: dp_quotas_close() after all loops */
void dp_quotas_close(struct dp_quotas **q);

/* ---- requests ---- */

struct dp_quota_hold { struct dp_quota_line *line; int64_t amount; };
enum dp_quota_answer {
	DP_QUOTA_HELD,                   /* settle it once; line NULL: nothing is held, the quota only counts */
	DP_QUOTA_USED_UP,
	DP_QUOTA_ASKED,                  /* not enough here, maybe elsewhere: ask again in a few milliseconds */
	DP_QUOTA_UNKNOWN,                /* no share, or one that is too old, and nobody who could tell */
};
/*
 * `at_ms`: when the request began, by the wall clock; `last`: waiting is over, decide.  When nothing else is held, what is
 * left is enough for one request, however large its reservation: a client's max_tokens says little about what it will use.
 * *until_ms: when the period ends; 0: never, or not known.
 */
enum dp_quota_answer dp_quota_take(struct dp_quotas *q, const struct gw_quota *def, int64_t at_ms, int64_t amount, bool last,
                                   struct dp_quota_hold *out, int64_t *until_ms);
void dp_quota_settle(struct dp_quotas *q, struct dp_quota_hold *h, int64_t used);
/* What was admitted without a hold counts against the share all the same, as it does in the ledger. */
void dp_quota_count(struct dp_quotas *q, const struct gw_quota *def, int64_t at_ms, int64_t used);

/* ---- the channel ---- */

/* The items of a `quotas` message. */
void dp_quotas_put(struct dp_quotas *q, const json_t *items);
void dp_quotas_connected(struct dp_quotas *q, bool connected);
/* The items of a `quota_use` message: what changed or is wanted since the last one.  0: nothing to say. */
size_t dp_quotas_report(struct dp_quotas *q, bool all, struct gw_buf *out);

/* ---- for tests and live state ---- */

struct dp_quota_view { int64_t ceiling, spent, held; };
bool dp_quotas_see(struct dp_quotas *q, struct gw_str name, int64_t at_ms, struct dp_quota_view *out);

#endif
