/*
 * openai_family.c - the vendors and servers that speak OpenAI's chat API, one row each.
 *
 * A new one is a row: copy a neighbour, change the names, the address, and what its documentation says about usage in
 * streams.  Error rows are needed only where a vendor differs from the general rules in provider.c.
 */
#include "provider.h"

static const struct dp_dialect *const chat[] = { &dp_openai_chat, NULL };
static const struct dp_dialect *const chat_responses[] = { &dp_openai_chat, &dp_openai_responses, NULL };
static const struct dp_dialect *const all[] = { &dp_openai_chat, &dp_openai_responses, &dp_anthropic_messages, NULL };

/* ---- options ---- */

struct conf {
	struct dp_provider_options common;
	struct gw_str organization, project;     /* OpenAI */
	struct gw_str referer, title;            /* OpenRouter */
	struct gw_str workspace;                 /* DashScope */
};

static const char *const strip_words[] = { "auto", "always", "never", NULL };
static const char *const ask_words[] = { "auto", "yes", "no", NULL };

#define COMMON                                                                                                          \
	GW_FIELD_ENUM(struct conf, common.strip_reasoning, "strip_reasoning", strip_words, DP_STRIP_AUTO,               \
	              "Remove reasoning_content from earlier messages before they are sent. auto: for models that refuse it.", \
	              "发送前从历史消息中移除 reasoning_content。auto：仅对拒绝该字段的模型移除。"),                           \
	GW_FIELD_ENUM(struct conf, common.ask_usage, "ask_usage", ask_words, DP_ASK_AUTO,                               \
	              "Ask for token counts in streams (stream_options.include_usage); the client does not see it. "    \
	              "no: for servers that refuse the member.",                                                        \
	              "在流式请求中索取用量（stream_options.include_usage），客户端无感知。no：用于拒绝该字段的服务。"),       \
	GW_FIELD_LIST(struct conf, common.stream_only, "stream_only_models", 0, 64,                                     \
	              "Models that only answer streams, as patterns like qwq-*; plain requests are streamed and collected.", \
	              "仅支持流式输出的模型，可用 qwq-* 这样的通配；非流式请求会自动改为流式并汇总。")

static const struct gw_field common_fields[] = { COMMON, GW_FIELD_END };

static const struct gw_field openai_fields[] = {
	GW_FIELD_TEXT(struct conf, organization, "organization", 0, 128, NULL,
	              "Sent as OpenAI-Organization, for keys that belong to several.", "作为 OpenAI-Organization 请求头发送。"),
	GW_FIELD_TEXT(struct conf, project, "project", 0, 128, NULL, "Sent as OpenAI-Project.",
	              "作为 OpenAI-Project 请求头发送。"),
	COMMON, GW_FIELD_END,
};

static const struct gw_field openrouter_fields[] = {
	GW_FIELD_TEXT(struct conf, referer, "referer", 0, 256, NULL, "Your site, sent as HTTP-Referer for OpenRouter's rankings.",
	              "您的网站，作为 HTTP-Referer 发送，用于 OpenRouter 排行。"),
	GW_FIELD_TEXT(struct conf, title, "title", 0, 128, NULL, "Your application's name, sent as X-Title.",
	              "应用名称，作为 X-Title 发送。"),
	COMMON, GW_FIELD_END,
};

static const struct gw_field qwen_fields[] = {
	GW_FIELD_TEXT(struct conf, workspace, "workspace", 0, 128, NULL,
	              "Workspace of Model Studio, sent as X-DashScope-WorkSpace.", "百炼业务空间，作为 X-DashScope-WorkSpace 发送。"),
	COMMON, GW_FIELD_END,
};

static void option_headers(const void *conf, struct gw_pair *out, size_t cap, size_t *n)
{
	const struct conf *c = conf;
	const struct gw_pair all_of_them[] = {
		{ GW_STR("openai-organization"), c->organization }, { GW_STR("openai-project"), c->project },
		{ GW_STR("http-referer"), c->referer }, { GW_STR("x-title"), c->title },
		{ GW_STR("x-dashscope-workspace"), c->workspace },
	};

	for (size_t i = 0; i < GW_COUNT(all_of_them) && *n < cap; i++)
		if (all_of_them[i].value.n)
			out[(*n)++] = all_of_them[i];
}

/* ---- models with rules of their own ---- */

static const char *const qwen_stream_only[] = { "qwq-*", "qvq-*", "qwen3-*-thinking-*", NULL };
/* "sending an input message that contains reasoning_content => HTTP 400" (api-docs.deepseek.com, R1) */
static const char *const deepseek_strip[] = { "deepseek-reasoner", "deepseek-r1*", NULL };

/* ---- errors that differ from the general rules ---- */

#define END { 0, NULL, DP_FAULT_NONE }

static const struct dp_fault_rule qwen_faults[] = {
	/* tokens a minute, or the free quota: comes back by itself, unlike OpenAI's word of the same spelling */
	{ 429, "insufficient_quota", DP_FAULT_RATE },
	{ 400, "arrearage", DP_FAULT_NO_MONEY },
	{ 403, "accessdenied", DP_FAULT_NO_MODEL },
	{ 403, "access_denied", DP_FAULT_NO_MODEL },
	END,
};

static const struct dp_fault_rule zhipu_faults[] = {
	{ 0, "\"1113\"", DP_FAULT_NO_MONEY },
	{ 429, "\"1301\"", DP_FAULT_CLIENT },
	{ 0, "\"1211\"", DP_FAULT_NO_MODEL },
	{ 0, "\"1261\"", DP_FAULT_CONTEXT },
	{ 429, "\"1305\"", DP_FAULT_OVERLOAD },
	{ 429, "\"1312\"", DP_FAULT_OVERLOAD },
	END,
};

static const struct dp_fault_rule doubao_faults[] = {
	{ 403, "accountoverdue", DP_FAULT_NO_MONEY },
	{ 403, "accessdenied", DP_FAULT_NO_MODEL },
	{ 404, NULL, DP_FAULT_NO_MODEL },
	{ 429, "serveroverloaded", DP_FAULT_OVERLOAD },
	END,
};

static const struct dp_fault_rule moonshot_faults[] = {
	{ 429, "engine_overloaded_error", DP_FAULT_OVERLOAD },
	{ 400, "content_filter", DP_FAULT_CLIENT },
	END,
};

static const struct dp_fault_rule siliconflow_faults[] = {
	{ 403, "30001", DP_FAULT_NO_MONEY },
	{ 503, "50505", DP_FAULT_OVERLOAD },
	END,
};

static const struct dp_fault_rule openrouter_faults[] = {
	{ 403, "moderation", DP_FAULT_CLIENT },
	{ 403, "flagged", DP_FAULT_CLIENT },
	{ 502, NULL, DP_FAULT_OVERLOAD },
	END,
};

static const struct dp_fault_rule groq_faults[] = {
	{ 413, NULL, DP_FAULT_CONTEXT },
	END,
};

static const struct dp_fault_rule xai_faults[] = {
	{ 403, "credits", DP_FAULT_NO_MONEY },
	{ 429, "credits", DP_FAULT_NO_MONEY },
	END,
};

static const struct dp_fault_rule ollama_faults[] = {
	{ 503, "server busy", DP_FAULT_OVERLOAD },
	END,
};

/* ---- the rows ---- */

#define MODELS(...) (const char *const[]){ __VA_ARGS__, NULL }
#define ROW(t, en, zh) .abi = DP_PROVIDER_ABI, .type = t, .label = en, .label_zh = zh, .auth = DP_AUTH_BEARER, \
	.conf_size = sizeof(struct conf), .option_headers = option_headers

extern const struct dp_provider dp_provider_openai_family[];
const struct dp_provider dp_provider_openai_family[] = {
	{ ROW("deepseek", "DeepSeek", "DeepSeek（深度求索）"), .base_url = "https://api.deepseek.com/v1",
	  .doc = "DeepSeek's own API: chat and reasoning models.", .doc_zh = "DeepSeek 官方 API：对话与推理模型。",
	  .docs_url = "https://api-docs.deepseek.com/", .api_key_required = true, .usage = DP_USAGE_ALWAYS,
	  .dialects = chat, .models = MODELS("deepseek-reasoner", "deepseek-chat"), .strip_reasoning = deepseek_strip,
	  .fields = common_fields },
	{ ROW("qwen", "Qwen (Alibaba Cloud Model Studio)", "通义千问（阿里云百炼）"),
	  .base_url = "https://dashscope.aliyuncs.com/compatible-mode/v1",
	  .doc = "Qwen, QwQ and others at DashScope, in its OpenAI-compatible mode.",
	  .doc_zh = "DashScope 的 OpenAI 兼容模式：通义千问、QwQ 等模型。",
	  .docs_url = "https://help.aliyun.com/zh/model-studio/", .api_key_required = true, .usage = DP_USAGE_ASK,
	  .dialects = chat_responses, .models = MODELS("qwen-max", "qwen-plus", "qwen-turbo", "qwq-plus", "qwq-32b"),
	  .stream_only = qwen_stream_only, .faults = qwen_faults, .fields = qwen_fields },
	{ ROW("openai", "OpenAI", "OpenAI"), .base_url = "https://api.openai.com/v1",
	  .doc = "OpenAI's own API.", .doc_zh = "OpenAI 官方 API。", .docs_url = "https://platform.openai.com/docs/",
	  .api_key_required = true, .usage = DP_USAGE_ASK, .dialects = chat_responses,
	  .models = MODELS("gpt-4.1", "gpt-4.1-mini", "gpt-4o", "o4-mini", "text-embedding-3-small"),
	  .fields = openai_fields },
	{ ROW("openai-compatible", "OpenAI-compatible server", "OpenAI 兼容服务"),
	  .doc = "Any server with OpenAI's chat API: say where it is.", .doc_zh = "任何兼容 OpenAI 对话 API 的服务：填写地址即可。",
	  .usage = DP_USAGE_ASK, .dialects = chat, .fields = common_fields },
	{ ROW("vllm", "vLLM (self-hosted)", "vLLM（自建）"),
	  .doc = "A vLLM server, for example http://10.0.0.7:8000/v1.", .doc_zh = "自建 vLLM 服务，例如 http://10.0.0.7:8000/v1。",
	  .docs_url = "https://docs.vllm.ai/", .usage = DP_USAGE_ASK, .dialects = all, .fields = common_fields },
	{ ROW("ollama", "Ollama", "Ollama"), .base_url = "http://127.0.0.1:11434/v1",
	  .doc = "Models on your own machine, served by Ollama.", .doc_zh = "由 Ollama 在本机运行的模型。",
	  .docs_url = "https://github.com/ollama/ollama/blob/main/docs/openai.md", .usage = DP_USAGE_ASK,
	  .dialects = all, .faults = ollama_faults, .fields = common_fields },
	{ ROW("moonshot", "Moonshot AI (Kimi)", "月之暗面（Kimi）"), .base_url = "https://api.moonshot.cn/v1",
	  .doc = "Kimi models.", .doc_zh = "Kimi 系列模型。", .docs_url = "https://platform.moonshot.cn/docs/",
	  .api_key_required = true, .usage = DP_USAGE_ASK, .dialects = chat,
	  .models = MODELS("kimi-k2-0905-preview", "kimi-latest", "moonshot-v1-8k"), .faults = moonshot_faults,
	  .fields = common_fields },
	{ ROW("zhipuai", "Zhipu AI (GLM)", "智谱 AI（GLM）"), .base_url = "https://open.bigmodel.cn/api/paas/v4",
	  .doc = "GLM models.", .doc_zh = "GLM 系列模型。", .docs_url = "https://docs.bigmodel.cn/",
	  .api_key_required = true, .usage = DP_USAGE_ALWAYS, .dialects = chat,
	  .models = MODELS("glm-4.6", "glm-4.5", "glm-4.5-air", "glm-4-flash"), .faults = zhipu_faults,
	  .fields = common_fields },
	{ ROW("doubao", "Doubao (Volcengine Ark)", "豆包（火山方舟）"), .base_url = "https://ark.cn-beijing.volces.com/api/v3",
	  .doc = "Models and endpoints (ep-…) of Volcengine Ark.", .doc_zh = "火山方舟的模型与推理接入点（ep-…）。",
	  .docs_url = "https://www.volcengine.com/docs/82379", .api_key_required = true, .usage = DP_USAGE_ASK,
	  .dialects = chat, .models = MODELS("doubao-seed-1-6", "doubao-1-5-pro-32k", "deepseek-r1-250528"),
	  .faults = doubao_faults, .fields = common_fields },
	{ ROW("siliconflow", "SiliconFlow", "硅基流动"), .base_url = "https://api.siliconflow.cn/v1",
	  .doc = "Open models, hosted.", .doc_zh = "托管的开源模型。", .docs_url = "https://docs.siliconflow.cn/",
	  .api_key_required = true, .usage = DP_USAGE_ALWAYS, .dialects = chat,
	  .models = MODELS("deepseek-ai/DeepSeek-R1", "deepseek-ai/DeepSeek-V3", "Qwen/QwQ-32B"),
	  .faults = siliconflow_faults, .fields = common_fields },
	{ ROW("openrouter", "OpenRouter", "OpenRouter"), .base_url = "https://openrouter.ai/api/v1",
	  .doc = "Many vendors' models behind one key.", .doc_zh = "用一个密钥访问多家厂商的模型。",
	  .docs_url = "https://openrouter.ai/docs", .api_key_required = true, .usage = DP_USAGE_ALWAYS,
	  .dialects = chat, .models = MODELS("deepseek/deepseek-r1", "qwen/qwq-32b", "openai/gpt-4.1"),
	  .faults = openrouter_faults, .fields = openrouter_fields },
	{ ROW("groq", "Groq", "Groq"), .base_url = "https://api.groq.com/openai/v1",
	  .doc = "Open models on fast hardware.", .doc_zh = "运行在高速硬件上的开源模型。",
	  .docs_url = "https://console.groq.com/docs/", .api_key_required = true, .usage = DP_USAGE_ALWAYS,
	  .dialects = chat, .models = MODELS("llama-3.3-70b-versatile", "qwen/qwen3-32b"), .faults = groq_faults,
	  .fields = common_fields },
	{ ROW("mistral", "Mistral AI", "Mistral AI"), .base_url = "https://api.mistral.ai/v1",
	  .doc = "Mistral's models. Unknown request members are refused there.", .doc_zh = "Mistral 系列模型；其接口拒绝未知字段。",
	  .docs_url = "https://docs.mistral.ai/", .api_key_required = true, .usage = DP_USAGE_NEVER_ASK,
	  .dialects = chat, .models = MODELS("mistral-large-latest", "mistral-small-latest", "codestral-latest"),
	  .fields = common_fields },
	{ ROW("xai", "xAI (Grok)", "xAI（Grok）"), .base_url = "https://api.x.ai/v1",
	  .doc = "Grok models.", .doc_zh = "Grok 系列模型。", .docs_url = "https://docs.x.ai/",
	  .api_key_required = true, .usage = DP_USAGE_ALWAYS, .reasoning_apart = true, .dialects = chat_responses,
	  .models = MODELS("grok-4", "grok-3-mini"), .faults = xai_faults, .fields = common_fields },
	{ .type = NULL },
};
