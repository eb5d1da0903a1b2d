/* guard.c - address classes, by RFC 6890 and its successors in the IANA special-purpose registries. */
#include "net/guard.h"

#include <arpa/inet.h>
#include <stdio.h>

#include "base/buf.h"
#include "base/str.h"

struct range { uint8_t ip[16]; uint8_t bits; enum dp_guard is; };

static const struct range v4_ranges[] = {
	{ { 0 }, 8, DP_GUARD_NEVER },                  /* "this network" */
	{ { 10 }, 8, DP_GUARD_PRIVATE },
	{ { 100, 100, 100, 200 }, 32, DP_GUARD_NEVER },/* metadata of Alibaba Cloud */
	{ { 100, 64 }, 10, DP_GUARD_PRIVATE },         /* carrier NAT */
	{ { 127 }, 8, DP_GUARD_PRIVATE },
	{ { 168, 63, 129, 16 }, 32, DP_GUARD_NEVER },  /* metadata of Azure */
	{ { 169, 254 }, 16, DP_GUARD_NEVER },          /* link-local, metadata of nearly everybody */
	{ { 172, 16 }, 12, DP_GUARD_PRIVATE },
	{ { 192, 0, 0 }, 24, DP_GUARD_NEVER },         /* protocol assignments, metadata of Oracle */
	{ { 192, 168 }, 16, DP_GUARD_PRIVATE },
	{ { 198, 18 }, 15, DP_GUARD_PRIVATE },         /* benchmarks */
	{ { 224 }, 4, DP_GUARD_NEVER },                /* multicast */
	{ { 240 }, 4, DP_GUARD_NEVER },                /* reserved, broadcast */
};

static const struct range v6_ranges[] = {
	{ { [15] = 1 }, 128, DP_GUARD_PRIVATE },       /* ::1 */
	{ { 0xfd, 0x00, 0x0e, 0xc2, [14] = 0x02, [15] = 0x54 }, 128, DP_GUARD_NEVER }, /* metadata of AWS */
	{ { 0xfc }, 7, DP_GUARD_PRIVATE },
	{ { 0xfe, 0x80 }, 10, DP_GUARD_NEVER },        /* link-local */
	{ { 0xfe, 0xc0 }, 10, DP_GUARD_PRIVATE },      /* site-local, deprecated */
	{ { 0xff }, 8, DP_GUARD_NEVER },               /* multicast */
	{ { 0x01, 0x00 }, 64, DP_GUARD_NEVER },        /* discard only */
	{ { 0x20, 0x01, 0x0d, 0xb8 }, 32, DP_GUARD_NEVER }, /* documentation */
};

/* IPv6 prefixes behind which an IPv4 address stands, and at which byte. */
static const struct { uint8_t prefix[12]; uint8_t bytes, at; bool inverted; } carriers[] = {
	{ { [10] = 0xff, [11] = 0xff }, 12, 12, false },     /* ::ffff:a.b.c.d */
	{ { [8] = 0xff, [9] = 0xff }, 12, 12, false },       /* ::ffff:0:a.b.c.d (SIIT) */
	{ { 0 }, 12, 12, false },                            /* ::a.b.c.d, and :: itself */
	{ { 0x00, 0x64, 0xff, 0x9b }, 12, 12, false },       /* NAT64 */
	{ { 0x00, 0x64, 0xff, 0x9b, 0x00, 0x01 }, 6, 12, false }, /* NAT64 local use, /96 form */
	{ { 0x20, 0x02 }, 2, 2, false },                     /* 6to4 */
	{ { 0x20, 0x01, 0x00, 0x00 }, 4, 12, true },         /* Teredo: the client's address, inverted */
};

static bool prefix_is(const uint8_t *ip, const uint8_t *want, unsigned bits)
{
	unsigned whole = bits / 8, rest = bits % 8;

	if (memcmp(ip, want, whole) != 0)
		return false;
	return rest == 0 || ((ip[whole] ^ want[whole]) & (uint8_t)(0xff << (8 - rest))) == 0;
}

static enum dp_guard judge_in(const struct range *r, size_t n, const uint8_t *ip)
{
	for (size_t i = 0; i < n; i++) {
		if (prefix_is(ip, r[i].ip, r[i].bits))
			return r[i].is;
	}
	return DP_GUARD_PUBLIC;
}

enum dp_guard dp_guard_judge(const struct dp_addr *a)
{
	enum dp_guard worst;

	if (!a->v6)
		return judge_in(v4_ranges, GW_COUNT(v4_ranges), a->ip);
	worst = judge_in(v6_ranges, GW_COUNT(v6_ranges), a->ip);
	if (worst != DP_GUARD_PUBLIC) /* ::1 also looks like ::0.0.0.1, which would be worse than it is */
		return worst;
	for (size_t i = 0; i < GW_COUNT(carriers); i++) {
		uint8_t v4[4];
		enum dp_guard g;

		if (memcmp(a->ip, carriers[i].prefix, carriers[i].bytes) != 0)
			continue;
		for (size_t k = 0; k < 4; k++)
			v4[k] = carriers[i].inverted ? (uint8_t)~a->ip[carriers[i].at + k] : a->ip[carriers[i].at + k];
		g = judge_in(v4_ranges, GW_COUNT(v4_ranges), v4);
		if (g > worst)
			worst = g;
	}
	return worst;
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
		struct gw_buf b;

		gw_buf_init(&b, DP_ADDR_TEXT - 1);
		for (int i = 0; i < 4; i++) {
			if (i)
				gw_buf_add_byte(&b, '.');
			gw_buf_add_int(&b, a->ip[i]);
		}
		memcpy(out, b.p, b.n + 1);
		gw_buf_fini(&b);
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
