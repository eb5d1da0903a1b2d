/* fleet.c - messages to all loops. */
#include "apply/fleet.h"
#include "services/signature.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/log.h"
#include "base/time.h"

#define LOOKUP_GRACE_MS 1000

struct member {
	struct dp_loop *loop;
	struct dp_shard *shard;
	struct dp_listener *listener;
	bool started;
};

struct dp_fleet {
	struct member *m;
	size_t n;
	struct dp_shared shared;
	pthread_mutex_t lock;            /* guards `current` */
	struct gw_snapshot *current;
	struct gw_snapshot **old;        /* a reference each to those replaced and perhaps still held; the control thread's */
	size_t n_old, room_old;
	_Atomic int64_t applied_ms;
	_Atomic bool draining;
};

struct dp_fleet *dp_fleet_open(size_t loops, const struct dp_shared *watch)
{
	struct dp_fleet *f = gw_alloc(sizeof *f);

	f->n = loops;
	f->m = gw_alloc(loops * sizeof *f->m);
	f->shared = *watch;
	f->shared.counters = dp_counters_open();
	f->shared.quotas = dp_quotas_open();
	f->shared.pins = dp_pins_open();
	f->shared.loops = loops;
	f->shared.nonces = dp_nonces_open();
	pthread_mutex_init(&f->lock, NULL);
	for (size_t i = 0; i < loops; i++) {
		f->m[i].loop = dp_loop_open((unsigned)i);
		f->m[i].shard = dp_shard_open(f->m[i].loop, &f->shared);
	}
	return f;
}

enum gw_rc dp_fleet_listen(struct dp_fleet *f, const struct dp_addr *at, struct dp_addr *bound, struct gw_error *err)
{
	struct dp_addr where = *at;

	for (size_t i = 0; i < f->n; i++) {
		enum gw_rc rc = dp_listener_open(&f->m[i].listener, f->m[i].loop, &where, true, &dp_shard_door, f->m[i].shard, bound, err);

		if (rc != GW_OK)
			return rc;
		where = *bound; /* port 0 was a free one; the others share it */
	}
	return GW_OK;
}

enum gw_rc dp_fleet_start(struct dp_fleet *f, struct gw_error *err)
{
	for (size_t i = 0; i < f->n; i++) {
		enum gw_rc rc = dp_loop_start(f->m[i].loop, err);

		if (rc != GW_OK)
			return rc;
		f->m[i].started = true;
	}
	return GW_OK;
}

/* ---- messages with an answer ---- */

struct errand {
	void (*fn)(struct dp_shard *s, void *arg);
	void *arg;
	pthread_mutex_t lock;
	pthread_cond_t done;
	size_t open;
};

static void run_errand(struct dp_loop *l, void *arg)
{
	struct errand *e = arg;

	e->fn(dp_loop_get(l), e->arg);
	pthread_mutex_lock(&e->lock);
	if (--e->open == 0)
		pthread_cond_signal(&e->done);
	pthread_mutex_unlock(&e->lock);
}

static void run_on(struct dp_fleet *f, size_t from, size_t to, void (*fn)(struct dp_shard *s, void *arg), void *arg)
{
	struct errand e = { .fn = fn, .arg = arg, .open = to - from };

	pthread_mutex_init(&e.lock, NULL);
	pthread_cond_init(&e.done, NULL);
	for (size_t i = from; i < to; i++) {
		if (f->m[i].started && dp_loop_post(f->m[i].loop, run_errand, &e))
			continue;
		if (!f->m[i].started)
			fn(f->m[i].shard, arg); /* nobody else is there yet */
		pthread_mutex_lock(&e.lock);
		e.open--;
		pthread_mutex_unlock(&e.lock);
	}
	pthread_mutex_lock(&e.lock);
	while (e.open > 0)
		pthread_cond_wait(&e.done, &e.lock);
	pthread_mutex_unlock(&e.lock);
	pthread_cond_destroy(&e.done);
	pthread_mutex_destroy(&e.lock);
}

void dp_fleet_on(struct dp_fleet *f, size_t i, void (*fn)(struct dp_shard *s, void *arg), void *arg)
{
	run_on(f, i, i + 1, fn, arg);
}

/* The moment at which it was sent is the message itself. */
static void answer_ping(struct dp_loop *l, void *arg)
{
	dp_metrics_loop_delay(dp_shard_metrics(dp_loop_get(l)), gw_mono_us() - (int64_t)(intptr_t)arg);
}

void dp_fleet_ping(struct dp_fleet *f)
{
	for (size_t i = 0; i < f->n; i++)
		if (f->m[i].started)
			dp_loop_post(f->m[i].loop, answer_ping, (void *)(intptr_t)gw_mono_us());
}

/* ---- configuration ---- */

static void swap_one(struct dp_shard *s, void *arg)
{
	dp_shard_swap(s, gw_snapshot_ref(arg));
}

static void retire(struct dp_fleet *f, struct gw_snapshot *s)
{
	if (!s)
		return;
	if (f->n_old == f->room_old) {
		f->room_old = f->room_old ? 2 * f->room_old : 16;
		f->old = gw_realloc(f->old, f->room_old * sizeof *f->old);
	}
	f->old[f->n_old++] = s;
}

void dp_fleet_sweep(struct dp_fleet *f)
{
	size_t kept = 0;

	for (size_t i = 0; i < f->n_old; i++)
		if (gw_snapshot_is_last(f->old[i]))
			gw_snapshot_unref(&f->old[i]);
		else
			f->old[kept++] = f->old[i];
	f->n_old = kept;
}

void dp_fleet_swap(struct dp_fleet *f, struct gw_snapshot *s)
{
	struct gw_snapshot *old;

	dp_client_limit((size_t)gw_snapshot_settings(s)->max_connections);
	if (f->shared.access_log)
		dp_access_log_apply(f->shared.access_log, gw_snapshot_settings(s));
	if (f->shared.otlp)
		dp_otlp_apply(f->shared.otlp, &gw_snapshot_settings(s)->tracing);
	run_on(f, 0, f->n, swap_one, s);
	pthread_mutex_lock(&f->lock);
	old = f->current;
	f->current = s;
	pthread_mutex_unlock(&f->lock);
	retire(f, old);
	dp_fleet_sweep(f);
	atomic_store(&f->applied_ms, gw_mono_ms());
}

struct gw_snapshot *dp_fleet_snapshot(struct dp_fleet *f)
{
	struct gw_snapshot *s;

	pthread_mutex_lock(&f->lock);
	s = f->current ? gw_snapshot_ref(f->current) : NULL;
	pthread_mutex_unlock(&f->lock);
	return s;
}

int64_t dp_fleet_applied_ms(const struct dp_fleet *f) { return atomic_load(&((struct dp_fleet *)(uintptr_t)f)->applied_ms); }
bool dp_fleet_draining(const struct dp_fleet *f) { return atomic_load(&((struct dp_fleet *)(uintptr_t)f)->draining); }

/* ---- the end ---- */

static void close_listener(struct dp_shard *s, void *arg)
{
	struct dp_fleet *f = arg;

	for (size_t i = 0; i < f->n; i++)
		if (f->m[i].shard == s)
			dp_listener_close(&f->m[i].listener);
	dp_shard_drain(s);
}

void dp_fleet_drain(struct dp_fleet *f)
{
	if (!atomic_exchange(&f->draining, true))
		run_on(f, 0, f->n, close_listener, f);
}

static void cut_one(struct dp_shard *s, void *arg)
{
	(void)arg;
	dp_shard_cut(s);
}

void dp_fleet_cut(struct dp_fleet *f)
{
	run_on(f, 0, f->n, cut_one, NULL);
}

static void stop_loop(struct dp_loop *l, void *arg)
{
	(void)arg;
	dp_loop_stop(l);
}

/*
 * The resolver may hold a loop for half a minute, and neither it nor its thread can be stopped.  When it is all that
 * is left, nothing is lost by ending the process here.
 */
static void wait_for_lookups(struct dp_fleet *f)
{
	int64_t until = gw_mono_ms() + LOOKUP_GRACE_MS;
	bool open = true;

	while (open) {
		open = false;
		for (size_t i = 0; i < f->n; i++)
			open |= dp_loop_looks_up(f->m[i].loop);
		if (open && gw_mono_ms() >= until && dp_net_fds() == 0) {
			gw_log(GW_LOG_WARN, "worker", GW_STR_NONE, "stopped without waiting for the name server", NULL);
			_exit(0);
		}
		if (open)
			usleep(10000);
	}
}

void dp_fleet_close(struct dp_fleet **fp)
{
	struct dp_fleet *f = *fp;

	if (!f)
		return;
	*fp = NULL;
	dp_fleet_drain(f);
	dp_fleet_cut(f);
	for (size_t i = 0; i < f->n; i++)
		if (f->m[i].started)
			dp_loop_post(f->m[i].loop, stop_loop, NULL);
	wait_for_lookups(f);
	for (size_t i = 0; i < f->n; i++) {
		dp_loop_join(f->m[i].loop);
		dp_shard_close(&f->m[i].shard);
		dp_loop_close(&f->m[i].loop);
	}
	gw_snapshot_unref(&f->current);
	for (size_t i = 0; i < f->n_old; i++)
		gw_snapshot_unref(&f->old[i]);
	free(f->old);
	dp_counters_close(&f->shared.counters);
	dp_quotas_close(&f->shared.quotas);
	dp_pins_close(&f->shared.pins);
	dp_nonces_close(&f->shared.nonces);
	pthread_mutex_destroy(&f->lock);
	free(f->m);
	free(f);
}

/* ---- figures ---- */

const struct dp_shared *dp_fleet_shared(const struct dp_fleet *f) { return &f->shared; }
size_t dp_fleet_size(const struct dp_fleet *f) { return f->n; }
struct dp_counters *dp_fleet_counters(struct dp_fleet *f) { return f->shared.counters; }
struct dp_shard *dp_fleet_shard(struct dp_fleet *f, size_t i) { return f->m[i].shard; }

size_t dp_fleet_busy(struct dp_fleet *f)
{
	int64_t n = 0;

	for (size_t i = 0; i < f->n; i++)
		n += dp_metrics_in_flight_of(dp_shard_metrics(f->m[i].shard));
	return n > 0 ? (size_t)n : 0;
}

size_t dp_fleet_beginning(struct dp_fleet *f)
{
	size_t n = 0;

	for (size_t i = 0; i < f->n; i++)
		n += dp_shard_beginning(f->m[i].shard);
	return n;
}

int64_t dp_fleet_requests(struct dp_fleet *f)
{
	int64_t n = 0;

	for (size_t i = 0; i < f->n; i++)
		n += dp_metrics_requests_of(dp_shard_metrics(f->m[i].shard));
	return n;
}

int64_t dp_fleet_errors(struct dp_fleet *f)
{
	int64_t n = 0;

	for (size_t i = 0; i < f->n; i++)
		n += dp_metrics_errors_of(dp_shard_metrics(f->m[i].shard));
	return n;
}

struct dp_quotas *dp_fleet_quotas(struct dp_fleet *f)
{
	return f->shared.quotas;
}
