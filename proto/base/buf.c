/*
 * buf.c - the growing byte buffer.
 */
#include "base/buf.h"
#include "base/bytes.h"
#include "base/str.h"

#include <stdio.h>
#include <stdlib.h>

void gw_buf_init(struct gw_buf *b, size_t max)
{
	*b = (struct gw_buf){ .max = max };
}

void gw_buf_fini(struct gw_buf *b)
{
	free(b->p);
	*b = (struct gw_buf){ .max = b->max };
}

void gw_buf_clear(struct gw_buf *b)
{
	b->n = 0;
	b->full = false;
	if (b->p)
		b->p[0] = 0;
}

/* Make room for n more bytes and a NUL.  Sticky: once full, always full. */
static bool room(struct gw_buf *b, size_t n)
{
	if (b->full || n > b->max - b->n || n >= SIZE_MAX - b->n) {
		b->full = true;
		return false;
	}
	size_t need = b->n + n + 1;
	if (need <= b->cap)
		return true;
	size_t cap = b->cap ? b->cap : 64;
	while (cap < need)
		cap = cap > SIZE_MAX / 2 ? need : cap * 2;
	if (cap - 1 > b->max)
		cap = b->max + 1;
	b->p = gw_realloc(b->p, cap);
	b->cap = cap;
	return true;
}

bool gw_buf_add(struct gw_buf *b, struct gw_str s)
{
	/* The common case first: there is room already, and the memory never exceeds what `max` allows. */
	if ((b->full || s.n >= b->cap - b->n) && !room(b, s.n))
		return false;
	if (s.n)
		memcpy(b->p + b->n, s.p, s.n);
	b->n += s.n;
	b->p[b->n] = 0;
	return true;
}

bool gw_buf_add_c(struct gw_buf *b, const char *z)
{
	return gw_buf_add(b, gw_str_c(z));
}

bool gw_buf_add_byte(struct gw_buf *b, char c)
{
	return gw_buf_add(b, (struct gw_str){ &c, 1 });
}

struct gw_str gw_int_text(char text[GW_INT_TEXT], int64_t v)
{
	char *end = text + GW_INT_TEXT, *p = end;
	uint64_t n = v < 0 ? 0 - (uint64_t)v : (uint64_t)v;
	do
		*--p = (char)('0' + n % 10);
	while (n /= 10);
	if (v < 0)
		*--p = '-';
	return (struct gw_str){ p, (size_t)(end - p) };
}

bool gw_buf_add_int(struct gw_buf *b, int64_t v)
{
	char text[GW_INT_TEXT];
	return gw_buf_add(b, gw_int_text(text, v));
}

bool gw_buf_add_hex(struct gw_buf *b, uint64_t v)
{
	char text[16], *p = text + sizeof text;
	do
		*--p = "0123456789abcdef"[v & 15];
	while (v >>= 4);
	return gw_buf_add(b, (struct gw_str){ p, (size_t)(text + sizeof text - p) });
}

bool gw_buf_printf(struct gw_buf *b, const char *fmt, ...)
{
	va_list ap;
	va_start(ap, fmt);
	va_list again;
	va_copy(again, ap);
	/* Try the room at hand first: most calls add a few bytes. */
	size_t left = b->p && !b->full ? b->cap - b->n : 0;
	int n = vsnprintf(left ? b->p + b->n : NULL, left, fmt, ap);
	va_end(ap);
	bool ok = n >= 0 && room(b, (size_t)n);
	if (ok && (size_t)n >= left)
		vsnprintf(b->p + b->n, (size_t)n + 1, fmt, again);
	va_end(again);
	if (ok)
		b->n += (size_t)n;
	else
		b->full = true;
	if (b->p)
		b->p[b->n] = 0;
	return ok;
}

char *gw_buf_reserve(struct gw_buf *b, size_t n)
{
	if ((b->full || n >= b->cap - b->n) && !room(b, n))
		return NULL;
	return b->p + b->n;
}

void gw_buf_commit(struct gw_buf *b, size_t n)
{
	assert(b->p ? n < b->cap - b->n : n == 0);
	b->n += n;
	if (b->p)
		b->p[b->n] = 0;
}

void gw_buf_drop_front(struct gw_buf *b, size_t n)
{
	assert(n <= b->n);
	if (n == 0)
		return;
	memmove(b->p, b->p + n, b->n - n);
	b->n -= n;
	b->p[b->n] = 0;
}

void gw_buf_drop_end(struct gw_buf *b, size_t n)
{
	assert(n <= b->n);
	if (n == 0)
		return;
	b->n -= n;
	b->p[b->n] = 0;
}

/* Write what the first character of s needs, and return how many bytes of s that was. */
static size_t add_json_char(struct gw_buf *b, struct gw_str s)
{
	unsigned char c = (unsigned char)s.p[0];
	const char *brief = c == '"' ? "\\\"" : c == '\\' ? "\\\\" : c == '\n' ? "\\n" :
	    c == '\r' ? "\\r" : c == '\t' ? "\\t" : NULL;
	if (brief) {
		gw_buf_add_c(b, brief);
		return 1;
	}
	if (c < 0x20 || c == 0x7f) {
		gw_buf_printf(b, "\\u%04x", c);
		return 1;
	}
	size_t n = gw_utf8_len(s);
	if (n == 0) {
		gw_buf_add_c(b, "\xef\xbf\xbd");
		return 1;
	}
	/* C1 controls can steer a terminal too. */
	if (c == 0xc2 && (unsigned char)s.p[1] < 0xa0)
		gw_buf_printf(b, "\\u%04x", (unsigned char)s.p[1]);
	else
		gw_buf_add(b, (struct gw_str){ s.p, n });
	return n;
}

bool gw_buf_add_json(struct gw_buf *b, struct gw_str s)
{
	size_t before = b->n;
	gw_buf_add_byte(b, '"');
	while (s.n && !b->full) {
		size_t plain = 0;
		uint64_t w;
		while (plain + sizeof w <= s.n && (memcpy(&w, s.p + plain, sizeof w), gw_json_plain_8(w)))
			plain += sizeof w;
		while (plain < s.n && gw_json_plain((unsigned char)s.p[plain]))
			plain++;
		if (plain)
			gw_buf_add(b, (struct gw_str){ s.p, plain });
		s.p += plain;
		s.n -= plain;
		if (s.n) {
			size_t n = add_json_char(b, s);
			s.p += n;
			s.n -= n;
		}
	}
	gw_buf_add_byte(b, '"');
	if (b->full) {
		b->n = before;
		if (b->p)
			b->p[b->n] = 0;
	}
	return !b->full;
}
