/* catalogue.c - what the workers of this release can do, and plugins switched on for everybody. */
#include "api/internal.h"

/* The fields of a module in the document's form: the catalogue leaves out what does not apply. */
static json_t *fields_json(const json_t *module)
{
	static const char *const always[] = { "min", "max", "default" };
	json_t *out = json_deep_copy(json_object_get(module, "fields")), *f;
	size_t i;
	if (out == NULL)
		return json_array();
	json_array_foreach(out, i, f) {
		for (size_t k = 0; k < GW_COUNT(always); k++)
			if (json_object_get(f, always[k]) == NULL)
				json_object_set_new(f, always[k], json_null());
		if (!json_is_array(json_object_get(f, "options")))
			json_object_set_new(f, "options", json_array());
		if (json_object_get(f, "required") == NULL)
			json_object_set_new(f, "required", json_false());
	}
	return out;
}

static void copy(json_t *to, const json_t *from, const char *name, json_t *otherwise)
{
	json_t *v = json_object_get(from, name);
	json_object_set_new(to, name, v != NULL ? json_deep_copy(v) : json_incref(otherwise));
	json_decref(otherwise);
}

static json_t *text2(const char *word)
{
	json_t *o = json_object();
	json_object_set_new(o, "en", json_string(word));
	json_object_set_new(o, "zh", json_string(word));
	return o;
}

static json_t *type_json(const json_t *m)
{
	const char *name = json_string_value(json_object_get(m, "name"));
	json_t *o = json_object();
	bool has_url = json_is_string(json_object_get(m, "default_base_url"));
	json_object_set_new(o, "type", json_string(name));
	copy(o, m, "label", text2(name));
	copy(o, m, "default_base_url", json_null());
	copy(o, m, "dialects", json_array());
	copy(o, m, "base_url_required", json_boolean(!has_url));
	copy(o, m, "api_key_required", json_true());
	json_object_set_new(o, "options", fields_json(m));
	copy(o, m, "models", json_array());
	copy(o, m, "docs_url", json_null());
	copy(o, m, "doc", text2(""));
	return o;
}

static json_t *plugin_json(const json_t *m)
{
	const char *name = json_string_value(json_object_get(m, "name"));
	json_t *o = json_object();
	json_object_set_new(o, "name", json_string(name));
	copy(o, m, "label", text2(name));
	copy(o, m, "rank", json_string("ROUTE"));
	copy(o, m, "adds_up", json_false());
	copy(o, m, "doc", text2(""));
	json_object_set_new(o, "fields", fields_json(m));
	return o;
}

static void answer_set(struct cp_ctx *x, const char *set, json_t *(*make)(const json_t *m))
{
	json_t *items = json_array(), *m;
	size_t i;
	json_array_foreach(json_object_get(x->app->catalog_json, set), i, m)
		json_array_append_new(items, make(m));
	cp_answer(x, 200, cp_list_json(items, NULL, (int64_t)json_array_size(items)));
}

static void answer_one(struct cp_ctx *x, const char *set, const char *what, json_t *(*make)(const json_t *m))
{
	json_t *m;
	size_t i;
	json_array_foreach(json_object_get(x->app->catalog_json, set), i, m) {
		if (gw_str_eq(gw_json_str(json_object_get(m, "name")), x->param[0])) {
			cp_answer(x, 200, make(m));
			return;
		}
	}
	cp_problem(x, 404, "not-found", NULL, "there is no %s \"%.*s\" in this release", what, GW_FMT(x->param[0]));
}

void cp_api_list_provider_types(struct cp_ctx *x) { answer_set(x, "provider_types", type_json); }
void cp_api_get_provider_type(struct cp_ctx *x) { answer_one(x, "provider_types", "provider type", type_json); }
void cp_api_list_plugins(struct cp_ctx *x) { answer_set(x, "plugins", plugin_json); }
void cp_api_get_plugin(struct cp_ctx *x) { answer_one(x, "plugins", "plugin", plugin_json); }

/* ---- for everybody ---- */

struct listing { struct cp_ctx *x; struct cp_txn *t; json_t *items; };

static bool add(void *arg, const struct cp_record *r)
{
	struct listing *l = arg;
	json_t *o = cp_view(l->x, l->t, r, NULL);
	if (o != NULL)
		json_array_append_new(l->items, o);
	return true;
}

void cp_api_list_global_plugins(struct cp_ctx *x)
{
	struct gw_error err = { 0 };
	struct listing l = { .x = x, .items = json_array() };
	enum gw_rc rc = cp_txn_begin(&l.t, x->app->store, &err);
	if (rc == GW_OK)
		rc = cp_each(l.t, GW_KIND_GLOBAL_PLUGIN, GW_STR_NONE, add, &l, &err);
	cp_txn_end(&l.t);
	if (rc == GW_OK) {
		cp_answer(x, 200, cp_list_json(l.items, NULL, (int64_t)json_array_size(l.items)));
	} else {
		json_decref(l.items);
		cp_problem_error(x, &err);
	}
}

void cp_api_get_global_plugin(struct cp_ctx *x) { cp_read(x, GW_KIND_GLOBAL_PLUGIN, x->param[0]); }
void cp_api_delete_global_plugin(struct cp_ctx *x) { cp_remove(x, GW_KIND_GLOBAL_PLUGIN, x->param[0]); }

void cp_api_put_global_plugin(struct cp_ctx *x)
{
	const struct gw_module *m = gw_catalog_find(x->app->catalog, GW_CAT_PLUGINS, x->param[0]);
	if (m == NULL) {
		cp_problem(x, 404, "not-found", NULL, "there is no plugin \"%.*s\" in this release", GW_FMT(x->param[0]));
		return;
	}
	/* The specification of a global plugin is its settings; the body wraps them in `config`. */
	json_t *config = json_incref(json_object_get(x->body, "config"));
	json_decref(x->body);
	x->body = config;
	cp_write(x, GW_KIND_GLOBAL_PLUGIN, x->param[0], false, true);
}
