/* tokens.c - making API and join tokens, and letting workers in. */
#include "auth/internal.h"

#include <stdio.h>

#include "base/bytes.h"
#include "base/str.h"
#include "base/time.h"

#define MAX_SPEC 65536

void cp_id_new(char out[32], const char *prefix)
{
	static const char digits[] = "0123456789abcdefghijklmnopqrstuvwxyz";
	uint8_t raw[10];
	gw_random(raw, sizeof raw);
	size_t n = (size_t)snprintf(out, 20, "%s-", prefix);
	for (size_t i = 0; i < sizeof raw; i++)
		out[n++] = digits[raw[i] % 36];
	out[n] = 0;
}

/* Store one token object; the secret itself is not in it. */
static enum gw_rc store_token(struct cp_store *s, const struct cp_actor *who, enum gw_kind kind, const char *id,
			      const char *hash, json_t *spec, struct gw_error *err)
{
	struct cp_change *c = NULL;
	struct gw_buf text;
	uint64_t revision;
	gw_buf_init(&text, MAX_SPEC);
	enum gw_rc rc = gw_json_write(&text, spec, true);
	if (rc == GW_OK)
		rc = cp_change_begin(&c, s, who, "create", err);
	if (rc == GW_OK) {
		struct cp_record r = { .kind = kind, .name = gw_str_c(id), .ident = gw_str_c(hash), .spec = gw_buf_str(&text) };
		rc = cp_put(c, &r, CP_MUST_BE_NEW, err);
		if (rc == GW_OK)
			rc = cp_change_commit(&c, &revision, err);
		cp_change_abort(&c);
	}
	gw_buf_fini(&text);
	return rc;
}

static json_t *spec_new(const struct cp_actor *who, struct gw_str name, int64_t expires_at_ms)
{
	json_t *spec = json_object();
	gw_json_set_str(spec, "name", name);
	gw_json_set_str(spec, "created_by", who->name);
	gw_json_set_time(spec, "expires_at", expires_at_ms);
	return spec;
}

enum gw_rc cp_token_create(struct cp_store *s, const struct cp_actor *who, struct gw_str name, enum cp_role role,
			   int64_t expires_at_ms, struct cp_token_made *out, struct gw_error *err)
{
	char hash[65];
	cp_id_new(out->id, "t");
	gw_token_new(out->secret, "tga_");
	struct gw_str secret = gw_str_c(out->secret);
	cp_secret_hash(secret, hash);
	json_t *spec = spec_new(who, name, expires_at_ms);
	gw_json_set_str(spec, "role", gw_str_c(cp_role_name(role)));
	gw_json_set_str(spec, "prefix", (struct gw_str){ secret.p, 8 });
	gw_json_set_str(spec, "last4", (struct gw_str){ secret.p + secret.n - 4, 4 });
	enum gw_rc rc = store_token(s, who, GW_KIND_TOKEN, out->id, hash, spec, err);
	json_decref(spec);
	return rc;
}

enum gw_rc cp_join_token_create(struct cp_store *s, const struct cp_actor *who, struct gw_str name,
				int64_t expires_at_ms, struct gw_str fingerprint, struct cp_token_made *out,
				struct gw_error *err)
{
	char hash[65], secret[64];
	cp_id_new(out->id, "j");
	gw_token_new(secret, "");
	cp_secret_hash(gw_str_c(secret), hash);
	snprintf(out->secret, sizeof out->secret, "tgj_%s.%s.%.*s", out->id, secret, GW_FMT(fingerprint));
	json_t *spec = spec_new(who, name, expires_at_ms);
	enum gw_rc rc = store_token(s, who, GW_KIND_JOIN_TOKEN, out->id, hash, spec, err);
	json_decref(spec);
	gw_secret_wipe(secret, sizeof secret);
	return rc;
}

enum gw_rc cp_join_token_verify(struct cp_store *s, struct gw_str bearer, char id[32], struct gw_error *err)
{
	static const char words[] = "the join token is unknown, revoked or expired";
	struct gw_arena *a = gw_arena_open(0);
	struct cp_txn *t = NULL;
	struct cp_record r;
	json_t *spec = NULL;
	char hash[65];
	struct gw_str rest = gw_str_starts(bearer, GW_STR("tgj_")) ? gw_str_from(bearer, 4) : GW_STR("");
	struct gw_str name = gw_str_cut(&rest, '.'), secret = gw_str_cut(&rest, '.');
	enum gw_rc rc = name.n == 0 || secret.n == 0 ? gw_fail(err, GW_DENIED, NULL, "%s", words) : GW_OK;
	if (rc == GW_OK)
		rc = cp_txn_begin(&t, s, err);
	if (rc == GW_OK)
		rc = cp_get(t, GW_KIND_JOIN_TOKEN, name, a, &r, err);
	cp_txn_end(&t);
	if (rc == GW_OK)
		rc = gw_json_parse(&spec, r.spec, MAX_SPEC, err);
	if (rc == GW_OK) {
		int64_t until = cp_spec_time(spec, "expires_at"), now = gw_now_ms();
		cp_secret_hash(secret, hash);
		if (!gw_secret_eq(gw_str_c(hash), r.ident) || (until != 0 && until <= now) || r.name.n > 31)
			rc = gw_fail(err, GW_DENIED, NULL, "%s", words);
		else
			rc = cp_use_add(s, GW_KIND_JOIN_TOKEN, r.name, now, err);
	} else if (rc == GW_NOTFOUND) {
		rc = gw_fail(err, GW_DENIED, NULL, "%s", words);
	}
	if (rc == GW_OK)
		snprintf(id, 32, "%.*s", GW_FMT(r.name));
	json_decref(spec);
	gw_arena_close(&a);
	return rc;
}
