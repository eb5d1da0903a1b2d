/*
 * settings.c - the one `settings` object: what an operator may turn on every worker, and its parser.
 *
 * {"data_plane":{…the fields of gw_dp_fields…,"access_log":{…}},"console":{"data_plane_url":…},
 * "retention":{the fields of gw_retention_fields},"tracing":{…},"counters":{the fields of gw_counter_fields}}
 */
#include "base/str.h"
#include "spec.h"

#include <arpa/inet.h>
#include <stdio.h>

#define S struct gw_dp_settings

const struct gw_field gw_dp_fields[] = {
	GW_FIELD_INT(S, max_body_bytes, "max_body_bytes", 1024, 1073741824, 33554432,
	    "Largest request body.", "请求体的最大字节数。"),
	GW_FIELD_INT(S, max_header_bytes, "max_header_bytes", 1024, 1048576, 32768,
	    "Largest header block.", "请求头部的最大字节数。"),
	GW_FIELD_INT(S, max_headers, "max_headers", 8, 1000, 100,
	    "Most header lines.", "请求头的最大行数。"),
	GW_FIELD_INT(S, max_request_line_bytes, "max_request_line_bytes", 1024, 1048576, 16384,
	    "Longest request line.", "请求行的最大字节数。"),
	GW_FIELD_INT(S, max_connections, "max_connections", 1, 1000000, 10000,
	    "Most client connections of one worker; above it new ones get 503.",
	    "单个工作进程的最大客户端连接数，超出后新连接得到 503。"),
	GW_FIELD_MS(S, header_timeout_ms, "header_timeout", 1000, 300000, 10000,
	    "Time to receive the header block.", "接收请求头部的时限。"),
	GW_FIELD_MS(S, body_timeout_ms, "body_timeout", 1000, 3600000, 60000,
	    "Longest pause while a body arrives.", "接收请求体时最长的停顿。"),
	GW_FIELD_MS(S, keepalive_idle_ms, "keepalive_idle", 1000, 3600000, 75000,
	    "How long an idle client connection is kept.", "空闲客户端连接的保持时间。"),
	GW_FIELD_MS(S, write_stall_timeout_ms, "write_stall_timeout", 1000, 3600000, 60000,
	    "How long a client may not read.", "客户端停止读取的最长时间。"),
	GW_FIELD_INT(S, stream_buffer_bytes, "stream_buffer_bytes", 4096, 16777216, 262144,
	    "Buffer of one stream for a slow reader.", "单个流为慢速客户端缓冲的字节数。"),
	GW_FIELD_MS(S, sse_keepalive_ms, "sse_keepalive", 0, 600000, 15000,
	    "Interval of comment lines on a silent stream; 0s switches them off.",
	    "流静默时注释行的间隔；0s 表示关闭。"),
	GW_FIELD_MS(S, drain_timeout_ms, "drain_timeout", 0, 3600000, 30000,
	    "How long a stopping worker waits for requests in flight.",
	    "停止工作进程时等待进行中请求的时间。"),
	GW_FIELD_LIST(S, trusted_proxies, "trusted_proxies", 0, 64,
	    "Peers whose X-Forwarded-For counts: addresses or CIDR ranges.",
	    "X-Forwarded-For 可信的来源：地址或 CIDR 网段。"),
	GW_FIELD_LIST(S, cors_origins, "cors_origins", 0, 64,
	    "Origins of web pages that may call the data plane, or `*`; empty: none.",
	    "允许调用数据面的网页来源，或 `*`；为空则不允许。"),
	GW_FIELD_END
};

#define HOURS 3600000LL
const struct gw_field gw_retention_fields[] = {
	GW_FIELD_MS(S, keep_series_10s_ms, "series_10s", 1 * HOURS, 168 * HOURS, 3 * HOURS,
	    "How long charts keep a point for every 10 seconds.", "图表保留 10 秒粒度数据的时间。"),
	GW_FIELD_MS(S, keep_series_1m_ms, "series_1m", 1 * HOURS, 2160 * HOURS, 72 * HOURS,
	    "How long charts keep a point for every minute.", "图表保留 1 分钟粒度数据的时间。"),
	GW_FIELD_MS(S, keep_series_1h_ms, "series_1h", 24 * HOURS, 87600 * HOURS, 9600 * HOURS,
	    "How long charts keep a point for every hour.", "图表保留 1 小时粒度数据的时间。"),
	GW_FIELD_MS(S, keep_requests_ms, "requests", 1 * HOURS, 87600 * HOURS, 2160 * HOURS,
	    "How long the request log keeps a row.", "请求记录的保留时间。"),
	GW_FIELD_INT(S, keep_requests_max, "requests_max", 1000, 1000000000, 10000000,
	    "How many rows it keeps at most.", "请求记录的最大行数。"),
	GW_FIELD_MS(S, keep_usage_ms, "usage", 24 * HOURS, 175200 * HOURS, 87600 * HOURS,
	    "How long the sums behind usage reports are kept.", "用量报表汇总数据的保留时间。"),
	GW_FIELD_MS(S, keep_prompts_ms, "prompts", 1 * HOURS, 8760 * HOURS, 168 * HOURS,
	    "How long kept prompts and answers stay.", "已保存的提示词与回答的保留时间。"),
	GW_FIELD_INT(S, keep_prompts_max, "prompts_max", 100, 10000000, 100000,
	    "How many of them stay at most.", "其最大数量。"),
	GW_FIELD_END
};
#undef HOURS

#undef S

static bool is_cidr(struct gw_str s)
{
	char text[64];
	unsigned char addr[16];
	int64_t bits;
	struct gw_str range = s;
	struct gw_str host = gw_str_cut(&range, '/');
	if (host.n == 0 || host.n >= sizeof text)
		return false;
	memcpy(text, host.p, host.n);
	text[host.n] = 0;
	bool v4 = inet_pton(AF_INET, text, addr) == 1;
	if (!v4 && inet_pton(AF_INET6, text, addr) != 1)
		return false;
	return !range.p || gw_str_int(range, 0, v4 ? 32 : 128, &bits);
}

static bool is_origin(struct gw_str s)
{
	size_t at;
	if (gw_str_is(s, "*"))
		return true;
	if (gw_spec_url_fault(s))
		return false;
	/* No path, not even "/": an origin is scheme, host and port. */
	gw_str_find(s, GW_STR("//"), &at);
	return !gw_str_find(gw_str_from(s, at + 2), GW_STR("/"), &at);
}

static enum gw_rc check_list(const struct gw_strv *list, const char *name, bool (*fine)(struct gw_str),
    const char *what, struct gw_error *err)
{
	for (size_t i = 0; i < list->n; i++) {
		if (fine(list->v[i]))
			continue;
		char path[64];
		snprintf(path, sizeof path, "/%s/%zu", name, i);
		return gw_fail(err, GW_INVALID, path, "entry %zu of `%s` must be %s", i + 1, name, what);
	}
	return GW_OK;
}

static enum gw_rc read_data_plane(struct gw_spec *s, json_t *o, struct gw_dp_settings *out,
    struct gw_error *err)
{
	json_t *log;
	enum gw_rc rc = gw_spec_object(o, "access_log", &log, err);
	if (rc != GW_OK)
		return rc;
	rc = gw_spec_access_log(s, log, out, err);
	if (rc != GW_OK) {
		gw_error_prefix(err, "/access_log");
		return rc;
	}
	json_t *flat = json_copy(o);
	json_object_del(flat, "access_log");
	rc = gw_fields_read(gw_dp_fields, flat, s->strict, NULL, s->arena, out, &s->unknown, err);
	json_decref(flat);
	if (rc == GW_OK)
		rc = check_list(&out->trusted_proxies, "trusted_proxies", is_cidr,
		    "an address or a range such as 10.0.0.0/8", err);
	if (rc == GW_OK)
		rc = check_list(&out->cors_origins, "cors_origins", is_origin,
		    "`*` or an origin such as https://app.example.com", err);
	return rc;
}

static enum gw_rc read_console(struct gw_spec *s, json_t *o, struct gw_dp_settings *out,
    struct gw_error *err)
{
	static const char *const names[] = { "data_plane_url", NULL };
	struct gw_str url = GW_STR("");
	enum gw_rc rc = gw_spec_members(s, o, names, err);
	if (rc == GW_OK)
		rc = gw_spec_text(o, "data_plane_url", 0, 512, &url, err);
	if (rc != GW_OK)
		return rc;
	const char *fault = url.n ? gw_spec_url_fault(url) : NULL;
	if (fault)
		return gw_fail(err, GW_INVALID, "/data_plane_url", "`data_plane_url` %s", fault);
	out->public_url = gw_arena_copy(s->arena, url);
	return GW_OK;
}

enum gw_rc gw_spec_settings(struct gw_spec *s, const json_t *o, struct gw_dp_settings *out,
    struct gw_error *err)
{
	static const char *const names[] = { "description", "labels", "enabled", "data_plane", "console",
		"retention", "tracing", "tls", "counters", NULL };
	json_t *data_plane, *console, *retention, *tracing, *tls, *counters;
	bool enabled;
	if (!json_is_object(o))
		return gw_fail(err, GW_INVALID, NULL, "the settings must be an object");
	gw_fields_defaults(gw_dp_fields, out);
	gw_fields_defaults(gw_access_log_fields, out);
	gw_fields_defaults(gw_retention_fields, out);
	out->access_log_mask = (1ull << GW_ACCESS_COUNT) - 1;
	gw_tracing_defaults(&out->tracing);
	gw_fields_defaults(gw_counter_fields, &out->counters);
	out->public_url = GW_STR("");
	enum gw_rc rc = gw_spec_members(s, o, names, err);
	if (rc == GW_OK)
		rc = gw_spec_common(s, o, &enabled, err);
	if (rc == GW_OK)
		rc = gw_spec_object(o, "data_plane", &data_plane, err);
	if (rc == GW_OK)
		rc = gw_spec_object(o, "console", &console, err);
	if (rc == GW_OK)
		rc = gw_spec_object(o, "retention", &retention, err);
	if (rc == GW_OK)
		rc = gw_spec_object(o, "tracing", &tracing, err);
	if (rc == GW_OK)
		rc = gw_spec_object(o, "tls", &tls, err);
	if (rc == GW_OK)
		rc = gw_spec_object(o, "counters", &counters, err);
	if (rc == GW_OK && data_plane) {
		rc = read_data_plane(s, data_plane, out, err);
		if (rc != GW_OK)
			gw_error_prefix(err, "/data_plane");
	}
	if (rc == GW_OK && console) {
		rc = read_console(s, console, out, err);
		if (rc != GW_OK)
			gw_error_prefix(err, "/console");
	}
	if (rc == GW_OK && retention) {
		rc = gw_fields_read(gw_retention_fields, retention, s->strict, NULL, s->arena, out, &s->unknown, err);
		if (rc != GW_OK)
			gw_error_prefix(err, "/retention");
	}
	if (rc == GW_OK && counters) {
		rc = gw_spec_counters(s, counters, &out->counters, err);
		if (rc != GW_OK)
			gw_error_prefix(err, "/counters");
	}
	if (rc == GW_OK && tracing) {
		rc = gw_spec_tracing(s, tracing, &out->tracing, err);
		if (rc != GW_OK)
			gw_error_prefix(err, "/tracing");
	}
	if (rc == GW_OK && tls) {
		rc = gw_spec_tls(s, tls, &out->tls, err);
		if (rc != GW_OK)
			gw_error_prefix(err, "/tls");
	}
	return rc;
}
