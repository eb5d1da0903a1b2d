/*
 * internal.h - what the files of this folder share.
 */
#ifndef CP_AUTH_INTERNAL_H
#define CP_AUTH_INTERNAL_H

#include <pthread.h>

#include "auth/auth.h"

#define CP_AUTH_MAGIC 0x41555448u
#define CP_THROTTLE_SLOTS 4096

struct cp_throttle_slot { uint64_t who; int64_t last_ms; unsigned failures; };

struct cp_auth {
	unsigned magic;
	struct cp_store *store;
	char *data_dir;                  /* NULL: none */
	char setup_token[64];            /* "" when set-up is done; guarded by lock */
	pthread_mutex_t lock;            /* throttle, setup_token, last sweep */
	int64_t swept_ms;
	struct cp_throttle_slot slots[CP_THROTTLE_SLOTS]; /* guarded by lock */
};

/* Hex of SHA-256: how random secrets are stored and found. */
void cp_secret_hash(struct gw_str secret, char out[65]);
/* "<prefix>-" and 8 random base36 digits. */
void cp_id_new(char out[32], const char *prefix);
/* Count a use unless one was counted within the last minute. */
void cp_use_note(struct cp_store *s, enum gw_kind k, struct gw_str name, int64_t last_ms, int64_t now_ms);
/* A time member of a specification: RFC 3339 or null.  0: null. */
int64_t cp_spec_time(const json_t *spec, const char *name);

#endif
