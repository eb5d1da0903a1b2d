/*
 * fleet.h - all loops of a worker as one: open, listen, take a configuration, drain, end.
 *
 * Called from the control thread only (main, later the channel's thread); it reaches the loops by messages and waits
 * for their answers, so a configuration is in force on every loop when dp_fleet_swap() returns.
 */
#ifndef DP_APPLY_FLEET_H
#define DP_APPLY_FLEET_H

#include "exchange/shard.h"
#include "net/listen.h"

struct dp_fleet;

/* Of `watch` only what outlives the fleet and is not its own: the ledger and the observers. */
struct dp_fleet *dp_fleet_open(size_t loops, const struct dp_shared *watch);
enum gw_rc dp_fleet_listen(struct dp_fleet *f, const struct dp_addr *at, struct dp_addr *bound, struct gw_error *err) GW_MUST_CHECK;
enum gw_rc dp_fleet_start(struct dp_fleet *f, struct gw_error *err) GW_MUST_CHECK;
/* Stops and joins everything; ends the process with 0 when the system's resolver alone would hold it any longer. */
void dp_fleet_close(struct dp_fleet **f);

/* Serve from this one; the old one lives on as long as a request holds it.  Consumed. */
void dp_fleet_swap(struct dp_fleet *f, struct gw_snapshot *s);
/*
 * Frees the replaced ones that no request holds any more.  With a hundred thousand consumers that takes tens of
 * milliseconds, so it is done here, on the control thread, and never on a loop that lets go of one.
 */
void dp_fleet_sweep(struct dp_fleet *f);
/* A counted reference to the one in force, or NULL. */
struct gw_snapshot *dp_fleet_snapshot(struct dp_fleet *f);
int64_t dp_fleet_applied_ms(const struct dp_fleet *f);   /* monotonic; when it came into force; 0: none yet */

/* No new connections, no further requests on the open ones.  dp_fleet_busy() then falls to 0. */
void dp_fleet_drain(struct dp_fleet *f);
bool dp_fleet_draining(const struct dp_fleet *f);
/* Whatever is left: streams get their error event, then all connections are closed. */
void dp_fleet_cut(struct dp_fleet *f);

const struct dp_shared *dp_fleet_shared(const struct dp_fleet *f);
size_t dp_fleet_size(const struct dp_fleet *f);
struct dp_shard *dp_fleet_shard(struct dp_fleet *f, size_t i);
struct dp_counters *dp_fleet_counters(struct dp_fleet *f); /* borrowed */
size_t dp_fleet_busy(struct dp_fleet *f);                /* requests in flight */
size_t dp_fleet_beginning(struct dp_fleet *f);           /* clients with half a head or half a TLS handshake */
int64_t dp_fleet_requests(struct dp_fleet *f);
int64_t dp_fleet_errors(struct dp_fleet *f);
/* Ask every loop for a sign of life, without waiting for it: how late it comes is counted (dp_metrics_loop_delay). */
void dp_fleet_ping(struct dp_fleet *f);
/* Run fn on a loop and wait until it has run. */
void dp_fleet_on(struct dp_fleet *f, size_t i, void (*fn)(struct dp_shard *s, void *arg), void *arg);

struct dp_quotas *dp_fleet_quotas(struct dp_fleet *f);              /* borrowed; any thread */

#endif
