/*
 * end.c - the end of a request, whatever happened: one ledger row, the metrics, the word to those who watch.
 *
 * A request that reached a provider is never free: what the provider did not tell is estimated, from the prompt and
 * from the text that had passed by then.
 */
#include "base/bytes.h"
#include "base/str.h"
#include "base/time.h"
#include "exchange/impl.h"

static int64_t ms_since(const struct dp_exchange *x, int64_t us)
{
	return us < 0 ? -1 : us <= x->t0_us ? 0 : (us - x->t0_us) / 1000;
}

static enum gw_usage_source settle(const struct dp_exchange *x, struct gw_tokens *out)
{
	const struct dp_attempt *t = &x->at;

	memset(out, 0, sizeof *out);
	if ((x->op && x->op->unbilled) || t->error_dropped) /* the latter: an error and nothing else, refused but for its status */
		return GW_USAGE_NONE;
	if (t->tap)
		return dp_tap_usage(t->tap, x->req.prompt_estimate, out);
	if (!t->a || !(t->sent || t->part > 0) || t->answered)
		return GW_USAGE_NONE;
	/* It was asked and we left before it answered: it has read the prompt. */
	out->prompt = x->req.prompt_estimate;
	return GW_USAGE_ESTIMATED;
}

/* "design,research": whole names, as many as a text of the record may hold. */
static struct gw_str groups_text(const struct dp_exchange *x)
{
	const struct gw_strv *g = x->consumer ? &x->consumer->groups : NULL;
	size_t n = 0, most = 0;
	char *text;

	for (size_t i = 0; g && i < g->n; i++)
		most += g->v[i].n + 1;
	if (!most)
		return GW_STR("");
	text = gw_arena_alloc(x->a, most);
	for (size_t i = 0; i < g->n && n + g->v[i].n < GW_USAGE_TEXT_MAX; i++) {
		if (i)
			text[n++] = ',';
		memcpy(text + n, g->v[i].p, g->v[i].n);
		n += g->v[i].n;
	}
	return (struct gw_str){ text, n };
}

/* How many pictures were made: as many as were asked for, when the answer was a good one. */
static int64_t pictures(const struct dp_exchange *x)
{
	bool makes = x->op && strncmp(x->op->name, "image", 5) == 0;

	return makes && x->at.provider && x->status / 100 == 2 ? x->req.n : 0;
}

/* By the price of what served it, at the time at which the request began; in the currency of that price. */
static void price(const struct dp_exchange *x, struct gw_usage_record *r, const struct gw_tokens *t)
{
	const struct gw_charge c = { .tokens = *t, .images = r->images, .at_ms = x->wall_ms };
	const struct gw_price *p;

	r->currency = GW_STR("");
	if (!x->at.provider || r->usage_source == GW_USAGE_NONE)
		return;
	p = gw_price_find(x->snapshot, x->at.provider, x->at.model.n ? x->at.model : x->req.model, x->wall_ms);
	if (!p)
		return;
	r->currency = p->currency;
	r->cost = gw_price_cost(p, &c);
}

static void fill(struct dp_exchange *x, struct gw_usage_record *r, enum gw_end_reason why, int64_t now_us)
{
	const struct gw_provider *p = x->at.provider ? x->at.provider : x->failure_provider;
	struct gw_tokens tokens;

	memset(r, 0, sizeof *r);
	r->usage_source = settle(x, &tokens);
	r->request_id = gw_str_c(x->id);
	r->consumer = x->consumer ? x->consumer->name : GW_STR("");
	r->key_id = x->key && x->consumer ? x->key->id : GW_STR("");
	r->route = x->route ? x->route->name : GW_STR("");
	r->provider = p ? p->name : GW_STR("");
	r->requested_model = x->req.model.p ? x->req.model : GW_STR("");
	r->served_model = x->at.provider && x->at.model.p ? x->at.model : GW_STR("");
	r->operation = x->op ? gw_str_c(x->op->name) : GW_STR("");
	r->error_code = x->error_code ? gw_str_c(x->error_code) : GW_STR("");
	r->provider_key = dp_attempt_log_key(x);
	r->client_ip = x->head ? dp_x_client_ip(x) : GW_STR("");
	r->refused_by = x->refused_by ? gw_str_c(x->refused_by) :
	                x->plugins && dp_plugins_denied_by(x->plugins) ? gw_str_c(dp_plugins_denied_by(x->plugins)) : GW_STR("");
	r->consumer_groups = groups_text(x);
	r->attempt_log = dp_attempt_log_text(x);
	r->trace_id = x->trace.valid ? gw_str_c(x->trace.hex) : GW_STR("");
	r->started_at_ms = x->wall_ms;
	r->status = x->status;
	r->attempts = x->attempts;
	r->stream = x->req.stream;
	r->prompt_tokens = tokens.prompt;
	r->cached_tokens = tokens.cached;
	r->cache_write_tokens = tokens.cache_write;
	r->completion_tokens = tokens.completion;
	r->reasoning_tokens = tokens.reasoning;
	r->cache_write_1h_tokens = tokens.cache_write_1h;
	r->audio_prompt_tokens = tokens.audio_prompt;
	r->audio_completion_tokens = tokens.audio_completion;
	r->images = pictures(x);
	r->bad_events = x->at.tap ? (int64_t)x->at.tap->bad_events : 0;
	r->connect_ms = x->connect_ms;
	r->queue_ms = x->queue_ms;
	r->first_byte_ms = ms_since(x, x->first_byte_us);
	r->first_token_ms = ms_since(x, x->first_token_us);
	r->total_ms = ms_since(x, now_us);
	r->request_bytes = x->request_bytes;
	r->response_bytes = x->sent_body;
	r->end_reason = why;
	price(x, r, &tokens);
}

/* The code of a refusal that stands for a limit, quota or budget of ours. */
static bool is_limit(const struct dp_exchange *x)
{
	return x->status == 429 || (x->denied && x->status == 402);
}

static void count(struct dp_exchange *x, const struct gw_usage_record *r, int64_t now_us)
{
	const struct dp_attempt *t = &x->at;
	bool refused = r->end_reason == GW_END_REJECTED || r->end_reason == GW_END_BLOCKED;
	struct dp_request_facts f = {
		.route = x->route, .provider = t->provider ? t->provider : x->failure_provider, .consumer = x->consumer,
		.model = r->served_model, .model_ours = t->target && (t->target->model.n > 0 || !gw_str_eq(r->served_model, x->req.model)),
		.status = x->status, .end = r->end_reason,
		.tokens = { .prompt = r->prompt_tokens, .cached = r->cached_tokens, .cache_write = r->cache_write_tokens,
		            .completion = r->completion_tokens, .reasoning = r->reasoning_tokens },
		.cost = r->cost, .currency = r->currency,
		.estimated = r->usage_source == GW_USAGE_ESTIMATED, .bad_events = (uint64_t)r->bad_events,
		.total_us = now_us - x->t0_us, .first_token_us = x->first_token_us < 0 ? -1 : x->first_token_us - x->t0_us,
		.overhead_us = x->overhead_us, .queue_us = x->queue_ms < 0 ? -1 : x->queue_ms * 1000,
		.rejected = refused ? x->error_code : NULL, .limited = refused && is_limit(x),
	};

	dp_metrics_request(x->shard->metrics, &f);
	dp_metrics_in_flight(x->shard->metrics, -1);
}

static void free_exchange(struct dp_deferred *d)
{
	struct dp_exchange *x = GW_CONTAINER(d, struct dp_exchange, deferred);
	struct gw_arena *a = x->a;

	gw_sha256_end(&x->auth.digest, NULL);
	gw_arena_close(&x->reader_arena);
	dp_x_drop_body(x);
	gw_buf_fini(&x->said);
	gw_buf_fini(&x->failure_body);
	gw_buf_fini(&x->at.error);
	gw_snapshot_unref(&x->snapshot);
	x->magic = 0;
	gw_arena_close(&a);
}

static void record(struct dp_exchange *x, enum gw_end_reason why)
{
	struct gw_usage_record r;
	int64_t now_us = gw_mono_us();

	dp_attempt_log_close(x, why, now_us);
	fill(x, &r, why, now_us);
	if (x->plugins) {
		struct dp_outcome o = {
			.status = x->status, .prompt = r.prompt_tokens, .completion = r.completion_tokens,
			.tokens = r.prompt_tokens + r.completion_tokens, .estimated = r.usage_source == GW_USAGE_ESTIMATED,
		};

		dp_plugins_end(x->plugins, &o);
		dp_x_settle(x);
	}
	dp_x_spent(x, &r);
	count(x, &r, now_us);
	dp_x_tell(x, &r, now_us);
	/* The list of models and preflights cost nothing and concern no ledger. */
	if (x->shard->shared.ledger && x->op && x->op->kind != DP_OP_MODELS)
		dp_ledger_add(x->shard->shared.ledger, &r);
}

void dp_x_end(struct dp_exchange *x, enum gw_end_reason why)
{
	struct dp_client *c = x->client;

	GW_CHECK(x, DP_EXCHANGE_MAGIC);
	if (x->ended)
		return;
	x->ended = true;
	dp_timer_stop(&x->timer);
	dp_jwks_cancel(&x->auth.wait);
	dp_fetch_cancel(&x->asked.fetch);
	dp_x_models_stop(x);
	record(x, x->gone ? GW_END_CLIENT_CLOSED : why);
	x->step = DP_STEP_DONE;
	dp_attempt_drop(x, false);
	dp_place_leave(&x->next_place);
	x->shard->n_busy--;
	if (x->close_after || !x->whole)
		c->closing = true;
	if (x->cut) {
		c->closing = true;
		dp_conn_close(&c->conn);
	}
	dp_crash_forget(x->shard->crash, x);
	dp_loop_defer(x->shard->loop, &x->deferred, free_exchange);
	dp_client_next(c);
}

/*
 * `drain`: whoever pays by exact counts reads the answer to its end, for so long and no longer.  The client's
 * connection is over; what still comes goes nowhere, no other attempt begins, and the row says who ended it.
 */
static bool drains(struct dp_exchange *x)
{
	const struct dp_attempt *t = &x->at;

	return !x->gone && t->a && t->provider->client_gone.drain && t->sent && x->step >= DP_STEP_SEND && x->step <= DP_STEP_RELAY &&
	       !x->shard->draining;
}

static void drain(struct dp_exchange *x)
{
	(void)dp_x_client_ip(x); /* for the record: the connection will not tell any more */
	x->gone = true;
	x->gone_ms = dp_x_now(x);
	x->client->closing = true;
	dp_conn_close(&x->client->conn);
	dp_relay_resume(x); /* a client that was too slow holds nobody back any more */
}

void dp_x_gone(struct dp_exchange *x)
{
	if (!x->error_code && x->step != DP_STEP_FLUSH)
		x->error_code = "client_closed";
	if (drains(x)) {
		drain(x);
		return;
	}
	x->cut = true;
	dp_x_end(x, GW_END_CLIENT_CLOSED);
}

void dp_x_finish(struct dp_exchange *x, enum gw_end_reason why)
{
	if (x->ended)
		return;
	if (x->gone || dp_conn_queued(x->client->conn) == 0) {
		dp_x_end(x, why);
		return;
	}
	x->end_reason = why;
	dp_attempt_hang_up(x);
	dp_conn_want_drain(x->client->conn);
	if (!x->refused)
		x->decided = x->step;
	dp_x_step(x, DP_STEP_FLUSH);
}
