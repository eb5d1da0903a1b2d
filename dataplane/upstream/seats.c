/* seats.c - the count of one server's connections, and the queue for it. */
#include "upstream/seats.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "base/map.h"
#include "base/str.h"

struct seats {
	struct gw_str server;          /* owned; the map's key */
	size_t refs;                   /* under the map's lock */
	pthread_mutex_t lock;
	size_t max, taken, n_members;
	struct gw_node members, queue; /* of sitters */
	atomic_size_t n_queued;
};

struct dp_sitter {
	unsigned magic;
#define DP_SITTER_MAGIC 0x5ea75171u
	atomic_uint refs;              /* its owner, and messages on their way */
	struct seats *seats;
	struct dp_loop *loop;
	const struct dp_sitter_ops *ops;
	void *arg;                     /* NULL: it has left; looked at on its loop only */
	struct gw_node member, queued;
	bool waits, woken;             /* stands in the queue; has a message on its way */
	size_t taken;
	atomic_size_t idle;
};

static pthread_mutex_t map_lock = PTHREAD_MUTEX_INITIALIZER;
static struct gw_map *map;

/* ---- the shared part ---- */

static struct seats *seats_ref(struct gw_str server)
{
	struct seats *s;

	pthread_mutex_lock(&map_lock);
	if (!map)
		map = gw_map_open(16);
	s = gw_map_get(map, server);
	if (!s) {
		s = gw_alloc(sizeof *s);
		s->server = (struct gw_str){ gw_strdup_n(server.p, server.n), server.n };
		pthread_mutex_init(&s->lock, NULL);
		gw_list_init(&s->members);
		gw_list_init(&s->queue);
		gw_map_put(map, s->server, s);
	}
	s->refs++;
	pthread_mutex_unlock(&map_lock);
	return s;
}

static void seats_unref(struct seats *s)
{
	pthread_mutex_lock(&map_lock);
	if (--s->refs == 0) {
		assert(s->taken == 0 && gw_list_empty(&s->queue));
		gw_map_del(map, s->server);
		pthread_mutex_destroy(&s->lock);
		free((char *)(uintptr_t)s->server.p);
		free(s);
		if (gw_map_count(map) == 0)
			gw_map_close(&map);
	}
	pthread_mutex_unlock(&map_lock);
}

/* ---- messages ---- */

static void sitter_unref(struct dp_sitter *s)
{
	if (atomic_fetch_sub_explicit(&s->refs, 1, memory_order_acq_rel) != 1)
		return;
	s->magic = 0;
	free(s);
}

static void on_wake(struct dp_loop *l, void *arg)
{
	struct dp_sitter *s = arg;

	(void)l;
	GW_CHECK(s, DP_SITTER_MAGIC);
	if (s->arg) {
		pthread_mutex_lock(&s->seats->lock);
		s->woken = false;
		pthread_mutex_unlock(&s->seats->lock);
		s->ops->wake(s->arg);
	}
	sitter_unref(s);
}

static void on_spare(struct dp_loop *l, void *arg)
{
	struct dp_sitter *s = arg;

	(void)l;
	GW_CHECK(s, DP_SITTER_MAGIC);
	if (s->arg)
		s->ops->spare(s->arg);
	sitter_unref(s);
}

static void post(struct dp_sitter *s, void (*fn)(struct dp_loop *l, void *arg))
{
	atomic_fetch_add_explicit(&s->refs, 1, memory_order_relaxed);
	if (!dp_loop_post(s->loop, fn, s))
		sitter_unref(s); /* its loop ends, and takes its connections with it */
}

/* ---- the queue; all of it under the lock ---- */

static struct dp_sitter *first(const struct seats *t)
{
	return gw_list_empty(&t->queue) ? NULL : GW_CONTAINER(t->queue.next, struct dp_sitter, queued);
}

static void wake_first(struct seats *t)
{
	struct dp_sitter *s = first(t);

	if (!s || s->woken || t->taken >= t->max)
		return;
	s->woken = true;
	post(s, on_wake);
}

static void enqueue(struct dp_sitter *s)
{
	struct seats *t = s->seats;

	if (!s->waits) {
		s->waits = true;
		gw_list_add_tail(&t->queue, &s->queued);
		atomic_fetch_add_explicit(&t->n_queued, 1, memory_order_relaxed);
	}
	for (struct gw_node *n = t->members.next; n != &t->members; n = n->next) {
		struct dp_sitter *m = GW_CONTAINER(n, struct dp_sitter, member);

		if (m != s && atomic_load_explicit(&m->idle, memory_order_relaxed) > 0) {
			post(m, on_spare);
			return;
		}
	}
}

static void dequeue(struct dp_sitter *s)
{
	if (!s->waits)
		return;
	s->waits = false;
	gw_list_del(&s->queued);
	atomic_fetch_sub_explicit(&s->seats->n_queued, 1, memory_order_relaxed);
}

/* How many stand before it, or would. */
static size_t ahead_of(const struct dp_sitter *s)
{
	const struct seats *t = s->seats;
	size_t n = 0;

	for (const struct gw_node *q = t->queue.next; q != &t->queue && q != &s->queued; q = q->next)
		n++;
	return n;
}

/* ---- public ---- */

struct dp_sitter *dp_seats_join(struct gw_str server, struct dp_loop *l, size_t max, size_t taken,
                                const struct dp_sitter_ops *ops, void *arg)
{
	struct dp_sitter *s = gw_alloc(sizeof *s);
	struct seats *t = seats_ref(server);

	s->magic = DP_SITTER_MAGIC;
	atomic_init(&s->refs, 1);
	s->seats = t;
	s->loop = l;
	s->ops = ops;
	s->arg = arg;
	s->taken = taken;
	gw_list_init(&s->queued);
	pthread_mutex_lock(&t->lock);
	gw_list_add_tail(&t->members, &s->member);
	t->n_members++;
	t->taken += taken;
	t->max = max;
	pthread_mutex_unlock(&t->lock);
	return s;
}

void dp_seats_leave(struct dp_sitter **sp)
{
	struct dp_sitter *s = *sp;
	struct seats *t;

	if (!s)
		return;
	*sp = NULL;
	GW_CHECK(s, DP_SITTER_MAGIC);
	t = s->seats;
	pthread_mutex_lock(&t->lock);
	dequeue(s);
	gw_list_del(&s->member);
	t->n_members--;
	t->taken -= s->taken;
	wake_first(t);
	pthread_mutex_unlock(&t->lock);
	s->arg = NULL;
	s->seats = NULL;
	seats_unref(t);
	sitter_unref(s);
}

void dp_seats_limit(struct dp_sitter *s, size_t max)
{
	struct seats *t = s->seats;

	pthread_mutex_lock(&t->lock);
	t->max = max;
	wake_first(t);
	pthread_mutex_unlock(&t->lock);
}

bool dp_seat_take(struct dp_sitter *s)
{
	struct seats *t = s->seats;
	bool got;

	GW_CHECK(s, DP_SITTER_MAGIC);
	pthread_mutex_lock(&t->lock);
	got = t->taken < t->max && t->max - t->taken > ahead_of(s);
	if (got) {
		dequeue(s);
		t->taken++;
		s->taken++;
		wake_first(t); /* there may be more than one */
	} else {
		enqueue(s);
	}
	pthread_mutex_unlock(&t->lock);
	return got;
}

void dp_seat_give(struct dp_sitter *s)
{
	struct seats *t = s->seats;

	GW_CHECK(s, DP_SITTER_MAGIC);
	pthread_mutex_lock(&t->lock);
	assert(s->taken > 0);
	t->taken--;
	s->taken--;
	wake_first(t);
	pthread_mutex_unlock(&t->lock);
}

void dp_seat_withdraw(struct dp_sitter *s)
{
	struct seats *t = s->seats;

	if (atomic_load_explicit(&t->n_queued, memory_order_relaxed) == 0)
		return; /* and nobody else puts it there */
	pthread_mutex_lock(&t->lock);
	dequeue(s);
	wake_first(t);
	pthread_mutex_unlock(&t->lock);
}

bool dp_seat_is_owed(struct dp_sitter *s, bool wanted_here)
{
	struct seats *t = s->seats;
	struct dp_sitter *other;
	size_t part;
	bool owed = false;

	if (atomic_load_explicit(&t->n_queued, memory_order_relaxed) == 0)
		return false;
	pthread_mutex_lock(&t->lock);
	other = first(t);
	if (other == s)
		other = s->queued.next == &t->queue ? NULL : GW_CONTAINER(s->queued.next, struct dp_sitter, queued);
	part = t->max / t->n_members > 0 ? t->max / t->n_members : 1;
	if (other && t->taken >= t->max)
		owed = !wanted_here || (other->taken < part && other->taken < s->taken);
	if (owed && s->waits) { /* and so it stands behind the other */
		gw_list_del(&s->queued);
		gw_list_add_tail(&t->queue, &s->queued);
	}
	pthread_mutex_unlock(&t->lock);
	return owed;
}

void dp_seat_note_idle(struct dp_sitter *s, size_t n)
{
	atomic_store_explicit(&s->idle, n, memory_order_relaxed);
}
