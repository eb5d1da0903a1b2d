/*
 * compile.h - from the objects in the database to what workers get.
 *
 * One walk over a read transaction gathers every object that travels, in the form that snapshot.h describes:
 * description and labels left out, credentials inside their consumer, disabled provider keys left out, secrets
 * resealed from the master key to the snapshot key.
 */
#ifndef CP_COMPILE_COMPILE_H
#define CP_COMPILE_COMPILE_H

#include "auth/keys.h"
#include "snapshot.h"
#include "store/store.h"

/*
 * The canonical bytes of the snapshot at this view: what the publisher sends.  *out is initialised by the caller
 * with GW_SNAPSHOT_MAX_BYTES and is empty on failure.  The bytes decode with keys->snapshot.
 */
enum gw_rc cp_compile(struct gw_buf *out, struct gw_digest *digest, uint64_t *revision, struct cp_txn *t,
                      const char *epoch, const struct cp_keys *keys, struct gw_error *err) GW_MUST_CHECK;

/*
 * Would this view be a valid configuration?  Everything goes through gw_builder in strict mode.  *out is owned
 * (gw_snapshot_unref) and serves explain; its secrets are sealed.  On failure err->path is the pointer in the whole
 * document ("/routes/my-route/targets/0/provider").
 */
enum gw_rc cp_compile_check(struct gw_snapshot **out, struct cp_txn *t, const char *epoch,
                            const struct gw_catalog *catalog, const struct cp_keys *keys,
                            struct gw_error *err) GW_MUST_CHECK;

#endif
