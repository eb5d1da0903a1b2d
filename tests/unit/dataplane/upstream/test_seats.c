/* One count and one queue for the connections of several loops. */
#include "upstream/seats.h"

#include "base/str.h"
#include "unit.h"

struct loop { struct dp_loop *l; struct dp_sitter *s; int woken, spared; };

static void wake(void *arg) { ((struct loop *)arg)->woken++; }
static void spare(void *arg) { ((struct loop *)arg)->spared++; }

static const struct dp_sitter_ops ops = { wake, spare };
static struct loop one, two, three;

static void join(struct loop *x, size_t max, size_t taken)
{
	x->woken = x->spared = 0;
	if (!x->l)
		x->l = dp_loop_open(0);
	x->s = dp_seats_join(GW_STR("server"), x->l, max, taken, &ops, x);
}

static void turn(void)
{
	struct loop *all[] = { &one, &two, &three };

	for (size_t i = 0; i < 3; i++)
		if (all[i]->l)
			dp_loop_turn(all[i]->l, false);
}

static void close_all(void)
{
	struct loop *all[] = { &one, &two, &three };

	for (size_t i = 0; i < 3; i++) {
		dp_seats_leave(&all[i]->s);
		if (all[i]->l)
			dp_loop_close(&all[i]->l);
	}
}

START_TEST(never_more_than_the_limit_and_in_turn)
{
	dp_net_setup();
	join(&one, 1, 0);
	join(&two, 1, 0);
	join(&three, 1, 0);
	ck_assert(dp_seat_take(one.s));
	ck_assert(!dp_seat_take(one.s) && !dp_seat_take(two.s) && !dp_seat_take(three.s));
	for (int i = 0; i < 9; i++) { /* a, b, c, a …: each of them always wants one more */
		struct loop *all[] = { &one, &two, &three }, *has = all[i % 3], *next = all[(i + 1) % 3];
		int before = next->woken;

		ck_assert(dp_seat_is_owed(has->s, true));
		dp_seat_give(has->s);
		ck_assert_msg(!dp_seat_take(has->s), "it was another's turn");
		turn();
		ck_assert_int_eq(next->woken, before + 1);
		ck_assert(dp_seat_take(next->s));
		ck_assert(!dp_seat_take(next->s));
	}
	close_all();
}
END_TEST

START_TEST(a_turn_that_is_not_wanted_passes_on)
{
	join(&one, 1, 0);
	join(&two, 1, 0);
	join(&three, 1, 0);
	ck_assert(dp_seat_take(one.s) && !dp_seat_take(two.s) && !dp_seat_take(three.s));
	dp_seat_give(one.s);
	turn();
	ck_assert(two.woken == 1 && three.woken == 0);
	dp_seat_withdraw(two.s);
	turn();
	ck_assert_int_eq(three.woken, 1);
	dp_seats_leave(&three.s); /* and one that has gone neither keeps a place nor hears of it */
	ck_assert(dp_seat_take(one.s));
	close_all();
}
END_TEST

START_TEST(an_even_part_is_kept)
{
	join(&one, 4, 0);
	join(&two, 4, 0);
	for (int i = 0; i < 4; i++)
		ck_assert(dp_seat_take(one.s));
	ck_assert(!dp_seat_is_owed(one.s, true)); /* nobody waits */
	for (int i = 0; i < 2; i++) {
		ck_assert(!dp_seat_take(two.s));
		ck_assert(dp_seat_is_owed(one.s, true));
		dp_seat_give(one.s);
		turn();
		ck_assert(dp_seat_take(two.s));
	}
	ck_assert(!dp_seat_take(two.s));
	ck_assert_msg(!dp_seat_is_owed(one.s, true), "both have their part, so each keeps its connections");
	ck_assert_msg(dp_seat_is_owed(one.s, false), "but one that nobody here wants is another's");
	for (int i = 0; i < 2; i++)
		dp_seat_give(one.s), dp_seat_give(two.s);
	close_all();
}
END_TEST

START_TEST(who_keeps_idle_ones_is_asked)
{
	join(&one, 2, 0);
	join(&two, 2, 0);
	ck_assert(dp_seat_take(one.s) && dp_seat_take(one.s));
	ck_assert(!dp_seat_take(two.s));
	turn();
	ck_assert_int_eq(one.spared, 0);
	dp_seat_note_idle(one.s, 1);
	ck_assert(!dp_seat_take(two.s));
	turn();
	ck_assert(one.spared == 1 && two.spared == 0);
	close_all();
}
END_TEST

START_TEST(limits_change_and_old_connections_count)
{
	join(&one, 2, 0);
	ck_assert(dp_seat_take(one.s));
	join(&two, 2, 2); /* it had two already, when there was no limit */
	ck_assert(!dp_seat_take(one.s));
	dp_seat_give(two.s);
	turn();
	ck_assert_int_eq(one.woken, 0);
	dp_seats_limit(two.s, 3);
	turn();
	ck_assert_int_eq(one.woken, 1);
	ck_assert(dp_seat_take(one.s));
	close_all();
}
END_TEST

UNIT_MAIN("seats", never_more_than_the_limit_and_in_turn, a_turn_that_is_not_wanted_passes_on, an_even_part_is_kept,
          who_keeps_idle_ones_is_asked, limits_change_and_old_connections_count)
