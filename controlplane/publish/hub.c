/*
 * hub.c - the publisher: commit, compile the newest, send to all (see hub.h).
 */
#include "publish/hub.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "base/log.h"
#include "base/str.h"
#include "base/time.h"
#include "compile/compile.h"
#include "publish/session.h"

#define RETRY_MS 1000 /* after a failed compile */

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

/* Without the lock.  *bytes is owned: header line and body as one message. */
static enum gw_rc compile(struct cp_hub *h, struct cp_ws_bytes **bytes, struct gw_digest *digest, uint64_t *revision,
    struct gw_error *err)
{
	struct cp_txn *txn = NULL;
	struct gw_buf body, head;
	const char *epoch = cp_store_epoch(h->o.store);
	gw_buf_init(&body, GW_SNAPSHOT_MAX_BYTES);
	gw_buf_init(&head, 4096);
	enum gw_rc rc = cp_txn_begin(&txn, h->o.store, err);
	if (rc == GW_OK)
		rc = cp_compile(&body, digest, revision, txn, epoch, h->o.keys, err);
	cp_txn_end(&txn);
	if (rc == GW_OK)
		rc = gw_wire_snapshot_head(&head, gw_str_c(epoch), *revision, digest, body.n);
	if (rc == GW_OK)
		*bytes = cp_ws_bytes_new(gw_buf_str(&head), gw_buf_str(&body));
	gw_buf_fini(&head);
	gw_buf_fini(&body);
	return rc;
}

static void publish(struct cp_hub *h)
{
	struct cp_ws_bytes *bytes = NULL, *old;
	struct gw_digest digest;
	struct gw_error err = { 0 };
	uint64_t revision = 0;
	int64_t began = gw_mono_us();
	pthread_mutex_unlock(&h->lock);
	enum gw_rc rc = compile(h, &bytes, &digest, &revision, &err);
	if (rc == GW_OK)
		gw_log(GW_LOG_DEBUG, NULL, GW_STR_NONE, "revision compiled", "revision=%llu bytes=%zu us=%lld",
		    (unsigned long long)revision, cp_ws_bytes_size(bytes), (long long)(gw_mono_us() - began));
	else
		gw_log(GW_LOG_ERROR, NULL, GW_STR_NONE, "configuration cannot be compiled, trying again", "%s %s", err.path,
		    err.text);
	pthread_mutex_lock(&h->lock);
	if (rc != GW_OK) {
		cp_hub_wait_until(h, &h->wake, gw_mono_ms() + RETRY_MS);
		return;
	}
	old = h->latest_bytes;
	h->latest_bytes = bytes;
	h->latest = revision;
	h->latest_digest = digest;
	h->have_latest = true;
	if (revision > h->wanted)
		h->wanted = revision;
	for (struct gw_node *n = h->sessions.next; n != &h->sessions; n = n->next)
		cp_session_offer(h, GW_CONTAINER(n, struct cp_session, on));
	cp_ws_bytes_unref(&old);
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
	cp_ws_bytes_unref(&h->latest_bytes);
	pthread_cond_destroy(&h->wake);
	pthread_cond_destroy(&h->changed);
	pthread_mutex_destroy(&h->lock);
	free(h);
}
