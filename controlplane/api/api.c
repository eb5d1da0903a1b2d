/*
 * api.c - from a request to its handler: who calls, may they, is what they send what the document says.
 */
#include "api/internal.h"

#include <stdlib.h>

#include "base/bytes.h"
#include "base/file.h"
#include "base/log.h"

#define MAX_DOCUMENT (4u << 20)

static const struct { const char *id; cp_handler *fn; } table[] = {
#define X(id) { #id, cp_api_##id },
	CP_HANDLER_TABLE(X)
#undef X
};

/* ---- opening ---- */

static enum gw_rc bind_handlers(struct cp_api *api, struct gw_error *err)
{
	size_t n = cp_contract_count(api->contract);
	bool used[GW_COUNT(table)] = { false };
	api->handlers = gw_alloc(n * sizeof *api->handlers);
	api->roles = gw_alloc(n * sizeof *api->roles);
	for (size_t i = 0; i < n; i++) {
		const struct cp_operation *op = cp_contract_at(api->contract, i);
		for (size_t k = 0; k < GW_COUNT(table); k++)
			if (strcmp(table[k].id, op->id) == 0) {
				api->handlers[i] = table[k].fn;
				used[k] = true;
			}
		if (api->handlers[i] == NULL)
			return gw_fail(err, GW_VERSION, NULL, "openapi.json has the operation %s, which this program does not "
				       "know: both must be of one release", op->id);
		if (strcmp(op->role, "none") != 0 && !cp_role_parse(gw_str_c(op->role), &api->roles[i]))
			return gw_fail(err, GW_VERSION, NULL, "openapi.json gives %s the unknown role %s", op->id, op->role);
	}
	for (size_t k = 0; k < GW_COUNT(table); k++)
		if (!used[k])
			return gw_fail(err, GW_VERSION, NULL, "openapi.json lacks the operation %s: it must be of the same "
				       "release as this program", table[k].id);
	return GW_OK;
}

static enum gw_rc read_document(struct cp_api *api, struct gw_error *err)
{
	struct gw_buf b;
	gw_buf_init(&b, MAX_DOCUMENT);
	enum gw_rc rc = gw_file_read(&b, api->app.openapi_path, err);
	if (rc == GW_OK)
		rc = cp_contract_open(&api->contract, gw_buf_str(&b), err);
	if (rc == GW_OK) {
		api->openapi = gw_strdup_n(b.p, b.n);
		api->openapi_n = b.n;
	}
	gw_buf_fini(&b);
	return rc;
}

/* A new database gets its settings, so that workers have a first revision to serve. */
static enum gw_rc first_settings(struct cp_api *api, struct gw_error *err)
{
	static const struct cp_actor who = { .type = CP_ACTOR_SYSTEM, .name = { "system", 6 }, .role = { "admin", 5 } };
	struct cp_change *c = NULL;
	struct cp_record old;
	struct gw_buf text;
	uint64_t revision;
	struct gw_arena *a = gw_arena_open(0);
	json_t *spec = json_object(), *faults = json_array();
	gw_buf_init(&text, CP_MAX_SPEC);
	enum gw_rc rc = cp_change_begin(&c, api->app.store, &who, "initial", err);
	if (rc == GW_OK) {
		rc = cp_get(cp_change_view(c), GW_KIND_SETTINGS, GW_STR("settings"), a, &old, NULL);
		if (rc == GW_NOTFOUND) {
			cp_contract_check(api->contract, cp_contract_schema(api->contract, "SettingsWrite"), spec, faults);
			struct cp_record r = { .kind = GW_KIND_SETTINGS, .name = GW_STR("settings") };
			rc = gw_json_write(&text, spec, true);
			r.spec = gw_buf_str(&text);
			if (rc == GW_OK)
				rc = cp_put(c, &r, CP_MUST_BE_NEW, err);
			if (rc == GW_OK)
				rc = cp_change_commit(&c, &revision, err);
		}
	}
	cp_change_abort(&c);
	json_decref(spec);
	json_decref(faults);
	gw_buf_fini(&text);
	gw_arena_close(&a);
	return rc;
}

enum gw_rc cp_api_open(struct cp_api **out, const struct cp_app *app, struct gw_error *err)
{
	struct cp_api *api = gw_alloc(sizeof *api);
	*out = NULL;
	api->magic = CP_API_MAGIC;
	api->app = *app;
	api->pulse = cp_pulse_open();
	enum gw_rc rc = read_document(api, err);
	if (rc == GW_OK)
		rc = bind_handlers(api, err);
	if (rc == GW_OK && !cp_store_disk_full(app->store))
		rc = first_settings(api, err);
	if (rc != GW_OK) {
		cp_api_close(&api);
		return rc;
	}
	api->ui = cp_ui_open(app->console_dir);
	*out = api;
	return GW_OK;
}

void cp_api_close(struct cp_api **p)
{
	struct cp_api *api = *p;
	if (api == NULL)
		return;
	GW_CHECK(api, CP_API_MAGIC);
	cp_ui_close(&api->ui);
	cp_pulse_close(&api->pulse);
	cp_contract_close(&api->contract);
	free(api->handlers);
	free(api->roles);
	free(api->openapi);
	api->magic = 0;
	free(api);
	*p = NULL;
}

/* ---- who calls ---- */

static bool is_unsafe(struct gw_str method)
{
	return !gw_str_is(method, "GET") && !gw_str_is(method, "HEAD") && !gw_str_is(method, "OPTIONS");
}

/* A browser says where a request comes from; one from another site is refused whatever it carries. */
static bool same_site(struct cp_ctx *x)
{
	struct gw_str site = cp_request_header(x->rq, "Sec-Fetch-Site"), origin = cp_request_header(x->rq, "Origin");
	struct gw_str host = cp_request_header(x->rq, "Host");
	size_t at;
	if (site.p != NULL && !gw_str_is(site, "same-origin") && !gw_str_is(site, "none"))
		return false;
	if (origin.p == NULL)
		return true;
	if (!gw_str_find(origin, GW_STR("://"), &at))
		return false;
	return gw_str_ieq(gw_str_from(origin, at + 3), host);
}

static bool check_csrf(struct cp_ctx *x)
{
	struct gw_str sent = cp_request_header(x->rq, "X-CSRF-Token");
	if (!x->caller.has_session || !is_unsafe(x->rq->method) || x->api->roles[x->op->index] == CP_ROLE_NONE)
		return true;
	if (!same_site(x)) {
		cp_problem(x, 403, "csrf", NULL, "the request comes from another site");
		return false;
	}
	if (sent.p != NULL && gw_secret_eq(sent, x->caller.csrf))
		return true;
	cp_problem(x, 403, "csrf", NULL, "send the csrf_token of GET /api/v1/session as X-CSRF-Token");
	return false;
}

/* Fills x->caller.  false: answered. */
static bool authenticate(struct cp_ctx *x)
{
	struct gw_error err = { 0 };
	struct gw_str bearer = cp_request_header(x->rq, "Authorization"), cookie;
	enum gw_rc rc = GW_DENIED;
	x->caller = (struct cp_caller){ .type = CP_ACTOR_ANONYMOUS, .name = GW_STR("anonymous") };
	if (x->rq->is_local && bearer.p == NULL) {
		x->caller = (struct cp_caller){ .type = CP_ACTOR_LOCAL, .role = CP_ROLE_ADMIN, .name = GW_STR("local") };
		return true;
	}
	if (bearer.p != NULL) {
		if (bearer.n > 7 && gw_str_ieq((struct gw_str){ bearer.p, 7 }, GW_STR("Bearer ")))
			rc = cp_token_check(x->app->auth, gw_str_trim(gw_str_from(bearer, 7)), x->a, &x->caller, &err);
		else
			gw_fail(&err, GW_DENIED, NULL, "Authorization must be: Bearer tga_…");
	} else {
		cookie = cp_request_cookie(x->rq, "tidegate_session");
		if (cookie.p == NULL)
			return true;
		rc = cp_session_check(x->app->auth, cookie, x->a, &x->caller, &err);
	}
	if (rc == GW_OK)
		return true;
	x->caller = (struct cp_caller){ .type = CP_ACTOR_ANONYMOUS, .name = GW_STR("anonymous") };
	if (x->api->roles[x->op->index] == CP_ROLE_NONE)
		return true; /* a stale cookie must not stand in the way of logging in */
	if (rc == GW_DENIED)
		cp_problem(x, 401, "unauthenticated", NULL, "%s", err.text);
	else
		cp_problem_error(x, &err);
	return false;
}

static bool authorise(struct cp_ctx *x)
{
	enum cp_role needed = x->api->roles[x->op->index];
	struct gw_error err = { 0 };
	if (x->caller.role >= needed)
		return check_csrf(x);
	if (x->caller.type == CP_ACTOR_ANONYMOUS) {
		cp_problem(x, 401, "unauthenticated", NULL, "log in (POST /api/v1/session), or send Authorization: Bearer tga_…");
		return false;
	}
	if (is_unsafe(x->rq->method)) {
		struct cp_audit_note n = { .action = "access.denied", .outcome = "denied", .name = gw_str_c(x->op->id) };
		if (cp_audit_add(x->app->store, &x->actor, &n, &err) != GW_OK)
			gw_log(GW_LOG_WARN, "request", gw_str_c(x->rq->id), "denied call not audited", "%s", err.text);
	}
	cp_problem(x, 403, "forbidden", NULL, "this needs the role %s; \"%.*s\" has the role %s", cp_role_name(needed),
		   GW_FMT(x->caller.name), cp_role_name(x->caller.role));
	return false;
}

/* ---- what they send ---- */

static bool check_media_type(struct cp_ctx *x)
{
	struct gw_str type = cp_request_header(x->rq, "Content-Type");
	struct gw_str essence = gw_str_trim(gw_str_cut(&type, ';'));
	if (gw_str_ieq(essence, GW_STR("application/json")))
		return true;
	if (x->op->takes_merge_patch && gw_str_ieq(essence, GW_STR("application/merge-patch+json")))
		return true;
	cp_problem(x, 415, "unsupported-media-type", NULL, "send the body as Content-Type: application/json%s",
		   x->op->takes_merge_patch ? " or application/merge-patch+json" : "");
	return false;
}

static bool read_body(struct cp_ctx *x)
{
	struct gw_error err = { 0 };
	if (x->op->body == NULL) {
		if (x->rq->body.n == 0)
			return true;
		struct gw_str text = gw_str_trim(x->rq->body);
		if (gw_str_is(text, "{}") || text.n == 0)
			return true;
		cp_problem(x, 400, "malformed", NULL, "%s %s takes no body", x->op->method, x->op->path);
		return false;
	}
	if (x->rq->body.n == 0 && !x->op->body_required) {
		x->body = json_object();
	} else {
		if (!check_media_type(x))
			return false;
		enum gw_rc rc = gw_json_parse(&x->body, x->rq->body, CP_MAX_APPLY, &err);
		if (rc == GW_TOOBIG) {
			cp_problem(x, 413, "too-large", NULL, "%s", err.text);
			return false;
		}
		if (rc != GW_OK) {
			json_t *errors = json_array();
			cp_fault_add(errors, "", "malformed", "%s", err.text);
			cp_problem(x, 400, "malformed", errors, "%s", err.text);
			return false;
		}
	}
	if (strcmp(x->op->id, "apply_config") != 0) /* looks at what stands there before it is completed */
		cp_contract_check(x->api->contract, x->op->body, x->body, x->faults);
	return !cp_problem_faults(x);
}

static bool read_query(struct cp_ctx *x)
{
	x->query = cp_contract_query(x->api->contract, x->op, x->rq->query, x->rq->n_query, x->faults);
	x->dry_run = json_is_true(json_object_get(x->query, "dry_run"));
	return !cp_problem_faults(x);
}

/* ---- dispatch ---- */

static void path_parameters(struct cp_ctx *x)
{
	size_t n = 0;
	for (size_t i = 0; i < x->op->n_segments && n < GW_COUNT(x->param); i++)
		if (x->op->segment[i].n > 0 && x->op->segment[i].p[0] == '{')
			x->param[n++] = x->rq->segment[i];
}

static void set_actor(struct cp_ctx *x)
{
	x->actor = (struct cp_actor){ .type = x->caller.type, .name = x->caller.name, .address = x->rq->address,
				      .request_id = gw_str_c(x->rq->id) };
	if (x->caller.role != CP_ROLE_NONE)
		x->actor.role = gw_str_c(cp_role_name(x->caller.role));
}

static void dispatch(struct cp_ctx *x)
{
	char allow[64];
	x->op = cp_contract_match(x->api->contract, x->rq->method, x->rq->segment, x->rq->n_segments, allow);
	if (x->op == NULL && allow[0] != 0) {
		cp_response_header(x->rq, x->rs, "Allow", gw_str_c(allow));
		cp_problem(x, 405, "method-not-allowed", NULL, "this path takes %s", allow);
		return;
	}
	if (x->op == NULL) {
		cp_problem(x, 404, "not-found", NULL, "there is no such path in the API; see /api/v1/openapi.json");
		return;
	}
	path_parameters(x);
	if (!authenticate(x))
		return;
	set_actor(x);
	if (authorise(x) && read_query(x) && read_body(x))
		x->api->handlers[x->op->index](x);
}

static bool is_api(const struct cp_request *rq)
{
	return (rq->n_segments >= 1 && gw_str_is(rq->segment[0], "api")) ||
	       (rq->n_segments == 1 && (gw_str_is(rq->segment[0], "healthz") || gw_str_is(rq->segment[0], "readyz") ||
					gw_str_is(rq->segment[0], "metrics")));
}

void cp_api_handle(void *arg, const struct cp_request *rq, struct cp_response *rs)
{
	struct cp_api *api = arg;
	GW_CHECK(api, CP_API_MAGIC);
	int64_t began = gw_mono_us();
	if (!is_api(rq)) {
		cp_ui_handle(api->ui, rq, rs);
	} else {
		struct cp_ctx x = { .api = api, .app = &api->app, .rq = rq, .rs = rs, .a = rq->arena, .faults = json_array() };
		cp_response_header(rq, rs, "Cache-Control", GW_STR("no-store"));
		cp_response_header(rq, rs, "X-Content-Type-Options", GW_STR("nosniff"));
		dispatch(&x);
		json_decref(x.query);
		json_decref(x.body);
		json_decref(x.faults);
	}
	gw_log(rs->status >= 500 ? GW_LOG_WARN : GW_LOG_DEBUG, "request", gw_str_c(rq->id), "answered",
	       "method=%.*s path=%.*s status=%u us=%lld from=%.*s", GW_FMT(rq->method), GW_FMT(rq->path), rs->status,
	       (long long)(gw_mono_us() - began), GW_FMT(rq->address));
}

size_t cp_api_max_body(void *arg, const struct cp_request *rq)
{
	(void)arg;
	bool apply = rq->n_segments == 3 && gw_str_is(rq->segment[2], "config") && gw_str_is(rq->method, "PUT");
	return apply ? CP_MAX_APPLY : CP_MAX_BODY;
}

void cp_api_refuse(void *arg, const struct cp_request *rq, unsigned status, const char *detail, struct cp_response *rs)
{
	struct cp_api *api = arg;
	struct cp_ctx x = { .api = api, .app = &api->app, .rq = rq, .rs = rs, .a = rq->arena };
	const char *slug = status == 413 || status == 414 || status == 431 ? "too-large" : status == 503 ? "unavailable" : "malformed";
	GW_CHECK(api, CP_API_MAGIC);
	rs->n_headers = 0;
	cp_response_header(rq, rs, "Cache-Control", GW_STR("no-store"));
	cp_problem(&x, status, slug, NULL, "%s", detail);
}
