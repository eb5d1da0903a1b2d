/* usage.c - what vendors call tokens, and what we call them. */
#include <stddef.h>

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

/* What a member of a usage object, or of the details in one, says. */
struct said { struct gw_str name; size_t at; };
#define SAID(literal, member) { { literal, sizeof(literal) - 1 }, offsetof(struct dp_raw_usage, member) }

static const struct said flat[] = {
	SAID("prompt_tokens", prompt), SAID("input_tokens", prompt), SAID("completion_tokens", completion),
	SAID("output_tokens", completion), SAID("total_tokens", total), SAID("prompt_cache_hit_tokens", cached),
	SAID("cached_tokens", cached), SAID("cache_read_input_tokens", cached),
	SAID("cache_creation_input_tokens", cache_write), SAID("reasoning_tokens", reasoning),
};

/* What else stands in these is the same for both, but audio. */
static const struct said nested[] = {
	SAID("prompt_tokens_details", audio_prompt), SAID("input_tokens_details", audio_prompt),
	SAID("completion_tokens_details", audio_completion), SAID("output_tokens_details", audio_completion),
};

static const struct said inner[] = {
	SAID("cached_tokens", cached), SAID("cache_write_tokens", cache_write), SAID("cache_creation_tokens", cache_write),
	SAID("reasoning_tokens", reasoning), SAID("thinking_tokens", reasoning),
};

static const struct said *find(const struct said *list, size_t n, struct gw_str name)
{
	for (size_t i = 0; i < n; i++)
		if (gw_str_eq(list[i].name, name))
			return &list[i];
	return NULL;
}

static int64_t *place(struct dp_raw_usage *u, const struct said *s)
{
	return (int64_t *)(void *)((char *)u + s->at);
}

static bool details(struct dp_raw_usage *u, struct dp_json_iter *of, int64_t *audio)
{
	struct dp_json_iter it = dp_json_enter(of);
	bool any = false;

	while (dp_json_next(&it)) {
		const struct said *s = find(inner, GW_COUNT(inner), it.key);

		if (s)
			any |= count(it.value, place(u, s));
		else if (gw_str_is(it.key, "audio_tokens"))
			any |= count(it.value, audio);
	}
	dp_json_leave(of, &it);
	return any;
}

bool dp_usage_fold(struct dp_raw_usage *u, struct dp_json usage)
{
	struct dp_json_iter it = dp_json_lazy(usage);
	const struct said *s;
	bool any = false;

	if (usage.type != DP_J_OBJECT)
		return false;
	while (dp_json_next(&it)) {
		if (it.value.type == DP_J_NUMBER && (s = find(flat, GW_COUNT(flat), it.key)))
			any |= count(it.value, place(u, s));
		else if (it.value.type != DP_J_OBJECT)
			continue;
		else if ((s = find(nested, GW_COUNT(nested), it.key)))
			any |= details(u, &it, place(u, s));
		else if (gw_str_is(it.key, "cache_creation"))
			any |= cache_writes(u, dp_json_whole(&it));
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
