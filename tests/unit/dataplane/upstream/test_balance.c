/* Choosing among candidates: shares by weight, loads, faithfulness, and what happens when all are closed. */
#include "upstream/balance.h"

#include "unit.h"

START_TEST(weights_are_shares)
{
	static const enum gw_balance how[] = { GW_BALANCE_ROUND_ROBIN, GW_BALANCE_RANDOM };

	for (size_t h = 0; h < 2; h++) {
		int64_t credit[3] = { 0 };
		struct dp_candidate c[3] = {
			{ .weight = 1, .credit = &credit[0] }, { .weight = 3, .credit = &credit[1] }, { .weight = 0, .credit = &credit[2] },
		};
		int n[3] = { 0 };

		for (uint64_t i = 0; i < 400; i++)
			n[dp_balance(how[h], c, 3, 0, i, i)]++;
		ck_assert_int_eq(n[0], 100);
		ck_assert_int_eq(n[1], 300);
		ck_assert_int_eq(n[2], 0);
		c[0].used = c[1].used = true;
		ck_assert_int_eq(dp_balance(how[h], c, 3, 0, 7, 7), 2); /* weight 0 only when nothing else is left */
		c[2].used = true;
		ck_assert_int_eq(dp_balance(how[h], c, 3, 0, 7, 7), -1);
	}
}
END_TEST

START_TEST(closed_ones_are_left_out)
{
	int64_t credit[3] = { 0 };
	struct dp_candidate c[3] = {
		{ .weight = 1, .closed_until = 500, .credit = &credit[0] }, { .weight = 1, .credit = &credit[1] },
		{ .weight = 1, .closed_until = 300, .credit = &credit[2] },
	};

	for (int how = GW_BALANCE_ROUND_ROBIN; how <= GW_BALANCE_HASH; how++) {
		for (uint64_t i = 0; i < 20; i++)
			ck_assert_int_eq(dp_balance((enum gw_balance)how, c, 3, 100, i, i), 1);
		c[1].closed_until = 400;
		ck_assert_int_eq(dp_balance((enum gw_balance)how, c, 3, 100, 3, 3), 2); /* the one that opens first */
		c[1].closed_until = 0;
	}
}
END_TEST

START_TEST(least_requests)
{
	struct dp_candidate c[3] = { { .weight = 1, .in_flight = 4 }, { .weight = 1, .in_flight = 2 }, { .weight = 4, .in_flight = 7 } };

	ck_assert_int_eq(dp_balance(GW_BALANCE_LEAST_REQUESTS, c, 3, 0, 0, 0), 2); /* 8/4 < 3/1 */
	c[2].in_flight = 20;
	ck_assert_int_eq(dp_balance(GW_BALANCE_LEAST_REQUESTS, c, 3, 0, 0, 0), 1);
}
END_TEST

START_TEST(hashing_moves_little)
{
	struct dp_candidate c[4] = { 0 };
	int before[1000], moved = 0, n[4] = { 0 };

	for (int i = 0; i < 4; i++)
		c[i] = (struct dp_candidate){ .weight = 1, .hash = 0x9e3779b97f4a7c15ull * (uint64_t)(i + 1) };
	for (uint64_t i = 0; i < 1000; i++) {
		before[i] = dp_balance(GW_BALANCE_HASH, c, 4, 0, 0, i * 7919);
		n[before[i]]++;
		ck_assert_int_eq(dp_balance(GW_BALANCE_HASH, c, 4, 0, 99, i * 7919), before[i]);
	}
	for (int i = 0; i < 4; i++)
		ck_assert_int_gt(n[i], 150);
	c[2].closed_until = 1000;
	for (uint64_t i = 0; i < 1000; i++) {
		int now = dp_balance(GW_BALANCE_HASH, c, 4, 0, 0, i * 7919);

		ck_assert(now != 2);
		moved += now != before[i];
	}
	ck_assert_int_eq(moved, n[2]);
}
END_TEST

/* 1 : 3 gives b a b b, never a long run of one: a server would feel it. */
START_TEST(turns_are_smooth)
{
	int64_t credit[3] = { 0 };
	struct dp_candidate c[3] = {
		{ .weight = 100, .credit = &credit[0] }, { .weight = 300, .credit = &credit[1] }, { .weight = 200, .credit = &credit[2] },
	};
	int last = -1, run = 0, n[3] = { 0 };

	for (int i = 0; i < 600; i++) {
		int got = dp_balance(GW_BALANCE_ROUND_ROBIN, c, 3, 0, 0, 0);

		n[got]++;
		run = got == last ? run + 1 : 1;
		last = got;
		ck_assert_int_le(run, 2);
	}
	ck_assert_int_eq(n[0], 100);
	ck_assert_int_eq(n[1], 300);
	ck_assert_int_eq(n[2], 200);
}
END_TEST

START_TEST(hashing_knows_weights)
{
	struct dp_candidate c[3] = { { .weight = 1 }, { .weight = 2 }, { .weight = 0 } };
	int n[3] = { 0 };

	for (size_t i = 0; i < 3; i++)
		c[i].hash = dp_balance_hash((struct gw_str){ &"abc"[i], 1 });
	for (uint64_t i = 0; i < 6000; i++)
		n[dp_balance(GW_BALANCE_HASH, c, 3, 0, 0, i * 7919)]++;
	ck_assert_int_gt(n[0], 1800);
	ck_assert_int_lt(n[0], 2200);
	ck_assert_int_eq(n[2], 0);
}
END_TEST

/* The same in every worker, for ever: a prefix cache is lost by a change of this function. */
START_TEST(the_hash_never_changes)
{
	ck_assert_uint_eq(dp_balance_hash(GW_STR("session-1")), dp_balance_hash(GW_STR("session-1")));
	ck_assert_uint_eq(dp_balance_hash(GW_STR("")), 17665956581633026203ull);
	ck_assert_uint_ne(dp_balance_hash(GW_STR("session-1")), dp_balance_hash(GW_STR("session-2")));
}
END_TEST

START_TEST(not_too_many_are_ejected)
{
	struct dp_candidate c[4] = { { .closed_until = 900 }, { .closed_until = 300 }, { .closed_until = 500 }, { .closed_until = 0 } };

	dp_balance_cap_ejected(c, 4, 100, 100);
	ck_assert_int_eq(c[1].closed_until, 300);
	dp_balance_cap_ejected(c, 4, 100, 50);
	ck_assert_int_eq(c[1].closed_until, 0);   /* it would have come back first */
	ck_assert_int_eq(c[2].closed_until, 500);
	dp_balance_cap_ejected(c, 4, 100, 0);
	ck_assert_int_eq(c[0].closed_until, 0);
}
END_TEST

UNIT_MAIN("balance", turns_are_smooth, hashing_knows_weights, the_hash_never_changes, not_too_many_are_ejected, weights_are_shares, closed_ones_are_left_out, least_requests, hashing_moves_little)
