/* The framing matrix: what is taken and what is refused, the same at every slicing. */
#include <stdio.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/str.h"
#include "dataplane/slices.h"
#include "http/h1.h"
#include "unit.h"

/* One connection: heads and bodies written down as text, until an error or the end. */
struct run {
	struct dp_h1 *p;
	struct gw_buf log;
	bool stop, head_request, over;
};

static bool feed(void *arg, struct gw_str in)
{
	struct run *r = arg;
	size_t used;
	struct gw_str slice;

	for (;;) {
		enum dp_h1_event e;
		const struct dp_head *h;

		if (r->over && !dp_h1_reusable(r->p)) {
			gw_buf_add_c(&r->log, "EXTRA");
			r->stop = true;
			return false;
		}
		if (r->over) {
			dp_h1_next(r->p);
			if (r->head_request)
				dp_h1_expect(r->p, true);
			r->over = false;
		}
		e = dp_h1_feed(r->p, in, &used, &slice);
		h = dp_h1_head(r->p);

		ck_assert_uint_le(used, in.n);
		in.p += used;
		in.n -= used;
		switch (e) {
		case DP_H1_NEED:
			ck_assert_uint_eq(in.n, 0);
			return true;
		case DP_H1_HEAD:
			gw_buf_printf(&r->log, "%.*s%.*s%.0u%u %zu%s%s%s;", GW_FMT(h->method), GW_FMT(h->target), 0,
			              h->status, h->n_headers, h->has_body ? " body" : "", h->keep_alive ? "" : " close",
			              h->expect_continue ? " expect" : "");
			break;
		case DP_H1_BODY:
			ck_assert_uint_gt(slice.n, 0);
			gw_buf_add(&r->log, slice);
			break;
		case DP_H1_END:
			gw_buf_printf(&r->log, "|%s", dp_h1_reusable(r->p) ? "" : "x");
			r->over = true;
			if (!in.n)
				return true;
			break;
		case DP_H1_ERROR:
			gw_buf_printf(&r->log, "!%u", dp_code_status(dp_h1_refusal(r->p)->code));
			ck_assert_ptr_nonnull(strchr(dp_h1_refusal(r->p)->text, ' '));
			r->stop = true;
			return false;
		}
	}
}

/* What a connection says in one slicing; eof adds the close. */
static void talk(struct gw_buf *log, enum dp_h1_side side, struct gw_str in, unsigned mode, bool head, bool eof)
{
	struct dp_h1_limits limits = { .max_line = 200, .max_head = 600, .max_headers = 8, .max_body = 64 };
	struct run r = { .p = dp_h1_open(side, &limits), .head_request = head };

	gw_buf_init(&r.log, 65536);
	if (head)
		dp_h1_expect(r.p, true);
	slices_run(in, mode, feed, &r);
	if (eof && !r.stop) {
		enum dp_h1_event e = dp_h1_eof(r.p);

		gw_buf_add_c(&r.log, e == DP_H1_END ? "<end>" : e == DP_H1_NEED ? "<clean>" : "<cut>");
	}
	gw_buf_add(log, gw_buf_str(&r.log));
	gw_buf_fini(&r.log);
	dp_h1_close(&r.p);
}

struct row { const char *want, *in; };

static void check_row(enum dp_h1_side side, const struct row *row, bool head, bool eof)
{
	struct gw_str in = gw_str_c(row->in);
	struct gw_buf log;

	gw_buf_init(&log, 65536);
	for (unsigned mode = 0; mode < slices_modes(in, 20); mode++) {
		gw_buf_clear(&log);
		talk(&log, side, in, mode, head, eof);
		if (!gw_str_is(gw_buf_str(&log), row->want))
			ck_abort_msg("slicing %u of\n%s\ngives  %.*s\nwanted %s", mode, row->in, GW_FMT(gw_buf_str(&log)),
			             row->want);
	}
	gw_buf_fini(&log);
}

#define H "Host: a\r\n"
static const struct row requests[] = {
	/* good ones */
	{ "GET/0 1;|", "GET / HTTP/1.1\r\n" H "\r\n" },
	{ "GET/0 1;|", "\r\n\r\nGET / HTTP/1.1\r\n" H "\r\n" },
	{ "GET/a?b=c0 2;|GET/0 1;|", "GET /a?b=c HTTP/1.1\r\n" H "X: \t y \t \r\n\r\nGET / HTTP/1.1\r\n" H "\r\n" },
	{ "POST/0 2 body;hello|", "POST / HTTP/1.1\r\n" H "Content-Length: 5\r\n\r\nhello" },
	{ "POST/0 2;|", "POST / HTTP/1.1\r\n" H "Content-Length: 0\r\n\r\n" },
	{ "POST/0 2 body;helloyou|", "POST / HTTP/1.1\r\n" H "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n3\r\nyou\r\n0\r\n\r\n" },
	{ "POST/0 2 body;hello|GET/0 1;|", "POST / HTTP/1.1\r\n" H "transfer-encoding: Chunked\r\n\r\n05;a=b;c\r\nhello\r\n0\r\nX: y\r\n\r\nGET / HTTP/1.1\r\n" H "\r\n" },
	{ "POST/0 3 body expect;a|", "POST / HTTP/1.1\r\n" H "Expect: 100-Continue\r\nContent-Length: 1\r\n\r\na" },
	{ "GET/0 2;|", "GET / HTTP/1.1\r\n" H "Expect: 100-continue\r\n\r\n" },
	{ "GET/0 0 close;|x", "GET / HTTP/1.0\r\n\r\n" },
	{ "GET/0 1;|", "GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n" },
	{ "GET/0 2 close;|x", "GET / HTTP/1.1\r\n" H "Connection: x, close\r\n\r\n" },
	{ "GET/0 3;|GET/0 1;|", "GET / HTTP/1.1\r\n" H "Upgrade: websocket\r\nConnection: upgrade\r\n\r\nGET / HTTP/1.1\r\n" H "\r\n" },
	{ "GET/0 1;|", "GET / HTTP/1.1\r\nHost: [::1]:80\r\n\r\n" },
	{ "GET/0 1;|", "GET / HTTP/1.1\r\nHost: a.b:8080\r\n\r\n" },
	{ "GET/0 2;|", "GET / HTTP/1.1\r\n" H "X: \xc3\xa4\r\n\r\n" },
	{ "GET/0 2;|", "GET / HTTP/1.1\r\n" H "X:\r\n\r\n" },
	{ "OPTIONS*0 1;|", "OPTIONS * HTTP/1.1\r\n" H "\r\n" },
	{ "GEThttp://a/0 1;|", "GET http://a/ HTTP/1.1\r\n" H "\r\n" },
	{ "HEAD/0 1;|", "HEAD / HTTP/1.1\r\n" H "\r\n" },
	{ "DELETE/0 1;|", "DELETE / HTTP/1.1\r\n" H "\r\n" },
	/* one framing, stated once */
	{ "!400", "POST / HTTP/1.1\r\n" H "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" },
	{ "!400", "POST / HTTP/1.1\r\n" H "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n" },
	{ "!400", "POST / HTTP/1.1\r\n" H "Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello" },
	{ "!400", "POST / HTTP/1.1\r\n" H "Content-Length: 5\r\nContent-Length: 5\r\n\r\nhello" },
	{ "!400", "POST / HTTP/1.1\r\n" H "Content-Length: 5, 5\r\n\r\nhello" },
	{ "!400", "POST / HTTP/1.1\r\n" H "Content-Length: +5\r\n\r\nhello" },
	{ "!400", "POST / HTTP/1.1\r\n" H "Content-Length: -5\r\n\r\nhello" },
	{ "!400", "POST / HTTP/1.1\r\n" H "Content-Length: 0x5\r\n\r\nhello" },
	{ "!400", "POST / HTTP/1.1\r\n" H "Content-Length: 5 5\r\n\r\nhello" },
	{ "!400", "POST / HTTP/1.1\r\n" H "Content-Length:\r\n\r\nhello" },
	{ "!400", "POST / HTTP/1.1\r\n" H "Content-Length: 18446744073709551615\r\n\r\n" },
	{ "!400", "POST / HTTP/1.1\r\n" H "Content-Length: 99999999999999999999\r\n\r\n" },
	{ "!400", "POST / HTTP/1.1\r\n" H "Content-Length: five\r\n\r\n" },
	{ "!400", "POST / HTTP/1.1\r\n" H "Content-Length: \xef\xbc\x95\r\n\r\n" },
	{ "!400", "POST / HTTP/1.1\r\n" H "Transfer-Encoding: identity\r\n\r\n" },
	{ "!400", "POST / HTTP/1.1\r\n" H "Transfer-Encoding: identity\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" },
	{ "!400", "POST / HTTP/1.1\r\n" H "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" },
	{ "!400", "POST / HTTP/1.1\r\n" H "Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n" },
	{ "!400", "POST / HTTP/1.1\r\n" H "Transfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n" },
	{ "!400", "POST / HTTP/1.1\r\n" H "Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n" },
	{ "!400", "POST / HTTP/1.1\r\n" H "Transfer-Encoding: ,chunked\r\n\r\n0\r\n\r\n" },
	{ "!400", "POST / HTTP/1.1\r\n" H "Transfer-Encoding: \"chunked\"\r\n\r\n0\r\n\r\n" },
	{ "!400", "POST / HTTP/1.1\r\n" H "Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n" },
	{ "!400", "POST / HTTP/1.1\r\n" H "Transfer-Encoding: chunked;q=1\r\n\r\n0\r\n\r\n" },
	{ "!400", "POST / HTTP/1.1\r\n" H "Transfer-Encoding:\r\n\r\n0\r\n\r\n" },
	{ "!400", "POST / HTTP/1.1\r\n" H "Transfer-Encoding:\x0b" "chunked\r\n\r\n0\r\n\r\n" },
	{ "!400", "POST / HTTP/1.0\r\n" H "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n" },
	{ "POST/0 2 body;!413", "POST / HTTP/1.1\r\n" H "Content-Length: 65\r\n\r\n" },
	/* lines */
	{ "!400", "\r\n\r\n\r\nGET / HTTP/1.1\r\n" H "\r\n" },
	{ "!400", "\nGET / HTTP/1.1\r\n" H "\r\n" },
	{ "!400", "GET / HTTP/1.1\n" H "\r\n" },
	{ "!400", "GET / HTTP/1.1\r\nHost: a\n\r\n" },
	{ "!400", "GET / HTTP/1.1\r\n" H "\n" },
	{ "!400", "GET / HTTP/1.1\r\n" H "X: a\rb\r\n\r\n" },
	{ "!400", "POST / HTTP/1.1\r\n" H "X-A:\rTransfer-Encoding: chunked\r\n\r\n" },
	{ "!400", "GET / HTTP/1.1\r\n" H "\r\rX" "\n" },
	{ "!400", "GET / HTTP/1.1\r\r\n" H "\r\n" },
	{ "!400", "GET / HTTP/1.1\r\n" H "X: a\r\n b\r\n\r\n" },
	{ "!400", "GET / HTTP/1.1\r\n" H "X: a\r\n\tb\r\n\r\n" },
	{ "!400", "GET / HTTP/1.1\r\n X: a\r\n" H "\r\n" },
	{ "!400", "POST / HTTP/1.1\r\n" H "Transfer-Encoding:\r\n chunked\r\n\r\n0\r\n\r\n" },
	{ "!400", "POST / HTTP/1.1\r\n" H " Content-Length: 5\r\n\r\nhello" },
	{ "!400", "POST / HTTP/1.1\r\n" H "Content-Length:\r\n\t5\r\n\r\nhello" },
	/* names and values */
	{ "!400", "GET / HTTP/1.1\r\nHost : a\r\n\r\n" },
	{ "!400", "GET / HTTP/1.1\r\n" H "Content-Length : 5\r\n\r\nhello" },
	{ "!400", "GET / HTTP/1.1\r\n" H ": v\r\n\r\n" },
	{ "!400", "GET / HTTP/1.1\r\n" H "X Y: v\r\n\r\n" },
	{ "!400", "GET / HTTP/1.1\r\n" H "X\xc3\xa4: v\r\n\r\n" },
	{ "!400", "GET / HTTP/1.1\r\n" H "novalue\r\n\r\n" },
	{ "!400", "GET / HTTP/1.1\r\n" H "X: a\x01" "b\r\n\r\n" },
	{ "!400", "GET / HTTP/1.1\r\n" H "X: a\x7f" "b\r\n\r\n" },
	{ "!400", "GET / HTTP/1.1\r\n" H "X(Y: v\r\n\r\n" },
	/* request line */
	{ "!400", "GET /\r\n" H "\r\n" },
	{ "!400", "GET / HTTP/0.9\r\n" H "\r\n" },
	{ "!400", "GET / HTTP/2.0\r\n" H "\r\n" },
	{ "!400", "GET / HTTP/1.2\r\n" H "\r\n" },
	{ "!400", "GET / HTTP/1.1x\r\n" H "\r\n" },
	{ "!400", "GET / http/1.1\r\n" H "\r\n" },
	{ "!400", "GET  / HTTP/1.1\r\n" H "\r\n" },
	{ "!400", "GET / HTTP/1.1 \r\n" H "\r\n" },
	{ "!400", "GET / HTTP/11\r\n" H "\r\n" },
	{ "!400", "GET\t/ HTTP/1.1\r\n" H "\r\n" },
	{ "!400", "GET /\xc3\xa4 HTTP/1.1\r\n" H "\r\n" },
	{ "!400", " GET / HTTP/1.1\r\n" H "\r\n" },
	{ "!400", "\x16\x03\x01\x02" },
	{ "!501", "FOO / HTTP/1.1\r\n" H "\r\n" },
	{ "!501", "get / HTTP/1.1\r\n" H "\r\n" },
	{ "!501", "TRACE / HTTP/1.1\r\n" H "\r\n" },
	{ "!501", "CONNECT a:80 HTTP/1.1\r\n" H "\r\n" },
	{ "!501", "M-SEARCH / HTTP/1.1\r\n" H "\r\n" },
	{ "!501", "SOURCE / ICE/1.0\r\n" H "\r\n" },
	{ "!400", "OPTIONS / RTSP/1.0\r\n" H "\r\n" },
	{ "!501", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" },
	/* Host */
	{ "!400", "GET / HTTP/1.1\r\n\r\n" },
	{ "!400", "GET / HTTP/1.1\r\n" H "Host: b\r\n\r\n" },
	{ "!400", "GET / HTTP/1.1\r\n" H H "\r\n" },
	{ "!400", "GET / HTTP/1.1\r\nHost:\r\n\r\n" },
	{ "!400", "GET / HTTP/1.1\r\nHost: a b\r\n\r\n" },
	{ "!400", "GET / HTTP/1.1\r\nHost: a/b\r\n\r\n" },
	{ "!400", "GET / HTTP/1.1\r\nHost: a@b\r\n\r\n" },
	{ "!400", "GET / HTTP/1.1\r\nHost: a:b\r\n\r\n" },
	{ "!400", "GET / HTTP/1.1\r\nHost: a:99999\r\n\r\n" },
	{ "!400", "GET / HTTP/1.0\r\n" H "Host: b\r\n\r\n" },
	/* Expect */
	{ "!417", "POST / HTTP/1.1\r\n" H "Expect: 200-ok\r\nContent-Length: 1\r\n\r\na" },
	/* chunks */
#define C "POST / HTTP/1.1\r\n" H "Transfer-Encoding: chunked\r\n\r\n"
#define CW "POST/0 2 body;"
	{ CW "!400", C "\r\n" },
	{ CW "!400", C "x\r\n" },
	{ CW "!400", C "0x5\r\nhello\r\n" },
	{ CW "!400", C "-5\r\n" },
	{ CW "!400", C "5 \r\nhello\r\n" },
	{ CW "!400", C " 5\r\nhello\r\n" },
	{ CW "!400", C "5\nhello\n0\n\n" },
	{ CW "!400", C "5\rXhello" },
	{ CW "hello!400", C "5\r\nhelloXX0\r\n\r\n" },
	{ CW "hello!400", C "5\r\nhello\n0\r\n\r\n" },
	{ CW "hello!400", C "5\r\nhello\rX" },
	{ CW "!400", C "FFFFFFFFFFFFFFFFF\r\n" },
	{ CW "!400", C "00000000000000000\r\n" },
	{ CW "!413", C "FFFFFFFFFFFFF\r\n" },
	{ CW "!413", C "41\r\n" },
	{ CW "hello!413", C "5\r\nhello\r\n3c\r\n" },
	{ CW "!400", C "5;\x01\r\nhello\r\n" },
	{ CW "hello!400", C "5\r\nhello\r\n0\r\nbad trailer\r\n\r\n" },
	{ CW "hello!400", C "5\r\nhello\r\n0\r\n x: y\r\n\r\n" },
	{ CW "hello!400", C "5\r\nhello\r\n0\r\nx: y\n\r\n" },
	{ CW "hello!400", C "5\r\nhello\r\n0\r\n\rX" },
	{ CW "hello|", C "5\r\nhello\r\n0\r\nContent-Length: 9\r\nHost: evil\r\nAuthorization: x\r\n\r\n" },
	{ CW "hello|", C "5 ;x=\"y z\"\r\nhello\r\n0\r\n\r\n" },
};

START_TEST(request_matrix)
{
	ck_assert_uint_ge(GW_COUNT(requests), 80);
	for (size_t i = 0; i < GW_COUNT(requests); i++)
		check_row(DP_H1_REQUEST, &requests[i], false, false);
}
END_TEST

START_TEST(responses)
{
	static const struct row rows[] = {
		{ "200 1 body;hi|<end>", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi" },
		{ "200 1 body;hi|200 1;|<end>", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhiHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n" },
		{ "200 0 body close;all of it<end>", "HTTP/1.1 200 OK\r\n\r\nall of it" },
		{ "200 0 body close;x<end>", "HTTP/1.0 200 OK\r\n\r\nx" },
		{ "200 0 body close;x<end>", "HTTP/1.1 200 \r\n\r\nx" },
		{ "204 1;|<end>", "HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\n" },
		{ "304 1;|<end>", "HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n" },
		{ "204 1;|!502", "HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\nhello\r\n\r\n" },
		{ "200 1 body;hi|<end>", "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early\r\nLink: x\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi" },
		{ "200 1 body;hello|<end>", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n" },
		{ "200 1 body;hello<cut>", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n" },
		{ "200 1 body;he<cut>", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhe" },
		{ "200 2 body close;hi|x<end>", "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nhi" },
		{ "200 2 body close;hi|xEXTRA", "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nhi!" },
		{ "<cut>", "HTTP/1.1 20" },
		{ "<cut>", "HTTP/1.1 100 Continue\r\n\r\n" },
		{ "!502", "HTTP/1.1 101 Switching\r\nUpgrade: h2c\r\n\r\n" },
		{ "!502", "HTTP/1.1 099 X\r\n\r\n" }, { "!502", "HTTP/1.1 600 X\r\n\r\n" }, { "!502", "HTTP/1.1 999 X\r\n\r\n" },
		{ "!502", "HTTP/1.1 20 X\r\n\r\n" }, { "!502", "HTTP/2.0 200 OK\r\n\r\n" }, { "!502", "HTTP/0.9 200 OK\r\n\r\n" },
		{ "!502", "ICY 200 OK\r\n\r\n" }, { "!502", "\r\nHTTP/1.1 200 OK\r\n\r\n" },
		{ "!502", "HTTP/1.1 200 OK\nContent-Length: 0\r\n\r\n" },
		{ "!502", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nhi" },
		{ "!502", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n" },
		{ "!502", "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n" },
		{ "!502", "HTTP/1.1 200 OK\r\nSet-Cookie: a\r\n b\r\n\r\n" },
		{ "!502", "HTTP/1.1 200 OK\r\nX: a\x01\r\n\r\n" },
		{ "!502", "<html><body>502</body></html>\r\n" },
	};

	for (size_t i = 0; i < GW_COUNT(rows); i++)
		check_row(DP_H1_RESPONSE, &rows[i], false, true);
}
END_TEST

START_TEST(answers_to_head_have_no_body)
{
	static const struct row row = { "200 1;|200 1;|<end>",
		"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nHTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" };

	check_row(DP_H1_RESPONSE, &row, true, true);
}
END_TEST

static void big(struct gw_buf *b, const char *head, const char *repeat, size_t times, const char *tail)
{
	gw_buf_init(b, 1 << 20);
	gw_buf_add_c(b, head);
	for (size_t i = 0; i < times; i++)
		gw_buf_add_c(b, repeat);
	gw_buf_add_c(b, tail);
}

static void expect_big(const char *want, const char *head, const char *repeat, size_t times, const char *tail)
{
	struct gw_buf in, log;

	big(&in, head, repeat, times, tail);
	for (unsigned mode = 0; mode < 2; mode++) {
		gw_buf_init(&log, 1 << 20);
		talk(&log, DP_H1_REQUEST, gw_buf_str(&in), mode, false, false);
		if (!gw_str_is(gw_buf_str(&log), want))
			ck_abort_msg("%s... gives %.*s", head, GW_FMT(gw_buf_str(&log)));
		gw_buf_fini(&log);
	}
	gw_buf_fini(&in);
}

START_TEST(limits_hold_without_a_line_end)
{
	expect_big("!414", "GET /", "a", 300, " HTTP/1.1\r\n" H "\r\n");
	expect_big("!414", "GET /", "a", 3000, "");
	expect_big("!431", "GET / HTTP/1.1\r\n" H, "X: y\r\n", 8, "\r\n");
	expect_big("!431", "GET / HTTP/1.1\r\n" H "X: ", "y", 600, "\r\n\r\n");
	expect_big("!431", "GET / HTTP/1.1\r\n" H "X: ", "y", 6000, "");
	expect_big("!400", "", "\r\n", 3000, "");
	expect_big(CW "!400", C "5;", "x", 300, "\r\nhello\r\n0\r\n\r\n");
}
END_TEST

START_TEST(trailers_and_extensions_have_a_budget)
{
	struct gw_buf in, log;

	big(&in, C "5\r\nhello\r\n0\r\n", "x: yyyyyyyyyyyyyyyyyyyyyyyyyy\r\n", 400, "\r\n");
	gw_buf_init(&log, 65536);
	talk(&log, DP_H1_REQUEST, gw_buf_str(&in), 0, false, false);
	ck_assert(gw_str_is(gw_buf_str(&log), CW "hello!400"));
	gw_buf_fini(&log);
	gw_buf_fini(&in);
}
END_TEST

START_TEST(a_route_may_change_the_body_limit)
{
	struct dp_h1 *p = dp_h1_open(DP_H1_REQUEST, &(struct dp_h1_limits){ .max_body = 4 });
	struct gw_str in = GW_STR("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello"), slice;
	size_t used;

	ck_assert_int_eq(dp_h1_feed(p, in, &used, &slice), DP_H1_HEAD);
	ck_assert_int_eq(dp_h1_head(p)->content_length, 5);
	dp_h1_set_max_body(p, 10);
	in = gw_str_from(in, used);
	ck_assert_int_eq(dp_h1_feed(p, in, &used, &slice), DP_H1_BODY);
	ck_assert(gw_str_is(slice, "hello"));
	ck_assert_int_eq(dp_h1_feed(p, GW_STR(""), &used, &slice), DP_H1_END);
	ck_assert_int_eq(dp_h1_body_bytes(p), 5);
	dp_h1_next(p);
	dp_h1_idle(p);
	ck_assert(!dp_h1_begun(p));
	ck_assert_int_eq(dp_h1_eof(p), DP_H1_NEED);
	dp_h1_close(&p);
	ck_assert_ptr_null(p);
}
END_TEST

/* A stream gives the memory of its head back before it ends: framing stays, and the next message has fields again. */
START_TEST(a_head_that_was_used_may_go_before_its_message)
{
	static const char head[] = "POST /a HTTP/1.1\r\nHost: h\r\nX: y\r\nContent-Length: 3\r\n\r\n";
	static const struct gw_pair keep = { { "user-agent", 10 }, { "me", 2 } };
	struct dp_h1 *p = dp_h1_open(DP_H1_REQUEST, NULL);
	struct gw_str slice;
	size_t used;

	for (unsigned round = 0; round < 2; round++) {
		const struct dp_head *h;

		ck_assert_int_eq(dp_h1_feed(p, (struct gw_str){ head, sizeof head - 1 }, &used, &slice), DP_H1_HEAD);
		h = dp_h1_head(p);
		ck_assert_uint_eq(h->n_headers, 3);
		ck_assert(gw_str_is(h->target, "/a") && gw_str_is(h->host, "h"));
		ck_assert_int_eq(dp_h1_feed(p, GW_STR("ab"), &used, &slice), DP_H1_BODY);
		dp_h1_drop_fields(p, round ? &keep : NULL, round);
		ck_assert_uint_eq(h->n_headers, round);
		ck_assert(!h->target.p && !h->host.p && gw_str_is(h->method, "POST") && h->content_length == 3 && h->keep_alive);
		ck_assert_int_eq(dp_h1_feed(p, GW_STR("c"), &used, &slice), DP_H1_BODY);
		ck_assert_int_eq(dp_h1_feed(p, GW_STR(""), &used, &slice), DP_H1_END);
		ck_assert(dp_h1_reusable(p));
		dp_h1_next(p);
	}
	dp_h1_close(&p);
}
END_TEST

/* A connection is opened before its limits are known: raised ones hold for its first message, lowered ones too. */
START_TEST(limits_may_change_before_the_first_message)
{
	static const struct dp_h1_limits small = { .max_line = 64, .max_head = 128 }, large = { .max_line = 1024, .max_head = 4096 };
	struct gw_buf in;

	big(&in, "GET / HTTP/1.1\r\nHost: a\r\nX: ", "y", 3000, "\r\n\r\n");
	for (unsigned raised = 0; raised < 2; raised++)
		for (size_t step = 1; step <= in.n; step += in.n - 1) {
			struct dp_h1 *p = dp_h1_open(DP_H1_REQUEST, raised ? &small : &large);
			enum dp_h1_event e = DP_H1_NEED;
			struct gw_str rest = gw_buf_str(&in), slice;
			size_t used;

			dp_h1_set_limits(p, raised ? &large : &small);
			while (rest.n && e == DP_H1_NEED) {
				e = dp_h1_feed(p, (struct gw_str){ rest.p, step < rest.n ? step : rest.n }, &used, &slice);
				rest = gw_str_from(rest, used);
			}
			ck_assert_int_eq(e, raised ? DP_H1_HEAD : DP_H1_ERROR);
			if (raised)
				ck_assert_uint_eq(dp_h1_head(p)->bytes, in.n);
			else
				ck_assert_int_eq(dp_h1_refusal(p)->code, DP_E_HEADER_TOO_LARGE);
			dp_h1_close(&p);
		}
	gw_buf_fini(&in);
}
END_TEST

START_TEST(a_nul_is_refused_wherever_it_stands)
{
	struct gw_str good = GW_STR("GET / HTTP/1.1\r\nHost: a\r\nX: y\r\n\r\n");
	char bad[64];
	struct gw_buf log;

	gw_buf_init(&log, 4096);
	for (size_t i = 0; i < good.n; i++) {
		memcpy(bad, good.p, good.n);
		bad[i] = '\0';
		gw_buf_clear(&log);
		talk(&log, DP_H1_REQUEST, (struct gw_str){ bad, good.n }, 0, false, true);
		ck_assert_msg(!strstr(log.p, ";"), "a NUL at %zu was taken: %s", i, log.p);
	}
	gw_buf_fini(&log);
}
END_TEST

UNIT_MAIN("h1", request_matrix, responses, answers_to_head_have_no_body, limits_hold_without_a_line_end,
          trailers_and_extensions_have_a_budget, a_route_may_change_the_body_limit,
          a_head_that_was_used_may_go_before_its_message, limits_may_change_before_the_first_message,
          a_nul_is_refused_wherever_it_stands)
