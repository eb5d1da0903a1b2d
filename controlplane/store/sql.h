/*
 * sql.h - the store's own view of SQLite; included by the files of this folder only.
 *
 * A query is opened with constant text, its parameters bound in order, its rows walked, and closed once:
 *
 *   struct cp_sql q;
 *   cp_sql_open(&q, db, "SELECT spec FROM objects WHERE kind = ? AND name = ?");
 *   cp_sql_text(&q, kind);  cp_sql_text(&q, name);
 *   if (cp_sql_row(&q)) spec = cp_col_text(&q, 0);
 *   return cp_sql_close(&q, err);
 *
 * Errors are sticky, so only the close is checked.  No SQL text is ever put together from input.
 */
#ifndef CP_STORE_SQL_H
#define CP_STORE_SQL_H

#include <pthread.h>
#include <sqlite3.h>
#include <stdatomic.h>

#include "base/map.h"
#include "store/store.h"

#define CP_STORE_MAGIC 0x53544f52u
#define CP_TXN_MAGIC   0x54584e20u
#define CP_CHANGE_MAGIC 0x43484e47u
#define CP_APPLICATION_ID 0x54494447 /* "TIDG" */
#define CP_IDLE_READERS 8

struct cp_sql {
	sqlite3 *db;
	sqlite3_stmt *st;
	int rc, at;
};

/* Statements of the ledger that stay prepared on the writer. */
enum cp_usage_statement { CP_USAGE_SEEN, CP_USAGE_SEE, CP_USAGE_ROW, CP_USAGE_SUM, CP_USAGE_KEY, CP_USAGE_QUOTA, CP_USAGE_SHARE, CP_USAGE_STATEMENTS };

struct cp_store {
	unsigned magic;
	sqlite3 *writer;                 /* guarded by write_lock */
	struct cp_sql usage[CP_USAGE_STATEMENTS]; /* likewise */
	pthread_mutex_t write_lock;
	pthread_rwlock_t gate;           /* readers hold it shared; a checkpoint needs it alone */
	pthread_mutex_t pool_lock;
	sqlite3 *idle[CP_IDLE_READERS];  /* guarded by pool_lock */
	size_t n_idle;
	char *path, *ballast;
	size_t ballast_bytes;
	int busy_ms;
	int wal_pages;                   /* pages in the WAL after the last commit; guarded by write_lock */
	char epoch[17];
	_Atomic uint64_t revision;
	_Atomic bool full, broken;
	void (*wake)(void *arg, uint64_t revision);
	void *wake_arg;
};

struct cp_txn {
	unsigned magic;
	struct cp_store *store;
	sqlite3 *db;
	uint64_t revision;
	bool in_change;
};

/* One object touched by a change: what it was before the first and is after the last write. */
struct cp_touched {
	enum gw_kind kind;
	struct gw_str name, owner, ident_before, ident_after, before, after; /* arena; before/after absent: not there */
	struct gw_str owner_before;
};

struct cp_change {
	unsigned magic;
	struct cp_txn view;
	struct cp_actor who;
	const char *action;
	struct gw_arena *arena;
	struct gw_map *by_name;          /* "kind/name" → struct cp_touched */
	struct cp_touched **touched;
	size_t n, cap;
	int64_t now_ms;
};

void cp_sql_open(struct cp_sql *q, sqlite3 *db, const char *text);
void cp_sql_text(struct cp_sql *q, struct gw_str s);             /* absent binds NULL */
void cp_sql_int(struct cp_sql *q, int64_t v);
void cp_sql_blob(struct cp_sql *q, const void *p, size_t n);
bool cp_sql_row(struct cp_sql *q);                               /* false: no more, or failed */
enum gw_rc cp_sql_close(struct cp_sql *q, struct gw_error *err); /* runs what was never stepped */
/* Runs a statement without rows and makes it ready to be bound and run anew: a batch prepares it once. */
enum gw_rc cp_sql_again(struct cp_sql *q, struct gw_error *err) GW_MUST_CHECK;
struct gw_str cp_col_text(struct cp_sql *q, int i);              /* borrowed until the next row; NULL is absent */
int64_t cp_col_int(struct cp_sql *q, int i);

/* A constant statement without parameters. */
enum gw_rc cp_sql_run(sqlite3 *db, const char *text, struct gw_error *err) GW_MUST_CHECK;
/* What a result code means, in words fit for the log. */
enum gw_rc cp_sql_fail(sqlite3 *db, int rc, struct gw_error *err);

/* The writer, locked and inside BEGIN IMMEDIATE; end with one of the other two. */
enum gw_rc cp_write_begin(struct cp_store *s, struct gw_error *err) GW_MUST_CHECK;
enum gw_rc cp_write_commit(struct cp_store *s, struct gw_error *err) GW_MUST_CHECK;
void cp_write_abort(struct cp_store *s);
/* What a failed step of a write leads to: `rc` goes through; a full disk frees the ballast, a broken one stops writing. */
enum gw_rc cp_write_failed(struct cp_store *s, enum gw_rc rc);

/* End a write whose steps led to `rc`: commit, or undo and say what the failure leads to. */
enum gw_rc cp_write_end(struct cp_store *s, enum gw_rc rc, struct gw_error *err) GW_MUST_CHECK;

void cp_usage_statements_close(struct cp_store *s);
bool cp_ballast_make(struct cp_store *s);                        /* true when there is none to make */

enum gw_rc cp_migrate(sqlite3 *db, const char *folder, struct gw_error *err) GW_MUST_CHECK;
/* Adds one audit row with its hash to the running transaction. */
struct cp_audit_insert {
	const struct cp_actor *who;
	int64_t at_ms;
	uint64_t revision;
	struct gw_str action, kind, name, outcome, before, after;
};
enum gw_rc cp_audit_insert(sqlite3 *db, const struct cp_audit_insert *in, struct gw_error *err) GW_MUST_CHECK;
uint64_t cp_revision_read(sqlite3 *db);

#endif
