/*
 * engine.c - reading and writing one object of any kind.
 *
 * A write holds the writer from before it reads the old object until the new one has been put into the model: what is
 * committed has been proved valid as a whole.
 */
#include "api/internal.h"

#include <stdio.h>
#include <stdlib.h>

#include "api/apply.h"
#include "base/log.h"
#include "compile/model.h"

void cp_read(struct cp_ctx *x, enum gw_kind k, struct gw_str name)
{
	struct cp_txn *t = NULL;
	struct cp_record r;
	struct gw_error err = { 0 };
	json_t *o = NULL;
	enum gw_rc rc = cp_txn_begin(&t, x->app->store, &err);
	if (rc == GW_OK)
		rc = cp_get(t, k, name, x->a, &r, &err);
	if (rc == GW_OK)
		o = cp_view(x, t, &r, &err);
	cp_txn_end(&t);
	if (o == NULL) {
		cp_problem_error(x, &err);
		return;
	}
	if (cp_kind_is_configuration(k))
		cp_etag(x, r.etag);
	cp_answer(x, 200, o);
}

/* ---- references ---- */

#define MAX_REFERRERS 100 /* that are told */

struct referrers { struct cp_ctx *x; enum gw_kind kind; struct gw_str name; json_t *out; };

static bool names_provider(const json_t *targets, struct gw_str name)
{
	size_t i;
	json_t *target;
	json_array_foreach((json_t *)targets, i, target)
		if (gw_str_eq(gw_json_str(json_object_get(target, "provider")), name))
			return true;
	return false;
}

static bool lists(const json_t *list, struct gw_str name)
{
	size_t i;
	json_t *v;
	json_array_foreach((json_t *)list, i, v)
		if (gw_str_eq(gw_json_str(v), name))
			return true;
	return false;
}

static bool refers(const struct referrers *f, enum gw_kind k, const json_t *spec)
{
	const json_t *auth = json_object_get(spec, "auth");
	if (k == GW_KIND_CREDENTIAL)
		return gw_str_eq(gw_json_str(json_object_get(spec, "issuer")), f->name);
	if (k == GW_KIND_JWT_ISSUER)
		return gw_str_eq(gw_json_str(json_object_get(spec, "default_consumer")), f->name);
	if (k == GW_KIND_QUOTA)
		return gw_str_eq(gw_json_str(json_object_get(spec, f->kind == GW_KIND_GROUP ? "group" : "consumer")), f->name);
	if (k == GW_KIND_ALERT)
		return lists(json_object_get(spec, "channels"), f->name);
	if (k == GW_KIND_CONSUMER)
		return f->kind == GW_KIND_GROUP && lists(json_object_get(spec, "groups"), f->name);
	if (f->kind == GW_KIND_PROVIDER)
		return names_provider(json_object_get(spec, "targets"), f->name) ||
		       names_provider(json_object_get(json_object_get(spec, "fallback"), "targets"), f->name);
	return lists(json_object_get(auth, f->kind == GW_KIND_GROUP ? "groups" : "consumers"), f->name);
}

static bool check_referrer(void *arg, const struct cp_record *r)
{
	struct referrers *f = arg;
	json_t *spec = cp_spec_parse(r->spec);
	bool found = refers(f, r->kind, spec);
	json_decref(spec);
	if (!found)
		return true;
	/* A credential is shown as its consumer, which is where it can be changed. */
	enum gw_kind shown = r->kind == GW_KIND_CREDENTIAL ? GW_KIND_CONSUMER : r->kind;
	struct gw_str name = r->kind == GW_KIND_CREDENTIAL ? r->owner : r->name;
	cp_fault_add(f->out, "", "referenced", "%s \"%.*s\" refers to it", cp_kind_singular(shown), GW_FMT(name));
	json_t *last = json_array_get(f->out, json_array_size(f->out) - 1);
	gw_json_set_str(last, "url", gw_arena_printf(f->x->a, "/api/v1/%s/%.*s", gw_kind_path(shown), GW_FMT(name)));
	return json_array_size(f->out) < MAX_REFERRERS;
}

static const struct { enum gw_kind of, by; } who[] = {
	{ GW_KIND_PROVIDER, GW_KIND_ROUTE }, { GW_KIND_CONSUMER, GW_KIND_ROUTE }, { GW_KIND_CONSUMER, GW_KIND_JWT_ISSUER },
	{ GW_KIND_GROUP, GW_KIND_ROUTE }, { GW_KIND_GROUP, GW_KIND_CONSUMER }, { GW_KIND_JWT_ISSUER, GW_KIND_CREDENTIAL },
	{ GW_KIND_ALERT_CHANNEL, GW_KIND_ALERT }, { GW_KIND_CONSUMER, GW_KIND_QUOTA }, { GW_KIND_GROUP, GW_KIND_QUOTA },
};

json_t *cp_referrers(struct cp_ctx *x, struct cp_txn *t, enum gw_kind k, struct gw_str name, struct gw_error *err)
{
	struct referrers f = { x, k, name, json_array() };
	enum gw_rc rc = GW_OK;
	for (size_t i = 0; i < GW_COUNT(who) && rc == GW_OK && json_array_size(f.out) < MAX_REFERRERS; i++)
		if (who[i].of == k)
			rc = cp_each(t, who[i].by, GW_STR_NONE, check_referrer, &f, err);
	if (rc == GW_OK)
		return f.out;
	json_decref(f.out);
	return NULL;
}

/* ---- writing ---- */

/* The pointer of the first fraction in `v`, which no setting takes and canonical JSON has no form for. */
static bool find_fraction(const json_t *v, const char *at, char path[160])
{
	char below[160];
	const char *key;
	json_t *member;
	size_t i;
	if (json_is_real(v)) {
		snprintf(path, 160, "%s", at);
		return true;
	}
	json_array_foreach((json_t *)v, i, member) {
		snprintf(below, sizeof below, "%.120s/%zu", at, i);
		if (find_fraction(member, below, path))
			return true;
	}
	json_object_foreach((json_t *)v, key, member) {
		snprintf(below, sizeof below, "%.90s/%.60s", at, key);
		if (find_fraction(member, below, path))
			return true;
	}
	return false;
}

enum gw_rc cp_put_spec(struct cp_ctx *x, struct cp_change *c, enum gw_kind k, struct gw_str name, const json_t *spec,
		       uint64_t if_match, struct gw_error *err)
{
	char path[160] = "";
	struct gw_buf b;
	gw_buf_init(&b, CP_MAX_SPEC);
	enum gw_rc rc = gw_json_write(&b, spec, true);
	struct cp_record r = { .kind = k, .name = name, .spec = gw_buf_str(&b) };
	if (rc == GW_OK)
		rc = cp_put(c, &r, if_match, err);
	else if (find_fraction(spec, k == GW_KIND_GLOBAL_PLUGIN ? "/config" : "", path))
		rc = gw_fail(err, GW_INVALID, path, "numbers must be whole");
	else
		rc = gw_fail(err, rc, NULL, "the object cannot be stored: is it larger than 16 MiB?");
	(void)x;
	gw_buf_fini(&b);
	return rc;
}

/* Shorten pointers that lie in the object being written to what they are in the request's body. */
static void relative(char *path, size_t size, const char *prefix)
{
	char rest[500]; /* leaves room for "/config" */
	size_t n = prefix != NULL ? strlen(prefix) : 0;
	if (n == 0 || strncmp(path, prefix, n) != 0 || (path[n] != '/' && path[n] != 0))
		return;
	snprintf(rest, sizeof rest, "%s", path + n);
	bool wrapped = gw_str_starts(gw_str_c(prefix), GW_STR("/global-plugins/"));
	snprintf(path, size, "%s%s", wrapped ? "/config" : "", rest);
}

/* About the one object at `prefix`, about everything when it is NULL, about nothing when it is empty. */
static json_t *warnings_about(const struct gw_snapshot *s, const char *prefix)
{
	struct gw_str rest = gw_str_from(gw_str_c(prefix), 1), path;
	enum gw_kind k;
	if (prefix == NULL)
		return gw_snapshot_warnings(s);
	path = gw_str_cut(&rest, '/');
	return gw_kind_parse(path, &k) ? gw_snapshot_warnings_of(s, k, rest) : json_array();
}

static json_t *warnings_for(struct cp_ctx *x, const struct gw_snapshot *s, const char *prefix)
{
	json_t *all = warnings_about(s, prefix), *out = json_array(), *w;
	size_t i, n = prefix != NULL ? strlen(prefix) : 0;
	json_array_foreach(all, i, w) {
		char path[512];
		snprintf(path, sizeof path, "%s", json_string_value(json_object_get(w, "path")));
		if (n > 0 && (strncmp(path, prefix, n) != 0 || (path[n] != '/' && path[n] != 0)))
			continue;
		if (strcmp(x->op->id, "apply_config") == 0)
			cp_apply_pointer(x->body, path, sizeof path);
		relative(path, sizeof path, prefix);
		gw_json_set_str(w, "path", gw_str_c(path));
		json_array_append(out, w);
	}
	json_decref(all);
	return out;
}

bool cp_finish(struct cp_ctx *x, struct cp_change **c, const char *prefix, struct cp_written *out)
{
	struct gw_snapshot *s = NULL;
	struct gw_error err = { 0 };
	*out = (struct cp_written){ .revision = cp_txn_revision(cp_change_view(*c)) };
	enum gw_rc rc = cp_check_alert_channels(x, *c, &err);
	if (rc == GW_OK)
		rc = cp_model_next(x->app->model, *c, &s, &err);
	if (rc == GW_OK) {
		out->warnings = warnings_for(x, s, prefix);
		if (x->dry_run)
			cp_change_abort(c);
		else
			rc = cp_change_commit(c, &out->revision, &err);
		if (x->dry_run || rc != GW_OK || out->revision != gw_snapshot_revision(s)) /* or it changed nothing */
			cp_model_dropped(x->app->model, s);
	}
	cp_change_abort(c);
	gw_snapshot_unref(&s);
	if (rc == GW_OK)
		return true;
	if (strcmp(x->op->id, "apply_config") == 0)
		cp_apply_pointer(x->body, err.path, sizeof err.path);
	relative(err.path, sizeof err.path, prefix);
	if (rc == GW_NOTFOUND) /* not the object asked for: something it refers to */
		err.rc = GW_INUSE;
	json_decref(out->warnings);
	cp_problem_error(x, &err);
	return false;
}

static const char *prefix_of(struct cp_ctx *x, enum gw_kind k, struct gw_str name)
{
	return gw_arena_printf(x->a, "/%s/%.*s", gw_kind_path(k), GW_FMT(name)).p;
}

/* The body as a specification: the name taken out, secrets sealed.  false: x->faults has the reasons. */
static bool to_spec(struct cp_ctx *x, enum gw_kind k, json_t *body, const json_t *old)
{
	const struct cp_kind_api *api = cp_kind_api(k);
	if (k != GW_KIND_GLOBAL_PLUGIN) /* there it would be a setting */
		json_object_del(body, "name");
	if (api->seal != NULL)
		api->seal(x, body, old, "");
	return json_array_size(x->faults) == 0;
}

static void answer_written(struct cp_ctx *x, struct cp_txn *t, enum gw_kind k, struct gw_str name, unsigned status,
			   struct cp_written *w)
{
	struct cp_record r;
	struct gw_error err = { 0 };
	json_t *o = NULL;
	if (cp_get(t, k, name, x->a, &r, &err) == GW_OK)
		o = cp_view(x, t, &r, &err);
	if (o == NULL) {
		json_decref(w->warnings);
		cp_problem_error(x, &err);
		return;
	}
	json_object_set_new(o, "warnings", w->warnings);
	if (!x->dry_run) {
		cp_etag(x, r.etag);
		cp_revision_header(x, w->revision);
		if (status == 201)
			cp_response_header(x->rq, x->rs, "Location", gw_arena_printf(x->a, "/api/v1/%s/%.*s",
				gw_kind_path(k), GW_FMT(name)));
	}
	cp_answer(x, status, o);
}

/*
 * The object was put into the change: prove, commit, answer.  On a dry run the view has to be taken before the
 * change is given up, afterwards from a new transaction.
 */
static void finish_one(struct cp_ctx *x, struct cp_change **c, enum gw_kind k, struct gw_str name, unsigned status)
{
	struct cp_written w;
	struct gw_error err = { 0 };
	struct cp_record r;
	json_t *preview = NULL;
	if (x->dry_run && cp_get(cp_change_view(*c), k, name, x->a, &r, &err) == GW_OK)
		preview = cp_view(x, cp_change_view(*c), &r, &err);
	if (!cp_finish(x, c, prefix_of(x, k, name), &w)) {
		json_decref(preview);
		return;
	}
	if (x->dry_run) {
		if (preview == NULL) {
			json_decref(w.warnings);
			cp_problem_error(x, &err);
			return;
		}
		json_object_set_new(preview, "warnings", w.warnings);
		cp_answer(x, 200, preview);
		return;
	}
	struct cp_txn *t = NULL;
	if (cp_txn_begin(&t, x->app->store, &err) != GW_OK) {
		json_decref(w.warnings);
		cp_problem_error(x, &err);
		return;
	}
	answer_written(x, t, k, name, status, &w);
	cp_txn_end(&t);
}

void cp_create(struct cp_ctx *x, enum gw_kind k)
{
	struct cp_change *c = NULL;
	struct gw_error err = { 0 };
	struct gw_str name = gw_arena_copy(x->a, gw_json_str(json_object_get(x->body, "name")));
	if (k == GW_KIND_ROUTE && gw_str_is(name, "explain")) /* /routes/explain is a call, not a route */
		cp_fault_add(x->faults, "/name", "bad_format", "a route cannot be called \"explain\": choose another name");
	if (!to_spec(x, k, x->body, NULL)) {
		cp_problem_faults(x);
		return;
	}
	enum gw_rc rc = cp_change_begin(&c, x->app->store, &x->actor, "create", &err);
	if (rc == GW_OK)
		rc = cp_put_spec(x, c, k, name, x->body, CP_MUST_BE_NEW, &err);
	if (rc == GW_OK) {
		finish_one(x, &c, k, name, 201);
		return;
	}
	cp_change_abort(&c);
	cp_problem_error(x, &err);
}

/* null removes a stored secret like every other member (RFC 7396); merged in it would be absent, which keeps the secret. */
static void remove_secrets(json_t *patch, const json_t *old)
{
	const char *name;
	json_t *v, *was;
	json_object_foreach(patch, name, v) {
		was = json_object_get(old, name);
		if (json_is_null(v) && json_is_string(json_object_get(was, "sealed")))
			json_object_set_new(patch, name, json_string(""));
		else if (json_is_object(v) && json_is_object(was))
			remove_secrets(v, was);
	}
}

/* x->body becomes the whole object: as sent, or the stored one with the patch merged in.  Then checked. */
static bool whole_body(struct cp_ctx *x, enum gw_kind k, struct gw_str name, const json_t *old, bool patch)
{
	const struct cp_kind_api *api = cp_kind_api(k);
	json_t *sent = json_object_get(x->body, "name");
	if (sent != NULL && k != GW_KIND_SETTINGS && k != GW_KIND_GLOBAL_PLUGIN && !gw_str_eq(gw_json_str(sent), name)) {
		cp_fault_add(x->faults, "/name", "read_only", "the name of an object cannot change; it is \"%.*s\"", GW_FMT(name));
		return false;
	}
	if (!patch)
		return true; /* checked on arrival */
	remove_secrets(x->body, old);
	json_t *base = cp_writable(old), *merged = gw_json_merge(base, x->body);
	json_decref(base);
	json_decref(x->body);
	x->body = merged;
	if (k != GW_KIND_SETTINGS)
		json_object_set_new(merged, "name", cp_text_json(name));
	cp_contract_check(x->api->contract, cp_contract_schema(x->api->contract, api->write_schema), merged, x->faults);
	return json_array_size(x->faults) == 0;
}

void cp_write(struct cp_ctx *x, enum gw_kind k, struct gw_str name, bool patch, bool may_create)
{
	struct cp_change *c = NULL;
	struct cp_record old_record;
	struct gw_error err = { 0 };
	json_t *old = NULL;
	uint64_t if_match;
	if (!cp_if_match(x, &if_match))
		return;
	enum gw_rc rc = cp_change_begin(&c, x->app->store, &x->actor, "update", &err);
	if (rc == GW_OK) {
		rc = cp_get(cp_change_view(c), k, name, x->a, &old_record, &err);
		if (rc == GW_OK)
			old = cp_spec_parse(old_record.spec);
		else if (rc == GW_NOTFOUND && may_create)
			rc = GW_OK;
	}
	if (rc == GW_OK && old != NULL && if_match != CP_ANY && old_record.etag != if_match)
		rc = gw_fail(&err, GW_CONFLICT, NULL, "%s \"%.*s\" has revision %llu now: read it again, then change it",
			     cp_kind_singular(k), GW_FMT(name), (unsigned long long)old_record.etag);
	bool good = rc == GW_OK && whole_body(x, k, name, old, patch) && to_spec(x, k, x->body, old);
	if (good)
		rc = cp_put_spec(x, c, k, name, x->body, if_match, &err);
	json_decref(old);
	if (good && rc == GW_OK) {
		finish_one(x, &c, k, name, 200);
		return;
	}
	cp_change_abort(&c);
	if (rc != GW_OK)
		cp_problem_error(x, &err);
	else
		cp_problem_faults(x);
}

/* ---- deleting ---- */

struct key_ids { struct cp_ctx *x; struct gw_str *v; size_t n, cap; };

static bool add_id(void *arg, const struct cp_record *r)
{
	struct key_ids *k = arg;
	if (k->n == k->cap) {
		k->cap = k->cap ? 2 * k->cap : 16;
		k->v = gw_realloc(k->v, k->cap * sizeof *k->v);
	}
	k->v[k->n++] = gw_arena_copy(k->x->a, r->name);
	return true;
}

enum gw_rc cp_remove_keys(struct cp_ctx *x, struct cp_change *c, struct gw_str consumer, struct gw_error *err)
{
	struct key_ids ids = { .x = x };
	enum gw_rc rc = cp_each(cp_change_view(c), GW_KIND_CREDENTIAL, consumer, add_id, &ids, err);
	for (size_t i = 0; i < ids.n && rc == GW_OK; i++)
		rc = cp_del(c, GW_KIND_CREDENTIAL, ids.v[i], CP_ANY, err);
	free(ids.v);
	return rc;
}

void cp_remove(struct cp_ctx *x, enum gw_kind k, struct gw_str name)
{
	struct cp_change *c = NULL;
	struct gw_error err = { 0 };
	struct cp_written w;
	json_t *referrers = NULL;
	uint64_t if_match;
	if (!cp_if_match(x, &if_match))
		return;
	enum gw_rc rc = cp_change_begin(&c, x->app->store, &x->actor, "delete", &err);
	if (rc == GW_OK && k == GW_KIND_CONSUMER)
		rc = cp_remove_keys(x, c, name, &err);
	if (rc == GW_OK)
		rc = cp_del(c, k, name, if_match, &err);
	if (rc == GW_OK && (referrers = cp_referrers(x, cp_change_view(c), k, name, &err)) == NULL)
		rc = err.rc;
	if (rc != GW_OK) {
		cp_change_abort(&c);
		cp_problem_error(x, &err);
		return;
	}
	if (json_array_size(referrers) > 0) {
		bool routes = k == GW_KIND_PROVIDER;
		cp_change_abort(&c);
		cp_problem(x, 409, "in-use", referrers, "%s%zu %s%s refer%s to %s \"%.*s\": change or delete %s first",
			   json_array_size(referrers) < MAX_REFERRERS ? "" : "at least ", json_array_size(referrers), routes ? "route" : "object", json_array_size(referrers) == 1 ? "" : "s",
			   json_array_size(referrers) == 1 ? "s" : "", cp_kind_singular(k), GW_FMT(name),
			   json_array_size(referrers) == 1 ? "it" : "them");
		return;
	}
	json_decref(referrers);
	if (!cp_finish(x, &c, prefix_of(x, k, name), &w))
		return;
	if (x->dry_run) {
		json_t *o = json_object();
		json_object_set_new(o, "warnings", w.warnings);
		cp_answer(x, 200, o);
		return;
	}
	json_decref(w.warnings);
	cp_revision_header(x, w.revision);
	cp_answer_empty(x, 204);
}

/* ---- the plain kinds ---- */

#define COLLECTION(KIND, one, many)                                                                         \
	void cp_api_list_##many(struct cp_ctx *x) { cp_list(x, KIND); }                                     \
	void cp_api_create_##one(struct cp_ctx *x) { cp_create(x, KIND); }                                  \
	void cp_api_get_##one(struct cp_ctx *x) { cp_read(x, KIND, x->param[0]); }                          \
	void cp_api_replace_##one(struct cp_ctx *x) { cp_write(x, KIND, x->param[0], false, false); }       \
	void cp_api_patch_##one(struct cp_ctx *x) { cp_write(x, KIND, x->param[0], true, false); }          \
	void cp_api_delete_##one(struct cp_ctx *x) { cp_remove(x, KIND, x->param[0]); }
COLLECTION(GW_KIND_PROVIDER, provider, providers)
COLLECTION(GW_KIND_ROUTE, route, routes)
COLLECTION(GW_KIND_CONSUMER, consumer, consumers)
COLLECTION(GW_KIND_ALERT, alert, alerts)
COLLECTION(GW_KIND_ALERT_CHANNEL, alert_channel, alert_channels)
COLLECTION(GW_KIND_SILENCE, silence, silences)
COLLECTION(GW_KIND_GROUP, group, groups)
COLLECTION(GW_KIND_JWT_ISSUER, jwt_issuer, jwt_issuers)

#define SETTINGS GW_KIND_SETTINGS, GW_STR("settings")
void cp_api_get_settings(struct cp_ctx *x) { cp_read(x, SETTINGS); }
void cp_api_replace_settings(struct cp_ctx *x) { cp_write(x, SETTINGS, false, true); }
void cp_api_patch_settings(struct cp_ctx *x) { cp_write(x, SETTINGS, true, true); }
