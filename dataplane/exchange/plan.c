/*
 * plan.c - which target, key and endpoint comes next.
 *
 * First a target by weight.  After a failure, in this order: another key or endpoint of the same target (`retry`, or
 * a key that is refused or too fast), another of the route's targets, then the fallback chain if its conditions hold.
 * A provider's `on_status` may say otherwise for a status: return, the same once more, the next key, the next target.
 * Nothing else is used twice in one request, and there are at most four attempts.
 */
#include "base/str.h"
#include "exchange/impl.h"
#include "upstream/balance.h"

static bool matches(const struct gw_on *on, const struct dp_failure *f)
{
	switch (f->how) {
	case DP_FAIL_CONNECT:
		if (f->net == DP_NET_FAULT_QUEUE) /* no room is what a 503 says, and what takes too long */
			return gw_on_has(on, GW_ON_BIT_TIMEOUT) || gw_on_status(on, 503);
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

/* Whom a hash is faithful to: what the operator chose, else the consumer, else the address. */
static uint64_t whom(struct dp_exchange *x, const struct gw_provider *p)
{
	const struct dp_head *h = x->head;
	struct gw_str s = GW_STR_NONE, body = gw_buf_str(&x->body);

	if (p->balance == GW_BALANCE_HASH && p->hash.by == GW_HASH_BY_HEADER) {
		s = dp_header_find(h->headers, h->n_headers, gw_arena_c(x->a, p->hash.header));
	} else if (p->balance == GW_BALANCE_HASH && p->hash.by == GW_HASH_BY_SESSION) {
		s = dp_header_find(h->headers, h->n_headers, "x-session-id");
		if (!s.n && x->op->model_in == DP_MODEL_JSON)
			s = dp_json_inner(dp_json_doc_at(body, "prompt_cache_key"));
		if (!s.n && x->op->model_in == DP_MODEL_JSON)
			s = dp_json_inner(dp_json_doc_at(body, "user"));
	}
	if (!s.n)
		s = x->consumer ? x->consumer->name : dp_x_client_ip(x);
	return dp_balance_hash(s);
}

/* A place at this target, as long as one is left; the plan then stands on it. */
static bool stand_on(struct dp_exchange *x, const struct gw_target *t, struct dp_place *place)
{
	struct dp_pool *pool = dp_pool_for(x->shard->pools, t->provider);
	struct dp_choice ch = { .faithful_key = dp_op_is_stateful(x->op) };

	if (x->plan.target != t) {
		x->plan.target = t;
		x->plan.tries = 0;
		memset(&x->plan.places, 0, sizeof x->plan.places);
	}
	ch.tried = x->plan.places;
	if (t->provider->balance == GW_BALANCE_HASH || ch.faithful_key)
		ch.faithful_to = whom(x, t->provider);
	if (x->plan.pin) {
		ch.pin_key = x->plan.pin->key;
		ch.pin_endpoint = x->plan.pin->endpoint;
	}
	if (!dp_place_choose(pool, t->provider, &ch, place))
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

				c[k] = (struct dp_candidate){ .weight = t->weight, .hash = dp_balance_hash(t->provider->name) };
				c[k].used = (x->plan.tried >> k & 1) || t->weight == 0 || !eligible(x, t, false);
				if (!c[k].used)
					c[k].closed_until = dp_pool_closed_until(dp_pool_for(x->shard->pools, t->provider));
			}
			if (dp_op_is_stateful(x->op))
				i = dp_balance(GW_BALANCE_HASH, c, n, now, 0, whom(x, r->targets[0].provider));
			else
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

bool dp_plan_speaks(const struct dp_exchange *x)
{
	const struct gw_route *r = x->route;

	for (size_t i = 0; i < r->n_targets; i++)
		if (speaks(x, r->targets[i].provider))
			return true;
	for (size_t i = 0; r->fallback.enabled && i < r->fallback.n_targets; i++)
		if (speaks(x, r->fallback.targets[i].provider))
			return true;
	return false;
}

bool dp_plan_has_fallback(const struct dp_exchange *x)
{
	const struct gw_route *r = x->route;

	for (size_t i = 0; r->fallback.enabled && i < r->fallback.n_targets && i < 64; i++)
		if (eligible(x, &r->fallback.targets[i], true))
			return true;
	return false;
}

/* The target whose provider made the state that this request refers to, on whichever list it stands. */
static bool choose_pinned(struct dp_exchange *x, struct dp_place *place)
{
	const struct gw_route *r = x->route;

	for (size_t i = x->admission.limited ? r->n_targets : 0; i < r->n_targets + r->fallback.n_targets; i++) {
		bool is_fallback = i >= r->n_targets;
		const struct gw_target *t = is_fallback ? &r->fallback.targets[i - r->n_targets] : &r->targets[i];

		if (gw_hash(t->provider->name) != x->plan.pin->provider || !eligible(x, t, is_fallback) || !stand_on(x, t, place))
			continue;
		x->plan.in_fallback = is_fallback;
		return true;
	}
	return false;
}

bool dp_plan_first(struct dp_exchange *x, struct dp_place *place)
{
	if (x->plan.pin)
		return choose_pinned(x, place);
	if (x->admission.limited) /* a limit of our own has sent it there */
		return choose_fallback(x, place);
	if (!x->plan.stay && primary_is_closed(x) && choose_fallback(x, place))
		return true;
	return choose_target(x, true, place) ||
	       (x->route->fallback.enabled && choose_fallback(x, place));
}

static bool another_key(struct dp_exchange *x, struct dp_place *place)
{
	if (x->plan.target->provider->n_keys < 2)
		return false;
	x->plan.places.keys |= 1ull << x->at.place.key_i;
	return stand_on(x, x->plan.target, place);
}

/* The key or the endpoint that failed is out; is there another? */
static bool retry_here(struct dp_exchange *x, const struct dp_failure *f, struct dp_place *place)
{
	const struct gw_target *t = x->plan.target;
	bool key_matters = f->how == DP_FAIL_STATUS && f->fault.next_key;
	bool by_rule = x->plan.tries < (unsigned)x->route->retry.attempts && matches(&x->route->retry.on, f);

	if (key_matters && t->provider->n_keys > 1 && (t->provider->key_failover.enabled || by_rule))
		return another_key(x, place);
	if (!by_rule)
		return false;
	if (t->provider->n_endpoints > 1) {
		x->plan.places.endpoints |= 1ull << x->at.place.endpoint_i;
		return stand_on(x, t, place);
	}
	return another_key(x, place);
}

#define SAME_WAIT_MAX_MS 2000

/* The same key and endpoint once more, after a pause that grows and is never the same for two requests. */
static bool same_again(struct dp_exchange *x, const struct dp_failure *f, struct dp_place *place)
{
	const struct gw_target *t = x->plan.target;
	unsigned most = x->route->retry.attempts > 2 ? (unsigned)x->route->retry.attempts : 2;
	int64_t wait = 200ll << (x->plan.tries < 4 ? x->plan.tries : 4);

	if (x->plan.tries >= most || f->fault.retry_after_ms > SAME_WAIT_MAX_MS)
		return false; /* whoever asks for a longer rest gets it: somebody else is asked meanwhile */
	wait = wait / 2 + (int64_t)(dp_shard_random(x->shard) % (uint64_t)(wait / 2 + 1));
	if (wait < f->fault.retry_after_ms)
		wait = f->fault.retry_after_ms;
	if (!dp_place_again(dp_pool_for(x->shard->pools, t->provider), t->provider, &x->at.place, place))
		return false;
	x->plan.tries++;
	x->plan.wait_ms = wait;
	return true;
}

bool dp_plan_next(struct dp_exchange *x, const struct dp_failure *f, struct dp_place *place)
{
	enum gw_then then = f->how == DP_FAIL_STATUS ? gw_provider_then(x->plan.target->provider, f->status) : GW_THEN_USUAL;
	bool moves_on = then == GW_THEN_NEXT_KEY || then == GW_THEN_NEXT_TARGET;

	x->plan.wait_ms = 0;
	if (x->attempts >= DP_MAX_ATTEMPTS || x->out_of_time || then == GW_THEN_RETURN)
		return false;
	if (then == GW_THEN_RETRY_SAME && same_again(x, f, place))
		return true;
	if (x->plan.stay)
		return false; /* nobody else has the state it refers to */
	if (then == GW_THEN_NEXT_KEY && another_key(x, place))
		return true;
	if (!moves_on && retry_here(x, f, place))
		return true;
	if ((moves_on || elsewhere(f)) && !x->plan.in_fallback && choose_target(x, false, place))
		return true;
	return x->route->fallback.enabled && (moves_on || matches(&x->route->fallback.on, f)) && choose_fallback(x, place);
}
