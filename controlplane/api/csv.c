/* csv.c - cells, rows and exact decimals. */
#include "api/csv.h"

#include "base/str.h"

static const char formula[] = "=+-@\t\r";

void cp_csv_text(struct gw_buf *b, struct gw_str s)
{
	gw_buf_add_byte(b, '"');
	if (s.n > 0 && strchr(formula, s.p[0]) != NULL)
		gw_buf_add_byte(b, '\'');
	for (size_t i = 0; i < s.n; i++) {
		if (s.p[i] == '"')
			gw_buf_add_byte(b, '"');
		gw_buf_add_byte(b, s.p[i]);
	}
	gw_buf_add_byte(b, '"');
}

void cp_csv_cell(struct gw_buf *b, const json_t *v)
{
	if (json_is_integer(v))
		gw_buf_printf(b, "%lld", (long long)json_integer_value(v));
	else if (json_is_boolean(v))
		gw_buf_add_c(b, json_is_true(v) ? "true" : "false");
	else if (json_is_string(v))
		cp_csv_text(b, gw_json_str(v));
}

void cp_csv_micro(struct gw_buf *b, int64_t micro)
{
	char digits[8];
	size_t n = 6;
	if (micro < 0)
		gw_buf_add_byte(b, '-');
	uint64_t u = micro < 0 ? (uint64_t)-micro : (uint64_t)micro;
	gw_buf_printf(b, "%llu", (unsigned long long)(u / 1000000));
	snprintf(digits, sizeof digits, "%06u", (unsigned)(u % 1000000));
	while (n > 0 && digits[n - 1] == '0')
		n--;
	if (n > 0)
		gw_buf_printf(b, ".%.*s", (int)n, digits);
}

bool cp_csv_micro_parse(struct gw_str text, int64_t *micro)
{
	struct gw_str whole = text = gw_str_trim(text), part = GW_STR("");
	int64_t units = 0, fraction = 0, scale = 1000000;
	size_t at;
	if (gw_str_find(text, GW_STR("."), &at)) {
		whole.n = at;
		part = gw_str_from(text, at + 1);
		if (part.n == 0 || part.n > 6)
			return false;
	}
	if (!gw_str_int(whole, 0, 1000000000, &units))
		return false;
	for (size_t i = 0; i < part.n; i++) {
		if (part.p[i] < '0' || part.p[i] > '9')
			return false;
		scale /= 10;
		fraction += (part.p[i] - '0') * scale;
	}
	*micro = units * 1000000 + fraction;
	return true;
}

/* ---- reading ---- */

struct reader { struct gw_str in; size_t at, line; struct gw_buf cell; };

/* One cell; *last says that its row ends behind it. */
static bool read_cell(struct reader *r, bool *last, struct gw_error *err)
{
	bool quoted = r->at < r->in.n && r->in.p[r->at] == '"';
	size_t from = r->line;
	gw_buf_clear(&r->cell);
	r->at += quoted;
	for (;; r->at++) {
		if (r->at >= r->in.n) {
			if (quoted)
				gw_fail(err, GW_INVALID, "/csv", "line %zu: a quote is opened and never closed", from);
			*last = true;
			return !quoted;
		}
		char c = r->in.p[r->at];
		r->line += c == '\n';
		if (quoted && c == '"') {
			if (r->at + 1 < r->in.n && r->in.p[r->at + 1] == '"') {
				r->at++;
			} else {
				quoted = false;
				continue;
			}
		} else if (!quoted && (c == ',' || c == '\n')) {
			r->at++;
			*last = c == '\n';
			return true;
		} else if (!quoted && c == '\r') {
			continue;
		}
		gw_buf_add_byte(&r->cell, c);
	}
}

static json_t *cell_json(struct gw_str s)
{
	if (s.n > 1 && s.p[0] == '\'' && strchr(formula, s.p[1]) != NULL)
		s = gw_str_from(s, 1);
	return json_stringn(s.p ? s.p : "", s.n);
}

json_t *cp_csv_parse(struct gw_str text, size_t max_rows, struct gw_error *err)
{
	struct reader r = { .in = text, .line = 1 };
	json_t *rows = json_array();
	bool good = true, last;
	size_t width = 0;
	gw_buf_init(&r.cell, 1 << 20);
	if (gw_str_starts(text, GW_STR("\xef\xbb\xbf")))
		r.at = 3;
	while (good && r.at < r.in.n) {
		json_t *row = json_array();
		size_t line = r.line;
		do {
			good = read_cell(&r, &last, err);
			json_array_append_new(row, cell_json(gw_buf_str(&r.cell)));
		} while (good && !last);
		bool empty = json_array_size(row) == 1 && json_string_length(json_array_get(row, 0)) == 0;
		if (good && !empty && width != 0 && json_array_size(row) != width) {
			gw_fail(err, GW_INVALID, "/csv", "line %zu has %zu cells and the first row %zu", line, json_array_size(row), width);
			good = false;
		}
		if (good && json_array_size(rows) > max_rows) {
			gw_fail(err, GW_INVALID, "/csv", "the table has more than %zu rows", max_rows);
			good = false;
		}
		if (width == 0 && !empty)
			width = json_array_size(row);
		if (empty)
			json_decref(row);
		else
			json_array_append_new(rows, row);
	}
	gw_buf_fini(&r.cell);
	if (good)
		return rows;
	json_decref(rows);
	return NULL;
}
