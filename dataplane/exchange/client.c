/*
 * client.c - a client's connection.
 *
 * Requests are served one after another; what a client sends ahead waits in a bounded backlog.  Its FIN counts as
 * gone: an abort and a half-close look the same on the wire, and answering an abort would cost money for nobody.
 */
#include <stdlib.h>

#include "base/log.h"
#include "base/str.h"
#include "base/time.h"
#include "exchange/impl.h"
#include "net/listen.h"

static void feed(struct dp_client *c, struct gw_str in);
static void go_on(struct dp_deferred *d);

static void go_on_later(struct dp_client *c)
{
	if (c->backlog.n > 0 && !c->backlog_set) {
		c->backlog_set = true;
		dp_loop_defer(c->shard->loop, &c->later, go_on);
	}
}

void dp_client_settings(struct dp_client *c)
{
	struct dp_h1_limits lim = { 0 };
	const struct gw_dp_settings *st;

	if (!c->shard->snapshot)
		return;
	st = gw_snapshot_settings(c->shard->snapshot);
	if (c->conn)
		dp_conn_set_mark(c->conn, (size_t)st->stream_buffer_bytes);
	lim.max_line = (size_t)st->max_request_line_bytes;
	lim.max_head = (size_t)st->max_header_bytes;
	lim.max_headers = (size_t)st->max_headers;
	lim.max_body = st->max_body_bytes;
	dp_h1_set_limits(c->parser, &lim);
}

/* A client that is saying what it wants, half a head or half a handshake, keeps a draining worker waiting. */
static void set_beginning(struct dp_client *c, bool is)
{
	if (c->beginning == is)
		return;
	c->beginning = is;
	if (is)
		atomic_fetch_add_explicit(&c->shard->beginning, 1, memory_order_relaxed);
	else
		atomic_fetch_sub_explicit(&c->shard->beginning, 1, memory_order_relaxed);
}

static struct dp_exchange *open_exchange(struct dp_client *c)
{
	set_beginning(c, false); /* from now on it counts as in flight */
	return dp_x_open(c);
}

static void free_client(struct dp_deferred *d)
{
	struct dp_client *c = GW_CONTAINER(d, struct dp_client, dead);

	dp_h1_close(&c->parser);
	gw_buf_fini(&c->backlog);
	c->magic = 0;
	free(c);
}

/* The memory lives until the end of the turn: callers up the stack may still look at it. */
static void release(struct dp_client *c)
{
	if (c->gone)
		return;
	c->gone = true;
	set_beginning(c, false);
	dp_timer_stop(&c->timer);
	gw_list_del(&c->node);
	c->shard->n_clients--;
	dp_client_gone();
	if (!c->backlog_set)
		dp_loop_defer(c->shard->loop, &c->dead, free_client);
}

void dp_client_close(struct dp_client *c)
{
	dp_conn_close(&c->conn);
	release(c);
}

static void finish_and_release(struct dp_client *c)
{
	dp_conn_finish(&c->conn, 2000);
	release(c);
}

static const struct gw_dp_settings *settings_of(const struct dp_client *c)
{
	return c->shard->snapshot ? gw_snapshot_settings(c->shard->snapshot) : NULL;
}

/*
 * How long what it does between requests may take.  Twice a request the limit is another one, nearly never is it
 * reached: so a timer that is set already stays, looks when it fires, and is set again.
 */
static void limit(struct dp_client *c, int64_t ms)
{
	c->due_ms = dp_loop_now(c->shard->loop) + ms;
	if (!dp_timer_armed(&c->timer) || c->due_ms < c->timer.due_ms)
		dp_loop_timer(c->shard->loop, &c->timer, ms);
}

static void idle(struct dp_client *c)
{
	const struct gw_dp_settings *st = settings_of(c);

	c->begun_us = 0;
	limit(c, st ? st->keepalive_idle_ms : 75000);
}

static void on_timer(struct dp_timer *t)
{
	struct dp_client *c = GW_CONTAINER(t, struct dp_client, timer);

	GW_CHECK(c, DP_CLIENT_MAGIC);
	if (c->x)
		return; /* it has limits of its own */
	if (c->due_ms > dp_loop_now(c->shard->loop)) {
		limit(c, c->due_ms - dp_loop_now(c->shard->loop));
		return;
	}
	if (!dp_h1_begun(c->parser)) {
		finish_and_release(c);
		return;
	}
	c->x = open_exchange(c);
	dp_answer_error(c->x, DP_E_REQUEST_TIMEOUT, "The request's head did not arrive in time.");
}

/* ---- bytes in ---- */

static void await_head(struct dp_client *c)
{
	const struct gw_dp_settings *st = settings_of(c);

	limit(c, st ? st->header_timeout_ms : 10000);
}

/* One event of the parser.  false: stop feeding. */
static bool take_event(struct dp_client *c, enum dp_h1_event ev, struct gw_str slice)
{
	switch (ev) {
	case DP_H1_NEED:
		return false;
	case DP_H1_HEAD:
		assert(!c->x);
		c->x = open_exchange(c);
		dp_x_head(c->x, dp_h1_head(c->parser));
		return c->x != NULL && !c->closing;
	case DP_H1_BODY:
		if (c->x)
			dp_x_body(c->x, slice);
		return c->x != NULL && !c->closing;
	case DP_H1_END:
		if (c->x)
			dp_x_whole(c->x);
		return false;
	case DP_H1_ERROR:
		if (!c->x)
			c->x = open_exchange(c);
		if (!c->x->ended && c->x->step <= DP_STEP_BODY)
			dp_answer_refusal(c->x, dp_h1_refusal(c->parser));
		return false;
	}
	return false;
}

/* The request was refused while it was still arriving: the connection closes after the answer, the rest is nothing. */
static bool answered_early(const struct dp_client *c)
{
	return c->x && c->x->head_sent && !c->x->whole;
}

static void keep_backlog(struct dp_client *c, struct gw_str rest)
{
	if (rest.n == 0)
		return;
	gw_buf_add(&c->backlog, rest); /* at most one read above the mark, so its ceiling is never met */
	if (c->backlog.n > DP_BACKLOG_MAX && c->conn)
		dp_conn_pause(c->conn);
}

static void feed(struct dp_client *c, struct gw_str in)
{
	bool more = true;

	if (c->closing || !c->conn || answered_early(c))
		return;
	if (c->backlog.n > 0 || (c->x && (c->x->whole || c->x->ended))) {
		keep_backlog(c, in);
		return;
	}
	while (more && c->conn && !c->closing) {
		size_t used = 0;
		struct gw_str slice = GW_STR_NONE;
		enum dp_h1_event ev = dp_h1_feed(c->parser, in, &used, &slice);

		in = gw_str_from(in, used);
		if (!c->begun_us && dp_h1_begun(c->parser)) {
			c->begun_us = gw_mono_us();
			if (ev == DP_H1_NEED)
				await_head(c);
		}
		more = take_event(c, ev, slice) && !answered_early(c);
	}
	if (c->conn && !c->closing && !answered_early(c)) {
		keep_backlog(c, in);
		if (!c->x) {
			set_beginning(c, dp_h1_begun(c->parser));
			go_on_later(c);
		}
	}
}

static void on_read(void *arg, struct gw_str bytes)
{
	struct dp_client *c = arg;

	GW_CHECK(c, DP_CLIENT_MAGIC);
	c->last_ms = dp_loop_now(c->shard->loop);
	if (c->x)
		dp_crash_at(c->shard->crash, c->x);
	feed(c, bytes);
}

static void on_end(void *arg, enum dp_net_end how)
{
	struct dp_client *c = arg;

	GW_CHECK(c, DP_CLIENT_MAGIC);
	(void)how;
	if (c->x)
		dp_x_gone(c->x);
	else
		dp_client_close(c);
}

static void on_drain(void *arg)
{
	struct dp_client *c = arg;

	if (c->x)
		dp_relay_resume(c->x);
}

static const struct dp_conn_ops client_ops = { .on_read = on_read, .on_end = on_end, .on_drain = on_drain, .fin_is_gone = true };

/* ---- one request after another ---- */

static void go_on(struct dp_deferred *d)
{
	struct dp_client *c = GW_CONTAINER(d, struct dp_client, later);
	struct gw_buf pending;

	c->backlog_set = false;
	if (c->gone) {
		free_client(&c->dead);
		return;
	}
	if (c->x || c->closing || !c->conn)
		return;
	pending = c->backlog;
	gw_buf_init(&c->backlog, DP_BACKLOG_MAX + DP_LOOP_READ_BYTES * 2);
	dp_conn_resume(c->conn);
	feed(c, gw_buf_str(&pending));
	gw_buf_fini(&pending);
}

void dp_client_next(struct dp_client *c)
{
	bool close_now = c->closing || c->shard->draining || !c->conn;

	c->x = NULL;
	c->served = true;
	if (close_now) {
		c->closing = true;
		if (c->conn)
			finish_and_release(c);
		else
			release(c);
		return;
	}
	dp_h1_next(c->parser);
	dp_client_settings(c);
	idle(c);
	go_on_later(c);
}

/* The handshake is over.  Whoever failed it has been sent an alert; plain HTTP where TLS is required gets nothing. */
static void on_tls(void *arg, const char *text)
{
	struct dp_client *c = arg;

	GW_CHECK(c, DP_CLIENT_MAGIC);
	if (!text) {
		await_head(c);
		if (c->shard->draining)
			limit(c, DP_AFTER_HANDSHAKE_MS);
		return;
	}
	if (gw_log_on(GW_LOG_DEBUG))
		gw_log(GW_LOG_DEBUG, "client", GW_STR_NONE, "refused before TLS was up", "%s", text);
	c->closing = true;
	finish_and_release(c);
}

/*
 * Between requests, or on the way to the first.  One that has been served and has nothing in its socket may go at once.
 * One that was accepted a moment ago mostly has a request on its way that was not read yet: it gets DP_UNREAD_MS to show
 * it.  Whoever has begun to speak gets the time that heads and handshakes have.
 */
void dp_client_drain(struct dp_client *c)
{
	if (c->x) {
		c->x->close_after = true;
	} else if (dp_conn_shaking(c->conn)) {
		set_beginning(c, true); /* until its request is here */
	} else if (c->backlog.n > 0 || dp_h1_begun(c->parser)) {
		return;
	} else if (c->served && dp_conn_quiet(c->conn)) {
		c->closing = true;
		dp_client_next(c);
	} else {
		limit(c, DP_UNREAD_MS);
	}
}

static void on_client(void *shard, struct dp_conn *conn)
{
	struct dp_shard *s = shard;
	struct dp_client *c = gw_alloc(sizeof *c);

	GW_CHECK(s, DP_SHARD_MAGIC);
	c->magic = DP_CLIENT_MAGIC;
	c->shard = s;
	c->conn = conn;
	c->parser = dp_h1_open(DP_H1_REQUEST, &(struct dp_h1_limits){ 0 });
	gw_buf_init(&c->backlog, DP_BACKLOG_MAX + DP_LOOP_READ_BYTES * 2);
	dp_timer_init(&c->timer, on_timer);
	gw_list_add_tail(&s->clients, &c->node);
	s->n_clients++;
	dp_client_settings(c);
	if (s->tls)
		dp_conn_serve(conn, s->tls, on_tls, c);
	dp_conn_bind(conn, &client_ops, c);
	await_head(c); /* whoever connects must say something within the head's limit */
	if (s->tls)
		limit(c, DP_TLS_HANDSHAKE_MS);
}

static void on_full(void *shard, struct dp_conn *conn)
{
	struct dp_shard *s = shard;

	GW_CHECK(s, DP_SHARD_MAGIC);
	if (s->tls)
		dp_turn_away_tls(conn, dp_tls_server_takes_plain(s->tls));
	else
		dp_turn_away(conn);
}

const struct dp_listener_ops dp_shard_door = { .on_client = on_client, .on_full = on_full };
