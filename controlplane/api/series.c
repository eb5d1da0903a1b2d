/* series.c - lines over time for charts, and the control plane's own metrics. */
#include "api/internal.h"

#include <math.h>

#include "alerts/alerts.h"
#include "series/chart.h"
#include "store/series_store.h"

#define HOUR_MS 3600000LL

/* ---- GET /metrics-series ---- */

/* Nothing measured is null; six digits behind the point are a microsecond. */
static json_t *number(double v)
{
	if (v < 0)
		return json_null();
	return v == floor(v) && v < 9e15 ? json_integer((json_int_t)v) : json_real(round(v * 1e6) / 1e6);
}

static const struct { const char *name; double q; } quantiles[] = { { "p50", 0.5 }, { "p95", 0.95 }, { "p99", 0.99 }, { "mean", -1 } };

static void add_quantiles(json_t *o, const struct cp_chart *c, const struct cp_chart_line *l)
{
	json_t *summary = json_object();
	for (size_t i = 0; i < GW_COUNT(quantiles); i++) {
		json_t *list = json_array();
		for (size_t k = 0; k < c->n_steps; k++)
			json_array_append_new(list, number(cp_chart_quantile(c, l, k, k + 1, quantiles[i].q)));
		json_object_set_new(o, quantiles[i].name, list);
		json_object_set_new(summary, quantiles[i].name, number(cp_chart_quantile(c, l, 0, c->n_steps, quantiles[i].q)));
	}
	json_object_set_new(o, "summary", summary);
}

struct names { json_t *of; };

static bool note_name(void *arg, const struct cp_node_row *r)
{
	struct names *n = arg;
	json_object_setn_new(n->of, r->id.p, r->id.n, cp_text_json(r->name));
	return true;
}

static json_t *line_json(const struct cp_chart *c, const struct cp_chart_line *l, const json_t *names)
{
	json_t *o = json_object(), *labels = json_object(), *values = json_array();
	for (size_t i = 0; i < c->n_by; i++) {
		gw_json_set_str(labels, cp_dimension_name(c->by[i]), l->label[i]);
		const json_t *name = c->by[i] == CP_DIMENSION_NODE ? json_object_getn(names, l->label[i].p, l->label[i].n) : NULL;
		if (name)
			json_object_set(labels, "node_name", (json_t *)name);
	}
	for (size_t k = 0; k < c->n_steps; k++)
		json_array_append_new(values, number(cp_chart_value(c, l, k)));
	json_object_set_new(o, "labels", labels);
	json_object_set_new(o, "total", json_integer((json_int_t)l->total));
	json_object_set_new(o, "values", values);
	if (c->kind == CP_CHART_HISTOGRAM)
		add_quantiles(o, c, l);
	return o;
}

static json_t *chart_json(const struct cp_chart *c, struct gw_str metric, size_t limit, const json_t *names)
{
	static const char *const kinds[] = { "counter", "histogram", "gauge" };
	json_t *o = json_object(), *items = json_array();
	for (size_t i = 0; i < c->n_lines && i < limit; i++)
		json_array_append_new(items, line_json(c, &c->line[i], names));
	gw_json_set_str(o, "metric", metric);
	json_object_set_new(o, "kind", json_string(kinds[c->kind]));
	json_object_set_new(o, "unit", json_string(c->unit));
	json_object_set_new(o, "from", cp_time_json(c->from_ms));
	json_object_set_new(o, "to", cp_time_json(c->from_ms + (int64_t)c->n_steps * c->step_ms));
	json_object_set_new(o, "step_seconds", json_integer(c->step_ms / 1000));
	json_object_set_new(o, "items", items);
	json_object_set_new(o, "total", json_integer((json_int_t)c->n_lines));
	return o;
}

static bool read_chart_query(struct cp_ctx *x, struct cp_chart_query *q)
{
	struct gw_str step = cp_query_text(x, "step");
	*q = (struct cp_chart_query){ .metric = cp_query_text(x, "metric"), .by = cp_query_text(x, "by"), .now_ms = gw_now_ms() };
	q->to_ms = q->now_ms;
	gw_time_parse(cp_query_text(x, "to"), &q->to_ms);
	q->from_ms = q->to_ms - HOUR_MS;
	gw_time_parse(cp_query_text(x, "from"), &q->from_ms);
	for (enum cp_dimension d = 0; d < CP_DIMENSION_COUNT; d++)
		q->only[d] = cp_query_text(x, cp_dimension_name(d));
	if (step.n > 0 && !gw_duration_parse(step, &q->step_ms))
		cp_fault_add(x->faults, "?step", "bad_format", "step must be a duration such as 10s or 5m");
	return !cp_problem_faults(x);
}

void cp_api_get_metrics_series(struct cp_ctx *x)
{
	struct cp_txn *t = NULL;
	struct gw_error err = { 0 };
	struct cp_chart_query q;
	struct cp_chart c;
	struct names names = { json_object() };
	if (!read_chart_query(x, &q)) {
		json_decref(names.of);
		return;
	}
	enum gw_rc rc = cp_txn_begin(&t, x->app->store, &err);
	if (rc == GW_OK)
		rc = cp_chart_read(&c, t, &q, x->a, &err);
	if (rc == GW_OK)
		rc = cp_nodes_each(t, note_name, &names, &err);
	cp_txn_end(&t);
	if (rc == GW_INVALID && err.path[0] == '?') {
		cp_fault_add(x->faults, err.path, "out_of_range", "%s", err.text);
		cp_problem_faults(x);
	} else if (rc != GW_OK) {
		cp_problem_error(x, &err);
	} else {
		cp_answer(x, 200, chart_json(&c, q.metric, (size_t)cp_query_int(x, "limit", 20), names.of));
	}
	json_decref(names.of);
}

/* ---- GET /metrics ---- */

static void write_workers(struct cp_ctx *x, struct gw_buf *out, size_t known)
{
	const struct cp_workers *w = x->app->workers;
	struct cp_node_live *live = NULL;
	size_t n = w ? w->list(w->self, x->a, &live) : 0, current = 0;
	uint64_t revision = cp_store_revision(x->app->store);
	const char *name = gw_metric_name(GW_METRIC_WORKERS);
	for (size_t i = 0; i < n; i++)
		current += live[i].revision >= revision;
	gw_metric_single(out, GW_METRIC_REVISION, (double)revision);
	gw_metric_head(out, GW_METRIC_WORKERS);
	gw_buf_printf(out, "%s{state=\"current\"} %zu\n%s{state=\"behind\"} %zu\n%s{state=\"gone\"} %zu\n", name, current, name, n - current, name,
	    known > n ? known - n : 0);
	gw_metric_head(out, GW_METRIC_WORKER_REVISION);
	for (size_t i = 0; i < n; i++) {
		bool twin = false; /* names need not be unique, samples must */
		for (size_t k = 0; k < i; k++)
			twin |= gw_str_eq(live[k].name, live[i].name);
		if (twin)
			continue;
		gw_buf_printf(out, "%s{", gw_metric_name(GW_METRIC_WORKER_REVISION));
		gw_metric_label(out, "worker", live[i].name);
		gw_buf_printf(out, "} %llu\n", (unsigned long long)live[i].revision);
	}
}

static bool count_row(void *arg, const struct cp_node_row *r)
{
	(void)r;
	++*(size_t *)arg;
	return true;
}

static void write_alerts(struct cp_alerts *alerts, const struct cp_alerts_standing *now, struct gw_buf *out)
{
	static const char *const severities[] = { "info", "warning", "critical" }, *const results[] = { "failed", "sent" };
	int64_t firing[3], sent[CP_CHANNEL_TYPES][2];
	cp_alerts_counts(alerts, firing, sent);
	gw_metric_head(out, GW_METRIC_ALERTS);
	for (size_t i = 0; i < GW_COUNT(severities); i++)
		gw_buf_printf(out, "%s{severity=\"%s\"} %lld\n", gw_metric_name(GW_METRIC_ALERTS), severities[i], (long long)firing[i]);
	gw_metric_head(out, GW_METRIC_NOTIFICATIONS);
	for (size_t i = 0; i < CP_CHANNEL_TYPES; i++)
		for (size_t k = 0; k < 2; k++)
			gw_buf_printf(out, "%s{kind=\"%s\",result=\"%s\"} %lld\n", gw_metric_name(GW_METRIC_NOTIFICATIONS),
			    cp_channel_type_name((enum cp_channel_type)i), results[k], (long long)sent[i][k]);
	gw_metric_single(out, GW_METRIC_WORKERS_REFUSING, (double)now->refusing);
	gw_metric_head(out, GW_METRIC_QUOTAS_USED);
	gw_buf_printf(out, "%s{percent=\"80\"} %zu\n%s{percent=\"100\"} %zu\n", gw_metric_name(GW_METRIC_QUOTAS_USED), now->used_80,
	    gw_metric_name(GW_METRIC_QUOTAS_USED), now->used_100);
	if (now->certificate_end_ms > 0)
		gw_metric_single(out, GW_METRIC_CERTIFICATE_END, (double)(now->certificate_end_ms / 1000));
}

void cp_api_get_metrics(struct cp_ctx *x)
{
	static const char *const names[CP_SERIES_RESOLUTIONS] = { "10s", "1m", "1h" };
	struct cp_txn *t = NULL;
	struct gw_error err = { 0 };
	int64_t points[CP_SERIES_RESOLUTIONS] = { 0 };
	struct cp_alerts_standing now = { 0 };
	size_t known = 0;
	struct gw_buf *out = &x->rs->body;
	enum gw_rc rc = cp_txn_begin(&t, x->app->store, &err);
	if (rc == GW_OK)
		rc = cp_nodes_each(t, count_row, &known, &err);
	if (rc == GW_OK)
		rc = cp_series_count(t, points, &err);
	if (rc == GW_OK && x->app->alerts)
		rc = cp_alerts_standing(x->app->alerts, t, x->a, &now, &err);
	cp_txn_end(&t);
	if (rc != GW_OK) {
		cp_problem_error(x, &err);
		return;
	}
	write_workers(x, out, known);
	gw_metric_single(out, GW_METRIC_SERIES_STORED, x->app->series_rows ? (double)x->app->series_rows(x->app->series_arg) : 0);
	gw_metric_head(out, GW_METRIC_SERIES_POINTS);
	for (size_t i = 0; i < CP_SERIES_RESOLUTIONS; i++)
		gw_buf_printf(out, "%s{resolution=\"%s\"} %lld\n", gw_metric_name(GW_METRIC_SERIES_POINTS), names[i], (long long)points[i]);
	if (x->app->alerts)
		write_alerts(x->app->alerts, &now, out);
	gw_metric_single(out, GW_METRIC_DISK_FULL, cp_store_disk_full(x->app->store));
	gw_metric_process(out);
	x->rs->content_type = "text/plain; version=0.0.4; charset=utf-8";
}
