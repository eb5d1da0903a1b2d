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
	char code[64], text[320], headers[512], key[256];
	int64_t retry_ms, wait, left;
	unsigned broke, taken;
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
static int64_t prompt(const struct dp_exchange *x) { (void)x; return 1; }

/* Grants everything, or refuses the first claim for x->wait. */
static enum dp_verdict admit(struct dp_exchange *x)
{
	struct dp_claim_state states[DP_CLAIMS_MAX] = { { .left = x->left } };
	size_t n;
	const struct dp_claimed *v = dp_plugins_claims(x->running, &n);

	snprintf(x->key, sizeof x->key, "%.*s", GW_FMT(v[0].claim.key));
	states[0].refused = x->wait > 0;
	states[0].wait_ms = x->wait;
	x->taken += x->wait ? 0 : (unsigned)v[0].claim.amount[DP_PRIMARY];
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
	.client_ip = client_ip, .prompt_tokens = prompt, .admit = admit, .broke = broke };

/* Run one plugin with these settings; what was said first that is not NEXT. */
static enum dp_verdict run(const char *plugin, const char *json, bool fail_open, struct dp_exchange *x)
{
	struct gw_arena *a = gw_arena_open(0);
	const struct dp_plugin *p = dp_plugin_find(gw_str_c(plugin));
	struct gw_error err = { .text = "" };
	struct gw_binding b = { .plugin = gw_str_c(plugin), .fail_open = fail_open };
	struct dp_running *r;
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
	dp_plugins_end(r, &(struct dp_outcome){ .status = 200 });
	dp_plugins_end(r, &(struct dp_outcome){ .status = 200 });
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
		struct gw_str v[] = { GW_STR("10.0.0.0/8"), gw_str_c(bad[i]) };
		struct { struct gw_strv allow, deny; struct gw_str message; } conf = { .deny = { v, 2 } };
		struct gw_error err = { .text = "" };

		ck_assert_msg(p->check(&conf, &err) == GW_INVALID, "%s", bad[i]);
		ck_assert_str_eq(err.path, "/deny/1");
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

START_TEST(requests_are_limited)
{
	static const struct { const char *conf, *key; } rows[] = {
		{ "{}", "rr/consumer/r1/app1" }, { "{\"limit_by\":\"ip\"}", "rr/ip/r1/1.2.3.4" }, { "{\"limit_by\":\"route\"}", "rr/route/r1/" },
	};
	struct dp_exchange x;

	for (size_t i = 0; i < GW_COUNT(rows); i++) {
		x = (struct dp_exchange){ .ip = GW_STR("1.2.3.4"), .consumer = GW_STR("app1"), .route = GW_STR("r1"), .left = 9 };
		ck_assert_int_eq(run("request-ratelimit", rows[i].conf, false, &x), DP_NEXT);
		ck_assert_str_eq(x.key, rows[i].key);
		ck_assert_uint_eq(x.taken, 1);
		ck_assert_str_eq(x.headers, "x-ratelimit-limit-requests=60;x-ratelimit-remaining-requests=9;");
	}
	x = (struct dp_exchange){ .ip = GW_STR("1.2.3.4"), .route = GW_STR("r1"), .wait = 1500 };
	ck_assert_int_eq(run("request-ratelimit", "{\"requests\":5,\"window\":\"10s\"}", false, &x), DP_ANSWERED);
	ck_assert_str_eq(x.key, "rr/consumer/r1/1.2.3.4");
	ck_assert_uint_eq(x.status, 429);
	ck_assert_int_eq(x.retry_ms, 1500);
	ck_assert_uint_eq(x.taken, 0);
	ck_assert_ptr_nonnull(strstr(x.text, "5 requests per 10 s"));
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

UNIT_MAIN("plugins", addresses, wrong_networks_are_refused_when_saved, a_broken_plugin_closes_or_opens, requests_are_limited,
          unknown_plugins_are_skipped, plugins_stand_in_rank_order)
