/* usage.c - sums of requests and tokens, and the page that says whether everything works. */
#include "api/internal.h"

#include "store/usage_store.h"

#define HOUR_MS 3600000LL
#define DAY_MS (24 * HOUR_MS)
#define FIVE_MIN_MS 300000LL
#define TOP 5
#define MAX_ROWS 100000

static const struct { const char *name; unsigned bit; } groups[] = {
	{ "consumer", CP_BY_CONSUMER }, { "model", CP_BY_MODEL }, { "provider", CP_BY_PROVIDER },
	{ "route", CP_BY_ROUTE }, { "hour", CP_BY_HOUR }, { "day", CP_BY_DAY },
};

static void add_numbers(json_t *o, const struct cp_usage_sum *s)
{
	json_object_set_new(o, "requests", json_integer(s->requests));
	json_object_set_new(o, "errors", json_integer(s->errors));
	json_object_set_new(o, "prompt_tokens", json_integer(s->prompt_tokens));
	json_object_set_new(o, "completion_tokens", json_integer(s->completion_tokens));
	json_object_set_new(o, "cached_tokens", json_integer(s->cached_tokens));
	json_object_set_new(o, "reasoning_tokens", json_integer(s->reasoning_tokens));
	json_object_set_new(o, "cost", json_integer(s->cost));
}

static json_t *sum_json(const struct cp_usage_sum *s, unsigned group_by)
{
	json_t *o = json_object();
	const struct { unsigned bit; const char *name; struct gw_str value; } members[] = {
		{ CP_BY_CONSUMER, "consumer", s->consumer }, { CP_BY_MODEL, "model", s->model },
		{ CP_BY_PROVIDER, "provider", s->provider }, { CP_BY_ROUTE, "route", s->route },
	};
	for (size_t i = 0; i < GW_COUNT(members); i++)
		if (group_by & members[i].bit)
			gw_json_set_str(o, members[i].name, members[i].value);
	if (group_by & (CP_BY_HOUR | CP_BY_DAY | CP_BY_5MIN))
		json_object_set_new(o, "time", cp_time_json(s->time_ms));
	add_numbers(o, s);
	return o;
}

struct page { json_t *items; unsigned group_by; int64_t skip, limit, total; };

static bool add(void *arg, const struct cp_usage_sum *s)
{
	struct page *p = arg;
	if (p->total >= p->skip && p->total < p->skip + p->limit)
		json_array_append_new(p->items, sum_json(s, p->group_by));
	return ++p->total < MAX_ROWS;
}

/* One cell of CSV (RFC 4180); a text that a spreadsheet would take for a formula gets a quote before it. */
static void add_cell(struct gw_buf *b, const json_t *v)
{
	struct gw_str s = gw_json_str(v);
	if (json_is_integer(v)) {
		gw_buf_printf(b, "%lld", (long long)json_integer_value(v));
		return;
	}
	gw_buf_add_byte(b, '"');
	if (s.n > 0 && strchr("=+-@\t\r", s.p[0]) != NULL)
		gw_buf_add_byte(b, '\'');
	for (size_t i = 0; i < s.n; i++) {
		if (s.p[i] == '"')
			gw_buf_add_byte(b, '"');
		gw_buf_add_byte(b, s.p[i]);
	}
	gw_buf_add_byte(b, '"');
}

static void answer_csv(struct cp_ctx *x, json_t *items, unsigned group_by)
{
	static const struct cp_usage_sum zero;
	const char *key;
	json_t *v, *o, *head = sum_json(&zero, group_by);
	size_t i, n = 0;
	struct gw_buf *b = &x->rs->body;
	json_object_foreach(head, key, v)
		gw_buf_printf(b, "%s%s", n++ ? "," : "", key);
	gw_buf_add(b, GW_STR("\r\n"));
	json_array_foreach(items, i, o) {
		n = 0;
		json_object_foreach(head, key, v) {
			if (n++ > 0)
				gw_buf_add_byte(b, ',');
			add_cell(b, json_object_get(o, key));
		}
		gw_buf_add(b, GW_STR("\r\n"));
	}
	x->rs->content_type = "text/csv; charset=utf-8";
	json_decref(head);
	json_decref(items);
}

static bool read_query(struct cp_ctx *x, struct cp_usage_query *q, struct page *p)
{
	struct gw_str by = cp_query_text(x, "group_by"), cursor = cp_query_text(x, "cursor");
	int64_t now = gw_now_ms();
	*q = (struct cp_usage_query){ .from_ms = now - DAY_MS, .to_ms = now + 1, .consumer = cp_query_text(x, "consumer"),
				      .model = cp_query_text(x, "model"), .provider = cp_query_text(x, "provider"),
				      .route = cp_query_text(x, "route") };
	gw_time_parse(cp_query_text(x, "from"), &q->from_ms);
	gw_time_parse(cp_query_text(x, "to"), &q->to_ms);
	while (by.p != NULL && by.n > 0) {
		struct gw_str word = gw_str_cut(&by, ',');
		for (size_t i = 0; i < GW_COUNT(groups); i++)
			if (gw_str_is(word, groups[i].name))
				q->group_by |= groups[i].bit;
	}
	if (q->from_ms > q->to_ms)
		cp_fault_add(x->faults, "?from", "out_of_range", "from lies after to");
	if ((q->group_by & CP_BY_HOUR) && (q->group_by & CP_BY_DAY))
		cp_fault_add(x->faults, "?group_by", "conflict", "group by hour or by day, not by both");
	if (cursor.n > 0 && !gw_str_int(cursor, 0, MAX_ROWS, &p->skip))
		cp_fault_add(x->faults, "?cursor", "bad_format", "cursor must be the next_cursor of a page");
	p->group_by = q->group_by;
	q->by_requests = (q->group_by & (CP_BY_HOUR | CP_BY_DAY)) == 0;
	return !cp_problem_faults(x);
}

void cp_api_get_usage(struct cp_ctx *x)
{
	static const struct cp_usage_sum zero;
	struct cp_txn *t = NULL;
	struct gw_error err = { 0 };
	struct cp_usage_query q;
	bool csv = gw_str_is(cp_query_text(x, "format"), "csv");
	struct page p = { .limit = csv ? MAX_ROWS : cp_query_int(x, "limit", 50) };
	if (!read_query(x, &q, &p))
		return;
	p.items = json_array();
	enum gw_rc rc = cp_txn_begin(&t, x->app->store, &err);
	if (rc == GW_OK)
		rc = cp_usage_each(t, &q, add, &p, &err);
	cp_txn_end(&t);
	if (rc != GW_OK) {
		json_decref(p.items);
		cp_problem_error(x, &err);
		return;
	}
	if (q.group_by == 0 && p.total == 0 && p.skip == 0) /* one sum, also of nothing */
		add(&p, &zero);
	if (csv) {
		answer_csv(x, p.items, q.group_by);
		return;
	}
	const char *next = p.total > p.skip + p.limit ? gw_arena_printf(x->a, "%lld", (long long)(p.skip + p.limit)).p : NULL;
	cp_answer(x, 200, cp_list_json(p.items, next, p.total));
}

/* ---- overview ---- */

static bool add_total(void *arg, const struct cp_usage_sum *s)
{
	add_numbers(arg, s);
	return true;
}

static bool add_top(void *arg, const struct cp_usage_sum *s)
{
	struct page *p = arg;
	if ((s->model.n > 0 || p->group_by == CP_BY_CONSUMER) && json_array_size(p->items) < TOP)
		json_array_append_new(p->items, sum_json(s, p->group_by));
	return json_array_size(p->items) < TOP;
}

struct series { int64_t from, step; json_t *buckets; };

static bool add_bucket(void *arg, const struct cp_usage_sum *s)
{
	struct series *g = arg;
	json_t *o = json_array_get(g->buckets, (size_t)((s->time_ms - g->from) / g->step));
	if (o != NULL) {
		json_object_set_new(o, "requests", json_integer(s->requests));
		json_object_set_new(o, "errors", json_integer(s->errors));
		json_object_set_new(o, "tokens", json_integer(s->prompt_tokens + s->completion_tokens));
	}
	return true;
}

/* Totals, the busiest models and consumers, and a series without gaps of `n` buckets that ends now. */
static json_t *figures(struct cp_txn *t, int64_t step, int n, int64_t now, struct gw_error *err)
{
	static const struct cp_usage_sum zero;
	int64_t from = now / step * step - (n - 1) * step;
	struct cp_usage_query q = { .from_ms = from, .to_ms = now + 1, .by_requests = true };
	json_t *o = json_object();
	struct page models = { .items = json_array(), .group_by = CP_BY_MODEL };
	struct page consumers = { .items = json_array(), .group_by = CP_BY_CONSUMER };
	struct series s = { from, step, json_array() };
	for (int i = 0; i < n; i++) {
		json_t *b = json_object();
		json_object_set_new(b, "time", cp_time_json(from + i * step));
		json_object_set_new(b, "requests", json_integer(0));
		json_object_set_new(b, "errors", json_integer(0));
		json_object_set_new(b, "tokens", json_integer(0));
		json_array_append_new(s.buckets, b);
	}
	add_numbers(o, &zero);
	json_object_set_new(o, "top_models", models.items);
	json_object_set_new(o, "top_consumers", consumers.items);
	json_object_set_new(o, "series", s.buckets);
	enum gw_rc rc = cp_usage_each(t, &q, add_total, o, err);
	q.group_by = CP_BY_MODEL;
	if (rc == GW_OK)
		rc = cp_usage_each(t, &q, add_top, &models, err);
	q.group_by = CP_BY_CONSUMER;
	if (rc == GW_OK)
		rc = cp_usage_each(t, &q, add_top, &consumers, err);
	q.group_by = step == FIVE_MIN_MS ? CP_BY_5MIN : CP_BY_HOUR;
	q.by_requests = false;
	if (rc == GW_OK)
		rc = cp_usage_each(t, &q, add_bucket, &s, err);
	if (rc == GW_OK)
		return o;
	json_decref(o);
	return NULL;
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
