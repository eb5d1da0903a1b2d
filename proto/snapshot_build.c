/*
 * snapshot_build.c - objects in any order become one immutable snapshot, or one error.
 */
#include "base/bytes.h"
#include "base/map.h"
#include "base/str.h"
#include "seal.h"
#include "snapshot_impl.h"
#include "spec.h"

#include <stdio.h>
#include <stdlib.h>

#define BUILDER_MAGIC 0x6275696cu

struct draft_consumer {
	struct gw_consumer consumer;
	struct gw_consumer_key *keys;
	size_t n_keys;
};

/* A growing array of drafts; they are copied into the arena when the snapshot is sealed. */
struct vec {
	void *v;
	size_t n, room;
};

struct gw_builder {
	unsigned magic;
	struct gw_spec spec;
	uint64_t revision;
	struct gw_str epoch, pepper;
	struct vec providers, groups, issuers, consumers, routes, globals;
	struct gw_map *names[GW_KIND_COUNT]; /* of the objects added so far */
	struct gw_dp_settings settings;
	size_t n_keys;
};

static void *push(struct vec *v, size_t size)
{
	if (v->n == v->room) {
		v->room = v->room ? v->room * 2 : 16;
		v->v = gw_realloc(v->v, v->room * size);
	}
	void *at = (char *)v->v + v->n++ * size;
	memset(at, 0, size);
	return at;
}

bool gw_epoch_valid(struct gw_str epoch)
{
	uint8_t bytes[8];
	return gw_unhex(bytes, sizeof bytes, epoch);
}

enum gw_rc gw_builder_open(struct gw_builder **out, const struct gw_catalog *cat, uint64_t revision,
    struct gw_str epoch, bool strict)
{
	*out = NULL;
	if (!gw_epoch_valid(epoch))
		return GW_INVALID;
	struct gw_builder *b = gw_alloc(sizeof *b);
	b->magic = BUILDER_MAGIC;
	b->spec = (struct gw_spec){ .catalog = cat, .arena = gw_arena_open(16384), .strict = strict };
	b->revision = revision;
	b->epoch = gw_arena_copy(b->spec.arena, epoch);
	b->settings.public_url = GW_STR("");
	gw_fields_defaults(gw_dp_fields, &b->settings);
	gw_fields_defaults(gw_access_log_fields, &b->settings);
	gw_fields_defaults(gw_retention_fields, &b->settings);
	b->settings.access_log_mask = (1ull << GW_ACCESS_COUNT) - 1;
	gw_tracing_defaults(&b->settings.tracing);
	for (size_t k = 0; k < GW_KIND_COUNT; k++)
		if (gw_kind_travels((enum gw_kind)k))
			b->names[k] = gw_map_open(16);
	*out = b;
	return GW_OK;
}

/* Everything but the arena, which a snapshot may have taken over. */
static void release(struct gw_builder *b)
{
	free(b->providers.v);
	free(b->groups.v);
	free(b->issuers.v);
	free(b->consumers.v);
	free(b->routes.v);
	free(b->globals.v);
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
	gw_arena_close(&b->spec.arena);
	release(b);
}

void gw_builder_set_unseal(struct gw_builder *b, const struct gw_unseal *unseal)
{
	b->spec.unseal = unseal;
}

void gw_builder_set_pepper(struct gw_builder *b, struct gw_str pepper)
{
	b->pepper = gw_secret_copy(b->spec.arena, pepper);
}

void gw_builder_count_unknown(struct gw_builder *b)
{
	b->spec.unknown++;
}

bool gw_builder_has_keys(const struct gw_builder *b)
{
	return b->n_keys > 0;
}

static enum gw_rc add_global(struct gw_builder *b, struct gw_str name, const json_t *spec,
    struct gw_error *err)
{
	static const char *const names[] = { "config", "description", "labels", "enabled", NULL };
	struct gw_binding binding;
	/* The admin API shows {"config":{…}}; the settings alone are understood as well. */
	json_t *config = json_object_get(spec, "config");
	enum gw_rc rc = GW_OK;
	if (json_is_object(config)) {
		bool enabled;
		rc = gw_spec_members(&b->spec, spec, names, err);
		if (rc == GW_OK)
			rc = gw_spec_common(&b->spec, spec, &enabled, err);
		if (rc == GW_OK) {
			rc = gw_spec_binding(&b->spec, name, config, &binding, err);
			if (rc != GW_OK)
				gw_error_prefix(err, "/config");
			binding.enabled = binding.enabled && enabled;
		}
	} else {
		rc = gw_spec_binding(&b->spec, name, spec, &binding, err);
	}
	if (rc == GW_OK && binding.module)
		*(struct gw_binding *)push(&b->globals, sizeof binding) = binding;
	return rc;
}

/* A draft that could not be read is taken back, so that the builder stays whole. */
static enum gw_rc add_object(struct gw_builder *b, enum gw_kind k, struct gw_str name, const json_t *spec,
    struct gw_error *err)
{
	struct gw_dp_settings settings = { 0 };
	struct gw_provider *p;
	struct gw_group *g;
	struct gw_jwt_issuer *i;
	struct draft_consumer *c;
	struct gw_spec_route *r;
	enum gw_rc rc;
	switch (k) {
	case GW_KIND_SETTINGS:
		rc = gw_spec_settings(&b->spec, spec, &settings, err);
		if (rc == GW_OK)
			b->settings = settings;
		return rc;
	case GW_KIND_PROVIDER:
		p = push(&b->providers, sizeof *p);
		p->name = name;
		rc = gw_spec_provider(&b->spec, spec, p, err);
		b->providers.n -= rc != GW_OK;
		return rc;
	case GW_KIND_GROUP:
		g = push(&b->groups, sizeof *g);
		g->name = name;
		rc = gw_spec_group(&b->spec, spec, g, err);
		b->groups.n -= rc != GW_OK;
		return rc;
	case GW_KIND_JWT_ISSUER:
		i = push(&b->issuers, sizeof *i);
		i->name = name;
		rc = gw_spec_jwt_issuer(&b->spec, spec, i, err);
		b->issuers.n -= rc != GW_OK;
		return rc;
	case GW_KIND_CONSUMER:
		c = push(&b->consumers, sizeof *c);
		c->consumer.name = name;
		rc = gw_spec_consumer(&b->spec, spec, &c->consumer, &c->keys, &c->n_keys, err);
		b->consumers.n -= rc != GW_OK;
		b->n_keys += rc == GW_OK ? c->n_keys : 0;
		return rc;
	case GW_KIND_ROUTE:
		r = push(&b->routes, sizeof *r);
		r->route.name = name;
		rc = gw_spec_route(&b->spec, spec, r, err);
		b->routes.n -= rc != GW_OK;
		return rc;
	case GW_KIND_GLOBAL_PLUGIN:
		return add_global(b, name, spec, err);
	default:
		return gw_fail(err, GW_INVALID, NULL, "objects of the kind `%s` are not part of a snapshot",
		    gw_kind_path(k));
	}
}

enum gw_rc gw_builder_add(struct gw_builder *b, enum gw_kind k, struct gw_str name, const json_t *spec,
    struct gw_error *err)
{
	GW_CHECK(b, BUILDER_MAGIC);
	if (!gw_name_valid(name))
		return gw_fail(err, GW_INVALID, "/name",
		    "`name` must consist of 1 to 63 lower-case letters, digits, and `.` or `-` inside");
	if (b->names[k]) {
		name = gw_arena_copy(b->spec.arena, name);
		if (gw_map_put(b->names[k], name, b))
			return gw_fail(err, GW_EXISTS, "/name", "`%.*s` stands there twice", GW_FMT(name));
	}
	enum gw_rc rc = add_object(b, k, name, spec, err);
	if (rc != GW_OK && b->names[k])
		gw_map_del(b->names[k], name);
	return rc;
}

/* ---- sealing ---- */

/* Every view begins with its name, so that one comparison sorts them all. */
static int by_name(const void *a, const void *b)
{
	return gw_str_cmp(*(const struct gw_str *)a, *(const struct gw_str *)b);
}

static_assert(offsetof(struct gw_provider, name) == 0, "sorted by the first member");
static_assert(offsetof(struct gw_jwt_issuer, name) == 0, "sorted by the first member");
static_assert(offsetof(struct gw_group, name) == 0, "sorted by the first member");
static_assert(offsetof(struct gw_consumer, name) == 0, "sorted by the first member");
static_assert(offsetof(struct draft_consumer, consumer) == 0, "sorted by the first member");

static void seal_providers(struct gw_builder *b, struct gw_snapshot *s)
{
	size_t n = b->providers.n;
	s->providers = gw_arena_array(s->arena, n, sizeof *s->providers);
	s->n_providers = n;
	if (n) {
		memcpy(s->providers, b->providers.v, n * sizeof *s->providers);
		qsort(s->providers, n, sizeof *s->providers, by_name);
	}
	for (size_t i = 0; i < n; i++)
		gw_map_put(s->provider_by_name, s->providers[i].name, &s->providers[i]);
}

static void seal_groups(struct gw_builder *b, struct gw_snapshot *s)
{
	size_t n = b->groups.n;
	s->groups = gw_arena_array(s->arena, n, sizeof *s->groups);
	s->n_groups = n;
	if (n) {
		memcpy(s->groups, b->groups.v, n * sizeof *s->groups);
		qsort(s->groups, n, sizeof *s->groups, by_name);
	}
	for (size_t i = 0; i < n; i++)
		gw_map_put(s->group_by_name, s->groups[i].name, &s->groups[i]);
}

static enum gw_rc seal_consumers(struct gw_builder *b, struct gw_snapshot *s, struct gw_error *err)
{
	struct draft_consumer *drafts = b->consumers.v;
	size_t n = b->consumers.n;
	s->consumers = gw_arena_array(s->arena, n, sizeof *s->consumers);
	s->n_consumers = n;
	if (n)
		qsort(drafts, n, sizeof *drafts, by_name);
	for (size_t i = 0; i < n; i++) {
		struct gw_consumer *c = &s->consumers[i];
		*c = drafts[i].consumer;
		gw_consumer_inherit(s, c, s->arena);
		gw_map_put(s->consumer_by_name, c->name, c);
		for (size_t k = 0; k < drafts[i].n_keys; k++) {
			struct gw_consumer_key *key = &drafts[i].keys[k];
			struct gw_str hash = { (const char *)key->hash, sizeof key->hash };
			key->consumer = c;
			const struct gw_consumer_key *other = gw_map_put(s->keys, hash, key);
			if (other) {
				char path[128];
				snprintf(path, sizeof path, "/consumers/%.*s/keys/%zu/hash",
				    GW_FMT(c->name), k);
				return gw_fail(err, GW_INVALID, path,
				    "this credential and one of the consumer `%.*s` are the same",
				    GW_FMT(other->consumer->name));
			}
		}
	}
	return GW_OK;
}

/* Tokens name their issuer, so no two may answer to one name; the consumer for everybody else must be there. */
static enum gw_rc seal_issuers(struct gw_builder *b, struct gw_snapshot *s, struct gw_error *err)
{
	size_t n = b->issuers.n;
	s->issuers = gw_arena_array(s->arena, n, sizeof *s->issuers);
	s->n_issuers = n;
	if (n) {
		memcpy(s->issuers, b->issuers.v, n * sizeof *s->issuers);
		qsort(s->issuers, n, sizeof *s->issuers, by_name);
	}
	for (size_t i = 0; i < n; i++) {
		struct gw_jwt_issuer *one = &s->issuers[i];
		char path[160];
		if (one->default_consumer.p && !gw_map_get(s->consumer_by_name, one->default_consumer)) {
			snprintf(path, sizeof path, "/jwt-issuers/%.*s/default_consumer", GW_FMT(one->name));
			return gw_fail(err, GW_INVALID, path, "there is no consumer `%.*s`",
			    GW_FMT(one->default_consumer));
		}
		if (one->enabled && gw_map_get(s->issuer_by_iss, one->issuer)) {
			snprintf(path, sizeof path, "/jwt-issuers/%.*s/issuer", GW_FMT(one->name));
			return gw_fail(err, GW_INVALID, path, "another enabled JWT issuer has this `issuer`");
		}
		if (one->enabled)
			gw_map_put(s->issuer_by_iss, one->issuer, one);
	}
	return GW_OK;
}

static enum gw_rc resolve(struct gw_snapshot *s, struct gw_str route, const char *where,
    struct gw_target *targets, const struct gw_str *names, size_t n, struct gw_error *err)
{
	for (size_t i = 0; i < n; i++) {
		targets[i].provider = gw_map_get(s->provider_by_name, names[i]);
		if (targets[i].provider)
			continue;
		char path[160];
		snprintf(path, sizeof path, "/routes/%.*s%s/targets/%zu/provider", GW_FMT(route), where, i);
		return gw_fail(err, GW_INVALID, path, "there is no provider `%.*s`", GW_FMT(names[i]));
	}
	return GW_OK;
}

static enum gw_rc check_callers(struct gw_snapshot *s, struct gw_route *r, struct gw_error *err)
{
	for (size_t i = 0; i < r->auth.consumers.n; i++) {
		struct gw_str name = r->auth.consumers.v[i];
		if (gw_map_get(s->consumer_by_name, name))
			continue;
		char path[160];
		snprintf(path, sizeof path, "/routes/%.*s/auth/consumers/%zu", GW_FMT(r->name), i);
		return gw_fail(err, GW_INVALID, path, "there is no consumer `%.*s`", GW_FMT(name));
	}
	/* In the order that gw_route_allows() searches; the texts were arena and ours until now. */
	if (r->auth.consumers.n)
		qsort((void *)r->auth.consumers.v, r->auth.consumers.n, sizeof(struct gw_str), by_name);
	return GW_OK;
}

static enum gw_rc seal_routes(struct gw_builder *b, struct gw_snapshot *s, struct gw_error *err)
{
	struct gw_spec_route *drafts = b->routes.v;
	size_t n = b->routes.n;
	s->routes = gw_arena_array(s->arena, n, sizeof *s->routes);
	s->n_routes = n;
	for (size_t i = 0; i < n; i++) {
		struct gw_spec_route *d = &drafts[i];
		struct gw_route *r = &s->routes[i];
		*r = d->route;
		enum gw_rc rc = resolve(s, r->name, "", d->targets, d->target_names, r->n_targets, err);
		if (rc == GW_OK)
			rc = resolve(s, r->name, "/fallback", d->fallback, d->fallback_names,
			    r->fallback.n_targets, err);
		if (rc == GW_OK)
			rc = check_callers(s, r, err);
		if (rc != GW_OK)
			return rc;
	}
	s->index = gw_match_index_open(s->routes, n);
	return GW_OK;
}

static void seal_globals(struct gw_builder *b, struct gw_snapshot *s)
{
	size_t n = b->globals.n;
	s->globals = gw_arena_array(s->arena, n, sizeof *s->globals);
	s->n_globals = n;
	if (n) {
		memcpy(s->globals, b->globals.v, n * sizeof *s->globals);
		qsort(s->globals, n, sizeof *s->globals, gw_binding_cmp);
	}
}

enum gw_rc gw_builder_seal(struct gw_builder **bp, struct gw_snapshot **out, struct gw_error *err)
{
	struct gw_builder *b = *bp;
	*bp = NULL;
	*out = NULL;
	GW_CHECK(b, BUILDER_MAGIC);
	struct gw_snapshot *s = gw_alloc(sizeof *s);
	s->magic = GW_SNAPSHOT_MAGIC;
	atomic_init(&s->refs, 1);
	s->arena = b->spec.arena;
	s->revision = b->revision;
	s->epoch = b->epoch;
	s->pepper = b->pepper;
	s->unknown = b->spec.unknown;
	s->settings = b->settings;
	s->provider_by_name = gw_map_open(b->providers.n);
	s->group_by_name = gw_map_open(b->groups.n);
	s->issuer_by_iss = gw_map_open(b->issuers.n);
	s->consumer_by_name = gw_map_open(b->consumers.n);
	s->keys = gw_map_open(b->n_keys);
	seal_providers(b, s);
	seal_globals(b, s);
	seal_groups(b, s);
	enum gw_rc rc = seal_consumers(b, s, err);
	if (rc == GW_OK)
		rc = seal_issuers(b, s, err);
	if (rc == GW_OK)
		rc = seal_routes(b, s, err);
	release(b);
	if (rc == GW_OK)
		*out = s;
	else
		gw_snapshot_unref(&s);
	return rc;
}
