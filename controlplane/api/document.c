/*
 * document.c - the configuration as one document, and the difference between two of them.
 *
 * Inside, a configuration is what cp_config_at() gives: {"routes":{"r1":{"spec","owner","ident"}},…}.
 */
#include "api/internal.h"

static const enum gw_kind order[] = { GW_KIND_SETTINGS, GW_KIND_PROVIDER, GW_KIND_GROUP, GW_KIND_CONSUMER, GW_KIND_JWT_ISSUER, GW_KIND_ROUTE, GW_KIND_PRICE,
	GW_KIND_QUOTA, GW_KIND_GLOBAL_PLUGIN, GW_KIND_ALERT_CHANNEL, GW_KIND_ALERT, GW_KIND_SILENCE };

/* The keys of one consumer, or its credentials of other types, in the form of a document; owned. */
static json_t *keys_of(const json_t *config, const char *consumer, bool keys, bool with_hash)
{
	json_t *out = json_array(), *o;
	const char *id;
	json_object_foreach(json_object_get(config, gw_kind_path(GW_KIND_CREDENTIAL)), id, o) {
		if (!gw_str_is(gw_json_str(json_object_get(o, "owner")), consumer))
			continue;
		if (cp_is_key(json_object_get(o, "spec")) != keys)
			continue;
		json_t *key = cp_identity_shown(json_object_get(o, "spec"));
		if (with_hash)
			json_object_set(key, "ident", json_object_get(o, "ident"));
		json_array_append_new(out, key);
	}
	return out;
}

/* One object without its secrets: masked for people, or writable for a document; owned. */
static json_t *object_json(const json_t *config, enum gw_kind k, const char *name, const json_t *spec, bool writable)
{
	json_t *o = json_object(), *body = writable ? cp_writable(spec) : cp_masked(spec);
	if (k != GW_KIND_SETTINGS && k != GW_KIND_GLOBAL_PLUGIN)
		json_object_set_new(o, "name", json_string(name));
	json_object_update(o, body);
	json_decref(body);
	if (k == GW_KIND_CONSUMER) {
		json_object_set_new(o, "keys", keys_of(config, name, true, false));
		json_object_set_new(o, "credentials", keys_of(config, name, false, false));
	}
	return o;
}

json_t *cp_document(const json_t *config, uint64_t revision)
{
	static const struct { enum gw_kind kind; const char *member; } lists[] = {
		{ GW_KIND_PROVIDER, "providers" }, { GW_KIND_ROUTE, "routes" }, { GW_KIND_CONSUMER, "consumers" }, { GW_KIND_GROUP, "groups" }, { GW_KIND_JWT_ISSUER, "jwt_issuers" },
		{ GW_KIND_PRICE, "prices" }, { GW_KIND_QUOTA, "quotas" }, { GW_KIND_ALERT_CHANNEL, "alert_channels" }, { GW_KIND_ALERT, "alerts" },
		{ GW_KIND_SILENCE, "silences" },
	};
	const char *name;
	json_t *doc = json_object(), *o, *plugins = json_object();
	json_object_set_new(doc, "format", json_integer(1));
	json_object_set_new(doc, "revision", json_integer((json_int_t)revision));
	json_object_set_new(doc, "exported_at", cp_time_json(gw_now_ms()));
	json_object_foreach(json_object_get(config, gw_kind_path(GW_KIND_SETTINGS)), name, o)
		json_object_set_new(doc, "settings", object_json(config, GW_KIND_SETTINGS, name, json_object_get(o, "spec"), true));
	for (size_t i = 0; i < GW_COUNT(lists); i++) {
		json_t *list = json_array();
		json_object_foreach(json_object_get(config, gw_kind_path(lists[i].kind)), name, o)
			json_array_append_new(list, object_json(config, lists[i].kind, name, json_object_get(o, "spec"), true));
		json_object_set_new(doc, lists[i].member, list);
	}
	json_object_foreach(json_object_get(config, gw_kind_path(GW_KIND_GLOBAL_PLUGIN)), name, o)
		json_object_set_new(plugins, name, cp_writable(json_object_get(o, "spec")));
	json_object_set_new(doc, "global_plugins", plugins);
	return doc;
}

static bool differs(const json_t *from, const json_t *to, enum gw_kind k, const char *name, const json_t *a, const json_t *b)
{
	if (a == NULL || b == NULL || !json_equal(json_object_get(a, "spec"), json_object_get(b, "spec")))
		return true;
	if (k != GW_KIND_CONSUMER)
		return false;
	for (int keys = 0; keys < 2; keys++) {
		json_t *x = keys_of(from, name, keys, true), *y = keys_of(to, name, keys, true);
		bool out = !json_equal(x, y);
		json_decref(x);
		json_decref(y);
		if (out)
			return true;
	}
	return false;
}

static void add_change(json_t *out, const json_t *from, const json_t *to, enum gw_kind k, const char *name)
{
	const char *path = gw_kind_path(k);
	json_t *a = json_object_get(json_object_get(from, path), name), *b = json_object_get(json_object_get(to, path), name);
	if (!differs(from, to, k, name, a, b))
		return;
	json_t *o = json_object();
	json_object_set_new(o, "op", json_string(a == NULL ? "create" : b == NULL ? "delete" : "change"));
	json_object_set_new(o, "kind", json_string(cp_kind_singular(k)));
	json_object_set_new(o, "name", json_string(name));
	json_object_set_new(o, "before", a == NULL ? json_null() : object_json(from, k, name, json_object_get(a, "spec"), false));
	json_object_set_new(o, "after", b == NULL ? json_null() : object_json(to, k, name, json_object_get(b, "spec"), false));
	json_array_append_new(out, o);
}

json_t *cp_diff(const json_t *from, const json_t *to)
{
	json_t *out = json_array(), *o;
	const char *name;
	for (size_t i = 0; i < GW_COUNT(order); i++) {
		json_t *before = json_object_get(from, gw_kind_path(order[i])), *after = json_object_get(to, gw_kind_path(order[i]));
		json_object_foreach(after, name, o)
			add_change(out, from, to, order[i], name);
		json_object_foreach(before, name, o)
			if (json_object_get(after, name) == NULL)
				add_change(out, from, to, order[i], name);
	}
	return out;
}
