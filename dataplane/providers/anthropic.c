/* anthropic.c - the Messages API, passed through to clients that speak it themselves. */
#include "provider.h"

static const struct dp_dialect *const speaks[] = { &dp_anthropic_messages, NULL };

static const struct gw_pair headers[] = {
	/* A client's own version wins: later ones refuse parameters that this one takes. */
	{ { "anthropic-version", 17 }, { "2023-06-01", 10 } },
	{ { NULL, 0 }, { NULL, 0 } },
};

static const struct dp_fault_rule faults[] = {
	{ 429, "enforced_spend_limit_reached", DP_FAULT_NO_MONEY },
	{ 400, "credit balance", DP_FAULT_NO_MONEY },
	{ 400, "spend limit", DP_FAULT_NO_MONEY },
	{ 0, NULL, DP_FAULT_NONE },
};

static const struct gw_field fields[] = { GW_FIELD_END };

static const char *const models[] = { "claude-sonnet-5", "claude-opus-5", "claude-haiku-4-5", NULL };

extern const struct dp_provider dp_provider_anthropic[];
const struct dp_provider dp_provider_anthropic[] = {
	{ .abi = DP_PROVIDER_ABI, .type = "anthropic", .label = "Anthropic", .label_zh = "Anthropic",
	  .doc = "Claude models over the Messages API (/v1/messages); the client must speak it too.",
	  .doc_zh = "通过 Messages API（/v1/messages）使用 Claude 模型；客户端也须使用该协议。",
	  .base_url = "https://api.anthropic.com/v1", .docs_url = "https://docs.anthropic.com/",
	  .api_key_required = true, .auth = DP_AUTH_X_API_KEY, .usage = DP_USAGE_ALWAYS, .dialects = speaks,
	  .headers = headers, .models = models, .faults = faults, .fields = fields },
	{ .type = NULL },
};
