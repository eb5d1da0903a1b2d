/* bytescan.c - three searches that everything else on the hot path stands on. */
#include "codec/bytescan.h"

static inline bool stops_plain(unsigned char c)
{
	return c == '"' || c == '\\' || c < 0x20 || c >= 0x80;
}

#if DP_WIDE_SCAN
/* Run `test` over blocks of sixteen; the mask has a bit for each byte that stops. */
#define WIDE(p, n, i, mask_expr)                                                             \
	for (; i + 16 <= n; i += 16) {                                                       \
		__m128i v = _mm_loadu_si128((const __m128i *)(const void *)(p + i));         \
		int mask = _mm_movemask_epi8(mask_expr);                                     \
		if (mask)                                                                    \
			return i + (size_t)__builtin_ctz((unsigned)mask);                    \
	}
#define EQ(c) _mm_cmpeq_epi8(v, _mm_set1_epi8(c))
#else
#define WIDE(p, n, i, mask_expr)
#endif

size_t dp_scan_eol(const char *p, size_t n)
{
	size_t i = 0;

	WIDE(p, n, i, _mm_or_si128(EQ('\r'), EQ('\n')))
	while (i < n && p[i] != '\r' && p[i] != '\n')
		i++;
	return i;
}

size_t dp_scan_plain(const char *p, size_t n)
{
	size_t i = 0;

	/* Signed comparison: bytes above 0x7f are negative, hence also below 0x20. */
	WIDE(p, n, i, _mm_or_si128(_mm_cmplt_epi8(v, _mm_set1_epi8(0x20)), _mm_or_si128(EQ('"'), EQ('\\'))))
	while (i < n && !stops_plain((unsigned char)p[i]))
		i++;
	return i;
}

size_t dp_scan_quote(const char *p, size_t n)
{
	size_t i = 0;

	WIDE(p, n, i, _mm_or_si128(EQ('"'), EQ('\\')))
	while (i < n && p[i] != '"' && p[i] != '\\')
		i++;
	return i;
}
