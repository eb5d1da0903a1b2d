/*
 * models.c - the list of models, one model of it, and the names that a refusal suggests.
 *
 * A name is listed only if a request for it would be accepted, so the very checks of a request are made for every name
 * that some route writes down.  With ten thousand routes that is work for many milliseconds, which anybody with a key
 * may ask for; so a loop does it in slices, one every few milliseconds whatever the number of clients who wait, and
 * keeps the last lists until the configuration changes.  A refusal looks at a few names only, and says so.
 */
#include <stdlib.h>

#include "base/map.h"
#include "base/str.h"
#include "exchange/impl.h"

#define SLICE       256          /* names searched for in a turn, for the list */
#define FEW         24           /* and for a refusal */
#define SLICE_ROUTES 2048        /* no more routes than that are looked at by all these searches, or nearly */
#define MAX_ROWS    5000
#define LISTS       8            /* kept by a loop */
#define LIST_MAX    (1u << 20)   /* bytes of one */
#define SUGGESTED   150          /* bytes of names in a refusal */
#define OWN_NAMES   16           /* of the consumer's own list, looked at first for it */

/* Where the walk through all names stands. */
struct walk {
	struct gw_trie_at at;
	const struct gw_route *r;        /* NULL: the next one comes */
	enum { EXACT, MAPPED, SERVED } what;
	size_t t, i;                     /* target and name, or the matcher */
};

/* What, besides the consumer, the list depends on. */
struct depends { bool host, fields; };

struct dp_listing {
	struct gw_node node;             /* on the shard's queue */
	struct dp_exchange *x;
	struct gw_match_input in;
	struct walk walk;
	struct depends on;
	struct dp_model_row *v;
	size_t n, cap;
	struct gw_map *seen;
	bool over;
};

struct dp_model_lists {
	bool known;                      /* one walk has been to its end, so `on` is true of all */
	struct depends on;
	struct { struct gw_str key, body; uint64_t used; } v[LISTS]; /* owned */
	uint64_t clock;
};

/* ---- one name ---- */

static bool is_name(struct gw_str s)
{
	return s.n > 0 && !memchr(s.p, '*', s.n);
}

/* Is this one of the names that the route writes down? */
static bool writes(const struct gw_route *r, struct gw_str name)
{
	for (size_t i = 0; i < r->n_models; i++)
		if (r->models[i].type == GW_MATCH_EXACT && gw_str_eq(r->models[i].value, name))
			return true;
	for (size_t t = 0; t < r->n_targets; t++) {
		const struct gw_target *g = &r->targets[t];

		for (size_t i = 0; i < g->n_model_map; i++)
			if (gw_str_eq(g->model_map[i].name, name))
				return true;
		for (size_t i = 0; !g->model.n && i < g->provider->models.n; i++)
			if (gw_str_eq(g->provider->models.v[i], name))
				return true;
	}
	return false;
}

static void input_of(struct dp_exchange *x, struct gw_match_input *in)
{
	struct gw_str base = x->uri.path;
	size_t at;

	base.n = gw_str_find(base, GW_STR("/v1/"), &at) ? at : 0;
	*in = (struct gw_match_input){
		.host = x->head->host, .path = gw_arena_printf(x->a, "%.*s/v1/chat/completions", GW_FMT(base)), .headers = x->head->headers,
		.n_headers = x->head->n_headers, .query = x->uri.query,
	};
}

static bool speaks_any(const struct gw_target *t, size_t n, const struct dp_dialect *d)
{
	for (size_t i = 0; i < n; i++) {
		const struct dp_provider *type = dp_provider_find(t[i].provider->type);

		if (type && dp_provider_speaks(type, d))
			return true;
	}
	return false;
}

/*
 * Is it served where this client will ask for it?  A list in Anthropic's words is read by who then calls /v1/messages; the
 * other one is for all of OpenAI's paths, and names everything.
 */
static bool spoken(const struct dp_exchange *x, const struct gw_route *r)
{
	const struct dp_dialect *d = x->op->dialect ? x->op->dialect : x->dialect == &dp_anthropic_messages ? x->dialect : NULL;

	return !d || speaks_any(r->targets, r->n_targets, d) ||
	       (r->fallback.enabled && speaks_any(r->fallback.targets, r->fallback.n_targets, d));
}

/* The route that would serve it, if this consumer may be served so; else NULL. */
static const struct gw_route *serves(struct dp_exchange *x, struct gw_match_input *in, struct gw_str name)
{
	const struct gw_route *r;

	in->model = name;
	r = gw_match(x->snapshot, in);
	return r && spoken(x, r) && gw_route_allows(r, x->consumer) && gw_consumer_may_any(x->consumer, r, name) ? r : NULL;
}

/* ---- all names ---- */

static bool next_route(struct dp_listing *l)
{
	struct walk *w = &l->walk;

	do
		w->r = gw_snapshot_next_route(l->x->snapshot, &w->at);
	while (w->r && !w->r->enabled);
	if (!w->r)
		return false;
	l->on.host |= w->r->hosts.n > 0;
	l->on.fields |= w->r->n_headers + w->r->n_query > 0;
	w->what = EXACT;
	w->t = w->i = 0;
	return true;
}

/* The next name that a route writes down; absent: none at this place, go on.  false: that was all. */
static bool next_name(struct dp_listing *l, struct gw_str *name)
{
	struct walk *w = &l->walk;
	const struct gw_target *g;

	*name = GW_STR_NONE;
	if (!w->r)
		return next_route(l);
	if (w->what == EXACT) {
		if (w->i < w->r->n_models) {
			const struct gw_matcher *m = &w->r->models[w->i++];

			*name = m->type == GW_MATCH_EXACT ? m->value : GW_STR_NONE;
			return true;
		}
		w->what = MAPPED;
		w->i = 0;
	}
	if (w->t == w->r->n_targets) {
		w->r = NULL;
		return true;
	}
	g = &w->r->targets[w->t];
	if (w->what == MAPPED && w->i < g->n_model_map) {
		*name = g->model_map[w->i++].name;
	} else if (w->what == MAPPED) {
		w->what = SERVED;
		w->i = 0;
	} else if (!g->model.n && w->i < g->provider->models.n) {
		*name = g->provider->models.v[w->i++];
	} else {
		w->what = MAPPED;
		w->t++;
		w->i = 0;
	}
	return true;
}

static void add_row(struct dp_listing *l, struct gw_str name, const struct gw_route *r)
{
	if (l->n == l->cap) {
		size_t cap = l->cap ? l->cap * 2 : 32;
		struct dp_model_row *v = gw_arena_array(l->x->a, cap, sizeof *v);

		if (l->n)
			memcpy(v, l->v, l->n * sizeof *v);
		l->v = v;
		l->cap = cap;
	}
	l->v[l->n++] = (struct dp_model_row){ name, r->targets[0].provider->name };
}

/* A row for the name, if the route that serves it writes it down.  false: no search was needed. */
static bool offer(struct dp_listing *l, struct gw_str name)
{
	const struct gw_route *r;

	if (!is_name(name) || gw_map_get(l->seen, name))
		return false;
	gw_map_put(l->seen, name, l->x);
	r = serves(l->x, &l->in, name);
	if (r && writes(r, name))
		add_row(l, name, r);
	return true;
}

static size_t slice_of(const struct dp_exchange *x, size_t most)
{
	size_t n = SLICE_ROUTES / (gw_match_breadth(x->snapshot) + SLICE_ROUTES / most);

	return n ? n : 1;
}

/* Go on for so many searches; steps without one cost little, but not nothing. */
static void walk(struct dp_listing *l, size_t searches)
{
	struct gw_str name;

	for (size_t steps = 16 * searches + FEW; steps > 0 && searches > 0 && l->n < MAX_ROWS && !l->over; steps--) {
		l->over = !next_name(l, &name);
		if (name.n && offer(l, name))
			searches--;
	}
	l->over |= l->n == MAX_ROWS;
}

static struct dp_listing *begin(struct dp_exchange *x)
{
	struct dp_listing *l = gw_arena_alloc(x->a, sizeof *l);

	l->x = x;
	l->seen = gw_map_open(64);
	gw_list_init(&l->node);
	input_of(x, &l->in);
	return l;
}

static int by_id(const void *a, const void *b)
{
	return gw_str_cmp(((const struct dp_model_row *)a)->id, ((const struct dp_model_row *)b)->id);
}

static void finish(struct dp_listing *l)
{
	gw_map_close(&l->seen);
	if (l->n)
		qsort(l->v, l->n, sizeof *l->v, by_id);
}

/* ---- lists that are kept ---- */

/* Who asks and where, in one text; absent: this list is not kept. */
static struct gw_str key_of(struct dp_exchange *x, const struct depends *on)
{
	const struct gw_consumer *c = x->consumer;
	struct gw_buf b;
	struct gw_str key;
	size_t at;

	if (on->fields)
		return GW_STR_NONE;
	gw_buf_init(&b, 65536);
	gw_buf_add_c(&b, x->dialect->name);
	gw_buf_add_byte(&b, '\n');
	gw_buf_add(&b, c ? c->name : GW_STR("\n"));
	for (size_t i = 0; c && i < c->groups.n; i++) {
		gw_buf_add_byte(&b, '\n');
		gw_buf_add(&b, c->groups.v[i]);
	}
	gw_buf_add(&b, GW_STR("\n\n"));
	if (on->host)
		gw_buf_add(&b, x->head->host);
	gw_buf_add_byte(&b, '\n');
	if (gw_str_find(x->uri.path, GW_STR("/v1/"), &at))
		gw_buf_add(&b, (struct gw_str){ x->uri.path.p, at });
	key = b.full ? GW_STR_NONE : gw_arena_copy(x->a, gw_buf_str(&b));
	gw_buf_fini(&b);
	return key;
}

static void keep(struct dp_exchange *x, const struct depends *on, struct gw_str body)
{
	struct dp_shard *s = x->shard;
	struct gw_str key = key_of(x, on);
	size_t oldest = 0;

	if (x->snapshot != s->snapshot)
		return; /* it is of a configuration that is no more */
	if (!s->lists)
		s->lists = gw_alloc(sizeof *s->lists);
	s->lists->known = true;
	s->lists->on = *on;
	if (!key.p || body.n > LIST_MAX)
		return;
	for (size_t i = 1; i < LISTS; i++)
		if (s->lists->v[i].used < s->lists->v[oldest].used)
			oldest = i;
	free((char *)(uintptr_t)s->lists->v[oldest].key.p);
	free((char *)(uintptr_t)s->lists->v[oldest].body.p);
	s->lists->v[oldest].key = (struct gw_str){ gw_strdup_n(key.p, key.n), key.n };
	s->lists->v[oldest].body = (struct gw_str){ gw_strdup_n(body.p, body.n), body.n };
	s->lists->v[oldest].used = ++s->lists->clock;
}

static bool answer_kept(struct dp_exchange *x)
{
	struct dp_model_lists *lists = x->snapshot == x->shard->snapshot ? x->shard->lists : NULL;
	struct gw_str key = lists && lists->known ? key_of(x, &lists->on) : GW_STR_NONE;

	for (size_t i = 0; key.p && i < LISTS; i++)
		if (lists->v[i].used && gw_str_eq(lists->v[i].key, key)) {
			lists->v[i].used = ++lists->clock;
			dp_answer_json(x, 200, lists->v[i].body);
			return true;
		}
	return false;
}

void dp_models_forget(struct dp_shard *s)
{
	for (size_t i = 0; s->lists && i < LISTS; i++) {
		free((char *)(uintptr_t)s->lists->v[i].key.p);
		free((char *)(uintptr_t)s->lists->v[i].body.p);
	}
	free(s->lists);
	s->lists = NULL;
}

/* ---- in slices ---- */

static void answer_list(struct dp_listing *l)
{
	struct dp_exchange *x = l->x;
	struct gw_buf out;

	finish(l);
	gw_buf_init(&out, 8u << 20);
	x->dialect->write_models(&out, l->v, l->n, 0);
	keep(x, &l->on, gw_buf_str(&out));
	dp_answer_json(x, 200, gw_buf_str(&out));
	gw_buf_fini(&out);
}

void dp_x_models_stop(struct dp_exchange *x)
{
	struct dp_listing *l = x->listing;

	if (!l)
		return;
	x->listing = NULL;
	gw_list_del(&l->node);
	gw_map_close(&l->seen);
	if (gw_list_empty(&x->shard->listings))
		dp_timer_stop(&x->shard->listing_timer);
}

/* A slice for the one that has waited longest, then it is the next one's turn. */
static void on_slice(struct dp_timer *t)
{
	struct dp_shard *s = GW_CONTAINER(t, struct dp_shard, listing_timer);
	struct dp_listing *l = GW_CONTAINER(s->listings.next, struct dp_listing, node);

	GW_CHECK(l->x, DP_EXCHANGE_MAGIC);
	dp_crash_at(s->crash, l->x);
	gw_list_del(&l->node);
	walk(l, slice_of(l->x, SLICE));
	if (l->over) {
		l->x->listing = NULL;
		answer_list(l);
	} else {
		gw_list_add_tail(&s->listings, &l->node);
	}
	if (!gw_list_empty(&s->listings))
		dp_loop_timer(s->loop, t, 1);
}

void dp_models_open(struct dp_shard *s)
{
	gw_list_init(&s->listings);
	dp_timer_init(&s->listing_timer, on_slice);
}

static void answer_one(struct dp_exchange *x, struct gw_str name)
{
	struct gw_match_input in;
	const struct gw_route *r = NULL;
	struct gw_buf out;

	input_of(x, &in);
	if (is_name(name))
		r = serves(x, &in, name);
	if (!r || !writes(r, name)) {
		dp_answer_error(x, DP_E_NO_MODEL, "The model `%.*s` does not exist here, or your key may not use it.", GW_FMT(name));
		return;
	}
	gw_buf_init(&out, 8192);
	x->dialect->write_model(&out, &(struct dp_model_row){ name, r->targets[0].provider->name }, 0);
	dp_answer_json(x, 200, gw_buf_str(&out));
	gw_buf_fini(&out);
}

void dp_x_models(struct dp_exchange *x)
{
	struct dp_listing *l;

	if (!x->consumer && !x->shard->any_open_route) {
		dp_answer_error(x, DP_E_NO_KEY, "No API key was given. Send it as 'Authorization: Bearer <key>' or 'x-api-key: <key>'.");
		return;
	}
	if (x->rest.n > 1 && x->rest.p[0] == '/') {
		answer_one(x, gw_str_from(x->rest, 1));
		return;
	}
	if (answer_kept(x))
		return;
	l = begin(x);
	walk(l, slice_of(x, SLICE));
	if (l->over) { /* with few names, and that is the usual case, this is all */
		answer_list(l);
		return;
	}
	x->listing = l;
	if (gw_list_empty(&x->shard->listings))
		dp_loop_timer(x->shard->loop, &x->shard->listing_timer, 1);
	gw_list_add_tail(&x->shard->listings, &l->node);
	dp_x_step(x, DP_STEP_LISTING);
}

/* ---- for a refusal ---- */

struct gw_str dp_x_other_models(struct dp_exchange *x)
{
	struct dp_listing *l = begin(x);
	const struct gw_strv *own = x->consumer ? &x->consumer->models : NULL;
	struct gw_buf b;
	struct gw_str text;

	for (size_t i = 0; own && i < own->n && i < OWN_NAMES; i++)
		(void)offer(l, own->v[i]);
	walk(l, slice_of(x, FEW));
	finish(l);
	if (l->n == 0)
		return l->over ? GW_STR(", and your key may use no model at all yet") : GW_STR("; GET /v1/models lists those that your key may use");
	gw_buf_init(&b, 400);
	gw_buf_add_c(&b, l->over ? "; your key may use: " : "; your key may use, among others: ");
	for (size_t i = 0, began = b.n; i < l->n; i++) {
		if (b.n - began + l->v[i].id.n > SUGGESTED) {
			if (l->over)
				gw_buf_printf(&b, " and %zu more", l->n - i);
			break;
		}
		gw_buf_printf(&b, "%s%.*s", i ? ", " : "", GW_FMT(l->v[i].id));
	}
	text = gw_arena_copy(x->a, gw_buf_str(&b));
	gw_buf_fini(&b);
	return text;
}
