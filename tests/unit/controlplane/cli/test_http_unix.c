/* Taking HTTP answers apart. */
#include "base/str.h"
#include "cli/http_unix.h"
#include "unit.h"

static enum gw_rc parse(struct cli_answer *a, const char *raw)
{
	return cli_http_parse(a, gw_str_c(raw), NULL);
}

START_TEST(by_length)
{
	struct cli_answer a;
	ck_assert_int_eq(parse(&a, "HTTP/1.1 201 Created\r\nETag: \"7\"\r\nX-Tidegate-Revision: 12\r\ncontent-length:  2\r\n\r\n{}junk"), GW_OK);
	ck_assert_int_eq(a.status, 201);
	ck_assert(gw_str_is(gw_buf_str(&a.body), "{}"));
	ck_assert_str_eq(a.etag, "\"7\"");
	ck_assert_int_eq(a.revision, 12);
	cli_answer_fini(&a);
}
END_TEST

START_TEST(by_chunks)
{
	struct cli_answer a;
	ck_assert_int_eq(parse(&a, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\nA;x=y\r\n0123456789\r\n0\r\n\r\n"), GW_OK);
	ck_assert(gw_str_is(gw_buf_str(&a.body), "abc0123456789"));
	ck_assert_int_eq(a.revision, -1);
	cli_answer_fini(&a);
}
END_TEST

START_TEST(by_the_end)
{
	struct cli_answer a;
	ck_assert_int_eq(parse(&a, "HTTP/1.0 204 No Content\r\n\r\n"), GW_OK);
	ck_assert_uint_eq(a.body.n, 0);
	cli_answer_fini(&a);
}
END_TEST

START_TEST(refuses_what_is_cut_or_no_http)
{
	static const char *const bad[] = {
		"", "HTTP/1.1 200", "SSH-2.0-OpenSSH\r\n\r\n", "HTTP/1.1 abc OK\r\n\r\n", "HTTP/1.1 200 OK\r\nA: b",
		"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nabc",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nabc",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nffffffff\r\nabc\r\n",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
	};
	struct cli_answer a;
	for (size_t i = 0; i < GW_COUNT(bad); i++)
		ck_assert_msg(parse(&a, bad[i]) == GW_INVALID, "%s", bad[i]);
}
END_TEST

UNIT_MAIN("http_unix", by_length, by_chunks, by_the_end, refuses_what_is_cut_or_no_http)
