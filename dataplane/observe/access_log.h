/*
 * access_log.h - one line of JSON a request, on its way to standard output, a file or syslog.
 *
 *   loop ── formats into its own ring ──►  writer thread  ── batches ──►  target
 *
 * A loop takes no lock and makes no system call (but one to wake a writer that sleeps).  Nothing ever waits for the
 * target: a full ring drops the line, a target that fails drops the batch, and both are counted.  A target that is merely
 * slow (a pipe nobody reads) keeps the batch, so lines are dropped at the ring, whole ones only.
 *
 * Every text is escaped: control bytes, invalid UTF-8 and overlong values cannot break a line or forge one.
 */
#ifndef DP_OBSERVE_ACCESS_LOG_H
#define DP_OBSERVE_ACCESS_LOG_H

#include "snapshot.h"
#include "usage.h"

#define DP_ACCESS_RING_BYTES (1u << 20)   /* a loop's; a power of two */
#define DP_ACCESS_LINE_MAX   6144         /* of a line, all texts at their caps included */

struct dp_access_log;                     /* the worker's */
struct dp_access_ring;                    /* one loop's; only that loop adds to it */

struct dp_access_log_setup {
	size_t loops;
	const char *dir;                  /* directory of files; NULL: files are refused */
	const char *syslog_socket;        /* "/dev/log" */
};
struct dp_access_log *dp_access_log_open(const struct dp_access_log_setup *s);   /* texts borrowed for its life */
/* Writes what is queued, for two seconds at most.  The loops must have ended. */
void dp_access_log_close(struct dp_access_log **l);
struct dp_access_ring *dp_access_log_ring(struct dp_access_log *l, size_t loop);

/* Any thread: these settings hold from now on.  The target is opened by the writer. */
void dp_access_log_apply(struct dp_access_log *l, const struct gw_dp_settings *st);
void dp_access_log_reopen(struct dp_access_log *l);    /* any thread: the file was renamed (logrotate) */

/* What a line tells beside the ledger's row.  Texts borrowed. */
struct dp_access_facts {
	struct gw_str method, path, user_agent, step;
};
/* On the ring's loop.  `mask` is gw_dp_settings.access_log_mask. */
void dp_access_log_add(struct dp_access_ring *r, uint64_t mask, const struct gw_usage_record *u, const struct dp_access_facts *f);
/* The line alone, '\n' included, into `out` of DP_ACCESS_LINE_MAX bytes; returns its length. */
size_t dp_access_format(char *out, uint64_t mask, const struct gw_usage_record *u, const struct dp_access_facts *f);

uint64_t dp_access_log_written(const struct dp_access_log *l);
uint64_t dp_access_log_dropped(const struct dp_access_log *l);

#endif
