/*
 * identity.c - what a consumer is recognised by: the calls that are the same for its keys and its other credentials.
 *
 * All of them are objects of one kind.  Keys have no `type`; each side of the API sees only its own, so that a credential
 * cannot be changed, or told apart from one that is not there, through the path of the keys.
 */
#include "api/internal.h"

bool cp_is_key(const json_t *spec)
{
	return json_object_get(spec, "type") == NULL;
}

json_t *cp_identity_shown(const json_t *spec)
{
	json_t *o = cp_masked(spec), *secret = json_object_get(spec, "secret");
	json_object_del(o, "secret");
	if (secret != NULL)
		json_object_set(o, "last4", json_object_get(secret, "last4"));
	return o;
}

json_t *cp_identity_view(struct cp_txn *t, const struct cp_record *r)
{
	int64_t last = 0, count;
	json_t *o = json_object(), *spec = cp_spec_parse(r->spec), *shown = cp_identity_shown(spec);
	json_object_set_new(o, "id", cp_text_json(r->name));
	json_object_update(o, shown);
	json_object_set_new(o, "created_at", cp_time_json(r->created_at_ms));
	if (cp_use_get(t, GW_KIND_CREDENTIAL, r->name, &last, &count, NULL) != GW_OK)
		last = 0;
	json_object_set_new(o, "last_used_at", cp_time_json(last));
	json_decref(shown);
	json_decref(spec);
	return o;
}

enum gw_rc cp_identity_find(struct cp_ctx *x, struct cp_txn *t, bool key, struct cp_record *out, struct gw_error *err)
{
	struct cp_record consumer;
	enum gw_rc rc = cp_get(t, GW_KIND_CONSUMER, x->param[0], x->a, &consumer, err);
	if (rc != GW_OK || out == NULL)
		return rc;
	rc = cp_get(t, GW_KIND_CREDENTIAL, x->param[1], x->a, out, err);
	json_t *spec = rc == GW_OK ? cp_spec_parse(out->spec) : NULL;
	bool fits = spec != NULL && cp_is_key(spec) == key && gw_str_eq(out->owner, x->param[0]);
	json_decref(spec);
	if (rc == GW_NOTFOUND || (rc == GW_OK && !fits))
		return gw_fail(err, GW_NOTFOUND, NULL, "consumer \"%.*s\" has no %s %.*s", GW_FMT(x->param[0]),
			       key ? "key" : "credential", GW_FMT(x->param[1]));
	return rc;
}

void cp_identity_finish(struct cp_ctx *x, struct cp_change **c, bool key, struct gw_str id, struct gw_str secret, unsigned status)
{
	struct cp_written w;
	struct cp_txn *t = NULL;
	struct cp_record r;
	struct gw_error err = { 0 };
	if (!cp_finish(x, c, "", &w))
		return;
	json_decref(w.warnings);
	enum gw_rc rc = cp_txn_begin(&t, x->app->store, &err);
	if (rc == GW_OK)
		rc = cp_get(t, GW_KIND_CREDENTIAL, id, x->a, &r, &err);
	if (rc != GW_OK) {
		cp_txn_end(&t);
		cp_problem_error(x, &err);
		return;
	}
	json_t *o = cp_identity_view(t, &r);
	cp_txn_end(&t);
	if (secret.p != NULL)
		gw_json_set_str(o, "secret", secret);
	cp_revision_header(x, w.revision);
	if (status == 201)
		cp_response_header(x->rq, x->rs, "Location", gw_arena_printf(x->a, "/api/v1/consumers/%.*s/%s/%.*s",
			GW_FMT(x->param[0]), key ? "keys" : "credentials", GW_FMT(id)));
	cp_answer(x, status, o);
}

void cp_identity_give_up(struct cp_ctx *x, struct cp_change **c, enum gw_rc rc, const struct gw_error *err)
{
	cp_change_abort(c);
	if (rc != GW_OK)
		cp_problem_error(x, err);
	else
		cp_problem_faults(x);
}

/* ---- calls ---- */

struct listing { struct cp_txn *t; bool keys; json_t *items; };

static bool add(void *arg, const struct cp_record *r)
{
	struct listing *l = arg;
	json_t *spec = cp_spec_parse(r->spec);
	if (cp_is_key(spec) == l->keys)
		json_array_append_new(l->items, cp_identity_view(l->t, r));
	json_decref(spec);
	return true;
}

static void list(struct cp_ctx *x, bool keys)
{
	struct gw_error err = { 0 };
	struct listing l = { .keys = keys, .items = json_array() };
	enum gw_rc rc = cp_txn_begin(&l.t, x->app->store, &err);
	if (rc == GW_OK)
		rc = cp_identity_find(x, l.t, keys, NULL, &err);
	if (rc == GW_OK)
		rc = cp_each(l.t, GW_KIND_CREDENTIAL, x->param[0], add, &l, &err);
	cp_txn_end(&l.t);
	if (rc == GW_OK) {
		cp_answer(x, 200, cp_list_json(l.items, NULL, (int64_t)json_array_size(l.items)));
	} else {
		json_decref(l.items);
		cp_problem_error(x, &err);
	}
}

static void patch(struct cp_ctx *x, bool key)
{
	struct cp_change *c = NULL;
	struct cp_record r;
	struct gw_error err = { 0 };
	const char *member;
	json_t *v;
	enum gw_rc rc = cp_change_begin(&c, x->app->store, &x->actor, "update", &err);
	if (rc == GW_OK)
		rc = cp_identity_find(x, cp_change_view(c), key, &r, &err);
	if (rc == GW_OK) {
		json_t *spec = cp_spec_parse(r.spec);
		json_object_foreach(x->body, member, v)
			json_object_set(spec, member, v);
		r.spec = cp_json_text(x, spec);
		json_decref(spec);
		rc = cp_put(c, &r, CP_ANY, &err);
	}
	if (rc == GW_OK)
		cp_identity_finish(x, &c, key, r.name, GW_STR_NONE, 200);
	else
		cp_identity_give_up(x, &c, rc, &err);
}

static void delete(struct cp_ctx *x, bool key)
{
	struct cp_change *c = NULL;
	struct cp_record r;
	struct cp_written w;
	struct gw_error err = { 0 };
	enum gw_rc rc = cp_change_begin(&c, x->app->store, &x->actor, "delete", &err);
	if (rc == GW_OK)
		rc = cp_identity_find(x, cp_change_view(c), key, &r, &err);
	if (rc == GW_OK)
		rc = cp_del(c, GW_KIND_CREDENTIAL, r.name, CP_ANY, &err);
	if (rc != GW_OK) {
		cp_identity_give_up(x, &c, rc, &err);
	} else if (cp_finish(x, &c, "", &w)) {
		json_decref(w.warnings);
		cp_revision_header(x, w.revision);
		cp_answer_empty(x, 204);
	}
}

void cp_api_list_consumer_keys(struct cp_ctx *x) { list(x, true); }
void cp_api_patch_consumer_key(struct cp_ctx *x) { patch(x, true); }
void cp_api_delete_consumer_key(struct cp_ctx *x) { delete(x, true); }
void cp_api_list_consumer_credentials(struct cp_ctx *x) { list(x, false); }
void cp_api_patch_consumer_credential(struct cp_ctx *x) { patch(x, false); }
void cp_api_delete_consumer_credential(struct cp_ctx *x) { delete(x, false); }
