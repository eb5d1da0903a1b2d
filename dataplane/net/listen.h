/*
 * listen.h - taking clients in.
 *
 * Every loop has its own listening socket on the same address (SO_REUSEPORT), so the kernel spreads clients and a
 * successor may bind before the predecessor lets go.  Above the limits, of connections or of descriptors, a client
 * is answered with a canned 503 and Retry-After instead of silence: libuv would accept and drop it without a word.
 */
#ifndef DP_NET_LISTEN_H
#define DP_NET_LISTEN_H

#include "net/conn.h"

struct dp_listener;

/* "0.0.0.0:8080", "[::]:8080", "127.0.0.1:0".  Name in the error is `what`. */
enum gw_rc dp_listen_parse(struct gw_str text, struct dp_addr *out, const char *what, struct gw_error *err);

/*
 * Any thread, before the loop starts or on it.  Port 0 takes a free one; *bound says which.  `data_port`: clients
 * are counted and gated, and other sockets of the same user may stand on the port.  on_client owns the connection it is handed and must bind or close it.
 */
enum gw_rc dp_listener_open(struct dp_listener **out, struct dp_loop *l, const struct dp_addr *at, bool data_port,
                            void (*on_client)(void *arg, struct dp_conn *c), void *arg,
                            struct dp_addr *bound, struct gw_error *err) GW_MUST_CHECK;
/* On the loop.  Clients that the kernel accepted already are taken in first.  Consumed; NULL is fine. */
void dp_listener_close(struct dp_listener **l);

/* All loops together: how many clients are let in, and how many are.  A client of a data port
 * counts until dp_client_gone(). */
void dp_client_limit(size_t max);
size_t dp_client_count(void);
void dp_client_gone(void);

#endif
