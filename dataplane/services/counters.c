/*
 * counters.c - desks and reservations, over local or shared counters.
 *
 * A desk that has lost the shared counters decides by itself until it has them again: nobody waits for what is known to
 * be away.  Desks come and go one by one; the log tells of the worker as a whole, once a change.
 */
#include "services/counters.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/bytes.h"
#include "base/log.h"
#include "base/str.h"
#include "base/time.h"
#include "services/local.h"
#include "services/redis/leases.h"

#define GRACE_MS 10

enum reach { NEVER_TRIED, REACHED, AWAY };

struct dp_counters {
	struct dp_local *local;
	_Atomic int64_t reservations, refusals, degraded, workers;
	_Atomic bool away;
	char owner[GW_HEX_LEN(8)];
	pthread_mutex_t lock;        /* guards what follows, and is held for a log line */
	size_t desks, reached;
	enum reach reach;            /* of the worker as a whole */
};

struct dp_desk {
	struct dp_counters *counters;
	struct dp_loop *loop;
	struct dp_leases *leases;    /* NULL: counted locally */
	uint8_t settings[32];        /* digest of those in force */
	char *place;                 /* for the log */
	int64_t on_failure;
	enum reach reach;
	struct gw_node waiting;      /* for the first connection */
	bool halted;
};

/* One claim of a reservation that is counted here. */
struct part {
	struct dp_held *held;        /* NULL: settled, or not counted here */
	int64_t amount;
};

struct dp_reservation {
	unsigned magic;
#define RESERVATION_MAGIC 0x7e5e7401u
	struct gw_node node;
	struct dp_desk *desk;
	enum dp_reserve how;
	size_t n;
	struct dp_lease *lease;
	struct dp_timer deadline;
	bool late;                   /* ... has passed once */
	dp_reserve_fn *done;
	void *arg;
	struct dp_take *take;        /* while PENDING */
	struct dp_claim_state *states;
	struct part part[];
};

struct dp_counters *dp_counters_open(void)
{
	struct dp_counters *c = gw_alloc(sizeof *c);
	uint8_t random[8];

	c->local = dp_local_open();
	pthread_mutex_init(&c->lock, NULL);
	gw_random(random, sizeof random);
	gw_hex(c->owner, random, sizeof random);
	c->workers = 1;
	return c;
}

void dp_counters_close(struct dp_counters **cp)
{
	struct dp_counters *c = *cp;

	if (!c)
		return;
	*cp = NULL;
	dp_local_close(&c->local);
	pthread_mutex_destroy(&c->lock);
	free(c);
}

void dp_counters_set_workers(struct dp_counters *c, int64_t n)
{
	c->workers = n < 1 ? 1 : n;
}

static struct dp_now now_of(const struct dp_desk *d)
{
	return (struct dp_now){ d->loop ? dp_loop_now(d->loop) : gw_mono_ms(), gw_now_ms() };
}

static int64_t clamp(int64_t amount)
{
	return amount < 0 ? 0 : amount > DP_AMOUNT_MAX ? DP_AMOUNT_MAX : amount;
}

/* ---- where the shared counters are ---- */

static const char *const policies[] = { "local_share", "open", "closed" };

/* This desk reaches them or does not; `from` is what it was before. */
static void tell(struct dp_desk *d, enum reach now, const char *why)
{
	struct dp_counters *c = d->counters;
	enum reach whole;

	if (d->reach == now)
		return;
	pthread_mutex_lock(&c->lock);
	c->reached += (now == REACHED) - (size_t)(d->reach == REACHED);
	d->reach = now;
	whole = now != REACHED ? now : c->reached == c->desks ? REACHED : c->reach;
	if (whole != c->reach && whole == AWAY)
		gw_log(GW_LOG_WARN, "counters", gw_str_c(d->place), "shared counters cannot be reached", "on_failure=%s: %s",
		       policies[d->on_failure], why);
	if (whole != c->reach && whole == REACHED)
		gw_log(GW_LOG_INFO, "counters", gw_str_c(d->place), c->reach == AWAY ? "shared counters are reached again" :
		       "shared counters are reached", NULL);
	c->reach = whole;
	c->away = whole == AWAY;
	pthread_mutex_unlock(&c->lock);
}

static void ask_shared(struct dp_reservation *r);
static void decide_alone(struct dp_reservation *r);
static void say(struct dp_reservation *r);

static struct dp_reservation *next_waiting(struct gw_node *list)
{
	struct dp_reservation *r;

	if (gw_list_empty(list))
		return NULL;
	r = GW_CONTAINER(list->next, struct dp_reservation, node);
	gw_list_del(&r->node);
	return r;
}

static void on_up(void *arg)
{
	struct dp_desk *d = arg;
	struct dp_reservation *r;

	tell(d, REACHED, NULL);
	while (dp_leases_up(d->leases) && (r = next_waiting(&d->waiting)))
		ask_shared(r);
}

static void on_down(void *arg, const char *why)
{
	struct dp_desk *d = arg;
	struct dp_reservation *r;

	tell(d, AWAY, why);
	while ((r = next_waiting(&d->waiting))) {
		decide_alone(r);
		say(r);
	}
}

static void on_seen(void *arg, const struct dp_claim *c, const struct dp_claim_state *st)
{
	struct dp_desk *d = arg;

	dp_local_note(d->counters->local, c, st, now_of(d));
}

/* ---- desks ---- */

struct dp_desk *dp_desk_open(struct dp_counters *c, struct dp_loop *l)
{
	struct dp_desk *d = gw_alloc(sizeof *d);

	d->counters = c;
	d->loop = l;
	d->place = gw_strdup_n("", 0);
	gw_list_init(&d->waiting);
	pthread_mutex_lock(&c->lock);
	c->desks++;
	pthread_mutex_unlock(&c->lock);
	return d;
}

static void digest_of(const struct gw_counter_settings *s, uint8_t out[32])
{
	struct gw_buf b;
	const struct gw_str texts[] = { s->url, s->master_name, s->username, s->password, s->sentinel_password, s->ca_pem };

	gw_buf_init(&b, 1u << 20);
	gw_buf_printf(&b, "%lld %lld %lld", (long long)s->backend, (long long)s->mode, (long long)s->verify);
	for (size_t i = 0; i < GW_COUNT(texts); i++) {
		gw_buf_printf(&b, "\n%zu:", texts[i].n);
		gw_buf_add(&b, texts[i].n ? texts[i] : GW_STR(""));
	}
	for (size_t i = 0; i < s->members.n; i++) {
		gw_buf_printf(&b, "\n%zu:", s->members.v[i].n);
		gw_buf_add(&b, s->members.v[i]);
	}
	gw_sha256(out, gw_buf_str(&b));
	explicit_bzero(b.p, b.cap);
	gw_buf_fini(&b);
}

static void let_go(struct dp_desk *d)
{
	struct dp_reservation *r;

	dp_leases_close(&d->leases); /* what is under way is decided from inside */
	while ((r = next_waiting(&d->waiting))) {
		decide_alone(r);
		say(r);
	}
	tell(d, NEVER_TRIED, NULL);
}

void dp_desk_apply(struct dp_desk *d, const struct gw_counter_settings *s)
{
	static const struct dp_leases_ops ops = { on_up, on_down, on_seen };
	uint8_t digest[32];
	char owner[64];
	int n;

	if (d->halted)
		return;
	d->on_failure = s->on_failure;
	digest_of(s, digest);
	if (memcmp(digest, d->settings, sizeof digest) == 0)
		return;
	memcpy(d->settings, digest, sizeof digest);
	let_go(d);
	if (s->backend != GW_COUNTERS_REDIS)
		return;
	free(d->place);
	d->place = gw_strdup_n(s->url.p, s->url.n);
	n = snprintf(owner, sizeof owner, "%s.%u", d->counters->owner, dp_loop_index(d->loop));
	d->leases = dp_leases_open(d->loop, s, (struct gw_str){ owner, (size_t)n }, &ops, d);
}

bool dp_desk_shares(const struct dp_desk *d) { return d->leases != NULL; }

void dp_desk_halt(struct dp_desk *d)
{
	d->halted = true;
	let_go(d);
}

void dp_desk_close(struct dp_desk **dp)
{
	struct dp_desk *d = *dp;

	if (!d)
		return;
	*dp = NULL;
	assert(!d->leases);
	free(d->place);
	free(d);
}

/* ---- deciding ---- */

static enum dp_reserve decided(struct dp_reservation *r, bool granted)
{
	struct dp_counters *c = r->desk->counters;

	dp_timer_stop(&r->deadline);
	if (granted)
		atomic_fetch_add_explicit(&c->reservations, 1, memory_order_relaxed);
	else
		atomic_fetch_add_explicit(&c->refusals, 1, memory_order_relaxed);
	return r->how = granted ? DP_RESERVED : DP_REFUSED;
}

static void say(struct dp_reservation *r)
{
	r->done(r->arg, r, r->how);
}

/* Those of `take` for which count[i] holds, with limits divided by `share`. */
static bool take_here(struct dp_reservation *r, const bool *count, int64_t share)
{
	struct dp_claim claims[DP_CLAIMS_MAX];
	struct dp_take take[DP_CLAIMS_MAX];
	struct dp_held *held[DP_CLAIMS_MAX];
	struct dp_claim_state states[DP_CLAIMS_MAX];
	size_t n = 0, at = 0;
	bool ok;

	for (size_t i = 0; i < r->n; i++) {
		if (count && !count[i])
			continue;
		claims[n] = *r->take[i].claim;
		if (share > 1)
			claims[n].limit = claims[n].limit / share < 1 ? 1 : claims[n].limit / share;
		take[n] = (struct dp_take){ &claims[n], clamp(r->take[i].amount) };
		n++;
	}
	ok = dp_local_take(r->desk->counters->local, take, n, now_of(r->desk), held, states);
	for (size_t i = 0; i < r->n; i++) {
		if (count && !count[i])
			continue;
		r->states[i] = states[at];
		r->part[i] = (struct part){ ok ? held[at] : NULL, dp_claim_amount(&claims[at], take[at].amount) };
		at++;
	}
	return ok;
}

/* Without the shared counters: what each claim's policy says. */
static void decide_alone(struct dp_reservation *r)
{
	bool here[DP_CLAIMS_MAX], shut = false, ok;
	int64_t share = atomic_load(&r->desk->counters->workers);

	atomic_fetch_add_explicit(&r->desk->counters->degraded, 1, memory_order_relaxed);
	for (size_t i = 0; i < r->n; i++) {
		const struct dp_claim *c = r->take[i].claim;
		enum dp_outage policy = c->outage ? c->outage : (enum dp_outage)(r->desk->on_failure + DP_OUTAGE_LOCAL_SHARE);

		here[i] = policy == DP_OUTAGE_LOCAL_SHARE;
		shut |= policy == DP_OUTAGE_CLOSED;
		r->states[i] = (struct dp_claim_state){ .limit = c->limit, .left = c->limit, .refused = policy == DP_OUTAGE_CLOSED, .wait_ms = 1000 };
	}
	ok = !shut && take_here(r, here, share);
	for (size_t i = 0; i < r->n; i++)
		r->states[i].degraded = true;
	(void)decided(r, ok);
}

static void on_fate(void *arg, struct dp_lease *k, enum dp_lease_fate fate)
{
	struct dp_reservation *r = arg;

	GW_CHECK(r, RESERVATION_MAGIC);
	assert(r->lease == k && r->how == DP_PENDING);
	if (fate == DP_LEASE_UNKNOWN)
		decide_alone(r);
	else
		(void)decided(r, fate == DP_LEASE_GRANTED);
	if (fate != DP_LEASE_GRANTED)
		dp_lease_settle(&r->lease, NULL);
	say(r);
}

static void ask_shared(struct dp_reservation *r)
{
	r->lease = dp_lease_take(r->desk->leases, r->take, r->n, r->states, on_fate, r);
}

static void on_deadline(struct dp_timer *t)
{
	struct dp_reservation *r = GW_CONTAINER(t, struct dp_reservation, deadline);
	struct dp_desk *d = r->desk;

	GW_CHECK(r, RESERVATION_MAGIC);
	if (!r->late) { /* the loop itself may be late: what lies in the socket is read before the timer comes again */
		r->late = true;
		dp_loop_timer(d->loop, &r->deadline, GRACE_MS);
	} else if (r->lease) {
		dp_leases_drop(d->leases, "no answer in time"); /* decides this one and all that wait with it */
	} else {
		on_down(d, "no connection in time");
	}
}

/* ---- reservations ---- */

static struct dp_reservation *make(struct dp_desk *d, const struct dp_take *v, size_t n)
{
	struct dp_reservation *r = gw_alloc(sizeof *r + n * (sizeof *r->part + sizeof *r->states + sizeof *r->take));

	r->magic = RESERVATION_MAGIC;
	r->desk = d;
	r->n = n;
	r->how = DP_PENDING;
	gw_list_init(&r->node);
	dp_timer_init(&r->deadline, on_deadline);
	r->states = (struct dp_claim_state *)(void *)(r->part + n);
	r->take = (struct dp_take *)(void *)(r->states + n);
	for (size_t i = 0; i < n; i++)
		r->take[i] = (struct dp_take){ v[i].claim, clamp(v[i].amount) };
	return r;
}

enum dp_reserve dp_counters_reserve(struct dp_desk *d, const struct dp_take *v, size_t n, dp_reserve_fn *done, void *arg,
                                    struct dp_reservation **out)
{
	struct dp_reservation *r = *out = make(d, v, n);

	assert(n <= DP_CLAIMS_MAX);
	r->done = done;
	r->arg = arg;
	if (!d->leases || n == 0)
		return decided(r, take_here(r, NULL, 1));
	if (d->reach == AWAY || (d->reach == REACHED && !dp_leases_up(d->leases))) {
		decide_alone(r);
		return r->how;
	}
	dp_loop_timer(d->loop, &r->deadline, DP_COUNTERS_WAIT_MS);
	if (d->reach == REACHED)
		ask_shared(r);
	else
		gw_list_add_tail(&d->waiting, &r->node);
	return DP_PENDING;
}

const struct dp_claim_state *dp_reservation_states(const struct dp_reservation *r)
{
	GW_CHECK(r, RESERVATION_MAGIC);
	return r->states;
}

static void settle_here(struct dp_reservation *r, size_t i, int64_t actual, struct dp_now now)
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
	if (r->lease)
		dp_lease_settle_part(r->lease, i, clamp(actual));
	else
		settle_here(r, i, actual, now_of(r->desk));
}

void dp_counters_settle(struct dp_reservation **rp, const int64_t *actual)
{
	struct dp_reservation *r = *rp;
	int64_t used[DP_CLAIMS_MAX];
	struct dp_now now;

	if (!r)
		return;
	*rp = NULL;
	GW_CHECK(r, RESERVATION_MAGIC);
	dp_timer_stop(&r->deadline);
	gw_list_del(&r->node);
	now = now_of(r->desk);
	for (size_t i = 0; i < r->n; i++) {
		used[i] = actual && r->how == DP_RESERVED ? clamp(actual[i]) : 0;
		settle_here(r, i, used[i], now);
	}
	dp_lease_settle(&r->lease, used);
	if (r->how == DP_RESERVED)
		atomic_fetch_sub_explicit(&r->desk->counters->reservations, 1, memory_order_relaxed);
	r->magic = 0;
	free(r);
}

void dp_counters_put(struct dp_counters *c, const struct dp_claim *claim, int64_t used)
{
	assert(claim->kind == DP_CLAIM_PERIOD || claim->kind == DP_CLAIM_TOTAL);
	dp_local_put(c->local, claim, used, (struct dp_now){ gw_mono_ms(), gw_now_ms() });
}

/* ---- for people ---- */

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
	out->degraded = atomic_load_explicit(&c->degraded, memory_order_relaxed);
	out->away = atomic_load_explicit(&c->away, memory_order_relaxed);
}
