/* telemetry.c - see telemetry.h. */
#include "apply/telemetry.h"

#include <stdlib.h>

#include "base/log.h"
#include "base/map.h"
#include "base/str.h"
#include "base/time.h"
#include "observe/series.h"
#include "wire.h"

#define MAX_POOLS  4096
#define PING_MS    1000
#define MOST_AHEAD 4             /* messages sent and not acknowledged */

struct dp_telemetry {
	struct dp_fleet *fleet;
	struct dp_ledger *ledger;
	struct dp_series *series;
	int64_t turn;                /* number of the ten seconds that the last cut ended */
	int64_t next_ping_ms, sent_seq, acked_seq;
	json_t *providers_out;       /* as of the last cut; NULL: there was none yet */
};

struct dp_telemetry *dp_telemetry_open(struct dp_fleet *f, struct dp_ledger *l)
{
	struct dp_telemetry *t = gw_alloc(sizeof *t);

	t->fleet = f;
	t->ledger = l;
	t->series = dp_series_open();
	t->turn = gw_now_ms() / DP_SERIES_EVERY_MS;
	return t;
}

void dp_telemetry_close(struct dp_telemetry **tp)
{
	struct dp_telemetry *t = *tp;

	if (!t)
		return;
	*tp = NULL;
	dp_series_close(&t->series);
	json_decref(t->providers_out);
	free(t);
}

/* ---- connections to providers ---- */

struct pools { struct dp_pool_gauge *v; struct gw_arena *a; struct gw_map *at; size_t n; };

static struct dp_pool_gauge *gauge_of(struct pools *p, struct gw_str provider)
{
	struct dp_pool_gauge *g = gw_map_get(p->at, provider);

	if (g || p->n == MAX_POOLS)
		return g;
	g = &p->v[p->n++];
	*g = (struct dp_pool_gauge){ .provider = gw_arena_copy(p->a, provider) }; /* the pool may be gone later */
	gw_map_put(p->at, g->provider, g);
	return g;
}

static void collect_pools(struct dp_shard *s, void *arg)
{
	struct pools *p = arg;
	struct dp_pool_count *c = gw_alloc(MAX_POOLS * sizeof *c);
	size_t n = dp_pools_count(dp_shard_pools(s), c, MAX_POOLS);

	for (size_t i = 0; i < n; i++) {
		struct dp_pool_gauge *g = gauge_of(p, c[i].provider);

		if (!g)
			continue;
		g->idle += c[i].idle;
		g->busy += c[i].busy;
		g->waiting += c[i].waiting;
		/* Health is shared by all loops: each tells the same, as far as it has a pool. */
		g->keys_out = c[i].keys_out > g->keys_out ? c[i].keys_out : g->keys_out;
		g->endpoints_out = c[i].endpoints_out > g->endpoints_out ? c[i].endpoints_out : g->endpoints_out;
		g->is_out |= c[i].is_out;
	}
	free(c);
}

size_t dp_telemetry_pools(struct dp_fleet *f, struct gw_arena *a, struct dp_pool_gauge **out)
{
	struct pools p = { gw_arena_alloc(a, MAX_POOLS * sizeof *p.v), a, gw_map_open(256), 0 };

	for (size_t i = 0; i < dp_fleet_size(f); i++)
		dp_fleet_on(f, i, collect_pools, &p);
	gw_map_close(&p.at);
	*out = p.v;
	return p.n;
}

/* ---- cuts ---- */

static void sample(struct dp_telemetry *t, struct dp_sample *out)
{
	struct gw_arena *a = gw_arena_open(0);
	struct dp_pool_gauge *pools;
	struct gw_process p;
	size_t n = dp_telemetry_pools(t->fleet, a, &pools);

	gw_process_read(&p);
	*out = (struct dp_sample){
		.in_flight = (int64_t)dp_fleet_busy(t->fleet), .connections = (int64_t)dp_client_count(), .memory = p.rss_bytes, .cpu_us = p.cpu_us,
		.usage_queued = (int64_t)dp_ledger_queued(t->ledger), .usage_dropped = dp_ledger_dropped(t->ledger),
	};
	json_decref(t->providers_out);
	t->providers_out = json_array();
	for (size_t i = 0; i < n; i++) {
		out->upstream_busy += (int64_t)pools[i].busy;
		out->upstream_idle += (int64_t)pools[i].idle;
		if (pools[i].is_out && json_array_size(t->providers_out) < GW_WIRE_PROVIDERS_OUT)
			json_array_append_new(t->providers_out, json_stringn_nocheck(pools[i].provider.p, pools[i].provider.n));
	}
	gw_arena_close(&a);
}

static void cut(struct dp_telemetry *t)
{
	size_t n = dp_fleet_size(t->fleet);
	struct dp_metrics **m = gw_alloc(n * sizeof *m);
	struct dp_sample now;

	sample(t, &now);
	for (size_t i = 0; i < n; i++)
		m[i] = dp_shard_metrics(dp_fleet_shard(t->fleet, i));
	dp_series_cut(t->series, m, n, &now, gw_mono_ms());
	free(m);
}

void dp_telemetry_tick(struct dp_telemetry *t)
{
	int64_t turn = gw_now_ms() / DP_SERIES_EVERY_MS, now = gw_mono_ms();

	if (now >= t->next_ping_ms) {
		dp_fleet_ping(t->fleet);
		t->next_ping_ms = now + PING_MS;
	}
	if (turn == t->turn)
		return;
	t->turn = turn;
	cut(t);
}

json_t *dp_telemetry_providers_out(const struct dp_telemetry *t)
{
	return t->providers_out ? json_incref(t->providers_out) : json_array();
}

void dp_telemetry_last(struct dp_telemetry *t)
{
	cut(t);
}

/* ---- sending ---- */

void dp_telemetry_send(struct dp_telemetry *t, const char *boot_id, void (*send)(void *arg, struct gw_str text), void *arg)
{
	struct gw_buf b;

	gw_buf_init(&b, GW_WIRE_MAX_TEXT);
	while (t->sent_seq < t->acked_seq + MOST_AHEAD) {
		gw_buf_clear(&b);
		if (!dp_series_next(t->series, boot_id, t->sent_seq, gw_mono_ms(), &b, &t->sent_seq))
			break;
		if (b.full)
			gw_log(GW_LOG_ALERT, "channel", GW_STR_NONE, "a message of series is larger than a message may be", NULL);
		else
			send(arg, gw_buf_str(&b));
	}
	gw_buf_fini(&b);
}

void dp_telemetry_again(struct dp_telemetry *t)
{
	t->sent_seq = t->acked_seq;
}

void dp_telemetry_ack(struct dp_telemetry *t, int64_t seq)
{
	if (seq <= t->acked_seq || seq > t->sent_seq)
		return;
	t->acked_seq = seq;
	dp_series_ack(t->series, seq);
}

bool dp_telemetry_settled(const struct dp_telemetry *t)
{
	return dp_series_waiting(t->series) == 0;
}
