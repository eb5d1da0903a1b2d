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
#include "workers.h"

struct cp_alerts;

struct cp_app {                          /* all borrowed */
	struct cp_store *store;
	struct cp_auth *auth;
	const struct cp_keys *keys;
	const struct gw_catalog *catalog;
	struct cp_model *model;          /* of the same store, catalog and keys; told of every commit */
	json_t *catalog_json;            /* catalog.json as parsed, for /plugins and /provider-types; may be NULL */
	const struct cp_workers *workers; /* NULL: none (tests) */
	const char *openapi_path;        /* share/tidegate/openapi.json */
	const char *console_dir;         /* share/tidegate/console; missing: one plain page */
	const char *ca_fingerprint;      /* 64 hex digits, for join tokens; NULL: they cannot be made */
	unsigned channel_port;
	int64_t started_at_ms;
	const char *commit;              /* "" when not known */
	void (*quota_changed)(void *arg); /* somebody changed a balance by hand; NULL: nobody cares */
	void *quota_arg;
	const char *backup_dir;          /* DIR/backups; NULL: POST /backup answers 503 */
	struct cp_alerts *alerts;        /* NULL: none (tests) */
	int64_t (*series_rows)(void *arg); /* taken from workers since the start; NULL: none (tests) */
	void *series_arg;
};

struct cp_api;
enum gw_rc cp_api_open(struct cp_api **out, const struct cp_app *app, struct gw_error *err) GW_MUST_CHECK; /* owned */
void cp_api_close(struct cp_api **api);

/* For cp_httpd_options; arg is the struct cp_api. */
size_t cp_api_max_body(void *api, const struct cp_request *rq);
void cp_api_handle(void *api, const struct cp_request *rq, struct cp_response *rs);
void cp_api_refuse(void *api, const struct cp_request *rq, unsigned status, const char *detail, struct cp_response *rs);

#endif
