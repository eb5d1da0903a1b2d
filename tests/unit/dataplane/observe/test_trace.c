/* W3C Trace Context: what is valid, what is ignored, and what a block of spans holds after its sources are gone. */
#include "observe/spans.h"

#include "base/str.h"
#include "unit.h"

static const uint64_t dice[4] = { 0x1122334455667788, 0x99aabbccddeeff00, 499999, 0x0102030405060708 };

START_TEST(states)
{
	static const char *const good[] = { "a=1", "rojo=00f067aa0ba902b7,congo=t61rcWkgMzE", "t@v=x", " a=1 , b=2 ,, ", "0a=!~", NULL };
	static const char *const bad[] = { "", ",", "a", "a=", "=1", "A=1", "a@b@c=1", "a=1=2", "a=\x7f", "a=b\tc", NULL };
	char many[1024] = "", wide[600];

	for (size_t i = 0; good[i]; i++)
		ck_assert_msg(dp_tracestate_valid(gw_str_c(good[i])), "%s", good[i]);
	for (size_t i = 0; bad[i]; i++)
		ck_assert_msg(!dp_tracestate_valid(gw_str_c(bad[i])), "%s", bad[i]);
	for (int i = 0; i < 33; i++)
		snprintf(many + strlen(many), sizeof many - strlen(many), "k%d=v,", i);
	ck_assert(!dp_tracestate_valid(gw_str_c(many)));
	memset(wide, 'a', sizeof wide);
	wide[1] = '=';
	ck_assert(!dp_tracestate_valid((struct gw_str){ wide, sizeof wide }));
	ck_assert(dp_tracestate_valid((struct gw_str){ wide, 200 }));
}
END_TEST

START_TEST(beginnings)
{
	struct gw_arena *a = gw_arena_open(0);
	struct gw_pair h[] = { { GW_STR("TraceParent"), GW_STR("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00") },
		{ GW_STR("tracestate"), GW_STR("a=1") }, { GW_STR("Tracestate"), GW_STR("b=2") },
		{ GW_STR("traceparent"), GW_STR("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01") } };
	struct dp_trace t;

	dp_trace_begin(&t, h, 3, true, 1000000, dice, a);
	ck_assert(t.valid && !t.sampled); /* the caller's decision, not the ratio's */
	ck_assert_str_eq(t.hex, "4bf92f3577b34da6a3ce929d0e0e4736");
	ck_assert(gw_str_is(t.state, "a=1,b=2"));
	dp_trace_begin(&t, h, 4, true, 500000, dice, a); /* two parents are none */
	ck_assert(t.valid && t.sampled && !t.state.p);
	ck_assert_str_ne(t.hex, "4bf92f3577b34da6a3ce929d0e0e4736");
	dp_trace_begin(&t, h + 1, 2, true, 499999, dice, a);
	ck_assert(t.valid && !t.sampled && !t.state.p);
	dp_trace_begin(&t, h, 3, false, 0, dice, a);
	ck_assert(t.valid && t.span_id[0] == 0);
	dp_trace_begin(&t, NULL, 0, false, 0, dice, a);
	ck_assert(!t.valid);
	gw_arena_close(&a);
}
END_TEST

START_TEST(a_packed_request)
{
	char model[2000], path[] = "/v1/x";
	struct dp_span_request r = {
		.trace_id = { 1 }, .span_id = { 2 }, .start_us = 1764324000000000, .end_us = 1764324001000000, .method = GW_STR("POST"),
		.path = { path, 5 }, .operation = GW_STR("chat"), .usage_source = GW_STR("none"), .end_reason = GW_STR("complete"), .status = 200, .n_tries = 1,
		.tries = { { .span_id = { 3 }, .start_us = 1764324000000000, .end_us = 1764324000500000, .provider = GW_STR("p"), .provider_type = GW_STR("gemini"),
		             .endpoint = GW_STR("https://[2001:db8::1]:8443/v1"), .result = GW_STR("timeout"), .error = GW_STR("\"quoted\"\n") } },
	}, *copy;
	struct gw_buf b;
	json_t *doc = NULL, *span;
	size_t bytes;

	memset(model, '"', sizeof model);
	r.model = r.tries[0].model = (struct gw_str){ model, sizeof model };
	copy = dp_spans_pack(&r, &bytes);
	memset(model, 'x', sizeof model);
	memset(path, 'x', sizeof path);
	ck_assert_uint_le(bytes, sizeof r + 3000);
	gw_buf_init(&b, 1 << 20);
	dp_spans_open(&b, GW_STR("s"), GW_STR("i"));
	dp_spans_write(copy, &b);
	dp_spans_shut(&b);
	ck_assert_int_eq(gw_json_parse(&doc, gw_buf_str(&b), 1 << 20, NULL), GW_OK);
	span = json_object_get(json_array_get(json_object_get(json_array_get(json_object_get(json_array_get(
	    json_object_get(doc, "resourceSpans"), 0), "scopeSpans"), 0), "spans"), 1), "name");
	ck_assert_uint_eq(json_string_length(span), strlen("chat ") + 512);
	ck_assert_ptr_nonnull(strstr(b.p, "\"stringValue\":\"[2001:db8::1]\""));
	ck_assert_ptr_nonnull(strstr(b.p, "\"intValue\":\"8443\""));
	ck_assert_ptr_nonnull(strstr(b.p, "gcp.gemini"));
	ck_assert_ptr_nonnull(strstr(b.p, "POST /v1/x"));
	json_decref(doc);
	gw_buf_fini(&b);
	free(copy);
}
END_TEST

UNIT_MAIN("trace", states, beginnings, a_packed_request)
