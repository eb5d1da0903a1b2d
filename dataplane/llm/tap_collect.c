/*
 * tap_collect.c - a stream of chat chunks put together into one chat.completion.
 *
 * Strings are joined as they are written, escapes and all: the pieces of a JSON string, put side by side, are the string.
 * Tool calls are keyed by their index; an empty id or name says nothing (DashScope repeats "id":"" in every fragment).
 */
#include <stdlib.h>

#include "base/str.h"
#include "llm/tap_ways.h"

#define MAX_TOOLS 128

struct tool {
	struct tool *next;
	int64_t index;
	struct gw_buf id, type, name, arguments;   /* raw, without quotes */
};

struct choice {
	struct choice *next;
	int64_t index;
	struct gw_buf content, reasoning, refusal, logprobs, finish;
	const char *reasoning_name;
	bool has_content, has_reasoning;
	struct tool *tools;
	size_t n_tools;
};

struct collect {
	struct dp_tap *t;
	struct choice *choices;
	struct gw_buf head;         /* id, created, model, … of the first chunk, as members */
	struct gw_buf usage;        /* the last one, raw */
	size_t held;                /* bytes in all buffers, against max_answer */
};

static void collect_init(struct dp_stream *s, void *arg)
{
	struct collect *c = dp_state(s);

	c->t = arg;
	gw_buf_init(&c->head, 65536);
	gw_buf_init(&c->usage, 65536);
}

static bool hold(struct collect *c, struct gw_buf *b, struct gw_str s)
{
	c->held += s.n;
	if (c->held > c->t->setup.max_answer)
		c->t->overflow = true;
	return !c->t->overflow && gw_buf_add(b, s);
}

/* Choices and tools are few and come in order: lists, grown at their ends. */
static struct choice *choice_at(struct collect *c, int64_t index)
{
	struct choice **at = &c->choices;

	while (*at && (*at)->index < index)
		at = &(*at)->next;
	if (!*at || (*at)->index != index) {
		struct choice *new = gw_alloc(sizeof *new);
		struct gw_buf *const all[] = { &new->content, &new->reasoning, &new->refusal, &new->logprobs, &new->finish };

		for (size_t i = 0; i < GW_COUNT(all); i++)
			gw_buf_init(all[i], c->t->setup.max_answer);
		new->index = index;
		new->next = *at;
		*at = new;
	}
	return *at;
}

static struct tool *tool_at(struct collect *c, struct choice *ch, int64_t index)
{
	struct tool **at = &ch->tools;

	while (*at && (*at)->index < index)
		at = &(*at)->next;
	if (!*at || (*at)->index != index) {
		struct tool *new;

		if (ch->n_tools++ == MAX_TOOLS)
			return NULL;
		new = gw_alloc(sizeof *new);
		gw_buf_init(&new->id, 1024);
		gw_buf_init(&new->type, 64);
		gw_buf_init(&new->name, 1024);
		gw_buf_init(&new->arguments, c->t->setup.max_answer);
		new->index = index;
		new->next = *at;
		*at = new;
	}
	return *at;
}

/* The first thing that is said counts. */
static void once(struct gw_buf *b, struct dp_json v)
{
	if (!b->n && v.type == DP_J_STRING)
		gw_buf_add(b, dp_json_inner(v));
}

static void take_tools(struct collect *c, struct choice *ch, struct dp_json calls)
{
	struct dp_json_iter it = dp_json_iter(calls);

	while (calls.type == DP_J_ARRAY && dp_json_next(&it)) {
		int64_t index = (int64_t)it.index;
		struct dp_json f = dp_json_at(it.value, "function");
		struct tool *tool;

		dp_json_int(dp_json_at(it.value, "index"), 100000, &index);
		tool = tool_at(c, ch, index);
		if (!tool)
			continue;
		once(&tool->id, dp_json_at(it.value, "id"));
		once(&tool->type, dp_json_at(it.value, "type"));
		once(&tool->name, dp_json_at(f, "name"));
		hold(c, &tool->arguments, dp_json_inner(dp_json_at(f, "arguments")));
	}
}

static void take_delta(struct collect *c, struct choice *ch, struct dp_json delta)
{
	struct dp_json_iter it = dp_json_iter(delta);

	while (delta.type == DP_J_OBJECT && dp_json_next(&it)) {
		struct gw_str text = dp_json_inner(it.value);

		if (gw_str_is(it.key, "tool_calls")) {
			take_tools(c, ch, it.value);
		} else if (!text.p) {
			continue;
		} else if (gw_str_is(it.key, "content")) {
			ch->has_content = true;
			hold(c, &ch->content, text);
		} else if (gw_str_is(it.key, "refusal")) {
			hold(c, &ch->refusal, text);
		} else if (gw_str_is(it.key, "reasoning_content") || gw_str_is(it.key, "reasoning")) {
			const char *name = gw_str_is(it.key, "reasoning") ? "reasoning" : "reasoning_content";

			if (!ch->reasoning_name)
				ch->reasoning_name = name;
			if (strcmp(ch->reasoning_name, name) != 0)
				continue;
			ch->has_reasoning = true;
			hold(c, &ch->reasoning, text);
		}
	}
}

/* {"content":[…]} of this chunk, its elements put behind those already there. */
static void take_logprobs(struct collect *c, struct choice *ch, struct dp_json logprobs)
{
	struct dp_json list = dp_json_at(logprobs, "content");

	if (list.type != DP_J_ARRAY || !dp_json_truthy(list))
		return;
	if (ch->logprobs.n)
		hold(c, &ch->logprobs, GW_STR(","));
	hold(c, &ch->logprobs, (struct gw_str){ list.raw.p + 1, list.raw.n - 2 });
}

static void take_choice(struct collect *c, struct dp_json v)
{
	struct dp_json finish = dp_json_at(v, "finish_reason");
	struct choice *ch;
	int64_t index = 0;

	dp_json_int(dp_json_at(v, "index"), DP_TAP_MAX_CHOICES - 1, &index);
	ch = choice_at(c, index);
	take_delta(c, ch, dp_json_at(v, "delta"));
	take_logprobs(c, ch, dp_json_at(v, "logprobs"));
	if (finish.type == DP_J_STRING) {
		gw_buf_clear(&ch->finish);
		gw_buf_add(&ch->finish, dp_json_inner(finish));
	}
}

/* "id", "created", "model" and what else describes the answer as a whole, from the first chunk that has any. */
static void take_head(struct collect *c, struct dp_json doc)
{
	static const char *const names[] = { "id", "created", "model", "system_fingerprint", "service_tier", "provider" };

	for (size_t i = 0; i < GW_COUNT(names); i++) {
		struct dp_json v = dp_json_at(doc, names[i]);

		if (v.type == DP_J_NONE)
			continue;
		gw_buf_printf(&c->head, "\"%s\":", names[i]);
		gw_buf_add(&c->head, v.raw);
		gw_buf_add_byte(&c->head, ',');
	}
}

static enum dp_flow collect_feed(struct dp_stream *s, const struct dp_chunk *chunk)
{
	struct collect *c = dp_state(s);
	const struct dp_sse_event *ev = chunk->u.event;
	struct dp_json doc, choices, usage;
	struct dp_json_iter it;

	if (!ev->data.p)
		return DP_GO;
	doc = dp_tap_read(c->t, ev);
	if (doc.type != DP_J_OBJECT)
		return DP_GO;
	if (!c->head.n)
		take_head(c, doc);
	usage = dp_json_at(doc, "usage");
	if (usage.type == DP_J_OBJECT) {
		gw_buf_clear(&c->usage);
		gw_buf_add(&c->usage, usage.raw);
	}
	choices = dp_json_at(doc, "choices");
	it = dp_json_iter(choices);
	while (choices.type == DP_J_ARRAY && dp_json_next(&it))
		take_choice(c, it.value);
	return c->t->overflow ? DP_ERROR : DP_GO;
}

static void member(struct gw_buf *out, const char *name, const struct gw_buf *raw)
{
	gw_buf_printf(out, "\"%s\":\"", name);
	gw_buf_add(out, gw_buf_str(raw));
	gw_buf_add_byte(out, '"');
}

static void write_tool(struct gw_buf *out, const struct tool *t)
{
	gw_buf_add_c(out, "{");
	member(out, "id", &t->id);
	gw_buf_add_c(out, ",\"type\":\"");
	gw_buf_add(out, t->type.n ? gw_buf_str(&t->type) : GW_STR("function"));
	gw_buf_add_c(out, "\",\"function\":{");
	member(out, "name", &t->name);
	gw_buf_add_c(out, ",");
	member(out, "arguments", &t->arguments);
	gw_buf_add_c(out, "}}");
}

static void write_choice(struct gw_buf *out, const struct choice *ch)
{
	gw_buf_printf(out, "{\"index\":%lld,\"message\":{\"role\":\"assistant\",", (long long)ch->index);
	if (ch->has_content && (ch->content.n || !ch->tools))
		member(out, "content", &ch->content);
	else
		gw_buf_add_c(out, "\"content\":null");
	if (ch->has_reasoning) {
		gw_buf_add_c(out, ",");
		member(out, ch->reasoning_name, &ch->reasoning);
	}
	if (ch->refusal.n) {
		gw_buf_add_c(out, ",");
		member(out, "refusal", &ch->refusal);
	}
	if (ch->tools) {
		gw_buf_add_c(out, ",\"tool_calls\":[");
		for (const struct tool *t = ch->tools; t; t = t->next) {
			write_tool(out, t);
			if (t->next)
				gw_buf_add_byte(out, ',');
		}
		gw_buf_add_c(out, "]");
	}
	gw_buf_add_c(out, "},\"logprobs\":");
	if (ch->logprobs.n) {
		gw_buf_add_c(out, "{\"content\":[");
		gw_buf_add(out, gw_buf_str(&ch->logprobs));
		gw_buf_add_c(out, "]}");
	} else {
		gw_buf_add_c(out, "null");
	}
	gw_buf_add_c(out, ",");
	if (ch->finish.n)
		member(out, "finish_reason", &ch->finish);
	else
		gw_buf_add_c(out, "\"finish_reason\":null");
	gw_buf_add_c(out, "}");
}

static enum dp_flow collect_finish(struct dp_stream *s, enum dp_close how)
{
	struct collect *c = dp_state(s);
	struct gw_buf out;
	enum dp_flow f = DP_ERROR;

	c->t->finished = true;
	c->t->close = how;
	if (!dp_tap_complete(c->t) || !c->choices)
		return DP_ERROR;
	gw_buf_init(&out, c->t->setup.max_answer * 2);
	gw_buf_add_c(&out, "{");
	gw_buf_add(&out, gw_buf_str(&c->head));
	gw_buf_add_c(&out, "\"object\":\"chat.completion\",\"choices\":[");
	for (const struct choice *ch = c->choices; ch; ch = ch->next) {
		write_choice(&out, ch);
		if (ch->next)
			gw_buf_add_byte(&out, ',');
	}
	gw_buf_add_c(&out, "]");
	if (c->usage.n) {
		gw_buf_add_c(&out, ",\"usage\":");
		gw_buf_add(&out, gw_buf_str(&c->usage));
	}
	gw_buf_add_c(&out, "}");
	if (!out.full)
		f = dp_emit_bytes(s, gw_buf_str(&out));
	gw_buf_fini(&out);
	return f;
}

static void collect_fini(struct dp_stream *s)
{
	struct collect *c = dp_state(s);

	while (c->choices) {
		struct choice *ch = c->choices;
		struct gw_buf *const all[] = { &ch->content, &ch->reasoning, &ch->refusal, &ch->logprobs, &ch->finish };

		c->choices = ch->next;
		while (ch->tools) {
			struct tool *t = ch->tools;

			ch->tools = t->next;
			gw_buf_fini(&t->id);
			gw_buf_fini(&t->type);
			gw_buf_fini(&t->name);
			gw_buf_fini(&t->arguments);
			free(t);
		}
		for (size_t i = 0; i < GW_COUNT(all); i++)
			gw_buf_fini(all[i]);
		free(ch);
	}
	gw_buf_fini(&c->head);
	gw_buf_fini(&c->usage);
}

const struct dp_stage dp_tap_collect = {
	.name = "tap-collect", .eats = DP_EVENT, .emits = DP_BYTES, .size = sizeof(struct collect),
	.init = collect_init, .feed = collect_feed, .finish = collect_finish, .fini = collect_fini,
};
