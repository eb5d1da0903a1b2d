/*
 * snapshot_object.h - the two lower layers of a snapshot (see snapshot_impl.h): objects and entries.
 *
 * For the snapshot's own files only.  An object is one specification, parsed; it knows nothing of others.  An entry is
 * that object in its place in one configuration, with what it refers to.
 */
#ifndef GW_PROTO_SNAPSHOT_OBJECT_H
#define GW_PROTO_SNAPSHOT_OBJECT_H

#include "snapshot_impl.h"

/*
 * *out is owned: gw_object_unref().  `how` says how to read; its arena and its counter are not used, since an object
 * has its own.  Fails with err->path relative to the object.
 */
enum gw_rc gw_object_read(struct gw_object **out, const struct gw_spec *how, enum gw_kind k, struct gw_str name,
                          const json_t *spec, struct gw_error *err) GW_MUST_CHECK;
struct gw_object *gw_object_ref(struct gw_object *o);   /* returns o */
void gw_object_unref(struct gw_object **o);             /* consumed; NULL is fine */

/* *out is owned: gw_entry_unref().  A provider that a route names and `s` lacks fails with the whole pointer. */
enum gw_rc gw_entry_make(struct gw_entry **out, const struct gw_snapshot *s, struct gw_object *o,
                         struct gw_error *err) GW_MUST_CHECK;
void gw_entry_unref(struct gw_entry **e);               /* consumed; NULL is fine */
/* Does everyone exist whom the route's auth.consumers name? */
enum gw_rc gw_route_check_callers(const struct gw_snapshot *s, const struct gw_route *r, struct gw_error *err);

#endif
