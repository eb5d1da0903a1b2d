/* audit.c - who did what: pages, single entries, and the proof that nothing was taken out. */
#include "api/internal.h"

struct page { struct cp_ctx *x; json_t *items; int64_t limit, total, before, last; bool more; };

static json_t *body_json(struct gw_str text)
{
	return text.p == NULL ? json_null() : cp_spec_parse(text);
}

static json_t *row_json(const struct cp_audit_row *r)
{
	json_t *o = json_object(), *actor = json_object();
	gw_json_set_str(actor, "type", r->actor_type);
	gw_json_set_str(actor, "name", r->actor);
	json_object_set_new(actor, "role", cp_text_json(r->role));
	json_object_set_new(o, "id", json_integer(r->id));
	json_object_set_new(o, "at", cp_time_json(r->at_ms));
	json_object_set_new(o, "actor", actor);
	json_object_set_new(o, "address", cp_text_json(r->address));
	gw_json_set_str(o, "action", r->action);
	json_object_set_new(o, "kind", cp_text_json(r->kind));
	json_object_set_new(o, "name", cp_text_json(r->name));
	gw_json_set_str(o, "outcome", r->outcome);
	json_object_set_new(o, "revision", r->revision > 0 ? json_integer((json_int_t)r->revision) : json_null());
	json_object_set_new(o, "request_id", cp_text_json(r->request_id));
	json_object_set_new(o, "before", body_json(r->before));
	json_object_set_new(o, "after", body_json(r->after));
	gw_json_set_str(o, "hash", r->hash);
	return o;
}

static bool add(void *arg, const struct cp_audit_row *r)
{
	struct page *p = arg;
	p->total++;
	if (p->before != 0 && r->id >= p->before)
		return true;
	if ((int64_t)json_array_size(p->items) < p->limit) {
		json_array_append_new(p->items, row_json(r));
		p->last = r->id;
	} else {
		p->more = true;
	}
	return true;
}

void cp_api_list_audit(struct cp_ctx *x)
{
	struct cp_txn *t = NULL;
	struct gw_error err = { 0 };
	struct gw_str cursor = cp_query_text(x, "cursor");
	struct page p = { .x = x, .items = json_array(), .limit = cp_query_int(x, "limit", 50) };
	struct cp_audit_filter f = { .actor = cp_query_text(x, "actor"), .kind = cp_query_text(x, "kind"),
				     .name = cp_query_text(x, "name"), .q = cp_query_text(x, "q") };
	gw_time_parse(cp_query_text(x, "from"), &f.from_ms);
	gw_time_parse(cp_query_text(x, "to"), &f.to_ms);
	if (cursor.n > 0 && !gw_str_int(cursor, 1, INT64_MAX, &p.before)) {
		json_decref(p.items);
		cp_fault_add(x->faults, "?cursor", "bad_format", "cursor must be the next_cursor of a page");
		cp_problem_faults(x);
		return;
	}
	enum gw_rc rc = cp_txn_begin(&t, x->app->store, &err);
	if (rc == GW_OK)
		rc = cp_audit_each(t, &f, 0, add, &p, &err);
	cp_txn_end(&t);
	if (rc == GW_OK) {
		const char *next = p.more ? gw_arena_printf(x->a, "%lld", (long long)p.last).p : NULL;
		cp_answer(x, 200, cp_list_json(p.items, next, p.total));
	} else {
		json_decref(p.items);
		cp_problem_error(x, &err);
	}
}

void cp_api_get_audit(struct cp_ctx *x)
{
	struct cp_txn *t = NULL;
	struct gw_error err = { 0 };
	struct cp_audit_row r;
	int64_t id;
	if (!gw_str_int(x->param[0], 1, INT64_MAX, &id)) {
		cp_problem(x, 404, "not-found", NULL, "audit entry %.*s does not exist", GW_FMT(x->param[0]));
		return;
	}
	enum gw_rc rc = cp_txn_begin(&t, x->app->store, &err);
	if (rc == GW_OK)
		rc = cp_audit_get(t, id, x->a, &r, &err);
	cp_txn_end(&t);
	if (rc == GW_OK)
		cp_answer(x, 200, row_json(&r));
	else
		cp_problem_error(x, &err);
}

void cp_api_verify_audit(struct cp_ctx *x)
{
	struct cp_txn *t = NULL;
	struct gw_error err = { 0 };
	int64_t rows = 0;
	enum gw_rc rc = cp_txn_begin(&t, x->app->store, &err);
	if (rc == GW_OK)
		rc = cp_audit_verify(t, &rows, &err);
	cp_txn_end(&t);
	if (rc != GW_OK && rc != GW_INVALID) {
		cp_problem_error(x, &err);
		return;
	}
	json_t *o = json_object();
	json_object_set_new(o, "intact", json_boolean(rc == GW_OK));
	json_object_set_new(o, "entries", json_integer(rows));
	json_object_set_new(o, "detail", rc == GW_OK ? json_null() : json_string(err.text));
	cp_answer(x, 200, o);
}
