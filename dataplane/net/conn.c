/* conn.c - byte streams over uv_tcp_t: reading, the write queue, ending. */
#include "net/impl.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/log.h"

#define PIECES_MAX 8 /* of one dp_conn_write() */
#define GONE_POLL_MS 400
#define TURN_WRITE_BYTES (256u << 10) /* a connection writes about so much in one turn; the others come before it goes on */
#define LINGER_MORE 30 /* times the limit of an end, for a peer that goes on reading what is queued */
#define LINGER_SWALLOW_MAX (1u << 20)

static void on_timer(struct dp_timer *t);

struct dp_conn *dp_conn_new(struct dp_loop *l)
{
	struct dp_conn *c = gw_alloc(sizeof *c);

	c->magic = DP_CONN_MAGIC;
	c->loop = l;
	c->mark = DP_CONN_MARK;
	uv_tcp_init(&l->uv, &c->tcp);
	c->tcp.data = c;
	dp_timer_init(&c->timer, on_timer);
	gw_list_init(&c->yielded);
	gw_list_init(&c->said_node);
	atomic_fetch_add_explicit(&dp_net_open_fds, 1, memory_order_relaxed);
	return c;
}

static void look_at_turn(struct dp_conn *c)
{
	if (c->turn == c->loop->turn)
		return;
	c->turn = c->loop->turn;
	c->gave = 0;
}

/* ---- reading ---- */

void dp_conn_deliver_end(struct dp_conn *c, enum dp_net_end how, const char *text)
{
	if (c->ended)
		return;
	c->ended = true;
	c->broken = how == DP_NET_END_RESET;
	if (!c->lingering) /* else it is the limit for what is still to be written */
		dp_timer_stop(&c->timer);
	uv_read_stop((uv_stream_t *)&c->tcp);
	c->reading = false;
	if (gw_log_on(GW_LOG_DEBUG) && text)
		gw_log(GW_LOG_DEBUG, "connection", GW_STR_NONE, "ended", "%s", text);
	if (c->lingering) {
		struct dp_conn *self = c;

		if (c->broken || dp_conn_queued(c) == 0)
			dp_conn_close(&self);
	} else if (c->ops) {
		c->ops->on_end(c->arg, how);
	}
}

void dp_conn_took(struct dp_conn *c, ssize_t n, char *p)
{
	if (n == UV_EOF && c->paused)
		return; /* the socket says it again when the pause ends */
	if (n < 0) {
		enum dp_net_end how = n == UV_EOF ? DP_NET_END_FIN : DP_NET_END_RESET;

		if (how == DP_NET_END_FIN && c->tls && !dp_tls_saw_close(c))
			how = DP_NET_END_TRUNCATED;
		dp_conn_deliver_end(c, how, uv_strerror((int)n));
		return;
	}
	if (c->lingering) {
		c->swallowed += (size_t)n; /* a peer that keeps talking is not listened to for ever */
		if (c->swallowed > LINGER_SWALLOW_MAX) {
			struct dp_conn *self = c;

			dp_conn_close(&self);
		}
	} else if (c->door.server) {
		dp_tls_door_input(c, (struct gw_str){ p, (size_t)n });
	} else if (c->tls) {
		dp_tls_input(c, (struct gw_str){ p, (size_t)n });
	} else if (c->ops) {
		c->ops->on_read(c->arg, (struct gw_str){ p, (size_t)n });
	}
}

void dp_conn_start_reading(struct dp_conn *c)
{
	if (!c->reading && !c->ended && !c->paused) {
		c->reading = true;
		uv_read_start((uv_stream_t *)&c->tcp, dp_turn_on_alloc, dp_turn_on_read);
	}
}

void dp_conn_bind(struct dp_conn *c, const struct dp_conn_ops *ops, void *arg)
{
	GW_CHECK(c, DP_CONN_MAGIC);
	c->ops = ops;
	c->arg = arg;
	dp_conn_start_reading(c);
}

void dp_conn_pause(struct dp_conn *c)
{
	GW_CHECK(c, DP_CONN_MAGIC);
	if (c->paused || c->ended)
		return;
	c->paused = true;
	c->reading = false;
	uv_read_stop((uv_stream_t *)&c->tcp);
	dp_loop_timer(c->loop, &c->timer, GONE_POLL_MS);
}

void dp_conn_resume(struct dp_conn *c)
{
	GW_CHECK(c, DP_CONN_MAGIC);
	if (!c->paused)
		return;
	c->paused = false;
	dp_timer_stop(&c->timer);
	dp_conn_start_reading(c);
}

static int fd_of(const struct dp_conn *c)
{
	uv_os_fd_t fd = -1;

	return uv_fileno((const uv_handle_t *)&c->tcp, &fd) == 0 ? fd : -1;
}

/*
 * A paused socket is not polled, so its state has to be asked for: CLOSE is a reset, anything else but ESTABLISHED a
 * FIN.  Bytes that came before the FIN keep an upstream alive: they are read when the pause ends.
 */
static void look_whether_gone(struct dp_conn *c)
{
	struct tcp_info ti;
	socklen_t n = sizeof ti;
	bool asked = getsockopt(fd_of(c), IPPROTO_TCP, TCP_INFO, &ti, &n) == 0;

	if (asked && ti.tcpi_state == TCP_CLOSE)
		dp_conn_deliver_end(c, DP_NET_END_RESET, "reset while paused");
	else if (asked && ti.tcpi_state != TCP_ESTABLISHED && c->ops && c->ops->fin_is_gone)
		dp_conn_deliver_end(c, DP_NET_END_FIN, "gone while paused");
	else
		dp_loop_timer(c->loop, &c->timer, GONE_POLL_MS);
}

static void on_timer(struct dp_timer *t)
{
	struct dp_conn *c = GW_CONTAINER(t, struct dp_conn, timer);

	GW_CHECK(c, DP_CONN_MAGIC);
	if (c->lingering && dp_conn_sent(c) > c->sent_before && c->linger_more > 0) { /* it reads, if slowly */
		c->linger_more--;
		c->sent_before = dp_conn_sent(c);
		dp_loop_timer(c->loop, &c->timer, c->linger_ms);
	} else if (c->lingering) {
		dp_conn_close(&c);
	} else if (c->paused) {
		look_whether_gone(c);
	}
}

bool dp_conn_quiet(const struct dp_conn *c)
{
	char byte;
	ssize_t n;

	GW_CHECK(c, DP_CONN_MAGIC);
	if (c->ended || c->broken || c->arrivals)
		return false;
	n = recv(fd_of(c), &byte, 1, MSG_PEEK | MSG_DONTWAIT);
	return n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK);
}

bool dp_conn_silent(const struct dp_conn *c)
{
	GW_CHECK(c, DP_CONN_MAGIC);
	if (!c->reading || c->put_off) /* the poll did not see it all */
		return dp_conn_quiet(c);
	return !c->ended && !c->broken && !c->arrivals;
}

/* ---- writing ---- */

static void out_add(struct dp_out *o, const char *p, size_t n)
{
	if (n == 0)
		return;
	if (o->n + n > o->cap) {
		size_t cap = o->cap ? o->cap : 4096;

		while (cap < o->n + n)
			cap *= 2;
		o->p = gw_realloc(o->p, cap);
		o->cap = cap;
	}
	memcpy(o->p + o->n, p, n);
	o->n += n;
}

static void out_drop(struct dp_out *o)
{
	free(o->p);
	*o = (struct dp_out){ 0 };
}

size_t dp_conn_queued(const struct dp_conn *c)
{
	return uv_stream_get_write_queue_size((const uv_stream_t *)&c->tcp) + c->pending.n + c->said.n;
}

uint64_t dp_conn_sent(const struct dp_conn *c)
{
	/* What libuv still holds of the buffer in flight has not been sent. */
	return c->sent - uv_stream_get_write_queue_size((const uv_stream_t *)&c->tcp);
}

static void launch(struct dp_conn *c);
static void say_goodbye(struct dp_conn *c);

static void drained(struct dp_conn *c)
{
	if (c->over_mark && dp_conn_queued(c) <= (c->want_empty ? 0 : c->mark / 2)) {
		c->over_mark = c->want_empty = false;
		if (c->ops && c->ops->on_drain && !c->lingering)
			c->ops->on_drain(c->arg);
	}
}

/* What the kernel takes at once could go on for as long as there is something: then the producer pauses for a turn. */
static void yield(struct dp_conn *c, size_t bytes)
{
	look_at_turn(c);
	c->gave += bytes;
	if (c->gave < TURN_WRITE_BYTES || c->over_mark || c->lingering)
		return;
	c->over_mark = true;
	if (!gw_list_empty(&c->yielded))
		return;
	if (gw_list_empty(&c->loop->yielded))
		dp_loop_again(c->loop);
	gw_list_add_tail(&c->loop->yielded, &c->yielded);
}

void dp_conn_go_on(struct dp_loop *l)
{
	struct gw_node due;

	gw_list_init(&due);
	gw_list_add_tail(&l->yielded, &due); /* take them all: whoever yields again waits for the next turn */
	gw_list_del(&l->yielded);
	while (!gw_list_empty(&due)) {
		struct dp_conn *c = GW_CONTAINER(due.next, struct dp_conn, yielded);

		gw_list_del(&c->yielded);
		drained(c);
	}
}

static void on_written(uv_write_t *w, int status)
{
	struct dp_conn *c = w->handle->data;

	c->writing = false;
	out_drop(&c->flight);
	if (c->magic != DP_CONN_MAGIC)
		return;
	if (status < 0 && c->lingering) { /* its end may have come before: nobody is to be told any more */
		dp_conn_close(&c);
		return;
	}
	if (status < 0) { /* what it said before it broke comes first: perhaps the answer to half a body */
		if (c->arrivals > 0)
			dp_turn_end_behind(c, status);
		else
			dp_conn_deliver_end(c, DP_NET_END_RESET, uv_strerror(status));
		return;
	}
	if (c->pending.n > 0)
		launch(c);
	if (c->magic != DP_CONN_MAGIC)
		return;
	if (c->lingering) {
		if (!c->writing)
			say_goodbye(c);
		return;
	}
	drained(c);
}

static void launch(struct dp_conn *c)
{
	uv_buf_t b;

	c->flight = c->pending;
	c->pending = (struct dp_out){ 0 };
	b = uv_buf_init(c->flight.p, (unsigned)c->flight.n);
	c->sent += c->flight.n;
	c->writing = true;
	if (uv_write(&c->req.write, (uv_stream_t *)&c->tcp, &b, 1, on_written) != 0) {
		c->writing = false;
		out_drop(&c->flight);
		c->broken = true;
	}
}

static void queue(struct dp_conn *c, const uv_buf_t *v, unsigned n, size_t done)
{
	for (unsigned i = 0; i < n; i++) {
		size_t skip = done < v[i].len ? done : v[i].len;

		out_add(&c->pending, v[i].base + skip, v[i].len - skip);
		done -= skip;
	}
	if (c->pending.n > 0 && !c->writing)
		launch(c);
}

/*
 * Nearly every write.  Not by write(): for glibc that is a point where a thread may be cancelled, which costs two locked
 * instructions, and a socket is reached sooner by its own call.  What cannot be said now is for libuv to say later.
 */
static ssize_t send_one(struct dp_conn *c, const uv_buf_t *b)
{
	long n = syscall(SYS_sendto, fd_of(c), b->base, b->len, MSG_DONTWAIT | MSG_NOSIGNAL, NULL, 0);

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return UV_EAGAIN;
	return n;
}

/* To the kernel what it takes, the rest to the queue. */
static void write_now(struct dp_conn *c, const uv_buf_t *v, unsigned n)
{
	size_t done = 0;

	if (!c->writing) {
		ssize_t r = n == 1 ? send_one(c, v) : uv_try_write((uv_stream_t *)&c->tcp, v, n);

		if (r > 0)
			done = (size_t)r;
		else if (r < 0 && r != UV_EAGAIN) {
			c->broken = true; /* reading tells the owner; if it does not read, closing does */
			return;
		}
		c->sent += done;
	}
	queue(c, v, n, done);
}

void dp_conn_write_out(struct dp_conn *c)
{
	uv_buf_t b = uv_buf_init(c->said.p, (unsigned)c->said.n);

	c->said.n = 0;
	if (b.len > 0 && !c->broken)
		write_now(c, &b, 1);
}

void dp_conn_wrote(struct dp_conn *c)
{
	if (!c->lingering)
		drained(c);
}

bool dp_conn_raw_write(struct dp_conn *c, const uv_buf_t *v, unsigned n)
{
	size_t total = 0;

	if (c->broken)
		return false;
	for (unsigned i = 0; i < n; i++)
		total += v[i].len;
	if (c->writing) {
		queue(c, v, n, 0);
	} else if (!dp_turn_keep(c, v, n, total)) {
		uv_buf_t all[PIECES_MAX + 1];
		unsigned k = 0;

		if (c->said.n > 0)
			all[k++] = uv_buf_init(c->said.p, (unsigned)c->said.n);
		memcpy(all + k, v, n * sizeof *v);
		c->said.n = 0;
		write_now(c, all, k + n);
		dp_turn_list(c);
	}
	if (!c->writing)
		yield(c, total);
	if (c->broken)
		return false;
	if (dp_conn_queued(c) > c->mark)
		c->over_mark = true;
	return !c->over_mark;
}

bool dp_conn_write(struct dp_conn *c, const struct gw_str *v, size_t n)
{
	uv_buf_t b[PIECES_MAX];

	GW_CHECK(c, DP_CONN_MAGIC);
	assert(n <= GW_COUNT(b));
	if (c->tls)
		return dp_tls_write(c, v, n);
	for (size_t i = 0; i < n; i++)
		b[i] = uv_buf_init((char *)(uintptr_t)v[i].p, (unsigned)v[i].n);
	return dp_conn_raw_write(c, b, (unsigned)n);
}

void dp_conn_want_drain(struct dp_conn *c)
{
	c->over_mark = c->want_empty = true;
}

void dp_conn_set_mark(struct dp_conn *c, size_t bytes)
{
	c->mark = bytes;
}

/* ---- ending ---- */

static void on_closed(uv_handle_t *h)
{
	struct dp_conn *c = h->data;

	assert(c->magic == DP_CONN_DEAD);
	atomic_fetch_sub_explicit(&dp_net_open_fds, 1, memory_order_relaxed);
	out_drop(&c->flight);
	out_drop(&c->pending);
	dp_tls_free(&c->tls);
	dp_tls_door_close(&c->door);
	c->magic = 0;
	free(c);
}

void dp_conn_close(struct dp_conn **cp)
{
	struct dp_conn *c = *cp;

	if (!c)
		return;
	*cp = NULL;
	GW_CHECK(c, DP_CONN_MAGIC);
	dp_timer_stop(&c->timer);
	if (c->tls && !c->broken && !c->ended)
		dp_tls_shutdown(c);
	if (c->said.n > 0)
		dp_conn_write_out(c);
	c->magic = DP_CONN_DEAD;
	c->ops = NULL;
	gw_list_del(&c->yielded);
	gw_list_del(&c->said_node);
	uv_close((uv_handle_t *)&c->tcp, on_closed);
}

static void on_shutdown(uv_shutdown_t *r, int status)
{
	(void)r;
	(void)status;
}

/* The queue is empty: half-close and wait for the peer's end, or close when that has come. */
static void say_goodbye(struct dp_conn *c)
{
	if (c->ended || uv_shutdown(&c->req.shutdown, (uv_stream_t *)&c->tcp, on_shutdown) != 0)
		dp_conn_close(&c);
}

void dp_conn_finish(struct dp_conn **cp, int64_t max_ms)
{
	struct dp_conn *c = *cp;

	if (!c)
		return;
	GW_CHECK(c, DP_CONN_MAGIC);
	if (c->broken) {
		dp_conn_close(cp);
		return;
	}
	*cp = NULL;
	if (c->tls)
		dp_tls_shutdown(c);
	if (c->said.n > 0)
		dp_conn_write_out(c);
	c->lingering = true;
	c->ops = NULL;
	c->paused = false;
	dp_conn_start_reading(c);
	c->linger_ms = (uint32_t)max_ms;
	c->linger_more = LINGER_MORE;
	c->sent_before = dp_conn_sent(c);
	dp_loop_timer(c->loop, &c->timer, max_ms);
	if (!c->writing)
		say_goodbye(c);
}

struct dp_loop *dp_conn_loop(const struct dp_conn *c) { return c->loop; }
const struct dp_addr *dp_conn_peer(const struct dp_conn *c) { return &c->peer; }
