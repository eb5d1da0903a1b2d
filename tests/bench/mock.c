/*
 * mock.c - the cheapest possible model vendor, for benchmarks only: what it costs is charged to nobody.
 *
 *   mock PORT [REPLY_BYTES [EVENTS INTERVAL_MS EVENT_BYTES]]
 *
 * One thread, epoll, HTTP/1.1 keep-alive.  A POST whose body has `"stream":true` gets EVENTS server-sent events, one
 * each INTERVAL_MS (0: all at once), then a usage event and [DONE]; anything else gets a chat completion of about
 * REPLY_BYTES.  It reads whole requests by Content-Length and trusts its client; the simulators in tests/sim are
 * the strict ones.  Prints "ready" on stdout; on SIGTERM the number of requests answered.
 */
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <unistd.h>

#define MAX_FD  65536
#define MAX_EVENT 65536

struct conn {
	char *buf;      /* request bytes so far; only while a request is incomplete */
	size_t n, cap;
	int left;       /* events still to send on this stream */
};

static struct conn conns[MAX_FD];
static int streaming[MAX_FD], n_streaming; /* fds with left > 0 */
static char *plain, *event, tail[512];
static size_t n_plain, n_event, n_tail;
static int n_events = 100;
static int64_t interval_ms = 20;
static uint64_t answered;
static volatile sig_atomic_t stop;

static void on_term(int sig)
{
	(void)sig;
	stop = 1;
}

static void die(const char *what)
{
	perror(what);
	exit(1);
}

static void say(int fd, const char *p, size_t n)
{
	while (n > 0) {
		ssize_t k = send(fd, p, n, MSG_NOSIGNAL);
		if (k < 0 && errno == EAGAIN)
			continue;
		if (k < 0)
			return;
		p += k;
		n -= (size_t)k;
	}
}

static void close_conn(int ep, int fd)
{
	epoll_ctl(ep, EPOLL_CTL_DEL, fd, NULL);
	for (int i = 0; i < n_streaming; i++)
		if (streaming[i] == fd)
			streaming[i--] = streaming[--n_streaming];
	free(conns[fd].buf);
	memset(&conns[fd], 0, sizeof conns[fd]);
	close(fd);
}

static void start_stream(int fd)
{
	static const char head[] = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"
	                           "Transfer-Encoding: chunked\r\n\r\n";
	say(fd, head, sizeof head - 1);
	conns[fd].left = n_events;
	if (interval_ms > 0) {
		streaming[n_streaming++] = fd;
		return;
	}
	for (int i = 0; i < n_events; i++)
		say(fd, event, n_event);
	say(fd, tail, n_tail);
	conns[fd].left = 0;
}

/* One whole request stands at p; returns its length, or 0 when more is to come. */
static size_t whole_request(const char *p, size_t n, bool *stream)
{
	const char *end = memmem(p, n, "\r\n\r\n", 4), *cl;
	size_t head, body = 0;

	if (!end)
		return 0;
	head = (size_t)(end - p) + 4;
	cl = memmem(p, head, "ontent-", 7);
	while (cl && strncasecmp(cl, "ontent-length:", 14) != 0)
		cl = memmem(cl + 7, head - (size_t)(cl + 7 - p), "ontent-", 7);
	if (cl)
		body = strtoul(cl + 14, NULL, 10);
	if (n < head + body)
		return 0;
	*stream = memmem(end, body + 4, "\"stream\":true", 13) || memmem(end, body + 4, "\"stream\": true", 14);
	return head + body;
}

static void answer(int fd, const char *p, size_t n, size_t *used)
{
	bool stream;
	size_t k;

	*used = 0;
	while ((k = whole_request(p + *used, n - *used, &stream)) > 0) {
		*used += k;
		answered++;
		if (stream)
			start_stream(fd);
		else
			say(fd, plain, n_plain);
	}
}

static void on_readable(int ep, int fd)
{
	static char in[1 << 18];
	struct conn *c = &conns[fd];
	ssize_t k = recv(fd, in, sizeof in, 0);
	size_t used;

	if (k <= 0) {
		if (k == 0 || errno != EAGAIN)
			close_conn(ep, fd);
		return;
	}
	if (c->n == 0) {
		answer(fd, in, (size_t)k, &used);
		if (used == (size_t)k)
			return;
		memmove(in, in + used, (size_t)k - used);
		k -= (ssize_t)used;
	}
	if (c->n + (size_t)k > c->cap) {
		c->cap = (c->n + (size_t)k) * 2;
		c->buf = realloc(c->buf, c->cap);
		if (!c->buf)
			die("realloc");
	}
	memcpy(c->buf + c->n, in, (size_t)k);
	c->n += (size_t)k;
	answer(fd, c->buf, c->n, &used);
	memmove(c->buf, c->buf + used, c->n - used);
	c->n -= used;
	if (c->n == 0) {
		free(c->buf);
		c->buf = NULL;
		c->cap = 0;
	}
}

static void tick(void)
{
	for (int i = 0; i < n_streaming; i++) {
		int fd = streaming[i];
		if (--conns[fd].left > 0) {
			say(fd, event, n_event);
		} else {
			say(fd, tail, n_tail);
			streaming[i--] = streaming[--n_streaming];
		}
	}
}

static void make_replies(size_t reply_bytes, size_t event_bytes)
{
	static const char usage[] = "\"usage\":{\"prompt_tokens\":70,\"completion_tokens\":100,\"total_tokens\":170}";
	size_t pad = reply_bytes > 300 ? reply_bytes - 300 : 1, cap = pad + 1024;
	char *body = malloc(cap), *fill = malloc(pad + 1), *data = malloc(event_bytes + 512);

	plain = malloc(cap + 512);
	event = malloc(event_bytes + 1024);
	if (!body || !fill || !data || !plain || !event)
		die("malloc");
	memset(fill, 'x', pad);
	fill[pad] = 0;
	n_plain = (size_t)snprintf(body, cap, "{\"id\":\"chatcmpl-1\",\"object\":\"chat.completion\",\"created\":1770933883,"
	    "\"model\":\"mock\",\"choices\":[{\"index\":0,\"message\":{\"role\":\"assistant\",\"content\":\"%s\"},"
	    "\"finish_reason\":\"stop\"}],%s}", fill, usage);
	n_plain = (size_t)snprintf(plain, cap + 512, "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %zu\r\n\r\n%s",
	    n_plain, body);
	pad = event_bytes > 190 ? event_bytes - 190 : 1;
	memset(data, 'y', pad);
	data[pad] = 0;
	n_event = (size_t)snprintf(body, cap, "data: {\"id\":\"chatcmpl-1\",\"object\":\"chat.completion.chunk\",\"created\":1770933883,"
	    "\"model\":\"mock\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\"%.*s\"},\"finish_reason\":null}]}\n\n",
	    (int)(pad < cap / 2 ? pad : cap / 2), data);
	n_event = (size_t)snprintf(event, event_bytes + 1024, "%zx\r\n%s\r\n", n_event, body);
	n_tail = (size_t)snprintf(body, cap, "data: {\"id\":\"chatcmpl-1\",\"object\":\"chat.completion.chunk\",\"created\":1770933883,"
	    "\"model\":\"mock\",\"choices\":[],%s}\n\ndata: [DONE]\n\n", usage);
	n_tail = (size_t)snprintf(tail, sizeof tail, "%zx\r\n%s\r\n0\r\n\r\n", n_tail, body);
	free(body);
	free(fill);
	free(data);
}

static int listen_on(int port)
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_port = htons((uint16_t)port),
	                         .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0), one = 1;

	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
	if (bind(fd, (struct sockaddr *)&a, sizeof a) != 0 || listen(fd, 4096) != 0)
		die("listen");
	return fd;
}

static int start_timer(int ep)
{
	int fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK);
	long ns = (interval_ms > 0 ? interval_ms : 1000) * 1000000L;
	struct itimerspec t = { .it_interval = { ns / 1000000000, ns % 1000000000 } };
	struct epoll_event e = { .events = EPOLLIN, .data.fd = fd };

	t.it_value = t.it_interval;
	timerfd_settime(fd, 0, &t, NULL);
	epoll_ctl(ep, EPOLL_CTL_ADD, fd, &e);
	return fd;
}

static void accept_all(int ep, int ls)
{
	struct epoll_event e = { .events = EPOLLIN };
	int one = 1;

	while ((e.data.fd = accept4(ls, NULL, NULL, SOCK_NONBLOCK)) >= 0) {
		if (e.data.fd >= MAX_FD) {
			close(e.data.fd);
			continue;
		}
		setsockopt(e.data.fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
		epoll_ctl(ep, EPOLL_CTL_ADD, e.data.fd, &e);
	}
}

int main(int argc, char **argv)
{
	struct epoll_event ev[256], e = { .events = EPOLLIN };
	int ep = epoll_create1(0), ls, timer;
	size_t event_bytes = 240;
	uint64_t fired;

	if (argc < 2) {
		fprintf(stderr, "usage: mock PORT [REPLY_BYTES [EVENTS INTERVAL_MS EVENT_BYTES]]\n");
		return 2;
	}
	if (argc > 5) {
		n_events = (int)strtol(argv[3], NULL, 10);
		interval_ms = strtol(argv[4], NULL, 10);
		event_bytes = strtoul(argv[5], NULL, 10);
	}
	if (n_events < 1 || interval_ms < 0 || event_bytes > MAX_EVENT)
		return 2;
	make_replies(argc > 2 ? strtoul(argv[2], NULL, 10) : 600, event_bytes);
	signal(SIGTERM, on_term);
	signal(SIGPIPE, SIG_IGN);
	e.data.fd = ls = listen_on((int)strtol(argv[1], NULL, 10));
	epoll_ctl(ep, EPOLL_CTL_ADD, ls, &e);
	timer = start_timer(ep);
	printf("ready\n");
	fflush(stdout);
	while (!stop) {
		int n = epoll_wait(ep, ev, 256, 1000);
		for (int i = 0; i < n; i++) {
			if (ev[i].data.fd == ls)
				accept_all(ep, ls);
			else if (ev[i].data.fd == timer) {
				if (read(timer, &fired, sizeof fired) > 0)
					tick();
			} else
				on_readable(ep, ev[i].data.fd);
		}
	}
	printf("answered %llu\n", (unsigned long long)answered);
	return 0;
}
