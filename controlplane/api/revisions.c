/* revisions.c - history: what changed when, the whole configuration at any time, and the way back. */
#include "api/internal.h"

#include <stdlib.h>

#include "api/apply.h"

struct page { struct cp_ctx *x; json_t *items; int64_t limit, total; uint64_t before, last; bool more; };

static json_t *summary_json(const struct cp_revision_row *r)
{
	json_t *o = json_object();
	json_object_set_new(o, "revision", json_integer((json_int_t)r->revision));
	json_object_set_new(o, "created_at", cp_time_json(r->at_ms));
	gw_json_set_str(o, "actor", r->actor);
	gw_json_set_str(o, "action", r->action);
	json_object_set_new(o, "kind", cp_text_json(r->kind));
	json_object_set_new(o, "name", cp_text_json(r->name));
	gw_json_set_str(o, "summary", r->summary);
	return o;
}

static bool add(void *arg, const struct cp_revision_row *r)
{
	struct page *p = arg;
	struct gw_str q = cp_query_text(p->x, "q");
	if (q.n > 0 && !cp_contains_nocase(r->summary, q) && !cp_contains_nocase(r->actor, q))
		return true;
	p->total++;
	if (p->before != 0 && r->revision >= p->before)
		return true;
	if ((int64_t)json_array_size(p->items) < p->limit) {
		json_array_append_new(p->items, summary_json(r));
		p->last = r->revision;
	} else {
		p->more = true;
	}
	return true;
}

void cp_api_list_revisions(struct cp_ctx *x)
{
	struct cp_txn *t = NULL;
	struct gw_error err = { 0 };
	struct gw_str cursor = cp_query_text(x, "cursor");
	int64_t before = 0;
	struct page p = { .x = x, .items = json_array(), .limit = cp_query_int(x, "limit", 50) };
	enum gw_rc rc = GW_OK;
	if (cursor.n > 0 && !gw_str_int(cursor, 1, INT64_MAX, &before)) {
		json_decref(p.items);
		cp_fault_add(x->faults, "?cursor", "bad_format", "cursor must be the next_cursor of a page");
		cp_problem_faults(x);
		return;
	}
	p.before = (uint64_t)before;
	rc = cp_txn_begin(&t, x->app->store, &err);
	if (rc == GW_OK)
		rc = cp_revisions_each(t, 0, add, &p, &err);
	cp_txn_end(&t);
	if (rc == GW_OK) {
		const char *next = p.more ? gw_arena_printf(x->a, "%llu", (unsigned long long)p.last).p : NULL;
		cp_answer(x, 200, cp_list_json(p.items, next, p.total));
	} else {
		json_decref(p.items);
		cp_problem_error(x, &err);
	}
}

/* A revision number in the path; anything else is a revision that does not exist. */
static bool number(struct cp_ctx *x, size_t i, int64_t least, uint64_t *out)
{
	int64_t n;
	if (!gw_str_int(x->param[i], least, INT64_MAX, &n)) {
		cp_problem(x, 404, "not-found", NULL, "revision %.*s does not exist", GW_FMT(x->param[i]));
		return false;
	}
	*out = (uint64_t)n;
	return true;
}

struct one { uint64_t wanted; json_t *out; };

static bool take(void *arg, const struct cp_revision_row *r)
{
	struct one *o = arg;
	if (r->revision == o->wanted)
		o->out = summary_json(r);
	return false;
}

void cp_api_get_revision(struct cp_ctx *x)
{
	struct cp_txn *t = NULL;
	struct gw_error err = { 0 };
	struct one o = { 0 };
	json_t *config = NULL;
	if (!number(x, 0, 1, &o.wanted))
		return;
	enum gw_rc rc = cp_txn_begin(&t, x->app->store, &err);
	if (rc == GW_OK)
		rc = cp_config_at(t, o.wanted, &config, &err);
	if (rc == GW_OK)
		rc = cp_revisions_each(t, o.wanted + 1, take, &o, &err);
	cp_txn_end(&t);
	if (rc == GW_OK && o.out != NULL) {
		json_object_set_new(o.out, "config", cp_document(config, o.wanted));
		cp_answer(x, 200, o.out);
	} else if (rc == GW_OK) {
		cp_problem(x, 404, "not-found", NULL, "revision %.*s does not exist", GW_FMT(x->param[0]));
	} else {
		json_decref(o.out);
		cp_problem_error(x, &err);
	}
	json_decref(config);
}

void cp_api_diff_revisions(struct cp_ctx *x)
{
	struct cp_txn *t = NULL;
	struct gw_error err = { 0 };
	uint64_t from, to;
	json_t *a = NULL, *b = NULL;
	if (!number(x, 0, 0, &from) || !number(x, 1, 0, &to))
		return;
	enum gw_rc rc = cp_txn_begin(&t, x->app->store, &err);
	if (rc == GW_OK)
		rc = cp_config_at(t, from, &a, &err);
	if (rc == GW_OK)
		rc = cp_config_at(t, to, &b, &err);
	cp_txn_end(&t);
	if (rc == GW_OK) {
		json_t *o = json_object();
		json_object_set_new(o, "from", json_integer((json_int_t)from));
		json_object_set_new(o, "to", json_integer((json_int_t)to));
		json_object_set_new(o, "changes", cp_diff(a, b));
		cp_answer(x, 200, o);
	} else {
		cp_problem_error(x, &err);
	}
	json_decref(a);
	json_decref(b);
}

/* Put the objects of one kind back as they were, and take away those that were not there. */
static enum gw_rc restore_kind(struct cp_ctx *x, struct cp_change *c, enum gw_kind k, const json_t *now, const json_t *then,
			       struct gw_error *err)
{
	const char *name;
	json_t *o;
	enum gw_rc rc = GW_OK;
	json_object_foreach((json_t *)then, name, o) {
		rc = cp_put_spec(x, c, k, gw_str_c(name), json_object_get(o, "spec"), CP_ANY, err);
		if (rc != GW_OK)
			return rc;
	}
	json_object_foreach((json_t *)now, name, o) {
		if (json_object_get(then, name) != NULL)
			continue;
		if (k == GW_KIND_CONSUMER)
			rc = cp_remove_keys(x, c, gw_str_c(name), err);
		if (rc == GW_OK)
			rc = cp_del(c, k, gw_str_c(name), CP_ANY, err);
		if (rc != GW_OK)
			return rc;
	}
	return GW_OK;
}

void cp_api_rollback(struct cp_ctx *x)
{
	struct cp_change *c = NULL;
	struct gw_error err = { 0 };
	json_t *now = NULL, *then = NULL;
	uint64_t revision;
	if (!number(x, 0, 1, &revision))
		return;
	enum gw_rc rc = cp_change_begin(&c, x->app->store, &x->actor, "rollback", &err);
	if (rc == GW_OK)
		rc = cp_config_at(cp_change_view(c), revision, &then, &err);
	if (rc == GW_OK)
		rc = cp_config_at(cp_change_view(c), cp_txn_revision(cp_change_view(c)), &now, &err);
	for (int k = 0; k < GW_KIND_COUNT && rc == GW_OK; k++) {
		const char *path = gw_kind_path((enum gw_kind)k);
		if (cp_kind_is_configuration((enum gw_kind)k) && k != GW_KIND_CREDENTIAL) /* keys are never brought back */
			rc = restore_kind(x, c, (enum gw_kind)k, json_object_get(now, path), json_object_get(then, path), &err);
	}
	if (rc == GW_OK) {
		cp_apply_finish(x, &c, now, then);
	} else {
		cp_change_abort(&c);
		cp_problem_error(x, &err);
	}
	json_decref(now);
	json_decref(then);
}
