/*
 * h1_write.h - heads and chunks into bytes.
 *
 * The functions assert the grammar of what they are given (method and name are tokens, values hold no control byte but
 * HTAB): whoever calls has validated or filtered, so a violation is our own bug and must never reach a wire.
 * dp_header_ok() is the question to ask before.  dp_write_header_known() does not look again: it is for pairs that were
 * looked at a moment ago, by dp_header_ok() or by the parser of a head.
 */
#ifndef DP_HTTP_H1_WRITE_H
#define DP_HTTP_H1_WRITE_H

#include "base/buf.h"
#include "base/gw.h"
#include "base/str.h"

void dp_write_request_line(struct gw_buf *out, struct gw_str method, struct gw_str target); /* HTTP/1.1 */
/* The reason is the registered phrase of the status. */
void dp_write_status_line(struct gw_buf *out, unsigned status);
void dp_write_header_pair(struct gw_buf *out, struct gw_str name, struct gw_str value);
void dp_write_header_known(struct gw_buf *out, struct gw_str name, struct gw_str value);
void dp_write_header_valued(struct gw_buf *out, struct gw_str name, struct gw_str value); /* only the value is looked at */
void dp_write_number(struct gw_buf *out, struct gw_str name, int64_t value);
/* `name` is a literal, a token; its length is taken here, where it costs nothing. */
static inline void dp_write_header(struct gw_buf *out, const char *name, struct gw_str value)
{
	dp_write_header_valued(out, gw_str_c(name), value);
}
static inline void dp_write_header_int(struct gw_buf *out, const char *name, int64_t value)
{
	dp_write_number(out, gw_str_c(name), value);
}
void dp_write_head_end(struct gw_buf *out);                        /* the empty line */

void dp_write_chunk_head(struct gw_buf *out, size_t n);            /* "1a\r\n"; then n bytes, then dp_write_chunk_tail */
void dp_write_chunk_tail(struct gw_buf *out);                      /* "\r\n" */
void dp_write_chunk(struct gw_buf *out, struct gw_str bytes);      /* all three; nothing for an empty slice */
void dp_write_last_chunk(struct gw_buf *out);                      /* "0\r\n\r\n" */

const char *dp_status_phrase(unsigned status);                     /* "Not Found"; "" when unregistered; static */

#endif
