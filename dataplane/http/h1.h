/*
 * h1.h - HTTP/1.0 and 1.1 messages out of bytes, refused rather than repaired.
 *
 *   struct dp_h1 *p = dp_h1_open(DP_H1_REQUEST, &limits);
 *   while (in.n) {
 *           enum dp_h1_event ev = dp_h1_feed(p, in, &used, &slice);
 *           in = gw_str_from(in, used);
 *           ...                                 // HEAD: dp_h1_head(p); BODY: slice; END: answer, dp_h1_next(p)
 *   }
 *
 * One call gives one event, at any slicing of the input.  A head is collected line by line under a byte budget, so
 * nothing that a peer sends is looked at by a parser before it is known to be small; then llhttp (strict build) takes
 * it apart, and then comes the admission check of RFC 9112 that llhttp leaves to its caller: no folded lines, tokens as
 * names, one Host, one framing, version 1.0 or 1.1, no doubt.  Bodies are cut by our own counting and chunk decoder.
 *
 * Pure: no clock, no socket, no log.  One message at a time: after END, dp_h1_next() and go on with what is left.
 */
#ifndef DP_HTTP_H1_H
#define DP_HTTP_H1_H

#include "base/gw.h"
#include "http/code.h"
#include "snapshot.h" /* struct gw_pair: a header is a pair, as the route matcher wants it */

enum dp_h1_side { DP_H1_REQUEST, DP_H1_RESPONSE };

enum dp_h1_event {
	DP_H1_NEED,  /* all input taken, nothing to tell yet */
	DP_H1_HEAD,  /* the head is whole and admitted: dp_h1_head() */
	DP_H1_BODY,  /* a run of body bytes, decoded, borrowed from the input */
	DP_H1_END,   /* the message is over; what is left of the input belongs to the next one */
	DP_H1_ERROR, /* refused; dp_h1_refusal() says why; the connection is of no more use */
};

/* Zero in a member means its default. */
struct dp_h1_limits {
	size_t max_line;      /* request or status line; 16 KiB, above it 414 */
	size_t max_head;      /* all head bytes; 32 KiB, above it 431 */
	size_t max_headers;   /* fields; 100, above it 431 */
	int64_t max_body;     /* decoded bytes; 32 MiB, above it 413; -1: no limit */
};
#define DP_H1_MAX_CHUNK_EXT   256     /* bytes of one chunk extension */
#define DP_H1_MAX_EXT_TOTAL   16384   /* ... and of all of them in a message */
#define DP_H1_MAX_TRAILER     8192    /* bytes of trailer fields: checked, then dropped */
#define DP_H1_MAX_INTERIM     16      /* 1xx answers swallowed before the real one */

/*
 * A head.  Every string is borrowed from the parser and dies at dp_h1_next(), dp_h1_drop_fields() or dp_h1_close(), but
 * for the method, which is static; so copy into the exchange's arena what must live longer than the message.
 */
struct dp_head {
	struct gw_str method, target;        /* requests: as received; dp_uri_parse() reads the target */
	struct gw_str host;                  /* requests: value of Host, possibly with a port; absent in 1.0 */
	unsigned status;                     /* responses: 200..599 (interim ones are swallowed) */
	struct gw_str reason;
	unsigned minor;                      /* 0 or 1: the version is HTTP/1.minor */
	const struct gw_pair *headers;       /* in order of arrival, values trimmed */
	size_t n_headers;
	int64_t content_length;              /* -1: not stated */
	bool chunked;
	bool until_eof;                      /* response: the body ends with the connection */
	bool has_body;                       /* bytes will follow (length > 0, chunked or until_eof) */
	bool keep_alive;                     /* the peer will take another message on this connection */
	bool expect_continue;                /* request: the client waits for 100 before it sends the body */
	size_t bytes;                        /* head bytes as received */
};

struct dp_h1;

struct dp_h1 *dp_h1_open(enum dp_h1_side side, const struct dp_h1_limits *limits); /* owned: dp_h1_close() */
void dp_h1_close(struct dp_h1 **p);                                       /* consumed; NULL is fine */

/* Response parsers, before each message: whether it answers a HEAD request (then it has no body whatever it says). */
void dp_h1_expect(struct dp_h1 *p, bool head_request);
/* New limits from the next message on; for connections that live longer than a configuration. */
void dp_h1_set_limits(struct dp_h1 *p, const struct dp_h1_limits *limits);
/* A body limit for the message whose HEAD was just given (a route may allow more or less).  -1: none. */
void dp_h1_set_max_body(struct dp_h1 *p, int64_t max_body);

/*
 * Take some of `in`.  *used says how many bytes were consumed (all of them for NEED), *slice is set for BODY.
 * Call again with the rest until NEED; after HEAD the next call may well give END without eating anything, so call
 * once more even when the input is empty.  After ERROR and END it keeps giving the same answer.
 */
enum dp_h1_event dp_h1_feed(struct dp_h1 *p, struct gw_str in, size_t *used, struct gw_str *slice) GW_MUST_CHECK;
/* The peer closed: END for a body that runs until then, NEED between messages (a clean close), else ERROR: cut off. */
enum dp_h1_event dp_h1_eof(struct dp_h1 *p) GW_MUST_CHECK;
/* After END: forget this message.  Buffers stay for the next one. */
void dp_h1_next(struct dp_h1 *p);
/* An idle connection keeps no buffers.  Only between messages. */
void dp_h1_idle(struct dp_h1 *p);
/*
 * After HEAD: its fields, target, host and reason have been used.  Their memory is given back although the message, a
 * stream perhaps, goes on; method, status and framing stay.  The head's fields are the `n` of `keep` from here on,
 * borrowed until the message is over; NULL: none.
 */
void dp_h1_drop_fields(struct dp_h1 *p, const struct gw_pair *keep, size_t n);

const struct dp_head *dp_h1_head(const struct dp_h1 *p);        /* NULL before HEAD */
const struct dp_refusal *dp_h1_refusal(const struct dp_h1 *p);  /* after ERROR */
bool dp_h1_begun(const struct dp_h1 *p);      /* a byte of the current message has arrived: timers and 408 need it */
int64_t dp_h1_body_bytes(const struct dp_h1 *p);                /* decoded so far */
/*
 * After END: may another message follow on this connection?  False for Connection: close, HTTP/1.0 without
 * keep-alive and bodies until EOF.  The owner must also see to it that no byte is left over (see T02).
 */
bool dp_h1_reusable(const struct dp_h1 *p);

#endif
