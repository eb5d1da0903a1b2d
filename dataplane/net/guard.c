/* guard.c - addresses as text, and networks; what may be dialled is told by proto/addr_class.c. */
#include "net/guard.h"

#include <arpa/inet.h>
#include <stdio.h>

#include "base/buf.h"
#include "base/str.h"

static bool prefix_is(const uint8_t *ip, const uint8_t *want, unsigned bits)
{
	unsigned whole = bits / 8, rest = bits % 8;

	if (memcmp(ip, want, whole) != 0)
		return false;
	return rest == 0 || ((ip[whole] ^ want[whole]) & (uint8_t)(0xff << (8 - rest))) == 0;
}

bool dp_addr_parse(struct gw_str text, uint16_t port, struct dp_addr *out)
{
	char z[INET6_ADDRSTRLEN];

	if (text.n == 0 || text.n >= sizeof z || memchr(text.p, '\0', text.n))
		return false;
	memcpy(z, text.p, text.n);
	z[text.n] = '\0';
	memset(out, 0, sizeof *out);
	out->port = port;
	if (inet_pton(AF_INET, z, out->ip) == 1)
		return true;
	out->v6 = true;
	return inet_pton(AF_INET6, z, out->ip) == 1;
}

const char *dp_addr_text(const struct dp_addr *a, char out[DP_ADDR_TEXT])
{
	char ip[INET6_ADDRSTRLEN];

	if (!a->v6 && a->port == 0) { /* the usual case, once for each request */
		char *to = out;

		for (int i = 0; i < 4; i++) {
			unsigned n = a->ip[i];

			if (i)
				*to++ = '.';
			if (n >= 100)
				*to++ = (char)('0' + n / 100);
			if (n >= 10)
				*to++ = (char)('0' + n / 10 % 10);
			*to++ = (char)('0' + n % 10);
		}
		*to = '\0';
		return out;
	}
	inet_ntop(a->v6 ? AF_INET6 : AF_INET, a->ip, ip, sizeof ip);
	if (a->port == 0)
		snprintf(out, DP_ADDR_TEXT, "%s", ip);
	else
		snprintf(out, DP_ADDR_TEXT, a->v6 ? "[%s]:%u" : "%s:%u", ip, a->port);
	return out;
}

bool dp_addr_in(const struct dp_addr *a, struct gw_str cidr)
{
	struct dp_addr net;
	int64_t bits = -1;
	struct gw_str ip = gw_str_cut(&cidr, '/');

	if (!dp_addr_parse(ip, 0, &net))
		return false;
	if (cidr.p && !gw_str_int(cidr, 0, net.v6 ? 128 : 32, &bits))
		return false;
	if (bits < 0)
		bits = net.v6 ? 128 : 32;
	if (a->v6 && !net.v6) { /* a v4 client on a dual-stack listener */
		static const uint8_t mapped[12] = { [10] = 0xff, [11] = 0xff };

		return memcmp(a->ip, mapped, 12) == 0 && prefix_is(a->ip + 12, net.ip, (unsigned)bits);
	}
	return a->v6 == net.v6 && prefix_is(a->ip, net.ip, (unsigned)bits);
}
