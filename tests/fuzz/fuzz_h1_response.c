/* fuzz_h1_response.c - what a provider can answer. */
#include "fuzz_h1.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	return run_h1(DP_H1_RESPONSE, data, size);
}
