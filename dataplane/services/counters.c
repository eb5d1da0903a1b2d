/* counters.c - desks and reservations over the local counters. */
#include "services/counters.h"

#include <stdatomic.h>
#include <stdlib.h>

#include "base/time.h"
#include "services/local.h"

struct dp_counters {
	struct dp_local *local;
	_Atomic int64_t reservations, refusals;
};

struct dp_desk {
	struct dp_counters *counters;
	struct dp_loop *loop;
};

/* One claim of a reservation. */
struct part {
	struct dp_held *held;        /* NULL: settled */
	int64_t amount;
};

struct dp_reservation {
	unsigned magic;
#define RESERVATION_MAGIC 0x7e5e7401u
	struct dp_desk *desk;
	enum dp_reserve how;
	size_t n;
	struct dp_claim_state *states;
	struct part part[];
};

struct dp_counters *dp_counters_open(void)
{
	struct dp_counters *c = gw_alloc(sizeof *c);

	c->local = dp_local_open();
	return c;
}

void dp_counters_close(struct dp_counters **cp)
{
	struct dp_counters *c = *cp;

	if (!c)
		return;
	*cp = NULL;
	dp_local_close(&c->local);
	free(c);
}

struct dp_desk *dp_desk_open(struct dp_counters *c, struct dp_loop *l)
{
	struct dp_desk *d = gw_alloc(sizeof *d);

	d->counters = c;
	d->loop = l;
	return d;
}

void dp_desk_close(struct dp_desk **dp)
{
	free(*dp);
	*dp = NULL;
}

static struct dp_now now_of(const struct dp_desk *d)
{
	return (struct dp_now){ d->loop ? dp_loop_now(d->loop) : gw_mono_ms(), gw_now_ms() };
}

static int64_t clamp(int64_t amount)
{
	return amount < 0 ? 0 : amount > DP_AMOUNT_MAX ? DP_AMOUNT_MAX : amount;
}

static struct dp_reservation *make(struct dp_desk *d, size_t n)
{
	struct dp_reservation *r = gw_alloc(sizeof *r + n * (sizeof *r->part + sizeof *r->states));

	r->magic = RESERVATION_MAGIC;
	r->desk = d;
	r->n = n;
	r->states = (struct dp_claim_state *)(void *)(r->part + n);
	return r;
}

enum dp_reserve dp_counters_reserve(struct dp_desk *d, const struct dp_take *v, size_t n, dp_reserve_fn *done, void *arg,
                                    struct dp_reservation **out)
{
	struct dp_reservation *r = *out = make(d, n);
	struct dp_held *held[DP_CLAIMS_MAX];
	struct dp_take take[DP_CLAIMS_MAX];

	(void)done, (void)arg;
	assert(n <= DP_CLAIMS_MAX);
	for (size_t i = 0; i < n; i++)
		take[i] = (struct dp_take){ v[i].claim, clamp(v[i].amount) };
	if (!dp_local_take(d->counters->local, take, n, now_of(d), held, r->states)) {
		atomic_fetch_add_explicit(&d->counters->refusals, 1, memory_order_relaxed);
		return r->how = DP_REFUSED;
	}
	for (size_t i = 0; i < n; i++)
		r->part[i] = (struct part){ held[i], dp_claim_amount(take[i].claim, take[i].amount) };
	atomic_fetch_add_explicit(&d->counters->reservations, 1, memory_order_relaxed);
	return r->how = DP_RESERVED;
}

const struct dp_claim_state *dp_reservation_states(const struct dp_reservation *r)
{
	GW_CHECK(r, RESERVATION_MAGIC);
	return r->states;
}

static void settle_part(struct dp_reservation *r, size_t i, int64_t actual, struct dp_now now)
{
	struct part *p = &r->part[i];

	if (p->held)
		dp_local_settle(r->desk->counters->local, p->held, p->amount, clamp(actual), now);
	p->held = NULL;
}

void dp_counters_settle_part(struct dp_reservation *r, size_t i, int64_t actual)
{
	GW_CHECK(r, RESERVATION_MAGIC);
	assert(r->how == DP_RESERVED && i < r->n);
	settle_part(r, i, actual, now_of(r->desk));
}

void dp_counters_settle(struct dp_reservation **rp, const int64_t *actual)
{
	struct dp_reservation *r = *rp;
	struct dp_now now;

	if (!r)
		return;
	*rp = NULL;
	GW_CHECK(r, RESERVATION_MAGIC);
	if (r->how == DP_RESERVED) {
		now = now_of(r->desk);
		for (size_t i = 0; i < r->n; i++)
			settle_part(r, i, actual ? actual[i] : 0, now);
		atomic_fetch_sub_explicit(&r->desk->counters->reservations, 1, memory_order_relaxed);
	}
	r->magic = 0;
	free(r);
}

void dp_counters_put(struct dp_counters *c, const struct dp_claim *claim, int64_t used)
{
	assert(claim->kind == DP_CLAIM_PERIOD || claim->kind == DP_CLAIM_TOTAL);
	dp_local_put(c->local, claim, used, (struct dp_now){ gw_mono_ms(), gw_now_ms() });
}

void dp_counters_visit(struct dp_counters *c, struct gw_str scope, struct gw_str who,
                       void (*visit)(void *arg, const struct dp_counter_view *v), void *arg)
{
	dp_local_visit(c->local, scope, who, (struct dp_now){ gw_mono_ms(), gw_now_ms() }, visit, arg);
}

void dp_counters_figures(struct dp_counters *c, struct dp_counters_figures *out)
{
	out->keys = (int64_t)dp_local_keys(c->local);
	out->reservations = atomic_load_explicit(&c->reservations, memory_order_relaxed);
	out->refusals = atomic_load_explicit(&c->refusals, memory_order_relaxed);
}
