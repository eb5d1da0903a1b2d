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
	struct gw_str (*body_member)(const struct dp_exchange *x, const char *path);
	bool (*body_change)(struct dp_exchange *x, const struct dp_body_change *v, size_t n);
	struct gw_str (*operation)(const struct dp_exchange *x);
	struct gw_str (*consumer)(const struct dp_exchange *x);
	struct gw_str (*route)(const struct dp_exchange *x);
	struct gw_str (*model)(const struct dp_exchange *x);
	struct gw_str (*client_ip)(const struct dp_exchange *x);
	struct gw_str (*api_key)(const struct dp_exchange *x);
	struct gw_strv (*groups)(const struct dp_exchange *x);
	struct gw_str (*header)(const struct dp_exchange *x, const char *name);
	struct gw_str (*query)(const struct dp_exchange *x, const char *name);
	struct gw_str (*cookie)(const struct dp_exchange *x, const char *name);
	int64_t (*prompt_tokens)(const struct dp_exchange *x);
	int64_t (*answer_tokens)(const struct dp_exchange *x, int64_t each);
	void (*ask)(struct dp_exchange *x, struct dp_call *c, const struct dp_question *q, dp_told_fn *told);
	struct gw_str (*told_header)(const struct dp_exchange *x, const char *name);
	struct gw_str (*describe)(struct dp_exchange *x, const struct gw_strv *headers, bool with_body, size_t max_bytes);
	struct gw_str (*request_id)(const struct dp_exchange *x);
	struct gw_str (*method)(const struct dp_exchange *x);
	struct gw_str (*target)(const struct dp_exchange *x);
	bool (*falls_back_when_limited)(const struct dp_exchange *x);
	/*
	 * Parameters are as they will be sent and all claims are known (there may be none): reserve.  Once for each request.
	 * NEXT: admitted; ANSWERED: refused and answered; WAIT: dp_plugins_admitted() will be called.  The host reports
	 * states through dp_plugins_decided() before it answers.
	 */
	enum dp_verdict (*admit)(struct dp_exchange *x);
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
void dp_plugins_blame(struct dp_running *r, const char *plugin); /* a limit of it closed the route's own targets; static */
const char *dp_plugins_denied_by(const struct dp_running *r); /* the plugin that answered; NULL: none */

/* ---- claims ---- */

/* A claim of one plugin; its texts are arena. */
struct dp_claimed {
	struct dp_claim claim;
	const char *plugin;
	size_t slot;                     /* the host's own */
	unsigned i;                      /* its number within the plugin */
	bool settled; int64_t actual;    /* what dp_settle() said */
};
/* Those of all plugins, in the order of claiming. */
struct dp_claimed *dp_plugins_claims(struct dp_running *r, size_t *n);
/*
 * The states of all claims (n of dp_plugins_claims(); zero for one that was not asked for) go to their plugins.
 * `refused` is the number of the one to blame, or -1; its plugin is told, and afterwards the request was denied.
 */
void dp_plugins_decided(struct dp_running *r, const struct dp_claim_state *states, int refused);
/* End of admit()'s WAIT, on the exchange's loop: NEXT or ANSWERED. */
void dp_plugins_admitted(struct dp_running *r, enum dp_verdict v);

const struct dp_plugin *dp_plugin_at(size_t i);                 /* NULL past the end; in rank order */
const struct dp_plugin *dp_plugin_find(struct gw_str name);     /* NULL: not linked */

#endif
