/* spool_record.c - one record of a segment: its head, and whether it is whole. */
#include "observe/spool.h"

#include <zlib.h>

#include "base/bytes.h"

/* Over the length, the number and the text: a run of zeros is no record. */
static uint32_t sum_of(const char *head, size_t n)
{
	uLong sum = crc32(0, (const Bytef *)head, 4);

	return (uint32_t)crc32(sum, (const Bytef *)head + 8, (uInt)(n + 8));
}

size_t dp_spool_begin(struct gw_buf *out)
{
	static const char head[DP_SPOOL_HEAD] = { 0 };
	size_t at = out->n;

	gw_buf_add(out, (struct gw_str){ head, sizeof head });
	return at;
}

void dp_spool_end(struct gw_buf *out, size_t at, int64_t seq)
{
	size_t n = out->n - at - DP_SPOOL_HEAD;
	char *head = out->p + at;

	gw_le_put(head, 4, n);
	gw_le_put(head + 8, 8, (uint64_t)seq);
	gw_le_put(head + 4, 4, sum_of(head, n));
}

bool dp_spool_next(struct gw_str *rest, int64_t *seq, struct gw_str *row)
{
	size_t n;

	if (rest->n < DP_SPOOL_HEAD)
		return false;
	n = (size_t)gw_le_get(rest->p, 4);
	if (n == 0 || n > DP_SPOOL_RECORD_MAX || n > rest->n - DP_SPOOL_HEAD || gw_le_get(rest->p + 4, 4) != sum_of(rest->p, n))
		return false;
	return gw_usage_peel(rest, seq, row) && *seq > 0;
}
