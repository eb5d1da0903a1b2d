/* book.c - lines of quotas and the shares of workers in them. */
#include "collect/book.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/log.h"
#include "base/map.h"
#include "base/str.h"
#include "base/time.h"
#include "store/quota_store.h"

#define EXHAUSTED     10000 /* added to the highest threshold told, when the end was told as well */
#define AHEAD_MS      (10 * 60 * 1000)   /* the next period gets its shares so long before it begins */
#define ROLL_MS       1000
#define ASK_AGAIN_MS  1000
#define ITEMS         500                /* of one message */

struct share {
	struct gw_node on;
	char boot_id[80], node[40];
	uint64_t connection;             /* 0: not there */
	int64_t gone_ms;
	int64_t ceiling, used, grant, want, asked_ms;
	bool unsaved, unsent;
};

struct line {
	struct gw_node on;
	char name[64];
	int64_t from_ms, until_ms;
	int64_t limit, used, adjusted, told;
	struct gw_node shares;
	bool dirty;
};

struct worker { struct gw_node on; uint64_t connection; char boot_id[80], node[40]; json_t *items; };

struct cp_book {
	struct cp_book_options o;
	struct cp_quota_set *quotas;
	uint64_t revision;
	bool loaded, adjusted;
	struct gw_map *lines;            /* "name from" → struct line; keys are arena */
	struct gw_arena *keys;
	struct gw_node all, workers;
	int64_t rolled_ms;
	int64_t grants;                  /* the last number; never one of an earlier process again */
};

struct cp_book *cp_book_open(const struct cp_book_options *o)
{
	struct cp_book *b = gw_alloc(sizeof *b);
	b->o = *o;
	b->grants = gw_now_ms() << 8;
	b->lines = gw_map_open(256);
	b->keys = gw_arena_open(4096);
	gw_list_init(&b->all);
	gw_list_init(&b->workers);
	return b;
}

static void line_free(struct line *l)
{
	while (!gw_list_empty(&l->shares)) {
		struct share *s = GW_CONTAINER(l->shares.next, struct share, on);
		gw_list_del(&s->on);
		free(s);
	}
	gw_list_del(&l->on);
	free(l);
}

void cp_book_close(struct cp_book **out)
{
	struct cp_book *b = *out;
	if (b == NULL)
		return;
	*out = NULL;
	while (!gw_list_empty(&b->all))
		line_free(GW_CONTAINER(b->all.next, struct line, on));
	while (!gw_list_empty(&b->workers)) {
		struct worker *w = GW_CONTAINER(b->workers.next, struct worker, on);
		gw_list_del(&w->on);
		json_decref(w->items);
		free(w);
	}
	cp_quota_set_free(&b->quotas);
	gw_map_close(&b->lines);
	gw_arena_close(&b->keys);
	free(b);
}

/* ---- lines ---- */

static struct gw_str key_of(char out[100], struct gw_str name, int64_t from_ms)
{
	int n = snprintf(out, 100, "%.*s %lld", (int)(name.n < 63 ? name.n : 63), name.p, (long long)from_ms);
	return (struct gw_str){ out, (size_t)n };
}

static struct line *line_find(struct cp_book *b, struct gw_str name, int64_t from_ms)
{
	char key[100];
	return gw_map_get(b->lines, key_of(key, name, from_ms));
}

static struct line *line_make(struct cp_book *b, struct gw_str name, int64_t from_ms)
{
	char key[100];
	struct line *l = gw_alloc(sizeof *l);
	snprintf(l->name, sizeof l->name, "%.*s", (int)(name.n < 63 ? name.n : 63), name.p);
	l->from_ms = from_ms;
	l->dirty = true;
	gw_list_init(&l->shares);
	gw_list_add_tail(&b->all, &l->on);
	gw_map_put(b->lines, gw_arena_copy(b->keys, key_of(key, name, from_ms)), l);
	return l;
}

static struct share *share_of(struct line *l, struct gw_str boot_id)
{
	for (struct gw_node *n = l->shares.next; n != &l->shares; n = n->next) {
		struct share *s = GW_CONTAINER(n, struct share, on);
		if (gw_str_is(boot_id, s->boot_id))
			return s;
	}
	return NULL;
}

static struct share *share_make(struct line *l, struct gw_str boot_id, struct gw_str node, int64_t now_ms)
{
	struct share *s = gw_alloc(sizeof *s);
	snprintf(s->boot_id, sizeof s->boot_id, "%.*s", GW_FMT(boot_id));
	snprintf(s->node, sizeof s->node, "%.*s", GW_FMT(node));
	s->gone_ms = now_ms;
	gw_list_add_tail(&l->shares, &s->on);
	l->dirty = true;
	return s;
}

/* The balance of a line, as the database has it. */
static void read_line(struct cp_book *b, struct line *l)
{
	struct cp_txn *t = NULL;
	struct cp_quota_sums q = { 0 };
	struct gw_error err = { 0 };
	enum gw_rc rc = cp_txn_begin(&t, b->o.store, &err);
	if (rc == GW_OK)
		rc = cp_quota_get(t, gw_str_c(l->name), l->from_ms, &q, &err);
	cp_txn_end(&t);
	if (rc != GW_OK) {
		gw_log(GW_LOG_ERROR, "quota", gw_str_c(l->name), "balance cannot be read", "%s", err.text);
		return;
	}
	l->used = q.used;
	l->adjusted = q.adjusted;
	l->told = q.told;
	l->dirty = true;
}

struct loading { struct cp_book *b; int64_t now_ms; };

static bool load_share(void *arg, const struct cp_quota_share *r)
{
	struct loading *g = arg;
	struct line *l = line_find(g->b, r->quota, r->from_ms);
	if (l == NULL)
		l = line_make(g->b, r->quota, r->from_ms);
	struct share *s = share_of(l, r->boot_id);
	if (s == NULL)
		s = share_make(l, r->boot_id, r->node, g->now_ms);
	s->ceiling = r->ceiling;
	s->used = r->used;
	return true;
}

/* The shares that were granted before this process began: they hold until their workers say otherwise. */
static bool load(struct cp_book *b, int64_t now_ms)
{
	struct cp_txn *t = NULL;
	struct gw_error err = { 0 };
	struct loading g = { b, now_ms };
	enum gw_rc rc = cp_txn_begin(&t, b->o.store, &err);
	if (rc == GW_OK)
		rc = cp_quota_shares_each(t, load_share, &g, &err);
	cp_txn_end(&t);
	if (rc != GW_OK) {
		gw_log(GW_LOG_ERROR, NULL, GW_STR_NONE, "shares of quotas cannot be read", "%s", err.text);
		return false;
	}
	for (struct gw_node *n = b->all.next; n != &b->all; n = n->next)
		read_line(b, GW_CONTAINER(n, struct line, on));
	b->loaded = true;
	return true;
}

/* A line that is met for the first time, or again: a quota that was switched off has shares that workers still hold to. */
static struct line *open_line(struct cp_book *b, struct gw_str name, int64_t from_ms, int64_t mono)
{
	struct cp_txn *t = NULL;
	struct gw_error err = { 0 };
	struct loading g = { b, mono };
	struct line *l = line_make(b, name, from_ms);
	enum gw_rc rc = cp_txn_begin(&t, b->o.store, &err);
	if (rc == GW_OK)
		rc = cp_quota_shares_of(t, name, from_ms, load_share, &g, &err);
	cp_txn_end(&t);
	if (rc != GW_OK)
		gw_log(GW_LOG_ERROR, "quota", name, "shares cannot be read", "%s", err.text);
	read_line(b, l);
	return l;
}

struct cp_quota_set *cp_book_quotas(struct cp_book *b)
{
	struct cp_txn *t = NULL;
	struct cp_quota_set *fresh = NULL;
	struct gw_error err = { 0 };
	if (b->quotas != NULL && b->revision == cp_store_revision(b->o.store))
		return b->quotas;
	enum gw_rc rc = cp_txn_begin(&t, b->o.store, &err);
	if (rc == GW_OK)
		rc = cp_quota_set_load(&fresh, t, &err);
	if (rc == GW_OK) {
		b->revision = cp_txn_revision(t);
		cp_quota_set_free(&b->quotas);
		b->quotas = fresh;
		b->rolled_ms = 0;
	} else {
		gw_log(GW_LOG_ERROR, NULL, GW_STR_NONE, "quotas cannot be read", "%s", err.text);
	}
	cp_txn_end(&t);
	return b->quotas;
}

/* ---- workers ---- */

static struct worker *worker_of(struct cp_book *b, uint64_t connection)
{
	for (struct gw_node *n = b->workers.next; n != &b->workers; n = n->next) {
		struct worker *w = GW_CONTAINER(n, struct worker, on);
		if (w->connection == connection)
			return w;
	}
	return NULL;
}

void cp_book_worker(struct cp_book *b, uint64_t connection, struct gw_str node, struct gw_str boot_id)
{
	struct worker *w = gw_alloc(sizeof *w);
	w->connection = connection;
	w->items = json_array();
	snprintf(w->boot_id, sizeof w->boot_id, "%.*s", GW_FMT(boot_id));
	snprintf(w->node, sizeof w->node, "%.*s", GW_FMT(node));
	gw_list_add_tail(&b->workers, &w->on);
	for (struct gw_node *n = b->all.next; n != &b->all; n = n->next) {
		struct line *l = GW_CONTAINER(n, struct line, on);
		struct share *s = share_of(l, boot_id);
		if (s != NULL) {
			s->connection = connection;
			s->unsent = true;
			s->asked_ms = 0;
		}
		l->dirty = true;
	}
	b->rolled_ms = 0;
}

void cp_book_gone(struct cp_book *b, uint64_t connection)
{
	struct worker *w = worker_of(b, connection);
	int64_t now = gw_mono_ms();
	if (w == NULL)
		return;
	gw_list_del(&w->on);
	json_decref(w->items);
	free(w);
	for (struct gw_node *n = b->all.next; n != &b->all; n = n->next) {
		struct line *l = GW_CONTAINER(n, struct line, on);
		for (struct gw_node *m = l->shares.next; m != &l->shares; m = m->next) {
			struct share *s = GW_CONTAINER(m, struct share, on);
			if (s->connection == connection) {
				s->connection = 0;
				s->gone_ms = now;
				s->want = 0;
				l->dirty = true;
			}
		}
	}
}

static bool is_listed(const json_t *boots, const char *boot_id)
{
	size_t i;
	json_t *v;
	json_array_foreach((json_t *)boots, i, v)
		if (gw_str_is(gw_json_str(v), boot_id))
			return true;
	return false;
}

/* Of a process that is over and whose rows are all there, nothing is held back any more. */
static void close_share(struct share *s)
{
	if (s->ceiling > s->used) {
		s->ceiling = s->used;
		s->unsaved = true;
	}
}

static void close_shares(struct cp_book *b, const struct worker *w, const json_t *boots)
{
	for (struct gw_node *n = b->all.next; n != &b->all; n = n->next) {
		struct line *l = GW_CONTAINER(n, struct line, on);
		for (struct gw_node *m = l->shares.next; m != &l->shares; m = m->next) {
			struct share *s = GW_CONTAINER(m, struct share, on);
			if (strcmp(s->node, w->node) == 0 && strcmp(s->boot_id, w->boot_id) != 0 && !is_listed(boots, s->boot_id)) {
				close_share(s);
				l->dirty = true;
			}
		}
	}
}

void cp_book_told(struct cp_book *b, uint64_t connection, const json_t *items, const json_t *boots)
{
	struct worker *w = worker_of(b, connection);
	size_t i;
	json_t *o;
	if (w == NULL)
		return;
	if (json_is_array(boots))
		close_shares(b, w, boots);
	json_array_foreach((json_t *)items, i, o) {
		struct line *l = line_find(b, gw_json_str(json_object_get(o, "quota")), json_integer_value(json_object_get(o, "from")));
		struct share *s = l != NULL ? share_of(l, gw_str_c(w->boot_id)) : NULL;
		int64_t ceiling = json_integer_value(json_object_get(o, "ceiling"));
		if (s == NULL)
			continue;
		/* Only about the last that was sent: an older answer knows nothing of a raise that is on its way. */
		if (json_integer_value(json_object_get(o, "grant")) == s->grant) {
			if (ceiling < s->ceiling && ceiling >= 0) {
				s->ceiling = ceiling > s->used ? ceiling : s->used;
				s->unsaved = true;
			}
			s->asked_ms = 0;
		}
		s->want = json_integer_value(json_object_get(o, "want"));
		l->dirty = true;
	}
}

void cp_book_used(struct cp_book *b, struct gw_str boot_id, const struct cp_charge *c)
{
	struct line *l = line_find(b, c->quota, c->from_ms);
	struct share *s = l != NULL ? share_of(l, boot_id) : NULL;
	if (l == NULL)
		return; /* read when it is needed */
	l->used += c->amount;
	l->dirty = true;
	if (s != NULL)
		s->used += c->amount;
}

void cp_book_adjusted(struct cp_book *b)
{
	b->adjusted = true;
}

/* ---- thresholds ---- */

static void tell(struct cp_book *b, struct line *l, int64_t percent, bool exhausted)
{
	struct gw_error err = { 0 };
	int64_t granted = l->limit + l->adjusted;
	int64_t told = exhausted ? l->told + EXHAUSTED : l->told / EXHAUSTED * EXHAUSTED + percent;
	if (cp_quota_tell(b->o.store, gw_str_c(l->name), l->from_ms, told, percent, exhausted, granted - l->used, &err) != GW_OK) {
		gw_log(GW_LOG_WARN, "quota", gw_str_c(l->name), "threshold cannot be noted", "%s", err.text);
		return;
	}
	l->told = told;
	gw_log(GW_LOG_WARN, "quota", gw_str_c(l->name), exhausted ? "used up" : "threshold reached", "used=%lld granted=%lld percent=%lld",
	    (long long)l->used, (long long)granted, (long long)percent);
}

static void check_thresholds(struct cp_book *b, struct line *l, const struct gw_quota *q)
{
	int64_t granted = l->limit + l->adjusted, percent;
	if (l->used <= 0)
		return;
	percent = granted > 0 ? (int64_t)((double)l->used * 100.0 / (double)granted) : EXHAUSTED;
	for (size_t i = 0; i < q->n_thresholds; i++)
		if (percent >= q->thresholds[i] && l->told % EXHAUSTED < q->thresholds[i])
			tell(b, l, q->thresholds[i], false);
	if (l->used >= granted && l->told < EXHAUSTED)
		tell(b, l, 100, true);
}

/* ---- sharing out ---- */

static int64_t idle(const struct share *s)
{
	return s->ceiling > s->used ? s->ceiling - s->used : 0;
}

struct tally { int64_t spoken, past, idle; size_t there, wanting; const struct share *first; };

static struct tally tally(const struct line *l)
{
	struct tally t = { .past = l->used };
	for (const struct gw_node *n = l->shares.next; n != &l->shares; n = n->next) {
		const struct share *s = GW_CONTAINER(n, struct share, on);
		t.spoken += s->ceiling > s->used ? s->ceiling : s->used;
		t.past -= s->used;
		if (!s->connection)
			continue;
		t.there++;
		t.idle += idle(s);
		t.wanting += s->want > 0;
		if (s->want > 0 && t.first == NULL)
			t.first = s;
	}
	return t;
}

/* Ask those who have more than they use for half of it. */
static void ask_back(struct line *l, const struct share *but, int64_t need, int64_t now)
{
	for (struct gw_node *n = l->shares.next; n != &l->shares && need > 0; n = n->next) {
		struct share *s = GW_CONTAINER(n, struct share, on);
		if (s == but || !s->connection || idle(s) == 0 || (s->asked_ms && now - s->asked_ms < ASK_AGAIN_MS))
			continue;
		need -= (idle(s) + 1) / 2;
		s->asked_ms = now;
		s->unsent = true;
	}
}

static void give(struct line *l, const struct tally *t, int64_t left)
{
	size_t receivers = t->wanting ? t->wanting : t->there;
	int64_t each = left / (int64_t)receivers, rest = left % (int64_t)receivers;
	for (struct gw_node *n = l->shares.next; n != &l->shares; n = n->next) {
		struct share *s = GW_CONTAINER(n, struct share, on);
		int64_t more = each + rest;
		if (!s->connection || (t->wanting && s->want <= 0))
			continue;
		rest = 0;
		if (more <= 0)
			continue;
		/* A process counts from its first grant: what it used before that is past.  Beyond its share it counts as well. */
		if (s->ceiling == 0)
			s->used = 0;
		s->ceiling = (s->ceiling > s->used ? s->ceiling : s->used) + more;
		s->want = 0;
		s->asked_ms = 0;
		s->unsaved = s->unsent = true;
	}
}

static void balance(struct line *l, int64_t now)
{
	struct tally t = tally(l);
	int64_t left = l->limit + l->adjusted - t.past - t.spoken;
	if (t.there == 0)
		return;
	if (left > 0)
		give(l, &t, left);
	else if (left < 0)
		ask_back(l, NULL, -left, now);
	else if (t.first != NULL)
		ask_back(l, t.first, t.first->want, now);
}

/* ---- turns ---- */

static void ensure_line(struct cp_book *b, struct cp_quota *q, int64_t at_ms, int64_t mono)
{
	int64_t from, until;
	if (!cp_quota_period(q, at_ms, &from, &until))
		return;
	struct line *l = line_find(b, q->def.name, from);
	if (l == NULL)
		l = open_line(b, q->def.name, from, mono);
	if (l->limit != q->def.limit)
		l->dirty = true;
	l->until_ms = until;
	l->limit = q->def.limit;
	for (struct gw_node *n = b->workers.next; n != &b->workers && q->def.hard; n = n->next) {
		struct worker *w = GW_CONTAINER(n, struct worker, on);
		struct share *s = share_of(l, gw_str_c(w->boot_id));
		if (s == NULL)
			s = share_make(l, gw_str_c(w->boot_id), gw_str_c(w->node), mono);
		if (s->connection != w->connection) {
			s->connection = w->connection;
			s->unsent = true;
		}
	}
}

/* Lines of this period and, shortly before it ends, of the next; those that are over go. */
static void roll(struct cp_book *b, int64_t now_ms, int64_t mono)
{
	for (size_t i = 0; i < cp_quota_count(b->quotas); i++) {
		struct cp_quota *q = cp_quota_at(b->quotas, i);
		if (!q->def.enabled)
			continue;
		ensure_line(b, q, now_ms < q->created_ms ? q->created_ms : now_ms, mono);
		if (q->def.period != GW_QUOTA_PER_TOTAL && q->until_ms - now_ms < AHEAD_MS)
			ensure_line(b, q, q->until_ms, mono);
	}
	for (struct gw_node *n = b->all.next, *next; n != &b->all; n = next) {
		struct line *l = GW_CONTAINER(n, struct line, on);
		struct cp_quota *q = cp_quota_find(b->quotas, gw_str_c(l->name));
		char key[100];
		next = n->next;
		/* Rows of a period may come for a while after its end. */
		bool over = l->until_ms != 0 && now_ms - l->until_ms > CP_BOOK_HOLD_MS;
		if (q != NULL && q->def.enabled && !over && l->from_ms >= q->created_ms && l->limit + l->until_ms + l->from_ms > 0)
			continue;
		if (over && cp_quota_shares_drop(b->o.store, gw_str_c(l->name), l->from_ms + 1, NULL) != GW_OK)
			continue;
		gw_map_del(b->lines, key_of(key, gw_str_c(l->name), l->from_ms));
		line_free(l);
	}
}

static void expire(struct line *l, int64_t mono)
{
	for (struct gw_node *n = l->shares.next; n != &l->shares; n = n->next) {
		struct share *s = GW_CONTAINER(n, struct share, on);
		if (!s->connection && s->ceiling > s->used && mono - s->gone_ms > CP_BOOK_HOLD_MS) {
			close_share(s);
			l->dirty = true;
		}
	}
}

/* Everything that was raised or confirmed, in one transaction.  Nothing is sent before. */
static bool save(struct cp_book *b)
{
	struct gw_error err = { 0 };
	struct cp_quota_share *v = NULL;
	size_t n = 0, room = 0;
	for (struct gw_node *i = b->all.next; i != &b->all; i = i->next) {
		struct line *l = GW_CONTAINER(i, struct line, on);
		for (struct gw_node *k = l->shares.next; k != &l->shares; k = k->next) {
			struct share *s = GW_CONTAINER(k, struct share, on);
			if (!s->unsaved)
				continue;
			if (n == room) {
				room = room ? 2 * room : 64;
				v = gw_realloc(v, room * sizeof *v);
			}
			v[n++] = (struct cp_quota_share){ .quota = gw_str_c(l->name), .boot_id = gw_str_c(s->boot_id), .node = gw_str_c(s->node),
							  .from_ms = l->from_ms, .ceiling = s->ceiling, .used = s->used };
		}
	}
	enum gw_rc rc = n > 0 ? cp_quota_shares_put(b->o.store, v, n, &err) : GW_OK;
	free(v);
	if (rc != GW_OK) {
		gw_log(GW_LOG_ERROR, NULL, GW_STR_NONE, "shares of quotas cannot be stored, trying again", "%s", err.text);
		return false;
	}
	for (struct gw_node *i = b->all.next; i != &b->all && n > 0; i = i->next) {
		struct line *l = GW_CONTAINER(i, struct line, on);
		for (struct gw_node *k = l->shares.next; k != &l->shares; k = k->next)
			GW_CONTAINER(k, struct share, on)->unsaved = false;
	}
	return true;
}

static void put_item(struct cp_book *b, struct line *l, struct share *s, const struct tally *t)
{
	struct worker *w = worker_of(b, s->connection);
	int64_t left = l->limit + l->adjusted - t->past - t->spoken, ceiling = s->ceiling;
	if (w == NULL)
		return;
	if (s->asked_ms) /* asked for half of what it does not use */
		ceiling = s->used + idle(s) / 2;
	json_t *o = json_object();
	gw_json_set_str(o, "quota", gw_str_c(l->name));
	json_object_set_new(o, "from", json_integer(l->from_ms));
	json_object_set_new(o, "until", json_integer(l->until_ms));
	json_object_set_new(o, "ceiling", json_integer(ceiling));
	json_object_set_new(o, "grant", json_integer(s->grant = ++b->grants));
	json_object_set_new(o, "elsewhere", json_boolean(left > 0 || t->idle > idle(s)));
	json_array_append_new(w->items, o);
	s->unsent = false;
	if (json_array_size(w->items) == ITEMS) {
		b->o.send(b->o.arg, w->connection, w->items);
		w->items = json_array();
	}
}

static void send(struct cp_book *b)
{
	for (struct gw_node *i = b->all.next; i != &b->all; i = i->next) {
		struct line *l = GW_CONTAINER(i, struct line, on);
		struct tally t = tally(l);
		for (struct gw_node *k = l->shares.next; k != &l->shares; k = k->next) {
			struct share *s = GW_CONTAINER(k, struct share, on);
			if (s->unsent && s->connection)
				put_item(b, l, s, &t);
		}
	}
	for (struct gw_node *n = b->workers.next; n != &b->workers; n = n->next) {
		struct worker *w = GW_CONTAINER(n, struct worker, on);
		if (json_array_size(w->items) == 0)
			continue;
		b->o.send(b->o.arg, w->connection, w->items);
		w->items = json_array();
	}
}

int64_t cp_book_turn(struct cp_book *b, int64_t now_ms)
{
	int64_t mono = gw_mono_ms();
	bool asking = false;
	if (cp_book_quotas(b) == NULL || (!b->loaded && !load(b, mono)))
		return ROLL_MS;
	if (mono - b->rolled_ms >= ROLL_MS) {
		b->rolled_ms = mono;
		roll(b, now_ms, mono);
	}
	for (struct gw_node *n = b->all.next; n != &b->all; n = n->next) {
		struct line *l = GW_CONTAINER(n, struct line, on);
		struct cp_quota *q = cp_quota_find(b->quotas, gw_str_c(l->name));
		if (b->adjusted)
			read_line(b, l);
		expire(l, mono);
		if (!l->dirty || q == NULL)
			continue;
		l->dirty = false;
		check_thresholds(b, l, &q->def);
		balance(l, mono);
		struct tally t = tally(l);
		asking = asking || t.wanting > 0;
	}
	b->adjusted = false;
	if (save(b))
		send(b);
	if (asking)
		return 50;
	return cp_quota_count(b->quotas) > 0 ? ROLL_MS : 60000;
}
