/* target.c - RFC 9112 section 3.2.1 origin-form, strictly. */
#include "httpd/target.h"

#include "base/str.h"

#define MAX_QUERY 32

static int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

/* Percent-decoding into the arena; `plus` turns '+' into a blank. */
static enum gw_rc decode(struct gw_arena *a, struct gw_str in, bool plus, struct gw_str *out, struct gw_error *err)
{
	char *p = gw_arena_alloc(a, in.n + 1);
	size_t n = 0;
	for (size_t i = 0; i < in.n; i++) {
		unsigned char c = (unsigned char)in.p[i];
		if (c == '%') {
			int hi = i + 2 < in.n ? hex_digit(in.p[i + 1]) : -1;
			int lo = hi < 0 ? -1 : hex_digit(in.p[i + 2]);
			if (lo < 0)
				return gw_fail(err, GW_INVALID, NULL, "the request target has a broken %% escape");
			c = (unsigned char)(hi * 16 + lo);
			i += 2;
		} else if (plus && c == '+') {
			c = ' ';
		}
		if (c < 0x20 || c == 0x7f)
			return gw_fail(err, GW_INVALID, NULL, "the request target contains a control character");
		p[n++] = (char)c;
	}
	*out = (struct gw_str){ p, n };
	if (!gw_utf8_valid(*out))
		return gw_fail(err, GW_INVALID, NULL, "the request target is not UTF-8");
	return GW_OK;
}

static bool has_byte(struct gw_str s, char c)
{
	return s.n > 0 && memchr(s.p, c, s.n) != NULL;
}

static enum gw_rc parse_path(struct cp_request *rq, struct gw_str raw, struct gw_error *err)
{
	char *joined = gw_arena_alloc(rq->arena, raw.n + 2);
	size_t n = 0;
	struct gw_str rest = gw_str_from(raw, 1);
	if (raw.n == 1) {
		rq->path = GW_STR("/");
		return GW_OK;
	}
	while (rest.p != NULL) {
		struct gw_str piece = gw_str_cut(&rest, '/'), text;
		enum gw_rc rc = decode(rq->arena, piece, false, &text, err);
		if (rc != GW_OK)
			return rc;
		if (text.n == 0 || gw_str_is(text, ".") || gw_str_is(text, ".."))
			return gw_fail(err, GW_INVALID, NULL, "the path has an empty or dot segment");
		if (has_byte(text, '/') || has_byte(text, '\\'))
			return gw_fail(err, GW_INVALID, NULL, "the path has an encoded slash or a backslash");
		if (rq->n_segments == CP_PATH_SEGMENTS)
			return gw_fail(err, GW_INVALID, NULL, "the path has too many segments");
		rq->segment[rq->n_segments++] = text;
		joined[n++] = '/';
		memcpy(joined + n, text.p, text.n);
		n += text.n;
	}
	rq->path = (struct gw_str){ joined, n };
	return GW_OK;
}

static enum gw_rc parse_query(struct cp_request *rq, struct gw_str raw, struct gw_error *err)
{
	struct cp_pair *pairs = gw_arena_array(rq->arena, MAX_QUERY, sizeof *pairs);
	size_t n = 0;
	while (raw.p != NULL && raw.n > 0) {
		struct gw_str piece = gw_str_cut(&raw, '&');
		if (piece.n == 0)
			continue;
		struct gw_str name = gw_str_cut(&piece, '=');
		if (n == MAX_QUERY)
			return gw_fail(err, GW_INVALID, NULL, "the query has more than %d parameters", MAX_QUERY);
		enum gw_rc rc = decode(rq->arena, name, true, &pairs[n].name, err);
		if (rc == GW_OK)
			rc = decode(rq->arena, piece.p ? piece : GW_STR(""), true, &pairs[n].value, err);
		if (rc != GW_OK)
			return rc;
		for (size_t i = 0; i < n; i++)
			if (gw_str_eq(pairs[i].name, pairs[n].name))
				return gw_fail(err, GW_INVALID, NULL, "the query parameter \"%.*s\" is given twice",
					       GW_FMT(pairs[n].name));
		n++;
	}
	rq->query = pairs;
	rq->n_query = n;
	return GW_OK;
}

enum gw_rc cp_target_parse(struct cp_request *rq, struct gw_str raw, struct gw_error *err)
{
	if (raw.n == 0 || raw.p[0] != '/')
		return gw_fail(err, GW_INVALID, NULL, "the request target must be a path that begins with /");
	if (has_byte(raw, '#'))
		return gw_fail(err, GW_INVALID, NULL, "the request target contains a fragment");
	struct gw_str query = raw, path = gw_str_cut(&query, '?');
	enum gw_rc rc = parse_path(rq, path, err);
	return rc == GW_OK ? parse_query(rq, query, err) : rc;
}

struct gw_str cp_request_header(const struct cp_request *rq, const char *name)
{
	for (size_t i = 0; i < rq->n_headers; i++)
		if (gw_str_ieq(rq->headers[i].name, gw_str_c(name)))
			return rq->headers[i].value;
	return GW_STR_NONE;
}

struct gw_str cp_request_query(const struct cp_request *rq, const char *name)
{
	for (size_t i = 0; i < rq->n_query; i++)
		if (gw_str_is(rq->query[i].name, name))
			return rq->query[i].value;
	return GW_STR_NONE;
}

struct gw_str cp_request_cookie(const struct cp_request *rq, const char *name)
{
	struct gw_str rest = cp_request_header(rq, "Cookie");
	while (rest.p != NULL) {
		struct gw_str pair = gw_str_trim(gw_str_cut(&rest, ';'));
		struct gw_str key = gw_str_cut(&pair, '=');
		if (gw_str_is(key, name) && pair.p != NULL)
			return pair;
	}
	return GW_STR_NONE;
}
