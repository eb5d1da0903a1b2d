/* admin.c - health, metrics, snapshot, drain. */
#include "admin.h"

#include <stdio.h>
#include <stdlib.h>

#include "apply/telemetry.h"
#include "base/bytes.h"
#include "base/log.h"
#include "base/str.h"
#include "base/time.h"
#include "http/h1.h"
#include "http/h1_write.h"

#define SILENCE_MS 10000

struct dp_admin {
	struct dp_loop *loop;
	struct dp_listener *listener;
	struct dp_admin_sources from;
	struct gw_node visitors;
};

/* Megabytes of metrics may go to a scraper that is busy with others: it may take nothing for so long before it is given up. */
#define PATIENCE_MS 10000

struct visitor {
	struct gw_node node;
	struct dp_admin *admin;
	struct dp_conn *conn;
	struct dp_h1 *parser;
	struct dp_timer timer;
	struct dp_deferred dead;
	bool gone;
};

static void free_visitor(struct dp_deferred *d)
{
	struct visitor *v = GW_CONTAINER(d, struct visitor, dead);

	dp_h1_close(&v->parser);
	free(v);
}

static void leave(struct visitor *v, bool politely)
{
	if (v->gone)
		return;
	v->gone = true;
	gw_list_del(&v->node);
	dp_timer_stop(&v->timer);
	if (politely)
		dp_conn_finish(&v->conn, PATIENCE_MS);
	else
		dp_conn_close(&v->conn);
	dp_loop_defer(v->admin->loop, &v->dead, free_visitor);
}

static void answer(struct visitor *v, unsigned status, const char *type, struct gw_str body)
{
	const struct dp_head *h = dp_h1_head(v->parser);
	struct gw_buf out;
	struct gw_str all;

	gw_buf_init(&out, 64u << 20);
	dp_write_status_line(&out, status);
	dp_write_header(&out, "content-type", gw_str_c(type));
	dp_write_header_int(&out, "content-length", (int64_t)body.n);
	dp_write_header(&out, "cache-control", GW_STR("no-store"));
	if (!h || !h->keep_alive)
		dp_write_header(&out, "connection", GW_STR("close"));
	dp_write_head_end(&out);
	if (!h || !gw_str_is(h->method, "HEAD"))
		gw_buf_add(&out, body);
	all = gw_buf_str(&out);
	dp_conn_write(v->conn, &all, 1);
	gw_buf_fini(&out);
	if (!h || !h->keep_alive)
		leave(v, true);
}

/* ---- figures of the other loops ---- */

static void add_observers(struct dp_gauges *g, const struct dp_shared *w)
{
	if (w->access_log) {
		g->access_written = (int64_t)dp_access_log_written(w->access_log);
		g->access_dropped = (int64_t)dp_access_log_dropped(w->access_log);
	}
	if (w->captures) {
		g->captures_kept = (int64_t)dp_captures_kept(w->captures);
		g->captures_dropped = (int64_t)dp_captures_dropped(w->captures);
	}
	if (w->otlp) {
		g->spans_sent = (int64_t)dp_otlp_sent(w->otlp);
		g->spans_dropped = (int64_t)dp_otlp_dropped(w->otlp);
	}
}

static void metrics(struct visitor *v)
{
	const struct dp_admin_sources *f = &v->admin->from;
	struct gw_snapshot *s = dp_fleet_snapshot(f->fleet);
	struct gw_arena *a = gw_arena_open(0);
	struct dp_pool_gauge *pools;
	size_t n = dp_fleet_size(f->fleet);
	struct dp_metrics **m = gw_alloc(n * sizeof *m);
	struct dp_gauges g = {
		.client_connections = (int64_t)dp_client_count(), .snapshot_revision = s ? (int64_t)gw_snapshot_revision(s) : 0,
		.snapshot_age_s = s ? (gw_mono_ms() - dp_fleet_applied_ms(f->fleet)) / 1000 : 0,
		.control_up = f->control_up && f->control_up(f->arg), .log_dropped = (int64_t)gw_log_dropped(),
	};
	struct dp_counters_figures counters;
	struct gw_buf out;

	dp_counters_figures(dp_fleet_counters(f->fleet), &counters);
	g.reservations = counters.reservations;
	g.counters = counters.keys;
	g.limit_refusals = counters.refusals;
	g.counters_away = counters.away;
	g.degraded = counters.degraded;
	if (f->ledger) {
		g.usage_queued = (int64_t)dp_ledger_queued(f->ledger);
		g.usage_dropped = dp_ledger_dropped(f->ledger);
		g.usage_spooled = (int64_t)dp_ledger_spooled(f->ledger);
		g.usage_torn = dp_ledger_torn(f->ledger);
	}
	g.memory_limit = (int64_t)f->memory.bytes;
	g.memory_by = f->memory.by;
	g.bodies = (int64_t)dp_bodies_held();
	add_observers(&g, dp_fleet_shared(f->fleet));
	for (size_t i = 0; i < n; i++)
		m[i] = dp_shard_metrics(dp_fleet_shard(f->fleet, i));
	dp_fleet_ping(f->fleet);
	g.n_pools = dp_telemetry_pools(f->fleet, a, &pools);
	g.pools = pools;
	gw_buf_init(&out, 32u << 20);
	dp_metrics_text(&out, m, n, &g);
	answer(v, 200, "text/plain; version=0.0.4; charset=utf-8", gw_buf_str(&out));
	gw_buf_fini(&out);
	gw_snapshot_unref(&s);
	gw_arena_close(&a);
	free(m);
}

static void snapshot(struct visitor *v)
{
	struct gw_snapshot *s = dp_fleet_snapshot(v->admin->from.fleet);
	char text[400], hex[GW_HEX_LEN(32)] = "";
	struct gw_digest state;

	if (!s) {
		answer(v, 503, "application/json", GW_STR("{\"revision\":null,\"digest\":null}\n"));
		return;
	}
	gw_snapshot_state(&state, s);
	gw_hex(hex, state.sha256, 32);
	snprintf(text, sizeof text, "{\"epoch\":\"%.*s\",\"revision\":%llu,\"digest\":\"%s\",\"unknown\":%zu,\"age_s\":%lld}\n",
	         GW_FMT(gw_snapshot_epoch(s)), (unsigned long long)gw_snapshot_revision(s), hex, gw_snapshot_unknown(s),
	         (long long)((gw_mono_ms() - dp_fleet_applied_ms(v->admin->from.fleet)) / 1000));
	gw_snapshot_unref(&s);
	answer(v, 200, "application/json", gw_str_c(text));
}

static void ready(struct visitor *v)
{
	struct gw_snapshot *s = dp_fleet_snapshot(v->admin->from.fleet);
	bool has = s != NULL;

	gw_snapshot_unref(&s);
	if (dp_fleet_draining(v->admin->from.fleet))
		answer(v, 503, "text/plain", GW_STR("draining\n"));
	else if (!has)
		answer(v, 503, "text/plain", GW_STR("no configuration yet\n"));
	else
		answer(v, 200, "text/plain", GW_STR("ready\n"));
}

static void serve(struct visitor *v)
{
	const struct dp_head *h = dp_h1_head(v->parser);
	struct gw_str target = h->target, path = gw_str_cut(&target, '?');
	bool get = gw_str_is(h->method, "GET") || gw_str_is(h->method, "HEAD");

	if (gw_str_is(path, "/drain") && gw_str_is(h->method, "POST")) {
		v->admin->from.drain(v->admin->from.arg);
		answer(v, 202, "text/plain", GW_STR("draining\n"));
	} else if (gw_str_is(path, "/drain") || !get) {
		answer(v, 405, "text/plain", GW_STR("this path takes another method\n"));
	} else if (gw_str_is(path, "/healthz")) {
		answer(v, 200, "text/plain", GW_STR("ok\n"));
	} else if (gw_str_is(path, "/readyz")) {
		ready(v);
	} else if (gw_str_is(path, "/metrics")) {
		metrics(v);
	} else if (gw_str_is(path, "/snapshot")) {
		snapshot(v);
	} else {
		answer(v, 404, "text/plain", GW_STR("there are /healthz, /readyz, /metrics, /snapshot and POST /drain\n"));
	}
}

/* ---- connections ---- */

static void on_read(void *arg, struct gw_str in)
{
	struct visitor *v = arg;

	dp_loop_timer(v->admin->loop, &v->timer, SILENCE_MS);
	for (;;) {
		size_t used = 0;
		struct gw_str slice;
		enum dp_h1_event ev = dp_h1_feed(v->parser, in, &used, &slice);

		in = gw_str_from(in, used);
		if (ev == DP_H1_NEED)
			return;
		if (ev == DP_H1_ERROR) {
			leave(v, false);
			return;
		}
		if (ev == DP_H1_END) {
			serve(v);
			if (v->gone)
				return;
			dp_h1_next(v->parser);
		}
	}
}

static void on_end(void *arg, enum dp_net_end how)
{
	(void)how;
	leave(arg, false);
}

static void on_timer(struct dp_timer *t)
{
	leave(GW_CONTAINER(t, struct visitor, timer), false);
}

static const struct dp_conn_ops ops = { .on_read = on_read, .on_end = on_end };

static void on_client(void *arg, struct dp_conn *c)
{
	struct dp_admin *a = arg;
	struct visitor *v = gw_alloc(sizeof *v);

	v->admin = a;
	v->conn = c;
	v->parser = dp_h1_open(DP_H1_REQUEST, &(struct dp_h1_limits){ .max_head = 8192, .max_body = 4096 });
	dp_timer_init(&v->timer, on_timer);
	gw_list_add_tail(&a->visitors, &v->node);
	dp_loop_timer(a->loop, &v->timer, SILENCE_MS);
	dp_conn_bind(c, &ops, v);
}

static const struct dp_listener_ops door = { .on_client = on_client };

enum gw_rc dp_admin_open(struct dp_admin **out, const struct dp_addr *at, const struct dp_admin_sources *from,
                         struct dp_addr *bound, struct gw_error *err)
{
	struct dp_admin *a = gw_alloc(sizeof *a);
	enum gw_rc rc;

	a->from = *from;
	a->loop = dp_loop_open(1000);
	gw_list_init(&a->visitors);
	rc = dp_listener_open(&a->listener, a->loop, at, false, &door, a, bound, err);
	if (rc == GW_OK)
		rc = dp_loop_start(a->loop, err);
	if (rc != GW_OK) {
		dp_listener_close(&a->listener);
		dp_loop_close(&a->loop);
		free(a);
		return rc;
	}
	*out = a;
	return GW_OK;
}

static void stop(struct dp_loop *l, void *arg)
{
	struct dp_admin *a = arg;

	dp_listener_close(&a->listener);
	while (!gw_list_empty(&a->visitors))
		leave(GW_CONTAINER(a->visitors.next, struct visitor, node), false);
	dp_loop_stop(l);
}

void dp_admin_close(struct dp_admin **ap)
{
	struct dp_admin *a = *ap;

	if (!a)
		return;
	*ap = NULL;
	dp_loop_post(a->loop, stop, a);
	dp_loop_join(a->loop);
	dp_loop_close(&a->loop);
	free(a);
}
