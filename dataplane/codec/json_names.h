/*
 * json_names.h - does a name occur twice in an object?  For every object that is open, while its members pass by.
 *
 * Only marks of names are kept, 64 bits each, on one stack: an object's marks lie together, because those of the objects
 * inside it are gone when its next name comes.  A narrow object is searched at each name.  A wide one is sorted once,
 * when it closes, so that nobody can make this expensive: n names cost n log n, whatever they are.
 *
 * Equal names have equal marks, so no duplicate is missed.  Two different names with one mark would be refused without
 * need: by chance once in 2^64 pairs, and on purpose only in one's own request.
 */
#ifndef DP_CODEC_JSON_NAMES_H
#define DP_CODEC_JSON_NAMES_H

#include "base/gw.h"

#define DP_NAMES_MAX_DEPTH 128
#define DP_NAMES_MAX_OPEN  16384   /* names in all objects that are open at a time */
#define DP_NAMES_NARROW    32      /* up to here an object is searched at each name */

enum dp_names_verdict { DP_NAMES_NEW, DP_NAMES_TWICE, DP_NAMES_TOO_MANY };

struct dp_json_names {
	uint64_t *v;                              /* `few`, or owned when there are many */
	size_t n, cap;
	uint16_t from[DP_NAMES_MAX_DEPTH + 1];    /* where the marks of the object at this depth begin */
	uint64_t few[32];                         /* most requests have fewer: each has one of these */
};

void dp_json_names_init(struct dp_json_names *s);
void dp_json_names_fini(void *names);             /* of a gw_arena_defer() too */
void dp_json_names_open(struct dp_json_names *s, size_t depth);
enum dp_names_verdict dp_json_names_add(struct dp_json_names *s, size_t depth, uint64_t mark);
/* The object closes.  false: some name of it stood there twice. */
bool dp_json_names_shut(struct dp_json_names *s, size_t depth);

/* The mark of a name, from its decoded bytes in any pieces (FNV-1a): begin with DP_NAMES_MARK. */
#define DP_NAMES_MARK 0xcbf29ce484222325u
static inline uint64_t dp_json_names_mark(uint64_t mark, const char *p, size_t n)
{
	for (size_t i = 0; i < n; i++)
		mark = (mark ^ (unsigned char)p[i]) * 0x100000001b3u;
	return mark;
}

#endif
