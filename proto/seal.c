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

struct gw_sha256_run *gw_sha256_begin(void)
{
	EVP_MD_CTX *x = EVP_MD_CTX_new();
	pthread_once(&once, fetch);
	must(x != NULL);
	must(EVP_DigestInit_ex(x, sha256, NULL));
	return (struct gw_sha256_run *)x;
}

void gw_sha256_add(struct gw_sha256_run *r, struct gw_str s)
{
	must(EVP_DigestUpdate((EVP_MD_CTX *)r, s.p, s.n));
}

void gw_sha256_end(struct gw_sha256_run **r, uint8_t *out)
{
	if (*r && out)
		must(EVP_DigestFinal_ex((EVP_MD_CTX *)*r, out, NULL));
	EVP_MD_CTX_free((EVP_MD_CTX *)*r);
	*r = NULL;
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

/* ---- sealing ---- */

/*
 * One GCM pass in either direction: `in` to `out` under key and nonce.  The version byte is authenticated too.
 * Sealing writes `tag`, opening checks it; false: the tag does not fit.
 */
static bool gcm(bool seal, const uint8_t key[32], const uint8_t *nonce, struct gw_str in, uint8_t *out,
    uint8_t *tag)
{
	static const uint8_t version = SEAL_VERSION;
	pthread_once(&once, fetch);
	EVP_CIPHER_CTX *c = EVP_CIPHER_CTX_new();
	int n, ok;
	must(c != NULL);
	must(EVP_CipherInit_ex2(c, aes, key, nonce, seal, NULL));
	must(EVP_CipherUpdate(c, NULL, &n, &version, 1));
	if (in.n)
		must(EVP_CipherUpdate(c, out, &n, (const uint8_t *)in.p, (int)in.n));
	if (!seal)
		must(EVP_CIPHER_CTX_ctrl(c, EVP_CTRL_GCM_SET_TAG, TAG_BYTES, tag));
	uint8_t rest[16];
	ok = EVP_CipherFinal_ex(c, rest, &n) == 1;
	if (seal)
		must(ok && EVP_CIPHER_CTX_ctrl(c, EVP_CTRL_GCM_GET_TAG, TAG_BYTES, tag) == 1);
	EVP_CIPHER_CTX_free(c);
	return ok;
}

/* The sealed text of `plain`, appended to `out`. */
static void seal_text(const uint8_t key[32], struct gw_str plain, struct gw_buf *out)
{
	assert(plain.n <= GW_SEAL_MAX_PLAIN);
	uint8_t nonce_key[32], mac[32];
	gw_derive_key(nonce_key, (struct gw_str){ (const char *)key, 32 }, "tidegate seal nonce");
	gw_hmac_sha256(mac, (struct gw_str){ (char *)nonce_key, 32 }, plain);
	size_t n = FRAME_BYTES + plain.n;
	uint8_t *frame = gw_alloc(n);
	frame[0] = SEAL_VERSION;
	memcpy(frame + 1, mac, NONCE_BYTES);
	gcm(true, key, frame + 1, plain, frame + 1 + NONCE_BYTES, frame + n - TAG_BYTES);
	gw_b64_add(out, frame, n);
	free(frame);
	gw_secret_wipe(nonce_key, sizeof nonce_key);
	gw_secret_wipe(mac, sizeof mac);
}

json_t *gw_seal(const uint8_t key[32], struct gw_str plain)
{
	struct gw_buf text;
	gw_buf_init(&text, 2 * GW_SEAL_MAX_PLAIN);
	seal_text(key, plain, &text);
	json_t *v = json_object();
	json_object_set_new(v, "sealed", json_stringn(text.p, text.n));
	gw_buf_fini(&text);
	return v;
}

bool gw_is_sealed(const json_t *v)
{
	return json_is_object(v) && json_object_size(v) == 1 &&
	    json_is_string(json_object_get(v, "sealed"));
}

/* Plain bytes of a sealed value, appended to `out`.  On failure `out` is as before. */
static enum gw_rc open_sealed(const uint8_t key[32], const json_t *sealed, struct gw_buf *out,
    struct gw_error *err)
{
	struct gw_buf frame;
	enum gw_rc rc = GW_OK;
	if (!gw_is_sealed(sealed))
		return gw_fail(err, GW_INVALID, NULL, "a sealed secret must look like {\"sealed\":\"…\"}");
	gw_buf_init(&frame, FRAME_BYTES + GW_SEAL_MAX_PLAIN);
	if (!gw_b64_decode(&frame, gw_json_str(json_object_get(sealed, "sealed"))) ||
	    frame.n < FRAME_BYTES) {
		rc = gw_fail(err, GW_INVALID, NULL, "the sealed secret is damaged or too long");
		goto out;
	}
	uint8_t *p = (uint8_t *)frame.p;
	if (p[0] != SEAL_VERSION) {
		rc = gw_fail(err, GW_VERSION, NULL, "the secret is sealed in a form (%u) that is not known here",
		    p[0]);
		goto out;
	}
	size_t n = frame.n - FRAME_BYTES;
	char *plain = gw_buf_reserve(out, n);
	if (!plain) {
		rc = gw_fail(err, GW_TOOBIG, NULL, "the sealed secret is too long");
		goto out;
	}
	struct gw_str cipher = { (char *)p + 1 + NONCE_BYTES, n };
	if (gcm(false, key, p + 1, cipher, (uint8_t *)plain, p + frame.n - TAG_BYTES)) {
		gw_buf_commit(out, n);
	} else {
		gw_secret_wipe(plain, n);
		rc = gw_fail(err, GW_DENIED, NULL, "the secret was sealed under another key, or was changed");
	}
out:
	gw_buf_fini(&frame);
	return rc;
}

struct wipe {
	char *p;
	size_t n;
};

static void wipe(void *arg)
{
	struct wipe *w = arg;
	gw_secret_wipe(w->p, w->n);
}

struct gw_str gw_secret_copy(struct gw_arena *a, struct gw_str plain)
{
	struct wipe *w = gw_arena_alloc(a, sizeof *w);
	*w = (struct wipe){ gw_arena_c(a, plain), plain.n };
	gw_arena_defer(a, wipe, w);
	return (struct gw_str){ w->p, w->n };
}

enum gw_rc gw_unseal_value(const uint8_t key[32], const json_t *sealed, struct gw_arena *a,
    struct gw_str *out, struct gw_error *err)
{
	struct gw_buf plain;
	gw_buf_init(&plain, GW_SEAL_MAX_PLAIN);
	enum gw_rc rc = open_sealed(key, sealed, &plain, err);
	if (rc == GW_OK)
		*out = gw_secret_copy(a, gw_buf_str(&plain));
	gw_secret_wipe(plain.p, plain.n);
	gw_buf_fini(&plain);
	return rc;
}

enum gw_rc gw_reseal(json_t *v, const uint8_t from[32], const uint8_t to[32], struct gw_error *err)
{
	enum gw_rc rc = GW_OK;
	if (gw_is_sealed(v)) {
		struct gw_buf plain, text;
		gw_buf_init(&plain, GW_SEAL_MAX_PLAIN);
		gw_buf_init(&text, 2 * GW_SEAL_MAX_PLAIN);
		rc = open_sealed(from, v, &plain, err);
		if (rc == GW_OK) {
			seal_text(to, gw_buf_str(&plain), &text);
			json_object_set_new(v, "sealed", json_stringn(text.p, text.n));
		}
		gw_secret_wipe(plain.p, plain.n);
		gw_buf_fini(&plain);
		gw_buf_fini(&text);
		return rc;
	}
	const char *name;
	json_t *item;
	size_t i;
	if (json_is_object(v)) {
		json_object_foreach(v, name, item) {
			rc = gw_reseal(item, from, to, err);
			if (rc != GW_OK) {
				char token[GW_POINTER_LEN];
				gw_json_pointer(token, gw_str_c(name));
				gw_error_prefix(err, "/%s", token);
				return rc;
			}
		}
	} else if (json_is_array(v)) {
		json_array_foreach(v, i, item) {
			rc = gw_reseal(item, from, to, err);
			if (rc != GW_OK) {
				gw_error_prefix(err, "/%zu", i);
				return rc;
			}
		}
	}
	return rc;
}
