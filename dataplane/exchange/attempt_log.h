/*
 * attempt_log.h - what became of every try of one request: the waterfall of the request log, the spans of a trace.
 *
 * The first try's note stands in the exchange itself, since most requests need no other; further ones come from its
 * arena.  Nothing here decides anything: whoever runs an attempt says what happened, and when is noted here.  Texts are
 * borrowed from the exchange's snapshot and arena, so notes live exactly as long as the exchange.
 */
#ifndef DP_EXCHANGE_ATTEMPT_LOG_H
#define DP_EXCHANGE_ATTEMPT_LOG_H

#include "snapshot.h"
#include "usage.h"

#define DP_ATTEMPT_NOTES_MAX  12      /* tries are few, and so are their silent repetitions */
#define DP_ATTEMPT_ERROR_MAX  160     /* of a provider's words; by then without secrets */

struct dp_exchange;
struct dp_failure;

/* Times are monotonic microseconds, -1: did not happen. */
struct dp_attempt_note {
	struct dp_attempt_note *next;
	const struct gw_provider *provider;
	struct gw_str key, endpoint, model;      /* the key's name, never the key */
	int64_t start_us, connected_us, sent_us, first_byte_us, first_token_us, end_us;
	const char *result;                      /* "ok", a fault's name, "client_closed"…; NULL while it runs */
	struct gw_str error;                     /* a sentence; absent when it went well */
	uint16_t status;                         /* the provider's; 0: no answer */
	uint32_t dial_ms;                        /* how long its connection took to be made; 0: it was there */
	bool reused, repeated;                   /* on a kept connection; a silent repetition, no try of its own */
	uint8_t span[8];                         /* its span's id; zero: none yet */
};

struct dp_attempt_log {
	struct dp_attempt_note first, *last;     /* last NULL: no try yet */
	unsigned n;
};

/* x->at stands on the target that is about to be tried. */
void dp_attempt_log_begin(struct dp_exchange *x, bool repeated);
void dp_attempt_log_connected(struct dp_exchange *x);   /* a connection was lent, x->at.up */
void dp_attempt_log_sent(struct dp_exchange *x);        /* the request is written whole */
void dp_attempt_log_head(struct dp_exchange *x);        /* the answer's head came */
/* It is over; the first word counts.  `error` NULL: nothing to tell. */
void dp_attempt_log_end(struct dp_exchange *x, const char *result, const char *error);
/* The exchange ends: a try that still runs ends with it. */
void dp_attempt_log_close(struct dp_exchange *x, enum gw_end_reason why, int64_t now_us);

/* Name of the key that the last try used; empty: none. */
struct gw_str dp_attempt_log_key(const struct dp_exchange *x);
/*
 * The tries as a JSON array of at most GW_USAGE_ATTEMPT_LOG_MAX bytes, times in milliseconds from the request's first
 * byte; the last ones are left out when it would be more.  One try that went well at a provider with one endpoint gives
 * three times only, since the ledger's row tells the rest about it.  Arena of the exchange; empty: no try was made.
 */
struct gw_str dp_attempt_log_text(const struct dp_exchange *x);

#endif
