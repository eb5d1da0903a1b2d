/* objects.c - get, list, put and delete of objects; every write is remembered for revision and audit. */
#include "store/sql.h"

#include "base/str.h"

#define COLUMNS "name, owner, ident, spec, etag, created_at, updated_at"

static struct gw_str keep(struct gw_arena *a, struct gw_str s)
{
	return a == NULL || s.p == NULL ? s : gw_arena_copy(a, s);
}

/* With an arena the texts outlive the statement, without they are borrowed from the row. */
static void read_row(struct cp_sql *q, enum gw_kind k, struct gw_arena *a, struct cp_record *out)
{
	*out = (struct cp_record){
		.kind = k,
		.name = keep(a, cp_col_text(q, 0)),
		.owner = keep(a, cp_col_text(q, 1)),
		.ident = keep(a, cp_col_text(q, 2)),
		.spec = keep(a, cp_col_text(q, 3)),
		.etag = (uint64_t)cp_col_int(q, 4),
		.created_at_ms = cp_col_int(q, 5),
		.updated_at_ms = cp_col_int(q, 6),
	};
}

static enum gw_rc get_one(struct cp_txn *t, const char *sql, enum gw_kind k, struct gw_str key, struct gw_arena *a,
			  struct cp_record *out, struct gw_error *err)
{
	GW_CHECK(t, CP_TXN_MAGIC);
	struct cp_sql q;
	cp_sql_open(&q, t->db, sql);
	cp_sql_text(&q, gw_str_c(gw_kind_path(k)));
	cp_sql_text(&q, key);
	bool found = cp_sql_row(&q);
	if (found)
		read_row(&q, k, a, out);
	enum gw_rc rc = cp_sql_close(&q, err);
	if (rc == GW_OK && !found)
		return gw_fail(err, GW_NOTFOUND, NULL, "%s \"%.*s\" does not exist", cp_kind_singular(k), GW_FMT(key));
	return rc;
}

enum gw_rc cp_get(struct cp_txn *t, enum gw_kind k, struct gw_str name, struct gw_arena *a, struct cp_record *out,
		  struct gw_error *err)
{
	assert(a != NULL);
	return get_one(t, "SELECT " COLUMNS " FROM objects WHERE kind = ? AND name = ?", k, name, a, out, err);
}

enum gw_rc cp_get_ident(struct cp_txn *t, enum gw_kind k, struct gw_str ident, struct gw_arena *a,
			struct cp_record *out, struct gw_error *err)
{
	assert(a != NULL);
	enum gw_rc rc = get_one(t, "SELECT " COLUMNS " FROM objects WHERE kind = ? AND ident = ?", k, ident, a, out,
				NULL);
	if (rc != GW_OK)
		return gw_fail(err, rc, NULL, "no such %s", cp_kind_singular(k));
	return rc;
}

enum gw_rc cp_each(struct cp_txn *t, enum gw_kind k, struct gw_str owner,
		   bool (*row)(void *arg, const struct cp_record *r), void *arg, struct gw_error *err)
{
	GW_CHECK(t, CP_TXN_MAGIC);
	struct cp_sql q;
	struct cp_record r;
	if (owner.p != NULL)
		cp_sql_open(&q, t->db, "SELECT " COLUMNS " FROM objects WHERE kind = ? AND owner = ? ORDER BY name");
	else
		cp_sql_open(&q, t->db, "SELECT " COLUMNS " FROM objects WHERE kind = ? ORDER BY name");
	cp_sql_text(&q, gw_str_c(gw_kind_path(k)));
	if (owner.p != NULL)
		cp_sql_text(&q, owner);
	while (cp_sql_row(&q)) {
		read_row(&q, k, NULL, &r);
		if (!row(arg, &r))
			break;
	}
	return cp_sql_close(&q, err);
}

enum gw_rc cp_count(struct cp_txn *t, enum gw_kind k, int64_t *out, struct gw_error *err)
{
	GW_CHECK(t, CP_TXN_MAGIC);
	struct cp_sql q;
	cp_sql_open(&q, t->db, "SELECT count(*) FROM objects WHERE kind = ?");
	cp_sql_text(&q, gw_str_c(gw_kind_path(k)));
	*out = cp_sql_row(&q) ? cp_col_int(&q, 0) : 0;
	return cp_sql_close(&q, err);
}

/* ---- writing ---- */

static struct cp_touched *touch(struct cp_change *c, enum gw_kind k, struct gw_str name, const struct cp_record *before)
{
	struct gw_arena *a = c->arena;
	struct gw_str key = gw_arena_printf(a, "%s/%.*s", gw_kind_path(k), GW_FMT(name));
	struct cp_touched *t = gw_map_get(c->by_name, key);
	if (t != NULL)
		return t;
	t = gw_arena_alloc(a, sizeof *t);
	t->kind = k;
	t->name = gw_arena_copy(a, name);
	if (before != NULL) {
		t->before = before->spec;
		t->ident_before = before->ident;
		t->owner = t->owner_before = before->owner;
	}
	gw_map_put(c->by_name, key, t);
	if (c->n == c->cap) {
		c->cap = c->cap ? 2 * c->cap : 8;
		c->touched = gw_realloc(c->touched, c->cap * sizeof *c->touched);
	}
	c->touched[c->n++] = t;
	return t;
}

/* The object as it is now, when `if_match` agrees. */
static enum gw_rc admit(struct cp_change *c, enum gw_kind k, struct gw_str name, uint64_t if_match,
			struct cp_record *old, bool *exists, struct gw_error *err)
{
	GW_CHECK(c, CP_CHANGE_MAGIC);
	enum gw_rc rc = cp_get(&c->view, k, name, c->arena, old, err);
	*exists = rc == GW_OK;
	if (rc != GW_OK && rc != GW_NOTFOUND)
		return rc;
	if (*exists && if_match == CP_MUST_BE_NEW)
		return gw_fail(err, GW_EXISTS, "/name", "%s \"%.*s\" exists already", cp_kind_singular(k), GW_FMT(name));
	if (if_match != CP_ANY && if_match != CP_MUST_BE_NEW && (!*exists || old->etag != if_match))
		return gw_fail(err, GW_CONFLICT, NULL, "%s \"%.*s\" has changed since: read it again",
			       cp_kind_singular(k), GW_FMT(name));
	return GW_OK;
}

enum gw_rc cp_put(struct cp_change *c, const struct cp_record *r, uint64_t if_match, struct gw_error *err)
{
	struct cp_record old = { 0 };
	struct cp_sql q;
	bool exists;
	enum gw_rc rc = admit(c, r->kind, r->name, if_match, &old, &exists, err);
	if (rc != GW_OK)
		return rc;
	if (exists && gw_str_eq(old.spec, r->spec) && gw_str_eq(old.ident, r->ident))
		return GW_OK;
	bool moves = cp_kind_is_configuration(r->kind);
	cp_sql_open(&q, c->view.db,
		    "INSERT INTO objects (kind, name, owner, ident, spec, etag, created_at, updated_at)"
		    " VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (kind, name) DO UPDATE SET ident = excluded.ident,"
		    " spec = excluded.spec, etag = excluded.etag, updated_at = excluded.updated_at");
	cp_sql_text(&q, gw_str_c(gw_kind_path(r->kind)));
	cp_sql_text(&q, r->name);
	cp_sql_text(&q, r->owner);
	cp_sql_text(&q, r->ident);
	cp_sql_text(&q, r->spec);
	cp_sql_int(&q, (int64_t)(moves ? c->view.revision + 1 : old.etag + 1));
	cp_sql_int(&q, exists ? old.created_at_ms : c->now_ms);
	cp_sql_int(&q, c->now_ms);
	rc = cp_sql_close(&q, err);
	if (rc == GW_EXISTS)
		return gw_fail(err, GW_EXISTS, "/ident", "another %s has this value already", cp_kind_singular(r->kind));
	if (rc != GW_OK)
		return cp_write_failed(c->view.store, rc);
	struct cp_touched *t = touch(c, r->kind, r->name, exists ? &old : NULL);
	t->after = gw_arena_copy(c->arena, r->spec);
	t->ident_after = keep(c->arena, r->ident);
	if (!exists)
		t->owner = keep(c->arena, r->owner);
	return GW_OK;
}

enum gw_rc cp_del(struct cp_change *c, enum gw_kind k, struct gw_str name, uint64_t if_match, struct gw_error *err)
{
	struct cp_record old = { 0 };
	struct cp_sql q;
	bool exists;
	enum gw_rc rc = admit(c, k, name, if_match, &old, &exists, err);
	if (rc != GW_OK)
		return rc;
	if (!exists)
		return gw_fail(err, GW_NOTFOUND, NULL, "%s \"%.*s\" does not exist", cp_kind_singular(k), GW_FMT(name));
	cp_sql_open(&q, c->view.db, "DELETE FROM objects WHERE kind = ? AND name = ?");
	cp_sql_text(&q, gw_str_c(gw_kind_path(k)));
	cp_sql_text(&q, name);
	rc = cp_sql_close(&q, err);
	if (rc != GW_OK)
		return cp_write_failed(c->view.store, rc);
	struct cp_touched *t = touch(c, k, name, &old);
	t->after = t->ident_after = GW_STR_NONE;
	return GW_OK;
}
