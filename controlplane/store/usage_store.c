/* usage_store.c - writing the ledger: rows exactly once, sums and balances in step with them. */
#include "store/usage_store.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/str.h"
#include "base/time.h"
#include "store/sql.h"

#define TRIM_STEP 2000
#define DAY_MS    86400000LL

static const int steps[] = { CP_STEP_5MIN, CP_STEP_HOUR, CP_STEP_DAY };

static struct gw_str text_or_empty(struct gw_str s)
{
	return s.p != NULL ? s : GW_STR("");
}

static int64_t positive(int64_t n)
{
	return n > 0 ? n : 0;
}

static bool failed(const struct gw_usage_record *r)
{
	return r->status >= 400 || r->end_reason == GW_END_UPSTREAM_ERROR || r->end_reason == GW_END_TIMEOUT;
}

/* ---- statements, prepared once per store: preparing costs more than running ---- */

#define X_NAME(name) #name ", "
#define X_HOLE(name) "?, "
#define X_MORE(name) ", " #name " = " #name " + excluded." #name

static const char *const texts[CP_USAGE_STATEMENTS] = {
	[CP_USAGE_SEEN] = "SELECT seq FROM usage_seen WHERE boot_id = ?",
	[CP_USAGE_SEE] = "INSERT INTO usage_seen (boot_id, seq, at) VALUES (?, ?, ?) ON CONFLICT (boot_id)"
			 " DO UPDATE SET seq = excluded.seq, at = excluded.at",
	[CP_USAGE_ROW] = "INSERT INTO requests (boot_id, node, " GW_USAGE_TEXTS(X_NAME) GW_USAGE_INTS(X_NAME)
			 "end_reason, usage_source) VALUES (?, ?, " GW_USAGE_TEXTS(X_HOLE) GW_USAGE_INTS(X_HOLE) "?, ?)",
	[CP_USAGE_SUM] = "INSERT INTO usage_rollups (step, bucket, consumer, key_id, route, provider, model, currency, consumer_groups, "
			 CP_USAGE_SUMS(X_NAME) "cost) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, " CP_USAGE_SUMS(X_HOLE) "?)"
			 " ON CONFLICT (step, bucket, consumer, key_id, route, provider, model, currency, consumer_groups)"
			 " DO UPDATE SET cost = cost + excluded.cost" CP_USAGE_SUMS(X_MORE),
	[CP_USAGE_KEY] = "INSERT INTO uses (kind, name, last_at, count) VALUES ('credentials', ?, ?, ?) ON CONFLICT (kind, name)"
			 " DO UPDATE SET last_at = max(last_at, excluded.last_at), count = count + excluded.count",
	[CP_USAGE_QUOTA] = "INSERT INTO quota_periods (quota, from_ms, used, adjusted, told) VALUES (?, ?, ?, 0, 0)"
			   " ON CONFLICT (quota, from_ms) DO UPDATE SET used = used + excluded.used",
	[CP_USAGE_SHARE] = "INSERT INTO quota_shares (quota, from_ms, boot_id, node, ceiling, used) VALUES (?, ?, ?, ?, 0, ?)"
			   " ON CONFLICT (quota, from_ms, boot_id) DO UPDATE SET used = used + excluded.used",
};

static struct cp_sql *statement(struct cp_store *s, enum cp_usage_statement which)
{
	struct cp_sql *q = &s->usage[which];
	if (q->st == NULL)
		cp_sql_open(q, s->writer, texts[which]);
	return q;
}

void cp_usage_statements_close(struct cp_store *s)
{
	for (size_t i = 0; i < GW_COUNT(s->usage); i++) {
		sqlite3_finalize(s->usage[i].st);
		s->usage[i] = (struct cp_sql){ 0 };
	}
}

/* One that failed is prepared anew the next time. */
static enum gw_rc run(struct cp_sql *q, struct gw_error *err)
{
	enum gw_rc rc = cp_sql_again(q, err);
	if (rc != GW_OK) {
		sqlite3_finalize(q->st);
		*q = (struct cp_sql){ 0 };
	}
	return rc;
}

/* The text outlives the step. */
static void bind(struct cp_sql *q, struct gw_str s)
{
	s = text_or_empty(s);
	if (q->rc == SQLITE_OK)
		q->rc = sqlite3_bind_text64(q->st, ++q->at, s.p, s.n, SQLITE_STATIC, SQLITE_UTF8);
}

/* ---- what a transaction adds up ---- */

struct sum {
	int step;
	int64_t bucket;
	const struct gw_usage_record *r; /* whose names these are */
#define X(name) int64_t name;
	CP_USAGE_SUMS(X)
#undef X
	int64_t cost;
	struct sum *next;
};

struct key_use { struct gw_str id; int64_t last_at, count; struct key_use *next; };

struct quota_use { struct cp_charge c; struct gw_str boot_id, node; struct quota_use *next; };

struct cp_usage_writing {
	struct cp_store *store;
	struct gw_arena *arena;
	struct gw_map *found;            /* identity → struct sum, key_use or quota_use */
	struct sum *sums;
	struct key_use *keys;
	struct quota_use *quotas;
	struct gw_buf name;              /* scratch */
};

enum gw_rc cp_usage_open(struct cp_usage_writing **out, struct cp_store *s, struct gw_error *err)
{
	*out = NULL;
	enum gw_rc rc = cp_write_begin(s, err);
	if (rc != GW_OK)
		return rc;
	struct cp_usage_writing *w = gw_alloc(sizeof *w);
	w->store = s;
	w->arena = gw_arena_open(16384);
	w->found = gw_map_open(256);
	gw_buf_init(&w->name, 1 << 16);
	*out = w;
	return GW_OK;
}

static void release(struct cp_usage_writing *w)
{
	gw_map_close(&w->found);
	gw_arena_close(&w->arena);
	gw_buf_fini(&w->name);
	free(w);
}

void cp_usage_abort(struct cp_usage_writing **out)
{
	struct cp_usage_writing *w = *out;
	if (w == NULL)
		return;
	*out = NULL;
	cp_write_abort(w->store);
	release(w);
}

static struct gw_str model_of(const struct gw_usage_record *r)
{
	/* A model that nobody serves is a stranger's text: it must not grow the table. */
	return r->served_model.n > 0 ? r->served_model : r->route.n > 0 ? text_or_empty(r->requested_model) : GW_STR("");
}

/* The thing of this identity (in w->name); a new one of `size` bytes, zeroed, when *fresh. */
static void *find(struct cp_usage_writing *w, size_t size, bool *fresh)
{
	void *v = gw_map_get(w->found, gw_buf_str(&w->name));
	*fresh = v == NULL;
	if (v == NULL) {
		v = gw_arena_alloc(w->arena, size);
		gw_map_put(w->found, gw_arena_copy(w->arena, gw_buf_str(&w->name)), v);
	}
	return v;
}

static void name_part(struct cp_usage_writing *w, struct gw_str s)
{
	s = text_or_empty(s);
	gw_buf_add(&w->name, s);
	gw_buf_add_byte(&w->name, 0);
}

static void add_sums(struct cp_usage_writing *w, const struct gw_usage_record *r)
{
	bool fresh;
	for (size_t i = 0; i < GW_COUNT(steps); i++) {
		int64_t ms = steps[i] * 1000LL, bucket = r->started_at_ms / ms * ms;
		gw_buf_clear(&w->name);
		gw_buf_printf(&w->name, "s%zu %lld ", i, (long long)bucket);
		name_part(w, r->consumer);
		name_part(w, r->key_id);
		name_part(w, r->route);
		name_part(w, r->provider);
		name_part(w, model_of(r));
		name_part(w, r->currency);
		name_part(w, r->consumer_groups);
		struct sum *s = find(w, sizeof *s, &fresh);
		if (fresh) {
			s->step = steps[i];
			s->bucket = bucket;
			s->r = r;
			s->next = w->sums;
			w->sums = s;
		}
		s->requests++;
		s->errors += failed(r);
		s->estimated += r->usage_source == GW_USAGE_ESTIMATED;
		s->unpriced += r->currency.n == 0 && (r->prompt_tokens > 0 || r->completion_tokens > 0);
		s->prompt_tokens += positive(r->prompt_tokens);
		s->completion_tokens += positive(r->completion_tokens);
		s->cached_tokens += positive(r->cached_tokens);
		s->cache_write_tokens += positive(r->cache_write_tokens);
		s->reasoning_tokens += positive(r->reasoning_tokens);
		s->images += positive(r->images);
		s->cost += positive(r->cost);
	}
}

static void add_key(struct cp_usage_writing *w, const struct gw_usage_record *r)
{
	bool fresh;
	if (r->key_id.n == 0)
		return;
	gw_buf_clear(&w->name);
	gw_buf_add_c(&w->name, "k ");
	name_part(w, r->key_id);
	struct key_use *k = find(w, sizeof *k, &fresh);
	if (fresh) {
		k->id = r->key_id;
		k->next = w->keys;
		w->keys = k;
	}
	k->count++;
	if (r->started_at_ms > k->last_at)
		k->last_at = r->started_at_ms;
}

static void add_charge(struct cp_usage_writing *w, struct gw_str node, struct gw_str boot_id, const struct cp_charge *c)
{
	bool fresh;
	gw_buf_clear(&w->name);
	gw_buf_printf(&w->name, "q%lld ", (long long)c->from_ms);
	name_part(w, c->quota);
	name_part(w, boot_id);
	struct quota_use *q = find(w, sizeof *q, &fresh);
	if (fresh) {
		q->c = (struct cp_charge){ c->quota, c->from_ms, 0 };
		q->boot_id = boot_id;
		q->node = node;
		q->next = w->quotas;
		w->quotas = q;
	}
	q->c.amount += c->amount;
}

/* The highest number that is stored of this process; 0: none. */
static enum gw_rc seen(struct cp_store *s, struct gw_str boot_id, int64_t *seq, struct gw_error *err)
{
	struct cp_sql *q = statement(s, CP_USAGE_SEEN);
	bind(q, boot_id);
	*seq = 0;
	while (cp_sql_row(q))
		*seq = cp_col_int(q, 0);
	return run(q, err);
}

static enum gw_rc see(struct cp_store *s, struct gw_str boot_id, int64_t seq, int64_t at_ms, struct gw_error *err)
{
	struct cp_sql *q = statement(s, CP_USAGE_SEE);
	bind(q, boot_id);
	cp_sql_int(q, seq);
	cp_sql_int(q, at_ms);
	return run(q, err);
}

static enum gw_rc add_row(struct cp_sql *q, struct gw_str node, struct gw_str boot_id, const struct gw_usage_record *r,
			  struct gw_error *err)
{
	bind(q, boot_id);
	bind(q, node);
#define X(name) bind(q, r->name);
	GW_USAGE_TEXTS(X)
#undef X
#define X(name) cp_sql_int(q, r->name);
	GW_USAGE_INTS(X)
#undef X
	bind(q, gw_str_c(gw_end_name(r->end_reason)));
	bind(q, gw_str_c(gw_usage_source_name(r->usage_source)));
	return run(q, err);
}

enum gw_rc cp_usage_add(struct cp_usage_writing *w, struct gw_str node, struct gw_str boot_id,
			const struct gw_usage_record *records, size_t n, cp_charge_fn *charge, void *arg, size_t *stored,
			struct gw_error *err)
{
	struct cp_charge charges[CP_CHARGES_MAX];
	int64_t before = 0, last;
	enum gw_rc rc = seen(w->store, boot_id, &before, err);
	*stored = 0;
	last = before;
	for (size_t i = 0; i < n && rc == GW_OK; i++) {
		if (records[i].seq <= last)
			continue; /* sent again */
		rc = add_row(statement(w->store, CP_USAGE_ROW), node, boot_id, &records[i], err);
		if (rc != GW_OK)
			break;
		last = records[i].seq;
		++*stored;
		add_sums(w, &records[i]);
		add_key(w, &records[i]);
		size_t m = charge != NULL ? charge(arg, &records[i], charges) : 0;
		for (size_t k = 0; k < m; k++)
			add_charge(w, node, boot_id, &charges[k]);
	}
	if (rc == GW_OK && last > before)
		rc = see(w->store, boot_id, last, gw_now_ms(), err);
	return rc;
}

static enum gw_rc write_sums(struct cp_usage_writing *w, struct gw_error *err)
{
	enum gw_rc rc = GW_OK;
	for (const struct sum *s = w->sums; s != NULL && rc == GW_OK; s = s->next) {
		struct cp_sql *q = statement(w->store, CP_USAGE_SUM);
		cp_sql_int(q, s->step);
		cp_sql_int(q, s->bucket);
		bind(q, s->r->consumer);
		bind(q, s->r->key_id);
		bind(q, s->r->route);
		bind(q, s->r->provider);
		bind(q, model_of(s->r));
		bind(q, s->r->currency);
		bind(q, s->r->consumer_groups);
#define X(name) cp_sql_int(q, s->name);
		CP_USAGE_SUMS(X)
#undef X
		cp_sql_int(q, s->cost);
		rc = run(q, err);
	}
	return rc;
}

static enum gw_rc write_rest(struct cp_usage_writing *w, struct gw_error *err)
{
	enum gw_rc rc = GW_OK;
	for (const struct key_use *k = w->keys; k != NULL && rc == GW_OK; k = k->next) {
		struct cp_sql *q = statement(w->store, CP_USAGE_KEY);
		bind(q, k->id);
		cp_sql_int(q, k->last_at);
		cp_sql_int(q, k->count);
		rc = run(q, err);
	}
	for (const struct quota_use *u = w->quotas; u != NULL && rc == GW_OK; u = u->next) {
		struct cp_sql *q = statement(w->store, CP_USAGE_QUOTA);
		bind(q, u->c.quota);
		cp_sql_int(q, u->c.from_ms);
		cp_sql_int(q, u->c.amount);
		rc = run(q, err);
		if (rc != GW_OK)
			break;
		q = statement(w->store, CP_USAGE_SHARE);
		bind(q, u->c.quota);
		cp_sql_int(q, u->c.from_ms);
		bind(q, u->boot_id);
		bind(q, u->node);
		cp_sql_int(q, u->c.amount);
		rc = run(q, err);
	}
	return rc;
}

enum gw_rc cp_usage_commit(struct cp_usage_writing **out, struct gw_error *err)
{
	struct cp_usage_writing *w = *out;
	enum gw_rc rc = write_sums(w, err);
	if (rc == GW_OK)
		rc = write_rest(w, err);
	*out = NULL;
	rc = cp_write_end(w->store, rc, err);
	release(w);
	return rc;
}

/* ---- trimming ---- */

static enum gw_rc trim(struct cp_store *s, const char *text, int64_t first, int64_t second, bool *more, struct gw_error *err)
{
	struct cp_sql q;
	*more = false;
	enum gw_rc rc = cp_write_begin(s, err);
	if (rc != GW_OK)
		return rc;
	cp_sql_open(&q, s->writer, text);
	cp_sql_int(&q, first);
	cp_sql_int(&q, TRIM_STEP);
	if (second >= 0)
		cp_sql_int(&q, second);
	rc = cp_sql_close(&q, err);
	*more = rc == GW_OK && sqlite3_changes(s->writer) == TRIM_STEP;
	return cp_write_end(s, rc, err);
}

enum gw_rc cp_usage_trim(struct cp_store *s, int64_t before_ms, bool *more, struct gw_error *err)
{
	return trim(s, "DELETE FROM requests WHERE id IN (SELECT id FROM requests WHERE started_at_ms < ?1 ORDER BY started_at_ms LIMIT ?2)", before_ms, -1, more, err);
}

enum gw_rc cp_usage_trim_seen(struct cp_store *s, int64_t before_ms, bool *more, struct gw_error *err)
{
	return trim(s, "DELETE FROM usage_seen WHERE boot_id IN (SELECT boot_id FROM usage_seen WHERE at < ?1 LIMIT ?2)", before_ms, -1,
		    more, err);
}

enum gw_rc cp_usage_trim_sums(struct cp_store *s, int step, int64_t before_ms, bool *more, struct gw_error *err)
{
	return trim(s, "DELETE FROM usage_rollups WHERE (step, bucket, consumer, key_id, route, provider, model, currency, consumer_groups) IN"
		    " (SELECT step, bucket, consumer, key_id, route, provider, model, currency, consumer_groups FROM usage_rollups"
		    " WHERE step = ?3 AND bucket < ?1 LIMIT ?2)", before_ms, step, more, err);
}

/*
 * A share of a process that has gone holds nothing back once it is used up, and what a quota's shares were is of no use
 * when there is no such quota any more.  A record that comes later still makes a row anew, which grants nothing.
 */
enum gw_rc cp_usage_trim_shares(struct cp_store *s, int64_t before_ms, bool *more, struct gw_error *err)
{
	return trim(s, "DELETE FROM quota_shares WHERE (quota, from_ms, boot_id) IN"
		    " (SELECT s.quota, s.from_ms, s.boot_id FROM quota_shares s LEFT JOIN usage_seen u ON u.boot_id = s.boot_id"
		    " WHERE (u.at IS NULL OR u.at < ?1) AND (s.ceiling <= s.used OR NOT EXISTS"
		    " (SELECT 1 FROM objects o WHERE o.kind = 'quotas' AND o.name = s.quota)) LIMIT ?2)", before_ms, -1, more, err);
}
