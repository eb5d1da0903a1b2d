/* The scanner's verdicts: JSON's grammar, duplicates after unescaping, offsets, at every slicing. */
#include <stdio.h>

#include "base/buf.h"
#include "base/str.h"
#include "codec/json_scan.h"
#include "dataplane/slices.h"
#include "unit.h"

static const struct gw_str names[] = { DP_SCAN_NAME("model"), DP_SCAN_NAME("stream"), DP_SCAN_NAME("n") };

/* Of the scanner that runs. */
static struct dp_scan_member found[4];

static bool feed(void *arg, struct gw_str piece)
{
	return dp_scan_feed(arg, piece) != DP_SCAN_BAD;
}

static void scan(struct dp_scan *s, struct gw_str in, unsigned mode)
{
	dp_scan_init(s, names, found, GW_COUNT(names));
	slices_run(in, mode, feed, s);
}

enum verdict { OK, SYNTAX = DP_SCAN_SYNTAX, DEEP = DP_SCAN_DEPTH, TWICE = DP_SCAN_DUPLICATE, SPELLED = DP_SCAN_SPELLING };
struct row { enum verdict want; const char *text; };

static const struct row rows[] = {
	{ OK, "{}" }, { OK, " \t\r\n{ } \n" }, { OK, "\n\n\n{\"a\":1}" }, { OK, "{\"a\":1,\"b\":[],\"c\":{},\"d\":null,\"e\":true,\"f\":false}" },
	{ OK, "{\"a\":[1,2,[3,{\"b\":[]}]]}" }, { OK, "{\"a\":0}" }, { OK, "{\"a\":-0}" }, { OK, "{\"a\":-1.5e+10}" },
	{ OK, "{\"a\":0.1E-7}" }, { OK, "{\"a\":12345678901234567890123}" }, { OK, "{\"a\":\"\\\"\\\\\\/\\b\\f\\n\\r\\t\\u0041\"}" },
	{ OK, "{\"a\":\"\xe4\xb8\xad\xf0\x9f\x98\x80\xc3\xa9\"}" }, { OK, "{\"a\":\"\\ud83d\\ude00\"}" }, { OK, "{\"a\":\"\x7f\"}" },
	{ OK, "{\"a\":\"\\u0000\"}" }, { OK, "{\"\":1,\"\":2}" }, { OK, "{\"a\":1,\"a\":2}" },
	/* not an object, or not whole */
	{ SYNTAX, "" }, { SYNTAX, "  " }, { SYNTAX, "[]" }, { SYNTAX, "1" }, { SYNTAX, "\"a\"" }, { SYNTAX, "null" },
	{ SYNTAX, "{" }, { SYNTAX, "{\"a\"" }, { SYNTAX, "{\"a\":" }, { SYNTAX, "{\"a\":1" }, { SYNTAX, "{\"a\":\"x" },
	{ SYNTAX, "{\"a\":\"x\"" }, { SYNTAX, "{\"a\":[1" }, { SYNTAX, "{\"a\":tru" }, { SYNTAX, "{}{}" }, { SYNTAX, "{} x" },
	{ SYNTAX, "{},"}, { SYNTAX, "\xef\xbb\xbf{}" },
	/* structure */
	{ SYNTAX, "{,}" }, { SYNTAX, "{\"a\":1,}" }, { SYNTAX, "{\"a\" 1}" }, { SYNTAX, "{\"a\"::1}" }, { SYNTAX, "{\"a\":}" },
	{ SYNTAX, "{a:1}" }, { SYNTAX, "{'a':1}" }, { SYNTAX, "{1:1}" }, { SYNTAX, "{\"a\":1 \"b\":2}" }, { SYNTAX, "{\"a\":[1,]}" },
	{ SYNTAX, "{\"a\":[,1]}" }, { SYNTAX, "{\"a\":[1 2]}" }, { SYNTAX, "{\"a\":[1}}" }, { SYNTAX, "{\"a\":{\"b\":1]}" },
	{ SYNTAX, "{\"a\":1]" }, { SYNTAX, "{\"a\":1/**/}" }, { SYNTAX, "{\"a\":1//\n}" }, { SYNTAX, "{\"a\":\v1}" },
	/* words and numbers */
	{ SYNTAX, "{\"a\":True}" }, { SYNTAX, "{\"a\":nul}" }, { SYNTAX, "{\"a\":nulll}" }, { SYNTAX, "{\"a\":NaN}" },
	{ SYNTAX, "{\"a\":Infinity}" }, { SYNTAX, "{\"a\":undefined}" }, { SYNTAX, "{\"a\":01}" }, { SYNTAX, "{\"a\":-}" },
	{ SYNTAX, "{\"a\":+1}" }, { SYNTAX, "{\"a\":.5}" }, { SYNTAX, "{\"a\":1.}" }, { SYNTAX, "{\"a\":1.e5}" },
	{ SYNTAX, "{\"a\":1e}" }, { SYNTAX, "{\"a\":1e+}" }, { SYNTAX, "{\"a\":0x10}" }, { SYNTAX, "{\"a\":1_000}" },
	{ SYNTAX, "{\"a\":-01}" }, { SYNTAX, "{\"a\":1e5.5}" },
	/* strings */
	{ SYNTAX, "{\"a\":\"\n\"}" }, { SYNTAX, "{\"a\":\"\t\"}" }, { SYNTAX, "{\"a\":\"\x01\"}" }, { SYNTAX, "{\"a\":\"\\x\"}" },
	{ SYNTAX, "{\"a\":\"\\'\"}" }, { SYNTAX, "{\"a\":\"\\u12\"}" }, { SYNTAX, "{\"a\":\"\\u12g4\"}" }, { SYNTAX, "{\"a\":\"\\U0041\"}" },
	{ SYNTAX, "{\"a\":\"\\ud800\"}" }, { SYNTAX, "{\"a\":\"\\udc00\"}" }, { SYNTAX, "{\"a\":\"\\ud800x\"}" },
	{ SYNTAX, "{\"a\":\"\\ud800\\n\"}" }, { SYNTAX, "{\"a\":\"\\ud800\\u0041\"}" }, { SYNTAX, "{\"a\":\"\\ud800\\ud800\"}" },
	{ SYNTAX, "{\"a\":\"\x80\"}" }, { SYNTAX, "{\"a\":\"\xc0\xaf\"}" }, { SYNTAX, "{\"a\":\"\xc3\"}" }, { SYNTAX, "{\"a\":\"\xe0\x80\xaf\"}" },
	{ SYNTAX, "{\"a\":\"\xed\xa0\x80\"}" }, { SYNTAX, "{\"a\":\"\xf4\x90\x80\x80\"}" }, { SYNTAX, "{\"a\":\"\xf5\x80\x80\x80\"}" },
	{ SYNTAX, "{\"a\":\"\xff\"}" }, { SYNTAX, "{\"a\":\"\xe4\xb8\"}" }, { SYNTAX, "{\"\xff\":1}" }, { SYNTAX, "{\"a\xe4\":1}" },
	{ SYNTAX, "{\"a\":\"\xf0\x80\x80\x80\"}" }, { SYNTAX, "\x7b\xff" },
	/* watched names, once */
	{ TWICE, "{\"model\":\"a\",\"model\":\"b\"}" }, { TWICE, "{\"model\":\"a\",\"mod\\u0065l\":\"b\"}" },
	{ TWICE, "{\"\\u006d\\u006f\\u0064\\u0065\\u006c\":1,\"model\":\"b\"}" }, { TWICE, "{\"model\":null,\"x\":{\"model\":1},\"model\":null}" },
	{ TWICE, "{\"stream\":true,\"strea\\u006D\":false}" }, { TWICE, "{\"n\":1,\"n\":1}" }, { TWICE, "{\"n\":{},\"n\":[]}" },
	{ OK, "{\"mod\\u0065l\":\"b\"}" }, { OK, "{\"Model\":\"a\",\"model\":\"b\",\"MODEL\":\"c\"}" }, { OK, "{\"model\":\"a\",\"model \":\"b\"}" },
	{ OK, "{\"model\":\"a\",\"model\\u0000\":\"b\"}" }, { OK, "{\"model\":\"a\",\"x\":{\"model\":\"b\",\"model\":\"c\"},\"y\":[{\"model\":1}]}" },
	{ OK, "{\"model\":\"a\",\"mode\":1,\"modell\":2,\"stream\":true,\"streams\":1}" },
};

START_TEST(verdicts)
{
	for (size_t i = 0; i < GW_COUNT(rows); i++) {
		struct gw_str in = gw_str_c(rows[i].text);

		for (unsigned mode = 0; mode < slices_modes(in, 10); mode++) {
			struct dp_scan s;
			enum dp_scan_state end;

			scan(&s, in, mode);
			end = dp_scan_end(&s);
			ck_assert_msg((enum verdict)s.fault == rows[i].want, "%s (slicing %u): %d instead of %d, %s", rows[i].text,
			              mode, s.fault, rows[i].want, s.fault_text ? s.fault_text : "fine");
			ck_assert_int_eq(end, rows[i].want == OK ? DP_SCAN_DONE : DP_SCAN_BAD);
		}
	}
}
END_TEST

/* What a door refuses beyond the grammar: everything that two readers may understand differently. */
static const struct row strict_rows[] = {
	{ OK, "{\"model\":\"a\",\"x\":{\"model\":\"b\"},\"y\":[{\"model\":1},{\"model\":2}]}" },
	{ OK, "{\"a\":{\"x\":{\"p\":1},\"y\":{\"p\":1}},\"b\":{\"x\":1}}" }, { OK, "{\"A\":1,\"a\":2,\"Role\":3,\"role\":4}" },
	{ OK, "{\"x\":{\"Model\":1,\"MODEL\":2}}" }, { OK, "{\"model \":1,\"model\":2}" }, { OK, "{\"a\":\"\\u0000\"}" },
	{ OK, "{\"mo\xcc\xb1" "del\":1}" }, { OK, "{\"\xc5\xbf\":1,\"s\":2}" },
	{ TWICE, "{\"a\":1,\"a\":2}" }, { TWICE, "{\"\":1,\"\":2}" }, { TWICE, "{\"a\":1,\"b\":{\"a\":1},\"\\u0061\":2}" },
	{ TWICE, "{\"x\":[{\"y\":{\"role\":1,\"rol\\u0065\":1}}]}" }, { TWICE, "{\"\xe4\xb8\xad\":1,\"\\u4e2d\":2}" },
	{ TWICE, "{\"\\ud83d\\ude00\":1,\"\xf0\x9f\x98\x80\":2}" }, { TWICE, "{\"m\":{\"a\":{},\"b\":{\"a\":1},\"a\":[]}}" },
	{ TWICE, "{\"a name of more than forty bytes, which is kept nowhere\":1,\"a name of more than forty bytes, which is kept nowhere\":2}" },
	{ SPELLED, "{\"Model\":\"a\",\"model\":\"b\"}" }, { SPELLED, "{\"MODEL\":\"a\"}" }, { SPELLED, "{\"\\u004dodel\":\"a\"}" },
	{ SPELLED, "{\"model\":\"a\",\"N\":2}" }, { SPELLED, "{\"\xc5\xbftream\":1}" }, { SPELLED, "{\"\\u017ftream\":1}" },
	{ SPELLED, "{\"to\xe2\x84\xaa" "en\":1}" }, { SPELLED, "{\"TO\\u212AEN\":1}" },
	{ SYNTAX, "{\"model\\u0000\":1}" }, { SYNTAX, "{\"x\":{\"\\u0000\":1}}" },
};

static const struct gw_str strict_names[] = { DP_SCAN_NAME("model"), DP_SCAN_NAME("stream"), DP_SCAN_NAME("n"), DP_SCAN_NAME("token") };

START_TEST(strict_verdicts)
{
	for (size_t i = 0; i < GW_COUNT(strict_rows); i++) {
		struct gw_str in = gw_str_c(strict_rows[i].text);

		for (unsigned mode = 0; mode < slices_modes(in, 10); mode++) {
			struct dp_json_names seen;
			struct dp_scan s;

			dp_json_names_init(&seen);
			dp_scan_init(&s, strict_names, found, GW_COUNT(strict_names));
			dp_scan_strict(&s, &seen);
			slices_run(in, mode, feed, &s);
			ck_assert_int_eq(dp_scan_end(&s), strict_rows[i].want == OK ? DP_SCAN_DONE : DP_SCAN_BAD);
			ck_assert_msg((enum verdict)s.fault == strict_rows[i].want, "%s (slicing %u): %d instead of %d, %s", in.p, mode,
			              s.fault, strict_rows[i].want, s.fault_text ? s.fault_text : "fine");
			dp_json_names_fini(&seen);
		}
	}
}
END_TEST

/* Objects of n members, the last one named as the first when `twice`; twelve of them behind each other in one array. */
static enum dp_scan_fault wide(unsigned n, bool twice)
{
	struct dp_json_names seen;
	struct dp_scan s;
	struct gw_buf b;
	enum dp_scan_fault fault;

	gw_buf_init(&b, 16u << 20);
	gw_buf_add_c(&b, "{\"list\":[");
	for (unsigned k = 0; k < 12; k++) {
		gw_buf_add_c(&b, k ? ",{" : "{");
		for (unsigned i = 0; i < n; i++)
			gw_buf_printf(&b, "%s\"k%u\":{\"k0\":%u}", i ? "," : "", twice && k == 11 && i == n - 1 ? 0 : i, i);
		gw_buf_add_c(&b, "}");
	}
	gw_buf_add_c(&b, "]}");
	dp_json_names_init(&seen);
	dp_scan_init(&s, strict_names, found, GW_COUNT(strict_names));
	dp_scan_strict(&s, &seen);
	(void)!dp_scan_feed(&s, gw_buf_str(&b));
	(void)!dp_scan_end(&s);
	fault = s.fault;
	dp_json_names_fini(&seen);
	gw_buf_fini(&b);
	return fault;
}

START_TEST(wide_objects_have_one_of_each)
{
	static const unsigned sizes[] = { 2, 31, 32, 33, 34, 35, 63, 64, 65, 300, 5000, DP_NAMES_MAX_OPEN - 2 };

	for (size_t i = 0; i < GW_COUNT(sizes); i++) {
		ck_assert_int_eq(wide(sizes[i], false), DP_SCAN_OK);
		ck_assert_int_eq(wide(sizes[i], true), DP_SCAN_DUPLICATE);
	}
	ck_assert_int_eq(wide(DP_NAMES_MAX_OPEN + 1, false), DP_SCAN_SYNTAX);
}
END_TEST

START_TEST(members_are_found_with_their_places)
{
	struct gw_str in = GW_STR(" {\"messages\":[{\"model\":\"no\"}], \"mod\\u0065l\" : \"q\\u0077\\\"\xe4\xb8\xad\" ,\"stream\":true,\"n\":-12.5e3 }\n");

	for (unsigned mode = 0; mode < slices_modes(in, 50); mode++) {
		struct dp_scan s;
		const struct dp_scan_member *m, *n, *st;

		scan(&s, in, mode);
		ck_assert_int_eq(dp_scan_end(&s), DP_SCAN_DONE);
		m = dp_scan_get(&s, 0);
		n = dp_scan_get(&s, 2);
		st = dp_scan_get(&s, 1);
		ck_assert(gw_str_is((struct gw_str){ in.p + m->at, m->n }, "\"q\\u0077\\\"\xe4\xb8\xad\""));
		ck_assert(gw_str_is((struct gw_str){ in.p + n->at, n->n }, "-12.5e3"));
		ck_assert_int_eq(n->type, DP_J_NUMBER);
		ck_assert_int_eq(st->type, DP_J_TRUE);
		ck_assert_uint_eq(st->n, 4);
		ck_assert_uint_eq(s.object_at, 1);
		ck_assert_uint_eq(s.object_end, in.n - 1);
		ck_assert(!s.empty);
	}
}
END_TEST

START_TEST(text_is_counted)
{
	struct gw_str in = GW_STR("{\"model\":\"m\",\"a\":[\"abc\",\"\xe4\xb8\xad\xe6\x96\x87x\",\"\\u4e2d\\n\",{\"\xe4\xb8\xad\":\"data:image/png;base64,AAAA\"}],\"b\":\"dat\",\"c\":\"\xe4\xb8\xad" "data:\"}");

	for (unsigned mode = 0; mode < slices_modes(in, 50); mode++) {
		struct dp_scan s;

		scan(&s, in, mode);
		ck_assert_int_eq(dp_scan_end(&s), DP_SCAN_DONE);
		ck_assert_int_eq(s.stat.ascii, 1 + 3 + 1 + 1 + 3 + 5);
		ck_assert_int_eq(s.stat.wide, 2 + 1 + 1);
		ck_assert_int_eq(s.stat.media, 1);
		ck_assert_int_eq(s.stat.objects, 1);
	}
}
END_TEST

/* A picture without "data:" before it; what is short, has blanks or wide characters stays text. */
START_TEST(long_base64_is_no_text)
{
	static const struct { size_t n; size_t blank_at; const char *end; bool media; } texts[] = {
		{ DP_SCAN_MEDIA_MIN, SIZE_MAX, "", true }, { 100000, SIZE_MAX, "==", true }, { DP_SCAN_MEDIA_MIN - 1, SIZE_MAX, "", false },
		{ 100000, 0, "", false }, { 100000, 150, "", false }, { 100000, SIZE_MAX, "\xe4\xb8\xad", false },
	};

	for (size_t i = 0; i < GW_COUNT(texts); i++)
		for (unsigned mode = 0; mode < 12; mode++) {
			struct gw_buf b;
			struct dp_scan s;

			gw_buf_init(&b, 1 << 20);
			gw_buf_add_c(&b, "{\"source\":{\"data\":\"");
			for (size_t k = 0; k < texts[i].n; k++)
				gw_buf_add_byte(&b, k == texts[i].blank_at ? ' ' : "iVBORw0KGgoAAAA/+9"[k % 18]);
			gw_buf_add_c(&b, texts[i].end);
			gw_buf_add_c(&b, "\"}}");
			scan(&s, gw_buf_str(&b), mode);
			ck_assert_int_eq(dp_scan_end(&s), DP_SCAN_DONE);
			ck_assert_msg(s.stat.media == texts[i].media && (s.stat.ascii == 0) == texts[i].media, "row %zu, slicing %u", i, mode);
			gw_buf_fini(&b);
		}
}
END_TEST

static void nested(struct gw_buf *b, size_t depth)
{
	gw_buf_init(b, 1 << 20);
	gw_buf_add_c(b, "{\"a\":");
	for (size_t i = 1; i < depth; i++)
		gw_buf_add_c(b, i % 2 ? "[" : "{\"x\":");
	gw_buf_add_c(b, "1");
	for (size_t i = depth; i-- > 1;)
		gw_buf_add_c(b, i % 2 ? "]" : "}");
	gw_buf_add_c(b, "}");
}

START_TEST(depth_has_a_limit)
{
	static const struct { size_t depth; enum verdict want; } cases[] = { { 127, OK }, { 128, OK }, { 129, DEEP }, { 10000, DEEP } };

	for (size_t i = 0; i < GW_COUNT(cases); i++) {
		struct gw_buf b;
		struct dp_scan s;

		nested(&b, cases[i].depth);
		scan(&s, gw_buf_str(&b), 0);
		(void)!dp_scan_end(&s);
		ck_assert_int_eq((int)s.fault, (int)cases[i].want);
		gw_buf_fini(&b);
	}
}
END_TEST

/* Digits are counted over all parts of a number, and the one too many is the place of the fault. */
START_TEST(numbers_have_so_many_digits)
{
	static const char *const forms[] = { "{\"n\":%s}", "{\"n\":-0.%s}", "{\"n\":1e%s}", "{\"n\":1.%s}" };
	static const unsigned before[] = { 0, 1, 1, 1 };
	char many[DP_SCAN_MAX_DIGITS + 2];

	for (size_t i = 0; i < GW_COUNT(forms); i++) {
		for (unsigned n = DP_SCAN_MAX_DIGITS - 2; n <= DP_SCAN_MAX_DIGITS + 1; n++) {
			struct gw_buf b;

			memset(many, '1', n);
			many[n] = '\0';
			gw_buf_init(&b, 4096);
			gw_buf_printf(&b, forms[i], many);
			for (unsigned mode = 0; mode < 2; mode++) {
				bool fits = n + before[i] <= DP_SCAN_MAX_DIGITS;
				struct dp_scan s;

				scan(&s, gw_buf_str(&b), mode);
				ck_assert_int_eq(s.fault, fits ? DP_SCAN_OK : DP_SCAN_SYNTAX);
				ck_assert_uint_eq(s.at, fits ? b.n : b.n - 1 - (n + before[i] - DP_SCAN_MAX_DIGITS - 1));
			}
			gw_buf_fini(&b);
		}
	}
}
END_TEST

/* Wherever a text is cut, the fault is the same and stands at the same byte. */
START_TEST(faults_have_one_place)
{
	for (size_t i = 0; i < GW_COUNT(rows) + GW_COUNT(strict_rows); i++) {
		bool strict = i >= GW_COUNT(rows);
		struct gw_str in = gw_str_c(strict ? strict_rows[i - GW_COUNT(rows)].text : rows[i].text);
		size_t at = 0;

		for (unsigned mode = 0; mode < slices_modes(in, 10); mode++) {
			struct dp_json_names seen;
			struct dp_scan s;

			dp_json_names_init(&seen);
			dp_scan_init(&s, strict_names, found, GW_COUNT(strict_names));
			if (strict)
				dp_scan_strict(&s, &seen);
			slices_run(in, mode, feed, &s);
			at = mode ? at : s.at;
			ck_assert_msg(s.at == at, "%s (slicing %u): %zu instead of %zu", in.p, mode, s.at, at);
			dp_json_names_fini(&seen);
		}
	}
}
END_TEST

/* Texts and names around the sixteen bytes that are looked at in one go, each with something in it at every place. */
START_TEST(blocks_hide_nothing)
{
	static const char *const odd[] = { "", "\\n", "\\u0041", "\xe4\xb8\xad", "\xc3\xa9", "\xf0\x9f\x98\x80", "\x7f" };

	for (size_t n = 0; n < 40; n++) {
		for (size_t k = 0; k < GW_COUNT(odd) * (n + 1); k++) {
			const char *it = odd[k % GW_COUNT(odd)];
			size_t at = k / GW_COUNT(odd);
			char fill[40], text[64];
			struct gw_buf b;

			memset(fill, 'x', sizeof fill);
			snprintf(text, sizeof text, "%.*s%s%.*s", (int)at, fill, it, (int)(n - at), fill);
			gw_buf_init(&b, 4096);
			gw_buf_printf(&b, "{\"%s\":\"%s\",\"n\":1}", text, text);
			for (unsigned mode = 0; mode < slices_modes(gw_buf_str(&b), 2); mode++) {
				bool wide = (unsigned char)*it >= 0x80;
				struct dp_scan s;

				scan(&s, gw_buf_str(&b), mode);
				ck_assert_int_eq(dp_scan_end(&s), DP_SCAN_DONE);
				ck_assert_int_eq(s.stat.ascii, (int64_t)n + (*it && !wide));
				ck_assert_int_eq(s.stat.wide, wide);
				ck_assert_uint_eq(dp_scan_get(&s, 2)->at, b.n - 2);
			}
			gw_buf_fini(&b);
		}
	}
}
END_TEST

START_TEST(every_truncation_is_noticed)
{
	struct gw_str in = GW_STR("{\"model\":\"a\\u0041\\ud83d\\ude00\xe4\xb8\xad\",\"n\":-1.5e+3,\"x\":[true,null,{\"y\":\"z\"}]}");

	for (size_t n = 0; n < in.n; n++) {
		struct dp_scan s;

		scan(&s, (struct gw_str){ in.p, n }, 0);
		ck_assert_int_eq(dp_scan_end(&s), DP_SCAN_BAD);
	}
}
END_TEST

UNIT_MAIN("json_scan", verdicts, strict_verdicts, wide_objects_have_one_of_each, members_are_found_with_their_places,
          text_is_counted, long_base64_is_no_text, depth_has_a_limit, numbers_have_so_many_digits, faults_have_one_place, blocks_hide_nothing,
          every_truncation_is_noticed)
