/* Records of keys and endpoints: closing, probation, identity. */
#include "upstream/health.h"

#include <stdio.h>

#include "base/str.h"
#include "unit.h"

static const struct dp_breaker in_a_row = { 3, 0, 5000 }, in_a_window = { 3, 10000, 5000 };

static struct dp_health *endpoint(void)
{
	return dp_health_ref(DP_HEALTH_ENDPOINT, GW_STR("p"), GW_STR("http://a"), GW_STR_NONE);
}

static const char *state(const struct dp_health *h, int64_t now)
{
	static char text[32];
	json_t *o = dp_health_json(h, now, 1000000);

	snprintf(text, sizeof text, "%s", json_string_value(json_object_get(o, "state")));
	json_decref(o);
	return text;
}

START_TEST(failures_in_a_row)
{
	struct dp_health *h = endpoint();
	bool probe;

	dp_health_bad(h, 1000, &in_a_row, "one");
	dp_health_bad(h, 1001, &in_a_row, "two");
	dp_health_good(h, 1001, 1001);
	dp_health_bad(h, 1002, &in_a_row, "one");
	dp_health_bad(h, 1003, &in_a_row, "two");
	ck_assert(dp_health_admits(h, 1004, &probe) && !probe);
	dp_health_bad(h, 1004, &in_a_row, "three");
	ck_assert(!dp_health_admits(h, 1005, &probe));
	ck_assert_int_eq(dp_health_closed_until(h, 1005), 6004);
	dp_health_unref(&h);
}
END_TEST

START_TEST(failures_in_a_window)
{
	struct dp_health *h = endpoint();
	bool probe;

	dp_health_bad(h, 1000, &in_a_window, "one");
	dp_health_bad(h, 2000, &in_a_window, "two");
	dp_health_bad(h, 11001, &in_a_window, "three"); /* the first is too old by now */
	ck_assert(dp_health_admits(h, 11001, &probe));
	dp_health_good(h, 11002, 11002);
	dp_health_bad(h, 11003, &in_a_window, "again"); /* 2000, 11001, 11003 */
	ck_assert_str_eq(state(h, 11003), "open");
	dp_health_unref(&h);

	h = endpoint();
	for (int i = 0; i < 200; i++) { /* one in five fails: no reason to take it out */
		dp_health_bad(h, 1000 + i, &in_a_window, "now and then");
		for (int k = 0; k < 4; k++)
			dp_health_good(h, 1000 + i, 1000 + i);
		ck_assert_str_eq(state(h, 1000 + i), "healthy");
	}
	dp_health_unref(&h);
}
END_TEST

START_TEST(one_at_a_time_tries_it)
{
	struct dp_health *h = endpoint();
	bool probe;

	dp_health_close(h, 1000, 5000, "closed");
	ck_assert(!dp_health_admits(h, 5999, &probe));
	ck_assert_str_eq(state(h, 6000), "half_open");
	ck_assert(dp_health_admits(h, 6000, &probe) && probe);
	ck_assert(!dp_health_admits(h, 6000, &probe) && !probe);
	ck_assert(!dp_health_admits(h, 96000, &probe));     /* however long it takes */
	ck_assert_int_eq(dp_health_closed_until(h, 96000), 96001);
	dp_health_probe_end(h);                             /* its client left: nothing is known, the next one tries */
	ck_assert(dp_health_admits(h, 96000, &probe) && probe);
	dp_health_bad(h, 96000, &in_a_window, "still broken"); /* one failure is enough now */
	dp_health_probe_end(h);
	ck_assert_int_eq(dp_health_closed_until(h, 96001), 101000);
	dp_health_good(h, 95000, 97000);                    /* it began before: that proves nothing */
	ck_assert_str_eq(state(h, 97000), "open");
	dp_health_bad(h, 98000, &in_a_window, "late");      /* so does this */
	ck_assert_int_eq(dp_health_closed_until(h, 98000), 101000);
	ck_assert(dp_health_admits(h, 101000, &probe) && probe);
	dp_health_good(h, 101000, 101500);
	dp_health_probe_end(h);
	ck_assert_str_eq(state(h, 101500), "healthy");
	ck_assert(dp_health_admits(h, 101500, &probe) && !probe);
	dp_health_unref(&h);
}
END_TEST

START_TEST(the_latest_word_wins)
{
	struct dp_health *h = dp_health_ref(DP_HEALTH_KEY, GW_STR("p"), GW_STR("k"), GW_STR("secret"));
	json_t *o;

	dp_health_close(h, 1000, 30000, "slow down");
	dp_health_close(h, 2000, 5000, "slow down");
	ck_assert_int_eq(dp_health_closed_until(h, 2000), 7000);
	o = dp_health_json(h, 2000, 1000000);
	ck_assert_str_eq(json_string_value(json_object_get(o, "state")), "cooling");
	ck_assert_str_eq(json_string_value(json_object_get(o, "name")), "k");
	ck_assert_str_eq(json_string_value(json_object_get(o, "last_error")), "slow down");
	ck_assert(json_is_string(json_object_get(o, "last_error_at")) && json_is_string(json_object_get(o, "cooldown_until")));
	json_decref(o);
	dp_health_condemn(h, 2000, 60000, "bad key");
	ck_assert_str_eq(state(h, 2000), "bad");
	dp_health_close(h, 2500, 100, "and too fast"); /* a dead key's rest is not cut short */
	ck_assert_int_eq(dp_health_closed_until(h, 2500), 62000);
	dp_health_clear(h, 3000);
	o = dp_health_json(h, 3000, 1000000);
	ck_assert_str_eq(json_string_value(json_object_get(o, "state")), "healthy");
	ck_assert(json_is_null(json_object_get(o, "last_error")) && json_is_null(json_object_get(o, "cooldown_until")));
	json_decref(o);
	dp_health_unref(&h);
}
END_TEST

START_TEST(checks_take_down_and_bring_back)
{
	struct dp_health *h = endpoint();
	bool probe;

	ck_assert(!dp_health_checked(h, 1000, false, 2, 2, "refused"));
	ck_assert(!dp_health_checked(h, 2000, true, 2, 2, NULL));
	ck_assert(!dp_health_checked(h, 3000, false, 2, 2, "refused"));
	ck_assert(dp_health_admits(h, 3000, &probe));
	ck_assert(dp_health_checked(h, 4000, false, 2, 2, "refused"));
	ck_assert(!dp_health_admits(h, 4000, &probe));
	ck_assert_str_eq(state(h, 4000), "open");
	dp_health_good(h, 4100, 4100); /* a request that slipped through does not count: the checks decide */
	ck_assert(!dp_health_admits(h, 4100, &probe));
	ck_assert(!dp_health_checked(h, 5000, true, 2, 2, NULL));
	ck_assert(dp_health_checked(h, 6000, true, 2, 2, NULL));
	ck_assert(dp_health_admits(h, 6000, &probe) && !probe);
	ck_assert_int_eq(dp_health_percent(h, 6000, 10000), 1);
	ck_assert_int_eq(dp_health_percent(h, 11000, 10000), 50);
	ck_assert_int_eq(dp_health_percent(h, 16000, 10000), 100);
	ck_assert_int_eq(dp_health_percent(h, 6000, 0), 100);
	(void)dp_health_checked(h, 7000, false, 1, 2, "refused");
	dp_health_unchecked(h, 8000); /* checks were switched off */
	ck_assert(dp_health_admits(h, 8000, &probe));
	dp_health_unref(&h);
}
END_TEST

START_TEST(identity_is_the_value)
{
	struct dp_health *a = dp_health_ref(DP_HEALTH_KEY, GW_STR("p"), GW_STR("k"), GW_STR("one"));
	struct dp_health *b = dp_health_ref(DP_HEALTH_KEY, GW_STR("p"), GW_STR("k"), GW_STR("one"));
	struct dp_health *c = dp_health_ref(DP_HEALTH_KEY, GW_STR("p"), GW_STR("k"), GW_STR("two"));
	struct dp_health *d = dp_health_share(a);

	ck_assert_ptr_eq(a, b);
	ck_assert_ptr_ne(a, c); /* a changed key starts with a clean record */
	dp_health_begin(a);
	ck_assert_int_eq(dp_health_in_flight(b), 1);
	dp_health_end(b);
	dp_health_unref(&a);
	dp_health_unref(&b);
	dp_health_close(d, 0, 1000, "x");
	dp_health_unref(&d);
	dp_health_unref(&c);
	a = dp_health_ref(DP_HEALTH_KEY, GW_STR("p"), GW_STR("k"), GW_STR("one"));
	ck_assert_int_eq(dp_health_closed_until(a, 0), 0); /* nobody named it any more: forgotten */
	dp_health_unref(&a);
}
END_TEST

UNIT_MAIN("health", failures_in_a_row, failures_in_a_window, one_at_a_time_tries_it, the_latest_word_wins,
          checks_take_down_and_bring_back, identity_is_the_value)
