/*
 * signature.h - requests signed with a shared secret (HMAC-SHA-256), so that the secret never travels.
 *
 *   Authorization: TIDEGATE-HMAC-SHA256 KeyId=<id>,Signature=<64 hex digits>
 *   X-Tidegate-Date: 2026-03-01T08:00:00Z        within five minutes of now
 *   X-Tidegate-Nonce: <16 to 64 of A-Z a-z 0-9 - _>   never twice
 *   X-Tidegate-Content-SHA256: <hex of the body's digest>
 *
 * What is signed, each followed by a line feed: the scheme, date, nonce, method, Host, request target as sent,
 * Content-Type (empty when there is none), and the digest of the body.  Nothing that decides about the request is outside.
 *
 * Pure but for the nonces, which all loops of a worker share under 16 short locks.
 */
#ifndef DP_SERVICES_SIGNATURE_H
#define DP_SERVICES_SIGNATURE_H

#include "http/code.h"
#include "http/h1.h"

#define DP_SIGN_SCHEME "TIDEGATE-HMAC-SHA256"
#define DP_SIGN_WINDOW_MS 300000

struct dp_signed {                   /* borrowed from the head */
	struct gw_str key_id, signature, date, nonce;
	uint8_t body[32];            /* digest that the body must have */
};

bool dp_sign_present(const struct dp_head *h);
/* false: *why says which header is missing or cannot be read, or that the date is off. */
bool dp_sign_read(struct dp_signed *out, const struct dp_head *h, int64_t now_ms, struct dp_refusal *why) GW_MUST_CHECK;
/* Is it this secret's?  Compared in constant time. */
bool dp_sign_ok(const struct dp_signed *s, const struct dp_head *h, struct gw_str secret);

struct dp_nonces;
struct dp_nonces *dp_nonces_open(void);
void dp_nonces_close(struct dp_nonces **n);
/*
 * The first time that this key uses it within twice the window?  Any thread.  Bounded: when a lock's share is full of
 * nonces that still count, *full is set and the request must be refused, or a replay could get through.
 */
bool dp_nonce_first(struct dp_nonces *n, struct gw_str key_id, struct gw_str nonce, int64_t now_ms, bool *full);

#endif
