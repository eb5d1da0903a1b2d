/*
 * spans.h - a finished, sampled request as OpenTelemetry's spans, by its conventions for HTTP servers and GenAI clients.
 *
 * One span of kind SERVER for the request, one child of kind CLIENT for each try at a provider, both ended when the answer
 * (the stream, too) has ended.  The loop copies what it knows into one block; the JSON of OTLP is made of it elsewhere.
 * No prompt, answer, header or credential is in it.
 */
#ifndef DP_OBSERVE_SPANS_H
#define DP_OBSERVE_SPANS_H

#include "base/buf.h"
#include "observe/trace.h"
#include "usage.h"

#define DP_SPAN_TRIES_MAX 12

/* Times are Unix microseconds, 0: did not happen.  Texts borrowed, copied by dp_spans_pack(). */
struct dp_span_try {
	uint8_t span_id[8];
	int64_t start_us, connected_us, first_byte_us, first_token_us, end_us;
	struct gw_str provider, provider_type, model, key, endpoint, result, error;
	unsigned status;
	bool reused, repeated;
};

struct dp_span_request {
	uint8_t trace_id[16], span_id[8], parent_id[8];
	int64_t start_us, first_token_us, end_us;
	struct gw_str state, method, path, user_agent, client_ip, request_id, consumer, route, model, served_model, operation, error_code,
		end_reason, usage_source;
	unsigned status;
	bool stream;
	int64_t prompt_tokens, completion_tokens, cached_tokens, reasoning_tokens, max_tokens;
	size_t n_tries;
	struct dp_span_try tries[DP_SPAN_TRIES_MAX];
};

/* A copy in one block that carries its texts; owned: free().  *bytes is its size. */
struct dp_span_request *dp_spans_pack(const struct dp_span_request *r, size_t *bytes);
/* Its spans as JSON objects, separated by commas. */
void dp_spans_write(const struct dp_span_request *r, struct gw_buf *out);
size_t dp_spans_count(const struct dp_span_request *r);

/* What stands around the spans of one export: resource and scope. */
void dp_spans_open(struct gw_buf *out, struct gw_str service, struct gw_str instance);
void dp_spans_shut(struct gw_buf *out);

#endif
