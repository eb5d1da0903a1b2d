/*
 * metrics.h - counters that cost an addition.
 *
 * Every loop has its own set and is its only writer; whoever reads adds the sets up (totals.h).  What is counted, with
 * which labels, is proto/metric.h.  A row is found by the hash of its labels and never removed, so each set has a
 * ceiling; beyond it everything is counted in the row whose labels are all `other`.  Names of routes, providers and
 * consumers come from the configuration alone.  A model is a label when the configuration names it: as the target's,
 * in its map, in the provider's list or as an exact match of the route; whatever else a client asks for is `other`.
 */
#ifndef DP_OBSERVE_METRICS_H
#define DP_OBSERVE_METRICS_H

#include <stdatomic.h>

#include "metric.h"
#include "snapshot.h"

struct dp_metrics;                 /* one loop's set */

struct dp_metrics *dp_metrics_open(void);
void dp_metrics_close(struct dp_metrics **m);

/* What one finished request adds.  Absent names count as "none". */
struct dp_request_facts {
	const struct gw_route *route;         /* NULL: none was found */
	const struct gw_provider *provider;   /* NULL: none was asked */
	const struct gw_consumer *consumer;   /* NULL: nobody known */
	struct gw_str model;                  /* asked of the provider; absent: none was */
	bool model_ours;                      /* its name stands in the target: surely configured */
	unsigned status;                      /* 0: the client left before an answer */
	enum gw_end_reason end;
	struct gw_tokens tokens;
	int64_t cost;                         /* millionths of `currency` */
	struct gw_str currency;               /* empty: it had no price */
	bool estimated;
	uint64_t bad_events;
	int64_t total_us, first_token_us, overhead_us, queue_us;   /* -1: did not happen */
	const char *rejected;                 /* error code when the gateway itself refused; NULL: it did not */
	bool limited;                         /* that refusal was a limit, quota or budget */
};
/* On the loop.  All texts borrowed. */
void dp_metrics_request(struct dp_metrics *m, const struct dp_request_facts *f);
/* `result`: "ok", a fault's name or a connection fault's name; static. */
void dp_metrics_attempt(struct dp_metrics *m, struct gw_str provider, const char *result);
/* A further attempt begins because one failed; `fallback`: at another target than before. */
void dp_metrics_again(struct dp_metrics *m, struct gw_str provider, bool fallback);
void dp_metrics_loop_delay(struct dp_metrics *m, int64_t us);
/* An admission by shared counters, and how long it waited for them. */
void dp_metrics_counters_wait(struct dp_metrics *m, int64_t us);
void dp_metrics_in_flight(struct dp_metrics *m, int delta);

/* Any thread. */
int64_t dp_metrics_in_flight_of(const struct dp_metrics *m);
int64_t dp_metrics_requests_of(const struct dp_metrics *m);
int64_t dp_metrics_errors_of(const struct dp_metrics *m);   /* requests with a 5xx of our own or of providers */

/* ---- for whoever adds up ---- */

struct dp_row {                    /* immutable but for its slots, which only grow; lives as long as the set */
	enum gw_metric_set set;
	uint64_t hash;
	struct gw_str label[GW_METRIC_LABELS];
	_Atomic uint64_t slot[];
};
size_t dp_metrics_rows(const struct dp_metrics *m);         /* any thread: rows 0 … n-1 may be read */
const struct dp_row *dp_metrics_row(const struct dp_metrics *m, size_t i);

#endif
