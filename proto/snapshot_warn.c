/*
 * snapshot_warn.c - what is legal but surely not meant.
 */
#include "base/str.h"
#include "snapshot_impl.h"

#include <stdio.h>
#include <stdlib.h>

/* A route of more predicates than this is not looked at for shadows. */
#define COMBINATIONS_MAX 4096

struct report {
	json_t *list;
};

static void warn(struct report *r, const char *code, struct gw_str path, const char *fmt, ...)
    GW_PRINTF(4, 5);
static void warn(struct report *r, const char *code, struct gw_str path, const char *fmt, ...)
{
	char message[320];
	va_list ap;
	va_start(ap, fmt);
	vsnprintf(message, sizeof message, fmt, ap);
	va_end(ap);
	json_t *w = json_object();
	gw_json_set_str(w, "path", path);
	json_object_set_new(w, "code", json_string(code));
	gw_json_set_str(w, "message", gw_str_c(message));
	json_array_append_new(r->list, w);
}

/* ---- shadowed routes ---- */

static struct gw_str lower(struct gw_arena *a, struct gw_str s)
{
	char *p = gw_arena_c(a, s);
	for (size_t i = 0; i < s.n; i++)
		if (p[i] >= 'A' && p[i] <= 'Z')
			p[i] |= 0x20;
	return (struct gw_str){ p, s.n };
}

static void add_matchers(struct gw_buf *b, const struct gw_matcher *v, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		gw_buf_printf(b, "%d%d", v[i].type, v[i].ignore_case);
		gw_buf_add_json(b, v[i].name);
		gw_buf_add_json(b, v[i].value);
	}
	gw_buf_add_byte(b, '|');
}

/* One text for one way in which a route can match; equal texts mean the same requests. */
static struct gw_str way(struct gw_arena *a, const struct gw_route *r, const struct gw_str *host,
    const struct gw_matcher *model)
{
	struct gw_buf b;
	gw_buf_init(&b, 1u << 20);
	if (host)
		gw_buf_add_json(&b, *host);
	gw_buf_add_byte(&b, '|');
	gw_buf_add_json(&b, r->ignore_case ? lower(a, r->path_prefix) : r->path_prefix);
	gw_buf_printf(&b, "%d|", r->ignore_case);
	if (model)
		add_matchers(&b, model, 1);
	add_matchers(&b, r->headers, r->n_headers);
	add_matchers(&b, r->query, r->n_query);
	struct gw_str s = gw_arena_copy(a, gw_buf_str(&b));
	gw_buf_fini(&b);
	return s;
}

/*
 * Visit every way of a route.  With `add` they are entered (the first route to enter one owns it, and routes come in
 * the order in which they win); the result is the owner when every way belongs to others, else NULL.
 */
static const struct gw_route *visit(struct gw_map *ways, struct gw_arena *a, const struct gw_route *r)
{
	size_t hosts = r->hosts.n ? r->hosts.n : 1, models = r->n_models ? r->n_models : 1;
	const struct gw_route *other = NULL;
	bool own = hosts * models > COMBINATIONS_MAX;
	for (size_t h = 0; h < hosts && !own; h++) {
		for (size_t m = 0; m < models; m++) {
			struct gw_str key = way(a, r, r->hosts.n ? &r->hosts.v[h] : NULL,
			    r->n_models ? &r->models[m] : NULL);
			const struct gw_route *owner = gw_map_get(ways, key);
			if (!owner) {
				gw_map_put(ways, key, (void *)r);
				own = true;
			} else if (owner == r) {
				own = true;
			} else if (!other) {
				other = owner;
			}
		}
	}
	return own ? NULL : other;
}

static int by_name(const void *a, const void *b)
{
	const struct gw_route *const *x = a, *const *y = b;
	return gw_str_cmp((*x)->name, (*y)->name);
}

static void warn_shadows(struct report *out, const struct gw_snapshot *s, struct gw_arena *a)
{
	/* Equal predicates tie on everything but the name, so by name is the order that decides. */
	const struct gw_route **v = gw_arena_array(a, s->n_routes, sizeof *v);
	for (size_t i = 0; i < s->n_routes; i++)
		v[i] = &s->routes[i];
	qsort(v, s->n_routes, sizeof *v, by_name);
	struct gw_map *ways = gw_map_open(s->n_routes);
	for (size_t i = 0; i < s->n_routes; i++) {
		const struct gw_route *r = v[i];
		const struct gw_route *other = r->enabled ? visit(ways, a, r) : NULL;
		if (other)
			warn(out, "shadowed_route", gw_arena_printf(a, "/routes/%.*s", GW_FMT(r->name)),
			    "no request ever reaches it: the route `%.*s` has the same predicates and comes "
			    "first by name", GW_FMT(other->name));
	}
	gw_map_close(&ways);
}

/* ---- targets ---- */

static bool wants_key(const struct gw_provider *p)
{
	return json_is_true(json_object_get(p->module->about, "api_key_required"));
}

static void warn_target(struct report *out, struct gw_str path, const struct gw_target *t)
{
	if (!t->provider->enabled)
		warn(out, "disabled_reference", path, "the provider `%.*s` is disabled",
		    GW_FMT(t->provider->name));
	else if (t->provider->n_keys == 0 && wants_key(t->provider))
		warn(out, "secret_missing", path, "the provider `%.*s` has no usable API key",
		    GW_FMT(t->provider->name));
}

static bool same_target(const struct gw_target *a, const struct gw_target *b)
{
	return a->provider == b->provider && gw_str_eq(a->model, b->model) && !a->n_model_map &&
	    !b->n_model_map;
}

static void warn_targets(struct report *out, const struct gw_route *r, struct gw_arena *a)
{
	int64_t sum = 0;
	for (size_t i = 0; i < r->n_targets; i++) {
		sum += r->targets[i].weight;
		warn_target(out, gw_arena_printf(a, "/routes/%.*s/targets/%zu", GW_FMT(r->name), i),
		    &r->targets[i]);
		for (size_t k = 0; k < i; k++)
			if (same_target(&r->targets[i], &r->targets[k]))
				warn(out, "duplicate_target",
				    gw_arena_printf(a, "/routes/%.*s/targets/%zu", GW_FMT(r->name), i),
				    "targets %zu and %zu are the same", k + 1, i + 1);
	}
	if (sum == 0)
		warn(out, "zero_weight", gw_arena_printf(a, "/routes/%.*s/targets", GW_FMT(r->name)),
		    "every target has weight 0, so none is ever chosen first");
	for (size_t i = 0; i < r->n_targets && sum > 0; i++)
		if (r->targets[i].weight == 0)
			warn(out, "zero_weight", gw_arena_printf(a, "/routes/%.*s/targets/%zu", GW_FMT(r->name), i),
			    "target %zu has weight 0, so it is never chosen first", i + 1);
}

static void warn_fallback(struct report *out, const struct gw_route *r, struct gw_arena *a)
{
	struct gw_str path = gw_arena_printf(a, "/routes/%.*s/fallback", GW_FMT(r->name));
	if (!r->fallback.enabled)
		return;
	if (r->fallback.n_targets == 0)
		warn(out, "unreachable_fallback", path, "the fallback is on but has no targets");
	else if (r->fallback.on.bits == 0 && r->fallback.on.n_codes == 0)
		warn(out, "unreachable_fallback", path, "the fallback is on but no failure leads to it");
	for (size_t i = 0; i < r->fallback.n_targets; i++) {
		const struct gw_target *t = &r->fallback.targets[i];
		struct gw_str at = gw_arena_printf(a, "%.*s/targets/%zu", GW_FMT(path), i);
		warn_target(out, at, t);
		bool twice = r->n_targets == 1 && same_target(t, &r->targets[0]);
		for (size_t k = 0; k < i; k++)
			twice = twice || same_target(t, &r->fallback.targets[k]);
		if (twice)
			warn(out, "duplicate_target", at, "this target was tried before, so it is never reached");
	}
}

/* ---- callers ---- */

static void warn_consumers(struct report *out, const struct gw_snapshot *s, struct gw_arena *a)
{
	/* One open route is open to all, so the long way is gone only where every route has a list. */
	for (size_t i = 0; i < s->n_routes; i++) {
		const struct gw_route *r = &s->routes[i];
		if (r->enabled && r->auth.consumers.n == 0 && r->auth.groups.n == 0)
			return;
	}
	struct gw_map *named = gw_map_open(64), *groups = gw_map_open(64);
	for (size_t i = 0; i < s->n_routes; i++) {
		const struct gw_route *r = &s->routes[i];
		for (size_t k = 0; k < r->auth.consumers.n && r->enabled; k++)
			gw_map_put(named, r->auth.consumers.v[k], (void *)r);
		for (size_t k = 0; k < r->auth.groups.n && r->enabled; k++)
			gw_map_put(groups, r->auth.groups.v[k], (void *)r);
	}
	for (size_t i = 0; i < s->n_consumers && s->n_routes; i++) {
		const struct gw_consumer *c = &s->consumers[i];
		bool allowed = gw_map_get(named, c->name) != NULL;
		for (size_t k = 0; k < c->groups.n && !allowed; k++)
			allowed = gw_map_get(groups, c->groups.v[k]) != NULL;
		if (!allowed && c->enabled)
			warn(out, "unused_consumer", gw_arena_printf(a, "/consumers/%.*s", GW_FMT(c->name)),
			    "no enabled route lets this consumer in");
	}
	gw_map_close(&named);
	gw_map_close(&groups);
}

/* A word that is no object is fine for `auth.groups`, but as soon as there are objects it is more likely a slip. */
static void warn_groups(struct report *out, const struct gw_snapshot *s, struct gw_arena *a)
{
	for (size_t i = 0; i < s->n_consumers && s->n_groups; i++) {
		const struct gw_consumer *c = &s->consumers[i];
		for (size_t k = 0; k < c->groups.n; k++)
			if (!gw_map_get(s->group_by_name, c->groups.v[k]))
				warn(out, "undefined_group",
				    gw_arena_printf(a, "/consumers/%.*s/groups/%zu", GW_FMT(c->name), k),
				    "there is no group `%.*s`, so the consumer inherits nothing from it",
				    GW_FMT(c->groups.v[k]));
	}
	for (size_t i = 0; i < s->n_routes && s->n_groups; i++) {
		const struct gw_route *r = &s->routes[i];
		for (size_t k = 0; k < r->auth.groups.n; k++)
			if (!gw_map_get(s->group_by_name, r->auth.groups.v[k]))
				warn(out, "undefined_group",
				    gw_arena_printf(a, "/routes/%.*s/auth/groups", GW_FMT(r->name)),
				    "there is no group `%.*s`; consumers that name it are let in all the same",
				    GW_FMT(r->auth.groups.v[k]));
	}
}

json_t *gw_snapshot_warnings(const struct gw_snapshot *s)
{
	GW_CHECK(s, GW_SNAPSHOT_MAGIC);
	struct report out = { json_array() };
	struct gw_arena *a = gw_arena_open(8192);
	for (size_t i = 0; i < s->n_providers; i++) {
		const struct gw_provider *p = &s->providers[i];
		if (!p->tls.verify)
			warn(&out, "insecure_tls", gw_arena_printf(a, "/providers/%.*s/tls/verify", GW_FMT(p->name)),
			    "the provider's certificate is not verified: anyone in between can read the traffic");
	}
	warn_shadows(&out, s, a);
	for (size_t i = 0; i < s->n_routes; i++) {
		const struct gw_route *r = &s->routes[i];
		if (!r->enabled)
			continue;
		warn_targets(&out, r, a);
		warn_fallback(&out, r, a);
		if (!r->auth.required)
			warn(&out, "no_auth", gw_arena_printf(a, "/routes/%.*s/auth/required", GW_FMT(r->name)),
			    "anyone who reaches the gateway may call it, without a key");
		if (r->log.prompts != GW_CAPTURE_OFF && !s->settings.access_log_prompts)
			warn(&out, "prompts_off", gw_arena_printf(a, "/routes/%.*s/log/prompts", GW_FMT(r->name)),
			    "nothing is kept: the settings (data_plane.access_log.prompts) forbid it for all routes");
	}
	warn_consumers(&out, s, a);
	warn_groups(&out, s, a);
	for (size_t i = 0; i < s->n_issuers; i++)
		if (s->issuers[i].enabled && s->issuers[i].audiences.n == 0)
			warn(&out, "any_audience", gw_arena_printf(a, "/jwt-issuers/%.*s/audiences", GW_FMT(s->issuers[i].name)),
			    "tokens that were issued for any other application are accepted too");
	for (size_t i = 0; i < s->n_consumers; i++)
		if (s->consumers[i].models.n == 0 && s->consumers[i].enabled)
			warn(&out, "unused_consumer",
			    gw_arena_printf(a, "/consumers/%.*s/models", GW_FMT(s->consumers[i].name)),
			    "the consumer may not use any model");
	gw_arena_close(&a);
	return out.list;
}
