/*
 * totals.h - the counters of all loops added up, and what is made of that: Prometheus' page.
 *
 * A struct dp_totals is one thread's; it borrows label texts from the rows, which live as long as the loops' sets.
 */
#ifndef DP_OBSERVE_TOTALS_H
#define DP_OBSERVE_TOTALS_H

#include "observe/metrics.h"

struct dp_total {
	enum gw_metric_set set;
	struct gw_str label[GW_METRIC_LABELS];
	uint64_t *slot;                    /* as many as the set has */
	struct gw_str key;                 /* of set and labels, in the index */
};
struct dp_totals { struct dp_total *v; size_t n; struct gw_map *index; };

/*
 * Adds up rows whose labels are equal as far as `keep` goes, bit i for label i; the others are absent then.  Of set
 * `only`, or of every one when it is GW_SET_COUNT.  Owned: dp_totals_fini().
 */
void dp_totals_of(struct dp_totals *t, struct dp_metrics *const *m, size_t n, enum gw_metric_set only, unsigned keep);
void dp_totals_fini(struct dp_totals *t);

/* Figures that are not kept in rows, for the same page. */
struct dp_gauges {
	int64_t client_connections, snapshot_revision, snapshot_age_s, control_up, usage_queued, usage_dropped, log_dropped;
	int64_t usage_spooled, usage_torn;
	int64_t reservations, counters, limit_refusals, counters_away, degraded;
	int64_t access_written, access_dropped, spans_sent, spans_dropped, captures_kept, captures_dropped;
	int64_t memory_limit, bodies;
	const char *memory_by;             /* who set the limit; no label is escaped here */
	const struct dp_pool_gauge { struct gw_str provider; size_t idle, busy, waiting, keys_out, endpoints_out; bool is_out; } *pools;
	size_t n_pools;
};
/* The whole page; any thread, `m` are the sets of all loops. */
void dp_metrics_text(struct gw_buf *out, struct dp_metrics *const *m, size_t n, const struct dp_gauges *g);

#endif
