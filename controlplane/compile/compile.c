/*
 * compile.c - objects of the database in the form in which they travel, all of them or those that a change touched.
 *
 * Objects are parsed one at a time and let go at once: ten thousand of them as one tree would take hundreds of
 * megabytes.  Only the keys of consumers are gathered first, since they travel inside objects that come earlier.
 */
#include "compile/compile.h"

#include "base/map.h"
#include "base/str.h"
#include "seal.h"

#define MAX_SPEC (16u << 20)

struct walk {
	json_t *keys;            /* consumer → its keys, owned */
	struct gw_builder *builder;
	const struct cp_keys *secrets;
	struct gw_error *err;
	enum gw_rc rc;
};

/* {"sealed","last4",…} → {"sealed"}: what people see of a secret does not travel. */
static void strip(json_t *v)
{
	const char *key;
	json_t *member;
	size_t i;
	if (json_is_array(v)) {
		json_array_foreach(v, i, member)
			strip(member);
	} else if (json_is_object(v)) {
		json_t *sealed = json_object_get(v, "sealed");
		if (json_is_string(sealed)) {
			json_incref(sealed);
			json_object_clear(v);
			json_object_set_new(v, "sealed", sealed);
			return;
		}
		json_object_foreach(v, key, member)
			strip(member);
	}
}

static bool gather_key(void *arg, const struct cp_record *r)
{
	struct walk *w = arg;
	json_t *spec = NULL, *list = json_object_getn(w->keys, r->owner.p, r->owner.n), *key = json_object();
	w->rc = gw_json_parse(&spec, r->spec, MAX_SPEC, w->err);
	if (list == NULL) {
		list = json_array();
		json_object_setn_new(w->keys, r->owner.p, r->owner.n, list);
	}
	gw_json_set_str(key, "id", r->name);
	gw_json_set_str(key, "hash", r->ident);
	json_object_set(key, "type", json_object_get(spec, "type")); /* a key has none */
	json_object_set(key, "secret", json_object_get(spec, "secret"));
	json_object_set(key, "enabled", json_object_get(spec, "enabled"));
	json_object_set(key, "expires_at", json_object_get(spec, "expires_at"));
	json_array_append_new(list, key);
	json_decref(spec);
	return w->rc == GW_OK;
}

static bool visit(void *arg, const struct cp_record *r)
{
	struct walk *w = arg;
	json_t *spec = NULL;
	w->rc = gw_json_parse(&spec, r->spec, MAX_SPEC, w->err);
	if (w->rc != GW_OK)
		return false;
	json_object_del(spec, "description");
	json_object_del(spec, "labels");
	if (r->kind == GW_KIND_SETTINGS)
		json_object_del(spec, "console");
	if (r->kind == GW_KIND_CONSUMER) {
		json_t *keys = json_object_getn(w->keys, r->name.p, r->name.n);
		if (keys != NULL)
			json_object_set(spec, "keys", keys);
	}
	strip(spec);
	w->rc = gw_reseal(spec, w->secrets->master, w->secrets->snapshot, w->err);
	if (w->rc == GW_OK)
		w->rc = gw_builder_add(w->builder, r->kind, r->name, spec, w->err);
	if (w->rc != GW_OK)
		gw_error_prefix(w->err, "/%s/%.*s", gw_kind_path(r->kind), GW_FMT(r->name));
	json_decref(spec);
	return w->rc == GW_OK;
}

static enum gw_rc walk_kind(struct walk *w, struct cp_txn *t, enum gw_kind k)
{
	enum gw_rc rc = cp_each(t, k, GW_STR_NONE, visit, w, w->err);
	return w->rc != GW_OK ? w->rc : rc;
}

/* `owner` absent: of every consumer. */
static enum gw_rc gather_keys(struct walk *w, struct cp_txn *t, struct gw_str owner)
{
	enum gw_rc rc = cp_each(t, GW_KIND_CREDENTIAL, owner, gather_key, w, w->err);
	return w->rc != GW_OK ? w->rc : rc;
}

static void set_pepper(struct walk *w)
{
	json_t *pepper = gw_seal(w->secrets->snapshot, gw_str_c(w->secrets->pepper));
	gw_builder_set_sealed_pepper(w->builder, pepper);
	json_decref(pepper);
}

enum gw_rc cp_compile(struct gw_snapshot **out, struct cp_txn *t, const char *epoch, const struct gw_catalog *catalog,
		      const struct cp_keys *keys, bool strict, struct gw_error *err)
{
	struct walk w = { .keys = json_object(), .secrets = keys, .err = err };
	*out = NULL;
	enum gw_rc rc = gw_builder_open(&w.builder, catalog, cp_txn_revision(t), gw_str_c(epoch), strict);
	if (rc == GW_OK)
		rc = gather_keys(&w, t, GW_STR_NONE);
	for (int k = 0; k < GW_KIND_COUNT && rc == GW_OK; k++)
		if (gw_kind_travels((enum gw_kind)k))
			rc = walk_kind(&w, t, (enum gw_kind)k);
	if (rc == GW_OK) {
		set_pepper(&w);
		rc = gw_builder_seal(&w.builder, out, err);
	}
	gw_builder_drop(&w.builder);
	json_decref(w.keys);
	return rc;
}

/* ---- what a change touched ---- */

struct touched {
	struct walk *w;
	struct cp_txn *t;
	struct gw_arena *a;
	struct gw_map *seen;     /* "kind/name" */
};

static enum gw_rc compile_one(struct touched *d, enum gw_kind k, struct gw_str name)
{
	struct cp_record r;
	struct gw_error err = { 0 };
	enum gw_rc rc = cp_get(d->t, k, name, d->a, &r, &err);
	if (rc == GW_NOTFOUND) {
		gw_builder_del(d->w->builder, k, name);
		return GW_OK;
	}
	if (rc == GW_OK && k == GW_KIND_CONSUMER)
		rc = gather_keys(d->w, d->t, name);
	else if (rc != GW_OK && d->w->err)
		*d->w->err = err;
	if (rc == GW_OK)
		visit(d->w, &r);
	return rc == GW_OK ? d->w->rc : rc;
}

/* A key travels inside its consumer, so it is the consumer that changed. */
static void take_touched(void *arg, enum gw_kind k, struct gw_str name, struct gw_str owner)
{
	struct touched *d = arg;
	if (k == GW_KIND_CREDENTIAL) {
		k = GW_KIND_CONSUMER;
		name = owner;
	}
	if (d->w->rc != GW_OK || !gw_kind_travels(k))
		return;
	if (!gw_map_put(d->seen, gw_arena_printf(d->a, "%s/%.*s", gw_kind_path(k), GW_FMT(name)), d))
		d->w->rc = compile_one(d, k, name);
}

enum gw_rc cp_compile_next(struct gw_snapshot **out, const struct gw_snapshot *base, struct cp_change *c,
			   const struct gw_catalog *catalog, const struct cp_keys *keys, struct gw_error *err)
{
	struct walk w = { .keys = json_object(), .secrets = keys, .err = err };
	struct touched d = { &w, cp_change_view(c), gw_arena_open(0), gw_map_open(16) };
	*out = NULL;
	gw_builder_extend(&w.builder, base, catalog, cp_txn_revision(d.t) + 1, true);
	cp_change_each(c, take_touched, &d);
	if (w.rc == GW_OK)
		w.rc = gw_builder_seal(&w.builder, out, err);
	gw_builder_drop(&w.builder);
	gw_map_close(&d.seen);
	gw_arena_close(&d.a);
	json_decref(w.keys);
	return w.rc;
}
