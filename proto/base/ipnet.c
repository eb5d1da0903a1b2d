/* ipnet.c - addresses and networks. */
#include "base/ipnet.h"

#include <arpa/inet.h>

#include "base/str.h"

bool gw_net_parse(struct gw_str text, struct gw_net *out)
{
	char z[64];
	struct gw_str rest = text, ip = gw_str_cut(&rest, '/');
	int64_t bits = -1;
	bool v4;

	ip = gw_str_trim(ip);
	if (!ip.n || ip.n >= sizeof z || memchr(ip.p, '\0', ip.n) || (rest.p && !gw_str_int(gw_str_trim(rest), 0, 128, &bits)))
		return false;
	memcpy(z, ip.p, ip.n);
	z[ip.n] = '\0';
	v4 = inet_pton(AF_INET, z, out->bytes + 12) == 1;
	if (v4) {
		memset(out->bytes, 0, 10);
		memset(out->bytes + 10, 0xff, 2);
	} else if (inet_pton(AF_INET6, z, out->bytes) != 1) {
		return false;
	}
	if (v4 && bits > 32)
		return false;
	out->bits = bits < 0 ? 128 : (unsigned)bits + (v4 ? 96 : 0);
	return true;
}

bool gw_net_holds(const struct gw_net *net, const struct gw_net *ip)
{
	unsigned whole = net->bits / 8, rest = net->bits % 8;
	unsigned mask = 0xff00u >> rest & 0xff;

	if (memcmp(ip->bytes, net->bytes, whole) != 0)
		return false;
	return !rest || ((ip->bytes[whole] ^ net->bytes[whole]) & mask) == 0;
}
