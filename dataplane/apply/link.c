/* link.c - the libwebsockets client. */
#include "apply/link.h"

#include <libwebsockets.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/buf.h"
#include "base/bytes.h"
#include "base/log.h"
#include "base/map.h"
#include "base/str.h"
#include "net/pin.h"

#define TICK_US     200000
#define FIRST_MS    200
#define LONGEST_MS  30000
#define MAX_QUEUE   (64u << 20)

struct message {
	struct gw_node node;
	size_t n;
	bool binary;
	unsigned char bytes[];       /* LWS_PRE of room, then n */
};

struct dp_link {
	unsigned magic;
#define DP_LINK_MAGIC 0x11e4c0deu
	struct dp_link_options o;
	char host[256], *bearer;
	int port;
	struct dp_pin pin;
	struct lws_context *cx;
	struct lws *wsi;
	struct lws_protocols protocols[2];
	lws_retry_bo_t idle;
	lws_sorted_usec_list_t tick, retry;
	pthread_t thread;
	bool is_up, dropping;
	_Atomic bool stop;
	int64_t pause_ms;
	struct gw_node queue;
	size_t queued;
	struct gw_buf in;            /* the message being received */
	bool in_binary;
	char why[200];
};

static void try_connect(lws_sorted_usec_list_t *sul);

/* ---- breaks and new tries ---- */

static void again(struct dp_link *l)
{
	uint32_t r;
	int64_t ms = l->pause_ms;

	gw_random(&r, sizeof r);
	ms = ms / 2 + (int64_t)(r % (uint32_t)ms); /* half to one and a half */
	l->pause_ms = l->pause_ms * 2 > LONGEST_MS ? LONGEST_MS : l->pause_ms * 2;
	lws_sul_schedule(l->cx, 0, &l->retry, try_connect, ms * 1000);
}

static void drop_queue(struct dp_link *l)
{
	while (!gw_list_empty(&l->queue)) {
		struct message *m = GW_CONTAINER(l->queue.next, struct message, node);

		gw_list_del(&m->node);
		free(m);
	}
	l->queued = 0;
}

static void broke(struct dp_link *l, const char *why)
{
	l->wsi = NULL;
	l->is_up = l->dropping = false;
	drop_queue(l);
	gw_buf_clear(&l->in);
	snprintf(l->why, sizeof l->why, "%s", l->pin.why[0] ? l->pin.why : why ? why : "the connection broke");
	if (atomic_load(&l->stop))
		return;
	if (l->o.down(l->o.arg, l->why))
		again(l);
}

static void try_connect(lws_sorted_usec_list_t *sul)
{
	struct dp_link *l = lws_container_of(sul, struct dp_link, retry);
	struct lws_client_connect_info i = {
		.context = l->cx, .address = l->host, .port = l->port, .path = l->o.path, .host = l->host, .protocol = l->o.subprotocol,
		.local_protocol_name = l->o.subprotocol, .ssl_connection = LCCSCF_USE_SSL, .alpn = "http/1.1", .pwsi = &l->wsi,
		.retry_and_idle_policy = &l->idle,
	};

	if (atomic_load(&l->stop))
		return;
	l->pin.why[0] = '\0';
	/* A failure that is known at once has called CONNECTION_ERROR already, with wsi set to NULL. */
	if (!lws_client_connect_via_info(&i) && !lws_dll2_owner(&l->retry.list))
		broke(l, "the connection could not be started");
}

/* ---- messages ---- */

static int write_one(struct dp_link *l, struct lws *wsi)
{
	struct message *m;
	int n;

	if (gw_list_empty(&l->queue))
		return l->dropping ? -1 : 0;
	m = GW_CONTAINER(l->queue.next, struct message, node);
	n = lws_write(wsi, m->bytes + LWS_PRE, m->n, m->binary ? LWS_WRITE_BINARY : LWS_WRITE_TEXT);
	gw_list_del(&m->node);
	l->queued -= m->n;
	free(m);
	if (n < 0)
		return -1;
	if (!gw_list_empty(&l->queue) || l->dropping)
		lws_callback_on_writable(wsi);
	return 0;
}

static int receive(struct dp_link *l, struct lws *wsi, const void *in, size_t n)
{
	size_t ceiling;

	if (lws_is_first_fragment(wsi)) {
		l->in_binary = lws_frame_is_binary(wsi);
		gw_buf_clear(&l->in);
	}
	ceiling = l->in_binary ? l->o.max_binary : l->o.max_text;
	if (l->in.n + n > ceiling || !gw_buf_add(&l->in, (struct gw_str){ in, n })) {
		gw_log(GW_LOG_ERROR, "channel", GW_STR_NONE, "message too large", "bytes>%zu", ceiling);
		return -1;
	}
	if (!lws_is_final_fragment(wsi) || lws_remaining_packet_payload(wsi) > 0)
		return 0;
	if (l->in_binary)
		l->o.binary(l->o.arg, gw_buf_str(&l->in));
	else
		l->o.text(l->o.arg, gw_buf_str(&l->in));
	if (l->in.cap > (1u << 20)) { /* a snapshot may be large and comes rarely */
		gw_buf_fini(&l->in);
		gw_buf_init(&l->in, l->o.max_binary + 1);
	}
	return 0;
}

static int add_bearer(struct dp_link *l, struct lws *wsi, void *in, size_t room)
{
	unsigned char **p = in, *end = *p + room;

	return lws_add_http_header_by_token(wsi, WSI_TOKEN_HTTP_AUTHORIZATION, (const unsigned char *)l->bearer,
	                                    (int)strlen(l->bearer), p, end) ? -1 : 0;
}

static int on_event(struct lws *wsi, enum lws_callback_reasons reason, void *user, void *in, size_t n)
{
	struct lws_context *cx = wsi ? lws_get_context(wsi) : NULL;
	struct dp_link *l = cx ? lws_context_user(cx) : NULL;

	(void)user;
	if (!l)
		return 0;
	switch (reason) {
	case LWS_CALLBACK_OPENSSL_LOAD_EXTRA_CLIENT_VERIFY_CERTS:
		dp_pin_context(user, &l->pin);
		return 0;
	case LWS_CALLBACK_CLIENT_APPEND_HANDSHAKE_HEADER:
		return add_bearer(l, wsi, in, n);
	case LWS_CALLBACK_CLIENT_ESTABLISHED:
		l->wsi = wsi;
		l->is_up = true;
		l->o.up(l->o.arg);
		return 0;
	case LWS_CALLBACK_CLIENT_RECEIVE:
		return receive(l, wsi, in, n);
	case LWS_CALLBACK_CLIENT_WRITEABLE:
		return write_one(l, wsi);
	case LWS_CALLBACK_CLIENT_CONNECTION_ERROR:
		broke(l, in ? (const char *)in : NULL);
		return 0;
	case LWS_CALLBACK_CLIENT_CLOSED:
		broke(l, "the connection was closed");
		return 0;
	case LWS_CALLBACK_EVENT_WAIT_CANCELLED:
		if (!atomic_load(&l->stop))
			l->o.tick(l->o.arg);
		return 0;
	default:
		return 0;
	}
}

static void queue(struct dp_link *l, struct gw_str text, bool binary)
{
	struct message *m;

	if (!l->is_up)
		return;
	if (l->queued + text.n > MAX_QUEUE) {
		gw_log(GW_LOG_WARN, "channel", GW_STR_NONE, "control plane does not read", "queued=%zu", l->queued);
		dp_link_drop(l);
		return;
	}
	m = gw_alloc(sizeof *m + LWS_PRE + text.n);
	m->n = text.n;
	m->binary = binary;
	memcpy(m->bytes + LWS_PRE, text.p, text.n);
	gw_list_add_tail(&l->queue, &m->node);
	l->queued += text.n;
	lws_callback_on_writable(l->wsi);
}

void dp_link_send(struct dp_link *l, struct gw_str text)
{
	queue(l, text, false);
}

void dp_link_send_binary(struct dp_link *l, struct gw_str bytes)
{
	queue(l, bytes, true);
}

size_t dp_link_queued(const struct dp_link *l)
{
	return l->queued;
}

void dp_link_drop(struct dp_link *l)
{
	if (!l->is_up)
		return;
	l->dropping = true;
	lws_callback_on_writable(l->wsi);
}

void dp_link_steady(struct dp_link *l)
{
	l->pause_ms = FIRST_MS;
}

void dp_link_wake(struct dp_link *l)
{
	lws_cancel_service(l->cx);
}

/* ---- the thread ---- */

static void on_tick(lws_sorted_usec_list_t *sul)
{
	struct dp_link *l = lws_container_of(sul, struct dp_link, tick);

	if (!atomic_load(&l->stop))
		l->o.tick(l->o.arg);
	lws_sul_schedule(l->cx, 0, &l->tick, on_tick, TICK_US);
}

static void *thread_main(void *arg)
{
	struct dp_link *l = arg;

	lws_sul_schedule(l->cx, 0, &l->retry, try_connect, 1);
	lws_sul_schedule(l->cx, 0, &l->tick, on_tick, TICK_US);
	while (!atomic_load(&l->stop) && lws_service(l->cx, 0) >= 0)
		;
	return NULL;
}

static void log_line(int level, const char *line)
{
	size_t n = strlen(line);

	while (n > 0 && (line[n - 1] == '\n' || line[n - 1] == '\r'))
		n--;
	if (gw_log_on(GW_LOG_DEBUG))
		gw_log(GW_LOG_DEBUG, "channel", GW_STR_NONE, "libwebsockets", "level=%d %.*s", level, (int)n, line);
}

static enum gw_rc parse_url(struct dp_link *l, const char *url, struct gw_error *err)
{
	struct gw_str s = gw_str_c(url);
	int64_t port = 8002;
	size_t at;

	if (!gw_str_starts(s, GW_STR("wss://")))
		return gw_fail(err, GW_INVALID, NULL, "--control must be wss://HOST:PORT; the channel always uses TLS");
	s = gw_str_from(s, 6);
	if (s.n > 0 && s.p[s.n - 1] == '/')
		s.n--;
	at = s.n;
	while (at > 0 && s.p[at - 1] != ':' && s.p[at - 1] != ']')
		at--;
	if (at > 0 && s.p[at - 1] == ':') {
		if (!gw_str_int(gw_str_from(s, at), 1, 65535, &port))
			return gw_fail(err, GW_INVALID, NULL, "--control: '%s' has no valid port", url);
		s.n = at - 1;
	}
	if (s.n >= 2 && s.p[0] == '[' && s.p[s.n - 1] == ']')
		s = (struct gw_str){ s.p + 1, s.n - 2 };
	if (s.n == 0 || s.n >= sizeof l->host || memchr(s.p, '/', s.n))
		return gw_fail(err, GW_INVALID, NULL, "--control: '%s' is not wss://HOST:PORT", url);
	memcpy(l->host, s.p, s.n);
	l->port = (int)port;
	return GW_OK;
}

static bool make_context(struct dp_link *l)
{
	struct lws_context_creation_info info = {
		.port = CONTEXT_PORT_NO_LISTEN, .protocols = l->protocols, .gid = (gid_t)-1, .uid = (uid_t)-1, .user = l, .alpn = "http/1.1",
		.options = LWS_SERVER_OPTION_DO_SSL_GLOBAL_INIT | LWS_SERVER_OPTION_DISABLE_OS_CA_CERTS,
		.fd_limit_per_thread = 32, .pt_serv_buf_size = 16384, .retry_and_idle_policy = &l->idle, .timeout_secs = 10,
	};

	l->protocols[0] = (struct lws_protocols){ .name = l->o.subprotocol, .callback = on_event, .rx_buffer_size = 65536 };
	l->idle = (lws_retry_bo_t){ .secs_since_valid_ping = 8, .secs_since_valid_hangup = 18 };
	lws_set_log_level(LLL_ERR | LLL_WARN, log_line);
	l->cx = lws_create_context(&info);
	return l->cx != NULL;
}

enum gw_rc dp_link_open(struct dp_link **out, const struct dp_link_options *o, struct gw_error *err)
{
	struct dp_link *l = gw_alloc(sizeof *l);
	enum gw_rc rc;

	l->magic = DP_LINK_MAGIC;
	l->o = *o;
	l->pause_ms = FIRST_MS;
	memcpy(l->pin.fingerprint, o->fingerprint, 32);
	gw_list_init(&l->queue);
	gw_buf_init(&l->in, o->max_binary + 1);
	l->bearer = gw_alloc(o->bearer.n + 8);
	memcpy(l->bearer, "Bearer ", 7);
	memcpy(l->bearer + 7, o->bearer.p, o->bearer.n);
	rc = parse_url(l, o->url, err);
	if (rc == GW_OK && !make_context(l))
		rc = gw_fail(err, GW_IO, NULL, "the channel's TLS context could not be made");
	*out = l; /* the thread's first handlers may want it */
	if (rc == GW_OK && pthread_create(&l->thread, NULL, thread_main, l) != 0) {
		lws_context_destroy(l->cx);
		rc = gw_fail(err, GW_IO, NULL, "cannot start the channel's thread");
	}
	if (rc != GW_OK) {
		*out = NULL;
		free(l->bearer);
		gw_buf_fini(&l->in);
		free(l);
	}
	return rc;
}

void dp_link_stop(struct dp_link *l)
{
	GW_CHECK(l, DP_LINK_MAGIC);
	if (atomic_exchange(&l->stop, true))
		return;
	lws_cancel_service(l->cx);
	pthread_join(l->thread, NULL);
}

void dp_link_close(struct dp_link **lp)
{
	struct dp_link *l = *lp;

	if (!l)
		return;
	dp_link_stop(l);
	lws_context_destroy(l->cx);
	*lp = NULL; /* not before: until then handlers reach the link through it */
	drop_queue(l);
	gw_buf_fini(&l->in);
	gw_secret_wipe(l->bearer, strlen(l->bearer));
	free(l->bearer);
	l->magic = 0;
	free(l);
}
