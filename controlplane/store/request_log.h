/*
 * request_log.h - looking for requests in the ledger, and the prompts that were kept of some of them.
 *
 * A search walks one index, newest first, from where the last page ended: the index of the most telling condition; the
 * other conditions are looked at row by row.  How many rows are looked at is bounded, so a search for something rare
 * answers in time with what it found so far and says how far back it came; the next page goes on from there.
 */
#ifndef CP_STORE_REQUEST_LOG_H
#define CP_STORE_REQUEST_LOG_H

#include "store/store.h"
#include "usage.h"

struct cp_request_query {
	int64_t from_ms, to_ms;                  /* [from, to) of the request's start */
	struct gw_str consumer, key_id, route, provider, model, served_model, end_reason, error_code, request_id, trace_id,
		client_ip, node;                 /* absent: any */
	int64_t status_min, status_max;          /* inclusive */
	int64_t min_total_ms;                    /* 0: any */
	int64_t after_ms, after_id;              /* where the page before ended; after_id 0: from the newest */
	int64_t budget;                          /* rows looked at, at most */
};

struct cp_request_row {                          /* texts borrowed for the call */
	int64_t id;
	struct gw_str node, boot_id;
	struct gw_usage_record r;
};

struct cp_request_end {
	int64_t at_ms, id;                       /* the last row looked at */
	bool exhausted;                          /* there is nothing older in the range */
};

/* `row` gets what matches, newest first, and ends the walk with false (the row it got then counts as not looked at). */
enum gw_rc cp_requests_each(struct cp_txn *t, const struct cp_request_query *q,
                            bool (*row)(void *arg, const struct cp_request_row *r), void *arg, struct cp_request_end *end,
                            struct gw_error *err) GW_MUST_CHECK;
/* The row of this number, or the newest with this request id.  GW_NOTFOUND: none. */
enum gw_rc cp_request_get(struct cp_txn *t, struct gw_str id, void (*row)(void *arg, const struct cp_request_row *r), void *arg,
                          struct gw_error *err) GW_MUST_CHECK;
/* The number of the newest row; 0: there is none. */
enum gw_rc cp_requests_newest(struct cp_txn *t, int64_t *id, struct gw_error *err) GW_MUST_CHECK;
/* How SQLite would run the statement behind a search for this, as lines; for tests.  Appends to `out`. */
enum gw_rc cp_requests_explain(struct cp_txn *t, const struct cp_request_query *q, struct gw_buf *out, struct gw_error *err) GW_MUST_CHECK;

/* Drop the oldest rows beyond `keep` of them, a bounded number at a time.  *more: call again. */
enum gw_rc cp_requests_trim_count(struct cp_store *s, int64_t keep, bool *more, struct gw_error *err) GW_MUST_CHECK;

/* ---- kept prompts ---- */

struct cp_capture {
	struct gw_str boot_id, request_id, route, mode, prompt, answer;  /* absent prompt or answer: withheld, or there was none */
	int64_t at_ms, prompt_bytes, answer_bytes;                       /* of the whole texts, before they were cut */
	int64_t masked;                                                  /* places */
	struct gw_str note;                                              /* why one is missing; may be empty */
};
enum gw_rc cp_captures_insert(struct cp_store *s, const struct cp_capture *v, size_t n, struct gw_error *err) GW_MUST_CHECK;
/* Arena.  GW_NOTFOUND: none was kept, or it is gone already. */
enum gw_rc cp_capture_get(struct cp_txn *t, struct gw_str boot_id, struct gw_str request_id, struct gw_arena *a,
                          struct cp_capture *out, struct gw_error *err) GW_MUST_CHECK;
/* Drop what is older than before_ms, and the oldest beyond `keep`, a bounded number at a time. */
enum gw_rc cp_captures_trim(struct cp_store *s, int64_t before_ms, int64_t keep, bool *more, struct gw_error *err) GW_MUST_CHECK;

#endif
