/*
 * str.h - looking at borrowed bytes.  Nothing here allocates or writes.
 */
#ifndef GW_BASE_STR_H
#define GW_BASE_STR_H

#include "base/gw.h"

static inline struct gw_str gw_str_c(const char *z)
{
	return z ? (struct gw_str){ z, strlen(z) } : GW_STR_NONE;
}

static inline bool gw_str_eq(struct gw_str a, struct gw_str b)
{
	return a.n == b.n && (a.n == 0 || memcmp(a.p, b.p, a.n) == 0);
}

static inline bool gw_str_is(struct gw_str a, const char *z)
{
	return gw_str_eq(a, gw_str_c(z));
}

bool gw_str_ieq_n(const char *a, const char *b, size_t n);    /* ASCII case ignored */
/* ASCII case ignored.  Most comparisons end at the length, so that one is made where the caller stands. */
static inline bool gw_str_ieq(struct gw_str a, struct gw_str b)
{
	return a.n == b.n && gw_str_ieq_n(a.p, b.p, a.n);
}
bool gw_str_starts(struct gw_str s, struct gw_str prefix);
bool gw_str_ends(struct gw_str s, struct gw_str suffix);
int gw_str_cmp(struct gw_str a, struct gw_str b);             /* bytewise, shorter first; for qsort */
struct gw_str gw_str_trim(struct gw_str s);                   /* without SP, HTAB, CR, LF at both ends */
struct gw_str gw_str_from(struct gw_str s, size_t at);        /* the rest; empty past the end */
/* Cut *s at the first `sep`: returns what stands before it and leaves the rest in *s ({NULL,0} when none). */
struct gw_str gw_str_cut(struct gw_str *s, char sep);
bool gw_str_find(struct gw_str hay, struct gw_str needle, size_t *at);

/* Whole string is one decimal number within [min,max].  No sign tricks, no blanks. */
bool gw_str_int(struct gw_str s, int64_t min, int64_t max, int64_t *out);

/* Valid UTF-8 by RFC 3629: no overlong forms, surrogates or values above U+10FFFF. */
bool gw_utf8_valid(struct gw_str s);
/* Bytes of the character at the front, 1 to 4; 0 when there is none or it is not valid. */
size_t gw_utf8_len(struct gw_str s);

/* `*` stands for any run of bytes, everything else for itself ("gpt-*").  Linear time. */
bool gw_glob_match(struct gw_str pattern, struct gw_str s);

#endif
