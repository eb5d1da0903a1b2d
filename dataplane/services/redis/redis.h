/*
 * redis.h - Redis as one place that runs scripts: a server, a master that sentinels name, or a cluster.
 *
 * A call is one script over keys of one slot.  It is sent to whoever serves that slot, follows MOVED and ASK, is sent
 * whole when the server has forgotten the script, and again a little later when its keys are on their way to another
 * server (TRYAGAIN).  The place is up when everything that is needed is: the server, the master, every master of the
 * cluster.  A master that joins a cluster which is up is waited for by the calls that need it, and by no others.  While
 * the place is not up, nothing can be called; the owner decides what then holds.
 */
#ifndef DP_SERVICES_REDIS_REDIS_H
#define DP_SERVICES_REDIS_REDIS_H

#include "services/redis/link.h"
#include "snapshot.h"

#define DP_REDIS_NODES_MAX 64
#define DP_REDIS_SCRIPTS_MAX 4

struct dp_redis;

struct dp_redis_ops {
	const char *const *scripts;              /* NULL-terminated, static */
	void (*up)(void *arg);
	void (*down)(void *arg, const char *why);
};

struct dp_redis_call {
	unsigned script;
	unsigned slot;
	/* Once.  reply NULL: nobody knows whether it ran. */
	void (*done)(struct dp_redis_call *call, const redisReply *reply);
	/* the place's own */
	struct gw_buf words;                     /* what follows the script: the number of keys, keys, arguments */
	size_t n_words;
	unsigned hops, pauses;
	bool whole;                              /* send the script itself */
	struct dp_redis *redis;                  /* NULL: not under way */
	struct dp_deferred later;
	struct gw_node node;                     /* of those that wait: for a server, or for keys on their way */
};

struct dp_redis *dp_redis_open(struct dp_loop *l, const struct gw_counter_settings *s, const struct dp_redis_ops *ops, void *arg);
/* Calls under way get their NULL from inside. */
void dp_redis_close(struct dp_redis **r);
bool dp_redis_is_up(const struct dp_redis *r);
/* It answers too late: break the connections and begin anew.  down() comes from inside. */
void dp_redis_drop(struct dp_redis *r, const char *why);

/* This answer says that the script has surely not run: the call may be made again without a second thought. */
bool dp_redis_refused(const redisReply *reply);

/* Keys of different slots cannot be in one call.  Always 0 outside a cluster. */
unsigned dp_redis_slot(const struct dp_redis *r, struct gw_str key);

/* Words of a call, in order: first the number of keys.  Then run it, while the place is up; done() is never called from inside. */
void dp_redis_call_init(struct dp_redis_call *c, unsigned script, unsigned slot, void (*done)(struct dp_redis_call *c, const redisReply *reply));
void dp_redis_call_text(struct dp_redis_call *c, struct gw_str word);
void dp_redis_call_int(struct dp_redis_call *c, int64_t word);
void dp_redis_run(struct dp_redis *r, struct dp_redis_call *c);
void dp_redis_call_fini(struct dp_redis_call *c);    /* after done() only */

/* "host", "host:6379", "[::1]:6379"; false: neither.  *host is borrowed from `text`. */
bool dp_redis_address(struct gw_str text, uint16_t otherwise, struct gw_str *host, uint16_t *port);

#endif
