/* price_book.c - sorting prices once, so that a request finds its own in a few steps. */
#include "price_book.h"
#include "base/str.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#define NO_PARENT     SIZE_MAX

/* One price under one of its patterns. */
struct entry {
	struct gw_str text;              /* the pattern without its star */
	bool star;
	const struct gw_price *price;
	size_t model;                    /* index of the pattern, for messages */
	size_t parent;                   /* of the first entry of a pattern: that of the longest shorter one */
};

struct gw_price_scope {
	struct entry *v;                 /* by text, a star before none, later valid_from first */
	size_t n, room;
};

static int by_pattern(const void *a, const void *b)
{
	const struct entry *x = a, *y = b;
	int c = gw_str_cmp(x->text, y->text);

	if (c != 0)
		return c;
	if (x->star != y->star)
		return x->star ? -1 : 1;
	if (x->price->valid_from_ms != y->price->valid_from_ms)
		return x->price->valid_from_ms > y->price->valid_from_ms ? -1 : 1;
	return gw_str_cmp(x->price->name, y->price->name);
}

static bool same_pattern(const struct entry *a, const struct entry *b)
{
	return a->star == b->star && gw_str_eq(a->text, b->text);
}

struct gw_price_book {
	atomic_uint refs;
	struct gw_arena *arena;
	const struct gw_price **list;    /* an operator's by name, then the seed's */
	size_t n;
	struct gw_map *by_name, *by_type[2];  /* → struct gw_price_scope; [1] is the seed's */
	struct gw_price_scope any[2];
};

/* Twice the room each time; what is left behind in the arena is as much again at most. */
static void append(struct gw_arena *a, struct gw_price_scope *sc, struct entry e)
{
	if (sc->n == sc->room) {
		size_t room = sc->room ? 2 * sc->room : 4;
		struct entry *v = gw_arena_array(a, room, sizeof *v);

		if (sc->n)
			memcpy(v, sc->v, sc->n * sizeof *v);
		sc->v = v;
		sc->room = room;
	}
	sc->v[sc->n++] = e;
}

static struct gw_price_scope *scope_of(struct gw_price_book *b, const struct gw_price *p)
{
	struct gw_map *map = p->provider.n ? b->by_name : b->by_type[p->seed];
	struct gw_str key = p->provider.n ? p->provider : p->provider_type;
	struct gw_price_scope *sc;

	if (!key.n)
		return &b->any[p->seed];
	sc = gw_map_get(map, key);
	if (!sc) {
		sc = gw_arena_alloc(b->arena, sizeof *sc);
		gw_map_put(map, key, sc);
	}
	return sc;
}

static void add(struct gw_price_book *b, const struct gw_price *p)
{
	b->list[b->n++] = p;
	for (size_t i = 0; p->enabled && i < p->models.n; i++) {
		struct gw_str m = p->models.v[i];
		bool star = m.n > 0 && m.p[m.n - 1] == '*';

		append(b->arena, scope_of(b, p), (struct entry){ .text = { m.p, m.n - star }, .star = star, .price = p, .model = i });
	}
}

static enum gw_rc twice(const struct entry *a, const struct entry *b, struct gw_error *err)
{
	char path[160];

	snprintf(path, sizeof path, "/prices/%.*s/models/%zu", GW_FMT(b->price->name), b->model);
	return gw_fail(err, GW_INVALID, path, "the price `%.*s` says the same model at the same time of the same provider",
	               GW_FMT(a->price->name));
}

static enum gw_rc finish(struct gw_price_scope *sc, struct gw_error *err)
{
	size_t first = 0;

	if (sc->n == 0)
		return GW_OK;
	qsort(sc->v, sc->n, sizeof *sc->v, by_pattern);
	for (size_t i = 0; i < sc->n; i++) {
		struct entry *e = &sc->v[i];

		if (i > 0 && same_pattern(e, &sc->v[i - 1])) {
			if (e->price->valid_from_ms == sc->v[i - 1].price->valid_from_ms)
				return twice(&sc->v[i - 1], e, err);
			e->parent = sc->v[first].parent;
			continue;
		}
		size_t up = i > 0 ? first : NO_PARENT;
		while (up != NO_PARENT && !gw_str_starts(e->text, sc->v[up].text))
			up = sc->v[up].parent;
		e->parent = up;
		first = i;
	}
	return GW_OK;
}

/* The seed's prices that no operator's object replaces. */
static enum gw_rc add_seed(struct gw_price_book *b, const struct gw_snapshot *s, const json_t *list, struct gw_error *err)
{
	struct gw_spec spec = { .arena = b->arena };
	size_t i;
	json_t *o;

	json_array_foreach((json_t *)list, i, o) {
		struct gw_str name = gw_json_str(json_object_get(o, "name"));
		struct gw_price *p;
		enum gw_rc rc;

		if (gw_entry_of(s, GW_KIND_PRICE, name))
			continue;
		p = gw_arena_alloc(b->arena, sizeof *p);
		*p = (struct gw_price){ .name = gw_arena_copy(b->arena, name), .seed = true };
		json_object_del(o, "name");
		rc = gw_spec_price(&spec, o, p, err);
		if (rc != GW_OK)
			return rc;
		add(b, p);
	}
	return GW_OK;
}

static enum gw_rc finish_map(struct gw_map *m, struct gw_error *err)
{
	struct gw_str key;
	void *scope;
	enum gw_rc rc = GW_OK;

	for (size_t at = 0; rc == GW_OK && gw_map_next(m, &at, &key, &scope);)
		rc = finish(scope, err);
	return rc;
}

static enum gw_rc fill(struct gw_price_book *b, const struct gw_snapshot *s, const json_t *seed, struct gw_error *err)
{
	struct gw_arena *a = gw_arena_open(0);
	size_t n;
	struct gw_entry **v = gw_snapshot_sorted(s, GW_KIND_PRICE, a, &n);
	enum gw_rc rc;

	b->list = gw_arena_array(b->arena, n + json_array_size(seed), sizeof *b->list);
	for (size_t i = 0; i < n; i++)
		add(b, v[i]->view);
	gw_arena_close(&a);
	rc = add_seed(b, s, seed, err);
	if (rc == GW_OK)
		rc = finish_map(b->by_name, err);
	for (size_t i = 0; i < 2 && rc == GW_OK; i++) {
		rc = finish(&b->any[i], err);
		if (rc == GW_OK)
			rc = finish_map(b->by_type[i], err);
	}
	return rc;
}

enum gw_rc gw_price_book_make(struct gw_price_book **out, const struct gw_snapshot *s, struct gw_error *err)
{
	json_t *seed;
	struct gw_price_book *b;
	enum gw_rc rc = gw_json_parse(&seed, gw_price_seed(), 1 << 20, err);

	*out = NULL;
	if (rc != GW_OK)
		return rc;
	b = gw_alloc(sizeof *b);
	atomic_init(&b->refs, 1);
	b->arena = gw_arena_open(16384);
	b->by_name = gw_map_open(16);
	for (size_t i = 0; i < 2; i++)
		b->by_type[i] = gw_map_open(16);
	rc = fill(b, s, json_object_get(seed, "prices"), err);
	json_decref(seed);
	if (rc == GW_OK)
		*out = b;
	else
		gw_price_book_unref(&b);
	return rc;
}

struct gw_price_book *gw_price_book_ref(struct gw_price_book *b)
{
	if (b)
		atomic_fetch_add_explicit(&b->refs, 1, memory_order_relaxed);
	return b;
}

void gw_price_book_unref(struct gw_price_book **bp)
{
	struct gw_price_book *b = *bp;

	*bp = NULL;
	if (!b || atomic_fetch_sub_explicit(&b->refs, 1, memory_order_acq_rel) != 1)
		return;
	gw_map_close(&b->by_name);
	for (size_t i = 0; i < 2; i++)
		gw_map_close(&b->by_type[i]);
	gw_arena_close(&b->arena);
	free(b);
}

const struct gw_price *const *gw_snapshot_prices(const struct gw_snapshot *s, size_t *n)
{
	GW_CHECK(s, GW_SNAPSHOT_MAGIC);
	*n = s->prices ? s->prices->n : 0;
	return s->prices ? s->prices->list : NULL;
}

/* ---- looking up ---- */

/* The entry of the last pattern that is not behind `model`, by its first entry; NO_PARENT: none. */
static size_t last_not_behind(const struct gw_price_scope *sc, struct gw_str model)
{
	size_t low = 0, high = sc->n;

	while (low < high) {
		size_t mid = low + (high - low) / 2;

		if (gw_str_cmp(sc->v[mid].text, model) <= 0)
			low = mid + 1;
		else
			high = mid;
	}
	if (low == 0)
		return NO_PARENT;
	for (low--; low > 0 && same_pattern(&sc->v[low], &sc->v[low - 1]); low--)
		;
	return low;
}

static const struct gw_price *in_force(const struct gw_price_scope *sc, size_t at, int64_t at_ms)
{
	for (size_t i = at; i < sc->n && same_pattern(&sc->v[i], &sc->v[at]); i++)
		if (sc->v[i].price->valid_from_ms <= at_ms)
			return sc->v[i].price;
	return NULL;
}

static const struct gw_price *best(const struct gw_price_scope *sc, struct gw_str model, int64_t at_ms)
{
	if (!sc)
		return NULL;
	for (size_t at = last_not_behind(sc, model); at != NO_PARENT; at = sc->v[at].parent) {
		const struct entry *e = &sc->v[at];
		const struct gw_price *p = NULL;

		if (e->star ? gw_str_starts(model, e->text) : gw_str_eq(model, e->text))
			p = in_force(sc, at, at_ms);
		if (p)
			return p;
	}
	return NULL;
}

const struct gw_price *gw_price_find(const struct gw_snapshot *s, const struct gw_provider *provider, struct gw_str model, int64_t at_ms)
{
	const struct gw_price_book *b = s->prices;
	const struct gw_price *p;

	GW_CHECK(s, GW_SNAPSHOT_MAGIC);
	if (!b)
		return NULL;
	p = best(gw_map_get(b->by_name, provider->name), model, at_ms);
	for (size_t i = 0; i < 2 && !p; i++) {
		p = best(gw_map_get(b->by_type[i], provider->type), model, at_ms);
		if (!p)
			p = best(&b->any[i], model, at_ms);
	}
	return p;
}
