/* users.c - who may log in; the last administrator cannot be lost. */
#include "api/internal.h"

#include "base/bytes.h"

void cp_api_list_users(struct cp_ctx *x) { cp_list(x, GW_KIND_USER); }
void cp_api_get_user(struct cp_ctx *x) { cp_read(x, GW_KIND_USER, x->param[0]); }

/* The scrypt text of a password as a member; a weak one becomes a fault. */
static void set_password(struct cp_ctx *x, json_t *spec, struct gw_str user, struct gw_str password, const char *path)
{
	struct gw_buf hash;
	const char *weakness = cp_password_weakness(user, password);
	if (weakness != NULL) {
		cp_fault_add(x->faults, path, "weak_password", "%s", weakness);
		return;
	}
	gw_buf_init(&hash, 256);
	cp_password_hash(&hash, password);
	gw_json_set_str(spec, "password", gw_buf_str(&hash));
	gw_buf_fini(&hash);
}

struct admins { size_t n; struct gw_str but; };

static bool count_admin(void *arg, const struct cp_record *r)
{
	struct admins *a = arg;
	json_t *spec = cp_spec_parse(r->spec);
	a->n += !gw_str_eq(r->name, a->but) && json_is_true(json_object_get(spec, "enabled")) &&
		gw_str_is(gw_json_str(json_object_get(spec, "role")), "admin");
	json_decref(spec);
	return true;
}

/* GW_BUSY stands for: this user is the last enabled administrator. */
static enum gw_rc must_not_be_last(struct cp_change *c, struct gw_str user, struct gw_error *err)
{
	struct admins a = { .but = user };
	enum gw_rc rc = cp_each(cp_change_view(c), GW_KIND_USER, GW_STR_NONE, count_admin, &a, err);
	if (rc == GW_OK && a.n == 0)
		return gw_fail(err, GW_INUSE, NULL, "\"%.*s\" is the last enabled administrator: make another one first",
			       GW_FMT(user));
	return rc;
}

static void answer_error(struct cp_ctx *x, const struct gw_error *err)
{
	if (err->rc == GW_INUSE)
		cp_problem(x, 409, "conflict", NULL, "%s", err->text);
	else
		cp_problem_error(x, err);
}

static void answer_user(struct cp_ctx *x, struct gw_str name, unsigned status)
{
	cp_read(x, GW_KIND_USER, name);
	if (x->rs->status == 200)
		x->rs->status = status;
}

void cp_api_create_user(struct cp_ctx *x)
{
	struct cp_change *c = NULL;
	struct gw_error err = { 0 };
	uint64_t revision;
	struct gw_str name = gw_arena_copy(x->a, gw_json_str(json_object_get(x->body, "username")));
	json_t *spec = json_object();
	json_object_set(spec, "role", json_object_get(x->body, "role"));
	json_object_set(spec, "enabled", json_object_get(x->body, "enabled"));
	set_password(x, spec, name, gw_json_str(json_object_get(x->body, "password")), "/password");
	if (cp_problem_faults(x)) {
		json_decref(spec);
		return;
	}
	enum gw_rc rc = cp_change_begin(&c, x->app->store, &x->actor, "create", &err);
	if (rc == GW_OK)
		rc = cp_put_spec(x, c, GW_KIND_USER, name, spec, CP_MUST_BE_NEW, &err);
	if (rc == GW_EXISTS)
		gw_fail(&err, GW_EXISTS, "/username", "user \"%.*s\" exists already", GW_FMT(name));
	if (rc == GW_OK)
		rc = cp_change_commit(&c, &revision, &err);
	cp_change_abort(&c);
	json_decref(spec);
	if (rc != GW_OK) {
		cp_problem_error(x, &err);
		return;
	}
	cp_response_header(x->rq, x->rs, "Location", gw_arena_printf(x->a, "/api/v1/users/%.*s", GW_FMT(name)));
	answer_user(x, name, 201);
}

void cp_api_patch_user(struct cp_ctx *x)
{
	struct cp_change *c = NULL;
	struct cp_record r;
	struct gw_error err = { 0 };
	const char *member;
	json_t *v, *spec = NULL;
	uint64_t revision;
	bool stays_admin = false, enabled = true, raised = false;
	enum cp_role was = CP_ROLE_NONE, is = CP_ROLE_NONE;
	enum gw_rc rc = cp_change_begin(&c, x->app->store, &x->actor, "update", &err);
	if (rc == GW_OK)
		rc = cp_get(cp_change_view(c), GW_KIND_USER, x->param[0], x->a, &r, &err);
	if (rc == GW_OK) {
		spec = cp_spec_parse(r.spec);
		cp_role_parse(gw_json_str(json_object_get(spec, "role")), &was);
		json_object_foreach(x->body, member, v)
			json_object_set(spec, member, v);
		raised = cp_role_parse(gw_json_str(json_object_get(spec, "role")), &is) && is > was;
		enabled = json_is_true(json_object_get(spec, "enabled"));
		stays_admin = enabled && gw_str_is(gw_json_str(json_object_get(spec, "role")), "admin");
		rc = stays_admin ? GW_OK : must_not_be_last(c, x->param[0], &err);
	}
	if (rc == GW_OK)
		rc = cp_put_spec(x, c, GW_KIND_USER, x->param[0], spec, CP_ANY, &err);
	if (rc == GW_OK)
		rc = cp_change_commit(&c, &revision, &err);
	cp_change_abort(&c);
	json_decref(spec);
	/* Less holds at once, since the role is read with every call.  More needs a new session: an old cookie gains nothing. */
	if (rc == GW_OK && (!enabled || raised))
		rc = cp_session_del(x->app->store, NULL, x->param[0], NULL, &err);
	if (rc == GW_OK)
		answer_user(x, x->param[0], 200);
	else
		answer_error(x, &err);
}

void cp_api_delete_user(struct cp_ctx *x)
{
	struct cp_change *c = NULL;
	struct gw_error err = { 0 };
	uint64_t revision;
	if (x->caller.type == CP_ACTOR_USER && gw_str_eq(x->caller.name, x->param[0])) {
		cp_problem(x, 409, "conflict", NULL, "one cannot delete oneself: let another administrator do it");
		return;
	}
	enum gw_rc rc = cp_change_begin(&c, x->app->store, &x->actor, "delete", &err);
	if (rc == GW_OK)
		rc = cp_del(c, GW_KIND_USER, x->param[0], CP_ANY, &err);
	if (rc == GW_OK)
		rc = must_not_be_last(c, x->param[0], &err);
	if (rc == GW_OK)
		rc = cp_change_commit(&c, &revision, &err);
	cp_change_abort(&c);
	if (rc == GW_OK)
		rc = cp_session_del(x->app->store, NULL, x->param[0], NULL, &err);
	if (rc == GW_OK)
		cp_answer_empty(x, 204);
	else
		answer_error(x, &err);
}

/* ---- passwords ---- */

/* One's own needs the current one; others' need an administrator.  false: answered. */
static bool may_change(struct cp_ctx *x, const struct cp_record *r)
{
	bool own = x->caller.type == CP_ACTOR_USER && gw_str_eq(x->caller.name, x->param[0]);
	struct gw_str current = gw_json_str(json_object_get(x->body, "current_password"));
	if (!own && x->caller.role == CP_ROLE_ADMIN)
		return true;
	if (!own) {
		cp_problem(x, 403, "forbidden", NULL, "only an administrator changes the password of others");
		return false;
	}
	int64_t wait = cp_throttle_check(x->app->auth, x->caller.name, x->rq->address, gw_now_ms());
	if (wait > 0) {
		cp_response_header(x->rq, x->rs, "Retry-After", gw_arena_printf(x->a, "%lld", (long long)wait));
		cp_problem(x, 429, "too-many-requests", NULL, "too many failed attempts: try again in %lld seconds",
			   (long long)wait);
		return false;
	}
	if (current.p == NULL) {
		cp_fault_add(x->faults, "/current_password", "required", "current_password must be given");
	} else {
		json_t *spec = cp_spec_parse(r->spec);
		if (!cp_password_verify(gw_json_str(json_object_get(spec, "password")), current)) {
			cp_throttle_failed(x->app->auth, x->caller.name, x->rq->address, gw_now_ms());
			cp_fault_add(x->faults, "/current_password", "conflict", "the current password is wrong");
		}
		json_decref(spec);
	}
	return !cp_problem_faults(x);
}

void cp_api_change_password(struct cp_ctx *x)
{
	struct cp_change *c = NULL;
	struct cp_txn *t = NULL;
	struct cp_record r;
	struct gw_error err = { 0 };
	uint64_t revision;
	json_t *spec;
	enum gw_rc rc = cp_txn_begin(&t, x->app->store, &err);
	if (rc == GW_OK)
		rc = cp_get(t, GW_KIND_USER, x->param[0], x->a, &r, &err);
	cp_txn_end(&t);
	if (rc == GW_NOTFOUND && x->caller.role != CP_ROLE_ADMIN) {
		cp_problem(x, 403, "forbidden", NULL, "only an administrator changes the password of others");
		return;
	}
	if (rc != GW_OK) {
		cp_problem_error(x, &err);
		return;
	}
	if (!may_change(x, &r))
		return;
	spec = cp_spec_parse(r.spec);
	set_password(x, spec, x->param[0], gw_json_str(json_object_get(x->body, "new_password")), "/new_password");
	if (cp_problem_faults(x)) {
		json_decref(spec);
		return;
	}
	rc = cp_change_begin(&c, x->app->store, &x->actor, "update", &err);
	if (rc == GW_OK) /* the etag keeps a change of role made meanwhile */
		rc = cp_put_spec(x, c, GW_KIND_USER, x->param[0], spec, r.etag, &err);
	if (rc == GW_OK)
		rc = cp_change_commit(&c, &revision, &err);
	cp_change_abort(&c);
	json_decref(spec);
	if (rc == GW_OK)
		rc = cp_session_del(x->app->store, NULL, x->param[0], x->caller.has_session ? x->caller.session : NULL, &err);
	if (rc == GW_OK)
		cp_answer_empty(x, 204);
	else
		cp_problem_error(x, &err);
}
