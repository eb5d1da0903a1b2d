/*
 * offline.c - the subcommands of tidegate-control (see offline.h).
 */
#include "offline.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "auth/auth.h"
#include "auth/keys.h"
#include "base/bytes.h"
#include "base/file.h"
#include "base/str.h"
#include "base/time.h"
#include "datadir.h"
#include "ws/pki.h"

#define BALLAST_BYTES (4u << 20)

static const struct cp_actor local_actor = { .type = CP_ACTOR_LOCAL, .name = { "local", 5 }, .role = { "admin", 5 } };

enum gw_rc cp_offline_store(struct cp_store **out, const char *data_dir, struct gw_error *err)
{
	char path[CP_PATH_MAX], migrations[4096];
	cp_datadir_path(path, data_dir, "tidegate.db");
	enum gw_rc rc = gw_share_path(migrations, "migrations", err);
	if (rc != GW_OK)
		return rc;
	struct cp_store_options o = { .path = path, .migrations = migrations, .ballast_bytes = BALLAST_BYTES };
	return cp_store_open(out, &o, err);
}

/* A stopped data directory: prepared, locked, its database open. */
struct offline { int lock_fd; struct cp_store *store; };

static enum gw_rc offline_open(struct offline *o, const char *dir, struct gw_error *err)
{
	*o = (struct offline){ .lock_fd = -1 };
	enum gw_rc rc = cp_datadir_prepare(dir, err);
	if (rc == GW_OK)
		rc = cp_datadir_become_owner(dir, err);
	if (rc == GW_OK)
		rc = cp_datadir_lock(&o->lock_fd, dir, err);
	if (rc != GW_OK)
		o->lock_fd = -1;
	return rc == GW_OK ? cp_offline_store(&o->store, dir, err) : rc;
}

static void offline_close(struct offline *o)
{
	cp_store_close(&o->store);
	if (o->lock_fd >= 0)
		close(o->lock_fd);
}

static enum gw_rc token_expiry(const struct cp_settings *set, int64_t *at_ms, struct gw_error *err)
{
	int64_t ms = 0;
	*at_ms = 0;
	if (!set->expires)
		return GW_OK;
	if (!gw_duration_parse(gw_str_c(set->expires), &ms) || ms <= 0)
		return gw_fail(err, GW_INVALID, NULL, "--expires is a duration like 30d, not \"%s\"", set->expires);
	*at_ms = gw_now_ms() + ms;
	return GW_OK;
}

/* A running daemon makes the token itself, over its socket file: that is what `tidegate token create` does. */
static int ask_daemon(const struct cp_settings *set, const char *why_not)
{
	char self[CP_PATH_MAX], path[CP_PATH_MAX];
	ssize_t n = readlink("/proc/self/exe", self, sizeof self - 1);
	if (n <= 0 || getenv("TIDEGATE_TOKEN_FALLBACK")) {
		gw_complain("%s", why_not);
		return 1;
	}
	self[n] = 0;
	*strrchr(self, '/') = 0;
	cp_datadir_path(path, self, "tidegate");
	setenv("TIDEGATE_TOKEN_FALLBACK", "1", 1);
	const char *argv[16] = { path, "token", "create", "--data-dir", set->data_dir, "--role", set->role, "--name", set->name };
	if (set->expires) {
		argv[9] = "--expires";
		argv[10] = set->expires;
	}
	execv(path, (char *const *)argv);
	gw_complain("%s (and %s cannot be run: %s)", why_not, path, strerror(errno));
	return 1;
}

static int token_create(const struct cp_settings *set)
{
	struct offline o;
	struct gw_error err = { 0 };
	struct cp_token_made made;
	enum cp_role role;
	int64_t expires_at;
	if (!cp_role_parse(gw_str_c(set->role), &role)) {
		gw_complain("--role is admin, operator or viewer, not \"%s\"", set->role);
		return 2;
	}
	if (token_expiry(set, &expires_at, &err) != GW_OK) {
		gw_complain("%s", err.text);
		return 2;
	}
	enum gw_rc rc = offline_open(&o, set->data_dir, &err);
	if (rc == GW_BUSY && o.lock_fd < 0)
		return ask_daemon(set, err.text);
	if (rc == GW_OK)
		rc = cp_token_create(o.store, &local_actor, gw_str_c(set->name), role, expires_at, &made, &err);
	if (rc == GW_OK)
		puts(made.secret);
	else
		gw_complain("%s", err.text);
	offline_close(&o);
	return rc == GW_OK ? 0 : 1;
}

/* The file may be readable for root alone, and what follows is done as the owner: so it is opened before, and copied. */
static enum gw_rc copy_in(int from, const char *to, struct gw_error *err)
{
	char bytes[65536];
	ssize_t n = 0;
	unlink(to);
	int fd = open(to, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (fd < 0)
		return gw_fail(err, GW_IO, NULL, "%s cannot be made: %s", to, strerror(errno));
	while ((n = read(from, bytes, sizeof bytes)) > 0)
		for (ssize_t at = 0, w; at < n; at += w) {
			w = write(fd, bytes + at, (size_t)(n - at));
			if (w <= 0) {
				n = -1;
				break;
			}
		}
	int e = errno;
	close(fd);
	return n == 0 ? GW_OK : gw_fail(err, GW_IO, NULL, "the backup cannot be copied to %s: %s", to, strerror(e));
}

static int restore(const struct cp_settings *set)
{
	char db[CP_PATH_MAX], lock[CP_PATH_MAX], copy[CP_PATH_MAX], migrations[4096];
	struct gw_error err = { 0 };
	int from = open(set->file, O_RDONLY | O_CLOEXEC);
	if (from < 0) {
		gw_complain("%s cannot be read: %s", set->file, strerror(errno));
		return 1;
	}
	cp_datadir_path(db, set->data_dir, "tidegate.db");
	cp_datadir_path(lock, set->data_dir, "lock");
	cp_datadir_path(copy, set->data_dir, "restore.tmp");
	bool had = access(db, F_OK) == 0;
	enum gw_rc rc = cp_datadir_prepare(set->data_dir, &err);
	if (rc == GW_OK)
		rc = cp_datadir_become_owner(set->data_dir, &err);
	if (rc == GW_OK)
		rc = gw_share_path(migrations, "migrations", &err);
	if (rc == GW_OK)
		rc = copy_in(from, copy, &err);
	if (rc == GW_OK)
		rc = cp_store_restore(copy, db, migrations, lock, &err);
	unlink(copy);
	close(from);
	if (rc != GW_OK) {
		gw_complain("%s cannot be restored: %s", set->file, err.text);
		return 1;
	}
	printf("Restored %s from %s.\n", db, set->file);
	if (had)
		printf("The database that was there is kept as %s.replaced.\n", db);
	return 0;
}

static enum gw_rc backup_path(char out[CP_PATH_MAX], const char *dir, struct gw_error *err)
{
	char when[GW_TIME_LEN], name[80];
	gw_time_format(when, gw_now_ms());
	snprintf(name, sizeof name, "backups/tidegate-%.10sT%.2s-%.2s-%.2sZ.db", when, when + 11, when + 14, when + 17);
	cp_datadir_path(out, dir, "backups");
	enum gw_rc rc = gw_dir_make(out, 0700, err);
	cp_datadir_path(out, dir, name);
	return rc;
}

static int backup(const struct cp_settings *set)
{
	struct offline o;
	struct gw_error err = { 0 };
	char path[CP_PATH_MAX];
	enum gw_rc rc = offline_open(&o, set->data_dir, &err);
	if (rc == GW_OK)
		rc = backup_path(path, set->data_dir, &err);
	if (rc == GW_OK)
		rc = cp_store_backup(o.store, path, &err);
	if (rc == GW_OK)
		puts(path);
	else
		gw_complain("%s", err.text);
	offline_close(&o);
	return rc == GW_OK ? 0 : 1;
}

/* One line a finding: verdict, what, text, what to do next; tabs between.  `tidegate doctor` reads them. */
static void finding(const char *verdict, const char *what, const char *text, const char *next)
{
	printf("%s\t%s\t%s\t%s\n", verdict, what, text, next);
}

static void check_certificate(const struct cp_settings *set)
{
	char dir[CP_PATH_MAX], until[GW_TIME_LEN], text[64];
	struct gw_error err = { 0 };
	int64_t expires;
	cp_datadir_path(dir, set->data_dir, "pki");
	if (cp_pki_inspect(dir, gw_now_ms(), &expires, &err) != GW_OK) {
		finding("FAIL", "channel certs", err.text, "restore DIR/pki from a backup, or remove it and make new join tokens");
		return;
	}
	gw_time_format(until, expires);
	snprintf(text, sizeof text, "valid until %.10s, renewed by itself", until);
	if (expires < gw_now_ms())
		finding("FAIL", "channel certs", "expired", "restart the control plane; it makes a new certificate");
	else
		finding("ok", "channel certs", text, "");
}

static void check_database(const struct cp_settings *set)
{
	struct offline o;
	struct gw_error err = { 0 };
	struct cp_txn *t = NULL;
	struct cp_keys keys;
	uint8_t master[32];
	int64_t rows = 0;
	char text[80];
	enum gw_rc rc = offline_open(&o, set->data_dir, &err);
	if (rc == GW_BUSY && o.lock_fd < 0)
		return; /* the daemon has it, and checked it when it started */
	if (rc == GW_OK)
		rc = cp_master_key_load(master, set->data_dir, &err);
	if (rc == GW_OK)
		rc = cp_keys_open(&keys, master, o.store, &err);
	if (rc == GW_OK) {
		cp_keys_wipe(&keys);
		rc = cp_txn_begin(&t, o.store, &err);
	}
	if (rc == GW_OK)
		rc = cp_audit_verify(t, &rows, &err);
	cp_txn_end(&t);
	snprintf(text, sizeof text, "sound, revision %llu, %lld audit rows in one chain",
	    o.store ? (unsigned long long)cp_store_revision(o.store) : 0ULL, (long long)rows);
	if (rc == GW_OK)
		finding("ok", "database", text, "");
	else
		finding("FAIL", "database", err.text, "restore a backup: tidegate restore -f FILE");
	offline_close(&o);
	gw_secret_wipe(master, sizeof master);
}

/* Looks only: what is not there is not made. */
static int check(const struct cp_settings *set)
{
	char path[CP_PATH_MAX];
	check_certificate(set);
	cp_datadir_path(path, set->data_dir, "tidegate.db");
	if (access(path, R_OK) == 0)
		check_database(set);
	return 0;
}

int cp_offline(const struct cp_settings *set)
{
	switch (set->command) {
	case CP_TOKEN_CREATE: return token_create(set);
	case CP_BACKUP: return backup(set);
	case CP_RESTORE: return restore(set);
	case CP_CHECK: return check(set);
	default: return 2;
	}
}
