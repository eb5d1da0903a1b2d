/*
 * snapshot.h - everything a worker needs to serve, as one immutable value.
 *
 * The control plane builds and encodes it; a worker decodes it, tries it on, answers ACK or NACK(path, text), and
 * only then serves from it.  Nothing in here does I/O, reads a clock or keeps a global.
 *
 * The bytes (format 1), canonical: members sorted, no insignificant space, secrets sealed:
 *
 *   {"epoch":"<hex16>","format":1,"objects":{"consumers":{"app1":{…}},"global-plugins":{…},"groups":{…},
 *    "providers":{…},"routes":{…},"settings":{"settings":{…}}},"pepper":{"sealed":"…"},"revision":12}
 *
 * Each object is what the admin API shows, without `name` and the read-only members, defaults left out or in; a
 * consumer carries "keys":[{"id","hash":"<hex>","type","enabled","expires_at","secret":{"sealed":…}}], its credentials
 * of all types: the hash of a key is sha256(pepper|key), of others gw_credential_ident(); a provider's
 * "api_keys":[{"name","value":{"sealed":…},"weight"}].  Objects with "enabled":false do travel: a disabled route
 * must not match, a disabled consumer's key must be refused with the right reason.
 *
 * Compatibility: unknown members are ignored and counted (a newer control plane must not kill an older worker).
 * A known member that breaks its schema fails the whole snapshot: a worker never serves half a configuration.
 * Every format ever released stays in tests/fixtures/snapshot/ and must decode.
 */
#ifndef GW_PROTO_SNAPSHOT_H
#define GW_PROTO_SNAPSHOT_H

#include "base/trie.h"
#include "field.h"
#include "jwk.h"
#include "kind.h"
#include "tls_pair.h"
#include "observe.h"
#include "price.h"
#include "quota.h"

#define GW_SNAPSHOT_FORMAT 1 /* bump only when an old worker would misread, not when it would ignore */
#define GW_SNAPSHOT_MAX_BYTES (256u << 20)

/*
 * Immutable, shared by threads, counted (atomically).  Snapshots that follow each other share every object that did
 * not change, so the next one costs what the change costs, in memory and in time, whatever the size of the whole.
 */
struct gw_snapshot;

struct gw_digest { uint8_t sha256[32]; };

/* ---- views: plain, read-only; they live as long as any snapshot that has them ---- */

struct gw_pair { struct gw_str name, value; };

/* Where a plugin is bound, from the most to the least specific. */
enum gw_scope { GW_SCOPE_CONSUMER, GW_SCOPE_GROUP, GW_SCOPE_ROUTE, GW_SCOPE_GLOBAL };

struct gw_binding {                  /* one plugin, switched on somewhere, with its settings */
	struct gw_str plugin;
	const struct gw_module *module;
	const void *conf;            /* parsed through the plugin's field table */
	bool fail_open;              /* plugin broke: true = go on, false = refuse the request */
	bool enabled;                /* false: only there to switch a less specific binding off */
	int rank;                    /* stage, from the module's `rank` in the catalogue; lower runs first */
	enum gw_scope scope;         /* whose it is, and that one's name: a group's limit is one for all its members */
	struct gw_str owner;         /* absent for GLOBAL */
	bool adds_up;                /* holds beside those of other scopes, instead of in their place */
};

struct gw_bindings { const struct gw_binding *v; size_t n; };

struct gw_provider_key { struct gw_str name, value; int64_t weight; };
struct gw_endpoint { struct gw_str url; int64_t weight; };     /* url without a slash at its end */

enum gw_balance { GW_BALANCE_ROUND_ROBIN, GW_BALANCE_RANDOM, GW_BALANCE_LEAST_REQUESTS, GW_BALANCE_HASH };

struct gw_timeouts { int64_t connect_ms, first_byte_ms, idle_ms, total_ms, queue_ms; };

/* A provider's own limits of time for some of its models; members that are not given are the provider's. */
struct gw_model_limits { struct gw_str models; struct gw_timeouts t; };  /* a name, `prefix*` or `*` */

/* What an unhappy status leads to, where an operator knows better than the built-in rules. */
#define GW_THEN_TABLE(X) \
	X(RETURN, "return") X(RETRY_SAME, "retry_same") X(NEXT_KEY, "next_key") X(NEXT_TARGET, "next_target")
enum gw_then {
	GW_THEN_USUAL,               /* no rule */
#define X(name, text) GW_THEN_##name,
	GW_THEN_TABLE(X)
#undef X
};
struct gw_status_rule { uint16_t status; uint8_t then; };      /* 400 to 599; 4 and 5 stand for their class */

enum gw_hash_by { GW_HASH_BY_CONSUMER, GW_HASH_BY_HEADER, GW_HASH_BY_SESSION };

struct gw_provider {
	struct gw_str name, type;
	const struct gw_module *module;      /* the provider type; its conf stands in options */
	const void *options;
	bool enabled;
	const struct gw_endpoint *endpoints; /* at least one: `endpoints`, else base_url, else the type's default */
	size_t n_endpoints;
	const struct gw_provider_key *keys;  /* the usable ones; none: a server that wants no credential */
	size_t n_keys;
	struct gw_strv models;               /* what the operator says it serves; empty: anything */
	enum gw_balance balance;
	struct { enum gw_hash_by by; struct gw_str header; } hash;   /* for GW_BALANCE_HASH */
	struct gw_timeouts timeouts;         /* use gw_provider_timeouts() */
	const struct gw_model_limits *model_limits;  /* exact, then longest prefix, then `*` */
	size_t n_model_limits;
	const struct gw_status_rule *on_status;      /* use gw_provider_then() */
	size_t n_on_status;
	struct { bool enabled; int64_t failure_threshold, cooldown_ms; } key_failover;
	struct { bool enabled; int64_t failures, window_ms, cooldown_ms, max_ejected_percent, slow_start_ms; } breaker;
	struct { bool enabled; struct gw_str path; int64_t interval_ms, timeout_ms, unhealthy_after, healthy_after; } check;
	struct { int64_t max_connections, max_queue; } pool;         /* of one worker to one endpoint; 0: no limit of its own */
	struct { bool drain; int64_t limit_ms; } client_gone;
	struct { bool verify, only_13; struct gw_str ca_pem, server_name; } tls;
	const struct gw_pair *headers;       /* added to every request to it */
	size_t n_headers;
	struct gw_str consumer_header;       /* header that tells it the consumer's name; absent: it is not told */
	bool allow_private;                  /* loopback and private addresses may be dialled */
};

enum gw_match_type { GW_MATCH_EXACT, GW_MATCH_PREFIX, GW_MATCH_REGEX };

struct gw_matcher {
	enum gw_match_type type;
	struct gw_str name;                  /* header or query name; absent for models */
	struct gw_str value;
	bool ignore_case;
	const void *regex;                   /* compiled, for match.c only */
};

struct gw_target {
	const struct gw_provider *provider;
	struct gw_str model;                 /* absent: keep the client's, or look into the map */
	const struct gw_pair *model_map;     /* exact, then longest `prefix*`, then `*`, sorted in that order */
	size_t n_model_map;
	int64_t weight;                      /* 0: never chosen as first target */
	int64_t timeout_ms;                  /* first-byte limit of this target; 0: the provider's */
};

/* Conditions for retry and fallback, as bits.  "4xx"-like classes and exact codes stand in `codes`. */
#define GW_ON_TABLE(X) \
	X(CONNECT_ERROR, "connect_error") X(TIMEOUT, "timeout") X(RATE_LIMITED, "rate_limited") X(5XX, "5xx") X(4XX, "4xx")
enum gw_on_bit {
#define X(name, text) GW_ON_BIT_##name,
	GW_ON_TABLE(X)
#undef X
};
struct gw_on { uint32_t bits; const uint16_t *codes; size_t n_codes; };
bool gw_on_status(const struct gw_on *on, unsigned http_status);
static inline bool gw_on_has(const struct gw_on *on, enum gw_on_bit bit) { return on->bits >> bit & 1; }

struct gw_route {
	struct gw_str name;
	bool enabled;
	struct gw_strv hosts;                /* lower case, exact or "*.suffix"; empty: any */
	struct gw_str path_prefix;           /* "/" by default; matches whole segments */
	bool ignore_case;                    /* of the path */
	const struct gw_matcher *models; size_t n_models;
	const struct gw_matcher *headers; size_t n_headers;
	const struct gw_matcher *query; size_t n_query;
	const struct gw_target *targets; size_t n_targets;   /* at least one; chosen by weight */
	struct { bool enabled; struct gw_on on; const struct gw_target *targets; size_t n_targets; } fallback;
	struct { int64_t attempts; struct gw_on on; } retry;
	struct { bool required; struct gw_strv consumers, groups; } auth; /* sorted; both empty: every consumer */
	int64_t total_timeout_ms;            /* over all attempts; 0: the providers' own */
	struct gw_bindings plugins;          /* sorted by rank; use gw_snapshot_bindings() */
	struct gw_route_log log;
};

/*
 * Consumers with something in common.  What a group has, its members have: its plugins where they have none of their
 * own, and its models as a bound on theirs.  A consumer may name groups that do not exist as objects: then they are
 * only words for `auth.groups` of routes.
 */
struct gw_group {
	struct gw_str name;
	bool enabled;                        /* false: admits nobody and grants no model; its plugins stay in force */
	bool bounds_models;                  /* it has a list of models */
	struct gw_strv models;
	struct gw_bindings plugins;
};

struct gw_consumer {
	struct gw_str name;
	bool enabled;
	struct gw_strv groups;               /* as the operator wrote them, the order in which their plugins count */
	const struct gw_group *const *in;    /* those of them that exist as objects, in the same order */
	size_t n_in;
	struct gw_strv models;               /* globs over the client's and the served model; ["*"] = all */
	struct gw_bindings plugins;          /* its own */
	struct gw_bindings inherited;        /* its own and, where it has none or they add up, those of its groups; disabled ones too */
};

/* By what a consumer is recognised; X(NAME, word). */
#define GW_CREDENTIAL_TABLE(X) X(KEY, "key") X(JWT, "jwt") X(HMAC, "hmac") X(MTLS, "mtls")
enum gw_credential {
#define X(name, text) GW_CREDENTIAL_##name,
	GW_CREDENTIAL_TABLE(X)
#undef X
	GW_CREDENTIAL_COUNT
};

/* One credential of a consumer, whatever its type. */
struct gw_consumer_key {
	struct gw_str id;
	enum gw_credential type;
	uint8_t hash[32];
	struct gw_str secret;                /* HMAC only */
	bool enabled;
	int64_t expires_at_ms;               /* 0: never */
	const struct gw_consumer *consumer;
};

/* X(NAME, word): how tokens are signed.  HS with the issuer's secret, the others with one of its public keys. */
#define GW_JWT_ALG_TABLE(X) \
	X(RS256) X(RS384) X(RS512) X(PS256) X(PS384) X(PS512) X(ES256) X(ES384) X(ES512) X(EdDSA) X(HS256) X(HS384) X(HS512)
enum gw_jwt_alg {
#define X(name) GW_JWT_##name,
	GW_JWT_ALG_TABLE(X)
#undef X
	GW_JWT_ALG_COUNT
};
const char *gw_jwt_alg_name(enum gw_jwt_alg a);      /* "RS256"; static */
static inline bool gw_jwt_alg_shared(enum gw_jwt_alg a) { return a >= GW_JWT_HS256; } /* needs a shared secret */

/* Who may issue tokens (RFC 7519) by which consumers are recognised. */
struct gw_jwt_issuer {
	struct gw_str name;
	bool enabled;
	struct gw_str issuer;                /* the exact `iss` */
	struct gw_strv audiences;            /* one must stand in `aud`; empty: any */
	uint32_t algs;                       /* bits by enum gw_jwt_alg */
	struct gw_jwks jwks;                 /* inline public keys; none: those of jwks_url */
	struct gw_str jwks_url, ca_pem;
	int64_t jwks_refresh_ms;
	bool allow_private;                  /* jwks_url may lead to a private address */
	struct gw_str secret;                /* for HS algorithms */
	int64_t clock_skew_ms;
	bool require_expiry;
	struct gw_str consumer_claim;        /* its text names the credential; "a.b" looks inside an object */
	bool claim_is_consumer;              /* ... or the consumer itself */
	struct gw_str default_consumer;      /* for tokens that name nobody; absent: they are refused */
	struct gw_str groups_claim;          /* absent: tokens bring no groups */
	const struct gw_pair *group_map;     /* the claim's value → our group */
	size_t n_group_map;
};

/* settings.counters: where limits, quotas and budgets are counted. */
enum gw_counter_backend { GW_COUNTERS_LOCAL, GW_COUNTERS_REDIS };
enum gw_redis_mode { GW_REDIS_SINGLE, GW_REDIS_SENTINEL, GW_REDIS_CLUSTER };
enum gw_on_failure { GW_ON_FAILURE_LOCAL_SHARE, GW_ON_FAILURE_OPEN, GW_ON_FAILURE_CLOSED };
struct gw_counter_settings {
	int64_t backend, mode, on_failure, verify;
	struct gw_str url;                   /* redis://HOST:PORT/DB or rediss://, without credentials */
	struct gw_strv members;              /* further sentinels, or servers of the cluster: HOST:PORT */
	struct gw_str master_name, username, password, sentinel_password, ca_pem;
};
extern const struct gw_field gw_counter_fields[];

/* settings.data_plane; the table gw_dp_fields is in settings.c and feeds openapi, manual and console. */
struct gw_dp_settings {
	int64_t max_body_bytes, max_header_bytes, max_headers, max_request_line_bytes, max_connections;
	int64_t header_timeout_ms, body_timeout_ms, keepalive_idle_ms, write_stall_timeout_ms;
	int64_t stream_buffer_bytes, sse_keepalive_ms, drain_timeout_ms;
	struct gw_strv trusted_proxies;      /* CIDR */
	struct gw_strv cors_origins;         /* "*" or origins; empty: no CORS answers */
	struct gw_str public_url;            /* settings.console.data_plane_url; "" = the console derives it */
	/* settings.retention: how long the control plane keeps what it collects; workers do not look at it. */
	int64_t keep_series_10s_ms, keep_series_1m_ms, keep_series_1h_ms;
	int64_t keep_requests_ms, keep_requests_max, keep_usage_ms, keep_prompts_ms, keep_prompts_max;
	int64_t access_log_enabled, access_log_prompts, access_log_target, access_log_sample_percent;
	struct gw_str access_log_path;       /* a file name, without directory */
	struct gw_strv access_log_fields;
	uint64_t access_log_mask;            /* the same as bits of enum gw_access_field; never 0 */
	struct gw_tracing tracing;
	struct gw_tls_settings tls;          /* settings.tls */
	struct gw_counter_settings counters;
};
extern const struct gw_field gw_dp_fields[];      /* all but access_log, public_url and tracing */
extern const struct gw_field gw_access_log_fields[]; /* nested object "access_log" */
extern const struct gw_field gw_retention_fields[];  /* settings.retention */

/* ---- control plane: make one ---- */

struct gw_builder;

/*
 * `cat` is borrowed for the life of the snapshot, whose views point into it.  `epoch` is 16 hex digits.  strict:
 * unknown members are refused (a person wrote them), else ignored and counted.
 */
enum gw_rc gw_builder_open(struct gw_builder **out, const struct gw_catalog *cat, uint64_t revision,
                           struct gw_str epoch, bool strict) GW_MUST_CHECK;
/*
 * The same, but everything that `base` has is there already: what is added replaces the object of that name.  `base`
 * is borrowed for the call.  Only what is added, and what refers to it, is looked at again.
 */
void gw_builder_extend(struct gw_builder **out, const struct gw_snapshot *base, const struct gw_catalog *cat,
                       uint64_t revision, bool strict);
/* Secrets travel sealed; this is the pepper's sealed form, kept for gw_snapshot_write().  NULL: none.  Borrowed. */
void gw_builder_set_sealed_pepper(struct gw_builder *b, const json_t *sealed);
/* Take an object away.  One that is not there is no error; one that others refer to fails in gw_builder_seal(). */
void gw_builder_del(struct gw_builder *b, enum gw_kind k, struct gw_str name);
/*
 * One object.  Order does not matter; `spec` is borrowed and has no `name` and no read-only members.  Fails on the
 * first broken member with err->path relative to the object ("/targets/0/provider"); the object then counts as not
 * added.  Sealed secrets are accepted unopened: the views hold their sealed text.  A global plugin is its settings
 * ({"enabled":…,"tokens":…}) or the API's {"config":{…}}.
 */
enum gw_rc gw_builder_add(struct gw_builder *b, enum gw_kind k, struct gw_str name, const json_t *spec,
                          struct gw_error *err) GW_MUST_CHECK;
/*
 * Resolve references (route → provider, route → consumer), sort bindings by rank, index, freeze.  The builder is
 * consumed either way.  A dangling reference fails with err->path "/routes/my-route/targets/0/provider".
 */
enum gw_rc gw_builder_seal(struct gw_builder **b, struct gw_snapshot **out, struct gw_error *err) GW_MUST_CHECK;
void gw_builder_drop(struct gw_builder **b);                  /* consumed; NULL is fine */

/*
 * Legal but surely not meant: {"path","code","message"} each, the path in the whole document ("/routes/a/targets").
 * Codes: shadowed_route model_taken takes_model zero_weight unreachable_fallback duplicate_target disabled_reference
 * secret_missing no_auth insecure_tls unused_consumer undefined_group any_audience prompts_off unused_price.
 */
json_t *gw_snapshot_warnings(const struct gw_snapshot *s);    /* owned array */
/* Those about one object only, in time that does not grow with the rest; and `takes_model`, what it takes from others. */
json_t *gw_snapshot_warnings_of(const struct gw_snapshot *s, enum gw_kind k, struct gw_str name);

/*
 * The canonical bytes of a set of objects, straight from their specs: what the publisher sends.  `objects` is
 * {"routes":{…},…} with secrets sealed under the snapshot key already; borrowed.
 */
enum gw_rc gw_snapshot_encode(struct gw_buf *out, uint64_t revision, struct gw_str epoch, const json_t *objects,
                              const json_t *sealed_pepper, struct gw_error *err) GW_MUST_CHECK;
void gw_snapshot_digest_of(struct gw_digest *out, struct gw_str bytes);
/* The same bytes from a snapshot, which keeps those of each object. */
enum gw_rc gw_snapshot_write(struct gw_buf *out, const struct gw_snapshot *s, struct gw_error *err) GW_MUST_CHECK;

/* ---- from one revision to another: see proto/README.md ---- */

/*
 * What `next` has changed, {"objects":{"routes":{"a":{…},"gone":null}}}, and how many objects that is.  Both of one
 * epoch.  Costs in proportion to the difference.
 */
enum gw_rc gw_snapshot_diff(struct gw_buf *out, size_t *changes, const struct gw_snapshot *base,
                            const struct gw_snapshot *next, struct gw_error *err) GW_MUST_CHECK;
/*
 * The way back: *out is owned and is `base` with the difference applied.  Fails as gw_snapshot_decode() does.  Whether
 * it is what the sender has is for the caller to find out, by gw_snapshot_state().
 */
enum gw_rc gw_snapshot_patch(struct gw_snapshot **out, const struct gw_snapshot *base, struct gw_str diff,
                             uint64_t revision, const uint8_t snapshot_key[32], const struct gw_catalog *cat,
                             struct gw_error *err) GW_MUST_CHECK;
/*
 * Equal exactly for the same epoch, revision, objects and pepper, however the snapshot was made.  Kept up to date in
 * proportion to a change: the sum of the objects' SHA-256 as numbers of 256 bits, and a SHA-256 over that.
 */
void gw_snapshot_state(struct gw_digest *out, const struct gw_snapshot *s);

/* ---- worker: take one ---- */

/*
 * On GW_OK *out is owned: gw_snapshot_unref().  On failure *out is NULL and *err names the member by its pointer
 * in the whole document.  `bytes` is borrowed and may be reused as soon as the call returns.  Work and memory are
 * bounded by max_bytes.
 */
enum gw_rc gw_snapshot_decode(struct gw_snapshot **out, struct gw_str bytes, const uint8_t snapshot_key[32],
                              const struct gw_catalog *cat, size_t max_bytes, struct gw_error *err) GW_MUST_CHECK;

struct gw_snapshot *gw_snapshot_ref(struct gw_snapshot *s);   /* returns s */
void gw_snapshot_unref(struct gw_snapshot **s);               /* consumed; NULL is fine */
/* Is the caller's the last reference?  Then it stays the last, and letting go of it frees everything. */
bool gw_snapshot_is_last(const struct gw_snapshot *s);

uint64_t gw_snapshot_revision(const struct gw_snapshot *s);   /* grows by one per commit within an epoch */
struct gw_str gw_snapshot_epoch(const struct gw_snapshot *s); /* identity of the database; changes on restore */
const struct gw_digest *gw_snapshot_digest(const struct gw_snapshot *s); /* of the bytes decoded; zero when built or patched */
size_t gw_snapshot_unknown(const struct gw_snapshot *s);      /* members we ignored */

const struct gw_dp_settings *gw_snapshot_settings(const struct gw_snapshot *s);
size_t gw_snapshot_count(const struct gw_snapshot *s, enum gw_kind k);
bool gw_snapshot_has_open_route(const struct gw_snapshot *s); /* an enabled one that wants no credential */
/* One after the other, in no particular order, NULL at the end; `at` begins as zero. */
const struct gw_route *gw_snapshot_next_route(const struct gw_snapshot *s, struct gw_trie_at *at);
const struct gw_provider *gw_snapshot_next_provider(const struct gw_snapshot *s, struct gw_trie_at *at);
const struct gw_consumer *gw_snapshot_next_consumer(const struct gw_snapshot *s, struct gw_trie_at *at);
const struct gw_jwt_issuer *gw_snapshot_next_jwt_issuer(const struct gw_snapshot *s, struct gw_trie_at *at);
/* All of them in arena lists: routes most specific first, the others by name.  They cost time in proportion to the whole. */
const struct gw_route *const *gw_snapshot_routes(const struct gw_snapshot *s, struct gw_arena *a, size_t *n);
const struct gw_provider *const *gw_snapshot_providers(const struct gw_snapshot *s, struct gw_arena *a, size_t *n);
const struct gw_consumer *const *gw_snapshot_consumers(const struct gw_snapshot *s, struct gw_arena *a, size_t *n);
const struct gw_route *gw_snapshot_route(const struct gw_snapshot *s, struct gw_str name);         /* NULL: none */
/*
 * What is new in this snapshot against the one it was made from: all of it unless it was patched.  For checks that
 * hold as long as the object does not change.
 */
void gw_snapshot_each_new(const struct gw_snapshot *s, const struct gw_snapshot *base, enum gw_kind k,
                          void (*fn)(void *arg, const void *view), void *arg);
const struct gw_provider *gw_snapshot_provider(const struct gw_snapshot *s, struct gw_str name);   /* NULL: none */
const struct gw_consumer *gw_snapshot_consumer(const struct gw_snapshot *s, struct gw_str name);
const struct gw_group *gw_snapshot_group(const struct gw_snapshot *s, struct gw_str name);
const struct gw_binding *gw_snapshot_global_plugin(const struct gw_snapshot *s, struct gw_str plugin);
/*
 * Whose key is this?  One SHA-256 of pepper and key, one hash lookup whatever the number of consumers, then a
 * constant-time compare.  NULL: nobody's.  Whether it is enabled, unexpired and its consumer enabled is the caller's.
 */
const struct gw_consumer_key *gw_snapshot_key(const struct gw_snapshot *s, struct gw_str secret);
/*
 * The credential of another type by what it recognises: a JWT by the issuer object's name and the claim's text, an HMAC
 * key by its id ("" and id), a certificate by what is compared ("subject", "san" or "fingerprint") and its text.
 */
const struct gw_consumer_key *gw_snapshot_credential(const struct gw_snapshot *s, enum gw_credential type,
                                                     struct gw_str a, struct gw_str b);
void gw_credential_ident(uint8_t out[32], enum gw_credential type, struct gw_str a, struct gw_str b);
const struct gw_jwt_issuer *gw_snapshot_jwt_issuer(const struct gw_snapshot *s, struct gw_str iss); /* enabled ones */
/* This consumer in further groups, for one request: those of `groups` that exist as objects.  Arena. */
const struct gw_consumer *gw_consumer_in_groups(const struct gw_snapshot *s, const struct gw_consumer *c,
                                                const struct gw_str *groups, size_t n, struct gw_arena *a);
/*
 * The plugins in force for route and consumer (either NULL), by rank: consumer's, else its groups', route's, global.  One
 * that adds up is there once for each scope that has it, the most specific first.  One that is not enabled switches the
 * less specific ones off and is left out itself.
 */
struct gw_bindings gw_snapshot_bindings(const struct gw_snapshot *s, const struct gw_route *r,
                                        const struct gw_consumer *c, struct gw_arena *a);

/* The limits of time for this (mapped) model. */
const struct gw_timeouts *gw_provider_timeouts(const struct gw_provider *p, struct gw_str model);
/* What the operator wants done about this status; an exact status before its class. */
enum gw_then gw_provider_then(const struct gw_provider *p, unsigned http_status);
/*
 * What the provider's answer to a request for `model` costs, if it began at `at_ms` by the wall clock; NULL: no price.
 * A few binary searches, whatever the number of prices.
 */
const struct gw_price *gw_price_find(const struct gw_snapshot *s, const struct gw_provider *p, struct gw_str model,
                                     int64_t at_ms);
/* All of them, by name; those of the seed that no operator's object replaces come behind, and say so. */
const struct gw_price *const *gw_snapshot_prices(const struct gw_snapshot *s, size_t *n);
/* The enabled quotas of one consumer (by name), group (by name) or key (by id).  One hash lookup. */
struct gw_quotas { const struct gw_quota *const *v; size_t n; };
struct gw_quotas gw_snapshot_quotas_of(const struct gw_snapshot *s, enum gw_quota_subject subject, struct gw_str who);

/* Client's model → what this target is asked for.  Borrowed from the target or from `model`. */
struct gw_str gw_target_model(const struct gw_target *t, struct gw_str model);
/*
 * May this consumer be served by this target of this route, when it asks for `model` (absent: the request names none)?
 * The decision is about what the provider will be asked for, so every attempt of a request is judged.  An entry of a
 * list of models grants, by its form:
 *
 *   *                  everything
 *   NAME               targets that are asked for a model of this name; and, if the client asks for it, targets (not
 *                      fallbacks) of a route that offers it as an alias: names it, exactly, in match.models or model_map
 *   target:P/NAME      targets of the provider P that are asked for a model of this name
 *   route:R            all targets of the route R, its fallbacks and requests without a model included
 *
 * NAME and R may be globs ("gpt-*").
 *
 * The consumer's own list must grant it, and where groups of it have lists, one of theirs as well.  c NULL: anonymous,
 * whom the route has let in; nothing bounds it.
 */
bool gw_consumer_may(const struct gw_consumer *c, const struct gw_route *r, const struct gw_target *t, bool is_fallback,
                     struct gw_str model);
/* Is there a target, fallbacks apart, that it may? */
bool gw_consumer_may_any(const struct gw_consumer *c, const struct gw_route *r, struct gw_str model);
/* Has the entry of a list of models one of these forms? */
bool gw_models_entry_valid(struct gw_str entry);
/* May this consumer call this route (auth.consumers, auth.groups)?  c NULL: only if auth is not required. */
bool gw_route_allows(const struct gw_route *r, const struct gw_consumer *c);

#endif
