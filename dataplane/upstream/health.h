/*
 * health.h - how each provider key and endpoint is doing, for all loops together.
 *
 * State outlives snapshots: an entry is found again by provider, name and the value it stands for, so a changed key
 * starts with a clean record while an unrelated change of configuration forgets nothing.  Reading and noting are
 * atomics; only getting and releasing an entry takes a lock.
 *
 * An entry is closed for a time after a failure that condemns it (a 429 says how long), or after `threshold`
 * failures in a row.  When the time is over, one request a second is let through until one succeeds.
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

/* May it be used now?  True at most once a second while it is on probation, so ask only to use. */
bool dp_health_admits(struct dp_health *h, int64_t now_ms);
/* The same without side effects, for choosing: closed entries last. */
int64_t dp_health_closed_until(const struct dp_health *h);
bool dp_health_on_probation(const struct dp_health *h);

void dp_health_good(struct dp_health *h);
/* One more failure in a row; at `threshold` the entry closes for cooldown_ms.  `why` is copied, no secrets. */
void dp_health_bad(struct dp_health *h, int64_t now_ms, int64_t threshold, int64_t cooldown_ms, const char *why);
/* Closed until then, whatever the count; a later time wins. */
void dp_health_close(struct dp_health *h, int64_t now_ms, int64_t for_ms, const char *why);

/* The same for a key that will not work until somebody mends it: refused, or out of money. */
void dp_health_condemn(struct dp_health *h, int64_t now_ms, int64_t for_ms, const char *why);

void dp_health_begin(struct dp_health *h);           /* one more in flight */
void dp_health_end(struct dp_health *h);
int64_t dp_health_in_flight(const struct dp_health *h);

/*
 * {"name" or "url","state","cooldown_until","last_error","in_flight"}, as GET /providers/{name}/health wants it; owned.
 * Keys are healthy, cooling or bad, endpoints healthy or open; both half_open while on probation.
 */
json_t *dp_health_json(const struct dp_health *h, int64_t now_mono_ms, int64_t now_wall_ms);

#endif
