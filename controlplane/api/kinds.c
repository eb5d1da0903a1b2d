/* kinds.c - what differs between kinds: how secrets are sealed and what a read shows beside the specification. */
#include "api/internal.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/log.h"
#include "seal.h"
#include "tls_pair.h"

/* ---- secrets ---- */

static bool is_masked(const json_t *v)
{
	return json_is_object(v) && json_object_get(v, "fingerprint") != NULL;
}

json_t *cp_seal_value(struct cp_ctx *x, struct gw_str plain, const json_t *old)
{
	json_t *fresh = cp_secret_new(x->app->keys, plain, gw_now_ms());
	/* Sealing is deterministic: equal bytes mean an equal secret, whose time of creation stays. */
	if (old != NULL && json_equal(json_object_get(fresh, "sealed"), json_object_get(old, "sealed"))) {
		json_decref(fresh);
		return json_incref((json_t *)old);
	}
	return fresh;
}

/* From the environment of the control plane, for declarative documents.  Our own variables are not for reading. */
static struct gw_str from_environment(struct cp_ctx *x, const json_t *v, const char *path)
{
	struct gw_str name = gw_json_str(json_object_get(v, "env"));
	if (json_object_size(v) != 1 || name.p == NULL)
		return GW_STR_NONE;
	const char *value = gw_str_starts(name, GW_STR("TIDEGATE_")) ? NULL : getenv(gw_arena_c(x->a, name));
	if (value == NULL || value[0] == 0) {
		cp_fault_add(x->faults, path, "secret_required", "the control plane has no environment variable %.*s",
			     GW_FMT(name));
		return GW_STR("");
	}
	return gw_arena_copy(x->a, gw_str_c(value));
}

/* One secret member of `conf`: a text is sealed, an empty one is gone, an absent one keeps what `old` has. */
static void seal_member(struct cp_ctx *x, json_t *conf, const char *name, const json_t *old, const char *path)
{
	json_t *v = json_object_get(conf, name);
	const json_t *before = json_object_get(old, name);
	struct gw_str plain = gw_json_str(v);
	if (v == NULL || json_is_null(v)) {
		json_object_del(conf, name);
		if (before != NULL)
			json_object_set(conf, name, (json_t *)before);
		return;
	}
	if (plain.p == NULL && json_is_object(v) && json_object_get(v, "env") != NULL)
		plain = from_environment(x, v, path);
	if (plain.p == NULL) {
		cp_fault_add(x->faults, path, is_masked(v) ? "masked_secret" : "wrong_type",
			     is_masked(v) ? "%s is the masked form of a secret: send the secret itself, or leave it out"
					  : "%s must be a string", name);
		return;
	}
	if (plain.n == 0) {
		json_object_del(conf, name);
		return;
	}
	if (plain.n > GW_SEAL_MAX_PLAIN) {
		cp_fault_add(x->faults, path, "too_long", "%s must have at most %d bytes", name, GW_SEAL_MAX_PLAIN);
		return;
	}
	json_object_set_new(conf, name, cp_seal_value(x, plain, before));
}

void cp_seal_fields(struct cp_ctx *x, const struct gw_field *fields, json_t *conf, const json_t *old, const char *path)
{
	char where[512];
	for (const struct gw_field *f = fields; f != NULL && f->type != GW_T_END; f++) {
		if (f->type != GW_T_SECRET)
			continue;
		snprintf(where, sizeof where, "%s/%s", path, f->name);
		seal_member(x, conf, f->name, old, where);
	}
}

static void seal_plugins(struct cp_ctx *x, json_t *body, const json_t *old, const char *path)
{
	const char *name;
	char where[512];
	json_t *conf;
	json_object_foreach(json_object_get(body, "plugins"), name, conf) {
		const struct gw_module *m = gw_catalog_find(x->app->catalog, GW_CAT_PLUGINS, gw_str_c(name));
		snprintf(where, sizeof where, "%s/plugins/%.63s", path, name);
		if (m != NULL)
			cp_seal_fields(x, m->fields, conf, json_object_get(json_object_get(old, "plugins"), name), where);
	}
}

static const json_t *key_of_name(const json_t *spec, const json_t *name)
{
	size_t i;
	json_t *key;
	json_array_foreach(json_object_get(spec, "api_keys"), i, key)
		if (json_equal(json_object_get(key, "name"), (json_t *)name))
			return key;
	return NULL;
}

static void seal_provider(struct cp_ctx *x, json_t *body, const json_t *old, const char *path)
{
	char where[512];
	size_t i;
	json_t *key;
	json_array_foreach(json_object_get(body, "api_keys"), i, key) {
		snprintf(where, sizeof where, "%s/api_keys/%zu/value", path, i);
		const json_t *before = key_of_name(old, json_object_get(key, "name"));
		if (json_object_get(key, "value") == NULL && before == NULL)
			cp_fault_add(x->faults, where, "secret_required",
				     "no key of this name is stored yet, so its value must be given");
		else
			seal_member(x, key, "value", before, where);
	}
	struct gw_str type = gw_json_str(json_object_get(body, "type"));
	const struct gw_module *m = type.p ? gw_catalog_find(x->app->catalog, GW_CAT_PROVIDER_TYPES, type) : NULL;
	snprintf(where, sizeof where, "%s/options", path);
	if (m != NULL)
		cp_seal_fields(x, m->fields, json_object_get(body, "options"), json_object_get(old, "options"), where);
	snprintf(where, sizeof where, "%s/type", path);
	if (old != NULL && !json_equal(json_object_get(old, "type"), json_object_get(body, "type")))
		cp_fault_add(x->faults, where, "read_only", "the type of a provider cannot change: create another provider");
}

static const json_t *header_of_name(const json_t *spec, const json_t *name)
{
	size_t i;
	json_t *h;
	json_array_foreach(json_object_get(json_object_get(spec, "tracing"), "headers"), i, h)
		if (json_equal(json_object_get(h, "name"), (json_t *)name))
			return h;
	return NULL;
}

static void seal_tracing(struct cp_ctx *x, json_t *body, const json_t *old, const char *path)
{
	char where[512];
	size_t i;
	json_t *h;
	json_array_foreach(json_object_get(json_object_get(body, "tracing"), "headers"), i, h) {
		snprintf(where, sizeof where, "%s/tracing/headers/%zu/value", path, i);
		const json_t *before = header_of_name(old, json_object_get(h, "name"));
		if (json_object_get(h, "value") == NULL && before == NULL)
			cp_fault_add(x->faults, where, "secret_required",
				     "no header of this name is stored yet, so its value must be given");
		else
			seal_member(x, h, "value", before, where);
	}
}

static const json_t *certificate_of_name(const json_t *spec, const json_t *name)
{
	size_t i;
	json_t *c;
	json_array_foreach(json_object_get(json_object_get(spec, "tls"), "certificates"), i, c)
		if (json_equal(json_object_get(c, "name"), (json_t *)name))
			return c;
	return NULL;
}

/* A key is looked at beside its certificate while it can be read, so that a wrong pair is refused here. */
static void seal_tls(struct cp_ctx *x, json_t *body, const json_t *old, const char *path)
{
	char where[512];
	size_t i;
	json_t *c;
	json_array_foreach(json_object_get(json_object_get(body, "tls"), "certificates"), i, c) {
		struct gw_error err = { 0 };
		const json_t *before = certificate_of_name(old, json_object_get(c, "name"));
		struct gw_str chain = gw_json_str(json_object_get(c, "certificate_pem")), key = gw_json_str(json_object_get(c, "private_key"));
		bool changed = before == NULL || !json_equal(json_object_get(before, "certificate_pem"), json_object_get(c, "certificate_pem"));
		snprintf(where, sizeof where, "%s/tls/certificates/%zu", path, i);
		if (key.p != NULL && chain.p != NULL && gw_tls_pair_check(chain, key, &err) != GW_OK) {
			gw_error_prefix(&err, "%s", where);
			cp_fault_add(x->faults, err.path, "bad_format", "%s", err.text);
			continue;
		}
		snprintf(where, sizeof where, "%s/tls/certificates/%zu/private_key", path, i);
		if (json_object_get(c, "private_key") == NULL && changed)
			cp_fault_add(x->faults, where, "secret_required", "a new certificate comes with its private key");
		else
			seal_member(x, c, "private_key", before, where);
	}
}

static void seal_settings(struct cp_ctx *x, json_t *body, const json_t *old, const char *path)
{
	char where[512];
	seal_tracing(x, body, old, path);
	seal_tls(x, body, old, path);
	snprintf(where, sizeof where, "%s/counters", path);
	if (json_object_get(body, "counters"))
		cp_seal_fields(x, gw_counter_fields, json_object_get(body, "counters"), json_object_get(old, "counters"), where);
}

static void seal_jwt_issuer(struct cp_ctx *x, json_t *body, const json_t *old, const char *path)
{
	char where[512];
	snprintf(where, sizeof where, "%s/secret", path);
	seal_member(x, body, "secret", old, where);
}

/* The plugin is the one named in the path; the settings stand below `config` in the request. */
static void seal_global_plugin(struct cp_ctx *x, json_t *body, const json_t *old, const char *path)
{
	const struct gw_module *m = gw_catalog_find(x->app->catalog, GW_CAT_PLUGINS, x->param[0]);
	(void)path;
	if (m != NULL)
		cp_seal_fields(x, m->fields, body, old, "/config");
}

/* ---- views ---- */

static bool add_key_view(void *arg, const struct cp_record *r)
{
	struct { struct cp_txn *t; json_t *keys, *credentials; } *w = arg;
	json_t *spec = cp_spec_parse(r->spec);
	json_array_append_new(cp_is_key(spec) ? w->keys : w->credentials, cp_identity_view(w->t, r));
	json_decref(spec);
	return true;
}

static enum gw_rc view_consumer(struct cp_ctx *x, struct cp_txn *t, const struct cp_record *r, json_t *o,
				struct gw_error *err)
{
	struct { struct cp_txn *t; json_t *keys, *credentials; } w = { t, json_array(), json_array() };
	(void)x;
	json_object_set_new(o, "keys", w.keys);
	json_object_set_new(o, "credentials", w.credentials);
	return cp_each(t, GW_KIND_CREDENTIAL, r->name, add_key_view, &w, err);
}

static enum gw_rc view_use(struct cp_txn *t, const struct cp_record *r, json_t *o, const char *member, bool uses,
			   struct gw_error *err)
{
	int64_t last = 0, count = 0;
	enum gw_rc rc = cp_use_get(t, r->kind, r->name, &last, &count, err);
	json_object_set_new(o, member, cp_time_json(last));
	if (uses)
		json_object_set_new(o, "uses", json_integer(count));
	return rc;
}

static enum gw_rc view_user(struct cp_ctx *x, struct cp_txn *t, const struct cp_record *r, json_t *o, struct gw_error *err)
{
	(void)x;
	json_object_del(o, "revision");
	return view_use(t, r, o, "last_login_at", false, err);
}

static enum gw_rc view_token(struct cp_ctx *x, struct cp_txn *t, const struct cp_record *r, json_t *o, struct gw_error *err)
{
	(void)x;
	json_object_del(o, "revision");
	json_object_del(o, "updated_at");
	return view_use(t, r, o, "last_used_at", r->kind == GW_KIND_JOIN_TOKEN, err);
}

/* What an earlier release stored lacks the members that came since: they show their defaults. */
static enum gw_rc view_settings(struct cp_ctx *x, struct cp_txn *t, const struct cp_record *r, json_t *o,
				struct gw_error *err)
{
	json_t *whole = cp_spec_parse(r->spec), *faults = json_array();
	(void)t, (void)err;
	json_object_del(o, "name");
	json_object_del(o, "created_at");
	cp_contract_check(x->api->contract, cp_contract_schema(x->api->contract, "SettingsWrite"), whole, faults);
	json_object_update_missing(o, whole);
	json_decref(whole);
	json_decref(faults);
	return GW_OK;
}

static enum gw_rc view_global_plugin(struct cp_ctx *x, struct cp_txn *t, const struct cp_record *r, json_t *o,
				     struct gw_error *err)
{
	(void)x, (void)t, (void)err;
	json_t *spec = cp_spec_parse(r->spec), *config = cp_masked(spec);
	const char *key;
	json_t *v;
	json_object_foreach(spec, key, v)
		json_object_del(o, key);
	json_object_set_new(o, "config", config);
	/* A setting may carry one of these names; what the object itself has comes last. */
	json_object_set_new(o, "name", cp_text_json(r->name));
	json_object_set_new(o, "created_at", cp_time_json(r->created_at_ms));
	json_object_set_new(o, "updated_at", cp_time_json(r->updated_at_ms));
	json_object_set_new(o, "revision", json_integer((json_int_t)r->etag));
	json_decref(spec);
	return GW_OK;
}

static enum gw_rc view_price(struct cp_ctx *x, struct cp_txn *t, const struct cp_record *r, json_t *o, struct gw_error *err)
{
	(void)x, (void)t, (void)r, (void)err;
	json_object_set_new(o, "source", json_string("operator"));
	return GW_OK;
}

static const struct cp_kind_api kinds[GW_KIND_COUNT] = {
	[GW_KIND_SETTINGS] = { GW_KIND_SETTINGS, "SettingsWrite", "name", view_settings, seal_settings },
	[GW_KIND_PROVIDER] = { GW_KIND_PROVIDER, "ProviderWrite", "name", NULL, seal_provider },
	[GW_KIND_ROUTE] = { GW_KIND_ROUTE, "RouteWrite", "name", NULL, seal_plugins },
	[GW_KIND_GROUP] = { GW_KIND_GROUP, "GroupWrite", "name", NULL, seal_plugins },
	[GW_KIND_JWT_ISSUER] = { GW_KIND_JWT_ISSUER, "JwtIssuerWrite", "name", NULL, seal_jwt_issuer },
	[GW_KIND_PRICE] = { GW_KIND_PRICE, "PriceWrite", "name", view_price, NULL },
	[GW_KIND_QUOTA] = { GW_KIND_QUOTA, "QuotaWrite", "name", cp_view_quota, cp_keep_quota },
	[GW_KIND_CONSUMER] = { GW_KIND_CONSUMER, "ConsumerWrite", "name", view_consumer, seal_plugins },
	[GW_KIND_GLOBAL_PLUGIN] = { GW_KIND_GLOBAL_PLUGIN, NULL, "name", view_global_plugin, seal_global_plugin },
	[GW_KIND_ALERT] = { GW_KIND_ALERT, "AlertWrite", "name", NULL, cp_seal_alert },
	[GW_KIND_ALERT_CHANNEL] = { GW_KIND_ALERT_CHANNEL, "AlertChannelWrite", "name", NULL, cp_seal_alert_channel },
	[GW_KIND_SILENCE] = { GW_KIND_SILENCE, "SilenceWrite", "name", NULL, cp_seal_silence },
	[GW_KIND_USER] = { GW_KIND_USER, NULL, "username", view_user, NULL },
	[GW_KIND_TOKEN] = { GW_KIND_TOKEN, NULL, "id", view_token, NULL },
	[GW_KIND_JOIN_TOKEN] = { GW_KIND_JOIN_TOKEN, NULL, "id", view_token, NULL },
};

const struct cp_kind_api *cp_kind_api(enum gw_kind k)
{
	assert(kinds[k].key != NULL);
	return &kinds[k];
}

json_t *cp_view(struct cp_ctx *x, struct cp_txn *t, const struct cp_record *r, struct gw_error *err)
{
	const struct cp_kind_api *k = cp_kind_api(r->kind);
	json_t *spec = cp_spec_parse(r->spec), *masked = cp_masked(spec), *o = json_object();
	json_object_set_new(o, k->key, cp_text_json(r->name));
	json_object_update(o, masked);
	if (strcmp(k->key, "name") == 0)
		json_object_set_new(o, "name", cp_text_json(r->name));
	json_object_set_new(o, "created_at", cp_time_json(r->created_at_ms));
	json_object_set_new(o, "updated_at", cp_time_json(r->updated_at_ms));
	json_object_set_new(o, "revision", json_integer((json_int_t)r->etag));
	json_decref(spec);
	json_decref(masked);
	if (k->view != NULL && k->view(x, t, r, o, err) != GW_OK) {
		json_decref(o);
		return NULL;
	}
	return o;
}

json_t *cp_writable(const json_t *v)
{
	const char *key;
	json_t *member, *out;
	size_t i;
	if (json_is_array(v)) {
		out = json_array();
		json_array_foreach((json_t *)v, i, member)
			json_array_append_new(out, cp_writable(member));
		return out;
	}
	if (!json_is_object(v))
		return json_deep_copy(v);
	out = json_object();
	json_object_foreach((json_t *)v, key, member)
		if (!json_is_string(json_object_get(member, "sealed")))
			json_object_set_new(out, key, cp_writable(member));
	return out;
}
