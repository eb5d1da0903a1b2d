/*
 * survey.h - what a worker's loops have of a provider's servers, put together for people who look at it.
 *
 * Each loop has its own connections, queue and memory of names, and only it may look at them, so every loop is asked in
 * turn.  That is done when somebody asks for the provider's health and at no other time.
 */
#ifndef DP_APPLY_SURVEY_H
#define DP_APPLY_SURVEY_H

#include "apply/fleet.h"
#include "json.h"

/*
 * Adds to the i-th object of `endpoints`, which stands for the provider's i-th:
 *   pool {connections,busy,idle,connecting,limit|null}, queue {waiting,limit,timeout_ms}, resolved_at|null, expires_at|null,
 *   ttl_ms|null, lookup_error|null, addresses [{address,family,state,connections,last_error,last_error_at}],
 *   addresses_left_out.
 * Connections and requests that wait are those of all loops; of the look-ups the newest is told.  An address is
 *   in_use     connections lead to it
 *   spare      known, and not needed so far
 *   failing    connecting to it failed the last time
 *   blocked    never dialled, by the guard's rule
 *   former     not the name's any more, but connections lead to it
 * A server has at most DP_NAME_MAX_ADDRS of the name, and DP_POOL_MAX_PEERS to which connections lead; of the former,
 * those beyond are counted.
 */
void dp_survey(struct dp_fleet *f, const struct gw_provider *p, json_t *endpoints);

#endif
