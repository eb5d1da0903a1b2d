/*
 * splice.h - a body with a few bytes changed, everything else byte-equal.
 *
 * The result is a list of borrowed slices (of the source and of the replacements) whose total length is known before
 * the first byte is sent, so Content-Length is exact and 20 MB are never copied to change a model name.
 */
#ifndef DP_CODEC_SPLICE_H
#define DP_CODEC_SPLICE_H

#include "base/arena.h"
#include "base/gw.h"

struct dp_edit { size_t at, n; struct gw_str with; };   /* n source bytes at `at` become `with` */

struct dp_edits {
	struct gw_arena *a;      /* borrowed; the edits and the result live here */
	struct dp_edit *v;
	size_t n, cap;
};

/* What is to be sent: parts[0..n_parts), `bytes` in total.  parts and the list are arena, their bytes borrowed. */
struct dp_body {
	const struct gw_str *parts;
	size_t n_parts;
	size_t bytes;
};

void dp_edits_init(struct dp_edits *e, struct gw_arena *a);
/* Order does not matter; edits must not overlap (asserted in dp_splice).  `with` is borrowed. */
void dp_edit_add(struct dp_edits *e, size_t at, size_t n, struct gw_str with);
struct dp_body dp_splice(struct dp_edits *e, struct gw_str source);

#endif
