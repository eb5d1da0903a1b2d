/*
 * spec.c - pieces that the parsers of all kinds share: members, lists, words, addresses, plugins.
 */
#include "spec.h"
#include "seal.h"
#include "base/map.h"
#include "base/str.h"
#include "base/time.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>

static enum gw_rc wrong(struct gw_error *err, const char *name, const char *fmt, ...) GW_PRINTF(3, 4);
static enum gw_rc wrong(struct gw_error *err, const char *name, const char *fmt, ...)
{
	char path[GW_POINTER_LEN + 1] = "/", what[256];
	va_list ap;
	va_start(ap, fmt);
	vsnprintf(what, sizeof what, fmt, ap);
	va_end(ap);
	gw_json_pointer(path + 1, gw_str_c(name));
	return gw_fail(err, GW_INVALID, path, "`%s` %s", name, what);
}

static json_t *member(const json_t *o, const char *name)
{
	json_t *v = json_object_get(o, name);
	return json_is_null(v) ? NULL : v;
}

enum gw_rc gw_spec_members(struct gw_spec *s, const json_t *o, const char *const *names,
    struct gw_error *err)
{
	const char *name;
	json_t *v;
	json_object_foreach((json_t *)o, name, v) {
		size_t i = 0;
		while (names[i] && strcmp(names[i], name) != 0)
			i++;
		if (names[i])
			continue;
		if (s->strict) {
			char path[GW_POINTER_LEN + 1] = "/";
			gw_json_pointer(path + 1, gw_str_c(name));
			return gw_fail(err, GW_INVALID, path, "there is no member `%.60s` here", name);
		}
		s->unknown++;
	}
	return GW_OK;
}

enum gw_rc gw_spec_object(const json_t *o, const char *name, json_t **out, struct gw_error *err)
{
	*out = member(o, name);
	if (*out && !json_is_object(*out))
		return wrong(err, name, "must be an object");
	return GW_OK;
}

enum gw_rc gw_spec_array(const json_t *o, const char *name, size_t max, json_t **out,
    struct gw_error *err)
{
	*out = member(o, name);
	if (*out && !json_is_array(*out))
		return wrong(err, name, "must be a list");
	if (json_array_size(*out) > max)
		return wrong(err, name, "must have at most %zu entries", max);
	return GW_OK;
}

enum gw_rc gw_spec_text(const json_t *o, const char *name, size_t min, size_t max, struct gw_str *out,
    struct gw_error *err)
{
	json_t *v = member(o, name);
	if (!v)
		return GW_OK;
	struct gw_str s = gw_json_str(v);
	if (!s.p)
		return wrong(err, name, "must be a text");
	if (s.n < min)
		return wrong(err, name, "must not be empty");
	if (s.n > max)
		return wrong(err, name, "must have at most %zu bytes", max);
	*out = s;
	return GW_OK;
}

enum gw_rc gw_spec_duration(const json_t *o, const char *name, int64_t min_ms, int64_t max_ms,
    int64_t *out, struct gw_error *err)
{
	json_t *v = member(o, name);
	int64_t ms;
	if (!v)
		return GW_OK;
	if (!gw_duration_parse(gw_json_str(v), &ms) || ms < min_ms || ms > max_ms) {
		char low[GW_DURATION_LEN], high[GW_DURATION_LEN];
		gw_duration_format(low, min_ms);
		gw_duration_format(high, max_ms);
		return wrong(err, name, "must be a duration such as \"30s\", from %s to %s", low, high);
	}
	*out = ms;
	return GW_OK;
}

enum gw_rc gw_spec_word(const json_t *o, const char *name, const char *const *words, int *out,
    struct gw_error *err)
{
	json_t *v = member(o, name);
	char all[160] = "";
	size_t n = 0;
	if (!v)
		return GW_OK;
	for (int i = 0; words[i]; i++) {
		if (gw_str_is(gw_json_str(v), words[i])) {
			*out = i;
			return GW_OK;
		}
		n += (size_t)snprintf(all + n, sizeof all - n, "%s%s", i ? ", " : "", words[i]);
		if (n >= sizeof all)
			n = sizeof all - 1;
	}
	return wrong(err, name, "must be one of: %s", all);
}

enum gw_rc gw_spec_secret(struct gw_spec *s, const json_t *o, const char *name, struct gw_str *out, struct gw_error *err)
{
	json_t *v = member(o, name);
	if (!v)
		return GW_OK;
	struct gw_str plain = gw_json_str(v);
	if (gw_is_sealed(v) && s->unseal) {
		enum gw_rc rc = gw_unseal_value(s->unseal->key, v, s->arena, out, err);
		if (rc != GW_OK)
			gw_error_prefix(err, "/%s", name);
		return rc;
	}
	if (gw_is_sealed(v))
		plain = gw_json_str(json_object_get(v, "sealed"));
	if (!plain.n)
		return wrong(err, name, "must be a text that is not empty");
	*out = gw_secret_copy(s->arena, plain);
	return GW_OK;
}

static enum gw_rc read_labels(const json_t *o, struct gw_error *err)
{
	json_t *labels, *v;
	const char *name;
	enum gw_rc rc = gw_spec_object(o, "labels", &labels, err);
	if (rc != GW_OK || !labels)
		return rc;
	if (json_object_size(labels) > 32)
		return wrong(err, "labels", "must have at most 32 members");
	json_object_foreach(labels, name, v) {
		if (json_is_string(v) && json_string_length(v) <= 256 && strlen(name) >= 1 &&
		    strlen(name) <= 63)
			continue;
		char token[GW_POINTER_LEN], path[GW_POINTER_LEN + 8];
		gw_json_pointer(token, gw_str_c(name));
		snprintf(path, sizeof path, "/labels/%s", token);
		return gw_fail(err, GW_INVALID, path,
		    "a label has a name of 1 to 63 bytes and a text of at most 256");
	}
	return GW_OK;
}

enum gw_rc gw_spec_common(struct gw_spec *s, const json_t *o, bool *enabled, struct gw_error *err)
{
	(void)s;
	struct gw_str description;
	*enabled = true;
	enum gw_rc rc = gw_spec_text(o, "description", 0, 1024, &description, err);
	if (rc == GW_OK)
		rc = read_labels(o, err);
	if (rc == GW_OK)
		rc = gw_json_bool(o, "enabled", enabled, err);
	return rc;
}

enum gw_rc gw_spec_texts(struct gw_spec *s, const json_t *o, const struct gw_spec_list *l,
    struct gw_strv *out, struct gw_error *err)
{
	json_t *list, *item;
	size_t i;
	enum gw_rc rc = gw_spec_array(o, l->name, l->max_entries, &list, err);
	if (rc != GW_OK || !list)
		return rc;
	size_t n = json_array_size(list);
	struct gw_str *v = gw_arena_array(s->arena, n, sizeof *v);
	struct gw_map *seen = gw_map_open(n);
	const char *fault = NULL;
	json_array_foreach(list, i, item) {
		struct gw_str text = gw_json_str(item);
		if (!text.p || text.n == 0 || text.n > l->max_bytes || (l->valid && !l->valid(text)))
			fault = l->what ? l->what : "must be a text, not empty and not too long";
		else if (gw_map_put(seen, text, item))
			fault = "stands there twice";
		if (fault)
			break;
		v[i] = gw_arena_copy(s->arena, text);
	}
	gw_map_close(&seen);
	if (fault) {
		char path[GW_POINTER_LEN + 32];
		snprintf(path, sizeof path, "/%s/%zu", l->name, i);
		return gw_fail(err, GW_INVALID, path, "entry %zu of `%s` %s", i + 1, l->name, fault);
	}
	*out = (struct gw_strv){ v, n };
	return GW_OK;
}

/* ---- addresses ---- */

bool gw_spec_is_token(struct gw_str s)
{
	for (size_t i = 0; i < s.n; i++) {
		unsigned char c = (unsigned char)s.p[i];
		bool alnum = (c >= '0' && c <= '9') || ((c | 0x20) >= 'a' && (c | 0x20) <= 'z');
		if (!alnum && (c == 0 || !strchr("!#$%&'*+-.^_`|~", c)))
			return false;
	}
	return s.n > 0;
}

bool gw_spec_is_host(struct gw_str s)
{
	if (s.n == 0 || s.n > 253)
		return false;
	if (s.p[0] == '[') {
		char text[64];
		struct in6_addr addr;
		if (s.n < 4 || s.n >= sizeof text || s.p[s.n - 1] != ']')
			return false;
		memcpy(text, s.p + 1, s.n - 2);
		text[s.n - 2] = 0;
		return inet_pton(AF_INET6, text, &addr) == 1;
	}
	/* Labels of letters, digits, '-' and '_' (used inside clusters), none empty, none above 63 bytes. */
	size_t label = 0;
	for (size_t i = 0; i <= s.n; i++) {
		char c = i < s.n ? s.p[i] : '.';
		if (c == '.') {
			bool root = i + 1 == s.n && i > 0; /* "example.com." */
			if ((label == 0 && i < s.n) || label > 63 || root)
				return false;
			label = 0;
			continue;
		}
		bool alnum = (c >= '0' && c <= '9') || ((c | 0x20) >= 'a' && (c | 0x20) <= 'z');
		if (!alnum && c != '-' && c != '_')
			return false;
		if ((c == '-') && (label == 0 || i + 1 == s.n || s.p[i + 1] == '.'))
			return false;
		label++;
	}
	return true;
}

static bool path_is_fine(struct gw_str path)
{
	for (size_t i = 0; i < path.n; i++) {
		unsigned char c = (unsigned char)path.p[i];
		if (c <= 0x20 || c >= 0x7f || strchr("\"<>\\^`{|}", c))
			return false;
		if (c == '%') {
			static const char digits[] = "0123456789abcdefABCDEF";
			if (i + 2 >= path.n || !strchr(digits, path.p[i + 1]) ||
			    !strchr(digits, path.p[i + 2]))
				return false;
		}
	}
	return true;
}

const char *gw_spec_url_fault(struct gw_str url)
{
	size_t at;
	int64_t port;
	if (url.n > 2048)
		return "must have at most 2048 bytes";
	if (gw_str_starts(url, GW_STR("http://")))
		url = gw_str_from(url, 7);
	else if (gw_str_starts(url, GW_STR("https://")))
		url = gw_str_from(url, 8);
	else
		return "must be an address that begins with http:// or https://";
	for (size_t i = 0; i < url.n; i++)
		if ((unsigned char)url.p[i] <= 0x20 || url.p[i] == 0x7f)
			return "must not contain blanks or control characters";
	if (gw_str_find(url, GW_STR("?"), &at))
		return "must not contain a query";
	if (gw_str_find(url, GW_STR("#"), &at))
		return "must not contain a fragment";
	struct gw_str authority = url, path = GW_STR("");
	if (gw_str_find(url, GW_STR("/"), &at)) {
		authority.n = at;
		path = gw_str_from(url, at);
	}
	if (gw_str_find(authority, GW_STR("@"), &at))
		return "must not contain a user name or password";
	struct gw_str host = authority, rest = GW_STR("");
	if (authority.n && authority.p[0] == '[' && gw_str_find(authority, GW_STR("]"), &at)) {
		host.n = at + 1;
		rest = gw_str_from(authority, at + 1);
	} else if (gw_str_find(authority, GW_STR(":"), &at)) {
		host.n = at;
		rest = gw_str_from(authority, at);
	}
	if (!gw_spec_is_host(host))
		return "must name a host in plain ASCII";
	if (rest.n && (rest.p[0] != ':' || !gw_str_int(gw_str_from(rest, 1), 1, 65535, &port)))
		return "must have a port from 1 to 65535, or none";
	if (!path_is_fine(path))
		return "must have a path of plain characters; others are written as %XX";
	return NULL;
}

/* ---- plugins ---- */

/* Stages in the order in which requests meet them; dataplane/plugin.h has the same list. */
static const char *const ranks[] = { "AUTHN", "AUTHZ", "LIMIT", "QUOTA", "MASK", "GUARD", "PROMPT",
	"AUGMENT", "CACHE", "ROUTE" };

static int rank_of(const struct gw_module *m)
{
	struct gw_str word = gw_json_str(json_object_get(m->about, "rank"));
	for (size_t i = 0; i < GW_COUNT(ranks); i++)
		if (gw_str_is(word, ranks[i]))
			return (int)i;
	return (int)GW_COUNT(ranks);
}

int gw_binding_cmp(const void *a, const void *b)
{
	const struct gw_binding *x = a, *y = b;
	if (x->rank != y->rank)
		return x->rank < y->rank ? -1 : 1;
	return gw_str_cmp(x->plugin, y->plugin);
}

enum gw_rc gw_spec_binding(struct gw_spec *s, struct gw_str plugin, const json_t *o,
    struct gw_binding *out, struct gw_error *err)
{
	bool enabled = true, fail_open = false;
	*out = (struct gw_binding){ 0 };
	if (!json_is_object(o))
		return gw_fail(err, GW_INVALID, NULL, "the settings of a plugin must be an object");
	const struct gw_module *m = gw_catalog_find(s->catalog, GW_CAT_PLUGINS, plugin);
	if (!m && s->strict)
		return gw_fail(err, GW_INVALID, NULL, "there is no plugin `%.*s`",
		    plugin.n > 63 ? 63 : (int)plugin.n, plugin.p);
	if (!m) {
		s->unknown++;
		return GW_OK;
	}
	enum gw_rc rc = gw_json_bool(o, "enabled", &enabled, err);
	if (rc == GW_OK)
		rc = gw_json_bool(o, "fail_open", &fail_open, err);
	if (rc != GW_OK)
		return rc;
	json_t *fields = json_copy((json_t *)o);
	json_object_del(fields, "enabled");
	json_object_del(fields, "fail_open");
	void *conf = gw_arena_alloc(s->arena, m->conf_size);
	rc = gw_fields_read(m->fields, fields, s->strict, s->unseal, s->arena, conf, &s->unknown, err);
	json_decref(fields);
	if (rc == GW_OK && m->check)
		rc = m->check(conf, err);
	if (rc == GW_OK)
		*out = (struct gw_binding){ gw_arena_copy(s->arena, plugin), m, conf, fail_open, enabled,
			rank_of(m), GW_SCOPE_GLOBAL, GW_STR_NONE, json_is_true(json_object_get(m->about, "adds_up")) };
	return rc;
}

enum gw_rc gw_spec_plugins(struct gw_spec *s, const json_t *o, struct gw_spec_owner owner,
    struct gw_bindings *out, struct gw_error *err)
{
	json_t *plugins, *v;
	const char *name;
	enum gw_rc rc = gw_spec_object(o, "plugins", &plugins, err);
	if (rc != GW_OK || !plugins)
		return rc;
	size_t n = 0;
	if (json_object_size(plugins) > 64)
		return wrong(err, "plugins", "must have at most 64 members");
	struct gw_binding *list = gw_arena_array(s->arena, json_object_size(plugins), sizeof *list);
	json_object_foreach(plugins, name, v) {
		rc = gw_spec_binding(s, gw_str_c(name), v, &list[n], err);
		if (rc != GW_OK) {
			char token[GW_POINTER_LEN];
			gw_json_pointer(token, gw_str_c(name));
			gw_error_prefix(err, "/plugins/%s", token);
			return rc;
		}
		list[n].scope = owner.scope;
		list[n].owner = owner.name;
		n += list[n].module != NULL;
	}
	qsort(list, n, sizeof *list, gw_binding_cmp);
	*out = (struct gw_bindings){ list, n };
	return GW_OK;
}
