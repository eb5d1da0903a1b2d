/*
 * json_at.h - reading single values out of small JSON texts (stream events, answers) without building anything.
 *
 * Tolerant on purpose: these texts come from providers, and one that is odd must pass through rather than break.  The
 * reader never runs past the end, never recurses, and says DP_J_NONE whenever it cannot follow.  It is not a validator:
 * what it does not look at it merely skips.  Names are compared as written, escapes in names are not undone: every
 * vendor writes `usage` as `usage`.
 */
#ifndef DP_CODEC_JSON_AT_H
#define DP_CODEC_JSON_AT_H

#include "base/buf.h"
#include "base/gw.h"
#include "codec/json_scan.h" /* enum dp_json_type */

struct dp_json {
	enum dp_json_type type;
	struct gw_str raw;       /* the value's bytes; strings with their quotes */
};

/* The value at the start of `doc`, blanks skipped.  NONE: no whole value there. */
struct dp_json dp_json_value(struct gw_str doc);
/* "usage.prompt_tokens_details.cached_tokens", "choices[0].delta"; NONE: some step is missing or of another type. */
struct dp_json dp_json_at(struct dp_json from, const char *path);
static inline struct dp_json dp_json_doc_at(struct gw_str doc, const char *path)
{
	return dp_json_at(dp_json_value(doc), path);
}

/*
 * Members of an object or elements of an array, in order:
 *   struct dp_json_iter it = dp_json_iter(v);
 *   while (dp_json_next(&it)) ... it.key (as written, without quotes; absent in arrays), it.value
 * it.key_at and it.end are offsets into the container's raw, for cutting members out.
 */
struct dp_json_iter {
	struct gw_str in;
	size_t pos;
	bool object, broken;     /* broken: the text was cut off or malformed */
	bool lazy, left, ended;  /* of the functions below; left: the value's end is known */
	struct gw_str key;
	struct dp_json value;
	size_t key_at, end;
	size_t index;
};
struct dp_json_iter dp_json_iter(struct dp_json container);
bool dp_json_next(struct dp_json_iter *it);

/*
 * The same without looking for the end of each container before going into it, which walks over the innermost text once
 * for each level:
 *   struct dp_json_iter it = dp_json_lazy(v), inner;
 *   while (dp_json_next(&it)) { inner = dp_json_enter(&it); while (dp_json_next(&inner)) …; dp_json_leave(&it, &inner); }
 * it.value of an object or array has its type, and its end only from dp_json_whole(); strings and scalars are as above.
 */
struct dp_json_iter dp_json_lazy(struct dp_json container);
struct dp_json_iter dp_json_enter(const struct dp_json_iter *it);
void dp_json_leave(struct dp_json_iter *it, const struct dp_json_iter *inner);   /* inner may have stopped anywhere */
struct dp_json dp_json_whole(struct dp_json_iter *it);   /* NONE: it is cut off */

/* Whole numbers, also written 12.0 or 1e3; clamped to [0, max]; false: not a number. */
bool dp_json_int(struct dp_json v, int64_t max, int64_t *out);
static inline bool dp_json_true(struct dp_json v) { return v.type == DP_J_TRUE; }
/* Is it there and neither null, false, "" , {} nor []? */
bool dp_json_truthy(struct dp_json v);
/* A string's content as written, between the quotes; absent for other types. */
struct gw_str dp_json_inner(struct dp_json v);
/* Append the decoded string; broken escapes become U+FFFD.  false: not a string. */
bool dp_json_text(struct gw_buf *out, struct dp_json v);
bool dp_json_is(struct dp_json v, const char *text);   /* a string that says exactly this, written without escapes */
/* ASCII bytes and wide characters of a string, as they would be decoded. */
void dp_json_measure(struct dp_json v, int64_t *ascii, int64_t *wide);

#endif
