/* usage_read.c - reading the ledger's sums. */
#include "base/str.h"
#include "store/sql.h"
#include "store/usage_store.h"

static void call_bucket(sqlite3_context *x, int n, sqlite3_value **v)
{
	const struct cp_usage_query *q = sqlite3_user_data(x);
	(void)n;
	sqlite3_result_int64(x, q->bucket(q->arg, sqlite3_value_int64(v[0])));
}

/* A dimension that is not grouped by collapses to NULL, so constant statements serve every grouping. */
#define X_SUM(name) ", sum(" #name ")"
#define COLUMNS(group, time)                                                                                       \
	"SELECT iif(?1 & 1, consumer, NULL) AS d1, " group " AS d2, iif(?1 & 4, key_id, NULL) AS d3,"              \
	" iif(?1 & 8, route, NULL) AS d4, iif(?1 & 16, provider, NULL) AS d5, iif(?1 & 32, model, NULL) AS d6, "   \
	time " AS t, currency" CP_USAGE_SUMS(X_SUM) ", sum(cost) FROM usage_rollups"
#define EACH_GROUP ", json_each(iif(consumer_groups = '', '[\"\"]', '[\"' || replace(consumer_groups, ',', '\",\"') || '\"]')) AS g"
#define WHERE                                                                                                      \
	" WHERE step = ?2 AND bucket >= ?3 AND bucket < ?4 AND (?5 IS NULL OR consumer = ?5)"                       \
	" AND (?6 IS NULL OR (?6 = '' AND consumer_groups = '') OR instr(',' || consumer_groups || ',', ',' || nullif(?6, '') || ',') > 0)" \
	" AND (?7 IS NULL OR key_id = ?7) AND (?8 IS NULL OR route = ?8) AND (?9 IS NULL OR provider = ?9)"         \
	" AND (?10 IS NULL OR model = ?10) GROUP BY t, d1, d2, d3, d4, d5, d6, currency"                            \
	" ORDER BY t, d1, d2, d3, d4, d5, d6, currency"

static_assert(CP_BY_consumer == 1 && CP_BY_consumer_group == 2 && CP_BY_key_id == 4 && CP_BY_route == 8 && CP_BY_provider == 16 &&
	      CP_BY_model == 32, "the bits in the statements");

static const char *statement(unsigned by)
{
	bool time = by & CP_BY_TIME, group = by & CP_BY_consumer_group;
	if (time && group)
		return COLUMNS("g.value", "tg_bucket(bucket)") EACH_GROUP WHERE;
	if (group)
		return COLUMNS("g.value", "0") EACH_GROUP WHERE;
	return time ? COLUMNS("NULL", "tg_bucket(bucket)") WHERE : COLUMNS("NULL", "0") WHERE;
}

static void fill(struct cp_usage_sum *s, struct cp_sql *q, unsigned by)
{
	int at = CP_USAGE_DIM_COUNT;
	*s = (struct cp_usage_sum){ .time_ms = 0 };
	for (int i = 0; i < CP_USAGE_DIM_COUNT; i++)
		if (by & 1u << i) {
			struct gw_str text = cp_col_text(q, i);
			s->dim[i] = text.p != NULL ? text : GW_STR("");
		}
	s->time_ms = cp_col_int(q, at++);
	s->currency = cp_col_text(q, at++);
#define X(name) s->name = cp_col_int(q, at++);
	CP_USAGE_SUMS(X)
#undef X
	s->cost = cp_col_int(q, at);
}

enum gw_rc cp_usage_each(struct cp_txn *t, const struct cp_usage_query *u,
			 bool (*row)(void *arg, const struct cp_usage_sum *s), void *arg, struct gw_error *err)
{
	struct cp_sql q;
	struct cp_usage_sum sum;
	unsigned by = u->group_by;
	if (by & CP_BY_TIME)
		sqlite3_create_function(t->db, "tg_bucket", 1, SQLITE_UTF8 | SQLITE_DETERMINISTIC, (void *)(uintptr_t)u, call_bucket, NULL, NULL);
	cp_sql_open(&q, t->db, statement(by));
	cp_sql_int(&q, by);
	cp_sql_int(&q, u->step);
	cp_sql_int(&q, u->from_ms / (u->step * 1000LL) * (u->step * 1000LL));
	cp_sql_int(&q, u->to_ms);
	for (int i = 0; i < CP_USAGE_DIM_COUNT; i++)
		cp_sql_text(&q, u->dim[i]);
	while (cp_sql_row(&q)) {
		fill(&sum, &q, by);
		if (!row(arg, &sum))
			break;
	}
	enum gw_rc rc = cp_sql_close(&q, err);
	if (by & CP_BY_TIME) /* the connection goes back to its pool */
		sqlite3_create_function(t->db, "tg_bucket", 1, SQLITE_UTF8, NULL, NULL, NULL, NULL);
	return rc;
}

enum gw_rc cp_usage_first(struct cp_txn *t, int64_t *at_ms, struct gw_error *err)
{
	struct cp_sql q;
	cp_sql_open(&q, t->db, "SELECT coalesce(min(started_at_ms), (SELECT min(bucket) FROM usage_rollups), 0) FROM requests");
	*at_ms = cp_sql_row(&q) ? cp_col_int(&q, 0) : 0;
	return cp_sql_close(&q, err);
}
