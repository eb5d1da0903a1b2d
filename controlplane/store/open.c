/*
 * open.c - opening, closing, copying the database.
 *
 * The file must be ours (application_id), sound (quick_check), private (mode 0600) and not newer than the migrations.
 */
#include "store/sql.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/bytes.h"
#include "base/file.h"
#include "base/log.h"
#include "base/str.h"

static enum gw_rc pragma_int(sqlite3 *db, const char *text, int64_t *out, struct gw_error *err)
{
	struct cp_sql q;
	cp_sql_open(&q, db, text);
	*out = cp_sql_row(&q) ? cp_col_int(&q, 0) : 0;
	return cp_sql_close(&q, err);
}

static enum gw_rc harden(sqlite3 *db, int busy_ms, struct gw_error *err)
{
	sqlite3_extended_result_codes(db, 0);
	sqlite3_busy_timeout(db, busy_ms);
	sqlite3_db_config(db, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
	sqlite3_db_config(db, SQLITE_DBCONFIG_ENABLE_LOAD_EXTENSION, 0, NULL);
	sqlite3_limit(db, SQLITE_LIMIT_ATTACHED, 0);
	return cp_sql_run(db, "PRAGMA foreign_keys = ON; PRAGMA trusted_schema = OFF; PRAGMA cell_size_check = ON;"
			      "PRAGMA temp_store = MEMORY; PRAGMA wal_autocheckpoint = 0;", err);
}

static enum gw_rc check_file(const char *path, struct gw_error *err)
{
	struct stat st;
	if (stat(path, &st) != 0) {
		if (errno != ENOENT)
			return gw_fail(err, GW_IO, NULL, "cannot read %s: %s", path, strerror(errno));
		int fd = open(path, O_CREAT | O_EXCL | O_RDWR | O_CLOEXEC, 0600);
		if (fd < 0)
			return gw_fail(err, GW_IO, NULL, "cannot create %s: %s", path, strerror(errno));
		close(fd);
		return GW_OK;
	}
	if (!S_ISREG(st.st_mode))
		return gw_fail(err, GW_INVALID, NULL, "%s is not a file", path);
	if (st.st_mode & 077)
		return gw_fail(err, GW_INVALID, NULL, "%s may be read by others (mode %04o): run chmod 600 %s", path,
			       (unsigned)(st.st_mode & 07777), path);
	return GW_OK;
}

/*
 * Looking at all of a large database takes longer than an installer waits.  What the configuration, users and money depend
 * on is looked at always; the tables of rows that come with every request only while the file is small.
 */
#define CHECK_ALL_BYTES (64LL << 20)

static bool is_sound(sqlite3 *db, const char *path, struct gw_error *err)
{
	struct stat st;
	struct cp_sql q;
	bool sound = true, all = stat(path, &st) != 0 || st.st_size <= CHECK_ALL_BYTES;
	cp_sql_open(&q, db, all ? "PRAGMA quick_check(1)" :
		    "SELECT c.quick_check FROM sqlite_schema t, pragma_quick_check(t.name) c WHERE t.type = 'table' AND t.name NOT LIKE 'sqlite%'"
		    " AND t.name NOT IN ('requests', 'captures', 'series_points', 'usage_rollups')");
	while (sound && cp_sql_row(&q))
		sound = gw_str_is(cp_col_text(&q, 0), "ok");
	return cp_sql_close(&q, err) == GW_OK && sound;
}

/* Ours or empty, and not damaged. */
static enum gw_rc check_content(sqlite3 *db, const char *path, struct gw_error *err)
{
	int64_t id = 0, tables = 0;
	if (pragma_int(db, "PRAGMA application_id", &id, err) != GW_OK ||
	    pragma_int(db, "SELECT count(*) FROM sqlite_schema", &tables, err) != GW_OK)
		return gw_fail(err, GW_INVALID, NULL, "%s is not a database, or it is damaged", path);
	if (id != CP_APPLICATION_ID && tables > 0)
		return gw_fail(err, GW_INVALID, NULL, "%s belongs to another program", path);
	if (!is_sound(db, path, err))
		return gw_fail(err, GW_INVALID, NULL, "%s is damaged: restore a backup", path);
	return GW_OK;
}

static int count_wal(void *arg, sqlite3 *db, const char *name, int pages)
{
	struct cp_store *s = arg;
	(void)db, (void)name;
	s->wal_pages = pages;
	return SQLITE_OK;
}

/* Before SQLite's first call: counting its memory is a lock around every allocation, and nobody reads the count. */
static void configure(void)
{
	sqlite3_config(SQLITE_CONFIG_MEMSTATUS, 0);
}

static enum gw_rc open_writer(struct cp_store *s, const char *migrations, struct gw_error *err)
{
	int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX;
	int rc = sqlite3_open_v2(s->path, &s->writer, flags, NULL);
	if (rc != SQLITE_OK)
		return gw_fail(err, GW_IO, NULL, "cannot open %s: %s", s->path, sqlite3_errstr(rc));
	enum gw_rc out = harden(s->writer, s->busy_ms, err);
	if (out == GW_OK)
		out = check_content(s->writer, s->path, err);
	if (out == GW_OK)
		out = cp_sql_run(s->writer, "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;"
					    "PRAGMA journal_size_limit = 33554432; PRAGMA cache_size = -32768;", err);
	if (out == GW_OK)
		out = cp_migrate(s->writer, migrations, err);
	sqlite3_wal_hook(s->writer, count_wal, s);
	return out;
}

static enum gw_rc epoch_set(struct cp_store *s, bool renew, struct gw_error *err)
{
	struct cp_sql q;
	uint8_t raw[8];
	char fresh[17];
	gw_random(raw, sizeof raw);
	gw_hex(fresh, raw, sizeof raw);
	if (renew)
		cp_sql_open(&q, s->writer, "INSERT OR REPLACE INTO meta (name, value) VALUES ('epoch', ?)");
	else
		cp_sql_open(&q, s->writer, "INSERT OR IGNORE INTO meta (name, value) VALUES ('epoch', ?)");
	cp_sql_text(&q, gw_str_c(fresh));
	enum gw_rc rc = cp_sql_close(&q, err);
	if (rc != GW_OK)
		return rc;
	cp_sql_open(&q, s->writer, "SELECT value FROM meta WHERE name = 'epoch'");
	if (cp_sql_row(&q) && cp_col_text(&q, 0).n == 16)
		memcpy(s->epoch, cp_col_text(&q, 0).p, 16);
	return cp_sql_close(&q, err);
}

enum gw_rc cp_store_open(struct cp_store **out, const struct cp_store_options *o, struct gw_error *err)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;
	*out = NULL;
	pthread_once(&once, configure);
	enum gw_rc rc = check_file(o->path, err);
	if (rc != GW_OK)
		return rc;
	struct cp_store *s = gw_alloc(sizeof *s);
	s->magic = CP_STORE_MAGIC;
	s->path = gw_strdup_n(o->path, strlen(o->path));
	s->busy_ms = o->busy_ms > 0 ? o->busy_ms : 2000;
	pthread_mutex_init(&s->write_lock, NULL);
	pthread_mutex_init(&s->pool_lock, NULL);
	pthread_rwlock_init(&s->gate, NULL);
	rc = open_writer(s, o->migrations, err);
	if (rc == GW_OK)
		rc = epoch_set(s, false, err);
	if (rc != GW_OK) {
		cp_store_close(&s);
		return rc;
	}
	atomic_store(&s->revision, cp_revision_read(s->writer));
	if (o->ballast_bytes > 0) {
		size_t n = strlen(o->path) + sizeof ".ballast";
		s->ballast = gw_alloc(n);
		snprintf(s->ballast, n, "%s.ballast", o->path);
		s->ballast_bytes = o->ballast_bytes;
		if (!cp_ballast_make(s))
			gw_log(GW_LOG_WARN, NULL, GW_STR_NONE, "little disk space left", "file=%s", s->ballast);
	}
	*out = s;
	return GW_OK;
}

void cp_store_close(struct cp_store **store)
{
	struct cp_store *s = *store;
	if (s == NULL)
		return;
	GW_CHECK(s, CP_STORE_MAGIC);
	for (size_t i = 0; i < s->n_idle; i++)
		sqlite3_close(s->idle[i]);
	cp_usage_statements_close(s);
	sqlite3_close(s->writer);
	pthread_mutex_destroy(&s->write_lock);
	pthread_mutex_destroy(&s->pool_lock);
	pthread_rwlock_destroy(&s->gate);
	free(s->path);
	free(s->ballast);
	s->magic = 0;
	free(s);
	*store = NULL;
}

const char *cp_store_epoch(struct cp_store *s)
{
	GW_CHECK(s, CP_STORE_MAGIC);
	return s->epoch;
}

uint64_t cp_store_revision(struct cp_store *s)
{
	return atomic_load(&s->revision);
}

bool cp_store_disk_full(struct cp_store *s)
{
	return atomic_load(&s->full);
}

void cp_store_on_commit(struct cp_store *s, void (*wake)(void *arg, uint64_t revision), void *arg)
{
	s->wake = wake;
	s->wake_arg = arg;
}

/* ---- copies ---- */

static enum gw_rc copy_into(sqlite3 *from, const char *path, struct gw_error *err)
{
	sqlite3 *to = NULL;
	int fd = open(path, O_CREAT | O_EXCL | O_RDWR | O_CLOEXEC, 0600);
	if (fd < 0)
		return gw_fail(err, GW_IO, NULL, "cannot create %s: %s", path, strerror(errno));
	close(fd);
	int rc = sqlite3_open_v2(path, &to, SQLITE_OPEN_READWRITE, NULL);
	if (rc == SQLITE_OK) {
		sqlite3_backup *b = sqlite3_backup_init(to, "main", from, "main");
		rc = b != NULL ? sqlite3_backup_step(b, -1) : sqlite3_errcode(to);
		if (b != NULL && sqlite3_backup_finish(b) == SQLITE_OK && rc == SQLITE_DONE)
			rc = sqlite3_exec(to, "PRAGMA journal_mode = DELETE", NULL, NULL, NULL);
	}
	sqlite3_close(to);
	if (rc != SQLITE_OK)
		return gw_fail(err, (rc & 0xff) == SQLITE_FULL ? GW_TOOBIG : GW_IO, NULL, "cannot write %s: %s", path,
			       sqlite3_errstr(rc));
	return GW_OK;
}

enum gw_rc cp_store_backup(struct cp_store *s, const char *path, struct gw_error *err)
{
	GW_CHECK(s, CP_STORE_MAGIC);
	char tmp[4096];
	snprintf(tmp, sizeof tmp, "%s.tmp", path);
	unlink(tmp);
	pthread_mutex_lock(&s->write_lock);
	enum gw_rc rc = copy_into(s->writer, tmp, err);
	pthread_mutex_unlock(&s->write_lock);
	int fd = rc == GW_OK ? open(tmp, O_RDWR | O_CLOEXEC) : -1;
	if (rc == GW_OK && (fd < 0 || fsync(fd) != 0 || rename(tmp, path) != 0))
		rc = gw_fail(err, GW_IO, NULL, "cannot write %s: %s", path, strerror(errno));
	if (fd >= 0)
		close(fd);
	if (rc != GW_OK)
		unlink(tmp);
	return rc;
}

static enum gw_rc copy_file(const char *from, const char *to, struct gw_error *err)
{
	char block[65536];
	int in = open(from, O_RDONLY | O_CLOEXEC), out = -1;
	if (in < 0)
		return gw_fail(err, GW_NOTFOUND, NULL, "cannot read %s: %s", from, strerror(errno));
	unlink(to);
	out = open(to, O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0600);
	ssize_t n = out < 0 ? -1 : 0;
	while (out >= 0 && (n = read(in, block, sizeof block)) > 0) {
		if (write(out, block, (size_t)n) != n) {
			n = -1;
			break;
		}
	}
	if (n == 0 && fsync(out) != 0)
		n = -1;
	int why = errno;
	close(in);
	if (out >= 0)
		close(out);
	if (n == 0)
		return GW_OK;
	unlink(to);
	return gw_fail(err, GW_IO, NULL, "cannot copy %s to %s: %s", from, to, strerror(why));
}

/* The old files stay beside the new one as "<path>.replaced"; `path` exists at every moment. */
static enum gw_rc put_in_place(const char *fresh, const char *path, struct gw_error *err)
{
	char from[4096], to[4096];
	snprintf(to, sizeof to, "%s.replaced", path);
	unlink(to);
	if (link(path, to) != 0 && errno != ENOENT)
		return gw_fail(err, GW_IO, NULL, "cannot keep the old database as %s: %s", to, strerror(errno));
	snprintf(from, sizeof from, "%s-wal", path);
	snprintf(to, sizeof to, "%s.replaced-wal", path);
	if (rename(from, to) != 0 && errno != ENOENT)
		return gw_fail(err, GW_IO, NULL, "cannot move %s away: %s", from, strerror(errno));
	snprintf(from, sizeof from, "%s-shm", path);
	unlink(from);
	if (rename(fresh, path) != 0)
		return gw_fail(err, GW_IO, NULL, "cannot put %s in place: %s", path, strerror(errno));
	return GW_OK;
}

enum gw_rc cp_store_restore(const char *backup, const char *path, const char *migrations, const char *lock_path,
			    struct gw_error *err)
{
	char fresh[4096];
	struct cp_store *s = NULL;
	int lock = open(lock_path, O_CREAT | O_RDWR | O_CLOEXEC, 0600);
	if (lock < 0)
		return gw_fail(err, GW_IO, NULL, "cannot open %s: %s", lock_path, strerror(errno));
	if (flock(lock, LOCK_EX | LOCK_NB) != 0) {
		close(lock);
		return gw_fail(err, GW_BUSY, NULL, "a control plane is running on this data directory: stop it first");
	}
	snprintf(fresh, sizeof fresh, "%s.restore", path);
	enum gw_rc rc = copy_file(backup, fresh, err);
	if (rc == GW_OK) {
		struct cp_store_options o = { .path = fresh, .migrations = migrations };
		rc = cp_store_open(&s, &o, err);
	}
	if (rc == GW_OK)
		rc = epoch_set(s, true, err);
	if (rc == GW_OK) /* one file again, so that a single rename moves all of it */
		rc = cp_sql_run(s->writer, "PRAGMA journal_mode = DELETE", err);
	cp_store_close(&s);
	if (rc == GW_OK)
		rc = put_in_place(fresh, path, err);
	unlink(fresh);
	close(lock);
	return rc;
}
