/* Opening: migrations, foreign and damaged files, modes; backup and restore. */
#include <fcntl.h>
#include <sqlite3.h>
#include <sys/file.h>

#include "controlplane/fixture.h"

static char dir[128], db[256], migrations[256];

static void write_file(const char *folder, const char *name, const char *text)
{
	char path[400];
	snprintf(path, sizeof path, "%s/%s", folder, name);
	ck_assert_int_eq(gw_file_replace(path, gw_str_c(text), 0600, NULL), GW_OK);
}

static void fresh(void)
{
	fx_dir(dir);
	fx_dir(migrations);
	snprintf(db, sizeof db, "%s/tidegate.db", dir);
	write_file(migrations, "0001_a.sql", "CREATE TABLE meta (name TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT;"
		   "CREATE TABLE revisions (revision INTEGER PRIMARY KEY) STRICT;");
	write_file(migrations, "0002_b.sql", "CREATE TABLE b (x INTEGER) STRICT;");
}

static void clean(void)
{
	char path[400];
	const char *names[] = { "0001_a.sql", "0002_b.sql", "0003_c.sql", "0004_d.sql" };
	for (size_t i = 0; i < GW_COUNT(names); i++) {
		snprintf(path, sizeof path, "%s/%s", migrations, names[i]);
		unlink(path);
	}
	rmdir(migrations);
	fx_rmdir(dir);
}

static enum gw_rc try_open(struct gw_error *err)
{
	struct cp_store *s = NULL;
	struct cp_store_options o = { .path = db, .migrations = migrations };
	enum gw_rc rc = cp_store_open(&s, &o, err);
	cp_store_close(&s);
	return rc;
}

static void refuses(enum gw_rc rc, const char *words)
{
	struct gw_error err = { 0 };
	ck_assert_int_eq(try_open(&err), rc);
	ck_assert_msg(strstr(err.text, words) != NULL, "\"%s\" does not say \"%s\"", err.text, words);
}

START_TEST(migrations_are_applied_once)
{
	fresh();
	ck_assert_int_eq(try_open(NULL), GW_OK);
	write_file(migrations, "0003_c.sql", "CREATE TABLE c (x INTEGER) STRICT;");
	ck_assert_int_eq(try_open(NULL), GW_OK);
	ck_assert_int_eq(try_open(NULL), GW_OK);
	clean();
}
END_TEST

START_TEST(a_changed_migration_is_refused)
{
	fresh();
	ck_assert_int_eq(try_open(NULL), GW_OK);
	write_file(migrations, "0002_b.sql", "CREATE TABLE b (x TEXT) STRICT;");
	refuses(GW_INVALID, "0002_b.sql was changed");
	clean();
}
END_TEST

START_TEST(a_gap_is_refused)
{
	fresh();
	write_file(migrations, "0004_d.sql", "CREATE TABLE d (x TEXT) STRICT;");
	refuses(GW_INVALID, "migration 0003 is missing");
	clean();
}
END_TEST

START_TEST(a_newer_database_is_refused)
{
	char path[400];
	fresh();
	ck_assert_int_eq(try_open(NULL), GW_OK);
	snprintf(path, sizeof path, "%s/0002_b.sql", migrations);
	unlink(path);
	refuses(GW_VERSION, "newer release");
	clean();
}
END_TEST

START_TEST(a_broken_migration_leaves_no_half)
{
	fresh();
	write_file(migrations, "0003_c.sql", "CREATE TABLE c (x INTEGER) STRICT; CREATE TABLE c (x INTEGER) STRICT;");
	refuses(GW_IO, "migration 0003_c.sql failed");
	write_file(migrations, "0003_c.sql", "CREATE TABLE c (x INTEGER) STRICT;");
	ck_assert_int_eq(try_open(NULL), GW_OK);
	clean();
}
END_TEST

START_TEST(strange_files_are_refused)
{
	sqlite3 *other = NULL;
	fresh();
	write_file(dir, "tidegate.db", "this is no database, and long enough to be looked at as one");
	refuses(GW_INVALID, "not a database");
	unlink(db);
	ck_assert_int_eq(sqlite3_open(db, &other), SQLITE_OK);
	ck_assert_int_eq(sqlite3_exec(other, "CREATE TABLE x (y)", NULL, NULL, NULL), SQLITE_OK);
	sqlite3_close(other);
	chmod(db, 0600);
	refuses(GW_INVALID, "another program");
	chmod(db, 0644);
	refuses(GW_INVALID, "chmod 600");
	clean();
}
END_TEST

/* The first page of a table is overwritten with what no page is. */
static void damage(const char *table)
{
	sqlite3 *open = NULL;
	sqlite3_stmt *st = NULL;
	char junk[4096];
	ck_assert_int_eq(sqlite3_open(db, &open), SQLITE_OK);
	ck_assert_int_eq(sqlite3_prepare_v2(open, "SELECT rootpage FROM sqlite_schema WHERE name = ?", -1, &st, NULL), SQLITE_OK);
	sqlite3_bind_text(st, 1, table, -1, SQLITE_STATIC);
	ck_assert_int_eq(sqlite3_step(st), SQLITE_ROW);
	off_t at = (off_t)(sqlite3_column_int64(st, 0) - 1) * 4096;
	sqlite3_finalize(st);
	sqlite3_close(open);
	memset(junk, 0x5a, sizeof junk);
	FILE *f = fopen(db, "r+b");
	ck_assert_ptr_nonnull(f);
	ck_assert_int_eq(fseeko(f, at, SEEK_SET), 0);
	ck_assert_uint_eq(fwrite(junk, 1, sizeof junk, f), sizeof junk);
	ck_assert_int_eq(fclose(f), 0);
}

static void make_store(off_t bytes)
{
	fx_dir(dir);
	snprintf(db, sizeof db, "%s/tidegate.db", dir);
	struct cp_store *s = fx_store(dir);
	cp_store_close(&s);
	if (bytes > 0) /* what stands behind the last page is not looked at */
		ck_assert_int_eq(truncate(db, bytes), 0);
}

static enum gw_rc open_again(struct gw_error *err)
{
	struct cp_store *s = NULL;
	struct cp_store_options o = { .path = db, .migrations = TG_SOURCE_DIR "/migrations" };
	enum gw_rc rc = cp_store_open(&s, &o, err);
	cp_store_close(&s);
	return rc;
}

START_TEST(damage_is_said)
{
	static const struct { off_t bytes; const char *table; enum gw_rc rc; } cases[] = {
		{ 0, "objects", GW_INVALID }, { 0, "requests", GW_INVALID }, { 65 << 20, "objects", GW_INVALID },
		{ 65 << 20, "quota_periods", GW_INVALID }, { 65 << 20, "requests", GW_OK }, { 65 << 20, NULL, GW_OK },
	};
	for (size_t i = 0; i < GW_COUNT(cases); i++) {
		struct gw_error err = { 0 };
		make_store(cases[i].bytes);
		if (cases[i].table)
			damage(cases[i].table);
		ck_assert_msg(open_again(&err) == cases[i].rc, "%zu: %s", i, err.text);
		ck_assert(cases[i].rc == GW_OK || strstr(err.text, "is damaged: restore a backup") != NULL);
		fx_rmdir(dir);
	}
}
END_TEST

START_TEST(a_backup_comes_back_with_a_new_epoch)
{
	char backup[256], lock[256], epoch[32];
	struct gw_error err = { 0 };
	fx_dir(dir);
	snprintf(db, sizeof db, "%s/tidegate.db", dir);
	snprintf(backup, sizeof backup, "%s/backup.db", dir);
	snprintf(lock, sizeof lock, "%s/lock", dir);
	struct cp_store *s = fx_store(dir);
	fx_write(s, GW_KIND_ROUTE, "r1", "{}");
	ck_assert_int_eq(cp_store_backup(s, backup, NULL), GW_OK);
	fx_write(s, GW_KIND_ROUTE, "r2", "{}");
	snprintf(epoch, sizeof epoch, "%s", cp_store_epoch(s));
	cp_store_close(&s);
	int held = open(lock, O_CREAT | O_RDWR, 0600);
	ck_assert_int_eq(flock(held, LOCK_EX), 0);
	ck_assert_int_eq(cp_store_restore(backup, db, TG_SOURCE_DIR "/migrations", lock, &err), GW_BUSY);
	close(held);
	enum gw_rc rc = cp_store_restore(backup, db, TG_SOURCE_DIR "/migrations", lock, &err);
	ck_assert_msg(rc == GW_OK, "%s", err.text);
	s = fx_store(dir);
	ck_assert_uint_eq(cp_store_revision(s), 1);
	ck_assert_str_ne(cp_store_epoch(s), epoch);
	cp_store_close(&s);
	ck_assert_int_eq(cp_store_restore("/dev/null", db, TG_SOURCE_DIR "/migrations", lock, &err), GW_OK); /* an empty file is a new database */
	fx_rmdir(dir);
}
END_TEST

UNIT_MAIN("store.open", migrations_are_applied_once, a_changed_migration_is_refused, a_gap_is_refused, a_newer_database_is_refused,
	  a_broken_migration_leaves_no_half, strange_files_are_refused, damage_is_said, a_backup_comes_back_with_a_new_epoch)
