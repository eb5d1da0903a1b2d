/*
 * target.h - the request target, parsed once and for all.
 *
 * Routing, permission and dispatch use this one result, so they can never disagree about the path (T11).  Anything that
 * two readers could understand differently is refused: dot segments, empty segments (`//`), encoded slashes and
 * NULs, backslashes, `;` parameters, broken percent escapes, control bytes, invalid UTF-8, fragments, and an
 * absolute form that names another host than the Host header.
 */
#ifndef DP_HTTP_TARGET_H
#define DP_HTTP_TARGET_H

#include "base/gw.h"
#include "http/code.h"

struct dp_uri {
	struct gw_str path;      /* decoded; starts with '/', or is "*" for OPTIONS * ; in `buf` */
	struct gw_str raw_path;  /* the same as received; what is sent on */
	struct gw_str query;     /* raw, without '?'; absent: {NULL,0} */
};

/* `buf` takes the decoded path: target.n bytes are always enough.  Everything else is borrowed from `target`. */
bool dp_uri_parse(struct dp_uri *out, struct gw_str method, struct gw_str target, struct gw_str host,
                  char *buf, size_t cap, struct dp_refusal *why) GW_MUST_CHECK;

/* A configured base URL ("https://host:8443/v1") taken apart; false with a sentence when it is not http(s)://host… */
struct dp_base_url {
	bool tls;
	struct gw_str host;      /* without brackets, IPv6 included */
	struct gw_str authority; /* host[:port] as written: the Host header */
	uint16_t port;
	struct gw_str path;      /* "/v1" or ""; never ends with '/' */
};
bool dp_base_url_parse(struct dp_base_url *out, struct gw_str url, char *why, size_t why_cap) GW_MUST_CHECK;

#endif
