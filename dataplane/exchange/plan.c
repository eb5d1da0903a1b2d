/*
 * plan.c - which target, key and endpoint comes next.
 *
 * First a target by weight.  After a failure, in this order: another key or endpoint of the same target (`retry`, or
 * a key that is refused or too fast), another of the route's targets, then the fallback chain if its conditions hold.
 * Nothing is used twice in one request, and there are at most four attempts.
 */
#include "base/str.h"
#include "exchange/impl.h"
#include "upstream/balance.h"

static bool matches(const struct gw_on *on, const struct dp_failure *f)
{
	switch (f->how) {
	case DP_FAIL_CONNECT:
		return gw_on_has(on, f->net == DP_NET_FAULT_TIMEOUT ? GW_ON_BIT_TIMEOUT : GW_ON_BIT_CONNECT_ERROR) ||
		       gw_on_has(on, GW_ON_BIT_CONNECT_ERROR);
	case DP_FAIL_TIMEOUT:
		return gw_on_has(on, GW_ON_BIT_TIMEOUT) || gw_on_status(on, 504);
	case DP_FAIL_BROKEN:
		return gw_on_has(on, GW_ON_BIT_CONNECT_ERROR) || gw_on_status(on, 502);
	case DP_FAIL_STATUS:
		if (f->fault.kind == DP_FAULT_RATE && gw_on_has(on, GW_ON_BIT_RATE_LIMITED))
			return true;
		return gw_on_status(on, f->status);
	}
	return false;
}

/* Would any other target do, or is the request itself to blame? */
static bool elsewhere(const struct dp_failure *f)
{
	if (f->how == DP_FAIL_CONNECT && f->net == DP_NET_FAULT_LOCAL)
		return false; /* the next one would need a descriptor too */
	return f->how != DP_FAIL_STATUS || f->fault.next_target;
}

static bool speaks(const struct dp_exchange *x, const struct gw_provider *p)
{
	const struct dp_provider *type = dp_provider_find(p->type);

	return type && dp_provider_speaks(type, x->op->dialect);
}

static bool eligible(const struct dp_exchange *x, const struct gw_target *t, bool is_fallback)
{
	return t->provider->enabled && speaks(x, t->provider) && dp_x_may_use(x, t, is_fallback);
}

/* A place at this target, as long as one is left; the plan then stands on it. */
static bool stand_on(struct dp_exchange *x, const struct gw_target *t, struct dp_place *place)
{
	struct dp_pool *pool = dp_pool_for(x->shard->pools, t->provider);
	uint64_t whom = x->consumer ? gw_hash(x->consumer->name) : 0;

	if (x->plan.target != t) {
		x->plan.target = t;
		x->plan.tries = 0;
		memset(&x->plan.places, 0, sizeof x->plan.places);
	}
	if (!dp_place_choose(pool, t->provider, &x->plan.places, whom, place))
		return false;
	x->plan.tries++;
	return true;
}

/* By weight among those not tried.  `first`: a weight of 0 is never the first choice. */
static bool choose_target(struct dp_exchange *x, bool first, struct dp_place *place)
{
	const struct gw_route *r = x->route;
	struct dp_candidate c[DP_MAX_TARGETS];
	size_t n = r->n_targets < DP_MAX_TARGETS ? r->n_targets : DP_MAX_TARGETS;
	int64_t now = dp_x_now(x);

	for (;;) {
		int i;

		if (n == 1) { /* the usual case needs no arithmetic */
			i = x->plan.tried & 1 || !eligible(x, &r->targets[0], false) || (first && r->targets[0].weight == 0) ? -1 : 0;
		} else {
			for (size_t k = 0; k < n; k++) {
				const struct gw_target *t = &r->targets[k];

				c[k] = (struct dp_candidate){ .weight = t->weight };
				c[k].used = (x->plan.tried >> k & 1) || t->weight == 0 || !eligible(x, t, false);
				if (!c[k].used)
					c[k].closed_until = dp_pool_closed_until(dp_pool_for(x->shard->pools, t->provider));
			}
			i = dp_balance(GW_BALANCE_RANDOM, c, n, now, 0, dp_shard_random(x->shard));
		}
		if (i < 0)
			return false;
		x->plan.tried |= 1ull << i;
		if (stand_on(x, &r->targets[i], place))
			return true;
	}
}

static bool choose_fallback(struct dp_exchange *x, struct dp_place *place)
{
	const struct gw_route *r = x->route;

	for (size_t i = 0; i < r->fallback.n_targets && i < 64; i++) {
		const struct gw_target *t = &r->fallback.targets[i];

		if (x->plan.tried_fallback >> i & 1)
			continue;
		x->plan.tried_fallback |= 1ull << i;
		if (!eligible(x, t, true))
			continue;
		x->plan.in_fallback = true;
		if (stand_on(x, t, place))
			return true;
	}
	return false;
}

/* With every key or endpoint of the only target cooling down, asking it first would only cost the client time. */
static bool primary_is_closed(struct dp_exchange *x)
{
	const struct gw_route *r = x->route;
	int64_t now = dp_x_now(x);

	if (!r->fallback.enabled || r->fallback.n_targets == 0)
		return false;
	for (size_t i = 0; i < r->n_targets; i++) {
		if (eligible(x, &r->targets[i], false) &&
		    dp_pool_closed_until(dp_pool_for(x->shard->pools, r->targets[i].provider)) <= now)
			return false;
	}
	return true;
}

bool dp_plan_has_fallback(const struct dp_exchange *x)
{
	const struct gw_route *r = x->route;

	for (size_t i = 0; r->fallback.enabled && i < r->fallback.n_targets && i < 64; i++)
		if (eligible(x, &r->fallback.targets[i], true))
			return true;
	return false;
}

bool dp_plan_first(struct dp_exchange *x, struct dp_place *place)
{
	if (x->admission.limited)
		return choose_fallback(x, place);
	if (primary_is_closed(x) && choose_fallback(x, place))
		return true;
	return choose_target(x, true, place) ||
	       (x->route->fallback.enabled && choose_fallback(x, place));
}

/* The key or the endpoint that failed is out; is there another? */
static bool retry_here(struct dp_exchange *x, const struct dp_failure *f, struct dp_place *place)
{
	const struct gw_target *t = x->plan.target;
	bool key_matters = f->how == DP_FAIL_STATUS && f->fault.next_key;
	bool by_rule = x->plan.tries < (unsigned)x->route->retry.attempts && matches(&x->route->retry.on, f);

	if (key_matters && t->provider->n_keys > 1 && (t->provider->key_failover.enabled || by_rule)) {
		x->plan.places.keys |= 1ull << x->at.place.key_i;
		return stand_on(x, t, place);
	}
	if (!by_rule || !elsewhere(f))
		return false;
	if (t->provider->n_endpoints > 1)
		x->plan.places.endpoints |= 1ull << x->at.place.endpoint_i;
	else if (t->provider->n_keys > 1)
		x->plan.places.keys |= 1ull << x->at.place.key_i;
	else
		return false;
	return stand_on(x, t, place);
}

bool dp_plan_next(struct dp_exchange *x, const struct dp_failure *f, struct dp_place *place)
{
	if (x->attempts >= DP_MAX_ATTEMPTS || x->out_of_time)
		return false;
	if (retry_here(x, f, place))
		return true;
	if (elsewhere(f) && !x->plan.in_fallback && choose_target(x, false, place))
		return true;
	return x->route->fallback.enabled && matches(&x->route->fallback.on, f) && choose_fallback(x, place);
}
