/*
 * price_book.h - indexes of a snapshot over its prices and its quotas; for proto's own files only.
 *
 * Prices stand in scopes (of an operator or of the seed; for a named provider, for a type, for any), and within a scope
 * under their models' patterns, sorted.  Every pattern knows the longest other one that is a beginning of it, so the
 * best match for a model is found by one binary search and a short walk.
 *
 * Both are immutable and counted, and snapshots share them as long as no price or quota changes.  They point into
 * objects that every snapshot with the index has, too; only the seed's prices are their own.
 */
#ifndef GW_PROTO_PRICE_BOOK_H
#define GW_PROTO_PRICE_BOOK_H

#include "base/map.h"
#include "snapshot_impl.h"

/* From the prices among s->kinds.  Two for the same at the same time fail with err->path "/prices/b/models/0". */
enum gw_rc gw_price_book_make(struct gw_price_book **out, const struct gw_snapshot *s, struct gw_error *err) GW_MUST_CHECK;
struct gw_price_book *gw_price_book_ref(struct gw_price_book *b);  /* NULL is fine */
void gw_price_book_unref(struct gw_price_book **b);               /* NULL is fine */

/* From the quotas among s->kinds.  Too many of one consumer, group or key fail. */
enum gw_rc gw_quota_index_make(struct gw_quota_index **out, const struct gw_snapshot *s, struct gw_error *err) GW_MUST_CHECK;
struct gw_quota_index *gw_quota_index_ref(struct gw_quota_index *x);
void gw_quota_index_unref(struct gw_quota_index **x);
/* Does everyone exist whom a quota is for?  Groups may be words only, keys come and go. */
enum gw_rc gw_quotas_check(const struct gw_snapshot *s, struct gw_error *err) GW_MUST_CHECK;

#endif
