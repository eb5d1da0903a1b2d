/* setup.c - the first administrator: once, with the setup token or a password file. */
#include "auth/internal.h"

#include <errno.h>
#include <stdio.h>
#include <unistd.h>

#include "base/bytes.h"
#include "base/file.h"
#include "base/log.h"
#include "base/str.h"

static void token_path(const struct cp_auth *a, char out[4096])
{
	snprintf(out, 4096, "%s/setup-token", a->data_dir);
}

enum gw_rc cp_setup_done(struct cp_store *s, bool *out, struct gw_error *err)
{
	struct cp_txn *t = NULL;
	int64_t users = 0;
	enum gw_rc rc = cp_txn_begin(&t, s, err);
	if (rc == GW_OK)
		rc = cp_count(t, GW_KIND_USER, &users, err);
	cp_txn_end(&t);
	*out = users > 0;
	return rc;
}

/* No user, no token: forget it, in memory and on disk. */
static void token_forget(struct cp_auth *a)
{
	char path[4096];
	pthread_mutex_lock(&a->lock);
	gw_secret_wipe(a->setup_token, sizeof a->setup_token);
	pthread_mutex_unlock(&a->lock);
	if (a->data_dir == NULL)
		return;
	token_path(a, path);
	if (unlink(path) != 0 && errno != ENOENT)
		gw_log(GW_LOG_WARN, NULL, GW_STR_NONE, "setup token not removed", "file=%s", path);
}

/* The token on disk into memory; made when absent. */
static enum gw_rc token_load(struct cp_auth *a, struct gw_error *err)
{
	char path[4096], fresh[64];
	struct gw_buf b;
	enum gw_rc rc = GW_NOTFOUND;
	gw_buf_init(&b, 256);
	gw_token_new(fresh, "tgs_");
	if (a->data_dir != NULL) {
		token_path(a, path);
		rc = gw_file_read_secret(&b, path, err);
	}
	struct gw_str text = gw_str_trim(gw_buf_str(&b));
	if (rc == GW_OK && text.n > 4 && text.n < sizeof fresh) {
		memcpy(fresh, text.p, text.n);
		fresh[text.n] = 0;
	} else if (rc == GW_OK || rc == GW_NOTFOUND) {
		rc = a->data_dir != NULL ? gw_file_replace(path, gw_str_c(fresh), 0600, err) : GW_OK;
	}
	if (rc == GW_OK)
		memcpy(a->setup_token, fresh, sizeof fresh);
	gw_secret_wipe(fresh, sizeof fresh);
	gw_buf_fini(&b);
	return rc;
}

enum gw_rc cp_setup_token(struct cp_auth *a, char out[64], struct gw_error *err)
{
	GW_CHECK(a, CP_AUTH_MAGIC);
	bool done;
	out[0] = 0;
	enum gw_rc rc = cp_setup_done(a->store, &done, err);
	if (rc != GW_OK)
		return rc;
	if (done) {
		token_forget(a);
		return GW_OK;
	}
	pthread_mutex_lock(&a->lock);
	if (a->setup_token[0] == 0)
		rc = token_load(a, err);
	if (rc == GW_OK)
		memcpy(out, a->setup_token, 64);
	pthread_mutex_unlock(&a->lock);
	return rc;
}

/* The first user, unless there is one: decided under the writer's lock. */
static enum gw_rc first_user(struct cp_auth *a, const struct cp_actor *who, struct gw_str username,
			     struct gw_str password, struct gw_error *err)
{
	struct cp_change *c = NULL;
	struct gw_buf hash, text;
	int64_t users;
	uint64_t revision;
	const char *weakness = cp_password_weakness(username, password);
	if (weakness != NULL)
		return gw_fail(err, GW_INVALID, "/password", "%s", weakness);
	gw_buf_init(&hash, 256);
	gw_buf_init(&text, 4096);
	cp_password_hash(&hash, password);
	json_t *spec = json_object();
	gw_json_set_str(spec, "role", GW_STR("admin"));
	json_object_set_new(spec, "enabled", json_true());
	gw_json_set_str(spec, "password", gw_buf_str(&hash));
	enum gw_rc rc = gw_json_write(&text, spec, true);
	if (rc == GW_OK)
		rc = cp_change_begin(&c, a->store, who, "create", err);
	if (rc == GW_OK)
		rc = cp_count(cp_change_view(c), GW_KIND_USER, &users, err);
	if (rc == GW_OK && users > 0)
		rc = gw_fail(err, GW_EXISTS, NULL, "the first administrator exists already: log in");
	if (rc == GW_OK) {
		struct cp_record r = { .kind = GW_KIND_USER, .name = username, .spec = gw_buf_str(&text) };
		rc = cp_put(c, &r, CP_MUST_BE_NEW, err);
	}
	if (rc == GW_OK)
		rc = cp_change_commit(&c, &revision, err);
	cp_change_abort(&c);
	json_decref(spec);
	gw_buf_fini(&hash);
	gw_buf_fini(&text);
	if (rc == GW_OK)
		token_forget(a);
	return rc;
}

enum gw_rc cp_setup_run(struct cp_auth *a, const struct cp_actor *who, struct gw_str token, struct gw_str username,
			struct gw_str password, struct gw_error *err)
{
	char expected[64];
	enum gw_rc rc = cp_setup_token(a, expected, err);
	if (rc != GW_OK)
		return rc;
	if (expected[0] == 0)
		return gw_fail(err, GW_EXISTS, NULL, "the first administrator exists already: log in");
	bool good = gw_secret_eq(token, gw_str_c(expected));
	gw_secret_wipe(expected, sizeof expected);
	if (!good)
		return gw_fail(err, GW_DENIED, "/setup_token", "the setup token is wrong: it stands in the file setup-token "
			       "of the data directory");
	return first_user(a, who, username, password, err);
}

enum gw_rc cp_setup_from_file(struct cp_auth *a, const char *password_file, struct gw_error *err)
{
	GW_CHECK(a, CP_AUTH_MAGIC);
	static const struct cp_actor who = { .type = CP_ACTOR_SYSTEM, .name = { "system", 6 }, .role = { "admin", 5 } };
	bool done;
	struct gw_buf b;
	enum gw_rc rc = cp_setup_done(a->store, &done, err);
	if (rc != GW_OK || done)
		return rc;
	gw_buf_init(&b, 4096);
	rc = gw_file_read(&b, password_file, err); /* may be world-readable: secrets of containers are */
	if (rc == GW_OK) {
		rc = first_user(a, &who, GW_STR("admin"), gw_str_trim(gw_buf_str(&b)), err);
		if (rc == GW_INVALID)
			gw_fail(err, rc, NULL, "the password in %s does not do: at least 10 characters, not a common one",
				password_file);
	}
	gw_secret_wipe(b.p, b.n);
	gw_buf_fini(&b);
	return rc;
}
