/*
 * credentials.c - what else than a key a consumer is recognised by: the subject of a token, a signing secret, a
 * certificate.
 *
 * They are objects of the same kind as keys, with a `type`.  What they are looked up by is hashed into `ident`, so no two
 * consumers can have the same one.  Only the secret of an hmac credential is secret, and it must be kept (sealed),
 * because checking a signature needs it.
 */
#include "api/internal.h"

#include <stdio.h>

#include "auth/keys.h"
#include "base/bytes.h"
#include "snapshot.h"

#define SECRET_MIN 32

struct gw_str cp_credential_new_id(struct cp_ctx *x)
{
	char random[GW_HEX_LEN(8)];
	uint8_t raw[8];
	gw_random(raw, sizeof raw);
	gw_hex(random, raw, sizeof raw);
	return gw_arena_printf(x->a, "c-%s", random);
}

/* ---- from a body to what is stored ---- */

/* Which members each type has; `secret` and `key_id` are made when they are absent. */
static const struct { const char *type; const char *members[3]; enum gw_credential kind; } types[] = {
	{ "jwt", { "issuer", "value" }, GW_CREDENTIAL_JWT }, { "hmac", { "key_id", "secret" }, GW_CREDENTIAL_HMAC },
	{ "mtls", { "match", "value" }, GW_CREDENTIAL_MTLS },
};

static void check_members(struct cp_ctx *x, size_t t, const json_t *wanted, const char *path)
{
	static const char *const all[] = { "issuer", "value", "key_id", "secret", "match" };
	char where[512];
	for (size_t i = 0; i < GW_COUNT(all); i++) {
		bool takes = strcmp(types[t].members[0], all[i]) == 0 || strcmp(types[t].members[1], all[i]) == 0;
		bool has = json_is_string(json_object_get(wanted, all[i]));
		snprintf(where, sizeof where, "%s/%s", path, all[i]);
		if (has && !takes)
			cp_fault_add(x->faults, where, "unknown_member", "a credential of type %s has no member %s", types[t].type, all[i]);
		else if (!has && takes && types[t].kind != GW_CREDENTIAL_HMAC)
			cp_fault_add(x->faults, where, "required", "%s is required for a credential of type %s", all[i], types[t].type);
	}
}

static bool is_plain(struct gw_str s, const char *more)
{
	for (size_t i = 0; i < s.n; i++) {
		char c = s.p[i];
		bool alnum = (c >= '0' && c <= '9') || ((c | 32) >= 'a' && (c | 32) <= 'z');
		if (!alnum && (c == 0 || !strchr(more, c)))
			return false;
	}
	return s.n > 0;
}

/* 64 hex digits, without the colons that tools print; NULL: that it is not. */
static const char *fingerprint(struct cp_ctx *x, struct gw_str text)
{
	char *out = gw_arena_alloc(x->a, text.n + 1);
	uint8_t bytes[32];
	size_t n = 0;
	for (size_t i = 0; i < text.n; i++)
		if (text.p[i] != ':')
			out[n++] = (char)(text.p[i] >= 'A' && text.p[i] <= 'F' ? text.p[i] | 0x20 : text.p[i]);
	return gw_unhex(bytes, sizeof bytes, (struct gw_str){ out, n }) ? out : NULL;
}

static void check_certificate(struct cp_ctx *x, json_t *wanted, const char *path)
{
	static const char *const kinds[] = { "dns:", "uri:", "email:", "ip:" };
	struct gw_str match = gw_json_str(json_object_get(wanted, "match")), value = gw_json_str(json_object_get(wanted, "value"));
	char where[512];
	bool fine = true;
	snprintf(where, sizeof where, "%s/value", path);
	if (gw_str_is(match, "fingerprint")) {
		const char *hex = fingerprint(x, value);
		if (hex != NULL)
			json_object_set_new(wanted, "value", json_string(hex));
		else
			cp_fault_add(x->faults, where, "bad_format", "a fingerprint is the SHA-256 of the certificate: 64 hex digits");
	} else if (gw_str_is(match, "san")) {
		fine = false;
		for (size_t i = 0; i < GW_COUNT(kinds); i++)
			fine = fine || (gw_str_starts(value, gw_str_c(kinds[i])) && value.n > strlen(kinds[i]));
	}
	if (!fine)
		cp_fault_add(x->faults, where, "bad_format", "an alternative name is written dns:NAME, uri:URI, email:ADDRESS or ip:ADDRESS");
}

static enum gw_rc check_issuer(struct cp_ctx *x, struct cp_txn *t, const json_t *wanted, const char *path)
{
	struct cp_record issuer;
	struct gw_error err = { 0 };
	char where[512];
	struct gw_str name = gw_json_str(json_object_get(wanted, "issuer"));
	enum gw_rc rc = cp_get(t, GW_KIND_JWT_ISSUER, name, x->a, &issuer, &err);
	snprintf(where, sizeof where, "%s/issuer", path);
	if (rc == GW_NOTFOUND)
		cp_fault_add(x->faults, where, "unknown_reference", "there is no JWT issuer \"%.*s\"", GW_FMT(name));
	return rc == GW_NOTFOUND ? GW_OK : rc;
}

/* The key id and the secret, given, kept or made. */
static void complete_hmac(struct cp_ctx *x, json_t *wanted, const json_t *old, json_t *spec, const char *path)
{
	char fresh[64], where[512];
	struct gw_str id = gw_json_str(json_object_get(wanted, "key_id")), secret = gw_json_str(json_object_get(wanted, "secret"));
	const json_t *before = json_object_get(old, "secret");
	if (id.p == NULL && old != NULL)
		id = gw_json_str(json_object_get(old, "key_id"));
	if (id.p == NULL) {
		uint8_t raw[10];
		char hex[GW_HEX_LEN(10)];
		gw_random(raw, sizeof raw);
		gw_hex(hex, raw, sizeof raw);
		id = gw_arena_printf(x->a, "tgi-%s", hex);
	}
	snprintf(where, sizeof where, "%s/key_id", path);
	if (!is_plain(id, "._-"))
		cp_fault_add(x->faults, where, "bad_format", "key_id consists of letters, digits, '.', '_' and '-'");
	gw_json_set_str(spec, "key_id", id);
	if (secret.p == NULL && before != NULL) {
		json_object_set(spec, "secret", (json_t *)before);
		return;
	}
	if (secret.p == NULL) {
		gw_token_new(fresh, "tgh_");
		gw_json_set_str(wanted, "secret", gw_str_c(fresh));
		gw_secret_wipe(fresh, sizeof fresh);
		secret = gw_json_str(json_object_get(wanted, "secret"));
	}
	json_object_set_new(spec, "secret", cp_seal_value(x, secret, before));
}

static struct gw_str ident(struct cp_ctx *x, enum gw_credential kind, const json_t *spec)
{
	uint8_t hash[32];
	char hex[GW_HEX_LEN(32)];
	struct gw_str a = GW_STR(""), b = gw_json_str(json_object_get(spec, kind == GW_CREDENTIAL_HMAC ? "key_id" : "value"));
	if (kind != GW_CREDENTIAL_HMAC)
		a = gw_json_str(json_object_get(spec, kind == GW_CREDENTIAL_JWT ? "issuer" : "match"));
	gw_credential_ident(hash, kind, a, b);
	gw_hex(hex, hash, sizeof hash);
	return gw_arena_copy(x->a, gw_str_c(hex));
}

enum gw_rc cp_credential_put(struct cp_ctx *x, struct cp_change *c, struct gw_str consumer, struct gw_str id, json_t *wanted,
			     const json_t *old, const char *path, struct gw_error *err)
{
	struct gw_str word = gw_json_str(json_object_get(wanted, "type"));
	size_t t = 0, before = json_array_size(x->faults);
	enum gw_rc rc = GW_OK;
	while (t < GW_COUNT(types) && !gw_str_is(word, types[t].type))
		t++;
	assert(t < GW_COUNT(types)); /* the contract has checked it */
	check_members(x, t, wanted, path);
	if (types[t].kind == GW_CREDENTIAL_MTLS && json_array_size(x->faults) == before)
		check_certificate(x, wanted, path);
	if (types[t].kind == GW_CREDENTIAL_JWT && json_array_size(x->faults) == before)
		rc = check_issuer(x, cp_change_view(c), wanted, path);
	if (rc != GW_OK || json_array_size(x->faults) > before)
		return rc;
	json_t *spec = json_object(), *expires = json_object_get(wanted, "expires_at");
	json_object_set(spec, "type", json_object_get(wanted, "type"));
	json_object_set(spec, "name", json_object_get(wanted, "name"));
	json_object_set(spec, "enabled", json_object_get(wanted, "enabled"));
	json_object_set_new(spec, "expires_at", expires != NULL ? json_incref(expires) : json_null());
	if (types[t].kind == GW_CREDENTIAL_HMAC)
		complete_hmac(x, wanted, old, spec, path);
	else
		for (size_t i = 0; i < 2; i++)
			json_object_set(spec, types[t].members[i], json_object_get(wanted, types[t].members[i]));
	struct cp_record r = { .kind = GW_KIND_CREDENTIAL, .name = id, .owner = consumer, .ident = ident(x, types[t].kind, spec),
			       .spec = cp_json_text(x, spec) };
	json_decref(spec);
	if (json_array_size(x->faults) > before)
		return GW_OK;
	rc = cp_put(c, &r, CP_ANY, err);
	if (rc == GW_EXISTS) {
		char where[512];
		snprintf(where, sizeof where, "%s/%s", path, types[t].kind == GW_CREDENTIAL_HMAC ? "key_id" : "value");
		return gw_fail(err, GW_EXISTS, where, "another credential is recognised by this already: every one must be different");
	}
	return rc;
}

/* ---- making one ---- */

void cp_api_create_consumer_credential(struct cp_ctx *x)
{
	struct cp_change *c = NULL;
	struct gw_error err = { 0 };
	struct gw_str id = cp_credential_new_id(x);
	cp_expiry(x);
	if (cp_problem_faults(x))
		return;
	enum gw_rc rc = cp_change_begin(&c, x->app->store, &x->actor, "create", &err);
	if (rc == GW_OK)
		rc = cp_identity_find(x, cp_change_view(c), false, NULL, &err);
	if (rc == GW_OK)
		rc = cp_credential_put(x, c, x->param[0], id, x->body, NULL, "", &err);
	if (rc == GW_OK && json_array_size(x->faults) == 0)
		cp_identity_finish(x, &c, false, id, gw_json_str(json_object_get(x->body, "secret")), 201);
	else
		cp_identity_give_up(x, &c, rc, &err);
}
