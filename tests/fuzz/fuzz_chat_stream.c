/*
 * fuzz_chat_stream.c - a provider's answer through each of the four ways to the client, at three slicings.
 *
 * The first byte chooses the setup.  Output and usage must not depend on the slicing; collected answers must be JSON.
 */
#include <stdlib.h>

#include "base/arena.h"
#include "base/str.h"
#include "json.h"
#include "llm/tap.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

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

static const struct dp_stage sink = { .name = "sink", .eats = DP_BYTES, .size = sizeof(void *), .init = sink_init,
	                              .feed = sink_feed };

static void run(struct dp_tap_setup setup, struct gw_str in, size_t piece, struct gw_buf *out, struct gw_tokens *tokens)
{
	struct gw_arena *a = gw_arena_open(0);
	struct dp_tap *t = dp_tap_open(a, &setup);
	struct dp_stream *s = dp_tap_chain(a, t, dp_stream_open(a, &sink, out, NULL));
	enum dp_flow f = DP_GO;

	for (size_t at = 0; at < in.n && f != DP_ERROR; at += piece)
		f = dp_feed_bytes(s, (struct gw_str){ in.p + at, in.n - at < piece ? in.n - at : piece });
	(void)!dp_finish(s, DP_CLOSE_CLEAN);
	dp_tap_usage(t, 1, tokens);
	gw_buf_printf(out, "%d", (int)dp_tap_complete(t));
	gw_arena_close(&a);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const size_t pieces[] = { 1, 6 };
	struct gw_tokens tokens = { 0 }, again = { 0 };
	struct dp_tap_setup setup = { .max_event = 4096, .max_answer = 1 << 20 };
	struct gw_buf out, cut;
	struct gw_str in;
	size_t op = 0;

	if (!size)
		return 0;
	for (op = data[0] >> 4; !dp_operation_at(op);)
		op -= 1;
	setup.op = dp_operation_at(op);
	setup.client_streams = data[0] & 1;
	setup.upstream_streams = data[0] & 2;
	setup.usage_injected = data[0] & 4;
	setup.client_usage = data[0] & 8;
	in = (struct gw_str){ (const char *)data + 1, size - 1 };
	gw_buf_init(&out, 64u << 20);
	gw_buf_init(&cut, 64u << 20);
	run(setup, in, size, &out, &tokens);
	for (size_t i = 0; i < GW_COUNT(pieces); i++) {
		gw_buf_clear(&cut);
		run(setup, in, pieces[i], &cut, &again);
		if (!gw_str_eq(gw_buf_str(&out), gw_buf_str(&cut)) || memcmp(&tokens, &again, sizeof tokens) != 0)
			abort();
	}
	gw_buf_fini(&out);
	gw_buf_fini(&cut);
	return 0;
}
