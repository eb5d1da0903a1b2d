/*
 * jwks.h - the public keys of token issuers that publish them under an address: fetched, kept, renewed.
 *
 * One for a loop, so without locks.  Keys are fetched ahead when a configuration names a new address and again every
 * `jwks_refresh`.  A token with an unknown key makes it happen at once, at most every 5 s for an issuer, so that a
 * rotation needs nobody and strangers' tokens cost nothing.  What was fetched last stays in force while the issuer
 * cannot be reached, for at most a day; failures are tried again after 5 s, 10 s … 5 min.
 */
#ifndef DP_SERVICES_JWKS_H
#define DP_SERVICES_JWKS_H

#include "net/loop.h"
#include "snapshot.h"

struct dp_jwks;

struct dp_jwks *dp_jwks_open(struct dp_loop *l);
void dp_jwks_stop(struct dp_jwks *j);                 /* on the loop: no fetch any more; who waits is told */
void dp_jwks_close(struct dp_jwks **j);               /* stopped, the loop joined; NULL is fine */
/* A new configuration: fetch for addresses that are new, forget those that are gone.  Borrowed until the next call. */
void dp_jwks_keep(struct dp_jwks *j, const struct gw_snapshot *s);

/*
 * The keys at hand for this issuer: inline ones, or what was fetched.  *fresh_possible: a fetch is under way or may be
 * made now, so that waiting may bring others.  n == 0 and false: there are none, and it is too early to try again.
 */
struct gw_jwks dp_jwks_get(struct dp_jwks *j, const struct gw_jwt_issuer *issuer, bool *fresh_possible);

/* Called once, on the loop, never from inside dp_jwks_wait(), when the fetch is over, well or not. */
struct dp_jwks_wait {
	struct gw_node node;
	void (*done)(struct dp_jwks_wait *w);
};
void dp_jwks_ask(struct dp_jwks *j, const struct gw_jwt_issuer *issuer, struct dp_jwks_wait *w);
void dp_jwks_cancel(struct dp_jwks_wait *w);          /* fine when it is over */

#endif
