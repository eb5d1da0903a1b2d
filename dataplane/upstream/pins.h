/*
 * pins.h - who holds which answer: the memory behind requests that refer to an earlier one.
 *
 * A stored answer (Responses API) exists at the account that made it and nowhere else, so a request that names it must
 * go there.  The memory is of fixed size and shared by all loops of a worker: a set of four places by hash of the id,
 * in which the longest unused one gives way.  What it forgot is no harm: choosing by the consumer's hash then mostly
 * finds the same account again.
 */
#ifndef DP_UPSTREAM_PINS_H
#define DP_UPSTREAM_PINS_H

#include "base/gw.h"

#define DP_PINS_MAX 65536u               /* 5 MiB, taken with the first answer */

/* Hashes of this process: gw_hash() of names, dp_key_id(), dp_balance_hash() of the endpoint's address. */
struct dp_pin { uint64_t consumer, provider, key, endpoint; };

struct dp_pins;

struct dp_pins *dp_pins_open(void);      /* owned: dp_pins_close() */
void dp_pins_close(struct dp_pins **p);
/* Any thread; a short lock, one of 64. */
void dp_pins_put(struct dp_pins *p, struct gw_str id, const struct dp_pin *pin);
bool dp_pins_get(struct dp_pins *p, struct gw_str id, struct dp_pin *out);   /* false: not known here */

#endif
