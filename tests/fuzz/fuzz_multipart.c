/*
 * fuzz_multipart.c - a form at every slicing: the same verdict and the same field, which stands where it is said to stand;
 * and whatever is accepted holds no line that another reader could take for a boundary.
 */
#include <stdlib.h>

#include "base/str.h"
#include "http/multipart.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static enum dp_mp_state run(struct dp_multipart *m, struct gw_str in, size_t piece)
{
	if (!dp_multipart_init(m, GW_STR("multipart/form-data; boundary=b-"), "model"))
		abort();
	for (size_t at = 0; at < in.n; at += piece)
		if (dp_multipart_feed(m, (struct gw_str){ in.p + at, in.n - at < piece ? in.n - at : piece }) == DP_MP_BAD)
			break;
	return dp_multipart_end(m);
}

/* Lines, ended by any of CRLF, LF and CR, that begin with the boundary: as many as there are parts, and the last one. */
static size_t loose_boundaries(struct gw_str in)
{
	size_t n = 0;

	for (size_t i = 0; i + 4 <= in.n; i++)
		if (memcmp(in.p + i, "--b-", 4) == 0 && (i == 0 || in.p[i - 1] == '\n' || in.p[i - 1] == '\r'))
			n++;
	return n;
}

/* Where the strict reader stopped: behind its last boundary everything is epilogue. */
static struct gw_str before_epilogue(struct gw_str in)
{
	for (size_t i = 0; i + 6 <= in.n; i++)
		if (memcmp(in.p + i, "--b---", 6) == 0 && (i == 0 || (i > 1 && in.p[i - 1] == '\n' && in.p[i - 2] == '\r')))
			return (struct gw_str){ in.p, i + 6 };
	return in;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const size_t pieces[] = { 1, 3, 8 };
	struct gw_str in = { size ? (const char *)data : "", size };
	struct dp_multipart whole, cut;
	enum dp_mp_state end = run(&whole, in, size + 1);

	for (size_t i = 0; i < GW_COUNT(pieces); i++)
		if (run(&cut, in, pieces[i]) != end || cut.found != whole.found || cut.duplicate != whole.duplicate ||
		    cut.value_at != whole.value_at || cut.text_bytes != whole.text_bytes ||
		    !gw_str_eq(cut.found ? cut.value : GW_STR(""), whole.found ? whole.value : GW_STR("")))
			abort();
	if (end != DP_MP_DONE)
		return 0;
	if (whole.found && (whole.value_at + whole.value_n > size ||
	                    !gw_str_eq(whole.value, (struct gw_str){ in.p + whole.value_at, whole.value_n })))
		abort();
	if (loose_boundaries(before_epilogue(in)) != whole.parts + 1)
		abort();
	return 0;
}
