/* redis.c - one server, a sentinels' master, or a cluster, behind one door. */
#include "services/redis/redis.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/str.h"

#define SLOTS 16384u
#define HOPS_MAX 5
#define PAUSE_MS 5               /* until keys on their way are asked for again */
#define PAUSES_MAX 10            /* less than DP_COUNTERS_WAIT_MS together: one counter's move is no outage of all */
#define ASK_AGAIN_MS 1000
#define PORT 6379
#define SENTINEL_PORT 26379

struct node {
	struct dp_redis *redis;
	struct dp_redis_link *link;
	unsigned loaded;             /* scripts known to it */
	bool wanted;                 /* named by the newest map of slots */
	struct gw_node waiting;      /* calls, until it is reached for the first time */
};

struct seed { char *host; uint16_t port; };

struct dp_redis {
	unsigned magic;
#define REDIS_MAGIC 0x4ed15002u
	struct dp_loop *loop;
	int64_t mode;
	struct gw_str master_name;   /* owned */
	struct dp_redis_login login, sentinel_login;
	const struct dp_redis_ops *ops;
	void *arg;
	char sha[DP_REDIS_SCRIPTS_MAX][41];
	unsigned n_scripts;
	struct seed *seeds;
	size_t n_seeds, seed;
	struct dp_redis_link *asker; /* a sentinel; in a cluster the seed that tells the map */
	struct node *nodes[DP_REDIS_NODES_MAX];
	size_t n_nodes;
	uint8_t owner[SLOTS];        /* index of a node, plus 1 */
	struct dp_timer again;
	struct gw_node paused;       /* calls whose keys are on their way */
	struct dp_timer resume;
	bool up, closed;
	struct dp_deferred dead;
};

static void ask_for_servers(struct dp_redis *r);

/* ---- calls ---- */

void dp_redis_call_init(struct dp_redis_call *c, unsigned script, unsigned slot, void (*done)(struct dp_redis_call *c, const redisReply *reply))
{
	*c = (struct dp_redis_call){ .script = script, .slot = slot, .done = done };
	gw_list_init(&c->node);
	gw_buf_init(&c->words, 1u << 20);
}

void dp_redis_call_text(struct dp_redis_call *c, struct gw_str word)
{
	gw_buf_printf(&c->words, "$%zu\r\n", word.n);
	gw_buf_add(&c->words, word);
	gw_buf_add_c(&c->words, "\r\n");
	c->n_words++;
}

void dp_redis_call_int(struct dp_redis_call *c, int64_t word)
{
	char text[24];
	int n = snprintf(text, sizeof text, "%lld", (long long)word);

	dp_redis_call_text(c, (struct gw_str){ text, (size_t)n });
}

void dp_redis_call_fini(struct dp_redis_call *c)
{
	gw_buf_fini(&c->words);
}

static void on_reply(void *arg, const redisReply *reply);

static struct node *owner_of(struct dp_redis *r, unsigned slot)
{
	size_t i = r->mode == GW_REDIS_CLUSTER ? r->owner[slot] : 1;

	return i > 0 && i <= r->n_nodes ? r->nodes[i - 1] : NULL;
}

static void finish(struct dp_redis_call *c, const redisReply *reply)
{
	c->redis = NULL;
	c->done(c, reply);
}

static void nowhere(struct dp_deferred *d)
{
	finish(GW_CONTAINER(d, struct dp_redis_call, later), NULL);
}

/* The owner may have broken a moment ago: said later, since callers are in the middle of it.  One that is new is waited for. */
static void send_call(struct dp_redis_call *c, struct node *to, bool asking)
{
	struct dp_redis *r = c->redis;
	const char *text = r->ops->scripts[c->script];
	struct gw_buf b;

	if (to && dp_redis_link_is_coming(to->link)) {
		gw_list_add_tail(&to->waiting, &c->node);
		return;
	}
	if (!to || !dp_redis_link_is_up(to->link)) {
		dp_loop_defer(r->loop, &c->later, nowhere);
		return;
	}
	gw_buf_init(&b, 2u << 20);
	if (asking)
		gw_buf_add_c(&b, "*1\r\n$6\r\nASKING\r\n");
	if (c->whole || !r->sha[c->script][0])
		gw_buf_printf(&b, "*%zu\r\n$4\r\nEVAL\r\n$%zu\r\n%s\r\n", c->n_words + 2, strlen(text), text);
	else
		gw_buf_printf(&b, "*%zu\r\n$7\r\nEVALSHA\r\n$40\r\n%s\r\n", c->n_words + 2, r->sha[c->script]);
	gw_buf_add(&b, gw_buf_str(&c->words));
	if (asking) { /* its OK is nobody's business */
		dp_redis_link_send(to->link, (struct gw_str){ b.p, 16 }, NULL, NULL);
		gw_buf_drop_front(&b, 16);
	}
	dp_redis_link_send(to->link, gw_buf_str(&b), on_reply, c);
	gw_buf_fini(&b);
}

static struct dp_redis_call *next_of(struct gw_node *list)
{
	struct dp_redis_call *c = gw_list_empty(list) ? NULL : GW_CONTAINER(list->next, struct dp_redis_call, node);

	if (c)
		gw_list_del(&c->node);
	return c;
}

/* Nobody is left to answer them. */
static void fail_all(struct gw_node *list)
{
	struct dp_redis_call *c;

	while ((c = next_of(list)))
		finish(c, NULL);
}

/* From the slot's owner on: he says where its keys are by now. */
static void send_all(struct dp_redis *r, struct gw_node *list)
{
	struct gw_node due;
	struct dp_redis_call *c;

	gw_list_init(&due);
	while ((c = next_of(list)))
		gw_list_add_tail(&due, &c->node);
	while ((c = next_of(&due)))
		send_call(c, owner_of(r, c->slot), false);
}

static void on_resume(struct dp_timer *t)
{
	struct dp_redis *r = GW_CONTAINER(t, struct dp_redis, resume);

	GW_CHECK(r, REDIS_MAGIC);
	send_all(r, &r->paused);
}

static void pause_call(struct dp_redis *r, struct dp_redis_call *c)
{
	c->pauses++;
	c->hops = 0;
	gw_list_add_tail(&r->paused, &c->node);
	if (!dp_timer_armed(&r->resume))
		dp_loop_timer(r->loop, &r->resume, PAUSE_MS);
}

void dp_redis_run(struct dp_redis *r, struct dp_redis_call *c)
{
	GW_CHECK(r, REDIS_MAGIC);
	assert(r->up && !c->redis);
	c->redis = r;
	send_call(c, owner_of(r, c->slot), false);
}

/* ---- servers ---- */

bool dp_redis_address(struct gw_str text, uint16_t otherwise, struct gw_str *host, uint16_t *port)
{
	size_t at = text.n;
	int64_t number = otherwise;

	if (text.n && text.p[0] == '[') {
		size_t end;

		if (!gw_str_find(text, GW_STR("]"), &end) || end == 1)
			return false;
		*host = (struct gw_str){ text.p + 1, end - 1 };
		at = end + 1;
	} else {
		for (size_t i = 0; i < text.n && at == text.n; i++)
			if (text.p[i] == ':')
				at = i;
		*host = (struct gw_str){ text.p, at };
	}
	if (!host->n || host->n > 253 || (at < text.n && (text.p[at] != ':' || !gw_str_int(gw_str_from(text, at + 1), 1, 65535, &number))))
		return false;
	*port = (uint16_t)number;
	return true;
}

static bool complete(const struct dp_redis *r)
{
	size_t wanted = 0;

	for (size_t i = 0; i < r->n_nodes; i++) {
		wanted += r->nodes[i]->wanted;
		if (r->nodes[i]->wanted && (!dp_redis_link_is_up(r->nodes[i]->link) || r->nodes[i]->loaded < r->n_scripts))
			return false;
	}
	for (size_t i = 0; r->mode == GW_REDIS_CLUSTER && i < SLOTS; i++)
		if (!r->owner[i])
			return false;
	return wanted > 0;
}

static void maybe_up(struct dp_redis *r)
{
	if (r->up || !complete(r))
		return;
	r->up = true;
	r->ops->up(r->arg);
}

static void go_down(struct dp_redis *r, const char *why)
{
	if (r->mode != GW_REDIS_SINGLE && !r->asker && !dp_timer_armed(&r->again))
		dp_loop_timer(r->loop, &r->again, ASK_AGAIN_MS / 4);
	r->up = false;
	if (!r->closed)
		r->ops->down(r->arg, why);
}

static void on_loaded(void *arg, const redisReply *reply)
{
	struct node *n = arg;

	if (!reply)
		return;
	if (reply->type == REDIS_REPLY_STRING && reply->len == 40 && n->loaded < n->redis->n_scripts)
		memcpy(n->redis->sha[n->loaded], reply->str, 41);
	n->loaded++;
	if (reply->type == REDIS_REPLY_ERROR) {
		char why[160];

		snprintf(why, sizeof why, "it takes no scripts: %.*s", (int)(reply->len < 100 ? reply->len : 100), reply->str);
		dp_redis_link_drop(n->link, why);
		return;
	}
	maybe_up(n->redis);
}

static void node_up(void *arg)
{
	struct node *n = arg;

	n->loaded = 0;
	for (unsigned i = 0; i < n->redis->n_scripts; i++) {
		struct gw_buf b;

		gw_buf_init(&b, 1u << 20);
		dp_redis_format(&b, (struct gw_str[]){ GW_STR("SCRIPT"), GW_STR("LOAD"), gw_str_c(n->redis->ops->scripts[i]) }, 3);
		dp_redis_link_send(n->link, gw_buf_str(&b), on_loaded, n);
		gw_buf_fini(&b);
	}
	send_all(n->redis, &n->waiting);
}

static void node_down(void *arg, const char *why)
{
	struct node *n = arg;
	char text[300];
	uint16_t port;
	struct gw_str host = dp_redis_link_host(n->link, &port);

	snprintf(text, sizeof text, "%.*s:%u: %s", GW_FMT(host), port, why);
	n->loaded = 0;
	fail_all(&n->waiting);
	go_down(n->redis, text);
}

static const struct dp_redis_link_ops node_ops = { .up = node_up, .down = node_down };

static size_t node_for(struct dp_redis *r, struct gw_str host, uint16_t port)
{
	struct node *n;

	for (size_t i = 0; i < r->n_nodes; i++) {
		uint16_t p;

		if (gw_str_eq(dp_redis_link_host(r->nodes[i]->link, &p), host) && p == port)
			return i + 1;
	}
	if (r->n_nodes == DP_REDIS_NODES_MAX)
		return 0;
	n = gw_alloc(sizeof *n);
	n->redis = r;
	gw_list_init(&n->waiting);
	r->nodes[r->n_nodes++] = n;
	n->link = dp_redis_link_open(r->loop, host, port, &r->login, &node_ops, n);
	return r->n_nodes;
}

/* Nodes that the newest map does not name are let go; the map keeps its meaning. */
static void drop_unwanted(struct dp_redis *r)
{
	uint8_t to[DP_REDIS_NODES_MAX + 1] = { 0 };
	size_t n = 0;

	for (size_t i = 0; i < r->n_nodes; i++) {
		struct node *d = r->nodes[i];

		if (d->wanted) {
			r->nodes[n++] = d;
			to[i + 1] = (uint8_t)n;
		} else {
			dp_redis_link_close(&d->link);
			fail_all(&d->waiting);
			free(d);
		}
	}
	r->n_nodes = n;
	for (size_t i = 0; i < SLOTS; i++)
		r->owner[i] = to[r->owner[i]];
}

/* Every server that the newest map names is reached, or about to be for the first time. */
static bool within_reach(const struct dp_redis *r)
{
	for (size_t i = 0; i < r->n_nodes; i++)
		if (!dp_redis_link_is_up(r->nodes[i]->link) && !dp_redis_link_is_coming(r->nodes[i]->link))
			return false;
	for (size_t i = 0; i < SLOTS; i++)
		if (!r->owner[i])
			return false;
	return true;
}

/* A cluster goes on while its slots move; otherwise nobody calls until all of the newest map are reached. */
static void take_map(struct dp_redis *r)
{
	bool was_up = r->up;

	r->up = false; /* while servers come and go */
	drop_unwanted(r);
	dp_redis_link_close(&r->asker);
	r->up = was_up && r->mode == GW_REDIS_CLUSTER && within_reach(r);
	maybe_up(r);
}

/* ---- who serves: sentinels, and the map of a cluster ---- */

static void ask_again_later(struct dp_redis *r)
{
	dp_redis_link_close(&r->asker);
	r->seed = (r->seed + 1) % r->n_seeds;
	dp_loop_timer(r->loop, &r->again, ASK_AGAIN_MS);
}

static bool text_and_port(const redisReply *host, const redisReply *port, struct gw_str *h, uint16_t *p)
{
	int64_t number = 0;

	if (host->type != REDIS_REPLY_STRING)
		return false;
	*h = (struct gw_str){ host->str, (size_t)host->len };
	if (port->type == REDIS_REPLY_INTEGER)
		number = port->integer;
	else if (port->type != REDIS_REPLY_STRING || !gw_str_int((struct gw_str){ port->str, (size_t)port->len }, 1, 65535, &number))
		return false;
	*p = (uint16_t)number;
	return number > 0 && number < 65536 && h->n < 254;
}

static void on_master(void *arg, const redisReply *reply)
{
	struct dp_redis *r = arg;
	struct gw_str host;
	uint16_t port;
	size_t i;

	if (!reply)
		return;
	if (reply->type != REDIS_REPLY_ARRAY || reply->elements != 2 || !text_and_port(reply->element[0], reply->element[1], &host, &port)) {
		ask_again_later(r);
		if (!r->up)
			go_down(r, "the sentinel knows no such master");
		return;
	}
	i = node_for(r, host, port);
	for (size_t k = 0; k < r->n_nodes; k++)
		r->nodes[k]->wanted = k + 1 == i;
	take_map(r);
}

static bool take_range(struct dp_redis *r, const redisReply *range, struct gw_str asked)
{
	struct gw_str host;
	uint16_t port;
	size_t i;

	if (range->type != REDIS_REPLY_ARRAY || range->elements < 3 || range->element[0]->type != REDIS_REPLY_INTEGER ||
	    range->element[1]->type != REDIS_REPLY_INTEGER || range->element[2]->type != REDIS_REPLY_ARRAY || range->element[2]->elements < 2 ||
	    !text_and_port(range->element[2]->element[0], range->element[2]->element[1], &host, &port))
		return false;
	if (range->element[0]->integer < 0 || range->element[1]->integer >= (int64_t)SLOTS)
		return false;
	i = node_for(r, host.n ? host : asked, port);
	if (!i)
		return false;
	r->nodes[i - 1]->wanted = true;
	for (int64_t s = range->element[0]->integer; s <= range->element[1]->integer; s++)
		r->owner[s] = (uint8_t)i;
	return true;
}

static void on_map(void *arg, const redisReply *reply)
{
	struct dp_redis *r = arg;
	uint16_t port;
	struct gw_str asked;
	bool ok;

	if (!reply)
		return;
	ok = reply->type == REDIS_REPLY_ARRAY && reply->elements > 0;
	asked = dp_redis_link_host(r->asker, &port);
	if (ok) {
		memset(r->owner, 0, sizeof r->owner);
		for (size_t k = 0; k < r->n_nodes; k++)
			r->nodes[k]->wanted = false;
		for (size_t k = 0; k < reply->elements && ok; k++)
			ok = take_range(r, reply->element[k], asked);
	}
	if (!ok) {
		ask_again_later(r);
		go_down(r, "the server tells no map of slots; is it a cluster?");
		return;
	}
	take_map(r);
	if (!r->up)
		dp_loop_timer(r->loop, &r->again, 2 * ASK_AGAIN_MS);
}

static void asker_up(void *arg)
{
	struct dp_redis *r = arg;
	struct gw_buf b;

	gw_buf_init(&b, 4096);
	if (r->mode == GW_REDIS_CLUSTER)
		dp_redis_format(&b, (struct gw_str[]){ GW_STR("CLUSTER"), GW_STR("SLOTS") }, 2);
	else
		dp_redis_format(&b, (struct gw_str[]){ GW_STR("SENTINEL"), GW_STR("get-master-addr-by-name"), r->master_name }, 3);
	dp_redis_link_send(r->asker, gw_buf_str(&b), r->mode == GW_REDIS_CLUSTER ? on_map : on_master, r);
	gw_buf_fini(&b);
}

static void asker_down(void *arg, const char *why)
{
	struct dp_redis *r = arg;
	char text[300];

	snprintf(text, sizeof text, "%s:%u: %s", r->seeds[r->seed].host, r->seeds[r->seed].port, why);
	ask_again_later(r);
	if (!r->up)
		go_down(r, text);
}

static const struct dp_redis_link_ops asker_ops = { .up = asker_up, .down = asker_down };

static void ask_for_servers(struct dp_redis *r)
{
	const struct seed *s = &r->seeds[r->seed];

	if (r->mode == GW_REDIS_SINGLE || r->asker)
		return;
	dp_timer_stop(&r->again);
	r->asker = dp_redis_link_open(r->loop, gw_str_c(s->host), s->port, r->mode == GW_REDIS_CLUSTER ? &r->login : &r->sentinel_login,
	                              &asker_ops, r);
}

static void on_again(struct dp_timer *t)
{
	struct dp_redis *r = GW_CONTAINER(t, struct dp_redis, again);

	GW_CHECK(r, REDIS_MAGIC);
	ask_for_servers(r);
}

/* ---- replies ---- */

static bool begins(const redisReply *reply, const char *word)
{
	return reply->type == REDIS_REPLY_ERROR && strncmp(reply->str, word, strlen(word)) == 0;
}

/* "MOVED 3999 127.0.0.1:6381", "ASK 3999 127.0.0.1:6381" */
static struct node *redirected(struct dp_redis *r, const redisReply *reply)
{
	struct gw_str rest = { reply->str, (size_t)reply->len }, host;
	uint16_t port;
	size_t i;

	gw_str_cut(&rest, ' ');
	gw_str_cut(&rest, ' ');
	if (!rest.p)
		return NULL;
	for (i = rest.n; i > 0 && rest.p[i - 1] != ':'; i--)
		;
	if (i < 2 || !dp_redis_address(rest, PORT, &host, &port))
		return NULL;
	i = node_for(r, host, port);
	return i ? r->nodes[i - 1] : NULL;
}

bool dp_redis_refused(const redisReply *reply)
{
	static const char *const words[] = { "NOSCRIPT", "MOVED ", "ASK ", "TRYAGAIN", "CLUSTERDOWN", "LOADING", "READONLY", "MASTERDOWN", "BUSY " };

	for (size_t i = 0; reply && i < GW_COUNT(words); i++)
		if (begins(reply, words[i]))
			return true;
	return false;
}

static void on_reply(void *arg, const redisReply *reply)
{
	struct dp_redis_call *c = arg;
	struct dp_redis *r = c->redis;

	if (reply && begins(reply, "TRYAGAIN") && c->pauses < PAUSES_MAX) {
		pause_call(r, c);
		return;
	}
	if (reply && ++c->hops <= HOPS_MAX) {
		if (begins(reply, "NOSCRIPT")) {
			c->whole = true;
			send_call(c, owner_of(r, c->slot), false);
			return;
		}
		if (begins(reply, "MOVED ") || begins(reply, "ASK ")) {
			struct node *to = redirected(r, reply);

			if (begins(reply, "MOVED "))
				ask_for_servers(r);
			send_call(c, to, begins(reply, "ASK "));
			return;
		}
	}
	if (reply && (begins(reply, "READONLY") || begins(reply, "MASTERDOWN")))
		ask_for_servers(r); /* a failover that we have not heard of */
	finish(c, reply);
}

/* ---- life ---- */

static struct gw_str own(struct gw_str s)
{
	return s.p ? (struct gw_str){ gw_strdup_n(s.p, s.n), s.n } : s;
}

static void add_seed(struct dp_redis *r, struct gw_str text, uint16_t otherwise)
{
	struct gw_str host;
	uint16_t port;

	if (!dp_redis_address(text, otherwise, &host, &port))
		return; /* the settings' own check has refused it long ago */
	r->seeds[r->n_seeds++] = (struct seed){ gw_strdup_n(host.p, host.n), port };
}

static void read_url(struct dp_redis *r, const struct gw_counter_settings *s)
{
	struct gw_str rest = s->url, number;
	size_t at;

	if (!rest.n || !gw_str_find(rest, GW_STR("://"), &at))
		return;
	r->login.tls = gw_str_starts(rest, GW_STR("rediss"));
	rest = gw_str_from(rest, at + 3);
	number = rest;
	rest = gw_str_cut(&number, '/');
	if (number.n)
		(void)!gw_str_int(number, 0, 1000000, &r->login.database);
	add_seed(r, rest, r->mode == GW_REDIS_SENTINEL ? SENTINEL_PORT : PORT);
}

struct dp_redis *dp_redis_open(struct dp_loop *l, const struct gw_counter_settings *s, const struct dp_redis_ops *ops, void *arg)
{
	struct dp_redis *r = gw_alloc(sizeof *r);

	r->magic = REDIS_MAGIC;
	r->loop = l;
	r->mode = s->mode;
	r->ops = ops;
	r->arg = arg;
	while (ops->scripts[r->n_scripts])
		r->n_scripts++;
	assert(r->n_scripts <= DP_REDIS_SCRIPTS_MAX);
	r->master_name = own(s->master_name);
	r->login = (struct dp_redis_login){ .user = own(s->username), .password = own(s->password), .ca_pem = own(s->ca_pem), .verify = s->verify };
	r->seeds = gw_alloc((s->members.n + 1) * sizeof *r->seeds);
	dp_timer_init(&r->again, on_again);
	dp_timer_init(&r->resume, on_resume);
	gw_list_init(&r->paused);
	read_url(r, s);
	for (size_t i = 0; i < s->members.n; i++)
		add_seed(r, s->members.v[i], r->mode == GW_REDIS_SENTINEL ? SENTINEL_PORT : PORT);
	r->sentinel_login = (struct dp_redis_login){ .password = own(s->sentinel_password), .tls = r->login.tls, .verify = r->login.verify,
		.ca_pem = r->login.ca_pem };
	if (!r->n_seeds)
		return r;
	if (r->mode == GW_REDIS_SINGLE)
		r->nodes[node_for(r, gw_str_c(r->seeds[0].host), r->seeds[0].port) - 1]->wanted = true;
	else
		ask_for_servers(r);
	return r;
}

static void wipe(struct gw_str s)
{
	if (s.p)
		explicit_bzero((char *)(uintptr_t)s.p, s.n);
	free((char *)(uintptr_t)s.p);
}

static void free_redis(struct dp_deferred *d)
{
	struct dp_redis *r = GW_CONTAINER(d, struct dp_redis, dead);

	for (size_t i = 0; i < r->n_seeds; i++)
		free(r->seeds[i].host);
	free(r->seeds);
	wipe(r->master_name);
	wipe(r->login.user);
	wipe(r->login.password);
	wipe(r->login.ca_pem);
	wipe(r->sentinel_login.password);
	r->magic = 0;
	free(r);
}

void dp_redis_close(struct dp_redis **rp)
{
	struct dp_redis *r = *rp;

	if (!r)
		return;
	*rp = NULL;
	GW_CHECK(r, REDIS_MAGIC);
	r->closed = true;
	r->up = false;
	dp_timer_stop(&r->again);
	dp_timer_stop(&r->resume);
	fail_all(&r->paused);
	dp_redis_link_close(&r->asker);
	for (size_t i = 0; i < r->n_nodes; i++) {
		dp_redis_link_close(&r->nodes[i]->link);
		fail_all(&r->nodes[i]->waiting);
		free(r->nodes[i]);
	}
	r->n_nodes = 0;
	dp_loop_defer(r->loop, &r->dead, free_redis);
}

bool dp_redis_is_up(const struct dp_redis *r) { return r->up; }

void dp_redis_drop(struct dp_redis *r, const char *why)
{
	GW_CHECK(r, REDIS_MAGIC);
	for (size_t i = 0; i < r->n_nodes; i++)
		dp_redis_link_drop(r->nodes[i]->link, why);
}

/* CRC16-CCITT (XMODEM) of the key, or of what stands between its first braces. */
unsigned dp_redis_slot(const struct dp_redis *r, struct gw_str key)
{
	uint16_t crc = 0;
	size_t open, close;

	if (r->mode != GW_REDIS_CLUSTER)
		return 0;
	if (gw_str_find(key, GW_STR("{"), &open) && gw_str_find(gw_str_from(key, open + 1), GW_STR("}"), &close) && close > 0)
		key = (struct gw_str){ key.p + open + 1, close };
	for (size_t i = 0; i < key.n; i++) {
		crc = (uint16_t)(crc ^ (uint16_t)((uint8_t)key.p[i] << 8));
		for (int bit = 0; bit < 8; bit++)
			crc = (uint16_t)(crc & 0x8000 ? crc << 1 ^ 0x1021 : crc << 1);
	}
	return crc % SLOTS;
}
