/* facts.c - what changes often and is no configuration: meta, sessions, last uses, workers. */
#include "store/sql.h"

#include "base/str.h"

enum gw_rc cp_meta_get(struct cp_store *s, const char *name, struct gw_arena *a, struct gw_str *out,
		       struct gw_error *err)
{
	struct cp_txn *t = NULL;
	struct cp_sql q;
	*out = GW_STR_NONE;
	enum gw_rc rc = cp_txn_begin(&t, s, err);
	if (rc != GW_OK)
		return rc;
	cp_sql_open(&q, t->db, "SELECT value FROM meta WHERE name = ?");
	cp_sql_text(&q, gw_str_c(name));
	if (cp_sql_row(&q))
		*out = gw_arena_copy(a, cp_col_text(&q, 0));
	rc = cp_sql_close(&q, err);
	cp_txn_end(&t);
	if (rc == GW_OK && out->p == NULL)
		return gw_fail(err, GW_NOTFOUND, NULL, "the database holds no \"%s\"", name);
	return rc;
}

enum gw_rc cp_meta_put(struct cp_store *s, const char *name, struct gw_str value, struct gw_error *err)
{
	struct cp_sql q;
	enum gw_rc rc = cp_write_begin(s, err);
	if (rc != GW_OK)
		return rc;
	cp_sql_open(&q, s->writer, "INSERT INTO meta (name, value) VALUES (?, ?)"
				   " ON CONFLICT (name) DO UPDATE SET value = excluded.value");
	cp_sql_text(&q, gw_str_c(name));
	cp_sql_text(&q, value);
	return cp_write_end(s, cp_sql_close(&q, err), err);
}

/* ---- sessions ---- */

enum gw_rc cp_session_put(struct cp_store *s, const struct cp_session_row *r, struct gw_error *err)
{
	struct cp_sql q;
	enum gw_rc rc = cp_write_begin(s, err);
	if (rc != GW_OK)
		return rc;
	cp_sql_open(&q, s->writer, "INSERT INTO sessions (hash, user, address, created_at, seen_at, expires_at)"
				   " VALUES (?, ?, ?, ?, ?, ?)");
	cp_sql_blob(&q, r->hash, sizeof r->hash);
	cp_sql_text(&q, r->user);
	cp_sql_text(&q, r->address);
	cp_sql_int(&q, r->created_at_ms);
	cp_sql_int(&q, r->seen_at_ms);
	cp_sql_int(&q, r->expires_at_ms);
	return cp_write_end(s, cp_sql_close(&q, err), err);
}

enum gw_rc cp_session_get(struct cp_txn *t, const uint8_t hash[32], struct gw_arena *a, struct cp_session_row *out,
			  struct gw_error *err)
{
	struct cp_sql q;
	cp_sql_open(&q, t->db, "SELECT user, address, created_at, seen_at, expires_at FROM sessions WHERE hash = ?");
	cp_sql_blob(&q, hash, 32);
	bool found = cp_sql_row(&q);
	if (found) {
		memcpy(out->hash, hash, 32);
		out->user = gw_arena_copy(a, cp_col_text(&q, 0));
		struct gw_str address = cp_col_text(&q, 1);
		out->address = address.p == NULL ? address : gw_arena_copy(a, address);
		out->created_at_ms = cp_col_int(&q, 2);
		out->seen_at_ms = cp_col_int(&q, 3);
		out->expires_at_ms = cp_col_int(&q, 4);
	}
	enum gw_rc rc = cp_sql_close(&q, err);
	if (rc == GW_OK && !found)
		return gw_fail(err, GW_NOTFOUND, NULL, "no such session");
	return rc;
}

enum gw_rc cp_session_touch(struct cp_store *s, const uint8_t hash[32], int64_t now_ms, struct gw_error *err)
{
	struct cp_sql q;
	enum gw_rc rc = cp_write_begin(s, err);
	if (rc != GW_OK)
		return rc;
	cp_sql_open(&q, s->writer, "UPDATE sessions SET seen_at = ? WHERE hash = ?");
	cp_sql_int(&q, now_ms);
	cp_sql_blob(&q, hash, 32);
	return cp_write_end(s, cp_sql_close(&q, err), err);
}

enum gw_rc cp_session_del(struct cp_store *s, const uint8_t *hash, struct gw_str user, const uint8_t *except,
			  struct gw_error *err)
{
	struct cp_sql q;
	enum gw_rc rc = cp_write_begin(s, err);
	if (rc != GW_OK)
		return rc;
	if (hash != NULL) {
		cp_sql_open(&q, s->writer, "DELETE FROM sessions WHERE hash = ?");
		cp_sql_blob(&q, hash, 32);
	} else {
		cp_sql_open(&q, s->writer, "DELETE FROM sessions WHERE user = ? AND hash IS NOT ?");
		cp_sql_text(&q, user);
		cp_sql_blob(&q, except, except != NULL ? 32 : 0);
	}
	return cp_write_end(s, cp_sql_close(&q, err), err);
}

enum gw_rc cp_session_sweep(struct cp_store *s, int64_t now_ms, int64_t idle_ms, struct gw_error *err)
{
	struct cp_sql q;
	enum gw_rc rc = cp_write_begin(s, err);
	if (rc != GW_OK)
		return rc;
	cp_sql_open(&q, s->writer, "DELETE FROM sessions WHERE expires_at <= ? OR seen_at <= ?");
	cp_sql_int(&q, now_ms);
	cp_sql_int(&q, now_ms - idle_ms);
	return cp_write_end(s, cp_sql_close(&q, err), err);
}

/* ---- uses ---- */

enum gw_rc cp_use_add(struct cp_store *s, enum gw_kind k, struct gw_str name, int64_t at_ms, struct gw_error *err)
{
	struct cp_sql q;
	enum gw_rc rc = cp_write_begin(s, err);
	if (rc != GW_OK)
		return rc;
	cp_sql_open(&q, s->writer, "INSERT INTO uses (kind, name, last_at, count) VALUES (?, ?, ?, 1) ON CONFLICT (kind, name)"
				   " DO UPDATE SET last_at = max(last_at, excluded.last_at), count = count + 1");
	cp_sql_text(&q, gw_str_c(gw_kind_path(k)));
	cp_sql_text(&q, name);
	cp_sql_int(&q, at_ms);
	return cp_write_end(s, cp_sql_close(&q, err), err);
}

enum gw_rc cp_use_get(struct cp_txn *t, enum gw_kind k, struct gw_str name, int64_t *last_ms, int64_t *count,
		      struct gw_error *err)
{
	struct cp_sql q;
	*last_ms = *count = 0;
	cp_sql_open(&q, t->db, "SELECT last_at, count FROM uses WHERE kind = ? AND name = ?");
	cp_sql_text(&q, gw_str_c(gw_kind_path(k)));
	cp_sql_text(&q, name);
	if (cp_sql_row(&q)) {
		*last_ms = cp_col_int(&q, 0);
		*count = cp_col_int(&q, 1);
	}
	return cp_sql_close(&q, err);
}

/* ---- workers ---- */

enum gw_rc cp_node_put(struct cp_store *s, const struct cp_node_row *r, struct gw_error *err)
{
	struct cp_sql q;
	enum gw_rc rc = cp_write_begin(s, err);
	if (rc != GW_OK)
		return rc;
	cp_sql_open(&q, s->writer,
		    "INSERT INTO nodes (id, name, version, address, listen, last_error, first_seen, last_seen,"
		    " started_at, revision) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (id) DO UPDATE SET"
		    " name = excluded.name, version = excluded.version, address = excluded.address,"
		    " listen = excluded.listen, last_error = excluded.last_error, last_seen = excluded.last_seen,"
		    " started_at = excluded.started_at, revision = excluded.revision");
	const struct gw_str texts[] = { r->id, r->name, r->version, r->address, r->listen, r->last_error };
	for (size_t i = 0; i < GW_COUNT(texts); i++)
		cp_sql_text(&q, texts[i]);
	cp_sql_int(&q, r->first_seen_ms);
	cp_sql_int(&q, r->last_seen_ms);
	cp_sql_int(&q, r->started_at_ms);
	cp_sql_int(&q, (int64_t)r->revision);
	return cp_write_end(s, cp_sql_close(&q, err), err);
}

enum gw_rc cp_node_del(struct cp_store *s, struct gw_str id, struct gw_error *err)
{
	struct cp_sql q;
	enum gw_rc rc = cp_write_begin(s, err);
	if (rc != GW_OK)
		return rc;
	cp_sql_open(&q, s->writer, "DELETE FROM nodes WHERE id = ?");
	cp_sql_text(&q, id);
	return cp_write_end(s, cp_sql_close(&q, err), err);
}

enum gw_rc cp_nodes_each(struct cp_txn *t, bool (*row)(void *arg, const struct cp_node_row *r), void *arg,
			 struct gw_error *err)
{
	struct cp_sql q;
	cp_sql_open(&q, t->db, "SELECT id, name, version, address, listen, last_error, first_seen, last_seen, started_at,"
			       " revision FROM nodes ORDER BY name, id");
	while (cp_sql_row(&q)) {
		struct cp_node_row r = {
			.id = cp_col_text(&q, 0), .name = cp_col_text(&q, 1), .version = cp_col_text(&q, 2),
			.address = cp_col_text(&q, 3), .listen = cp_col_text(&q, 4), .last_error = cp_col_text(&q, 5),
			.first_seen_ms = cp_col_int(&q, 6), .last_seen_ms = cp_col_int(&q, 7),
			.started_at_ms = cp_col_int(&q, 8), .revision = (uint64_t)cp_col_int(&q, 9),
		};
		if (!row(arg, &r))
			break;
	}
	return cp_sql_close(&q, err);
}
