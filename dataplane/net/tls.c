/*
 * tls.c - TLS towards providers, over memory BIOs.
 *
 * OpenSSL verifies nothing unless told to, keeps its errors in a queue per thread (so it is cleared before every
 * call), and would resume a session made without verification for a peer that must be verified (so the session key
 * has everything in it that decides about trust).
 */
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <pthread.h>
#include <stdlib.h>

#include "base/bytes.h"
#include "base/str.h"
#include "net/dial.h"
#include "net/impl.h"
#include "net/tls_server.h"

#define MAX_CONTEXTS 256
#define MAX_SESSIONS 1024
#define MAX_STORES   64

struct dp_tls {
	SSL *ssl;
	BIO *in, *out;              /* owned by ssl */
	struct dp_conn *conn;
	bool up, saw_close, failed;
	void (*ready)(void *arg, const char *text);
	void *arg;
	struct dp_tls_door door;    /* we are the server: what holds its contexts */
	struct gw_arena *arena;     /* of `peer`; NULL: none */
	const struct dp_peer_cert *peer;
	char session_key[640];
};

struct dp_tls_cache {
	struct gw_map *contexts;    /* trust key → SSL_CTX */
	struct gw_map *sessions;    /* trust key + peer → SSL_SESSION */
};

/* ---- trust: certificate stores, shared by all loops ---- */

static pthread_mutex_t store_lock = PTHREAD_MUTEX_INITIALIZER;
static X509_STORE *root_store;
static char *extra_roots;
static struct gw_map *pem_stores;

static void explain(char *out, size_t n, const char *what)
{
	unsigned long e = ERR_get_error();
	const char *why = e ? ERR_reason_error_string(e) : NULL;

	snprintf(out, n, "%s%s%s", what, why ? ": " : "", why ? why : "");
	ERR_clear_error();
}

static int add_pem(X509_STORE *store, struct gw_str pem)
{
	BIO *b = BIO_new_mem_buf(pem.p, (int)pem.n);
	X509 *x;
	int n = 0;

	while ((x = PEM_read_bio_X509(b, NULL, NULL, NULL)) != NULL) {
		n += X509_STORE_add_cert(store, x) == 1;
		X509_free(x);
	}
	BIO_free(b);
	ERR_clear_error();
	return n;
}

static X509_STORE *store_with_roots(void)
{
	X509_STORE *s = X509_STORE_new();

	ERR_clear_error();
	X509_STORE_set_default_paths(s);
	if (extra_roots)
		X509_STORE_load_locations(s, extra_roots, NULL);
	ERR_clear_error();
	return s;
}

enum gw_rc dp_tls_roots(const char *extra_file, struct gw_error *err)
{
	X509_STORE *s = X509_STORE_new();
	bool ok = true;

	ERR_clear_error();
	if (extra_file)
		ok = X509_STORE_load_locations(s, extra_file, NULL) == 1;
	X509_STORE_free(s);
	ERR_clear_error();
	if (!ok)
		return gw_fail(err, GW_INVALID, NULL, "%s holds no readable PEM certificate", extra_file);
	pthread_mutex_lock(&store_lock);
	if (extra_file && !extra_roots)
		extra_roots = gw_strdup_n(extra_file, strlen(extra_file));
	if (!root_store)
		root_store = store_with_roots();
	pthread_mutex_unlock(&store_lock);
	return GW_OK;
}

enum gw_rc dp_tls_check_pem(struct gw_str pem, struct gw_error *err)
{
	X509_STORE *s = X509_STORE_new();
	int n = add_pem(s, pem);

	X509_STORE_free(s);
	if (n == 0)
		return gw_fail(err, GW_INVALID, NULL, "there is no PEM certificate in it");
	return GW_OK;
}

/* A counted reference to the store for these extra roots. */
static X509_STORE *store_for(struct gw_str pem, const char *digest)
{
	X509_STORE *s;

	pthread_mutex_lock(&store_lock);
	if (!root_store)
		root_store = store_with_roots();
	s = root_store;
	if (pem.n > 0) {
		if (!pem_stores)
			pem_stores = gw_map_open(8);
		s = gw_map_get(pem_stores, gw_str_c(digest));
		if (!s) {
			s = store_with_roots();
			add_pem(s, pem);
			if (gw_map_count(pem_stores) < MAX_STORES)
				gw_map_put(pem_stores, gw_str_c(gw_strdup_n(digest, strlen(digest))), s);
			else
				X509_STORE_up_ref(s), X509_STORE_free(s);
		}
	}
	X509_STORE_up_ref(s);
	pthread_mutex_unlock(&store_lock);
	return s;
}

/* ---- contexts and sessions, one set a loop ---- */

/* A session to resume, with the map's key: both live and die together. */
struct saved {
	SSL_SESSION *session;
	char key[];
};

static void saved_free(struct saved *v)
{
	if (!v)
		return;
	SSL_SESSION_free(v->session);
	free(v);
}

static void drop_all_sessions(struct gw_map *m)
{
	size_t at = 0;
	struct gw_str key;
	void *v;

	while (gw_map_next(m, &at, &key, &v))
		saved_free(v);
}

static int on_new_session(SSL *ssl, SSL_SESSION *s)
{
	struct dp_tls *t = SSL_get_app_data(ssl);
	struct dp_tls_cache *c = t->conn->loop->tls;
	struct gw_str key = gw_str_c(t->session_key);
	struct saved *v;

	if (gw_map_count(c->sessions) >= MAX_SESSIONS && !gw_map_get(c->sessions, key)) {
		drop_all_sessions(c->sessions);
		gw_map_close(&c->sessions);
		c->sessions = gw_map_open(64);
	}
	v = gw_alloc(sizeof *v + key.n + 1);
	v->session = s; /* the reference is ours now */
	memcpy(v->key, key.p, key.n);
	saved_free(gw_map_put(c->sessions, (struct gw_str){ v->key, key.n }, v));
	return 1;
}

static SSL_CTX *make_context(const struct dp_tls_spec *spec, const char *digest)
{
	static const unsigned char alpn[] = { 8, 'h', 't', 't', 'p', '/', '1', '.', '1' };
	SSL_CTX *x = SSL_CTX_new(TLS_client_method());
	X509_STORE *store;

	if (!x)
		abort();
	SSL_CTX_set_min_proto_version(x, spec->only_13 ? TLS1_3_VERSION : TLS1_2_VERSION);
	SSL_CTX_set_options(x, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION);
	SSL_CTX_set_mode(x, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER | SSL_MODE_RELEASE_BUFFERS);
	SSL_CTX_set_session_cache_mode(x, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
	SSL_CTX_sess_set_new_cb(x, on_new_session);
	SSL_CTX_set_alpn_protos(x, alpn, sizeof alpn);
	SSL_CTX_set_verify(x, spec->verify ? SSL_VERIFY_PEER : SSL_VERIFY_NONE, NULL);
	store = store_for(spec->ca_pem, digest);
	SSL_CTX_set1_cert_store(x, store);
	X509_STORE_free(store);
	return x;
}

static void drop_contexts(struct gw_map *m)
{
	size_t at = 0;
	struct gw_str key;
	void *v;

	while (gw_map_next(m, &at, &key, &v)) {
		SSL_CTX_free(v);
		free((char *)(uintptr_t)key.p);
	}
}

static SSL_CTX *context_for(struct dp_loop *l, const struct dp_tls_spec *s, char trust[72])
{
	struct dp_tls_cache *c = l->tls;
	uint8_t sum[32];
	SSL_CTX *x;

	if (!c) {
		c = l->tls = gw_alloc(sizeof *c);
		c->contexts = gw_map_open(8);
		c->sessions = gw_map_open(64);
	}
	gw_sha256(sum, s->ca_pem.n ? s->ca_pem : GW_STR(""));
	gw_hex(trust, sum, 32);
	trust[64] = s->verify ? 'v' : 'n';
	trust[65] = s->only_13 ? '3' : '2';
	trust[66] = '\0';
	x = gw_map_get(c->contexts, gw_str_c(trust));
	if (x)
		return x;
	if (gw_map_count(c->contexts) >= MAX_CONTEXTS) {
		drop_contexts(c->contexts);
		gw_map_close(&c->contexts);
		c->contexts = gw_map_open(8);
	}
	trust[64] = '\0';
	x = make_context(s, trust);
	trust[64] = s->verify ? 'v' : 'n';
	gw_map_put(c->contexts, (struct gw_str){ gw_strdup_n(trust, 66), 66 }, x);
	return x;
}

void dp_tls_cache_close(struct dp_tls_cache **cp)
{
	struct dp_tls_cache *c = *cp;

	if (!c)
		return;
	*cp = NULL;
	drop_contexts(c->contexts);
	gw_map_close(&c->contexts);
	drop_all_sessions(c->sessions);
	gw_map_close(&c->sessions);
	free(c);
}

/* ---- one connection ---- */

static bool flush(struct dp_conn *c)
{
	char *p;
	long n = BIO_get_mem_data(c->tls->out, &p);
	uv_buf_t b;
	bool go;

	if (n <= 0)
		return !c->over_mark;
	b = uv_buf_init(p, (unsigned)n);
	go = dp_conn_raw_write(c, &b, 1);
	(void)BIO_reset(c->tls->out);
	return go;
}

static void describe_failure(struct dp_tls *t, char *out, size_t n)
{
	long v = SSL_get_verify_result(t->ssl);

	if (v != X509_V_OK && SSL_get_verify_mode(t->ssl) != SSL_VERIFY_NONE) {
		snprintf(out, n, "certificate refused: %s", X509_verify_cert_error_string(v));
		ERR_clear_error();
	} else {
		explain(out, n, "handshake failed");
	}
}

/* true: go on reading.  The callee of `ready` may have closed the connection. */
static bool handshake(struct dp_conn *c)
{
	struct dp_tls *t = c->tls;
	char text[160];
	int r;

	ERR_clear_error();
	r = SSL_do_handshake(t->ssl);
	if (r == 1) {
		t->up = true;
		if (t->door.server)
			t->peer = dp_tls_peer_of(t->ssl, &t->arena);
		flush(c);
		t->ready(t->arg, NULL);
		return c->magic == DP_CONN_MAGIC;
	}
	r = SSL_get_error(t->ssl, r);
	flush(c); /* an alert, or the next flight */
	if (r == SSL_ERROR_WANT_READ || r == SSL_ERROR_WANT_WRITE)
		return false;
	t->failed = true;
	describe_failure(t, text, sizeof text);
	t->ready(t->arg, text);
	return false;
}

static void pump(struct dp_conn *c)
{
	struct dp_tls *t = c->tls;

	for (;;) {
		size_t n = 0;
		int r;

		ERR_clear_error();
		r = SSL_read_ex(t->ssl, c->loop->tls_buf, sizeof c->loop->tls_buf, &n);
		if (r == 1) {
			if (c->ops && !c->lingering)
				c->ops->on_read(c->arg, (struct gw_str){ c->loop->tls_buf, n });
			if (c->magic != DP_CONN_MAGIC || c->ended)
				return;
			continue;
		}
		r = SSL_get_error(t->ssl, r);
		flush(c); /* key updates */
		if (r == SSL_ERROR_ZERO_RETURN) {
			t->saw_close = true;
			dp_conn_deliver_end(c, DP_NET_END_FIN, "close_notify");
		} else if (r != SSL_ERROR_WANT_READ && r != SSL_ERROR_WANT_WRITE) {
			char text[160];

			t->failed = true;
			explain(text, sizeof text, "TLS record");
			dp_conn_deliver_end(c, DP_NET_END_RESET, text);
		}
		return;
	}
}

void dp_tls_input(struct dp_conn *c, struct gw_str bytes)
{
	struct dp_tls *t = c->tls;

	if (t->failed)
		return;
	BIO_write(t->in, bytes.p, (int)bytes.n);
	if (!t->up && !handshake(c))
		return;
	pump(c);
}

bool dp_tls_write(struct dp_conn *c, const struct gw_str *v, size_t n)
{
	struct dp_tls *t = c->tls;

	if (t->failed || !t->up)
		return false;
	for (size_t i = 0; i < n; i++) {
		size_t at = 0;

		while (at < v[i].n) {
			size_t did = 0;

			ERR_clear_error();
			if (SSL_write_ex(t->ssl, v[i].p + at, v[i].n - at, &did) != 1) {
				t->failed = c->broken = true;
				return false;
			}
			at += did;
		}
	}
	return flush(c);
}

void dp_tls_shutdown(struct dp_conn *c)
{
	struct dp_tls *t = c->tls;

	if (!t->up || t->failed)
		return;
	ERR_clear_error();
	SSL_shutdown(t->ssl);
	flush(c);
}

bool dp_tls_saw_close(const struct dp_conn *c)
{
	return c->tls->saw_close;
}

void dp_tls_free(struct dp_tls **tp)
{
	struct dp_tls *t = *tp;

	if (!t)
		return;
	*tp = NULL;
	if (!t->failed) /* else the session would be marked as not resumable */
		SSL_set_shutdown(t->ssl, SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN);
	SSL_free(t->ssl);
	dp_tls_door_close(&t->door);
	gw_arena_close(&t->arena);
	free(t);
}

const struct dp_peer_cert *dp_conn_peer_cert(const struct dp_conn *c)
{
	return c->tls ? c->tls->peer : NULL;
}

static void expect_name(SSL *ssl, const struct dp_tls_spec *s)
{
	char name[256];
	struct dp_addr ip;

	if (s->server_name.n >= sizeof name) { /* no certificate can have such a name */
		SSL_set1_host(ssl, ".");
		return;
	}
	memcpy(name, s->server_name.p, s->server_name.n);
	name[s->server_name.n] = '\0';
	if (dp_addr_parse(s->server_name, 0, &ip)) {
		X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl), name);
		return;
	}
	SSL_set_tlsext_host_name(ssl, name);
	SSL_set_hostflags(ssl, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
	SSL_set1_host(ssl, name);
}

static void attach(struct dp_conn *c, struct dp_tls *t, SSL_CTX *x)
{
	t->conn = c;
	t->ssl = SSL_new(x);
	t->in = BIO_new(BIO_s_mem());
	t->out = BIO_new(BIO_s_mem());
	if (!t->ssl || !t->in || !t->out)
		abort();
	BIO_set_mem_eof_return(t->in, -1);
	SSL_set_bio(t->ssl, t->in, t->out);
	SSL_set_app_data(t->ssl, t);
	c->tls = t;
}

bool dp_conn_shaking(const struct dp_conn *c) { return c->tls && !c->tls->up && !c->tls->failed; }

void dp_tls_accept(struct dp_conn *c, struct ssl_ctx_st *x, const struct dp_tls_door *door)
{
	struct dp_tls *t = gw_alloc(sizeof *t);

	t->ready = door->ready;
	t->arg = door->arg;
	t->door = *door;
	attach(c, t, x);
	SSL_set_accept_state(t->ssl);
}

void dp_tls_start(struct dp_conn *c, const struct dp_tls_spec *s, void (*ready)(void *arg, const char *text), void *arg)
{
	struct dp_tls *t = gw_alloc(sizeof *t);
	char trust[72];
	struct saved *saved;
	SSL_CTX *x = context_for(c->loop, s, trust);

	t->ready = ready;
	t->arg = arg;
	attach(c, t, x);
	SSL_set_connect_state(t->ssl);
	expect_name(t->ssl, s);
	snprintf(t->session_key, sizeof t->session_key, "%s %.*s %u %.*s", trust, s->host.n < 256 ? (int)s->host.n : 256,
	         s->host.p, s->port, s->server_name.n < 256 ? (int)s->server_name.n : 256, s->server_name.p);
	saved = gw_map_get(c->loop->tls->sessions, gw_str_c(t->session_key));
	if (saved)
		SSL_set_session(t->ssl, saved->session);
	(void)handshake(c);
}
