/* dial.c - lookup, guard, connect, handshake. */
#include "net/dial.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "base/str.h"
#include "net/impl.h"
#include "net/name.h"

#define MIN_SHARE_MS 250

/* Descriptors that no connection takes: the admin port, files, what libraries open. */
#define FDS_KEPT 24

struct dp_dial {
	unsigned magic;
#define DP_DIAL_MAGIC 0xd1a1d1a1u
	struct dp_loop *loop;
	struct dp_tls_spec tls_spec;
	struct gw_str host, server_name;    /* owned copies */
	uint16_t port;
	bool tls, allow_private, connected;
	int64_t deadline_ms;
	dp_dial_fn *done;
	void *arg;
	struct dp_dns_wait wait;
	bool dns_waiting;
	struct dp_addr addr[DP_NAME_MAX_ADDRS];
	size_t n, next;
	struct dp_conn *conn;
	struct dp_timer timer;
	struct dp_deferred later;
	bool deferred, cancelled;
	enum dp_net_fault fault;
	char text[200];
};

static const char *const fault_names[] = {
#define X(name, text, doc) [DP_NET_FAULT_##name] = text,
	DP_NET_FAULT_TABLE(X)
#undef X
};

const char *dp_net_fault_name(enum dp_net_fault f) { return fault_names[f]; }

static void try_next(struct dp_dial *d);

static void free_dial(struct dp_dial *d)
{
	dp_timer_stop(&d->timer);
	if (d->dns_waiting)
		dp_dns_cancel(&d->wait);
	dp_conn_close(&d->conn);
	d->cancelled = true;
	if (d->deferred)
		return; /* the deferred call comes back here */
	d->magic = 0;
	free((char *)(uintptr_t)d->host.p);
	free((char *)(uintptr_t)d->server_name.p);
	free(d);
}

static void finish(struct dp_dial *d, struct dp_conn *c)
{
	dp_dial_fn *done = d->done;
	void *arg = d->arg;
	enum dp_net_fault fault = c ? DP_NET_FAULT_NONE : d->fault;
	char text[sizeof d->text];

	memcpy(text, d->text, sizeof text);
	if (c)
		dp_dns_note(d->loop, d->host, &c->peer, NULL);
	d->conn = NULL;
	free_dial(d);
	done(arg, c, fault, c ? "" : text);
}

/* It is the address that failed, neither the look-up, nor the guard's rule, nor want of descriptors. */
static void note_address(struct dp_dial *d, enum dp_net_fault f, const char *why)
{
	const char *slow = d->connected ? "timed out in the TLS handshake" : "timed out connecting";

	if (d->next > 0 && (f == DP_NET_FAULT_REFUSED || f == DP_NET_FAULT_TIMEOUT || f == DP_NET_FAULT_TLS || f == DP_NET_FAULT_BROKEN))
		dp_dns_note(d->loop, d->host, &d->addr[d->next - 1], why ? why : f == DP_NET_FAULT_TIMEOUT ? slow : "it spoke before it was asked");
}

static void note(struct dp_dial *d, enum dp_net_fault f, const char *what, const char *why)
{
	char at[DP_ADDR_TEXT] = "";

	d->fault = f;
	if (d->next > 0)
		dp_addr_text(&d->addr[d->next - 1], at);
	snprintf(d->text, sizeof d->text, "%s %.*s%s%s%s%s%s", what, d->host.n < 80 ? (int)d->host.n : 80, d->host.p,
	         at[0] ? " at " : "", at, why ? ": " : "", why ? why : "", "");
	note_address(d, f, why);
}

/* ---- TLS ---- */

static void tls_read(void *arg, struct gw_str bytes)
{
	struct dp_dial *d = arg;

	(void)bytes; /* a server that speaks before it is asked is not HTTP */
	note(d, DP_NET_FAULT_BROKEN, "unasked bytes from", NULL);
	dp_conn_close(&d->conn);
	finish(d, NULL);
}

static void tls_end(void *arg, enum dp_net_end how)
{
	struct dp_dial *d = arg;

	(void)how;
	dp_conn_close(&d->conn);
	note(d, DP_NET_FAULT_TLS, "TLS with", "the peer closed the connection during the handshake");
	try_next(d);
}

static const struct dp_conn_ops tls_ops = { .on_read = tls_read, .on_end = tls_end };

static void on_tls(void *arg, const char *text)
{
	struct dp_dial *d = arg;

	if (!text) {
		finish(d, d->conn);
		return;
	}
	note(d, DP_NET_FAULT_TLS, "TLS with", text);
	dp_conn_close(&d->conn);
	finish(d, NULL); /* another address of the same name would not be more trustworthy */
}

/* ---- TCP ---- */

static void on_connect(uv_connect_t *req, int status)
{
	struct dp_conn *c = req->handle->data;
	struct dp_dial *d;

	if (c->magic != DP_CONN_MAGIC)
		return; /* closed meanwhile: the close callback follows */
	d = c->arg;
	GW_CHECK(d, DP_DIAL_MAGIC);
	if (status != 0) {
		note(d, status == UV_ETIMEDOUT ? DP_NET_FAULT_TIMEOUT : DP_NET_FAULT_REFUSED, "cannot connect to", uv_strerror(status));
		dp_conn_close(&d->conn);
		try_next(d);
		return;
	}
	uv_tcp_nodelay(&c->tcp, 1);
	d->connected = true;
	if (!d->tls) {
		finish(d, c);
		return;
	}
	dp_conn_bind(c, &tls_ops, d);
	dp_tls_start(c, &d->tls_spec, on_tls, d);
}

static bool permitted(struct dp_dial *d, const struct dp_addr *a)
{
	enum gw_guard g = dp_guard_judge(a);

	if (g == GW_GUARD_PUBLIC || (g == GW_GUARD_PRIVATE && d->allow_private))
		return true;
	note(d, DP_NET_FAULT_BLOCKED, "refused to dial", g == GW_GUARD_PRIVATE ?
	     "loopback and private addresses are not allowed for this provider" :
	     "metadata, link-local and reserved addresses are never dialled");
	return false;
}

static bool connect_to(struct dp_dial *d, const struct dp_addr *a)
{
	struct sockaddr_in s4 = { .sin_family = AF_INET, .sin_port = htons(d->port) };
	struct sockaddr_in6 s6 = { .sin6_family = AF_INET6, .sin6_port = htons(d->port) };
	int r;

	if (dp_net_fds() + FDS_KEPT >= dp_net_fd_limit()) {
		note(d, DP_NET_FAULT_LOCAL, "no descriptor is left to connect to", NULL);
		return false;
	}
	memcpy(&s4.sin_addr, a->ip, 4);
	memcpy(&s6.sin6_addr, a->ip, 16);
	d->conn = dp_conn_new(d->loop);
	d->conn->arg = d;
	d->conn->peer = *a;
	d->conn->peer.port = d->port;
	r = uv_tcp_connect(&d->conn->req.connect, &d->conn->tcp,
	                   a->v6 ? (struct sockaddr *)&s6 : (struct sockaddr *)&s4, on_connect);
	if (r == 0)
		return true;
	note(d, r == UV_EMFILE || r == UV_ENFILE ? DP_NET_FAULT_LOCAL : DP_NET_FAULT_REFUSED, "cannot connect to", uv_strerror(r));
	dp_conn_close(&d->conn);
	return false;
}

static void try_next(struct dp_dial *d)
{
	int64_t now = dp_loop_now(d->loop), left = d->deadline_ms - now;

	while (d->next < d->n && left > 0) {
		const struct dp_addr *a = &d->addr[d->next++];

		d->connected = false;
		if (permitted(d, a) && connect_to(d, a)) {
			int64_t share = left / (int64_t)(d->n - d->next + 1);

			if (share < MIN_SHARE_MS)
				share = left < MIN_SHARE_MS ? left : MIN_SHARE_MS;
			dp_loop_timer(d->loop, &d->timer, share);
			return;
		}
	}
	finish(d, NULL);
}

static void on_timer(struct dp_timer *t)
{
	struct dp_dial *d = GW_CONTAINER(t, struct dp_dial, timer);

	GW_CHECK(d, DP_DIAL_MAGIC);
	if (d->dns_waiting)
		note(d, DP_NET_FAULT_TIMEOUT, "timed out looking up", NULL);
	else
		note(d, DP_NET_FAULT_TIMEOUT, d->connected ? "timed out in the TLS handshake with" : "timed out connecting to", NULL);
	if (d->dns_waiting) {
		finish(d, NULL);
		return;
	}
	dp_conn_close(&d->conn);
	try_next(d);
}

static void on_dns(struct dp_dns_wait *w, const struct dp_addr *v, size_t n, const char *text)
{
	struct dp_dial *d = GW_CONTAINER(w, struct dp_dial, wait);

	d->dns_waiting = false;
	if (n == 0) {
		note(d, DP_NET_FAULT_DNS, "cannot resolve", text);
		finish(d, NULL);
		return;
	}
	memcpy(d->addr, v, n * sizeof *v);
	for (size_t i = 0; i < n; i++)
		d->addr[i].port = d->port;
	d->n = n;
	try_next(d);
}

static void begin_literal(struct dp_deferred *later)
{
	struct dp_dial *d = GW_CONTAINER(later, struct dp_dial, later);

	d->deferred = false;
	if (d->cancelled)
		free_dial(d);
	else
		try_next(d);
}

struct dp_dial *dp_dial(struct dp_loop *l, const struct dp_dial_spec *s, dp_dial_fn *done, void *arg)
{
	struct dp_dial *d = gw_alloc(sizeof *d);

	d->magic = DP_DIAL_MAGIC;
	d->loop = l;
	d->host = (struct gw_str){ gw_strdup_n(s->host.p, s->host.n), s->host.n };
	d->server_name = s->server_name.n ? (struct gw_str){ gw_strdup_n(s->server_name.p, s->server_name.n), s->server_name.n }
	                                  : (struct gw_str){ gw_strdup_n(s->host.p, s->host.n), s->host.n };
	d->port = s->port;
	d->tls = s->tls;
	d->allow_private = s->allow_private;
	d->tls_spec = (struct dp_tls_spec){ d->host, d->server_name, s->ca_pem, s->port, s->verify, s->only_tls13 };
	d->deadline_ms = dp_loop_now(l) + s->timeout_ms;
	d->done = done;
	d->arg = arg;
	d->fault = DP_NET_FAULT_TIMEOUT;
	dp_timer_init(&d->timer, on_timer);
	gw_list_init(&d->wait.node);
	d->wait.done = on_dns;
	dp_loop_timer(l, &d->timer, s->timeout_ms);
	if (dp_addr_parse(s->host, s->port, &d->addr[0])) {
		d->n = 1;
		d->deferred = true;
		dp_loop_defer(l, &d->later, begin_literal);
	} else {
		d->dns_waiting = true;
		dp_dns_ask(l, d->host, &d->wait);
	}
	return d;
}

void dp_dial_cancel(struct dp_dial **dp)
{
	struct dp_dial *d = *dp;

	if (!d)
		return;
	*dp = NULL;
	GW_CHECK(d, DP_DIAL_MAGIC);
	free_dial(d);
}
