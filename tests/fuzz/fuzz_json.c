/*
 * fuzz_json.c - whatever parses must write canonically, parse again, and be equal; merging never breaks a document.
 */
#include <stdlib.h>

#include "json.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct gw_str text = { (const char *)data, size };
	struct gw_error err = { 0 };
	json_t *v, *again;
	if (gw_json_parse(&v, text, 1 << 20, &err) != GW_OK) {
		if (err.rc == GW_OK || !err.text[0])
			abort();
		return 0;
	}
	struct gw_buf out, twice;
	gw_buf_init(&out, 64u << 20);
	gw_buf_init(&twice, 64u << 20);
	if (gw_json_write(&out, v, true) == GW_OK) {
		if (gw_json_parse(&again, gw_buf_str(&out), out.n, &err) != GW_OK || !json_equal(v, again))
			abort();
		if (gw_json_write(&twice, again, true) != GW_OK || twice.n != out.n || memcmp(twice.p, out.p, out.n) != 0)
			abort();
		json_decref(again);
	}
	json_t *merged = gw_json_merge(v, v);
	if (!merged)
		abort();
	json_decref(merged);
	json_decref(v);
	gw_buf_fini(&out);
	gw_buf_fini(&twice);
	return 0;
}
