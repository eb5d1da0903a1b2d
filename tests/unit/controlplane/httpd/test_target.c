/* Request targets: what is taken apart, and what is refused. */
#include "controlplane/fixture.h"

static struct cp_request rq;

static enum gw_rc parse(const char *raw)
{
	gw_arena_close(&rq.arena);
	memset(&rq, 0, sizeof rq);
	rq.arena = gw_arena_open(0);
	return cp_target_parse(&rq, gw_str_c(raw), NULL);
}

START_TEST(good_ones)
{
	ck_assert_int_eq(parse("/"), GW_OK);
	ck_assert_uint_eq(rq.n_segments, 0);
	ck_assert_int_eq(parse("/api/v1/routes/my%2Droute?q=a+b%26c&limit=5&empty"), GW_OK);
	ck_assert_uint_eq(rq.n_segments, 4);
	ck_assert(gw_str_is(rq.segment[3], "my-route"));
	ck_assert(gw_str_is(rq.path, "/api/v1/routes/my-route"));
	ck_assert(gw_str_is(cp_request_query(&rq, "q"), "a b&c"));
	ck_assert(gw_str_is(cp_request_query(&rq, "limit"), "5"));
	ck_assert(gw_str_is(cp_request_query(&rq, "empty"), ""));
	ck_assert_ptr_null(cp_request_query(&rq, "none").p);
	ck_assert_int_eq(parse("/a%20b"), GW_OK);
	ck_assert(gw_str_is(rq.path, "/a b"));
	gw_arena_close(&rq.arena);
}
END_TEST

START_TEST(bad_ones)
{
	static const char *const bad[] = {
		"", "x", "*", "http://evil/", "//evil", "/a//b", "/a/", "/.", "/..", "/../etc/passwd", "/%2e%2e/etc/passwd",
		"/%2E%2E%2fetc", "/a%2fb", "/a%5cb", "/a\\b", "/a%00b", "/a%0ab", "/a%", "/a%4", "/a%zz", "/a#b", "/%c0%ae",
		"/%ff", "/a?x=1&x=2", "/a?x=%00", "/a\x7f", "/1/2/3/4/5/6/7/8/9/10/11/12/13",
	};
	for (size_t i = 0; i < GW_COUNT(bad); i++)
		ck_assert_msg(parse(bad[i]) == GW_INVALID, "%s was accepted", bad[i]);
	gw_arena_close(&rq.arena);
}
END_TEST

START_TEST(cookies_are_found_among_others)
{
	struct cp_pair h[] = { { GW_STR("cookie"), GW_STR("a=1; tidegate_session=abc;b=2") } };
	ck_assert_int_eq(parse("/"), GW_OK);
	rq.headers = h;
	rq.n_headers = 1;
	ck_assert(gw_str_is(cp_request_cookie(&rq, "tidegate_session"), "abc"));
	ck_assert(gw_str_is(cp_request_cookie(&rq, "b"), "2"));
	ck_assert_ptr_null(cp_request_cookie(&rq, "session").p);
	gw_arena_close(&rq.arena);
}
END_TEST

UNIT_MAIN("httpd.target", good_ones, bad_ones, cookies_are_found_among_others)
