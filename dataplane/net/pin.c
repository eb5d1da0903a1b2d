/* pin.c - certificate verification against one pinned authority. */
#include "net/pin.h"

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <stdio.h>

#include "base/bytes.h"

static X509 *find_authority(STACK_OF(X509) *chain, const struct dp_pin *pin)
{
	for (int i = 0; i < sk_X509_num(chain); i++) {
		X509 *c = sk_X509_value(chain, i);
		unsigned char sum[32];
		unsigned n = 0;

		if (X509_digest(c, EVP_sha256(), sum, &n) == 1 && n == 32 && CRYPTO_memcmp(sum, pin->fingerprint, 32) == 0)
			return c;
	}
	return NULL;
}

/* Replaces X509_verify_cert(). */
static int verify(X509_STORE_CTX *given, void *arg)
{
	struct dp_pin *pin = arg;
	STACK_OF(X509) *chain = X509_STORE_CTX_get0_untrusted(given);
	X509 *leaf = X509_STORE_CTX_get0_cert(given), *ca = find_authority(chain, pin);
	X509_STORE *store;
	X509_STORE_CTX *ours;
	int ok, error;

	ERR_clear_error();
	if (!ca || !leaf) {
		snprintf(pin->why, sizeof pin->why, "the certificate chain does not hold the authority that the join token names");
		X509_STORE_CTX_set_error(given, X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN);
		return 0;
	}
	store = X509_STORE_new();
	ours = X509_STORE_CTX_new();
	ok = store && ours && X509_STORE_add_cert(store, ca) == 1 && X509_STORE_CTX_init(ours, store, leaf, chain) == 1;
	if (ok) {
		X509_STORE_CTX_set_purpose(ours, X509_PURPOSE_SSL_SERVER);
		ok = X509_verify_cert(ours) == 1;
	}
	error = ok ? X509_V_OK : ours ? X509_STORE_CTX_get_error(ours) : X509_V_ERR_OUT_OF_MEM;
	if (!ok)
		snprintf(pin->why, sizeof pin->why, "the certificate was refused: %s", X509_verify_cert_error_string(error));
	X509_STORE_CTX_set_error(given, error);
	X509_STORE_CTX_free(ours);
	X509_STORE_free(store);
	ERR_clear_error();
	return ok;
}

void dp_pin_context(void *ssl_ctx, struct dp_pin *pin)
{
	SSL_CTX *x = ssl_ctx;

	SSL_CTX_set_min_proto_version(x, TLS1_2_VERSION);
	SSL_CTX_set_verify(x, SSL_VERIFY_PEER, NULL);
	SSL_CTX_set_cert_verify_callback(x, verify, pin);
}
