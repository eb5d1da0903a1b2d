/* chunked.c - a byte machine for chunk lines and trailers; chunk data is handed on in runs. */
#include "http/chunked.h"

#include "http/ctype.h"
#include "http/h1.h"

enum {
	C_SIZE, C_BLANK, C_EXT, C_SIZE_LF, C_DATA, C_DATA_CR, C_DATA_LF,
	C_LINE, C_NAME, C_VALUE, C_LINE_LF, C_LAST_LF, C_DONE, C_BAD,
};

void dp_chunked_init(struct dp_chunked *c, int64_t max_body)
{
	*c = (struct dp_chunked){ .state = C_SIZE, .room = max_body };
}

static int hex_digit(unsigned char ch)
{
	if (ch >= '0' && ch <= '9')
		return ch - '0';
	ch |= 0x20;
	return ch >= 'a' && ch <= 'f' ? ch - 'a' + 10 : -1;
}

static bool bad(struct dp_chunked *c, const char *why)
{
	c->why = why;
	c->state = C_BAD;
	return false;
}

static bool extension_byte(struct dp_chunked *c, unsigned char ch)
{
	if (ch == '\r') {
		c->state = C_SIZE_LF;
		return true;
	}
	if (!dp_is_value_byte(ch))
		return bad(c, "has a control byte in a chunk extension");
	if (++c->ext > DP_H1_MAX_CHUNK_EXT || ++c->ext_total > DP_H1_MAX_EXT_TOTAL)
		return bad(c, "spends too many bytes on chunk extensions");
	if (c->state == C_BLANK && ch == ';')
		c->state = C_EXT;
	else if (c->state == C_BLANK && ch != ' ' && ch != '\t')
		return bad(c, "has something other than an extension behind a chunk size");
	return true;
}

static bool size_byte(struct dp_chunked *c, unsigned char ch)
{
	int d = hex_digit(ch);

	if (d >= 0) {
		if (++c->digits > 16 || c->size >> 52)
			return bad(c, "has a chunk size that is too long");
		c->size = c->size << 4 | (unsigned)d;
		return true;
	}
	if (!c->digits)
		return bad(c, "has a chunk without a size");
	if (ch == '\r') {
		c->state = C_SIZE_LF;
		return true;
	}
	c->ext = 0;
	c->state = C_BLANK;
	/* RFC 9112 allows blanks only before a ';', so a size that ends in blanks is refused at its CR. */
	return extension_byte(c, ch);
}

/* Trailer fields are checked like header fields and dropped. */
static bool trailer_byte(struct dp_chunked *c, unsigned char ch)
{
	if (++c->trailer > DP_H1_MAX_TRAILER)
		return bad(c, "has more trailer bytes than are read");
	switch (c->state) {
	case C_LINE:
		if (ch == '\r')
			c->state = C_LAST_LF;
		else if (dp_is_token_byte(ch))
			c->state = C_NAME;
		else
			return bad(c, "has a malformed trailer field");
		return true;
	case C_NAME:
		if (ch == ':')
			c->state = C_VALUE;
		else if (!dp_is_token_byte(ch))
			return bad(c, "has a malformed trailer field");
		return true;
	default:
		if (ch == '\r')
			c->state = C_LINE_LF;
		else if (!dp_is_value_byte(ch))
			return bad(c, "has a control byte in a trailer field");
		return true;
	}
}

static bool line_feed(struct dp_chunked *c, unsigned char ch)
{
	if (ch != '\n')
		return bad(c, "has a line in its chunked body that does not end in CRLF");
	switch (c->state) {
	case C_SIZE_LF:
		c->state = c->size ? C_DATA : C_LINE;
		break;
	case C_DATA_LF:
		c->state = C_SIZE;
		c->digits = 0;
		break;
	case C_LINE_LF:
		c->state = C_LINE;
		break;
	default:
		c->state = C_DONE;
	}
	return true;
}

static bool control_byte(struct dp_chunked *c, unsigned char ch)
{
	switch (c->state) {
	case C_SIZE:
		return size_byte(c, ch);
	case C_BLANK:
		if (ch == '\r')
			return bad(c, "has blanks behind a chunk size");
		return extension_byte(c, ch);
	case C_EXT:
		return extension_byte(c, ch);
	case C_DATA_CR:
		if (ch != '\r')
			return bad(c, "has a chunk that is longer than its size says");
		c->state = C_DATA_LF;
		return true;
	case C_LINE:
	case C_NAME:
	case C_VALUE:
		return trailer_byte(c, ch);
	default:
		return line_feed(c, ch);
	}
}

enum dp_chunked_got dp_chunked_feed(struct dp_chunked *c, struct gw_str in, size_t *used, struct gw_str *slice)
{
	size_t i = 0;

	*slice = GW_STR_NONE;
	*used = 0;
	if (c->state == C_DONE)
		return DP_CHUNKED_DONE;
	if (c->state == C_BAD)
		return c->why ? DP_CHUNKED_BAD : DP_CHUNKED_TOOBIG;
	while (i < in.n) {
		if (c->state == C_DATA) {
			size_t n = in.n - i < c->size ? in.n - i : (size_t)c->size;

			*slice = (struct gw_str){ in.p + i, n };
			*used = i + n;
			c->size -= n;
			if (!c->size)
				c->state = C_DATA_CR;
			return DP_CHUNKED_DATA;
		}
		if (!control_byte(c, (unsigned char)in.p[i++]))
			return DP_CHUNKED_BAD;
		if (c->state == C_DATA && c->room >= 0) {
			if (c->size > (uint64_t)c->room) {
				c->state = C_BAD;
				return DP_CHUNKED_TOOBIG;
			}
			c->room -= (int64_t)c->size;
		}
		if (c->state == C_DONE) {
			*used = i;
			return DP_CHUNKED_DONE;
		}
	}
	*used = in.n;
	return DP_CHUNKED_MORE;
}
