/* wheel.c - the hashed timer wheel. */
#include "net/wheel.h"

static unsigned slot_of(int64_t tick)
{
	return (unsigned)((uint64_t)tick % DP_WHEEL_SLOTS);
}

void dp_wheel_init(struct dp_wheel *w, int64_t now_ms)
{
	memset(w, 0, sizeof *w);
	for (size_t i = 0; i < DP_WHEEL_SLOTS; i++)
		gw_list_init(&w->slot[i]);
	w->tick = now_ms / DP_WHEEL_SLOT_MS;
}

void dp_timer_init(struct dp_timer *t, void (*fire)(struct dp_timer *t))
{
	gw_list_init(&t->node);
	t->due_ms = 0;
	t->fire = fire;
}

void dp_timer_start(struct dp_wheel *w, struct dp_timer *t, int64_t due_ms)
{
	int64_t tick = (due_ms + DP_WHEEL_SLOT_MS - 1) / DP_WHEEL_SLOT_MS;
	unsigned s;

	gw_list_del(&t->node);
	if (tick <= w->tick)
		tick = w->tick + 1;
	t->due_ms = due_ms;
	s = slot_of(tick);
	gw_list_add_tail(&w->slot[s], &t->node);
	w->used[s / 64] |= 1ull << (s % 64);
}

void dp_timer_stop(struct dp_timer *t)
{
	gw_list_del(&t->node);
}

/* Move the slot's ring to a ring of our own first: a callback may put new timers into this very slot. */
static void run_slot(struct dp_wheel *w, unsigned s, int64_t now_ms)
{
	struct gw_node todo;

	gw_list_init(&todo);
	w->used[s / 64] &= ~(1ull << (s % 64));
	while (!gw_list_empty(&w->slot[s])) {
		struct gw_node *n = w->slot[s].next;

		gw_list_del(n);
		gw_list_add_tail(&todo, n);
	}
	while (!gw_list_empty(&todo)) {
		struct dp_timer *t = GW_CONTAINER(todo.next, struct dp_timer, node);

		gw_list_del(&t->node);
		if (t->due_ms <= now_ms) {
			t->fire(t);
		} else {
			gw_list_add_tail(&w->slot[s], &t->node);
			w->used[s / 64] |= 1ull << (s % 64);
		}
	}
}

void dp_wheel_run(struct dp_wheel *w, int64_t now_ms)
{
	int64_t last = now_ms / DP_WHEEL_SLOT_MS;

	if (last - w->tick > DP_WHEEL_SLOTS)
		w->tick = last - DP_WHEEL_SLOTS;
	while (w->tick < last) {
		w->tick++;
		if (w->used[slot_of(w->tick) / 64] >> (slot_of(w->tick) % 64) & 1)
			run_slot(w, slot_of(w->tick), now_ms);
	}
}

int64_t dp_wheel_next(const struct dp_wheel *w)
{
	for (unsigned i = 1; i <= DP_WHEEL_SLOTS; i++) {
		unsigned s = slot_of(w->tick + i);
		uint64_t word = w->used[s / 64] >> (s % 64);

		if (word == 0) {
			i += 63 - s % 64; /* nothing in the rest of this word */
			continue;
		}
		if (word & 1 && !gw_list_empty(&w->slot[s]))
			return (w->tick + i) * DP_WHEEL_SLOT_MS;
	}
	return -1;
}
