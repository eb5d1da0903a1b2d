/* json_scan.c - the scanner's machine: one state per place in the grammar, fast only inside strings. */
#include "codec/json_scan.h"

#include "base/str.h"
#include "codec/bytescan.h"

enum {
	T_BEFORE, T_KEY_OR_END, T_KEY, T_COLON, T_VALUE, T_VALUE_OR_END, T_AFTER,
	T_STRING, T_UTF8, T_ESCAPE, T_HEX, T_LOW_BACKSLASH, T_LOW_U,
	N_MINUS, N_ZERO, N_INT, N_DOT, N_FRACTION, N_E, N_SIGN, N_EXPONENT,
	T_LITERAL, T_END, T_BAD,
};

void dp_scan_init(struct dp_scan *s, const struct dp_scan_name *names, size_t n)
{
	assert(n <= DP_SCAN_NAMES);
	for (size_t i = 0; i < n; i++)
		assert(strlen(names[i].name) <= DP_SCAN_NAME_MAX);
	*s = (struct dp_scan){ .names = names, .n_names = n, .state = T_BEFORE, .watching = -1, .empty = true };
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

static bool in_array(const struct dp_scan *s)
{
	return s->is_array[s->depth / 64] >> (s->depth % 64) & 1;
}

static bool open_container(struct dp_scan *s, bool array)
{
	if (s->depth == DP_SCAN_MAX_DEPTH) {
		bad(s, "is nested too deeply");
		s->fault = DP_SCAN_DEPTH;
		return false;
	}
	s->depth++;
	s->is_array[s->depth / 64] &= ~((uint64_t)1 << (s->depth % 64));
	s->is_array[s->depth / 64] |= (uint64_t)array << (s->depth % 64);
	if (!array && s->depth > 1)
		s->stat.objects++;
	s->state = array ? T_VALUE_OR_END : T_KEY_OR_END;
	if (s->strict && !array)
		dp_json_names_open(s->strict, s->depth);
	return true;
}

static bool duplicate(struct dp_scan *s, struct gw_str name)
{
	bad(s, "has a member twice");
	s->fault = DP_SCAN_DUPLICATE;
	s->duplicate = name;
	return false;
}

/* A value ended just before offset `end`. */
static void value_done(struct dp_scan *s, size_t end)
{
	if (s->depth == 1 && s->watching >= 0) {
		struct dp_scan_member *m = &s->member[s->watching];

		m->n = end - m->at;
		if (s->text_on && !s->text_long)
			m->text = (struct gw_str){ s->text_buf, s->text_n };
		s->text_on = false;
		s->watching = -1;
	}
	s->state = T_AFTER;
}

static bool close_container(struct dp_scan *s, size_t end)
{
	if (s->strict && !in_array(s) && !dp_json_names_shut(s->strict, s->depth))
		return duplicate(s, GW_STR_NONE);
	s->depth--;
	if (s->depth) {
		value_done(s, end);
	} else {
		s->object_end = end;
		s->state = T_END;
	}
	return true;
}

/* ---- strings ---- */

static void string_begin(struct dp_scan *s, bool key, size_t at)
{
	s->key = key;
	s->string_ascii = s->string_wide = 0;
	s->prefix_n = 0;
	s->state = T_STRING;
	if (key) {
		s->key_started = at;
		s->key_n = 0;
		s->key_long = false;
		s->key_mark = DP_NAMES_MARK;
	}
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
	if (!s->text_on || s->text_long)
		return;
	if (s->text_n + n > DP_SCAN_TEXT_MAX) {
		s->text_long = true;
		return;
	}
	memcpy(s->text_buf + s->text_n, p, n);
	s->text_n += (uint16_t)n;
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

/* Most names differ in their first byte, so their lengths do not matter. */
static bool is_named(const char *name, const char *text, size_t n)
{
	return n > 0 && name[0] == text[0] && strlen(name) == n && memcmp(name, text, n) == 0;
}

/* A name at the top that is none of the watched ones, but is one to a reader that minds no case. */
static bool spelling(struct dp_scan *s)
{
	char text[DP_SCAN_NAME_MAX];
	size_t n;

	if (!s->strict || plain_lower(s->key_buf, s->key_n))
		return true;
	n = folded(s->key_buf, s->key_n, text);
	for (size_t i = 0; i < s->n_names; i++) {
		if (!is_named(s->names[i].name, text, n))
			continue;
		bad(s, "has a member in another spelling");
		s->fault = DP_SCAN_SPELLING;
		s->duplicate = gw_str_c(s->names[i].name);
		return false;
	}
	return true;
}

static bool name_is_new(struct dp_scan *s)
{
	switch (s->strict ? dp_json_names_add(s->strict, s->depth, s->key_mark) : DP_NAMES_NEW) {
	case DP_NAMES_TOO_MANY:
		return bad(s, "has an object with too many members");
	case DP_NAMES_TWICE:
		return duplicate(s, s->key_long ? GW_STR_NONE : (struct gw_str){ s->key_buf, s->key_n });
	default:
		return true;
	}
}

static bool key_done(struct dp_scan *s)
{
	s->state = T_COLON;
	if (!name_is_new(s))
		return false;
	if (s->depth != 1)
		return true;
	s->empty = false;
	s->watching = -1;
	if (s->key_long)
		return true;
	for (size_t i = 0; i < s->n_names; i++) {
		if (!is_named(s->names[i].name, s->key_buf, s->key_n))
			continue;
		if (s->member[i].type != DP_J_NONE)
			return duplicate(s, (struct gw_str){ s->names[i].name, s->key_n });
		s->member[i].key_at = s->key_started;
		s->watching = (int8_t)i;
		return true;
	}
	return spelling(s);
}

static bool string_done(struct dp_scan *s, size_t end)
{
	if (s->key)
		return key_done(s);
	if (s->prefix_n == 5) {
		s->stat.media++;
	} else {
		s->stat.ascii += (int64_t)s->string_ascii;
		s->stat.wide += (int64_t)s->string_wide;
	}
	s->string_ascii = s->string_wide = 0;
	value_done(s, end);
	return true;
}

/* The first byte of a multi-byte character (RFC 3629 section 4): how many follow, and the range of the next. */
static bool utf8_lead(struct dp_scan *s, unsigned char c)
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
		return bad(s, "is not valid UTF-8");
	}
	s->state = T_UTF8;
	return true;
}

static bool utf8_next(struct dp_scan *s, unsigned char c)
{
	if (c < s->utf8_min || c > s->utf8_max)
		return bad(s, "is not valid UTF-8");
	s->utf8_min = 0x80;
	s->utf8_max = 0xbf;
	if (!--s->utf8_left)
		s->state = T_STRING;
	return true;
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

/* Inside a string, from p[0]; how many bytes were taken. */
static size_t string_run(struct dp_scan *s, const char *p, size_t n)
{
	size_t i = dp_scan_plain(p, n);
	unsigned char c;

	if (i)
		string_ascii(s, p, i);
	if (i == n)
		return n;
	c = (unsigned char)p[i];
	if (c == '"') {
		string_done(s, s->at + i + 1);
	} else if (c == '\\') {
		s->state = T_ESCAPE;
	} else if (c < 0x20) {
		bad(s, "has a raw control byte inside a string");
	} else {
		size_t run = wide_run(s, p + i, n - i);

		if (run)
			return i + run;
		s->string_wide++;
		string_bytes(s, p + i, 1);
		utf8_lead(s, c);
	}
	return i + 1;
}

static bool escape(struct dp_scan *s, char c)
{
	static const char from[] = "\"\\/bfnrt", to[] = "\"\\/\b\f\n\r\t";
	const char *hit = c ? strchr(from, c) : NULL;

	if (c == 'u') {
		s->state = T_HEX;
		s->hex = s->hex_n = 0;
		return true;
	}
	if (!hit)
		return bad(s, "has an unknown escape inside a string");
	string_ascii(s, to + (hit - from), 1);
	s->state = T_STRING;
	return true;
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

static bool number_go(struct dp_scan *s, uint8_t state, bool counts)
{
	s->state = state;
	if (counts && ++s->digits > DP_SCAN_MAX_DIGITS)
		return bad(s, "has a number with too many digits");
	return true;
}

/* One byte of a number.  *ended: the number was over before this byte, which must be looked at again. */
static bool number_byte(struct dp_scan *s, unsigned char c, bool *ended)
{
	bool e = c == 'e' || c == 'E';

	switch (s->state) {
	case N_MINUS:
		if (digit(c))
			return number_go(s, c == '0' ? N_ZERO : N_INT, true);
		break;
	case N_ZERO:
	case N_INT:
		if (s->state == N_INT && digit(c))
			return number_go(s, N_INT, true);
		if (c == '.')
			return number_go(s, N_DOT, false);
		if (e)
			return number_go(s, N_E, false);
		*ended = !digit(c);
		break;
	case N_DOT:
	case N_FRACTION:
		if (digit(c))
			return number_go(s, N_FRACTION, true);
		if (s->state == N_FRACTION && e)
			return number_go(s, N_E, false);
		*ended = s->state == N_FRACTION;
		break;
	case N_E:
		if (c == '+' || c == '-')
			return number_go(s, N_SIGN, false);
		/* fall through */
	default:
		if (digit(c))
			return number_go(s, N_EXPONENT, true);
		*ended = s->state == N_EXPONENT;
	}
	return *ended || bad(s, "has a malformed number");
}

static bool value_begin(struct dp_scan *s, unsigned char c, size_t at)
{
	enum dp_json_type type = DP_J_NUMBER;
	bool ok = true;

	switch (c) {
	case '{': type = DP_J_OBJECT; break;
	case '[': type = DP_J_ARRAY; break;
	case '"': type = DP_J_STRING; break;
	case 't': type = DP_J_TRUE; break;
	case 'f': type = DP_J_FALSE; break;
	case 'n': type = DP_J_NULL; break;
	default:
		if (c != '-' && !digit(c))
			return bad(s, "has something other than a value where one must stand");
	}
	if (s->depth == 1 && s->watching >= 0) {
		s->member[s->watching].type = type;
		s->member[s->watching].at = at;
		if (type == DP_J_STRING && s->names[s->watching].text) {
			s->text_on = true;
			s->text_long = false;
			s->text_n = 0;
		}
	}
	if (type == DP_J_OBJECT || type == DP_J_ARRAY) {
		ok = open_container(s, type == DP_J_ARRAY);
	} else if (type == DP_J_STRING) {
		string_begin(s, false, at);
	} else if (type == DP_J_NUMBER) {
		s->digits = c != '-';
		s->state = c == '-' ? N_MINUS : c == '0' ? N_ZERO : N_INT;
	} else {
		s->literal = type == DP_J_TRUE ? "rue" : type == DP_J_FALSE ? "alse" : "ull";
		s->state = T_LITERAL;
	}
	return ok;
}

static bool literal_byte(struct dp_scan *s, char c, size_t end)
{
	if (*s->literal != c)
		return bad(s, "has a word that is not true, false or null");
	if (!*++s->literal)
		value_done(s, end);
	return true;
}

/* ---- structure ---- */

static bool after_value(struct dp_scan *s, unsigned char c, size_t end)
{
	if (c == ',') {
		s->state = in_array(s) ? T_VALUE : T_KEY;
		return true;
	}
	if (c == (in_array(s) ? ']' : '}'))
		return close_container(s, end);
	return bad(s, "lacks a comma or a closing bracket");
}

static bool structure(struct dp_scan *s, unsigned char c, size_t at)
{
	if (c == ' ' || c == '\t' || c == '\n' || c == '\r')
		return true;
	switch (s->state) {
	case T_BEFORE:
		s->object_at = at;
		return c == '{' ? open_container(s, false) : bad(s, "is not a JSON object");
	case T_KEY_OR_END:
		if (c == '}')
			return close_container(s, at + 1);
		/* fall through */
	case T_KEY:
		if (c != '"')
			return bad(s, "has a member whose name is not a string");
		string_begin(s, true, at);
		return true;
	case T_COLON:
		s->state = T_VALUE;
		return c == ':' || bad(s, "lacks a colon behind a member's name");
	case T_VALUE_OR_END:
		if (c == ']')
			return close_container(s, at + 1);
		/* fall through */
	case T_VALUE:
		return value_begin(s, c, at);
	case T_AFTER:
		return after_value(s, c, at + 1);
	default:
		return bad(s, "has something behind its end");
	}
}

static void one_byte(struct dp_scan *s, unsigned char c, size_t at)
{
	bool ended = false;

	switch (s->state) {
	case T_UTF8:
		string_bytes(s, (const char *)&c, 1);
		utf8_next(s, c);
		return;
	case T_ESCAPE:
		escape(s, (char)c);
		return;
	case T_HEX:
		hex_digit(s, c);
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
	case T_LITERAL:
		literal_byte(s, (char)c, at + 1);
		return;
	case N_MINUS: case N_ZERO: case N_INT: case N_DOT: case N_FRACTION: case N_E: case N_SIGN: case N_EXPONENT:
		if (!number_byte(s, c, &ended) || !ended)
			return;
		value_done(s, at);
		structure(s, c, at);
		return;
	default:
		structure(s, c, at);
	}
}

enum dp_scan_state dp_scan_feed(struct dp_scan *s, struct gw_str piece)
{
	while (piece.n && s->state != T_BAD) {
		size_t n = 1;

		if (s->state == T_STRING)
			n = string_run(s, piece.p, piece.n);
		else
			one_byte(s, (unsigned char)*piece.p, s->at);
		s->at += n;
		piece.p += n;
		piece.n -= n;
	}
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
	bool counts = !s->key && s->prefix_n < 5;

	*ascii = s->stat.ascii + (counts ? (int64_t)s->string_ascii : 0);
	*wide = s->stat.wide + (counts ? (int64_t)s->string_wide : 0);
}

const struct dp_scan_member *dp_scan_get(const struct dp_scan *s, const char *name)
{
	for (size_t i = 0; i < s->n_names; i++)
		if (s->member[i].type != DP_J_NONE && strcmp(s->names[i].name, name) == 0)
			return &s->member[i];
	return NULL;
}
