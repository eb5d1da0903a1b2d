/*
 * csv.h - tables for spreadsheets (RFC 4180), and back.
 *
 * What is written can be opened without harm: a text that a spreadsheet would take for a formula gets a quote before it.
 */
#ifndef CP_API_CSV_H
#define CP_API_CSV_H

#include "base/buf.h"
#include "json.h"

void cp_csv_text(struct gw_buf *b, struct gw_str s);            /* one cell */
void cp_csv_cell(struct gw_buf *b, const json_t *v);            /* a text, a whole number, true or false; else empty */
/* 1500000 micro-units as 1.5, without trailing zeros: exact. */
void cp_csv_micro(struct gw_buf *b, int64_t micro);

/*
 * Rows as arrays of texts; owned.  NULL and *err with the line's number when it is no table: an open quote, a row of
 * another width than the first, more than `max_rows`.  A leading mark of byte order and empty lines are skipped; the
 * quote that cp_csv_text() puts before formulas is taken away.
 */
json_t *cp_csv_parse(struct gw_str text, size_t max_rows, struct gw_error *err);
/* "1.5" as 1500000; false: no decimal number of at most six digits behind its point, or below 0. */
bool cp_csv_micro_parse(struct gw_str text, int64_t *micro);

#endif
