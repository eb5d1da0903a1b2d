/* json_at.c - skipping through small JSON texts without building anything. */
#include "codec/json_at.h"

#include <math.h>
#include <stdlib.h>

#include "base/str.h"
#include "codec/bytescan.h"

static inline size_t blanks(struct gw_str s, size_t i)
{
	if (i < s.n && (unsigned char)s.p[i] > ' ') /* as it mostly is */
		return i;
	while (i < s.n && (s.p[i] == ' ' || s.p[i] == '\t' || s.p[i] == '\n' || s.p[i] == '\r'))
		i++;
	return i;
}

/* Behind the string that opens at i, or 0. */
static inline size_t skip_string(struct gw_str s, size_t i)
{
	for (i++; i < s.n; i += 2) {
		i += dp_scan_quote(s.p + i, s.n - i);
		if (i < s.n && s.p[i] == '"')
			return i + 1;
	}
	return 0;
}

/* Behind the container that opens at i, or 0.  Brackets are counted, not matched by kind: see the header. */
static size_t skip_container(struct gw_str s, size_t i)
{
	size_t depth = 0;

	while (i < s.n) {
		char c = s.p[i];

		if (c == '"') {
			i = skip_string(s, i);
			if (!i)
				return 0;
			continue;
		}
		i++;
		if (c == '{' || c == '[')
			depth++;
		else if ((c == '}' || c == ']') && --depth == 0)
			return i;
	}
	return 0;
}

static bool scalar_byte(char c)
{
	return (c >= '0' && c <= '9') || ((c | 0x20) >= 'a' && (c | 0x20) <= 'z') || c == '-' || c == '+' || c == '.';
}

static struct dp_json scalar(struct gw_str s, size_t i)
{
	size_t end = i;
	struct dp_json v = { DP_J_NONE, { s.p + i, 0 } };

	while (end < s.n && scalar_byte(s.p[end]))
		end++;
	v.raw.n = end - i;
	if (!v.raw.n)
		return v;
	if (v.raw.p[0] == '-' || (v.raw.p[0] >= '0' && v.raw.p[0] <= '9'))
		v.type = DP_J_NUMBER;
	else if (gw_str_is(v.raw, "null"))
		v.type = DP_J_NULL;
	else if (gw_str_is(v.raw, "true"))
		v.type = DP_J_TRUE;
	else if (gw_str_is(v.raw, "false"))
		v.type = DP_J_FALSE;
	return v;
}

/* `lazy`: a container's end is not looked for, raw goes on to the end of `s`. */
static struct dp_json value_at(struct gw_str s, size_t i, bool lazy)
{
	struct dp_json none = { DP_J_NONE, GW_STR_NONE }, v = none;
	size_t end;

	if (i >= s.n)
		return none;
	switch (s.p[i]) {
	case '"':
		v.type = DP_J_STRING;
		end = skip_string(s, i);
		break;
	case '{':
	case '[':
		v.type = s.p[i] == '{' ? DP_J_OBJECT : DP_J_ARRAY;
		end = lazy ? s.n : skip_container(s, i);
		break;
	default:
		return scalar(s, i);
	}
	if (!end)
		return none;
	v.raw = (struct gw_str){ s.p + i, end - i };
	return v;
}

struct dp_json dp_json_value(struct gw_str doc)
{
	return value_at(doc, blanks(doc, 0), false);
}

struct dp_json_iter dp_json_iter(struct dp_json c)
{
	struct dp_json_iter it = { .in = c.raw, .pos = 1, .object = c.type == DP_J_OBJECT };

	if (c.type != DP_J_OBJECT && c.type != DP_J_ARRAY)
		it.in = GW_STR_NONE;
	return it;
}

struct dp_json_iter dp_json_lazy(struct dp_json c)
{
	struct dp_json_iter it = dp_json_iter(c);

	it.lazy = true;
	return it;
}

static bool is_open(const struct dp_json_iter *it)
{
	return it->lazy && !it->left && (it->value.type == DP_J_OBJECT || it->value.type == DP_J_ARRAY);
}

struct dp_json dp_json_whole(struct dp_json_iter *it)
{
	size_t at, end;

	if (!is_open(it))
		return it->value;
	at = (size_t)(it->value.raw.p - it->in.p);
	end = skip_container(it->in, at);
	if (!end) {
		it->broken = true;
		return (struct dp_json){ DP_J_NONE, GW_STR_NONE };
	}
	it->value.raw.n = end - at;
	it->pos = it->end = end;
	it->left = true;
	return it->value;
}

struct dp_json_iter dp_json_enter(const struct dp_json_iter *it)
{
	struct dp_json_iter inner = dp_json_iter(it->value);

	inner.lazy = is_open(it);
	return inner;
}

void dp_json_leave(struct dp_json_iter *it, const struct dp_json_iter *inner)
{
	size_t at = (size_t)(it->value.raw.p - it->in.p);

	if (!is_open(it) || !inner->ended)
		return; /* the next step looks for the end itself */
	it->value.raw.n = inner->pos;
	it->pos = it->end = at + inner->pos;
	it->left = true;
}

/* At `i` the container is over.  Brackets are not matched by kind, as in skip_container(). */
static bool ends_at(struct dp_json_iter *it, size_t i)
{
	if (!it->lazy)
		return i + 1 >= it->in.n;
	if (i >= it->in.n)
		return it->broken = true;
	if (it->in.p[i] != '}' && it->in.p[i] != ']')
		return false;
	it->ended = true;
	it->pos = i + 1;
	return true;
}

bool dp_json_next(struct dp_json_iter *it)
{
	size_t i, end;

	if (!it->in.n || it->broken || it->ended)
		return false;
	if (is_open(it) && dp_json_whole(it).type == DP_J_NONE)
		return false;
	i = blanks(it->in, it->pos);
	if (it->value.raw.p) {
		if (i < it->in.n && it->in.p[i] == ',')
			i = blanks(it->in, i + 1);
		else if (!ends_at(it, i) || (!it->lazy && i + 1 != it->in.n))
			it->broken = true;
		it->index++;
	}
	if (it->broken || it->ended || ends_at(it, i))
		return false;
	it->broken = true;
	it->left = false;
	it->key_at = i;
	if (it->object) {
		end = it->in.p[i] == '"' ? skip_string(it->in, i) : 0;
		if (!end)
			return false;
		it->key = (struct gw_str){ it->in.p + i + 1, end - i - 2 };
		i = blanks(it->in, end);
		if (i >= it->in.n || it->in.p[i] != ':')
			return false;
		i = blanks(it->in, i + 1);
	}
	it->value = value_at(it->in, i, it->lazy);
	if (it->value.type == DP_J_NONE)
		return false;
	it->pos = it->end = i + it->value.raw.n;
	it->broken = false;
	return true;
}

static struct dp_json member(struct dp_json from, struct gw_str name)
{
	struct dp_json_iter it = dp_json_iter(from);

	if (from.type == DP_J_OBJECT)
		while (dp_json_next(&it))
			if (gw_str_eq(it.key, name))
				return it.value;
	return (struct dp_json){ DP_J_NONE, GW_STR_NONE };
}

static struct dp_json element(struct dp_json from, size_t index)
{
	struct dp_json_iter it = dp_json_iter(from);

	if (from.type == DP_J_ARRAY)
		while (dp_json_next(&it))
			if (it.index == index)
				return it.value;
	return (struct dp_json){ DP_J_NONE, GW_STR_NONE };
}

struct dp_json dp_json_at(struct dp_json from, const char *path)
{
	while (*path && from.type != DP_J_NONE) {
		if (*path == '[') {
			char *end;

			from = element(from, strtoul(path + 1, &end, 10));
			path = *end == ']' ? end + 1 : end;
		} else {
			size_t n = strcspn(path, ".[");

			from = member(from, (struct gw_str){ path, n });
			path += n;
		}
		if (*path == '.')
			path++;
	}
	return from;
}

/* Digits alone, as nearly all numbers are; -1: something else, or so many that the value might not fit. */
static int64_t short_int(struct gw_str s)
{
	int64_t v = 0;

	if (s.n > 18)
		return -1;
	for (size_t i = 0; i < s.n; i++) {
		if (s.p[i] < '0' || s.p[i] > '9')
			return -1;
		v = v * 10 + (s.p[i] - '0');
	}
	return v;
}

bool dp_json_int(struct dp_json v, int64_t max, int64_t *out)
{
	char text[40];
	int64_t whole;
	double d;
	char *end;

	if (v.type != DP_J_NUMBER)
		return false;
	whole = short_int(v.raw);
	if (whole >= 0) {
		*out = whole > max ? max : whole;
		return true;
	}
	if (v.raw.n >= sizeof text) {
		*out = v.raw.p[0] == '-' ? 0 : max;
		return true;
	}
	memcpy(text, v.raw.p, v.raw.n);
	text[v.raw.n] = '\0';
	d = strtod(text, &end);
	if (*end || isnan(d))
		return false;
	*out = d <= 0 ? 0 : d >= (double)max ? max : (int64_t)d;
	return true;
}

bool dp_json_truthy(struct dp_json v)
{
	switch (v.type) {
	case DP_J_TRUE:
		return true;
	case DP_J_STRING:
		return v.raw.n > 2;
	case DP_J_NUMBER:
		return !gw_str_is(v.raw, "0");
	case DP_J_OBJECT:
	case DP_J_ARRAY:
		return blanks(v.raw, 1) + 1 < v.raw.n;
	default:
		return false;
	}
}

struct gw_str dp_json_inner(struct dp_json v)
{
	return v.type == DP_J_STRING ? (struct gw_str){ v.raw.p + 1, v.raw.n - 2 } : GW_STR_NONE;
}

bool dp_json_is(struct dp_json v, const char *text)
{
	return v.type == DP_J_STRING && gw_str_is(dp_json_inner(v), text);
}

/* Four hex digits at s.p[i], or -1. */
static int hex4(struct gw_str s, size_t i)
{
	int v = 0;

	if (i + 4 > s.n)
		return -1;
	for (size_t k = 0; k < 4; k++) {
		char c = s.p[i + k];
		int d = c >= '0' && c <= '9' ? c - '0' : (c | 0x20) >= 'a' && (c | 0x20) <= 'f' ? (c | 0x20) - 'a' + 10 : -1;

		if (d < 0)
			return -1;
		v = v << 4 | d;
	}
	return v;
}

/* The character of the escape at s.p[*i] == '\\'; *i moves behind it. */
static uint32_t escaped(struct gw_str s, size_t *i)
{
	static const char from[] = "bfnrt", to[] = "\b\f\n\r\t";
	char c = *i + 1 < s.n ? s.p[*i + 1] : '\\';
	const char *hit = c ? strchr(from, c) : NULL;
	int hi, lo;

	if (c != 'u') {
		*i += 2;
		return hit ? (uint32_t)to[hit - from] : (unsigned char)c;
	}
	hi = hex4(s, *i + 2);
	*i += 6;
	if (hi < 0) {
		*i -= 4;
		return 0xfffd;
	}
	if (hi < 0xd800 || hi > 0xdfff)
		return (uint32_t)hi;
	if (hi <= 0xdbff && *i + 1 < s.n && s.p[*i] == '\\' && s.p[*i + 1] == 'u') {
		lo = hex4(s, *i + 2);
		if (lo >= 0xdc00 && lo <= 0xdfff) {
			*i += 6;
			return 0x10000 + ((uint32_t)(hi - 0xd800) << 10) + (uint32_t)(lo - 0xdc00);
		}
	}
	return 0xfffd;
}

static void add_code(struct gw_buf *out, uint32_t c)
{
	char b[4];
	size_t n = 0;

	if (c < 0x80) {
		b[n++] = (char)c;
	} else if (c < 0x800) {
		b[n++] = (char)(0xc0 | c >> 6);
		b[n++] = (char)(0x80 | (c & 63));
	} else if (c < 0x10000) {
		b[n++] = (char)(0xe0 | c >> 12);
		b[n++] = (char)(0x80 | (c >> 6 & 63));
		b[n++] = (char)(0x80 | (c & 63));
	} else {
		b[n++] = (char)(0xf0 | c >> 18);
		b[n++] = (char)(0x80 | (c >> 12 & 63));
		b[n++] = (char)(0x80 | (c >> 6 & 63));
		b[n++] = (char)(0x80 | (c & 63));
	}
	gw_buf_add(out, (struct gw_str){ b, n });
}

bool dp_json_text(struct gw_buf *out, struct dp_json v)
{
	struct gw_str s = dp_json_inner(v);
	size_t i = 0;

	if (!s.p)
		return false;
	while (i < s.n) {
		const char *hit = memchr(s.p + i, '\\', s.n - i);
		size_t n = hit ? (size_t)(hit - s.p) - i : s.n - i;

		gw_buf_add(out, (struct gw_str){ s.p + i, n });
		i += n;
		if (hit)
			add_code(out, escaped(s, &i));
	}
	return true;
}

void dp_json_measure(struct dp_json v, int64_t *ascii, int64_t *wide)
{
	struct gw_str s = dp_json_inner(v);
	size_t i = 0;

	while (i < s.n) {
		size_t plain = dp_scan_plain(s.p + i, s.n - i);
		unsigned char c;

		*ascii += (int64_t)plain;
		i += plain;
		if (i >= s.n)
			break;
		c = (unsigned char)s.p[i];
		if (c == '\\') {
			*(escaped(s, &i) < 0x80 ? ascii : wide) += 1;
			continue;
		}
		*ascii += c < 0x80;
		*wide += c >= 0xc0;
		i++;
	}
}
