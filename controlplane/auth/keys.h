/*
 * keys.h - the keys a control plane holds, and where they come from.
 *
 * The master key never stands in the database: environment TIDEGATE_MASTER_KEY (64 hex digits), else the file
 * DIR/master.key (0600, made at first start).  Under it the database keeps, sealed, the pepper of consumer keys and
 * the snapshot key that every worker receives in `welcome`.
 */
#ifndef CP_AUTH_KEYS_H
#define CP_AUTH_KEYS_H

#include "store/store.h"

struct cp_keys {
	uint8_t master[32];
	uint8_t snapshot[32];
	char pepper[65];         /* 64 hex digits; the text itself is hashed before the key */
};

/* Reads or makes the master key.  `data_dir` is the directory of master.key. */
enum gw_rc cp_master_key_load(uint8_t out[32], const char *data_dir, struct gw_error *err) GW_MUST_CHECK;
/* Opens or makes pepper and snapshot key.  GW_DENIED with a sentence: the master key is not this database's. */
enum gw_rc cp_keys_open(struct cp_keys *out, const uint8_t master[32], struct cp_store *s, struct gw_error *err) GW_MUST_CHECK;
void cp_keys_wipe(struct cp_keys *k);

/* {"sealed","last4","fingerprint","created_at"} of a secret; owned. */
json_t *cp_secret_new(const struct cp_keys *k, struct gw_str plain, int64_t now_ms);
/* Hex of SHA-256(pepper | key): how consumer keys are stored and found. */
void cp_consumer_key_hash(const struct cp_keys *k, struct gw_str secret, char out[65]);

#endif
