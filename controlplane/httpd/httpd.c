/*
 * httpd.c - libmicrohttpd, kept on a short lead.
 *
 * The library is lenient where HTTP is not, so its reading of a message is checked again here: raw target, versions,
 * duplicate and contradicting headers, control bytes.  Its own thread never runs a handler: a complete request is
 * suspended, run by the pool and resumed, and the answer is queued from the library's thread as it demands.
 */
#include "httpd/httpd.h"

#include <arpa/inet.h>
#include <errno.h>
#include <malloc.h>
#include <microhttpd.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/bytes.h"
#include "base/file.h"
#include "base/log.h"
#include "base/map.h"
#include "base/str.h"
#include "base/time.h"
#include "httpd/listen.h"
#include "httpd/pool.h"
#include "httpd/target.h"

#define HTTPD_MAGIC  0x48545450u
#define MAX_TARGET   4096
#define MAX_HEADERS  64
#define MAX_PEM      (256u * 1024)
#define BIG_CALL     (512u * 1024)
#define LONG_CALL_MS 100
#define MEMORY_PER_CONNECTION (32u * 1024)
#define WAIT_MS      900                 /* a source that waits is asked again by the next turn of the sweeper after that */

enum step { STEP_HEAD, STEP_BODY, STEP_RUNNING, STEP_DONE, STEP_REFUSED };

/* What callbacks are told about where a connection came in; never changes, since the library's threads read it. */
struct door {
	struct cp_httpd *owner;
	bool is_file;
};

struct listener {
	struct MHD_Daemon *daemon;
	int64_t retired_ms;
	int fd;                          /* ours until the daemon runs */
};

struct connection {                      /* one per TCP connection; on httpd.connections */
	struct gw_node node;
	int fd;
	int64_t opened_ms;
	bool is_local;
	char address[INET6_ADDRSTRLEN];
	unsigned running;                /* requests of it in the pool; guarded by httpd.lock */
};

struct exchange {
	struct cp_job job;
	struct cp_httpd *owner;
	struct connection *connection;
	struct MHD_Connection *mhd;
	_Atomic enum step step;
	struct gw_str target;
	struct gw_buf body;
	bool too_big, streams;
	struct cp_request rq;
	struct cp_response rs;
};

/*
 * A body on its way.  Belongs to the library's response, which frees it when nobody sends it any more.  It is either the
 * library's (sending `piece`), or the pool's (making the next one) with its connection asleep, or it waits, asleep too.
 */
struct stream {
	struct cp_job job;
	struct cp_httpd *owner;
	struct MHD_Connection *mhd;
	struct cp_source source;
	struct gw_buf piece;
	size_t sent;
	enum cp_more then;               /* what comes after the piece */
	struct gw_node waiting;          /* on httpd.waiting; guarded by lock */
	int64_t waits_since_ms;
};

struct cp_httpd {
	unsigned magic;
	struct cp_httpd_options o;
	char *tls_cert, *tls_key;
	struct door tcp_door, file_door;
	struct listener tcp, file, retired[8];
	size_t n_retired;
	unsigned port;
	struct cp_pool *pool;
	pthread_mutex_t lock;
	pthread_cond_t idle;             /* signalled when nothing runs, and to stop the sweeper */
	struct gw_node connections;      /* guarded by lock */
	struct gw_node waiting;          /* of stream.waiting; guarded by lock */
	unsigned running;                /* guarded by lock */
	bool closing;
	pthread_t sweeper;
	bool has_sweeper;
};

/* ---- request life ---- */

static void new_request_id(char out[27])
{
	static const char digits[] = "0123456789abcdefghjkmnpqrstvwxyz"; /* Crockford: sorts by time, no l/1 puzzles */
	uint8_t random[16];
	uint64_t now = (uint64_t)gw_now_ms();
	gw_random(random, sizeof random);
	for (int i = 9; i >= 0; i--, now >>= 5)
		out[i] = digits[now & 31];
	for (int i = 0; i < 16; i++)
		out[10 + i] = digits[random[i] & 31];
	out[26] = 0;
}

static struct exchange *exchange_open(struct cp_httpd *h, struct gw_str target)
{
	struct exchange *x = gw_alloc(sizeof *x);
	x->owner = h;
	gw_list_init(&x->job.node);
	x->rq.arena = gw_arena_open(4096);
	x->target = gw_arena_copy(x->rq.arena, target);
	new_request_id(x->rq.id);
	gw_buf_init(&x->body, 0);
	gw_buf_init(&x->rs.body, SIZE_MAX / 2);
	x->rs.status = 200;
	return x;
}

static void exchange_close(struct exchange *x)
{
	if (x->rs.source.arg != NULL)
		x->rs.source.close(x->rs.source.arg);
	if (x->streams && x->connection != NULL) {
		pthread_mutex_lock(&x->owner->lock);
		x->connection->running--;
		pthread_mutex_unlock(&x->owner->lock);
	}
	gw_buf_fini(&x->body);
	gw_buf_fini(&x->rs.body);
	gw_arena_close(&x->rq.arena);
	free(x);
}

/* Runs first for every request, with the bytes of the target as they came. */
static void *on_target(void *arg, const char *uri, struct MHD_Connection *mhd)
{
	const struct door *d = arg;
	(void)mhd;
	return exchange_open(d->owner, gw_str_c(uri));
}

static void on_completed(void *arg, struct MHD_Connection *mhd, void **state, enum MHD_RequestTerminationCode why)
{
	(void)arg, (void)mhd, (void)why;
	if (*state != NULL)
		exchange_close(*state);
	*state = NULL;
}

void cp_response_header(const struct cp_request *rq, struct cp_response *rs, const char *name, struct gw_str value)
{
	assert(rs->n_headers < GW_COUNT(rs->headers));
	for (size_t i = 0; i < value.n; i++)
		assert((unsigned char)value.p[i] >= 0x20 && value.p[i] != 0x7f);
	rs->headers[rs->n_headers++] = (struct cp_pair){ gw_str_c(name), gw_arena_copy(rq->arena, value) };
}

/* ---- bodies that are made while they are sent ---- */

static void stream_close(void *arg)
{
	struct stream *s = arg;
	s->source.close(s->source.arg);
	gw_buf_fini(&s->piece);
	free(s);
}

static void make_piece(struct cp_job *job)
{
	struct stream *s = GW_CONTAINER(job, struct stream, job);
	struct cp_httpd *h = s->owner;
	struct MHD_Connection *mhd = s->mhd;
	gw_buf_clear(&s->piece);
	s->sent = 0;
	s->then = s->source.more(s->source.arg, &s->piece);
	MHD_resume_connection(mhd); /* from here on it is the library's again */
	pthread_mutex_lock(&h->lock);
	if (--h->running == 0)
		pthread_cond_broadcast(&h->idle);
	pthread_mutex_unlock(&h->lock);
}

/* The library wants bytes.  What is there is given; else the connection sleeps while they are made. */
static ssize_t on_wanted(void *arg, uint64_t at, char *to, size_t max)
{
	struct stream *s = arg;
	struct cp_httpd *h = s->owner;
	size_t left = s->piece.n - s->sent, n = left < max ? left : max;
	(void)at;
	if (n > 0) {
		memcpy(to, s->piece.p + s->sent, n);
		s->sent += n;
		return (ssize_t)n;
	}
	if (s->then == CP_END)
		return MHD_CONTENT_READER_END_OF_STREAM;
	if (s->then == CP_BROKEN)
		return MHD_CONTENT_READER_END_WITH_ERROR;
	/* No call into the library with our lock held: it has locks of its own, and calls us with them. */
	MHD_suspend_connection(s->mhd);
	pthread_mutex_lock(&h->lock);
	bool closing = h->closing, wait = s->then == CP_WAIT;
	if (!closing && wait) {
		s->then = CP_MORE;
		s->waits_since_ms = gw_mono_ms();
		gw_list_add_tail(&h->waiting, &s->waiting);
	} else if (!closing) {
		h->running++;
	}
	pthread_mutex_unlock(&h->lock);
	if (closing) {
		s->then = CP_BROKEN;
		MHD_resume_connection(s->mhd);
	} else if (!wait) {
		cp_pool_add(h->pool, &s->job);
	}
	return 0;
}

/* Those that have waited long enough, or all, are asked again.  Lock held; let go of while the library is called. */
static void wake_waiting(struct cp_httpd *h, bool all)
{
	int64_t now = gw_mono_ms();
	struct gw_node due;
	gw_list_init(&due);
	for (struct gw_node *n = h->waiting.next, *next; n != &h->waiting; n = next) {
		next = n->next;
		if (!all && now - GW_CONTAINER(n, struct stream, waiting)->waits_since_ms < WAIT_MS)
			continue;
		gw_list_del(n);
		gw_list_add_tail(&due, n);
	}
	pthread_mutex_unlock(&h->lock);
	while (!gw_list_empty(&due)) { /* asleep, so that it is nobody's but ours until it is woken */
		struct stream *s = GW_CONTAINER(due.next, struct stream, waiting);
		gw_list_del(&s->waiting);
		MHD_resume_connection(s->mhd);
	}
	pthread_mutex_lock(&h->lock);
}

static struct MHD_Response *stream_response(struct exchange *x)
{
	struct stream *s = gw_alloc(sizeof *s);
	s->job.run = make_piece;
	gw_list_init(&s->job.node);
	gw_list_init(&s->waiting);
	s->owner = x->owner;
	s->mhd = x->mhd;
	s->source = x->rs.source;
	x->rs.source = (struct cp_source){ 0 };
	gw_buf_init(&s->piece, SIZE_MAX / 2);
	struct MHD_Response *r = MHD_create_response_from_callback(MHD_SIZE_UNKNOWN, CP_PIECE / 2, on_wanted, s, stream_close);
	if (r == NULL) {
		stream_close(s);
		return NULL;
	}
	x->streams = true;
	if (x->connection != NULL) { /* the sweeper lets it live as long as it sends */
		pthread_mutex_lock(&x->owner->lock);
		x->connection->running++;
		pthread_mutex_unlock(&x->owner->lock);
	}
	return r;
}

static enum MHD_Result send_response(struct exchange *x)
{
	struct cp_response *rs = &x->rs;
	struct MHD_Response *r;
	if (rs->source.arg != NULL) {
		r = stream_response(x);
	} else if (rs->fixed.p != NULL) {
		r = MHD_create_response_from_buffer(rs->fixed.n, (void *)(uintptr_t)rs->fixed.p, MHD_RESPMEM_PERSISTENT);
	} else {
		r = MHD_create_response_from_buffer(rs->body.n, rs->body.p, MHD_RESPMEM_MUST_FREE);
		if (r != NULL)
			gw_buf_init(&rs->body, 0); /* the library frees the bytes */
	}
	if (r == NULL)
		return MHD_NO;
	if (rs->content_type != NULL)
		MHD_add_response_header(r, "Content-Type", rs->content_type);
	for (size_t i = 0; i < rs->n_headers; i++)
		if (MHD_add_response_header(r, rs->headers[i].name.p, rs->headers[i].value.p) != MHD_YES)
			gw_log(GW_LOG_ALERT, "header", rs->headers[i].name, "response header refused", NULL);
	MHD_add_response_header(r, "X-Request-Id", x->rq.id);
	if (rs->status >= 400 && atomic_load(&x->step) == STEP_REFUSED)
		MHD_add_response_header(r, "Connection", "close");
	enum MHD_Result ok = MHD_queue_response(x->mhd, rs->status, r);
	MHD_destroy_response(r);
	return ok;
}

static enum MHD_Result refuse(struct exchange *x, unsigned status, const char *detail)
{
	struct cp_httpd *h = x->owner;
	atomic_store(&x->step, STEP_REFUSED);
	gw_buf_clear(&x->rs.body);
	h->o.refuse(h->o.arg, &x->rq, status, detail, &x->rs);
	x->rs.status = status;
	return send_response(x);
}

/* ---- admission ---- */

struct header_walk { struct exchange *x; struct cp_pair *list; const char *wrong; };

static bool is_token(struct gw_str s)
{
	static const char extra[] = "!#$%&'*+-.^_`|~";
	for (size_t i = 0; i < s.n; i++) {
		char c = s.p[i];
		bool alnum = (c >= '0' && c <= '9') || ((c | 32) >= 'a' && (c | 32) <= 'z');
		if (!alnum && (c == 0 || strchr(extra, c) == NULL))
			return false;
	}
	return s.n > 0;
}

static enum MHD_Result each_header(void *arg, enum MHD_ValueKind kind, const char *name, size_t name_n,
				   const char *value, size_t value_n)
{
	struct header_walk *w = arg;
	struct cp_request *rq = &w->x->rq;
	struct gw_str n = { name, name_n }, v = { value != NULL ? value : "", value != NULL ? value_n : 0 };
	(void)kind;
	if (rq->n_headers == MAX_HEADERS)
		w->wrong = "the request has too many headers";
	else if (!is_token(n))
		w->wrong = "a header name contains a character that HTTP does not allow";
	for (size_t i = 0; i < v.n && w->wrong == NULL; i++)
		if (((unsigned char)v.p[i] < 0x20 && v.p[i] != '\t') || v.p[i] == 0x7f)
			w->wrong = "a header value contains a control character";
	/* Every header that this API reads has one value; two of any kind but these few are a trick. */
	static const char *const lists[] = { "Accept", "Accept-Encoding", "Accept-Language", "Cache-Control", "Via",
					     "X-Forwarded-For", "Forwarded", "Connection", "If-None-Match" };
	bool list = false;
	for (size_t i = 0; i < GW_COUNT(lists); i++)
		list = list || gw_str_ieq(n, gw_str_c(lists[i]));
	if (w->wrong == NULL && !list && cp_request_header(rq, n.p).p != NULL)
		w->wrong = "a header is given twice";
	if (w->wrong != NULL)
		return MHD_NO;
	w->list[rq->n_headers++] = (struct cp_pair){ n, v };
	return MHD_YES;
}

/* What the library let pass but HTTP, or prudence, does not.  0: fine. */
static unsigned admit(struct exchange *x, const char *method, const char *version, const char **why)
{
	struct cp_request *rq = &x->rq;
	struct header_walk w = { x, gw_arena_array(rq->arena, MAX_HEADERS, sizeof *w.list), NULL };
	rq->headers = w.list;
	rq->method = gw_arena_copy(rq->arena, gw_str_c(method));
	MHD_get_connection_values_n(x->mhd, MHD_HEADER_KIND, each_header, &w);
	*why = w.wrong;
	if (w.wrong != NULL)
		return 400;
	*why = "only HTTP/1.0 and HTTP/1.1 are spoken here";
	if (strcmp(version, "HTTP/1.1") != 0 && strcmp(version, "HTTP/1.0") != 0)
		return 505;
	*why = "the method name is not valid";
	if (!is_token(rq->method) || rq->method.n > 16)
		return 400;
	struct gw_str length = cp_request_header(rq, "Content-Length"), coding = cp_request_header(rq, "Transfer-Encoding");
	*why = "Content-Length together with Transfer-Encoding is ambiguous";
	if (length.p != NULL && coding.p != NULL)
		return 400;
	*why = "the only transfer coding understood here is chunked";
	if (coding.p != NULL && !gw_str_ieq(coding, GW_STR("chunked")))
		return 501;
	*why = "the request target is longer than 4096 bytes";
	if (x->target.n > MAX_TARGET)
		return 414;
	int64_t n = 0;
	*why = "Content-Length is not a number";
	if (length.p != NULL && !gw_str_int(length, 0, INT64_MAX, &n))
		return 400;
	struct gw_error err = { 0 };
	if (cp_target_parse(rq, x->target, &err) != GW_OK) {
		*why = gw_arena_copy(rq->arena, gw_str_c(err.text)).p;
		return 400;
	}
	if (gw_str_is(rq->method, "HEAD")) {
		rq->is_head = true;
		rq->method = GW_STR("GET");
	}
	x->body.max = x->owner->o.max_body(x->owner->o.arg, rq);
	*why = gw_arena_printf(rq->arena, "the body is larger than %zu bytes", x->body.max).p;
	return (uint64_t)n > x->body.max ? 413 : 0;
}

/* ---- handling ---- */

static void run(struct cp_job *job)
{
	struct exchange *x = GW_CONTAINER(job, struct exchange, job);
	struct cp_httpd *h = x->owner;
	struct MHD_Connection *mhd = x->mhd;
	struct connection *c = x->connection;
	x->rq.body = gw_buf_str(&x->body);
	int64_t began = gw_mono_ms();
	h->o.handle(h->o.arg, &x->rq, &x->rs);
	if (x->body.n > BIG_CALL || x->rs.body.n > BIG_CALL || (x->body.n > 0 && gw_mono_ms() - began > LONG_CALL_MS))
		malloc_trim(0); /* what a large document or configuration took goes back to the system */
	pthread_mutex_lock(&h->lock);
	if (c != NULL)
		c->running--;
	pthread_mutex_unlock(&h->lock);
	atomic_store(&x->step, STEP_DONE);
	MHD_resume_connection(mhd); /* from here on x and c belong to the library's thread again */
	pthread_mutex_lock(&h->lock);
	if (--h->running == 0)
		pthread_cond_broadcast(&h->idle);
	pthread_mutex_unlock(&h->lock);
}

static enum MHD_Result start(struct exchange *x)
{
	struct cp_httpd *h = x->owner;
	pthread_mutex_lock(&h->lock);
	bool closing = h->closing;
	if (!closing) {
		h->running++;
		if (x->connection != NULL)
			x->connection->running++;
	}
	pthread_mutex_unlock(&h->lock);
	if (closing)
		return refuse(x, 503, "the control plane is shutting down");
	atomic_store(&x->step, STEP_RUNNING);
	x->job.run = run;
	MHD_suspend_connection(x->mhd);
	cp_pool_add(h->pool, &x->job);
	return MHD_YES;
}

static enum MHD_Result on_request(void *arg, struct MHD_Connection *mhd, const char *url, const char *method,
				  const char *version, const char *upload, size_t *upload_n, void **state)
{
	struct exchange *x = *state;
	const struct door *d = arg;
	(void)url; /* decoded and cut at NUL: x->target has the bytes */
	if (x == NULL)
		return MHD_NO;
	if (atomic_load(&x->step) == STEP_HEAD) {
		const char *why = NULL;
		const union MHD_ConnectionInfo *info = MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
		x->mhd = mhd;
		x->connection = info != NULL ? info->socket_context : NULL;
		x->rq.address = x->connection != NULL ? gw_str_c(x->connection->address) : GW_STR("");
		x->rq.is_local = d->is_file && x->connection != NULL && x->connection->is_local;
		x->rq.is_tls = !d->is_file && d->owner->tls_cert != NULL;
		unsigned status = admit(x, method, version, &why);
		if (status != 0)
			return refuse(x, status, why);
		atomic_store(&x->step, STEP_BODY);
		return MHD_YES;
	}
	if (*upload_n > 0) {
		x->too_big = !gw_buf_add(&x->body, (struct gw_str){ upload, *upload_n }) || x->too_big;
		*upload_n = 0;
		return MHD_YES;
	}
	switch (atomic_load(&x->step)) {
	case STEP_BODY:
		if (x->too_big)
			return refuse(x, 413, "the body is too large");
		return start(x);
	case STEP_DONE:
		return send_response(x);
	default:
		return MHD_YES;
	}
}

/* ---- connections ---- */

static void peer_name(int fd, struct connection *c)
{
	struct sockaddr_storage ss;
	socklen_t n = sizeof ss;
	snprintf(c->address, sizeof c->address, "local");
	if (getpeername(fd, (struct sockaddr *)&ss, &n) != 0)
		return;
	if (ss.ss_family == AF_INET) {
		inet_ntop(AF_INET, &((struct sockaddr_in *)&ss)->sin_addr, c->address, sizeof c->address);
	} else if (ss.ss_family == AF_INET6) {
		struct in6_addr *a = &((struct sockaddr_in6 *)&ss)->sin6_addr;
		if (IN6_IS_ADDR_V4MAPPED(a))
			inet_ntop(AF_INET, &a->s6_addr[12], c->address, sizeof c->address);
		else
			inet_ntop(AF_INET6, a, c->address, sizeof c->address);
	} else {
		struct ucred who;
		n = sizeof who;
		c->is_local = getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &who, &n) == 0 &&
			      (who.uid == 0 || who.uid == geteuid());
	}
}

static void on_connection(void *arg, struct MHD_Connection *mhd, void **state, enum MHD_ConnectionNotificationCode what)
{
	struct cp_httpd *h = ((const struct door *)arg)->owner;
	struct connection *c = *state;
	if (what == MHD_CONNECTION_NOTIFY_STARTED) {
		const union MHD_ConnectionInfo *info = MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_CONNECTION_FD);
		c = gw_alloc(sizeof *c);
		c->fd = info != NULL ? info->connect_fd : -1;
		c->opened_ms = gw_mono_ms();
		peer_name(c->fd, c);
		pthread_mutex_lock(&h->lock);
		gw_list_add_tail(&h->connections, &c->node);
		pthread_mutex_unlock(&h->lock);
		*state = c;
	} else if (c != NULL) {
		pthread_mutex_lock(&h->lock);
		gw_list_del(&c->node);
		pthread_mutex_unlock(&h->lock);
		free(c);
		*state = NULL;
	}
}

/* The library's timeout counts silence only; who drips bytes, or stays for ever, is cut here. */
static void *sweep(void *arg)
{
	struct cp_httpd *h = arg;
	pthread_mutex_lock(&h->lock);
	while (!h->closing) {
		struct timespec until;
		clock_gettime(CLOCK_REALTIME, &until);
		until.tv_sec++;
		pthread_cond_timedwait(&h->idle, &h->lock, &until);
		wake_waiting(h, false);
		int64_t oldest = gw_mono_ms() - (int64_t)h->o.max_age_s * 1000;
		for (struct gw_node *n = h->connections.next; n != &h->connections; n = n->next) {
			struct connection *c = GW_CONTAINER(n, struct connection, node);
			if (c->opened_ms < oldest && c->running == 0 && c->fd >= 0)
				shutdown(c->fd, SHUT_RDWR);
		}
	}
	pthread_mutex_unlock(&h->lock);
	return NULL;
}

/* ---- opening and closing ---- */

static void on_log(void *arg, const char *fmt, va_list ap)
{
	char text[256];
	(void)arg;
	vsnprintf(text, sizeof text, fmt, ap);
	text[strcspn(text, "\n")] = 0;
	gw_log(GW_LOG_DEBUG, NULL, GW_STR_NONE, "http library", "%s", text);
}

static size_t keep_escapes(void *arg, struct MHD_Connection *mhd, char *s)
{
	(void)arg, (void)mhd;
	return strlen(s);
}

static enum gw_rc read_pem(struct gw_buf *out, const char *path, bool secret, struct gw_error *err)
{
	gw_buf_init(out, MAX_PEM);
	return secret ? gw_file_read_secret(out, path, err) : gw_file_read(out, path, err);
}

static enum gw_rc daemon_start(struct cp_httpd *h, struct listener *l, struct door *d, bool tls, struct gw_error *err)
{
	struct gw_buf cert, key;
	gw_buf_init(&cert, MAX_PEM);
	gw_buf_init(&key, MAX_PEM);
	enum gw_rc rc = GW_OK;
	if (tls && (rc = read_pem(&cert, h->tls_cert, false, err)) == GW_OK)
		rc = read_pem(&key, h->tls_key, true, err);
	struct MHD_OptionItem with_tls[] = {
		{ MHD_OPTION_HTTPS_MEM_CERT, 0, cert.p },
		{ MHD_OPTION_HTTPS_MEM_KEY, 0, key.p },
		{ MHD_OPTION_HTTPS_PRIORITIES, 0, (void *)(uintptr_t)"SECURE128:-VERS-ALL:+VERS-TLS1.3:+VERS-TLS1.2" },
		{ MHD_OPTION_END, 0, NULL },
	};
	struct MHD_OptionItem none[] = { { MHD_OPTION_END, 0, NULL } };
	unsigned flags = MHD_USE_EPOLL_INTERNAL_THREAD | MHD_ALLOW_SUSPEND_RESUME | MHD_USE_ERROR_LOG | (tls ? MHD_USE_TLS : 0);
	if (rc == GW_OK) {
		l->daemon = MHD_start_daemon(flags, 0, NULL, NULL, on_request, d,
			MHD_OPTION_EXTERNAL_LOGGER, on_log, NULL,
			MHD_OPTION_LISTEN_SOCKET, l->fd,
			MHD_OPTION_CONNECTION_LIMIT, h->o.max_connections,
			MHD_OPTION_PER_IP_CONNECTION_LIMIT, d->is_file ? 0 : h->o.max_per_address,
			MHD_OPTION_CONNECTION_TIMEOUT, h->o.idle_timeout_s,
			MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)MEMORY_PER_CONNECTION,
			MHD_OPTION_STRICT_FOR_CLIENT, 1,
			MHD_OPTION_UNESCAPE_CALLBACK, keep_escapes, NULL,
			MHD_OPTION_URI_LOG_CALLBACK, on_target, d,
			MHD_OPTION_NOTIFY_COMPLETED, on_completed, d,
			MHD_OPTION_NOTIFY_CONNECTION, on_connection, d,
			MHD_OPTION_ARRAY, tls ? with_tls : none,
			MHD_OPTION_END);
		if (l->daemon == NULL)
			rc = gw_fail(err, GW_INVALID, NULL, tls ? "the HTTP server did not start: is %s a certificate and %s its key?"
							: "the HTTP server did not start%.0s%.0s", h->tls_cert, h->tls_key);
	}
	if (key.p != NULL)
		gw_secret_wipe(key.p, key.n);
	gw_buf_fini(&cert);
	gw_buf_fini(&key);
	return rc;
}

static void set_defaults(struct cp_httpd_options *o)
{
	o->max_connections = o->max_connections ? o->max_connections : 512;
	o->max_per_address = o->max_per_address ? o->max_per_address : 64;
	o->threads = o->threads ? o->threads : 12;
	o->idle_timeout_s = o->idle_timeout_s ? o->idle_timeout_s : 30;
	o->max_age_s = o->max_age_s ? o->max_age_s : 300;
}

enum gw_rc cp_httpd_open(struct cp_httpd **out, const struct cp_httpd_options *o, struct gw_error *err)
{
	*out = NULL;
	if ((o->tls_cert == NULL) != (o->tls_key == NULL))
		return gw_fail(err, GW_INVALID, NULL, "TLS needs both a certificate and a key");
	struct cp_httpd *h = gw_alloc(sizeof *h);
	h->magic = HTTPD_MAGIC;
	h->o = *o;
	set_defaults(&h->o);
	h->tcp.fd = h->file.fd = -1;
	h->tcp_door = (struct door){ h, false };
	h->file_door = (struct door){ h, true };
	h->tls_cert = o->tls_cert ? gw_strdup_n(o->tls_cert, strlen(o->tls_cert)) : NULL;
	h->tls_key = o->tls_key ? gw_strdup_n(o->tls_key, strlen(o->tls_key)) : NULL;
	gw_list_init(&h->connections);
	gw_list_init(&h->waiting);
	pthread_mutex_init(&h->lock, NULL);
	pthread_cond_init(&h->idle, NULL);
	h->pool = cp_pool_open(h->o.threads);
	enum gw_rc rc = GW_OK;
	if (o->listen != NULL && (rc = cp_listen_tcp(&h->tcp.fd, &h->port, o->listen, err)) == GW_OK)
		rc = daemon_start(h, &h->tcp, &h->tcp_door, h->tls_cert != NULL, err);
	if (rc == GW_OK && o->socket_path != NULL && (rc = cp_listen_file(&h->file.fd, o->socket_path, err)) == GW_OK)
		rc = daemon_start(h, &h->file, &h->file_door, false, err);
	if (rc == GW_OK)
		h->has_sweeper = pthread_create(&h->sweeper, NULL, sweep, h) == 0;
	if (rc == GW_OK)
		*out = h;
	else
		cp_httpd_close(&h);
	return rc;
}

unsigned cp_httpd_port(const struct cp_httpd *h)
{
	GW_CHECK(h, HTTPD_MAGIC);
	return h->port;
}

static void listener_stop(struct listener *l, bool quiesced)
{
	if (l->daemon != NULL) {
		if (!quiesced) {
			int fd = MHD_quiesce_daemon(l->daemon);
			if (fd >= 0)
				close(fd);
		}
		MHD_stop_daemon(l->daemon);
	} else if (l->fd >= 0) {
		close(l->fd);
	}
	l->daemon = NULL;
	l->fd = -1;
}

/* The sweeper has cut every connection of a daemon that was retired long ago. */
static bool forget_oldest(struct cp_httpd *h, int64_t now)
{
	if (now - h->retired[0].retired_ms < 2000LL * h->o.max_age_s)
		return false;
	listener_stop(&h->retired[0], true);
	memmove(&h->retired[0], &h->retired[1], --h->n_retired * sizeof h->retired[0]);
	return true;
}

enum gw_rc cp_httpd_reload_tls(struct cp_httpd *h, struct gw_error *err)
{
	GW_CHECK(h, HTTPD_MAGIC);
	if (h->tcp.daemon == NULL || h->tls_cert == NULL)
		return GW_OK;
	int64_t now = gw_mono_ms();
	if (h->n_retired == GW_COUNT(h->retired) && !forget_oldest(h, now))
		return gw_fail(err, GW_BUSY, NULL, "the certificate was replaced %zu times within minutes: try again later",
			       h->n_retired);
	/* Connections of the old pair go on; both daemons share the listening socket until the old one lets go. */
	struct listener old = h->tcp, fresh = { .fd = dup(old.fd) };
	enum gw_rc rc = daemon_start(h, &fresh, &h->tcp_door, true, err);
	if (rc != GW_OK) {
		if (fresh.fd >= 0)
			close(fresh.fd);
		return rc;
	}
	h->tcp = fresh;
	old.retired_ms = now;
	h->retired[h->n_retired++] = old;
	int fd = MHD_quiesce_daemon(old.daemon);
	if (fd >= 0)
		close(fd);
	return GW_OK;
}

void cp_httpd_close(struct cp_httpd **httpd)
{
	struct cp_httpd *h = *httpd;
	if (h == NULL)
		return;
	GW_CHECK(h, HTTPD_MAGIC);
	pthread_mutex_lock(&h->lock);
	h->closing = true;
	pthread_cond_broadcast(&h->idle);
	wake_waiting(h, true);
	while (h->running > 0) /* a suspended connection must be resumed before the daemon stops */
		pthread_cond_wait(&h->idle, &h->lock);
	pthread_mutex_unlock(&h->lock);
	if (h->has_sweeper)
		pthread_join(h->sweeper, NULL);
	listener_stop(&h->tcp, false);
	listener_stop(&h->file, false);
	for (size_t i = 0; i < h->n_retired; i++)
		listener_stop(&h->retired[i], true);
	cp_pool_close(&h->pool);
	if (h->o.socket_path != NULL)
		unlink(h->o.socket_path);
	pthread_mutex_destroy(&h->lock);
	pthread_cond_destroy(&h->idle);
	free(h->tls_cert);
	free(h->tls_key);
	h->magic = 0;
	free(h);
	*httpd = NULL;
}
