/*
 * headers.h - looking at header lists, and deciding which of them travel on.
 *
 * Two filters, both for pass-through.  Towards a provider almost everything of the client's is dropped: credentials,
 * hop-by-hop fields, cookies, forwarding claims and our own x-tidegate-*; what a vendor may need (OpenAI-Beta,
 * anthropic-beta, Idempotency-Key, x-stainless-*, User-Agent, Accept) goes.  Towards the client only an allow-list
 * goes: Content-Type, Retry-After, request ids, rate-limit figures, and a few vendor facts; Set-Cookie, HSTS,
 * Location, encodings and framing never do.  Authentication headers are built from configuration, never copied.
 */
#ifndef DP_HTTP_HEADERS_H
#define DP_HTTP_HEADERS_H

#include "base/gw.h"
#include "base/str.h"
#include "snapshot.h"

bool dp_token_ok(struct gw_str s);                 /* RFC 9110 token, at least one byte */
bool dp_value_ok(struct gw_str s);                 /* field value: no control byte but HTAB, no blank at either end */
bool dp_header_ok(struct gw_str name, struct gw_str value);

/* First value of this name, any case; absent: {NULL,0}. */
struct gw_str dp_header_find_n(const struct gw_pair *h, size_t n, struct gw_str name);
static inline struct gw_str dp_header_find(const struct gw_pair *h, size_t n, const char *name)
{
	return dp_header_find_n(h, n, gw_str_c(name)); /* here, so that a literal's length costs nothing */
}
size_t dp_header_count(const struct gw_pair *h, size_t n, const char *name);
/* Does a comma-separated list header (all its lines) hold this element, any case? */
bool dp_header_has(const struct gw_pair *h, size_t n, const char *name, const char *element);
/*
 * The elements of a comma-separated list header from the last to the first, all its lines taken as one list, empty
 * elements left out.  Begin with *n headers and an absent *rest; false: none left.
 */
bool dp_header_list_back(const struct gw_pair *h, size_t *n, const char *name, struct gw_str *rest, struct gw_str *element);
/* The media type without parameters: "text/event-stream". */
struct gw_str dp_media_type(struct gw_str content_type);
/* A parameter of a media type, quotes removed ("boundary"); absent: {NULL,0}.  `buf` holds it when it was escaped. */
struct gw_str dp_media_param(struct gw_str content_type, const char *name, char *buf, size_t cap);

/* Connection, Keep-Alive, Proxy-*, TE, Trailer, Transfer-Encoding, Upgrade, and whatever Connection names. */
bool dp_hop_by_hop(const struct gw_pair *h, size_t n, struct gw_str name);
/* Is it the same name to a server that, as CGI did, takes `_` for `-`?  Any case. */
bool dp_header_same(struct gw_str a, struct gw_str b);
/* May the client's header `name` go to a provider? */
bool dp_request_header_passes(const struct gw_pair *h, size_t n, struct gw_str name);
/* May the provider's header `name` go to the client? */
bool dp_response_header_passes(struct gw_str name);

/*
 * The consumer's credential: Authorization: Bearer, x-api-key, api-key or x-goog-api-key; the first that stands in the
 * request counts.  Absent: {NULL,0}.  Two different ones are no reason to guess: *conflict is set.
 */
/* What stands behind "Basic" in Authorization: base64 of NAME:PASSWORD (RFC 7617); absent: none does. */
struct gw_str dp_basic_credential(const struct gw_pair *h, size_t n);
struct gw_str dp_credential(const struct gw_pair *h, size_t n, bool *conflict);

#endif
