/*
 * json_scan.h - one pass over a JSON object that arrives in pieces, remembering a few of its members.
 *
 * For request bodies: 32 MB with `model` at the end must neither become a tree nor stall a loop.  The scanner checks
 * the whole grammar of RFC 8259 (UTF-8 included: overlong forms and surrogates are refused, also as escapes), records
 * where the named top-level members stand, and refuses a body in which a watched name occurs twice, compared after
 * unescaping.  While it is there it counts text for the token estimate (llm/tokens.h).
 *
 * Two readers of the same bytes must not understand two things: whoever guards a door with dp_scan_strict() also has
 * refused what parsers are known to differ about (docs/adr/0010): a name twice in any object, a watched name in another
 * case, a NUL in a name.
 *
 * Resumable at every byte, no recursion; memory only for the names of wide objects, and only when strict.
 */
#ifndef DP_CODEC_JSON_SCAN_H
#define DP_CODEC_JSON_SCAN_H

#include "base/gw.h"
#include "codec/json_names.h"

#define DP_SCAN_MAX_DEPTH  DP_NAMES_MAX_DEPTH
#define DP_SCAN_MAX_DIGITS 400
#define DP_SCAN_NAME_MAX   40    /* longest watched name */
#define DP_SCAN_MEDIA_MIN  4096  /* base64 that is shorter counts as text, which comes to no more than a picture then */

enum dp_json_type {
	DP_J_NONE, DP_J_NULL, DP_J_FALSE, DP_J_TRUE, DP_J_NUMBER, DP_J_STRING, DP_J_OBJECT, DP_J_ARRAY
};

/* An element of the static list of names that a scanner watches. */
#define DP_SCAN_NAME(literal) { literal, sizeof(literal) - 1 }

struct dp_scan_member {
	enum dp_json_type type;  /* DP_J_NONE: not there */
	size_t at, n;            /* the value's bytes, quotes included; n is 0 until its end has come */
};

/* Text statistics over string values, member names excluded. */
struct dp_text_stat {
	int64_t ascii;           /* bytes below 0x80 */
	int64_t wide;            /* characters above it */
	int64_t media;           /* pictures and files, not counted as text: "data:…", and long strings that look like base64 */
	int64_t objects;         /* objects opened below the top: messages, parts, tools */
};

enum dp_scan_state { DP_SCAN_MORE, DP_SCAN_DONE, DP_SCAN_BAD };
enum dp_scan_fault { DP_SCAN_OK, DP_SCAN_SYNTAX, DP_SCAN_DEPTH, DP_SCAN_DUPLICATE, DP_SCAN_SPELLING };

struct dp_scan {
	const struct gw_str *names;           /* borrowed, static */
	size_t n_names;
	struct dp_scan_member *member;        /* borrowed: as many, in the same order */
	struct dp_text_stat stat;
	size_t at;                            /* bytes taken so far */
	size_t object_at, object_end;         /* offsets of '{' and, when DONE, just behind '}' */
	bool empty;                           /* the object has no member: matters for insertions */
	enum dp_scan_fault fault;
	const char *fault_text;               /* why BAD, static, reads after "the body " */
	/* DUPLICATE: which name, absent when the object was too wide to tell; SPELLING: the name as it should be written. */
	struct gw_str duplicate;

	/* the machine; not for callers */
	struct dp_json_names *strict;         /* borrowed; NULL: not strict */
	uint64_t key_mark;
	uint8_t state, depth;
	bool array;                           /* the innermost container is one */
	bool key;                             /* the string being read is a member's name */
	bool key_long;
	uint8_t utf8_left, utf8_min, utf8_max;
	uint8_t hex_n;
	uint16_t hex, high;                   /* \uXXXX so far; a high surrogate that waits for its low one */
	uint16_t digits;
	const char *literal;                  /* what is left of true, false or null */
	uint8_t prefix_n;                     /* how much of "data:" the string began with */
	uint8_t solid_n;                      /* how many characters of base64 it began with, as far as that is looked at */
	int8_t watching;                      /* index of the member whose value is being read, or -1 */
	size_t string_ascii, string_wide;
	uint8_t key_n;

	/* From here on nothing is zeroed without need. */
	char key_buf[DP_SCAN_NAME_MAX + 4];
	bool is_array[DP_SCAN_MAX_DEPTH + 1];
};

/*
 * A scanner is a plain value; `duplicate` may point into it, so do not move it afterwards.  What is found of the n names
 * stands in member[0..n), which lives as long as the scanner.
 */
void dp_scan_init(struct dp_scan *s, const struct gw_str *names, struct dp_scan_member *member, size_t n);
/* Right after dp_scan_init(): refuse what two readers may understand differently.  `names` outlives the scan. */
void dp_scan_strict(struct dp_scan *s, struct dp_json_names *names);
/* Take a piece.  DONE: the object is closed (only blanks may follow).  BAD is final. */
enum dp_scan_state dp_scan_feed(struct dp_scan *s, struct gw_str piece) GW_MUST_CHECK;
/* No more pieces: DONE if one whole object was read, else BAD ("ends too early"). */
enum dp_scan_state dp_scan_end(struct dp_scan *s) GW_MUST_CHECK;
/* Text so far, with what was read of a string that has not ended: for bodies that may be cut. */
void dp_scan_text(const struct dp_scan *s, int64_t *ascii, int64_t *wide);
/* The member with the i-th of the names; NULL: not in the body. */
static inline const struct dp_scan_member *dp_scan_get(const struct dp_scan *s, size_t i)
{
	return s->member[i].type != DP_J_NONE ? &s->member[i] : NULL;
}

#endif
