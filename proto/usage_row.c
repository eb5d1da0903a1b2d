/* usage_row.c - the ledger's row as bytes, and messages of such rows. */
#include "usage.h"

#include <stddef.h>
#include <stdlib.h>

#include "base/bytes.h"
#include "base/str.h"
#include "wire.h"

/*
 * Tags: texts count from 1 and numbers from 64 in the order of their tables, which therefore only grow at their ends.
 * A number is its value + 1 (no number is below -1); both kinds of length are base 128, low digits first.
 */
#define FORM_1    1
#define TAG_INTS  64
#define TAG_END   126
#define TAG_SOURCE 127
#define TAGS      128

enum {
#define X(name) TEXT_##name,
	GW_USAGE_TEXTS(X)
#undef X
	TEXTS
};
enum {
#define X(name) INT_##name,
	GW_USAGE_INTS(X)
#undef X
	INTS
};
static_assert(TEXTS < TAG_INTS && TAG_INTS + INTS <= TAG_END, "a tag is one byte of seven bits");
static_assert(TEXT_consumer_groups == 15 && INT_seq == 0 && INT_images == 22, "workers of other releases count like this");

static const uint16_t text_at[] = {
#define X(name) offsetof(struct gw_usage_record, name),
	GW_USAGE_TEXTS(X)
#undef X
};
static const uint16_t int_at[] = {
#define X(name) offsetof(struct gw_usage_record, name),
	GW_USAGE_INTS(X)
#undef X
};

static int64_t absent_int(size_t i)
{
	return i == INT_connect_ms ? -1 : 0;
}

/* ---- writing ---- */

static char *put(char *p, uint64_t v)
{
	for (; v >= 0x80; v >>= 7)
		*p++ = (char)(v | 0x80);
	*p++ = (char)v;
	return p;
}

size_t gw_usage_row_write(char out[GW_USAGE_ROW_MAX], const struct gw_usage_record *r)
{
	const int64_t most_int = 1LL << 53;
	char *p = out;
	*p++ = FORM_1;
	for (size_t i = 0; i < TEXTS; i++) {
		const struct gw_str *s = (const void *)((const char *)r + text_at[i]);
		size_t most = i == TEXT_attempt_log ? GW_USAGE_ATTEMPT_LOG_MAX : GW_USAGE_TEXT_MAX, n = s->n < most ? s->n : most;
		while (n > 0 && n < s->n && ((unsigned char)s->p[n] & 0xc0) == 0x80)
			n--; /* not within a character, or nobody would read the row */
		if (n == 0)
			continue;
		*p++ = (char)(1 + i);
		p = put(p, n);
		memcpy(p, s->p, n);
		p += n;
	}
	for (size_t i = 0; i < INTS; i++) {
		int64_t v = *(const int64_t *)(const void *)((const char *)r + int_at[i]);
		if (i == INT_seq || v == absent_int(i))
			continue;
		*p++ = (char)(TAG_INTS + i);
		p = put(p, (uint64_t)(v < -1 ? -1 : v > most_int ? most_int : v) + 1);
	}
	*p++ = TAG_END;
	p = put(p, (uint64_t)r->end_reason + 1);
	*p++ = TAG_SOURCE;
	p = put(p, (uint64_t)r->usage_source + 1);
	return (size_t)(p - out);
}

/* ---- reading ---- */

static bool get(struct gw_str *s, uint64_t *out)
{
	uint64_t v = 0;
	for (size_t i = 0; i < s->n && i < 8; i++) {
		v |= (uint64_t)(s->p[i] & 0x7f) << 7 * i;
		if (!(s->p[i] & 0x80)) {
			*s = gw_str_from(*s, i + 1);
			*out = v;
			return true;
		}
	}
	return false;
}

/* A word that a newer worker made up is read as the nearest known one. */
static void finish(struct gw_usage_record *r, uint64_t end, uint64_t source)
{
	bool used = r->prompt_tokens > 0 || r->completion_tokens > 0;
	r->end_reason = end >= 1 && end <= GW_END_COUNT ? (enum gw_end_reason)(end - 1) :
		r->status >= 200 && r->status < 300 ? GW_END_COMPLETE : GW_END_UPSTREAM_ERROR;
	r->usage_source = source >= 1 && source <= GW_USAGE_ESTIMATED + 1 ? (enum gw_usage_source)(source - 1) :
		used ? GW_USAGE_ESTIMATED : GW_USAGE_NONE;
}

static enum gw_rc broken(struct gw_error *err, const char *why)
{
	return gw_fail(err, GW_INVALID, NULL, "a usage record %s", why);
}

enum gw_rc gw_usage_row_read(struct gw_usage_record *out, struct gw_str row, struct gw_error *err)
{
	struct gw_usage_record r = {
#define X(name) .name = { "", 0 },
		GW_USAGE_TEXTS(X)
#undef X
		.connect_ms = -1,
	};
	uint64_t v, end = 0, source = 0;
	if (row.n == 0 || row.p[0] != FORM_1)
		return broken(err, "has a form that is not known here");
	row = gw_str_from(row, 1);
	while (row.n > 0) {
		unsigned tag = (unsigned char)row.p[0];
		row = gw_str_from(row, 1);
		if (tag == 0 || tag >= TAGS || !get(&row, &v) || (tag < TAG_INTS && v > row.n))
			return broken(err, "is cut or damaged");
		if (tag < TAG_INTS) {
			struct gw_str text = { row.p, (size_t)v };
			row = gw_str_from(row, (size_t)v);
			if (!gw_utf8_valid(text) || memchr(text.p, '\0', text.n) != NULL)
				return broken(err, "has a text that is not UTF-8");
			if (tag <= TEXTS)
				*(struct gw_str *)(void *)((char *)&r + text_at[tag - 1]) = text;
		} else if (tag < TAG_INTS + INTS) {
			*(int64_t *)(void *)((char *)&r + int_at[tag - TAG_INTS]) = v > (1ULL << 53) ? 1LL << 53 : (int64_t)v - 1;
		} else if (tag == TAG_END) {
			end = v;
		} else if (tag == TAG_SOURCE) {
			source = v;
		} /* others: a newer worker knows more */
	}
	if (r.request_id.n == 0)
		return broken(err, "has no request_id");
	finish(&r, end, source);
	*out = r;
	return GW_OK;
}

/* ---- messages ---- */

bool gw_usage_peel(struct gw_str *rest, int64_t *seq, struct gw_str *row)
{
	if (rest->n < GW_USAGE_HEAD)
		return false;
	size_t n = (size_t)gw_le_get(rest->p, 4);
	if (n > rest->n - GW_USAGE_HEAD)
		return false;
	*seq = (int64_t)gw_le_get(rest->p + 8, 8);
	*row = (struct gw_str){ rest->p + GW_USAGE_HEAD, n };
	*rest = gw_str_from(*rest, GW_USAGE_HEAD + n);
	return true;
}

/* Rows of the first release's spool are JSON. */
static enum gw_rc read_any(struct gw_usage_rows *rows, struct gw_usage_record *out, struct gw_str row, struct gw_error *err)
{
	json_t *v = NULL;
	if (row.n == 0 || row.p[0] != '{')
		return gw_usage_row_read(out, row, err);
	enum gw_rc rc = gw_json_parse(&v, row, GW_WIRE_MAX_TEXT, err);
	if (rc != GW_OK)
		return rc;
	json_array_append_new(rows->docs, v);
	return gw_usage_parse(out, v, err);
}

struct gw_usage_rows *gw_usage_rows_read(struct gw_str boot_id, struct gw_str payload, struct gw_error *err)
{
	struct gw_usage_rows *rows = gw_alloc(sizeof *rows);
	size_t room = 0;
	rows->text = gw_alloc(boot_id.n + payload.n + 1);
	memcpy(rows->text, boot_id.p, boot_id.n);
	memcpy(rows->text + boot_id.n, payload.p, payload.n);
	rows->boot_id = (struct gw_str){ rows->text, boot_id.n };
	rows->docs = json_array();
	rows->last_seq = -1;
	struct gw_str rest = { rows->text + boot_id.n, payload.n };
	while (rest.n > 0) {
		struct gw_str row;
		int64_t seq;
		if (!gw_usage_peel(&rest, &seq, &row) || seq <= 0) {
			gw_usage_rows_free(&rows);
			gw_fail(err, GW_INVALID, NULL, "the records of the message `usage` are cut or damaged");
			return NULL;
		}
		if (rows->n == room) {
			room = room ? 2 * room : 128;
			rows->v = gw_realloc(rows->v, room * sizeof *rows->v);
		}
		if (read_any(rows, &rows->v[rows->n], row, rows->unread == 0 ? err : NULL) == GW_OK)
			rows->v[rows->n++].seq = seq;
		else
			rows->unread++;
		rows->last_seq = seq > rows->last_seq ? seq : rows->last_seq;
	}
	return rows;
}

void gw_usage_rows_free(struct gw_usage_rows **rows)
{
	if (*rows == NULL)
		return;
	json_decref((*rows)->docs);
	free((*rows)->v);
	free((*rows)->text);
	free(*rows);
	*rows = NULL;
}
