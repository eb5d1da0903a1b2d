/*
 * alerts.h - rules that watch, and telling people.
 *
 * One thread looks at every enabled rule each ten seconds, a moment after the workers' figures have come.  A rule names
 * what it watches; each object it is broken for (a route, a provider, a worker, a certificate) is a case of its own: it
 * must stay broken for the rule's `for`, then an event opens and the rule's channels are told, and told again every
 * `repeat`; when it has been whole for one look the event ends and who was told of it is told that.  Silences keep the
 * telling back, not the event.  Open events and messages that wait are in the store, so that a restart neither forgets nor
 * repeats; how long something not yet open was broken is forgotten.  After a start nothing is judged before the workers
 * are back (or a minute is over): what they did meanwhile is not known before.
 *
 * A second thread sends: see sender.h.
 */
#ifndef CP_ALERTS_ALERTS_H
#define CP_ALERTS_ALERTS_H

#include "auth/keys.h"
#include "notify/notify.h"
#include "store/store.h"
#include "workers.h"

struct cp_alerts; /* one per process; has two threads */

struct cp_alerts_options {                       /* all borrowed */
	struct cp_store *store;
	const struct cp_keys *keys;
	const struct cp_workers *workers;
	/* Names and ends of the certificates in use: calls `each` for every one. */
	void (*certificates)(void *arg, void (*each)(void *to, const char *name, int64_t expires_at_ms), void *to);
	void *arg;
	int64_t every_ms;                        /* 0: ten seconds */
};
struct cp_alerts *cp_alerts_open(const struct cp_alerts_options *o);     /* owned */
void cp_alerts_close(struct cp_alerts **a);                              /* what is queued is sent after the next start */

/* Try a channel with a message of its own, now, on the caller's thread.  GW_NOTFOUND: there is none of that name. */
enum gw_rc cp_alerts_test(struct cp_alerts *a, struct gw_str channel, struct gw_error *err) GW_MUST_CHECK;
/* For /metrics. */
void cp_alerts_counts(struct cp_alerts *a, int64_t firing[3], int64_t sent[CP_CHANNEL_TYPES][2]); /* info warning critical; failed, sent */

/* For /metrics: what `budget`, `certificate_expiry` and `config_rejected` look at, whether there are such rules or not. */
struct cp_alerts_standing {
	size_t used_80, used_100;                /* quotas of which so many per cent are used */
	size_t refusing;                         /* connected workers that refused the newest configuration */
	int64_t certificate_end_ms;              /* of the first to end; 0: there is none */
};
enum gw_rc cp_alerts_standing(struct cp_alerts *a, struct cp_txn *t, struct gw_arena *arena, struct cp_alerts_standing *out,
                              struct gw_error *err) GW_MUST_CHECK;

/* Grows with every event that begins, changes or ends, and with every message that was sent or given up. */
int64_t cp_alerts_version(struct cp_alerts *a);

/* ---- this folder's own ---- */

enum cp_watch { CP_WATCH_SERIES, CP_WATCH_PROVIDER_DOWN, CP_WATCH_WORKER_LOST, CP_WATCH_CERTIFICATE_EXPIRY, CP_WATCH_CONFIG_REJECTED, CP_WATCH_BUDGET };
enum cp_statistic { CP_STAT_TOTAL, CP_STAT_RATE, CP_STAT_SHARE, CP_STAT_P50, CP_STAT_P95, CP_STAT_P99, CP_STAT_MEAN, CP_STAT_VALUE };

struct cp_rule {                                 /* texts are arena */
	struct gw_str name, description, severity, metric, by, only[3]; /* only: route, provider, consumer */
	int watch, statistic;
	bool below, enabled;
	double threshold;
	int64_t window_ms, for_ms, repeat_ms, min_count;
	struct gw_strv channels;
};
bool cp_rule_read(struct cp_rule *out, struct gw_str name, struct gw_str spec, struct gw_arena *a);

/* One object for which the rule is broken at this moment.  Texts are arena. */
struct cp_case {
	struct gw_str object, text, text_zh;     /* the same sentence twice */
	double value;
	bool unknown;                            /* cannot be told now: an open event stays, none opens */
};
struct cp_cases { struct cp_case *v; size_t n, cap; };
enum gw_rc cp_watch_look(struct cp_cases *out, const struct cp_rule *r, const struct cp_alerts_options *o, struct cp_txn *t, int64_t now_ms,
                         struct gw_arena *a, struct gw_error *err) GW_MUST_CHECK;

/* Why this statistic says nothing about the rule's series; NULL: it fits.  Arena. */
const char *cp_rule_misfit(const struct cp_rule *r, struct cp_txn *t, struct gw_arena *a);

/* A channel with its secrets opened (arena). */
enum gw_rc cp_channel_read(struct cp_channel *out, struct cp_txn *t, const struct cp_keys *keys, struct gw_str name, struct gw_arena *a,
                           bool *enabled, struct gw_error *err) GW_MUST_CHECK;

#endif
