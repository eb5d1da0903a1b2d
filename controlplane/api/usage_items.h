/*
 * usage_items.h - sums of the ledger as the API shows them: one item for each group, costs by currency.
 */
#ifndef CP_API_USAGE_ITEMS_H
#define CP_API_USAGE_ITEMS_H

#include "json.h"
#include "store/usage_store.h"

#define CP_USAGE_MAX_ITEMS 100000

/*
 * The items of a query, at most CP_USAGE_MAX_ITEMS: members of the dimensions grouped by, `time` when grouped by it, the
 * sums, `cost` and `currency` (null when there are several or none), `costs` [{"currency","cost"}].  In order of time, or
 * most requests first.  Owned; NULL: *err.
 */
json_t *cp_usage_items(struct cp_txn *t, const struct cp_usage_query *q, struct gw_error *err);
/* One item with zeros; owned. */
json_t *cp_usage_nothing(void);
/* The items' sum; owned. */
json_t *cp_usage_total(const json_t *items);

#endif
