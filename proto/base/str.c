/*
 * str.c - looking at borrowed bytes.
 */
#include "base/str.h"

static unsigned char lower(char c)
{
	unsigned char u = (unsigned char)c;
	return u >= 'A' && u <= 'Z' ? u | 0x20 : u;
}

bool gw_str_ieq_n(const char *a, const char *b, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (a[i] != b[i] && lower(a[i]) != lower(b[i]))
			return false;
	return true;
}

bool gw_str_starts(struct gw_str s, struct gw_str prefix)
{
	return s.n >= prefix.n && (prefix.n == 0 || memcmp(s.p, prefix.p, prefix.n) == 0);
}

bool gw_str_ends(struct gw_str s, struct gw_str suffix)
{
	return s.n >= suffix.n &&
	    (suffix.n == 0 || memcmp(s.p + s.n - suffix.n, suffix.p, suffix.n) == 0);
}

int gw_str_cmp(struct gw_str a, struct gw_str b)
{
	size_t n = a.n < b.n ? a.n : b.n;
	int c = n ? memcmp(a.p, b.p, n) : 0;
	if (c)
		return c;
	return (a.n > b.n) - (a.n < b.n);
}

static bool is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

struct gw_str gw_str_trim(struct gw_str s)
{
	while (s.n && is_blank(s.p[0])) {
		s.p++;
		s.n--;
	}
	while (s.n && is_blank(s.p[s.n - 1]))
		s.n--;
	return s;
}

struct gw_str gw_str_from(struct gw_str s, size_t at)
{
	if (at >= s.n)
		return (struct gw_str){ s.p ? s.p + s.n : "", 0 };
	return (struct gw_str){ s.p + at, s.n - at };
}

struct gw_str gw_str_cut(struct gw_str *s, char sep)
{
	struct gw_str head = *s;
	const char *at = s->n ? memchr(s->p, sep, s->n) : NULL;
	if (!at) {
		*s = GW_STR_NONE;
		return head;
	}
	head.n = (size_t)(at - head.p);
	*s = (struct gw_str){ at + 1, s->n - head.n - 1 };
	return head;
}

bool gw_str_find(struct gw_str hay, struct gw_str needle, size_t *at)
{
	if (needle.n == 0) {
		*at = 0;
		return true;
	}
	if (hay.n < needle.n)
		return false;
	const char *found = memmem(hay.p, hay.n, needle.p, needle.n);
	if (!found)
		return false;
	*at = (size_t)(found - hay.p);
	return true;
}

bool gw_str_int(struct gw_str s, int64_t min, int64_t max, int64_t *out)
{
	size_t i = 0;
	bool negative = s.n && s.p[0] == '-';
	if (negative)
		i = 1;
	/* No leading zeros: "007" is a string that looks like a number, not one of ours. */
	if (i == s.n || (s.p[i] == '0' && (s.n - i > 1 || negative)))
		return false;
	uint64_t v = 0;
	for (; i < s.n; i++) {
		if (s.p[i] < '0' || s.p[i] > '9')
			return false;
		unsigned digit = (unsigned)(s.p[i] - '0');
		if (v > (UINT64_MAX - digit) / 10)
			return false;
		v = v * 10 + digit;
	}
	int64_t n;
	if (negative) {
		if (v > (uint64_t)INT64_MAX + 1)
			return false;
		n = v == (uint64_t)INT64_MAX + 1 ? INT64_MIN : -(int64_t)v;
	} else {
		if (v > INT64_MAX)
			return false;
		n = (int64_t)v;
	}
	if (n < min || n > max)
		return false;
	*out = n;
	return true;
}

size_t gw_utf8_len(struct gw_str s)
{
	if (!s.n)
		return 0;
	const unsigned char *p = (const unsigned char *)s.p;
	if (p[0] < 0x80)
		return 1;
	size_t n = p[0] >= 0xc2 && p[0] <= 0xdf ? 2 : p[0] >= 0xe0 && p[0] <= 0xef ? 3 :
	    p[0] >= 0xf0 && p[0] <= 0xf4 ? 4 : 0;
	if (n == 0 || s.n < n)
		return 0;
	for (size_t i = 1; i < n; i++)
		if ((p[i] & 0xc0) != 0x80)
			return 0;
	/* The second byte rules out overlong forms, surrogates and values above U+10FFFF. */
	if ((p[0] == 0xe0 && p[1] < 0xa0) || (p[0] == 0xed && p[1] > 0x9f) ||
	    (p[0] == 0xf0 && p[1] < 0x90) || (p[0] == 0xf4 && p[1] > 0x8f))
		return 0;
	return n;
}

/* Eight bytes below 0x80 at once: most texts are nothing else. */
static size_t ascii_run(struct gw_str s)
{
	size_t n = 0;
	uint64_t v;
	for (; n + sizeof v <= s.n; n += sizeof v) {
		memcpy(&v, s.p + n, sizeof v);
		if (v & 0x8080808080808080u)
			break;
	}
	return n;
}

bool gw_utf8_valid(struct gw_str s)
{
	while (s.n) {
		s = gw_str_from(s, ascii_run(s));
		if (!s.n)
			break;
		size_t n = gw_utf8_len(s);
		if (!n)
			return false;
		s.p += n;
		s.n -= n;
	}
	return true;
}

bool gw_glob_match(struct gw_str pattern, struct gw_str s)
{
	if (!pattern.n || !memchr(pattern.p, '*', pattern.n))
		return gw_str_eq(pattern, s);
	/* What stands before the first star must begin s, what stands behind the last must end it. */
	struct gw_str piece = gw_str_cut(&pattern, '*');
	if (!gw_str_starts(s, piece))
		return false;
	s = gw_str_from(s, piece.n);
	for (;;) {
		piece = gw_str_cut(&pattern, '*');
		if (!pattern.p)
			return gw_str_ends(s, piece);
		/* Taking the leftmost place for every inner piece never loses a match. */
		size_t at;
		if (!gw_str_find(s, piece, &at))
			return false;
		s = gw_str_from(s, at + piece.n);
	}
}
