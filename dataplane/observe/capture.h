/*
 * capture.h - prompts and answers of routes that keep them, on their way to the control plane.
 *
 *   loop ── hands the buffers over ──► thread: reads, masks, cuts ──► messages ──► channel
 *
 * A loop hands over a copy of the request's body and what it kept of the answer; everything else happens on a thread of
 * its own.  Both queues are bounded; what does not fit is lost, and counted.  Masking happens here,
 * before anything leaves the worker, and before it is cut, so that no half of an address remains at the edge.
 */
#ifndef DP_OBSERVE_CAPTURE_H
#define DP_OBSERVE_CAPTURE_H

#include "base/buf.h"
#include "snapshot.h"

#define DP_CAPTURE_RAW_MAX   (1u << 20)     /* of a prompt or an answer; a larger prompt is not kept at all */
#define DP_CAPTURE_QUEUE_MAX (16u << 20)    /* bytes waiting for the thread */
#define DP_CAPTURE_READY_MAX (8u << 20)     /* bytes waiting for the channel */

struct dp_captures;

struct dp_captures *dp_captures_open(void);
void dp_captures_close(struct dp_captures **c);       /* NULL is fine; what is queued is lost */

struct dp_capture {
	struct gw_snapshot *snapshot;                 /* a counted reference, consumed: it holds the masker */
	const struct gw_route *route;                 /* of it */
	struct gw_str request_id;                     /* copied */
	int64_t at_ms;
	struct gw_buf prompt, answer;                 /* consumed */
	bool prompt_is_json, answer_is_stream, answer_cut;
	int64_t prompt_bytes, answer_bytes;           /* of the whole */
};
/* Any thread.  Consumed whatever happens. */
void dp_captures_add(struct dp_captures *c, struct dp_capture *item);
/*
 * Append finished records, JSON objects separated by commas, of at most `max` bytes together.  Returns how many.  They
 * are gone from here then: nobody acknowledges them.
 */
size_t dp_captures_take(struct dp_captures *c, size_t max, struct gw_buf *out);

uint64_t dp_captures_kept(const struct dp_captures *c);
uint64_t dp_captures_dropped(const struct dp_captures *c);

/* One record as it will be sent; for the thread and for tests.  Appends to `out`. */
void dp_capture_record(const struct dp_capture *item, struct gw_buf *out);

#endif
