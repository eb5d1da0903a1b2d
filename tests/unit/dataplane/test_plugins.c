/* The host's order and duties, and the two plugins, over a host of paper. */
#include <stdio.h>

#include "base/arena.h"
#include "base/str.h"
#include "catalog.h"
#include "plugin_host.h"
#include "unit.h"

struct dp_exchange {
	struct gw_str ip, consumer, route;
	unsigned status;
	char code[64], text[320], headers[512], claims[1024], settled[64];
	int64_t retry_ms, wait, left, primary, fallback;
	unsigned broke;
	bool falls;
	bool fail_open;
	struct dp_running *running;
};

static void deny(struct dp_exchange *x, unsigned status, const char *type, const char *code, int64_t retry, struct gw_str text)
{
	(void)type;
	x->status = status;
	x->retry_ms = retry;
	snprintf(x->code, sizeof x->code, "%s", code);
	snprintf(x->text, sizeof x->text, "%.*s", GW_FMT(text));
}

static void reply_header(struct dp_exchange *x, const char *name, struct gw_str value)
{
	size_t n = strlen(x->headers);

	snprintf(x->headers + n, sizeof x->headers - n, "%s=%.*s;", name, GW_FMT(value));
}

static struct gw_str consumer(const struct dp_exchange *x) { return x->consumer; }
static struct gw_str route(const struct dp_exchange *x) { return x->route; }
static struct gw_str model(const struct dp_exchange *x) { (void)x; return GW_STR("m"); }
static struct gw_str client_ip(const struct dp_exchange *x) { return x->ip; }
static struct gw_str api_key(const struct dp_exchange *x) { (void)x; return GW_STR("k1"); }
static int64_t prompt(const struct dp_exchange *x) { (void)x; return 10; }
static int64_t answer(const struct dp_exchange *x, int64_t each) { (void)x, (void)each; return 100; }
static bool falls(const struct dp_exchange *x) { return x->falls; }

static struct gw_strv groups(const struct dp_exchange *x)
{
	static struct gw_str names[2];

	(void)x;
	names[0] = GW_STR("design");
	names[1] = GW_STR("all");
	return (struct gw_strv){ names, 2 };
}

static struct gw_str by_name(const struct dp_exchange *x, const char *name)
{
	(void)x;
	return strcmp(name, "x-team") == 0 ? GW_STR("red") : strcmp(name, "q") == 0 ? GW_STR("7") : strcmp(name, "s") == 0 ? GW_STR("abc") : GW_STR_NONE;
}

/* Grants everything, or refuses the first claim for x->wait. */
static enum dp_verdict admit(struct dp_exchange *x)
{
	struct dp_claim_state states[DP_CLAIMS_MAX] = { { .left = x->left } };
	size_t n, at = 0;
	const struct dp_claimed *v = dp_plugins_claims(x->running, &n);

	if (n == 0) { /* quotas are reserved here too, so every request with plugins passes */
		dp_plugins_decided(x->running, states, -1);
		return DP_NEXT;
	}
	for (size_t i = 0; i < n; i++)
		at += (size_t)snprintf(x->claims + at, sizeof x->claims - at, "%s%.*s=%lld/%lld", i ? " " : "", GW_FMT(v[i].claim.key),
		                       (long long)v[i].claim.amount[DP_PRIMARY], (long long)v[i].claim.limit);
	x->primary = v[0].claim.amount[DP_PRIMARY];
	x->fallback = v[0].claim.amount[DP_FALLBACK];
	states[0] = (struct dp_claim_state){ .limit = v[0].claim.limit, .used = 1, .left = x->wait ? 0 : x->left, .reset_ms = 2001,
		.refused = x->wait > 0, .wait_ms = x->wait };
	dp_plugins_decided(x->running, states, x->wait ? 0 : -1);
	return x->wait ? DP_ANSWERED : DP_NEXT;
}

static void broke(struct dp_exchange *x, const char *plugin, bool fail_open)
{
	(void)plugin;
	x->broke++;
	x->fail_open = fail_open;
}

static const struct dp_host host = { .deny = deny, .reply_header = reply_header, .consumer = consumer, .route = route, .model = model,
	.client_ip = client_ip, .api_key = api_key, .groups = groups, .header = by_name, .query = by_name, .cookie = by_name,
	.prompt_tokens = prompt, .answer_tokens = answer, .falls_back_when_limited = falls, .admit = admit, .broke = broke };

/* Run one plugin with these settings; what was said first that is not NEXT. */
static enum dp_verdict run(const char *plugin, const char *json, bool fail_open, struct dp_exchange *x)
{
	struct gw_arena *a = gw_arena_open(0);
	const struct dp_plugin *p = dp_plugin_find(gw_str_c(plugin));
	struct gw_error err = { .text = "" };
	struct gw_binding b = { .plugin = gw_str_c(plugin), .fail_open = fail_open, .scope = GW_SCOPE_ROUTE, .owner = x->route };
	struct dp_running *r;
	size_t n, at = 0;
	const struct dp_claimed *claims;
	enum dp_verdict v;
	json_t *o;
	void *conf;

	ck_assert_ptr_nonnull(p);
	conf = gw_arena_alloc(a, p->conf_size);
	ck_assert_int_eq(gw_json_parse(&o, gw_str_c(json), 65536, &err), GW_OK);
	ck_assert_msg(gw_fields_read(p->fields, o, true, NULL, a, conf, NULL, &err) == GW_OK, "%s", err.text);
	b.conf = conf;
	r = x->running = dp_plugins_open(a, (struct gw_bindings){ &b, 1 }, &host, x);
	v = dp_plugins_run(r, DP_HOOK_HEAD);
	if (v == DP_NEXT)
		v = dp_plugins_run(r, DP_HOOK_BODY);
	dp_plugins_end(r, &(struct dp_outcome){ .status = 200, .prompt = 30, .completion = 70, .tokens = 100 });
	dp_plugins_end(r, &(struct dp_outcome){ .status = 200 });
	claims = dp_plugins_claims(r, &n);
	for (size_t i = 0; i < n && at < sizeof x->settled; i++)
		at += (size_t)snprintf(x->settled + at, sizeof x->settled - at, "%lld ", (long long)claims[i].actual);
	json_decref(o);
	gw_arena_close(&a);
	return v;
}

START_TEST(addresses)
{
	static const struct { const char *conf, *ip; bool ok; } rows[] = {
		{ "{}", "1.2.3.4", true }, { "{\"allow\":[\"10.0.0.0/8\"]}", "10.255.0.1", true }, { "{\"allow\":[\"10.0.0.0/8\"]}", "11.0.0.1", false },
		{ "{\"allow\":[\"10.0.0.0/8\"],\"deny\":[\"10.0.0.7\"]}", "10.0.0.7", false }, { "{\"deny\":[\"0.0.0.0/0\"]}", "1.2.3.4", false },
		{ "{\"deny\":[\"0.0.0.0/0\"]}", "2001:db8::1", true }, { "{\"allow\":[\"2001:db8::/33\"]}", "2001:db8:7fff::1", true },
		{ "{\"allow\":[\"2001:db8::/33\"]}", "2001:db8:8000::1", false }, { "{\"allow\":[\"10.0.0.0/8\"]}", "::ffff:10.1.1.1", true },
		{ "{\"deny\":[\"::/0\"]}", "1.2.3.4", false }, { "{\"allow\":[\"192.168.1.128/25\"]}", "192.168.1.127", false },
		{ "{\"allow\":[\"192.168.1.128/25\"]}", "192.168.1.200", true }, { "{\"allow\":[\"1.2.3.4/32\"]}", "1.2.3.4", true },
	};

	for (size_t i = 0; i < GW_COUNT(rows); i++) {
		struct dp_exchange x = { .ip = gw_str_c(rows[i].ip) };

		ck_assert_msg(run("ip-restriction", rows[i].conf, false, &x) == (rows[i].ok ? DP_NEXT : DP_ANSWERED), "%s %s", rows[i].conf, rows[i].ip);
		ck_assert_uint_eq(x.status, rows[i].ok ? 0 : 403);
		if (!rows[i].ok)
			ck_assert_str_eq(x.text, "your address may not use this API");
	}
}
END_TEST

START_TEST(wrong_networks_are_refused_when_saved)
{
	static const char *const bad[] = { "10.0.0.0/33", "10.0.0", "x", "", "::1/129", "1.2.3.4/-1", "1.2.3.4/x", "1.2.3.4/8/8" };
	const struct dp_plugin *p = dp_plugin_find(GW_STR("ip-restriction"));

	for (size_t i = 0; i < GW_COUNT(bad); i++) {
		struct gw_arena *a = gw_arena_open(0);
		void *conf = gw_arena_alloc(a, p->conf_size);
		json_t *o = json_pack("{s:[s,s]}", "deny", "10.0.0.0/8", bad[i]);
		struct gw_error err = { .text = "" };

		ck_assert_msg(gw_fields_read(p->fields, o, true, NULL, a, conf, NULL, &err) == GW_INVALID, "%s", bad[i]);
		ck_assert_str_eq(err.path, "/deny/1");
		json_decref(o);
		gw_arena_close(&a);
	}
}
END_TEST

START_TEST(a_broken_plugin_closes_or_opens)
{
	struct dp_exchange x = { .ip = GW_STR("not an address") };

	ck_assert_int_eq(run("ip-restriction", "{}", false, &x), DP_ANSWERED);
	ck_assert_uint_eq(x.status, 500);
	ck_assert_uint_eq(x.broke, 1);
	x = (struct dp_exchange){ .ip = GW_STR("not an address") };
	ck_assert_int_eq(run("ip-restriction", "{}", true, &x), DP_NEXT);
	ck_assert(x.broke == 1 && x.fail_open && !x.status);
}
END_TEST

/* One row a limit: settings, and the keys that a request of app1 claims, with their amounts. */
static const struct { const char *plugin, *conf, *claims; } limit_rows[] = {
	{ "request-ratelimit", "{}", "request-ratelimit/route:r1/consumer/total/bucket/60000/app1=1/60" },
	{ "request-ratelimit", "{\"limit_by\":\"ip\"}", "request-ratelimit/route:r1/ip/total/bucket/60000/1.2.3.4=1/60" },
	{ "request-ratelimit", "{\"limit_by\":\"route\",\"requests\":5,\"window\":\"10s\",\"algorithm\":\"sliding_window\"}",
	  "request-ratelimit/route:r1/route/total/window/10000/r1=1/5" },
	{ "request-ratelimit", "{\"limit_by\":\"header\",\"name\":\"x-team\"}", "request-ratelimit/route:r1/header:x-team/total/bucket/60000/red=1/60" },
	{ "request-ratelimit", "{\"limit_by\":\"header\",\"name\":\"x-none\"}", "" },
	{ "request-ratelimit", "{\"limit_by\":\"query\",\"name\":\"q\"}", "request-ratelimit/route:r1/query:q/total/bucket/60000/7=1/60" },
	{ "request-ratelimit", "{\"limit_by\":\"cookie\",\"name\":\"s\"}", "request-ratelimit/route:r1/cookie:s/total/bucket/60000/abc=1/60" },
	{ "request-ratelimit", "{\"limit_by\":\"api_key\"}", "request-ratelimit/route:r1/api_key/total/bucket/60000/k1=1/60" },
	{ "request-ratelimit", "{\"limit_by\":\"model\"}", "request-ratelimit/route:r1/model/total/bucket/60000/m=1/60" },
	{ "request-ratelimit", "{\"limit_by\":\"all\"}", "request-ratelimit/route:r1/all/total/bucket/60000/*=1/60" },
	{ "request-ratelimit", "{\"limit_by\":\"group\"}",
	  "request-ratelimit/route:r1/group/total/bucket/60000/design=1/60 request-ratelimit/route:r1/group/total/bucket/60000/all=1/60" },
	{ "token-ratelimit", "{\"limit_by\":\"consumer\",\"tokens\":60000,\"window\":\"1m\"}",
	  "token-ratelimit/route:r1/consumer/total/window/60000/app1=110/60000" },
	{ "token-ratelimit", "{\"tokens\":50,\"count\":\"prompt\"}", "token-ratelimit/route:r1/consumer/prompt/window/60000/app1=10/50" },
	/* several windows and dimensions at once; a rule for this consumer replaces the general one of its own dimension only */
	{ "token-ratelimit", "{\"tokens\":1000,\"rules\":[{\"tokens\":9000,\"window\":\"1h\"},{\"values\":[\"app2\"],\"tokens\":7},"
	  "{\"values\":[\"app1\"],\"tokens\":8},{\"limit_by\":\"ip\",\"networks\":[\"1.2.0.0/16\"],\"tokens\":3,\"count\":\"completion\"}]}",
	  "token-ratelimit/route:r1/consumer/total/window/3600000/app1=110/9000 token-ratelimit/route:r1/consumer/total/window/60000/app1=110/8 "
	  "token-ratelimit/route:r1/ip/completion/window/60000/1.2.3.4=100/3" },
	{ "token-ratelimit", "{\"tokens\":0,\"rules\":[{\"limit_by\":\"ip\",\"networks\":[\"10.0.0.0/8\"],\"tokens\":3}]}", "" },
	{ "token-ratelimit", "{\"tokens\":0,\"rules\":[{\"regex\":\"app[0-9]\",\"shared\":true,\"tokens\":3},{\"tokens\":4}]}",
	  "token-ratelimit/route:r1/consumer/total/window/60000/rule 1=110/3" },
	{ "token-ratelimit", "{\"tokens\":0,\"rules\":[{\"regex\":\"app\",\"tokens\":3},{\"tokens\":4}]}",
	  "token-ratelimit/route:r1/consumer/total/window/60000/app1=110/4" },
	{ "concurrency", "{\"calls\":2}", "concurrency/route:r1/consumer/total/window/0/app1=1/2" },
};

static struct dp_exchange app1(void)
{
	return (struct dp_exchange){ .ip = GW_STR("1.2.3.4"), .consumer = GW_STR("app1"), .route = GW_STR("r1"), .left = 9 };
}

START_TEST(limits_concern_whom_they_say)
{
	for (size_t i = 0; i < GW_COUNT(limit_rows); i++) {
		struct dp_exchange x = app1();

		ck_assert_int_eq(run(limit_rows[i].plugin, limit_rows[i].conf, false, &x), DP_NEXT);
		ck_assert_msg(strcmp(x.claims, limit_rows[i].claims) == 0, "%s\n got %s\nwant %s", limit_rows[i].conf, x.claims, limit_rows[i].claims);
	}
}
END_TEST

START_TEST(a_refusal_says_what_and_how_long)
{
	struct dp_exchange x = { .ip = GW_STR("1.2.3.4"), .route = GW_STR("r1"), .wait = 1500 };

	ck_assert_int_eq(run("request-ratelimit", "{\"requests\":5,\"window\":\"10s\"}", false, &x), DP_ANSWERED);
	ck_assert_str_eq(x.claims, "request-ratelimit/route:r1/consumer/total/bucket/10000/1.2.3.4=1/5"); /* anonymous: by address */
	ck_assert_uint_eq(x.status, 429);
	ck_assert_int_eq(x.retry_ms, 1500);
	ck_assert_str_eq(x.text, "request rate limit reached: 5 requests per 10s for consumer `1.2.3.4`; try again in 2 s");
	ck_assert_str_eq(x.headers, "x-ratelimit-limit-requests=5;x-ratelimit-remaining-requests=0;x-ratelimit-reset-requests=3s;");
	x = app1();
	x.wait = 1;
	ck_assert_int_eq(run("token-ratelimit", "{\"tokens\":1000,\"count\":\"completion\"}", false, &x), DP_ANSWERED);
	ck_assert_str_eq(x.text, "token rate limit reached: 1000 completion tokens per 1m for consumer `app1`; 0 are left; try again in 1 s");
	x = app1();
	x.wait = 1;
	ck_assert_int_eq(run("concurrency", "{\"limit_by\":\"all\",\"calls\":3}", false, &x), DP_ANSWERED);
	ck_assert_str_eq(x.code, "concurrency_limit_exceeded");
	ck_assert_str_eq(x.text, "too many calls in flight: 3 calls at once; try again when one has ended");
}
END_TEST

START_TEST(tokens_are_settled_to_what_was_used)
{
	struct dp_exchange x = app1();

	ck_assert_int_eq(run("token-ratelimit", "{\"rules\":[{\"count\":\"prompt\"},{\"count\":\"completion\"}]}", false, &x), DP_NEXT);
	ck_assert_str_eq(x.settled, "30 70 100 ");
}
END_TEST

START_TEST(a_routes_limit_leaves_its_fallback_alone)
{
	static const struct { const char *targets; bool falls; int64_t primary, fallback; } rows[] = {
		{ "auto", false, 1, 1 }, { "auto", true, 1, -1 }, { "all", true, 1, 1 }, { "primary", false, 1, -1 }, { "fallback", true, -1, 1 },
	};

	for (size_t i = 0; i < GW_COUNT(rows); i++) {
		struct dp_exchange x = app1();
		char conf[64];

		snprintf(conf, sizeof conf, "{\"targets\":\"%s\"}", rows[i].targets);
		x.falls = rows[i].falls;
		ck_assert_int_eq(run("concurrency", conf, false, &x), DP_NEXT);
		ck_assert_int_eq(x.primary, rows[i].primary);
		ck_assert_int_eq(x.fallback, rows[i].fallback);
	}
}
END_TEST

START_TEST(unknown_plugins_are_skipped)
{
	struct gw_arena *a = gw_arena_open(0);
	struct gw_binding b = { .plugin = GW_STR("from-the-future") };
	struct dp_exchange x = { .status = 0 };
	struct dp_running *r = dp_plugins_open(a, (struct gw_bindings){ &b, 1 }, &host, &x);

	ck_assert_int_eq(dp_plugins_run(r, DP_HOOK_HEAD), DP_NEXT);
	dp_plugins_end(r, &(struct dp_outcome){ .status = 200 });
	gw_arena_close(&a);
}
END_TEST

START_TEST(plugins_stand_in_rank_order)
{
	const struct dp_plugin *p, *before = NULL;

	for (size_t i = 0; (p = dp_plugin_at(i)); before = p, i++) {
		ck_assert(!before || before->rank <= p->rank);
		ck_assert_uint_eq(p->abi, DP_PLUGIN_ABI);
		ck_assert(p->label && p->label_zh && p->doc && p->doc_zh);
	}
	ck_assert_ptr_nonnull(before);
}
END_TEST

UNIT_MAIN("plugins", addresses, wrong_networks_are_refused_when_saved, a_broken_plugin_closes_or_opens, limits_concern_whom_they_say,
          a_refusal_says_what_and_how_long, tokens_are_settled_to_what_was_used, a_routes_limit_leaves_its_fallback_alone,
          unknown_plugins_are_skipped, plugins_stand_in_rank_order)
