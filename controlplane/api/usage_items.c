/* usage_items.c - rows of sums become items, and items a total. */
#include "api/usage_items.h"

#include <stdlib.h>

#include "api/internal.h"

static const char *const members[CP_USAGE_DIM_COUNT] = { "consumer", "group", "key", "route", "provider", "model" };

static const char *const sums[] = {
#define X(name) #name,
	CP_USAGE_SUMS(X)
#undef X
};

static void add_to(json_t *o, const char *name, int64_t n)
{
	json_object_set_new(o, name, json_integer(json_integer_value(json_object_get(o, name)) + n));
}

static void add_cost(json_t *o, struct gw_str currency, int64_t cost)
{
	json_t *costs = json_object_get(o, "costs"), *c;
	size_t i;
	if (currency.n == 0)
		return;
	json_array_foreach(costs, i, c)
		if (gw_str_eq(gw_json_str(json_object_get(c, "currency")), currency)) {
			add_to(c, "cost", cost);
			return;
		}
	c = json_object();
	gw_json_set_str(c, "currency", currency);
	json_object_set_new(c, "cost", json_integer(cost));
	json_array_append_new(costs, c);
}

/* The one currency in front, for those who have only one. */
static void finish(json_t *o)
{
	const json_t *costs = json_object_get(o, "costs"), *only = json_array_size(costs) == 1 ? json_array_get(costs, 0) : NULL;
	if (only != NULL) {
		json_object_set(o, "cost", json_object_get(only, "cost"));
		json_object_set(o, "currency", json_object_get(only, "currency"));
	} else {
		json_object_set_new(o, "cost", json_array_size(costs) == 0 ? json_integer(0) : json_null());
		json_object_set_new(o, "currency", json_null());
	}
}

json_t *cp_usage_nothing(void)
{
	json_t *o = json_object();
	for (size_t i = 0; i < GW_COUNT(sums); i++)
		json_object_set_new(o, sums[i], json_integer(0));
	json_object_set_new(o, "cost", json_integer(0));
	json_object_set_new(o, "currency", json_null());
	json_object_set_new(o, "costs", json_array());
	return o;
}

struct gather { json_t *items; const struct cp_usage_query *q; };

static bool same_group(const json_t *o, const struct cp_usage_sum *s, unsigned by, int64_t time_ms)
{
	if (o == NULL || ((by & CP_BY_TIME) && time_ms != s->time_ms))
		return false;
	for (size_t i = 0; i < CP_USAGE_DIM_COUNT; i++)
		if ((by & 1u << i) && !gw_str_eq(gw_json_str(json_object_get(o, members[i])), s->dim[i]))
			return false;
	return true;
}

static bool add_row(void *arg, const struct cp_usage_sum *s)
{
	struct gather *g = arg;
	unsigned by = g->q->group_by;
	size_t n = json_array_size(g->items);
	json_t *o = n > 0 ? json_array_get(g->items, n - 1) : NULL;
	int64_t time_ms = 0;
	if (o != NULL && (by & CP_BY_TIME))
		(void)gw_time_parse(gw_json_str(json_object_get(o, "time")), &time_ms);
	if (!same_group(o, s, by, time_ms)) {
		if (n == CP_USAGE_MAX_ITEMS)
			return false;
		o = json_object();
		for (size_t i = 0; i < CP_USAGE_DIM_COUNT; i++)
			if (by & 1u << i)
				gw_json_set_str(o, members[i], s->dim[i]);
		if (by & CP_BY_TIME)
			gw_json_set_time(o, "time", s->time_ms);
		json_t *zero = cp_usage_nothing();
		json_object_update(o, zero);
		json_decref(zero);
		json_array_append_new(g->items, o);
	}
#define X(name) add_to(o, #name, s->name);
	CP_USAGE_SUMS(X)
#undef X
	add_cost(o, s->currency, s->cost);
	return true;
}

struct ranked { json_int_t requests; size_t place; json_t *o; };

static int by_requests(const void *a, const void *b)
{
	const struct ranked *x = a, *y = b;
	if (x->requests != y->requests)
		return x->requests > y->requests ? -1 : 1;
	return x->place < y->place ? -1 : 1;
}

static json_t *sorted(json_t *items)
{
	size_t i, n = json_array_size(items);
	json_t *o, *out = json_array();
	struct ranked *v = gw_alloc((n + 1) * sizeof *v);
	json_array_foreach(items, i, o)
		v[i] = (struct ranked){ json_integer_value(json_object_get(o, "requests")), i, o };
	qsort(v, n, sizeof *v, by_requests);
	for (i = 0; i < n; i++)
		json_array_append(out, v[i].o);
	free(v);
	json_decref(items);
	return out;
}

json_t *cp_usage_items(struct cp_txn *t, const struct cp_usage_query *q, struct gw_error *err)
{
	struct gather g = { json_array(), q };
	size_t i;
	json_t *o;
	if (cp_usage_each(t, q, add_row, &g, err) != GW_OK) {
		json_decref(g.items);
		return NULL;
	}
	json_array_foreach(g.items, i, o)
		finish(o);
	return q->group_by & CP_BY_TIME ? g.items : sorted(g.items);
}

json_t *cp_usage_total(const json_t *items)
{
	json_t *total = cp_usage_nothing(), *o, *c;
	size_t i, k;
	json_array_foreach((json_t *)items, i, o) {
		for (k = 0; k < GW_COUNT(sums); k++)
			add_to(total, sums[k], json_integer_value(json_object_get(o, sums[k])));
		json_array_foreach(json_object_get(o, "costs"), k, c)
			add_cost(total, gw_json_str(json_object_get(c, "currency")), json_integer_value(json_object_get(c, "cost")));
	}
	finish(total);
	return total;
}
