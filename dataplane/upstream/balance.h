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
	bool used;               /* tried by this request already: never again */
};

/* -1: every candidate is used.  `turn` is the caller's counter for round robin; `seed` is random or, for HASH, the
 * hash of whom to be faithful to. */
int dp_balance(enum gw_balance how, const struct dp_candidate *v, size_t n, int64_t now_ms, uint64_t turn, uint64_t seed);

#endif
