/*
 * ctype.h - the byte classes of RFC 9110, independent of any locale.
 *
 * One table of bits, so that a check is one load.
 */
#ifndef DP_HTTP_CTYPE_H
#define DP_HTTP_CTYPE_H

#include "base/gw.h"

#define DP_C_TOKEN 1u   /* tchar */
#define DP_C_VALUE 2u   /* HTAB, SP, VCHAR, obs-text: what a field value may hold */
#define DP_C_DIGIT 4u
#define DP_C_HOST  8u   /* letters, digits, '.', '-', '_' */

extern const uint8_t dp_ctype[256];

static inline bool dp_is_token_byte(unsigned char c) { return dp_ctype[c] & DP_C_TOKEN; }
static inline bool dp_is_value_byte(unsigned char c) { return dp_ctype[c] & DP_C_VALUE; }
static inline bool dp_is_digit(unsigned char c) { return dp_ctype[c] & DP_C_DIGIT; }
static inline bool dp_is_host_byte(unsigned char c) { return dp_ctype[c] & DP_C_HOST; }

#endif
