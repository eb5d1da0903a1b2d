/* hooks.c - what plugins may ask of an exchange: the implementation of struct dp_host. */
#include "base/log.h"
#include "base/str.h"
#include "exchange/impl.h"

static void deny(struct dp_exchange *x, unsigned status, const char *type, const char *code, int64_t retry_after_ms,
                 struct gw_str text)
{
	struct gw_buf body;

	if (x->ended || x->head_sent)
		return;
	x->denied = true;
	x->error_code = gw_arena_c(x->a, gw_str_c(code));
	if ((status == 429 || status == 503) && retry_after_ms < 1000)
		retry_after_ms = 1000;
	gw_buf_init(&body, 16384);
	x->dialect->write_error(&body, status, type, code, text);
	dp_answer_full(x, status, "application/json", gw_buf_str(&body), retry_after_ms, NULL);
	gw_buf_fini(&body);
}

static void reply_header(struct dp_exchange *x, const char *name, struct gw_str value)
{
	struct gw_pair p = { gw_arena_copy(x->a, gw_str_c(name)), gw_arena_copy(x->a, value) };

	if (!dp_header_ok(p.name, p.value))
		return;
	for (size_t i = 0; i < x->n_reply_headers; i++) {
		if (gw_str_ieq(x->reply_headers[i].name, p.name)) {
			x->reply_headers[i] = p;
			return;
		}
	}
	if (x->n_reply_headers < GW_COUNT(x->reply_headers))
		x->reply_headers[x->n_reply_headers++] = p;
}

static int64_t limiter_take(struct dp_exchange *x, struct gw_str key, int64_t n, int64_t limit, int64_t window_ms, int64_t *left)
{
	return dp_limiter_try(x->shard->shared.limiter, key, n, limit, window_ms, dp_x_now(x), left);
}

static void limiter_give(struct dp_exchange *x, struct gw_str key, int64_t n, int64_t limit, int64_t window_ms)
{
	dp_limiter_return(x->shard->shared.limiter, key, n, limit, window_ms, dp_x_now(x));
}

static struct gw_str consumer(const struct dp_exchange *x) { return x->consumer ? x->consumer->name : GW_STR_NONE; }
static struct gw_str route(const struct dp_exchange *x) { return x->route ? x->route->name : GW_STR_NONE; }
static struct gw_str model(const struct dp_exchange *x) { return x->req.model; }

static struct gw_str client_ip(const struct dp_exchange *x)
{
	return dp_x_client_ip((struct dp_exchange *)(uintptr_t)x); /* computed once and kept */
}

static int64_t estimate_tokens(const struct dp_exchange *x)
{
	return x->req.prompt_estimate + (x->req.max_tokens > 0 ? x->req.max_tokens : 0);
}

static void resumed(struct dp_exchange *x, enum dp_hook hook, enum dp_verdict verdict)
{
	if (!x->ended)
		dp_x_plugins_done(x, hook, verdict);
}

static void broke(struct dp_exchange *x, const char *plugin, bool fail_open)
{
	gw_log(GW_LOG_ERROR, "plugin", gw_str_c(plugin), "failed", "request=%s route=%.*s goes_on=%d", x->id,
	       GW_FMT(route(x)), fail_open);
}

const struct dp_host dp_exchange_host = {
	.deny = deny, .reply_header = reply_header, .limiter_take = limiter_take, .limiter_give = limiter_give, .consumer = consumer,
	.route = route, .model = model, .client_ip = client_ip, .estimate_tokens = estimate_tokens, .resumed = resumed, .broke = broke,
};
