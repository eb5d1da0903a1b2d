/*
 * spec_identity.c - who may vouch for consumers: issuers of JSON Web Tokens.
 */
#include "base/bytes.h"
#include "base/str.h"
#include "spec.h"

#include <stdio.h>

#define HOUR_MS 3600000LL
#define SECRET_MIN 32 /* bytes: a shorter one can be guessed from a single token */

static const char *const alg_names[] = {
#define X(name) #name,
	GW_JWT_ALG_TABLE(X)
#undef X
};

const char *gw_jwt_alg_name(enum gw_jwt_alg a)
{
	assert(a < GW_JWT_ALG_COUNT);
	return alg_names[a];
}

/* Type and both parts with their lengths, so that no two pairs run into one another. */
void gw_credential_ident(uint8_t out[32], enum gw_credential type, struct gw_str a, struct gw_str b)
{
	struct gw_buf text;
	gw_buf_init(&text, 65536);
	gw_buf_printf(&text, "credential %d %zu ", (int)type, a.n);
	gw_buf_add(&text, a);
	gw_buf_add_byte(&text, ' ');
	gw_buf_add(&text, b);
	gw_sha256(out, gw_buf_str(&text));
	gw_buf_fini(&text);
}

static enum gw_rc read_algs(struct gw_spec *s, const json_t *o, struct gw_jwt_issuer *out, struct gw_error *err)
{
	json_t *list, *item;
	size_t i;
	enum gw_rc rc = gw_spec_array(o, "algorithms", GW_JWT_ALG_COUNT, &list, err);
	(void)s;
	if (rc != GW_OK)
		return rc;
	if (!list)
		out->algs = 1u << GW_JWT_RS256 | 1u << GW_JWT_ES256;
	json_array_foreach(list, i, item) {
		uint32_t bit = 0;
		for (unsigned k = 0; k < GW_JWT_ALG_COUNT; k++)
			if (gw_str_is(gw_json_str(item), alg_names[k]))
				bit = 1u << k;
		if (!bit) {
			char path[48];
			snprintf(path, sizeof path, "/algorithms/%zu", i);
			return gw_fail(err, GW_INVALID, path, "entry %zu of `algorithms` must be one of RS256, RS384, RS512, PS256, "
			    "PS384, PS512, ES256, ES384, ES512, EdDSA, HS256, HS384, HS512", i + 1);
		}
		out->algs |= bit;
	}
	if (!out->algs)
		return gw_fail(err, GW_INVALID, "/algorithms", "`algorithms` must have at least one entry");
	return GW_OK;
}

static enum gw_rc read_sources(struct gw_spec *s, const json_t *o, struct gw_jwt_issuer *out, struct gw_error *err)
{
	json_t *jwks;
	struct gw_str url = GW_STR_NONE, ca = GW_STR_NONE;
	enum gw_rc rc = gw_spec_object(o, "jwks", &jwks, err);
	if (rc == GW_OK && jwks) {
		rc = gw_jwks_read(&out->jwks, jwks, s->strict, s->arena, err);
		if (rc != GW_OK)
			gw_error_prefix(err, "/jwks");
	}
	if (rc == GW_OK)
		rc = gw_spec_text(o, "jwks_url", 0, 2048, &url, err);
	if (rc == GW_OK)
		rc = gw_spec_text(o, "ca_pem", 0, 65536, &ca, err);
	out->jwks_refresh_ms = HOUR_MS / 4;
	if (rc == GW_OK)
		rc = gw_spec_duration(o, "jwks_refresh", 60000, 24 * HOUR_MS, &out->jwks_refresh_ms, err);
	out->allow_private = true; /* an operator wrote the address */
	if (rc == GW_OK)
		rc = gw_json_bool(o, "allow_private", &out->allow_private, err);
	if (rc == GW_OK)
		rc = gw_spec_secret(s, o, "secret", &out->secret, err);
	if (rc != GW_OK)
		return rc;
	const char *fault = url.n ? gw_spec_url_fault(url) : NULL;
	if (fault)
		return gw_fail(err, GW_INVALID, "/jwks_url", "`jwks_url` %s", fault);
	if (url.n && out->jwks.n)
		return gw_fail(err, GW_INVALID, "/jwks_url", "give either `jwks` or `jwks_url`, not both");
	if (url.n)
		out->jwks_url = gw_arena_copy(s->arena, url);
	if (ca.n)
		out->ca_pem = gw_arena_copy(s->arena, ca);
	return GW_OK;
}

/* Every algorithm needs its key, or no token could ever be accepted. */
static enum gw_rc check_keys(const struct gw_spec *s, const struct gw_jwt_issuer *out, struct gw_error *err)
{
	const uint32_t shared = 1u << GW_JWT_HS256 | 1u << GW_JWT_HS384 | 1u << GW_JWT_HS512;
	if ((out->algs & shared) && !out->secret.n)
		return gw_fail(err, GW_INVALID, "/secret", "`secret` is required for HS256, HS384 and HS512");
	if (s->unseal && out->secret.n && out->secret.n < SECRET_MIN)
		return gw_fail(err, GW_INVALID, "/secret", "`secret` must have at least %d bytes", SECRET_MIN);
	if ((out->algs & ~shared) && !out->jwks.n && !out->jwks_url.n)
		return gw_fail(err, GW_INVALID, "/jwks_url", "`jwks_url` or `jwks` is required for %s",
		    gw_jwt_alg_name((enum gw_jwt_alg)__builtin_ctz(out->algs & ~shared)));
	return GW_OK;
}

static enum gw_rc read_group_map(struct gw_spec *s, const json_t *o, struct gw_jwt_issuer *out, struct gw_error *err)
{
	json_t *map, *v;
	const char *key;
	size_t n = 0;
	enum gw_rc rc = gw_spec_object(o, "group_map", &map, err);
	if (rc != GW_OK || !map)
		return rc;
	if (json_object_size(map) > 256)
		return gw_fail(err, GW_INVALID, "/group_map", "`group_map` must have at most 256 members");
	struct gw_pair *pairs = gw_arena_array(s->arena, json_object_size(map), sizeof *pairs);
	json_object_foreach(map, key, v) {
		if (!key[0] || strlen(key) > 256 || !gw_name_valid(gw_json_str(v))) {
			char token[GW_POINTER_LEN], path[GW_POINTER_LEN + 16];
			gw_json_pointer(token, gw_str_c(key));
			snprintf(path, sizeof path, "/group_map/%s", token);
			return gw_fail(err, GW_INVALID, path, "`group_map` maps a value of at most 256 bytes to the name of a group");
		}
		pairs[n++] = (struct gw_pair){ gw_arena_copy(s->arena, gw_str_c(key)), gw_arena_copy(s->arena, gw_json_str(v)) };
	}
	out->group_map = pairs;
	out->n_group_map = n;
	return GW_OK;
}

static enum gw_rc read_claims(struct gw_spec *s, const json_t *o, struct gw_jwt_issuer *out, struct gw_error *err)
{
	struct gw_str claim = GW_STR("sub"), groups = GW_STR_NONE, fallback = GW_STR_NONE;
	enum gw_rc rc = gw_spec_text(o, "consumer_claim", 1, 128, &claim, err);
	if (rc == GW_OK)
		rc = gw_json_bool(o, "claim_is_consumer", &out->claim_is_consumer, err);
	if (rc == GW_OK)
		rc = gw_spec_text(o, "default_consumer", 0, 63, &fallback, err);
	if (rc == GW_OK)
		rc = gw_spec_text(o, "groups_claim", 0, 128, &groups, err);
	if (rc == GW_OK)
		rc = read_group_map(s, o, out, err);
	if (rc != GW_OK)
		return rc;
	if (fallback.n && !gw_name_valid(fallback))
		return gw_fail(err, GW_INVALID, "/default_consumer", "`default_consumer` must be the name of a consumer");
	out->consumer_claim = gw_arena_copy(s->arena, claim);
	if (fallback.n)
		out->default_consumer = gw_arena_copy(s->arena, fallback);
	if (groups.n)
		out->groups_claim = gw_arena_copy(s->arena, groups);
	return GW_OK;
}

enum gw_rc gw_spec_jwt_issuer(struct gw_spec *s, const json_t *o, struct gw_jwt_issuer *out, struct gw_error *err)
{
	static const char *const names[] = { "description", "labels", "enabled", "issuer", "audiences", "algorithms", "jwks",
		"jwks_url", "jwks_refresh", "ca_pem", "allow_private", "secret", "clock_skew", "require_expiry", "consumer_claim",
		"claim_is_consumer", "default_consumer", "groups_claim", "group_map", NULL };
	static const struct gw_spec_list audiences = { "audiences", 32, 512, NULL, NULL };
	struct gw_str issuer = GW_STR_NONE;
	if (!json_is_object(o))
		return gw_fail(err, GW_INVALID, NULL, "a JWT issuer must be an object");
	out->clock_skew_ms = 60000;
	out->require_expiry = true;
	enum gw_rc rc = gw_spec_members(s, o, names, err);
	if (rc == GW_OK)
		rc = gw_spec_common(s, o, &out->enabled, err);
	if (rc == GW_OK)
		rc = gw_spec_text(o, "issuer", 1, 512, &issuer, err);
	if (rc == GW_OK && !issuer.p)
		rc = gw_fail(err, GW_INVALID, "/issuer", "`issuer` is required: the exact `iss` of its tokens");
	if (rc == GW_OK)
		rc = gw_spec_texts(s, o, &audiences, &out->audiences, err);
	if (rc == GW_OK)
		rc = read_algs(s, o, out, err);
	if (rc == GW_OK)
		rc = read_sources(s, o, out, err);
	if (rc == GW_OK)
		rc = check_keys(s, out, err);
	if (rc == GW_OK)
		rc = gw_spec_duration(o, "clock_skew", 0, HOUR_MS / 6, &out->clock_skew_ms, err);
	if (rc == GW_OK)
		rc = gw_json_bool(o, "require_expiry", &out->require_expiry, err);
	if (rc == GW_OK)
		rc = read_claims(s, o, out, err);
	if (rc == GW_OK)
		out->issuer = gw_arena_copy(s->arena, issuer);
	return rc;
}

/* ---- settings.tls ---- */

#define CERTIFICATES_MAX 16

static enum gw_rc read_certificate(struct gw_spec *s, const json_t *o, struct gw_tls_certificate *out, struct gw_error *err)
{
	static const char *const names[] = { "name", "certificate_pem", "private_key", NULL };
	if (!json_is_object(o))
		return gw_fail(err, GW_INVALID, NULL, "a certificate must be an object with `name`, `certificate_pem` and `private_key`");
	enum gw_rc rc = gw_spec_members(s, o, names, err);
	if (rc == GW_OK)
		rc = gw_spec_text(o, "name", 1, 63, &out->name, err);
	if (rc == GW_OK)
		rc = gw_spec_text(o, "certificate_pem", 1, 65536, &out->chain_pem, err);
	if (rc == GW_OK)
		rc = gw_spec_secret(s, o, "private_key", &out->key_pem, err);
	if (rc != GW_OK)
		return rc;
	if (!out->name.p || !gw_name_valid(out->name))
		return gw_fail(err, GW_INVALID, "/name", "`name` must be a name of 1 to 63 lower-case letters, digits, and `.` or `-` inside");
	if (!out->chain_pem.p || !out->key_pem.p)
		return gw_fail(err, GW_INVALID, out->chain_pem.p ? "/private_key" : "/certificate_pem", "a certificate needs both its chain and its key");
	out->name = gw_arena_copy(s->arena, out->name);
	out->chain_pem = gw_arena_copy(s->arena, out->chain_pem);
	return gw_tls_pair_check(out->chain_pem, s->unseal ? out->key_pem : GW_STR_NONE, err);
}

static enum gw_rc read_certificates(struct gw_spec *s, const json_t *o, struct gw_tls_settings *out, struct gw_error *err)
{
	json_t *list, *item;
	size_t i;
	enum gw_rc rc = gw_spec_array(o, "certificates", CERTIFICATES_MAX, &list, err);
	if (rc != GW_OK)
		return rc;
	struct gw_tls_certificate *v = gw_arena_array(s->arena, json_array_size(list), sizeof *v);
	json_array_foreach(list, i, item) {
		rc = read_certificate(s, item, &v[i], err);
		for (size_t k = 0; rc == GW_OK && k < i; k++)
			if (gw_str_eq(v[k].name, v[i].name))
				rc = gw_fail(err, GW_INVALID, "/name", "two certificates have the name `%.*s`", GW_FMT(v[i].name));
		if (rc != GW_OK) {
			gw_error_prefix(err, "/certificates/%zu", i);
			return rc;
		}
	}
	out->certificates = v;
	out->n_certificates = json_array_size(list);
	return GW_OK;
}

/* Chained: each digest covers the one before, so that nothing runs into its neighbour. */
static void digest_of(struct gw_tls_settings *t)
{
	char head[64];
	int n = snprintf(head, sizeof head, "%d %d %zu", t->mode, t->client_auth, t->n_certificates);
	gw_sha256_2(t->digest, (struct gw_str){ head, (size_t)n }, t->client_ca_pem);
	for (size_t i = 0; i < t->n_certificates; i++) {
		gw_sha256_2(t->digest, (struct gw_str){ (const char *)t->digest, 32 }, t->certificates[i].chain_pem);
		gw_sha256_2(t->digest, (struct gw_str){ (const char *)t->digest, 32 }, t->certificates[i].key_pem);
	}
}

enum gw_rc gw_spec_tls(struct gw_spec *s, const json_t *o, struct gw_tls_settings *out, struct gw_error *err)
{
	static const char *const names[] = { "mode", "certificates", "client_auth", "client_ca_pem", NULL };
	static const char *const words[] = { "off", "optional", "required", NULL };
	struct gw_str ca = GW_STR_NONE;
	*out = (struct gw_tls_settings){ .mode = GW_TLS_OFF };
	enum gw_rc rc = gw_spec_members(s, o, names, err);
	if (rc == GW_OK)
		rc = gw_spec_word(o, "mode", words, &out->mode, err);
	if (rc == GW_OK)
		rc = gw_spec_word(o, "client_auth", words, &out->client_auth, err);
	if (rc == GW_OK)
		rc = gw_spec_text(o, "client_ca_pem", 0, 65536, &ca, err);
	if (rc == GW_OK)
		rc = read_certificates(s, o, out, err);
	if (rc != GW_OK)
		return rc;
	if (out->mode != GW_TLS_OFF && out->n_certificates == 0)
		return gw_fail(err, GW_INVALID, "/certificates", "`certificates` must have at least one entry before TLS is switched on");
	if (out->client_auth != GW_TLS_OFF && !ca.n)
		return gw_fail(err, GW_INVALID, "/client_ca_pem", "`client_ca_pem` is required for client certificates: the authorities that issue them");
	if (ca.n) {
		out->client_ca_pem = gw_arena_copy(s->arena, ca);
		if (gw_tls_pair_check(ca, GW_STR_NONE, NULL) != GW_OK)
			return gw_fail(err, GW_INVALID, "/client_ca_pem", "`client_ca_pem` holds no PEM certificate");
	}
	digest_of(out);
	return GW_OK;
}
