/* test_spec_provider.c - what a provider may say, and how it is told that it may not. */
#include "unit.h"

#include <stdio.h>

#include "build_fixture.h"
#include "seal.h"

#define P GW_KIND_PROVIDER

START_TEST(defaults)
{
	begin(true);
	add(P, "deepseek", "{'type':'deepseek'}");
	const struct gw_provider *p = gw_snapshot_provider(build(), GW_STR("deepseek"));
	ck_assert(p->enabled);
	ck_assert(gw_str_is(p->type, "deepseek"));
	ck_assert_uint_eq(p->n_endpoints, 1);
	ck_assert(gw_str_is(p->endpoints[0].url, "https://api.deepseek.com/v1"));
	ck_assert_int_eq(p->endpoints[0].weight, 1);
	ck_assert(!p->allow_private);
	ck_assert_uint_eq(p->n_keys + p->models.n + p->n_headers + p->consumer_header.n, 0);
	ck_assert_int_eq(p->balance, GW_BALANCE_ROUND_ROBIN);
	ck_assert_int_eq(p->timeouts.connect_ms, 2000);
	ck_assert_int_eq(p->timeouts.first_byte_ms, 60000);
	ck_assert_int_eq(p->timeouts.idle_ms, 60000);
	ck_assert_int_eq(p->timeouts.total_ms, 600000);
	ck_assert_int_eq(p->timeouts.queue_ms, 5000);
	ck_assert(p->key_failover.enabled);
	ck_assert_int_eq(p->key_failover.failure_threshold, 3);
	ck_assert_int_eq(p->key_failover.cooldown_ms, 30000);
	ck_assert(p->tls.verify);
	ck_assert_uint_eq(p->tls.ca_pem.n, 0);
	ck_assert_int_eq(((const struct fx_vendor *)p->options)->beta, 0);
	finish();
}
END_TEST

START_TEST(everything)
{
	begin(true);
	add(P, "pool", "{'type':'deepseek','description':'d','labels':{'team':'x'},'enabled':false,'base_url':null,"
	    "'api_keys':[{'name':'main','value':'sk-1','weight':3},{'name':'off','value':'sk-2','enabled':false},"
	    "{'name':'no-value'},{'name':'last','value':'sk-3'}],'models':['a','b'],"
	    "'endpoints':[{'url':'http://10.0.0.7:8000/v1/','weight':2},{'url':'https://[::1]:9'}],'load_balance':'least_requests',"
	    "'timeouts':{'connect':'1s','first_byte':'2s','idle':'3s','total':'4s','queue':'0s'},"
	    "'key_failover':{'enabled':false,'failure_threshold':7,'cooldown':'5m'},"
	    "'tls':{'verify':false,'ca_pem':'-----BEGIN CERTIFICATE-----\\nx','server_name':'api.example.com'},"
	    "'headers':{'X-Team':'a b'},'consumer_header':'X-Tidegate-Consumer','options':{'beta':true,'organization':'o'}}");
	const struct gw_provider *p = gw_snapshot_provider(build(), GW_STR("pool"));
	ck_assert(!p->enabled);
	ck_assert_uint_eq(p->n_endpoints, 2);
	ck_assert(gw_str_is(p->endpoints[0].url, "http://10.0.0.7:8000/v1"));
	ck_assert_int_eq(p->endpoints[0].weight, 2);
	ck_assert(gw_str_is(p->endpoints[1].url, "https://[::1]:9"));
	ck_assert(p->allow_private);
	ck_assert_uint_eq(p->n_keys, 2);
	ck_assert(gw_str_is(p->keys[0].name, "main") && gw_str_is(p->keys[0].value, "sk-1"));
	ck_assert_int_eq(p->keys[0].weight, 3);
	ck_assert(gw_str_is(p->keys[1].name, "last"));
	ck_assert_uint_eq(p->models.n, 2);
	ck_assert_int_eq(p->balance, GW_BALANCE_LEAST_REQUESTS);
	ck_assert_int_eq(p->timeouts.connect_ms + p->timeouts.first_byte_ms + p->timeouts.idle_ms + p->timeouts.total_ms, 10000);
	ck_assert_int_eq(p->timeouts.queue_ms, 0);
	ck_assert(!p->key_failover.enabled);
	ck_assert_int_eq(p->key_failover.failure_threshold, 7);
	ck_assert(!p->tls.verify);
	ck_assert(gw_str_is(p->tls.server_name, "api.example.com"));
	ck_assert_uint_eq(p->n_headers, 1);
	ck_assert(gw_str_is(p->headers[0].name, "X-Team") && gw_str_is(p->headers[0].value, "a b"));
	ck_assert(gw_str_is(p->consumer_header, "X-Tidegate-Consumer"));
	ck_assert_int_eq(((const struct fx_vendor *)p->options)->beta, 1);
	finish();
}
END_TEST

START_TEST(private_addresses_follow_the_operator)
{
	begin(true);
	add(P, "a", "{'type':'vllm','base_url':'http://localhost:8000'}");
	add(P, "b", "{'type':'deepseek'}");
	add(P, "c", "{'type':'vllm','base_url':'http://localhost:8000','allow_private':false}");
	add(P, "d", "{'type':'deepseek','allow_private':true}");
	struct gw_snapshot *s = build();
	ck_assert(gw_snapshot_provider(s, GW_STR("a"))->allow_private);
	ck_assert(!gw_snapshot_provider(s, GW_STR("b"))->allow_private);
	ck_assert(!gw_snapshot_provider(s, GW_STR("c"))->allow_private);
	ck_assert(gw_snapshot_provider(s, GW_STR("d"))->allow_private);
	finish();
}
END_TEST

START_TEST(addresses)
{
	static const char *const bad[][2] = {
		{ "ftp://x", "begins with http" }, { "x.example", "begins with http" }, { "HTTP://x", "begins with http" },
		{ "http://", "host" }, { "http:///v1", "host" }, { "http://a b", "blanks" },
		{ "http://u@x", "user name" }, { "http://u:p@x/", "user name" }, { "http://x?a=1", "query" },
		{ "http://x/v1?a", "query" }, { "http://x/#f", "fragment" }, { "http://x:0", "port" }, { "http://x:65536", "port" },
		{ "http://x:", "port" }, { "http://x:a", "port" }, { "http://x:08", "port" }, { "http://量子", "ASCII" },
		{ "http://x/量子", "path" }, { "http://x/%zz", "path" }, { "http://x/%4", "path" }, { "http://x/a\\u0009b", "control" },
		{ "http://[::1", "host" }, { "http://[zz]", "host" }, { "http://[::1]x", "port" }, { "http://a..b", "host" },
		{ "http://-a", "host" }, { "http://a-", "host" }, { "http://x/{y}", "path" }, { "http://x\\\\y", "host" },
	};
	static const char *const good[] = { "http://x", "https://x/", "http://10.0.0.7:8000/v1", "https://[2001:db8::1]/a%20b",
		"http://my_pod.ns.svc:80/a/b" };
	for (size_t i = 0; i < GW_COUNT(bad); i++) {
		char spec[300];
		begin(true);
		snprintf(spec, sizeof spec, "{'type':'vllm','base_url':'%s'}", bad[i][0]);
		refuse(P, spec, "/base_url", bad[i][1]);
		snprintf(spec, sizeof spec, "{'type':'vllm','endpoints':[{'url':'http://fine'},{'url':'%s'}]}", bad[i][0]);
		refuse(P, spec, "/endpoints/1/url", bad[i][1]);
	}
	for (size_t i = 0; i < GW_COUNT(good); i++) {
		char spec[300];
		begin(true);
		snprintf(spec, sizeof spec, "{'type':'vllm','base_url':'%s'}", good[i]);
		add(P, "x", spec);
	}
	finish();
}
END_TEST

START_TEST(refusals)
{
	begin(true);
	refuse(P, "[]", "", "must be an object");
	refuse(P, "{}", "/type", "`type` is required");
	refuse(P, "{'type':'nobody'}", "/type", "no provider type `nobody`");
	refuse(P, "{'type':'vllm'}", "/base_url", "required");
	refuse(P, "{'type':'deepseek','colour':1}", "/colour", "no member `colour`");
	refuse(P, "{'type':'deepseek','enabled':1}", "/enabled", "true or false");
	refuse(P, "{'type':'deepseek','description':5}", "/description", "text");
	refuse(P, "{'type':'deepseek','labels':{'a':1}}", "/labels/a", "label");
	refuse(P, "{'type':'deepseek','endpoints':{}}", "/endpoints", "list");
	refuse(P, "{'type':'deepseek','endpoints':[{}]}", "/endpoints/0/url", "required");
	refuse(P, "{'type':'deepseek','endpoints':[{'url':'http://x','weight':-1}]}", "/endpoints/0/weight",
	       "`weight` must be a number from 0 to 10000");
	refuse(P, "{'type':'deepseek','api_keys':[{}]}", "/api_keys/0/name", "must consist");
	refuse(P, "{'type':'deepseek','api_keys':[{'name':'a','value':''}]}", "/api_keys/0/value", "1 to 8192");
	refuse(P, "{'type':'deepseek','api_keys':[{'name':'a','value':'x\\ny'}]}", "/api_keys/0/value", "printable");
	refuse(P, "{'type':'deepseek','api_keys':[{'name':'a','value':{'last4':'abcd'}}]}", "/api_keys/0/value", "sent back");
	refuse(P, "{'type':'deepseek','api_keys':[{'name':'a'},{'name':'a'}]}", "/api_keys/1/name", "two keys");
	refuse(P, "{'type':'deepseek','api_keys':[{'name':'a','valu':'x'}]}", "/api_keys/0/valu", "no member");
	refuse(P, "{'type':'deepseek','models':['a','a']}", "/models/1", "twice");
	refuse(P, "{'type':'deepseek','models':['']}", "/models/0", "not empty");
	refuse(P, "{'type':'deepseek','load_balance':'best'}", "/load_balance", "one of: round_robin, random");
	refuse(P, "{'type':'deepseek','timeouts':{'connect':'1ms'}}", "/timeouts/connect", "from 10ms to 5m");
	refuse(P, "{'type':'deepseek','timeouts':{'conect':'1s'}}", "/timeouts/conect", "no member");
	refuse(P, "{'type':'deepseek','key_failover':{'failure_threshold':0}}", "/key_failover/failure_threshold", "from 1 to 100");
	refuse(P, "{'type':'deepseek','tls':{'ca_pem':'hello'}}", "/tls/ca_pem", "PEM");
	refuse(P, "{'type':'deepseek','tls':{'server_name':'a b'}}", "/tls/server_name", "host");
	refuse(P, "{'type':'deepseek','options':{'beta':1}}", "/options/beta", "true or false");
	refuse(P, "{'type':'deepseek','options':{'gamma':1}}", "/options/gamma", "no member");
	refuse(P, "{'type':'deepseek','options':[]}", "/options", "object");
	finish();
}
END_TEST

START_TEST(headers)
{
	static const char *const bad[][3] = {
		{ "Host", "x", "gateway itself" }, { "content-LENGTH", "1", "gateway itself" },
		{ "Transfer-Encoding", "chunked", "gateway itself" }, { "connection", "close", "gateway itself" },
		{ "authorization", "Bearer x", "gateway itself" }, { "x-api-key", "x", "gateway itself" },
		{ "x-tidegate-route", "x", "gateway itself" }, { "a b", "x", "not a name" }, { "", "x", "not a name" },
		{ "a:b", "x", "not a name" }, { "x-a", "a\\r\\nb: c", "control" }, { "x-a", "a\\nb", "control" },
		{ "x-a", " a", "blank" }, { "x-a", "a\\u007f", "control" },
	};
	for (size_t i = 0; i < GW_COUNT(bad); i++) {
		char spec[300], path[100];
		begin(true);
		snprintf(spec, sizeof spec, "{'type':'deepseek','headers':{'%s':'%s'}}", bad[i][0], bad[i][1]);
		snprintf(path, sizeof path, "/headers/%s", bad[i][0]);
		refuse(P, spec, path, bad[i][2]);
	}
	refuse(P, "{'type':'deepseek','headers':{'x-a':'1','X-A':'2'}}", "/headers/X-A", "twice");
	refuse(P, "{'type':'deepseek','headers':{'x-a':1}}", "/headers/x-a", "text");
	finish();
}
END_TEST

START_TEST(consumer_header)
{
	static const char *const bad[][2] = {
		{ "consumer", "begins with `x-`" }, { "x-", "begins with `x-`" }, { "x-a b", "begins with `x-`" },
		{ "x-a\\r\\nb", "begins with `x-`" }, { "host", "begins with `x-`" }, { "X-Api-Key", "gateway itself" },
		{ "x-request-id", "gateway itself" }, { "x-tidegate-route", "gateway itself" }, { "X-TEAM", "already" },
	};
	for (size_t i = 0; i < GW_COUNT(bad); i++) {
		char spec[300];
		begin(true);
		snprintf(spec, sizeof spec, "{'type':'deepseek','headers':{'x-team':'a'},'consumer_header':'%s'}", bad[i][0]);
		refuse(P, spec, "/consumer_header", bad[i][1]);
	}
	begin(true);
	refuse(P, "{'type':'deepseek','consumer_header':true}", "/consumer_header", "text");
	begin(true);
	add(P, "none", "{'type':'deepseek','consumer_header':null}");
	add(P, "old", "{'type':'deepseek','consumer_header':'X-Mse-Consumer'}");
	ck_assert(!gw_snapshot_provider(build(), GW_STR("none"))->consumer_header.p);
	finish();
}
END_TEST

START_TEST(lenient_counts)
{
	begin(false);
	add(P, "x", "{'type':'deepseek','novelty':1,'api_keys':[{'name':'a','value':'k','new':1}],'timeouts':{'new':1},"
	    "'options':{'new':1},'endpoints':[{'url':'http://x','new':1}],'created_at':'x'}");
	ck_assert_uint_eq(gw_snapshot_unknown(build()), 6);
	begin(false);
	ck_assert_int_eq(try_add(P, "x", "{'type':'nobody'}"), GW_INVALID);
	finish();
}
END_TEST

START_TEST(sealed_keys_stay_sealed_in_the_control_plane)
{
	static const uint8_t key[32] = { 1 };
	begin(true);
	json_t *o = fx_json("{'type':'deepseek','api_keys':[{'name':'main'}]}");
	json_object_set_new(json_array_get(json_object_get(o, "api_keys"), 0), "value", gw_seal(key, GW_STR("sk-canary")));
	ck_assert_int_eq(gw_builder_add(fx_builder, P, GW_STR("x"), o, &fx_err), GW_OK);
	json_decref(o);
	const struct gw_provider *p = gw_snapshot_provider(build(), GW_STR("x"));
	ck_assert_uint_eq(p->n_keys, 1);
	ck_assert(!gw_str_is(p->keys[0].value, "sk-canary"));
	finish();
}
END_TEST

UNIT_MAIN("spec_provider", defaults, everything, private_addresses_follow_the_operator, addresses, refusals, headers, consumer_header,
          lenient_counts, sealed_keys_stay_sealed_in_the_control_plane)
