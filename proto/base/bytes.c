/*
 * bytes.c - hex, base64url, random bytes, comparing secrets.
 *
 * The digests that bytes.h declares stand in seal.c, the one file of proto that includes libcrypto.
 */
#include "base/bytes.h"
#include "base/str.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>

static const char b64[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

void gw_hex(char *out, const void *bytes, size_t n)
{
	static const char digits[] = "0123456789abcdef";
	const unsigned char *p = bytes;
	for (size_t i = 0; i < n; i++) {
		*out++ = digits[p[i] >> 4];
		*out++ = digits[p[i] & 15];
	}
	*out = 0;
}

static int hex_value(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

bool gw_unhex(void *out, size_t n, struct gw_str hex)
{
	if (hex.n % 2 || hex.n / 2 != n)
		return false;
	unsigned char *p = out;
	for (size_t i = 0; i < n; i++) {
		int high = hex_value(hex.p[2 * i]), low = hex_value(hex.p[2 * i + 1]);
		if (high < 0 || low < 0)
			return false;
		p[i] = (unsigned char)(high << 4 | low);
	}
	return true;
}

void gw_b64_add(struct gw_buf *out, const void *bytes, size_t n)
{
	const unsigned char *p = bytes;
	assert(n < SIZE_MAX / 2);
	size_t len = n / 3 * 4 + (n % 3 ? n % 3 + 1 : 0);
	char *to = gw_buf_reserve(out, len);
	if (!to)
		return;
	for (; n >= 3; n -= 3, p += 3) {
		*to++ = b64[p[0] >> 2];
		*to++ = b64[(p[0] & 3) << 4 | p[1] >> 4];
		*to++ = b64[(p[1] & 15) << 2 | p[2] >> 6];
		*to++ = b64[p[2] & 63];
	}
	if (n) {
		*to++ = b64[p[0] >> 2];
		*to++ = b64[(p[0] & 3) << 4 | (n == 2 ? p[1] >> 4 : 0)];
		if (n == 2)
			*to++ = b64[(p[1] & 15) << 2];
	}
	gw_buf_commit(out, len);
}

static int b64_value(char c)
{
	if (c >= 'A' && c <= 'Z')
		return c - 'A';
	if (c >= 'a' && c <= 'z')
		return c - 'a' + 26;
	if (c >= '0' && c <= '9')
		return c - '0' + 52;
	return c == '-' ? 62 : c == '_' ? 63 : -1;
}

bool gw_b64_decode(struct gw_buf *out, struct gw_str text)
{
	if (text.n % 4 == 1)
		return false;
	size_t len = text.n / 4 * 3 + (text.n % 4 ? text.n % 4 - 1 : 0);
	unsigned char *to = (unsigned char *)gw_buf_reserve(out, len);
	if (!to)
		return false;
	uint32_t bits = 0;
	unsigned have = 0;
	for (size_t i = 0; i < text.n; i++) {
		int v = b64_value(text.p[i]);
		if (v < 0)
			return false;
		bits = bits << 6 | (uint32_t)v;
		have += 6;
		if (have >= 8) {
			have -= 8;
			*to++ = (unsigned char)(bits >> have);
		}
	}
	if (bits & ((1u << have) - 1))
		return false;
	gw_buf_commit(out, len);
	return true;
}

void gw_random(void *out, size_t n)
{
	char *p = out;
	while (n) {
		ssize_t got = getrandom(p, n, 0);
		if (got < 0 && errno == EINTR)
			continue;
		if (got <= 0) {
			perror("getrandom");
			abort();
		}
		p += got;
		n -= (size_t)got;
	}
}

void gw_token_new(char out[64], const char *prefix)
{
	uint8_t secret[32];
	gw_random(secret, sizeof secret);
	struct gw_buf b;
	gw_buf_init(&b, 63);
	gw_buf_add_c(&b, prefix);
	gw_b64_add(&b, secret, sizeof secret);
	assert(!b.full);
	memcpy(out, b.p, b.n + 1);
	gw_secret_wipe(secret, sizeof secret);
	gw_secret_wipe(b.p, b.n);
	gw_buf_fini(&b);
}

bool gw_secret_eq(struct gw_str a, struct gw_str b)
{
	if (a.n != b.n)
		return false;
	volatile unsigned char differ = 0;
	for (size_t i = 0; i < a.n; i++)
		differ = (unsigned char)(differ | ((unsigned char)a.p[i] ^ (unsigned char)b.p[i]));
	return differ == 0;
}

void gw_secret_wipe(void *p, size_t n)
{
	if (n)
		explicit_bzero(p, n);
}
