/* keys.c - master key, pepper, snapshot key, and secrets under them. */
#include "auth/keys.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/bytes.h"
#include "base/file.h"
#include "base/str.h"
#include "base/time.h"
#include "seal.h"

#define META_NAME "keys"
#define CHECK_TEXT "tidegate"

enum gw_rc cp_master_key_load(uint8_t out[32], const char *data_dir, struct gw_error *err)
{
	char path[4096], hex[GW_HEX_LEN(32)];
	const char *env = getenv("TIDEGATE_MASTER_KEY");
	struct gw_buf b;
	if (env != NULL) {
		if (gw_unhex(out, 32, gw_str_trim(gw_str_c(env))))
			return GW_OK;
		return gw_fail(err, GW_INVALID, NULL, "TIDEGATE_MASTER_KEY must be 64 hex digits");
	}
	snprintf(path, sizeof path, "%s/master.key", data_dir);
	gw_buf_init(&b, 256);
	enum gw_rc rc = gw_file_read_secret(&b, path, err);
	if (rc == GW_OK && !gw_unhex(out, 32, gw_str_trim(gw_buf_str(&b))))
		rc = gw_fail(err, GW_INVALID, NULL, "%s must hold 64 hex digits", path);
	gw_secret_wipe(b.p, b.n);
	gw_buf_fini(&b);
	if (rc != GW_NOTFOUND)
		return rc;
	gw_random(out, 32);
	gw_hex(hex, out, 32);
	rc = gw_file_replace(path, gw_str_c(hex), 0600, err);
	gw_secret_wipe(hex, sizeof hex);
	return rc;
}

static enum gw_rc keys_make(struct cp_keys *k, struct cp_store *s, struct gw_error *err)
{
	uint8_t raw[32];
	struct gw_buf text;
	gw_random(raw, sizeof raw);
	gw_hex(k->pepper, raw, sizeof raw);
	gw_random(k->snapshot, sizeof k->snapshot);
	json_t *o = json_object();
	json_object_set_new(o, "check", gw_seal(k->master, GW_STR(CHECK_TEXT)));
	json_object_set_new(o, "pepper", gw_seal(k->master, gw_str_c(k->pepper)));
	json_object_set_new(o, "snapshot", gw_seal(k->master, (struct gw_str){ (char *)k->snapshot, 32 }));
	gw_buf_init(&text, 4096);
	enum gw_rc rc = gw_json_write(&text, o, true);
	if (rc == GW_OK)
		rc = cp_meta_put(s, META_NAME, gw_buf_str(&text), err);
	gw_buf_fini(&text);
	json_decref(o);
	return rc;
}

static enum gw_rc keys_read(struct cp_keys *k, struct gw_str text, struct gw_arena *a, struct gw_error *err)
{
	json_t *o = NULL;
	struct gw_str check, pepper, snapshot;
	enum gw_rc rc = gw_json_parse(&o, text, 65536, err);
	if (rc != GW_OK)
		return rc;
	if (gw_unseal_value(k->master, json_object_get(o, "check"), a, &check, NULL) != GW_OK)
		rc = gw_fail(err, GW_DENIED, NULL, "the master key is not the one this database was made with: put the "
			     "original back as master.key in the data directory, or into TIDEGATE_MASTER_KEY");
	if (rc == GW_OK)
		rc = gw_unseal_value(k->master, json_object_get(o, "pepper"), a, &pepper, err);
	if (rc == GW_OK)
		rc = gw_unseal_value(k->master, json_object_get(o, "snapshot"), a, &snapshot, err);
	if (rc == GW_OK && (pepper.n != 64 || snapshot.n != 32))
		rc = gw_fail(err, GW_INVALID, NULL, "the keys in the database are damaged: restore a backup");
	if (rc == GW_OK) {
		memcpy(k->pepper, pepper.p, 64);
		memcpy(k->snapshot, snapshot.p, 32);
	}
	json_decref(o);
	return rc;
}

enum gw_rc cp_keys_open(struct cp_keys *out, const uint8_t master[32], struct cp_store *s, struct gw_error *err)
{
	struct gw_arena *a = gw_arena_open(0);
	struct gw_str text;
	*out = (struct cp_keys){ .pepper = "" };
	memcpy(out->master, master, 32);
	enum gw_rc rc = cp_meta_get(s, META_NAME, a, &text, err);
	if (rc == GW_NOTFOUND)
		rc = keys_make(out, s, err);
	else if (rc == GW_OK)
		rc = keys_read(out, text, a, err);
	if (rc != GW_OK)
		cp_keys_wipe(out);
	gw_arena_close(&a);
	return rc;
}

void cp_keys_wipe(struct cp_keys *k)
{
	gw_secret_wipe(k, sizeof *k);
}

json_t *cp_secret_new(const struct cp_keys *k, struct gw_str plain, int64_t now_ms)
{
	uint8_t digest[32];
	char hex[GW_HEX_LEN(8)];
	json_t *o = gw_seal(k->master, plain);
	gw_sha256(digest, plain);
	gw_hex(hex, digest, 8);
	gw_json_set_str(o, "last4", plain.n >= 12 ? (struct gw_str){ plain.p + plain.n - 4, 4 } : GW_STR(""));
	gw_json_set_str(o, "fingerprint", gw_str_c(hex));
	gw_json_set_time(o, "created_at", now_ms);
	return o;
}

void cp_consumer_key_hash(const struct cp_keys *k, struct gw_str secret, char out[65])
{
	uint8_t digest[32];
	gw_sha256_2(digest, gw_str_c(k->pepper), secret);
	gw_hex(out, digest, sizeof digest);
}
