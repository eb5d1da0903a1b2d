/*
 * apply.c - GET and PUT /config: the whole configuration as one document, applied in one transaction or not at all.
 *
 * A kind that the document does not mention is left alone; one that it mentions becomes exactly what stands there.  A
 * secret that is left out keeps its stored value, found by name.
 */
#include "api/apply.h"

#include <stdio.h>
#include <stdlib.h>

#include "auth/keys.h"
#include "base/bytes.h"

struct apply {
	struct cp_ctx *x;
	struct cp_change *c;
	const json_t *doc, *before;
	struct gw_error *err;
};

static const struct { enum gw_kind kind; const char *member; } lists[] = {
	{ GW_KIND_PROVIDER, "providers" }, { GW_KIND_GROUP, "groups" }, { GW_KIND_JWT_ISSUER, "jwt_issuers" }, { GW_KIND_CONSUMER, "consumers" }, { GW_KIND_ROUTE, "routes" },
	{ GW_KIND_PRICE, "prices" }, { GW_KIND_QUOTA, "quotas" },
	{ GW_KIND_ALERT_CHANNEL, "alert_channels" }, { GW_KIND_ALERT, "alerts" }, { GW_KIND_SILENCE, "silences" },
};

void cp_api_get_config(struct cp_ctx *x)
{
	struct cp_txn *t = NULL;
	struct gw_error err = { 0 };
	json_t *config = NULL;
	uint64_t revision = 0;
	enum gw_rc rc = cp_txn_begin(&t, x->app->store, &err);
	if (rc == GW_OK) {
		revision = cp_txn_revision(t);
		rc = cp_config_at(t, revision, &config, &err);
	}
	cp_txn_end(&t);
	if (rc == GW_OK) {
		cp_etag(x, revision);
		cp_answer(x, 200, cp_document(config, revision));
	} else {
		cp_problem_error(x, &err);
	}
	json_decref(config);
}

/* ---- reading the document ---- */

/* A masked secret in an export that is sent back means "keep": the member goes. */
static void drop_masked(json_t *v)
{
	const char *key;
	void *next;
	size_t i;
	json_t *member;
	if (json_is_array(v)) {
		json_array_foreach(v, i, member)
			drop_masked(member);
	} else if (json_is_object(v)) {
		json_object_foreach_safe(v, next, key, member) {
			if (json_object_get(member, "fingerprint") != NULL && json_object_get(member, "last4") != NULL)
				json_object_del(v, key);
			else
				drop_masked(member);
		}
	}
}

/* {"env":"NAME"} as a secret becomes what the control plane's environment has, so that it is checked like any other. */
static void resolve_env(struct cp_ctx *x, json_t *o, const char *member, const char *path)
{
	const json_t *value = json_object_get(o, member);
	struct gw_str name = gw_json_str(json_object_get(value, "env"));
	if (name.p == NULL || json_object_size(value) != 1)
		return;
	/* Our own variables are not for reading. */
	const char *found = gw_str_starts(name, GW_STR("TIDEGATE_")) ? NULL : getenv(gw_arena_c(x->a, name));
	bool missing = found == NULL || found[0] == 0;
	if (missing)
		cp_fault_add(x->faults, path, "secret_required", "the control plane has no environment variable %.*s", GW_FMT(name));
	/* What is missing is told once: no second fault about what stands in its place. */
	json_object_set_new(o, member, cp_text_json(missing ? GW_STR("https://missing.invalid/missing.secret") : gw_str_c(found)));
}

static void resolve_members(struct cp_ctx *x, const char *list, const char *member)
{
	size_t i;
	json_t *o;
	json_array_foreach(json_object_get(x->body, list), i, o) {
		char path[128];
		snprintf(path, sizeof path, "/%s/%zu/%s", list, i, member);
		resolve_env(x, o, member, path);
	}
}

static void resolve_keys(struct cp_ctx *x, const char *list, const char *keys)
{
	size_t i, k;
	json_t *o, *key;
	json_array_foreach(json_object_get(x->body, list), i, o)
		json_array_foreach(json_object_get(o, keys), k, key) {
			char path[128];
			snprintf(path, sizeof path, "/%s/%zu/%s/%zu/value", list, i, keys, k);
			resolve_env(x, key, "value", path);
		}
}

static void check_names(struct cp_ctx *x, const char *list)
{
	size_t i;
	json_t *o, *seen = json_object();
	json_array_foreach(json_object_get(x->body, list), i, o) {
		char path[96];
		const char *name = json_string_value(json_object_get(o, "name"));
		snprintf(path, sizeof path, "/%s/%zu/name", list, i);
		if (name == NULL)
			continue;
		if (json_object_get(seen, name) != NULL)
			cp_fault_add(x->faults, path, "duplicate", "\"%.63s\" stands there twice", name);
		if (strcmp(list, "routes") == 0 && strcmp(name, "explain") == 0)
			cp_fault_add(x->faults, path, "bad_format", "a route cannot be called \"explain\": choose another name");
		json_object_set_new(seen, name, json_true());
	}
	json_decref(seen);
}

static bool read_document(struct cp_ctx *x)
{
	bool has_settings = json_object_get(x->body, "settings") != NULL;
	drop_masked(x->body);
	resolve_keys(x, "providers", "api_keys");
	resolve_keys(x, "consumers", "keys");
	resolve_members(x, "jwt_issuers", "secret");
	resolve_members(x, "alert_channels", "url");
	resolve_members(x, "alert_channels", "secret");
	resolve_members(x, "alert_channels", "password");
	cp_contract_check(x->api->contract, x->op->body, x->body, x->faults);
	if (!has_settings)
		json_object_del(x->body, "settings");
	for (size_t i = 0; i < GW_COUNT(lists); i++)
		check_names(x, lists[i].member);
	return !cp_problem_faults(x);
}

void cp_apply_pointer(const json_t *document, char *path, size_t size)
{
	struct gw_str rest = gw_str_from(gw_str_c(path), 1);
	struct gw_str member = gw_str_cut(&rest, '/'), name = gw_str_cut(&rest, '/');
	char copy[512];
	size_t i;
	json_t *o;
	snprintf(copy, sizeof copy, "%.*s", rest.p != NULL ? (int)rest.n : 0, rest.p != NULL ? rest.p : "");
	if (gw_str_is(member, "global-plugins")) {
		char plugin[80];
		snprintf(plugin, sizeof plugin, "%.*s", name.p ? (int)(name.n < 70 ? name.n : 70) : 0, name.p ? name.p : "");
		snprintf(path, size, "/global_plugins/%s%s%s", plugin, copy[0] ? "/" : "", copy);
		return;
	}
	if (gw_str_is(member, "settings")) {
		snprintf(path, size, "/settings%s%s", copy[0] ? "/" : "", copy);
		return;
	}
	char list[32];
	snprintf(list, sizeof list, "%.*s", (int)(member.n < 31 ? member.n : 31), member.p ? member.p : "");
	for (char *c = list; *c; c++) /* "alert-channels" is the member `alert_channels` */
		*c = *c == '-' ? '_' : *c;
	json_array_foreach(json_object_get(document, list), i, o) {
		if (name.p != NULL && gw_str_eq(gw_json_str(json_object_get(o, "name")), name)) {
			snprintf(path, size, "/%s/%zu%s%s", list, i, copy[0] ? "/" : "", copy);
			return;
		}
	}
}

/* ---- writing it ---- */

static const json_t *stored(const struct apply *a, enum gw_kind k, const char *name)
{
	return json_object_get(json_object_get(a->before, gw_kind_path(k)), name);
}

static bool is_listed(const json_t *list, const char *name)
{
	size_t i;
	json_t *o;
	json_array_foreach((json_t *)list, i, o)
		if (gw_str_is(gw_json_str(json_object_get(o, "name")), name))
			return true;
	return false;
}

/* How many of the first `n` entries have this name (n SIZE_MAX: of all). */
static size_t count_named(const json_t *keys, size_t n, const json_t *name)
{
	size_t i, out = 0;
	json_t *key;
	json_array_foreach((json_t *)keys, i, key)
		if (i < n && json_equal(json_object_get(key, "name"), (json_t *)name))
			out++;
	return out;
}

/* The stored key (or other credential) of this consumer that is the `nth` of its name: a rotated key and its successor
 * share one.  NULL: none. */
static const char *key_id(const struct apply *a, const char *consumer, bool keys, const json_t *name, size_t nth,
			  const json_t **key)
{
	const char *id;
	json_t *o;
	json_object_foreach(json_object_get(a->before, gw_kind_path(GW_KIND_CREDENTIAL)), id, o) {
		if (!gw_str_is(gw_json_str(json_object_get(o, "owner")), consumer) ||
		    cp_is_key(json_object_get(o, "spec")) != keys || !json_equal(json_object_get(json_object_get(o, "spec"), "name"), (json_t *)name))
			continue;
		if (nth-- == 0) {
			*key = o;
			return id;
		}
	}
	return NULL;
}

static bool is_printable(struct gw_str s)
{
	for (size_t i = 0; i < s.n; i++)
		if (s.p[i] <= 0x20 || s.p[i] >= 0x7f)
			return false;
	return true;
}

static enum gw_rc put_key(struct apply *a, const char *consumer, const json_t *wanted, size_t nth, const char *path)
{
	struct cp_ctx *x = a->x;
	const json_t *old = NULL;
	char hash[65], random[GW_HEX_LEN(8)];
	uint8_t raw[8];
	struct gw_str value = gw_json_str(json_object_get(wanted, "value"));
	const char *id = key_id(a, consumer, true, json_object_get(wanted, "name"), nth, &old);
	if (!is_printable(value)) {
		cp_fault_add(x->faults, path, "bad_format", "value must be one line of printable ASCII characters");
		return GW_OK;
	}
	if (value.p == NULL && old == NULL) {
		cp_fault_add(x->faults, path, "secret_required",
			     "no key of this name is stored yet, so its value must be given");
		return GW_OK;
	}
	json_t *expires = json_object_get(wanted, "expires_at"), *spec;
	bool enabled = json_is_true(json_object_get(wanted, "enabled"));
	gw_random(raw, sizeof raw);
	gw_hex(random, raw, sizeof raw);
	struct cp_record r = { .kind = GW_KIND_CREDENTIAL, .owner = gw_str_c(consumer),
			       .name = id != NULL ? gw_str_c(id) : gw_arena_printf(x->a, "k-%s", random) };
	if (value.p != NULL) {
		cp_consumer_key_hash(x->app->keys, value, hash);
		r.ident = gw_str_c(hash);
		spec = cp_key_spec(gw_json_str(json_object_get(wanted, "name")), value, enabled, json_incref(expires));
	} else {
		r.ident = gw_json_str(json_object_get(old, "ident"));
		spec = json_deep_copy(json_object_get(old, "spec"));
		json_object_set_new(spec, "enabled", json_boolean(enabled));
		json_object_set_new(spec, "expires_at", expires != NULL ? json_incref(expires) : json_null());
	}
	r.spec = cp_json_text(x, spec);
	json_decref(spec);
	enum gw_rc rc = cp_put(a->c, &r, CP_ANY, a->err);
	if (rc == GW_EXISTS)
		return gw_fail(a->err, GW_EXISTS, path, "this value is a key already: every key must be different");
	return rc;
}

/* Those that are not listed go, so that afterwards a value may move to another name. */
static enum gw_rc del_keys(struct apply *a, const char *consumer, bool is_key, const json_t *keys)
{
	const char *id;
	json_t *o;
	enum gw_rc rc = GW_OK;
	json_t *seen = json_array();
	json_object_foreach(json_object_get(a->before, gw_kind_path(GW_KIND_CREDENTIAL)), id, o) {
		json_t *spec = json_object_get(o, "spec"), *name = json_object_get(spec, "name");
		if (rc != GW_OK || cp_is_key(spec) != is_key || !gw_str_is(gw_json_str(json_object_get(o, "owner")), consumer))
			continue;
		json_array_append(seen, spec);
		if (count_named(seen, SIZE_MAX, name) > count_named(keys, SIZE_MAX, name))
			rc = cp_del(a->c, GW_KIND_CREDENTIAL, gw_str_c(id), CP_ANY, a->err);
	}
	json_decref(seen);
	return rc;
}

/* Exactly the listed keys remain. */
static enum gw_rc put_keys(struct apply *a, const char *consumer, const json_t *keys, size_t at)
{
	json_t *key;
	size_t i;
	enum gw_rc rc = del_keys(a, consumer, true, keys);
	json_array_foreach((json_t *)keys, i, key) {
		char path[128];
		snprintf(path, sizeof path, "/consumers/%zu/keys/%zu/value", at, i);
		if (rc == GW_OK)
			rc = put_key(a, consumer, key, count_named(keys, i, json_object_get(key, "name")), path);
	}
	return rc;
}

/* Exactly the listed credentials of other types remain. */
static enum gw_rc put_credentials(struct apply *a, const char *consumer, const json_t *list, size_t at)
{
	json_t *wanted;
	size_t i;
	enum gw_rc rc = del_keys(a, consumer, false, list);
	json_array_foreach((json_t *)list, i, wanted) {
		char path[128];
		const json_t *old = NULL, *name = json_object_get(wanted, "name");
		const char *id = key_id(a, consumer, false, name, count_named(list, i, name), &old);
		snprintf(path, sizeof path, "/consumers/%zu/credentials/%zu", at, i);
		if (rc == GW_OK)
			rc = cp_credential_put(a->x, a->c, gw_str_c(consumer), id != NULL ? gw_str_c(id) : cp_credential_new_id(a->x),
					       wanted, old != NULL ? json_object_get(old, "spec") : NULL, path, a->err);
	}
	return rc;
}

static enum gw_rc put_list(struct apply *a, enum gw_kind k, const char *member, const json_t *list)
{
	const struct cp_kind_api *api = cp_kind_api(k);
	enum gw_rc rc = GW_OK;
	size_t i;
	json_t *item;
	json_array_foreach((json_t *)list, i, item) {
		char path[96];
		const char *name = json_string_value(json_object_get(item, "name"));
		const json_t *old = stored(a, k, name);
		json_t *spec = json_deep_copy(item), *keys = json_object_get(item, "keys");
		json_t *credentials = json_object_get(item, "credentials");
		snprintf(path, sizeof path, "/%s/%zu", member, i);
		json_object_del(spec, "name");
		json_object_del(spec, "keys");
		json_object_del(spec, "credentials");
		if (api->seal != NULL)
			api->seal(a->x, spec, old != NULL ? json_object_get(old, "spec") : NULL, path);
		if (json_array_size(a->x->faults) == 0)
			rc = cp_put_spec(a->x, a->c, k, gw_str_c(name), spec, CP_ANY, a->err);
		if (rc != GW_OK)
			gw_error_prefix(a->err, "%s", path);
		json_decref(spec);
		if (rc == GW_OK && k == GW_KIND_CONSUMER && keys != NULL && json_array_size(a->x->faults) == 0)
			rc = put_keys(a, name, keys, i);
		if (rc == GW_OK && k == GW_KIND_CONSUMER && credentials != NULL && json_array_size(a->x->faults) == 0)
			rc = put_credentials(a, name, credentials, i);
		if (rc != GW_OK)
			return rc;
	}
	return rc;
}

static enum gw_rc del_unlisted(struct apply *a, enum gw_kind k, const json_t *list)
{
	const char *name;
	json_t *o;
	enum gw_rc rc = GW_OK;
	json_object_foreach(json_object_get(a->before, gw_kind_path(k)), name, o) {
		if (is_listed(list, name))
			continue;
		if (k == GW_KIND_CONSUMER)
			rc = cp_remove_keys(a->x, a->c, gw_str_c(name), a->err);
		if (rc == GW_OK)
			rc = cp_del(a->c, k, gw_str_c(name), CP_ANY, a->err);
		if (rc != GW_OK)
			return rc;
	}
	return rc;
}

static enum gw_rc put_plugins(struct apply *a, const json_t *plugins)
{
	const char *name;
	json_t *conf, *o;
	enum gw_rc rc = GW_OK;
	json_object_foreach((json_t *)plugins, name, conf) {
		char path[128];
		const struct gw_module *m = gw_catalog_find(a->x->app->catalog, GW_CAT_PLUGINS, gw_str_c(name));
		const json_t *old = stored(a, GW_KIND_GLOBAL_PLUGIN, name);
		json_t *spec = json_deep_copy(conf);
		snprintf(path, sizeof path, "/global_plugins/%.63s", name);
		if (m != NULL)
			cp_seal_fields(a->x, m->fields, spec, old != NULL ? json_object_get(old, "spec") : NULL, path);
		else
			cp_fault_add(a->x->faults, path, "unknown_reference", "there is no plugin \"%.63s\" in this release", name);
		if (rc == GW_OK && json_array_size(a->x->faults) == 0)
			rc = cp_put_spec(a->x, a->c, GW_KIND_GLOBAL_PLUGIN, gw_str_c(name), spec, CP_ANY, a->err);
		json_decref(spec);
	}
	json_object_foreach(json_object_get(a->before, gw_kind_path(GW_KIND_GLOBAL_PLUGIN)), name, o)
		if (rc == GW_OK && json_object_get(plugins, name) == NULL)
			rc = cp_del(a->c, GW_KIND_GLOBAL_PLUGIN, gw_str_c(name), CP_ANY, a->err);
	return rc;
}

static enum gw_rc put_all(struct apply *a)
{
	const json_t *settings = json_object_get(a->doc, "settings"), *plugins = json_object_get(a->doc, "global_plugins");
	enum gw_rc rc = GW_OK;
	if (settings != NULL)
		rc = cp_put_spec(a->x, a->c, GW_KIND_SETTINGS, GW_STR("settings"), settings, CP_ANY, a->err);
	for (size_t i = 0; i < GW_COUNT(lists) && rc == GW_OK; i++) {
		const json_t *list = json_object_get(a->doc, lists[i].member);
		if (list != NULL)
			rc = del_unlisted(a, lists[i].kind, list);
	}
	for (size_t i = 0; i < GW_COUNT(lists) && rc == GW_OK; i++) {
		const json_t *list = json_object_get(a->doc, lists[i].member);
		if (list != NULL)
			rc = put_list(a, lists[i].kind, lists[i].member, list);
	}
	if (rc == GW_OK && plugins != NULL)
		rc = put_plugins(a, plugins);
	return rc;
}

/* How many keys and other credentials each consumer had in a configuration: by its name, owned. */
static json_t *credentials_by_owner(const json_t *config)
{
	const char *id;
	json_t *o, *out = json_object();
	json_object_foreach(json_object_get(config, gw_kind_path(GW_KIND_CREDENTIAL)), id, o) {
		const char *owner = json_string_value(json_object_get(o, "owner"));
		if (owner != NULL)
			json_object_set_new(out, owner, json_integer(json_integer_value(json_object_get(out, owner)) + 1));
	}
	return out;
}

/* Keys are never brought back.  About each consumer of `from` that `others` lacks: `back`, it comes again, else it goes. */
static void warn_keys(json_t *warnings, const json_t *from, const json_t *others, bool back)
{
	const char *path = gw_kind_path(GW_KIND_CONSUMER), *name;
	json_t *o, *had = credentials_by_owner(from);
	json_object_foreach(json_object_get(from, path), name, o) {
		char where[160], text[320];
		size_t n = (size_t)json_integer_value(json_object_get(had, name));
		if (n == 0 || json_object_get(json_object_get(others, path), name) != NULL)
			continue;
		snprintf(where, sizeof where, "/%s/%s", path, name);
		snprintf(text, sizeof text, back ? "consumer `%.63s` comes back without its keys and credentials (%zu): issue new ones" :
			 "consumer `%.63s` goes, and its keys and credentials (%zu) for good: no rollback brings them back", name, n);
		json_t *w = json_object();
		gw_json_set_str(w, "path", gw_str_c(where));
		gw_json_set_str(w, "code", gw_str_c(back ? "keys_missing" : "keys_end"));
		gw_json_set_str(w, "message", gw_str_c(text));
		json_array_append_new(warnings, w);
	}
	json_decref(had);
}

void cp_apply_finish(struct cp_ctx *x, struct cp_change **c, const json_t *before, const json_t *then)
{
	struct gw_error err = { 0 };
	struct cp_written w;
	json_t *after = NULL;
	struct cp_txn *view = cp_change_view(*c);
	if (cp_config_at(view, cp_txn_revision(view), &after, &err) != GW_OK) {
		cp_change_abort(c);
		cp_problem_error(x, &err);
		return;
	}
	json_t *plan = cp_diff(before, after), *keys = json_array();
	warn_keys(keys, before, after, false);
	if (then != NULL)
		warn_keys(keys, then, before, true);
	json_decref(after);
	if (!cp_finish(x, c, NULL, &w)) {
		json_decref(plan);
		json_decref(keys);
		return;
	}
	json_array_extend(w.warnings, keys);
	json_decref(keys);
	json_t *o = json_object();
	json_object_set_new(o, "dry_run", json_boolean(x->dry_run));
	json_object_set_new(o, "revision", x->dry_run ? json_null() : json_integer((json_int_t)w.revision));
	json_object_set_new(o, "plan", plan);
	json_object_set_new(o, "warnings", w.warnings);
	if (!x->dry_run)
		cp_revision_header(x, w.revision);
	cp_answer(x, 200, o);
}

void cp_api_apply_config(struct cp_ctx *x)
{
	struct gw_error err = { 0 };
	uint64_t if_match;
	json_t *before = NULL;
	struct apply a = { .x = x, .err = &err };
	if (!cp_if_match(x, &if_match) || !read_document(x))
		return;
	a.doc = x->body;
	enum gw_rc rc = cp_change_begin(&a.c, x->app->store, &x->actor, "apply", &err);
	if (rc == GW_OK && if_match != CP_ANY && if_match != cp_txn_revision(cp_change_view(a.c)))
		rc = gw_fail(&err, GW_CONFLICT, NULL, "the configuration has revision %llu now: export it again, then change it",
			     (unsigned long long)cp_txn_revision(cp_change_view(a.c)));
	if (rc == GW_OK)
		rc = cp_config_at(cp_change_view(a.c), cp_txn_revision(cp_change_view(a.c)), &before, &err);
	a.before = before;
	if (rc == GW_OK)
		rc = put_all(&a);
	if (rc == GW_OK && json_array_size(x->faults) == 0) {
		cp_apply_finish(x, &a.c, before, NULL);
	} else {
		cp_change_abort(&a.c);
		if (rc != GW_OK)
			cp_problem_error(x, &err);
		else
			cp_problem_faults(x);
	}
	json_decref(before);
}
