/* test_snapshot.c - encoding, decoding, keys, warnings, sharing; a broken part fails the whole. */
#include "unit.h"

#include <stdio.h>
#include <time.h>

#include "base/bytes.h"
#include "build_fixture.h"
#include "seal.h"

static const uint8_t key[32] = { 7, 7, 7 };
static const char canary[] = "sk-canary-0123456789";

static json_t *sample(void)
{
	json_t *o = fx_json("{'providers':{'p':{'type':'deepseek','description':'d','api_keys':[{'name':'main'}]}},"
	                    "'routes':{'r':{'targets':[{'provider':'p'}]}},'consumers':{'app1':{},'off':{'enabled':false}},"
	                    "'settings':{'settings':{'data_plane':{'max_headers':50}}},"
	                    "'global-plugins':{'chat-guard':{'url':'u'}}}");
	char hash[GW_HEX_LEN(32)];
	uint8_t d[32];
	json_t *keys = json_array(), *k = fx_json("{'id':'k1','enabled':true,'expires_at':'2030-01-01T00:00:00Z'}");
	gw_sha256_2(d, GW_STR("pepper"), GW_STR("tgk_one"));
	gw_hex(hash, d, 32);
	json_object_set_new(k, "hash", json_string(hash));
	json_array_append_new(keys, k);
	json_object_set_new(json_object_get(json_object_get(o, "consumers"), "app1"), "keys", keys);
	json_t *p = json_object_get(json_object_get(o, "providers"), "p");
	json_object_set_new(json_array_get(json_object_get(p, "api_keys"), 0), "value", gw_seal(key, gw_str_c(canary)));
	json_object_set_new(json_object_get(json_object_get(o, "global-plugins"), "chat-guard"), "secret",
	                    gw_seal(key, GW_STR("guard-secret")));
	return o;
}

static struct gw_buf bytes;

static void encode(json_t *objects, uint64_t revision)
{
	json_t *pepper = gw_seal(key, GW_STR("pepper"));
	struct gw_error e = { 0 };
	gw_buf_fini(&bytes);
	gw_buf_init(&bytes, GW_SNAPSHOT_MAX_BYTES);
	ck_assert_msg(gw_snapshot_encode(&bytes, revision, GW_STR("0123456789abcdef"), objects, pepper, &e) == GW_OK, "%s", e.text);
	json_decref(pepper);
}

static enum gw_rc decode(struct gw_str text, const uint8_t with[32])
{
	gw_snapshot_unref(&fx_snapshot);
	memset(&fx_err, 0, sizeof fx_err);
	if (!fx_cat)
		fx_cat = fx_catalog();
	return gw_snapshot_decode(&fx_snapshot, text, with, fx_cat, GW_SNAPSHOT_MAX_BYTES, &fx_err);
}

static void done(void)
{
	gw_buf_fini(&bytes);
	finish();
}

START_TEST(there_and_back)
{
	json_t *o = sample();
	encode(o, 12);
	ck_assert_msg(decode(gw_buf_str(&bytes), key) == GW_OK, "%s %s", fx_err.path, fx_err.text);
	struct gw_snapshot *s = fx_snapshot;
	struct gw_digest d;
	struct gw_trie_at at = { 0 };
	ck_assert_uint_eq(gw_snapshot_revision(s), 12);
	ck_assert(gw_str_is(gw_snapshot_epoch(s), "0123456789abcdef"));
	gw_snapshot_digest_of(&d, gw_buf_str(&bytes));
	ck_assert_mem_eq(gw_snapshot_digest(s)->sha256, d.sha256, 32);
	ck_assert_uint_eq(gw_snapshot_unknown(s), 0);
	ck_assert_int_eq(gw_snapshot_settings(s)->max_headers, 50);
	ck_assert_int_eq(gw_snapshot_settings(s)->max_body_bytes, 33554432);
	const struct gw_provider *p = gw_snapshot_next_provider(s, &at);
	ck_assert_ptr_null(gw_snapshot_next_provider(s, &at));
	ck_assert(gw_str_is(p->keys[0].value, canary));
	ck_assert_uint_eq(gw_snapshot_count(s, GW_KIND_CONSUMER), 2);
	ck_assert(gw_str_is(((const struct fx_guard *)gw_snapshot_global_plugin(s, GW_STR("chat-guard"))->conf)->secret,
	                    "guard-secret"));
	ck_assert(!gw_snapshot_consumer(s, GW_STR("off"))->enabled);
	json_decref(o);
	done();
}
END_TEST

START_TEST(keys)
{
	json_t *o = sample();
	encode(o, 1);
	ck_assert_int_eq(decode(gw_buf_str(&bytes), key), GW_OK);
	const struct gw_consumer_key *k = gw_snapshot_key(fx_snapshot, GW_STR("tgk_one"));
	ck_assert_ptr_nonnull(k);
	ck_assert(gw_str_is(k->id, "k1") && gw_str_is(k->consumer->name, "app1") && k->enabled);
	ck_assert_int_eq(k->expires_at_ms, 1893456000000);
	ck_assert_ptr_null(gw_snapshot_key(fx_snapshot, GW_STR("tgk_two")));
	ck_assert_ptr_null(gw_snapshot_key(fx_snapshot, GW_STR("")));
	ck_assert_ptr_null(gw_snapshot_key(fx_snapshot, GW_STR_NONE));
	json_decref(o);
	done();
}
END_TEST

START_TEST(canonical)
{
	json_t *o = sample();
	encode(o, 12);
	char *first = gw_strdup_n(bytes.p, bytes.n);
	/* The same objects, their members in another order, give the same bytes. */
	json_t *shuffled = json_object();
	const char *kinds[] = { "settings", "routes", "global-plugins", "consumers", "providers" };
	for (size_t i = 0; i < GW_COUNT(kinds); i++)
		json_object_set(shuffled, kinds[i], json_object_get(o, kinds[i]));
	encode(shuffled, 12);
	ck_assert_str_eq(bytes.p, first);
	static const char begins[] = "{\"epoch\":\"0123456789abcdef\",\"format\":1,\"objects\":{\"consumers\":{\"app1\":{";
	ck_assert(strncmp(first, begins, sizeof begins - 1) == 0);
	ck_assert_ptr_null(strstr(first, "canary"));
	ck_assert_ptr_null(strstr(first, "pepper\":\""));
	free(first);
	json_decref(shuffled);
	json_decref(o);
	o = json_object();
	encode(o, 0);
	ck_assert_ptr_nonnull(strstr(bytes.p, "\"objects\":{\"consumers\":{},\"global-plugins\":{},\"groups\":{},\"jwt-issuers\":{},\"prices\":{},\"providers\":{},\"quotas\":{},\"routes\":{},"
	                                      "\"settings\":{}},\"pepper\":{\"sealed\":"));
	ck_assert_int_eq(decode(gw_buf_str(&bytes), key), GW_OK);
	struct gw_match_input in = { .path = GW_STR("/"), .model = GW_STR("m") };
	ck_assert_ptr_null(gw_match(fx_snapshot, &in));
	json_decref(o);
	done();
}
END_TEST

START_TEST(encode_refuses)
{
	static const char *const bad[] = { "[]", "{'users':{}}", "{'nonsense':{}}", "{'routes':[]}", "{'routes':{'A':{}}}",
		"{'routes':{'a':5}}", "{'routes':{'a':{'weight':1.5}}}" };
	struct gw_error e = { 0 };
	struct gw_buf b;
	gw_buf_init(&b, 10000);
	for (size_t i = 0; i < GW_COUNT(bad); i++) {
		json_t *o = fx_json(bad[i]);
		ck_assert_msg(gw_snapshot_encode(&b, 1, GW_STR("0123456789abcdef"), o, NULL, &e) == GW_INVALID, "%s", bad[i]);
		ck_assert_uint_eq(b.n, 0);
		json_decref(o);
	}
	json_t *o = json_object(), *plain = json_string("pepper");
	ck_assert_int_eq(gw_snapshot_encode(&b, 1, GW_STR("xyz"), o, NULL, &e), GW_INVALID);
	ck_assert_int_eq(gw_snapshot_encode(&b, 1, GW_STR("0123456789abcdef"), o, plain, &e), GW_INVALID);
	gw_buf_fini(&b);
	gw_buf_init(&b, 10);
	ck_assert_int_eq(gw_snapshot_encode(&b, 1, GW_STR("0123456789abcdef"), o, NULL, &e), GW_TOOBIG);
	ck_assert_uint_eq(b.n, 0);
	json_decref(o);
	json_decref(plain);
	gw_buf_fini(&b);
}
END_TEST

START_TEST(the_wrong_key_opens_nothing)
{
	static const uint8_t wrong[32] = { 1 };
	json_t *o = sample();
	encode(o, 1);
	ck_assert_int_eq(decode(gw_buf_str(&bytes), wrong), GW_DENIED);
	ck_assert_ptr_null(fx_snapshot);
	ck_assert(strncmp(fx_err.path, "/objects/", 9) == 0);
	json_decref(o);
	done();
}
END_TEST

#define HEAD "'epoch':'0123456789abcdef','format':1,'revision':1,"

START_TEST(a_broken_part_fails_the_whole)
{
	static const char *const bad[][2] = {
		{ "[]", "" }, { "{}", "/format" }, { "{'format':1}", "/revision" },
		{ "{'format':1,'revision':1,'epoch':'x','objects':{}}", "/epoch" },
		{ "{" HEAD "'objects':[]}", "/objects" }, { "{" HEAD "'x':1}", "/objects" },
		{ "{'epoch':'0123456789abcdef','format':'1','revision':1,'objects':{}}", "/format" },
		{ "{'epoch':'0123456789abcdef','format':1,'revision':-1,'objects':{}}", "/revision" },
		{ "{" HEAD "'objects':{'routes':[]}}", "/objects/routes" },
		{ "{" HEAD "'objects':{'routes':{'A':{}}}}", "/objects/routes/A/name" },
		{ "{" HEAD "'objects':{'routes':{'a':{'targets':[{'provider':'p'}]}}}}", "/objects/routes/a/targets/0/provider" },
		{ "{" HEAD "'objects':{'providers':{'p':{'type':'vllm'}}}}", "/objects/providers/p/base_url" },
		{ "{" HEAD "'objects':{'consumers':{'c':{'keys':[{'id':'a','hash':'00112233445566778899aabbccddeeff00112233445566778899"
		  "aabbccddeeff'}]}}}}", "/pepper" },
		{ "{" HEAD "'objects':{},'pepper':'plain'}", "/pepper" },
		{ "{" HEAD "'objects':{'settings':{'settings':{'data_plane':{'max_headers':1}}}}}",
		  "/objects/settings/settings/data_plane/max_headers" },
	};
	for (size_t i = 0; i < GW_COUNT(bad); i++) {
		json_t *v = fx_json(bad[i][0]);
		struct gw_buf b;
		gw_buf_init(&b, 10000);
		ck_assert_int_eq(gw_json_write(&b, v, true), GW_OK);
		ck_assert_msg(decode(gw_buf_str(&b), key) == GW_INVALID, "%s", bad[i][0]);
		ck_assert_msg(strcmp(fx_err.path, bad[i][1]) == 0, "%s: %s (%s)", bad[i][0], fx_err.path, fx_err.text);
		ck_assert_ptr_null(fx_snapshot);
		json_decref(v);
		gw_buf_fini(&b);
	}
	ck_assert_int_eq(decode(GW_STR("{\"format\":2,\"revision\":1,\"epoch\":\"0123456789abcdef\",\"objects\":{}}"), key), GW_VERSION);
	done();
}
END_TEST

/* T21 */
START_TEST(every_cut_is_refused)
{
	json_t *o = sample();
	encode(o, 12);
	for (size_t n = 0; n < bytes.n; n++)
		ck_assert_int_ne(decode((struct gw_str){ bytes.p, n }, key), GW_OK);
	json_decref(o);
	done();
}
END_TEST

START_TEST(unknown_is_counted)
{
	json_t *v = fx_json("{" HEAD "'objects':{'providers':{'p':{'type':'deepseek','novelty':1}},'certificates':{'c':{}}},'era':3}");
	struct gw_buf b;
	gw_buf_init(&b, 10000);
	ck_assert_int_eq(gw_json_write(&b, v, true), GW_OK);
	ck_assert_msg(decode(gw_buf_str(&b), key) == GW_OK, "%s", fx_err.text);
	ck_assert_uint_eq(gw_snapshot_unknown(fx_snapshot), 3);
	json_decref(v);
	gw_buf_fini(&b);
	done();
}
END_TEST

START_TEST(bounded)
{
	json_t *o = sample();
	encode(o, 12);
	if (!fx_cat)
		fx_cat = fx_catalog();
	ck_assert_int_eq(gw_snapshot_decode(&fx_snapshot, gw_buf_str(&bytes), key, fx_cat, bytes.n - 1, &fx_err), GW_TOOBIG);
	ck_assert_int_eq(gw_snapshot_decode(&fx_snapshot, gw_buf_str(&bytes), key, fx_cat, bytes.n, &fx_err), GW_OK);
	json_decref(o);
	done();
}
END_TEST

/* Ten thousand of each, within a second even where sanitizers run. */
START_TEST(large)
{
	enum { N = 10000 };
	json_t *o = json_object(), *routes = json_object(), *consumers = json_object(), *providers = json_object();
	json_object_set_new(providers, "p", fx_json("{'type':'deepseek'}"));
	for (int i = 0; i < N; i++) {
		char name[32], hash[GW_HEX_LEN(32)];
		uint8_t d[32];
		snprintf(name, sizeof name, "c%d", i);
		gw_sha256_2(d, GW_STR("pepper"), gw_str_c(name));
		gw_hex(hash, d, 32);
		json_object_set_new(consumers, name, json_pack("{s:[{s:s,s:s}]}", "keys", "id", name, "hash", hash));
		snprintf(name, sizeof name, "model-%d", i);
		json_object_set_new(routes, name, json_pack("{s:{s:[{s:s,s:s}]},s:[{s:s}]}", "match", "models", "type", "exact", "value",
		                                            name, "targets", "provider", "p"));
	}
	json_object_set_new(o, "routes", routes);
	json_object_set_new(o, "consumers", consumers);
	json_object_set_new(o, "providers", providers);
	encode(o, 3);
	clock_t before = clock(); /* of the processor: the machine may be busy with others */
	ck_assert_int_eq(decode(gw_buf_str(&bytes), key), GW_OK);
	double took = (double)(clock() - before) / CLOCKS_PER_SEC;
	ck_assert_msg(took < 10, "decoding took %g s of the processor", took);
	for (int i = 0; i < N; i += 97) {
		char name[32];
		snprintf(name, sizeof name, "model-%d", i);
		struct gw_match_input in = { .path = GW_STR("/"), .model = gw_str_c(name) };
		ck_assert(gw_str_is(gw_match(fx_snapshot, &in)->name, name));
		snprintf(name, sizeof name, "c%d", i);
		ck_assert(gw_str_is(gw_snapshot_key(fx_snapshot, gw_str_c(name))->consumer->name, name));
	}
	json_decref(o);
	done();
}
END_TEST

START_TEST(counted)
{
	begin(true);
	struct gw_snapshot *a = build(), *b = gw_snapshot_ref(a);
	fx_snapshot = NULL;
	ck_assert_ptr_eq(a, b);
	gw_snapshot_unref(&a);
	ck_assert_ptr_null(a);
	ck_assert_uint_eq(gw_snapshot_revision(b), 12);
	gw_snapshot_unref(&b);
	gw_snapshot_unref(&b);
	struct gw_builder *none = NULL;
	gw_builder_drop(&none);
	ck_assert_int_eq(gw_builder_open(&none, fx_cat, 1, GW_STR("short"), true), GW_INVALID);
	finish();
}
END_TEST

static void expect_warning(json_t *list, const char *code, const char *path)
{
	json_t *w;
	size_t i;
	json_array_foreach(list, i, w)
		if (strcmp(json_string_value(json_object_get(w, "code")), code) == 0 &&
		    strcmp(json_string_value(json_object_get(w, "path")), path) == 0)
			return;
	char *all = json_dumps(list, 0);
	ck_abort_msg("no %s at %s in %s", code, path, all);
}

#define T "'targets':[{'provider':'p'}]"

static size_t told(const json_t *list, const char *code, const char *text)
{
	size_t i, n = 0;
	json_t *w;
	json_array_foreach((json_t *)list, i, w)
		n += strcmp(json_string_value(json_object_get(w, "code")), code) == 0 &&
		     strstr(json_string_value(json_object_get(w, "message")), text) != NULL;
	return n;
}

#define MODEL(m) "{" T ",'match':{'models':[{'type':'exact','value':'" m "'}]}"

/* Two routes that name one model: said on both sides of the change, by the rule that decides; not where both have their own. */
START_TEST(a_model_that_two_routes_name)
{
	begin(true);
	add(GW_KIND_PROVIDER, "p", "{'type':'deepseek','api_keys':[{'name':'a','value':'k'}]}");
	add(GW_KIND_ROUTE, "b", "{" T ",'match':{'models':[{'type':'exact','value':'m'},{'type':'exact','value':'n'}]}}");
	add(GW_KIND_ROUTE, "a", MODEL("m") "}");
	add(GW_KIND_ROUTE, "wide", MODEL("deep") "}");
	add(GW_KIND_ROUTE, "deeper", "{" T ",'path_prefix':'/v1','match':{'models':[{'type':'exact','value':'deep'}]}}");
	add(GW_KIND_ROUTE, "team", "{" T ",'path_prefix':'/team','match':{'models':[{'type':'exact','value':'deep'}]}}");
	add(GW_KIND_ROUTE, "host", "{" T ",'hosts':['*.x.test'],'match':{'models':[{'type':'exact','value':'m'}]}}");
	add(GW_KIND_ROUTE, "canary", "{" T ",'match':{'models':[{'type':'exact','value':'m'}],'headers':[{'type':'exact','name':'x-c','value':'1'}]}}");
	add(GW_KIND_ROUTE, "q1", "{" T ",'match':{'models':[{'type':'exact','value':'m'}],'query':[{'type':'exact','name':'a b','value':'1&2'}]}}");
	struct gw_snapshot *s = build();
	json_t *w = gw_snapshot_warnings(s);
	ck_assert_uint_eq(told(w, "model_taken", "the model `m` that both fit go to the route `a` and not to `b`"), 1);
	ck_assert_uint_eq(told(w, "model_taken", "the model `deep` that both fit go to the route `deeper` and not to `wide`"), 1);
	ck_assert_uint_eq(told(w, "model_taken", ""), 2);
	ck_assert_uint_eq(told(w, "takes_model", ""), 0);
	json_decref(w);
	static const struct { const char *route, *code; size_t n; const char *text; } one[] = {
		{ "b", "model_taken", 1, "go to the route `a`" }, { "a", "takes_model", 1, "and not to `b`" }, { "a", "model_taken", 0, "" },
		{ "deeper", "takes_model", 1, "and not to `wide`" }, { "wide", "model_taken", 1, "go to the route `deeper`" }, { "wide", "takes_model", 0, "" },
		{ "team", "model_taken", 0, "" }, { "team", "takes_model", 0, "" }, { "canary", "takes_model", 0, "" }, { "host", "model_taken", 0, "" },
		{ "host", "takes_model", 0, "" }, { "q1", "model_taken", 0, "" }, { "q1", "takes_model", 0, "" },
	};
	for (size_t i = 0; i < GW_COUNT(one); i++) {
		w = gw_snapshot_warnings_of(s, GW_KIND_ROUTE, gw_str_c(one[i].route));
		ck_assert_msg(told(w, one[i].code, one[i].text) == one[i].n, "%s %s", one[i].route, one[i].code);
		json_decref(w);
	}
	finish();
}
END_TEST

START_TEST(warnings)
{
	begin(true);
	add(GW_KIND_PROVIDER, "p", "{'type':'deepseek','api_keys':[{'name':'a','value':'k'}]}");
	add(GW_KIND_PROVIDER, "no-key", "{'type':'deepseek'}");
	add(GW_KIND_PROVIDER, "off", "{'type':'deepseek','enabled':false,'tls':{'verify':false}}");
	add(GW_KIND_PROVIDER, "local", "{'type':'vllm','base_url':'http://x'}");
	add(GW_KIND_CONSUMER, "c1", "{}");
	add(GW_KIND_CONSUMER, "c2", "{}");
	add(GW_KIND_CONSUMER, "c3", "{'groups':['g'],'models':[]}");
	add(GW_KIND_ROUTE, "a", "{" T ",'auth':{'consumers':['c1']},'match':{'models':[{'type':'exact','value':'m'},{'type':'exact','value':'n'}]}}");
	add(GW_KIND_ROUTE, "b", "{" T ",'auth':{'groups':['g']},'match':{'models':[{'type':'exact','value':'n'}]}}");
	add(GW_KIND_ROUTE, "c", "{'targets':[{'provider':'no-key','weight':0},{'provider':'off','weight':0}],'auth':{'groups':['g']},"
	    "'fallback':{'enabled':true}}");
	add(GW_KIND_ROUTE, "d", "{" T ",'path_prefix':'/d','auth':{'required':false,'groups':['g']},'fallback':{'enabled':true,'on':[],"
	    "'targets':[{'provider':'local'},{'provider':'p'},{'provider':'local'}]}}");
	add(GW_KIND_ROUTE, "e", "{'targets':[{'provider':'p','model':'x'},{'provider':'p','model':'x'}],'path_prefix':'/e','auth':{'groups':['g']}}");
	add(GW_KIND_ROUTE, "f", "{" T ",'enabled':false,'log':{'prompts':'full'}}");
	add(GW_KIND_ROUTE, "h", "{" T ",'path_prefix':'/h','auth':{'groups':['g']},'log':{'prompts':'masked'}}");
	add(GW_KIND_ROUTE, "g", "{'targets':[{'provider':'p'},{'provider':'local','weight':0}],'path_prefix':'/g','auth':{'groups':['g']}}");
	json_t *w = gw_snapshot_warnings(build());
	expect_warning(w, "shadowed_route", "/routes/b");
	expect_warning(w, "zero_weight", "/routes/c/targets");
	expect_warning(w, "zero_weight", "/routes/g/targets/1");
	expect_warning(w, "secret_missing", "/routes/c/targets/0");
	expect_warning(w, "disabled_reference", "/routes/c/targets/1");
	expect_warning(w, "unreachable_fallback", "/routes/c/fallback");
	expect_warning(w, "unreachable_fallback", "/routes/d/fallback");
	expect_warning(w, "duplicate_target", "/routes/d/fallback/targets/1");
	expect_warning(w, "duplicate_target", "/routes/d/fallback/targets/2");
	expect_warning(w, "duplicate_target", "/routes/e/targets/1");
	expect_warning(w, "no_auth", "/routes/d/auth/required");
	expect_warning(w, "insecure_tls", "/providers/off/tls/verify");
	expect_warning(w, "unused_consumer", "/consumers/c2");
	expect_warning(w, "unused_consumer", "/consumers/c3/models");
	expect_warning(w, "prompts_off", "/routes/h/log/prompts");
	ck_assert_uint_eq(json_array_size(w), 15);
	json_decref(w);
	finish();
}
END_TEST

START_TEST(no_warnings_without_cause)
{
	begin(true);
	add(GW_KIND_PROVIDER, "p", "{'type':'deepseek','api_keys':[{'name':'a','value':'k'}]}");
	add(GW_KIND_PROVIDER, "q", "{'type':'vllm','base_url':'http://localhost:8000'}");
	add(GW_KIND_CONSUMER, "c", "{}");
	add(GW_KIND_ROUTE, "a", "{" T ",'match':{'models':[{'type':'exact','value':'m'}]},'fallback':{'enabled':true,"
	    "'targets':[{'provider':'q'}]}}");
	add(GW_KIND_ROUTE, "b", "{'targets':[{'provider':'q'},{'provider':'p','weight':5}],'match':{'models':[{'type':'prefix','value':'m'}]}}");
	add(GW_KIND_ROUTE, "c", "{" T "}");
	json_t *w = gw_snapshot_warnings(build());
	ck_assert_uint_eq(json_array_size(w), 0);
	json_decref(w);
	finish();
}
END_TEST

UNIT_MAIN("snapshot", there_and_back, keys, canonical, encode_refuses, the_wrong_key_opens_nothing,
          a_broken_part_fails_the_whole, every_cut_is_refused, unknown_is_counted, bounded, large, counted, warnings, a_model_that_two_routes_name,
          no_warnings_without_cause)
