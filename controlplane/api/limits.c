/*
 * limits.c - how much of its limits an object has used, asked of the workers that count.
 *
 * Each worker tells the counters it knows.  One that all workers share is shown as the worker saw it that looked last;
 * counters that each keeps for itself are added up, their limits as well, since that is what is granted in all.
 */
#include "api/internal.h"

#include "base/str.h"

#define ASK_MS 2000

static json_int_t number(const json_t *o, const char *name)
{
	return json_integer_value(json_object_get(o, name));
}

static void add(json_t *into, const json_t *from, const char *name)
{
	json_object_set_new(into, name, json_integer(number(into, name) + number(from, name)));
}

/*
 * Which of two workers has seen a shared counter last?  By the clock of those who count; a worker that does not tell it
 * tells an age as of the moment at which it was asked.
 */
static bool knows_better(const json_t *theirs, const json_t *ours)
{
	json_int_t a = number(theirs, "seen_us"), b = number(ours, "seen_us");
	return a > 0 && b > 0 ? a > b : number(theirs, "age_ms") < number(ours, "age_ms");
}

static void merge_one(json_t *ours, const json_t *theirs)
{
	json_t *at = json_object_get(theirs, "refused_at");
	json_int_t refusals = number(ours, "refusals") + number(theirs, "refusals"), workers = number(ours, "workers") + 1;
	bool shared = json_is_true(json_object_get(theirs, "shared"));
	if (json_is_string(at) && gw_str_cmp(gw_json_str(json_object_get(ours, "refused_at")), gw_json_str(at)) < 0)
		json_object_set(ours, "refused_at", at);
	at = json_incref(json_object_get(ours, "refused_at"));
	if (shared && knows_better(theirs, ours)) {
		json_object_update(ours, (json_t *)theirs);
	} else if (!shared) {
		add(ours, theirs, "limit");
		add(ours, theirs, "used");
		add(ours, theirs, "left");
		if (number(theirs, "reset_ms") > number(ours, "reset_ms"))
			json_object_set(ours, "reset_ms", json_object_get(theirs, "reset_ms"));
	}
	json_object_set_new(ours, "refused_at", at ? at : json_null());
	json_object_set_new(ours, "refusals", json_integer(refusals));
	json_object_set_new(ours, "workers", json_integer(workers));
}

static void merge(json_t *items, const json_t *from)
{
	size_t i;
	json_t *theirs;
	json_array_foreach((json_t *)from, i, theirs) {
		size_t k;
		json_t *ours = NULL;
		json_array_foreach(items, k, ours)
			if (json_equal(json_object_get(ours, "key"), json_object_get(theirs, "key")))
				break;
		if (k < json_array_size(items)) {
			merge_one(ours, theirs);
		} else if (json_is_object(theirs)) {
			json_t *copy = json_deep_copy(theirs);
			json_object_set_new(copy, "workers", json_integer(1));
			json_array_append_new(items, copy);
		}
	}
}

static void answer_limits(struct cp_ctx *x, enum gw_kind kind, const char *scope)
{
	const struct cp_workers *w = x->app->workers;
	struct cp_node_live *live = NULL;
	struct gw_error err = { 0 };
	struct cp_record r;
	struct cp_txn *t = NULL;
	json_int_t reported = 0;
	size_t n, i;
	json_t *items, *item, *o;
	enum gw_rc rc = cp_txn_begin(&t, x->app->store, &err);
	if (rc == GW_OK)
		rc = cp_get(t, kind, x->param[0], x->a, &r, &err);
	cp_txn_end(&t);
	if (rc != GW_OK) {
		cp_problem_error(x, &err);
		return;
	}
	items = json_array();
	n = cp_wait_begin(x) && w != NULL ? w->list(w->self, x->a, &live) : 0;
	for (i = 0; i < n; i++) {
		json_t *args = json_object(), *result = NULL;
		gw_json_set_str(args, "scope", gw_str_c(scope));
		gw_json_set_str(args, "name", x->param[0]);
		if (w->call(w->self, live[i].id, "limits", args, ASK_MS, &result, &err) != GW_OK)
			continue;
		reported++;
		merge(items, json_object_get(result, "items"));
		json_decref(result);
	}
	cp_wait_end(x);
	json_array_foreach(items, i, item) {
		json_object_del(item, "key");
		json_object_del(item, "age_ms");
		json_object_del(item, "seen_us");
	}
	o = json_object();
	json_object_set_new(o, "items", items);
	json_object_set_new(o, "workers", json_integer(reported));
	cp_answer(x, 200, o);
}

void cp_api_get_consumer_limits(struct cp_ctx *x) { answer_limits(x, GW_KIND_CONSUMER, "consumer"); }
void cp_api_get_group_limits(struct cp_ctx *x) { answer_limits(x, GW_KIND_GROUP, "group"); }
void cp_api_get_route_limits(struct cp_ctx *x) { answer_limits(x, GW_KIND_ROUTE, "route"); }
