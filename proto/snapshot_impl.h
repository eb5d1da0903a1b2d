/*
 * snapshot_impl.h - the inside of a snapshot, for proto's own files only.
 *
 * A snapshot owns one arena that holds every view and text, the maps over them, and the index of match.c.  It is filled
 * by the builder, never changed afterwards, and shared by threads through its atomic count.  When the last reference
 * goes, the arena's finalisers wipe the secrets and free the regexes.
 */
#ifndef GW_PROTO_SNAPSHOT_IMPL_H
#define GW_PROTO_SNAPSHOT_IMPL_H

#include <stdatomic.h>

#include "base/map.h"
#include "match.h"
#include "snapshot.h"

#define GW_SNAPSHOT_MAGIC 0x736e6170u

struct gw_snapshot {
	unsigned magic;
	atomic_uint refs;
	struct gw_arena *arena;
	uint64_t revision;
	struct gw_str epoch, pepper;
	struct gw_digest digest;           /* zero unless decoded from bytes */
	size_t unknown;
	struct gw_dp_settings settings;
	struct gw_provider *providers;     /* sorted by name */
	size_t n_providers;
	struct gw_group *groups;           /* sorted by name */
	size_t n_groups;
	struct gw_jwt_issuer *issuers;     /* sorted by name */
	size_t n_issuers;
	struct gw_map *issuer_by_iss;      /* enabled ones */
	struct gw_consumer *consumers;     /* sorted by name */
	size_t n_consumers;
	struct gw_route *routes;           /* sorted by the index */
	size_t n_routes;
	struct gw_binding *globals;        /* sorted by rank */
	size_t n_globals;
	struct gw_map *provider_by_name, *consumer_by_name, *group_by_name;
	struct gw_map *keys;               /* 32 bytes of hash → struct gw_consumer_key */
	struct gw_match_index *index;
};

struct gw_match_index *gw_snapshot_index(const struct gw_snapshot *s);

/* The groups of `c` that are objects, and what it inherits from them. */
void gw_consumer_inherit(const struct gw_snapshot *s, struct gw_consumer *c, struct gw_arena *a);

/* What decoding adds to the builder's door: a key that opens sealed secrets (borrowed), and the pepper (copied). */
void gw_builder_set_unseal(struct gw_builder *b, const struct gw_unseal *unseal);
void gw_builder_set_pepper(struct gw_builder *b, struct gw_str pepper);
void gw_builder_count_unknown(struct gw_builder *b);
bool gw_builder_has_keys(const struct gw_builder *b);  /* has any consumer a key? */

/* An epoch is 16 hexadecimal digits. */
bool gw_epoch_valid(struct gw_str epoch);

#endif
