/* listen.c - listening sockets and the accept gate. */
#include "net/listen.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/filter.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/log.h"
#include "base/str.h"
#include "net/impl.h"

#define BACKLOG 4096
/*
 * What the kernel holds for a client that its window does not take yet.  Without this it takes 4 MiB for each slow reader,
 * out of nobody's budget, and events that were cancelled meanwhile still go out.
 */
#define UNSENT_BYTES (128 << 10)
/* Kept free for upstream connections, files and the channel when clients are being counted. */
#define FD_RESERVE_PERCENT 10
/* Below that mark: room for connections upstream, of which the refused, while they read their answer, take half. */
#define FDS_FOR_WORK   64
#define FDS_OF_REFUSED 32

struct dp_listener {
	unsigned magic;
#define DP_LISTENER_MAGIC 0x115732a1u
	uv_tcp_t tcp;
	struct dp_loop *loop;
	bool data_port;
	const struct dp_listener_ops *ops;
	void *arg;
};

/* On a port that speaks TLS, for whom there is no room: its first byte says in what words it wants to be told. */
struct refused {
	struct dp_conn *conn;
	bool plain_too;
	struct dp_timer timer;
};

static atomic_size_t clients, client_limit = 10000;

static const char refusal[] =
	"HTTP/1.1 503 Service Unavailable\r\ncontent-type: application/json\r\ncontent-length: 129\r\n"
	"retry-after: 1\r\nconnection: close\r\n\r\n"
	"{\"error\":{\"message\":\"The gateway is at its connection limit; try again.\",\"type\":\"server_error\","
	"\"param\":null,\"code\":\"overloaded\"}}";

void dp_client_limit(size_t max) { atomic_store(&client_limit, max); }
size_t dp_client_count(void) { return atomic_load_explicit(&clients, memory_order_relaxed); }
void dp_client_gone(void) { atomic_fetch_sub_explicit(&clients, 1, memory_order_relaxed); }

enum gw_rc dp_listen_parse(struct gw_str text, struct dp_addr *out, const char *what, struct gw_error *err)
{
	size_t colon = text.n;
	struct gw_str host;
	int64_t port;

	while (colon > 0 && text.p[colon - 1] != ':')
		colon--;
	if (colon == 0 || !gw_str_int(gw_str_from(text, colon), 0, 65535, &port))
		return gw_fail(err, GW_INVALID, NULL, "%s: '%.*s' is not ADDRESS:PORT", what, GW_FMT(text));
	host = (struct gw_str){ text.p, colon - 1 };
	if (host.n >= 2 && host.p[0] == '[' && host.p[host.n - 1] == ']')
		host = (struct gw_str){ host.p + 1, host.n - 2 };
	else if (gw_str_is(host, "localhost"))
		host = GW_STR("127.0.0.1");
	else if (host.n == 0)
		host = GW_STR("0.0.0.0");
	if (!dp_addr_parse(host, (uint16_t)port, out))
		return gw_fail(err, GW_INVALID, NULL, "%s: '%.*s' is not an IP address", what, GW_FMT(host));
	return GW_OK;
}

static socklen_t to_sockaddr(const struct dp_addr *a, struct sockaddr_storage *ss)
{
	memset(ss, 0, sizeof *ss);
	if (a->v6) {
		struct sockaddr_in6 *s6 = (struct sockaddr_in6 *)ss;

		s6->sin6_family = AF_INET6;
		s6->sin6_port = htons(a->port);
		memcpy(&s6->sin6_addr, a->ip, 16);
		return sizeof *s6;
	}
	struct sockaddr_in *s4 = (struct sockaddr_in *)ss;

	s4->sin_family = AF_INET;
	s4->sin_port = htons(a->port);
	memcpy(&s4->sin_addr, a->ip, 4);
	return sizeof *s4;
}

static void from_sockaddr(const struct sockaddr_storage *ss, struct dp_addr *a)
{
	memset(a, 0, sizeof *a);
	if (ss->ss_family == AF_INET6) {
		const struct sockaddr_in6 *s6 = (const struct sockaddr_in6 *)ss;

		a->v6 = true;
		a->port = ntohs(s6->sin6_port);
		memcpy(a->ip, &s6->sin6_addr, 16);
	} else {
		const struct sockaddr_in *s4 = (const struct sockaddr_in *)ss;

		a->port = ntohs(s4->sin_port);
		memcpy(a->ip, &s4->sin_addr, 4);
	}
}

static enum gw_rc open_socket(int *out, const struct dp_addr *at, bool data_port, struct dp_addr *bound, struct gw_error *err)
{
	struct sockaddr_storage ss;
	socklen_t n = to_sockaddr(at, &ss);
	char text[DP_ADDR_TEXT];
	int one = 1, zero = 0, unsent = UNSENT_BYTES, fd = socket(ss.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return gw_fail(err, GW_IO, NULL, "cannot open a socket: %s", strerror(errno));
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
	if (data_port)
		setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &one, sizeof one);
	if (at->v6)
		setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &zero, sizeof zero);
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one); /* inherited by what it accepts */
	setsockopt(fd, IPPROTO_TCP, TCP_NOTSENT_LOWAT, &unsent, sizeof unsent);
	if (bind(fd, (struct sockaddr *)&ss, n) != 0) {
		int e = errno;

		close(fd);
		return gw_fail(err, GW_IO, NULL, "cannot listen on %s: %s", dp_addr_text(at, text), strerror(e));
	}
	n = sizeof ss;
	if (bound && getsockname(fd, (struct sockaddr *)&ss, &n) == 0)
		from_sockaddr(&ss, bound);
	*out = fd;
	return GW_OK;
}

static bool fds_free(size_t n)
{
	size_t limit = dp_net_fd_limit();

	return dp_net_fds() + n < limit - limit * FD_RESERVE_PERCENT / 100;
}

static bool room_for_one_more(void)
{
	return dp_client_count() < atomic_load_explicit(&client_limit, memory_order_relaxed) && fds_free(FDS_FOR_WORK);
}

/*
 * 503, and time to read it.  In a flood there is no descriptor to spare for that: what the client has sent is read
 * away, so that the close is no reset, and the descriptor is free again at once.
 */
void dp_turn_away(struct dp_conn *c)
{
	struct gw_str text = { refusal, sizeof refusal - 1 };
	char waste[4096];
	uv_os_fd_t fd;

	dp_conn_write(c, &text, 1);
	if (fds_free(FDS_OF_REFUSED)) {
		dp_conn_finish(&c, 1000);
		return;
	}
	if (uv_fileno((uv_handle_t *)&c->tcp, &fd) == 0)
		for (int i = 0; i < 16 && recv(fd, waste, sizeof waste, MSG_DONTWAIT) > 0; i++)
			;
	dp_conn_close(&c);
}

#define HANDSHAKE_RECORD 0x16

/* The fatal alert internal_error, which a peer understands before it has sent or seen anything else (RFC 8446, 6). */
static const char alert[] = { 0x15, 3, 3, 0, 2, 2, 80 };

static void refuse(struct dp_conn *c, bool plain_too, unsigned char first)
{
	struct gw_str text = { alert, sizeof alert };

	if (first != HANDSHAKE_RECORD && plain_too) {
		dp_turn_away(c);
		return;
	}
	if (first == HANDSHAKE_RECORD)
		dp_conn_write(c, &text, 1);
	dp_conn_finish(&c, 1000);
}

static void refused_over(struct refused *r)
{
	dp_timer_stop(&r->timer);
	dp_conn_close(&r->conn);
	free(r);
}

static void on_refused_timer(struct dp_timer *t)
{
	refused_over(GW_CONTAINER(t, struct refused, timer));
}

static void on_refused_end(void *arg, enum dp_net_end how)
{
	(void)how;
	refused_over(arg);
}

static void on_refused_read(void *arg, struct gw_str bytes)
{
	struct refused *r = arg;
	struct dp_conn *c = r->conn;

	r->conn = NULL;
	refuse(c, r->plain_too, (unsigned char)bytes.p[0]);
	refused_over(r);
}

void dp_turn_away_tls(struct dp_conn *c, bool plain_too)
{
	static const struct dp_conn_ops ops = { .on_read = on_refused_read, .on_end = on_refused_end };
	struct refused *r;

	if (!fds_free(FDS_OF_REFUSED)) {
		dp_conn_close(&c);
		return;
	}
	r = gw_alloc(sizeof *r);
	r->conn = c;
	r->plain_too = plain_too;
	dp_timer_init(&r->timer, on_refused_timer);
	dp_loop_timer(c->loop, &r->timer, 1000);
	dp_conn_bind(c, &ops, r);
}

static void take_in(struct dp_listener *l, struct dp_conn *c)
{
	struct sockaddr_storage ss;
	int n = sizeof ss;

	if (uv_tcp_getpeername(&c->tcp, (struct sockaddr *)&ss, &n) == 0)
		from_sockaddr(&ss, &c->peer);
	if (l->data_port && !room_for_one_more()) {
		l->ops->on_full(l->arg, c);
		return;
	}
	if (l->data_port)
		atomic_fetch_add_explicit(&clients, 1, memory_order_relaxed);
	l->ops->on_client(l->arg, c);
}

static void on_connection(uv_stream_t *s, int status)
{
	struct dp_listener *l = s->data;
	struct dp_conn *c;

	GW_CHECK(l, DP_LISTENER_MAGIC);
	if (status < 0)
		return;
	c = dp_conn_new(l->loop);
	if (uv_accept(s, (uv_stream_t *)&c->tcp) != 0)
		dp_conn_close(&c);
	else
		take_in(l, c);
}

enum gw_rc dp_listener_open(struct dp_listener **out, struct dp_loop *loop, const struct dp_addr *at, bool data_port,
                            const struct dp_listener_ops *ops, void *arg, struct dp_addr *bound, struct gw_error *err)
{
	struct dp_listener *l;
	enum gw_rc rc;
	int fd = -1, r;

	*out = NULL;
	rc = open_socket(&fd, at, data_port, bound, err);
	if (rc != GW_OK)
		return rc;
	l = gw_alloc(sizeof *l);
	l->magic = DP_LISTENER_MAGIC;
	l->loop = loop;
	l->data_port = data_port;
	l->ops = ops;
	l->arg = arg;
	uv_tcp_init(&loop->uv, &l->tcp);
	l->tcp.data = l;
	r = uv_tcp_open(&l->tcp, fd);
	if (r == 0)
		r = uv_listen((uv_stream_t *)&l->tcp, BACKLOG, on_connection);
	if (r != 0) {
		char text[DP_ADDR_TEXT];

		dp_listener_close(&l);
		return gw_fail(err, GW_IO, NULL, "cannot listen on %s: %s", dp_addr_text(at, text), uv_strerror(r));
	}
	*out = l;
	return GW_OK;
}

static void on_closed(uv_handle_t *h)
{
	free(h->data);
}

/*
 * From now on the kernel drops what knocks here: a client's system repeats its SYN after a second and finds a sibling, or
 * nobody.  Otherwise whoever comes between the last accept and the close would be reset.
 */
static void shut_door(uv_os_fd_t fd)
{
	struct sock_filter nothing = { BPF_RET | BPF_K, 0, 0, 0 };
	struct sock_fprog f = { 1, &nothing };

	if (setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &f, sizeof f) != 0)
		gw_log(GW_LOG_WARN, "listener", GW_STR_NONE, "cannot shut the door before closing", "error=%s", strerror(errno));
}

/* What stands in the accept queue would be reset by the close; SO_REUSEPORT does not hand it to a sibling. */
static void empty_queue(struct dp_listener *l)
{
	uv_os_fd_t fd;

	if (uv_fileno((uv_handle_t *)&l->tcp, &fd) != 0)
		return;
	shut_door(fd);
	for (int i = 0; i < BACKLOG; i++) {
		int cfd = accept4(fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
		struct dp_conn *c;

		if (cfd < 0)
			return;
		c = dp_conn_new(l->loop);
		if (uv_tcp_open(&c->tcp, cfd) != 0) {
			close(cfd);
			dp_conn_close(&c);
		} else {
			take_in(l, c);
		}
	}
}

void dp_listener_close(struct dp_listener **lp)
{
	struct dp_listener *l = *lp;

	if (!l)
		return;
	*lp = NULL;
	GW_CHECK(l, DP_LISTENER_MAGIC);
	empty_queue(l);
	l->magic = 0;
	uv_close((uv_handle_t *)&l->tcp, on_closed);
}
