/* Counters of several loops added up, and the ceiling on their number. */
#include "observe/totals.h"

#include <stdio.h>

#include "base/str.h"
#include "unit.h"

static bool has(const struct gw_buf *b, const char *line)
{
	size_t at;

	return gw_str_find(gw_buf_str(b), gw_str_c(line), &at);
}

static const struct gw_str served[] = { { "m1", 2 } };
static const struct gw_matcher matched[] = { { .type = GW_MATCH_EXACT, .value = { "m2", 2 } }, { .type = GW_MATCH_PREFIX, .value = { "m3", 2 } } };
static const struct gw_provider provider = { .name = { "p", 1 }, .models = { served, 1 } };
static const struct gw_route route = { .name = { "r", 1 }, .models = matched, .n_models = 2 };
static const struct gw_consumer consumer = { .name = { "app1", 4 } };

static struct dp_request_facts facts(void)
{
	return (struct dp_request_facts){
		.route = &route, .provider = &provider, .model = GW_STR("m1"), .status = 200, .end = GW_END_COMPLETE,
		.tokens = { .prompt = 5, .completion = 2 }, .total_us = 15000, .first_token_us = -1, .overhead_us = 45, .queue_us = -1,
	};
}

START_TEST(loops_are_added_up)
{
	struct dp_metrics *m[2] = { dp_metrics_open(), dp_metrics_open() };
	struct dp_request_facts f = facts();
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
	dp_metrics_again(m[0], GW_STR("p"), true);
	dp_metrics_in_flight(m[1], 3);
	dp_metrics_text(&b, m, 2, &g);
	ck_assert(has(&b, "tidegate_requests_total{route=\"r\",provider=\"p\",model=\"m1\",status=\"2xx\",end_reason=\"complete\"} 2\n"));
	ck_assert(has(&b, "tidegate_requests_total{route=\"r\",provider=\"p\",model=\"m1\",status=\"4xx\",end_reason=\"rejected\"} 1\n"));
	ck_assert(has(&b, "tidegate_tokens_total{route=\"r\",provider=\"p\",model=\"m1\",class=\"prompt\"} 15\n"));
	ck_assert(has(&b, "tidegate_rejected_total{code=\"invalid_api_key\"} 1\n"));
	ck_assert(has(&b, "tidegate_upstream_attempts_total{provider=\"p\",result=\"ok\"} 1\n"));
	ck_assert(has(&b, "tidegate_upstream_fallbacks_total{provider=\"p\"} 1\n"));
	ck_assert(!has(&b, "tidegate_upstream_retries_total{"));
	ck_assert(has(&b, "tidegate_request_duration_seconds_bucket{route=\"r\",le=\"0.01\"} 0\n"));
	ck_assert(has(&b, "tidegate_request_duration_seconds_bucket{route=\"r\",le=\"0.02\"} 3\n"));
	ck_assert(has(&b, "tidegate_request_duration_seconds_count{route=\"r\"} 3\n"));
	ck_assert(has(&b, "gen_ai_server_request_duration_seconds_count{gen_ai_provider_name=\"p\",gen_ai_request_model=\"m1\"} 3\n"));
	ck_assert(has(&b, "gen_ai_client_token_usage_sum{gen_ai_provider_name=\"p\",gen_ai_request_model=\"m1\",gen_ai_token_type=\"input\"} 15"));
	ck_assert(has(&b, "tidegate_overhead_seconds_bucket{le=\"0.00004\"} 0\n"));
	ck_assert(has(&b, "tidegate_overhead_seconds_bucket{le=\"0.00008\"} 3\n"));
	ck_assert(has(&b, "tidegate_overhead_seconds_count 3\n"));
	ck_assert(has(&b, "tidegate_requests_in_flight 3\n"));
	ck_assert(has(&b, "tidegate_snapshot_revision 12\n"));
	ck_assert(has(&b, "tidegate_consumer_requests_total{consumer=\"none\",status=\"2xx\"} 2\n"));
	gw_buf_fini(&b);
	dp_metrics_close(&m[0]);
	dp_metrics_close(&m[1]);
}
END_TEST

START_TEST(money_and_limits_are_told_by_consumer)
{
	struct dp_metrics *m = dp_metrics_open();
	struct dp_request_facts f = facts();
	struct dp_gauges g = { 0 };
	struct gw_buf b;

	gw_buf_init(&b, 1 << 20);
	f.consumer = &consumer;
	f.cost = 1250;
	f.currency = GW_STR("USD");
	dp_metrics_request(m, &f);
	f.currency = GW_STR("CNY");
	dp_metrics_request(m, &f);
	f.cost = 0;
	f.status = 429;
	f.end = GW_END_BLOCKED;
	f.rejected = "rate_limit_exceeded";
	f.limited = true;
	dp_metrics_request(m, &f);
	dp_metrics_text(&b, &m, 1, &g);
	ck_assert(has(&b, "tidegate_cost_micros_total{route=\"r\",provider=\"p\",model=\"m1\",currency=\"USD\"} 1250\n"));
	ck_assert(has(&b, "tidegate_consumer_cost_micros_total{consumer=\"app1\",currency=\"CNY\"} 1250\n"));
	ck_assert(has(&b, "tidegate_limited_total{consumer=\"app1\",code=\"rate_limit_exceeded\"} 1\n"));
	ck_assert(has(&b, "tidegate_consumer_tokens_total{consumer=\"app1\",class=\"completion\"} 6\n"));
	gw_buf_fini(&b);
	dp_metrics_close(&m);
}
END_TEST

START_TEST(a_model_is_a_label_only_as_it_is_configured)
{
	static const struct { const char *name; bool ours; } known[] = { { "m1", false }, { "m2", false }, { "of-the-target", true } };
	struct dp_metrics *m = dp_metrics_open();
	struct dp_request_facts f = facts();
	size_t before;
	char name[40];

	for (size_t i = 0; i < GW_COUNT(known); i++) {
		f.model = gw_str_c(known[i].name);
		f.model_ours = known[i].ours;
		dp_metrics_request(m, &f);
	}
	f.model_ours = false;
	f.model = GW_STR("m3-of-a-prefix");
	dp_metrics_request(m, &f);
	before = dp_metrics_rows(m);
	for (int i = 0; i < 10000; i++) {
		snprintf(name, sizeof name, "junk-%d", i);
		f.model = gw_str_c(name);
		dp_metrics_request(m, &f);
	}
	ck_assert_uint_eq(dp_metrics_rows(m), before);
	ck_assert_uint_eq(before, 1 + 1 + GW_COUNT(known) + 1); /* worker, consumer `none`, the known ones, `other` */
	dp_metrics_close(&m);
}
END_TEST

START_TEST(the_number_of_rows_is_bounded)
{
	struct dp_metrics *m = dp_metrics_open();
	struct dp_gauges g = { 0 };
	struct gw_buf b;
	char name[32];

	gw_buf_init(&b, 64u << 20);
	for (int i = 0; i < 20000; i++) {
		struct dp_request_facts f = facts();
		struct gw_route r = route;

		snprintf(name, sizeof name, "route-%d", i);
		r.name = gw_str_c(name);
		f.route = &r;
		dp_metrics_request(m, &f);
	}
	ck_assert_uint_eq(dp_metrics_rows(m), 2 + gw_metric_set(GW_SET_TRAFFIC)->max_rows);
	dp_metrics_text(&b, &m, 1, &g);
	ck_assert(has(&b, "tidegate_requests_total{route=\"other\",provider=\"other\",model=\"other\",status=\"2xx\",end_reason=\"complete\"} 15905\n"));
	ck_assert_int_eq(dp_metrics_requests_of(m), 20000);
	gw_buf_fini(&b);
	dp_metrics_close(&m);
}
END_TEST

UNIT_MAIN("metrics", loops_are_added_up, money_and_limits_are_told_by_consumer, a_model_is_a_label_only_as_it_is_configured,
          the_number_of_rows_is_bounded)
