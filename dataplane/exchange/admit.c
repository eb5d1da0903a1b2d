/*
 * admit.c - the admission point of a request: its quotas (spend.c), then the claims of all its plugins, reserved together.
 *
 * Once before the first attempt, for the route's own targets.  A refusal by a limit that concerns only those moves the
 * request to the fallback chain at once, if the route says so (`rate_limited`).  Whoever goes there, for this reason or
 * because a provider failed, passes here again with the claims that concern fallback targets: no way around it.
 */
#include "base/log.h"
#include "base/str.h"
#include "base/time.h"
#include "exchange/impl.h"

/* What is to be taken for a phase, and which claim each take belongs to. */
static size_t takes_for(const struct dp_claimed *claims, size_t n, enum dp_phase phase, const struct dp_reservation *held,
                        struct dp_take *v, uint8_t *of)
{
	size_t m = 0;

	for (size_t i = 0; i < n; i++) {
		const struct dp_claim *c = &claims[i].claim;
		int64_t amount = c->amount[phase];

		if (amount < 0)
			continue;
		/* Reserved already for the targets that failed: only what these would cost more. */
		if (held && c->amount[DP_PRIMARY] >= 0) {
			amount -= c->amount[DP_PRIMARY];
			if (amount <= 0)
				continue;
		}
		v[m] = (struct dp_take){ c, amount };
		of[m++] = (uint8_t)i;
	}
	return m;
}

/* Every refusing claim leaves the fallback targets alone, and there is one that would serve. */
static bool may_fall_back(const struct dp_exchange *x, const struct dp_claimed *claims, const struct dp_claim_state *states, size_t n)
{
	if (x->admission.phase == DP_FALLBACK || !x->route->fallback.enabled || !gw_on_has(&x->route->fallback.on, GW_ON_BIT_RATE_LIMITED))
		return false;
	for (size_t i = 0; i < n; i++)
		if (states[i].refused && claims[i].claim.amount[DP_FALLBACK] >= 0)
			return false;
	return dp_plan_has_fallback(x);
}

/* The refusal that lasts longest is the one to name: whoever waits for it need not come back in vain. */
static int to_blame(const struct dp_claim_state *states, size_t n)
{
	int worst = -1;

	for (size_t i = 0; i < n; i++)
		if (states[i].refused && (worst < 0 || states[i].wait_ms > states[worst].wait_ms))
			worst = (int)i;
	return worst;
}

static enum dp_verdict reserve(struct dp_exchange *x);

static void fall_back(struct dp_exchange *x, const char *plugin)
{
	if (gw_log_on(GW_LOG_INFO))
		gw_log(GW_LOG_INFO, "route", x->route->name, "limit reached, on to the fallback", "request=%s plugin=%s", x->id, plugin);
	dp_plugins_blame(x->plugins, plugin);
	dp_counters_settle(&x->admission.held[DP_PRIMARY], NULL);
	x->admission.phase = DP_FALLBACK;
	x->admission.limited = true;
}

/* The request moved on although it was admitted: what concerned only the targets behind it is given back. */
static void leave_primary(struct dp_exchange *x, const struct dp_claimed *claims)
{
	struct dp_admission *a = &x->admission;

	for (size_t i = 0; i < a->n[DP_PRIMARY] && a->held[DP_PRIMARY]; i++) {
		const struct dp_claim *c = &claims[a->of[DP_PRIMARY][i]].claim;

		if (c->amount[DP_FALLBACK] < 0)
			dp_counters_settle_part(a->held[DP_PRIMARY], i, c->keeps && c->kind != DP_CLAIM_OPEN ? c->amount[DP_PRIMARY] : 0);
	}
}

static enum dp_verdict decide(struct dp_exchange *x, enum dp_reserve how)
{
	struct dp_admission *a = &x->admission;
	size_t n, m = a->n[a->phase];
	struct dp_claimed *claims = dp_plugins_claims(x->plugins, &n);
	const struct dp_claim_state *got = dp_reservation_states(a->held[a->phase]);
	struct dp_claim_state states[DP_CLAIMS_MAX];
	int blame;

	assert(n <= DP_CLAIMS_MAX);
	memset(states, 0, n * sizeof states[0]);
	for (size_t i = 0; i < m; i++)
		states[a->of[a->phase][i]] = got[i];
	if (how == DP_RESERVED) {
		if (a->phase == DP_FALLBACK)
			leave_primary(x, claims);
		dp_plugins_decided(x->plugins, states, -1);
		return DP_NEXT;
	}
	blame = to_blame(states, n);
	assert(blame >= 0);
	if (may_fall_back(x, claims, states, n)) {
		fall_back(x, claims[blame].plugin);
		return reserve(x);
	}
	dp_plugins_decided(x->plugins, states, blame);
	return DP_ANSWERED;
}

static void decided(void *arg, struct dp_reservation *r, enum dp_reserve how)
{
	struct dp_exchange *x = arg;
	enum dp_verdict v;

	GW_CHECK(x, DP_EXCHANGE_MAGIC);
	dp_metrics_counters_wait(x->shard->metrics, gw_mono_us() - x->admission.asked_us);
	assert(r == x->admission.held[x->admission.phase]);
	if (dp_x_over(x)) /* what was taken is given back when it ends */
		return;
	v = decide(x, how);
	if (v == DP_WAIT || x->ended)
		return;
	if (x->admission.then)
		x->admission.then(x, v);
	else
		dp_plugins_admitted(x->plugins, v);
}

static enum dp_verdict reserve(struct dp_exchange *x)
{
	struct dp_admission *a = &x->admission;
	struct dp_take v[DP_CLAIMS_MAX];
	size_t n;
	struct dp_claimed *claims = dp_plugins_claims(x->plugins, &n);
	enum dp_reserve how;

	a->of[a->phase] = gw_arena_alloc(x->a, n);
	a->n[a->phase] = takes_for(claims, n, a->phase, a->phase == DP_FALLBACK ? a->held[DP_PRIMARY] : NULL, v, a->of[a->phase]);
	how = dp_counters_reserve(x->shard->desk, v, a->n[a->phase], decided, x, &a->held[a->phase]);
	if (how == DP_PENDING) {
		a->asked_us = gw_mono_us();
		return DP_WAIT;
	}
	if (n > 0 && dp_desk_shares(x->shard->desk))
		dp_metrics_counters_wait(x->shard->metrics, 0);
	return decide(x, how);
}

/* Quotas first: what a limit refuses then gives back what it held of them when it ends. */
static enum dp_verdict after_quotas(struct dp_exchange *x, enum dp_verdict v)
{
	size_t n = 0;

	if (v == DP_NEXT)
		(void)dp_plugins_claims(x->plugins, &n);
	return n > 0 ? reserve(x) : v;
}

static void spent(struct dp_exchange *x, enum dp_verdict v)
{
	v = after_quotas(x, v);
	if (v != DP_WAIT)
		dp_plugins_admitted(x->plugins, v);
}

enum dp_verdict dp_x_admit(struct dp_exchange *x)
{
	return after_quotas(x, dp_x_spend(x, spent));
}

bool dp_x_admission_due(const struct dp_exchange *x)
{
	size_t n = 0;

	if (x->admission.phase == DP_FALLBACK || !x->plan.in_fallback || !x->plugins)
		return false;
	(void)dp_plugins_claims(x->plugins, &n);
	return n > 0;
}

enum dp_verdict dp_x_admit_fallback(struct dp_exchange *x, void (*then)(struct dp_exchange *x, enum dp_verdict v))
{
	x->admission.phase = DP_FALLBACK;
	x->admission.then = then;
	return reserve(x);
}

void dp_x_settle(struct dp_exchange *x)
{
	struct dp_admission *a = &x->admission;
	size_t n = 0;
	struct dp_claimed *claims = x->plugins ? dp_plugins_claims(x->plugins, &n) : NULL;

	for (unsigned phase = 0; phase < DP_PHASES; phase++) {
		int64_t actual[DP_CLAIMS_MAX];

		for (size_t i = 0; i < a->n[phase]; i++) {
			const struct dp_claimed *c = &claims[a->of[phase][i]];
			/* What the fallback targets cost more: the first part has been settled to everything. */
			bool again = phase == DP_FALLBACK && !a->limited && c->claim.amount[DP_PRIMARY] >= 0;

			actual[i] = again || c->claim.kind == DP_CLAIM_OPEN ? 0 : c->settled ? c->actual :
			            dp_claim_amount(&c->claim, c->claim.amount[phase]);
		}
		dp_counters_settle(&a->held[phase], actual);
	}
}
