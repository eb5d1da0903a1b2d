/*
 * loop.h - one thread, one event loop, and everything that lives on it.
 *
 * A loop owns its connections, timers and pools alone; other threads reach it only by posting a message, which runs
 * on the loop's thread in the order posted.  So nothing on the request path needs a lock.
 *
 * Callbacks may close or free whatever they like, themselves included: what a caller further up the stack may still
 * look at is freed at the end of the turn (dp_loop_defer).
 */
#ifndef DP_NET_LOOP_H
#define DP_NET_LOOP_H

#include "base/map.h"
#include "net/wheel.h"

struct dp_loop;

#define DP_LOOP_READ_BYTES 65536u     /* so much is read from a connection at most in one turn */

struct dp_loop *dp_loop_open(unsigned index);                /* owned: dp_loop_close() after dp_loop_join() */
enum gw_rc dp_loop_start(struct dp_loop *l, struct gw_error *err) GW_MUST_CHECK; /* its own thread from now on */
/* Any thread.  `fn` runs on the loop; after dp_loop_stop() took effect it is dropped unrun: false. */
bool dp_loop_post(struct dp_loop *l, void (*fn)(struct dp_loop *l, void *arg), void *arg);
/* On the loop: no more messages; the thread ends when the last connection and listener is closed. */
void dp_loop_stop(struct dp_loop *l);
/* Any thread: it still runs, and the system owes it the address of a name.  Such a lookup cannot be stopped. */
bool dp_loop_looks_up(const struct dp_loop *l);
void dp_loop_join(struct dp_loop *l);                        /* other threads only */
void dp_loop_close(struct dp_loop **l);                      /* consumed; NULL is fine */
/* Without a thread of its own: one turn, waiting at most for the next event or timer.  For tests. */
void dp_loop_turn(struct dp_loop *l, bool wait);

unsigned dp_loop_index(const struct dp_loop *l);
int64_t dp_loop_now(const struct dp_loop *l);                /* monotonic ms, cached for the turn */
void dp_loop_set(struct dp_loop *l, void *data);             /* one pointer for the layer above */
void *dp_loop_get(const struct dp_loop *l);

void dp_loop_timer(struct dp_loop *l, struct dp_timer *t, int64_t in_ms); /* dp_timer_stop() to disarm */

/* `fn(d)` once, at the end of this turn, or of the next when called outside one.  Zero the struct before first use. */
struct dp_deferred {
	struct dp_deferred *next;
	void (*fn)(struct dp_deferred *d);
};
void dp_loop_defer(struct dp_loop *l, struct dp_deferred *d, void (*fn)(struct dp_deferred *d));

/* Open descriptors of the process as far as this layer made them, against RLIMIT_NOFILE. */
size_t dp_net_fds(void);
size_t dp_net_fd_limit(void);
bool dp_net_is_tight(void); /* few are left: keep none that may be needed by nobody */
void dp_net_setup(void);    /* once, before any thread: SIGPIPE, thread pool size, RLIMIT_NOFILE to its hard limit */

#endif
