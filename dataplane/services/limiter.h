/*
 * limiter.h - windows shared by all loops of this worker.
 *
 * A window holds up to `limit` units per window_ms and refills evenly (a token bucket), so there is no moment at which
 * everybody may rush in.  Windows are kept by key, survive configurations, and are forgotten when they are full again
 * and idle.  Sharded locks: two loops meet only when they touch the same shard at once.
 */
#ifndef DP_SERVICES_LIMITER_H
#define DP_SERVICES_LIMITER_H

#include "base/gw.h"

#define DP_LIMITER_MAX_KEYS 262144u    /* beyond, the fullest windows make room */

struct dp_limiter;

struct dp_limiter *dp_limiter_open(void);
void dp_limiter_close(struct dp_limiter **l);
/* 0: taken.  Else ms until it could be; nothing was taken.  n above limit can never be taken: the answer is window_ms.
 * *left (NULL allowed): units that remain. */
int64_t dp_limiter_try(struct dp_limiter *l, struct gw_str key, int64_t n, int64_t limit, int64_t window_ms,
                       int64_t now_ms, int64_t *left);
/* Give n back (or take it after all, when negative: the level may fall below zero and recovers with time). */
void dp_limiter_return(struct dp_limiter *l, struct gw_str key, int64_t n, int64_t limit, int64_t window_ms, int64_t now_ms);
size_t dp_limiter_keys(struct dp_limiter *l);

#endif
