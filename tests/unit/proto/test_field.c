/* test_field.c - reading through field tables, and the catalogue there and back. */
#include "unit.h"
#include "catalog_fixture.h"
#include "seal.h"

static const uint8_t key[32] = { 9 };

struct all {
	int64_t on, n, ms, word;
	struct gw_str text, secret;
	struct gw_strv list;
};
static const char *const words[] = { "red", "green", NULL };
static const struct gw_field fields[] = {
	GW_FIELD_BOOL(struct all, on, "on", 1, "On.", "开。"),
	GW_FIELD_INT(struct all, n, "n", 1, 10, 5, "N.", "数。"),
	GW_FIELD_MS(struct all, ms, "wait", 100, 60000, 2000, "Wait.", "等。"),
	GW_FIELD_ENUM(struct all, word, "colour", words, 1, "Colour.", "色。"),
	GW_FIELD_TEXT(struct all, text, "text", 0, 5, "abc", "Text.", "文。"),
	GW_FIELD_SECRET(struct all, secret, "secret", 0, 8, "Secret.", "密。"),
	GW_FIELD_LIST(struct all, list, "list", 0, 2, "List.", "表。"),
	GW_FIELD_END
};

static struct gw_arena *arena;
static struct all conf;
static struct gw_error e;
static size_t unknown;

static void fresh(void)
{
	gw_arena_close(&arena);
	arena = gw_arena_open(0);
}

static enum gw_rc read_with(const struct gw_field *f, const char *text, bool strict, const struct gw_unseal *u)
{
	json_t *o = json_loads(text, JSON_DECODE_ANY, NULL);
	ck_assert_ptr_nonnull(o);
	fresh();
	memset(&conf, 0, sizeof conf);
	memset(&e, 0, sizeof e);
	unknown = 0;
	enum gw_rc rc = gw_fields_read(f, o, strict, u, arena, &conf, &unknown, &e);
	json_decref(o);
	return rc;
}

static void refused(const char *text, const char *path, const char *words_)
{
	ck_assert_msg(read_with(fields, text, true, NULL) == GW_INVALID, "%s", text);
	ck_assert_msg(strcmp(e.path, path) == 0, "%s: %s", text, e.path);
	ck_assert_msg(strstr(e.text, words_), "%s: %s", text, e.text);
}

START_TEST(defaults)
{
	ck_assert_int_eq(read_with(fields, "{}", true, NULL), GW_OK);
	ck_assert_int_eq(conf.on, 1);
	ck_assert_int_eq(conf.n, 5);
	ck_assert_int_eq(conf.ms, 2000);
	ck_assert_int_eq(conf.word, 1);
	ck_assert(gw_str_is(conf.text, "abc"));
	ck_assert_uint_eq(conf.secret.n, 0);
	ck_assert_uint_eq(conf.list.n, 0);
	ck_assert_int_eq(read_with(fields, "{\"n\":null,\"text\":null}", true, NULL), GW_OK);
	ck_assert_int_eq(conf.n, 5);
	ck_assert_int_eq(gw_fields_read(fields, NULL, true, NULL, arena, &conf, NULL, &e), GW_OK);
}
END_TEST

START_TEST(values)
{
	ck_assert_int_eq(read_with(fields, "{\"on\":false,\"n\":10,\"wait\":\"1m\",\"colour\":\"red\",\"text\":\"\","
	                           "\"secret\":\"s3cret\",\"list\":[\"a\",\"b\"]}", true, NULL), GW_OK);
	ck_assert_int_eq(conf.on, 0);
	ck_assert_int_eq(conf.n, 10);
	ck_assert_int_eq(conf.ms, 60000);
	ck_assert_int_eq(conf.word, 0);
	ck_assert_uint_eq(conf.text.n, 0);
	ck_assert(gw_str_is(conf.secret, "s3cret"));
	ck_assert_uint_eq(conf.list.n, 2);
	ck_assert(gw_str_is(conf.list.v[1], "b"));
}
END_TEST

START_TEST(refusals)
{
	refused("{\"n\":0}", "/n", "`n` must be a number from 1 to 10");
	refused("{\"n\":11}", "/n", "from 1 to 10");
	refused("{\"n\":\"5\"}", "/n", "from 1 to 10");
	refused("{\"n\":5.0}", "/n", "from 1 to 10");
	refused("{\"wait\":5}", "/wait", "`wait` must be a duration such as \"30s\", from 100ms to 1m");
	refused("{\"wait\":\"99ms\"}", "/wait", "from 100ms to 1m");
	refused("{\"wait\":\"2m\"}", "/wait", "from 100ms to 1m");
	refused("{\"colour\":\"blue\"}", "/colour", "`colour` must be one of: red, green");
	refused("{\"colour\":1}", "/colour", "red, green");
	refused("{\"on\":1}", "/on", "true or false");
	refused("{\"text\":\"abcdef\"}", "/text", "0 to 5 bytes");
	refused("{\"text\":5}", "/text", "must be a text");
	refused("{\"secret\":{\"last4\":\"abcd\"}}", "/secret", "cannot be sent back");
	refused("{\"secret\":\"123456789\"}", "/secret", "at most 8 bytes");
	refused("{\"list\":\"a\"}", "/list", "at most 2 texts");
	refused("{\"list\":[\"a\",\"b\",\"c\"]}", "/list", "at most 2 texts");
	refused("{\"list\":[\"a\",1]}", "/list/1", "must be a text");
	refused("{\"list\":[\"\"]}", "/list/0", "must be a text");
	refused("{\"colur\":\"red\"}", "/colur", "there is no member `colur` here; known are ");
	refused("{\"a/b~\":1}", "/a~1b~0", "no member");
	refused("[]", "", "must be an object");
}
END_TEST

START_TEST(unknown_members_are_counted_when_lenient)
{
	ck_assert_int_eq(read_with(fields, "{\"n\":2,\"x\":1,\"y\":{}}", false, NULL), GW_OK);
	ck_assert_uint_eq(unknown, 2);
	ck_assert_int_eq(conf.n, 2);
	ck_assert_int_eq(read_with(fields, "{\"n\":99,\"x\":1}", false, NULL), GW_INVALID);
}
END_TEST

START_TEST(sealed_secrets)
{
	struct gw_unseal u = { key };
	json_t *o = json_object();
	fresh();
	json_object_set_new(o, "secret", gw_seal(key, GW_STR("s3cret")));
	ck_assert_int_eq(gw_fields_read(fields, o, true, &u, arena, &conf, NULL, &e), GW_OK);
	ck_assert(gw_str_is(conf.secret, "s3cret"));
	ck_assert_int_eq(gw_fields_read(fields, o, true, NULL, arena, &conf, NULL, &e), GW_OK);
	ck_assert_uint_gt(conf.secret.n, 6);
	static const uint8_t wrong[32] = { 1 };
	u.key = wrong;
	ck_assert_int_eq(gw_fields_read(fields, o, true, &u, arena, &conf, NULL, &e), GW_DENIED);
	ck_assert_str_eq(e.path, "/secret");
	json_object_set_new(o, "secret", gw_seal(key, GW_STR("too long a secret")));
	u.key = key;
	ck_assert_int_eq(gw_fields_read(fields, o, true, &u, arena, &conf, NULL, &e), GW_INVALID);
	json_decref(o);
}
END_TEST

START_TEST(required)
{
	struct fx_guard g;
	fresh();
	json_t *o = json_loads("{\"url\":\"http://x\"}", 0, NULL);
	ck_assert_int_eq(gw_fields_read(fx_guard_fields, o, true, NULL, arena, &g, NULL, &e), GW_INVALID);
	ck_assert_str_eq(e.path, "/secret");
	ck_assert_str_eq(e.text, "`secret` is required");
	json_object_set_new(o, "secret", json_string(""));
	ck_assert_int_eq(gw_fields_read(fx_guard_fields, o, true, NULL, arena, &g, NULL, &e), GW_INVALID);
	json_object_set_new(o, "secret", json_string("x"));
	ck_assert_int_eq(gw_fields_read(fx_guard_fields, o, true, NULL, arena, &g, NULL, &e), GW_OK);
	json_object_set_new(o, "url", json_string(""));
	ck_assert_int_eq(gw_fields_read(fx_guard_fields, o, true, NULL, arena, &g, NULL, &e), GW_INVALID);
	json_decref(o);
}
END_TEST

START_TEST(table_as_json)
{
	json_t *v = gw_fields_json(fields), *want = json_loads(
	    "[{\"name\":\"on\",\"type\":\"bool\",\"required\":false,\"min\":null,\"max\":null,\"default\":true,\"options\":[],"
	    "\"doc\":{\"en\":\"On.\",\"zh\":\"开。\"}},"
	    "{\"name\":\"n\",\"type\":\"int\",\"required\":false,\"min\":1,\"max\":10,\"default\":5,\"options\":[],"
	    "\"doc\":{\"en\":\"N.\",\"zh\":\"数。\"}},"
	    "{\"name\":\"wait\",\"type\":\"duration\",\"required\":false,\"min\":100,\"max\":60000,\"default\":\"2s\","
	    "\"options\":[],\"doc\":{\"en\":\"Wait.\",\"zh\":\"等。\"}},"
	    "{\"name\":\"colour\",\"type\":\"enum\",\"required\":false,\"min\":null,\"max\":null,\"default\":\"green\","
	    "\"options\":[\"red\",\"green\"],\"doc\":{\"en\":\"Colour.\",\"zh\":\"色。\"}},"
	    "{\"name\":\"text\",\"type\":\"text\",\"required\":false,\"min\":0,\"max\":5,\"default\":\"abc\",\"options\":[],"
	    "\"doc\":{\"en\":\"Text.\",\"zh\":\"文。\"}},"
	    "{\"name\":\"secret\",\"type\":\"secret\",\"required\":false,\"min\":0,\"max\":8,\"default\":null,\"options\":[],"
	    "\"doc\":{\"en\":\"Secret.\",\"zh\":\"密。\"}},"
	    "{\"name\":\"list\",\"type\":\"text_list\",\"required\":false,\"min\":0,\"max\":2,\"default\":[],\"options\":[],"
	    "\"doc\":{\"en\":\"List.\",\"zh\":\"表。\"}}]", 0, NULL);
	ck_assert_ptr_nonnull(want);
	ck_assert(json_equal(v, want));
	json_decref(v);
	json_decref(want);
}
END_TEST

/* Printed by one process and read by another, a catalogue is the same, and reads the same values. */
START_TEST(catalogue_there_and_back)
{
	struct gw_catalog *c = fx_catalog(), *back;
	json_t *v = gw_catalog_json(c);
	struct gw_buf b;
	gw_buf_init(&b, 1 << 20);
	ck_assert_int_eq(gw_json_write(&b, v, true), GW_OK);
	ck_assert_msg(gw_catalog_parse(&back, gw_buf_str(&b), &e) == GW_OK, "%s %s", e.path, e.text);
	json_t *again = gw_catalog_json(back);
	ck_assert(json_equal(v, again));
	const struct gw_module *m = gw_catalog_find(back, GW_CAT_PLUGINS, GW_STR("token-ratelimit"));
	ck_assert_ptr_nonnull(m);
	ck_assert_ptr_null(gw_catalog_find(back, GW_CAT_PLUGINS, GW_STR("deepseek")));
	ck_assert_str_eq(json_string_value(json_object_get(m->about, "rank")), "LIMIT");
	ck_assert_uint_eq(m->conf_size, sizeof(struct fx_limit));
	ck_assert(!m->check);
	fresh();
	void *parsed = gw_arena_alloc(arena, m->conf_size);
	json_t *o = json_loads("{\"tokens\":7,\"window\":\"2m\",\"limit_by\":\"ip\",\"allow\":[\"x\"]}", 0, NULL);
	ck_assert_int_eq(gw_fields_read(m->fields, o, true, NULL, arena, parsed, NULL, &e), GW_OK);
	const struct fx_limit *l = parsed; /* the same order of members gives the same layout */
	ck_assert_int_eq(l->tokens, 7);
	ck_assert_int_eq(l->window, 120000);
	ck_assert_int_eq(l->limit_by, 1);
	ck_assert(gw_str_is(l->header, "x-user"));
	ck_assert(gw_str_is(l->allow.v[0], "x"));
	ck_assert_str_eq(gw_catalog_at(back, GW_CAT_PROVIDER_TYPES, 0)->name, "deepseek");
	ck_assert_ptr_null(gw_catalog_at(back, GW_CAT_PROVIDER_TYPES, 2));
	json_decref(o);
	json_decref(v);
	json_decref(again);
	gw_buf_fini(&b);
	gw_catalog_close(&c);
	gw_catalog_close(&back);
	gw_catalog_close(&back);
}
END_TEST

START_TEST(catalogue_refuses)
{
	static const char *const bad[][2] = {
		{ "{", "" }, { "{}", "/format" }, { "{\"format\":2,\"plugins\":[],\"provider_types\":[]}", "/format" },
		{ "{\"format\":1,\"provider_types\":[]}", "/plugins" }, { "{\"format\":1,\"plugins\":[]}", "/provider_types" },
		{ "{\"format\":1,\"plugins\":[{}],\"provider_types\":[]}", "/plugins/0/name" },
		{ "{\"format\":1,\"plugins\":[{\"name\":\"a\"}],\"provider_types\":[]}", "/plugins/0/fields" },
		{ "{\"format\":1,\"plugins\":[{\"name\":\"a\",\"fields\":[]},{\"name\":\"a\",\"fields\":[]}],\"provider_types\":[]}",
		  "/plugins/1/name" },
		{ "{\"format\":1,\"plugins\":[{\"name\":\"a\",\"fields\":[{\"name\":\"b\",\"type\":\"colour\"}]}],\"provider_types\":[]}",
		  "/plugins/0/fields/0/type" },
		{ "{\"format\":1,\"plugins\":[{\"name\":\"a\",\"fields\":[{\"type\":\"int\"}]}],\"provider_types\":[]}",
		  "/plugins/0/fields/0/name" },
		{ "{\"format\":1,\"plugins\":[{\"name\":\"a\",\"fields\":[{\"name\":\"b\",\"type\":\"enum\"}]}],\"provider_types\":[]}",
		  "/plugins/0/fields/0/options" },
		{ "{\"format\":1,\"plugins\":[{\"name\":\"a\",\"fields\":[{\"name\":\"b\",\"type\":\"int\",\"default\":\"x\"}]}],"
		  "\"provider_types\":[]}", "/plugins/0/fields/0/default" },
	};
	for (size_t i = 0; i < GW_COUNT(bad); i++) {
		struct gw_catalog *c;
		memset(&e, 0, sizeof e);
		ck_assert_msg(gw_catalog_parse(&c, gw_str_c(bad[i][0]), &e) != GW_OK, "%zu", i);
		ck_assert_ptr_null(c);
		ck_assert_msg(strcmp(e.path, bad[i][1]) == 0, "%zu: %s %s", i, e.path, e.text);
		ck_assert_int_ne(e.text[0], 0);
	}
}
END_TEST

/* ---- lists of objects, regexes, networks, conditions ---- */

struct entry { int64_t by, n; struct gw_str name; struct gw_pattern re; struct gw_netv nets; };
struct outer { int64_t on; struct gw_objects rules; };
static const char *const bys[] = { "user", "header", "ip", NULL };
static const struct gw_field entry_fields[] = {
	GW_FIELD_ENUM(struct entry, by, "by", bys, 0, "By.", "按。"),
	GW_FIELD_TEXT_WHEN(struct entry, name, "name", GW_F_NEEDED, 20, "by=header|ip", "Name.", "名。"),
	GW_FIELD_REGEX(struct entry, re, "regex", 40, "Regex.", "正则。"),
	GW_FIELD_NETS(struct entry, nets, "nets", 0, 3, "Nets.", "网。"),
	GW_FIELD_INT(struct entry, n, "n", 1, 9, 5, "N.", "数。"),
	GW_FIELD_END
};
static const struct gw_field outer_fields[] = {
	GW_FIELD_BOOL(struct outer, on, "on", 1, "On.", "开。"),
	GW_FIELD_OBJECTS(struct outer, rules, "rules", 2, struct entry, entry_fields, "Rules.", "规则。"),
	GW_FIELD_END
};

static enum gw_rc read_outer(const char *text, bool strict, const struct gw_field *f, void *into)
{
	json_t *o = json_loads(text, 0, NULL);
	ck_assert_ptr_nonnull(o);
	fresh();
	memset(&e, 0, sizeof e);
	unknown = 0;
	enum gw_rc rc = gw_fields_read(f, o, strict, NULL, arena, into, &unknown, &e);
	json_decref(o);
	return rc;
}

START_TEST(lists_of_objects)
{
	struct outer o = { 0 };
	ck_assert_int_eq(read_outer("{\"rules\":[{},{\"by\":\"header\",\"name\":\"x\",\"regex\":\"a+\",\"nets\":[\"10.0.0.0/8\",\"::1\"],\"n\":7}]}", true,
	    outer_fields, &o), GW_OK);
	const struct entry *v = o.rules.v;
	ck_assert(o.rules.n == 2 && v[0].n == 5 && v[0].by == 0 && v[1].n == 7 && v[1].by == 1);
	ck_assert(gw_pattern_matches(&v[1].re, GW_STR("aaa")) && !gw_pattern_matches(&v[1].re, GW_STR("aab")));
	ck_assert(!gw_pattern_matches(&v[0].re, GW_STR("")));
	struct gw_net ip;
	ck_assert(gw_net_parse(GW_STR("10.9.9.9"), &ip) && gw_net_holds(&v[1].nets.v[0], &ip) && !gw_net_holds(&v[1].nets.v[1], &ip));
	ck_assert_int_eq(read_outer("{\"rules\":[{\"new\":1}]}", false, outer_fields, &o), GW_OK);
	ck_assert_uint_eq(unknown, 1);
}
END_TEST

START_TEST(faults_in_lists_are_named)
{
	static const struct { const char *text, *path, *words; } rows[] = {
		{ "{\"rules\":{}}", "/rules", "at most 2 objects" }, { "{\"rules\":[{},{},{}]}", "/rules", "at most 2" },
		{ "{\"rules\":[{},7]}", "/rules/1", "must be an object" }, { "{\"rules\":[{\"n\":10}]}", "/rules/0/n", "from 1 to 9" },
		{ "{\"rules\":[{\"new\":1}]}", "/rules/0/new", "no member" },
		{ "{\"rules\":[{},{\"by\":\"header\"}]}", "/rules/1/name", "required when `by` is header" },
		{ "{\"rules\":[{\"regex\":\"(\"}]}", "/rules/0/regex", "no regular expression" },
		{ "{\"rules\":[{\"nets\":[\"::1\",\"10.0.0.0/33\"]}]}", "/rules/0/nets/1", "not an address or network" },
	};
	for (size_t i = 0; i < GW_COUNT(rows); i++) {
		struct outer o = { 0 };
		ck_assert_msg(read_outer(rows[i].text, true, outer_fields, &o) == GW_INVALID, "%s", rows[i].text);
		ck_assert_msg(strcmp(e.path, rows[i].path) == 0, "%s: %s", rows[i].text, e.path);
		ck_assert_msg(strstr(e.text, rows[i].words) != NULL, "%s: %s", rows[i].text, e.text);
	}
}
END_TEST

/* What a worker prints, a control plane reads back: it then checks the same things, without the plugin. */
START_TEST(tables_survive_the_catalogue)
{
	struct gw_catalog *c = gw_catalog_open(), *back;
	gw_catalog_add(c, GW_CAT_PLUGINS, &(struct gw_module){ .name = "p", .fields = outer_fields, .conf_size = sizeof(struct outer) });
	json_t *doc = gw_catalog_json(c);
	char *text = json_dumps(doc, 0);
	ck_assert_ptr_nonnull(strstr(text, "\"when\": {\"field\": \"by\", \"values\": [\"header\", \"ip\"], \"needed\": true}"));
	ck_assert_int_eq(gw_catalog_parse(&back, gw_str_c(text), &e), GW_OK);
	const struct gw_module *m = gw_catalog_find(back, GW_CAT_PLUGINS, GW_STR("p"));
	char conf_[256] = { 0 };
	ck_assert_uint_le(m->conf_size, sizeof conf_);
	ck_assert_int_eq(read_outer("{\"rules\":[{\"by\":\"ip\",\"name\":\"x\",\"n\":3}]}", true, m->fields, conf_), GW_OK);
	ck_assert_int_eq(read_outer("{\"rules\":[{\"by\":\"ip\"}]}", true, m->fields, conf_), GW_INVALID);
	ck_assert_str_eq(e.path, "/rules/0/name");
	json_t *again = gw_catalog_json(back);
	ck_assert(json_equal(doc, again));
	json_decref(again);
	json_decref(doc);
	free(text);
	gw_catalog_close(&c);
	gw_catalog_close(&back);
}
END_TEST

START_TEST(wrong_tables_are_refused)
{
	static const struct { const char *field, *words; } rows[] = {
		{ "{\"name\":\"a\",\"type\":\"object_list\",\"max\":3}", "`fields` must be a list" },
		{ "{\"name\":\"a\",\"type\":\"object_list\",\"fields\":[{\"name\":\"s\",\"type\":\"secret\"}]}", "neither secrets" },
		{ "{\"name\":\"a\",\"type\":\"object_list\",\"fields\":[{\"name\":\"s\",\"type\":\"object_list\",\"fields\":[]}]}", "neither secrets" },
		{ "{\"name\":\"a\",\"type\":\"int\",\"when\":{\"field\":\"b\",\"values\":[\"x\"]}}", "must name an enum" },
		{ "{\"name\":\"a\",\"type\":\"int\",\"when\":{\"field\":\"b\"}}", "`field` and `values`" },
	};
	for (size_t i = 0; i < GW_COUNT(rows); i++) {
		struct gw_catalog *c;
		char text[512];
		snprintf(text, sizeof text, "{\"format\":1,\"plugins\":[{\"name\":\"p\",\"fields\":[%s]}],\"provider_types\":[]}", rows[i].field);
		ck_assert_msg(gw_catalog_parse(&c, gw_str_c(text), &e) == GW_INVALID, "%s", text);
		ck_assert_msg(strstr(e.text, rows[i].words) != NULL, "%s: %s", text, e.text);
	}
}
END_TEST

UNIT_MAIN("field", lists_of_objects, faults_in_lists_are_named, tables_survive_the_catalogue, wrong_tables_are_refused,
    defaults, values, refusals, unknown_members_are_counted_when_lenient, sealed_secrets, required,
          table_as_json, catalogue_there_and_back, catalogue_refuses)
