/*
 * internal.h - what the files of this folder share: one call's context, answers, and the engine over kinds.
 */
#ifndef CP_API_INTERNAL_H
#define CP_API_INTERNAL_H

#include <stdatomic.h>

#include "api/api.h"
#include "base/str.h"
#include "base/time.h"
#include "snapshot.h"
#include "ui/ui.h"
#include "validate/contract.h"

#define CP_API_MAGIC 0x41504920u
#define CP_MAX_SPEC (16u << 20)
#define CP_MAX_BODY (1u << 20)
#define CP_MAX_APPLY (8u << 20)

struct cp_ctx;
typedef void cp_handler(struct cp_ctx *x);

struct cp_api {
	unsigned magic;
	struct cp_app app;
	struct cp_contract *contract;
	struct cp_ui *ui;
	cp_handler **handlers;           /* by operation index */
	enum cp_role *roles;             /* by operation index */
	char *openapi;                   /* the document as sent */
	size_t openapi_n;
	_Atomic unsigned waiting;        /* long polls and questions to workers now */
	_Atomic unsigned exporting, listening; /* exports and streams of events now */
	_Atomic int64_t warned_full_ms;
	struct cp_pulse *pulse;          /* what events are made of; see events.c */
};

/* One call.  Lives on the stack of the pool thread. */
struct cp_ctx {
	struct cp_api *api;
	const struct cp_app *app;
	const struct cp_request *rq;
	struct cp_response *rs;
	struct gw_arena *a;
	const struct cp_operation *op;
	struct cp_caller caller;
	struct cp_actor actor;
	struct gw_str param[4];          /* of the path, in order */
	json_t *query;                   /* typed, with defaults; owned by the dispatcher */
	json_t *body;                    /* checked and completed; owned by the dispatcher, NULL: none */
	json_t *faults;                  /* owned by the dispatcher */
	bool dry_run;
};

/* ---- answers (problem.c); json is consumed ---- */

void cp_answer(struct cp_ctx *x, unsigned status, json_t *body);
void cp_answer_empty(struct cp_ctx *x, unsigned status);
/* `slug` is the end of the problem's type; `errors` is consumed, NULL: none. */
void cp_problem(struct cp_ctx *x, unsigned status, const char *slug, json_t *errors, const char *fmt, ...) GW_PRINTF(5, 6);
/* What a failed call below means to the client; err->path becomes the fault's. */
void cp_problem_error(struct cp_ctx *x, const struct gw_error *err);
/* 400 with x->faults, when there are any. */
bool cp_problem_faults(struct cp_ctx *x);
void cp_etag(struct cp_ctx *x, uint64_t revision);
void cp_revision_header(struct cp_ctx *x, uint64_t revision);
const char *cp_problem_title(const char *slug);
json_t *cp_problem_json(const char *request_id, unsigned status, const char *slug, struct gw_str detail);

/*
 * Long polls and questions to workers hold a thread of the pool; at most half of them may do so at once.  end() follows
 * begin() whatever it answered.
 */
bool cp_wait_begin(struct cp_ctx *x);
void cp_wait_end(struct cp_ctx *x);

/* ---- small things ---- */

struct gw_str cp_query_text(const struct cp_ctx *x, const char *name); /* absent: {NULL,0} */
int64_t cp_query_int(const struct cp_ctx *x, const char *name, int64_t otherwise);
json_t *cp_text_json(struct gw_str s);           /* absent gives null; owned */
json_t *cp_time_json(int64_t ms);                /* 0 gives null; owned */
json_t *cp_spec_parse(struct gw_str spec);       /* what the store holds is JSON; owned, {} if it is not */
struct gw_str cp_json_text(struct cp_ctx *x, const json_t *v); /* canonical, arena */
bool cp_contains_nocase(struct gw_str hay, struct gw_str needle);
/* CP_ANY without If-Match.  false: a problem was answered. */
bool cp_if_match(struct cp_ctx *x, uint64_t *out);

/* ---- pages ---- */

struct cp_page { json_t *items; size_t limit; uint64_t after; int64_t total; uint64_t last; bool more; };
/* {"items","next_cursor","total"} with `cursor` NULL for none; items consumed. */
json_t *cp_list_json(json_t *items, const char *cursor, int64_t total);

/* ---- kinds (kinds.c, engine.c) ---- */

struct cp_kind_api {
	enum gw_kind kind;
	const char *write_schema;        /* "ProviderWrite"; NULL: no generic writes */
	const char *key;                 /* member that shows the object's name: "name", "id", "username" */
	/* Add what is not in the specification (keys, last use).  `o` is the view so far. */
	enum gw_rc (*view)(struct cp_ctx *x, struct cp_txn *t, const struct cp_record *r, json_t *o, struct gw_error *err);
	/*
	 * From a checked body to a specification, in place: secrets sealed, or taken from `old` where left out.
	 * Faults go to x->faults below `path`.
	 */
	void (*seal)(struct cp_ctx *x, json_t *body, const json_t *old, const char *path);
};
const struct cp_kind_api *cp_kind_api(enum gw_kind k);

/* The object as a client sees it: name, specification masked, times, revision; owned.  NULL: *err says why. */
json_t *cp_view(struct cp_ctx *x, struct cp_txn *t, const struct cp_record *r, struct gw_error *err);
/* A specification without its secrets, as a body that could be sent; owned. */
json_t *cp_writable(const json_t *spec);
/* Secret members of a flat object described by fields: `where` is a plugin's settings or a provider's options. */
void cp_seal_fields(struct cp_ctx *x, const struct gw_field *fields, json_t *conf, const json_t *old, const char *path);
/* The old sealed value when the secret is the same, so that writing it again changes nothing; owned. */
json_t *cp_seal_value(struct cp_ctx *x, struct gw_str plain, const json_t *old);

/* What a validated write led to. */
struct cp_written { uint64_t revision; json_t *warnings; };
/*
 * Everything after the objects were put: prove the whole with them in it, then commit, or abort on a dry run.  `prefix`
 * is the pointer of the one object ("/routes/r1") that faults and warnings are shown relative to, or NULL for all, or
 * "" when warnings are not wanted.
 * The change is consumed.  false: the problem was answered.
 */
bool cp_finish(struct cp_ctx *x, struct cp_change **c, const char *prefix, struct cp_written *out);
/* Answer a list of this kind, from the query's limit, cursor, q and sort. */
void cp_list(struct cp_ctx *x, enum gw_kind k);
void cp_read(struct cp_ctx *x, enum gw_kind k, struct gw_str name);
void cp_create(struct cp_ctx *x, enum gw_kind k);
/* patch: x->body is a merge patch, else the whole object.  may_create: PUT of a name that is not there makes it. */
void cp_write(struct cp_ctx *x, enum gw_kind k, struct gw_str name, bool patch, bool may_create);
void cp_remove(struct cp_ctx *x, enum gw_kind k, struct gw_str name);
/* Everything that refers to this object, as faults with code `referenced` (owned array). */
json_t *cp_referrers(struct cp_ctx *x, struct cp_txn *t, enum gw_kind k, struct gw_str name, struct gw_error *err);
/* Put a specification; a no-op when nothing changed.  Errors are gw_rc, not answers. */
enum gw_rc cp_put_spec(struct cp_ctx *x, struct cp_change *c, enum gw_kind k, struct gw_str name, const json_t *spec,
                       uint64_t if_match, struct gw_error *err) GW_MUST_CHECK;
/* Delete a consumer's keys with it. */
enum gw_rc cp_remove_keys(struct cp_ctx *x, struct cp_change *c, struct gw_str consumer, struct gw_error *err) GW_MUST_CHECK;

/* `expires_at` of a body that makes a credential or token: 0, not given; a time that is over is a fault. */
int64_t cp_expiry(struct cp_ctx *x);

/* ---- what a consumer is recognised by (identity.c); `key`: one of its keys, else another credential ---- */

bool cp_is_key(const json_t *spec);                                /* a credential of type key has no "type" */
json_t *cp_identity_shown(const json_t *spec);                     /* without what must not be seen; owned */
json_t *cp_identity_view(struct cp_txn *t, const struct cp_record *r);  /* owned */
/* The consumer named in the path must exist; so must what the path names of it, unless `out` is NULL. */
enum gw_rc cp_identity_find(struct cp_ctx *x, struct cp_txn *t, bool key, struct cp_record *out,
                            struct gw_error *err) GW_MUST_CHECK;
/* Commit what was done, and show `id`; `secret` absent: no secret.  The change is consumed by both. */
void cp_identity_finish(struct cp_ctx *x, struct cp_change **c, bool key, struct gw_str id, struct gw_str secret, unsigned status);
void cp_identity_give_up(struct cp_ctx *x, struct cp_change **c, enum gw_rc rc, const struct gw_error *err);  /* GW_OK: there are faults */

/* ---- consumer keys (keys.c), used by declarative apply too ---- */

/* {"name","enabled","expires_at","prefix","last4"} of a key with this value; owned. */
json_t *cp_key_spec(struct gw_str name, struct gw_str value, bool enabled, json_t *expires_at);

/* ---- credentials of other types (credentials.c) ---- */

/*
 * Put one made from `wanted` (checked against the contract) under `id`; `old` is the stored specification or NULL.  A
 * secret that has to be made is written into `wanted`.  Faults go to x->faults below `path`.
 */
enum gw_rc cp_credential_put(struct cp_ctx *x, struct cp_change *c, struct gw_str consumer, struct gw_str id, json_t *wanted,
                             const json_t *old, const char *path, struct gw_error *err) GW_MUST_CHECK;
struct gw_str cp_credential_new_id(struct cp_ctx *x);

/* ---- quotas (quotas.c) ---- */

/* Adds `balance`. */
enum gw_rc cp_view_quota(struct cp_ctx *x, struct cp_txn *t, const struct cp_record *r, json_t *o, struct gw_error *err);
/* What must not change of a quota, since its book is kept in it. */
void cp_keep_quota(struct cp_ctx *x, json_t *body, const json_t *old, const char *path);

/* ---- alerts (alerts.c): what their kinds need beyond the engine ---- */

void cp_seal_alert(struct cp_ctx *x, json_t *body, const json_t *old, const char *path);
void cp_seal_alert_channel(struct cp_ctx *x, json_t *body, const json_t *old, const char *path);
/* Do all alerts name channels that exist, with the change in it?  The path is as in a compile: "/alerts/a/channels/0". */
enum gw_rc cp_check_alert_channels(struct cp_ctx *x, struct cp_change *c, struct gw_error *err) GW_MUST_CHECK;
void cp_seal_silence(struct cp_ctx *x, json_t *body, const json_t *old, const char *path);

/* ---- what the workers have of a server now (endpoint_live.c) ---- */

/* Of `pool`, `queue`, `addresses` and the like as yet nothing is known. */
void cp_endpoint_live_begin(json_t *endpoint);
#define CP_ENDPOINT_LIVE_ROOM 4096               /* addresses in one answer */
/* One worker's word on the same endpoint.  *room counts down the addresses that the whole answer may still list. */
void cp_endpoint_live_fold(json_t *endpoint, const json_t *theirs, const struct cp_node_live *w, size_t *room);

/* ---- events (events.c) ---- */

struct cp_pulse *cp_pulse_open(void);            /* owned */
void cp_pulse_close(struct cp_pulse **p);

/* ---- documents (document.c) ---- */

/* ConfigDocument of what cp_config_at() gave; borrowed in, owned out. */
json_t *cp_document(const json_t *config, uint64_t revision);
/* Change[] from one configuration to another, masked; owned. */
json_t *cp_diff(const json_t *from, const json_t *to);

/* ---- handlers: X(operationId) ---- */

#define CP_HANDLER_TABLE(X)                                                                                        \
	X(get_setup) X(post_setup) X(login) X(get_session) X(logout)                                               \
	X(list_users) X(create_user) X(get_user) X(patch_user) X(delete_user) X(change_password)                   \
	X(list_tokens) X(create_token) X(get_token) X(delete_token)                                                \
	X(list_join_tokens) X(create_join_token) X(get_join_token) X(delete_join_token)                            \
	X(get_settings) X(replace_settings) X(patch_settings)                                                      \
	X(list_provider_types) X(get_provider_type) X(list_plugins) X(get_plugin)                                  \
	X(list_providers) X(create_provider) X(get_provider) X(replace_provider) X(patch_provider) X(delete_provider) \
	X(test_provider) X(list_vendor_models) X(get_provider_health) X(clear_provider_health)                     \
	X(list_routes) X(create_route) X(get_route) X(replace_route) X(patch_route) X(delete_route) X(explain_route) \
	X(list_consumers) X(create_consumer) X(get_consumer) X(replace_consumer) X(patch_consumer) X(delete_consumer) \
	X(list_consumer_keys) X(create_consumer_key) X(patch_consumer_key) X(delete_consumer_key) X(rotate_consumer_key) \
	X(get_consumer_limits) X(get_group_limits) X(get_route_limits)                                               \
	X(list_alerts) X(create_alert) X(get_alert) X(replace_alert) X(patch_alert) X(delete_alert)                \
	X(list_alert_channels) X(create_alert_channel) X(get_alert_channel) X(replace_alert_channel)               \
	X(patch_alert_channel) X(delete_alert_channel) X(test_alert_channel) X(list_alert_events)                  \
	X(list_silences) X(create_silence) X(get_silence) X(replace_silence) X(patch_silence) X(delete_silence)    \
	X(list_groups) X(create_group) X(get_group) X(replace_group) X(patch_group) X(delete_group) X(reserve_for_group) \
	X(list_jwt_issuers) X(create_jwt_issuer) X(get_jwt_issuer) X(replace_jwt_issuer) X(patch_jwt_issuer) X(delete_jwt_issuer) \
	X(list_consumer_credentials) X(create_consumer_credential) X(patch_consumer_credential) X(delete_consumer_credential) \
	X(list_prices) X(create_price) X(get_price) X(replace_price) X(patch_price) X(delete_price)                \
	X(import_prices) X(quote_price)                                                                            \
	X(list_quotas) X(create_quota) X(get_quota) X(replace_quota) X(patch_quota) X(delete_quota)                \
	X(list_quota_entries) X(create_quota_entry)                                                                \
	X(list_global_plugins) X(get_global_plugin) X(put_global_plugin) X(delete_global_plugin)                   \
	X(list_nodes) X(get_node) X(delete_node) X(drain_node)                                                     \
	X(list_revisions) X(get_revision) X(diff_revisions) X(rollback) X(get_config) X(apply_config)              \
	X(list_requests) X(get_request) X(get_request_prompts) X(get_events)                                                     \
	X(list_audit) X(verify_audit) X(get_audit) X(get_usage) X(get_overview) X(get_metrics_series)              \
	X(get_version) X(get_openapi) X(backup) X(healthz) X(readyz) X(get_metrics)
#define X(id) cp_handler cp_api_##id;
CP_HANDLER_TABLE(X)
#undef X

#endif
