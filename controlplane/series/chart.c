/* chart.c - which set answers, which resolution, and adding up. */
#include "series/chart.h"

#include <stdio.h>

#include "base/map.h"
#include "base/str.h"
#include "store/series_store.h"

#define MAX_CELLS 2000000u  /* of all lines together */
#define MAX_LINES 5000u
#define HOUR_MS   3600000LL

enum split { SPLIT_NONE, SPLIT_ENDED, SPLIT_FAILED, SPLIT_BROKEN, SPLIT_STATUS, SPLIT_CLASS };

static const struct about {
	const char *name;
	enum cp_chart_kind kind;
	enum gw_metric_set set;
	size_t at, n;
	enum split split;
	enum gw_histogram histogram;
	const char *unit, *labels;
} table[] = {
#define X(name, kind, set, at, n, split, histogram, unit, labels, doc) \
	{ #name, CP_CHART_##kind, GW_SET_##set, at, n, SPLIT_##split, GW_HISTOGRAM_##histogram, unit, labels },
#include "tbl/series.def"
#undef X
};

static const char *const dimensions[] = {
#define X(name, text) text,
	CP_DIMENSION_TABLE(X)
#undef X
};

const char *cp_dimension_name(enum cp_dimension d)
{
	assert(d < CP_DIMENSION_COUNT);
	return dimensions[d];
}

/* ---- which row of the table answers ---- */

static bool has_word(const char *list, const char *word)
{
	struct gw_str rest = gw_str_c(list);
	while (rest.p && rest.n > 0)
		if (gw_str_is(gw_str_cut(&rest, ','), word))
			return true;
	return false;
}

static bool tells(const struct about *a, enum cp_dimension d)
{
	return d == CP_DIMENSION_NODE || has_word(a->labels, dimensions[d]);
}

/* The first dimension asked for that it cannot tell; CP_DIMENSION_COUNT: it tells them all. */
static enum cp_dimension lacks(const struct about *a, const struct cp_chart *c, const struct cp_chart_query *q)
{
	for (size_t i = 0; i < c->n_by; i++)
		if (!tells(a, c->by[i]))
			return c->by[i];
	for (enum cp_dimension d = 0; d < CP_DIMENSION_COUNT; d++)
		if (q->only[d].p && !tells(a, d))
			return d;
	return CP_DIMENSION_COUNT;
}

static enum gw_rc choose(const struct about **out, const struct cp_chart *c, const struct cp_chart_query *q, struct gw_error *err)
{
	const struct about *last = NULL;
	for (size_t i = 0; i < GW_COUNT(table); i++) {
		if (!gw_str_is(q->metric, table[i].name))
			continue;
		last = &table[i];
		*out = last;
		if (lacks(last, c, q) == CP_DIMENSION_COUNT)
			return GW_OK;
	}
	if (!last)
		return gw_fail(err, GW_INVALID, "?metric", "there is no series \"%.*s\"", (int)(q->metric.n < 60 ? q->metric.n : 60),
		    q->metric.p ? q->metric.p : "");
	char path[40];
	for (size_t i = 0; i < GW_COUNT(table); i++)
		if (gw_str_is(q->metric, table[i].name)) {
			last = &table[i];
			break;
		}
	enum cp_dimension missing = lacks(last, c, q);
	bool grouped = false;
	for (size_t i = 0; i < c->n_by; i++)
		grouped |= c->by[i] == missing;
	snprintf(path, sizeof path, "?%s", grouped ? "by" : dimensions[missing]);
	return gw_fail(err, GW_INVALID, path, "%s cannot be told by these labels together; it is counted by %s%snode", last->name,
	    last->labels, last->labels[0] ? "," : "");
}

static enum gw_rc read_by(struct cp_chart *c, struct gw_str by, struct gw_error *err)
{
	while (by.p && by.n > 0) {
		struct gw_str word = gw_str_trim(gw_str_cut(&by, ','));
		enum cp_dimension d = 0;
		while (d < CP_DIMENSION_COUNT && !gw_str_is(word, dimensions[d]))
			d++;
		if (d == CP_DIMENSION_COUNT)
			return gw_fail(err, GW_INVALID, "?by", "series are not told apart by \"%.*s\"", (int)(word.n < 60 ? word.n : 60), word.p);
		if (c->n_by == CP_CHART_DIMENSIONS)
			return gw_fail(err, GW_INVALID, "?by", "at most %d labels can be grouped by", CP_CHART_DIMENSIONS);
		c->by[c->n_by++] = d;
	}
	return GW_OK;
}

/* ---- steps ---- */

/* As fine as a chart can show, and as points of that age are kept by default. */
static int64_t natural_step(const struct cp_chart_query *q)
{
	static const int64_t steps[] = { 10000, 20000, 60000, 120000, 300000, 600000, 1800000, HOUR_MS, 3 * HOUR_MS, 6 * HOUR_MS, 24 * HOUR_MS,
		168 * HOUR_MS };
	int64_t span = q->to_ms - q->from_ms, age = q->now_ms - q->from_ms;
	int64_t least = age > 71 * HOUR_MS ? HOUR_MS : age > 3 * HOUR_MS - 60000 ? 60000 : 10000;
	for (size_t i = 0; i < GW_COUNT(steps); i++)
		if (steps[i] >= least && span / steps[i] <= 240)
			return steps[i];
	return steps[GW_COUNT(steps) - 1];
}

static enum gw_rc lay_out(struct cp_chart *c, const struct cp_chart_query *q, struct gw_error *err)
{
	c->step_ms = q->step_ms ? q->step_ms : natural_step(q);
	if (q->from_ms >= q->to_ms)
		return gw_fail(err, GW_INVALID, "?from", "from lies after to");
	if (c->step_ms < CP_CHART_STEP_MS || c->step_ms % CP_CHART_STEP_MS)
		return gw_fail(err, GW_INVALID, "?step", "step must be a multiple of 10s");
	c->from_ms = q->from_ms / c->step_ms * c->step_ms;
	int64_t n = (q->to_ms - c->from_ms + c->step_ms - 1) / c->step_ms;
	if (n > CP_CHART_MAX_STEPS)
		return gw_fail(err, GW_INVALID, "?step", "that would be %lld steps, and at most %d are shown: choose a longer step or a shorter span",
		    (long long)n, CP_CHART_MAX_STEPS);
	c->n_steps = (size_t)n;
	return GW_OK;
}

static int64_t resolution_for(int64_t step_ms)
{
	int64_t best = cp_series_resolution_ms[0];
	for (size_t i = 0; i < CP_SERIES_RESOLUTIONS; i++)
		if (step_ms % cp_series_resolution_ms[i] == 0)
			best = cp_series_resolution_ms[i];
	return best;
}

/* ---- adding up ---- */

struct sum {
	struct cp_chart *c;
	const struct cp_chart_query *q;
	const struct about *about;
	struct gw_arena *a;
	struct gw_map *index;
	size_t cap, most;
};

static struct cp_chart_line *line_for(struct sum *s, const struct gw_str *label)
{
	char key[CP_CHART_DIMENSIONS * (GW_METRIC_LABEL_MAX + 1)];
	struct gw_str other[CP_CHART_DIMENSIONS];
	size_t n = 0;
	for (size_t i = 0; i < s->c->n_by; i++) {
		size_t take = label[i].n < GW_METRIC_LABEL_MAX ? label[i].n : GW_METRIC_LABEL_MAX;
		memcpy(key + n, label[i].p ? label[i].p : "", take);
		n += take;
		key[n++] = '\n';
		other[i] = GW_STR("other");
	}
	size_t *at = gw_map_get(s->index, (struct gw_str){ key, n });
	if (at)
		return &s->c->line[*at];
	bool is_other = s->c->n_by == 0 || gw_str_is(label[0], "other");
	if (s->c->n_lines + 1 >= s->most && !is_other)
		return line_for(s, other);
	if (s->c->n_lines == s->cap) {
		struct cp_chart_line *old = s->c->line;
		s->cap = s->cap ? 2 * s->cap : 16;
		s->c->line = gw_arena_alloc(s->a, s->cap * sizeof *old);
		if (s->c->n_lines)
			memcpy(s->c->line, old, s->c->n_lines * sizeof *old);
	}
	struct cp_chart_line *l = &s->c->line[s->c->n_lines];
	*l = (struct cp_chart_line){ .cell = gw_arena_alloc(s->a, s->c->n_steps * s->c->width * sizeof(uint64_t)) };
	memset(l->cell, 0, s->c->n_steps * s->c->width * sizeof(uint64_t));
	for (size_t i = 0; i < s->c->n_by; i++)
		l->label[i] = gw_arena_copy(s->a, label[i]);
	at = gw_arena_alloc(s->a, sizeof *at);
	*at = s->c->n_lines++;
	gw_map_put(s->index, gw_arena_copy(s->a, (struct gw_str){ key, n }), at);
	return l;
}

/* Whether a slot of ENDED belongs to what is asked for. */
static bool slot_counts(const struct about *a, size_t i)
{
	size_t class = i / GW_END_COUNT, end = i % GW_END_COUNT;
	bool broken = end == GW_END_UPSTREAM_ERROR || end == GW_END_TIMEOUT;
	switch (a->split) {
	case SPLIT_FAILED: return class >= 4 || broken;
	case SPLIT_BROKEN: return class == 5 || broken;
	default: return true;
	}
}

/* The value of a label that lies in the slot itself; absent: it does not. */
static struct gw_str slot_label(const struct about *a, size_t i, enum cp_dimension d)
{
	if (d == CP_DIMENSION_STATUS && a->split == SPLIT_ENDED)
		return gw_str_c(gw_status_class_name(i / GW_END_COUNT));
	if (d == CP_DIMENSION_STATUS && a->split == SPLIT_STATUS)
		return gw_str_c(gw_status_class_name(i));
	if (d == CP_DIMENSION_END_REASON && a->split == SPLIT_ENDED)
		return gw_str_c(gw_end_name((enum gw_end_reason)(i % GW_END_COUNT)));
	if (d == CP_DIMENSION_CLASS && a->split == SPLIT_CLASS)
		return gw_str_c(gw_token_class_name(i));
	return GW_STR_NONE;
}

static bool slot_wanted(const struct sum *s, size_t i)
{
	bool by_class = s->q->only[CP_DIMENSION_CLASS].p != NULL;
	for (size_t k = 0; k < s->c->n_by; k++)
		by_class |= s->c->by[k] == CP_DIMENSION_CLASS;
	if (s->about->split == SPLIT_CLASS && !by_class && i != GW_TOKENS_PROMPT && i != GW_TOKENS_COMPLETION)
		return false; /* the others are parts of these two */
	for (enum cp_dimension d = CP_DIMENSION_STATUS; d <= CP_DIMENSION_CLASS; d++)
		if (s->q->only[d].p && !gw_str_eq(slot_label(s->about, i, d), s->q->only[d]))
			return false;
	return slot_counts(s->about, i);
}

static struct gw_str point_label(const struct about *a, const struct cp_series_point *p, enum cp_dimension d)
{
	const struct gw_metric_set_about *set = gw_metric_set(a->set);
	if (d == CP_DIMENSION_NODE)
		return p->node;
	for (size_t i = 0; i < set->n_labels; i++)
		if (strcmp(set->labels[i], dimensions[d]) == 0)
			return p->label[i];
	return GW_STR_NONE;
}

static void add_slot(struct sum *s, const struct cp_series_point *p, size_t step, size_t i)
{
	struct gw_str label[CP_CHART_DIMENSIONS];
	uint64_t v = p->slot[s->about->at + i];
	for (size_t k = 0; k < s->c->n_by; k++) {
		label[k] = slot_label(s->about, i, s->c->by[k]);
		if (!label[k].p)
			label[k] = point_label(s->about, p, s->c->by[k]);
	}
	struct cp_chart_line *l = line_for(s, label);
	l->cell[step * s->c->width] += v;
	l->total += v;
}

static void add_vector(struct sum *s, const struct cp_series_point *p, size_t step)
{
	struct gw_str label[CP_CHART_DIMENSIONS];
	for (size_t k = 0; k < s->c->n_by; k++)
		label[k] = point_label(s->about, p, s->c->by[k]);
	struct cp_chart_line *l = line_for(s, label);
	uint64_t *cell = l->cell + step * s->c->width;
	if (s->c->kind == CP_CHART_GAUGE) {
		cell[0] += p->slot[s->about->at];
		cell[1] += p->slot[GW_AT(WORKER, SAMPLES)];
		l->total += p->slot[GW_AT(WORKER, SAMPLES)];
		return;
	}
	for (size_t i = 0; i < s->about->n; i++)
		cell[i] += p->slot[s->about->at + i];
	l->total += gw_histogram_count(s->about->histogram, p->slot + s->about->at);
}

static bool add_point(void *arg, const struct cp_series_point *p)
{
	struct sum *s = arg;
	size_t step = (size_t)((p->at_ms - s->c->from_ms) / s->c->step_ms);
	if (step >= s->c->n_steps)
		return true;
	if (s->c->kind != CP_CHART_COUNTER) {
		add_vector(s, p, step);
		return true;
	}
	for (size_t i = 0; i < s->about->n; i++)
		if (p->slot[s->about->at + i] && slot_wanted(s, i))
			add_slot(s, p, step, i);
	return true;
}

/* Gauges of several workers: the sum of their means, so each worker is a line of its own until here. */
static void fold_gauges(struct cp_chart *c, struct gw_arena *a)
{
	struct cp_chart_line *all = gw_arena_alloc(a, sizeof *all);
	*all = (struct cp_chart_line){ .cell = gw_arena_alloc(a, c->n_steps * 2 * sizeof(uint64_t)) };
	memset(all->cell, 0, c->n_steps * 2 * sizeof(uint64_t));
	for (size_t i = 0; i < c->n_lines; i++)
		for (size_t k = 0; k < c->n_steps; k++) {
			const uint64_t *cell = c->line[i].cell + 2 * k;
			if (!cell[1])
				continue;
			all->cell[2 * k] += cell[0] / cell[1];
			all->cell[2 * k + 1] = 1;
			all->total++;
		}
	c->line = all;
	c->n_lines = all->total > 0;
	c->n_by = 0;
}

static void sort_lines(struct cp_chart *c)
{
	for (size_t i = 1; i < c->n_lines; i++) {
		struct cp_chart_line l = c->line[i];
		size_t k = i;
		for (; k > 0 && c->line[k - 1].total < l.total; k--)
			c->line[k] = c->line[k - 1];
		c->line[k] = l;
	}
}

enum gw_rc cp_chart_read(struct cp_chart *c, struct cp_txn *t, const struct cp_chart_query *q, struct gw_arena *a,
			 struct gw_error *err)
{
	struct sum s = { .c = c, .q = q, .a = a };
	*c = (struct cp_chart){ 0 };
	enum gw_rc rc = read_by(c, q->by, err);
	if (rc == GW_OK)
		rc = choose(&s.about, c, q, err);
	if (rc == GW_OK)
		rc = lay_out(c, q, err);
	if (rc != GW_OK)
		return rc;
	c->kind = s.about->kind;
	c->histogram = s.about->histogram;
	c->unit = s.about->unit;
	c->width = c->kind == CP_CHART_HISTOGRAM ? s.about->n : c->kind == CP_CHART_GAUGE ? 2 : 1;
	bool fold = c->kind == CP_CHART_GAUGE && c->n_by == 0;
	if (fold)
		c->by[c->n_by++] = CP_DIMENSION_NODE;
	s.most = MAX_CELLS / (c->n_steps * c->width);
	s.most = s.most < MAX_LINES ? s.most : MAX_LINES;
	s.index = gw_map_open(64);
	struct cp_series_query u = { .set = s.about->set, .resolution_ms = resolution_for(c->step_ms), .from_ms = c->from_ms,
		.to_ms = c->from_ms + (int64_t)c->n_steps * c->step_ms, .node = q->only[CP_DIMENSION_NODE] };
	const struct gw_metric_set_about *set = gw_metric_set(s.about->set);
	for (size_t i = 0; i < set->n_labels; i++)
		for (enum cp_dimension d = 0; d < CP_DIMENSION_COUNT; d++)
			if (strcmp(set->labels[i], dimensions[d]) == 0)
				u.label[i] = q->only[d];
	rc = cp_series_each(t, &u, add_point, &s, err);
	gw_map_close(&s.index);
	if (rc == GW_OK && fold)
		fold_gauges(c, a);
	sort_lines(c);
	return rc;
}

/* ---- values ---- */

double cp_chart_value(const struct cp_chart *c, const struct cp_chart_line *l, size_t step)
{
	const uint64_t *cell = l->cell + step * c->width;
	switch (c->kind) {
	case CP_CHART_COUNTER: return (double)cell[0];
	case CP_CHART_GAUGE: return cell[1] ? (double)cell[0] / (double)cell[1] : -1;
	case CP_CHART_HISTOGRAM: return (double)gw_histogram_count(c->histogram, cell);
	}
	return -1;
}

double cp_chart_quantile(const struct cp_chart *c, const struct cp_chart_line *l, size_t from, size_t to, double q)
{
	uint64_t all[GW_HISTOGRAM_MAX_EDGES + 2] = { 0 };
	assert(c->kind == CP_CHART_HISTOGRAM);
	for (size_t k = from; k < to && k < c->n_steps; k++)
		for (size_t i = 0; i < c->width; i++)
			all[i] += l->cell[k * c->width + i];
	uint64_t n = gw_histogram_count(c->histogram, all);
	if (q >= 0)
		return gw_histogram_quantile(c->histogram, all, q);
	return n ? (double)all[c->width - 1] / gw_histogram_edges(c->histogram)->scale / (double)n : -1;
}
