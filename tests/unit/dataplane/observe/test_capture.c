/* What is kept of a prompt and an answer: masked through every layer, cut at the edge of a character, or withheld. */
#include "observe/capture.h"

#include <unistd.h>

#include "base/str.h"
#include "json.h"
#include "unit.h"

static struct gw_route route;

static struct gw_buf buf(const char *text, size_t n)
{
	struct gw_buf b;

	gw_buf_init(&b, DP_CAPTURE_RAW_MAX);
	ck_assert(gw_buf_add(&b, (struct gw_str){ text, n }));
	return b;
}

static json_t *record(enum gw_capture mode, int64_t max, const char *prompt, const char *answer, bool stream)
{
	struct dp_capture c = {
		.route = &route, .request_id = GW_STR("r-1"), .prompt = buf(prompt, strlen(prompt)), .answer = buf(answer, strlen(answer)),
		.prompt_is_json = true, .answer_is_stream = stream, .prompt_bytes = (int64_t)strlen(prompt), .answer_bytes = (int64_t)strlen(answer),
	};
	struct gw_buf out;
	json_t *v = NULL;

	route = (struct gw_route){ .name = GW_STR("r"), .log = { mode, 100, max, gw_masker_builtin() } };
	gw_buf_init(&out, 8u << 20);
	dp_capture_record(&c, &out);
	ck_assert_int_eq(gw_json_parse(&v, gw_buf_str(&out), 8u << 20, NULL), GW_OK);
	gw_buf_fini(&out);
	gw_buf_fini(&c.prompt);
	gw_buf_fini(&c.answer);
	return v;
}

static const char *text(const json_t *v, const char *name) { return json_string_value(json_object_get(v, name)); }

START_TEST(every_layer)
{
	json_t *v = record(GW_CAPTURE_MASKED, 4096, "{\"m\":[{\"content\":\"a\\u0040b.com\"},{\"arguments\":\"{\\\"to\\\":\\\"c\\\\u0040d.org\\\",\\\"n\\\":"
	                   "13800138000}\"}],\"tel\":13800138000,\"year\":2026,\"img\":\"data:image/png;base64,AAAA\"}", "{\"ok\":\"x@y.net\"}", false);

	ck_assert_str_eq(text(v, "prompt"), "{\"m\":[{\"content\":\"[email]\"},{\"arguments\":\"{\\\"to\\\":\\\"[email]\\\",\\\"n\\\":\\\"[phone]\\\"}\"}],"
	                                    "\"tel\":\"[phone]\",\"year\":2026,\"img\":\"data:image/png;base64,AAAA\"}");
	ck_assert_str_eq(text(v, "answer"), "{\"ok\":\"[email]\"}");
	ck_assert_int_eq(json_integer_value(json_object_get(v, "masked")), 5);
	json_decref(v);
}
END_TEST

/* An address that comes in pieces is one address. */
START_TEST(streams)
{
	json_t *v = record(GW_CAPTURE_MASKED, 4096, "{}",
	                   "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"write to jo\"}}]}\n\n"
	                   ": ping\n\ndata: {\"choices\":[{\"index\":1,\"delta\":{\"content\":\"two\"}}]}\r\n\r\n"
	                   "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"hn@exam\"}}]}\n\ndata: broken\n\n"
	                   "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"ple.com\"}}]}\n\ndata: [DONE]\n\n", true);

	ck_assert_str_eq(text(v, "answer"), "write to [email]\n---\ntwo");
	json_decref(v);
	v = record(GW_CAPTURE_FULL, 4096, "{}", "event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"delta\":{\"type\":\"text_delta\",\"text\":\"Hel\"}}\n\n"
	           "data: {\"type\":\"content_block_delta\",\"delta\":{\"type\":\"text_delta\",\"text\":\"lo\"}}\n\n", true);
	ck_assert_str_eq(text(v, "answer"), "Hello");
	json_decref(v);
	v = record(GW_CAPTURE_FULL, 4096, "{}", "data: {\"type\":\"response.output_text.delta\",\"delta\":\"one\"}\n\n"
	           "data: {\"type\":\"response.completed\",\"response\":{\"output\":[{\"content\":[{\"text\":\"one\"}]}]}}\n\n", true);
	ck_assert_str_eq(text(v, "answer"), "one");
	json_decref(v);
}
END_TEST

/* Names of members, members that hold secrets, and spellings that patterns do not see but people and programs do. */
START_TEST(hiding_places)
{
	json_t *v = record(GW_CAPTURE_MASKED, 4096, "{\"li@example.cn\":1,\"wu@example.cn\":2,\"year\":3,\"dbPassword\":\"swordfish\",\"API-Key\":\"abc\","
	                   "\"token\":\"xy\",\"max_tokens\":5,\"secret\":{\"a\":\"j\\u006f@b.com\"}}", "", false);

	ck_assert_str_eq(text(v, "prompt"), "{\"[email]\":1,\"[email] (2)\":2,\"year\":3,\"dbPassword\":\"[key]\",\"API-Key\":\"[key]\",\"token\":\"[key]\","
	                                    "\"max_tokens\":5,\"secret\":{\"a\":\"[email]\"}}");
	json_decref(v);
	static const char *const hidden[] = {
		"see {\\\"to\\\":\\\"jo\\\\u0040b.com\\\"}",          /* escapes of JSON within a text */
		"jo\u200bhn@exam\u00adple.com", "john\uff20example.com", "\uff11\uff13\uff18 0013 8000", "1380\u200d0138000", "\ufeffsk-proj-\u2060abcdefghijklmnop1234",
		"4111 1111\u200b 1111 1111", "{\\\"a\\\":[\\\"x\\\\u0040y.net\\\"]}",
	};
	for (size_t i = 0; i < GW_COUNT(hidden); i++) {
		char prompt[300];

		snprintf(prompt, sizeof prompt, "{\"content\":\"%s\"}", hidden[i]);
		v = record(GW_CAPTURE_MASKED, 4096, prompt, "", false);
		ck_assert_msg(json_integer_value(json_object_get(v, "masked")) == 1, "%s gives %s", hidden[i], text(v, "prompt"));
		json_decref(v);
	}
	/* What is only written like that stays what it is. */
	v = record(GW_CAPTURE_MASKED, 4096, "{\"content\":\"\u4f60\u597d\uff0c\\\\u4f60 caf\u00e9\"}", "", false);
	ck_assert_str_eq(text(v, "prompt"), "{\"content\":\"\xe4\xbd\xa0\xe5\xa5\xbd\xef\xbc\x8c\\\\u4f60 caf\xc3\xa9\"}");
	json_decref(v);
}
END_TEST

/* Pieces of several texts come in turn: thinking and speech, two calls of tools, whose arguments are JSON. */
START_TEST(braided_streams)
{
	json_t *v = record(GW_CAPTURE_MASKED, 4096, "{}",
	                   "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"jo\",\"reasoning_content\":\"he is 138\"}}]}\n\n"
	                   "data: {\"choices\":[{\"index\":0,\"delta\":{\"reasoning_content\":\"00138000\",\"content\":\"hn@b.com\"}}]}\n\n"
	                   "data: {\"choices\":[{\"index\":0,\"delta\":{\"tool_calls\":[{\"index\":0,\"function\":{\"arguments\":\"{\\\"to\\\":\\\"a\\\\u00\"}},"
	                   "{\"index\":1,\"function\":{\"arguments\":\"{\\\"password\\\":\\\"sword\"}}]}}]}\n\n"
	                   "data: {\"choices\":[{\"index\":0,\"delta\":{\"tool_calls\":[{\"index\":1,\"function\":{\"arguments\":\"fish\\\"}\"}},"
	                   "{\"index\":0,\"function\":{\"arguments\":\"40b.com\\\"}\"}}]}}]}\n\n", true);

	ck_assert_str_eq(text(v, "answer"), "[email]\n---\nhe is [phone]\n---\n{\"to\":\"[email]\"}\n---\n{\"password\":\"[key]\"}");
	ck_assert_int_eq(json_integer_value(json_object_get(v, "masked")), 4);
	json_decref(v);
}
END_TEST

START_TEST(cut_and_withheld)
{
	char big[600] = "{\"content\":\"";
	json_t *v;

	for (size_t n = strlen(big); n < 500; n += 3)
		memcpy(big + n, "\xe4\xbd\xa0", 3);
	memcpy(big + strlen(big), "\"}", 3);
	v = record(GW_CAPTURE_FULL, 256, big, "not json", false);
	ck_assert_uint_le(strlen(text(v, "prompt")), 256);
	ck_assert(gw_utf8_valid(gw_str_c(text(v, "prompt"))));
	ck_assert_ptr_null(text(v, "answer"));
	ck_assert_ptr_nonnull(strstr(text(v, "note"), "no text"));
	json_decref(v);
	v = record(GW_CAPTURE_MASKED, 256, "{\"cut", "", false);
	ck_assert_ptr_null(text(v, "prompt"));
	ck_assert_ptr_nonnull(strstr(text(v, "note"), "cannot be read"));
	json_decref(v);
}
END_TEST

START_TEST(bounded_queues)
{
	struct dp_captures *c = dp_captures_open();
	struct gw_buf out;
	char *body = gw_alloc(DP_CAPTURE_RAW_MAX);
	size_t n = 0;

	memset(body, ' ', DP_CAPTURE_RAW_MAX);
	memcpy(body, "{\"a\":\"b\"}", 9);
	route = (struct gw_route){ .name = GW_STR("r"), .log = { GW_CAPTURE_FULL, 100, 1024, gw_masker_builtin() } };
	for (int i = 0; i < 200; i++) {
		struct dp_capture item = { .route = &route, .request_id = GW_STR("r"), .prompt = buf(body, DP_CAPTURE_RAW_MAX - 1), .prompt_is_json = true,
			.prompt_bytes = 9 };

		dp_captures_add(c, &item);
	}
	gw_buf_init(&out, 64u << 20);
	for (int i = 0; i < 2000 && n + dp_captures_dropped(c) < 200; i++) {
		n += dp_captures_take(c, 1 << 20, &out);
		usleep(5000);
	}
	ck_assert_uint_eq(n + dp_captures_dropped(c), 200);
	ck_assert_uint_gt(n, 0);
	ck_assert_uint_eq(dp_captures_kept(c), n);
	gw_buf_fini(&out);
	free(body);
	dp_captures_close(&c);
}
END_TEST

UNIT_MAIN("capture", every_layer, streams, hiding_places, braided_streams, cut_and_withheld, bounded_queues)
