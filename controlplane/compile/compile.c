/* compile.c - one walk over the objects, two results: bytes for workers, a checked snapshot for ourselves. */
#include "compile/compile.h"

#include "base/str.h"
#include "seal.h"

#define MAX_SPEC (16u << 20)

struct gather {
	json_t *objects;         /* {"routes":{…},…}, owned by the caller */
	json_t *of_kind;         /* the member being filled */
	struct gw_error *err;
	enum gw_rc rc;
};

/* {"sealed","last4",…} → {"sealed"}: what people see of a secret does not travel. */
static void strip(json_t *v)
{
	const char *key;
	json_t *member;
	size_t i;
	if (json_is_array(v)) {
		json_array_foreach(v, i, member)
			strip(member);
	} else if (json_is_object(v)) {
		json_t *sealed = json_object_get(v, "sealed");
		if (json_is_string(sealed)) {
			json_incref(sealed);
			json_object_clear(v);
			json_object_set_new(v, "sealed", sealed);
			return;
		}
		json_object_foreach(v, key, member)
			strip(member);
	}
}

static bool add_object(void *arg, const struct cp_record *r)
{
	struct gather *g = arg;
	json_t *spec = NULL;
	g->rc = gw_json_parse(&spec, r->spec, MAX_SPEC, g->err);
	if (g->rc != GW_OK)
		return false;
	json_object_del(spec, "description");
	json_object_del(spec, "labels");
	if (r->kind == GW_KIND_SETTINGS)
		json_object_del(spec, "console");
	strip(spec);
	json_object_setn_new(g->of_kind, r->name.p, r->name.n, spec);
	return true;
}

static bool add_key(void *arg, const struct cp_record *r)
{
	struct gather *g = arg;
	json_t *spec = NULL, *consumer = json_object_getn(g->of_kind, r->owner.p, r->owner.n);
	if (consumer == NULL)
		return true;
	g->rc = gw_json_parse(&spec, r->spec, MAX_SPEC, g->err);
	if (g->rc != GW_OK)
		return false;
	json_t *keys = json_object_get(consumer, "keys"), *key = json_object();
	if (keys == NULL) {
		keys = json_array();
		json_object_set_new(consumer, "keys", keys);
	}
	gw_json_set_str(key, "id", r->name);
	gw_json_set_str(key, "hash", r->ident);
	json_object_set(key, "enabled", json_object_get(spec, "enabled"));
	json_object_set(key, "expires_at", json_object_get(spec, "expires_at"));
	json_array_append_new(keys, key);
	json_decref(spec);
	return true;
}

static enum gw_rc gather(struct cp_txn *t, json_t **out, struct gw_error *err)
{
	struct gather g = { .objects = json_object(), .err = err };
	enum gw_rc rc = GW_OK;
	for (int k = 0; k < GW_KIND_COUNT && rc == GW_OK; k++) {
		if (!gw_kind_travels((enum gw_kind)k))
			continue;
		g.of_kind = json_object();
		json_object_set_new(g.objects, gw_kind_path((enum gw_kind)k), g.of_kind);
		rc = cp_each(t, (enum gw_kind)k, GW_STR_NONE, add_object, &g, err);
		if (rc == GW_OK)
			rc = g.rc;
	}
	if (rc == GW_OK) {
		g.of_kind = json_object_get(g.objects, gw_kind_path(GW_KIND_CONSUMER));
		rc = cp_each(t, GW_KIND_CREDENTIAL, GW_STR_NONE, add_key, &g, err);
		if (rc == GW_OK)
			rc = g.rc;
	}
	if (rc != GW_OK)
		json_decref(g.objects);
	else
		*out = g.objects;
	return rc;
}

enum gw_rc cp_compile(struct gw_buf *out, struct gw_digest *digest, uint64_t *revision, struct cp_txn *t,
		      const char *epoch, const struct cp_keys *keys, struct gw_error *err)
{
	json_t *objects = NULL;
	gw_buf_clear(out);
	*revision = cp_txn_revision(t);
	enum gw_rc rc = gather(t, &objects, err);
	if (rc == GW_OK)
		rc = gw_reseal(objects, keys->master, keys->snapshot, err);
	if (rc == GW_OK) {
		json_t *pepper = gw_seal(keys->snapshot, gw_str_c(keys->pepper));
		rc = gw_snapshot_encode(out, *revision, gw_str_c(epoch), objects, pepper, err);
		json_decref(pepper);
	}
	json_decref(objects);
	if (rc == GW_OK)
		gw_snapshot_digest_of(digest, gw_buf_str(out));
	else
		gw_buf_clear(out);
	return rc;
}

enum gw_rc cp_compile_check(struct gw_snapshot **out, struct cp_txn *t, const char *epoch,
			    const struct gw_catalog *catalog, const struct cp_keys *keys, struct gw_error *err)
{
	struct gw_builder *b = NULL;
	json_t *objects = NULL, *of_kind, *spec;
	const char *kind_name, *name;
	(void)keys; /* secrets are checked in their sealed form */
	*out = NULL;
	enum gw_rc rc = gather(t, &objects, err);
	if (rc == GW_OK)
		rc = gw_builder_open(&b, catalog, cp_txn_revision(t), gw_str_c(epoch), true);
	if (rc != GW_OK) {
		json_decref(objects);
		return rc;
	}
	json_object_foreach(objects, kind_name, of_kind) {
		enum gw_kind kind;
		if (!gw_kind_parse(gw_str_c(kind_name), &kind))
			continue;
		json_object_foreach(of_kind, name, spec) {
			rc = gw_builder_add(b, kind, gw_str_c(name), spec, err);
			if (rc != GW_OK) {
				gw_error_prefix(err, "/%s/%s", kind_name, name);
				goto out;
			}
		}
	}
	rc = gw_builder_seal(&b, out, err);
out:
	gw_builder_drop(&b);
	json_decref(objects);
	return rc;
}
