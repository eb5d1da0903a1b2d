/* test_gw.c - errors and allocation. */
#include "unit.h"
#include "base/gw.h"

START_TEST(fail_fills_and_returns)
{
	struct gw_error e = { 0 };
	ck_assert_int_eq(gw_fail(&e, GW_CONFLICT, "/a/b", "revision %d\nmoved", 7), GW_CONFLICT);
	ck_assert_int_eq(e.rc, GW_CONFLICT);
	ck_assert_str_eq(e.path, "/a/b");
	ck_assert_str_eq(e.text, "revision 7 moved");
	ck_assert_int_eq(gw_fail(NULL, GW_IO, NULL, "x"), GW_IO);
	gw_fail(&e, GW_IO, NULL, "%s", "y");
	ck_assert_str_eq(e.path, "");
}
END_TEST

START_TEST(fail_may_quote_itself)
{
	struct gw_error e = { 0 };
	gw_fail(&e, GW_IO, "/x", "inner");
	gw_fail(&e, GW_INVALID, e.path, "outer: %s", e.text);
	ck_assert_str_eq(e.text, "outer: inner");
	ck_assert_str_eq(e.path, "/x");
}
END_TEST

START_TEST(prefix_goes_before_and_never_overflows)
{
	struct gw_error e = { 0 };
	gw_fail(&e, GW_INVALID, "/c", "x");
	gw_error_prefix(&e, "/b/%d", 3);
	gw_error_prefix(&e, "/a");
	ck_assert_str_eq(e.path, "/a/b/3/c");
	for (int i = 0; i < 100; i++)
		gw_error_prefix(&e, "/longer%d", i);
	ck_assert_uint_lt(strlen(e.path), sizeof e.path);
	ck_assert(strncmp(e.path, "/longer99/longer98/", 19) == 0);
	char big[1000];
	memset(big, 'z', sizeof big - 1);
	big[sizeof big - 1] = 0;
	gw_error_prefix(&e, "/%s", big);
	ck_assert_uint_eq(strlen(e.path), sizeof e.path - 1);
	gw_fail(&e, GW_IO, big, "%s", big);
	ck_assert_uint_eq(strlen(e.text), sizeof e.text - 1);
	gw_error_prefix(NULL, "/x");
}
END_TEST

START_TEST(names_of_codes)
{
	ck_assert_str_eq(gw_rc_name(GW_OK), "OK");
	ck_assert_str_eq(gw_rc_name(GW_NOTFOUND), "NOTFOUND");
	ck_assert_str_eq(gw_rc_name(GW_IO), "IO");
	ck_assert_str_eq(gw_rc_name((enum gw_rc)99), "UNKNOWN");
}
END_TEST

START_TEST(allocations_are_zeroed)
{
	char *p = gw_alloc(100);
	for (int i = 0; i < 100; i++)
		ck_assert_int_eq(p[i], 0);
	p = gw_realloc(p, 200);
	free(p);
	free(gw_alloc(0));
	char *z = gw_strdup_n("hello", 4);
	ck_assert_str_eq(z, "hell");
	free(z);
	z = gw_strdup_n(NULL, 0);
	ck_assert_str_eq(z, "");
	free(z);
}
END_TEST

UNIT_MAIN("gw", fail_fills_and_returns, fail_may_quote_itself, prefix_goes_before_and_never_overflows,
          names_of_codes, allocations_are_zeroed)
