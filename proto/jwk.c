/*
 * jwk.c - JSON Web Keys to OpenSSL keys.
 */
#include "jwk.h"

#include <openssl/bio.h>
#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/param_build.h>
#include <openssl/pem.h>
#include <stdio.h>

#include "base/bytes.h"
#include "base/str.h"

#define RSA_MIN_BITS 2048
#define RSA_MAX_BYTES 1024 /* 8192 bits: larger ones only cost time */

static void free_pkey(void *p)
{
	EVP_PKEY_free(p);
}

/* A base64url member, decoded; false: absent or no base64url. */
static bool member_bytes(struct gw_buf *out, const json_t *o, const char *name)
{
	gw_buf_clear(out);
	struct gw_str text = gw_json_str(json_object_get(o, name));
	return text.n && gw_b64_decode(out, text) && out->n;
}

static EVP_PKEY *from_params(const char *type, OSSL_PARAM_BLD *b)
{
	EVP_PKEY *key = NULL;
	OSSL_PARAM *params = OSSL_PARAM_BLD_to_param(b);
	EVP_PKEY_CTX *x = EVP_PKEY_CTX_new_from_name(NULL, type, NULL);
	if (!params || !x || EVP_PKEY_fromdata_init(x) != 1 ||
	    EVP_PKEY_fromdata(x, &key, EVP_PKEY_PUBLIC_KEY, params) != 1)
		key = NULL;
	EVP_PKEY_CTX_free(x);
	OSSL_PARAM_free(params);
	ERR_clear_error();
	return key;
}

static const char *read_rsa(const json_t *o, EVP_PKEY **out)
{
	struct gw_buf n, e;
	BIGNUM *bn = NULL, *be = NULL;
	const char *fault = NULL;
	gw_buf_init(&n, 4096);
	gw_buf_init(&e, 64);
	if (!member_bytes(&n, o, "n") || !member_bytes(&e, o, "e") || e.n > 8)
		fault = "must have `n` and `e` in base64url";
	else if (n.n > RSA_MAX_BYTES)
		fault = "is an RSA key of more than 8192 bits";
	if (!fault) {
		OSSL_PARAM_BLD *b = OSSL_PARAM_BLD_new();
		bn = BN_bin2bn((const unsigned char *)n.p, (int)n.n, NULL);
		be = BN_bin2bn((const unsigned char *)e.p, (int)e.n, NULL);
		if (bn && be && OSSL_PARAM_BLD_push_BN(b, OSSL_PKEY_PARAM_RSA_N, bn) &&
		    OSSL_PARAM_BLD_push_BN(b, OSSL_PKEY_PARAM_RSA_E, be))
			*out = from_params("RSA", b);
		OSSL_PARAM_BLD_free(b);
		if (!*out)
			fault = "is not an RSA key";
		else if (EVP_PKEY_get_bits(*out) < RSA_MIN_BITS || !BN_is_odd(be) || BN_is_one(be))
			fault = "is an RSA key of fewer than 2048 bits, or with a bad exponent";
	}
	BN_free(bn);
	BN_free(be);
	gw_buf_fini(&n);
	gw_buf_fini(&e);
	return fault;
}

static const char *read_ec(const json_t *o, enum gw_jwk_type *type, EVP_PKEY **out)
{
	static const struct { const char *name, *group; enum gw_jwk_type type; size_t bytes; } curves[] = {
		{ "P-256", "prime256v1", GW_JWK_P256, 32 }, { "P-384", "secp384r1", GW_JWK_P384, 48 },
		{ "P-521", "secp521r1", GW_JWK_P521, 66 },
	};
	struct gw_str name = gw_json_str(json_object_get(o, "crv"));
	for (size_t i = 0; i < GW_COUNT(curves); i++) {
		unsigned char point[1 + 2 * 66] = { 4 };
		struct gw_buf x, y;
		if (!gw_str_is(name, curves[i].name))
			continue;
		*type = curves[i].type;
		gw_buf_init(&x, 256);
		gw_buf_init(&y, 256);
		bool whole = member_bytes(&x, o, "x") && member_bytes(&y, o, "y") && x.n == curves[i].bytes &&
		             y.n == curves[i].bytes;
		if (whole) {
			OSSL_PARAM_BLD *b = OSSL_PARAM_BLD_new();
			memcpy(point + 1, x.p, x.n);
			memcpy(point + 1 + x.n, y.p, y.n);
			if (OSSL_PARAM_BLD_push_utf8_string(b, OSSL_PKEY_PARAM_GROUP_NAME, curves[i].group, 0) &&
			    OSSL_PARAM_BLD_push_octet_string(b, OSSL_PKEY_PARAM_PUB_KEY, point, 1 + 2 * x.n))
				*out = from_params("EC", b); /* refuses a point that is not on the curve */
			OSSL_PARAM_BLD_free(b);
		}
		gw_buf_fini(&x);
		gw_buf_fini(&y);
		return !whole ? "must have `x` and `y` of the curve's length in base64url" : *out ? NULL : "is no point of its curve";
	}
	return "must be on one of the curves P-256, P-384 and P-521";
}

static const char *read_okp(const json_t *o, EVP_PKEY **out)
{
	struct gw_buf x;
	if (!gw_str_is(gw_json_str(json_object_get(o, "crv")), "Ed25519"))
		return "must be on the curve Ed25519";
	gw_buf_init(&x, 64);
	if (member_bytes(&x, o, "x") && x.n == 32)
		*out = EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, NULL, (const unsigned char *)x.p, 32);
	gw_buf_fini(&x);
	ERR_clear_error();
	return *out ? NULL : "must have `x` of 32 bytes in base64url";
}

/* libjwt takes its keys as PEM. */
static struct gw_str pem_of(struct gw_arena *a, EVP_PKEY *key)
{
	BIO *b = BIO_new(BIO_s_mem());
	char *p;
	struct gw_str out = GW_STR_NONE;
	if (PEM_write_bio_PUBKEY(b, key) == 1) {
		long n = BIO_get_mem_data(b, &p);
		out = (struct gw_str){ gw_arena_c(a, (struct gw_str){ p, (size_t)n }), (size_t)n };
	}
	BIO_free(b);
	ERR_clear_error();
	return out;
}

/* NULL: *out is ready; else what is wrong with the key, to follow "key N ". */
static const char *read_key(const json_t *o, struct gw_jwk *out, struct gw_arena *a)
{
	EVP_PKEY *key = NULL;
	const char *fault;
	struct gw_str kty = gw_json_str(json_object_get(o, "kty")), use = gw_json_str(json_object_get(o, "use"));
	if (!json_is_object(o))
		return "must be an object";
	if (gw_str_is(kty, "oct") || json_object_get(o, "d") || json_object_get(o, "k"))
		return "holds a secret: a JWKS is public, a shared secret belongs into `secret`";
	if (use.p && !gw_str_is(use, "sig"))
		return "is not for signatures (`use` is not \"sig\")";
	out->kid = gw_json_str(json_object_get(o, "kid"));
	out->alg = gw_json_str(json_object_get(o, "alg"));
	if (out->kid.n > GW_JWK_MAX_KID || out->alg.n > 16)
		return "has a `kid` or `alg` that is too long";
	if (gw_str_is(kty, "RSA"))
		out->type = GW_JWK_RSA, fault = read_rsa(o, &key);
	else if (gw_str_is(kty, "EC"))
		fault = read_ec(o, &out->type, &key);
	else if (gw_str_is(kty, "OKP"))
		out->type = GW_JWK_ED25519, fault = read_okp(o, &key);
	else
		fault = "must have `kty` RSA, EC or OKP";
	if (fault) {
		EVP_PKEY_free(key);
		return fault;
	}
	gw_arena_defer(a, free_pkey, key);
	out->pkey = key;
	out->pem = pem_of(a, key);
	if (out->kid.p)
		out->kid = gw_arena_copy(a, out->kid);
	if (out->alg.p)
		out->alg = gw_arena_copy(a, out->alg);
	return NULL;
}

enum gw_rc gw_jwks_read(struct gw_jwks *out, const json_t *doc, bool strict, struct gw_arena *a,
    struct gw_error *err)
{
	json_t *keys = json_object_get(doc, "keys"), *o;
	size_t i, n = 0;
	*out = (struct gw_jwks){ NULL, 0 };
	if (!json_is_array(keys))
		return gw_fail(err, GW_INVALID, "/keys", "a JWKS must be an object with a list `keys`");
	if (json_array_size(keys) > GW_JWKS_MAX_KEYS)
		return gw_fail(err, GW_INVALID, "/keys", "`keys` must have at most %d entries", GW_JWKS_MAX_KEYS);
	struct gw_jwk *v = gw_arena_array(a, json_array_size(keys), sizeof *v);
	json_array_foreach(keys, i, o) {
		const char *fault = read_key(o, &v[n], a);
		for (size_t k = 0; !fault && k < n; k++)
			if (v[n].kid.p && v[k].kid.p && gw_str_eq(v[k].kid, v[n].kid))
				fault = "has the `kid` of another key";
		if (fault && strict) {
			char path[32];
			snprintf(path, sizeof path, "/keys/%zu", i);
			return gw_fail(err, GW_INVALID, path, "key %zu %s", i + 1, fault);
		}
		if (!fault)
			n++;
	}
	if (n == 0)
		return gw_fail(err, GW_INVALID, "/keys", "there is no key to check signatures with");
	*out = (struct gw_jwks){ v, n };
	return GW_OK;
}

bool gw_jwk_fits(const struct gw_jwk *k, struct gw_str alg)
{
	if (k->alg.p && !gw_str_eq(k->alg, alg))
		return false;
	switch (k->type) {
	case GW_JWK_RSA:
		return gw_str_starts(alg, GW_STR("RS")) || gw_str_starts(alg, GW_STR("PS"));
	case GW_JWK_P256:
		return gw_str_is(alg, "ES256");
	case GW_JWK_P384:
		return gw_str_is(alg, "ES384");
	case GW_JWK_P521:
		return gw_str_is(alg, "ES512");
	case GW_JWK_ED25519:
		return gw_str_is(alg, "EdDSA");
	}
	return false;
}
