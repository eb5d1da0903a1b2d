/*
 * fuzz_jwt.c - tokens: whatever comes, it is taken apart or refused with a reason, and nothing is valid but what the key signed.
 *
 * Input: the token.  Its issuer has a shared secret and no public key, so only a right HMAC may pass; corpus/jwt/good has one.
 */
#include <stdlib.h>

#include "base/bytes.h"
#include "base/str.h"
#include "services/jwt.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define SECRET "a-shared-secret-of-the-fuzzer-0123456789"

/* Its third part, worked out without libjwt. */
static bool signed_by_us(struct gw_str text)
{
	struct gw_buf given;
	size_t dot = text.n;
	uint8_t want[32];
	bool same;

	while (dot > 0 && text.p[dot - 1] != '.')
		dot--;
	gw_buf_init(&given, 64);
	gw_hmac_sha256(want, GW_STR(SECRET), (struct gw_str){ text.p, dot ? dot - 1 : 0 });
	same = gw_b64_decode(&given, gw_str_from(text, dot)) && gw_secret_eq(gw_buf_str(&given), (struct gw_str){ (const char *)want, 32 });
	gw_buf_fini(&given);
	return same;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct gw_str audience = { "tidegate", 8 };
	struct gw_jwt_issuer issuer = { .issuer = GW_STR("joe"), .audiences = { &audience, 1 }, .secret = GW_STR(SECRET),
	                                .algs = ~(1u << GW_JWT_HS384 | 1u << GW_JWT_HS512), .require_expiry = true,
	                                .consumer_claim = GW_STR("a.sub"), .groups_claim = GW_STR("groups") };
	struct gw_str text = { size ? (const char *)data : "", size };
	struct gw_arena *a = gw_arena_open(0);
	struct dp_refusal why = { .code = DP_E_COUNT };
	struct dp_jwt_identity who;
	struct gw_jwks none = { NULL, 0 };
	struct dp_jwt t;

	if (memchr(text.p, '\0', text.n)) /* no header value holds one */
		text.n = (size_t)((const char *)memchr(text.p, '\0', text.n) - text.p);
	(void)dp_jwt_looks_like(text);
	if (!dp_jwt_open(&t, text, a, &why)) {
		if (why.code == DP_E_COUNT || !why.text[0])
			abort();
	} else {
		if (text.n > DP_JWT_MAX_BYTES || !t.alg.p)
			abort();
		if (t.iss.p)
			issuer.issuer = t.iss; /* so that more is reached */
		if (dp_jwt_check(&t, &issuer, &none, 1300819379000, a, &who, &why) && (!signed_by_us(text) || who.n_groups > 64))
			abort();
	}
	gw_arena_close(&a);
	return 0;
}
