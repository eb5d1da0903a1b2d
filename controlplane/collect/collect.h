/*
 * collect.h - what workers report, on its way into the store.
 *
 * The channel's thread hands over and goes on; one thread here writes.  Usage records are acknowledged only after
 * their transaction committed, and in the order in which they came: when the store cannot write, the batch stays at
 * the head and is tried again, so that an acknowledgement never covers a record that is not stored.  The queue is
 * bounded; when it is full the channel drops the worker, which keeps its records and sends them again.
 *
 * Series go the same way, in a queue of their own order; how long they are kept stands in the settings (`retention`).
 *
 * Rows about workers are written here too: only the newest state of each, since they change with every message.
 */
#ifndef CP_COLLECT_COLLECT_H
#define CP_COLLECT_COLLECT_H

#include "json.h"
#include "store/store.h"
#include "usage.h"

struct cp_collect; /* one per process; has a thread */

struct cp_collect_options {
	struct cp_store *store;      /* borrowed */
	size_t max_records;          /* ceiling of the queue */
	int64_t trim_ms;             /* how often old rows are looked for; 0: every ten minutes */
	/* Everything of this boot up to `seq` is stored, of usage or of series.  Called on the collector's thread. */
	void (*stored)(void *arg, uint64_t connection, struct gw_str boot_id, int64_t seq);
	void (*series_stored)(void *arg, uint64_t connection, struct gw_str boot_id, int64_t seq);
	/* Items of a `quotas` message for a worker; consumed.  On the collector's thread. */
	void (*quotas)(void *arg, uint64_t connection, json_t *items);
	void *arg;
};

struct cp_collect *cp_collect_open(const struct cp_collect_options *o);  /* owned */
/* Writes what is queued (bounded time), ends the thread.  NULL is fine. */
void cp_collect_close(struct cp_collect **c);

/*
 * From any thread, never blocks on the store.  `records` is the array of a `usage` message: consumed (json_decref'd
 * here, also when refused).  false: the queue is full, nothing was taken.
 */
bool cp_collect_usage(struct cp_collect *c, uint64_t connection, struct gw_str node, struct gw_str boot_id,
                      json_t *records);
/* The same for a `rows` message; `rows` is consumed. */
bool cp_collect_rows(struct cp_collect *c, uint64_t connection, struct gw_str node, struct gw_usage_rows *rows);
/* The same for a message of series, whose span lies around `at_ms`; `rows` is consumed. */
bool cp_collect_series(struct cp_collect *c, uint64_t connection, struct gw_str node, struct gw_str boot_id, int64_t seq,
                       int64_t at_ms, json_t *rows);
/* A message of kept prompts; consumed.  When the queue is half full, or they cannot be stored, they are lost with a log line. */
void cp_collect_capture(struct cp_collect *c, struct gw_str node, struct gw_str boot_id, json_t *records);
int64_t cp_collect_series_rows(const struct cp_collect *c);   /* taken since the start */
/* Copied; replaces a row of the same id that is still waiting. */
void cp_collect_node(struct cp_collect *c, const struct cp_node_row *row);

/* A process of a worker is there or gone, and what it says about its shares (both arrays consumed, NULL is fine). */
void cp_collect_worker(struct cp_collect *c, uint64_t connection, struct gw_str node, struct gw_str boot_id);
void cp_collect_gone(struct cp_collect *c, uint64_t connection);
void cp_collect_quota_use(struct cp_collect *c, uint64_t connection, json_t *items, json_t *boots);
/* Balances were changed by hand, or the configuration was. */
void cp_collect_quotas_changed(struct cp_collect *c, bool balances);

#endif
