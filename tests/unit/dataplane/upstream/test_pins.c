/* Who holds which answer: found again, per id, and never more than fit. */
#include "upstream/pins.h"

#include <stdio.h>

#include "base/str.h"
#include "unit.h"

START_TEST(found_again)
{
	struct dp_pins *p = dp_pins_open();
	struct dp_pin a = { 1, 2, 3, 4 }, b = { 5, 6, 7, 8 }, got;

	ck_assert(!dp_pins_get(p, GW_STR("resp_a"), &got));
	dp_pins_put(p, GW_STR("resp_a"), &a);
	dp_pins_put(p, GW_STR("resp_b"), &b);
	ck_assert(dp_pins_get(p, GW_STR("resp_a"), &got) && got.consumer == 1 && got.endpoint == 4);
	dp_pins_put(p, GW_STR("resp_a"), &b);
	ck_assert(dp_pins_get(p, GW_STR("resp_a"), &got) && got.consumer == 5);
	ck_assert(!dp_pins_get(p, GW_STR("resp_"), &got));
	dp_pins_close(&p);
}
END_TEST

START_TEST(old_ones_give_way)
{
	struct dp_pins *p = dp_pins_open();
	struct dp_pin pin = { 1, 2, 3, 4 }, got;
	unsigned found = 0, n = DP_PINS_MAX + DP_PINS_MAX / 2;
	char id[32];

	for (unsigned i = 0; i < n; i++) {
		pin.key = i;
		snprintf(id, sizeof id, "resp_%u", i);
		dp_pins_put(p, gw_str_c(id), &pin);
		snprintf(id, sizeof id, "resp_%u", 0); /* the first is used all the time, so it stays */
		ck_assert(dp_pins_get(p, gw_str_c(id), &got) && got.key == 0);
	}
	for (unsigned i = 0; i < n; i++) {
		snprintf(id, sizeof id, "resp_%u", i);
		if (dp_pins_get(p, gw_str_c(id), &got)) {
			ck_assert_uint_eq(got.key, i);
			found++;
		}
	}
	ck_assert_uint_le(found, DP_PINS_MAX);
	ck_assert_uint_ge(found, DP_PINS_MAX / 2);
	dp_pins_close(&p);
}
END_TEST

UNIT_MAIN("pins", found_again, old_ones_give_way)
