/* loop.c - the event loop: mailbox, wheel, end-of-turn work. */
#include "net/crash.h"
#include "net/impl.h"

#include <signal.h>
#include <stdlib.h>
#include <sys/resource.h>

#include "base/log.h"

struct dp_mail {
	struct dp_mail *next;
	void (*fn)(struct dp_loop *l, void *arg);
	void *arg;
};

atomic_size_t dp_net_open_fds;
static size_t fd_limit = 1024;

void dp_net_setup(void)
{
	struct rlimit r;

	signal(SIGPIPE, SIG_IGN);
	setenv("UV_THREADPOOL_SIZE", "32", 0); /* name lookups only; so many names may be dead before the others wait */
	if (getrlimit(RLIMIT_NOFILE, &r) == 0) {
		r.rlim_cur = r.rlim_max;
		(void)setrlimit(RLIMIT_NOFILE, &r);
		(void)getrlimit(RLIMIT_NOFILE, &r);
		fd_limit = r.rlim_cur > (1u << 20) ? 1u << 20 : (size_t)r.rlim_cur;
	}
}

size_t dp_net_fds(void)
{
	return atomic_load_explicit(&dp_net_open_fds, memory_order_relaxed);
}

size_t dp_net_fd_limit(void)
{
	return fd_limit;
}

bool dp_net_is_tight(void)
{
	return dp_net_fds() + 128 >= fd_limit - fd_limit / 10;
}

/* ---- the clock ---- */

static void arm(struct dp_loop *l);

static void on_clock(uv_timer_t *t)
{
	struct dp_loop *l = t->data;

	l->armed_ms = INT64_MAX;
	dp_wheel_run(&l->wheel, (int64_t)uv_now(&l->uv));
	arm(l);
}

static void arm(struct dp_loop *l)
{
	int64_t next = dp_wheel_next(&l->wheel), now = (int64_t)uv_now(&l->uv);

	if (next < 0)
		return;
	l->armed_ms = next;
	uv_timer_start(&l->clock, on_clock, next > now ? (uint64_t)(next - now) : 0, 0);
}

void dp_loop_timer(struct dp_loop *l, struct dp_timer *t, int64_t in_ms)
{
	int64_t due = dp_loop_now(l) + (in_ms > 0 ? in_ms : 0);

	dp_timer_start(&l->wheel, t, due);
	if (due + DP_WHEEL_SLOT_MS < l->armed_ms)
		arm(l);
}

int64_t dp_loop_now(const struct dp_loop *l)
{
	return (int64_t)uv_now(&l->uv);
}

/* ---- the end of a turn ---- */

static void on_idle(uv_idle_t *i)
{
	(void)i;
}

void dp_loop_again(struct dp_loop *l)
{
	uv_idle_start(&l->idle, on_idle);
}

static void run_deferred(struct dp_loop *l)
{
	while (l->deferred) {
		struct dp_deferred *d = l->deferred;

		l->deferred = d->next;
		if (!l->deferred)
			l->deferred_end = &l->deferred;
		d->next = NULL;
		d->fn(d);
	}
	if (gw_list_empty(&l->yielded))
		uv_idle_stop(&l->idle);
}

static void on_check(uv_check_t *c)
{
	struct dp_loop *l = c->data;
	bool yielded;

	dp_turn_work(l);
	yielded = !gw_list_empty(&l->yielded);
	l->turn++;
	if (yielded)
		dp_conn_go_on(l);
	if (l->deferred || yielded)
		run_deferred(l);
}

static void on_prepare(uv_prepare_t *p)
{
	dp_turn_write(p->data);
}

void dp_loop_defer(struct dp_loop *l, struct dp_deferred *d, void (*fn)(struct dp_deferred *d))
{
	GW_CHECK(l, DP_LOOP_MAGIC);
	d->next = NULL;
	d->fn = fn;
	if (!l->deferred)
		dp_loop_again(l);
	*l->deferred_end = d;
	l->deferred_end = &d->next;
}

/* ---- the mailbox ---- */

static void on_mail(uv_async_t *a)
{
	struct dp_loop *l = a->data;
	struct dp_mail *m;

	uv_mutex_lock(&l->lock);
	m = l->mail;
	l->mail = NULL;
	l->mail_end = &l->mail;
	uv_mutex_unlock(&l->lock);
	while (m) {
		struct dp_mail *next = m->next;

		m->fn(l, m->arg);
		free(m);
		m = next;
	}
}

bool dp_loop_post(struct dp_loop *l, void (*fn)(struct dp_loop *l, void *arg), void *arg)
{
	struct dp_mail *m = gw_alloc(sizeof *m);
	bool open;

	GW_CHECK(l, DP_LOOP_MAGIC);
	m->fn = fn;
	m->arg = arg;
	uv_mutex_lock(&l->lock);
	open = !l->mail_closed;
	if (open) {
		*l->mail_end = m;
		l->mail_end = &m->next;
		uv_async_send(&l->async);
	}
	uv_mutex_unlock(&l->lock);
	if (!open)
		free(m);
	return open;
}

/* ---- life ---- */

struct dp_loop *dp_loop_open(unsigned index)
{
	struct dp_loop *l = gw_alloc(sizeof *l);

	l->magic = DP_LOOP_MAGIC;
	l->index = index;
	l->mail_end = &l->mail;
	l->deferred_end = &l->deferred;
	gw_list_init(&l->yielded);
	gw_list_init(&l->batch.said);
	for (size_t i = 0; i < DP_LANES; i++)
		l->batch.lane[i].round = 1; /* 0: never read from */
	l->armed_ms = INT64_MAX;
	if (uv_loop_init(&l->uv) != 0 || uv_mutex_init(&l->lock) != 0 ||
	    uv_async_init(&l->uv, &l->async, on_mail) != 0)
		abort(); /* out of descriptors before anything began */
	uv_timer_init(&l->uv, &l->clock);
	uv_check_init(&l->uv, &l->check);
	uv_prepare_init(&l->uv, &l->prepare);
	uv_idle_init(&l->uv, &l->idle);
	l->async.data = l->clock.data = l->check.data = l->prepare.data = l->idle.data = l;
	uv_check_start(&l->check, on_check);
	uv_prepare_start(&l->prepare, on_prepare);
	uv_unref((uv_handle_t *)&l->check);
	uv_unref((uv_handle_t *)&l->prepare);
	dp_wheel_init(&l->wheel, (int64_t)uv_now(&l->uv));
	return l;
}

static void thread_main(void *arg)
{
	struct dp_loop *l = arg;

	dp_crash_thread(l->index);
	gw_arena_keep_blocks(GW_ARENA_MAY_KEEP);
	uv_run(&l->uv, UV_RUN_DEFAULT);
	gw_arena_keep_blocks(false);
	atomic_store(&l->ended, true);
}

enum gw_rc dp_loop_start(struct dp_loop *l, struct gw_error *err)
{
	GW_CHECK(l, DP_LOOP_MAGIC);
	if (uv_thread_create(&l->thread, thread_main, l) != 0)
		return gw_fail(err, GW_IO, NULL, "cannot start a thread for loop %u", l->index);
	l->threaded = true;
	return GW_OK;
}

void dp_loop_turn(struct dp_loop *l, bool wait)
{
	GW_CHECK(l, DP_LOOP_MAGIC);
	uv_run(&l->uv, wait ? UV_RUN_ONCE : UV_RUN_NOWAIT);
}

void dp_loop_stop(struct dp_loop *l)
{
	GW_CHECK(l, DP_LOOP_MAGIC);
	if (l->stopping)
		return;
	l->stopping = true;
	uv_mutex_lock(&l->lock);
	l->mail_closed = true;
	uv_mutex_unlock(&l->lock);
	on_mail(&l->async);
	uv_close((uv_handle_t *)&l->async, NULL);
	dp_dns_call_off(l->dns);
	uv_unref((uv_handle_t *)&l->clock); /* an armed timer alone does not keep the thread */
}

bool dp_loop_looks_up(const struct dp_loop *l)
{
	struct dp_loop *m = (struct dp_loop *)(uintptr_t)l;

	GW_CHECK(l, DP_LOOP_MAGIC);
	return l->threaded && !atomic_load(&m->ended) && atomic_load(&m->lookups) > 0;
}

void dp_loop_join(struct dp_loop *l)
{
	GW_CHECK(l, DP_LOOP_MAGIC);
	if (l->threaded)
		uv_thread_join(&l->thread);
	l->threaded = false;
}

static void close_walk(uv_handle_t *h, void *arg)
{
	(void)arg;
	if (!uv_is_closing(h))
		uv_close(h, NULL);
}

void dp_loop_close(struct dp_loop **lp)
{
	struct dp_loop *l = *lp;

	if (!l)
		return;
	*lp = NULL;
	GW_CHECK(l, DP_LOOP_MAGIC);
	dp_loop_join(l);
	dp_loop_stop(l);
	dp_dns_close(&l->dns);
	run_deferred(l);
	while (uv_run(&l->uv, UV_RUN_NOWAIT) != 0 && l->deferred)
		run_deferred(l);
	uv_walk(&l->uv, close_walk, NULL);
	uv_run(&l->uv, UV_RUN_DEFAULT);
	if (uv_loop_close(&l->uv) != 0)
		gw_log(GW_LOG_ALERT, "loop", GW_STR_NONE, "closed with handles still open", NULL);
	dp_tls_cache_close(&l->tls);
	uv_mutex_destroy(&l->lock);
	l->magic = 0;
	free(l);
}

unsigned dp_loop_index(const struct dp_loop *l) { return l->index; }
void dp_loop_set(struct dp_loop *l, void *data) { l->data = data; }
void *dp_loop_get(const struct dp_loop *l) { return l->data; }
