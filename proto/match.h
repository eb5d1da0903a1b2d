/*
 * match.h - which route serves a request.  Used by workers to serve and by the control plane to explain.
 *
 * A route matches when its host, path prefix, header and query predicates all hold and one of its models does (no
 * models: any).  Most specific wins: exact host before wildcard (longest suffix first) before any, longest path, exact
 * model before prefix (longest first) before regex before any, more header and query predicates, then name.  What counts
 * is the host and model that did match.  Values are compared case-sensitively
 * unless ignore_case; hosts always case-insensitively and without the port.
 *
 * Cost does not grow with the number of routes that name exact models: they stand in a hash by model.  Regexes are
 * PCRE2, anchored at both ends, with match, depth and heap limits; one that hits a limit does not match (counted).
 */
#ifndef GW_PROTO_MATCH_H
#define GW_PROTO_MATCH_H

#include "snapshot.h"

struct gw_match_input {
	struct gw_str host;          /* may carry a port */
	struct gw_str path;          /* decoded and normalised by the caller, starts with '/' */
	struct gw_str model;         /* absent when the request has none */
	const struct gw_pair *headers; size_t n_headers; /* names compared case-insensitively */
	struct gw_str query;         /* raw, without '?' */
};

enum gw_match_fail { GW_MISS_NONE, GW_MISS_DISABLED, GW_MISS_HOST, GW_MISS_PATH, GW_MISS_MODEL, GW_MISS_HEADER, GW_MISS_QUERY };

/* NULL: no route.  Enabled routes only.  Thread-safe; allocates nothing. */
const struct gw_route *gw_match(const struct gw_snapshot *s, const struct gw_match_input *in);

/* How many routes any search may have to look at: those that name no exact model. */
size_t gw_match_breadth(const struct gw_snapshot *s);

/* How often a regex of this snapshot ran into a limit and therefore did not match. */
uint64_t gw_match_limited(const struct gw_snapshot *s);

/* Why one route does or does not match: for explain.  *text gets one sentence. */
enum gw_match_fail gw_match_one(const struct gw_snapshot *s, const struct gw_route *r, const struct gw_match_input *in,
                                char text[160]);
const char *gw_match_fail_name(enum gw_match_fail f);

/* The enabled routes that share one of its models, or that name none exactly as it does; some of them twice. */
void gw_match_beside(const struct gw_snapshot *s, const struct gw_route *r,
                     void (*fn)(void *arg, const struct gw_route *other), void *arg);

/* For the snapshot code only: compile a regex (GW_INVALID with a sentence), build and free the index. */
struct gw_match_index;
enum gw_rc gw_regex_compile(const void **out, struct gw_str pattern, bool ignore_case, struct gw_error *err) GW_MUST_CHECK;
void gw_regex_free(const void **regex);
bool gw_regex_matches(const void *regex, struct gw_str s); /* all of s; false also when a limit was met */
/* `base` NULL: an empty one that is filled and then sealed; else a copy that shares what does not change.  Owned. */
struct gw_match_index *gw_match_index_open(const struct gw_match_index *base);
void gw_match_index_add(struct gw_match_index *ix, const struct gw_route *r);  /* disabled ones stay outside */
void gw_match_index_del(struct gw_match_index *ix, const struct gw_route *r);
/* The same route, made anew: nothing but the pointer is another. */
void gw_match_index_swap(struct gw_match_index *ix, const struct gw_route *r, const struct gw_route *next);
void gw_match_index_seal(struct gw_match_index *ix);
void gw_match_index_close(struct gw_match_index **ix);
int gw_route_cmp(const struct gw_route *a, const struct gw_route *b);          /* most specific first, then by name */

#endif
