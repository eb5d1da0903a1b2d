/* The ledger: exactly once, and sums that equal it. */
#include "controlplane/fixture.h"
#include "store/usage_store.h"

static struct gw_usage_record record(int64_t seq, const char *consumer, int64_t status, int64_t at_ms)
{
	return (struct gw_usage_record){ .seq = seq, .consumer = gw_str_c(consumer), .key_id = GW_STR("k-1"), .route = GW_STR("r1"),
		.provider = GW_STR("p1"), .requested_model = GW_STR("m"), .served_model = GW_STR("m2"), .started_at_ms = at_ms,
		.status = status, .prompt_tokens = 10, .completion_tokens = 5, .cached_tokens = -1, .end_reason = GW_END_COMPLETE,
		.usage_source = GW_USAGE_PROVIDER, .first_token_ms = -1 };
}

struct seen { int rows; struct cp_usage_sum sum; char consumer[64]; };

static bool see(void *arg, const struct cp_usage_sum *s)
{
	struct seen *x = arg;
	if (x->rows++ == 0) {
		x->sum = *s;
		snprintf(x->consumer, sizeof x->consumer, "%.*s", s->consumer.p ? (int)s->consumer.n : 0, s->consumer.p ? s->consumer.p : "");
	}
	return true;
}

START_TEST(each_record_counts_once)
{
	char dir[128];
	size_t stored;
	struct cp_txn *t = NULL;
	struct seen all = { 0 }, by = { 0 };
	int64_t last, count, first;
	fx_dir(dir);
	struct cp_store *s = fx_store(dir);
	struct gw_usage_record r[] = { record(1, "a", 200, 1000000), record(2, "a", 500, 1000001), record(3, "b", 200, 9000000) };
	ck_assert_int_eq(cp_usage_insert(s, GW_STR("n"), GW_STR("boot"), r, 3, &stored, NULL), GW_OK);
	ck_assert_uint_eq(stored, 3);
	ck_assert_int_eq(cp_usage_insert(s, GW_STR("n"), GW_STR("boot"), r, 3, &stored, NULL), GW_OK);
	ck_assert_uint_eq(stored, 0);
	ck_assert_int_eq(cp_usage_insert(s, GW_STR("n"), GW_STR("other"), r, 1, &stored, NULL), GW_OK);
	ck_assert_uint_eq(stored, 1);
	struct cp_usage_query q = { .from_ms = 0, .to_ms = 10000000, .by_requests = true };
	ck_assert_int_eq(cp_txn_begin(&t, s, NULL), GW_OK);
	ck_assert_int_eq(cp_usage_each(t, &q, see, &all, NULL), GW_OK);
	ck_assert(all.rows == 1 && all.sum.requests == 4 && all.sum.errors == 1 && all.sum.prompt_tokens == 40);
	ck_assert_int_eq(all.sum.cached_tokens, 0); /* "not known" is not minus one */
	q.group_by = CP_BY_CONSUMER;
	ck_assert_int_eq(cp_usage_each(t, &q, see, &by, NULL), GW_OK);
	ck_assert(by.rows == 2 && by.sum.requests == 3);
	ck_assert_str_eq(by.consumer, "a");
	struct seen hours = { 0 };
	q.group_by = CP_BY_HOUR;
	q.by_requests = false;
	ck_assert_int_eq(cp_usage_each(t, &q, see, &hours, NULL), GW_OK);
	ck_assert(hours.rows == 2 && hours.sum.time_ms == 0 && hours.sum.requests == 3);
	ck_assert_int_eq(cp_use_get(t, GW_KIND_CREDENTIAL, GW_STR("k-1"), &last, &count, NULL), GW_OK);
	ck_assert(last == 9000000 && count == 4);
	ck_assert_int_eq(cp_usage_first(t, &first, NULL), GW_OK);
	ck_assert_int_eq(first, 1000000);
	cp_txn_end(&t);
	bool more;
	ck_assert_int_eq(cp_usage_trim(s, 5000000, &more, NULL), GW_OK);
	struct seen after = { 0 };
	q.group_by = 0;
	ck_assert_int_eq(cp_txn_begin(&t, s, NULL), GW_OK);
	ck_assert_int_eq(cp_usage_each(t, &q, see, &after, NULL), GW_OK);
	ck_assert_int_eq(after.sum.requests, 4); /* sums outlive the rows */
	cp_txn_end(&t);
	cp_store_close(&s);
	fx_rmdir(dir);
}
END_TEST

/* Every member of the record has its column: a list that grew on one side only would fail here. */
START_TEST(stores_every_member)
{
	char dir[128];
	size_t stored;
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
	ck_assert_int_eq(cp_usage_insert(s, GW_STR("n"), GW_STR("boot"), &r, 1, &stored, NULL), GW_OK);
	ck_assert_uint_eq(stored, 1);
	cp_store_close(&s);
	fx_rmdir(dir);
}
END_TEST

UNIT_MAIN("store.usage", each_record_counts_once, stores_every_member)
