/* window.c - the arithmetic of one counter. */
#include "services/window.h"

#include <math.h>

#define RING (DP_WINDOW_SLOTS + 1)
#define SOON_MS 1000   /* what is open may come back at any moment */

/* Sums of amounts stay far from the edge of int64_t: one amount is at most 2^50, and a limit stops the rest. */
static int64_t add(int64_t a, int64_t b)
{
	int64_t sum;

	return __builtin_add_overflow(a, b, &sum) ? INT64_MAX : sum;
}

static int64_t slot_ms(const struct dp_window *w)
{
	return w->window_ms / DP_WINDOW_SLOTS < 1 ? 1 : (w->window_ms + DP_WINDOW_SLOTS - 1) / DP_WINDOW_SLOTS;
}

static size_t index_of(int64_t slot)
{
	return (size_t)((uint64_t)slot % RING);
}

static void slide(struct dp_window *w, int64_t mono_ms)
{
	int64_t slot = mono_ms / slot_ms(w), from = w->u.sliding.slot;

	if (slot <= from)
		return;
	if (slot - from >= RING)
		from = slot - RING;
	while (from < slot) {
		int64_t *v = &w->u.sliding.v[index_of(++from)];

		w->u.sliding.sum -= *v;
		*v = 0;
	}
	w->u.sliding.slot = slot;
}

static void refill(struct dp_window *w, int64_t mono_ms)
{
	if (mono_ms > w->u.bucket.seen_ms) {
		w->u.bucket.level += (double)(mono_ms - w->u.bucket.seen_ms) * (double)w->limit / (double)w->window_ms;
		w->u.bucket.seen_ms = mono_ms;
	}
	if (w->u.bucket.level > (double)w->limit)
		w->u.bucket.level = (double)w->limit;
}

void dp_window_init(struct dp_window *w, const struct dp_claim *c, struct dp_now now)
{
	*w = (struct dp_window){ .kind = c->kind, .limit = c->limit, .window_ms = c->window_ms < 1 ? 1 : c->window_ms };
	switch (w->kind) {
	case DP_CLAIM_SLIDING:
		w->u.sliding.slot = now.mono_ms / slot_ms(w);
		break;
	case DP_CLAIM_BUCKET:
		w->u.bucket.level = (double)c->limit;
		w->u.bucket.seen_ms = now.mono_ms;
		break;
	case DP_CLAIM_PERIOD:
	case DP_CLAIM_TOTAL:
		w->u.plain.used = c->opening;
		w->u.plain.from_ms = c->from_ms;
		w->u.plain.until_ms = c->until_ms;
		break;
	case DP_CLAIM_OPEN:
		break;
	}
}

void dp_window_update(struct dp_window *w, const struct dp_claim *c, struct dp_now now)
{
	if (w->kind == DP_CLAIM_SLIDING)
		slide(w, now.mono_ms);
	if (w->kind == DP_CLAIM_BUCKET) {
		refill(w, now.mono_ms);
		w->u.bucket.level += (double)(c->limit - w->limit); /* a changed limit keeps what was used up */
	}
	if (w->kind == DP_CLAIM_PERIOD && c->from_ms > w->u.plain.from_ms) {
		w->u.plain.used = c->opening;
		w->u.plain.from_ms = c->from_ms;
		w->u.plain.until_ms = c->until_ms;
	}
	w->limit = c->limit;
}

/* Tokens of a bucket that nobody holds; a hair is given for the sums of fractions. */
static int64_t in_bucket(const struct dp_window *w)
{
	return (int64_t)floor(w->u.bucket.level + 1e-6);
}

int64_t dp_window_used(const struct dp_window *w)
{
	switch (w->kind) {
	case DP_CLAIM_SLIDING: return add(w->open, w->u.sliding.sum);
	case DP_CLAIM_BUCKET: return add(w->open, w->limit - in_bucket(w));
	case DP_CLAIM_PERIOD:
	case DP_CLAIM_TOTAL: return add(w->open, w->u.plain.used);
	case DP_CLAIM_OPEN: break;
	}
	return w->open;
}

int64_t dp_window_left(const struct dp_window *w)
{
	int64_t used = dp_window_used(w);

	return used >= w->limit ? 0 : w->limit - (used < 0 ? 0 : used);
}

/* Until slots that hold `need` have left the window; SOON_MS at most when what is open is to blame. */
static int64_t sliding_wait(const struct dp_window *w, int64_t need, struct dp_now now)
{
	int64_t freed = 0, wait = w->window_ms < SOON_MS ? w->window_ms : SOON_MS;

	for (int64_t slot = w->u.sliding.slot - DP_WINDOW_SLOTS; slot <= w->u.sliding.slot; slot++) {
		int64_t v = slot < 0 ? 0 : w->u.sliding.v[index_of(slot)];

		freed += v;
		if (v > 0 && freed >= need)
			return (slot + RING) * slot_ms(w) - now.mono_ms;
	}
	return wait;
}

static int64_t wait_for(const struct dp_window *w, int64_t amount, struct dp_now now)
{
	int64_t need = dp_window_used(w) + amount - w->limit, wait = SOON_MS;

	switch (w->kind) {
	case DP_CLAIM_SLIDING:
		wait = sliding_wait(w, need, now);
		break;
	case DP_CLAIM_BUCKET:
		wait = (int64_t)ceil(((double)(amount + w->open) - w->u.bucket.level) * (double)w->window_ms / (double)w->limit - 1e-6);
		break;
	case DP_CLAIM_PERIOD:
		if (need > w->open)
			wait = w->u.plain.until_ms - now.wall_ms;
		break;
	case DP_CLAIM_TOTAL:
	case DP_CLAIM_OPEN:
		break;
	}
	return wait < 1 ? 1 : wait;
}

bool dp_window_take(struct dp_window *w, int64_t amount, struct dp_now now, int64_t *wait_ms)
{
	int64_t used = dp_window_used(w);

	/* Nothing is taken for nothing, also from a counter that stands above its limit: it must be empty enough for one. */
	if (add(used, amount) > w->limit || (amount == 0 && used >= w->limit)) {
		*wait_ms = wait_for(w, amount ? amount : 1, now);
		return false;
	}
	w->open += amount;
	return true;
}

void dp_window_settle(struct dp_window *w, int64_t reserved, int64_t actual, struct dp_now now)
{
	w->open -= reserved;
	switch (w->kind) {
	case DP_CLAIM_SLIDING:
		slide(w, now.mono_ms);
		w->u.sliding.v[index_of(w->u.sliding.slot)] += actual;
		w->u.sliding.sum += actual;
		break;
	case DP_CLAIM_BUCKET:
		refill(w, now.mono_ms);
		w->u.bucket.level -= (double)actual;
		break;
	case DP_CLAIM_PERIOD:
	case DP_CLAIM_TOTAL:
		w->u.plain.used = add(w->u.plain.used, actual);
		break;
	case DP_CLAIM_OPEN:
		break;
	}
}

void dp_window_put(struct dp_window *w, int64_t used)
{
	w->u.plain.used = used;
}

int64_t dp_window_reset_ms(const struct dp_window *w, struct dp_now now)
{
	int64_t at = 0;

	switch (w->kind) {
	case DP_CLAIM_SLIDING:
		for (int64_t slot = w->u.sliding.slot; slot >= 0 && slot >= w->u.sliding.slot - DP_WINDOW_SLOTS && !at; slot--)
			if (w->u.sliding.v[index_of(slot)] > 0)
				at = (slot + RING) * slot_ms(w) - now.mono_ms;
		break;
	case DP_CLAIM_BUCKET:
		at = (int64_t)ceil(((double)w->limit - w->u.bucket.level) * (double)w->window_ms / (double)(w->limit < 1 ? 1 : w->limit) - 1e-6);
		break;
	case DP_CLAIM_PERIOD:
		at = w->u.plain.until_ms - now.wall_ms;
		break;
	case DP_CLAIM_TOTAL:
	case DP_CLAIM_OPEN:
		break;
	}
	return at < 0 ? 0 : at;
}
