/*
 * snapshot_diff.c - what lies between two revisions, and the state that both sides compare.
 *
 * Snapshots that follow each other share what did not change, so the difference of two is found by walking only where
 * their maps part.
 */
#include "base/bytes.h"
#include "base/str.h"
#include "seal.h"
#include "snapshot_impl.h"

#include <stdio.h>
#include <stdlib.h>

void gw_snapshot_state(struct gw_digest *out, const struct gw_snapshot *s)
{
	char text[512];
	char hex[GW_HEX_LEN(32)], pepper[GW_HEX_LEN(32)];
	uint8_t sum[32];
	GW_CHECK(s, GW_SNAPSHOT_MAGIC);
	gw_hex(hex, s->sum, sizeof s->sum);
	gw_sha256(sum, s->sealed_pepper);
	gw_hex(pepper, sum, sizeof sum);
	snprintf(text, sizeof text, "tidegate state 1\n%.*s\n%llu\n%s\n%s\n", GW_FMT(s->epoch),
	    (unsigned long long)s->revision, pepper, hex);
	gw_sha256(out->sha256, gw_str_c(text));
}

/* ---- the difference ---- */

struct changed {
	struct gw_str name;
	const struct gw_entry *after;
};

struct changes {
	struct changed *v;
	size_t n, room;
};

static void note(void *arg, struct gw_str name, void *before, void *after)
{
	struct changes *c = arg;
	const struct gw_entry *b = before, *a = after;
	/* An entry that only refers to something new, or an object that was put there again as it was. */
	if (a && b && memcmp(a->object->digest, b->object->digest, sizeof a->object->digest) == 0)
		return;
	if (c->n == c->room) {
		c->room = c->room ? c->room * 2 : 16;
		c->v = gw_realloc(c->v, c->room * sizeof *c->v);
	}
	c->v[c->n++] = (struct changed){ name, a };
}

static int by_name(const void *a, const void *b)
{
	return gw_str_cmp(((const struct changed *)a)->name, ((const struct changed *)b)->name);
}

static size_t write_kind(struct gw_buf *out, enum gw_kind k, bool first, const struct gw_snapshot *base,
    const struct gw_snapshot *next)
{
	struct changes c = { 0 };
	gw_trie_diff(&base->kinds[k], &next->kinds[k], note, &c);
	if (c.n == 0)
		return 0;
	qsort(c.v, c.n, sizeof *c.v, by_name);
	gw_buf_printf(out, "%s\"%s\":{", first ? "" : ",", gw_kind_path(k));
	for (size_t i = 0; i < c.n; i++) {
		if (i)
			gw_buf_add_byte(out, ',');
		gw_buf_add_json(out, c.v[i].name);
		gw_buf_add_byte(out, ':');
		gw_buf_add(out, c.v[i].after ? c.v[i].after->object->bytes : GW_STR("null"));
	}
	gw_buf_add_byte(out, '}');
	free(c.v);
	return c.n;
}

enum gw_rc gw_snapshot_diff(struct gw_buf *out, size_t *changes, const struct gw_snapshot *base,
    const struct gw_snapshot *next, struct gw_error *err)
{
	GW_CHECK(base, GW_SNAPSHOT_MAGIC);
	GW_CHECK(next, GW_SNAPSHOT_MAGIC);
	assert(gw_str_eq(base->epoch, next->epoch));
	*changes = 0;
	gw_buf_add_c(out, "{\"objects\":{");
	for (size_t k = 0; k < GW_KIND_COUNT; k++)
		if (gw_kind_travels((enum gw_kind)k))
			*changes += write_kind(out, (enum gw_kind)k, *changes == 0, base, next);
	gw_buf_add_byte(out, '}');
	if (!gw_str_eq(base->sealed_pepper, next->sealed_pepper) && next->sealed_pepper.p) {
		gw_buf_add_c(out, ",\"pepper\":");
		gw_buf_add(out, next->sealed_pepper);
	}
	gw_buf_add_byte(out, '}');
	return out->full ? gw_fail(err, GW_TOOBIG, NULL, "the change is larger than %zu bytes", out->max) : GW_OK;
}

/* ---- and back ---- */

static enum gw_rc patch(struct gw_builder *b, const json_t *doc, const uint8_t key[32], struct gw_error *err)
{
	const json_t *objects = json_object_get(doc, "objects"), *pepper = json_object_get(doc, "pepper");
	if (!json_is_object(objects))
		return gw_fail(err, GW_INVALID, "/objects", "`objects` must be an object");
	enum gw_rc rc = gw_builder_add_all(b, objects, true, err);
	return rc == GW_OK && pepper ? gw_builder_read_pepper(b, pepper, key, err) : rc;
}

enum gw_rc gw_snapshot_patch(struct gw_snapshot **out, const struct gw_snapshot *base, struct gw_str diff,
    uint64_t revision, const uint8_t snapshot_key[32], const struct gw_catalog *cat, struct gw_error *err)
{
	struct gw_unseal unseal = { snapshot_key };
	struct gw_builder *b;
	json_t *doc;
	*out = NULL;
	enum gw_rc rc = gw_json_parse(&doc, diff, GW_SNAPSHOT_MAX_BYTES, err);
	if (rc != GW_OK)
		return rc;
	gw_builder_extend(&b, base, cat, revision, false);
	gw_builder_set_unseal(b, &unseal);
	rc = patch(b, doc, snapshot_key, err);
	json_decref(doc);
	if (rc == GW_OK) {
		rc = gw_builder_seal(&b, out, err);
		if (rc != GW_OK)
			gw_error_prefix(err, "/objects");
	}
	gw_builder_drop(&b);
	return rc;
}
