/*
 * ipnet.h - addresses and networks, as configuration writes them and requests carry them.
 *
 * IPv4 is kept as ::ffff:a.b.c.d, so an IPv4 address that arrives in that form is the same address.
 */
#ifndef GW_BASE_IPNET_H
#define GW_BASE_IPNET_H

#include "base/gw.h"

struct gw_net {
	uint8_t bytes[16];
	unsigned bits;               /* of 128; an IPv4 network has 96 more than it is written with */
};

/* "10.0.0.0/8", "2001:db8::/32", or an address alone, which is a network of one.  false: neither. */
bool gw_net_parse(struct gw_str text, struct gw_net *out);
/* Does `net` hold the address `ip` (its bits do not matter)? */
bool gw_net_holds(const struct gw_net *net, const struct gw_net *ip);

#endif
