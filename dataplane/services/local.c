/* local.c - counters by key, in shards. */
#include "services/local.h"

#include <pthread.h>
#include <stdlib.h>

#include "base/map.h"
#include "base/str.h"

#define SHARDS 64

#define NOTE_MS 1000 /* a figure of shared counters that stands so long may be replaced by an older one */

struct dp_held {
	struct gw_node age;          /* least recently used first; alone while pinned */
	size_t shard;
	unsigned pins;
	struct dp_window w;
	const char *unit;
	struct gw_str key, scope, who, owner_scope, owner, label;  /* behind this struct */
	int64_t refusals, refused_at_ms;
	struct dp_claim_state noted; /* by another place */
	int64_t noted_ms;            /* 0: it is counted here */
	char text[];
};

struct shard {
	pthread_mutex_t lock;
	struct gw_map *map;
	struct gw_node by_age;
};

struct dp_local { struct shard shard[SHARDS]; };

struct dp_local *dp_local_open(void)
{
	struct dp_local *l = gw_alloc(sizeof *l);

	for (size_t i = 0; i < SHARDS; i++) {
		pthread_mutex_init(&l->shard[i].lock, NULL);
		l->shard[i].map = gw_map_open(8);
		gw_list_init(&l->shard[i].by_age);
	}
	return l;
}

static void drop(struct shard *s, struct dp_held *c)
{
	gw_list_del(&c->age);
	gw_map_del(s->map, c->key);
	free(c);
}

void dp_local_close(struct dp_local **lp)
{
	struct dp_local *l = *lp;

	if (!l)
		return;
	*lp = NULL;
	for (size_t i = 0; i < SHARDS; i++) {
		struct shard *s = &l->shard[i];

		while (!gw_list_empty(&s->by_age))
			drop(s, GW_CONTAINER(s->by_age.next, struct dp_held, age));
		assert(gw_map_count(s->map) == 0); /* a pinned one is a reservation that outlived its loop */
		gw_map_close(&s->map);
		pthread_mutex_destroy(&s->lock);
	}
	free(l);
}

static struct gw_str append(struct dp_held *c, size_t *at, struct gw_str s)
{
	struct gw_str copy = { c->text + *at, s.n };

	if (s.n)
		memcpy(c->text + *at, s.p, s.n);
	*at += s.n;
	return copy;
}

static struct dp_held *make(const struct dp_claim *claim, size_t shard, struct dp_now now)
{
	size_t at = 0;
	struct dp_held *c = gw_alloc(sizeof *c + claim->key.n + claim->scope.n + claim->who.n + claim->owner_scope.n +
	                             claim->owner.n + claim->label.n);

	c->key = append(c, &at, claim->key);
	c->scope = append(c, &at, claim->scope);
	c->who = append(c, &at, claim->who);
	c->owner_scope = append(c, &at, claim->owner_scope);
	c->owner = append(c, &at, claim->owner);
	c->label = append(c, &at, claim->label);
	c->unit = claim->unit;
	c->shard = shard;
	gw_list_init(&c->age);
	dp_window_init(&c->w, claim, now);
	return c;
}

/* Up to date; made if need be, for which the one that was not used for longest makes room. */
static struct dp_held *find(struct dp_local *l, size_t shard, const struct dp_claim *claim, struct dp_now now)
{
	struct shard *s = &l->shard[shard];
	struct dp_held *c = gw_map_get(s->map, claim->key);

	if (!c) {
		if (gw_map_count(s->map) >= DP_COUNTERS_MAX_KEYS / SHARDS && !gw_list_empty(&s->by_age))
			drop(s, GW_CONTAINER(s->by_age.next, struct dp_held, age));
		c = make(claim, shard, now);
		gw_map_put(s->map, c->key, c);
	}
	dp_window_update(&c->w, claim, now);
	gw_list_del(&c->age);
	if (c->pins == 0)
		gw_list_add_tail(&s->by_age, &c->age);
	return c;
}

static void unpin(struct dp_local *l, struct dp_held *c)
{
	if (--c->pins == 0)
		gw_list_add_tail(&l->shard[c->shard].by_age, &c->age);
}

static void fill_state(struct dp_claim_state *st, const struct dp_held *c, struct dp_now now)
{
	st->limit = c->w.limit;
	st->used = dp_window_used(&c->w);
	st->left = dp_window_left(&c->w);
	st->reset_ms = dp_window_reset_ms(&c->w, now);
}

static size_t shard_of(struct gw_str key) { return gw_hash(key) % SHARDS; }

/* Under all locks.  What was taken before a refusal is put back, so that the states tell of an untouched counter. */
static bool take_all(struct dp_local *l, const struct dp_take *v, const size_t *shard, size_t n, struct dp_now now,
                     struct dp_held **held, struct dp_claim_state *states)
{
	bool ok = true;

	for (size_t i = 0; i < n; i++) {
		int64_t amount = dp_claim_amount(v[i].claim, v[i].amount);

		states[i] = (struct dp_claim_state){ .refused = false };
		held[i] = find(l, shard[i], v[i].claim, now);
		held[i]->noted_ms = 0;
		gw_list_del(&held[i]->age);
		held[i]->pins++;
		if (dp_window_take(&held[i]->w, amount, now, &states[i].wait_ms))
			continue;
		states[i].refused = true;
		held[i]->refusals++;
		held[i]->refused_at_ms = now.wall_ms;
		ok = false;
	}
	for (size_t i = 0; i < n && !ok; i++)
		if (!states[i].refused)
			held[i]->w.open -= dp_claim_amount(v[i].claim, v[i].amount);
	for (size_t i = 0; i < n; i++)
		fill_state(&states[i], held[i], now);
	for (size_t i = 0; i < n && !ok; i++)
		unpin(l, held[i]);
	return ok;
}

bool dp_local_take(struct dp_local *l, const struct dp_take *v, size_t n, struct dp_now now, struct dp_held **held,
                   struct dp_claim_state *states)
{
	size_t shard[DP_CLAIMS_MAX];
	uint64_t locked = 0;
	bool ok;

	_Static_assert(SHARDS == 64, "one bit a shard");
	assert(n <= DP_CLAIMS_MAX);
	for (size_t i = 0; i < n; i++) {
		shard[i] = shard_of(v[i].claim->key);
		locked |= 1ull << shard[i];
	}
	for (uint64_t left = locked; left; left &= left - 1) /* lowest first, as everybody does */
		pthread_mutex_lock(&l->shard[__builtin_ctzll(left)].lock);
	ok = take_all(l, v, shard, n, now, held, states);
	for (uint64_t left = locked; left; left &= left - 1)
		pthread_mutex_unlock(&l->shard[__builtin_ctzll(left)].lock);
	return ok;
}

void dp_local_settle(struct dp_local *l, struct dp_held *c, int64_t reserved, int64_t actual, struct dp_now now)
{
	struct shard *s = &l->shard[c->shard];

	pthread_mutex_lock(&s->lock);
	dp_window_settle(&c->w, reserved, actual, now);
	assert(c->w.open >= 0);
	unpin(l, c);
	pthread_mutex_unlock(&s->lock);
}

void dp_local_put(struct dp_local *l, const struct dp_claim *claim, int64_t used, struct dp_now now)
{
	size_t shard = shard_of(claim->key);

	pthread_mutex_lock(&l->shard[shard].lock);
	dp_window_put(&find(l, shard, claim, now)->w, used);
	pthread_mutex_unlock(&l->shard[shard].lock);
}

void dp_local_note(struct dp_local *l, const struct dp_claim *claim, const struct dp_claim_state *st, struct dp_now now)
{
	size_t shard = shard_of(claim->key);
	struct dp_held *c;

	pthread_mutex_lock(&l->shard[shard].lock);
	c = find(l, shard, claim, now);
	/* Loops hear on connections of their own, in no order; another server may have another clock. */
	if (st->seen_us >= c->noted.seen_us || now.mono_ms - c->noted_ms > NOTE_MS) {
		c->noted = *st;
		c->noted_ms = now.mono_ms ? now.mono_ms : 1;
	}
	if (st->refused) {
		c->refusals++;
		c->refused_at_ms = now.wall_ms;
	}
	pthread_mutex_unlock(&l->shard[shard].lock);
}

/* As it was when it was noted, but that a window may have passed since. */
static void view_noted(const struct dp_held *c, struct dp_now now, struct dp_counter_view *v)
{
	int64_t since = now.mono_ms - c->noted_ms;

	v->shared = true;
	v->age_ms = since < 0 ? 0 : since;
	v->seen_us = c->noted.seen_us;
	v->reset_ms = c->noted.reset_ms > since ? c->noted.reset_ms - since : 0;
	v->used = c->noted.reset_ms > 0 && since >= c->noted.reset_ms ? 0 : c->noted.used;
	v->left = v->used >= v->limit ? 0 : v->limit - v->used;
	v->open = 0;
}

static void view_of(struct dp_held *c, struct dp_now now, struct dp_counter_view *v)
{
	/* Nothing changes but the passing of time. */
	struct dp_claim same = { .kind = c->w.kind, .limit = c->w.limit };

	dp_window_update(&c->w, &same, now);
	*v = (struct dp_counter_view){
		.key = c->key, .scope = c->scope, .who = c->who, .owner_scope = c->owner_scope, .owner = c->owner, .label = c->label, .unit = c->unit, .kind = c->w.kind,
		.limit = c->w.limit, .window_ms = c->w.window_ms, .used = dp_window_used(&c->w), .left = dp_window_left(&c->w),
		.open = c->w.open, .reset_ms = dp_window_reset_ms(&c->w, now), .refusals = c->refusals, .refused_at_ms = c->refused_at_ms,
	};
	if (c->noted_ms)
		view_noted(c, now, v);
}

void dp_local_visit(struct dp_local *l, struct gw_str scope, struct gw_str who, struct dp_now now,
                    void (*visit)(void *arg, const struct dp_counter_view *v), void *arg)
{
	for (size_t i = 0; i < SHARDS; i++) {
		struct shard *s = &l->shard[i];
		struct dp_counter_view v;
		struct gw_str key;
		void *value;

		pthread_mutex_lock(&s->lock);
		for (size_t at = 0; gw_map_next(s->map, &at, &key, &value);) {
			struct dp_held *c = value;

			if (scope.p && !(gw_str_eq(c->scope, scope) && gw_str_eq(c->who, who)) &&
			    !(gw_str_eq(c->owner_scope, scope) && gw_str_eq(c->owner, who)))
				continue;
			view_of(c, now, &v);
			visit(arg, &v);
		}
		pthread_mutex_unlock(&s->lock);
	}
}

size_t dp_local_keys(struct dp_local *l)
{
	size_t n = 0;

	for (size_t i = 0; i < SHARDS; i++) {
		pthread_mutex_lock(&l->shard[i].lock);
		n += gw_map_count(l->shard[i].map);
		pthread_mutex_unlock(&l->shard[i].lock);
	}
	return n;
}
