/*
 * tls_server.h - TLS on the data port: our certificates by the name that a client asks for, and certificates of clients.
 *
 * TLS 1.2 and above, no renegotiation, no compression, HTTP/1.1 only.  Whether a connection speaks TLS at all is seen from
 * its first byte, so plain HTTP can go on beside it while clients move over.  A new configuration makes a new server;
 * connections keep the one they began with.
 */
#ifndef DP_NET_TLS_SERVER_H
#define DP_NET_TLS_SERVER_H

#include "net/conn.h"
#include "tls_pair.h"

#define DP_TLS_HANDSHAKE_MS 5000

struct dp_tls_server;

/* Any thread.  GW_INVALID with the path in settings.tls when a certificate cannot be used. */
enum gw_rc dp_tls_server_open(struct dp_tls_server **out, const struct gw_tls_settings *s, struct gw_error *err) GW_MUST_CHECK;
struct dp_tls_server *dp_tls_server_ref(struct dp_tls_server *s);
bool dp_tls_server_takes_plain(const struct dp_tls_server *s);   /* HTTP without TLS is allowed as well */
void dp_tls_server_unref(struct dp_tls_server **s);     /* consumed; NULL is fine */

/*
 * A client's connection that may speak TLS; before dp_conn_bind().  `ready` runs when TLS is up (text NULL), or when it
 * cannot come up, or plain HTTP arrives where TLS is required: then the owner closes.  Not for plain HTTP that is allowed.
 */
void dp_conn_serve(struct dp_conn *c, struct dp_tls_server *s, void (*ready)(void *arg, const char *text), void *arg);

/* Its handshake has begun and is not over. */
bool dp_conn_shaking(const struct dp_conn *c);

/* The certificate that the client proved to have, verified against client_ca_pem.  Lives as long as the connection. */
struct dp_peer_cert {
	struct gw_str fingerprint;        /* SHA-256, 64 lower-case hex digits */
	struct gw_str subject;            /* RFC 2253: "CN=app1,O=Acme" */
	const struct gw_str *sans;        /* "dns:app1.example.com", "uri:spiffe://…", "email:…", "ip:10.0.0.7" */
	size_t n_sans;
};
const struct dp_peer_cert *dp_conn_peer_cert(const struct dp_conn *c); /* NULL: none */

#endif
