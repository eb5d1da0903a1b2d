/*
 * dial.h - connecting to a provider.
 *
 * A name is looked up (with a cache of our own: answers as long as the name server says, at most 5 min, bad ones 5 s, one
 * lookup however many ask; old answers serve while they are refreshed and while the name server fails), every address
 * is judged by the guard, the permitted ones are tried in turn, and TLS is brought up before the connection
 * is handed over.  No byte of a request leaves before the peer's certificate was verified.
 */
#ifndef DP_NET_DIAL_H
#define DP_NET_DIAL_H

#include "net/conn.h"

#define DP_NET_FAULT_TABLE(X)                                                              \
	X(NONE,        "none",           "no fault")                                   \
	X(DNS,         "dns",            "the host name could not be resolved")        \
	X(BLOCKED,     "blocked",        "the address may not be dialled")             \
	X(REFUSED,     "refused",        "nobody listens there, or no way to it")      \
	X(TIMEOUT,     "timeout",        "no connection within the limit")             \
	X(TLS,         "tls",            "the TLS handshake or the certificate failed") \
	X(BROKEN,      "broken",         "the connection broke")                       \
	X(LOCAL,       "local",          "this worker has no descriptor left, which is nobody else's fault") \
	X(QUEUE,       "queue",          "no connection of the pool was free in time")
enum dp_net_fault {
#define X(name, text, doc) DP_NET_FAULT_##name,
	DP_NET_FAULT_TABLE(X)
#undef X
};
const char *dp_net_fault_name(enum dp_net_fault f);

/* Everything is borrowed until dp_dial() returns, but `ca_pem`: until the dial is over. */
struct dp_dial_spec {
	struct gw_str host;          /* name or IP literal, without brackets */
	uint16_t port;
	bool tls, verify;
	bool only_tls13;             /* else 1.2 will do */
	struct gw_str ca_pem;        /* extra roots; absent: none */
	struct gw_str server_name;   /* SNI and certificate name; absent: host */
	bool allow_private;
	int64_t timeout_ms;          /* over lookup, all addresses and the handshake */
};

struct dp_dial;

/* Exactly once: `c` is owned by the callee and not bound yet, or NULL with a fault and a sentence.  Never from inside
 * dp_dial().  Not after dp_dial_cancel(). */
typedef void dp_dial_fn(void *arg, struct dp_conn *c, enum dp_net_fault fault, const char *text);
struct dp_dial *dp_dial(struct dp_loop *l, const struct dp_dial_spec *s, dp_dial_fn *done, void *arg);
void dp_dial_cancel(struct dp_dial **d);             /* consumed; NULL is fine */

/* Roots for all loops, read once: the system's and those of `extra_file` (NULL: none).  Any thread; slow (30 ms). */
enum gw_rc dp_tls_roots(const char *extra_file, struct gw_error *err) GW_MUST_CHECK;
/* Would these PEM certificates load?  For trying a snapshot on.  Any thread. */
enum gw_rc dp_tls_check_pem(struct gw_str pem, struct gw_error *err) GW_MUST_CHECK;

#endif
