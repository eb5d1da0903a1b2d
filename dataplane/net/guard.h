/*
 * guard.h - where outbound connections may go, judged on the resolved address.
 *
 * Names are never judged, only what they resolved to, and the very address that was judged is then dialled, so a
 * name that changes its mind between two lookups gains nothing.  Every spelling that carries an IPv4 address inside
 * an IPv6 one (mapped, compatible, NAT64, 6to4, Teredo) is judged as the IPv4 address as well.  The classes are those of
 * proto/addr_class.h, shared with what the control plane dials.
 */
#ifndef DP_NET_GUARD_H
#define DP_NET_GUARD_H

#include "addr_class.h"

struct dp_addr {
	uint8_t ip[16];     /* the first 4 bytes for v4 */
	bool v6;
	uint16_t port;
};

/* Pure. */
static inline enum gw_guard dp_guard_judge(const struct dp_addr *a)
{
	return gw_guard_judge(a->ip, a->v6);
}
/* "127.0.0.1", "::1", without brackets or zone.  Only the canonical dotted quad: no octal, hex or short forms. */
bool dp_addr_parse(struct gw_str text, uint16_t port, struct dp_addr *out);
#define DP_ADDR_TEXT 64
/* "10.0.0.7:80" or "[2001:db8::1]:80"; without the port when it is 0 and without brackets then. */
const char *dp_addr_text(const struct dp_addr *a, char out[DP_ADDR_TEXT]);
/* The same machine, whatever the ports. */
static inline bool dp_addr_same_ip(const struct dp_addr *a, const struct dp_addr *b)
{
	return a->v6 == b->v6 && memcmp(a->ip, b->ip, a->v6 ? 16 : 4) == 0;
}
/* Is `a` inside "10.0.0.0/8", "::1", …?  A list entry that is no CIDR never matches. */
bool dp_addr_in(const struct dp_addr *a, struct gw_str cidr);

#endif
