/* Windows: never more than the limit, refill, changed limits, many threads. */
#include "services/limiter.h"

#include <pthread.h>
#include <stdatomic.h>

#include "unit.h"

START_TEST(takes_and_refills)
{
	struct dp_limiter *l = dp_limiter_open();
	int64_t left;

	for (int i = 0; i < 10; i++)
		ck_assert_int_eq(dp_limiter_try(l, GW_STR("a"), 1, 10, 1000, 0, &left), 0);
	ck_assert_int_eq(left, 0);
	ck_assert_int_eq(dp_limiter_try(l, GW_STR("a"), 1, 10, 1000, 0, &left), 100);
	ck_assert_int_eq(dp_limiter_try(l, GW_STR("a"), 5, 10, 1000, 0, &left), 500);
	ck_assert_int_eq(dp_limiter_try(l, GW_STR("b"), 10, 10, 1000, 0, &left), 0);
	ck_assert_int_eq(dp_limiter_try(l, GW_STR("a"), 1, 10, 1000, 99, NULL), 1);
	ck_assert_int_eq(dp_limiter_try(l, GW_STR("a"), 1, 10, 1000, 100, NULL), 0);
	ck_assert_int_eq(dp_limiter_try(l, GW_STR("a"), 10, 10, 1000, 100000, &left), 0); /* full again, not fuller */
	ck_assert_int_eq(dp_limiter_try(l, GW_STR("a"), 11, 10, 1000, 200000, &left), 1000);
	ck_assert_int_eq(left, 10);
	dp_limiter_close(&l);
}
END_TEST

START_TEST(gives_back_and_settles)
{
	struct dp_limiter *l = dp_limiter_open();
	int64_t left;

	ck_assert_int_eq(dp_limiter_try(l, GW_STR("a"), 80, 100, 1000, 0, &left), 0);
	dp_limiter_return(l, GW_STR("a"), 50, 100, 1000, 0);
	ck_assert_int_eq(dp_limiter_try(l, GW_STR("a"), 70, 100, 1000, 0, &left), 0);
	ck_assert_int_eq(left, 0);
	dp_limiter_return(l, GW_STR("a"), -100, 100, 1000, 0); /* it cost more than was reserved */
	ck_assert_int_eq(dp_limiter_try(l, GW_STR("a"), 1, 100, 1000, 0, &left), 1010);
	dp_limiter_return(l, GW_STR("a"), 10000, 100, 1000, 0); /* never above the limit */
	ck_assert_int_eq(dp_limiter_try(l, GW_STR("a"), 100, 100, 1000, 0, &left), 0);
	ck_assert_int_eq(left, 0);
	dp_limiter_close(&l);
}
END_TEST

START_TEST(a_changed_limit_keeps_what_was_used)
{
	struct dp_limiter *l = dp_limiter_open();
	int64_t left;

	ck_assert_int_eq(dp_limiter_try(l, GW_STR("a"), 60, 100, 1000, 0, &left), 0);
	ck_assert_int_eq(dp_limiter_try(l, GW_STR("a"), 1, 50, 1000, 0, &left), 220);
	ck_assert_int_eq(dp_limiter_try(l, GW_STR("a"), 40, 100, 1000, 0, &left), 0);
	dp_limiter_close(&l);
}
END_TEST

static struct dp_limiter *shared;
static atomic_int admitted;

static void *hammer(void *arg)
{
	(void)arg;
	for (int i = 0; i < 5000; i++)
		if (dp_limiter_try(shared, GW_STR("x"), 1, 1000, 3600000, 5, NULL) == 0)
			admitted++;
	return NULL;
}

START_TEST(threads_never_admit_more)
{
	pthread_t t[4];

	shared = dp_limiter_open();
	for (int i = 0; i < 4; i++)
		pthread_create(&t[i], NULL, hammer, NULL);
	for (int i = 0; i < 4; i++)
		pthread_join(t[i], NULL);
	ck_assert_int_eq(admitted, 1000);
	ck_assert_uint_eq(dp_limiter_keys(shared), 1);
	dp_limiter_close(&shared);
}
END_TEST

UNIT_MAIN("limiter", takes_and_refills, gives_back_and_settles, a_changed_limit_keeps_what_was_used, threads_never_admit_more)
