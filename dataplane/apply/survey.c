/* survey.c - see survey.h. */
#include "apply/survey.h"

#include <stdlib.h>

#include "base/str.h"
#include "base/time.h"
#include "http/target.h"
#include "net/name.h"

struct server {
	struct gw_str host;
	uint16_t port;
	bool is_name;
	struct dp_endpoint_count count;
	struct dp_name name;           /* as the loop knows it that asked last */
};

struct survey {
	const struct gw_provider *provider;
	struct server *v;              /* by endpoint */
};

/* ---- on each loop ---- */

/* What one loop met at an address is news for the others' view of it. */
static void take_news(struct dp_name *ours, const struct dp_name *theirs)
{
	for (size_t i = 0; i < ours->n; i++)
		for (size_t k = 0; k < theirs->n; k++) {
			struct dp_name_addr *a = &ours->v[i];
			const struct dp_name_addr *b = &theirs->v[k];

			if (!dp_addr_same_ip(&a->addr, &b->addr))
				continue;
			a->good_ms = b->good_ms > a->good_ms ? b->good_ms : a->good_ms;
			if (b->bad_ms <= a->bad_ms)
				continue;
			a->bad_ms = b->bad_ms;
			memcpy(a->why, b->why, sizeof a->why);
		}
}

static void fold_name(struct dp_name *into, const struct dp_name *from)
{
	struct dp_name was = *into;

	if (from->resolved_ms > was.resolved_ms || (from->resolved_ms == was.resolved_ms && from->expires_ms > was.expires_ms)) {
		*into = *from;
		take_news(into, &was);
	} else {
		take_news(into, from);
	}
	if (into->ttl_ms < 0)
		into->ttl_ms = from->ttl_ms >= 0 ? from->ttl_ms : was.ttl_ms;
}

static void look(struct dp_shard *s, void *arg)
{
	struct survey *all = arg;
	const struct gw_provider *p = all->provider;
	struct dp_name name;

	for (size_t i = 0; i < p->n_endpoints; i++) {
		struct server *at = &all->v[i];

		dp_pools_count_endpoint(dp_shard_pools(s), p->name, p->endpoints[i].url, &at->count);
		if (at->is_name && dp_name_look(dp_shard_loop(s), at->host, at->port, &name))
			fold_name(&at->name, &name);
	}
}

static void prepare(struct server *at, struct gw_str url)
{
	struct dp_base_url base;
	struct dp_name_addr *a = &at->name.v[0];
	char why[200];

	at->name.ttl_ms = -1;
	if (!dp_base_url_parse(&base, url, why, sizeof why))
		return; /* leads nowhere, and has no address to show */
	at->host = base.host;
	at->port = base.port;
	at->is_name = !dp_addr_parse(base.host, base.port, &a->addr);
	at->name.n = !at->is_name;
}

/* ---- as JSON ---- */

/* Times of ours are monotonic; 0: there is none. */
static void set_when(json_t *o, const char *member, int64_t mono_ms)
{
	gw_json_set_time(o, member, mono_ms ? gw_now_ms() + mono_ms - gw_mono_ms() : 0);
}

static void set_text(json_t *o, const char *member, const char *text)
{
	if (text[0])
		gw_json_set_str(o, member, gw_str_c(text));
	else
		json_object_set_new(o, member, json_null());
}

static bool may_be_dialled(const struct dp_addr *a, bool allow_private)
{
	enum gw_guard g = dp_guard_judge(a);

	return g == GW_GUARD_PUBLIC || (g == GW_GUARD_PRIVATE && allow_private);
}

static const char *state_of(const struct dp_name_addr *a, size_t connections, bool allow_private)
{
	if (!may_be_dialled(&a->addr, allow_private))
		return "blocked";
	if (a->bad_ms > a->good_ms)
		return "failing";
	return connections > 0 ? "in_use" : "spare";
}

static void add_address(json_t *list, const struct dp_name_addr *a, const char *state, size_t connections)
{
	struct dp_addr bare = a->addr;
	char text[DP_ADDR_TEXT];
	json_t *o = json_object();

	bare.port = 0;
	gw_json_set_str(o, "address", gw_str_c(dp_addr_text(&bare, text)));
	json_object_set_new(o, "family", json_string(bare.v6 ? "ipv6" : "ipv4"));
	json_object_set_new(o, "state", json_string(state));
	json_object_set_new(o, "connections", json_integer((json_int_t)connections));
	set_text(o, "last_error", a->why);
	set_when(o, "last_error_at", a->bad_ms);
	json_array_append_new(list, o);
}

static const struct dp_endpoint_peer *peer_at(const struct dp_endpoint_count *c, const struct dp_addr *a)
{
	for (size_t i = 0; i < c->n_peers; i++)
		if (dp_addr_same_ip(&c->peers[i].addr, a))
			return &c->peers[i];
	return NULL;
}

static bool has_address(const struct dp_name *name, const struct dp_addr *a)
{
	for (size_t i = 0; i < name->n; i++)
		if (dp_addr_same_ip(&name->v[i].addr, a))
			return true;
	return false;
}

/* Those of the name in the order in which they are dialled, then those to which it led before. */
static json_t *addresses_of(const struct server *at, bool allow_private)
{
	json_t *list = json_array();

	for (size_t i = 0; i < at->name.n; i++) {
		const struct dp_endpoint_peer *peer = peer_at(&at->count, &at->name.v[i].addr);
		size_t connections = peer ? peer->n : 0;

		add_address(list, &at->name.v[i], state_of(&at->name.v[i], connections, allow_private), connections);
	}
	for (size_t i = 0; i < at->count.n_peers; i++) {
		const struct dp_endpoint_peer *peer = &at->count.peers[i];

		if (!has_address(&at->name, &peer->addr))
			add_address(list, &(struct dp_name_addr){ .addr = peer->addr }, "former", peer->n);
	}
	return list;
}

static json_t *pool_of(const struct dp_endpoint_count *c, int64_t limit)
{
	json_t *o = json_object();

	json_object_set_new(o, "connections", json_integer((json_int_t)(c->busy + c->idle + c->connecting)));
	json_object_set_new(o, "busy", json_integer((json_int_t)c->busy));
	json_object_set_new(o, "idle", json_integer((json_int_t)c->idle));
	json_object_set_new(o, "connecting", json_integer((json_int_t)c->connecting));
	json_object_set_new(o, "limit", limit ? json_integer(limit) : json_null());
	return o;
}

static void describe(json_t *o, const struct server *at, const struct gw_provider *p)
{
	json_t *queue = json_object();

	json_object_set_new(queue, "waiting", json_integer((json_int_t)at->count.waiting));
	json_object_set_new(queue, "limit", json_integer(p->pool.max_queue));
	json_object_set_new(queue, "timeout_ms", json_integer(p->timeouts.queue_ms));
	json_object_set_new(o, "queue", queue);
	json_object_set_new(o, "pool", pool_of(&at->count, p->pool.max_connections));
	set_when(o, "resolved_at", at->name.resolved_ms);
	set_when(o, "expires_at", at->name.expires_ms);
	json_object_set_new(o, "ttl_ms", at->name.ttl_ms < 0 ? json_null() : json_integer(at->name.ttl_ms));
	set_text(o, "lookup_error", at->name.error);
	json_object_set_new(o, "addresses", addresses_of(at, p->allow_private));
	json_object_set_new(o, "addresses_left_out", json_integer((json_int_t)at->name.left_out));
}

void dp_survey(struct dp_fleet *f, const struct gw_provider *p, json_t *endpoints)
{
	struct survey all = { p, gw_alloc(p->n_endpoints * sizeof *all.v) };

	for (size_t i = 0; i < p->n_endpoints; i++)
		prepare(&all.v[i], p->endpoints[i].url);
	for (size_t i = 0; i < dp_fleet_size(f); i++)
		dp_fleet_on(f, i, look, &all);
	for (size_t i = 0; i < p->n_endpoints; i++)
		describe(json_array_get(endpoints, i), &all.v[i], p);
	free(all.v);
}
