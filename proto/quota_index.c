/* quota_index.c - whose quotas are these? */
#include "base/str.h"
#include "price_book.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#define QUOTAS_OF_ONE 16         /* of one consumer, group or key */

struct gw_quota_index {
	atomic_uint refs;
	struct gw_arena *arena;
	struct gw_map *of[GW_QUOTA_SUBJECTS]; /* name or id → struct gw_quotas */
};

static enum gw_rc add(struct gw_quota_index *x, const struct gw_quota *q, struct gw_error *err)
{
	struct gw_quotas *of = gw_map_get(x->of[q->subject], q->who);
	char path[100];

	if (!q->enabled)
		return GW_OK;
	if (of && of->n == QUOTAS_OF_ONE) {
		snprintf(path, sizeof path, "/quotas/%.*s", GW_FMT(q->name));
		return gw_fail(err, GW_INVALID, path, "`%.*s` has %d quotas already", GW_FMT(q->who), QUOTAS_OF_ONE);
	}
	if (!of) {
		of = gw_arena_alloc(x->arena, sizeof *of);
		of->v = gw_arena_array(x->arena, QUOTAS_OF_ONE, sizeof *of->v);
		gw_map_put(x->of[q->subject], q->who, of);
	}
	((const struct gw_quota **)of->v)[of->n++] = q;
	return GW_OK;
}

enum gw_rc gw_quota_index_make(struct gw_quota_index **out, const struct gw_snapshot *s, struct gw_error *err)
{
	struct gw_quota_index *x = gw_alloc(sizeof *x);
	struct gw_arena *a = gw_arena_open(0);
	size_t n;
	struct gw_entry **v = gw_snapshot_sorted(s, GW_KIND_QUOTA, a, &n);
	enum gw_rc rc = GW_OK;

	atomic_init(&x->refs, 1);
	x->arena = gw_arena_open(0);
	for (size_t i = 0; i < GW_QUOTA_SUBJECTS; i++)
		x->of[i] = gw_map_open(16);
	for (size_t i = 0; i < n && rc == GW_OK; i++)
		rc = add(x, v[i]->view, err);
	gw_arena_close(&a);
	if (rc != GW_OK)
		gw_quota_index_unref(&x);
	*out = x;
	return rc;
}

struct gw_quota_index *gw_quota_index_ref(struct gw_quota_index *x)
{
	if (x)
		atomic_fetch_add_explicit(&x->refs, 1, memory_order_relaxed);
	return x;
}

void gw_quota_index_unref(struct gw_quota_index **xp)
{
	struct gw_quota_index *x = *xp;

	*xp = NULL;
	if (!x || atomic_fetch_sub_explicit(&x->refs, 1, memory_order_acq_rel) != 1)
		return;
	for (size_t i = 0; i < GW_QUOTA_SUBJECTS; i++)
		gw_map_close(&x->of[i]);
	gw_arena_close(&x->arena);
	free(x);
}

enum gw_rc gw_quotas_check(const struct gw_snapshot *s, struct gw_error *err)
{
	struct gw_trie_at at = { 0 };
	const struct gw_entry *e;
	char path[100];

	while ((e = gw_trie_next(&s->kinds[GW_KIND_QUOTA], &at))) {
		const struct gw_quota *q = e->view;

		if (q->subject != GW_QUOTA_CONSUMER || gw_snapshot_consumer(s, q->who))
			continue;
		snprintf(path, sizeof path, "/quotas/%.*s/consumer", GW_FMT(q->name));
		return gw_fail(err, GW_INVALID, path, "there is no consumer `%.*s`", GW_FMT(q->who));
	}
	return GW_OK;
}

struct gw_quotas gw_snapshot_quotas_of(const struct gw_snapshot *s, enum gw_quota_subject subject, struct gw_str who)
{
	const struct gw_quotas *found = s->quotas && who.n ? gw_map_get(s->quotas->of[subject], who) : NULL;

	GW_CHECK(s, GW_SNAPSHOT_MAGIC);
	return found ? *found : (struct gw_quotas){ NULL, 0 };
}
