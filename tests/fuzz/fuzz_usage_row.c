/*
 * fuzz_usage_row.c - rows of the ledger and messages of them, as a disk or another worker may give them: what is read
 * stays inside, is UTF-8, and written again it reads the same.
 */
#include <stdlib.h>
#include <string.h>

#include "base/str.h"
#include "usage.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void again(const struct gw_usage_record *r)
{
	static char row[GW_USAGE_ROW_MAX];
	struct gw_usage_record back;
	size_t n = gw_usage_row_write(row, r);

	if (n > sizeof row || gw_usage_row_read(&back, (struct gw_str){ row, n }, NULL) != GW_OK)
		abort();
#define X(name) if (!gw_utf8_valid(r->name) || (r->name.n <= GW_USAGE_TEXT_MAX && !gw_str_eq(r->name, back.name))) abort();
	GW_USAGE_TEXTS(X)
#undef X
	back.seq = r->seq;
#define X(name) if (r->name != back.name) abort();
	GW_USAGE_INTS(X)
#undef X
	if (r->end_reason != back.end_reason || r->usage_source != back.usage_source)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct gw_str all = { (const char *)data, size };
	struct gw_usage_record r;
	struct gw_usage_rows *rows;

	if (gw_usage_row_read(&r, all, NULL) == GW_OK)
		again(&r);
	rows = gw_usage_rows_read(GW_STR("boot"), all, NULL);
	for (size_t i = 0; rows && i < rows->n; i++)
		if (rows->v[i].request_id.n <= GW_USAGE_TEXT_MAX && rows->v[i].request_id.n > 0 && rows->v[i].seq > 0)
			again(&rows->v[i]);
	gw_usage_rows_free(&rows);
	return 0;
}
