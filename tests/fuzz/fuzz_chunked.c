/*
 * fuzz_chunked.c - the chunk decoder against a slow one that sees the whole body at once: both take it or both refuse it,
 * with the same bytes and the same end; at every slicing.
 */
#include <stdlib.h>

#include "base/buf.h"
#include "base/str.h"
#include "http/chunked.h"
#include "http/ctype.h"
#include "http/h1.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define MAX_BODY 2000

/* DONE with *end behind the body, BAD, TOOBIG, or MORE when it is not over. */
static enum dp_chunked_got decode(struct gw_str in, size_t piece, struct gw_buf *out, size_t *end)
{
	struct dp_chunked c;

	dp_chunked_init(&c, MAX_BODY);
	*end = 0;
	for (size_t at = 0; at < in.n; at += piece) {
		struct gw_str now = { in.p + at, in.n - at < piece ? in.n - at : piece };

		for (;;) {
			struct gw_str slice;
			size_t used;
			enum dp_chunked_got got = dp_chunked_feed(&c, now, &used, &slice);

			if (used > now.n)
				abort();
			*end += used;
			now = gw_str_from(now, used);
			if (got == DP_CHUNKED_DATA && !slice.n)
				abort();
			gw_buf_add(out, slice);
			if (got == DP_CHUNKED_MORE)
				break;
			if (got != DP_CHUNKED_DATA)
				return got;
		}
	}
	return DP_CHUNKED_MORE;
}

/* A line that ends in CRLF, without it; false: it does not, or is not over. */
static bool line(struct gw_str *in, struct gw_str *out)
{
	for (size_t i = 0; i < in->n; i++) {
		if (in->p[i] == '\r' && i + 1 < in->n && in->p[i + 1] == '\n') {
			*out = (struct gw_str){ in->p, i };
			*in = gw_str_from(*in, i + 2);
			return true;
		}
		if (in->p[i] == '\r' || in->p[i] == '\n')
			return false;
	}
	return false;
}

static bool values_only(struct gw_str s)
{
	for (size_t i = 0; i < s.n; i++)
		if (!dp_is_value_byte((unsigned char)s.p[i]))
			return false;
	return true;
}

/* chunk-size [ ";" extension ], as this decoder takes it. */
static bool size_of(struct gw_str l, uint64_t *size, size_t *spent)
{
	size_t n = 0, ext;

	for (*size = 0; n < l.n && gw_str_find(GW_STR("0123456789abcdefABCDEF"), (struct gw_str){ l.p + n, 1 }, &(size_t){ 0 }); n++) {
		char c = l.p[n];

		if (n == 16 || *size >> 52)
			return false;
		*size = *size << 4 | (unsigned)(c <= '9' ? c - '0' : (c | 0x20) - 'a' + 10);
	}
	ext = l.n - n;
	*spent += ext;
	if (!n || ext > DP_H1_MAX_CHUNK_EXT || *spent > DP_H1_MAX_EXT_TOTAL || !values_only(gw_str_from(l, n)))
		return false;
	l = gw_str_from(l, n);
	while (l.n && (l.p[0] == ' ' || l.p[0] == '\t'))
		l = gw_str_from(l, 1);
	return !ext || (l.n && l.p[0] == ';');
}

static bool trailers(struct gw_str *in)
{
	struct gw_str l;
	size_t spent = 0;

	while (line(in, &l)) {
		struct gw_str value = l, name;

		if (!l.n)
			return true;
		spent += l.n + 1; /* its LF is not counted */
		name = gw_str_cut(&value, ':');
		if (!value.p || !name.n || spent > DP_H1_MAX_TRAILER || !values_only(value))
			return false;
		for (size_t i = 0; i < name.n; i++)
			if (!dp_is_token_byte((unsigned char)name.p[i]))
				return false;
	}
	return false;
}

/* Whether the whole input begins with a body in the strict grammar. */
static bool reference(struct gw_str in, struct gw_buf *out, size_t *end)
{
	struct gw_str l, all = in;
	uint64_t size;
	size_t spent = 0;

	while (line(&in, &l) && size_of(l, &size, &spent)) {
		if (size > MAX_BODY - out->n)
			return false;
		if (!size) {
			bool ok = trailers(&in);

			*end = all.n - in.n;
			return ok;
		}
		if (in.n < size + 2 || memcmp(in.p + size, "\r\n", 2) != 0)
			return false;
		gw_buf_add(out, (struct gw_str){ in.p, (size_t)size });
		in = gw_str_from(in, (size_t)size + 2);
	}
	return false;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const size_t pieces[] = { 1, 2, 9 };
	struct gw_str in = { size ? (const char *)data : "", size };
	struct gw_buf whole, other;
	size_t end, end2 = 0;
	enum dp_chunked_got got;

	gw_buf_init(&whole, 1 << 20);
	gw_buf_init(&other, 1 << 20);
	got = decode(in, size + 1, &whole, &end);
	for (size_t i = 0; i < GW_COUNT(pieces); i++) {
		gw_buf_clear(&other);
		if (decode(in, pieces[i], &other, &end2) != got || !gw_str_eq(gw_buf_str(&whole), gw_buf_str(&other)))
			abort();
		if (got == DP_CHUNKED_DONE && end != end2)
			abort();
	}
	gw_buf_clear(&other);
	if (reference(in, &other, &end2) != (got == DP_CHUNKED_DONE))
		abort();
	if (got == DP_CHUNKED_DONE && (end != end2 || !gw_str_eq(gw_buf_str(&whole), gw_buf_str(&other))))
		abort();
	gw_buf_fini(&whole);
	gw_buf_fini(&other);
	return 0;
}
