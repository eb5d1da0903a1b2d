/* One reading of a target, or none; base URLs likewise. */
#include "base/str.h"
#include "dataplane/slices.h"
#include "http/target.h"
#include "unit.h"

struct row { const char *target, *path, *query; };

START_TEST(targets)
{
	static const struct row rows[] = {
		{ "/", "/", NULL }, { "/v1/chat/completions", "/v1/chat/completions", NULL }, { "/a?b=c", "/a", "b=c" }, { "/a?", "/a", "" },
		{ "/a?b?c", "/a", "b?c" }, { "/v1/models/gpt%2d4", "/v1/models/gpt-4", NULL }, { "/%E4%B8%AD", "/\xe4\xb8\xad", NULL },
		{ "/a/", "/a/", NULL }, { "/a/...", "/a/...", NULL }, { "/v1beta/models/x:generateContent", "/v1beta/models/x:generateContent", NULL },
		{ "http://a/x?y", "/x", "y" }, { "HTTPS://A/x", "/x", NULL }, { "/a%20b", "/a b", NULL },
		/* refused */
		{ "", NULL, NULL }, { "a", NULL, NULL }, { "*", NULL, NULL }, { "/a/../b", NULL, NULL }, { "/..", NULL, NULL }, { "/.", NULL, NULL },
		{ "/a/./b", NULL, NULL }, { "/%2e%2e/b", NULL, NULL }, { "/a/%2E", NULL, NULL }, { "//a", NULL, NULL }, { "/a//b", NULL, NULL },
		{ "/a//", NULL, NULL }, { "/a%2fb", NULL, NULL }, { "/a%2Fb", NULL, NULL }, { "/a%5cb", NULL, NULL }, { "/a\\b", NULL, NULL },
		{ "/a%00", NULL, NULL }, { "/a%", NULL, NULL }, { "/a%2", NULL, NULL }, { "/a%zz", NULL, NULL }, { "/a%252e", NULL, NULL },
		{ "/a;b", NULL, NULL }, { "/a%3bb", NULL, NULL }, { "/a#b", NULL, NULL }, { "/a?b#c", NULL, NULL }, { "/a%0d%0ab", NULL, NULL },
		{ "/a%7f", NULL, NULL }, { "/%ff", NULL, NULL }, { "/%c0%ae%c0%ae/", NULL, NULL }, { "/a?b c", NULL, NULL }, { "/a?\xc3\xa4", NULL, NULL },
		{ "/\xc3\xa4", NULL, NULL }, { "http://b/x", NULL, NULL }, { "http://a", NULL, NULL }, { "http://a?x", NULL, NULL },
		{ "http://a@b/x", NULL, NULL }, { "ftp://a/x", NULL, NULL }, { "a:80", NULL, NULL }, { "/a\"b", NULL, NULL },
	};
	char buf[256];

	for (size_t i = 0; i < GW_COUNT(rows); i++) {
		struct dp_uri u;
		struct dp_refusal why = { .text = "" };
		bool ok = dp_uri_parse(&u, GW_STR("GET"), gw_str_c(rows[i].target), GW_STR("a"), buf, sizeof buf, &why);

		ck_assert_msg(ok == (rows[i].path != NULL), "%s: %s", rows[i].target, why.text);
		if (!ok) {
			ck_assert_int_eq(why.code, DP_E_BAD_FRAMING);
			continue;
		}
		ck_assert(gw_str_is(u.path, rows[i].path));
		ck_assert(rows[i].query ? u.query.p && gw_str_is(u.query, rows[i].query) : !u.query.p);
	}
}
END_TEST

START_TEST(base_urls)
{
	static const struct { const char *url, *host; unsigned port; const char *path; bool tls; } good[] = {
		{ "https://api.deepseek.com/v1", "api.deepseek.com", 443, "/v1", true }, { "http://10.0.0.7:8000/v1/", "10.0.0.7", 8000, "/v1", false },
		{ "http://[::1]:11434", "::1", 11434, "", false }, { "https://a/", "a", 443, "", true },
		{ "https://dashscope.aliyuncs.com/compatible-mode/v1", "dashscope.aliyuncs.com", 443, "/compatible-mode/v1", true },
	};
	static const char *const bad[] = { "", "a", "ftp://a", "https://", "https://:80", "https://a:0", "https://a:99999", "https://a:x",
		"https://user@a/", "https://a b/", "https://[::1", "https://[x]/", "https://a/../b", "https://a/?q", "https://a/#f", "https://a//b" };
	struct dp_base_url u;
	char why[200];

	for (size_t i = 0; i < GW_COUNT(good); i++) {
		ck_assert_msg(dp_base_url_parse(&u, gw_str_c(good[i].url), why, sizeof why), "%s", good[i].url);
		ck_assert(gw_str_is(u.host, good[i].host) && gw_str_is(u.path, good[i].path));
		ck_assert_uint_eq(u.port, good[i].port);
		ck_assert_int_eq(u.tls, good[i].tls);
	}
	for (size_t i = 0; i < GW_COUNT(bad); i++) {
		why[0] = '\0';
		ck_assert_msg(!dp_base_url_parse(&u, gw_str_c(bad[i]), why, sizeof why), "%s", bad[i]);
		ck_assert_ptr_nonnull(strchr(why, ' '));
	}
}
END_TEST

UNIT_MAIN("target", targets, base_urls)
