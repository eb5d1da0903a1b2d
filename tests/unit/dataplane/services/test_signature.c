/* test_signature.c - what is signed, byte by byte, against digests that another program made; and reading the headers. */
#include <stdio.h>

#include "base/str.h"
#include "base/time.h"
#include "services/signature.h"
#include "unit.h"

#define P(n, v) { { n, sizeof n - 1 }, { v, sizeof v - 1 } }
#define EMPTY "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
#define NOW   "2026-03-01T08:00:00Z"

struct vector {
	const char *secret, *date, *nonce, *method, *host, *target, *type, *body, *signature;
};

/* hmac.new(secret, "".join(line + "\n" for line in the eight), "sha256") of Python's library. */
static const struct vector vectors[] = {
	{ "tgh_a-secret-of-32-characters-or-so", NOW, "nonce-0123456789", "POST", "gw.example.com", "/v1/chat/completions", "application/json",
	  "548f58d1c36c715b44f0863472074a97c448d5b8d18164b92adf55592b127f86", "9c6a2f8c04d268b86342dbbbf0f7b5712c3825299152df2d92c1cb3c3a98e652" },
	{ "tgh_a-secret-of-32-characters-or-so", NOW, "nonce-0123456789", "GET", "gw.example.com:8080", "/v1/models?a=1&b=%20", NULL,
	  EMPTY, "2f37b53752dea5440241d102c427cc2a013e6617f1cba6c6ede09932693c2994" },
	{ "kkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkk", "2026-03-01T08:04:59.5Z",
	  "0123456789_.-abcdefghijklmnop", "POST", "[::1]:8080", "/", "text/plain; charset=utf-8",
	  "4a99557e4033c3539de2eb65472017cad5f9557f7a0625a09f1c3f6e2ba69c4c", "e79cf4b73db2ba0efa7d37d6c261fe2aff53c6466d7e48b4b6db4a605fc3f6ec" },
};

static int64_t now_ms(void)
{
	int64_t ms = 0;

	ck_assert(gw_time_parse(GW_STR(NOW), &ms));
	return ms;
}

/* Is it read, and right? */
static bool right(const struct vector *v)
{
	char line[300];
	struct gw_pair h[5] = { { GW_STR("Authorization"), GW_STR_NONE }, { GW_STR("X-Tidegate-Date"), gw_str_c(v->date) },
	                        { GW_STR("X-Tidegate-Nonce"), gw_str_c(v->nonce) }, { GW_STR("X-Tidegate-Content-SHA256"), gw_str_c(v->body) },
	                        { GW_STR("Content-Type"), GW_STR_NONE } };
	struct dp_head head = { .method = gw_str_c(v->method), .target = gw_str_c(v->target), .host = gw_str_c(v->host), .headers = h,
	                        .n_headers = v->type ? 5 : 4 };
	struct dp_signed s;

	snprintf(line, sizeof line, DP_SIGN_SCHEME " KeyId=partner-1,Signature=%s", v->signature);
	h[0].value = gw_str_c(line);
	if (v->type)
		h[4].value = gw_str_c(v->type);
	ck_assert(dp_sign_present(&head));
	return dp_sign_read(&s, &head, now_ms(), NULL) && gw_str_is(s.key_id, "partner-1") && dp_sign_ok(&s, &head, gw_str_c(v->secret));
}

START_TEST(the_text_that_is_signed)
{
	for (size_t i = 0; i < GW_COUNT(vectors); i++)
		ck_assert_msg(right(&vectors[i]), "vector %zu", i);
}
END_TEST

START_TEST(every_part_is_bound)
{
	for (size_t i = 0; i < GW_COUNT(vectors); i++) {
		struct vector v[] = { vectors[i], vectors[i], vectors[i], vectors[i], vectors[i], vectors[i], vectors[i], vectors[i], vectors[i] };

		v[0].secret = "another";
		v[1].date = "2026-03-01T08:00:01Z";
		v[2].nonce = "nonce-0123456780";
		v[3].method = "PUT";
		v[4].host = "gw.example.con";
		v[5].target = "/v1/chat/completions?";
		v[6].type = "application/jsom";
		v[7].body = "548f58d1c36c715b44f0863472074a97c448d5b8d18164b92adf55592b127f87";
		v[8].signature = "9c6a2f8c04d268b86342dbbbf0f7b5712c3825299152df2d92c1cb3c3a98e653";
		for (size_t k = 0; k < GW_COUNT(v); k++)
			ck_assert_msg(!right(&v[k]), "vector %zu change %zu", i, k);
	}
}
END_TEST

START_TEST(an_empty_type_and_none_are_the_same)
{
	struct vector v = vectors[1];

	v.type = "";
	ck_assert(right(&v));
}
END_TEST

static enum dp_code refused(const struct gw_pair *h, size_t n)
{
	struct dp_head head = { .method = GW_STR("GET"), .target = GW_STR("/"), .host = GW_STR("h"), .headers = h, .n_headers = n };
	struct dp_refusal why = { .code = DP_E_COUNT };
	struct dp_signed s;

	return dp_sign_read(&s, &head, now_ms(), &why) ? DP_E_COUNT : why.code;
}

#define SIG "KeyId=partner-1,Signature=" EMPTY

START_TEST(headers)
{
	static const struct { const char *auth, *date, *nonce, *body; enum dp_code code; } table[] = {
		{ DP_SIGN_SCHEME " " SIG, NOW, "nonce-0123456789", EMPTY, DP_E_COUNT },
		{ "tidegate-hmac-sha256  Signature=" EMPTY " , keyid=partner-1,", NOW, "nonce-0123456789", EMPTY, DP_E_COUNT },
		{ DP_SIGN_SCHEME " KeyId=partner-1", NOW, "nonce-0123456789", EMPTY, DP_E_SIGN_MALFORMED },
		{ DP_SIGN_SCHEME " " SIG "0", NOW, "nonce-0123456789", EMPTY, DP_E_SIGN_MALFORMED },
		{ DP_SIGN_SCHEME " KeyId=p/1,Signature=" EMPTY, NOW, "nonce-0123456789", EMPTY, DP_E_SIGN_MALFORMED },
		{ DP_SIGN_SCHEME " =,=,,", NOW, "nonce-0123456789", EMPTY, DP_E_SIGN_MALFORMED },
		{ DP_SIGN_SCHEME " " SIG, NOW, "nonce-012345678", EMPTY, DP_E_SIGN_MALFORMED },
		{ DP_SIGN_SCHEME " " SIG, NOW, "nonce 0123456789", EMPTY, DP_E_SIGN_MALFORMED },
		{ DP_SIGN_SCHEME " " SIG, NOW, "nonce-0123456789", "e3b0", DP_E_SIGN_MALFORMED },
		{ DP_SIGN_SCHEME " " SIG, "2026-03-01", "nonce-0123456789", EMPTY, DP_E_SIGN_MALFORMED },
		{ DP_SIGN_SCHEME " " SIG, "2026-03-01T08:05:00Z", "nonce-0123456789", EMPTY, DP_E_COUNT },
		{ DP_SIGN_SCHEME " " SIG, "2026-03-01T08:05:01Z", "nonce-0123456789", EMPTY, DP_E_SIGN_TIME },
		{ DP_SIGN_SCHEME " " SIG, "2026-03-01T07:54:59Z", "nonce-0123456789", EMPTY, DP_E_SIGN_TIME },
	};

	for (size_t i = 0; i < GW_COUNT(table); i++) {
		const struct gw_pair h[] = { { GW_STR("authorization"), gw_str_c(table[i].auth) }, { GW_STR("x-tidegate-date"), gw_str_c(table[i].date) },
		                             { GW_STR("x-tidegate-nonce"), gw_str_c(table[i].nonce) },
		                             { GW_STR("x-tidegate-content-sha256"), gw_str_c(table[i].body) } };

		ck_assert_msg(refused(h, GW_COUNT(h)) == table[i].code, "row %zu", i);
	}
}
END_TEST

/* What stands there twice could be read in two ways. */
START_TEST(nothing_stands_there_twice)
{
	struct gw_pair h[] = { P("authorization", DP_SIGN_SCHEME " " SIG), P("x-tidegate-date", NOW), P("x-tidegate-nonce", "nonce-0123456789"),
	                       P("x-tidegate-content-sha256", EMPTY), P("content-type", "a/b"), P("x", "y") };

	ck_assert_int_eq(refused(h, GW_COUNT(h)), DP_E_COUNT);
	for (size_t i = 0; i < 5; i++) {
		h[5] = h[i];
		ck_assert_msg(refused(h, GW_COUNT(h)) == DP_E_SIGN_MALFORMED, "%s", h[i].name.p);
	}
}
END_TEST

START_TEST(a_nonce_counts_once)
{
	struct dp_nonces *n = dp_nonces_open();
	bool full;

	ck_assert(dp_nonce_first(n, GW_STR("k"), GW_STR("a"), 0, &full) && !full);
	ck_assert(!dp_nonce_first(n, GW_STR("k"), GW_STR("a"), 2 * DP_SIGN_WINDOW_MS - 1, &full) && !full);
	ck_assert(dp_nonce_first(n, GW_STR("other"), GW_STR("a"), 0, &full));
	ck_assert(dp_nonce_first(n, GW_STR("k"), GW_STR("a"), 2 * DP_SIGN_WINDOW_MS, &full));
	dp_nonces_close(&n);
}
END_TEST

UNIT_MAIN("signature", the_text_that_is_signed, every_part_is_bound, an_empty_type_and_none_are_the_same, headers, nothing_stands_there_twice,
          a_nonce_counts_once)
