/* json_path.c - following a path of names, and changing what stands at its end. */
#include "codec/json_path.h"

#include "base/str.h"

/* Is the name, as it stands between its quotes, `name` once decoded? */
static bool is_name(struct gw_str written, struct gw_str name)
{
	struct gw_buf text;
	bool same;

	if (!written.n || !memchr(written.p, '\\', written.n))
		return gw_str_eq(written, name);
	if (written.n > 6 * name.n) /* every decoded byte takes at most six */
		return false;
	gw_buf_init(&text, 6 * name.n + 8);
	same = dp_json_text(&text, (struct dp_json){ DP_J_STRING, { written.p - 1, written.n + 2 } }) &&
	       gw_str_eq(gw_buf_str(&text), name);
	gw_buf_fini(&text);
	return same;
}

/* The member, and what to cut for it: up to the next one, or from the end of the one before. */
static bool find_member(struct gw_str doc, struct dp_json object, struct gw_str name, struct dp_path *out)
{
	struct dp_json_iter it = dp_json_iter(object);
	size_t base = (size_t)(object.raw.p - doc.p), before_end = 0;

	while (dp_json_next(&it)) {
		struct dp_json_iter next = it;

		if (!is_name(it.key, name)) {
			before_end = it.end;
			continue;
		}
		out->value = it.value;
		out->at = (size_t)(it.value.raw.p - doc.p);
		if (dp_json_next(&next)) {
			out->cut_at = base + it.key_at;
			out->cut_n = next.key_at - it.key_at;
		} else {
			out->cut_at = base + (before_end ? before_end : it.key_at);
			out->cut_n = base + it.end - out->cut_at;
		}
		return true;
	}
	return false;
}

bool dp_path_find(struct gw_str doc, const char *path, struct dp_path *out)
{
	struct dp_json object = dp_json_value(doc);

	memset(out, 0, sizeof *out);
	if (object.type != DP_J_OBJECT)
		return false;
	for (;;) {
		size_t n = strcspn(path, ".");

		out->value = (struct dp_json){ DP_J_NONE, GW_STR_NONE };
		if (!find_member(doc, object, (struct gw_str){ path, n }, out)) {
			out->can_insert = true;
			out->insert_at = (size_t)(object.raw.p - doc.p) + 1;
			out->insert_into_empty = !dp_json_truthy(object);
			out->rest = path;
			return true;
		}
		if (!path[n])
			return true;
		if (out->value.type != DP_J_OBJECT) { /* the way is blocked: a text, a list, null */
			out->value = (struct dp_json){ DP_J_NONE, GW_STR_NONE };
			return true;
		}
		object = out->value;
		path += n + 1;
	}
}

bool dp_path_splice(struct gw_buf *doc, size_t at, size_t n, struct gw_str with)
{
	size_t tail = doc->n - at - n;

	assert(at + n <= doc->n);
	if (with.n > n) {
		if (!gw_buf_reserve(doc, with.n - n))
			return false;
		gw_buf_commit(doc, with.n - n);
	}
	memmove(doc->p + at + with.n, doc->p + at + n, tail);
	if (with.n)
		memcpy(doc->p + at, with.p, with.n);
	if (with.n < n)
		gw_buf_drop_end(doc, n - with.n);
	return true;
}

/* "a":{"b":json} for the names that are missing. */
static void write_missing(struct gw_buf *out, const char *rest, struct gw_str json)
{
	unsigned depth = 0;

	for (;;) {
		size_t n = strcspn(rest, ".");

		gw_buf_add_json(out, (struct gw_str){ rest, n });
		gw_buf_add_byte(out, ':');
		if (!rest[n])
			break;
		gw_buf_add_byte(out, '{');
		depth++;
		rest += n + 1;
	}
	gw_buf_add(out, json);
	while (depth-- > 0)
		gw_buf_add_byte(out, '}');
}

bool dp_path_change(struct gw_buf *doc, const char *path, struct gw_str json)
{
	struct dp_path p;
	struct gw_buf text;
	bool ok;

	if (!dp_path_find(gw_buf_str(doc), path, &p))
		return false;
	if (p.value.type != DP_J_NONE)
		return json.p ? dp_path_splice(doc, p.at, p.value.raw.n, json) : dp_path_splice(doc, p.cut_at, p.cut_n, GW_STR(""));
	if (!json.p)
		return true; /* it is not there */
	if (!p.can_insert)
		return false;
	gw_buf_init(&text, json.n + 4096);
	write_missing(&text, p.rest, json);
	if (!p.insert_into_empty)
		gw_buf_add_byte(&text, ',');
	ok = !text.full && dp_path_splice(doc, p.insert_at, 0, gw_buf_str(&text));
	gw_buf_fini(&text);
	return ok;
}
