/* totals.c - adding up, writing out. */
#include "observe/totals.h"

#include <stdlib.h>

#include "base/map.h"
#include "base/str.h"

#define ALL ~0u

static uint64_t get(const _Atomic uint64_t *c)
{
	return atomic_load_explicit((_Atomic uint64_t *)(uintptr_t)c, memory_order_relaxed);
}

/* ---- adding up ---- */

/* The key stands behind the slots, in the same block. */
static struct dp_total *add_total(struct dp_totals *t, const struct dp_row *r, unsigned keep, struct gw_str key)
{
	size_t slots = gw_metric_set(r->set)->n_slots * sizeof(uint64_t);
	struct dp_total *total = &t->v[t->n++];
	char *block = gw_alloc(slots + key.n);

	memcpy(block + slots, key.p, key.n);
	total->set = r->set;
	total->slot = (uint64_t *)(void *)block;
	for (size_t i = 0; i < GW_METRIC_LABELS; i++)
		total->label[i] = keep >> i & 1 ? r->label[i] : GW_STR_NONE;
	total->key = (struct gw_str){ block + slots, key.n };
	gw_map_put(t->index, total->key, total);
	return total;
}

static void add_row(struct dp_totals *t, const struct dp_row *r, unsigned keep)
{
	char key[8 + GW_METRIC_LABELS * (GW_METRIC_LABEL_MAX + 1)];
	size_t n = 0, slots = gw_metric_set(r->set)->n_slots;
	struct dp_total *total;

	key[n++] = (char)('0' + r->set);
	for (size_t i = 0; i < GW_METRIC_LABELS; i++) {
		if (keep >> i & 1 && r->label[i].n) {
			memcpy(key + n, r->label[i].p, r->label[i].n);
			n += r->label[i].n;
		}
		key[n++] = '\n';
	}
	total = gw_map_get(t->index, (struct gw_str){ key, n });
	if (!total)
		total = add_total(t, r, keep, (struct gw_str){ key, n });
	for (size_t i = 0; i < slots; i++)
		total->slot[i] += get(&r->slot[i]);
}

void dp_totals_of(struct dp_totals *t, struct dp_metrics *const *m, size_t n, enum gw_metric_set only, unsigned keep)
{
	size_t most = 0, *rows = gw_alloc((n + 1) * sizeof *rows);

	for (size_t i = 0; i < n; i++)
		most += rows[i] = dp_metrics_rows(m[i]);
	t->index = gw_map_open(most + 1);
	t->v = gw_alloc((most + 1) * sizeof *t->v);
	t->n = 0;
	for (size_t i = 0; i < n; i++)
		for (size_t k = 0; k < rows[i]; k++) {
			const struct dp_row *r = dp_metrics_row(m[i], k);

			if (only == GW_SET_COUNT || only == r->set)
				add_row(t, r, keep);
		}
	free(rows);
}

void dp_totals_fini(struct dp_totals *t)
{
	for (size_t i = 0; i < t->n; i++)
		free(t->v[i].slot);
	free(t->v);
	gw_map_close(&t->index);
	*t = (struct dp_totals){ 0 };
}

/* ---- one metric ---- */

/* The page being written: each family once, its samples one after another. */
struct page {
	struct gw_buf *out;
	struct dp_metrics *const *m;
	size_t n;
	struct dp_totals all;
};

/* Name, brace and the labels that this total carries. */
static void begin(struct page *p, enum gw_metric id, const char *suffix, const struct dp_total *t, const char *const *names)
{
	const struct gw_metric_set_about *about = gw_metric_set(t->set);

	gw_buf_printf(p->out, "%s%s{", gw_metric_name(id), suffix);
	for (size_t i = 0; i < about->n_labels; i++)
		if (t->label[i].p)
			gw_metric_label(p->out, names ? names[i] : about->labels[i], t->label[i]);
}

static void end(struct page *p, uint64_t v)
{
	if (p->out->n > 0 && p->out->p[p->out->n - 1] == '{')
		gw_buf_drop_end(p->out, 1);
	else
		gw_buf_add_byte(p->out, '}');
	gw_buf_printf(p->out, " %llu\n", (unsigned long long)v);
}

/* A counter that is one slot of each row, in rows added up over the labels that are not kept. */
static void counter(struct page *p, enum gw_metric id, enum gw_metric_set set, size_t at, unsigned keep)
{
	struct dp_totals t;

	gw_metric_head(p->out, id);
	dp_totals_of(&t, p->m, p->n, set, keep);
	for (size_t i = 0; i < t.n; i++) {
		if (t.v[i].slot[at] == 0)
			continue;
		begin(p, id, "", &t.v[i], NULL);
		end(p, t.v[i].slot[at]);
	}
	dp_totals_fini(&t);
}

/* A counter of `n` slots side by side, told apart by one more label. */
static void spread(struct page *p, enum gw_metric id, enum gw_metric_set set, size_t at, size_t n, const char *label,
                   const char *(*value)(size_t i))
{
	gw_metric_head(p->out, id);
	for (size_t i = 0; i < p->all.n; i++)
		for (size_t k = 0; p->all.v[i].set == set && k < n; k++) {
			if (p->all.v[i].slot[at + k] == 0)
				continue;
			begin(p, id, "", &p->all.v[i], NULL);
			gw_metric_label(p->out, label, gw_str_c(value(k)));
			end(p, p->all.v[i].slot[at + k]);
		}
}

static void histogram_of(struct page *p, enum gw_metric id, const struct dp_total *t, size_t at, enum gw_histogram h,
                         const char *const *names, const char *type)
{
	const struct gw_histogram_edges *e = gw_histogram_edges(h);
	const uint64_t *slot = t->slot + at;
	uint64_t seen = 0;

	for (size_t i = 0; i <= e->n; i++) {
		seen += slot[i];
		begin(p, id, "_bucket", t, names);
		if (type)
			gw_metric_label(p->out, "gen_ai_token_type", gw_str_c(type));
		gw_metric_label(p->out, "le", gw_str_c(i < e->n ? e->text[i] : "+Inf"));
		end(p, seen);
	}
	begin(p, id, "_sum", t, names);
	if (type)
		gw_metric_label(p->out, "gen_ai_token_type", gw_str_c(type));
	if (p->out->p[p->out->n - 1] == '{')
		gw_buf_drop_end(p->out, 1);
	else
		gw_buf_add_byte(p->out, '}');
	gw_buf_printf(p->out, " %.6f\n", (double)slot[e->n + 1] / e->scale);
	begin(p, id, "_count", t, names);
	if (type)
		gw_metric_label(p->out, "gen_ai_token_type", gw_str_c(type));
	end(p, seen);
}

static void histogram(struct page *p, enum gw_metric id, enum gw_metric_set set, size_t at, enum gw_histogram h, unsigned keep)
{
	struct dp_totals t;

	gw_metric_head(p->out, id);
	dp_totals_of(&t, p->m, p->n, set, keep);
	for (size_t i = 0; i < t.n; i++)
		if (set == GW_SET_WORKER || gw_histogram_count(h, t.v[i].slot + at) > 0)
			histogram_of(p, id, &t.v[i], at, h, NULL, NULL);
	dp_totals_fini(&t);
}

/* ---- the page ---- */

#define ROUTE    1u
#define PROVIDER 2u
#define MODEL    4u

static void write_requests(struct page *p)
{
	gw_metric_head(p->out, GW_METRIC_REQUESTS);
	for (size_t i = 0; i < p->all.n; i++) {
		const struct dp_total *t = &p->all.v[i];

		for (size_t k = 0; t->set == GW_SET_TRAFFIC && k < GW_STATUS_CLASSES * GW_END_COUNT; k++) {
			if (t->slot[GW_AT(TRAFFIC, ENDED) + k] == 0)
				continue;
			begin(p, GW_METRIC_REQUESTS, "", t, NULL);
			gw_metric_label(p->out, "status", gw_str_c(gw_status_class_name(k / GW_END_COUNT)));
			gw_metric_label(p->out, "end_reason", gw_str_c(gw_end_name((enum gw_end_reason)(k % GW_END_COUNT))));
			end(p, t->slot[GW_AT(TRAFFIC, ENDED) + k]);
		}
	}
}

static void write_traffic(struct page *p)
{
	write_requests(p);
	spread(p, GW_METRIC_TOKENS, GW_SET_TRAFFIC, GW_AT(TRAFFIC, TOKENS), GW_TOKEN_CLASSES, "class", gw_token_class_name);
	counter(p, GW_METRIC_COST, GW_SET_SPEND, 0, ALL);
	counter(p, GW_METRIC_USAGE_ESTIMATED, GW_SET_TRAFFIC, GW_AT(TRAFFIC, ESTIMATED), PROVIDER | MODEL);
	counter(p, GW_METRIC_BAD_EVENTS, GW_SET_TRAFFIC, GW_AT(TRAFFIC, BAD_EVENTS), PROVIDER | MODEL);
	histogram(p, GW_METRIC_DURATION, GW_SET_TRAFFIC, GW_AT(TRAFFIC, DURATION), GW_HISTOGRAM_SECONDS, ROUTE);
	histogram(p, GW_METRIC_TTFT, GW_SET_TRAFFIC, GW_AT(TRAFFIC, FIRST_TOKEN), GW_HISTOGRAM_FIRST, ROUTE);
	histogram(p, GW_METRIC_TPOT, GW_SET_TRAFFIC, GW_AT(TRAFFIC, PER_TOKEN), GW_HISTOGRAM_PER_TOKEN, ROUTE);
}

/* The same under the names of OpenTelemetry's conventions: by provider and model. */
static void write_gen_ai(struct page *p)
{
	static const char *const names[GW_METRIC_LABELS] = { "route", "gen_ai_provider_name", "gen_ai_request_model" };
	static const struct { enum gw_metric id; size_t at; enum gw_histogram h; const char *type; } v[] = {
		{ GW_METRIC_GENAI_DURATION, GW_AT(TRAFFIC, DURATION), GW_HISTOGRAM_SECONDS, NULL },
		{ GW_METRIC_GENAI_TTFT, GW_AT(TRAFFIC, FIRST_TOKEN), GW_HISTOGRAM_FIRST, NULL },
		{ GW_METRIC_GENAI_TPOT, GW_AT(TRAFFIC, PER_TOKEN), GW_HISTOGRAM_PER_TOKEN, NULL },
		{ GW_METRIC_GENAI_TOKENS, GW_AT(TRAFFIC, INPUT), GW_HISTOGRAM_TOKENS, "input" },
		{ GW_METRIC_GENAI_TOKENS, GW_AT(TRAFFIC, OUTPUT), GW_HISTOGRAM_TOKENS, "output" },
	};
	struct dp_totals t;

	dp_totals_of(&t, p->m, p->n, GW_SET_TRAFFIC, PROVIDER | MODEL);
	for (size_t k = 0; k < GW_COUNT(v); k++) {
		if (k == 0 || v[k].id != v[k - 1].id)
			gw_metric_head(p->out, v[k].id);
		for (size_t i = 0; i < t.n; i++)
			if (!gw_str_is(t.v[i].label[1], "none") && gw_histogram_count(v[k].h, t.v[i].slot + v[k].at) > 0)
				histogram_of(p, v[k].id, &t.v[i], v[k].at, v[k].h, names, v[k].type);
	}
	dp_totals_fini(&t);
}

static void write_others(struct page *p)
{
	histogram(p, GW_METRIC_OVERHEAD, GW_SET_WORKER, GW_AT(WORKER, OVERHEAD), GW_HISTOGRAM_FINE, 0);
	histogram(p, GW_METRIC_QUEUE, GW_SET_WORKER, GW_AT(WORKER, QUEUE), GW_HISTOGRAM_SECONDS, 0);
	histogram(p, GW_METRIC_LOOP_DELAY, GW_SET_WORKER, GW_AT(WORKER, LOOP_DELAY), GW_HISTOGRAM_FINE, 0);
	histogram(p, GW_METRIC_COUNTERS_WAIT, GW_SET_WORKER, GW_AT(WORKER, COUNTERS_WAIT), GW_HISTOGRAM_FIRST, 0);
	spread(p, GW_METRIC_CONSUMER_REQUESTS, GW_SET_CONSUMER, GW_AT(CONSUMER, STATUS), GW_STATUS_CLASSES, "status", gw_status_class_name);
	spread(p, GW_METRIC_CONSUMER_TOKENS, GW_SET_CONSUMER, GW_AT(CONSUMER, TOKENS), GW_TOKEN_CLASSES, "class", gw_token_class_name);
	counter(p, GW_METRIC_CONSUMER_COST, GW_SET_CONSUMER_SPEND, 0, ALL);
	counter(p, GW_METRIC_LIMITED, GW_SET_LIMITED, 0, ALL);
	counter(p, GW_METRIC_REJECTED, GW_SET_REFUSED, 0, ALL);
	counter(p, GW_METRIC_ATTEMPTS, GW_SET_ATTEMPT, 0, ALL);
	counter(p, GW_METRIC_RETRIES, GW_SET_PROVIDER, GW_AT(PROVIDER, RETRIES), ALL);
	counter(p, GW_METRIC_FALLBACKS, GW_SET_PROVIDER, GW_AT(PROVIDER, FALLBACKS), ALL);
}

static void write_gauges(struct page *p, const struct dp_gauges *g)
{
	size_t in_set[GW_SET_COUNT] = { 0 };
	int64_t in_flight = 0;

	for (size_t i = 0; i < p->n; i++)
		in_flight += dp_metrics_in_flight_of(p->m[i]);
	gw_metric_head(p->out, GW_METRIC_UPSTREAM_CONNS);
	for (size_t i = 0; i < 2 * g->n_pools; i++) {
		const struct dp_pool_gauge *pool = &g->pools[i / 2];

		gw_buf_printf(p->out, "%s{", gw_metric_name(GW_METRIC_UPSTREAM_CONNS));
		gw_metric_label(p->out, "provider", pool->provider);
		gw_metric_label(p->out, "state", i % 2 ? GW_STR("busy") : GW_STR("idle"));
		end(p, i % 2 ? pool->busy : pool->idle);
	}
	gw_metric_head(p->out, GW_METRIC_UPSTREAM_WAITING);
	for (size_t i = 0; i < g->n_pools; i++) {
		gw_buf_printf(p->out, "%s{", gw_metric_name(GW_METRIC_UPSTREAM_WAITING));
		gw_metric_label(p->out, "provider", g->pools[i].provider);
		end(p, g->pools[i].waiting);
	}
	gw_metric_head(p->out, GW_METRIC_UPSTREAM_OUT);
	for (size_t i = 0; i < 2 * g->n_pools; i++) {
		const struct dp_pool_gauge *pool = &g->pools[i / 2];

		gw_buf_printf(p->out, "%s{", gw_metric_name(GW_METRIC_UPSTREAM_OUT));
		gw_metric_label(p->out, "provider", pool->provider);
		gw_metric_label(p->out, "what", i % 2 ? GW_STR("endpoint") : GW_STR("key"));
		end(p, i % 2 ? pool->endpoints_out : pool->keys_out);
	}
	for (size_t i = 0; i < p->all.n; i++)
		in_set[p->all.v[i].set]++;
	gw_metric_head(p->out, GW_METRIC_SERIES_ROWS);
	for (size_t i = 0; i < GW_SET_COUNT; i++)
		gw_buf_printf(p->out, "%s{set=\"%s\"} %zu\n", gw_metric_name(GW_METRIC_SERIES_ROWS), gw_metric_set((enum gw_metric_set)i)->name,
		              in_set[i]);
	gw_metric_single(p->out, GW_METRIC_IN_FLIGHT, (double)in_flight);
	gw_metric_single(p->out, GW_METRIC_CONNECTIONS, (double)g->client_connections);
	gw_metric_single(p->out, GW_METRIC_RESERVATIONS, (double)g->reservations);
	gw_metric_single(p->out, GW_METRIC_COUNTERS, (double)g->counters);
	gw_metric_single(p->out, GW_METRIC_LIMIT_REFUSALS, (double)g->limit_refusals);
	gw_metric_single(p->out, GW_METRIC_COUNTERS_AWAY, (double)g->counters_away);
	gw_metric_single(p->out, GW_METRIC_DEGRADED, (double)g->degraded);
	gw_metric_single(p->out, GW_METRIC_SNAPSHOT_REV, (double)g->snapshot_revision);
	gw_metric_single(p->out, GW_METRIC_SNAPSHOT_AGE, (double)g->snapshot_age_s);
	gw_metric_single(p->out, GW_METRIC_CONTROL_UP, (double)g->control_up);
	gw_metric_single(p->out, GW_METRIC_USAGE_QUEUED, (double)g->usage_queued);
	gw_metric_single(p->out, GW_METRIC_USAGE_DROPPED, (double)g->usage_dropped);
	gw_metric_single(p->out, GW_METRIC_USAGE_SPOOLED, (double)g->usage_spooled);
	gw_metric_single(p->out, GW_METRIC_USAGE_TORN, (double)g->usage_torn);
	gw_metric_single(p->out, GW_METRIC_LOG_DROPPED, (double)g->log_dropped);
	gw_metric_single(p->out, GW_METRIC_ACCESS_WRITTEN, (double)g->access_written);
	gw_metric_single(p->out, GW_METRIC_ACCESS_DROPPED, (double)g->access_dropped);
	gw_metric_single(p->out, GW_METRIC_SPANS_SENT, (double)g->spans_sent);
	gw_metric_single(p->out, GW_METRIC_SPANS_DROPPED, (double)g->spans_dropped);
	gw_metric_single(p->out, GW_METRIC_CAPTURES_KEPT, (double)g->captures_kept);
	gw_metric_single(p->out, GW_METRIC_CAPTURES_DROPPED, (double)g->captures_dropped);
	gw_metric_head(p->out, GW_METRIC_MEMORY_LIMIT);
	gw_buf_printf(p->out, "%s{by=\"%s\"} %lld\n", gw_metric_name(GW_METRIC_MEMORY_LIMIT),
	              g->memory_by ? g->memory_by : "machine", (long long)g->memory_limit);
	gw_metric_single(p->out, GW_METRIC_BODIES, (double)g->bodies);
	gw_metric_process(p->out);
}

void dp_metrics_text(struct gw_buf *out, struct dp_metrics *const *m, size_t n, const struct dp_gauges *g)
{
	struct page p = { .out = out, .m = m, .n = n };

	dp_totals_of(&p.all, m, n, GW_SET_COUNT, ALL);
	write_traffic(&p);
	write_gen_ai(&p);
	write_others(&p);
	write_gauges(&p, g);
	dp_totals_fini(&p.all);
}
