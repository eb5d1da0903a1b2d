/* Compressed answers: every coding, however the bytes are cut, whole or not, and bombs. */
#include "codec/inflate.h"

#include <zlib.h>

#include "base/buf.h"
#include "base/str.h"
#include "dataplane/slices.h"
#include "unit.h"

/* "data: {\"x\":\"hello hello hello\"}\n\n" by libbrotlienc 1.0.9, quality 5. */
static const unsigned char brotli_text[] = {
	0x13, 0x20, 0x00, 0x00, 0x04, 0x1c, 0x72, 0x9e, 0x50, 0xbb, 0x60, 0x4c, 0x6d, 0xad, 0x1e, 0x44, 0x94, 0x5d, 0x90, 0x91,
	0x87, 0x77, 0x32, 0xb2, 0x24, 0x1e, 0x25, 0xf4, 0x7d, 0x93, 0x4b,
};
static const char text[] = "data: {\"x\":\"hello hello hello\"}\n\n";

struct run { struct dp_inflate *z; struct gw_buf out; enum dp_inflated last; };

static bool feed(void *arg, struct gw_str piece)
{
	struct run *r = arg;
	struct gw_str out;

	while ((r->last = dp_inflate_next(r->z, &piece, &out)) == DP_INFLATE_OUT)
		gw_buf_add(&r->out, out);
	ck_assert(r->last == DP_INFLATE_BROKEN || r->last == DP_INFLATE_BOMB || piece.n == 0);
	return r->last != DP_INFLATE_BROKEN && r->last != DP_INFLATE_BOMB;
}

static void inflate_all(enum dp_coding coding, struct gw_str in, unsigned mode, struct run *r)
{
	r->z = dp_inflate_open(coding);
	gw_buf_init(&r->out, 64u << 20);
	r->last = DP_INFLATE_NEED;
	slices_run(in, mode, feed, r);
}

static void done(struct run *r)
{
	dp_inflate_close(&r->z);
	gw_buf_fini(&r->out);
}

/* window: 15 zlib, 31 gzip, -15 bare */
static void squeeze(struct gw_buf *out, const char *p, size_t n, int window)
{
	z_stream z = { 0 };
	unsigned char piece[4096];

	ck_assert_int_eq(deflateInit2(&z, 9, Z_DEFLATED, window, 8, Z_DEFAULT_STRATEGY), Z_OK);
	z.next_in = (unsigned char *)(uintptr_t)p;
	z.avail_in = (uInt)n;
	do {
		z.next_out = piece;
		z.avail_out = sizeof piece;
		(void)deflate(&z, Z_FINISH);
		gw_buf_add(out, (struct gw_str){ (const char *)piece, sizeof piece - z.avail_out });
	} while (z.avail_out == 0);
	deflateEnd(&z);
}

START_TEST(names)
{
	ck_assert_int_eq(dp_coding_of(GW_STR_NONE), DP_CODING_IDENTITY);
	ck_assert_int_eq(dp_coding_of(GW_STR(" GZip ")), DP_CODING_GZIP);
	ck_assert_int_eq(dp_coding_of(GW_STR("x-gzip")), DP_CODING_GZIP);
	ck_assert_int_eq(dp_coding_of(GW_STR("deflate")), DP_CODING_DEFLATE);
	ck_assert_int_eq(dp_coding_of(GW_STR("br")), DP_CODING_BROTLI);
	ck_assert_int_eq(dp_coding_of(GW_STR("gzip, br")), DP_CODING_UNKNOWN);
	ck_assert_int_eq(dp_coding_of(GW_STR("zstd")), DP_CODING_UNKNOWN);
}
END_TEST

static void check_every_slicing(enum dp_coding coding, struct gw_str in, const char *want)
{
	for (unsigned mode = 0; mode < slices_modes(in, 40); mode++) {
		struct run r;

		inflate_all(coding, in, mode, &r);
		ck_assert_msg(gw_str_is(gw_buf_str(&r.out), want), "coding %d, slicing %u", coding, mode);
		ck_assert(dp_inflate_whole(r.z));
		done(&r);
	}
	for (size_t n = 1; n < in.n; n++) { /* cut off anywhere it is never whole */
		struct run r;

		inflate_all(coding, (struct gw_str){ in.p, n }, 0, &r);
		ck_assert_msg(!dp_inflate_whole(r.z), "coding %d, %zu bytes", coding, n);
		done(&r);
	}
}

START_TEST(every_slicing)
{
	static const struct { enum dp_coding coding; int window; } ways[] = {
		{ DP_CODING_GZIP, 31 }, { DP_CODING_DEFLATE, 15 }, { DP_CODING_DEFLATE, -15 },
	};

	for (size_t i = 0; i < GW_COUNT(ways); i++) {
		struct gw_buf z;

		gw_buf_init(&z, 65536);
		squeeze(&z, text, sizeof text - 1, ways[i].window);
		check_every_slicing(ways[i].coding, gw_buf_str(&z), text);
		gw_buf_fini(&z);
	}
	check_every_slicing(DP_CODING_BROTLI, (struct gw_str){ (const char *)brotli_text, sizeof brotli_text }, text);
}
END_TEST

START_TEST(members_and_padding)
{
	struct gw_buf z;
	struct run r;

	gw_buf_init(&z, 65536);
	squeeze(&z, "one", 3, 31);
	squeeze(&z, "two", 3, 31);
	gw_buf_add(&z, (struct gw_str){ "\0\0\0\0", 4 });
	for (unsigned mode = 0; mode < slices_modes(gw_buf_str(&z), 10); mode++) {
		inflate_all(DP_CODING_GZIP, gw_buf_str(&z), mode, &r);
		ck_assert(gw_str_is(gw_buf_str(&r.out), "onetwo"));
		ck_assert(dp_inflate_whole(r.z));
		done(&r);
	}
	gw_buf_fini(&z);
	inflate_all(DP_CODING_GZIP, GW_STR(""), 0, &r); /* an answer without a body */
	ck_assert(dp_inflate_whole(r.z));
	done(&r);
}
END_TEST

START_TEST(broken_stays_broken)
{
	static const enum dp_coding all[] = { DP_CODING_GZIP, DP_CODING_DEFLATE, DP_CODING_BROTLI };
	struct gw_str out, in;

	for (size_t i = 0; i < GW_COUNT(all); i++) {
		struct run r;

		inflate_all(all[i], GW_STR("\xff\xff{\"error\":\"not compressed at all\"}\xff\xff\xff\xff"), 0, &r);
		ck_assert_int_eq(r.last, DP_INFLATE_BROKEN);
		ck_assert(!dp_inflate_whole(r.z));
		in = GW_STR("more");
		ck_assert_int_eq(dp_inflate_next(r.z, &in, &out), DP_INFLATE_BROKEN);
		done(&r);
	}
}
END_TEST

START_TEST(bombs_are_defused_T06)
{
	static char zeros[8u << 20];
	struct gw_buf z;
	struct run r;

	gw_buf_init(&z, 16u << 20);
	squeeze(&z, zeros, sizeof zeros, 31);
	inflate_all(DP_CODING_GZIP, gw_buf_str(&z), 0, &r);
	ck_assert_int_eq(r.last, DP_INFLATE_BOMB);
	ck_assert_uint_le(r.out.n, DP_INFLATE_FREE_BYTES);
	done(&r);
	gw_buf_clear(&z);
	squeeze(&z, zeros, DP_INFLATE_FREE_BYTES, 31); /* so much is free, whatever its ratio */
	inflate_all(DP_CODING_GZIP, gw_buf_str(&z), 0, &r);
	ck_assert_int_eq(r.last, DP_INFLATE_NEED);
	ck_assert_uint_eq(r.out.n, DP_INFLATE_FREE_BYTES);
	done(&r);
	gw_buf_fini(&z);
}
END_TEST

UNIT_MAIN("inflate", names, every_slicing, members_and_padding, broken_stays_broken, bombs_are_defused_T06)
