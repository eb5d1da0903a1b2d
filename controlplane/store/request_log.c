/* request_log.c - one statement a condition to search by, all with the same parameters. */
#include "store/request_log.h"

#include "base/str.h"
#include "store/sql.h"

#define TRIM_STEP 2000

#define X_NAME(name) #name ", "
#define COLUMNS "id, node, boot_id, " GW_USAGE_TEXTS(X_NAME) GW_USAGE_INTS(X_NAME) "end_reason, usage_source"

/* ?1 … ?3 are the range and where to go on, ?4 the budget; the rest are conditions. */
#define FITS                                                                                                         \
	"(?5 IS NULL OR consumer = ?5) AND (?6 IS NULL OR key_id = ?6) AND (?7 IS NULL OR route = ?7)"               \
	" AND (?8 IS NULL OR provider = ?8) AND (?9 IS NULL OR requested_model = ?9)"                                \
	" AND (?10 IS NULL OR served_model = ?10) AND (?11 IS NULL OR end_reason = ?11)"                             \
	" AND (?12 IS NULL OR error_code = ?12) AND (?13 IS NULL OR request_id = ?13)"                               \
	" AND (?14 IS NULL OR trace_id = ?14) AND (?15 IS NULL OR client_ip = ?15) AND (?16 IS NULL OR node = ?16)"   \
	" AND status BETWEEN ?17 AND ?18 AND total_ms >= ?19"
#define SEARCH(index, condition)                                                                                     \
	"SELECT " COLUMNS ", " FITS " FROM requests INDEXED BY " index " WHERE " condition                           \
	" started_at_ms BETWEEN ?1 AND ?2 AND (started_at_ms < ?2 OR id < ?3)"                                       \
	" ORDER BY started_at_ms DESC, id DESC LIMIT ?4"

enum { COL_NODE = 1, COL_BOOT, COL_FIRST_TEXT };

/* The most telling condition first. */
enum driver { BY_REQUEST_ID, BY_TRACE, BY_KEY, BY_ERROR, BY_CONSUMER, FAILED, BY_MODEL, BY_ROUTE, BY_PROVIDER, BY_TIME };
static const char *const searches[] = {
	[BY_REQUEST_ID] = SEARCH("requests_by_request_id", "request_id = ?13 AND"),
	[BY_TRACE] = SEARCH("requests_by_trace", "trace_id = ?14 AND trace_id <> '' AND"),
	[BY_KEY] = SEARCH("requests_by_key", "key_id = ?6 AND"),
	[BY_ERROR] = SEARCH("requests_by_error", "error_code = ?12 AND error_code <> '' AND"),
	[BY_CONSUMER] = SEARCH("requests_by_consumer", "consumer = ?5 AND"),
	[FAILED] = SEARCH("requests_failed", "(end_reason <> 'complete' OR status >= 400) AND"),
	[BY_MODEL] = SEARCH("requests_by_model", "requested_model = ?9 AND"),
	[BY_ROUTE] = SEARCH("requests_by_route", "route = ?7 AND"),
	[BY_PROVIDER] = SEARCH("requests_by_provider", "provider = ?8 AND"),
	[BY_TIME] = SEARCH("requests_by_time", ""),
};

static enum driver driver_of(const struct cp_request_query *q)
{
	if (q->request_id.p)
		return BY_REQUEST_ID;
	if (q->trace_id.n)
		return BY_TRACE;
	if (q->key_id.p)
		return BY_KEY;
	if (q->error_code.n)
		return BY_ERROR;
	if (q->consumer.p)
		return BY_CONSUMER;
	if (q->status_min >= 400 || (q->end_reason.p && !gw_str_is(q->end_reason, "complete")))
		return FAILED;
	return q->model.p ? BY_MODEL : q->route.p ? BY_ROUTE : q->provider.p ? BY_PROVIDER : BY_TIME;
}

static void bind(struct cp_sql *s, const struct cp_request_query *q)
{
	int64_t last = q->to_ms - 1;
	cp_sql_int(s, q->from_ms);
	cp_sql_int(s, q->after_id > 0 && q->after_ms < last ? q->after_ms : last);
	cp_sql_int(s, q->after_id > 0 ? q->after_id : INT64_MAX);
	cp_sql_int(s, q->budget);
	cp_sql_text(s, q->consumer);
	cp_sql_text(s, q->key_id);
	cp_sql_text(s, q->route);
	cp_sql_text(s, q->provider);
	cp_sql_text(s, q->model);
	cp_sql_text(s, q->served_model);
	cp_sql_text(s, q->end_reason);
	cp_sql_text(s, q->error_code);
	cp_sql_text(s, q->request_id);
	cp_sql_text(s, q->trace_id);
	cp_sql_text(s, q->client_ip);
	cp_sql_text(s, q->node);
	cp_sql_int(s, q->status_min);
	cp_sql_int(s, q->status_max);
	cp_sql_int(s, q->min_total_ms);
}

static enum gw_end_reason end_of(struct gw_str word)
{
	for (int i = 0; i < GW_END_COUNT; i++)
		if (gw_str_is(word, gw_end_name((enum gw_end_reason)i)))
			return (enum gw_end_reason)i;
	return GW_END_UPSTREAM_ERROR;
}

static enum gw_usage_source source_of(struct gw_str word)
{
	for (int i = 0; i <= GW_USAGE_ESTIMATED; i++)
		if (gw_str_is(word, gw_usage_source_name((enum gw_usage_source)i)))
			return (enum gw_usage_source)i;
	return GW_USAGE_NONE;
}

/* Fills *out and returns the column behind the last one. */
static int read_row(struct cp_sql *s, struct cp_request_row *out)
{
	int i = COL_FIRST_TEXT;
	*out = (struct cp_request_row){ .id = cp_col_int(s, 0), .node = cp_col_text(s, COL_NODE), .boot_id = cp_col_text(s, COL_BOOT) };
#define X(name) out->r.name = cp_col_text(s, i++);
	GW_USAGE_TEXTS(X)
#undef X
#define X(name) out->r.name = cp_col_int(s, i++);
	GW_USAGE_INTS(X)
#undef X
	out->r.end_reason = end_of(cp_col_text(s, i++));
	out->r.usage_source = source_of(cp_col_text(s, i++));
	return i;
}

enum gw_rc cp_requests_each(struct cp_txn *t, const struct cp_request_query *q,
			    bool (*row)(void *arg, const struct cp_request_row *r), void *arg, struct cp_request_end *end,
			    struct gw_error *err)
{
	struct cp_sql s;
	int64_t seen = 0;
	bool go = true;
	*end = (struct cp_request_end){ .at_ms = q->after_ms, .id = q->after_id };
	cp_sql_open(&s, t->db, searches[driver_of(q)]);
	bind(&s, q);
	while (go && cp_sql_row(&s)) {
		struct cp_request_row r;
		seen++;
		int fits = read_row(&s, &r);
		if (cp_col_int(&s, fits))
			go = row(arg, &r);
		if (go) {
			end->at_ms = r.r.started_at_ms;
			end->id = r.id;
		}
	}
	end->exhausted = go && seen < q->budget;
	return cp_sql_close(&s, err);
}

enum gw_rc cp_request_get(struct cp_txn *t, struct gw_str id, void (*row)(void *arg, const struct cp_request_row *r), void *arg,
			  struct gw_error *err)
{
	struct cp_sql s;
	int64_t number;
	bool by_number = gw_str_int(id, 1, INT64_MAX, &number), found = false;
	if (by_number) {
		cp_sql_open(&s, t->db, "SELECT " COLUMNS " FROM requests WHERE id = ?");
		cp_sql_int(&s, number);
	} else {
		cp_sql_open(&s, t->db, "SELECT " COLUMNS " FROM requests INDEXED BY requests_by_request_id WHERE request_id = ?"
				       " ORDER BY started_at_ms DESC, id DESC LIMIT 1");
		cp_sql_text(&s, id);
	}
	if (cp_sql_row(&s)) {
		struct cp_request_row r;
		read_row(&s, &r);
		row(arg, &r);
		found = true;
	}
	enum gw_rc rc = cp_sql_close(&s, err);
	if (rc == GW_OK && !found)
		return gw_fail(err, GW_NOTFOUND, NULL, "request %.*s does not exist, or is no longer kept", GW_FMT(id));
	return rc;
}

enum gw_rc cp_requests_newest(struct cp_txn *t, int64_t *id, struct gw_error *err)
{
	struct cp_sql s;
	cp_sql_open(&s, t->db, "SELECT max(id) FROM requests");
	*id = cp_sql_row(&s) ? cp_col_int(&s, 0) : 0;
	return cp_sql_close(&s, err);
}

enum gw_rc cp_requests_explain(struct cp_txn *t, const struct cp_request_query *q, struct gw_buf *out, struct gw_error *err)
{
	/* One constant text a search, as elsewhere; "EXPLAIN" in front is the only thing that is put together. */
	struct cp_sql s;
	struct gw_buf text;
	gw_buf_init(&text, 16384);
	gw_buf_add_c(&text, "EXPLAIN QUERY PLAN ");
	gw_buf_add_c(&text, searches[driver_of(q)]);
	cp_sql_open(&s, t->db, text.p);
	bind(&s, q);
	while (cp_sql_row(&s)) {
		gw_buf_add(out, cp_col_text(&s, 3));
		gw_buf_add_byte(out, '\n');
	}
	gw_buf_fini(&text);
	return cp_sql_close(&s, err);
}

/* ---- removing ---- */

/* One statement with one or two numbers in a transaction of its own; *changed: how many rows it took. */
static enum gw_rc remove_some(struct cp_store *s, const char *text, int64_t a, int64_t b, int *changed, struct gw_error *err)
{
	struct cp_sql q;
	enum gw_rc rc = cp_write_begin(s, err);
	if (rc != GW_OK)
		return rc;
	cp_sql_open(&q, s->writer, text);
	cp_sql_int(&q, a);
	cp_sql_int(&q, b);
	rc = cp_sql_close(&q, err);
	*changed = rc == GW_OK ? sqlite3_changes(s->writer) : 0;
	return cp_write_end(s, rc, err);
}

/* Is there a row numbered so far below the newest?  Numbers are given in order, so this counts without counting. */
static bool anything_beyond(struct cp_store *s, const char *text, int64_t keep)
{
	struct cp_txn *t = NULL;
	struct cp_sql q;
	int64_t surplus = 0;
	if (cp_txn_begin(&t, s, NULL) != GW_OK)
		return false;
	cp_sql_open(&q, t->db, text);
	if (cp_sql_row(&q))
		surplus = cp_col_int(&q, 0) - keep;
	(void)!cp_sql_close(&q, NULL);
	cp_txn_end(&t);
	return surplus > 0;
}

enum gw_rc cp_requests_trim_count(struct cp_store *s, int64_t keep, bool *more, struct gw_error *err)
{
	int n = 0;
	*more = false;
	if (!anything_beyond(s, "SELECT max(id) - min(id) + 1 FROM requests", keep))
		return GW_OK;
	enum gw_rc rc = remove_some(s, "DELETE FROM requests WHERE id IN (SELECT id FROM requests WHERE id <= (SELECT max(id) FROM"
				       " requests) - ?1 ORDER BY id LIMIT ?2)", keep, TRIM_STEP, &n, err);
	*more = rc == GW_OK && n == TRIM_STEP;
	return rc;
}

/* ---- kept prompts ---- */

enum gw_rc cp_captures_insert(struct cp_store *s, const struct cp_capture *v, size_t n, struct gw_error *err)
{
	struct cp_sql q;
	enum gw_rc rc = cp_write_begin(s, err);
	if (rc != GW_OK)
		return rc;
	cp_sql_open(&q, s->writer, "INSERT INTO captures (boot_id, request_id, route, mode, prompt, answer, at_ms, prompt_bytes,"
				   " answer_bytes, masked, note) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
				   " ON CONFLICT (request_id, boot_id) DO NOTHING");
	for (size_t i = 0; i < n && rc == GW_OK; i++) {
		cp_sql_text(&q, v[i].boot_id);
		cp_sql_text(&q, v[i].request_id);
		cp_sql_text(&q, v[i].route);
		cp_sql_text(&q, v[i].mode);
		cp_sql_text(&q, v[i].prompt);
		cp_sql_text(&q, v[i].answer);
		cp_sql_int(&q, v[i].at_ms);
		cp_sql_int(&q, v[i].prompt_bytes);
		cp_sql_int(&q, v[i].answer_bytes);
		cp_sql_int(&q, v[i].masked);
		cp_sql_text(&q, v[i].note.p ? v[i].note : GW_STR(""));
		rc = cp_sql_again(&q, err);
	}
	sqlite3_finalize(q.st);
	return cp_write_end(s, rc, err);
}

enum gw_rc cp_capture_get(struct cp_txn *t, struct gw_str boot_id, struct gw_str request_id, struct gw_arena *a,
			  struct cp_capture *out, struct gw_error *err)
{
	struct cp_sql q;
	bool found = false;
	cp_sql_open(&q, t->db, "SELECT route, mode, prompt, answer, at_ms, prompt_bytes, answer_bytes, masked, note FROM captures"
			       " WHERE request_id = ? AND boot_id = ?");
	cp_sql_text(&q, request_id);
	cp_sql_text(&q, boot_id);
	if (cp_sql_row(&q)) {
		struct gw_str *const texts[] = { &out->route, &out->mode, &out->prompt, &out->answer };
		*out = (struct cp_capture){ .boot_id = boot_id, .request_id = request_id, .at_ms = cp_col_int(&q, 4),
					    .prompt_bytes = cp_col_int(&q, 5), .answer_bytes = cp_col_int(&q, 6),
					    .masked = cp_col_int(&q, 7) };
		for (size_t i = 0; i < GW_COUNT(texts); i++) {
			struct gw_str text = cp_col_text(&q, (int)i);
			*texts[i] = text.p ? gw_arena_copy(a, text) : GW_STR_NONE;
		}
		out->note = gw_arena_copy(a, cp_col_text(&q, 8));
		found = true;
	}
	enum gw_rc rc = cp_sql_close(&q, err);
	if (rc == GW_OK && !found)
		return gw_fail(err, GW_NOTFOUND, NULL, "nothing was kept of this request, or it is gone already");
	return rc;
}

enum gw_rc cp_captures_trim(struct cp_store *s, int64_t before_ms, int64_t keep, bool *more, struct gw_error *err)
{
	int old = 0, many = 0;
	*more = false;
	enum gw_rc rc = remove_some(s, "DELETE FROM captures WHERE id IN (SELECT id FROM captures WHERE at_ms < ?1 ORDER BY at_ms LIMIT ?2)",
				    before_ms, TRIM_STEP, &old, err);
	if (rc == GW_OK && anything_beyond(s, "SELECT max(id) - min(id) + 1 FROM captures", keep))
		rc = remove_some(s, "DELETE FROM captures WHERE id IN (SELECT id FROM captures WHERE id <= (SELECT max(id) FROM"
				    " captures) - ?1 ORDER BY id LIMIT ?2)", keep, TRIM_STEP, &many, err);
	*more = rc == GW_OK && (old == TRIM_STEP || many == TRIM_STEP);
	return rc;
}
