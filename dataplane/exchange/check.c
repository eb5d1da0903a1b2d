/*
 * check.c - active health checks: one GET an interval to every endpoint of the providers that ask for it.
 *
 * One loop of a worker does them for all, since what is known of an endpoint is shared.  A check has a connection of
 * its own, through the same dialer, guard and TLS as requests but beside the pool: a full pool is no sickness.  Nothing
 * else than GET is ever sent, which no vendor charges for.  Checks survive changes of configuration that do not concern
 * them, or frequent changes would put every check off for ever.
 */
#include <stdio.h>
#include <stdlib.h>

#include "base/log.h"
#include "base/str.h"
#include "exchange/impl.h"

#define FIRST_WITHIN_MS 500   /* not all at once */
#define MAX_BODY (1 << 20)    /* of an answer that nobody reads; more is no health page */

struct check {
	struct gw_node node;                 /* on the shard's ring */
	struct dp_shard *shard;
	struct gw_snapshot *snapshot;        /* keeps the provider */
	const struct gw_provider *provider;
	char *name, *url;                    /* owned: the identity across snapshots */
	unsigned endpoint_i;
	bool named;                          /* by the configuration that is being bound */
	struct dp_health *health;
	struct dp_timer timer;               /* the next check, or the limit of the one under way */
	struct dp_endpoint *endpoint;        /* held while busy: the dial borrows from it */
	struct dp_dial *dial;
	struct dp_conn *conn;
	struct dp_h1 *parser;
	bool busy;
	size_t body;
	struct dp_deferred later;
	bool gone;
};

static void let_go(struct check *c)
{
	dp_timer_stop(&c->timer);
	dp_dial_cancel(&c->dial);
	dp_conn_close(&c->conn);
	dp_h1_close(&c->parser);
	dp_endpoint_let_go(&c->endpoint);
	c->busy = false;
}

static void free_check(struct dp_deferred *d)
{
	struct check *c = GW_CONTAINER(d, struct check, later);

	free(c->name);
	free(c->url);
	free(c);
}

/* The parser may still be up the stack, so the rest waits for the end of the turn. */
static void check_close(struct check *c)
{
	let_go(c);
	gw_list_del(&c->node);
	dp_health_unchecked(c->health, dp_loop_now(c->shard->loop));
	dp_health_unref(&c->health);
	gw_snapshot_unref(&c->snapshot);
	c->gone = true;
	dp_loop_defer(c->shard->loop, &c->later, free_check);
}

static void over(struct check *c, bool good, const char *why)
{
	const struct gw_provider *p = c->provider;
	char text[240];

	snprintf(text, sizeof text, "health check: %s", why);
	let_go(c);
	if (dp_health_checked(c->health, dp_loop_now(c->shard->loop), good, p->check.unhealthy_after, p->check.healthy_after, text))
		gw_log(good ? GW_LOG_INFO : GW_LOG_WARN, "provider", p->name, good ? "an endpoint is well again" : "an endpoint is not well",
		       "url=%s %s", c->url, good ? "" : text);
	dp_loop_timer(c->shard->loop, &c->timer, p->check.interval_ms);
}

/* ---- the answer ---- */

static void judge(struct check *c, unsigned status)
{
	char text[64];

	snprintf(text, sizeof text, "it answered with status %u", status);
	over(c, status >= 200 && status <= 399, text);
}

static void on_read(void *arg, struct gw_str in)
{
	struct check *c = arg;

	while (c->busy) {
		size_t used = 0;
		struct gw_str slice = GW_STR_NONE;
		enum dp_h1_event ev = dp_h1_feed(c->parser, in, &used, &slice);

		in = gw_str_from(in, used);
		c->body += slice.n;
		if (ev == DP_H1_NEED)
			return;
		if (ev == DP_H1_HEAD) /* it says everything; the body is of no interest and may never end */
			judge(c, dp_h1_head(c->parser)->status);
		else if (ev == DP_H1_ERROR || c->body > MAX_BODY)
			over(c, false, "its answer is not HTTP");
	}
}

static void on_end(void *arg, enum dp_net_end how)
{
	(void)how;
	over(arg, false, "it closed the connection without an answer");
}

static const struct dp_conn_ops ops = { .on_read = on_read, .on_end = on_end };

/* ---- the request ---- */

static void send_request(struct check *c)
{
	const struct gw_provider *p = c->provider;
	const struct dp_provider *type = dp_provider_find(p->type);
	struct gw_pair fixed[DP_PROVIDER_MAX_HEADERS];
	struct gw_arena *a = gw_arena_open(1024);
	struct gw_buf *head = &c->shard->head;
	struct gw_str v;
	size_t n = type ? dp_provider_headers(type, p->options, p->n_keys ? p->keys[0].value : GW_STR_NONE, NULL, 0, a, fixed) : 0;

	gw_buf_clear(head);
	dp_write_request_line(head, GW_STR("GET"), p->check.path);
	dp_write_header(head, "host", dp_endpoint_authority(c->endpoint));
	dp_write_header(head, "accept", GW_STR("*/*"));
	dp_write_header(head, "user-agent", GW_STR("tidegate/" TIDEGATE_VERSION));
	dp_write_header(head, "connection", GW_STR("close"));
	for (size_t i = 0; i < n; i++)
		dp_write_header_pair(head, fixed[i].name, fixed[i].value);
	for (size_t i = 0; i < p->n_headers; i++)
		if (dp_header_ok(p->headers[i].name, p->headers[i].value))
			dp_write_header_pair(head, p->headers[i].name, p->headers[i].value);
	dp_write_head_end(head);
	v = gw_buf_str(head);
	dp_conn_write(c->conn, &v, 1);
	gw_arena_close(&a);
}

static void on_dialed(void *arg, struct dp_conn *conn, enum dp_net_fault fault, const char *text)
{
	struct check *c = arg;

	c->dial = NULL;
	if (!conn) {
		if (fault == DP_NET_FAULT_LOCAL) { /* nothing was learnt about the endpoint */
			let_go(c);
			dp_loop_timer(c->shard->loop, &c->timer, c->provider->check.interval_ms);
			return;
		}
		over(c, false, text);
		return;
	}
	c->conn = conn;
	c->body = 0;
	c->parser = dp_h1_open(DP_H1_RESPONSE, &(struct dp_h1_limits){ .max_head = 65536, .max_headers = 200, .max_body = -1 });
	dp_h1_expect(c->parser, false);
	dp_conn_bind(conn, &ops, c);
	send_request(c);
}

static void on_timer(struct dp_timer *t)
{
	struct check *c = GW_CONTAINER(t, struct check, timer);
	struct dp_dial_spec spec;

	if (c->busy) {
		over(c, false, "no answer in time");
		return;
	}
	c->busy = true;
	c->endpoint = dp_pool_endpoint(dp_pool_for(c->shard->pools, c->provider), c->endpoint_i);
	dp_endpoint_dial_spec(c->endpoint, &spec);
	spec.timeout_ms = c->provider->check.timeout_ms;
	dp_loop_timer(c->shard->loop, &c->timer, c->provider->check.timeout_ms);
	c->dial = dp_dial(c->shard->loop, &spec, on_dialed, c);
}

/* ---- which ---- */

static struct check *find(struct dp_shard *s, struct gw_str name, struct gw_str url)
{
	for (struct gw_node *n = s->checks.next; n != &s->checks; n = n->next) {
		struct check *c = GW_CONTAINER(n, struct check, node);

		if (gw_str_is(name, c->name) && gw_str_is(url, c->url))
			return c;
	}
	return NULL;
}

static void name_it(struct dp_shard *s, const struct gw_provider *p, unsigned i)
{
	struct gw_str url = p->endpoints[i].url;
	struct check *c = find(s, p->name, url);

	if (!c) {
		c = gw_alloc(sizeof *c);
		c->shard = s;
		c->name = gw_strdup_n(p->name.p, p->name.n);
		c->url = gw_strdup_n(url.p, url.n);
		c->health = dp_health_ref(DP_HEALTH_ENDPOINT, p->name, url, GW_STR_NONE);
		dp_timer_init(&c->timer, on_timer);
		gw_list_add_tail(&s->checks, &c->node);
		dp_loop_timer(s->loop, &c->timer, (int64_t)(dp_shard_random(s) % FIRST_WITHIN_MS));
	} else if (!c->busy && c->provider->check.interval_ms != p->check.interval_ms) {
		dp_loop_timer(s->loop, &c->timer, (int64_t)(dp_shard_random(s) % FIRST_WITHIN_MS));
	}
	gw_snapshot_unref(&c->snapshot);
	c->snapshot = gw_snapshot_ref(s->snapshot);
	c->provider = p;
	c->endpoint_i = i;
	c->named = true;
}

void dp_checks_bind(struct dp_shard *s)
{
	struct gw_trie_at at = { 0 };
	const struct gw_provider *p;

	if (dp_loop_index(s->loop) != 0 || s->draining)
		return;
	for (struct gw_node *k = s->checks.next; k != &s->checks; k = k->next)
		GW_CONTAINER(k, struct check, node)->named = false;
	while ((p = gw_snapshot_next_provider(s->snapshot, &at)))
		for (unsigned k = 0; p->enabled && p->check.enabled && k < p->n_endpoints; k++)
			name_it(s, p, k);
	for (struct gw_node *k = s->checks.next, *next; k != &s->checks; k = next) {
		struct check *c = GW_CONTAINER(k, struct check, node);

		next = k->next;
		if (!c->named)
			check_close(c);
	}
}

void dp_checks_cut(struct dp_shard *s)
{
	while (!gw_list_empty(&s->checks))
		check_close(GW_CONTAINER(s->checks.next, struct check, node));
}
