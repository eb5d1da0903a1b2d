/*
 * conn.h - a stream of bytes to a peer: plain TCP, or TLS where we are the client.
 *
 * Reading: bytes arrive in on_read, borrowed from the loop's shared buffer, and must be used up before it returns.
 * A pause is soft: what was read already is still delivered, then the socket is left alone.  While paused, a timer
 * looks at the socket's state, so a peer that goes away is noticed within half a second all the same.
 *
 * Writing: short pieces are kept to the end of the loop's turn and leave together, long ones leave at once; what the
 * kernel does not take is copied into the connection's queue.  dp_conn_write() always accepts; it answers false when
 * the queue stands above its mark: stop producing, on_drain will call.
 *
 * A turn: a connection reads one buffer and writes about 256 KiB in one turn of the loop, however much there is, so that
 * a body of megabytes does not hold back the events of others.  A writer that went so far is answered false as if the
 * queue were full; on_drain calls it in the next turn.  In one turn all is read, then all is worked off, then all is
 * written (turn.c).
 *
 * Closing is legal at any time, inside the connection's own callbacks too; no callback comes after it.
 */
#ifndef DP_NET_CONN_H
#define DP_NET_CONN_H

#include "net/guard.h"
#include "net/loop.h"

struct dp_conn;

#define DP_NET_END_TABLE(X)                                                          \
	X(FIN,       "peer closed its side in order (TLS: after close_notify)")      \
	X(TRUNCATED, "TLS peer closed without close_notify")                         \
	X(RESET,     "connection broke")
enum dp_net_end {
#define X(name, text) DP_NET_END_##name,
	DP_NET_END_TABLE(X)
#undef X
};

struct dp_conn_ops {
	void (*on_read)(void *arg, struct gw_str bytes);
	/* Once, and nothing is read after it.  The owner still has to close. */
	void (*on_end)(void *arg, enum dp_net_end how);
	void (*on_drain)(void *arg);                 /* the queue fell below half its mark; NULL: not wanted */
	/*
	 * What a FIN means while reading is paused.  false (an upstream): the peer finished; the bytes before its FIN
	 * are still wanted, on_end comes after they were read.  true (a client): it is gone, on_end comes at once.
	 */
	bool fin_is_gone;
};

/* From now on `ops` hear of this connection.  Reading starts with the first call. */
void dp_conn_bind(struct dp_conn *c, const struct dp_conn_ops *ops, void *arg);
void dp_conn_pause(struct dp_conn *c);
void dp_conn_resume(struct dp_conn *c);

#define DP_CONN_MARK 65536u                      /* default mark of the write queue */
void dp_conn_set_mark(struct dp_conn *c, size_t bytes);
/* At most 8 pieces, copied where need be.  false: above the mark, enough for a turn, or broken (on_end follows). */
bool dp_conn_write(struct dp_conn *c, const struct gw_str *v, size_t n);
void dp_conn_want_drain(struct dp_conn *c);      /* on_drain when the queue is empty, whatever the mark */
size_t dp_conn_queued(const struct dp_conn *c);  /* bytes accepted and not yet in the kernel */
uint64_t dp_conn_sent(const struct dp_conn *c);  /* bytes the kernel took so far */

/* Nothing is waiting to be read or taken: neither bytes nor the peer's end.  One system call. */
bool dp_conn_quiet(const struct dp_conn *c);
/*
 * The same as of the moment at which this turn of the loop began, when all sockets were looked at.  No system call; what
 * came since then is a matter of the next turn, as it is for whoever looks a moment before it comes.
 */
bool dp_conn_silent(const struct dp_conn *c);

void dp_conn_close(struct dp_conn **c);          /* consumed; NULL is fine; what is queued is lost */
/*
 * Write out what is queued, say goodbye, swallow what still arrives (so that a reset does not destroy the answer on
 * its way), then close: at the latest after `max_ms` in which the peer took nothing.  Consumed.
 */
void dp_conn_finish(struct dp_conn **c, int64_t max_ms);

struct dp_loop *dp_conn_loop(const struct dp_conn *c);
const struct dp_addr *dp_conn_peer(const struct dp_conn *c);

#endif
