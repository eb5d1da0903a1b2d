/*
 * listen.h - taking clients in.
 *
 * Every loop has its own listening socket on the same address (SO_REUSEPORT), so the kernel spreads clients and a
 * successor may bind before the predecessor lets go.  Above the limits, of connections or of descriptors, a client
 * is answered with a canned 503 and Retry-After instead of silence: libuv would accept and drop it without a word.  One
 * that wants TLS gets an alert instead: a handshake costs more than what there is no room for.
 */
#ifndef DP_NET_LISTEN_H
#define DP_NET_LISTEN_H

#include "net/conn.h"

struct dp_listener;

/* "0.0.0.0:8080", "[::]:8080", "127.0.0.1:0".  Name in the error is `what`. */
enum gw_rc dp_listen_parse(struct gw_str text, struct dp_addr *out, const char *what, struct gw_error *err);

struct dp_listener_ops {
	void (*on_client)(void *arg, struct dp_conn *c);   /* owns the connection and must bind or close it */
	void (*on_full)(void *arg, struct dp_conn *c);     /* the same, and must turn it away; only of a data port */
};

/* There is no room.  Both are consumed, and are closed within a second or two. */
void dp_turn_away(struct dp_conn *c);                      /* 503 in plain HTTP */
void dp_turn_away_tls(struct dp_conn *c, bool plain_too);  /* the alert to who wants TLS; 503 to who does not, if allowed */

/*
 * Any thread, before the loop starts or on it.  Port 0 takes a free one; *bound says which.  `data_port`: clients
 * are counted and gated, and other sockets of the same user may stand on the port.  `ops` stay the caller's.
 */
enum gw_rc dp_listener_open(struct dp_listener **out, struct dp_loop *l, const struct dp_addr *at, bool data_port,
                            const struct dp_listener_ops *ops, void *arg, struct dp_addr *bound, struct gw_error *err) GW_MUST_CHECK;
/* On the loop.  Clients that the kernel accepted already are taken in first.  Consumed; NULL is fine. */
void dp_listener_close(struct dp_listener **l);

/* All loops together: how many clients are let in, and how many are.  A client of a data port
 * counts until dp_client_gone(). */
void dp_client_limit(size_t max);
size_t dp_client_count(void);
void dp_client_gone(void);

#endif
