/*
 * trie.c - 64-way branches with a bitmap, and leaves with one entry each.
 *
 * Six bits of the hash choose the child on each level.  Below the last bit stand entries whose hashes are equal in all
 * 64; such a branch is a list, in the slots from 0 on.
 *
 * A node that is counted once and is reached through nodes counted once belongs to this copy alone and is changed in
 * place; so filling a new map copies nothing.
 */
#include "base/trie.h"
#include "base/map.h"
#include "base/str.h"

#include <stdatomic.h>
#include <stdlib.h>

#define BITS      6
#define LIST_FROM 66 /* the first shift that has no bit of the hash left */

struct gw_trie_node {
	atomic_uint refs;
	bool is_leaf;
};

struct leaf {
	struct gw_trie_node node;
	uint64_t hash;
	struct gw_str key;
	void *value;
};

struct branch {
	struct gw_trie_node node;
	uint64_t bits; /* which children are there */
	struct gw_trie_node *child[];
};

static struct leaf *as_leaf(const struct gw_trie_node *n)
{
	return (struct leaf *)(uintptr_t)n;
}

static struct branch *as_branch(const struct gw_trie_node *n)
{
	return (struct branch *)(uintptr_t)n;
}

static size_t children(const struct branch *b)
{
	return (size_t)__builtin_popcountll(b->bits);
}

static size_t index_of(const struct branch *b, unsigned slot)
{
	return (size_t)__builtin_popcountll(b->bits & (((uint64_t)1 << slot) - 1));
}

static bool is_entry(const struct leaf *l, uint64_t hash, struct gw_str key)
{
	return l->hash == hash && gw_str_eq(l->key, key);
}

static struct gw_trie_node *ref(struct gw_trie_node *n)
{
	if (n)
		atomic_fetch_add_explicit(&n->refs, 1, memory_order_relaxed);
	return n;
}

/* Acquire: what follows may change the node, after everything that others did with it. */
static bool alone(struct gw_trie_node *n)
{
	return atomic_load_explicit(&n->refs, memory_order_acquire) == 1;
}

/* As deep as the trie at most. */
static void unref(struct gw_trie_node *n, gw_trie_drop *drop)
{
	if (!n || atomic_fetch_sub_explicit(&n->refs, 1, memory_order_acq_rel) != 1)
		return;
	for (size_t i = 0; !n->is_leaf && i < children(as_branch(n)); i++)
		unref(as_branch(n)->child[i], drop);
	if (n->is_leaf && drop)
		drop(as_leaf(n)->value);
	free(n);
}

static struct gw_trie_node *new_leaf(uint64_t hash, struct gw_str key, void *value)
{
	struct leaf *l = gw_alloc(sizeof *l);
	atomic_init(&l->node.refs, 1);
	l->node.is_leaf = true;
	l->hash = hash;
	l->key = key;
	l->value = value;
	return &l->node;
}

static struct branch *new_branch(size_t n)
{
	struct branch *b = gw_alloc(sizeof *b + n * sizeof b->child[0]);
	atomic_init(&b->node.refs, 1);
	return b;
}

/* The branch, consumed, as one that is ours to change. */
static struct branch *own(struct branch *b, gw_trie_drop *drop)
{
	if (alone(&b->node))
		return b;
	size_t n = children(b);
	struct branch *copy = new_branch(n);
	copy->bits = b->bits;
	for (size_t i = 0; i < n; i++)
		copy->child[i] = ref(b->child[i]);
	unref(&b->node, drop);
	return copy;
}

/* The slot where the key stands or would go: by its hash, in a list by looking. */
static unsigned slot_of(const struct branch *b, unsigned shift, uint64_t hash, struct gw_str key)
{
	if (shift < LIST_FROM)
		return hash >> shift & 63;
	unsigned n = (unsigned)children(b), i = 0;
	while (i < n && !is_entry(as_leaf(b->child[i]), hash, key))
		i++;
	assert(i < 64); /* 65 equal hashes under a secret seed */
	return i;
}

void gw_trie_init(struct gw_trie *t, gw_trie_drop *drop)
{
	*t = (struct gw_trie){ .drop = drop };
}

void gw_trie_copy(struct gw_trie *out, const struct gw_trie *from)
{
	*out = *from;
	ref(out->root);
}

void gw_trie_fini(struct gw_trie *t)
{
	unref(t->root, t->drop);
	t->root = NULL;
	t->count = 0;
}

static struct leaf *find(const struct gw_trie_node *n, unsigned shift, uint64_t hash, struct gw_str key)
{
	for (; n && !n->is_leaf; shift += BITS) {
		const struct branch *b = as_branch(n);
		unsigned slot = slot_of(b, shift, hash, key);
		n = b->bits >> slot & 1 ? b->child[index_of(b, slot)] : NULL;
	}
	return n && is_entry(as_leaf(n), hash, key) ? as_leaf(n) : NULL;
}

void *gw_trie_get(const struct gw_trie *t, struct gw_str key)
{
	const struct leaf *l = t->root ? find(t->root, 0, gw_hash(key), key) : NULL;
	return l ? l->value : NULL;
}

/* ---- changing ---- */

struct change {
	gw_trie_drop *drop;
	uint64_t hash;
	struct gw_str key;
	struct gw_trie_node *leaf; /* to be put, consumed */
	bool found;
};

/* `b` is ours. */
static struct branch *add_child(struct branch *b, unsigned slot, struct gw_trie_node *child)
{
	size_t n = children(b), at = index_of(b, slot);
	b = gw_realloc(b, sizeof *b + (n + 1) * sizeof b->child[0]);
	memmove(&b->child[at + 1], &b->child[at], (n - at) * sizeof b->child[0]);
	b->child[at] = child;
	b->bits |= (uint64_t)1 << slot;
	return b;
}

static struct gw_trie_node *put(struct gw_trie_node *n, unsigned shift, struct change *c)
{
	if (!n)
		return c->leaf;
	if (n->is_leaf && is_entry(as_leaf(n), c->hash, c->key)) {
		c->found = true;
		unref(n, c->drop);
		return c->leaf;
	}
	if (n->is_leaf) { /* two under one prefix: a branch between them */
		struct branch *b = new_branch(1);
		b->bits = (uint64_t)1 << slot_of(b, shift, as_leaf(n)->hash, as_leaf(n)->key);
		b->child[0] = n;
		n = &b->node;
	}
	struct branch *b = own(as_branch(n), c->drop);
	unsigned slot = slot_of(b, shift, c->hash, c->key);
	if (b->bits >> slot & 1) {
		struct gw_trie_node **child = &b->child[index_of(b, slot)];
		*child = put(*child, shift + BITS, c);
	} else {
		b = add_child(b, slot, c->leaf);
	}
	return &b->node;
}

bool gw_trie_put(struct gw_trie *t, struct gw_str key, void *value)
{
	struct change c = { .drop = t->drop, .hash = gw_hash(key), .key = key };
	assert(value != NULL);
	c.leaf = new_leaf(c.hash, key, value);
	t->root = put(t->root, 0, &c);
	t->count += !c.found;
	return c.found;
}

/* `b` is ours and has the child; NULL when it was the last one. */
static struct gw_trie_node *drop_child(struct branch *b, unsigned slot, unsigned shift)
{
	size_t n = children(b), at = index_of(b, slot);
	memmove(&b->child[at], &b->child[at + 1], (n - at - 1) * sizeof b->child[0]);
	/* A list stays dense: its slots are its positions. */
	b->bits = shift < LIST_FROM ? b->bits & ~((uint64_t)1 << slot) : b->bits >> 1;
	struct gw_trie_node *only = n == 2 && b->child[0]->is_leaf ? b->child[0] : NULL;
	if (n > 2 || (n == 2 && !only))
		return &b->node;
	free(b);
	return only;
}

/* The key is there. */
static struct gw_trie_node *del(struct gw_trie_node *n, unsigned shift, struct change *c)
{
	if (n->is_leaf) {
		unref(n, c->drop);
		return NULL;
	}
	struct branch *b = own(as_branch(n), c->drop);
	unsigned slot = slot_of(b, shift, c->hash, c->key);
	struct gw_trie_node **child = &b->child[index_of(b, slot)];
	*child = del(*child, shift + BITS, c);
	if (!*child)
		return drop_child(b, slot, shift);
	if (children(b) > 1 || !(*child)->is_leaf)
		return &b->node;
	struct gw_trie_node *only = *child; /* a leaf stands as high as it can */
	free(b);
	return only;
}

bool gw_trie_del(struct gw_trie *t, struct gw_str key)
{
	struct change c = { .drop = t->drop, .hash = gw_hash(key), .key = key };
	if (!t->root || !find(t->root, 0, c.hash, key))
		return false;
	t->root = del(t->root, 0, &c);
	t->count--;
	return true;
}

/* ---- visiting ---- */

static void *next_under(const struct gw_trie_node *root, struct gw_trie_at *at)
{
	if (!at->begun) {
		at->begun = true;
		at->depth = 0;
		if (!root)
			return NULL;
		if (root->is_leaf)
			return as_leaf(root);
		at->node[0] = root;
		at->child[0] = 0;
		at->depth = 1;
	}
	while (at->depth) {
		const struct branch *b = as_branch(at->node[at->depth - 1]);
		size_t i = at->child[at->depth - 1]++;
		if (i >= children(b)) {
			at->depth--;
		} else if (b->child[i]->is_leaf) {
			return as_leaf(b->child[i]);
		} else {
			at->node[at->depth] = b->child[i];
			at->child[at->depth++] = 0;
		}
	}
	return NULL;
}

void *gw_trie_next(const struct gw_trie *t, struct gw_trie_at *at)
{
	const struct leaf *l = next_under(t->root, at);
	return l ? l->value : NULL;
}

struct diff {
	void (*fn)(void *arg, struct gw_str key, void *before, void *after);
	void *arg;
};

/* One of them is no branch, so one side has a single entry or none. */
static void compare_entries(const struct diff *d, const struct gw_trie_node *x, const struct gw_trie_node *y, unsigned shift)
{
	struct gw_trie_at at = { 0 };
	const struct leaf *l, *other;
	while ((l = next_under(x, &at))) {
		other = y ? find(y, shift, l->hash, l->key) : NULL;
		if (!other || other->value != l->value)
			d->fn(d->arg, l->key, l->value, other ? other->value : NULL);
	}
	at = (struct gw_trie_at){ 0 };
	while ((l = next_under(y, &at)))
		if (!x || !find(x, shift, l->hash, l->key))
			d->fn(d->arg, l->key, NULL, l->value);
}

static void compare(const struct diff *d, const struct gw_trie_node *x, const struct gw_trie_node *y, unsigned shift)
{
	if (x == y)
		return;
	if (!x || !y || x->is_leaf || y->is_leaf || shift >= LIST_FROM) {
		compare_entries(d, x, y, shift);
		return;
	}
	const struct branch *a = as_branch(x), *b = as_branch(y);
	for (uint64_t bits = a->bits | b->bits; bits; bits &= bits - 1) {
		unsigned slot = (unsigned)__builtin_ctzll(bits);
		compare(d, a->bits >> slot & 1 ? a->child[index_of(a, slot)] : NULL,
		    b->bits >> slot & 1 ? b->child[index_of(b, slot)] : NULL, shift + BITS);
	}
}

void gw_trie_diff(const struct gw_trie *before, const struct gw_trie *after,
    void (*fn)(void *arg, struct gw_str key, void *before, void *after), void *arg)
{
	struct diff d = { fn, arg };
	compare(&d, before->root, after->root, 0);
}
