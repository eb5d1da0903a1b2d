/*
 * keys.c - the keys of consumers: making and rotating them.
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
	cp_expiry(x);
	if (cp_problem_faults(x))
		return;
	enum gw_rc rc = cp_change_begin(&c, x->app->store, &x->actor, "create", &err);
	if (rc == GW_OK)
		rc = cp_identity_find(x, cp_change_view(c), true, NULL, &err);
	if (rc == GW_OK)
		rc = put_new(x, c, name.p != NULL ? name : GW_STR("default"), value, json_incref(expires), &id, &err);
	if (rc == GW_OK)
		cp_identity_finish(x, &c, true, id, value, 201);
	else
		cp_identity_give_up(x, &c, rc, &err);
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
		rc = cp_identity_find(x, cp_change_view(c), true, &old, &err);
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
	if (rc == GW_OK)
		cp_identity_finish(x, &c, true, id, value, 201);
	else
		cp_identity_give_up(x, &c, rc, &err);
}
