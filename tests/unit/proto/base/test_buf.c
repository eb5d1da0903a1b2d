/* test_buf.c - the growing buffer and JSON strings. */
#include "unit.h"
#include "base/buf.h"
#include "base/str.h"

START_TEST(grows_to_its_ceiling_and_not_beyond)
{
	struct gw_buf b;
	gw_buf_init(&b, 100);
	ck_assert(gw_str_is(gw_buf_str(&b), ""));
	for (int i = 0; i < 100; i++)
		ck_assert(gw_buf_add_byte(&b, (char)('a' + i % 26)));
	ck_assert_uint_eq(b.n, 100);
	ck_assert_int_eq(b.p[100], 0);
	ck_assert(!gw_buf_add_byte(&b, 'x'));
	ck_assert(b.full);
	ck_assert_uint_eq(b.n, 100);
	gw_buf_drop_front(&b, 50);
	ck_assert(!gw_buf_add_byte(&b, 'x')); /* sticky */
	gw_buf_clear(&b);
	ck_assert(!b.full);
	ck_assert(gw_buf_add_c(&b, "hello"));
	gw_buf_drop_front(&b, 2);
	ck_assert_str_eq(b.p, "llo");
	gw_buf_drop_front(&b, 0);
	gw_buf_fini(&b);
	ck_assert_ptr_null(b.p);
	ck_assert(gw_buf_add(&b, GW_STR("again")));
	gw_buf_fini(&b);
}
END_TEST

START_TEST(nothing_is_half_written)
{
	struct gw_buf b;
	gw_buf_init(&b, 8);
	ck_assert(gw_buf_add_c(&b, "1234"));
	ck_assert(!gw_buf_printf(&b, "%d", 123456));
	ck_assert_str_eq(b.p, "1234");
	gw_buf_clear(&b);
	ck_assert(gw_buf_printf(&b, "%s-%d", "abc", 1234));
	ck_assert_str_eq(b.p, "abc-1234");
	gw_buf_fini(&b);
	gw_buf_init(&b, 8);
	ck_assert(!gw_buf_add_json(&b, GW_STR("abc\"def")));
	ck_assert_uint_eq(b.n, 0);
	gw_buf_fini(&b);
	gw_buf_init(&b, 0);
	ck_assert(!gw_buf_add_byte(&b, 'x'));
	gw_buf_fini(&b);
}
END_TEST

START_TEST(printf_of_every_length)
{
	char want[300];
	struct gw_buf b;
	gw_buf_init(&b, 1000);
	for (int n = 0; n < 250; n++) {
		memset(want, 'x', sizeof want);
		want[n] = 0;
		gw_buf_clear(&b);
		ck_assert(gw_buf_printf(&b, "%s", want));
		ck_assert_str_eq(b.p, want);
	}
	gw_buf_fini(&b);
}
END_TEST

START_TEST(reserve_and_commit)
{
	struct gw_buf b;
	gw_buf_init(&b, 64);
	char *p = gw_buf_reserve(&b, 10);
	memcpy(p, "0123456789", 10);
	gw_buf_commit(&b, 4);
	ck_assert_str_eq(b.p, "0123");
	ck_assert_ptr_null(gw_buf_reserve(&b, 61));
	ck_assert(b.full);
	gw_buf_fini(&b);
}
END_TEST

START_TEST(json_strings)
{
	static const struct { const char *in, *out; } cases[] = {
		{ "", "\"\"" }, { "a\"b\\c", "\"a\\\"b\\\\c\"" }, { "\n\r\t\x01\x1f", "\"\\n\\r\\t\\u0001\\u001f\"" },
		{ "\x7f", "\"\\u007f\"" }, { "\xc2\x9b", "\"\\u009b\"" }, { "量子", "\"量子\"" },
		{ "a\xff" "b", "\"a\xef\xbf\xbd" "b\"" }, { "\xe9\x87", "\"\xef\xbf\xbd\xef\xbf\xbd\"" },
	};
	struct gw_buf b;
	gw_buf_init(&b, 1000);
	for (size_t i = 0; i < GW_COUNT(cases); i++) {
		gw_buf_clear(&b);
		ck_assert(gw_buf_add_json(&b, gw_str_c(cases[i].in)));
		ck_assert_str_eq(b.p, cases[i].out);
	}
	gw_buf_clear(&b);
	gw_buf_add_json(&b, (struct gw_str){ "a\0b", 3 });
	ck_assert_str_eq(b.p, "\"a\\u0000b\"");
	gw_buf_fini(&b);
}
END_TEST

/* What is copied eight bytes at a time is what a look at each byte would copy, wherever the odd one stands. */
START_TEST(json_strings_of_any_length)
{
	struct gw_buf b, want;
	gw_buf_init(&b, 200);
	gw_buf_init(&want, 200);
	for (unsigned c = 0; c < 0x100; c++) {
		char one = (char)c, text[24];
		for (size_t n = 1; n <= sizeof text; n++) {
			for (size_t at = 0; at < n; at++) {
				memset(text, '~', sizeof text);
				text[at] = one;
				gw_buf_clear(&b);
				gw_buf_clear(&want);
				gw_buf_add_json(&b, (struct gw_str){ &one, 1 });
				struct gw_str alone = { b.p + 1, b.n - 2 };
				gw_buf_printf(&want, "\"%.*s%.*s%.*s\"", (int)at, "~~~~~~~~~~~~~~~~~~~~~~~~", GW_FMT(alone),
				              (int)(n - at - 1), "~~~~~~~~~~~~~~~~~~~~~~~~");
				gw_buf_clear(&b);
				ck_assert(gw_buf_add_json(&b, (struct gw_str){ text, n }));
				ck_assert_str_eq(b.p, want.p);
			}
		}
	}
	gw_buf_fini(&b);
	gw_buf_fini(&want);
}
END_TEST

UNIT_MAIN("buf", grows_to_its_ceiling_and_not_beyond, nothing_is_half_written, printf_of_every_length,
          reserve_and_commit, json_strings, json_strings_of_any_length)
