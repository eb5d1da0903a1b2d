/* test_kind.c - kinds and names. */
#include "unit.h"
#include "base/str.h"
#include "kind.h"

START_TEST(there_and_back)
{
	for (size_t i = 0; i < GW_KIND_COUNT; i++) {
		enum gw_kind k;
		ck_assert(gw_kind_parse(gw_str_c(gw_kind_path((enum gw_kind)i)), &k));
		ck_assert_uint_eq(k, i);
	}
	enum gw_kind k;
	ck_assert(!gw_kind_parse(GW_STR("provider"), &k));
	ck_assert(!gw_kind_parse(GW_STR(""), &k));
	ck_assert_str_eq(gw_kind_path(GW_KIND_GLOBAL_PLUGIN), "global-plugins");
	ck_assert(gw_kind_travels(GW_KIND_ROUTE));
	ck_assert(!gw_kind_travels(GW_KIND_USER));
}
END_TEST

START_TEST(names)
{
	static const char *const good[] = { "a", "0", "my-deepseek-r1", "a.b", "a--b",
		"a23456789012345678901234567890123456789012345678901234567890123" };
	static const char *const bad[] = { "", "-a", "a-", ".a", "a.", "A", "a_b", "a b", "a/b", "é",
		"a234567890123456789012345678901234567890123456789012345678901234" };
	for (size_t i = 0; i < GW_COUNT(good); i++)
		ck_assert_msg(gw_name_valid(gw_str_c(good[i])), "%s", good[i]);
	for (size_t i = 0; i < GW_COUNT(bad); i++)
		ck_assert_msg(!gw_name_valid(gw_str_c(bad[i])), "%s", bad[i]);
}
END_TEST

UNIT_MAIN("kind", there_and_back, names)
