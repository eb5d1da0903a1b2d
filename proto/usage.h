/*
 * usage.h - the ledger's row: what one request was, who asked, what it cost.
 *
 * Every request of the data plane ends in exactly one record, made in the exchange's teardown whatever happened.
 * Workers batch records to the control plane (wire.h, `usage`), which stores each exactly once by (boot id, seq).
 */
#ifndef GW_PROTO_USAGE_H
#define GW_PROTO_USAGE_H

#include "base/gw.h"
#include "json.h"

#define GW_END_TABLE(X)                                                                     \
	X(COMPLETE,       "complete",       "the answer was delivered whole")               \
	X(CLIENT_CLOSED,  "client_closed",  "the client went away first")                   \
	X(UPSTREAM_ERROR, "upstream_error", "no provider gave a usable answer, or it broke") \
	X(TIMEOUT,        "timeout",        "a limit of time was reached")                  \
	X(BLOCKED,        "blocked",        "a plugin refused it")                          \
	X(REJECTED,       "rejected",       "refused before any provider was asked")
enum gw_end_reason {
#define X(name, text, doc) GW_END_##name,
	GW_END_TABLE(X)
#undef X
	GW_END_COUNT
};
const char *gw_end_name(enum gw_end_reason r);

enum gw_usage_source { GW_USAGE_NONE, GW_USAGE_PROVIDER, GW_USAGE_ESTIMATED };
const char *gw_usage_source_name(enum gw_usage_source s); /* "none" "provider" "estimated" */

/* prompt includes cached and cache_write; completion includes reasoning (OpenAI's sense, whatever the vendor's). */
struct gw_tokens {
	int64_t prompt, cached, cache_write, completion, reasoning;
	int64_t cache_write_1h;                  /* the part of cache_write that is kept for an hour */
	int64_t audio_prompt, audio_completion;  /* parts of prompt and of completion */
};

#define GW_USAGE_ATTEMPT_LOG_MAX 4096        /* bytes of `attempt_log` */
#define GW_USAGE_TEXT_MAX        1024        /* ... and of every other text */

/* X(C name): texts that go into JSON and SQL under the same name */
#define GW_USAGE_TEXTS(X)                                                                              \
	X(request_id) X(consumer) X(key_id) X(route) X(provider) X(requested_model) X(served_model)    \
	X(operation) X(error_code)                                                                     \
	X(currency) X(provider_key) X(client_ip) X(refused_by) X(attempt_log) X(trace_id) X(consumer_groups)
/*
 * currency         of `cost`: "USD"; "" when the request had no price
 * provider_key     name of the provider's key that served
 * client_ip        as seen through trusted proxies
 * refused_by       the plugin that refused
 * attempt_log      [{"provider",…}] as JSON: every attempt, with times from the request's first byte
 * trace_id         32 hex digits
 * consumer_groups  names joined by commas, as they were then
 *
 * Integers; *_ms are durations from the request's first byte, -1 = did not happen, except connect_ms, which is how long
 * the serving connection took to be made (0: it was there already).  `cost` is in millionths of the currency, by the
 * prices of that moment.
 */
#define GW_USAGE_INTS(X)                                                                               \
	X(seq) X(started_at_ms) X(status) X(attempts) X(stream)                                        \
	X(prompt_tokens) X(cached_tokens) X(cache_write_tokens) X(completion_tokens) X(reasoning_tokens) \
	X(queue_ms) X(first_byte_ms) X(first_token_ms) X(total_ms) X(request_bytes) X(response_bytes)    \
	X(cost) X(connect_ms) X(bad_events) X(cache_write_1h_tokens) X(audio_prompt_tokens)              \
	X(audio_completion_tokens) X(images)

struct gw_usage_record {
#define X(name) struct gw_str name;
	GW_USAGE_TEXTS(X)
#undef X
#define X(name) int64_t name;
	GW_USAGE_INTS(X)
#undef X
	enum gw_end_reason end_reason;
	enum gw_usage_source usage_source;
};

/*
 * From {"request_id":…,…,"end_reason":"complete","usage_source":"provider"}, as workers of the first release said it.
 * Texts are borrowed from `v`; absent ones are {NULL,0}, absent numbers 0 (connect_ms: -1), as older workers leave them.
 * Numbers are clamped to [-1, 2^53]; unknown members are ignored.  Only `request_id` and `seq` are required.  A word for
 * end_reason or usage_source that a newer worker made up is read as the nearest known one: a row of the ledger is worth
 * more than its wording.
 */
enum gw_rc gw_usage_parse(struct gw_usage_record *out, const json_t *v, struct gw_error *err) GW_MUST_CHECK;

/*
 * The row as bytes, which is how it stands in a worker's spool and in the message `rows` of wire.h: JSON with fifty named
 * members for each request was half of what the ledger cost either side.  A form byte, then for each member that is not
 * empty (0; -1 for connect_ms) its tag and value; texts with their length.  Readers skip tags they do not know, so tables
 * may grow at their ends.  `seq` is not part of it but of the head before it.
 */
#define GW_USAGE_ROW_MAX (24u << 10)
size_t gw_usage_row_write(char out[GW_USAGE_ROW_MAX], const struct gw_usage_record *r);
/* Texts are borrowed from `row`; the rest as gw_usage_parse().  GW_INVALID: damaged, or without request_id. */
enum gw_rc gw_usage_row_read(struct gw_usage_record *out, struct gw_str row, struct gw_error *err) GW_MUST_CHECK;

/* Records as they stand one after another: bytes of the row (4), CRC-32 (4), seq (8), all little endian; the row. */
#define GW_USAGE_HEAD 16u
/* One record off the front of `rest`, which the row is borrowed from.  false: there is no whole one.  No CRC is looked at. */
bool gw_usage_peel(struct gw_str *rest, int64_t *seq, struct gw_str *row);
struct gw_usage_rows {
	struct gw_str boot_id;       /* this and all texts are borrowed from `text` and `docs` */
	struct gw_usage_record *v;
	size_t n, unread;            /* unread: of a form that is not known, or damaged within */
	int64_t last_seq;            /* the highest, of those too; -1: none */
	char *text;
	json_t *docs;                /* rows of an earlier release's spool, which are JSON */
};
/*
 * The payload of a `rows` message, copied.  NULL: its heads are damaged.  What is wrong with the first row that cannot be
 * read stands in err.  The CRC is the disk's and not looked at: the channel has its own.
 */
struct gw_usage_rows *gw_usage_rows_read(struct gw_str boot_id, struct gw_str payload, struct gw_error *err);
void gw_usage_rows_free(struct gw_usage_rows **rows);              /* NULL is fine */

#endif
