/* multipart.c - watch a form go by, keep one small field. */
#include "http/multipart.h"

#include "base/buf.h"
#include "base/str.h"
#include "http/ctype.h"
#include "http/headers.h"

enum { M_PREAMBLE, M_AFTER, M_AFTER_PAD, M_AFTER_LF, M_AFTER_DASH, M_HEAD, M_BODY, M_CLOSE, M_CLOSE_LF, M_EPILOGUE, M_BAD };
#define LONE 2 /* where "--boundary" begins in "\r\n--boundary" */

bool dp_multipart_init(struct dp_multipart *m, struct gw_str content_type, const char *wanted)
{
	char buf[DP_MP_BOUNDARY_MAX + 1];
	struct gw_str b = dp_media_param(content_type, "boundary", buf, sizeof buf);

	*m = (struct dp_multipart){ .wanted = wanted, .state = M_PREAMBLE };
	if (!b.n || b.n > DP_MP_BOUNDARY_MAX)
		return false;
	for (size_t i = 0; i < b.n; i++)
		if (b.p[i] < 0x20 || b.p[i] > 0x7e)
			return false;
	memcpy(m->boundary, "\r\n--", 4);
	memcpy(m->boundary + 4, b.p, b.n);
	m->boundary_n = b.n + 4;
	m->match = 2; /* the first boundary may stand at the very start, without a CRLF before it */
	return true;
}

static bool bad(struct dp_multipart *m, const char *why)
{
	m->state = M_BAD;
	m->fault_text = why;
	return false;
}

static bool ambiguous(struct dp_multipart *m, const char *why)
{
	m->duplicate = true;
	return bad(m, why);
}

/* A byte of a part's content that is no boundary. */
static bool content(struct dp_multipart *m, const char *p, size_t n)
{
	if (m->state != M_BODY)
		return true;
	if (!m->file)
		m->text_bytes += (int64_t)n;
	if (!m->take)
		return true;
	if (m->value_fill + n > DP_MP_VALUE_MAX)
		return bad(m, "has a `model` field that is longer than 256 bytes");
	memcpy(m->value_buf + m->value_fill, p, n);
	m->value_fill += n;
	return true;
}

static void part_over(struct dp_multipart *m)
{
	if (m->state == M_BODY && m->take) {
		m->found = true;
		m->value = (struct gw_str){ m->value_buf, m->value_fill };
		m->value_n = m->value_fill;
	}
	m->take = m->file = false;
	m->match = 0;
	m->lone = false;
	m->state = M_AFTER;
}

/*
 * Look for the boundary in preamble and bodies.  The boundary holds CR only at its first place, so after a mismatch the
 * bytes that had matched are content, and only the present byte can begin a new match.
 *
 * Behind a bare LF or CR its text is no boundary (RFC 2046 5.1.1), but Go, and readers of mail, take it for one: a form
 * in which it stands there has two readings.  `lone` is such a match, from the third byte of "\r\n--" on.
 */
static bool scan_byte(struct dp_multipart *m, char c)
{
	size_t had = m->match, from = m->lone ? LONE : 0;
	bool behind_cr = !m->lone && had == 1;

	if (c == m->boundary[m->match]) {
		if (++m->match < m->boundary_n)
			return true;
		if (m->lone)
			return ambiguous(m, "has a line inside a part that begins like its boundary");
		part_over(m);
		return true;
	}
	m->match = 0;
	m->lone = false;
	if (had > from && !content(m, m->boundary + from, had - from))
		return false;
	if (c == '\r') {
		m->match = 1;
		return true;
	}
	if (c == '\n' || (behind_cr && c == '-')) {
		m->lone = true;
		m->match = c == '-' ? LONE + 1 : LONE;
		return c == '-' || content(m, &c, 1);
	}
	return content(m, &c, 1);
}

/*
 * How often does a disposition name its field?  Also behind a parameter that dp_media_param() does not understand, since
 * the provider may.  *extended: as name*=utf-8''... or in pieces (RFC 2231), which some read and some do not.
 */
static size_t names_in(struct gw_str disposition, bool *extended)
{
	struct gw_str rest = disposition;
	size_t names = 0;

	gw_str_cut(&rest, ';');
	while (rest.n) {
		struct gw_str key;
		size_t at = 0;

		while (at < rest.n && rest.p[at] != '=' && rest.p[at] != ';')
			at++;
		key = gw_str_trim((struct gw_str){ rest.p, at });
		names += gw_str_ieq(key, GW_STR("name"));
		*extended |= key.n > 4 && key.p[4] == '*' && gw_str_ieq((struct gw_str){ key.p, 4 }, GW_STR("name"));
		rest = gw_str_from(rest, at);
		if (rest.n > 1 && rest.p[0] == '=' && rest.p[1] == '"') {
			for (at = 2; at < rest.n && rest.p[at] != '"'; at++)
				at += rest.p[at] == '\\';
			rest = gw_str_from(rest, at);
		}
		gw_str_cut(&rest, ';');
	}
	return names;
}

static bool is_wanted(struct gw_str disposition, const char *wanted, bool *file)
{
	char buf[128], other[8];
	struct gw_str name = dp_media_param(disposition, "name", buf, sizeof buf);

	*file = dp_media_param(disposition, "filename", other, sizeof other).p != NULL ||
	        gw_str_find(disposition, GW_STR("filename"), &(size_t){ 0 });
	return gw_str_ieq(dp_media_type(disposition), GW_STR("form-data")) && gw_str_is(name, wanted);
}

/* Not the wanted name, but to a reader that minds neither case nor blanks, or that takes it from another disposition. */
static bool names_alike(struct gw_str disposition, const char *wanted)
{
	char buf[128];
	struct gw_str name = dp_media_param(disposition, "name", buf, sizeof buf);

	return gw_str_ieq(gw_str_trim(name), gw_str_c(wanted));
}

/* A Content-Disposition line, the nth of its part.  Doubt is refused: the provider might see another field. */
static bool take_disposition(struct dp_multipart *m, struct gw_str value, size_t nth, bool *wanted)
{
	bool extended = false;
	size_t names = names_in(value, &extended);

	if (nth > 1)
		return ambiguous(m, "has a part with two Content-Disposition lines; say it once");
	if (extended)
		return ambiguous(m, "has a part with a parameter `name*`; say `name`, once");
	if (names > 1)
		return ambiguous(m, "has a part with more than one `name`; say it once");
	*wanted = is_wanted(value, m->wanted, &m->file);
	if (!*wanted && names_alike(value, m->wanted))
		return ambiguous(m, "has a field that differs from `model` only in its spelling; write `model`");
	return true;
}

/*
 * A line of a part's header must be one to every reader: no fold, no bare CR or LF, a token for its name, and nothing
 * that somebody who looks for boundaries first would take for one.
 */
static bool head_line_ok(struct dp_multipart *m, struct gw_str line, struct gw_str name, bool whole)
{
	struct gw_str boundary = { m->boundary + LONE, m->boundary_n - LONE };

	if (gw_str_starts(line, boundary))
		return ambiguous(m, "has a boundary inside the header of a part");
	if (!whole || name.n == line.n || !dp_token_ok(name))
		return bad(m, "has a part with a malformed header line");
	for (size_t i = name.n; i < line.n; i++)
		if (!dp_is_value_byte((unsigned char)line.p[i]))
			return bad(m, "has a part with a malformed header line");
	return true;
}

/* The header of a part is whole, without its final blank line. */
static bool part_begins(struct dp_multipart *m, size_t body_at)
{
	struct gw_str rest = { m->head, m->head_n };
	size_t dispositions = 0;
	bool wanted = false;

	m->state = M_BODY;
	m->lone = true; /* the blank line that ends the header has had its CRLF; some let it begin the boundary too */
	m->match = LONE;
	if (++m->parts > DP_MP_PARTS_MAX)
		return bad(m, "has more than 256 parts");
	while (rest.n) {
		struct gw_str line = gw_str_cut(&rest, '\n'), value, name;
		bool whole = !rest.p || (line.n && line.p[line.n - 1] == '\r'); /* the last one has lost its CRLF already */

		line.n -= whole && rest.p;
		value = line;
		name = gw_str_cut(&value, ':');
		if (!head_line_ok(m, line, name, whole))
			return false;
		if (gw_str_ieq(name, GW_STR("content-disposition")) &&
		    !take_disposition(m, gw_str_trim(value), ++dispositions, &wanted))
			return false;
	}
	if (!wanted)
		return true;
	if (m->found)
		return ambiguous(m, "has the field `model` twice; say it once");
	m->take = true;
	m->value_at = body_at;
	return true;
}

static bool head_byte(struct dp_multipart *m, char c)
{
	if (m->head_n == DP_MP_HEAD_MAX)
		return bad(m, "has a part with a header larger than 4 KiB");
	m->head[m->head_n++] = c;
	if (m->head_n == 2 && memcmp(m->head, "\r\n", 2) == 0) {
		m->head_n = 0;
		return part_begins(m, m->at + 1);
	}
	if (m->head_n >= 4 && memcmp(m->head + m->head_n - 4, "\r\n\r\n", 4) == 0) {
		m->head_n -= 4;
		return part_begins(m, m->at + 1);
	}
	return true;
}

static bool one_byte(struct dp_multipart *m, char c)
{
	switch (m->state) {
	case M_PREAMBLE:
	case M_BODY:
		return scan_byte(m, c);
	case M_AFTER:
	case M_AFTER_PAD:
		if (c == '-' && m->state == M_AFTER)
			m->state = M_AFTER_DASH;
		else if (c == '\r')
			m->state = M_AFTER_LF;
		else if (c == ' ' || c == '\t')
			m->state = M_AFTER_PAD;
		else
			return bad(m, "has a boundary that runs on");
		return true;
	case M_AFTER_LF:
		m->head_n = 0;
		m->state = M_HEAD;
		return c == '\n' || bad(m, "has a boundary line that does not end in CRLF");
	case M_AFTER_DASH:
		m->state = M_CLOSE;
		return c == '-' || bad(m, "has a boundary that runs on");
	case M_CLOSE:
		m->state = c == '\r' ? M_CLOSE_LF : M_CLOSE;
		return c == '\r' || c == ' ' || c == '\t' || bad(m, "has a last boundary that runs on");
	case M_CLOSE_LF:
		m->state = M_EPILOGUE;
		return c == '\n' || bad(m, "has a boundary line that does not end in CRLF");
	case M_HEAD:
		return head_byte(m, c);
	default:
		return true; /* epilogue */
	}
}

static bool closed(const struct dp_multipart *m)
{
	return m->state == M_CLOSE || m->state == M_EPILOGUE;
}

static size_t line_end(struct gw_str s)
{
	size_t i = 0;

	while (i < s.n && s.p[i] != '\r' && s.p[i] != '\n')
		i++;
	return i;
}

enum dp_mp_state dp_multipart_feed(struct dp_multipart *m, struct gw_str piece)
{
	while (piece.n && m->state != M_BAD) {
		size_t n = 1;

		/* Inside a part only the end of a line can begin a boundary: jump from one to the next. */
		if ((m->state == M_BODY || m->state == M_PREAMBLE) && m->match == 0) {
			n = line_end(piece);
			if (!n)
				n = 1, one_byte(m, *piece.p);
			else
				content(m, piece.p, n);
		} else {
			one_byte(m, *piece.p);
		}
		m->at += n;
		piece.p += n;
		piece.n -= n;
	}
	return m->state == M_BAD ? DP_MP_BAD : closed(m) ? DP_MP_DONE : DP_MP_MORE;
}

enum dp_mp_state dp_multipart_end(struct dp_multipart *m)
{
	if (closed(m))
		return DP_MP_DONE;
	if (m->state != M_BAD)
		bad(m, "ends before its last boundary");
	return DP_MP_BAD;
}
