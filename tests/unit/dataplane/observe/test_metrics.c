/* Counters of several loops added up, and the ceiling on their number. */
#include "observe/metrics.h"

#include <stdio.h>

#include "base/str.h"
#include "unit.h"

static bool has(const struct gw_buf *b, const char *line)
{
	size_t at;

	return gw_str_find(gw_buf_str(b), gw_str_c(line), &at);
}

static struct dp_request_facts facts(const char *route)
{
	return (struct dp_request_facts){
		.route = gw_str_c(route), .provider = GW_STR("p"), .status = 200, .end = GW_END_COMPLETE, .tokens = { .prompt = 5, .completion = 2 },
		.total_us = 15000, .first_token_us = -1, .overhead_us = 45,
	};
}

START_TEST(loops_are_added_up)
{
	struct dp_metrics *m[2] = { dp_metrics_open(), dp_metrics_open() };
	struct dp_request_facts f = facts("r");
	struct dp_gauges g = { .snapshot_revision = 12 };
	struct gw_buf b;

	gw_buf_init(&b, 1 << 20);
	dp_metrics_request(m[0], &f);
	dp_metrics_request(m[1], &f);
	f.status = 401;
	f.end = GW_END_REJECTED;
	f.rejected = "invalid_api_key";
	dp_metrics_request(m[1], &f);
	dp_metrics_attempt(m[0], GW_STR("p"), "ok");
	dp_metrics_in_flight(m[1], 3);
	dp_metrics_text(&b, m, 2, &g);
	ck_assert(has(&b, "tidegate_requests_total{route=\"r\",provider=\"p\",status=\"2xx\",end_reason=\"complete\"} 2\n"));
	ck_assert(has(&b, "tidegate_requests_total{route=\"r\",provider=\"p\",status=\"4xx\",end_reason=\"rejected\"} 1\n"));
	ck_assert(has(&b, "tidegate_tokens_total{route=\"r\",provider=\"p\",class=\"prompt\"} 15\n"));
	ck_assert(has(&b, "tidegate_rejected_total{code=\"invalid_api_key\"} 1\n"));
	ck_assert(has(&b, "tidegate_upstream_attempts_total{provider=\"p\",result=\"ok\"} 1\n"));
	ck_assert(has(&b, "tidegate_request_duration_seconds_bucket{route=\"r\",le=\"0.01\"} 0\n"));
	ck_assert(has(&b, "tidegate_request_duration_seconds_bucket{route=\"r\",le=\"0.02\"} 3\n"));
	ck_assert(has(&b, "tidegate_overhead_seconds_bucket{le=\"0.00004\"} 0\n"));
	ck_assert(has(&b, "tidegate_overhead_seconds_bucket{le=\"0.00008\"} 3\n"));
	ck_assert(has(&b, "tidegate_requests_in_flight 3\n"));
	ck_assert(has(&b, "tidegate_snapshot_revision 12\n"));
	gw_buf_fini(&b);
	dp_metrics_close(&m[0]);
	dp_metrics_close(&m[1]);
}
END_TEST

START_TEST(the_number_of_rows_is_bounded)
{
	struct dp_metrics *m = dp_metrics_open();
	struct dp_gauges g = { 0 };
	struct gw_buf b;
	char name[32];
	size_t lines = 0;

	gw_buf_init(&b, 64u << 20);
	for (int i = 0; i < 20000; i++) {
		struct dp_request_facts f;

		snprintf(name, sizeof name, "route-%d", i);
		f = facts(name);
		dp_metrics_request(m, &f);
	}
	dp_metrics_text(&b, &m, 1, &g);
	for (size_t i = 0; i < b.n; i++)
		lines += b.p[i] == '\n';
	ck_assert_uint_lt(lines, 60u * DP_METRICS_MAX_ROWS);
	ck_assert(has(&b, "route=\"other\""));
	ck_assert_int_eq(dp_metrics_requests_of(m), 20000);
	gw_buf_fini(&b);
	dp_metrics_close(&m);
}
END_TEST

UNIT_MAIN("metrics", loops_are_added_up, the_number_of_rows_is_bounded)
