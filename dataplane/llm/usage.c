/* usage.c - what vendors call tokens, and what we call them. */
#include "base/str.h"
#include "llm/dialect.h"

#define MOST ((int64_t)1 << 40)

/* What is less than nothing has not been said: it is estimated then, not free. */
static bool count(struct dp_json v, int64_t *to)
{
	return v.type == DP_J_NUMBER && v.raw.p[0] != '-' && dp_json_int(v, MOST, to);
}

/* Anthropic's "cache_creation":{"ephemeral_5m_input_tokens","ephemeral_1h_input_tokens"}. */
static bool cache_writes(struct dp_raw_usage *u, struct dp_json v)
{
	return count(dp_json_at(v, "ephemeral_1h_input_tokens"), &u->cache_write_1h);
}

static bool details(struct dp_raw_usage *u, struct dp_json v, int64_t *audio)
{
	struct dp_json_iter it = dp_json_iter(v);
	bool any = false;

	if (v.type != DP_J_OBJECT)
		return false;
	while (dp_json_next(&it)) {
		int64_t *to = NULL;

		if (gw_str_is(it.key, "cached_tokens"))
			to = &u->cached;
		else if (gw_str_is(it.key, "cache_write_tokens") || gw_str_is(it.key, "cache_creation_tokens"))
			to = &u->cache_write;
		else if (gw_str_is(it.key, "reasoning_tokens") || gw_str_is(it.key, "thinking_tokens"))
			to = &u->reasoning;
		else if (gw_str_is(it.key, "audio_tokens"))
			to = audio;
		any |= to && count(it.value, to);
	}
	return any;
}

bool dp_usage_fold(struct dp_raw_usage *u, struct dp_json usage)
{
	const struct { struct gw_str name; int64_t *to; } flat[] = {
		{ GW_STR("prompt_tokens"), &u->prompt }, { GW_STR("input_tokens"), &u->prompt },
		{ GW_STR("completion_tokens"), &u->completion }, { GW_STR("output_tokens"), &u->completion },
		{ GW_STR("total_tokens"), &u->total },
		{ GW_STR("prompt_cache_hit_tokens"), &u->cached }, { GW_STR("cached_tokens"), &u->cached },
		{ GW_STR("cache_read_input_tokens"), &u->cached }, { GW_STR("cache_creation_input_tokens"), &u->cache_write },
		{ GW_STR("reasoning_tokens"), &u->reasoning },
	};
	const struct { struct gw_str name; int64_t *audio; } nested[] = {
		{ GW_STR("prompt_tokens_details"), &u->audio_prompt }, { GW_STR("input_tokens_details"), &u->audio_prompt },
		{ GW_STR("completion_tokens_details"), &u->audio_completion }, { GW_STR("output_tokens_details"), &u->audio_completion },
	};
	struct dp_json_iter it = dp_json_iter(usage);
	bool any = false;

	if (usage.type != DP_J_OBJECT)
		return false;
	while (dp_json_next(&it)) {
		for (size_t i = 0; i < GW_COUNT(flat); i++)
			if (gw_str_eq(it.key, flat[i].name))
				any |= count(it.value, flat[i].to);
		for (size_t i = 0; i < GW_COUNT(nested); i++)
			if (gw_str_eq(it.key, nested[i].name))
				any |= details(u, it.value, nested[i].audio);
		if (gw_str_is(it.key, "cache_creation") && it.value.type == DP_J_OBJECT)
			any |= cache_writes(u, it.value);
	}
	return any;
}

static int64_t known(int64_t v)
{
	return v < 0 ? 0 : v;
}

struct gw_tokens dp_usage_settle(const struct dp_raw_usage *u, bool cached_apart, bool reasoning_apart)
{
	struct gw_tokens t = { .prompt = known(u->prompt), .cached = known(u->cached), .cache_write = known(u->cache_write),
	                       .completion = known(u->completion), .reasoning = known(u->reasoning),
	                       .cache_write_1h = known(u->cache_write_1h), .audio_prompt = known(u->audio_prompt),
	                       .audio_completion = known(u->audio_completion) };

	if (cached_apart)
		t.prompt += t.cached + t.cache_write;
	/* xAI: 12 + 1 gives 303, since 290 of reasoning stand beside the completion. */
	if (t.reasoning && (reasoning_apart || t.reasoning > t.completion ||
	                    u->total == t.prompt + t.completion + t.reasoning))
		t.completion += t.reasoning;
	if (u->prompt < 0 && u->total > t.completion)
		t.prompt = u->total - t.completion;
	if (t.cached > t.prompt)
		t.cached = t.prompt;
	if (t.cache_write > t.prompt - t.cached)
		t.cache_write = t.prompt - t.cached;
	if (t.cache_write_1h > t.cache_write)
		t.cache_write_1h = t.cache_write;
	if (t.audio_prompt > t.prompt)
		t.audio_prompt = t.prompt;
	if (t.audio_completion > t.completion)
		t.audio_completion = t.completion;
	return t;
}
