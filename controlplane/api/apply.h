/*
 * apply.h - the end that declarative apply and rollback share.
 */
#ifndef CP_API_APPLY_H
#define CP_API_APPLY_H

#include "api/internal.h"

/* Plan against `before` (cp_config_at), prove, commit, answer an ApplyResult.  The change is consumed.  `then` is the
 * configuration that a rollback goes back to, NULL for an apply: consumers that come back have lost their keys. */
void cp_apply_finish(struct cp_ctx *x, struct cp_change **c, const json_t *before, const json_t *then);
/* "/routes/r1/targets/0" → "/routes/3/targets/0": a document lists objects, the snapshot names them.  In place. */
void cp_apply_pointer(const json_t *document, char *path, size_t size);

#endif
