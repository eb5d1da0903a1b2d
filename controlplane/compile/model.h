/*
 * model.h - the newest configuration as a snapshot, kept from one commit to the next.
 *
 * A change is proved valid by applying it to the model, and what comes out is, after the commit, what workers get; so a
 * commit costs what it changes.  The whole is read from the database only when the model has not the revision asked
 * for: at the start, and after a write that was not proved here.
 *
 * Safe from any thread.  Reading the whole happens outside of its lock.
 */
#ifndef CP_COMPILE_MODEL_H
#define CP_COMPILE_MODEL_H

#include "compile/compile.h"

struct cp_model;

/* All borrowed for its life.  Owned: cp_model_close(). */
struct cp_model *cp_model_open(struct cp_store *store, const struct gw_catalog *catalog, const struct cp_keys *keys);
void cp_model_close(struct cp_model **m);               /* consumed; NULL is fine */

/* The committed configuration, at its newest.  *out is owned: gw_snapshot_unref(). */
enum gw_rc cp_model_latest(struct cp_model *m, struct gw_snapshot **out, struct gw_error *err) GW_MUST_CHECK;
/*
 * What the change would make of it, from the thread that holds the change.  *out is owned.  The model remembers it for
 * the case that the change is committed; tell it by cp_model_committed() or cp_model_dropped().
 */
enum gw_rc cp_model_next(struct cp_model *m, struct cp_change *c, struct gw_snapshot **out, struct gw_error *err) GW_MUST_CHECK;
/* For cp_store_on_commit(), before whoever publishes: cheap. */
void cp_model_committed(void *model, uint64_t revision);
void cp_model_dropped(struct cp_model *m, const struct gw_snapshot *s);  /* what cp_model_next() gave was not committed */

#endif
