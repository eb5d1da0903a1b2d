/* jwt.c - taking tokens apart and checking them. */
#include "services/jwt.h"

#include <jwt.h>
#include <math.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/rsa.h>

#include "base/bytes.h"
#include "base/str.h"

#define MAX_GROUPS 64

/* ---- taking apart ---- */

static bool is_b64(struct gw_str s)
{
	for (size_t i = 0; i < s.n; i++) {
		char c = s.p[i];

		if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '_'))
			return false;
	}
	return s.n > 0;
}

bool dp_jwt_looks_like(struct gw_str text)
{
	struct gw_str rest = text, head = gw_str_cut(&rest, '.'), body = gw_str_cut(&rest, '.');

	/* Every JSON object begins with `{"` or `{ `, so every token with "ey"; a third dot would be an encrypted one. */
	return text.n > 20 && gw_str_starts(head, GW_STR("ey")) && is_b64(head) && is_b64(body) && rest.p &&
	       (rest.n == 0 || is_b64(rest));
}

static void drop_json(void *v)
{
	json_decref(v);
}

/* One part as a JSON object that lives as long as the arena; NULL: it is none. */
static json_t *part_json(struct gw_str part, struct gw_arena *a)
{
	struct gw_buf text;
	json_t *v = NULL;

	gw_buf_init(&text, DP_JWT_MAX_BYTES);
	if (!gw_b64_decode(&text, part) || gw_json_parse(&v, gw_buf_str(&text), DP_JWT_MAX_BYTES, NULL) != GW_OK)
		v = NULL;
	gw_buf_fini(&text);
	if (!json_is_object(v)) {
		json_decref(v);
		return NULL;
	}
	gw_arena_defer(a, drop_json, v);
	return v;
}

static bool read_header(struct dp_jwt *out, const json_t *head, struct dp_refusal *why)
{
	struct gw_str typ = gw_json_str(json_object_get(head, "typ"));
	const json_t *kid = json_object_get(head, "kid");

	out->alg = gw_json_str(json_object_get(head, "alg"));
	if (!out->alg.p)
		return dp_refuse(why, DP_E_TOKEN_MALFORMED, "The token's header has no `alg`.");
	if (gw_str_ieq(out->alg, GW_STR("none")))
		return dp_refuse(why, DP_E_TOKEN_ALGORITHM, "A token without a signature (alg none) is not accepted.");
	/* What is marked critical must be understood, and we understand no extension (RFC 7515 section 4.1.11). */
	if (json_object_get(head, "crit") || json_object_get(head, "b64"))
		return dp_refuse(why, DP_E_TOKEN_MALFORMED, "The token's header has extensions that are not understood here.");
	if (json_object_get(head, "typ") && !gw_str_ieq(typ, GW_STR("JWT")) && !gw_str_ieq(typ, GW_STR("at+jwt")) &&
	    !gw_str_ieq(typ, GW_STR("application/at+jwt")))
		return dp_refuse(why, DP_E_TOKEN_MALFORMED, "The token's `typ` is not JWT.");
	if (kid && (!json_is_string(kid) || json_string_length(kid) > GW_JWK_MAX_KID))
		return dp_refuse(why, DP_E_TOKEN_MALFORMED, "The token's `kid` is not a text of at most %d bytes.", GW_JWK_MAX_KID);
	out->kid = gw_json_str(kid);
	return true;
}

bool dp_jwt_open(struct dp_jwt *out, struct gw_str text, struct gw_arena *a, struct dp_refusal *why)
{
	struct gw_str rest = text, head = gw_str_cut(&rest, '.'), body = gw_str_cut(&rest, '.');
	json_t *header, *claims;

	memset(out, 0, sizeof *out);
	if (text.n > DP_JWT_MAX_BYTES)
		return dp_refuse(why, DP_E_TOKEN_MALFORMED, "The token is longer than %d bytes.", DP_JWT_MAX_BYTES);
	if (!rest.p || memchr(rest.p, '.', rest.n))
		return dp_refuse(why, DP_E_TOKEN_MALFORMED, "The token does not have three parts.");
	header = part_json(head, a);
	claims = part_json(body, a);
	if (!header || !claims)
		return dp_refuse(why, DP_E_TOKEN_MALFORMED, "The token's header or payload is not a JSON object in base64url.");
	out->claims = claims;
	out->iss = gw_json_str(json_object_get(claims, "iss"));
	out->text = gw_arena_c(a, text);
	if (!read_header(out, header, why))
		return false;
	return rest.n ? true : dp_refuse(why, DP_E_TOKEN_MALFORMED, "The token has no signature.");
}

/* ---- the signature ---- */

static const EVP_MD *digest_of(enum gw_jwt_alg alg)
{
	const char *name = gw_jwt_alg_name(alg);

	return strstr(name, "256") ? EVP_sha256() : strstr(name, "384") ? EVP_sha384() : strstr(name, "512") ? EVP_sha512() : NULL;
}

/* PS and EdDSA, which libjwt 1.10 does not know. */
static bool openssl_ok(enum gw_jwt_alg alg, EVP_PKEY *key, struct gw_str signing, struct gw_str signature)
{
	EVP_MD_CTX *x = EVP_MD_CTX_new();
	EVP_PKEY_CTX *px = NULL;
	bool ok = EVP_DigestVerifyInit(x, &px, digest_of(alg), NULL, key) == 1;

	if (ok && alg >= GW_JWT_PS256 && alg <= GW_JWT_PS512)
		ok = EVP_PKEY_CTX_set_rsa_padding(px, RSA_PKCS1_PSS_PADDING) == 1 &&
		     EVP_PKEY_CTX_set_rsa_pss_saltlen(px, RSA_PSS_SALTLEN_DIGEST) == 1;
	ok = ok && EVP_DigestVerify(x, (const unsigned char *)signature.p, signature.n, (const unsigned char *)signing.p,
	                            signing.n) == 1;
	EVP_MD_CTX_free(x);
	ERR_clear_error();
	return ok;
}

/* What libjwt accepts counts only if it is the algorithm that we asked it for. */
static bool libjwt_ok(enum gw_jwt_alg alg, struct gw_str key, const char *text)
{
	jwt_t *j = NULL;
	bool ok;

	ERR_clear_error();
	ok = jwt_decode(&j, text, (const unsigned char *)key.p, (int)key.n) == 0 && j &&
	     strcmp(jwt_alg_str(jwt_get_alg(j)), gw_jwt_alg_name(alg)) == 0;
	jwt_free(j);
	ERR_clear_error();
	return ok;
}

bool dp_jwt_signature_ok(enum gw_jwt_alg alg, const struct gw_jwk *key, struct gw_str secret, struct gw_str text)
{
	struct gw_buf signature;
	size_t dot = text.n;
	bool ok;

	while (dot > 0 && text.p[dot - 1] != '.')
		dot--;
	if (dot == 0)
		return false;
	if (gw_jwt_alg_shared(alg))
		return !key && secret.n && libjwt_ok(alg, secret, text.p);
	if (!key || !gw_jwk_fits(key, gw_str_c(gw_jwt_alg_name(alg))))
		return false;
	if (alg != GW_JWT_EdDSA && !(alg >= GW_JWT_PS256 && alg <= GW_JWT_PS512))
		return libjwt_ok(alg, key->pem, text.p);
	gw_buf_init(&signature, DP_JWT_MAX_BYTES);
	ok = gw_b64_decode(&signature, gw_str_from(text, dot)) &&
	     openssl_ok(alg, key->pkey, (struct gw_str){ text.p, dot - 1 }, gw_buf_str(&signature));
	gw_buf_fini(&signature);
	return ok;
}

/* By `kid` where the token names one; without it only if there is no choice. */
static const struct gw_jwk *choose_key(const struct dp_jwt *t, const struct gw_jwks *keys)
{
	const struct gw_jwk *found = NULL;

	for (size_t i = 0; i < keys->n; i++) {
		const struct gw_jwk *k = &keys->v[i];

		if (!gw_jwk_fits(k, t->alg) || (t->kid.p && !(k->kid.p && gw_str_eq(k->kid, t->kid))))
			continue;
		if (found)
			return NULL;
		found = k;
	}
	return found;
}

static bool check_signature(const struct dp_jwt *t, const struct gw_jwt_issuer *issuer, const struct gw_jwks *keys,
                            struct dp_refusal *why)
{
	const struct gw_jwk *key = NULL;
	unsigned alg = 0;

	while (alg < GW_JWT_ALG_COUNT && !gw_str_is(t->alg, gw_jwt_alg_name(alg)))
		alg++;
	if (alg == GW_JWT_ALG_COUNT || !(issuer->algs >> alg & 1))
		return dp_refuse(why, DP_E_TOKEN_ALGORITHM, "The token's algorithm is not one that its issuer may use here.");
	if (!gw_jwt_alg_shared(alg)) {
		key = choose_key(t, keys);
		if (!key)
			return dp_refuse(why, DP_E_TOKEN_KEY, "%s", t->kid.p ? "The token names a key (`kid`) that its issuer does not have."
			                 : "The token names no key (`kid`), and its issuer has none or several for its algorithm.");
	}
	if (!dp_jwt_signature_ok(alg, key, gw_jwt_alg_shared(alg) ? issuer->secret : GW_STR_NONE, gw_str_c(t->text)))
		return dp_refuse(why, DP_E_TOKEN_SIGNATURE, "The token's signature is not right.");
	return true;
}

/* ---- the claims ---- */

/* A NumericDate in milliseconds.  false: there, but no number that a date can be. */
static bool date_of(const json_t *claims, const char *name, bool *has, int64_t *ms)
{
	const json_t *v = json_object_get(claims, name);
	double s = json_number_value(v);

	*has = v != NULL;
	if (!v)
		return true;
	if (!json_is_number(v) || !isfinite(s) || s < 0 || s > 1e11)
		return false;
	*ms = (int64_t)(s * 1000);
	return true;
}

static bool check_dates(const struct dp_jwt *t, const struct gw_jwt_issuer *issuer, int64_t now, struct dp_refusal *why)
{
	int64_t exp = 0, nbf = 0, iat = 0, skew = issuer->clock_skew_ms;
	bool has_exp, has_nbf, has_iat;

	if (!date_of(t->claims, "exp", &has_exp, &exp) || !date_of(t->claims, "nbf", &has_nbf, &nbf) ||
	    !date_of(t->claims, "iat", &has_iat, &iat))
		return dp_refuse(why, DP_E_TOKEN_CLAIMS, "The token's `exp`, `nbf` or `iat` is not a date.");
	if (!has_exp && issuer->require_expiry)
		return dp_refuse(why, DP_E_TOKEN_CLAIMS, "The token never expires (it has no `exp`), which its issuer is not allowed here.");
	if (has_exp && now >= exp + skew)
		return dp_refuse(why, DP_E_TOKEN_EXPIRED, "The token has expired.");
	if ((has_nbf && now < nbf - skew) || (has_iat && now < iat - skew))
		return dp_refuse(why, DP_E_TOKEN_NOT_YET, "The token is not valid yet.");
	return true;
}

static bool wanted_audience(const struct gw_jwt_issuer *issuer, struct gw_str aud)
{
	for (size_t i = 0; aud.p && i < issuer->audiences.n; i++)
		if (gw_str_eq(issuer->audiences.v[i], aud))
			return true;
	return false;
}

static bool check_audience(const struct dp_jwt *t, const struct gw_jwt_issuer *issuer, struct dp_refusal *why)
{
	const json_t *aud = json_object_get(t->claims, "aud");

	if (issuer->audiences.n == 0 || wanted_audience(issuer, gw_json_str(aud)))
		return true;
	for (size_t i = 0; i < json_array_size(aud); i++)
		if (wanted_audience(issuer, gw_json_str(json_array_get(aud, i))))
			return true;
	return dp_refuse(why, DP_E_TOKEN_AUDIENCE, "The token was issued for another audience.");
}

/* A claim by its name; else "a.b" as member b of the object a. */
static const json_t *claim_of(const json_t *claims, struct gw_str path)
{
	const json_t *v = json_object_getn(claims, path.p, path.n);

	while (!v && path.p) {
		struct gw_str first = gw_str_cut(&path, '.');

		claims = json_object_getn(claims, first.p, first.n);
		if (!path.p)
			return claims;
		v = json_object_getn(claims, path.p, path.n);
	}
	return v;
}

static struct gw_str text_of(const json_t *v, struct gw_arena *a)
{
	if (json_is_integer(v))
		return gw_arena_printf(a, "%lld", (long long)json_integer_value(v));
	return gw_json_str(v).n ? gw_json_str(v) : GW_STR_NONE;
}

static void add_group(const struct gw_jwt_issuer *issuer, struct gw_str value, struct gw_str *v, size_t *n)
{
	if (!value.n || *n == MAX_GROUPS)
		return;
	for (size_t i = 0; i < issuer->n_group_map; i++)
		if (gw_str_eq(issuer->group_map[i].name, value)) {
			v[(*n)++] = issuer->group_map[i].value;
			return;
		}
	v[(*n)++] = value;
}

static void read_identity(const struct dp_jwt *t, const struct gw_jwt_issuer *issuer, struct gw_arena *a, struct dp_jwt_identity *out)
{
	const json_t *groups = issuer->groups_claim.p ? claim_of(t->claims, issuer->groups_claim) : NULL;
	struct gw_str *v;

	memset(out, 0, sizeof *out);
	out->who = text_of(claim_of(t->claims, issuer->consumer_claim), a);
	if (!groups)
		return;
	v = gw_arena_array(a, MAX_GROUPS, sizeof *v);
	add_group(issuer, gw_json_str(groups), v, &out->n_groups);
	for (size_t i = 0; i < json_array_size(groups); i++)
		add_group(issuer, gw_json_str(json_array_get(groups, i)), v, &out->n_groups);
	out->groups = v;
}

bool dp_jwt_check(const struct dp_jwt *t, const struct gw_jwt_issuer *issuer, const struct gw_jwks *keys, int64_t now_ms,
                  struct gw_arena *a, struct dp_jwt_identity *out, struct dp_refusal *why)
{
	if (!gw_str_eq(t->iss, issuer->issuer))
		return dp_refuse(why, DP_E_TOKEN_ISSUER, "The token's issuer is not known here.");
	if (!check_signature(t, issuer, keys, why) || !check_dates(t, issuer, now_ms, why) || !check_audience(t, issuer, why))
		return false;
	read_identity(t, issuer, a, out);
	return true;
}
