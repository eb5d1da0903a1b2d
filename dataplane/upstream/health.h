/*
 * health.h - how each provider key and endpoint is doing, for all loops together.
 *
 * State outlives snapshots: an entry is found again by provider, name and the value it stands for, so a changed key
 * starts with a clean record while an unrelated change of configuration forgets nothing.  Reading and noting are
 * atomics; only getting and releasing an entry takes a lock.
 *
 *   healthy ── too many failures, Retry-After, a refused key ──► closed ── time ──► half open ── good ──► healthy
 *                                                                  ▲                    │
 *                                                                  └───── failed ───────┘
 *
 * Half open, one real request at a time is let through until one goes well.  Apart from that an endpoint can be down,
 * when active checks say so; then only checks bring it back.  Recovery never needs a person.
 */
#ifndef DP_UPSTREAM_HEALTH_H
#define DP_UPSTREAM_HEALTH_H

#include "json.h"

enum dp_health_kind { DP_HEALTH_KEY, DP_HEALTH_ENDPOINT };

struct dp_health;

/* Owned: dp_health_unref().  `secret` (may be absent) is hashed into the identity, never kept. */
struct dp_health *dp_health_ref(enum dp_health_kind kind, struct gw_str provider, struct gw_str name, struct gw_str secret);
struct dp_health *dp_health_share(struct dp_health *h); /* one more owned reference; no lock */
void dp_health_unref(struct dp_health **h);          /* consumed; NULL is fine */

/* Monotonic ms until which it should not be used; <= now: it may.  While somebody tries a half-open one: now + 1. */
int64_t dp_health_closed_until(const struct dp_health *h, int64_t now_ms);
/*
 * May it be used now?  *probe is set when the caller is the one that tries a half-open entry: it owes a
 * dp_health_probe_end(), whatever became of the request.
 */
bool dp_health_admits(struct dp_health *h, int64_t now_ms, bool *probe);
void dp_health_probe_end(struct dp_health *h);
bool dp_health_on_probation(const struct dp_health *h);  /* closed or half open */

/* A request that began at began_ms went well.  One that began before the entry was closed proves nothing. */
void dp_health_good(struct dp_health *h, int64_t began_ms, int64_t now_ms);
/* When an entry closes by itself.  window_ms 0: failures in a row; else within the window, and half of all requests. */
struct dp_breaker { int64_t failures, window_ms, cooldown_ms; };
#define DP_BREAKER_MAX_FAILURES 100
/* One more failure; half open it closes at once.  `why` is copied, no secrets. */
void dp_health_bad(struct dp_health *h, int64_t now_ms, const struct dp_breaker *b, const char *why);
/* Only remembered and shown. */
void dp_health_note(struct dp_health *h, const char *why);
/* Closed for so long, whatever the count; the latest word wins, also over a longer time said before. */
void dp_health_close(struct dp_health *h, int64_t now_ms, int64_t for_ms, const char *why);
/* The same for a key that will not work until somebody mends it: refused, or out of money. */
void dp_health_condemn(struct dp_health *h, int64_t now_ms, int64_t for_ms, const char *why);
/* A person says that it is fine: everything but what is in flight is forgotten. */
void dp_health_clear(struct dp_health *h, int64_t now_ms);

/* An active check ended.  So many in a row take the entry down or bring it back.  From one loop only.  True: changed. */
bool dp_health_checked(struct dp_health *h, int64_t now_ms, bool good, int64_t unhealthy_after, int64_t healthy_after, const char *why);
void dp_health_unchecked(struct dp_health *h, int64_t now_ms);   /* no checks any more: it is not down */

/* How much of its weight an entry that came back should have by now: 1 to 100. */
int64_t dp_health_percent(const struct dp_health *h, int64_t now_ms, int64_t slow_start_ms);

void dp_health_begin(struct dp_health *h);           /* one more in flight */
void dp_health_end(struct dp_health *h);
int64_t dp_health_in_flight(const struct dp_health *h);

/*
 * {"name" or "url","state","cooldown_until","last_error","last_error_at","in_flight"}, as GET /providers/{name}/health
 * wants it; owned.  Keys are healthy, cooling or bad, endpoints healthy or open; both half_open while on probation.
 */
json_t *dp_health_json(const struct dp_health *h, int64_t now_mono_ms, int64_t now_wall_ms);

#endif
