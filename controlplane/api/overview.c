/* overview.c - the page that says whether everything works. */
#include "api/internal.h"

#include "api/usage_items.h"

#define HOUR_MS 3600000LL
#define FIVE_MIN_MS 300000LL
#define TOP 5

/* The first few items that have a name. */
static json_t *top(struct cp_txn *t, struct cp_usage_query *q, unsigned by, const char *member, struct gw_error *err)
{
	q->group_by = by;
	json_t *items = cp_usage_items(t, q, err), *out = json_array(), *o;
	size_t i;
	json_array_foreach(items, i, o)
		if ((by == CP_BY_consumer || json_string_length(json_object_get(o, member)) > 0) && json_array_size(out) < TOP)
			json_array_append(out, o);
	if (items == NULL) {
		json_decref(out);
		return NULL;
	}
	json_decref(items);
	return out;
}

struct series { int64_t from, step; json_t *buckets; };

static int64_t bucket_of(void *arg, int64_t at_ms)
{
	const struct series *g = arg;
	return at_ms / g->step * g->step;
}

static bool add_bucket(void *arg, const struct cp_usage_sum *s)
{
	struct series *g = arg;
	json_t *o = json_array_get(g->buckets, (size_t)((s->time_ms - g->from) / g->step));
	if (o != NULL) {
		const struct { const char *name; int64_t n; } v[] = {
			{ "requests", s->requests }, { "errors", s->errors }, { "tokens", s->prompt_tokens + s->completion_tokens },
		};
		for (size_t i = 0; i < GW_COUNT(v); i++) /* one row for each currency */
			json_object_set_new(o, v[i].name, json_integer(json_integer_value(json_object_get(o, v[i].name)) + v[i].n));
	}
	return true;
}

static json_t *empty_series(int64_t from, int64_t step, int n)
{
	json_t *buckets = json_array();
	for (int i = 0; i < n; i++) {
		json_t *b = json_object();
		json_object_set_new(b, "time", cp_time_json(from + i * step));
		json_object_set_new(b, "requests", json_integer(0));
		json_object_set_new(b, "errors", json_integer(0));
		json_object_set_new(b, "tokens", json_integer(0));
		json_array_append_new(buckets, b);
	}
	return buckets;
}

/* Totals, the busiest models and consumers, and a series without gaps of `n` buckets that ends now. */
static json_t *figures(struct cp_txn *t, int64_t step, int n, int64_t now, struct gw_error *err)
{
	int64_t from = now / step * step - (n - 1) * step;
	struct series s = { from, step, empty_series(from, step, n) };
	struct cp_usage_query q = { .step = (int)(step / 1000), .from_ms = from, .to_ms = now + 1, .bucket = bucket_of, .arg = &s };
	json_t *all = cp_usage_items(t, &q, err), *models = NULL, *consumers = NULL, *o = NULL;
	if (all != NULL)
		models = top(t, &q, CP_BY_model, "model", err);
	if (models != NULL)
		consumers = top(t, &q, CP_BY_consumer, "consumer", err);
	q.group_by = CP_BY_TIME;
	if (consumers != NULL && cp_usage_each(t, &q, add_bucket, &s, err) == GW_OK) {
		o = cp_usage_total(all);
		json_object_set(o, "top_models", models);
		json_object_set(o, "top_consumers", consumers);
		json_object_set(o, "series", s.buckets);
	}
	json_decref(all);
	json_decref(models);
	json_decref(consumers);
	json_decref(s.buckets);
	return o;
}

static bool count_enabled(void *arg, const struct cp_record *r)
{
	json_t *spec = cp_spec_parse(r->spec);
	*(int64_t *)arg += json_is_true(json_object_get(spec, "enabled"));
	json_decref(spec);
	return true;
}

static json_t *counts_json(struct cp_txn *t, struct gw_error *err)
{
	static const struct { enum gw_kind kind; const char *name; } kinds[] = {
		{ GW_KIND_PROVIDER, "providers" }, { GW_KIND_ROUTE, "routes" }, { GW_KIND_CONSUMER, "consumers" }, { GW_KIND_GROUP, "groups" },
	};
	json_t *o = json_object();
	int64_t n = 0;
	enum gw_rc rc = GW_OK;
	for (size_t i = 0; i < GW_COUNT(kinds) && rc == GW_OK; i++) {
		rc = cp_count(t, kinds[i].kind, &n, err);
		json_object_set_new(o, kinds[i].name, json_integer(n));
	}
	n = 0;
	if (rc == GW_OK)
		rc = cp_each(t, GW_KIND_CREDENTIAL, GW_STR_NONE, count_enabled, &n, err);
	json_object_set_new(o, "consumer_keys", json_integer(n));
	if (rc == GW_OK)
		return o;
	json_decref(o);
	return NULL;
}

struct tally { size_t total; };

static bool count_node(void *arg, const struct cp_node_row *r)
{
	(void)r;
	((struct tally *)arg)->total++;
	return true;
}

static void add_workers(struct cp_ctx *x, json_t *o, size_t known)
{
	const struct cp_workers *w = x->app->workers;
	struct cp_node_live *live = NULL;
	size_t n = w != NULL ? w->list(w->self, x->a, &live) : 0;
	json_int_t current = 0;
	int64_t port = 0;
	uint64_t revision = cp_store_revision(x->app->store);
	for (size_t i = 0; i < n; i++) {
		struct gw_str rest = live[i].listen;
		current += live[i].revision >= revision;
		while (rest.n > 0 && memchr(rest.p, ':', rest.n) != NULL)
			gw_str_cut(&rest, ':');
		if (port == 0 && rest.p != NULL && !gw_str_int(rest, 1, 65535, &port))
			port = 0;
	}
	json_t *workers = json_object();
	json_object_set_new(workers, "connected", json_integer((json_int_t)n));
	json_object_set_new(workers, "total", json_integer((json_int_t)(known > n ? known : n)));
	json_object_set_new(workers, "current", json_integer(current));
	json_object_set_new(o, "workers", workers);
	json_object_set_new(o, "revision", json_integer((json_int_t)revision));
	json_object_set_new(o, "data_plane_port", port > 0 ? json_integer(port) : json_null());
}

static enum gw_rc add_data_plane_url(struct cp_ctx *x, struct cp_txn *t, json_t *o, struct gw_error *err)
{
	struct cp_record r;
	enum gw_rc rc = cp_get(t, GW_KIND_SETTINGS, GW_STR("settings"), x->a, &r, err);
	json_t *spec = rc == GW_OK ? cp_spec_parse(r.spec) : json_object();
	const json_t *url = json_object_get(json_object_get(spec, "console"), "data_plane_url");
	json_object_set_new(o, "data_plane_url", cp_text_json(gw_json_str(url)));
	json_decref(spec);
	return rc == GW_NOTFOUND ? GW_OK : rc;
}

void cp_api_get_overview(struct cp_ctx *x)
{
	struct cp_txn *t = NULL;
	struct gw_error err = { 0 };
	struct tally nodes = { 0 };
	int64_t first = 0, now = gw_now_ms();
	json_t *o = json_object(), *counts = NULL, *hour = NULL, *day = NULL;
	enum gw_rc rc = cp_txn_begin(&t, x->app->store, &err);
	if (rc == GW_OK)
		rc = cp_nodes_each(t, count_node, &nodes, &err);
	if (rc == GW_OK)
		rc = add_data_plane_url(x, t, o, &err);
	if (rc == GW_OK)
		rc = cp_usage_first(t, &first, &err);
	if (rc == GW_OK && ((counts = counts_json(t, &err)) == NULL ||
			    (hour = figures(t, FIVE_MIN_MS, 12, now, &err)) == NULL ||
			    (day = figures(t, HOUR_MS, 24, now, &err)) == NULL))
		rc = err.rc;
	cp_txn_end(&t);
	add_workers(x, o, nodes.total);
	json_object_set_new(o, "first_request_at", cp_time_json(first));
	if (rc != GW_OK) {
		json_decref(counts);
		json_decref(hour);
		json_decref(day);
		json_decref(o);
		cp_problem_error(x, &err);
		return;
	}
	json_object_set_new(o, "counts", counts);
	json_object_set_new(o, "last_hour", hour);
	json_object_set_new(o, "last_day", day);
	cp_answer(x, 200, o);
}
