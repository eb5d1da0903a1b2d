/*
 * fuzz_signature.c - the headers of a signed request: read or refused with a reason, what is read keeps to its grammar.
 *
 * Input: lines.  The first three are method, target and host, the others headers as name:value.
 */
#include <stdlib.h>

#include "base/str.h"
#include "services/signature.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define MARCH 1772352000000       /* 2026-03-01T08:00:00Z */

static void check(const struct dp_head *h)
{
	struct dp_refusal why = { .code = DP_E_COUNT };
	struct dp_signed s;

	(void)dp_sign_present(h);
	if (!dp_sign_read(&s, h, MARCH, &why)) {
		if (why.code == DP_E_COUNT || !why.text[0])
			abort();
		return;
	}
	if (!dp_sign_present(h) || s.key_id.n < 4 || s.key_id.n > 64 || s.nonce.n < 16 || s.nonce.n > 64 || s.signature.n != 64)
		abort();
	if (dp_sign_ok(&s, h, GW_STR("a secret that nothing in the corpus is signed with")))
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct gw_str rest = { size ? (const char *)data : "", size };
	struct gw_pair headers[16];
	struct dp_head h = { .headers = headers };

	h.method = gw_str_cut(&rest, '\n');
	h.target = gw_str_cut(&rest, '\n');
	h.host = gw_str_cut(&rest, '\n');
	while (rest.p && h.n_headers < GW_COUNT(headers)) {
		struct gw_str value = gw_str_cut(&rest, '\n');

		headers[h.n_headers].name = gw_str_cut(&value, ':');
		headers[h.n_headers++].value = gw_str_trim(value);
	}
	check(&h);
	return 0;
}
