/*
 * bytescan.h - how far a run of uninteresting bytes goes, sixteen at a time where SSE2 is.
 *
 * SSE2 belongs to every x86-64; other machines take the plain loop.
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
/* Index of the first byte inside a JSON string that needs a look: quote, backslash, control byte or non-ASCII. */
size_t dp_scan_plain(const char *p, size_t n);
/* Index of the first quote or backslash; n when there is none. */
size_t dp_scan_quote(const char *p, size_t n);

#endif
