/*
 * wire.c - messages of the channel, checked against one table.
 */
#include "wire.h"
#include "base/bytes.h"
#include "base/str.h"
#include "base/time.h"

#include <stdio.h>

#define HEAD_MAX 4096

static const char *const names[] = {
#define X(name, text) text,
	GW_WIRE_TABLE(X)
#undef X
	"unknown",
};

const char *gw_wire_name(enum gw_wire_type t)
{
	assert((size_t)t < GW_COUNT(names));
	return names[t];
}

/* What a member of a message must be.  HEX32 and HEX64 are texts of so many hexadecimal digits. */
enum form { TEXT, HEX16, HEX32, HEX64, INT, BOOL, TIME, KEY, OBJECT, ARRAY, ANY };

struct member {
	enum gw_wire_type type;
	const char *name;
	enum form form;
	bool required;
	size_t offset;
};

#define M(type, name, form, required, field)                                                       \
	{ GW_WIRE_##type, name, form, required, offsetof(struct gw_wire, field) }

static const struct member members[] = {
	M(HELLO, "protocol", INT, true, protocol),
	M(HELLO, "name", TEXT, true, name),
	M(HELLO, "node_id", HEX32, true, node_id),
	M(HELLO, "boot_id", TEXT, true, boot_id),
	M(HELLO, "version", TEXT, false, version),
	M(HELLO, "catalog_digest", TEXT, false, catalog_digest),
	M(HELLO, "listen", TEXT, false, listen),
	M(HELLO, "admin", TEXT, false, admin),
	M(HELLO, "pid", INT, false, pid),
	M(HELLO, "deltas", INT, false, deltas),
	M(HELLO, "started_at", TIME, false, started_at_ms),
	M(WELCOME, "node_id", TEXT, false, node_id),
	M(WELCOME, "epoch", HEX16, true, epoch),
	M(WELCOME, "heartbeat_ms", INT, true, heartbeat_ms),
	M(WELCOME, "snapshot_key", KEY, true, snapshot_key),
	M(WELCOME, "control_version", TEXT, false, control_version),
	M(WELCOME, "series", BOOL, false, series),
	M(WELCOME, "rows", BOOL, false, rows),
	M(ROWS, "boot_id", TEXT, true, boot_id),
	M(FLEET, "workers", INT, true, workers),
	M(SNAPSHOT, "epoch", HEX16, true, epoch),
	M(SNAPSHOT, "revision", INT, true, revision),
	M(SNAPSHOT, "digest", HEX64, true, digest),
	M(DELTA, "epoch", HEX16, true, epoch),
	M(DELTA, "base", INT, true, base),
	M(DELTA, "revision", INT, true, revision),
	M(DELTA, "digest", HEX64, true, digest),
	M(DELTA, "state", HEX64, true, snapshot_state),
	M(ACK, "revision", INT, true, revision),
	M(ACK, "digest", HEX64, true, digest),
	M(ACK, "state", HEX64, false, snapshot_state),
	M(ACK, "apply_ms", INT, false, apply_ms),
	M(ACK, "unknown", INT, false, unknown),
	M(NACK, "revision", INT, true, revision),
	M(NACK, "path", TEXT, false, path),
	M(NACK, "text", TEXT, true, text),
	M(HEARTBEAT, "revision", INT, true, revision),
	M(HEARTBEAT, "state", TEXT, true, state),
	M(HEARTBEAT, "in_flight", INT, false, in_flight),
	M(HEARTBEAT, "requests", INT, false, requests),
	M(HEARTBEAT, "errors", INT, false, errors),
	M(HEARTBEAT, "connections", INT, false, connections),
	M(HEARTBEAT, "rss_bytes", INT, false, rss_bytes),
	M(HEARTBEAT, "usage_dropped", INT, false, usage_dropped),
	M(HEARTBEAT, "counters_away", INT, false, counters_away),
	M(HEARTBEAT, "providers_out", ARRAY, false, items),
	M(USAGE, "boot_id", TEXT, true, boot_id),
	M(USAGE, "records", ARRAY, true, records),
	M(USAGE_ACK, "boot_id", TEXT, true, boot_id),
	M(USAGE_ACK, "seq", INT, true, seq),
	M(SERIES, "boot_id", TEXT, true, boot_id),
	M(SERIES, "seq", INT, true, seq),
	M(SERIES, "layout", INT, true, layout),
	M(SERIES, "ago_ms", INT, true, ago_ms),
	M(SERIES, "span_ms", INT, true, span_ms),
	M(SERIES, "rows", ARRAY, true, records),
	M(CAPTURE, "boot_id", TEXT, true, boot_id),
	M(CAPTURE, "records", ARRAY, true, records),
	M(SERIES_ACK, "boot_id", TEXT, true, boot_id),
	M(SERIES_ACK, "seq", INT, true, seq),
	M(CALL, "id", TEXT, true, id),
	M(CALL, "op", TEXT, true, op),
	M(CALL, "args", OBJECT, false, args),
	M(RESULT, "id", TEXT, true, id),
	M(RESULT, "ok", BOOL, true, ok),
	M(RESULT, "result", ANY, false, result),
	M(BYE, "reason", TEXT, false, reason),
	M(QUOTAS, "items", ARRAY, true, items),
	M(QUOTA_USE, "boot_id", TEXT, true, boot_id),
	M(QUOTA_USE, "items", ARRAY, true, items),
	M(QUOTA_USE, "boots", ARRAY, false, boots),
};

static const struct member serving_members[] = {
	M(HELLO, "epoch", HEX16, true, serving_epoch),
	M(HELLO, "revision", INT, true, serving_revision),
	M(HELLO, "digest", HEX64, true, serving_digest),
	M(HELLO, "state", HEX64, false, serving_state),
};

static const struct member error_members[] = {
	M(RESULT, "code", TEXT, false, reason),
	M(RESULT, "text", TEXT, true, text),
};

static enum gw_rc bad(struct gw_error *err, const struct member *m, const char *what)
{
	char path[64];
	snprintf(path, sizeof path, "/%s", m->name);
	return gw_fail(err, GW_INVALID, path, "the message `%s` is broken: `%s` %s",
	    gw_wire_name(m->type), m->name, what);
}

static bool is_hex(struct gw_str s, size_t n)
{
	uint8_t bytes[32];
	return gw_unhex(bytes, n / 2, s);
}

static enum gw_rc read_text(const struct member *m, const json_t *v, void *at, struct gw_error *err)
{
	static const struct { enum form form; size_t n; const char *what; } hex[] = {
		{ HEX16, 16, "must be 16 hexadecimal digits" },
		{ HEX32, 32, "must be 32 hexadecimal digits" },
		{ HEX64, 64, "must be 64 hexadecimal digits" },
	};
	struct gw_str s = gw_json_str(v);
	if (!s.p)
		return bad(err, m, "must be a text");
	for (size_t i = 0; i < GW_COUNT(hex); i++)
		if (m->form == hex[i].form && !is_hex(s, hex[i].n))
			return bad(err, m, hex[i].what);
	*(struct gw_str *)at = s;
	return GW_OK;
}

static enum gw_rc read_member(struct gw_wire *w, const struct member *m, json_t *v, struct gw_error *err)
{
	void *at = (char *)w + m->offset;
	switch (m->form) {
	case TEXT:
	case HEX16:
	case HEX32:
	case HEX64:
		return read_text(m, v, at, err);
	case INT:
		if (!json_is_integer(v) || json_integer_value(v) < 0)
			return bad(err, m, "must be a whole number, not below 0");
		*(int64_t *)at = json_integer_value(v);
		return GW_OK;
	case BOOL:
		if (!json_is_boolean(v))
			return bad(err, m, "must be true or false");
		*(bool *)at = json_is_true(v);
		return GW_OK;
	case TIME:
		if (!gw_time_parse(gw_json_str(v), at))
			return bad(err, m, "must be a time such as 2026-11-23T08:18:00Z");
		return GW_OK;
	case KEY:
		if (!gw_unhex(at, 32, gw_json_str(v)))
			return bad(err, m, "must be 64 hexadecimal digits");
		w->has_snapshot_key = true;
		return GW_OK;
	case OBJECT:
		if (!json_is_object(v))
			return bad(err, m, "must be an object");
		break;
	case ARRAY:
		if (!json_is_array(v))
			return bad(err, m, "must be a list");
		break;
	case ANY:
		break;
	}
	*(json_t **)at = v;
	return GW_OK;
}

static enum gw_rc read_members(struct gw_wire *w, const struct member *list, size_t n, const json_t *o,
    struct gw_error *err)
{
	for (size_t i = 0; i < n; i++) {
		const struct member *m = &list[i];
		if (m->type != w->type)
			continue;
		json_t *v = json_object_get(o, m->name);
		if (json_is_null(v) && m->form != ANY)
			v = NULL;
		if (!v && m->required)
			return bad(err, m, "is missing");
		if (!v)
			continue;
		enum gw_rc rc = read_member(w, m, v, err);
		if (rc != GW_OK)
			return rc;
	}
	return GW_OK;
}

/* Members inside members: `serving` of hello, `error` of result. */
static enum gw_rc read_nested(struct gw_wire *w, struct gw_error *err)
{
	json_t *o = NULL;
	enum gw_rc rc = GW_OK;
	if (w->type == GW_WIRE_HELLO) {
		o = json_object_get(w->doc, "serving");
		if (json_is_object(o))
			rc = read_members(w, serving_members, GW_COUNT(serving_members), o, err);
		if (rc != GW_OK)
			gw_error_prefix(err, "/serving");
	} else if (w->type == GW_WIRE_RESULT && !w->ok) {
		o = json_object_get(w->doc, "error");
		if (!json_is_object(o))
			return gw_fail(err, GW_INVALID, "/error",
			    "the message `result` is broken: `error` is missing");
		rc = read_members(w, error_members, GW_COUNT(error_members), o, err);
		if (rc != GW_OK)
			gw_error_prefix(err, "/error");
	}
	if (rc == GW_OK && o && !json_is_object(o) && !json_is_null(o))
		return gw_fail(err, GW_INVALID, "/serving",
		    "the message `hello` is broken: `serving` must be an object");
	return rc;
}

static enum gw_rc parse(struct gw_wire *out, struct gw_str text, bool binary, struct gw_error *err)
{
	*out = (struct gw_wire){ .type = GW_WIRE_UNKNOWN };
	enum gw_rc rc = gw_json_parse(&out->doc, text, GW_WIRE_MAX_TEXT, err);
	if (rc != GW_OK)
		return rc;
	struct gw_str type = gw_json_str(json_object_get(out->doc, "type"));
	if (!type.p) {
		rc = gw_fail(err, GW_INVALID, "/type", "a message must be an object with a `type`");
		goto fail;
	}
	for (size_t i = 0; i < GW_WIRE_UNKNOWN; i++)
		if (gw_str_is(type, names[i]))
			out->type = (enum gw_wire_type)i;
	if ((out->type == GW_WIRE_SNAPSHOT || out->type == GW_WIRE_DELTA || out->type == GW_WIRE_ROWS) != binary) {
		rc = gw_fail(err, GW_INVALID, "/type", binary ?
		    "a binary message must be a snapshot, a delta or rows" : "a message of this type must be binary");
		goto fail;
	}
	rc = read_members(out, members, GW_COUNT(members), out->doc, err);
	if (rc == GW_OK)
		rc = read_nested(out, err);
	if (rc == GW_OK)
		return GW_OK;
fail:
	gw_wire_fini(out);
	return rc;
}

enum gw_rc gw_wire_parse(struct gw_wire *out, struct gw_str text, struct gw_error *err)
{
	return parse(out, text, false, err);
}

static enum gw_rc check_payload(struct gw_wire *w, struct gw_str payload, struct gw_error *err)
{
	int64_t format = 0, bytes = -1;
	uint8_t want[32], have[32];
	enum gw_rc rc = gw_json_int(w->doc, "format", 1, INT32_MAX, &format, err);
	if (rc == GW_OK)
		rc = gw_json_int(w->doc, "bytes", 0, GW_SNAPSHOT_MAX_BYTES, &bytes, err);
	if (rc != GW_OK)
		return rc;
	if (format != GW_SNAPSHOT_FORMAT)
		return gw_fail(err, GW_VERSION, "/format",
		    "the snapshot has format %lld, and only %d is understood here", (long long)format,
		    GW_SNAPSHOT_FORMAT);
	if (bytes < 0 || (uint64_t)bytes != payload.n)
		return gw_fail(err, GW_INVALID, "/bytes",
		    "the snapshot's head announces %lld bytes, but %zu came", (long long)bytes, payload.n);
	gw_sha256(have, payload);
	if (!gw_unhex(want, sizeof want, w->digest) || memcmp(want, have, sizeof want) != 0)
		return gw_fail(err, GW_INVALID, "/digest", "the snapshot's bytes do not have the digest announced");
	w->payload = payload;
	return GW_OK;
}

enum gw_rc gw_wire_parse_binary(struct gw_wire *out, struct gw_str bytes, struct gw_error *err)
{
	size_t limit = bytes.n < HEAD_MAX ? bytes.n : HEAD_MAX;
	const char *end = limit ? memchr(bytes.p, '\n', limit) : NULL;
	if (!end) {
		*out = (struct gw_wire){ .type = GW_WIRE_UNKNOWN };
		return gw_fail(err, GW_INVALID, NULL, "a binary message must begin with one line of JSON");
	}
	struct gw_str head = { bytes.p, (size_t)(end - bytes.p) };
	enum gw_rc rc = parse(out, head, true, err);
	if (rc != GW_OK)
		return rc;
	struct gw_str payload = gw_str_from(bytes, head.n + 1);
	if (out->type == GW_WIRE_ROWS)
		out->payload = payload;
	else
		rc = check_payload(out, payload, err);
	if (rc != GW_OK)
		gw_wire_fini(out);
	return rc;
}

void gw_wire_fini(struct gw_wire *w)
{
	json_decref(w->doc);
	gw_secret_wipe(w->snapshot_key, sizeof w->snapshot_key);
	*w = (struct gw_wire){ .type = GW_WIRE_UNKNOWN };
}

json_t *gw_wire_new(enum gw_wire_type t)
{
	assert(t < GW_WIRE_UNKNOWN);
	json_t *o = json_object();
	json_object_set_new(o, "type", json_string(gw_wire_name(t)));
	return o;
}

enum gw_rc gw_wire_snapshot_head(struct gw_buf *out, struct gw_str epoch, uint64_t revision,
    const struct gw_digest *digest, size_t bytes)
{
	char hex[GW_HEX_LEN(32)];
	json_t *o = gw_wire_new(GW_WIRE_SNAPSHOT);
	gw_hex(hex, digest->sha256, sizeof digest->sha256);
	json_object_set_new(o, "format", json_integer(GW_SNAPSHOT_FORMAT));
	gw_json_set_str(o, "epoch", epoch);
	json_object_set_new(o, "revision", json_integer((json_int_t)revision));
	json_object_set_new(o, "digest", json_string(hex));
	json_object_set_new(o, "bytes", json_integer((json_int_t)bytes));
	enum gw_rc rc = gw_json_write(out, o, true);
	json_decref(o);
	if (rc == GW_OK && !gw_buf_add_byte(out, '\n'))
		rc = GW_TOOBIG;
	return rc;
}

enum gw_rc gw_wire_delta_head(struct gw_buf *out, struct gw_str epoch, uint64_t base, uint64_t revision,
    const struct gw_digest *state, struct gw_str body)
{
	char hex[GW_HEX_LEN(32)];
	uint8_t digest[32];
	json_t *o = gw_wire_new(GW_WIRE_DELTA);
	gw_hex(hex, state->sha256, sizeof state->sha256);
	json_object_set_new(o, "state", json_string(hex));
	gw_sha256(digest, body);
	gw_hex(hex, digest, sizeof digest);
	json_object_set_new(o, "digest", json_string(hex));
	json_object_set_new(o, "format", json_integer(GW_SNAPSHOT_FORMAT));
	gw_json_set_str(o, "epoch", epoch);
	json_object_set_new(o, "base", json_integer((json_int_t)base));
	json_object_set_new(o, "revision", json_integer((json_int_t)revision));
	json_object_set_new(o, "bytes", json_integer((json_int_t)body.n));
	enum gw_rc rc = gw_json_write(out, o, true);
	json_decref(o);
	if (rc == GW_OK && !gw_buf_add_byte(out, '\n'))
		rc = GW_TOOBIG;
	return rc;
}

static bool is_token(struct gw_str s)
{
	for (size_t i = 0; i < s.n; i++) {
		char c = s.p[i];
		if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
		    c == '-' || c == '_'))
			return false;
	}
	return s.n > 0;
}

bool gw_join_token_parse(struct gw_str token, struct gw_join_token *out)
{
	if (token.n > 512 || !gw_str_starts(token, GW_STR("tgj_")))
		return false;
	struct gw_str rest = gw_str_from(token, 4);
	struct gw_join_token t;
	t.id = gw_str_cut(&rest, '.');
	t.secret = gw_str_cut(&rest, '.');
	t.fingerprint = rest;
	if (!is_token(t.id) || !is_token(t.secret) || !is_hex(t.fingerprint, 64))
		return false;
	*out = t;
	return true;
}
