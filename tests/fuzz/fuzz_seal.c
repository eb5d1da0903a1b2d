/*
 * fuzz_seal.c - opening what strangers wrote, and sealing anything: it opens under its key and no other.
 */
#include <stdlib.h>

#include "base/str.h"
#include "seal.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const uint8_t key[32] = "a key that only the fuzzer knows", other[32] = "another key, long as the first";

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct gw_str text = { (const char *)data, size }, plain;
	struct gw_error err = { 0 };
	struct gw_arena *a = gw_arena_open(0);
	json_t *v = json_object();
	gw_json_set_str(v, "sealed", text);
	if (gw_is_sealed(v) && gw_unseal_value(key, v, a, &plain, &err) == GW_OK) {
		/* Only what this key sealed opens: the seeds of the corpus. */
		json_t *again = gw_seal(key, plain);
		json_decref(again);
	}
	json_decref(v);
	if (size <= 4096) {
		v = gw_seal(key, text);
		if (gw_unseal_value(key, v, a, &plain, &err) != GW_OK || !gw_str_eq(plain, text))
			abort();
		if (gw_unseal_value(other, v, a, &plain, &err) != GW_DENIED)
			abort();
		if (gw_reseal(v, key, other, &err) != GW_OK || gw_unseal_value(other, v, a, &plain, &err) != GW_OK ||
		    !gw_str_eq(plain, text))
			abort();
		json_decref(v);
	}
	gw_arena_close(&a);
	return 0;
}
