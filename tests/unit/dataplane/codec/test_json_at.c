/* Reading single values out of small texts, odd ones included. */
#include "base/buf.h"
#include "base/str.h"
#include "codec/json_at.h"
#include "dataplane/slices.h"
#include "unit.h"

static const struct gw_str doc = {
	"{\"choices\" : [ {\"index\":0,\"delta\":{\"content\":\"He\\\"}]\"}} , {\"index\":1}],\"usage\":{\"prompt_tokens\":16,"
	"\"prompt_tokens_details\":{\"cached_tokens\":7}},\"e\":[],\"o\":{},\"s\":\"\",\"z\":0,\"f\":1.5e2,\"neg\":-3}", 0 };

static struct gw_str whole(void)
{
	return gw_str_c(doc.p);
}

START_TEST(paths)
{
	int64_t v = -1;

	ck_assert(dp_json_int(dp_json_doc_at(whole(), "usage.prompt_tokens_details.cached_tokens"), 100, &v));
	ck_assert_int_eq(v, 7);
	ck_assert(gw_str_is(dp_json_inner(dp_json_doc_at(whole(), "choices[0].delta.content")), "He\\\"}]"));
	ck_assert(dp_json_int(dp_json_doc_at(whole(), "choices[1].index"), 100, &v));
	ck_assert_int_eq(v, 1);
	ck_assert_int_eq(dp_json_doc_at(whole(), "choices[2].index").type, DP_J_NONE);
	ck_assert_int_eq(dp_json_doc_at(whole(), "usage.nothing").type, DP_J_NONE);
	ck_assert_int_eq(dp_json_doc_at(whole(), "s.x").type, DP_J_NONE);
	ck_assert_int_eq(dp_json_doc_at(whole(), "").type, DP_J_OBJECT);
	ck_assert(!dp_json_truthy(dp_json_doc_at(whole(), "e")) && !dp_json_truthy(dp_json_doc_at(whole(), "o")));
	ck_assert(!dp_json_truthy(dp_json_doc_at(whole(), "s")) && !dp_json_truthy(dp_json_doc_at(whole(), "z")));
	ck_assert(dp_json_truthy(dp_json_doc_at(whole(), "choices")) && dp_json_truthy(dp_json_doc_at(whole(), "f")));
}
END_TEST

START_TEST(numbers_are_clamped)
{
	static const struct { const char *text; bool ok; int64_t want; } rows[] = {
		{ "5", true, 5 }, { "-5", true, 0 }, { "1e99", true, 1000 }, { "12.9", true, 12 }, { "1e2", true, 100 },
		{ "18446744073709551616", true, 1000 }, { "\"5\"", false, 0 }, { "null", false, 0 }, { "1x", false, 0 },
		{ "99999999999999999999999999999999999999999999999999", true, 1000 },
	};

	for (size_t i = 0; i < GW_COUNT(rows); i++) {
		int64_t v = -7;

		ck_assert_int_eq(dp_json_int(dp_json_value(gw_str_c(rows[i].text)), 1000, &v), rows[i].ok);
		if (rows[i].ok)
			ck_assert_int_eq(v, rows[i].want);
	}
}
END_TEST

START_TEST(texts_are_decoded)
{
	static const struct { const char *in, *want; } rows[] = {
		{ "\"a\\n\\u4e2d\\ud83d\\ude00\\\"\\/\"", "a\n\xe4\xb8\xad\xf0\x9f\x98\x80\"/" }, { "\"\\ud83dx\"", "\xef\xbf\xbdx" },
		{ "\"\\u12\"", "\xef\xbf\xbd" "12" }, { "\"\\q\"", "q" }, { "\"\"", "" },
	};
	struct gw_buf b;
	int64_t ascii = 0, wide = 0;

	gw_buf_init(&b, 1000);
	for (size_t i = 0; i < GW_COUNT(rows); i++) {
		gw_buf_clear(&b);
		ck_assert(dp_json_text(&b, dp_json_value(gw_str_c(rows[i].in))));
		ck_assert_msg(gw_str_is(gw_buf_str(&b), rows[i].want), "%s gives %.*s", rows[i].in, GW_FMT(gw_buf_str(&b)));
	}
	gw_buf_fini(&b);
	dp_json_measure(dp_json_value(gw_str_c("\"ab\xe4\xb8\xad\\u4e2d\\n\\ud83d\\ude00\"")), &ascii, &wide);
	ck_assert_int_eq(ascii, 3);
	ck_assert_int_eq(wide, 3);
}
END_TEST

/* Every beginning of the text, on the heap so that a read past its end is seen; no answer is asked for. */
START_TEST(nothing_is_read_past_the_end)
{
	for (size_t n = 0; n <= whole().n; n++) {
		char *copy = malloc(n ? n : 1);
		struct gw_str s = { copy, n };
		struct gw_buf b;

		memcpy(copy, doc.p, n);
		gw_buf_init(&b, 1000);
		dp_json_text(&b, dp_json_doc_at(s, "choices[0].delta.content"));
		ck_assert_int_eq(dp_json_doc_at(s, "usage.prompt_tokens_details.cached_tokens").type != DP_J_NONE, n == whole().n);
		gw_buf_fini(&b);
		free(copy);
	}
}
END_TEST

START_TEST(broken_texts_stop_the_walk)
{
	static const char *const bad[] = { "{\"a\"1}", "{\"a\":1 \"b\":2}", "{a:1}", "{\"a\":}", "{,}", "[1 2]", "[1,,2]", "{\"a\":x}" };

	for (size_t i = 0; i < GW_COUNT(bad); i++) {
		struct dp_json_iter it = dp_json_iter(dp_json_value(gw_str_c(bad[i])));

		while (dp_json_next(&it))
			;
		ck_assert_msg(it.broken, "%s", bad[i]);
	}
}
END_TEST

/* ---- the lazy walk says what the other one says ---- */

enum mode { ENTER, WHOLE, PASS };

static bool is_container(struct dp_json v)
{
	return v.type == DP_J_OBJECT || v.type == DP_J_ARRAY;
}

static void note(struct gw_buf *out, const struct dp_json_iter *it)
{
	gw_buf_printf(out, "%zu %.*s %d ", it->index, it->object ? (int)it->key.n : 0, it->object ? it->key.p : "", (int)it->value.type);
	if (!is_container(it->value))
		gw_buf_add(out, it->value.raw);
}

static void walk(struct gw_buf *out, struct dp_json v, enum mode mode)
{
	struct dp_json_iter it = dp_json_iter(v);

	while (dp_json_next(&it)) {
		note(out, &it);
		if (is_container(it.value) && mode != PASS)
			walk(out, it.value, mode);
	}
	gw_buf_add_c(out, it.broken ? "!" : ".");
}

static void walk_lazily(struct gw_buf *out, struct dp_json_iter it, struct dp_json_iter *end, enum mode mode)
{
	while (dp_json_next(&it)) {
		struct dp_json_iter inner;

		note(out, &it);
		if (is_container(it.value) && mode == ENTER) {
			walk_lazily(out, dp_json_enter(&it), &inner, mode);
			dp_json_leave(&it, &inner);
		} else if (is_container(it.value) && mode == WHOLE) {
			walk(out, dp_json_whole(&it), mode);
		}
	}
	gw_buf_add_c(out, it.broken ? "!" : ".");
	*end = it;
}

static void compare(struct gw_str text)
{
	struct dp_json v = dp_json_value(text);
	struct dp_json_iter end;

	for (int mode = ENTER; is_container(v) && mode <= PASS; mode++) {
		struct gw_buf a, b;

		gw_buf_init(&a, 1 << 16);
		gw_buf_init(&b, 1 << 16);
		walk(&a, v, (enum mode)mode);
		walk_lazily(&b, dp_json_lazy(v), &end, (enum mode)mode);
		ck_assert_msg(gw_str_eq(gw_buf_str(&a), gw_buf_str(&b)), "%d of %.*s: %.*s, but lazily %.*s", mode, GW_FMT(text),
		              GW_FMT(gw_buf_str(&a)), GW_FMT(gw_buf_str(&b)));
		gw_buf_fini(&a);
		gw_buf_fini(&b);
	}
}

START_TEST(lazily_the_same_is_found)
{
	static const char *const texts[] = {
		"{\"id\":\"x\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\"h\\\"i\",\"tool_calls\":[{\"a\":[]}]},\"finish_reason\":null}],\"usage\":{}}",
		"[ [ ] , { } , [1, [2,[3]] ,{\"k\" : { \"l\":[true ,-1.5e3]}} ] , \"]}\" ]", "{}", "[]", "{\"a\":{\"b\":{\"c\":{\"d\":1}}},\"e\":2}",
		"[1,]", "{\"a\":[1 2],\"b\":3}", "{\"a\":{\"x\" 1},\"b\":3}", "{\"a\":[}]", "[{\"a\":1]}", "{\"a\":[,],\"b\":{,}}",
	};
	static const char other[] = "{}[],:\"\\ 0x";

	for (size_t i = 0; i < GW_COUNT(texts); i++) {
		size_t n = strlen(texts[i]);

		compare(gw_str_c(texts[i]));
		for (size_t at = 0; at < n; at++) { /* any byte replaced: what both make of it is the same */
			for (const char *c = other; *c; c++) {
				char *copy = malloc(n);

				memcpy(copy, texts[i], n);
				copy[at] = *c;
				compare((struct gw_str){ copy, n });
				free(copy);
			}
		}
	}
}
END_TEST

UNIT_MAIN("json_at", lazily_the_same_is_found, paths, numbers_are_clamped, texts_are_decoded, nothing_is_read_past_the_end, broken_texts_stop_the_walk)
