/*
 * balance.h - which one of several, as arithmetic.
 *
 * Pure: candidates and a random number go in, an index comes out.  Candidates that are closed are left out as long
 * as one is open; when all are closed the one that opens first is taken, since trying beats refusing.
 */
#ifndef DP_UPSTREAM_BALANCE_H
#define DP_UPSTREAM_BALANCE_H

#include "snapshot.h"

struct dp_candidate {
	int64_t weight;          /* 0: only when nothing else is left */
	int64_t in_flight;
	int64_t closed_until;    /* monotonic ms; <= now: open */
	uint64_t hash;           /* of its name, for GW_BALANCE_HASH */
	int64_t *credit;         /* for GW_BALANCE_ROUND_ROBIN: the caller keeps it from call to call, 0 at first */
	bool used;               /* tried by this request already: never again */
	bool let_in;             /* by dp_balance_cap_ejected(): its health would not admit it */
};

/*
 * -1: every candidate is used.  `turn` is the caller's counter, for ties; `seed` is random or, for HASH, the hash of
 * whom to be faithful to.  Round robin is smooth: weights 1 and 3 give b a b b, not a b b b.  Hashing is weighted
 * rendezvous: a candidate that comes, goes or closes moves only its own share.
 */
int dp_balance(enum gw_balance how, const struct dp_candidate *v, size_t n, int64_t now_ms, uint64_t turn, uint64_t seed);

/* The same number for the same text in every worker and after every start, as faithfulness needs it; gw_hash() is not. */
uint64_t dp_balance_hash(struct gw_str s);

/* Open those that would open first, until no more than `percent` of the candidates are closed. */
void dp_balance_cap_ejected(struct dp_candidate *v, size_t n, int64_t now_ms, int64_t percent);

#endif
