/*
 * attempt.c - one try at one target.
 *
 * Attempt N depends on nothing of attempt N-1: its own arena, body, head, credential.  All that is carried over is
 * what was tried already.
 */
#include <stdio.h>

#include "base/bytes.h"
#include "base/log.h"
#include "base/str.h"
#include "base/time.h"
#include "exchange/impl.h"

#define SLICE_BYTES (256u << 10)

static void begin(struct dp_exchange *x, struct dp_place place, bool stale_retry);

/* ---- the request that goes out ---- */

static bool is_credential_param(struct gw_str name)
{
	static const char *const names[] = { "key", "api_key", "api-key", "apikey", "access_token", "token" };

	for (size_t i = 0; i < GW_COUNT(names); i++)
		if (gw_str_ieq(name, gw_str_c(names[i])))
			return true;
	return false;
}

static void write_target(struct dp_exchange *x, struct gw_buf *out)
{
	struct gw_str q = x->uri.query;
	char sep = '?';

	gw_buf_add(out, x->head->method);
	gw_buf_add_byte(out, ' ');
	gw_buf_add(out, dp_endpoint_path(x->at.place.endpoint));
	gw_buf_add_c(out, x->op->path);
	while (q.n > 0) {
		struct gw_str pair = gw_str_cut(&q, '&'), rest = pair, name = gw_str_cut(&rest, '=');

		if (pair.n == 0 || is_credential_param(name))
			continue;
		gw_buf_add_byte(out, sep);
		gw_buf_add(out, pair);
		sep = '&';
	}
	gw_buf_add_c(out, " HTTP/1.1\r\n");
}

static bool names_it(const struct gw_pair *v, size_t n, struct gw_str name)
{
	for (size_t i = 0; i < n; i++)
		if (gw_str_ieq(v[i].name, name))
			return true;
	return false;
}

static void add_header(struct gw_buf *out, struct gw_str name, struct gw_str value)
{
	if (dp_header_ok(name, value))
		dp_write_header_known(out, name, value);
}

/* What write_head() says itself and dp_request_header_passes() does not hold back. */
static bool is_ours(const struct dp_exchange *x, struct gw_str name)
{
	if (name.n == 12)
		return gw_str_ieq(name, GW_STR("x-request-id"));
	/* Without spans of our own the caller's go on. */
	return x->trace.span_id[0] && ((name.n == 11 && gw_str_ieq(name, GW_STR("traceparent"))) ||
	                               (name.n == 10 && gw_str_ieq(name, GW_STR("tracestate"))));
}

/* Built from configuration; of the client's headers only what passes and nobody else sets. */
static void write_head(struct dp_exchange *x, struct gw_buf *out)
{
	const struct dp_attempt *t = &x->at;
	const struct gw_provider *p = t->provider;
	struct gw_pair fixed[DP_PROVIDER_MAX_HEADERS];
	size_t n = dp_provider_headers(t->type, p->options, t->place.key ? t->place.key->value : GW_STR_NONE,
	                               x->head->headers, x->head->n_headers, t->a, fixed);

	write_target(x, out);
	dp_write_header(out, "host", dp_endpoint_authority(t->place.endpoint));
	for (size_t i = 0; i < x->head->n_headers; i++) {
		const struct gw_pair *h = &x->head->headers[i];

		if (dp_request_header_passes(x->head->headers, x->head->n_headers, h->name) && !is_ours(x, h->name) &&
		    !names_it(fixed, n, h->name) && !names_it(p->headers, p->n_headers, h->name) &&
		    !dp_header_same(h->name, p->consumer_header))
			dp_write_header_known(out, h->name, h->value); /* the parser has looked at them */
	}
	for (size_t i = 0; i < n; i++)
		if (!names_it(p->headers, p->n_headers, fixed[i].name))
			add_header(out, fixed[i].name, fixed[i].value);
	for (size_t i = 0; i < p->n_headers; i++)
		add_header(out, p->headers[i].name, p->headers[i].value);
	if (p->consumer_header.p && x->consumer)
		add_header(out, p->consumer_header, x->consumer->name);
	dp_write_header(out, "accept-encoding", GW_STR("identity"));
	dp_write_header(out, "x-request-id", gw_str_c(x->id));
	if (x->trace.span_id[0] && x->log.last)
		dp_trace_write(&x->trace, x->log.last->span, out);
	if (x->has_body)
		dp_write_header_int(out, "content-length", (int64_t)t->body.bytes);
	dp_write_head_end(out);
}

/* Hand over the body slice by slice, as fast as the connection takes it. */
void dp_attempt_send(struct dp_exchange *x)
{
	struct dp_attempt *t = &x->at;
	bool go = true;
	struct gw_str v[8];
	size_t n = 0, bytes = 0;

	if (!t->up || t->sent)
		return;
	if (x->step == DP_STEP_CONNECT) {
		gw_buf_clear(&x->shard->head);
		write_head(x, &x->shard->head);
		v[n++] = gw_buf_str(&x->shard->head);
		dp_x_step(x, DP_STEP_SEND);
	}
	while (go && t->part < t->body.n_parts) {
		struct gw_str p = gw_str_from(t->body.parts[t->part], t->part_at);

		if (p.n > SLICE_BYTES)
			p.n = SLICE_BYTES;
		v[n++] = p;
		bytes += p.n;
		t->part_at += p.n;
		if (t->part_at == t->body.parts[t->part].n) {
			t->part++;
			t->part_at = 0;
		}
		if (n == GW_COUNT(v) || bytes >= SLICE_BYTES) {
			go = dp_conn_write(t->up->conn, v, n);
			n = bytes = 0;
		}
	}
	if (n > 0)
		(void)dp_conn_write(t->up->conn, v, n);
	if (t->part == t->body.n_parts) {
		t->sent = true;
		t->sent_ms = dp_x_now(x);
		dp_attempt_log_sent(x);
		if (!t->answered)
			dp_x_step(x, DP_STEP_WAIT);
	}
}

/* ---- the connection ---- */

static void have_connection(struct dp_exchange *x, struct dp_up *u)
{
	struct dp_attempt *t = &x->at;

	t->asking = false;
	t->up = u;
	if (x->queue_ms < 0)
		x->queue_ms = dp_x_now(x) - t->started_ms;
	dp_attempt_log_connected(x);
	x->connect_ms = u->reused ? 0 : u->connect_ms;
	dp_h1_expect(u->parser, false);
	dp_conn_bind(u->conn, &dp_up_ops, x);
	dp_attempt_send(x);
}

static void on_ready(struct dp_want *a, struct dp_up *u)
{
	struct dp_exchange *x = GW_CONTAINER(a, struct dp_exchange, at.ask);

	GW_CHECK(x, DP_EXCHANGE_MAGIC);
	dp_crash_at(x->shard->crash, x);
	have_connection(x, u);
}

static void endpoint_failed(struct dp_exchange *x, const char *why)
{
	const struct gw_provider *p = x->at.provider;
	struct dp_breaker b = { p->breaker.failures, p->breaker.window_ms, p->breaker.cooldown_ms };

	if (p->breaker.enabled)
		dp_health_bad(dp_endpoint_health(x->at.place.endpoint), dp_x_now(x), &b, why);
	else
		dp_health_note(dp_endpoint_health(x->at.place.endpoint), why);
}

static void on_failed(struct dp_want *a, enum dp_net_fault fault, const char *text)
{
	struct dp_exchange *x = GW_CONTAINER(a, struct dp_exchange, at.ask);

	GW_CHECK(x, DP_EXCHANGE_MAGIC);
	x->at.asking = false;
	if (fault != DP_NET_FAULT_BLOCKED && fault != DP_NET_FAULT_LOCAL && fault != DP_NET_FAULT_QUEUE) /* none says a thing about it */
		endpoint_failed(x, text);
	dp_attempt_fail(x, DP_FAIL_CONNECT, fault, text);
}

static void connect_up(struct dp_exchange *x, bool fresh)
{
	struct dp_attempt *t = &x->at;
	struct dp_up *u;

	t->ask.fresh = fresh;
	t->ask.connect_ms = t->limits->connect_ms;
	t->ask.queue_ms = t->limits->queue_ms;
	t->ask.ready = on_ready;
	t->ask.failed = on_failed;
	t->asking = true;
	dp_x_step(x, DP_STEP_CONNECT);
	u = dp_pool_take(&t->ask, t->place.endpoint);
	if (u)
		have_connection(x, u);
}

/* ---- begin and end ---- */

static void begin(struct dp_exchange *x, struct dp_place place, bool stale_retry)
{
	struct dp_attempt *t = &x->at;
	struct gw_buf error = t->error;
	const struct gw_target *target = x->plan.target;

	x->turns++;
	if (!x->head_sent)
		x->sse = x->req.stream;
	memset(t, 0, sizeof *t);
	t->error = error;
	gw_buf_clear(&t->error);
	t->a = gw_arena_open(1024);
	t->place = place;
	t->target = target;
	t->provider = target->provider;
	t->type = dp_provider_find(target->provider->type);
	t->pool = dp_pool_for(x->shard->pools, target->provider);
	t->model = gw_target_model(target, x->req.model);
	t->limits = gw_provider_timeouts(t->provider, t->model);
	t->rewrite = dp_provider_plan(t->type, t->provider->options, &x->req, t->model, dp_pool_refuses_usage(t->pool));
	t->body = x->has_body ? dp_request_rewrite(t->a, &x->req, gw_buf_str(&x->body), &t->rewrite) : (struct dp_body){ 0 };
	t->started_ms = dp_x_now(x);
	t->stale_retry = stale_retry;
	if (x->attempt_us < 0) {
		x->attempt_us = gw_mono_us();
		x->first_attempt_ms = dp_x_now(x);
		x->overhead_us = x->attempt_us - x->body_us;
	}
	if (!stale_retry)
		x->attempts++;
	dp_attempt_log_begin(x, stale_retry);
	connect_up(x, stale_retry);
}

void dp_attempt_hang_up(struct dp_exchange *x)
{
	if (x->at.asking)
		dp_want_cancel(&x->at.ask);
	x->at.asking = false;
	dp_up_return(&x->at.up, false);
}

void dp_attempt_drop(struct dp_exchange *x, bool clean)
{
	struct dp_attempt *t = &x->at;

	if (!t->a)
		return;
	x->turns++;
	dp_up_return(&t->up, clean);
	dp_attempt_hang_up(x);
	dp_place_leave(&t->place);
	dp_inflate_close(&t->inflate);
	t->tap = NULL;
	t->chain = NULL;
	gw_arena_close(&t->a);
}

/* The fallback chain may be open to this request or not. */
static void admitted(struct dp_exchange *x, enum dp_verdict v)
{
	struct dp_place place = x->next_place;

	memset(&x->next_place, 0, sizeof x->next_place);
	if (v == DP_NEXT && !dp_x_over(x))
		begin(x, place, false);
	else
		dp_place_leave(&place);
}

static void go_to(struct dp_exchange *x, struct dp_place place)
{
	enum dp_verdict v;

	if (!dp_x_admission_due(x)) {
		begin(x, place, false);
		return;
	}
	x->next_place = place;
	v = dp_x_admit_fallback(x, admitted);
	if (v == DP_WAIT)
		dp_x_step(x, DP_STEP_PLUGINS);
	else
		admitted(x, v);
}

void dp_attempt_first(struct dp_exchange *x)
{
	struct dp_place place;

	if (!dp_x_pin(x))
		return;
	if (dp_plan_first(x, &place)) {
		go_to(x, place);
		return;
	}
	if (!dp_plan_speaks(x)) /* no attempt would ever do, and a client must not be made to try again */
		dp_answer_error(x, DP_E_API_NOT_SPOKEN, "The model `%.*s` is not served at /v1%s: no provider of the route `%.*s` speaks that API.",
		                GW_FMT(x->req.model), x->op->path, GW_FMT(x->route->name));
	else
		dp_answer_error(x, DP_E_UPSTREAM_FAILED, "The route `%.*s` has no usable target: its providers are disabled, or are not allowed for your key.",
		                GW_FMT(x->route->name));
}

/* What the failure says about the key and the endpoint, for everybody who comes after. */
static void note_health(struct dp_exchange *x, const struct dp_failure *f)
{
	const struct gw_provider *p = x->at.provider;
	struct dp_breaker in_a_row = { p->key_failover.failure_threshold, 0, p->key_failover.cooldown_ms };
	struct dp_health *key = x->at.place.key_health, *end = dp_endpoint_health(x->at.place.endpoint);
	int64_t now = dp_x_now(x), wait = f->fault.retry_after_ms;

	if (f->how != DP_FAIL_STATUS) {
		if (f->how != DP_FAIL_CONNECT) /* that one was noted where it came up */
			endpoint_failed(x, f->text);
		return;
	}
	switch (f->fault.kind) {
	case DP_FAULT_AUTH:
	case DP_FAULT_NO_MONEY:
		if (key)
			dp_health_condemn(key, now, p->key_failover.cooldown_ms > 60000 ? p->key_failover.cooldown_ms : 60000, f->fault.text);
		break;
	case DP_FAULT_RATE:
	case DP_FAULT_OVERLOAD:
		if (wait > 0) /* a server without keys is its own account */
			dp_health_close(key ? key : end, now, wait, f->fault.text);
		else if (key && p->key_failover.enabled)
			dp_health_bad(key, now, &in_a_row, f->fault.text);
		else if (!key)
			endpoint_failed(x, f->fault.text);
		break;
	case DP_FAULT_SERVER:
		endpoint_failed(x, f->fault.text);
		break;
	default:
		break;
	}
}

static const char *result_name(const struct dp_failure *f)
{
	switch (f->how) {
	case DP_FAIL_CONNECT: return dp_net_fault_name(f->net);
	case DP_FAIL_TIMEOUT: return "timeout";
	case DP_FAIL_BROKEN: return "broken";
	case DP_FAIL_STATUS: return dp_fault_name(f->fault.kind);
	}
	return "other";
}

/* A pooled connection that died without a byte of answer says nothing about the provider: once more, on a fresh one. */
static bool stale_connection(const struct dp_exchange *x, const struct dp_failure *f)
{
	const struct dp_attempt *t = &x->at;

	return f->how == DP_FAIL_BROKEN && t->up && t->up->reused && !t->got_byte && !t->stale_retry;
}

/* The same request again, because of us and not of the provider: another connection, or without asking for usage. */
static void repeat(struct dp_exchange *x)
{
	struct dp_place place = x->at.place;

	memset(&x->at.place, 0, sizeof x->at.place); /* moved, so that it is not left */
	dp_attempt_drop(x, false);
	begin(x, place, true);
}

void dp_attempt_failed(struct dp_exchange *x, const struct dp_failure *f)
{
	struct dp_attempt *t = &x->at;
	struct dp_place place;

	dp_attempt_log_end(x, result_name(f), f->text);
	if (stale_connection(x, f) && !x->gone) {
		repeat(x);
		return;
	}
	if (f->how == DP_FAIL_STATUS && f->fault.usage_refused && t->rewrite.ask_usage && !x->gone) {
		dp_pool_note_usage_refused(t->pool);
		repeat(x);
		return;
	}
	if (!x->failure)
		x->failure = gw_arena_alloc(x->a, sizeof *x->failure);
	*x->failure = *f;
	x->failure_provider = t->provider;
	x->failure_secret = t->place.key ? t->place.key->value : GW_STR_NONE;
	gw_buf_clear(&x->failure_body);
	gw_buf_add(&x->failure_body, gw_buf_str(&t->error));
	note_health(x, f);
	dp_metrics_attempt(x->shard->metrics, t->provider->name, result_name(f));
	if (gw_log_on(GW_LOG_INFO))
		gw_log(GW_LOG_INFO, "provider", t->provider->name, "attempt failed", "request=%s route=%.*s attempt=%u %s=%s status=%u: %s",
		       x->id, GW_FMT(x->route->name), x->attempts, dp_step_name(x->step), result_name(f), f->status, f->text);
	if (x->gone) {
		dp_x_end(x, GW_END_CLIENT_CLOSED);
		return;
	}
	if (x->committed) {
		dp_relay_break(x, f->how == DP_FAIL_TIMEOUT ? DP_E_UPSTREAM_TIMEOUT : DP_E_UPSTREAM_FAILED, f->text);
		return;
	}
	if (!dp_plan_next(x, f, &place)) {
		dp_answer_failure(x);
		return;
	}
	dp_metrics_again(x->shard->metrics, x->plan.target->provider->name, x->plan.target != t->target);
	dp_attempt_drop(x, false);
	if (x->plan.wait_ms > 0) {
		x->next_place = place;
		dp_x_step(x, DP_STEP_BACKOFF);
	} else {
		go_to(x, place);
	}
}

void dp_attempt_go_on(struct dp_exchange *x)
{
	struct dp_place place = x->next_place;

	memset(&x->next_place, 0, sizeof x->next_place); /* moved, so that it is not left */
	begin(x, place, false);
}

void dp_attempt_fail(struct dp_exchange *x, int how, enum dp_net_fault net, const char *text)
{
	struct dp_failure f = { .net = net };

	f.how = how;
	f.fault.retry_after_ms = -1;
	snprintf(f.text, sizeof f.text, "%s", text);
	dp_attempt_failed(x, &f);
}
