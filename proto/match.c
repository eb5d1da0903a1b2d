/*
 * match.c - which route serves a request.
 *
 * Routes that name exact models stand in a bucket by model (a second table holds those that ignore case); routes with
 * prefixes, regexes or no model at all stand in one list.  Each bucket and the list are sorted by the best score that
 * a route could reach, so the search stops as soon as what it has cannot be beaten.
 */
#define PCRE2_CODE_UNIT_WIDTH 8
#include "match.h"
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

/* Routes that a search visits, best first, each with the best score that any request could give it. */
struct score {
	uint64_t where, what; /* compared in this order: host and path; model and number of predicates */
};
struct candidate {
	const struct gw_route *route;
	struct score ceiling;
};
struct bucket {
	atomic_uint refs;
	uint64_t maker;                /* the index that made it, which may change it until it is sealed */
	struct gw_str key;             /* the model; stands behind the array */
	size_t n, room;
	struct candidate v[];
};

struct gw_match_index {
	unsigned magic;
	uint64_t maker;                /* its number, never used twice */
	bool filling;                  /* from nothing, and not sealed yet: buckets are not in order */
	struct gw_trie exact, folded;  /* model → struct bucket, counted */
	struct bucket *rest;           /* counted */
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

int gw_route_cmp(const struct gw_route *a, const struct gw_route *b)
{
	int c = score_cmp(ceiling(b), ceiling(a));
	return c ? c : gw_str_cmp(a->name, b->name);
}

static int candidate_cmp(const void *a, const void *b)
{
	const struct candidate *x = a, *y = b;
	int c = score_cmp(y->ceiling, x->ceiling);
	return c ? c : gw_str_cmp(x->route->name, y->route->name);
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

static void drop_bucket(void *value)
{
	struct bucket *b = value;
	if (b && atomic_fetch_sub_explicit(&b->refs, 1, memory_order_acq_rel) == 1)
		free(b);
}

static struct bucket *new_bucket(struct gw_str key, size_t room)
{
	struct bucket *b = gw_alloc(sizeof *b + room * sizeof b->v[0] + key.n);
	char *text = (char *)&b->v[room];
	atomic_init(&b->refs, 1);
	if (key.n)
		memcpy(text, key.p, key.n);
	b->key = (struct gw_str){ text, key.n };
	b->room = room;
	return b;
}

static struct gw_str fold(char *out, struct gw_str s)
{
	for (size_t i = 0; i < s.n; i++)
		out[i] = s.p[i] >= 'A' && s.p[i] <= 'Z' ? s.p[i] | 0x20 : s.p[i];
	return (struct gw_str){ out, s.n };
}

/* Where the candidate stands, or would. */
static size_t place_of(const struct bucket *b, const struct candidate *c, bool *there)
{
	size_t at = 0, end = b ? b->n : 0;
	while (at < end) {
		size_t mid = at + (end - at) / 2;
		if (candidate_cmp(&b->v[mid], c) < 0)
			at = mid + 1;
		else
			end = mid;
	}
	*there = b && at < b->n && candidate_cmp(&b->v[at], c) == 0;
	return at;
}

/* One with the same entries that may be changed and has room for one more; `old` itself if it is such a one. */
static struct bucket *own(const struct gw_match_index *ix, struct bucket *old, struct gw_str key)
{
	bool mine = old && old->maker == ix->maker;
	if (mine && old->n < old->room)
		return old;
	size_t n = old ? old->n : 0;
	struct bucket *b = new_bucket(key, mine ? n * 2 + 1 : n + 1);
	b->maker = ix->maker;
	if (n)
		memcpy(b->v, old->v, n * sizeof b->v[0]);
	b->n = n;
	return b;
}

enum action { ADD, DEL, SWAP };

/* The bucket with the change, to be put into the old one's place unless it is the old one. */
static struct bucket *edit(const struct gw_match_index *ix, struct bucket *old, struct gw_str key, enum action what,
    const struct gw_route *r, const struct gw_route *next)
{
	struct candidate c = { r, ceiling(r) };
	bool there = false;
	if (ix->filling && old && old->n && old->v[old->n - 1].route == r)
		return old; /* a model that the route names twice */
	size_t at = ix->filling ? (old ? old->n : 0) : place_of(old, &c, &there);
	if (there == (what == ADD))
		return old;
	struct bucket *b = own(ix, old, key);
	if (what == SWAP) {
		b->v[at] = (struct candidate){ next, c.ceiling };
	} else if (what == ADD) {
		memmove(&b->v[at + 1], &b->v[at], (b->n - at) * sizeof c);
		b->v[at] = c;
		b->n++;
	} else {
		memmove(&b->v[at], &b->v[at + 1], (b->n - at - 1) * sizeof c);
		b->n--;
	}
	return b;
}

static void change_model(struct gw_match_index *ix, const struct gw_matcher *m, enum action what,
    const struct gw_route *r, const struct gw_route *next)
{
	char folded[MODEL_MAX];
	assert(m->value.n <= MODEL_MAX);
	struct gw_trie *map = m->ignore_case ? &ix->folded : &ix->exact;
	struct gw_str key = m->ignore_case ? fold(folded, m->value) : m->value;
	struct bucket *old = gw_trie_get(map, key), *b = edit(ix, old, key, what, r, next);
	if (b && b->n == 0) {
		gw_trie_del(map, key);
		if (b != old)
			drop_bucket(b);
	} else if (b != old) {
		gw_trie_put(map, b->key, b);
	}
}

static void change(struct gw_match_index *ix, enum action what, const struct gw_route *r, const struct gw_route *next)
{
	GW_CHECK(ix, INDEX_MAGIC);
	bool rest = r->n_models == 0;
	if (!r->enabled)
		return;
	for (size_t m = 0; m < r->n_models; m++) {
		if (r->models[m].type == GW_MATCH_EXACT)
			change_model(ix, &r->models[m], what, r, next);
		else
			rest = true;
	}
	struct bucket *b = rest ? edit(ix, ix->rest, GW_STR_NONE, what, r, next) : ix->rest;
	if (b == ix->rest)
		return;
	drop_bucket(ix->rest);
	ix->rest = b;
}

void gw_match_index_add(struct gw_match_index *ix, const struct gw_route *r)
{
	change(ix, ADD, r, NULL);
}

void gw_match_index_del(struct gw_match_index *ix, const struct gw_route *r)
{
	change(ix, DEL, r, NULL);
}

void gw_match_index_swap(struct gw_match_index *ix, const struct gw_route *r, const struct gw_route *next)
{
	change(ix, SWAP, r, next);
}

struct gw_match_index *gw_match_index_open(const struct gw_match_index *base)
{
	static atomic_uint_fast64_t makers;
	struct gw_match_index *ix = gw_alloc(sizeof *ix);
	ix->magic = INDEX_MAGIC;
	ix->maker = atomic_fetch_add_explicit(&makers, 1, memory_order_relaxed) + 1;
	if (base) {
		gw_trie_copy(&ix->exact, &base->exact);
		gw_trie_copy(&ix->folded, &base->folded);
		ix->rest = base->rest;
		atomic_fetch_add_explicit(&ix->rest->refs, 1, memory_order_relaxed);
		return ix;
	}
	ix->filling = true;
	gw_trie_init(&ix->exact, drop_bucket);
	gw_trie_init(&ix->folded, drop_bucket);
	ix->rest = new_bucket(GW_STR_NONE, 1);
	return ix;
}

static void sort(struct bucket *b)
{
	if (b->n)
		qsort(b->v, b->n, sizeof b->v[0], candidate_cmp);
}

void gw_match_index_seal(struct gw_match_index *ix)
{
	struct gw_trie_at exact = { 0 }, folded = { 0 };
	struct bucket *b;
	GW_CHECK(ix, INDEX_MAGIC);
	if (!ix->filling)
		return;
	ix->filling = false;
	sort(ix->rest);
	while ((b = gw_trie_next(&ix->exact, &exact)))
		sort(b);
	while ((b = gw_trie_next(&ix->folded, &folded)))
		sort(b);
}

void gw_match_index_close(struct gw_match_index **ixp)
{
	struct gw_match_index *ix = *ixp;
	*ixp = NULL;
	if (!ix)
		return;
	GW_CHECK(ix, INDEX_MAGIC);
	ix->magic = 0;
	gw_trie_fini(&ix->exact);
	gw_trie_fini(&ix->folded);
	drop_bucket(ix->rest);
	free(ix);
}

struct best {
	const struct gw_route *route;
	struct score score;
};

static void search(struct gw_match_index *ix, const struct bucket *b, const struct gw_match_input *in,
    struct gw_str host, struct best *best)
{
	for (size_t i = 0; i < b->n; i++) {
		const struct gw_route *r = b->v[i].route;
		struct score score;
		int c = best->route ? score_cmp(best->score, b->v[i].ceiling) : -1;
		if (c > 0)
			return;
		if (try_route(ix, r, in, host, &score) != GW_MISS_NONE)
			continue;
		c = best->route ? score_cmp(score, best->score) : 1;
		if (c > 0 || (c == 0 && gw_str_cmp(r->name, best->route->name) < 0))
			*best = (struct best){ r, score };
	}
}

const struct gw_route *gw_match(const struct gw_snapshot *s, const struct gw_match_input *in)
{
	struct gw_match_index *ix = gw_snapshot_index(s);
	struct best best = { NULL, { 0, 0 } };
	struct gw_str host = bare_host(in->host);
	if (in->model.p && in->model.n <= MODEL_MAX) {
		const struct bucket *b = gw_trie_get(&ix->exact, in->model);
		if (b)
			search(ix, b, in, host, &best);
		if (ix->folded.count) {
			char folded[MODEL_MAX];
			b = gw_trie_get(&ix->folded, fold(folded, in->model));
			if (b)
				search(ix, b, in, host, &best);
		}
	}
	search(ix, ix->rest, in, host, &best);
	return best.route;
}

static void visit_bucket(const struct bucket *b, const struct gw_route *r, void (*fn)(void *arg, const struct gw_route *other),
    void *arg)
{
	for (size_t i = 0; b && i < b->n; i++)
		if (b->v[i].route != r)
			fn(arg, b->v[i].route);
}

void gw_match_beside(const struct gw_snapshot *s, const struct gw_route *r,
    void (*fn)(void *arg, const struct gw_route *other), void *arg)
{
	const struct gw_match_index *ix = gw_snapshot_index(s);
	bool rest = r->n_models == 0;
	for (size_t m = 0; m < r->n_models; m++) {
		char folded[MODEL_MAX];
		const struct gw_matcher *model = &r->models[m];
		if (model->type != GW_MATCH_EXACT)
			rest = true;
		else if (model->ignore_case)
			visit_bucket(gw_trie_get(&ix->folded, fold(folded, model->value)), r, fn, arg);
		else
			visit_bucket(gw_trie_get(&ix->exact, model->value), r, fn, arg);
	}
	if (rest)
		visit_bucket(ix->rest, r, fn, arg);
}

size_t gw_match_breadth(const struct gw_snapshot *s)
{
	return gw_snapshot_index(s)->rest->n;
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
