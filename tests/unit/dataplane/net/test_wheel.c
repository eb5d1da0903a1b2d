/* Timers: never early, at most a slot late, safe against anything a callback does. */
#include "net/wheel.h"

#include "unit.h"

struct probe { struct dp_timer t; int64_t want; int fired; };

static struct dp_wheel w;
static int64_t now;
static int total;

static void count(struct dp_timer *t)
{
	struct probe *p = GW_CONTAINER(t, struct probe, t);

	ck_assert_int_ge(now, p->want);
	ck_assert_int_le(now, p->want + DP_WHEEL_SLOT_MS);
	p->fired++;
	total++;
}

START_TEST(fires_when_due)
{
	enum { N = 3000 };
	static struct probe p[N];

	now = 1000003;
	total = 0;
	dp_wheel_init(&w, now);
	for (int i = 0; i < N; i++) {
		p[i] = (struct probe){ .want = now + 1 + (int64_t)i * 17 };
		dp_timer_init(&p[i].t, count);
		dp_timer_start(&w, &p[i].t, p[i].want);
	}
	while (total < N) {
		int64_t next = dp_wheel_next(&w);

		ck_assert_int_gt(next, now - DP_WHEEL_SLOT_MS);
		now = next > now ? next : now + 1;
		dp_wheel_run(&w, now);
	}
	for (int i = 0; i < N; i++)
		ck_assert_int_eq(p[i].fired, 1);
	ck_assert_int_eq(dp_wheel_next(&w), -1);
}
END_TEST

static struct probe victim;

static void stop_other(struct dp_timer *t)
{
	(void)t;
	dp_timer_stop(&victim.t);
	total++;
}

static void restart_self(struct dp_timer *t)
{
	total++;
	if (total < 5)
		dp_timer_start(&w, t, now); /* due already: fires in the next slot, not for ever in this one */
}

START_TEST(callbacks_may_do_anything)
{
	struct probe a = { .want = 0 }, b = { .want = 0 };

	now = 5000;
	total = 0;
	dp_wheel_init(&w, now);
	victim = (struct probe){ .want = 0 };
	dp_timer_init(&a.t, stop_other);
	dp_timer_init(&victim.t, count);
	dp_timer_start(&w, &a.t, now + 10);
	dp_timer_start(&w, &victim.t, now + 10);
	now += 100;
	dp_wheel_run(&w, now);
	ck_assert_int_eq(total, 1);
	ck_assert_int_eq(victim.fired, 0);
	total = 0;
	dp_timer_init(&b.t, restart_self);
	dp_timer_start(&w, &b.t, now + 1);
	for (int i = 0; i < 10; i++)
		dp_wheel_run(&w, now += DP_WHEEL_SLOT_MS);
	ck_assert_int_eq(total, 5);
	dp_timer_stop(&b.t);
}
END_TEST

START_TEST(far_timers_and_long_sleeps)
{
	struct probe far = { .want = 0 }, near = { .want = 0 };

	now = 77;
	total = 0;
	dp_wheel_init(&w, now);
	far.want = now + 10 * DP_WHEEL_SLOTS * DP_WHEEL_SLOT_MS + 3;
	dp_timer_init(&far.t, count);
	dp_timer_start(&w, &far.t, far.want);
	ck_assert(dp_timer_armed(&far.t));
	while (!far.fired) {
		now = dp_wheel_next(&w);
		ck_assert_int_ge(now, 0);
		dp_wheel_run(&w, now);
	}
	near.want = now + 20;
	dp_timer_init(&near.t, restart_self);
	dp_timer_start(&w, &near.t, near.want);
	total = 10;
	dp_wheel_run(&w, now += 3600000); /* the machine slept */
	ck_assert_int_eq(total, 11);
}
END_TEST

UNIT_MAIN("wheel", fires_when_due, callbacks_may_do_anything, far_timers_and_long_sleeps)
