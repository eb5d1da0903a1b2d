/*
 * metrics.h - counters that cost an addition, and their text for Prometheus.
 *
 * Every loop has its own set and is its only writer; the scraper adds the sets up.  Rows are found by hash and never
 * removed, so their number is capped: route and provider names come from configuration alone, and beyond the cap
 * everything is counted as `other`.  Names, kinds and labels are those of proto/tbl/metrics.def.
 */
#ifndef DP_OBSERVE_METRICS_H
#define DP_OBSERVE_METRICS_H

#include <stdatomic.h>

#include "base/buf.h"
#include "usage.h"

#define DP_METRICS_MAX_ROWS 8192u

enum dp_metric {
#define X(id, kind, name, labels, help) DP_METRIC_##id,
#include "tbl/metrics.def"
#undef X
	DP_METRIC_COUNT
};

/* Seconds: 10 ms to 80 s, as OpenTelemetry's GenAI conventions have them; in microseconds here. */
#define DP_HISTOGRAM_BUCKETS 14
struct dp_histogram { _Atomic uint64_t bucket[DP_HISTOGRAM_BUCKETS + 1], sum_us; };

struct dp_metrics;                 /* one loop's set */

struct dp_metrics *dp_metrics_open(void);
void dp_metrics_close(struct dp_metrics **m);

/* What one finished request adds.  Names borrowed; absent ones count as "none". */
struct dp_request_facts {
	struct gw_str route, provider;
	unsigned status;               /* 0: the client left before an answer */
	enum gw_end_reason end;
	struct gw_tokens tokens;
	bool estimated;
	uint64_t bad_events;
	int64_t total_us, first_token_us, overhead_us;   /* -1: did not happen */
	const char *rejected;          /* error code when the gateway itself refused; NULL: it did not */
};
void dp_metrics_request(struct dp_metrics *m, const struct dp_request_facts *f);
/* `result`: "ok", a fault's name or a connection fault's name; static. */
void dp_metrics_attempt(struct dp_metrics *m, struct gw_str provider, const char *result);
void dp_metrics_in_flight(struct dp_metrics *m, int delta);
int64_t dp_metrics_in_flight_of(const struct dp_metrics *m);
int64_t dp_metrics_requests_of(const struct dp_metrics *m);
int64_t dp_metrics_errors_of(const struct dp_metrics *m);   /* requests with a 5xx of our own or of providers */

/* Figures that are not kept here, for the same page. */
struct dp_gauges {
	int64_t client_connections, snapshot_revision, snapshot_age_s, control_up, usage_queued, usage_dropped, log_dropped;
	const struct dp_pool_gauge { struct gw_str provider; size_t idle, busy; } *pools;
	size_t n_pools;
};
/* The whole page; any thread, `m` are the sets of all loops. */
void dp_metrics_text(struct gw_buf *out, struct dp_metrics *const *m, size_t n, const struct dp_gauges *g);

#endif
