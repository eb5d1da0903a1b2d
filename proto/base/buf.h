/*
 * buf.h - a growing byte buffer with a ceiling fixed at init.
 *
 *   struct gw_buf b;
 *   gw_buf_init(&b, 1 << 20);
 *   gw_buf_add(&b, GW_STR("data: "));  gw_buf_printf(&b, "%d", 7);
 *   if (b.full) ...                    // sticky: something did not fit, nothing was half written
 *   write(fd, b.p, b.n);
 *   gw_buf_fini(&b);
 *
 * Errors are sticky, so ten writes need one check.  The bytes at b.p[0..b.n) are NUL-terminated for free.
 */
#ifndef GW_BASE_BUF_H
#define GW_BASE_BUF_H

#include "base/gw.h"

struct gw_buf {
	char *p;       /* owned by the buffer; NULL while empty */
	size_t n;      /* bytes in use */
	size_t cap;    /* bytes allocated */
	size_t max;    /* ceiling for n */
	bool full;     /* a write was refused because of the ceiling */
};

void gw_buf_init(struct gw_buf *b, size_t max);
void gw_buf_fini(struct gw_buf *b);                    /* frees; the buffer may be used again after init */
void gw_buf_clear(struct gw_buf *b);                   /* n = 0, memory kept, full reset */
bool gw_buf_add(struct gw_buf *b, struct gw_str s);    /* false and full when it does not fit */
bool gw_buf_add_c(struct gw_buf *b, const char *z);
bool gw_buf_add_byte(struct gw_buf *b, char c);
/* Numbers as text, for places where printf would be most of the work. */
#define GW_INT_TEXT 24
struct gw_str gw_int_text(char text[GW_INT_TEXT], int64_t v);   /* borrowed from `text` */
bool gw_buf_add_int(struct gw_buf *b, int64_t v);
bool gw_buf_add_hex(struct gw_buf *b, uint64_t v);     /* lower case, without leading zeros */
bool gw_buf_printf(struct gw_buf *b, const char *fmt, ...) GW_PRINTF(2, 3);
/* Room for `n` bytes at the end; returns where to write, or NULL when full.  Then gw_buf_commit(). */
char *gw_buf_reserve(struct gw_buf *b, size_t n);
void gw_buf_commit(struct gw_buf *b, size_t n);
void gw_buf_drop_front(struct gw_buf *b, size_t n);    /* moves the rest down */
void gw_buf_drop_end(struct gw_buf *b, size_t n);
/* `s` as a JSON string with its quotes.  Control bytes are escaped; invalid UTF-8 becomes U+FFFD. */
bool gw_buf_add_json(struct gw_buf *b, struct gw_str s);

static inline struct gw_str gw_buf_str(const struct gw_buf *b)
{
	return (struct gw_str){ b->p ? b->p : "", b->n };
}

#endif
