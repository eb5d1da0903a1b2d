/*
 * inflate.h - compressed answers, made plain again while they pass.
 *
 * Providers are asked for identity; some compress all the same.  Whoever must look inside (usage, errors, events) then
 * needs the plain bytes, and so does a client that never said it could read gzip.  The decoder keeps the format's
 * window and nothing else, gives the same output however the input is sliced, and stops at a bomb: after
 * DP_INFLATE_FREE_BYTES of output no more than DP_INFLATE_MAX_RATIO bytes may come out of one that went in, and never
 * more than DP_INFLATE_MAX_BYTES in all.
 */
#ifndef DP_CODEC_INFLATE_H
#define DP_CODEC_INFLATE_H

#include "base/gw.h"

#define DP_INFLATE_FREE_BYTES (1u << 20)
#define DP_INFLATE_MAX_RATIO  100u
#define DP_INFLATE_MAX_BYTES  ((uint64_t)512 << 20)

enum dp_coding {
	DP_CODING_IDENTITY,    /* also: no Content-Encoding at all */
	DP_CODING_GZIP,        /* RFC 1952, several members allowed; also x-gzip */
	DP_CODING_DEFLATE,     /* RFC 1950, or the bare RFC 1951 that some servers mean by it */
	DP_CODING_BROTLI,      /* RFC 7932 */
	DP_CODING_UNKNOWN,     /* anything else, or several on top of each other */
};

/* What a Content-Encoding header says; absent or empty is IDENTITY. */
enum dp_coding dp_coding_of(struct gw_str content_encoding);

enum dp_inflated {
	DP_INFLATE_OUT,        /* *out holds plain bytes; call again */
	DP_INFLATE_NEED,       /* the input is used up */
	DP_INFLATE_DONE,       /* the compressed body is over; what follows it is thrown away */
	DP_INFLATE_BROKEN,     /* not what it claims to be; stays so */
	DP_INFLATE_BOMB,       /* more than the limits allow; stays so */
};

struct dp_inflate;

/* GZIP, DEFLATE or BROTLI.  Owned: dp_inflate_close(). */
struct dp_inflate *dp_inflate_open(enum dp_coding coding);
void dp_inflate_close(struct dp_inflate **z);             /* consumed; NULL is fine */
/* Takes from *in; *out is borrowed until the next call. */
enum dp_inflated dp_inflate_next(struct dp_inflate *z, struct gw_str *in, struct gw_str *out);
/* After all input: was the compressed body whole?  One without a single byte counts as whole: HEAD, 204, an empty answer. */
bool dp_inflate_whole(const struct dp_inflate *z);

#endif
