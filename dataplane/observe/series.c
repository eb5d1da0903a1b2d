/* series.c - differences, and the queue of messages. */
#include "observe/series.h"

#include <stdlib.h>

#include "base/map.h"

struct message {
	struct message *next;
	int64_t seq, cut_ms, span_ms;
	size_t rows;
	struct gw_buf text;              /* the rows, without the brackets around them */
};

struct dp_series {
	struct dp_totals last;           /* as of the last cut */
	uint64_t worker[sizeof(struct gw_layout_WORKER)]; /* the samples so far, added up */
	struct message *first, **end;
	size_t n, bytes;
	int64_t seq, last_ms;
};

struct dp_series *dp_series_open(void)
{
	struct dp_series *s = gw_alloc(sizeof *s);

	s->end = &s->first;
	s->last_ms = -1;
	return s;
}

static void drop_first(struct dp_series *s)
{
	struct message *m = s->first;

	s->first = m->next;
	if (!s->first)
		s->end = &s->first;
	s->n--;
	s->bytes -= m->text.n;
	gw_buf_fini(&m->text);
	free(m);
}

void dp_series_close(struct dp_series **sp)
{
	struct dp_series *s = *sp;

	if (!s)
		return;
	*sp = NULL;
	while (s->first)
		drop_first(s);
	if (s->last.index)
		dp_totals_fini(&s->last);
	free(s);
}

/* ---- the cut ---- */

static struct message *new_message(struct dp_series *s, int64_t now_ms)
{
	struct message *m = gw_alloc(sizeof *m);

	m->seq = ++s->seq;
	m->cut_ms = now_ms;
	m->span_ms = s->last_ms < 0 ? DP_SERIES_EVERY_MS : now_ms - s->last_ms;
	gw_buf_init(&m->text, 4u << 20);
	*s->end = m;
	s->end = &m->next;
	s->n++;
	return m;
}

/* ["traffic",["r","p","m"],[slot,more,slot,more]]; nothing when nothing changed. */
static void write_row(struct gw_buf *out, const struct dp_total *now, const uint64_t *before)
{
	const struct gw_metric_set_about *about = gw_metric_set(now->set);
	bool any = false;

	for (size_t i = 0; i < about->n_slots; i++) {
		uint64_t more = now->slot[i] - (before ? before[i] : 0);

		if (more == 0)
			continue;
		if (!any) {
			gw_buf_printf(out, "%s[\"%s\",[", out->n ? "," : "", about->name);
			for (size_t k = 0; k < about->n_labels; k++) {
				if (k)
					gw_buf_add_byte(out, ',');
				gw_buf_add_json(out, now->label[k]);
			}
			gw_buf_add_c(out, "],[");
		}
		gw_buf_printf(out, "%s%zu,%llu", any ? "," : "", i, (unsigned long long)more);
		any = true;
	}
	if (any)
		gw_buf_add_c(out, "]]");
}

/* Gauges are added up beside the number of samples; the receiver divides. */
static void add_sample(struct dp_series *s, struct dp_total *worker, const struct dp_sample *at)
{
	const struct { size_t slot; int64_t v; } gauges[] = {
		{ GW_AT(WORKER, SAMPLES), 1 }, { GW_AT(WORKER, IN_FLIGHT), at->in_flight }, { GW_AT(WORKER, CONNECTIONS), at->connections },
		{ GW_AT(WORKER, MEMORY), at->memory }, { GW_AT(WORKER, UPSTREAM_BUSY), at->upstream_busy },
		{ GW_AT(WORKER, UPSTREAM_IDLE), at->upstream_idle }, { GW_AT(WORKER, USAGE_QUEUED), at->usage_queued },
	};

	for (size_t i = 0; i < GW_COUNT(gauges); i++) {
		s->worker[gauges[i].slot] += gauges[i].v > 0 ? (uint64_t)gauges[i].v : 0;
		worker->slot[gauges[i].slot] = s->worker[gauges[i].slot];
	}
	worker->slot[GW_AT(WORKER, CPU_US)] = (uint64_t)at->cpu_us;
	worker->slot[GW_AT(WORKER, USAGE_DROPPED)] = (uint64_t)at->usage_dropped;
}

void dp_series_cut(struct dp_series *s, struct dp_metrics *const *m, size_t n, const struct dp_sample *at, int64_t now_ms)
{
	struct dp_totals now;
	struct message *to = NULL;

	if (s->bytes > DP_SERIES_MAX_WAITING)
		return;
	dp_totals_of(&now, m, n, GW_SET_COUNT, ~0u);
	for (size_t i = 0; i < now.n; i++) {
		const struct dp_total *before = s->last.index ? gw_map_get(s->last.index, now.v[i].key) : NULL;
		size_t length;

		if (now.v[i].set == GW_SET_WORKER)
			add_sample(s, &now.v[i], at);
		if (!to || to->rows == DP_SERIES_MAX_ROWS)
			to = new_message(s, now_ms);
		length = to->text.n;
		write_row(&to->text, &now.v[i], before ? before->slot : NULL);
		to->rows += to->text.n > length;
		s->bytes += to->text.n - length;
	}
	if (s->last.index)
		dp_totals_fini(&s->last);
	s->last = now;
	s->last_ms = now_ms;
}

/* ---- the queue ---- */

bool dp_series_next(const struct dp_series *s, const char *boot_id, int64_t after, int64_t now_ms, struct gw_buf *out, int64_t *seq)
{
	const struct message *m = s->first;

	while (m && m->seq <= after)
		m = m->next;
	if (!m)
		return false;
	gw_buf_printf(out, "{\"type\":\"series\",\"boot_id\":\"%s\",\"seq\":%lld,\"layout\":%d,\"ago_ms\":%lld,\"span_ms\":%lld,\"rows\":[", boot_id,
	              (long long)m->seq, GW_METRIC_LAYOUT, (long long)(now_ms - m->cut_ms), (long long)m->span_ms);
	gw_buf_add(out, gw_buf_str(&m->text));
	gw_buf_add_c(out, "]}");
	*seq = m->seq;
	return true;
}

void dp_series_ack(struct dp_series *s, int64_t seq)
{
	while (s->first && s->first->seq <= seq)
		drop_first(s);
}

size_t dp_series_waiting(const struct dp_series *s)
{
	return s->n;
}
