/*
 * map.h - hash map from bytes to a pointer, and an intrusive doubly linked list.
 *
 * Keys are borrowed: they must outlive the entry (usually they stand in the same arena as the value).  The hash
 * is SipHash-1-3 with a per-process random seed, since keys may come from strangers.
 */
#ifndef GW_BASE_MAP_H
#define GW_BASE_MAP_H

#include "base/gw.h"

struct gw_map;

struct gw_map *gw_map_open(size_t expect);                     /* owned: gw_map_close() */
void gw_map_close(struct gw_map **m);                          /* consumed; NULL is fine */
void *gw_map_get(const struct gw_map *m, struct gw_str key);   /* NULL: absent */
void *gw_map_put(struct gw_map *m, struct gw_str key, void *value); /* returns the value it replaced, or NULL */
void *gw_map_del(struct gw_map *m, struct gw_str key);         /* returns the value it removed, or NULL */
size_t gw_map_count(const struct gw_map *m);
/* Visit in no particular order: `for (size_t at = 0; gw_map_next(m, &at, &key, &value);)`.  No changes meanwhile. */
bool gw_map_next(const struct gw_map *m, size_t *at, struct gw_str *key, void **value);
uint64_t gw_hash(struct gw_str s);                             /* the map's own hash, for shards and buckets */

/* A ring: the head is a node too.  A node that is on no list points to itself. */
struct gw_node {
	struct gw_node *next, *prev;
};
static inline void gw_list_init(struct gw_node *n) { n->next = n->prev = n; }
static inline bool gw_list_empty(const struct gw_node *h) { return h->next == h; }
static inline void gw_list_del(struct gw_node *n)
{
	n->prev->next = n->next;
	n->next->prev = n->prev;
	gw_list_init(n);
}
static inline void gw_list_add_tail(struct gw_node *h, struct gw_node *n)
{
	n->prev = h->prev;
	n->next = h;
	h->prev->next = n;
	h->prev = n;
}
static inline void gw_list_add_head(struct gw_node *h, struct gw_node *n)
{
	gw_list_add_tail(h->next, n);
}
#define GW_CONTAINER(ptr, type, member) ((type *)(void *)((char *)(ptr) - offsetof(type, member)))

#endif
