/*
 * body.c - the request's body: scanned while it arrives, kept in one run, because every attempt sends it afresh.
 *
 * Bodies are what a client can make a worker hold most of, so all of them together have a limit.  Those that stay small
 * are not counted: their number is bounded by that of connections.
 */
#include <stdatomic.h>

#include "base/bytes.h"
#include "base/str.h"
#include "base/time.h"
#include "exchange/impl.h"

#define SMALL_BYTES 65536
#define RESERVE_MAX (1u << 20)   /* at the word of a client that has sent nothing yet */

static atomic_size_t held, limit = SIZE_MAX;

void dp_bodies_limit(size_t bytes) { atomic_store(&limit, bytes); }
size_t dp_bodies_held(void) { return atomic_load_explicit(&held, memory_order_relaxed); }

void dp_x_count_body(struct dp_exchange *x)
{
	size_t now = x->body.cap > SMALL_BYTES ? x->body.cap : 0;

	if (now == x->body_counted)
		return;
	atomic_fetch_add_explicit(&held, now - x->body_counted, memory_order_relaxed); /* wraps as it should when it shrinks */
	x->body_counted = now;
}

/* Buffers grow twofold, so that is what the next byte may cost. */
static bool has_room(const struct dp_exchange *x, size_t more)
{
	size_t need = x->body.n + more + 1, cap = x->body.cap * 2 > need ? x->body.cap * 2 : need;

	return need <= x->body.cap || cap <= SMALL_BYTES ||
	       atomic_load_explicit(&held, memory_order_relaxed) - x->body_counted + cap <= atomic_load_explicit(&limit, memory_order_relaxed);
}

void dp_x_expect_body(struct dp_exchange *x, size_t bytes)
{
	if (bytes > RESERVE_MAX)
		bytes = RESERVE_MAX;
	if (has_room(x, bytes))
		(void)gw_buf_reserve(&x->body, bytes);
	dp_x_count_body(x);
}

void dp_x_body(struct dp_exchange *x, struct gw_str slice)
{
	struct dp_refusal why;

	x->request_bytes += (int64_t)slice.n;
	if (x->auth.digest)
		gw_sha256_add(x->auth.digest, slice);
	if (x->refused || x->ended || x->head_sent || !x->reader)
		return;
	if (!has_room(x, slice.n)) {
		dp_answer_error(x, DP_E_OVERLOADED, "The gateway holds as many large requests as its memory allows; try again.");
		dp_x_drop_body(x);
		return;
	}
	if (!gw_buf_add(&x->body, slice)) {
		dp_answer_error(x, DP_E_BODY_TOO_LARGE, "The body is larger than this gateway accepts.");
		return;
	}
	dp_x_count_body(x);
	if (!dp_reader_feed(x->reader, slice, &why)) {
		const struct dp_head *h = x->head;

		dp_x_note_refusal(x, &why);
		if (h->content_length < 0 || h->content_length > 65536)
			dp_answer_refusal(x, x->refusal);
	}
}

void dp_x_drop_body(struct dp_exchange *x)
{
	gw_buf_fini(&x->body);
	dp_x_count_body(x);
}

static void spent(struct dp_exchange *x, enum dp_verdict v)
{
	dp_x_plugins_done(x, DP_HOOK_BODY, v);
}

/* Hooks run in order; one that waits comes back through dp_exchange_host.resumed. */
void dp_x_plugins_done(struct dp_exchange *x, enum dp_hook hook, enum dp_verdict v)
{
	if (dp_x_over(x) || v == DP_ANSWERED)
		return; /* deny() has answered */
	if (v == DP_WAIT) {
		dp_x_step(x, DP_STEP_PLUGINS);
		return;
	}
	if (hook == DP_HOOK_HEAD)
		dp_x_plugins_done(x, DP_HOOK_BODY, dp_plugins_run(x->plugins, DP_HOOK_BODY));
	else if (hook == DP_HOOK_BODY)
		dp_attempt_first(x);
}

void dp_x_whole(struct dp_exchange *x)
{
	x->whole = true;
	if (x->ended || x->head_sent)
		return;
	x->body_us = gw_mono_us();
	if (x->refused) {
		dp_answer_refusal(x, x->refusal);
		return;
	}
	if (gw_str_is(x->head->method, "OPTIONS"))
		dp_x_preflight(x);
	else if (dp_x_authn_whole(x))
		dp_x_known(x);
}

void dp_x_known(struct dp_exchange *x)
{
	struct gw_bindings bound;
	struct dp_refusal why;

	if (x->op->kind == DP_OP_MODELS) {
		dp_x_models(x);
		return;
	}
	if (!dp_reader_finish(x->reader, gw_buf_str(&x->body), &x->req, &why)) {
		dp_answer_refusal(x, &why);
		return;
	}
	x->req.model = gw_arena_copy(x->a, x->req.model); /* all that still stood in the reader */
	x->reader = NULL;
	gw_arena_close(&x->reader_arena);
	if (!dp_x_route(x))
		return;
	bound = gw_snapshot_bindings(x->snapshot, x->route, x->consumer, x->a);
	if (bound.n == 0) {
		spent(x, dp_x_spend(x, spent));
		return;
	}
	x->plugins = dp_plugins_open(x->a, bound, &dp_exchange_host, x);
	dp_x_plugins_done(x, DP_HOOK_HEAD, dp_plugins_run(x->plugins, DP_HOOK_HEAD));
}
