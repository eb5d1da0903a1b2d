/* limiter.c - token buckets by key. */
#include "services/limiter.h"

#include <math.h>
#include <pthread.h>
#include <stdlib.h>

#include "base/map.h"

#define SHARDS 64

struct window {
	struct gw_node age;          /* least recently used first */
	struct gw_str key;           /* owned */
	double level;                /* units that may be taken; at most the limit */
	int64_t limit, seen_ms;
};

struct shard {
	pthread_mutex_t lock;
	struct gw_map *map;
	struct gw_node by_age;
};

struct dp_limiter { struct shard shard[SHARDS]; };

struct dp_limiter *dp_limiter_open(void)
{
	struct dp_limiter *l = gw_alloc(sizeof *l);

	for (size_t i = 0; i < SHARDS; i++) {
		pthread_mutex_init(&l->shard[i].lock, NULL);
		l->shard[i].map = gw_map_open(8);
		gw_list_init(&l->shard[i].by_age);
	}
	return l;
}

static void drop(struct shard *s, struct window *w)
{
	gw_list_del(&w->age);
	gw_map_del(s->map, w->key);
	free((char *)(uintptr_t)w->key.p);
	free(w);
}

void dp_limiter_close(struct dp_limiter **lp)
{
	struct dp_limiter *l = *lp;

	if (!l)
		return;
	*lp = NULL;
	for (size_t i = 0; i < SHARDS; i++) {
		struct shard *s = &l->shard[i];

		while (!gw_list_empty(&s->by_age))
			drop(s, GW_CONTAINER(s->by_age.next, struct window, age));
		gw_map_close(&s->map);
		pthread_mutex_destroy(&s->lock);
	}
	free(l);
}

static struct window *window_for(struct shard *s, struct gw_str key, int64_t limit, int64_t window_ms, int64_t now_ms)
{
	struct window *w = gw_map_get(s->map, key);

	if (!w) {
		if (gw_map_count(s->map) >= DP_LIMITER_MAX_KEYS / SHARDS)
			drop(s, GW_CONTAINER(s->by_age.next, struct window, age));
		w = gw_alloc(sizeof *w);
		w->key = (struct gw_str){ gw_strdup_n(key.p, key.n), key.n };
		w->level = (double)limit;
		w->limit = limit;
		w->seen_ms = now_ms;
		gw_map_put(s->map, w->key, w);
		gw_list_init(&w->age);
	}
	if (w->limit != limit) { /* a changed limit keeps what was used up */
		w->level += (double)(limit - w->limit);
		w->limit = limit;
	}
	if (now_ms > w->seen_ms) {
		w->level += (double)(now_ms - w->seen_ms) * (double)limit / (double)window_ms;
		w->seen_ms = now_ms;
	}
	if (w->level > (double)limit)
		w->level = (double)limit;
	gw_list_del(&w->age);
	gw_list_add_tail(&s->by_age, &w->age);
	return w;
}

static int64_t units(double level)
{
	return level <= 0 ? 0 : (int64_t)floor(level + 1e-6);
}

int64_t dp_limiter_try(struct dp_limiter *l, struct gw_str key, int64_t n, int64_t limit, int64_t window_ms,
                       int64_t now_ms, int64_t *left)
{
	struct shard *s = &l->shard[gw_hash(key) % SHARDS];
	struct window *w;
	int64_t wait = 0;

	if (limit < 1)
		limit = 1;
	if (window_ms < 1)
		window_ms = 1;
	pthread_mutex_lock(&s->lock);
	w = window_for(s, key, limit, window_ms, now_ms);
	if (n > limit) {
		wait = window_ms;
	} else if ((double)n > w->level + 1e-6) {
		wait = (int64_t)ceil(((double)n - w->level) * (double)window_ms / (double)limit - 1e-6);
		if (wait < 1)
			wait = 1;
	} else {
		w->level -= (double)n;
	}
	if (left)
		*left = units(w->level);
	pthread_mutex_unlock(&s->lock);
	return wait;
}

void dp_limiter_return(struct dp_limiter *l, struct gw_str key, int64_t n, int64_t limit, int64_t window_ms, int64_t now_ms)
{
	struct shard *s = &l->shard[gw_hash(key) % SHARDS];
	struct window *w;

	if (limit < 1)
		limit = 1;
	if (window_ms < 1)
		window_ms = 1;
	pthread_mutex_lock(&s->lock);
	w = window_for(s, key, limit, window_ms, now_ms);
	w->level += (double)n;
	if (w->level > (double)limit)
		w->level = (double)limit;
	pthread_mutex_unlock(&s->lock);
}

size_t dp_limiter_keys(struct dp_limiter *l)
{
	size_t n = 0;

	for (size_t i = 0; i < SHARDS; i++) {
		pthread_mutex_lock(&l->shard[i].lock);
		n += gw_map_count(l->shard[i].map);
		pthread_mutex_unlock(&l->shard[i].lock);
	}
	return n;
}
