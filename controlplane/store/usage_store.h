/*
 * usage_store.h - the ledger and its sums.
 *
 * Records arrive in batches and possibly twice: the pair (boot id, seq) makes each one count once.  Ledger row, sums by
 * five minutes, hour and day, what was used of quotas, and the key's last use change in one transaction, so sums and
 * balances always equal the ledger, also for rows that come late.
 *
 *   struct cp_usage_writing *w;
 *   cp_usage_open(&w, store, &err)
 *   cp_usage_add(w, node, boot_id, records, n, charge, arg, &stored, &err)   as often as you like
 *   cp_usage_commit(&w, &err)
 *
 * What a batch adds to one sum is added up in memory and written once.
 */
#ifndef CP_STORE_USAGE_STORE_H
#define CP_STORE_USAGE_STORE_H

#include "store/store.h"
#include "usage.h"

/* What a fresh row counts towards one quota; `quota` is borrowed until the commit. */
struct cp_charge { struct gw_str quota; int64_t from_ms, amount; };
#define CP_CHARGES_MAX 256
/* Fills in what the row counts; returns how many, at most CP_CHARGES_MAX. */
typedef size_t cp_charge_fn(void *arg, const struct gw_usage_record *r, struct cp_charge *out);

struct cp_usage_writing;
enum gw_rc cp_usage_open(struct cp_usage_writing **out, struct cp_store *s, struct gw_error *err) GW_MUST_CHECK; /* owned */
/* `node` and `boot_id` say whose records these are.  *stored counts those that were new.  All borrowed until the commit. */
enum gw_rc cp_usage_add(struct cp_usage_writing *w, struct gw_str node, struct gw_str boot_id,
                        const struct gw_usage_record *records, size_t n, cp_charge_fn *charge, void *arg, size_t *stored,
                        struct gw_error *err) GW_MUST_CHECK;
enum gw_rc cp_usage_commit(struct cp_usage_writing **w, struct gw_error *err) GW_MUST_CHECK; /* consumed either way */
void cp_usage_abort(struct cp_usage_writing **w);                                            /* consumed; NULL is fine */

/* Drop ledger rows older than `before_ms`, a bounded number at a time; sums stay.  *more: call again. */
enum gw_rc cp_usage_trim(struct cp_store *s, int64_t before_ms, bool *more, struct gw_error *err) GW_MUST_CHECK;
/* Forget processes that have sent nothing since: their rows would count as new. */
enum gw_rc cp_usage_trim_seen(struct cp_store *s, int64_t before_ms, bool *more, struct gw_error *err) GW_MUST_CHECK;
/* Drop sums of this step (CP_STEP_…) older than `before_ms`, a bounded number at a time. */
enum gw_rc cp_usage_trim_sums(struct cp_store *s, int step, int64_t before_ms, bool *more, struct gw_error *err) GW_MUST_CHECK;

/* Drop used-up shares of processes that have sent nothing since `before_ms`, and all of theirs in quotas that are gone. */
enum gw_rc cp_usage_trim_shares(struct cp_store *s, int64_t before_ms, bool *more, struct gw_error *err) GW_MUST_CHECK;

/* ---- sums ---- */

#define CP_STEP_5MIN 300
#define CP_STEP_HOUR 3600
#define CP_STEP_DAY  86400

/* X(name): the dimensions in the order of their bits, and the sums */
#define CP_USAGE_DIMS(X) X(consumer) X(consumer_group) X(key_id) X(route) X(provider) X(model)
#define CP_USAGE_SUMS(X)                                                                                    \
	X(requests) X(errors) X(estimated) X(unpriced) X(prompt_tokens) X(completion_tokens) X(cached_tokens) \
	X(cache_write_tokens) X(reasoning_tokens) X(images)
#define X(name) CP_DIM_##name,
enum { CP_USAGE_DIMS(X) CP_USAGE_DIM_COUNT };
#undef X
#define X(name) CP_BY_##name = 1 << CP_DIM_##name,
enum cp_group { CP_USAGE_DIMS(X) CP_BY_TIME = 1 << CP_USAGE_DIM_COUNT };
#undef X

struct cp_usage_query {
	unsigned group_by;       /* bits of cp_group */
	int step;                /* which sums: CP_STEP_… */
	int64_t from_ms, to_ms;  /* [from, to): whole steps */
	struct gw_str dim[CP_USAGE_DIM_COUNT]; /* absent: any; an empty one: those without */
	int64_t (*bucket)(void *arg, int64_t at_ms); /* BY_TIME: begin of the caller's bucket that holds this step */
	void *arg;
};

struct cp_usage_sum {            /* texts borrowed for the call; {NULL,0} where not grouped by */
	struct gw_str dim[CP_USAGE_DIM_COUNT];
	int64_t time_ms;         /* begin of the bucket, when grouped by time */
	struct gw_str currency;  /* of `cost`; "" for requests without a price */
#define X(name) int64_t name;
	CP_USAGE_SUMS(X)
#undef X
	int64_t cost;
};
/*
 * In order of time, then of the dimensions, then of the currency: what differs only by that stands together.  A request
 * of a consumer of several groups counts in each of them when grouped by group.
 */
enum gw_rc cp_usage_each(struct cp_txn *t, const struct cp_usage_query *q,
                         bool (*row)(void *arg, const struct cp_usage_sum *s), void *arg,
                         struct gw_error *err) GW_MUST_CHECK;
/* Start of the first request ever recorded; 0: none. */
enum gw_rc cp_usage_first(struct cp_txn *t, int64_t *at_ms, struct gw_error *err) GW_MUST_CHECK;

#endif
