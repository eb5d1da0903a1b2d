/*
 * wheel.h - many timers, cheaply.
 *
 * A hashed wheel of 1,024 slots of 8 ms: starting and stopping is two pointer writes, whatever the number.  A timer
 * never fires early and at most one slot late.  Far timers stay in their slot and are passed over once a turn.
 * It reads no clock; the loop hands it the time.  A timer is embedded in its owner, which GW_CONTAINER finds again.
 */
#ifndef DP_NET_WHEEL_H
#define DP_NET_WHEEL_H

#include "base/map.h"

#define DP_WHEEL_SLOTS   1024u
#define DP_WHEEL_SLOT_MS 8

struct dp_timer {
	struct gw_node node;                 /* on its slot's ring while armed */
	int64_t due_ms;
	void (*fire)(struct dp_timer *t);
};

struct dp_wheel {
	struct gw_node slot[DP_WHEEL_SLOTS];
	uint64_t used[DP_WHEEL_SLOTS / 64];  /* may say yes for an empty slot, never no for a full one */
	int64_t tick;                        /* the last slot that was run, as a count since time 0 */
};

void dp_wheel_init(struct dp_wheel *w, int64_t now_ms);
/* Fires everything that is due.  Callbacks may start, stop and free any timer, their own included. */
void dp_wheel_run(struct dp_wheel *w, int64_t now_ms);
/* When run() should be called next: never later than the first due timer, perhaps earlier; -1: no timer at all. */
int64_t dp_wheel_next(const struct dp_wheel *w);

void dp_timer_init(struct dp_timer *t, void (*fire)(struct dp_timer *t));
void dp_timer_start(struct dp_wheel *w, struct dp_timer *t, int64_t due_ms); /* restarts an armed one */
void dp_timer_stop(struct dp_timer *t);                                      /* fine when not armed */
static inline bool dp_timer_armed(const struct dp_timer *t) { return !gw_list_empty(&t->node); }

#endif
