/* Shares of quotas: what is admitted, asked for, confirmed, and given back. */
#include "services/shares.h"

#include "base/str.h"
#include "base/time.h"
#include "unit.h"

static const struct gw_quota def = { .name = { "q", 1 }, .enabled = true, .hard = true };

static void put(struct dp_quotas *q, int64_t ceiling, int64_t grant, bool elsewhere)
{
	char text[200];
	json_t *v;

	snprintf(text, sizeof text, "[{\"quota\":\"q\",\"from\":1000,\"until\":0,\"ceiling\":%lld,\"grant\":%lld,\"elsewhere\":%s}]", (long long)ceiling,
	         (long long)grant, elsewhere ? "true" : "false");
	v = json_loads(text, 0, NULL);
	dp_quotas_put(q, v);
	json_decref(v);
}

static enum dp_quota_answer take(struct dp_quotas *q, int64_t amount, bool last, struct dp_quota_hold *h)
{
	int64_t until;

	return dp_quota_take(q, &def, 5000, amount, last, h, &until);
}

static void says(struct dp_quotas *q, const char *want)
{
	struct gw_buf b;

	gw_buf_init(&b, 10000);
	dp_quotas_report(q, false, &b);
	ck_assert_str_eq(gw_buf_add_byte(&b, 0) ? b.p : "", want);
	gw_buf_fini(&b);
}

START_TEST(no_more_than_the_ceiling)
{
	struct dp_quotas *q = dp_quotas_open();
	struct dp_quota_hold h[3], more;

	ck_assert_int_eq(take(q, 1, false, &more), DP_QUOTA_UNKNOWN); /* nobody to ask */
	dp_quotas_connected(q, true);
	ck_assert_int_eq(take(q, 1, false, &more), DP_QUOTA_ASKED);   /* its share may be on the way */
	ck_assert_int_eq(take(q, 1, true, &more), DP_QUOTA_UNKNOWN);
	put(q, 10, 1, false);
	for (size_t i = 0; i < 3; i++)
		ck_assert_int_eq(take(q, 3, false, &h[i]), DP_QUOTA_HELD);
	ck_assert_int_eq(take(q, 3, false, &more), DP_QUOTA_USED_UP);
	dp_quota_settle(q, &h[0], 1);                                 /* two come back */
	ck_assert_int_eq(take(q, 3, false, &h[0]), DP_QUOTA_HELD);
	for (size_t i = 0; i < 3; i++)
		dp_quota_settle(q, &h[i], i == 0 ? 0 : 3);
	dp_quota_settle(q, &h[0], 100);                               /* twice is nothing */
	struct dp_quota_view v;
	ck_assert(dp_quotas_see(q, def.name, 5000, &v) && v.spent == 7 && v.held == 0);
	/* alone, one request may take what is left */
	ck_assert_int_eq(take(q, 500, false, &more), DP_QUOTA_HELD);
	ck_assert_int_eq(take(q, 1, false, &h[0]), DP_QUOTA_USED_UP);
	dp_quota_settle(q, &more, 20);
	ck_assert_int_eq(take(q, 1, false, &more), DP_QUOTA_USED_UP);
	dp_quotas_close(&q);
}
END_TEST

START_TEST(what_was_admitted_without_a_hold_counts_too)
{
	struct dp_quotas *q = dp_quotas_open();
	struct dp_quota_hold h;
	struct dp_quota_view v;

	dp_quota_count(q, &def, 5000, 4);                             /* no share, and none of it is counted later */
	put(q, 0, 1, false);
	dp_quota_count(q, &def, 5000, 4);
	put(q, 10, 2, false);
	ck_assert(dp_quotas_see(q, def.name, 5000, &v) && v.spent == 0);
	dp_quota_count(q, &def, 5000, 4);                             /* as while the quota was soft */
	dp_quota_count(q, &def, 5000, -1);
	ck_assert(dp_quotas_see(q, def.name, 5000, &v) && v.spent == 4);
	dp_quotas_connected(q, true);
	ck_assert_int_eq(take(q, 6, false, &h), DP_QUOTA_HELD);
	dp_quota_settle(q, &h, 6);
	ck_assert_int_eq(take(q, 1, false, &h), DP_QUOTA_USED_UP);
	dp_quotas_close(&q);
}
END_TEST

START_TEST(asks_and_confirms)
{
	struct dp_quotas *q = dp_quotas_open();
	struct dp_quota_hold h, more;

	dp_quotas_connected(q, true);
	put(q, 10, 1, true);
	ck_assert_int_eq(take(q, 6, false, &h), DP_QUOTA_HELD);
	says(q, "");
	ck_assert_int_eq(take(q, 6, false, &more), DP_QUOTA_ASKED);
	says(q, "{\"quota\":\"q\",\"from\":1000,\"grant\":1,\"ceiling\":10,\"want\":2}");
	put(q, 3, 2, true);                                           /* asked back: not below what is held */
	says(q, "{\"quota\":\"q\",\"from\":1000,\"grant\":2,\"ceiling\":6,\"want\":0}");
	put(q, 12, 3, true);
	ck_assert_int_eq(take(q, 6, false, &more), DP_QUOTA_HELD);
	dp_quota_settle(q, &more, 0);
	dp_quota_settle(q, &h, 6);
	/* without the control plane the share holds, and no more */
	dp_quotas_connected(q, false);
	ck_assert_int_eq(take(q, 6, false, &h), DP_QUOTA_HELD);
	ck_assert_int_eq(take(q, 6, false, &more), DP_QUOTA_UNKNOWN);
	dp_quota_settle(q, &h, 6);
	dp_quotas_close(&q);
}
END_TEST

START_TEST(soft_quotas_hold_nothing)
{
	struct dp_quotas *q = dp_quotas_open();
	struct gw_quota soft = def;
	struct dp_quota_hold h;
	int64_t until;

	soft.hard = false;
	ck_assert_int_eq(dp_quota_take(q, &soft, 5000, 9, false, &h, &until), DP_QUOTA_HELD);
	ck_assert_ptr_null(h.line);
	dp_quota_settle(q, &h, 9);
	dp_quotas_close(&q);
}
END_TEST

UNIT_MAIN("shares", no_more_than_the_ceiling, what_was_admitted_without_a_hold_counts_too, asks_and_confirms, soft_quotas_hold_nothing)
