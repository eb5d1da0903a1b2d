/*
 * compile.h - from the objects in the database to what workers get.
 *
 * Every object that travels is brought into the form that snapshot.h describes: description and labels left out,
 * credentials inside their consumer, disabled provider keys left out, secrets resealed from the master key to the
 * snapshot key.  The result is a snapshot: it proves the configuration valid, serves explain, and has the bytes that
 * workers get.
 */
#ifndef CP_COMPILE_COMPILE_H
#define CP_COMPILE_COMPILE_H

#include "auth/keys.h"
#include "snapshot.h"
#include "store/store.h"

/*
 * The whole of this view.  *out is owned: gw_snapshot_unref().  `strict` refuses what only a newer release would know;
 * without it such members are ignored, as a worker does.  On failure err->path is the pointer in the whole document
 * ("/routes/my-route/targets/0/provider").
 */
enum gw_rc cp_compile(struct gw_snapshot **out, struct cp_txn *t, const char *epoch, const struct gw_catalog *catalog,
                      const struct cp_keys *keys, bool strict, struct gw_error *err) GW_MUST_CHECK;

/*
 * What the change makes of `base`, which must be the revision that the change began with: the revision that a commit
 * would make.  Only what was touched is read, strictly.  Fails as cp_compile() does.
 */
enum gw_rc cp_compile_next(struct gw_snapshot **out, const struct gw_snapshot *base, struct cp_change *c,
                           const struct gw_catalog *catalog, const struct cp_keys *keys,
                           struct gw_error *err) GW_MUST_CHECK;

#endif
