/* fuzz_sse.c - the raw parts of all blocks are the input; names and data are the same at every slicing. */
#include <stdlib.h>

#include "base/buf.h"
#include "base/str.h"
#include "codec/sse.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void note(struct gw_buf *log, struct gw_buf *raw, const struct dp_sse_event *ev)
{
	gw_buf_add(raw, ev->raw);
	if (ev->joins)
		return;
	gw_buf_printf(log, "[%d%d%d%d", (int)ev->comment, (int)ev->unterminated, ev->event.p != NULL, ev->data.p != NULL);
	gw_buf_add(log, ev->event);
	gw_buf_add_byte(log, '|');
	gw_buf_add(log, ev->data);
}

static void split(struct gw_str in, size_t piece, struct gw_buf *log, struct gw_buf *raw)
{
	struct dp_sse s;
	struct dp_sse_event ev;

	dp_sse_init(&s, 4096);
	for (size_t at = 0; at < in.n; at += piece) {
		struct gw_str now = { in.p + at, in.n - at < piece ? in.n - at : piece };
		enum dp_sse_got got;

		while ((got = dp_sse_next(&s, &now, &ev)) == DP_SSE_EVENT)
			note(log, raw, &ev);
		if (got == DP_SSE_TOOBIG) {
			gw_buf_add_c(log, "!");
			break;
		}
	}
	if (dp_sse_finish(&s, &ev))
		note(log, raw, &ev);
	dp_sse_fini(&s);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const size_t pieces[] = { 1, 2, 7 };
	struct gw_str in = { size ? (const char *)data : "", size };
	struct gw_buf log, raw, log2, raw2;

	gw_buf_init(&log, 64u << 20);
	gw_buf_init(&raw, 64u << 20);
	gw_buf_init(&log2, 64u << 20);
	gw_buf_init(&raw2, 64u << 20);
	split(in, size + 1, &log, &raw);
	if (raw.n > size || (raw.n && memcmp(raw.p, in.p, raw.n) != 0) ||
	    (raw.n != size && !(log.n && log.p[log.n - 1] == '!')))
		abort();
	for (size_t i = 0; i < GW_COUNT(pieces); i++) {
		gw_buf_clear(&log2);
		gw_buf_clear(&raw2);
		split(in, pieces[i], &log2, &raw2);
		if (!gw_str_eq(gw_buf_str(&log), gw_buf_str(&log2)) || !gw_str_eq(gw_buf_str(&raw), gw_buf_str(&raw2)))
			abort();
	}
	gw_buf_fini(&log);
	gw_buf_fini(&raw);
	gw_buf_fini(&log2);
	gw_buf_fini(&raw2);
	return 0;
}
