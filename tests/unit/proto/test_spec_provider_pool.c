/* test_spec_provider_pool.c - how a provider fails over: defaults, everything, and what is refused. */
#include "unit.h"

#include "build_fixture.h"

#define P GW_KIND_PROVIDER

START_TEST(defaults)
{
	begin(true);
	add(P, "p", "{'type':'deepseek'}");
	const struct gw_provider *p = gw_snapshot_provider(build(), GW_STR("p"));
	ck_assert(p->breaker.enabled && p->breaker.failures == 5 && p->breaker.window_ms == 30000);
	ck_assert(p->breaker.cooldown_ms == 5000 && p->breaker.max_ejected_percent == 100 && p->breaker.slow_start_ms == 0);
	ck_assert(!p->check.enabled && gw_str_is(p->check.path, "/health"));
	ck_assert(p->pool.max_connections == 0 && p->pool.max_queue == 1024);
	ck_assert(!p->client_gone.drain && !p->tls.only_13);
	ck_assert_int_eq(p->hash.by, GW_HASH_BY_CONSUMER);
	ck_assert_ptr_eq(gw_provider_timeouts(p, GW_STR("any")), &p->timeouts);
	ck_assert_int_eq(gw_provider_then(p, 404), GW_THEN_USUAL);
	finish();
}
END_TEST

START_TEST(everything)
{
	begin(true);
	add(P, "p", "{'type':'deepseek','load_balance':'hash','affinity':{'by':'header','header':'X-Session'},"
	    "'timeouts':{'idle':'7s','first_byte':'8s'},'model_timeouts':{'*':{'idle':'1s'},'qwq-*':{'first_byte':'5m'},"
	    "'qwq-32b-*':{'first_byte':'6m'},'qwq-32b-x':{'connect':'1s','total':'1h','queue':'0s'}},"
	    "'on_status':{'4xx':'next_target','404':'return','500':'retry_same','5xx':'next_key'},"
	    "'breaker':{'enabled':false,'failures':9,'window':'1m','cooldown':'7s','max_ejected_percent':50,'slow_start':'30s'},"
	    "'health_check':{'enabled':true,'path':'/v1/models','interval':'1s','timeout':'500ms','unhealthy_after':1,'healthy_after':4},"
	    "'pool':{'max_connections':8,'max_queue':0},'on_client_gone':{'action':'drain','limit':'5s'},'tls':{'min_version':'1.3'}}");
	const struct gw_provider *p = gw_snapshot_provider(build(), GW_STR("p"));
	ck_assert(p->hash.by == GW_HASH_BY_HEADER && gw_str_is(p->hash.header, "X-Session"));
	ck_assert_int_eq(gw_provider_timeouts(p, GW_STR("deepseek"))->idle_ms, 1000);
	ck_assert_int_eq(gw_provider_timeouts(p, GW_STR("deepseek"))->first_byte_ms, 8000); /* the provider's */
	ck_assert_int_eq(gw_provider_timeouts(p, GW_STR("qwq-plus"))->first_byte_ms, 300000);
	ck_assert_int_eq(gw_provider_timeouts(p, GW_STR("qwq-plus"))->idle_ms, 7000);
	ck_assert_int_eq(gw_provider_timeouts(p, GW_STR("qwq-32b-y"))->first_byte_ms, 360000);
	ck_assert_int_eq(gw_provider_timeouts(p, GW_STR("qwq-32b-x"))->connect_ms, 1000);
	ck_assert_int_eq(gw_provider_timeouts(p, GW_STR("qwq-32b-x"))->total_ms, 3600000);
	ck_assert_int_eq(gw_provider_then(p, 404), GW_THEN_RETURN);
	ck_assert_int_eq(gw_provider_then(p, 418), GW_THEN_NEXT_TARGET);
	ck_assert_int_eq(gw_provider_then(p, 500), GW_THEN_RETRY_SAME);
	ck_assert_int_eq(gw_provider_then(p, 503), GW_THEN_NEXT_KEY);
	ck_assert(!p->breaker.enabled && p->breaker.failures == 9 && p->breaker.max_ejected_percent == 50);
	ck_assert(p->breaker.window_ms == 60000 && p->breaker.cooldown_ms == 7000 && p->breaker.slow_start_ms == 30000);
	ck_assert(p->check.enabled && gw_str_is(p->check.path, "/v1/models") && p->check.unhealthy_after == 1);
	ck_assert(p->check.interval_ms == 1000 && p->check.timeout_ms == 500 && p->check.healthy_after == 4);
	ck_assert(p->pool.max_connections == 8 && p->pool.max_queue == 0);
	ck_assert(p->client_gone.drain && p->client_gone.limit_ms == 5000 && p->tls.only_13);
	finish();
}
END_TEST

START_TEST(refusals)
{
	begin(true);
	refuse(P, "{'type':'deepseek','affinity':{'by':'moon'}}", "/affinity/by", "consumer");
	refuse(P, "{'type':'deepseek','affinity':{'by':'header'}}", "/affinity/header", "must name a header");
	refuse(P, "{'type':'deepseek','affinity':{'by':'header','header':'a b'}}", "/affinity/header", "must name a header");
	refuse(P, "{'type':'deepseek','model_timeouts':{'a*b':{}}}", "/model_timeouts/a*b", "prefix");
	refuse(P, "{'type':'deepseek','model_timeouts':{'a':5}}", "/model_timeouts/a", "object");
	refuse(P, "{'type':'deepseek','model_timeouts':{'a':{'idle':'1ms'}}}", "/model_timeouts/a/idle", "idle");
	refuse(P, "{'type':'deepseek','model_timeouts':{'a':{'idel':'1s'}}}", "/model_timeouts/a/idel", "idel");
	refuse(P, "{'type':'deepseek','on_status':{'200':'return'}}", "/on_status/200", "400 to 599");
	refuse(P, "{'type':'deepseek','on_status':{'404':'ignore'}}", "/on_status/404", "next_target");
	refuse(P, "{'type':'deepseek','on_status':{'404':1}}", "/on_status/404", "next_target");
	refuse(P, "{'type':'deepseek','breaker':{'failures':0}}", "/breaker/failures", "failures");
	refuse(P, "{'type':'deepseek','breaker':{'window':'30'}}", "/breaker/window", "window");
	refuse(P, "{'type':'deepseek','health_check':{'path':'health'}}", "/health_check/path", "begin with /");
	refuse(P, "{'type':'deepseek','health_check':{'path':'/a b'}}", "/health_check/path", "blanks");
	refuse(P, "{'type':'deepseek','pool':{'max_connections':-1}}", "/pool/max_connections", "max_connections");
	refuse(P, "{'type':'deepseek','on_client_gone':{'action':'wait'}}", "/on_client_gone/action", "cancel");
	refuse(P, "{'type':'deepseek','tls':{'min_version':'1.1'}}", "/tls/min_version", "1.2");
	finish();
}
END_TEST

UNIT_MAIN("spec_provider_pool", defaults, everything, refusals)
