/* shares.c - shares of quotas, and what is held of them. */
#include "services/shares.h"

#include <pthread.h>
#include <stdlib.h>

#include "base/map.h"
#include "base/str.h"
#include "base/time.h"

#define SWEEP_MS 60000

struct dp_quota_line {
	struct dp_quota_line *next;      /* of the same quota, another period */
	struct gw_str name;
	int64_t from_ms, until_ms;       /* until 0: never */
	int64_t ceiling, spent, held;
	int64_t grant;                   /* number of the last message about it */
	int64_t want;                    /* what is missing; 0: nothing */
	size_t holds;
	bool elsewhere;                  /* others may have more */
	bool dirty;                      /* the control plane should hear of it */
};

struct dp_quotas {
	pthread_mutex_t lock;
	struct gw_map *by_name;          /* name → first line; names are the lines' own */
	bool connected;
	int64_t heard_ms, swept_ms;      /* monotonic: the channel stood until then */
};

struct dp_quotas *dp_quotas_open(void)
{
	struct dp_quotas *q = gw_alloc(sizeof *q);

	pthread_mutex_init(&q->lock, NULL);
	q->by_name = gw_map_open(64);
	return q;
}

static void line_free(struct dp_quota_line *l)
{
	free((char *)(uintptr_t)l->name.p);
	free(l);
}

void dp_quotas_close(struct dp_quotas **qp)
{
	struct dp_quotas *q = *qp;
	struct gw_str name;
	void *first;

	if (!q)
		return;
	*qp = NULL;
	for (size_t at = 0; gw_map_next(q->by_name, &at, &name, &first);)
		for (struct dp_quota_line *l = first, *next; l; l = next) {
			next = l->next;
			line_free(l);
		}
	gw_map_close(&q->by_name);
	pthread_mutex_destroy(&q->lock);
	free(q);
}

static bool covers(const struct dp_quota_line *l, int64_t at_ms)
{
	return l->from_ms <= at_ms && (l->until_ms == 0 || at_ms < l->until_ms);
}

static struct dp_quota_line *find(const struct dp_quotas *q, struct gw_str name, int64_t at_ms)
{
	struct dp_quota_line *best = NULL;

	/* The latest: a quota that was deleted and made again begins anew. */
	for (struct dp_quota_line *l = gw_map_get(q->by_name, name); l; l = l->next)
		if (covers(l, at_ms) && (!best || l->from_ms > best->from_ms))
			best = l;
	return best;
}

static enum dp_quota_answer hold(struct dp_quota_line *l, int64_t amount, struct dp_quota_hold *out)
{
	l->held += amount;
	l->holds++;
	*out = (struct dp_quota_hold){ l, amount };
	return DP_QUOTA_HELD;
}

static enum dp_quota_answer decide(struct dp_quotas *q, struct dp_quota_line *l, int64_t amount, bool last, struct dp_quota_hold *out)
{
	int64_t left = l->ceiling - l->spent - l->held;
	bool asked;

	if (!q->connected && gw_mono_ms() - q->heard_ms > DP_QUOTA_HOLD_MS)
		return DP_QUOTA_UNKNOWN;
	if (amount <= left)
		return hold(l, amount, out);
	asked = l->elsewhere && q->connected;
	if (l->want < amount - left) {
		l->want = amount - left;
		l->dirty = true;
	}
	if (asked && !last)
		return DP_QUOTA_ASKED;
	if (left > 0 && l->holds == 0)
		return hold(l, left, out);
	return l->elsewhere && !q->connected ? DP_QUOTA_UNKNOWN : DP_QUOTA_USED_UP;
}

enum dp_quota_answer dp_quota_take(struct dp_quotas *q, const struct gw_quota *def, int64_t at_ms, int64_t amount, bool last,
                                   struct dp_quota_hold *out, int64_t *until_ms)
{
	struct dp_quota_line *l;
	enum dp_quota_answer a;

	*out = (struct dp_quota_hold){ NULL, 0 };
	*until_ms = 0;
	if (!def->hard)
		return DP_QUOTA_HELD;
	pthread_mutex_lock(&q->lock);
	l = find(q, def->name, at_ms);
	if (l) {
		*until_ms = l->until_ms;
		a = decide(q, l, amount, last, out);
	} else {
		a = q->connected && !last ? DP_QUOTA_ASKED : DP_QUOTA_UNKNOWN; /* a quota that was made just now gets its share soon */
	}
	pthread_mutex_unlock(&q->lock);
	return a;
}

void dp_quota_settle(struct dp_quotas *q, struct dp_quota_hold *h, int64_t used)
{
	struct dp_quota_line *l = h->line;

	if (!l)
		return;
	h->line = NULL;
	pthread_mutex_lock(&q->lock);
	l->held -= h->amount;
	l->holds--;
	l->spent += used;
	pthread_mutex_unlock(&q->lock);
}

void dp_quota_count(struct dp_quotas *q, const struct gw_quota *def, int64_t at_ms, int64_t used)
{
	struct dp_quota_line *l;

	if (used <= 0)
		return;
	pthread_mutex_lock(&q->lock);
	l = find(q, def->name, at_ms);
	if (l && l->ceiling > 0)
		l->spent += used;
	pthread_mutex_unlock(&q->lock);
}

/* ---- the channel ---- */

/* With the lock held: periods that are over and that nothing is held of. */
static void sweep(struct dp_quotas *q, int64_t now_ms)
{
	struct gw_str name;
	void *first;

	for (size_t at = 0; gw_map_next(q->by_name, &at, &name, &first);) {
		struct dp_quota_line *head = first;

		/* The first one carries the map's key, so it stays. */
		for (struct dp_quota_line **l = &head->next; *l;) {
			struct dp_quota_line *old = *l;

			if (old->until_ms == 0 || old->until_ms > now_ms || old->holds > 0) {
				l = &old->next;
				continue;
			}
			*l = old->next;
			line_free(old);
		}
	}
}

static struct dp_quota_line *line_of(struct dp_quotas *q, struct gw_str name, int64_t from_ms, int64_t until_ms)
{
	struct dp_quota_line *first = gw_map_get(q->by_name, name), *l;

	for (l = first; l; l = l->next)
		if (l->from_ms == from_ms)
			return l;
	/* One that is over is used anew. */
	for (l = first; l; l = l->next)
		if (l->holds == 0 && l->until_ms != 0 && l->until_ms <= gw_now_ms())
			break;
	if (!l) {
		l = gw_alloc(sizeof *l);
		l->name = (struct gw_str){ gw_strdup_n(name.p, name.n), name.n };
		if (first) {
			l->next = first->next;
			first->next = l;
		} else {
			gw_map_put(q->by_name, l->name, l);
		}
	}
	l->from_ms = from_ms;
	l->until_ms = until_ms;
	l->ceiling = l->spent = l->held = l->grant = l->want = 0;
	return l;
}

static int64_t number(const json_t *o, const char *name)
{
	return json_integer_value(json_object_get(o, name));
}

void dp_quotas_put(struct dp_quotas *q, const json_t *items)
{
	size_t i;
	json_t *o;
	int64_t now = gw_mono_ms();

	pthread_mutex_lock(&q->lock);
	json_array_foreach((json_t *)items, i, o) {
		struct gw_str name = gw_json_str(json_object_get(o, "quota"));
		struct dp_quota_line *l;
		int64_t ceiling = number(o, "ceiling"), busy;

		if (!name.n)
			continue;
		l = line_of(q, name, number(o, "from"), number(o, "until"));
		busy = l->spent + l->held;
		if (ceiling < l->ceiling) {
			l->ceiling = ceiling > busy ? ceiling : busy;
			l->dirty = true; /* they wait for the answer */
		} else {
			if (ceiling > l->ceiling)
				l->want = 0;
			l->ceiling = ceiling;
		}
		l->grant = number(o, "grant");
		l->elsewhere = json_is_true(json_object_get(o, "elsewhere"));
	}
	if (now - q->swept_ms > SWEEP_MS) {
		q->swept_ms = now;
		sweep(q, gw_now_ms());
	}
	pthread_mutex_unlock(&q->lock);
}

void dp_quotas_connected(struct dp_quotas *q, bool connected)
{
	pthread_mutex_lock(&q->lock);
	if (connected || q->connected)
		q->heard_ms = gw_mono_ms();
	q->connected = connected;
	pthread_mutex_unlock(&q->lock);
}

size_t dp_quotas_report(struct dp_quotas *q, bool all, struct gw_buf *out)
{
	struct gw_str name;
	void *first;
	size_t n = 0;

	pthread_mutex_lock(&q->lock);
	for (size_t at = 0; gw_map_next(q->by_name, &at, &name, &first);) {
		for (struct dp_quota_line *l = first; l; l = l->next) {
			if ((!l->dirty && !all) || out->n > (3u << 20))
				continue;
			if (n++ > 0)
				gw_buf_add_byte(out, ',');
			gw_buf_add_c(out, "{\"quota\":");
			gw_buf_add_json(out, l->name);
			gw_buf_printf(out, ",\"from\":%lld,\"grant\":%lld,\"ceiling\":%lld,\"want\":%lld}", (long long)l->from_ms, (long long)l->grant,
			              (long long)l->ceiling, (long long)l->want);
			l->dirty = false;
			l->want = 0;
		}
	}
	pthread_mutex_unlock(&q->lock);
	return n;
}

bool dp_quotas_see(struct dp_quotas *q, struct gw_str name, int64_t at_ms, struct dp_quota_view *out)
{
	struct dp_quota_line *l;

	pthread_mutex_lock(&q->lock);
	l = find(q, name, at_ms);
	if (l)
		*out = (struct dp_quota_view){ l->ceiling, l->spent, l->held };
	pthread_mutex_unlock(&q->lock);
	return l != NULL;
}
