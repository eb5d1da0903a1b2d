/*
 * seats.h - how many connections a worker may have to one server, counted over all its loops.
 *
 * Every connection takes a seat before it is dialled and gives it back when it is closed.  A loop that finds none stands
 * in one queue with the others and is woken when its turn has come; meanwhile others that keep idle connections are asked
 * to part with one.  So the limit holds to the connection, and no loop waits for ever behind one that is always busy.
 *
 * A seat is asked for with each connection, not with each request, so the short lock is nowhere on the usual path.
 */
#ifndef DP_UPSTREAM_SEATS_H
#define DP_UPSTREAM_SEATS_H

#include "net/loop.h"

struct dp_sitter;                      /* one loop at one server */

struct dp_sitter_ops {                 /* both on the sitter's loop, later, never from inside a call of this file */
	void (*wake)(void *arg);       /* take now; if nothing is wanted any more, dp_seat_withdraw() */
	void (*spare)(void *arg);      /* somebody waits: close a connection that is idle, if there still is one */
};

/* `server` tells servers apart; `taken`: connections that exist already.  Owned: dp_seats_leave(). */
struct dp_sitter *dp_seats_join(struct gw_str server, struct dp_loop *l, size_t max, size_t taken,
                                const struct dp_sitter_ops *ops, void *arg);
void dp_seats_leave(struct dp_sitter **s);             /* its seats are given back; no callback any more; NULL is fine */
void dp_seats_limit(struct dp_sitter *s, size_t max);  /* for all loops; the latest word counts */

bool dp_seat_take(struct dp_sitter *s);                /* false: none is free; stands in the queue now */
void dp_seat_give(struct dp_sitter *s);
void dp_seat_withdraw(struct dp_sitter *s);            /* out of the queue */
/*
 * Should a connection that comes back be closed for another loop that waits?  With requests of its own waiting, only if
 * that loop has less than its even part, and less than this one.
 */
bool dp_seat_is_owed(struct dp_sitter *s, bool wanted_here);
void dp_seat_note_idle(struct dp_sitter *s, size_t n); /* how many connections it keeps idle */

#endif
