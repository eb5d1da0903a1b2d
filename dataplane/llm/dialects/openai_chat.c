/*
 * openai_chat.c - the words of OpenAI's chat, completions and embeddings endpoints, as its imitators speak them too.
 */
#include "base/str.h"
#include "llm/tap.h"

static void write_error(struct gw_buf *out, unsigned status, const char *type, const char *code, struct gw_str message)
{
	(void)status;
	gw_buf_add_c(out, "{\"error\":{\"message\":");
	gw_buf_add_json(out, message);
	gw_buf_add_c(out, ",\"type\":");
	gw_buf_add_json(out, gw_str_c(type));
	gw_buf_add_c(out, ",\"param\":null,\"code\":");
	if (code)
		gw_buf_add_json(out, gw_str_c(code));
	else
		gw_buf_add_c(out, "null");
	gw_buf_add_c(out, "}}");
}

static void write_error_event(struct gw_buf *out, unsigned status, const char *type, const char *code,
                              struct gw_str message)
{
	gw_buf_add_c(out, "data: ");
	write_error(out, status, type, code, message);
	gw_buf_add_c(out, "\n\n");
}

/* {"id","object":"model","created","owned_by"} */
static void write_model(struct gw_buf *out, const struct dp_model_row *row, int64_t created)
{
	gw_buf_add_c(out, "{\"id\":");
	gw_buf_add_json(out, row->id);
	gw_buf_printf(out, ",\"object\":\"model\",\"created\":%lld,\"owned_by\":", (long long)created);
	gw_buf_add_json(out, row->owned_by);
	gw_buf_add_byte(out, '}');
}

static void write_models(struct gw_buf *out, const struct dp_model_row *rows, size_t n, int64_t created)
{
	gw_buf_add_c(out, "{\"object\":\"list\",\"data\":[");
	for (size_t i = 0; i < n; i++) {
		if (i)
			gw_buf_add_byte(out, ',');
		write_model(out, &rows[i], created);
	}
	gw_buf_add_c(out, "]}");
}

static void tool_calls(struct dp_tap *t, struct dp_json calls)
{
	struct dp_json_iter it = dp_json_iter(calls);

	while (calls.type == DP_J_ARRAY && dp_json_next(&it)) {
		struct dp_json f = dp_json_at(it.value, "function");

		t->first_token = true;
		dp_tap_text(t, dp_json_at(f, "name"));
		dp_tap_text(t, dp_json_at(f, "arguments"));
		dp_tap_text(t, dp_json_at(it.value, "custom.input"));
	}
}

/* Content in parts: Mistral's thinking models send [{"type":"thinking","thinking":[{"text":…}]},{"type":"text",…}]. */
static void parts(struct dp_tap *t, struct dp_json content)
{
	struct dp_json_iter it = dp_json_iter(content);

	while (dp_json_next(&it)) {
		dp_tap_text(t, dp_json_at(it.value, "text"));
		if (dp_json_at(it.value, "thinking").type == DP_J_ARRAY)
			dp_tap_text(t, dp_json_at(it.value, "thinking[0].text"));
	}
}

static void delta(struct dp_tap *t, struct dp_json_iter *of)
{
	struct dp_json_iter it = dp_json_enter(of);
	bool reasoned = false;

	while (of->value.type == DP_J_OBJECT && dp_json_next(&it)) {
		bool reasoning = gw_str_is(it.key, "reasoning_content") || gw_str_is(it.key, "reasoning");

		if (reasoning && reasoned)
			continue; /* servers in transition send the same text under both names */
		if (reasoning || gw_str_is(it.key, "content") || gw_str_is(it.key, "refusal"))
			dp_tap_text(t, it.value);
		reasoned |= reasoning && it.value.type == DP_J_STRING;
		if (it.value.type == DP_J_ARRAY && gw_str_is(it.key, "content"))
			parts(t, dp_json_whole(&it));
		else if (gw_str_is(it.key, "tool_calls"))
			tool_calls(t, dp_json_whole(&it));
		else if (gw_str_is(it.key, "function_call"))
			dp_tap_text(t, dp_json_at(dp_json_whole(&it), "arguments"));
		else if (gw_str_is(it.key, "audio") && it.value.type == DP_J_OBJECT)
			t->first_token = true;
	}
	dp_json_leave(of, &it);
}

static void choice(struct dp_tap *t, struct dp_json_iter *of)
{
	struct dp_json_iter it = dp_json_enter(of);
	int64_t index = 0;
	struct dp_json finish = { DP_J_NONE, GW_STR_NONE };

	if (of->value.type != DP_J_OBJECT)
		return;
	while (dp_json_next(&it)) {
		if (gw_str_is(it.key, "delta"))
			delta(t, &it);
		else if (gw_str_is(it.key, "text"))
			dp_tap_text(t, it.value);
		else if (gw_str_is(it.key, "finish_reason"))
			finish = it.value;
		else if (gw_str_is(it.key, "index"))
			dp_json_int(it.value, DP_TAP_MAX_CHOICES - 1, &index);
		else if (gw_str_is(it.key, "usage"))
			dp_usage_fold(&t->usage, dp_json_whole(&it)); /* Moonshot's older API */
	}
	dp_json_leave(of, &it);
	t->begun[index / 64] |= (uint64_t)1 << (index % 64);
	if (finish.type == DP_J_STRING && finish.raw.n > 2) {
		t->ended[index / 64] |= (uint64_t)1 << (index % 64);
		dp_tap_finish_reason(t, finish);
	}
}

static void read_event(struct dp_tap *t, struct gw_str event, struct dp_json data)
{
	struct dp_json_iter it = dp_json_lazy(data);

	(void)event;
	while (dp_json_next(&it)) {
		if (gw_str_is(it.key, "choices") && it.value.type == DP_J_ARRAY) {
			struct dp_json_iter c = dp_json_enter(&it);

			while (dp_json_next(&c))
				choice(t, &c);
			dp_json_leave(&it, &c);
		} else if (gw_str_is(it.key, "usage")) {
			dp_usage_fold(&t->usage, dp_json_whole(&it));
		} else if (gw_str_is(it.key, "x_groq")) {
			dp_usage_fold(&t->usage, dp_json_at(dp_json_whole(&it), "usage"));
		} else if (gw_str_is(it.key, "error") && dp_json_truthy(dp_json_whole(&it))) {
			dp_tap_error(t, it.value);
		}
	}
	if (it.broken)
		t->bad_events++;
}

const struct dp_dialect dp_openai_chat = {
	.name = "openai-chat", .done_marker = true, .ping = ": ping\n\n",
	.write_error = write_error, .write_error_event = write_error_event, .write_models = write_models, .write_model = write_model,
	.read_event = read_event,
};
