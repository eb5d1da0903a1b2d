/* The ledger: exactly once, and sums that equal it. */
#include "controlplane/fixture.h"
#include "store/quota_store.h"
#include "store/usage_store.h"

static struct gw_usage_record record(int64_t seq, const char *consumer, int64_t status, int64_t at_ms)
{
	return (struct gw_usage_record){ .seq = seq, .consumer = gw_str_c(consumer), .key_id = GW_STR("k-1"), .route = GW_STR("r1"),
		.provider = GW_STR("p1"), .requested_model = GW_STR("m"), .served_model = GW_STR("m2"), .started_at_ms = at_ms,
		.status = status, .prompt_tokens = 10, .completion_tokens = 5, .cached_tokens = -1, .end_reason = GW_END_COMPLETE,
		.usage_source = GW_USAGE_PROVIDER, .first_token_ms = -1 };
}

struct seen { int rows; struct cp_usage_sum sum[8]; char consumer[8][64]; };

static bool see(void *arg, const struct cp_usage_sum *s)
{
	struct seen *x = arg;
	struct gw_str c = s->dim[CP_DIM_consumer];
	ck_assert_int_lt(x->rows, 8);
	snprintf(x->consumer[x->rows], 64, "%.*s", c.p ? (int)c.n : 0, c.p ? c.p : "");
	x->sum[x->rows++] = *s;
	return true;
}

static struct seen sums(struct cp_store *s, struct cp_usage_query q)
{
	struct cp_txn *t = NULL;
	struct seen out = { 0 };
	if (q.step == 0)
		q.step = CP_STEP_5MIN;
	if (q.to_ms == 0)
		q.to_ms = 100000000000;
	ck_assert_int_eq(cp_txn_begin(&t, s, NULL), GW_OK);
	ck_assert_int_eq(cp_usage_each(t, &q, see, &out, NULL), GW_OK);
	cp_txn_end(&t);
	return out;
}

static size_t insert(struct cp_store *s, const char *boot, const struct gw_usage_record *r, size_t n, cp_charge_fn *charge)
{
	struct cp_usage_writing *w = NULL;
	size_t stored = 0;
	ck_assert_int_eq(cp_usage_open(&w, s, NULL), GW_OK);
	ck_assert_int_eq(cp_usage_add(w, GW_STR("n"), gw_str_c(boot), r, n, charge, NULL, &stored, NULL), GW_OK);
	ck_assert_int_eq(cp_usage_commit(&w, NULL), GW_OK);
	return stored;
}

static int64_t by_hour(void *arg, int64_t at_ms)
{
	(void)arg;
	return at_ms / 3600000 * 3600000;
}

START_TEST(each_record_counts_once)
{
	char dir[128];
	struct cp_txn *t = NULL;
	int64_t last, count, first;
	fx_dir(dir);
	struct cp_store *s = fx_store(dir);
	struct gw_usage_record r[] = { record(1, "a", 200, 1000000), record(2, "a", 500, 1000001), record(3, "b", 200, 9000000) };
	ck_assert_uint_eq(insert(s, "boot", r, 3, NULL), 3);
	ck_assert_uint_eq(insert(s, "boot", r, 3, NULL), 0);
	ck_assert_uint_eq(insert(s, "other", r, 1, NULL), 1);
	for (size_t i = 0; i < 3; i++) { /* all three kinds of sums say the same */
		static const int steps[] = { CP_STEP_5MIN, CP_STEP_HOUR, CP_STEP_DAY };
		struct seen all = sums(s, (struct cp_usage_query){ .step = steps[i] });
		ck_assert(all.rows == 1 && all.sum[0].requests == 4 && all.sum[0].errors == 1 && all.sum[0].prompt_tokens == 40);
		ck_assert_int_eq(all.sum[0].cached_tokens, 0); /* "not known" is not minus one */
	}
	struct seen by = sums(s, (struct cp_usage_query){ .group_by = CP_BY_consumer });
	ck_assert(by.rows == 2 && by.sum[0].requests == 3);
	ck_assert_str_eq(by.consumer[0], "a");
	struct seen hours = sums(s, (struct cp_usage_query){ .group_by = CP_BY_TIME, .bucket = by_hour });
	ck_assert(hours.rows == 2 && hours.sum[0].time_ms == 0 && hours.sum[0].requests == 3);
	ck_assert_int_eq(cp_txn_begin(&t, s, NULL), GW_OK);
	ck_assert_int_eq(cp_use_get(t, GW_KIND_CREDENTIAL, GW_STR("k-1"), &last, &count, NULL), GW_OK);
	ck_assert(last == 9000000 && count == 4);
	ck_assert_int_eq(cp_usage_first(t, &first, NULL), GW_OK);
	ck_assert_int_eq(first, 1000000);
	cp_txn_end(&t);
	bool more;
	ck_assert_int_eq(cp_usage_trim(s, 5000000, &more, NULL), GW_OK);
	ck_assert_int_eq(sums(s, (struct cp_usage_query){ 0 }).sum[0].requests, 4); /* sums outlive the rows */
	/* a row that is older than anything, and comes late */
	r[0].seq = 9;
	ck_assert_uint_eq(insert(s, "boot", r, 1, NULL), 1);
	ck_assert_int_eq(sums(s, (struct cp_usage_query){ .step = CP_STEP_DAY }).sum[0].requests, 5);
	ck_assert_int_eq(cp_usage_trim_sums(s, CP_STEP_5MIN, 9000000, &more, NULL), GW_OK);
	ck_assert_int_eq(sums(s, (struct cp_usage_query){ .step = CP_STEP_5MIN }).sum[0].requests, 1);
	ck_assert_int_eq(sums(s, (struct cp_usage_query){ .step = CP_STEP_HOUR }).rows, 1);
	cp_store_close(&s);
	fx_rmdir(dir);
}
END_TEST

START_TEST(groups_and_currencies)
{
	char dir[128];
	fx_dir(dir);
	struct cp_store *s = fx_store(dir);
	struct gw_usage_record r[] = { record(1, "a", 200, 1000000), record(2, "a", 200, 1000001), record(3, "b", 200, 9000000) };
	r[0].consumer_groups = r[1].consumer_groups = GW_STR("design,sales");
	r[0].currency = GW_STR("USD");
	r[0].cost = 7;
	r[1].currency = GW_STR("CNY");
	r[1].cost = 50;
	insert(s, "boot", r, 3, NULL);
	struct seen all = sums(s, (struct cp_usage_query){ 0 });
	ck_assert_int_eq(all.rows, 3); /* one for each currency, and for none */
	ck_assert(all.sum[0].unpriced == 1 && all.sum[0].cost == 0);
	ck_assert_int_eq(all.sum[1].cost, 50);
	ck_assert_int_eq(all.sum[2].cost, 7);
	struct seen groups = sums(s, (struct cp_usage_query){ .group_by = CP_BY_consumer_group });
	ck_assert_int_eq(groups.rows, 5); /* "": 1; design and sales: two currencies each */
	struct cp_usage_query q = { .group_by = CP_BY_consumer };
	q.dim[CP_DIM_consumer_group] = GW_STR("sales");
	struct seen sales = sums(s, q);
	ck_assert_int_eq(sales.rows, 2);
	ck_assert_str_eq(sales.consumer[0], "a");
	q.dim[CP_DIM_consumer_group] = GW_STR("sale");
	ck_assert_int_eq(sums(s, q).rows, 0);
	q.dim[CP_DIM_consumer_group] = GW_STR("");
	ck_assert_int_eq(sums(s, q).rows, 1);
	cp_store_close(&s);
	fx_rmdir(dir);
}
END_TEST

static size_t charge(void *arg, const struct gw_usage_record *r, struct cp_charge *out)
{
	(void)arg;
	out[0] = (struct cp_charge){ GW_STR("q"), 100, r->prompt_tokens };
	return gw_str_is(r->consumer, "a");
}

START_TEST(balances_move_with_the_rows)
{
	char dir[128];
	struct cp_txn *t = NULL;
	struct cp_quota_sums q;
	fx_dir(dir);
	struct cp_store *s = fx_store(dir);
	struct gw_usage_record r[] = { record(1, "a", 200, 1000000), record(2, "a", 500, 1000001), record(3, "b", 200, 9000000) };
	insert(s, "boot", r, 3, charge);
	insert(s, "boot", r, 3, charge);
	insert(s, "other", r, 1, charge);
	ck_assert_int_eq(cp_txn_begin(&t, s, NULL), GW_OK);
	ck_assert_int_eq(cp_quota_get(t, GW_STR("q"), 100, &q, NULL), GW_OK);
	ck_assert_int_eq(q.used, 30);
	cp_txn_end(&t);
	cp_store_close(&s);
	fx_rmdir(dir);
}
END_TEST

struct names { char text[256]; };

static bool name_share(void *arg, const struct cp_quota_share *r)
{
	struct names *x = arg;
	size_t n = strlen(x->text);
	snprintf(x->text + n, sizeof x->text - n, "%.*s/%.*s=%lld ", GW_FMT(r->quota), GW_FMT(r->boot_id), (long long)r->used);
	return true;
}

static void expect_shares(struct cp_store *s, const char *wanted)
{
	struct names x = { "" };
	struct cp_txn *t = NULL;
	ck_assert_int_eq(cp_txn_begin(&t, s, NULL), GW_OK);
	ck_assert_int_eq(cp_quota_shares_each(t, name_share, &x, NULL), GW_OK);
	cp_txn_end(&t);
	ck_assert_str_eq(x.text, wanted);
}

START_TEST(shares_of_the_gone_do_not_stay_for_ever)
{
	char dir[128];
	bool more;
	fx_dir(dir);
	struct cp_store *s = fx_store(dir);
	int64_t now = gw_now_ms();
	fx_write(s, GW_KIND_QUOTA, "q", "{\"consumer\":\"a\",\"unit\":\"tokens\",\"limit\":100}");
	struct gw_usage_record r = record(1, "b", 200, now);
	insert(s, "here", &r, 1, NULL);      /* it sends rows */
#define SHARE(quota_, boot, ceiling_, used_) \
	{ .quota = GW_STR(quota_), .boot_id = GW_STR(boot), .node = GW_STR("n"), .from_ms = 100, .ceiling = ceiling_, .used = used_ }
	const struct cp_quota_share v[] = { SHARE("q", "here", 10, 10), SHARE("q", "gone", 10, 10), SHARE("q", "late", 10, 4),
		SHARE("deleted", "gone", 10, 4), SHARE("deleted", "here", 10, 4) };
#undef SHARE
	ck_assert_int_eq(cp_quota_shares_put(s, v, GW_COUNT(v), NULL), GW_OK);
	ck_assert_int_eq(cp_usage_trim_shares(s, now - 1000, &more, NULL), GW_OK);
	ck_assert(!more);
	expect_shares(s, "deleted/here=4 q/here=10 q/late=4 "); /* what is still held back, and whoever may come back */
	ck_assert_int_eq(cp_usage_trim_shares(s, now + 100000, &more, NULL), GW_OK);
	expect_shares(s, "q/late=4 ");
	cp_store_close(&s);
	fx_rmdir(dir);
}
END_TEST

/* Every member of the record has its column: a list that grew on one side only would fail here. */
START_TEST(stores_every_member)
{
	char dir[128];
	int64_t n = 1;
	fx_dir(dir);
	struct cp_store *s = fx_store(dir);
	struct gw_usage_record r = { 0 };
#define X(name) r.name = GW_STR(#name);
	GW_USAGE_TEXTS(X)
#undef X
#define X(name) r.name = n++;
	GW_USAGE_INTS(X)
#undef X
	ck_assert_uint_eq(insert(s, "boot", &r, 1, NULL), 1);
	cp_store_close(&s);
	fx_rmdir(dir);
}
END_TEST

UNIT_MAIN("store.usage", each_record_counts_once, groups_and_currencies, balances_move_with_the_rows, shares_of_the_gone_do_not_stay_for_ever,
	  stores_every_member)
