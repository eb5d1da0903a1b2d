/*
 * tap_spread.c - one chat.completion told as a stream, for a provider that ignored "stream":true.
 *
 * One chunk for each choice holds its whole message, one more its finish reason; then usage if the client asked for it,
 * then [DONE].  An answer that is no chat.completion becomes an in-stream error.
 */
#include "base/str.h"
#include "llm/tap_ways.h"

static const struct gw_str watched[] = { DP_SCAN_NAME("usage") };

struct spread {
	struct dp_tap *t;
	struct dp_scan scan;        /* what has come of an answer that may never be whole */
	struct dp_scan_member usage;
	bool off;                   /* it is no JSON object */
	struct gw_buf body;
};

static void spread_init(struct dp_stream *s, void *arg)
{
	struct spread *p = dp_state(s);

	p->t = arg;
	dp_scan_init(&p->scan, watched, &p->usage, 1);
	gw_buf_init(&p->body, p->t->setup.max_answer);
}

static enum dp_flow spread_feed(struct dp_stream *s, const struct dp_chunk *c)
{
	struct spread *p = dp_state(s);
	const struct dp_scan_member *usage = &p->usage;
	bool had = usage->n > 0;

	if (!gw_buf_add(&p->body, c->u.bytes)) {
		p->t->overflow = true;
		return DP_ERROR;
	}
	if (p->off)
		return DP_GO;
	p->off = dp_scan_feed(&p->scan, c->u.bytes) == DP_SCAN_BAD;
	if (!had && usage->n)
		dp_usage_fold(&p->t->usage, dp_json_value((struct gw_str){ p->body.p + usage->at, usage->n }));
	dp_scan_text(&p->scan, &p->t->ascii, &p->t->wide);
	return DP_GO;
}

static void begin_chunk(struct gw_buf *out, struct dp_json doc)
{
	static const char *const names[] = { "id", "created", "model", "system_fingerprint" };

	gw_buf_add_c(out, "data: {");
	for (size_t i = 0; i < GW_COUNT(names); i++) {
		struct dp_json v = dp_json_at(doc, names[i]);

		if (v.type == DP_J_NONE)
			continue;
		gw_buf_printf(out, "\"%s\":", names[i]);
		gw_buf_add(out, v.raw);
		gw_buf_add_byte(out, ',');
	}
	gw_buf_add_c(out, "\"object\":\"chat.completion.chunk\",\"choices\":[");
}

/* Fragments of tool calls are keyed by "index", which a whole message need not have. */
static void add_tools(struct gw_buf *out, struct dp_json calls)
{
	struct dp_json_iter it = dp_json_iter(calls);

	gw_buf_add_byte(out, '[');
	while (calls.type == DP_J_ARRAY && dp_json_next(&it)) {
		struct dp_json_iter m = dp_json_iter(it.value);

		if (it.value.type != DP_J_OBJECT)
			continue;
		gw_buf_printf(out, "%s{\"index\":%zu", it.index ? "," : "", it.index);
		while (dp_json_next(&m)) {
			if (gw_str_is(m.key, "index"))
				continue;
			gw_buf_add_byte(out, ',');
			gw_buf_add(out, (struct gw_str){ it.value.raw.p + m.key_at, m.end - m.key_at });
		}
		gw_buf_add_byte(out, '}');
	}
	gw_buf_add_byte(out, ']');
}

static void add_delta(struct gw_buf *out, struct dp_json message)
{
	struct dp_json_iter it = dp_json_iter(message);
	bool first = true;

	gw_buf_add_byte(out, '{');
	while (message.type == DP_J_OBJECT && dp_json_next(&it)) {
		gw_buf_add_c(out, first ? "\"" : ",\"");
		first = false;
		gw_buf_add(out, it.key);
		gw_buf_add_c(out, "\":");
		if (gw_str_is(it.key, "tool_calls"))
			add_tools(out, it.value);
		else
			gw_buf_add(out, it.value.raw);
	}
	gw_buf_add_byte(out, '}');
}

static void spread_choice(struct gw_buf *out, struct dp_json doc, struct dp_json choice)
{
	struct dp_json finish = dp_json_at(choice, "finish_reason"), logprobs = dp_json_at(choice, "logprobs");
	int64_t index = 0;

	dp_json_int(dp_json_at(choice, "index"), DP_TAP_MAX_CHOICES - 1, &index);
	begin_chunk(out, doc);
	gw_buf_printf(out, "{\"index\":%lld,\"delta\":", (long long)index);
	add_delta(out, dp_json_at(choice, "message"));
	gw_buf_add_c(out, ",\"logprobs\":");
	gw_buf_add(out, logprobs.type == DP_J_OBJECT ? logprobs.raw : GW_STR("null"));
	gw_buf_add_c(out, ",\"finish_reason\":null}]}\n\n");
	begin_chunk(out, doc);
	gw_buf_printf(out, "{\"index\":%lld,\"delta\":{},\"logprobs\":null,\"finish_reason\":", (long long)index);
	gw_buf_add(out, finish.type == DP_J_STRING ? finish.raw : GW_STR("\"stop\""));
	gw_buf_add_c(out, "}]}\n\n");
}

/* LF and CR may stand between the tokens of a JSON text, but would cut an event in two. */
static void flatten(struct gw_buf *b)
{
	for (size_t i = 0; i < b->n; i++)
		if (b->p[i] == '\n' || b->p[i] == '\r')
			b->p[i] = ' ';
}

/* The same books as for a stream: read the answer as if it were an event. */
static void note(struct dp_tap *t, struct dp_json doc, struct dp_json choices)
{
	struct dp_json_iter it = dp_json_iter(choices);
	struct dp_json error = dp_json_at(doc, "error");

	if (choices.type == DP_J_ARRAY)
		t->ascii = t->wide = 0; /* of a whole answer only its messages count */
	dp_usage_fold(&t->usage, dp_json_at(doc, "usage"));
	if (dp_json_truthy(error))
		dp_tap_error(t, error);
	while (choices.type == DP_J_ARRAY && dp_json_next(&it)) {
		struct dp_json message = dp_json_at(it.value, "message");

		dp_tap_text(t, dp_json_at(message, "content"));
		dp_tap_text(t, dp_json_at(message, "reasoning_content"));
		dp_tap_finish_reason(t, dp_json_at(it.value, "finish_reason"));
		t->first_token = true;
	}
}

static enum dp_flow spread_finish(struct dp_stream *s, enum dp_close how)
{
	struct spread *p = dp_state(s);
	struct dp_tap *t = p->t;
	struct dp_json doc, choices, usage;
	struct dp_json_iter it;
	struct gw_buf out;
	enum dp_flow f;

	flatten(&p->body);
	doc = dp_json_value(gw_buf_str(&p->body));
	choices = dp_json_at(doc, "choices");
	usage = dp_json_at(doc, "usage");
	t->finished = true;
	t->close = how;
	note(t, doc, choices);
	t->whole_json = how == DP_CLOSE_CLEAN && dp_json_truthy(choices) && !t->error_seen;
	if (!t->whole_json)
		return DP_GO; /* the owner sees an incomplete answer and says so in the stream */
	gw_buf_init(&out, t->setup.max_answer * 4);
	it = dp_json_iter(choices);
	while (dp_json_next(&it))
		spread_choice(&out, doc, it.value);
	if (t->setup.client_usage && usage.type == DP_J_OBJECT) {
		begin_chunk(&out, doc);
		gw_buf_add_c(&out, "],\"usage\":");
		gw_buf_add(&out, usage.raw);
		gw_buf_add_c(&out, "}\n\n");
	}
	gw_buf_add_c(&out, "data: [DONE]\n\n");
	t->done_marker = !out.full;
	f = out.full ? DP_ERROR : dp_emit_bytes(s, gw_buf_str(&out));
	gw_buf_fini(&out);
	return f;
}

static void spread_fini(struct dp_stream *s)
{
	struct spread *p = dp_state(s);

	gw_buf_fini(&p->body);
}

const struct dp_stage dp_tap_spread = {
	.name = "tap-spread", .eats = DP_BYTES, .emits = DP_BYTES, .size = sizeof(struct spread),
	.init = spread_init, .feed = spread_feed, .finish = spread_finish, .fini = spread_fini,
};
