/* The server over real sockets: what it passes on, and what it refuses by itself. */
#include <arpa/inet.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "controlplane/fixture.h"
#include "httpd/httpd.h"

static struct cp_httpd *httpd;
static char dir[128], sock[200], answer[8192];
static _Atomic int handled;

static size_t max_body(void *arg, const struct cp_request *rq)
{
	(void)arg, (void)rq;
	return 1000;
}

/* Pieces of letters; between two of them it waits where it was asked to.  `made` and `closed` are of all sources. */
struct letters { int pieces, at; bool waits, breaks; };
static _Atomic int made, closed, released; /* released: what /held waits for */

static enum cp_more more_letters(void *arg, struct gw_buf *out)
{
	struct letters *l = arg;
	atomic_fetch_add(&made, 1);
	if (l->at == l->pieces)
		return l->breaks ? CP_BROKEN : CP_END;
	for (size_t i = 0; i < 1000; i++)
		gw_buf_add_byte(out, (char)('a' + l->at % 26));
	l->at++;
	return l->waits ? CP_WAIT : CP_MORE;
}

static void close_letters(void *arg)
{
	atomic_fetch_add(&closed, 1);
	free(arg);
}

static void handle(void *arg, const struct cp_request *rq, struct cp_response *rs)
{
	if (gw_str_starts(rq->path, GW_STR("/letters"))) {
		struct letters *l = gw_alloc(sizeof *l);
		*l = (struct letters){ .pieces = gw_str_is(rq->path, "/letters/endless") ? INT_MAX : 5, .waits = gw_str_is(rq->path, "/letters/slow"),
				       .breaks = gw_str_is(rq->path, "/letters/broken") };
		rs->source = (struct cp_source){ more_letters, close_letters, l };
		return;
	}
	(void)arg;
	atomic_fetch_add(&handled, 1);
	if (gw_str_is(rq->path, "/slow"))
		usleep(400000);
	for (int i = 0; gw_str_is(rq->path, "/held") && i < 1000 && !atomic_load(&released); i++)
		usleep(10000);
	rs->content_type = "text/plain";
	cp_response_header(rq, rs, "X-Local", rq->is_local ? GW_STR("yes") : GW_STR("no"));
	gw_buf_printf(&rs->body, "%.*s %.*s %zu %.*s", GW_FMT(rq->method), GW_FMT(rq->path), rq->body.n, GW_FMT(rq->address));
}

static void refuse(void *arg, const struct cp_request *rq, unsigned status, const char *detail, struct cp_response *rs)
{
	(void)arg, (void)rq, (void)status;
	gw_buf_add_c(&rs->body, detail);
}

static void start(void)
{
	atomic_store(&made, 0);
	atomic_store(&closed, 0);
	struct gw_error err = { 0 };
	fx_dir(dir);
	snprintf(sock, sizeof sock, "%s/control.sock", dir);
	struct cp_httpd_options o = { .listen = "127.0.0.1:0", .socket_path = sock, .max_body = max_body, .handle = handle, .refuse = refuse };
	enum gw_rc rc = cp_httpd_open(&httpd, &o, &err);
	ck_assert_msg(rc == GW_OK, "%s", err.text);
	atomic_store(&handled, 0);
}

static void stop(void)
{
	cp_httpd_close(&httpd);
	ck_assert_int_ne(access(sock, F_OK), 0);
	rmdir(dir);
}

static int dial(void)
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_port = htons((uint16_t)cp_httpd_port(httpd)),
				 .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	ck_assert_int_eq(connect(fd, (struct sockaddr *)&a, sizeof a), 0);
	return fd;
}

/* Whether `answer` holds an answer to its end, by its length or its last chunk; of one to HEAD only its head. */
static bool whole(size_t n, bool to_head)
{
	const char *end = strstr(answer, "\r\n\r\n"), *length = strcasestr(answer, "\r\ncontent-length:");
	if (!end || to_head)
		return end != NULL;
	if (length && length < end)
		return n >= (size_t)(end + 4 - answer) + (size_t)atoi(length + 17);
	return !strcasestr(answer, "chunked") || strstr(end, "\r\n0\r\n\r\n");
}

/* One answer, whatever comes behind it in a tenth of a second, or what there is when the other side closes; the status. */
static int receive_of(int fd, bool to_head)
{
	size_t n = 0;
	struct pollfd p = { .fd = fd, .events = POLLIN };
	answer[0] = 0;
	while (n < sizeof answer - 1 && poll(&p, 1, whole(n, to_head) ? 100 : 10000) > 0) {
		ssize_t got = recv(fd, answer + n, sizeof answer - 1 - n, 0);
		if (got <= 0)
			break;
		n += (size_t)got;
		answer[n] = 0;
	}
	close(fd);
	return n > 12 ? atoi(answer + 9) : 0;
}

static int receive(int fd) { return receive_of(fd, false); }

static int talk(const char *bytes)
{
	int fd = dial();
	ck_assert_int_eq(send(fd, bytes, strlen(bytes), MSG_NOSIGNAL), (int)strlen(bytes));
	return receive_of(fd, strncmp(bytes, "HEAD ", 5) == 0);
}

START_TEST(requests_reach_the_handler)
{
	start();
	ck_assert_int_eq(talk("GET /a%20b?x=1 HTTP/1.1\r\nHost: x\r\n\r\n"), 200);
	ck_assert_ptr_nonnull(strstr(answer, "GET /a b 0 127.0.0.1"));
	ck_assert_ptr_nonnull(strstr(answer, "X-Request-Id: 0"));
	ck_assert_ptr_nonnull(strstr(answer, "X-Local: no"));
	ck_assert_int_eq(talk("POST /p HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello"), 200);
	ck_assert_ptr_nonnull(strstr(answer, "POST /p 5"));
	ck_assert_int_eq(talk("POST /p HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"), 200);
	ck_assert_ptr_nonnull(strstr(answer, "POST /p 3"));
	ck_assert_int_eq(talk("HEAD /h HTTP/1.1\r\nHost: x\r\n\r\n"), 200);
	ck_assert_ptr_null(strstr(answer, "GET /h"));
	ck_assert_int_eq(talk("GET /1 HTTP/1.1\r\nHost: x\r\n\r\nGET /2 HTTP/1.1\r\nHost: x\r\n\r\n"), 200);
	ck_assert_ptr_nonnull(strstr(answer, "GET /2"));
	stop();
}
END_TEST

START_TEST(ambiguous_messages_are_refused)
{
	static const struct { const char *bytes; int status; } bad[] = {
		{ "GET / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400 },
		{ "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabcd", 400 },
		{ "GET / HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n", 400 },
		{ "GET / HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer a\r\nAuthorization: Bearer b\r\n\r\n", 400 },
		{ "GET / HTTP/1.1\r\nHost: x\r\nCookie: a=1\r\nCookie: a=2\r\n\r\n", 400 },
		{ "GET / HTTP/1.1\r\nHost: x\r\nX-A: b\x01c\r\n\r\n", 400 },
		{ "GET / HTTP/1.1\r\n\r\n", 400 },
		{ "GET /../etc/passwd HTTP/1.1\r\nHost: x\r\n\r\n", 400 },
		{ "GET /a%00b HTTP/1.1\r\nHost: x\r\n\r\n", 400 },
		{ "GET http://evil/ HTTP/1.1\r\nHost: x\r\n\r\n", 400 },
		{ "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1001\r\n\r\n", 413 },
		{ "GET / HTTP/1.2\r\nHost: x\r\n\r\n", 505 },
	};
	start();
	for (size_t i = 0; i < GW_COUNT(bad); i++) {
		int status = talk(bad[i].bytes);
		ck_assert_msg(status == bad[i].status, "%s gave %d", bad[i].bytes, status);
	}
	ck_assert_int_eq(atomic_load(&handled), 0);
	stop();
}
END_TEST

START_TEST(a_chunked_body_is_bounded_too)
{
	char chunk[2100];
	start();
	int n = snprintf(chunk, sizeof chunk, "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5dc\r\n");
	memset(chunk + n, 'a', 1500);
	snprintf(chunk + n + 1500, sizeof chunk - (size_t)n - 1500, "\r\n0\r\n\r\n");
	ck_assert_int_eq(talk(chunk), 413);
	ck_assert_int_eq(atomic_load(&handled), 0);
	stop();
}
END_TEST

START_TEST(a_slow_handler_delays_nobody)
{
	start();
	int slow = dial();
	const char *rq = "GET /held HTTP/1.1\r\nHost: x\r\n\r\n";
	atomic_store(&released, 0);
	ck_assert_int_eq(send(slow, rq, strlen(rq), 0), (int)strlen(rq));
	while (atomic_load(&handled) == 0)
		usleep(1000);
	int fd = dial();
	const char *quick = "GET /quick HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
	ck_assert_int_eq(send(fd, quick, strlen(quick), 0), (int)strlen(quick));
	ck_assert_int_eq(receive(fd), 200);
	atomic_store(&released, 1);
	ck_assert_int_eq(receive(slow), 200);
	stop();
}
END_TEST

START_TEST(stopping_waits_for_handlers)
{
	start();
	int slow = dial();
	const char *rq = "GET /slow HTTP/1.1\r\nHost: x\r\n\r\n";
	ck_assert_int_eq(send(slow, rq, strlen(rq), 0), (int)strlen(rq));
	while (atomic_load(&handled) == 0)
		usleep(1000);
	stop();
	close(slow);
}
END_TEST

START_TEST(the_socket_file_knows_its_own)
{
	struct stat st;
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	start();
	ck_assert_int_eq(stat(sock, &st), 0);
	ck_assert_uint_eq(st.st_mode & 0777, 0600);
	snprintf(a.sun_path, sizeof a.sun_path, "%.100s", sock);
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);
	ck_assert_int_eq(connect(fd, (struct sockaddr *)&a, sizeof a), 0);
	const char *rq = "GET /u HTTP/1.1\r\nHost: x\r\n\r\n";
	ck_assert_int_eq(send(fd, rq, strlen(rq), 0), (int)strlen(rq));
	ck_assert_int_eq(receive(fd), 200);
	ck_assert_ptr_nonnull(strstr(answer, "X-Local: yes"));
	ck_assert_ptr_nonnull(strstr(answer, "GET /u 0 local"));
	stop();
}
END_TEST

START_TEST(taken_ports_are_told)
{
	struct cp_httpd *second = NULL;
	struct gw_error err = { 0 };
	char listen[32];
	start();
	snprintf(listen, sizeof listen, "127.0.0.1:%u", cp_httpd_port(httpd));
	struct cp_httpd_options o = { .listen = listen, .max_body = max_body, .handle = handle, .refuse = refuse };
	ck_assert_int_eq(cp_httpd_open(&second, &o, &err), GW_IO);
	ck_assert_ptr_nonnull(strstr(err.text, "another program uses the port"));
	o.listen = "nonsense";
	ck_assert_int_eq(cp_httpd_open(&second, &o, &err), GW_INVALID);
	stop();
}
END_TEST

static void until(_Atomic int *what, int n)
{
	for (int i = 0; i < 500 && atomic_load(what) != n; i++)
		usleep(20000);
	ck_assert_int_eq(atomic_load(what), n);
}

/* In order and whole; one that waits goes on by itself; one that breaks lacks its end; one that nobody reads is not made. */
START_TEST(bodies_are_made_while_they_are_sent)
{
	start();
	ck_assert_int_eq(talk("GET /letters HTTP/1.1\r\nHost: x\r\n\r\n"), 200);
	char *at = strstr(answer, "\r\n\r\n");
	ck_assert_ptr_nonnull(strstr(answer, "chunked"));
	for (char c = 'a'; c < 'f'; c++) {
		size_t n = 0;
		for (char *p = at; *p; p++)
			n += *p == c && (p[1] == c || p[-1] == c);
		ck_assert_msg(n >= 1000 && n < 1010, "%c %zu", c, n);
	}
	ck_assert_ptr_nonnull(strstr(at, "\r\n0\r\n\r\n"));
	until(&closed, 1);
	ck_assert_int_eq(talk("GET /letters/broken HTTP/1.1\r\nHost: x\r\n\r\n"), 200);
	ck_assert_ptr_null(strstr(answer, "\r\n0\r\n\r\n"));
	until(&closed, 2);
	ck_assert_int_eq(talk("HEAD /letters HTTP/1.1\r\nHost: x\r\n\r\n"), 200);
	until(&closed, 3);

	int fd = dial();
	const char *slow = "GET /letters/slow HTTP/1.1\r\nHost: x\r\n\r\n";
	ck_assert_int_eq(send(fd, slow, strlen(slow), MSG_NOSIGNAL), (int)strlen(slow));
	until(&closed, 4); /* five seconds of turns, and its connection goes on */
	ck_assert_int_eq(receive(fd), 200);

	/* Nobody reads: what was made fits the buffers of two sockets.  Then he leaves, and the source is closed. */
	atomic_store(&made, 0);
	fd = dial();
	const char *endless = "GET /letters/endless HTTP/1.1\r\nHost: x\r\n\r\n";
	ck_assert_int_eq(send(fd, endless, strlen(endless), MSG_NOSIGNAL), (int)strlen(endless));
	int before = -1;
	for (int i = 0; i < 100 && (before != atomic_load(&made) || before == 0); i++) {
		before = atomic_load(&made);
		usleep(200000);
	}
	ck_assert_int_lt(atomic_load(&made), 20000);
	close(fd);
	until(&closed, 5);

	/* One that waits and one that sends when the server ends. */
	int one = dial(), two = dial();
	ck_assert_int_eq(send(one, slow, strlen(slow), MSG_NOSIGNAL), (int)strlen(slow));
	ck_assert_int_eq(send(two, endless, strlen(endless), MSG_NOSIGNAL), (int)strlen(endless));
	for (int i = 0; i < 500 && atomic_load(&made) < before + 3; i++)
		usleep(20000);
	stop();
	ck_assert_int_eq(atomic_load(&closed), 7);
	close(one);
	close(two);
}
END_TEST

UNIT_MAIN("httpd", requests_reach_the_handler, ambiguous_messages_are_refused, a_chunked_body_is_bounded_too,
	  a_slow_handler_delays_nobody, stopping_waits_for_handlers, the_socket_file_knows_its_own, taken_ports_are_told, bodies_are_made_while_they_are_sent)
