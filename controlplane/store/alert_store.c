/* alert_store.c - see alert_store.h. */
#include "store/alert_store.h"

#include "base/str.h"
#include "store/sql.h"

static struct gw_str or_empty(struct gw_str s)
{
	return s.p ? s : GW_STR("");
}

/* SQLite's own REAL: a value is measured, not counted. */
static void bind_real(struct cp_sql *q, double v)
{
	if (q->rc == SQLITE_OK)
		q->rc = sqlite3_bind_double(q->st, ++q->at, v);
}

/* ---- telling ---- */

static enum gw_rc add_delivery(sqlite3 *db, const struct cp_delivery *d, struct gw_error *err)
{
	struct cp_sql q;
	cp_sql_open(&q, db, "INSERT INTO alert_deliveries (event, channel, state, at, tries, ok, detail) VALUES (?, ?, ?, ?, ?, ?, ?)");
	cp_sql_int(&q, d->event);
	cp_sql_text(&q, d->channel);
	cp_sql_text(&q, d->state);
	cp_sql_int(&q, d->at_ms);
	cp_sql_int(&q, d->tries);
	cp_sql_int(&q, d->ok);
	cp_sql_text(&q, or_empty(d->detail));
	return cp_sql_close(&q, err);
}

static enum gw_rc add_message(sqlite3 *db, int64_t event, struct gw_str channel, struct gw_str state, const struct cp_telling *tell,
			      int64_t *waiting, struct gw_error *err)
{
	struct cp_sql q;
	if (*waiting >= CP_OUTBOX_MAX) {
		struct cp_delivery lost = { .event = event, .channel = channel, .state = state, .at_ms = tell->at_ms,
					    .detail = GW_STR("too many messages wait, this one was not taken") };
		return add_delivery(db, &lost, err);
	}
	(*waiting)++;
	cp_sql_open(&q, db, "INSERT INTO alert_outbox (event, channel, state, text, text_zh, description, value, made_at, due_at)"
			    " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?8)");
	cp_sql_int(&q, event);
	cp_sql_text(&q, channel);
	cp_sql_text(&q, state);
	cp_sql_text(&q, or_empty(tell->text));
	cp_sql_text(&q, or_empty(tell->text_zh));
	cp_sql_text(&q, or_empty(tell->description));
	bind_real(&q, tell->value);
	cp_sql_int(&q, tell->at_ms);
	return cp_sql_close(&q, err);
}

static enum gw_rc count_waiting(sqlite3 *db, int64_t *out, struct gw_error *err)
{
	struct cp_sql q;
	cp_sql_open(&q, db, "SELECT count(*) FROM alert_outbox");
	*out = cp_sql_row(&q) ? cp_col_int(&q, 0) : 0;
	return cp_sql_close(&q, err);
}

static enum gw_rc say_firing(sqlite3 *db, int64_t event, const struct cp_telling *tell, struct gw_error *err)
{
	struct cp_sql q;
	int64_t waiting = 0;
	if (tell == NULL)
		return GW_OK;
	enum gw_rc rc = count_waiting(db, &waiting, err);
	for (size_t i = 0; i < tell->channels.n && rc == GW_OK; i++)
		rc = add_message(db, event, tell->channels.v[i], GW_STR("firing"), tell, &waiting, err);
	if (rc != GW_OK)
		return rc;
	cp_sql_open(&q, db, "UPDATE alert_events SET told_at = ? WHERE id = ?");
	cp_sql_int(&q, tell->at_ms);
	cp_sql_int(&q, event);
	return cp_sql_close(&q, err);
}

/* Who heard of the beginning, or is still to hear of it. */
static enum gw_rc say_resolved(sqlite3 *db, int64_t event, const struct cp_telling *tell, struct gw_error *err)
{
	struct cp_sql q;
	int64_t waiting = 0;
	if (tell == NULL)
		return GW_OK;
	enum gw_rc rc = count_waiting(db, &waiting, err);
	if (rc != GW_OK)
		return rc;
	struct gw_arena *a = gw_arena_open(0);
	struct gw_str channel[64]; /* a rule has twenty */
	size_t n = 0;
	cp_sql_open(&q, db, "SELECT channel FROM alert_deliveries WHERE event = ?1 AND state = 'firing'"
			    " UNION SELECT channel FROM alert_outbox WHERE event = ?1 AND state = 'firing'");
	cp_sql_int(&q, event);
	while (n < GW_COUNT(channel) && cp_sql_row(&q))
		channel[n++] = gw_arena_copy(a, cp_col_text(&q, 0));
	rc = cp_sql_close(&q, err);
	for (size_t i = 0; i < n && rc == GW_OK; i++)
		rc = add_message(db, event, channel[i], GW_STR("resolved"), tell, &waiting, err);
	gw_arena_close(&a);
	return rc;
}

/* ---- events ---- */

enum gw_rc cp_alert_open(struct cp_store *s, struct cp_alert_event *e, const struct cp_telling *tell, struct gw_error *err)
{
	struct cp_sql q;
	enum gw_rc rc = cp_write_begin(s, err);
	if (rc != GW_OK)
		return rc;
	cp_sql_open(&q, s->writer, "INSERT INTO alert_events (rule, object, severity, text, text_zh, value, started_at, silenced)"
				   " VALUES (?, ?, ?, ?, ?, ?, ?, ?)");
	cp_sql_text(&q, e->rule);
	cp_sql_text(&q, or_empty(e->object));
	cp_sql_text(&q, e->severity);
	cp_sql_text(&q, e->text);
	cp_sql_text(&q, or_empty(e->text_zh));
	bind_real(&q, e->value);
	cp_sql_int(&q, e->started_at_ms);
	cp_sql_int(&q, e->silenced);
	cp_sql_row(&q);
	e->id = sqlite3_last_insert_rowid(s->writer);
	rc = cp_sql_close(&q, err);
	if (rc == GW_OK)
		rc = say_firing(s->writer, e->id, tell, err);
	return cp_write_end(s, rc, err);
}

enum gw_rc cp_alert_end(struct cp_store *s, int64_t id, int64_t at_ms, const struct cp_telling *tell, struct gw_error *err)
{
	struct cp_sql q;
	enum gw_rc rc = cp_write_begin(s, err);
	if (rc != GW_OK)
		return rc;
	cp_sql_open(&q, s->writer, "UPDATE alert_events SET ended_at = ? WHERE id = ? AND ended_at IS NULL");
	cp_sql_int(&q, at_ms);
	cp_sql_int(&q, id);
	rc = cp_sql_close(&q, err);
	if (rc == GW_OK && sqlite3_changes(s->writer) == 1)
		rc = say_resolved(s->writer, id, tell, err);
	return cp_write_end(s, rc, err);
}

enum gw_rc cp_alert_touch(struct cp_store *s, const struct cp_alert_event *e, const struct cp_telling *tell, struct gw_error *err)
{
	struct cp_sql q;
	enum gw_rc rc = cp_write_begin(s, err);
	if (rc != GW_OK)
		return rc;
	cp_sql_open(&q, s->writer, "UPDATE alert_events SET text = ?, text_zh = ?, value = ?, silenced = ? WHERE id = ?");
	cp_sql_text(&q, e->text);
	cp_sql_text(&q, or_empty(e->text_zh));
	bind_real(&q, e->value);
	cp_sql_int(&q, e->silenced);
	cp_sql_int(&q, e->id);
	rc = cp_sql_close(&q, err);
	if (rc == GW_OK)
		rc = say_firing(s->writer, e->id, tell, err);
	return cp_write_end(s, rc, err);
}

#define EVENTS "SELECT id, rule, object, severity, text, value, started_at, ended_at, silenced, told_at, text_zh FROM alert_events"

enum gw_rc cp_alerts_each(struct cp_txn *t, struct gw_str rule, bool open_only, int64_t before,
			  bool (*row)(void *arg, const struct cp_alert_event *e), void *arg, struct gw_error *err)
{
	/* By rule, open ones: each walks an index of its own. */
	static const char *const texts[2][2] = {
		{ EVENTS " WHERE id < ?1 ORDER BY id DESC",
		  EVENTS " INDEXED BY alert_events_open WHERE ended_at IS NULL AND id < ?1 ORDER BY id DESC" },
		{ EVENTS " INDEXED BY alert_events_by_rule WHERE rule = ?2 AND id < ?1 ORDER BY id DESC",
		  EVENTS " INDEXED BY alert_events_open WHERE ended_at IS NULL AND id < ?1 AND rule = ?2 ORDER BY id DESC" },
	};
	struct cp_sql q;
	cp_sql_open(&q, t->db, texts[rule.n > 0][open_only]);
	cp_sql_int(&q, before > 0 ? before : INT64_MAX);
	if (rule.n > 0)
		cp_sql_text(&q, rule);
	while (cp_sql_row(&q)) {
		struct cp_alert_event e = { .id = cp_col_int(&q, 0), .rule = cp_col_text(&q, 1), .object = cp_col_text(&q, 2),
			.severity = cp_col_text(&q, 3), .text = cp_col_text(&q, 4), .value = sqlite3_column_double(q.st, 5),
			.started_at_ms = cp_col_int(&q, 6), .ended_at_ms = cp_col_int(&q, 7), .silenced = cp_col_int(&q, 8),
			.told_at_ms = cp_col_int(&q, 9), .text_zh = cp_col_text(&q, 10) };
		if (!row(arg, &e))
			break;
	}
	return cp_sql_close(&q, err);
}

/* ---- the outbox ---- */

enum gw_rc cp_message_first(struct cp_txn *t, struct gw_arena *a, struct cp_message *out, struct gw_error *err)
{
	struct cp_sql q;
	bool found;
	cp_sql_open(&q, t->db, "SELECT o.id, o.event, o.tries, o.channel, o.state, e.rule, e.object, e.severity, o.text, o.description,"
			       " o.value, e.started_at, e.ended_at, o.made_at, o.due_at, o.text_zh FROM alert_outbox o JOIN alert_events e ON e.id = o.event"
			       " WHERE NOT EXISTS (SELECT 1 FROM alert_outbox b WHERE b.event = o.event AND b.channel = o.channel AND b.id < o.id)"
			       " ORDER BY o.due_at, o.id LIMIT 1");
	found = cp_sql_row(&q);
	if (found) {
		struct gw_str *const texts[] = { &out->channel, &out->state, &out->rule, &out->object, &out->severity, &out->text, &out->description };
		*out = (struct cp_message){ .id = cp_col_int(&q, 0), .event = cp_col_int(&q, 1), .tries = cp_col_int(&q, 2),
					    .value = sqlite3_column_double(q.st, 10), .started_at_ms = cp_col_int(&q, 11),
					    .ended_at_ms = cp_col_int(&q, 12), .made_at_ms = cp_col_int(&q, 13), .due_at_ms = cp_col_int(&q, 14) };
		for (size_t i = 0; i < GW_COUNT(texts); i++)
			*texts[i] = gw_arena_copy(a, or_empty(cp_col_text(&q, (int)i + 3)));
		out->text_zh = gw_arena_copy(a, or_empty(cp_col_text(&q, 15)));
	}
	enum gw_rc rc = cp_sql_close(&q, err);
	return rc == GW_OK && !found ? GW_NOTFOUND : rc;
}

enum gw_rc cp_message_later(struct cp_store *s, const struct cp_message *m, int64_t due_ms, struct gw_str why, struct gw_error *err)
{
	struct cp_sql q;
	enum gw_rc rc = cp_write_begin(s, err);
	if (rc != GW_OK)
		return rc;
	cp_sql_open(&q, s->writer, "UPDATE alert_outbox SET due_at = max(due_at, ?1), tries = tries + (id = ?2),"
				   " detail = iif(id = ?2, ?3, detail) WHERE channel = ?4");
	cp_sql_int(&q, due_ms);
	cp_sql_int(&q, m->id);
	cp_sql_text(&q, or_empty(why));
	cp_sql_text(&q, m->channel);
	return cp_write_end(s, cp_sql_close(&q, err), err);
}

enum gw_rc cp_message_done(struct cp_store *s, const struct cp_message *m, const struct cp_delivery *d, struct gw_error *err)
{
	struct cp_sql q;
	enum gw_rc rc = cp_write_begin(s, err);
	if (rc != GW_OK)
		return rc;
	cp_sql_open(&q, s->writer, "DELETE FROM alert_outbox WHERE id = ?");
	cp_sql_int(&q, m->id);
	rc = cp_sql_close(&q, err);
	if (rc == GW_OK)
		rc = add_delivery(s->writer, d, err);
	return cp_write_end(s, rc, err);
}

enum gw_rc cp_deliveries_each(struct cp_txn *t, int64_t event, bool (*row)(void *arg, const struct cp_delivery *d), void *arg,
			      struct gw_error *err)
{
	struct cp_sql q;
	cp_sql_open(&q, t->db, "SELECT channel, state, at, tries, ok, detail, 0 AS pending, id FROM alert_deliveries WHERE event = ?1"
			       " UNION ALL SELECT channel, state, due_at, tries, 0, detail, 1, id FROM alert_outbox WHERE event = ?1"
			       " ORDER BY pending, id");
	cp_sql_int(&q, event);
	while (cp_sql_row(&q)) {
		struct cp_delivery d = { .event = event, .channel = cp_col_text(&q, 0), .state = cp_col_text(&q, 1), .at_ms = cp_col_int(&q, 2),
			.tries = cp_col_int(&q, 3), .ok = cp_col_int(&q, 4), .detail = cp_col_text(&q, 5), .pending = cp_col_int(&q, 6) };
		if (!row(arg, &d))
			break;
	}
	return cp_sql_close(&q, err);
}

enum gw_rc cp_alerts_trim(struct cp_store *s, int64_t before_ms, struct gw_error *err)
{
#define OLD "(SELECT id FROM alert_events WHERE ended_at < ? ORDER BY id LIMIT 1000)"
	static const char *const texts[] = { /* the events last: the others are found by them */
		"DELETE FROM alert_deliveries WHERE event IN " OLD, "DELETE FROM alert_outbox WHERE event IN " OLD,
		"DELETE FROM alert_events WHERE id IN " OLD,
	};
#undef OLD
	struct cp_sql q;
	enum gw_rc rc = cp_write_begin(s, err);
	if (rc != GW_OK)
		return rc;
	for (size_t i = 0; i < GW_COUNT(texts) && rc == GW_OK; i++) {
		cp_sql_open(&q, s->writer, texts[i]);
		cp_sql_int(&q, before_ms);
		rc = cp_sql_close(&q, err);
	}
	return cp_write_end(s, rc, err);
}
