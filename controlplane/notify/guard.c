/* guard.c - which addresses a notification may go to: the same classes that providers are judged by. */
#include "notify/notify.h"

struct range { uint8_t ip[16]; uint8_t bits; bool never; };

static const struct range v4_ranges[] = {
	{ { 0 }, 8, true }, { { 10 }, 8, false },
	{ { 100, 100, 100, 200 }, 32, true }, /* metadata of Alibaba Cloud */
	{ { 100, 64 }, 10, false }, { { 127 }, 8, false },
	{ { 168, 63, 129, 16 }, 32, true },   /* metadata of Azure */
	{ { 169, 254 }, 16, true },           /* link-local, metadata of nearly everybody */
	{ { 172, 16 }, 12, false },
	{ { 192, 0, 0 }, 24, true }, { { 192, 168 }, 16, false }, { { 198, 18 }, 15, false },
	{ { 224 }, 4, true }, { { 240 }, 4, true },
};
static const struct range v6_ranges[] = {
	{ { [15] = 1 }, 128, false },
	{ { 0xfd, 0x00, 0x0e, 0xc2, [14] = 0x02, [15] = 0x54 }, 128, true }, /* metadata of AWS */
	{ { 0xfc }, 7, false }, { { 0xfe, 0x80 }, 10, true }, { { 0xfe, 0xc0 }, 10, false }, { { 0xff }, 8, true },
};
/* IPv6 prefixes behind which an IPv4 address stands. */
static const struct { uint8_t prefix[12]; uint8_t bytes, at; } carriers[] = {
	{ { [10] = 0xff, [11] = 0xff }, 12, 12 }, { { 0 }, 12, 12 }, { { 0x00, 0x64, 0xff, 0x9b }, 12, 12 }, { { 0x20, 0x02 }, 2, 2 },
};

static const char *judge(const struct range *r, size_t n, const uint8_t *ip, bool allow_private, bool *listed)
{
	for (size_t i = 0; i < n; i++) {
		unsigned whole = r[i].bits / 8, rest = r[i].bits % 8;
		if (memcmp(ip, r[i].ip, whole) != 0 || (rest && ((ip[whole] ^ r[i].ip[whole]) & (uint8_t)(0xff << (8 - rest)))))
			continue;
		*listed = true;
		if (r[i].never)
			return "it is an address that is never dialled (link-local, metadata or reserved)";
		return allow_private ? NULL : "it is a loopback or private address, which this channel does not allow";
	}
	return NULL;
}

const char *cp_guard(const uint8_t *ip, bool v6, bool allow_private)
{
	bool listed = false;
	if (!v6)
		return judge(v4_ranges, GW_COUNT(v4_ranges), ip, allow_private, &listed);
	const char *why = judge(v6_ranges, GW_COUNT(v6_ranges), ip, allow_private, &listed);
	for (size_t i = 0; i < GW_COUNT(carriers) && !listed; i++)
		if (memcmp(ip, carriers[i].prefix, carriers[i].bytes) == 0)
			why = judge(v4_ranges, GW_COUNT(v4_ranges), ip + carriers[i].at, allow_private, &listed);
	return why;
}
