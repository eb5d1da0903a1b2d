/* session.c - set-up, login, logout: where cookies are made and ended. */
#include "api/internal.h"

#include <stdio.h>

#include "base/bytes.h"
#include "base/log.h"

static void note(struct cp_ctx *x, struct gw_str user, const char *action, const char *outcome)
{
	struct gw_error err = { 0 };
	struct cp_actor who = x->actor;
	if (user.n > 0)
		who.name = user;
	if (strcmp(outcome, "ok") == 0)
		who.type = CP_ACTOR_USER;
	struct cp_audit_note n = { .action = action, .outcome = outcome, .kind = GW_STR("user"), .name = user };
	if (cp_audit_add(x->app->store, &who, &n, &err) != GW_OK)
		gw_log(GW_LOG_WARN, "user", user, "login not audited", "%s", err.text);
}

static void set_cookie(struct cp_ctx *x, const char *value, long max_age_s)
{
	cp_response_header(x->rq, x->rs, "Set-Cookie",
		gw_arena_printf(x->a, "tidegate_session=%s; Path=/; HttpOnly; SameSite=Strict; Max-Age=%ld%s", value, max_age_s,
				x->rq->is_tls ? "; Secure" : ""));
}

static json_t *session_json(const struct cp_caller *c)
{
	json_t *o = json_object(), *user = json_object();
	gw_json_set_str(user, "username", c->name);
	gw_json_set_str(user, "role", gw_str_c(cp_role_name(c->role)));
	json_object_set_new(o, "user", user);
	gw_json_set_str(o, "csrf_token", c->has_session ? c->csrf : GW_STR(""));
	json_object_set_new(o, "expires_at", c->has_session ? cp_time_json(c->expires_at_ms) : json_null());
	return o;
}

static struct gw_str member(struct cp_ctx *x, const char *name)
{
	return gw_json_str(json_object_get(x->body, name));
}

/* 429 while this account or address has to wait. */
static bool throttled(struct cp_ctx *x, struct gw_str account)
{
	int64_t wait = cp_throttle_check(x->app->auth, account, x->rq->address, gw_now_ms());
	if (wait == 0)
		return false;
	cp_response_header(x->rq, x->rs, "Retry-After", gw_arena_printf(x->a, "%lld", (long long)wait));
	cp_problem(x, 429, "too-many-requests", NULL, "too many failed attempts: try again in %lld second%s", (long long)wait,
		   wait == 1 ? "" : "s");
	return true;
}

/* ---- set-up ---- */

void cp_api_get_setup(struct cp_ctx *x)
{
	bool done;
	struct gw_error err = { 0 };
	if (cp_setup_done(x->app->store, &done, &err) != GW_OK) {
		cp_problem_error(x, &err);
		return;
	}
	json_t *o = json_object();
	json_object_set_new(o, "initialised", json_boolean(done));
	cp_answer(x, 200, o);
}

void cp_api_post_setup(struct cp_ctx *x)
{
	struct gw_error err = { 0 };
	struct gw_str user = member(x, "username");
	struct cp_caller caller;
	char cookie[64];
	if (throttled(x, GW_STR("setup")))
		return;
	struct cp_actor who = x->actor;
	who.name = user;
	enum gw_rc rc = cp_setup_run(x->app->auth, &who, member(x, "setup_token"), user, member(x, "password"), &err);
	if (rc == GW_OK)
		rc = cp_session_start(x->app->auth, user, CP_ROLE_ADMIN, x->rq->address, x->a, &caller, cookie, &err);
	if (rc == GW_OK)
		rc = cp_use_add(x->app->store, GW_KIND_USER, user, gw_now_ms(), &err);
	if (rc == GW_OK) {
		note(x, user, "setup.done", "ok");
		set_cookie(x, cookie, CP_SESSION_ABSOLUTE_MS / 1000);
		cp_answer(x, 201, session_json(&caller));
	} else if (rc == GW_DENIED) {
		json_t *errors = json_array();
		cp_throttle_failed(x->app->auth, GW_STR("setup"), x->rq->address, gw_now_ms());
		note(x, user, "setup.done", "denied");
		cp_fault_add(errors, "/setup_token", "conflict", "%s", err.text);
		cp_problem(x, 403, "forbidden", errors, "%s", err.text);
	} else if (rc == GW_EXISTS) {
		cp_problem(x, 409, "already-initialised", NULL, "%s", err.text);
	} else if (rc == GW_INVALID) {
		cp_fault_add(x->faults, "/password", "weak_password", "%s", err.text);
		cp_problem_faults(x);
	} else {
		cp_problem_error(x, &err);
	}
	gw_secret_wipe(cookie, sizeof cookie);
}

/* ---- sessions ---- */

void cp_api_login(struct cp_ctx *x)
{
	struct gw_error err = { 0 };
	struct gw_str user = member(x, "username");
	struct cp_caller caller;
	char cookie[64];
	if (throttled(x, user))
		return;
	enum gw_rc rc = cp_login(x->app->auth, user, member(x, "password"), x->rq->address, x->a, &caller, cookie, &err);
	if (rc == GW_OK) {
		cp_throttle_succeeded(x->app->auth, user, x->rq->address);
		x->actor.role = gw_str_c(cp_role_name(caller.role));
		note(x, user, "session.login", "ok");
		set_cookie(x, cookie, CP_SESSION_ABSOLUTE_MS / 1000);
		cp_answer(x, 200, session_json(&caller));
	} else if (rc == GW_DENIED) {
		cp_throttle_failed(x->app->auth, user, x->rq->address, gw_now_ms());
		note(x, user, "session.login", "denied");
		cp_problem(x, 401, "bad-credentials", NULL, "%s", err.text);
	} else {
		cp_problem_error(x, &err);
	}
	gw_secret_wipe(cookie, sizeof cookie);
}

void cp_api_get_session(struct cp_ctx *x)
{
	cp_answer(x, 200, session_json(&x->caller));
}

void cp_api_logout(struct cp_ctx *x)
{
	struct gw_error err = { 0 };
	if (x->caller.has_session) {
		if (cp_session_del(x->app->store, x->caller.session, x->caller.name, NULL, &err) != GW_OK) {
			cp_problem_error(x, &err);
			return;
		}
		note(x, x->caller.name, "session.logout", "ok");
	}
	set_cookie(x, "", 0);
	cp_answer_empty(x, 204);
}
