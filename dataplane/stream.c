/* stream.c - the driver of stages, and the one stage that makes events of bytes. */
#include "stream.h"

static void close_stage(void *arg)
{
	struct dp_stream *s = arg;

	GW_CHECK(s, DP_STREAM_MAGIC);
	s->magic = 0;
	if (s->ops->fini)
		s->ops->fini(s);
}

struct dp_stream *dp_stream_open(struct gw_arena *a, const struct dp_stage *ops, void *arg, struct dp_stream *next)
{
	struct dp_stream *s = gw_arena_alloc(a, sizeof *s + ops->size);

	assert(!next || (ops->emits & next->ops->eats));
	s->magic = DP_STREAM_MAGIC;
	s->ops = ops;
	s->next = next;
	if (ops->init)
		ops->init(s, arg);
	gw_arena_defer(a, close_stage, s);
	return s;
}

enum dp_flow dp_feed(struct dp_stream *s, const struct dp_chunk *c)
{
	GW_CHECK(s, DP_STREAM_MAGIC);
	if (s->flow == DP_END || s->flow == DP_ERROR)
		return s->flow;
	assert(!s->finished && (s->ops->eats & c->kind));
	s->calls++;
	s->flow = s->ops->feed(s, c);
	return s->flow;
}

enum dp_flow dp_feed_bytes(struct dp_stream *s, struct gw_str bytes)
{
	return dp_feed(s, &(struct dp_chunk){ .kind = DP_BYTES, .u.bytes = bytes });
}

enum dp_flow dp_emit(struct dp_stream *s, const struct dp_chunk *c)
{
	GW_CHECK(s, DP_STREAM_MAGIC);
	assert(s->ops->emits & c->kind);
	s->chunks_out++;
	return s->next ? dp_feed(s->next, c) : DP_GO;
}

enum dp_flow dp_emit_bytes(struct dp_stream *s, struct gw_str bytes)
{
	if (!bytes.n)
		return DP_GO;
	return dp_emit(s, &(struct dp_chunk){ .kind = DP_BYTES, .u.bytes = bytes });
}

enum dp_flow dp_finish(struct dp_stream *s, enum dp_close how)
{
	GW_CHECK(s, DP_STREAM_MAGIC);
	if (!s->finished) {
		enum dp_flow f = DP_GO;

		if (s->flow != DP_END && s->flow != DP_ERROR && s->ops->finish)
			f = s->ops->finish(s, how);
		s->finished = true;
		s->flow = f == DP_ERROR || s->flow == DP_ERROR ? DP_ERROR : DP_END;
	}
	return s->next ? dp_worse(dp_finish(s->next, how), s->flow) : s->flow;
}

/* ---- bytes to events ---- */

static void split_init(struct dp_stream *s, void *arg)
{
	const size_t *max_event = arg;

	dp_sse_init(dp_state(s), max_event ? *max_event : DP_SSE_MAX_EVENT);
}

static enum dp_flow split_feed(struct dp_stream *s, const struct dp_chunk *c)
{
	struct dp_sse *sse = dp_state(s);
	struct gw_str in = c->u.bytes;
	struct dp_sse_event ev;
	enum dp_flow worst = DP_GO;

	for (;;) {
		enum dp_sse_got got = dp_sse_next(sse, &in, &ev);
		enum dp_flow f;

		if (got == DP_SSE_TOOBIG)
			return DP_ERROR;
		if (got == DP_SSE_NEED)
			return worst;
		f = dp_emit(s, &(struct dp_chunk){ .kind = DP_EVENT, .u.event = &ev });
		if (f == DP_END || f == DP_ERROR)
			return f;
		worst = dp_worse(worst, f);
	}
}

static enum dp_flow split_finish(struct dp_stream *s, enum dp_close how)
{
	struct dp_sse_event ev;

	if (!dp_sse_finish(dp_state(s), &ev))
		return DP_GO;
	ev.torn = how != DP_CLOSE_CLEAN;
	return dp_emit(s, &(struct dp_chunk){ .kind = DP_EVENT, .u.event = &ev });
}

static void split_fini(struct dp_stream *s)
{
	dp_sse_fini(dp_state(s));
}

const struct dp_stage dp_sse_stage = {
	.name = "sse", .eats = DP_BYTES, .emits = DP_EVENT, .size = sizeof(struct dp_sse),
	.init = split_init, .feed = split_feed, .finish = split_finish, .fini = split_fini,
};
