/* sql.c - statements of the store: bind in order, walk, close once. */
#include "store/sql.h"

#include "base/str.h"

void cp_sql_open(struct cp_sql *q, sqlite3 *db, const char *text)
{
	*q = (struct cp_sql){ .db = db };
	q->rc = sqlite3_prepare_v2(db, text, -1, &q->st, NULL);
}

void cp_sql_text(struct cp_sql *q, struct gw_str s)
{
	if (q->rc != SQLITE_OK)
		return;
	q->at++;
	if (s.p == NULL)
		q->rc = sqlite3_bind_null(q->st, q->at);
	else
		q->rc = sqlite3_bind_text64(q->st, q->at, s.p, s.n, SQLITE_TRANSIENT, SQLITE_UTF8);
}

void cp_sql_int(struct cp_sql *q, int64_t v)
{
	if (q->rc == SQLITE_OK)
		q->rc = sqlite3_bind_int64(q->st, ++q->at, v);
}

void cp_sql_blob(struct cp_sql *q, const void *p, size_t n)
{
	if (q->rc == SQLITE_OK)
		q->rc = sqlite3_bind_blob64(q->st, ++q->at, p, n, SQLITE_TRANSIENT);
}

bool cp_sql_row(struct cp_sql *q)
{
	if (q->rc != SQLITE_OK && q->rc != SQLITE_ROW)
		return false;
	q->rc = sqlite3_step(q->st);
	return q->rc == SQLITE_ROW;
}

enum gw_rc cp_sql_close(struct cp_sql *q, struct gw_error *err)
{
	if (q->rc == SQLITE_OK)
		q->rc = sqlite3_step(q->st);
	int rc = q->rc;
	enum gw_rc out = GW_OK;
	if (rc != SQLITE_OK && rc != SQLITE_ROW && rc != SQLITE_DONE)
		out = cp_sql_fail(q->db, rc, err);
	sqlite3_finalize(q->st);
	q->st = NULL;
	return out;
}

enum gw_rc cp_sql_again(struct cp_sql *q, struct gw_error *err)
{
	if (q->rc == SQLITE_OK)
		q->rc = sqlite3_step(q->st);
	if (q->rc != SQLITE_DONE)
		return cp_sql_fail(q->db, q->rc, err);
	q->rc = sqlite3_reset(q->st);
	q->at = 0;
	return q->rc == SQLITE_OK ? GW_OK : cp_sql_fail(q->db, q->rc, err);
}

struct gw_str cp_col_text(struct cp_sql *q, int i)
{
	const void *p = sqlite3_column_text(q->st, i);
	if (p == NULL)
		return GW_STR_NONE;
	return (struct gw_str){ p, (size_t)sqlite3_column_bytes(q->st, i) };
}

int64_t cp_col_int(struct cp_sql *q, int i)
{
	return sqlite3_column_int64(q->st, i);
}

enum gw_rc cp_sql_run(sqlite3 *db, const char *text, struct gw_error *err)
{
	int rc = sqlite3_exec(db, text, NULL, NULL, NULL);
	return rc == SQLITE_OK ? GW_OK : cp_sql_fail(db, rc, err);
}

enum gw_rc cp_sql_fail(sqlite3 *db, int rc, struct gw_error *err)
{
	const char *words = db != NULL ? sqlite3_errmsg(db) : sqlite3_errstr(rc);
	switch (rc & 0xff) {
	case SQLITE_FULL:
		return gw_fail(err, GW_TOOBIG, NULL, "the disk is full: free some space, then try again");
	case SQLITE_BUSY:
	case SQLITE_LOCKED:
		return gw_fail(err, GW_BUSY, NULL, "the database is locked by another process");
	case SQLITE_CONSTRAINT:
		return gw_fail(err, GW_EXISTS, NULL, "a rule of the database refused it: %s", words);
	default:
		return gw_fail(err, GW_IO, NULL, "the database failed: %s", words);
	}
}
