/*
 * snapshot_warn.c - what is legal but surely not meant.
 */
#include "base/map.h"
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
	char message[700];
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

static struct gw_str path_of(struct gw_arena *a, enum gw_kind k, struct gw_str name, const char *below)
{
	return gw_arena_printf(a, "/%s/%.*s%s", gw_kind_path(k), GW_FMT(name), below);
}

static bool warn_shadow(struct report *out, const struct gw_route *r, const struct gw_route *other, struct gw_arena *a)
{
	if (other)
		warn(out, "shadowed_route", path_of(a, GW_KIND_ROUTE, r->name, ""),
		    "no request ever reaches it: the route `%.*s` has the same predicates and comes "
		    "first by name", GW_FMT(other->name));
	return other != NULL;
}

static void warn_taken(struct report *out, const struct gw_snapshot *s, const struct gw_route *r, struct gw_arena *a);

/* Equal predicates tie on everything but the name, so by name is the order that decides. */
static void warn_shadows(struct report *out, const struct gw_snapshot *s, struct gw_arena *a)
{
	size_t n;
	struct gw_entry **v = gw_snapshot_sorted(s, GW_KIND_ROUTE, a, &n);
	struct gw_map *ways = gw_map_open(n);
	for (size_t i = 0; i < n; i++) {
		const struct gw_route *r = v[i]->view;
		if (!warn_shadow(out, r, r->enabled ? visit(ways, a, r) : NULL, a))
			warn_taken(out, s, r, a);
	}
	gw_map_close(&ways);
}

/* Could they have a way in common?  Cheap, and true too often rather than too seldom. */
static bool alike(const struct gw_route *x, const struct gw_route *y)
{
	return x->path_prefix.n == y->path_prefix.n && x->ignore_case == y->ignore_case &&
	    x->n_headers == y->n_headers && x->n_query == y->n_query && !x->n_models == !y->n_models &&
	    !x->hosts.n == !y->hosts.n && gw_str_ieq(x->path_prefix, y->path_prefix);
}

struct rivals { const struct gw_route **v; size_t n, room; const struct gw_route *of; };

static void add_rival(void *arg, const struct gw_route *r)
{
	struct rivals *l = arg;
	if (gw_str_cmp(r->name, l->of->name) >= 0 || !alike(r, l->of))
		return;
	for (size_t i = 0; i < l->n; i++)
		if (l->v[i] == r)
			return;
	if (l->n == l->room) {
		l->room = l->room ? l->room * 2 : 8;
		l->v = gw_realloc(l->v, l->room * sizeof *l->v);
	}
	l->v[l->n++] = r;
}

static int rival_cmp(const void *a, const void *b)
{
	const struct gw_route *const *x = a, *const *y = b;
	return gw_str_cmp((*x)->name, (*y)->name);
}

/* The same for one route: only those that the index holds beside it can shadow it. */
static void warn_shadow_of(struct report *out, const struct gw_snapshot *s, const struct gw_route *r, struct gw_arena *a)
{
	struct rivals l = { .of = r };
	gw_match_beside(s, r, add_rival, &l);
	if (l.n)
		qsort(l.v, l.n, sizeof *l.v, rival_cmp);
	struct gw_map *ways = gw_map_open(l.n);
	for (size_t i = 0; i < l.n; i++)
		visit(ways, a, l.v[i]);
	if (!warn_shadow(out, r, visit(ways, a, r), a))
		warn_taken(out, s, r, a);
	gw_map_close(&ways);
	free(l.v);
}

/* ---- models that two routes name ---- */

#define TAKEN_MODELS_MAX 256     /* models of a route that are looked at */
#define TAKEN_RIVALS_MAX 8       /* routes that are named, for each of the two ways */
#define TAKEN_LOOKED_AT  64      /* routes that may have lost something */

/* Text that such a predicate lets through; false: a regex, for which nobody can make one up. */
static bool samples_of(struct gw_arena *a, struct gw_pair **out, const struct gw_matcher *v, size_t n)
{
	*out = gw_arena_array(a, n + 1, sizeof **out);
	for (size_t i = 0; i < n; i++) {
		if (v[i].type == GW_MATCH_REGEX)
			return false;
		(*out)[i] = (struct gw_pair){ v[i].name, v[i].value };
	}
	return true;
}

static void add_escaped(struct gw_buf *b, struct gw_str s)
{
	for (size_t i = 0; i < s.n; i++)
		gw_buf_printf(b, "%%%02X", (unsigned char)s.p[i]);
}

/*
 * The plainest request that a route is made for: its first host, a chat below its path, its headers and query.  false: a
 * regex stands in the way.
 */
static bool sample_of(struct gw_arena *a, const struct gw_route *r, struct gw_match_input *in)
{
	struct gw_pair *headers, *query;
	struct gw_str host = r->hosts.n ? r->hosts.v[0] : GW_STR("localhost"), path = r->path_prefix;
	struct gw_buf b;
	if (!samples_of(a, &headers, r->headers, r->n_headers) || !samples_of(a, &query, r->query, r->n_query))
		return false;
	gw_buf_init(&b, 1u << 20);
	for (size_t i = 0; i < r->n_query; i++) {
		gw_buf_add_c(&b, i ? "&" : "");
		add_escaped(&b, query[i].name);
		gw_buf_add_byte(&b, '=');
		add_escaped(&b, query[i].value);
	}
	while (path.n && path.p[path.n - 1] == '/')
		path.n--;
	size_t at;
	bool complete = gw_str_find(path, GW_STR("/v1"), &at); /* a prefix may reach into the API's own path */
	*in = (struct gw_match_input){
		.host = host.n && host.p[0] == '*' ? gw_arena_printf(a, "x%.*s", (int)host.n - 1, host.p + 1) : host,
		.path = complete ? path : gw_arena_printf(a, "%.*s/v1/chat/completions", GW_FMT(path)),
		.headers = headers, .n_headers = r->n_headers, .query = gw_arena_copy(a, gw_buf_str(&b)),
	};
	gw_buf_fini(&b);
	return true;
}

struct taken { const struct gw_route *rival; struct gw_str model; size_t n; };

static void note_taken(struct taken v[TAKEN_RIVALS_MAX], const struct gw_route *rival, struct gw_str model)
{
	for (size_t i = 0; i < TAKEN_RIVALS_MAX; i++) {
		if (v[i].rival && v[i].rival != rival)
			continue;
		if (!v[i].rival)
			v[i] = (struct taken){ rival, model, 0 };
		v[i].n++;
		return;
	}
}

struct beside {
	const struct gw_snapshot *s;
	const struct gw_route *of;
	struct gw_arena *a;
	size_t budget;                  /* rivals that may still be looked at */
	struct taken *won;
};

static bool names(const struct gw_route *r, struct gw_str model)
{
	for (size_t i = 0; i < r->n_models; i++)
		if (r->models[i].type == GW_MATCH_EXACT && gw_str_eq(r->models[i].value, model))
			return true;
	return false;
}

/* Does `of` take what the other was made for? */
static void look_beside(void *arg, const struct gw_route *other)
{
	struct beside *l = arg;
	struct gw_match_input in;
	if (l->budget == 0 || !other->enabled)
		return;
	l->budget--;
	if (!sample_of(l->a, other, &in))
		return;
	for (size_t m = 0; m < l->of->n_models && m < TAKEN_MODELS_MAX; m++) {
		in.model = l->of->models[m].value;
		if (l->of->models[m].type == GW_MATCH_EXACT && names(other, in.model) && gw_match(l->s, &in) == l->of)
			note_taken(l->won, other, in.model);
	}
}

static void tell_taken(struct report *out, const struct gw_route *r, const struct taken *t, bool lost, struct gw_arena *a)
{
	struct gw_str more = t->n > 1 ? gw_arena_printf(a, " (and %zu more)", t->n - 1) : GW_STR("");
	warn(out, lost ? "model_taken" : "takes_model", path_of(a, GW_KIND_ROUTE, r->name, "/match/models"),
	    "requests for the model `%.*s`%.*s that both fit go to the route `%.*s` and not to `%.*s`: the most specific route "
	    "wins, among equals the first by name", GW_FMT(t->model), GW_FMT(more), GW_FMT(lost ? t->rival->name : r->name),
	    GW_FMT(lost ? r->name : t->rival->name));
}

/*
 * An exact model of this route that another one takes, by the rule that workers use: a request made up for the route is
 * matched.  Routes for different hosts, paths or headers take nothing from each other and are not named.
 */
static void warn_taken(struct report *out, const struct gw_snapshot *s, const struct gw_route *r, struct gw_arena *a)
{
	struct taken lost[TAKEN_RIVALS_MAX] = { { 0 } };
	struct gw_match_input in;
	if (!r->enabled || !sample_of(a, r, &in))
		return;
	for (size_t m = 0; m < r->n_models && m < TAKEN_MODELS_MAX; m++) {
		in.model = r->models[m].value;
		const struct gw_route *winner = r->models[m].type == GW_MATCH_EXACT ? gw_match(s, &in) : NULL;
		if (winner && winner != r)
			note_taken(lost, winner, in.model);
	}
	for (size_t i = 0; i < TAKEN_RIVALS_MAX && lost[i].rival; i++)
		tell_taken(out, r, &lost[i], true, a);
}

/* The other way round, for whoever changes one route: in a list of all of them it stands with the loser. */
static void warn_takes(struct report *out, const struct gw_snapshot *s, const struct gw_route *r, struct gw_arena *a)
{
	struct taken won[TAKEN_RIVALS_MAX] = { { 0 } };
	struct beside l = { s, r, a, TAKEN_LOOKED_AT, won };
	gw_match_beside(s, r, look_beside, &l);
	for (size_t i = 0; i < TAKEN_RIVALS_MAX && won[i].rival; i++)
		tell_taken(out, r, &won[i], false, a);
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

static void warn_shut_out(struct report *out, const struct gw_consumer *c, struct gw_arena *a)
{
	warn(out, "unused_consumer", path_of(a, GW_KIND_CONSUMER, c->name, ""), "no enabled route lets this consumer in");
}

static void warn_consumers(struct report *out, const struct gw_snapshot *s, struct gw_arena *a)
{
	struct gw_trie_at at = { 0 };
	const struct gw_route *r;
	size_t n;
	/* One open route is open to all, so the long way is gone only where every route has a list. */
	if (s->n_unlisted > 0 || s->kinds[GW_KIND_ROUTE].count == 0)
		return;
	struct gw_map *named = gw_map_open(64), *groups = gw_map_open(64);
	while ((r = gw_snapshot_next_route(s, &at))) {
		for (size_t k = 0; k < r->auth.consumers.n && r->enabled; k++)
			gw_map_put(named, r->auth.consumers.v[k], (void *)r);
		for (size_t k = 0; k < r->auth.groups.n && r->enabled; k++)
			gw_map_put(groups, r->auth.groups.v[k], (void *)r);
	}
	struct gw_entry **v = gw_snapshot_sorted(s, GW_KIND_CONSUMER, a, &n);
	for (size_t i = 0; i < n; i++) {
		const struct gw_consumer *c = v[i]->view;
		bool allowed = gw_map_get(named, c->name) != NULL;
		for (size_t k = 0; k < c->groups.n && !allowed; k++)
			allowed = gw_map_get(groups, c->groups.v[k]) != NULL;
		if (!allowed && c->enabled)
			warn_shut_out(out, c, a);
	}
	gw_map_close(&named);
	gw_map_close(&groups);
}

/* One look at every route, and only where none lets everyone in. */
static void warn_consumer_of(struct report *out, const struct gw_snapshot *s, const struct gw_consumer *c, struct gw_arena *a)
{
	struct gw_trie_at at = { 0 };
	const struct gw_route *r;
	bool allowed = !c->enabled || s->n_unlisted > 0 || s->kinds[GW_KIND_ROUTE].count == 0;
	while (!allowed && (r = gw_snapshot_next_route(s, &at)))
		allowed = r->enabled && gw_route_allows(r, c);
	if (!allowed)
		warn_shut_out(out, c, a);
}

/* A word that is no object is fine for `auth.groups`, but as soon as there are objects it is more likely a slip. */
static void warn_groups_of_consumer(struct report *out, const struct gw_snapshot *s, const struct gw_consumer *c,
    struct gw_arena *a)
{
	for (size_t k = 0; k < c->groups.n && s->kinds[GW_KIND_GROUP].count; k++)
		if (!gw_snapshot_group(s, c->groups.v[k]))
			warn(out, "undefined_group",
			    gw_arena_printf(a, "/consumers/%.*s/groups/%zu", GW_FMT(c->name), k),
			    "there is no group `%.*s`, so the consumer inherits nothing from it",
			    GW_FMT(c->groups.v[k]));
}

static void warn_groups_of_route(struct report *out, const struct gw_snapshot *s, const struct gw_route *r,
    struct gw_arena *a)
{
	for (size_t k = 0; k < r->auth.groups.n && s->kinds[GW_KIND_GROUP].count; k++)
		if (!gw_snapshot_group(s, r->auth.groups.v[k]))
			warn(out, "undefined_group", path_of(a, GW_KIND_ROUTE, r->name, "/auth/groups"),
			    "there is no group `%.*s`; consumers that name it are let in all the same",
			    GW_FMT(r->auth.groups.v[k]));
}

/* ---- one object by itself ---- */

static void warn_provider(struct report *out, const struct gw_provider *p, struct gw_arena *a)
{
	if (!p->tls.verify)
		warn(out, "insecure_tls", path_of(a, GW_KIND_PROVIDER, p->name, "/tls/verify"),
		    "the provider's certificate is not verified: anyone in between can read the traffic");
}

static void warn_route(struct report *out, const struct gw_snapshot *s, const struct gw_route *r, struct gw_arena *a)
{
	if (!r->enabled)
		return;
	warn_targets(out, r, a);
	warn_fallback(out, r, a);
	if (!r->auth.required)
		warn(out, "no_auth", path_of(a, GW_KIND_ROUTE, r->name, "/auth/required"),
		    "anyone who reaches the gateway may call it, without a key");
	if (r->log.prompts != GW_CAPTURE_OFF && !s->settings.access_log_prompts)
		warn(out, "prompts_off", path_of(a, GW_KIND_ROUTE, r->name, "/log/prompts"),
		    "nothing is kept: the settings (data_plane.access_log.prompts) forbid it for all routes");
}

static void warn_no_model(struct report *out, const struct gw_consumer *c, struct gw_arena *a)
{
	if (c->models.n == 0 && c->enabled)
		warn(out, "unused_consumer", path_of(a, GW_KIND_CONSUMER, c->name, "/models"),
		    "the consumer may not use any model");
}

static void warn_issuer(struct report *out, const struct gw_jwt_issuer *i, struct gw_arena *a)
{
	if (i->enabled && i->audiences.n == 0)
		warn(out, "any_audience", path_of(a, GW_KIND_JWT_ISSUER, i->name, "/audiences"),
		    "tokens that were issued for any other application are accepted too");
}

/* A slip in a name is not refused, since prices may come before their provider; but it prices nothing. */
static void warn_price(struct report *out, const struct gw_snapshot *s, const struct gw_price *p, struct gw_arena *a)
{
	if (p->enabled && !p->seed && p->provider.n > 0 && !gw_snapshot_provider(s, p->provider))
		warn(out, "unused_price", path_of(a, GW_KIND_PRICE, p->name, "/provider"),
		    "there is no provider `%.*s`, so nothing is priced by this", GW_FMT(p->provider));
}

static void warn_quota(struct report *out, const struct gw_snapshot *s, const struct gw_quota *q, struct gw_arena *a)
{
	if (q->enabled && q->subject == GW_QUOTA_GROUP && s->kinds[GW_KIND_GROUP].count && !gw_snapshot_group(s, q->who))
		warn(out, "undefined_group", path_of(a, GW_KIND_QUOTA, q->name, "/group"),
		    "there is no group `%.*s`; only consumers that name it all the same are counted", GW_FMT(q->who));
}

json_t *gw_snapshot_warnings(const struct gw_snapshot *s)
{
	GW_CHECK(s, GW_SNAPSHOT_MAGIC);
	struct report out = { json_array() };
	struct gw_arena *a = gw_arena_open(8192);
	size_t n;
	struct gw_entry **v = gw_snapshot_sorted(s, GW_KIND_PROVIDER, a, &n);
	for (size_t i = 0; i < n; i++)
		warn_provider(&out, v[i]->view, a);
	warn_shadows(&out, s, a);
	v = gw_snapshot_sorted(s, GW_KIND_ROUTE, a, &n);
	for (size_t i = 0; i < n; i++)
		warn_route(&out, s, v[i]->view, a);
	warn_consumers(&out, s, a);
	for (size_t i = 0; i < n; i++)
		warn_groups_of_route(&out, s, v[i]->view, a);
	v = gw_snapshot_sorted(s, GW_KIND_JWT_ISSUER, a, &n);
	for (size_t i = 0; i < n; i++)
		warn_issuer(&out, v[i]->view, a);
	v = gw_snapshot_sorted(s, GW_KIND_CONSUMER, a, &n);
	for (size_t i = 0; i < n; i++) {
		warn_groups_of_consumer(&out, s, v[i]->view, a);
		warn_no_model(&out, v[i]->view, a);
	}
	v = gw_snapshot_sorted(s, GW_KIND_PRICE, a, &n);
	for (size_t i = 0; i < n; i++)
		warn_price(&out, s, v[i]->view, a);
	v = gw_snapshot_sorted(s, GW_KIND_QUOTA, a, &n);
	for (size_t i = 0; i < n; i++)
		warn_quota(&out, s, v[i]->view, a);
	gw_arena_close(&a);
	return out.list;
}

json_t *gw_snapshot_warnings_of(const struct gw_snapshot *s, enum gw_kind k, struct gw_str name)
{
	GW_CHECK(s, GW_SNAPSHOT_MAGIC);
	struct report out = { json_array() };
	struct gw_arena *a = gw_arena_open(0);
	const struct gw_entry *e = gw_entry_of(s, k, name);
	if (e && k == GW_KIND_PROVIDER) {
		warn_provider(&out, e->view, a);
	} else if (e && k == GW_KIND_ROUTE) {
		const struct gw_route *r = e->view;
		if (r->enabled) {
			warn_shadow_of(&out, s, r, a);
			warn_takes(&out, s, r, a);
		}
		warn_route(&out, s, r, a);
		warn_groups_of_route(&out, s, r, a);
	} else if (e && k == GW_KIND_JWT_ISSUER) {
		warn_issuer(&out, e->view, a);
	} else if (e && k == GW_KIND_PRICE) {
		warn_price(&out, s, e->view, a);
	} else if (e && k == GW_KIND_QUOTA) {
		warn_quota(&out, s, e->view, a);
	} else if (e && k == GW_KIND_CONSUMER) {
		warn_consumer_of(&out, s, e->view, a);
		warn_groups_of_consumer(&out, s, e->view, a);
		warn_no_model(&out, e->view, a);
	}
	gw_arena_close(&a);
	return out.list;
}
