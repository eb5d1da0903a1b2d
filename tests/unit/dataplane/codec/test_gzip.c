/* What is made small is read again as it was, and what does not fit leaves nothing behind. */
#include "codec/gzip.h"

#include "base/buf.h"
#include "base/bytes.h"
#include "codec/inflate.h"
#include "unit.h"

#include <zlib.h>

static void check(const char *bytes, size_t n)
{
	struct gw_buf out;
	char *plain = gw_alloc(n + 1);
	z_stream z = { 0 };

	gw_buf_init(&out, 8u << 20);
	gw_buf_add_c(&out, "before");
	ck_assert(dp_gzip((struct gw_str){ bytes, n }, &out));
	ck_assert_int_eq(memcmp(out.p, "before", 6), 0);
	z.next_in = (Bytef *)out.p + 6;
	z.avail_in = (uInt)(out.n - 6);
	z.next_out = (Bytef *)plain;
	z.avail_out = (uInt)n + 1;
	ck_assert_int_eq(inflateInit2(&z, 31), Z_OK);
	ck_assert_int_eq(inflate(&z, Z_FINISH), Z_STREAM_END);
	ck_assert_uint_eq(z.total_out, n);
	ck_assert_uint_eq(z.avail_in, 0);
	ck_assert(n == 0 || memcmp(plain, bytes, n) == 0);
	inflateEnd(&z);
	free(plain);
	gw_buf_fini(&out);
}

START_TEST(round_trips)
{
	size_t n = 3u << 20;
	char *bytes = gw_alloc(n);

	check("", 0);
	check("a", 1);
	memset(bytes, 'x', n);
	check(bytes, n);
	gw_random(bytes, n); /* does not get smaller */
	check(bytes, n);
	free(bytes);
}
END_TEST

START_TEST(what_does_not_fit)
{
	struct gw_buf out;
	char bytes[4096];

	gw_random(bytes, sizeof bytes);
	gw_buf_init(&out, 1000);
	gw_buf_add_c(&out, "before");
	ck_assert(!dp_gzip((struct gw_str){ bytes, sizeof bytes }, &out));
	ck_assert_uint_eq(out.n, 6);
	gw_buf_fini(&out);
}
END_TEST

UNIT_MAIN("gzip", round_trips, what_does_not_fit)
