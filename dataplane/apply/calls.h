/*
 * calls.h - what the control plane may ask a worker to do (wire.h, `call`).
 *
 * An answer may take a while (a provider is asked); it is handed to `answer` from whichever thread has it.
 */
#ifndef DP_APPLY_CALLS_H
#define DP_APPLY_CALLS_H

#include "apply/fleet.h"
#include "wire.h"

struct dp_caller {
	struct dp_fleet *fleet;
	void (*drain)(void *arg);
	void *drain_arg;
	void (*answer)(void *arg, json_t *message);  /* a `result`, consumed; any thread */
	void *arg;
};

/* `caller` is borrowed until dp_fleet_close(). */
void dp_call_run(const struct dp_caller *caller, const struct gw_wire *w);

#endif
