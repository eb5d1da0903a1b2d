/* tell.c - a finished request, for whoever watches: the access log, traces, captured prompts. */
#include "base/str.h"
#include "base/time.h"
#include "exchange/impl.h"

/* Of the requests that went well, a share by the id's hash; what failed is always told. */
static bool sampled(const struct dp_exchange *x, const struct gw_usage_record *r, int64_t percent)
{
	if (percent >= 100 || r->status >= 400 || r->status == 0 || r->end_reason != GW_END_COMPLETE)
		return true;
	return (int64_t)(gw_hash(gw_str_c(x->id)) % 100) < percent;
}

/* Every answer is taken by its client in the end; what is of interest is what came before that. */
static enum dp_step last_step(const struct dp_exchange *x, const struct gw_usage_record *r)
{
	if (r->end_reason == GW_END_COMPLETE)
		return DP_STEP_DONE;
	if (r->end_reason == GW_END_CLIENT_CLOSED)
		return x->step;
	return x->refused || x->step == DP_STEP_FLUSH ? x->decided : x->step;
}

static void tell_access_log(struct dp_exchange *x, const struct gw_usage_record *r)
{
	const struct gw_dp_settings *st = x->settings;
	struct dp_access_facts f = { .step = gw_str_c(dp_step_name(last_step(x, r))) };

	if (!x->shard->ring || !st || !st->access_log_enabled || !sampled(x, r, st->access_log_sample_percent))
		return;
	if (x->head) {
		f.method = x->head->method;
		f.path = x->uri.path;
		f.user_agent = dp_header_find(x->head->headers, x->head->n_headers, "user-agent");
	}
	dp_access_log_add(x->shard->ring, st->access_log_mask, r, &f);
}

/* ---- traces ---- */

void dp_x_trace(struct dp_exchange *x)
{
	const struct gw_tracing *t = x->settings && x->shard->shared.otlp && x->settings->tracing.enabled ? &x->settings->tracing : NULL;
	uint64_t random[4] = { 0 };

	for (size_t i = 0; t && i < GW_COUNT(random); i++)
		random[i] = dp_shard_random(x->shard);
	dp_trace_begin(&x->trace, x->head->headers, x->head->n_headers, t != NULL, t ? t->sample_per_million : 0, random, x->a);
}

struct clocks { int64_t wall_us, mono_us; };

static int64_t wall(const struct clocks *c, int64_t us)
{
	return us < 0 ? 0 : c->wall_us + us - c->mono_us;
}

static void add_tries(const struct dp_exchange *x, const struct clocks *c, struct dp_span_request *s)
{
	for (const struct dp_attempt_note *t = x->log.n ? &x->log.first : NULL; t && s->n_tries < DP_SPAN_TRIES_MAX; t = t->next) {
		struct dp_span_try *to = &s->tries[s->n_tries++];

		*to = (struct dp_span_try){
			.start_us = wall(c, t->start_us), .connected_us = wall(c, t->connected_us), .first_byte_us = wall(c, t->first_byte_us),
			.first_token_us = wall(c, t->first_token_us), .end_us = wall(c, t->end_us), .provider = t->provider->name,
			.provider_type = t->provider->type, .model = t->model, .key = t->key, .endpoint = t->endpoint,
			.result = gw_str_c(t->result), .error = t->error, .status = t->status, .reused = t->reused, .repeated = t->repeated,
		};
		memcpy(to->span_id, t->span, sizeof to->span_id);
	}
}

static void tell_traces(struct dp_exchange *x, const struct gw_usage_record *r, int64_t now_us)
{
	struct clocks c = { gw_now_ms() * 1000, now_us };
	struct dp_span_request s;

	if (!x->trace.span_id[0] || !x->trace.sampled || !x->head)
		return;
	s = (struct dp_span_request){
		.start_us = wall(&c, x->t0_us), .end_us = wall(&c, now_us), .first_token_us = wall(&c, x->first_token_us),
		.state = x->trace.state, .method = x->head->method, .path = x->uri.path,
		.user_agent = dp_header_find(x->head->headers, x->head->n_headers, "user-agent"), .client_ip = r->client_ip,
		.request_id = r->request_id, .consumer = r->consumer, .route = r->route, .model = r->requested_model,
		.served_model = r->served_model, .operation = r->operation, .error_code = r->error_code,
		.end_reason = gw_str_c(gw_end_name(r->end_reason)), .usage_source = gw_str_c(gw_usage_source_name(r->usage_source)),
		.status = (unsigned)r->status, .stream = r->stream, .prompt_tokens = r->prompt_tokens,
		.completion_tokens = r->completion_tokens, .cached_tokens = r->cached_tokens, .reasoning_tokens = r->reasoning_tokens,
		.max_tokens = x->req.max_tokens,
	};
	memcpy(s.trace_id, x->trace.trace_id, sizeof s.trace_id);
	memcpy(s.span_id, x->trace.span_id, sizeof s.span_id);
	memcpy(s.parent_id, x->trace.parent_id, sizeof s.parent_id);
	add_tries(x, &c, &s);
	dp_otlp_add(x->shard->shared.otlp, &s);
}

/* ---- prompts and answers, where they are kept ---- */

static bool keeps(const struct dp_exchange *x)
{
	const struct gw_route_log *log = x->route ? &x->route->log : NULL;

	return log && log->prompts != GW_CAPTURE_OFF && x->shard->shared.captures && x->settings->access_log_prompts &&
	       (log->sample_percent >= 100 || (int64_t)(gw_hash(gw_str_c(x->id)) % 100) < log->sample_percent);
}

void dp_x_keep(struct dp_exchange *x)
{
	x->keeping = keeps(x);
}

void dp_x_said(struct dp_exchange *x, struct gw_str bytes)
{
	size_t room = DP_CAPTURE_RAW_MAX - x->said.n;

	x->said_stream = x->sse;
	x->said_cut |= bytes.n > room;
	if (bytes.n > room)
		bytes.n = room;
	(void)gw_buf_add(&x->said, bytes);
}

/* The body is copied, since a connection may still be sending from it; that is once a request, and only on such routes. */
static void tell_captures(struct dp_exchange *x, const struct gw_usage_record *r)
{
	struct dp_capture c;

	if (!keeps(x))
		return;
	c = (struct dp_capture){
		.snapshot = gw_snapshot_ref(x->snapshot), .route = x->route, .request_id = r->request_id, .at_ms = r->started_at_ms,
		.answer = x->said, .prompt_is_json = x->op && x->op->model_in == DP_MODEL_JSON, .answer_is_stream = x->said_stream,
		.answer_cut = x->said_cut, .prompt_bytes = (int64_t)x->body.n, .answer_bytes = r->response_bytes,
	};
	gw_buf_init(&c.prompt, DP_CAPTURE_RAW_MAX);
	if (c.prompt_is_json && x->body.n <= DP_CAPTURE_RAW_MAX)
		(void)gw_buf_add(&c.prompt, gw_buf_str(&x->body));
	gw_buf_init(&x->said, 0);
	x->keeping = false;
	dp_captures_add(x->shard->shared.captures, &c);
}

void dp_x_tell(struct dp_exchange *x, const struct gw_usage_record *r, int64_t now_us)
{
	tell_access_log(x, r);
	tell_traces(x, r, now_us);
	tell_captures(x, r);
}
