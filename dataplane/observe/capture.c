/* capture.c - two bounded queues and the thread between them. */
#include "observe/capture.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "base/str.h"
#include "base/thread.h"

struct item { struct item *next; struct dp_capture c; char *id; size_t bytes; };
struct ready { struct ready *next; size_t n; char text[]; };

struct dp_captures {
	unsigned magic;
#define DP_CAPTURES_MAGIC 0xca970001u
	pthread_t thread;
	pthread_mutex_t lock;            /* guards everything below */
	pthread_cond_t wake;
	struct item *first, **end;
	struct ready *out, **out_end;
	size_t waiting, done;            /* bytes in each */
	bool stop;
	_Atomic uint64_t kept, dropped;
};

static void release(struct dp_capture *c)
{
	gw_snapshot_unref(&c->snapshot);
	gw_buf_fini(&c->prompt);
	gw_buf_fini(&c->answer);
}

static void free_item(struct item *i)
{
	release(&i->c);
	free(i->id);
	free(i);
}

void dp_captures_add(struct dp_captures *c, struct dp_capture *capture)
{
	struct item *i = gw_alloc(sizeof *i);
	bool fits;

	GW_CHECK(c, DP_CAPTURES_MAGIC);
	i->c = *capture;
	i->id = gw_strdup_n(capture->request_id.p, capture->request_id.n);
	i->c.request_id.p = i->id;
	i->bytes = sizeof *i + i->c.prompt.cap + i->c.answer.cap;
	pthread_mutex_lock(&c->lock);
	fits = c->waiting + i->bytes <= DP_CAPTURE_QUEUE_MAX;
	if (fits) {
		*c->end = i;
		c->end = &i->next;
		c->waiting += i->bytes;
		pthread_cond_signal(&c->wake);
	}
	pthread_mutex_unlock(&c->lock);
	if (fits)
		return;
	atomic_fetch_add(&c->dropped, 1);
	free_item(i);
}

/* ---- the thread ---- */

static struct ready *finish(const struct item *i)
{
	struct gw_buf b;
	struct ready *r;

	gw_buf_init(&b, DP_CAPTURE_READY_MAX);
	dp_capture_record(&i->c, &b);
	r = gw_alloc(sizeof *r + b.n);
	r->n = b.n;
	if (b.n)
		memcpy(r->text, b.p, b.n);
	gw_buf_fini(&b);
	return r;
}

static void put(struct dp_captures *c, struct ready *r)
{
	bool fits;

	pthread_mutex_lock(&c->lock);
	fits = c->done + r->n <= DP_CAPTURE_READY_MAX;
	if (fits) {
		*c->out_end = r;
		c->out_end = &r->next;
		c->done += r->n;
	}
	pthread_mutex_unlock(&c->lock);
	if (fits)
		return;
	atomic_fetch_add(&c->dropped, 1);
	free(r);
}

static void *run(void *arg)
{
	struct dp_captures *c = arg;

	gw_thread_behind("capture");
	pthread_mutex_lock(&c->lock);
	while (!c->stop) {
		struct item *i = c->first;

		if (!i) {
			pthread_cond_wait(&c->wake, &c->lock);
			continue;
		}
		c->first = i->next;
		if (!c->first)
			c->end = &c->first;
		c->waiting -= i->bytes;
		pthread_mutex_unlock(&c->lock);
		put(c, finish(i));
		free_item(i);
		pthread_mutex_lock(&c->lock);
	}
	pthread_mutex_unlock(&c->lock);
	return NULL;
}

/* ---- the channel ---- */

size_t dp_captures_take(struct dp_captures *c, size_t max, struct gw_buf *out)
{
	size_t n = 0, bytes = 0;

	GW_CHECK(c, DP_CAPTURES_MAGIC);
	for (;;) {
		struct ready *r;

		pthread_mutex_lock(&c->lock);
		r = c->out;
		if (r && (n == 0 || bytes + r->n <= max)) {
			c->out = r->next;
			if (!c->out)
				c->out_end = &c->out;
			c->done -= r->n;
		} else {
			r = NULL;
		}
		pthread_mutex_unlock(&c->lock);
		if (!r)
			return n;
		if (n++ > 0)
			gw_buf_add_byte(out, ',');
		gw_buf_add(out, (struct gw_str){ r->text, r->n });
		bytes += r->n;
		atomic_fetch_add(&c->kept, 1);
		free(r);
	}
}

uint64_t dp_captures_kept(const struct dp_captures *c) { return atomic_load(&((struct dp_captures *)(uintptr_t)c)->kept); }
uint64_t dp_captures_dropped(const struct dp_captures *c) { return atomic_load(&((struct dp_captures *)(uintptr_t)c)->dropped); }

/* ---- life ---- */

struct dp_captures *dp_captures_open(void)
{
	struct dp_captures *c = gw_alloc(sizeof *c);

	c->magic = DP_CAPTURES_MAGIC;
	c->end = &c->first;
	c->out_end = &c->out;
	pthread_mutex_init(&c->lock, NULL);
	pthread_cond_init(&c->wake, NULL);
	if (pthread_create(&c->thread, NULL, run, c) != 0)
		abort();
	return c;
}

void dp_captures_close(struct dp_captures **cp)
{
	struct dp_captures *c = *cp;

	if (!c)
		return;
	GW_CHECK(c, DP_CAPTURES_MAGIC);
	*cp = NULL;
	pthread_mutex_lock(&c->lock);
	c->stop = true;
	pthread_cond_signal(&c->wake);
	pthread_mutex_unlock(&c->lock);
	pthread_join(c->thread, NULL);
	while (c->first) {
		struct item *i = c->first;

		c->first = i->next;
		free_item(i);
	}
	while (c->out) {
		struct ready *r = c->out;

		c->out = r->next;
		free(r);
	}
	pthread_cond_destroy(&c->wake);
	pthread_mutex_destroy(&c->lock);
	c->magic = 0;
	free(c);
}
