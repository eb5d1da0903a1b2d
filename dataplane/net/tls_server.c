/* tls_server.c - server contexts, the choice by name, and reading a client's certificate. */
#include "net/tls_server.h"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <arpa/inet.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "base/arena.h"
#include "base/bytes.h"
#include "base/str.h"
#include "net/impl.h"

#define MAX_SANS 32
#define MAX_TEXT 1024

struct dp_tls_server {
	unsigned magic;
#define DP_TLS_SERVER_MAGIC 0x715e47e4u
	atomic_uint refs;
	int mode;
	SSL_CTX *v[16];                   /* one a certificate; the first is for names that no other has */
	size_t n;
};

/* ---- contexts ---- */

static bool use_pair(SSL_CTX *x, const struct gw_tls_certificate *c)
{
	BIO *b = BIO_new_mem_buf(c->chain_pem.p, (int)c->chain_pem.n), *k = BIO_new_mem_buf(c->key_pem.p, (int)c->key_pem.n);
	X509 *cert = PEM_read_bio_X509(b, NULL, NULL, NULL), *more;
	EVP_PKEY *key = PEM_read_bio_PrivateKey(k, NULL, NULL, NULL);
	bool ok = cert && key && SSL_CTX_use_certificate(x, cert) == 1 && SSL_CTX_use_PrivateKey(x, key) == 1 &&
	          SSL_CTX_check_private_key(x) == 1;

	while (ok && (more = PEM_read_bio_X509(b, NULL, NULL, NULL)) != NULL)
		ok = SSL_CTX_add0_chain_cert(x, more) == 1;
	EVP_PKEY_free(key);
	X509_free(cert);
	BIO_free(b);
	BIO_free(k);
	ERR_clear_error();
	return ok;
}

static void ask_clients(SSL_CTX *x, const struct gw_tls_settings *s)
{
	X509_STORE *store = X509_STORE_new();
	BIO *b = BIO_new_mem_buf(s->client_ca_pem.p, (int)s->client_ca_pem.n);
	X509 *ca;

	while ((ca = PEM_read_bio_X509(b, NULL, NULL, NULL)) != NULL) {
		X509_STORE_add_cert(store, ca);
		SSL_CTX_add_client_CA(x, ca);
		X509_free(ca);
	}
	BIO_free(b);
	ERR_clear_error();
	SSL_CTX_set1_cert_store(x, store);
	X509_STORE_free(store);
	SSL_CTX_set_purpose(x, X509_PURPOSE_SSL_CLIENT);
	SSL_CTX_set_verify(x, SSL_VERIFY_PEER | (s->client_auth == GW_TLS_REQUIRED ? SSL_VERIFY_FAIL_IF_NO_PEER_CERT : 0), NULL);
}

/* The first certificate that has the name; else the one the handshake began with. */
static int on_name(SSL *ssl, int *alert, void *arg)
{
	struct dp_tls_server *s = arg;
	const char *name = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);

	(void)alert;
	for (size_t i = 0; name && i < s->n; i++)
		if (X509_check_host(SSL_CTX_get0_certificate(s->v[i]), name, 0, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS, NULL) == 1) {
			SSL_set_SSL_CTX(ssl, s->v[i]);
			break;
		}
	return SSL_TLSEXT_ERR_OK;
}

static int on_alpn(SSL *ssl, const unsigned char **out, unsigned char *n_out, const unsigned char *in, unsigned n, void *arg)
{
	static const unsigned char ours[] = { 8, 'h', 't', 't', 'p', '/', '1', '.', '1' };

	(void)ssl, (void)arg;
	return SSL_select_next_proto((unsigned char **)(uintptr_t)out, n_out, ours, sizeof ours, in, n) == OPENSSL_NPN_NEGOTIATED
	               ? SSL_TLSEXT_ERR_OK : SSL_TLSEXT_ERR_NOACK;
}

static SSL_CTX *make(struct dp_tls_server *s, const struct gw_tls_settings *st, const struct gw_tls_certificate *c)
{
	SSL_CTX *x = SSL_CTX_new(TLS_server_method());

	if (!x)
		abort();
	SSL_CTX_set_min_proto_version(x, TLS1_2_VERSION);
	SSL_CTX_set_options(x, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION | SSL_OP_CIPHER_SERVER_PREFERENCE);
	SSL_CTX_set_mode(x, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER | SSL_MODE_RELEASE_BUFFERS);
	/* Resumed sessions belong to this very configuration: another one has other keys for its tickets. */
	SSL_CTX_set_session_cache_mode(x, SSL_SESS_CACHE_OFF);
	SSL_CTX_set_session_id_context(x, (const unsigned char *)"tidegate", 8);
	SSL_CTX_set_tlsext_servername_callback(x, on_name);
	SSL_CTX_set_tlsext_servername_arg(x, s);
	SSL_CTX_set_alpn_select_cb(x, on_alpn, NULL);
	if (st->client_auth != GW_TLS_OFF)
		ask_clients(x, st);
	if (use_pair(x, c))
		return x;
	SSL_CTX_free(x);
	return NULL;
}

enum gw_rc dp_tls_server_open(struct dp_tls_server **out, const struct gw_tls_settings *st, struct gw_error *err)
{
	struct dp_tls_server *s = gw_alloc(sizeof *s);

	*out = NULL;
	s->magic = DP_TLS_SERVER_MAGIC;
	atomic_init(&s->refs, 1);
	s->mode = st->mode;
	for (size_t i = 0; i < st->n_certificates && i < GW_COUNT(s->v); i++) {
		s->v[i] = make(s, st, &st->certificates[i]);
		if (!s->v[i]) {
			dp_tls_server_unref(&s);
			gw_fail(err, GW_INVALID, NULL, "the certificate cannot be used by this worker");
			gw_error_prefix(err, "/certificates/%zu", i);
			return GW_INVALID;
		}
		s->n++;
	}
	*out = s;
	return GW_OK;
}

struct dp_tls_server *dp_tls_server_ref(struct dp_tls_server *s)
{
	GW_CHECK(s, DP_TLS_SERVER_MAGIC);
	atomic_fetch_add_explicit(&s->refs, 1, memory_order_relaxed);
	return s;
}

bool dp_tls_server_takes_plain(const struct dp_tls_server *s) { return s->mode != GW_TLS_REQUIRED; }

void dp_tls_server_unref(struct dp_tls_server **sp)
{
	struct dp_tls_server *s = *sp;

	if (!s)
		return;
	*sp = NULL;
	GW_CHECK(s, DP_TLS_SERVER_MAGIC);
	if (atomic_fetch_sub_explicit(&s->refs, 1, memory_order_acq_rel) != 1)
		return;
	for (size_t i = 0; i < s->n; i++)
		SSL_CTX_free(s->v[i]);
	s->magic = 0;
	free(s);
}

/* ---- the first byte ---- */

void dp_conn_serve(struct dp_conn *c, struct dp_tls_server *s, void (*ready)(void *arg, const char *text), void *arg)
{
	GW_CHECK(c, DP_CONN_MAGIC);
	c->door = (struct dp_tls_door){ dp_tls_server_ref(s), ready, arg };
}

void dp_tls_door_close(struct dp_tls_door *d)
{
	dp_tls_server_unref(&d->server);
}

void dp_tls_door_input(struct dp_conn *c, struct gw_str bytes)
{
	struct dp_tls_door door = c->door;

	c->door = (struct dp_tls_door){ NULL, NULL, NULL };
	if ((unsigned char)bytes.p[0] == 0x16) { /* a record of the type handshake */
		dp_tls_accept(c, door.server->v[0], &door); /* takes the reference over */
		dp_tls_input(c, bytes);
		return;
	}
	if (door.server->mode == GW_TLS_REQUIRED) {
		door.ready(door.arg, "plain HTTP where TLS is required");
	} else if (c->ops) {
		c->ops->on_read(c->arg, bytes);
	}
	dp_tls_server_unref(&door.server);
}

/* ---- who is there ---- */

static struct gw_str bio_text(struct gw_arena *a, BIO *b)
{
	char *p;
	long n = BIO_get_mem_data(b, &p);

	return n > 0 && n <= MAX_TEXT ? gw_arena_copy(a, (struct gw_str){ p, (size_t)n }) : GW_STR_NONE;
}

static struct gw_str name_text(struct gw_arena *a, const GENERAL_NAME *g)
{
	static const struct { int type; const char *prefix; } kinds[] = { { GEN_DNS, "dns:" }, { GEN_URI, "uri:" }, { GEN_EMAIL, "email:" } };
	char ip[64];

	for (size_t i = 0; i < GW_COUNT(kinds); i++)
		if (g->type == kinds[i].type) {
			const ASN1_STRING *s = g->d.ia5;
			const char *p = (const char *)ASN1_STRING_get0_data(s);
			size_t n = (size_t)ASN1_STRING_length(s);

			if (n > MAX_TEXT || memchr(p, '\0', n)) /* a name that other readers would cut off */
				return GW_STR_NONE;
			return gw_arena_printf(a, "%s%.*s", kinds[i].prefix, (int)n, p);
		}
	if (g->type == GEN_IPADD) {
		int n = ASN1_STRING_length(g->d.ip);

		if ((n == 4 || n == 16) && inet_ntop(n == 4 ? AF_INET : AF_INET6, ASN1_STRING_get0_data(g->d.ip), ip, sizeof ip))
			return gw_arena_printf(a, "ip:%s", ip);
	}
	return GW_STR_NONE;
}

struct dp_peer_cert *dp_tls_peer_of(SSL *ssl, struct gw_arena **arena)
{
	X509 *x = SSL_get0_peer_certificate(ssl);
	struct gw_arena *a;
	struct dp_peer_cert *out;
	struct gw_str *sans;
	GENERAL_NAMES *names;
	unsigned char digest[32];
	unsigned n = 0;
	char hex[GW_HEX_LEN(32)];
	BIO *b;

	if (!x || SSL_get_verify_result(ssl) != X509_V_OK || X509_digest(x, EVP_sha256(), digest, &n) != 1)
		return NULL;
	a = *arena = gw_arena_open(1024);
	out = gw_arena_alloc(a, sizeof *out);
	gw_hex(hex, digest, sizeof digest);
	out->fingerprint = gw_arena_copy(a, gw_str_c(hex));
	b = BIO_new(BIO_s_mem());
	X509_NAME_print_ex(b, X509_get_subject_name(x), 0, XN_FLAG_RFC2253);
	out->subject = bio_text(a, b);
	BIO_free(b);
	names = X509_get_ext_d2i(x, NID_subject_alt_name, NULL, NULL);
	sans = gw_arena_array(a, MAX_SANS, sizeof *sans);
	for (int i = 0; names && i < sk_GENERAL_NAME_num(names) && out->n_sans < MAX_SANS; i++) {
		struct gw_str text = name_text(a, sk_GENERAL_NAME_value(names, i));

		if (text.n)
			sans[out->n_sans++] = text;
	}
	out->sans = sans;
	GENERAL_NAMES_free(names);
	ERR_clear_error();
	return out;
}
