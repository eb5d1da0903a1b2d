/*
 * fetch.h - one GET of a small document over the worker's own dialer, for keys and the like.
 *
 * Addresses are judged by the guard, certificates are verified, no redirect is followed, nothing is kept alive, and what
 * comes back is bounded in bytes and time.  Everything happens on the loop that asked; nothing blocks it.
 */
#ifndef DP_SERVICES_FETCH_H
#define DP_SERVICES_FETCH_H

#include "net/loop.h"

struct dp_fetch;

struct dp_fetch_spec {                /* borrowed until dp_fetch_open() returns, but ca_pem: until it is over */
	struct gw_str url, ca_pem;
	bool allow_private;
	size_t max_bytes;
	int64_t timeout_ms;           /* over everything */
};

/* Once, never from inside dp_fetch_open(): the body of a 200, borrowed for the call, or text with a sentence why not. */
typedef void dp_fetch_fn(void *arg, struct gw_str body, const char *text);
struct dp_fetch *dp_fetch_open(struct dp_loop *l, const struct dp_fetch_spec *s, dp_fetch_fn *done, void *arg);
void dp_fetch_cancel(struct dp_fetch **f);    /* consumed; NULL is fine; `done` is not called any more */

#endif
