/*
 * alert_store.h - what fired, when it was over, and who was told.
 *
 * An event is open from the moment a rule fires for an object until that is over; there is at most one open event for
 * each pair.  Deliveries belong to an event.  Old events go with their deliveries.
 */
#ifndef CP_STORE_ALERT_STORE_H
#define CP_STORE_ALERT_STORE_H

#include "store/store.h"

struct cp_alert_event {          /* texts borrowed when given, for the call when received */
	int64_t id;
	struct gw_str rule, object, severity, text;
	double value;
	int64_t started_at_ms, ended_at_ms;  /* 0: still open */
	bool silenced;               /* nobody was told, because of a silence */
};
/* Opens one; e->id is set. */
enum gw_rc cp_alert_open(struct cp_store *s, struct cp_alert_event *e, struct gw_error *err) GW_MUST_CHECK;
enum gw_rc cp_alert_end(struct cp_store *s, int64_t id, int64_t at_ms, struct gw_error *err) GW_MUST_CHECK;
/* A silence came or went while it is open, or its value moved on. */
enum gw_rc cp_alert_touch(struct cp_store *s, const struct cp_alert_event *e, struct gw_error *err) GW_MUST_CHECK;
/* Newest first, below `before` (0: from the newest).  `rule` absent: of every one; open_only: those not over. */
enum gw_rc cp_alerts_each(struct cp_txn *t, struct gw_str rule, bool open_only, int64_t before,
                          bool (*row)(void *arg, const struct cp_alert_event *e), void *arg, struct gw_error *err) GW_MUST_CHECK;

struct cp_delivery { int64_t event, at_ms, tries; struct gw_str channel, state, detail; bool ok; };
enum gw_rc cp_delivery_add(struct cp_store *s, const struct cp_delivery *d, struct gw_error *err) GW_MUST_CHECK;
enum gw_rc cp_deliveries_each(struct cp_txn *t, int64_t event, bool (*row)(void *arg, const struct cp_delivery *d), void *arg,
                              struct gw_error *err) GW_MUST_CHECK;
/* Events that ended before then, a bounded number at a time. */
enum gw_rc cp_alerts_trim(struct cp_store *s, int64_t before_ms, struct gw_error *err) GW_MUST_CHECK;

#endif
