/* What a row counts towards, and in which period. */
#include "controlplane/fixture.h"
#include "quota/set.h"
#include "store/quota_store.h"

static int64_t at(const char *text)
{
	int64_t ms;
	ck_assert_msg(gw_time_parse(gw_str_c(text), &ms), "%s", text);
	return ms;
}

static void put(struct cp_store *s, const char *name, const char *spec)
{
	static const struct cp_actor who = { .type = CP_ACTOR_SYSTEM, .name = { "t", 1 } };
	struct cp_change *c = NULL;
	uint64_t revision;
	struct cp_record r = { .kind = GW_KIND_QUOTA, .name = gw_str_c(name), .spec = gw_str_c(spec) };
	ck_assert_int_eq(cp_change_begin(&c, s, &who, "create", NULL), GW_OK);
	ck_assert_int_eq(cp_put(c, &r, CP_ANY, NULL), GW_OK);
	ck_assert_int_eq(cp_change_commit(&c, &revision, NULL), GW_OK);
}

static struct cp_quota_set *load(struct cp_store *s)
{
	struct cp_txn *t = NULL;
	struct cp_quota_set *set = NULL;
	ck_assert_int_eq(cp_txn_begin(&t, s, NULL), GW_OK);
	ck_assert_int_eq(cp_quota_set_load(&set, t, NULL), GW_OK);
	cp_txn_end(&t);
	return set;
}

START_TEST(who_pays)
{
	char dir[128];
	struct cp_charge v[CP_CHARGES_MAX];
	fx_dir(dir);
	struct cp_store *s = fx_store(dir);
	put(s, "c-tokens", "{\"consumer\":\"app1\",\"unit\":\"tokens\",\"limit\":100}");
	put(s, "c-off", "{\"consumer\":\"app1\",\"unit\":\"tokens\",\"limit\":100,\"enabled\":false}");
	put(s, "g-money", "{\"group\":\"design\",\"unit\":\"money\",\"currency\":\"USD\",\"limit\":100,\"exchange\":{\"CNY\":140000}}");
	put(s, "k-requests", "{\"key\":\"k-1\",\"unit\":\"requests\",\"limit\":100}");
	struct cp_quota_set *set = load(s);
	ck_assert_uint_eq(cp_quota_count(set), 4);
	struct gw_usage_record r = { .consumer = GW_STR("app1"), .key_id = GW_STR("k-1"), .consumer_groups = GW_STR("sales,design"),
		.started_at_ms = gw_now_ms() + 1000, .attempts = 1, .prompt_tokens = 7, .completion_tokens = 5, .cost = 1000000,
		.currency = GW_STR("CNY") };
	ck_assert_uint_eq(cp_quota_charges(set, &r, v), 3);
	int64_t sum = 0;
	for (size_t i = 0; i < 3; i++) {
		sum += v[i].amount;
		ck_assert_int_eq(v[i].from_ms, cp_quota_find(set, v[i].quota)->created_ms);
	}
	ck_assert_int_eq(sum, 12 + 140000 + 1);
	r.currency = GW_STR("EUR"); /* there is no rate for it */
	ck_assert_uint_eq(cp_quota_charges(set, &r, v), 2);
	r.attempts = 0;             /* nobody was asked */
	r.prompt_tokens = r.completion_tokens = 0;
	ck_assert_uint_eq(cp_quota_charges(set, &r, v), 0);
	r.prompt_tokens = 1;
	r.started_at_ms = 1000;     /* before the quota was made */
	ck_assert_uint_eq(cp_quota_charges(set, &r, v), 0);
	cp_quota_set_free(&set);
	cp_store_close(&s);
	fx_rmdir(dir);
}
END_TEST

START_TEST(periods)
{
	struct gw_arena *a = gw_arena_open(0);
	struct cp_quota q;
	struct cp_record r = { .name = GW_STR("q"), .created_at_ms = at("2026-03-15T10:00:00Z"),
		.spec = GW_STR("{\"consumer\":\"a\",\"unit\":\"tokens\",\"limit\":1,\"period\":\"month\",\"time_zone\":\"Asia/Shanghai\"}") };
	int64_t from, until;
	ck_assert_int_eq(cp_quota_read(&q, &r, a, NULL), GW_OK);
	ck_assert(!cp_quota_period(&q, at("2026-03-15T09:59:59Z"), &from, &until));
	ck_assert(cp_quota_period(&q, at("2026-03-31T15:59:59Z"), &from, &until));
	ck_assert(from == r.created_at_ms && until == at("2026-03-31T16:00:00Z")); /* the first one begins with the quota */
	ck_assert(cp_quota_period(&q, at("2026-03-31T16:00:00Z"), &from, &until));
	ck_assert(from == at("2026-03-31T16:00:00Z") && until == at("2026-04-30T16:00:00Z"));
	ck_assert(cp_quota_period(&q, at("2026-03-20T00:00:00Z"), &from, &until)); /* a late row: back again */
	ck_assert_int_eq(from, r.created_at_ms);
	r.spec = GW_STR("{\"consumer\":\"a\",\"unit\":\"tokens\",\"limit\":1,\"period\":\"day\",\"time_zone\":\"America/New_York\"}");
	r.created_at_ms = 1000;
	ck_assert_int_eq(cp_quota_read(&q, &r, a, NULL), GW_OK);
	ck_assert(cp_quota_period(&q, at("2026-03-08T12:00:00Z"), &from, &until) && until - from == 23 * 3600000);
	ck_assert(cp_quota_period(&q, at("2026-11-01T12:00:00Z"), &from, &until) && until - from == 25 * 3600000);
	r.spec = GW_STR("{\"consumer\":\"a\",\"unit\":\"tokens\",\"limit\":1}");
	ck_assert_int_eq(cp_quota_read(&q, &r, a, NULL), GW_OK);
	ck_assert(cp_quota_period(&q, at("2036-03-08T12:00:00Z"), &from, &until) && from == 1000 && until == 0);
	gw_arena_close(&a);
}
END_TEST

static bool count(void *arg, const struct cp_quota_entry *e)
{
	int64_t *sum = arg;
	sum[0]++;
	sum[1] = e->balance;
	return true;
}

START_TEST(the_book)
{
	static const struct cp_actor who = { .type = CP_ACTOR_USER, .name = { "root", 4 } };
	char dir[128];
	struct cp_txn *t = NULL;
	struct cp_quota_sums q;
	int64_t sum[2] = { 0, 0 }, n;
	struct gw_str name = GW_STR("q"), why = GW_STR("because");
	fx_dir(dir);
	struct cp_store *s = fx_store(dir);
	ck_assert_int_eq(cp_quota_adjust(s, &who, name, 5, 1000, CP_QUOTA_ADD, 200, why, NULL), GW_OK);
	ck_assert_int_eq(cp_quota_adjust(s, &who, name, 5, 1000, CP_QUOTA_SUBTRACT, 50, why, NULL), GW_OK);
	ck_assert_int_eq(cp_quota_adjust(s, &who, name, 5, 1000, CP_QUOTA_REFRESH, 10, why, NULL), GW_OK);
	ck_assert_int_eq(cp_quota_adjust(s, &who, name, 5, 1000, CP_QUOTA_ADD, (int64_t)1 << 50, why, NULL), GW_OK);
	ck_assert_int_eq(cp_quota_adjust(s, &who, name, 5, 1000, CP_QUOTA_ADD, (int64_t)1 << 50, why, NULL), GW_INVALID);
	ck_assert_int_eq(cp_quota_tell(s, name, 5, 80, 80, false, 10, NULL), GW_OK);
	ck_assert_int_eq(cp_txn_begin(&t, s, NULL), GW_OK);
	ck_assert_int_eq(cp_quota_get(t, name, 5, &q, NULL), GW_OK);
	ck_assert(q.adjusted == ((int64_t)1 << 50) - 990 && q.told == 80 && q.used == 0);
	ck_assert_int_eq(cp_quota_entries_count(t, name, 0, &n, NULL), GW_OK);
	ck_assert_int_eq(n, 5);
	ck_assert_int_eq(cp_quota_entries_each(t, name, 0, 4, count, sum, NULL), GW_OK);
	ck_assert(sum[0] == 3 && sum[1] == 1200); /* the oldest comes last */
	ck_assert_int_eq(cp_audit_verify(t, &n, NULL), GW_OK);
	ck_assert_int_eq(n, 4);
	cp_txn_end(&t);
	cp_store_close(&s);
	fx_rmdir(dir);
}
END_TEST

UNIT_MAIN("quota.set", who_pays, periods, the_book)
