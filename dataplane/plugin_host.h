/*
 * plugin_host.h - running the plugins of one exchange, by rank.
 *
 * The exchange implements `struct dp_host` once and hands itself in; nothing here knows about sockets or clocks.  A
 * hook that waits stops the run; when the plugin resumes, the rest runs and the host's `resumed` gets the verdict.
 */
#ifndef DP_PLUGIN_HOST_H
#define DP_PLUGIN_HOST_H

#include "base/arena.h"
#include "plugin.h"
#include "snapshot.h"

struct dp_host {
	/* the functions of plugin.h, with the exchange for the call */
	void (*deny)(struct dp_exchange *x, unsigned status, const char *type, const char *code, int64_t retry_after_ms,
	             struct gw_str text);
	void (*reply_header)(struct dp_exchange *x, const char *name, struct gw_str value);
	int64_t (*limiter_take)(struct dp_exchange *x, struct gw_str key, int64_t n, int64_t limit, int64_t window_ms,
	                        int64_t *left);
	void (*limiter_give)(struct dp_exchange *x, struct gw_str key, int64_t n, int64_t limit, int64_t window_ms);
	struct gw_str (*consumer)(const struct dp_exchange *x);
	struct gw_str (*route)(const struct dp_exchange *x);
	struct gw_str (*model)(const struct dp_exchange *x);
	struct gw_str (*client_ip)(const struct dp_exchange *x);
	int64_t (*estimate_tokens)(const struct dp_exchange *x);
	/* A run that had returned DP_WAIT has gone on to its end: NEXT or ANSWERED. */
	void (*resumed)(struct dp_exchange *x, enum dp_hook hook, enum dp_verdict verdict);
	/* A plugin broke; for the log and metrics.  Whether the request goes on is decided already. */
	void (*broke)(struct dp_exchange *x, const char *plugin, bool fail_open);
};

struct dp_running;   /* the plugins of one exchange; arena */

/*
 * Bindings whose plugin is not linked into this worker are skipped (they were counted when the snapshot was taken).
 * `bindings` is sorted by rank already; its confs stay borrowed from the snapshot that the exchange holds.
 */
struct dp_running *dp_plugins_open(struct gw_arena *a, struct gw_bindings bindings, const struct dp_host *host,
                                   struct dp_exchange *x);
/* Run one hook through all plugins: NEXT, ANSWERED (deny was called) or WAIT.  Never BROKEN. */
enum dp_verdict dp_plugins_run(struct dp_running *r, enum dp_hook hook) GW_MUST_CHECK;
/* Exactly once, at the exchange's end, also while a hook still waits (its dp_resume() is then ignored). */
void dp_plugins_end(struct dp_running *r, const struct dp_outcome *o);
const char *dp_plugins_denied_by(const struct dp_running *r); /* the plugin that answered; NULL: none */

const struct dp_plugin *dp_plugin_at(size_t i);                 /* NULL past the end; in rank order */
const struct dp_plugin *dp_plugin_find(struct gw_str name);     /* NULL: not linked */

#endif
