/* tls_pair.c - reading PEM only to see whether it can be used. */
#include "tls_pair.h"

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>

/* A key under a password would make OpenSSL ask the terminal. */
static int no_password(char *buf, int size, int writing, void *arg)
{
	(void)buf, (void)size, (void)writing, (void)arg;
	return 0;
}

enum gw_rc gw_tls_pair_check(struct gw_str chain, struct gw_str key, struct gw_error *err)
{
	BIO *b = BIO_new_mem_buf(chain.p, (int)chain.n);
	X509 *leaf = PEM_read_bio_X509(b, NULL, no_password, NULL);
	EVP_PKEY *secret = NULL;
	enum gw_rc rc = GW_OK;
	BIO_free(b);
	if (!leaf)
		rc = gw_fail(err, GW_INVALID, "/certificate_pem", "`certificate_pem` holds no PEM certificate");
	if (rc == GW_OK && key.p) {
		b = BIO_new_mem_buf(key.p, (int)key.n);
		secret = PEM_read_bio_PrivateKey(b, NULL, no_password, NULL);
		BIO_free(b);
		if (!secret)
			rc = gw_fail(err, GW_INVALID, "/private_key", "`private_key` is no PEM private key without a password");
		else if (X509_check_private_key(leaf, secret) != 1)
			rc = gw_fail(err, GW_INVALID, "/private_key", "`private_key` is not the key of this certificate");
	}
	EVP_PKEY_free(secret);
	X509_free(leaf);
	ERR_clear_error();
	return rc;
}
