/*
 * audit_rows.c - the append-only, hash-chained log of who did what.
 *
 * hash(n) = SHA-256(hash(n-1) | canonical JSON of row n), hash(0) = 64 zeros.  Whoever changes or removes a row in the
 * file breaks every hash behind it; cp_audit_verify() finds the place.
 */
#include "store/sql.h"

#include "base/bytes.h"
#include "base/str.h"
#include "base/time.h"

#define MAX_ROW (16u << 20)
#define COLUMNS "id, at, actor_type, actor, role, address, action, kind, name, outcome, request_id, before, after, hash, revision"

static void row_hash(char out[65], struct gw_str previous, const struct cp_audit_row *r)
{
	struct gw_buf text;
	uint8_t digest[32];
	json_t *o = json_object();
	const struct { const char *name; struct gw_str value; } texts[] = {
		{ "actor_type", r->actor_type }, { "actor", r->actor }, { "role", r->role }, { "address", r->address },
		{ "action", r->action }, { "kind", r->kind }, { "name", r->name }, { "outcome", r->outcome },
		{ "request_id", r->request_id }, { "before", r->before }, { "after", r->after },
	};
	for (size_t i = 0; i < GW_COUNT(texts); i++)
		if (texts[i].value.p != NULL)
			gw_json_set_str(o, texts[i].name, texts[i].value);
	json_object_set_new(o, "id", json_integer(r->id));
	json_object_set_new(o, "at", json_integer(r->at_ms));
	json_object_set_new(o, "revision", json_integer((json_int_t)r->revision));
	gw_buf_init(&text, MAX_ROW);
	gw_buf_add(&text, previous);
	enum gw_rc rc = gw_json_write(&text, o, true);
	assert(rc == GW_OK && !text.full);
	(void)rc;
	gw_sha256(digest, gw_buf_str(&text));
	gw_hex(out, digest, sizeof digest);
	gw_buf_fini(&text);
	json_decref(o);
}

static const char genesis[] = "0000000000000000000000000000000000000000000000000000000000000000";

/* A stored specification as the audit shows it: masked, as text in `out`.  Absent stays absent. */
static struct gw_str masked_text(struct gw_str spec, struct gw_buf *out)
{
	json_t *v = NULL;
	if (spec.p == NULL)
		return GW_STR_NONE;
	if (gw_json_parse(&v, spec, MAX_ROW, NULL) != GW_OK)
		return GW_STR("{}");
	json_t *m = cp_masked(v);
	enum gw_rc rc = gw_json_write(out, m, true);
	json_decref(m);
	json_decref(v);
	return rc == GW_OK ? gw_buf_str(out) : GW_STR("{}");
}

static enum gw_rc insert_row(sqlite3 *db, const struct cp_audit_row *r, struct gw_error *err)
{
	struct cp_sql q;
	cp_sql_open(&q, db, "INSERT INTO audit (" COLUMNS ") VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, nullif(?, 0))");
	cp_sql_int(&q, r->id);
	cp_sql_int(&q, r->at_ms);
	const struct gw_str texts[] = { r->actor_type, r->actor, r->role, r->address, r->action, r->kind, r->name,
					r->outcome, r->request_id, r->before, r->after, r->hash };
	for (size_t i = 0; i < GW_COUNT(texts); i++)
		cp_sql_text(&q, texts[i]);
	cp_sql_int(&q, (int64_t)r->revision);
	return cp_sql_close(&q, err);
}

enum gw_rc cp_audit_insert(sqlite3 *db, const struct cp_audit_insert *in, struct gw_error *err)
{
	struct cp_sql q;
	struct gw_buf before, after;
	char previous[65], hash[65];
	int64_t last = 0;
	memcpy(previous, genesis, sizeof previous);
	cp_sql_open(&q, db, "SELECT id, hash FROM audit ORDER BY id DESC LIMIT 1");
	if (cp_sql_row(&q)) {
		last = cp_col_int(&q, 0);
		struct gw_str h = cp_col_text(&q, 1);
		if (h.n == 64)
			memcpy(previous, h.p, 64);
	}
	enum gw_rc rc = cp_sql_close(&q, err);
	if (rc != GW_OK)
		return rc;
	gw_buf_init(&before, MAX_ROW);
	gw_buf_init(&after, MAX_ROW);
	struct cp_audit_row r = {
		.id = last + 1, .at_ms = in->at_ms, .actor_type = gw_str_c(cp_actor_name(in->who->type)),
		.actor = in->who->name, .role = in->who->role, .address = in->who->address,
		.request_id = in->who->request_id, .action = in->action, .kind = in->kind, .name = in->name,
		.outcome = in->outcome, .revision = in->revision,
		.before = masked_text(in->before, &before), .after = masked_text(in->after, &after),
	};
	row_hash(hash, gw_str_c(previous), &r);
	r.hash = gw_str_c(hash);
	rc = insert_row(db, &r, err);
	gw_buf_fini(&before);
	gw_buf_fini(&after);
	return rc;
}

enum gw_rc cp_audit_add(struct cp_store *s, const struct cp_actor *who, const struct cp_audit_note *n,
			struct gw_error *err)
{
	enum gw_rc rc = cp_write_begin(s, err);
	if (rc != GW_OK)
		return rc;
	struct cp_audit_insert in = {
		.who = who, .at_ms = gw_now_ms(), .action = gw_str_c(n->action), .kind = n->kind, .name = n->name,
		.outcome = gw_str_c(n->outcome), .after = n->detail,
	};
	rc = cp_audit_insert(s->writer, &in, err);
	return cp_write_end(s, rc, err);
}

static void read_row(struct cp_sql *q, struct cp_audit_row *r)
{
	*r = (struct cp_audit_row){
		.id = cp_col_int(q, 0), .at_ms = cp_col_int(q, 1), .actor_type = cp_col_text(q, 2),
		.actor = cp_col_text(q, 3), .role = cp_col_text(q, 4), .address = cp_col_text(q, 5),
		.action = cp_col_text(q, 6), .kind = cp_col_text(q, 7), .name = cp_col_text(q, 8),
		.outcome = cp_col_text(q, 9), .request_id = cp_col_text(q, 10), .before = cp_col_text(q, 11),
		.after = cp_col_text(q, 12), .hash = cp_col_text(q, 13), .revision = (uint64_t)cp_col_int(q, 14),
	};
}

enum gw_rc cp_audit_each(struct cp_txn *t, const struct cp_audit_filter *f, int64_t before_id,
			 bool (*row)(void *arg, const struct cp_audit_row *r), void *arg, struct gw_error *err)
{
	GW_CHECK(t, CP_TXN_MAGIC);
	struct cp_sql q;
	struct cp_audit_row r;
	cp_sql_open(&q, t->db,
		    "SELECT " COLUMNS " FROM audit WHERE id < ?1 AND (?2 IS NULL OR actor = ?2)"
		    " AND (?3 IS NULL OR kind = ?3) AND (?4 IS NULL OR name = ?4) AND at >= ?5 AND at < ?6"
		    " AND (?7 IS NULL OR instr(lower(coalesce(name, '')), lower(?7)) OR instr(action, lower(?7))"
		    "      OR instr(lower(actor), lower(?7)))"
		    " ORDER BY id DESC");
	cp_sql_int(&q, before_id > 0 ? before_id : INT64_MAX);
	cp_sql_text(&q, f->actor);
	cp_sql_text(&q, f->kind);
	cp_sql_text(&q, f->name);
	cp_sql_int(&q, f->from_ms);
	cp_sql_int(&q, f->to_ms > 0 ? f->to_ms : INT64_MAX);
	cp_sql_text(&q, f->q);
	while (cp_sql_row(&q)) {
		read_row(&q, &r);
		if (!row(arg, &r))
			break;
	}
	return cp_sql_close(&q, err);
}

enum gw_rc cp_audit_get(struct cp_txn *t, int64_t id, struct gw_arena *a, struct cp_audit_row *out,
			struct gw_error *err)
{
	GW_CHECK(t, CP_TXN_MAGIC);
	struct cp_sql q;
	cp_sql_open(&q, t->db, "SELECT " COLUMNS " FROM audit WHERE id = ?");
	cp_sql_int(&q, id);
	bool found = cp_sql_row(&q);
	if (found) {
		read_row(&q, out);
		struct gw_str *texts[] = { &out->actor_type, &out->actor, &out->role, &out->address, &out->action,
					   &out->kind, &out->name, &out->outcome, &out->request_id, &out->before,
					   &out->after, &out->hash };
		for (size_t i = 0; i < GW_COUNT(texts); i++)
			if (texts[i]->p != NULL)
				*texts[i] = gw_arena_copy(a, *texts[i]);
	}
	enum gw_rc rc = cp_sql_close(&q, err);
	if (rc == GW_OK && !found)
		return gw_fail(err, GW_NOTFOUND, NULL, "audit entry %lld does not exist", (long long)id);
	return rc;
}

enum gw_rc cp_audit_verify(struct cp_txn *t, int64_t *rows, struct gw_error *err)
{
	GW_CHECK(t, CP_TXN_MAGIC);
	struct cp_sql q;
	struct cp_audit_row r;
	char previous[65], hash[65];
	int64_t broken = 0, next = 1;
	memcpy(previous, genesis, sizeof previous);
	cp_sql_open(&q, t->db, "SELECT " COLUMNS " FROM audit ORDER BY id");
	while (broken == 0 && cp_sql_row(&q)) {
		read_row(&q, &r);
		row_hash(hash, gw_str_c(previous), &r);
		if (r.id != next || !gw_str_is(r.hash, hash))
			broken = next;
		memcpy(previous, hash, sizeof previous);
		next = r.id + 1;
	}
	enum gw_rc rc = cp_sql_close(&q, err);
	*rows = next - 1;
	if (rc == GW_OK && broken != 0)
		return gw_fail(err, GW_INVALID, NULL, "the audit chain is broken at entry %lld", (long long)broken);
	return rc;
}
