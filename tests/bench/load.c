/*
 * load.c - the client of the benchmark: requests in a closed or an open loop, and streams of server-sent events.
 *
 *   load http PORT CONNECTIONS SECONDS RATE BODY_FILE KEY_FILE [MODELS]
 *   load sse  PORT STREAMS SECONDS EVENTS BODY_FILE KEY_FILE [HOLD]
 *
 * RATE 0 is the closed loop: every connection sends as soon as it has its answer.  Otherwise requests have a schedule,
 * and their latency counts from the moment at which they were to be sent, so a server that stalls cannot hide it.
 *
 * KEY_FILE holds one bearer credential a line; each request takes one of them by chance.  With MODELS the text "@@@@@"
 * in the body becomes a number below MODELS, so that requests spread over routes.
 *
 * `sse` opens a stream again when it has ended.  It counts a stream as broken that did not carry EVENTS events with data
 * and then [DONE]; one less is fine, since a gateway hides the usage that the client did not ask for.  With HOLD it opens
 * every stream once, waits until SECONDS have passed, and ends: for measuring memory.  One JSON object on stdout; latencies in microseconds.  One thread, epoll.
 *
 * LOAD_STATUS: the status that counts as right (200).  LOAD_HEADERS: more header lines, each with CR LF.
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
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#define HOLD_OPENING_S 30
#define BUCKETS 4096 /* of a logarithmic histogram, 1 % wide */

struct histogram { uint64_t n, count[BUCKETS], max; };

struct conn {
	int fd;
	bool busy;
	int64_t due_us, last_us;  /* when the request was to be sent; when the last event came */
	char *out;                /* what of the request is still to be sent; the shared one unless it did not fit */
	size_t out_n, out_at;
	size_t head_n;            /* bytes of the head seen so far, in `head` */
	char head[1024];
	int64_t body_left;        /* -1: the head is not complete; -2: chunked */
	int status;
	int events;               /* of this stream */
	bool done;                /* [DONE] came */
	unsigned tail;            /* the last bytes seen, to find marks that are cut */
	char marks[8];
};

static struct conn *conns;
static int ep, port, n_conns, want_events, models, want_status = 200;
static const char *more_headers = "";
static bool sse, hold;
static char *body, **keys;
static size_t n_body, n_keys, at_model;
static uint64_t good, bad, events, seed = 88172645463325252u;
static struct histogram latency, gaps;
static int64_t end_us;

static void die(const char *what)
{
	perror(what);
	exit(1);
}

static int64_t now_us(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

static uint64_t dice(uint64_t n)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return seed % n;
}

/* Below 128 us one bucket each, above 64 for each doubling. */
static void record(struct histogram *h, int64_t us)
{
	uint64_t v = us < 0 ? 0 : (uint64_t)us;
	int log = v < 128 ? 0 : 63 - __builtin_clzll(v) - 6;
	size_t i = v < 128 ? v : 128 + (size_t)(log - 1) * 64 + ((v >> log) - 64);
	h->count[i < BUCKETS ? i : BUCKETS - 1]++;
	h->n++;
	if (v > h->max)
		h->max = v;
}

static double quantile(const struct histogram *h, double q)
{
	uint64_t want = (uint64_t)(q * (double)h->n), sum = 0;
	for (size_t i = 0; i < BUCKETS; i++) {
		sum += h->count[i];
		if (sum > want)
			return i < 128 ? (double)i : (double)((64 + (i - 128) % 64) << ((i - 128) / 64 + 1));
	}
	return (double)h->max;
}

/* ---- sending ---- */

static void watch(struct conn *c, uint32_t mask, int op)
{
	struct epoll_event e = { .events = mask, .data.ptr = c };
	epoll_ctl(ep, op, c->fd, &e);
}

static void dial(struct conn *c)
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_port = htons((uint16_t)port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	int one = 1;
	c->fd = socket(AF_INET, SOCK_STREAM, 0);
	if (c->fd < 0 || connect(c->fd, (struct sockaddr *)&a, sizeof a) != 0)
		die("connect");
	fcntl(c->fd, F_SETFL, O_NONBLOCK);
	setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
	watch(c, EPOLLIN, EPOLL_CTL_ADD);
}

static void flush(struct conn *c)
{
	while (c->out_at < c->out_n) {
		ssize_t k = send(c->fd, c->out + c->out_at, c->out_n - c->out_at, MSG_NOSIGNAL);
		if (k < 0 && errno == EAGAIN) {
			watch(c, EPOLLIN | EPOLLOUT, EPOLL_CTL_MOD);
			return;
		}
		if (k < 0)
			return; /* reading tells */
		c->out_at += (size_t)k;
	}
	watch(c, EPOLLIN, EPOLL_CTL_MOD);
	free(c->out);
	c->out = NULL;
}

static void ask(struct conn *c, int64_t due_us)
{
	static char text[1 << 14], *big;
	const char *key = keys[dice(n_keys)];
	int head = snprintf(text, sizeof text, "POST /v1/chat/completions HTTP/1.1\r\nHost: bench\r\nContent-Type: application/json\r\n"
	                    "Authorization: Bearer %s\r\n%sContent-Length: %zu\r\n\r\n", key, more_headers, n_body);
	char *whole = text;
	size_t n = (size_t)head + n_body;
	if (n > sizeof text) {
		if (!big)
			big = malloc(n + 4096);
		if (!big)
			die("malloc");
		memcpy(big, text, (size_t)head);
		whole = big;
	}
	memcpy(whole + head, body, n_body);
	if (models) {
		char number[8];
		snprintf(number, sizeof number, "%05d", (int)dice((uint64_t)models));
		memcpy(whole + head + at_model, number, 5);
	}
	c->busy = true;
	c->due_us = due_us;
	c->last_us = 0;
	c->head_n = 0;
	c->body_left = -1;
	c->events = 0;
	c->done = false;
	memset(c->marks, 0, sizeof c->marks);
	ssize_t k = send(c->fd, whole, n, MSG_NOSIGNAL);
	if (k == (ssize_t)n)
		return;
	k = k < 0 ? 0 : k;
	c->out_n = n - (size_t)k;
	c->out_at = 0;
	c->out = malloc(c->out_n);
	if (!c->out)
		die("malloc");
	memcpy(c->out, whole + k, c->out_n);
	watch(c, EPOLLIN | EPOLLOUT, EPOLL_CTL_MOD);
}

/* ---- receiving ---- */

static void redial(struct conn *c)
{
	close(c->fd);
	free(c->out);
	c->out = NULL;
	c->busy = false;
	dial(c);
}

static void finished(struct conn *c, bool ok)
{
	int64_t now = now_us();
	c->busy = false;
	if (!ok)
		bad++;
	else if (now <= end_us || hold)
		good++;
	if (!sse)
		record(&latency, now - c->due_us);
}

/* How many events begin in these bytes, and is the last one there?  Marks may be cut between two reads. */
static void count_events(struct conn *c, const char *p, size_t n, int64_t now)
{
	static char joined[1 << 18];
	size_t keep = sizeof c->marks;
	memcpy(joined, c->marks, keep);
	memcpy(joined + keep, p, n);
	for (const char *at = joined, *hit; (hit = memmem(at, n + keep - (size_t)(at - joined), "data: ", 6)); at = hit + 6) {
		size_t follow = (size_t)(joined + keep + n - hit);
		if (follow < 8)
			break; /* seen again with the next bytes */
		if (hit[6] == '[' && hit[7] == 'D') {
			c->done = true;
			continue;
		}
		if (c->events++ == 0)
			record(&latency, now - c->due_us);
		else
			record(&gaps, now - c->last_us);
		c->last_us = now;
		events++;
	}
	if (n >= keep)
		memcpy(c->marks, p + n - keep, keep);
	else {
		memmove(c->marks, c->marks + n, keep - n);
		memcpy(c->marks + keep - n, p, n);
	}
	/* An event that was counted must not be counted again: hide its mark. */
	for (size_t i = 0; i + 6 <= keep; i++)
		if (memcmp(c->marks + i, "data: ", 6) == 0 && keep - i >= 8)
			c->marks[i] = 0;
}

static bool read_head(struct conn *c, const char **p, size_t *n)
{
	size_t room = sizeof c->head - 1 - c->head_n, take = *n < room ? *n : room, before = c->head_n;
	memcpy(c->head + c->head_n, *p, take);
	c->head_n += take;
	c->head[c->head_n] = 0;
	char *end = strstr(c->head, "\r\n\r\n"), *length = strcasestr(c->head, "\r\ncontent-length:");
	if (!end)
		return c->head_n < sizeof c->head - 1;
	size_t used = (size_t)(end + 4 - c->head) - before;
	c->status = atoi(c->head + 9);
	c->body_left = length && length < end ? atoll(length + 17) : -2;
	*p += used;
	*n -= used;
	return true;
}

static void take(struct conn *c, const char *p, size_t n, int64_t now)
{
	if (c->body_left == -1) {
		bool ok = read_head(c, &p, &n);
		if (!ok) {
			finished(c, false);
			redial(c);
			return;
		}
		if (c->body_left == -1)
			return;
	}
	if (c->body_left >= 0) {
		c->body_left -= (int64_t)n;
		if (c->body_left <= 0)
			finished(c, c->status == want_status && !sse);
		return;
	}
	bool over = n >= 5 && memcmp(p + n - 5, "0\r\n\r\n", 5) == 0;
	if (sse && n)
		count_events(c, p, n, now);
	if (over)
		finished(c, c->status == want_status && (!sse || (c->done && (c->events == want_events || c->events + 1 == want_events))));
}

static void readable(struct conn *c)
{
	static char in[1 << 17];
	ssize_t k = recv(c->fd, in, sizeof in, 0);
	if (k < 0 && errno == EAGAIN)
		return;
	if (k <= 0) {
		if (c->busy)
			finished(c, false);
		redial(c);
		return;
	}
	if (c->busy)
		take(c, in, (size_t)k, now_us());
}

/* ---- the run ---- */

static char *read_file(const char *path, size_t *n)
{
	FILE *f = fopen(path, "r");
	size_t cap = 1 << 16;
	char *p = malloc(cap);
	*n = 0;
	while (f && p) {
		size_t k = fread(p + *n, 1, cap - *n - 1, f);
		if (k == 0)
			break;
		*n += k;
		if (*n + 1 == cap)
			p = realloc(p, cap *= 2);
	}
	if (!f || !p)
		die(path);
	fclose(f);
	p[*n] = 0;
	return p;
}

static void read_keys(const char *path)
{
	size_t n;
	for (char *line = strtok(read_file(path, &n), "\n"); line; line = strtok(NULL, "\n")) {
		keys = realloc(keys, (n_keys + 1) * sizeof *keys);
		keys[n_keys++] = line;
	}
	if (!n_keys)
		die("no keys");
}

/*
 * Everybody who is idle and due sends.  With a rate the oldest due request takes the next idle connection; returned is when the
 * next one is due.
 */
static int64_t send_due(double rate, int64_t begin, uint64_t *sent)
{
	int64_t now = now_us();
	static int next;
	if (now >= end_us)
		return end_us;
	for (int i = 0; i < n_conns; i++) {
		struct conn *c = &conns[(next + i) % n_conns];
		if (c->busy)
			continue;
		int64_t due = rate > 0 ? begin + (int64_t)((double)*sent * 1e6 / rate) : now;
		if (due > now || (hold && c->due_us))
			break;
		ask(c, due);
		++*sent;
	}
	next++;
	return rate > 0 ? begin + (int64_t)((double)*sent * 1e6 / rate) : now;
}

/* To the microsecond: a clock that ticked would send what is due between two ticks at once. */
static void wake_at(int timer, int64_t at_us)
{
	struct itimerspec at = { .it_value = { at_us / 1000000, at_us % 1000000 * 1000 } };
	timerfd_settime(timer, TFD_TIMER_ABSTIME, &at, NULL);
}

static void report(double seconds, int open)
{
	printf("{\"requests\":%llu,\"failed\":%llu,\"rps\":%.1f,\"p50_us\":%.0f,\"p90_us\":%.0f,\"p99_us\":%.0f,\"max_us\":%llu",
	       (unsigned long long)good, (unsigned long long)bad, (double)good / seconds, quantile(&latency, 0.5),
	       quantile(&latency, 0.9), quantile(&latency, 0.99), (unsigned long long)latency.max);
	if (sse)
		printf(",\"events\":%llu,\"gap_p50_us\":%.0f,\"gap_p99_us\":%.0f,\"gap_p999_us\":%.0f,\"gap_max_us\":%llu,\"open\":%d",
		       (unsigned long long)events, quantile(&gaps, 0.5), quantile(&gaps, 0.99), quantile(&gaps, 0.999),
		       (unsigned long long)gaps.max, open);
	printf("}\n");
}

static void run(double rate, double seconds)
{
	struct epoll_event ev[512];
	int timer = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK), open = 0;
	struct epoll_event e = { .events = EPOLLIN, .data.ptr = NULL };
	uint64_t sent = 0, fired;
	int64_t begin = now_us(), due;
	bool held = false;
	epoll_ctl(ep, EPOLL_CTL_ADD, timer, &e);
	end_us = begin + (int64_t)((hold ? HOLD_OPENING_S : seconds) * 1e6);
	due = send_due(rate, begin, &sent);
	if (rate > 0)
		wake_at(timer, due);
	while (now_us() < end_us) {
		if (hold && !held && latency.n == (uint64_t)n_conns) { /* each has said something */
			held = true;
			printf("held\n");
			fflush(stdout);
			end_us = now_us() + (int64_t)(seconds * 1e6);
		}
		int n = epoll_wait(ep, ev, 512, 50);
		for (int i = 0; i < n; i++) {
			struct conn *c = ev[i].data.ptr;
			if (!c)
				(void)!read(timer, &fired, sizeof fired);
			else if (ev[i].events & EPOLLOUT)
				flush(c);
			else
				readable(c);
			if (c && rate <= 0 && !c->busy && !hold && now_us() < end_us)
				ask(c, now_us());
		}
		if (rate <= 0)
			continue;
		int64_t next = send_due(rate, begin, &sent);
		if (next != due)
			wake_at(timer, due = next);
	}
	for (int i = 0; i < n_conns; i++)
		open += conns[i].busy;
	report(seconds, open);
}

int main(int argc, char **argv)
{
	struct rlimit files;
	if (argc < 8) {
		fprintf(stderr, "usage: load http|sse PORT CONNECTIONS SECONDS RATE|EVENTS BODY_FILE KEY_FILE [MODELS|HOLD]\n");
		return 2;
	}
	sse = strcmp(argv[1], "sse") == 0;
	port = atoi(argv[2]);
	n_conns = atoi(argv[3]);
	want_events = sse ? atoi(argv[5]) : 0;
	body = read_file(argv[6], &n_body);
	read_keys(argv[7]);
	hold = sse && argc > 8;
	models = !sse && argc > 8 ? atoi(argv[8]) : 0;
	if (models) {
		char *mark = memmem(body, n_body, "@@@@@", 5);
		if (!mark)
			die("no @@@@@ in the body");
		at_model = (size_t)(mark - body);
	}
	if (getenv("LOAD_STATUS"))
		want_status = atoi(getenv("LOAD_STATUS"));
	if (getenv("LOAD_HEADERS"))
		more_headers = getenv("LOAD_HEADERS");
	getrlimit(RLIMIT_NOFILE, &files);
	files.rlim_cur = files.rlim_max;
	setrlimit(RLIMIT_NOFILE, &files);
	signal(SIGPIPE, SIG_IGN);
	ep = epoll_create1(0);
	conns = calloc((size_t)n_conns, sizeof *conns);
	if (!conns)
		die("calloc");
	for (int i = 0; i < n_conns; i++)
		dial(&conns[i]);
	run(sse ? 0 : atof(argv[5]), atof(argv[4]));
	return 0;
}
