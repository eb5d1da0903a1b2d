/* test_usage.c - the ledger's row. */
#include "unit.h"
#include "base/str.h"
#include "usage.h"

START_TEST(there_and_back)
{
	struct gw_usage_record r = { 0 }, back;
	struct gw_error e = { 0 };
	int64_t n = 1;
#define X(name) r.name = GW_STR(#name);
	GW_USAGE_TEXTS(X)
#undef X
#define X(name) r.name = n++;
	GW_USAGE_INTS(X)
#undef X
	r.error_code = GW_STR_NONE;
	r.first_token_ms = -1;
	r.end_reason = GW_END_CLIENT_CLOSED;
	r.usage_source = GW_USAGE_ESTIMATED;
	json_t *v = gw_usage_json(&r);
	ck_assert_str_eq(json_string_value(json_object_get(v, "end_reason")), "client_closed");
	ck_assert_int_eq(gw_usage_parse(&back, v, &e), GW_OK);
#define X(name) ck_assert(gw_str_eq(r.name, back.name));
	GW_USAGE_TEXTS(X)
#undef X
#define X(name) ck_assert_int_eq(r.name, back.name);
	GW_USAGE_INTS(X)
#undef X
	ck_assert(back.error_code.p && back.error_code.n == 0);
	ck_assert_int_eq(back.end_reason, GW_END_CLIENT_CLOSED);
	ck_assert_int_eq(back.usage_source, GW_USAGE_ESTIMATED);
	json_decref(v);
}
END_TEST

static enum gw_rc parse(const char *text, struct gw_usage_record *r, struct gw_error *e)
{
	static json_t *kept;
	json_decref(kept);
	kept = json_loads(text, JSON_DECODE_ANY, NULL);
	ck_assert_ptr_nonnull(kept);
	return gw_usage_parse(r, kept, e);
}

START_TEST(clamps_and_ignores)
{
	struct gw_usage_record r;
	struct gw_error e = { 0 };
	ck_assert_int_eq(parse("{\"request_id\":\"a\",\"seq\":5,\"prompt_tokens\":9223372036854775807,\"total_ms\":-50,"
	                       "\"new_member\":{},\"status\":200,\"end_reason\":\"evaporated\",\"usage_source\":\"oracle\"}",
	                       &r, &e), GW_OK);
	ck_assert_int_eq(r.prompt_tokens, 1LL << 53);
	ck_assert_int_eq(r.total_ms, -1);
	ck_assert_int_eq(r.end_reason, GW_END_COMPLETE);
	ck_assert_int_eq(r.usage_source, GW_USAGE_ESTIMATED);
	ck_assert_int_eq(parse("{\"request_id\":\"a\",\"seq\":5,\"status\":502}", &r, &e), GW_OK);
	ck_assert_int_eq(r.end_reason, GW_END_UPSTREAM_ERROR);
	ck_assert_int_eq(r.usage_source, GW_USAGE_NONE);
}
END_TEST

START_TEST(reads_what_older_workers_send)
{
	struct gw_usage_record r;
	struct gw_error e = { 0 };
	ck_assert_int_eq(parse("{\"request_id\":\"a\",\"seq\":5,\"status\":200,\"prompt_tokens\":7,\"error_code\":\"\"}", &r, &e), GW_OK);
	ck_assert(r.connect_ms == -1 && r.cost == 0 && r.images == 0 && r.bad_events == 0);
	ck_assert(r.currency.n == 0 && r.attempt_log.n == 0 && r.consumer_groups.n == 0);
}
END_TEST

START_TEST(refuses)
{
	static const char *const bad[][2] = { { "[]", "" }, { "{\"seq\":1}", "/request_id" }, { "{\"request_id\":\"a\"}", "/seq" },
		{ "{\"request_id\":\"a\",\"seq\":\"1\"}", "/seq" }, { "{\"request_id\":5,\"seq\":1}", "/request_id" },
		{ "{\"request_id\":\"a\",\"seq\":1,\"status\":2.5}", "/status" },
		{ "{\"request_id\":\"a\",\"seq\":1,\"end_reason\":2}", "/end_reason" } };
	for (size_t i = 0; i < GW_COUNT(bad); i++) {
		struct gw_usage_record r;
		struct gw_error e = { 0 };
		ck_assert_int_eq(parse(bad[i][0], &r, &e), GW_INVALID);
		ck_assert_str_eq(e.path, bad[i][1]);
	}
}
END_TEST

START_TEST(names)
{
	ck_assert_str_eq(gw_end_name(GW_END_REJECTED), "rejected");
	ck_assert_str_eq(gw_usage_source_name(GW_USAGE_NONE), "none");
}
END_TEST

UNIT_MAIN("usage", there_and_back, clamps_and_ignores, reads_what_older_workers_send, refuses, names)
