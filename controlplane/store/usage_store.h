/*
 * usage_store.h - the ledger and its hourly sums.
 *
 * Records arrive in batches and possibly twice: the pair (boot id, seq) makes each one count once.  Ledger row,
 * hourly roll-up and the key's last use change in one transaction, so sums always equal the ledger.
 */
#ifndef CP_STORE_USAGE_STORE_H
#define CP_STORE_USAGE_STORE_H

#include "store/store.h"
#include "usage.h"

/* `node` and `boot_id` say whose records these are.  *stored counts those that were new.  Borrowed. */
enum gw_rc cp_usage_insert(struct cp_store *s, struct gw_str node, struct gw_str boot_id,
                           const struct gw_usage_record *records, size_t n, size_t *stored,
                           struct gw_error *err) GW_MUST_CHECK;
/* Drop ledger rows older than `before_ms`, a bounded number at a time; roll-ups stay.  *more: call again. */
enum gw_rc cp_usage_trim(struct cp_store *s, int64_t before_ms, bool *more, struct gw_error *err) GW_MUST_CHECK;

enum cp_group { CP_BY_CONSUMER = 1, CP_BY_MODEL = 2, CP_BY_PROVIDER = 4, CP_BY_ROUTE = 8, CP_BY_HOUR = 16, CP_BY_DAY = 32,
	CP_BY_5MIN = 64 };

struct cp_usage_query {
	unsigned group_by;       /* bits of cp_group */
	int64_t from_ms, to_ms;  /* [from, to) of the request's start */
	struct gw_str consumer, model, provider, route; /* absent: any; an empty one: those without */
	bool by_requests;        /* most requests first, else by the groups' values */
};

struct cp_usage_sum {            /* texts borrowed for the call; {NULL,0} where not grouped by */
	struct gw_str consumer, model, provider, route;
	int64_t time_ms;         /* begin of the bucket, when grouped by time */
	int64_t requests, errors, prompt_tokens, completion_tokens, cached_tokens, reasoning_tokens, cost;
};
enum gw_rc cp_usage_each(struct cp_txn *t, const struct cp_usage_query *q,
                         bool (*row)(void *arg, const struct cp_usage_sum *s), void *arg,
                         struct gw_error *err) GW_MUST_CHECK;
/* Start of the first request ever recorded; 0: none. */
enum gw_rc cp_usage_first(struct cp_txn *t, int64_t *at_ms, struct gw_error *err) GW_MUST_CHECK;

#endif
