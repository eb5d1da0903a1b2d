/* Addresses as text, and networks. */
#include "net/guard.h"

#include "base/str.h"
#include "unit.h"

START_TEST(spellings)
{
	static const char *const bad[] = { "127.1", "0x7f.0.0.1", "2130706433", "0177.0.0.1", "127.0.0.1 ", "[::1]", "fe80::1%lo", "", "1.2.3.4.5", "localhost" };
	struct dp_addr a;
	char text[DP_ADDR_TEXT];

	for (size_t i = 0; i < GW_COUNT(bad); i++)
		ck_assert_msg(!dp_addr_parse(gw_str_c(bad[i]), 1, &a), "%s", bad[i]);
	ck_assert(dp_addr_parse(GW_STR("::1"), 8080, &a));
	ck_assert_str_eq(dp_addr_text(&a, text), "[::1]:8080");
	a.port = 0;
	ck_assert_str_eq(dp_addr_text(&a, text), "::1");
}
END_TEST

START_TEST(networks)
{
	static const struct { const char *ip, *net; bool in; } v[] = {
		{ "10.1.2.3", "10.0.0.0/8", true }, { "11.0.0.1", "10.0.0.0/8", false }, { "10.1.2.3", "10.1.2.3", true },
		{ "10.1.2.3", "0.0.0.0/0", true }, { "192.168.129.1", "192.168.128.0/17", true }, { "192.168.127.1", "192.168.128.0/17", false },
		{ "::1", "::1/128", true }, { "2001:db8::5", "2001:db8::/32", true }, { "::ffff:10.0.0.1", "10.0.0.0/8", true },
		{ "10.0.0.1", "::/0", false }, { "10.0.0.1", "10.0.0.0/33", false }, { "10.0.0.1", "nonsense", false }, { "10.0.0.1", "10.0.0.0/", false },
	};
	for (size_t i = 0; i < GW_COUNT(v); i++) {
		struct dp_addr a;

		ck_assert(dp_addr_parse(gw_str_c(v[i].ip), 0, &a));
		ck_assert_msg(dp_addr_in(&a, gw_str_c(v[i].net)) == v[i].in, "%s in %s", v[i].ip, v[i].net);
	}
}
END_TEST

UNIT_MAIN("guard", spellings, networks)
