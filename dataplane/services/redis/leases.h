/*
 * leases.h - counters in Redis, for one loop: reservations as leases, taken by a script that sees all of them at once.
 *
 * Each counter is a hash (what was settled, `o`: the sum of what is open) and a sorted set of its open leases by expiry.
 * Every script first drops the leases whose owner has not renewed them, so a worker that died holds nothing for longer than
 * DP_LEASE_MS.  Redis' clock is the only one that counts.  In a cluster, counters of several slots are asked separately; if
 * one refuses, what the others granted is given back, so still all or none is taken in the end.
 *
 * Settling a lease is idempotent, so one whose fate is unknown is settled again when Redis is back; one that a server
 * would not take, because its slot is moving, within seconds.
 */
#ifndef DP_SERVICES_REDIS_LEASES_H
#define DP_SERVICES_REDIS_LEASES_H

#include "services/counters.h"
#include "snapshot.h"

#define DP_LEASE_MS  60000
#define DP_OWED_MAX  20000     /* leases to settle that are kept while Redis is away; beyond, the oldest expire by themselves */

struct dp_leases;
struct dp_lease;

struct dp_leases_ops {
	void (*up)(void *arg);
	void (*down)(void *arg, const char *why);   /* pending reservations were decided UNKNOWN from inside */
	/* A counter's state as Redis told it last, for live state. */
	void (*seen)(void *arg, const struct dp_claim *c, const struct dp_claim_state *st);
};

enum dp_lease_fate { DP_LEASE_GRANTED, DP_LEASE_REFUSED, DP_LEASE_UNKNOWN };
typedef void dp_lease_fn(void *arg, struct dp_lease *k, enum dp_lease_fate fate);

/* `owner` tells this loop of this worker from all others; copied. */
struct dp_leases *dp_leases_open(struct dp_loop *l, const struct gw_counter_settings *s, struct gw_str owner,
                                 const struct dp_leases_ops *ops, void *arg);
/* On the loop.  What is owed is left to expiry; leases that are still held may be settled later, to no effect. */
void dp_leases_close(struct dp_leases **ls);
bool dp_leases_up(const struct dp_leases *ls);
void dp_leases_drop(struct dp_leases *ls, const char *why);   /* Redis answers too late */

/* Only while it is up.  Claims are copied.  `done` is never called from inside; not after the lease was settled. */
struct dp_lease *dp_lease_take(struct dp_leases *ls, const struct dp_take *v, size_t n, struct dp_claim_state *states,
                               dp_lease_fn *done, void *arg);
/* What was really used, for each take; NULL: nothing.  Consumed, in every state. */
void dp_lease_settle(struct dp_lease **k, const int64_t *actual);
/* One take alone, of a granted lease; dp_lease_settle() then passes over it. */
void dp_lease_settle_part(struct dp_lease *k, size_t i, int64_t actual);

#endif
