/* Differences of counters: each growth is told once, however often it is sent, and nothing is lost while nobody listens. */
#include "observe/series.h"

#include "base/str.h"
#include "json.h"
#include "unit.h"

static const struct gw_provider provider = { .name = { "p", 1 } };
static const struct gw_route route = { .name = { "r", 1 } };
static const struct dp_sample sample = { .in_flight = 2, .memory = 1000, .cpu_us = 77 };

static void served(struct dp_metrics *m, int times)
{
	struct dp_request_facts f = {
		.route = &route, .provider = &provider, .model = GW_STR("m"), .model_ours = true, .status = 200, .end = GW_END_COMPLETE,
		.tokens = { .prompt = 3 }, .total_us = 15000, .first_token_us = -1, .overhead_us = -1, .queue_us = -1,
	};

	for (int i = 0; i < times; i++)
		dp_metrics_request(m, &f);
}

/* What a message says about one slot of a set; -1: it does not mention the set. */
static int64_t told(const struct gw_buf *b, const char *set, size_t slot)
{
	json_t *doc, *rows;
	int64_t n = -1;

	ck_assert_int_eq(gw_json_parse(&doc, gw_buf_str(b), 1 << 20, NULL), GW_OK);
	rows = json_object_get(doc, "rows");
	for (size_t i = 0; i < json_array_size(rows); i++) {
		json_t *row = json_array_get(rows, i), *pairs = json_array_get(row, 2);

		if (strcmp(json_string_value(json_array_get(row, 0)), set) != 0)
			continue;
		n = n < 0 ? 0 : n;
		for (size_t k = 0; k < json_array_size(pairs); k += 2)
			if ((size_t)json_integer_value(json_array_get(pairs, k)) == slot)
				n += json_integer_value(json_array_get(pairs, k + 1));
	}
	json_decref(doc);
	return n;
}

#define PROMPT (GW_AT(TRAFFIC, TOKENS) + GW_TOKENS_PROMPT)

START_TEST(each_growth_is_told_once)
{
	struct dp_metrics *m[2] = { dp_metrics_open(), dp_metrics_open() };
	struct dp_series *s = dp_series_open();
	struct gw_buf b;
	int64_t seq = 0;

	gw_buf_init(&b, 1 << 20);
	ck_assert(!dp_series_next(s, "b", 0, 0, &b, &seq));
	served(m[0], 2);
	served(m[1], 1);
	dp_series_cut(s, m, 2, &sample, 10000);
	served(m[0], 4);
	dp_series_cut(s, m, 2, &sample, 20000);
	ck_assert(dp_series_next(s, "b", 0, 25000, &b, &seq));
	ck_assert_int_eq(seq, 1);
	ck_assert_int_eq(told(&b, "traffic", PROMPT), 9);
	gw_buf_clear(&b);
	ck_assert(dp_series_next(s, "b", 0, 25000, &b, &seq)); /* sent again: the same */
	ck_assert_int_eq(told(&b, "traffic", PROMPT), 9);
	gw_buf_clear(&b);
	ck_assert(dp_series_next(s, "b", 1, 25000, &b, &seq));
	ck_assert_int_eq(seq, 2);
	ck_assert_int_eq(told(&b, "traffic", PROMPT), 12);
	ck_assert_int_eq(told(&b, "worker", GW_AT(WORKER, SAMPLES)), 1);
	ck_assert_int_eq(told(&b, "worker", GW_AT(WORKER, IN_FLIGHT)), 2);
	ck_assert_int_eq(told(&b, "worker", GW_AT(WORKER, CPU_US)), -1 + 1); /* 77 before, 77 now: it did not grow */
	dp_series_ack(s, 1);
	ck_assert_uint_eq(dp_series_waiting(s), 1);
	dp_series_ack(s, 2);
	ck_assert_uint_eq(dp_series_waiting(s), 0);
	dp_series_cut(s, m, 2, &sample, 30000);
	gw_buf_clear(&b);
	ck_assert(dp_series_next(s, "b", 2, 30000, &b, &seq));
	ck_assert_int_eq(told(&b, "traffic", PROMPT), -1);
	gw_buf_fini(&b);
	dp_series_close(&s);
	dp_metrics_close(&m[0]);
	dp_metrics_close(&m[1]);
}
END_TEST

START_TEST(while_nobody_listens_memory_is_bounded_and_sums_are_right)
{
	struct dp_metrics *m = dp_metrics_open();
	struct dp_series *s = dp_series_open();
	struct gw_buf b;
	int64_t seq = 0, sum = 0;
	size_t most = 0, cuts = 0;
	bool rest_cut = false;
	char name[120];

	gw_buf_init(&b, 8 << 20);
	for (int i = 0; i < 3000; i++) {
		struct gw_route r = { .name = { name, 96 } };
		struct dp_request_facts f = { .route = &r, .provider = &provider, .model = GW_STR("m"), .model_ours = true, .status = 200,
			.tokens = { .prompt = 3 }, .total_us = 1, .first_token_us = -1, .overhead_us = -1, .queue_us = -1 };

		snprintf(name, sizeof name, "route-%090d", i);
		dp_metrics_request(m, &f);
	}
	for (; cuts < 200; cuts++) { /* every row grows every time */
		for (size_t i = 0; i < dp_metrics_rows(m); i++)
			if (dp_metrics_row(m, i)->set == GW_SET_TRAFFIC)
				atomic_fetch_add(&((struct dp_row *)(uintptr_t)dp_metrics_row(m, i))->slot[PROMPT], 3);
		dp_series_cut(s, &m, 1, &sample, (int64_t)cuts * 10000);
		most = dp_series_waiting(s) > most ? dp_series_waiting(s) : most;
	}
	ck_assert_uint_lt(most, 150);
	while (dp_series_next(s, "b", seq, 0, &b, &seq)) {
		sum += told(&b, "traffic", PROMPT);
		gw_buf_clear(&b);
		dp_series_ack(s, seq);
		if (dp_series_waiting(s) > 0 || rest_cut)
			continue;
		dp_series_cut(s, &m, 1, &sample, 3000000); /* the first with room again: all the rest at once */
		rest_cut = true;
	}
	ck_assert_int_eq(sum, 3000 * 3 * 201);
	gw_buf_fini(&b);
	dp_series_close(&s);
	dp_metrics_close(&m);
}
END_TEST

UNIT_MAIN("series", each_growth_is_told_once, while_nobody_listens_memory_is_bounded_and_sums_are_right)
