/*
 * spec.h - from the JSON of one object to its view: the parser behind validation, building and decoding.
 *
 * For proto's own files only.  Each gw_spec_<kind>() reads one object as snapshot.h describes it, in the shape of the
 * admin API.  All texts land in the arena.  References to other objects stay names; the builder resolves them.
 *
 * Strict reading is for what a person wrote: an unknown member, an unknown plugin or an unknown provider type is refused.
 * Lenient reading is for what a newer control plane sent: unknown members and plugins are ignored and counted.  A known
 * member with a wrong value is refused in both.  null means the same as leaving a member out.
 */
#ifndef GW_PROTO_SPEC_H
#define GW_PROTO_SPEC_H

#include "match.h"
#include "snapshot.h"

/* How and into what to read; one for all objects of a snapshot. */
struct gw_spec {
	const struct gw_catalog *catalog;
	struct gw_arena *arena;
	const struct gw_unseal *unseal;  /* NULL: secrets stay sealed */
	bool strict;
	size_t unknown;                  /* members ignored so far */
};

/* A route whose targets do not know their providers yet. */
struct gw_spec_route {
	struct gw_route route;
	struct gw_target *targets, *fallback;                     /* the route's own arrays, writable */
	const struct gw_str *target_names, *fallback_names;       /* name of the provider of each */
};

enum gw_rc gw_spec_provider(struct gw_spec *s, const json_t *o, struct gw_provider *out, struct gw_error *err);
enum gw_rc gw_spec_route(struct gw_spec *s, const json_t *o, struct gw_spec_route *out, struct gw_error *err);
enum gw_rc gw_spec_tls(struct gw_spec *s, const json_t *o, struct gw_tls_settings *out, struct gw_error *err);
enum gw_rc gw_spec_jwt_issuer(struct gw_spec *s, const json_t *o, struct gw_jwt_issuer *out, struct gw_error *err);
enum gw_rc gw_spec_group(struct gw_spec *s, const json_t *o, struct gw_group *out, struct gw_error *err);
/* *keys is arena; their `consumer` is not set yet. */
enum gw_rc gw_spec_consumer(struct gw_spec *s, const json_t *o, struct gw_consumer *out,
                            struct gw_consumer_key **keys, size_t *n_keys, struct gw_error *err);
/* `plugin` NULL on success: a plugin that is not known here, counted. */
enum gw_rc gw_spec_binding(struct gw_spec *s, struct gw_str plugin, const json_t *o, struct gw_binding *out,
                           struct gw_error *err);
enum gw_rc gw_spec_price(struct gw_spec *s, const json_t *o, struct gw_price *out, struct gw_error *err);
enum gw_rc gw_spec_quota(struct gw_spec *s, const json_t *o, struct gw_quota *out, struct gw_error *err);
bool gw_currency_valid(struct gw_str s);    /* three capital letters */
enum gw_rc gw_spec_settings(struct gw_spec *s, const json_t *o, struct gw_dp_settings *out, struct gw_error *err);

/* Parts of them (spec_observe.c).  `route` is the whole route, whose member `log` is read. */
enum gw_rc gw_spec_access_log(struct gw_spec *s, const json_t *o, struct gw_dp_settings *out, struct gw_error *err);
enum gw_rc gw_spec_counters(struct gw_spec *s, const json_t *o, struct gw_counter_settings *out, struct gw_error *err);
void gw_tracing_defaults(struct gw_tracing *out);
enum gw_rc gw_spec_tracing(struct gw_spec *s, const json_t *o, struct gw_tracing *out, struct gw_error *err);
enum gw_rc gw_spec_route_log(struct gw_spec *s, const json_t *route, struct gw_route_log *out, struct gw_error *err);

/* How a provider fails over: breaker, checks, pool, hashing, limits of single models, rules for statuses. */
enum gw_rc gw_spec_provider_pool(struct gw_spec *s, const json_t *o, struct gw_provider *p, struct gw_error *err);
extern const struct gw_field gw_timeout_fields[];   /* of struct gw_timeouts */

/* ---- pieces that several of them need ---- */

/* Refuse or count members of `o` that are not in the NULL-terminated list. */
enum gw_rc gw_spec_members(struct gw_spec *s, const json_t *o, const char *const *names, struct gw_error *err);
/* description, labels, enabled. */
enum gw_rc gw_spec_common(struct gw_spec *s, const json_t *o, bool *enabled, struct gw_error *err);
/* The member as an object or array, NULL when absent; another type is refused. */
enum gw_rc gw_spec_object(const json_t *o, const char *name, json_t **out, struct gw_error *err);
enum gw_rc gw_spec_array(const json_t *o, const char *name, size_t max, json_t **out, struct gw_error *err);
enum gw_rc gw_spec_text(const json_t *o, const char *name, size_t min, size_t max, struct gw_str *out,
                        struct gw_error *err);
enum gw_rc gw_spec_duration(const json_t *o, const char *name, int64_t min_ms, int64_t max_ms, int64_t *out,
                            struct gw_error *err);
/* A member that is itself a flat object with a field table; its defaults when it is absent. */
enum gw_rc gw_spec_fields(struct gw_spec *s, const json_t *o, const char *name, const struct gw_field *fields, void *conf,
                          struct gw_error *err);
/* A secret: its text, or as long as it stays sealed its sealed form; *out stays when the member is absent. */
enum gw_rc gw_spec_secret(struct gw_spec *s, const json_t *o, const char *name, struct gw_str *out, struct gw_error *err);
/* The index of the member's word in the NULL-terminated list; *out stays when the member is absent. */
enum gw_rc gw_spec_word(const json_t *o, const char *name, const char *const *words, int *out, struct gw_error *err);

/* A list of texts without duplicates.  `valid` NULL: any text of 1 to max_bytes; else `what` tells what it wants. */
struct gw_spec_list {
	const char *name;
	size_t max_entries, max_bytes;
	bool (*valid)(struct gw_str s);
	const char *what;
};
enum gw_rc gw_spec_texts(struct gw_spec *s, const json_t *o, const struct gw_spec_list *l, struct gw_strv *out,
                         struct gw_error *err);
/* Whose plugins they are, for gw_binding.scope and owner. */
struct gw_spec_owner { enum gw_scope scope; struct gw_str name; };
/* The `plugins` member of a route, group or consumer, sorted by rank. */
enum gw_rc gw_spec_plugins(struct gw_spec *s, const json_t *o, struct gw_spec_owner owner, struct gw_bindings *out,
                           struct gw_error *err);
/* Names first, then prefixes that end in `*` from long to short; for qsort over what begins with a struct gw_str. */
int gw_model_rule_cmp(const void *a, const void *b);
int gw_binding_cmp(const void *a, const void *b); /* by rank, then name; for qsort */

/* http or https, host, optional port and path; NULL when fine, else what is wrong with it, to follow "`x` ". */
const char *gw_spec_url_fault(struct gw_str url);
bool gw_spec_is_host(struct gw_str s);      /* a name, an IPv4 address or a bracketed IPv6 address; no port */
bool gw_spec_is_token(struct gw_str s);     /* RFC 9110 section 5.6.2 */

#endif
