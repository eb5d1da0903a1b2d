/*
 * hub.h - every worker gets the newest configuration, and what each one has is known.
 *
 * A commit wakes the publisher's thread, which takes the newest revision from the model.  A worker that serves one of
 * the revisions remembered here gets what changed since; any other gets the whole.  Both are encoded once for all
 * connections that need the same.  A worker gets its next message when it has answered the last one; a worker that
 * does not answer in time is dropped and starts over.  An ACK moves its revision, a NACK is kept as its
 * last error and shown, and the worker serves what it had.
 *
 * The same object holds the conversation with each worker: hello and welcome, heartbeats, calls and their results.
 * Handlers of ws.h run on the channel's thread; the functions below may be called from any thread.
 */
#ifndef CP_PUBLISH_HUB_H
#define CP_PUBLISH_HUB_H

#include "auth/keys.h"
#include "store/store.h"
#include "usage.h"
#include "workers.h"
#include "ws/ws.h"

struct cp_hub; /* one per process; has a thread */

struct cp_hub_options {
	struct cp_store *store;          /* borrowed */
	const struct cp_keys *keys;      /* borrowed */
	struct cp_model *model;          /* borrowed; told of every commit before the hub is */
	int64_t hello_ms;                /* a connection must have said hello by then */
	int64_t answer_ms;               /* a snapshot must be answered by then */
	int64_t heartbeat_ms;            /* told to workers; three missed ones end the connection */
	/* A `usage` message; records is consumed.  false: no room, the worker is dropped and sends them again. */
	bool (*usage)(void *arg, uint64_t connection, struct gw_str node, struct gw_str boot_id, json_t *records);
	/* The same of a `rows` message; rows is consumed. */
	bool (*rows)(void *arg, uint64_t connection, struct gw_str node, struct gw_usage_rows *rows);
	/* A `series` message, whose span lies around `at_ms`; the same. */
	bool (*series)(void *arg, uint64_t connection, struct gw_str node, struct gw_str boot_id, int64_t seq, int64_t at_ms, json_t *rows);
	/* A worker greeted, left, and said something about its shares of quotas (consumed; boots may be NULL). */
	void (*worker)(void *arg, uint64_t connection, struct gw_str node, struct gw_str boot_id);
	void (*gone)(void *arg, uint64_t connection);
	void (*quota_use)(void *arg, uint64_t connection, json_t *items, json_t *boots);
	/* A `capture` message; records is consumed.  They may be lost. */
	void (*capture)(void *arg, struct gw_str node, struct gw_str boot_id, json_t *records);
	/* What is worth remembering of a worker changed. */
	void (*node)(void *arg, const struct cp_node_row *row);
	void *arg;
};

struct cp_hub *cp_hub_open(const struct cp_hub_options *o);      /* owned */
struct cp_ws_handlers cp_hub_handlers(struct cp_hub *h);
/* Starts publishing over `ws` (borrowed), made with those handlers and not started yet. */
void cp_hub_start(struct cp_hub *h, struct cp_ws *ws);
/* Says bye to every worker and ends the thread.  Then close the ws, then the hub. */
void cp_hub_stop(struct cp_hub *h);
void cp_hub_close(struct cp_hub **h);                            /* consumed; NULL is fine */

/* For cp_store_on_commit(): only signals. */
void cp_hub_committed(void *hub, uint64_t revision);
/* Tell a worker that its records up to `seq` are stored. */
void cp_hub_usage_stored(struct cp_hub *h, uint64_t connection, struct gw_str boot_id, int64_t seq);
/* Items of a `quotas` message; consumed.  Any thread. */
void cp_hub_send_quotas(struct cp_hub *h, uint64_t connection, json_t *items);
void cp_hub_series_stored(struct cp_hub *h, uint64_t connection, struct gw_str boot_id, int64_t seq);

struct cp_workers cp_hub_workers(struct cp_hub *h);              /* borrows h */

#endif
