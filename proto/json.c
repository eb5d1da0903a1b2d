/*
 * json.c - jansson, bounded before it starts.
 */
#include "json.h"
#include "base/bytes.h"
#include "base/str.h"
#include "base/time.h"

#include <stdio.h>
#include <stdlib.h>

/* A node costs jansson about a hundred bytes of heap; two million of them are a configuration of 30,000 routes. */
#define NODES_MAX      2000000
#define NODES_MIN      1024
#define BYTES_PER_NODE 16

void gw_json_setup(void)
{
	unsigned seed = 0;
	while (seed == 0)
		gw_random(&seed, sizeof seed);
	json_object_seed(seed);
}

static void place(struct gw_str text, size_t at, unsigned long *line, unsigned long *column)
{
	*line = *column = 1;
	for (size_t i = 0; i < at && i < text.n; i++) {
		++*column;
		if (text.p[i] == '\n') {
			++*line;
			*column = 1;
		}
	}
}

static enum gw_rc not_nul(struct gw_str text, size_t at, struct gw_error *err)
{
	unsigned long line, column;
	place(text, at, &line, &column);
	return gw_fail(err, GW_INVALID, NULL, "this is not JSON: a NUL byte stands outside of strings at line %lu, column %lu", line, column);
}

/*
 * Count nodes and depth without building anything.  Says nothing about validity: jansson does, but for one thing. It
 * loses a NUL byte that follows a number or a word.
 */
static enum gw_rc survey(struct gw_str text, size_t max_nodes, struct gw_error *err)
{
	size_t nodes = 1, depth = 0;
	bool quoted = false;
	for (size_t i = 0; i < text.n; i++) {
		char c = text.p[i];
		if (quoted) {
			if (c == '\\')
				i++;
			else if (c == '"')
				quoted = false;
			continue;
		}
		if (c == '"') {
			quoted = true;
		} else if (c == '[' || c == '{') {
			nodes++;
			if (++depth > GW_JSON_MAX_DEPTH) {
				unsigned long line, column;
				place(text, i, &line, &column);
				return gw_fail(err, GW_INVALID, NULL,
				    "the JSON is nested more than %d levels deep at line %lu, column %lu",
				    GW_JSON_MAX_DEPTH, line, column);
			}
		} else if (c == ']' || c == '}') {
			depth -= depth > 0;
		} else if (c == ',') {
			nodes++;
		} else if (c == '\0') {
			return not_nul(text, i, err);
		}
	}
	if (nodes > max_nodes)
		return gw_fail(err, GW_TOOBIG, NULL, "the JSON has more than %zu values", max_nodes);
	return GW_OK;
}

/* jansson's own words, without its "near '…'", which may quote a secret. */
static enum gw_rc not_json(const json_error_t *e, struct gw_str text, struct gw_error *err)
{
	unsigned long line, column;
	/* jansson has read one byte beyond what it complains about. */
	place(text, e->position > 0 ? (size_t)e->position - 1 : 0, &line, &column);
	const char *why;
	switch (json_error_code(e)) {
	case json_error_premature_end_of_input: why = "it ends too early"; break;
	case json_error_end_of_input_expected:  why = "something follows the end of the document"; break;
	case json_error_invalid_utf8:           why = "it is not valid UTF-8"; break;
	case json_error_duplicate_key:          why = "a member stands there twice"; break;
	case json_error_null_character:
	case json_error_null_byte_in_key:       why = "a string contains a NUL character"; break;
	case json_error_numeric_overflow:       why = "a number is out of range"; break;
	default:                                why = "the syntax is wrong"; break;
	}
	return gw_fail(err, GW_INVALID, NULL, "this is not JSON: %s at line %lu, column %lu", why, line,
	    column);
}

enum gw_rc gw_json_parse(json_t **out, struct gw_str text, size_t max_bytes, struct gw_error *err)
{
	*out = NULL;
	if (text.n > max_bytes)
		return gw_fail(err, GW_TOOBIG, NULL, "the document has %zu bytes, more than the %zu allowed",
		    text.n, max_bytes);
	size_t nodes = max_bytes / BYTES_PER_NODE;
	nodes = nodes < NODES_MIN ? NODES_MIN : nodes > NODES_MAX ? NODES_MAX : nodes;
	enum gw_rc rc = survey(text, nodes, err);
	if (rc != GW_OK)
		return rc;
	json_error_t e;
	json_t *v = json_loadb(text.n ? text.p : "", text.n, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, &e);
	if (!v)
		return not_json(&e, text, err);
	*out = v;
	return GW_OK;
}

/* ---- writing ---- */

struct entry {
	struct gw_str name;
	const json_t *value;
};

static int by_name(const void *a, const void *b)
{
	return gw_str_cmp(((const struct entry *)a)->name, ((const struct entry *)b)->name);
}

static bool write_canonical(struct gw_buf *out, const json_t *v);

static bool write_object(struct gw_buf *out, const json_t *v)
{
	struct entry few[32], *all = few;
	size_t n = json_object_size(v), i = 0;
	const char *name;
	json_t *item;
	if (n > GW_COUNT(few))
		all = gw_alloc(n * sizeof *all);
	json_object_foreach((json_t *)v, name, item)
		all[i++] = (struct entry){ gw_str_c(name), item };
	if (n > 1)
		qsort(all, n, sizeof *all, by_name);
	bool ok = gw_buf_add_byte(out, '{');
	for (i = 0; i < n && ok; i++) {
		if (i)
			gw_buf_add_byte(out, ',');
		gw_buf_add_json(out, all[i].name);
		gw_buf_add_byte(out, ':');
		ok = write_canonical(out, all[i].value);
	}
	if (all != few)
		free(all);
	return gw_buf_add_byte(out, '}') && ok;
}

/*
 * false: full, or a real number, which has no canonical text.  By hand, because jansson's writer looks for loops at
 * every step, which takes most of the time that publishing a large configuration takes.
 */
static bool write_canonical(struct gw_buf *out, const json_t *v)
{
	switch (json_typeof(v)) {
	case JSON_OBJECT:
		return write_object(out, v);
	case JSON_ARRAY:
		gw_buf_add_byte(out, '[');
		for (size_t i = 0; i < json_array_size(v); i++) {
			if (i)
				gw_buf_add_byte(out, ',');
			if (!write_canonical(out, json_array_get(v, i)))
				return false;
		}
		return gw_buf_add_byte(out, ']');
	case JSON_STRING:
		return gw_buf_add_json(out, gw_json_str(v));
	case JSON_INTEGER:
		return gw_buf_printf(out, "%lld", (long long)json_integer_value(v));
	case JSON_TRUE:
		return gw_buf_add_c(out, "true");
	case JSON_FALSE:
		return gw_buf_add_c(out, "false");
	case JSON_NULL:
		return gw_buf_add_c(out, "null");
	case JSON_REAL:
		break;
	}
	return false;
}

static int append(const char *p, size_t n, void *out)
{
	return gw_buf_add(out, (struct gw_str){ p, n }) ? 0 : -1;
}

enum gw_rc gw_json_write(struct gw_buf *out, const json_t *v, bool sorted)
{
	size_t before = out->n;
	if (sorted ? write_canonical(out, v) :
	    json_dump_callback(v, append, out, JSON_COMPACT | JSON_ENCODE_ANY) == 0)
		return GW_OK;
	bool full = out->full;
	out->n = before;
	if (out->p)
		out->p[before] = 0;
	return full ? GW_TOOBIG : GW_INVALID;
}

/* ---- members ---- */

static enum gw_rc wrong(struct gw_error *err, const char *name, const char *what)
{
	char path[128];
	snprintf(path, sizeof path, "/%s", name);
	return gw_fail(err, GW_INVALID, path, "`%s` must be %s", name, what);
}

static json_t *member(const json_t *o, const char *name)
{
	json_t *v = json_object_get(o, name);
	return json_is_null(v) ? NULL : v;
}

enum gw_rc gw_json_text(const json_t *o, const char *name, struct gw_str *out, struct gw_error *err)
{
	json_t *v = member(o, name);
	if (!v)
		return GW_OK;
	if (!json_is_string(v))
		return wrong(err, name, "a string");
	*out = gw_json_str(v);
	return GW_OK;
}

enum gw_rc gw_json_int(const json_t *o, const char *name, int64_t min, int64_t max, int64_t *out,
    struct gw_error *err)
{
	json_t *v = member(o, name);
	if (!v)
		return GW_OK;
	int64_t n = json_integer_value(v);
	if (!json_is_integer(v) || n < min || n > max) {
		char what[96];
		snprintf(what, sizeof what, "a number from %lld to %lld", (long long)min,
		    (long long)max);
		return wrong(err, name, what);
	}
	*out = n;
	return GW_OK;
}

enum gw_rc gw_json_bool(const json_t *o, const char *name, bool *out, struct gw_error *err)
{
	json_t *v = member(o, name);
	if (!v)
		return GW_OK;
	if (!json_is_boolean(v))
		return wrong(err, name, "true or false");
	*out = json_is_true(v);
	return GW_OK;
}

struct gw_str gw_json_str(const json_t *v)
{
	if (!json_is_string(v))
		return GW_STR_NONE;
	return (struct gw_str){ json_string_value(v), json_string_length(v) };
}

void gw_json_set_str(json_t *o, const char *name, struct gw_str s)
{
	if (!s.p) {
		json_object_set_new(o, name, json_null());
		return;
	}
	json_t *v = json_stringn(s.p, s.n);
	if (!v) {
		/* Not UTF-8: every bad byte becomes U+FFFD. */
		struct gw_buf b;
		gw_buf_init(&b, s.n * 3);
		while (s.n) {
			size_t n = gw_utf8_len(s);
			gw_buf_add(&b, n ? (struct gw_str){ s.p, n } : GW_STR("\xef\xbf\xbd"));
			s = gw_str_from(s, n ? n : 1);
		}
		v = json_stringn(b.p ? b.p : "", b.n);
		gw_buf_fini(&b);
	}
	json_object_set_new(o, name, v);
}

void gw_json_set_time(json_t *o, const char *name, int64_t unix_ms)
{
	char text[GW_TIME_LEN];
	if (unix_ms == 0) {
		json_object_set_new(o, name, json_null());
		return;
	}
	gw_time_format(text, unix_ms);
	json_object_set_new(o, name, json_string(text));
}

json_t *gw_json_merge(const json_t *target, const json_t *patch)
{
	if (!json_is_object(patch))
		return json_deep_copy(patch);
	json_t *out = json_is_object(target) ? json_deep_copy(target) : json_object();
	const char *key;
	json_t *v;
	json_object_foreach((json_t *)patch, key, v) {
		if (json_is_null(v))
			json_object_del(out, key);
		else
			json_object_set_new(out, key, gw_json_merge(json_object_get(out, key), v));
	}
	return out;
}

void gw_json_pointer(char out[GW_POINTER_LEN], struct gw_str name)
{
	size_t n = 0;
	while (name.n) {
		size_t len = gw_utf8_len(name);
		bool special = name.p[0] == '~' || name.p[0] == '/';
		if (len == 0)
			len = 1;
		if (n + (special ? 2 : len) >= GW_POINTER_LEN)
			break;
		if (special) {
			out[n++] = '~';
			out[n++] = name.p[0] == '~' ? '0' : '1';
		} else {
			memcpy(out + n, name.p, len);
			n += len;
		}
		name = gw_str_from(name, len);
	}
	out[n] = 0;
}

#if JANSSON_VERSION_HEX < 0x020e00
json_t *gw_json_object_getn(const json_t *o, const char *key, size_t n)
{
	char *name = gw_strdup_n(key, n);
	json_t *v = json_object_get(o, name);
	free(name);
	return v;
}

int gw_json_object_setn_new(json_t *o, const char *key, size_t n, json_t *value)
{
	char *name = gw_strdup_n(key, n);
	int rc = json_object_set_new(o, name, value);
	free(name);
	return rc;
}

int gw_json_object_deln(json_t *o, const char *key, size_t n)
{
	char *name = gw_strdup_n(key, n);
	int rc = json_object_del(o, name);
	free(name);
	return rc;
}
#endif
