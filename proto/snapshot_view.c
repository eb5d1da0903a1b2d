/*
 * snapshot_view.c - looking into a snapshot: what workers ask for every request.
 */
#include "base/bytes.h"
#include "base/str.h"
#include "price_book.h"
#include "snapshot_impl.h"
#include "spec.h"

#include <stdlib.h>

struct gw_snapshot *gw_snapshot_ref(struct gw_snapshot *s)
{
	GW_CHECK(s, GW_SNAPSHOT_MAGIC);
	atomic_fetch_add_explicit(&s->refs, 1, memory_order_relaxed);
	return s;
}

void gw_snapshot_unref(struct gw_snapshot **sp)
{
	struct gw_snapshot *s = *sp;
	*sp = NULL;
	if (!s)
		return;
	GW_CHECK(s, GW_SNAPSHOT_MAGIC);
	/* Acquire, so that whoever frees sees everything that others did with it before they let go. */
	if (atomic_fetch_sub_explicit(&s->refs, 1, memory_order_acq_rel) != 1)
		return;
	gw_match_index_close(&s->index);
	gw_price_book_unref(&s->prices);
	gw_quota_index_unref(&s->quotas);
	gw_trie_fini(&s->keys);
	gw_trie_fini(&s->issuer_by_iss);
	for (size_t k = 0; k < GW_KIND_COUNT; k++)
		gw_trie_fini(&s->kinds[k]);
	gw_arena_close(&s->arena);
	s->magic = 0;
	free(s);
}

bool gw_snapshot_is_last(const struct gw_snapshot *s)
{
	GW_CHECK(s, GW_SNAPSHOT_MAGIC);
	return atomic_load_explicit(&((struct gw_snapshot *)(uintptr_t)s)->refs, memory_order_acquire) == 1;
}

uint64_t gw_snapshot_revision(const struct gw_snapshot *s)
{
	GW_CHECK(s, GW_SNAPSHOT_MAGIC);
	return s->revision;
}

struct gw_str gw_snapshot_epoch(const struct gw_snapshot *s)
{
	GW_CHECK(s, GW_SNAPSHOT_MAGIC);
	return s->epoch;
}

const struct gw_digest *gw_snapshot_digest(const struct gw_snapshot *s)
{
	GW_CHECK(s, GW_SNAPSHOT_MAGIC);
	return &s->digest;
}

size_t gw_snapshot_unknown(const struct gw_snapshot *s)
{
	GW_CHECK(s, GW_SNAPSHOT_MAGIC);
	return s->unknown;
}

struct gw_match_index *gw_snapshot_index(const struct gw_snapshot *s)
{
	GW_CHECK(s, GW_SNAPSHOT_MAGIC);
	return s->index;
}

const struct gw_dp_settings *gw_snapshot_settings(const struct gw_snapshot *s)
{
	GW_CHECK(s, GW_SNAPSHOT_MAGIC);
	return &s->settings;
}

size_t gw_snapshot_count(const struct gw_snapshot *s, enum gw_kind k)
{
	GW_CHECK(s, GW_SNAPSHOT_MAGIC);
	return s->kinds[k].count;
}

bool gw_snapshot_has_open_route(const struct gw_snapshot *s)
{
	GW_CHECK(s, GW_SNAPSHOT_MAGIC);
	return s->n_open > 0;
}

/* ---- one by one, and lists ---- */

static const void *next(const struct gw_snapshot *s, enum gw_kind k, struct gw_trie_at *at)
{
	GW_CHECK(s, GW_SNAPSHOT_MAGIC);
	const struct gw_entry *e = gw_trie_next(&s->kinds[k], at);
	return e ? e->view : NULL;
}

const struct gw_route *gw_snapshot_next_route(const struct gw_snapshot *s, struct gw_trie_at *at)
{
	return next(s, GW_KIND_ROUTE, at);
}

const struct gw_provider *gw_snapshot_next_provider(const struct gw_snapshot *s, struct gw_trie_at *at)
{
	return next(s, GW_KIND_PROVIDER, at);
}

const struct gw_consumer *gw_snapshot_next_consumer(const struct gw_snapshot *s, struct gw_trie_at *at)
{
	return next(s, GW_KIND_CONSUMER, at);
}

const struct gw_jwt_issuer *gw_snapshot_next_jwt_issuer(const struct gw_snapshot *s, struct gw_trie_at *at)
{
	return next(s, GW_KIND_JWT_ISSUER, at);
}

static int entry_by_name(const void *a, const void *b)
{
	const struct gw_entry *const *x = a, *const *y = b;
	return gw_str_cmp((*x)->object->name, (*y)->object->name);
}

struct gw_entry **gw_snapshot_sorted(const struct gw_snapshot *s, enum gw_kind k, struct gw_arena *a, size_t *n)
{
	struct gw_trie_at at = { 0 };
	struct gw_entry *e, **v = gw_arena_array(a, s->kinds[k].count, sizeof *v);
	*n = 0;
	while ((e = gw_trie_next(&s->kinds[k], &at)))
		v[(*n)++] = e;
	if (*n)
		qsort(v, *n, sizeof *v, entry_by_name);
	return v;
}

static const void *const *list(const struct gw_snapshot *s, enum gw_kind k, struct gw_arena *a, size_t *n)
{
	GW_CHECK(s, GW_SNAPSHOT_MAGIC);
	struct gw_entry **sorted = gw_snapshot_sorted(s, k, a, n);
	const void **v = gw_arena_array(a, *n, sizeof *v);
	for (size_t i = 0; i < *n; i++)
		v[i] = sorted[i]->view;
	return v;
}

static int route_cmp(const void *a, const void *b)
{
	return gw_route_cmp(*(const struct gw_route *const *)a, *(const struct gw_route *const *)b);
}

const struct gw_route *const *gw_snapshot_routes(const struct gw_snapshot *s, struct gw_arena *a, size_t *n)
{
	const struct gw_route **v = (const struct gw_route **)list(s, GW_KIND_ROUTE, a, n);
	if (*n)
		qsort(v, *n, sizeof *v, route_cmp);
	return v;
}

const struct gw_provider *const *gw_snapshot_providers(const struct gw_snapshot *s, struct gw_arena *a, size_t *n)
{
	return (const struct gw_provider *const *)list(s, GW_KIND_PROVIDER, a, n);
}

const struct gw_consumer *const *gw_snapshot_consumers(const struct gw_snapshot *s, struct gw_arena *a, size_t *n)
{
	return (const struct gw_consumer *const *)list(s, GW_KIND_CONSUMER, a, n);
}

struct each_new {
	void (*fn)(void *arg, const void *view);
	void *arg;
};

static void visit_new(void *arg, struct gw_str name, void *before, void *after)
{
	const struct each_new *each = arg;
	const struct gw_entry *b = before, *e = after;
	(void)name;
	if (e && !(b && b->object == e->object)) /* not one that only refers to something new */
		each->fn(each->arg, e->view);
}

void gw_snapshot_each_new(const struct gw_snapshot *s, const struct gw_snapshot *base, enum gw_kind k,
    void (*fn)(void *arg, const void *view), void *arg)
{
	static const struct gw_trie none;
	struct each_new each = { fn, arg };
	GW_CHECK(s, GW_SNAPSHOT_MAGIC);
	gw_trie_diff(base ? &base->kinds[k] : &none, &s->kinds[k], visit_new, &each);
}

/* ---- by name ---- */

static const void *by_name(const struct gw_snapshot *s, enum gw_kind k, struct gw_str name)
{
	GW_CHECK(s, GW_SNAPSHOT_MAGIC);
	const struct gw_entry *e = gw_entry_of(s, k, name);
	return e ? e->view : NULL;
}

const struct gw_route *gw_snapshot_route(const struct gw_snapshot *s, struct gw_str name)
{
	return by_name(s, GW_KIND_ROUTE, name);
}

const struct gw_provider *gw_snapshot_provider(const struct gw_snapshot *s, struct gw_str name)
{
	return by_name(s, GW_KIND_PROVIDER, name);
}

const struct gw_consumer *gw_snapshot_consumer(const struct gw_snapshot *s, struct gw_str name)
{
	return by_name(s, GW_KIND_CONSUMER, name);
}

const struct gw_group *gw_snapshot_group(const struct gw_snapshot *s, struct gw_str name)
{
	return by_name(s, GW_KIND_GROUP, name);
}

const struct gw_binding *gw_snapshot_global_plugin(const struct gw_snapshot *s, struct gw_str plugin)
{
	GW_CHECK(s, GW_SNAPSHOT_MAGIC);
	for (size_t i = 0; i < s->n_globals; i++)
		if (gw_str_eq(s->globals[i].plugin, plugin))
			return &s->globals[i];
	return NULL;
}

/* The hash has led to a place in the table; whether it is the same one is compared in constant time. */
static const struct gw_consumer_key *lookup(const struct gw_snapshot *s, const uint8_t hash[32], enum gw_credential type)
{
	struct gw_str want = { (const char *)hash, 32 };
	const struct gw_consumer_key *key = gw_trie_get(&s->keys, want);
	if (!key || key->type != type || !gw_secret_eq(want, (struct gw_str){ (const char *)key->hash, sizeof key->hash }))
		return NULL;
	return key;
}

const struct gw_consumer_key *gw_snapshot_key(const struct gw_snapshot *s, struct gw_str secret)
{
	GW_CHECK(s, GW_SNAPSHOT_MAGIC);
	uint8_t hash[32];
	if (!secret.n)
		return NULL;
	gw_sha256_2(hash, s->pepper, secret);
	return lookup(s, hash, GW_CREDENTIAL_KEY);
}

const struct gw_consumer_key *gw_snapshot_credential(const struct gw_snapshot *s, enum gw_credential type,
    struct gw_str a, struct gw_str b)
{
	GW_CHECK(s, GW_SNAPSHOT_MAGIC);
	uint8_t hash[32];
	gw_credential_ident(hash, type, a, b);
	return lookup(s, hash, type);
}

const struct gw_jwt_issuer *gw_snapshot_jwt_issuer(const struct gw_snapshot *s, struct gw_str iss)
{
	GW_CHECK(s, GW_SNAPSHOT_MAGIC);
	return gw_trie_get(&s->issuer_by_iss, iss);
}

static bool all_enabled(struct gw_bindings b)
{
	for (size_t i = 0; i < b.n; i++)
		if (!b.v[i].enabled)
			return false;
	return true;
}

/*
 * Of one plugin, those that stand at the heads of the lists, the most specific first.  One that is not enabled ends it for
 * the scopes behind its own; of groups, which stand side by side, it is one that is left out.
 */
static size_t take_one(struct gw_bindings *lists, size_t *at, const struct gw_binding *next, struct gw_binding *out)
{
	enum gw_scope until = GW_SCOPE_GLOBAL;
	size_t n = 0;
	for (size_t i = 0; i < 3; i++)
		for (; at[i] < lists[i].n && gw_binding_cmp(&lists[i].v[at[i]], next) == 0; at[i]++) {
			const struct gw_binding *b = &lists[i].v[at[i]];
			if (b->scope > until)
				continue;
			if (!b->enabled || !b->adds_up)
				until = b->scope;
			if (b->enabled)
				out[n++] = *b;
		}
	return n;
}

struct gw_bindings gw_snapshot_bindings(const struct gw_snapshot *s, const struct gw_route *r,
    const struct gw_consumer *c, struct gw_arena *a)
{
	GW_CHECK(s, GW_SNAPSHOT_MAGIC);
	/* Most specific first: of equal plugins the first list wins, enabled or not. */
	struct gw_bindings lists[3] = { { NULL, 0 }, { NULL, 0 }, { s->globals, s->n_globals } };
	size_t sum = 0, filled = 0, at[3] = { 0 }, n = 0;
	if (c)
		lists[0] = c->inherited;
	if (r)
		lists[1] = r->plugins;
	for (size_t i = 0; i < 3; i++) {
		sum += lists[i].n;
		filled += lists[i].n > 0;
	}
	for (size_t i = 0; i < 3 && filled <= 1; i++)
		if (lists[i].n == sum && all_enabled(lists[i]))
			return lists[i];
	struct gw_binding *out = gw_arena_array(a, sum, sizeof *out);
	for (;;) {
		const struct gw_binding *next = NULL;
		for (size_t i = 0; i < 3; i++) {
			const struct gw_binding *head = at[i] < lists[i].n ? &lists[i].v[at[i]] : NULL;
			if (head && (!next || gw_binding_cmp(head, next) < 0))
				next = head;
		}
		if (!next)
			return (struct gw_bindings){ out, n };
		n += take_one(lists, at, next, out + n);
	}
}

struct gw_str gw_target_model(const struct gw_target *t, struct gw_str model)
{
	if (t->model.n)
		return t->model;
	for (size_t i = 0; i < t->n_model_map; i++) {
		struct gw_str name = t->model_map[i].name;
		if (name.p[name.n - 1] == '*' ?
		    gw_str_starts(model, (struct gw_str){ name.p, name.n - 1 }) : gw_str_eq(name, model))
			return t->model_map[i].value;
	}
	return model;
}
