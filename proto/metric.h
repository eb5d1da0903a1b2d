/*
 * metric.h - what is counted, once for both planes: sets of rows, the slots of a row, the edges of histograms.
 *
 * A worker counts in rows.  A row belongs to a set, carries that set's labels, and is a vector of numbers that only
 * ever grow, so that rows of several loops, workers and spans of time are put together by adding.  A histogram is one
 * run of slots: a count for each edge, one for what lies above the last, and the sum.  A gauge (memory, requests in
 * flight) is sampled and added up beside a count of samples; the mean is the quotient.
 *
 * The vector's layout is spoken on the channel (wire.h, `series`) and kept in the database: sets are only ever added at the
 * end of the list, slots at the end of a set.  Whoever must do otherwise raises GW_METRIC_LAYOUT, and older series are then ignored.
 *
 * What Prometheus sees stands in tbl/metrics.def, what the console's charts may ask for in tbl/series.def.
 */
#ifndef GW_PROTO_METRIC_H
#define GW_PROTO_METRIC_H

#include "base/buf.h"
#include "base/gw.h"
#include "usage.h"

#define GW_METRIC_LAYOUT 1
#define GW_METRIC_LABELS 4       /* most labels of a set */
#define GW_METRIC_LABEL_MAX 128  /* bytes of one label's value */

/* ---- histograms ---- */

/* The GenAI edges of OpenTelemetry, plus FINE for the gateway's own share.  Seconds are kept as microseconds. */
#define GW_HISTOGRAM_TABLE(X)                                                                    \
	X(SECONDS, 14, 1e6) X(FIRST, 16, 1e6) X(PER_TOKEN, 13, 1e6) X(TOKENS, 14, 1) X(FINE, 14, 1e6)
enum gw_histogram {
#define X(name, edges, scale) GW_HISTOGRAM_##name,
	GW_HISTOGRAM_TABLE(X)
#undef X
};
#define GW_HISTOGRAM_MAX_EDGES 16
/* Slots of one: the edges, the rest, the sum. */
enum {
#define X(name, edges, scale) GW_SLOTS_##name = edges + 2,
	GW_HISTOGRAM_TABLE(X)
#undef X
};

struct gw_histogram_edges {
	size_t n;
	double scale;            /* slots per unit shown: microseconds in a second */
	const uint64_t *at;      /* ascending, in slot units */
	const char *const *text; /* as `le` shows them */
};
const struct gw_histogram_edges *gw_histogram_edges(enum gw_histogram h);
/* Which of the n + 1 counts a value belongs to. */
size_t gw_histogram_slot(enum gw_histogram h, uint64_t v);
/*
 * The value below which the share `q` of all lies, in units shown, by linear interpolation within its bucket; what lies
 * above the last edge counts as that edge.  `slots` is a histogram's run of slots.  -1: nothing was counted.
 */
double gw_histogram_quantile(enum gw_histogram h, const uint64_t *slots, double q);
uint64_t gw_histogram_count(enum gw_histogram h, const uint64_t *slots);

/* ---- sets and their slots: X(NAME, number of slots) ---- */

#define GW_TOKEN_CLASS_TABLE(X) \
	X(PROMPT, "prompt") X(CACHED, "cached") X(CACHE_WRITE, "cache_write") X(COMPLETION, "completion") X(REASONING, "reasoning")
enum gw_token_class {
#define X(name, text) GW_TOKENS_##name,
	GW_TOKEN_CLASS_TABLE(X)
#undef X
	GW_TOKEN_CLASSES
};
/* No answer, 1xx … 5xx. */
enum { GW_STATUS_CLASSES = 6 };
const char *gw_status_class_name(size_t i);    /* "none" "1xx" … "5xx" */
const char *gw_token_class_name(size_t i);

#define GW_TRAFFIC_SLOTS(X)                                                                        \
	X(ENDED, GW_STATUS_CLASSES *GW_END_COUNT) X(TOKENS, GW_TOKEN_CLASSES) X(ESTIMATED, 1) X(BAD_EVENTS, 1) \
	X(DURATION, GW_SLOTS_SECONDS) X(FIRST_TOKEN, GW_SLOTS_FIRST) X(PER_TOKEN, GW_SLOTS_PER_TOKEN)  \
	X(INPUT, GW_SLOTS_TOKENS) X(OUTPUT, GW_SLOTS_TOKENS)
#define GW_CONSUMER_SLOTS(X)                                                                       \
	X(STATUS, GW_STATUS_CLASSES) X(TOKENS, GW_TOKEN_CLASSES) X(LIMITED, 1)              \
	X(DURATION, GW_SLOTS_SECONDS) X(FIRST_TOKEN, GW_SLOTS_FIRST)
#define GW_COUNT_SLOTS(X) X(COUNT, 1)
#define GW_PROVIDER_SLOTS(X) X(RETRIES, 1) X(FALLBACKS, 1)
#define GW_WORKER_SLOTS(X)                                                                         \
	X(OVERHEAD, GW_SLOTS_FINE) X(LOOP_DELAY, GW_SLOTS_FINE) X(QUEUE, GW_SLOTS_SECONDS)             \
	X(SAMPLES, 1) X(IN_FLIGHT, 1) X(CONNECTIONS, 1) X(MEMORY, 1) X(UPSTREAM_BUSY, 1) X(UPSTREAM_IDLE, 1) X(USAGE_QUEUED, 1) \
	X(CPU_US, 1) X(USAGE_DROPPED, 1) X(COUNTERS_WAIT, GW_SLOTS_FIRST)

/* X(NAME, "name on the wire and in the database", its slots, most rows, number of labels, their names) */
#define GW_SET_TABLE(X)                                                                            \
	X(TRAFFIC,  "traffic",  GW_TRAFFIC_SLOTS,  4096, 3, "route", "provider", "model", NULL)        \
	X(SPEND,    "spend",    GW_COUNT_SLOTS,    4096, 4, "route", "provider", "model", "currency")  \
	X(CONSUMER, "consumer", GW_CONSUMER_SLOTS, 4096, 1, "consumer", NULL, NULL, NULL)              \
	X(CONSUMER_SPEND, "consumer_spend", GW_COUNT_SLOTS, 4096, 2, "consumer", "currency", NULL, NULL) \
	X(LIMITED,  "limited",  GW_COUNT_SLOTS,    4096, 2, "consumer", "code", NULL, NULL)            \
	X(REFUSED,  "refused",  GW_COUNT_SLOTS,    128,  1, "code", NULL, NULL, NULL)                  \
	X(ATTEMPT,  "attempt",  GW_COUNT_SLOTS,    2048, 2, "provider", "result", NULL, NULL)          \
	X(PROVIDER, "provider", GW_PROVIDER_SLOTS, 1024, 1, "provider", NULL, NULL, NULL)              \
	X(WORKER,   "worker",   GW_WORKER_SLOTS,   1,    0, NULL, NULL, NULL, NULL)
enum gw_metric_set {
#define X(name, text, slots, rows, n, l1, l2, l3, l4) GW_SET_##name,
	GW_SET_TABLE(X)
#undef X
	GW_SET_COUNT
};

/* Where a run of slots begins: GW_AT(TRAFFIC, TOKENS). */
#define GW_SLOT_BYTES(name, n) char name[n];
#define X(name, text, slots, rows, n, l1, l2, l3, l4) struct gw_layout_##name { slots(GW_SLOT_BYTES) };
GW_SET_TABLE(X)
#undef X
#define GW_AT(set, slot) offsetof(struct gw_layout_##set, slot)
#define GW_SET_MAX_SLOTS sizeof(struct gw_layout_TRAFFIC)

struct gw_metric_set_about {
	const char *name;
	const char *labels[GW_METRIC_LABELS];    /* names; NULL past the end */
	size_t n_labels, n_slots, max_rows;
};
const struct gw_metric_set_about *gw_metric_set(enum gw_metric_set s);
bool gw_metric_set_parse(struct gw_str name, enum gw_metric_set *out);

/* ---- what Prometheus sees ---- */

enum gw_metric {
#define X(id, kind, where, name, labels, help) GW_METRIC_##id,
#include "tbl/metrics.def"
#undef X
	GW_METRIC_COUNT
};
const char *gw_metric_name(enum gw_metric m);
/* The lines # HELP and # TYPE. */
void gw_metric_head(struct gw_buf *out, enum gw_metric m);
/* Head and one sample without labels. */
void gw_metric_single(struct gw_buf *out, enum gw_metric m, double v);
/* `name="value"` with the value escaped; a comma before it unless it is the first of `out`'s open brace. */
void gw_metric_label(struct gw_buf *out, const char *name, struct gw_str value);
/* What this process takes: memory, processor, descriptors; the head and sample of each. */
void gw_metric_process(struct gw_buf *out);

/* Figures of this process from /proc; 0 where the system does not say. */
struct gw_process { int64_t rss_bytes, cpu_us, open_fds, max_fds, started_at_ms; };
void gw_process_read(struct gw_process *out);

#endif
