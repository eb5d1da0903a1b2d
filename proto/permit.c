/*
 * permit.c - who may call which route, and be served by which of its targets.
 *
 * Both sides ask here, so that what the console explains is what a worker does.  What a name grants is decided by what an operator
 * wrote about it, never by a name that a client can choose freely: see gw_consumer_may().
 */
#include "base/str.h"
#include "match.h"
#include "snapshot.h"

/* ---- models ---- */

/* Does the route itself offer a model of exactly this name at this target? */
static bool offers(const struct gw_route *r, const struct gw_target *t, struct gw_str model)
{
	for (size_t i = 0; i < r->n_models; i++)
		if (r->models[i].type == GW_MATCH_EXACT && gw_str_eq(r->models[i].value, model))
			return true;
	for (size_t i = 0; i < t->n_model_map; i++)
		if (gw_str_eq(t->model_map[i].name, model))
			return true;
	return false;
}

struct question {
	const struct gw_route *r;
	const struct gw_target *t;
	bool is_fallback;
	struct gw_str asked, served;         /* absent: none */
};

static bool named(struct gw_str pattern, struct gw_str model)
{
	return model.p ? gw_glob_match(pattern, model) : gw_str_is(pattern, "*");
}

static bool grants(struct gw_str entry, const struct question *q)
{
	if (gw_str_is(entry, "*"))
		return true;
	if (gw_str_starts(entry, GW_STR("route:")))
		return gw_glob_match(gw_str_from(entry, 6), q->r->name);
	if (gw_str_starts(entry, GW_STR("target:"))) {
		struct gw_str model = gw_str_from(entry, 7), provider = gw_str_cut(&model, '/');
		return model.p && gw_str_eq(provider, q->t->provider->name) && named(model, q->served);
	}
	if (q->served.p && gw_glob_match(entry, q->served))
		return true;
	return q->asked.p && !q->is_fallback && gw_glob_match(entry, q->asked) && offers(q->r, q->t, q->asked);
}

static bool any_grants(struct gw_strv list, const struct question *q)
{
	for (size_t i = 0; i < list.n; i++)
		if (grants(list.v[i], q))
			return true;
	return false;
}

bool gw_consumer_may(const struct gw_consumer *c, const struct gw_route *r, const struct gw_target *t,
    bool is_fallback, struct gw_str model)
{
	bool bounded = false, granted = false;
	if (!c)
		return true;
	struct question q = { r, t, is_fallback, model, gw_target_model(t, model) };
	if (!any_grants(c->models, &q))
		return false;
	for (size_t i = 0; i < c->n_in && !granted; i++) {
		bounded |= c->in[i]->bounds_models;
		granted = c->in[i]->bounds_models && c->in[i]->enabled && any_grants(c->in[i]->models, &q);
	}
	return granted || !bounded;
}

bool gw_consumer_may_any(const struct gw_consumer *c, const struct gw_route *r, struct gw_str model)
{
	for (size_t i = 0; i < r->n_targets; i++)
		if (gw_consumer_may(c, r, &r->targets[i], false, model))
			return true;
	return false;
}

bool gw_models_entry_valid(struct gw_str entry)
{
	if (gw_str_starts(entry, GW_STR("target:"))) {
		struct gw_str model = gw_str_from(entry, 7), provider = gw_str_cut(&model, '/');
		return gw_name_valid(provider) && model.n;
	}
	return !gw_str_is(entry, "route:");
}

/* ---- routes ---- */

static bool holds(const struct gw_strv *sorted, struct gw_str name)
{
	size_t low = 0, high = sorted->n;
	while (low < high) {
		size_t mid = low + (high - low) / 2;
		int c = gw_str_cmp(name, sorted->v[mid]);
		if (c == 0)
			return true;
		if (c < 0)
			high = mid;
		else
			low = mid + 1;
	}
	return false;
}

/* A disabled group admits nobody; one that is no object is only a word. */
static bool is_disabled(const struct gw_consumer *c, struct gw_str group)
{
	for (size_t i = 0; i < c->n_in; i++)
		if (gw_str_eq(c->in[i]->name, group))
			return !c->in[i]->enabled;
	return false;
}

bool gw_route_allows(const struct gw_route *r, const struct gw_consumer *c)
{
	if (!r->auth.required)
		return true;
	if (!c)
		return false;
	if (r->auth.consumers.n == 0 && r->auth.groups.n == 0)
		return true;
	if (holds(&r->auth.consumers, c->name))
		return true;
	for (size_t i = 0; i < c->groups.n; i++)
		if (holds(&r->auth.groups, c->groups.v[i]) && !is_disabled(c, c->groups.v[i]))
			return true;
	return false;
}
