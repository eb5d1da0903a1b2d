/*
 * snapshot_view.c - looking into a snapshot: what workers ask for every request.
 */
#include "base/bytes.h"
#include "base/str.h"
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
	gw_map_close(&s->provider_by_name);
	gw_map_close(&s->consumer_by_name);
	gw_map_close(&s->group_by_name);
	gw_map_close(&s->issuer_by_iss);
	gw_map_close(&s->keys);
	gw_arena_close(&s->arena);
	s->magic = 0;
	free(s);
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

const struct gw_route *gw_snapshot_routes(const struct gw_snapshot *s, size_t *n)
{
	GW_CHECK(s, GW_SNAPSHOT_MAGIC);
	*n = s->n_routes;
	return s->routes;
}

const struct gw_provider *gw_snapshot_providers(const struct gw_snapshot *s, size_t *n)
{
	GW_CHECK(s, GW_SNAPSHOT_MAGIC);
	*n = s->n_providers;
	return s->providers;
}

const struct gw_consumer *gw_snapshot_consumers(const struct gw_snapshot *s, size_t *n)
{
	GW_CHECK(s, GW_SNAPSHOT_MAGIC);
	*n = s->n_consumers;
	return s->consumers;
}

const struct gw_group *gw_snapshot_groups(const struct gw_snapshot *s, size_t *n)
{
	GW_CHECK(s, GW_SNAPSHOT_MAGIC);
	*n = s->n_groups;
	return s->groups;
}

const struct gw_group *gw_snapshot_group(const struct gw_snapshot *s, struct gw_str name)
{
	GW_CHECK(s, GW_SNAPSHOT_MAGIC);
	return gw_map_get(s->group_by_name, name);
}

const struct gw_provider *gw_snapshot_provider(const struct gw_snapshot *s, struct gw_str name)
{
	GW_CHECK(s, GW_SNAPSHOT_MAGIC);
	return gw_map_get(s->provider_by_name, name);
}

const struct gw_consumer *gw_snapshot_consumer(const struct gw_snapshot *s, struct gw_str name)
{
	GW_CHECK(s, GW_SNAPSHOT_MAGIC);
	return gw_map_get(s->consumer_by_name, name);
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
	const struct gw_consumer_key *key = gw_map_get(s->keys, want);
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

const struct gw_jwt_issuer *gw_snapshot_jwt_issuers(const struct gw_snapshot *s, size_t *n)
{
	GW_CHECK(s, GW_SNAPSHOT_MAGIC);
	*n = s->n_issuers;
	return s->issuers;
}

const struct gw_jwt_issuer *gw_snapshot_jwt_issuer(const struct gw_snapshot *s, struct gw_str iss)
{
	GW_CHECK(s, GW_SNAPSHOT_MAGIC);
	return gw_map_get(s->issuer_by_iss, iss);
}

static bool all_enabled(struct gw_bindings b)
{
	for (size_t i = 0; i < b.n; i++)
		if (!b.v[i].enabled)
			return false;
	return true;
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
		for (size_t i = 0; i < 3; i++)
			if (at[i] < lists[i].n && gw_binding_cmp(&lists[i].v[at[i]], next) == 0)
				at[i]++;
		if (next->enabled)
			out[n++] = *next;
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
