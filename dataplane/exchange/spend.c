/*
 * spend.c - quotas and budgets of a request: reserved before any provider is asked, settled by its row of the ledger.
 *
 * Whatever path a request takes to a provider, it passes here first, after the plugins that bound its parameters.  What
 * is reserved is the most that it can use: the prompt and max_tokens, and of money the dearest target that it may come to.
 */
#include "base/log.h"
#include "base/str.h"
#include "base/time.h"
#include "exchange/impl.h"

#define AGAIN_MS     10
#define PATIENCE_MS  500
#define MUCH_MS      3600000    /* Retry-After of what has no end */

static int64_t answer_tokens(const struct dp_exchange *x, const struct gw_quota *q)
{
	int64_t each = x->req.max_tokens >= 0 ? x->req.max_tokens : q->assumed_tokens, n = x->req.n > 0 ? x->req.n : 1;

	if (x->op->kind == DP_OP_PLAIN)
		return 0;
	return each > GW_QUOTA_MAX / n ? GW_QUOTA_MAX : each * n;
}

/* The most that a request to one of these targets costs.  *unpriced: one of them has no price that counts. */
static int64_t dearest(const struct dp_exchange *x, const struct gw_quota *q, const struct gw_target *t, size_t n, bool *unpriced)
{
	int64_t most = 0, cost;

	for (size_t i = 0; i < n; i++) {
		const struct gw_price *p = gw_price_find(x->snapshot, t[i].provider, gw_target_model(&t[i], x->req.model), x->wall_ms);

		if (!p || !gw_quota_exchange(q, p->currency, gw_price_ceiling(p, x->req.prompt_estimate, answer_tokens(x, q),
		                                                              strncmp(x->op->name, "image", 5) ? 0 : x->req.n, x->wall_ms), &cost))
			*unpriced = true;
		else if (cost > most)
			most = cost;
	}
	return most;
}

static int64_t amount_of(const struct dp_exchange *x, const struct gw_quota *q, bool *unpriced)
{
	const struct gw_route *r = x->route;
	int64_t first, other = 0;

	*unpriced = false;
	switch (q->unit) {
	case GW_QUOTA_REQUESTS:
		return 1;
	case GW_QUOTA_TOKENS:
		first = x->req.prompt_estimate + answer_tokens(x, q);
		return first < GW_QUOTA_MAX ? first : GW_QUOTA_MAX;
	default:
		first = dearest(x, q, r->targets, r->n_targets, unpriced);
		if (r->fallback.enabled)
			other = dearest(x, q, r->fallback.targets, r->fallback.n_targets, unpriced);
		return first > other ? first : other;
	}
}

/* ---- which ones ---- */

static size_t add_all(struct dp_spend *s, struct gw_quotas of, size_t n)
{
	for (size_t i = 0; i < of.n; i++, n++)
		if (s)
			s->v[n].def = of.v[i];
	return n;
}

static size_t gather(const struct dp_exchange *x, struct dp_spend *s)
{
	const struct gw_snapshot *snap = x->snapshot;
	size_t n = add_all(s, gw_snapshot_quotas_of(snap, GW_QUOTA_CONSUMER, x->consumer->name), 0);

	if (x->key)
		n = add_all(s, gw_snapshot_quotas_of(snap, GW_QUOTA_KEY, x->key->id), n);
	for (size_t i = 0; i < x->consumer->groups.n; i++)
		n = add_all(s, gw_snapshot_quotas_of(snap, GW_QUOTA_GROUP, x->consumer->groups.v[i]), n);
	return n;
}

/* ---- refusing ---- */

static void release(struct dp_exchange *x)
{
	for (size_t i = 0; i < x->spend.n; i++)
		dp_quota_settle(x->shard->shared.quotas, &x->spend.v[i].hold, 0);
}

static void refuse(struct dp_exchange *x, const struct gw_quota *q, enum dp_quota_answer a, int64_t until_ms)
{
	int64_t wait = until_ms > 0 ? until_ms - gw_now_ms() : MUCH_MS;
	char when[GW_TIME_LEN + 16] = "", end[GW_TIME_LEN];
	struct gw_str text;

	release(x);
	x->refused_by = "quota";
	if (a == DP_QUOTA_UNKNOWN) {
		text = gw_arena_printf(x->a, "The balance of the quota `%.*s` is not known at the moment.", GW_FMT(q->name));
		dp_exchange_host.deny(x, 503, "server_error", "quota_unavailable", 5000, text);
		return;
	}
	if (until_ms > 0) {
		gw_time_format(end, until_ms);
		snprintf(when, sizeof when, " until %s", end);
	}
	text = gw_arena_printf(x->a, "The quota `%.*s` is used up%s.", GW_FMT(q->name), when);
	dp_exchange_host.deny(x, q->status, "insufficient_quota", "insufficient_quota", wait < 1000 ? 1000 : wait, text);
}

static void refuse_unpriced(struct dp_exchange *x, const struct gw_quota *q)
{
	release(x);
	x->refused_by = "quota";
	dp_exchange_host.deny(x, 403, "permission_error", "model_not_priced", 0,
	                      gw_arena_printf(x->a, "The quota `%.*s` admits only models that have a price.", GW_FMT(q->name)));
}

/* ---- reserving ---- */

/* All of them or none; WAIT: comes back by the timer. */
static enum dp_verdict take_all(struct dp_exchange *x)
{
	struct dp_spend *s = &x->spend;
	bool last = dp_x_now(x) >= s->until_ms;
	int64_t until_ms = 0;

	for (size_t i = 0; i < s->n; i++) {
		const struct gw_quota *q = s->v[i].def;
		bool unpriced;
		int64_t amount = amount_of(x, q, &unpriced);
		enum dp_quota_answer a;

		if (unpriced && q->refuse_unpriced) {
			refuse_unpriced(x, q);
			return DP_ANSWERED;
		}
		a = dp_quota_take(x->shard->shared.quotas, q, x->wall_ms, amount, last, &s->v[i].hold, &until_ms);
		if (a == DP_QUOTA_HELD || (a == DP_QUOTA_UNKNOWN && q->open_on_failure))
			continue;
		if (a != DP_QUOTA_ASKED) {
			refuse(x, q, a, until_ms);
			return DP_ANSWERED;
		}
		release(x);
		dp_loop_timer(x->shard->loop, &s->timer, AGAIN_MS);
		return DP_WAIT;
	}
	return DP_NEXT;
}

static void again(struct dp_timer *t)
{
	struct dp_exchange *x = GW_CONTAINER(t, struct dp_exchange, spend.timer);
	enum dp_verdict v;

	GW_CHECK(x, DP_EXCHANGE_MAGIC);
	if (!dp_x_over(x) && (v = take_all(x)) != DP_WAIT)
		x->spend.then(x, v);
}

enum dp_verdict dp_x_spend(struct dp_exchange *x, void (*then)(struct dp_exchange *x, enum dp_verdict v))
{
	struct dp_spend *s = &x->spend;
	size_t n = x->consumer && x->shard->shared.quotas ? gather(x, NULL) : 0;

	if (n == 0)
		return DP_NEXT;
	s->v = gw_arena_array(x->a, n, sizeof *s->v);
	s->n = gather(x, s);
	s->until_ms = dp_x_now(x) + PATIENCE_MS;
	s->then = then;
	dp_timer_init(&s->timer, again);
	return take_all(x);
}

void dp_x_spent(struct dp_exchange *x, const struct gw_usage_record *r)
{
	struct dp_spend *s = &x->spend;

	if (s->n == 0)
		return;
	dp_timer_stop(&s->timer);
	for (size_t i = 0; i < s->n; i++) {
		int64_t used = gw_quota_amount(s->v[i].def, r);

		if (s->v[i].hold.line)
			dp_quota_settle(x->shard->shared.quotas, &s->v[i].hold, used);
		else
			dp_quota_count(x->shard->shared.quotas, s->v[i].def, x->wall_ms, used);
	}
}
