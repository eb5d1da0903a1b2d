/* spool_record.c - one record of a segment: its head, and whether it is whole. */
#include "observe/spool.h"

#include <zlib.h>

static void put_le(char *p, uint64_t v, size_t n)
{
	for (size_t i = 0; i < n; i++)
		p[i] = (char)(v >> 8 * i);
}

static uint64_t get_le(const char *p, size_t n)
{
	uint64_t v = 0;

	for (size_t i = 0; i < n; i++)
		v |= (uint64_t)(unsigned char)p[i] << 8 * i;
	return v;
}

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

	put_le(head, n, 4);
	put_le(head + 8, (uint64_t)seq, 8);
	put_le(head + 4, sum_of(head, n), 4);
}

bool dp_spool_peel(struct gw_str *rest, int64_t *seq, struct gw_str *row)
{
	size_t n;

	if (rest->n < DP_SPOOL_HEAD)
		return false;
	n = (size_t)get_le(rest->p, 4);
	assert(n <= rest->n - DP_SPOOL_HEAD);
	*seq = (int64_t)get_le(rest->p + 8, 8);
	*row = (struct gw_str){ rest->p + DP_SPOOL_HEAD, n };
	*rest = (struct gw_str){ rest->p + DP_SPOOL_HEAD + n, rest->n - DP_SPOOL_HEAD - n };
	return true;
}

bool dp_spool_next(struct gw_str *rest, int64_t *seq, struct gw_str *row)
{
	size_t n;

	if (rest->n < DP_SPOOL_HEAD)
		return false;
	n = (size_t)get_le(rest->p, 4);
	if (n == 0 || n > DP_SPOOL_RECORD_MAX || n > rest->n - DP_SPOOL_HEAD || get_le(rest->p + 4, 4) != sum_of(rest->p, n))
		return false;
	*seq = (int64_t)get_le(rest->p + 8, 8);
	*row = (struct gw_str){ rest->p + DP_SPOOL_HEAD, n };
	*rest = (struct gw_str){ rest->p + DP_SPOOL_HEAD + n, rest->n - DP_SPOOL_HEAD - n };
	return *seq > 0;
}
