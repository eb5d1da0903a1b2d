/*
 * snapshot_encode.c - the canonical bytes of a set of objects.
 */
#include "base/bytes.h"
#include "base/str.h"
#include "seal.h"
#include "snapshot_impl.h"

#include <stdio.h>

void gw_snapshot_digest_of(struct gw_digest *out, struct gw_str bytes)
{
	gw_sha256(out->sha256, bytes);
}

/* Only kinds that travel, each an object of objects. */
static enum gw_rc check_objects(const json_t *objects, struct gw_error *err)
{
	const char *kind, *name;
	json_t *members, *spec;
	if (!json_is_object(objects))
		return gw_fail(err, GW_INVALID, "/objects", "`objects` must be an object");
	json_object_foreach((json_t *)objects, kind, members) {
		enum gw_kind k;
		if (!gw_kind_parse(gw_str_c(kind), &k) || !gw_kind_travels(k) || !json_is_object(members))
			return gw_fail(err, GW_INVALID, "/objects", "`%.60s` is not a part of a snapshot", kind);
		json_object_foreach(members, name, spec) {
			if (gw_name_valid(gw_str_c(name)) && json_is_object(spec))
				continue;
			return gw_fail(err, GW_INVALID, "/objects", "`%.60s` in `%s` is not an object with a name",
			    name, kind);
		}
	}
	return GW_OK;
}

enum gw_rc gw_snapshot_encode(struct gw_buf *out, uint64_t revision, struct gw_str epoch,
    const json_t *objects, const json_t *sealed_pepper, struct gw_error *err)
{
	enum gw_rc rc = check_objects(objects, err);
	if (rc != GW_OK)
		return rc;
	if (!gw_epoch_valid(epoch))
		return gw_fail(err, GW_INVALID, "/epoch", "`epoch` must be 16 hexadecimal digits");
	if (sealed_pepper && !gw_is_sealed(sealed_pepper))
		return gw_fail(err, GW_INVALID, "/pepper", "`pepper` must be sealed");
	/* Empty collections are written too, so that the form does not depend on what there is. */
	json_t *all = json_copy((json_t *)objects), *doc = json_object();
	for (size_t k = 0; k < GW_KIND_COUNT; k++)
		if (gw_kind_travels((enum gw_kind)k) && !json_object_get(all, gw_kind_path((enum gw_kind)k)))
			json_object_set_new(all, gw_kind_path((enum gw_kind)k), json_object());
	json_object_set_new(doc, "format", json_integer(GW_SNAPSHOT_FORMAT));
	json_object_set_new(doc, "revision", json_integer((json_int_t)revision));
	gw_json_set_str(doc, "epoch", epoch);
	json_object_set_new(doc, "objects", all);
	if (sealed_pepper)
		json_object_set(doc, "pepper", (json_t *)sealed_pepper);
	rc = gw_json_write(out, doc, true);
	json_decref(doc);
	if (rc == GW_TOOBIG)
		return gw_fail(err, rc, NULL, "the configuration is larger than %zu bytes", out->max);
	if (rc != GW_OK)
		return gw_fail(err, rc, "/objects", "a number in the configuration is not whole");
	return GW_OK;
}

/* The kinds in the order of their names, which is that of canonical JSON. */
static size_t sorted_kinds(enum gw_kind out[GW_KIND_COUNT])
{
	size_t n = 0;
	for (size_t k = 0; k < GW_KIND_COUNT; k++) {
		size_t at = n;
		if (!gw_kind_travels((enum gw_kind)k))
			continue;
		for (; at && strcmp(gw_kind_path(out[at - 1]), gw_kind_path((enum gw_kind)k)) > 0; at--)
			out[at] = out[at - 1];
		out[at] = (enum gw_kind)k;
		n++;
	}
	return n;
}

static void write_kind(struct gw_buf *out, const struct gw_snapshot *s, enum gw_kind k)
{
	struct gw_arena *a = gw_arena_open(0);
	size_t n;
	struct gw_entry **v = gw_snapshot_sorted(s, k, a, &n);
	gw_buf_printf(out, "\"%s\":{", gw_kind_path(k));
	for (size_t i = 0; i < n; i++) {
		if (i)
			gw_buf_add_byte(out, ',');
		gw_buf_add_json(out, v[i]->object->name);
		gw_buf_add_byte(out, ':');
		gw_buf_add(out, v[i]->object->bytes);
	}
	gw_buf_add_byte(out, '}');
	gw_arena_close(&a);
}

enum gw_rc gw_snapshot_write(struct gw_buf *out, const struct gw_snapshot *s, struct gw_error *err)
{
	enum gw_kind kinds[GW_KIND_COUNT];
	GW_CHECK(s, GW_SNAPSHOT_MAGIC);
	size_t n = sorted_kinds(kinds);
	gw_buf_printf(out, "{\"epoch\":\"%.*s\",\"format\":%d,\"objects\":{", GW_FMT(s->epoch), GW_SNAPSHOT_FORMAT);
	for (size_t i = 0; i < n; i++) {
		if (i)
			gw_buf_add_byte(out, ',');
		write_kind(out, s, kinds[i]);
	}
	gw_buf_add_byte(out, '}');
	if (s->sealed_pepper.p) {
		gw_buf_add_c(out, ",\"pepper\":");
		gw_buf_add(out, s->sealed_pepper);
	}
	gw_buf_printf(out, ",\"revision\":%llu}", (unsigned long long)s->revision);
	return out->full ? gw_fail(err, GW_TOOBIG, NULL, "the configuration is larger than %zu bytes", out->max) : GW_OK;
}
