/*
 * fuzz_spool.c - segments of usage records as a disk may give them back: the walk ends, stays inside, and what it takes
 * for records can be written again to the same bytes.
 */
#include <stdlib.h>
#include <string.h>

#include "base/str.h"
#include "observe/spool.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct gw_str all = { (const char *)data, size }, rest = all, json;
	struct gw_buf again;
	int64_t seq;

	gw_buf_init(&again, size + DP_SPOOL_HEAD);
	while (dp_spool_next(&rest, &seq, &json)) {
		size_t at = dp_spool_begin(&again);

		gw_buf_add(&again, json);
		dp_spool_end(&again, at, seq);
		if (again.n != size - rest.n || memcmp(again.p, data, again.n) != 0)
			abort();
	}
	/* Anything is a record's text: framed it comes out as it went in, and not when a bit of it is lost. */
	gw_buf_fini(&again);
	gw_buf_init(&again, size + DP_SPOOL_HEAD);
	(void)dp_spool_begin(&again);
	gw_buf_add(&again, all);
	dp_spool_end(&again, 0, 7);
	rest = gw_buf_str(&again);
	if (dp_spool_next(&rest, &seq, &json) != (size > 0 && size <= DP_SPOOL_RECORD_MAX))
		abort();
	if (size > 0 && size <= DP_SPOOL_RECORD_MAX) {
		if (seq != 7 || rest.n != 0 || !gw_str_eq(json, all))
			abort();
		again.p[data[0] % again.n] ^= (char)(1 << data[0] % 8);
		rest = gw_buf_str(&again);
		if (dp_spool_next(&rest, &seq, &json))
			abort();
	}
	gw_buf_fini(&again);
	return 0;
}
