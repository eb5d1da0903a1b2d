/*
 * spec_consumer.c - one consumer with the hashes of its keys, and one group of consumers.
 */
#include "base/bytes.h"
#include "base/str.h"
#include "base/time.h"
#include "spec.h"

#define CONSUMER_KEYS_MAX 1000

static const char name_rule[] =
    "must be a name of 1 to 63 lower-case letters, digits, and `.` or `-` inside";
static const struct gw_spec_list models = { "models", 256, 256, gw_models_entry_valid,
	"must be a model of at most 256 bytes (`*` stands for any text), `target:PROVIDER/MODEL` or `route:NAME`" };

static enum gw_rc read_key(struct gw_spec *s, const json_t *o, struct gw_consumer_key *out,
    struct gw_error *err)
{
	static const char *const names[] = { "id", "hash", "type", "secret", "enabled", "expires_at", NULL };
	static const char *const types[] = {
#define X(name, text) text,
		GW_CREDENTIAL_TABLE(X)
#undef X
		NULL
	};
	int type = GW_CREDENTIAL_KEY;
	struct gw_str id = GW_STR_NONE, hash = GW_STR_NONE, expires = GW_STR_NONE;
	*out = (struct gw_consumer_key){ .enabled = true };
	if (!json_is_object(o))
		return gw_fail(err, GW_INVALID, NULL, "a key must be an object with `id` and `hash`");
	enum gw_rc rc = gw_spec_members(s, o, names, err);
	if (rc == GW_OK)
		rc = gw_spec_text(o, "id", 1, 128, &id, err);
	if (rc == GW_OK)
		rc = gw_spec_text(o, "hash", 1, 64, &hash, err);
	if (rc == GW_OK)
		rc = gw_spec_word(o, "type", types, &type, err);
	if (rc == GW_OK)
		rc = gw_spec_secret(s, o, "secret", &out->secret, err);
	if (rc == GW_OK)
		rc = gw_json_bool(o, "enabled", &out->enabled, err);
	if (rc == GW_OK)
		rc = gw_spec_text(o, "expires_at", 1, 64, &expires, err);
	if (rc != GW_OK)
		return rc;
	if (!id.p)
		return gw_fail(err, GW_INVALID, "/id", "`id` is required");
	if (!gw_unhex(out->hash, sizeof out->hash, hash))
		return gw_fail(err, GW_INVALID, "/hash", "`hash` must be 64 hexadecimal digits");
	if (expires.p && !gw_time_parse(expires, &out->expires_at_ms))
		return gw_fail(err, GW_INVALID, "/expires_at",
		    "`expires_at` must be a time such as 2026-11-23T08:18:00Z");
	/* 0 means "never"; a date before that is over in any case. */
	if (expires.p && out->expires_at_ms <= 0)
		out->expires_at_ms = 1;
	out->id = gw_arena_copy(s->arena, id);
	out->type = (enum gw_credential)type;
	return GW_OK;
}

static enum gw_rc read_keys(struct gw_spec *s, const json_t *o, struct gw_consumer_key **keys,
    size_t *n_keys, struct gw_error *err)
{
	json_t *list, *item;
	size_t i;
	*n_keys = 0;
	*keys = NULL;
	enum gw_rc rc = gw_spec_array(o, "keys", CONSUMER_KEYS_MAX, &list, err);
	if (rc != GW_OK || !list)
		return rc;
	struct gw_consumer_key *v = gw_arena_array(s->arena, json_array_size(list), sizeof *v);
	json_array_foreach(list, i, item) {
		rc = read_key(s, item, &v[i], err);
		if (rc != GW_OK) {
			gw_error_prefix(err, "/keys/%zu", i);
			return rc;
		}
	}
	*keys = v;
	*n_keys = json_array_size(list);
	return GW_OK;
}

enum gw_rc gw_spec_consumer(struct gw_spec *s, const json_t *o, struct gw_consumer *out,
    struct gw_consumer_key **keys, size_t *n_keys, struct gw_error *err)
{
	static const char *const names[] = { "description", "labels", "enabled", "groups", "models",
		"plugins", "keys", NULL };
	static const struct gw_spec_list groups = { "groups", 64, 63, gw_name_valid, name_rule };
	static const struct gw_str any[] = { { "*", 1 } };
	if (!json_is_object(o))
		return gw_fail(err, GW_INVALID, NULL, "a consumer must be an object");
	out->models = (struct gw_strv){ any, 1 };
	enum gw_rc rc = gw_spec_members(s, o, names, err);
	if (rc == GW_OK)
		rc = gw_spec_common(s, o, &out->enabled, err);
	if (rc == GW_OK)
		rc = gw_spec_texts(s, o, &groups, &out->groups, err);
	if (rc == GW_OK)
		rc = gw_spec_texts(s, o, &models, &out->models, err);
	if (rc == GW_OK)
		rc = gw_spec_plugins(s, o, (struct gw_spec_owner){ GW_SCOPE_CONSUMER, out->name },
		    &out->plugins, err);
	if (rc == GW_OK)
		rc = read_keys(s, o, keys, n_keys, err);
	return rc;
}

enum gw_rc gw_spec_group(struct gw_spec *s, const json_t *o, struct gw_group *out, struct gw_error *err)
{
	static const char *const names[] = { "description", "labels", "enabled", "models", "plugins",
		NULL };
	if (!json_is_object(o))
		return gw_fail(err, GW_INVALID, NULL, "a group must be an object");
	json_t *list;
	enum gw_rc rc = gw_spec_members(s, o, names, err);
	if (rc == GW_OK)
		rc = gw_spec_common(s, o, &out->enabled, err);
	if (rc == GW_OK)
		rc = gw_spec_array(o, models.name, models.max_entries, &list, err);
	if (rc == GW_OK)
		rc = gw_spec_texts(s, o, &models, &out->models, err);
	if (rc == GW_OK)
		rc = gw_spec_plugins(s, o, (struct gw_spec_owner){ GW_SCOPE_GROUP, out->name }, &out->plugins,
		    err);
	out->bounds_models = rc == GW_OK && list;
	return rc;
}
