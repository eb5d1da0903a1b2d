/*
 * tryon.h - would this configuration work here?
 *
 * Decoding checks the schema, references and every plugin's and provider's own rules; here comes what only this worker
 * can tell: are the addresses dialable, do the certificates load.  A configuration that fails is never served.
 */
#ifndef DP_APPLY_TRYON_H
#define DP_APPLY_TRYON_H

#include "snapshot.h"

/* *out is owned.  On failure err->path points into the whole document. */
enum gw_rc dp_tryon(struct gw_snapshot **out, struct gw_str bytes, const uint8_t key[32], const struct gw_catalog *cat,
                    struct gw_error *err) GW_MUST_CHECK;

/* A change of `base`: what came over the channel, or stood in the journal.  Borrowed texts. */
struct dp_delta {
	struct gw_str epoch, bytes;
	uint64_t base, revision;
	struct gw_digest state;      /* of what it leads to */
};
/*
 * Only what the change brings is looked at.  GW_CONFLICT: it does not belong to `base`, or leads elsewhere than it says;
 * the whole is needed then.
 */
enum gw_rc dp_tryon_delta(struct gw_snapshot **out, const struct gw_snapshot *base, const struct dp_delta *d,
                          const uint8_t key[32], const struct gw_catalog *cat, struct gw_error *err) GW_MUST_CHECK;
/* The same for a file with plain secrets, readable by its owner only; see tidegate-worker --help. */
enum gw_rc dp_tryon_file(struct gw_snapshot **out, const char *path, const struct gw_catalog *cat, struct gw_error *err) GW_MUST_CHECK;

#endif
