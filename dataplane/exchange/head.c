/*
 * head.c - judging a request by its head.
 *
 * Refusals are noted and answered when the body has passed, if it is small; otherwise at once, and the connection
 * closes.  So a client with a wrong key keeps its connection, and one with 20 MB does not get to send them.
 */
#include <stdio.h>
#include <stdlib.h>

#include "base/bytes.h"
#include "base/str.h"
#include "base/time.h"
#include "exchange/impl.h"

#define SWALLOW_MAX 65536

static bool sane_id(struct gw_str s)
{
	if (s.n == 0 || s.n > 64)
		return false;
	for (size_t i = 0; i < s.n; i++) {
		char c = s.p[i];

		if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '_' || c == '.'))
			return false;
	}
	return true;
}

static void choose_id(struct dp_exchange *x)
{
	const struct dp_head *h = dp_h1_head(x->client->parser); /* none when a request is refused before it */
	struct gw_str given = h ? dp_header_find(h->headers, h->n_headers, "x-request-id") : GW_STR_NONE;
	uint64_t random, ms;
	uint8_t id[12];

	if (sane_id(given)) {
		memcpy(x->id, given.p, given.n);
		x->id[given.n] = '\0';
		return;
	}
	/* Milliseconds first, as in UUID version 7 (RFC 9562): an index of them grows at its end and not all over. */
	random = dp_shard_random(x->shard);
	ms = (uint64_t)x->wall_ms;
	for (size_t i = 0; i < 6; i++) {
		id[i] = (uint8_t)(ms >> 8 * (5 - i));
		id[6 + i] = (uint8_t)(random >> 8 * i);
	}
	memcpy(x->id, "req_", 4);
	gw_hex(x->id + 4, id, sizeof id);
}

struct dp_exchange *dp_x_open(struct dp_client *c)
{
	struct gw_arena *a = gw_arena_open(DP_EXCHANGE_ARENA);
	struct dp_exchange *x = gw_arena_alloc(a, sizeof *x);
	struct dp_shard *s = c->shard;

	x->magic = DP_EXCHANGE_MAGIC;
	x->client = c;
	x->shard = s;
	dp_crash_at(s->crash, x);
	x->a = a;
	if (s->snapshot) {
		x->snapshot = gw_snapshot_ref(s->snapshot);
		x->settings = gw_snapshot_settings(x->snapshot);
	}
	x->dialect = &dp_openai_chat;
	x->content_length = -1;
	x->wall_ms = gw_now_ms();
	x->t0_us = c->begun_us ? c->begun_us : gw_mono_us();
	x->body_us = x->attempt_us = x->first_byte_us = x->first_token_us = x->overhead_us = x->queue_ms = x->connect_ms = -1;
	x->step_ms = x->last_out_ms = x->last_in_ms = dp_loop_now(s->loop);
	x->close_after = s->draining;
	gw_buf_init(&x->body, x->settings ? (size_t)x->settings->max_body_bytes + DP_LOOP_READ_BYTES : DP_LOOP_READ_BYTES);
	gw_buf_init(&x->failure_body, DP_ERROR_BODY_MAX);
	gw_buf_init(&x->said, DP_CAPTURE_RAW_MAX);
	gw_buf_init(&x->at.error, DP_ERROR_BODY_MAX);
	dp_x_timer_init(x);
	choose_id(x);
	s->n_busy++;
	dp_metrics_in_flight(s->metrics, 1);
	return x;
}

/* ---- who asks ---- */

struct gw_str dp_x_client_ip(struct dp_exchange *x)
{
	struct dp_addr at;
	struct gw_str rest = GW_STR_NONE, hop;
	size_t n = x->head ? x->head->n_headers : 0;
	bool trusted;

	if (x->client_ip[0]) /* and its connection may be gone */
		return gw_str_c(x->client_ip);
	at = *dp_conn_peer(x->client->conn);
	at.port = 0;
	do { /* from the nearest hop outwards, as long as the hop that said so is trusted */
		struct dp_addr next;

		trusted = false;
		for (size_t i = 0; x->settings && i < x->settings->trusted_proxies.n && !trusted; i++)
			trusted = dp_addr_in(&at, x->settings->trusted_proxies.v[i]);
		if (!trusted || !dp_header_list_back(x->head ? x->head->headers : NULL, &n, "x-forwarded-for", &rest, &hop))
			break;
		if (!dp_addr_parse(hop, 0, &next))
			break;
		at = next;
	} while (trusted);
	dp_addr_text(&at, x->client_ip);
	return gw_str_c(x->client_ip);
}

struct gw_str dp_x_cors_origin(const struct dp_exchange *x)
{
	struct gw_str origin;

	if (!x->head || !x->settings || x->settings->cors_origins.n == 0)
		return GW_STR_NONE;
	origin = dp_header_find(x->head->headers, x->head->n_headers, "origin");
	for (size_t i = 0; origin.n && i < x->settings->cors_origins.n; i++) {
		struct gw_str o = x->settings->cors_origins.v[i];

		if (gw_str_is(o, "*") || gw_str_ieq(o, origin))
			return dp_value_ok(origin) ? origin : GW_STR_NONE;
	}
	return GW_STR_NONE;
}

/* ---- what for ---- */

static struct gw_str method_for_lookup(struct dp_exchange *x)
{
	return x->head_only ? GW_STR("GET") : x->head->method;
}

static const struct dp_dialect *likely_dialect(const struct dp_exchange *x)
{
	return dp_dialect_guess(x->uri.path, dp_header_find(x->head->headers, x->head->n_headers, "anthropic-version").p != NULL);
}

static bool judge(struct dp_exchange *x, struct dp_refusal *why)
{
	const struct dp_head *h = x->head;
	char *buf = gw_arena_alloc(x->a, h->target.n + 1);
	struct gw_str expect;

	if (!dp_uri_parse(&x->uri, h->method, h->target, h->host, buf, h->target.n + 1, why))
		return false;
	if (!x->snapshot)
		return dp_refuse(why, DP_E_NOT_READY, "This worker has no configuration yet; try again in a moment.");
	if (gw_str_is(h->method, "OPTIONS"))
		return true;
	expect = dp_header_find(h->headers, h->n_headers, "expect");
	if (expect.p && !h->expect_continue && h->minor == 1)
		return dp_refuse(why, DP_E_EXPECT_FAILED, "Only 'Expect: 100-continue' is understood.");
	x->op = dp_operation_find(method_for_lookup(x), x->uri.path, &x->rest, why, &x->allow);
	if (!x->op)
		return false;
	x->dialect = x->op->dialect ? x->op->dialect : likely_dialect(x);
	if (!dp_x_authenticate(x, why))
		return false;
	if (x->op->kind == DP_OP_MODELS)
		return true;
	x->reader_arena = gw_arena_open(DP_READER_ARENA);
	x->reader = dp_reader_open(x->reader_arena, x->op, dp_header_find(h->headers, h->n_headers, "content-type"), why);
	if (!x->reader)
		return false;
	x->has_body = true;
	if (dp_header_find(h->headers, h->n_headers, "content-encoding").p &&
	    !gw_str_ieq(dp_header_find(h->headers, h->n_headers, "content-encoding"), GW_STR("identity")))
		return dp_refuse(why, DP_E_BAD_MEDIA, "Compressed request bodies are not accepted; send the body without Content-Encoding.");
	return true;
}

/* "Send your body": only when who asks is known, which may still be found out. */
void dp_x_continue(struct dp_exchange *x)
{
	static const char go_on[] = "HTTP/1.1 100 Continue\r\n\r\n";
	struct gw_str s = { go_on, sizeof go_on - 1 };

	x->auth.continue_after = x->auth.waiting;
	if (!x->auth.waiting)
		dp_conn_write(x->client->conn, &s, 1);
}

/* A refusal waits until the body has passed if that is small; else it is answered now, and the connection closes. */
bool dp_x_refuse_now(const struct dp_exchange *x)
{
	const struct dp_head *h = x->head;

	return h->has_body && (h->expect_continue || h->content_length < 0 || h->content_length > SWALLOW_MAX);
}

void dp_x_note_refusal(struct dp_exchange *x, const struct dp_refusal *why)
{
	if (!x->refusal)
		x->refusal = gw_arena_alloc(x->a, sizeof *x->refusal);
	if (!x->refused)
		x->decided = x->step;
	*x->refusal = *why;
	x->refused = true;
}

void dp_x_head(struct dp_exchange *x, const struct dp_head *h)
{
	struct dp_refusal why;

	x->head = h;
	x->head_only = gw_str_is(h->method, "HEAD");
	dp_x_trace(x);
	x->request_bytes = (int64_t)h->bytes;
	if (!h->keep_alive)
		x->close_after = true;
	if (!judge(x, &why)) {
		if (!x->op && x->uri.path.n) /* refused before the path said which API it is: in the words that look likeliest */
			x->dialect = likely_dialect(x);
		dp_x_note_refusal(x, &why);
	}
	x->step = DP_STEP_BODY;
	if (x->refused && dp_x_refuse_now(x)) {
		dp_answer_refusal(x, x->refusal);
		return;
	}
	if (h->expect_continue && h->has_body)
		dp_x_continue(x);
	if (!x->refused && h->content_length > 0)
		dp_x_expect_body(x, (size_t)h->content_length);
	if (h->has_body)
		dp_x_step(x, DP_STEP_BODY);
}

/* No other attempt can follow; the record will tell the client's address, and its program where anybody watches. */
void dp_x_forget_head(struct dp_exchange *x)
{
	struct gw_str agent = x->shard->ring || x->trace.sampled ?
		dp_header_find(x->head->headers, x->head->n_headers, "user-agent") : GW_STR_NONE;
	struct gw_pair *keep = NULL;

	(void)dp_x_client_ip(x);
	if (agent.p) {
		keep = gw_arena_alloc(x->a, sizeof *keep);
		*keep = (struct gw_pair){ GW_STR("user-agent"), gw_arena_copy(x->a, agent) };
	}
	x->uri.raw_path = x->uri.query = GW_STR_NONE;
	dp_h1_drop_fields(x->client->parser, keep, keep ? 1 : 0);
}

void dp_x_preflight(struct dp_exchange *x)
{
	dp_answer_full(x, 204, NULL, GW_STR_NONE, 0, "GET, HEAD, POST, OPTIONS");
}
