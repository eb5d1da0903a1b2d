/* tokens.c - the rule of tokens.h in integers. */
#include "llm/tokens.h"

int64_t dp_tokens_of_text(int64_t ascii_bytes, int64_t wide_chars)
{
	/* a/4 + w/1.5 = (3a + 8w) / 12 */
	return (3 * ascii_bytes + 8 * wide_chars + 11) / 12;
}

int64_t dp_tokens_of_request(const struct dp_text_stat *s)
{
	return dp_tokens_of_text(s->ascii, s->wide) + s->objects * DP_TOKENS_PER_OBJECT +
	       s->media * DP_TOKENS_PER_MEDIA;
}
