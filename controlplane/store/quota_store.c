/* quota_store.c - the books of quotas. */
#include "store/quota_store.h"

#include <stdio.h>

#include "base/str.h"
#include "base/time.h"
#include "store/sql.h"

#define MOST ((int64_t)1 << 50)

static enum gw_rc read_sums(sqlite3 *db, struct gw_str quota, int64_t from_ms, struct cp_quota_sums *out, struct gw_error *err)
{
	struct cp_sql q;
	*out = (struct cp_quota_sums){ 0 };
	cp_sql_open(&q, db, "SELECT used, adjusted, told FROM quota_periods WHERE quota = ? AND from_ms = ?");
	cp_sql_text(&q, quota);
	cp_sql_int(&q, from_ms);
	if (cp_sql_row(&q))
		*out = (struct cp_quota_sums){ cp_col_int(&q, 0), cp_col_int(&q, 1), cp_col_int(&q, 2) };
	return cp_sql_close(&q, err);
}

enum gw_rc cp_quota_get(struct cp_txn *t, struct gw_str quota, int64_t from_ms, struct cp_quota_sums *out, struct gw_error *err)
{
	return read_sums(t->db, quota, from_ms, out, err);
}

/* ---- the book ---- */

enum gw_rc cp_quota_entries_each(struct cp_txn *t, struct gw_str quota, int64_t since_ms, int64_t before_id,
				 bool (*row)(void *arg, const struct cp_quota_entry *e), void *arg, struct gw_error *err)
{
	struct cp_sql q;
	cp_sql_open(&q, t->db, "SELECT id, at, from_ms, amount, balance, actor, kind, reason FROM quota_entries WHERE quota = ?1"
			       " AND (?2 = 0 OR id < ?2) AND from_ms >= ?3 ORDER BY id DESC");
	cp_sql_text(&q, quota);
	cp_sql_int(&q, before_id);
	cp_sql_int(&q, since_ms);
	while (cp_sql_row(&q)) {
		struct cp_quota_entry e = {
			.id = cp_col_int(&q, 0), .at_ms = cp_col_int(&q, 1), .from_ms = cp_col_int(&q, 2), .amount = cp_col_int(&q, 3),
			.balance = cp_col_int(&q, 4), .quota = quota, .actor = cp_col_text(&q, 5), .kind = cp_col_text(&q, 6),
			.reason = cp_col_text(&q, 7),
		};
		if (!row(arg, &e))
			break;
	}
	return cp_sql_close(&q, err);
}

enum gw_rc cp_quota_entries_count(struct cp_txn *t, struct gw_str quota, int64_t since_ms, int64_t *n, struct gw_error *err)
{
	struct cp_sql q;
	cp_sql_open(&q, t->db, "SELECT count(*) FROM quota_entries WHERE quota = ? AND from_ms >= ?");
	cp_sql_text(&q, quota);
	cp_sql_int(&q, since_ms);
	*n = cp_sql_row(&q) ? cp_col_int(&q, 0) : 0;
	return cp_sql_close(&q, err);
}

static enum gw_rc add_entry(sqlite3 *db, const struct cp_quota_entry *e, struct gw_error *err)
{
	struct cp_sql q;
	cp_sql_open(&q, db, "INSERT INTO quota_entries (quota, from_ms, at, actor, kind, amount, reason, balance) VALUES (?, ?, ?, ?, ?, ?, ?, ?)");
	cp_sql_text(&q, e->quota);
	cp_sql_int(&q, e->from_ms);
	cp_sql_int(&q, e->at_ms);
	cp_sql_text(&q, e->actor);
	cp_sql_text(&q, e->kind);
	cp_sql_int(&q, e->amount);
	cp_sql_text(&q, e->reason);
	cp_sql_int(&q, e->balance);
	return cp_sql_close(&q, err);
}

/* `told` falls back, so that what is reached again is told again. */
static enum gw_rc put_adjusted(sqlite3 *db, struct gw_str quota, int64_t from_ms, int64_t delta, struct gw_error *err)
{
	struct cp_sql q;
	cp_sql_open(&q, db, "INSERT INTO quota_periods (quota, from_ms, used, adjusted, told) VALUES (?1, ?2, 0, ?3, 0)"
			    " ON CONFLICT (quota, from_ms) DO UPDATE SET adjusted = adjusted + ?3, told = iif(?3 > 0, 0, told)");
	cp_sql_text(&q, quota);
	cp_sql_int(&q, from_ms);
	cp_sql_int(&q, delta);
	return cp_sql_close(&q, err);
}

static enum gw_rc audit(sqlite3 *db, const struct cp_actor *who, const struct cp_quota_entry *e, struct gw_error *err)
{
	struct gw_buf b;
	gw_buf_init(&b, 8192);
	gw_buf_printf(&b, "{\"amount\":%lld,\"left\":%lld,\"reason\":", (long long)e->amount, (long long)e->balance);
	gw_buf_add_json(&b, e->reason);
	gw_buf_add_byte(&b, '}');
	const struct cp_audit_insert in = {
		.who = who, .at_ms = e->at_ms, .revision = cp_revision_read(db),
		.action = gw_str_is(e->kind, "add") ? GW_STR("quota.add") : gw_str_is(e->kind, "subtract") ? GW_STR("quota.subtract")
													  : GW_STR("quota.refresh"),
		.kind = gw_str_c(cp_kind_singular(GW_KIND_QUOTA)), .name = e->quota, .outcome = GW_STR("ok"), .after = gw_buf_str(&b),
	};
	enum gw_rc rc = cp_audit_insert(db, &in, err);
	gw_buf_fini(&b);
	return rc;
}

enum gw_rc cp_quota_adjust(struct cp_store *s, const struct cp_actor *who, struct gw_str quota, int64_t from_ms, int64_t limit,
			   enum cp_quota_change how, int64_t amount, struct gw_str reason, struct gw_error *err)
{
	static const char *const kinds[] = { "add", "subtract", "refresh" };
	struct cp_quota_sums now;
	enum gw_rc rc = cp_write_begin(s, err);
	if (rc != GW_OK)
		return rc;
	rc = read_sums(s->writer, quota, from_ms, &now, err);
	int64_t left = limit + now.adjusted - now.used;
	int64_t delta = how == CP_QUOTA_ADD ? amount : how == CP_QUOTA_SUBTRACT ? -amount : amount - left;
	if (rc == GW_OK && (now.adjusted + delta > MOST || now.adjusted + delta < -MOST))
		rc = gw_fail(err, GW_INVALID, "/amount", "that is more than a quota can hold");
	struct cp_quota_entry e = { .quota = quota, .from_ms = from_ms, .at_ms = gw_now_ms(), .actor = who->name, .kind = gw_str_c(kinds[how]),
				    .amount = delta, .reason = reason, .balance = left + delta };
	if (rc == GW_OK)
		rc = put_adjusted(s->writer, quota, from_ms, delta, err);
	if (rc == GW_OK)
		rc = add_entry(s->writer, &e, err);
	if (rc == GW_OK)
		rc = audit(s->writer, who, &e, err);
	return cp_write_end(s, rc, err);
}

enum gw_rc cp_quota_tell(struct cp_store *s, struct gw_str quota, int64_t from_ms, int64_t told, int64_t percent, bool exhausted, int64_t left,
			 struct gw_error *err)
{
	char text[80];
	struct cp_sql q;
	enum gw_rc rc = cp_write_begin(s, err);
	if (rc != GW_OK)
		return rc;
	cp_sql_open(&q, s->writer, "UPDATE quota_periods SET told = ?3 WHERE quota = ?1 AND from_ms = ?2");
	cp_sql_text(&q, quota);
	cp_sql_int(&q, from_ms);
	cp_sql_int(&q, told);
	rc = cp_sql_close(&q, err);
	snprintf(text, sizeof text, exhausted ? "used up" : "%lld per cent of it are used", (long long)percent);
	struct cp_quota_entry e = { .quota = quota, .from_ms = from_ms, .at_ms = gw_now_ms(), .actor = GW_STR("system"),
				    .kind = exhausted ? GW_STR("exhausted") : GW_STR("threshold"), .amount = percent, .reason = gw_str_c(text),
				    .balance = left };
	if (rc == GW_OK)
		rc = add_entry(s->writer, &e, err);
	return cp_write_end(s, rc, err);
}

/* ---- shares ---- */

static enum gw_rc each_share(struct cp_sql *q, bool (*row)(void *arg, const struct cp_quota_share *s), void *arg, struct gw_error *err)
{
	while (cp_sql_row(q)) {
		struct cp_quota_share s = { .quota = cp_col_text(q, 0), .from_ms = cp_col_int(q, 1), .boot_id = cp_col_text(q, 2),
					    .node = cp_col_text(q, 3), .ceiling = cp_col_int(q, 4), .used = cp_col_int(q, 5) };
		if (!row(arg, &s))
			break;
	}
	return cp_sql_close(q, err);
}

enum gw_rc cp_quota_shares_each(struct cp_txn *t, bool (*row)(void *arg, const struct cp_quota_share *s), void *arg,
				struct gw_error *err)
{
	struct cp_sql q;
	cp_sql_open(&q, t->db, "SELECT quota, from_ms, boot_id, node, ceiling, used FROM quota_shares WHERE ceiling > 0"
			       " ORDER BY quota, from_ms, boot_id");
	return each_share(&q, row, arg, err);
}

enum gw_rc cp_quota_shares_of(struct cp_txn *t, struct gw_str quota, int64_t from_ms,
			      bool (*row)(void *arg, const struct cp_quota_share *s), void *arg, struct gw_error *err)
{
	struct cp_sql q;
	cp_sql_open(&q, t->db, "SELECT quota, from_ms, boot_id, node, ceiling, used FROM quota_shares WHERE quota = ? AND from_ms = ?"
			       " AND ceiling > 0 ORDER BY boot_id");
	cp_sql_text(&q, quota);
	cp_sql_int(&q, from_ms);
	return each_share(&q, row, arg, err);
}

enum gw_rc cp_quota_shares_put(struct cp_store *s, const struct cp_quota_share *v, size_t n, struct gw_error *err)
{
	struct cp_sql q;
	enum gw_rc rc = cp_write_begin(s, err);
	if (rc != GW_OK)
		return rc;
	cp_sql_open(&q, s->writer, "INSERT INTO quota_shares (quota, from_ms, boot_id, node, ceiling, used) VALUES (?1, ?2, ?3, ?4, ?5, ?6)"
				   " ON CONFLICT (quota, from_ms, boot_id) DO UPDATE SET ceiling = ?5, node = ?4, used = ?6");
	for (size_t i = 0; i < n && rc == GW_OK; i++) {
		cp_sql_text(&q, v[i].quota);
		cp_sql_int(&q, v[i].from_ms);
		cp_sql_text(&q, v[i].boot_id);
		cp_sql_text(&q, v[i].node);
		cp_sql_int(&q, v[i].ceiling);
		cp_sql_int(&q, v[i].used);
		rc = cp_sql_again(&q, err);
	}
	sqlite3_finalize(q.st);
	return cp_write_end(s, rc, err);
}

enum gw_rc cp_quota_shares_drop(struct cp_store *s, struct gw_str quota, int64_t before_ms, struct gw_error *err)
{
	struct cp_sql q;
	enum gw_rc rc = cp_write_begin(s, err);
	if (rc != GW_OK)
		return rc;
	cp_sql_open(&q, s->writer, "DELETE FROM quota_shares WHERE quota = ? AND from_ms < ?");
	cp_sql_text(&q, quota);
	cp_sql_int(&q, before_ms);
	return cp_write_end(s, cp_sql_close(&q, err), err);
}
