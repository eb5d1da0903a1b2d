/* test_delta.c - from revision to revision: what a change makes is what building everything anew makes. */
#include "unit.h"

#include <stdio.h>

#include "base/bytes.h"
#include "build_fixture.h"
#include "seal.h"

static const uint8_t key[32] = { 7, 7, 7 };
static const char epoch[] = "0123456789abcdef";

/* What the sender has: {"routes":{…},…}, and the snapshot that was built of it. */
static json_t *objects;
static struct gw_snapshot *sender, *receiver;
static uint64_t revision;

static struct gw_snapshot *whole(const json_t *of)
{
	struct gw_buf bytes;
	struct gw_snapshot *s = NULL;
	struct gw_error err = { 0 };
	json_t *pepper = gw_seal(key, GW_STR("pepper"));
	gw_buf_init(&bytes, GW_SNAPSHOT_MAX_BYTES);
	ck_assert_int_eq(gw_snapshot_encode(&bytes, revision, gw_str_c(epoch), of, pepper, &err), GW_OK);
	enum gw_rc rc = gw_snapshot_decode(&s, gw_buf_str(&bytes), key, fx_cat, GW_SNAPSHOT_MAX_BYTES, &err);
	ck_assert_msg(rc == GW_OK, "%s %s", err.path, err.text);
	/* And it can be written again as it came. */
	struct gw_buf again;
	gw_buf_init(&again, GW_SNAPSHOT_MAX_BYTES);
	ck_assert_int_eq(gw_snapshot_write(&again, s, NULL), GW_OK);
	ck_assert_str_eq(again.p, bytes.p);
	gw_buf_fini(&again);
	gw_buf_fini(&bytes);
	json_decref(pepper);
	return s;
}

static void same(const struct gw_snapshot *a, const struct gw_snapshot *b)
{
	struct gw_digest x, y;
	struct gw_buf p, q;
	gw_snapshot_state(&x, a);
	gw_snapshot_state(&y, b);
	ck_assert_mem_eq(&x, &y, sizeof x);
	ck_assert_uint_eq(gw_snapshot_unknown(a), gw_snapshot_unknown(b));
	gw_buf_init(&p, GW_SNAPSHOT_MAX_BYTES);
	gw_buf_init(&q, GW_SNAPSHOT_MAX_BYTES);
	ck_assert_int_eq(gw_snapshot_write(&p, a, NULL), GW_OK);
	ck_assert_int_eq(gw_snapshot_write(&q, b, NULL), GW_OK);
	ck_assert_str_eq(p.p, q.p);
	gw_buf_fini(&p);
	gw_buf_fini(&q);
}

/* Requests find the same routes, keys and plugins. */
static void same_service(const struct gw_snapshot *a, const struct gw_snapshot *b)
{
	struct gw_arena *m = gw_arena_open(0);
	size_t n, k;
	const struct gw_route *const *v = gw_snapshot_routes(a, m, &n), *const *w = gw_snapshot_routes(b, m, &k);
	ck_assert_uint_eq(n, k);
	ck_assert(gw_snapshot_has_open_route(a) == gw_snapshot_has_open_route(b));
	for (size_t i = 0; i < n; i++) {
		ck_assert(gw_str_eq(v[i]->name, w[i]->name));
		ck_assert(gw_str_eq(v[i]->targets[0].provider->endpoints[0].url, w[i]->targets[0].provider->endpoints[0].url));
		ck_assert_ptr_eq(gw_snapshot_provider(a, v[i]->targets[0].provider->name), v[i]->targets[0].provider);
	}
	for (int i = 0; i < 24; i++) {
		char text[64];
		snprintf(text, sizeof text, i % 3 == 2 ? "model-%d-long" : "Model-%d", i / 2);
		struct gw_match_input in = { .host = GW_STR("h"), .path = GW_STR("/v1/x"), .model = gw_str_c(text) };
		const struct gw_route *x = gw_match(a, &in), *y = gw_match(b, &in);
		ck_assert(!x == !y && (!x || gw_str_eq(x->name, y->name)));
		ck_assert(!x || gw_snapshot_route(a, x->name) == x);
		snprintf(text, sizeof text, "tgk_%d", i);
		const struct gw_consumer_key *c = gw_snapshot_key(a, gw_str_c(text)), *d = gw_snapshot_key(b, gw_str_c(text));
		ck_assert(!c == !d);
		if (!c)
			continue;
		ck_assert_ptr_eq(gw_snapshot_consumer(a, c->consumer->name), c->consumer);
		ck_assert_uint_eq(c->consumer->n_in, d->consumer->n_in);
		ck_assert_uint_eq(gw_snapshot_bindings(a, x, c->consumer, m).n, gw_snapshot_bindings(b, y, d->consumer, m).n);
	}
	json_t *p = gw_snapshot_warnings(a), *q = gw_snapshot_warnings(b);
	ck_assert(json_equal(p, q));
	json_decref(p);
	json_decref(q);
	gw_arena_close(&m);
}

static json_t *kind(const char *path)
{
	json_t *o = json_object_get(objects, path);
	if (!o) {
		o = json_object();
		json_object_set_new(objects, path, o);
	}
	return o;
}

static void put(const char *path, const char *name, const char *spec)
{
	json_object_set_new(kind(path), name, fx_json(spec));
}

static void open_all(void)
{
	finish();
	fx_cat = fx_catalog();
	revision = 1;
	objects = json_object();
	put("providers", "p0", "{'type':'vllm','base_url':'http://p0/v1'}");
	sender = whole(objects);
	receiver = whole(objects);
}

static void close_all(void)
{
	gw_snapshot_unref(&sender);
	gw_snapshot_unref(&receiver);
	json_decref(objects);
	finish();
}

static size_t changes;

/* The sender's next revision, the difference, and the receiver's next one. */
static enum gw_rc step(struct gw_error *err)
{
	struct gw_buf diff;
	struct gw_snapshot *next;
	gw_buf_init(&diff, GW_SNAPSHOT_MAX_BYTES);
	revision++;
	struct gw_snapshot *now = whole(objects);
	ck_assert_int_eq(gw_snapshot_diff(&diff, &changes, receiver, now, NULL), GW_OK);
	gw_snapshot_unref(&sender);
	sender = now;
	enum gw_rc rc = gw_snapshot_patch(&next, receiver, gw_buf_str(&diff), revision, key, fx_cat, err);
	gw_buf_fini(&diff);
	if (rc == GW_OK) {
		gw_snapshot_unref(&receiver);
		receiver = next;
	}
	return rc;
}

static uint32_t seed;

static unsigned dice(unsigned n)
{
	seed = seed * 1664525 + 1013904223;
	return (seed >> 8) % n;
}

static void put_consumer(unsigned i)
{
	char name[16], spec[400], hash[GW_HEX_LEN(32)], secret[16];
	uint8_t d[32];
	snprintf(secret, sizeof secret, "tgk_%u", i);
	gw_sha256_2(d, GW_STR("pepper"), gw_str_c(secret));
	gw_hex(hash, d, 32);
	snprintf(name, sizeof name, "c%u", dice(8));
	/* A key belongs to one consumer at a time. */
	const char *other;
	json_t *v;
	void *tmp;
	json_object_foreach_safe(kind("consumers"), tmp, other, v) {
		json_t *had = json_array_get(json_object_get(v, "keys"), 0);
		if (strcmp(other, name) != 0 && had && strcmp(json_string_value(json_object_get(had, "hash")), hash) == 0)
			json_object_set_new(v, "keys", json_array());
	}
	snprintf(spec, sizeof spec, "{'groups':['g%u','g%u'],'models':['*'],'keys':[{'id':'k','hash':'%s'}]%s}", dice(3), 3 + dice(3),
	         hash, dice(2) ? ",'plugins':{'acl':{}}" : "");
	put("consumers", name, spec);
}

static void put_route(void)
{
	static const char *const models[] = { "{'type':'exact','value':'model-%u'}", "{'type':'exact','value':'MODEL-%u','ignore_case':true}",
		"{'type':'prefix','value':'model-%u'}", "{'type':'regex','value':'[Mm]odel-%u'}" };
	char name[16], model[100], spec[500];
	snprintf(name, sizeof name, "r%u", dice(12));
	const char *first = NULL;
	json_t *v;
	json_object_foreach(kind("providers"), first, v)
		if (dice(3) == 0)
			break;
	if (!first)
		first = "p0";
	snprintf(model, sizeof model, models[dice(4)], dice(10));
	snprintf(spec, sizeof spec, "{'enabled':%s,'match':{'models':[%s]},'targets':[{'provider':'%s'}],'auth':{'required':%s},"
	         "'fallback':{'enabled':true,'targets':[{'provider':'p0','model':'m'}]}}", dice(5) ? "true" : "false",
	         dice(6) ? model : "", first, dice(5) ? "true" : "false");
	put("routes", name, spec);
}

static bool in_use(const char *provider)
{
	const char *name;
	json_t *r;
	json_object_foreach(kind("routes"), name, r)
		if (strcmp(json_string_value(json_object_get(json_array_get(json_object_get(r, "targets"), 0), "provider")), provider) == 0)
			return true;
	return strcmp(provider, "p0") == 0;
}

static void mutate(void)
{
	char name[16], spec[200];
	switch (dice(9)) {
	case 0:
		snprintf(name, sizeof name, "p%u", dice(5));
		snprintf(spec, sizeof spec, "{'type':'vllm','base_url':'http://h%u/v1'}", dice(100));
		put("providers", name, spec);
		break;
	case 1:
		snprintf(name, sizeof name, "p%u", dice(5));
		if (!in_use(name))
			json_object_del(kind("providers"), name);
		break;
	case 2:
		snprintf(name, sizeof name, "g%u", dice(6));
		snprintf(spec, sizeof spec, "{'models':['m%u']%s}", dice(9), dice(2) ? ",'plugins':{'acl':{}}" : "");
		put("groups", name, spec);
		break;
	case 3:
		snprintf(name, sizeof name, dice(2) ? "g%u" : "c%u", dice(6));
		json_object_del(kind(name[0] == 'g' ? "groups" : "consumers"), name);
		break;
	case 4:
		snprintf(name, sizeof name, "r%u", dice(12));
		json_object_del(kind("routes"), name);
		break;
	case 5:
		snprintf(spec, sizeof spec, "{'data_plane':{'max_headers':%u}}", 10 + dice(90));
		put("settings", "settings", spec);
		break;
	case 6:
		if (dice(2))
			put("global-plugins", "acl", "{}");
		else
			json_object_del(kind("global-plugins"), "acl");
		break;
	case 7:
		put_consumer(dice(20));
		break;
	default:
		put_route();
	}
}

START_TEST(many_small_changes)
{
	open_all();
	seed = 11;
	for (int i = 0; i < 400; i++) {
		struct gw_error err = { 0 };
		for (unsigned n = 1 + dice(3); n; n--)
			mutate();
		ck_assert_msg(step(&err) == GW_OK, "%s %s", err.path, err.text);
		same(receiver, sender);
		same_service(receiver, sender);
		ck_assert_int_eq(gw_snapshot_settings(receiver)->max_headers, gw_snapshot_settings(sender)->max_headers);
	}
	close_all();
}
END_TEST

START_TEST(what_did_not_change_is_shared)
{
	struct gw_error err = { 0 };
	open_all();
	put("routes", "a", "{'targets':[{'provider':'p0'}],'match':{'models':[{'type':'exact','value':'a'}]}}");
	put("routes", "b", "{'targets':[{'provider':'p0'}],'match':{'models':[{'type':'exact','value':'b'}]}}");
	ck_assert_int_eq(step(&err), GW_OK);
	ck_assert_uint_eq(changes, 2);
	struct gw_snapshot *before = gw_snapshot_ref(receiver);
	put("routes", "b", "{'enabled':false,'targets':[{'provider':'p0'}],'match':{'models':[{'type':'exact','value':'b'}]}}");
	ck_assert_int_eq(step(&err), GW_OK);
	ck_assert_uint_eq(changes, 1);
	ck_assert_ptr_eq(gw_snapshot_route(before, GW_STR("a")), gw_snapshot_route(receiver, GW_STR("a")));
	ck_assert_ptr_eq(gw_snapshot_provider(before, GW_STR("p0")), gw_snapshot_provider(receiver, GW_STR("p0")));
	/* The older one still serves as it did. */
	struct gw_match_input in = { .path = GW_STR("/v1/x"), .model = GW_STR("b") };
	ck_assert_ptr_nonnull(gw_match(before, &in));
	ck_assert_ptr_null(gw_match(receiver, &in));
	gw_snapshot_unref(&before);
	close_all();
}
END_TEST

static void refused(const char *diff, const char *path, const char *words)
{
	struct gw_snapshot *s = NULL;
	struct gw_error err = { 0 };
	json_t *v = fx_json(diff);
	struct gw_buf b;
	gw_buf_init(&b, 1 << 16);
	ck_assert_int_eq(gw_json_write(&b, v, true), GW_OK);
	ck_assert_int_ne(gw_snapshot_patch(&s, receiver, gw_buf_str(&b), revision + 1, key, fx_cat, &err), GW_OK);
	ck_assert_ptr_null(s);
	ck_assert_msg(strcmp(err.path, path) == 0 && strstr(err.text, words), "%s: %s %s", diff, err.path, err.text);
	gw_buf_fini(&b);
	json_decref(v);
}

START_TEST(a_broken_change_changes_nothing)
{
	struct gw_error err = { 0 };
	open_all();
	put("consumers", "c", "{'keys':[{'id':'k','hash':'00000000000000000000000000000000000000000000000000000000000000aa'}]}");
	put("routes", "r", "{'targets':[{'provider':'p0'}],'auth':{'consumers':['c']}}");
	ck_assert_int_eq(step(&err), GW_OK);
	refused("{'objects':{'providers':{'p0':null}}}", "/objects/routes/r/targets/0/provider", "no provider `p0`");
	refused("{'objects':{'consumers':{'c':null}}}", "/objects/routes/r/auth/consumers/0", "no consumer `c`");
	refused("{'objects':{'routes':{'r':{'targets':[]}}}}", "/objects/routes/r/targets", "");
	refused("{'objects':{'routes':{'s':{'targets':[{'provider':'x'}]}}}}", "/objects/routes/s/targets/0/provider", "`x`");
	refused("{'objects':{'consumers':{'d':{'keys':[{'id':'j','hash':"
	        "'00000000000000000000000000000000000000000000000000000000000000aa'}]}}}}", "/objects/consumers/d/keys/0/hash", "the same");
	refused("{'objects':[]}", "/objects", "must be an object");
	refused("{}", "/objects", "must be an object");
	refused("{'objects':{},'pepper':{'sealed':'AAAA'}}", "/pepper", "");
	same(receiver, sender);
	same_service(receiver, sender);
	close_all();
}
END_TEST

START_TEST(the_state_tells_apart)
{
	struct gw_digest a, b;
	struct gw_snapshot *s;
	struct gw_error err = { 0 };
	open_all();
	gw_snapshot_state(&a, receiver);
	ck_assert_int_eq(gw_snapshot_patch(&s, receiver, GW_STR("{\"objects\":{}}"), revision + 1, key, fx_cat, &err), GW_OK);
	gw_snapshot_state(&b, s);
	ck_assert_mem_ne(&a, &b, sizeof a);
	gw_snapshot_unref(&s);
	/* Put there and taken away again: as before. */
	put("groups", "g", "{}");
	ck_assert_int_eq(step(&err), GW_OK);
	json_object_del(kind("groups"), "g");
	revision = 0;
	ck_assert_int_eq(step(&err), GW_OK);
	gw_snapshot_state(&b, receiver);
	ck_assert_mem_eq(&a, &b, sizeof a);
	close_all();
}
END_TEST

START_TEST(warnings_of_one_object)
{
	static const char *const specs[] = {
		"{'targets':[{'provider':'p0'}],'match':{'models':[{'type':'exact','value':'m'}]}}",
		"{'targets':[{'provider':'p0'},{'provider':'p0'}],'match':{'models':[{'type':'exact','value':'m'}]}}",
		"{'targets':[{'provider':'p0'}],'match':{'models':[{'type':'prefix','value':'m'}]},'auth':{'required':false}}",
		"{'targets':[{'provider':'p0'}],'match':{'models':[{'type':'prefix','value':'m'}]}}",
		"{'targets':[{'provider':'p0'}]}",
		"{'targets':[{'provider':'p0','weight':0}],'match':{'models':[{'type':'exact','value':'M','ignore_case':true}]}}",
	};
	struct gw_error err = { 0 };
	open_all();
	for (size_t i = 0; i < GW_COUNT(specs); i++) {
		char name[4] = { 'r', (char)('a' + i), 0, 0 };
		put("routes", name, specs[i]);
	}
	put("consumers", "c", "{'models':[],'groups':['x']}");
	put("groups", "g", "{}");
	ck_assert_int_eq(step(&err), GW_OK);
	json_t *all = gw_snapshot_warnings(receiver), *w;
	size_t i, sum = 0;
	for (size_t k = 0; k < GW_COUNT(specs) + 2; k++) {
		char name[4] = { 'r', (char)('a' + k), 0, 0 };
		enum gw_kind of = k < GW_COUNT(specs) ? GW_KIND_ROUTE : k == GW_COUNT(specs) ? GW_KIND_CONSUMER : GW_KIND_PROVIDER;
		json_t *mine = gw_snapshot_warnings_of(receiver, of,
			of == GW_KIND_ROUTE ? gw_str_c(name) : of == GW_KIND_CONSUMER ? GW_STR("c") : GW_STR("p0"));
		json_array_foreach(mine, i, w) {
			size_t at;
			json_t *v;
			bool there = strcmp(json_string_value(json_object_get(w, "code")), "takes_model") == 0;
			sum -= there; /* in the list of all it stands with the loser */
			json_array_foreach(all, at, v)
				there = there || json_equal(v, w);
			ck_assert_msg(there, "%s", json_string_value(json_object_get(w, "path")));
		}
		sum += json_array_size(mine);
		json_decref(mine);
	}
	ck_assert_uint_eq(sum, json_array_size(all));
	ck_assert_uint_ge(sum, 6);
	json_decref(all);
	close_all();
}
END_TEST

UNIT_MAIN("delta", many_small_changes, what_did_not_change_is_shared, a_broken_change_changes_nothing, the_state_tells_apart,
          warnings_of_one_object)
