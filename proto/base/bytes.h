/*
 * bytes.h - hex, little endian numbers, base64url, random bytes, and comparing secrets.
 */
#ifndef GW_BASE_BYTES_H
#define GW_BASE_BYTES_H

#include "base/buf.h"
#include "base/gw.h"

#define GW_HEX_LEN(n) ((n) * 2 + 1)

void gw_hex(char *out /* GW_HEX_LEN(n), NUL-terminated */, const void *bytes, size_t n);
/* Exactly 2*n hex digits, either case.  false: anything else. */
bool gw_unhex(void *out, size_t n, struct gw_str hex);

/* Up to eight bytes as a number, the lowest first. */
static inline uint64_t gw_le_get(const char *p, size_t n)
{
	uint64_t v = 0;
	for (size_t i = 0; i < n; i++)
		v |= (uint64_t)(unsigned char)p[i] << 8 * i;
	return v;
}
static inline void gw_le_put(char *p, size_t n, uint64_t v)
{
	for (size_t i = 0; i < n; i++)
		p[i] = (char)(v >> 8 * i);
}

/* ASCII that stands for itself in a JSON string. */
static inline bool gw_json_plain(unsigned char c)
{
	return c >= 0x20 && c < 0x7f && c != '"' && c != '\\';
}
/* The same for eight bytes at once; it may say no of plain ones, never yes of others. */
static inline bool gw_json_plain_8(uint64_t w)
{
	const uint64_t ones = 0x0101010101010101u, high = 0x80 * ones;
	uint64_t quote = w ^ ones * '"', slash = w ^ ones * '\\', del = w ^ ones * 0x7f;
	uint64_t below = w - ones * 0x20, zero = ((quote - ones) & ~quote) | ((slash - ones) & ~slash) | ((del - ones) & ~del);
	return ((w | (below & ~w) | zero) & high) == 0;
}

/* base64url without padding (RFC 4648 section 5); decoding refuses padding, blanks and loose bits. */
void gw_b64_add(struct gw_buf *out, const void *bytes, size_t n);
bool gw_b64_decode(struct gw_buf *out, struct gw_str text);

void gw_random(void *out, size_t n);                     /* getrandom(2); aborts if the kernel cannot */
/* prefix + 43 base64url characters of 32 random bytes: "tgk_…".  out is NUL-terminated. */
void gw_token_new(char out[64], const char *prefix);

bool gw_secret_eq(struct gw_str a, struct gw_str b);     /* time depends on the lengths only */
void gw_secret_wipe(void *p, size_t n);                  /* explicit_bzero */

void gw_sha256(uint8_t out[32], struct gw_str s);
void gw_sha256_2(uint8_t out[32], struct gw_str a, struct gw_str b); /* of a followed by b */
/* In pieces: begin, add…, end.  The end consumes it; `out` NULL only lets it go. */
struct gw_sha256_run;
struct gw_sha256_run *gw_sha256_begin(void);
void gw_sha256_add(struct gw_sha256_run *r, struct gw_str s);
void gw_sha256_end(struct gw_sha256_run **r, uint8_t *out);
void gw_hmac_sha256(uint8_t out[32], struct gw_str key, struct gw_str s);

#endif
