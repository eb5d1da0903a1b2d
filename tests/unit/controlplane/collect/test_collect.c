/* The collector: old rows go while new ones keep coming. */
#include "controlplane/fixture.h"

#include <unistd.h>

#include "collect/collect.h"
#include "store/usage_store.h"

#define DAY_MS (24LL * 3600 * 1000)

static void stored(void *arg, uint64_t connection, struct gw_str boot_id, int64_t seq)
{
	(void)arg, (void)connection, (void)boot_id, (void)seq;
}

static void quotas(void *arg, uint64_t connection, json_t *items)
{
	(void)arg, (void)connection;
	json_decref(items);
}

static bool feed(struct cp_collect *c, int64_t seq, int64_t at_ms)
{
	json_t *records = json_array(), *o = json_object();
	json_object_set_new(o, "seq", json_integer(seq));
	json_object_set_new(o, "request_id", json_string("req"));
	json_object_set_new(o, "consumer", json_string("a"));
	json_object_set_new(o, "started_at_ms", json_integer(at_ms));
	json_object_set_new(o, "status", json_integer(200));
	json_array_append_new(records, o);
	return cp_collect_usage(c, 1, GW_STR("n"), GW_STR("boot"), records);
}

struct seen { int64_t requests; };

static bool see(void *arg, const struct cp_usage_sum *s)
{
	struct seen *x = arg;
	x->requests += s->requests;
	return true;
}

static int64_t sums(struct cp_store *s, int step, int64_t to_ms)
{
	struct cp_txn *t = NULL;
	struct seen x = { 0 };
	struct cp_usage_query q = { .step = step, .to_ms = to_ms };
	ck_assert_int_eq(cp_txn_begin(&t, s, NULL), GW_OK);
	ck_assert_int_eq(cp_usage_each(t, &q, see, &x, NULL), GW_OK);
	cp_txn_end(&t);
	return x.requests;
}

START_TEST(old_rows_go_while_new_ones_come)
{
	char dir[128];
	fx_dir(dir);
	struct cp_store *s = fx_store(dir);
	int64_t now = gw_now_ms(), seq = 0, until = gw_mono_ms() + 60000;
	struct cp_collect *c = cp_collect_open(&(struct cp_collect_options){ .store = s, .max_records = 2000, .trim_ms = 1, .stored = stored,
		.series_stored = stored, .quotas = quotas });
	for (int i = 0; i < 20; i++)
		ck_assert(feed(c, ++seq, now - (20 + i) * DAY_MS));
	/* never an empty queue, until the old sums of five minutes are gone */
	while (sums(s, CP_STEP_DAY, now - 15 * DAY_MS) < 20 || sums(s, CP_STEP_5MIN, now - 15 * DAY_MS) > 0) {
		for (int i = 0; i < 200 && feed(c, seq + 1, now); i++)
			seq++;
		ck_assert_msg(gw_mono_ms() < until, "old sums are still there");
	}
	cp_collect_close(&c);
	ck_assert_int_eq(sums(s, CP_STEP_HOUR, now - 15 * DAY_MS), 20); /* the coarse ones stay */
	cp_store_close(&s);
	fx_rmdir(dir);
}
END_TEST

/* How long sums of hours and days are kept is a setting; those of five minutes are an inner matter. */
START_TEST(sums_are_kept_as_long_as_the_settings_say)
{
	char dir[128];
	fx_dir(dir);
	struct cp_store *s = fx_store(dir);
	int64_t now = gw_now_ms(), until = gw_mono_ms() + 60000;
	fx_write(s, GW_KIND_SETTINGS, "settings", "{\"retention\":{\"usage\":\"2400h\"}}");
	struct cp_collect *c = cp_collect_open(&(struct cp_collect_options){ .store = s, .max_records = 2000, .trim_ms = 1, .stored = stored,
		.series_stored = stored, .quotas = quotas });
	for (int i = 0; i < 10; i++)
		ck_assert(feed(c, 1 + i, now - (98 + i) * DAY_MS)); /* two are younger than a hundred days */
	while (sums(s, CP_STEP_DAY, now) != 2 || sums(s, CP_STEP_HOUR, now) != 2 || sums(s, CP_STEP_5MIN, now) != 0) {
		ck_assert_msg(gw_mono_ms() < until, "%d days, %d hours, %d of five minutes are left", (int)sums(s, CP_STEP_DAY, now),
			      (int)sums(s, CP_STEP_HOUR, now), (int)sums(s, CP_STEP_5MIN, now));
		usleep(10000);
	}
	cp_collect_close(&c);
	cp_store_close(&s);
	fx_rmdir(dir);
}
END_TEST

UNIT_MAIN("collect", old_rows_go_while_new_ones_come, sums_are_kept_as_long_as_the_settings_say)
