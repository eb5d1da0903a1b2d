/* fetch.c - dial, ask, collect, close. */
#include "services/fetch.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/buf.h"
#include "base/str.h"
#include "http/h1.h"
#include "http/headers.h"
#include "http/h1_write.h"
#include "http/target.h"
#include "net/dial.h"

struct dp_fetch {
	unsigned magic;
#define DP_FETCH_MAGIC 0xfe7c4a11u
	struct dp_loop *loop;
	char *url;
	struct dp_base_url base;          /* points into url */
	struct dp_dial *dial;
	struct dp_conn *conn;
	struct dp_h1 *parser;
	struct gw_buf request, body;
	bool any_status, over;
	struct dp_timer timer;
	struct dp_deferred later, dead;
	bool deferred;
	dp_fetch_fn *done;
	void *arg;
	char text[240];
};

static void free_fetch(struct dp_deferred *d)
{
	struct dp_fetch *f = GW_CONTAINER(d, struct dp_fetch, dead);

	dp_h1_close(&f->parser);
	gw_buf_fini(&f->body);
	if (f->request.p)
		explicit_bzero(f->request.p, f->request.cap);
	gw_buf_fini(&f->request);
	free(f->url);
	f->magic = 0;
	free(f);
}

/* The memory stays until the end of the turn: the parser's texts may still be looked at further up the stack. */
static void let_go(struct dp_fetch *f)
{
	f->over = true;
	dp_timer_stop(&f->timer);
	dp_dial_cancel(&f->dial);
	dp_conn_close(&f->conn);
	if (!f->deferred)
		dp_loop_defer(f->loop, &f->dead, free_fetch);
}

static void finish(struct dp_fetch *f, bool ok)
{
	dp_fetch_fn *done = f->done;
	void *arg = f->arg;

	if (f->over)
		return;
	let_go(f);
	done(arg, ok ? gw_buf_str(&f->body) : GW_STR_NONE, ok ? NULL : f->text);
}

static void fail(struct dp_fetch *f, const char *what, const char *why)
{
	snprintf(f->text, sizeof f->text, "%s%s%.140s", what, why ? ": " : "", why ? why : "");
	finish(f, false);
}

/* One event of the parser; false: the fetch is over. */
static bool take(struct dp_fetch *f, enum dp_h1_event ev, struct gw_str slice)
{
	const struct dp_head *h;
	char text[64];

	switch (ev) {
	case DP_H1_NEED:
		return false;
	case DP_H1_HEAD:
		h = dp_h1_head(f->parser);
		if (h->status == 200 || f->any_status)
			return true;
		snprintf(text, sizeof text, "the server answered %u", h->status);
		fail(f, text, h->status / 100 == 3 ? "redirects are not followed" : NULL);
		return false;
	case DP_H1_BODY:
		if (gw_buf_add(&f->body, slice))
			return true;
		fail(f, "the answer is too large", NULL);
		return false;
	case DP_H1_END:
		finish(f, true);
		return false;
	case DP_H1_ERROR:
		fail(f, "the answer is not well-formed HTTP", dp_h1_refusal(f->parser)->text);
		return false;
	}
	return false;
}

static void on_read(void *arg, struct gw_str in)
{
	struct dp_fetch *f = arg;
	bool more = true;

	GW_CHECK(f, DP_FETCH_MAGIC);
	while (more && !f->over) {
		size_t used = 0;
		struct gw_str slice = GW_STR_NONE;
		enum dp_h1_event ev = dp_h1_feed(f->parser, in, &used, &slice);

		in = gw_str_from(in, used);
		more = take(f, ev, slice);
	}
}

static void on_end(void *arg, enum dp_net_end how)
{
	struct dp_fetch *f = arg;

	GW_CHECK(f, DP_FETCH_MAGIC);
	if (how == DP_NET_END_FIN && dp_h1_eof(f->parser) == DP_H1_END)
		finish(f, true);
	else
		fail(f, "the connection ended before the answer did", NULL);
}

static const struct dp_conn_ops ops = { .on_read = on_read, .on_end = on_end };

/* What is asked, as bytes: the headers are the caller's only until dp_fetch_open() returns. */
static void write_request(struct dp_fetch *f, const struct dp_fetch_spec *s)
{
	struct gw_buf *b = &f->request;

	gw_buf_printf(b, "%s %.*s HTTP/1.1\r\n", s->json.p ? "POST" : "GET", GW_FMT(f->base.path.n ? f->base.path : GW_STR("/")));
	dp_write_header(b, "host", f->base.authority);
	dp_write_header(b, "accept", GW_STR("application/json"));
	dp_write_header(b, "accept-encoding", GW_STR("identity"));
	dp_write_header(b, "user-agent", GW_STR("tidegate/" TIDEGATE_VERSION));
	for (size_t i = 0; i < s->n_headers; i++)
		dp_write_header_pair(b, s->headers[i].name, s->headers[i].value);
	if (s->json.p) {
		char length[24];

		snprintf(length, sizeof length, "%zu", s->json.n);
		dp_write_header(b, "content-type", GW_STR("application/json"));
		dp_write_header(b, "content-length", gw_str_c(length));
	}
	dp_write_header(b, "connection", GW_STR("close"));
	dp_write_head_end(b);
	gw_buf_add(b, s->json);
}

static void on_dial(void *arg, struct dp_conn *c, enum dp_net_fault fault, const char *text)
{
	struct dp_fetch *f = arg;
	struct gw_str v;

	GW_CHECK(f, DP_FETCH_MAGIC);
	f->dial = NULL; /* it is over */
	if (!c) {
		fail(f, dp_net_fault_name(fault), text);
		return;
	}
	f->conn = c;
	dp_conn_bind(c, &ops, f);
	v = gw_buf_str(&f->request);
	(void)dp_conn_write(f->conn, &v, 1);
}

static void on_timer(struct dp_timer *t)
{
	struct dp_fetch *f = GW_CONTAINER(t, struct dp_fetch, timer);

	fail(f, "no answer in time", NULL);
}

/* The address was no good: said from the next turn, as everything else is. */
static void fail_later(struct dp_deferred *d)
{
	struct dp_fetch *f = GW_CONTAINER(d, struct dp_fetch, later);

	f->deferred = false;
	if (f->over)
		free_fetch(&f->dead);
	else
		finish(f, false);
}

struct dp_fetch *dp_fetch_open(struct dp_loop *l, const struct dp_fetch_spec *s, dp_fetch_fn *done, void *arg)
{
	struct dp_fetch *f = gw_alloc(sizeof *f);
	struct dp_h1_limits limits = { .max_body = (int64_t)s->max_bytes };

	f->magic = DP_FETCH_MAGIC;
	f->loop = l;
	f->url = gw_strdup_n(s->url.p, s->url.n);
	f->done = done;
	f->arg = arg;
	f->parser = dp_h1_open(DP_H1_RESPONSE, &limits);
	f->any_status = s->any_status;
	gw_buf_init(&f->body, s->max_bytes);
	gw_buf_init(&f->request, (256u << 10) + s->json.n);
	dp_timer_init(&f->timer, on_timer);
	dp_loop_timer(l, &f->timer, s->timeout_ms);
	if (dp_base_url_parse(&f->base, gw_str_c(f->url), f->text, sizeof f->text)) {
		struct dp_dial_spec dial = {
			.host = f->base.host, .port = f->base.port, .tls = f->base.tls, .verify = true, .ca_pem = s->ca_pem,
			.allow_private = s->allow_private, .timeout_ms = s->timeout_ms,
		};

		write_request(f, s);
		f->dial = dp_dial(l, &dial, on_dial, f);
	} else {
		f->deferred = true;
		dp_loop_defer(l, &f->later, fail_later);
	}
	return f;
}

unsigned dp_fetch_status(const struct dp_fetch *f)
{
	GW_CHECK(f, DP_FETCH_MAGIC);
	return dp_h1_head(f->parser)->status;
}

struct gw_str dp_fetch_header(const struct dp_fetch *f, const char *name)
{
	const struct dp_head *h = dp_h1_head(f->parser);

	return dp_header_find(h->headers, h->n_headers, name);
}

void dp_fetch_cancel(struct dp_fetch **fp)
{
	struct dp_fetch *f = *fp;

	if (!f)
		return;
	*fp = NULL;
	GW_CHECK(f, DP_FETCH_MAGIC);
	if (!f->over)
		let_go(f);
}
