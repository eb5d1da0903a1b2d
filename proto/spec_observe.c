/*
 * spec_observe.c - the parts of settings and routes that say what is logged and traced.
 */
#include "base/str.h"
#include "seal.h"
#include "spec.h"

#include <stdio.h>

#define S struct gw_dp_settings

#define HEADERS_MAX 16

const char *const gw_access_names[GW_ACCESS_COUNT] = {
#define X(id, name, doc) name,
#include "tbl/access_fields.def"
#undef X
};
static_assert(GW_ACCESS_COUNT <= 63, "a set of fields is one word");

static const char *const targets[] = { "stdout", "file", "syslog", NULL };

const struct gw_field gw_access_log_fields[] = {
	GW_FIELD_BOOL(S, access_log_enabled, "enabled", 1,
	    "One line per request.", "每个请求一行日志。"),
	GW_FIELD_ENUM(S, access_log_target, "target", targets, GW_ACCESS_STDOUT,
	    "Where the lines go: the worker's standard output, a file in its log directory, or syslog.",
	    "日志去向：标准输出、工作进程日志目录中的文件，或 syslog。"),
	GW_FIELD_TEXT(S, access_log_path, "path", 0, 128, "access.log",
	    "Name of the file in the worker's log directory (--log-dir).", "日志目录（--log-dir）中的文件名。"),
	GW_FIELD_INT(S, access_log_sample_percent, "sample_percent", 0, 100, 100,
	    "Share of requests that are logged; those that failed always are.", "记录的请求比例；失败的请求总会记录。"),
	GW_FIELD_LIST(S, access_log_fields, "fields", 0, GW_ACCESS_COUNT,
	    "Fields of a line; empty: all.", "每行包含的字段；为空则全部。"),
	GW_FIELD_BOOL(S, access_log_prompts, "prompts", 0,
	    "Whether routes may keep prompts and answers at all; each route switches it on for itself (`log.prompts`).",
	    "是否允许路由保存提示词与回答；每个路由还需自行开启（`log.prompts`）。"),
	GW_FIELD_END
};

#undef S

/* A file of the log directory: no way out of it, nothing hidden. */
static bool is_file_name(struct gw_str s)
{
	if (s.n == 0 || s.p[0] == '.' || s.p[0] == '-')
		return false;
	for (size_t i = 0; i < s.n; i++) {
		char c = s.p[i];
		if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' || c == '-' ||
		    c == '_'))
			return false;
	}
	return true;
}

enum gw_rc gw_spec_access_log(struct gw_spec *s, const json_t *o, struct gw_dp_settings *out, struct gw_error *err)
{
	char path[64];
	enum gw_rc rc = gw_fields_read(gw_access_log_fields, o, s->strict, NULL, s->arena, out, &s->unknown, err);
	if (rc != GW_OK)
		return rc;
	if (!is_file_name(out->access_log_path))
		return gw_fail(err, GW_INVALID, "/path", "`path` must be a file name of letters, digits, `.`, `-` and `_`: the "
		    "directory is the worker's --log-dir");
	out->access_log_mask = 0;
	for (size_t i = 0; i < out->access_log_fields.n; i++) {
		size_t k = 0;
		while (k < GW_ACCESS_COUNT && !gw_str_is(out->access_log_fields.v[i], gw_access_names[k]))
			k++;
		snprintf(path, sizeof path, "/fields/%zu", i);
		if (k == GW_ACCESS_COUNT && s->strict)
			return gw_fail(err, GW_INVALID, path, "the access log has no field `%.*s`",
			    GW_FMT(out->access_log_fields.v[i]));
		if (k == GW_ACCESS_COUNT)
			s->unknown++;
		else
			out->access_log_mask |= 1ull << k;
	}
	if (out->access_log_mask == 0)
		out->access_log_mask = (1ull << GW_ACCESS_COUNT) - 1;
	return GW_OK;
}

/* ---- tracing ---- */

void gw_tracing_defaults(struct gw_tracing *out)
{
	*out = (struct gw_tracing){ .endpoint = GW_STR(""), .service_name = GW_STR("tidegate"), .sample_per_million = 1000000 };
}

static enum gw_rc read_secret(struct gw_spec *s, const json_t *v, struct gw_str *out, struct gw_error *err)
{
	enum gw_rc rc = GW_OK;
	*out = GW_STR("");
	if (!v || json_is_null(v))
		return GW_OK;
	if (gw_is_sealed(v) && s->unseal)
		rc = gw_unseal_value(s->unseal->key, v, s->arena, out, err);
	else if (gw_is_sealed(v))
		*out = gw_arena_copy(s->arena, gw_json_str(json_object_get(v, "sealed")));
	else if (json_is_string(v))
		*out = gw_secret_copy(s->arena, gw_json_str(v));
	else
		rc = gw_fail(err, GW_INVALID, NULL, "`value` must be a text");
	for (size_t i = 0; rc == GW_OK && i < out->n; i++)
		if ((unsigned char)out->p[i] < 0x20 || (unsigned char)out->p[i] >= 0x7f)
			rc = gw_fail(err, GW_INVALID, NULL, "`value` must be one line of printable ASCII characters");
	if (rc != GW_OK)
		gw_error_prefix(err, "/value");
	return rc;
}

static enum gw_rc read_header(struct gw_spec *s, const json_t *o, struct gw_trace_header *out, struct gw_error *err)
{
	static const char *const names[] = { "name", "value", NULL };
	static const char *const ours[] = { "host", "content-length", "content-type", "transfer-encoding", "connection",
		"content-encoding", "expect" };
	struct gw_str name = GW_STR_NONE;
	if (!json_is_object(o))
		return gw_fail(err, GW_INVALID, NULL, "a header must be an object with `name` and `value`");
	enum gw_rc rc = gw_spec_members(s, o, names, err);
	if (rc == GW_OK)
		rc = gw_spec_text(o, "name", 1, 128, &name, err);
	if (rc != GW_OK)
		return rc;
	if (!name.p || !gw_spec_is_token(name))
		return gw_fail(err, GW_INVALID, "/name", "`name` must be the name of a header");
	for (size_t i = 0; i < GW_COUNT(ours); i++)
		if (gw_str_ieq(name, gw_str_c(ours[i])))
			return gw_fail(err, GW_INVALID, "/name", "`%s` is set by the worker itself", ours[i]);
	out->name = gw_arena_copy(s->arena, name);
	return read_secret(s, json_object_get(o, "value"), &out->value, err);
}

static enum gw_rc read_headers(struct gw_spec *s, const json_t *o, struct gw_tracing *out, struct gw_error *err)
{
	json_t *list, *item;
	size_t i;
	enum gw_rc rc = gw_spec_array(o, "headers", HEADERS_MAX, &list, err);
	if (rc != GW_OK)
		return rc;
	struct gw_trace_header *v = gw_arena_array(s->arena, json_array_size(list), sizeof *v);
	json_array_foreach(list, i, item) {
		rc = read_header(s, item, &v[i], err);
		for (size_t k = 0; rc == GW_OK && k < i; k++)
			if (gw_str_ieq(v[k].name, v[i].name))
				rc = gw_fail(err, GW_INVALID, "/name", "two headers have the name `%.*s`", GW_FMT(v[i].name));
		if (rc != GW_OK) {
			gw_error_prefix(err, "/headers/%zu", i);
			return rc;
		}
	}
	out->headers = v;
	out->n_headers = json_array_size(list);
	return GW_OK;
}

static enum gw_rc read_sample(const json_t *o, struct gw_tracing *out, struct gw_error *err)
{
	int64_t n = out->sample_per_million;
	enum gw_rc rc = gw_json_int(o, "sample_per_million", 0, 1000000, &n, err);
	out->sample_per_million = (uint32_t)n;
	return rc;
}

enum gw_rc gw_spec_tracing(struct gw_spec *s, const json_t *o, struct gw_tracing *out, struct gw_error *err)
{
	static const char *const names[] = { "enabled", "endpoint", "headers", "sample_per_million", "service_name", NULL };
	struct gw_str endpoint = GW_STR(""), service = GW_STR_NONE;
	gw_tracing_defaults(out);
	enum gw_rc rc = gw_spec_members(s, o, names, err);
	if (rc == GW_OK)
		rc = gw_json_bool(o, "enabled", &out->enabled, err);
	if (rc == GW_OK)
		rc = gw_spec_text(o, "endpoint", 0, 512, &endpoint, err);
	if (rc == GW_OK)
		rc = gw_spec_text(o, "service_name", 0, 128, &service, err);
	if (rc == GW_OK)
		rc = read_sample(o, out, err);
	if (rc == GW_OK)
		rc = read_headers(s, o, out, err);
	if (rc != GW_OK)
		return rc;
	const char *fault = endpoint.n ? gw_spec_url_fault(endpoint) : NULL;
	if (fault)
		return gw_fail(err, GW_INVALID, "/endpoint", "`endpoint` %s", fault);
	if (out->enabled && !endpoint.n)
		return gw_fail(err, GW_INVALID, "/endpoint", "`endpoint` is required when tracing is enabled, such as "
		    "http://collector:4318");
	out->endpoint = gw_arena_copy(s->arena, endpoint);
	if (service.n)
		out->service_name = gw_arena_copy(s->arena, service);
	return GW_OK;
}

/* ---- a route's log ---- */

static enum gw_rc read_patterns(struct gw_spec *s, const json_t *o, struct gw_route_log *out, struct gw_error *err)
{
	static const struct gw_spec_list list = { "mask", GW_MASK_MAX_PATTERNS, GW_MASK_MAX_PATTERN, NULL, NULL };
	struct gw_strv v = { NULL, 0 };
	enum gw_rc rc = gw_spec_texts(s, o, &list, &v, err);
	if (rc != GW_OK)
		return rc;
	if (v.n == 0) {
		out->masker = gw_masker_builtin();
		return GW_OK;
	}
	rc = gw_masker_make(&out->masker, v.v, v.n, s->arena, err);
	if (rc != GW_OK)
		gw_error_prefix(err, "/mask");
	return rc;
}

enum gw_rc gw_spec_route_log(struct gw_spec *s, const json_t *route, struct gw_route_log *out, struct gw_error *err)
{
	static const char *const names[] = { "prompts", "sample_percent", "max_bytes", "mask", NULL };
	static const char *const modes[] = { "off", "masked", "full", NULL };
	json_t *o;
	int mode = GW_CAPTURE_OFF;
	*out = (struct gw_route_log){ .sample_percent = 100, .max_bytes = 16384 };
	enum gw_rc rc = gw_spec_object(route, "log", &o, err);
	if (rc != GW_OK || !o)
		return rc;
	rc = gw_spec_members(s, o, names, err);
	if (rc == GW_OK)
		rc = gw_spec_word(o, "prompts", modes, &mode, err);
	if (rc == GW_OK)
		rc = gw_json_int(o, "sample_percent", 0, 100, &out->sample_percent, err);
	if (rc == GW_OK)
		rc = gw_json_int(o, "max_bytes", 256, 262144, &out->max_bytes, err);
	if (rc == GW_OK)
		rc = read_patterns(s, o, out, err);
	out->prompts = (enum gw_capture)mode;
	if (rc != GW_OK)
		gw_error_prefix(err, "/log");
	return rc;
}
