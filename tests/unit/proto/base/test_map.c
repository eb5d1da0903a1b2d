/* test_map.c - the map against a plain table, and the list. */
#include "unit.h"
#include "base/map.h"
#include "base/str.h"

#include <stdio.h>

#define KEYS 400

START_TEST(like_a_table)
{
	static char names[KEYS][16];
	void *table[KEYS] = { 0 };
	size_t count = 0;
	struct gw_map *m = gw_map_open(0);
	uint32_t seed = 3;
	for (int i = 0; i < KEYS; i++)
		snprintf(names[i], sizeof names[i], "key-%d", i);
	for (int step = 0; step < 40000; step++) {
		seed = seed * 1664525 + 1013904223;
		unsigned k = (seed >> 8) % KEYS, op = seed >> 28;
		struct gw_str key = gw_str_c(names[k]);
		ck_assert_ptr_eq(gw_map_get(m, key), table[k]);
		if (op < 9) {
			void *v = &names[(seed >> 3) % KEYS];
			ck_assert_ptr_eq(gw_map_put(m, key, v), table[k]);
			count += !table[k];
			table[k] = v;
		} else {
			ck_assert_ptr_eq(gw_map_del(m, key), table[k]);
			count -= table[k] != NULL;
			table[k] = NULL;
		}
		ck_assert_uint_eq(gw_map_count(m), count);
	}
	size_t seen = 0;
	struct gw_str key;
	void *value;
	for (size_t at = 0; gw_map_next(m, &at, &key, &value); seen++)
		ck_assert_ptr_eq(value, table[atoi(key.p + 4)]);
	ck_assert_uint_eq(seen, count);
	gw_map_close(&m);
	ck_assert_ptr_null(m);
	gw_map_close(&m);
}
END_TEST

START_TEST(keys_are_bytes)
{
	int a, b, c;
	struct gw_map *m = gw_map_open(100);
	gw_map_put(m, (struct gw_str){ "x\0y", 3 }, &a);
	gw_map_put(m, (struct gw_str){ "x\0z", 3 }, &b);
	gw_map_put(m, GW_STR(""), &c);
	ck_assert_ptr_eq(gw_map_get(m, (struct gw_str){ "x\0y", 3 }), &a);
	ck_assert_ptr_eq(gw_map_get(m, GW_STR_NONE), &c);
	ck_assert_ptr_null(gw_map_get(m, GW_STR("x")));
	gw_map_close(&m);
}
END_TEST

START_TEST(hash_spreads)
{
	/* Low bits pick the slot, so they must differ between near keys of every length. */
	unsigned buckets[64] = { 0 };
	char key[40] = { 0 };
	for (int i = 0; i < 6400; i++) {
		snprintf(key, sizeof key, "%0*d", 1 + i % 30, i);
		buckets[gw_hash(gw_str_c(key)) & 63]++;
	}
	for (int i = 0; i < 64; i++)
		ck_assert_msg(buckets[i] > 40 && buckets[i] < 180, "%d: %u", i, buckets[i]);
	ck_assert(gw_hash(GW_STR("a")) == gw_hash(GW_STR("a")));
	ck_assert(gw_hash((struct gw_str){ "\0", 1 }) != gw_hash((struct gw_str){ "\0\0", 2 }));
}
END_TEST

struct item { int n; struct gw_node node; };

START_TEST(lists)
{
	struct gw_node head;
	struct item a = { .n = 1 }, b = { .n = 2 }, c = { .n = 3 };
	gw_list_init(&head);
	ck_assert(gw_list_empty(&head));
	gw_list_add_tail(&head, &b.node);
	gw_list_add_tail(&head, &c.node);
	gw_list_add_head(&head, &a.node);
	int want = 1;
	for (struct gw_node *n = head.next; n != &head; n = n->next)
		ck_assert_int_eq(GW_CONTAINER(n, struct item, node)->n, want++);
	ck_assert_int_eq(want, 4);
	gw_list_del(&b.node);
	gw_list_del(&b.node); /* on no list: harmless */
	ck_assert_ptr_eq(a.node.next, &c.node);
	gw_list_del(&a.node);
	gw_list_del(&c.node);
	ck_assert(gw_list_empty(&head));
}
END_TEST

UNIT_MAIN("map", like_a_table, keys_are_bytes, hash_spreads, lists)
