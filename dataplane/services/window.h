/*
 * window.h - the arithmetic of one counter: what is used, what may still be taken, when there is more.
 *
 * Pure: time is handed in.  A sliding window is kept in DP_WINDOW_SLOTS + 1 slots; the oldest, of which a part is past
 * already, counts whole, so never more than the limit is granted in any window, and room comes back slot by slot.
 */
#ifndef DP_SERVICES_WINDOW_H
#define DP_SERVICES_WINDOW_H

#include "claim.h"

#define DP_WINDOW_SLOTS 16

struct dp_now { int64_t mono_ms, wall_ms; };

struct dp_window {
	enum dp_claim_kind kind;
	int64_t limit, window_ms;
	int64_t open;                        /* reserved, not settled */
	union {
		struct { int64_t slot, sum, v[DP_WINDOW_SLOTS + 1]; } sliding; /* slot: the newest one's number */
		struct { double level; int64_t seen_ms; } bucket;  /* below zero when more was used than reserved */
		struct { int64_t used, from_ms, until_ms; } plain;
	} u;
};

void dp_window_init(struct dp_window *w, const struct dp_claim *c, struct dp_now now);
/* The claim's limit and period, and the passing of time.  Before anything else of a turn. */
void dp_window_update(struct dp_window *w, const struct dp_claim *c, struct dp_now now);
/* Take `amount` if it is within the limit.  Else false, and *wait_ms (at least 1) until that may be so. */
bool dp_window_take(struct dp_window *w, int64_t amount, struct dp_now now, int64_t *wait_ms) GW_MUST_CHECK;
void dp_window_settle(struct dp_window *w, int64_t reserved, int64_t actual, struct dp_now now);
void dp_window_put(struct dp_window *w, int64_t used);         /* PERIOD, TOTAL */
/* As of the last update. */
int64_t dp_window_used(const struct dp_window *w);
int64_t dp_window_left(const struct dp_window *w);
int64_t dp_window_reset_ms(const struct dp_window *w, struct dp_now now);

#endif
