/* The queue of usage records: order, batches, acknowledgement, and that its rows are what usage.h reads. */
#include "observe/ledger.h"

#include "base/str.h"
#include "unit.h"

static struct gw_usage_record record(const char *id)
{
	struct gw_usage_record r = {
		.request_id = gw_str_c(id), .consumer = GW_STR("app\"1"), .route = GW_STR("r"), .requested_model = GW_STR("m\n"),
		.status = 200, .attempts = 1, .prompt_tokens = 7, .completion_tokens = 9, .first_byte_ms = -1, .end_reason = GW_END_COMPLETE,
		.usage_source = GW_USAGE_PROVIDER,
	};
	return r;
}

START_TEST(batches_and_acks)
{
	struct dp_ledger *l = dp_ledger_open();
	struct gw_buf b;
	int64_t last = 0;
	char id[16];

	gw_buf_init(&b, 1 << 20);
	for (int i = 1; i <= 10; i++) {
		struct gw_usage_record r;

		snprintf(id, sizeof id, "req-%d", i);
		r = record(id);
		dp_ledger_add(l, &r);
	}
	ck_assert_uint_eq(dp_ledger_batch(l, 0, 4, &b, &last), 4);
	ck_assert_int_eq(last, 4);
	ck_assert_uint_eq(dp_ledger_batch(l, last, 100, &b, &last), 6);
	ck_assert_int_eq(last, 10);
	ck_assert_uint_eq(dp_ledger_batch(l, last, 100, &b, &last), 0);
	dp_ledger_ack(l, 4);
	ck_assert_uint_eq(dp_ledger_queued(l), 6);
	gw_buf_clear(&b);
	ck_assert_uint_eq(dp_ledger_batch(l, 0, 100, &b, &last), 6); /* resent from the oldest that is not safe */
	dp_ledger_ack(l, 3);
	ck_assert_uint_eq(dp_ledger_queued(l), 6);
	dp_ledger_ack(l, 10);
	ck_assert_uint_eq(dp_ledger_queued(l), 0);
	struct gw_usage_record r = record("again");
	dp_ledger_add(l, &r);
	gw_buf_clear(&b);
	ck_assert_uint_eq(dp_ledger_batch(l, 10, 100, &b, &last), 1);
	ck_assert_int_eq(last, 11);
	gw_buf_fini(&b);
	dp_ledger_close(&l);
}
END_TEST

static struct gw_usage_rows *read_all(const struct gw_buf *b)
{
	struct gw_error err = { .text = "" };
	struct gw_usage_rows *rows = gw_usage_rows_read(GW_STR("boot"), gw_buf_str(b), &err);

	ck_assert_msg(rows != NULL && rows->unread == 0, "%s", err.text);
	return rows;
}

START_TEST(rows_are_what_the_other_side_reads)
{
	struct dp_ledger *l = dp_ledger_open();
	struct gw_usage_record r = record("req-x"), *back;
	struct gw_usage_rows *rows;
	struct gw_buf b;
	int64_t last;

	gw_buf_init(&b, 1 << 20);
	dp_ledger_add(l, &r);
	dp_ledger_batch(l, 0, 1, &b, &last);
	rows = read_all(&b);
	ck_assert_uint_eq(rows->n, 1);
	back = &rows->v[0];
	ck_assert(gw_str_is(back->request_id, "req-x") && gw_str_is(back->consumer, "app\"1") && gw_str_is(back->requested_model, "m\n"));
	ck_assert(gw_str_is(back->provider, ""));
	ck_assert_int_eq(back->seq, 1);
	ck_assert_int_eq(back->prompt_tokens, 7);
	ck_assert_int_eq(back->first_byte_ms, -1);
	ck_assert_int_eq(back->end_reason, GW_END_COMPLETE);
	ck_assert_int_eq(back->usage_source, GW_USAGE_PROVIDER);
	gw_usage_rows_free(&rows);
	gw_buf_fini(&b);
	dp_ledger_close(&l);
}
END_TEST

START_TEST(large_records_make_small_batches)
{
	struct dp_ledger *l = dp_ledger_open();
	struct gw_usage_record r = record("req-long");
	struct gw_usage_rows *rows;
	struct gw_buf b;
	int64_t last = 0;
	char *log = gw_alloc(6000);
	size_t n;

	memset(log, '"', 6000);
	r.attempt_log = (struct gw_str){ log, 6000 };
	r.trace_id = (struct gw_str){ log, 6000 };
	gw_buf_init(&b, 4u << 20);
	for (int i = 0; i < 1000; i++)
		dp_ledger_add(l, &r);
	n = dp_ledger_batch(l, 0, 1000, &b, &last);
	ck_assert(n > 100 && n < 1000 && last == (int64_t)n && !b.full);
	gw_buf_clear(&b);
	last = 0;
	ck_assert_uint_eq(dp_ledger_batch(l, 0, 1, &b, &last), 1);
	rows = read_all(&b);
	ck_assert_uint_eq(rows->v[0].attempt_log.n, GW_USAGE_ATTEMPT_LOG_MAX);
	ck_assert_uint_eq(rows->v[0].trace_id.n, GW_USAGE_TEXT_MAX);
	gw_usage_rows_free(&rows);
	free(log);
	gw_buf_fini(&b);
	dp_ledger_close(&l);
}
END_TEST

START_TEST(full_means_dropped_and_counted)
{
	struct dp_ledger *l = dp_ledger_open();
	struct gw_usage_record r = record("x");

	for (size_t i = 0; i < DP_LEDGER_MAX_RECORDS + 50; i++)
		dp_ledger_add(l, &r);
	ck_assert_uint_eq(dp_ledger_queued(l) + (size_t)dp_ledger_dropped(l), DP_LEDGER_MAX_RECORDS + 50);
	ck_assert_int_ge(dp_ledger_dropped(l), 50);
	dp_ledger_close(&l);
}
END_TEST

START_TEST(refusals_cannot_push_out_what_cost_money)
{
	struct dp_ledger *l = dp_ledger_open();
	struct gw_usage_record paid = record("paid"), refused = record("refused");

	refused.attempts = 0;
	for (size_t i = 0; i < DP_LEDGER_MAX_RECORDS; i++)
		dp_ledger_add(l, &refused);
	ck_assert_uint_eq(dp_ledger_queued(l), DP_LEDGER_MAX_RECORDS / 2);
	ck_assert_int_eq(dp_ledger_dropped(l), DP_LEDGER_MAX_RECORDS / 2);
	for (size_t i = 0; i < 1000; i++)
		dp_ledger_add(l, &paid);
	dp_ledger_add(l, &refused);
	ck_assert_uint_eq(dp_ledger_queued(l), DP_LEDGER_MAX_RECORDS / 2 + 1000);
	ck_assert_int_eq(dp_ledger_dropped(l), DP_LEDGER_MAX_RECORDS / 2 + 1);
	dp_ledger_close(&l);
}
END_TEST

UNIT_MAIN("ledger", batches_and_acks, rows_are_what_the_other_side_reads, large_records_make_small_batches, full_means_dropped_and_counted,
          refusals_cannot_push_out_what_cost_money)
