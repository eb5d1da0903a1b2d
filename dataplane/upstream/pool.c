/* pool.c - endpoints and their connections. */
#include "upstream/pool.h"

#include <stdlib.h>

#include "base/bytes.h"
#include "base/log.h"
#include "base/map.h"
#include "base/str.h"
#include "http/target.h"
#include "upstream/balance.h"
#include "upstream/seats.h"

/* Where a connection can be; dp_up.node is on the list of that name. */
enum place { UP_IDLE, UP_BUSY, UP_PLACES };

struct dp_endpoint {
	unsigned magic;
#define DP_ENDPOINT_MAGIC 0xe4d90147u
	struct gw_node node;           /* on the pool's ring */
	struct dp_pool *pool;
	unsigned refs;                 /* places, connections, asks; and one while the configuration names it */
	bool named;                    /* by the configuration the pool is bound to */
	char *url, *identity;          /* owned */
	struct dp_base_url base;       /* points into url */
	struct gw_str ca_pem, server_name;   /* owned */
	bool verify, only_tls13, allow_private;
	struct dp_sitter *seats;       /* NULL: the provider bounds nothing */
	size_t max_queue;              /* this loop's share */
	struct dp_health *health;
	struct gw_node on[UP_PLACES];
	size_t n[UP_PLACES];
	struct gw_node connecting;     /* asks with a dial under way */
	size_t n_connecting;
	struct gw_node waiting;        /* asks in the queue */
	size_t n_waiting;
	struct dp_deferred later;      /* serves waiting asks */
	bool later_set;
};

struct dp_pool {
	struct gw_str name;            /* owned */
	struct dp_pools *pools;
	const struct gw_provider *bound;     /* only compared, never followed: it may be gone */
	struct gw_node endpoints;      /* all that still exist */
	struct dp_endpoint *v[DP_POOL_MAX_KEYS];
	size_t n;
	struct dp_health *keys[DP_POOL_MAX_KEYS];
	size_t n_keys;
	int64_t endpoint_credit[DP_POOL_MAX_KEYS], key_credit[DP_POOL_MAX_KEYS];   /* round robin's */
	uint64_t turn;
	int64_t usage_refused_until;
};

struct dp_pools {
	struct dp_loop *loop;
	size_t loops;                  /* of this worker: limits are shared out */
	struct gw_map *map;
	bool draining;
};

/* ---- endpoints ---- */

static char *copy_str(struct gw_str s)
{
	return gw_strdup_n(s.p ? s.p : "", s.n);
}

static void endpoint_unref(struct dp_endpoint *e)
{
	GW_CHECK(e, DP_ENDPOINT_MAGIC);
	assert(e->refs > 0);
	if (--e->refs > 0)
		return;
	assert(e->n[UP_IDLE] == 0 && e->n[UP_BUSY] == 0 && e->n_connecting == 0 && e->n_waiting == 0);
	gw_list_del(&e->node);
	dp_health_unref(&e->health);
	dp_seats_leave(&e->seats);
	e->magic = 0;
	free(e->url);
	free(e->identity);
	free((char *)(uintptr_t)e->ca_pem.p);
	free((char *)(uintptr_t)e->server_name.p);
	free(e);
}

/* Everything that makes a connection to it different from one to another. */
static char *identity_of(const struct gw_provider *pr, struct gw_str url)
{
	uint8_t sum[32];
	char hex[GW_HEX_LEN(32)], *id;
	struct gw_buf b;

	gw_sha256_2(sum, pr->tls.ca_pem.p ? pr->tls.ca_pem : GW_STR(""), pr->tls.server_name.p ? pr->tls.server_name : GW_STR(""));
	gw_hex(hex, sum, sizeof sum);
	gw_buf_init(&b, 65536);
	gw_buf_printf(&b, "%.*s %s %d%d%d", GW_FMT(url), hex, pr->tls.verify, pr->tls.only_13, pr->allow_private);
	id = gw_strdup_n(b.p, b.n);
	gw_buf_fini(&b);
	return id;
}

static struct dp_endpoint *endpoint_open(struct dp_pool *p, const struct gw_provider *pr, struct gw_str url, char *identity)
{
	struct dp_endpoint *e = gw_alloc(sizeof *e);
	char why[200];

	e->magic = DP_ENDPOINT_MAGIC;
	e->pool = p;
	e->url = copy_str(url);
	e->identity = identity;
	if (!dp_base_url_parse(&e->base, gw_str_c(e->url), why, sizeof why)) {
		/* Trying the snapshot on refuses such an address, so this one leads nowhere. */
		e->base.host = GW_STR("invalid.");
		e->base.authority = e->base.host;
		e->base.path = GW_STR("");
	}
	e->ca_pem = (struct gw_str){ copy_str(pr->tls.ca_pem), pr->tls.ca_pem.n };
	e->server_name = (struct gw_str){ copy_str(pr->tls.server_name), pr->tls.server_name.n };
	e->verify = pr->tls.verify;
	e->only_tls13 = pr->tls.only_13;
	e->allow_private = pr->allow_private;
	e->health = dp_health_ref(DP_HEALTH_ENDPOINT, pr->name, url, GW_STR_NONE);
	for (int i = 0; i < UP_PLACES; i++)
		gw_list_init(&e->on[i]);
	gw_list_init(&e->connecting);
	gw_list_init(&e->waiting);
	gw_list_add_tail(&p->endpoints, &e->node);
	return e;
}

static struct dp_endpoint *endpoint_for(struct dp_pool *p, const struct gw_provider *pr, struct gw_str url)
{
	char *identity = identity_of(pr, url);

	for (struct gw_node *n = p->endpoints.next; n != &p->endpoints; n = n->next) {
		struct dp_endpoint *e = GW_CONTAINER(n, struct dp_endpoint, node);

		if (strcmp(e->identity, identity) == 0) {
			free(identity);
			return e;
		}
	}
	return endpoint_open(p, pr, url, identity);
}

void dp_endpoint_dial_spec(const struct dp_endpoint *e, struct dp_dial_spec *out)
{
	*out = (struct dp_dial_spec){
		.host = e->base.host, .port = e->base.port, .tls = e->base.tls, .verify = e->verify, .only_tls13 = e->only_tls13,
		.ca_pem = e->ca_pem, .server_name = e->server_name, .allow_private = e->allow_private,
	};
}

struct dp_endpoint *dp_pool_endpoint(struct dp_pool *p, unsigned i)
{
	p->v[i]->refs++;
	return p->v[i];
}

void dp_endpoint_let_go(struct dp_endpoint **e)
{
	if (*e)
		endpoint_unref(*e);
	*e = NULL;
}

struct dp_health *dp_endpoint_health(struct dp_endpoint *e) { return e->health; }
struct gw_str dp_endpoint_authority(const struct dp_endpoint *e) { return e->base.authority; }
struct gw_str dp_endpoint_path(const struct dp_endpoint *e) { return e->base.path; }

/* ---- connections ---- */

static size_t connections(const struct dp_endpoint *e)
{
	return e->n[UP_BUSY] + e->n[UP_IDLE] + e->n_connecting;
}

/*
 * true: one more may be dialled, and has its seat.  Where the provider sets no limit there is none: each connection is lent to a
 * request, and requests are bounded by the clients' connections.
 */
static bool take_seat(struct dp_endpoint *e)
{
	return !e->seats || dp_seat_take(e->seats);
}

static void serve_later(struct dp_endpoint *e);

/* A connection is no more, or will never be: whoever waits for one may get it. */
static void give_seat(struct dp_endpoint *e)
{
	if (e->seats)
		dp_seat_give(e->seats);
	serve_later(e);
}

static void note_idle(struct dp_endpoint *e)
{
	if (e->seats)
		dp_seat_note_idle(e->seats, e->n[UP_IDLE]);
}

static void move(struct dp_up *u, enum place from, enum place to)
{
	struct dp_endpoint *e = u->at;

	gw_list_del(&u->node);
	e->n[from]--;
	gw_list_add_head(&e->on[to], &u->node); /* newest first: the rest may grow old and close */
	e->n[to]++;
	note_idle(e);
}

static void up_close(struct dp_up *u, enum place from)
{
	struct dp_endpoint *e = u->at;

	GW_CHECK(u, DP_UP_MAGIC);
	gw_list_del(&u->node);
	e->n[from]--;
	dp_timer_stop(&u->idle);
	dp_conn_close(&u->conn);
	dp_h1_close(&u->parser);
	u->magic = 0;
	free(u);
	note_idle(e);
	give_seat(e);
	endpoint_unref(e);
}

static void idle_read(void *arg, struct gw_str bytes)
{
	(void)bytes; /* an answer nobody asked for: whoever came next would get it */
	up_close(arg, UP_IDLE);
}

static void idle_end(void *arg, enum dp_net_end how)
{
	(void)how;
	up_close(arg, UP_IDLE);
}

static const struct dp_conn_ops idle_ops = { .on_read = idle_read, .on_end = idle_end };

static void on_idle_limit(struct dp_timer *t)
{
	up_close(GW_CONTAINER(t, struct dp_up, idle), UP_IDLE);
}

static struct dp_up *take_idle(struct dp_endpoint *e)
{
	while (!gw_list_empty(&e->on[UP_IDLE])) {
		struct dp_up *u = GW_CONTAINER(e->on[UP_IDLE].next, struct dp_up, node);

		if (!dp_conn_silent(u->conn)) {
			up_close(u, UP_IDLE);
			continue;
		}
		dp_timer_stop(&u->idle);
		move(u, UP_IDLE, UP_BUSY);
		u->reused = true;
		return u;
	}
	return NULL;
}

static void ask_leave(struct dp_want *a, size_t *counter)
{
	struct dp_endpoint *e = a->endpoint;

	gw_list_del(&a->node);
	(*counter)--;
	a->endpoint = NULL;
	dp_timer_stop(&a->timer);
	endpoint_unref(e);
}

static void on_dialed(void *arg, struct dp_conn *c, enum dp_net_fault fault, const char *text)
{
	struct dp_want *a = arg;
	struct dp_endpoint *e = a->endpoint;
	struct dp_up *u = NULL;

	a->dial = NULL;
	if (c) {
		u = gw_alloc(sizeof *u);
		u->magic = DP_UP_MAGIC;
		u->at = e;
		u->conn = c;
		u->connect_ms = dp_loop_now(e->pool->pools->loop) - a->dialed_ms;
		u->parser = dp_h1_open(DP_H1_RESPONSE, &(struct dp_h1_limits){ .max_head = 65536, .max_headers = 200, .max_body = -1 });
		dp_timer_init(&u->idle, on_idle_limit);
		gw_list_add_head(&e->on[UP_BUSY], &u->node);
		e->n[UP_BUSY]++;
		e->refs++;
	}
	if (!u)
		give_seat(e);
	ask_leave(a, &e->n_connecting);
	if (u)
		a->ready(a, u);
	else
		a->failed(a, fault, text);
}

static void start_dial(struct dp_want *a, struct dp_endpoint *e)
{
	struct dp_dial_spec s;

	dp_endpoint_dial_spec(e, &s);
	s.timeout_ms = a->connect_ms;
	gw_list_add_tail(&e->connecting, &a->node);
	e->n_connecting++;
	a->dialed_ms = dp_loop_now(e->pool->pools->loop);
	a->dial = dp_dial(e->pool->pools->loop, &s, on_dialed, a);
}

static void on_queue_limit(struct dp_timer *t)
{
	struct dp_want *a = GW_CONTAINER(t, struct dp_want, timer);

	ask_leave(a, &a->endpoint->n_waiting);
	a->failed(a, DP_NET_FAULT_QUEUE, a->refused ? "too many requests wait for a connection to the provider already"
	                                            : "waited too long for a free connection to the provider");
}

struct dp_up *dp_pool_take(struct dp_want *a, struct dp_endpoint *e)
{
	struct dp_up *u;

	GW_CHECK(e, DP_ENDPOINT_MAGIC);
	gw_list_init(&a->node);
	dp_timer_init(&a->timer, on_queue_limit);
	a->endpoint = NULL;
	a->dial = NULL;
	a->refused = false;
	u = a->fresh || !gw_list_empty(&e->waiting) ? NULL : take_idle(e);
	if (u)
		return u;
	a->endpoint = e;
	e->refs++;
	if (gw_list_empty(&e->waiting) && take_seat(e)) { /* nobody overtakes those who wait */
		start_dial(a, e);
	} else {
		a->refused = e->n_waiting >= e->max_queue; /* told in the loop's next turn, like any other failure */
		gw_list_add_tail(&e->waiting, &a->node);
		e->n_waiting++;
		dp_loop_timer(e->pool->pools->loop, &a->timer, a->refused ? 0 : a->queue_ms);
	}
	return NULL;
}

void dp_want_cancel(struct dp_want *a)
{
	if (!a->endpoint)
		return;
	if (a->dial) {
		dp_dial_cancel(&a->dial);
		give_seat(a->endpoint);
		ask_leave(a, &a->endpoint->n_connecting);
	} else {
		ask_leave(a, &a->endpoint->n_waiting);
	}
}

/* The caller holds a reference. */
static void serve_waiting(struct dp_endpoint *e)
{
	while (!gw_list_empty(&e->waiting)) {
		struct dp_want *a = GW_CONTAINER(e->waiting.next, struct dp_want, node);
		struct dp_up *u = take_idle(e);

		if (u) {
			ask_leave(a, &e->n_waiting);
			a->ready(a, u);
		} else if (take_seat(e)) {
			gw_list_del(&a->node);
			e->n_waiting--;
			dp_timer_stop(&a->timer);
			start_dial(a, e);
		} else {
			return;
		}
	}
	if (e->seats)
		dp_seat_withdraw(e->seats);
}

static void on_later(struct dp_deferred *d)
{
	struct dp_endpoint *e = GW_CONTAINER(d, struct dp_endpoint, later);

	e->later_set = false;
	serve_waiting(e);
	endpoint_unref(e);
}

/* At the end of the turn, since whoever made room is still up the stack. */
static void serve_later(struct dp_endpoint *e)
{
	if (e->later_set || gw_list_empty(&e->waiting))
		return;
	e->later_set = true;
	e->refs++;
	dp_loop_defer(e->pool->pools->loop, &e->later, on_later);
}

static void on_wake(void *arg)
{
	struct dp_endpoint *e = arg;

	GW_CHECK(e, DP_ENDPOINT_MAGIC);
	e->refs++;
	serve_waiting(e);
	endpoint_unref(e);
}

static void on_spare(void *arg)
{
	struct dp_endpoint *e = arg;

	GW_CHECK(e, DP_ENDPOINT_MAGIC);
	if (!gw_list_empty(&e->on[UP_IDLE]))
		up_close(GW_CONTAINER(e->on[UP_IDLE].prev, struct dp_up, node), UP_IDLE);
}

static const struct dp_sitter_ops sitter_ops = { .wake = on_wake, .spare = on_spare };

/* Another loop waits for a connection, and it is its turn. */
static bool is_owed(struct dp_endpoint *e)
{
	return e->seats && dp_seat_is_owed(e->seats, !gw_list_empty(&e->waiting));
}

void dp_up_return(struct dp_up **up, bool clean)
{
	struct dp_up *u = *up;
	struct dp_endpoint *e;

	if (!u)
		return;
	*up = NULL;
	GW_CHECK(u, DP_UP_MAGIC);
	e = u->at;
	e->refs++; /* for the end of this function */
	/* Bytes of the request may still be queued when the answer came early: the next one must not stand behind them. */
	if (clean && dp_conn_queued(u->conn) == 0 && e->named && !e->pool->pools->draining && !dp_net_is_tight() &&
	    e->n[UP_IDLE] < DP_POOL_MAX_IDLE && !is_owed(e)) {
		dp_h1_next(u->parser);
		move(u, UP_BUSY, UP_IDLE);
		dp_conn_bind(u->conn, &idle_ops, u);
		dp_conn_resume(u->conn);
		dp_loop_timer(e->pool->pools->loop, &u->idle, DP_POOL_IDLE_MS);
	} else {
		up_close(u, UP_BUSY);
	}
	serve_later(e);
	endpoint_unref(e);
}

/* ---- pools ---- */

struct dp_pools *dp_pools_open(struct dp_loop *l, size_t loops)
{
	struct dp_pools *p = gw_alloc(sizeof *p);

	p->loop = l;
	p->loops = loops ? loops : 1;
	p->map = gw_map_open(16);
	return p;
}

/* The caller holds a reference. */
static void close_idle(struct dp_endpoint *e)
{
	while (!gw_list_empty(&e->on[UP_IDLE]))
		up_close(GW_CONTAINER(e->on[UP_IDLE].next, struct dp_up, node), UP_IDLE);
}

static void forget(struct dp_endpoint *e)
{
	e->named = false;
	close_idle(e); /* the configuration's own reference keeps e alive here */
	endpoint_unref(e);
}

/* Connections are counted over all loops; of the queue each loop has its share, rounded up. */
static void set_limits(struct dp_endpoint *e, const struct gw_provider *pr)
{
	size_t loops = e->pool->pools->loops, most = (size_t)pr->pool.max_connections;
	struct gw_buf server;

	e->max_queue = ((size_t)pr->pool.max_queue + loops - 1) / loops;
	if (!most) {
		dp_seats_leave(&e->seats);
		serve_later(e);
		return;
	}
	if (e->seats) {
		dp_seats_limit(e->seats, most);
		return;
	}
	gw_buf_init(&server, 65536);
	gw_buf_printf(&server, "%.*s %s", GW_FMT(pr->name), e->identity);
	e->seats = dp_seats_join(gw_buf_str(&server), e->pool->pools->loop, most, connections(e), &sitter_ops, e);
	note_idle(e);
	gw_buf_fini(&server);
}

static void bind(struct dp_pool *p, const struct gw_provider *pr)
{
	struct dp_endpoint *old[DP_POOL_MAX_KEYS];
	struct dp_health *old_keys[DP_POOL_MAX_KEYS];
	size_t n_old = p->n, n_old_keys = p->n_keys;

	memcpy(old, p->v, n_old * sizeof *old);
	memcpy(old_keys, p->keys, n_old_keys * sizeof *old_keys);
	for (size_t i = 0; i < n_old; i++)
		old[i]->named = false;
	p->n = p->n_keys = 0;
	for (size_t i = 0; i < pr->n_endpoints && i < DP_POOL_MAX_KEYS; i++) {
		struct dp_endpoint *e = endpoint_for(p, pr, pr->endpoints[i].url);

		e->refs++;
		e->named = true;
		set_limits(e, pr);
		p->endpoint_credit[p->n] = 0;
		p->v[p->n++] = e;
	}
	memset(p->key_credit, 0, sizeof p->key_credit);
	for (size_t i = 0; i < pr->n_keys && i < DP_POOL_MAX_KEYS; i++)
		p->keys[p->n_keys++] = dp_health_ref(DP_HEALTH_KEY, pr->name, pr->keys[i].name, pr->keys[i].value);
	for (size_t i = 0; i < n_old; i++) {
		if (old[i]->named)
			endpoint_unref(old[i]);
		else
			forget(old[i]);
	}
	for (size_t i = 0; i < n_old_keys; i++)
		dp_health_unref(&old_keys[i]);
	p->bound = pr;
}

struct dp_pool *dp_pool_for(struct dp_pools *ps, const struct gw_provider *pr)
{
	struct dp_pool *p = gw_map_get(ps->map, pr->name);

	if (!p) {
		p = gw_alloc(sizeof *p);
		p->name = (struct gw_str){ copy_str(pr->name), pr->name.n };
		p->pools = ps;
		gw_list_init(&p->endpoints);
		gw_map_put(ps->map, p->name, p);
	}
	if (p->bound != pr)
		bind(p, pr);
	return p;
}

static void pool_close(struct dp_pool *p)
{
	for (size_t i = 0; i < p->n; i++)
		forget(p->v[i]);
	for (size_t i = 0; i < p->n_keys; i++)
		dp_health_unref(&p->keys[i]);
	p->n = p->n_keys = 0;
	p->bound = NULL;
}

static void pool_free(struct dp_pools *ps, struct dp_pool *p)
{
	gw_map_del(ps->map, p->name);
	free((char *)(uintptr_t)p->name.p);
	free(p);
}

void dp_pools_keep(struct dp_pools *ps, const struct gw_snapshot *s)
{
	struct dp_pool *over[64];
	struct gw_str key;
	void *v;
	size_t n = 0;

	for (size_t at = 0; gw_map_next(ps->map, &at, &key, &v);) {
		struct dp_pool *p = v;

		p->bound = NULL; /* an address may be reused for another provider object */
		if (s && gw_snapshot_provider(s, key))
			continue;
		pool_close(p);
		if (gw_list_empty(&p->endpoints) && n < GW_COUNT(over))
			over[n++] = p; /* nobody holds anything of it; the others, and those beyond, next time */
	}
	while (n > 0)
		pool_free(ps, over[--n]);
}

void dp_pools_drain(struct dp_pools *ps)
{
	struct gw_str key;
	void *v;

	ps->draining = true;
	for (size_t at = 0; gw_map_next(ps->map, &at, &key, &v);) {
		struct dp_pool *p = v;

		for (size_t i = 0; i < p->n; i++)
			close_idle(p->v[i]);
	}
}

void dp_pools_close(struct dp_pools **psp)
{
	struct dp_pools *ps = *psp;
	struct gw_str key;
	void *v;

	if (!ps)
		return;
	*psp = NULL;
	for (size_t at = 0; gw_map_next(ps->map, &at, &key, &v);) {
		struct dp_pool *p = v;

		pool_close(p);
		if (!gw_list_empty(&p->endpoints))
			gw_log(GW_LOG_ALERT, "pool", p->name, "closed with connections lent out", NULL);
		free((char *)(uintptr_t)p->name.p);
		free(p);
	}
	gw_map_close(&ps->map);
	free(ps);
}

/* ---- choosing ---- */

uint64_t dp_key_id(const struct gw_provider_key *k)
{
	return (gw_hash(k->name) ^ gw_hash(k->value) << 1) | 1; /* of the value too: another key is another account */
}

/* One by the numbers; if another loop became its probe this very moment, one more without it. */
static int choose(enum gw_balance how, struct dp_candidate *c, size_t n, int64_t now, uint64_t turn, uint64_t seed,
                  struct dp_health *const *health, bool *probe)
{
	int i = dp_balance(how, c, n, now, turn, seed);

	*probe = false;
	if (i < 0 || c[i].closed_until > now || c[i].let_in || dp_health_admits(health[i], now, probe))
		return i;
	c[i].closed_until = now + 1;
	i = dp_balance(how, c, n, now, turn, seed);
	if (i >= 0 && c[i].closed_until <= now && !c[i].let_in)
		(void)dp_health_admits(health[i], now, probe);
	return i;
}

static int choose_key(struct dp_pool *p, const struct gw_provider *pr, const struct dp_choice *ch, int64_t now, bool *probe)
{
	struct dp_candidate c[DP_POOL_MAX_KEYS];

	for (size_t k = 0; k < p->n_keys; k++) {
		c[k] = (struct dp_candidate){
			.weight = pr->keys[k].weight, .closed_until = dp_health_closed_until(p->keys[k], now), .credit = &p->key_credit[k],
			.used = ch->tried.keys >> k & 1,
		};
		if (ch->pin_key && dp_key_id(&pr->keys[k]) != ch->pin_key)
			c[k].used = true;
		if (ch->faithful_key)
			c[k].hash = dp_balance_hash(pr->keys[k].name);
	}
	return choose(ch->faithful_key ? GW_BALANCE_HASH : GW_BALANCE_ROUND_ROBIN, c, p->n_keys, now, p->turn, ch->faithful_to, p->keys, probe);
}

static int choose_endpoint(struct dp_pool *p, const struct gw_provider *pr, const struct dp_choice *ch, int64_t now, bool *probe)
{
	struct dp_candidate c[DP_POOL_MAX_KEYS];
	struct dp_health *health[DP_POOL_MAX_KEYS];
	enum gw_balance how = ch->faithful_key ? GW_BALANCE_HASH : pr->balance;
	uint64_t seed = ch->faithful_to;

	for (size_t k = 0; k < p->n; k++) {
		struct dp_health *h = health[k] = p->v[k]->health;

		c[k] = (struct dp_candidate){
			.weight = pr->endpoints[k].weight * dp_health_percent(h, now, pr->breaker.slow_start_ms),
			.in_flight = dp_health_in_flight(h), .closed_until = dp_health_closed_until(h, now), .credit = &p->endpoint_credit[k],
			.used = ch->tried.endpoints >> k & 1,
		};
		if (how == GW_BALANCE_HASH || ch->pin_endpoint)
			c[k].hash = dp_balance_hash(pr->endpoints[k].url);
		if (ch->pin_endpoint && c[k].hash != ch->pin_endpoint)
			c[k].used = true;
	}
	if (p->n > 1)
		dp_balance_cap_ejected(c, p->n, now, pr->breaker.max_ejected_percent);
	if (how == GW_BALANCE_RANDOM)
		gw_random(&seed, sizeof seed);
	return choose(how, c, p->n, now, p->turn, seed, health, probe);
}

int64_t dp_pool_closed_until(const struct dp_pool *p)
{
	int64_t keys = p->n_keys ? INT64_MAX : 0, endpoints = p->n ? INT64_MAX : 0, now = dp_loop_now(p->pools->loop);

	for (size_t i = 0; i < p->n_keys; i++) {
		int64_t t = dp_health_closed_until(p->keys[i], now);

		keys = t < keys ? t : keys;
	}
	for (size_t i = 0; i < p->n; i++) {
		int64_t t = dp_health_closed_until(p->v[i]->health, now);

		endpoints = t < endpoints ? t : endpoints;
	}
	return keys > endpoints ? keys : endpoints;
}

bool dp_pool_refuses_usage(const struct dp_pool *p)
{
	return p->usage_refused_until > dp_loop_now(p->pools->loop);
}

void dp_pool_note_usage_refused(struct dp_pool *p)
{
	p->usage_refused_until = dp_loop_now(p->pools->loop) + 3600000;
}

bool dp_place_choose(struct dp_pool *p, const struct gw_provider *pr, const struct dp_choice *ch, struct dp_place *out)
{
	int64_t now = dp_loop_now(p->pools->loop);
	bool endpoint_probe = false, key_probe = false;
	int e, k = -1;

	memset(out, 0, sizeof *out);
	e = choose_endpoint(p, pr, ch, now, &endpoint_probe);
	if (p->n_keys > 0)
		k = choose_key(p, pr, ch, now, &key_probe);
	p->turn++;
	if (e < 0 || (k < 0 && p->n_keys > 0)) {
		if (endpoint_probe)
			dp_health_probe_end(p->v[e]->health);
		if (key_probe)
			dp_health_probe_end(p->keys[k]);
		return false;
	}
	out->endpoint = p->v[e];
	out->endpoint->refs++;
	out->endpoint_i = (unsigned)e;
	out->endpoint_probe = endpoint_probe;
	dp_health_begin(out->endpoint->health);
	if (k >= 0) {
		out->key_i = (unsigned)k;
		out->key = &pr->keys[k];
		out->key_health = dp_health_share(p->keys[k]);
		out->key_probe = key_probe;
		dp_health_begin(out->key_health);
	}
	return true;
}

bool dp_place_again(struct dp_pool *p, const struct gw_provider *pr, const struct dp_place *old, struct dp_place *out)
{
	struct dp_choice ch = { .pin_endpoint = dp_balance_hash(pr->endpoints[old->endpoint_i].url) };

	if (old->key)
		ch.pin_key = dp_key_id(old->key);
	return dp_place_choose(p, pr, &ch, out);
}

void dp_place_leave(struct dp_place *pl)
{
	if (!pl->endpoint)
		return;
	dp_health_end(pl->endpoint->health);
	if (pl->endpoint_probe)
		dp_health_probe_end(pl->endpoint->health);
	if (pl->key_health) {
		dp_health_end(pl->key_health);
		if (pl->key_probe)
			dp_health_probe_end(pl->key_health);
		dp_health_unref(&pl->key_health);
	}
	endpoint_unref(pl->endpoint);
	memset(pl, 0, sizeof *pl);
}

/* Closed, or half open: not trusted before a request has gone well. */
static bool is_doubtful(const struct dp_health *h, int64_t now)
{
	return dp_health_on_probation(h) || dp_health_closed_until(h, now) > now;
}

size_t dp_pools_count(const struct dp_pools *ps, struct dp_pool_count *out, size_t cap)
{
	int64_t now = dp_loop_now(ps->loop);
	struct gw_str key;
	void *v;
	size_t n = 0;

	for (size_t at = 0; n < cap && gw_map_next(ps->map, &at, &key, &v);) {
		struct dp_pool *p = v;
		struct dp_pool_count *c = &out[n++];

		*c = (struct dp_pool_count){ .provider = p->name };
		for (struct gw_node *e = p->endpoints.next; e != &p->endpoints; e = e->next) {
			const struct dp_endpoint *ep = GW_CONTAINER(e, struct dp_endpoint, node);

			c->connecting += ep->n_connecting;
			c->idle += ep->n[UP_IDLE];
			c->busy += ep->n[UP_BUSY];
			c->waiting += ep->n_waiting;
		}
		size_t endpoints = 0, keys = 0;
		for (size_t i = 0; i < p->n; i++) {
			c->endpoints_out += dp_health_closed_until(p->v[i]->health, now) > now;
			endpoints += is_doubtful(p->v[i]->health, now);
		}
		for (size_t i = 0; i < p->n_keys; i++) {
			c->keys_out += dp_health_closed_until(p->keys[i], now) > now;
			keys += is_doubtful(p->keys[i], now);
		}
		c->is_out = (p->n > 0 && endpoints == p->n) || (p->n_keys > 0 && keys == p->n_keys);
	}
	return n;
}

static void count_peer(struct dp_endpoint_count *c, const struct dp_addr *a)
{
	size_t i = 0;

	while (i < c->n_peers && !dp_addr_same_ip(&c->peers[i].addr, a))
		i++;
	if (i == DP_POOL_MAX_PEERS) {
		c->unlisted++;
		return;
	}
	if (i == c->n_peers)
		c->peers[c->n_peers++].addr = *a;
	c->peers[i].n++;
}

void dp_pools_count_endpoint(const struct dp_pools *ps, struct gw_str provider, struct gw_str url, struct dp_endpoint_count *c)
{
	const struct dp_pool *p = gw_map_get(ps->map, provider);

	for (const struct gw_node *n = p ? p->endpoints.next : NULL; p && n != &p->endpoints; n = n->next) {
		const struct dp_endpoint *e = GW_CONTAINER(n, struct dp_endpoint, node);

		if (!gw_str_is(url, e->url))
			continue;
		c->connecting += e->n_connecting;
		c->idle += e->n[UP_IDLE];
		c->busy += e->n[UP_BUSY];
		c->waiting += e->n_waiting;
		for (int at = 0; at < UP_PLACES; at++)
			for (const struct gw_node *u = e->on[at].next; u != &e->on[at]; u = u->next)
				count_peer(c, dp_conn_peer(GW_CONTAINER(u, struct dp_up, node)->conn));
	}
}
