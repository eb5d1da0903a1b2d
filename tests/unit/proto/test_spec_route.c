/* test_spec_route.c - what a route and a consumer may say. */
#include "unit.h"
#include "build_fixture.h"

#define R GW_KIND_ROUTE
#define T "'targets':[{'provider':'p'}]"

static void with_provider(bool strict)
{
	begin(strict);
	add(GW_KIND_PROVIDER, "p", "{'type':'deepseek'}");
	add(GW_KIND_PROVIDER, "q", "{'type':'deepseek'}");
}

START_TEST(defaults)
{
	with_provider(true);
	add(R, "r", "{" T "}");
	build();
	const struct gw_route *r = fx_route("r");
	ck_assert(r->enabled);
	ck_assert(gw_str_is(r->path_prefix, "/"));
	ck_assert_uint_eq(r->hosts.n + r->n_models + r->n_headers + r->n_query + r->plugins.n, 0);
	ck_assert_uint_eq(r->n_targets, 1);
	ck_assert(gw_str_is(r->targets[0].provider->name, "p"));
	ck_assert_ptr_null(r->targets[0].model.p);
	ck_assert_int_eq(r->targets[0].weight, 1);
	ck_assert_int_eq(r->targets[0].timeout_ms, 0);
	ck_assert(!r->fallback.enabled);
	ck_assert(gw_on_has(&r->fallback.on, GW_ON_BIT_CONNECT_ERROR));
	ck_assert(gw_on_has(&r->fallback.on, GW_ON_BIT_TIMEOUT));
	ck_assert(gw_on_status(&r->fallback.on, 429));
	ck_assert(gw_on_status(&r->fallback.on, 503));
	ck_assert(!gw_on_status(&r->fallback.on, 400));
	ck_assert_int_eq(r->retry.attempts, 2);
	ck_assert(gw_on_status(&r->retry.on, 429) && gw_on_status(&r->retry.on, 503));
	ck_assert(!gw_on_status(&r->retry.on, 500));
	ck_assert(gw_on_has(&r->retry.on, GW_ON_BIT_CONNECT_ERROR) && !gw_on_has(&r->retry.on, GW_ON_BIT_TIMEOUT));
	ck_assert(r->auth.required);
	ck_assert_int_eq(r->total_timeout_ms, 0);
	finish();
}
END_TEST

START_TEST(everything)
{
	with_provider(true);
	add(GW_KIND_CONSUMER, "app1", "{}");
	add(GW_KIND_CONSUMER, "aaa", "{'groups':['g2']}");
	add(R, "r", "{'description':'d','hosts':['AI.Example.com','*.B.io','[::1]'],'path_prefix':'/v1/','ignore_case':true,"
	    "'match':{'models':[{'type':'exact','value':'m'},{'type':'prefix','value':'gpt-','ignore_case':true},"
	    "{'type':'regex','value':'qwen[0-9]+'}],'headers':[{'name':'X-A','type':'exact','value':''}],"
	    "'query':[{'name':'k','type':'prefix','value':'v'}]},"
	    "'targets':[{'provider':'q','model':'x','weight':0,'timeout':'3s'},{'provider':'p','model':null,"
	    "'model_map':{'*':'any','gpt-4*':'four','gpt-*':'gpt','gpt-4o':'exact','b':'bee'}}],"
	    "'fallback':{'enabled':true,'on':['4xx',418,'503'],'targets':[{'provider':'p','timeout':'30s'}]},"
	    "'retry':{'attempts':4,'on':[]},'timeout':'5m','auth':{'required':true,'consumers':['app1','aaa'],'groups':['z','a']},"
	    "'plugins':{'chat-guard':{'secret':'s','url':'u'},'token-ratelimit':{'enabled':false,'fail_open':true,'tokens':9},"
	    "'acl':{}}}");
	build();
	const struct gw_route *r = fx_route("r");
	ck_assert(gw_str_is(r->hosts.v[0], "ai.example.com") && gw_str_is(r->hosts.v[1], "*.b.io"));
	ck_assert(gw_str_is(r->path_prefix, "/v1"));
	ck_assert(r->ignore_case);
	ck_assert_uint_eq(r->n_models, 3);
	ck_assert_ptr_nonnull(r->models[2].regex);
	ck_assert(gw_str_is(r->targets[0].provider->name, "q"));
	ck_assert_int_eq(r->targets[0].timeout_ms, 3000);
	const struct gw_target *t = &r->targets[1];
	ck_assert_uint_eq(t->n_model_map, 5);
	ck_assert(gw_str_is(gw_target_model(t, GW_STR("gpt-4o")), "exact"));
	ck_assert(gw_str_is(gw_target_model(t, GW_STR("gpt-4")), "four"));
	ck_assert(gw_str_is(gw_target_model(t, GW_STR("gpt-3")), "gpt"));
	ck_assert(gw_str_is(gw_target_model(t, GW_STR("b")), "bee"));
	ck_assert(gw_str_is(gw_target_model(t, GW_STR("c")), "any"));
	ck_assert(gw_str_is(gw_target_model(&r->targets[0], GW_STR("c")), "x"));
	ck_assert(r->fallback.enabled);
	ck_assert_int_eq(r->fallback.targets[0].timeout_ms, 30000);
	ck_assert(gw_on_status(&r->fallback.on, 418) && gw_on_status(&r->fallback.on, 404) && gw_on_status(&r->fallback.on, 503));
	ck_assert(!gw_on_status(&r->fallback.on, 500) && !gw_on_has(&r->fallback.on, GW_ON_BIT_TIMEOUT));
	ck_assert_int_eq(r->retry.attempts, 4);
	ck_assert_uint_eq(r->retry.on.bits + r->retry.on.n_codes, 0);
	ck_assert_int_eq(r->total_timeout_ms, 300000);
	ck_assert(gw_str_is(r->auth.consumers.v[0], "aaa") && gw_str_is(r->auth.groups.v[0], "a"));
	ck_assert_uint_eq(r->plugins.n, 3);
	ck_assert(gw_str_is(r->plugins.v[0].plugin, "acl"));
	ck_assert(gw_str_is(r->plugins.v[1].plugin, "token-ratelimit"));
	ck_assert(!r->plugins.v[1].enabled && r->plugins.v[1].fail_open);
	ck_assert_int_eq(((const struct fx_limit *)r->plugins.v[1].conf)->tokens, 9);
	ck_assert(gw_str_is(r->plugins.v[2].plugin, "chat-guard"));
	finish();
}
END_TEST

START_TEST(without_a_map_the_model_stays)
{
	struct gw_target t = { 0 };
	ck_assert(gw_str_is(gw_target_model(&t, GW_STR("m")), "m"));
}
END_TEST

START_TEST(refusals)
{
	with_provider(true);
	refuse(R, "{}", "/targets", "at least one");
	refuse(R, "{'targets':[]}", "/targets", "at least one");
	refuse(R, "{'targets':[{}]}", "/targets/0/provider", "required");
	refuse(R, "{'targets':[{'provider':'p','weight':10001}]}", "/targets/0/weight", "`weight` must be a number from 0 to 10000");
	refuse(R, "{'targets':[{'provider':'p','weight':'1'}]}", "/targets/0/weight", "from 0 to 10000");
	refuse(R, "{'targets':[{'provider':'p','wait':1}]}", "/targets/0/wait", "no member");
	refuse(R, "{'targets':[{'provider':'p','model_map':{'a*b':'c'}}]}", "/targets/0/model_map/a*b", "prefix");
	refuse(R, "{'targets':[{'provider':'p','model_map':{'a/b':''}}]}", "/targets/0/model_map/a~1b", "name a model");
	refuse(R, "{" T ",'hosts':['a:80']}", "/hosts/0", "host name");
	refuse(R, "{" T ",'hosts':['*']}", "/hosts/0", "host name");
	refuse(R, "{" T ",'hosts':['a.*']}", "/hosts/0", "host name");
	refuse(R, "{" T ",'hosts':['*.[::1]']}", "/hosts/0", "host name");
	refuse(R, "{" T ",'path_prefix':'v1'}", "/path_prefix", "begin with `/`");
	refuse(R, "{" T ",'path_prefix':'/a?b'}", "/path_prefix", "must not contain");
	refuse(R, "{" T ",'path_prefix':'/a/../b'}", "/path_prefix", "must not contain");
	refuse(R, "{" T ",'path_prefix':'//a'}", "/path_prefix", "must not contain");
	refuse(R, "{" T ",'path_prefix':''}", "/path_prefix", "empty");
	refuse(R, "{" T ",'match':{'models':[{'type':'exact'}]}}", "/match/models/0/value", "required");
	refuse(R, "{" T ",'match':{'models':[{'value':'x'}]}}", "/match/models/0/type", "required");
	refuse(R, "{" T ",'match':{'models':[{'type':'like','value':'x'}]}}", "/match/models/0/type", "exact, prefix, regex");
	refuse(R, "{" T ",'match':{'models':[{'type':'exact','value':''}]}}", "/match/models/0/value", "empty");
	refuse(R, "{" T ",'match':{'models':[{'type':'exact','value':'x','name':'y'}]}}", "/match/models/0/name", "no member");
	refuse(R, "{" T ",'match':{'models':[{'type':'regex','value':'a('}]}}", "/match/models/0/value", "regular expression");
	refuse(R, "{" T ",'match':{'models':[{'type':'regex','value':'a\\\\C'}]}}", "/match/models/0/value", "regular expression");
	refuse(R, "{" T ",'match':{'headers':[{'type':'exact','value':'x'}]}}", "/match/headers/0/name", "required");
	refuse(R, "{" T ",'match':{'headers':[{'name':'a b','type':'exact','value':'x'}]}}", "/match/headers/0/name", "header");
	refuse(R, "{" T ",'match':{'cookies':[]}}", "/match/cookies", "no member");
	refuse(R, "{" T ",'fallback':{'on':['sometimes']}}", "/fallback/on/0", "connect_error");
	refuse(R, "{" T ",'fallback':{'on':[399]}}", "/fallback/on/0", "400 to 599");
	refuse(R, "{" T ",'fallback':{'on':['600']}}", "/fallback/on/0", "400 to 599");
	refuse(R, "{" T ",'fallback':{'on':[true]}}", "/fallback/on/0", "400 to 599");
	refuse(R, "{" T ",'fallback':{'targets':[{'provider':'p','weight':1}]}}", "/fallback/targets/0/weight", "no member");
	refuse(R, "{" T ",'retry':{'attempts':5}}", "/retry/attempts", "from 1 to 4");
	refuse(R, "{" T ",'timeout':'1ms'}", "/timeout", "from 100ms");
	refuse(R, "{" T ",'auth':{'consumers':['X']}}", "/auth/consumers/0", "lower-case");
	refuse(R, "{" T ",'auth':{'groups':['a','a']}}", "/auth/groups/1", "twice");
	refuse(R, "{" T ",'plugins':{'nobody':{}}}", "/plugins/nobody", "no plugin `nobody`");
	refuse(R, "{" T ",'plugins':{'token-ratelimit':{'tokens':0}}}", "/plugins/token-ratelimit/tokens", "from 1 to");
	refuse(R, "{" T ",'plugins':{'token-ratelimit':{'enabled':1}}}", "/plugins/token-ratelimit/enabled", "true or false");
	refuse(R, "{" T ",'plugins':{'token-ratelimit':{'limit_by':'header','header':''}}}", "/plugins/token-ratelimit/header",
	       "required when");
	refuse(R, "{" T ",'plugins':{'token-ratelimit':[]}}", "/plugins/token-ratelimit", "object");
	refuse(R, "{" T ",'name':'x'}", "/name", "no member");
	ck_assert_int_eq(try_add(R, "Bad Name", "{" T "}"), GW_INVALID);
	ck_assert_str_eq(fx_err.path, "/name");
	/* What was refused left nothing behind. */
	add(R, "x", "{" T "}");
	ck_assert_int_eq(try_add(R, "x", "{" T "}"), GW_EXISTS);
	build();
	ck_assert_uint_eq(gw_snapshot_count(fx_snapshot, R), 1);
	finish();
}
END_TEST

START_TEST(references)
{
	static const char *const rows[][2] = {
		{ "{'targets':[{'provider':'p'},{'provider':'nobody'}]}", "/routes/r/targets/1/provider" },
		{ "{" T ",'fallback':{'targets':[{'provider':'nobody'}]}}", "/routes/r/fallback/targets/0/provider" },
		{ "{" T ",'auth':{'consumers':['app1','nobody']}}", "/routes/r/auth/consumers/1" },
	};
	for (size_t i = 0; i < GW_COUNT(rows); i++) {
		with_provider(true);
		add(GW_KIND_CONSUMER, "app1", "{}");
		add(R, "r", rows[i][0]);
		ck_assert_int_eq(try_build(), GW_INVALID);
		ck_assert_str_eq(fx_err.path, rows[i][1]);
		ck_assert_ptr_nonnull(strstr(fx_err.text, "`nobody`"));
		ck_assert_ptr_null(fx_builder);
		ck_assert_ptr_null(fx_snapshot);
	}
	finish();
}
END_TEST

START_TEST(who_may_call)
{
	with_provider(true);
	add(GW_KIND_CONSUMER, "app1", "{'groups':['g','h']}");
	add(GW_KIND_CONSUMER, "app2", "{'models':['gpt-*','qwq']}");
	add(GW_KIND_CONSUMER, "app3", "{'models':[]}");
	add(R, "open", "{" T ",'auth':{'required':false}}");
	add(R, "any", "{" T "}");
	add(R, "by-name", "{" T ",'auth':{'consumers':['app2']}}");
	add(R, "by-group", "{" T ",'auth':{'groups':['x','h']}}");
	struct gw_snapshot *s = build();
	const struct gw_consumer *one = gw_snapshot_consumer(s, GW_STR("app1")), *two = gw_snapshot_consumer(s, GW_STR("app2")),
	                         *three = gw_snapshot_consumer(s, GW_STR("app3"));
	ck_assert(gw_route_allows(fx_route("open"), NULL) && gw_route_allows(fx_route("open"), one));
	ck_assert(!gw_route_allows(fx_route("any"), NULL) && gw_route_allows(fx_route("any"), one));
	ck_assert(!gw_route_allows(fx_route("by-name"), one) && gw_route_allows(fx_route("by-name"), two));
	ck_assert(gw_route_allows(fx_route("by-group"), one) && !gw_route_allows(fx_route("by-group"), two));
	ck_assert(gw_consumer_may_any(one, fx_route("any"), GW_STR("anything")));
	ck_assert(gw_consumer_may_any(two, fx_route("any"), GW_STR("gpt-4")));
	ck_assert(!gw_consumer_may_any(two, fx_route("any"), GW_STR("qwq-32b")));
	ck_assert(!gw_consumer_may_any(three, fx_route("any"), GW_STR("qwq")));
	ck_assert_ptr_null(gw_snapshot_consumer(s, GW_STR("nobody")));
	finish();
}
END_TEST

START_TEST(consumer_refusals)
{
	enum gw_kind c = GW_KIND_CONSUMER;
	begin(true);
	refuse(c, "5", "", "object");
	refuse(c, "{'groups':['A']}", "/groups/0", "lower-case");
	refuse(c, "{'models':[1]}", "/models/0", "text");
	refuse(c, "{'keys':[{}]}", "/keys/0/id", "required");
	refuse(c, "{'keys':[{'id':'k','hash':'xyz'}]}", "/keys/0/hash", "64 hex");
	refuse(c, "{'keys':[{'id':'k'}]}", "/keys/0/hash", "64 hex");
	refuse(c, "{'keys':[{'id':'k','hash':'00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff',"
	          "'expires_at':'soon'}]}", "/keys/0/expires_at", "must be a time");
	refuse(c, "{'tags':[]}", "/tags", "no member");
	finish();
}
END_TEST

START_TEST(a_key_belongs_to_one_consumer)
{
	begin(true);
	add(GW_KIND_CONSUMER, "a", "{'keys':[{'id':'k1','hash':'00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff'}]}");
	add(GW_KIND_CONSUMER, "b", "{'keys':[{'id':'k2','hash':'00112233445566778899AABBccddeeff00112233445566778899aabbccddeeff'}]}");
	ck_assert_int_eq(try_build(), GW_INVALID);
	ck_assert_str_eq(fx_err.path, "/consumers/b/keys/0/hash");
	finish();
}
END_TEST

START_TEST(bindings_most_specific_wins)
{
	with_provider(true);
	add(GW_KIND_GLOBAL_PLUGIN, "token-ratelimit", "{'tokens':1}");
	add(GW_KIND_GLOBAL_PLUGIN, "chat-guard", "{'config':{'secret':'s','url':'global'}}");
	add(GW_KIND_GLOBAL_PLUGIN, "acl", "{'enabled':false}");
	add(R, "r", "{" T ",'plugins':{'token-ratelimit':{'tokens':2},'acl':{}}}");
	add(R, "plain", "{" T "}");
	add(GW_KIND_CONSUMER, "c", "{'plugins':{'token-ratelimit':{'tokens':3},'chat-guard':{'enabled':false,'secret':'s','url':'u'}}}");
	struct gw_snapshot *s = build();
	struct gw_arena *a = gw_arena_open(0);
	const struct gw_consumer *c = gw_snapshot_consumer(s, GW_STR("c"));
	struct gw_bindings b = gw_snapshot_bindings(s, fx_route("r"), c, a);
	ck_assert_uint_eq(b.n, 2);
	ck_assert(gw_str_is(b.v[0].plugin, "acl") && gw_str_is(b.v[1].plugin, "token-ratelimit"));
	ck_assert_int_eq(((const struct fx_limit *)b.v[1].conf)->tokens, 3);
	b = gw_snapshot_bindings(s, fx_route("r"), NULL, a);
	ck_assert_uint_eq(b.n, 3);
	ck_assert_int_eq(((const struct fx_limit *)b.v[1].conf)->tokens, 2);
	ck_assert(gw_str_is(b.v[2].plugin, "chat-guard"));
	b = gw_snapshot_bindings(s, NULL, NULL, a);
	ck_assert_uint_eq(b.n, 2);
	ck_assert_int_eq(((const struct fx_limit *)b.v[0].conf)->tokens, 1);
	b = gw_snapshot_bindings(s, fx_route("plain"), c, a);
	ck_assert_uint_eq(b.n, 1);
	ck_assert_ptr_nonnull(gw_snapshot_global_plugin(s, GW_STR("acl")));
	ck_assert_ptr_null(gw_snapshot_global_plugin(s, GW_STR("nobody")));
	gw_arena_close(&a);
	finish();
}
END_TEST

START_TEST(global_plugin_refusals)
{
	begin(true);
	ck_assert_int_eq(try_add(GW_KIND_GLOBAL_PLUGIN, "nobody", "{}"), GW_INVALID);
	ck_assert_int_eq(try_add(GW_KIND_GLOBAL_PLUGIN, "token-ratelimit", "{'config':{'tokens':0}}"), GW_INVALID);
	ck_assert_str_eq(fx_err.path, "/config/tokens");
	ck_assert_int_eq(try_add(GW_KIND_GLOBAL_PLUGIN, "token-ratelimit", "{'tokens':0}"), GW_INVALID);
	ck_assert_str_eq(fx_err.path, "/tokens");
	ck_assert_int_eq(try_add(GW_KIND_USER, "admin", "{}"), GW_INVALID);
	begin(false);
	add(GW_KIND_GLOBAL_PLUGIN, "from-the-future", "{'x':1}");
	add(GW_KIND_PROVIDER, "p", "{'type':'deepseek'}");
	add(R, "r", "{" T ",'plugins':{'from-the-future':{},'acl':{'new':1}},'novelty':{}}");
	struct gw_snapshot *s = build();
	ck_assert_uint_eq(gw_snapshot_unknown(s), 4);
	ck_assert_uint_eq(fx_route("r")->plugins.n, 1);
	finish();
}
END_TEST

START_TEST(prompts_of_a_route)
{
	begin(true);
	add(GW_KIND_PROVIDER, "p", "{'type':'vllm','base_url':'http://x'}");
	add(GW_KIND_ROUTE, "plain", "{'targets':[{'provider':'p'}]}");
	add(GW_KIND_ROUTE, "kept", "{'targets':[{'provider':'p'}],'path_prefix':'/a','log':{'prompts':'masked','sample_percent':10,'max_bytes':512,"
	    "'mask':['EMP-[0-9]+']}}");
	build();
	ck_assert_int_eq(fx_route("plain")->log.prompts, GW_CAPTURE_OFF);
	ck_assert_int_eq(fx_route("kept")->log.prompts, GW_CAPTURE_MASKED);
	ck_assert_int_eq(fx_route("kept")->log.sample_percent, 10);
	ck_assert_int_eq(fx_route("kept")->log.max_bytes, 512);
	ck_assert(fx_route("kept")->log.masker != gw_masker_builtin());
	begin(true);
	refuse(GW_KIND_ROUTE, "{'targets':[{'provider':'p'}],'log':{'prompts':'some'}}", "/log/prompts", "masked");
	refuse(GW_KIND_ROUTE, "{'targets':[{'provider':'p'}],'log':{'mask':['a','(']}}", "/log/mask/1", "regular expression");
	refuse(GW_KIND_ROUTE, "{'targets':[{'provider':'p'}],'log':{'max_bytes':1}}", "/log/max_bytes", "from 256");
	refuse(GW_KIND_ROUTE, "{'targets':[{'provider':'p'}],'log':{'prompt':1}}", "/log/prompt", "no member");
	finish();
}
END_TEST

UNIT_MAIN("spec_route", prompts_of_a_route, defaults, everything, without_a_map_the_model_stays, refusals, references, who_may_call,
          consumer_refusals, a_key_belongs_to_one_consumer, bindings_most_specific_wins, global_plugin_refusals)
