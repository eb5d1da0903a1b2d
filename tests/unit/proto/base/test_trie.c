/* test_trie.c - copies against plain tables: each keeps what it had, whatever becomes of the others. */
#include "unit.h"
#include "base/str.h"
#include "base/trie.h"

#include <stdio.h>
#include <stdlib.h>

#define KEYS   300
#define COPIES 8

struct value { int refs, key; };

static char names[KEYS][16];
static int alive;

static void drop(void *v)
{
	ck_assert_int_eq(((struct value *)v)->refs--, 1);
	free(v);
	alive--;
}

static struct value *make(int key)
{
	struct value *v = calloc(1, sizeof *v);
	v->refs = 1;
	v->key = key;
	alive++;
	return v;
}

struct both {
	struct gw_trie trie;
	struct value *table[KEYS];
	size_t count;
};

static void check(const struct both *b)
{
	struct gw_trie_at at = { 0 };
	struct value *v;
	size_t seen = 0;
	for (int k = 0; k < KEYS; k++)
		ck_assert_ptr_eq(gw_trie_get(&b->trie, gw_str_c(names[k])), b->table[k]);
	for (; (v = gw_trie_next(&b->trie, &at)); seen++)
		ck_assert_ptr_eq(b->table[v->key], v);
	ck_assert_uint_eq(seen, b->count);
	ck_assert_uint_eq(b->trie.count, b->count);
}

static const struct both *left, *right;
static size_t differences;

static void differ(void *arg, struct gw_str key, void *before, void *after)
{
	int k = atoi(key.p + 4);
	(void)arg;
	ck_assert_ptr_eq(before, left->table[k]);
	ck_assert_ptr_eq(after, right->table[k]);
	ck_assert_ptr_ne(before, after);
	differences++;
}

static void compare(const struct both *a, const struct both *b)
{
	size_t want = 0;
	for (int k = 0; k < KEYS; k++)
		want += a->table[k] != b->table[k];
	left = a;
	right = b;
	differences = 0;
	gw_trie_diff(&a->trie, &b->trie, differ, NULL);
	ck_assert_uint_eq(differences, want);
}

START_TEST(like_tables)
{
	static struct both all[COPIES];
	uint32_t seed = 5;
	for (int i = 0; i < KEYS; i++)
		snprintf(names[i], sizeof names[i], "key-%d", i);
	for (int i = 0; i < COPIES; i++)
		gw_trie_init(&all[i].trie, drop);
	for (int step = 0; step < 20000; step++) {
		seed = seed * 1664525 + 1013904223;
		int k = (int)((seed >> 8) % KEYS);
		struct both *b = &all[(seed >> 4) % COPIES], *other = &all[(seed >> 20) % COPIES];
		if (seed >> 24 < 140) {
			struct value *v = make(k);
			ck_assert_int_eq(gw_trie_put(&b->trie, gw_str_c(names[k]), v), b->table[k] != NULL);
			b->count += b->table[k] == NULL;
			b->table[k] = v;
		} else if (seed >> 24 < 252) {
			ck_assert_int_eq(gw_trie_del(&b->trie, gw_str_c(names[k])), b->table[k] != NULL);
			b->count -= b->table[k] != NULL;
			b->table[k] = NULL;
		} else if (b != other) {
			gw_trie_fini(&b->trie);
			gw_trie_copy(&b->trie, &other->trie);
			memcpy(b->table, other->table, sizeof b->table);
			b->count = other->count;
		}
		if (step % 500 == 0) {
			check(b);
			compare(b, other);
		}
	}
	for (int i = 0; i < COPIES; i++)
		check(&all[i]);
	for (int i = 0; i < COPIES; i++)
		gw_trie_fini(&all[i].trie);
	ck_assert_int_eq(alive, 0);
	gw_trie_fini(&all[0].trie);
}
END_TEST

START_TEST(keys_are_bytes)
{
	int a, b, c;
	struct gw_trie t;
	gw_trie_init(&t, NULL);
	ck_assert_ptr_null(gw_trie_get(&t, GW_STR("x")));
	ck_assert(!gw_trie_del(&t, GW_STR("x")));
	gw_trie_put(&t, (struct gw_str){ "x\0y", 3 }, &a);
	gw_trie_put(&t, (struct gw_str){ "x\0z", 3 }, &b);
	gw_trie_put(&t, GW_STR(""), &c);
	ck_assert_ptr_eq(gw_trie_get(&t, (struct gw_str){ "x\0y", 3 }), &a);
	ck_assert_ptr_eq(gw_trie_get(&t, GW_STR_NONE), &c);
	ck_assert_ptr_null(gw_trie_get(&t, GW_STR("x")));
	gw_trie_fini(&t);
}
END_TEST

UNIT_MAIN("trie", like_tables, keys_are_bytes)
