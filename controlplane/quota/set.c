/* set.c - which quotas a row counts towards, and in which period. */
#include "quota/set.h"

#include <stdlib.h>

#include "base/arena.h"
#include "base/log.h"
#include "base/map.h"
#include "base/str.h"

struct link { struct cp_quota *q; struct link *next; };

struct cp_quota_set {
	struct gw_arena *arena;
	struct cp_quota **v;
	size_t n, room;
	struct gw_map *by_name, *of[GW_QUOTA_SUBJECTS]; /* name → struct link */
};

enum gw_rc cp_quota_read(struct cp_quota *out, const struct cp_record *r, struct gw_arena *a, struct gw_error *err)
{
	json_t *spec = NULL;
	*out = (struct cp_quota){ .created_ms = r->created_at_ms };
	enum gw_rc rc = gw_json_parse(&spec, r->spec, 1 << 20, err);
	if (rc == GW_OK)
		rc = gw_quota_read(&out->def, gw_arena_copy(a, r->name), spec, a, err);
	json_decref(spec);
	if (rc != GW_OK)
		return rc;
	out->zone = cp_zone_find(out->def.time_zone);
	if (out->zone == NULL)
		out->zone = cp_zone_find(GW_STR("UTC"));
	return GW_OK;
}

bool cp_quota_period(struct cp_quota *q, int64_t at_ms, int64_t *from_ms, int64_t *until_ms)
{
	static const enum cp_span spans[] = {
		[GW_QUOTA_PER_DAY] = CP_SPAN_DAY, [GW_QUOTA_PER_WEEK] = CP_SPAN_WEEK, [GW_QUOTA_PER_MONTH] = CP_SPAN_MONTH,
	};
	if (at_ms < q->created_ms)
		return false;
	if (q->def.period == GW_QUOTA_PER_TOTAL) {
		*from_ms = q->created_ms;
		*until_ms = 0;
		return true;
	}
	if (at_ms < q->from_ms || at_ms >= q->until_ms) {
		cp_zone_span(q->zone, spans[q->def.period], at_ms, &q->from_ms, &q->until_ms);
		if (q->from_ms < q->created_ms)
			q->from_ms = q->created_ms;
	}
	*from_ms = q->from_ms;
	*until_ms = q->until_ms;
	return true;
}

static void assign(struct cp_quota_set *s, struct cp_quota *q)
{
	struct gw_map *of = s->of[q->def.subject];
	struct link *l = gw_arena_alloc(s->arena, sizeof *l);
	l->q = q;
	l->next = gw_map_get(of, q->def.who);
	gw_map_put(of, q->def.who, l);
}

static bool add(void *arg, const struct cp_record *r)
{
	struct cp_quota_set *s = arg;
	struct gw_error err = { 0 };
	struct cp_quota *q = gw_arena_alloc(s->arena, sizeof *q);
	if (cp_quota_read(q, r, s->arena, &err) != GW_OK) {
		gw_log(GW_LOG_ERROR, "quota", r->name, "cannot be read and does not count", "%s %s", err.path, err.text);
		return true;
	}
	if (s->n == s->room) {
		s->room = s->room ? 2 * s->room : 64;
		s->v = gw_realloc(s->v, s->room * sizeof *s->v);
	}
	s->v[s->n++] = q;
	gw_map_put(s->by_name, q->def.name, q);
	if (q->def.enabled)
		assign(s, q);
	return true;
}

enum gw_rc cp_quota_set_load(struct cp_quota_set **out, struct cp_txn *t, struct gw_error *err)
{
	struct cp_quota_set *s = gw_alloc(sizeof *s);
	s->arena = gw_arena_open(4096);
	s->by_name = gw_map_open(64);
	for (size_t i = 0; i < GW_QUOTA_SUBJECTS; i++)
		s->of[i] = gw_map_open(64);
	enum gw_rc rc = cp_each(t, GW_KIND_QUOTA, GW_STR_NONE, add, s, err);
	if (rc != GW_OK)
		cp_quota_set_free(&s);
	*out = s;
	return rc;
}

void cp_quota_set_free(struct cp_quota_set **out)
{
	struct cp_quota_set *s = *out;
	if (s == NULL)
		return;
	*out = NULL;
	gw_map_close(&s->by_name);
	for (size_t i = 0; i < GW_QUOTA_SUBJECTS; i++)
		gw_map_close(&s->of[i]);
	gw_arena_close(&s->arena);
	free(s->v);
	free(s);
}

size_t cp_quota_count(const struct cp_quota_set *s)
{
	return s != NULL ? s->n : 0;
}

struct cp_quota *cp_quota_at(struct cp_quota_set *s, size_t i)
{
	return s->v[i];
}

struct cp_quota *cp_quota_find(struct cp_quota_set *s, struct gw_str name)
{
	return s != NULL ? gw_map_get(s->by_name, name) : NULL;
}

static size_t charge_all(struct cp_quota_set *s, enum gw_quota_subject subject, struct gw_str who, const struct gw_usage_record *r,
			 struct cp_charge *out, size_t n)
{
	const struct link *l = who.n > 0 ? gw_map_get(s->of[subject], who) : NULL;
	for (; l != NULL && n < CP_CHARGES_MAX; l = l->next) {
		struct cp_charge c = { .quota = l->q->def.name, .amount = gw_quota_amount(&l->q->def, r) };
		int64_t until;
		if (c.amount > 0 && cp_quota_period(l->q, r->started_at_ms, &c.from_ms, &until))
			out[n++] = c;
	}
	return n;
}

size_t cp_quota_charges(void *set, const struct gw_usage_record *r, struct cp_charge *out)
{
	struct cp_quota_set *s = set;
	struct gw_str groups = r->consumer_groups;
	if (s == NULL || s->n == 0)
		return 0;
	size_t n = charge_all(s, GW_QUOTA_CONSUMER, r->consumer, r, out, 0);
	n = charge_all(s, GW_QUOTA_KEY, r->key_id, r, out, n);
	while (groups.n > 0) {
		struct gw_str group = gw_str_cut(&groups, ',');
		n = charge_all(s, GW_QUOTA_GROUP, group, r, out, n);
	}
	return n;
}
