/*
 * trie.h - a map from bytes to a pointer whose copies share what they have in common.
 *
 * Copying costs one count; putting into or deleting from a copy makes anew the few nodes on the way to the key, some
 * hundred bytes, and leaves every other copy as it was.  So ten thousand entries with one changed cost one change.
 * Two copies are compared in proportion to what differs.
 *
 * A hash array mapped trie of 64-way nodes over gw_hash().  Keys are borrowed: they live at least as long as their
 * value.  Nodes are counted atomically, so copies may be read and dropped on different threads; one copy is changed
 * by one thread at a time, and never while another reads that same copy.
 */
#ifndef GW_BASE_TRIE_H
#define GW_BASE_TRIE_H

#include "base/gw.h"

struct gw_trie_node;

/* What a map does when it lets a value go; NULL: values are not the map's. */
typedef void gw_trie_drop(void *value);

struct gw_trie {
	struct gw_trie_node *root;
	size_t count;
	gw_trie_drop *drop;
};

void gw_trie_init(struct gw_trie *t, gw_trie_drop *drop);
void gw_trie_copy(struct gw_trie *out, const struct gw_trie *from);  /* shares everything; gw_trie_fini() */
void gw_trie_fini(struct gw_trie *t);                                /* may be called twice */

void *gw_trie_get(const struct gw_trie *t, struct gw_str key);       /* NULL: absent; borrowed */
/* The value is consumed: dropped when the last copy that has the entry lets it go.  true: it replaced another. */
bool gw_trie_put(struct gw_trie *t, struct gw_str key, void *value);
bool gw_trie_del(struct gw_trie *t, struct gw_str key);              /* false: it was not there */

/* Visit in no particular order: `struct gw_trie_at at = { 0 }; while ((v = gw_trie_next(&t, &at)))`.  No changes meanwhile. */
#define GW_TRIE_DEPTH 12
struct gw_trie_at {
	bool begun;
	unsigned depth;
	const struct gw_trie_node *node[GW_TRIE_DEPTH];
	size_t child[GW_TRIE_DEPTH];
};
void *gw_trie_next(const struct gw_trie *t, struct gw_trie_at *at);

/* Every key whose value is not the same pointer in both; before or after is NULL where it is absent. */
void gw_trie_diff(const struct gw_trie *before, const struct gw_trie *after,
                  void (*fn)(void *arg, struct gw_str key, void *before, void *after), void *arg);

#endif
