/*
 * route.c - which route serves the request, and whether this consumer may call it.
 *
 * What a consumer may be served with is decided target by target (proto/permit.c), for every attempt anew.
 */
#include <stdlib.h>

#include "base/str.h"
#include "exchange/impl.h"

bool dp_x_may_use(const struct dp_exchange *x, const struct gw_target *t, bool is_fallback)
{
	return gw_consumer_may(x->consumer, x->route, t, is_fallback, x->req.model);
}

/* ---- the list of models ---- */

struct names {
	struct dp_exchange *x;
	struct gw_match_input in;
	struct dp_model_row *v;
	size_t n, cap;
	struct gw_map *seen;
};

/* A name is listed only if a request for it would be accepted, so the very checks of a request are made. */
static void offer(struct names *l, struct gw_str model, const struct gw_route *from)
{
	const struct gw_route *r;

	if (model.n == 0 || memchr(model.p, '*', model.n) || gw_map_get(l->seen, model) || l->n == 5000)
		return;
	l->in.model = model;
	r = gw_match(l->x->snapshot, &l->in);
	if (r != from || !gw_route_allows(r, l->x->consumer) || !gw_consumer_may_any(l->x->consumer, r, model))
		return;
	if (l->n == l->cap) {
		size_t cap = l->cap ? l->cap * 2 : 32;
		struct dp_model_row *v = gw_arena_array(l->x->a, cap, sizeof *v);

		if (l->n)
			memcpy(v, l->v, l->n * sizeof *v);
		l->v = v;
		l->cap = cap;
	}
	l->v[l->n++] = (struct dp_model_row){ model, r->targets[0].provider->name };
	gw_map_put(l->seen, model, l->x);
}

static void offer_targets(struct names *l, const struct gw_route *r)
{
	for (size_t t = 0; t < r->n_targets; t++) {
		const struct gw_target *g = &r->targets[t];

		for (size_t i = 0; i < g->n_model_map; i++)
			offer(l, g->model_map[i].name, r);
		for (size_t i = 0; !g->model.n && i < g->provider->models.n; i++)
			offer(l, g->provider->models.v[i], r);
	}
}

static void collect(struct names *l, struct dp_exchange *x)
{
	struct gw_str base = x->uri.path;
	size_t n, at;
	const struct gw_route *const *r = gw_snapshot_routes(x->snapshot, x->a, &n);

	memset(l, 0, sizeof *l);
	l->x = x;
	l->seen = gw_map_open(64);
	if (gw_str_find(base, GW_STR("/v1/"), &at))
		base.n = at;
	else
		base.n = 0;
	l->in.host = x->head->host;
	l->in.path = gw_arena_printf(x->a, "%.*s/v1/chat/completions", GW_FMT(base));
	l->in.headers = x->head->headers;
	l->in.n_headers = x->head->n_headers;
	l->in.query = x->uri.query;
	for (size_t i = 0; i < n; i++) {
		if (!r[i]->enabled)
			continue;
		for (size_t m = 0; m < r[i]->n_models; m++)
			if (r[i]->models[m].type == GW_MATCH_EXACT)
				offer(l, r[i]->models[m].value, r[i]);
		offer_targets(l, r[i]);
	}
}

static int by_id(const void *a, const void *b)
{
	return gw_str_cmp(((const struct dp_model_row *)a)->id, ((const struct dp_model_row *)b)->id);
}

void dp_x_models(struct dp_exchange *x)
{
	struct names l;
	struct gw_buf out;
	struct gw_str wanted = x->rest;

	if (!x->consumer && !x->shard->any_open_route) {
		dp_answer_error(x, DP_E_NO_KEY, "No API key was given. Send it as 'Authorization: Bearer <key>'.");
		return;
	}
	collect(&l, x);
	if (l.n)
		qsort(l.v, l.n, sizeof *l.v, by_id);
	gw_map_close(&l.seen);
	gw_buf_init(&out, 8u << 20);
	if (wanted.n > 1 && wanted.p[0] == '/') {
		struct dp_model_row *row = NULL;

		wanted = gw_str_from(wanted, 1);
		for (size_t i = 0; i < l.n; i++)
			if (gw_str_eq(l.v[i].id, wanted))
				row = &l.v[i];
		if (!row) {
			gw_buf_fini(&out);
			dp_answer_error(x, DP_E_NO_MODEL, "The model `%.*s` does not exist here, or your key may not use it.", GW_FMT(wanted));
			return;
		}
		dp_model_body(&out, row, 0);
	} else {
		dp_models_body(&out, l.v, l.n, 0);
	}
	dp_answer_json(x, 200, gw_buf_str(&out));
	gw_buf_fini(&out);
}

/* ---- the route ---- */

/* "a, b, c and 4 more": only what this consumer may call. */
static struct gw_str usable_names(struct dp_exchange *x)
{
	struct names l;
	struct gw_buf b;
	struct gw_str text;

	collect(&l, x);
	gw_map_close(&l.seen);
	if (l.n == 0)
		return GW_STR_NONE;
	qsort(l.v, l.n, sizeof *l.v, by_id);
	gw_buf_init(&b, 400);
	for (size_t i = 0; i < l.n; i++) {
		if (b.n + l.v[i].id.n > 150) {
			gw_buf_printf(&b, " and %zu more", l.n - i);
			break;
		}
		gw_buf_printf(&b, "%s%.*s", i ? ", " : "", GW_FMT(l.v[i].id));
	}
	text = gw_arena_copy(x->a, gw_buf_str(&b));
	gw_buf_fini(&b);
	return text;
}

static void refuse_model(struct dp_exchange *x, enum dp_code code, const char *how)
{
	struct gw_str names = usable_names(x), model = x->req.model;

	if (model.n > 100)
		model.n = 100;
	if (names.n)
		dp_answer_error(x, code, "The model `%.*s` %s; your key may use: %.*s.", GW_FMT(model), how, GW_FMT(names));
	else
		dp_answer_error(x, code, "The model `%.*s` %s, and your key may use no model at all yet.", GW_FMT(model), how);
}

bool dp_x_route(struct dp_exchange *x)
{
	struct gw_match_input in = {
		.host = x->head->host, .path = x->uri.path, .model = x->req.model, .headers = x->head->headers,
		.n_headers = x->head->n_headers, .query = x->uri.query,
	};

	x->route = gw_match(x->snapshot, &in);
	if (!x->route) {
		if (x->req.model.p)
			refuse_model(x, DP_E_NO_MODEL, "is not served here");
		else
			dp_answer_error(x, DP_E_NO_PATH, "No route serves this path.");
		return false;
	}
	if (!x->consumer && x->route->auth.required) {
		dp_x_refuse_anonymous(x);
		return false;
	}
	if (!gw_route_allows(x->route, x->consumer)) {
		dp_answer_error(x, DP_E_FORBIDDEN, "Your key belongs to consumer `%.*s`, which may not call the route `%.*s`.",
		                GW_FMT(x->consumer->name), GW_FMT(x->route->name));
		return false;
	}
	if (!gw_consumer_may_any(x->consumer, x->route, x->req.model)) {
		if (x->req.model.p)
			refuse_model(x, DP_E_MODEL_FORBIDDEN, "is not allowed for your key");
		else
			dp_answer_error(x, DP_E_MODEL_FORBIDDEN, "The request names no model, and your key may only use some models.");
		return false;
	}
	return true;
}
