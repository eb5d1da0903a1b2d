/*
 * telemetry.h - the worker's figures on their way up: when a cut is made, what is sampled at it, what is sent.
 *
 * Cuts are made when the wall clock reaches a multiple of ten seconds, so that those of all workers fall together.  Once
 * a second every loop is asked to answer a message, which tells how late it is.  All on the channel's thread.
 */
#ifndef DP_APPLY_TELEMETRY_H
#define DP_APPLY_TELEMETRY_H

#include "apply/fleet.h"
#include "observe/totals.h"

struct dp_telemetry;

struct dp_telemetry *dp_telemetry_open(struct dp_fleet *f, struct dp_ledger *l); /* owned: dp_telemetry_close() */
void dp_telemetry_close(struct dp_telemetry **t);
void dp_telemetry_tick(struct dp_telemetry *t);
void dp_telemetry_last(struct dp_telemetry *t);                /* one more cut, before the process ends */
/* Names of providers of which no key or no server could be used at the last cut; owned. */
json_t *dp_telemetry_providers_out(const struct dp_telemetry *t);
/* Whatever was not sent yet, as long as not too much is unanswered. */
void dp_telemetry_send(struct dp_telemetry *t, const char *boot_id, void (*send)(void *arg, struct gw_str text), void *arg);
void dp_telemetry_again(struct dp_telemetry *t);               /* a new connection: what was not acknowledged is sent again */
void dp_telemetry_ack(struct dp_telemetry *t, int64_t seq);
bool dp_telemetry_settled(const struct dp_telemetry *t);       /* nothing waits for an acknowledgement */

/* Connections to providers, added up over all loops.  Names stand in the arena. */
size_t dp_telemetry_pools(struct dp_fleet *f, struct gw_arena *a, struct dp_pool_gauge **out);

#endif
