/* calls.c - provider_test, provider_models, limits, provider_health and its clearing, drain. */
#include "apply/calls.h"

#include <stdlib.h>

#include "apply/survey.h"
#include "base/log.h"
#include "base/str.h"
#include "base/time.h"

struct call {
	const struct dp_caller *caller;
	char *id;
	enum dp_probe_kind kind;
	struct gw_snapshot *snapshot;        /* keeps the provider */
	const struct gw_provider *provider;
	char *model;
};

static json_t *result_of(const char *id, json_t *result)
{
	json_t *m = gw_wire_new(GW_WIRE_RESULT);

	json_object_set_new(m, "id", json_string(id));
	json_object_set_new(m, "ok", json_true());
	json_object_set_new(m, "result", result);
	return m;
}

static json_t *error_of(const char *id, const char *code, struct gw_str text)
{
	json_t *m = gw_wire_new(GW_WIRE_RESULT), *e = json_object();

	json_object_set_new(m, "id", json_string(id));
	json_object_set_new(m, "ok", json_false());
	json_object_set_new(e, "code", json_string(code));
	gw_json_set_str(e, "text", text);
	json_object_set_new(m, "error", e);
	return m;
}

static void free_call(struct call *c)
{
	gw_snapshot_unref(&c->snapshot);
	free(c->id);
	free(c->model);
	free(c);
}

/* {"items":[{"id"}]} out of what vendors call a list: OpenAI's `data`, Ollama's `models`, a bare array. */
static json_t *models_of(struct gw_str body)
{
	json_t *doc = NULL, *list, *v, *out = json_object(), *items = json_array();
	struct gw_error err;
	size_t i;

	json_object_set_new(out, "items", items);
	if (gw_json_parse(&doc, body, 4u << 20, &err) != GW_OK)
		return out;
	list = json_is_array(doc) ? doc : json_object_get(doc, "data");
	if (!list)
		list = json_object_get(doc, "models");
	json_array_foreach(list, i, v) {
		struct gw_str id = json_is_string(v) ? gw_json_str(v) : gw_json_str(json_object_get(v, "id"));
		json_t *item;

		if (!id.p)
			id = gw_json_str(json_object_get(v, "name"));
		if (!id.p || json_array_size(items) >= 5000)
			continue;
		item = json_object();
		gw_json_set_str(item, "id", id);
		json_array_append_new(items, item);
	}
	json_decref(doc);
	return out;
}

static void probed(void *arg, const struct dp_probe_result *r)
{
	struct call *c = arg;
	json_t *m;

	if (c->kind == DP_PROBE_CHAT) {
		json_t *o = json_object();

		json_object_set_new(o, "ok", json_boolean(r->ok));
		json_object_set_new(o, "status", r->status ? json_integer(r->status) : json_null());
		json_object_set_new(o, "latency_ms", json_integer(r->latency_ms));
		gw_json_set_str(o, "model", r->model);
		gw_json_set_str(o, "detail", r->detail);
		m = result_of(c->id, o);
	} else if (r->ok) {
		m = result_of(c->id, models_of(r->body));
	} else {
		m = error_of(c->id, "vendor", r->detail);
	}
	c->caller->answer(c->caller->arg, m);
	free_call(c);
}

static void start_probe(struct dp_loop *l, void *arg)
{
	struct call *c = arg;

	dp_probe(dp_loop_get(l), c->provider, c->kind, gw_str_c(c->model), probed, c);
}

/* ---- health: the records are shared, connections and names are the loops' ---- */

/* What to forget first, by name; absent: nothing of that kind. */
struct forget { bool all; struct gw_str key, endpoint; };

static json_t *health_of(struct dp_fleet *fleet, const struct gw_provider *p, const struct forget *f)
{
	json_t *o = json_object(), *keys = json_array(), *ends = json_array();
	int64_t mono = gw_mono_ms(), wall = gw_now_ms();

	for (size_t i = 0; i < p->n_keys; i++) {
		struct dp_health *h = dp_health_ref(DP_HEALTH_KEY, p->name, p->keys[i].name, p->keys[i].value);

		if (f->all || (f->key.n && gw_str_eq(f->key, p->keys[i].name)))
			dp_health_clear(h, mono);

		json_array_append_new(keys, dp_health_json(h, mono, wall));
		dp_health_unref(&h);
	}
	for (size_t i = 0; i < p->n_endpoints; i++) {
		struct dp_health *h = dp_health_ref(DP_HEALTH_ENDPOINT, p->name, p->endpoints[i].url, GW_STR_NONE);

		if (f->all || (f->endpoint.n && gw_str_eq(f->endpoint, p->endpoints[i].url)))
			dp_health_clear(h, mono);

		json_array_append_new(ends, dp_health_json(h, mono, wall));
		dp_health_unref(&h);
	}
	dp_survey(fleet, p, ends);
	json_object_set_new(o, "keys", keys);
	json_object_set_new(o, "endpoints", ends);
	return o;
}

static void about_provider(const struct dp_caller *caller, const struct gw_wire *w, struct call *c)
{
	struct gw_str name = gw_json_str(json_object_get(w->args, "provider")), model = gw_json_str(json_object_get(w->args, "model"));

	c->snapshot = dp_fleet_snapshot(caller->fleet);
	c->provider = c->snapshot && name.p ? gw_snapshot_provider(c->snapshot, name) : NULL;
	c->model = gw_strdup_n(model.p ? model.p : "", model.n);
	if (!c->provider) {
		caller->answer(caller->arg, error_of(c->id, "not_found", GW_STR("this worker's configuration has no such provider")));
		free_call(c);
	} else if (gw_str_starts(w->op, GW_STR("provider_health"))) {
		struct forget f = { .all = false };

		if (gw_str_is(w->op, "provider_health_clear")) {
			f.key = gw_json_str(json_object_get(w->args, "key"));
			f.endpoint = gw_json_str(json_object_get(w->args, "endpoint"));
			while (f.endpoint.n && f.endpoint.p[f.endpoint.n - 1] == '/') /* as snapshots have it */
				f.endpoint.n--;
			f.all = !f.key.n && !f.endpoint.n;
			gw_log(GW_LOG_INFO, "provider", name, "an operator cleared its health", "key=%.*s endpoint=%.*s", GW_FMT(f.key), GW_FMT(f.endpoint));
		}
		caller->answer(caller->arg, result_of(c->id, health_of(caller->fleet, c->provider, &f)));
		free_call(c);
	} else {
		c->kind = gw_str_is(w->op, "provider_models") ? DP_PROBE_MODELS : DP_PROBE_CHAT;
		if (!dp_loop_post(dp_shard_loop(dp_fleet_shard(caller->fleet, 0)), start_probe, c))
			free_call(c); /* shutting down: nobody waits for it any more */
	}
}

/* ---- limits: the counters of or for one object, as this worker knows them ---- */

#define LIMITS_MAX 500

static void add_limit(void *arg, const struct dp_counter_view *v)
{
	static const char *const kinds[] = {
#define X(name, text, doc) [DP_CLAIM_##name] = text,
		DP_CLAIM_KINDS(X)
#undef X
	};
	json_t *items = arg, *o;
	struct gw_str plugin = v->key, rest = v->key;

	if (json_array_size(items) >= LIMITS_MAX)
		return;
	plugin = gw_str_cut(&rest, '/');
	o = json_object();
	gw_json_set_str(o, "key", v->key);
	gw_json_set_str(o, "plugin", plugin);
	gw_json_set_str(o, "scope", v->scope);
	gw_json_set_str(o, "who", v->who);
	gw_json_set_str(o, "owner_scope", v->owner_scope);
	gw_json_set_str(o, "owner", v->owner.n ? v->owner : GW_STR(""));
	gw_json_set_str(o, "label", v->label.n ? v->label : GW_STR(""));
	gw_json_set_str(o, "unit", gw_str_c(v->unit ? v->unit : ""));
	gw_json_set_str(o, "kind", gw_str_c(kinds[v->kind]));
	json_object_set_new(o, "window_ms", json_integer(v->kind == DP_CLAIM_SLIDING || v->kind == DP_CLAIM_BUCKET ? v->window_ms : 0));
	json_object_set_new(o, "limit", json_integer(v->limit));
	json_object_set_new(o, "used", json_integer(v->used < 0 ? 0 : v->used));
	json_object_set_new(o, "left", json_integer(v->left));
	json_object_set_new(o, "reset_ms", json_integer(v->reset_ms));
	json_object_set_new(o, "refusals", json_integer(v->refusals));
	gw_json_set_time(o, "refused_at", v->refused_at_ms);
	json_object_set_new(o, "shared", json_boolean(v->shared));
	json_object_set_new(o, "age_ms", json_integer(v->age_ms));
	json_object_set_new(o, "seen_us", json_integer(v->seen_us));
	json_array_append_new(items, o);
}

static json_t *limits_of(struct dp_fleet *f, const json_t *args)
{
	json_t *o = json_object(), *items = json_array();
	struct gw_str scope = gw_json_str(json_object_get(args, "scope")), name = gw_json_str(json_object_get(args, "name"));

	if (scope.n && name.n)
		dp_counters_visit(dp_fleet_counters(f), scope, name, add_limit, items);
	json_object_set_new(o, "items", items);
	return o;
}

void dp_call_run(const struct dp_caller *caller, const struct gw_wire *w)
{
	struct call *c = gw_alloc(sizeof *c);

	c->caller = caller;
	c->id = gw_strdup_n(w->id.p, w->id.n);
	if (gw_str_is(w->op, "provider_test") || gw_str_is(w->op, "provider_models") ||
	    gw_str_is(w->op, "provider_health") || gw_str_is(w->op, "provider_health_clear")) {
		about_provider(caller, w, c);
		return;
	}
	if (gw_str_is(w->op, "limits")) {
		caller->answer(caller->arg, result_of(c->id, limits_of(caller->fleet, w->args)));
	} else if (gw_str_is(w->op, "drain")) {
		caller->answer(caller->arg, result_of(c->id, json_object()));
		caller->drain(caller->drain_arg);
	} else {
		caller->answer(caller->arg, error_of(c->id, "unknown_op", GW_STR("this worker does not know that call")));
	}
	free_call(c);
}
