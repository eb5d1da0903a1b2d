/* usage_store.c - the ledger: rows exactly once, sums in step with them. */
#include "store/usage_store.h"

#include <stdio.h>

#include "base/str.h"
#include "store/sql.h"

#define BUCKET_MS (5 * 60 * 1000LL)
#define TRIM_STEP 2000

static struct gw_str text_or_empty(struct gw_str s)
{
	return s.p != NULL ? s : GW_STR("");
}

static bool failed(const struct gw_usage_record *r)
{
	return r->status >= 400 || r->end_reason == GW_END_UPSTREAM_ERROR || r->end_reason == GW_END_TIMEOUT;
}

#define X_NAME(name) #name ", "
#define X_HOLE(name) "?, "

static enum gw_rc add_row(sqlite3 *db, struct gw_str node, struct gw_str boot_id, const struct gw_usage_record *r,
			  bool *fresh, struct gw_error *err)
{
	struct cp_sql q;
	cp_sql_open(&q, db, "INSERT OR IGNORE INTO requests (boot_id, node, " GW_USAGE_TEXTS(X_NAME) GW_USAGE_INTS(X_NAME)
			    "end_reason, usage_source) VALUES (?, ?, " GW_USAGE_TEXTS(X_HOLE) GW_USAGE_INTS(X_HOLE) "?, ?)");
	cp_sql_text(&q, boot_id);
	cp_sql_text(&q, text_or_empty(node));
#define X(name) cp_sql_text(&q, text_or_empty(r->name));
	GW_USAGE_TEXTS(X)
#undef X
#define X(name) cp_sql_int(&q, r->name);
	GW_USAGE_INTS(X)
#undef X
	cp_sql_text(&q, gw_str_c(gw_end_name(r->end_reason)));
	cp_sql_text(&q, gw_str_c(gw_usage_source_name(r->usage_source)));
	enum gw_rc rc = cp_sql_close(&q, err);
	*fresh = rc == GW_OK && sqlite3_changes(db) == 1;
	return rc;
}

static int64_t tokens(int64_t n)
{
	return n > 0 ? n : 0;
}

static enum gw_rc add_sums(sqlite3 *db, const struct gw_usage_record *r, struct gw_error *err)
{
	struct cp_sql q;
	cp_sql_open(&q, db,
		    "INSERT INTO usage_sums (bucket, consumer, route, provider, model, requests, errors, prompt_tokens,"
		    " completion_tokens, cached_tokens, reasoning_tokens, cost) VALUES (?, ?, ?, ?, ?, 1, ?, ?, ?, ?, ?, 0)"
		    " ON CONFLICT (bucket, consumer, route, provider, model) DO UPDATE SET requests = requests + 1,"
		    " errors = errors + excluded.errors, prompt_tokens = prompt_tokens + excluded.prompt_tokens,"
		    " completion_tokens = completion_tokens + excluded.completion_tokens,"
		    " cached_tokens = cached_tokens + excluded.cached_tokens,"
		    " reasoning_tokens = reasoning_tokens + excluded.reasoning_tokens");
	cp_sql_int(&q, r->started_at_ms / BUCKET_MS * BUCKET_MS);
	cp_sql_text(&q, text_or_empty(r->consumer));
	cp_sql_text(&q, text_or_empty(r->route));
	cp_sql_text(&q, text_or_empty(r->provider));
	/* A model that nobody serves is a stranger's text: it must not grow the table. */
	cp_sql_text(&q, r->served_model.n > 0 ? r->served_model : r->route.n > 0 ? text_or_empty(r->requested_model) : GW_STR(""));
	cp_sql_int(&q, failed(r));
	cp_sql_int(&q, tokens(r->prompt_tokens));
	cp_sql_int(&q, tokens(r->completion_tokens));
	cp_sql_int(&q, tokens(r->cached_tokens));
	cp_sql_int(&q, tokens(r->reasoning_tokens));
	return cp_sql_close(&q, err);
}

static enum gw_rc add_use(sqlite3 *db, const struct gw_usage_record *r, struct gw_error *err)
{
	struct cp_sql q;
	if (r->key_id.n == 0)
		return GW_OK;
	cp_sql_open(&q, db, "INSERT INTO uses (kind, name, last_at, count) VALUES (?, ?, ?, 1) ON CONFLICT (kind, name)"
			    " DO UPDATE SET last_at = max(last_at, excluded.last_at), count = count + 1");
	cp_sql_text(&q, gw_str_c(gw_kind_path(GW_KIND_CREDENTIAL)));
	cp_sql_text(&q, r->key_id);
	cp_sql_int(&q, r->started_at_ms);
	return cp_sql_close(&q, err);
}

enum gw_rc cp_usage_insert(struct cp_store *s, struct gw_str node, struct gw_str boot_id,
			   const struct gw_usage_record *records, size_t n, size_t *stored, struct gw_error *err)
{
	*stored = 0;
	if (n == 0)
		return GW_OK;
	enum gw_rc rc = cp_write_begin(s, err);
	if (rc != GW_OK)
		return rc;
	for (size_t i = 0; i < n && rc == GW_OK; i++) {
		bool fresh = false;
		rc = add_row(s->writer, node, boot_id, &records[i], &fresh, err);
		if (rc == GW_OK && fresh)
			rc = add_sums(s->writer, &records[i], err);
		if (rc == GW_OK && fresh)
			rc = add_use(s->writer, &records[i], err);
		*stored += fresh;
	}
	if (rc == GW_OK)
		return cp_write_commit(s, err);
	*stored = 0;
	cp_write_failed(s, rc);
	cp_write_abort(s);
	return rc;
}

enum gw_rc cp_usage_trim(struct cp_store *s, int64_t before_ms, bool *more, struct gw_error *err)
{
	struct cp_sql q;
	*more = false;
	enum gw_rc rc = cp_write_begin(s, err);
	if (rc != GW_OK)
		return rc;
	cp_sql_open(&q, s->writer, "DELETE FROM requests WHERE (boot_id, seq) IN (SELECT boot_id, seq FROM requests"
				   " WHERE started_at_ms < ? ORDER BY started_at_ms LIMIT ?)");
	cp_sql_int(&q, before_ms);
	cp_sql_int(&q, TRIM_STEP);
	rc = cp_sql_close(&q, err);
	*more = rc == GW_OK && sqlite3_changes(s->writer) == TRIM_STEP;
	if (rc == GW_OK)
		return cp_write_commit(s, err);
	cp_write_failed(s, rc);
	cp_write_abort(s);
	return rc;
}

static struct gw_str group_text(struct cp_sql *q, int column, unsigned on)
{
	return on ? text_or_empty(cp_col_text(q, column)) : GW_STR_NONE;
}

enum gw_rc cp_usage_each(struct cp_txn *t, const struct cp_usage_query *u,
			 bool (*row)(void *arg, const struct cp_usage_sum *s), void *arg, struct gw_error *err)
{
	struct cp_sql q;
	unsigned g = u->group_by;
	int64_t step = g & CP_BY_5MIN ? BUCKET_MS : g & CP_BY_HOUR ? 3600000 : g & CP_BY_DAY ? 86400000 : 0;
	/* A dimension that is not grouped by collapses to NULL, so one constant statement serves every grouping. */
	cp_sql_open(&q, t->db,
		    "SELECT iif(?1, consumer, NULL) AS c, iif(?2, model, NULL) AS m, iif(?3, provider, NULL) AS p,"
		    " iif(?4, route, NULL) AS r, iif(?5, bucket / max(?5, 1) * ?5, 0) AS b, sum(requests), sum(errors),"
		    " sum(prompt_tokens), sum(completion_tokens), sum(cached_tokens), sum(reasoning_tokens), sum(cost)"
		    " FROM usage_sums WHERE bucket >= ?6 AND bucket < ?7 AND (?8 IS NULL OR consumer = ?8)"
		    " AND (?9 IS NULL OR model = ?9) AND (?10 IS NULL OR provider = ?10) AND (?11 IS NULL OR route = ?11)"
		    " GROUP BY c, m, p, r, b ORDER BY iif(?12, -sum(requests), 0), b, c, m, p, r");
	cp_sql_int(&q, (g & CP_BY_CONSUMER) != 0);
	cp_sql_int(&q, (g & CP_BY_MODEL) != 0);
	cp_sql_int(&q, (g & CP_BY_PROVIDER) != 0);
	cp_sql_int(&q, (g & CP_BY_ROUTE) != 0);
	cp_sql_int(&q, step);
	cp_sql_int(&q, u->from_ms / BUCKET_MS * BUCKET_MS);
	cp_sql_int(&q, u->to_ms);
	cp_sql_text(&q, u->consumer);
	cp_sql_text(&q, u->model);
	cp_sql_text(&q, u->provider);
	cp_sql_text(&q, u->route);
	cp_sql_int(&q, u->by_requests);
	while (cp_sql_row(&q)) {
		struct cp_usage_sum sum = {
			.consumer = group_text(&q, 0, g & CP_BY_CONSUMER), .model = group_text(&q, 1, g & CP_BY_MODEL),
			.provider = group_text(&q, 2, g & CP_BY_PROVIDER), .route = group_text(&q, 3, g & CP_BY_ROUTE),
			.time_ms = cp_col_int(&q, 4), .requests = cp_col_int(&q, 5), .errors = cp_col_int(&q, 6),
			.prompt_tokens = cp_col_int(&q, 7), .completion_tokens = cp_col_int(&q, 8),
			.cached_tokens = cp_col_int(&q, 9), .reasoning_tokens = cp_col_int(&q, 10),
			.cost = cp_col_int(&q, 11),
		};
		if (!row(arg, &sum))
			break;
	}
	return cp_sql_close(&q, err);
}

enum gw_rc cp_usage_first(struct cp_txn *t, int64_t *at_ms, struct gw_error *err)
{
	struct cp_sql q;
	cp_sql_open(&q, t->db, "SELECT coalesce(min(started_at_ms), (SELECT min(bucket) FROM usage_sums), 0) FROM requests");
	*at_ms = cp_sql_row(&q) ? cp_col_int(&q, 0) : 0;
	return cp_sql_close(&q, err);
}
