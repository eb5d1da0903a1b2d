/* otlp.c - the queue, and one export at a time. */
#include "observe/otlp.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/bytes.h"
#include "base/log.h"
#include "base/str.h"
#include "base/time.h"
#include "codec/gzip.h"
#include "http/h1.h"
#include "http/h1_write.h"
#include "http/headers.h"
#include "http/target.h"
#include "json.h"
#include "net/dial.h"
#include "provider.h"

#define TICK_MS        500
#define BATCH_REQUESTS 256
#define BATCH_BYTES    (2u << 20)
#define WORTH_BYTES    1024  /* what is smaller is not worth compressing */
#define ANSWER_MS      10000
#define ANSWER_MAX     16384
#define TRIES          5
#define PAUSE_MAX_MS   60000
#define LAST_WORDS_MS  2000
#define LOOP_INDEX     1000  /* no shard's */

struct entry { struct entry *next; size_t bytes; struct dp_span_request *r; };

struct config {
	bool enabled;
	char *url, *service;
	struct dp_base_url base;              /* into url */
	struct gw_pair *headers;
	size_t n_headers;
};

struct dp_otlp {
	unsigned magic;
#define DP_OTLP_MAGIC 0x071b0001u
	const char *instance;
	struct dp_loop *loop;
	_Atomic uint64_t sent, dropped;
	_Atomic bool stopping, idle;

	pthread_mutex_t lock;                 /* guards the queue */
	struct entry *first, **end;
	size_t n, bytes;
	bool woken;

	/* the exporter's loop alone */
	struct config config;
	struct dp_timer timer;
	struct dp_dial *dial;
	struct dp_conn *conn;
	struct dp_h1 *parser;
	bool reused, got_byte;                /* the connection served before; a byte of this answer came */
	struct gw_buf body;                   /* of the batch under way; empty: none */
	struct gw_buf packed;                 /* the same, compressed; empty: it is sent as it is */
	bool reads_gzip;                      /* as the protocol says it must; until it says that it does not */
	struct gw_buf answer;                 /* the collector's */
	size_t spans;                         /* in it */
	unsigned tries;
	bool waiting;                         /* an answer, or a pause before the next try */
	bool failing;                         /* told already */
};

static void go_on(struct dp_otlp *o);

/* ---- any thread ---- */

static void kick(struct dp_loop *l, void *arg)
{
	(void)l;
	go_on(arg);
}

void dp_otlp_add(struct dp_otlp *o, const struct dp_span_request *r)
{
	struct entry *e = gw_alloc(sizeof *e);
	bool fits, wake = false;

	e->r = dp_spans_pack(r, &e->bytes);
	pthread_mutex_lock(&o->lock);
	fits = o->n < DP_OTLP_QUEUE_REQUESTS && o->bytes + e->bytes <= DP_OTLP_QUEUE_BYTES;
	if (fits) {
		*o->end = e;
		o->end = &e->next;
		o->n++;
		o->bytes += e->bytes;
		wake = o->n >= BATCH_REQUESTS && !o->woken;
		o->woken |= wake;
	}
	pthread_mutex_unlock(&o->lock);
	if (wake)
		dp_loop_post(o->loop, kick, o);
	if (fits)
		return;
	atomic_fetch_add(&o->dropped, dp_spans_count(e->r));
	free(e->r);
	free(e);
}

uint64_t dp_otlp_sent(const struct dp_otlp *o) { return atomic_load(&((struct dp_otlp *)(uintptr_t)o)->sent); }
uint64_t dp_otlp_dropped(const struct dp_otlp *o) { return atomic_load(&((struct dp_otlp *)(uintptr_t)o)->dropped); }

/* ---- the batch ---- */

static struct entry *take_one(struct dp_otlp *o)
{
	struct entry *e;

	pthread_mutex_lock(&o->lock);
	e = o->first;
	if (e) {
		o->first = e->next;
		if (!o->first)
			o->end = &o->first;
		o->n--;
		o->bytes -= e->bytes;
	}
	o->woken = false;
	pthread_mutex_unlock(&o->lock);
	return e;
}

static void free_entry(struct entry *e)
{
	free(e->r);
	free(e);
}

static void make_batch(struct dp_otlp *o)
{
	struct entry *e;

	gw_buf_clear(&o->body);
	o->spans = 0;
	o->tries = 0;
	for (size_t i = 0; i < BATCH_REQUESTS && o->body.n < BATCH_BYTES / 2 && (e = take_one(o)) != NULL; i++) {
		if (i == 0)
			dp_spans_open(&o->body, gw_str_c(o->config.service), gw_str_c(o->instance));
		else
			gw_buf_add_byte(&o->body, ',');
		dp_spans_write(e->r, &o->body);
		o->spans += dp_spans_count(e->r);
		free_entry(e);
	}
	if (o->spans)
		dp_spans_shut(&o->body);
	assert(!o->body.full);
	gw_buf_clear(&o->packed);
	if (o->reads_gzip && o->body.n >= WORTH_BYTES)
		(void)dp_gzip(gw_buf_str(&o->body), &o->packed); /* else it goes as it is */
}

static void tell(struct dp_otlp *o, const char *what)
{
	if (what && !o->failing)
		gw_log(GW_LOG_WARN, "tracing", gw_str_c(o->config.url), "spans are not taken", "%s", what);
	else if (!what && o->failing)
		gw_log(GW_LOG_INFO, "tracing", gw_str_c(o->config.url), "spans are taken again", "dropped=%llu", (unsigned long long)dp_otlp_dropped(o));
	o->failing = what != NULL;
}

static void drop_conn(struct dp_otlp *o)
{
	dp_dial_cancel(&o->dial);
	dp_conn_close(&o->conn);
	dp_h1_close(&o->parser);
}

static void batch_over(struct dp_otlp *o, bool taken)
{
	atomic_fetch_add(taken ? &o->sent : &o->dropped, o->spans);
	o->spans = 0;
	o->waiting = false;
	gw_buf_clear(&o->body);
	gw_buf_clear(&o->packed);
	go_on(o);
}

static void again_later(struct dp_otlp *o, int64_t wait_ms, const char *why)
{
	tell(o, why);
	drop_conn(o);
	if (++o->tries >= TRIES || atomic_load(&o->stopping)) {
		batch_over(o, false);
		return;
	}
	if (wait_ms < 0) { /* many workers must not come back in the same moment */
		uint16_t dice;

		gw_random(&dice, sizeof dice);
		wait_ms = (1000ll << (o->tries - 1)) * (750 + dice % 500) / 1000;
	}
	o->waiting = true;
	dp_loop_timer(o->loop, &o->timer, wait_ms < PAUSE_MAX_MS ? wait_ms : PAUSE_MAX_MS);
}

/* ---- one export ---- */

static void send_request(struct dp_otlp *o)
{
	struct gw_buf head;
	struct gw_str v[2];
	const struct config *c = &o->config;

	gw_buf_init(&head, 256u << 10);
	dp_write_request_line(&head, GW_STR("POST"), c->base.path.n ? c->base.path : GW_STR("/v1/traces"));
	dp_write_header(&head, "host", c->base.authority);
	dp_write_header(&head, "content-type", GW_STR("application/json"));
	dp_write_header(&head, "user-agent", GW_STR("tidegate/" TIDEGATE_VERSION));
	for (size_t i = 0; i < c->n_headers; i++)
		if (dp_header_ok(c->headers[i].name, c->headers[i].value))
			dp_write_header_pair(&head, c->headers[i].name, c->headers[i].value);
	if (o->packed.n > 0)
		dp_write_header(&head, "content-encoding", GW_STR("gzip"));
	v[1] = gw_buf_str(o->packed.n > 0 ? &o->packed : &o->body);
	dp_write_header_int(&head, "content-length", (int64_t)v[1].n);
	dp_write_head_end(&head);
	v[0] = gw_buf_str(&head);
	o->got_byte = false;
	gw_buf_clear(&o->answer);
	dp_h1_expect(o->parser, false);
	dp_loop_timer(o->loop, &o->timer, ANSWER_MS);
	(void)dp_conn_write(o->conn, v, 2);
	gw_secret_wipe(head.p, head.n);
	gw_buf_fini(&head);
}

/* {"partialSuccess":{"rejectedSpans":"3","errorMessage":…}}: taken, but for some. */
static void count_rejected(struct dp_otlp *o)
{
	json_t *doc = NULL, *part, *n;
	int64_t rejected = 0;
	char why[200];

	if (o->answer.n == 0 || gw_json_parse(&doc, gw_buf_str(&o->answer), ANSWER_MAX, NULL) != GW_OK)
		return;
	part = json_object_get(doc, "partialSuccess");
	n = json_object_get(part, "rejectedSpans");
	if (json_is_integer(n))
		rejected = json_integer_value(n);
	else if (!gw_str_int(gw_json_str(n), 0, INT64_MAX, &rejected))
		rejected = 0;
	if (rejected > 0) {
		snprintf(why, sizeof why, "%lld were rejected: %.*s", (long long)rejected, GW_FMT(gw_json_str(json_object_get(part, "errorMessage"))));
		tell(o, why);
		rejected = rejected < (int64_t)o->spans ? rejected : (int64_t)o->spans;
		atomic_fetch_add(&o->dropped, (uint64_t)rejected);
		o->spans -= (size_t)rejected;
	} else {
		tell(o, NULL);
		if (gw_json_str(json_object_get(part, "errorMessage")).n > 0) /* all were taken, and something is to be said */
			gw_log(GW_LOG_INFO, "tracing", gw_str_c(o->config.url), "the collector remarks", "%.*s", GW_FMT(gw_json_str(json_object_get(part, "errorMessage"))));
	}
	json_decref(doc);
}

static void judge(struct dp_otlp *o, bool reusable)
{
	const struct dp_head *h = dp_h1_head(o->parser);
	struct dp_reply said = { .headers = h->headers, .n_headers = h->n_headers };
	unsigned status = h->status;
	int64_t after_ms = dp_retry_after_ms(&said, gw_now_ms()); /* seconds or a date */
	char why[64];

	dp_timer_stop(&o->timer);
	if (reusable) {
		dp_h1_next(o->parser);
		o->reused = true;
	} else {
		drop_conn(o);
	}
	if (status / 100 == 2) {
		if (o->answer.n == 0)
			tell(o, NULL);
		count_rejected(o);
		batch_over(o, true);
		return;
	}
	snprintf(why, sizeof why, "the collector answers %u", status);
	if (status == 429 || status == 502 || status == 503 || status == 504) {
		again_later(o, after_ms, why);
		return;
	}
	if (status == 415 && o->packed.n > 0) { /* RFC 9110 15.5.16: also said of a coding */
		o->reads_gzip = false;
		gw_buf_clear(&o->packed);
		o->waiting = false;
		gw_log(GW_LOG_INFO, "tracing", gw_str_c(o->config.url), "the collector does not read gzip, spans are sent plain", NULL);
		go_on(o);
		return;
	}
	tell(o, why);
	batch_over(o, false);
}

static void broke(struct dp_otlp *o, const char *why)
{
	bool stale = o->reused && !o->got_byte;

	dp_timer_stop(&o->timer);
	if (!stale) {
		again_later(o, -1, why);
		return;
	}
	drop_conn(o); /* a kept connection died meanwhile: that says nothing */
	o->waiting = false;
	go_on(o);
}

static void on_read(void *arg, struct gw_str in)
{
	struct dp_otlp *o = arg;

	GW_CHECK(o, DP_OTLP_MAGIC);
	o->got_byte = true;
	for (;;) {
		size_t used = 0;
		struct gw_str slice = GW_STR_NONE;
		enum dp_h1_event ev = dp_h1_feed(o->parser, in, &used, &slice);

		in = gw_str_from(in, used);
		if (ev == DP_H1_NEED)
			return;
		if (ev == DP_H1_BODY && !gw_buf_add(&o->answer, slice))
			gw_buf_clear(&o->answer); /* too large to be what we look for */
		if (ev == DP_H1_ERROR) {
			broke(o, "its answer is no HTTP");
			return;
		}
		if (ev == DP_H1_END) {
			judge(o, in.n == 0 && o->waiting && dp_h1_reusable(o->parser));
			return;
		}
	}
}

static void on_end(void *arg, enum dp_net_end how)
{
	struct dp_otlp *o = arg;

	GW_CHECK(o, DP_OTLP_MAGIC);
	if (!o->spans || !o->waiting) { /* between exports */
		drop_conn(o);
		return;
	}
	if (how != DP_NET_END_RESET && dp_h1_eof(o->parser) == DP_H1_END)
		judge(o, false);
	else
		broke(o, "the connection to the collector broke");
}

static const struct dp_conn_ops ops = { .on_read = on_read, .on_end = on_end };

static void on_dialled(void *arg, struct dp_conn *c, enum dp_net_fault fault, const char *text)
{
	static const struct dp_h1_limits limits = { .max_body = 1 << 20 };
	struct dp_otlp *o = arg;

	GW_CHECK(o, DP_OTLP_MAGIC);
	(void)fault;
	o->dial = NULL;
	if (!c) {
		again_later(o, -1, text);
		return;
	}
	o->conn = c;
	o->parser = dp_h1_open(DP_H1_RESPONSE, &limits);
	o->reused = false;
	dp_conn_bind(c, &ops, o);
	send_request(o);
}

static void send_batch(struct dp_otlp *o)
{
	const struct dp_base_url *b = &o->config.base;
	struct dp_dial_spec s = {
		.host = b->host, .port = b->port, .tls = b->tls, .verify = true, .allow_private = true, .timeout_ms = 5000,
	};

	o->waiting = true;
	dp_timer_stop(&o->timer); /* that of an idle exporter must not begin a second dial beside this one */
	if (o->conn)
		send_request(o);
	else
		o->dial = dp_dial(o->loop, &s, on_dialled, o);
}

/* What is to be done now, if anything. */
static void go_on(struct dp_otlp *o)
{
	struct entry *e;

	if (o->waiting)
		return;
	if (!o->config.enabled) {
		o->spans = 0;
		while ((e = take_one(o)) != NULL)
			free_entry(e); /* tracing has been switched off: nobody wants them */
		atomic_store(&o->idle, true);
		return;
	}
	atomic_store(&o->idle, false);
	if (!o->spans)
		make_batch(o);
	atomic_store(&o->idle, o->spans == 0);
	if (o->spans)
		send_batch(o);
	else
		dp_loop_timer(o->loop, &o->timer, TICK_MS);
}

static void on_timer(struct dp_timer *t)
{
	struct dp_otlp *o = GW_CONTAINER(t, struct dp_otlp, timer);

	GW_CHECK(o, DP_OTLP_MAGIC);
	if (o->waiting && o->conn) {
		broke(o, "the collector does not answer in time");
		return;
	}
	o->waiting = false;
	go_on(o);
}

/* ---- settings ---- */

static void free_config(struct config *c)
{
	for (size_t i = 0; i < c->n_headers; i++) {
		gw_secret_wipe((char *)(uintptr_t)c->headers[i].value.p, c->headers[i].value.n);
		free((char *)(uintptr_t)c->headers[i].name.p);
		free((char *)(uintptr_t)c->headers[i].value.p);
	}
	free(c->headers);
	free(c->url);
	free(c->service);
	*c = (struct config){ 0 };
}

struct change { struct dp_otlp *o; struct config c; };

static void adopt(struct dp_loop *l, void *arg)
{
	struct change *ch = arg;
	struct dp_otlp *o = ch->o;
	bool other = !o->config.url || strcmp(o->config.url, ch->c.url) != 0;

	(void)l;
	free_config(&o->config);
	o->config = ch->c;
	free(ch);
	if (other) {
		dp_timer_stop(&o->timer);
		drop_conn(o);
		o->reads_gzip = true;
		o->waiting = false; /* a batch under way goes to the new place */
	}
	go_on(o);
}

void dp_otlp_apply(struct dp_otlp *o, const struct gw_tracing *t)
{
	struct change *ch = gw_alloc(sizeof *ch);
	struct config *c = &ch->c;
	char why[200];

	ch->o = o;
	c->url = gw_strdup_n(t->endpoint.p ? t->endpoint.p : "", t->endpoint.n);
	c->service = gw_strdup_n(t->service_name.p, t->service_name.n);
	c->enabled = t->enabled && dp_base_url_parse(&c->base, gw_str_c(c->url), why, sizeof why);
	c->headers = gw_alloc((t->n_headers + 1) * sizeof *c->headers);
	c->n_headers = t->n_headers;
	for (size_t i = 0; i < t->n_headers; i++) {
		c->headers[i].name = (struct gw_str){ gw_strdup_n(t->headers[i].name.p, t->headers[i].name.n), t->headers[i].name.n };
		c->headers[i].value = (struct gw_str){ gw_strdup_n(t->headers[i].value.p, t->headers[i].value.n), t->headers[i].value.n };
	}
	if (dp_loop_post(o->loop, adopt, ch))
		return;
	free_config(c);
	free(ch);
}

/* ---- life ---- */

enum gw_rc dp_otlp_open(struct dp_otlp **out, const char *instance, struct gw_error *err)
{
	struct dp_otlp *o = gw_alloc(sizeof *o);
	enum gw_rc rc;

	o->magic = DP_OTLP_MAGIC;
	o->instance = instance;
	o->end = &o->first;
	atomic_init(&o->idle, true);
	pthread_mutex_init(&o->lock, NULL);
	gw_buf_init(&o->body, BATCH_BYTES * 4);
	gw_buf_init(&o->packed, BATCH_BYTES * 4);
	gw_buf_init(&o->answer, ANSWER_MAX);
	dp_timer_init(&o->timer, on_timer);
	o->loop = dp_loop_open(LOOP_INDEX);
	*out = o;
	rc = dp_loop_start(o->loop, err);
	if (rc != GW_OK) {
		dp_loop_close(&o->loop);
		*out = NULL;
		gw_buf_fini(&o->body);
		free(o);
	}
	return rc;
}

static void end_now(struct dp_loop *l, void *arg)
{
	struct dp_otlp *o = arg;

	dp_timer_stop(&o->timer);
	drop_conn(o);
	dp_loop_stop(l);
}

static bool queued(struct dp_otlp *o)
{
	bool any;

	pthread_mutex_lock(&o->lock);
	any = o->n > 0;
	pthread_mutex_unlock(&o->lock);
	return any || !atomic_load(&o->idle);
}

static void free_rest(struct dp_otlp *o)
{
	struct entry *e;

	while ((e = take_one(o)) != NULL)
		free_entry(e);
	free_config(&o->config);
	gw_buf_fini(&o->body);
	gw_buf_fini(&o->packed);
	gw_buf_fini(&o->answer);
	pthread_mutex_destroy(&o->lock);
	o->magic = 0;
	free(o);
}

void dp_otlp_close(struct dp_otlp **op)
{
	static struct dp_otlp *stuck; /* held by the system's resolver; nothing can be done, and the process is about to end */
	struct dp_otlp *o = *op;
	int64_t until = gw_mono_ms() + LAST_WORDS_MS;

	if (!o)
		return;
	GW_CHECK(o, DP_OTLP_MAGIC);
	*op = NULL;
	atomic_store(&o->stopping, true);
	dp_loop_post(o->loop, kick, o);
	while (queued(o) && gw_mono_ms() < until)
		usleep(10000);
	dp_loop_post(o->loop, end_now, o);
	for (until = gw_mono_ms() + 1000; dp_loop_looks_up(o->loop) && gw_mono_ms() < until;)
		usleep(10000);
	if (dp_loop_looks_up(o->loop)) {
		stuck = o;
		(void)stuck;
		return;
	}
	dp_loop_join(o->loop);
	dp_loop_close(&o->loop);
	free_rest(o);
}
