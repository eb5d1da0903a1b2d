/*
 * counters.h - the one admission point: limits, quotas and budgets of a request, reserved together.
 *
 *   plugins (ranks LIMIT and QUOTA) call dp_claim() in their BODY hook
 *     -> plugin_host gathers the claims of all of them, and before the first plugin of a later rank
 *     -> exchange/admit.c calls dp_counters_reserve() once for all of them
 *     -> each plugin's on_admission() learns the state of its counters; the one that refused says so to the client
 *     -> plugins call dp_settle() in on_end(), then exchange/admit.c calls dp_counters_settle() once
 *
 * A request that moves on to its route's fallback targets passes the same point again with the claims that concern
 * those (claim.h, `amount`).
 *
 * A reservation is a lease: it has an owner (this worker's desk) and an expiry, is renewed while its request lives, and
 * is gone once it was settled, whoever forgets it.  Settling twice is impossible: the call consumes the handle.
 *
 * Where counters live is the configuration's business (settings.counters): here, shared by this worker's loops, or in
 * Redis.  The local ones take a short lock, one of 64, and answer at once.
 */
#ifndef DP_SERVICES_COUNTERS_H
#define DP_SERVICES_COUNTERS_H

#include "base/buf.h"
#include "claim.h"
#include "net/loop.h"
#include "snapshot.h"

#define DP_COUNTERS_MAX_KEYS 262144u   /* beyond, those make room that were not used for longest */
#define DP_COUNTERS_WAIT_MS  80        /* for an answer of the shared counters; 100 with what the loop may take to notice */
#define DP_AMOUNT_MAX ((int64_t)1 << 50)

struct dp_counters;                    /* shared by all loops of this worker */
struct dp_desk;                        /* one loop's side of it; used on that loop only */
struct dp_reservation;

struct dp_counters *dp_counters_open(void);                    /* owned: dp_counters_close() after all desks */
void dp_counters_close(struct dp_counters **c);
struct dp_desk *dp_desk_open(struct dp_counters *c, struct dp_loop *l); /* owned: dp_desk_close() */
/* On the loop: count where these settings say.  The same settings again change nothing. */
void dp_desk_apply(struct dp_desk *d, const struct gw_counter_settings *s);
bool dp_desk_shares(const struct dp_desk *d);                  /* its counters are shared ones */
void dp_desk_halt(struct dp_desk *d);                          /* on the loop, when it ends: lets the connections go */
void dp_desk_close(struct dp_desk **d);                        /* after the loop was joined; nothing is open any more */
/* How many workers share the limits; known from the control plane, 1 until it says so.  Any thread. */
void dp_counters_set_workers(struct dp_counters *c, int64_t n);

/* One claim with the amount to reserve; amounts are clamped to [0, DP_AMOUNT_MAX]. */
struct dp_take { const struct dp_claim *claim; int64_t amount; };

enum dp_reserve {
	DP_RESERVED,      /* all of them are taken */
	DP_REFUSED,       /* none is; the states say which counter refused and for how long */
	DP_PENDING,       /* `done` will say it, on the loop, once, and never from inside dp_counters_reserve() */
};
typedef void dp_reserve_fn(void *arg, struct dp_reservation *r, enum dp_reserve how);

/*
 * The claims stay borrowed until it is decided or settled.  *out is owned whatever the answer: end it with
 * dp_counters_settle().  Not after that is `done` called.  Shared counters that cannot be reached are waited for
 * DP_COUNTERS_WAIT_MS at most, and while they are known to be away not at all: then each claim's outage policy decides.
 */
enum dp_reserve dp_counters_reserve(struct dp_desk *d, const struct dp_take *v, size_t n, dp_reserve_fn *done, void *arg,
                                    struct dp_reservation **out) GW_MUST_CHECK;
/* One state for each take, in order; valid once decided, until it is settled. */
const struct dp_claim_state *dp_reservation_states(const struct dp_reservation *r);
/*
 * What was really used, one for each take; NULL: nothing.  Fine in every state: a refused reservation has nothing to
 * give back, a pending one is called off (and given back if it was granted meanwhile).  Consumed; NULL is fine.
 */
void dp_counters_settle(struct dp_reservation **r, const int64_t *actual);

/* The same for one of its takes alone, ahead of the rest, which then passes over it.  Only once reserved. */
void dp_counters_settle_part(struct dp_reservation *r, size_t i, int64_t actual);

/*
 * What a ledger knows better: from now on `used` (open ones apart) is what was settled.  Makes the counter if need be.
 * Only for PERIOD and TOTAL.  Any thread.
 */
void dp_counters_put(struct dp_counters *c, const struct dp_claim *claim, int64_t used);

/* ---- for people ---- */

/* One counter as live state shows it; texts borrowed for the visit. */
struct dp_counter_view {
	struct gw_str key, scope, who, owner_scope, owner, label;
	const char *unit;
	enum dp_claim_kind kind;
	int64_t limit, window_ms, used, left, open, reset_ms;
	bool shared;                       /* counted for all workers together; as it was age_ms ago */
	int64_t age_ms;
	int64_t seen_us;                   /* when that was, by the clock of the shared counters: which of two workers knows better */
	int64_t refusals, refused_at_ms;   /* since this worker knows it; the last one by the wall clock, 0: never */
};
/* Those of or for one object ("consumer", "app1"); scope absent: all.  Any thread; the visitor must be quick and calls nothing here. */
void dp_counters_visit(struct dp_counters *c, struct gw_str scope, struct gw_str who,
                       void (*visit)(void *arg, const struct dp_counter_view *v), void *arg);

/* degraded: decisions by an outage policy; away: the shared counters cannot be reached */
struct dp_counters_figures { int64_t keys, reservations, refusals, degraded, away; };
void dp_counters_figures(struct dp_counters *c, struct dp_counters_figures *out);   /* any thread */

#endif
