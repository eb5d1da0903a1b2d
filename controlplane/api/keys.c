/*
 * keys.c - the keys of consumers.
 *
 * A key is an object of its own, found by the hash of its value, and travels inside its consumer.  The value is shown
 * once, when it is made; nothing here can show it again.
 */
#include "api/internal.h"

#include <stdio.h>

#include "auth/keys.h"
#include "base/bytes.h"

#define MAX_GRACE_MS (720LL * 3600 * 1000)

json_t *cp_key_spec(struct gw_str name, struct gw_str value, bool enabled, json_t *expires_at)
{
	json_t *spec = json_object();
	gw_json_set_str(spec, "name", name);
	json_object_set_new(spec, "enabled", json_boolean(enabled));
	json_object_set_new(spec, "expires_at", expires_at != NULL ? expires_at : json_null());
	/* Of a short value, brought along for migration, less is shown: what stays hidden must not be guessable. */
	gw_json_set_str(spec, "prefix", (struct gw_str){ value.p, value.n >= 32 ? 8 : value.n / 8 });
	gw_json_set_str(spec, "last4", (struct gw_str){ value.p + value.n - 4, 4 });
	return spec;
}

json_t *cp_key_view(struct cp_txn *t, const struct cp_record *r)
{
	int64_t last = 0, count;
	json_t *o = json_object(), *spec = cp_spec_parse(r->spec), *masked = cp_masked(spec);
	json_object_set_new(o, "id", cp_text_json(r->name));
	json_object_update(o, masked);
	json_object_set_new(o, "created_at", cp_time_json(r->created_at_ms));
	if (cp_use_get(t, GW_KIND_CREDENTIAL, r->name, &last, &count, NULL) != GW_OK)
		last = 0;
	json_object_set_new(o, "last_used_at", cp_time_json(last));
	json_decref(masked);
	json_decref(spec);
	return o;
}

/* The consumer named in the path must exist; so must its key, when there is one in the path. */
static enum gw_rc find_key(struct cp_ctx *x, struct cp_txn *t, struct cp_record *key, struct gw_error *err)
{
	struct cp_record consumer;
	enum gw_rc rc = cp_get(t, GW_KIND_CONSUMER, x->param[0], x->a, &consumer, err);
	if (rc != GW_OK || key == NULL)
		return rc;
	rc = cp_get(t, GW_KIND_CREDENTIAL, x->param[1], x->a, key, err);
	json_t *spec = rc == GW_OK ? cp_spec_parse(key->spec) : NULL;
	bool is_key = spec != NULL && cp_is_key(spec);
	json_decref(spec);
	if (rc == GW_NOTFOUND || (rc == GW_OK && (!is_key || !gw_str_eq(key->owner, x->param[0]))))
		return gw_fail(err, GW_NOTFOUND, NULL, "consumer \"%.*s\" has no key %.*s", GW_FMT(x->param[0]),
			       GW_FMT(x->param[1]));
	return rc;
}

struct listing { struct cp_txn *t; json_t *items; };

static bool add(void *arg, const struct cp_record *r)
{
	struct listing *l = arg;
	json_t *spec = cp_spec_parse(r->spec);
	if (cp_is_key(spec))
		json_array_append_new(l->items, cp_key_view(l->t, r));
	json_decref(spec);
	return true;
}

void cp_api_list_consumer_keys(struct cp_ctx *x)
{
	struct gw_error err = { 0 };
	struct listing l = { .items = json_array() };
	enum gw_rc rc = cp_txn_begin(&l.t, x->app->store, &err);
	if (rc == GW_OK)
		rc = find_key(x, l.t, NULL, &err);
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

/* Commit what was done to keys, and show one of them; `secret` absent: no secret. */
static void finish(struct cp_ctx *x, struct cp_change **c, struct gw_str id, struct gw_str secret, unsigned status)
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
	json_t *o = cp_key_view(t, &r);
	cp_txn_end(&t);
	if (secret.p != NULL)
		gw_json_set_str(o, "secret", secret);
	cp_revision_header(x, w.revision);
	if (status == 201)
		cp_response_header(x->rq, x->rs, "Location", gw_arena_printf(x->a, "/api/v1/consumers/%.*s/keys/%.*s",
			GW_FMT(x->param[0]), GW_FMT(id)));
	cp_answer(x, status, o);
}

/* Put a new key with this value into the change; `id` receives its identifier. */
static enum gw_rc put_new(struct cp_ctx *x, struct cp_change *c, struct gw_str name, struct gw_str value,
			  json_t *expires_at, struct gw_str *id, struct gw_error *err)
{
	char hash[65], random[GW_HEX_LEN(8)];
	uint8_t raw[8];
	gw_random(raw, sizeof raw);
	gw_hex(random, raw, sizeof raw);
	*id = gw_arena_printf(x->a, "k-%s", random);
	cp_consumer_key_hash(x->app->keys, value, hash);
	json_t *spec = cp_key_spec(name, value, true, expires_at);
	struct cp_record r = { .kind = GW_KIND_CREDENTIAL, .name = *id, .owner = x->param[0], .ident = gw_str_c(hash),
			       .spec = cp_json_text(x, spec) };
	json_decref(spec);
	enum gw_rc rc = cp_put(c, &r, CP_MUST_BE_NEW, err);
	if (rc == GW_EXISTS)
		return gw_fail(err, GW_EXISTS, "/value", "this value is a key already: every key must be different");
	return rc;
}

/* The value given for migration, or a fresh one. */
static struct gw_str key_value(struct cp_ctx *x)
{
	char fresh[64];
	struct gw_str given = gw_json_str(json_object_get(x->body, "value"));
	for (size_t i = 0; i < given.n; i++) {
		if (given.p[i] <= 0x20 || given.p[i] >= 0x7f) {
			cp_fault_add(x->faults, "/value", "bad_format", "value must be one line of printable ASCII characters");
			break;
		}
	}
	if (given.p != NULL)
		return gw_arena_copy(x->a, given);
	gw_token_new(fresh, "tgk_");
	struct gw_str out = gw_arena_copy(x->a, gw_str_c(fresh));
	gw_secret_wipe(fresh, sizeof fresh);
	return out;
}

void cp_api_create_consumer_key(struct cp_ctx *x)
{
	struct cp_change *c = NULL;
	struct gw_error err = { 0 };
	struct gw_str id, value = key_value(x), name = gw_json_str(json_object_get(x->body, "name"));
	json_t *expires = json_object_get(x->body, "expires_at");
	if (cp_problem_faults(x))
		return;
	enum gw_rc rc = cp_change_begin(&c, x->app->store, &x->actor, "create", &err);
	if (rc == GW_OK)
		rc = find_key(x, cp_change_view(c), NULL, &err);
	if (rc == GW_OK)
		rc = put_new(x, c, name.p != NULL ? name : GW_STR("default"), value, json_incref(expires), &id, &err);
	if (rc == GW_OK) {
		finish(x, &c, id, value, 201);
		return;
	}
	cp_change_abort(&c);
	cp_problem_error(x, &err);
}

void cp_api_patch_consumer_key(struct cp_ctx *x)
{
	struct cp_change *c = NULL;
	struct cp_record r;
	struct gw_error err = { 0 };
	const char *member;
	json_t *v;
	enum gw_rc rc = cp_change_begin(&c, x->app->store, &x->actor, "update", &err);
	if (rc == GW_OK)
		rc = find_key(x, cp_change_view(c), &r, &err);
	if (rc == GW_OK) {
		json_t *spec = cp_spec_parse(r.spec);
		json_object_foreach(x->body, member, v)
			json_object_set(spec, member, v);
		r.spec = cp_json_text(x, spec);
		json_decref(spec);
		rc = cp_put(c, &r, CP_ANY, &err);
	}
	if (rc == GW_OK) {
		finish(x, &c, r.name, GW_STR_NONE, 200);
		return;
	}
	cp_change_abort(&c);
	cp_problem_error(x, &err);
}

void cp_api_delete_consumer_key(struct cp_ctx *x)
{
	struct cp_change *c = NULL;
	struct cp_record r;
	struct cp_written w;
	struct gw_error err = { 0 };
	enum gw_rc rc = cp_change_begin(&c, x->app->store, &x->actor, "delete", &err);
	if (rc == GW_OK)
		rc = find_key(x, cp_change_view(c), &r, &err);
	if (rc == GW_OK)
		rc = cp_del(c, GW_KIND_CREDENTIAL, r.name, CP_ANY, &err);
	if (rc != GW_OK) {
		cp_change_abort(&c);
		cp_problem_error(x, &err);
	} else if (cp_finish(x, &c, "", &w)) {
		json_decref(w.warnings);
		cp_revision_header(x, w.revision);
		cp_answer_empty(x, 204);
	}
}

/* The new key starts now; the old one ends after the grace, or earlier if it was to end anyway. */
void cp_api_rotate_consumer_key(struct cp_ctx *x)
{
	struct cp_change *c = NULL;
	struct cp_record old;
	struct gw_error err = { 0 };
	struct gw_str id, value = key_value(x);
	int64_t grace = 60000, ends, was = 0;
	char text[GW_TIME_LEN];
	gw_duration_parse(gw_json_str(json_object_get(x->body, "grace")), &grace);
	if (grace > MAX_GRACE_MS)
		cp_fault_add(x->faults, "/grace", "out_of_range", "grace must be from 0s to 720h");
	if (cp_problem_faults(x))
		return;
	enum gw_rc rc = cp_change_begin(&c, x->app->store, &x->actor, "update", &err);
	if (rc == GW_OK)
		rc = find_key(x, cp_change_view(c), &old, &err);
	if (rc == GW_OK) {
		json_t *spec = cp_spec_parse(old.spec), *expires = json_object_get(spec, "expires_at");
		struct gw_str name = gw_arena_copy(x->a, gw_json_str(json_object_get(spec, "name")));
		rc = put_new(x, c, name, value, json_incref(expires), &id, &err);
		ends = gw_now_ms() + grace;
		if (gw_time_parse(gw_json_str(expires), &was) && was < ends)
			ends = was;
		gw_time_format(text, ends);
		gw_json_set_str(spec, "expires_at", gw_str_c(text));
		if (grace == 0)
			json_object_set_new(spec, "enabled", json_false());
		old.spec = cp_json_text(x, spec);
		json_decref(spec);
	}
	if (rc == GW_OK)
		rc = cp_put(c, &old, CP_ANY, &err);
	if (rc == GW_OK) {
		finish(x, &c, id, value, 201);
		return;
	}
	cp_change_abort(&c);
	cp_problem_error(x, &err);
}
