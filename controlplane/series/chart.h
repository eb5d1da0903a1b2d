/*
 * chart.h - lines over time out of stored series: what the console draws and what alerts watch.
 *
 * A query names a metric of tbl/series.def, what to tell it apart by, and which labels to look at.  Points add up within
 * a step, so a sum over all steps is exactly what the workers counted; percentiles come from the added-up buckets.
 *
 * Bounded: at most CP_CHART_MAX_STEPS steps, and so many lines that a chart fits in some megabytes; whoever comes after
 * that is added to one line whose labels are all `other`.
 */
#ifndef CP_SERIES_CHART_H
#define CP_SERIES_CHART_H

#include "base/arena.h"
#include "metric.h"
#include "store/store.h"

#define CP_CHART_MAX_STEPS 1500
#define CP_CHART_STEP_MS   10000    /* the finest; every step is a multiple of it */
#define CP_CHART_DIMENSIONS 4       /* most labels that lines are told apart by */

/* X(NAME, "name"): everything a line can be told apart by, or a query look at. */
#define CP_DIMENSION_TABLE(X)                                                                  \
	X(ROUTE, "route") X(PROVIDER, "provider") X(MODEL, "model") X(CONSUMER, "consumer")      \
	X(NODE, "node") X(CODE, "code") X(RESULT, "result") X(CURRENCY, "currency")              \
	X(STATUS, "status") X(END_REASON, "end_reason") X(CLASS, "class")
enum cp_dimension {
#define X(name, text) CP_DIMENSION_##name,
	CP_DIMENSION_TABLE(X)
#undef X
	CP_DIMENSION_COUNT
};
const char *cp_dimension_name(enum cp_dimension d);

enum cp_chart_kind { CP_CHART_COUNTER, CP_CHART_HISTOGRAM, CP_CHART_GAUGE };

struct cp_chart_query {
	struct gw_str metric;
	struct gw_str by;                            /* "route,model"; empty: one line */
	struct gw_str only[CP_DIMENSION_COUNT];      /* absent: any value */
	int64_t from_ms, to_ms, step_ms;             /* step_ms 0: by the length of the span; now_ms decides its age */
	int64_t now_ms;
};

struct cp_chart_line {
	struct gw_str label[CP_CHART_DIMENSIONS];    /* in the order of cp_chart.by */
	uint64_t total;                              /* counted in all; samples of a gauge */
	uint64_t *cell;                              /* n_steps runs of `width` slots */
};
struct cp_chart {                                    /* everything is arena */
	enum cp_chart_kind kind;
	enum gw_histogram histogram;                 /* of a HISTOGRAM */
	const char *unit;
	int64_t from_ms, step_ms;
	size_t n_steps, width;
	enum cp_dimension by[CP_CHART_DIMENSIONS];
	size_t n_by;
	struct cp_chart_line *line;                  /* most first */
	size_t n_lines;
};

/* GW_INVALID: err->path is "?metric", "?by", "?step" or the name of the label that does not go with the rest. */
enum gw_rc cp_chart_read(struct cp_chart *out, struct cp_txn *t, const struct cp_chart_query *q, struct gw_arena *a,
                         struct gw_error *err) GW_MUST_CHECK;

/* Of one step of a line; -1: nothing was measured.  A counter's is what was counted, a gauge's the mean. */
double cp_chart_value(const struct cp_chart *c, const struct cp_chart_line *l, size_t step);
/* Over steps [from, to): a histogram's percentile or, with q < 0, its mean. */
double cp_chart_quantile(const struct cp_chart *c, const struct cp_chart_line *l, size_t from, size_t to, double q);

#endif
