/* sender.c - see sender.h. */
#include "alerts/sender.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <time.h>

#include "alerts/alerts.h"
#include "base/log.h"
#include "base/str.h"
#include "base/time.h"
#include "store/alert_store.h"

#define SEND_MS      10000
#define GIVE_UP_MS   (24LL * 3600 * 1000)
#define PAUSE_MAX_MS 1800000
#define IDLE_MS      60000

struct cp_sender {
	struct cp_store *store;
	const struct cp_keys *keys;
	pthread_t thread;
	pthread_mutex_t lock;                    /* guards the two below */
	pthread_cond_t changed;
	bool stop, news;
	_Atomic int64_t sent[CP_CHANNEL_TYPES][2], done;
};

/* ---- one message ---- */

static enum gw_rc send_to(struct cp_sender *x, struct gw_str channel, const struct cp_notice *n, struct gw_str text_zh, bool even_if_off, bool *gone, struct gw_error *err)
{
	struct gw_arena *a = gw_arena_open(0);
	struct cp_txn *t = NULL;
	struct cp_channel c;
	struct cp_notice said = *n;
	bool enabled = false;
	enum gw_rc rc = cp_txn_begin(&t, x->store, err);
	if (rc == GW_OK)
		rc = cp_channel_read(&c, t, x->keys, channel, a, &enabled, err);
	cp_txn_end(&t);
	*gone = rc == GW_NOTFOUND || (rc == GW_OK && !enabled && !even_if_off);
	if (rc == GW_OK && !*gone) {
		if (c.chinese && text_zh.n > 0)
			said.text = text_zh;
		rc = cp_notify(&c, &said, gw_now_ms(), SEND_MS, err);
		atomic_fetch_add(&x->sent[c.type][rc == GW_OK], 1);
	}
	gw_arena_close(&a);
	return rc;
}

/* 2 s, 10 s, 30 s, 2 min, then doubling up to half an hour. */
static int64_t pause_after(int64_t tries)
{
	static const int64_t first[] = { 2000, 10000, 30000, 120000 };
	int64_t ms = 120000;
	if (tries < (int64_t)GW_COUNT(first))
		return first[tries];
	for (int64_t i = (int64_t)GW_COUNT(first) - 1; i < tries && ms < PAUSE_MAX_MS; i++)
		ms *= 2;
	return ms < PAUSE_MAX_MS ? ms : PAUSE_MAX_MS;
}

/* false: the store cannot tell what became of it. */
static bool try_once(struct cp_sender *x, struct gw_arena *a, const struct cp_message *m)
{
	struct gw_error err = { 0 }, lost = { 0 };
	bool gone = false;
	struct cp_notice n = { .rule = m->rule, .object = m->object, .severity = m->severity, .description = m->description,
		.state = gw_arena_c(a, m->state), .text = m->text, .value = m->value, .started_at_ms = m->started_at_ms,
		.ended_at_ms = gw_str_is(m->state, "resolved") ? m->ended_at_ms : 0, .id = gw_arena_printf(a, "%lld", (long long)m->event) };
	enum gw_rc rc = send_to(x, m->channel, &n, m->text_zh, false, &gone, &err), kept;
	int64_t now = gw_now_ms();
	if (rc != GW_OK && !gone && rc != GW_DENIED && now - m->made_at_ms < GIVE_UP_MS) {
		if (m->tries == 0)
			gw_log(GW_LOG_WARN, "alert", m->rule, "message not taken, it is tried again", "channel=%.*s %s", GW_FMT(m->channel), err.text);
		kept = cp_message_later(x->store, m, now + pause_after(m->tries), gw_str_c(err.text), &lost);
	} else {
		if (rc != GW_OK)
			gw_log(GW_LOG_WARN, "alert", m->rule, "nobody was told", "channel=%.*s tries=%lld %s", GW_FMT(m->channel),
			    (long long)m->tries + 1, err.text);
		struct cp_delivery d = { .event = m->event, .at_ms = now, .tries = m->tries + 1, .channel = m->channel, .state = m->state,
			.detail = rc != GW_OK ? gw_str_c(err.text) : gone ? GW_STR("the channel is switched off") : GW_STR(""),
			.ok = rc == GW_OK && !gone };
		kept = cp_message_done(x->store, m, &d, &lost);
	}
	atomic_fetch_add(&x->done, 1);
	if (kept != GW_OK)
		gw_log(GW_LOG_ERROR, "alert", m->rule, "what became of a message cannot be recorded", "channel=%.*s %s", GW_FMT(m->channel), lost.text);
	return kept == GW_OK;
}

/* ---- the thread ---- */

/* Sends what is due; how long to sleep then. */
static int64_t send_due(struct cp_sender *x)
{
	struct gw_error err = { 0 };
	struct gw_arena *a = gw_arena_open(0);
	struct cp_txn *t = NULL;
	struct cp_message m;
	int64_t wait = IDLE_MS, now = gw_now_ms();
	enum gw_rc rc = cp_txn_begin(&t, x->store, &err);
	if (rc == GW_OK)
		rc = cp_message_first(t, a, &m, &err);
	cp_txn_end(&t);
	if (rc == GW_OK && (m.due_at_ms <= now || m.due_at_ms > now + PAUSE_MAX_MS)) { /* further away: the clock went back */
		wait = try_once(x, a, &m) ? 0 : IDLE_MS; /* a broken database must not make us send without end */
	} else if (rc == GW_OK) {
		wait = m.due_at_ms - now;
	} else if (rc != GW_NOTFOUND) {
		gw_log(GW_LOG_WARN, NULL, GW_STR_NONE, "messages about alerts cannot be read", "%s", err.text);
	}
	gw_arena_close(&a);
	return wait < IDLE_MS ? wait : IDLE_MS;
}

static void doze(struct cp_sender *x, int64_t ms)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	t.tv_nsec += ms % 1000 * 1000000;
	t.tv_sec += ms / 1000 + t.tv_nsec / 1000000000;
	t.tv_nsec %= 1000000000;
	while (!x->stop && !x->news && pthread_cond_timedwait(&x->changed, &x->lock, &t) == 0)
		;
}

static void *run(void *arg)
{
	struct cp_sender *x = arg;
	pthread_setname_np(pthread_self(), "notify");
	pthread_mutex_lock(&x->lock);
	while (!x->stop) {
		x->news = false;
		pthread_mutex_unlock(&x->lock);
		int64_t wait = send_due(x);
		pthread_mutex_lock(&x->lock);
		if (wait > 0)
			doze(x, wait);
	}
	pthread_mutex_unlock(&x->lock);
	return NULL;
}

/* ---- life ---- */

struct cp_sender *cp_sender_open(struct cp_store *store, const struct cp_keys *keys)
{
	struct cp_sender *x = gw_alloc(sizeof *x);
	pthread_condattr_t attr;
	x->store = store;
	x->keys = keys;
	pthread_mutex_init(&x->lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&x->changed, &attr);
	pthread_condattr_destroy(&attr);
	if (pthread_create(&x->thread, NULL, run, x) != 0)
		abort();
	return x;
}

static void signal_it(struct cp_sender *x, bool *what)
{
	pthread_mutex_lock(&x->lock);
	*what = true;
	pthread_cond_broadcast(&x->changed);
	pthread_mutex_unlock(&x->lock);
}

void cp_sender_close(struct cp_sender **out)
{
	struct cp_sender *x = *out;
	if (!x)
		return;
	*out = NULL;
	signal_it(x, &x->stop);
	pthread_join(x->thread, NULL);
	pthread_cond_destroy(&x->changed);
	pthread_mutex_destroy(&x->lock);
	free(x);
}

void cp_sender_wake(struct cp_sender *x)
{
	signal_it(x, &x->news);
}

enum gw_rc cp_sender_test(struct cp_sender *x, struct gw_str channel, struct gw_error *err)
{
	bool gone;
	struct cp_notice n = { .rule = GW_STR("test"), .severity = GW_STR("info"), .state = "test", .started_at_ms = gw_now_ms(), .id = GW_STR("test"),
		.text = GW_STR("This is a test: the channel works.") };
	return send_to(x, channel, &n, GW_STR("这是一条测试消息：该渠道可用。"), true, &gone, err);
}

void cp_sender_counts(const struct cp_sender *x, int64_t sent[CP_CHANNEL_TYPES][2])
{
	for (size_t i = 0; i < CP_CHANNEL_TYPES; i++)
		for (size_t k = 0; k < 2; k++)
			sent[i][k] = atomic_load(&((struct cp_sender *)(uintptr_t)x)->sent[i][k]);
}

int64_t cp_sender_done(const struct cp_sender *x)
{
	return atomic_load(&((struct cp_sender *)(uintptr_t)x)->done);
}
