/*
 * match.c - which route serves a request.
 *
 * Routes that name exact models stand in a bucket by model (a second table holds those that ignore case); routes with
 * prefixes, regexes or no model at all stand in one list.  Each bucket and the list are sorted by the best score that
 * a route could reach, so the search stops as soon as what it has cannot be beaten.
 */
#define PCRE2_CODE_UNIT_WIDTH 8
#include "match.h"
#include "base/map.h"
#include "base/str.h"
#include "snapshot_impl.h"

#include <pcre2.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#define INDEX_MAGIC 0x6d617463u
#define MODEL_MAX   512  /* longest exact model of a route */
#define VALUE_MAX   4096 /* longest decoded query value that is looked at whole */

/* ---- regexes ---- */

struct scratch {
	pcre2_match_data *data;
	pcre2_match_context *limits;
};

static _Thread_local struct scratch *scratch;
static pthread_key_t scratch_key;
static pthread_once_t scratch_once = PTHREAD_ONCE_INIT;

static void free_scratch(void *arg)
{
	struct scratch *s = arg;
	pcre2_match_data_free(s->data);
	pcre2_match_context_free(s->limits);
	free(s);
}

static void make_scratch_key(void)
{
	if (pthread_key_create(&scratch_key, free_scratch) != 0)
		abort();
}

static struct scratch *get_scratch(void)
{
	if (scratch)
		return scratch;
	pthread_once(&scratch_once, make_scratch_key);
	struct scratch *s = gw_alloc(sizeof *s);
	s->data = pcre2_match_data_create(1, NULL);
	s->limits = pcre2_match_context_create(NULL);
	if (!s->data || !s->limits)
		abort();
	pcre2_set_match_limit(s->limits, 100000);
	pcre2_set_depth_limit(s->limits, 1000);
	pcre2_set_heap_limit(s->limits, 4096); /* KiB */
	pthread_setspecific(scratch_key, s);
	return scratch = s;
}

enum gw_rc gw_regex_compile(const void **out, struct gw_str pattern, bool ignore_case,
    struct gw_error *err)
{
	static const uint32_t options = PCRE2_ANCHORED | PCRE2_ENDANCHORED | PCRE2_UTF | PCRE2_DOLLAR_ENDONLY |
	    PCRE2_NEVER_BACKSLASH_C | PCRE2_NO_AUTO_CAPTURE;
	int code;
	PCRE2_SIZE at;
	*out = NULL;
	pcre2_compile_context *c = pcre2_compile_context_create(NULL);
	if (!c)
		abort();
	pcre2_set_max_pattern_length(c, 1024);
	pcre2_set_parens_nest_limit(c, 64);
	pcre2_code *re = pcre2_compile((PCRE2_SPTR)pattern.p, pattern.n,
	    options | (ignore_case ? PCRE2_CASELESS : 0), &code, &at, c);
	pcre2_compile_context_free(c);
	if (!re) {
		PCRE2_UCHAR words[128];
		if (pcre2_get_error_message(code, words, sizeof words) < 0)
			words[0] = 0;
		return gw_fail(err, GW_INVALID, NULL, "this is not a regular expression: %s, at character %zu",
		    (const char *)words, (size_t)at + 1);
	}
	/* Without a JIT (some architectures, hardened kernels) the interpreter serves. */
	(void)pcre2_jit_compile(re, PCRE2_JIT_COMPLETE);
	*out = re;
	return GW_OK;
}

void gw_regex_free(const void **regex)
{
	pcre2_code_free((pcre2_code *)*regex);
	*regex = NULL;
}

/* PCRE2's answer: 0 and above for a match, below for none or an error. */
static int regex_run(const void *regex, struct gw_str s)
{
	struct scratch *t = get_scratch();
	return pcre2_match(regex, (PCRE2_SPTR)(s.p ? s.p : ""), s.n, 0, 0, t->data, t->limits);
}

bool gw_regex_matches(const void *regex, struct gw_str s)
{
	return regex_run(regex, s) >= 0;
}

struct gw_match_index {
	unsigned magic;
	struct gw_arena *arena;
	struct gw_map *exact, *folded; /* model → struct bucket */
	const struct gw_route **rest;
	size_t n_rest;
	atomic_uint_fast64_t limited;  /* regexes that ran into a limit */
};

static bool regex_matches(struct gw_match_index *ix, const void *regex, struct gw_str s)
{
	int rc = regex_run(regex, s);
	if (rc == PCRE2_ERROR_MATCHLIMIT || rc == PCRE2_ERROR_DEPTHLIMIT || rc == PCRE2_ERROR_HEAPLIMIT ||
	    rc == PCRE2_ERROR_JIT_STACKLIMIT)
		atomic_fetch_add_explicit(&ix->limited, 1, memory_order_relaxed);
	return rc >= 0;
}

static bool value_matches(struct gw_match_index *ix, const struct gw_matcher *m, struct gw_str s)
{
	switch (m->type) {
	case GW_MATCH_EXACT:
		return m->ignore_case ? gw_str_ieq(m->value, s) : gw_str_eq(m->value, s);
	case GW_MATCH_PREFIX:
		if (s.n < m->value.n)
			return false;
		s.n = m->value.n;
		return m->ignore_case ? gw_str_ieq(m->value, s) : gw_str_eq(m->value, s);
	case GW_MATCH_REGEX:
		return regex_matches(ix, m->regex, s);
	}
	return false;
}

/* ---- predicates ---- */

/* Without the port and the dot of the root. */
static struct gw_str bare_host(struct gw_str host)
{
	size_t at;
	if (host.n && host.p[0] == '[') {
		if (gw_str_find(host, GW_STR("]"), &at))
			host.n = at + 1;
		return host;
	}
	if (gw_str_find(host, GW_STR(":"), &at))
		host.n = at;
	if (host.n && host.p[host.n - 1] == '.')
		host.n--;
	return host;
}

#define HOST_EXACT (1u << 20)

/* How well one host pattern fits: 0 not at all, else more is better.  `pattern` is lower case already. */
static uint32_t host_fit(struct gw_str pattern, struct gw_str host)
{
	if (!gw_str_starts(pattern, GW_STR("*.")))
		return gw_str_ieq(pattern, host) ? HOST_EXACT : 0;
	struct gw_str dotted = gw_str_from(pattern, 1);
	if (host.n <= dotted.n)
		return 0;
	return gw_str_ieq(dotted, gw_str_from(host, host.n - dotted.n)) ? (uint32_t)dotted.n : 0;
}

static bool fit_host(const struct gw_route *r, struct gw_str host, uint32_t *rank)
{
	*rank = 0;
	if (r->hosts.n == 0)
		return true;
	for (size_t i = 0; i < r->hosts.n; i++) {
		uint32_t fit = host_fit(r->hosts.v[i], host);
		if (fit > *rank)
			*rank = fit;
	}
	return *rank > 0;
}

static bool fit_path(const struct gw_route *r, struct gw_str path)
{
	struct gw_str prefix = r->path_prefix;
	if (prefix.n == 1)
		return path.n > 0;
	if (path.n < prefix.n || (path.n > prefix.n && path.p[prefix.n] != '/'))
		return false;
	path.n = prefix.n;
	return r->ignore_case ? gw_str_ieq(prefix, path) : gw_str_eq(prefix, path);
}

#define MODEL_EXACT  (3u << 20)
#define MODEL_PREFIX (2u << 20) /* plus the length */
#define MODEL_REGEX  (1u << 20)

static uint32_t model_rank(const struct gw_matcher *m)
{
	return m->type == GW_MATCH_EXACT ? MODEL_EXACT :
	    m->type == GW_MATCH_PREFIX ? MODEL_PREFIX + (uint32_t)m->value.n : MODEL_REGEX;
}

static bool fit_model(struct gw_match_index *ix, const struct gw_route *r, struct gw_str model,
    uint32_t *rank)
{
	*rank = 0;
	if (r->n_models == 0)
		return true;
	if (!model.p)
		return false;
	for (size_t i = 0; i < r->n_models; i++) {
		uint32_t mine = model_rank(&r->models[i]);
		if (mine > *rank && value_matches(ix, &r->models[i], model))
			*rank = mine;
	}
	return *rank > 0;
}

static bool fit_header(struct gw_match_index *ix, const struct gw_matcher *m,
    const struct gw_match_input *in)
{
	for (size_t i = 0; i < in->n_headers; i++)
		if (gw_str_ieq(in->headers[i].name, m->name) && value_matches(ix, m, in->headers[i].value))
			return true;
	return false;
}

static int hex_digit(char c)
{
	return c >= '0' && c <= '9' ? c - '0' : (c | 0x20) >= 'a' && (c | 0x20) <= 'f' ? (c | 0x20) - 'a' + 10 : -1;
}

/*
 * application/x-www-form-urlencoded: `+` is a blank, %XX a byte; anything else stands for itself.  false: only the
 * first `max` bytes were decoded.
 */
static bool decode(char *out, size_t max, struct gw_str in, struct gw_str *decoded)
{
	size_t n = 0;
	*decoded = (struct gw_str){ out, max };
	for (size_t i = 0; i < in.n; i++) {
		char c = in.p[i];
		if (n == max)
			return false;
		if (c == '+') {
			c = ' ';
		} else if (c == '%' && i + 2 < in.n && hex_digit(in.p[i + 1]) >= 0 &&
		    hex_digit(in.p[i + 2]) >= 0) {
			c = (char)(hex_digit(in.p[i + 1]) << 4 | hex_digit(in.p[i + 2]));
			i += 2;
		}
		out[n++] = c;
	}
	*decoded = (struct gw_str){ out, n };
	return true;
}

static bool fit_query(struct gw_match_index *ix, const struct gw_matcher *m, struct gw_str query)
{
	char name_bytes[128], value_bytes[VALUE_MAX];
	while (query.p) {
		struct gw_str value = gw_str_cut(&query, '&'), name, decoded;
		struct gw_str raw = gw_str_cut(&value, '=');
		/* What does not fit the buffers is longer than any predicate: only a prefix can still match. */
		if (!decode(name_bytes, sizeof name_bytes, raw, &name) || !gw_str_eq(name, m->name))
			continue;
		bool whole = decode(value_bytes, sizeof value_bytes, value, &decoded);
		if ((whole || m->type == GW_MATCH_PREFIX) && value_matches(ix, m, decoded))
			return true;
	}
	return false;
}

static bool fit_fields(struct gw_match_index *ix, const struct gw_route *r,
    const struct gw_match_input *in, enum gw_match_fail *why)
{
	for (size_t i = 0; i < r->n_headers; i++) {
		if (!fit_header(ix, &r->headers[i], in)) {
			*why = GW_MISS_HEADER;
			return false;
		}
	}
	for (size_t i = 0; i < r->n_query; i++) {
		if (!fit_query(ix, &r->query[i], in->query)) {
			*why = GW_MISS_QUERY;
			return false;
		}
	}
	return true;
}

/* ---- scores ---- */

/* Compared member by member: host, then path, then model, then number of predicates. */
struct score {
	uint64_t where, what;
};

static struct score make_score(const struct gw_route *r, uint32_t host, uint32_t model)
{
	return (struct score){ (uint64_t)host << 32 | (uint32_t)r->path_prefix.n,
		(uint64_t)model << 32 | (uint32_t)(r->n_headers + r->n_query) };
}

static int score_cmp(struct score a, struct score b)
{
	if (a.where != b.where)
		return a.where > b.where ? 1 : -1;
	return a.what == b.what ? 0 : a.what > b.what ? 1 : -1;
}

/* The best score that any request could give this route. */
static struct score ceiling(const struct gw_route *r)
{
	uint32_t host = 0, model = 0;
	for (size_t i = 0; i < r->hosts.n; i++) {
		uint32_t rank = r->hosts.v[i].p[0] == '*' ? (uint32_t)r->hosts.v[i].n - 1 : HOST_EXACT;
		host = rank > host ? rank : host;
	}
	for (size_t i = 0; i < r->n_models; i++) {
		uint32_t rank = model_rank(&r->models[i]);
		model = rank > model ? rank : model;
	}
	return make_score(r, host, model);
}

static int route_cmp(const void *a, const void *b)
{
	const struct gw_route *x = a, *y = b;
	int c = score_cmp(ceiling(y), ceiling(x));
	return c ? c : gw_str_cmp(x->name, y->name);
}

static enum gw_match_fail try_route(struct gw_match_index *ix, const struct gw_route *r,
    const struct gw_match_input *in, struct gw_str host, struct score *score)
{
	uint32_t host_rank, rank;
	enum gw_match_fail why = GW_MISS_NONE;
	if (!r->enabled)
		return GW_MISS_DISABLED;
	if (!fit_host(r, host, &host_rank))
		return GW_MISS_HOST;
	if (!fit_path(r, in->path))
		return GW_MISS_PATH;
	if (!fit_model(ix, r, in->model, &rank))
		return GW_MISS_MODEL;
	if (!fit_fields(ix, r, in, &why))
		return why;
	*score = make_score(r, host_rank, rank);
	return GW_MISS_NONE;
}

/* ---- the index ---- */

struct bucket {
	const struct gw_route **v;
	size_t n, room;
};

static struct gw_str fold(char *out, struct gw_str s)
{
	for (size_t i = 0; i < s.n; i++)
		out[i] = s.p[i] >= 'A' && s.p[i] <= 'Z' ? s.p[i] | 0x20 : s.p[i];
	return (struct gw_str){ out, s.n };
}

static void add_to_bucket(struct gw_match_index *ix, const struct gw_matcher *m, const struct gw_route *r)
{
	struct gw_map *map = m->ignore_case ? ix->folded : ix->exact;
	struct gw_str key = m->value;
	if (m->ignore_case)
		key = fold(gw_arena_alloc(ix->arena, key.n), key);
	struct bucket *b = gw_map_get(map, key);
	if (!b) {
		b = gw_arena_alloc(ix->arena, sizeof *b);
		gw_map_put(map, key, b);
	}
	if (b->n && b->v[b->n - 1] == r)
		return;
	if (b->n == b->room) {
		size_t room = b->room ? b->room * 2 : 1;
		const struct gw_route **v = gw_arena_array(ix->arena, room, sizeof *v);
		if (b->n)
			memcpy(v, b->v, b->n * sizeof *v);
		b->v = v;
		b->room = room;
	}
	b->v[b->n++] = r;
}

struct gw_match_index *gw_match_index_open(struct gw_route *routes, size_t n)
{
	struct gw_match_index *ix = gw_alloc(sizeof *ix);
	ix->magic = INDEX_MAGIC;
	ix->arena = gw_arena_open(n * 32 + 256);
	ix->exact = gw_map_open(n);
	ix->folded = gw_map_open(16);
	ix->rest = gw_arena_array(ix->arena, n, sizeof *ix->rest);
	qsort(routes, n, sizeof *routes, route_cmp);
	for (size_t i = 0; i < n; i++) {
		const struct gw_route *r = &routes[i];
		bool rest = r->n_models == 0;
		for (size_t m = 0; m < r->n_models && r->enabled; m++) {
			if (r->models[m].type == GW_MATCH_EXACT)
				add_to_bucket(ix, &r->models[m], r);
			else
				rest = true;
		}
		if (rest && r->enabled)
			ix->rest[ix->n_rest++] = r;
	}
	return ix;
}

void gw_match_index_close(struct gw_match_index **ixp)
{
	struct gw_match_index *ix = *ixp;
	*ixp = NULL;
	if (!ix)
		return;
	GW_CHECK(ix, INDEX_MAGIC);
	ix->magic = 0;
	gw_map_close(&ix->exact);
	gw_map_close(&ix->folded);
	gw_arena_close(&ix->arena);
	free(ix);
}

struct best {
	const struct gw_route *route;
	struct score score;
};

static void search(struct gw_match_index *ix, const struct gw_route *const *v, size_t n,
    const struct gw_match_input *in, struct gw_str host, struct best *best)
{
	for (size_t i = 0; i < n; i++) {
		struct score score;
		int c = best->route ? score_cmp(best->score, ceiling(v[i])) : -1;
		if (c > 0)
			return;
		if (try_route(ix, v[i], in, host, &score) != GW_MISS_NONE)
			continue;
		c = best->route ? score_cmp(score, best->score) : 1;
		if (c > 0 || (c == 0 && gw_str_cmp(v[i]->name, best->route->name) < 0))
			*best = (struct best){ v[i], score };
	}
}

const struct gw_route *gw_match(const struct gw_snapshot *s, const struct gw_match_input *in)
{
	struct gw_match_index *ix = gw_snapshot_index(s);
	struct best best = { NULL, { 0, 0 } };
	struct gw_str host = bare_host(in->host);
	if (in->model.p && in->model.n <= MODEL_MAX) {
		const struct bucket *b = gw_map_get(ix->exact, in->model);
		if (b)
			search(ix, b->v, b->n, in, host, &best);
		if (gw_map_count(ix->folded)) {
			char folded[MODEL_MAX];
			b = gw_map_get(ix->folded, fold(folded, in->model));
			if (b)
				search(ix, b->v, b->n, in, host, &best);
		}
	}
	search(ix, ix->rest, ix->n_rest, in, host, &best);
	return best.route;
}

uint64_t gw_match_limited(const struct gw_snapshot *s)
{
	return atomic_load_explicit(&gw_snapshot_index(s)->limited, memory_order_relaxed);
}

/* ---- explaining ---- */

static const char *const fail_names[] = { "none", "disabled", "host", "path", "model", "header", "query" };

const char *gw_match_fail_name(enum gw_match_fail f)
{
	assert((size_t)f < GW_COUNT(fail_names));
	return fail_names[f];
}

static void explain(enum gw_match_fail why, const struct gw_route *r, const struct gw_match_input *in,
    char text[160])
{
	switch (why) {
	case GW_MISS_NONE:
		snprintf(text, 160, "every predicate holds");
		return;
	case GW_MISS_DISABLED:
		snprintf(text, 160, "the route is disabled");
		return;
	case GW_MISS_HOST:
		snprintf(text, 160, "the host `%.*s` is none of its %zu hosts",
		    in->host.n > 60 ? 60 : (int)in->host.n, in->host.p ? in->host.p : "", r->hosts.n);
		return;
	case GW_MISS_PATH:
		snprintf(text, 160, "the path does not begin with `%.*s`",
		    r->path_prefix.n > 80 ? 80 : (int)r->path_prefix.n, r->path_prefix.p);
		return;
	case GW_MISS_MODEL:
		if (in->model.p)
			snprintf(text, 160, "the model `%.*s` fits none of its %zu models",
			    in->model.n > 60 ? 60 : (int)in->model.n, in->model.p, r->n_models);
		else
			snprintf(text, 160, "it wants a model, and the request has none");
		return;
	case GW_MISS_HEADER:
		snprintf(text, 160, "a header that it wants is missing or different");
		return;
	case GW_MISS_QUERY:
		snprintf(text, 160, "a query parameter that it wants is missing or different");
		return;
	}
}

enum gw_match_fail gw_match_one(const struct gw_snapshot *s, const struct gw_route *r,
    const struct gw_match_input *in, char text[160])
{
	struct score score;
	enum gw_match_fail why = try_route(gw_snapshot_index(s), r, in, bare_host(in->host), &score);
	if (text)
		explain(why, r, in, text);
	return why;
}
