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

/* The three statements of a batch, prepared once: preparing costs more than running. */
struct writing { struct cp_sql row, sum, use; };

static void open_writing(struct writing *w, sqlite3 *db)
{
	cp_sql_open(&w->row, db, "INSERT OR IGNORE INTO requests (boot_id, node, " GW_USAGE_TEXTS(X_NAME) GW_USAGE_INTS(X_NAME)
				 "end_reason, usage_source) VALUES (?, ?, " GW_USAGE_TEXTS(X_HOLE) GW_USAGE_INTS(X_HOLE) "?, ?)");
	cp_sql_open(&w->sum, db,
		    "INSERT INTO usage_sums (bucket, consumer, route, provider, model, requests, errors, prompt_tokens,"
		    " completion_tokens, cached_tokens, reasoning_tokens, cost) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 0)"
		    " ON CONFLICT (bucket, consumer, route, provider, model) DO UPDATE SET requests = requests + excluded.requests,"
		    " errors = errors + excluded.errors, prompt_tokens = prompt_tokens + excluded.prompt_tokens,"
		    " completion_tokens = completion_tokens + excluded.completion_tokens,"
		    " cached_tokens = cached_tokens + excluded.cached_tokens,"
		    " reasoning_tokens = reasoning_tokens + excluded.reasoning_tokens");
	cp_sql_open(&w->use, db, "INSERT INTO uses (kind, name, last_at, count) VALUES (?, ?, ?, ?) ON CONFLICT (kind, name)"
				 " DO UPDATE SET last_at = max(last_at, excluded.last_at), count = count + excluded.count");
}

static void close_writing(struct writing *w)
{
	sqlite3_finalize(w->row.st);
	sqlite3_finalize(w->sum.st);
	sqlite3_finalize(w->use.st);
}

static enum gw_rc add_row(struct cp_sql *q, struct gw_str node, struct gw_str boot_id, const struct gw_usage_record *r,
			  bool *fresh, struct gw_error *err)
{
	cp_sql_text(q, boot_id);
	cp_sql_text(q, text_or_empty(node));
#define X(name) cp_sql_text(q, text_or_empty(r->name));
	GW_USAGE_TEXTS(X)
#undef X
#define X(name) cp_sql_int(q, r->name);
	GW_USAGE_INTS(X)
#undef X
	cp_sql_text(q, gw_str_c(gw_end_name(r->end_reason)));
	cp_sql_text(q, gw_str_c(gw_usage_source_name(r->usage_source)));
	enum gw_rc rc = cp_sql_again(q, err);
	*fresh = rc == GW_OK && sqlite3_changes(q->db) == 1;
	return rc;
}

static int64_t tokens(int64_t n)
{
	return n > 0 ? n : 0;
}

/*
 * Neighbours in a batch mostly share consumer, route and model: what they add up to is kept here and written when the
 * next one differs.
 */
struct sums {
	const struct gw_usage_record *r; /* whose names these are; NULL: nothing to write */
	int64_t bucket, last_at, requests, errors, prompt, completion, cached, reasoning;
};

static struct gw_str model_of(const struct gw_usage_record *r)
{
	/* A model that nobody serves is a stranger's text: it must not grow the table. */
	return r->served_model.n > 0 ? r->served_model : r->route.n > 0 ? text_or_empty(r->requested_model) : GW_STR("");
}

static bool same_names(const struct gw_usage_record *a, const struct gw_usage_record *b)
{
	return gw_str_eq(a->consumer, b->consumer) && gw_str_eq(a->key_id, b->key_id) && gw_str_eq(a->route, b->route) &&
	       gw_str_eq(a->provider, b->provider) && gw_str_eq(model_of(a), model_of(b));
}

static enum gw_rc write_sums(struct writing *w, struct sums *s, struct gw_error *err)
{
	const struct gw_usage_record *r = s->r;
	if (r == NULL)
		return GW_OK;
	cp_sql_int(&w->sum, s->bucket);
	cp_sql_text(&w->sum, text_or_empty(r->consumer));
	cp_sql_text(&w->sum, text_or_empty(r->route));
	cp_sql_text(&w->sum, text_or_empty(r->provider));
	cp_sql_text(&w->sum, model_of(r));
	cp_sql_int(&w->sum, s->requests);
	cp_sql_int(&w->sum, s->errors);
	cp_sql_int(&w->sum, s->prompt);
	cp_sql_int(&w->sum, s->completion);
	cp_sql_int(&w->sum, s->cached);
	cp_sql_int(&w->sum, s->reasoning);
	enum gw_rc rc = cp_sql_again(&w->sum, err);
	if (rc == GW_OK && r->key_id.n > 0) {
		cp_sql_text(&w->use, gw_str_c(gw_kind_path(GW_KIND_CREDENTIAL)));
		cp_sql_text(&w->use, r->key_id);
		cp_sql_int(&w->use, s->last_at);
		cp_sql_int(&w->use, s->requests);
		rc = cp_sql_again(&w->use, err);
	}
	*s = (struct sums){ 0 };
	return rc;
}

static enum gw_rc add_sums(struct writing *w, struct sums *s, const struct gw_usage_record *r, struct gw_error *err)
{
	int64_t bucket = r->started_at_ms / BUCKET_MS * BUCKET_MS;
	enum gw_rc rc = GW_OK;
	if (s->r != NULL && (s->bucket != bucket || !same_names(s->r, r)))
		rc = write_sums(w, s, err);
	s->r = r;
	s->bucket = bucket;
	s->last_at = r->started_at_ms > s->last_at ? r->started_at_ms : s->last_at;
	s->requests++;
	s->errors += failed(r);
	s->prompt += tokens(r->prompt_tokens);
	s->completion += tokens(r->completion_tokens);
	s->cached += tokens(r->cached_tokens);
	s->reasoning += tokens(r->reasoning_tokens);
	return rc;
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
	struct writing w;
	struct sums sums = { 0 };
	open_writing(&w, s->writer);
	for (size_t i = 0; i < n && rc == GW_OK; i++) {
		bool fresh = false;
		rc = add_row(&w.row, node, boot_id, &records[i], &fresh, err);
		if (rc == GW_OK && fresh)
			rc = add_sums(&w, &sums, &records[i], err);
		*stored += fresh;
	}
	if (rc == GW_OK)
		rc = write_sums(&w, &sums, err);
	close_writing(&w);
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
	cp_sql_open(&q, s->writer, "DELETE FROM requests WHERE id IN (SELECT id FROM requests"
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
