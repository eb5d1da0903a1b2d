/* All or none, exactly once, from many threads: the local counters behind the admission point. */
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>

#include "base/str.h"
#include "services/counters.h"
#include "unit.h"

static struct dp_claim claim(const char *key, enum dp_claim_kind kind, int64_t limit)
{
	return (struct dp_claim){ .key = gw_str_c(key), .kind = kind, .limit = limit, .window_ms = 3600000, .scope = GW_STR("consumer"),
		.who = GW_STR("app1"), .label = GW_STR("x"), .unit = "tokens" };
}

static struct dp_reservation *reserve(struct dp_desk *d, const struct dp_take *v, size_t n, enum dp_reserve want)
{
	struct dp_reservation *r;

	ck_assert_int_eq(dp_counters_reserve(d, v, n, NULL, NULL, &r), want);
	return r;
}

START_TEST(a_refusal_consumes_nothing_elsewhere)
{
	struct dp_counters *c = dp_counters_open();
	struct dp_desk *d = dp_desk_open(c, NULL);
	struct dp_claim wide = claim("wide", DP_CLAIM_SLIDING, 1000), tight = claim("tight", DP_CLAIM_TOTAL, 10);
	struct dp_take v[] = { { &wide, 100 }, { &tight, 11 } };
	struct dp_reservation *r = reserve(d, v, 2, DP_REFUSED);
	struct dp_counters_figures f;

	ck_assert(!dp_reservation_states(r)[0].refused && dp_reservation_states(r)[1].refused);
	ck_assert_int_eq(dp_reservation_states(r)[0].left, 1000);
	ck_assert_int_eq(dp_reservation_states(r)[1].left, 10);
	dp_counters_settle(&r, (int64_t[]){ 5, 5 });
	ck_assert_ptr_null(r);
	dp_counters_settle(&r, NULL);
	v[1].amount = 10;
	r = reserve(d, v, 2, DP_RESERVED);
	ck_assert_int_eq(dp_reservation_states(r)[0].left, 900);
	dp_counters_figures(c, &f);
	ck_assert_int_eq(f.reservations, 1);
	ck_assert_int_eq(f.refusals, 1);
	dp_counters_settle_part(r, 1, 3);
	dp_counters_settle_part(r, 1, 3);
	dp_counters_settle(&r, (int64_t[]){ 30, 77 });
	v[0].amount = 970;
	v[1].amount = 7;
	r = reserve(d, v, 2, DP_RESERVED);
	dp_counters_settle(&r, NULL);
	dp_counters_figures(c, &f);
	ck_assert_int_eq(f.reservations, 0);
	dp_desk_close(&d);
	dp_counters_close(&c);
}
END_TEST

START_TEST(one_counter_twice_in_a_request)
{
	struct dp_counters *c = dp_counters_open();
	struct dp_desk *d = dp_desk_open(c, NULL);
	struct dp_claim a = claim("a", DP_CLAIM_SLIDING, 10);
	struct dp_take v[] = { { &a, 6 }, { &a, 5 } };
	struct dp_reservation *r = reserve(d, v, 2, DP_REFUSED);

	ck_assert_int_eq(dp_reservation_states(r)[0].left, 10);
	dp_counters_settle(&r, NULL);
	v[1].amount = 4;
	r = reserve(d, v, 2, DP_RESERVED);
	dp_counters_settle(&r, (int64_t[]){ 6, 4 });
	r = reserve(d, v, 1, DP_REFUSED);
	ck_assert_int_eq(dp_reservation_states(r)->used, 10);
	dp_counters_settle(&r, NULL);
	dp_desk_close(&d);
	dp_counters_close(&c);
}
END_TEST

struct crowd { struct dp_counters *c; atomic_int granted, high; atomic_int in; };

static void *visitor(void *arg)
{
	struct crowd *w = arg;
	struct dp_desk *d = dp_desk_open(w->c, NULL);
	struct dp_claim together = claim("together", DP_CLAIM_OPEN, 3), all = claim("all", DP_CLAIM_TOTAL, 500);
	struct dp_take v[] = { { &together, 1 }, { &all, 1 } }, turned[] = { { &all, 1 }, { &together, 1 } };

	for (int i = 0; i < 5000; i++) {
		struct dp_reservation *r;

		if (dp_counters_reserve(d, i & 1 ? v : turned, 2, NULL, NULL, &r) == DP_RESERVED) {
			int now = atomic_fetch_add(&w->in, 1) + 1;

			if (now > atomic_load(&w->high))
				atomic_store(&w->high, now);
			atomic_fetch_add(&w->granted, 1);
			atomic_fetch_sub(&w->in, 1);
			dp_counters_settle(&r, (int64_t[]){ 1, 1 });
		} else {
			dp_counters_settle(&r, NULL);
		}
	}
	dp_desk_close(&d);
	return NULL;
}

START_TEST(threads_share_without_losing_one)
{
	struct crowd w = { .c = dp_counters_open() };
	pthread_t t[4];
	struct dp_counters_figures f;

	for (size_t i = 0; i < GW_COUNT(t); i++)
		ck_assert_int_eq(pthread_create(&t[i], NULL, visitor, &w), 0);
	for (size_t i = 0; i < GW_COUNT(t); i++)
		pthread_join(t[i], NULL);
	ck_assert_int_eq(atomic_load(&w.granted), 500);
	ck_assert_int_le(atomic_load(&w.high), 3);
	dp_counters_figures(w.c, &f);
	ck_assert_int_eq(f.reservations, 0);
	dp_counters_close(&w.c);
}
END_TEST

static void note(void *arg, const struct dp_counter_view *v)
{
	struct dp_counter_view *out = arg;

	*out = *v;
	ck_assert(gw_str_is(v->key, "a"));
}

START_TEST(live_state_and_a_ledgers_word)
{
	struct dp_counters *c = dp_counters_open();
	struct dp_desk *d = dp_desk_open(c, NULL);
	struct dp_claim a = claim("a", DP_CLAIM_TOTAL, 100), b = claim("b", DP_CLAIM_TOTAL, 100);
	struct dp_take v = { &a, 60 };
	struct dp_reservation *r, *no;
	struct dp_counter_view seen = { .used = -1 };

	b.who = GW_STR("app2");
	dp_counters_put(c, &b, 1);
	dp_counters_put(c, &a, 10);
	r = reserve(d, &v, 1, DP_RESERVED);
	no = reserve(d, &v, 1, DP_REFUSED);
	dp_counters_settle(&no, NULL);
	dp_counters_visit(c, GW_STR("consumer"), GW_STR("app1"), note, &seen);
	ck_assert_int_eq(seen.used, 70);
	ck_assert_int_eq(seen.open, 60);
	ck_assert_int_eq(seen.left, 30);
	ck_assert_int_eq(seen.refusals, 1);
	ck_assert_int_gt(seen.refused_at_ms, 0);
	dp_counters_put(c, &a, 20);
	dp_counters_settle(&r, (int64_t[]){ -5 });
	dp_counters_visit(c, GW_STR("consumer"), GW_STR("app1"), note, &seen);
	ck_assert_int_eq(seen.used, 20);
	dp_desk_close(&d);
	dp_counters_close(&c);
}
END_TEST

START_TEST(keys_are_bounded)
{
	struct dp_counters *c = dp_counters_open();
	struct dp_desk *d = dp_desk_open(c, NULL);
	struct dp_claim held = claim("held", DP_CLAIM_TOTAL, 10);
	struct dp_take v = { &held, 10 };
	struct dp_reservation *r = reserve(d, &v, 1, DP_RESERVED), *other;
	struct dp_counters_figures f;

	for (int i = 0; i < 300000; i++) {
		char key[24];
		struct dp_claim one;
		struct dp_take t = { &one, 1 };

		snprintf(key, sizeof key, "k%d", i);
		one = claim(key, DP_CLAIM_OPEN, 1);
		other = reserve(d, &t, 1, DP_RESERVED);
		dp_counters_settle(&other, NULL);
	}
	dp_counters_figures(c, &f);
	ck_assert_int_le(f.keys, DP_COUNTERS_MAX_KEYS);
	v.amount = 1;
	other = reserve(d, &v, 1, DP_REFUSED); /* what is open is never forgotten */
	dp_counters_settle(&other, NULL);
	dp_counters_settle(&r, NULL);
	dp_desk_close(&d);
	dp_counters_close(&c);
}
END_TEST

UNIT_MAIN("counters", a_refusal_consumes_nothing_elsewhere, one_counter_twice_in_a_request, threads_share_without_losing_one,
          live_state_and_a_ledgers_word, keys_are_bounded)
