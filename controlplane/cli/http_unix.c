/*
 * http_unix.c - a small HTTP/1.1 client for our own daemons (see http_unix.h).
 */
#include "cli/http_unix.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/str.h"
#include "base/time.h"

#define DEFAULT_MS 30000

/* ---- connecting ---- */

static bool wait_for(int fd, short events, int64_t until)
{
	struct pollfd p = { .fd = fd, .events = events };
	for (;;) {
		int64_t left = until - gw_mono_ms();
		int n = poll(&p, 1, left > 0 ? (int)left : 0);
		if (n > 0)
			return true;
		if (n == 0 || errno != EINTR)
			return false;
	}
}

static int connect_to(const struct sockaddr *sa, socklen_t n, int64_t until)
{
	int fd = socket(sa->sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), e = 0;
	socklen_t size = sizeof e;
	if (fd < 0)
		return -1;
	if (connect(fd, sa, n) != 0) {
		e = errno;
		if (e == EINPROGRESS && wait_for(fd, POLLOUT, until))
			getsockopt(fd, SOL_SOCKET, SO_ERROR, &e, &size);
		else if (e == EINPROGRESS)
			e = ETIMEDOUT;
	}
	if (e == 0)
		return fd;
	close(fd);
	errno = e;
	return -1;
}

/* Paths of socket files hold 107 bytes; a longer one is reached through a descriptor of its folder. */
static int connect_unix(const char *path, int64_t until)
{
	struct sockaddr_un sa = { .sun_family = AF_UNIX };
	const char *slash = strrchr(path, '/');
	int folder = -1;
	if (strlen(path) < sizeof sa.sun_path) {
		snprintf(sa.sun_path, sizeof sa.sun_path, "%s", path);
	} else {
		char *dir = gw_strdup_n(path, slash ? (size_t)(slash - path) : 0);
		folder = open(dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
		free(dir);
		if (folder < 0)
			return -1;
		snprintf(sa.sun_path, sizeof sa.sun_path, "/proc/self/fd/%d/%.60s", folder, slash ? slash + 1 : path);
	}
	int fd = connect_to((const struct sockaddr *)&sa, sizeof sa, until), e = errno;
	if (folder >= 0)
		close(folder);
	errno = e;
	return fd;
}

static bool tcp_address(struct sockaddr_storage *out, socklen_t *n, const char *ip, unsigned port)
{
	struct sockaddr_in *s4 = (void *)out;
	struct sockaddr_in6 *s6 = (void *)out;
	memset(out, 0, sizeof *out);
	if (inet_pton(AF_INET, ip, &s4->sin_addr) == 1) {
		s4->sin_family = AF_INET;
		s4->sin_port = htons((uint16_t)port);
		*n = sizeof *s4;
		return true;
	}
	if (inet_pton(AF_INET6, ip, &s6->sin6_addr) != 1)
		return false;
	s6->sin6_family = AF_INET6;
	s6->sin6_port = htons((uint16_t)port);
	*n = sizeof *s6;
	return true;
}

static int connect_tcp(const char *ip, unsigned port, int64_t until)
{
	struct sockaddr_storage sa;
	socklen_t n;
	errno = EINVAL;
	return tcp_address(&sa, &n, ip, port) ? connect_to((const struct sockaddr *)&sa, n, until) : -1;
}

bool cli_tcp_open(const char *ip, unsigned port)
{
	int fd = connect_tcp(ip, port, gw_mono_ms() + 1000);
	if (fd >= 0)
		close(fd);
	return fd >= 0;
}

/* ---- the exchange ---- */

static bool send_all(int fd, struct gw_str s, int64_t until)
{
	while (s.n) {
		ssize_t n = send(fd, s.p, s.n, MSG_NOSIGNAL);
		if (n > 0)
			s = gw_str_from(s, (size_t)n);
		else if (errno == EAGAIN && wait_for(fd, POLLOUT, until))
			continue;
		else if (errno != EINTR)
			return false;
	}
	return true;
}

/* 1: all of it, 0: too long or broken, -1: no answer in time. */
static int receive_all(struct gw_buf *b, int fd, int64_t until)
{
	for (;;) {
		char *at = gw_buf_reserve(b, 16384);
		if (!at)
			return 0;
		ssize_t n = recv(fd, at, 16384, 0);
		if (n > 0)
			gw_buf_commit(b, (size_t)n);
		else if (n == 0)
			return 1;
		else if (errno == EAGAIN && !wait_for(fd, POLLIN, until))
			return -1;
		else if (errno != EAGAIN && errno != EINTR)
			return b->n ? 1 : 0; /* a reset behind a complete answer: parsing decides */
	}
}

static bool write_request(struct gw_buf *b, const struct cli_request *rq)
{
	gw_buf_printf(b, "%s %s HTTP/1.1\r\nHost: localhost\r\nUser-Agent: tidegate/" TIDEGATE_VERSION "\r\n"
	    "Accept: application/json\r\nConnection: close\r\n", rq->method, rq->path);
	if (rq->if_match)
		gw_buf_printf(b, "If-Match: %s\r\n", rq->if_match);
	if (rq->body.p)
		gw_buf_printf(b, "Content-Type: application/json\r\nContent-Length: %zu\r\n", rq->body.n);
	gw_buf_add_c(b, "\r\n");
	if (rq->body.p)
		gw_buf_add(b, rq->body);
	return !b->full;
}

static enum gw_rc exchange(struct cli_answer *out, int fd, const struct cli_request *rq, int64_t until, struct gw_error *err)
{
	struct gw_buf b;
	gw_buf_init(&b, CLI_MAX_ANSWER);
	enum gw_rc rc = GW_OK;
	if (!write_request(&b, rq))
		rc = gw_fail(err, GW_TOOBIG, NULL, "the request is larger than %u MiB", CLI_MAX_ANSWER >> 20);
	if (rc == GW_OK)
		send_all(fd, gw_buf_str(&b), until); /* when refused half-way there is an answer all the same */
	gw_buf_clear(&b);
	int got = rc == GW_OK ? receive_all(&b, fd, until) : 0;
	if (rc == GW_OK && got < 0)
		rc = gw_fail(err, GW_BUSY, NULL, "no answer in time");
	else if (rc == GW_OK)
		rc = cli_http_parse(out, gw_buf_str(&b), err);
	gw_buf_fini(&b);
	close(fd);
	return rc;
}

enum gw_rc cli_http_unix(struct cli_answer *out, const char *socket_path, const struct cli_request *rq, struct gw_error *err)
{
	int64_t until = gw_mono_ms() + (rq->timeout_ms ? rq->timeout_ms : DEFAULT_MS);
	int fd = connect_unix(socket_path, until);
	if (fd < 0)
		return gw_fail(err, errno == EACCES ? GW_DENIED : GW_NOTFOUND, NULL, "%s: %s", socket_path, strerror(errno));
	return exchange(out, fd, rq, until, err);
}

enum gw_rc cli_http_tcp(struct cli_answer *out, const char *ip, unsigned port, const struct cli_request *rq,
    struct gw_error *err)
{
	int64_t until = gw_mono_ms() + (rq->timeout_ms ? rq->timeout_ms : DEFAULT_MS);
	int fd = connect_tcp(ip, port, until);
	if (fd < 0)
		return gw_fail(err, GW_NOTFOUND, NULL, "%s port %u: %s", ip, port, strerror(errno));
	return exchange(out, fd, rq, until, err);
}

/* ---- the answer ---- */

static void take_header(struct cli_answer *out, struct gw_str line, int64_t *length, bool *chunked)
{
	struct gw_str name = gw_str_trim(gw_str_cut(&line, ':')), value = gw_str_trim(line);
	if (gw_str_ieq(name, GW_STR("content-length")))
		(void)gw_str_int(value, 0, CLI_MAX_ANSWER, length);
	else if (gw_str_ieq(name, GW_STR("transfer-encoding")))
		*chunked = gw_str_ieq(value, GW_STR("chunked"));
	else if (gw_str_ieq(name, GW_STR("etag")))
		snprintf(out->etag, sizeof out->etag, "%.*s", GW_FMT(value));
	else if (gw_str_ieq(name, GW_STR("x-tidegate-revision")))
		(void)gw_str_int(value, 0, INT64_MAX, &out->revision);
}

static bool next_line(struct gw_str *rest, struct gw_str *line)
{
	size_t at;
	if (!gw_str_find(*rest, GW_STR("\r\n"), &at))
		return false;
	*line = (struct gw_str){ rest->p, at };
	*rest = gw_str_from(*rest, at + 2);
	return true;
}

static bool take_chunks(struct gw_buf *body, struct gw_str rest)
{
	struct gw_str line;
	while (next_line(&rest, &line)) {
		size_t n = 0, digits = 0;
		for (; digits < line.n && digits < 8 && strchr("0123456789abcdefABCDEF", line.p[digits]); digits++) {
			char c = line.p[digits] | 0x20;
			n = n * 16 + (size_t)(c <= '9' ? c - '0' : c - 'a' + 10);
		}
		if (digits == 0 || n > rest.n || (n && rest.n - n < 2))
			return false;
		if (n == 0)
			return true;
		if (!gw_buf_add(body, (struct gw_str){ rest.p, n }))
			return false;
		rest = gw_str_from(rest, n + 2);
	}
	return false;
}

enum gw_rc cli_http_parse(struct cli_answer *out, struct gw_str raw, struct gw_error *err)
{
	struct gw_str rest = raw, line;
	int64_t length = -1, status = 0;
	bool chunked = false, whole;
	*out = (struct cli_answer){ .revision = -1 };
	gw_buf_init(&out->body, CLI_MAX_ANSWER);
	if (!next_line(&rest, &line) || line.n < 12 || !gw_str_starts(line, GW_STR("HTTP/1.")) ||
	    !gw_str_int((struct gw_str){ line.p + 9, 3 }, 100, 599, &status))
		return gw_fail(err, GW_INVALID, NULL, "the answer is not HTTP; is another program listening there?");
	out->status = (int)status;
	while ((whole = next_line(&rest, &line)) && line.n)
		take_header(out, line, &length, &chunked);
	if (whole && chunked)
		whole = take_chunks(&out->body, rest);
	else if (whole && length >= 0)
		whole = rest.n >= (size_t)length && gw_buf_add(&out->body, (struct gw_str){ rest.p, (size_t)length });
	else if (whole)
		whole = gw_buf_add(&out->body, rest);
	if (whole)
		return GW_OK;
	cli_answer_fini(out);
	return gw_fail(err, GW_INVALID, NULL, "the answer was cut off");
}

void cli_answer_fini(struct cli_answer *a)
{
	gw_buf_fini(&a->body);
}
