/*
 * series.h - what was counted, on its way to the control plane, which draws it.
 *
 * Every ten seconds one cut is made: the difference of all counters to the last cut, as messages of bounded size.  They
 * wait here until they are acknowledged and are sent again after a break, each with its number, so that the receiver can
 * tell what it has.  When too much waits, no cut is made; the next one then covers the longer span, so that nothing
 * counted is ever lost, only its place in time becomes coarser.
 *
 * One thread, the channel's.  The form of the rows is told in proto/wire.h.
 */
#ifndef DP_OBSERVE_SERIES_H
#define DP_OBSERVE_SERIES_H

#include "observe/totals.h"

#define DP_SERIES_EVERY_MS    10000
#define DP_SERIES_MAX_ROWS    1000u        /* of one message */
#define DP_SERIES_MAX_WAITING (8u << 20)   /* bytes; above it no cut is made */

struct dp_series;

/* Figures that are sampled at the cut. */
struct dp_sample { int64_t in_flight, connections, memory, upstream_busy, upstream_idle, usage_queued, cpu_us, usage_dropped; };

struct dp_series *dp_series_open(void);                    /* owned: dp_series_close() */
void dp_series_close(struct dp_series **s);
/* `m` are the sets of all loops.  Times are monotonic. */
void dp_series_cut(struct dp_series *s, struct dp_metrics *const *m, size_t n, const struct dp_sample *at, int64_t now_ms);
/*
 * The first message with a number above `after` into `out`, as JSON; *seq is its number.  false: there is none.  It
 * stays until it is acknowledged.
 */
bool dp_series_next(const struct dp_series *s, const char *boot_id, int64_t after, int64_t now_ms, struct gw_buf *out, int64_t *seq);
void dp_series_ack(struct dp_series *s, int64_t seq);      /* everything up to and including seq is stored */
size_t dp_series_waiting(const struct dp_series *s);       /* messages */

#endif
