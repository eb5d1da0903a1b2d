/*
 * spec_route.c - one route: predicates, targets, fallback, retry, who may call.
 */
#include "base/str.h"
#include "spec.h"

#include <stdio.h>
#include <stdlib.h>

#define TARGETS_MAX   64
#define FALLBACK_MAX  16
#define WEIGHT_MAX    10000
#define MODEL_MAP_MAX 256
#define ON_MAX        32
#define HOUR_MS       3600000LL

static const char *const on_words[] = {
#define X(name, text) text,
	GW_ON_TABLE(X)
#undef X
};

bool gw_on_status(const struct gw_on *on, unsigned status)
{
	for (size_t i = 0; i < on->n_codes; i++)
		if (on->codes[i] == status)
			return true;
	if (status == 429 && gw_on_has(on, GW_ON_BIT_RATE_LIMITED))
		return true;
	if (status >= 500 && status <= 599)
		return gw_on_has(on, GW_ON_BIT_5XX);
	return status >= 400 && status <= 499 && gw_on_has(on, GW_ON_BIT_4XX);
}

/* ---- hosts and path ---- */

static bool host_is_fine(struct gw_str s)
{
	if (gw_str_starts(s, GW_STR("*.")))
		return s.n <= 253 && s.p[2] != '[' && gw_spec_is_host(gw_str_from(s, 2));
	return gw_spec_is_host(s);
}

static enum gw_rc read_hosts(struct gw_spec *s, const json_t *o, struct gw_route *r, struct gw_error *err)
{
	static const struct gw_spec_list hosts = { "hosts", 64, 253, host_is_fine,
		"must be a host name without a port, or `*.` and a suffix" };
	enum gw_rc rc = gw_spec_texts(s, o, &hosts, &r->hosts, err);
	/* They are compared without case; the copies are ours until the route is handed on. */
	for (size_t i = 0; rc == GW_OK && i < r->hosts.n; i++) {
		char *p = (char *)r->hosts.v[i].p;
		for (size_t k = 0; k < r->hosts.v[i].n; k++)
			if (p[k] >= 'A' && p[k] <= 'Z')
				p[k] |= 0x20;
	}
	return rc;
}

static enum gw_rc read_path(struct gw_spec *s, const json_t *o, struct gw_route *r, struct gw_error *err)
{
	struct gw_str path = GW_STR("/");
	enum gw_rc rc = gw_spec_text(o, "path_prefix", 1, 1024, &path, err);
	if (rc == GW_OK)
		rc = gw_json_bool(o, "ignore_case", &r->ignore_case, err);
	if (rc != GW_OK)
		return rc;
	if (path.p[0] != '/')
		return gw_fail(err, GW_INVALID, "/path_prefix", "`path_prefix` must begin with `/`");
	for (size_t i = 0; i < path.n; i++) {
		unsigned char c = (unsigned char)path.p[i];
		if (c < 0x20 || c == 0x7f || c == '?' || c == '#')
			return gw_fail(err, GW_INVALID, "/path_prefix",
			    "`path_prefix` must not contain `?`, `#` or control characters");
	}
	/* Requests are matched on their normalised path, so these could never match. */
	struct gw_str rest = gw_str_from(path, 1);
	while (rest.p) {
		struct gw_str part = gw_str_cut(&rest, '/');
		if ((part.n == 0 && rest.p) || gw_str_is(part, ".") || gw_str_is(part, ".."))
			return gw_fail(err, GW_INVALID, "/path_prefix",
			    "`path_prefix` must not contain `//`, `/./` or `/../`");
	}
	while (path.n > 1 && path.p[path.n - 1] == '/')
		path.n--;
	r->path_prefix = gw_arena_copy(s->arena, path);
	return GW_OK;
}

/* ---- predicates ---- */

struct regex_ref {
	const void *regex;
};

static void drop_regex(void *arg)
{
	gw_regex_free(&((struct regex_ref *)arg)->regex);
}

static enum gw_rc compile(struct gw_spec *s, struct gw_matcher *m, struct gw_error *err)
{
	struct regex_ref *ref = gw_arena_alloc(s->arena, sizeof *ref);
	enum gw_rc rc = gw_regex_compile(&ref->regex, m->value, m->ignore_case, err);
	if (rc != GW_OK) {
		gw_error_prefix(err, "/value");
		return rc;
	}
	gw_arena_defer(s->arena, drop_regex, ref);
	m->regex = ref->regex;
	return GW_OK;
}

enum subject { MODEL, HEADER, QUERY };

static enum gw_rc read_matcher(struct gw_spec *s, const json_t *o, enum subject subject,
    struct gw_matcher *out, struct gw_error *err)
{
	static const char *const types[] = { "exact", "prefix", "regex", NULL };
	static const char *const model_names[] = { "type", "value", "ignore_case", NULL };
	static const char *const field_names[] = { "name", "type", "value", "ignore_case", NULL };
	struct gw_str value = GW_STR_NONE, name = GW_STR_NONE;
	int type = -1;
	*out = (struct gw_matcher){ 0 };
	if (!json_is_object(o))
		return gw_fail(err, GW_INVALID, NULL, "a predicate must be an object with `type` and `value`");
	enum gw_rc rc = gw_spec_members(s, o, subject == MODEL ? model_names : field_names, err);
	if (rc == GW_OK)
		rc = gw_spec_word(o, "type", types, &type, err);
	if (rc == GW_OK)
		rc = gw_spec_text(o, "value", subject == MODEL, subject == MODEL ? 512 : 1024, &value, err);
	if (rc == GW_OK && subject != MODEL)
		rc = gw_spec_text(o, "name", 1, 128, &name, err);
	if (rc == GW_OK)
		rc = gw_json_bool(o, "ignore_case", &out->ignore_case, err);
	if (rc != GW_OK)
		return rc;
	if (type < 0)
		return gw_fail(err, GW_INVALID, "/type", "`type` is required: exact, prefix or regex");
	if (!value.p)
		return gw_fail(err, GW_INVALID, "/value", "`value` is required");
	if (subject != MODEL && !name.p)
		return gw_fail(err, GW_INVALID, "/name", "`name` is required");
	if (subject == HEADER && !gw_spec_is_token(name))
		return gw_fail(err, GW_INVALID, "/name", "`name` is not a name of a header");
	out->type = (enum gw_match_type)type;
	out->name = gw_arena_copy(s->arena, name);
	out->value = gw_arena_copy(s->arena, value);
	return out->type == GW_MATCH_REGEX ? compile(s, out, err) : GW_OK;
}

static enum gw_rc read_matchers(struct gw_spec *s, const json_t *match, const char *name,
    enum subject subject, const struct gw_matcher **out, size_t *n_out, struct gw_error *err)
{
	json_t *list, *item;
	size_t i;
	enum gw_rc rc = gw_spec_array(match, name, subject == MODEL ? 256 : 32, &list, err);
	if (rc != GW_OK)
		return rc;
	struct gw_matcher *v = gw_arena_array(s->arena, json_array_size(list), sizeof *v);
	json_array_foreach(list, i, item) {
		rc = read_matcher(s, item, subject, &v[i], err);
		if (rc != GW_OK) {
			gw_error_prefix(err, "/%s/%zu", name, i);
			return rc;
		}
	}
	*out = v;
	*n_out = json_array_size(list);
	return GW_OK;
}

static enum gw_rc read_match(struct gw_spec *s, const json_t *o, struct gw_route *r, struct gw_error *err)
{
	static const char *const names[] = { "models", "headers", "query", NULL };
	json_t *match;
	enum gw_rc rc = gw_spec_object(o, "match", &match, err);
	if (rc != GW_OK || !match)
		return rc;
	rc = gw_spec_members(s, match, names, err);
	if (rc == GW_OK)
		rc = read_matchers(s, match, "models", MODEL, &r->models, &r->n_models, err);
	if (rc == GW_OK)
		rc = read_matchers(s, match, "headers", HEADER, &r->headers, &r->n_headers, err);
	if (rc == GW_OK)
		rc = read_matchers(s, match, "query", QUERY, &r->query, &r->n_query, err);
	if (rc != GW_OK)
		gw_error_prefix(err, "/match");
	return rc;
}

/* ---- targets ---- */

static bool is_prefix_rule(struct gw_str name)
{
	return name.n && name.p[name.n - 1] == '*';
}

/* `*` is the shortest prefix. */
int gw_model_rule_cmp(const void *a, const void *b)
{
	const struct gw_str *x = a, *y = b;
	bool px = is_prefix_rule(*x), py = is_prefix_rule(*y);
	if (px != py)
		return px ? 1 : -1;
	if (px && x->n != y->n)
		return x->n > y->n ? -1 : 1;
	return gw_str_cmp(*x, *y);
}

static enum gw_rc read_model_map(struct gw_spec *s, const json_t *o, struct gw_target *t,
    struct gw_error *err)
{
	json_t *map, *value;
	const char *name;
	size_t n = 0;
	enum gw_rc rc = gw_spec_object(o, "model_map", &map, err);
	if (rc != GW_OK || !map)
		return rc;
	if (json_object_size(map) > MODEL_MAP_MAX)
		return gw_fail(err, GW_INVALID, "/model_map", "`model_map` must have at most %d members",
		    MODEL_MAP_MAX);
	struct gw_pair *v = gw_arena_array(s->arena, json_object_size(map), sizeof *v);
	json_object_foreach(map, name, value) {
		struct gw_str key = gw_str_c(name), model = gw_json_str(value);
		const char *star = strchr(name, '*');
		const char *fault = NULL;
		if (key.n == 0 || key.n > 256 || (star && star[1]))
			fault = "must be a model, a prefix that ends in `*`, or `*`";
		else if (model.n == 0 || model.n > 256)
			fault = "must name a model in 1 to 256 bytes";
		if (fault) {
			char token[GW_POINTER_LEN], path[GW_POINTER_LEN + 16];
			gw_json_pointer(token, key);
			snprintf(path, sizeof path, "/model_map/%s", token);
			return gw_fail(err, GW_INVALID, path, "`%.60s` in `model_map` %s", name, fault);
		}
		v[n++] = (struct gw_pair){ gw_arena_copy(s->arena, key), gw_arena_copy(s->arena, model) };
	}
	qsort(v, n, sizeof *v, gw_model_rule_cmp);
	t->model_map = v;
	t->n_model_map = n;
	return GW_OK;
}

static enum gw_rc read_target(struct gw_spec *s, const json_t *o, bool fallback, struct gw_target *out,
    struct gw_str *provider, struct gw_error *err)
{
	static const char *const names[] = { "provider", "model", "model_map", "timeout", "weight", NULL };
	static const char *const fallback_names[] = { "provider", "model", "model_map", "timeout", NULL };
	struct gw_str name = GW_STR_NONE, model = GW_STR_NONE;
	*out = (struct gw_target){ .weight = 1 };
	if (!json_is_object(o))
		return gw_fail(err, GW_INVALID, NULL, "a target must be an object with a `provider`");
	enum gw_rc rc = gw_spec_members(s, o, fallback ? fallback_names : names, err);
	if (rc == GW_OK)
		rc = gw_spec_text(o, "provider", 1, 63, &name, err);
	if (rc == GW_OK)
		rc = gw_spec_text(o, "model", 0, 256, &model, err);
	if (rc == GW_OK)
		rc = read_model_map(s, o, out, err);
	if (rc == GW_OK && !fallback)
		rc = gw_json_int(o, "weight", 0, WEIGHT_MAX, &out->weight, err);
	if (rc == GW_OK)
		rc = gw_spec_duration(o, "timeout", 10, HOUR_MS, &out->timeout_ms, err);
	if (rc != GW_OK)
		return rc;
	if (!name.p)
		return gw_fail(err, GW_INVALID, "/provider", "`provider` is required");
	*provider = gw_arena_copy(s->arena, name);
	/* An empty text is what a form sends for "not set". */
	out->model = model.n ? gw_arena_copy(s->arena, model) : GW_STR_NONE;
	return GW_OK;
}

static enum gw_rc read_targets(struct gw_spec *s, const json_t *o, bool fallback, struct gw_target **out,
    const struct gw_str **providers, size_t *n_out, struct gw_error *err)
{
	json_t *list, *item;
	size_t i;
	enum gw_rc rc = gw_spec_array(o, "targets", fallback ? FALLBACK_MAX : TARGETS_MAX, &list, err);
	if (rc != GW_OK)
		return rc;
	size_t n = json_array_size(list);
	struct gw_target *v = gw_arena_array(s->arena, n, sizeof *v);
	struct gw_str *names = gw_arena_array(s->arena, n, sizeof *names);
	json_array_foreach(list, i, item) {
		rc = read_target(s, item, fallback, &v[i], &names[i], err);
		if (rc != GW_OK) {
			gw_error_prefix(err, "/targets/%zu", i);
			return rc;
		}
	}
	*out = v;
	*providers = names;
	*n_out = n;
	return GW_OK;
}

/* ---- fallback, retry, auth ---- */

/* One word or status; false: neither. */
static bool read_condition(const json_t *v, uint32_t *bits, uint16_t *code)
{
	struct gw_str word = gw_json_str(v);
	int64_t status = json_integer_value(v);
	for (size_t i = 0; i < GW_COUNT(on_words); i++) {
		if (gw_str_is(word, on_words[i])) {
			*bits |= 1u << i;
			return true;
		}
	}
	if (word.p && !gw_str_int(word, 400, 599, &status))
		return false;
	if (status < 400 || status > 599)
		return false;
	*code = (uint16_t)status;
	return true;
}

static enum gw_rc read_on(struct gw_spec *s, const json_t *o, struct gw_on *on, struct gw_error *err)
{
	json_t *list, *item;
	size_t i, n = 0;
	enum gw_rc rc = gw_spec_array(o, "on", ON_MAX, &list, err);
	if (rc != GW_OK || !list)
		return rc;
	uint16_t *codes = gw_arena_array(s->arena, json_array_size(list), sizeof *codes);
	uint32_t bits = 0;
	json_array_foreach(list, i, item) {
		uint16_t code = 0;
		if (!read_condition(item, &bits, &code)) {
			char path[32];
			snprintf(path, sizeof path, "/on/%zu", i);
			return gw_fail(err, GW_INVALID, path, "entry %zu of `on` must be connect_error, timeout, "
			    "rate_limited, 4xx, 5xx or a status from 400 to 599", i + 1);
		}
		if (code)
			codes[n++] = code;
	}
	*on = (struct gw_on){ bits, codes, n };
	return GW_OK;
}

static enum gw_rc read_fallback(struct gw_spec *s, const json_t *o, struct gw_spec_route *out,
    struct gw_error *err)
{
	static const char *const names[] = { "enabled", "on", "targets", NULL };
	static const uint16_t codes[] = { 429 };
	struct gw_route *r = &out->route;
	json_t *fallback;
	r->fallback.on = (struct gw_on){ 1u << GW_ON_BIT_CONNECT_ERROR | 1u << GW_ON_BIT_TIMEOUT |
		1u << GW_ON_BIT_RATE_LIMITED | 1u << GW_ON_BIT_5XX, codes, GW_COUNT(codes) };
	enum gw_rc rc = gw_spec_object(o, "fallback", &fallback, err);
	if (rc != GW_OK || !fallback)
		return rc;
	rc = gw_spec_members(s, fallback, names, err);
	if (rc == GW_OK)
		rc = gw_json_bool(fallback, "enabled", &r->fallback.enabled, err);
	if (rc == GW_OK)
		rc = read_on(s, fallback, &r->fallback.on, err);
	if (rc == GW_OK)
		rc = read_targets(s, fallback, true, &out->fallback, &out->fallback_names,
		    &r->fallback.n_targets, err);
	if (rc != GW_OK)
		gw_error_prefix(err, "/fallback");
	r->fallback.targets = out->fallback;
	return rc;
}

static enum gw_rc read_retry(struct gw_spec *s, const json_t *o, struct gw_route *r, struct gw_error *err)
{
	static const char *const names[] = { "attempts", "on", NULL };
	static const uint16_t codes[] = { 429, 503 };
	json_t *retry;
	r->retry.attempts = 2;
	r->retry.on = (struct gw_on){ 1u << GW_ON_BIT_CONNECT_ERROR, codes, GW_COUNT(codes) };
	enum gw_rc rc = gw_spec_object(o, "retry", &retry, err);
	if (rc != GW_OK || !retry)
		return rc;
	rc = gw_spec_members(s, retry, names, err);
	if (rc == GW_OK)
		rc = gw_json_int(retry, "attempts", 1, 4, &r->retry.attempts, err);
	if (rc == GW_OK)
		rc = read_on(s, retry, &r->retry.on, err);
	if (rc != GW_OK)
		gw_error_prefix(err, "/retry");
	return rc;
}

static int by_bytes(const void *a, const void *b)
{
	return gw_str_cmp(*(const struct gw_str *)a, *(const struct gw_str *)b);
}

static enum gw_rc read_auth(struct gw_spec *s, const json_t *o, struct gw_route *r, struct gw_error *err)
{
	static const char *const names[] = { "required", "consumers", "groups", NULL };
	static const char rule[] =
	    "must be a name of 1 to 63 lower-case letters, digits, and `.` or `-` inside";
	static const struct gw_spec_list consumers = { "consumers", 1000, 63, gw_name_valid, rule };
	static const struct gw_spec_list groups = { "groups", 100, 63, gw_name_valid, rule };
	json_t *auth;
	r->auth.required = true;
	enum gw_rc rc = gw_spec_object(o, "auth", &auth, err);
	if (rc != GW_OK || !auth)
		return rc;
	rc = gw_spec_members(s, auth, names, err);
	if (rc == GW_OK)
		rc = gw_json_bool(auth, "required", &r->auth.required, err);
	if (rc == GW_OK)
		rc = gw_spec_texts(s, auth, &consumers, &r->auth.consumers, err);
	if (rc == GW_OK)
		rc = gw_spec_texts(s, auth, &groups, &r->auth.groups, err);
	if (rc != GW_OK) {
		gw_error_prefix(err, "/auth");
		return rc;
	}
	/* Groups are asked for by binary search from now on; consumers once the builder has checked them. */
	if (r->auth.groups.n)
		qsort((void *)r->auth.groups.v, r->auth.groups.n, sizeof(struct gw_str), by_bytes);
	return GW_OK;
}

enum gw_rc gw_spec_route(struct gw_spec *s, const json_t *o, struct gw_spec_route *out,
    struct gw_error *err)
{
	static const char *const names[] = { "description", "labels", "enabled", "hosts", "path_prefix",
		"ignore_case", "match", "targets", "fallback", "retry", "timeout", "auth", "plugins", "log",
		NULL };
	struct gw_route *r = &out->route;
	if (!json_is_object(o))
		return gw_fail(err, GW_INVALID, NULL, "a route must be an object");
	enum gw_rc rc = gw_spec_members(s, o, names, err);
	if (rc == GW_OK)
		rc = gw_spec_common(s, o, &r->enabled, err);
	if (rc == GW_OK)
		rc = read_hosts(s, o, r, err);
	if (rc == GW_OK)
		rc = read_path(s, o, r, err);
	if (rc == GW_OK)
		rc = read_match(s, o, r, err);
	if (rc == GW_OK)
		rc = read_targets(s, o, false, &out->targets, &out->target_names, &r->n_targets, err);
	if (rc == GW_OK && r->n_targets == 0)
		rc = gw_fail(err, GW_INVALID, "/targets", "`targets` must have at least one entry");
	if (rc == GW_OK)
		rc = read_fallback(s, o, out, err);
	if (rc == GW_OK)
		rc = read_retry(s, o, r, err);
	if (rc == GW_OK)
		rc = gw_spec_duration(o, "timeout", 100, 24 * HOUR_MS, &r->total_timeout_ms, err);
	if (rc == GW_OK)
		rc = read_auth(s, o, r, err);
	if (rc == GW_OK)
		rc = gw_spec_plugins(s, o, (struct gw_spec_owner){ GW_SCOPE_ROUTE, r->name }, &r->plugins, err);
	if (rc == GW_OK)
		rc = gw_spec_route_log(s, o, &r->log, err);
	r->targets = out->targets;
	return rc;
}
