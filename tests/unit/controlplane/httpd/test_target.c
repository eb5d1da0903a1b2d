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

/* Whatever comes, what is let through has no dot segment, no slash inside a segment and no control byte. */
START_TEST(noise_never_slips_through)
{
	static const char pieces[] = "/.%25e2f50Aac?&=+\\#\x01\xc3\xa9";
	uint64_t state = 42;
	char raw[64];
	for (int round = 0; round < 200000; round++) {
		size_t n = 1 + (state >> 33) % 24;
		for (size_t i = 0; i < n; i++) {
			state = state * 6364136223846793005u + 1442695040888963407u;
			raw[i] = pieces[(state >> 33) % (sizeof pieces - 1)];
		}
		raw[0] = '/';
		raw[n] = 0;
		if (parse(raw) != GW_OK)
			continue;
		for (size_t i = 0; i < rq.n_segments; i++) {
			struct gw_str s = rq.segment[i];
			ck_assert_msg(s.n > 0 && !gw_str_is(s, ".") && !gw_str_is(s, "..") && !memchr(s.p, '/', s.n) &&
				      !memchr(s.p, '\\', s.n) && !memchr(s.p, 0, s.n) && gw_utf8_valid(s), "%s", raw);
		}
	}
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

UNIT_MAIN("httpd.target", good_ones, bad_ones, noise_never_slips_through, cookies_are_found_among_others)
