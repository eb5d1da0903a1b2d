/*
 * ws.c - the WebSocket server: libwebsockets, its thread, and the mailbox of the other threads (see ws.h).
 *
 * libwebsockets 4.1 upgrades to HTTP/2 when asked, lets clients without a subprotocol into protocol 0, checks no
 * Origin, queues writes and receives messages without limit, and reports no failed listen.  Each of these has its
 * answer here; the places say which.
 */
#include "ws/ws.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <libwebsockets.h>

#include "base/buf.h"
#include "base/bytes.h"
#include "base/log.h"
#include "base/map.h"
#include "base/str.h"
#include "base/time.h"
#include "ws/listen.h"

#define WS_MAGIC        0x63707773u
#define CHUNK           (64u << 10)  /* one frame; larger messages leave in several */
#define HANDSHAKE_S     5            /* TLS, request and upgrade together */
#define MAX_BEARER      256
#define ACCEPT_BURST    32
#define LAST_WORDS_MS   500          /* how long closing waits for connections that were dropped before */

struct cp_ws_bytes {
	atomic_uint refs;
	size_t n;
	char p[];
};

struct item { /* something to send */
	struct gw_node on;
	struct cp_ws_bytes *bytes;
	size_t sent;
	enum cp_ws_kind kind;
};

struct conn {
	uint64_t id;
	struct lws *wsi;
	struct gw_node queue;
	size_t queued_text;
	int64_t progress_ms;    /* when something last left, or the queue was empty */
	struct gw_buf in;
	bool closing;
	char why[160];
};

struct pss { /* libwebsockets' memory for a connection */
	struct conn *conn;
	char bearer[MAX_BEARER];
	bool admitted;
};

enum verb { DO_SEND, DO_DROP, DO_RELOAD };

struct mail {
	struct gw_node on;
	enum verb verb;
	uint64_t id;
	enum cp_ws_kind kind;
	struct cp_ws_bytes *bytes;
	char why[160];
};

struct cp_ws {
	unsigned magic;
	struct cp_ws_options o;
	struct lws_context *context;
	struct lws_vhost *vhost;
	struct lws_protocols protocols[4];
	lws_retry_bo_t validity;
	lws_sorted_usec_list_t tick;
	int listen_fd;
	unsigned port;
	struct gw_map *conns;       /* by id */
	uint64_t last_id;
	atomic_size_t n_conns;      /* of them, for other threads */
	size_t sockets;             /* accepted and not gone, upgraded or not */
	uint8_t scratch[LWS_PRE + CHUNK];
	pthread_t thread;
	bool started;
	atomic_bool stop;
	pthread_mutex_t lock;       /* guards mailbox */
	struct gw_node mailbox;
};

/* ---- shared bytes ---- */

struct cp_ws_bytes *cp_ws_bytes_new(struct gw_str head, struct gw_str body)
{
	struct cp_ws_bytes *b = gw_alloc(sizeof *b + head.n + body.n);
	atomic_init(&b->refs, 1);
	b->n = head.n + body.n;
	if (head.n)
		memcpy(b->p, head.p, head.n);
	if (body.n)
		memcpy(b->p + head.n, body.p, body.n);
	return b;
}

struct cp_ws_bytes *cp_ws_bytes_ref(struct cp_ws_bytes *b)
{
	atomic_fetch_add(&b->refs, 1);
	return b;
}

void cp_ws_bytes_unref(struct cp_ws_bytes **b)
{
	if (*b && atomic_fetch_sub(&(*b)->refs, 1) == 1)
		free(*b);
	*b = NULL;
}

size_t cp_ws_bytes_size(const struct cp_ws_bytes *b)
{
	return b->n;
}

/* ---- connections ---- */

static struct gw_str id_key(const uint64_t *id)
{
	return (struct gw_str){ (const char *)id, sizeof *id };
}

static void peer_address(struct lws *wsi, char out[64])
{
	struct sockaddr_storage sa;
	socklen_t n = sizeof sa;
	char ip[INET6_ADDRSTRLEN] = "?";
	unsigned port = 0;
	if (getpeername(lws_get_socket_fd(wsi), (struct sockaddr *)&sa, &n) == 0) {
		bool six = sa.ss_family == AF_INET6;
		const struct sockaddr_in6 *s6 = (const void *)&sa;
		const struct sockaddr_in *s4 = (const void *)&sa;
		inet_ntop(sa.ss_family, six ? (const void *)&s6->sin6_addr : (const void *)&s4->sin_addr, ip, sizeof ip);
		port = ntohs(six ? s6->sin6_port : s4->sin_port);
	}
	snprintf(out, 64, strchr(ip, ':') ? "[%s]:%u" : "%s:%u", ip, port);
}

static void item_free(struct item *it)
{
	gw_list_del(&it->on);
	cp_ws_bytes_unref(&it->bytes);
	free(it);
}

static struct conn *conn_open(struct cp_ws *ws, struct lws *wsi)
{
	struct conn *c = gw_alloc(sizeof *c);
	c->id = ++ws->last_id;
	c->wsi = wsi;
	c->progress_ms = gw_mono_ms();
	gw_list_init(&c->queue);
	gw_buf_init(&c->in, ws->o.max_text);
	gw_map_put(ws->conns, id_key(&c->id), c);
	atomic_fetch_add(&ws->n_conns, 1);
	return c;
}

static void conn_close(struct cp_ws *ws, struct conn *c)
{
	while (!gw_list_empty(&c->queue))
		item_free(GW_CONTAINER(c->queue.next, struct item, on));
	gw_map_del(ws->conns, id_key(&c->id));
	atomic_fetch_sub(&ws->n_conns, 1);
	ws->o.on.closed(ws->o.on.arg, c->id, c->why[0] ? c->why : "the connection ended");
	gw_buf_fini(&c->in);
	free(c);
}

/* The reason is kept for `closed`; the first one counts. */
static void conn_end(struct conn *c, bool at_once, const char *why)
{
	if (!c->why[0])
		snprintf(c->why, sizeof c->why, "%s", why);
	c->closing = true;
	if (at_once)
		lws_set_timeout(c->wsi, PENDING_TIMEOUT_USER_REASON_BASE, LWS_TO_KILL_ASYNC);
	else
		lws_callback_on_writable(c->wsi);
}

static void conn_queue(struct cp_ws *ws, struct conn *c, enum cp_ws_kind kind, struct cp_ws_bytes *b)
{
	if (c->closing)
		return;
	if (gw_list_empty(&c->queue))
		c->progress_ms = gw_mono_ms();
	for (struct gw_node *n = c->queue.next, *next; kind == CP_WS_LATEST && n != &c->queue; n = next) {
		struct item *old = GW_CONTAINER(n, struct item, on);
		next = n->next;
		if (old->kind == CP_WS_LATEST && old->sent == 0)
			item_free(old);
	}
	if (kind == CP_WS_TEXT && c->queued_text + b->n > ws->o.queue_bytes) {
		conn_end(c, true, "it does not read what it is sent (queue full)");
		return;
	}
	struct item *it = gw_alloc(sizeof *it);
	it->bytes = cp_ws_bytes_ref(b);
	it->kind = kind;
	gw_list_add_tail(&c->queue, &it->on);
	if (kind == CP_WS_TEXT)
		c->queued_text += b->n;
	lws_callback_on_writable(c->wsi);
}

/* One frame, copied behind room for its header, since libwebsockets writes the header into our memory. */
static int conn_write_frame(struct cp_ws *ws, struct conn *c, struct item *it)
{
	size_t left = it->bytes->n - it->sent, n = left < CHUNK ? left : CHUNK;
	int flags = it->kind == CP_WS_TEXT ? LWS_WRITE_TEXT : LWS_WRITE_BINARY;
	if (it->sent)
		flags = LWS_WRITE_CONTINUATION;
	if (n < left)
		flags |= LWS_WRITE_NO_FIN;
	memcpy(ws->scratch + LWS_PRE, it->bytes->p + it->sent, n);
	if (lws_write(c->wsi, ws->scratch + LWS_PRE, n, (enum lws_write_protocol)flags) < (int)n)
		return -1;
	it->sent += n;
	c->progress_ms = gw_mono_ms();
	if (it->sent == it->bytes->n) {
		if (it->kind == CP_WS_TEXT)
			c->queued_text -= it->bytes->n;
		item_free(it);
	}
	return 0;
}

static int on_writeable(struct cp_ws *ws, struct conn *c)
{
	if (!gw_list_empty(&c->queue)) {
		if (!lws_send_pipe_choked(c->wsi) &&
		    conn_write_frame(ws, c, GW_CONTAINER(c->queue.next, struct item, on)) != 0)
			return -1;
		if (!gw_list_empty(&c->queue) || c->closing)
			lws_callback_on_writable(c->wsi);
		return 0;
	}
	if (!c->closing)
		return 0;
	size_t n = strlen(c->why);
	lws_close_reason(c->wsi, LWS_CLOSE_STATUS_NORMAL, (unsigned char *)c->why, n < 120 ? n : 120);
	return -1;
}

static int refuse_message(struct conn *c, enum lws_close_status status, const char *why)
{
	snprintf(c->why, sizeof c->why, "%s", why);
	lws_close_reason(c->wsi, status, (unsigned char *)c->why, strlen(c->why));
	return -1;
}

/* Pieces come as they arrive from the network: assembled here, up to our own ceiling. */
static int on_receive(struct cp_ws *ws, struct conn *c, struct gw_str piece)
{
	if (c->closing)
		return 0;
	bool binary = lws_frame_is_binary(c->wsi);
	if (binary && !ws->o.on.binary)
		return refuse_message(c, LWS_CLOSE_STATUS_UNACCEPTABLE_OPCODE, "it sent a binary message");
	if (!gw_buf_add(&c->in, piece))
		return refuse_message(c, LWS_CLOSE_STATUS_MESSAGE_TOO_LARGE, "it sent a message above the size limit");
	if (!lws_is_final_fragment(c->wsi) || lws_remaining_packet_payload(c->wsi) != 0)
		return 0;
	if (!binary && !gw_utf8_valid(gw_buf_str(&c->in)))
		return refuse_message(c, LWS_CLOSE_STATUS_INVALID_PAYLOAD, "it sent text that is not UTF-8");
	(binary ? ws->o.on.binary : ws->o.on.text)(ws->o.on.arg, c->id, gw_buf_str(&c->in));
	if (c->in.cap > CHUNK) {
		gw_buf_fini(&c->in);
		gw_buf_init(&c->in, ws->o.max_text);
	} else {
		gw_buf_clear(&c->in);
	}
	return 0;
}

/* ---- before the upgrade ---- */

static bool header_is(struct lws *wsi, enum lws_token_indexes token, const char *want)
{
	char z[MAX_BEARER];
	int n = lws_hdr_copy(wsi, z, sizeof z, token);
	return n > 0 && strcmp(z, want) == 0;
}

static bool read_bearer(struct lws *wsi, char out[MAX_BEARER])
{
	char z[MAX_BEARER + 16];
	int n = lws_hdr_copy(wsi, z, sizeof z, WSI_TOKEN_HTTP_AUTHORIZATION);
	struct gw_str v = { z, n > 0 ? (size_t)n : 0 };
	if (v.n <= 7 || v.n - 7 >= MAX_BEARER || !gw_str_ieq((struct gw_str){ v.p, 7 }, GW_STR("bearer ")))
		return false;
	v = gw_str_trim(gw_str_from(v, 7));
	snprintf(out, MAX_BEARER, "%.*s", GW_FMT(v));
	gw_secret_wipe(z, sizeof z);
	return true;
}

/* 0: let it in; else the HTTP status.  Called twice, since the pages of libwebsockets do not promise one path. */
static unsigned check_upgrade(struct cp_ws *ws, struct lws *wsi, char bearer[MAX_BEARER])
{
	char address[64], why[160] = "it shows no bearer credential";
	unsigned status = 0;
	peer_address(wsi, address);
	if (!header_is(wsi, WSI_TOKEN_GET_URI, ws->o.path)) {
		status = HTTP_STATUS_NOT_FOUND;
		snprintf(why, sizeof why, "it asks for another path");
	} else if (lws_hdr_total_length(wsi, WSI_TOKEN_ORIGIN) > 0) {
		status = HTTP_STATUS_FORBIDDEN;
		snprintf(why, sizeof why, "it carries an Origin header, as browsers do");
	} else if (!header_is(wsi, WSI_TOKEN_PROTOCOL, ws->o.subprotocol)) {
		status = HTTP_STATUS_BAD_REQUEST;
		snprintf(why, sizeof why, "it does not ask for the subprotocol %s", ws->o.subprotocol);
	} else if (!read_bearer(wsi, bearer) ||
		   !ws->o.on.admit(ws->o.on.arg, gw_str_c(bearer), gw_str_c(address), why)) {
		status = HTTP_STATUS_UNAUTHORIZED;
	}
	if (status)
		gw_log(GW_LOG_WARN, NULL, GW_STR_NONE, "channel connection refused", "address=%s status=%u reason=%s",
		    address, status, why);
	return status;
}

/* > 0: refused with an answer, < 0: hang up, 0: go on. */
static int confirm_upgrade(struct cp_ws *ws, struct lws *wsi, const char *to)
{
	char bearer[MAX_BEARER] = "";
	if (!to || strcmp(to, "websocket") != 0)
		return -1; /* h2c */
	unsigned status = check_upgrade(ws, wsi, bearer);
	gw_secret_wipe(bearer, sizeof bearer);
	if (!status)
		return 0;
	return lws_return_http_status(wsi, status, NULL) < 0 ? -1 : 1;
}

/* ---- accepting ---- */

static void on_acceptable(struct cp_ws *ws)
{
	for (int i = 0; i < ACCEPT_BURST; i++) {
		int fd = accept4(ws->listen_fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
		if (fd < 0) {
			if (errno != EAGAIN && errno != EWOULDBLOCK && errno != ECONNABORTED && errno != EINTR)
				gw_log(GW_LOG_ERROR, NULL, GW_STR_NONE, "cannot accept a channel connection", "error=%s",
				    strerror(errno));
			return;
		}
		if (ws->sockets >= ws->o.max_connections) {
			gw_log(GW_LOG_WARN, NULL, GW_STR_NONE, "too many channel connections", "limit=%zu",
			    ws->o.max_connections);
			close(fd);
			continue;
		}
		setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &(int){ 1 }, sizeof(int));
		lws_adopt_socket_vhost(ws->vhost, fd); /* closes fd when it fails */
	}
}

/* ---- mailbox ---- */

static void mail_send(struct cp_ws *ws, const struct mail *m)
{
	struct mail *copy = gw_alloc(sizeof *copy);
	*copy = *m;
	pthread_mutex_lock(&ws->lock);
	bool wake = gw_list_empty(&ws->mailbox);
	gw_list_add_tail(&ws->mailbox, &copy->on);
	pthread_mutex_unlock(&ws->lock);
	if (wake)
		lws_cancel_service(ws->context); /* the one function of theirs that other threads may call */
}

static void reload_cert(struct cp_ws *ws)
{
	if (lws_tls_cert_updated(ws->context, ws->o.cert, ws->o.key, NULL, 0, NULL, 0) != 0)
		gw_log(GW_LOG_ERROR, NULL, GW_STR_NONE, "cannot take over the renewed channel certificate", NULL);
}

static void mail_do(struct cp_ws *ws, struct mail *m)
{
	struct conn *c = gw_map_get(ws->conns, id_key(&m->id));
	if (m->verb == DO_RELOAD)
		reload_cert(ws);
	else if (c && m->verb == DO_SEND)
		conn_queue(ws, c, m->kind, m->bytes);
	else if (c && m->verb == DO_DROP)
		conn_end(c, lws_send_pipe_choked(c->wsi), m->why);
}

static void mailbox_empty(struct cp_ws *ws, bool act)
{
	for (;;) {
		struct mail *m = NULL;
		pthread_mutex_lock(&ws->lock);
		if (!gw_list_empty(&ws->mailbox)) {
			m = GW_CONTAINER(ws->mailbox.next, struct mail, on);
			gw_list_del(&m->on);
		}
		pthread_mutex_unlock(&ws->lock);
		if (!m)
			return;
		if (act)
			mail_do(ws, m);
		cp_ws_bytes_unref(&m->bytes);
		free(m);
	}
}

static void on_tick(lws_sorted_usec_list_t *sul)
{
	struct cp_ws *ws = lws_container_of(sul, struct cp_ws, tick);
	int64_t now = gw_mono_ms();
	struct gw_str key;
	void *value;
	lws_sul_schedule(ws->context, 0, &ws->tick, on_tick, CP_WS_TICK_MS * LWS_US_PER_MS);
	for (size_t at = 0; gw_map_next(ws->conns, &at, &key, &value);) {
		struct conn *c = value;
		if (!gw_list_empty(&c->queue) && now - c->progress_ms > ws->o.stall_ms)
			conn_end(c, true, "it does not read what it is sent (no progress)");
	}
	ws->o.on.tick(ws->o.on.arg, now);
}

/* ---- what libwebsockets calls ---- */

/* Protocol 0: where it puts everything that has no other place.  Nothing is served here. */
static int on_http(struct lws *wsi, enum lws_callback_reasons reason, void *user, void *in, size_t len)
{
	struct cp_ws *ws = lws_context_user(lws_get_context(wsi));
	(void)user;
	(void)len;
	switch (reason) {
	case LWS_CALLBACK_WSI_CREATE:
		ws->sockets++;
		return 0;
	case LWS_CALLBACK_WSI_DESTROY:
		ws->sockets--;
		return 0;
	case LWS_CALLBACK_HTTP_CONFIRM_UPGRADE:
		return confirm_upgrade(ws, wsi, in);
	case LWS_CALLBACK_HTTP:
		lws_return_http_status(wsi, 426u, NULL);
		return -1;
	case LWS_CALLBACK_FILTER_PROTOCOL_CONNECTION:
	case LWS_CALLBACK_ESTABLISHED:
	case LWS_CALLBACK_RECEIVE:
	case LWS_CALLBACK_HTTP_BODY:
		return -1;
	default:
		return 0;
	}
}

static int on_established(struct cp_ws *ws, struct lws *wsi, struct pss *pss)
{
	char address[64];
	if (!pss->admitted)
		return -1;
	peer_address(wsi, address);
	pss->conn = conn_open(ws, wsi);
	ws->o.on.opened(ws->o.on.arg, pss->conn->id, gw_str_c(pss->bearer), gw_str_c(address));
	gw_secret_wipe(pss->bearer, sizeof pss->bearer);
	return 0;
}

static int on_channel(struct lws *wsi, enum lws_callback_reasons reason, void *user, void *in, size_t len)
{
	struct cp_ws *ws = lws_context_user(lws_get_context(wsi));
	struct pss *pss = user;
	switch (reason) {
	case LWS_CALLBACK_HTTP_CONFIRM_UPGRADE:
		return confirm_upgrade(ws, wsi, in);
	case LWS_CALLBACK_FILTER_PROTOCOL_CONNECTION:
		if (!pss || check_upgrade(ws, wsi, pss->bearer) != 0)
			return -1;
		pss->admitted = true;
		return 0;
	case LWS_CALLBACK_ESTABLISHED:
		return on_established(ws, wsi, pss);
	case LWS_CALLBACK_RECEIVE:
		return pss->conn ? on_receive(ws, pss->conn, (struct gw_str){ in, len }) : -1;
	case LWS_CALLBACK_SERVER_WRITEABLE:
		return pss->conn ? on_writeable(ws, pss->conn) : -1;
	case LWS_CALLBACK_CLOSED:
		if (pss && pss->conn)
			conn_close(ws, pss->conn);
		if (pss)
			pss->conn = NULL;
		return 0;
	case LWS_CALLBACK_EVENT_WAIT_CANCELLED:
		mailbox_empty(ws, true);
		return 0;
	case LWS_CALLBACK_HTTP:
		return -1;
	default:
		return 0;
	}
}

static int on_listener(struct lws *wsi, enum lws_callback_reasons reason, void *user, void *in, size_t len)
{
	(void)user;
	(void)in;
	(void)len;
	if (reason == LWS_CALLBACK_RAW_RX_FILE)
		on_acceptable(lws_context_user(lws_get_context(wsi)));
	return 0;
}

static void on_lws_log(int level, const char *line)
{
	struct gw_str s = gw_str_trim(gw_str_c(line));
	gw_log(level == LLL_ERR ? GW_LOG_WARN : GW_LOG_DEBUG, NULL, GW_STR_NONE, "libwebsockets", "%.*s", GW_FMT(s));
}

/* ---- open and close ---- */

static enum gw_rc make_context(struct cp_ws *ws, struct gw_error *err)
{
	ws->protocols[0] = (struct lws_protocols){ .name = "refused", .callback = on_http };
	ws->protocols[1] = (struct lws_protocols){ .name = ws->o.subprotocol, .callback = on_channel,
		.per_session_data_size = sizeof(struct pss), .rx_buffer_size = 16384 };
	ws->protocols[2] = (struct lws_protocols){ .name = "listener", .callback = on_listener };
	ws->validity = (lws_retry_bo_t){ .secs_since_valid_ping = 10, .secs_since_valid_hangup = 25 };
	struct lws_context_creation_info info = {
		.port = CONTEXT_PORT_NO_LISTEN_SERVER,
		.protocols = ws->protocols,
		.extensions = NULL,                     /* no permessage-deflate, no bombs */
		.ssl_cert_filepath = ws->o.cert,
		.ssl_private_key_filepath = ws->o.key,
		.alpn = "http/1.1",
		.ssl_options_set = SSL_OP_NO_TLSv1 | SSL_OP_NO_TLSv1_1 | SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_TICKET,
		.options = LWS_SERVER_OPTION_DO_SSL_GLOBAL_INIT | LWS_SERVER_OPTION_VALIDATE_UTF8,
		.retry_and_idle_policy = &ws->validity,
		.timeout_secs = HANDSHAKE_S,
		.keepalive_timeout = HANDSHAKE_S,
		.max_http_header_data = 4096,
		.max_http_header_pool = 64,
		.gid = (gid_t)-1,
		.uid = (uid_t)-1,
		.vhost_name = "channel",
		.user = ws,
	};
	lws_set_log_level(LLL_ERR | LLL_WARN, on_lws_log);
	ws->context = lws_create_context(&info);
	ws->vhost = ws->context ? lws_get_vhost_by_name(ws->context, "channel") : NULL;
	if (!ws->vhost)
		return gw_fail(err, GW_IO, NULL, "the channel server cannot start; are %s and %s a certificate and its key?",
		    ws->o.cert, ws->o.key);
	lws_sock_file_fd_type fd = { .filefd = dup(ws->listen_fd) }; /* theirs to close */
	if (fd.filefd < 0 || !lws_adopt_descriptor_vhost(ws->vhost, LWS_ADOPT_RAW_FILE_DESC, fd, "listener", NULL))
		return gw_fail(err, GW_IO, NULL, "the channel server cannot watch its listener: %s", strerror(errno));
	lws_sul_schedule(ws->context, 0, &ws->tick, on_tick, CP_WS_TICK_MS * LWS_US_PER_MS);
	return GW_OK;
}

enum gw_rc cp_ws_open(struct cp_ws **out, const struct cp_ws_options *o, struct gw_error *err)
{
	struct cp_ws *ws = gw_alloc(sizeof *ws);
	ws->magic = WS_MAGIC;
	ws->o = *o;
	ws->listen_fd = -1;
	ws->conns = gw_map_open(64);
	pthread_mutex_init(&ws->lock, NULL);
	gw_list_init(&ws->mailbox);
	*out = NULL;
	enum gw_rc rc = cp_listen_open(&ws->listen_fd, &ws->port, o->listen, err);
	if (rc == GW_OK)
		rc = make_context(ws, err);
	if (rc != GW_OK) {
		cp_ws_close(&ws);
		return rc;
	}
	*out = ws;
	return GW_OK;
}

static void *run(void *arg)
{
	struct cp_ws *ws = arg;
	pthread_setname_np(pthread_self(), "channel");
	while (!atomic_load(&ws->stop))
		if (lws_service(ws->context, 0) < 0)
			break;
	return NULL;
}

void cp_ws_start(struct cp_ws *ws)
{
	GW_CHECK(ws, WS_MAGIC);
	if (pthread_create(&ws->thread, NULL, run, ws) != 0)
		abort();
	ws->started = true;
}

void cp_ws_close(struct cp_ws **out)
{
	struct cp_ws *ws = *out;
	if (!ws)
		return;
	GW_CHECK(ws, WS_MAGIC);
	*out = NULL;
	int64_t until = gw_mono_ms() + LAST_WORDS_MS;
	while (ws->started && atomic_load(&ws->n_conns) && gw_mono_ms() < until)
		usleep(5000);
	atomic_store(&ws->stop, true);
	if (ws->started) {
		lws_cancel_service(ws->context);
		pthread_join(ws->thread, NULL);
	}
	if (ws->context)
		lws_context_destroy(ws->context);
	mailbox_empty(ws, false);
	if (ws->listen_fd >= 0)
		close(ws->listen_fd);
	gw_map_close(&ws->conns);
	pthread_mutex_destroy(&ws->lock);
	free(ws);
}

unsigned cp_ws_port(const struct cp_ws *ws)
{
	return ws->port;
}

void cp_ws_send(struct cp_ws *ws, uint64_t id, enum cp_ws_kind kind, struct cp_ws_bytes *b)
{
	GW_CHECK(ws, WS_MAGIC);
	mail_send(ws, &(struct mail){ .verb = DO_SEND, .id = id, .kind = kind, .bytes = cp_ws_bytes_ref(b) });
}

void cp_ws_send_text(struct cp_ws *ws, uint64_t id, struct gw_str text)
{
	GW_CHECK(ws, WS_MAGIC);
	mail_send(ws, &(struct mail){ .verb = DO_SEND, .id = id, .kind = CP_WS_TEXT,
	    .bytes = cp_ws_bytes_new(text, GW_STR_NONE) });
}

void cp_ws_drop(struct cp_ws *ws, uint64_t id, const char *why)
{
	GW_CHECK(ws, WS_MAGIC);
	struct mail m = { .verb = DO_DROP, .id = id };
	snprintf(m.why, sizeof m.why, "%s", why);
	mail_send(ws, &m);
}

void cp_ws_reload_cert(struct cp_ws *ws)
{
	GW_CHECK(ws, WS_MAGIC);
	mail_send(ws, &(struct mail){ .verb = DO_RELOAD });
}
