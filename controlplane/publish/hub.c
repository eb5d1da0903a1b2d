/*
 * hub.c - the publisher: commit, take the newest, send each worker what it lacks (see hub.h).
 */
#include "publish/hub.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "base/log.h"
#include "base/str.h"
#include "base/time.h"
#include "compile/model.h"
#include "publish/session.h"

#define RETRY_MS 1000 /* after the configuration could not be read */

void cp_hub_wait_until(struct cp_hub *h, pthread_cond_t *c, int64_t mono_ms)
{
	struct timespec t = { .tv_sec = mono_ms / 1000, .tv_nsec = mono_ms % 1000 * 1000000 };
	pthread_cond_timedwait(c, &h->lock, &t);
}

int64_t cp_hub_commit_ms(const struct cp_hub *h, uint64_t revision)
{
	return h->commits[revision % CP_COMMITS].revision == revision ? h->commits[revision % CP_COMMITS].mono_ms : 0;
}

void cp_hub_committed(void *hub, uint64_t revision)
{
	struct cp_hub *h = hub;
	GW_CHECK(h, CP_HUB_MAGIC);
	pthread_mutex_lock(&h->lock);
	h->commits[revision % CP_COMMITS].revision = revision;
	h->commits[revision % CP_COMMITS].mono_ms = gw_mono_ms();
	if (revision > h->wanted)
		h->wanted = revision;
	pthread_cond_signal(&h->wake);
	pthread_mutex_unlock(&h->lock);
}

void cp_hub_check_served(struct cp_hub *h)
{
	size_t workers = 0;
	if (!h->have_latest || h->latest == h->served_logged)
		return;
	for (struct gw_node *n = h->sessions.next; n != &h->sessions; n = n->next) {
		const struct cp_session *s = GW_CONTAINER(n, struct cp_session, on);
		if (cp_session_live(s) && (!s->serves || s->revision < h->latest))
			return;
		workers += cp_session_live(s);
	}
	if (!workers)
		return;
	h->served_logged = h->latest;
	int64_t at = cp_hub_commit_ms(h, h->latest);
	gw_log(GW_LOG_INFO, NULL, GW_STR_NONE, "revision is served by all workers", "revision=%llu workers=%zu ms=%lld",
	    (unsigned long long)h->latest, workers, at ? (long long)(gw_mono_ms() - at) : -1LL);
}

/* ---- the thread ---- */

/* What a worker must still have said to get only a change: see cp_hub_delta(). */
static void forget_oldest(struct cp_hub *h)
{
	struct cp_past *p = &h->past[h->first_past++ % CP_PAST];
	h->past_changes -= p->changes;
	gw_snapshot_unref(&p->snapshot);
	cp_ws_bytes_unref(&p->delta);
	*p = (struct cp_past){ 0 };
	h->n_past--;
}

/* How many objects differ; a measure of what remembering the older one holds in memory. */
static size_t count_changes(const struct gw_snapshot *base, const struct gw_snapshot *next)
{
	struct gw_buf text;
	size_t n = 0;
	gw_buf_init(&text, GW_SNAPSHOT_MAX_BYTES);
	if (gw_snapshot_diff(&text, &n, base, next, NULL) != GW_OK)
		n = CP_PAST_CHANGES;
	gw_buf_fini(&text);
	return n;
}

/* The newest one becomes a past one, as long as the changes since then are few. */
static void remember(struct cp_hub *h, struct gw_snapshot *next)
{
	struct gw_snapshot *last = h->latest_snapshot;
	for (size_t i = 0; i < h->n_past; i++) /* they led to the one that was the newest */
		cp_ws_bytes_unref(&h->past[(h->first_past + i) % CP_PAST].delta);
	if (last && gw_str_eq(gw_snapshot_epoch(last), gw_snapshot_epoch(next))) {
		if (h->n_past == CP_PAST)
			forget_oldest(h);
		struct cp_past *p = &h->past[(h->first_past + h->n_past++) % CP_PAST];
		*p = (struct cp_past){ .snapshot = last, .changes = count_changes(last, next) };
		h->past_changes += p->changes;
		while (h->past_changes > CP_PAST_CHANGES && h->n_past > 0)
			forget_oldest(h);
	} else {
		gw_snapshot_unref(&last);
	}
	h->latest_snapshot = next;
}

struct cp_ws_bytes *cp_hub_whole(struct cp_hub *h)
{
	struct gw_buf body, head;
	struct gw_error err = { 0 };
	if (h->whole)
		return h->whole;
	gw_buf_init(&body, GW_SNAPSHOT_MAX_BYTES);
	gw_buf_init(&head, 4096);
	enum gw_rc rc = gw_snapshot_write(&body, h->latest_snapshot, &err);
	gw_snapshot_digest_of(&h->whole_digest, gw_buf_str(&body));
	if (rc == GW_OK)
		rc = gw_wire_snapshot_head(&head, gw_snapshot_epoch(h->latest_snapshot), h->latest, &h->whole_digest, body.n);
	if (rc == GW_OK)
		h->whole = cp_ws_bytes_new(gw_buf_str(&head), gw_buf_str(&body));
	else
		gw_log(GW_LOG_ERROR, NULL, GW_STR_NONE, "configuration cannot be sent", "%s", err.text);
	gw_buf_fini(&head);
	gw_buf_fini(&body);
	return h->whole;
}

static struct cp_past *find_past(struct cp_hub *h, uint64_t revision, const struct gw_digest *state)
{
	for (size_t i = 0; i < h->n_past; i++) {
		struct cp_past *p = &h->past[(h->first_past + i) % CP_PAST];
		struct gw_digest mine;
		if (gw_snapshot_revision(p->snapshot) != revision)
			continue;
		gw_snapshot_state(&mine, p->snapshot);
		return memcmp(&mine, state, sizeof mine) == 0 ? p : NULL;
	}
	return NULL;
}

struct cp_ws_bytes *cp_hub_delta(struct cp_hub *h, uint64_t base, const struct gw_digest *state)
{
	struct cp_past *p = find_past(h, base, state);
	struct gw_buf body, head;
	size_t changes;
	if (!p || p->delta)
		return p ? p->delta : NULL;
	gw_buf_init(&body, GW_SNAPSHOT_MAX_BYTES);
	gw_buf_init(&head, 4096);
	if (gw_snapshot_diff(&body, &changes, p->snapshot, h->latest_snapshot, NULL) == GW_OK &&
	    gw_wire_delta_head(&head, gw_snapshot_epoch(h->latest_snapshot), base, h->latest, &h->latest_state,
		gw_buf_str(&body)) == GW_OK)
		p->delta = cp_ws_bytes_new(gw_buf_str(&head), gw_buf_str(&body));
	gw_buf_fini(&head);
	gw_buf_fini(&body);
	return p->delta;
}

static void publish(struct cp_hub *h)
{
	struct gw_snapshot *next = NULL;
	struct gw_error err = { 0 };
	pthread_mutex_unlock(&h->lock);
	enum gw_rc rc = cp_model_latest(h->o.model, &next, &err);
	if (rc != GW_OK)
		gw_log(GW_LOG_ERROR, NULL, GW_STR_NONE, "configuration cannot be compiled, trying again", "%s %s", err.path,
		    err.text);
	pthread_mutex_lock(&h->lock);
	if (rc != GW_OK) {
		cp_hub_wait_until(h, &h->wake, gw_mono_ms() + RETRY_MS);
		return;
	}
	remember(h, next);
	cp_ws_bytes_unref(&h->whole);
	h->latest = gw_snapshot_revision(next);
	gw_snapshot_state(&h->latest_state, next);
	h->have_latest = true;
	if (h->latest > h->wanted)
		h->wanted = h->latest;
	for (struct gw_node *n = h->sessions.next; n != &h->sessions; n = n->next)
		cp_session_offer(h, GW_CONTAINER(n, struct cp_session, on));
}

static void *run(void *arg)
{
	struct cp_hub *h = arg;
	pthread_setname_np(pthread_self(), "publish");
	pthread_mutex_lock(&h->lock);
	while (!h->stop) {
		if (!h->have_latest || h->latest < h->wanted)
			publish(h);
		else
			pthread_cond_wait(&h->wake, &h->lock);
	}
	pthread_mutex_unlock(&h->lock);
	return NULL;
}

/* ---- open and close ---- */

static void cond_init(pthread_cond_t *c)
{
	pthread_condattr_t attr;
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(c, &attr);
	pthread_condattr_destroy(&attr);
}

struct cp_hub *cp_hub_open(const struct cp_hub_options *o)
{
	struct cp_hub *h = gw_alloc(sizeof *h);
	h->magic = CP_HUB_MAGIC;
	h->o = *o;
	gw_list_init(&h->sessions);
	gw_list_init(&h->calls);
	pthread_mutex_init(&h->lock, NULL);
	cond_init(&h->wake);
	cond_init(&h->changed);
	snprintf(h->epoch, sizeof h->epoch, "%s", cp_store_epoch(o->store));
	h->wanted = cp_store_revision(o->store);
	return h;
}

void cp_hub_start(struct cp_hub *h, struct cp_ws *ws)
{
	GW_CHECK(h, CP_HUB_MAGIC);
	h->ws = ws;
	if (pthread_create(&h->thread, NULL, run, h) != 0)
		abort();
	h->started = true;
}

void cp_hub_stop(struct cp_hub *h)
{
	GW_CHECK(h, CP_HUB_MAGIC);
	pthread_mutex_lock(&h->lock);
	h->stop = true;
	pthread_cond_broadcast(&h->wake);
	pthread_cond_broadcast(&h->changed);
	for (struct gw_node *n = h->sessions.next; n != &h->sessions; n = n->next) {
		struct cp_session *s = GW_CONTAINER(n, struct cp_session, on);
		json_t *bye = gw_wire_new(GW_WIRE_BYE);
		gw_json_set_str(bye, "reason", GW_STR("the control plane stops"));
		cp_hub_write(h, s->connection, bye);
		cp_ws_drop(h->ws, s->connection, "the control plane stops");
	}
	pthread_mutex_unlock(&h->lock);
	if (h->started)
		pthread_join(h->thread, NULL);
	h->started = false;
}

void cp_hub_close(struct cp_hub **out)
{
	struct cp_hub *h = *out;
	if (!h)
		return;
	GW_CHECK(h, CP_HUB_MAGIC);
	*out = NULL;
	assert(gw_list_empty(&h->sessions)); /* the ws was closed before and reported every connection */
	while (h->n_past > 0)
		forget_oldest(h);
	gw_snapshot_unref(&h->latest_snapshot);
	cp_ws_bytes_unref(&h->whole);
	pthread_cond_destroy(&h->wake);
	pthread_cond_destroy(&h->changed);
	pthread_mutex_destroy(&h->lock);
	free(h);
}
