/*
 * api.h - the REST API as one object: what main makes, and what it must bring along.
 *
 * main() opens store, keys, catalogue and auth, fills a cp_app, calls cp_api_open() and gives cp_api_handle and its
 * siblings to cp_httpd_open().  Everything borrowed must outlive the httpd.
 *
 * The paths, methods, roles, parameters and bodies are read from openapi.json at start; cp_api_open() refuses to
 * start when an operation of the document has no handler here or the other way round.
 */
#ifndef CP_API_API_H
#define CP_API_API_H

#include "auth/auth.h"
#include "auth/keys.h"
#include "field.h"
#include "httpd/httpd.h"
#include "store/store.h"

/* A worker as the channel sees it now.  Texts are arena. */
struct cp_node_live {
	struct gw_str id, name, version, address, listen; /* listen: "0.0.0.0:8080" */
	struct gw_str last_error;        /* last nack; absent: none */
	bool draining;
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

struct cp_app {                          /* all borrowed */
	struct cp_store *store;
	struct cp_auth *auth;
	const struct cp_keys *keys;
	const struct gw_catalog *catalog;
	json_t *catalog_json;            /* catalog.json as parsed, for /plugins and /provider-types; may be NULL */
	const struct cp_workers *workers; /* NULL: none (tests) */
	const char *openapi_path;        /* share/tidegate/openapi.json */
	const char *console_dir;         /* share/tidegate/console; missing: one plain page */
	const char *ca_fingerprint;      /* 64 hex digits, for join tokens; NULL: they cannot be made */
	unsigned channel_port;
	int64_t started_at_ms;
	const char *commit;              /* "" when not known */
	const char *backup_dir;          /* DIR/backups; NULL: POST /backup answers 503 */
};

struct cp_api;
enum gw_rc cp_api_open(struct cp_api **out, const struct cp_app *app, struct gw_error *err) GW_MUST_CHECK; /* owned */
void cp_api_close(struct cp_api **api);

/* For cp_httpd_options; arg is the struct cp_api. */
size_t cp_api_max_body(void *api, const struct cp_request *rq);
void cp_api_handle(void *api, const struct cp_request *rq, struct cp_response *rs);
void cp_api_refuse(void *api, const struct cp_request *rq, unsigned status, const char *detail, struct cp_response *rs);

#endif
