/*
 * spool.h - usage records on the worker's disk, until the control plane has them.
 *
 *   STATE-DIR/spool/lock          held by the one worker that uses this directory
 *   STATE-DIR/spool/BOOT/N.log    records of the process BOOT as in usage.h: a head, then the row
 *   STATE-DIR/spool/BOOT/acked    number of the last record that the control plane has stored
 *
 * Segments are only added to, and removed when all of them is acknowledged.  What processes before this one left is
 * found at the start; a segment counts up to the first record that is torn or damaged, the rest is cut off, counted and
 * logged.  A record is in the hands of the system when dp_spool_append() returns: it outlives the death of the process,
 * and after fdatasync() that of the machine.
 *
 * Not locked: the ledger calls all of it, the figures apart, under one lock of its own.
 */
#ifndef DP_OBSERVE_SPOOL_H
#define DP_OBSERVE_SPOOL_H

#include "base/buf.h"
#include "base/gw.h"
#include "usage.h"

#define DP_SPOOL_SEGMENT_BYTES (4u << 20)   /* a segment that has grown to this takes no further batch */
#define DP_SPOOL_SPENT_BYTES   (64u << 10)  /* the newest one is removed early when it is this large and acknowledged */
#define DP_SPOOL_HEAD          GW_USAGE_HEAD
#define DP_SPOOL_RECORD_MAX    (1u << 20)   /* bytes of a row */
#define DP_SPOOL_OPEN          9            /* descriptors that dp_spool_take_open() gives at most */
#define DP_SPOOL_BOOT          33           /* 32 hex digits and '\0' */

/* ---- records ---- */

/* Room for a head; the row is appended next.  Returns what dp_spool_end() wants. */
size_t dp_spool_begin(struct gw_buf *out);
void dp_spool_end(struct gw_buf *out, size_t at, int64_t seq);
/* One record off the front of `rest`; texts are borrowed.  false: the next one is not whole, or not what was written. */
bool dp_spool_next(struct gw_str *rest, int64_t *seq, struct gw_str *row);

/* ---- the directory ---- */

struct dp_spool;

/* GW_CONFLICT: another worker uses the directory.  `boot_id`: this process, 32 hex digits. */
enum gw_rc dp_spool_open(struct dp_spool **out, const char *state_dir, const char *boot_id, struct gw_error *err) GW_MUST_CHECK;
void dp_spool_close(struct dp_spool **s);   /* what is acknowledged leaves nothing behind */

/* Whole records of this process, `last` being the number of the last.  What fails is not there. */
enum gw_rc dp_spool_append(struct dp_spool *s, struct gw_str records, int64_t last, struct gw_error *err) GW_MUST_CHECK;
/*
 * Append up to `max` records of `boot_id` after `after_seq`, heads included, until `out` has `bytes`.
 * Returns how many; *last_seq is the last one's number.
 */
size_t dp_spool_read(struct dp_spool *s, const char *boot_id, int64_t after_seq, size_t max, size_t bytes, struct gw_buf *out,
                     int64_t *last_seq);
bool dp_spool_read_out(struct dp_spool *s, const char *boot_id);   /* dp_spool_read() has come to the end */
/* Everything up to and including seq is safe.  true: nothing of that process is left; an earlier one is forgotten then. */
bool dp_spool_ack(struct dp_spool *s, struct gw_str boot_id, int64_t seq);
/* An earlier process that left records; false: none. */
bool dp_spool_earlier(const struct dp_spool *s, char boot_id[DP_SPOOL_BOOT]);
void dp_spool_boots(const struct dp_spool *s, struct gw_buf *out);  /* ,"ID" for each of them */

/* Descriptors of what was written since the last call, the caller's: to fdatasync(), without any lock, or not, and close. */
size_t dp_spool_take_open(struct dp_spool *s, int fd[DP_SPOOL_OPEN]);
size_t dp_spool_bytes(const struct dp_spool *s);      /* on disk, all processes; any thread */
int64_t dp_spool_torn(const struct dp_spool *s);      /* segments that had to be cut; any thread */

#endif
