/*
 * seal.c - secrets at rest and on the way, and every digest of proto: the one file here that includes libcrypto.
 */
#include "seal.h"
#include "base/bytes.h"
#include "base/str.h"

#include <openssl/evp.h>
#include <pthread.h>
#include <stdlib.h>

#define SEAL_VERSION 1
#define NONCE_BYTES  12
#define TAG_BYTES    16
#define FRAME_BYTES  (1 + NONCE_BYTES + TAG_BYTES)

/* ---- digests ---- */

/* Looking an algorithm up costs more than hashing a key with it, so that is done once, and a context a thread. */
static const EVP_MD *sha256;
static const EVP_CIPHER *aes;
static pthread_key_t ctx_key;
static pthread_once_t once = PTHREAD_ONCE_INIT;
static _Thread_local EVP_MD_CTX *digest_ctx;

static void free_ctx(void *ctx)
{
	EVP_MD_CTX_free(ctx);
}

static void fetch(void)
{
	sha256 = EVP_MD_fetch(NULL, "SHA256", NULL);
	aes = EVP_CIPHER_fetch(NULL, "AES-256-GCM", NULL);
	if (!sha256 || !aes || pthread_key_create(&ctx_key, free_ctx) != 0)
		abort();
}

static void must(int ok)
{
	/* None of these calls can fail but for memory, which aborts everywhere else too. */
	if (ok != 1)
		abort();
}

void gw_sha256_2(uint8_t out[32], struct gw_str a, struct gw_str b)
{
	pthread_once(&once, fetch);
	if (!digest_ctx) {
		digest_ctx = EVP_MD_CTX_new();
		must(digest_ctx != NULL);
		pthread_setspecific(ctx_key, digest_ctx);
	}
	must(EVP_DigestInit_ex(digest_ctx, sha256, NULL));
	must(EVP_DigestUpdate(digest_ctx, a.p, a.n));
	must(EVP_DigestUpdate(digest_ctx, b.p, b.n));
	must(EVP_DigestFinal_ex(digest_ctx, out, NULL));
}

void gw_sha256(uint8_t out[32], struct gw_str s)
{
	gw_sha256_2(out, s, GW_STR_NONE);
}

void gw_hmac_sha256(uint8_t out[32], struct gw_str key, struct gw_str s)
{
	/* RFC 2104 by hand over our own digest: HMAC() would look its algorithm up every time. */
	uint8_t block[64] = { 0 }, inner[32];
	if (key.n > sizeof block)
		gw_sha256(block, key);
	else if (key.n)
		memcpy(block, key.p, key.n);
	for (size_t i = 0; i < sizeof block; i++)
		block[i] ^= 0x36;
	gw_sha256_2(inner, (struct gw_str){ (char *)block, sizeof block }, s);
	for (size_t i = 0; i < sizeof block; i++)
		block[i] ^= 0x36 ^ 0x5c;
	gw_sha256_2(out, (struct gw_str){ (char *)block, sizeof block },
	    (struct gw_str){ (char *)inner, sizeof inner });
	gw_secret_wipe(block, sizeof block);
	gw_secret_wipe(inner, sizeof inner);
}

void gw_derive_key(uint8_t out[32], struct gw_str secret, const char *label)
{
	static const char salt[32];
	uint8_t prk[32];
	/* RFC 5869: extract, then the first block of expand, T(1) = HMAC(PRK, info | 0x01). */
	gw_hmac_sha256(prk, (struct gw_str){ salt, sizeof salt }, secret);
	struct gw_buf info;
	gw_buf_init(&info, 4096);
	gw_buf_add_c(&info, label);
	gw_buf_add_byte(&info, 1);
	assert(!info.full);
	gw_hmac_sha256(out, (struct gw_str){ (char *)prk, sizeof prk }, gw_buf_str(&info));
	gw_buf_fini(&info);
	gw_secret_wipe(prk, sizeof prk);
}
