/* metrics.c - finding rows and adding to them. */
#include "observe/metrics.h"

#include <stdlib.h>

#include "base/str.h"

#define FIRST_BUCKETS 256u
enum {
	MAX_ROWS = 0
#define X(name, text, slots, rows, n, l1, l2, l3, l4) + rows
	GW_SET_TABLE(X)
#undef X
};

struct dp_metrics {
	struct dp_row **index;               /* open addressing, the owner's alone */
	size_t buckets;                      /* a power of two, at least twice the rows */
	struct dp_row *rows[MAX_ROWS];
	_Atomic size_t n;                    /* rows[0..n) may be read by anybody */
	size_t in_set[GW_SET_COUNT];
	struct dp_row *worker;
	_Atomic int64_t in_flight, requests, errors;
};

static void add(struct dp_row *r, size_t slot, uint64_t n)
{
	/* One writer: a plain add, made visible without a locked instruction. */
	_Atomic uint64_t *c = &r->slot[slot];

	atomic_store_explicit(c, atomic_load_explicit(c, memory_order_relaxed) + n, memory_order_relaxed);
}

static void observe(struct dp_row *r, size_t at, enum gw_histogram h, uint64_t v)
{
	add(r, at + gw_histogram_slot(h, v), 1);
	add(r, at + gw_histogram_edges(h)->n + 1, v);
}

/* ---- rows ---- */

/* Not against strangers: their texts are looked up but never put in. */
static uint64_t hash_of(uint64_t h, struct gw_str s)
{
	uint64_t w;

	for (; s.n >= 8; s.p += 8, s.n -= 8) {
		memcpy(&w, s.p, 8);
		h = (h ^ w) * 0x9e3779b97f4a7c15u;
		h ^= h >> 29;
	}
	w = 0;
	if (s.n)
		memcpy(&w, s.p, s.n);
	h = (h ^ w ^ (uint64_t)s.n << 56) * 0xbf58476d1ce4e5b9u;
	return h ^ h >> 31;
}

static bool is_row(const struct dp_row *r, enum gw_metric_set set, uint64_t hash, const struct gw_str *label)
{
	if (r->hash != hash || r->set != set)
		return false;
	for (size_t i = 0; i < GW_METRIC_LABELS; i++)
		if (!gw_str_eq(r->label[i], label[i]))
			return false;
	return true;
}

static void index_row(struct dp_metrics *m, struct dp_row *r)
{
	size_t i = (size_t)r->hash & (m->buckets - 1);

	while (m->index[i])
		i = (i + 1) & (m->buckets - 1);
	m->index[i] = r;
}

static struct dp_row *new_row(struct dp_metrics *m, enum gw_metric_set set, uint64_t hash, const struct gw_str *label)
{
	const struct gw_metric_set_about *about = gw_metric_set(set);
	size_t slots = about->n_slots * sizeof(uint64_t), texts = 0;
	struct dp_row *r;
	char *at;

	for (size_t i = 0; i < about->n_labels; i++)
		texts += label[i].n;
	r = gw_alloc(sizeof *r + slots + texts);
	r->set = set;
	r->hash = hash;
	at = (char *)r->slot + slots;
	for (size_t i = 0; i < about->n_labels; at += label[i].n, i++) {
		memcpy(at, label[i].p, label[i].n);
		r->label[i] = (struct gw_str){ at, label[i].n };
	}
	if (2 * (m->n + 1) > m->buckets) {
		free(m->index);
		m->buckets *= 2;
		m->index = gw_alloc(m->buckets * sizeof *m->index);
		for (size_t i = 0; i < m->n; i++)
			index_row(m, m->rows[i]);
	}
	index_row(m, r);
	m->rows[m->n] = r;
	m->in_set[set]++;
	atomic_store_explicit(&m->n, m->n + 1, memory_order_release);
	return r;
}

/* The labels as they are counted: not absent, not too long. */
static uint64_t normalise(enum gw_metric_set set, struct gw_str *label)
{
	uint64_t h = 0x51ed270b0a1f3b7du + set;
	size_t n = gw_metric_set(set)->n_labels;

	for (size_t i = 0; i < GW_METRIC_LABELS; i++) {
		if (i >= n)
			label[i] = GW_STR_NONE;
		else if (label[i].n == 0)
			label[i] = GW_STR("none");
		else if (label[i].n > GW_METRIC_LABEL_MAX)
			label[i].n = GW_METRIC_LABEL_MAX;
		h = hash_of(h, label[i]);
	}
	return h;
}

static struct dp_row *find(const struct dp_metrics *m, enum gw_metric_set set, uint64_t hash, const struct gw_str *label)
{
	for (size_t i = (size_t)hash & (m->buckets - 1); m->index[i]; i = (i + 1) & (m->buckets - 1))
		if (is_row(m->index[i], set, hash, label))
			return m->index[i];
	return NULL;
}

/* `label` holds GW_METRIC_LABELS texts and is changed. */
static struct dp_row *row_of(struct dp_metrics *m, enum gw_metric_set set, struct gw_str *label)
{
	uint64_t hash = normalise(set, label);
	struct dp_row *r = find(m, set, hash, label);

	if (r)
		return r;
	if (m->in_set[set] + 1 >= gw_metric_set(set)->max_rows && gw_metric_set(set)->n_labels > 0) {
		for (size_t i = 0; i < GW_METRIC_LABELS; i++)
			label[i] = GW_STR("other");
		hash = normalise(set, label);
		r = find(m, set, hash, label);
	}
	return r ? r : new_row(m, set, hash, label);
}

static struct dp_row *row_for(struct dp_metrics *m, enum gw_metric_set set, struct gw_str a, struct gw_str b)
{
	return row_of(m, set, (struct gw_str[GW_METRIC_LABELS]){ a, b });
}

/* ---- models ---- */

static bool is_configured(const struct dp_request_facts *f)
{
	if (f->model_ours)
		return true;
	for (size_t i = 0; f->provider && i < f->provider->models.n; i++)
		if (gw_str_eq(f->provider->models.v[i], f->model))
			return true;
	for (size_t i = 0; f->route && i < f->route->n_models; i++)
		if (f->route->models[i].type == GW_MATCH_EXACT && gw_str_eq(f->route->models[i].value, f->model))
			return true;
	return false;
}

/* A row that is there already needs no proof: only configured names made one. */
static struct dp_row *traffic_row(struct dp_metrics *m, const struct dp_request_facts *f)
{
	struct gw_str label[GW_METRIC_LABELS] = {
		f->route ? f->route->name : GW_STR_NONE, f->provider ? f->provider->name : GW_STR_NONE,
		f->provider ? f->model : GW_STR_NONE,
	};
	struct gw_str model = label[2];
	uint64_t hash = normalise(GW_SET_TRAFFIC, label);
	struct dp_row *r = find(m, GW_SET_TRAFFIC, hash, label);

	if (r)
		return r;
	if (model.n > 0 && !is_configured(f))
		model = GW_STR("other");
	label[2] = model;
	return row_of(m, GW_SET_TRAFFIC, label);
}

/* ---- counting ---- */

struct dp_metrics *dp_metrics_open(void)
{
	struct dp_metrics *m = gw_alloc(sizeof *m);

	m->buckets = FIRST_BUCKETS;
	m->index = gw_alloc(m->buckets * sizeof *m->index);
	m->worker = row_for(m, GW_SET_WORKER, GW_STR_NONE, GW_STR_NONE);
	return m;
}

void dp_metrics_close(struct dp_metrics **mp)
{
	struct dp_metrics *m = *mp;

	if (!m)
		return;
	*mp = NULL;
	for (size_t i = 0; i < m->n; i++)
		free(m->rows[i]);
	free(m->index);
	free(m);
}

/* One loop writes, others read: no locked instruction is needed. */
static void more(_Atomic int64_t *v, int64_t n)
{
	atomic_store_explicit(v, atomic_load_explicit(v, memory_order_relaxed) + n, memory_order_relaxed);
}

static uint64_t positive(int64_t n)
{
	return n > 0 ? (uint64_t)n : 0;
}

static void add_tokens(struct dp_row *r, size_t at, const struct gw_tokens *t)
{
	add(r, at + GW_TOKENS_PROMPT, positive(t->prompt));
	add(r, at + GW_TOKENS_CACHED, positive(t->cached));
	add(r, at + GW_TOKENS_CACHE_WRITE, positive(t->cache_write));
	add(r, at + GW_TOKENS_COMPLETION, positive(t->completion));
	add(r, at + GW_TOKENS_REASONING, positive(t->reasoning));
}

static void add_traffic(struct dp_row *r, const struct dp_request_facts *f, size_t class)
{
	add(r, GW_AT(TRAFFIC, ENDED) + class * GW_END_COUNT + f->end, 1);
	if (f->provider) {
		add_tokens(r, GW_AT(TRAFFIC, TOKENS), &f->tokens);
		add(r, GW_AT(TRAFFIC, ESTIMATED), f->estimated);
		add(r, GW_AT(TRAFFIC, BAD_EVENTS), f->bad_events);
		if (f->tokens.prompt > 0)
			observe(r, GW_AT(TRAFFIC, INPUT), GW_HISTOGRAM_TOKENS, (uint64_t)f->tokens.prompt);
		if (f->tokens.completion > 0)
			observe(r, GW_AT(TRAFFIC, OUTPUT), GW_HISTOGRAM_TOKENS, (uint64_t)f->tokens.completion);
	}
	if (f->total_us >= 0)
		observe(r, GW_AT(TRAFFIC, DURATION), GW_HISTOGRAM_SECONDS, (uint64_t)f->total_us);
	if (f->first_token_us < 0)
		return;
	observe(r, GW_AT(TRAFFIC, FIRST_TOKEN), GW_HISTOGRAM_FIRST, (uint64_t)f->first_token_us);
	if (f->tokens.completion > 1 && f->total_us > f->first_token_us && f->end == GW_END_COMPLETE)
		observe(r, GW_AT(TRAFFIC, PER_TOKEN), GW_HISTOGRAM_PER_TOKEN,
		        (uint64_t)(f->total_us - f->first_token_us) / (uint64_t)(f->tokens.completion - 1));
}

static void add_consumer(struct dp_row *r, const struct dp_request_facts *f, size_t class)
{
	add(r, GW_AT(CONSUMER, STATUS) + class, 1);
	add_tokens(r, GW_AT(CONSUMER, TOKENS), &f->tokens);
	add(r, GW_AT(CONSUMER, LIMITED), f->limited);
	if (f->total_us >= 0)
		observe(r, GW_AT(CONSUMER, DURATION), GW_HISTOGRAM_SECONDS, (uint64_t)f->total_us);
	if (f->first_token_us >= 0)
		observe(r, GW_AT(CONSUMER, FIRST_TOKEN), GW_HISTOGRAM_FIRST, (uint64_t)f->first_token_us);
}

/* `model` as its traffic row has it: configured, or `other`. */
static void add_spend(struct dp_metrics *m, const struct dp_request_facts *f, const struct dp_row *traffic, struct gw_str consumer)
{
	struct gw_str label[GW_METRIC_LABELS] = { traffic->label[0], traffic->label[1], traffic->label[2], f->currency };

	if (f->cost <= 0)
		return;
	add(row_of(m, GW_SET_SPEND, label), 0, (uint64_t)f->cost);
	add(row_for(m, GW_SET_CONSUMER_SPEND, consumer, f->currency), 0, (uint64_t)f->cost);
}

void dp_metrics_request(struct dp_metrics *m, const struct dp_request_facts *f)
{
	size_t class = f->status / 100 < GW_STATUS_CLASSES ? f->status / 100 : GW_STATUS_CLASSES - 1;
	struct gw_str consumer = f->consumer ? f->consumer->name : GW_STR_NONE;

	struct dp_row *traffic = traffic_row(m, f);

	add_traffic(traffic, f, class);
	add_spend(m, f, traffic, consumer);
	add_consumer(row_for(m, GW_SET_CONSUMER, consumer, GW_STR_NONE), f, class);
	if (f->overhead_us >= 0)
		observe(m->worker, GW_AT(WORKER, OVERHEAD), GW_HISTOGRAM_FINE, (uint64_t)f->overhead_us);
	if (f->queue_us >= 0)
		observe(m->worker, GW_AT(WORKER, QUEUE), GW_HISTOGRAM_SECONDS, (uint64_t)f->queue_us);
	if (f->rejected)
		add(row_for(m, GW_SET_REFUSED, gw_str_c(f->rejected), GW_STR_NONE), 0, 1);
	if (f->rejected && f->limited)
		add(row_for(m, GW_SET_LIMITED, consumer, gw_str_c(f->rejected)), 0, 1);
	more(&m->requests, 1);
	if (class == GW_STATUS_CLASSES - 1)
		more(&m->errors, 1);
}

void dp_metrics_attempt(struct dp_metrics *m, struct gw_str provider, const char *result)
{
	add(row_for(m, GW_SET_ATTEMPT, provider, gw_str_c(result)), 0, 1);
}

void dp_metrics_again(struct dp_metrics *m, struct gw_str provider, bool fallback)
{
	add(row_for(m, GW_SET_PROVIDER, provider, GW_STR_NONE),
	    fallback ? GW_AT(PROVIDER, FALLBACKS) : GW_AT(PROVIDER, RETRIES), 1);
}

void dp_metrics_loop_delay(struct dp_metrics *m, int64_t us)
{
	observe(m->worker, GW_AT(WORKER, LOOP_DELAY), GW_HISTOGRAM_FINE, positive(us));
}

void dp_metrics_counters_wait(struct dp_metrics *m, int64_t us)
{
	observe(m->worker, GW_AT(WORKER, COUNTERS_WAIT), GW_HISTOGRAM_FIRST, positive(us));
}

void dp_metrics_in_flight(struct dp_metrics *m, int delta)
{
	more(&m->in_flight, delta);
}

/* ---- any thread ---- */

static int64_t peek(const _Atomic int64_t *v)
{
	return atomic_load_explicit((_Atomic int64_t *)(uintptr_t)v, memory_order_relaxed);
}

int64_t dp_metrics_in_flight_of(const struct dp_metrics *m) { return peek(&m->in_flight); }
int64_t dp_metrics_requests_of(const struct dp_metrics *m) { return peek(&m->requests); }
int64_t dp_metrics_errors_of(const struct dp_metrics *m) { return peek(&m->errors); }

size_t dp_metrics_rows(const struct dp_metrics *m)
{
	return atomic_load_explicit(&((struct dp_metrics *)(uintptr_t)m)->n, memory_order_acquire);
}

const struct dp_row *dp_metrics_row(const struct dp_metrics *m, size_t i)
{
	return m->rows[i];
}
