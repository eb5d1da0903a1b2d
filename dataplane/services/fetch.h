/*
 * fetch.h - one request over the worker's own dialer, for a small document such as keys, or a decision.
 *
 * Addresses are judged by the guard, certificates are verified, no redirect is followed, nothing is kept alive, and what
 * comes back is bounded in bytes and time.  Everything happens on the loop that asked; nothing blocks it.
 */
#ifndef DP_SERVICES_FETCH_H
#define DP_SERVICES_FETCH_H

#include "net/loop.h"
#include "snapshot.h"

struct dp_fetch;

struct dp_fetch_spec {                /* borrowed until dp_fetch_open() returns, but ca_pem: until it is over */
	struct gw_str url, ca_pem;
	bool allow_private;
	size_t max_bytes;
	int64_t timeout_ms;           /* over everything */
	const struct gw_pair *headers; size_t n_headers;   /* besides its own; all dp_header_ok() */
	struct gw_str json;           /* POST with this body; absent: GET */
	bool any_status;              /* every answer is one; else a 200 alone */
};

/*
 * Once, never from inside dp_fetch_open(): the body of the answer, borrowed for the call, or text with a sentence why there
 * is none.  During the call the answer's status and headers can be asked for.
 */
typedef void dp_fetch_fn(void *arg, struct gw_str body, const char *text);
struct dp_fetch *dp_fetch_open(struct dp_loop *l, const struct dp_fetch_spec *s, dp_fetch_fn *done, void *arg);
unsigned dp_fetch_status(const struct dp_fetch *f);
struct gw_str dp_fetch_header(const struct dp_fetch *f, const char *name);   /* absent: it has none */
void dp_fetch_cancel(struct dp_fetch **f);    /* consumed; NULL is fine; `done` is not called any more */

#endif
