/*
 * ledger.h - usage records on their way to the control plane.
 *
 * Loops add, one sender takes batches and removes what was acknowledged.  In between a thread of its own moves them to
 * the disk (spool.h), within DP_LEDGER_NAP_MS, and keeps the text of the last few megabytes, so that the sender takes them
 * from memory; without a disk that takes them, memory holds all.  Where the control plane does not acknowledge for a second, they are also forced to the disk once a second.
 *
 * All of it is bounded: when it is full the newest record is dropped and counted, since a ledger with a known gap beats
 * a worker without memory.  Requests that were sent to no provider get half of the room at most, so that a flood of them
 * cannot push out what cost money.  Records are numbered as they are added; numbers are never reused within a boot.
 */
#ifndef DP_OBSERVE_LEDGER_H
#define DP_OBSERVE_LEDGER_H

#include "base/buf.h"
#include "usage.h"

#define DP_LEDGER_MAX_RECORDS 200000u
#define DP_LEDGER_MAX_BYTES   (96u << 20)
#define DP_LEDGER_BATCH_BYTES (3u << 20)   /* a batch that has grown to this takes no further record */

#define DP_LEDGER_BOOT        33           /* 32 hex digits and '\0' */
#define DP_LEDGER_NAP_MS      20           /* between two batches that go to the disk */

struct dp_ledger;

struct dp_ledger *dp_ledger_open(void);              /* owned: dp_ledger_close() */
/*
 * From now on records go through STATE-DIR/spool, `ceiling` bytes at most, what earlier processes left included.  Once,
 * before anything is taken out.  When it fails they stay in memory.
 */
enum gw_rc dp_ledger_spool(struct dp_ledger *l, const char *state_dir, const char *boot_id, int64_t ceiling,
                           struct gw_error *err) GW_MUST_CHECK;
void dp_ledger_close(struct dp_ledger **l);          /* what is left goes to the disk */
/* Any thread; seq is set here, texts are copied.  The sender looks by itself, a few times a second. */
void dp_ledger_add(struct dp_ledger *l, const struct gw_usage_record *r);
/*
 * Append up to `max` records (fewer when they are large) after `after_seq` to `out`, each with its head as in usage.h.
 * Returns how many; *last_seq is the last one's number.  They stay queued until acknowledged.
 */
size_t dp_ledger_batch(struct dp_ledger *l, int64_t after_seq, size_t max, struct gw_buf *out, int64_t *last_seq);
void dp_ledger_ack(struct dp_ledger *l, int64_t seq); /* everything up to and including seq is safe */
size_t dp_ledger_queued(const struct dp_ledger *l);    /* of this process, not acknowledged */
int64_t dp_ledger_dropped(const struct dp_ledger *l);
size_t dp_ledger_spooled(const struct dp_ledger *l);   /* bytes on disk, of all processes */
int64_t dp_ledger_torn(const struct dp_ledger *l);     /* segments on disk that were damaged */

/* What an earlier process of this worker left on the disk.  The sender's thread, like the batches above. */
bool dp_ledger_earlier(struct dp_ledger *l, char boot_id[DP_LEDGER_BOOT]);     /* one of them; false: none */
size_t dp_ledger_earlier_batch(struct dp_ledger *l, const char *boot_id, int64_t after_seq, size_t max, struct gw_buf *out,
                               int64_t *last_seq);
bool dp_ledger_earlier_ack(struct dp_ledger *l, struct gw_str boot_id, int64_t seq);  /* true: that was all of it */
/* Nothing of it is unacknowledged but what cannot be read: forget that.  true: done. */
bool dp_ledger_earlier_end(struct dp_ledger *l, const char *boot_id);
void dp_ledger_boots(struct dp_ledger *l, struct gw_buf *out);                 /* ,"BOOT" for each of them */

#endif
