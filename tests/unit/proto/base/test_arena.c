/* test_arena.c - lifetimes made one. */
#include "unit.h"
#include "base/arena.h"
#include "base/str.h"

START_TEST(zeroed_aligned_and_apart)
{
	struct gw_arena *a = gw_arena_open(0);
	uint32_t seed = 7;
	char *last = NULL;
	for (int i = 0; i < 3000; i++) {
		seed = seed * 1664525 + 1013904223;
		size_t n = i % 100 == 0 ? 100000 : seed >> 20 & 255;
		char *p = gw_arena_alloc(a, n);
		ck_assert_uint_eq((uintptr_t)p % _Alignof(max_align_t), 0);
		ck_assert_ptr_ne(p, last);
		for (size_t k = 0; k < n; k++)
			if (p[k])
				ck_abort_msg("not zeroed");
		memset(p, 0xff, n);
		last = p;
	}
	ck_assert_uint_gt(gw_arena_bytes(a), 3000000);
	gw_arena_close(&a);
	ck_assert_ptr_null(a);
	gw_arena_close(&a);
}
END_TEST

START_TEST(small_stays_small)
{
	struct gw_arena *a = gw_arena_open(4096);
	size_t before = gw_arena_bytes(a);
	for (int i = 0; i < 64; i++)
		gw_arena_alloc(a, 64);
	ck_assert_uint_eq(gw_arena_bytes(a), before);
	gw_arena_alloc(a, 1);
	ck_assert_uint_gt(gw_arena_bytes(a), before);
	gw_arena_close(&a);
}
END_TEST

START_TEST(texts)
{
	struct gw_arena *a = gw_arena_open(16);
	struct gw_str s = gw_arena_copy(a, (struct gw_str){ "hello", 4 });
	ck_assert_str_eq(s.p, "hell");
	ck_assert_ptr_null(gw_arena_copy(a, GW_STR_NONE).p);
	ck_assert_ptr_nonnull(gw_arena_copy(a, GW_STR("")).p);
	ck_assert_str_eq(gw_arena_c(a, GW_STR_NONE), "");
	s = gw_arena_printf(a, "%d-%s", 12, "abc");
	ck_assert(gw_str_is(s, "12-abc"));
	ck_assert_int_eq(s.p[s.n], 0);
	int *v = gw_arena_array(a, 10, sizeof *v);
	ck_assert_int_eq(v[9], 0);
	gw_arena_close(&a);
}
END_TEST

static int order[3], n_order;
static void note(void *arg) { order[n_order++] = *(int *)arg; }

START_TEST(finalisers_newest_first)
{
	int one = 1, two = 2, three = 3;
	struct gw_arena *a = gw_arena_open(0);
	gw_arena_defer(a, note, &one);
	gw_arena_defer(a, note, &two);
	gw_arena_defer(a, note, &three);
	n_order = 0;
	gw_arena_close(&a);
	ck_assert_int_eq(n_order, 3);
	ck_assert_int_eq(order[0], 3);
	ck_assert_int_eq(order[2], 1);
}
END_TEST

/* Blocks that come again are as good as new, and the thread has none left when it stops keeping them. */
START_TEST(kept_blocks_are_zeroed_again)
{
	void *seen[2] = { NULL };
	int again = 0;

	gw_arena_keep_blocks(true);
	for (int round = 0; round < 200; round++) {
		struct gw_arena *v[40];

		for (int i = 0; i < 40; i++) {
			v[i] = gw_arena_open(i % 2 ? 1500 : 0);
			for (size_t n = 1; n < 5000; n = n * 3 + (size_t)i % 7) {
				char *p = gw_arena_alloc(v[i], n);

				for (size_t k = 0; k < n; k++)
					if (p[k])
						ck_abort_msg("not zeroed");
				memset(p, 0xff, n);
			}
		}
		again += seen[round % 2] == (void *)v[0];
		seen[round % 2] = v[0];
		for (int i = 0; i < 40; i++)
			gw_arena_close(&v[i]);
	}
	/* Around the largest that is kept, smallest last: nobody gets less than he asked for. */
	for (size_t n = 4200; n > 3900; n--) {
		struct gw_arena *a = gw_arena_open(n), *b = gw_arena_open(n + 5);

		memset(gw_arena_alloc(b, n + 5), 1, n + 5);
		gw_arena_close(&a);
		gw_arena_close(&b);
	}
	ck_assert_int_gt(again, 0); /* it was one that had been closed before */
	gw_arena_keep_blocks(false); /* else the leak checker tells */
}
END_TEST

UNIT_MAIN("arena", zeroed_aligned_and_apart, small_stays_small, texts, finalisers_newest_first, kept_blocks_are_zeroed_again)
