/* alert_store.c - see alert_store.h. */
#include "store/alert_store.h"

#include "base/str.h"
#include "store/sql.h"

static enum gw_rc finish(struct cp_store *s, struct cp_sql *q, struct gw_error *err)
{
	enum gw_rc rc = cp_sql_close(q, err);
	if (rc == GW_OK)
		return cp_write_commit(s, err);
	cp_write_failed(s, rc);
	cp_write_abort(s);
	return rc;
}

/* SQLite's own REAL: a value is measured, not counted. */
static void bind_real(struct cp_sql *q, double v)
{
	if (q->rc == SQLITE_OK)
		q->rc = sqlite3_bind_double(q->st, ++q->at, v);
}

enum gw_rc cp_alert_open(struct cp_store *s, struct cp_alert_event *e, struct gw_error *err)
{
	struct cp_sql q;
	enum gw_rc rc = cp_write_begin(s, err);
	if (rc != GW_OK)
		return rc;
	cp_sql_open(&q, s->writer, "INSERT INTO alert_events (rule, object, severity, text, value, started_at, silenced)"
				   " VALUES (?, ?, ?, ?, ?, ?, ?)");
	cp_sql_text(&q, e->rule);
	cp_sql_text(&q, e->object.p ? e->object : GW_STR(""));
	cp_sql_text(&q, e->severity);
	cp_sql_text(&q, e->text);
	bind_real(&q, e->value);
	cp_sql_int(&q, e->started_at_ms);
	cp_sql_int(&q, e->silenced);
	cp_sql_row(&q);
	e->id = sqlite3_last_insert_rowid(s->writer);
	return finish(s, &q, err);
}

enum gw_rc cp_alert_end(struct cp_store *s, int64_t id, int64_t at_ms, struct gw_error *err)
{
	struct cp_sql q;
	enum gw_rc rc = cp_write_begin(s, err);
	if (rc != GW_OK)
		return rc;
	cp_sql_open(&q, s->writer, "UPDATE alert_events SET ended_at = ? WHERE id = ? AND ended_at IS NULL");
	cp_sql_int(&q, at_ms);
	cp_sql_int(&q, id);
	return finish(s, &q, err);
}

enum gw_rc cp_alert_touch(struct cp_store *s, const struct cp_alert_event *e, struct gw_error *err)
{
	struct cp_sql q;
	enum gw_rc rc = cp_write_begin(s, err);
	if (rc != GW_OK)
		return rc;
	cp_sql_open(&q, s->writer, "UPDATE alert_events SET text = ?, value = ?, silenced = ? WHERE id = ?");
	cp_sql_text(&q, e->text);
	bind_real(&q, e->value);
	cp_sql_int(&q, e->silenced);
	cp_sql_int(&q, e->id);
	return finish(s, &q, err);
}

enum gw_rc cp_alerts_each(struct cp_txn *t, struct gw_str rule, bool open_only, int64_t before,
			  bool (*row)(void *arg, const struct cp_alert_event *e), void *arg, struct gw_error *err)
{
	struct cp_sql q;
	cp_sql_open(&q, t->db, "SELECT id, rule, object, severity, text, value, started_at, ended_at, silenced FROM alert_events"
			       " WHERE (?1 IS NULL OR rule = ?1) AND (?2 = 0 OR ended_at IS NULL) AND (?3 = 0 OR id < ?3) ORDER BY id DESC");
	cp_sql_text(&q, rule);
	cp_sql_int(&q, open_only);
	cp_sql_int(&q, before);
	while (cp_sql_row(&q)) {
		struct cp_alert_event e = { .id = cp_col_int(&q, 0), .rule = cp_col_text(&q, 1), .object = cp_col_text(&q, 2),
			.severity = cp_col_text(&q, 3), .text = cp_col_text(&q, 4), .value = sqlite3_column_double(q.st, 5),
			.started_at_ms = cp_col_int(&q, 6), .ended_at_ms = cp_col_int(&q, 7), .silenced = cp_col_int(&q, 8) };
		if (!row(arg, &e))
			break;
	}
	return cp_sql_close(&q, err);
}

enum gw_rc cp_delivery_add(struct cp_store *s, const struct cp_delivery *d, struct gw_error *err)
{
	struct cp_sql q;
	enum gw_rc rc = cp_write_begin(s, err);
	if (rc != GW_OK)
		return rc;
	cp_sql_open(&q, s->writer, "INSERT INTO alert_deliveries (event, channel, state, at, tries, ok, detail) VALUES (?, ?, ?, ?, ?, ?, ?)");
	cp_sql_int(&q, d->event);
	cp_sql_text(&q, d->channel);
	cp_sql_text(&q, d->state);
	cp_sql_int(&q, d->at_ms);
	cp_sql_int(&q, d->tries);
	cp_sql_int(&q, d->ok);
	cp_sql_text(&q, d->detail.p ? d->detail : GW_STR(""));
	return finish(s, &q, err);
}

enum gw_rc cp_deliveries_each(struct cp_txn *t, int64_t event, bool (*row)(void *arg, const struct cp_delivery *d), void *arg,
			      struct gw_error *err)
{
	struct cp_sql q;
	cp_sql_open(&q, t->db, "SELECT channel, state, at, tries, ok, detail FROM alert_deliveries WHERE event = ? ORDER BY id");
	cp_sql_int(&q, event);
	while (cp_sql_row(&q)) {
		struct cp_delivery d = { .event = event, .channel = cp_col_text(&q, 0), .state = cp_col_text(&q, 1), .at_ms = cp_col_int(&q, 2),
			.tries = cp_col_int(&q, 3), .ok = cp_col_int(&q, 4), .detail = cp_col_text(&q, 5) };
		if (!row(arg, &d))
			break;
	}
	return cp_sql_close(&q, err);
}

enum gw_rc cp_alerts_trim(struct cp_store *s, int64_t before_ms, struct gw_error *err)
{
	struct cp_sql q;
	enum gw_rc rc = cp_write_begin(s, err);
	if (rc != GW_OK)
		return rc;
	cp_sql_open(&q, s->writer, "DELETE FROM alert_deliveries WHERE event IN (SELECT id FROM alert_events WHERE ended_at < ? ORDER BY id LIMIT 1000)");
	cp_sql_int(&q, before_ms);
	rc = cp_sql_close(&q, err);
	if (rc != GW_OK) {
		cp_write_failed(s, rc);
		cp_write_abort(s);
		return rc;
	}
	cp_sql_open(&q, s->writer, "DELETE FROM alert_events WHERE id IN (SELECT id FROM alert_events WHERE ended_at < ? ORDER BY id LIMIT 1000)");
	cp_sql_int(&q, before_ms);
	return finish(s, &q, err);
}
