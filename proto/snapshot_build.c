/*
 * snapshot_build.c - objects in any order, on nothing or on a snapshot, become one immutable snapshot or one error.
 *
 * Objects are parsed when they are added and put into place when the snapshot is sealed, the referred-to kinds first.
 * Work is in proportion to what was added and to what refers to it.
 */
#include "base/bytes.h"
#include "base/map.h"
#include "base/str.h"
#include "price_book.h"
#include "seal.h"
#include "snapshot_object.h"

#include <stdio.h>
#include <stdlib.h>

#define BUILDER_MAGIC 0x6275696cu

/* What becomes of one name. */
struct pending {
	enum gw_kind kind;
	struct gw_str name;
	struct gw_object *object; /* owned; NULL: the name goes */
};

struct gw_builder {
	unsigned magic;
	struct gw_spec spec;      /* objects have arenas of their own */
	struct gw_snapshot *s;    /* in the making */
	struct pending *v;
	size_t n, room;
	struct gw_map *names[GW_KIND_COUNT]; /* of what was added so far */
	bool keys;
	/* while sealing: what others may refer to and is no longer the same */
	bool providers_moved, groups_moved, issuers_moved, consumers_gone, globals_moved, prices_moved, quotas_moved;
};

bool gw_epoch_valid(struct gw_str epoch)
{
	uint8_t bytes[8];
	return gw_unhex(bytes, sizeof bytes, epoch);
}

static void drop_entry(void *value)
{
	struct gw_entry *e = value;
	gw_entry_unref(&e);
}

static void default_settings(struct gw_dp_settings *out)
{
	*out = (struct gw_dp_settings){ .public_url = GW_STR("") };
	gw_fields_defaults(gw_dp_fields, out);
	gw_fields_defaults(gw_access_log_fields, out);
	gw_fields_defaults(gw_retention_fields, out);
	out->access_log_mask = (1ull << GW_ACCESS_COUNT) - 1;
	gw_tracing_defaults(&out->tracing);
	gw_fields_defaults(gw_counter_fields, &out->counters);
}

static struct gw_snapshot *new_snapshot(uint64_t revision, struct gw_str epoch)
{
	struct gw_snapshot *s = gw_alloc(sizeof *s);
	s->magic = GW_SNAPSHOT_MAGIC;
	atomic_init(&s->refs, 1);
	s->arena = gw_arena_open(0);
	s->revision = revision;
	s->epoch = gw_arena_copy(s->arena, epoch);
	default_settings(&s->settings);
	return s;
}

static struct gw_builder *new_builder(struct gw_snapshot *s, const struct gw_catalog *cat, bool strict)
{
	struct gw_builder *b = gw_alloc(sizeof *b);
	b->magic = BUILDER_MAGIC;
	b->s = s;
	b->spec = (struct gw_spec){ .catalog = cat, .strict = strict };
	for (size_t k = 0; k < GW_KIND_COUNT; k++)
		if (gw_kind_travels((enum gw_kind)k))
			b->names[k] = gw_map_open(0);
	return b;
}

enum gw_rc gw_builder_open(struct gw_builder **out, const struct gw_catalog *cat, uint64_t revision,
    struct gw_str epoch, bool strict)
{
	*out = NULL;
	if (!gw_epoch_valid(epoch))
		return GW_INVALID;
	struct gw_snapshot *s = new_snapshot(revision, epoch);
	for (size_t k = 0; k < GW_KIND_COUNT; k++)
		gw_trie_init(&s->kinds[k], drop_entry);
	gw_trie_init(&s->keys, NULL);
	gw_trie_init(&s->issuer_by_iss, NULL);
	s->index = gw_match_index_open(NULL);
	*out = new_builder(s, cat, strict);
	return GW_OK;
}

void gw_builder_extend(struct gw_builder **out, const struct gw_snapshot *base, const struct gw_catalog *cat,
    uint64_t revision, bool strict)
{
	GW_CHECK(base, GW_SNAPSHOT_MAGIC);
	struct gw_snapshot *s = new_snapshot(revision, base->epoch);
	for (size_t k = 0; k < GW_KIND_COUNT; k++)
		gw_trie_copy(&s->kinds[k], &base->kinds[k]);
	gw_trie_copy(&s->keys, &base->keys);
	gw_trie_copy(&s->issuer_by_iss, &base->issuer_by_iss);
	s->index = gw_match_index_open(base->index);
	s->prices = gw_price_book_ref(base->prices);
	s->quotas = gw_quota_index_ref(base->quotas);
	memcpy(s->sum, base->sum, sizeof s->sum);
	s->unknown = base->unknown;
	s->settings = base->settings;
	s->n_open = base->n_open;
	s->n_unlisted = base->n_unlisted;
	s->n_globals = base->n_globals;
	s->globals = gw_arena_array(s->arena, s->n_globals, sizeof *s->globals);
	if (s->n_globals)
		memcpy(s->globals, base->globals, s->n_globals * sizeof *s->globals);
	if (base->pepper.p)
		s->pepper = gw_secret_copy(s->arena, base->pepper);
	s->sealed_pepper = gw_arena_copy(s->arena, base->sealed_pepper);
	*out = new_builder(s, cat, strict);
}

static void release(struct gw_builder *b)
{
	for (size_t i = 0; i < b->n; i++)
		gw_object_unref(&b->v[i].object);
	free(b->v);
	for (size_t k = 0; k < GW_KIND_COUNT; k++)
		gw_map_close(&b->names[k]);
	b->magic = 0;
	free(b);
}

void gw_builder_drop(struct gw_builder **bp)
{
	struct gw_builder *b = *bp;
	*bp = NULL;
	if (!b)
		return;
	GW_CHECK(b, BUILDER_MAGIC);
	gw_snapshot_unref(&b->s);
	release(b);
}

void gw_builder_set_unseal(struct gw_builder *b, const struct gw_unseal *unseal)
{
	b->spec.unseal = unseal;
}

void gw_builder_set_pepper(struct gw_builder *b, struct gw_str pepper)
{
	b->s->pepper = gw_secret_copy(b->s->arena, pepper);
}

void gw_builder_set_sealed_pepper(struct gw_builder *b, const json_t *sealed)
{
	struct gw_buf text;
	gw_buf_init(&text, 1u << 20);
	b->s->sealed_pepper = sealed && gw_json_write(&text, sealed, true) == GW_OK ?
	    gw_arena_copy(b->s->arena, gw_buf_str(&text)) : GW_STR_NONE;
	gw_buf_fini(&text);
}

void gw_builder_count_unknown(struct gw_builder *b)
{
	b->s->unknown++;
}

bool gw_builder_has_keys(const struct gw_builder *b)
{
	return b->keys;
}

static void pend(struct gw_builder *b, enum gw_kind k, struct gw_str name, struct gw_object *o)
{
	if (b->n == b->room) {
		b->room = b->room ? b->room * 2 : 8;
		b->v = gw_realloc(b->v, b->room * sizeof *b->v);
	}
	b->v[b->n++] = (struct pending){ k, name, o };
	gw_map_put(b->names[k], name, b);
}

enum gw_rc gw_builder_add(struct gw_builder *b, enum gw_kind k, struct gw_str name, const json_t *spec,
    struct gw_error *err)
{
	struct gw_object *o;
	GW_CHECK(b, BUILDER_MAGIC);
	if (!gw_name_valid(name))
		return gw_fail(err, GW_INVALID, "/name",
		    "`name` must consist of 1 to 63 lower-case letters, digits, and `.` or `-` inside");
	if (b->names[k] && gw_map_get(b->names[k], name))
		return gw_fail(err, GW_EXISTS, "/name", "`%.*s` stands there twice", GW_FMT(name));
	enum gw_rc rc = gw_object_read(&o, &b->spec, k, name, spec, err);
	if (rc != GW_OK)
		return rc;
	b->keys |= k == GW_KIND_CONSUMER && o->as.consumer.n_keys > 0;
	pend(b, k, o->name, o);
	return GW_OK;
}

void gw_builder_del(struct gw_builder *b, enum gw_kind k, struct gw_str name)
{
	GW_CHECK(b, BUILDER_MAGIC);
	assert(gw_kind_travels(k));
	if (!gw_map_get(b->names[k], name))
		pend(b, k, gw_arena_copy(b->s->arena, name), NULL);
}

/* ---- sealing ---- */

/* Numbers of 256 bits, modulo 2 to the 256th. */
static void sum_change(uint8_t sum[32], const uint8_t digest[32], bool minus)
{
	unsigned carry = minus;
	for (size_t i = 0; i < 32; i++) {
		carry += sum[i] + (minus ? 255u - digest[i] : digest[i]);
		sum[i] = (uint8_t)carry;
		carry >>= 8;
	}
}

static void count_route(struct gw_snapshot *s, const struct gw_route *r, bool minus)
{
	size_t by = minus ? (size_t)-1 : 1;
	if (!r->enabled)
		return;
	if (!r->auth.required)
		s->n_open += by;
	if (r->auth.consumers.n == 0 && r->auth.groups.n == 0)
		s->n_unlisted += by;
}

static struct gw_str hash_of(const struct gw_consumer_key *key)
{
	return (struct gw_str){ (const char *)key->hash, sizeof key->hash };
}

/* Everything but the map itself forgets the entry. */
static void leave(struct gw_builder *b, enum gw_kind k, struct gw_entry *e)
{
	struct gw_snapshot *s = b->s;
	const struct gw_object *o = e->object;
	sum_change(s->sum, o->digest, true);
	s->unknown -= o->unknown;
	if (k == GW_KIND_ROUTE) {
		count_route(s, e->view, true);
		gw_match_index_del(s->index, e->view);
	}
	for (size_t i = 0; k == GW_KIND_CONSUMER && i < o->as.consumer.n_keys; i++)
		gw_trie_del(&s->keys, hash_of(&e->keys[i]));
}

static enum gw_rc enter_keys(struct gw_snapshot *s, struct gw_entry *e, struct gw_error *err)
{
	const struct gw_object *o = e->object;
	for (size_t k = 0; k < o->as.consumer.n_keys; k++) {
		struct gw_str hash = hash_of(&e->keys[k]);
		const struct gw_consumer_key *other = gw_trie_get(&s->keys, hash);
		if (other) {
			char path[128];
			snprintf(path, sizeof path, "/consumers/%.*s/keys/%zu/hash", GW_FMT(o->name), k);
			return gw_fail(err, GW_INVALID, path, "this credential and one of the consumer `%.*s` are the same",
			    GW_FMT(other->consumer->name));
		}
		gw_trie_put(&s->keys, hash, &e->keys[k]);
	}
	return GW_OK;
}

static int by_name(const void *a, const void *b)
{
	return gw_str_cmp(*(const struct gw_str *)a, *(const struct gw_str *)b);
}

/* A route that is new here: its callers are checked as they were written, then stand in the order of the search. */
static enum gw_rc enter_route(struct gw_snapshot *s, struct gw_object *o, struct gw_error *err)
{
	struct gw_route *r = &o->as.route.route;
	enum gw_rc rc = gw_route_check_callers(s, r, err);
	if (rc == GW_OK && r->auth.consumers.n)
		qsort((void *)r->auth.consumers.v, r->auth.consumers.n, sizeof(struct gw_str), by_name);
	return rc;
}

static void enter_index(struct gw_snapshot *s, const struct gw_entry *e)
{
	count_route(s, e->view, false);
	gw_match_index_add(s->index, e->view);
}

static enum gw_rc enter(struct gw_builder *b, struct gw_object *o, struct gw_error *err)
{
	struct gw_snapshot *s = b->s;
	struct gw_entry *e;
	enum gw_rc rc = GW_OK;
	if (o->kind == GW_KIND_ROUTE)
		rc = enter_route(s, o, err);
	if (rc == GW_OK)
		rc = gw_entry_make(&e, s, o, err);
	if (rc != GW_OK)
		return rc;
	if (o->kind == GW_KIND_CONSUMER && (rc = enter_keys(s, e, err)) != GW_OK) {
		gw_entry_unref(&e); /* the whole fails, and nobody looks at its keys any more */
		return rc;
	}
	sum_change(s->sum, o->digest, false);
	s->unknown += o->unknown;
	gw_trie_put(&s->kinds[o->kind], o->name, e);
	if (o->kind == GW_KIND_ROUTE)
		enter_index(s, e);
	else if (o->kind == GW_KIND_SETTINGS)
		s->settings = o->as.settings;
	return GW_OK;
}

/* One kind: first all that goes or is replaced leaves, so that a key may move from one consumer to another. */
static enum gw_rc place_kind(struct gw_builder *b, enum gw_kind k, struct gw_error *err)
{
	struct gw_snapshot *s = b->s;
	enum gw_rc rc = GW_OK;
	for (size_t i = 0; i < b->n; i++) {
		struct gw_entry *e = b->v[i].kind == k ? gw_entry_of(s, k, b->v[i].name) : NULL;
		if (!e)
			continue;
		leave(b, k, e);
		b->providers_moved |= k == GW_KIND_PROVIDER;
		b->groups_moved |= k == GW_KIND_GROUP;
		b->consumers_gone |= k == GW_KIND_CONSUMER && !b->v[i].object;
		if (k == GW_KIND_SETTINGS)
			default_settings(&s->settings);
		gw_trie_del(&s->kinds[k], b->v[i].name);
	}
	for (size_t i = 0; i < b->n && rc == GW_OK; i++) {
		b->globals_moved |= b->v[i].kind == k && k == GW_KIND_GLOBAL_PLUGIN;
		b->issuers_moved |= b->v[i].kind == k && k == GW_KIND_JWT_ISSUER;
		b->prices_moved |= b->v[i].kind == k && k == GW_KIND_PRICE;
		b->quotas_moved |= b->v[i].kind == k && k == GW_KIND_QUOTA;
		/* One that is new may be what consumers named in vain so far. */
		b->groups_moved |= b->v[i].kind == k && k == GW_KIND_GROUP;
		if (b->v[i].kind == k && b->v[i].object)
			rc = enter(b, b->v[i].object, err);
	}
	return rc;
}

/* A route that stays, but a provider of it is another object now, or none. */
static bool stale(const struct gw_snapshot *s, const struct gw_entry *e)
{
	const struct gw_spec_route *d = &e->object->as.route;
	const struct gw_route *r = e->view;
	for (size_t i = 0; i < r->n_targets; i++)
		if (gw_snapshot_provider(s, d->target_names[i]) != r->targets[i].provider)
			return true;
	for (size_t i = 0; i < r->fallback.n_targets; i++)
		if (gw_snapshot_provider(s, d->fallback_names[i]) != r->fallback.targets[i].provider)
			return true;
	return false;
}

static enum gw_rc relink(struct gw_snapshot *s, struct gw_entry *e, struct gw_error *err)
{
	struct gw_entry *next;
	enum gw_rc rc = gw_entry_make(&next, s, e->object, err);
	if (rc != GW_OK)
		return rc;
	gw_match_index_swap(s->index, e->view, next->view);
	gw_trie_put(&s->kinds[GW_KIND_ROUTE], next->object->name, next); /* `e` may be gone now */
	return GW_OK;
}

/* What stayed and refers to what did not.  One look at every route, only when a provider changed or a consumer went. */
static enum gw_rc settle_routes(struct gw_builder *b, struct gw_error *err)
{
	struct gw_snapshot *s = b->s;
	struct gw_trie all; /* as it was, since relinking changes the map */
	struct gw_trie_at at = { 0 };
	struct gw_entry *e;
	enum gw_rc rc = GW_OK;
	if (!b->providers_moved && !b->consumers_gone)
		return GW_OK;
	gw_trie_copy(&all, &s->kinds[GW_KIND_ROUTE]);
	while (rc == GW_OK && (e = gw_trie_next(&all, &at))) {
		if (b->consumers_gone)
			rc = gw_route_check_callers(s, e->view, err);
		if (rc == GW_OK && b->providers_moved && stale(s, e))
			rc = relink(s, e, err);
	}
	gw_trie_fini(&all);
	return rc;
}

/* Consumers that stay, but a group of theirs is another object now, or is there now, or no longer. */
static bool stale_consumer(const struct gw_snapshot *s, const struct gw_consumer *c)
{
	size_t n = 0;
	for (size_t i = 0; i < c->groups.n; i++) {
		const struct gw_group *g = gw_snapshot_group(s, c->groups.v[i]);
		if (g && (n == c->n_in || c->in[n++] != g))
			return true;
	}
	return n != c->n_in;
}

static void settle_consumers(struct gw_builder *b)
{
	struct gw_snapshot *s = b->s;
	struct gw_trie all;
	struct gw_trie_at at = { 0 };
	struct gw_entry *e, *next;
	if (!b->groups_moved)
		return;
	gw_trie_copy(&all, &s->kinds[GW_KIND_CONSUMER]);
	while ((e = gw_trie_next(&all, &at))) {
		if (!stale_consumer(s, e->view) || gw_entry_make(&next, s, e->object, NULL) != GW_OK)
			continue;
		for (size_t i = 0; i < e->object->as.consumer.n_keys; i++)
			gw_trie_put(&s->keys, hash_of(&next->keys[i]), &next->keys[i]);
		gw_trie_put(&s->kinds[GW_KIND_CONSUMER], next->object->name, next);
	}
	gw_trie_fini(&all);
}

static enum gw_rc enter_issuer(struct gw_snapshot *s, struct gw_jwt_issuer *one, struct gw_error *err)
{
	char path[160];
	if (one->default_consumer.p && !gw_snapshot_consumer(s, one->default_consumer)) {
		snprintf(path, sizeof path, "/jwt-issuers/%.*s/default_consumer", GW_FMT(one->name));
		return gw_fail(err, GW_INVALID, path, "there is no consumer `%.*s`", GW_FMT(one->default_consumer));
	}
	if (one->enabled && gw_trie_get(&s->issuer_by_iss, one->issuer)) {
		snprintf(path, sizeof path, "/jwt-issuers/%.*s/issuer", GW_FMT(one->name));
		return gw_fail(err, GW_INVALID, path, "another enabled JWT issuer has this `issuer`");
	}
	if (one->enabled)
		gw_trie_put(&s->issuer_by_iss, one->issuer, one);
	return GW_OK;
}

/*
 * Tokens name their issuer, so no two may answer to one name; the consumer for everybody else must be there.  There are
 * few of them, so all are looked at, in the order of their names so that it is always the same one that is refused.
 */
static enum gw_rc settle_issuers(struct gw_builder *b, struct gw_error *err)
{
	enum gw_rc rc = GW_OK;
	size_t n;
	if (!b->issuers_moved && !b->consumers_gone)
		return GW_OK;
	gw_trie_fini(&b->s->issuer_by_iss);
	struct gw_arena *a = gw_arena_open(0);
	struct gw_entry **v = gw_snapshot_sorted(b->s, GW_KIND_JWT_ISSUER, a, &n);
	for (size_t i = 0; i < n && rc == GW_OK; i++)
		rc = enter_issuer(b->s, &v[i]->object->as.issuer, err);
	gw_arena_close(&a);
	return rc;
}

static void settle_globals(struct gw_snapshot *s)
{
	struct gw_trie_at at = { 0 };
	const struct gw_entry *e;
	s->globals = gw_arena_array(s->arena, s->kinds[GW_KIND_GLOBAL_PLUGIN].count, sizeof *s->globals);
	s->n_globals = 0;
	while ((e = gw_trie_next(&s->kinds[GW_KIND_GLOBAL_PLUGIN], &at)))
		if (e->object->as.binding.module)
			s->globals[s->n_globals++] = e->object->as.binding;
	if (s->n_globals)
		qsort(s->globals, s->n_globals, sizeof *s->globals, gw_binding_cmp);
}

static enum gw_rc settle_money(struct gw_builder *b, struct gw_error *err)
{
	struct gw_snapshot *s = b->s;
	enum gw_rc rc = GW_OK;
	if (b->prices_moved || !s->prices) {
		gw_price_book_unref(&s->prices);
		rc = gw_price_book_make(&s->prices, s, err);
	}
	if (rc == GW_OK && (b->quotas_moved || b->consumers_gone))
		rc = gw_quotas_check(s, err);
	if (rc == GW_OK && b->quotas_moved) {
		gw_quota_index_unref(&s->quotas);
		if (s->kinds[GW_KIND_QUOTA].count > 0)
			rc = gw_quota_index_make(&s->quotas, s, err);
	}
	return rc;
}

enum gw_rc gw_builder_seal(struct gw_builder **bp, struct gw_snapshot **out, struct gw_error *err)
{
	struct gw_builder *b = *bp;
	*bp = NULL;
	*out = NULL;
	GW_CHECK(b, BUILDER_MAGIC);
	struct gw_snapshot *s = b->s;
	enum gw_rc rc = GW_OK;
	for (size_t k = 0; k < GW_KIND_COUNT && rc == GW_OK; k++)
		if (gw_kind_travels((enum gw_kind)k))
			rc = place_kind(b, (enum gw_kind)k, err);
	if (rc == GW_OK)
		settle_consumers(b);
	if (rc == GW_OK)
		rc = settle_issuers(b, err);
	if (rc == GW_OK)
		rc = settle_routes(b, err);
	if (rc == GW_OK)
		rc = settle_money(b, err);
	if (b->globals_moved)
		settle_globals(s);
	gw_match_index_seal(s->index);
	release(b);
	if (rc == GW_OK)
		*out = s;
	else
		gw_snapshot_unref(&s);
	return rc;
}
