/*
 * admin.h - the worker's own small HTTP server, for whoever operates it: loopback by default, no credentials.
 *
 *   GET /healthz  200 while the process runs        GET /readyz    200 while a configuration is served, 503 otherwise
 *   GET /metrics  Prometheus text                   GET /snapshot  revision and digest
 *   POST /drain   stop taking requests, as SIGTERM does
 *
 * It has a loop of its own, so a busy data port does not hide it, and asks nothing of the other loops but figures.
 */
#ifndef DP_ADMIN_H
#define DP_ADMIN_H

#include "apply/fleet.h"
#include "memory.h"

struct dp_admin;

struct dp_admin_sources {
	struct dp_fleet *fleet;
	struct dp_ledger *ledger;              /* NULL: none */
	bool (*control_up)(void *arg);         /* NULL: no control plane */
	void (*drain)(void *arg);              /* any thread */
	void *arg;
	struct dp_memory memory;
};

enum gw_rc dp_admin_open(struct dp_admin **out, const struct dp_addr *at, const struct dp_admin_sources *from,
                         struct dp_addr *bound, struct gw_error *err) GW_MUST_CHECK;
void dp_admin_close(struct dp_admin **a);

#endif
