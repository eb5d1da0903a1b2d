/*
 * snapshot_decode.c - bytes from the channel or from disk become a snapshot, or one error.
 */
#include "base/bytes.h"
#include "base/str.h"
#include "seal.h"
#include "snapshot_impl.h"

#include <stdio.h>

struct head {
	int64_t format, revision;
	struct gw_str epoch;
	json_t *objects, *pepper;
};

static enum gw_rc read_head(const json_t *doc, struct head *h, struct gw_error *err)
{
	*h = (struct head){ .format = -1, .revision = -1 };
	if (!json_is_object(doc))
		return gw_fail(err, GW_INVALID, NULL, "a snapshot must be an object");
	enum gw_rc rc = gw_json_int(doc, "format", 1, INT32_MAX, &h->format, err);
	if (rc != GW_OK)
		return rc;
	if (h->format < 0)
		return gw_fail(err, GW_INVALID, "/format", "`format` is missing");
	if (h->format > GW_SNAPSHOT_FORMAT)
		return gw_fail(err, GW_VERSION, "/format",
		    "the snapshot has format %lld, and formats up to %d are understood here",
		    (long long)h->format, GW_SNAPSHOT_FORMAT);
	rc = gw_json_int(doc, "revision", 0, INT64_MAX, &h->revision, err);
	if (rc == GW_OK)
		rc = gw_json_text(doc, "epoch", &h->epoch, err);
	if (rc != GW_OK)
		return rc;
	if (h->revision < 0)
		return gw_fail(err, GW_INVALID, "/revision", "`revision` is missing");
	if (!gw_epoch_valid(h->epoch))
		return gw_fail(err, GW_INVALID, "/epoch", "`epoch` must be 16 hexadecimal digits");
	h->objects = json_object_get(doc, "objects");
	if (!json_is_object(h->objects))
		return gw_fail(err, GW_INVALID, "/objects", "`objects` must be an object");
	h->pepper = json_object_get(doc, "pepper");
	return GW_OK;
}

enum gw_rc gw_builder_add_all(struct gw_builder *b, const json_t *objects, bool diff, struct gw_error *err)
{
	const char *path, *name;
	json_t *members, *spec;
	json_object_foreach((json_t *)objects, path, members) {
		enum gw_kind k;
		if (!gw_kind_parse(gw_str_c(path), &k) || !gw_kind_travels(k)) {
			gw_builder_count_unknown(b);
			continue;
		}
		if (!json_is_object(members)) {
			char where[64];
			snprintf(where, sizeof where, "/objects/%s", path);
			return gw_fail(err, GW_INVALID, where, "`%s` must be an object", path);
		}
		json_object_foreach(members, name, spec) {
			enum gw_rc rc = GW_OK;
			if (diff && json_is_null(spec))
				gw_builder_del(b, k, gw_str_c(name));
			else
				rc = gw_builder_add(b, k, gw_str_c(name), spec, err);
			if (rc != GW_OK) {
				char token[GW_POINTER_LEN];
				gw_json_pointer(token, gw_str_c(name));
				gw_error_prefix(err, "/objects/%s/%s", path, token);
				return rc;
			}
		}
	}
	return GW_OK;
}

/* The pepper is opened into an arena of its own, since the builder's is not ours to fill. */
enum gw_rc gw_builder_read_pepper(struct gw_builder *b, const json_t *v, const uint8_t key[32], struct gw_error *err)
{
	struct gw_str pepper = GW_STR_NONE;
	if (!v || json_is_null(v)) {
		if (gw_builder_has_keys(b))
			return gw_fail(err, GW_INVALID, "/pepper",
			    "`pepper` is missing, so no consumer's key could be recognised");
		return GW_OK;
	}
	struct gw_arena *a = gw_arena_open(256);
	enum gw_rc rc = gw_unseal_value(key, v, a, &pepper, err);
	if (rc == GW_OK) {
		gw_builder_set_pepper(b, pepper);
		gw_builder_set_sealed_pepper(b, v);
	} else {
		gw_error_prefix(err, "/pepper");
	}
	gw_arena_close(&a);
	return rc;
}

static size_t count_unknown(const json_t *doc)
{
	static const char *const known[] = { "epoch", "format", "objects", "pepper", "revision" };
	size_t n = json_object_size(doc);
	for (size_t i = 0; i < GW_COUNT(known); i++)
		n -= json_object_get(doc, known[i]) != NULL;
	return n;
}

static enum gw_rc decode(struct gw_snapshot **out, const json_t *doc, const uint8_t key[32],
    const struct gw_catalog *cat, struct gw_error *err)
{
	struct head h;
	struct gw_builder *b;
	struct gw_unseal unseal = { key };
	enum gw_rc rc = read_head(doc, &h, err);
	if (rc == GW_OK)
		rc = gw_builder_open(&b, cat, (uint64_t)h.revision, h.epoch, false);
	if (rc != GW_OK)
		return rc;
	gw_builder_set_unseal(b, &unseal);
	for (size_t n = count_unknown(doc); n; n--)
		gw_builder_count_unknown(b);
	rc = gw_builder_add_all(b, h.objects, false, err);
	if (rc == GW_OK)
		rc = gw_builder_read_pepper(b, h.pepper, key, err);
	if (rc != GW_OK) {
		gw_builder_drop(&b);
		return rc;
	}
	rc = gw_builder_seal(&b, out, err);
	if (rc != GW_OK)
		gw_error_prefix(err, "/objects");
	return rc;
}

enum gw_rc gw_snapshot_decode(struct gw_snapshot **out, struct gw_str bytes,
    const uint8_t snapshot_key[32], const struct gw_catalog *cat, size_t max_bytes, struct gw_error *err)
{
	json_t *doc;
	*out = NULL;
	if (max_bytes > GW_SNAPSHOT_MAX_BYTES)
		max_bytes = GW_SNAPSHOT_MAX_BYTES;
	enum gw_rc rc = gw_json_parse(&doc, bytes, max_bytes, err);
	if (rc != GW_OK)
		return rc;
	rc = decode(out, doc, snapshot_key, cat, err);
	json_decref(doc);
	if (rc == GW_OK)
		gw_snapshot_digest_of(&(*out)->digest, bytes);
	return rc;
}
