/*
 * field.c - reading a JSON object through a field table, and the table as JSON.
 */
#include "field.h"
#include "base/map.h"
#include "base/str.h"
#include "base/time.h"
#include "match.h"
#include "seal.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#define LIST_ITEM_MAX 4096

static const char *const type_names[] = {
	"",
#define X(name, text, c) text,
	GW_FIELD_TYPE_TABLE(X)
#undef X
};

const char *gw_field_type_name(enum gw_field_type t)
{
	assert((size_t)t < GW_COUNT(type_names));
	return type_names[t];
}

static enum gw_rc refuse(struct gw_error *err, const struct gw_field *f, const char *fmt, ...)
    GW_PRINTF(3, 4);
static enum gw_rc refuse(struct gw_error *err, const struct gw_field *f, const char *fmt, ...)
{
	char what[256], path[GW_POINTER_LEN + 1] = "/";
	va_list ap;
	va_start(ap, fmt);
	vsnprintf(what, sizeof what, fmt, ap);
	va_end(ap);
	gw_json_pointer(path + 1, gw_str_c(f->name));
	return gw_fail(err, GW_INVALID, path, "`%s` %s", f->name, what);
}

static enum gw_rc read_int(const struct gw_field *f, const json_t *v, int64_t *out, struct gw_error *err)
{
	if (!json_is_integer(v) || json_integer_value(v) < f->min || json_integer_value(v) > f->max) {
		if (f->max == INT64_MAX)
			return refuse(err, f, "must be a number, at least %lld", (long long)f->min);
		return refuse(err, f, "must be a number from %lld to %lld", (long long)f->min,
		    (long long)f->max);
	}
	*out = json_integer_value(v);
	return GW_OK;
}

static enum gw_rc read_ms(const struct gw_field *f, const json_t *v, int64_t *out, struct gw_error *err)
{
	int64_t ms;
	if (!json_is_string(v) || !gw_duration_parse(gw_json_str(v), &ms) || ms < f->min || ms > f->max) {
		char low[GW_DURATION_LEN], high[GW_DURATION_LEN];
		gw_duration_format(low, f->min);
		gw_duration_format(high, f->max);
		if (f->max == INT64_MAX)
			return refuse(err, f, "must be a duration such as \"30s\", at least %s", low);
		return refuse(err, f, "must be a duration such as \"30s\", from %s to %s", low, high);
	}
	*out = ms;
	return GW_OK;
}

static enum gw_rc read_enum(const struct gw_field *f, const json_t *v, int64_t *out, struct gw_error *err)
{
	struct gw_str word = gw_json_str(v);
	char all[160] = "";
	size_t n = 0;
	for (int64_t i = 0; f->options[i]; i++) {
		if (word.p && gw_str_is(word, f->options[i])) {
			*out = i;
			return GW_OK;
		}
		int more = snprintf(all + n, sizeof all - n, "%s%s", i ? ", " : "", f->options[i]);
		n += more < 0 ? 0 : (size_t)more;
		if (n >= sizeof all)
			n = sizeof all - 1;
	}
	return refuse(err, f, "must be one of: %s", all);
}

static enum gw_rc read_text(const struct gw_field *f, const json_t *v, struct gw_arena *a,
    struct gw_str *out, struct gw_error *err)
{
	struct gw_str s = gw_json_str(v);
	if (!s.p)
		return refuse(err, f, "must be a text");
	if ((f->max > 0 && s.n > (uint64_t)f->max) || s.n < (uint64_t)f->min)
		return refuse(err, f, "must have %lld to %lld bytes", (long long)f->min, (long long)f->max);
	if (s.n == 0 && f->flags & GW_F_REQUIRED)
		return refuse(err, f, "must not be empty");
	*out = gw_arena_copy(a, s);
	return GW_OK;
}

static enum gw_rc read_secret(const struct gw_field *f, const json_t *v, const struct gw_unseal *unseal,
    struct gw_arena *a, struct gw_str *out, struct gw_error *err)
{
	struct gw_str s = gw_json_str(v);
	if (!s.p && !gw_is_sealed(v))
		return refuse(err, f, "must be a text: what a secret is shown as cannot be sent back");
	if (s.p) {
		s = gw_secret_copy(a, s);
	} else if (unseal) {
		enum gw_rc rc = gw_unseal_value(unseal->key, v, a, &s, err);
		if (rc != GW_OK) {
			gw_error_prefix(err, "/%s", f->name);
			return rc;
		}
	} else {
		/* Not opened here; what it says is nobody's business. */
		*out = gw_arena_copy(a, gw_json_str(json_object_get(v, "sealed")));
		return GW_OK;
	}
	if (f->max > 0 && s.n > (uint64_t)f->max)
		return refuse(err, f, "must have at most %lld bytes", (long long)f->max);
	if (s.n == 0 && f->flags & GW_F_REQUIRED)
		return refuse(err, f, "must not be empty");
	*out = s;
	return GW_OK;
}

/*
 * The expression of a field, compiled once for the life of the process: fields come from constant tables and from
 * catalogues that live as long.  NULL: it is broken, which a test of the tables finds.
 */
static const void *compiled(const char *pattern)
{
	static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
	static struct gw_map *known_patterns;
	const void *regex = NULL;
	pthread_mutex_lock(&lock);
	if (!known_patterns)
		known_patterns = gw_map_open(16);
	regex = gw_map_get(known_patterns, gw_str_c(pattern));
	if (!regex && gw_regex_compile(&regex, gw_str_c(pattern), false, NULL) == GW_OK)
		gw_map_put(known_patterns, gw_str_c(gw_strdup_n(pattern, strlen(pattern))), (void *)regex);
	pthread_mutex_unlock(&lock);
	return regex;
}

static enum gw_rc read_list(const struct gw_field *f, const json_t *v, struct gw_arena *a,
    struct gw_strv *out, struct gw_error *err)
{
	size_t n = json_array_size(v), i;
	json_t *item;
	if (!json_is_array(v) || (f->max > 0 && n > (uint64_t)f->max))
		return refuse(err, f, "must be a list of at most %lld texts", (long long)f->max);
	if (n == 0 && f->flags & GW_F_REQUIRED)
		return refuse(err, f, "must not be empty");
	struct gw_str *list = gw_arena_array(a, n, sizeof *list);
	json_array_foreach(v, i, item) {
		struct gw_str s = gw_json_str(item);
		if (!s.p || s.n == 0 || s.n > LIST_ITEM_MAX) {
			char path[GW_POINTER_LEN + 32];
			snprintf(path, sizeof path, "/%s/%zu", f->name, i);
			return gw_fail(err, GW_INVALID, path,
			    "each entry of `%s` must be a text of 1 to %d bytes", f->name, LIST_ITEM_MAX);
		}
		if (f->pattern && !gw_regex_matches(compiled(f->pattern), s)) {
			char path[GW_POINTER_LEN + 32];
			snprintf(path, sizeof path, "/%s/%zu", f->name, i);
			return gw_fail(err, GW_INVALID, path, "entry %zu of `%s` must be %s", i + 1, f->name, f->form);
		}
		list[i] = gw_arena_copy(a, s);
	}
	*out = (struct gw_strv){ list, n };
	return GW_OK;
}

struct compiled {
	const void *regex;
};

static void drop_regex(void *arg)
{
	gw_regex_free(&((struct compiled *)arg)->regex);
}

static enum gw_rc read_regex(const struct gw_field *f, const json_t *v, struct gw_arena *a,
    struct gw_pattern *out, struct gw_error *err)
{
	enum gw_rc rc = read_text(f, v, a, &out->text, err);
	if (rc != GW_OK || !out->text.n)
		return rc;
	struct gw_error why = { .text = "" };
	struct compiled *c = gw_arena_alloc(a, sizeof *c);
	if (gw_regex_compile(&c->regex, out->text, false, &why) != GW_OK)
		return refuse(err, f, "is no regular expression: %.120s", why.text);
	gw_arena_defer(a, drop_regex, c);
	out->compiled = c->regex;
	return GW_OK;
}

static enum gw_rc read_nets(const struct gw_field *f, const json_t *v, struct gw_arena *a,
    struct gw_netv *out, struct gw_error *err)
{
	struct gw_strv texts = { NULL, 0 };
	enum gw_rc rc = read_list(f, v, a, &texts, err);
	if (rc != GW_OK)
		return rc;
	struct gw_net *list = gw_arena_array(a, texts.n, sizeof *list);
	for (size_t i = 0; i < texts.n; i++) {
		struct gw_str s = texts.v[i];
		if (!gw_net_parse(s, &list[i])) {
			char path[GW_POINTER_LEN + 32];
			snprintf(path, sizeof path, "/%s/%zu", f->name, i);
			return gw_fail(err, GW_INVALID, path, "'%.*s' is not an address or network (like 10.0.0.0/8)",
			    (int)(s.n < 60 ? s.n : 60), s.p);
		}
	}
	*out = (struct gw_netv){ list, texts.n };
	return GW_OK;
}

/* How a list of objects is read; an entry's own lists would be one level too deep, its secrets nobody would mask. */
struct reading {
	bool strict;
	struct gw_arena *a;
	size_t *unknown;
};

static enum gw_rc read_objects(const struct gw_field *f, const json_t *v, const struct reading *how,
    struct gw_objects *out, struct gw_error *err)
{
	size_t n = json_array_size(v), i;
	json_t *item;
	if (!json_is_array(v) || (f->max > 0 && n > (uint64_t)f->max))
		return refuse(err, f, "must be a list of at most %lld objects", (long long)f->max);
	if (n == 0 && f->flags & GW_F_REQUIRED)
		return refuse(err, f, "must not be empty");
	char *list = gw_arena_array(how->a, n, f->item_size);
	json_array_foreach(v, i, item) {
		enum gw_rc rc = json_is_object(item) ?
		    gw_fields_read(f->fields, item, how->strict, NULL, how->a, list + i * f->item_size, how->unknown, err) :
		    gw_fail(err, GW_INVALID, NULL, "each entry of `%s` must be an object", f->name);
		if (rc != GW_OK) {
			gw_error_prefix(err, "/%s/%zu", f->name, i);
			return rc;
		}
	}
	*out = (struct gw_objects){ list, n };
	return GW_OK;
}

bool gw_pattern_matches(const struct gw_pattern *p, struct gw_str s)
{
	return p->compiled && gw_regex_matches(p->compiled, s);
}

static enum gw_rc read_one(const struct gw_field *f, const json_t *v, const struct gw_unseal *unseal,
    const struct reading *how, void *at, struct gw_error *err)
{
	struct gw_arena *a = how->a;
	switch (f->type) {
	case GW_T_BOOL:
		if (!json_is_boolean(v))
			return refuse(err, f, "must be true or false");
		*(int64_t *)at = json_is_true(v);
		return GW_OK;
	case GW_T_INT:
		return read_int(f, v, at, err);
	case GW_T_MS:
		return read_ms(f, v, at, err);
	case GW_T_ENUM:
		return read_enum(f, v, at, err);
	case GW_T_TEXT:
		return read_text(f, v, a, at, err);
	case GW_T_SECRET:
		return read_secret(f, v, unseal, a, at, err);
	case GW_T_LIST:
		return read_list(f, v, a, at, err);
	case GW_T_REGEX:
		return read_regex(f, v, a, at, err);
	case GW_T_NETS:
		return read_nets(f, v, a, at, err);
	case GW_T_OBJECTS:
		return read_objects(f, v, how, at, err);
	case GW_T_END:
	case GW_T_COUNT:
		break;
	}
	abort();
}

void gw_fields_defaults(const struct gw_field *fields, void *conf)
{
	for (const struct gw_field *f = fields; f->type != GW_T_END; f++) {
		void *at = (char *)conf + f->offset;
		switch (f->type) {
		case GW_T_TEXT:
			*(struct gw_str *)at = gw_str_c(f->def_text ? f->def_text : "");
			break;
		case GW_T_SECRET:
			*(struct gw_str *)at = GW_STR("");
			break;
		case GW_T_LIST:
			*(struct gw_strv *)at = (struct gw_strv){ NULL, 0 };
			break;
		case GW_T_REGEX:
			*(struct gw_pattern *)at = (struct gw_pattern){ GW_STR(""), NULL };
			break;
		case GW_T_NETS:
			*(struct gw_netv *)at = (struct gw_netv){ NULL, 0 };
			break;
		case GW_T_OBJECTS:
			*(struct gw_objects *)at = (struct gw_objects){ NULL, 0 };
			break;
		default:
			*(int64_t *)at = f->def;
		}
	}
}

static bool known(const struct gw_field *fields, const char *name)
{
	for (const struct gw_field *f = fields; f->type != GW_T_END; f++)
		if (strcmp(f->name, name) == 0)
			return true;
	return false;
}

/* Says what is known as well: the right word is most often near. */
static enum gw_rc unknown_member(struct gw_error *err, const char *path, const char *name, const struct gw_field *fields)
{
	char list[240] = "";
	size_t n = 0;
	for (const struct gw_field *f = fields; f->type != GW_T_END && n < sizeof list - 40; f++)
		n += (size_t)snprintf(list + n, sizeof list - n, "%s%.32s", n ? ", " : "", f->name);
	return gw_fail(err, GW_INVALID, path, "there is no member `%.60s` here%s%s", name, n ? "; known are " : "", list);
}

/* ---- fields that matter only sometimes ---- */

/* "limit_by=header|query" taken apart: the enum, and the words behind '='. */
static const struct gw_field *decider(const struct gw_field *fields, const struct gw_field *f, struct gw_str *words)
{
	*words = gw_str_c(f->when);
	struct gw_str name = gw_str_cut(words, '=');
	for (const struct gw_field *d = fields; d->type != GW_T_END; d++)
		if (gw_str_is(name, d->name) && d->type == GW_T_ENUM)
			return d;
	abort(); /* the table itself is wrong */
}

static bool is_empty(const struct gw_field *f, const void *at)
{
	switch (f->type) {
	case GW_T_TEXT:
	case GW_T_SECRET:
		return ((const struct gw_str *)at)->n == 0;
	case GW_T_REGEX:
		return ((const struct gw_pattern *)at)->text.n == 0;
	case GW_T_LIST:
	case GW_T_NETS:
	case GW_T_OBJECTS: /* the three have their count in the same place */
		return ((const struct gw_strv *)at)->n == 0;
	default:
		return false;
	}
}

static enum gw_rc check_needed(const struct gw_field *fields, const void *conf, struct gw_error *err)
{
	for (const struct gw_field *f = fields; f->type != GW_T_END; f++) {
		if (!f->when || !(f->flags & GW_F_NEEDED) || !is_empty(f, (const char *)conf + f->offset))
			continue;
		struct gw_str words;
		const struct gw_field *d = decider(fields, f, &words);
		const char *now = d->options[*(const int64_t *)(const void *)((const char *)conf + d->offset)];
		while (words.p) {
			if (gw_str_is(gw_str_cut(&words, '|'), now))
				return refuse(err, f, "is required when `%s` is %s", d->name, now);
		}
	}
	return GW_OK;
}

enum gw_rc gw_fields_read(const struct gw_field *fields, const json_t *object, bool strict,
    const struct gw_unseal *unseal, struct gw_arena *a, void *conf, size_t *unknown,
    struct gw_error *err)
{
	gw_fields_defaults(fields, conf);
	if (object && !json_is_object(object))
		return gw_fail(err, GW_INVALID, NULL, "this must be an object");
	size_t used = 0;
	const struct reading how = { strict, a, unknown };
	for (const struct gw_field *f = fields; f->type != GW_T_END; f++) {
		const json_t *v = json_object_get(object, f->name);
		used += v != NULL;
		if (!v || json_is_null(v)) {
			if (f->flags & GW_F_REQUIRED)
				return refuse(err, f, "is required");
			continue;
		}
		enum gw_rc rc = read_one(f, v, unseal, &how, (char *)conf + f->offset, err);
		if (rc != GW_OK)
			return rc;
	}
	enum gw_rc needed = check_needed(fields, conf, err);
	if (needed != GW_OK)
		return needed;
	if (used == json_object_size(object))
		return GW_OK;
	const char *name;
	json_t *v;
	json_object_foreach((json_t *)object, name, v) {
		if (known(fields, name))
			continue;
		if (strict) {
			char path[GW_POINTER_LEN + 1] = "/";
			gw_json_pointer(path + 1, gw_str_c(name));
			return unknown_member(err, path, name, fields);
		}
		if (unknown)
			++*unknown;
	}
	return GW_OK;
}

/* A field's default in the form in which it would be sent. */
static json_t *default_json(const struct gw_field *f)
{
	char text[GW_DURATION_LEN];
	switch (f->type) {
	case GW_T_BOOL:
		return json_boolean(f->def);
	case GW_T_INT:
		return json_integer(f->def);
	case GW_T_MS:
		gw_duration_format(text, f->def);
		return json_string(text);
	case GW_T_TEXT:
		return json_string(f->def_text ? f->def_text : "");
	case GW_T_ENUM:
		return json_string(f->options[f->def]);
	case GW_T_REGEX:
		return json_string("");
	case GW_T_LIST:
	case GW_T_NETS:
	case GW_T_OBJECTS:
		return json_array();
	default:
		return json_null();
	}
}

static json_t *when_json(const struct gw_field *f)
{
	struct gw_str words = gw_str_c(f->when), name = gw_str_cut(&words, '=');
	json_t *o = json_object(), *values = json_array();
	while (words.p) {
		struct gw_str word = gw_str_cut(&words, '|');
		json_array_append_new(values, json_stringn(word.p, word.n));
	}
	gw_json_set_str(o, "field", name);
	json_object_set_new(o, "values", values);
	json_object_set_new(o, "needed", json_boolean(f->flags & GW_F_NEEDED));
	return o;
}

static json_t *field_json(const struct gw_field *f)
{
	bool bounded = f->type != GW_T_BOOL && f->type != GW_T_ENUM;
	json_t *options = json_array();
	for (size_t i = 0; f->options && f->options[i]; i++)
		json_array_append_new(options, json_string(f->options[i]));
	json_t *o = json_object();
	json_object_set_new(o, "name", json_string(f->name));
	json_object_set_new(o, "type", json_string(gw_field_type_name(f->type)));
	json_object_set_new(o, "required", json_boolean(f->flags & GW_F_REQUIRED));
	json_object_set_new(o, "min", bounded ? json_integer(f->min) : json_null());
	json_object_set_new(o, "max", bounded ? json_integer(f->max) : json_null());
	json_object_set_new(o, "default", f->flags & GW_F_REQUIRED ? json_null() : default_json(f));
	json_object_set_new(o, "options", options);
	if (f->pattern) {
		json_object_set_new(o, "pattern", json_string(f->pattern));
		json_object_set_new(o, "form", json_string(f->form));
	}
	json_t *doc = json_object();
	json_object_set_new(doc, "en", json_string(f->doc ? f->doc : ""));
	json_object_set_new(doc, "zh", json_string(f->doc_zh ? f->doc_zh : ""));
	json_object_set_new(o, "doc", doc);
	if (f->when)
		json_object_set_new(o, "when", when_json(f));
	if (f->type == GW_T_OBJECTS)
		json_object_set_new(o, "fields", gw_fields_json(f->fields));
	return o;
}

json_t *gw_fields_json(const struct gw_field *fields)
{
	json_t *list = json_array();
	for (const struct gw_field *f = fields; f->type != GW_T_END; f++)
		json_array_append_new(list, field_json(f));
	return list;
}
