/*
 * url.h - the addresses of providers, taken apart strictly.
 *
 * http or https, a host (name or IP literal), an optional port and path.  No user info, query, fragment, escapes in
 * the host, control or non-ASCII bytes: what two parsers could read differently is refused.  Pure.
 */
#ifndef DP_NET_URL_H
#define DP_NET_URL_H

#include "base/gw.h"

struct dp_url {
	bool tls;
	struct gw_str host;      /* without brackets; borrowed from the text */
	struct gw_str authority; /* as a Host header wants it: brackets kept, default port left out */
	struct gw_str path;      /* "" or "/v1", without a trailing slash */
	uint16_t port;
};

/* err->text names the fault in plain words. */
enum gw_rc dp_url_parse(struct dp_url *out, struct gw_str text, struct gw_error *err) GW_MUST_CHECK;

#endif
