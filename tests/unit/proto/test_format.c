/* test_format.c - snapshots of released formats decode for ever, to these values. */
#include "unit.h"

#include "base/file.h"
#include "base/bytes.h"
#include "build_fixture.h"

static struct gw_buf bytes;

static void load(void)
{
	uint8_t key[32];
	for (int i = 0; i < 32; i++)
		key[i] = (uint8_t)i;
	gw_buf_init(&bytes, 1 << 20);
	memset(&fx_err, 0, sizeof fx_err);
	ck_assert_int_eq(gw_file_read(&bytes, TG_FIXTURES "/snapshot/format-1.json", &fx_err), GW_OK);
	fx_cat = fx_catalog();
	enum gw_rc rc = gw_snapshot_decode(&fx_snapshot, gw_buf_str(&bytes), key, fx_cat, 1 << 20, &fx_err);
	ck_assert_msg(rc == GW_OK, "%s: %s", fx_err.path, fx_err.text);
}

static void done(void)
{
	gw_buf_fini(&bytes);
	finish();
}

START_TEST(head_and_settings)
{
	char hex[GW_HEX_LEN(32)];
	load();
	ck_assert_uint_eq(gw_snapshot_revision(fx_snapshot), 41);
	ck_assert(gw_str_is(gw_snapshot_epoch(fx_snapshot), "fedcba9876543210"));
	ck_assert_uint_eq(gw_snapshot_unknown(fx_snapshot), 0);
	gw_hex(hex, gw_snapshot_digest(fx_snapshot)->sha256, 32);
	ck_assert_str_eq(hex, "27404ed0f56f1ee98decf8ff80ab0b77c34e7d4551f4faa802994e15674ee3d2");
	const struct gw_dp_settings *d = gw_snapshot_settings(fx_snapshot);
	ck_assert_int_eq(d->max_body_bytes, 1048576);
	ck_assert_int_eq(d->max_header_bytes, 16384);
	ck_assert_int_eq(d->max_headers, 64);
	ck_assert_int_eq(d->max_request_line_bytes, 8192);
	ck_assert_int_eq(d->max_connections, 500);
	ck_assert_int_eq(d->header_timeout_ms, 5000);
	ck_assert_int_eq(d->body_timeout_ms, 30000);
	ck_assert_int_eq(d->keepalive_idle_ms, 60000);
	ck_assert_int_eq(d->write_stall_timeout_ms, 45000);
	ck_assert_int_eq(d->stream_buffer_bytes, 65536);
	ck_assert_int_eq(d->sse_keepalive_ms, 10000);
	ck_assert_int_eq(d->drain_timeout_ms, 20000);
	ck_assert_uint_eq(d->trusted_proxies.n, 2);
	ck_assert(gw_str_is(d->trusted_proxies.v[0], "10.0.0.0/8"));
	ck_assert(gw_str_is(d->cors_origins.v[0], "https://app.example.com"));
	ck_assert(gw_str_is(d->public_url, "https://ai.example.com"));
	ck_assert(!d->access_log_enabled && d->access_log_prompts);
	done();
}
END_TEST

START_TEST(providers)
{
	load();
	size_t n;
	struct gw_arena *a = gw_arena_open(0);
	const struct gw_provider *const *all = gw_snapshot_providers(fx_snapshot, a, &n), *p = all[0], *q = all[1];
	ck_assert_uint_eq(n, 2);
	gw_arena_close(&a);
	ck_assert(gw_str_is(p->name, "deepseek") && p->enabled && !p->allow_private);
	ck_assert(gw_str_is(p->endpoints[0].url, "https://api.deepseek.com/v1"));
	ck_assert_uint_eq(p->n_keys, 2);
	ck_assert(gw_str_is(p->keys[0].value, "sk-fixture-main") && p->keys[0].weight == 3);
	ck_assert(gw_str_is(p->keys[1].value, "sk-fixture-spare"));
	ck_assert_uint_eq(p->models.n, 2);
	ck_assert_int_eq(p->balance, GW_BALANCE_RANDOM);
	ck_assert_int_eq(p->timeouts.connect_ms, 1000);
	ck_assert_int_eq(p->timeouts.first_byte_ms, 50000);
	ck_assert_int_eq(p->timeouts.idle_ms, 40000);
	ck_assert_int_eq(p->timeouts.total_ms, 300000);
	ck_assert_int_eq(p->timeouts.queue_ms, 2000);
	ck_assert(!p->key_failover.enabled);
	ck_assert_int_eq(p->key_failover.failure_threshold, 5);
	ck_assert_int_eq(p->key_failover.cooldown_ms, 60000);
	ck_assert(gw_str_is(p->headers[0].name, "x-team") && gw_str_is(p->headers[0].value, "red"));
	const struct fx_vendor *o = p->options;
	ck_assert(o->beta && gw_str_is(o->organization, "org") && gw_str_is(o->secret, "option-secret"));
	ck_assert(gw_str_is(q->name, "qwq") && !q->enabled && q->allow_private && !q->tls.verify);
	ck_assert_uint_eq(q->n_endpoints, 2);
	ck_assert_int_eq(q->endpoints[0].weight, 2);
	ck_assert(gw_str_is(q->endpoints[1].url, "http://[fd00::7]:8000/v1"));
	ck_assert(gw_str_is(q->tls.server_name, "qwq.internal"));
	ck_assert(gw_str_starts(q->tls.ca_pem, GW_STR("-----BEGIN")));
	ck_assert_int_eq(q->balance, GW_BALANCE_HASH);
	done();
}
END_TEST

START_TEST(routes)
{
	load();
	const struct gw_route *r = fx_route("my-deepseek-r1");
	ck_assert(r->enabled && r->ignore_case);
	ck_assert(gw_str_is(r->hosts.v[0], "ai.example.com") && gw_str_is(r->path_prefix, "/v1"));
	ck_assert_uint_eq(r->n_models, 3);
	ck_assert(gw_str_is(r->targets[0].provider->name, "deepseek") && gw_str_is(r->targets[0].model, "deepseek-reasoner"));
	ck_assert_int_eq(r->targets[0].weight, 100);
	const struct gw_target *t = &r->targets[1];
	ck_assert(t->weight == 0 && t->timeout_ms == 9000);
	ck_assert(gw_str_is(gw_target_model(t, GW_STR("ds-1")), "qwq-32b"));
	ck_assert(gw_str_is(gw_target_model(t, GW_STR("deepseek-r1")), "r1"));
	ck_assert(gw_str_is(gw_target_model(t, GW_STR("x")), "any"));
	ck_assert(r->fallback.enabled && r->fallback.n_targets == 1 && r->fallback.targets[0].timeout_ms == 30000);
	ck_assert(gw_on_status(&r->fallback.on, 500) && gw_on_has(&r->fallback.on, GW_ON_BIT_TIMEOUT));
	ck_assert_int_eq(r->retry.attempts, 3);
	ck_assert_int_eq(r->total_timeout_ms, 300000);
	ck_assert_uint_eq(r->plugins.n, 2);
	const struct gw_pair h[] = { { GW_STR("X-Env"), GW_STR("production") } };
	struct gw_match_input in = { .host = GW_STR("ai.example.com:443"), .path = GW_STR("/V1/chat"), .model = GW_STR("r12-lite"),
		.headers = h, .n_headers = 1, .query = GW_STR("tier=a+b") };
	ck_assert_ptr_eq(gw_match(fx_snapshot, &in), r);
	in.model = GW_STR("ds-7");
	ck_assert_ptr_eq(gw_match(fx_snapshot, &in), r);
	in.query = GW_STR("tier=b");
	ck_assert_ptr_eq(gw_match(fx_snapshot, &in), fx_route("open"));
	ck_assert(!fx_route("off")->enabled);
	ck_assert(!fx_route("open")->auth.required);
	done();
}
END_TEST

START_TEST(consumers_and_keys)
{
	load();
	const struct gw_consumer_key *k = gw_snapshot_key(fx_snapshot, GW_STR("tgk_fixture-one"));
	ck_assert(k && gw_str_is(k->id, "k-1") && k->enabled && k->expires_at_ms == 0);
	const struct gw_consumer *c = k->consumer;
	ck_assert(gw_str_is(c->name, "app1") && c->enabled);
	ck_assert(gw_route_allows(fx_route("my-deepseek-r1"), c));
	ck_assert(gw_consumer_may_any(c, fx_route("my-deepseek-r1"), GW_STR("deepseek-r1")));
	ck_assert(!gw_consumer_may_any(c, fx_route("open"), GW_STR("gpt-4")));
	k = gw_snapshot_key(fx_snapshot, GW_STR("tgk_fixture-two"));
	ck_assert(k && !k->enabled && k->expires_at_ms == 1893456000000);
	k = gw_snapshot_key(fx_snapshot, GW_STR("tgk_fixture-three"));
	ck_assert(k && !k->consumer->enabled);
	struct gw_arena *a = gw_arena_open(0);
	struct gw_bindings b = gw_snapshot_bindings(fx_snapshot, fx_route("my-deepseek-r1"), c, a);
	ck_assert_uint_eq(b.n, 3);
	ck_assert(gw_str_is(b.v[0].plugin, "acl"));
	const struct fx_limit *l = b.v[1].conf;
	ck_assert(l->tokens == 1000 && l->window == 3600000 && l->limit_by == 2 && gw_str_is(l->allow.v[0], "root"));
	ck_assert(b.v[2].fail_open && gw_str_is(((const struct fx_guard *)b.v[2].conf)->secret, "guard-secret"));
	gw_arena_close(&a);
	done();
}
END_TEST

UNIT_MAIN("format", head_and_settings, providers, routes, consumers_and_keys)
