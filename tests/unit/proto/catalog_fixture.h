/*
 * catalog_fixture.h - a small catalogue for tests: two provider types and three plugins of different rank.
 *
 * `quota` has a rule that spans fields, so that checks are seen to run; `chat-guard` has a secret.  The catalogue is
 * owned by the caller (gw_catalog_close); the tables are static.
 */
#ifndef TG_CATALOG_FIXTURE_H
#define TG_CATALOG_FIXTURE_H

#include "base/str.h"
#include "field.h"

struct fx_vendor { int64_t beta; struct gw_str organization, secret; };
struct fx_limit { int64_t tokens, window, limit_by; struct gw_str header; struct gw_strv allow; };
struct fx_guard { struct gw_str secret, url; int64_t strict; };

static const char *const fx_limit_by[] = { "consumer", "ip", "header", NULL };

static const struct gw_field fx_vendor_fields[] = {
	GW_FIELD_BOOL(struct fx_vendor, beta, "beta", 0, "Use the beta.", "使用测试版。"),
	GW_FIELD_TEXT(struct fx_vendor, organization, "organization", 0, 64, NULL, "Organisation.", "组织。"),
	GW_FIELD_SECRET(struct fx_vendor, secret, "secret", 0, 64, "Another secret.", "另一个密钥。"),
	GW_FIELD_END
};
static const struct gw_field fx_limit_fields[] = {
	GW_FIELD_INT(struct fx_limit, tokens, "tokens", 1, 1000000, 60000, "Tokens per window.", "每个窗口的令牌数。"),
	GW_FIELD_MS(struct fx_limit, window, "window", 1000, 86400000, 60000, "Window.", "窗口。"),
	GW_FIELD_ENUM(struct fx_limit, limit_by, "limit_by", fx_limit_by, 0, "By what.", "依据。"),
	GW_FIELD_TEXT(struct fx_limit, header, "header", 0, 64, "x-user", "Header.", "请求头。"),
	GW_FIELD_LIST(struct fx_limit, allow, "allow", 0, 4, "Never limited.", "不受限制。"),
	GW_FIELD_END
};
static const struct gw_field fx_guard_fields[] = {
	GW_FIELD_SECRET(struct fx_guard, secret, "secret", GW_F_REQUIRED, 64, "Key.", "密钥。"),
	GW_FIELD_TEXT(struct fx_guard, url, "url", GW_F_REQUIRED, 128, NULL, "Where.", "地址。"),
	GW_FIELD_BOOL(struct fx_guard, strict, "strict", 1, "Strict.", "严格。"),
	GW_FIELD_END
};
static const struct gw_field fx_no_fields[] = { GW_FIELD_END };

static enum gw_rc fx_limit_check(const void *conf, struct gw_error *err)
{
	const struct fx_limit *c = conf;
	if (c->limit_by == 2 && c->header.n == 0)
		return gw_fail(err, GW_INVALID, "/header", "`header` is required when `limit_by` is header");
	return GW_OK;
}

static inline struct gw_catalog *fx_catalog(void)
{
	struct gw_catalog *c = gw_catalog_open();
	struct gw_module deepseek = { "deepseek", fx_vendor_fields, sizeof(struct fx_vendor), NULL, json_object() };
	json_object_set_new(deepseek.about, "default_base_url", json_string("https://api.deepseek.com/v1"));
	json_object_set_new(deepseek.about, "api_key_required", json_true());
	struct gw_module vllm = { "vllm", fx_no_fields, 1, NULL, NULL };
	struct gw_module limit = { "token-ratelimit", fx_limit_fields, sizeof(struct fx_limit), fx_limit_check,
		json_object() };
	json_object_set_new(limit.about, "rank", json_string("LIMIT"));
	struct gw_module guard = { "chat-guard", fx_guard_fields, sizeof(struct fx_guard), NULL, json_object() };
	json_object_set_new(guard.about, "rank", json_string("GUARD"));
	struct gw_module acl = { "acl", fx_no_fields, 1, NULL, json_object() };
	json_object_set_new(acl.about, "rank", json_string("AUTHZ"));
	gw_catalog_add(c, GW_CAT_PROVIDER_TYPES, &deepseek);
	gw_catalog_add(c, GW_CAT_PROVIDER_TYPES, &vllm);
	gw_catalog_add(c, GW_CAT_PLUGINS, &guard);
	gw_catalog_add(c, GW_CAT_PLUGINS, &limit);
	gw_catalog_add(c, GW_CAT_PLUGINS, &acl);
	return c;
}

#endif
