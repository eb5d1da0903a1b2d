/*
 * fuzz_time.c - times and durations: what parses formats, and what was formatted parses to the same.  Globs, numbers,
 * hexadecimal and base64url ride along, since their inputs are as short.
 */
#include <stdlib.h>

#include "base/bytes.h"
#include "base/str.h"
#include "base/time.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_bytes(struct gw_str s)
{
	struct gw_buf raw, text;
	gw_buf_init(&raw, 4096);
	gw_buf_init(&text, 8192);
	if (gw_b64_decode(&raw, s)) {
		gw_b64_add(&text, raw.p, raw.n);
		if (!gw_str_eq(gw_buf_str(&text), s))
			abort();
	}
	gw_buf_clear(&text);
	gw_buf_add_json(&text, s);
	if (!text.full && !gw_utf8_valid(gw_buf_str(&text)))
		abort();
	gw_buf_fini(&raw);
	gw_buf_fini(&text);
	uint8_t out[16];
	(void)gw_unhex(out, sizeof out, s);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct gw_str s = { (const char *)data, size };
	int64_t ms, back;
	char text[GW_TIME_LEN];
	if (gw_time_parse(s, &ms)) {
		gw_time_format(text, ms);
		/* An offset can push a time out of the four-digit years, where formatting clamps. */
		if (!gw_time_parse(gw_str_c(text), &back))
			abort();
		if (back != ms && ms >= -62167219200000 && ms <= 253402300799999)
			abort();
	}
	if (gw_duration_parse(s, &ms)) {
		gw_duration_format(text, ms);
		if (ms < 0 || !gw_duration_parse(gw_str_c(text), &back) || back != ms)
			abort();
	}
	if (gw_str_int(s, -100, 100, &ms) && (ms < -100 || ms > 100))
		abort();
	struct gw_str rest = s;
	struct gw_str head = gw_str_cut(&rest, '\n');
	if (gw_glob_match(head, rest) && head.n && !memchr(head.p, '*', head.n) && !gw_str_eq(head, rest))
		abort();
	check_bytes(s);
	return 0;
}
