/* Reading requests and rewriting them: what may change, and that nothing else does. */
#include <stdio.h>

#include "base/arena.h"
#include "base/str.h"
#include "dataplane/slices.h"
#include "llm/request.h"
#include "provider.h"
#include "unit.h"

static const struct dp_operation *op(const char *path)
{
	struct gw_str rest;
	const char *allow;
	const struct dp_operation *o = dp_operation_find(GW_STR("POST"), gw_str_c(path), &rest, NULL, &allow);

	ck_assert_ptr_nonnull(o);
	return o;
}

struct feeding { struct dp_reader *r; struct dp_refusal *why; bool ok; };

static bool feed(void *arg, struct gw_str piece)
{
	struct feeding *f = arg;

	return f->ok = dp_reader_feed(f->r, piece, f->why);
}

static bool parse(struct gw_arena *a, const char *path, const char *type, struct gw_str body, unsigned mode,
                  struct dp_request *q, struct dp_refusal *why)
{
	struct feeding f = { dp_reader_open(a, op(path), gw_str_c(type), why), why, true };

	if (!f.r)
		return false;
	slices_run(body, mode, feed, &f);
	return f.ok && dp_reader_finish(f.r, body, q, why);
}

#define CHAT "/v1/chat/completions"
#define JSON "application/json"

START_TEST(refusals)
{
	static const struct { enum dp_code code; const char *path, *type, *body; } rows[] = {
		{ DP_E_BAD_JSON, CHAT, JSON, "" }, { DP_E_BAD_JSON, CHAT, JSON, "[]" }, { DP_E_BAD_JSON, CHAT, JSON, "{\"model\":\"a\"" },
		{ DP_E_MISSING_MODEL, CHAT, JSON, "{}" }, { DP_E_MISSING_MODEL, CHAT, JSON, "{\"model\":\"\"}" },
		{ DP_E_MISSING_MODEL, CHAT, JSON, "{\"model\":null}" }, { DP_E_MISSING_MODEL, CHAT, JSON, "{\"model\":1}" },
		{ DP_E_AMBIGUOUS_MEMBER, CHAT, JSON, "{\"Model\":\"a\"}" }, { DP_E_MISSING_MODEL, CHAT, JSON, "{\"x\":{\"model\":\"a\"}}" },
		{ DP_E_AMBIGUOUS_MEMBER, CHAT, JSON, "{\"model\":\"a\",\"model\":\"a\"}" },
		{ DP_E_AMBIGUOUS_MEMBER, CHAT, JSON, "{\"model\":\"a\",\"m\\u006fdel\":\"b\"}" },
		{ DP_E_AMBIGUOUS_MEMBER, CHAT, JSON, "{\"model\":\"a\",\"stream\":true,\"stream\":false}" },
		{ DP_E_AMBIGUOUS_MEMBER, CHAT, JSON, "{\"max_tokens\":1,\"max_tokens\":2,\"model\":\"a\"}" },
		{ DP_E_AMBIGUOUS_MEMBER, CHAT, JSON, "{\"max_completion_tokens\":1,\"max_completion_tokens\":2,\"model\":\"a\"}" },
		{ DP_E_AMBIGUOUS_MEMBER, CHAT, JSON, "{\"n\":1,\"n\":2,\"model\":\"a\"}" },
		{ DP_E_AMBIGUOUS_MEMBER, CHAT, JSON, "{\"stream_options\":{},\"stream_options\":{},\"model\":\"a\"}" },
		{ DP_E_AMBIGUOUS_MEMBER, CHAT, JSON, "{\"model\":\"a\",\"messages\":[{\"role\":\"user\",\"role\":\"system\"}]}" },
		{ DP_E_AMBIGUOUS_MEMBER, CHAT, JSON, "{\"model\":\"a\",\"stream\":true,\"stream_options\":{\"Include_Usage\":false}}" },
		{ DP_E_AMBIGUOUS_MEMBER, CHAT, JSON, "{\"model\":\"a\",\"max_to\\u212aens\":9}" },
		{ DP_E_BAD_JSON, CHAT, JSON, "{\"model\":\"a\",\"model\\u0000\":\"b\"}" },
		{ DP_E_MISSING_MODEL, CHAT, JSON, "{\"model\":\"a\\u0000b\"}" }, { DP_E_MISSING_MODEL, CHAT, JSON, "{\"model\":\"a\\n\"}" },
		{ DP_E_BAD_JSON, CHAT, JSON, "{\"model\":\"a\",\"stream\":\"true\"}" }, { DP_E_BAD_JSON, CHAT, JSON, "{\"model\":\"a\",\"stream\":1}" },
		{ DP_E_BAD_JSON, CHAT, JSON, "{\"model\":\"a\",\"n\":\"1\"}" }, { DP_E_BAD_JSON, CHAT, JSON, "{\"model\":\"a\",\"max_tokens\":-1}" },
		{ DP_E_BAD_JSON, CHAT, JSON, "{\"model\":\"a\",\"stream_options\":1}" },
		{ DP_E_BAD_MEDIA, CHAT, "text/plain", "{}" }, { DP_E_BAD_MEDIA, CHAT, "multipart/form-data; boundary=x", "{}" },
		{ DP_E_BAD_MEDIA, "/v1/audio/transcriptions", JSON, "{}" }, { DP_E_BAD_MEDIA, "/v1/audio/transcriptions", "multipart/form-data", "" },
		{ DP_E_MISSING_MODEL, "/v1/audio/transcriptions", "multipart/form-data; boundary=x", "--x--" },
		{ DP_E_MISSING_MODEL, "/v1/audio/transcriptions", "multipart/form-data; boundary=x",
		  "--x\r\nContent-Disposition: form-data; name=model\r\n\r\na\n\r\n--x--" },
		{ DP_E_AMBIGUOUS_MEMBER, "/v1/audio/transcriptions", "multipart/form-data; boundary=x",
		  "--x\r\nContent-Disposition: form-data; name=model; name=file\r\n\r\na\r\n--x--" },
		{ DP_E_AMBIGUOUS_MEMBER, "/v1/audio/transcriptions", "multipart/form-data; boundary=x",
		  "--x\r\nContent-Disposition: form-data; name=model\r\n\r\na\r\n"
		  "--x\r\nContent-Disposition: form-data; name=model\r\n\r\na\r\n--x--" },
	};

	for (size_t i = 0; i < GW_COUNT(rows); i++)
		for (unsigned mode = 0; mode < slices_modes(gw_str_c(rows[i].body), 5); mode++) {
			struct gw_arena *a = gw_arena_open(0);
			struct dp_request q;
			struct dp_refusal why = { .code = DP_E_COUNT };

			ck_assert_msg(!parse(a, rows[i].path, rows[i].type, gw_str_c(rows[i].body), mode, &q, &why), "%s", rows[i].body);
			ck_assert_msg(why.code == rows[i].code, "%s gives %s: %s", rows[i].body, dp_code_wire(why.code), why.text);
			gw_arena_close(&a);
		}
}
END_TEST

START_TEST(what_is_read)
{
	struct gw_arena *a = gw_arena_open(0);
	struct dp_request q;
	struct gw_str body = GW_STR("{\"messages\":[{\"role\":\"user\",\"content\":\"abcdefgh\"}],\"stream\":true,\"stream_options\":{\"include_usage\":true},"
	                            "\"max_tokens\":5,\"max_completion_tokens\":7,\"n\":3,\"m\\u006fdel\":\"qwq\\u002d32b\"}");

	for (unsigned mode = 0; mode < slices_modes(body, 5); mode++) {
		ck_assert(parse(a, CHAT, "Application/JSON; charset=utf-8", body, mode, &q, NULL));
		ck_assert(gw_str_is(q.model, "qwq-32b"));
		ck_assert(q.stream && q.wants_usage);
		ck_assert_int_eq(q.max_tokens, 7);
		ck_assert_int_eq(q.n, 3);
		ck_assert_int_eq(q.prompt_estimate, (3 * (4 + 8 + 7) + 11) / 12 + 2 * 3);
	}
	ck_assert(parse(a, CHAT, "", GW_STR("{\"model\":\"a\",\"stream\":null,\"n\":null,\"stream_options\":null}"), 0, &q, NULL));
	ck_assert(!q.stream && !q.wants_usage && q.max_tokens == -1 && q.n == 1);
	ck_assert(parse(a, CHAT, "", GW_STR("{\"model\":\"a\",\"max_tokens\":9,\"max_completion_tokens\":1,\"max_output_tokens\":null}"), 0, &q, NULL));
	ck_assert_int_eq(q.max_tokens, 9); /* whichever the provider obeys, it is no more than this */
	ck_assert(parse(a, "/v1/embeddings", JSON, GW_STR("{\"model\":\"a\",\"stream\":true}"), 0, &q, NULL));
	ck_assert(!q.stream);
	gw_arena_close(&a);
}
END_TEST

/* Its length counts as it is meant, not as it is written. */
START_TEST(long_names_are_no_model)
{
	static const char *const letters[] = { "x", "\\u0078", "\\/" };

	for (size_t i = 0; i < GW_COUNT(letters); i++) {
		for (size_t n = 254; n <= 258; n++) {
			struct gw_arena *a = gw_arena_open(0);
			struct dp_refusal why;
			struct dp_request q;
			struct gw_buf b;
			bool ok;

			gw_buf_init(&b, 4096);
			gw_buf_add_c(&b, "{\"model\":\"");
			for (size_t k = 0; k < n; k++)
				gw_buf_add_c(&b, letters[i]);
			gw_buf_add_c(&b, "\"}");
			ok = parse(a, CHAT, JSON, gw_buf_str(&b), 1, &q, &why);
			ck_assert_int_eq(ok, n <= 256);
			if (ok)
				ck_assert_uint_eq(q.model.n, n);
			else
				ck_assert_str_eq(why.text, "`model` is longer than 256 bytes.");
			gw_buf_fini(&b);
			gw_arena_close(&a);
		}
	}
}
END_TEST

static void rewritten(const char *body, struct dp_rewrite w, const char *want)
{
	struct gw_arena *a = gw_arena_open(0);
	struct dp_request q;
	struct dp_refusal why;
	struct dp_body b;
	struct gw_buf out;

	ck_assert_msg(parse(a, CHAT, JSON, gw_str_c(body), 0, &q, &why), "%s", body);
	b = dp_request_rewrite(a, &q, gw_str_c(body), &w);
	gw_buf_init(&out, 4096);
	for (size_t i = 0; i < b.n_parts; i++)
		gw_buf_add(&out, b.parts[i]);
	ck_assert_uint_eq(out.n, b.bytes);
	ck_assert_msg(gw_str_is(gw_buf_str(&out), want), "%s\ngives  %.*s\nwanted %s", body, GW_FMT(gw_buf_str(&out)), want);
	gw_buf_fini(&out);
	gw_arena_close(&a);
}

#define W(...) (struct dp_rewrite){ __VA_ARGS__ }

START_TEST(rewrites)
{
	rewritten(" { \"model\" : \"a\", \"x\":1.0e2 ,\"y\":0.1} ", W(.model = GW_STR("a")), " { \"model\" : \"a\", \"x\":1.0e2 ,\"y\":0.1} ");
	rewritten("{\"x\":[1, 2],\"model\":\"a\"}", W(.model = GW_STR("deepseek-reasoner")), "{\"x\":[1, 2],\"model\":\"deepseek-reasoner\"}");
	rewritten("{\"mod\\u0065l\":\"\\u0061\"}", W(.model = GW_STR("a")), "{\"mod\\u0065l\":\"\\u0061\"}");
	rewritten("{\"model\":\"a\"}", W(.model = GW_STR("b\"c")), "{\"model\":\"b\\\"c\"}");
	rewritten("{\"model\":\"a\",\"stream\":true}", W(.ask_usage = true),
	          "{\"stream_options\":{\"include_usage\":true},\"model\":\"a\",\"stream\":true}");
	rewritten("{\"model\":\"a\"}", W(.ask_usage = true), "{\"model\":\"a\"}");
	rewritten("{\"model\":\"a\",\"stream\":true,\"stream_options\":{\"include_usage\":true}}", W(.ask_usage = true),
	          "{\"model\":\"a\",\"stream\":true,\"stream_options\":{\"include_usage\":true}}");
	rewritten("{\"model\":\"a\",\"stream\":true,\"stream_options\":{\"include_usage\": false, \"x\":1}}", W(.ask_usage = true),
	          "{\"model\":\"a\",\"stream\":true,\"stream_options\":{\"include_usage\": true, \"x\":1}}");
	rewritten("{\"model\":\"a\",\"stream\":true,\"stream_options\":{\"x\":1}}", W(.ask_usage = true),
	          "{\"model\":\"a\",\"stream\":true,\"stream_options\":{\"include_usage\":true,\"x\":1}}");
	rewritten("{\"model\":\"a\",\"stream\":true,\"stream_options\":{}}", W(.ask_usage = true),
	          "{\"model\":\"a\",\"stream\":true,\"stream_options\":{\"include_usage\":true}}");
	rewritten("{\"model\":\"a\",\"stream\":true,\"stream_options\":{\"x\":1,\"include\\u005fusage\":false}}", W(.ask_usage = true),
	          "{\"model\":\"a\",\"stream\":true,\"stream_options\":{\"x\":1,\"include\\u005fusage\":true}}");
	rewritten("{\"model\":\"a\",\"stream\":true,\"stream_options\":{\"include\\u005fusage\":true}}", W(.ask_usage = true),
	          "{\"model\":\"a\",\"stream\":true,\"stream_options\":{\"include\\u005fusage\":true}}");
	rewritten("{\"stream_options\":null,\"model\":\"a\",\"stream\":true}", W(.ask_usage = true),
	          "{\"stream_options\":{\"include_usage\":true},\"model\":\"a\",\"stream\":true}");
	rewritten("{\"model\":\"a\",\"stream\":false}", W(.model = GW_STR("b"), .force_stream = true, .ask_usage = true),
	          "{\"stream_options\":{\"include_usage\":true},\"model\":\"b\",\"stream\":true}");
	rewritten("{\"model\":\"a\"}", W(.force_stream = true, .ask_usage = true),
	          "{\"stream\":true,\"stream_options\":{\"include_usage\":true},\"model\":\"a\"}");
	rewritten("{\"model\":\"a\",\"stream\":null}", W(.force_stream = true), "{\"model\":\"a\",\"stream\":true}");
}
END_TEST

START_TEST(reasoning_is_stripped_from_history)
{
	struct dp_rewrite w = W(.strip_reasoning = true);

	rewritten("{\"model\":\"a\",\"messages\":[{\"role\":\"user\",\"content\":\"x\"},{\"role\":\"assistant\", \"reasoning_content\":\"t,}\" ,\"content\":\"y\"}]}", w,
	          "{\"model\":\"a\",\"messages\":[{\"role\":\"user\",\"content\":\"x\"},{\"role\":\"assistant\" ,\"content\":\"y\"}]}");
	rewritten("{\"model\":\"a\",\"messages\":[{\"reasoning_content\":\"t\",\"role\":\"assistant\"}]}", w,
	          "{\"model\":\"a\",\"messages\":[{\"role\":\"assistant\"}]}");
	rewritten("{\"model\":\"a\",\"messages\":[{\"role\":\"assistant\",\"reasoning_content\":null}]}", w,
	          "{\"model\":\"a\",\"messages\":[{\"role\":\"assistant\"}]}");
	rewritten("{\"model\":\"a\",\"messages\":[{\"reasoning_content\":\"t\"}]}", w, "{\"model\":\"a\",\"messages\":[{}]}");
	rewritten("{\"model\":\"a\",\"messages\":[{\"reasoning_content\":1,\"role\":\"x\",\"y\":[]},{\"role\":\"x\",\"reasoning_content\":3,\"y\":[]}]}", w,
	          "{\"model\":\"a\",\"messages\":[{\"role\":\"x\",\"y\":[]},{\"role\":\"x\",\"y\":[]}]}");
	rewritten("{\"model\":\"a\",\"messages\":[1,null,{\"reasoning_content\":\"a\"}],\"reasoning_content\":\"kept\"}", w,
	          "{\"model\":\"a\",\"messages\":[1,null,{}],\"reasoning_content\":\"kept\"}");
	rewritten("{\"model\":\"a\",\"messages\":\"none\"}", w, "{\"model\":\"a\",\"messages\":\"none\"}");
}
END_TEST

START_TEST(forms_keep_their_files)
{
	static const char body[] = "--x\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a\"\r\n\r\n\x00\xff\r\n\r\n"
	                           "--x\r\nContent-Disposition: form-data; name=\"model\"\r\n\r\nwhisper-1\r\n--x--\r\n";
	struct gw_str in = { body, sizeof body - 1 };
	struct gw_arena *a = gw_arena_open(0);
	struct dp_request q;
	struct dp_body b;

	ck_assert(parse(a, "/v1/audio/transcriptions", "multipart/form-data; boundary=x", in, 1, &q, NULL));
	ck_assert(gw_str_is(q.model, "whisper-1"));
	b = dp_request_rewrite(a, &q, in, &W(.model = GW_STR("big"), .force_stream = true, .ask_usage = true));
	ck_assert_uint_eq(b.bytes, in.n - 9 + 3);
	ck_assert_uint_eq(b.n_parts, 3);
	ck_assert_ptr_eq(b.parts[0].p, body);
	ck_assert(gw_str_is(b.parts[1], "big"));
	gw_arena_close(&a);
}
END_TEST

START_TEST(operations)
{
	static const struct { const char *method, *path, *want; } rows[] = {
		{ "POST", "/v1/chat/completions", "chat" }, { "POST", "/team-a/v1/chat/completions", "chat" }, { "POST", "/v1/completions", "completion" },
		{ "POST", "/v1/embeddings", "embedding" }, { "POST", "/v1/messages", "messages" }, { "POST", "/v1/responses", "responses" },
		{ "GET", "/v1/models", "models" }, { "HEAD", "/v1/models", "models" }, { "GET", "/v1/models/a/b", "models" },
		{ "POST", "/v1/v1/chat/completions", "chat" }, { "GET", "/v1/chat/completions", "405" }, { "POST", "/v1/models", "405" },
		{ "POST", "/chat/completions", "404" }, { "POST", "/v1/chat", "404" }, { "POST", "/v1/chat/completions/", "404" }, { "GET", "/", "404" },
		{ "GET", "/v1/models/", "404" }, { "POST", "/xv1/chat/completions", "404" }, { "POST", "/V1/chat/completions", "404" },
	};
	struct gw_str rest;
	const char *allow;

	for (size_t i = 0; i < GW_COUNT(rows); i++) {
		struct dp_refusal why = { .text = "" };
		const struct dp_operation *o = dp_operation_find(gw_str_c(rows[i].method), gw_str_c(rows[i].path), &rest, &why, &allow);
		char code[8];

		snprintf(code, sizeof code, "%u", o ? 0 : dp_code_status(why.code));
		ck_assert_msg(strcmp(o ? o->name : code, rows[i].want) == 0, "%s %s gives %s", rows[i].method, rows[i].path, o ? o->name : code);
	}
	ck_assert_ptr_nonnull(dp_operation_find(GW_STR("GET"), GW_STR("/v1/models/x"), &rest, NULL, &allow));
	ck_assert(gw_str_is(rest, "/x"));
	ck_assert_ptr_eq(dp_dialect_guess(GW_STR("/v1/messages/x"), false), &dp_anthropic_messages);
	ck_assert_ptr_eq(dp_dialect_guess(GW_STR("/v1/models"), true), &dp_anthropic_messages);
	ck_assert_ptr_eq(dp_dialect_guess(GW_STR("/v1/models"), false), &dp_openai_chat);
}
END_TEST

UNIT_MAIN("request", refusals, what_is_read, long_names_are_no_model, rewrites, reasoning_is_stripped_from_history, forms_keep_their_files, operations)
