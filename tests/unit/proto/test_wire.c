/* test_wire.c - messages of the channel. */
#include "unit.h"
#include "base/bytes.h"
#include "base/str.h"
#include "wire.h"

#include <stdio.h>

#define HEX64 "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"
#define HELLO "\"type\":\"hello\",\"protocol\":1,\"name\":\"w1\",\"node_id\":\"00112233445566778899aabbccddeeff\",\"boot_id\":\"b1\""

static struct gw_wire w;
static struct gw_error e;

static enum gw_rc parse(const char *text)
{
	memset(&e, 0, sizeof e);
	return gw_wire_parse(&w, gw_str_c(text), &e);
}

START_TEST(hello)
{
	ck_assert_int_eq(parse("{" HELLO ",\"version\":\"0.1.0\",\"formats\":[1],\"catalog_digest\":\"x\",\"listen\":\"0.0.0.0:8080\","
	                       "\"admin\":\"127.0.0.1:9091\",\"pid\":77,\"started_at\":\"1970-01-01T00:00:01Z\",\"novelty\":[],"
	                       "\"serving\":{\"epoch\":\"0123456789abcdef\",\"revision\":12,\"digest\":\"" HEX64 "\"}}"), GW_OK);
	ck_assert_int_eq(w.type, GW_WIRE_HELLO);
	ck_assert_int_eq(w.protocol, 1);
	ck_assert(gw_str_is(w.name, "w1"));
	ck_assert_int_eq(w.pid, 77);
	ck_assert_int_eq(w.started_at_ms, 1000);
	ck_assert(gw_str_is(w.serving_epoch, "0123456789abcdef"));
	ck_assert_int_eq(w.serving_revision, 12);
	ck_assert(gw_str_is(w.serving_digest, HEX64));
	gw_wire_fini(&w);
	ck_assert_ptr_null(w.doc);
	gw_wire_fini(&w);
	ck_assert_int_eq(parse("{" HELLO ",\"serving\":null}"), GW_OK);
	ck_assert_ptr_null(w.serving_epoch.p);
	gw_wire_fini(&w);
}
END_TEST

START_TEST(every_other_type)
{
	ck_assert_int_eq(parse("{\"type\":\"welcome\",\"node_id\":\"x\",\"epoch\":\"0123456789abcdef\",\"heartbeat_ms\":5000,"
	                       "\"snapshot_key\":\"" HEX64 "\",\"control_version\":\"0.1.0\"}"), GW_OK);
	ck_assert(w.has_snapshot_key);
	ck_assert_int_eq(w.snapshot_key[1], 0x11);
	ck_assert_int_eq(w.heartbeat_ms, 5000);
	gw_wire_fini(&w);
	ck_assert_int_eq(parse("{\"type\":\"ack\",\"revision\":3,\"digest\":\"" HEX64 "\",\"apply_ms\":4,\"unknown\":1}"), GW_OK);
	ck_assert_int_eq(w.revision, 3);
	ck_assert_int_eq(w.apply_ms, 4);
	ck_assert_int_eq(w.unknown, 1);
	gw_wire_fini(&w);
	ck_assert_int_eq(parse("{\"type\":\"nack\",\"revision\":3,\"path\":\"/a\",\"text\":\"no\"}"), GW_OK);
	ck_assert(gw_str_is(w.path, "/a") && gw_str_is(w.text, "no"));
	gw_wire_fini(&w);
	ck_assert_int_eq(parse("{\"type\":\"heartbeat\",\"revision\":3,\"state\":\"serving\",\"in_flight\":2,\"requests\":9,"
	                       "\"errors\":1,\"connections\":5,\"rss_bytes\":1000,\"usage_dropped\":0,\"counters_away\":1}"), GW_OK);
	ck_assert(gw_str_is(w.state, "serving"));
	ck_assert_int_eq(w.in_flight + w.requests + w.errors + w.connections + w.rss_bytes + w.counters_away, 1018);
	gw_wire_fini(&w);
	ck_assert_int_eq(parse("{\"type\":\"usage\",\"boot_id\":\"b\",\"records\":[{},{}]}"), GW_OK);
	ck_assert_uint_eq(json_array_size(w.records), 2);
	gw_wire_fini(&w);
	ck_assert_int_eq(parse("{\"type\":\"usage_ack\",\"boot_id\":\"b\",\"seq\":9}"), GW_OK);
	ck_assert_int_eq(w.seq, 9);
	gw_wire_fini(&w);
	ck_assert_int_eq(parse("{\"type\":\"call\",\"id\":\"1\",\"op\":\"drain\",\"args\":{\"a\":1}}"), GW_OK);
	ck_assert(gw_str_is(w.op, "drain"));
	ck_assert_uint_eq(json_object_size(w.args), 1);
	gw_wire_fini(&w);
	ck_assert_int_eq(parse("{\"type\":\"result\",\"id\":\"1\",\"ok\":true,\"result\":{\"b\":2}}"), GW_OK);
	ck_assert(w.ok);
	ck_assert_uint_eq(json_object_size(w.result), 1);
	gw_wire_fini(&w);
	ck_assert_int_eq(parse("{\"type\":\"result\",\"id\":\"1\",\"ok\":false,\"error\":{\"code\":\"busy\",\"text\":\"later\"}}"), GW_OK);
	ck_assert(!w.ok);
	ck_assert(gw_str_is(w.reason, "busy") && gw_str_is(w.text, "later"));
	gw_wire_fini(&w);
	ck_assert_int_eq(parse("{\"type\":\"bye\",\"reason\":\"done\"}"), GW_OK);
	ck_assert(gw_str_is(w.reason, "done"));
	gw_wire_fini(&w);
	ck_assert_int_eq(parse("{\"type\":\"tomorrow\",\"x\":1}"), GW_OK);
	ck_assert_int_eq(w.type, GW_WIRE_UNKNOWN);
	gw_wire_fini(&w);
}
END_TEST

START_TEST(refuses)
{
	static const char *const bad[][2] = {
		{ "x", "" }, { "[]", "/type" }, { "{\"type\":1}", "/type" }, { "{\"type\":\"snapshot\"}", "/type" },
		{ "{\"type\":\"hello\"}", "/protocol" }, { "{" HELLO ",\"pid\":-1}", "/pid" },
		{ "{" HELLO ",\"started_at\":\"now\"}", "/started_at" }, { "{" HELLO ",\"serving\":[]}", "/serving" },
		{ "{" HELLO ",\"serving\":{}}", "/serving/epoch" },
		{ "{\"type\":\"welcome\",\"epoch\":\"xyz\",\"heartbeat_ms\":1,\"snapshot_key\":\"" HEX64 "\"}", "/epoch" },
		{ "{\"type\":\"welcome\",\"epoch\":\"0123456789abcdef\",\"heartbeat_ms\":1,\"snapshot_key\":\"00\"}", "/snapshot_key" },
		{ "{\"type\":\"ack\",\"revision\":\"1\"}", "/revision" }, { "{\"type\":\"ack\",\"revision\":1,\"digest\":\"\"}", "/digest" },
		{ "{\"type\":\"nack\",\"revision\":1}", "/text" }, { "{\"type\":\"usage\",\"boot_id\":\"b\",\"records\":{}}", "/records" },
		{ "{\"type\":\"call\",\"id\":\"1\",\"op\":\"x\",\"args\":[]}", "/args" },
		{ "{\"type\":\"result\",\"id\":\"1\",\"ok\":1}", "/ok" }, { "{\"type\":\"result\",\"id\":\"1\",\"ok\":false}", "/error" },
		{ "{\"type\":\"result\",\"id\":\"1\",\"ok\":false,\"error\":{}}", "/error/text" },
	};
	for (size_t i = 0; i < GW_COUNT(bad); i++) {
		ck_assert_msg(parse(bad[i][0]) == GW_INVALID, "%s", bad[i][0]);
		ck_assert_msg(strcmp(e.path, bad[i][1]) == 0, "%s: %s (%s)", bad[i][0], e.path, e.text);
		ck_assert_ptr_null(w.doc);
	}
}
END_TEST

START_TEST(snapshots)
{
	struct gw_buf b;
	struct gw_digest d;
	struct gw_str payload = GW_STR("{\"epoch\":1}\n\0more");
	gw_buf_init(&b, 10000);
	gw_snapshot_digest_of(&d, payload);
	ck_assert_int_eq(gw_wire_snapshot_head(&b, GW_STR("0123456789abcdef"), 7, &d, payload.n), GW_OK);
	size_t head = b.n;
	ck_assert_int_eq(b.p[head - 1], '\n');
	gw_buf_add(&b, payload);
	ck_assert_int_eq(gw_wire_parse_binary(&w, gw_buf_str(&b), &e), GW_OK);
	ck_assert_int_eq(w.type, GW_WIRE_SNAPSHOT);
	ck_assert_int_eq(w.revision, 7);
	ck_assert(gw_str_eq(w.payload, payload));
	gw_wire_fini(&w);
	/* Cut short, changed, or headless. */
	ck_assert_int_eq(gw_wire_parse_binary(&w, (struct gw_str){ b.p, b.n - 1 }, &e), GW_INVALID);
	ck_assert_str_eq(e.path, "/bytes");
	b.p[b.n - 1] ^= 1;
	ck_assert_int_eq(gw_wire_parse_binary(&w, gw_buf_str(&b), &e), GW_INVALID);
	ck_assert_str_eq(e.path, "/digest");
	ck_assert_int_eq(gw_wire_parse_binary(&w, (struct gw_str){ b.p, head - 1 }, &e), GW_INVALID);
	ck_assert_int_eq(gw_wire_parse_binary(&w, GW_STR(""), &e), GW_INVALID);
	ck_assert_int_eq(gw_wire_parse_binary(&w, GW_STR("{\"type\":\"bye\"}\n"), &e), GW_INVALID);
	ck_assert_int_eq(gw_wire_parse_binary(&w, GW_STR("{\"type\":\"snapshot\",\"format\":2,\"epoch\":\"0123456789abcdef\","
	    "\"revision\":1,\"digest\":\"" HEX64 "\",\"bytes\":0}\n"), &e), GW_VERSION);
	gw_buf_fini(&b);
}
END_TEST

START_TEST(builds)
{
	json_t *o = gw_wire_new(GW_WIRE_USAGE_ACK);
	ck_assert_str_eq(json_string_value(json_object_get(o, "type")), "usage_ack");
	json_decref(o);
	ck_assert_str_eq(gw_wire_name(GW_WIRE_UNKNOWN), "unknown");
}
END_TEST

START_TEST(join_tokens)
{
	struct gw_join_token t;
	ck_assert(gw_join_token_parse(GW_STR("tgj_ab12.sEc-_ret." HEX64), &t));
	ck_assert(gw_str_is(t.id, "ab12"));
	ck_assert(gw_str_is(t.secret, "sEc-_ret"));
	ck_assert(gw_str_is(t.fingerprint, HEX64));
	static const char *const bad[] = { "", "tgj_", "tgk_a.b." HEX64, "tgj_a.b", "tgj_a..", "tgj_.b." HEX64, "tgj_a.." HEX64,
		"tgj_a.b." HEX64 "0", "tgj_a.b.c." HEX64, "tgj_a b.c." HEX64, "tgj_a.b." HEX64 "\n" };
	for (size_t i = 0; i < GW_COUNT(bad); i++)
		ck_assert_msg(!gw_join_token_parse(gw_str_c(bad[i]), &t), "%s", bad[i]);
}
END_TEST

UNIT_MAIN("wire", hello, every_other_type, refuses, snapshots, builds, join_tokens)
