/*
 * jwt.h - JSON Web Tokens (RFC 7519), checked the way RFC 8725 asks for.
 *
 * The issuer's configuration, not the token, decides which algorithms and keys come into question: `alg` must be one of
 * the issuer's, the key is found by `kid` among keys of that algorithm's type, a public key never serves as a shared
 * secret, and what libjwt has verified must be the very algorithm that was expected.  Everything else that libjwt leaves
 * to its caller (exp, nbf, iat, aud, crit, duplicate members, sizes) is checked here.
 *
 * No clock, no socket: time is an argument, keys come from the configuration or from jwks.h.  The door to libjwt.
 */
#ifndef DP_SERVICES_JWT_H
#define DP_SERVICES_JWT_H

#include "base/arena.h"
#include "http/code.h"
#include "json.h"
#include "snapshot.h"

#define DP_JWT_MAX_BYTES 8192

struct dp_jwt {                     /* a token taken apart, nothing of it believed yet; arena */
	const char *text;
	struct gw_str alg, kid;     /* kid absent: none */
	struct gw_str iss;          /* absent: none */
	const json_t *claims;       /* lives as long as the arena */
};

struct dp_jwt_identity {            /* arena */
	struct gw_str who;          /* text of the issuer's consumer claim; absent: the token names nobody */
	const struct gw_str *groups; size_t n_groups;
};

/* Could this be a token?  Three parts of base64url and nothing else; cheap. */
bool dp_jwt_looks_like(struct gw_str text);
/* false: *why says how it is broken (TOKEN_MALFORMED, TOKEN_ALGORITHM for "none"). */
bool dp_jwt_open(struct dp_jwt *out, struct gw_str text, struct gw_arena *a, struct dp_refusal *why) GW_MUST_CHECK;
/*
 * Is it this issuer's, and valid at now_ms?  `keys` are the issuer's public keys at hand, maybe none.  false: *why; the
 * code TOKEN_KEY means that no key at hand fits, so newer ones might.
 */
bool dp_jwt_check(const struct dp_jwt *t, const struct gw_jwt_issuer *issuer, const struct gw_jwks *keys, int64_t now_ms,
                  struct gw_arena *a, struct dp_jwt_identity *out, struct dp_refusal *why) GW_MUST_CHECK;
/*
 * Only the signature: `text` up to its last dot, by `alg`, with a public key or a shared secret.  For test vectors whose
 * payload is no set of claims, and for algorithms that libjwt does not know.
 */
bool dp_jwt_signature_ok(enum gw_jwt_alg alg, const struct gw_jwk *key, struct gw_str secret, struct gw_str text);

#endif
