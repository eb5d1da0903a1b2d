/*
 * ledger.h - usage records on their way to the control plane.
 *
 * Loops add, one sender takes batches and removes what was acknowledged.  The queue is bounded: when it is full the
 * newest record is dropped and counted, since a ledger with a known gap beats a worker without memory.  Requests that
 * were sent to no provider get half of the room at most, so that a flood of them cannot push out what cost money.
 * Records are numbered as they are added; numbers are never reused within a boot.
 */
#ifndef DP_OBSERVE_LEDGER_H
#define DP_OBSERVE_LEDGER_H

#include "base/buf.h"
#include "usage.h"

#define DP_LEDGER_MAX_RECORDS 200000u
#define DP_LEDGER_MAX_BYTES   (96u << 20)
#define DP_LEDGER_BATCH_BYTES (3u << 20)   /* a batch that has grown to this takes no further record */

struct dp_ledger;

struct dp_ledger *dp_ledger_open(void);              /* owned: dp_ledger_close() */
void dp_ledger_close(struct dp_ledger **l);
/* Any thread; seq is set here, texts are copied.  The sender looks by itself, a few times a second. */
void dp_ledger_add(struct dp_ledger *l, const struct gw_usage_record *r);
/*
 * Append the JSON objects of up to `max` records (fewer when they are large) after `after_seq`, comma-separated, to
 * `out`.  Returns how many;
 * *last_seq is the last one's number.  They stay queued until acknowledged.
 */
size_t dp_ledger_batch(struct dp_ledger *l, int64_t after_seq, size_t max, struct gw_buf *out, int64_t *last_seq);
void dp_ledger_ack(struct dp_ledger *l, int64_t seq); /* everything up to and including seq is safe */
size_t dp_ledger_queued(const struct dp_ledger *l);
int64_t dp_ledger_dropped(const struct dp_ledger *l);

#endif
