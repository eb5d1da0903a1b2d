/* inflate.c - gzip and deflate by zlib, br by Google's decoder; one window, a ceiling on what comes out. */
#include "codec/inflate.h"

#include <brotli/decode.h>
#include <stdlib.h>
#include <zlib.h>

#include "base/str.h"

#define OUT_BYTES 16384

struct dp_inflate {
	unsigned magic;
#define DP_INFLATE_MAGIC 0x1f8b0801u
	enum dp_coding coding;
	z_stream z;
	bool z_open;
	BrotliDecoderState *br;
	unsigned char head[2];       /* deflate: what tells RFC 1950 from RFC 1951 */
	size_t n_head, head_used;
	uint64_t in_bytes, out_bytes;
	enum dp_inflated stuck;      /* BROKEN or BOMB once it is */
	bool done, between;          /* over; gzip: between two members */
	unsigned char out[OUT_BYTES];
};

enum dp_coding dp_coding_of(struct gw_str s)
{
	s = gw_str_trim(s);
	if (!s.n || gw_str_ieq(s, GW_STR("identity")))
		return DP_CODING_IDENTITY;
	if (gw_str_ieq(s, GW_STR("gzip")) || gw_str_ieq(s, GW_STR("x-gzip")))
		return DP_CODING_GZIP;
	if (gw_str_ieq(s, GW_STR("deflate")))
		return DP_CODING_DEFLATE;
	return gw_str_ieq(s, GW_STR("br")) ? DP_CODING_BROTLI : DP_CODING_UNKNOWN;
}

static void open_zlib(struct dp_inflate *z, int window_bits)
{
	int r = inflateInit2(&z->z, window_bits);

	assert(r == Z_OK); /* it fails for want of memory or of sense only */
	z->z_open = true;
}

struct dp_inflate *dp_inflate_open(enum dp_coding coding)
{
	struct dp_inflate *z = gw_alloc(sizeof *z);

	assert(coding > DP_CODING_IDENTITY && coding < DP_CODING_UNKNOWN);
	z->magic = DP_INFLATE_MAGIC;
	z->coding = coding;
	z->stuck = DP_INFLATE_OUT;
	if (coding == DP_CODING_GZIP)
		open_zlib(z, 15 + 16);
	if (coding == DP_CODING_BROTLI) {
		z->br = BrotliDecoderCreateInstance(NULL, NULL, NULL);
		assert(z->br);
	}
	return z;
}

void dp_inflate_close(struct dp_inflate **zp)
{
	struct dp_inflate *z = *zp;

	if (!z)
		return;
	*zp = NULL;
	GW_CHECK(z, DP_INFLATE_MAGIC);
	if (z->z_open)
		inflateEnd(&z->z);
	if (z->br)
		BrotliDecoderDestroyInstance(z->br);
	z->magic = 0;
	free(z);
}

/* Books and ceilings for one piece of output. */
static enum dp_inflated give(struct dp_inflate *z, size_t n, struct gw_str *out)
{
	z->out_bytes += n;
	if (z->out_bytes > DP_INFLATE_MAX_BYTES ||
	    (z->out_bytes > DP_INFLATE_FREE_BYTES && z->out_bytes / DP_INFLATE_MAX_RATIO > z->in_bytes))
		return z->stuck = DP_INFLATE_BOMB;
	*out = (struct gw_str){ (const char *)z->out, n };
	return DP_INFLATE_OUT;
}

/* One call of zlib on up to `n` bytes; *used of them were taken. */
static enum dp_inflated step_zlib(struct dp_inflate *z, const unsigned char *p, size_t n, size_t *used, struct gw_str *out)
{
	int r;

	if (z->between) { /* RFC 1952 2.2: members simply follow each other; anything else after one is padding */
		if (p[0] != 0x1f) {
			z->done = true;
			return DP_INFLATE_DONE;
		}
		inflateReset(&z->z);
		z->between = false;
	}
	z->z.next_in = (unsigned char *)(uintptr_t)p; /* zlib's prototype forgets const; it only reads */
	z->z.avail_in = n < (1u << 30) ? (uInt)n : 1u << 30;
	z->z.next_out = z->out;
	z->z.avail_out = OUT_BYTES;
	n = z->z.avail_in;
	r = inflate(&z->z, Z_NO_FLUSH);
	*used = n - z->z.avail_in;
	z->in_bytes += *used;
	if (r == Z_STREAM_END) {
		z->between = z->coding == DP_CODING_GZIP;
		z->done = !z->between;
	} else if (r != Z_OK && r != Z_BUF_ERROR) {
		return z->stuck = DP_INFLATE_BROKEN;
	}
	if (z->z.avail_out < OUT_BYTES)
		return give(z, OUT_BYTES - z->z.avail_out, out);
	return z->done ? DP_INFLATE_DONE : DP_INFLATE_NEED;
}

static enum dp_inflated step_brotli(struct dp_inflate *z, struct gw_str *in, struct gw_str *out)
{
	const uint8_t *next_in = (const uint8_t *)in->p;
	uint8_t *next_out = z->out;
	size_t left_in = in->n, left_out = OUT_BYTES;
	BrotliDecoderResult r = BrotliDecoderDecompressStream(z->br, &left_in, &next_in, &left_out, &next_out, NULL);

	z->in_bytes += in->n - left_in;
	*in = gw_str_from(*in, in->n - left_in);
	if (r == BROTLI_DECODER_RESULT_ERROR)
		return z->stuck = DP_INFLATE_BROKEN;
	z->done = r == BROTLI_DECODER_RESULT_SUCCESS;
	if (left_out < OUT_BYTES)
		return give(z, OUT_BYTES - left_out, out);
	return z->done ? DP_INFLATE_DONE : DP_INFLATE_NEED;
}

/* The two bytes of RFC 1950 say 8 (deflate) and are a multiple of 31; a bare stream practically never looks so. */
static bool sniffed(struct dp_inflate *z, struct gw_str *in)
{
	bool wrapped;

	while (z->n_head < 2 && in->n > 0) {
		z->head[z->n_head++] = (unsigned char)in->p[0];
		*in = gw_str_from(*in, 1);
	}
	if (z->n_head < 2)
		return false;
	wrapped = (z->head[0] & 0x0f) == 8 && (z->head[0] << 8 | z->head[1]) % 31 == 0;
	open_zlib(z, wrapped ? 15 : -15);
	return true;
}

static enum dp_inflated next(struct dp_inflate *z, struct gw_str *in, struct gw_str *out)
{
	enum dp_inflated r;
	size_t used = 0;

	if (z->coding == DP_CODING_BROTLI)
		return step_brotli(z, in, out);
	if (z->coding == DP_CODING_DEFLATE && !z->z_open && !sniffed(z, in))
		return DP_INFLATE_NEED;
	do { /* the sniffed bytes first, then what is here; a call that gives nothing may still leave input behind */
		if (z->head_used < z->n_head) {
			r = step_zlib(z, z->head + z->head_used, z->n_head - z->head_used, &used, out);
			z->head_used += used;
		} else if (in->n > 0 || !z->between) {
			r = step_zlib(z, (const unsigned char *)in->p, in->n, &used, out);
			*in = gw_str_from(*in, used);
		} else {
			return DP_INFLATE_NEED;
		}
	} while (r == DP_INFLATE_NEED && (z->head_used < z->n_head || (in->n > 0 && used > 0)));
	return r;
}

enum dp_inflated dp_inflate_next(struct dp_inflate *z, struct gw_str *in, struct gw_str *out)
{
	enum dp_inflated r;

	GW_CHECK(z, DP_INFLATE_MAGIC);
	if (z->stuck != DP_INFLATE_OUT)
		return z->stuck;
	r = z->done ? DP_INFLATE_DONE : next(z, in, out);
	if (r == DP_INFLATE_DONE)
		*in = gw_str_from(*in, in->n);
	return r;
}

bool dp_inflate_whole(const struct dp_inflate *z)
{
	GW_CHECK(z, DP_INFLATE_MAGIC);
	return z->stuck == DP_INFLATE_OUT && (z->done || z->between || (z->in_bytes == 0 && z->n_head == 0));
}
