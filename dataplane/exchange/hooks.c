/* hooks.c - what plugins may ask of an exchange: the implementation of struct dp_host. */
#include "base/bytes.h"
#include "base/log.h"
#include "base/str.h"
#include "codec/json_path.h"
#include "exchange/impl.h"

static void deny(struct dp_exchange *x, unsigned status, const char *type, const char *code, int64_t retry_after_ms,
                 struct gw_str text)
{
	struct gw_buf body;

	if (dp_x_over(x))
		return;
	x->denied = true;
	x->error_code = gw_arena_c(x->a, gw_str_c(code));
	if (x->head_sent) { /* a silent stream was kept alive, and now there is no target that may serve it */
		dp_relay_break(x, status == 429 ? DP_E_RATE_LIMITED : DP_E_FORBIDDEN, gw_arena_c(x->a, text));
		return;
	}
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
	if (!x->reply_headers)
		x->reply_headers = gw_arena_alloc(x->a, DP_REPLY_HEADERS * sizeof *x->reply_headers);
	if (x->n_reply_headers < DP_REPLY_HEADERS)
		x->reply_headers[x->n_reply_headers++] = p;
}

static struct gw_str body_member(const struct dp_exchange *x, const char *path)
{
	struct dp_path p;

	if (!x->req.json || !dp_path_find(gw_buf_str(&x->body), path, &p))
		return GW_STR_NONE;
	return p.value.raw;
}

static bool changed(struct dp_exchange *x, const struct dp_body_change *v, size_t n, struct gw_buf *body, struct dp_request *req)
{
	struct dp_refusal why;
	struct dp_reader *r;

	if (!gw_buf_add(body, gw_buf_str(&x->body)))
		return false;
	for (size_t i = 0; i < n; i++)
		if (!dp_path_change(body, v[i].path, v[i].json))
			return false;
	r = dp_reader_open(x->a, x->op, dp_header_find(x->head->headers, x->head->n_headers, "content-type"), &why);
	return r && dp_reader_feed(r, gw_buf_str(body), &why) && dp_reader_finish(r, gw_buf_str(body), req, &why);
}

/*
 * In a copy, which is read once more: whoever comes later must see one and the same request.  When it cannot be changed,
 * or would not be read any more, the request is what it was, since a plugin that fails open lets it go on.
 */
static bool body_change(struct dp_exchange *x, const struct dp_body_change *v, size_t n)
{
	struct gw_buf body, old = x->body;
	struct dp_request req;

	if (!x->req.json)
		return false;
	gw_buf_init(&body, x->body.max);
	if (!changed(x, v, n, &body, &req)) {
		gw_buf_fini(&body);
		return false;
	}
	x->body = body;
	dp_x_count_body(x);
	x->req = req;
	gw_buf_fini(&old);
	return true;
}

static struct gw_str operation(const struct dp_exchange *x) { return gw_str_c(x->op->name); }

static struct gw_str consumer(const struct dp_exchange *x) { return x->consumer ? x->consumer->name : GW_STR_NONE; }
static struct gw_str route(const struct dp_exchange *x) { return x->route ? x->route->name : GW_STR_NONE; }
static struct gw_str model(const struct dp_exchange *x) { return x->req.model; }

static struct gw_str client_ip(const struct dp_exchange *x)
{
	return dp_x_client_ip((struct dp_exchange *)(uintptr_t)x); /* computed once and kept */
}

static struct gw_str api_key(const struct dp_exchange *x) { return x->key && x->consumer ? x->key->id : GW_STR_NONE; }

static struct gw_strv groups(const struct dp_exchange *x)
{
	return x->consumer ? x->consumer->groups : (struct gw_strv){ NULL, 0 };
}

static struct gw_str header(const struct dp_exchange *x, const char *name)
{
	return dp_header_find(x->head->headers, x->head->n_headers, name);
}

/* A query's value in clear, or as it stands when it is not well encoded. */
static struct gw_str unescape(struct gw_arena *a, struct gw_str s)
{
	char *out = gw_arena_alloc(a, s.n + 1);
	size_t n = 0;

	for (size_t i = 0; i < s.n; i++) {
		uint8_t byte;

		if (s.p[i] != '%') {
			out[n++] = s.p[i] == '+' ? ' ' : s.p[i];
			continue;
		}
		if (i + 2 >= s.n || !gw_unhex(&byte, 1, (struct gw_str){ s.p + i + 1, 2 }))
			return s;
		out[n++] = (char)byte;
		i += 2;
	}
	return (struct gw_str){ out, n };
}

static struct gw_str query(const struct dp_exchange *x, const char *name)
{
	struct gw_str rest = x->uri.query;

	while (rest.n > 0) {
		struct gw_str value = gw_str_cut(&rest, '&'), key = gw_str_cut(&value, '=');

		if (gw_str_is(key, name))
			return value.p ? unescape(x->a, value) : GW_STR("");
	}
	return GW_STR_NONE;
}

static struct gw_str cookie(const struct dp_exchange *x, const char *name)
{
	struct gw_str rest = header(x, "cookie");

	while (rest.n > 0) {
		struct gw_str value = gw_str_cut(&rest, ';'), key = gw_str_cut(&value, '=');

		if (gw_str_is(gw_str_trim(key), name))
			return gw_str_trim(value);
	}
	return GW_STR_NONE;
}

static int64_t prompt_tokens(const struct dp_exchange *x) { return x->req.prompt_estimate; }

static int64_t answer_tokens(const struct dp_exchange *x, int64_t each)
{
	int64_t n = x->req.n < 1 ? 1 : x->req.n, all;

	if (x->op->kind != DP_OP_CHAT && x->op->kind != DP_OP_GENERATE)
		return 0;
	if (x->req.max_tokens >= 0)
		each = x->req.max_tokens;
	return __builtin_mul_overflow(each, n, &all) ? DP_AMOUNT_MAX : all;
}

static bool falls_back_when_limited(const struct dp_exchange *x)
{
	return x->route->fallback.enabled && gw_on_has(&x->route->fallback.on, GW_ON_BIT_RATE_LIMITED);
}

/* ---- questions to other services ---- */

#define ANSWER_MAX 65536

static void on_told(void *arg, struct gw_str body, const char *text)
{
	struct dp_exchange *x = arg;
	struct dp_fetch *f = x->asked.fetch;
	struct dp_told t = { .text = text, .body = body };

	GW_CHECK(x, DP_EXCHANGE_MAGIC);
	if (!text)
		t.status = dp_fetch_status(f);
	x->asked.told(x->asked.call, &t);
	if (x->asked.fetch == f) /* not asked once more */
		x->asked.fetch = NULL;
}

static void say_refused(struct dp_deferred *d)
{
	struct dp_exchange *x = GW_CONTAINER(d, struct dp_exchange, asked.later);

	if (!x->ended)
		x->asked.told(x->asked.call, &(struct dp_told){ .text = "a header of it cannot be sent" });
}

static void ask(struct dp_exchange *x, struct dp_call *c, const struct dp_question *q, dp_told_fn *told)
{
	struct dp_fetch_spec s = { .url = q->url, .ca_pem = q->ca_pem, .json = q->json, .allow_private = true, .max_bytes = ANSWER_MAX, .timeout_ms = q->timeout_ms,
	                           .headers = q->headers, .n_headers = q->n_headers, .any_status = true };

	x->asked.call = c;
	x->asked.told = told;
	for (size_t i = 0; i < q->n_headers; i++)
		if (!dp_header_ok(q->headers[i].name, q->headers[i].value)) {
			dp_loop_defer(x->shard->loop, &x->asked.later, say_refused);
			return;
		}
	x->asked.fetch = dp_fetch_open(x->shard->loop, &s, on_told, x);
}

static struct gw_str told_header(const struct dp_exchange *x, const char *name)
{
	return x->asked.fetch ? dp_fetch_header(x->asked.fetch, name) : GW_STR_NONE;
}

static struct gw_str request_id(const struct dp_exchange *x) { return gw_str_c(x->id); }
static struct gw_str method(const struct dp_exchange *x) { return x->head->method; }
static struct gw_str target(const struct dp_exchange *x) { return x->head->target; }

static void resumed(struct dp_exchange *x, enum dp_hook hook, enum dp_verdict verdict)
{
	if (!dp_x_over(x))
		dp_x_plugins_done(x, hook, verdict);
}

static void broke(struct dp_exchange *x, const char *plugin, bool fail_open)
{
	gw_log(GW_LOG_ERROR, "plugin", gw_str_c(plugin), "failed", "request=%s route=%.*s goes_on=%d", x->id,
	       GW_FMT(route(x)), fail_open);
}

const struct dp_host dp_exchange_host = {
	.deny = deny, .reply_header = reply_header, .body_member = body_member, .body_change = body_change, .operation = operation,
	 .consumer = consumer, .route = route, .model = model,
	.client_ip = client_ip, .api_key = api_key, .groups = groups, .header = header, .query = query, .cookie = cookie,
	.ask = ask, .told_header = told_header, .describe = dp_x_describe, .request_id = request_id, .method = method, .target = target,
	.prompt_tokens = prompt_tokens, .answer_tokens = answer_tokens,
	.falls_back_when_limited = falls_back_when_limited, .admit = dp_x_admit, .resumed = resumed, .broke = broke,
};
