/*
 * mask.h - taking personal data and credentials out of a text.
 *
 * E-mail addresses, telephone numbers, payment cards (only those whose check digit is right), keys and tokens of the
 * usual forms, and whatever further patterns an operator gives, become [email], [phone], [card], [key] and [masked].
 * Patterns are PCRE2 with limits on matching, depth and memory.  One that reaches a limit has not looked at the whole
 * text: the text is then withheld, since half-masked is not masked.
 *
 * A text is masked whole.  Whoever has it in pieces (deltas of a stream, JSON escapes) puts it together first.
 */
#ifndef GW_PROTO_MASK_H
#define GW_PROTO_MASK_H

#include "base/arena.h"
#include "base/buf.h"

#define GW_MASK_MAX_PATTERNS 16
#define GW_MASK_MAX_PATTERN  512

struct gw_masker;            /* immutable, shared by threads */

/* What needs no configuration; lives for ever. */
const struct gw_masker *gw_masker_builtin(void);
/*
 * The same with further patterns.  Arena: it is released when the arena closes.  GW_INVALID: err->path is "/<index>" of
 * the pattern that does not compile or that matches the empty text.
 */
enum gw_rc gw_masker_make(const struct gw_masker **out, const struct gw_str *patterns, size_t n, struct gw_arena *a,
                          struct gw_error *err) GW_MUST_CHECK;

/* Append the masked text; invalid UTF-8 becomes U+FFFD.  Returns how many places were masked; -1: withheld, nothing added. */
int gw_mask(const struct gw_masker *m, struct gw_str text, struct gw_buf *out);

#endif
