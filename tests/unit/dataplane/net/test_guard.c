/* Which addresses may be dialled, in every spelling that carries one. */
#include "net/guard.h"

#include "base/str.h"
#include "unit.h"

static enum dp_guard judge(const char *text)
{
	struct dp_addr a;

	ck_assert_msg(dp_addr_parse(gw_str_c(text), 80, &a), "%s", text);
	return dp_guard_judge(&a);
}

START_TEST(never)
{
	static const char *const v[] = {
		"0.0.0.0", "0.1.2.3", "169.254.169.254", "169.254.0.1", "100.100.100.200", "168.63.129.16", "192.0.0.192", "224.0.0.1",
		"239.255.255.255", "240.0.0.1", "255.255.255.255", "::", "fe80::1", "febf::1", "ff02::1", "fd00:ec2::254", "100::1",
		"::ffff:169.254.169.254", "::ffff:0.0.0.0", "::169.254.169.254", "64:ff9b::169.254.169.254", "64:ff9b:1::169.254.169.254",
		"2002:a9fe:a9fe::1", "::ffff:0:169.254.169.254", "2001:0:1:2:3:4:5601:5601", "2001:db8::1",
	};
	for (size_t i = 0; i < GW_COUNT(v); i++)
		ck_assert_msg(judge(v[i]) == DP_GUARD_NEVER, "%s", v[i]);
}
END_TEST

START_TEST(private)
{
	static const char *const v[] = {
		"127.0.0.1", "127.255.255.254", "10.0.0.1", "172.16.0.1", "172.31.255.255", "192.168.1.1", "100.64.0.1", "198.18.0.1",
		"::1", "fc00::1", "fdff::1", "::ffff:127.0.0.1", "::ffff:10.1.2.3", "64:ff9b::10.0.0.1", "2002:7f00:1::", "fec0::1",
	};
	for (size_t i = 0; i < GW_COUNT(v); i++)
		ck_assert_msg(judge(v[i]) == DP_GUARD_PRIVATE, "%s", v[i]);
}
END_TEST

START_TEST(public)
{
	static const char *const v[] = {
		"1.1.1.1", "8.8.8.8", "172.15.0.1", "172.32.0.1", "192.167.0.1", "100.63.0.1", "100.128.0.1", "198.20.0.1", "223.255.255.255",
		"2606:4700::1111", "64:ff9b::8.8.8.8", "2002:808:808::1", "::ffff:8.8.8.8",
	};
	for (size_t i = 0; i < GW_COUNT(v); i++)
		ck_assert_msg(judge(v[i]) == DP_GUARD_PUBLIC, "%s", v[i]);
}
END_TEST

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

UNIT_MAIN("guard", never, private, public, spellings, networks)
