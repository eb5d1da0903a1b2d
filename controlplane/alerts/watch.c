/* watch.c - what each kind of rule looks at. */
#include "alerts/alerts.h"

#include <stdio.h>

#include "base/str.h"
#include "base/time.h"
#include "quota/set.h"
#include "series/chart.h"
#include "store/quota_store.h"
#include "ws/pki.h"

#define MAX_SPEC (16u << 20)
#define DAY_MS  (24LL * 3600 * 1000)
#define LONG_MS (3LL * 3600 * 1000)  /* longer windows are read from the points of a minute */

static void add(struct cp_cases *c, struct gw_arena *a, struct gw_str object, struct gw_str text, struct gw_str text_zh, double value)
{
	if (c->n == c->cap) {
		struct cp_case *old = c->v;
		c->cap = c->cap ? 2 * c->cap : 8;
		c->v = gw_arena_alloc(a, c->cap * sizeof *c->v);
		if (c->n)
			memcpy(c->v, old, c->n * sizeof *old);
	}
	c->v[c->n++] = (struct cp_case){ .object = gw_arena_copy(a, object.p ? object : GW_STR("")), .text = text, .text_zh = text_zh, .value = value };
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

/* What series are called in Chinese, as the console calls them; what is missing goes by its own name. */
static struct gw_str chinese_name(struct gw_str metric)
{
	static const struct { const char *name; struct gw_str zh; } names[] = {
#define X(name, zh) { name, { zh, sizeof zh - 1 } },
		X("requests", "请求") X("errors", "错误（含 4xx）") X("failures", "失败") X("tokens", "令牌") X("cost", "费用") X("duration", "请求耗时")
		X("first_token", "首个令牌耗时") X("time_per_token", "每个令牌耗时") X("estimated", "估算用量的请求") X("bad_events", "无法解析的事件")
		X("limited", "触发限制") X("refused", "网关拒绝") X("attempts", "对提供商的尝试") X("retries", "重试") X("fallbacks", "回退")
		X("overhead", "网关自身耗时") X("queue", "等待连接") X("loop_delay", "事件循环延迟") X("in_flight", "进行中的请求")
		X("connections", "客户端连接") X("upstream_busy", "使用中的上游连接") X("upstream_idle", "空闲的上游连接") X("memory", "内存")
		X("usage_queued", "未确认的用量记录") X("cpu", "处理器时间") X("usage_dropped", "丢失的用量记录")
#undef X
	};
	for (size_t i = 0; i < GW_COUNT(names); i++)
		if (gw_str_is(metric, names[i].name))
			return names[i].zh;
	return metric;
}

static void add_series(struct cp_cases *out, const struct cp_rule *r, struct gw_str object, double v, struct gw_arena *a)
{
	static const char *const names[] = { "total", "rate", "share", "p50", "p95", "p99", "mean", "value" };
	static const char *const zh[] = { "总数", "速率", "占比", "中位数", "95 分位", "99 分位", "平均值", "值" };
	char span[GW_DURATION_LEN];
	bool time = r->statistic >= CP_STAT_P50 && r->statistic <= CP_STAT_MEAN;
	const char *unit = r->statistic == CP_STAT_SHARE ? " %" : time ? " ms" : r->statistic == CP_STAT_RATE ? " a minute" : "";
	const char *unit_zh = r->statistic == CP_STAT_SHARE ? " %" : time ? " 毫秒" : r->statistic == CP_STAT_RATE ? " 每分钟" : "";
	gw_duration_format(span, r->window_ms);
	add(out, a, object, gw_arena_printf(a, "%s of %.*s is %.6g%s, %s %.6g%s (%s)", names[r->statistic], GW_FMT(r->metric), v, unit,
	    r->below ? "below" : "above", r->threshold, unit, span), gw_arena_printf(a, "%.*s的%s为 %.6g%s，%s %.6g%s（%s 内）",
	    GW_FMT(chinese_name(r->metric)), zh[r->statistic], v, unit_zh, r->below ? "低于" : "高于", r->threshold, unit_zh, span), v);
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
			add_series(out, r, object, v, a);
	}
	return GW_OK;
}

/* Of a count there is no percentile, of a time no share: such a rule would never fire, or always. */
const char *cp_rule_misfit(const struct cp_rule *r, struct cp_txn *t, struct gw_arena *a)
{
	static const char *const kinds[] = { [CP_CHART_COUNTER] = "a count: use total, rate or share",
		[CP_CHART_HISTOGRAM] = "a time: use p50, p95, p99 or mean", [CP_CHART_GAUGE] = "a state: use value" };
	struct cp_chart c;
	bool time = r->statistic >= CP_STAT_P50 && r->statistic <= CP_STAT_MEAN, share = r->statistic == CP_STAT_SHARE;
	if (window(&c, r, t, r->metric, GW_STR(""), gw_now_ms(), a, NULL) != GW_OK)
		return NULL;
	bool fits = c.kind == CP_CHART_COUNTER ? !time : c.kind == CP_CHART_HISTOGRAM ? !share : !share && (!time || r->statistic == CP_STAT_MEAN);
	return fits ? NULL : gw_arena_printf(a, "%.*s is %s", GW_FMT(r->metric), kinds[c.kind]).p;
}

/* ---- the others ---- */

/* It answered: what it refused was the request, not the service. */
static bool answered(struct gw_str result)
{
	static const char *const words[] = { "ok", "client", "context", "no_model" };
	for (size_t i = 0; i < GW_COUNT(words); i++)
		if (gw_str_is(result, words[i]))
			return true;
	return false;
}

static bool is_in(const struct cp_cases *c, struct gw_str object)
{
	for (size_t i = 0; i < c->n; i++)
		if (gw_str_eq(c->v[i].object, object))
			return true;
	return false;
}

static bool is_named(struct gw_strv list, struct gw_str name)
{
	for (size_t i = 0; i < list.n; i++)
		if (gw_str_eq(list.v[i], name))
			return true;
	return false;
}

/* The workers' breakers, cooldowns and checks leave it no key or no server: they know it first, and when it is over. */
static void look_health(struct cp_cases *out, const struct cp_rule *r, const struct cp_node_live *live, size_t n, struct gw_arena *a)
{
	for (size_t i = 0; i < n; i++)
		for (size_t k = 0; k < live[i].providers_out.n; k++) {
			struct gw_str name = live[i].providers_out.v[k];
			size_t sure = 0;
			if (is_in(out, name) || (r->only[1].n > 0 && !gw_str_eq(r->only[1], name)))
				continue;
			for (size_t m = 0; m < n; m++)
				sure += is_named(live[m].providers_out, name);
			add(out, a, name, gw_arena_printf(a, "no key or no server of it can be used, say %zu of %zu workers", sure, n),
			    gw_arena_printf(a, "没有可用的密钥或服务器（%zu / %zu 个工作节点报告）", sure, n), (double)sure);
		}
}

/* Or asked often enough, and it never answered: what breakers that are switched off do not tell. */
static enum gw_rc look_providers(struct cp_cases *out, const struct cp_rule *r, const struct cp_alerts_options *o, struct cp_txn *t, int64_t now_ms,
    struct gw_arena *a, struct gw_error *err)
{
	struct cp_chart all, by_result = { 0 };
	struct cp_node_live *live = NULL;
	struct cp_rule only = *r;
	look_health(out, r, live, o->workers ? o->workers->list(o->workers->self, a, &live) : 0, a);
	only.only[0] = only.only[2] = GW_STR_NONE;
	enum gw_rc rc = window(&all, &only, t, GW_STR("attempts"), GW_STR("provider"), now_ms, a, err);
	if (rc == GW_OK)
		rc = window(&by_result, &only, t, GW_STR("attempts"), GW_STR("provider,result"), now_ms, a, err);
	for (size_t i = 0; rc == GW_OK && i < all.n_lines; i++) {
		uint64_t failed = all.line[i].total;
		bool good = is_in(out, all.line[i].label[0]);
		for (size_t k = 0; k < by_result.n_lines; k++)
			good |= gw_str_eq(by_result.line[k].label[0], all.line[i].label[0]) && answered(by_result.line[k].label[1]) &&
				by_result.line[k].total > 0;
		if (!good && failed >= (uint64_t)(r->min_count > 0 ? r->min_count : 1))
			add(out, a, all.line[i].label[0], gw_arena_printf(a, "none of %llu attempts succeeded", (unsigned long long)failed),
			    gw_arena_printf(a, "%llu 次尝试全部失败", (unsigned long long)failed), (double)failed);
	}
	return rc;
}

struct remembered { struct cp_cases *out; struct gw_arena *a; const struct cp_node_live *live; size_t n; uint64_t revision; };

static const struct cp_node_live *live_one(const struct remembered *m, struct gw_str id)
{
	for (size_t i = 0; i < m->n; i++)
		if (gw_str_eq(m->live[i].id, id))
			return &m->live[i];
	return NULL;
}

static bool add_lost(void *arg, const struct cp_node_row *row)
{
	struct remembered *m = arg;
	char seen[GW_TIME_LEN];
	if (live_one(m, row->id) || gw_str_is(row->last_error, "shutdown")) /* it said goodbye */
		return true;
	gw_time_format(seen, row->last_seen_ms);
	struct gw_str why = row->last_error.p ? row->last_error : GW_STR("");
	add(m->out, m->a, row->name, gw_arena_printf(m->a, "not connected since %s: %.*s", seen, GW_FMT(why)),
	    gw_arena_printf(m->a, "自 %s 起失联：%.*s", seen, GW_FMT(why)), 1);
	return true;
}

/* One that is away, or has not answered for the newest revision yet, may still refuse it: that is not known. */
static bool add_refusing(void *arg, const struct cp_node_row *row)
{
	struct remembered *m = arg;
	const struct cp_node_live *live = live_one(m, row->id);
	if (live && live->last_error.n > 0) {
		add(m->out, m->a, row->name, gw_arena_copy(m->a, live->last_error), gw_arena_printf(m->a, "拒绝了最新配置：%.*s", GW_FMT(live->last_error)), 1);
	} else if (live ? live->revision < m->revision : !gw_str_is(row->last_error, "shutdown")) {
		add(m->out, m->a, row->name, GW_STR(""), GW_STR(""), 0);
		m->out->v[m->out->n - 1].unknown = true;
	}
	return true;
}

static enum gw_rc look_workers(struct cp_cases *out, const struct cp_alerts_options *o, bool lost, struct cp_txn *t, struct gw_arena *a,
    struct gw_error *err)
{
	struct cp_node_live *live = NULL;
	size_t n = o->workers ? o->workers->list(o->workers->self, a, &live) : 0;
	struct remembered m = { out, a, live, n, cp_store_revision(o->store) };
	return cp_nodes_each(t, lost ? add_lost : add_refusing, &m, err);
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
		add(b->out, b->a, q.def.name, gw_arena_printf(b->a, "%.1f %% of the quota is used", percent),
		    gw_arena_printf(b->a, "已用配额的 %.1f %%", percent), percent);
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
		add(e->out, e->a, gw_str_c(name), gw_arena_printf(e->a, "the certificate ends at %s", when),
		    gw_arena_printf(e->a, "证书将于 %s 到期", when), days);
}

/* Those of the data port stand in the settings. */
static enum gw_rc look_certificates(struct cp_cases *out, const struct cp_rule *r, const struct cp_alerts_options *o, struct cp_txn *t,
    int64_t now_ms, struct gw_arena *a, struct gw_error *err)
{
	struct ends ends = { out, a, r, now_ms };
	struct cp_record settings;
	json_t *doc = NULL;
	int64_t until;
	if (o->certificates)
		o->certificates(o->arg, add_end, &ends);
	enum gw_rc rc = cp_get(t, GW_KIND_SETTINGS, GW_STR("settings"), a, &settings, err);
	if (rc != GW_OK || gw_json_parse(&doc, settings.spec, MAX_SPEC, err) != GW_OK)
		return rc == GW_NOTFOUND ? GW_OK : GW_INVALID;
	const json_t *tls = json_object_get(doc, "tls"), *list = json_object_get(tls, "certificates");
	for (size_t i = 0; i < json_array_size(list); i++) {
		const json_t *c = json_array_get(list, i);
		if (cp_cert_expires_pem(gw_json_str(json_object_get(c, "certificate_pem")), &until, NULL) == GW_OK)
			add_end(&ends, gw_arena_printf(a, "tls/%.*s", GW_FMT(gw_json_str(json_object_get(c, "name")))).p, until);
	}
	struct gw_str clients = gw_json_str(json_object_get(tls, "client_ca_pem"));
	if (clients.n > 0 && cp_cert_expires_pem(clients, &until, NULL) == GW_OK)
		add_end(&ends, "tls/client-ca", until);
	json_decref(doc);
	return GW_OK;
}

enum gw_rc cp_watch_look(struct cp_cases *out, const struct cp_rule *r, const struct cp_alerts_options *o, struct cp_txn *t, int64_t now_ms,
    struct gw_arena *a, struct gw_error *err)
{
	*out = (struct cp_cases){ 0 };
	switch (r->watch) {
	case CP_WATCH_PROVIDER_DOWN: return look_providers(out, r, o, t, now_ms, a, err);
	case CP_WATCH_WORKER_LOST: return look_workers(out, o, true, t, a, err);
	case CP_WATCH_CONFIG_REJECTED: return look_workers(out, o, false, t, a, err);
	case CP_WATCH_BUDGET: return look_budgets(out, r, t, now_ms, a, err);
	case CP_WATCH_CERTIFICATE_EXPIRY: return look_certificates(out, r, o, t, now_ms, a, err);
	default: return look_series(out, r, t, now_ms, a, err);
	}
}
