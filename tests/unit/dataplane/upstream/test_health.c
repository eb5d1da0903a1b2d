/* Records of keys and endpoints: closing, probation, identity. */
#include "upstream/health.h"

#include "base/str.h"
#include "unit.h"

START_TEST(closes_after_so_many_failures)
{
	struct dp_health *h = dp_health_ref(DP_HEALTH_ENDPOINT, GW_STR("p"), GW_STR("http://a"), GW_STR_NONE);

	dp_health_bad(h, 1000, 3, 5000, "one");
	dp_health_bad(h, 1001, 3, 5000, "two");
	dp_health_good(h); /* in a row, or it does not count */
	dp_health_bad(h, 1002, 3, 5000, "one");
	dp_health_bad(h, 1003, 3, 5000, "two");
	ck_assert(dp_health_admits(h, 1004));
	dp_health_bad(h, 1004, 3, 5000, "three");
	ck_assert(!dp_health_admits(h, 1005));
	ck_assert_int_eq(dp_health_closed_until(h), 6004);
	ck_assert(dp_health_admits(h, 6004));   /* the probe */
	ck_assert(!dp_health_admits(h, 6004));  /* one at a time */
	ck_assert(!dp_health_admits(h, 6900));
	ck_assert(dp_health_admits(h, 7100));   /* the probe may have been lost: another second, another one */
	dp_health_good(h);
	ck_assert(dp_health_admits(h, 7101));
	ck_assert(dp_health_admits(h, 7101));
	dp_health_unref(&h);
}
END_TEST

START_TEST(the_latest_date_wins)
{
	struct dp_health *h = dp_health_ref(DP_HEALTH_KEY, GW_STR("p"), GW_STR("k"), GW_STR("secret"));
	json_t *o;

	dp_health_close(h, 1000, 30000, "slow down");
	dp_health_close(h, 2000, 5000, "slow down");
	ck_assert_int_eq(dp_health_closed_until(h), 31000);
	o = dp_health_json(h, 2000, 1000000);
	ck_assert_str_eq(json_string_value(json_object_get(o, "state")), "cooling");
	ck_assert_str_eq(json_string_value(json_object_get(o, "name")), "k");
	ck_assert_str_eq(json_string_value(json_object_get(o, "last_error")), "slow down");
	json_decref(o);
	dp_health_condemn(h, 2000, 60000, "bad key");
	o = dp_health_json(h, 2000, 1000000);
	ck_assert_str_eq(json_string_value(json_object_get(o, "state")), "bad");
	json_decref(o);
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
	ck_assert_int_eq(dp_health_closed_until(a), 0); /* nobody named it any more: forgotten */
	dp_health_unref(&a);
}
END_TEST

UNIT_MAIN("health", closes_after_so_many_failures, the_latest_date_wins, identity_is_the_value)
