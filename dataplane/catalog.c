/* catalog.c - what is linked into this worker, described as data. */
#include "catalog.h"

#include "base/str.h"
#include "plugin_host.h"
#include "provider.h"

static json_t *both(const char *en, const char *zh)
{
	json_t *o = json_object();

	gw_json_set_str(o, "en", gw_str_c(en));
	gw_json_set_str(o, "zh", gw_str_c(zh));
	return o;
}

static void set_text(json_t *o, const char *name, const char *text)
{
	if (text)
		gw_json_set_str(o, name, gw_str_c(text));
	else
		json_object_set_new(o, name, json_null());
}

/* What can be asked of it, behind "/v1": so that the control plane can tell that nobody on a route speaks an API. */
static json_t *paths_of(const struct dp_provider *p)
{
	json_t *list = json_array();
	const struct dp_operation *op;

	for (size_t i = 0; (op = dp_operation_at(i)); i++)
		if (op->dialect && dp_provider_speaks(p, op->dialect))
			json_array_append_new(list, json_string(op->path));
	return list;
}

static json_t *about_provider(const struct dp_provider *p)
{
	json_t *o = json_object(), *dialects = json_array(), *models = json_array();

	json_object_set_new(o, "label", both(p->label, p->label_zh));
	json_object_set_new(o, "doc", both(p->doc, p->doc_zh));
	set_text(o, "default_base_url", p->base_url);
	json_object_set_new(o, "base_url_required", json_boolean(!p->base_url));
	json_object_set_new(o, "api_key_required", json_boolean(p->api_key_required));
	set_text(o, "docs_url", p->docs_url);
	for (size_t i = 0; p->dialects[i]; i++)
		json_array_append_new(dialects, json_string(p->dialects[i]->name));
	json_object_set_new(o, "dialects", dialects);
	json_object_set_new(o, "paths", paths_of(p));
	for (size_t i = 0; p->models && p->models[i]; i++)
		json_array_append_new(models, json_string(p->models[i]));
	json_object_set_new(o, "models", models);
	return o;
}

static json_t *about_plugin(const struct dp_plugin *p)
{
	json_t *o = json_object();

	json_object_set_new(o, "label", both(p->label, p->label_zh));
	json_object_set_new(o, "doc", both(p->doc, p->doc_zh));
	gw_json_set_str(o, "rank", gw_str_c(dp_rank_name(p->rank)));
	json_object_set_new(o, "adds_up", json_boolean(p->adds_up));
	return o;
}

struct gw_catalog *dp_catalog_build(void)
{
	struct gw_catalog *c = gw_catalog_open();
	const struct dp_provider *provider;
	const struct dp_plugin *plugin;

	for (size_t i = 0; (plugin = dp_plugin_at(i)); i++)
		gw_catalog_add(c, GW_CAT_PLUGINS, &(struct gw_module){ .name = plugin->name, .fields = plugin->fields,
			.conf_size = plugin->conf_size, .check = plugin->check, .about = about_plugin(plugin) });
	for (size_t i = 0; (provider = dp_provider_at(i)); i++)
		gw_catalog_add(c, GW_CAT_PROVIDER_TYPES, &(struct gw_module){ .name = provider->type,
			.fields = provider->fields, .conf_size = provider->conf_size, .check = provider->check,
			.about = about_provider(provider) });
	return c;
}
