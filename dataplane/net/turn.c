/*
 * turn.c - one turn of a loop, in batches: first all reads, then all the work, then all writes.
 *
 * A system call throws our code out of the processor's caches and our code the kernel's.  Done one connection at a
 * time that happens five times a request; in batches as many times a turn, however many requests are in it.  With one
 * event in a turn the order of things is what it would be without batches.
 *
 *   poll      libuv reads each ready socket into the loop's buffer, one arrival behind the other
 *   work      arrivals are given to their owners: short ones first, those of clients before those of upstreams (one
 *             code at a time); what was said meanwhile is written; long ones, which may keep the loop busy for a
 *             millisecond, wait for that; ends of connections come last, behind the bytes that came before them
 *   write     what was said in this turn goes out, each connection's bytes in one call
 *   tell      who wanted to know that everything is out (the end of an exchange) hears of it
 *
 * What is said outside of this (timers, deferred work) goes out before the loop sleeps.
 */
#include "net/impl.h"

#include <assert.h>
#include <string.h>

/* An arrival from here on waits until the others were served. */
#define LONG_ARRIVAL 16384

/* ---- reading ---- */

/*
 * How much may be read, so that a turn stays short however much there is: clients' bytes may cost a millisecond for each
 * 64 KiB, those of upstreams little.  What finds no room stays in its socket, which is still readable in the next turn
 * (libuv is given no buffer and gives up, UV_ENOBUFS).  epoll reports sockets that stay readable in the same order every
 * time, so then there are rounds: who was read from in a round waits for its end, and it ends with the first turn in
 * which nobody was sent away.  Connections that filled their buffer have a part of the room and rounds of their own:
 * whoever says little is read from at once, however much others say.
 */
static const struct { size_t room, for_long; } lanes[] = {
	[DP_LANE_CLIENTS] = { DP_TURN_CLIENTS, DP_LOOP_READ_BYTES },
	[DP_LANE_OTHERS] = { DP_TURN_OTHERS, 6 * DP_LOOP_READ_BYTES },
};

static enum dp_lane lane_of(const struct dp_conn *c)
{
	return c->ops && c->ops->fin_is_gone ? DP_LANE_CLIENTS : DP_LANE_OTHERS;
}

static size_t least(size_t a, size_t b) { return a < b ? a : b; }

static size_t room_for(const struct dp_conn *c)
{
	struct dp_turn *t = &c->loop->batch;
	enum dp_lane i = lane_of(c);
	struct dp_lane_room *l = &t->lane[i];
	bool wait = c->round == l->round && (l->rationed || (c->is_long && l->long_rationed));
	size_t room;

	if (c->arrivals > 0 || wait)
		return 0;
	room = t->arrivals_n < DP_TURN_ARRIVALS ? least(lanes[i].room - l->used, DP_LOOP_READ_BYTES) : 0;
	if (room < DP_TURN_ROOM_MIN) {
		l->sent_away = true;
		return 0;
	}
	if (!c->is_long)
		return room;
	room = least(room, lanes[i].for_long - l->long_used);
	if (room >= DP_TURN_ROOM_MIN)
		return room;
	l->long_sent_away = true;
	return 0;
}

void dp_turn_on_alloc(uv_handle_t *h, size_t suggested, uv_buf_t *buf)
{
	struct dp_conn *c = h->data;
	struct dp_turn *t = &c->loop->batch;

	(void)suggested;
	buf->base = t->in + t->in_n;
	buf->len = room_for(c);
	c->put_off = buf->len == 0;
}

void dp_turn_on_read(uv_stream_t *s, ssize_t n, const uv_buf_t *buf)
{
	struct dp_conn *c = s->data;
	struct dp_turn *t = &c->loop->batch;
	struct dp_lane_room *l = &t->lane[lane_of(c)];

	GW_CHECK(c, DP_CONN_MAGIC);
	if (n == 0 || n == UV_ENOBUFS)
		return;
	assert(t->arrivals_n < GW_COUNT(t->arrivals)); /* an end without a read comes only behind bytes */
	c->arrivals++;
	t->arrivals[t->arrivals_n++] = (struct dp_arrival){ c, n, buf->base };
	if (n < 0)
		return;
	t->in_n += (size_t)n;
	l->used += (size_t)n;
	if (c->is_long)
		l->long_used += (size_t)n;
	c->is_long = (size_t)n == buf->len;
	c->round = l->round;
}

void dp_turn_end_behind(struct dp_conn *c, int status)
{
	struct dp_turn *t = &c->loop->batch;

	assert(t->arrivals_n < GW_COUNT(t->arrivals));
	c->arrivals++;
	t->arrivals[t->arrivals_n++] = (struct dp_arrival){ c, status, NULL };
}

static void next_turn(struct dp_turn *t)
{
	for (size_t i = 0; i < DP_LANES; i++) {
		struct dp_lane_room *l = &t->lane[i];

		l->rationed = l->sent_away;
		l->long_rationed = l->long_sent_away;
		if (!l->sent_away && !l->long_sent_away)
			l->round++;
		l->sent_away = l->long_sent_away = false;
		l->used = l->long_used = 0;
	}
	t->arrivals_n = 0;
	t->in_n = 0;
}

enum { SHORT_OF_CLIENTS, SHORT_OF_OTHERS, LONG_ONES, ENDS };

static int kind_of(const struct dp_arrival *a)
{
	if (a->n < 0)
		return ENDS;
	if (a->n >= LONG_ARRIVAL)
		return LONG_ONES;
	return lane_of(a->conn) == DP_LANE_CLIENTS ? SHORT_OF_CLIENTS : SHORT_OF_OTHERS;
}

static bool deliver(struct dp_turn *t, int kind)
{
	bool any = false;

	for (unsigned i = 0; i < t->arrivals_n; i++) {
		struct dp_arrival a = t->arrivals[i];

		if (!a.conn || kind_of(&a) != kind)
			continue;
		any = true;
		t->arrivals[i].conn = NULL;
		a.conn->arrivals--;
		if (a.conn->magic == DP_CONN_MAGIC) /* else closed meanwhile: its memory lives to the end of the turn */
			dp_conn_took(a.conn, a.n, a.p);
	}
	return any;
}

void dp_turn_work(struct dp_loop *l)
{
	struct dp_turn *t = &l->batch;

	if (t->arrivals_n > 0) {
		deliver(t, SHORT_OF_CLIENTS);
		deliver(t, SHORT_OF_OTHERS);
		dp_turn_write(l);
		if (deliver(t, LONG_ONES))
			dp_turn_write(l);
		deliver(t, ENDS);
	}
	next_turn(t);
	dp_turn_write(l);
}

/* ---- writing ---- */

void dp_turn_list(struct dp_conn *c)
{
	if (gw_list_empty(&c->said_node))
		gw_list_add_tail(&c->loop->batch.said, &c->said_node);
}

/* The room is used up: everything goes out now; who is in the list stays there to be told. */
static void make_room(struct dp_turn *t)
{
	for (struct gw_node *n = t->said.next; n != &t->said; n = n->next)
		dp_conn_write_out(GW_CONTAINER(n, struct dp_conn, said_node));
	t->out_n = 0;
}

bool dp_turn_keep(struct dp_conn *c, const uv_buf_t *v, unsigned n, size_t total)
{
	struct dp_turn *t = &c->loop->batch;

	if (total > LONG_ARRIVAL)
		return false;
	if (total > sizeof t->out - t->out_n)
		make_room(t);
	if (c->said.n > 0 && c->said.p + c->said.n != t->out + t->out_n)
		return false;
	if (c->said.n == 0)
		c->said.p = t->out + t->out_n;
	for (unsigned i = 0; i < n; i++) {
		memcpy(t->out + t->out_n, v[i].base, v[i].len);
		t->out_n += v[i].len;
	}
	c->said.n += total;
	dp_turn_list(c);
	return true;
}

void dp_turn_write(struct dp_loop *l)
{
	struct dp_turn *t = &l->batch;
	struct gw_node told;

	if (gw_list_empty(&t->said))
		return;
	make_room(t);
	gw_list_init(&told);
	gw_list_add_tail(&t->said, &told); /* take them all: who speaks again while others are told is in the next batch */
	gw_list_del(&t->said);
	while (!gw_list_empty(&told)) {
		struct dp_conn *c = GW_CONTAINER(told.next, struct dp_conn, said_node);

		gw_list_del(&c->said_node);
		dp_conn_wrote(c);
	}
}
