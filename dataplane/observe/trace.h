/*
 * trace.h - W3C Trace Context: which trace a request belongs to, and what the next hop is told of it.
 *
 * A request with one valid `traceparent` goes on in its caller's trace, under the caller's decision to sample; any other
 * begins a trace of its own and is sampled by the ratio.  What is not valid is ignored whole, as the recommendation
 * demands, never repaired.  https://www.w3.org/TR/trace-context/
 */
#ifndef DP_OBSERVE_TRACE_H
#define DP_OBSERVE_TRACE_H

#include "base/buf.h"
#include "snapshot.h"

#define DP_TRACEPARENT_LEN 55
#define DP_TRACE_STATE_MAX 512

struct dp_trace {
	uint8_t trace_id[16];
	uint8_t span_id[8];          /* of the request's own span; zero: we make no spans and only pass on */
	uint8_t parent_id[8];        /* the caller's span; zero: none */
	bool valid;                  /* trace_id holds one */
	bool sampled;
	struct gw_str state;         /* the caller's tracestate, checked; absent: none */
	char hex[33];                /* trace_id as text */
};

/* One value.  false: not valid, *out unchanged. */
bool dp_traceparent_parse(struct gw_str value, struct dp_trace *out);
bool dp_tracestate_valid(struct gw_str value);

/*
 * From the request's headers.  `on`: we make spans; then a trace is begun where there is none, with `random` (four
 * numbers) and the settings' ratio.  tracestate lines are joined in `a`.
 */
void dp_trace_begin(struct dp_trace *out, const struct gw_pair *headers, size_t n, bool on, uint32_t sample_per_million,
                    const uint64_t random[4], struct gw_arena *a);
/* traceparent with this span as parent, and tracestate, as header lines. */
void dp_trace_write(const struct dp_trace *t, const uint8_t span[8], struct gw_buf *out);

#endif
