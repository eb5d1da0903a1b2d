/*
 * shard.h - everything one loop needs to serve: its listener's clients, its pools, its counters, its configuration.
 *
 * The configuration is one pointer, swapped by a message to the loop; a request keeps the snapshot it began with.
 * Everything else outlives configurations.  Nothing here is shared but the ledger and the counters, which say so.
 */
#ifndef DP_EXCHANGE_SHARD_H
#define DP_EXCHANGE_SHARD_H

#include "net/listen.h"
#include "observe/access_log.h"
#include "observe/capture.h"
#include "observe/ledger.h"
#include "observe/metrics.h"
#include "observe/otlp.h"
#include "services/counters.h"
#include "services/shares.h"
#include "snapshot.h"
#include "upstream/pins.h"
#include "upstream/pool.h"

struct dp_shard;

/* What all shards share; borrowed for their life. */
struct dp_shared {
	struct dp_ledger *ledger;              /* NULL: records go nowhere */
	struct dp_counters *counters;
	struct dp_quotas *quotas;              /* NULL: nobody has any */
	struct dp_nonces *nonces;              /* of signed requests */
	struct dp_access_log *access_log;      /* NULL: none is kept */
	struct dp_pins *pins;
	size_t loops;                          /* how many share the worker's limits */
	struct dp_otlp *otlp;                  /* NULL: no traces */
	struct dp_captures *captures;          /* NULL: no prompts are kept */
};

struct dp_shard *dp_shard_open(struct dp_loop *l, const struct dp_shared *shared); /* owned: dp_shard_close() */
void dp_shard_close(struct dp_shard **s);               /* after its loop has been joined */
struct dp_loop *dp_shard_loop(const struct dp_shard *s);
struct dp_metrics *dp_shard_metrics(const struct dp_shard *s);

/* All loops together: how many bytes of large request bodies are held at a time.  Any thread. */
void dp_bodies_limit(size_t bytes);
size_t dp_bodies_held(void);

/* On the loop. */
extern const struct dp_listener_ops dp_shard_door;      /* of the listeners whose clients it serves; arg: the shard */
void dp_shard_swap(struct dp_shard *s, struct gw_snapshot *next); /* consumed */
/* Take no further request on any connection: idle ones are closed now, busy ones after their answer. */
void dp_shard_drain(struct dp_shard *s);
/* End everything at once: streams get their error event, then all connections close. */
void dp_shard_cut(struct dp_shard *s);
size_t dp_shard_busy(const struct dp_shard *s);         /* requests in flight */
size_t dp_shard_beginning(const struct dp_shard *s);    /* clients that have begun to say what they want; any thread */
size_t dp_shard_clients(const struct dp_shard *s);
struct dp_pools *dp_shard_pools(const struct dp_shard *s);
struct gw_snapshot *dp_shard_snapshot(const struct dp_shard *s);  /* borrowed; NULL: none yet */

/*
 * One small request to a provider through the same path as a client's, for `provider_test` and `provider_models`.
 * On the loop.  `done` runs once, on the loop; texts borrowed for the call.
 */
struct dp_probe_result {
	bool ok;
	unsigned status;                       /* 0: no answer */
	int64_t latency_ms;
	struct gw_str model, detail, body;
};
/* GET <base>/models, or POST <base>/chat/completions asking `model` for one token. */
enum dp_probe_kind { DP_PROBE_MODELS, DP_PROBE_CHAT };
void dp_probe(struct dp_shard *s, const struct gw_provider *p, enum dp_probe_kind kind, struct gw_str model,
              void (*done)(void *arg, const struct dp_probe_result *r), void *arg);

#endif
