/*
 * chunked.h - the chunked transfer coding (RFC 9112 7.1), decoded strictly.
 *
 * CRLF only, at most 16 hex digits, extensions and trailers within small budgets and dropped.  Our own rather than
 * llhttp's, since it must say exactly how many bytes belong to extensions, wherever the input is cut.
 */
#ifndef DP_HTTP_CHUNKED_H
#define DP_HTTP_CHUNKED_H

#include "base/gw.h"

enum dp_chunked_got { DP_CHUNKED_MORE, DP_CHUNKED_DATA, DP_CHUNKED_DONE, DP_CHUNKED_BAD, DP_CHUNKED_TOOBIG };

struct dp_chunked {
	uint8_t state;
	uint8_t digits;
	uint64_t size;           /* of this chunk, then what is left of it */
	int64_t room;            /* decoded bytes that may still come; -1: any */
	uint32_t ext, ext_total, trailer;
	const char *why;         /* after BAD; static, reads after "the request " */
};

void dp_chunked_init(struct dp_chunked *c, int64_t max_body);
/* MORE: all taken.  DATA: *slice is a run of decoded bytes.  TOOBIG: more than max_body was announced. */
enum dp_chunked_got dp_chunked_feed(struct dp_chunked *c, struct gw_str in, size_t *used, struct gw_str *slice)
	GW_MUST_CHECK;

#endif
