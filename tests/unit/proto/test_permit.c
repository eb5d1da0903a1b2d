/* test_permit.c - groups, what they hand down, and what a list of models grants. */
#include "unit.h"
#include "build_fixture.h"

/* Aliases `fast` and `best` (one with a fallback), a map, a pattern, and a route that maps whatever is asked. */
static void with_routes(void)
{
	begin(true);
	add(GW_KIND_PROVIDER, "p", "{'type':'deepseek'}");
	add(GW_KIND_PROVIDER, "q", "{'type':'deepseek'}");
	add(GW_KIND_ROUTE, "fast", "{'match':{'models':[{'type':'exact','value':'fast'}]},'targets':[{'provider':'p','model':'small'}],"
	    "'fallback':{'enabled':true,'targets':[{'provider':'q','model':'large'}]}}");
	add(GW_KIND_ROUTE, "best", "{'match':{'models':[{'type':'exact','value':'best'}]},'targets':[{'provider':'q','model':'large'}]}");
	add(GW_KIND_ROUTE, "mapped", "{'path_prefix':'/m','targets':[{'provider':'p','model_map':{'gpt-4':'large','gpt-*':'small'}}]}");
	add(GW_KIND_ROUTE, "pattern", "{'match':{'models':[{'type':'prefix','value':'fa'}]},'targets':[{'provider':'q','model':'large'}]}");
	add(GW_KIND_ROUTE, "premium", "{'path_prefix':'/premium','targets':[{'provider':'q','model_map':{'*':'large'}}]}");
	add(GW_KIND_ROUTE, "plain", "{'path_prefix':'/plain','targets':[{'provider':'p'},{'provider':'q'}]}");
}

static const struct gw_consumer *app(void)
{
	return gw_snapshot_consumer(fx_snapshot, GW_STR("app"));
}

static bool may(const char *route, const char *model)
{
	return gw_consumer_may_any(app(), fx_route(route), model ? gw_str_c(model) : GW_STR_NONE);
}

static bool may_fall_back(const char *model)
{
	const struct gw_route *r = fx_route("fast");
	return gw_consumer_may(app(), r, &r->fallback.targets[0], true, gw_str_c(model));
}

START_TEST(an_alias_is_granted_where_a_route_offers_it)
{
	with_routes();
	add(GW_KIND_CONSUMER, "app", "{'models':['fast']}");
	build();
	ck_assert(may("fast", "fast"));
	ck_assert(!may_fall_back("fast"));          /* what it falls back to was not granted */
	ck_assert(!may("best", "best"));
	ck_assert(!may("pattern", "fast"));         /* a pattern that fits is no offer */
	ck_assert(!may("premium", "fast"));         /* nor is a map of everything */
	ck_assert(may("plain", "fast"));            /* here it is what the provider is asked for */
	ck_assert(!may("fast", NULL));
	finish();
}
END_TEST

START_TEST(a_model_is_granted_under_any_name)
{
	with_routes();
	add(GW_KIND_CONSUMER, "app", "{'models':['small']}");
	build();
	ck_assert(may("fast", "fast") && may("mapped", "gpt-3") && may("plain", "small"));
	ck_assert(!may("mapped", "gpt-4") && !may("best", "best") && !may("premium", "small"));
	ck_assert(!may_fall_back("fast"));
	ck_assert(may("fast", NULL));               /* its target names the model */
	ck_assert(!may("plain", NULL));
	finish();
}
END_TEST

START_TEST(names_in_a_map_are_offers)
{
	with_routes();
	add(GW_KIND_CONSUMER, "app", "{'models':['gpt-4']}");
	build();
	ck_assert(may("mapped", "gpt-4") && !may("mapped", "gpt-4o") && !may("premium", "gpt-4"));
	finish();
	with_routes();
	add(GW_KIND_CONSUMER, "app", "{'models':['gpt-*']}");
	build();
	ck_assert(may("mapped", "gpt-4") && !may("mapped", "gpt-3") && may("plain", "gpt-3"));
	finish();
}
END_TEST

START_TEST(targets_and_routes_by_name)
{
	with_routes();
	add(GW_KIND_CONSUMER, "app", "{'models':['target:q/large']}");
	build();
	ck_assert(may("best", "best") && may("premium", "x") && may_fall_back("fast"));
	ck_assert(!may("fast", "fast") && !may("mapped", "gpt-4"));   /* `large` too, but of another provider */
	finish();
	with_routes();
	add(GW_KIND_CONSUMER, "app", "{'models':['route:fast','route:pre*']}");
	build();
	ck_assert(may("fast", "fast") && may("fast", NULL) && may_fall_back("fast") && may("premium", "anything"));
	ck_assert(!may("best", "best") && !may("plain", "fast"));
	finish();
	with_routes();
	add(GW_KIND_CONSUMER, "app", "{'models':['target:p/*']}");
	build();
	ck_assert(may("plain", "x") && may("plain", NULL) && !may("premium", "x"));
	finish();
}
END_TEST

START_TEST(entries_have_a_form)
{
	begin(true);
	refuse(GW_KIND_CONSUMER, "{'models':['target:p']}", "/models/0", "target:PROVIDER/MODEL");
	refuse(GW_KIND_CONSUMER, "{'models':['x','target:/m']}", "/models/1", "target:PROVIDER/MODEL");
	refuse(GW_KIND_GROUP, "{'models':['route:']}", "/models/0", "route:NAME");
	refuse(GW_KIND_GROUP, "{'models':'x'}", "/models", "must be a list");
	refuse(GW_KIND_GROUP, "{'keys':[]}", "/keys", "no member");
	refuse(GW_KIND_GROUP, "{'plugins':{'nothing':{}}}", "/plugins/nothing", "there is no plugin");
	finish();
}
END_TEST

/* ---- groups ---- */

static void with_groups(const char *consumer)
{
	with_routes();
	add(GW_KIND_GROUP, "free", "{}");
	add(GW_KIND_GROUP, "narrow", "{'models':['small']}");
	add(GW_KIND_GROUP, "wide", "{'models':['large']}");
	add(GW_KIND_GROUP, "none", "{'models':[]}");
	add(GW_KIND_GROUP, "off", "{'enabled':false,'models':['*']}");
	add(GW_KIND_CONSUMER, "app", consumer);
	build();
}

START_TEST(groups_bound_the_models_of_members)
{
	with_groups("{'groups':['narrow']}");
	ck_assert(may("fast", "fast") && !may("best", "best"));
	finish();
	with_groups("{'groups':['narrow','wide']}");
	ck_assert(may("fast", "fast") && may("best", "best") && !may("plain", "other"));
	finish();
	with_groups("{'groups':['narrow','wide'],'models':['large']}"); /* its own list narrows further */
	ck_assert(!may("fast", "fast") && may("best", "best"));
	finish();
	with_groups("{'groups':['free','a-word']}");
	ck_assert(may("plain", "other"));
	finish();
	with_groups("{'groups':['none']}");
	ck_assert(!may("plain", "other"));
	finish();
	with_groups("{'groups':['off']}"); /* disabling never widens */
	ck_assert(!may("plain", "other"));
	finish();
	with_groups("{'groups':['off','wide']}");
	ck_assert(may("best", "best") && !may("fast", "fast"));
	finish();
}
END_TEST

START_TEST(a_disabled_group_admits_nobody)
{
	with_routes();
	add(GW_KIND_GROUP, "off", "{'enabled':false}");
	add(GW_KIND_GROUP, "on", "{}");
	add(GW_KIND_ROUTE, "r", "{'path_prefix':'/r','targets':[{'provider':'p'}],'auth':{'groups':['off','on','word']}}");
	add(GW_KIND_CONSUMER, "app", "{'groups':['off']}");
	add(GW_KIND_CONSUMER, "two", "{'groups':['off','on']}");
	add(GW_KIND_CONSUMER, "three", "{'groups':['word']}");
	struct gw_snapshot *s = build();
	ck_assert(!gw_route_allows(fx_route("r"), app()));
	ck_assert(gw_route_allows(fx_route("r"), gw_snapshot_consumer(s, GW_STR("two"))));
	ck_assert(gw_route_allows(fx_route("r"), gw_snapshot_consumer(s, GW_STR("three"))));
	finish();
}
END_TEST

/* "limit:consumer acl:g2" of what is in force. */
static void expect_plugins(const struct gw_route *r, const char *wanted)
{
	static const char *const scopes[] = { "consumer", "group", "route", "global" };
	char text[256] = "";
	struct gw_arena *a = gw_arena_open(1024);
	struct gw_bindings b = gw_snapshot_bindings(fx_snapshot, r, app(), a);
	for (size_t i = 0; i < b.n; i++)
		snprintf(text + strlen(text), sizeof text - strlen(text), "%s%.*s:%s/%.*s", i ? " " : "", GW_FMT(b.v[i].plugin),
		         scopes[b.v[i].scope], GW_FMT(b.v[i].owner));
	ck_assert_str_eq(text, wanted);
	gw_arena_close(&a);
}

START_TEST(plugins_come_from_the_most_specific)
{
	with_routes();
	add(GW_KIND_GLOBAL_PLUGIN, "acl", "{}");
	add(GW_KIND_GROUP, "g1", "{'plugins':{'acl':{}}}");
	add(GW_KIND_GROUP, "g2", "{'plugins':{'acl':{},'token-ratelimit':{'tokens':5}}}");
	add(GW_KIND_ROUTE, "r", "{'path_prefix':'/r','targets':[{'provider':'p'}],'plugins':{'token-ratelimit':{'tokens':7},'acl':{}}}");
	add(GW_KIND_CONSUMER, "app", "{'groups':['word','g1','g2'],'plugins':{'token-ratelimit':{'tokens':9}}}");
	struct gw_snapshot *s = build();
	ck_assert_uint_eq(app()->n_in, 2);
	ck_assert(gw_str_is(app()->in[0]->name, "g1") && app()->in[1] == gw_snapshot_group(s, GW_STR("g2")));
	expect_plugins(fx_route("r"), "acl:group/g1 token-ratelimit:consumer/app");
	finish();
	with_routes();
	add(GW_KIND_GLOBAL_PLUGIN, "acl", "{}");
	add(GW_KIND_GROUP, "off", "{'plugins':{'acl':{'enabled':false}}}");
	add(GW_KIND_GROUP, "g2", "{'plugins':{'token-ratelimit':{'tokens':5}}}");
	add(GW_KIND_ROUTE, "r", "{'path_prefix':'/r','targets':[{'provider':'p'}],'plugins':{'token-ratelimit':{'tokens':7},'acl':{}}}");
	add(GW_KIND_CONSUMER, "app", "{'groups':['g2','off']}");
	build();
	expect_plugins(fx_route("r"), "token-ratelimit:group/g2"); /* what a group switches off stays off */
	expect_plugins(fx_route("best"), "token-ratelimit:group/g2");
	finish();
}
END_TEST

static void with_limits_that_add_up(void)
{
	with_routes();
	json_object_set_new(gw_catalog_find(fx_cat, GW_CAT_PLUGINS, GW_STR("token-ratelimit"))->about, "adds_up", json_true());
}

START_TEST(plugins_that_add_up_hold_at_every_level)
{
	with_limits_that_add_up();
	add(GW_KIND_GLOBAL_PLUGIN, "token-ratelimit", "{'tokens':1}");
	add(GW_KIND_GLOBAL_PLUGIN, "acl", "{}");
	add(GW_KIND_GROUP, "g1", "{'plugins':{'token-ratelimit':{'tokens':2},'acl':{}}}");
	add(GW_KIND_GROUP, "g2", "{'plugins':{'token-ratelimit':{'tokens':3},'acl':{}}}");
	add(GW_KIND_ROUTE, "r", "{'path_prefix':'/r','targets':[{'provider':'p'}],'plugins':{'token-ratelimit':{'tokens':4}}}");
	add(GW_KIND_CONSUMER, "app", "{'groups':['g2','g1'],'plugins':{'token-ratelimit':{'tokens':5}}}");
	build();
	expect_plugins(fx_route("r"), "acl:group/g2 token-ratelimit:consumer/app token-ratelimit:group/g2 token-ratelimit:group/g1 "
		       "token-ratelimit:route/r token-ratelimit:global/");
	expect_plugins(NULL, "acl:group/g2 token-ratelimit:consumer/app token-ratelimit:group/g2 token-ratelimit:group/g1 token-ratelimit:global/");
	finish();
	/* what is switched off frees from what is less specific; groups stand side by side */
	with_limits_that_add_up();
	add(GW_KIND_GLOBAL_PLUGIN, "token-ratelimit", "{'tokens':1}");
	add(GW_KIND_GROUP, "g1", "{'plugins':{'token-ratelimit':{'enabled':false,'tokens':2}}}");
	add(GW_KIND_GROUP, "g2", "{'plugins':{'token-ratelimit':{'tokens':3}}}");
	add(GW_KIND_ROUTE, "r", "{'path_prefix':'/r','targets':[{'provider':'p'}],'plugins':{'token-ratelimit':{'tokens':4}}}");
	add(GW_KIND_CONSUMER, "app", "{'groups':['g1','g2']}");
	build();
	expect_plugins(fx_route("r"), "token-ratelimit:group/g2");
	finish();
	with_limits_that_add_up();
	add(GW_KIND_GROUP, "g2", "{'plugins':{'token-ratelimit':{'tokens':3}}}");
	add(GW_KIND_ROUTE, "r", "{'path_prefix':'/r','targets':[{'provider':'p'}],'plugins':{'token-ratelimit':{'tokens':4}}}");
	add(GW_KIND_CONSUMER, "app", "{'groups':['g2'],'plugins':{'token-ratelimit':{'enabled':false,'tokens':5}}}");
	build();
	expect_plugins(fx_route("r"), "");
	finish();
}
END_TEST

START_TEST(slips_are_warned_about)
{
	with_routes();
	add(GW_KIND_GROUP, "design", "{}");
	add(GW_KIND_CONSUMER, "app", "{'groups':['design','desing']}");
	add(GW_KIND_ROUTE, "r", "{'path_prefix':'/r','targets':[{'provider':'p'}],'auth':{'groups':['dseign']}}");
	json_t *all = gw_snapshot_warnings(build()), *w;
	size_t i, n = 0;
	json_array_foreach(all, i, w)
		if (strcmp(json_string_value(json_object_get(w, "code")), "undefined_group") == 0) {
			n++;
			const char *path = json_string_value(json_object_get(w, "path"));
			ck_assert(strcmp(path, "/consumers/app/groups/1") == 0 || strcmp(path, "/routes/r/auth/groups") == 0);
		}
	ck_assert_uint_eq(n, 2);
	json_decref(all);
	finish();
}
END_TEST

UNIT_MAIN("permit", an_alias_is_granted_where_a_route_offers_it, a_model_is_granted_under_any_name, names_in_a_map_are_offers,
          targets_and_routes_by_name, entries_have_a_form, groups_bound_the_models_of_members, a_disabled_group_admits_nobody,
          plugins_come_from_the_most_specific, plugins_that_add_up_hold_at_every_level, slips_are_warned_about)
