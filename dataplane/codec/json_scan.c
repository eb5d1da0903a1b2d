/* json_scan.c - the scanner's machine: one state per place in the grammar, and runs of bytes where the piece has them. */
#include "codec/json_scan.h"

#include <stddef.h>

#include "base/str.h"
#include "codec/bytescan.h"

enum {
	T_BEFORE, T_KEY_OR_END, T_KEY, T_COLON, T_VALUE, T_VALUE_OR_END, T_AFTER, T_END,
	T_STRING, T_UTF8, T_ESCAPE, T_HEX, T_LOW_BACKSLASH, T_LOW_U,
	N_MINUS, N_ZERO, N_INT, N_DOT, N_FRACTION, N_E, N_SIGN, N_EXPONENT,
	T_LITERAL, T_BAD,
};

/*
 * The functions of the machine take the rest of a piece, [p, end), and give back what they have not taken.  A byte that is
 * refused counts as taken.  `base` plus the address of a byte is its offset in the text, modulo 2^64.
 */
#define AT(p) (base + (uintptr_t)(p))

void dp_scan_init(struct dp_scan *s, const struct gw_str *names, struct dp_scan_member *member, size_t n)
{
	assert(n <= INT8_MAX);
	memset(s, 0, offsetof(struct dp_scan, key_buf));
	for (size_t i = 0; i < n; i++) {
		assert(names[i].n <= DP_SCAN_NAME_MAX);
		member[i] = (struct dp_scan_member){ .type = DP_J_NONE };
	}
	s->names = names;
	s->member = member;
	s->n_names = n;
	s->watching = -1;
	s->empty = true;
}

void dp_scan_strict(struct dp_scan *s, struct dp_json_names *names)
{
	assert(s->at == 0);
	s->strict = names;
}

static bool bad(struct dp_scan *s, const char *why)
{
	s->state = T_BAD;
	s->fault = DP_SCAN_SYNTAX;
	s->fault_text = why;
	return false;
}

static void open_container(struct dp_scan *s, bool array)
{
	if (s->depth == DP_SCAN_MAX_DEPTH) {
		bad(s, "is nested too deeply");
		s->fault = DP_SCAN_DEPTH;
		return;
	}
	s->is_array[++s->depth] = s->array = array;
	if (!array && s->depth > 1)
		s->stat.objects++;
	s->state = array ? T_VALUE_OR_END : T_KEY_OR_END;
	if (s->strict && !array)
		dp_json_names_open(s->strict, s->depth);
}

/* `name` absent: too long, or nobody knows which. */
static bool duplicate(struct dp_scan *s, struct gw_str name)
{
	bad(s, "has a member twice");
	s->fault = DP_SCAN_DUPLICATE;
	s->duplicate = name;
	return false;
}

/* A value ended just before offset `end`. */
static inline void value_done(struct dp_scan *s, size_t end)
{
	if (s->depth == 1 && s->watching >= 0) {
		struct dp_scan_member *m = &s->member[s->watching];

		m->n = end - m->at;
		s->watching = -1;
	}
	s->state = T_AFTER;
}

static void close_container(struct dp_scan *s, size_t end)
{
	if (s->strict && !s->array && !dp_json_names_shut(s->strict, s->depth)) {
		duplicate(s, GW_STR_NONE);
		return;
	}
	s->depth--;
	if (s->depth) {
		s->array = s->is_array[s->depth];
		value_done(s, end);
	} else {
		s->object_end = end;
		s->state = T_END;
	}
}

/* ---- strings ---- */

static void string_begin(struct dp_scan *s, bool key)
{
	s->key = key;
	s->string_ascii = s->string_wide = 0;
	s->prefix_n = s->solid_n = 0;
	s->state = T_STRING;
	if (key) {
		s->key_n = 0;
		s->key_long = false;
		s->key_mark = DP_NAMES_MARK;
	}
}

/*
 * Anthropic's pictures and documents, and OpenAI's sounds, are base64 without "data:" before it.  No prose goes on for so
 * long without a blank or a stop; a very long identifier would be taken for one, and cost as much as a picture.
 */
#define SOLID ((size_t)200)

static size_t solid(const char *p, size_t n)
{
	size_t i = 0;

	while (i < n && ((p[i] >= 'a' && p[i] <= 'z') || (p[i] >= 'A' && p[i] <= 'Z') || (p[i] >= '0' && p[i] <= '9') || p[i] == '+' ||
	                 p[i] == '/' || p[i] == '-' || p[i] == '_'))
		i++;
	return i;
}

/* What the string being read has shown so far. */
static bool is_media(const struct dp_scan *s)
{
	return s->prefix_n == 5 || (s->solid_n == SOLID && !s->string_wide && s->string_ascii >= DP_SCAN_MEDIA_MIN);
}

/* Decoded bytes of the string being read. */
static void string_bytes(struct dp_scan *s, const char *p, size_t n)
{
	static const char media[] = "data:";

	if (s->key) {
		if (s->strict)
			s->key_mark = dp_json_names_mark(s->key_mark, p, n);
		if (s->key_n + n > DP_SCAN_NAME_MAX)
			s->key_long = true;
		else
			memcpy(s->key_buf + s->key_n, p, n);
		s->key_n += s->key_long ? 0 : (uint8_t)n;
		return;
	}
	for (size_t i = 0; i < n && s->prefix_n < 5 && !s->string_wide && s->string_ascii + i == s->prefix_n &&
	                   p[i] == media[s->prefix_n];
	     i++)
		s->prefix_n++;
	if (s->string_ascii == s->solid_n && s->solid_n < SOLID && !s->string_wide)
		s->solid_n += (uint8_t)solid(p, n < SOLID - s->solid_n ? n : SOLID - s->solid_n);
}

static void string_ascii(struct dp_scan *s, const char *p, size_t n)
{
	string_bytes(s, p, n);
	s->string_ascii += n;
}

static void string_code(struct dp_scan *s, uint32_t c)
{
	char b[4];

	if (!c && s->key && s->strict) {
		bad(s, "has a member whose name holds a NUL");
		return;
	}
	if (c < 0x80) {
		b[0] = (char)c;
		string_ascii(s, b, 1);
		return;
	}
	s->string_wide++;
	if (c < 0x800) {
		b[0] = (char)(0xc0 | c >> 6);
		b[1] = (char)(0x80 | (c & 63));
		string_bytes(s, b, 2);
	} else if (c < 0x10000) {
		b[0] = (char)(0xe0 | c >> 12);
		b[1] = (char)(0x80 | (c >> 6 & 63));
		b[2] = (char)(0x80 | (c & 63));
		string_bytes(s, b, 3);
	} else {
		b[0] = (char)(0xf0 | c >> 18);
		b[1] = (char)(0x80 | (c >> 12 & 63));
		b[2] = (char)(0x80 | (c >> 6 & 63));
		b[3] = (char)(0x80 | (c & 63));
		string_bytes(s, b, 4);
	}
}

/*
 * Go's encoding/json, and more, find a member in any case, by Unicode's simple folding: the long s and the Kelvin sign
 * are letters of ASCII to them.
 */
static size_t folded(const char *key, size_t n, char *out)
{
	size_t k = 0;

	for (size_t i = 0; i < n; i++) {
		char c = key[i];

		if (n - i >= 2 && memcmp(key + i, "\xc5\xbf", 2) == 0)
			c = 's', i += 1;
		else if (n - i >= 3 && memcmp(key + i, "\xe2\x84\xaa", 3) == 0)
			c = 'k', i += 2;
		out[k++] = c >= 'A' && c <= 'Z' ? (char)(c | 0x20) : c;
	}
	return k;
}

static bool plain_lower(const char *key, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if ((key[i] >= 'A' && key[i] <= 'Z') || (unsigned char)key[i] >= 0x80)
			return false;
	return true;
}

static bool is_named(struct gw_str name, const char *text, size_t n)
{
	return name.n == n && n > 0 && name.p[0] == text[0] && memcmp(name.p, text, n) == 0;
}

/* A name at the top that is none of the watched ones, but is one to a reader that minds no case. */
static __attribute__((noinline)) void spelling(struct dp_scan *s, struct gw_str name)
{
	char text[DP_SCAN_NAME_MAX];
	size_t n = folded(name.p, name.n, text);

	for (size_t i = 0; i < s->n_names; i++) {
		if (!is_named(s->names[i], text, n))
			continue;
		bad(s, "has a member in another spelling");
		s->fault = DP_SCAN_SPELLING;
		s->duplicate = s->names[i];
		return;
	}
}

static bool name_is_new(struct dp_scan *s, struct gw_str name, uint64_t mark)
{
	switch (dp_json_names_add(s->strict, s->depth, mark)) {
	case DP_NAMES_TOO_MANY:
		return bad(s, "has an object with too many members");
	case DP_NAMES_TWICE:
		if (name.p)
			memmove(s->key_buf, name.p, name.n);
		return duplicate(s, name.p ? (struct gw_str){ s->key_buf, name.n } : GW_STR_NONE);
	default:
		return true;
	}
}

/* A name of the object at the top is whole. */
static void top_name(struct dp_scan *s, struct gw_str name)
{
	s->empty = false;
	s->watching = -1;
	for (size_t i = 0; i < s->n_names && name.p; i++) {
		if (!is_named(s->names[i], name.p, name.n))
			continue;
		s->watching = (int8_t)i;
		if (s->member[i].type != DP_J_NONE)
			duplicate(s, s->names[i]);
		return;
	}
	if (s->strict && name.p && !plain_lower(name.p, name.n))
		spelling(s, name);
}

/* `name` is absent when it is longer than any that is watched. */
static inline void key_done(struct dp_scan *s, struct gw_str name, uint64_t mark)
{
	s->state = T_COLON;
	if ((!s->strict || name_is_new(s, name, mark)) && s->depth == 1)
		top_name(s, name);
}

static inline void text_done(struct dp_scan *s, bool media, size_t ascii, size_t wide, size_t end)
{
	if (media) {
		s->stat.media++;
	} else {
		s->stat.ascii += (int64_t)ascii;
		s->stat.wide += (int64_t)wide;
	}
	value_done(s, end);
}

static void string_done(struct dp_scan *s, size_t end)
{
	size_t ascii = s->string_ascii, wide = s->string_wide;
	bool media = is_media(s);

	s->string_ascii = s->string_wide = 0;
	if (s->key)
		key_done(s, s->key_long ? GW_STR_NONE : (struct gw_str){ s->key_buf, s->key_n }, s->key_mark);
	else
		text_done(s, media, ascii, wide, end);
}

/*
 * Does the string from the quote at p lie whole in the piece, without escapes and wide characters?  Nearly all do, and of
 * them nothing need be collected.  *stop: behind its plain part.
 */
static inline bool lies_plain(const char *p, const char *end, const char **stop)
{
	*stop = p + 1 + dp_scan_plain(p + 1, (size_t)(end - p) - 1);
	return *stop < end && **stop == '"';
}

/* From the quote at p, with the plain part behind it. */
static const char *string_open(struct dp_scan *s, const char *p, const char *stop, bool key)
{
	string_begin(s, key);
	if (stop > p + 1)
		string_ascii(s, p + 1, (size_t)(stop - p) - 1);
	return stop;
}

static inline const char *key(struct dp_scan *s, const char *p, const char *end)
{
	struct gw_str name = { p + 1, 0 };
	const char *stop;

	if (!lies_plain(p, end, &stop))
		return string_open(s, p, stop, true);
	name.n = (size_t)(stop - name.p);
	if (name.n > DP_SCAN_NAME_MAX)
		name.p = NULL;
	if (s->strict)
		key_done(s, name, dp_json_names_mark(DP_NAMES_MARK, p + 1, name.n));
	else
		key_done(s, name, 0);
	return stop + 1;
}

static inline const char *text(struct dp_scan *s, const char *p, const char *end, size_t base)
{
	const char *stop;
	size_t n;

	if (!lies_plain(p, end, &stop))
		return string_open(s, p, stop, false);
	n = (size_t)(stop - p) - 1;
	text_done(s, (n >= 5 && memcmp(p + 1, "data:", 5) == 0) || (n >= DP_SCAN_MEDIA_MIN && solid(p + 1, SOLID) == SOLID), n, 0, AT(stop + 1));
	return stop + 1;
}

/* The first byte of a multi-byte character (RFC 3629 section 4): how many follow, and the range of the next. */
static void utf8_lead(struct dp_scan *s, unsigned char c)
{
	s->utf8_min = 0x80;
	s->utf8_max = 0xbf;
	if (c >= 0xc2 && c <= 0xdf) {
		s->utf8_left = 1;
	} else if (c >= 0xe0 && c <= 0xef) {
		s->utf8_left = 2;
		if (c == 0xe0)
			s->utf8_min = 0xa0;
		else if (c == 0xed)
			s->utf8_max = 0x9f;
	} else if (c >= 0xf0 && c <= 0xf4) {
		s->utf8_left = 3;
		if (c == 0xf0)
			s->utf8_min = 0x90;
		else if (c == 0xf4)
			s->utf8_max = 0x8f;
	} else {
		bad(s, "is not valid UTF-8");
		return;
	}
	s->state = T_UTF8;
}

static void utf8_next(struct dp_scan *s, unsigned char c)
{
	if (c < s->utf8_min || c > s->utf8_max) {
		bad(s, "is not valid UTF-8");
		return;
	}
	s->utf8_min = 0x80;
	s->utf8_max = 0xbf;
	if (!--s->utf8_left)
		s->state = T_STRING;
}

static bool continuation(char c)
{
	return ((unsigned char)c & 0xc0) == 0x80;
}

/* Runs of plain three-byte characters (most of Chinese and Japanese), without the machine. */
static size_t wide_run(struct dp_scan *s, const char *p, size_t n)
{
	size_t i = 0;

	while (i + 3 <= n) {
		unsigned char c = (unsigned char)p[i];

		if (c < 0xe1 || c > 0xef || c == 0xed || !continuation(p[i + 1]) || !continuation(p[i + 2]))
			break;
		i += 3;
	}
	s->string_wide += i / 3;
	if (i)
		string_bytes(s, p, i);
	return i;
}

static void escape(struct dp_scan *s, char c)
{
	static const char from[] = "\"\\/bfnrt", to[] = "\"\\/\b\f\n\r\t";
	const char *hit = c ? strchr(from, c) : NULL;

	if (c == 'u') {
		s->state = T_HEX;
		s->hex = s->hex_n = 0;
		return;
	}
	if (!hit) {
		bad(s, "has an unknown escape inside a string");
		return;
	}
	string_ascii(s, to + (hit - from), 1);
	s->state = T_STRING;
}

/* On inside a string. */
static const char *string_run(struct dp_scan *s, const char *p, const char *end, size_t base)
{
	size_t n = dp_scan_plain(p, (size_t)(end - p));
	unsigned char c;

	if (n)
		string_ascii(s, p, n);
	p += n;
	if (p == end)
		return p;
	c = (unsigned char)*p;
	if (c == '"') {
		string_done(s, AT(p + 1));
	} else if (c == '\\') {
		s->state = T_ESCAPE;
	} else if (c < 0x20) {
		bad(s, "has a raw control byte inside a string");
	} else {
		n = wide_run(s, p, (size_t)(end - p));
		if (n)
			return p + n;
		s->string_wide++;
		string_bytes(s, p, 1);
		utf8_lead(s, c);
	}
	return p + 1;
}

static bool hex_digit(struct dp_scan *s, unsigned char c)
{
	int d = c >= '0' && c <= '9' ? c - '0' : (c | 0x20) >= 'a' && (c | 0x20) <= 'f' ? (c | 0x20) - 'a' + 10 : -1;

	if (d < 0)
		return bad(s, "has a \\u escape without four hex digits");
	s->hex = (uint16_t)(s->hex << 4 | d);
	if (++s->hex_n < 4)
		return true;
	s->state = T_STRING;
	if (s->high) {
		if (s->hex < 0xdc00 || s->hex > 0xdfff)
			return bad(s, "has half a surrogate pair inside a string");
		string_code(s, 0x10000 + ((uint32_t)(s->high - 0xd800) << 10) + (s->hex - 0xdc00));
		s->high = 0;
	} else if (s->hex >= 0xd800 && s->hex <= 0xdbff) {
		s->high = s->hex;
		s->state = T_LOW_BACKSLASH;
	} else if (s->hex >= 0xdc00 && s->hex <= 0xdfff) {
		return bad(s, "has half a surrogate pair inside a string");
	} else {
		string_code(s, s->hex);
	}
	return true;
}

/* ---- numbers and words ---- */

static bool digit(unsigned char c)
{
	return c >= '0' && c <= '9';
}

/* The digits at p, as many as there are; `state`: what the number is then in the middle of. */
static const char *digits(struct dp_scan *s, const char *p, const char *end, uint8_t state)
{
	const char *from = p;
	size_t room = DP_SCAN_MAX_DIGITS - s->digits;

	s->state = state;
	if (state == N_ZERO) /* what follows it must not be one */
		end = p + 1;
	while (p < end && digit((unsigned char)*p))
		p++;
	if ((size_t)(p - from) > room) {
		bad(s, "has a number with too many digits");
		return from + room + 1;
	}
	s->digits += (uint16_t)(p - from);
	return p;
}

/* On inside a number.  It ends in front of the first byte that is none of its own, which is looked at again. */
static const char *number(struct dp_scan *s, const char *p, const char *end, size_t base)
{
	unsigned char c = (unsigned char)*p;
	bool d = digit(c), e = c == 'e' || c == 'E';
	uint8_t next;

	switch (s->state) {
	case N_MINUS:
		next = !d ? T_BAD : c == '0' ? N_ZERO : N_INT;
		break;
	case N_ZERO:
	case N_INT:
		next = c == '.' ? N_DOT : e ? N_E : !d ? T_AFTER : s->state == N_INT ? N_INT : T_BAD;
		break;
	case N_DOT:
		next = d ? N_FRACTION : T_BAD;
		break;
	case N_FRACTION:
		next = d ? N_FRACTION : e ? N_E : T_AFTER;
		break;
	case N_E:
		next = d ? N_EXPONENT : c == '+' || c == '-' ? N_SIGN : T_BAD;
		break;
	default:
		next = d ? N_EXPONENT : s->state == N_EXPONENT ? T_AFTER : T_BAD;
	}
	if (next == T_AFTER) {
		value_done(s, AT(p));
		return p;
	}
	if (next == T_BAD)
		bad(s, "has a malformed number");
	else if (d)
		return digits(s, p, end, next);
	else
		s->state = next;
	return p + 1;
}

static const char *literal(struct dp_scan *s, const char *p, const char *end, size_t base)
{
	while (p < end) {
		if (*s->literal != *p) {
			bad(s, "has a word that is not true, false or null");
			return p + 1;
		}
		p++;
		if (!*++s->literal) {
			value_done(s, AT(p));
			break;
		}
	}
	return p;
}

/* ---- structure ---- */

/* Blanks may stand between all tokens, so they are looked for where nothing else fits. */
static const char *blank_or(struct dp_scan *s, const char *p, const char *end, const char *why)
{
	const char *from = p;

	while (p < end && (*p == ' ' || *p == '\t' || *p == '\n' || *p == '\r'))
		p++;
	if (p > from)
		return p;
	bad(s, why);
	return p + 1;
}

static inline const char *value(struct dp_scan *s, const char *p, const char *end, size_t base)
{
	char c = *p;
	enum dp_json_type type = DP_J_NUMBER;

	switch (c) {
	case '{': type = DP_J_OBJECT; break;
	case '[': type = DP_J_ARRAY; break;
	case '"': type = DP_J_STRING; break;
	case 't': type = DP_J_TRUE; break;
	case 'f': type = DP_J_FALSE; break;
	case 'n': type = DP_J_NULL; break;
	default:
		if (c != '-' && !digit((unsigned char)c))
			return blank_or(s, p, end, "has something other than a value where one must stand");
	}
	if (s->depth == 1 && s->watching >= 0) {
		s->member[s->watching].type = type;
		s->member[s->watching].at = AT(p);
	}
	switch (type) {
	case DP_J_STRING:
		return text(s, p, end, base);
	case DP_J_OBJECT:
	case DP_J_ARRAY:
		open_container(s, type == DP_J_ARRAY);
		return p + 1;
	case DP_J_NUMBER:
		s->digits = 0;
		s->state = N_MINUS;
		return c == '-' ? p + 1 : digits(s, p, end, c == '0' ? N_ZERO : N_INT);
	default:
		s->literal = type == DP_J_TRUE ? "rue" : type == DP_J_FALSE ? "alse" : "ull";
		s->state = T_LITERAL;
		return literal(s, p + 1, end, base);
	}
}

/* Inside an escape or a wide character: bytes that come one by one. */
static void one_byte(struct dp_scan *s, unsigned char c)
{
	switch (s->state) {
	case T_UTF8:
		string_bytes(s, (const char *)&c, 1);
		utf8_next(s, c);
		return;
	case T_ESCAPE:
		escape(s, (char)c);
		return;
	case T_LOW_BACKSLASH:
		s->state = T_LOW_U;
		if (c != '\\')
			bad(s, "has half a surrogate pair inside a string");
		return;
	case T_LOW_U:
		s->state = T_HEX;
		s->hex = s->hex_n = 0;
		if (c != 'u')
			bad(s, "has half a surrogate pair inside a string");
		return;
	default:
		hex_digit(s, c);
	}
}

/*
 * A token, or as much of it as there is; at least one byte, or the end of a number.  A member's name, its colon, its value and
 * the comma behind it are one step when nothing stands between them.
 */
static inline const char *step(struct dp_scan *s, const char *p, const char *end, size_t base)
{
	switch (s->state) {
	case T_BEFORE:
		if (*p != '{')
			return blank_or(s, p, end, "is not a JSON object");
		s->object_at = AT(p);
		open_container(s, false);
		return p + 1;
	case T_KEY_OR_END:
		if (*p == '}')
			break;
		/* fall through */
	case T_KEY:
		if (*p != '"')
			return blank_or(s, p, end, "has a member whose name is not a string");
		p = key(s, p, end);
		if (s->state != T_COLON || p == end)
			return p;
		/* fall through */
	case T_COLON:
		if (*p != ':')
			return blank_or(s, p, end, "lacks a colon behind a member's name");
		s->state = T_VALUE;
		if (++p == end)
			return p;
		/* fall through */
	case T_VALUE:
	case T_VALUE_OR_END:
		if (*p == ']' && s->state == T_VALUE_OR_END)
			break;
		p = value(s, p, end, base);
		if (s->state != T_AFTER || p == end)
			return p;
		/* fall through */
	case T_AFTER:
		if (*p == (s->array ? ']' : '}'))
			break;
		if (*p != ',')
			return blank_or(s, p, end, "lacks a comma or a closing bracket");
		s->state = s->array ? T_VALUE : T_KEY;
		return p + 1;
	case T_END:
		return blank_or(s, p, end, "has something behind its end");
	case T_STRING:
		return string_run(s, p, end, base);
	case N_MINUS: case N_ZERO: case N_INT: case N_DOT: case N_FRACTION: case N_E: case N_SIGN: case N_EXPONENT:
		return number(s, p, end, base);
	case T_LITERAL:
		return literal(s, p, end, base);
	default:
		one_byte(s, (unsigned char)*p);
		return p + 1;
	}
	close_container(s, AT(p + 1));
	return p + 1;
}

enum dp_scan_state dp_scan_feed(struct dp_scan *s, struct gw_str piece)
{
	const char *p = piece.p, *end = piece.n ? p + piece.n : p;
	size_t base = s->at - (uintptr_t)p;

	while (p < end && s->state != T_BAD)
		p = step(s, p, end, base);
	s->at = AT(p);
	return s->state == T_BAD ? DP_SCAN_BAD : s->state == T_END ? DP_SCAN_DONE : DP_SCAN_MORE;
}

enum dp_scan_state dp_scan_end(struct dp_scan *s)
{
	if (s->state == T_BEFORE)
		bad(s, "is empty");
	else if (s->state != T_END && s->state != T_BAD)
		bad(s, "ends in the middle of the JSON object");
	return s->state == T_END ? DP_SCAN_DONE : DP_SCAN_BAD;
}

void dp_scan_text(const struct dp_scan *s, int64_t *ascii, int64_t *wide)
{
	bool counts = !s->key && !is_media(s);

	*ascii = s->stat.ascii + (counts ? (int64_t)s->string_ascii : 0);
	*wide = s->stat.wide + (counts ? (int64_t)s->string_wide : 0);
}
