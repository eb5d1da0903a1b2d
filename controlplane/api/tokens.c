/* tokens.c - API tokens and join tokens: made once, shown once, revoked at once. */
#include "api/internal.h"

#include "base/bytes.h"

int64_t cp_expiry(struct cp_ctx *x)
{
	int64_t at = 0;
	struct gw_str text = gw_json_str(json_object_get(x->body, "expires_at"));
	if (text.p != NULL && gw_time_parse(text, &at) && at <= gw_now_ms())
		cp_fault_add(x->faults, "/expires_at", "out_of_range", "expires_at lies in the past");
	return at;
}

/* The new token with its secret. */
static void answer_made(struct cp_ctx *x, enum gw_kind k, struct cp_token_made *made)
{
	struct cp_txn *t = NULL;
	struct cp_record r;
	struct gw_error err = { 0 };
	json_t *o = NULL;
	enum gw_rc rc = cp_txn_begin(&t, x->app->store, &err);
	if (rc == GW_OK)
		rc = cp_get(t, k, gw_str_c(made->id), x->a, &r, &err);
	if (rc == GW_OK)
		o = cp_view(x, t, &r, &err);
	cp_txn_end(&t);
	if (o == NULL) {
		cp_problem_error(x, &err);
		return;
	}
	gw_json_set_str(o, "secret", gw_str_c(made->secret));
	if (k == GW_KIND_JOIN_TOKEN)
		json_object_set_new(o, "channel_port", json_integer(x->app->channel_port));
	cp_response_header(x->rq, x->rs, "Location", gw_arena_printf(x->a, "/api/v1/%s/%s", gw_kind_path(k), made->id));
	cp_answer(x, 201, o);
}

static bool revoke(struct cp_ctx *x, enum gw_kind k)
{
	struct cp_change *c = NULL;
	struct gw_error err = { 0 };
	uint64_t revision;
	enum gw_rc rc = cp_change_begin(&c, x->app->store, &x->actor, "delete", &err);
	if (rc == GW_OK)
		rc = cp_del(c, k, x->param[0], CP_ANY, &err);
	if (rc == GW_OK)
		rc = cp_change_commit(&c, &revision, &err);
	cp_change_abort(&c);
	if (rc == GW_OK)
		cp_answer_empty(x, 204);
	else
		cp_problem_error(x, &err);
	return rc == GW_OK;
}

void cp_api_list_tokens(struct cp_ctx *x) { cp_list(x, GW_KIND_TOKEN); }
void cp_api_get_token(struct cp_ctx *x) { cp_read(x, GW_KIND_TOKEN, x->param[0]); }
void cp_api_delete_token(struct cp_ctx *x) { revoke(x, GW_KIND_TOKEN); }

void cp_api_create_token(struct cp_ctx *x)
{
	struct cp_token_made made;
	struct gw_error err = { 0 };
	enum cp_role role = CP_ROLE_VIEWER;
	int64_t expires = cp_expiry(x);
	cp_role_parse(gw_json_str(json_object_get(x->body, "role")), &role);
	if (cp_problem_faults(x))
		return;
	if (cp_token_create(x->app->store, &x->actor, gw_json_str(json_object_get(x->body, "name")), role, expires, &made, &err) == GW_OK)
		answer_made(x, GW_KIND_TOKEN, &made);
	else
		cp_problem_error(x, &err);
	gw_secret_wipe(&made, sizeof made);
}

void cp_api_list_join_tokens(struct cp_ctx *x) { cp_list(x, GW_KIND_JOIN_TOKEN); }
void cp_api_get_join_token(struct cp_ctx *x) { cp_read(x, GW_KIND_JOIN_TOKEN, x->param[0]); }

void cp_api_create_join_token(struct cp_ctx *x)
{
	struct cp_token_made made;
	struct gw_error err = { 0 };
	int64_t expires = cp_expiry(x);
	if (cp_problem_faults(x))
		return;
	if (x->app->ca_fingerprint == NULL) {
		cp_problem(x, 503, "unavailable", NULL, "this control plane has no channel for workers");
		return;
	}
	if (cp_join_token_create(x->app->store, &x->actor, gw_json_str(json_object_get(x->body, "name")), expires,
				 gw_str_c(x->app->ca_fingerprint), &made, &err) == GW_OK)
		answer_made(x, GW_KIND_JOIN_TOKEN, &made);
	else
		cp_problem_error(x, &err);
	gw_secret_wipe(&made, sizeof made);
}

void cp_api_delete_join_token(struct cp_ctx *x)
{
	if (revoke(x, GW_KIND_JOIN_TOKEN) && x->app->workers != NULL)
		x->app->workers->kick_token(x->app->workers->self, x->param[0]);
}
