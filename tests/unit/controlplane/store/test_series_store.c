/* Points of series: each message once, at three resolutions that agree, bounded in time and number. */
#include "controlplane/fixture.h"
#include "series/chart.h"
#include "store/series_store.h"

#define T0 1800000000000LL /* a whole hour */

static size_t insert(struct cp_store *s, const char *boot, int64_t seq, int64_t at_ms, const char *rows)
{
	size_t stored = 0;
	json_t *list = NULL;
	ck_assert_int_eq(gw_json_parse(&list, gw_str_c(rows), 1 << 20, NULL), GW_OK);
	struct cp_series_message m = { GW_STR("node1"), gw_str_c(boot), seq, at_ms, list };
	ck_assert_int_eq(cp_series_insert(s, &m, &stored, NULL), GW_OK);
	json_decref(list);
	return stored;
}

/* What a chart of [T0, T0 + 2 h) adds up to. */
static uint64_t sum(struct cp_store *s, const char *metric, int64_t step_ms, const char *model, struct gw_arena *a, struct cp_chart *c)
{
	struct cp_txn *t = NULL;
	struct gw_error err = { 0 };
	struct cp_chart_query q = { .metric = gw_str_c(metric), .by = GW_STR("route"), .from_ms = T0, .to_ms = T0 + 7200000,
		.step_ms = step_ms, .now_ms = T0 + 7200000 };
	uint64_t n = 0;
	if (model)
		q.only[CP_DIMENSION_MODEL] = gw_str_c(model);
	ck_assert_int_eq(cp_txn_begin(&t, s, NULL), GW_OK);
	ck_assert_msg(cp_chart_read(c, t, &q, a, &err) == GW_OK, "%s", err.text);
	cp_txn_end(&t);
	for (size_t i = 0; i < c->n_lines; i++)
		n += c->line[i].total;
	return n;
}

/* Slot 14 of ENDED: 2xx, first end reason (complete).  36 and 39: prompt and completion tokens. */
#define ROW "[[\"traffic\",[\"r1\",\"p\",\"m\"],[12,3,36,30,39,6]],[\"traffic\",[\"r2\",\"p\",\"m2\"],[12,1]]]"

START_TEST(each_message_counts_once_at_every_resolution)
{
	char dir[128];
	struct cp_chart c;
	struct gw_arena *a = gw_arena_open(0);
	fx_dir(dir);
	struct cp_store *s = fx_store(dir);
	ck_assert_uint_eq(insert(s, "b1", 1, T0 + 5000, ROW), 2);
	ck_assert_uint_eq(insert(s, "b1", 1, T0 + 5000, ROW), 0);
	ck_assert_uint_eq(insert(s, "b1", 2, T0 + 15000, ROW), 2);
	ck_assert_uint_eq(insert(s, "b1", 1, T0 + 25000, ROW), 0);
	ck_assert_uint_eq(insert(s, "b2", 1, T0 + 3605000, ROW), 2); /* another process, an hour later */
	ck_assert_uint_eq(sum(s, "requests", 60000, NULL, a, &c), 12);
	ck_assert_uint_eq(c.n_steps, 120);
	ck_assert(cp_chart_value(&c, &c.line[0], 0) == 6 && cp_chart_value(&c, &c.line[0], 60) == 3);
	ck_assert_uint_eq(sum(s, "requests", 3600000, NULL, a, &c), 12);
	ck_assert_uint_eq(sum(s, "requests", 10000, NULL, a, &c), 12);
	ck_assert(cp_chart_value(&c, &c.line[0], 0) == 3 && cp_chart_value(&c, &c.line[0], 1) == 3);
	ck_assert_uint_eq(sum(s, "requests", 60000, "m2", a, &c), 3);
	ck_assert_uint_eq(sum(s, "tokens", 60000, NULL, a, &c), 108);
	gw_arena_close(&a);
	cp_store_close(&s);
}
END_TEST

START_TEST(what_cannot_be_read_is_left_out)
{
	char dir[128];
	fx_dir(dir);
	struct cp_store *s = fx_store(dir);
	ck_assert_uint_eq(insert(s, "b1", 1, T0, "[1,[],[\"traffic\"],[\"traffic\",[\"r\"],[0,1]],[\"colours\",[],[0,1]],"
	    "[\"traffic\",[\"r\",\"p\",5],[0,1]],[\"traffic\",[\"r\",\"p\",\"m\"],[0,-5,100000,1,\"x\",2,0]],{\"a\":1}]"), 1);
	cp_store_close(&s);
}
END_TEST

START_TEST(old_points_go_and_counts_stay_bounded)
{
	char dir[128];
	bool more = true;
	struct cp_chart c;
	struct gw_arena *a = gw_arena_open(0);
	int64_t keep[CP_SERIES_RESOLUTIONS] = { 600000, 7200000, 72000000 }, points[CP_SERIES_RESOLUTIONS];
	struct cp_txn *t = NULL;
	fx_dir(dir);
	struct cp_store *s = fx_store(dir);
	for (int i = 0; i < 120; i++)
		insert(s, "b1", i + 1, T0 + i * 60000, ROW);
	while (more)
		ck_assert_int_eq(cp_series_trim(s, keep, T0 + 7200000, &more, NULL), GW_OK);
	ck_assert_int_eq(cp_txn_begin(&t, s, NULL), GW_OK);
	ck_assert_int_eq(cp_series_count(t, points, NULL), GW_OK);
	cp_txn_end(&t);
	ck_assert_int_eq(points[0], 20);
	ck_assert_int_eq(points[1], 240);
	ck_assert_int_eq(points[2], 4);
	ck_assert_uint_eq(sum(s, "requests", 3600000, NULL, a, &c), 480);
	gw_arena_close(&a);
	cp_store_close(&s);
}
END_TEST

UNIT_MAIN("series_store", each_message_counts_once_at_every_resolution, what_cannot_be_read_is_left_out, old_points_go_and_counts_stay_bounded)
