/* schema.c - walking a value along a schema: faults out, defaults in. */
#define PCRE2_CODE_UNIT_WIDTH 8
#include "validate/schema.h"

#include <pcre2.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/str.h"
#include "base/time.h"
#include "validate/contract.h"

#define MAX_FAULTS 100
#define MAX_POINTER 512

/* Where in the value we are: a chain on the stack, rendered only when there is something to say. */
struct place {
	const struct place *up;
	const char *key;         /* NULL: an index, or the root's prefix */
	size_t index;
	const char *prefix;      /* root only */
};

struct walk {
	const struct cp_schemas *s;
	json_t *faults;
};

static void walk_value(struct walk *w, const json_t *schema, json_t *value, const struct place *at);

/* ---- faults ---- */

void cp_fault_add(json_t *faults, const char *path, const char *code, const char *fmt, ...)
{
	char text[512];
	va_list ap;
	if (json_array_size(faults) >= MAX_FAULTS)
		return;
	va_start(ap, fmt);
	vsnprintf(text, sizeof text, fmt, ap);
	va_end(ap);
	json_t *f = json_object();
	gw_json_set_str(f, "path", gw_str_c(path));
	gw_json_set_str(f, "code", gw_str_c(code));
	gw_json_set_str(f, "message", gw_str_c(text));
	json_array_append_new(faults, f);
}

static size_t render(const struct place *at, char *out, size_t size)
{
	if (at->up == NULL)
		return (size_t)snprintf(out, size, "%s", at->prefix);
	size_t n = render(at->up, out, size);
	if (n >= size - 4)
		return n;
	if (at->key == NULL)
		return n + (size_t)snprintf(out + n, size - n, "/%zu", at->index);
	out[n++] = '/';
	for (const char *p = at->key; *p && n < size - 3; p++) {
		if (*p == '~' || *p == '/') {
			out[n++] = '~';
			out[n++] = *p == '~' ? '0' : '1';
		} else {
			out[n++] = *p;
		}
	}
	out[n] = 0;
	return n;
}

/* The name a person knows it by: the last member on the way. */
static const char *called(const struct place *at)
{
	while (at->up != NULL && at->key == NULL)
		at = at->up;
	return at->key != NULL ? at->key : at->prefix[0] == '?' ? at->prefix + 1 : "the body";
}

static void fault(struct walk *w, const struct place *at, const char *code, const char *fmt, ...) GW_PRINTF(4, 5);
static void fault(struct walk *w, const struct place *at, const char *code, const char *fmt, ...)
{
	char path[MAX_POINTER], text[400];
	va_list ap;
	va_start(ap, fmt);
	vsnprintf(text, sizeof text, fmt, ap);
	va_end(ap);
	render(at, path, sizeof path);
	cp_fault_add(w->faults, path, code, "%s", text);
}

/* ---- scalars ---- */

static size_t characters(struct gw_str s)
{
	size_t n = 0;
	for (size_t i = 0; i < s.n; i++)
		n += ((unsigned char)s.p[i] & 0xc0) != 0x80;
	return n;
}

static bool int_of(const json_t *schema, const char *name, json_int_t *out)
{
	const json_t *v = json_object_get(schema, name);
	*out = json_integer_value(v);
	return json_is_integer(v);
}

static bool pattern_matches(const struct cp_schemas *s, struct gw_str pattern, struct gw_str text)
{
	const pcre2_code *code = gw_map_get(s->patterns, pattern);
	pcre2_match_data *data = pcre2_match_data_create(4, NULL);
	assert(code != NULL && data != NULL);
	int rc = pcre2_match(code, (PCRE2_SPTR)text.p, text.n, 0, 0, data, NULL);
	pcre2_match_data_free(data);
	return rc >= 0;
}

/* What a pattern of ours asks for, in words. */
static const char *pattern_words(struct gw_str pattern)
{
	static const struct { const char *start, *words; } known[] = {
		{ "^[a-z0-9]([a-z0-9.-]", "must be a name: lower-case letters, digits, inner . and -, at most 63 characters" },
		{ "^[0-9]{1,9}(ms|s|m|h)$", "must be a duration such as \"250ms\", \"30s\", \"5m\" or \"24h\": one number and ms, s, m or h" },
		{ "^[0-9]{1,9}(ms|s)$", "must be a duration such as \"250ms\" or \"2s\"" },
		{ "^https?://", "must be a URL that begins with http:// or https://" },
		{ "^/", "must begin with /" },
		{ "^[A-Za-z0-9][A-Za-z0-9._@-]", "must begin with a letter or digit and hold only letters, digits and . _ @ -" },
		{ "^[!-~]{1,8192}$", "must be one line of printable ASCII characters, without blanks" },
		{ "^[ -~]{1,8192}$", "must be one line of printable ASCII characters" },
		{ "^(connect_error", "must be connect_error, timeout, rate_limited, 4xx, 5xx or a status from 400 to 599" },
		{ "^[A-Z]{3}$", "must be three capital letters such as USD or CNY" },
		{ "^[0-2][0-9]:[0-5][0-9]$", "must be a time of day such as 08:30" },
		{ "^[+-][01][0-9]:[0-5][0-9]$", "must be an offset from UTC such as +08:00" },
		{ "^[^\\s<>@,;\"]+@", "must be a mail address such as ops@example.com" },
		{ "^([^\\s<>@,;\"]+@", "must be a mail address such as ops@example.com" },
		{ "^[A-Za-z0-9.:-]*$", "must be a host name or an address, without a port" },
		{ "^(consumer|group|key):.+$", "must be consumer:NAME, group:NAME or key:ID" },
		{ "^([0-9]+|latest)$", "must be a number or latest" },
		{ "^[a-z-]+\\.[a-z_-]+$", "must be a kind and an action such as route.update" },
		{ "^((consumer|group|key|model|provider|route|hour|day|week|month)",
		  "must be some of consumer, group, key, model, provider, route, hour, day, week and month, separated by commas" },
	};
	for (size_t i = 0; i < GW_COUNT(known); i++)
		if (gw_str_starts(pattern, gw_str_c(known[i].start)))
			return known[i].words;
	return "does not have the form that the API document asks for";
}

static void walk_text(struct walk *w, const json_t *schema, const json_t *value, const struct place *at)
{
	struct gw_str s = gw_json_str(value), pattern = gw_json_str(json_object_get(schema, "pattern"));
	json_int_t limit;
	int64_t when;
	if (int_of(schema, "minLength", &limit) && characters(s) < (size_t)limit)
		fault(w, at, limit == 1 ? "required" : "too_short", "%s must have at least %d character%s", called(at),
		      (int)limit, limit == 1 ? "" : "s");
	if (int_of(schema, "maxLength", &limit) && characters(s) > (size_t)limit)
		fault(w, at, "too_long", "%s must have at most %d characters", called(at), (int)limit);
	else if (pattern.p != NULL && !pattern_matches(w->s, pattern, s))
		fault(w, at, "bad_format", "%s %s", called(at), pattern_words(pattern));
	if (gw_str_is(gw_json_str(json_object_get(schema, "format")), "date-time") && !gw_time_parse(s, &when))
		fault(w, at, "bad_format", "%s must be a time such as 2026-03-01T08:00:00Z", called(at));
	for (size_t i = 0; i < s.n; i++) {
		unsigned char c = (unsigned char)s.p[i];
		if ((c < 0x20 && c != '\n' && c != '\r' && c != '\t') || c == 0x7f) {
			fault(w, at, "bad_format", "%s contains a control character", called(at));
			break;
		}
	}
}

static void walk_number(struct walk *w, const json_t *schema, const json_t *value, const struct place *at)
{
	json_int_t lo, hi;
	bool has_lo = int_of(schema, "minimum", &lo), has_hi = int_of(schema, "maximum", &hi);
	double v = json_number_value(value);
	if ((!has_lo || v >= (double)lo) && (!has_hi || v <= (double)hi))
		return;
	if (has_lo && has_hi)
		fault(w, at, "out_of_range", "%s must be from %lld to %lld", called(at), (long long)lo, (long long)hi);
	else
		fault(w, at, "out_of_range", "%s must be %s %lld", called(at), has_lo ? "at least" : "at most",
		      (long long)(has_lo ? lo : hi));
}

static void walk_enum(struct walk *w, const json_t *options, const json_t *value, const struct place *at)
{
	char list[300] = "";
	size_t i, n = 0;
	json_t *o;
	json_array_foreach((json_t *)options, i, o) {
		if (json_equal(o, (json_t *)value))
			return;
		if (n >= sizeof list - 40)
			continue;
		if (json_is_string(o))
			n += (size_t)snprintf(list + n, sizeof list - n, "%s%.32s", n ? ", " : "", json_string_value(o));
		else if (json_is_integer(o))
			n += (size_t)snprintf(list + n, sizeof list - n, "%s%lld", n ? ", " : "", (long long)json_integer_value(o));
	}
	fault(w, at, "bad_enum", "%s must be one of: %s", called(at), list);
}

/* ---- containers ---- */

static void walk_array(struct walk *w, const json_t *schema, json_t *value, const struct place *at)
{
	const json_t *items = json_object_get(schema, "items");
	size_t i, j, n = json_array_size(value);
	json_int_t limit;
	json_t *item;
	if (int_of(schema, "maxItems", &limit) && n > (size_t)limit) {
		fault(w, at, "too_many", "%s must have at most %d entries", called(at), (int)limit);
		return;
	}
	if (int_of(schema, "minItems", &limit) && n < (size_t)limit)
		fault(w, at, "required", "%s must have at least %d entr%s", called(at), (int)limit, limit == 1 ? "y" : "ies");
	if (json_is_true(json_object_get(schema, "uniqueItems")) && n <= 2000)
		for (i = 1; i < n; i++)
			for (j = 0; j < i; j++)
				if (json_equal(json_array_get(value, i), json_array_get(value, j))) {
					struct place here = { at, NULL, i, NULL };
					fault(w, &here, "duplicate", "%s has this entry twice", called(at));
					j = i;
				}
	json_array_foreach(value, i, item) {
		struct place here = { at, NULL, i, NULL };
		walk_value(w, items, item, &here);
	}
}

/* An object none of whose members must be given: made when it is absent, so that its defaults show. */
static bool can_be_made(const json_t *schema)
{
	return gw_str_is(gw_json_str(json_object_get(schema, "type")), "object") &&
	       json_object_get(schema, "required") == NULL && json_object_get(schema, "properties") != NULL;
}

static void complete(struct walk *w, const json_t *properties, json_t *value)
{
	const char *key;
	json_t *property;
	json_object_foreach((json_t *)properties, key, property) {
		const json_t *schema = cp_schema_resolve(w->s, property);
		if (json_object_get(value, key) != NULL || json_is_true(json_object_get(property, "readOnly")))
			continue;
		const json_t *def = json_object_get(schema, "default");
		if (def != NULL)
			json_object_set_new(value, key, json_deep_copy(def));
		else if (can_be_made(schema))
			json_object_set_new(value, key, json_object());
	}
}

static void unknown(struct walk *w, const json_t *properties, const struct place *at)
{
	char list[300] = "";
	size_t n = 0;
	const char *key;
	json_t *p;
	json_object_foreach((json_t *)properties, key, p)
		if (!json_is_true(json_object_get(p, "readOnly")) && n < sizeof list - 40)
			n += (size_t)snprintf(list + n, sizeof list - n, "%s%.32s", n ? ", " : "", key);
	fault(w, at, "unknown_member", "there is no member \"%.64s\" here%s%s", at->key, n ? "; known are " : "", list);
}

static void walk_object(struct walk *w, const json_t *schema, json_t *value, const struct place *at)
{
	const json_t *properties = json_object_get(schema, "properties"), *extra = json_object_get(schema, "additionalProperties");
	json_int_t limit;
	const char *key;
	void *next;
	size_t i;
	json_t *member, *name;
	json_object_foreach_safe(value, next, key, member) {
		struct place here = { at, key, 0, NULL };
		const json_t *p = json_object_get(properties, key);
		if (json_is_true(json_object_get(p, "readOnly")))
			json_object_del(value, key);
		else if (p == NULL && json_is_false(extra))
			unknown(w, properties, &here);
	}
	json_array_foreach(json_object_get(schema, "required"), i, name) {
		struct place here = { at, json_string_value(name), 0, NULL };
		if (json_object_get(value, json_string_value(name)) == NULL)
			fault(w, &here, "required", "%s must be given", json_string_value(name));
	}
	complete(w, properties, value);
	json_object_foreach(value, key, member) {
		struct place here = { at, key, 0, NULL };
		const json_t *p = json_object_get(properties, key);
		if (p != NULL)
			walk_value(w, p, member, &here);
		else if (json_is_object(extra))
			walk_value(w, extra, member, &here);
	}
	if (int_of(schema, "maxProperties", &limit) && json_object_size(value) > (size_t)limit)
		fault(w, at, "too_many", "%s must have at most %d members", called(at), (int)limit);
}

/* ---- the walk ---- */

static bool is_of_type(const json_t *v, struct gw_str type)
{
	return (gw_str_is(type, "string") && json_is_string(v)) || (gw_str_is(type, "integer") && json_is_integer(v)) ||
	       (gw_str_is(type, "number") && json_is_number(v)) || (gw_str_is(type, "boolean") && json_is_boolean(v)) ||
	       (gw_str_is(type, "object") && json_is_object(v)) || (gw_str_is(type, "array") && json_is_array(v)) ||
	       (gw_str_is(type, "null") && json_is_null(v));
}

static bool type_fits(const json_t *schema, const json_t *v, char words[96])
{
	const json_t *type = json_object_get(schema, "type");
	size_t i, n = 0;
	json_t *t;
	words[0] = 0;
	if (type == NULL)
		return true;
	if (json_is_string(type)) {
		const char *name = json_string_value(type);
		snprintf(words, 96, "%s %s", strchr("aeiou", name[0]) ? "an" : "a", name);
		return is_of_type(v, gw_json_str(type));
	}
	json_array_foreach((json_t *)type, i, t) {
		if (is_of_type(v, gw_json_str(t)))
			return true;
		n += (size_t)snprintf(words + n, 96 - n, "%s%.16s", i ? " or " : "", json_string_value(t));
	}
	return false;
}

/* {"last4","fingerprint",…}: what a read shows of a secret, sent back where the secret itself belongs. */
static bool looks_masked(const json_t *v)
{
	return json_is_object(v) && json_object_get(v, "fingerprint") != NULL && json_object_get(v, "last4") != NULL;
}

static void walk_value(struct walk *w, const json_t *schema, json_t *value, const struct place *at)
{
	char words[96];
	schema = cp_schema_resolve(w->s, schema);
	if (!type_fits(schema, value, words)) {
		if (json_is_true(json_object_get(schema, "writeOnly")) && looks_masked(value))
			fault(w, at, "masked_secret", "%s is the masked form of a secret: send the secret itself, or leave "
			      "the member out to keep the stored one", called(at));
		else
			fault(w, at, "wrong_type", "%s must be %s", called(at), words);
		return;
	}
	const json_t *options = json_object_get(schema, "enum"), *constant = json_object_get(schema, "const");
	if (options != NULL)
		walk_enum(w, options, value, at);
	if (constant != NULL && !json_equal((json_t *)constant, value))
		fault(w, at, "bad_enum", "%s has a value that this release does not know", called(at));
	if (json_is_string(value))
		walk_text(w, schema, value, at);
	else if (json_is_number(value))
		walk_number(w, schema, value, at);
	else if (json_is_array(value))
		walk_array(w, schema, value, at);
	else if (json_is_object(value))
		walk_object(w, schema, value, at);
}

void cp_schema_check(const struct cp_schemas *s, const json_t *schema, json_t *value, const char *path, json_t *faults)
{
	struct walk w = { s, faults };
	struct place root = { .prefix = path };
	walk_value(&w, schema, value, &root);
}

/* ---- preparing ---- */

const json_t *cp_schema_resolve(const struct cp_schemas *s, const json_t *schema)
{
	for (int hops = 0; hops < 8; hops++) {
		struct gw_str ref = gw_json_str(json_object_get(schema, "$ref"));
		if (ref.p == NULL)
			return schema;
		const json_t *v = s->document;
		if (!gw_str_starts(ref, GW_STR("#/")))
			return NULL;
		ref = gw_str_from(ref, 2);
		while (ref.p != NULL && v != NULL) {
			struct gw_str piece = gw_str_cut(&ref, '/');
			v = json_object_getn(v, piece.p, piece.n);
		}
		if (v == NULL)
			return NULL;
		schema = v;
	}
	return NULL;
}

static enum gw_rc prepare(struct cp_schemas *s, const json_t *v, struct gw_error *err)
{
	const char *key;
	json_t *member;
	size_t i;
	enum gw_rc rc = GW_OK;
	if (json_is_array(v)) {
		json_array_foreach((json_t *)v, i, member)
			if ((rc = prepare(s, member, err)) != GW_OK)
				return rc;
		return GW_OK;
	}
	if (!json_is_object(v))
		return GW_OK;
	struct gw_str pattern = gw_json_str(json_object_get(v, "pattern"));
	if (json_is_string(json_object_get(v, "$ref")) && cp_schema_resolve(s, v) == NULL)
		return gw_fail(err, GW_INVALID, NULL, "the API document refers to %s, which it does not hold",
			       json_string_value(json_object_get(v, "$ref")));
	if (pattern.p != NULL && gw_map_get(s->patterns, pattern) == NULL) {
		int code;
		PCRE2_SIZE at;
		pcre2_code *compiled = pcre2_compile((PCRE2_SPTR)pattern.p, pattern.n, PCRE2_UTF | PCRE2_DOLLAR_ENDONLY,
						     &code, &at, NULL);
		if (compiled == NULL)
			return gw_fail(err, GW_INVALID, NULL, "the API document has a broken pattern: %.*s", GW_FMT(pattern));
		gw_map_put(s->patterns, pattern, compiled);
	}
	json_object_foreach((json_t *)v, key, member)
		if ((rc = prepare(s, member, err)) != GW_OK)
			return rc;
	return GW_OK;
}

enum gw_rc cp_schemas_prepare(struct cp_schemas *s, struct gw_error *err)
{
	s->patterns = gw_map_open(32);
	return prepare(s, s->document, err);
}

void cp_schemas_fini(struct cp_schemas *s)
{
	struct gw_str key;
	void *value;
	for (size_t at = 0; s->patterns != NULL && gw_map_next(s->patterns, &at, &key, &value);)
		pcre2_code_free(value);
	gw_map_close(&s->patterns);
	json_decref(s->document);
	s->document = NULL;
}
