/*
 * pool.h - connections to providers, kept and lent out, one pool per provider and loop.
 *
 *   dial → CONNECTING ──► BUSY ◄──► IDLE ──► closed
 *
 * An upstream connection's state is the list it is on, and one function moves it.  Pools outlive snapshots: an
 * endpoint is found again by its address and TLS settings, so a change of configuration keeps warm connections.
 *
 * A connection comes back only when the request was written whole, the answer was whole and framed, and nothing more
 * was readable; it is looked at once more before it is lent again.  While idle, any byte or end closes it.
 */
#ifndef DP_UPSTREAM_POOL_H
#define DP_UPSTREAM_POOL_H

#include "http/h1.h"
#include "net/dial.h"
#include "snapshot.h"
#include "upstream/health.h"

#define DP_POOL_IDLE_MS          55000
#define DP_POOL_MAX_IDLE         512
#define DP_POOL_MAX_KEYS         64    /* keys and endpoints of a provider that are told apart */

struct dp_pools;                       /* all pools of a loop */
struct dp_pool;                        /* one provider's */
struct dp_endpoint;                    /* one address of it */

struct dp_up {                         /* a connection; `conn`, `parser` and `reused` may be used while it is lent */
	unsigned magic;
#define DP_UP_MAGIC 0x09c0117eu
	struct gw_node node;           /* on one of its endpoint's lists */
	struct dp_endpoint *at;
	struct dp_conn *conn;
	struct dp_h1 *parser;          /* answers; before each message dp_h1_expect() */
	bool reused;                   /* it has served a request before */
	int64_t connect_ms;            /* how long it took to be made, look-up and handshake included */
	struct dp_timer idle;
};

/* `loops`: how many share the limits of queues.  Limits of connections are counted over all of them (seats.h). */
struct dp_pools *dp_pools_open(struct dp_loop *l, size_t loops);
void dp_pools_close(struct dp_pools **p);            /* on the loop; nothing may be lent out any more */
void dp_pools_drain(struct dp_pools *p);             /* close idle connections now, and the others when they return */

/*
 * A new configuration is served from here on: pools of providers that are gone lose their idle connections.  Must be
 * called at every swap, since pools know configurations by address.  NULL: forget them all.
 */
void dp_pools_keep(struct dp_pools *p, const struct gw_snapshot *s);

/*
 * The provider's pool, brought up to this configuration.  Borrowed; valid as long as a place or a connection of it is held,
 * or else until the next dp_pools_keep().
 */
struct dp_pool *dp_pool_for(struct dp_pools *p, const struct gw_provider *pr);

/* ---- choosing, with what this request has tried already ---- */

struct dp_tried { uint64_t keys, endpoints; };

struct dp_choice {
	struct dp_tried tried;         /* never again */
	uint64_t faithful_to;          /* for GW_BALANCE_HASH: dp_balance_hash() of whom */
	bool faithful_key;             /* key and endpoint by that hash, whatever the balancing: state lives at the provider */
	uint64_t pin_key, pin_endpoint;      /* only these, by dp_key_id() and dp_balance_hash(); 0: any */
};

struct dp_place {
	struct dp_endpoint *endpoint;  /* referenced until dp_place_leave() */
	unsigned endpoint_i, key_i;
	const struct gw_provider_key *key;   /* NULL: the provider has none */
	struct dp_health *key_health;        /* NULL likewise; borrowed from the place */
	bool endpoint_probe, key_probe;      /* this request is the one that tries a half-open one */
};
/* A place not tried yet: a key that admits requests, and an endpoint by the provider's balancing.  false: none left. */
bool dp_place_choose(struct dp_pool *pool, const struct gw_provider *pr, const struct dp_choice *ch,
                     struct dp_place *out) GW_MUST_CHECK;
/* The very same key and endpoint once more; `old` stays as it is. */
bool dp_place_again(struct dp_pool *pool, const struct gw_provider *pr, const struct dp_place *old,
                    struct dp_place *out) GW_MUST_CHECK;
uint64_t dp_key_id(const struct gw_provider_key *k);   /* never 0; of name and value; of this process only */
/* When a request could be sent without meeting a closed key or endpoint; <= now: at once. */
int64_t dp_pool_closed_until(const struct dp_pool *pool);
/* Does this provider refuse to be asked for usage?  Remembered for an hour. */
bool dp_pool_refuses_usage(const struct dp_pool *pool);
void dp_pool_note_usage_refused(struct dp_pool *pool);
void dp_place_leave(struct dp_place *pl);            /* fine when it holds nothing */
struct dp_endpoint *dp_pool_endpoint(struct dp_pool *pool, unsigned i);   /* the provider's i-th; owned: dp_endpoint_let_go() */
void dp_endpoint_let_go(struct dp_endpoint **e);     /* consumed; NULL is fine */
void dp_endpoint_dial_spec(const struct dp_endpoint *e, struct dp_dial_spec *out); /* all but its limit of time */
struct dp_health *dp_endpoint_health(struct dp_endpoint *e);
struct gw_str dp_endpoint_authority(const struct dp_endpoint *e);   /* Host header */
struct gw_str dp_endpoint_path(const struct dp_endpoint *e);        /* "/v1" or "" */

/* ---- borrowing ---- */

struct dp_want {
	struct gw_node node;           /* while it queues */
	struct dp_endpoint *endpoint;
	struct dp_dial *dial;
	struct dp_timer timer;         /* limit of time in the queue */
	bool fresh;                    /* no used connection, please */
	bool refused;                  /* the queue was full */
	int64_t connect_ms, queue_ms;
	int64_t dialed_ms;             /* the pool's own: when the dial began */
	/* One of them, later, from the loop; neither after dp_want_cancel(). */
	void (*ready)(struct dp_want *a, struct dp_up *u);
	void (*failed)(struct dp_want *a, enum dp_net_fault fault, const char *text);
};
/* The struct is the caller's, with fresh, the limits and both callbacks set.  Not NULL: lent at once, no callback. */
struct dp_up *dp_pool_take(struct dp_want *a, struct dp_endpoint *e);
void dp_want_cancel(struct dp_want *a);                /* fine when it is over */
/* Back to the pool if `clean`, else closed.  Consumed; NULL is fine.  Legal inside the connection's callbacks. */
void dp_up_return(struct dp_up **u, bool clean);

struct dp_pool_count {
	struct gw_str provider;
	size_t connecting, idle, busy, waiting, keys_out, endpoints_out;
	bool is_out;                 /* no key, or no endpoint, that has proved well since it failed */
};
/* Fills up to cap rows; on the loop.  Strings are borrowed from the pools. */
size_t dp_pools_count(const struct dp_pools *p, struct dp_pool_count *out, size_t cap);

#define DP_POOL_MAX_PEERS 32           /* addresses of one endpoint that are told apart */
/* One endpoint's connections, and those of each address they lead to. */
struct dp_endpoint_count {
	size_t connecting, idle, busy, waiting;
	struct dp_endpoint_peer { struct dp_addr addr; size_t n; } peers[DP_POOL_MAX_PEERS];
	size_t n_peers, unlisted;      /* connections to addresses beyond these */
};
/*
 * Adds what this loop has to *out; on the loop.  Connections made under earlier TLS settings count as long as they are
 * open.  Walks all connections, so it is for people who look, not for every request.
 */
void dp_pools_count_endpoint(const struct dp_pools *p, struct gw_str provider, struct gw_str url, struct dp_endpoint_count *out);

#endif
