/*
 * catalog.c - all field tables by module: made from linked modules, or read back from catalog.json.
 */
#include "base/map.h"
#include "base/str.h"
#include "base/time.h"
#include "field.h"
#include "match.h"

#include <stdio.h>
#include <stdlib.h>

#define CATALOG_MAGIC     0x6361746cu
#define CATALOG_FORMAT    1
#define CATALOG_MAX_BYTES (16u << 20)

struct set {
	struct gw_module **modules; /* in the order added; owned array of arena pointers */
	size_t n, room;
	struct gw_map *by_name;
};

struct gw_catalog {
	unsigned magic;
	struct gw_arena *arena;
	struct set sets[GW_CAT_COUNT];
};

static const char *const set_names[] = {
#define X(name, text) text,
	GW_CATALOG_SETS(X)
#undef X
};

struct gw_catalog *gw_catalog_open(void)
{
	struct gw_catalog *c = gw_alloc(sizeof *c);
	c->magic = CATALOG_MAGIC;
	c->arena = gw_arena_open(4096);
	for (size_t i = 0; i < GW_CAT_COUNT; i++)
		c->sets[i].by_name = gw_map_open(32);
	return c;
}

void gw_catalog_close(struct gw_catalog **cp)
{
	struct gw_catalog *c = *cp;
	*cp = NULL;
	if (!c)
		return;
	GW_CHECK(c, CATALOG_MAGIC);
	for (size_t i = 0; i < GW_CAT_COUNT; i++) {
		for (size_t m = 0; m < c->sets[i].n; m++)
			json_decref(c->sets[i].modules[m]->about);
		free(c->sets[i].modules);
		gw_map_close(&c->sets[i].by_name);
	}
	gw_arena_close(&c->arena);
	c->magic = 0;
	free(c);
}

void gw_catalog_add(struct gw_catalog *c, enum gw_catalog_set set, const struct gw_module *m)
{
	GW_CHECK(c, CATALOG_MAGIC);
	assert(set < GW_CAT_COUNT && m->name && m->fields);
	struct set *s = &c->sets[set];
	if (s->n == s->room) {
		s->room = s->room ? s->room * 2 : 32;
		s->modules = gw_realloc(s->modules, s->room * sizeof(struct gw_module *));
	}
	struct gw_module *copy = gw_arena_alloc(c->arena, sizeof *copy);
	*copy = *m;
	s->modules[s->n++] = copy;
	void *twice = gw_map_put(s->by_name, gw_str_c(copy->name), copy);
	assert(!twice);
	(void)twice;
}

const struct gw_module *gw_catalog_find(const struct gw_catalog *c, enum gw_catalog_set set,
    struct gw_str name)
{
	GW_CHECK(c, CATALOG_MAGIC);
	return gw_map_get(c->sets[set].by_name, name);
}

const struct gw_module *gw_catalog_at(const struct gw_catalog *c, enum gw_catalog_set set, size_t i)
{
	GW_CHECK(c, CATALOG_MAGIC);
	return i < c->sets[set].n ? c->sets[set].modules[i] : NULL;
}

json_t *gw_catalog_json(const struct gw_catalog *c)
{
	GW_CHECK(c, CATALOG_MAGIC);
	json_t *o = json_object();
	json_object_set_new(o, "format", json_integer(CATALOG_FORMAT));
	for (size_t i = 0; i < GW_CAT_COUNT; i++) {
		json_t *list = json_array();
		for (size_t m = 0; m < c->sets[i].n; m++) {
			const struct gw_module *mod = c->sets[i].modules[m];
			json_t *one = mod->about ? json_deep_copy(mod->about) : json_object();
			json_object_set_new(one, "name", json_string(mod->name));
			json_object_set_new(one, "fields", gw_fields_json(mod->fields));
			json_array_append_new(list, one);
		}
		json_object_set_new(o, set_names[i], list);
	}
	return o;
}

static bool type_of(struct gw_str name, enum gw_field_type *out)
{
	for (int t = GW_T_END + 1; t < GW_T_COUNT; t++) {
		if (gw_str_is(name, gw_field_type_name((enum gw_field_type)t))) {
			*out = (enum gw_field_type)t;
			return true;
		}
	}
	return false;
}

static const char *text_of(struct gw_arena *a, const json_t *v)
{
	return gw_arena_c(a, gw_json_str(v));
}

/* The default in its C form; false: it is not one of this field's values. */
static bool default_of(struct gw_field *f, struct gw_arena *a, const json_t *v)
{
	if (!v || json_is_null(v))
		return true;
	switch (f->type) {
	case GW_T_BOOL:
		f->def = json_is_true(v);
		return json_is_boolean(v);
	case GW_T_INT:
		f->def = json_integer_value(v);
		return json_is_integer(v);
	case GW_T_MS:
		return gw_duration_parse(gw_json_str(v), &f->def);
	case GW_T_TEXT:
	case GW_T_REGEX:
		if (json_string_length(v))
			f->def_text = text_of(a, v);
		return json_is_string(v);
	case GW_T_ENUM:
		for (f->def = 0; f->options[f->def]; f->def++)
			if (gw_str_is(gw_json_str(v), f->options[f->def]))
				return true;
		return false;
	default:
		return json_is_array(v);
	}
}

static size_t size_of(enum gw_field_type t)
{
	switch (t) {
	case GW_T_TEXT:
	case GW_T_SECRET:
		return sizeof(struct gw_str);
	case GW_T_LIST:
		return sizeof(struct gw_strv);
	case GW_T_REGEX:
		return sizeof(struct gw_pattern);
	case GW_T_NETS:
		return sizeof(struct gw_netv);
	case GW_T_OBJECTS:
		return sizeof(struct gw_objects);
	default:
		return sizeof(int64_t);
	}
}

/* {"field","values","needed"}; the field it names is looked for when the table is whole. */
static enum gw_rc parse_when(struct gw_field *f, struct gw_arena *a, const json_t *v, struct gw_error *err)
{
	struct gw_str name = gw_json_str(json_object_get(v, "field"));
	const json_t *values = json_object_get(v, "values");
	if (!name.n || memchr(name.p, '=', name.n) || json_array_size(values) == 0)
		return gw_fail(err, GW_INVALID, "/when", "`when` must have `field` and `values`");
	struct gw_str text = gw_arena_printf(a, "%.*s=", GW_FMT(name));
	for (size_t i = 0; i < json_array_size(values); i++) {
		struct gw_str word = gw_json_str(json_array_get(values, i));
		if (!word.n || memchr(word.p, '|', word.n) || i == 64)
			return gw_fail(err, GW_INVALID, "/when/values", "`values` must be words");
		text = gw_arena_printf(a, "%.*s%s%.*s", GW_FMT(text), i ? "|" : "", GW_FMT(word));
	}
	f->when = text.p;
	if (json_is_true(json_object_get(v, "needed")))
		f->flags |= GW_F_NEEDED;
	return GW_OK;
}

/* Every condition names an enum of its own table. */
static bool conditions_hold(const struct gw_field *fields)
{
	for (const struct gw_field *f = fields; f->type != GW_T_END; f++) {
		bool found = !f->when;
		for (const struct gw_field *d = fields; d->type != GW_T_END && !found; d++)
			found = d->type == GW_T_ENUM && strncmp(f->when, d->name, strlen(d->name)) == 0 &&
			    f->when[strlen(d->name)] == '=';
		if (!found)
			return false;
	}
	return true;
}

static enum gw_rc parse_fields(struct gw_arena *a, const json_t *list, bool nested, struct gw_field **out,
    size_t *size, struct gw_error *err);

static enum gw_rc parse_field(struct gw_field *f, struct gw_arena *a, const json_t *v, bool nested, size_t *offset,
    struct gw_error *err)
{
	struct gw_str name = GW_STR_NONE, type = GW_STR_NONE;
	bool required = false;
	enum gw_rc rc = gw_json_text(v, "name", &name, err);
	if (rc == GW_OK)
		rc = gw_json_text(v, "type", &type, err);
	if (rc == GW_OK)
		rc = gw_json_bool(v, "required", &required, err);
	if (rc == GW_OK)
		rc = gw_json_int(v, "min", INT64_MIN, INT64_MAX, &f->min, err);
	if (rc == GW_OK)
		rc = gw_json_int(v, "max", INT64_MIN, INT64_MAX, &f->max, err);
	if (rc != GW_OK)
		return rc;
	if (!name.n)
		return gw_fail(err, GW_INVALID, "/name", "a field must have a name");
	if (!type_of(type, &f->type))
		return gw_fail(err, GW_INVALID, "/type", "the type `%.*s` is not known",
		    GW_FMT(((struct gw_str){ type.p, type.n < 40 ? type.n : 40 })));
	const json_t *options = json_object_get(v, "options"), *doc = json_object_get(v, "doc");
	if (f->type == GW_T_ENUM) {
		size_t n = json_array_size(options);
		const char **words = gw_arena_array(a, n + 1, sizeof *words);
		for (size_t i = 0; i < n; i++)
			words[i] = text_of(a, json_array_get(options, i));
		if (n == 0)
			return gw_fail(err, GW_INVALID, "/options", "an enum must have options");
		f->options = words;
	}
	f->name = gw_arena_c(a, name);
	f->flags = required ? GW_F_REQUIRED : 0;
	f->doc = text_of(a, json_object_get(doc, "en"));
	f->doc_zh = text_of(a, json_object_get(doc, "zh"));
	if (f->type == GW_T_LIST && json_is_string(json_object_get(v, "pattern"))) {
		const void *regex;
		rc = gw_regex_compile(&regex, gw_json_str(json_object_get(v, "pattern")), false, err);
		if (rc != GW_OK) {
			gw_error_prefix(err, "/pattern");
			return rc;
		}
		gw_regex_free(&regex);
		f->pattern = text_of(a, json_object_get(v, "pattern"));
		f->form = text_of(a, json_object_get(v, "form"));
	}
	f->offset = *offset;
	*offset += size_of(f->type);
	if (nested && (f->type == GW_T_SECRET || f->type == GW_T_OBJECTS))
		return gw_fail(err, GW_INVALID, "/type", "an entry of a list has neither secrets nor lists of objects");
	if (json_object_get(v, "when"))
		rc = parse_when(f, a, json_object_get(v, "when"), err);
	if (rc == GW_OK && f->type == GW_T_OBJECTS) {
		struct gw_field *fields;
		rc = parse_fields(a, json_object_get(v, "fields"), true, &fields, &f->item_size, err);
		f->fields = fields;
	}
	if (rc != GW_OK)
		return rc;
	if (!default_of(f, a, json_object_get(v, "default")))
		return gw_fail(err, GW_INVALID, "/default", "the default is not a value of this field");
	return GW_OK;
}

static enum gw_rc parse_fields(struct gw_arena *a, const json_t *list, bool nested, struct gw_field **out,
    size_t *size, struct gw_error *err)
{
	if (!json_is_array(list))
		return gw_fail(err, GW_INVALID, "/fields", "`fields` must be a list");
	size_t n = json_array_size(list);
	struct gw_field *fields = *out = gw_arena_array(a, n + 1, sizeof *fields);
	*size = 0;
	for (size_t i = 0; i < n; i++) {
		enum gw_rc rc = parse_field(&fields[i], a, json_array_get(list, i), nested, size, err);
		if (rc != GW_OK) {
			gw_error_prefix(err, "/fields/%zu", i);
			return rc;
		}
	}
	if (!conditions_hold(fields))
		return gw_fail(err, GW_INVALID, "/fields", "a condition must name an enum of the same table");
	*size = *size ? *size : 1;
	return GW_OK;
}

static enum gw_rc parse_module(struct gw_catalog *c, enum gw_catalog_set set, const json_t *v,
    struct gw_error *err)
{
	struct gw_str name = gw_json_str(json_object_get(v, "name"));
	const json_t *list = json_object_get(v, "fields");
	if (!name.n)
		return gw_fail(err, GW_INVALID, "/name", "a module must have a name");
	if (gw_catalog_find(c, set, name))
		return gw_fail(err, GW_INVALID, "/name", "a module of this name stands there twice");
	struct gw_field *fields;
	size_t size;
	enum gw_rc rc = parse_fields(c->arena, list, false, &fields, &size, err);
	if (rc != GW_OK)
		return rc;
	json_t *about = json_deep_copy(v);
	json_object_del(about, "name");
	json_object_del(about, "fields");
	struct gw_module m = { gw_arena_c(c->arena, name), fields, size, NULL, about };
	gw_catalog_add(c, set, &m);
	return GW_OK;
}

static enum gw_rc parse_sets(struct gw_catalog *c, const json_t *doc, struct gw_error *err)
{
	int64_t format = 0;
	enum gw_rc rc = gw_json_int(doc, "format", 1, INT32_MAX, &format, err);
	if (rc != GW_OK)
		return rc;
	if (format != CATALOG_FORMAT)
		return gw_fail(err, GW_VERSION, "/format", "this catalogue has format %lld, not %d",
		    (long long)format, CATALOG_FORMAT);
	for (size_t s = 0; s < GW_CAT_COUNT; s++) {
		const json_t *list = json_object_get(doc, set_names[s]);
		char path[64];
		snprintf(path, sizeof path, "/%s", set_names[s]);
		if (!json_is_array(list))
			return gw_fail(err, GW_INVALID, path, "`%s` must be a list", set_names[s]);
		for (size_t i = 0; i < json_array_size(list); i++) {
			rc = parse_module(c, (enum gw_catalog_set)s, json_array_get(list, i), err);
			if (rc != GW_OK) {
				gw_error_prefix(err, "%s/%zu", path, i);
				return rc;
			}
		}
	}
	return GW_OK;
}

enum gw_rc gw_catalog_parse(struct gw_catalog **out, struct gw_str json, struct gw_error *err)
{
	json_t *doc;
	*out = NULL;
	enum gw_rc rc = gw_json_parse(&doc, json, CATALOG_MAX_BYTES, err);
	if (rc != GW_OK)
		return rc;
	struct gw_catalog *c = gw_catalog_open();
	rc = parse_sets(c, doc, err);
	json_decref(doc);
	if (rc == GW_OK)
		*out = c;
	else
		gw_catalog_close(&c);
	return rc;
}
