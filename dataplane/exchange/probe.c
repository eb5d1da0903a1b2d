/*
 * probe.c - one small request to a provider on behalf of an operator.
 *
 * It takes the path of a client's request, pool, dialer, guard, TLS and signing included, so that what it reports is
 * what clients will meet.  One attempt, one key, fifteen seconds.
 */
#include <stdio.h>
#include <stdlib.h>

#include "base/str.h"
#include "base/time.h"
#include "exchange/impl.h"

#define LIMIT_MS 15000
#define MAX_BODY (4u << 20)

struct probe {
	struct gw_node node;                 /* on the shard's ring */
	struct dp_shard *shard;
	const struct gw_provider *provider;  /* the caller holds its snapshot */
	const struct dp_provider *type;
	enum dp_probe_kind kind;
	char model[300];
	bool new_limit;                      /* say max_completion_tokens, as reasoning models want it */
	struct gw_arena *a;
	struct dp_place place;
	struct dp_want want;
	bool wanting;
	struct dp_up *up;
	struct dp_timer timer;
	struct gw_buf body;
	struct dp_inflate *inflate;          /* NULL: the answer is plain */
	unsigned status;
	int64_t started_ms;
	void (*done)(void *arg, const struct dp_probe_result *r);
	void *arg;
	struct dp_deferred dead;
};

static void begin(struct probe *p);

static void free_probe(struct dp_deferred *d)
{
	struct probe *p = GW_CONTAINER(d, struct probe, dead);

	gw_buf_fini(&p->body);
	gw_arena_close(&p->a);
	free(p);
}

static void let_go(struct probe *p)
{
	dp_timer_stop(&p->timer);
	if (p->wanting)
		dp_want_cancel(&p->want);
	p->wanting = false;
	dp_up_return(&p->up, false);
	dp_inflate_close(&p->inflate);
	dp_place_leave(&p->place);
}

static void finish(struct probe *p, bool ok, const char *detail)
{
	char text[400]; /* `detail` may be the parser's, and goes with it */
	struct dp_probe_result r = {
		.ok = ok, .status = p->status, .latency_ms = dp_loop_now(p->shard->loop) - p->started_ms, .model = gw_str_c(p->model),
		.body = gw_buf_str(&p->body),
	};

	if (!p->done)
		return;
	snprintf(text, sizeof text, "%s", detail);
	r.detail = gw_str_c(text);
	let_go(p);
	gw_list_del(&p->node);
	p->done(p->arg, &r);
	p->done = NULL;
	dp_loop_defer(p->shard->loop, &p->dead, free_probe);
}

static void judge(struct probe *p)
{
	const struct dp_head *h = dp_h1_head(p->up->parser);
	struct dp_reply r = { .status = p->status, .headers = h->headers, .n_headers = h->n_headers, .body = gw_buf_str(&p->body) };
	struct dp_fault f;
	char text[400];
	size_t at;

	if (p->status >= 200 && p->status <= 299) {
		int64_t now = dp_loop_now(p->shard->loop);

		if (p->place.key_health)
			dp_health_good(p->place.key_health, p->started_ms, now);
		dp_health_good(dp_endpoint_health(p->place.endpoint), p->started_ms, now);
		finish(p, true, "answered");
		return;
	}
	if (p->status == 400 && !p->new_limit && gw_str_find(r.body, GW_STR("max_completion_tokens"), &at)) {
		let_go(p);
		p->new_limit = true;
		begin(p);
		return;
	}
	if (r.body.n > 16384)
		r.body.n = 16384;
	f = dp_provider_judge(p->type, &r, p->place.key ? p->place.key->value : GW_STR_NONE, gw_now_ms());
	snprintf(text, sizeof text, "%s", f.text[0] ? f.text : "the provider refused without a reason");
	finish(p, false, text);
}

static void on_head(struct probe *p)
{
	const struct dp_head *h = dp_h1_head(p->up->parser);
	enum dp_coding coding = dp_coding_of(dp_header_find(h->headers, h->n_headers, "content-encoding"));

	p->status = h->status;
	if (coding != DP_CODING_IDENTITY && coding != DP_CODING_UNKNOWN)
		p->inflate = dp_inflate_open(coding);
}

static void on_body(struct probe *p, struct gw_str slice)
{
	struct gw_str plain;

	if (!p->inflate)
		gw_buf_add(&p->body, slice);
	else
		while (dp_inflate_next(p->inflate, &slice, &plain) == DP_INFLATE_OUT)
			gw_buf_add(&p->body, plain);
}

static void on_read(void *arg, struct gw_str in)
{
	struct probe *p = arg;

	for (;;) {
		size_t used = 0;
		struct gw_str slice = GW_STR_NONE;
		enum dp_h1_event ev = dp_h1_feed(p->up->parser, in, &used, &slice);

		in = gw_str_from(in, used);
		if (ev == DP_H1_NEED)
			return;
		if (ev == DP_H1_HEAD)
			on_head(p);
		else if (ev == DP_H1_BODY)
			on_body(p, slice);
		else if (ev == DP_H1_END) {
			judge(p);
			return;
		} else {
			p->status = 0;
			finish(p, false, dp_h1_refusal(p->up->parser)->text);
			return;
		}
	}
}

static void on_end(void *arg, enum dp_net_end how)
{
	struct probe *p = arg;

	if (how != DP_NET_END_RESET && dp_h1_eof(p->up->parser) == DP_H1_END && p->status)
		judge(p);
	else
		finish(p, false, "the provider closed the connection in the middle of its answer");
}

static const struct dp_conn_ops ops = { .on_read = on_read, .on_end = on_end };

static void write_body(struct probe *p, struct gw_buf *body)
{
	bool stream = dp_provider_stream_only(p->type, p->provider->options, gw_str_c(p->model));

	gw_buf_add_c(body, "{\"model\":");
	gw_buf_add_json(body, gw_str_c(p->model));
	gw_buf_printf(body, ",\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}],\"%s\":%d%s}",
	              p->new_limit ? "max_completion_tokens" : "max_tokens", p->new_limit ? 16 : 1, stream ? ",\"stream\":true" : "");
}

static void send_request(struct probe *p)
{
	bool openai = dp_provider_speaks(p->type, &dp_openai_chat);
	const char *path = p->kind == DP_PROBE_MODELS ? "/models" : openai ? "/chat/completions" : "/messages";
	struct gw_pair fixed[DP_PROVIDER_MAX_HEADERS];
	size_t n = dp_provider_headers(p->type, p->provider->options, p->place.key ? p->place.key->value : GW_STR_NONE, NULL, 0, p->a, fixed);
	struct gw_buf *head = &p->shard->head, body;
	struct gw_str target = gw_arena_printf(p->a, "%.*s%s", GW_FMT(dp_endpoint_path(p->place.endpoint)), path), v[2];

	gw_buf_init(&body, 4096);
	if (p->kind == DP_PROBE_CHAT)
		write_body(p, &body);
	gw_buf_clear(head);
	dp_write_request_line(head, p->kind == DP_PROBE_MODELS ? GW_STR("GET") : GW_STR("POST"), target);
	dp_write_header(head, "host", dp_endpoint_authority(p->place.endpoint));
	dp_write_header(head, "accept", GW_STR("application/json, text/event-stream"));
	dp_write_header(head, "accept-encoding", GW_STR("identity"));
	dp_write_header(head, "user-agent", GW_STR("tidegate/" TIDEGATE_VERSION));
	for (size_t i = 0; i < n; i++)
		dp_write_header_pair(head, fixed[i].name, fixed[i].value);
	for (size_t i = 0; i < p->provider->n_headers; i++)
		if (dp_header_ok(p->provider->headers[i].name, p->provider->headers[i].value))
			dp_write_header_pair(head, p->provider->headers[i].name, p->provider->headers[i].value);
	if (p->kind == DP_PROBE_CHAT) {
		dp_write_header(head, "content-type", GW_STR("application/json"));
		dp_write_header_int(head, "content-length", (int64_t)body.n);
	}
	dp_write_head_end(head);
	v[0] = gw_buf_str(head);
	v[1] = gw_buf_str(&body);
	dp_h1_expect(p->up->parser, false);
	dp_conn_bind(p->up->conn, &ops, p);
	dp_conn_write(p->up->conn, v, p->kind == DP_PROBE_CHAT ? 2 : 1);
	gw_buf_fini(&body);
}

static void on_ready(struct dp_want *w, struct dp_up *u)
{
	struct probe *p = GW_CONTAINER(w, struct probe, want);

	p->wanting = false;
	p->up = u;
	send_request(p);
}

static void on_failed(struct dp_want *w, enum dp_net_fault fault, const char *text)
{
	struct probe *p = GW_CONTAINER(w, struct probe, want);

	(void)fault;
	p->wanting = false;
	finish(p, false, text);
}

static void on_limit(struct dp_timer *t)
{
	struct probe *p = GW_CONTAINER(t, struct probe, timer);

	p->status = 0;
	finish(p, false, "the provider did not answer within 15 s");
}

static void begin(struct probe *p)
{
	static const struct dp_choice none;
	struct dp_pool *pool = dp_pool_for(p->shard->pools, p->provider);

	p->status = 0;
	gw_buf_clear(&p->body);
	if (!dp_place_choose(pool, p->provider, &none, &p->place)) {
		finish(p, false, "the provider has no usable endpoint or key");
		return;
	}
	dp_loop_timer(p->shard->loop, &p->timer, LIMIT_MS);
	p->want = (struct dp_want){
		.fresh = true, .connect_ms = p->provider->timeouts.connect_ms, .queue_ms = LIMIT_MS, .ready = on_ready, .failed = on_failed,
	};
	p->wanting = true;
	p->up = dp_pool_take(&p->want, p->place.endpoint);
	if (p->up)
		on_ready(&p->want, p->up);
}

void dp_probe(struct dp_shard *s, const struct gw_provider *pr, enum dp_probe_kind kind, struct gw_str model,
              void (*done)(void *arg, const struct dp_probe_result *r), void *arg)
{
	struct probe *p = gw_alloc(sizeof *p);

	gw_list_add_tail(&s->probes, &p->node);
	p->shard = s;
	p->provider = pr;
	p->type = dp_provider_find(pr->type);
	p->kind = kind;
	p->a = gw_arena_open(1024);
	p->done = done;
	p->arg = arg;
	p->started_ms = dp_loop_now(s->loop);
	snprintf(p->model, sizeof p->model, "%.*s", GW_FMT(model));
	gw_buf_init(&p->body, MAX_BODY);
	dp_timer_init(&p->timer, on_limit);
	if (!p->type)
		finish(p, false, "this worker does not know the provider's type");
	else
		begin(p);
}

void dp_probes_cut(struct dp_shard *s)
{
	while (!gw_list_empty(&s->probes))
		finish(GW_CONTAINER(s->probes.next, struct probe, node), false, "the worker is shutting down");
}
