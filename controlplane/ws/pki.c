/*
 * pki.c - the control plane's own certificate authority (see pki.h).
 */
#include "ws/pki.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include "base/buf.h"
#include "base/bytes.h"
#include "base/file.h"
#include "base/str.h"
#include "base/time.h"

#define DAY_S           (24 * 3600)
#define CA_DAYS         3653
#define SERVER_DAYS     397
#define RENEW_DAYS      60  /* a server certificate with less than this left is made anew */
#define SKEW_S          DAY_S /* workers whose clock is behind must still accept it */
#define MAX_PEM         65536
#define MAX_NAMES       1024

struct issue {
	EVP_PKEY *key;          /* the subject's */
	X509 *issuer;           /* NULL: self-signed */
	EVP_PKEY *issuer_key;
	const char *common_name;
	const char *names;      /* subjectAltName, NULL for the authority */
	int64_t now_ms;
	long days;
};

static enum gw_rc ssl_fail(struct gw_error *err, const char *what, const char *path)
{
	return gw_fail(err, GW_IO, NULL, "%s %s is not usable; restore it from a backup, or remove the pki folder "
	    "(all workers then need new join tokens)", what, path);
}

/* ---- files ---- */

static enum gw_rc write_pem(const char *path, EVP_PKEY *key, X509 *first, X509 *second,
    struct gw_error *err)
{
	BIO *bio = BIO_new(BIO_s_mem());
	char *p = NULL;
	assert(bio);
	if (key && PEM_write_bio_PKCS8PrivateKey(bio, key, NULL, NULL, 0, NULL, NULL) != 1)
		abort();
	if (first && PEM_write_bio_X509(bio, first) != 1)
		abort();
	if (second && PEM_write_bio_X509(bio, second) != 1)
		abort();
	long n = BIO_get_mem_data(bio, &p);
	enum gw_rc rc = gw_file_replace(path, (struct gw_str){ p, (size_t)n }, 0600, err);
	if (key)
		gw_secret_wipe(p, (size_t)n);
	BIO_free(bio);
	return rc;
}

static enum gw_rc read_key(EVP_PKEY **out, const char *path, struct gw_error *err)
{
	struct gw_buf b;
	gw_buf_init(&b, MAX_PEM);
	*out = NULL;
	enum gw_rc rc = gw_file_read_secret(&b, path, err);
	if (rc == GW_OK) {
		BIO *bio = BIO_new_mem_buf(b.p, (int)b.n);
		*out = PEM_read_bio_PrivateKey(bio, NULL, NULL, NULL);
		BIO_free(bio);
		if (!*out)
			rc = ssl_fail(err, "the private key", path);
		gw_secret_wipe(b.p, b.n);
	}
	gw_buf_fini(&b);
	return rc;
}

static enum gw_rc read_cert(X509 **out, const char *path, struct gw_error *err)
{
	struct gw_buf b;
	gw_buf_init(&b, MAX_PEM);
	*out = NULL;
	enum gw_rc rc = gw_file_read(&b, path, err);
	if (rc == GW_OK) {
		BIO *bio = BIO_new_mem_buf(b.p, (int)b.n);
		*out = PEM_read_bio_X509(bio, NULL, NULL, NULL);
		BIO_free(bio);
		if (!*out)
			rc = ssl_fail(err, "the certificate", path);
	}
	gw_buf_fini(&b);
	return rc;
}

/* ---- certificates ---- */

static bool add_ext(X509 *cert, X509 *issuer, int nid, const char *value)
{
	X509V3_CTX ctx;
	X509V3_set_ctx_nodb(&ctx);
	X509V3_set_ctx(&ctx, issuer, cert, NULL, NULL, 0);
	X509_EXTENSION *ext = X509V3_EXT_conf_nid(NULL, &ctx, nid, value);
	bool ok = ext && X509_add_ext(cert, ext, -1) == 1;
	X509_EXTENSION_free(ext);
	return ok;
}

static bool add_exts(X509 *cert, const struct issue *is)
{
	X509 *issuer = is->issuer ? is->issuer : cert;
	if (!add_ext(cert, issuer, NID_subject_key_identifier, "hash") ||
	    !add_ext(cert, issuer, NID_authority_key_identifier, "keyid"))
		return false;
	if (!is->names)
		return add_ext(cert, issuer, NID_basic_constraints, "critical,CA:TRUE,pathlen:0") &&
		       add_ext(cert, issuer, NID_key_usage, "critical,keyCertSign,cRLSign");
	return add_ext(cert, issuer, NID_basic_constraints, "critical,CA:FALSE") &&
	       add_ext(cert, issuer, NID_key_usage, "critical,digitalSignature") &&
	       add_ext(cert, issuer, NID_ext_key_usage, "serverAuth") &&
	       add_ext(cert, issuer, NID_subject_alt_name, is->names);
}

/* *out is owned: X509_free(). */
static enum gw_rc make_cert(X509 **out, const struct issue *is, struct gw_error *err)
{
	X509 *cert = X509_new();
	uint8_t serial[16];
	gw_random(serial, sizeof serial);
	serial[0] = (serial[0] & 0x3f) | 0x40; /* positive, and always of 16 bytes */
	BIGNUM *bn = BN_bin2bn(serial, sizeof serial, NULL);
	X509_NAME *name = X509_NAME_new();
	time_t now = (time_t)(is->now_ms / 1000);
	bool ok = cert && bn && name && X509_set_version(cert, 2) == 1 &&
	    BN_to_ASN1_INTEGER(bn, X509_get_serialNumber(cert)) &&
	    ASN1_TIME_set(X509_getm_notBefore(cert), now - SKEW_S) &&
	    ASN1_TIME_adj(X509_getm_notAfter(cert), now, (int)is->days, 0) &&
	    X509_set_pubkey(cert, is->key) == 1 &&
	    X509_NAME_add_entry_by_txt(name, "O", MBSTRING_ASC, (const unsigned char *)"Tidegate", -1, -1, 0) &&
	    X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC, (const unsigned char *)is->common_name, -1, -1, 0) &&
	    X509_set_subject_name(cert, name) == 1 &&
	    X509_set_issuer_name(cert, is->issuer ? X509_get_subject_name(is->issuer) : name) == 1 &&
	    add_exts(cert, is) &&
	    X509_sign(cert, is->issuer_key ? is->issuer_key : is->key, EVP_sha256()) > 0;
	X509_NAME_free(name);
	BN_free(bn);
	if (!ok) {
		X509_free(cert);
		return gw_fail(err, GW_INVALID, NULL, "cannot make a certificate for the names \"%s\"; check "
		    "TIDEGATE_CHANNEL_NAMES", is->names ? is->names : is->common_name);
	}
	*out = cert;
	return GW_OK;
}

static enum gw_rc open_ca(const struct cp_pki *p, int64_t now_ms, X509 **cert, EVP_PKEY **key,
    struct gw_error *err)
{
	char cert_path[CP_PKI_PATH_MAX + 16], key_path[CP_PKI_PATH_MAX + 16];
	snprintf(cert_path, sizeof cert_path, "%s/ca.pem", p->dir);
	snprintf(key_path, sizeof key_path, "%s/ca.key", p->dir);
	*cert = NULL;
	*key = NULL;
	enum gw_rc rc = read_key(key, key_path, err);
	if (rc != GW_OK && rc != GW_NOTFOUND)
		return rc;
	bool have_cert = access(cert_path, F_OK) == 0;
	if (!*key && have_cert)
		return ssl_fail(err, "the key is missing:", key_path);
	if (!*key) {
		*key = EVP_EC_gen("P-256");
		assert(*key);
		rc = write_pem(key_path, *key, NULL, NULL, err);
		if (rc != GW_OK)
			return rc;
	}
	if (have_cert) {
		rc = read_cert(cert, cert_path, err);
		if (rc == GW_OK && X509_check_private_key(*cert, *key) != 1)
			rc = ssl_fail(err, "ca.key does not belong to the certificate", cert_path);
		return rc;
	}
	struct issue is = { .key = *key, .common_name = "Tidegate channel authority", .now_ms = now_ms, .days = CA_DAYS };
	rc = make_cert(cert, &is, err);
	return rc == GW_OK ? write_pem(cert_path, NULL, *cert, NULL, err) : rc;
}

/* ---- the server's names ---- */

static void add_name(struct gw_buf *b, struct gw_str name)
{
	char z[256];
	struct in6_addr any;
	if (name.n == 0 || name.n >= sizeof z)
		return;
	memcpy(z, name.p, name.n);
	z[name.n] = 0;
	bool ip = inet_pton(AF_INET, z, &any) == 1 || inet_pton(AF_INET6, z, &any) == 1;
	char one[300];
	snprintf(one, sizeof one, "%s:%s", ip ? "IP" : "DNS", z);
	size_t at;
	struct gw_str all = gw_buf_str(b), want = gw_str_c(one);
	if (gw_str_find(all, want, &at) && (at + want.n == all.n || all.p[at + want.n] == ','))
		return;
	gw_buf_printf(b, "%s%s", b->n ? "," : "", one);
}

static void wanted_names(struct gw_buf *b, const char *extra)
{
	char host[256] = "";
	if (gethostname(host, sizeof host - 1) == 0)
		add_name(b, gw_str_c(host));
	add_name(b, GW_STR("localhost"));
	add_name(b, GW_STR("127.0.0.1"));
	add_name(b, GW_STR("::1"));
	struct gw_str rest = gw_str_c(extra);
	while (rest.n) {
		size_t n = 0;
		while (n < rest.n && !strchr(", \t", rest.p[n]))
			n++;
		add_name(b, (struct gw_str){ rest.p, n });
		rest = gw_str_from(rest, n < rest.n ? n + 1 : n);
	}
}

/* By the encoded extension, made once more from the wanted text. */
static bool names_match(X509 *cert, struct gw_str names)
{
	bool same = false;
	X509 *probe = X509_new();
	char *z = gw_strdup_n(names.p, names.n);
	if (add_ext(probe, probe, NID_subject_alt_name, z)) {
		int a = X509_get_ext_by_NID(cert, NID_subject_alt_name, -1);
		ASN1_OCTET_STRING *want = X509_EXTENSION_get_data(X509_get_ext(probe, 0));
		same = a >= 0 && ASN1_OCTET_STRING_cmp(X509_EXTENSION_get_data(X509_get_ext(cert, a)), want) == 0;
	}
	free(z);
	X509_free(probe);
	return same;
}

static int64_t not_after_ms(const X509 *cert, int64_t now_ms)
{
	time_t now = (time_t)(now_ms / 1000);
	ASN1_TIME *from = ASN1_TIME_set(NULL, now);
	int days = 0, secs = 0;
	if (ASN1_TIME_diff(&days, &secs, from, X509_get0_notAfter(cert)) != 1)
		days = secs = 0;
	ASN1_TIME_free(from);
	return now_ms + ((int64_t)days * DAY_S + secs) * 1000;
}

static bool still_good(struct cp_pki *p, X509 *ca, EVP_PKEY *ca_key, struct gw_str names, int64_t now_ms)
{
	X509 *cert = NULL;
	EVP_PKEY *key = NULL;
	bool good = read_cert(&cert, p->server_cert, NULL) == GW_OK &&
	    read_key(&key, p->server_key, NULL) == GW_OK && X509_check_private_key(cert, key) == 1 &&
	    X509_verify(cert, ca_key) == 1 && X509_check_issued(ca, cert) == X509_V_OK &&
	    names_match(cert, names);
	if (good) {
		p->server_expires_ms = not_after_ms(cert, now_ms);
		good = p->server_expires_ms - now_ms > (int64_t)RENEW_DAYS * DAY_S * 1000;
	}
	X509_free(cert);
	EVP_PKEY_free(key);
	return good;
}

static enum gw_rc make_server(struct cp_pki *p, X509 *ca, EVP_PKEY *ca_key, const char *names,
    int64_t now_ms, struct gw_error *err)
{
	X509 *cert = NULL;
	EVP_PKEY *key = EVP_EC_gen("P-256");
	assert(key);
	struct issue is = { .key = key, .issuer = ca, .issuer_key = ca_key, .names = names,
		.common_name = "Tidegate control plane", .now_ms = now_ms, .days = SERVER_DAYS };
	enum gw_rc rc = make_cert(&cert, &is, err);
	if (rc == GW_OK)
		rc = write_pem(p->server_key, key, NULL, NULL, err);
	if (rc == GW_OK)
		rc = write_pem(p->server_cert, NULL, cert, ca, err);
	if (rc == GW_OK) {
		p->server_expires_ms = not_after_ms(cert, now_ms);
		p->renewed = true;
	}
	X509_free(cert);
	EVP_PKEY_free(key);
	return rc;
}

enum gw_rc cp_pki_open(struct cp_pki *out, const char *dir, const char *names, int64_t now_ms,
    struct gw_error *err)
{
	*out = (struct cp_pki){ 0 };
	if (strlen(dir) >= sizeof out->dir)
		return gw_fail(err, GW_TOOBIG, NULL, "the path of the pki folder is too long");
	snprintf(out->dir, sizeof out->dir, "%s", dir);
	snprintf(out->server_cert, sizeof out->server_cert, "%s/server.pem", dir);
	snprintf(out->server_key, sizeof out->server_key, "%s/server.key", dir);
	enum gw_rc rc = gw_dir_make(dir, 0700, err);
	if (rc != GW_OK)
		return rc;
	X509 *ca = NULL;
	EVP_PKEY *ca_key = NULL;
	struct gw_buf san;
	gw_buf_init(&san, MAX_NAMES);
	rc = open_ca(out, now_ms, &ca, &ca_key, err);
	if (rc == GW_OK) {
		uint8_t digest[32];
		unsigned n = sizeof digest;
		if (X509_digest(ca, EVP_sha256(), digest, &n) != 1)
			abort();
		gw_hex(out->fingerprint, digest, sizeof digest);
		wanted_names(&san, names);
		if (san.full)
			rc = gw_fail(err, GW_TOOBIG, NULL, "TIDEGATE_CHANNEL_NAMES is longer than %d bytes", MAX_NAMES);
		else if (!still_good(out, ca, ca_key, gw_buf_str(&san), now_ms))
			rc = make_server(out, ca, ca_key, san.p, now_ms, err);
	}
	gw_buf_fini(&san);
	X509_free(ca);
	EVP_PKEY_free(ca_key);
	return rc;
}

enum gw_rc cp_pki_inspect(const char *dir, int64_t now_ms, int64_t *expires_ms, struct gw_error *err)
{
	char path[CP_PKI_PATH_MAX + 16];
	X509 *ca = NULL, *cert = NULL;
	EVP_PKEY *key = NULL;
	snprintf(path, sizeof path, "%s/ca.pem", dir);
	enum gw_rc rc = read_cert(&ca, path, err);
	snprintf(path, sizeof path, "%s/server.pem", dir);
	if (rc == GW_OK)
		rc = read_cert(&cert, path, err);
	snprintf(path, sizeof path, "%s/server.key", dir);
	if (rc == GW_OK)
		rc = read_key(&key, path, err);
	if (rc == GW_OK && (X509_check_private_key(cert, key) != 1 || X509_verify(cert, X509_get0_pubkey(ca)) != 1))
		rc = gw_fail(err, GW_INVALID, NULL, "the certificate in %s does not belong to its key or authority", dir);
	if (rc == GW_OK)
		*expires_ms = not_after_ms(cert, now_ms);
	X509_free(ca);
	X509_free(cert);
	EVP_PKEY_free(key);
	return rc;
}

enum gw_rc cp_cert_expires(const char *path, int64_t *expires_ms, struct gw_error *err)
{
	X509 *cert = NULL;
	enum gw_rc rc = read_cert(&cert, path, err);
	if (rc == GW_OK)
		*expires_ms = not_after_ms(cert, gw_now_ms());
	X509_free(cert);
	return rc;
}

enum gw_rc cp_cert_expires_pem(struct gw_str pem, int64_t *expires_ms, struct gw_error *err)
{
	BIO *bio = BIO_new_mem_buf(pem.p, (int)pem.n);
	X509 *cert = PEM_read_bio_X509(bio, NULL, NULL, NULL);
	BIO_free(bio);
	if (!cert)
		return ssl_fail(err, "the certificate", "PEM");
	*expires_ms = not_after_ms(cert, gw_now_ms());
	X509_free(cert);
	return GW_OK;
}
