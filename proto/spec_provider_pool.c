/*
 * spec_provider_pool.c - how a provider fails over: breaker, checks, pool, hashing, limits of single models, rules for
 * statuses, and what becomes of a request whose client has left.
 */
#include "base/str.h"
#include "spec.h"

#include <stdio.h>
#include <stdlib.h>

#define HOUR_MS          3600000LL
#define MODEL_LIMITS_MAX 64
#define ON_STATUS_MAX    64

struct breaker_conf {
	int64_t enabled, failures, window_ms, cooldown_ms, max_ejected, slow_start_ms;
};

static const struct gw_field breaker_fields[] = {
	GW_FIELD_BOOL(struct breaker_conf, enabled, "enabled", 1,
	    "Take failing endpoints out for a while.", "暂时停用出错的端点。"),
	GW_FIELD_INT(struct breaker_conf, failures, "failures", 1, 100, 5,
	    "Failures within the window that open it, if they are at least half of the requests.",
	    "窗口内达到该失败次数（且不少于请求数的一半）即熔断。"),
	GW_FIELD_MS(struct breaker_conf, window_ms, "window", 1000, HOUR_MS, 30000,
	    "How far back failures count.", "统计失败的时间窗口。"),
	GW_FIELD_MS(struct breaker_conf, cooldown_ms, "cooldown", 100, HOUR_MS, 5000,
	    "How long it stays open before one request tries the endpoint again.", "熔断多久后放行一个试探请求。"),
	GW_FIELD_INT(struct breaker_conf, max_ejected, "max_ejected_percent", 0, 100, 100,
	    "Share of the endpoints that may be out at a time; beyond it the ones that come back first stay in.",
	    "可同时停用的端点比例；超出时最先恢复的端点继续使用。"),
	GW_FIELD_MS(struct breaker_conf, slow_start_ms, "slow_start", 0, HOUR_MS, 0,
	    "Time in which an endpoint that came back grows to its full share. 0s: at once.",
	    "恢复的端点逐步升到全部份额的时间；0s 表示立即。"),
	GW_FIELD_END
};

struct check_conf {
	int64_t enabled, interval_ms, timeout_ms, unhealthy_after, healthy_after;
	struct gw_str path;
};

static const struct gw_field check_fields[] = {
	GW_FIELD_BOOL(struct check_conf, enabled, "enabled", 0,
	    "Ask every endpoint now and then whether it is well. Only GET, which costs no tokens.",
	    "定期检查每个端点是否正常；只用 GET，不消耗令牌。"),
	GW_FIELD_TEXT(struct check_conf, path, "path", 0, 256, "/health",
	    "Path on the server, from its root: /health, /v1/models.", "服务器上的绝对路径：/health、/v1/models。"),
	GW_FIELD_MS(struct check_conf, interval_ms, "interval", 500, HOUR_MS, 10000,
	    "From one check to the next.", "两次检查的间隔。"),
	GW_FIELD_MS(struct check_conf, timeout_ms, "timeout", 100, 60000, 2000,
	    "A check that takes longer has failed.", "超过该时间视为失败。"),
	GW_FIELD_INT(struct check_conf, unhealthy_after, "unhealthy_after", 1, 20, 3,
	    "Failed checks in a row that take the endpoint out.", "连续失败多少次后停用端点。"),
	GW_FIELD_INT(struct check_conf, healthy_after, "healthy_after", 1, 20, 2,
	    "Good checks in a row that bring it back.", "连续成功多少次后恢复端点。"),
	GW_FIELD_END
};

struct pool_conf {
	int64_t max_connections, max_queue;
};

static const struct gw_field pool_fields[] = {
	GW_FIELD_INT(struct pool_conf, max_connections, "max_connections", 0, 65536, 0,
	    "Connections of one worker to one endpoint, hence its requests at a time. 0: no limit.",
	    "单个工作进程到单个端点的连接数，即并发请求数；0 表示不限。"),
	GW_FIELD_INT(struct pool_conf, max_queue, "max_queue", 0, 65536, 1024,
	    "Requests that may wait for one of them, for at most the queue timeout.",
	    "最多可排队等待的请求数，等待不超过 queue 超时。"),
	GW_FIELD_END
};

struct hash_conf {
	int64_t by;
	struct gw_str header;
};

static const char *const hash_words[] = { "consumer", "header", "session", NULL };

static const struct gw_field hash_fields[] = {
	GW_FIELD_ENUM(struct hash_conf, by, "by", hash_words, GW_HASH_BY_CONSUMER,
	    "Whom load_balance hash is faithful to.", "hash 负载均衡的依据。"),
	GW_FIELD_TEXT(struct hash_conf, header, "header", 0, 128, NULL,
	    "With header: which one.", "依据为 header 时的请求头名称。"),
	GW_FIELD_END
};

struct gone_conf {
	int64_t action, limit_ms;
};

static const char *const gone_words[] = { "cancel", "drain", NULL };

static const struct gw_field gone_fields[] = {
	GW_FIELD_ENUM(struct gone_conf, action, "action", gone_words, 0,
	    "cancel: the provider's connection is closed at once. drain: the answer is read on, for its exact token counts.",
	    "cancel：立即断开上游；drain：继续读完应答以获得准确用量。"),
	GW_FIELD_MS(struct gone_conf, limit_ms, "limit", 100, HOUR_MS, 60000,
	    "With drain: how long at most.", "drain 的最长时间。"),
	GW_FIELD_END
};

static enum gw_rc read_check(struct gw_spec *s, const json_t *o, struct gw_provider *p, struct gw_error *err)
{
	struct check_conf c;
	enum gw_rc rc = gw_spec_fields(s, o, "health_check", check_fields, &c, err);
	if (rc != GW_OK)
		return rc;
	bool fine = c.path.n > 0 && c.path.p[0] == '/';
	for (size_t i = 0; i < c.path.n; i++)
		fine &= c.path.p[i] > 0x20 && c.path.p[i] < 0x7f && c.path.p[i] != '#';
	if (!fine)
		return gw_fail(err, GW_INVALID, "/health_check/path",
		    "`path` must begin with / and have neither blanks nor control characters");
	p->check.enabled = c.enabled;
	p->check.path = c.path;
	p->check.interval_ms = c.interval_ms;
	p->check.timeout_ms = c.timeout_ms;
	p->check.unhealthy_after = c.unhealthy_after;
	p->check.healthy_after = c.healthy_after;
	return GW_OK;
}

static enum gw_rc read_hash(struct gw_spec *s, const json_t *o, struct gw_provider *p, struct gw_error *err)
{
	struct hash_conf h;
	enum gw_rc rc = gw_spec_fields(s, o, "affinity", hash_fields, &h, err);
	if (rc != GW_OK)
		return rc;
	if (h.by == GW_HASH_BY_HEADER && !gw_spec_is_token(h.header))
		return gw_fail(err, GW_INVALID, "/affinity/header", "`header` must name a header, since `by` is header");
	p->hash.by = (enum gw_hash_by)h.by;
	p->hash.header = h.header;
	return GW_OK;
}

/* ---- single models ---- */

/* The same table, with the provider's own values for defaults. */
static void fields_after(struct gw_field *out, const struct gw_timeouts *t)
{
	size_t i = 0;
	for (; gw_timeout_fields[i].type != GW_T_END; i++) {
		out[i] = gw_timeout_fields[i];
		out[i].def = *(const int64_t *)(const void *)((const char *)t + out[i].offset);
	}
	out[i] = gw_timeout_fields[i];
}

static enum gw_rc read_model_timeouts(struct gw_spec *s, const json_t *o, struct gw_provider *p, struct gw_error *err)
{
	struct gw_field fields[8];
	json_t *map, *value;
	const char *name;
	size_t n = 0;
	enum gw_rc rc = gw_spec_object(o, "model_timeouts", &map, err);
	if (rc != GW_OK || !map)
		return rc;
	if (json_object_size(map) > MODEL_LIMITS_MAX)
		return gw_fail(err, GW_INVALID, "/model_timeouts", "`model_timeouts` must have at most %d members",
		    MODEL_LIMITS_MAX);
	fields_after(fields, &p->timeouts);
	struct gw_model_limits *v = gw_arena_array(s->arena, json_object_size(map), sizeof *v);
	json_object_foreach(map, name, value) {
		struct gw_str key = gw_str_c(name);
		const char *star = strchr(name, '*');
		char token[GW_POINTER_LEN], path[GW_POINTER_LEN + 24];
		gw_json_pointer(token, key);
		snprintf(path, sizeof path, "/model_timeouts/%s", token);
		if (key.n == 0 || key.n > 256 || (star && star[1]))
			return gw_fail(err, GW_INVALID, path, "`%.60s` in `model_timeouts` must be a model, a prefix that "
			    "ends in `*`, or `*`", name);
		if (!json_is_object(value))
			return gw_fail(err, GW_INVALID, path, "`%.60s` in `model_timeouts` must be an object like `timeouts`", name);
		rc = gw_fields_read(fields, value, s->strict, s->unseal, s->arena, &v[n].t, &s->unknown, err);
		if (rc != GW_OK) {
			gw_error_prefix(err, "%s", path);
			return rc;
		}
		v[n++].models = gw_arena_copy(s->arena, key);
	}
	qsort(v, n, sizeof *v, gw_model_rule_cmp);
	p->model_limits = v;
	p->n_model_limits = n;
	return GW_OK;
}

static_assert(offsetof(struct gw_model_limits, models) == 0, "sorted by the first member");

const struct gw_timeouts *gw_provider_timeouts(const struct gw_provider *p, struct gw_str model)
{
	for (size_t i = 0; i < p->n_model_limits; i++) {
		struct gw_str m = p->model_limits[i].models;
		bool prefix = m.n && m.p[m.n - 1] == '*';
		if (prefix ? gw_str_starts(model, (struct gw_str){ m.p, m.n - 1 }) : gw_str_eq(model, m))
			return &p->model_limits[i].t;
	}
	return &p->timeouts;
}

/* ---- statuses ---- */

static const char *const then_words[] = {
#define X(name, text) text,
	GW_THEN_TABLE(X)
#undef X
};

/* "429" or "5xx" as rules have it; 0: neither. */
static uint16_t status_of(struct gw_str s)
{
	int64_t n;
	if (gw_str_is(s, "4xx") || gw_str_is(s, "5xx"))
		return (uint16_t)(s.p[0] - '0');
	return s.n == 3 && gw_str_int(s, 400, 599, &n) ? (uint16_t)n : 0;
}

static enum gw_rc read_on_status(struct gw_spec *s, const json_t *o, struct gw_provider *p, struct gw_error *err)
{
	json_t *map, *value;
	const char *name;
	size_t n = 0;
	enum gw_rc rc = gw_spec_object(o, "on_status", &map, err);
	if (rc != GW_OK || !map)
		return rc;
	if (json_object_size(map) > ON_STATUS_MAX)
		return gw_fail(err, GW_INVALID, "/on_status", "`on_status` must have at most %d members", ON_STATUS_MAX);
	struct gw_status_rule *v = gw_arena_array(s->arena, json_object_size(map), sizeof *v);
	json_object_foreach(map, name, value) {
		uint16_t status = status_of(gw_str_c(name));
		char token[GW_POINTER_LEN], path[GW_POINTER_LEN + 16];
		gw_json_pointer(token, gw_str_c(name));
		snprintf(path, sizeof path, "/on_status/%s", token);
		if (!status)
			return gw_fail(err, GW_INVALID, path, "`%.60s` in `on_status` must be a status from 400 to 599, 4xx or 5xx", name);
		for (size_t i = 0; i < GW_COUNT(then_words); i++)
			if (gw_str_is(gw_json_str(value), then_words[i]))
				v[n].then = (uint8_t)(GW_THEN_RETURN + i);
		if (!v[n].then)
			return gw_fail(err, GW_INVALID, path, "`%s` in `on_status` must be return, retry_same, next_key or next_target", name);
		v[n++].status = status;
	}
	p->on_status = v;
	p->n_on_status = n;
	return GW_OK;
}

enum gw_then gw_provider_then(const struct gw_provider *p, unsigned status)
{
	enum gw_then by_class = GW_THEN_USUAL;
	for (size_t i = 0; i < p->n_on_status; i++) {
		if (p->on_status[i].status == status)
			return (enum gw_then)p->on_status[i].then;
		if (p->on_status[i].status == status / 100)
			by_class = (enum gw_then)p->on_status[i].then;
	}
	return by_class;
}

/* ---- all of it ---- */

enum gw_rc gw_spec_provider_pool(struct gw_spec *s, const json_t *o, struct gw_provider *p, struct gw_error *err)
{
	struct breaker_conf b;
	struct pool_conf pool;
	struct gone_conf g;
	enum gw_rc rc = gw_spec_fields(s, o, "breaker", breaker_fields, &b, err);
	if (rc == GW_OK)
		rc = gw_spec_fields(s, o, "pool", pool_fields, &pool, err);
	if (rc == GW_OK)
		rc = gw_spec_fields(s, o, "on_client_gone", gone_fields, &g, err);
	if (rc == GW_OK)
		rc = read_check(s, o, p, err);
	if (rc == GW_OK)
		rc = read_hash(s, o, p, err);
	if (rc == GW_OK)
		rc = read_model_timeouts(s, o, p, err);
	if (rc == GW_OK)
		rc = read_on_status(s, o, p, err);
	if (rc != GW_OK)
		return rc;
	p->breaker.enabled = b.enabled;
	p->breaker.failures = b.failures;
	p->breaker.window_ms = b.window_ms;
	p->breaker.cooldown_ms = b.cooldown_ms;
	p->breaker.max_ejected_percent = b.max_ejected;
	p->breaker.slow_start_ms = b.slow_start_ms;
	p->pool.max_connections = pool.max_connections;
	p->pool.max_queue = pool.max_queue;
	p->client_gone.drain = g.action == 1;
	p->client_gone.limit_ms = g.limit_ms;
	return GW_OK;
}
