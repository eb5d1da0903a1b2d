/*
 * request.h - reading what the gateway must know of a request's body, and changing only that.
 *
 * The body is fed while it arrives, so a 20 MB prompt never stalls a loop; the model may stand last.  What decides
 * routing, permission and cost must be unambiguous, to every reader that sees the same bytes later: a name that stands
 * twice in an object is refused, however it is spelled in escapes, and so is a `Model` or `MAX_TOKENS`, which some
 * readers take for `model` and `max_tokens` (docs/adr/0010).
 */
#ifndef DP_LLM_REQUEST_H
#define DP_LLM_REQUEST_H

#include "base/arena.h"
#include "codec/splice.h"
#include "llm/dialect.h"

/* Everything borrowed from the reader (so: arena) or the body. */
struct dp_request {
	const struct dp_operation *op;
	struct gw_str model;         /* decoded; absent when the operation has none */
	bool stream;                 /* the client wants a stream */
	bool wants_usage;            /* ... and said stream_options.include_usage */
	int64_t max_tokens;          /* -1: not said; max_completion_tokens wins */
	int64_t n;                   /* answers wanted, 1 by default */
	int64_t prompt_estimate;     /* tokens, see tokens.h */

	/* where things stand in the body, for the rewrite; not for others */
	size_t model_at, model_n;
	size_t stream_at, stream_n;          /* 0,0: absent */
	size_t options_at, options_n;
	size_t usage_at, usage_n;            /* stream_options.include_usage */
	size_t messages_at, messages_n;
	size_t object_at; bool object_empty; bool json;
};

struct dp_reader;
/* For the body of `op`; arena.  NULL and *why when the content type does not fit (415, or no boundary: 400). */
struct dp_reader *dp_reader_open(struct gw_arena *a, const struct dp_operation *op, struct gw_str content_type,
                                 struct dp_refusal *why);
/* A piece of the body, in order.  false: refused, *why is filled. */
bool dp_reader_feed(struct dp_reader *r, struct gw_str piece, struct dp_refusal *why) GW_MUST_CHECK;
/* The body is whole; `body` is all of it in one run, to be kept as long as *out is used. */
bool dp_reader_finish(struct dp_reader *r, struct gw_str body, struct dp_request *out,
                      struct dp_refusal *why) GW_MUST_CHECK;

/* What one attempt changes.  All zero: nothing, the body goes out byte-equal. */
struct dp_rewrite {
	struct gw_str model;         /* what this target is asked for; absent or equal to the client's: unchanged */
	bool ask_usage;              /* put stream_options.include_usage into a stream request that lacks it */
	bool force_stream;           /* a stream-only model is asked for a stream although the client wants one JSON */
	bool strip_reasoning;        /* drop `reasoning_content` from the messages (DeepSeek R1 refuses it) */
};
/* Arena; parts are borrowed from `body`, the request and `w`. */
struct dp_body dp_request_rewrite(struct gw_arena *a, const struct dp_request *q, struct gw_str body,
                                  const struct dp_rewrite *w);

#endif
