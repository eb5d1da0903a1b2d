/*
 * workers.h - the connected workers, as the API asks about them and the channel answers.
 *
 * It stands between two folders of one level, so that neither includes the other: publish implements it, api calls
 * it, and main hands one to the other.
 */
#ifndef CP_WORKERS_H
#define CP_WORKERS_H

#include "base/arena.h"
#include "base/gw.h"
#include "field.h"
#include "json.h"

/* A worker as the channel sees it now.  Texts are arena. */
struct cp_node_live {
	struct gw_str id, name, version, address, listen; /* listen: "0.0.0.0:8080" */
	struct gw_str last_error;        /* last nack; absent: none */
	struct gw_strv providers_out;    /* of which it can use no key or no server now */
	bool draining;
	bool counters_away;              /* it cannot reach the shared counters */
	uint64_t revision;               /* served; 0: none yet */
	int64_t last_seen_ms, started_at_ms, requests, in_flight;
};

/*
 * The connected workers, implemented by the channel (ws, publish).  All functions are called from the httpd's pool
 * threads and may block for the time given.
 */
struct cp_workers {
	void *self;
	/* The connected ones, in no particular order.  *out is arena. */
	size_t (*list)(void *self, struct gw_arena *a, struct cp_node_live **out);
	/* True as soon as every connected worker serves `revision` or newer; false when the time is over.  None connected: true. */
	bool (*wait)(void *self, uint64_t revision, int64_t timeout_ms);
	/*
	 * Have a worker do something (wire.h `call`): ops provider_test provider_models provider_health drain.  `node`
	 * absent: any connected one.  `args` is consumed; *result is owned.  GW_NOTFOUND: no such worker or none connected;
	 * GW_BUSY: no answer in time; else what the worker's error says.
	 */
	enum gw_rc (*call)(void *self, struct gw_str node, const char *op, json_t *args, int64_t timeout_ms,
	                   json_t **result, struct gw_error *err);
	/* Close its connection (token revoked, node removed).  Unknown ids are fine. */
	void (*kick)(void *self, struct gw_str node);
	/* Close the connections of all workers that joined with this token. */
	void (*kick_token)(void *self, struct gw_str join_token_id);
};

#endif
