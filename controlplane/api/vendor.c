/* vendor.c - questions about providers that only a worker can answer. */
#include "api/internal.h"

#include <stdlib.h>

#include "base/log.h"
#include "compile/model.h"

#define TEST_MS   35000
#define MODELS_MS 20000
#define HEALTH_MS 2000
#define SERVED_MS 2000

static enum gw_rc load(struct cp_ctx *x, json_t **spec, struct gw_error *err)
{
	struct cp_txn *t = NULL;
	struct cp_record r;
	enum gw_rc rc = cp_txn_begin(&t, x->app->store, err);
	if (rc == GW_OK)
		rc = cp_get(t, GW_KIND_PROVIDER, x->param[0], x->a, &r, err);
	if (rc == GW_OK)
		*spec = cp_spec_parse(r.spec);
	cp_txn_end(&t);
	return rc;
}

static void no_worker(struct cp_ctx *x)
{
	cp_response_header(x->rq, x->rs, "Retry-After", GW_STR("2"));
	cp_problem(x, 503, "no-worker", NULL, "no worker is connected, and only a worker can do that: start one, then try again");
}

static void busy(struct cp_ctx *x, const struct gw_error *err)
{
	cp_response_header(x->rq, x->rs, "Retry-After", GW_STR("5"));
	cp_problem(x, 503, "unavailable", NULL, "%s", err->text);
}

/* Ask a worker that serves the newest revision, so that what was just saved is what is tried. */
static enum gw_rc ask(struct cp_ctx *x, const char *op, json_t *args, int64_t timeout_ms, json_t **out, struct gw_error *err)
{
	const struct cp_workers *w = x->app->workers;
	gw_json_set_str(args, "provider", x->param[0]);
	if (w == NULL) {
		json_decref(args);
		return gw_fail(err, GW_NOTFOUND, NULL, "no worker is connected");
	}
	enum gw_rc rc;
	if (cp_wait_begin(x)) {
		w->wait(w->self, cp_store_revision(x->app->store), SERVED_MS);
		rc = w->call(w->self, GW_STR_NONE, op, args, timeout_ms, out, err);
	} else {
		json_decref(args);
		rc = gw_fail(err, GW_INUSE, NULL, "too many such calls are running: try again in a few seconds");
	}
	cp_wait_end(x);
	return rc;
}

/* ---- the model of a test, when nobody names one ---- */

struct chosen { struct gw_str model; const char *from; };   /* arena */

static bool choose(struct cp_ctx *x, struct chosen *c, struct gw_str model, const char *from)
{
	if (model.n == 0)
		return false;
	*c = (struct chosen){ gw_arena_copy(x->a, model), from };
	return true;
}

/* What this route asks of the provider: by name, by its map, or what the client asks for. */
static struct gw_str model_of(const struct gw_route *r, const struct gw_target *t)
{
	if (t->model.n > 0)
		return t->model;
	if (t->n_model_map > 0)
		return t->model_map[0].value;
	for (size_t i = 0; i < r->n_models; i++)
		if (r->models[i].type == GW_MATCH_EXACT)
			return r->models[i].value;
	return GW_STR_NONE;
}

static bool choose_routed(struct cp_ctx *x, struct chosen *c)
{
	struct gw_snapshot *s = NULL;
	struct gw_trie_at at = { 0 };
	const struct gw_route *r;
	bool found = false;
	if (x->app->model == NULL || cp_model_latest(x->app->model, &s, NULL) != GW_OK)
		return false;
	while (!found && (r = gw_snapshot_next_route(s, &at)) != NULL) {
		for (size_t i = 0; r->enabled && i < r->n_targets && !found; i++)
			found = gw_str_eq(r->targets[i].provider->name, x->param[0]) && choose(x, c, model_of(r, &r->targets[i]), "route");
		for (size_t i = 0; r->enabled && i < r->fallback.n_targets && !found; i++)
			found = gw_str_eq(r->fallback.targets[i].provider->name, x->param[0]) &&
				choose(x, c, model_of(r, &r->fallback.targets[i]), "route");
	}
	gw_snapshot_unref(&s);
	return found;
}

static bool choose_known(struct cp_ctx *x, struct chosen *c, const json_t *spec)
{
	struct gw_str type = gw_json_str(json_object_get(spec, "type"));
	const struct gw_module *m = gw_catalog_find(x->app->catalog, GW_CAT_PROVIDER_TYPES, type);
	return choose(x, c, gw_json_str(json_object_get(x->body, "model")), "request") ||
	       choose(x, c, gw_json_str(json_array_get(json_object_get(spec, "models"), 0)), "provider") ||
	       choose_routed(x, c) ||
	       (m != NULL && choose(x, c, gw_json_str(json_array_get(json_object_get(m->about, "models"), 0)), "type"));
}

/* The last resort: what the vendor lists first.  false: answered. */
static bool choose_listed(struct cp_ctx *x, struct chosen *c)
{
	json_t *result = NULL;
	struct gw_error err = { 0 };
	enum gw_rc rc = ask(x, "provider_models", json_object(), MODELS_MS, &result, &err);
	bool found = rc == GW_OK && choose(x, c, gw_json_str(json_object_get(json_array_get(json_object_get(result, "items"), 0), "id")), "vendor");
	json_decref(result);
	if (found)
		return true;
	if (rc == GW_NOTFOUND) {
		no_worker(x);
	} else if (rc == GW_INUSE) {
		busy(x, &err);
	} else {
		cp_fault_add(x->faults, "/model", "required", "model must be given: neither the provider nor a route names one, and the vendor's list "
			     "has none%s%s", rc == GW_OK ? "" : ": ", rc == GW_OK ? "" : err.text);
		cp_problem_faults(x);
	}
	return false;
}

void cp_api_test_provider(struct cp_ctx *x)
{
	struct gw_error err = { 0 };
	struct chosen c = { 0 };
	json_t *spec = NULL, *result = NULL, *args;
	if (load(x, &spec, &err) != GW_OK) {
		cp_problem_error(x, &err);
		return;
	}
	bool known = choose_known(x, &c, spec);
	json_decref(spec);
	if (!known && !choose_listed(x, &c))
		return;
	args = json_object();
	gw_json_set_str(args, "model", c.model);
	enum gw_rc rc = ask(x, "provider_test", args, TEST_MS, &result, &err);
	if (rc == GW_OK && json_is_object(result)) {
		json_object_set_new(result, "model_from", json_string(c.from));
		cp_answer(x, 200, result);
	} else if (rc == GW_NOTFOUND) {
		no_worker(x);
	} else if (rc == GW_INUSE) {
		busy(x, &err);
	} else {
		json_t *o = json_object();
		json_decref(result);
		json_object_set_new(o, "ok", json_false());
		json_object_set_new(o, "status", json_null());
		json_object_set_new(o, "latency_ms", json_integer(rc == GW_BUSY ? TEST_MS : 0));
		gw_json_set_str(o, "model", c.model);
		json_object_set_new(o, "model_from", json_string(c.from));
		gw_json_set_str(o, "detail", rc == GW_OK ? GW_STR("the worker's answer made no sense") : gw_str_c(err.text));
		cp_answer(x, 200, o);
	}
}

void cp_api_list_vendor_models(struct cp_ctx *x)
{
	struct gw_error err = { 0 };
	json_t *spec = NULL, *result = NULL;
	if (load(x, &spec, &err) != GW_OK) {
		cp_problem_error(x, &err);
		return;
	}
	json_decref(spec);
	enum gw_rc rc = ask(x, "provider_models", json_object(), MODELS_MS, &result, &err);
	json_t *items = json_object_get(result, "items");
	if (rc == GW_OK && json_is_array(items))
		cp_answer(x, 200, cp_list_json(json_incref(items), NULL, (int64_t)json_array_size(items)));
	else if (rc == GW_NOTFOUND)
		no_worker(x);
	else if (rc == GW_INUSE)
		busy(x, &err);
	else
		cp_problem(x, 502, "vendor", NULL, "%s", rc == GW_OK ? "the vendor's list made no sense" : err.text);
	json_decref(result);
}

/* ---- health: every worker has its own view, the worst one counts ---- */

static int badness(const json_t *entry)
{
	static const char *const states[] = { "healthy", "unknown", "half_open", "cooling", "open", "bad" };
	struct gw_str s = gw_json_str(json_object_get(entry, "state"));
	for (size_t i = 0; i < GW_COUNT(states); i++)
		if (gw_str_is(s, states[i]))
			return (int)i;
	return -1;
}

/* Equal but for slashes at the end, which workers take off addresses. */
static bool same_name(const json_t *a, const json_t *b)
{
	struct gw_str x = gw_json_str(a), y = gw_json_str(b);
	while (x.n > 0 && x.p[x.n - 1] == '/')
		x.n--;
	while (y.n > 0 && y.p[y.n - 1] == '/')
		y.n--;
	return gw_str_eq(x, y);
}

static void take_state(json_t *ours, const json_t *theirs)
{
	static const char *const members[] = { "state", "cooldown_until", "last_error", "last_error_at" };
	for (size_t i = 0; i < GW_COUNT(members); i++)
		json_object_set(ours, members[i], json_object_get(theirs, members[i]));
}

/* One worker's answer on its way into ours. */
struct answer { const struct cp_node_live *worker; size_t *room; };

/* Merge one worker's list into ours, matched by `member`: in flight is added, the worse state wins. */
static void merge(json_t *into, const json_t *from, const char *member, const struct answer *of)
{
	size_t i, k;
	json_t *theirs, *ours;
	json_array_foreach((json_t *)from, i, theirs)
		json_array_foreach(into, k, ours) {
			if (!same_name(json_object_get(ours, member), json_object_get(theirs, member)))
				continue;
			json_int_t sum = json_integer_value(json_object_get(ours, "in_flight")) +
					 json_integer_value(json_object_get(theirs, "in_flight"));
			if (badness(theirs) > badness(ours) || gw_str_is(gw_json_str(json_object_get(ours, "state")), "unknown"))
				take_state(ours, theirs);
			json_object_set_new(ours, "in_flight", json_integer(sum));
			if (of)
				cp_endpoint_live_fold(ours, theirs, of->worker, of->room);
		}
}

static json_t *entry(const char *member, const json_t *value)
{
	json_t *o = json_object();
	json_object_set(o, member, (json_t *)value);
	json_object_set_new(o, "state", json_string("unknown"));
	json_object_set_new(o, "cooldown_until", json_null());
	json_object_set_new(o, "last_error", json_null());
	json_object_set_new(o, "last_error_at", json_null());
	json_object_set_new(o, "in_flight", json_integer(0));
	return o;
}

static json_t *endpoint(const json_t *url)
{
	json_t *o = entry("url", url);
	cp_endpoint_live_begin(o);
	return o;
}

/* What there is to report on, from the stored object: so a key that no worker used yet is shown as unknown. */
static json_t *blank(struct cp_ctx *x, const json_t *spec)
{
	json_t *o = json_object(), *keys = json_array(), *endpoints = json_array(), *v;
	size_t i;
	json_array_foreach(json_object_get(spec, "api_keys"), i, v)
		json_array_append_new(keys, entry("name", json_object_get(v, "name")));
	json_array_foreach(json_object_get(spec, "endpoints"), i, v)
		json_array_append_new(endpoints, endpoint(json_object_get(v, "url")));
	const json_t *base = json_object_get(spec, "base_url");
	if (json_array_size(endpoints) == 0 && !json_is_string(base)) {
		struct gw_str type = gw_json_str(json_object_get(spec, "type"));
		const struct gw_module *m = gw_catalog_find(x->app->catalog, GW_CAT_PROVIDER_TYPES, type);
		base = m != NULL ? json_object_get(m->about, "default_base_url") : NULL;
	}
	if (json_array_size(endpoints) == 0 && json_is_string(base))
		json_array_append_new(endpoints, endpoint(base));
	json_object_set_new(o, "keys", keys);
	json_object_set_new(o, "endpoints", endpoints);
	return o;
}

static int worse_first(const void *a, const void *b)
{
	return badness(*(json_t *const *)b) - badness(*(json_t *const *)a);
}

static void sort_worst(json_t *list)
{
	size_t n = json_array_size(list), i;
	json_t **v = gw_alloc((n + 1) * sizeof *v), *e;
	json_array_foreach(list, i, e)
		v[i] = json_incref(e);
	if (n > 1)
		qsort(v, n, sizeof *v, worse_first);
	json_array_clear(list);
	for (i = 0; i < n; i++)
		json_array_append_new(list, v[i]);
	free(v);
}

/* Run `op` on every connected worker and fold what they answer into `o`; how many did. */
static json_int_t gather(struct cp_ctx *x, const char *op, json_t *args, json_t *o)
{
	const struct cp_workers *w = x->app->workers;
	struct cp_node_live *live = NULL;
	struct gw_error err = { 0 };
	json_int_t reported = 0;
	size_t room = CP_ENDPOINT_LIVE_ROOM;
	size_t n = cp_wait_begin(x) && w != NULL ? w->list(w->self, x->a, &live) : 0;
	gw_json_set_str(args, "provider", x->param[0]);
	for (size_t i = 0; i < n; i++) {
		json_t *result = NULL;
		if (w->call(w->self, live[i].id, op, json_deep_copy(args), HEALTH_MS, &result, &err) != GW_OK)
			continue;
		reported++;
		merge(json_object_get(o, "keys"), json_object_get(result, "keys"), "name", NULL);
		merge(json_object_get(o, "endpoints"), json_object_get(result, "endpoints"), "url", &(struct answer){ &live[i], &room });
		json_decref(result);
	}
	cp_wait_end(x);
	json_decref(args);
	return reported;
}

static void answer_health(struct cp_ctx *x, json_t *o, json_int_t reported)
{
	sort_worst(json_object_get(o, "keys"));
	sort_worst(json_object_get(o, "endpoints"));
	json_object_set_new(o, "provider", cp_text_json(x->param[0]));
	json_object_set_new(o, "workers", json_integer(reported));
	cp_answer(x, 200, o);
}

void cp_api_get_provider_health(struct cp_ctx *x)
{
	struct gw_error err = { 0 };
	json_t *spec = NULL;
	if (load(x, &spec, &err) != GW_OK) {
		cp_problem_error(x, &err);
		return;
	}
	json_t *o = blank(x, spec);
	json_decref(spec);
	answer_health(x, o, gather(x, "provider_health", json_object(), o));
}

/* Is it one of ours?  NULL in the request means all of them. */
static bool names_one(struct cp_ctx *x, const json_t *list, const char *member, const char *path, const json_t *wanted)
{
	size_t i;
	json_t *v;
	if (!json_is_string(wanted))
		return true;
	json_array_foreach((json_t *)list, i, v)
		if (same_name(json_object_get(v, member), wanted))
			return true;
	cp_fault_add(x->faults, path, "unknown_reference", "this provider has no such %s", path + 1);
	return false;
}

void cp_api_clear_provider_health(struct cp_ctx *x)
{
	struct gw_error err = { 0 };
	json_t *spec = NULL, *key = json_object_get(x->body, "key"), *endpoint = json_object_get(x->body, "endpoint");
	if (load(x, &spec, &err) != GW_OK) {
		cp_problem_error(x, &err);
		return;
	}
	json_t *o = blank(x, spec);
	json_decref(spec);
	if (!names_one(x, json_object_get(o, "keys"), "name", "/key", key) ||
	    !names_one(x, json_object_get(o, "endpoints"), "url", "/endpoint", endpoint)) {
		json_decref(o);
		cp_problem_faults(x);
		return;
	}
	json_t *args = json_object();
	json_object_set(args, "key", json_is_string(key) ? key : json_null());
	json_object_set(args, "endpoint", json_is_string(endpoint) ? endpoint : json_null());
	json_int_t reported = gather(x, "provider_health_clear", args, o);
	if (reported == 0) {
		json_decref(o);
		no_worker(x);
		return;
	}
	answer_health(x, o, reported);
}
