/* Which addresses may be dialled, in every spelling that carries one. */
#include "addr_class.h"

#include <arpa/inet.h>

#include "unit.h"

static enum gw_guard judge(const char *text)
{
	uint8_t ip[16];
	bool v6 = strchr(text, ':') != NULL;

	ck_assert_msg(inet_pton(v6 ? AF_INET6 : AF_INET, text, ip) == 1, "%s", text);
	return gw_guard_judge(ip, v6);
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
		ck_assert_msg(judge(v[i]) == GW_GUARD_NEVER, "%s", v[i]);
}
END_TEST

START_TEST(private)
{
	static const char *const v[] = {
		"127.0.0.1", "127.255.255.254", "10.0.0.1", "172.16.0.1", "172.31.255.255", "192.168.1.1", "100.64.0.1", "198.18.0.1",
		"::1", "fc00::1", "fdff::1", "::ffff:127.0.0.1", "::ffff:10.1.2.3", "64:ff9b::10.0.0.1", "2002:7f00:1::", "fec0::1",
	};
	for (size_t i = 0; i < GW_COUNT(v); i++)
		ck_assert_msg(judge(v[i]) == GW_GUARD_PRIVATE, "%s", v[i]);
}
END_TEST

START_TEST(public)
{
	static const char *const v[] = {
		"1.1.1.1", "8.8.8.8", "172.15.0.1", "172.32.0.1", "192.167.0.1", "100.63.0.1", "100.128.0.1", "198.20.0.1", "223.255.255.255",
		"2606:4700::1111", "64:ff9b::8.8.8.8", "2002:808:808::1", "::ffff:8.8.8.8",
	};
	for (size_t i = 0; i < GW_COUNT(v); i++)
		ck_assert_msg(judge(v[i]) == GW_GUARD_PUBLIC, "%s", v[i]);
}
END_TEST

UNIT_MAIN("addr_class", never, private, public)
