/* test_str.c - looking at bytes, numbers, UTF-8 and globs. */
#include "unit.h"
#include "base/str.h"

START_TEST(compares)
{
	ck_assert(gw_str_eq(GW_STR("a"), GW_STR("a")));
	ck_assert(!gw_str_eq(GW_STR("a"), GW_STR("b")));
	ck_assert(gw_str_eq(GW_STR(""), GW_STR_NONE));
	ck_assert(gw_str_is(GW_STR("abc"), "abc"));
	ck_assert(gw_str_ieq(GW_STR("Content-TYPE"), GW_STR("content-type")));
	ck_assert(!gw_str_ieq(GW_STR("@"), GW_STR("`")));
	ck_assert(!gw_str_ieq(GW_STR("a"), GW_STR("ab")));
	ck_assert(gw_str_starts(GW_STR("abc"), GW_STR("ab")));
	ck_assert(gw_str_starts(GW_STR("abc"), GW_STR("")));
	ck_assert(!gw_str_starts(GW_STR("a"), GW_STR("ab")));
	ck_assert(gw_str_ends(GW_STR("abc"), GW_STR("bc")));
	ck_assert(!gw_str_ends(GW_STR("c"), GW_STR("bc")));
	ck_assert_int_lt(gw_str_cmp(GW_STR("a"), GW_STR("ab")), 0);
	ck_assert_int_gt(gw_str_cmp(GW_STR("b"), GW_STR("ab")), 0);
	ck_assert_int_eq(gw_str_cmp(GW_STR("ab"), GW_STR("ab")), 0);
	ck_assert_int_gt(gw_str_cmp(GW_STR("\xff"), GW_STR("a")), 0);
	ck_assert_int_eq(gw_str_cmp(GW_STR_NONE, GW_STR("")), 0);
	ck_assert_ptr_null(gw_str_c(NULL).p);
}
END_TEST

START_TEST(takes_apart)
{
	ck_assert(gw_str_is(gw_str_trim(GW_STR(" \t\r\n a b \n")), "a b"));
	ck_assert_uint_eq(gw_str_trim(GW_STR(" \t")).n, 0);
	ck_assert(gw_str_is(gw_str_from(GW_STR("abc"), 1), "bc"));
	ck_assert_uint_eq(gw_str_from(GW_STR("abc"), 9).n, 0);
	struct gw_str s = GW_STR("a,b,,c");
	ck_assert(gw_str_is(gw_str_cut(&s, ','), "a"));
	ck_assert(gw_str_is(gw_str_cut(&s, ','), "b"));
	ck_assert(gw_str_is(gw_str_cut(&s, ','), ""));
	ck_assert_ptr_nonnull(s.p);
	ck_assert(gw_str_is(gw_str_cut(&s, ','), "c"));
	ck_assert_ptr_null(s.p);
	s = GW_STR("a,");
	gw_str_cut(&s, ',');
	ck_assert_ptr_nonnull(s.p);
	ck_assert_uint_eq(s.n, 0);
	size_t at;
	ck_assert(gw_str_find(GW_STR("hello"), GW_STR("ll"), &at) && at == 2);
	ck_assert(gw_str_find(GW_STR("hello"), GW_STR(""), &at) && at == 0);
	ck_assert(!gw_str_find(GW_STR("he"), GW_STR("hello"), &at));
	ck_assert(!gw_str_find(GW_STR("hello"), GW_STR("x"), &at));
}
END_TEST

START_TEST(numbers)
{
	static const struct { const char *s; bool ok; int64_t v; } cases[] = {
		{ "0", true, 0 }, { "7", true, 7 }, { "-7", true, -7 }, { "9223372036854775807", true, INT64_MAX },
		{ "-9223372036854775808", true, INT64_MIN }, { "9223372036854775808", false, 0 },
		{ "-9223372036854775809", false, 0 }, { "18446744073709551616", false, 0 },
		{ "99999999999999999999999", false, 0 }, { "", false, 0 }, { "-", false, 0 }, { "+1", false, 0 },
		{ " 1", false, 0 }, { "1 ", false, 0 }, { "01", false, 0 }, { "-0", false, 0 }, { "1a", false, 0 },
		{ "0x1", false, 0 },
	};
	for (size_t i = 0; i < GW_COUNT(cases); i++) {
		int64_t v = 42;
		bool ok = gw_str_int(gw_str_c(cases[i].s), INT64_MIN, INT64_MAX, &v);
		ck_assert_msg(ok == cases[i].ok, "%s", cases[i].s);
		ck_assert_msg(v == (ok ? cases[i].v : 42), "%s", cases[i].s);
	}
	int64_t v;
	ck_assert(!gw_str_int(GW_STR("11"), 0, 10, &v));
	ck_assert(!gw_str_int(GW_STR("-1"), 0, 10, &v));
	ck_assert(gw_str_int(GW_STR("10"), 0, 10, &v));
}
END_TEST

/* Every code point from its own encoder, against the validator. */
START_TEST(utf8_all_code_points)
{
	for (uint32_t c = 0; c <= 0x10ffff; c++) {
		char b[4];
		size_t n;
		if (c < 0x80) {
			b[0] = (char)c, n = 1;
		} else if (c < 0x800) {
			b[0] = (char)(0xc0 | c >> 6), b[1] = (char)(0x80 | (c & 63)), n = 2;
		} else if (c < 0x10000) {
			b[0] = (char)(0xe0 | c >> 12), b[1] = (char)(0x80 | (c >> 6 & 63)), b[2] = (char)(0x80 | (c & 63)), n = 3;
		} else {
			b[0] = (char)(0xf0 | c >> 18), b[1] = (char)(0x80 | (c >> 12 & 63));
			b[2] = (char)(0x80 | (c >> 6 & 63)), b[3] = (char)(0x80 | (c & 63)), n = 4;
		}
		bool surrogate = c >= 0xd800 && c <= 0xdfff;
		if (gw_utf8_valid((struct gw_str){ b, n }) == surrogate)
			ck_abort_msg("U+%04X", c);
		if (!surrogate && gw_utf8_len((struct gw_str){ b, n }) != n)
			ck_abort_msg("length of U+%04X", c);
		if (n > 1 && gw_utf8_valid((struct gw_str){ b, n - 1 }))
			ck_abort_msg("cut U+%04X", c);
	}
}
END_TEST

START_TEST(utf8_refuses)
{
	static const char *const bad[] = { "\x80", "\xc0\x80", "\xc1\xbf", "\xe0\x80\x80", "\xe0\x9f\xbf",
		"\xed\xa0\x80", "\xf0\x80\x80\x80", "\xf4\x90\x80\x80", "\xf5\x80\x80\x80", "\xff", "a\xc3", "\xc3(" };
	for (size_t i = 0; i < GW_COUNT(bad); i++)
		ck_assert_msg(!gw_utf8_valid(gw_str_c(bad[i])), "%zu", i);
	ck_assert(gw_utf8_valid(GW_STR("")));
	ck_assert(gw_utf8_valid(GW_STR("解释量子计算 \xf0\x9f\x99\x82")));
	ck_assert_uint_eq(gw_utf8_len(GW_STR("")), 0);
}
END_TEST

START_TEST(globs)
{
	static const struct { const char *p, *s; bool ok; } cases[] = {
		{ "*", "", true }, { "*", "x", true }, { "", "", true }, { "", "x", false }, { "gpt-*", "gpt-4", true },
		{ "gpt-*", "gpt-", true }, { "gpt-*", "gpt", false }, { "*-r1", "deepseek-r1", true }, { "*-r1", "r1", false },
		{ "a*b*c", "abc", true }, { "a*b*c", "aXbYc", true }, { "a*b*c", "aXbY", false }, { "a**c", "ac", true },
		{ "a*bc*bc", "abc", false }, { "a*bc*bc", "abcbc", true }, { "*a*", "bab", true }, { "*a*", "bbb", false },
		{ "ab", "ab", true }, { "ab", "abc", false }, { "*ab*ab*", "abab", true }, { "*ab*ab*", "aba", false },
		{ "?", "x", false }, { "[a]", "a", false },
	};
	for (size_t i = 0; i < GW_COUNT(cases); i++)
		ck_assert_msg(gw_glob_match(gw_str_c(cases[i].p), gw_str_c(cases[i].s)) == cases[i].ok, "%s ~ %s",
		              cases[i].p, cases[i].s);
}
END_TEST

static bool naive(const char *p, const char *s)
{
	if (!*p)
		return !*s;
	if (*p == '*')
		return naive(p + 1, s) || (*s && naive(p, s + 1));
	return *s == *p && naive(p + 1, s + 1);
}

/* Against the obvious definition, over all short patterns of a small alphabet. */
START_TEST(globs_like_the_definition)
{
	uint32_t seed = 1;
	for (int i = 0; i < 20000; i++) {
		char p[8], s[10];
		size_t np = 0, ns = 0;
		seed = seed * 1664525 + 1013904223;
		uint32_t r = seed >> 4;
		for (np = 0; np < (size_t)(i % 7); np++, r /= 3)
			p[np] = "ab*"[r % 3];
		seed = seed * 1664525 + 1013904223;
		r = seed >> 4;
		for (ns = 0; ns < (size_t)(i % 9); ns++, r /= 2)
			s[ns] = "ab"[r % 2];
		p[np] = s[ns] = 0;
		ck_assert_msg(gw_glob_match(gw_str_c(p), gw_str_c(s)) == naive(p, s), "%s ~ %s", p, s);
	}
}
END_TEST

UNIT_MAIN("str", compares, takes_apart, numbers, utf8_all_code_points, utf8_refuses, globs, globs_like_the_definition)
