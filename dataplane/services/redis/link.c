/* link.c - one connection to one Redis server. */
#include "services/redis/link.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/str.h"

struct waiter {
	struct gw_node node;
	dp_redis_reply_fn *fn;
	void *arg;
};

enum state { RESTING, DIALLING, LOGIN, UP };

struct dp_redis_link {
	unsigned magic;
#define LINK_MAGIC 0x4ed15001u
	struct dp_loop *loop;
	char *host;
	uint16_t port;
	struct dp_redis_login login;
	const struct dp_redis_link_ops *ops;
	void *arg;
	enum state state;
	struct dp_dial *dial;
	struct dp_conn *conn;
	redisReader *reader;
	size_t unread;               /* bytes since the last whole reply */
	struct gw_node waiters;      /* whose replies are due, in order */
	struct dp_timer timer;       /* LOGIN: its limit; RESTING: the next try */
	unsigned tries, turn;        /* turn: tells a callback that the connection it worked for has gone */
	bool closed;
	struct dp_deferred dead;
};

static void dial(struct dp_redis_link *k);

static struct gw_str own(struct gw_str s)
{
	return s.p ? (struct gw_str){ gw_strdup_n(s.p, s.n), s.n } : s;
}

static void wipe(struct gw_str *s)
{
	if (s->p)
		explicit_bzero((char *)(uintptr_t)s->p, s->n);
	free((char *)(uintptr_t)s->p);
	*s = GW_STR_NONE;
}

void dp_redis_format(struct gw_buf *out, const struct gw_str *words, size_t n)
{
	const char *v[1024];
	size_t len[1024];
	char *text = NULL;
	int bytes;

	assert(n <= GW_COUNT(v));
	for (size_t i = 0; i < n; i++) {
		v[i] = words[i].p ? words[i].p : "";
		len[i] = words[i].n;
	}
	bytes = redisFormatCommandArgv(&text, (int)n, v, len);
	if (bytes < 0)
		abort();
	gw_buf_add(out, (struct gw_str){ text, (size_t)bytes });
	redisFreeCommand(text);
}

/* ---- going down ---- */

static void end_connection(struct dp_redis_link *k)
{
	dp_timer_stop(&k->timer);
	dp_dial_cancel(&k->dial);
	dp_conn_close(&k->conn);
	k->turn++;
	k->state = RESTING;
}

static void fail_waiters(struct dp_redis_link *k)
{
	struct gw_node taken;

	gw_list_init(&taken);
	while (!gw_list_empty(&k->waiters)) {
		struct gw_node *n = k->waiters.next;

		gw_list_del(n);
		gw_list_add_tail(&taken, n);
	}
	while (!gw_list_empty(&taken)) {
		struct waiter *w = GW_CONTAINER(taken.next, struct waiter, node);

		gw_list_del(&w->node);
		if (w->fn)
			w->fn(w->arg, NULL);
		free(w);
	}
}

void dp_redis_link_drop(struct dp_redis_link *k, const char *why)
{
	char text[200];

	GW_CHECK(k, LINK_MAGIC);
	if (k->state == RESTING || k->closed)
		return;
	snprintf(text, sizeof text, "%s", why);
	end_connection(k);
	k->tries++;
	dp_loop_timer(k->loop, &k->timer, DP_REDIS_PAUSE_MS * 3 / 4 + (int64_t)(k->tries * 7919u + k->port) % (DP_REDIS_PAUSE_MS / 2));
	fail_waiters(k);
	if (!k->closed)
		k->ops->down(k->arg, text);
}

/* ---- replies ---- */

static void deliver(struct dp_redis_link *k, redisReply *reply)
{
	struct waiter *w;

	if (gw_list_empty(&k->waiters)) {
		freeReplyObject(reply);
		dp_redis_link_drop(k, "it answered what nobody asked");
		return;
	}
	w = GW_CONTAINER(k->waiters.next, struct waiter, node);
	gw_list_del(&w->node);
	if (w->fn)
		w->fn(w->arg, reply);
	free(w);
	freeReplyObject(reply);
}

static void on_read(void *arg, struct gw_str bytes)
{
	struct dp_redis_link *k = arg;
	unsigned turn = k->turn;

	k->unread += bytes.n;
	if (k->unread > DP_REDIS_REPLY_MAX || redisReaderFeed(k->reader, bytes.p, bytes.n) != REDIS_OK) {
		dp_redis_link_drop(k, "it sent a reply that is too large");
		return;
	}
	for (;;) {
		void *reply = NULL;

		if (redisReaderGetReply(k->reader, &reply) != REDIS_OK) {
			dp_redis_link_drop(k, "it does not speak Redis' protocol");
			return;
		}
		if (!reply)
			return;
		k->unread = 0;
		deliver(k, reply);
		if (k->closed || k->turn != turn)
			return;
	}
}

static void on_end(void *arg, enum dp_net_end how)
{
	(void)how;
	dp_redis_link_drop(arg, "it closed the connection");
}

static const struct dp_conn_ops conn_ops = { .on_read = on_read, .on_end = on_end };

static void send_now(struct dp_redis_link *k, struct gw_str command, dp_redis_reply_fn *fn, void *arg)
{
	struct waiter *w = gw_alloc(sizeof *w);

	w->fn = fn;
	w->arg = arg;
	gw_list_add_tail(&k->waiters, &w->node);
	(void)dp_conn_write(k->conn, &command, 1);
}

void dp_redis_link_send(struct dp_redis_link *k, struct gw_str command, dp_redis_reply_fn *fn, void *arg)
{
	GW_CHECK(k, LINK_MAGIC);
	assert(k->state == UP);
	send_now(k, command, fn, arg);
}

/* ---- login ---- */

/* AUTH and SELECT must not fail; an error's words are Redis' own and hold no secret. */
static void on_login(void *arg, const redisReply *reply)
{
	struct dp_redis_link *k = arg;
	char why[160];

	if (!reply || reply->type != REDIS_REPLY_ERROR)
		return;
	snprintf(why, sizeof why, "it refuses the login: %.*s", (int)(reply->len < 100 ? reply->len : 100), reply->str);
	dp_redis_link_drop(k, why);
}

static void on_pong(void *arg, const redisReply *reply)
{
	struct dp_redis_link *k = arg;
	char why[160];

	if (!reply)
		return;
	if (reply->type == REDIS_REPLY_ERROR) {
		snprintf(why, sizeof why, "it is not ready: %.*s", (int)(reply->len < 100 ? reply->len : 100), reply->str);
		dp_redis_link_drop(k, why);
		return;
	}
	dp_timer_stop(&k->timer);
	k->state = UP;
	k->tries = 0;
	k->ops->up(k->arg);
}

static void say(struct dp_redis_link *k, dp_redis_reply_fn *fn, const struct gw_str *words, size_t n)
{
	struct gw_buf b;

	gw_buf_init(&b, 65536);
	dp_redis_format(&b, words, n);
	send_now(k, gw_buf_str(&b), fn, k);
	if (b.p)
		explicit_bzero(b.p, b.cap);
	gw_buf_fini(&b);
}

static void log_in(struct dp_redis_link *k)
{
	char number[24];
	int n = snprintf(number, sizeof number, "%lld", (long long)k->login.database);

	k->state = LOGIN;
	if (k->reader)
		redisReaderFree(k->reader);
	k->reader = redisReaderCreate();
	k->unread = 0;
	dp_conn_bind(k->conn, &conn_ops, k);
	dp_loop_timer(k->loop, &k->timer, DP_REDIS_CONNECT_MS);
	if (k->login.password.n && k->login.user.n)
		say(k, on_login, (struct gw_str[]){ GW_STR("AUTH"), k->login.user, k->login.password }, 3);
	else if (k->login.password.n)
		say(k, on_login, (struct gw_str[]){ GW_STR("AUTH"), k->login.password }, 2);
	if (k->login.database > 0)
		say(k, on_login, (struct gw_str[]){ GW_STR("SELECT"), { number, (size_t)n } }, 2);
	say(k, on_pong, (struct gw_str[]){ GW_STR("PING") }, 1);
}

static void on_dialled(void *arg, struct dp_conn *c, enum dp_net_fault fault, const char *text)
{
	struct dp_redis_link *k = arg;
	char why[200];

	GW_CHECK(k, LINK_MAGIC);
	k->dial = NULL;
	if (!c) {
		snprintf(why, sizeof why, "%s: %.150s", dp_net_fault_name(fault), text ? text : "");
		dp_redis_link_drop(k, why);
		return;
	}
	k->conn = c;
	log_in(k);
}

static void on_timer(struct dp_timer *t)
{
	struct dp_redis_link *k = GW_CONTAINER(t, struct dp_redis_link, timer);

	GW_CHECK(k, LINK_MAGIC);
	if (k->state == RESTING)
		dial(k);
	else
		dp_redis_link_drop(k, "it does not answer");
}

static void dial(struct dp_redis_link *k)
{
	struct dp_dial_spec s = {
		.host = gw_str_c(k->host), .port = k->port, .tls = k->login.tls, .verify = k->login.verify, .ca_pem = k->login.ca_pem,
		.allow_private = true, .timeout_ms = DP_REDIS_CONNECT_MS,
	};

	k->state = DIALLING;
	k->dial = dp_dial(k->loop, &s, on_dialled, k);
}

/* ---- life ---- */

struct dp_redis_link *dp_redis_link_open(struct dp_loop *l, struct gw_str host, uint16_t port, const struct dp_redis_login *login,
                                         const struct dp_redis_link_ops *ops, void *arg)
{
	struct dp_redis_link *k = gw_alloc(sizeof *k);

	k->magic = LINK_MAGIC;
	k->loop = l;
	k->host = gw_strdup_n(host.p, host.n);
	k->port = port;
	k->login = *login;
	k->login.user = own(login->user);
	k->login.password = own(login->password);
	k->login.ca_pem = own(login->ca_pem);
	k->ops = ops;
	k->arg = arg;
	gw_list_init(&k->waiters);
	dp_timer_init(&k->timer, on_timer);
	dial(k);
	return k;
}

static void free_link(struct dp_deferred *d)
{
	struct dp_redis_link *k = GW_CONTAINER(d, struct dp_redis_link, dead);

	if (k->reader)
		redisReaderFree(k->reader);
	wipe(&k->login.user);
	wipe(&k->login.password);
	wipe(&k->login.ca_pem);
	free(k->host);
	k->magic = 0;
	free(k);
}

void dp_redis_link_close(struct dp_redis_link **kp)
{
	struct dp_redis_link *k = *kp;

	if (!k)
		return;
	*kp = NULL;
	GW_CHECK(k, LINK_MAGIC);
	k->closed = true;
	end_connection(k);
	fail_waiters(k);
	dp_loop_defer(k->loop, &k->dead, free_link);
}

bool dp_redis_link_is_up(const struct dp_redis_link *k) { return k->state == UP; }
bool dp_redis_link_is_coming(const struct dp_redis_link *k) { return (k->state == DIALLING || k->state == LOGIN) && k->tries == 0; }

struct gw_str dp_redis_link_host(const struct dp_redis_link *k, uint16_t *port)
{
	*port = k->port;
	return gw_str_c(k->host);
}
