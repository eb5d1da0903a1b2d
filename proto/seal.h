/*
 * seal.h - secrets at rest and on the way.
 *
 * AES-256-GCM; the text form is {"sealed":"<base64url of version 1 | nonce 12 | ciphertext | tag 16>"}.  The nonce is
 * the first 12 bytes of HMAC-SHA-256(key', plaintext), key' derived from the key, so that equal secrets under one key
 * give equal bytes and a snapshot stays canonical.  What leaks is equality of secrets, nothing else.
 *
 * Three keys exist: the master key (database), the snapshot key (one for all workers of a control plane, given in
 * `welcome`), and the node key (derived from the join token; wraps the snapshot key beside the last good snapshot).
 */
#ifndef GW_PROTO_SEAL_H
#define GW_PROTO_SEAL_H

#include "base/arena.h"
#include "base/buf.h"
#include "base/gw.h"
#include "json.h"

#define GW_SEAL_MAX_PLAIN 65536

json_t *gw_seal(const uint8_t key[32], struct gw_str plain);                  /* owned {"sealed":…} */
bool gw_is_sealed(const json_t *v);
/* GW_DENIED when the key is wrong or a byte was changed.  *out is arena. */
enum gw_rc gw_unseal_value(const uint8_t key[32], const json_t *sealed, struct gw_arena *a,
                           struct gw_str *out, struct gw_error *err) GW_MUST_CHECK;
/* A copy of a secret in an arena, wiped when the arena closes.  gw_unseal_value() makes such copies too. */
struct gw_str gw_secret_copy(struct gw_arena *a, struct gw_str plain);
/* HKDF-SHA-256 (RFC 5869) with an empty salt: one purpose, one label. */
void gw_derive_key(uint8_t out[32], struct gw_str secret, const char *label);

/*
 * Replace every sealed secret inside `v`, at any depth, by one under another key.  In place; when it fails, err->path
 * says which one could not be opened and those before it are resealed already, so throw `v` away.
 */
enum gw_rc gw_reseal(json_t *v, const uint8_t from[32], const uint8_t to[32], struct gw_error *err) GW_MUST_CHECK;

#endif
