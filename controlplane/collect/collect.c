/*
 * collect.c - usage records and worker rows, from the channel into the store (see collect.h).
 */
#include "collect/collect.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <time.h>

#include "base/log.h"
#include "base/map.h"
#include "base/str.h"
#include "base/thread.h"
#include "base/time.h"
#include "snapshot.h"
#include "store/request_log.h"
#include "store/series_store.h"
#include "collect/book.h"
#include "store/usage_store.h"
#include "usage.h"

#define CP_MAX_SETTINGS (1u << 20)
#define COLLECT_MAGIC  0x6370636fu
#define RETRY_MS       1000
#define TRIM_EVERY_MS  (10 * 60 * 1000)
#define TRIM_PAUSE_MS  20    /* between two steps of it, so that rows and quotas are not kept waiting */
#define KEEP_FINE_MS   (15LL * 24 * 3600 * 1000) /* sums of five minutes; usage older than 14 days is read by the hour */
#define KEEP_SEEN_MS   (400LL * 24 * 3600 * 1000) /* a worker that comes back after longer may send rows that are known */
#define KEEP_SHARES_MS (30LL * 24 * 3600 * 1000)  /* shares in quotas that a worker process has used up, after its last row */
#define LAST_WORDS_MS  3000  /* how long closing may go on writing */
#define MAX_TOGETHER   16    /* batches of one transaction */
#define MAX_RECORDS    4000  /* ... and about so many records */
#define MAX_CAPTURES   64    /* messages, of a quarter of a megabyte mostly */
#define NODE_EVERY_MS  200   /* worker rows wait this long, so that a burst of changes is one write */

struct batch {
	struct gw_node on;
	uint64_t connection;
	char *node, *boot_id;
	json_t *records;        /* of usage, or rows of series; NULL: `rows` has them */
	struct gw_usage_rows *rows;
	size_t n;
	bool is_series, is_capture;
	int64_t seq, at_ms;     /* of series */
};

struct node_wait { /* a worker row that waits to be written */
	struct gw_node on;
	struct gw_arena *arena;
	struct cp_node_row row;
};

struct cp_collect {
	unsigned magic;
	struct cp_collect_options o;
	pthread_t thread;
	pthread_mutex_t lock;   /* guards everything below */
	pthread_cond_t wake;
	struct gw_node batches, nodes, events;
	size_t records, captures; /* in all batches; messages of kept prompts among them */
	bool stop;
	_Atomic int64_t series_rows;
	/* of the thread alone */
	struct cp_book *book;
	int64_t next_turn;      /* of the book; monotonic */
	int64_t next_trim;
	int trimming;           /* which kind of rows is next */
};

/* Something that the book of quotas should hear. */
struct event {
	struct gw_node on;
	enum { WORKER, GONE, QUOTA_USE, BALANCES, CONFIGURATION } what;
	uint64_t connection;
	char *node, *boot_id;
	json_t *items, *boots;
};

static void batch_free(struct batch *b)
{
	free(b->node);
	free(b->boot_id);
	json_decref(b->records);
	gw_usage_rows_free(&b->rows);
	free(b);
}

static void node_wait_free(struct node_wait *w)
{
	struct gw_arena *a = w->arena; /* w stands in it */
	gw_arena_close(&a);
}

static struct gw_str copy(struct gw_arena *a, struct gw_str s)
{
	return s.p ? gw_arena_copy(a, s) : GW_STR_NONE;
}

static bool take(struct cp_collect *c, struct batch b, struct gw_str node, struct gw_str boot_id)
{
	struct batch *own = gw_alloc(sizeof *own);
	*own = b;
	own->n = b.rows != NULL ? b.rows->n : json_array_size(b.records);
	own->node = gw_strdup_n(node.p, node.n);
	own->boot_id = gw_strdup_n(boot_id.p, boot_id.n);
	pthread_mutex_lock(&c->lock);
	bool fits = c->records + own->n <= c->o.max_records;
	if (fits) {
		c->records += own->n;
		gw_list_add_tail(&c->batches, &own->on);
		pthread_cond_signal(&c->wake);
	}
	pthread_mutex_unlock(&c->lock);
	if (!fits)
		batch_free(own);
	return fits;
}

bool cp_collect_usage(struct cp_collect *c, uint64_t connection, struct gw_str node, struct gw_str boot_id,
    json_t *records)
{
	GW_CHECK(c, COLLECT_MAGIC);
	return take(c, (struct batch){ .connection = connection, .records = records }, node, boot_id);
}

bool cp_collect_rows(struct cp_collect *c, uint64_t connection, struct gw_str node, struct gw_usage_rows *rows)
{
	GW_CHECK(c, COLLECT_MAGIC);
	return take(c, (struct batch){ .connection = connection, .rows = rows }, node, rows->boot_id);
}

bool cp_collect_series(struct cp_collect *c, uint64_t connection, struct gw_str node, struct gw_str boot_id, int64_t seq,
    int64_t at_ms, json_t *rows)
{
	GW_CHECK(c, COLLECT_MAGIC);
	return take(c, (struct batch){ .connection = connection, .records = rows, .is_series = true, .seq = seq, .at_ms = at_ms },
	    node, boot_id);
}

void cp_collect_capture(struct cp_collect *c, struct gw_str node, struct gw_str boot_id, json_t *records)
{
	GW_CHECK(c, COLLECT_MAGIC);
	pthread_mutex_lock(&c->lock);
	bool room = c->captures < MAX_CAPTURES && c->records < c->o.max_records / 2;
	c->captures += room;
	pthread_mutex_unlock(&c->lock);
	if (!room) {
		gw_log(GW_LOG_WARN, "node", node, "kept prompts are lost: they come faster than they can be stored", NULL);
		json_decref(records);
		return;
	}
	if (!take(c, (struct batch){ .records = records, .is_capture = true }, node, boot_id)) {
		pthread_mutex_lock(&c->lock);
		c->captures--;
		pthread_mutex_unlock(&c->lock);
	}
}

int64_t cp_collect_series_rows(const struct cp_collect *c)
{
	return atomic_load(&((struct cp_collect *)(uintptr_t)c)->series_rows);
}

void cp_collect_node(struct cp_collect *c, const struct cp_node_row *row)
{
	GW_CHECK(c, COLLECT_MAGIC);
	struct gw_arena *a = gw_arena_open(0);
	struct node_wait *w = gw_arena_alloc(a, sizeof *w), *old = NULL;
	w->arena = a;
	w->row = *row;
	w->row.id = copy(a, row->id);
	w->row.name = copy(a, row->name);
	w->row.version = copy(a, row->version);
	w->row.address = copy(a, row->address);
	w->row.listen = copy(a, row->listen);
	w->row.last_error = copy(a, row->last_error);
	pthread_mutex_lock(&c->lock);
	for (struct gw_node *n = c->nodes.next; n != &c->nodes && !old; n = n->next) {
		struct node_wait *other = GW_CONTAINER(n, struct node_wait, on);
		if (gw_str_eq(other->row.id, w->row.id))
			old = other;
	}
	if (old)
		gw_list_del(&old->on);
	gw_list_add_tail(&c->nodes, &w->on);
	pthread_cond_signal(&c->wake);
	pthread_mutex_unlock(&c->lock);
	if (old)
		node_wait_free(old);
}

static void post(struct cp_collect *c, struct event e, struct gw_str node, struct gw_str boot_id)
{
	GW_CHECK(c, COLLECT_MAGIC);
	struct event *own = gw_alloc(sizeof *own);
	*own = e;
	own->node = gw_strdup_n(node.p ? node.p : "", node.n);
	own->boot_id = gw_strdup_n(boot_id.p ? boot_id.p : "", boot_id.n);
	pthread_mutex_lock(&c->lock);
	gw_list_add_tail(&c->events, &own->on);
	pthread_cond_signal(&c->wake);
	pthread_mutex_unlock(&c->lock);
}

static void event_free(struct event *e)
{
	free(e->node);
	free(e->boot_id);
	json_decref(e->items);
	json_decref(e->boots);
	free(e);
}

void cp_collect_worker(struct cp_collect *c, uint64_t connection, struct gw_str node, struct gw_str boot_id)
{
	post(c, (struct event){ .what = WORKER, .connection = connection }, node, boot_id);
}

void cp_collect_gone(struct cp_collect *c, uint64_t connection)
{
	post(c, (struct event){ .what = GONE, .connection = connection }, GW_STR_NONE, GW_STR_NONE);
}

void cp_collect_quota_use(struct cp_collect *c, uint64_t connection, json_t *items, json_t *boots)
{
	post(c, (struct event){ .what = QUOTA_USE, .connection = connection, .items = items, .boots = boots }, GW_STR_NONE, GW_STR_NONE);
}

void cp_collect_quotas_changed(struct cp_collect *c, bool balances)
{
	post(c, (struct event){ .what = balances ? BALANCES : CONFIGURATION }, GW_STR_NONE, GW_STR_NONE);
}

/* ---- the thread ---- */

/* Parse what can be parsed; a record that cannot is lost with a log line, since resending would not mend it. */
static size_t parse_records(const struct batch *b, struct gw_usage_record *out, int64_t *last_seq)
{
	size_t n = 0;
	for (size_t i = 0; i < b->n; i++) {
		struct gw_error err = { 0 };
		const json_t *v = json_array_get(b->records, i);
		json_t *seq = json_object_get(v, "seq");
		if (json_is_integer(seq) && json_integer_value(seq) > *last_seq)
			*last_seq = json_integer_value(seq);
		if (gw_usage_parse(&out[n], v, &err) == GW_OK)
			n++;
		else
			gw_log(GW_LOG_ERROR, "node", gw_str_c(b->node), "usage record cannot be read", "%s %s", err.path,
			    err.text);
	}
	return n;
}

/* What the rows of a transaction counted towards quotas, for the book when it was committed. */
struct counted { struct gw_str boot_id; struct cp_charge c; };
struct counting { struct cp_quota_set *quotas; struct gw_str boot_id; struct counted *v; size_t n, room; };

static size_t count_charges(void *arg, const struct gw_usage_record *r, struct cp_charge *out)
{
	struct counting *k = arg;
	size_t n = cp_quota_charges(k->quotas, r, out);
	for (size_t i = 0; i < n; i++) {
		if (k->n == k->room) {
			k->room = k->room ? 2 * k->room : 64;
			k->v = gw_realloc(k->v, k->room * sizeof *k->v);
		}
		k->v[k->n++] = (struct counted){ k->boot_id, out[i] };
	}
	return n;
}

/* The records of one message for the writer; *owned is what the caller frees. */
static size_t records_of(const struct batch *b, const struct gw_usage_record **v, struct gw_usage_record **owned, int64_t *last_seq)
{
	if (b->rows != NULL) {
		*v = b->rows->v;
		*last_seq = b->rows->last_seq;
		return b->rows->n;
	}
	*v = *owned = gw_alloc((b->n + 1) * sizeof **v);
	*last_seq = -1;
	return parse_records(b, *owned, last_seq);
}

/* All of them in one transaction.  true: done with (stored, or never storable). */
static bool store_batches(struct cp_collect *c, struct batch **v, size_t n)
{
	struct gw_error err = { 0 };
	struct cp_usage_writing *w = NULL;
	struct gw_usage_record *owned[MAX_TOGETHER] = { NULL };
	int64_t last_seq[MAX_TOGETHER];
	size_t stored;
	struct counting k = { .quotas = cp_book_quotas(c->book) };
	enum gw_rc rc = cp_usage_open(&w, c->o.store, &err);
	for (size_t i = 0; i < n && rc == GW_OK; i++) {
		const struct gw_usage_record *records;
		size_t m = records_of(v[i], &records, &owned[i], &last_seq[i]);
		k.boot_id = gw_str_c(v[i]->boot_id);
		rc = cp_usage_add(w, gw_str_c(v[i]->node), gw_str_c(v[i]->boot_id), records, m, count_charges, &k, &stored, &err);
	}
	if (rc == GW_OK)
		rc = cp_usage_commit(&w, &err);
	cp_usage_abort(&w);
	for (size_t i = 0; i < k.n && rc == GW_OK; i++)
		cp_book_used(c->book, k.v[i].boot_id, &k.v[i].c);
	free(k.v);
	for (size_t i = 0; i < n; i++) {
		free(owned[i]);
		if (rc == GW_OK && last_seq[i] >= 0)
			c->o.stored(c->o.arg, v[i]->connection, gw_str_c(v[i]->boot_id), last_seq[i]);
	}
	if (rc != GW_OK)
		gw_log(GW_LOG_ERROR, "node", gw_str_c(v[0]->node), "usage records cannot be stored, trying again", "%s",
		    err.text);
	return rc == GW_OK;
}

static bool store_series(struct cp_collect *c, const struct batch *b)
{
	struct gw_error err = { 0 };
	struct cp_series_message m = { gw_str_c(b->node), gw_str_c(b->boot_id), b->seq, b->at_ms, b->records };
	size_t stored = 0;
	if (cp_series_insert(c->o.store, &m, &stored, &err) != GW_OK) {
		gw_log(GW_LOG_ERROR, "node", gw_str_c(b->node), "series cannot be stored, trying again", "%s", err.text);
		return false;
	}
	atomic_fetch_add(&c->series_rows, (int64_t)stored);
	c->o.series_stored(c->o.arg, b->connection, gw_str_c(b->boot_id), b->seq);
	return true;
}

/* false is never said: what cannot be stored is not worth a second try. */
static bool store_captures(struct cp_collect *c, const struct batch *b)
{
	struct gw_error err = { 0 };
	struct cp_capture *v = gw_alloc((b->n + 1) * sizeof *v);
	size_t n = 0;
	for (size_t i = 0; i < b->n; i++) {
		const json_t *o = json_array_get(b->records, i);
		struct gw_str mode = gw_json_str(json_object_get(o, "mode"));
		struct cp_capture k = { .boot_id = gw_str_c(b->boot_id), .request_id = gw_json_str(json_object_get(o, "request_id")),
			.route = gw_json_str(json_object_get(o, "route")), .mode = gw_str_is(mode, "full") ? mode : GW_STR("masked"),
			.prompt = gw_json_str(json_object_get(o, "prompt")), .answer = gw_json_str(json_object_get(o, "answer")),
			.at_ms = json_integer_value(json_object_get(o, "at_ms")),
			.prompt_bytes = json_integer_value(json_object_get(o, "prompt_bytes")),
			.answer_bytes = json_integer_value(json_object_get(o, "answer_bytes")),
			.masked = json_integer_value(json_object_get(o, "masked")), .note = gw_json_str(json_object_get(o, "note")) };
		if (k.request_id.n > 0 && k.route.n > 0)
			v[n++] = k;
	}
	if (n > 0 && cp_captures_insert(c->o.store, v, n, &err) != GW_OK)
		gw_log(GW_LOG_WARN, "node", gw_str_c(b->node), "kept prompts are lost", "%s", err.text);
	free(v);
	return true;
}

static void store_node(struct cp_collect *c, const struct cp_node_row *row)
{
	struct gw_error err = { 0 };
	if (cp_node_put(c->o.store, row, &err) != GW_OK)
		gw_log(GW_LOG_WARN, "node", row->name, "state of the worker cannot be stored", "%s", err.text);
}

struct keep { int64_t series_ms[CP_SERIES_RESOLUTIONS], requests_ms, requests_max, usage_ms, prompts_ms, prompts_max; };

/* As the settings say; what an earlier release stored has no such member and gets the defaults. */
static void read_retention(struct cp_collect *c, struct keep *k)
{
	struct gw_dp_settings normal;
	struct cp_txn *t = NULL;
	struct cp_record r;
	struct gw_arena *a = gw_arena_open(0);
	json_t *spec = NULL, *v;
	gw_fields_defaults(gw_retention_fields, &normal);
	*k = (struct keep){ { normal.keep_series_10s_ms, normal.keep_series_1m_ms, normal.keep_series_1h_ms }, normal.keep_requests_ms,
		normal.keep_requests_max, normal.keep_usage_ms, normal.keep_prompts_ms, normal.keep_prompts_max };
	const struct { const char *name; int64_t *at; } members[] = {
		{ "series_10s", &k->series_ms[0] }, { "series_1m", &k->series_ms[1] }, { "series_1h", &k->series_ms[2] },
		{ "requests", &k->requests_ms }, { "requests_max", &k->requests_max }, { "usage", &k->usage_ms },
		{ "prompts", &k->prompts_ms }, { "prompts_max", &k->prompts_max },
	};
	if (cp_txn_begin(&t, c->o.store, NULL) == GW_OK &&
	    cp_get(t, GW_KIND_SETTINGS, GW_STR("settings"), a, &r, NULL) == GW_OK)
		spec = gw_json_parse(&spec, r.spec, CP_MAX_SETTINGS, NULL) == GW_OK ? spec : NULL;
	for (size_t i = 0; i < GW_COUNT(members); i++) {
		v = json_object_get(json_object_get(spec, "retention"), members[i].name);
		if (json_is_integer(v))
			*members[i].at = json_integer_value(v);
		else
			gw_duration_parse(gw_json_str(v), members[i].at);
	}
	json_decref(spec);
	cp_txn_end(&t);
	gw_arena_close(&a);
}

/* One kind of rows after another, a bounded number a transaction, so that nobody waits long for the writer. */
static enum gw_rc trim_some(struct cp_collect *c, const struct keep *k, int what, bool *more, struct gw_error *err)
{
	struct cp_store *s = c->o.store;
	int64_t now = gw_now_ms();
	switch (what) {
	case 0: return cp_series_trim(s, k->series_ms, now, more, err);
	case 1: return cp_usage_trim(s, now - k->requests_ms, more, err);
	case 2: return cp_requests_trim_count(s, k->requests_max, more, err);
	case 3: return cp_usage_trim_sums(s, CP_STEP_5MIN, now - KEEP_FINE_MS, more, err);
	case 4: return cp_usage_trim_sums(s, CP_STEP_HOUR, now - k->usage_ms, more, err);
	case 5: return cp_usage_trim_sums(s, CP_STEP_DAY, now - k->usage_ms, more, err);
	case 6: return cp_usage_trim_seen(s, now - KEEP_SEEN_MS, more, err);
	case 7: return cp_usage_trim_shares(s, now - KEEP_SHARES_MS, more, err);
	default: return cp_captures_trim(s, now - k->prompts_ms, k->prompts_max, more, err);
	}
}

/* One step, with the lock let go meanwhile; it says itself when the next one is due. */
static void work_trim(struct cp_collect *c)
{
	static const char *const names[] = { "series", "requests by age", "requests by number", "sums of five minutes",
		"sums of hours", "sums of days", "worker processes", "shares of quotas", "kept prompts" };
	struct gw_error err = { 0 };
	struct keep k;
	bool more = false;
	pthread_mutex_unlock(&c->lock);
	read_retention(c, &k);
	if (trim_some(c, &k, c->trimming, &more, &err) != GW_OK) {
		gw_log(GW_LOG_WARN, NULL, GW_STR_NONE, "old rows cannot be removed", "%s: %s", names[c->trimming], err.text);
		more = false;
	}
	if (!more)
		c->trimming = (c->trimming + 1) % (int)GW_COUNT(names);
	c->next_trim = gw_mono_ms() + (more || c->trimming > 0 ? TRIM_PAUSE_MS : c->o.trim_ms ? c->o.trim_ms : TRIM_EVERY_MS);
	pthread_mutex_lock(&c->lock);
}

/* With the lock held: sleep until there is something to do or the time is over. */
static void doze(struct cp_collect *c, int64_t ms)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	t.tv_sec += ms / 1000;
	t.tv_nsec += ms % 1000 * 1000000;
	if (t.tv_nsec >= 1000000000) {
		t.tv_sec++;
		t.tv_nsec -= 1000000000;
	}
	pthread_cond_timedwait(&c->wake, &c->lock, &t);
}

static void work_nodes(struct cp_collect *c)
{
	struct gw_node todo;
	gw_list_init(&todo);
	while (!gw_list_empty(&c->nodes)) {
		struct gw_node *n = c->nodes.next;
		gw_list_del(n);
		gw_list_add_tail(&todo, n);
	}
	pthread_mutex_unlock(&c->lock);
	while (!gw_list_empty(&todo)) {
		struct node_wait *w = GW_CONTAINER(todo.next, struct node_wait, on);
		gw_list_del(&w->on);
		store_node(c, &w->row);
		node_wait_free(w);
	}
	pthread_mutex_lock(&c->lock);
}

static bool stands_alone(const struct batch *b)
{
	return b->is_series || b->is_capture;
}

/*
 * What waits is written together, a bounded number of records at a time.  Batches stay at the head while they are
 * written, so that their place in the order is kept when that fails.
 */
static bool work_batches(struct cp_collect *c)
{
	struct batch *v[MAX_TOGETHER];
	size_t n = 0, records = 0;
	for (struct gw_node *at = c->batches.next; at != &c->batches && n < MAX_TOGETHER && records < MAX_RECORDS; at = at->next) {
		v[n] = GW_CONTAINER(at, struct batch, on);
		if (n > 0 && (stands_alone(v[n]) || stands_alone(v[0])))
			break;
		records += v[n++]->n;
	}
	pthread_mutex_unlock(&c->lock);
	bool done = v[0]->is_series ? store_series(c, v[0]) : v[0]->is_capture ? store_captures(c, v[0]) : store_batches(c, v, n);
	pthread_mutex_lock(&c->lock);
	for (size_t i = 0; i < n && done; i++) {
		gw_list_del(&v[i]->on);
		c->records -= v[i]->n;
		c->captures -= v[i]->is_capture;
		batch_free(v[i]);
	}
	return done;
}

static void handle(struct cp_collect *c, const struct event *e)
{
	switch (e->what) {
	case WORKER: cp_book_worker(c->book, e->connection, gw_str_c(e->node), gw_str_c(e->boot_id)); break;
	case GONE: cp_book_gone(c->book, e->connection); break;
	case QUOTA_USE: cp_book_told(c->book, e->connection, e->items, e->boots); break;
	case BALANCES: cp_book_adjusted(c->book); break;
	case CONFIGURATION: break; /* the next turn looks at the revision */
	}
}

/* With the lock held, which is let go meanwhile: the book hears what happened and shares out anew. */
static void work_book(struct cp_collect *c)
{
	struct gw_node todo;
	gw_list_init(&todo);
	while (!gw_list_empty(&c->events)) {
		struct gw_node *n = c->events.next;
		gw_list_del(n);
		gw_list_add_tail(&todo, n);
	}
	pthread_mutex_unlock(&c->lock);
	while (!gw_list_empty(&todo)) {
		struct event *e = GW_CONTAINER(todo.next, struct event, on);
		gw_list_del(&e->on);
		handle(c, e);
		event_free(e);
	}
	c->next_turn = gw_mono_ms() + cp_book_turn(c->book, gw_now_ms());
	pthread_mutex_lock(&c->lock);
}

static int64_t idle_ms(const struct cp_collect *c)
{
	int64_t most = gw_list_empty(&c->nodes) ? 60000 : NODE_EVERY_MS;
	int64_t due = (c->next_turn < c->next_trim ? c->next_turn : c->next_trim) - gw_mono_ms();
	return due < 1 ? 1 : due < most ? due : most;
}

static void *run(void *arg)
{
	struct cp_collect *c = arg;
	int64_t next_nodes = 0, give_up = 0;
	c->next_trim = gw_mono_ms() + (c->o.trim_ms ? c->o.trim_ms : 60000);
	gw_thread_behind("collect");
	pthread_mutex_lock(&c->lock);
	for (;;) {
		int64_t now = gw_mono_ms();
		if (c->stop && !give_up)
			give_up = now + LAST_WORDS_MS;
		if (!gw_list_empty(&c->nodes) && (c->stop || now >= next_nodes)) {
			work_nodes(c);
			next_nodes = now + NODE_EVERY_MS;
		}
		if (now >= c->next_trim && !c->stop) /* also when there is always something to store */
			work_trim(c);
		if (!gw_list_empty(&c->batches)) {
			if (!work_batches(c) && !c->stop)
				doze(c, RETRY_MS);
			if (!c->stop)
				work_book(c);
			if (!c->stop || gw_mono_ms() < give_up)
				continue;
		}
		if (c->stop && gw_list_empty(&c->nodes))
			break;
		if (!c->stop && (!gw_list_empty(&c->events) || now >= c->next_turn)) {
			work_book(c);
			continue;
		}
		if (gw_list_empty(&c->batches) && !c->stop)
			doze(c, idle_ms(c));
	}
	pthread_mutex_unlock(&c->lock);
	return NULL;
}

struct cp_collect *cp_collect_open(const struct cp_collect_options *o)
{
	struct cp_collect *c = gw_alloc(sizeof *c);
	pthread_condattr_t attr;
	c->magic = COLLECT_MAGIC;
	c->o = *o;
	gw_list_init(&c->batches);
	gw_list_init(&c->nodes);
	gw_list_init(&c->events);
	c->book = cp_book_open(&(struct cp_book_options){ .store = o->store, .send = o->quotas, .arg = o->arg });
	pthread_mutex_init(&c->lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&c->wake, &attr);
	pthread_condattr_destroy(&attr);
	if (pthread_create(&c->thread, NULL, run, c) != 0)
		abort();
	return c;
}

void cp_collect_close(struct cp_collect **out)
{
	struct cp_collect *c = *out;
	if (!c)
		return;
	GW_CHECK(c, COLLECT_MAGIC);
	*out = NULL;
	pthread_mutex_lock(&c->lock);
	c->stop = true;
	pthread_cond_signal(&c->wake);
	pthread_mutex_unlock(&c->lock);
	pthread_join(c->thread, NULL);
	while (!gw_list_empty(&c->batches)) {
		struct batch *b = GW_CONTAINER(c->batches.next, struct batch, on);
		gw_list_del(&b->on);
		batch_free(b);
	}
	while (!gw_list_empty(&c->events)) {
		struct event *e = GW_CONTAINER(c->events.next, struct event, on);
		gw_list_del(&e->on);
		event_free(e);
	}
	cp_book_close(&c->book);
	pthread_cond_destroy(&c->wake);
	pthread_mutex_destroy(&c->lock);
	free(c);
}
