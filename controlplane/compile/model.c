/*
 * model.c - the newest committed snapshot, and the one that a commit is about to make.
 *
 * A pending snapshot was made by the thread that holds the writer, from the newest revision.  Once a revision of its
 * number is committed, it is that revision: nobody else could have made it.  Whoever sees that revision first, the
 * commit's own call or another reader, moves it into its place.
 */
#include "compile/model.h"

#include <pthread.h>
#include <stdlib.h>

#include "base/log.h"
#include "base/time.h"

#define MODEL_MAGIC 0x6d6f646cu

struct cp_model {
	unsigned magic;
	struct cp_store *store;
	const struct gw_catalog *catalog;
	const struct cp_keys *keys;
	pthread_mutex_t lock;            /* guards what follows */
	struct gw_snapshot *current, *pending;
};

struct cp_model *cp_model_open(struct cp_store *store, const struct gw_catalog *catalog, const struct cp_keys *keys)
{
	struct cp_model *m = gw_alloc(sizeof *m);
	m->magic = MODEL_MAGIC;
	m->store = store;
	m->catalog = catalog;
	m->keys = keys;
	pthread_mutex_init(&m->lock, NULL);
	return m;
}

void cp_model_close(struct cp_model **mp)
{
	struct cp_model *m = *mp;
	*mp = NULL;
	if (m == NULL)
		return;
	GW_CHECK(m, MODEL_MAGIC);
	gw_snapshot_unref(&m->current);
	gw_snapshot_unref(&m->pending);
	pthread_mutex_destroy(&m->lock);
	m->magic = 0;
	free(m);
}

/* The lock is held.  The old one is returned, to be let go without it. */
static struct gw_snapshot *promote(struct cp_model *m, uint64_t committed)
{
	struct gw_snapshot *old = NULL;
	if (m->pending != NULL && gw_snapshot_revision(m->pending) == committed &&
	    (m->current == NULL || gw_snapshot_revision(m->current) < committed)) {
		old = m->current;
		m->current = m->pending;
		m->pending = NULL;
	}
	return old;
}

/* The model at a committed revision; NULL: it has not that one. */
static struct gw_snapshot *at(struct cp_model *m, uint64_t committed)
{
	struct gw_snapshot *s = NULL;
	pthread_mutex_lock(&m->lock);
	struct gw_snapshot *old = promote(m, committed);
	if (m->current != NULL && gw_snapshot_revision(m->current) == committed)
		s = gw_snapshot_ref(m->current);
	pthread_mutex_unlock(&m->lock);
	gw_snapshot_unref(&old);
	return s;
}

static void install(struct cp_model *m, struct gw_snapshot *s)
{
	struct gw_snapshot *old = NULL;
	pthread_mutex_lock(&m->lock);
	if (m->current == NULL || gw_snapshot_revision(m->current) < gw_snapshot_revision(s)) {
		old = m->current;
		m->current = gw_snapshot_ref(s);
	}
	pthread_mutex_unlock(&m->lock);
	gw_snapshot_unref(&old);
}

enum gw_rc cp_model_latest(struct cp_model *m, struct gw_snapshot **out, struct gw_error *err)
{
	struct cp_txn *t = NULL;
	int64_t began = gw_mono_us();
	GW_CHECK(m, MODEL_MAGIC);
	*out = NULL;
	enum gw_rc rc = cp_txn_begin(&t, m->store, err);
	if (rc != GW_OK)
		return rc;
	*out = at(m, cp_txn_revision(t));
	if (*out == NULL) {
		rc = cp_compile(out, t, cp_store_epoch(m->store), m->catalog, m->keys, false, err);
		if (rc == GW_OK) {
			install(m, *out);
			gw_log(GW_LOG_DEBUG, NULL, GW_STR_NONE, "configuration read whole", "revision=%llu us=%lld",
			       (unsigned long long)cp_txn_revision(t), (long long)(gw_mono_us() - began));
		}
	}
	cp_txn_end(&t);
	return rc;
}

enum gw_rc cp_model_next(struct cp_model *m, struct cp_change *c, struct gw_snapshot **out, struct gw_error *err)
{
	GW_CHECK(m, MODEL_MAGIC);
	struct gw_snapshot *base = at(m, cp_txn_revision(cp_change_view(c))), *old;
	enum gw_rc rc;
	if (base != NULL)
		rc = cp_compile_next(out, base, c, m->catalog, m->keys, err);
	else
		rc = cp_compile(out, cp_change_view(c), cp_store_epoch(m->store), m->catalog, m->keys, true, err);
	/* The whole was compiled under the number of the revision before: it proves, but it is not what will be sent. */
	if (rc == GW_OK && base != NULL) {
		pthread_mutex_lock(&m->lock);
		old = m->pending;
		m->pending = gw_snapshot_ref(*out);
		pthread_mutex_unlock(&m->lock);
		gw_snapshot_unref(&old);
	}
	gw_snapshot_unref(&base);
	return rc;
}

void cp_model_committed(void *model, uint64_t revision)
{
	struct cp_model *m = model;
	GW_CHECK(m, MODEL_MAGIC);
	pthread_mutex_lock(&m->lock);
	struct gw_snapshot *old = promote(m, revision);
	pthread_mutex_unlock(&m->lock);
	gw_snapshot_unref(&old);
}

void cp_model_dropped(struct cp_model *m, const struct gw_snapshot *s)
{
	struct gw_snapshot *old = NULL;
	GW_CHECK(m, MODEL_MAGIC);
	pthread_mutex_lock(&m->lock);
	if (m->pending == s) {
		old = m->pending;
		m->pending = NULL;
	}
	pthread_mutex_unlock(&m->lock);
	gw_snapshot_unref(&old);
}
