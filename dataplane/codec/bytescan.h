/*
 * bytescan.h - how far a run of uninteresting bytes goes, sixteen at a time where SSE2 is.
 *
 * SSE2 belongs to every x86-64; other machines take the plain loop.  Names and short texts are what JSON has most of: they
 * end within sixteen bytes, so that many are looked at without a call, and the rest is left to the loops in bytescan.c.
 */
#ifndef DP_CODEC_BYTESCAN_H
#define DP_CODEC_BYTESCAN_H

#include "base/gw.h"

#if defined(__SSE2__)
#include <emmintrin.h>
#define DP_WIDE_SCAN 1
#else
#define DP_WIDE_SCAN 0
#endif

/* Index of the first CR or LF; n when there is none. */
size_t dp_scan_eol(const char *p, size_t n);
/* The two below, for any n. */
size_t dp_scan_plain_far(const char *p, size_t n);
size_t dp_scan_quote_far(const char *p, size_t n);

#if DP_WIDE_SCAN
static inline __m128i dp_scan_is(__m128i v, char c)
{
	return _mm_cmpeq_epi8(v, _mm_set1_epi8(c));
}

/* Sixteen bytes at p: a bit for each quote and backslash. */
static inline unsigned dp_scan_quote_bits(const char *p)
{
	__m128i v = _mm_loadu_si128((const __m128i *)(const void *)p);

	return (unsigned)_mm_movemask_epi8(_mm_or_si128(dp_scan_is(v, '"'), dp_scan_is(v, '\\')));
}

/* The same, and for each control byte and non-ASCII: compared with signs, these are below 0x20 too. */
static inline unsigned dp_scan_plain_bits(const char *p)
{
	__m128i v = _mm_loadu_si128((const __m128i *)(const void *)p);
	__m128i low = _mm_cmplt_epi8(v, _mm_set1_epi8(0x20));

	return (unsigned)_mm_movemask_epi8(_mm_or_si128(low, _mm_or_si128(dp_scan_is(v, '"'), dp_scan_is(v, '\\'))));
}
#else
static inline unsigned dp_scan_quote_bits(const char *p)
{
	return *p == '"' || *p == '\\';
}

static inline unsigned dp_scan_plain_bits(const char *p)
{
	return *p == '"' || *p == '\\' || (unsigned char)*p < 0x20 || (unsigned char)*p >= 0x80;
}
#endif

/* Index of the first byte inside a JSON string that needs a look: quote, backslash, control byte or non-ASCII; else n. */
static inline size_t dp_scan_plain(const char *p, size_t n)
{
	unsigned bits = n >= 16 ? dp_scan_plain_bits(p) : 0;

	return bits ? (size_t)__builtin_ctz(bits) : dp_scan_plain_far(p, n);
}

/* Index of the first quote or backslash; n when there is none. */
static inline size_t dp_scan_quote(const char *p, size_t n)
{
	unsigned bits = n >= 16 ? dp_scan_quote_bits(p) : 0;

	return bits ? (size_t)__builtin_ctz(bits) : dp_scan_quote_far(p, n);
}

#endif
