/* One counter of each kind: what is granted, what comes back, and when. */
#include "services/window.h"
#include "unit.h"

static struct dp_now at(int64_t ms) { return (struct dp_now){ 1000000 + ms, 1700000000000 + ms }; }

static bool take(struct dp_window *w, const struct dp_claim *c, int64_t amount, int64_t ms, int64_t *wait)
{
	*wait = 0;
	dp_window_update(w, c, at(ms));
	return dp_window_take(w, amount, at(ms), wait);
}

START_TEST(what_is_open_counts_and_comes_back_at_once)
{
	static const enum dp_claim_kind kinds[] = { DP_CLAIM_SLIDING, DP_CLAIM_BUCKET, DP_CLAIM_PERIOD, DP_CLAIM_TOTAL, DP_CLAIM_OPEN };

	for (size_t i = 0; i < GW_COUNT(kinds); i++) {
		struct dp_claim c = { .kind = kinds[i], .limit = 100, .window_ms = 60000, .from_ms = 1, .until_ms = at(90000).wall_ms };
		struct dp_window w;
		int64_t wait;

		dp_window_init(&w, &c, at(0));
		ck_assert(take(&w, &c, 100, 0, &wait));
		ck_assert(!take(&w, &c, 1, 0, &wait));
		ck_assert_int_ge(wait, 1);
		dp_window_settle(&w, 100, 30, at(0));
		dp_window_update(&w, &c, at(0));
		ck_assert_int_eq(dp_window_left(&w), kinds[i] == DP_CLAIM_OPEN ? 100 : 70);
		ck_assert(take(&w, &c, 70, 0, &wait));
		dp_window_settle(&w, 70, 0, at(0));
		ck_assert_int_eq(w.open, 0);
	}
}
END_TEST

START_TEST(more_than_reserved_is_charged_and_shuts)
{
	struct dp_claim c = { .kind = DP_CLAIM_SLIDING, .limit = 100, .window_ms = 60000 };
	struct dp_window w;
	int64_t wait;

	dp_window_init(&w, &c, at(0));
	ck_assert(take(&w, &c, 10, 0, &wait));
	dp_window_settle(&w, 10, 250, at(0));
	ck_assert_int_eq(dp_window_used(&w), 250);
	ck_assert_int_eq(dp_window_left(&w), 0);
	ck_assert(!take(&w, &c, 0, 0, &wait));
	ck_assert(!take(&w, &c, 1, 59000, &wait));
	ck_assert(take(&w, &c, 1, 64000, &wait));
}
END_TEST

/* Whatever is asked when: no stretch of window_ms ever holds more than the limit, and what is waited for is granted. */
START_TEST(no_window_holds_more_than_the_limit)
{
	struct dp_claim c = { .kind = DP_CLAIM_SLIDING, .limit = 50, .window_ms = 1600 };
	int64_t when[4000], amount[4000], now = 0, wait;
	struct dp_window w;
	size_t n = 0;
	uint32_t r = 7;

	dp_window_init(&w, &c, at(0));
	while (n < GW_COUNT(when)) {
		int64_t want;

		r = r * 1664525u + 1013904223u;
		want = 1 + (r >> 8) % 9;
		if (take(&w, &c, want, now, &wait)) {
			dp_window_settle(&w, want, want, at(now));
			when[n] = now;
			amount[n++] = want;
			now += (r >> 20) % 40;
		} else {
			ck_assert(wait >= 1 && wait <= 1700);
			now += wait;
			ck_assert(take(&w, &c, want, now, &wait));
			dp_window_settle(&w, want, 0, at(now));
		}
	}
	for (size_t i = 0; i < n; i++) {
		int64_t sum = 0;

		for (size_t k = i; k < n && when[k] < when[i] + 1600; k++)
			sum += amount[k];
		ck_assert_int_le(sum, 50);
	}
}
END_TEST

START_TEST(a_bucket_refills_evenly)
{
	struct dp_claim c = { .kind = DP_CLAIM_BUCKET, .limit = 60, .window_ms = 60000 };
	struct dp_window w;
	int64_t wait;

	dp_window_init(&w, &c, at(0));
	ck_assert(take(&w, &c, 60, 0, &wait));
	dp_window_settle(&w, 60, 60, at(0));
	ck_assert(!take(&w, &c, 2, 0, &wait));
	ck_assert_int_eq(wait, 2000);
	ck_assert(!take(&w, &c, 2, 1999, &wait));
	ck_assert(take(&w, &c, 2, 2000, &wait));
	dp_window_settle(&w, 2, 2, at(2000));
	ck_assert_int_eq(dp_window_reset_ms(&w, at(2000)), 60000);
	c.limit = 70; /* what was used up stays used up */
	dp_window_update(&w, &c, at(2000));
	ck_assert_int_eq(dp_window_left(&w), 10);
	dp_window_update(&w, &c, at(1000)); /* a clock of another loop may lag: nothing refills twice */
	ck_assert_int_eq(dp_window_left(&w), 10);
}
END_TEST

START_TEST(a_period_begins_anew)
{
	struct dp_claim c = { .kind = DP_CLAIM_PERIOD, .limit = 100, .from_ms = 10, .until_ms = at(5000).wall_ms, .opening = 90 };
	struct dp_window w;
	int64_t wait;

	dp_window_init(&w, &c, at(0));
	ck_assert_int_eq(dp_window_left(&w), 10);
	ck_assert(!take(&w, &c, 11, 0, &wait));
	ck_assert_int_eq(wait, 5000);
	dp_window_put(&w, 20);
	ck_assert_int_eq(dp_window_left(&w), 80);
	ck_assert(take(&w, &c, 80, 0, &wait));
	c.from_ms = c.until_ms;
	c.until_ms += 5000;
	c.opening = 0;
	dp_window_update(&w, &c, at(5000));
	ck_assert_int_eq(dp_window_used(&w), 80); /* still open */
	dp_window_settle(&w, 80, 5, at(5001));
	ck_assert_int_eq(dp_window_used(&w), 5);
}
END_TEST

START_TEST(a_window_survives_odd_figures)
{
	struct dp_claim c = { .kind = DP_CLAIM_SLIDING, .limit = INT64_MAX / 2, .window_ms = 1 };
	struct dp_window w;
	int64_t wait;

	dp_window_init(&w, &c, at(0));
	ck_assert(take(&w, &c, (int64_t)1 << 50, 0, &wait));
	dp_window_settle(&w, (int64_t)1 << 50, (int64_t)1 << 50, at(0));
	c.limit = 1;
	dp_window_update(&w, &c, at(0));
	ck_assert_int_eq(dp_window_left(&w), 0);
	ck_assert(!take(&w, &c, (int64_t)1 << 50, 0, &wait));
	ck_assert(take(&w, &c, 1, 1000000, &wait));
	ck_assert(!take(&w, &c, 1, -1000000, &wait)); /* the clock never goes back here */
	ck_assert_int_eq(dp_claim_amount(&(struct dp_claim){ .capped = true, .limit = 5 }, 9), 5);
	ck_assert_int_eq(dp_claim_amount(&(struct dp_claim){ .limit = 5 }, 9), 9);
	ck_assert_int_eq(dp_claim_amount(&(struct dp_claim){ .limit = 5 }, -9), 0);
}
END_TEST

UNIT_MAIN("window", what_is_open_counts_and_comes_back_at_once, more_than_reserved_is_charged_and_shuts,
          no_window_holds_more_than_the_limit, a_bucket_refills_evenly, a_period_begins_anew, a_window_survives_odd_figures)
