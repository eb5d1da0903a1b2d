/*
 * otlp.h - spans on their way to a collector: OTLP over HTTP, JSON encoding.
 *
 * Loops add finished requests to one bounded queue; a loop of the exporter's own takes them in batches, encodes and sends
 * them.  Nothing waits for the collector: when the queue is full the newest is dropped.  A batch that was not taken is sent
 * again with growing pauses where the collector may yet take it (no connection, 429, 502, 503, 504), five times at most, and
 * is dropped otherwise.  Dropped spans are counted.  The collector's address is judged by the dialer's guard like a
 * configured service: private ranges are fine, link-local and metadata addresses never; redirects are not followed.
 */
#ifndef DP_OBSERVE_OTLP_H
#define DP_OBSERVE_OTLP_H

#include "observe/spans.h"
#include "snapshot.h"

#define DP_OTLP_QUEUE_REQUESTS 4096u
#define DP_OTLP_QUEUE_BYTES    (8u << 20)

struct dp_otlp;

/* `instance` names the worker in service.instance.id; borrowed for its life.  Starts a thread. */
enum gw_rc dp_otlp_open(struct dp_otlp **out, const char *instance, struct gw_error *err) GW_MUST_CHECK;
/* Sends what is queued, for two seconds at most.  NULL is fine. */
void dp_otlp_close(struct dp_otlp **o);
/* Any thread: these settings hold from now on. */
void dp_otlp_apply(struct dp_otlp *o, const struct gw_tracing *t);
/* Any thread; copied. */
void dp_otlp_add(struct dp_otlp *o, const struct dp_span_request *r);

uint64_t dp_otlp_sent(const struct dp_otlp *o);     /* spans that a collector took */
uint64_t dp_otlp_dropped(const struct dp_otlp *o);

#endif
