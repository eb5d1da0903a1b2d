/*
 * spec_provider.c - one provider: type, addresses, keys, timeouts, TLS, extra headers, options of its type.
 */
#include "base/str.h"
#include "seal.h"
#include "spec.h"

#include <stdio.h>

#define ENDPOINTS_MAX 64
#define KEYS_MAX      64
#define HEADERS_MAX   32
#define WEIGHT_MAX    10000
#define HOUR_MS       3600000LL

const struct gw_field gw_timeout_fields[] = {
	GW_FIELD_MS(struct gw_timeouts, connect_ms, "connect", 10, 300000, 2000,
	    "TCP and TLS.", "建立 TCP 与 TLS 连接。"),
	GW_FIELD_MS(struct gw_timeouts, first_byte_ms, "first_byte", 10, HOUR_MS, 60000,
	    "Until the answer begins.", "直到应答开始。"),
	GW_FIELD_MS(struct gw_timeouts, idle_ms, "idle", 10, HOUR_MS, 60000,
	    "Longest gap inside an answer.", "应答中最长的停顿。"),
	GW_FIELD_MS(struct gw_timeouts, total_ms, "total", 100, 24 * HOUR_MS, 600000,
	    "Whole attempt.", "整次尝试。"),
	GW_FIELD_MS(struct gw_timeouts, queue_ms, "queue", 0, HOUR_MS, 5000,
	    "Waiting for a connection of the pool.", "等待连接池中的连接。"),
	GW_FIELD_END
};

struct failover_conf {
	int64_t enabled, threshold, cooldown_ms;
};

static const struct gw_field failover_fields[] = {
	GW_FIELD_BOOL(struct failover_conf, enabled, "enabled", 1,
	    "Take failing keys out for a while.", "暂时停用出错的密钥。"),
	GW_FIELD_INT(struct failover_conf, threshold, "failure_threshold", 1, 100, 3,
	    "Failures in a row.", "连续失败次数。"),
	GW_FIELD_MS(struct failover_conf, cooldown_ms, "cooldown", 1000, 24 * HOUR_MS, 30000,
	    "How long the key rests.", "密钥停用的时长。"),
	GW_FIELD_END
};

struct tls_conf {
	int64_t verify;
	struct gw_str ca_pem, server_name;
	int64_t min_version;
};

static const char *const tls_versions[] = { "1.2", "1.3", NULL };

static const struct gw_field tls_fields[] = {
	GW_FIELD_BOOL(struct tls_conf, verify, "verify", 1,
	    "Verify the provider's certificate.", "校验服务商的证书。"),
	GW_FIELD_TEXT(struct tls_conf, ca_pem, "ca_pem", 0, 262144, NULL,
	    "Extra roots, PEM.", "额外的根证书（PEM）。"),
	GW_FIELD_TEXT(struct tls_conf, server_name, "server_name", 0, 253, NULL,
	    "Name to ask for and to verify, where it is not the host of the URL.",
	    "当与 URL 中的主机名不同时，用于 SNI 与校验的名称。"),
	GW_FIELD_ENUM(struct tls_conf, min_version, "min_version", tls_versions, 0,
	    "Oldest version of TLS that is spoken with it.", "允许的最低 TLS 版本。"),
	GW_FIELD_END
};

enum gw_rc gw_spec_fields(struct gw_spec *s, const json_t *o, const char *name,
    const struct gw_field *fields, void *conf, struct gw_error *err)
{
	json_t *group;
	enum gw_rc rc = gw_spec_object(o, name, &group, err);
	if (rc != GW_OK)
		return rc;
	rc = gw_fields_read(fields, group, s->strict, s->unseal, s->arena, conf, &s->unknown, err);
	if (rc != GW_OK)
		gw_error_prefix(err, "/%s", name);
	return rc;
}

/* Without the slash at its end, so that a path can simply follow. */
static struct gw_str clean_url(struct gw_spec *s, struct gw_str url)
{
	while (url.n && url.p[url.n - 1] == '/')
		url.n--;
	return gw_arena_copy(s->arena, url);
}

static enum gw_rc read_endpoint(struct gw_spec *s, const json_t *o, struct gw_endpoint *out,
    struct gw_error *err)
{
	static const char *const names[] = { "url", "weight", NULL };
	struct gw_str url = GW_STR_NONE;
	*out = (struct gw_endpoint){ .weight = 1 };
	if (!json_is_object(o))
		return gw_fail(err, GW_INVALID, NULL, "an endpoint must be an object with a `url`");
	enum gw_rc rc = gw_spec_members(s, o, names, err);
	if (rc == GW_OK)
		rc = gw_spec_text(o, "url", 1, 2048, &url, err);
	if (rc == GW_OK)
		rc = gw_json_int(o, "weight", 0, WEIGHT_MAX, &out->weight, err);
	if (rc != GW_OK)
		return rc;
	if (!url.p)
		return gw_fail(err, GW_INVALID, "/url", "`url` is required");
	const char *fault = gw_spec_url_fault(url);
	if (fault)
		return gw_fail(err, GW_INVALID, "/url", "`url` %s", fault);
	out->url = clean_url(s, url);
	return GW_OK;
}

/* endpoints, else base_url, else what the type has by default. */
static enum gw_rc read_addresses(struct gw_spec *s, const json_t *o, struct gw_provider *p,
    struct gw_error *err)
{
	struct gw_str base = GW_STR_NONE;
	json_t *list, *item;
	size_t i;
	enum gw_rc rc = gw_spec_text(o, "base_url", 1, 2048, &base, err);
	if (rc == GW_OK)
		rc = gw_spec_array(o, "endpoints", ENDPOINTS_MAX, &list, err);
	if (rc != GW_OK)
		return rc;
	const char *fault = base.p ? gw_spec_url_fault(base) : NULL;
	if (fault)
		return gw_fail(err, GW_INVALID, "/base_url", "`base_url` %s", fault);
	size_t n = json_array_size(list);
	p->allow_private = base.p || n;
	if (n == 0) {
		if (!base.p)
			base = gw_json_str(json_object_get(p->module->about, "default_base_url"));
		if (!base.n)
			return gw_fail(err, GW_INVALID, "/base_url",
			    "`base_url` is required, because the type `%.*s` has no default address",
			    GW_FMT(p->type));
	}
	struct gw_endpoint *v = gw_arena_array(s->arena, n ? n : 1, sizeof *v);
	json_array_foreach(list, i, item) {
		rc = read_endpoint(s, item, &v[i], err);
		if (rc != GW_OK) {
			gw_error_prefix(err, "/endpoints/%zu", i);
			return rc;
		}
	}
	if (n == 0)
		v[0] = (struct gw_endpoint){ clean_url(s, base), 1 };
	p->endpoints = v;
	p->n_endpoints = n ? n : 1;
	return gw_json_bool(o, "allow_private", &p->allow_private, err);
}

static enum gw_rc read_key(struct gw_spec *s, const json_t *o, struct gw_provider_key *out,
    bool *usable, struct gw_error *err)
{
	static const char *const names[] = { "name", "value", "weight", "enabled", NULL };
	static const char printable[] = "`value` must be one line of printable ASCII characters";
	struct gw_str name = GW_STR_NONE;
	bool enabled = true;
	*out = (struct gw_provider_key){ .weight = 1 };
	if (!json_is_object(o))
		return gw_fail(err, GW_INVALID, NULL, "a key must be an object with `name` and `value`");
	enum gw_rc rc = gw_spec_members(s, o, names, err);
	if (rc == GW_OK)
		rc = gw_spec_text(o, "name", 1, 63, &name, err);
	if (rc == GW_OK)
		rc = gw_json_int(o, "weight", 0, WEIGHT_MAX, &out->weight, err);
	if (rc == GW_OK)
		rc = gw_json_bool(o, "enabled", &enabled, err);
	if (rc != GW_OK)
		return rc;
	if (!gw_name_valid(name))
		return gw_fail(err, GW_INVALID, "/name",
		    "`name` must consist of 1 to 63 lower-case letters, digits, and `.` or `-` inside");
	out->name = gw_arena_copy(s->arena, name);
	json_t *v = json_object_get(o, "value");
	*usable = enabled && v && !json_is_null(v);
	if (!v || json_is_null(v))
		return GW_OK;
	if (gw_is_sealed(v)) {
		if (!s->unseal) {
			out->value = gw_arena_copy(s->arena, gw_json_str(json_object_get(v, "sealed")));
			return GW_OK;
		}
		rc = gw_unseal_value(s->unseal->key, v, s->arena, &out->value, err);
		if (rc != GW_OK) {
			gw_error_prefix(err, "/value");
			return rc;
		}
	} else if (json_is_string(v)) {
		out->value = gw_secret_copy(s->arena, gw_json_str(v));
	} else {
		return gw_fail(err, GW_INVALID, "/value",
		    "`value` must be a text: what a secret is shown as cannot be sent back");
	}
	if (out->value.n == 0 || out->value.n > 8192)
		return gw_fail(err, GW_INVALID, "/value", "`value` must have 1 to 8192 bytes");
	for (size_t i = 0; i < out->value.n; i++)
		if (out->value.p[i] <= 0x20 || out->value.p[i] >= 0x7f)
			return gw_fail(err, GW_INVALID, "/value", printable);
	return GW_OK;
}

static enum gw_rc read_keys(struct gw_spec *s, const json_t *o, struct gw_provider *p,
    struct gw_error *err)
{
	json_t *list, *item;
	size_t i;
	enum gw_rc rc = gw_spec_array(o, "api_keys", KEYS_MAX, &list, err);
	if (rc != GW_OK)
		return rc;
	size_t n = json_array_size(list), used = 0;
	struct gw_provider_key *v = gw_arena_array(s->arena, n, sizeof *v);
	struct gw_str seen[KEYS_MAX];
	json_array_foreach(list, i, item) {
		bool usable = false;
		rc = read_key(s, item, &v[used], &usable, err);
		seen[i] = v[used].name;
		for (size_t k = 0; rc == GW_OK && k < i; k++)
			if (gw_str_eq(seen[k], seen[i]))
				rc = gw_fail(err, GW_INVALID, "/name", "two keys have the name `%.*s`",
				    GW_FMT(seen[i]));
		if (rc != GW_OK) {
			gw_error_prefix(err, "/api_keys/%zu", i);
			return rc;
		}
		used += usable;
	}
	p->keys = v;
	p->n_keys = used;
	return GW_OK;
}

/* Headers that the gateway builds itself: framing, connection, credentials. */
static bool is_reserved(struct gw_str name, const struct gw_module *type)
{
	static const char *const reserved[] = { "host", "content-length", "transfer-encoding", "connection",
		"keep-alive", "te", "trailer", "upgrade", "expect", "content-type", "content-encoding",
		"accept-encoding", "proxy-connection", "proxy-authenticate", "proxy-authorization",
		"authorization", "x-api-key", "api-key", "x-goog-api-key" };
	/* A type may allow one of them, where its servers want a credential of their own kind. */
	json_t *allowed = json_object_get(type->about, "allowed_headers"), *v;
	size_t i;
	json_array_foreach(allowed, i, v)
		if (gw_str_ieq(name, gw_json_str(v)))
			return false;
	for (size_t k = 0; k < GW_COUNT(reserved); k++)
		if (gw_str_ieq(name, gw_str_c(reserved[k])))
			return true;
	return name.n >= 11 && gw_str_ieq((struct gw_str){ name.p, 11 }, GW_STR("x-tidegate-"));
}

static const char *header_fault(struct gw_str name, const json_t *value, const struct gw_module *type)
{
	struct gw_str v = gw_json_str(value);
	if (name.n > 128 || !gw_spec_is_token(name))
		return "is not a name of a header";
	if (is_reserved(name, type))
		return "is set by the gateway itself";
	if (!v.p || v.n > 4096)
		return "must be a text of at most 4096 bytes";
	for (size_t i = 0; i < v.n; i++) {
		unsigned char c = (unsigned char)v.p[i];
		if ((c < 0x20 && c != '\t') || c == 0x7f)
			return "must not contain control characters or line ends";
	}
	if (!gw_str_eq(v, gw_str_trim(v)))
		return "must not begin or end with a blank";
	return NULL;
}

static enum gw_rc read_headers(struct gw_spec *s, const json_t *o, struct gw_provider *p,
    struct gw_error *err)
{
	json_t *headers, *value;
	const char *name;
	size_t n = 0;
	enum gw_rc rc = gw_spec_object(o, "headers", &headers, err);
	if (rc != GW_OK || !headers)
		return rc;
	if (json_object_size(headers) > HEADERS_MAX)
		return gw_fail(err, GW_INVALID, "/headers", "`headers` must have at most %d members",
		    HEADERS_MAX);
	struct gw_pair *v = gw_arena_array(s->arena, json_object_size(headers), sizeof *v);
	json_object_foreach(headers, name, value) {
		struct gw_str key = gw_str_c(name);
		const char *fault = header_fault(key, value, p->module);
		for (size_t i = 0; !fault && i < n; i++)
			if (gw_str_ieq(v[i].name, key))
				fault = "stands there twice";
		if (fault) {
			char token[GW_POINTER_LEN], path[GW_POINTER_LEN + 16];
			gw_json_pointer(token, key);
			snprintf(path, sizeof path, "/headers/%s", token);
			return gw_fail(err, GW_INVALID, path, "the header `%.60s` %s", name, fault);
		}
		v[n].name = gw_arena_copy(s->arena, key);
		v[n++].value = gw_arena_copy(s->arena, gw_json_str(value));
	}
	p->headers = v;
	p->n_headers = n;
	return GW_OK;
}

/*
 * The header that tells a provider who calls.  Only an x- name, so that it cannot take the place of one that HTTP or
 * a vendor gives a meaning; x-tidegate-consumer is free for it though `headers` must not use such names.
 */
static enum gw_rc read_consumer_header(struct gw_spec *s, const json_t *o, struct gw_provider *p,
    struct gw_error *err)
{
	struct gw_str name = GW_STR_NONE;
	enum gw_rc rc = gw_spec_text(o, "consumer_header", 1, 128, &name, err);
	if (rc != GW_OK || !name.p)
		return rc;
	if (name.n < 3 || !gw_str_ieq((struct gw_str){ name.p, 2 }, GW_STR("x-")) || !gw_spec_is_token(name))
		return gw_fail(err, GW_INVALID, "/consumer_header",
		    "`consumer_header` must be the name of a header that begins with `x-`");
	if (gw_str_ieq(name, GW_STR("x-request-id")) ||
	    (is_reserved(name, p->module) && !gw_str_ieq(name, GW_STR("x-tidegate-consumer"))))
		return gw_fail(err, GW_INVALID, "/consumer_header",
		    "the header `%.*s` is set by the gateway itself", GW_FMT(name));
	for (size_t i = 0; i < p->n_headers; i++)
		if (gw_str_ieq(p->headers[i].name, name))
			return gw_fail(err, GW_INVALID, "/consumer_header",
			    "`headers` sets `%.*s` already", GW_FMT(name));
	p->consumer_header = gw_arena_copy(s->arena, name);
	return GW_OK;
}

static enum gw_rc read_type(struct gw_spec *s, const json_t *o, struct gw_provider *p,
    struct gw_error *err)
{
	json_t *options;
	enum gw_rc rc = gw_spec_text(o, "type", 1, 63, &p->type, err);
	if (rc == GW_OK)
		rc = gw_spec_object(o, "options", &options, err);
	if (rc != GW_OK)
		return rc;
	if (!p->type.p)
		return gw_fail(err, GW_INVALID, "/type", "`type` is required");
	p->module = gw_catalog_find(s->catalog, GW_CAT_PROVIDER_TYPES, p->type);
	if (!p->module)
		return gw_fail(err, GW_INVALID, "/type", "there is no provider type `%.*s`", GW_FMT(p->type));
	p->type = gw_arena_copy(s->arena, p->type);
	void *conf = gw_arena_alloc(s->arena, p->module->conf_size);
	rc = gw_fields_read(p->module->fields, options, s->strict, s->unseal, s->arena, conf,
	    &s->unknown, err);
	if (rc == GW_OK && p->module->check)
		rc = p->module->check(conf, err);
	if (rc != GW_OK)
		gw_error_prefix(err, "/options");
	p->options = conf;
	return rc;
}

static enum gw_rc read_groups(struct gw_spec *s, const json_t *o, struct gw_provider *p,
    struct gw_error *err)
{
	struct failover_conf f;
	struct tls_conf t;
	size_t at;
	enum gw_rc rc = gw_spec_fields(s, o, "timeouts", gw_timeout_fields, &p->timeouts, err);
	if (rc == GW_OK)
		rc = gw_spec_fields(s, o, "key_failover", failover_fields, &f, err);
	if (rc == GW_OK)
		rc = gw_spec_fields(s, o, "tls", tls_fields, &t, err);
	if (rc != GW_OK)
		return rc;
	p->key_failover.enabled = f.enabled;
	p->key_failover.failure_threshold = f.threshold;
	p->key_failover.cooldown_ms = f.cooldown_ms;
	if (t.ca_pem.n && !gw_str_find(t.ca_pem, GW_STR("-----BEGIN CERTIFICATE-----"), &at))
		return gw_fail(err, GW_INVALID, "/tls/ca_pem", "`ca_pem` holds no certificate in PEM form");
	if (t.server_name.n && !gw_spec_is_host(t.server_name))
		return gw_fail(err, GW_INVALID, "/tls/server_name", "`server_name` must be a host name");
	p->tls.verify = t.verify;
	p->tls.ca_pem = t.ca_pem;
	p->tls.server_name = t.server_name;
	p->tls.only_13 = t.min_version == 1;
	return GW_OK;
}

enum gw_rc gw_spec_provider(struct gw_spec *s, const json_t *o, struct gw_provider *out,
    struct gw_error *err)
{
	static const char *const names[] = { "description", "labels", "enabled", "type", "base_url",
		"api_keys", "models", "endpoints", "load_balance", "timeouts", "key_failover", "tls",
		"headers", "options", "allow_private", "affinity", "model_timeouts", "on_status", "breaker",
		"health_check", "pool", "on_client_gone", "consumer_header", NULL };
	static const char *const balances[] = { "round_robin", "random", "least_requests", "hash", NULL };
	static const struct gw_spec_list models = { "models", 1000, 256, NULL, NULL };
	int balance = GW_BALANCE_ROUND_ROBIN;
	if (!json_is_object(o))
		return gw_fail(err, GW_INVALID, NULL, "a provider must be an object");
	enum gw_rc rc = gw_spec_members(s, o, names, err);
	if (rc == GW_OK)
		rc = gw_spec_common(s, o, &out->enabled, err);
	if (rc == GW_OK)
		rc = read_type(s, o, out, err);
	if (rc == GW_OK)
		rc = read_addresses(s, o, out, err);
	if (rc == GW_OK)
		rc = read_keys(s, o, out, err);
	if (rc == GW_OK)
		rc = gw_spec_texts(s, o, &models, &out->models, err);
	if (rc == GW_OK)
		rc = gw_spec_word(o, "load_balance", balances, &balance, err);
	if (rc == GW_OK)
		rc = read_groups(s, o, out, err);
	if (rc == GW_OK)
		rc = read_headers(s, o, out, err);
	if (rc == GW_OK)
		rc = read_consumer_header(s, o, out, err);
	if (rc == GW_OK)
		rc = gw_spec_provider_pool(s, o, out, err);
	out->balance = (enum gw_balance)balance;
	return rc;
}
