/* watch.c - what each kind of rule looks at. */
#include "alerts/alerts.h"

#include <stdio.h>

#include "base/str.h"
#include "base/time.h"
#include "quota/set.h"
#include "series/chart.h"
#include "store/quota_store.h"

#define DAY_MS  (24LL * 3600 * 1000)
#define LONG_MS (3LL * 3600 * 1000)  /* longer windows are read from the points of a minute */

static void add(struct cp_cases *c, struct gw_arena *a, struct gw_str object, struct gw_str text, double value)
{
	if (c->n == c->cap) {
		struct cp_case *old = c->v;
		c->cap = c->cap ? 2 * c->cap : 8;
		c->v = gw_arena_alloc(a, c->cap * sizeof *c->v);
		if (c->n)
			memcpy(c->v, old, c->n * sizeof *old);
	}
	c->v[c->n++] = (struct cp_case){ gw_arena_copy(a, object.p ? object : GW_STR("")), text, value };
}

static enum gw_rc window(struct cp_chart *out, const struct cp_rule *r, struct cp_txn *t, struct gw_str metric, struct gw_str by, int64_t now_ms,
    struct gw_arena *a, struct gw_error *err)
{
	static const enum cp_dimension filters[] = { CP_DIMENSION_ROUTE, CP_DIMENSION_PROVIDER, CP_DIMENSION_CONSUMER };
	int64_t step = r->window_ms > LONG_MS ? 60000 : 10000, to = now_ms / step * step;
	struct cp_chart_query q = { .metric = metric, .by = by, .from_ms = to - (r->window_ms + step - 1) / step * step, .to_ms = to, .step_ms = step,
		.now_ms = now_ms };
	for (size_t i = 0; i < GW_COUNT(filters); i++)
		if (r->only[i].n > 0)
			q.only[filters[i]] = r->only[i];
	return cp_chart_read(out, t, &q, a, err);
}

/* ---- series ---- */

static const struct cp_chart_line *line_of(const struct cp_chart *c, struct gw_str label)
{
	for (size_t i = 0; i < c->n_lines; i++)
		if (c->n_by == 0 || gw_str_eq(c->line[i].label[0], label))
			return &c->line[i];
	return NULL;
}

static double mean_value(const struct cp_chart *c, const struct cp_chart_line *l)
{
	double sum = 0;
	size_t n = 0;
	for (size_t i = 0; i < c->n_steps; i++) {
		double v = cp_chart_value(c, l, i);
		if (v < 0)
			continue;
		sum += v;
		n++;
	}
	return n ? sum / (double)n : -1;
}

/* Below 0: there is too little to judge. */
static double statistic_of(const struct cp_rule *r, const struct cp_chart *c, const struct cp_chart_line *l, uint64_t requests)
{
	static const double q[] = { [CP_STAT_P50] = 0.5, [CP_STAT_P95] = 0.95, [CP_STAT_P99] = 0.99, [CP_STAT_MEAN] = -1 };
	double minutes = (double)c->n_steps * (double)c->step_ms / 60000;
	if (r->statistic == CP_STAT_SHARE)
		return requests >= (uint64_t)r->min_count && requests > 0 ? 100 * (l ? (double)l->total : 0) / (double)requests : -1;
	if (!l)
		return r->statistic == CP_STAT_TOTAL || r->statistic == CP_STAT_RATE ? 0 : -1;
	if (c->kind == CP_CHART_GAUGE)
		return mean_value(c, l);
	if (r->statistic >= CP_STAT_P50 && r->statistic <= CP_STAT_MEAN)
		return c->kind == CP_CHART_HISTOGRAM && l->total >= (uint64_t)r->min_count && l->total > 0 ?
		    1000 * cp_chart_quantile(c, l, 0, c->n_steps, q[r->statistic]) : -1;
	return r->statistic == CP_STAT_RATE ? (double)l->total / minutes : (double)l->total;
}

static struct gw_str sentence(const struct cp_rule *r, double v, struct gw_arena *a)
{
	static const char *const names[] = { "total", "rate", "share", "p50", "p95", "p99", "mean", "value" };
	char span[GW_DURATION_LEN];
	gw_duration_format(span, r->window_ms);
	const char *unit = r->statistic == CP_STAT_SHARE ? " %" : r->statistic >= CP_STAT_P50 && r->statistic <= CP_STAT_MEAN ? " ms" :
	    r->statistic == CP_STAT_RATE ? " a minute" : "";
	return gw_arena_printf(a, "%s of %.*s is %.6g%s, %s %.6g%s (%s)", names[r->statistic], GW_FMT(r->metric), v, unit,
	    r->below ? "below" : "above", r->threshold, unit, span);
}

static enum gw_rc look_series(struct cp_cases *out, const struct cp_rule *r, struct cp_txn *t, int64_t now_ms, struct gw_arena *a,
    struct gw_error *err)
{
	struct cp_chart c, all = { 0 };
	struct gw_str by = gw_str_is(r->by, "none") ? GW_STR("") : r->by;
	bool share = r->statistic == CP_STAT_SHARE;
	enum gw_rc rc = window(&c, r, t, r->metric, by, now_ms, a, err);
	if (rc == GW_OK && share)
		rc = window(&all, r, t, GW_STR("requests"), by, now_ms, a, err);
	if (rc != GW_OK)
		return rc;
	const struct cp_chart *objects = share ? &all : &c;
	size_t n = by.n == 0 ? 1 : objects->n_lines;
	for (size_t i = 0; i < n; i++) {
		struct gw_str object = by.n ? objects->line[i].label[0] : GW_STR("");
		const struct cp_chart_line *whole = share ? line_of(&all, object) : NULL;
		double v = statistic_of(r, &c, line_of(&c, object), whole ? whole->total : 0);
		if (v >= 0 && (r->below ? v < r->threshold : v > r->threshold))
			add(out, a, object, sentence(r, v, a), v);
	}
	return GW_OK;
}

/* ---- the others ---- */

/* Asked often enough, and it never answered well. */
static enum gw_rc look_providers(struct cp_cases *out, const struct cp_rule *r, struct cp_txn *t, int64_t now_ms, struct gw_arena *a,
    struct gw_error *err)
{
	struct cp_chart all, good = { 0 };
	struct cp_rule only = *r;
	only.only[0] = only.only[2] = GW_STR_NONE;
	enum gw_rc rc = window(&all, &only, t, GW_STR("attempts"), GW_STR("provider"), now_ms, a, err);
	if (rc == GW_OK)
		rc = window(&good, &only, t, GW_STR("attempts"), GW_STR("provider,result"), now_ms, a, err);
	for (size_t i = 0; rc == GW_OK && i < all.n_lines; i++) {
		bool answered = false;
		for (size_t k = 0; k < good.n_lines; k++)
			answered |= gw_str_eq(good.line[k].label[0], all.line[i].label[0]) && gw_str_is(good.line[k].label[1], "ok") && good.line[k].total > 0;
		if (!answered && all.line[i].total >= (uint64_t)(r->min_count > 0 ? r->min_count : 1))
			add(out, a, all.line[i].label[0], gw_arena_printf(a, "none of %llu attempts succeeded", (unsigned long long)all.line[i].total),
			    (double)all.line[i].total);
	}
	return rc;
}

struct lost { struct cp_cases *out; struct gw_arena *a; const struct cp_node_live *live; size_t n; };

static bool add_lost(void *arg, const struct cp_node_row *row)
{
	struct lost *l = arg;
	char seen[GW_TIME_LEN];
	for (size_t i = 0; i < l->n; i++)
		if (gw_str_eq(l->live[i].id, row->id))
			return true;
	if (gw_str_is(row->last_error, "shutdown"))
		return true; /* it said goodbye */
	gw_time_format(seen, row->last_seen_ms);
	add(l->out, l->a, row->name, gw_arena_printf(l->a, "not connected since %s: %.*s", seen, (int)row->last_error.n,
	    row->last_error.p ? row->last_error.p : ""), 1);
	return true;
}

static enum gw_rc look_workers(struct cp_cases *out, const struct cp_alerts_options *o, bool lost, struct cp_txn *t, struct gw_arena *a,
    struct gw_error *err)
{
	struct cp_node_live *live = NULL;
	size_t n = o->workers ? o->workers->list(o->workers->self, a, &live) : 0;
	struct lost l = { out, a, live, n };
	if (lost)
		return cp_nodes_each(t, add_lost, &l, err);
	for (size_t i = 0; i < n; i++)
		if (live[i].last_error.n > 0)
			add(out, a, live[i].name, gw_arena_printf(a, "%.*s", GW_FMT(live[i].last_error)), 1);
	return GW_OK;
}

struct budgets { struct cp_cases *out; struct gw_arena *a; const struct cp_rule *r; struct cp_txn *t; int64_t now_ms; };

/* So much of what is granted for this period is used. */
static bool add_budget(void *arg, const struct cp_record *record)
{
	struct budgets *b = arg;
	struct cp_quota q;
	struct cp_quota_sums sums = { 0 };
	int64_t from = 0, until = 0;
	if (cp_quota_read(&q, record, b->a, NULL) != GW_OK || !q.def.enabled || !cp_quota_period(&q, b->now_ms, &from, &until) ||
	    cp_quota_get(b->t, q.def.name, from, &sums, NULL) != GW_OK)
		return true;
	double granted = (double)(q.def.limit + sums.adjusted), percent = granted > 0 ? 100 * (double)sums.used / granted : 100;
	if (percent >= b->r->threshold)
		add(b->out, b->a, q.def.name, gw_arena_printf(b->a, "%.1f %% of the quota is used", percent), percent);
	return true;
}

static enum gw_rc look_budgets(struct cp_cases *out, const struct cp_rule *r, struct cp_txn *t, int64_t now_ms, struct gw_arena *a,
    struct gw_error *err)
{
	struct budgets b = { out, a, r, t, now_ms };
	return cp_each(t, GW_KIND_QUOTA, GW_STR_NONE, add_budget, &b, err);
}

struct ends { struct cp_cases *out; struct gw_arena *a; const struct cp_rule *r; int64_t now_ms; };

static void add_end(void *to, const char *name, int64_t expires_at_ms)
{
	struct ends *e = to;
	char when[GW_TIME_LEN];
	double days = (double)(expires_at_ms - e->now_ms) / (double)DAY_MS;
	gw_time_format(when, expires_at_ms);
	if (days < e->r->threshold)
		add(e->out, e->a, gw_str_c(name), gw_arena_printf(e->a, "the certificate ends at %s", when), days);
}

enum gw_rc cp_watch_look(struct cp_cases *out, const struct cp_rule *r, const struct cp_alerts_options *o, struct cp_txn *t, int64_t now_ms,
    struct gw_arena *a, struct gw_error *err)
{
	struct ends ends = { out, a, r, now_ms };
	*out = (struct cp_cases){ 0 };
	switch (r->watch) {
	case CP_WATCH_PROVIDER_DOWN: return look_providers(out, r, t, now_ms, a, err);
	case CP_WATCH_WORKER_LOST: return look_workers(out, o, true, t, a, err);
	case CP_WATCH_CONFIG_REJECTED: return look_workers(out, o, false, t, a, err);
	case CP_WATCH_BUDGET: return look_budgets(out, r, t, now_ms, a, err);
	case CP_WATCH_CERTIFICATE_EXPIRY:
		if (o->certificates)
			o->certificates(o->arg, add_end, &ends);
		return GW_OK;
	default: return look_series(out, r, t, now_ms, a, err);
	}
}
