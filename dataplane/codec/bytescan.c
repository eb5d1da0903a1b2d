/* bytescan.c - three searches that everything else on the hot path stands on. */
#include "codec/bytescan.h"

static inline bool stops_plain(unsigned char c)
{
	return c == '"' || c == '\\' || c < 0x20 || c >= 0x80;
}

#if DP_WIDE_SCAN
static inline unsigned eol_bits(const char *p)
{
	__m128i v = _mm_loadu_si128((const __m128i *)(const void *)p);

	return (unsigned)_mm_movemask_epi8(_mm_or_si128(dp_scan_is(v, '\r'), dp_scan_is(v, '\n')));
}

/*
 * Blocks of sixteen; `bits` has one for each byte that stops.  The last block overlaps the one before it, of whose bytes
 * none did.
 */
#define WIDE(p, n, i, bits)                                               \
	for (; i + 16 <= n; i += 16) {                                    \
		unsigned mask = bits(p + i);                              \
		if (mask)                                                 \
			return i + (size_t)__builtin_ctz(mask);           \
	}                                                                 \
	if (n >= 16 && i < n) {                                           \
		unsigned mask = bits(p + n - 16);                         \
		return mask ? n - 16 + (size_t)__builtin_ctz(mask) : n;   \
	}
#else
#define WIDE(p, n, i, bits)
#endif

size_t dp_scan_eol(const char *p, size_t n)
{
	size_t i = 0;

	WIDE(p, n, i, eol_bits)
	while (i < n && p[i] != '\r' && p[i] != '\n')
		i++;
	return i;
}

size_t dp_scan_plain_far(const char *p, size_t n)
{
	size_t i = 0;

	WIDE(p, n, i, dp_scan_plain_bits)
	while (i < n && !stops_plain((unsigned char)p[i]))
		i++;
	return i;
}

size_t dp_scan_quote_far(const char *p, size_t n)
{
	size_t i = 0;

	WIDE(p, n, i, dp_scan_quote_bits)
	while (i < n && p[i] != '"' && p[i] != '\\')
		i++;
	return i;
}
