/*
 * compile.c - one walk over the objects, two results: bytes for workers, a checked snapshot for ourselves.
 *
 * Objects are parsed one at a time and let go at once: ten thousand of them as one tree would take hundreds of
 * megabytes.  Only the keys of consumers are gathered first, since they travel inside objects that come earlier.
 */
#include "compile/compile.h"

#include "base/str.h"
#include "seal.h"

#define MAX_SPEC (16u << 20)

struct walk {
	json_t *keys;            /* consumer → its keys, owned */
	/* What becomes of each object; `spec` is borrowed. */
	enum gw_rc (*each)(struct walk *w, enum gw_kind k, struct gw_str name, json_t *spec);
	struct gw_error *err;
	enum gw_rc rc;
	/* check */
	struct gw_builder *builder;
	/* encode */
	struct gw_buf *out;
	const struct cp_keys *secrets;
	bool first;
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

static bool gather_key(void *arg, const struct cp_record *r)
{
	struct walk *w = arg;
	json_t *spec = NULL, *list = json_object_getn(w->keys, r->owner.p, r->owner.n), *key = json_object();
	w->rc = gw_json_parse(&spec, r->spec, MAX_SPEC, w->err);
	if (list == NULL) {
		list = json_array();
		json_object_setn_new(w->keys, r->owner.p, r->owner.n, list);
	}
	gw_json_set_str(key, "id", r->name);
	gw_json_set_str(key, "hash", r->ident);
	json_object_set(key, "type", json_object_get(spec, "type")); /* a key has none */
	json_object_set(key, "secret", json_object_get(spec, "secret"));
	json_object_set(key, "enabled", json_object_get(spec, "enabled"));
	json_object_set(key, "expires_at", json_object_get(spec, "expires_at"));
	json_array_append_new(list, key);
	json_decref(spec);
	return w->rc == GW_OK;
}

static bool visit(void *arg, const struct cp_record *r)
{
	struct walk *w = arg;
	json_t *spec = NULL;
	w->rc = gw_json_parse(&spec, r->spec, MAX_SPEC, w->err);
	if (w->rc != GW_OK)
		return false;
	json_object_del(spec, "description");
	json_object_del(spec, "labels");
	if (r->kind == GW_KIND_SETTINGS)
		json_object_del(spec, "console");
	if (r->kind == GW_KIND_CONSUMER) {
		json_t *keys = json_object_getn(w->keys, r->name.p, r->name.n);
		if (keys != NULL)
			json_object_set(spec, "keys", keys);
	}
	strip(spec);
	w->rc = w->each(w, r->kind, r->name, spec);
	json_decref(spec);
	return w->rc == GW_OK;
}

static enum gw_rc walk_kind(struct walk *w, struct cp_txn *t, enum gw_kind k)
{
	enum gw_rc rc = cp_each(t, k, GW_STR_NONE, visit, w, w->err);
	return w->rc != GW_OK ? w->rc : rc;
}

static enum gw_rc walk_open(struct walk *w, struct cp_txn *t)
{
	w->keys = json_object();
	enum gw_rc rc = cp_each(t, GW_KIND_CREDENTIAL, GW_STR_NONE, gather_key, w, w->err);
	return w->rc != GW_OK ? w->rc : rc;
}

/* ---- bytes ---- */

static enum gw_rc encode_one(struct walk *w, enum gw_kind k, struct gw_str name, json_t *spec)
{
	(void)k;
	enum gw_rc rc = gw_reseal(spec, w->secrets->master, w->secrets->snapshot, w->err);
	if (rc != GW_OK)
		return rc;
	if (!w->first)
		gw_buf_add_byte(w->out, ',');
	w->first = false;
	gw_buf_add_json(w->out, name);
	gw_buf_add_byte(w->out, ':');
	return gw_json_write(w->out, spec, true);
}

/* The kinds in the order of their names, which is that of canonical JSON.  Names come sorted from the store. */
static const enum gw_kind canonical[] = { GW_KIND_CONSUMER, GW_KIND_GLOBAL_PLUGIN, GW_KIND_GROUP, GW_KIND_JWT_ISSUER, GW_KIND_PROVIDER, GW_KIND_ROUTE, GW_KIND_SETTINGS };

static enum gw_rc encode(struct walk *w, struct cp_txn *t, const char *epoch)
{
	enum gw_rc rc = GW_OK;
	gw_buf_printf(w->out, "{\"epoch\":\"%s\",\"format\":%d,\"objects\":{", epoch, GW_SNAPSHOT_FORMAT);
	for (size_t i = 0; i < GW_COUNT(canonical) && rc == GW_OK; i++) {
		gw_buf_printf(w->out, "%s\"%s\":{", i ? "," : "", gw_kind_path(canonical[i]));
		w->first = true;
		rc = walk_kind(w, t, canonical[i]);
		gw_buf_add_byte(w->out, '}');
	}
	json_t *pepper = gw_seal(w->secrets->snapshot, gw_str_c(w->secrets->pepper));
	gw_buf_add_c(w->out, "},\"pepper\":");
	if (rc == GW_OK)
		rc = gw_json_write(w->out, pepper, true);
	json_decref(pepper);
	gw_buf_printf(w->out, ",\"revision\":%llu}", (unsigned long long)cp_txn_revision(t));
	if (rc == GW_OK && w->out->full)
		rc = gw_fail(w->err, GW_TOOBIG, NULL, "the configuration is larger than %u MiB", GW_SNAPSHOT_MAX_BYTES >> 20);
	return rc;
}

enum gw_rc cp_compile(struct gw_buf *out, struct gw_digest *digest, uint64_t *revision, struct cp_txn *t,
		      const char *epoch, const struct cp_keys *keys, struct gw_error *err)
{
	struct walk w = { .each = encode_one, .err = err, .out = out, .secrets = keys };
	gw_buf_clear(out);
	*revision = cp_txn_revision(t);
	enum gw_rc rc = walk_open(&w, t);
	if (rc == GW_OK)
		rc = encode(&w, t, epoch);
	json_decref(w.keys);
	if (rc == GW_OK)
		gw_snapshot_digest_of(digest, gw_buf_str(out));
	else
		gw_buf_clear(out);
	return rc;
}

/* ---- a checked snapshot ---- */

static enum gw_rc check_one(struct walk *w, enum gw_kind k, struct gw_str name, json_t *spec)
{
	enum gw_rc rc = gw_builder_add(w->builder, k, name, spec, w->err);
	if (rc != GW_OK)
		gw_error_prefix(w->err, "/%s/%.*s", gw_kind_path(k), GW_FMT(name));
	return rc;
}

enum gw_rc cp_compile_check(struct gw_snapshot **out, struct cp_txn *t, const char *epoch,
			    const struct gw_catalog *catalog, const struct cp_keys *keys, struct gw_error *err)
{
	struct walk w = { .each = check_one, .err = err };
	(void)keys; /* secrets are checked in their sealed form */
	*out = NULL;
	enum gw_rc rc = walk_open(&w, t);
	if (rc == GW_OK)
		rc = gw_builder_open(&w.builder, catalog, cp_txn_revision(t), gw_str_c(epoch), true);
	for (int k = 0; k < GW_KIND_COUNT && rc == GW_OK; k++)
		if (gw_kind_travels((enum gw_kind)k))
			rc = walk_kind(&w, t, (enum gw_kind)k);
	if (rc == GW_OK)
		rc = gw_builder_seal(&w.builder, out, err);
	gw_builder_drop(&w.builder);
	json_decref(w.keys);
	return rc;
}
