/*
 * fuzz_wire.c - every message of the channel, text and binary, and join tokens.
 */
#include <stdlib.h>

#include "base/bytes.h"
#include "base/str.h"
#include "wire.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Touch every byte that a message hands out. */
static void look(const struct gw_wire *w)
{
	const struct gw_str texts[] = { w->name, w->node_id, w->boot_id, w->version, w->epoch, w->digest, w->path, w->text,
		w->reason, w->state, w->id, w->op, w->payload };
	uint8_t d[32];
	for (size_t i = 0; i < GW_COUNT(texts); i++)
		gw_sha256(d, texts[i]);
	for (size_t i = 0; i < json_array_size(w->records); i++) {
		struct gw_usage_record r;
		struct gw_error err = { 0 };
		if (gw_usage_parse(&r, json_array_get(w->records, i), &err) == GW_OK) {
			static char row[GW_USAGE_ROW_MAX];
			struct gw_usage_record same;
			struct gw_str bytes = { row, gw_usage_row_write(row, &r) };
			if (gw_usage_row_read(&same, bytes, &err) != GW_OK || same.status != r.status || same.end_reason != r.end_reason)
				abort();
		}
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct gw_str s = { (const char *)data, size };
	struct gw_wire w;
	struct gw_error err = { 0 };
	struct gw_join_token t;
	if (gw_wire_parse(&w, s, &err) == GW_OK) {
		look(&w);
		gw_wire_fini(&w);
	} else if (!err.text[0]) {
		abort();
	}
	if (gw_wire_parse_binary(&w, s, &err) == GW_OK) {
		look(&w);
		gw_wire_fini(&w);
	}
	if (gw_join_token_parse(s, &t) && t.fingerprint.n != 64)
		abort();
	return 0;
}
