/* addr_class.c - address classes, by RFC 6890 and its successors in the IANA special-purpose registries. */
#include "addr_class.h"

struct range { uint8_t ip[16]; uint8_t bits; enum gw_guard is; };

static const struct range v4_ranges[] = {
	{ { 0 }, 8, GW_GUARD_NEVER },                  /* "this network" */
	{ { 10 }, 8, GW_GUARD_PRIVATE },
	{ { 100, 100, 100, 200 }, 32, GW_GUARD_NEVER },/* metadata of Alibaba Cloud */
	{ { 100, 64 }, 10, GW_GUARD_PRIVATE },         /* carrier NAT */
	{ { 127 }, 8, GW_GUARD_PRIVATE },
	{ { 168, 63, 129, 16 }, 32, GW_GUARD_NEVER },  /* metadata of Azure */
	{ { 169, 254 }, 16, GW_GUARD_NEVER },          /* link-local, metadata of nearly everybody */
	{ { 172, 16 }, 12, GW_GUARD_PRIVATE },
	{ { 192, 0, 0 }, 24, GW_GUARD_NEVER },         /* protocol assignments, metadata of Oracle */
	{ { 192, 168 }, 16, GW_GUARD_PRIVATE },
	{ { 198, 18 }, 15, GW_GUARD_PRIVATE },         /* benchmarks */
	{ { 224 }, 4, GW_GUARD_NEVER },                /* multicast */
	{ { 240 }, 4, GW_GUARD_NEVER },                /* reserved, broadcast */
};

static const struct range v6_ranges[] = {
	{ { [15] = 1 }, 128, GW_GUARD_PRIVATE },       /* ::1 */
	{ { 0xfd, 0x00, 0x0e, 0xc2, [14] = 0x02, [15] = 0x54 }, 128, GW_GUARD_NEVER }, /* metadata of AWS */
	{ { 0xfc }, 7, GW_GUARD_PRIVATE },
	{ { 0xfe, 0x80 }, 10, GW_GUARD_NEVER },        /* link-local */
	{ { 0xfe, 0xc0 }, 10, GW_GUARD_PRIVATE },      /* site-local, deprecated */
	{ { 0xff }, 8, GW_GUARD_NEVER },               /* multicast */
	{ { 0x01, 0x00 }, 64, GW_GUARD_NEVER },        /* discard only */
	{ { 0x20, 0x01, 0x0d, 0xb8 }, 32, GW_GUARD_NEVER }, /* documentation */
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

static enum gw_guard judge_in(const struct range *r, size_t n, const uint8_t *ip)
{
	for (size_t i = 0; i < n; i++) {
		if (prefix_is(ip, r[i].ip, r[i].bits))
			return r[i].is;
	}
	return GW_GUARD_PUBLIC;
}

enum gw_guard gw_guard_judge(const uint8_t *ip, bool v6)
{
	enum gw_guard worst;

	if (!v6)
		return judge_in(v4_ranges, GW_COUNT(v4_ranges), ip);
	worst = judge_in(v6_ranges, GW_COUNT(v6_ranges), ip);
	if (worst != GW_GUARD_PUBLIC) /* ::1 also looks like ::0.0.0.1, which would be worse than it is */
		return worst;
	for (size_t i = 0; i < GW_COUNT(carriers); i++) {
		uint8_t v4[4];
		enum gw_guard g;

		if (memcmp(ip, carriers[i].prefix, carriers[i].bytes) != 0)
			continue;
		for (size_t k = 0; k < 4; k++)
			v4[k] = carriers[i].inverted ? (uint8_t)~ip[carriers[i].at + k] : ip[carriers[i].at + k];
		g = judge_in(v4_ranges, GW_COUNT(v4_ranges), v4);
		if (g > worst)
			worst = g;
	}
	return worst;
}
