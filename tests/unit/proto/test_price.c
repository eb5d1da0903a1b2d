/* test_price.c - what requests cost: each rate by itself, their fallbacks, conditions, rounding, and which price holds. */
#include "unit.h"
#include "base/str.h"
#include "base/time.h"
#include "snapshot.h"

#define NONE { -1, -1, -1, -1, -1, -1, -1, -1, -1, -1 }

static int64_t at(const char *text)
{
	int64_t ms;

	ck_assert_msg(gw_time_parse(gw_str_c(text), &ms), "%s", text);
	return ms;
}

static int64_t cost(struct gw_rates rates, struct gw_tokens t, int64_t images)
{
	const struct gw_price p = { .rates = rates };
	const struct gw_charge c = { .tokens = t, .images = images };
	struct gw_cost_part parts[GW_COST_PARTS];
	int64_t sum = 0, whole = gw_price_cost(&p, &c);
	size_t n = gw_price_parts(&p, &c, parts);

	for (size_t i = 0; i < n; i++)
		sum += parts[i].cost;
	ck_assert_int_le(sum > whole ? sum - whole : whole - sum, (int64_t)n);
	return whole;
}

#define T(...) ((struct gw_tokens){ __VA_ARGS__ })

START_TEST(every_rate)
{
	struct gw_rates r = NONE;
	struct gw_tokens all = T(.prompt = 1000, .cached = 300, .cache_write = 200, .completion = 500, .reasoning = 100, .cache_write_1h = 50,
	                         .audio_prompt = 40, .audio_completion = 30);

	ck_assert_int_eq(cost(r, all, 3), 0);
	r.input = 2500000;                      /* 2.50 per million: all of the prompt */
	ck_assert_int_eq(cost(r, all, 3), 2500);
	r.cached_input = 1250000;               /* 700 * 2.5 + 300 * 1.25 */
	ck_assert_int_eq(cost(r, all, 3), 1750 + 375);
	r.cache_write = 3125000;                /* 500 * 2.5 + 375 + 200 * 3.125 */
	ck_assert_int_eq(cost(r, all, 3), 1250 + 375 + 625);
	r.cache_write_1h = 5000000;             /* 150 * 3.125 + 50 * 5 */
	ck_assert_int_eq(cost(r, all, 3), 1250 + 375 + 469 + 250); /* 468.75 */
	r.audio_input = 10000000;               /* 460 * 2.5 + 40 * 10 */
	ck_assert_int_eq(cost(r, all, 3), 1150 + 375 + 469 + 250 + 400);
	struct gw_rates o = NONE;
	o.output = 10000000;
	ck_assert_int_eq(cost(o, all, 3), 5000);
	o.reasoning = 20000000;                 /* 400 * 10 + 100 * 20 */
	ck_assert_int_eq(cost(o, all, 3), 6000);
	o.audio_output = 80000000;              /* 370 * 10 + 100 * 20 + 30 * 80 */
	ck_assert_int_eq(cost(o, all, 3), 3700 + 2000 + 2400);
	struct gw_rates each = NONE;
	each.image = 40000;
	ck_assert_int_eq(cost(each, all, 3), 120000);
	each.request = 7;
	ck_assert_int_eq(cost(each, all, 3), 120007);
}
END_TEST

START_TEST(rounds_once_half_up)
{
	struct gw_rates r = NONE;

	r.input = 2800;                         /* 0.0028 per million */
	ck_assert_int_eq(cost(r, T(.prompt = 178), 0), 0);   /* 0.4984 */
	ck_assert_int_eq(cost(r, T(.prompt = 179), 0), 1);   /* 0.5012 */
	r.input = 500000;
	ck_assert_int_eq(cost(r, T(.prompt = 1), 0), 1);     /* exactly one half */
	r.output = 500000;
	ck_assert_int_eq(cost(r, T(.prompt = 1, .completion = 1), 0), 1); /* not 2: the sum is rounded, not the parts */
	r.input = GW_RATE_MAX;
	ck_assert_int_eq(cost(r, T(.prompt = 1LL << 53), 0), 1LL << 53);
	ck_assert_int_eq(cost(r, T(.prompt = -5, .cached = 900), 0), 0);
}
END_TEST

/* Golden cases by hand from vendors' price pages. */
START_TEST(golden)
{
	struct gw_rates sonnet = { 3000000, 300000, 3750000, 6000000, 15000000, -1, -1, -1, -1, -1 };
	struct gw_rates gpt4o = { 2500000, 1250000, -1, -1, 10000000, -1, -1, -1, -1, -1 };

	/* 21 plain, 188086 read, 0 written, 393 out: 63 + 56425.8 + 5895 = 62383.8 */
	ck_assert_int_eq(cost(sonnet, T(.prompt = 188107, .cached = 188086, .completion = 393), 0), 62384);
	/* 2048 written for an hour */
	ck_assert_int_eq(cost(sonnet, T(.prompt = 2100, .cache_write = 2048, .cache_write_1h = 2048, .completion = 10), 0), 52 * 3 + 2048 * 6 + 150);
	ck_assert_int_eq(cost(gpt4o, T(.prompt = 2006, .cached = 1920, .completion = 300), 0), 215 + 2400 + 3000);
}
END_TEST

START_TEST(tiers_and_times)
{
	const struct gw_variant v[] = {
		{ .above_prompt_tokens = 200000, .rates = { 6000000, -1, -1, -1, 22500000, -1, -1, -1, -1, -1 } },
		/* 16:30 to 00:30 UTC, over midnight, begun on weekdays */
		{ .above_prompt_tokens = -1, .timed = true, .days = 0x1f, .from_min = 990, .to_min = 30, .rates = { 1000000, -1, -1, -1, -1, -1, -1, -1, -1, -1 } },
		/* from eight to ten in the morning, eight hours east */
		{ .above_prompt_tokens = -1, .timed = true, .days = 0x7f, .from_min = 480, .to_min = 600, .utc_offset_min = 480,
		  .rates = { -1, -1, -1, -1, 99000000, -1, -1, -1, -1, -1 } },
	};
	const struct gw_price p = { .rates = { 3000000, -1, -1, -1, 15000000, -1, -1, -1, -1, -1 }, .variants = v, .n_variants = 3 };
	const struct { const char *when; int64_t prompt, input, output; } rows[] = {
		{ "2026-11-25T12:00:00Z", 200000, 3000000, 15000000 },  /* a Wednesday */
		{ "2026-11-25T12:00:00Z", 200001, 6000000, 22500000 },
		{ "2026-11-25T16:29:59Z", 1, 3000000, 15000000 }, { "2026-11-25T16:30:00Z", 1, 1000000, 15000000 },
		{ "2026-11-25T23:59:59Z", 200001, 1000000, 22500000 },  /* two at once */
		{ "2026-11-26T00:29:59Z", 200001, 1000000, 99000000 },  /* and three, in order */
		{ "2026-11-26T00:30:00Z", 1, 3000000, 99000000 },       /* 08:30 in the east */
		{ "2026-11-28T00:10:00Z", 1, 1000000, 99000000 },       /* Saturday night, but it began on Friday */
		{ "2026-11-28T16:30:00Z", 1, 3000000, 15000000 },       /* Saturday */
		{ "2026-11-30T00:10:00Z", 1, 3000000, 99000000 },       /* Monday night began on Sunday */
		{ "1969-12-31T16:30:00Z", 1, 1000000, 15000000 },       /* a Wednesday before the epoch */
	};

	for (size_t i = 0; i < GW_COUNT(rows); i++) {
		struct gw_rates r = gw_price_rates(&p, rows[i].prompt, at(rows[i].when));

		ck_assert_msg(r.input == rows[i].input && r.output == rows[i].output, "%s %lld: %lld %lld", rows[i].when, (long long)rows[i].prompt,
		              (long long)r.input, (long long)r.output);
	}
}
END_TEST

START_TEST(nothing_costs_more_than_the_ceiling)
{
	const struct gw_price p = { .rates = { 3000000, 300000, 3750000, 6000000, 15000000, 20000000, 9000000, 80000000, 40000, 11 } };

	for (int i = 0; i < 1000; i++) {
		const struct gw_tokens t = { .prompt = i * 37, .cached = i * 7, .cache_write = i * 11 % 500, .completion = i * 13, .reasoning = i * 5,
		                             .cache_write_1h = i % 90, .audio_prompt = i % 31, .audio_completion = i % 17 };
		const struct gw_charge c = { .tokens = t, .images = i % 4 };

		ck_assert_int_le(gw_price_cost(&p, &c), gw_price_ceiling(&p, t.prompt, t.completion, c.images, 0));
	}
}
END_TEST

/* ---- which one? ---- */

static struct gw_catalog *catalog;      /* snapshots point into it */

static struct gw_snapshot *build(const char *prices, struct gw_error *err)
{
	static const struct gw_field none[] = { GW_FIELD_END };
	struct gw_module openai = { "openai", none, 1, NULL, NULL };
	struct gw_builder *b = NULL;
	struct gw_snapshot *s = NULL;
	const char *name;
	json_t *doc = json_loads(prices, 0, NULL), *o, *p = json_loads("{\"type\":\"openai\",\"base_url\":\"http://h/v1\"}", 0, NULL);
	enum gw_rc rc = GW_OK;

	if (!catalog) {
		catalog = gw_catalog_open();
		gw_catalog_add(catalog, GW_CAT_PROVIDER_TYPES, &openai);
	}
	ck_assert_ptr_nonnull(doc);
	ck_assert_int_eq(gw_builder_open(&b, catalog, 1, GW_STR("0123456789abcdef"), true), GW_OK);
	ck_assert_int_eq(gw_builder_add(b, GW_KIND_PROVIDER, GW_STR("mine"), p, err), GW_OK);
	ck_assert_int_eq(gw_builder_add(b, GW_KIND_PROVIDER, GW_STR("theirs"), p, err), GW_OK);
	json_object_foreach(doc, name, o) {
		if (rc == GW_OK)
			rc = gw_builder_add(b, GW_KIND_PRICE, gw_str_c(name), o, err);
	}
	if (rc == GW_OK)
		rc = gw_builder_seal(&b, &s, err);
	else
		gw_builder_drop(&b);
	json_decref(doc);
	json_decref(p);
	return s;
}

static void finds(const struct gw_snapshot *s, const char *provider, const char *model, const char *when, const char *want)
{
	const struct gw_price *p = gw_price_find(s, gw_snapshot_provider(s, gw_str_c(provider)), gw_str_c(model), at(when));

	ck_assert_msg(want ? p && gw_str_is(p->name, want) : !p, "%s %s: %.*s", provider, model, p ? (int)p->name.n : 4, p ? p->name.p : "none");
}

START_TEST(the_most_specific_price)
{
	struct gw_error err = { .text = "" };
	struct gw_snapshot *s = build(
		"{\"any\":{\"models\":[\"*\"],\"currency\":\"USD\"},\"wide\":{\"models\":[\"gpt-*\"],\"provider_type\":\"openai\",\"currency\":\"USD\"},"
		"\"long\":{\"models\":[\"gpt-4o*\"],\"provider_type\":\"openai\",\"currency\":\"USD\"},"
		"\"exact\":{\"models\":[\"gpt-4o\",\"gpt-4o-mini\"],\"provider_type\":\"openai\",\"currency\":\"USD\"},"
		"\"later\":{\"models\":[\"gpt-4o\"],\"provider_type\":\"openai\",\"currency\":\"USD\",\"valid_from\":\"2027-01-01T00:00:00Z\"},"
		"\"own\":{\"models\":[\"gpt-*\"],\"provider\":\"mine\",\"currency\":\"USD\"},"
		"\"future\":{\"models\":[\"zeta\"],\"provider\":\"mine\",\"currency\":\"USD\",\"valid_from\":\"2027-01-01T00:00:00Z\"},"
		"\"off\":{\"models\":[\"gpt-4o-mini\"],\"provider\":\"theirs\",\"currency\":\"USD\",\"enabled\":false}}", &err);
	const char *now = "2026-11-28T00:00:00Z", *then = "2027-06-01T00:00:00Z";

	ck_assert_msg(s != NULL, "%s %s", err.path, err.text);
	finds(s, "mine", "gpt-4o", now, "own");          /* the provider before the model */
	finds(s, "theirs", "gpt-4o", now, "exact");
	finds(s, "theirs", "gpt-4o", then, "later");
	finds(s, "theirs", "gpt-4o-mini", then, "exact");
	finds(s, "theirs", "gpt-4o-audio", now, "long");
	finds(s, "theirs", "gpt-4", now, "wide");
	finds(s, "theirs", "gpt", now, "any");
	finds(s, "theirs", "", now, "any");
	finds(s, "mine", "zeta", now, "any");
	finds(s, "mine", "zeta", then, "future");
	finds(s, "mine", "o3-mini", now, "any");         /* an operator's before the seed's */
	gw_snapshot_unref(&s);
	gw_catalog_close(&catalog);
}
END_TEST

START_TEST(the_seed_and_what_replaces_it)
{
	struct gw_error err = { .text = "" };
	struct gw_snapshot *s = build("{\"seed-openai-gpt-4o\":{\"models\":[\"gpt-4o\"],\"currency\":\"CNY\"},"
	                              "\"seed-openai-o1\":{\"models\":[\"o1\"],\"currency\":\"CNY\",\"enabled\":false}}", &err);
	const struct gw_price *p;
	const struct gw_price *const *all;
	size_t n, seeds = 0;

	ck_assert_msg(s != NULL, "%s %s", err.path, err.text);
	p = gw_price_find(s, gw_snapshot_provider(s, GW_STR("mine")), GW_STR("gpt-4o"), 0);
	ck_assert(p && !p->seed && gw_str_is(p->currency, "CNY"));
	p = gw_price_find(s, gw_snapshot_provider(s, GW_STR("mine")), GW_STR("gpt-4o-mini-2024-07-18"), 0);
	ck_assert(p && p->seed && p->rates.input == 150000 && p->rates.cached_input == 75000 && p->rates.output == 600000);
	finds(s, "mine", "o1", "2026-11-28T00:00:00Z", NULL);
	finds(s, "mine", "deepseek-chat", "2026-11-28T00:00:00Z", NULL); /* of another type */
	all = gw_snapshot_prices(s, &n);
	for (size_t i = 0; i < n; i++)
		seeds += all[i]->seed;
	ck_assert_uint_gt(seeds, 50);
	gw_snapshot_unref(&s);
	gw_catalog_close(&catalog);
}
END_TEST

START_TEST(refused)
{
	static const struct { const char *price, *path; } bad[] = {
		{ "{\"models\":[],\"currency\":\"USD\"}", "/models" }, { "{\"currency\":\"USD\"}", "/models" },
		{ "{\"models\":[\"a*b\"],\"currency\":\"USD\"}", "/models/0" }, { "{\"models\":[\"a\",\"a\"],\"currency\":\"USD\"}", "/models/1" },
		{ "{\"models\":[\"a\"],\"currency\":\"usd\"}", "/currency" }, { "{\"models\":[\"a\"]}", "/currency" },
		{ "{\"models\":[\"a\"],\"currency\":\"USD\",\"provider\":\"p\",\"provider_type\":\"t\"}", "/provider_type" },
		{ "{\"models\":[\"a\"],\"currency\":\"USD\",\"rates\":{\"input\":-1}}", "/rates/input" },
		{ "{\"models\":[\"a\"],\"currency\":\"USD\",\"rates\":{\"input\":0.5}}", "/rates/input" },
		{ "{\"models\":[\"a\"],\"currency\":\"USD\",\"rates\":{\"inptu\":1}}", "/rates/inptu" },
		{ "{\"models\":[\"a\"],\"currency\":\"USD\",\"valid_from\":\"tomorrow\"}", "/valid_from" },
		{ "{\"models\":[\"a\"],\"currency\":\"USD\",\"variants\":[{\"rates\":{}}]}", "/variants/0" },
		{ "{\"models\":[\"a\"],\"currency\":\"USD\",\"variants\":[{\"from\":\"25:00\"}]}", "/variants/0/from" },
		{ "{\"models\":[\"a\"],\"currency\":\"USD\",\"variants\":[{\"from\":\"08:00\",\"to\":\"08:00\"}]}", "/variants/0/to" },
		{ "{\"models\":[\"a\"],\"currency\":\"USD\",\"variants\":[{\"days\":[\"monday\"]}]}", "/variants/0/days/0" },
		{ "{\"models\":[\"a\"],\"currency\":\"USD\",\"variants\":[{\"from\":\"08:00\",\"utc_offset\":\"8\"}]}", "/variants/0/utc_offset" },
	};

	for (size_t i = 0; i < GW_COUNT(bad); i++) {
		struct gw_error err = { .text = "" };
		char doc[400];

		snprintf(doc, sizeof doc, "{\"p\":%s}", bad[i].price);
		ck_assert_msg(build(doc, &err) == NULL, "%s", bad[i].price);
		ck_assert_msg(strcmp(err.path, bad[i].path) == 0, "%s: %s %s", bad[i].price, err.path, err.text);
	}
	struct gw_error err = { .text = "" };
	ck_assert_ptr_null(build("{\"a\":{\"models\":[\"x\",\"m*\"],\"currency\":\"USD\"},\"b\":{\"models\":[\"y\",\"m*\"],\"currency\":\"USD\"}}", &err));
	ck_assert_str_eq(err.path, "/prices/b/models/1");
	gw_catalog_close(&catalog);
}
END_TEST

UNIT_MAIN("price", every_rate, rounds_once_half_up, golden, tiers_and_times, nothing_costs_more_than_the_ceiling, the_most_specific_price,
          the_seed_and_what_replaces_it, refused)
