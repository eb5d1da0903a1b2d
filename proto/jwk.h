/*
 * jwk.h - public keys as identity providers publish them (RFC 7517), made ready for checking signatures.
 *
 * Only public keys of types that we check signatures with: RSA of at least 2048 bits, EC on P-256, P-384 and P-521, and
 * Ed25519.  A private or a shared key in such a document is refused: it has no business there.
 */
#ifndef GW_PROTO_JWK_H
#define GW_PROTO_JWK_H

#include "base/arena.h"
#include "json.h"

#define GW_JWKS_MAX_KEYS 64
#define GW_JWK_MAX_KID 256

enum gw_jwk_type { GW_JWK_RSA, GW_JWK_P256, GW_JWK_P384, GW_JWK_P521, GW_JWK_ED25519 };

struct gw_jwk {
	enum gw_jwk_type type;
	struct gw_str kid;           /* absent: the key has no name */
	struct gw_str alg;           /* the only algorithm it may be used with; absent: any that fits its type */
	struct gw_str pem;           /* SubjectPublicKeyInfo, NUL-terminated beyond its end */
	void *pkey;                  /* EVP_PKEY, freed with the arena */
};

struct gw_jwks { const struct gw_jwk *v; size_t n; };

/*
 * {"keys":[…]}.  Strict (a person wrote it): the first key that cannot be used is refused by its pointer.  Lenient (an
 * identity provider sent it): keys for other purposes, of other types or too weak are left out.  All is arena.
 */
enum gw_rc gw_jwks_read(struct gw_jwks *out, const json_t *doc, bool strict, struct gw_arena *a,
                        struct gw_error *err) GW_MUST_CHECK;
/* May a signature by `alg` ("RS256") be checked with this key? */
bool gw_jwk_fits(const struct gw_jwk *k, struct gw_str alg);

#endif
