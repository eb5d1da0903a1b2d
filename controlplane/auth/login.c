/* login.c - users, sessions and API tokens: from a credential to a caller. */
#include "auth/internal.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/bytes.h"
#include "base/log.h"
#include "base/str.h"
#include "base/time.h"

#define MINUTE_MS 60000
#define MAX_SPEC 65536

static const char *const role_names[] = { "none",
#define X(name, text) text,
	CP_ROLE_TABLE(X)
#undef X
};

const char *cp_role_name(enum cp_role r)
{
	return role_names[r];
}

bool cp_role_parse(struct gw_str text, enum cp_role *out)
{
	for (size_t i = 1; i < GW_COUNT(role_names); i++) {
		if (gw_str_is(text, role_names[i])) {
			*out = (enum cp_role)i;
			return true;
		}
	}
	return false;
}

struct cp_auth *cp_auth_open(struct cp_store *s, const char *data_dir)
{
	struct cp_auth *a = gw_alloc(sizeof *a);
	a->magic = CP_AUTH_MAGIC;
	a->store = s;
	a->data_dir = data_dir != NULL ? gw_strdup_n(data_dir, strlen(data_dir)) : NULL;
	pthread_mutex_init(&a->lock, NULL);
	return a;
}

void cp_auth_close(struct cp_auth **auth)
{
	struct cp_auth *a = *auth;
	if (a == NULL)
		return;
	GW_CHECK(a, CP_AUTH_MAGIC);
	pthread_mutex_destroy(&a->lock);
	free(a->data_dir);
	gw_secret_wipe(a->setup_token, sizeof a->setup_token);
	a->magic = 0;
	free(a);
	*auth = NULL;
}

void cp_secret_hash(struct gw_str secret, char out[65])
{
	uint8_t digest[32];
	gw_sha256(digest, secret);
	gw_hex(out, digest, sizeof digest);
}

int64_t cp_spec_time(const json_t *spec, const char *name)
{
	int64_t at = 0;
	struct gw_str text = gw_json_str(json_object_get(spec, name));
	return text.p != NULL && gw_time_parse(text, &at) ? at : 0;
}

void cp_use_note(struct cp_store *s, enum gw_kind k, struct gw_str name, int64_t last_ms, int64_t now_ms)
{
	struct gw_error err = { 0 };
	if (now_ms - last_ms < MINUTE_MS)
		return;
	if (cp_use_add(s, k, name, now_ms, &err) != GW_OK)
		gw_log(GW_LOG_WARN, cp_kind_singular(k), name, "last use not recorded", "%s", err.text);
}

/* ---- users ---- */

struct user { bool exists, enabled; enum cp_role role; struct gw_str password; };

static enum gw_rc user_read(struct cp_txn *t, struct gw_str name, struct gw_arena *a, struct user *out,
			    struct gw_error *err)
{
	struct cp_record r;
	json_t *spec = NULL;
	*out = (struct user){ 0 };
	enum gw_rc rc = cp_get(t, GW_KIND_USER, name, a, &r, NULL);
	if (rc == GW_NOTFOUND)
		return GW_OK;
	if (rc == GW_OK)
		rc = gw_json_parse(&spec, r.spec, MAX_SPEC, err);
	if (rc != GW_OK)
		return gw_fail(err, rc, NULL, "the user cannot be read");
	out->exists = true;
	out->enabled = json_is_true(json_object_get(spec, "enabled"));
	if (!cp_role_parse(gw_json_str(json_object_get(spec, "role")), &out->role))
		out->enabled = false;
	struct gw_str password = gw_json_str(json_object_get(spec, "password"));
	out->password = password.p != NULL ? gw_arena_copy(a, password) : GW_STR_NONE;
	json_decref(spec);
	return GW_OK;
}

enum gw_rc cp_login(struct cp_auth *a, struct gw_str username, struct gw_str password, struct gw_str address,
		    struct gw_arena *ar, struct cp_caller *out, char cookie[64], struct gw_error *err)
{
	GW_CHECK(a, CP_AUTH_MAGIC);
	struct cp_txn *t = NULL;
	struct user u = { 0 };
	enum gw_rc rc = cp_txn_begin(&t, a->store, err);
	if (rc == GW_OK)
		rc = user_read(t, username, ar, &u, err);
	cp_txn_end(&t);
	if (rc != GW_OK)
		return rc;
	bool good = cp_password_verify(u.password, password); /* the same work for a user that does not exist */
	if (!good || !u.exists || !u.enabled)
		return gw_fail(err, GW_DENIED, NULL, "the user name or the password is wrong");
	rc = cp_session_start(a, username, u.role, address, ar, out, cookie, err);
	if (rc == GW_OK)
		rc = cp_use_add(a->store, GW_KIND_USER, username, gw_now_ms(), err);
	return rc;
}

/* ---- sessions ---- */

static void sweep(struct cp_auth *a, int64_t now_ms)
{
	pthread_mutex_lock(&a->lock);
	bool due = now_ms - a->swept_ms > 10 * MINUTE_MS;
	if (due)
		a->swept_ms = now_ms;
	pthread_mutex_unlock(&a->lock);
	if (due && cp_session_sweep(a->store, now_ms, CP_SESSION_IDLE_MS, NULL) != GW_OK)
		gw_log(GW_LOG_WARN, NULL, GW_STR_NONE, "old sessions not removed", NULL);
}

/* The CSRF token follows from the cookie, so that it need not be stored: who has one could compute the other only forward. */
static struct gw_str csrf_of(struct gw_str cookie, struct gw_arena *a)
{
	uint8_t mac[32];
	struct gw_buf b;
	gw_buf_init(&b, 64);
	gw_hmac_sha256(mac, cookie, GW_STR("tidegate csrf"));
	gw_b64_add(&b, mac, sizeof mac);
	struct gw_str out = gw_arena_copy(a, gw_buf_str(&b));
	gw_buf_fini(&b);
	return out;
}

enum gw_rc cp_session_start(struct cp_auth *a, struct gw_str username, enum cp_role role, struct gw_str address,
			    struct gw_arena *ar, struct cp_caller *out, char cookie[64], struct gw_error *err)
{
	GW_CHECK(a, CP_AUTH_MAGIC);
	int64_t now = gw_now_ms();
	sweep(a, now);
	gw_token_new(cookie, "");
	struct cp_session_row row = {
		.user = username, .address = address,
		.created_at_ms = now, .seen_at_ms = now, .expires_at_ms = now + CP_SESSION_ABSOLUTE_MS,
	};
	gw_sha256(row.hash, gw_str_c(cookie));
	enum gw_rc rc = cp_session_put(a->store, &row, err);
	if (rc != GW_OK)
		return rc;
	*out = (struct cp_caller){ .type = CP_ACTOR_USER, .role = role, .name = gw_arena_copy(ar, username),
				   .csrf = csrf_of(gw_str_c(cookie), ar), .has_session = true,
				   .expires_at_ms = row.expires_at_ms };
	memcpy(out->session, row.hash, sizeof row.hash);
	return GW_OK;
}

enum gw_rc cp_session_check(struct cp_auth *a, struct gw_str cookie, struct gw_arena *ar, struct cp_caller *out,
			    struct gw_error *err)
{
	GW_CHECK(a, CP_AUTH_MAGIC);
	struct cp_txn *t = NULL;
	struct cp_session_row row = { 0 };
	struct user u = { 0 };
	uint8_t hash[32];
	int64_t now = gw_now_ms();
	gw_sha256(hash, cookie);
	enum gw_rc rc = cp_txn_begin(&t, a->store, err);
	if (rc == GW_OK)
		rc = cp_session_get(t, hash, ar, &row, err);
	if (rc == GW_OK)
		rc = user_read(t, row.user, ar, &u, err);
	cp_txn_end(&t);
	if (rc == GW_NOTFOUND || (rc == GW_OK && (row.expires_at_ms <= now || row.seen_at_ms + CP_SESSION_IDLE_MS <= now ||
						  !u.exists || !u.enabled)))
		return gw_fail(err, GW_DENIED, NULL, "the session is over: log in again");
	if (rc != GW_OK)
		return rc;
	*out = (struct cp_caller){ .type = CP_ACTOR_USER, .role = u.role, .name = row.user, .csrf = csrf_of(cookie, ar),
				   .has_session = true, .expires_at_ms = row.expires_at_ms };
	memcpy(out->session, hash, sizeof hash);
	if (now - row.seen_at_ms > MINUTE_MS && cp_session_touch(a->store, hash, now, err) != GW_OK)
		gw_log(GW_LOG_WARN, "user", row.user, "session not prolonged", NULL);
	return GW_OK;
}

/* ---- API tokens ---- */

enum gw_rc cp_token_check(struct cp_auth *a, struct gw_str token, struct gw_arena *ar, struct cp_caller *out,
			  struct gw_error *err)
{
	GW_CHECK(a, CP_AUTH_MAGIC);
	static const char words[] = "the API token is unknown, revoked or expired: make one with `tidegate token create`";
	char hash[65];
	struct cp_txn *t = NULL;
	struct cp_record r;
	json_t *spec = NULL;
	int64_t last = 0, count, now = gw_now_ms();
	if (!gw_str_starts(token, GW_STR("tga_")))
		return gw_fail(err, GW_DENIED, NULL, "the bearer token is not an API token (tga_…)");
	cp_secret_hash(token, hash);
	enum gw_rc rc = cp_txn_begin(&t, a->store, err);
	if (rc == GW_OK)
		rc = cp_get_ident(t, GW_KIND_TOKEN, gw_str_c(hash), ar, &r, err);
	if (rc == GW_OK)
		rc = cp_use_get(t, GW_KIND_TOKEN, r.name, &last, &count, err);
	cp_txn_end(&t);
	if (rc == GW_NOTFOUND)
		return gw_fail(err, GW_DENIED, NULL, "%s", words);
	if (rc == GW_OK)
		rc = gw_json_parse(&spec, r.spec, MAX_SPEC, err);
	if (rc != GW_OK)
		return rc;
	*out = (struct cp_caller){ .type = CP_ACTOR_TOKEN, .expires_at_ms = cp_spec_time(spec, "expires_at") };
	bool good = cp_role_parse(gw_json_str(json_object_get(spec, "role")), &out->role) &&
		    (out->expires_at_ms == 0 || out->expires_at_ms > now);
	struct gw_str name = gw_json_str(json_object_get(spec, "name"));
	out->name = gw_arena_copy(ar, name.p != NULL ? name : r.name);
	json_decref(spec);
	if (!good)
		return gw_fail(err, GW_DENIED, NULL, "%s", words);
	cp_use_note(a->store, GW_KIND_TOKEN, r.name, last, now);
	return GW_OK;
}
