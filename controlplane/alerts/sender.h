/*
 * sender.h - the thread that sends what waits in the outbox.
 *
 * One message after another, the one that is due first.  What fails is tried again after growing pauses for a day, and
 * what else waits for the same channel waits with it, so that one dead receiver does not hold up the others.  A message
 * leaves the outbox in the transaction that records what became of it: one that was sent in the moment of a crash is sent
 * again, with the same id and state.  What waits when the process ends is sent after the next start.
 */
#ifndef CP_ALERTS_SENDER_H
#define CP_ALERTS_SENDER_H

#include "auth/keys.h"
#include "notify/notify.h"
#include "store/store.h"

struct cp_sender;

struct cp_sender *cp_sender_open(struct cp_store *store, const struct cp_keys *keys); /* both borrowed; owned */
void cp_sender_close(struct cp_sender **s);
void cp_sender_wake(struct cp_sender *s);        /* any thread: something new waits */
/* Send one now, on the caller's thread; counted with the others.  GW_NOTFOUND: there is no such channel. */
enum gw_rc cp_sender_test(struct cp_sender *s, struct gw_str channel, struct gw_error *err) GW_MUST_CHECK;
int64_t cp_sender_done(const struct cp_sender *s);                 /* tries so far */
void cp_sender_counts(const struct cp_sender *s, int64_t sent[CP_CHANNEL_TYPES][2]);  /* failed, sent */

#endif
