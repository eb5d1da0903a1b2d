/*
 * alert_store.h - what fired, when it was over, who was told, and what is still to be told.
 *
 * An event is open from the moment a rule fires for an object until that is over; there is at most one open event for
 * each pair.  Messages about it are put into the outbox in the transaction that opens, changes or ends it, so that a
 * restart at any moment neither loses nor doubles one.  There they wait until they were delivered or given up; what
 * became of them is a delivery of the event.  Old events go with their deliveries.
 */
#ifndef CP_STORE_ALERT_STORE_H
#define CP_STORE_ALERT_STORE_H

#include "field.h"
#include "store/store.h"

#define CP_OUTBOX_MAX 1000       /* messages; what comes when it is full is a delivery that failed */

struct cp_alert_event {          /* texts borrowed when given, for the call when received */
	int64_t id;
	struct gw_str rule, object, severity, text, text_zh;
	double value;
	int64_t started_at_ms, ended_at_ms;  /* 0: still open */
	int64_t told_at_ms;          /* people, last; 0: never */
	bool silenced;               /* nobody was told, because of a silence */
};

/* What people are told with a change of an event; borrowed. */
struct cp_telling {
	struct gw_strv channels;
	struct gw_str text, text_zh, description;
	double value;
	int64_t at_ms;
};
/* Opens one; e->id is set.  `tell` NULL: nobody is told. */
enum gw_rc cp_alert_open(struct cp_store *s, struct cp_alert_event *e, const struct cp_telling *tell, struct gw_error *err) GW_MUST_CHECK;
/* Ends it.  Whom `tell` names does not matter: it goes to the channels that were told of its beginning, and no other. */
enum gw_rc cp_alert_end(struct cp_store *s, int64_t id, int64_t at_ms, const struct cp_telling *tell, struct gw_error *err) GW_MUST_CHECK;
/* A silence came or went while it is open, or people are told again. */
enum gw_rc cp_alert_touch(struct cp_store *s, const struct cp_alert_event *e, const struct cp_telling *tell, struct gw_error *err) GW_MUST_CHECK;
/* Newest first, below `before` (0: from the newest).  `rule` absent: of every one; open_only: those not over. */
enum gw_rc cp_alerts_each(struct cp_txn *t, struct gw_str rule, bool open_only, int64_t before,
                          bool (*row)(void *arg, const struct cp_alert_event *e), void *arg, struct gw_error *err) GW_MUST_CHECK;

/* ---- the outbox ---- */

struct cp_message {
	int64_t id, event, tries;
	struct gw_str channel, state, rule, object, severity, text, text_zh, description;
	double value;
	int64_t started_at_ms, ended_at_ms, made_at_ms, due_at_ms;
};
/* The one that is due first, later than `now` or not; arena.  Of one event and channel only the oldest.  GW_NOTFOUND: none waits. */
enum gw_rc cp_message_first(struct cp_txn *t, struct gw_arena *a, struct cp_message *out, struct gw_error *err) GW_MUST_CHECK;
/* It was tried once more in vain: it and the others for its channel wait until due_ms. */
enum gw_rc cp_message_later(struct cp_store *s, const struct cp_message *m, int64_t due_ms, struct gw_str why, struct gw_error *err) GW_MUST_CHECK;

struct cp_delivery {
	int64_t event, at_ms, tries;
	struct gw_str channel, state, detail;
	bool ok, pending;            /* pending: it waits for another try, at at_ms */
};
/* It leaves the outbox and becomes this delivery. */
enum gw_rc cp_message_done(struct cp_store *s, const struct cp_message *m, const struct cp_delivery *d, struct gw_error *err) GW_MUST_CHECK;
/* What became of an event's messages, in order, and those that still wait. */
enum gw_rc cp_deliveries_each(struct cp_txn *t, int64_t event, bool (*row)(void *arg, const struct cp_delivery *d), void *arg,
                              struct gw_error *err) GW_MUST_CHECK;
/* Events that ended before then, a bounded number at a time. */
enum gw_rc cp_alerts_trim(struct cp_store *s, int64_t before_ms, struct gw_error *err) GW_MUST_CHECK;

#endif
