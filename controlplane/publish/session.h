/*
 * session.h - inside publish: one connected worker, and the hub that holds them.
 *
 * hub.c runs the publisher, session.c the conversation, calls.c requests to workers and the view of workers.h.  All
 * of it is guarded by the hub's one lock, which is never held over I/O.
 */
#ifndef CP_PUBLISH_SESSION_H
#define CP_PUBLISH_SESSION_H

#include <pthread.h>

#include "base/map.h"
#include "publish/hub.h"
#include "wire.h"

#define CP_ID_MAX   64
#define CP_TEXT_MAX 256
#define CP_COMMITS  256 /* commit times remembered, to tell how long a change took to be served */
#define CP_PAST     256 /* revisions remembered; they share with the newest what did not change */
#define CP_PAST_CHANGES 50000 /* objects that they may differ in altogether */

struct cp_session {
	struct gw_node on;
	uint64_t connection;
	bool greeted;                    /* hello was accepted: a worker, no longer just a connection */
	int64_t opened_ms;               /* monotonic */
	char token_id[32];
	char id[CP_ID_MAX], boot_id[CP_ID_MAX], name[CP_ID_MAX], version[CP_ID_MAX];
	char address[CP_ID_MAX], listen[CP_ID_MAX];
	char last_error[CP_TEXT_MAX + 256];
	char goodbye[CP_TEXT_MAX];       /* why it left, when it said so */
	bool serves;                     /* it has a snapshot of our epoch */
	uint64_t revision;               /* the one it serves; 0 unless `serves` */
	bool has_state;                  /* `state` is that one's; an older worker does not say */
	struct gw_digest state;
	struct gw_digest digest;         /* of the whole message that it came by; an older worker says nothing else */
	bool deltas;                     /* it takes them */
	bool wants_whole;                /* it could not apply one; asked again, it would not either */
	uint64_t sent;                   /* last revision sent to it */
	bool sent_any, sent_delta;
	int64_t unanswered_ms;           /* monotonic; since when a snapshot is on its way; 0: none is */
	int64_t lag_ms;                  /* commit to ACK of the last one */
	bool draining;
	int64_t seen_ms, seen_mono_ms, first_seen_ms, started_at_ms;
	int64_t requests, errors, in_flight, connections, rss_bytes, usage_dropped, counters_away;
	json_t *providers_out;           /* as it told last; owned, may be NULL */
};

struct cp_call {                         /* on the stack of the thread that waits */
	struct gw_node on;
	uint64_t id, connection;
	bool done;
	enum gw_rc rc;
	struct gw_error err;
	json_t *result;                  /* owned by the waiting thread */
};

/* A revision from which a worker may be led on by what changed since. */
struct cp_past {
	struct gw_snapshot *snapshot;
	size_t changes;                  /* objects that the next one has changed */
	struct cp_ws_bytes *delta;       /* to the newest; NULL until somebody needs it */
};

struct cp_seen_token { uint8_t hash[32]; char id[32]; int64_t until_ms; };

struct cp_hub {
	unsigned magic;
	struct cp_hub_options o;
	struct cp_ws *ws;
	pthread_t thread;
	bool started;
	pthread_mutex_t lock;
	pthread_cond_t wake;             /* publisher: wanted moved, or stop */
	pthread_cond_t changed;          /* waiters: a session or a call moved */
	bool stop;
	struct gw_node sessions, calls;
	uint64_t last_call, next_pick;
	struct cp_seen_token seen[8];    /* just verified: the upgrade asks twice, and a use is counted once */
	size_t next_seen;
	int64_t ticked_ms;               /* monotonic; the last tick */

	uint64_t wanted;                 /* newest committed revision */
	bool have_latest;
	uint64_t latest;                 /* newest compiled one */
	struct gw_snapshot *latest_snapshot;
	struct gw_digest latest_state;
	struct cp_ws_bytes *whole;       /* the newest as a message; NULL until somebody needs it */
	struct gw_digest whole_digest;   /* of its bytes */
	struct cp_past past[CP_PAST];    /* a ring of what was the newest before, oldest first */
	size_t first_past, n_past, past_changes;
	char epoch[CP_ID_MAX];
	struct { uint64_t revision; int64_t mono_ms; } commits[CP_COMMITS];
	uint64_t served_logged;          /* newest revision known to be served by all */
};

#define CP_HUB_MAGIC 0x63706875u

/* A worker that counts: it said hello and is not on its way out. */
static inline bool cp_session_live(const struct cp_session *s)
{
	return s->greeted && !s->goodbye[0];
}

/* All with the lock held. */
struct cp_session *cp_session_find(struct cp_hub *h, uint64_t connection);
void cp_session_offer(struct cp_hub *h, struct cp_session *s);   /* send the newest snapshot if it is due */
void cp_session_remember(struct cp_hub *h, const struct cp_session *s, const char *left);
struct cp_ws_bytes *cp_hub_whole(struct cp_hub *h);              /* the newest revision; borrowed; NULL: too large */
/* From the revision that a worker serves to the newest; borrowed.  NULL: that one is not remembered, or is another. */
struct cp_ws_bytes *cp_hub_delta(struct cp_hub *h, uint64_t base, const struct gw_digest *state);
void cp_hub_check_served(struct cp_hub *h);                      /* log how long the newest revision took */
int64_t cp_hub_commit_ms(const struct cp_hub *h, uint64_t revision); /* monotonic; 0: not known */
void cp_calls_fail(struct cp_hub *h, uint64_t connection, const char *why);
void cp_calls_result(struct cp_hub *h, uint64_t connection, const struct gw_wire *w);
void cp_hub_write(struct cp_hub *h, uint64_t connection, json_t *message); /* message is consumed */
void cp_hub_wait_until(struct cp_hub *h, pthread_cond_t *c, int64_t mono_ms);

#endif
