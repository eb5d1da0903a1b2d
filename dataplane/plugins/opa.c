/*
 * opa: a policy of Open Policy Agent says whether a request may pass.
 *
 * Its data API is asked (POST /v1/data/PATH, https://www.openpolicyagent.org/docs/latest/rest-api/) with who calls for
 * what as `input`.  `result` is true or false, or an object whose `allow` is; such an object may carry `message`, for
 * the client, and `status` (401, 402, 403 or 429).  A policy that defines no result has allowed nothing.  Anything but a
 * 200 with such a document is no answer: the next address is asked, and when none is left the plugin has failed, so that
 * `fail_open` decides.
 */
#include <stdlib.h>

#include "plugin.h"

#define URLS_MAX    4
#define HEADERS_MAX 32
#define INPUT_MAX   (1u << 20)
#define MESSAGE_MAX 200

struct conf {
	struct gw_strv urls, request_headers;
	int64_t timeout_ms, with_body;
	struct gw_str token, ca_pem, message;
};

struct state { size_t at; /* of the addresses */ };

static const struct gw_field fields[] = {
	GW_FIELD_LINES(struct conf, urls, "urls", GW_F_REQUIRED, URLS_MAX, "https?://[^\\s/?#@]+/v1/data(/[^\\s?#]*)?", "http://HOST[:PORT]/v1/data/PATH",
	               "Where the policy is asked, such as http://opa:8181/v1/data/gateway/allow. Further addresses are asked, one after another, when one gives no answer.",
	               "策略地址，例如 http://opa:8181/v1/data/gateway/allow。前一个没有应答时依次询问后面的地址。"),
	GW_FIELD_MS(struct conf, timeout_ms, "timeout", 50, 60000, 2000, "How long to wait for each address.", "每个地址的等待时间。"),
	GW_FIELD_LINES(struct conf, request_headers, "request_headers", 0, HEADERS_MAX, "[A-Za-z0-9-]{1,64}", "the name of a header",
	               "Headers of the client that the policy gets to see, in `input.headers` with their names in lower case. Others are not sent.",
	               "提供给策略的客户端请求头，位于 input.headers，名称为小写；其余不发送。"),
	GW_FIELD_BOOL(struct conf, with_body, "with_body", 0,
	              "Send the request's JSON body as `input.body`. One that makes the input longer than 1 MiB cannot be judged: the plugin has then failed.",
	              "将请求的 JSON 内容作为 input.body 发送。超过 1 MiB 时无法判断，视为插件失败。"),
	GW_FIELD_SECRET(struct conf, token, "token", 0, 1024, "Bearer token for the agent, if it asks for one.", "访问 OPA 所需的 Bearer 令牌（如果需要）。"),
	GW_FIELD_TEXT(struct conf, ca_pem, "ca_pem", 0, 65536, NULL, "Certificates to trust besides the system's, PEM.", "除系统证书外信任的证书（PEM）。"),
	GW_FIELD_TEXT(struct conf, message, "message", 0, MESSAGE_MAX, "the request was refused by a policy",
	              "What a refused client is told when the policy gives no message.", "策略没有给出说明时，拒绝访问返回的提示。"),
	GW_FIELD_END
};

static void told(struct dp_call *c, const struct dp_told *t);

static bool ask(struct dp_call *c)
{
	static const char before[] = "{\"input\":";
	const struct conf *cf = c->conf;
	struct state *st = c->state;
	struct gw_str input = dp_describe(c, &cf->request_headers, cf->with_body, INPUT_MAX);
	size_t n = sizeof before - 1 + input.n + 1;
	char bearer[1024 + 8], *json = input.p ? malloc(n) : NULL;
	struct gw_pair h[2] = { { GW_STR("x-request-id"), dp_request_id(c) } };
	size_t n_headers = 1;

	if (!json)
		return false;
	memcpy(json, before, sizeof before - 1);
	memcpy(json + sizeof before - 1, input.p, input.n);
	json[n - 1] = '}';
	if (cf->token.n) {
		size_t n_bearer = (size_t)snprintf(bearer, sizeof bearer, "Bearer %.*s", GW_FMT(cf->token));

		h[n_headers++] = (struct gw_pair){ GW_STR("authorization"), { bearer, n_bearer } };
	}
	dp_ask(c, &(struct dp_question){ .url = cf->urls.v[st->at], .ca_pem = cf->ca_pem, .json = { json, n }, .headers = h, .n_headers = n_headers,
	                                 .timeout_ms = cf->timeout_ms }, told);
	free(json);
	return true;
}

static enum dp_verdict on_body(struct dp_call *c)
{
	return ask(c) ? DP_WAIT : DP_BROKEN;
}

static void refuse(struct dp_call *c, const struct dp_told *t)
{
	const struct conf *cf = c->conf;
	struct gw_str number = dp_told_member(t, "result.status"), message = dp_told_text(c, t, "result.message");
	unsigned status = gw_str_is(number, "401") ? 401 : gw_str_is(number, "402") ? 402 : gw_str_is(number, "429") ? 429 : 403;
	const char *type = status == 401 ? "authentication_error" : status == 429 ? "rate_limit_error" : "permission_error";

	if (!message.n || message.n > MESSAGE_MAX)
		message = cf->message;
	dp_deny(c, status, type, "policy_denied", 0, "%.*s", GW_FMT(message));
}

/* Not: no answer; that of a policy without a result is a no. */
enum answer { NOT, YES, NO };

static enum answer answer_of(const struct dp_told *t)
{
	struct gw_str result, allow;

	if (t->status != 200 || !dp_told_is_object(t))
		return NOT;
	result = dp_told_member(t, "result");
	allow = result.n && result.p[0] == '{' ? dp_told_member(t, "result.allow") : result;
	return gw_str_is(allow, "true") ? YES : !allow.p || gw_str_is(allow, "false") ? NO : NOT;
}

static void told(struct dp_call *c, const struct dp_told *t)
{
	const struct conf *cf = c->conf;
	struct state *st = c->state;

	switch (answer_of(t)) {
	case YES:
		dp_resume(c, DP_NEXT);
		return;
	case NO:
		refuse(c, t);
		dp_resume(c, DP_ANSWERED);
		return;
	case NOT:
		if (++st->at == cf->urls.n || !ask(c))
			dp_resume(c, DP_BROKEN);
	}
}

extern const struct dp_plugin dp_plugin_opa;
const struct dp_plugin dp_plugin_opa = {
	.abi = DP_PLUGIN_ABI, .name = "opa", .label = "Policy (OPA)", .label_zh = "策略（OPA）",
	.rank = DP_RANK_AUTHZ, .doc = "Asks a policy of Open Policy Agent whether a request may pass.",
	.doc_zh = "由 Open Policy Agent 的策略决定请求是否放行。",
	.fields = fields, .conf_size = sizeof(struct conf), .state_size = sizeof(struct state), .on = { [DP_HOOK_BODY] = on_body },
};
