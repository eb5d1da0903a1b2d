/*
 * tokens.h - how many tokens a text probably has, without a tokenizer.
 *
 * The rule: four ASCII bytes make a token (English prose and code come to 3.5 to 4.5), 1.5 wide characters make one
 * (Chinese and Japanese come to 1.3 to 1.8 with the tokenizers of Qwen, DeepSeek and OpenAI), each object below the
 * top of a request costs three (role and separators), and a "data:" string, or one of base64 that is long enough for
 * it, counts as one picture of 1,000 whatever its size.  Rounded up.  Good to about 30 %: enough to reserve against a budget, or to charge a stream that ended
 * before its usage came; never used when the provider told the truth.
 */
#ifndef DP_LLM_TOKENS_H
#define DP_LLM_TOKENS_H

#include "codec/json_scan.h"

#define DP_TOKENS_PER_OBJECT 3
#define DP_TOKENS_PER_MEDIA  1000

int64_t dp_tokens_of_text(int64_t ascii_bytes, int64_t wide_chars);
int64_t dp_tokens_of_request(const struct dp_text_stat *s);

#endif
