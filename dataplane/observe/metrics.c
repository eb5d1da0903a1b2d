/* metrics.c - counting, adding up, writing out. */
#include "observe/metrics.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/map.h"
#include "base/str.h"

static const uint64_t bucket_us[DP_HISTOGRAM_BUCKETS] = {
	10000, 20000, 40000, 80000, 160000, 320000, 640000, 1280000, 2560000, 5120000, 10240000, 20480000, 40960000, 81920000,
};
static const char *const bucket_text[DP_HISTOGRAM_BUCKETS] = {
	"0.01", "0.02", "0.04", "0.08", "0.16", "0.32", "0.64", "1.28", "2.56", "5.12", "10.24", "20.48", "40.96", "81.92",
};
/* The gateway's own share is a thousand times smaller. */
static const char *const overhead_text[DP_HISTOGRAM_BUCKETS] = {
	"0.00001", "0.00002", "0.00004", "0.00008", "0.00016", "0.00032", "0.00064", "0.00128", "0.00256", "0.00512", "0.01024",
	"0.02048", "0.04096", "0.08192",
};

enum row_kind { ROW_PAIR, ROW_ROUTE, ROW_ATTEMPT, ROW_PROVIDER, ROW_CODE, ROW_KINDS };
enum { CLASSES = 6, TOKEN_CLASSES = 4 };   /* 0xx (no answer) to 5xx; prompt, cached, completion, reasoning */

struct row {
	enum row_kind kind;
	struct gw_str a, b;                  /* label values, owned with the row */
	struct gw_str key;
	union {
		struct { _Atomic uint64_t ended[CLASSES][GW_END_COUNT], tokens[TOKEN_CLASSES]; } pair;
		struct { struct dp_histogram duration, ttft; } route;
		_Atomic uint64_t count;
		struct { _Atomic uint64_t estimated, bad_events; } provider;
	} u;
};

struct dp_metrics {
	struct gw_map *index;                /* the owner's alone */
	struct row *rows[DP_METRICS_MAX_ROWS];
	_Atomic size_t n;                    /* rows[0..n) may be read by anybody */
	struct dp_histogram overhead;
	_Atomic int64_t in_flight, requests, errors;
};

static void add(_Atomic uint64_t *c, uint64_t n)
{
	/* One writer: a plain add, made visible without a locked instruction. */
	atomic_store_explicit(c, atomic_load_explicit(c, memory_order_relaxed) + n, memory_order_relaxed);
}

static uint64_t get(const _Atomic uint64_t *c)
{
	return atomic_load_explicit((_Atomic uint64_t *)(uintptr_t)c, memory_order_relaxed);
}

static void observe_us(struct dp_histogram *h, uint64_t us, uint64_t scale)
{
	size_t i = 0;

	while (i < DP_HISTOGRAM_BUCKETS && us * scale > bucket_us[i])
		i++;
	add(&h->bucket[i], 1);
	add(&h->sum_us, us);
}

struct dp_metrics *dp_metrics_open(void)
{
	struct dp_metrics *m = gw_alloc(sizeof *m);

	m->index = gw_map_open(64);
	return m;
}

void dp_metrics_close(struct dp_metrics **mp)
{
	struct dp_metrics *m = *mp;

	if (!m)
		return;
	*mp = NULL;
	for (size_t i = 0; i < m->n; i++) {
		free((char *)(uintptr_t)m->rows[i]->key.p);
		free(m->rows[i]);
	}
	gw_map_close(&m->index);
	free(m);
}

static struct row *row_for(struct dp_metrics *m, enum row_kind kind, struct gw_str a, struct gw_str b)
{
	char key[300];
	size_t n = 0;
	struct row *r;

	a = a.n ? a : GW_STR("none");
	b = b.n ? b : GW_STR("none");
	if (a.n > 128)
		a.n = 128;
	if (b.n > 128)
		b.n = 128;
	key[n++] = (char)('0' + kind);
	memcpy(key + n, a.p, a.n);
	n += a.n;
	key[n++] = ' ';
	memcpy(key + n, b.p, b.n);
	n += b.n;
	r = gw_map_get(m->index, (struct gw_str){ key, n });
	if (r)
		return r;
	if (m->n >= DP_METRICS_MAX_ROWS - ROW_KINDS)  { /* room for one `other` of each kind is kept */
		if (gw_str_is(a, "other"))
			b = GW_STR("other");
		else
			return row_for(m, kind, GW_STR("other"), GW_STR("other"));
	}
	r = gw_alloc(sizeof *r);
	r->kind = kind;
	r->key = (struct gw_str){ gw_strdup_n(key, n), n };
	r->a = (struct gw_str){ r->key.p + 1, a.n };
	r->b = (struct gw_str){ r->key.p + 2 + a.n, b.n };
	gw_map_put(m->index, r->key, r);
	m->rows[m->n] = r;
	atomic_store_explicit(&m->n, m->n + 1, memory_order_release);
	return r;
}

void dp_metrics_request(struct dp_metrics *m, const struct dp_request_facts *f)
{
	struct row *pair = row_for(m, ROW_PAIR, f->route, f->provider);
	struct row *route = row_for(m, ROW_ROUTE, f->route, GW_STR_NONE);
	unsigned class = f->status / 100 < CLASSES ? f->status / 100 : 5;

	add(&pair->u.pair.ended[class][f->end], 1);
	add(&pair->u.pair.tokens[0], (uint64_t)f->tokens.prompt);
	add(&pair->u.pair.tokens[1], (uint64_t)f->tokens.cached);
	add(&pair->u.pair.tokens[2], (uint64_t)f->tokens.completion);
	add(&pair->u.pair.tokens[3], (uint64_t)f->tokens.reasoning);
	if (f->total_us >= 0)
		observe_us(&route->u.route.duration, (uint64_t)f->total_us, 1);
	if (f->first_token_us >= 0)
		observe_us(&route->u.route.ttft, (uint64_t)f->first_token_us, 1);
	if (f->overhead_us >= 0)
		observe_us(&m->overhead, (uint64_t)f->overhead_us, 1000);
	if (f->estimated || f->bad_events) {
		struct row *p = row_for(m, ROW_PROVIDER, f->provider, GW_STR_NONE);

		add(&p->u.provider.estimated, f->estimated);
		add(&p->u.provider.bad_events, f->bad_events);
	}
	if (f->rejected)
		add(&row_for(m, ROW_CODE, gw_str_c(f->rejected), GW_STR_NONE)->u.count, 1);
	atomic_fetch_add_explicit(&m->requests, 1, memory_order_relaxed);
	if (class == 5)
		atomic_fetch_add_explicit(&m->errors, 1, memory_order_relaxed);
}

void dp_metrics_attempt(struct dp_metrics *m, struct gw_str provider, const char *result)
{
	add(&row_for(m, ROW_ATTEMPT, provider, gw_str_c(result))->u.count, 1);
}

void dp_metrics_in_flight(struct dp_metrics *m, int delta)
{
	atomic_fetch_add_explicit(&m->in_flight, delta, memory_order_relaxed);
}

static int64_t peek(const _Atomic int64_t *v)
{
	return atomic_load_explicit((_Atomic int64_t *)(uintptr_t)v, memory_order_relaxed);
}

int64_t dp_metrics_in_flight_of(const struct dp_metrics *m) { return peek(&m->in_flight); }
int64_t dp_metrics_requests_of(const struct dp_metrics *m) { return peek(&m->requests); }
int64_t dp_metrics_errors_of(const struct dp_metrics *m) { return peek(&m->errors); }

/* ---- the page ---- */

static const struct { const char *name, *kind, *help; } about[] = {
#define X(id, kind, name, labels, help) { name, #kind, help },
#include "tbl/metrics.def"
#undef X
};

struct sums { struct gw_map *index; struct row **v; size_t n; };

static void sum_histogram(struct dp_histogram *to, const struct dp_histogram *from)
{
	for (size_t i = 0; i <= DP_HISTOGRAM_BUCKETS; i++)
		add(&to->bucket[i], get(&from->bucket[i]));
	add(&to->sum_us, get(&from->sum_us));
}

static void sum_row(struct row *to, const struct row *from)
{
	switch (from->kind) {
	case ROW_PAIR:
		for (size_t c = 0; c < CLASSES; c++)
			for (size_t e = 0; e < GW_END_COUNT; e++)
				add(&to->u.pair.ended[c][e], get(&from->u.pair.ended[c][e]));
		for (size_t t = 0; t < TOKEN_CLASSES; t++)
			add(&to->u.pair.tokens[t], get(&from->u.pair.tokens[t]));
		break;
	case ROW_ROUTE:
		sum_histogram(&to->u.route.duration, &from->u.route.duration);
		sum_histogram(&to->u.route.ttft, &from->u.route.ttft);
		break;
	case ROW_PROVIDER:
		add(&to->u.provider.estimated, get(&from->u.provider.estimated));
		add(&to->u.provider.bad_events, get(&from->u.provider.bad_events));
		break;
	default:
		add(&to->u.count, get(&from->u.count));
		break;
	}
}

static void sum_up(struct sums *s, struct dp_metrics *const *m, size_t n)
{
	size_t cap = 0;

	for (size_t i = 0; i < n; i++)
		cap += atomic_load_explicit(&m[i]->n, memory_order_acquire);
	s->index = gw_map_open(cap + 1);
	s->v = gw_alloc((cap + 1) * sizeof *s->v);
	s->n = 0;
	for (size_t i = 0; i < n; i++) {
		size_t rows = atomic_load_explicit(&m[i]->n, memory_order_acquire);

		for (size_t k = 0; k < rows && s->n < cap; k++) {
			const struct row *from = m[i]->rows[k];
			struct row *to = gw_map_get(s->index, from->key);

			if (!to) {
				to = gw_alloc(sizeof *to);
				to->kind = from->kind;
				to->a = from->a;
				to->b = from->b;
				gw_map_put(s->index, from->key, to);
				s->v[s->n++] = to;
			}
			sum_row(to, from);
		}
	}
}

static void head(struct gw_buf *out, enum dp_metric id)
{
	static const char *const kinds[][2] = { { "COUNTER", "counter" }, { "GAUGE", "gauge" }, { "HISTOGRAM", "histogram" } };

	gw_buf_printf(out, "# HELP %s %s\n# TYPE %s ", about[id].name, about[id].help, about[id].name);
	for (size_t i = 0; i < GW_COUNT(kinds); i++)
		if (strcmp(about[id].kind, kinds[i][0]) == 0)
			gw_buf_add_c(out, kinds[i][1]);
	gw_buf_add_byte(out, '\n');
}

static void histogram(struct gw_buf *out, enum dp_metric id, const char *label, struct gw_str value,
                      const struct dp_histogram *h, const char *const *edges)
{
	uint64_t total = 0;
	char set[180] = "", only[180] = "";

	if (label) {
		snprintf(set, sizeof set, "%s=\"%.*s\",", label, GW_FMT(value));
		snprintf(only, sizeof only, "{%s=\"%.*s\"}", label, GW_FMT(value));
	}
	for (size_t i = 0; i <= DP_HISTOGRAM_BUCKETS; i++) {
		total += get(&h->bucket[i]);
		gw_buf_printf(out, "%s_bucket{%sle=\"%s\"} %llu\n", about[id].name, set,
		              i < DP_HISTOGRAM_BUCKETS ? edges[i] : "+Inf", (unsigned long long)total);
	}
	gw_buf_printf(out, "%s_sum%s %.6f\n", about[id].name, only, (double)get(&h->sum_us) / 1e6);
	gw_buf_printf(out, "%s_count%s %llu\n", about[id].name, only, (unsigned long long)total);
}

static void write_requests(struct gw_buf *out, const struct sums *s)
{
	static const char *const classes[CLASSES] = { "none", "1xx", "2xx", "3xx", "4xx", "5xx" };

	head(out, DP_METRIC_REQUESTS);
	for (size_t i = 0; i < s->n; i++) {
		const struct row *r = s->v[i];

		for (size_t c = 0; r->kind == ROW_PAIR && c < CLASSES; c++)
			for (size_t e = 0; e < GW_END_COUNT; e++)
				if (get(&r->u.pair.ended[c][e]))
					gw_buf_printf(out, "%s{route=\"%.*s\",provider=\"%.*s\",status=\"%s\",end_reason=\"%s\"} %llu\n",
					              about[DP_METRIC_REQUESTS].name, GW_FMT(r->a), GW_FMT(r->b), classes[c],
					              gw_end_name((enum gw_end_reason)e), (unsigned long long)get(&r->u.pair.ended[c][e]));
	}
}

static void write_tokens(struct gw_buf *out, const struct sums *s)
{
	static const char *const classes[TOKEN_CLASSES] = { "prompt", "cached", "completion", "reasoning" };

	head(out, DP_METRIC_TOKENS);
	for (size_t i = 0; i < s->n; i++) {
		const struct row *r = s->v[i];

		for (size_t t = 0; r->kind == ROW_PAIR && t < TOKEN_CLASSES; t++)
			if (get(&r->u.pair.tokens[t]))
				gw_buf_printf(out, "%s{route=\"%.*s\",provider=\"%.*s\",class=\"%s\"} %llu\n", about[DP_METRIC_TOKENS].name,
				              GW_FMT(r->a), GW_FMT(r->b), classes[t], (unsigned long long)get(&r->u.pair.tokens[t]));
	}
}

static void write_rows(struct gw_buf *out, const struct sums *s)
{
	head(out, DP_METRIC_ATTEMPTS);
	for (size_t i = 0; i < s->n; i++)
		if (s->v[i]->kind == ROW_ATTEMPT)
			gw_buf_printf(out, "%s{provider=\"%.*s\",result=\"%.*s\"} %llu\n", about[DP_METRIC_ATTEMPTS].name,
			              GW_FMT(s->v[i]->a), GW_FMT(s->v[i]->b), (unsigned long long)get(&s->v[i]->u.count));
	head(out, DP_METRIC_REJECTED);
	for (size_t i = 0; i < s->n; i++)
		if (s->v[i]->kind == ROW_CODE)
			gw_buf_printf(out, "%s{code=\"%.*s\"} %llu\n", about[DP_METRIC_REJECTED].name, GW_FMT(s->v[i]->a),
			              (unsigned long long)get(&s->v[i]->u.count));
	head(out, DP_METRIC_USAGE_ESTIMATED);
	for (size_t i = 0; i < s->n; i++)
		if (s->v[i]->kind == ROW_PROVIDER)
			gw_buf_printf(out, "%s{provider=\"%.*s\"} %llu\n", about[DP_METRIC_USAGE_ESTIMATED].name, GW_FMT(s->v[i]->a),
			              (unsigned long long)get(&s->v[i]->u.provider.estimated));
	head(out, DP_METRIC_BAD_EVENTS);
	for (size_t i = 0; i < s->n; i++)
		if (s->v[i]->kind == ROW_PROVIDER)
			gw_buf_printf(out, "%s{provider=\"%.*s\"} %llu\n", about[DP_METRIC_BAD_EVENTS].name, GW_FMT(s->v[i]->a),
			              (unsigned long long)get(&s->v[i]->u.provider.bad_events));
	head(out, DP_METRIC_DURATION);
	for (size_t i = 0; i < s->n; i++)
		if (s->v[i]->kind == ROW_ROUTE)
			histogram(out, DP_METRIC_DURATION, "route", s->v[i]->a, &s->v[i]->u.route.duration, bucket_text);
	head(out, DP_METRIC_TTFT);
	for (size_t i = 0; i < s->n; i++)
		if (s->v[i]->kind == ROW_ROUTE)
			histogram(out, DP_METRIC_TTFT, "route", s->v[i]->a, &s->v[i]->u.route.ttft, bucket_text);
}

static void single(struct gw_buf *out, enum dp_metric id, int64_t v)
{
	head(out, id);
	gw_buf_printf(out, "%s %lld\n", about[id].name, (long long)v);
}

void dp_metrics_text(struct gw_buf *out, struct dp_metrics *const *m, size_t n, const struct dp_gauges *g)
{
	struct sums s;
	struct dp_histogram overhead = { 0 };
	int64_t in_flight = 0;

	sum_up(&s, m, n);
	for (size_t i = 0; i < n; i++) {
		in_flight += dp_metrics_in_flight_of(m[i]);
		sum_histogram(&overhead, &m[i]->overhead);
	}
	write_requests(out, &s);
	write_tokens(out, &s);
	write_rows(out, &s);
	head(out, DP_METRIC_OVERHEAD);
	histogram(out, DP_METRIC_OVERHEAD, NULL, GW_STR_NONE, &overhead, overhead_text);
	head(out, DP_METRIC_UPSTREAM_CONNS);
	for (size_t i = 0; i < g->n_pools; i++) {
		gw_buf_printf(out, "%s{provider=\"%.*s\",state=\"idle\"} %zu\n", about[DP_METRIC_UPSTREAM_CONNS].name,
		              GW_FMT(g->pools[i].provider), g->pools[i].idle);
		gw_buf_printf(out, "%s{provider=\"%.*s\",state=\"busy\"} %zu\n", about[DP_METRIC_UPSTREAM_CONNS].name,
		              GW_FMT(g->pools[i].provider), g->pools[i].busy);
	}
	single(out, DP_METRIC_IN_FLIGHT, in_flight);
	single(out, DP_METRIC_CONNECTIONS, g->client_connections);
	single(out, DP_METRIC_SNAPSHOT_REV, g->snapshot_revision);
	single(out, DP_METRIC_SNAPSHOT_AGE, g->snapshot_age_s);
	single(out, DP_METRIC_CONTROL_UP, g->control_up);
	single(out, DP_METRIC_USAGE_QUEUED, g->usage_queued);
	single(out, DP_METRIC_USAGE_DROPPED, g->usage_dropped);
	single(out, DP_METRIC_LOG_DROPPED, g->log_dropped);
	for (size_t i = 0; i < s.n; i++)
		free(s.v[i]);
	free(s.v);
	gw_map_close(&s.index);
}
