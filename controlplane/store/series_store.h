/*
 * series_store.h - what workers counted, kept for charts at three resolutions.
 *
 * A message of a worker says by how much the slots of its rows grew (proto/metric.h).  It is added to the point of every
 * resolution that its time falls into, in one transaction with the message's number, so that one that is sent again
 * counts once.  Points are sparse vectors that add up: over time, over workers, over labels.
 *
 * Bounded: each resolution has its time to live and a ceiling of rows, above which its oldest part goes early; names
 * beyond the ceiling of keys are counted as `other`.
 */
#ifndef CP_STORE_SERIES_STORE_H
#define CP_STORE_SERIES_STORE_H

#include "metric.h"
#include "store/store.h"

#define CP_SERIES_RESOLUTIONS 3
#define CP_SERIES_MAX_POINTS  1000000      /* of one resolution */
#define CP_SERIES_MAX_KEYS    50000
extern const int64_t cp_series_resolution_ms[CP_SERIES_RESOLUTIONS]; /* 10 s, 1 min, 1 h */

/*
 * One message.  `rows` as in wire.h, borrowed; what cannot be read in it is left out.  *stored counts the rows taken:
 * 0 when the message was there before.
 */
struct cp_series_message { struct gw_str node, boot_id; int64_t seq, at_ms; const json_t *rows; };
enum gw_rc cp_series_insert(struct cp_store *s, const struct cp_series_message *m, size_t *stored, struct gw_error *err) GW_MUST_CHECK;

/* Drop what is older than `keep_ms` of its resolution, a bounded number at a time.  *more: call again. */
enum gw_rc cp_series_trim(struct cp_store *s, const int64_t keep_ms[CP_SERIES_RESOLUTIONS], int64_t now_ms, bool *more,
                          struct gw_error *err) GW_MUST_CHECK;

struct cp_series_query {
	enum gw_metric_set set;
	int64_t resolution_ms;                     /* one of the three */
	int64_t from_ms, to_ms;                    /* [from, to) of the points' begin */
	struct gw_str node;                        /* absent: any */
	struct gw_str label[GW_METRIC_LABELS];     /* absent: any */
};
struct cp_series_point {                           /* borrowed for the call */
	int64_t at_ms;
	struct gw_str node, label[GW_METRIC_LABELS];
	const uint64_t *slot;                      /* GW_SET_MAX_SLOTS of them */
};
/* In order of time. */
enum gw_rc cp_series_each(struct cp_txn *t, const struct cp_series_query *q, bool (*row)(void *arg, const struct cp_series_point *p),
                          void *arg, struct gw_error *err) GW_MUST_CHECK;
/* Points kept at each resolution. */
enum gw_rc cp_series_count(struct cp_txn *t, int64_t out[CP_SERIES_RESOLUTIONS], struct gw_error *err) GW_MUST_CHECK;

#endif
