/* The event splitter: WHATWG's grammar, the same blocks at every slicing, raw bytes never lost. */
#include "base/buf.h"
#include "base/str.h"
#include "codec/sse.h"
#include "dataplane/slices.h"
#include "unit.h"

struct run {
	struct dp_sse sse;
	struct gw_buf log, raw;
	bool too_big;
};

static void note(struct run *r, const struct dp_sse_event *ev)
{
	gw_buf_add(&r->raw, ev->raw);
	if (ev->joins) {
		ck_assert(gw_str_is(ev->raw, "\n"));
		return;
	}
	gw_buf_add_c(&r->log, "[");
	if (ev->event.p)
		gw_buf_printf(&r->log, "%.*s=", GW_FMT(ev->event));
	if (ev->data.p)
		gw_buf_printf(&r->log, "\"%.*s\"", GW_FMT(ev->data));
	gw_buf_add_c(&r->log, ev->comment ? "#" : "");
	gw_buf_add_c(&r->log, ev->unterminated ? "~]" : "]");
}

static bool feed(void *arg, struct gw_str in)
{
	struct run *r = arg;
	struct dp_sse_event ev;

	for (;;) {
		switch (dp_sse_next(&r->sse, &in, &ev)) {
		case DP_SSE_NEED:
			ck_assert_uint_eq(in.n, 0);
			return true;
		case DP_SSE_TOOBIG:
			r->too_big = true;
			return false;
		default:
			note(r, &ev);
		}
	}
}

static void check(struct gw_str in, const char *want, size_t max, bool too_big)
{
	for (unsigned mode = 0; mode < slices_modes(in, 200); mode++) {
		struct run r = { .too_big = false };
		struct dp_sse_event ev;

		dp_sse_init(&r.sse, max);
		gw_buf_init(&r.log, 1 << 20);
		gw_buf_init(&r.raw, 1 << 20);
		slices_run(in, mode, feed, &r);
		if (dp_sse_finish(&r.sse, &ev))
			note(&r, &ev);
		ck_assert(!dp_sse_finish(&r.sse, &ev));
		ck_assert_int_eq(r.too_big, too_big);
		if (!gw_str_is(gw_buf_str(&r.log), want))
			ck_abort_msg("slicing %u gives %.*s\nwanted %s", mode, GW_FMT(gw_buf_str(&r.log)), want);
		if (!too_big)
			ck_assert(gw_str_eq(gw_buf_str(&r.raw), in));
		gw_buf_fini(&r.log);
		gw_buf_fini(&r.raw);
		dp_sse_fini(&r.sse);
	}
}

#define CHECK(in, want) check(GW_STR(in), want, 4096, false)

START_TEST(grammar)
{
	CHECK("", "");
	CHECK("data: a\n\n", "[\"a\"]");
	CHECK("data:a\n\ndata:  b\n\n", "[\"a\"][\" b\"]");
	CHECK("data: a\r\n\r\ndata: b\r\rdata: c\n\r\ndata: d\r\n\n", "[\"a\"][\"b\"][\"c\"][\"d\"]");
	CHECK("\xef\xbb\xbf" "data: a\n\n\xef\xbb\xbf" "data: b\n\n", "[\"a\"][]");
	CHECK("data: a\ndata: b\ndata\ndata: c\n\n", "[\"a\nb\n\nc\"]");
	CHECK("data\n\n", "[\"\"]");
	CHECK("data:\n\n", "[\"\"]");
	CHECK(": keep-alive\n\n", "[#]");
	CHECK(": x\ndata: a\n\n", "[\"a\"#]");
	CHECK("event: e\nevent: f\ndata: a\nid: 7\nretry: 5\nstatus:200\n\n", "[f=\"a\"]");
	CHECK("event: e\n\n", "[e=]");
	CHECK("\n\n\ndata: a\n\n\n", "[][][][\"a\"][]");
	CHECK("\r\n\r\ndata: a\r\n\r\n", "[][][\"a\"]");
	CHECK("\r\r\r\n", "[][][]");
	CHECK("dat: x\ndata x: y\ndatax\n\n", "[]");
	CHECK("data: a", "[\"a\"~]");
	CHECK("data: a\n", "[\"a\"~]");
	CHECK("data: a\r", "[\"a\"~]");
	CHECK("data: a\n\n: half", "[\"a\"][#~]");
	CHECK("data: {\"x\":\"data: [DONE]\\n\\n\"}\n\ndata: [DONE]\n\n", "[\"{\"x\":\"data: [DONE]\\n\\n\"}\"][\"[DONE]\"]");
	CHECK("data: \xe4\xb8\xad\xe6\x96\x87\n\n", "[\"\xe4\xb8\xad\xe6\x96\x87\"]");
}
END_TEST

START_TEST(an_event_has_a_ceiling)
{
	check(GW_STR("data: 123456\n\n"), "[\"123456\"]", 14, false);
	check(GW_STR("data: 1234567\n\n"), "", 14, true);
	check(GW_STR("data: 1\n\ndata: 1234567\n\ndata: 2\n\n"), "[\"1\"]", 14, true);
	check(GW_STR("data: 12345678901234567890"), "", 14, true);
}
END_TEST

START_TEST(a_whole_event_is_not_copied)
{
	struct dp_sse s;
	struct dp_sse_event ev;
	static const char text[] = "data: a\n\ndata: b\n\n";
	struct gw_str in = { text, sizeof text - 1 };

	dp_sse_init(&s, 4096);
	ck_assert_int_eq(dp_sse_next(&s, &in, &ev), DP_SSE_EVENT);
	ck_assert_ptr_eq(ev.raw.p, text);
	ck_assert_int_eq(dp_sse_next(&s, &in, &ev), DP_SSE_EVENT);
	ck_assert_ptr_eq(ev.data.p, text + 15);
	ck_assert_ptr_null(s.tail.p);
	dp_sse_fini(&s);
}
END_TEST

START_TEST(big_events_grow_in_linear_time)
{
	struct gw_buf b;
	struct dp_sse s;
	struct dp_sse_event ev;
	size_t events = 0;

	gw_buf_init(&b, 32 << 20);
	gw_buf_add_c(&b, "data: {\"b64\":\"");
	for (size_t i = 0; i < 1 << 19; i++)
		gw_buf_add_c(&b, "iVBORw0KGgoAAAANSUhEUgAA");
	gw_buf_add_c(&b, "\"}\n\n");
	dp_sse_init(&s, DP_SSE_MAX_EVENT);
	for (size_t at = 0; at < b.n; at += 1400) {
		struct gw_str in = { b.p + at, b.n - at < 1400 ? b.n - at : 1400 };

		while (dp_sse_next(&s, &in, &ev) == DP_SSE_EVENT) {
			events++;
			ck_assert_uint_eq(ev.raw.n, b.n);
		}
	}
	ck_assert_uint_eq(events, 1);
	dp_sse_fini(&s);
	gw_buf_fini(&b);
}
END_TEST

UNIT_MAIN("sse", grammar, an_event_has_a_ceiling, a_whole_event_is_not_copied, big_events_grow_in_linear_time)
