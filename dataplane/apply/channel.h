/*
 * channel.h - the worker's end of the WebSocket to the control plane (proto/wire.h).
 *
 * One thread of its own.  It connects, checks that the peer's certificate chain ends in the CA named by the join token
 * before the token is sent, says hello, takes configurations, sends usage, heartbeats and answers to calls, and
 * connects again after a break with growing, jittered pauses of 0.2 to 30 s.  Losing it stops nothing but changes.
 *
 * The last configuration that was served is kept in the state directory, sealed; it is served at start, before the
 * control plane has answered.
 */
#ifndef DP_APPLY_CHANNEL_H
#define DP_APPLY_CHANNEL_H

#include "apply/fleet.h"
#include "settings.h"

struct dp_channel;

struct dp_channel_setup {
	const struct dp_settings *settings;    /* borrowed for the channel's life, like all here */
	const struct gw_catalog *catalog;
	struct dp_fleet *fleet;
	struct dp_ledger *ledger;
	char listen[DP_ADDR_TEXT];             /* the data port, as bound */
	void (*drain)(void *arg);              /* the control plane asks for it; any thread */
	void *arg;
};

/* Reads join token and state directory and serves the last good configuration. */
enum gw_rc dp_channel_open(struct dp_channel **out, const struct dp_channel_setup *setup, struct gw_error *err) GW_MUST_CHECK;
/* Starts the thread; the fleet must have been started.  `admin`: address of the worker's own listener, for hello. */
enum gw_rc dp_channel_start(struct dp_channel *c, const char *admin, struct gw_error *err) GW_MUST_CHECK;
void dp_channel_close(struct dp_channel **c);      /* sends queued usage and `bye` if the channel stands; NULL is fine */
bool dp_channel_up(const struct dp_channel *c);    /* NULL: false */
void dp_channel_draining(struct dp_channel *c);    /* any thread: tell the control plane; NULL is fine */

#endif
