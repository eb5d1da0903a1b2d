/* access_line.c - a line of the access log, written by hand: this runs for every request, on its loop. */
#include <time.h>

#include "base/bytes.h"
#include "base/str.h"
#include "observe/access_log.h"

#define TEXT_CAP 256
#define TEXT_MOST (TEXT_CAP + 20)

/* Seventeen texts at most, the numbers, and the names. */
static_assert(17 * TEXT_MOST + GW_ACCESS_COUNT * (20 + 24) + 8 <= DP_ACCESS_LINE_MAX, "a line always fits");

/* The next eight bytes, if there are so many and all of them stand for themselves. */
static bool next_plain(struct gw_str s, uint64_t *w)
{
	if (s.n < sizeof *w)
		return false;
	memcpy(w, s.p, sizeof *w);
	return gw_json_plain_8(*w);
}

static char *put(char *p, const char *s, size_t n)
{
	memcpy(p, s, n);
	return p + n;
}

static char *put_unicode(char *p, unsigned code)
{
	static const char hex[] = "0123456789abcdef";

	p = put(p, "\\u00", 4);
	*p++ = hex[code >> 4 & 15];
	*p++ = hex[code & 15];
	return p;
}

/* One character that needs care; *used says how many bytes of s it was. */
static char *put_escaped(char *p, struct gw_str s, size_t *used)
{
	unsigned char c = (unsigned char)s.p[0];
	size_t n = gw_utf8_len(s);

	*used = n ? n : 1;
	if (n == 0)
		return put(p, "\xef\xbf\xbd", 3);
	if (c == '"' || c == '\\') {
		*p++ = '\\';
		*p++ = (char)c;
		return p;
	}
	if (c < 0x20 || c == 0x7f)
		return put_unicode(p, c);
	if (c == 0xc2 && (unsigned char)s.p[1] < 0xa0)
		return put_unicode(p, (unsigned char)s.p[1]);
	return put(p, s.p, n);
}

/*
 * The cap is one on what comes out, so that hostile bytes, which grow sixfold, cannot take the room of the other fields:
 * at most TEXT_CAP bytes, a last escape, the sign that it was cut, and the quotes.
 */
static char *put_text(char *p, struct gw_str s)
{
	const char *limit = p + TEXT_CAP;

	*p++ = '"';
	while (s.n && p < limit) {
		uint64_t eight;
		size_t n;

		if (next_plain(s, &eight)) {
			memcpy(p, &eight, 8);
			p += 8;
			s.p += 8;
			s.n -= 8;
		} else if (gw_json_plain((unsigned char)s.p[0])) {
			*p++ = s.p[0];
			s.p++;
			s.n--;
		} else {
			p = put_escaped(p, s, &n);
			s = gw_str_from(s, n);
		}
	}
	if (s.n)
		p = put(p, "\xe2\x80\xa6", 3);
	*p++ = '"';
	return p;
}

static char *put_int(char *p, int64_t v)
{
	char digits[20];
	size_t n = 0;
	uint64_t u = v < 0 ? 0 - (uint64_t)v : (uint64_t)v;

	if (v < 0)
		*p++ = '-';
	do
		digits[n++] = (char)('0' + u % 10);
	while (u /= 10);
	while (n)
		*p++ = digits[--n];
	return p;
}

/* The calendar is computed once a second. */
static char *put_time(char *p, int64_t ms)
{
	static _Thread_local struct { int64_t second; char text[20]; } day = { .second = -1 };
	int64_t second = ms / 1000;
	unsigned rest = (unsigned)(ms % 1000);

	if (second != day.second) {
		time_t t = (time_t)second;
		struct tm tm;

		gmtime_r(&t, &tm);
		strftime(day.text, sizeof day.text, "%Y-%m-%dT%H:%M:%S", &tm);
		day.second = second;
	}
	*p++ = '"';
	p = put(p, day.text, 19);
	*p++ = '.';
	*p++ = (char)('0' + rest / 100);
	*p++ = (char)('0' + rest / 10 % 10);
	*p++ = (char)('0' + rest % 10);
	return put(p, "Z\"", 2);
}

/* Where a field's value comes from. */
enum form { TIME, TEXT, FACT, INT, BOOL, END, SOURCE };
struct from { enum form form; size_t at; };

#define R(form, member) { form, offsetof(struct gw_usage_record, member) }
#define F(member)       { FACT, offsetof(struct dp_access_facts, member) }
static const struct from from[GW_ACCESS_COUNT] = {
	[GW_ACCESS_TIME] = R(TIME, started_at_ms), [GW_ACCESS_REQUEST_ID] = R(TEXT, request_id), [GW_ACCESS_TRACE_ID] = R(TEXT, trace_id),
	[GW_ACCESS_CLIENT_IP] = R(TEXT, client_ip), [GW_ACCESS_METHOD] = F(method), [GW_ACCESS_PATH] = F(path),
	[GW_ACCESS_USER_AGENT] = F(user_agent), [GW_ACCESS_CONSUMER] = R(TEXT, consumer), [GW_ACCESS_KEY_ID] = R(TEXT, key_id),
	[GW_ACCESS_ROUTE] = R(TEXT, route), [GW_ACCESS_PROVIDER] = R(TEXT, provider), [GW_ACCESS_MODEL] = R(TEXT, requested_model),
	[GW_ACCESS_SERVED_MODEL] = R(TEXT, served_model), [GW_ACCESS_OPERATION] = R(TEXT, operation), [GW_ACCESS_STATUS] = R(INT, status),
	[GW_ACCESS_END_REASON] = R(END, end_reason), [GW_ACCESS_ERROR_CODE] = R(TEXT, error_code), [GW_ACCESS_STEP] = F(step),
	[GW_ACCESS_STREAM] = R(BOOL, stream),
	[GW_ACCESS_ATTEMPTS] = R(INT, attempts), [GW_ACCESS_PROMPT_TOKENS] = R(INT, prompt_tokens),
	[GW_ACCESS_CACHED_TOKENS] = R(INT, cached_tokens), [GW_ACCESS_COMPLETION_TOKENS] = R(INT, completion_tokens),
	[GW_ACCESS_REASONING_TOKENS] = R(INT, reasoning_tokens), [GW_ACCESS_USAGE_SOURCE] = R(SOURCE, usage_source),
	[GW_ACCESS_QUEUE_MS] = R(INT, queue_ms), [GW_ACCESS_FIRST_BYTE_MS] = R(INT, first_byte_ms),
	[GW_ACCESS_FIRST_TOKEN_MS] = R(INT, first_token_ms), [GW_ACCESS_TOTAL_MS] = R(INT, total_ms),
	[GW_ACCESS_REQUEST_BYTES] = R(INT, request_bytes), [GW_ACCESS_RESPONSE_BYTES] = R(INT, response_bytes),
};
#undef R
#undef F

/* Of one size, so that copying one is a few instructions; what stands behind its end is written over. */
#define KEY_BYTES 24
static const struct { char text[KEY_BYTES]; uint8_t n; } keys[GW_ACCESS_COUNT] = {
#define X(id, name, doc) { ",\"" name "\":", sizeof(",\"" name "\":") - 1 },
#include "tbl/access_fields.def"
#undef X
};
#define X(id, name, doc) static_assert(sizeof(",\"" name "\":") <= KEY_BYTES, "a name fits");
#include "tbl/access_fields.def"
#undef X

static char *put_value(char *p, const struct from *w, const struct gw_usage_record *u, const struct dp_access_facts *f)
{
	const char *record = (const char *)u, *facts = (const char *)f;
	const int64_t *number = (const void *)(record + w->at);
	const struct gw_str *text = (const void *)((w->form == FACT ? facts : record) + w->at);

	switch (w->form) {
	case TIME: return put_time(p, *number);
	case TEXT:
	case FACT: return put_text(p, *text);
	case INT: return put_int(p, *number);
	case BOOL: return *number ? put(p, "true", 4) : put(p, "false", 5);
	case END: return put_text(p, gw_str_c(gw_end_name(u->end_reason)));
	case SOURCE: return put_text(p, gw_str_c(gw_usage_source_name(u->usage_source)));
	}
	return p;
}

size_t dp_access_format(char *out, uint64_t mask, const struct gw_usage_record *u, const struct dp_access_facts *f)
{
	char *p = out;

	for (size_t i = 0; i < GW_ACCESS_COUNT; i++) {
		if (!(mask >> i & 1))
			continue;
		memcpy(p, keys[i].text, KEY_BYTES);
		p += keys[i].n;
		p = put_value(p, &from[i], u, f);
	}
	if (p == out)
		*p++ = ',';
	out[0] = '{';
	*p++ = '}';
	*p++ = '\n';
	assert(p - out <= (ptrdiff_t)DP_ACCESS_LINE_MAX);
	return (size_t)(p - out);
}
