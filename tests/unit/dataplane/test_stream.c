/* The driver's books: answers that stick, the end told once, state released with the arena. */
#include "base/arena.h"
#include "base/str.h"
#include "stream.h"
#include "unit.h"

struct counts { unsigned fed, finished, freed; enum dp_flow says, says_at_end; enum dp_close how; };

static void init(struct dp_stream *s, void *arg)
{
	memcpy(dp_state(s), &arg, sizeof arg);
}

static struct counts *of(struct dp_stream *s)
{
	struct counts *c;

	memcpy(&c, dp_state(s), sizeof c);
	return c;
}

static enum dp_flow feed(struct dp_stream *s, const struct dp_chunk *c)
{
	of(s)->fed++;
	return s->next ? dp_worse(dp_emit(s, c), of(s)->says) : of(s)->says;
}

static enum dp_flow finish(struct dp_stream *s, enum dp_close how)
{
	of(s)->finished++;
	of(s)->how = how;
	return of(s)->says_at_end;
}

static void fini(struct dp_stream *s)
{
	of(s)->freed++;
}

static const struct dp_stage stage = { .name = "counting", .eats = DP_BYTES, .emits = DP_BYTES, .size = sizeof(void *), .init = init,
	                               .feed = feed, .finish = finish, .fini = fini };

START_TEST(answers_stick)
{
	static const enum dp_flow says[] = { DP_GO, DP_FULL, DP_END, DP_ERROR };

	for (size_t i = 0; i < GW_COUNT(says); i++) {
		struct gw_arena *a = gw_arena_open(0);
		struct counts head = { .says = DP_GO }, sink = { .says = says[i] };
		struct dp_stream *s = dp_stream_open(a, &stage, &head, dp_stream_open(a, &stage, &sink, NULL));

		ck_assert_int_eq(dp_feed_bytes(s, GW_STR("a")), says[i]);
		ck_assert_int_eq(dp_feed_bytes(s, GW_STR("b")), says[i]);
		ck_assert_uint_eq(head.fed, says[i] >= DP_END ? 1 : 2);
		ck_assert_int_eq(dp_finish(s, DP_CLOSE_CLEAN), says[i] == DP_ERROR ? DP_ERROR : DP_END);
		dp_finish(s, DP_CLOSE_ABORT) == DP_GO ? ck_abort() : (void)0;
		ck_assert_uint_eq(head.finished, says[i] >= DP_END ? 0 : 1);
		ck_assert_uint_eq(head.freed + sink.freed, 0);
		gw_arena_close(&a);
		ck_assert(head.freed == 1 && sink.freed == 1);
	}
}
END_TEST

START_TEST(the_end_is_told_once_and_to_all)
{
	struct gw_arena *a = gw_arena_open(0);
	struct counts head = { .says_at_end = DP_GO }, sink = { .says_at_end = DP_ERROR };
	struct dp_stream *s = dp_stream_open(a, &stage, &head, dp_stream_open(a, &stage, &sink, NULL));

	ck_assert_int_eq(dp_finish(s, DP_CLOSE_TRUNCATED), DP_ERROR);
	ck_assert_int_eq(dp_finish(s, DP_CLOSE_CLEAN), DP_ERROR);
	ck_assert(head.finished == 1 && sink.finished == 1 && head.how == DP_CLOSE_TRUNCATED && sink.how == DP_CLOSE_TRUNCATED);
	gw_arena_close(&a);
}
END_TEST

UNIT_MAIN("stream", answers_stick, the_end_is_told_once_and_to_all)
