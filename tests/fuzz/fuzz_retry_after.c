/*
 * fuzz_retry_after.c - an unhappy answer judged: a wait within its bounds, a sentence without the provider's key, whatever
 * the headers and the body say.  The input is: Retry-After, LF, retry-after-ms, LF, body; its first byte is the status.
 */
#include <stdlib.h>

#include "base/str.h"
#include "http/headers.h"
#include "provider.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define SECRET "sk-fuzz-0123456789abcdef"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const unsigned statuses[] = { 429, 503, 400, 401, 402, 403, 404, 408, 500, 529, 200 };
	const int64_t now = 1764660903000;
	struct gw_str rest = { size ? (const char *)data + 1 : "", size ? size - 1 : 0 };
	struct gw_str after = gw_str_cut(&rest, '\n'), ms = gw_str_cut(&rest, '\n');
	struct gw_pair headers[] = { { GW_STR("retry-after"), after }, { GW_STR("retry-after-ms"), ms } };
	struct dp_reply r = { .status = statuses[size ? data[0] % GW_COUNT(statuses) : 0], .headers = headers, .n_headers = 2, .body = rest };
	int64_t wait = dp_retry_after_ms(&r, now);

	if (wait < -1 || wait > DP_RETRY_AFTER_MAX_MS)
		abort();
	for (size_t i = 0; dp_provider_at(i); i++) {
		struct dp_fault f = dp_provider_judge(dp_provider_at(i), &r, GW_STR(SECRET), now);

		if (f.retry_after_ms < -1 || f.retry_after_ms > DP_RETRY_AFTER_MAX_MS)
			abort();
		if (!memchr(f.text, '\0', sizeof f.text) || strstr(f.text, SECRET))
			abort();
	}
	return 0;
}
