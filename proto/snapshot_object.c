/*
 * snapshot_object.c - one object from its specification, and the entry that it becomes in a configuration.
 */
#include "base/bytes.h"
#include "base/str.h"
#include "snapshot_object.h"

#include <stdio.h>
#include <stdlib.h>

struct gw_object *gw_object_ref(struct gw_object *o)
{
	atomic_fetch_add_explicit(&o->refs, 1, memory_order_relaxed);
	return o;
}

void gw_object_unref(struct gw_object **op)
{
	struct gw_object *o = *op;
	*op = NULL;
	if (o && atomic_fetch_sub_explicit(&o->refs, 1, memory_order_acq_rel) == 1) {
		struct gw_arena *a = o->arena; /* which holds the object */
		gw_arena_close(&a);
	}
}

static enum gw_rc read_global(struct gw_spec *sp, struct gw_str name, const json_t *spec, struct gw_binding *out,
    struct gw_error *err)
{
	static const char *const names[] = { "config", "description", "labels", "enabled", NULL };
	/* The admin API shows {"config":{…}}; the settings alone are understood as well. */
	json_t *config = json_object_get(spec, "config");
	bool enabled;
	if (!json_is_object(config))
		return gw_spec_binding(sp, name, spec, out, err);
	enum gw_rc rc = gw_spec_members(sp, spec, names, err);
	if (rc == GW_OK)
		rc = gw_spec_common(sp, spec, &enabled, err);
	if (rc != GW_OK)
		return rc;
	rc = gw_spec_binding(sp, name, config, out, err);
	if (rc != GW_OK)
		gw_error_prefix(err, "/config");
	else
		out->enabled = out->enabled && enabled;
	return rc;
}

static enum gw_rc read_view(struct gw_spec *sp, const json_t *spec, struct gw_object *o, struct gw_error *err)
{
	switch (o->kind) {
	case GW_KIND_SETTINGS:
		return gw_spec_settings(sp, spec, &o->as.settings, err);
	case GW_KIND_PROVIDER:
		o->as.provider.name = o->name;
		return gw_spec_provider(sp, spec, &o->as.provider, err);
	case GW_KIND_GROUP:
		o->as.group.name = o->name;
		return gw_spec_group(sp, spec, &o->as.group, err);
	case GW_KIND_JWT_ISSUER:
		o->as.issuer.name = o->name;
		return gw_spec_jwt_issuer(sp, spec, &o->as.issuer, err);
	case GW_KIND_CONSUMER:
		o->as.consumer.view.name = o->name;
		return gw_spec_consumer(sp, spec, &o->as.consumer.view, &o->as.consumer.keys,
		    &o->as.consumer.n_keys, err);
	case GW_KIND_ROUTE:
		o->as.route.route.name = o->name;
		return gw_spec_route(sp, spec, &o->as.route, err);
	case GW_KIND_PRICE:
		o->as.price.name = o->name;
		return gw_spec_price(sp, spec, &o->as.price, err);
	case GW_KIND_QUOTA:
		o->as.quota.name = o->name;
		return gw_spec_quota(sp, spec, &o->as.quota, err);
	case GW_KIND_GLOBAL_PLUGIN:
		return read_global(sp, o->name, spec, &o->as.binding, err);
	default:
		return gw_fail(err, GW_INVALID, NULL, "objects of the kind `%s` are not part of a snapshot",
		    gw_kind_path(o->kind));
	}
}

/* The canonical bytes, and what they and the name add to the state of a whole configuration. */
static enum gw_rc keep_bytes(struct gw_object *o, const json_t *spec, struct gw_error *err)
{
	struct gw_buf b;
	gw_buf_init(&b, GW_SNAPSHOT_MAX_BYTES);
	gw_buf_printf(&b, "%s/%.*s\n", gw_kind_path(o->kind), GW_FMT(o->name));
	size_t head = b.n;
	enum gw_rc rc = gw_json_write(&b, spec, true);
	if (rc == GW_INVALID) {
		/* A fraction, which has no canonical form, in a member that we ignore or that a newer release has. */
		char *text = json_dumps(spec, JSON_COMPACT | JSON_SORT_KEYS);
		rc = text && gw_buf_add_c(&b, text) ? GW_OK : GW_TOOBIG;
		free(text);
	}
	if (rc == GW_OK) {
		gw_sha256(o->digest, gw_buf_str(&b));
		o->bytes = gw_arena_copy(o->arena, gw_str_from(gw_buf_str(&b), head));
	} else {
		rc = gw_fail(err, rc, NULL, "the object is larger than %u MiB", GW_SNAPSHOT_MAX_BYTES >> 20);
	}
	gw_buf_fini(&b);
	return rc;
}

enum gw_rc gw_object_read(struct gw_object **out, const struct gw_spec *how, enum gw_kind k, struct gw_str name,
    const json_t *spec, struct gw_error *err)
{
	struct gw_spec sp = *how;
	sp.unknown = 0;
	sp.arena = gw_arena_open(sizeof(struct gw_object) + 512);
	struct gw_object *o = gw_arena_alloc(sp.arena, sizeof *o);
	atomic_init(&o->refs, 1);
	o->kind = k;
	o->arena = sp.arena;
	o->name = gw_arena_copy(sp.arena, name);
	enum gw_rc rc = read_view(&sp, spec, o, err);
	if (rc == GW_OK)
		rc = keep_bytes(o, spec, err);
	o->unknown = sp.unknown;
	if (rc == GW_OK)
		*out = o;
	else
		gw_object_unref(&o);
	return rc;
}

/* ---- entries ---- */

void gw_entry_unref(struct gw_entry **ep)
{
	struct gw_entry *e = *ep;
	*ep = NULL;
	if (!e || atomic_fetch_sub_explicit(&e->refs, 1, memory_order_acq_rel) != 1)
		return;
	gw_object_unref(&e->object);
	gw_arena_close(&e->arena);
	free(e);
}

static struct gw_entry *new_entry(struct gw_object *o, size_t more)
{
	struct gw_entry *e = gw_alloc(sizeof *e + more);
	atomic_init(&e->refs, 1);
	e->object = gw_object_ref(o);
	return e;
}

static enum gw_rc resolve(const struct gw_snapshot *s, struct gw_str route, const char *where,
    struct gw_target *targets, const struct gw_str *names, size_t n, struct gw_error *err)
{
	for (size_t i = 0; i < n; i++) {
		targets[i].provider = gw_snapshot_provider(s, names[i]);
		if (targets[i].provider)
			continue;
		char path[160];
		snprintf(path, sizeof path, "/routes/%.*s%s/targets/%zu/provider", GW_FMT(route), where, i);
		return gw_fail(err, GW_INVALID, path, "there is no provider `%.*s`", GW_FMT(names[i]));
	}
	return GW_OK;
}

enum gw_rc gw_route_check_callers(const struct gw_snapshot *s, const struct gw_route *r, struct gw_error *err)
{
	for (size_t i = 0; i < r->auth.consumers.n; i++) {
		struct gw_str name = r->auth.consumers.v[i];
		if (gw_snapshot_consumer(s, name))
			continue;
		char path[160];
		snprintf(path, sizeof path, "/routes/%.*s/auth/consumers/%zu", GW_FMT(r->name), i);
		return gw_fail(err, GW_INVALID, path, "there is no consumer `%.*s`", GW_FMT(name));
	}
	return GW_OK;
}

static const struct gw_target *copy_targets(struct gw_target *to, const struct gw_target *from, size_t n)
{
	if (n)
		memcpy(to, from, n * sizeof *to);
	return to;
}

static enum gw_rc route_entry(struct gw_entry **out, const struct gw_snapshot *s, struct gw_object *o,
    struct gw_error *err)
{
	const struct gw_spec_route *d = &o->as.route;
	size_t n = d->route.n_targets, m = d->route.fallback.n_targets;
	struct gw_entry *e = new_entry(o, sizeof(struct gw_route) + (n + m) * sizeof(struct gw_target));
	struct gw_route *r = (void *)(e + 1);
	struct gw_target *targets = (void *)(r + 1), *fallback = targets + n;
	*r = d->route;
	r->targets = copy_targets(targets, d->targets, n);
	r->fallback.targets = copy_targets(fallback, d->fallback, m);
	e->view = r;
	enum gw_rc rc = resolve(s, r->name, "", targets, d->target_names, n, err);
	if (rc == GW_OK)
		rc = resolve(s, r->name, "/fallback", fallback, d->fallback_names, m, err);
	*out = e;
	return rc;
}

/* Its keys point to it, so they are the entry's as well. */
static struct gw_entry *consumer_entry(const struct gw_snapshot *s, struct gw_object *o)
{
	const struct gw_consumer *from = &o->as.consumer.view;
	size_t n_keys = o->as.consumer.n_keys;
	struct gw_entry *e = new_entry(o, sizeof *from + n_keys * sizeof *e->keys);
	struct gw_consumer *c = (void *)(e + 1);
	e->keys = (void *)(c + 1);
	*c = *from;
	if (c->groups.n)
		e->arena = gw_arena_open(256);
	gw_consumer_inherit(s, c, e->arena);
	for (size_t i = 0; i < n_keys; i++) {
		e->keys[i] = o->as.consumer.keys[i];
		e->keys[i].consumer = c;
	}
	e->view = c;
	return e;
}

enum gw_rc gw_entry_make(struct gw_entry **out, const struct gw_snapshot *s, struct gw_object *o, struct gw_error *err)
{
	enum gw_rc rc = GW_OK;
	if (o->kind == GW_KIND_ROUTE) {
		rc = route_entry(out, s, o, err);
	} else if (o->kind == GW_KIND_CONSUMER) {
		*out = consumer_entry(s, o);
	} else {
		*out = new_entry(o, 0);
		(*out)->view = &o->as;
	}
	if (rc != GW_OK)
		gw_entry_unref(out);
	return rc;
}
