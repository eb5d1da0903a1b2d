/* series_store.c - points that add up: sparse vectors, one transaction a message. */
#include "store/series_store.h"

#include "base/str.h"
#include "base/time.h"
#include "store/sql.h"

#define TRIM_STEP  5000
#define MAX_VECTOR (GW_SET_MAX_SLOTS * 12)
#define SEEN_MS    (7LL * 24 * 3600 * 1000) /* a process that was silent that long has ended */

const int64_t cp_series_resolution_ms[CP_SERIES_RESOLUTIONS] = { 10000, 60000, 3600000 };

/* ---- vectors: pairs of (slots skipped, value), each a LEB128 number; zeroes are left out ---- */

static size_t put_number(uint8_t *out, uint64_t v)
{
	size_t n = 0;
	for (; v >= 0x80; v >>= 7)
		out[n++] = (uint8_t)(v | 0x80);
	out[n++] = (uint8_t)v;
	return n;
}

static bool get_number(const uint8_t **at, const uint8_t *end, uint64_t *out)
{
	*out = 0;
	for (unsigned shift = 0; *at < end && shift < 64; shift += 7) {
		uint8_t b = *(*at)++;
		*out |= (uint64_t)(b & 0x7f) << shift;
		if (!(b & 0x80))
			return true;
	}
	return false;
}

static size_t encode(uint8_t out[MAX_VECTOR], const uint64_t *slot, size_t n)
{
	size_t at = 0, skipped = 0;
	for (size_t i = 0; i < n; i++) {
		if (slot[i] == 0) {
			skipped++;
			continue;
		}
		at += put_number(out + at, skipped);
		at += put_number(out + at, slot[i]);
		skipped = 0;
	}
	return at;
}

/* Adds; what a newer release wrote behind the slots known here is passed over. */
static void decode(uint64_t slot[GW_SET_MAX_SLOTS], struct gw_str v)
{
	const uint8_t *at = (const uint8_t *)v.p, *end = at + v.n;
	uint64_t skip, value;
	for (size_t i = 0; get_number(&at, end, &skip) && get_number(&at, end, &value) && skip < GW_SET_MAX_SLOTS; i++) {
		i += (size_t)skip;
		if (i >= GW_SET_MAX_SLOTS)
			return;
		slot[i] += value;
	}
}

static struct gw_str col_blob(struct cp_sql *q, int i)
{
	const void *p = sqlite3_column_blob(q->st, i);
	return (struct gw_str){ p, p ? (size_t)sqlite3_column_bytes(q->st, i) : 0 };
}

/* ---- writing ---- */

struct writing {
	struct cp_sql seen, key, new_key, get, put, touch;
	int64_t keys, at_ms;
	struct gw_str node;
};

static void open_writing(struct writing *w, sqlite3 *db)
{
	cp_sql_open(&w->seen, db, "INSERT INTO series_seen (boot_id, seq, at) VALUES (?, ?, ?) ON CONFLICT (boot_id) DO UPDATE"
				  " SET seq = excluded.seq, at = excluded.at WHERE excluded.seq > seq");
	cp_sql_open(&w->key, db, "SELECT id FROM series_keys WHERE kind = ? AND node = ? AND a = ? AND b = ? AND c = ? AND d = ?");
	cp_sql_open(&w->new_key, db, "INSERT INTO series_keys (kind, node, a, b, c, d, last_at) VALUES (?, ?, ?, ?, ?, ?, ?)");
	cp_sql_open(&w->get, db, "SELECT v FROM series_points WHERE resolution = ? AND kind = ? AND at = ? AND key = ?");
	cp_sql_open(&w->put, db, "INSERT INTO series_points (resolution, kind, at, key, v) VALUES (?, ?, ?, ?, ?)"
				 " ON CONFLICT (resolution, kind, at, key) DO UPDATE SET v = excluded.v");
	cp_sql_open(&w->touch, db, "UPDATE series_keys SET last_at = ? WHERE id = ?");
}

static void close_writing(struct writing *w)
{
	struct cp_sql *all[] = { &w->seen, &w->key, &w->new_key, &w->get, &w->put, &w->touch };
	for (size_t i = 0; i < GW_COUNT(all); i++)
		sqlite3_finalize(all[i]->st);
}

/* Of a query that gives one row at most: make it ready to be bound anew. */
static enum gw_rc read_again(struct cp_sql *q, struct gw_error *err)
{
	while (cp_sql_row(q))
		;
	return cp_sql_again(q, err);
}

static void bind_key(struct cp_sql *q, enum gw_metric_set set, struct gw_str node, const struct gw_str *label)
{
	cp_sql_int(q, set);
	cp_sql_text(q, node);
	for (size_t i = 0; i < GW_METRIC_LABELS; i++)
		cp_sql_text(q, label[i].p ? label[i] : GW_STR(""));
}

static enum gw_rc find_key(struct writing *w, enum gw_metric_set set, struct gw_str *label, int64_t *id, struct gw_error *err)
{
	bind_key(&w->key, set, w->node, label);
	*id = cp_sql_row(&w->key) ? cp_col_int(&w->key, 0) : 0;
	enum gw_rc rc = read_again(&w->key, err);
	if (rc != GW_OK || *id)
		return rc;
	if (w->keys >= CP_SERIES_MAX_KEYS && !gw_str_is(label[0], "other") && gw_metric_set(set)->n_labels > 0) {
		for (size_t i = 0; i < gw_metric_set(set)->n_labels; i++)
			label[i] = GW_STR("other");
		return find_key(w, set, label, id, err);
	}
	bind_key(&w->new_key, set, w->node, label);
	cp_sql_int(&w->new_key, w->at_ms);
	rc = cp_sql_again(&w->new_key, err);
	*id = sqlite3_last_insert_rowid(w->new_key.db);
	w->keys++;
	return rc;
}

static enum gw_rc add_point(struct writing *w, enum gw_metric_set set, int64_t key, size_t res, const uint64_t *more,
			    struct gw_error *err)
{
	uint64_t slot[GW_SET_MAX_SLOTS];
	uint8_t v[MAX_VECTOR];
	int64_t step = cp_series_resolution_ms[res], at = w->at_ms / step * step;
	memcpy(slot, more, sizeof slot);
	cp_sql_int(&w->get, step);
	cp_sql_int(&w->get, set);
	cp_sql_int(&w->get, at);
	cp_sql_int(&w->get, key);
	bool there = cp_sql_row(&w->get);
	if (there)
		decode(slot, col_blob(&w->get, 0));
	enum gw_rc rc = read_again(&w->get, err);
	if (rc != GW_OK)
		return rc;
	cp_sql_int(&w->put, step);
	cp_sql_int(&w->put, set);
	cp_sql_int(&w->put, at);
	cp_sql_int(&w->put, key);
	cp_sql_blob(&w->put, v, encode(v, slot, GW_SET_MAX_SLOTS));
	rc = cp_sql_again(&w->put, err);
	if (rc == GW_OK && !there && res == CP_SERIES_RESOLUTIONS - 1) { /* once an hour: it is alive */
		cp_sql_int(&w->touch, w->at_ms);
		cp_sql_int(&w->touch, key);
		rc = cp_sql_again(&w->touch, err);
	}
	return rc;
}

/* ["traffic",["r","p","m"],[slot,more,…]].  false: not one of ours. */
static bool read_row(const json_t *row, enum gw_metric_set *set, struct gw_str label[GW_METRIC_LABELS],
		     uint64_t more[GW_SET_MAX_SLOTS])
{
	const json_t *labels = json_array_get(row, 1), *pairs = json_array_get(row, 2);
	struct gw_str name = gw_json_str(json_array_get(row, 0));
	if (!name.p || !gw_metric_set_parse(name, set) || json_array_size(labels) != gw_metric_set(*set)->n_labels)
		return false;
	for (size_t i = 0; i < GW_METRIC_LABELS; i++) {
		label[i] = gw_json_str(json_array_get(labels, i));
		if (i < json_array_size(labels) && (!label[i].p || label[i].n > GW_METRIC_LABEL_MAX))
			return false;
	}
	memset(more, 0, GW_SET_MAX_SLOTS * sizeof *more);
	for (size_t i = 0; i + 1 < json_array_size(pairs); i += 2) {
		json_int_t slot = json_integer_value(json_array_get(pairs, i)), n = json_integer_value(json_array_get(pairs, i + 1));
		if (slot >= 0 && (size_t)slot < gw_metric_set(*set)->n_slots && n > 0)
			more[slot] += (uint64_t)n;
	}
	return true;
}

static enum gw_rc add_rows(struct writing *w, const json_t *rows, size_t *stored, struct gw_error *err)
{
	struct gw_str label[GW_METRIC_LABELS];
	uint64_t more[GW_SET_MAX_SLOTS];
	enum gw_metric_set set;
	enum gw_rc rc = GW_OK;
	for (size_t i = 0; i < json_array_size(rows) && rc == GW_OK; i++) {
		int64_t key = 0;
		if (!read_row(json_array_get(rows, i), &set, label, more))
			continue;
		rc = find_key(w, set, label, &key, err);
		for (size_t res = 0; res < CP_SERIES_RESOLUTIONS && rc == GW_OK; res++)
			rc = add_point(w, set, key, res, more, err);
		*stored += rc == GW_OK;
	}
	return rc;
}

static int64_t count_of(sqlite3 *db, const char *text)
{
	struct cp_sql q;
	cp_sql_open(&q, db, text);
	int64_t n = cp_sql_row(&q) ? cp_col_int(&q, 0) : 0;
	return cp_sql_close(&q, NULL) == GW_OK ? n : 0;
}

enum gw_rc cp_series_insert(struct cp_store *s, const struct cp_series_message *m, size_t *stored, struct gw_error *err)
{
	struct writing w = { .at_ms = m->at_ms, .node = m->node };
	*stored = 0;
	enum gw_rc rc = cp_write_begin(s, err);
	if (rc != GW_OK)
		return rc;
	w.keys = count_of(s->writer, "SELECT count(*) FROM series_keys");
	open_writing(&w, s->writer);
	cp_sql_text(&w.seen, m->boot_id);
	cp_sql_int(&w.seen, m->seq);
	cp_sql_int(&w.seen, m->at_ms);
	rc = cp_sql_again(&w.seen, err);
	if (rc == GW_OK && sqlite3_changes(s->writer) == 1)
		rc = add_rows(&w, m->rows, stored, err);
	close_writing(&w);
	if (rc != GW_OK)
		*stored = 0;
	return cp_write_end(s, rc, err);
}

/* ---- trimming ---- */

static enum gw_rc trim_one(sqlite3 *db, int64_t resolution, int64_t before, bool *more, struct gw_error *err)
{
	struct cp_sql q;
	cp_sql_open(&q, db, "DELETE FROM series_points WHERE (resolution, kind, at, key) IN (SELECT resolution, kind, at, key"
			    " FROM series_points WHERE resolution = ?1 AND kind BETWEEN 0 AND 1000 AND at < ?2 LIMIT ?3)");
	cp_sql_int(&q, resolution);
	cp_sql_int(&q, before);
	cp_sql_int(&q, TRIM_STEP);
	enum gw_rc rc = cp_sql_close(&q, err);
	*more |= rc == GW_OK && sqlite3_changes(db) == TRIM_STEP;
	return rc;
}

/* The time before which a resolution with too many rows is cut: so much of its life as rows are too many. */
static int64_t cut_of(struct cp_store *s, size_t res, int64_t keep_ms, int64_t now_ms)
{
	struct cp_sql q;
	int64_t n = 0, first = 0;
	cp_sql_open(&q, s->writer, "SELECT count(*), min(at) FROM series_points WHERE resolution = ?");
	cp_sql_int(&q, cp_series_resolution_ms[res]);
	if (cp_sql_row(&q)) {
		n = cp_col_int(&q, 0);
		first = cp_col_int(&q, 1);
	}
	if (cp_sql_close(&q, NULL) != GW_OK || n <= CP_SERIES_MAX_POINTS || first >= now_ms)
		return now_ms - keep_ms;
	int64_t cut = first + (now_ms - first) / 10000 * ((n - CP_SERIES_MAX_POINTS) * 10000 / n);
	return cut > now_ms - keep_ms ? cut : now_ms - keep_ms;
}

enum gw_rc cp_series_trim(struct cp_store *s, const int64_t keep_ms[CP_SERIES_RESOLUTIONS], int64_t now_ms, bool *more,
			  struct gw_error *err)
{
	struct cp_sql q;
	*more = false;
	enum gw_rc rc = cp_write_begin(s, err);
	if (rc != GW_OK)
		return rc;
	for (size_t i = 0; i < CP_SERIES_RESOLUTIONS && rc == GW_OK; i++)
		rc = trim_one(s->writer, cp_series_resolution_ms[i], cut_of(s, i, keep_ms[i], now_ms), more, err);
	if (rc == GW_OK) {
		cp_sql_open(&q, s->writer, "DELETE FROM series_keys WHERE last_at < ?");
		cp_sql_int(&q, now_ms - keep_ms[CP_SERIES_RESOLUTIONS - 1] - 2 * cp_series_resolution_ms[CP_SERIES_RESOLUTIONS - 1]);
		rc = cp_sql_close(&q, err);
	}
	if (rc == GW_OK) {
		cp_sql_open(&q, s->writer, "DELETE FROM series_seen WHERE at < ?");
		cp_sql_int(&q, now_ms - SEEN_MS);
		rc = cp_sql_close(&q, err);
	}
	return cp_write_end(s, rc, err);
}

/* ---- reading ---- */

enum gw_rc cp_series_each(struct cp_txn *t, const struct cp_series_query *u, bool (*row)(void *arg, const struct cp_series_point *p),
			  void *arg, struct gw_error *err)
{
	struct cp_sql q;
	uint64_t slot[GW_SET_MAX_SLOTS];
	cp_sql_open(&q, t->db, "SELECT p.at, p.v, k.node, k.a, k.b, k.c, k.d FROM series_points p JOIN series_keys k ON k.id = p.key"
			       " WHERE p.resolution = ?1 AND p.kind = ?2 AND p.at >= ?3 AND p.at < ?4 AND (?5 IS NULL OR k.node = ?5)"
			       " AND (?6 IS NULL OR k.a = ?6) AND (?7 IS NULL OR k.b = ?7) AND (?8 IS NULL OR k.c = ?8)"
			       " AND (?9 IS NULL OR k.d = ?9) ORDER BY p.at");
	cp_sql_int(&q, u->resolution_ms);
	cp_sql_int(&q, u->set);
	cp_sql_int(&q, u->from_ms);
	cp_sql_int(&q, u->to_ms);
	cp_sql_text(&q, u->node);
	for (size_t i = 0; i < GW_METRIC_LABELS; i++)
		cp_sql_text(&q, u->label[i]);
	while (cp_sql_row(&q)) {
		struct cp_series_point p = { .at_ms = cp_col_int(&q, 0), .node = cp_col_text(&q, 2), .slot = slot };
		for (int i = 0; i < GW_METRIC_LABELS; i++)
			p.label[i] = cp_col_text(&q, 3 + i);
		memset(slot, 0, sizeof slot);
		decode(slot, col_blob(&q, 1));
		if (!row(arg, &p))
			break;
	}
	return cp_sql_close(&q, err);
}

enum gw_rc cp_series_count(struct cp_txn *t, int64_t out[CP_SERIES_RESOLUTIONS], struct gw_error *err)
{
	enum gw_rc rc = GW_OK;
	for (size_t i = 0; i < CP_SERIES_RESOLUTIONS && rc == GW_OK; i++) {
		struct cp_sql q;
		cp_sql_open(&q, t->db, "SELECT count(*) FROM series_points WHERE resolution = ?");
		cp_sql_int(&q, cp_series_resolution_ms[i]);
		out[i] = cp_sql_row(&q) ? cp_col_int(&q, 0) : 0;
		rc = cp_sql_close(&q, err);
	}
	return rc;
}
