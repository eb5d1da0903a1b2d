/*
 * ext-auth: another service says whether a request may pass.
 *
 * It is asked with a GET that carries who calls for what in headers, and those of the client's headers that the settings
 * name; never the body.  2xx lets the request pass, 4xx refuses it.  Anything else, and silence, is no answer: the next
 * address is asked, and when none is left the plugin has failed, so that `fail_open` decides.
 */
#include <stdio.h>
#include <string.h>

#include "plugin.h"

#define URLS_MAX 4
#define HEADERS_MAX 32
#define TEXT_MAX 1024          /* of a value that we write ourselves */

struct conf {
	struct gw_strv urls, request_headers, reply_headers;
	int64_t timeout_ms;
	struct gw_str ca_pem, message;
};

struct state {
	size_t at;                                  /* of the addresses */
	char model[TEXT_MAX], groups[TEXT_MAX];
};

static const struct gw_field fields[] = {
	GW_FIELD_LINES(struct conf, urls, "urls", GW_F_REQUIRED, URLS_MAX, "https?://[^\\s/?#@]+(/[^\\s?#]*)?", "http://HOST[:PORT][/PATH]",
	               "Where to ask. Further addresses are asked, one after another, when one gives no answer.",
	               "授权服务地址。前一个没有应答时依次询问后面的地址。"),
	GW_FIELD_MS(struct conf, timeout_ms, "timeout", 50, 60000, 2000, "How long to wait for each address.", "每个地址的等待时间。"),
	GW_FIELD_LINES(struct conf, request_headers, "request_headers", 0, HEADERS_MAX, "[A-Za-z0-9-]{1,64}", "the name of a header",
	               "Headers of the client that the service gets to see, such as authorization or x-team. Others are not sent.",
	               "转发给授权服务的客户端请求头，例如 authorization；其余不发送。"),
	GW_FIELD_LINES(struct conf, reply_headers, "reply_headers", 0, 4, "[A-Za-z0-9-]{1,64}", "the name of a header",
	               "Headers of a refusal that the client gets to see, such as www-authenticate.", "拒绝时转给客户端的响应头，例如 www-authenticate。"),
	GW_FIELD_TEXT(struct conf, ca_pem, "ca_pem", 0, 65536, NULL, "Certificates to trust besides the system's, PEM.", "除系统证书外信任的证书（PEM）。"),
	GW_FIELD_TEXT(struct conf, message, "message", 0, 200, "the request was refused by the authorization service",
	              "What a refused client is told.", "拒绝访问时返回的提示。"),
	GW_FIELD_END
};

/* Everything but visible ASCII, and '%', as %XX, so that any name can stand in a header; false: no room. */
static bool add_text(char *out, size_t *n, struct gw_str s)
{
	static const char digits[] = "0123456789ABCDEF";

	for (size_t i = 0; i < s.n; i++) {
		unsigned char c = (unsigned char)s.p[i];

		if (*n + 3 >= TEXT_MAX)
			return false;
		if (c > ' ' && c < 0x7f && c != '%') {
			out[(*n)++] = (char)c;
			continue;
		}
		out[(*n)++] = '%';
		out[(*n)++] = digits[c >> 4];
		out[(*n)++] = digits[c & 15];
	}
	return true;
}

static bool write_texts(const struct dp_call *c, struct state *st, size_t *n_model, size_t *n_groups)
{
	struct gw_strv groups = dp_groups(c);
	bool ok = add_text(st->model, n_model, dp_model(c));

	for (size_t i = 0; i < groups.n && ok; i++)
		ok = (i == 0 || add_text(st->groups, n_groups, GW_STR(","))) && add_text(st->groups, n_groups, groups.v[i]);
	return ok;
}

static void told(struct dp_call *c, const struct dp_told *t);

static bool ask(struct dp_call *c)
{
	const struct conf *cf = c->conf;
	struct state *st = c->state;
	struct gw_pair h[HEADERS_MAX + 16];
	size_t n = 0, n_model = 0, n_groups = 0;

	if (!write_texts(c, st, &n_model, &n_groups))
		return false;
	const struct gw_pair ours[] = {
		{ GW_STR("x-request-id"), dp_request_id(c) }, { GW_STR("x-forwarded-method"), dp_method(c) },
		{ GW_STR("x-forwarded-uri"), dp_target(c) }, { GW_STR("x-forwarded-for"), dp_client_ip(c) },
		{ GW_STR("x-tidegate-consumer"), dp_consumer(c) }, { GW_STR("x-tidegate-key-id"), dp_api_key(c) },
		{ GW_STR("x-tidegate-groups"), { st->groups, n_groups } }, { GW_STR("x-tidegate-route"), dp_route(c) },
		{ GW_STR("x-tidegate-model"), { st->model, n_model } }, { GW_STR("x-tidegate-operation"), dp_operation_name(c) },
	};
	for (size_t i = 0; i < GW_COUNT(ours); i++)
		if (ours[i].value.n)
			h[n++] = ours[i];
	for (size_t i = 0; i < cf->request_headers.n; i++) {
		struct gw_str v = dp_header(c, cf->request_headers.v[i].p);

		/* A client does not say who it is in our words. */
		if (v.n && strncasecmp(cf->request_headers.v[i].p, "x-tidegate-", 11) != 0 && strncasecmp(cf->request_headers.v[i].p, "x-forwarded-", 12) != 0)
			h[n++] = (struct gw_pair){ cf->request_headers.v[i], v };
	}
	dp_ask(c, &(struct dp_question){ .url = cf->urls.v[st->at], .ca_pem = cf->ca_pem, .headers = h, .n_headers = n, .timeout_ms = cf->timeout_ms }, told);
	return true;
}

static enum dp_verdict on_body(struct dp_call *c)
{
	return ask(c) ? DP_WAIT : DP_BROKEN;
}

static void refuse(struct dp_call *c, unsigned status)
{
	const struct conf *cf = c->conf;
	const char *type = status == 401 ? "authentication_error" : status == 429 ? "rate_limit_error" : "permission_error";

	for (size_t i = 0; i < cf->reply_headers.n; i++) {
		struct gw_str v = dp_told_header(c, cf->reply_headers.v[i].p);

		if (v.n)
			dp_reply_header(c, cf->reply_headers.v[i].p, v);
	}
	dp_deny(c, status == 401 || status == 402 || status == 429 ? status : 403, type, "ext_auth_denied", 0, "%.*s", GW_FMT(cf->message));
}

static void told(struct dp_call *c, const struct dp_told *t)
{
	const struct conf *cf = c->conf;
	struct state *st = c->state;

	if (t->status / 100 == 2) {
		dp_resume(c, DP_NEXT);
	} else if (t->status / 100 == 4) {
		refuse(c, t->status);
		dp_resume(c, DP_ANSWERED);
	} else if (++st->at == cf->urls.n || !ask(c)) {
		dp_resume(c, DP_BROKEN);
	}
}

extern const struct dp_plugin dp_plugin_ext_auth;
const struct dp_plugin dp_plugin_ext_auth = {
	.abi = DP_PLUGIN_ABI, .name = "ext-auth", .label = "External authorization", .label_zh = "外部授权",
	.rank = DP_RANK_AUTHZ, .doc = "Asks another service whether a request may pass.", .doc_zh = "由外部服务决定请求是否放行。",
	.fields = fields, .conf_size = sizeof(struct conf), .state_size = sizeof(struct state), .on = { [DP_HOOK_BODY] = on_body },
};
