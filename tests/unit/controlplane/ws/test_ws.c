/* The WebSocket server against clients that do not read: what is queued is bounded, and only the newest is kept. */
#include <arpa/inet.h>
#include <openssl/ssl.h>
#include <pthread.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/log.h"
#include "base/str.h"
#include "base/time.h"
#include "unit.h"
#include "ws/pki.h"
#include "ws/ws.h"

#define BIG (1u << 20)

struct seen { /* what the handlers were told */
	pthread_mutex_t lock;
	pthread_cond_t moved;
	uint64_t opened, closed;
	char why[160], text[64];
};

static struct seen seen = { PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, 0, 0, "", "" };
static struct cp_ws *ws;
static char dir[128];

static bool on_admit(void *arg, struct gw_str bearer, struct gw_str address, char why[160])
{
	(void)arg;
	(void)address;
	snprintf(why, 160, "wrong");
	return gw_str_is(bearer, "secret");
}

static void on_opened(void *arg, uint64_t id, struct gw_str bearer, struct gw_str address)
{
	struct seen *s = arg;
	ck_assert(gw_str_is(bearer, "secret") && gw_str_starts(address, GW_STR("127.0.0.1:")));
	pthread_mutex_lock(&s->lock);
	s->opened = id;
	pthread_cond_broadcast(&s->moved);
	pthread_mutex_unlock(&s->lock);
}

static void on_text(void *arg, uint64_t id, struct gw_str message)
{
	struct seen *s = arg;
	(void)id;
	pthread_mutex_lock(&s->lock);
	snprintf(s->text, sizeof s->text, "%.*s", (int)(message.n < 60 ? message.n : 60), message.p);
	pthread_cond_broadcast(&s->moved);
	pthread_mutex_unlock(&s->lock);
}

static void on_closed(void *arg, uint64_t id, const char *why)
{
	struct seen *s = arg;
	pthread_mutex_lock(&s->lock);
	s->closed = id;
	snprintf(s->why, sizeof s->why, "%s", why);
	pthread_cond_broadcast(&s->moved);
	pthread_mutex_unlock(&s->lock);
}

static void on_tick(void *arg, int64_t mono_ms)
{
	(void)arg;
	(void)mono_ms;
}

static void server_open(int64_t stall_ms)
{
	static struct cp_pki pki;
	static unsigned n;
	struct gw_error err = { 0 };
	const char *tmp = getenv("TMPDIR");
	signal(SIGPIPE, SIG_IGN);
	gw_log_setup(GW_LOG_TEXT, GW_LOG_WARN, "unit");
	snprintf(dir, sizeof dir, "%.60s/ws-test-%d-%u", tmp ? tmp : "/tmp", (int)getpid(), n++);
	ck_assert_msg(cp_pki_open(&pki, dir, NULL, gw_now_ms(), &err) == GW_OK, "%s", err.text);
	struct cp_ws_options o = { .listen = "127.0.0.1:0", .cert = pki.server_cert, .key = pki.server_key, .path = "/channel",
		.subprotocol = "unit.v1", .max_text = 65536, .queue_bytes = 4 * BIG, .max_connections = 4, .stall_ms = stall_ms,
		.on = { &seen, on_admit, on_opened, on_text, NULL, on_closed, on_tick } };
	ck_assert_msg(cp_ws_open(&ws, &o, &err) == GW_OK, "%s", err.text);
	cp_ws_start(ws);
	seen.opened = seen.closed = 0;
	seen.why[0] = seen.text[0] = 0;
}

static void server_close(void)
{
	static const char *const names[] = { "ca.pem", "ca.key", "server.pem", "server.key" };
	char path[256];
	cp_ws_close(&ws);
	ck_assert_ptr_null(ws);
	for (size_t i = 0; i < GW_COUNT(names); i++) {
		snprintf(path, sizeof path, "%s/%s", dir, names[i]);
		unlink(path);
	}
	rmdir(dir);
}

/* Waits until the handler has set *what; false after forty seconds. */
static bool wait_for(const uint64_t *what)
{
	struct timespec until;
	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec += 40;
	pthread_mutex_lock(&seen.lock);
	while (!*what && pthread_cond_timedwait(&seen.moved, &seen.lock, &until) == 0)
		;
	bool there = *what != 0;
	pthread_mutex_unlock(&seen.lock);
	return there;
}

/* ---- a client ---- */

struct client { int fd; SSL_CTX *ctx; SSL *ssl; };

static void client_open(struct client *c)
{
	struct sockaddr_in sa = { .sin_family = AF_INET, .sin_port = htons((uint16_t)cp_ws_port(ws)),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	static const char ask[] = "GET /channel HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
	    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: unit.v1\r\n"
	    "Authorization: Bearer secret\r\n\r\n";
	char answer[4096];
	c->fd = socket(AF_INET, SOCK_STREAM, 0);
	ck_assert_int_eq(connect(c->fd, (struct sockaddr *)&sa, sizeof sa), 0);
	c->ctx = SSL_CTX_new(TLS_client_method());
	c->ssl = SSL_new(c->ctx);
	SSL_set_fd(c->ssl, c->fd);
	ck_assert_int_eq(SSL_connect(c->ssl), 1);
	ck_assert_int_gt(SSL_write(c->ssl, ask, sizeof ask - 1), 0);
	int n = SSL_read(c->ssl, answer, sizeof answer - 1);
	ck_assert_int_gt(n, 12);
	answer[n] = 0;
	ck_assert_ptr_nonnull(strstr(answer, " 101 "));
	ck_assert(wait_for(&seen.opened));
}

static void client_close(struct client *c)
{
	SSL_free(c->ssl);
	SSL_CTX_free(c->ctx);
	close(c->fd);
}

static void client_read(struct client *c, void *out, size_t n)
{
	for (size_t at = 0; at < n;) {
		int got = SSL_read(c->ssl, (char *)out + at, (int)(n - at));
		ck_assert_int_gt(got, 0);
		at += (size_t)got;
	}
}

/* The next message put together from its frames; its first byte, and its size. */
static size_t client_message(struct client *c, char *first)
{
	static char body[BIG];
	size_t total = 0;
	for (uint8_t head[10], fin = 0; !fin;) {
		client_read(c, head, 2);
		fin = head[0] & 0x80;
		size_t n = head[1] & 127, wide = n == 126 ? 2 : n == 127 ? 8 : 0;
		client_read(c, head + 2, wide);
		for (size_t i = 0; wide && i < wide; i++)
			n = (i ? n << 8 : 0) | head[2 + i];
		client_read(c, body, n);
		if (!total)
			*first = body[0];
		total += n;
	}
	return total;
}

static void send_filled(enum cp_ws_kind kind, char fill, size_t n)
{
	char *p = malloc(n);
	memset(p, fill, n);
	struct cp_ws_bytes *b = cp_ws_bytes_new(GW_STR_NONE, (struct gw_str){ p, n });
	free(p);
	ck_assert_uint_eq(cp_ws_bytes_size(b), n);
	cp_ws_send(ws, seen.opened, kind, b);
	cp_ws_bytes_unref(&b);
}

START_TEST(text_beyond_the_queue_drops_the_peer)
{
	struct client c;
	server_open(600);
	client_open(&c);
	for (int i = 0; i < 40; i++)
		send_filled(CP_WS_TEXT, 'x', BIG / 2);
	ck_assert(wait_for(&seen.closed));
	ck_assert_ptr_nonnull(strstr(seen.why, "queue full"));
	client_close(&c);
	server_close();
}
END_TEST

START_TEST(who_does_not_read_is_dropped)
{
	struct client c;
	server_open(600);
	client_open(&c);
	send_filled(CP_WS_LATEST, 'x', 32 * BIG);
	ck_assert(wait_for(&seen.closed));
	ck_assert_ptr_nonnull(strstr(seen.why, "no progress"));
	client_close(&c);
	server_close();
}
END_TEST

/* Until so many bytes stand in the client's socket; false after ten seconds. */
static bool arrived(struct client *c, int n)
{
	int there = 0;
	for (int i = 0; i < 1000 && there < n; i++) {
		ck_assert_int_eq(ioctl(c->fd, FIONREAD, &there), 0);
		usleep(10000);
	}
	return there >= n;
}

/* Says something of one letter and waits until the server has heard it, so that it has also done what it was asked before. */
static void client_says(struct client *c, char letter)
{
	const uint8_t frame[] = { 0x81, 0x81, 0, 0, 0, 0, (uint8_t)letter };
	bool heard = false;
	ck_assert_int_eq(SSL_write(c->ssl, frame, sizeof frame), (int)sizeof frame);
	for (int i = 0; i < 1000 && !heard; i++) {
		usleep(10000);
		pthread_mutex_lock(&seen.lock);
		heard = seen.text[0] == letter;
		pthread_mutex_unlock(&seen.lock);
	}
	ck_assert(heard);
}

START_TEST(only_the_newest_is_kept)
{
	struct client c;
	char first = 0;
	server_open(60000);
	client_open(&c);
	send_filled(CP_WS_LATEST, 'a', 24 * BIG);   /* on its way, stuck behind full buffers */
	ck_assert(arrived(&c, 32768));
	for (char fill = 'b'; fill <= 'f'; fill++)
		send_filled(CP_WS_LATEST, fill, 100000);
	send_filled(CP_WS_TEXT, 't', 10);
	client_says(&c, '1');
	client_says(&c, '2');
	ck_assert_uint_eq(client_message(&c, &first), 24 * BIG);
	ck_assert_int_eq(first, 'a');
	ck_assert_uint_eq(client_message(&c, &first), 100000);
	ck_assert_int_eq(first, 'f');
	ck_assert_uint_eq(client_message(&c, &first), 10);
	ck_assert_int_eq(first, 't');
	client_close(&c);
	ck_assert(wait_for(&seen.closed));
	server_close();
}
END_TEST

START_TEST(closing_reports_every_connection)
{
	struct client c;
	server_open(600);
	client_open(&c);
	server_close();
	ck_assert_uint_eq(seen.closed, seen.opened);
	client_close(&c);
}
END_TEST

START_TEST(a_taken_port_is_an_error)
{
	struct gw_error err = { 0 };
	struct cp_ws *second = NULL;
	char listen[32];
	server_open(600);
	snprintf(listen, sizeof listen, "127.0.0.1:%u", cp_ws_port(ws));
	struct cp_ws_options o = { .listen = listen, .cert = "x", .key = "x", .path = "/", .subprotocol = "s", .max_text = 1,
		.queue_bytes = 1, .max_connections = 1, .stall_ms = 1,
		.on = { &seen, on_admit, on_opened, on_text, NULL, on_closed, on_tick } };
	ck_assert_int_eq(cp_ws_open(&second, &o, &err), GW_IO);
	ck_assert_ptr_null(second);
	ck_assert_ptr_nonnull(strstr(err.text, "in use"));
	server_close();
}
END_TEST

UNIT_MAIN("ws", text_beyond_the_queue_drops_the_peer, who_does_not_read_is_dropped, only_the_newest_is_kept,
	  closing_reports_every_connection, a_taken_port_is_an_error)
