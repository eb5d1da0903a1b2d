/*
 * test_jwt.c - the examples of RFC 7515 (appendix A.1 to A.3), RFC 7520 (4.2) and RFC 8037 (A.4), and what their neighbours
 * must not pass as.
 */
#include "base/buf.h"
#include "base/bytes.h"
#include "base/str.h"
#include "services/jwt.h"
#include "unit.h"

#define CLAIMS "eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ"
#define HS256  "eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9." CLAIMS ".dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"
#define RS256  "eyJhbGciOiJSUzI1NiJ9." CLAIMS ".cC4hiUPoj9Eetdgtv3hF80EGrhuB__dzERat0XF9g2VtQgr9PJbu3XOiZj5RZmh7AAuHIm4Bh-0Qc_lF5YKt" \
               "_O8W2Fp5jujGbds9uJdbF9CUAr7t1dnZcAcQjbKBYNX4BAynRFdiuB--f_nZLgrnbyTyWzO75vRK5h6xBArLIARNPvkSjtQBMHlb1L07Qe7K" \
               "0GarZRmB_eSN9383LcOLn6_dO--xi12jzDwusC-eOkHWEsqtFZESc6BfI7noOPqvhJ1phCnvWh6IeYI2w9QOYEUipUTI8np6LbgGY9Fs98rq" \
               "Vt5AXLIhWkWywlVmtVrBp0igcN_IoypGlUPQGe77Rw"
#define ES256  "eyJhbGciOiJFUzI1NiJ9." CLAIMS ".DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q"
#define EDDSA  "eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc." \
               "hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg"

#define PS384  "eyJhbGciOiJQUzM4NCIsImtpZCI6ImJpbGJvLmJhZ2dpbnNAaG9iYml0b24uZXhhbXBsZSJ9.SXTigJlzIGEgZGFuZ2Vyb3V" \
               "zIGJ1c2luZXNzLCBGcm9kbywgZ29pbmcgb3V0IHlvdXIgZG9vci4gWW91IHN0ZXAgb250byB0aGUgcm9hZCwgYW5kIGlmIHl" \
               "vdSBkb24ndCBrZWVwIHlvdXIgZmVldCwgdGhlcmXigJlzIG5vIGtub3dpbmcgd2hlcmUgeW91IG1pZ2h0IGJlIHN3ZXB0IG9" \
               "mZiB0by4.cu22eBqkYDKgIlTpzDXGvaFfz6WGoz7fUDcfT0kkOy42miAh2qyBzk1xEsnk2IpN6-tPid6VrklHkqsGqDqHCdP" \
               "6O8TTB5dDDItllVo6_1OLPpcbUrhiUSMxbbXUvdvWXzg-UD8biiReQFlfz28zGWVsdiNAUf8ZnyPEgVFn442ZdNqiVJRmBqr" \
               "YRXe8P_ijQ7p8Vdz0TTrxUeT3lm8d9shnr2lfJT8ImUjvAA2Xez2Mlp8cBE5awDzT0qI0n6uiP1aCN_2_jLAeQTlqRHtfa64" \
               "QQSUmFAAjVKPbByi7xho0uTOcbH510a6GYmJUAfmWjwZ6oD4ifKo8DYM-X72Eaw"

static const char shared[] = "AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow";
static const char published[] =
	"{\"keys\":[{\"kty\":\"RSA\",\"e\":\"AQAB\",\"n\":\"ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_wWJcyQoTbji9k0l8W26mPddxHmfHQp-Vaw-4qPCJrcS2mJ"
	"PMEzP1Pt0Bm4d4QlL-yRT-SFd2lZS-pCgNMsD1W_YpRPEwOWvG6b32690r2jZ47soMZo9wGzjb_7OMg0LOL-bSf63kpaSHSXndS5z5rexMdbBYUsLA9e-KXBdQOS"
	"-UTo7WTBEMa2R2CapHg665xsmtdVMTBQY4uDZlxvb3qCo5ZwKh9kG4LT6_I5IhlJH7aGhyxXFvUK-DWNmoudF8NAco9_h9iaGNj8q2ethFkMLs91kzk2PAcDTW9g"
	"b54h4FRWyuXpoQ\"},"
	"{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU\",\"y\":\"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0\"},"
	"{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"x\":\"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo\"},"
	"{\"kty\":\"RSA\",\"e\":\"AQAB\",\"kid\":\"bilbo.baggins@hobbiton.example\",\"n\":"
	"\"n4EPtAOCc9AlkeQHPzHStgAbgs7bTZLwUBZdR8_KuKPEHLd4rHVTeT-O-XV2jRojdNhxJWTDvNd7nqQ0VEiZQHz_AJmSCpMaJMRBSFKrKb2wqV"
	"wGU_NsYOYL-QtiWN2lbzcEe6XC0dApr5ydQLrHqkHHig3RBordaZ6Aj-oBHqFEHYpPe7Tpe-OfVfHd1E6cS6M1FZcD1NNLYD5lFHpPI9bTwJls"
	"de3uhGqC0ZCuEHg8lhzwOHrtIQbS0FVbb9k3-tVTU4fg_3L_vniUFAKwuCLqKnS2BYwdq_mzSnbLY7h_qixoR7jig3__kRhuaxwUkRz5iaiQkqgc5gHdrNP5zw\"}]}";

static struct gw_arena *arena;
static struct gw_jwks keys;
static struct gw_buf secret;

static void begin(void)
{
	struct gw_error err;
	json_t *doc = NULL;

	arena = gw_arena_open(0);
	gw_buf_init(&secret, 256);
	ck_assert(gw_b64_decode(&secret, gw_str_c(shared)) && secret.n == 64);
	ck_assert(gw_json_parse(&doc, gw_str_c(published), 1 << 16, &err) == GW_OK);
	ck_assert_msg(gw_jwks_read(&keys, doc, true, arena, &err) == GW_OK && keys.n == 4, "%s", err.text);
	json_decref(doc);
}

static void finish(void)
{
	gw_buf_fini(&secret);
	gw_arena_close(&arena);
}

static const struct {
	enum gw_jwt_alg alg;
	size_t key;              /* in `published` */
	const char *text;
} vectors[] = { { GW_JWT_RS256, 0, RS256 }, { GW_JWT_ES256, 1, ES256 }, { GW_JWT_EdDSA, 2, EDDSA },
	{ GW_JWT_PS384, 3, PS384 } };

static bool good(size_t i, const char *text)
{
	return dp_jwt_signature_ok(vectors[i].alg, &keys.v[vectors[i].key], GW_STR_NONE, gw_str_c(text));
}

START_TEST(signatures_of_the_rfcs)
{
	struct gw_str s;

	begin();
	s = gw_buf_str(&secret);
	ck_assert(dp_jwt_signature_ok(GW_JWT_HS256, NULL, s, GW_STR(HS256)));
	ck_assert(!dp_jwt_signature_ok(GW_JWT_HS384, NULL, s, GW_STR(HS256)));
	ck_assert(!dp_jwt_signature_ok(GW_JWT_HS256, NULL, (struct gw_str){ s.p, s.n - 1 }, GW_STR(HS256)));
	ck_assert(!dp_jwt_signature_ok(GW_JWT_HS256, NULL, GW_STR_NONE, GW_STR(HS256)));
	for (size_t i = 0; i < GW_COUNT(vectors); i++)
		ck_assert_msg(good(i, vectors[i].text), "%s", gw_jwt_alg_name(vectors[i].alg));
	finish();
}
END_TEST

/* Each with every other's key and name, and the public key as if it were a shared secret. */
START_TEST(no_key_serves_another_algorithm)
{
	begin();
	for (size_t i = 0; i < GW_COUNT(vectors); i++) {
		for (size_t k = 0; k < keys.n; k++)
			for (int alg = 0; alg < GW_JWT_ALG_COUNT; alg++)
				ck_assert_msg(dp_jwt_signature_ok((enum gw_jwt_alg)alg, &keys.v[k], GW_STR_NONE, gw_str_c(vectors[i].text)) ==
				              (k == vectors[i].key && alg == (int)vectors[i].alg), "token %zu key %zu alg %d", i, k, alg);
		ck_assert(!dp_jwt_signature_ok(GW_JWT_HS256, NULL, keys.v[vectors[i].key].pem, gw_str_c(vectors[i].text)));
	}
	ck_assert(!dp_jwt_signature_ok(GW_JWT_HS256, &keys.v[0], gw_buf_str(&secret), GW_STR(HS256)));
	finish();
}
END_TEST

/* One bit anywhere in what is signed or in the signature, and cuts. */
START_TEST(any_change_is_noticed)
{
	begin();
	for (size_t i = 0; i < GW_COUNT(vectors); i++) {
		size_t n = strlen(vectors[i].text);
		char *text = strdup(vectors[i].text);

		for (size_t at = 0; at < n; at += at < 30 ? 1 : 7) {
			if (text[at] == '.')
				continue;
			text[at] = text[at] == 'A' ? 'B' : 'A';
			ck_assert_msg(!good(i, text) || text[at] == vectors[i].text[at], "token %zu byte %zu", i, at);
			text[at] = vectors[i].text[at];
		}
		text[n - 4] = '\0';
		ck_assert(!good(i, text));
		text[strlen(vectors[i].text) - 4] = vectors[i].text[n - 4];
		*strrchr(text, '.') = '\0';
		ck_assert(!good(i, text));
		free(text);
	}
	finish();
}
END_TEST

static enum dp_code check(const char *text, struct gw_jwt_issuer *issuer, int64_t now_ms)
{
	struct dp_jwt_identity who;
	struct dp_refusal why = { .code = DP_E_BAD_JSON };
	struct dp_jwt t;

	issuer->secret = gw_buf_str(&secret);
	if (!dp_jwt_open(&t, gw_str_c(text), arena, &why) || !dp_jwt_check(&t, issuer, &keys, now_ms, arena, &who, &why))
		return why.code;
	ck_assert(gw_str_is(who.who, "joe"));
	return DP_E_COUNT; /* no refusal */
}

START_TEST(claims_of_the_rfcs)
{
	struct gw_jwt_issuer joe = { .issuer = GW_STR("joe"), .consumer_claim = GW_STR("iss"), .require_expiry = true, .clock_skew_ms = 1000,
	                             .algs = 1u << GW_JWT_HS256 | 1u << GW_JWT_RS256 | 1u << GW_JWT_ES256 | 1u << GW_JWT_EdDSA };
	static const char *const tokens[] = { HS256, RS256, ES256 };
	const int64_t end = 1300819380000;

	begin();
	keys.n = 3; /* these tokens name no key, so there must be no choice */
	for (size_t i = 0; i < GW_COUNT(tokens); i++) {
		ck_assert_int_eq(check(tokens[i], &joe, end - 1), DP_E_COUNT);
		ck_assert_int_eq(check(tokens[i], &joe, end + 999), DP_E_COUNT);
		ck_assert_int_eq(check(tokens[i], &joe, end + 1000), DP_E_TOKEN_EXPIRED);
	}
	ck_assert_int_eq(check(EDDSA, &joe, end - 1), DP_E_TOKEN_MALFORMED); /* its payload is no object */
	joe.algs = 1u << GW_JWT_RS256;
	ck_assert_int_eq(check(HS256, &joe, end - 1), DP_E_TOKEN_ALGORITHM);
	joe.issuer = GW_STR("joan");
	ck_assert_int_eq(check(RS256, &joe, end - 1), DP_E_TOKEN_ISSUER);
	joe.issuer = GW_STR("joe");
	joe.audiences = (struct gw_strv){ &joe.issuer, 1 };
	ck_assert_int_eq(check(RS256, &joe, end - 1), DP_E_TOKEN_AUDIENCE);
	/* RFC 7519 section 6.1: a token without a signature. */
	ck_assert_int_eq(check("eyJhbGciOiJub25lIn0." CLAIMS ".", &joe, end - 1), DP_E_TOKEN_ALGORITHM);
	finish();
}
END_TEST

UNIT_MAIN("jwt", signatures_of_the_rfcs, no_key_serves_another_algorithm, any_change_is_noticed, claims_of_the_rfcs)
