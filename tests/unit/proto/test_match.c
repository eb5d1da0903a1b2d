/* test_match.c - which route wins, and why, against an independent reading of the rules. */
#include "unit.h"

#include <pthread.h>
#include <stdio.h>

#include "build_fixture.h"

#define T "'targets':[{'provider':'p'}]"

static void routes(const char *const (*list)[2], size_t n)
{
	begin(true);
	add(GW_KIND_PROVIDER, "p", "{'type':'deepseek'}");
	for (size_t i = 0; i < n; i++) {
		char spec[2000];
		snprintf(spec, sizeof spec, "{" T "%s%s}", list[i][1][0] ? "," : "", list[i][1]);
		add(GW_KIND_ROUTE, list[i][0], spec);
	}
	build();
}

static const char *hit(const char *host, const char *path, const char *model, const char *query)
{
	static char name[64];
	struct gw_match_input in = { .host = gw_str_c(host), .path = gw_str_c(path), .model = gw_str_c(model),
		.query = gw_str_c(query) };
	const struct gw_route *r = gw_match(fx_snapshot, &in);
	snprintf(name, sizeof name, "%.*s", r ? (int)r->name.n : 4, r ? r->name.p : "none");
	return name;
}

START_TEST(models)
{
	static const char *const list[][2] = {
		{ "any", "" },
		{ "exact", "'match':{'models':[{'type':'exact','value':'gpt-4'},{'type':'exact','value':'gpt-4'}]}" },
		{ "folded", "'match':{'models':[{'type':'exact','value':'QwQ','ignore_case':true}]}" },
		{ "prefix", "'match':{'models':[{'type':'prefix','value':'gpt-'}]}" },
		{ "prefix-long", "'match':{'models':[{'type':'prefix','value':'gpt-4'}]}" },
		{ "prefix-folded", "'match':{'models':[{'type':'prefix','value':'CLAUDE','ignore_case':true}]}" },
		{ "regex", "'match':{'models':[{'type':'regex','value':'(gpt|qwen)-?[0-9.]+'}]}" },
		{ "off", "'enabled':false,'match':{'models':[{'type':'exact','value':'off'}]}" },
	};
	routes(list, GW_COUNT(list));
	ck_assert_str_eq(hit("h", "/", "gpt-4", NULL), "exact");
	ck_assert_str_eq(hit("h", "/", "GPT-4", NULL), "any");
	ck_assert_str_eq(hit("h", "/", "qWq", NULL), "folded");
	ck_assert_str_eq(hit("h", "/", "gpt-4o", NULL), "prefix-long");
	ck_assert_str_eq(hit("h", "/", "gpt-3", NULL), "prefix");
	ck_assert_str_eq(hit("h", "/", "claude-3", NULL), "prefix-folded");
	ck_assert_str_eq(hit("h", "/", "gpt4", NULL), "regex");
	ck_assert_str_eq(hit("h", "/", "qwen2.5", NULL), "regex");
	ck_assert_str_eq(hit("h", "/", "xqwen2.5", NULL), "any");
	ck_assert_str_eq(hit("h", "/", "qwen2.5\n", NULL), "any");
	ck_assert_str_eq(hit("h", "/", "qwen2.5x", NULL), "any");
	ck_assert_str_eq(hit("h", "/", "off", NULL), "any");
	ck_assert_str_eq(hit("h", "/", NULL, NULL), "any");
	ck_assert_str_eq(hit("h", "/", "", NULL), "any");
	char big[2000];
	memset(big, 'q', sizeof big);
	big[1999] = 0;
	ck_assert_str_eq(hit("h", "/", big, NULL), "any");
	finish();
}
END_TEST

START_TEST(hosts)
{
	static const char *const list[][2] = {
		{ "exact", "'hosts':['a.example.com']" }, { "wild", "'hosts':['*.example.com']" },
		{ "wild-long", "'hosts':['*.b.example.com','x.org']" }, { "six", "'hosts':['[::1]']" },
	};
	routes(list, GW_COUNT(list));
	ck_assert_str_eq(hit("a.example.com", "/", NULL, NULL), "exact");
	ck_assert_str_eq(hit("A.Example.COM:8080", "/", NULL, NULL), "exact");
	ck_assert_str_eq(hit("a.example.com.", "/", NULL, NULL), "exact");
	ck_assert_str_eq(hit("b.example.com", "/", NULL, NULL), "wild");
	ck_assert_str_eq(hit("c.b.example.com", "/", NULL, NULL), "wild-long");
	ck_assert_str_eq(hit("example.com", "/", NULL, NULL), "none");
	ck_assert_str_eq(hit(".example.com", "/", NULL, NULL), "none");
	ck_assert_str_eq(hit("xexample.com", "/", NULL, NULL), "none");
	ck_assert_str_eq(hit("[::1]:80", "/", NULL, NULL), "six");
	ck_assert_str_eq(hit("x.org:1", "/", NULL, NULL), "wild-long");
	ck_assert_str_eq(hit(NULL, "/", NULL, NULL), "none");
	finish();
}
END_TEST

START_TEST(paths)
{
	static const char *const list[][2] = {
		{ "root", "" }, { "v1", "'path_prefix':'/v1'" }, { "deep", "'path_prefix':'/v1/chat/'" },
		{ "folded", "'path_prefix':'/API','ignore_case':true" },
	};
	routes(list, GW_COUNT(list));
	ck_assert_str_eq(hit("h", "/", NULL, NULL), "root");
	ck_assert_str_eq(hit("h", "/v1", NULL, NULL), "v1");
	ck_assert_str_eq(hit("h", "/v1/", NULL, NULL), "v1");
	ck_assert_str_eq(hit("h", "/v1x", NULL, NULL), "root");
	ck_assert_str_eq(hit("h", "/V1", NULL, NULL), "root");
	ck_assert_str_eq(hit("h", "/v1/chat", NULL, NULL), "deep");
	ck_assert_str_eq(hit("h", "/v1/chat/x", NULL, NULL), "deep");
	ck_assert_str_eq(hit("h", "/api/x", NULL, NULL), "folded");
	finish();
}
END_TEST

START_TEST(queries)
{
	static const char *const list[][2] = {
		{ "exact", "'match':{'query':[{'name':'k','type':'exact','value':'a b/c'}]}" },
		{ "empty", "'match':{'query':[{'name':'e','type':'exact','value':''}]}" },
		{ "prefix", "'match':{'query':[{'name':'p','type':'prefix','value':'abc'}]}" },
		{ "regex", "'match':{'query':[{'name':'r','type':'regex','value':'[0-9]+'}]}" },
		{ "two", "'match':{'query':[{'name':'k','type':'prefix','value':'a'},{'name':'z','type':'exact','value':'1'}]}" },
	};
	routes(list, GW_COUNT(list));
	ck_assert_str_eq(hit("h", "/", NULL, "k=a+b%2Fc"), "exact");
	ck_assert_str_eq(hit("h", "/", NULL, "x=1&k=no&k=a%20b%2fc"), "exact");
	ck_assert_str_eq(hit("h", "/", NULL, "%6b=a+b/c"), "exact");
	ck_assert_str_eq(hit("h", "/", NULL, "k=a+b%2Fc&z=1"), "two");
	ck_assert_str_eq(hit("h", "/", NULL, "e"), "empty");
	ck_assert_str_eq(hit("h", "/", NULL, "e="), "empty");
	ck_assert_str_eq(hit("h", "/", NULL, "r=123"), "regex");
	ck_assert_str_eq(hit("h", "/", NULL, "r=123a"), "none");
	ck_assert_str_eq(hit("h", "/", NULL, "k=%"), "none");
	ck_assert_str_eq(hit("h", "/", NULL, "k=%4"), "none");
	ck_assert_str_eq(hit("h", "/", NULL, ""), "none");
	char big[9000] = "p=abc";
	memset(big + 5, 'x', sizeof big - 6);
	big[sizeof big - 1] = 0;
	ck_assert_str_eq(hit("h", "/", NULL, big), "prefix");
	memcpy(big, "r=123", 5);
	memset(big + 5, '1', sizeof big - 6);
	ck_assert_str_eq(hit("h", "/", NULL, big), "none");
	finish();
}
END_TEST

START_TEST(headers_and_ties)
{
	static const char *const list[][2] = {
		{ "b", "" }, { "a", "" },
		{ "h1", "'match':{'headers':[{'name':'X-Team','type':'exact','value':'red'}]}" },
		{ "h2", "'match':{'headers':[{'name':'x-team','type':'exact','value':'RED','ignore_case':true},"
		        "{'name':'x-env','type':'prefix','value':'prod'}]}" },
	};
	routes(list, GW_COUNT(list));
	ck_assert_str_eq(hit("h", "/", NULL, NULL), "a");
	const struct gw_pair h[] = { { GW_STR("x-other"), GW_STR("1") }, { GW_STR("X-TEAM"), GW_STR("blue") },
		{ GW_STR("x-team"), GW_STR("red") }, { GW_STR("X-Env"), GW_STR("production") } };
	struct gw_match_input in = { .host = GW_STR("h"), .path = GW_STR("/"), .headers = h, .n_headers = 3 };
	ck_assert(gw_str_is(gw_match(fx_snapshot, &in)->name, "h1"));
	in.n_headers = 4;
	ck_assert(gw_str_is(gw_match(fx_snapshot, &in)->name, "h2"));
	in.n_headers = 2;
	ck_assert(gw_str_is(gw_match(fx_snapshot, &in)->name, "a"));
	finish();
}
END_TEST

START_TEST(what_matched_counts_not_what_could)
{
	/* `both` has an exact host, but on this host only its wildcard fits, and `plain`'s path is longer. */
	static const char *const list[][2] = {
		{ "both", "'hosts':['only.example.com','*.example.com'],'path_prefix':'/v1'" },
		{ "plain", "'hosts':['*.example.com'],'path_prefix':'/v1/chat'" },
		{ "mixed", "'hosts':['m.io'],'match':{'models':[{'type':'exact','value':'never'},{'type':'prefix','value':'g'}]}" },
		{ "prefix", "'hosts':['m.io'],'match':{'models':[{'type':'prefix','value':'gpt'}]}" },
	};
	routes(list, GW_COUNT(list));
	ck_assert_str_eq(hit("x.example.com", "/v1/chat", NULL, NULL), "plain");
	ck_assert_str_eq(hit("only.example.com", "/v1/chat", NULL, NULL), "both");
	ck_assert_str_eq(hit("m.io", "/", "gpt-4", NULL), "prefix");
	ck_assert_str_eq(hit("m.io", "/", "gemma", NULL), "mixed");
	finish();
}
END_TEST

/* T23 */
START_TEST(runaway_regex_gives_up)
{
	static const char *const list[][2] = { { "bad", "'match':{'models':[{'type':'regex','value':'(a+)+[bc]'}]}" } };
	routes(list, GW_COUNT(list));
	char model[400];
	memset(model, 'a', sizeof model - 1);
	model[sizeof model - 1] = 0;
	ck_assert_str_eq(hit("h", "/", model, NULL), "none");
	ck_assert_uint_eq(gw_match_limited(fx_snapshot), 1);
	ck_assert_str_eq(hit("h", "/", "aab", NULL), "bad");
	ck_assert_str_eq(hit("h", "/", "\xff\xfe", NULL), "none");
	finish();
}
END_TEST

START_TEST(explains)
{
	static const char *const list[][2] = {
		{ "r", "'hosts':['h'],'path_prefix':'/v1','match':{'models':[{'type':'exact','value':'m'}],"
		       "'headers':[{'name':'a','type':'exact','value':'b'}],'query':[{'name':'q','type':'exact','value':'1'}]}" },
		{ "off", "'enabled':false" },
	};
	routes(list, GW_COUNT(list));
	const struct gw_pair h[] = { { GW_STR("a"), GW_STR("b") } };
	struct gw_match_input in = { .host = GW_STR("x") };
	char text[160];
	const struct gw_route *r = fx_route("r");
	ck_assert_int_eq(gw_match_one(fx_snapshot, fx_route("off"), &in, text), GW_MISS_DISABLED);
	ck_assert_int_eq(gw_match_one(fx_snapshot, r, &in, text), GW_MISS_HOST);
	in.host = GW_STR("h");
	ck_assert_int_eq(gw_match_one(fx_snapshot, r, &in, text), GW_MISS_PATH);
	in.path = GW_STR("/v1/x");
	ck_assert_int_eq(gw_match_one(fx_snapshot, r, &in, text), GW_MISS_MODEL);
	ck_assert_ptr_nonnull(strstr(text, "has none"));
	in.model = GW_STR("n");
	ck_assert_int_eq(gw_match_one(fx_snapshot, r, &in, text), GW_MISS_MODEL);
	ck_assert_str_eq(text, "the model `n` fits none of its 1 models");
	in.model = GW_STR("m");
	ck_assert_int_eq(gw_match_one(fx_snapshot, r, &in, text), GW_MISS_HEADER);
	in.headers = h, in.n_headers = 1;
	ck_assert_int_eq(gw_match_one(fx_snapshot, r, &in, text), GW_MISS_QUERY);
	in.query = GW_STR("q=1");
	ck_assert_int_eq(gw_match_one(fx_snapshot, r, &in, text), GW_MISS_NONE);
	ck_assert_int_eq(gw_match_one(fx_snapshot, r, &in, NULL), GW_MISS_NONE);
	for (int f = GW_MISS_NONE; f <= GW_MISS_QUERY; f++)
		ck_assert_uint_gt(strlen(gw_match_fail_name((enum gw_match_fail)f)), 2);
	finish();
}
END_TEST

/* ---- against a plain reading of the rules: every (route, host, model) is a rule; sort them all, take the first ---- */

static const char *const hosts_pool[] = { "a.x", "*.x", "*.b.x", "c.b.x", NULL };
static const char *const paths_pool[] = { "/", "/v1", "/v1/a" };
static const struct { const char *json, *type, *value; bool fold; } models_pool[] = {
	{ "{'type':'exact','value':'m1'}", "e", "m1", false }, { "{'type':'exact','value':'M2','ignore_case':true}", "e", "m2", true },
	{ "{'type':'prefix','value':'m'}", "p", "m", false }, { "{'type':'prefix','value':'m1'}", "p", "m1", false },
	{ "{'type':'regex','value':'m[0-9]'}", "r", "m#", false }, { NULL, "*", "", false },
};

struct rule { int route, host, path, model, query; };

static bool rule_fits(const struct rule *r, const char *host, const char *path, const char *model, bool query)
{
	const char *h = hosts_pool[r->host], *p = paths_pool[r->path];
	if (h && h[0] == '*' && (strlen(host) <= strlen(h) - 1 || strcmp(host + strlen(host) - (strlen(h) - 1), h + 1) != 0))
		return false;
	if (h && h[0] != '*' && strcmp(h, host) != 0)
		return false;
	if (strcmp(p, "/") != 0 && (strncmp(path, p, strlen(p)) != 0 || (path[strlen(p)] && path[strlen(p)] != '/')))
		return false;
	if (r->query && !query)
		return false;
	const char *v = models_pool[r->model].value;
	switch (models_pool[r->model].type[0]) {
	case 'e':
		return models_pool[r->model].fold ? strcasecmp(v, model) == 0 : strcmp(v, model) == 0;
	case 'p':
		return strncmp(v, model, strlen(v)) == 0;
	case 'r':
		return strlen(model) == 2 && model[0] == 'm' && model[1] >= '0' && model[1] <= '9';
	}
	return true;
}

static long rule_rank(const struct rule *r)
{
	const char *h = hosts_pool[r->host];
	long host = !h ? 0 : h[0] == '*' ? (long)strlen(h) : 100;
	long type = models_pool[r->model].type[0] == 'e' ? 300 : models_pool[r->model].type[0] == 'p' ?
	    200 + (long)strlen(models_pool[r->model].value) : models_pool[r->model].type[0] == 'r' ? 100 : 0;
	return ((host * 10 + (long)strlen(paths_pool[r->path])) * 1000 + type) * 10 + r->query;
}

START_TEST(like_the_rules_say)
{
	uint32_t seed = 11;
#define RANDOM(n) (seed = seed * 1664525 + 1013904223, (int)((seed >> 10) % (unsigned)(n)))
	for (int round = 0; round < 60; round++) {
		static struct rule rules[400];
		int n_rules = 0, n_routes = 1 + RANDOM(14);
		begin(true);
		add(GW_KIND_PROVIDER, "p", "{'type':'deepseek'}");
		for (int r = 0; r < n_routes; r++) {
			char spec[1000], host_list[200] = "", model_list[400] = "", name[16];
			int path = RANDOM(3), query = RANDOM(2), h_set = RANDOM(16), m_set = RANDOM(32);
			for (int h = 0; h < 5; h++) {
				if (h == 4 ? h_set != 0 : !(h_set >> h & 1))
					continue;
				if (h < 4)
					sprintf(host_list + strlen(host_list), "%s'%s'", *host_list ? "," : "", hosts_pool[h]);
				for (int m = 0; m < 6; m++)
					if (m == 5 ? m_set == 0 : m_set >> m & 1)
						rules[n_rules++] = (struct rule){ r, h, path, m, query };
			}
			for (int m = 0; m < 5; m++)
				if (m_set >> m & 1)
					sprintf(model_list + strlen(model_list), "%s%s", *model_list ? "," : "", models_pool[m].json);
			snprintf(spec, sizeof spec, "{" T ",'hosts':[%s],'path_prefix':'%s','match':{'models':[%s],'query':[%s]}}", host_list,
			         paths_pool[path], model_list, query ? "{'name':'q','type':'exact','value':'1'}" : "");
			sprintf(name, "r%02d", r);
			add(GW_KIND_ROUTE, name, spec);
		}
		build();
		static const char *const some_hosts[] = { "a.x", "b.x", "c.b.x", "d.b.x", "y" }, *const some_paths[] = { "/", "/v1", "/v1/a/b", "/v1b" },
		                         *const some_models[] = { "m1", "M2", "m3", "m", "zz", "m12" };
		for (int i = 0; i < 5 * 4 * 6 * 2; i++) {
			const char *h = some_hosts[i % 5], *p = some_paths[i / 5 % 4], *m = some_models[i / 20 % 6];
			bool q = i / 120;
			const struct rule *best = NULL;
			for (int k = 0; k < n_rules; k++)
				if (rule_fits(&rules[k], h, p, m, q) && (!best || rule_rank(&rules[k]) > rule_rank(best)))
					best = &rules[k];
			char want[16] = "none";
			if (best)
				sprintf(want, "r%02d", best->route);
			ck_assert_msg(strcmp(hit(h, p, m, q ? "q=1" : NULL), want) == 0, "round %d: %s%s %s %d: %s, not %s", round, h, p, m,
			              q, hit(h, p, m, q ? "q=1" : NULL), want);
		}
	}
	finish();
}
END_TEST

static void *match_many(void *arg)
{
	struct gw_snapshot *s = arg;
	struct gw_match_input in = { .host = GW_STR("h"), .path = GW_STR("/"), .model = GW_STR("gpt-4.1") };
	for (int i = 0; i < 2000; i++) {
		struct gw_snapshot *mine = gw_snapshot_ref(s);
		const struct gw_route *r = gw_match(mine, &in);
		if (!r || !gw_str_is(r->name, "regex"))
			abort();
		gw_snapshot_unref(&mine);
	}
	return NULL;
}

START_TEST(threads_share_it)
{
	static const char *const list[][2] = { { "regex", "'match':{'models':[{'type':'regex','value':'gpt-[0-9.]+'}]}" } };
	routes(list, GW_COUNT(list));
	pthread_t t[4];
	for (int i = 0; i < 4; i++)
		ck_assert_int_eq(pthread_create(&t[i], NULL, match_many, fx_snapshot), 0);
	for (int i = 0; i < 4; i++)
		pthread_join(t[i], NULL);
	finish();
}
END_TEST

UNIT_MAIN("match", models, hosts, paths, queries, headers_and_ties, what_matched_counts_not_what_could, runaway_regex_gives_up,
          explains, like_the_rules_say, threads_share_it)
