/* fuzz_h1_request.c - what a client can send. */
#include "fuzz_h1.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	return run_h1(DP_H1_REQUEST, data, size);
}
