/*
 * impl.h - what the files of this folder share.  Nobody outside includes it: libuv's types end here.
 *
 * Closing a handle is asynchronous in libuv, so a dp_conn is two lives: until dp_conn_close() it has an owner and
 * callbacks; after it the memory waits for libuv's close callback, with its magic changed so that a late use asserts.
 */
#ifndef DP_NET_IMPL_H
#define DP_NET_IMPL_H

#include <stdatomic.h>
#include <uv.h>

#include "base/arena.h"
#include "net/conn.h"
#include "net/loop.h"

struct dp_tls;
struct dp_tls_server;
struct dp_peer_cert;
struct ssl_st;
struct ssl_ctx_st;
struct dp_dns;
struct dp_tls_cache;

/* What one turn reads and says; turn.c. */
#define DP_TURN_CLIENTS (160u << 10)                    /* bytes of clients */
#define DP_TURN_OTHERS (512u << 10)                     /* bytes of upstreams */
#define DP_TURN_OUT_BYTES (128u << 10)
#define DP_TURN_ROOM_MIN 4096u                          /* less is not worth a read */
#define DP_TURN_ARRIVALS 1024u
struct dp_arrival { struct dp_conn *conn; ssize_t n; char *p; }; /* n < 0: the end, as libuv says it; conn NULL: delivered */
enum dp_lane { DP_LANE_CLIENTS, DP_LANE_OTHERS, DP_LANES };
struct dp_turn {
	struct dp_arrival arrivals[3 * DP_TURN_ARRIVALS];   /* each may bring bytes, their end, and that of writing */
	unsigned arrivals_n;
	size_t in_n, out_n;
	struct dp_lane_room {
		size_t used, long_used;
		uint32_t round;         /* of reads, while there is not room for all */
		bool sent_away, long_sent_away;     /* for lack of room, in this turn */
		bool rationed, long_rationed;       /* because of that in the turn before */
	} lane[DP_LANES];
	struct gw_node said;        /* connections with something to say, or to be told that it was said */
	char in[DP_TURN_CLIENTS + DP_TURN_OTHERS], out[DP_TURN_OUT_BYTES];
};

struct dp_loop {
	unsigned magic;
#define DP_LOOP_MAGIC 0x10095a11u
	unsigned index;
	uv_loop_t uv;
	uv_async_t async;
	uv_timer_t clock;           /* drives the wheel; armed for its next slot */
	uv_check_t check;           /* end of turn: what arrived, deferred work */
	uv_prepare_t prepare;       /* before it sleeps: what was said outside of that */
	uv_idle_t idle;             /* keeps the turn from sleeping while work is deferred */
	uv_thread_t thread;
	bool threaded, stopping;
	atomic_bool ended;          /* the thread has left the loop */
	atomic_size_t lookups;      /* under way at the system */
	int64_t armed_ms;           /* what `clock` is set to; INT64_MAX: not set */
	struct dp_wheel wheel;
	struct dp_deferred *deferred, **deferred_end;
	uint64_t turn;              /* counts turns */
	struct gw_node yielded;     /* connections that wrote enough for one turn: on_drain in the next */
	uv_mutex_t lock;            /* guards the mailbox only */
	struct dp_mail *mail, **mail_end;
	bool mail_closed;
	struct dp_dns *dns;
	struct dp_tls_cache *tls;
	void *data;
	struct dp_turn batch;
	char tls_buf[17 * 1024];
};

/* A client's connection whose first byte decides whether it speaks TLS; server NULL: that is decided. */
struct dp_tls_door {
	struct dp_tls_server *server;   /* a reference */
	void (*ready)(void *arg, const char *text);
	void *arg;
};

/* Bytes on their way out; the memory is the connection's own. */
struct dp_out { char *p; size_t n, cap; };

struct dp_conn {
	unsigned magic;
#define DP_CONN_MAGIC 0xc0117ec7u
#define DP_CONN_DEAD  0xdeadc017u
	uv_tcp_t tcp;
	struct dp_loop *loop;
	const struct dp_conn_ops *ops;
	void *arg;
	struct dp_addr peer;
	struct dp_tls *tls;
	struct dp_tls_door door;
	union { uv_connect_t connect; uv_write_t write; uv_shutdown_t shutdown; } req; /* one after the other */
	size_t swallowed;               /* bytes thrown away while lingering */
	uint64_t sent_before;           /* lingering: what was sent when the limit began */
	uint32_t linger_ms;
	uint8_t linger_more;            /* how often it may begin again */
	struct dp_out flight, pending;  /* in libuv's hands; waiting behind it */
	struct { char *p; size_t n; } said; /* in this turn, in the loop's room; nothing of it is behind `pending` */
	struct gw_node said_node;       /* in the loop's list, or in none */
	size_t mark;                    /* soft ceiling of the write queue */
	uint64_t sent;                  /* bytes the kernel took, for stall detection */
	uint64_t turn;                  /* the loop's turn that the next one speaks of */
	size_t gave;                    /* bytes the kernel took in it */
	uint32_t round;                 /* of its lane, in which it was read from last */
	bool is_long;                   /* its last read filled the buffer */
	uint8_t arrivals;               /* of this turn, not taken yet */
	bool put_off;                   /* there may be more in the socket than was read in this turn */
	struct gw_node yielded;         /* in the loop's list, or in none */
	bool reading, paused, over_mark, want_empty, ended, lingering, broken, writing;
	struct dp_timer timer;          /* while paused: looks whether the peer went; while lingering: the deadline */
};

/* Whom we expect at the other end; texts are borrowed for the handshake's time. */
struct dp_tls_spec { struct gw_str host, server_name, ca_pem; uint16_t port; bool verify, only_13; };

/* dns.c: `done` runs once, always from the loop and never from inside; n == 0: failed, text says why. */
struct dp_dns_wait {
	struct gw_node node;
	void (*done)(struct dp_dns_wait *w, const struct dp_addr *v, size_t n, const char *text);
};
void dp_dns_ask(struct dp_loop *l, struct gw_str host, struct dp_dns_wait *w);
void dp_dns_cancel(struct dp_dns_wait *w);           /* fine when it is over */
/* How connecting to it went; why NULL: well.  Names and addresses that nobody has asked for are fine. */
void dp_dns_note(struct dp_loop *l, struct gw_str host, const struct dp_addr *a, const char *why);

extern atomic_size_t dp_net_open_fds;

void dp_loop_again(struct dp_loop *l);               /* the next turn does not sleep */
struct dp_conn *dp_conn_new(struct dp_loop *l);      /* handle initialised, no socket yet */
void dp_conn_start_reading(struct dp_conn *c);
bool dp_conn_raw_write(struct dp_conn *c, const uv_buf_t *v, unsigned n); /* below TLS */
void dp_conn_took(struct dp_conn *c, ssize_t n, char *p); /* an arrival, to its owner */
void dp_conn_write_out(struct dp_conn *c);           /* `said` to the kernel, or to the queue; calls nobody */
void dp_conn_wrote(struct dp_conn *c);               /* after it: the owner is told what it wanted to know */
void dp_conn_go_on(struct dp_loop *l);               /* those that yielded; at the end of each turn */
void dp_conn_deliver_end(struct dp_conn *c, enum dp_net_end how, const char *text);

/* turn.c */
void dp_turn_on_alloc(uv_handle_t *h, size_t suggested, uv_buf_t *buf);
void dp_turn_on_read(uv_stream_t *s, ssize_t n, const uv_buf_t *buf);
void dp_turn_end_behind(struct dp_conn *c, int status); /* an end that was met while writing, behind what arrived */
void dp_turn_work(struct dp_loop *l);                /* what arrived, and what is said about it */
void dp_turn_write(struct dp_loop *l);               /* what was said; then who wanted to know is told */
/* Keeps `v` for the end of the turn; false: too long, or not behind what was said before.  Write it now. */
bool dp_turn_keep(struct dp_conn *c, const uv_buf_t *v, unsigned n, size_t total);
void dp_turn_list(struct dp_conn *c);                /* to be told by dp_turn_write() */

/* tls.c: bytes in from the socket; ends the connection itself when the peer breaks the protocol. */
void dp_tls_input(struct dp_conn *c, struct gw_str bytes);
bool dp_tls_write(struct dp_conn *c, const struct gw_str *v, size_t n);
void dp_tls_shutdown(struct dp_conn *c);             /* sends close_notify */
/* Brings TLS up on a connected socket.  `ready` runs once: text NULL when the peer is who it should be. */
void dp_tls_start(struct dp_conn *c, const struct dp_tls_spec *spec,
                  void (*ready)(void *arg, const char *text), void *arg);
/* tls_server.c: the first bytes of a connection with a door; the reference of a door that was never used. */
void dp_tls_door_input(struct dp_conn *c, struct gw_str bytes);
void dp_tls_door_close(struct dp_tls_door *d);
struct dp_peer_cert *dp_tls_peer_of(struct ssl_st *ssl, struct gw_arena **arena); /* NULL: none; in an arena of its own */
/* tls.c: we are the server.  The door's reference is taken over. */
void dp_tls_accept(struct dp_conn *c, struct ssl_ctx_st *x, const struct dp_tls_door *door);
bool dp_tls_saw_close(const struct dp_conn *c);
void dp_tls_free(struct dp_tls **t);
void dp_tls_cache_close(struct dp_tls_cache **c);
void dp_dns_close(struct dp_dns **d);
void dp_dns_call_off(struct dp_dns *d);              /* what the system has not begun with; NULL is fine */

#endif
