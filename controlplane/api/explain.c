/* explain.c - which route would serve a request, and why the others would not. */
#include "api/internal.h"

#include <stdio.h>

#include "compile/model.h"
#include "match.h"

#define MAX_CONSIDERED 20

struct question {
	struct gw_match_input in;
	const struct gw_consumer *consumer;
	struct gw_str consumer_name;
	struct gw_str api;              /* "/chat/completions", what stands behind "/v1"; absent: no provider type says what it is */
};

static struct gw_str text_or(struct cp_ctx *x, const char *name, struct gw_str otherwise)
{
	struct gw_str s = gw_json_str(json_object_get(x->body, name));
	return s.p != NULL ? s : otherwise;
}

/* {"a":"1","b":"x y"} → a=1&b=x%20y */
static struct gw_str query_text(struct cp_ctx *x, const json_t *o)
{
	struct gw_buf b;
	const char *key;
	json_t *v;
	gw_buf_init(&b, 65536);
	json_object_foreach((json_t *)o, key, v) {
		if (b.n > 0)
			gw_buf_add_byte(&b, '&');
		struct gw_str parts[2] = { gw_str_c(key), gw_json_str(v) };
		for (size_t k = 0; k < 2; k++) {
			for (size_t i = 0; i < parts[k].n; i++) {
				unsigned char c = (unsigned char)parts[k].p[i];
				bool plain = (c >= '0' && c <= '9') || ((c | 32) >= 'a' && (c | 32) <= 'z') || strchr("-._~", c);
				if (plain && c != 0)
					gw_buf_add_byte(&b, (char)c);
				else
					gw_buf_printf(&b, "%%%02X", c);
			}
			if (k == 0)
				gw_buf_add_byte(&b, '=');
		}
	}
	struct gw_str out = gw_arena_copy(x->a, gw_buf_str(&b));
	gw_buf_fini(&b);
	return out;
}

/* ---- the API that is called, as workers read it from the path ---- */

static bool has_path(const struct gw_module *type, struct gw_str api)
{
	size_t i;
	const json_t *v;
	json_array_foreach(json_object_get(type->about, "paths"), i, v)
		if (gw_str_eq(gw_json_str(v), api))
			return true;
	return false;
}

/* A route's prefix may stand before "/v1" ("/team-a/v1/messages"). */
static struct gw_str api_of(const struct gw_catalog *c, struct gw_str path)
{
	const struct gw_module *type;
	size_t at;
	while (gw_str_find(path, GW_STR("/v1/"), &at)) {
		struct gw_str api = gw_str_from(path, at + 3);
		for (size_t i = 0; (type = gw_catalog_at(c, GW_CAT_PROVIDER_TYPES, i)) != NULL; i++)
			if (has_path(type, api))
				return api;
		path = gw_str_from(path, at + 1);
	}
	return GW_STR_NONE;
}

static void read_question(struct cp_ctx *x, struct question *q, const struct gw_snapshot *s)
{
	json_t *headers = json_object_get(x->body, "headers"), *v;
	const char *key;
	size_t n = 0;
	struct gw_pair *pairs = gw_arena_array(x->a, json_object_size(headers) + 1, sizeof *pairs);
	json_object_foreach(headers, key, v)
		pairs[n++] = (struct gw_pair){ gw_str_c(key), gw_json_str(v) };
	*q = (struct question){ .in = {
		.host = text_or(x, "host", GW_STR("localhost")), .path = text_or(x, "path", GW_STR("/v1/chat/completions")),
		.model = text_or(x, "model", GW_STR_NONE), .headers = pairs, .n_headers = n,
		.query = query_text(x, json_object_get(x->body, "query")) },
		.consumer_name = text_or(x, "consumer", GW_STR_NONE) };
	q->api = api_of(x->app->catalog, q->in.path);
	if (q->consumer_name.p != NULL)
		q->consumer = gw_snapshot_consumer(s, q->consumer_name);
}

static bool speaks(const struct question *q, const struct gw_provider *p)
{
	return q->api.p == NULL || has_path(p->module, q->api);
}

static bool some_target_speaks(const struct question *q, const struct gw_route *r)
{
	for (size_t i = 0; i < r->n_targets; i++)
		if (speaks(q, r->targets[i].provider))
			return true;
	for (size_t i = 0; r->fallback.enabled && i < r->fallback.n_targets; i++)
		if (speaks(q, r->fallback.targets[i].provider))
			return true;
	return false;
}

static bool has_usable_target(const struct question *q, const struct gw_route *r)
{
	for (size_t i = 0; i < r->n_targets; i++)
		if (r->targets[i].weight > 0 && r->targets[i].provider->enabled && speaks(q, r->targets[i].provider))
			return true;
	for (size_t i = 0; r->fallback.enabled && i < r->fallback.n_targets; i++)
		if (r->fallback.targets[i].provider->enabled && speaks(q, r->fallback.targets[i].provider))
			return true;
	return false;
}

/* The status a client would get, and one sentence why. */
static unsigned judge(struct cp_ctx *x, const struct question *q, const struct gw_route *r, struct gw_str *why)
{
	const struct gw_consumer *c = q->consumer;
	if (r == NULL) {
		*why = gw_arena_printf(x->a, "no enabled route matches the model \"%.*s\" here", GW_FMT(q->in.model));
		return 404;
	}
	if (r->auth.required && q->consumer_name.p == NULL) {
		*why = GW_STR("the route asks for a consumer key");
		return 401;
	}
	if (c != NULL && !c->enabled) {
		*why = gw_arena_printf(x->a, "consumer \"%.*s\" is disabled", GW_FMT(c->name));
		return 401;
	}
	if (!gw_route_allows(r, c)) {
		*why = gw_arena_printf(x->a, "route \"%.*s\" does not admit consumer \"%.*s\"", GW_FMT(r->name),
				       GW_FMT(q->consumer_name));
		return 403;
	}
	if (!gw_consumer_may_any(c, r, q->in.model)) {
		*why = gw_arena_printf(x->a, "consumer \"%.*s\" may not use the model \"%.*s\"", GW_FMT(c->name), GW_FMT(q->in.model));
		return 403;
	}
	if (!some_target_speaks(q, r)) {
		*why = gw_arena_printf(x->a, "the model \"%.*s\" is not served at /v1%.*s: no provider of route \"%.*s\" speaks that API, so the "
				       "client gets api_not_supported", GW_FMT(q->in.model), GW_FMT(q->api), GW_FMT(r->name));
		return 404;
	}
	if (!has_usable_target(q, r)) {
		*why = gw_arena_printf(x->a, "route \"%.*s\" has no target whose provider is enabled%s", GW_FMT(r->name),
				       q->api.p != NULL ? " and speaks this API" : "");
		return 502;
	}
	*why = gw_arena_printf(x->a, "route \"%.*s\" serves it", GW_FMT(r->name));
	return 200;
}

static json_t *target_json(const struct question *q, const struct gw_route *r, const struct gw_target *t, bool is_fallback)
{
	json_t *o = json_object();
	struct gw_str model = q->in.model;
	gw_json_set_str(o, "provider", t->provider->name);
	gw_json_set_str(o, "model", gw_target_model(t, model));
	json_object_set_new(o, "usable", json_boolean(t->provider->enabled && speaks(q, t->provider) && gw_consumer_may(q->consumer, r, t, is_fallback, model)));
	return o;
}

static void add_targets(json_t *out, const struct question *q, const struct gw_route *r)
{
	json_t *targets = json_array(), *fallback = json_array();
	int64_t sum = 0;
	for (size_t i = 0; r != NULL && i < r->n_targets; i++)
		sum += r->targets[i].weight;
	for (size_t i = 0; r != NULL && i < r->n_targets; i++) {
		json_t *t = target_json(q, r, &r->targets[i], false);
		json_object_set_new(t, "weight", json_integer(r->targets[i].weight));
		json_object_set_new(t, "share", json_real(sum > 0 ? (double)r->targets[i].weight / (double)sum : 0));
		json_array_append_new(targets, t);
	}
	for (size_t i = 0; r != NULL && r->fallback.enabled && i < r->fallback.n_targets; i++)
		json_array_append_new(fallback, target_json(q, r, &r->fallback.targets[i], true));
	json_object_set_new(out, "targets", targets);
	json_object_set_new(out, "fallback", fallback);
}

/* Routes come most specific first; those that match stand before those that do not. */
static json_t *considered(const struct gw_snapshot *s, const struct question *q, const struct gw_route *winner,
			  struct gw_arena *a)
{
	size_t n;
	const struct gw_route *const *routes = gw_snapshot_routes(s, a, &n);
	json_t *out = json_array();
	for (int pass = 0; pass < 2; pass++) {
		for (size_t i = 0; i < n && json_array_size(out) < MAX_CONSIDERED; i++) {
			char text[160] = "";
			bool fits = gw_match_one(s, routes[i], &q->in, text) == GW_MISS_NONE;
			if (fits != (pass == 0))
				continue;
			const char *why = !fits ? text : routes[i] == winner ? "wins: the most specific route that matches"
							 : "matches, but a more specific route wins";
			json_t *o = json_object();
			gw_json_set_str(o, "route", routes[i]->name);
			json_object_set_new(o, "matches", json_boolean(fits));
			gw_json_set_str(o, "reason", gw_str_c(why));
			json_array_append_new(out, o);
		}
	}
	return out;
}

void cp_api_explain_route(struct cp_ctx *x)
{
	struct gw_snapshot *s = NULL;
	struct gw_error err = { 0 };
	struct question q;
	struct gw_str why;
	enum gw_rc rc = cp_model_latest(x->app->model, &s, &err);
	if (rc != GW_OK) {
		cp_problem_error(x, &err);
		return;
	}
	read_question(x, &q, s);
	if (q.consumer_name.p != NULL && q.consumer == NULL) {
		cp_fault_add(x->faults, "/consumer", "unknown_reference", "consumer \"%.*s\" does not exist",
			     GW_FMT(q.consumer_name));
		cp_problem_faults(x);
	} else {
		const struct gw_route *r = gw_match(s, &q.in);
		unsigned status = judge(x, &q, r, &why);
		json_t *o = json_object();
		json_object_set_new(o, "route", cp_text_json(r != NULL ? r->name : GW_STR_NONE));
		json_object_set_new(o, "allowed", json_boolean(status == 200));
		json_object_set_new(o, "status", json_integer(status));
		gw_json_set_str(o, "reason", why);
		add_targets(o, &q, r);
		json_object_set_new(o, "considered", considered(s, &q, r, x->a));
		cp_answer(x, 200, o);
	}
	gw_snapshot_unref(&s);
}
