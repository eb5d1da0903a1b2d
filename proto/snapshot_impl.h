/*
 * snapshot_impl.h - the inside of a snapshot, for proto's own files only.
 *
 * Three layers, each immutable once it stands and counted by itself:
 *
 *   object    one object as it was parsed, with an arena of its own: bytes, digest, view
 *   entry     an object within a configuration: a route with its providers, a consumer with its groups; else just
 *             the object
 *   snapshot  a map of entries for each kind, and the indexes over them (keys, routes), all tries that share nodes
 *
 * Indexes do not count what they point to: every snapshot that has the index has the entry too.  A provider
 * that changes is another object, so the entries of the routes that refer to it are made anew, and so are those of
 * consumers when a group changes; their objects are not.
 *
 * When the last count goes, an object's arena wipes the secrets and frees the regexes.
 */
#ifndef GW_PROTO_SNAPSHOT_IMPL_H
#define GW_PROTO_SNAPSHOT_IMPL_H

#include <stdatomic.h>

#include "match.h"
#include "snapshot.h"
#include "spec.h"

#define GW_SNAPSHOT_MAGIC 0x736e6170u

struct gw_price_book;
struct gw_quota_index;

struct gw_object {
	atomic_uint refs;
	enum gw_kind kind;
	struct gw_arena *arena;            /* holds this struct as well */
	struct gw_str name, bytes;         /* canonical, secrets sealed */
	uint8_t digest[32];                /* of kind, name and bytes */
	size_t unknown;
	union {
		struct gw_provider provider;
		struct gw_group group;
		struct gw_jwt_issuer issuer;
		struct { struct gw_consumer view; struct gw_consumer_key *keys; size_t n_keys; } consumer;
		struct gw_spec_route route;
		struct gw_binding binding; /* module NULL: a plugin that is not known here */
		struct gw_dp_settings settings;
		struct gw_price price;
		struct gw_quota quota;
	} as;
};

struct gw_entry {
	atomic_uint refs;
	struct gw_object *object;          /* counted */
	const void *view;                  /* struct gw_route, gw_provider, … */
	struct gw_consumer_key *keys;      /* of a consumer; as many as its object has */
	struct gw_arena *arena;            /* what a consumer has from its groups; NULL without groups */
};

struct gw_snapshot {
	unsigned magic;
	atomic_uint refs;
	struct gw_arena *arena;            /* the texts of this struct and `globals` */
	uint64_t revision;
	struct gw_str epoch, pepper, sealed_pepper;
	struct gw_digest digest;           /* zero unless decoded from bytes */
	uint8_t sum[32];                   /* of the objects' digests, little end first */
	size_t unknown;
	struct gw_dp_settings settings;    /* texts of the settings' object */
	struct gw_trie kinds[GW_KIND_COUNT]; /* name → struct gw_entry, counted */
	struct gw_trie keys;               /* 32 bytes of hash → struct gw_consumer_key */
	struct gw_trie issuer_by_iss;      /* the enabled ones → struct gw_jwt_issuer */
	struct gw_match_index *index;
	struct gw_price_book *prices;      /* counted; NULL: none was sealed yet */
	struct gw_quota_index *quotas;     /* likewise; NULL without quotas */
	struct gw_binding *globals;        /* sorted by rank */
	size_t n_globals;
	size_t n_open;                     /* enabled routes that want no credential */
	size_t n_unlisted;                 /* enabled routes that let every consumer in */
};

static inline struct gw_entry *gw_entry_of(const struct gw_snapshot *s, enum gw_kind k, struct gw_str name)
{
	return gw_trie_get(&s->kinds[k], name);
}

struct gw_match_index *gw_snapshot_index(const struct gw_snapshot *s);

/* The groups of `c` that are objects, and what it inherits from them. */
void gw_consumer_inherit(const struct gw_snapshot *s, struct gw_consumer *c, struct gw_arena *a);

/* What decoding adds to the builder's door: a key that opens sealed secrets (borrowed), and the pepper (copied). */
void gw_builder_set_unseal(struct gw_builder *b, const struct gw_unseal *unseal);
void gw_builder_set_pepper(struct gw_builder *b, struct gw_str pepper);
void gw_builder_count_unknown(struct gw_builder *b);
/* {"routes":{"a":{…}}}; with `diff` a null takes the object away.  err->path begins with /objects. */
enum gw_rc gw_builder_add_all(struct gw_builder *b, const json_t *objects, bool diff, struct gw_error *err);
/* The sealed pepper of a document; NULL is fine as long as no consumer has a key. */
enum gw_rc gw_builder_read_pepper(struct gw_builder *b, const json_t *v, const uint8_t key[32], struct gw_error *err);
bool gw_builder_has_keys(const struct gw_builder *b);  /* has any consumer that was added a key? */
/* Borrowed entries in the order of their names. */
struct gw_entry **gw_snapshot_sorted(const struct gw_snapshot *s, enum gw_kind k, struct gw_arena *a, size_t *n);

/* An epoch is 16 hexadecimal digits. */
bool gw_epoch_valid(struct gw_str epoch);

#endif
