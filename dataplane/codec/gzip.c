/* gzip.c - see gzip.h. */
#include "codec/gzip.h"

#include <zlib.h>

#define WINDOW_GZIP (15 + 16) /* zlib's way to ask for gzip's frame */
#define PIECE       16384

bool dp_gzip(struct gw_str in, struct gw_buf *out)
{
	z_stream z = { .next_in = (Bytef *)(uintptr_t)in.p, .avail_in = (uInt)in.n };
	size_t before = out->n;
	char piece[PIECE];
	int rc;

	if (in.n > UINT32_MAX / 2 || deflateInit2(&z, Z_BEST_SPEED, Z_DEFLATED, WINDOW_GZIP, 8, Z_DEFAULT_STRATEGY) != Z_OK)
		return false;
	do {
		z.next_out = (Bytef *)piece;
		z.avail_out = PIECE;
		rc = deflate(&z, Z_FINISH);
		if (!gw_buf_add(out, (struct gw_str){ piece, PIECE - z.avail_out }))
			rc = Z_BUF_ERROR;
	} while (rc == Z_OK);
	deflateEnd(&z);
	if (rc == Z_STREAM_END)
		return true;
	out->n = before;
	return false;
}
