/*
 * tap.h - the answer on its way to the client: passed on, and understood as far as the ledger needs.
 *
 *   struct dp_tap *t = dp_tap_open(arena, &setup);
 *   struct dp_stream *in = dp_tap_chain(arena, t, sink);
 *   ... dp_feed_bytes(in, body slice) for every slice, dp_finish(in, how) at its end
 *   then read t->...: usage, first token, whether it was complete
 *
 * Four ways through, chosen by dp_tap_chain() from what was asked and what came:
 *   stream → stream   events pass raw; the usage chunk that only we asked for, and the `"usage":null` members that came
 *                     with it, are taken out again
 *   JSON → JSON       bytes pass raw; the tail of the body is kept for usage
 *   stream → JSON     a stream-only model answers a plain request: events are collected into one answer
 *   JSON → stream     a provider that ignored "stream":true: the answer is spread over events
 *
 * The third gives all its output in dp_finish(), and only if the stream was whole; otherwise dp_finish() says DP_ERROR
 * and the owner, who has not sent a head yet, refuses with `error_text`.  Feed it only answers of status 200: bodies of
 * other answers are errors (dp_error_convert).
 */
#ifndef DP_LLM_TAP_H
#define DP_LLM_TAP_H

#include "base/arena.h"
#include "llm/dialect.h"
#include "stream.h"

#define DP_TAP_MAX_CHOICES 128

struct dp_tap_setup {
	const struct dp_operation *op;
	bool client_streams;         /* what the client asked for */
	bool client_usage;           /* it asked for usage itself: hide nothing */
	bool usage_injected;         /* the attempt's rewrite asked for usage */
	bool upstream_streams;       /* Content-Type of the answer is text/event-stream */
	bool reasoning_apart;        /* provider: completion_tokens excludes reasoning_tokens */
	size_t max_event;            /* 0: DP_SSE_MAX_EVENT */
	size_t max_answer;           /* collected or spread answers; 0: 64 MiB */
};

/* Read-only for callers; grows while the answer passes. */
struct dp_tap {
	struct gw_arena *a;
	struct dp_tap_setup setup;

	/* progress */
	uint64_t events;             /* blocks with data */
	uint64_t bad_events;         /* of these, not understood: passed on and counted */
	bool first_token;            /* a byte of content, reasoning or tool call has passed (role-only deltas do not count) */
	bool done_marker;            /* [DONE], message_stop, response.completed */
	bool error_seen;             /* an error object came inside a 200 answer */
	bool overflow;               /* a collected or spread answer was larger than its limit */
	bool cut_short;              /* the provider says it broke off (insufficient_system_resource, network_error) */
	const char *error_text;      /* its sentence, cut to 239 bytes; arena; "" without one */
	struct gw_str error_json;    /* the object as it came, for whoever judges it; arena; absent when it is very long */
	char finish_reason[32];      /* last one seen, as written; "" none */

	/* what was used */
	struct dp_raw_usage usage;
	int64_t ascii, wide;         /* text that passed: content, reasoning, refusals, tool arguments */

	/* which choices have begun and which have ended, as bits */
	uint64_t begun[DP_TAP_MAX_CHOICES / 64], ended[DP_TAP_MAX_CHOICES / 64];
	bool whole_json;             /* an answer that was no stream is one JSON object */
	bool finished;               /* dp_finish() has run */
	enum dp_close close;
};

struct dp_tap *dp_tap_open(struct gw_arena *a, const struct dp_tap_setup *setup);   /* arena */
/* The head of a chain that ends in `sink` (a stage that eats DP_BYTES).  Arena. */
struct dp_stream *dp_tap_chain(struct gw_arena *a, struct dp_tap *t, struct dp_stream *sink);
/* What Content-Type the client sees; absent: the provider's own. */
struct gw_str dp_tap_content_type(const struct dp_tap *t);
/* Is the answer's length changed or unknown (so that Content-Length may not be copied)? */
bool dp_tap_changes_length(const struct dp_tap *t);

/*
 * After the end (or a break): was the answer whole?  A stream is when its terminal marker came, or every choice that
 * began has a finish reason and the framing was clean; and no error stood in it.  Otherwise the owner ends the client's
 * stream with dp_error_event().
 */
bool dp_tap_complete(const struct dp_tap *t);
/*
 * Tokens and where they are from.  `prompt_estimate` serves when the provider said nothing.  Usage in a stream that is
 * not complete may be an early count: then the completion is at least what the text that passed comes to, and the whole
 * is an estimate.
 */
enum gw_usage_source dp_tap_usage(const struct dp_tap *t, int64_t prompt_estimate, struct gw_tokens *out);

/* For dialects: helpers that a read_event uses. */
void dp_tap_text(struct dp_tap *t, struct dp_json text);          /* a piece of answer text */
void dp_tap_finish_reason(struct dp_tap *t, struct dp_json reason);
void dp_tap_error(struct dp_tap *t, struct dp_json error);

#endif
