/* nodes.c - workers: the connected ones as the channel sees them, the others as they were last seen. */
#include "api/internal.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/log.h"

#define MAX_WAIT_MS 30000
#define DRAIN_MS 5000

static json_t *node_json(struct cp_ctx *x, const struct cp_node_row *r, const struct cp_node_live *l)
{
	json_t *o = json_object();
	uint64_t current = cp_store_revision(x->app->store), served = l != NULL ? l->revision : r->revision;
	struct gw_str error = l != NULL ? l->last_error : r->last_error;
	json_object_set_new(o, "name", cp_text_json(l != NULL ? l->name : r->name));
	json_object_set_new(o, "id", cp_text_json(l != NULL ? l->id : r->id));
	gw_json_set_str(o, "version", l != NULL ? l->version : r->version.p ? r->version : GW_STR(""));
	struct gw_str address = l != NULL ? l->address : r->address;
	gw_json_set_str(o, "address", address.p != NULL ? address : GW_STR(""));
	struct gw_str listen = l != NULL ? l->listen : r->listen;
	json_object_set_new(o, "listen", cp_text_json(listen.n > 0 ? listen : GW_STR_NONE));
	json_object_set_new(o, "state", json_string(l == NULL ? "disconnected" : l->draining ? "draining" : "connected"));
	json_object_set_new(o, "revision_served", json_integer((json_int_t)served));
	json_object_set_new(o, "lag", json_integer(current > served ? (json_int_t)(current - served) : 0));
	json_object_set_new(o, "last_seen_at", cp_time_json(l != NULL ? l->last_seen_ms : r->last_seen_ms));
	json_object_set_new(o, "last_error", cp_text_json(error.n > 0 ? error : GW_STR_NONE));
	json_object_set_new(o, "started_at", cp_time_json(l != NULL ? l->started_at_ms : r->started_at_ms));
	json_object_set_new(o, "requests", json_integer(l != NULL ? l->requests : 0));
	json_object_set_new(o, "in_flight", json_integer(l != NULL ? l->in_flight : 0));
	json_object_set_new(o, "counters_away", json_boolean(l != NULL && l->counters_away));
	return o;
}

struct nodes { struct cp_ctx *x; const struct cp_node_live *live; size_t n; bool *shown; json_t *out; };

static bool add_row(void *arg, const struct cp_node_row *r)
{
	struct nodes *g = arg;
	const struct cp_node_live *l = NULL;
	for (size_t i = 0; i < g->n; i++) {
		if (gw_str_eq(g->live[i].id, r->id)) {
			l = &g->live[i];
			g->shown[i] = true;
		}
	}
	json_array_append_new(g->out, node_json(g->x, r, l));
	return true;
}

static int by_name(const void *a, const void *b)
{
	const json_t *x = *(json_t *const *)a, *y = *(json_t *const *)b;
	int c = gw_str_cmp(gw_json_str(json_object_get(x, "name")), gw_json_str(json_object_get(y, "name")));
	return c != 0 ? c : gw_str_cmp(gw_json_str(json_object_get(x, "id")), gw_json_str(json_object_get(y, "id")));
}

/* All known workers by name; owned.  NULL: *err. */
static json_t *all_nodes(struct cp_ctx *x, struct gw_error *err)
{
	struct cp_node_live *live = NULL;
	struct cp_txn *t = NULL;
	const struct cp_workers *w = x->app->workers;
	struct nodes g = { .x = x, .out = json_array() };
	g.n = w != NULL ? w->list(w->self, x->a, &live) : 0;
	g.live = live;
	g.shown = gw_arena_array(x->a, g.n + 1, sizeof *g.shown);
	enum gw_rc rc = cp_txn_begin(&t, x->app->store, err);
	if (rc == GW_OK)
		rc = cp_nodes_each(t, add_row, &g, err);
	cp_txn_end(&t);
	if (rc != GW_OK) {
		json_decref(g.out);
		return NULL;
	}
	for (size_t i = 0; i < g.n; i++)
		if (!g.shown[i])
			json_array_append_new(g.out, node_json(x, NULL, &live[i]));
	size_t n = json_array_size(g.out), i;
	json_t **v = gw_arena_array(x->a, n + 1, sizeof *v), *e, *sorted = json_array();
	json_array_foreach(g.out, i, e)
		v[i] = e;
	if (n > 1)
		qsort(v, n, sizeof *v, by_name);
	for (i = 0; i < n; i++)
		json_array_append(sorted, v[i]);
	json_decref(g.out);
	return sorted;
}

/* Waits when asked to.  Few may wait at once, so that waiting never takes every thread: the others are answered at once. */
static bool reached(struct cp_ctx *x)
{
	struct gw_str min = cp_query_text(x, "min_revision");
	int64_t wait = 0, n = 0;
	const struct cp_workers *w = x->app->workers;
	if (min.p == NULL || w == NULL)
		return true;
	uint64_t revision = cp_store_revision(x->app->store);
	if (!gw_str_is(min, "latest") && gw_str_int(min, 0, INT64_MAX, &n))
		revision = (uint64_t)n;
	gw_duration_parse(cp_query_text(x, "wait"), &wait);
	wait = wait > MAX_WAIT_MS ? MAX_WAIT_MS : wait;
	if (revision > cp_store_revision(x->app->store) && wait == 0)
		return false;
	bool may_wait = cp_wait_begin(x);
	bool ok = w->wait(w->self, revision, may_wait ? wait : 0);
	cp_wait_end(x);
	return ok && revision <= cp_store_revision(x->app->store);
}

void cp_api_list_nodes(struct cp_ctx *x)
{
	struct gw_error err = { 0 };
	bool served = reached(x);
	struct gw_str q = cp_query_text(x, "q"), cursor = cp_query_text(x, "cursor");
	int64_t skip = 0, limit = cp_query_int(x, "limit", 50), total = 0;
	if (cursor.n > 0 && !gw_str_int(cursor, 0, 1000000, &skip)) {
		cp_fault_add(x->faults, "?cursor", "bad_format", "cursor must be the next_cursor of a page");
		cp_problem_faults(x);
		return;
	}
	json_t *all = all_nodes(x, &err), *items = json_array(), *o;
	size_t i;
	if (all == NULL) {
		json_decref(items);
		cp_problem_error(x, &err);
		return;
	}
	json_array_foreach(all, i, o) {
		if (q.n > 0 && !cp_contains_nocase(gw_json_str(json_object_get(o, "name")), q))
			continue;
		if (total >= skip && total < skip + limit)
			json_array_append(items, o);
		total++;
	}
	json_decref(all);
	const char *next = total > skip + limit ? gw_arena_printf(x->a, "%lld", (long long)(skip + limit)).p : NULL;
	o = cp_list_json(items, next, total);
	json_object_set_new(o, "reached", json_boolean(served));
	cp_answer(x, 200, o);
}

/* The node of the path, borrowed from *all; NULL: answered. */
static json_t *find(struct cp_ctx *x, json_t **all)
{
	struct gw_error err = { 0 };
	json_t *o;
	size_t i;
	*all = all_nodes(x, &err);
	if (*all == NULL) {
		cp_problem_error(x, &err);
		return NULL;
	}
	json_array_foreach(*all, i, o)
		if (gw_str_eq(gw_json_str(json_object_get(o, "id")), x->param[0]))
			return o;
	json_decref(*all);
	cp_problem(x, 404, "not-found", NULL, "no worker has the id %.*s", GW_FMT(x->param[0]));
	return NULL;
}

void cp_api_get_node(struct cp_ctx *x)
{
	json_t *all, *o = find(x, &all);
	if (o == NULL)
		return;
	cp_answer(x, 200, json_incref(o));
	json_decref(all);
}

static void note(struct cp_ctx *x, const char *action)
{
	struct gw_error err = { 0 };
	struct cp_audit_note n = { .action = action, .outcome = "ok", .kind = GW_STR("node"), .name = x->param[0] };
	if (cp_audit_add(x->app->store, &x->actor, &n, &err) != GW_OK)
		gw_log(GW_LOG_WARN, "node", x->param[0], "not audited", "%s", err.text);
}

void cp_api_delete_node(struct cp_ctx *x)
{
	struct gw_error err = { 0 };
	json_t *all, *o = find(x, &all);
	if (o == NULL)
		return;
	bool gone = gw_str_is(gw_json_str(json_object_get(o, "state")), "disconnected");
	json_decref(all);
	if (!gone) {
		cp_problem(x, 409, "conflict", NULL, "the worker is connected: stop it, or revoke its join token, then delete it");
	} else if (cp_node_del(x->app->store, x->param[0], &err) != GW_OK) {
		cp_problem_error(x, &err);
	} else {
		note(x, "node.delete");
		cp_answer_empty(x, 204);
	}
}

void cp_api_drain_node(struct cp_ctx *x)
{
	const struct cp_workers *w = x->app->workers;
	struct gw_error err = { 0 };
	json_t *all, *result = NULL, *o = find(x, &all);
	if (o == NULL)
		return;
	json_decref(all);
	enum gw_rc rc = w == NULL ? gw_fail(&err, GW_NOTFOUND, NULL, "no worker is connected")
				  : w->call(w->self, x->param[0], "drain", json_object(), DRAIN_MS, &result, &err);
	json_decref(result);
	if (rc == GW_OK) {
		note(x, "node.drain");
		cp_answer_empty(x, 204);
	} else if (rc == GW_NOTFOUND) {
		cp_problem(x, 409, "conflict", NULL, "the worker is not connected");
	} else {
		cp_problem(x, 503, "unavailable", NULL, "the worker did not do it: %s", err.text);
	}
}
