/*
 * link.h - one connection to one Redis server, kept up by itself.
 *
 * Commands are pipelined: each is written at once, replies come in order.  hiredis formats and reads the protocol; the
 * socket, names, TLS and their limits of time are net/'s, so nothing here blocks a loop.  A link that breaks, or whose
 * server says nothing to PING, is dialled again after a pause.
 */
#ifndef DP_SERVICES_REDIS_LINK_H
#define DP_SERVICES_REDIS_LINK_H

#include <hiredis/hiredis.h>

#include "base/buf.h"
#include "net/dial.h"

/* Copied by the link; texts absent where they are not used. */
struct dp_redis_login {
	struct gw_str user, password, ca_pem;
	bool tls, verify;
	int64_t database;            /* 0: none is selected */
};

struct dp_redis_link;

struct dp_redis_link_ops {
	void (*up)(void *arg);                       /* logged in and answering */
	/* It broke, or could not be made; commands under way have had their NULL.  It goes on trying. */
	void (*down)(void *arg, const char *why);
};

/* Borrowed for the call; NULL: no answer will come.  May send, and may close the link.  A NULL function: not wanted. */
typedef void dp_redis_reply_fn(void *arg, const redisReply *reply);

#define DP_REDIS_CONNECT_MS 1000  /* for the connection, and again for the login */
#define DP_REDIS_PAUSE_MS   1000  /* between two tries, a quarter more or less */
#define DP_REDIS_REPLY_MAX  (1u << 20)

struct dp_redis_link *dp_redis_link_open(struct dp_loop *l, struct gw_str host, uint16_t port, const struct dp_redis_login *login,
                                         const struct dp_redis_link_ops *ops, void *arg);   /* owned */
void dp_redis_link_close(struct dp_redis_link **k);      /* commands under way get their NULL; then no callback any more */
bool dp_redis_link_is_up(const struct dp_redis_link *k);
bool dp_redis_link_is_coming(const struct dp_redis_link *k);   /* being made for the first time, or again at the first try */
/* Break it on purpose: it answers too late to be of use.  down() comes from inside. */
void dp_redis_link_drop(struct dp_redis_link *k, const char *why);
/* Only while it is up.  The command is copied. */
void dp_redis_link_send(struct dp_redis_link *k, struct gw_str command, dp_redis_reply_fn *fn, void *arg);
struct gw_str dp_redis_link_host(const struct dp_redis_link *k, uint16_t *port);

/* Format a command into *out (appended).  At most 1024 words. */
void dp_redis_format(struct gw_buf *out, const struct gw_str *words, size_t n);

#endif
