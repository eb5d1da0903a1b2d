/* test_json_path.c - members by their path, and bodies with a few bytes changed. */
#include "base/str.h"
#include "codec/json_path.h"
#include "unit.h"

static void expect(const char *doc, const char *path, const char *json, const char *wanted)
{
	struct gw_buf b;
	bool ok;

	gw_buf_init(&b, 4096);
	gw_buf_add_c(&b, doc);
	ok = dp_path_change(&b, path, json ? gw_str_c(json) : GW_STR_NONE);
	if (!wanted)
		ck_assert_msg(!ok, "%s %s", doc, path);
	else
		ck_assert_msg(ok && gw_str_is(gw_buf_str(&b), wanted), "%s %s: %.*s", doc, path, (int)b.n, b.p);
	gw_buf_fini(&b);
}

START_TEST(values_are_replaced)
{
	expect("{\"a\":1}", "a", "22", "{\"a\":22}");
	expect(" { \"x\" : [1,{\"a\":2}] , \"a\" : \"long text\" } ", "a", "1", " { \"x\" : [1,{\"a\":2}] , \"a\" : 1 } ");
	expect("{\"a\":{\"b\":{\"c\":1}}}", "a.b.c", "true", "{\"a\":{\"b\":{\"c\":true}}}");
	expect("{\"a\":{\"b\":1},\"b\":2}", "b", "3", "{\"a\":{\"b\":1},\"b\":3}");
	expect("{\"\\u0061\":1}", "a", "2", "{\"\\u0061\":2}");
	expect("{\"\\u0061b\\\"\":1}", "ab\"", "2", "{\"\\u0061b\\\"\":2}");
}
END_TEST

START_TEST(members_are_put_in)
{
	expect("{}", "a", "1", "{\"a\":1}");
	expect("{ }", "a", "1", "{\"a\":1 }");
	expect("{\"b\":2}", "a", "1", "{\"a\":1,\"b\":2}");
	expect("{\"b\":2}", "x.y.z", "\"v\"", "{\"x\":{\"y\":{\"z\":\"v\"}},\"b\":2}");
	expect("{\"x\":{\"q\":1}}", "x.y.z", "0", "{\"x\":{\"y\":{\"z\":0},\"q\":1}}");
	expect("{\"x\":{}}", "x.y", "0", "{\"x\":{\"y\":0}}");
	expect("{\"x\":[1]}", "x.y", "0", NULL);
	expect("{\"x\":null}", "x.y", "0", NULL);
	expect("[1]", "x", "0", NULL);
}
END_TEST

START_TEST(members_are_taken_out)
{
	expect("{\"a\":1}", "a", NULL, "{}");
	expect("{\"a\":1,\"b\":2}", "a", NULL, "{\"b\":2}");
	expect("{\"a\":1 , \"b\":2 }", "b", NULL, "{\"a\":1 }");
	expect("{\"a\":1,\"b\":[{\"b\":1}],\"c\":3}", "b", NULL, "{\"a\":1,\"c\":3}");
	expect("{\"x\":{\"y\":1,\"z\":2}}", "x.z", NULL, "{\"x\":{\"y\":1}}");
	expect("{\"a\":1}", "b", NULL, "{\"a\":1}");
	expect("{\"x\":[1]}", "x.y", NULL, "{\"x\":[1]}");
}
END_TEST

/* Cut anywhere, nothing is read behind the end and nothing is found that is not whole. */
START_TEST(broken_texts)
{
	static const char doc[] = "{\"a\":{\"b\":[1,\"\\\"}\"],\"c\":{\"d\":-1.5e3}},\"z\":\"\\u00e9\"}";

	for (size_t n = 0; n < sizeof doc - 1; n++) {
		char *copy = gw_strdup_n(doc, n);
		struct dp_path p;

		if (dp_path_find((struct gw_str){ copy, n }, "a.c.d", &p) && p.value.type != DP_J_NONE)
			ck_assert(p.at + p.value.raw.n <= n);
		free(copy);
	}
}
END_TEST

UNIT_MAIN("json_path", values_are_replaced, members_are_put_in, members_are_taken_out, broken_texts)
