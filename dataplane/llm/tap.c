/* tap.c - the two ways on which bytes pass as they are, and what all four have in common. */
#include "llm/tap_ways.h"

#include "base/str.h"
#include "llm/tokens.h"

#define ERROR_TEXT_MAX 239   /* of a provider's sentence */
#define ERROR_JSON_MAX 4096

struct dp_tap *dp_tap_open(struct gw_arena *a, const struct dp_tap_setup *setup)
{
	struct dp_tap *t = gw_arena_alloc(a, sizeof *t);

	t->a = a;
	t->error_text = "";
	t->setup = *setup;
	if (!t->setup.max_event)
		t->setup.max_event = DP_SSE_MAX_EVENT;
	if (!t->setup.max_answer)
		t->setup.max_answer = DP_SSE_MAX_EVENT;
	t->usage = DP_RAW_USAGE_NONE;
	return t;
}

enum way { WAY_EVENTS, WAY_PLAIN, WAY_COLLECT, WAY_SPREAD };

static enum way way(const struct dp_tap_setup *s)
{
	bool chat = s->op->kind == DP_OP_CHAT;

	if (s->upstream_streams)
		return chat && !s->client_streams ? WAY_COLLECT : WAY_EVENTS;
	return chat && s->client_streams ? WAY_SPREAD : WAY_PLAIN;
}

struct dp_stream *dp_tap_chain(struct gw_arena *a, struct dp_tap *t, struct dp_stream *sink)
{
	switch (way(&t->setup)) {
	case WAY_PLAIN:
		return dp_stream_open(a, &dp_tap_plain, t, sink);
	case WAY_SPREAD:
		return dp_stream_open(a, &dp_tap_spread, t, sink);
	case WAY_COLLECT:
		sink = dp_stream_open(a, &dp_tap_collect, t, sink);
		break;
	default:
		sink = dp_stream_open(a, &dp_tap_events, t, sink);
	}
	return dp_stream_open(a, &dp_sse_stage, &t->setup.max_event, sink);
}

struct gw_str dp_tap_content_type(const struct dp_tap *t)
{
	switch (way(&t->setup)) {
	case WAY_COLLECT:
		return GW_STR("application/json");
	case WAY_SPREAD:
		return GW_STR("text/event-stream; charset=utf-8");
	default:
		return GW_STR_NONE;
	}
}

bool dp_tap_changes_length(const struct dp_tap *t)
{
	return way(&t->setup) != WAY_PLAIN;
}

bool dp_tap_complete(const struct dp_tap *t)
{
	const struct dp_tap_setup *s = &t->setup;
	bool any = false;

	if (t->error_seen || t->overflow)
		return false;
	if (t->done_marker)
		return true;
	if (!t->finished || t->close != DP_CLOSE_CLEAN)
		return false;
	if (!s->upstream_streams)
		return s->op->kind == DP_OP_PLAIN || t->whole_json;
	if (s->op->kind == DP_OP_PLAIN)
		return true;
	for (size_t i = 0; i < GW_COUNT(t->begun); i++) {
		if (t->begun[i] & ~t->ended[i])
			return false;
		any |= t->begun[i] != 0;
	}
	return any;
}

enum gw_usage_source dp_tap_usage(const struct dp_tap *t, int64_t prompt_estimate, struct gw_tokens *out)
{
	const struct dp_raw_usage *u = &t->usage;
	int64_t passed = dp_tokens_of_text(t->ascii, t->wide);

	if (u->prompt < 0 && u->completion < 0 && u->total < 0) {
		*out = (struct gw_tokens){ .prompt = prompt_estimate, .completion = passed };
		return GW_USAGE_ESTIMATED;
	}
	*out = dp_usage_settle(u, t->setup.op->dialect->cached_apart, t->setup.reasoning_apart);
	/* A document tells its usage once; a stream may tell it early, or again and again, and what came last was not the end. */
	if (!t->setup.upstream_streams || dp_tap_complete(t))
		return GW_USAGE_PROVIDER;
	if (u->prompt < 0 && u->total < 0)
		out->prompt = prompt_estimate;
	if (out->completion < passed)
		out->completion = passed;
	return GW_USAGE_ESTIMATED;
}

/* ---- what dialects note ---- */

void dp_tap_text(struct dp_tap *t, struct dp_json text)
{
	if (text.type != DP_J_STRING || text.raw.n <= 2)
		return;
	t->first_token = true;
	dp_json_measure(text, &t->ascii, &t->wide);
}

void dp_tap_finish_reason(struct dp_tap *t, struct dp_json reason)
{
	static const char *const cut[] = { "insufficient_system_resource", "network_error", "error" };
	struct gw_str word = dp_json_inner(reason);

	if (!word.n)
		return;
	if (word.n >= sizeof t->finish_reason)
		word.n = sizeof t->finish_reason - 1;
	memcpy(t->finish_reason, word.p, word.n);
	t->finish_reason[word.n] = '\0';
	for (size_t i = 0; i < GW_COUNT(cut); i++)
		t->cut_short |= gw_str_is(word, cut[i]);
}

void dp_tap_error(struct dp_tap *t, struct dp_json error)
{
	struct gw_buf text;
	size_t n;

	if (t->error_seen)
		return;
	t->error_seen = true;
	if (error.type != DP_J_NONE && error.raw.n <= ERROR_JSON_MAX)
		t->error_json = gw_arena_copy(t->a, error.raw);
	gw_buf_init(&text, 1024);
	dp_error_message(&text, error.raw);
	n = text.n < ERROR_TEXT_MAX ? text.n : ERROR_TEXT_MAX;
	while (n < text.n && n > 0 && ((unsigned char)text.p[n] & 0xc0) == 0x80)
		n--;
	t->error_text = gw_arena_c(t->a, (struct gw_str){ text.p, n });
	gw_buf_fini(&text);
}

/* ---- stream → stream ---- */

struct events {
	struct dp_tap *t;
	bool dropped;            /* the block before was: an LF that completes it goes the same way */
};

static void events_init(struct dp_stream *s, void *arg)
{
	struct events *e = dp_state(s);

	e->t = arg;
}

struct dp_json dp_tap_read(struct dp_tap *t, const struct dp_sse_event *ev)
{
	struct dp_json doc = { DP_J_NONE, GW_STR_NONE };
	bool was_done = t->done_marker;

	t->events++;
	if (gw_str_is(gw_str_trim(ev->data), "[DONE]")) {
		t->done_marker |= !ev->torn; /* what the break came in the middle of is not the last word */
		return doc;
	}
	doc = dp_json_value(ev->data);
	if (doc.type != DP_J_OBJECT) {
		t->bad_events++;
		doc.type = DP_J_NONE;
		return doc;
	}
	t->setup.op->dialect->read_event(t, ev->event, doc);
	if (ev->torn && t->done_marker && !was_done) { /* an event in other dialects: it goes the way of a torn [DONE] */
		t->done_marker = false;
		doc.type = DP_J_NONE;
	}
	return doc;
}

/* Where `usage` stands in a chunk that has it only because we asked. */
struct cut { bool whole; size_t from, to; };

static struct cut find_cut(struct dp_json doc)
{
	struct dp_json_iter it = dp_json_iter(doc);
	struct cut c = { .whole = false };
	bool empty_choices = false, usage = false, cutting_first = false;
	size_t before = 0;

	while (dp_json_next(&it)) {
		if (cutting_first) {
			c.to = it.key_at;
			cutting_first = false;
		}
		if (gw_str_is(it.key, "choices"))
			empty_choices = it.value.type == DP_J_ARRAY && !dp_json_truthy(it.value);
		if (gw_str_is(it.key, "usage")) {
			usage = it.value.type == DP_J_OBJECT;
			if (it.value.type == DP_J_NULL) {
				c.from = before ? before : it.key_at;
				c.to = it.end;
				cutting_first = !before;
			}
		}
		before = it.end;
	}
	c.whole = empty_choices && usage;
	if (it.broken)
		c = (struct cut){ .whole = false };
	return c;
}

/* The event without what only we asked for; raw when there is nothing to hide or it cannot be cut. */
static enum dp_flow emit_hidden(struct dp_stream *s, const struct dp_sse_event *ev, struct dp_json doc)
{
	struct events *e = dp_state(s);
	struct cut c = find_cut(doc);
	const char *base = doc.raw.p;
	enum dp_flow f;

	if (c.whole) {
		e->dropped = true;
		return DP_GO;
	}
	if (c.to == c.from || base < ev->raw.p || base >= ev->raw.p + ev->raw.n)
		return dp_emit_bytes(s, ev->raw);
	f = dp_emit_bytes(s, (struct gw_str){ ev->raw.p, (size_t)(base - ev->raw.p) + c.from });
	if (f == DP_ERROR || f == DP_END)
		return f;
	return dp_worse(f, dp_emit_bytes(s, gw_str_from(ev->raw, (size_t)(base - ev->raw.p) + c.to)));
}

/* The last block of a stream may lack its blank line; whatever comes next must not be glued to it. */
static enum dp_flow complete_block(struct dp_stream *s, const struct dp_sse_event *ev)
{
	char last = ev->raw.p[ev->raw.n - 1];

	return dp_emit_bytes(s, last == '\n' || last == '\r' ? GW_STR("\n") : GW_STR("\n\n"));
}

static enum dp_flow events_feed(struct dp_stream *s, const struct dp_chunk *c)
{
	struct events *e = dp_state(s);
	const struct dp_sse_event *ev = c->u.event;
	struct dp_tap *t = e->t;
	struct dp_json doc;
	bool marker = false, hide = t->setup.usage_injected && !t->setup.client_usage;
	enum dp_flow f;

	if (ev->joins)
		return e->dropped ? DP_GO : dp_emit_bytes(s, ev->raw);
	e->dropped = ev->unterminated && !ev->data.p;
	if (!ev->data.p)
		return e->dropped ? DP_GO : dp_emit_bytes(s, ev->raw);
	doc = dp_tap_read(t, ev);
	if (doc.type == DP_J_NONE)
		marker = !ev->torn && gw_str_is(gw_str_trim(ev->data), "[DONE]");
	/* A stream that broke must not end as if it were whole; half an event must not reach the client. */
	if ((marker && t->error_seen) || (ev->unterminated && !marker && doc.type == DP_J_NONE)) {
		e->dropped = true;
		return DP_GO;
	}
	f = hide && doc.type == DP_J_OBJECT ? emit_hidden(s, ev, doc) : dp_emit_bytes(s, ev->raw);
	if (ev->unterminated && !e->dropped && f != DP_ERROR && f != DP_END)
		f = dp_worse(f, complete_block(s, ev));
	return f;
}

static enum dp_flow events_finish(struct dp_stream *s, enum dp_close how)
{
	struct events *e = dp_state(s);

	e->t->finished = true;
	e->t->close = how;
	return DP_GO;
}

const struct dp_stage dp_tap_events = {
	.name = "tap-events", .eats = DP_EVENT, .emits = DP_BYTES, .size = sizeof(struct events),
	.init = events_init, .feed = events_feed, .finish = events_finish,
};

/* ---- JSON → JSON ---- */

enum { USAGE, ERROR, PLAIN_NAMES };
static const struct gw_str plain_names[PLAIN_NAMES] = {
	[USAGE] = DP_SCAN_NAME("usage"), [ERROR] = DP_SCAN_NAME("error"),
};
#define KEEP_MAX 8192                           /* longer values are not looked at */

struct plain {
	struct dp_tap *t;
	bool off;                               /* not one JSON object: just pass */
	struct gw_buf kept[PLAIN_NAMES];        /* what was read of a value that did not come in one piece */
	struct dp_scan_member found[PLAIN_NAMES];
	struct dp_scan scan;
};

static void plain_init(struct dp_stream *s, void *arg)
{
	struct plain *p = dp_state(s);

	p->t = arg;
	dp_scan_init(&p->scan, plain_names, p->found, PLAIN_NAMES);
	for (size_t i = 0; i < PLAIN_NAMES; i++)
		gw_buf_init(&p->kept[i], KEEP_MAX);
}

/* Keep those bytes of the piece (which began at offset `from`) that belong to a watched value. */
static void keep(struct plain *p, size_t name, struct gw_str piece, size_t from)
{
	const struct dp_scan_member *m = &p->found[name];
	size_t begin = m->at > from ? m->at : from;
	size_t end = m->n ? m->at + m->n : from + piece.n;

	if (begin >= from + piece.n || end <= begin)
		return;
	if (end > from + piece.n)
		end = from + piece.n;
	gw_buf_add(&p->kept[name], (struct gw_str){ piece.p + (begin - from), end - begin });
}

/* A watched value that was read to its end with this piece: half of one says nothing. */
static struct dp_json whole(struct plain *p, size_t name, struct gw_str piece, size_t from)
{
	const struct dp_scan_member *m = &p->found[name];

	if (m->n > KEEP_MAX)
		return (struct dp_json){ DP_J_NONE, GW_STR_NONE };
	if (m->at >= from)
		return (struct dp_json){ m->type, { piece.p + (m->at - from), m->n } };
	keep(p, name, piece, from);
	return (struct dp_json){ m->type, gw_buf_str(&p->kept[name]) };
}

static void read_plain(struct plain *p, struct gw_str in)
{
	const struct dp_scan_member *usage = &p->found[USAGE], *error = &p->found[ERROR];
	size_t from = p->scan.at;
	bool had_usage = usage->n > 0, had_error = error->n > 0;

	p->off = dp_scan_feed(&p->scan, in) == DP_SCAN_BAD;
	/*
	 * Noted now, not at the end: a client that leaves is charged without one.  But half a picture or half a vector, in
	 * base64, is no text.
	 */
	if (p->t->setup.op->kind != DP_OP_PLAIN)
		dp_scan_text(&p->scan, &p->t->ascii, &p->t->wide);
	if (!had_usage && usage->n)
		dp_usage_fold(&p->t->usage, whole(p, USAGE, in, from));
	else if (!had_usage && usage->type != DP_J_NONE)
		keep(p, USAGE, in, from);
	if (!had_error && error->type != DP_J_NONE)
		keep(p, ERROR, in, from);
}

static enum dp_flow plain_feed(struct dp_stream *s, const struct dp_chunk *c)
{
	struct plain *p = dp_state(s);
	struct gw_str in = c->u.bytes;

	for (size_t i = 0; i < in.n && !p->t->first_token; i++)
		p->t->first_token = in.p[i] != '\n' && in.p[i] != '\r' && in.p[i] != ' ' && in.p[i] != '\t';
	if (!p->off)
		read_plain(p, in);
	return dp_emit_bytes(s, in);
}

static enum dp_flow plain_finish(struct dp_stream *s, enum dp_close how)
{
	struct plain *p = dp_state(s);
	struct dp_tap *t = p->t;
	struct dp_json error = { DP_J_NONE, GW_STR_NONE };

	t->finished = true;
	t->close = how;
	t->whole_json = !p->off && dp_scan_end(&p->scan) == DP_SCAN_DONE;
	if (t->setup.op->kind == DP_OP_PLAIN) {
		t->ascii = p->scan.stat.ascii;
		t->wide = p->scan.stat.wide;
	}
	if (p->found[ERROR].n)
		error = dp_json_value(gw_buf_str(&p->kept[ERROR]));
	if (dp_json_truthy(error))
		dp_tap_error(t, error);
	return DP_GO;
}

static void plain_fini(struct dp_stream *s)
{
	struct plain *p = dp_state(s);

	for (size_t i = 0; i < PLAIN_NAMES; i++)
		gw_buf_fini(&p->kept[i]);
}

const struct dp_stage dp_tap_plain = {
	.name = "tap-plain", .eats = DP_BYTES, .emits = DP_BYTES, .size = sizeof(struct plain),
	.init = plain_init, .feed = plain_feed, .finish = plain_finish, .fini = plain_fini,
};
