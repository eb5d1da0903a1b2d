/*
 * sse.h - server-sent events out of bytes (WHATWG HTML 9.2.6), at any slicing.
 *
 * Line ends LF, CRLF and CR, a byte order mark, comments, the optional space, several data lines.  Every block comes
 * with its raw bytes as received, so that pass-through is byte-equal: the raw parts of all blocks, joined, are the
 * input.  A block that lies whole in the input is not copied; otherwise its beginning is kept in a buffer that grows
 * up to `max_event` (a picture can be one event of 28 MB).
 */
#ifndef DP_CODEC_SSE_H
#define DP_CODEC_SSE_H

#include "base/buf.h"
#include "base/gw.h"

#define DP_SSE_MAX_EVENT (64u << 20)

struct dp_sse {
	struct gw_buf tail;      /* the unfinished block so far */
	struct gw_buf joined;    /* several data lines put together */
	bool in_line;            /* the line being read has a byte already */
	bool last_cr;            /* the last byte was CR: an LF now belongs to it */
	bool ended;              /* ... and that CR ended a block */
	bool begun;              /* past the first block: no BOM any more */
	bool give_back;          /* tail was handed out and must be cleared first */
	bool dead;               /* an event was too big: nothing more comes out */
};

/* Borrowed until the next call with the same splitter; `raw` may also point into the input. */
struct dp_sse_event {
	struct gw_str raw;       /* the block with its blank line, exactly as received */
	struct gw_str event;     /* last `event:` value; absent when there was none */
	struct gw_str data;      /* data lines joined by LF; absent: comment, keep-alive or other fields only */
	bool comment;            /* holds at least one comment line */
	bool joins;              /* only the LF that completes the CR which ended the block before: shares its fate */
	bool unterminated;       /* end of input came before the blank line */
	bool torn;               /* ... because the connection broke; set by the stage, which knows */
};

enum dp_sse_got { DP_SSE_NEED, DP_SSE_EVENT, DP_SSE_TOOBIG };

void dp_sse_init(struct dp_sse *s, size_t max_event);
void dp_sse_fini(struct dp_sse *s);
/* Take one block from *in and leave the rest there.  NEED: *in is empty now.  TOOBIG is final. */
enum dp_sse_got dp_sse_next(struct dp_sse *s, struct gw_str *in, struct dp_sse_event *ev) GW_MUST_CHECK;
/* End of input: the block that still waits for its blank line, as SDKs take it; false when there is none. */
bool dp_sse_finish(struct dp_sse *s, struct dp_sse_event *ev);

#endif
