/* Percentiles out of merged buckets, and layouts that other releases must be able to read. */
#include "metric.h"

#include <math.h>

#include "base/str.h"
#include "unit.h"

START_TEST(percentiles_lie_where_the_values_lie)
{
	uint64_t h[GW_SLOTS_SECONDS] = { 0 };

	ck_assert(gw_histogram_quantile(GW_HISTOGRAM_SECONDS, h, 0.5) < 0);
	for (int i = 0; i < 100; i++)
		h[gw_histogram_slot(GW_HISTOGRAM_SECONDS, i < 90 ? 15000 : 3000000)]++;
	ck_assert_uint_eq(gw_histogram_count(GW_HISTOGRAM_SECONDS, h), 100);
	ck_assert(fabs(gw_histogram_quantile(GW_HISTOGRAM_SECONDS, h, 0.5) - (0.01 + 0.01 * 50 / 90)) < 1e-9);
	ck_assert(gw_histogram_quantile(GW_HISTOGRAM_SECONDS, h, 0.95) > 2.56);
	ck_assert(gw_histogram_quantile(GW_HISTOGRAM_SECONDS, h, 0.95) <= 5.12);
}
END_TEST

START_TEST(what_lies_above_all_edges_counts_as_the_last)
{
	uint64_t h[GW_SLOTS_FIRST] = { 0 };

	h[gw_histogram_slot(GW_HISTOGRAM_FIRST, 3600u * 1000000u)]++;
	ck_assert(gw_histogram_quantile(GW_HISTOGRAM_FIRST, h, 0.99) == 10);
}
END_TEST

START_TEST(edges_ascend_and_read_as_they_are)
{
	static const enum gw_histogram all[] = {
#define X(name, n, scale) GW_HISTOGRAM_##name,
		GW_HISTOGRAM_TABLE(X)
#undef X
	};

	for (size_t k = 0; k < GW_COUNT(all); k++) {
		const struct gw_histogram_edges *e = gw_histogram_edges(all[k]);

		for (size_t i = 0; i < e->n; i++) {
			ck_assert(i == 0 || e->at[i] > e->at[i - 1]);
			ck_assert(fabs(atof(e->text[i]) * e->scale - (double)e->at[i]) < 0.5);
			ck_assert_uint_eq(gw_histogram_slot(all[k], e->at[i]), i);
			ck_assert_uint_eq(gw_histogram_slot(all[k], e->at[i] + 1), i + 1);
		}
	}
}
END_TEST

/* Databases and workers of earlier releases hold these numbers: a change needs another GW_METRIC_LAYOUT. */
START_TEST(slots_stay_where_they_were)
{
	ck_assert_int_eq(GW_METRIC_LAYOUT, 1);
	ck_assert_uint_eq(GW_AT(TRAFFIC, TOKENS), 36);
	ck_assert_uint_eq(GW_AT(TRAFFIC, DURATION), 43);
	ck_assert_uint_eq(GW_AT(TRAFFIC, OUTPUT), 108);
	ck_assert_uint_eq(GW_AT(CONSUMER, TOKENS), 6);
	ck_assert_uint_eq(GW_AT(CONSUMER, FIRST_TOKEN), 28);
	ck_assert_uint_eq(GW_AT(WORKER, SAMPLES), 48);
	ck_assert_uint_eq(GW_AT(WORKER, USAGE_DROPPED), 56);
}
END_TEST

START_TEST(labels_are_escaped)
{
	struct gw_buf b;

	gw_buf_init(&b, 1000);
	gw_buf_add_c(&b, "x{");
	gw_metric_label(&b, "a", GW_STR("q\"b\\\n"));
	gw_metric_label(&b, "b", GW_STR("2"));
	ck_assert_str_eq(b.p, "x{a=\"q\\\"b\\\\_\",b=\"2\"");
	gw_buf_fini(&b);
}
END_TEST

START_TEST(a_process_knows_itself)
{
	struct gw_process p;

	gw_process_read(&p);
	ck_assert_int_gt(p.rss_bytes, 100000);
	ck_assert_int_gt(p.open_fds, 2);
	ck_assert_int_ge(p.max_fds, p.open_fds);
	ck_assert_int_gt(p.started_at_ms, 1600000000000);
}
END_TEST

UNIT_MAIN("metric", percentiles_lie_where_the_values_lie, what_lies_above_all_edges_counts_as_the_last, edges_ascend_and_read_as_they_are,
          slots_stay_where_they_were, labels_are_escaped, a_process_knows_itself)
