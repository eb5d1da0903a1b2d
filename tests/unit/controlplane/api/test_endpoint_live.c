/* What many workers have of one server: sums, the worst word on an address, and a ceiling with a count of what is beyond it. */
#include "api/internal.h"
#include "unit.h"

static json_t *parse(const char *text)
{
	json_t *o = NULL;
	struct gw_error err = { 0 };
	ck_assert_msg(gw_json_parse(&o, gw_str_c(text), 1 << 20, &err) == GW_OK, "%s", err.text);
	return o;
}

static json_int_t number(const json_t *o, const char *member)
{
	return json_integer_value(json_object_get(o, member));
}

static void fold(json_t *ours, const char *theirs, size_t *room)
{
	const struct cp_node_live node = { .id = GW_STR("0123"), .name = GW_STR("w") };
	json_t *o = parse(theirs);
	cp_endpoint_live_fold(ours, o, &node, room);
	json_decref(o);
}

START_TEST(adds_up_and_keeps_the_worst)
{
	json_t *o = json_object();
	size_t room = CP_ENDPOINT_LIVE_ROOM;
	cp_endpoint_live_begin(o);
	fold(o, "{\"pool\":{\"connections\":3,\"busy\":2,\"idle\":1,\"connecting\":0,\"limit\":4},\"queue\":{\"waiting\":1,\"limit\":8,\"timeout_ms\":5000},"
	        "\"resolved_at\":\"2026-03-01T08:00:00.000Z\",\"expires_at\":null,\"ttl_ms\":null,\"lookup_error\":null,\"addresses_left_out\":2,"
	        "\"addresses\":[{\"address\":\"192.0.2.1\",\"family\":\"ipv4\",\"state\":\"in_use\",\"connections\":3,\"last_error\":null,\"last_error_at\":null}]}", &room);
	fold(o, "{\"pool\":{\"connections\":1,\"busy\":1,\"idle\":0,\"connecting\":0,\"limit\":4},\"queue\":{\"waiting\":2,\"limit\":8,\"timeout_ms\":5000},"
	        "\"resolved_at\":\"2026-03-01T07:00:00.000Z\",\"expires_at\":null,\"ttl_ms\":9000,\"lookup_error\":null,\"addresses_left_out\":0,"
	        "\"addresses\":[{\"address\":\"192.0.2.1\",\"family\":\"ipv4\",\"state\":\"failing\",\"connections\":1,\"last_error\":\"refused\","
	        "\"last_error_at\":\"2026-03-01T07:00:01.000Z\"},{\"address\":\"2001:db8::1\",\"family\":\"ipv6\",\"state\":\"no such word\",\"connections\":0}]}", &room);
	fold(o, "{\"url\":\"of an earlier release\"}", &room);
	const json_t *pool = json_object_get(o, "pool"), *queue = json_object_get(o, "queue"), *list = json_object_get(o, "addresses");
	ck_assert_int_eq(number(pool, "connections"), 4);
	ck_assert_int_eq(number(pool, "busy"), 3);
	ck_assert_int_eq(number(pool, "limit"), 8);
	ck_assert_int_eq(number(queue, "waiting"), 3);
	ck_assert_int_eq(number(queue, "limit"), 16);
	ck_assert_int_eq(number(queue, "timeout_ms"), 5000);
	ck_assert_str_eq(json_string_value(json_object_get(o, "resolved_at")), "2026-03-01T08:00:00.000Z");
	ck_assert(json_is_null(json_object_get(o, "ttl_ms")));
	ck_assert_int_eq(number(o, "addresses_left_out"), 2);
	ck_assert_uint_eq(json_array_size(json_object_get(o, "workers")), 2);
	ck_assert_uint_eq(json_array_size(list), 2);
	const json_t *first = json_array_get(list, 0), *second = json_array_get(list, 1);
	ck_assert_str_eq(json_string_value(json_object_get(first, "state")), "failing");
	ck_assert_str_eq(json_string_value(json_object_get(first, "last_error")), "refused");
	ck_assert_int_eq(number(first, "connections"), 4);
	ck_assert_int_eq(number(first, "workers"), 2);
	ck_assert_str_eq(json_string_value(json_object_get(second, "state")), "spare");
	json_decref(o);
}
END_TEST

/* 60 workers with 48 addresses each, all different, at 8 servers: the answer stays small, and nothing is lost silently. */
START_TEST(has_a_ceiling)
{
	const struct cp_node_live node = { .id = GW_STR("0123"), .name = GW_STR("w") };
	size_t room = CP_ENDPOINT_LIVE_ROOM, listed = 0;
	for (int e = 0; e < 8; e++) {
		json_t *o = json_object();
		cp_endpoint_live_begin(o);
		for (int w = 0; w < 60; w++) {
			json_t *theirs = parse("{\"pool\":{\"connections\":48},\"queue\":{},\"addresses\":[]}");
			for (int i = 0; i < 48; i++) {
				char text[40];
				json_t *a = json_object();
				snprintf(text, sizeof text, "10.%d.%d.%d", e, w, i);
				json_object_set_new(a, "address", json_string(text));
				json_array_append_new(json_object_get(theirs, "addresses"), a);
			}
			cp_endpoint_live_fold(o, theirs, &node, &room);
			json_decref(theirs);
		}
		size_t i;
		json_t *row;
		ck_assert_uint_eq(json_array_size(json_object_get(o, "workers")), 50);
		ck_assert_int_eq(number(o, "workers_left_out"), 10);
		ck_assert_int_eq(number(json_object_get(o, "pool"), "connections"), 60 * 48);
		ck_assert_uint_le(json_array_size(json_object_get(o, "addresses")), 64);
		ck_assert_int_gt(number(o, "addresses_left_out"), 0);
		listed += json_array_size(json_object_get(o, "addresses"));
		json_array_foreach(json_object_get(o, "workers"), i, row) {
			listed += json_array_size(json_object_get(row, "addresses"));
			ck_assert_int_eq(number(row, "addresses_left_out"), 48 - (json_int_t)json_array_size(json_object_get(row, "addresses")));
		}
		json_decref(o);
	}
	ck_assert_uint_le(listed, CP_ENDPOINT_LIVE_ROOM);
}
END_TEST

UNIT_MAIN("api.endpoint_live", adds_up_and_keeps_the_worst, has_a_ceiling)
