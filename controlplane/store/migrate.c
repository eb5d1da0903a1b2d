/*
 * migrate.c - forward-only schema changes: NNNN_name.sql, each one transaction, each with its checksum recorded.
 */
#include "store/sql.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/bytes.h"
#include "base/file.h"
#include "base/log.h"
#include "base/str.h"
#include "base/time.h"

#define MAX_MIGRATION_BYTES (1u << 20)

static int is_migration(const struct dirent *e)
{
	const char *n = e->d_name;
	size_t len = strlen(n);
	return len > 9 && strspn(n, "0123456789") == 4 && n[4] == '_' && strcmp(n + len - 4, ".sql") == 0;
}

/* The recorded checksum of one version into `out` ("" when it was not applied). */
static enum gw_rc recorded(sqlite3 *db, int version, char out[65], struct gw_error *err)
{
	struct cp_sql q;
	out[0] = 0;
	cp_sql_open(&q, db, "SELECT sha256 FROM migrations WHERE version = ?");
	cp_sql_int(&q, version);
	if (cp_sql_row(&q) && cp_col_text(&q, 0).n == 64)
		memcpy(out, cp_col_text(&q, 0).p, 65);
	return cp_sql_close(&q, err);
}

static enum gw_rc apply(sqlite3 *db, int version, const char *name, const char *sha, const char *text,
			struct gw_error *err)
{
	struct gw_error inner = { 0 };
	struct cp_sql q;
	enum gw_rc rc = cp_sql_run(db, "BEGIN EXCLUSIVE", err);
	if (rc != GW_OK)
		return rc;
	rc = cp_sql_run(db, text, &inner);
	if (rc == GW_OK) {
		cp_sql_open(&q, db, "INSERT INTO migrations (version, name, sha256, applied_at) VALUES (?, ?, ?, ?)");
		cp_sql_int(&q, version);
		cp_sql_text(&q, gw_str_c(name));
		cp_sql_text(&q, gw_str_c(sha));
		cp_sql_int(&q, gw_now_ms());
		rc = cp_sql_close(&q, &inner);
	}
	if (rc == GW_OK)
		rc = cp_sql_run(db, "COMMIT", &inner);
	if (rc == GW_OK) {
		gw_log(GW_LOG_INFO, "migration", gw_str_c(name), "applied", NULL);
		return GW_OK;
	}
	if (!sqlite3_get_autocommit(db) && cp_sql_run(db, "ROLLBACK", NULL) != GW_OK)
		gw_log(GW_LOG_WARN, "migration", gw_str_c(name), "rollback failed", NULL);
	return gw_fail(err, rc, NULL, "migration %s failed: %.200s", name, inner.text);
}

static enum gw_rc one(sqlite3 *db, const char *folder, const char *name, int version, struct gw_error *err)
{
	char path[4096], have[65], sha[65];
	uint8_t digest[32];
	struct gw_buf text;
	snprintf(path, sizeof path, "%s/%s", folder, name);
	gw_buf_init(&text, MAX_MIGRATION_BYTES);
	enum gw_rc rc = gw_file_read(&text, path, err);
	if (rc == GW_OK) {
		gw_sha256(digest, gw_buf_str(&text));
		gw_hex(sha, digest, sizeof digest);
		rc = recorded(db, version, have, err);
	}
	if (rc == GW_OK && have[0] == 0)
		rc = apply(db, version, name, sha, gw_buf_str(&text).p, err);
	else if (rc == GW_OK && strcmp(have, sha) != 0)
		rc = gw_fail(err, GW_INVALID, NULL, "migration %s was changed after it had been applied to this database",
			     name);
	gw_buf_fini(&text);
	return rc;
}

enum gw_rc cp_migrate(sqlite3 *db, const char *folder, struct gw_error *err)
{
	struct dirent **names = NULL;
	int n = scandir(folder, &names, is_migration, alphasort);
	if (n < 0)
		return gw_fail(err, GW_IO, NULL, "cannot read the migrations in %s: %s", folder, strerror(errno));
	enum gw_rc rc = cp_sql_run(db, "PRAGMA application_id = 1414087751;"
		"CREATE TABLE IF NOT EXISTS migrations (version INTEGER PRIMARY KEY, name TEXT NOT NULL,"
		" sha256 TEXT NOT NULL, applied_at INTEGER NOT NULL) STRICT", err);
	if (rc == GW_OK && n == 0)
		rc = gw_fail(err, GW_NOTFOUND, NULL, "there are no migrations in %s", folder);
	for (int i = 0; i < n && rc == GW_OK; i++) {
		const char *d = names[i]->d_name; /* is_migration() saw four digits */
		int version = (d[0] - '0') * 1000 + (d[1] - '0') * 100 + (d[2] - '0') * 10 + (d[3] - '0');
		if (version != i + 1)
			rc = gw_fail(err, GW_INVALID, NULL, "migration %04d is missing in %s", i + 1, folder);
		else
			rc = one(db, folder, names[i]->d_name, i + 1, err);
	}
	if (rc == GW_OK) {
		struct cp_sql q;
		cp_sql_open(&q, db, "SELECT coalesce(max(version), 0) FROM migrations");
		int64_t newest = cp_sql_row(&q) ? cp_col_int(&q, 0) : 0;
		rc = cp_sql_close(&q, err);
		if (rc == GW_OK && newest > n)
			rc = gw_fail(err, GW_VERSION, NULL, "the database was made by a newer release (schema %d, this "
				     "release knows %d): install that release, or restore a backup", (int)newest, n);
	}
	for (int i = 0; i < n; i++)
		free(names[i]);
	free(names);
	return rc;
}
