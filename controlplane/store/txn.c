/* txn.c - consistent views for readers, and changes: objects, revision and audit in one transaction. */
#include "store/sql.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/log.h"
#include "base/str.h"
#include "base/time.h"

static const char *const actor_names[] = {
#define X(name, text) text,
	CP_ACTOR_TABLE(X)
#undef X
};

const char *cp_actor_name(enum cp_actor_type t)
{
	return actor_names[t];
}

const char *cp_kind_singular(enum gw_kind k)
{
	static const char *const names[GW_KIND_COUNT] = {
		[GW_KIND_SETTINGS] = "settings", [GW_KIND_PROVIDER] = "provider", [GW_KIND_CONSUMER] = "consumer", [GW_KIND_GROUP] = "group", [GW_KIND_JWT_ISSUER] = "jwt-issuer",
		[GW_KIND_ROUTE] = "route", [GW_KIND_PRICE] = "price", [GW_KIND_QUOTA] = "quota", [GW_KIND_GLOBAL_PLUGIN] = "global-plugin",
		[GW_KIND_CREDENTIAL] = "consumer-key", [GW_KIND_USER] = "user", [GW_KIND_TOKEN] = "token",
		[GW_KIND_ALERT] = "alert", [GW_KIND_ALERT_CHANNEL] = "alert-channel", [GW_KIND_SILENCE] = "silence",
		[GW_KIND_JOIN_TOKEN] = "join-token", [GW_KIND_NODE] = "node",
	};
	return names[k];
}

bool cp_kind_is_configuration(enum gw_kind k)
{
	return gw_kind_travels(k) || k == GW_KIND_CREDENTIAL || k == GW_KIND_ALERT_CHANNEL || k == GW_KIND_ALERT || k == GW_KIND_SILENCE;
}

uint64_t cp_revision_read(sqlite3 *db)
{
	struct cp_sql q;
	cp_sql_open(&q, db, "SELECT coalesce(max(revision), 0) FROM revisions");
	uint64_t n = cp_sql_row(&q) ? (uint64_t)cp_col_int(&q, 0) : 0;
	return cp_sql_close(&q, NULL) == GW_OK ? n : 0;
}

/* ---- reading ---- */

static enum gw_rc reader_take(struct cp_store *s, sqlite3 **out, struct gw_error *err)
{
	*out = NULL;
	pthread_mutex_lock(&s->pool_lock);
	if (s->n_idle > 0)
		*out = s->idle[--s->n_idle];
	pthread_mutex_unlock(&s->pool_lock);
	if (*out != NULL)
		return GW_OK;
	int rc = sqlite3_open_v2(s->path, out, SQLITE_OPEN_READONLY | SQLITE_OPEN_NOMUTEX, NULL);
	if (rc != SQLITE_OK) {
		enum gw_rc out_rc = cp_sql_fail(*out, rc, err);
		sqlite3_close(*out);
		*out = NULL;
		return out_rc;
	}
	sqlite3_busy_timeout(*out, s->busy_ms);
	sqlite3_db_config(*out, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
	sqlite3_limit(*out, SQLITE_LIMIT_ATTACHED, 0);
	return cp_sql_run(*out, "PRAGMA trusted_schema = OFF; PRAGMA cell_size_check = ON; PRAGMA query_only = ON;"
				"PRAGMA wal_autocheckpoint = 0; PRAGMA temp_store = MEMORY;", err);
}

static void reader_give(struct cp_store *s, sqlite3 *db)
{
	pthread_mutex_lock(&s->pool_lock);
	if (s->n_idle < CP_IDLE_READERS) {
		s->idle[s->n_idle++] = db;
		db = NULL;
	}
	pthread_mutex_unlock(&s->pool_lock);
	sqlite3_close(db);
}

enum gw_rc cp_txn_begin(struct cp_txn **out, struct cp_store *s, struct gw_error *err)
{
	GW_CHECK(s, CP_STORE_MAGIC);
	*out = NULL;
	sqlite3 *db;
	pthread_rwlock_rdlock(&s->gate);
	enum gw_rc rc = reader_take(s, &db, err);
	if (rc == GW_OK && (rc = cp_sql_run(db, "BEGIN", err)) != GW_OK)
		sqlite3_close(db);
	if (rc != GW_OK) {
		pthread_rwlock_unlock(&s->gate);
		return rc;
	}
	struct cp_txn *t = gw_alloc(sizeof *t);
	*t = (struct cp_txn){ .magic = CP_TXN_MAGIC, .store = s, .db = db };
	t->revision = cp_revision_read(db); /* the first read fixes the view */
	*out = t;
	return GW_OK;
}

void cp_txn_end(struct cp_txn **txn)
{
	struct cp_txn *t = *txn;
	if (t == NULL)
		return;
	GW_CHECK(t, CP_TXN_MAGIC);
	assert(!t->in_change);
	if (cp_sql_run(t->db, "ROLLBACK", NULL) == GW_OK)
		reader_give(t->store, t->db);
	else
		sqlite3_close(t->db);
	pthread_rwlock_unlock(&t->store->gate);
	t->magic = 0;
	free(t);
	*txn = NULL;
}

uint64_t cp_txn_revision(struct cp_txn *t)
{
	GW_CHECK(t, CP_TXN_MAGIC);
	return t->revision;
}

/* ---- writing ---- */

static struct gw_str copy_or_none(struct gw_arena *a, struct gw_str s)
{
	return s.p == NULL ? GW_STR_NONE : gw_arena_copy(a, s);
}

enum gw_rc cp_change_begin(struct cp_change **out, struct cp_store *s, const struct cp_actor *who,
			   const char *action, struct gw_error *err)
{
	GW_CHECK(s, CP_STORE_MAGIC);
	assert(who != NULL && who->name.n > 0);
	*out = NULL;
	enum gw_rc rc = cp_write_begin(s, err);
	if (rc != GW_OK)
		return rc;
	struct cp_change *c = gw_alloc(sizeof *c);
	c->magic = CP_CHANGE_MAGIC;
	c->arena = gw_arena_open(0);
	c->by_name = gw_map_open(16);
	c->who = (struct cp_actor){ who->type, gw_arena_copy(c->arena, who->name), copy_or_none(c->arena, who->role),
				    copy_or_none(c->arena, who->address), copy_or_none(c->arena, who->request_id) };
	c->action = action;
	c->now_ms = gw_now_ms();
	c->view = (struct cp_txn){ .magic = CP_TXN_MAGIC, .store = s, .db = s->writer, .in_change = true };
	c->view.revision = cp_revision_read(s->writer);
	*out = c;
	return GW_OK;
}

struct cp_txn *cp_change_view(struct cp_change *c)
{
	GW_CHECK(c, CP_CHANGE_MAGIC);
	return &c->view;
}

size_t cp_change_count(const struct cp_change *c)
{
	GW_CHECK(c, CP_CHANGE_MAGIC);
	return c->n;
}

static void change_free(struct cp_change **change)
{
	struct cp_change *c = *change;
	gw_map_close(&c->by_name);
	gw_arena_close(&c->arena);
	free(c->touched);
	c->magic = c->view.magic = 0;
	free(c);
	*change = NULL;
}

void cp_change_abort(struct cp_change **change)
{
	if (*change == NULL)
		return;
	GW_CHECK(*change, CP_CHANGE_MAGIC);
	cp_write_abort((*change)->view.store);
	change_free(change);
}

static bool same(const struct cp_touched *t)
{
	return (t->before.p == NULL) == (t->after.p == NULL) && gw_str_eq(t->before, t->after);
}

void cp_change_each(const struct cp_change *c,
		    void (*fn)(void *arg, enum gw_kind k, struct gw_str name, struct gw_str owner), void *arg)
{
	GW_CHECK(c, CP_CHANGE_MAGIC);
	for (size_t i = 0; i < c->n; i++) {
		const struct cp_touched *t = c->touched[i];
		fn(arg, t->kind, t->name, t->owner);
		if (t->owner_before.p != NULL && !gw_str_eq(t->owner, t->owner_before))
			fn(arg, t->kind, t->name, t->owner_before);
	}
}

static bool makes_revision(const struct cp_touched *t)
{
	return cp_kind_is_configuration(t->kind);
}

static const char *verb(const struct cp_touched *t)
{
	return t->before.p == NULL ? "create" : t->after.p == NULL ? "delete" : "update";
}

/* One sentence about what a revision changed. */
static struct gw_str summarise(struct cp_change *c, const struct cp_touched *only, size_t n)
{
	static const char *const done[] = { "created", "changed", "deleted" };
	size_t count[3] = { 0 };
	if (n == 1) {
		const char *what = done[only->before.p == NULL ? 0 : only->after.p == NULL ? 2 : 1];
		if (only->kind == GW_KIND_SETTINGS)
			return gw_arena_printf(c->arena, "settings %s", what);
		if (only->kind == GW_KIND_CREDENTIAL)
			return gw_arena_printf(c->arena, "key %.*s of consumer \"%.*s\" %s", GW_FMT(only->name),
					       GW_FMT(only->owner), what);
		return gw_arena_printf(c->arena, "%s \"%.*s\" %s", cp_kind_singular(only->kind), GW_FMT(only->name),
				       what);
	}
	for (size_t i = 0; i < c->n; i++) {
		const struct cp_touched *t = c->touched[i];
		if (!same(t) && makes_revision(t))
			count[t->before.p == NULL ? 0 : t->after.p == NULL ? 2 : 1]++;
	}
	return gw_arena_printf(c->arena, "%zu objects: %zu created, %zu changed, %zu deleted", n, count[0], count[1],
			       count[2]);
}

static enum gw_rc write_revision(struct cp_change *c, uint64_t revision, struct gw_error *err)
{
	const struct cp_touched *only = NULL;
	size_t n = 0;
	struct cp_sql q;
	for (size_t i = 0; i < c->n; i++) {
		if (!same(c->touched[i]) && makes_revision(c->touched[i])) {
			only = c->touched[i];
			n++;
		}
	}
	if (n == 0)
		return GW_OK;
	bool key = n == 1 && only->kind == GW_KIND_CREDENTIAL;
	cp_sql_open(&q, c->view.db, "INSERT INTO revisions (revision, at, actor, action, kind, name, summary)"
				    " VALUES (?, ?, ?, ?, ?, ?, ?)");
	cp_sql_int(&q, (int64_t)revision);
	cp_sql_int(&q, c->now_ms);
	cp_sql_text(&q, c->who.name);
	cp_sql_text(&q, gw_str_c(key ? "update" : c->action));
	cp_sql_text(&q, n > 1 ? GW_STR_NONE : gw_str_c(cp_kind_singular(key ? GW_KIND_CONSUMER : only->kind)));
	cp_sql_text(&q, n > 1 ? GW_STR_NONE : key ? only->owner : only->name);
	cp_sql_text(&q, summarise(c, only, n));
	enum gw_rc rc = cp_sql_close(&q, err);
	for (size_t i = 0, seq = 1; i < c->n && rc == GW_OK; i++) {
		const struct cp_touched *t = c->touched[i];
		if (same(t) || !makes_revision(t))
			continue;
		cp_sql_open(&q, c->view.db,
			    "INSERT INTO changes (revision, seq, kind, name, owner, ident_before, ident_after, before,"
			    " after) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)");
		cp_sql_int(&q, (int64_t)revision);
		cp_sql_int(&q, (int64_t)seq++);
		cp_sql_text(&q, gw_str_c(gw_kind_path(t->kind)));
		cp_sql_text(&q, t->name);
		cp_sql_text(&q, t->owner);
		cp_sql_text(&q, t->ident_before);
		cp_sql_text(&q, t->ident_after);
		cp_sql_text(&q, t->before);
		cp_sql_text(&q, t->after);
		rc = cp_sql_close(&q, err);
	}
	return rc;
}

static enum gw_rc write_audit(struct cp_change *c, uint64_t revision, struct gw_error *err)
{
	enum gw_rc rc = GW_OK;
	for (size_t i = 0; i < c->n && rc == GW_OK; i++) {
		const struct cp_touched *t = c->touched[i];
		if (same(t))
			continue;
		const char *kind = cp_kind_singular(t->kind);
		struct cp_audit_insert in = {
			.who = &c->who, .at_ms = c->now_ms, .revision = makes_revision(t) ? revision : 0,
			.action = gw_arena_printf(c->arena, "%s.%s", kind, verb(t)),
			.kind = gw_str_c(kind), .name = t->name, .outcome = GW_STR("ok"),
			.before = t->before, .after = t->after,
		};
		rc = cp_audit_insert(c->view.db, &in, err);
	}
	return rc;
}

enum gw_rc cp_change_commit(struct cp_change **change, uint64_t *revision, struct gw_error *err)
{
	struct cp_change *c = *change;
	GW_CHECK(c, CP_CHANGE_MAGIC);
	struct cp_store *s = c->view.store;
	bool any = false, moves = false;
	for (size_t i = 0; i < c->n; i++) {
		any = any || !same(c->touched[i]);
		moves = moves || (!same(c->touched[i]) && makes_revision(c->touched[i]));
	}
	*revision = c->view.revision;
	if (!any) {
		cp_change_abort(change);
		return GW_OK;
	}
	uint64_t next = c->view.revision + (moves ? 1 : 0);
	enum gw_rc rc = write_revision(c, next, err);
	if (rc == GW_OK)
		rc = write_audit(c, next, err);
	if (rc != GW_OK) {
		cp_write_failed(s, rc);
		cp_change_abort(change);
		return rc;
	}
	if (moves)
		atomic_store(&s->revision, next); /* readers of the number may run ahead of readers of the rows, never behind */
	rc = cp_write_commit(s, err);
	if (rc != GW_OK) {
		atomic_store(&s->revision, c->view.revision);
		change_free(change);
		return rc;
	}
	change_free(change);
	*revision = next;
	if (moves && s->wake != NULL)
		s->wake(s->wake_arg, next);
	return GW_OK;
}
