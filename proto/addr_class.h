/*
 * addr_class.h - which addresses may be dialled: one table for providers, collectors, webhooks and mail servers.
 *
 * Names are never judged, only what they resolved to.  Every spelling that carries an IPv4 address inside an IPv6 one
 * (mapped, compatible, NAT64, 6to4, Teredo) is judged as the IPv4 address as well.
 */
#ifndef GW_PROTO_ADDR_CLASS_H
#define GW_PROTO_ADDR_CLASS_H

#include "base/gw.h"

enum gw_guard {
	GW_GUARD_PUBLIC,    /* may be dialled */
	GW_GUARD_PRIVATE,   /* loopback, RFC 1918, ULA, carrier NAT…: only where the operator allowed it */
	GW_GUARD_NEVER,     /* metadata, link-local, unspecified, multicast, broadcast, reserved */
};

/* `ip` is in network order: 4 bytes, or 16 when `v6`.  Pure. */
enum gw_guard gw_guard_judge(const uint8_t *ip, bool v6);

#endif
