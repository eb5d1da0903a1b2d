/* fuzz_inflate.c - whatever is sent as compressed: bounded output, no byte twice, the same at every slicing. */
#include <stdlib.h>

#include "base/buf.h"
#include "base/str.h"
#include "codec/inflate.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static enum dp_inflated run(enum dp_coding coding, struct gw_str in, size_t piece, struct gw_buf *log, bool *whole)
{
	struct dp_inflate *z = dp_inflate_open(coding);
	enum dp_inflated got = DP_INFLATE_NEED;

	gw_buf_clear(log);
	for (size_t at = 0; at < in.n && got != DP_INFLATE_BROKEN && got != DP_INFLATE_BOMB; at += piece) {
		struct gw_str now = { in.p + at, in.n - at < piece ? in.n - at : piece }, out;

		while ((got = dp_inflate_next(z, &now, &out)) == DP_INFLATE_OUT)
			gw_buf_add(log, out);
		if (got == DP_INFLATE_NEED && now.n)
			abort(); /* it says it took everything */
	}
	*whole = dp_inflate_whole(z);
	dp_inflate_close(&z);
	return got;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const size_t pieces[] = { 1, 2, 13 };
	struct gw_str in = { size > 1 ? (const char *)data + 1 : "", size > 1 ? size - 1 : 0 };
	enum dp_coding coding;
	struct gw_buf once, again;
	bool whole, whole2;
	enum dp_inflated got;

	if (size == 0)
		return 0;
	coding = DP_CODING_GZIP + data[0] % 3;
	gw_buf_init(&once, 600u << 20);
	gw_buf_init(&again, 600u << 20);
	got = run(coding, in, in.n + 1, &once, &whole);
	if (once.n > DP_INFLATE_FREE_BYTES && once.n / DP_INFLATE_MAX_RATIO > in.n)
		abort();
	for (size_t i = 0; i < GW_COUNT(pieces) && got != DP_INFLATE_BOMB; i++) {
		enum dp_inflated got2 = run(coding, in, pieces[i], &again, &whole2);

		/* Broken input may have given a byte more or less by then; good input never. */
		if (got2 != DP_INFLATE_BOMB && got != DP_INFLATE_BROKEN &&
		    (got2 == DP_INFLATE_BROKEN || whole != whole2 || !gw_str_eq(gw_buf_str(&once), gw_buf_str(&again))))
			abort();
	}
	gw_buf_fini(&once);
	gw_buf_fini(&again);
	return 0;
}
