/*
 * h1_parse.c - one HTTP/1 message at a time: collect the head, let llhttp take it apart, admit or refuse, cut the body.
 *
 * The only file that knows llhttp.  llhttp sees a whole, bounded head in one call and stops at its end; what it lets
 * through that RFC 9112 does not is refused in admit_*() below (its list of measured gaps is long: folded lines, empty
 * names, HTTP/0.9, two Host fields, stacked transfer codings).  What it refuses is refused.
 */
#include "http/h1.h"

#include <llhttp.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/buf.h"
#include "base/str.h"
#include "http/chunked.h"
#include "http/ctype.h"
#include "http/headers.h"

#if LLHTTP_STRICT_MODE != 1
#error "llhttp must be compiled in strict mode, in every file that sees its header"
#endif

enum state { S_HEAD, S_GIVEN, S_LENGTH, S_CHUNKED, S_EOF, S_END, S_BAD };
enum special { F_HOST, F_TE, F_LENGTH, F_EXPECT, F_CONNECTION, N_SPECIAL };

struct dp_h1 {
	unsigned magic;
#define H1_MAGIC 0x68317031u
	enum dp_h1_side side;
	enum state state;
	struct dp_h1_limits limits, next_limits;
	bool head_request;
	unsigned blank_lines, interim;

	struct gw_buf raw;           /* the head as received */
	size_t line_at;              /* where the line being collected begins in raw */
	size_t first_line;           /* bytes of the request or status line; 0: not read yet */
	size_t fields;

	struct gw_pair *pairs;       /* owned; borrows from raw */
	size_t n_pairs, cap_pairs;
	struct dp_head head;

	struct dp_chunked chunked;
	int64_t left, body;
	struct dp_refusal *why;      /* owned; NULL: not refused */
};

/* What is known only while a head is taken apart: a connection that waits or streams does not keep it. */
struct parse {
	struct dp_h1 *p;
	struct gw_str url, reason, name, value;
	bool complete, broken_span;
	struct { size_t n; struct gw_str value; } special[N_SPECIAL];   /* how often, and the first value */
};

/* ---- llhttp's callbacks: spans of a contiguous head ---- */

static int grow(struct parse *t, struct gw_str *span, const char *at, size_t n)
{
	if (!span->p)
		*span = (struct gw_str){ at, n };
	else if (span->p + span->n == at)
		span->n += n;
	else
		t->broken_span = true;
	return 0;
}

static int on_url(llhttp_t *l, const char *at, size_t n)
{
	struct parse *t = l->data;

	return grow(t, &t->url, at, n);
}

static int on_status(llhttp_t *l, const char *at, size_t n)
{
	struct parse *t = l->data;

	return grow(t, &t->reason, at, n);
}

static int on_field(llhttp_t *l, const char *at, size_t n)
{
	struct parse *t = l->data;

	return grow(t, &t->name, at, n);
}

static int on_value(llhttp_t *l, const char *at, size_t n)
{
	struct parse *t = l->data;

	return grow(t, &t->value, at, n);
}

static int on_value_complete(llhttp_t *l)
{
	struct parse *t = l->data;
	struct dp_h1 *p = t->p;

	if (p->n_pairs == p->cap_pairs) {
		p->cap_pairs = p->n_pairs < p->fields ? p->fields : p->n_pairs + 8; /* the lines were counted */
		p->pairs = gw_realloc(p->pairs, p->cap_pairs * sizeof *p->pairs);
	}
	p->pairs[p->n_pairs++] = (struct gw_pair){ t->name.p ? t->name : GW_STR(""),
	                                           t->value.p ? gw_str_trim(t->value) : GW_STR("") };
	t->name = t->value = GW_STR_NONE;
	return 0;
}

static int on_headers_complete(llhttp_t *l)
{
	struct parse *t = l->data;

	t->complete = true;
	return HPE_PAUSED;
}

static const llhttp_settings_t settings = {
	.on_url = on_url, .on_status = on_status, .on_header_field = on_field, .on_header_value = on_value,
	.on_header_value_complete = on_value_complete, .on_headers_complete = on_headers_complete,
};

/* ---- life ---- */

static struct dp_h1_limits filled(const struct dp_h1_limits *given, enum dp_h1_side side)
{
	struct dp_h1_limits l = given ? *given : (struct dp_h1_limits){ 0 };

	if (!l.max_line)
		l.max_line = 16384;
	if (!l.max_head)
		l.max_head = 32768;
	if (!l.max_headers)
		l.max_headers = 100;
	if (!l.max_body)
		l.max_body = side == DP_H1_REQUEST ? 32 << 20 : -1;
	return l;
}

struct dp_h1 *dp_h1_open(enum dp_h1_side side, const struct dp_h1_limits *limits)
{
	struct dp_h1 *p = gw_alloc(sizeof *p);

	p->magic = H1_MAGIC;
	p->side = side;
	p->limits = p->next_limits = filled(limits, side);
	gw_buf_init(&p->raw, p->limits.max_line + p->limits.max_head + 4);
	return p;
}

void dp_h1_close(struct dp_h1 **p)
{
	if (!*p)
		return;
	GW_CHECK(*p, H1_MAGIC);
	(*p)->magic = 0;
	gw_buf_fini(&(*p)->raw);
	free((*p)->pairs);
	free((*p)->why);
	free(*p);
	*p = NULL;
}

void dp_h1_expect(struct dp_h1 *p, bool head_request)
{
	GW_CHECK(p, H1_MAGIC);
	p->head_request = head_request;
}

static void use_limits(struct dp_h1 *p)
{
	p->limits = p->next_limits;
	p->raw.max = p->limits.max_line + p->limits.max_head + 4;
}

void dp_h1_set_limits(struct dp_h1 *p, const struct dp_h1_limits *limits)
{
	GW_CHECK(p, H1_MAGIC);
	p->next_limits = filled(limits, p->side);
	if (p->state == S_HEAD && !dp_h1_begun(p))
		use_limits(p);
}

void dp_h1_set_max_body(struct dp_h1 *p, int64_t max_body)
{
	GW_CHECK(p, H1_MAGIC);
	assert(p->state == S_GIVEN);
	p->limits.max_body = max_body;
}

static void forget_head(struct dp_h1 *p)
{
	gw_buf_clear(&p->raw);
	p->line_at = p->first_line = p->fields = p->n_pairs = 0;
	p->head = (struct dp_head){ 0 };
	p->blank_lines = 0;
}

void dp_h1_next(struct dp_h1 *p)
{
	GW_CHECK(p, H1_MAGIC);
	assert(p->state == S_END);
	forget_head(p);
	use_limits(p);
	p->state = S_HEAD;
	p->interim = 0;
	p->body = 0;
	p->head_request = false;
}

static void free_head(struct dp_h1 *p)
{
	gw_buf_fini(&p->raw); /* its ceiling stays */
	free(p->pairs);
	p->pairs = NULL;
	p->n_pairs = p->cap_pairs = 0;
}

void dp_h1_idle(struct dp_h1 *p)
{
	GW_CHECK(p, H1_MAGIC);
	assert(p->state == S_HEAD && !p->raw.n);
	free_head(p);
}

void dp_h1_drop_fields(struct dp_h1 *p, const struct gw_pair *keep, size_t n)
{
	GW_CHECK(p, H1_MAGIC);
	assert(p->state > S_HEAD && p->state < S_BAD);
	free_head(p);
	p->head.target = p->head.host = p->head.reason = GW_STR_NONE;
	p->head.headers = keep;
	p->head.n_headers = n;
}

const struct dp_head *dp_h1_head(const struct dp_h1 *p)
{
	return p->state == S_HEAD || p->state == S_BAD ? NULL : &p->head;
}

const struct dp_refusal *dp_h1_refusal(const struct dp_h1 *p)
{
	assert(p->state == S_BAD);
	return p->why;
}

bool dp_h1_begun(const struct dp_h1 *p)
{
	return p->state != S_HEAD || p->raw.n || p->blank_lines || p->interim;
}

int64_t dp_h1_body_bytes(const struct dp_h1 *p)
{
	return p->body;
}

bool dp_h1_reusable(const struct dp_h1 *p)
{
	return p->state == S_END && p->head.keep_alive && !p->head.until_eof;
}

/*
 * Note why, and be of no more use.  What a provider did wrong is one code for the client, whatever it was, and its text
 * is part of a longer sentence there.
 */
static bool refuse(struct dp_h1 *p, enum dp_code code, const char *text)
{
	p->state = S_BAD;
	if (!p->why)
		p->why = gw_alloc(sizeof *p->why);
	if (p->side == DP_H1_REQUEST)
		return dp_refuse(p->why, code, "the request %s", text);
	p->why->code = DP_E_UPSTREAM_FAILED;
	snprintf(p->why->text, sizeof p->why->text, "the provider's answer %s", text);
	return false;
}

/* ---- admission: what llhttp leaves open ---- */

/* Count the fields that decide about framing, in the one pass over all names. */
static void note_field(struct parse *t, const struct gw_pair *h)
{
	static const struct { const char *name; size_t n; } known[N_SPECIAL] = {
		[F_HOST] = { "host", 4 }, [F_TE] = { "transfer-encoding", 17 }, [F_LENGTH] = { "content-length", 14 },
		[F_EXPECT] = { "expect", 6 }, [F_CONNECTION] = { "connection", 10 },
	};

	for (size_t i = 0; i < N_SPECIAL; i++)
		if (h->name.n == known[i].n && gw_str_ieq(h->name, (struct gw_str){ known[i].name, known[i].n })) {
			if (!t->special[i].n++)
				t->special[i].value = h->value;
			return;
		}
}

static bool admit_fields(struct parse *t)
{
	struct dp_h1 *p = t->p;

	if (t->broken_span)
		return refuse(p, DP_E_BAD_FRAMING, "has a header field in several pieces");
	for (size_t i = 0; i < p->n_pairs; i++) {
		note_field(t, &p->pairs[i]);
		if (!dp_token_ok(p->pairs[i].name))
			return refuse(p, DP_E_BAD_FRAMING, "has a header field whose name is not a token");
		if (!dp_value_ok(p->pairs[i].value))
			return refuse(p, DP_E_BAD_FRAMING, "has a control byte in a header field");
	}
	return true;
}

static bool host_ok(struct gw_str h)
{
	struct gw_str port = h, name = gw_str_cut(&port, ':');
	int64_t n;

	if (h.n && h.p[0] == '[') {
		size_t end = 1;

		while (end < h.n && (dp_is_host_byte((unsigned char)h.p[end]) || h.p[end] == ':'))
			end++;
		if (end < 3 || end >= h.n || h.p[end] != ']')
			return false;
		if (end + 1 == h.n)
			return true;
		return h.p[end + 1] == ':' && gw_str_int(gw_str_from(h, end + 2), 0, 65535, &n);
	}
	for (size_t i = 0; i < name.n; i++)
		if (!dp_is_host_byte((unsigned char)name.p[i]))
			return false;
	return name.n && (!port.p || gw_str_int(port, 0, 65535, &n));
}

static bool admit_host(struct parse *t)
{
	struct dp_h1 *p = t->p;
	size_t n = t->special[F_HOST].n;

	if (n > 1 || (!n && p->head.minor))
		return refuse(p, DP_E_BAD_FRAMING, n ? "has more than one Host field" : "has no Host field");
	p->head.host = n ? t->special[F_HOST].value : GW_STR_NONE;
	if (n && !host_ok(p->head.host))
		return refuse(p, DP_E_BAD_FRAMING, "has a Host field that is not a host name with an optional port");
	return true;
}

static bool admit_framing(struct parse *t)
{
	struct dp_h1 *p = t->p;
	size_t te = t->special[F_TE].n, cl = t->special[F_LENGTH].n;

	p->head.content_length = -1;
	if (te && cl)
		return refuse(p, DP_E_BAD_FRAMING, "has both Content-Length and Transfer-Encoding");
	if (te > 1 || cl > 1)
		return refuse(p, DP_E_BAD_FRAMING, te ? "has more than one Transfer-Encoding field"
		                                      : "has more than one Content-Length field");
	if (te) {
		if (!p->head.minor)
			return refuse(p, DP_E_BAD_FRAMING, "uses Transfer-Encoding in HTTP/1.0");
		if (!gw_str_ieq(t->special[F_TE].value, GW_STR("chunked")))
			return refuse(p, DP_E_BAD_FRAMING, "has a transfer coding other than one single 'chunked'");
		p->head.chunked = true;
	}
	if (cl && !gw_str_int(t->special[F_LENGTH].value, 0, (int64_t)1 << 53, &p->head.content_length))
		return refuse(p, DP_E_BAD_FRAMING, "has a Content-Length that is not a number");
	return true;
}

static void settle_connection(struct parse *t)
{
	struct dp_h1 *p = t->p;
	bool any = t->special[F_CONNECTION].n > 0;
	bool close = any && dp_header_has(p->pairs, p->n_pairs, "connection", "close");
	bool keep = any && dp_header_has(p->pairs, p->n_pairs, "connection", "keep-alive");

	p->head.keep_alive = !close && (p->head.minor || keep);
}

static bool admit_request(struct parse *t)
{
	struct dp_h1 *p = t->p;
	size_t expects = t->special[F_EXPECT].n;

	if (!admit_host(t))
		return false;
	if (expects && p->head.minor) {
		if (expects > 1 || !gw_str_ieq(t->special[F_EXPECT].value, GW_STR("100-continue")))
			return refuse(p, DP_E_EXPECT_FAILED, "expects something other than 100-continue");
		p->head.expect_continue = true;
	}
	p->head.has_body = p->head.chunked || p->head.content_length > 0;
	p->head.expect_continue = p->head.expect_continue && p->head.has_body;
	return true;
}

static bool admit_response(struct dp_h1 *p)
{
	unsigned s = p->head.status;

	if (s < 100 || s > 599)
		return refuse(p, DP_E_UPSTREAM_FAILED, "has a status outside 100 to 599");
	if (s == 101)
		return refuse(p, DP_E_UPSTREAM_FAILED, "switches protocols, which was not asked for");
	if (s < 200 || s == 204 || s == 304 || p->head_request)
		return true;
	p->head.until_eof = !p->head.chunked && p->head.content_length < 0;
	p->head.has_body = p->head.chunked || p->head.until_eof || p->head.content_length > 0;
	if (p->head.until_eof)
		p->head.keep_alive = false;
	return true;
}

/* The method as it stands at the start of the raw head: llhttp knows only a number. */
static bool split_method(struct dp_h1 *p)
{
	static const char *const known[] = { "GET", "POST", "HEAD", "PUT", "PATCH", "DELETE", "OPTIONS" };
	struct gw_str rest = { p->raw.p, p->first_line }, m = gw_str_cut(&rest, ' ');

	if (!dp_token_ok(m) || !rest.p)
		return refuse(p, DP_E_BAD_FRAMING, "does not begin with a request line");
	p->head.method = m;
	for (size_t i = 0; i < GW_COUNT(known); i++)
		if (gw_str_is(m, known[i])) {
			p->head.method.p = known[i]; /* outlives the text it was read from */
			return true;
		}
	return refuse(p, DP_E_NOT_IMPLEMENTED, "uses a method that is not served here");
}

static bool version_ok(struct parse *t, const llhttp_t *l)
{
	struct dp_h1 *p = t->p;
	struct gw_str line = { p->raw.p, p->first_line - 2 };
	bool request = p->side == DP_H1_REQUEST;
	/* llhttp also speaks ICE and RTSP, takes a request line without a version for HTTP/0.9, and skips blanks. */
	bool named = request ? gw_str_ends(line, l->http_minor ? GW_STR(" HTTP/1.1") : GW_STR(" HTTP/1.0"))
	                     : gw_str_starts(line, l->http_minor ? GW_STR("HTTP/1.1 ") : GW_STR("HTTP/1.0 "));

	if (l->http_major != 1 || l->http_minor > 1 || !named)
		return refuse(p, DP_E_BAD_FRAMING, "is neither HTTP/1.0 nor HTTP/1.1");
	if (request && line.n != p->head.method.n + t->url.n + strlen("  HTTP/1.1"))
		return refuse(p, DP_E_BAD_FRAMING, "has more than one blank between the parts of its first line");
	p->head.minor = l->http_minor;
	return true;
}

static bool parse_head(struct dp_h1 *p)
{
	struct parse t = { .p = p };
	llhttp_t l;
	enum llhttp_errno e;
	char text[160];

	if (p->side == DP_H1_REQUEST && !split_method(p))
		return false;
	llhttp_init(&l, p->side == DP_H1_REQUEST ? HTTP_REQUEST : HTTP_RESPONSE, &settings);
	l.data = &t;
	e = llhttp_execute(&l, p->raw.p, p->raw.n);
	if (e != HPE_PAUSED || !t.complete) {
		const char *reason = llhttp_get_error_reason(&l);

		snprintf(text, sizeof text, "is not well-formed HTTP/1.1 (%s)", reason && *reason ? reason : "head");
		return refuse(p, DP_E_BAD_FRAMING, text);
	}
	if (!version_ok(&t, &l) || !admit_fields(&t) || !admit_framing(&t))
		return false;
	p->head.target = t.url;
	p->head.reason = t.reason;
	p->head.status = l.status_code;
	p->head.headers = p->pairs;
	p->head.n_headers = p->n_pairs;
	p->head.bytes = p->raw.n;
	settle_connection(&t);
	return p->side == DP_H1_REQUEST ? admit_request(&t) : admit_response(p);
}

/* ---- collecting the head ---- */

/* The line from line_at to the LF at the end of raw.  *whole: it was the empty one. */
static bool take_line(struct dp_h1 *p, bool *whole)
{
	const char *line = p->raw.p + p->line_at;
	size_t n = p->raw.n - p->line_at;

	*whole = false;
	if (n < 2 || line[n - 2] != '\r')
		return refuse(p, DP_E_BAD_FRAMING, "has a header line that ends in a bare LF");
	n -= 2;
	if (memchr(line, '\r', n) || memchr(line, '\0', n))
		return refuse(p, DP_E_BAD_FRAMING, "has a bare CR or a NUL in its header");
	if (!p->first_line) {
		if (n) {
			p->first_line = n + 2;
		} else {
			if (p->side == DP_H1_RESPONSE || ++p->blank_lines > 2)
				return refuse(p, DP_E_BAD_FRAMING, "begins with too many empty lines");
			gw_buf_clear(&p->raw);
		}
	} else if (!n) {
		*whole = true;
	} else if (line[0] == ' ' || line[0] == '\t') {
		return refuse(p, DP_E_BAD_FRAMING, "has a folded header line");
	} else if (++p->fields > p->limits.max_headers) {
		return refuse(p, DP_E_HEADER_TOO_LARGE, "has too many header fields");
	}
	p->line_at = p->raw.n;
	return true;
}

/* Take bytes up to the next LF or the limit.  False: refused. */
static bool take_bytes(struct dp_h1 *p, struct gw_str in, size_t *n, bool *line)
{
	const char *lf = memchr(in.p, '\n', in.n);
	size_t have = p->first_line ? p->raw.n - p->first_line : p->raw.n;
	size_t max = p->first_line ? p->limits.max_head : p->limits.max_line + 2;

	*n = lf ? (size_t)(lf - in.p) + 1 : in.n;
	*line = lf != NULL;
	if (!p->raw.n && !dp_is_token_byte((unsigned char)in.p[0]) && in.p[0] != '\r' && in.p[0] != '\n')
		return refuse(p, DP_E_BAD_FRAMING, "does not look like HTTP");
	if (have + *n > max)
		return p->first_line ? refuse(p, DP_E_HEADER_TOO_LARGE, "has a header block that is too large")
		                     : refuse(p, DP_E_URI_TOO_LONG, "has a first line that is too long");
	return gw_buf_add(&p->raw, (struct gw_str){ in.p, *n }) ||
	       refuse(p, DP_E_HEADER_TOO_LARGE, "has a header block that is too large");
}

/*
 * The common case: a head that came in one piece and has nothing unusual is taken at once.  Whatever else, refusals
 * included, is for take_bytes() and take_line() to say.
 */
static bool take_whole(struct dp_h1 *p, struct gw_str in, size_t *used)
{
	const char *at = in.p, *end = in.p + in.n;
	size_t lines = 0, first = 0, n;

	if (p->raw.n || !dp_is_token_byte((unsigned char)in.p[0]))
		return false;
	for (;; lines++) {
		const char *lf = memchr(at, '\n', (size_t)(end - at));

		if (!lf || lf == at || memchr(at, '\r', (size_t)(lf - at)) != lf - 1)
			return false; /* not all of it is here, a bare LF, a bare CR */
		if (!lines)
			first = (size_t)(lf + 1 - at);
		else if (lf == at + 1)
			break;
		else if (*at == ' ' || *at == '\t')
			return false;
		at = lf + 1;
	}
	n = (size_t)(at + 2 - in.p);
	if (first > p->limits.max_line + 2 || n - first > p->limits.max_head || lines - 1 > p->limits.max_headers ||
	    memchr(in.p, '\0', n) || !gw_buf_add(&p->raw, (struct gw_str){ in.p, n }))
		return false;
	p->first_line = first;
	p->fields = lines - 1;
	p->line_at = n;
	*used = n;
	return true;
}

/* The head is collected.  NEED: it was an interim one, the next is awaited. */
static enum dp_h1_event head_done(struct dp_h1 *p)
{
	if (!parse_head(p))
		return DP_H1_ERROR;
	if (p->head.status == 0 || p->head.status >= 200) {
		p->state = S_GIVEN;
		return DP_H1_HEAD;
	}
	forget_head(p);
	if (++p->interim > DP_H1_MAX_INTERIM) {
		refuse(p, DP_E_UPSTREAM_FAILED, "begins with too many interim ones");
		return DP_H1_ERROR;
	}
	return DP_H1_NEED;
}

static enum dp_h1_event feed_head(struct dp_h1 *p, struct gw_str in, size_t *used)
{
	bool whole = false, line;
	enum dp_h1_event ev;
	size_t n;

	while (in.n && take_whole(p, in, &n)) {
		*used += n;
		in = gw_str_from(in, n);
		ev = head_done(p);
		if (ev != DP_H1_NEED)
			return ev;
	}
	while (in.n) {
		if (!take_bytes(p, in, &n, &line))
			return DP_H1_ERROR;
		*used += n;
		in = gw_str_from(in, n);
		if (!line)
			break;
		if (!take_line(p, &whole))
			return DP_H1_ERROR;
		if (!whole)
			continue;
		ev = head_done(p);
		if (ev != DP_H1_NEED)
			return ev;
	}
	return DP_H1_NEED;
}

/* ---- bodies ---- */

static enum dp_h1_event too_large(struct dp_h1 *p)
{
	refuse(p, DP_E_BODY_TOO_LARGE, "has a body that is larger than is taken here");
	return DP_H1_ERROR;
}

/* The head was given and its owner may have changed the limit: now choose how the body is cut. */
static enum dp_h1_event begin_body(struct dp_h1 *p)
{
	int64_t max = p->limits.max_body;

	if (!p->head.has_body) {
		p->state = S_END;
		return DP_H1_END;
	}
	if (p->head.chunked) {
		dp_chunked_init(&p->chunked, max);
		p->state = S_CHUNKED;
	} else if (p->head.until_eof) {
		p->state = S_EOF;
	} else {
		if (max >= 0 && p->head.content_length > max)
			return too_large(p);
		p->left = p->head.content_length;
		p->state = S_LENGTH;
	}
	return DP_H1_NEED;
}

static enum dp_h1_event feed_chunked(struct dp_h1 *p, struct gw_str in, size_t *used, struct gw_str *slice)
{
	switch (dp_chunked_feed(&p->chunked, in, used, slice)) {
	case DP_CHUNKED_DATA:
		p->body += (int64_t)slice->n;
		return DP_H1_BODY;
	case DP_CHUNKED_DONE:
		p->state = S_END;
		return DP_H1_END;
	case DP_CHUNKED_TOOBIG:
		return too_large(p);
	case DP_CHUNKED_BAD:
		refuse(p, DP_E_BAD_FRAMING, p->chunked.why);
		return DP_H1_ERROR;
	default:
		return DP_H1_NEED;
	}
}

static enum dp_h1_event feed_plain(struct dp_h1 *p, struct gw_str in, size_t *used, struct gw_str *slice)
{
	size_t n = in.n;

	if (p->state == S_LENGTH && (int64_t)n > p->left)
		n = (size_t)p->left;
	if (p->state == S_EOF && p->limits.max_body >= 0 && (int64_t)n > p->limits.max_body - p->body)
		n = (size_t)(p->limits.max_body - p->body);
	if (!n)
		return too_large(p);
	*slice = (struct gw_str){ in.p, n };
	*used = n;
	p->body += (int64_t)n;
	p->left -= (int64_t)n;
	return DP_H1_BODY;
}

enum dp_h1_event dp_h1_feed(struct dp_h1 *p, struct gw_str in, size_t *used, struct gw_str *slice)
{
	GW_CHECK(p, H1_MAGIC);
	*used = 0;
	*slice = GW_STR_NONE;
	if (p->state == S_HEAD)
		return feed_head(p, in, used);
	if (p->state == S_GIVEN) {
		enum dp_h1_event e = begin_body(p);

		if (e != DP_H1_NEED)
			return e;
	}
	if (p->state == S_BAD)
		return DP_H1_ERROR;
	if (p->state == S_LENGTH && !p->left)
		p->state = S_END;
	if (p->state == S_END)
		return DP_H1_END;
	if (!in.n)
		return DP_H1_NEED;
	return p->state == S_CHUNKED ? feed_chunked(p, in, used, slice) : feed_plain(p, in, used, slice);
}

enum dp_h1_event dp_h1_eof(struct dp_h1 *p)
{
	GW_CHECK(p, H1_MAGIC);
	if (p->state == S_GIVEN && begin_body(p) == DP_H1_ERROR)
		return DP_H1_ERROR;
	if (p->state == S_EOF || (p->state == S_LENGTH && !p->left))
		p->state = S_END;
	if (p->state == S_END)
		return DP_H1_END;
	if (p->state == S_HEAD && !p->raw.n && !p->interim)
		return DP_H1_NEED;
	if (p->state != S_BAD)
		refuse(p, DP_E_BAD_FRAMING, "was cut off in the middle");
	return DP_H1_ERROR;
}
