/*
 * fuzz_h1.h - what fuzz_h1_request and fuzz_h1_response have in common.
 *
 * The input is fed whole, byte by byte and in pieces; the three logs of heads, bodies and refusals must be equal, and
 * no admitted head may hold a byte that could be written to a wire and read as something else.
 */
#ifndef TG_FUZZ_H1_H
#define TG_FUZZ_H1_H

#include <stdlib.h>

#include "base/buf.h"
#include "base/str.h"
#include "http/h1.h"
#include "http/headers.h"

static inline void check_head(const struct dp_head *h)
{
	if (h->content_length >= 0 && h->chunked)
		abort();
	if (h->has_body != (h->chunked || h->until_eof || h->content_length > 0) && !h->status)
		abort();
	for (size_t i = 0; i < h->n_headers; i++)
		if (!dp_header_ok(h->headers[i].name, h->headers[i].value))
			abort();
}

/* One event into the log.  False: nothing more will come. */
static inline bool note(struct dp_h1 *p, struct gw_buf *log, enum dp_h1_event e, struct gw_str slice)
{
	const struct dp_head *h = dp_h1_head(p);

	switch (e) {
	case DP_H1_HEAD:
		check_head(h);
		gw_buf_printf(log, "<%zu %u %d>", h->n_headers, h->status, (int)h->keep_alive);
		gw_buf_add(log, h->method);
		gw_buf_add(log, h->target);
		return true;
	case DP_H1_BODY:
		if (!slice.n)
			abort();
		gw_buf_add(log, slice);
		return true;
	case DP_H1_ERROR:
		gw_buf_printf(log, "!%d", (int)dp_h1_refusal(p)->code);
		return false;
	case DP_H1_END:
		gw_buf_add_c(log, "|");
		if (!dp_h1_reusable(p))
			return false;
		dp_h1_next(p);
		return true;
	default:
		return true;
	}
}

static inline void talk(struct gw_buf *log, enum dp_h1_side side, struct gw_str in, size_t piece)
{
	struct dp_h1_limits limits = { .max_line = 400, .max_head = 1000, .max_headers = 10, .max_body = 1000 };
	struct dp_h1 *p = dp_h1_open(side, &limits);
	bool more = true;

	for (size_t at = 0; more && at < in.n; at += piece) {
		struct gw_str now = { in.p + at, in.n - at < piece ? in.n - at : piece };
		enum dp_h1_event e = DP_H1_HEAD;

		while (more && e != DP_H1_NEED) {
			struct gw_str slice;
			size_t used;

			e = dp_h1_feed(p, now, &used, &slice);
			if (used > now.n || (e == DP_H1_NEED && used != now.n))
				abort();
			now = gw_str_from(now, used);
			more = note(p, log, e, slice);
		}
	}
	if (more)
		gw_buf_printf(log, "e%d", (int)dp_h1_eof(p));
	dp_h1_close(&p);
}

static inline int run_h1(enum dp_h1_side side, const uint8_t *data, size_t size)
{
	static const size_t pieces[] = { 1, 3, 17 };
	struct gw_str in = { size ? (const char *)data : "", size };
	struct gw_buf whole, cut;

	gw_buf_init(&whole, 64u << 20);
	gw_buf_init(&cut, 64u << 20);
	talk(&whole, side, in, size + 1);
	for (size_t i = 0; i < GW_COUNT(pieces); i++) {
		gw_buf_clear(&cut);
		talk(&cut, side, in, pieces[i]);
		if (!gw_str_eq(gw_buf_str(&whole), gw_buf_str(&cut)))
			abort();
	}
	gw_buf_fini(&whole);
	gw_buf_fini(&cut);
	return 0;
}

#endif
