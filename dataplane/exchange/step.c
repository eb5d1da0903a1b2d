/*
 * step.c - where a request is, and how long it may stay there.
 *
 * One timer an exchange.  It is set to the earliest limit that could be reached and looks again when it fires, so
 * that an event of a stream costs no timer operation: only a time stamp moves.
 */
#include "base/log.h"
#include "base/str.h"
#include "exchange/impl.h"

#define PLUGIN_LIMIT_MS 60000
#define AUTH_LIMIT_MS 10000 /* the fetch has a shorter one of its own */

static void expire_body(struct dp_exchange *x);
static void expire_auth(struct dp_exchange *x);
static void expire_plugins(struct dp_exchange *x);
static void expire_upstream(struct dp_exchange *x);
static int64_t backoff_due(const struct dp_exchange *x);
static int64_t body_due(const struct dp_exchange *x);
static int64_t auth_due(const struct dp_exchange *x);
static int64_t plugins_due(const struct dp_exchange *x);
static int64_t send_due(const struct dp_exchange *x);
static int64_t wait_due(const struct dp_exchange *x);
static int64_t relay_due(const struct dp_exchange *x);

/* The connect step is limited by the dialer and the queue themselves; what a slow client costs by `stall_due`. */
static const struct {
	const char *name;
	int64_t (*due)(const struct dp_exchange *x);   /* monotonic ms; NULL: no limit of its own */
	void (*expire)(struct dp_exchange *x);
} steps[] = {
	[DP_STEP_HEAD]    = { "head", NULL, NULL },
	[DP_STEP_BODY]    = { "body", body_due, expire_body },
	[DP_STEP_AUTH]    = { "auth", auth_due, expire_auth },
	[DP_STEP_LISTING] = { "listing", NULL, NULL },
	[DP_STEP_PLUGINS] = { "plugins", plugins_due, expire_plugins },
	[DP_STEP_CONNECT] = { "connect", NULL, NULL },
	[DP_STEP_BACKOFF] = { "backoff", backoff_due, dp_attempt_go_on },
	[DP_STEP_SEND]    = { "send", send_due, expire_upstream },
	[DP_STEP_WAIT]    = { "wait", wait_due, expire_upstream },
	[DP_STEP_RELAY]   = { "relay", relay_due, expire_upstream },
	[DP_STEP_FLUSH]   = { "flush", NULL, NULL },
	[DP_STEP_DONE]    = { "done", NULL, NULL },
};

const char *dp_step_name(enum dp_step s)
{
	return steps[s].name;
}

/* ---- limits ---- */

static int64_t body_due(const struct dp_exchange *x)
{
	int64_t from = x->client->last_ms > x->step_ms ? x->client->last_ms : x->step_ms;

	return from + (x->settings ? x->settings->body_timeout_ms : 60000);
}

static int64_t auth_due(const struct dp_exchange *x) { return x->step_ms + AUTH_LIMIT_MS; }

static int64_t plugins_due(const struct dp_exchange *x) { return x->step_ms + PLUGIN_LIMIT_MS; }

static int64_t backoff_due(const struct dp_exchange *x) { return x->step_ms + x->plan.wait_ms; }

static int64_t send_due(const struct dp_exchange *x)
{
	return (x->last_in_ms > x->step_ms ? x->last_in_ms : x->step_ms) + x->at.limits->idle_ms;
}

static int64_t wait_due(const struct dp_exchange *x)
{
	int64_t limit = x->at.target->timeout_ms > 0 ? x->at.target->timeout_ms : x->at.limits->first_byte_ms;

	return x->at.sent_ms + limit;
}

static int64_t relay_due(const struct dp_exchange *x)
{
	if (x->at.paused) /* we are not reading, so its silence means nothing */
		return INT64_MAX;
	return x->last_in_ms + x->at.limits->idle_ms;
}

static int64_t total_due(const struct dp_exchange *x)
{
	if (x->step < DP_STEP_CONNECT || x->step > DP_STEP_RELAY || !x->route)
		return INT64_MAX;
	if (x->route->total_timeout_ms > 0)
		return x->first_attempt_ms + x->route->total_timeout_ms;
	if (x->at.limits && x->at.limits->total_ms > 0 && x->step != DP_STEP_BACKOFF)
		return x->at.started_ms + x->at.limits->total_ms;
	return INT64_MAX;
}

static int64_t drain_due(const struct dp_exchange *x)
{
	return x->gone ? x->gone_ms + x->at.provider->client_gone.limit_ms : INT64_MAX;
}

static int64_t ping_due(const struct dp_exchange *x)
{
	if (x->gone || !x->sse || !x->settings || x->settings->sse_keepalive_ms <= 0 || x->client_full ||
	    x->step < DP_STEP_CONNECT || x->step > DP_STEP_RELAY)
		return INT64_MAX;
	return x->last_out_ms + x->settings->sse_keepalive_ms;
}

/* Only asked for when the timer fires: the common case has nothing queued. */
static int64_t stall_due(struct dp_exchange *x)
{
	uint64_t sent;

	if (!x->client->conn || !x->head_sent || dp_conn_queued(x->client->conn) == 0)
		return INT64_MAX;
	sent = dp_conn_sent(x->client->conn);
	if (sent != x->sent_mark || x->sent_mark_ms == 0) {
		x->sent_mark = sent;
		x->sent_mark_ms = dp_x_now(x);
	}
	return x->sent_mark_ms + (x->settings ? x->settings->write_stall_timeout_ms : 60000);
}

static int64_t min64(int64_t a, int64_t b) { return a < b ? a : b; }

/* ---- when a limit is reached ---- */

static void expire_body(struct dp_exchange *x)
{
	dp_answer_error(x, DP_E_REQUEST_TIMEOUT, "The request's body did not arrive in time.");
}

static void expire_auth(struct dp_exchange *x)
{
	dp_answer_error(x, DP_E_AUTH_UNAVAILABLE, "The keys of the token's issuer could not be fetched in time; try again.");
}

static void expire_plugins(struct dp_exchange *x)
{
	gw_log(GW_LOG_ERROR, "route", x->route->name, "a plugin did not come back", "request=%s", x->id);
	dp_answer_error(x, DP_E_INTERNAL, "The gateway failed to decide about this request in time.");
}

static void expire_upstream(struct dp_exchange *x)
{
	dp_attempt_fail(x, DP_FAIL_TIMEOUT, DP_NET_FAULT_TIMEOUT,
	                x->step == DP_STEP_WAIT ? "no answer within the first-byte limit" :
	                x->step == DP_STEP_RELAY ? "silence longer than the idle limit" : "the request was not taken in time");
}

static void expire_total(struct dp_exchange *x)
{
	struct dp_failure f = { .how = DP_FAIL_TIMEOUT, .fault.retry_after_ms = -1, .text = "the limit of total time was reached" };

	x->out_of_time = x->route->total_timeout_ms > 0; /* over all attempts: there is no time for another */
	if (x->step == DP_STEP_BACKOFF) {
		dp_answer_failure(x); /* of the attempt before the pause */
		return;
	}
	dp_attempt_failed(x, &f);
}

static void expire_stall(struct dp_exchange *x)
{
	gw_log(GW_LOG_INFO, "route", x->route ? x->route->name : GW_STR_NONE, "client stopped reading", "request=%s", x->id);
	x->error_code = "write_stall";
	x->cut = true;
	dp_x_end(x, GW_END_CLIENT_CLOSED);
}

static void on_timer(struct dp_timer *t)
{
	struct dp_exchange *x = GW_CONTAINER(t, struct dp_exchange, timer);
	int64_t now = dp_x_now(x);

	GW_CHECK(x, DP_EXCHANGE_MAGIC);
	dp_crash_at(x->shard->crash, x);
	if (drain_due(x) <= now) {
		dp_x_end(x, GW_END_CLIENT_CLOSED);
	} else if (stall_due(x) <= now) {
		expire_stall(x);
	} else if (total_due(x) <= now) {
		expire_total(x);
	} else if (steps[x->step].due && steps[x->step].due(x) <= now) {
		steps[x->step].expire(x);
	} else {
		if (ping_due(x) <= now)
			dp_relay_ping(x);
		dp_x_arm(x);
	}
}

void dp_x_timer_init(struct dp_exchange *x)
{
	dp_timer_init(&x->timer, on_timer);
}

void dp_x_arm(struct dp_exchange *x)
{
	int64_t due = min64(min64(total_due(x), drain_due(x)), ping_due(x)), now = dp_x_now(x);

	if (steps[x->step].due)
		due = min64(due, steps[x->step].due(x));
	if (x->client_full || x->step == DP_STEP_FLUSH)
		due = min64(due, stall_due(x));
	if (due == INT64_MAX && x->at.paused)
		due = now + 1000;
	if (due == INT64_MAX)
		dp_timer_stop(&x->timer);
	else if (!dp_timer_armed(&x->timer) || due < x->timer.due_ms) /* else it looks again when it fires */
		dp_loop_timer(x->shard->loop, &x->timer, due > now ? due - now : 1);
}

void dp_x_step(struct dp_exchange *x, enum dp_step s)
{
	dp_crash_at(x->shard->crash, x);
	x->step = s;
	x->step_ms = dp_x_now(x);
	dp_x_arm(x);
}
