/*
 * set.h - the quotas as configured, ready to say what a row of the ledger counts towards.
 *
 * A value made from one read transaction; whoever keeps it makes a new one when the configuration has changed.
 */
#ifndef CP_QUOTA_SET_H
#define CP_QUOTA_SET_H

#include "calendar/zone.h"
#include "quota.h"
#include "store/usage_store.h"

struct cp_quota {
	struct gw_quota def;
	const struct cp_zone *zone;      /* UTC when its own is not installed */
	int64_t created_ms;              /* what began before that does not count */
	int64_t from_ms, until_ms;       /* the period looked at last */
};

struct cp_quota_set;
enum gw_rc cp_quota_set_load(struct cp_quota_set **out, struct cp_txn *t, struct gw_error *err) GW_MUST_CHECK; /* owned */
void cp_quota_set_free(struct cp_quota_set **s);                 /* NULL is fine */
size_t cp_quota_count(const struct cp_quota_set *s);
struct cp_quota *cp_quota_at(struct cp_quota_set *s, size_t i);
struct cp_quota *cp_quota_find(struct cp_quota_set *s, struct gw_str name);
/* A cp_charge_fn; arg is the set.  One thread at a time. */
size_t cp_quota_charges(void *set, const struct gw_usage_record *r, struct cp_charge *out);

/* One quota from its record; texts are arena. */
enum gw_rc cp_quota_read(struct cp_quota *out, const struct cp_record *r, struct gw_arena *a, struct gw_error *err) GW_MUST_CHECK;
/*
 * The period that holds `at_ms`.  The first one begins when the quota was made.  *until_ms is 0 when it never ends.
 * false: `at_ms` lies before that.
 */
bool cp_quota_period(struct cp_quota *q, int64_t at_ms, int64_t *from_ms, int64_t *until_ms);

#endif
