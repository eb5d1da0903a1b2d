/*
 * local.h - counters in this worker's memory, shared by its loops.
 *
 * Kept by key in 64 shards with a lock each.  Several counters are taken under all their locks, in one order, so a
 * request takes all or none and nobody sees half of it.  A counter on which something is open is never dropped.
 */
#ifndef DP_SERVICES_LOCAL_H
#define DP_SERVICES_LOCAL_H

#include "services/counters.h"
#include "services/window.h"

struct dp_local;
struct dp_held;                        /* one counter, pinned */

struct dp_local *dp_local_open(void);  /* owned: dp_local_close() */
void dp_local_close(struct dp_local **l);

/* All of `v`, or none.  true: held[i] are pinned until dp_local_settle().  Either way states[i] are filled. */
bool dp_local_take(struct dp_local *l, const struct dp_take *v, size_t n, struct dp_now now, struct dp_held **held,
                   struct dp_claim_state *states) GW_MUST_CHECK;
void dp_local_settle(struct dp_local *l, struct dp_held *held, int64_t reserved, int64_t actual, struct dp_now now);
void dp_local_put(struct dp_local *l, const struct dp_claim *c, int64_t used, struct dp_now now);

/* Remember what another place says of this counter, for those who look. */
void dp_local_note(struct dp_local *l, const struct dp_claim *c, const struct dp_claim_state *st, struct dp_now now);

void dp_local_visit(struct dp_local *l, struct gw_str scope, struct gw_str who, struct dp_now now,
                    void (*visit)(void *arg, const struct dp_counter_view *v), void *arg);
size_t dp_local_keys(struct dp_local *l);

#endif
