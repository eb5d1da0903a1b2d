/* test_json.c - bounded parsing, canonical writing, typed members, merge patch (RFC 7396). */
#include "unit.h"
#include "base/str.h"
#include "json.h"

#include <stdio.h>

static json_t *parse(const char *text)
{
	json_t *v;
	struct gw_error e = { 0 };
	ck_assert_msg(gw_json_parse(&v, gw_str_c(text), 100000, &e) == GW_OK, "%s: %s", text, e.text);
	return v;
}

static void refused(const char *text, enum gw_rc rc, const char *words)
{
	json_t *v;
	struct gw_error e = { 0 };
	ck_assert_msg(gw_json_parse(&v, gw_str_c(text), 100000, &e) == rc, "%s", text);
	ck_assert_ptr_null(v);
	ck_assert_msg(strstr(e.text, words), "%s: %s", text, e.text);
}

START_TEST(refuses_with_a_sentence)
{
	refused("", GW_INVALID, "too early");
	refused("{", GW_INVALID, "too early");
	refused("{\"a\":1,\"a\":2}", GW_INVALID, "twice");
	refused("{\"a\":1,\n\n\"\\u0061\":2}", GW_INVALID, "twice at line 3");
	refused("{} x", GW_INVALID, "follows");
	refused("\"\xff\"", GW_INVALID, "UTF-8");
	refused("\"a\\u0000\"", GW_INVALID, "NUL");
	refused("99999999999999999999", GW_INVALID, "out of range");
	refused("[1,\n 2,\n x]", GW_INVALID, "line 3, column");
	refused("{'a':1}", GW_INVALID, "line 1, column 2");
	struct gw_error e = { 0 };
	json_t *v;
	ck_assert_int_eq(gw_json_parse(&v, GW_STR("{\"a\":1\0}"), 1000, &e), GW_INVALID);
	ck_assert_msg(strstr(e.text, "NUL byte") && strstr(e.text, "line 1, column 7"), "%s", e.text);
	ck_assert_int_eq(gw_json_parse(&v, GW_STR("[true\0]"), 1000, &e), GW_INVALID);
	ck_assert_int_eq(gw_json_parse(&v, GW_STR("{\"secret\":sk-canary}"), 1000, &e), GW_INVALID);
	ck_assert_ptr_null(strstr(e.text, "canary"));
}
END_TEST

START_TEST(bounds)
{
	struct gw_error e = { 0 };
	json_t *v;
	ck_assert_int_eq(gw_json_parse(&v, GW_STR("[1,2,3]"), 6, &e), GW_TOOBIG);
	ck_assert_int_eq(gw_json_parse(&v, GW_STR("[1,2,3]"), 7, &e), GW_OK);
	json_decref(v);
	char deep[200] = "";
	for (int i = 0; i < 64; i++)
		deep[i] = '[';
	for (int i = 64; i < 128; i++)
		deep[i] = ']';
	json_decref(parse(deep));
	memmove(deep + 1, deep, 129);
	refused(deep, GW_INVALID, "nested more than 64");
	/* Brackets inside strings do not count. */
	json_decref(parse("[\"[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[\\\"[[\"]"));
	char *many = gw_alloc(100000);
	many[0] = '[';
	for (int i = 1; i < 19999; i += 2)
		many[i] = '1', many[i + 1] = ',';
	memcpy(many + 19999, "1]", 3);
	refused(many, GW_TOOBIG, "values");
	free(many);
}
END_TEST

START_TEST(canonical)
{
	struct gw_buf b;
	gw_buf_init(&b, 1000);
	json_t *v = parse("{ \"b\" : [1, true, null, \"é\\n\\/\"], \"a\": {\"z\":-5,\"y\":{}}, \"aa\":[] }");
	ck_assert_int_eq(gw_json_write(&b, v, true), GW_OK);
	ck_assert_str_eq(b.p, "{\"a\":{\"y\":{},\"z\":-5},\"aa\":[],\"b\":[1,true,null,\"é\\n/\"]}");
	json_decref(v);
	gw_buf_clear(&b);
	v = parse("{\"a\":[1.5]}");
	ck_assert_int_eq(gw_json_write(&b, v, true), GW_INVALID);
	ck_assert_uint_eq(b.n, 0);
	ck_assert_int_eq(gw_json_write(&b, v, false), GW_OK);
	json_decref(v);
	gw_buf_fini(&b);
	gw_buf_init(&b, 5);
	gw_buf_add_c(&b, "ab");
	v = parse("[1,2,3,4]");
	ck_assert_int_eq(gw_json_write(&b, v, true), GW_TOOBIG);
	ck_assert_str_eq(b.p, "ab");
	json_decref(v);
	gw_buf_fini(&b);
}
END_TEST

START_TEST(members)
{
	json_t *o = parse("{\"s\":\"x\",\"n\":5,\"b\":true,\"z\":null}");
	struct gw_error e = { 0 };
	struct gw_str s = GW_STR("default");
	int64_t n = 42;
	bool b = false;
	ck_assert_int_eq(gw_json_text(o, "absent", &s, &e), GW_OK);
	ck_assert_int_eq(gw_json_text(o, "z", &s, &e), GW_OK);
	ck_assert(gw_str_is(s, "default"));
	ck_assert_int_eq(gw_json_text(o, "s", &s, &e), GW_OK);
	ck_assert(gw_str_is(s, "x"));
	ck_assert_int_eq(gw_json_text(o, "n", &s, &e), GW_INVALID);
	ck_assert_str_eq(e.path, "/n");
	ck_assert_str_eq(e.text, "`n` must be a string");
	ck_assert_int_eq(gw_json_int(o, "absent", 0, 9, &n, &e), GW_OK);
	ck_assert_int_eq(n, 42);
	ck_assert_int_eq(gw_json_int(o, "n", 0, 9, &n, &e), GW_OK);
	ck_assert_int_eq(n, 5);
	ck_assert_int_eq(gw_json_int(o, "n", 6, 9, &n, &e), GW_INVALID);
	ck_assert_str_eq(e.text, "`n` must be a number from 6 to 9");
	ck_assert_int_eq(gw_json_int(o, "s", 6, 9, &n, &e), GW_INVALID);
	ck_assert_int_eq(gw_json_bool(o, "b", &b, &e), GW_OK);
	ck_assert(b);
	ck_assert_int_eq(gw_json_bool(o, "s", &b, &e), GW_INVALID);
	ck_assert_int_eq(gw_json_bool(o, "absent", &b, &e), GW_OK);
	ck_assert_ptr_null(gw_json_str(NULL).p);
	gw_json_set_str(o, "s", GW_STR("a\xff\x80" "b"));
	ck_assert_str_eq(json_string_value(json_object_get(o, "s")), "a\xef\xbf\xbd\xef\xbf\xbd" "b");
	gw_json_set_str(o, "s", GW_STR_NONE);
	ck_assert(json_is_null(json_object_get(o, "s")));
	gw_json_set_time(o, "t", 482196050520);
	ck_assert_str_eq(json_string_value(json_object_get(o, "t")), "1985-04-12T23:20:50.520Z");
	gw_json_set_time(o, "t", 0);
	ck_assert(json_is_null(json_object_get(o, "t")));
	json_decref(o);
}
END_TEST

/* The examples of RFC 7396, appendix A. */
START_TEST(merge_patch)
{
	static const char *const rows[][3] = {
		{ "{\"a\":\"b\"}", "{\"a\":\"c\"}", "{\"a\":\"c\"}" },
		{ "{\"a\":\"b\"}", "{\"b\":\"c\"}", "{\"a\":\"b\",\"b\":\"c\"}" },
		{ "{\"a\":\"b\"}", "{\"a\":null}", "{}" },
		{ "{\"a\":\"b\",\"b\":\"c\"}", "{\"a\":null}", "{\"b\":\"c\"}" },
		{ "{\"a\":[\"b\"]}", "{\"a\":\"c\"}", "{\"a\":\"c\"}" },
		{ "{\"a\":\"c\"}", "{\"a\":[\"b\"]}", "{\"a\":[\"b\"]}" },
		{ "{\"a\":{\"b\":\"c\"}}", "{\"a\":{\"b\":\"d\",\"c\":null}}", "{\"a\":{\"b\":\"d\"}}" },
		{ "{\"a\":[{\"b\":\"c\"}]}", "{\"a\":[1]}", "{\"a\":[1]}" },
		{ "[\"a\",\"b\"]", "[\"c\",\"d\"]", "[\"c\",\"d\"]" },
		{ "{\"a\":\"b\"}", "[\"c\"]", "[\"c\"]" },
		{ "{\"a\":\"foo\"}", "null", "null" },
		{ "{\"a\":\"foo\"}", "\"bar\"", "\"bar\"" },
		{ "{\"e\":null}", "{\"a\":1}", "{\"e\":null,\"a\":1}" },
		{ "[1,2]", "{\"a\":\"b\",\"c\":null}", "{\"a\":\"b\"}" },
		{ "{}", "{\"a\":{\"bb\":{\"ccc\":null}}}", "{\"a\":{\"bb\":{}}}" },
	};
	for (size_t i = 0; i < GW_COUNT(rows); i++) {
		json_t *target = parse(rows[i][0]), *patch = parse(rows[i][1]), *want = parse(rows[i][2]);
		json_t *before = json_deep_copy(target);
		json_t *got = gw_json_merge(target, patch);
		ck_assert_msg(json_equal(got, want), "row %zu", i);
		ck_assert(json_equal(target, before));
		json_decref(target);
		json_decref(patch);
		json_decref(want);
		json_decref(before);
		json_decref(got);
	}
}
END_TEST

START_TEST(pointers)
{
	char t[GW_POINTER_LEN];
	gw_json_pointer(t, GW_STR("a/b~c"));
	ck_assert_str_eq(t, "a~1b~0c");
	char big[300];
	memset(big, '/', sizeof big);
	gw_json_pointer(t, (struct gw_str){ big, sizeof big });
	ck_assert_uint_lt(strlen(t), GW_POINTER_LEN);
	ck_assert_uint_eq(strlen(t) % 2, 0);
	gw_json_pointer(t, GW_STR(""));
	ck_assert_str_eq(t, "");
}
END_TEST

static void seeded(void) { gw_json_setup(); }

START_TEST(setup_runs)
{
	seeded();
	json_decref(parse("{\"a\":1}"));
}
END_TEST

UNIT_MAIN("json", setup_runs, refuses_with_a_sentence, bounds, canonical, members, merge_patch, pointers)
