/*
 * quota_store.h - the books of quotas: what was used, what people added and took, and what workers hold of the rest.
 *
 * `used` is written with the ledger's rows (usage_store.h).  A period is known by its quota and the moment at which it
 * begins; the definition of a quota is configuration and stands among the objects.
 */
#ifndef CP_STORE_QUOTA_STORE_H
#define CP_STORE_QUOTA_STORE_H

#include "store/store.h"

struct cp_quota_sums { int64_t used, adjusted, told; };
/* Zeros when nothing is known of it. */
enum gw_rc cp_quota_get(struct cp_txn *t, struct gw_str quota, int64_t from_ms, struct cp_quota_sums *out,
                        struct gw_error *err) GW_MUST_CHECK;

/* ---- the book ---- */

struct cp_quota_entry {          /* texts borrowed */
	int64_t id, at_ms, from_ms, amount, balance;
	struct gw_str quota, actor, kind, reason;
};
/* Of periods that began at `since_ms` or later; newest first, below `before_id` (0: from the newest). */
enum gw_rc cp_quota_entries_each(struct cp_txn *t, struct gw_str quota, int64_t since_ms, int64_t before_id,
                                 bool (*row)(void *arg, const struct cp_quota_entry *e), void *arg,
                                 struct gw_error *err) GW_MUST_CHECK;
enum gw_rc cp_quota_entries_count(struct cp_txn *t, struct gw_str quota, int64_t since_ms, int64_t *n, struct gw_error *err) GW_MUST_CHECK;

/*
 * One change by a person: `limit` is what the period grants by itself.  ADD and SUBTRACT move what is left by `amount`,
 * REFRESH makes it `amount`.  Sums, entry and audit row are one transaction.  GW_TOOBIG: it would leave the range.
 */
enum cp_quota_change { CP_QUOTA_ADD, CP_QUOTA_SUBTRACT, CP_QUOTA_REFRESH };
enum gw_rc cp_quota_adjust(struct cp_store *s, const struct cp_actor *who, struct gw_str quota, int64_t from_ms, int64_t limit,
                           enum cp_quota_change how, int64_t amount, struct gw_str reason, struct gw_error *err) GW_MUST_CHECK;
/* A threshold (per cent of what was granted) was reached: written once per period and threshold.  `told` is
 * kept with the period, for whoever decides what is still to be told. */
enum gw_rc cp_quota_tell(struct cp_store *s, struct gw_str quota, int64_t from_ms, int64_t told, int64_t percent, bool exhausted, int64_t left,
                         struct gw_error *err) GW_MUST_CHECK;

/* ---- shares of workers ---- */

struct cp_quota_share {          /* texts borrowed */
	struct gw_str quota, boot_id, node;
	int64_t from_ms, ceiling, used;
};
/* Those that were granted something: what others used is nothing that a worker counts against a share. */
enum gw_rc cp_quota_shares_each(struct cp_txn *t, bool (*row)(void *arg, const struct cp_quota_share *s), void *arg,
                                struct gw_error *err) GW_MUST_CHECK;
enum gw_rc cp_quota_shares_of(struct cp_txn *t, struct gw_str quota, int64_t from_ms,
                              bool (*row)(void *arg, const struct cp_quota_share *s), void *arg, struct gw_error *err) GW_MUST_CHECK;
/* All of `v` as they are, in one transaction; the ledger's rows add to `used` from then on. */
enum gw_rc cp_quota_shares_put(struct cp_store *s, const struct cp_quota_share *v, size_t n, struct gw_error *err) GW_MUST_CHECK;
/* Periods that began before `before_ms` are over: their shares go. */
enum gw_rc cp_quota_shares_drop(struct cp_store *s, struct gw_str quota, int64_t before_ms, struct gw_error *err) GW_MUST_CHECK;

#endif
