/* Header lists, the two filters, and what is written. */
#include "base/buf.h"
#include "base/str.h"
#include "dataplane/slices.h"
#include "http/h1.h"
#include "http/h1_write.h"
#include "http/headers.h"
#include "unit.h"

#define P(n, v) { { n, sizeof n - 1 }, { v, sizeof v - 1 } }

START_TEST(finding)
{
	static const struct gw_pair h[] = { P("Content-Type", "text/event-stream; charset=utf-8"), P("Connection", "a, X-Secret ,close"),
	                                    P("x-y", "1"), P("X-Y", "2") };
	char buf[32];

	ck_assert(gw_str_is(dp_header_find(h, 4, "X-y"), "1"));
	ck_assert_uint_eq(dp_header_count(h, 4, "x-y"), 2);
	ck_assert_ptr_null(dp_header_find(h, 4, "z").p);
	ck_assert(dp_header_has(h, 4, "connection", "CLOSE") && !dp_header_has(h, 4, "connection", "clos"));
	ck_assert(gw_str_is(dp_media_type(h[0].value), "text/event-stream"));
	ck_assert(gw_str_is(dp_media_param(h[0].value, "Charset", buf, sizeof buf), "utf-8"));
	ck_assert(gw_str_is(dp_media_param(GW_STR("a/b;x=\"p\\\"q;\"; boundary=\"c d\""), "boundary", buf, sizeof buf), "c d"));
	ck_assert(gw_str_is(dp_media_param(GW_STR("a/b;x=\"p\\\"q;\"; boundary=c"), "x", buf, sizeof buf), "p\"q;"));
	ck_assert_ptr_null(dp_media_param(GW_STR("a/b; boundary"), "boundary", buf, sizeof buf).p);
	ck_assert_ptr_null(dp_media_param(GW_STR("a/b; boundary=\"x"), "boundary", buf, sizeof buf).p);
	ck_assert(dp_hop_by_hop(h, 4, GW_STR("X-SECRET")) && dp_hop_by_hop(h, 4, GW_STR("Keep-Alive")) && !dp_hop_by_hop(h, 4, GW_STR("x-y")));
}
END_TEST

START_TEST(filters)
{
	static const char *const stay[] = { "Authorization", "x-api-key", "API-Key", "x-goog-api-key", "Cookie", "Host", "Content-Length",
		"Transfer-Encoding", "Connection", "Proxy-Authorization", "X-Tidegate-Route", "x-forwarded-for", "Accept-Encoding", "TE", "Upgrade",
		"Expect", "Origin", "OpenAI-Organization", "X-Portkey-Custom-Host", "x-named", "X-Mse-Consumer", "x-consumer-username", "X-Consumer", "x-higress-anything",
		"X-Credential-Identifier", "X-Authenticated-Userid", "x_mse_consumer", "X-Consumer_Groups", "x_tidegate_consumer", "X_API_Key",
		"X-Remote-User", "Remote-User", "X-Auth-Request-Email", "X-Goog-Authenticated-User-Email", "x-amzn-oidc-identity",
		"cookie2", "set-cookie", "Content-Encoding", "Range", "If-None-Match", "Referer", "Forwarded", "X-Real-IP", "x-client-ip",
		"True-Client-IP", "CF-Ray", "Via", "OpenAI-Project", "Sec-Fetch-Mode", "Access-Control-Request-Method", "DNT", "Priority",
		"X-Amz-Date", "x-aws-ec2", "X-MS-Client", "Max-Forwards", "Date", "X-HTTP-Method-Override", "X-Original-URL", "x-rewrite-url",
		"anthropic-dangerous-direct-browser-access", "x-kong-request-id", "x-apisix-y", "X-Anonymous-Consumer", "x-auth-user",
		"X-Auth-Groups", "x-webauth-user", "x-goog-iap-jwt-assertion", "x-envoy-peer", "x-litellm-key", "X-JWT-Sub", "x-ssl-client-cert",
		"X-Client-Cert-Chain", "X-Userinfo", "x-id-token", "X-Access-Token", "Keep-Alive", "Trailer", "HTTP2-Settings" };
	static const char *const go[] = { "Content-Type", "Accept", "User-Agent", "OpenAI-Beta", "anthropic-version", "anthropic-beta",
		"Idempotency-Key", "x-stainless-lang", "X-Client-Request-Id", "x-consistent", "X-DashScope-Session", "remotely",
		"x", "x-", "X-Auth-Token", "x-amzing", "ifs", "cookies", "te-x", "1-x", "-x", "_x" };
	static const char *const back[] = { "Content-Type", "retry-after", "Retry-After-Ms", "x-ratelimit-remaining-tokens",
		"anthropic-ratelimit-requests-limit", "openai-processing-ms", "x-should-retry" };
	static const char *const kept[] = { "Set-Cookie", "Strict-Transport-Security", "Location", "Content-Encoding", "Connection",
		"Content-Length", "Transfer-Encoding", "Server", "Via", "WWW-Authenticate", "openai-organization", "x-request-id",
		"access-control-allow-origin", "alt-svc", "cf-ray", "Authorization" };
	static const struct gw_pair h[] = { P("Connection", "x-named") };

	for (size_t i = 0; i < GW_COUNT(stay); i++)
		ck_assert_msg(!dp_request_header_passes(h, 1, gw_str_c(stay[i])), "%s", stay[i]);
	for (size_t i = 0; i < GW_COUNT(go); i++)
		ck_assert_msg(dp_request_header_passes(h, 1, gw_str_c(go[i])), "%s", go[i]);
	for (size_t i = 0; i < GW_COUNT(back); i++)
		ck_assert_msg(dp_response_header_passes(gw_str_c(back[i])), "%s", back[i]);
	for (size_t i = 0; i < GW_COUNT(kept); i++)
		ck_assert_msg(!dp_response_header_passes(gw_str_c(kept[i])), "%s", kept[i]);
}
END_TEST

START_TEST(credentials)
{
	static const struct gw_pair bearer[] = { P("Authorization", "bearer  tgk_1 ") }, basic[] = { P("Authorization", "Basic eA==") };
	static const struct gw_pair same[] = { P("x-api-key", "tgk_1"), P("Authorization", "Bearer tgk_1") };
	static const struct gw_pair two[] = { P("x-api-key", "tgk_2"), P("Authorization", "Bearer tgk_1") };
	bool conflict;

	ck_assert(gw_str_is(dp_credential(bearer, 1, &conflict), "tgk_1") && !conflict);
	ck_assert(!dp_credential(basic, 1, &conflict).p && !conflict);
	ck_assert(gw_str_is(dp_basic_credential(basic, 1), "eA=="));
	ck_assert_ptr_null(dp_basic_credential(bearer, 1).p);
	ck_assert_ptr_null(dp_basic_credential(same, 2).p);
	ck_assert(gw_str_is(dp_credential(same, 2, &conflict), "tgk_1") && !conflict);
	ck_assert(dp_credential(two, 2, &conflict).p && conflict);
	ck_assert_ptr_null(dp_credential(NULL, 0, &conflict).p);
}
END_TEST

/* Every byte as name, and inside a value: only what RFC 9110 allows is good for the wire. */
START_TEST(grammar_of_every_byte)
{
	for (int c = 0; c < 256; c++) {
		char v[3] = { 'a', (char)c, 'a' };
		bool token = c && strchr("!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ", c) != NULL;

		ck_assert_int_eq(dp_token_ok((struct gw_str){ v, 3 }), token);
		ck_assert_int_eq(dp_value_ok((struct gw_str){ v, 3 }), c == 9 || (c >= 32 && c != 127));
		for (size_t at = 1; at < 19; at++) { /* wherever it stands in a longer one */
			char w[20];
			memset(w, 'x', sizeof w);
			w[at] = (char)c;
			ck_assert_int_eq(dp_value_ok((struct gw_str){ w, 20 }), c == 9 || (c >= 32 && c != 127));
		}
	}
	ck_assert(!dp_token_ok(GW_STR("")) && dp_value_ok(GW_STR("")) && !dp_value_ok(GW_STR(" a")) && !dp_value_ok(GW_STR("a\t")));
}
END_TEST

/* What is written is read back as the same message. */
START_TEST(written_heads_are_read_back)
{
	struct gw_buf b;
	struct dp_h1 *p = dp_h1_open(DP_H1_REQUEST, NULL);
	struct gw_str in, slice;
	size_t used;

	gw_buf_init(&b, 4096);
	dp_write_request_line(&b, GW_STR("POST"), GW_STR("/v1/chat/completions?x=y"));
	dp_write_header(&b, "host", GW_STR("a.b"));
	dp_write_header_pair(&b, GW_STR("x"), GW_STR("y z"));
	dp_write_header(&b, "transfer-encoding", GW_STR("chunked"));
	dp_write_head_end(&b);
	dp_write_chunk(&b, GW_STR("hello, world!!!!"));
	dp_write_chunk(&b, GW_STR(""));
	dp_write_last_chunk(&b);
	in = gw_buf_str(&b);
	ck_assert_int_eq(dp_h1_feed(p, in, &used, &slice), DP_H1_HEAD);
	ck_assert(gw_str_is(dp_h1_head(p)->target, "/v1/chat/completions?x=y"));
	in = gw_str_from(in, used);
	ck_assert_int_eq(dp_h1_feed(p, in, &used, &slice), DP_H1_BODY);
	ck_assert(gw_str_is(slice, "hello, world!!!!"));
	in = gw_str_from(in, used);
	ck_assert_int_eq(dp_h1_feed(p, in, &used, &slice), DP_H1_END);
	ck_assert_uint_eq(used, in.n);
	gw_buf_clear(&b);
	dp_write_status_line(&b, 429);
	dp_write_header_int(&b, "content-length", 12);
	ck_assert(gw_str_is(gw_buf_str(&b), "HTTP/1.1 429 Too Many Requests\r\ncontent-length: 12\r\n"));
	gw_buf_fini(&b);
	dp_h1_close(&p);
}
END_TEST

START_TEST(lists_from_behind)
{
	static const struct gw_pair h[] = { P("X-List", " a,, b"), P("Other", "no"), P("x-list", ","), P("x-list", ""), P("X-LIST", "c ,\td,") };
	static const char *const want[] = { "d", "c", "b", "a" };
	struct gw_str rest = GW_STR_NONE, e;
	size_t n = GW_COUNT(h);

	for (size_t i = 0; i < GW_COUNT(want); i++) {
		ck_assert(dp_header_list_back(h, &n, "x-list", &rest, &e));
		ck_assert_msg(gw_str_is(e, want[i]), "%zu: %.*s", i, GW_FMT(e));
	}
	ck_assert(!dp_header_list_back(h, &n, "x-list", &rest, &e) && !dp_header_list_back(h, &n, "x-list", &rest, &e));
	n = 0;
	ck_assert(!dp_header_list_back(NULL, &n, "x-list", &rest, &e));
}
END_TEST

UNIT_MAIN("headers", finding, lists_from_behind, filters, credentials, grammar_of_every_byte, written_heads_are_read_back)
