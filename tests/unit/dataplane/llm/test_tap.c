/* Recorded streams of five vendors, cut everywhere: the client's bytes and the ledger's figures never change. */
#include <stdio.h>

#include "base/arena.h"
#include "base/file.h"
#include "base/str.h"
#include "dataplane/slices.h"
#include "json.h"
#include "llm/tap.h"
#include "llm/tokens.h"
#include "unit.h"

#define T(p, c, w, out, r) { .prompt = p, .cached = c, .cache_write = w, .completion = out, .reasoning = r }

/* ---- a sink that keeps everything ---- */

static enum dp_flow sink_feed(struct dp_stream *s, const struct dp_chunk *c)
{
	struct gw_buf **out = dp_state(s);

	gw_buf_add(*out, c->u.bytes);
	return DP_GO;
}

static void sink_init(struct dp_stream *s, void *arg)
{
	memcpy(dp_state(s), &arg, sizeof arg);
}

static const struct dp_stage sink = { .name = "sink", .eats = DP_BYTES, .size = sizeof(void *), .init = sink_init, .feed = sink_feed };

struct result {
	struct gw_arena *a;
	struct dp_tap *t;
	struct gw_buf out;
	enum dp_flow end;
};

static bool feed(void *arg, struct gw_str piece)
{
	return dp_feed_bytes(arg, piece) != DP_ERROR;
}

static void run(struct result *r, struct dp_tap_setup setup, struct gw_str in, unsigned mode, enum dp_close how)
{
	struct dp_stream *s;

	r->a = gw_arena_open(0);
	gw_buf_init(&r->out, 1 << 24);
	r->t = dp_tap_open(r->a, &setup);
	s = dp_tap_chain(r->a, r->t, dp_stream_open(r->a, &sink, &r->out, NULL));
	slices_run(in, mode, feed, s);
	r->end = dp_finish(s, how);
}

static void done(struct result *r)
{
	gw_arena_close(&r->a);
	gw_buf_fini(&r->out);
}

static const struct dp_operation *chat(void)
{
	return dp_operation_at(0);
}

static const struct dp_operation *op(const char *name)
{
	const struct dp_operation *found = NULL;

	for (size_t i = 0; dp_operation_at(i); i++)
		if (strcmp(dp_operation_at(i)->name, name) == 0)
			found = dp_operation_at(i);
	ck_assert_msg(found != NULL, "%s", name);
	return found;
}

#define SETUP(...) (struct dp_tap_setup){ .op = chat(), __VA_ARGS__ }
#define STREAM .client_streams = true, .upstream_streams = true

static void load(struct gw_buf *b, const char *name)
{
	char path[512];
	struct gw_error err;

	snprintf(path, sizeof path, TG_FIXTURES "/streams/%s", name);
	gw_buf_init(b, 1 << 20);
	ck_assert_msg(gw_file_read(b, path, &err) == GW_OK, "%s: %s", path, err.text);
}

static const struct golden {
	const char *name;
	bool injected;
	struct gw_tokens tokens;
	int64_t ascii, wide;
	unsigned events;
	const char *finish;
	const char *op;              /* NULL: chat */
} golden[] = {
	{ "openai", true, T(16, 4, 0, 300, 0), 3 + 15, 2, 9, "stop", NULL },
	{ "deepseek", false, T(18, 0, 0, 345, 315), 2 + 6 + 2 + 5 + 5 + 1, 3, 10, "stop", NULL },
	{ "dashscope", true, T(24, 0, 0, 1355, 1084), 0, 0, 11, "tool_calls", NULL },
	{ "vllm", true, T(9, 0, 0, 5, 0), 2 + 1 + 2, 1, 7, "stop", NULL },
	{ "anthropic", false, { .prompt = 5140, .cached = 2048, .cache_write = 3068, .cache_write_1h = 2048, .completion = 198, .reasoning = 62 },
	  22 + 9 + 13 + 7 + 23, 2 + 2 + 2, 24, "tool_use", "messages" },
};

static void same(const struct result *r, const struct golden *g, struct gw_str want, unsigned mode)
{
	struct gw_tokens t;

	if (!gw_str_eq(gw_buf_str(&r->out), want))
		ck_abort_msg("%s, slicing %u, gives\n%.*s", g->name, mode, GW_FMT(gw_buf_str(&r->out)));
	ck_assert_int_eq(dp_tap_usage(r->t, 1, &t), GW_USAGE_PROVIDER);
	ck_assert_int_eq(t.prompt, g->tokens.prompt);
	ck_assert_int_eq(t.cached, g->tokens.cached);
	ck_assert_int_eq(t.cache_write, g->tokens.cache_write);
	ck_assert_int_eq(t.cache_write_1h, g->tokens.cache_write_1h);
	ck_assert_int_eq(t.completion, g->tokens.completion);
	ck_assert_int_eq(t.reasoning, g->tokens.reasoning);
	ck_assert(dp_tap_complete(r->t) && r->t->first_token && r->t->done_marker && !r->t->error_seen);
	ck_assert_uint_eq(r->t->events, g->events);
	ck_assert_uint_eq(r->t->bad_events, 0);
	ck_assert_str_eq(r->t->finish_reason, g->finish);
	if (g->ascii) {
		ck_assert_int_eq(r->t->ascii, g->ascii);
		ck_assert_int_eq(r->t->wide, g->wide);
	}
}

START_TEST(golden_streams_at_every_cut)
{
	for (size_t i = 0; i < GW_COUNT(golden); i++) {
		const struct dp_operation *asked = golden[i].op ? op(golden[i].op) : chat();
		char name[64];
		struct gw_buf up, client;

		snprintf(name, sizeof name, "%s.sse", golden[i].name);
		load(&up, name);
		snprintf(name, sizeof name, "%s.client.sse", golden[i].name);
		load(&client, name);
		for (unsigned mode = 0; mode < slices_modes(gw_buf_str(&up), 100); mode++) {
			struct result r;

			run(&r, (struct dp_tap_setup){ .op = asked, STREAM, .usage_injected = golden[i].injected }, gw_buf_str(&up), mode, DP_CLOSE_CLEAN);
			same(&r, &golden[i], gw_buf_str(&client), mode);
			done(&r);
		}
		/* A client that asked for usage itself gets every byte. */
		for (unsigned mode = 0; mode < 2; mode++) {
			struct result r;

			run(&r, (struct dp_tap_setup){ .op = asked, STREAM, .client_usage = true, .usage_injected = true }, gw_buf_str(&up), mode, DP_CLOSE_CLEAN);
			same(&r, &golden[i], gw_buf_str(&up), mode);
			done(&r);
		}
		gw_buf_fini(&up);
		gw_buf_fini(&client);
	}
}
END_TEST

/* LF, CRLF and CR; blanks and orders of members; BOM: only what we asked for goes, byte for byte. */
START_TEST(only_what_was_asked_for_is_hidden)
{
	static const struct { const char *in, *out; } rows[] = {
		{ "data: {\"choices\":[{}],\"usage\":null}\n\n", "data: {\"choices\":[{}]}\n\n" },
		{ "data: {\"usage\":null,\"choices\":[{}]}\r\n\r\n", "data: {\"choices\":[{}]}\r\n\r\n" },
		{ "data: {\"usage\" : null , \"choices\":[{}]}\r\r", "data: {\"choices\":[{}]}\r\r" },
		{ "data:{ \"a\":1, \"usage\": null, \"choices\":[{}]}\n\n", "data:{ \"a\":1, \"choices\":[{}]}\n\n" },
		{ "data: {\"usage\":null}\n\n", "data: {}\n\n" },
		{ "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":1}}\r\n\r\n: c\r\n\r\n", ": c\r\n\r\n" },
		{ "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":1}}\r\rdata: [DONE]\r\r", "data: [DONE]\r\r" },
		{ "data: {\"choices\":[{}],\"usage\":{\"prompt_tokens\":1}}\n\n", "data: {\"choices\":[{}],\"usage\":{\"prompt_tokens\":1}}\n\n" },
		{ "data: {\"choices\":[],\"usage\":null}\n\n", "data: {\"choices\":[]}\n\n" },
		{ "data: {\"choices\":[],\"prompt_filter_results\":[]}\n\n", "data: {\"choices\":[],\"prompt_filter_results\":[]}\n\n" },
		{ "data: {\"choices\":[{\"usage\":null}]}\n\n", "data: {\"choices\":[{\"usage\":null}]}\n\n" },
		{ "\xef\xbb\xbf" "data: {\"choices\":[{}],\"usage\":null}\n\n", "\xef\xbb\xbf" "data: {\"choices\":[{}]}\n\n" },
		{ "event: x\ndata: {\"choices\":[{}],\"usage\":null}\nid: 1\n\n", "event: x\ndata: {\"choices\":[{}]}\nid: 1\n\n" },
		{ "data: {\"choices\":[{}],\"usage\":null\n\n", "data: {\"choices\":[{}],\"usage\":null\n\n" },
		{ "data: not json\n\ndata: 1\n\n", "data: not json\n\ndata: 1\n\n" },
		{ ": keep-alive\n\n\n\n", ": keep-alive\n\n\n\n" },
		{ "data: {\"choices\":[{}],\ndata: \"usage\":null}\n\n", "data: {\"choices\":[{}],\ndata: \"usage\":null}\n\n" },
	};

	for (size_t i = 0; i < GW_COUNT(rows); i++)
		for (unsigned mode = 0; mode < slices_modes(gw_str_c(rows[i].in), 30); mode++) {
			struct result r;

			run(&r, SETUP(STREAM, .usage_injected = true), gw_str_c(rows[i].in), mode, DP_CLOSE_CLEAN);
			if (!gw_str_is(gw_buf_str(&r.out), rows[i].out))
				ck_abort_msg("%s\nslicing %u gives %.*s", rows[i].in, mode, GW_FMT(gw_buf_str(&r.out)));
			done(&r);
		}
}
END_TEST

#define ROLE "data: {\"choices\":[{\"index\":0,\"delta\":{\"role\":\"assistant\",\"content\":\"\"}}]}\n\n"
#define TEXT "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"hi\"}}]}\n\n"
#define STOP "data: {\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n"
#define ERR "data: {\"error\":{\"message\":\"it broke\",\"code\":500}}\n\n"
#define DONE "data: [DONE]\n\n"

START_TEST(ends)
{
	static const struct { const char *in; enum dp_close how; bool complete, token, error; const char *out; } rows[] = {
		{ ROLE TEXT STOP DONE, DP_CLOSE_CLEAN, true, true, false, ROLE TEXT STOP DONE },
		{ ROLE TEXT STOP, DP_CLOSE_CLEAN, true, true, false, ROLE TEXT STOP },
		{ ROLE TEXT STOP, DP_CLOSE_TRUNCATED, false, true, false, ROLE TEXT STOP },
		{ ROLE TEXT STOP DONE, DP_CLOSE_TRUNCATED, true, true, false, ROLE TEXT STOP DONE },
		{ ROLE TEXT, DP_CLOSE_CLEAN, false, true, false, ROLE TEXT },
		{ ROLE, DP_CLOSE_CLEAN, false, false, false, ROLE },
		{ ": keep-alive\n\n", DP_CLOSE_CLEAN, false, false, false, ": keep-alive\n\n" },
		{ "", DP_CLOSE_CLEAN, false, false, false, "" },
		{ DONE, DP_CLOSE_CLEAN, true, false, false, DONE },
		{ ROLE TEXT ERR DONE, DP_CLOSE_CLEAN, false, true, true, ROLE TEXT ERR },
		{ ERR, DP_CLOSE_CLEAN, false, false, true, ERR },
		{ ROLE TEXT "data: {\"choices\":[{\"ind", DP_CLOSE_CLEAN, false, true, false, ROLE TEXT },
		{ ROLE TEXT STOP "data: [DONE]", DP_CLOSE_CLEAN, true, true, false, ROLE TEXT STOP DONE },
		{ ROLE TEXT STOP "data: [DONE]\n", DP_CLOSE_CLEAN, true, true, false, ROLE TEXT STOP DONE },
		{ ROLE TEXT STOP "data: [DO", DP_CLOSE_CLEAN, true, true, false, ROLE TEXT STOP },
		{ ROLE TEXT ": keep-al", DP_CLOSE_TRUNCATED, false, true, false, ROLE TEXT },
		{ ROLE TEXT STOP DONE DONE TEXT, DP_CLOSE_CLEAN, true, true, false, ROLE TEXT STOP DONE DONE TEXT },
		{ "data: {\"choices\":[{\"delta\":{\"content\":\"data: [DONE]\\n\\ndata: [DONE]\"}}]}\n\n", DP_CLOSE_CLEAN, false, true, false,
		  "data: {\"choices\":[{\"delta\":{\"content\":\"data: [DONE]\\n\\ndata: [DONE]\"}}]}\n\n" },
		{ "data: {\"choices\":[{\"delta\":{\"tool_calls\":[{\"index\":0}]}}]}\n\n", DP_CLOSE_CLEAN, false, true, false,
		  "data: {\"choices\":[{\"delta\":{\"tool_calls\":[{\"index\":0}]}}]}\n\n" },
		{ "data: {\"choices\":[{\"delta\":{\"content\":null,\"reasoning_content\":null,\"tool_calls\":null}}]}\n\n", DP_CLOSE_CLEAN, false, false,
		  false, "data: {\"choices\":[{\"delta\":{\"content\":null,\"reasoning_content\":null,\"tool_calls\":null}}]}\n\n" },
	};

	for (size_t i = 0; i < GW_COUNT(rows); i++)
		for (unsigned mode = 0; mode < slices_modes(gw_str_c(rows[i].in), 10); mode++) {
			struct result r;

			run(&r, SETUP(STREAM), gw_str_c(rows[i].in), mode, rows[i].how);
			ck_assert_msg(dp_tap_complete(r.t) == rows[i].complete, "%s", rows[i].in);
			ck_assert_msg(r.t->first_token == rows[i].token, "%s", rows[i].in);
			ck_assert_int_eq(r.t->error_seen, rows[i].error);
			if (rows[i].error)
				ck_assert_str_eq(r.t->error_text, "it broke");
			ck_assert_msg(gw_str_is(gw_buf_str(&r.out), rows[i].out), "%s gives %.*s", rows[i].in, GW_FMT(gw_buf_str(&r.out)));
			done(&r);
		}
}
END_TEST

/* Vendors' ways of saying usage; the last value of each field counts, totals are ours. */
START_TEST(usage_dialects)
{
	static const struct { const char *usage; bool apart; struct gw_tokens want; } rows[] = {
		{ "{\"prompt_tokens\":3,\"completion_tokens\":4,\"total_tokens\":9}", false, T(3, 0, 0, 4, 0) },
		{ "{\"prompt_tokens\":12,\"completion_tokens\":1,\"total_tokens\":303,\"completion_tokens_details\":{\"reasoning_tokens\":290}}", true, T(12, 0, 0, 291, 290) },
		{ "{\"prompt_tokens\":12,\"completion_tokens\":1,\"total_tokens\":303,\"completion_tokens_details\":{\"reasoning_tokens\":290}}", false, T(12, 0, 0, 291, 290) },
		{ "{\"prompt_tokens\":12,\"completion_tokens\":300,\"total_tokens\":312,\"completion_tokens_details\":{\"reasoning_tokens\":290}}", false, T(12, 0, 0, 300, 290) },
		{ "{\"prompt_tokens\":100,\"completion_tokens\":1,\"prompt_cache_hit_tokens\":64,\"prompt_cache_miss_tokens\":36}", false, T(100, 64, 0, 1, 0) },
		{ "{\"prompt_tokens\":100,\"completion_tokens\":40,\"prompt_tokens_details\":{\"audio_tokens\":30},\"completion_tokens_details\":{\"audio_tokens\":900}}",
		  false, { .prompt = 100, .completion = 40, .audio_prompt = 30, .audio_completion = 40 } },
		{ "{\"prompt_tokens\":100,\"completion_tokens\":1,\"cache_creation_input_tokens\":60,\"cache_creation\":{\"ephemeral_5m_input_tokens\":40,\"ephemeral_1h_input_tokens\":20}}",
		  false, { .prompt = 100, .cache_write = 60, .completion = 1, .cache_write_1h = 20 } },
		{ "{\"prompt_tokens\":100,\"completion_tokens\":1,\"cached_tokens\":50}", false, T(100, 50, 0, 1, 0) },
		{ "{\"input_tokens\":7,\"output_tokens\":8,\"input_tokens_details\":{\"cached_tokens\":2},\"output_tokens_details\":{\"reasoning_tokens\":3}}", false, T(7, 2, 0, 8, 3) },
		{ "{\"prompt_tokens\":-5,\"completion_tokens\":1e99}", false, { .completion = (int64_t)1 << 40 } },
		{ "{\"prompt_tokens\":5,\"completion_tokens\":2,\"prompt_tokens_details\":{\"cached_tokens\":900}}", false, T(5, 5, 0, 2, 0) },
		{ "{\"total_tokens\":815}", false, T(815, 0, 0, 0, 0) },
	};

	for (size_t i = 0; i < GW_COUNT(rows); i++)
		for (int stream = 0; stream < 2; stream++) {
			struct result r;
			struct gw_buf in;
			struct gw_tokens t;

			gw_buf_init(&in, 4096);
			gw_buf_printf(&in, "%s{\"choices\":[{\"index\":0,\"delta\":{\"content\":\"x\"},\"finish_reason\":\"stop\"}],\"usage\":%s}%s",
			              stream ? "data: " : "", rows[i].usage, stream ? "\n\n" : "");
			run(&r, SETUP(.client_streams = stream, .upstream_streams = stream, .reasoning_apart = rows[i].apart), gw_buf_str(&in), 1, DP_CLOSE_CLEAN);
			ck_assert_int_eq(dp_tap_usage(r.t, 1, &t), GW_USAGE_PROVIDER);
			ck_assert_msg(memcmp(&t, &rows[i].want, sizeof t) == 0, "%s gives %d %d %d %d", rows[i].usage, (int)t.prompt, (int)t.cached,
			              (int)t.completion, (int)t.reasoning);
			ck_assert(dp_tap_complete(r.t));
			ck_assert(gw_str_eq(gw_buf_str(&r.out), gw_buf_str(&in)));
			done(&r);
			gw_buf_fini(&in);
		}
}
END_TEST

START_TEST(usage_in_odd_places)
{
	struct result r;
	struct gw_tokens t;

	run(&r, SETUP(STREAM), GW_STR("data: {\"choices\":[{\"delta\":{},\"finish_reason\":\"stop\",\"usage\":{\"prompt_tokens\":3,\"completion_tokens\":4}}]}\n\n"), 1, DP_CLOSE_CLEAN);
	ck_assert_int_eq(dp_tap_usage(r.t, 0, &t), GW_USAGE_PROVIDER);
	ck_assert_int_eq(t.completion, 4);
	done(&r);
	run(&r, SETUP(STREAM), GW_STR("data: {\"choices\":[],\"x_groq\":{\"usage\":{\"prompt_tokens\":3,\"completion_tokens\":5}}}\n\n" DONE), 1, DP_CLOSE_CLEAN);
	ck_assert_int_eq(dp_tap_usage(r.t, 0, &t), GW_USAGE_PROVIDER);
	ck_assert_int_eq(t.completion, 5);
	done(&r);
	/* continuous usage: the last one counts, null does not wipe it out */
	run(&r, SETUP(STREAM), GW_STR("data: {\"usage\":{\"prompt_tokens\":3,\"completion_tokens\":1}}\n\ndata: {\"usage\":{\"completion_tokens\":6}}\n\ndata: {\"usage\":null}\n\n" DONE), 1, DP_CLOSE_CLEAN);
	ck_assert_int_eq(dp_tap_usage(r.t, 0, &t), GW_USAGE_PROVIDER);
	ck_assert_int_eq(t.prompt, 3);
	ck_assert_int_eq(t.completion, 6);
	done(&r);
	/* none at all: estimated from what passed */
	run(&r, SETUP(STREAM), GW_STR("data: {\"choices\":[{\"delta\":{\"content\":\"abcdefgh\xe4\xb8\xad\xe6\x96\x87\xe5\xad\x97\"}}]}\n\n"), 1, DP_CLOSE_ABORT);
	ck_assert_int_eq(dp_tap_usage(r.t, 11, &t), GW_USAGE_ESTIMATED);
	ck_assert_int_eq(t.prompt, 11);
	ck_assert_int_eq(t.completion, 4);
	done(&r);
}
END_TEST

START_TEST(json_passes_and_is_read)
{
	static const char body[] = "\n\n\n{\"id\":\"x\",\"choices\":[{\"index\":0,\"message\":{\"role\":\"assistant\",\"content\":\"\\\"usage\\\":{}\"},\"finish_reason\":\"stop\"}],"
	                           "\"usage\":{\"prompt_tokens\":18,\"completion_tokens\":345,\"completion_tokens_details\":{\"reasoning_tokens\":315}},\"fp\":null}";
	struct gw_str in = GW_STR_NONE;
	struct gw_tokens t;

	in = gw_str_c(body);
	for (unsigned mode = 0; mode < slices_modes(in, 50); mode++) {
		struct result r;

		run(&r, SETUP(.client_streams = false), in, mode, DP_CLOSE_CLEAN);
		ck_assert(gw_str_eq(gw_buf_str(&r.out), in));
		ck_assert(dp_tap_complete(r.t) && r.t->first_token);
		ck_assert_int_eq(dp_tap_usage(r.t, 0, &t), GW_USAGE_PROVIDER);
		ck_assert_int_eq(t.prompt, 18);
		ck_assert_int_eq(t.reasoning, 315);
		ck_assert(!dp_tap_changes_length(r.t) && !dp_tap_content_type(r.t).p);
		done(&r);
	}
	for (size_t n = 0; n < in.n; n++) {
		struct result r;

		run(&r, SETUP(.client_streams = false), (struct gw_str){ in.p, n }, 0, DP_CLOSE_CLEAN);
		ck_assert(!dp_tap_complete(r.t));
		ck_assert_int_eq(r.t->first_token, n > 3);
		done(&r);
	}
}
END_TEST

/* Usage is read where it lies when it came in one piece; how large it may be must not depend on that. */
START_TEST(large_usage_is_read_up_to_one_size)
{
	for (size_t pad = 8192 - 70; pad < 8192 - 40; pad++) {
		struct gw_buf b;
		size_t at, size;

		gw_buf_init(&b, 1 << 20);
		gw_buf_add_c(&b, "{\"id\":\"x\",\"usage\":");
		at = b.n;
		gw_buf_printf(&b, "{\"prompt_tokens\":18,%*s\"completion_tokens\":345}", (int)pad, "");
		size = b.n - at;
		gw_buf_add_c(&b, ",\"choices\":[]}");
		for (unsigned mode = 0; mode < 4; mode++) {
			unsigned modes[] = { 0, 1, 40, (unsigned)b.n + 1 };
			struct gw_tokens t;
			struct result r;

			run(&r, SETUP(.client_streams = false), gw_buf_str(&b), modes[mode], DP_CLOSE_CLEAN);
			ck_assert(dp_tap_complete(r.t));
			ck_assert_int_eq(dp_tap_usage(r.t, 0, &t), size <= 8192 ? GW_USAGE_PROVIDER : GW_USAGE_ESTIMATED);
			if (size <= 8192)
				ck_assert_int_eq(t.completion, 345);
			done(&r);
		}
		gw_buf_fini(&b);
	}
}
END_TEST

START_TEST(an_error_inside_200_is_seen)
{
	struct result r;

	run(&r, SETUP(.client_streams = false), GW_STR("{\"error\":{\"code\":429,\"message\":\"slow down\"},\"user_id\":\"u\"}"), 1, DP_CLOSE_CLEAN);
	ck_assert(r.t->error_seen && !dp_tap_complete(r.t));
	ck_assert_str_eq(r.t->error_text, "slow down");
	done(&r);
}
END_TEST

/* ---- collected and spread ---- */

static json_t *parsed(const struct result *r)
{
	json_t *v = NULL;
	struct gw_error err = { .text = "" };

	ck_assert_msg(gw_json_parse(&v, gw_buf_str(&r->out), 1 << 24, &err) == GW_OK, "%s: %.*s", err.text, GW_FMT(gw_buf_str(&r->out)));
	return v;
}

static void is_text(struct gw_str body, const char *path, const char *want)
{
	struct gw_buf b;

	gw_buf_init(&b, 65536);
	ck_assert_msg(dp_json_text(&b, dp_json_doc_at(body, path)), "%s", path);
	ck_assert_msg(gw_str_is(gw_buf_str(&b), want), "%s is %.*s", path, GW_FMT(gw_buf_str(&b)));
	gw_buf_fini(&b);
}

START_TEST(a_stream_is_collected)
{
	struct gw_buf up;
	struct gw_str body;

	load(&up, "dashscope.sse");
	for (unsigned mode = 0; mode < 40; mode++) {
		struct result r;
		struct gw_tokens t;

		run(&r, SETUP(.upstream_streams = true, .usage_injected = true), gw_buf_str(&up), mode, DP_CLOSE_CLEAN);
		ck_assert_int_ne(r.end, DP_ERROR);
		body = gw_buf_str(&r.out);
		json_decref(parsed(&r));
		is_text(body, "id", "chatcmpl-7ed765de-de61-9a89-87f2-da9f2e39f825");
		is_text(body, "object", "chat.completion");
		is_text(body, "model", "qwq-32b");
		is_text(body, "choices[0].message.role", "assistant");
		is_text(body, "choices[0].message.content", "\xe6\x98\xa5\xe9\xa3\x8e\xe5\x8f\x88\xe7\xbb\xbf\n");
		is_text(body, "choices[0].message.reasoning_content", "\xe5\xa5\xbd\xe7\x9a\x84\xef\xbc\x8c\"\xe8\xaf\x97\"\\n\xe4\xb8\x83\xe8\xa8\x80");
		is_text(body, "choices[0].message.tool_calls[0].id", "call_1");
		is_text(body, "choices[0].message.tool_calls[0].function.name", "get_weather");
		is_text(body, "choices[0].message.tool_calls[0].function.arguments", "{\"city\": \"\xe6\x9d\xad\xe5\xb7\x9e\"}");
		is_text(body, "choices[0].finish_reason", "tool_calls");
		ck_assert_int_eq(dp_json_doc_at(body, "choices[0].message.tool_calls[1]").type, DP_J_NONE);
		ck_assert(gw_str_is(dp_json_doc_at(body, "usage.total_tokens").raw, "1379"));
		ck_assert(gw_str_is(dp_tap_content_type(r.t), "application/json") && dp_tap_changes_length(r.t));
		ck_assert_int_eq(dp_tap_usage(r.t, 0, &t), GW_USAGE_PROVIDER);
		ck_assert_int_eq(t.reasoning, 1084);
		done(&r);
	}
	/* cut off anywhere before its end it is no answer */
	for (size_t n = 0; n < up.n - 2; n += 7) {
		struct result r;

		run(&r, SETUP(.upstream_streams = true), (struct gw_str){ up.p, n }, 0, DP_CLOSE_TRUNCATED);
		ck_assert_int_eq(r.end, DP_ERROR);
		ck_assert_uint_eq(r.out.n, 0);
		done(&r);
	}
	gw_buf_fini(&up);
}
END_TEST

START_TEST(several_choices_are_collected_in_order)
{
	struct gw_buf up;
	struct result r;

	load(&up, "openai.sse");
	run(&r, SETUP(.upstream_streams = true), gw_buf_str(&up), 1, DP_CLOSE_CLEAN);
	json_decref(parsed(&r));
	is_text(gw_buf_str(&r.out), "choices[0].message.content", "Hello \"usage\":null");
	is_text(gw_buf_str(&r.out), "choices[1].message.content", "\xe4\xbd\xa0\xe5\xa5\xbd");
	ck_assert(gw_str_is(dp_json_doc_at(gw_buf_str(&r.out), "choices[1].index").raw, "1"));
	done(&r);
	run(&r, SETUP(.upstream_streams = true), GW_STR(ROLE TEXT ERR DONE), 1, DP_CLOSE_CLEAN);
	ck_assert_int_eq(r.end, DP_ERROR);
	ck_assert_str_eq(r.t->error_text, "it broke");
	done(&r);
	run(&r, SETUP(.upstream_streams = true, .max_answer = 10), gw_buf_str(&up), 1, DP_CLOSE_CLEAN);
	ck_assert_int_eq(r.end, DP_ERROR);
	ck_assert(r.t->overflow);
	done(&r);
	gw_buf_fini(&up);
}
END_TEST

START_TEST(an_answer_is_spread)
{
	struct gw_str in = GW_STR("{\"id\":\"x\",\n\"object\":\"chat.completion\",\"created\":1,\"model\":\"m\",\"choices\":[{\"index\":0,\"message\":{\"role\":\"assistant\",\"content\":\"hi\","
	                          "\"tool_calls\":[{\"id\":\"c\",\"type\":\"function\",\"function\":{\"name\":\"f\",\"arguments\":\"{}\"}}]},\"finish_reason\":\"stop\"}],"
	                          "\"usage\":{\"prompt_tokens\":1,\"completion_tokens\":2}}");
	static const char head[] = "data: {\"id\":\"x\",\"created\":1,\"model\":\"m\",\"object\":\"chat.completion.chunk\",\"choices\":[";
	struct gw_buf want;
	struct result r;

	gw_buf_init(&want, 4096);
	gw_buf_printf(&want, "%s{\"index\":0,\"delta\":{\"role\":\"assistant\",\"content\":\"hi\",\"tool_calls\":[{\"index\":0,\"id\":\"c\",\"type\":\"function\",\"function\":{\"name\":\"f\",\"arguments\":\"{}\"}}]},\"logprobs\":null,\"finish_reason\":null}]}\n\n", head);
	gw_buf_printf(&want, "%s{\"index\":0,\"delta\":{},\"logprobs\":null,\"finish_reason\":\"stop\"}]}\n\n", head);
	gw_buf_printf(&want, "%s],\"usage\":{\"prompt_tokens\":1,\"completion_tokens\":2}}\n\ndata: [DONE]\n\n", head);
	for (unsigned mode = 0; mode < 30; mode++) {
		run(&r, SETUP(.client_streams = true, .client_usage = true), in, mode, DP_CLOSE_CLEAN);
		ck_assert_msg(gw_str_eq(gw_buf_str(&r.out), gw_buf_str(&want)), "%.*s", GW_FMT(gw_buf_str(&r.out)));
		ck_assert(dp_tap_complete(r.t));
		done(&r);
	}
	run(&r, SETUP(.client_streams = true), (struct gw_str){ in.p, in.n - 1 }, 0, DP_CLOSE_CLEAN);
	ck_assert(!dp_tap_complete(r.t) && !r.out.n);
	done(&r);
	gw_buf_fini(&want);
}
END_TEST

/* The client leaves: nobody calls dp_finish(), the text that came is charged all the same, at any slicing. */
START_TEST(an_answer_that_is_never_finished_is_counted)
{
	static const struct { bool streams; const char *op, *in; enum gw_usage_source source; int64_t prompt, completion; } rows[] = {
		{ false, "chat", "{\"choices\":[{\"message\":{\"content\":\"forty bytes of text, which is ten tokens", GW_USAGE_ESTIMATED, 7, 10 },
		{ true, "chat", "{\"choices\":[{\"message\":{\"content\":\"forty bytes of text, which is ten tokens", GW_USAGE_ESTIMATED, 7, 10 },
		{ false, "chat", "{\"choices\":[{\"message\":{\"content\":\"\\u4e2d\xe6\x96\x87\xe5\xad\x97\"},\"finish_rea", GW_USAGE_ESTIMATED, 7, 2 },
		{ true, "chat", "{\"choices\":[{\"message\":{\"content\":\"\\u4e2d\xe6\x96\x87\xe5\xad\x97\"},\"finish_rea", GW_USAGE_ESTIMATED, 7, 2 },
		{ false, "chat", "{\"usage\":{\"prompt_tokens\":3,\"completion_tokens\":4},\"choices\":[{\"mess", GW_USAGE_PROVIDER, 3, 4 },
		{ true, "chat", "{\"usage\":{\"prompt_tokens\":3,\"completion_tokens\":4},\"choices\":[{\"mess", GW_USAGE_PROVIDER, 3, 4 },
		{ false, "chat", "{\"usage\":{\"prompt_tokens\":3,\"completion_tokens\":4", GW_USAGE_ESTIMATED, 7, 0 },
		{ false, "chat", "{\"url\":\"data:image/png;base64,AAAAAAAAAAAAAAAAAAAA", GW_USAGE_ESTIMATED, 7, 0 },
		{ false, "messages", "{\"content\":[{\"text\":\"forty bytes of text, which is ten tokens", GW_USAGE_ESTIMATED, 7, 10 },
		{ false, "image", "{\"data\":[{\"b64_json\":\"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA", GW_USAGE_ESTIMATED, 7, 0 },
		{ false, "chat", "\xff\xfb\x90not JSON", GW_USAGE_ESTIMATED, 7, 0 },
	};

	for (size_t i = 0; i < GW_COUNT(rows); i++)
		for (unsigned mode = 0; mode < slices_modes(gw_str_c(rows[i].in), 20); mode++) {
			struct dp_tap_setup setup = { .op = op(rows[i].op), .client_streams = rows[i].streams };
			struct gw_arena *a = gw_arena_open(0);
			struct dp_tap *t = dp_tap_open(a, &setup);
			struct gw_buf out;
			struct dp_stream *s;
			struct gw_tokens got;

			gw_buf_init(&out, 1 << 16);
			s = dp_tap_chain(a, t, dp_stream_open(a, &sink, &out, NULL));
			slices_run(gw_str_c(rows[i].in), mode, feed, s);
			ck_assert_msg(dp_tap_usage(t, 7, &got) == rows[i].source, "%s", rows[i].in);
			ck_assert_int_eq(got.prompt, rows[i].prompt);
			ck_assert_msg(got.completion == rows[i].completion, "%s gives %d", rows[i].in, (int)got.completion);
			gw_arena_close(&a);
			gw_buf_fini(&out);
		}
}
END_TEST

START_TEST(anthropic_streams_are_understood)
{
	static const char in[] = "event: message_start\ndata: {\"type\":\"message_start\",\"message\":{\"usage\":{\"input_tokens\":12,\"cache_read_input_tokens\":100,\"cache_creation_input_tokens\":5,\"output_tokens\":1}}}\n\n"
		"event: content_block_start\ndata: {\"type\":\"content_block_start\",\"index\":0,\"content_block\":{\"type\":\"text\",\"text\":\"\"}}\n\n"
		"event: ping\ndata: {\"type\":\"ping\"}\n\n"
		"event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":0,\"delta\":{\"type\":\"text_delta\",\"text\":\"Hi\"}}\n\n"
		"event: message_delta\ndata: {\"type\":\"message_delta\",\"delta\":{\"stop_reason\":\"end_turn\"},\"usage\":{\"output_tokens\":29}}\n\n"
		"event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n";
	const struct dp_operation *messages = op("messages");
	struct gw_tokens t;
	struct result r;

	for (unsigned mode = 0; mode < 50; mode++) {
		run(&r, (struct dp_tap_setup){ .op = messages, STREAM }, gw_str_c(in), mode, DP_CLOSE_CLEAN);
		ck_assert(gw_str_is(gw_buf_str(&r.out), in));
		ck_assert(dp_tap_complete(r.t) && r.t->first_token);
		ck_assert_str_eq(r.t->finish_reason, "end_turn");
		ck_assert_int_eq(dp_tap_usage(r.t, 0, &t), GW_USAGE_PROVIDER);
		ck_assert_int_eq(t.prompt, 117);
		ck_assert_int_eq(t.cached, 100);
		ck_assert_int_eq(t.cache_write, 5);
		ck_assert_int_eq(t.completion, 29);
		done(&r);
	}
}
END_TEST

/* What message_start tells of the answer is no count of it; of the prompt it is. */
START_TEST(early_usage_is_not_the_whole)
{
	static const char in[] = "data: {\"type\":\"message_start\",\"message\":{\"usage\":{\"input_tokens\":12,\"cache_read_input_tokens\":100,\"output_tokens\":1}}}\n\n"
		"data: {\"type\":\"content_block_delta\",\"index\":0,\"delta\":{\"type\":\"text_delta\",\"text\":\"forty bytes of text, which is ten tokens\"}}\n\n";
	static const char high[] = "data: {\"usage\":{\"completion_tokens\":6}}\n\n" TEXT;
	const struct dp_operation *messages = op("messages");
	struct gw_tokens t;

	for (unsigned mode = 0; mode < 30; mode++) {
		struct result r;

		run(&r, (struct dp_tap_setup){ .op = messages, STREAM }, gw_str_c(in), mode, mode % 2 ? DP_CLOSE_CLEAN : DP_CLOSE_ABORT);
		ck_assert_int_eq(dp_tap_usage(r.t, 7, &t), GW_USAGE_ESTIMATED);
		ck_assert_int_eq(t.prompt, 112);
		ck_assert_int_eq(t.cached, 100);
		ck_assert_int_eq(t.completion, 10);
		done(&r);
		/* reported more than passed: that; nothing of the prompt: its estimate */
		run(&r, SETUP(STREAM), gw_str_c(high), mode, DP_CLOSE_TRUNCATED);
		ck_assert_int_eq(dp_tap_usage(r.t, 7, &t), GW_USAGE_ESTIMATED);
		ck_assert_int_eq(t.prompt, 7);
		ck_assert_int_eq(t.completion, 6);
		done(&r);
	}
}
END_TEST

START_TEST(errors_in_the_clients_words)
{
	static const struct { unsigned status; const char *body, *message; } rows[] = {
		{ 400, "{\"object\":\"error\",\"message\":\"too long\",\"type\":\"BadRequestError\",\"param\":null,\"code\":400}", "too long" },
		{ 401, "{\"detail\":\"Unauthorized\"}", "Unauthorized" }, { 401, "\"Invalid token\"", "Invalid token" },
		{ 422, "{\"detail\":[{\"loc\":[\"body\"],\"msg\":\"field required\",\"type\":\"x\"}]}", "field required" },
		{ 500, "{\"error\":\"text\"}", "text" }, { 500, "{\"code\":20012,\"message\":\"bad \\u4e2d\",\"data\":null}", "bad \xe4\xb8\xad" },
		{ 502, "<html><body>Bad Gateway</body></html>", "the provider answered with status 502 and no message" },
		{ 503, "", "the provider answered with status 503 and no message" }, { 503, "Loading\nmodel", "Loading model" },
		{ 400, "{\"error\":{\"type\":\"x\"}}", "the provider answered with status 400 and no message" },
		{ 401, "bad key sk-1234567890 sk-1234567890!", "bad key *** ***!" },
	};
	struct gw_buf b;

	gw_buf_init(&b, 65536);
	for (size_t i = 0; i < GW_COUNT(rows); i++) {
		gw_buf_clear(&b);
		dp_error_convert(&b, &dp_openai_chat, rows[i].status, gw_str_c(rows[i].body), GW_STR("sk-1234567890"));
		is_text(gw_buf_str(&b), "error.message", rows[i].message);
	}
	gw_buf_clear(&b);
	dp_error_convert(&b, &dp_openai_chat, 400, GW_STR("{\"error\":{\"message\":\"no sk-1234567890\",\"code\":7},\"request_id\":\"r\"}"), GW_STR("sk-1234567890"));
	ck_assert(gw_str_is(gw_buf_str(&b), "{\"error\":{\"message\":\"no ***\",\"code\":7},\"request_id\":\"r\"}"));
	gw_buf_clear(&b);
	dp_error_body(&b, &dp_openai_chat, DP_E_NO_MODEL, GW_STR("no \"x\""));
	ck_assert(gw_str_is(gw_buf_str(&b), "{\"error\":{\"message\":\"no \\\"x\\\"\",\"type\":\"invalid_request_error\",\"param\":null,\"code\":\"model_not_found\"}}"));
	gw_buf_clear(&b);
	dp_error_event(&b, &dp_anthropic_messages, DP_E_UPSTREAM_TIMEOUT, GW_STR("late"));
	ck_assert(gw_str_is(gw_buf_str(&b), "event: error\ndata: {\"type\":\"error\",\"error\":{\"type\":\"timeout_error\",\"message\":\"late\",\"details\":{\"error_code\":\"upstream_timeout\"}}}\n\n"));
	gw_buf_clear(&b);
	dp_error_event(&b, &dp_openai_responses, DP_E_UPSTREAM_FAILED, GW_STR("x"));
	ck_assert(gw_str_starts(gw_buf_str(&b), GW_STR("event: response.failed\ndata: {")) && gw_str_ends(gw_buf_str(&b), GW_STR("}}}\n\n")));
	gw_buf_fini(&b);
}
END_TEST

START_TEST(keys_are_blotted_out)
{
	static const struct { const char *in, *out; } rows[] = {
		{ "key sk-abcdefgh-wxyz.", "key ***." }, { "Incorrect API key provided: sk-ab***yz.", "Incorrect API key provided: ***." },
		{ "Your api key: ****wxyz is invalid", "Your api key: *** is invalid" }, { "sk-a**", "***" }, { "**wxyz**", "*****" },
		{ "some **bold** words", "some **bold** words" }, { "sk-ab***zz", "sk-ab***zz" }, { "*** *", "*** *" }, { "2*3", "2*3" }, { "", "" },
		{ "sk-abcdefgh-wxyzsk-abcdefgh-wxyz", "******" }, { "****", "****" },
	};
	struct gw_buf b;

	gw_buf_init(&b, 4096);
	for (size_t i = 0; i < GW_COUNT(rows); i++) {
		gw_buf_clear(&b);
		dp_add_blotted(&b, gw_str_c(rows[i].in), GW_STR("sk-abcdefgh-wxyz"));
		ck_assert_msg(gw_str_is(gw_buf_str(&b), rows[i].out), "%s gives %.*s", rows[i].in, GW_FMT(gw_buf_str(&b)));
	}
	gw_buf_clear(&b);
	dp_add_blotted(&b, GW_STR("a short key x"), GW_STR("x"));
	ck_assert(gw_str_is(gw_buf_str(&b), "a short key x"));
	gw_buf_fini(&b);
}
END_TEST

START_TEST(lists_of_models)
{
	static const struct dp_model_row rows[] = { { { "deepseek-r1", 11 }, { "tidegate", 8 } }, { { "a\"b", 3 }, { "x", 1 } } };
	struct gw_buf b;

	gw_buf_init(&b, 4096);
	dp_openai_chat.write_models(&b, rows, 2, 7);
	ck_assert(gw_str_is(gw_buf_str(&b), "{\"object\":\"list\",\"data\":[{\"id\":\"deepseek-r1\",\"object\":\"model\",\"created\":7,\"owned_by\":\"tidegate\"},"
	                                    "{\"id\":\"a\\\"b\",\"object\":\"model\",\"created\":7,\"owned_by\":\"x\"}]}"));
	gw_buf_clear(&b);
	dp_openai_chat.write_models(&b, NULL, 0, 7);
	ck_assert(gw_str_is(gw_buf_str(&b), "{\"object\":\"list\",\"data\":[]}"));
	gw_buf_clear(&b);
	dp_anthropic_messages.write_models(&b, rows, 2, 7);
#define MODEL(id) "{\"type\":\"model\",\"id\":\"" id "\",\"display_name\":\"" id "\",\"created_at\":\"1970-01-01T00:00:00Z\",\"lifecycle\":\"active\"}"
	ck_assert(gw_str_is(gw_buf_str(&b), "{\"data\":[" MODEL("deepseek-r1") "," MODEL("a\\\"b")
	                                    "],\"has_more\":false,\"first_id\":\"deepseek-r1\",\"last_id\":\"a\\\"b\"}"));
	gw_buf_clear(&b);
	dp_anthropic_messages.write_models(&b, NULL, 0, 7);
	ck_assert(gw_str_is(gw_buf_str(&b), "{\"data\":[],\"has_more\":false,\"first_id\":null,\"last_id\":null}"));
	gw_buf_fini(&b);
}
END_TEST

UNIT_MAIN("tap", golden_streams_at_every_cut, only_what_was_asked_for_is_hidden, ends, usage_dialects, usage_in_odd_places,
          json_passes_and_is_read, large_usage_is_read_up_to_one_size, an_error_inside_200_is_seen, a_stream_is_collected, several_choices_are_collected_in_order,
          an_answer_is_spread, an_answer_that_is_never_finished_is_counted,
          anthropic_streams_are_understood, early_usage_is_not_the_whole, errors_in_the_clients_words, keys_are_blotted_out, lists_of_models)
