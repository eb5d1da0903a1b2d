/* How vendors' errors are judged, how long to wait, what is sent, and that the table is sound. */
#include <stdio.h>

#include "base/arena.h"
#include "base/str.h"
#include "catalog.h"
#include "http/headers.h"
#include "http/target.h"
#include "provider.h"
#include "unit.h"

static const struct dp_provider *type(const char *name)
{
	const struct dp_provider *p = dp_provider_find(gw_str_c(name));

	ck_assert_msg(p != NULL, "%s", name);
	return p;
}

START_TEST(verdicts)
{
	static const struct { const char *type; unsigned status; const char *body; enum dp_fault_kind want; } rows[] = {
		{ "openai", 200, "{\"choices\":[{\"message\":{\"content\":\"insufficient_quota error\"}}]}", DP_FAULT_NONE },
		{ "openai", 200, "", DP_FAULT_NONE }, { "openai", 200, "{\"error\":null}", DP_FAULT_NONE },
		{ "openai", 400, "{\"error\":{\"message\":\"Unknown parameter: 'x'.\",\"code\":\"unknown_parameter\"}}", DP_FAULT_CLIENT },
		{ "openai", 400, "{\"error\":{\"message\":\"This model's maximum context length is 8192 tokens.\",\"code\":\"context_length_exceeded\"}}", DP_FAULT_CONTEXT },
		{ "openai", 401, "{\"error\":{\"code\":\"invalid_api_key\"}}", DP_FAULT_AUTH }, { "openai", 403, "{}", DP_FAULT_AUTH },
		{ "openai", 404, "{\"error\":{\"code\":\"model_not_found\"}}", DP_FAULT_NO_MODEL }, { "openai", 413, "", DP_FAULT_CLIENT },
		{ "openai", 422, "", DP_FAULT_CLIENT }, { "openai", 408, "", DP_FAULT_SERVER }, { "openai", 409, "", DP_FAULT_SERVER },
		{ "openai", 429, "{\"error\":{\"type\":\"tokens\",\"code\":\"rate_limit_exceeded\"}}", DP_FAULT_RATE },
		{ "openai", 429, "{\"error\":{\"type\":\"insufficient_quota\",\"code\":\"insufficient_quota\"}}", DP_FAULT_NO_MONEY },
		{ "openai", 429, "{\"error\":{\"code\":\"organization_spend_limit_exceeded\"}}", DP_FAULT_NO_MONEY },
		{ "openai", 500, "{\"error\":{\"type\":\"server_error\"}}", DP_FAULT_SERVER }, { "openai", 502, "<html>", DP_FAULT_SERVER },
		{ "openai", 503, "", DP_FAULT_OVERLOAD }, { "openai", 504, "", DP_FAULT_SERVER }, { "openai", 302, "", DP_FAULT_SERVER },
		{ "deepseek", 402, "{\"error\":{\"message\":\"Insufficient Balance\",\"type\":\"unknown_error\"}}", DP_FAULT_NO_MONEY },
		{ "deepseek", 401, "{\"error\":{\"message\":\"Authentication Fails, Your api key: ****cd15 is invalid\"}}", DP_FAULT_AUTH },
		{ "deepseek", 422, "{\"error\":{\"message\":\"Failed to deserialize\"}}", DP_FAULT_CLIENT },
		{ "deepseek", 400, "{\"error\":{\"message\":\"Model Not Exist\"}}", DP_FAULT_NO_MODEL }, { "deepseek", 503, "", DP_FAULT_OVERLOAD },
		{ "qwen", 400, "{\"error\":{\"code\":\"Arrearage\",\"type\":\"Arrearage\"}}", DP_FAULT_NO_MONEY },
		{ "qwen", 429, "{\"error\":{\"code\":\"insufficient_quota\",\"message\":\"You exceeded your current quota\"}}", DP_FAULT_RATE },
		{ "qwen", 429, "{\"error\":{\"code\":\"limit_requests\"}}", DP_FAULT_RATE }, { "qwen", 403, "{\"error\":{\"code\":\"access_denied\"}}", DP_FAULT_NO_MODEL },
		{ "qwen", 400, "{\"error\":{\"message\":\"Range of input length should be [1, 129024]\"}}", DP_FAULT_CONTEXT },
		{ "qwen", 400, "{\"error\":{\"code\":\"data_inspection_failed\"}}", DP_FAULT_CLIENT },
		{ "zhipuai", 429, "{\"error\":{\"code\":\"1113\",\"message\":\"arrears\"}}", DP_FAULT_NO_MONEY },
		{ "zhipuai", 429, "{\"error\":{\"code\":\"1302\"}}", DP_FAULT_RATE }, { "zhipuai", 429, "{\"error\":{\"code\":\"1305\"}}", DP_FAULT_OVERLOAD },
		{ "zhipuai", 400, "{\"error\":{\"code\":\"1261\"}}", DP_FAULT_CONTEXT },
		{ "doubao", 403, "{\"error\":{\"code\":\"AccountOverdueError\"}}", DP_FAULT_NO_MONEY },
		{ "doubao", 404, "{\"error\":{\"code\":\"InvalidEndpointOrModel.NotFound\"}}", DP_FAULT_NO_MODEL },
		{ "doubao", 429, "{\"error\":{\"code\":\"ServerOverloaded\"}}", DP_FAULT_OVERLOAD },
		{ "moonshot", 429, "{\"error\":{\"type\":\"exceeded_current_quota_error\"}}", DP_FAULT_NO_MONEY },
		{ "moonshot", 429, "{\"error\":{\"type\":\"engine_overloaded_error\"}}", DP_FAULT_OVERLOAD },
		{ "moonshot", 429, "{\"error\":{\"type\":\"rate_limit_reached_error\"}}", DP_FAULT_RATE },
		{ "siliconflow", 403, "{\"code\":30001,\"message\":\"balance\"}", DP_FAULT_NO_MONEY },
		{ "siliconflow", 401, "\"Invalid token\"", DP_FAULT_AUTH }, { "siliconflow", 503, "{\"code\":50505}", DP_FAULT_OVERLOAD },
		{ "openrouter", 402, "{}", DP_FAULT_NO_MONEY }, { "openrouter", 502, "{}", DP_FAULT_OVERLOAD },
		{ "openrouter", 200, "{\"error\":{\"code\":429,\"message\":\"Rate limited\"}}", DP_FAULT_RATE },
		{ "openrouter", 200, "{\"error\":{\"code\":502,\"message\":\"Provider returned error\"}}", DP_FAULT_SERVER },
		{ "groq", 413, "{}", DP_FAULT_CONTEXT }, { "groq", 498, "{}", DP_FAULT_OVERLOAD },
		{ "mistral", 422, "{\"detail\":[]}", DP_FAULT_CLIENT }, { "mistral", 429, "{\"type\":\"rate_limited\"}", DP_FAULT_RATE },
		{ "xai", 400, "{\"code\":\"x\",\"error\":\"Incorrect API key provided: xa***\"}", DP_FAULT_AUTH },
		{ "vllm", 404, "{\"message\":\"The model `x` does not exist.\"}", DP_FAULT_NO_MODEL },
		{ "vllm", 400, "{\"object\":\"error\",\"message\":\"This model's maximum context length is 32768 tokens.\"}", DP_FAULT_CONTEXT },
		{ "vllm", 200, "{\"error\":{\"message\":\"x\",\"type\":\"BadRequestError\"}}", DP_FAULT_CLIENT },
		{ "ollama", 503, "{\"error\":\"server busy, please try again.\"}", DP_FAULT_OVERLOAD },
		{ "anthropic", 529, "{\"type\":\"error\",\"error\":{\"type\":\"overloaded_error\"}}", DP_FAULT_OVERLOAD },
		{ "anthropic", 400, "{\"error\":{\"message\":\"Your credit balance is too low to access the Anthropic API\"}}", DP_FAULT_NO_MONEY },
		{ "anthropic", 400, "{\"error\":{\"message\":\"prompt is too long: 210000 tokens > 200000 maximum\"}}", DP_FAULT_CONTEXT },
		{ "anthropic", 429, "{\"error\":{\"type\":\"rate_limit_error\"}}", DP_FAULT_RATE },
		{ "anthropic", 200, "{\"type\":\"error\",\"error\":{\"type\":\"overloaded_error\",\"message\":\"Overloaded\"}}", DP_FAULT_OVERLOAD },
	};

	for (size_t i = 0; i < GW_COUNT(rows); i++) {
		struct dp_reply r = { .status = rows[i].status, .body = gw_str_c(rows[i].body) };
		struct dp_fault f = dp_provider_judge(type(rows[i].type), &r, GW_STR_NONE, 0);

		ck_assert_msg(f.kind == rows[i].want, "%s %u %s is %s", rows[i].type, rows[i].status, rows[i].body, dp_fault_name(f.kind));
		bool refused = f.kind != DP_FAULT_CLIENT && rows[i].status >= 401 && rows[i].status <= 403;
		bool ours = f.kind == DP_FAULT_AUTH || f.kind == DP_FAULT_NO_MONEY || f.kind == DP_FAULT_RATE;

		ck_assert_int_eq(f.next_target, ours || refused || f.kind == DP_FAULT_OVERLOAD || f.kind == DP_FAULT_SERVER);
		ck_assert_int_eq(f.key_is_bad, f.kind == DP_FAULT_AUTH || f.kind == DP_FAULT_NO_MONEY);
		ck_assert_int_eq(f.next_key, ours || refused);
		ck_assert_int_eq(f.text[0] != '\0', f.kind != DP_FAULT_NONE);
	}
}
END_TEST

START_TEST(details_of_a_fault)
{
	struct dp_reply r = { .status = 401, .body = GW_STR("{\"error\":{\"message\":\"Incorrect API key provided: sk-secret-1234.\"}}") };
	struct dp_fault f = dp_provider_judge(type("openai"), &r, GW_STR("sk-secret-1234"), 0);

	ck_assert_str_eq(f.text, "Incorrect API key provided: ***.");
	r = (struct dp_reply){ .status = 400, .body = GW_STR("{\"error\":{\"message\":\"Unrecognized request argument: stream_options\"}}") };
	ck_assert(dp_provider_judge(type("openai-compatible"), &r, GW_STR_NONE, 0).usage_refused);
	r.status = 500;
	ck_assert(!dp_provider_judge(type("openai-compatible"), &r, GW_STR_NONE, 0).usage_refused);
}
END_TEST

START_TEST(how_long_to_wait)
{
	static const struct { const char *name, *value, *body; int64_t want; } rows[] = {
		{ "retry-after", "20", "", 20000 }, { "retry-after", "0", "", 0 }, { "Retry-After", "1.5", "", 1500 }, { "retry-after", "1000000000000", "", 300000 },
		{ "retry-after", "-1", "", -1 }, { "retry-after", "soon", "", -1 }, { "retry-after", "", "", -1 }, { "retry-after", "1e3", "", -1 },
		{ "retry-after-ms", "250", "", 250 }, { "retry-after-ms", "99.9", "", 99 }, { "retry-after", "2m59.56s", "", 179560 },
		{ "retry-after", "Mon, 23 Nov 2026 08:18:20 GMT", "", 20000 }, { "retry-after", "Mon, 23 Nov 2026 08:17:00 GMT", "", 0 },
		{ "retry-after", "Sun, 06 Nov 1994 08:49:37 GMT", "", 0 }, { "retry-after", "Fri, 31 Dec 9999 23:59:59 GMT", "", 300000 },
		{ "retry-after", "Mon, 23 Nov 2026 08:18:20 CET", "", -1 }, { "retry-after", "Mon, 99 Nov 2026 08:18:20 GMT", "", -1 },
		{ "x", "y", "{\"error\":{\"message\":\"Rate limit reached. Please try again in 18.642s. Visit\"}}", 18642 },
		{ "x", "y", "{\"error\":{\"message\":\"Please try again in 6m0s.\"}}", 300000 }, { "x", "y", "Please try again in 250ms.", 250 },
		{ "x", "y", "Please wait 5 seconds before retrying.", 5000 }, { "x", "y", "try again in a moment", -1 },
		{ "x", "y", "{\"error\":{\"details\":[{\"@type\":\"x\"},{\"retryDelay\":\"34.4s\"}]}}", 34400 }, { "x", "y", "", -1 },
	};
	int64_t now = 1795421880000; /* 2026-11-23T08:18:00Z */

	for (size_t i = 0; i < GW_COUNT(rows); i++) {
		struct gw_pair h = { gw_str_c(rows[i].name), gw_str_c(rows[i].value) };
		struct dp_reply r = { 429, &h, 1, gw_str_c(rows[i].body) };
		int64_t ms = dp_retry_after_ms(&r, now);

		ck_assert_msg(ms == rows[i].want, "%s: %s%s gives %lld", rows[i].name, rows[i].value, rows[i].body, (long long)ms);
	}
}
END_TEST

/* A 429 without Retry-After: the limit that was met says when it is fresh again. */
START_TEST(how_long_a_limit_lasts)
{
	static const struct { const char *left, *n, *reset, *when; unsigned status; int64_t want; } rows[] = {
		{ "x-ratelimit-remaining-tokens", "0", "x-ratelimit-reset-tokens", "6m0s", 429, 300000 },
		{ "x-ratelimit-remaining-tokens", "0", "x-ratelimit-reset-tokens", "7.5s", 429, 7500 },
		{ "x-ratelimit-remaining-requests", "0", "x-ratelimit-reset-requests", "12", 429, 12000 },
		{ "x-ratelimit-remaining-requests", "5", "x-ratelimit-reset-requests", "12", 429, -1 },
		{ "X-RateLimit-Remaining", "0", "X-RateLimit-Reset", "1795421890000", 429, 10000 },
		{ "x-ratelimit-remaining", "0", "x-ratelimit-reset", "1795421890", 429, 10000 },
		{ "ratelimit-remaining", "0", "ratelimit-reset", "3", 429, 3000 },
		{ "anthropic-ratelimit-tokens-remaining", "0", "anthropic-ratelimit-tokens-reset", "2026-11-23T08:18:07Z", 429, 7000 },
		{ "anthropic-ratelimit-tokens-remaining", "0", "anthropic-ratelimit-tokens-reset", "soon", 429, -1 },
		{ "x-ratelimit-remaining-requests", "0", "x-ratelimit-reset-requests", "12", 500, -1 },
	};

	for (size_t i = 0; i < GW_COUNT(rows); i++) {
		struct gw_pair h[] = { { gw_str_c(rows[i].left), gw_str_c(rows[i].n) }, { gw_str_c(rows[i].reset), gw_str_c(rows[i].when) } };
		struct dp_reply r = { rows[i].status, h, 2, GW_STR_NONE };
		int64_t ms = dp_retry_after_ms(&r, 1795421880000); /* 2026-11-23T08:18:00Z */

		ck_assert_msg(ms == rows[i].want, "%s: %s gives %lld", rows[i].reset, rows[i].when, (long long)ms);
	}
}
END_TEST

static struct dp_request chat_request(bool stream, bool wants_usage)
{
	return (struct dp_request){ .op = dp_operation_at(0), .stream = stream, .wants_usage = wants_usage, .json = true };
}

START_TEST(plans)
{
	struct dp_request plain = chat_request(false, false), stream = chat_request(true, false), usage = chat_request(true, true);
	struct gw_str qwq = GW_STR("qwq-32b"), max = GW_STR("qwen-max"), r1 = GW_STR("deepseek-reasoner"), v3 = GW_STR("deepseek-chat");
	struct dp_rewrite w;
	struct gw_str globs[] = { GW_STR("my-*") };
	struct { struct dp_provider_options o; char rest[256]; } conf = { .o = { .strip_reasoning = DP_STRIP_NEVER, .ask_usage = DP_ASK_NO,
	                                                                       .stream_only = { globs, 1 } } };

	w = dp_provider_plan(type("qwen"), NULL, &plain, qwq, false);
	ck_assert(w.force_stream && w.ask_usage && !w.strip_reasoning && gw_str_is(w.model, "qwq-32b"));
	w = dp_provider_plan(type("qwen"), NULL, &plain, max, false);
	ck_assert(!w.force_stream && !w.ask_usage);
	w = dp_provider_plan(type("qwen"), NULL, &stream, max, false);
	ck_assert(w.ask_usage && !w.force_stream);
	ck_assert(!dp_provider_plan(type("qwen"), NULL, &stream, max, true).ask_usage);
	ck_assert(!dp_provider_plan(type("qwen"), NULL, &usage, max, false).ask_usage);
	ck_assert(dp_provider_plan(type("deepseek"), NULL, &plain, r1, false).strip_reasoning);
	ck_assert(!dp_provider_plan(type("deepseek"), NULL, &plain, v3, false).strip_reasoning);
	ck_assert(!dp_provider_plan(type("deepseek"), NULL, &stream, r1, false).ask_usage);
	ck_assert(!dp_provider_plan(type("mistral"), NULL, &stream, max, false).ask_usage);
	ck_assert(!dp_provider_plan(type("deepseek"), &conf, &plain, r1, false).strip_reasoning);
	ck_assert(!dp_provider_plan(type("openai"), &conf, &stream, max, false).ask_usage);
	ck_assert(dp_provider_plan(type("vllm"), &conf, &plain, GW_STR("my-model"), false).force_stream);
}
END_TEST

START_TEST(headers_of_an_attempt)
{
	struct gw_arena *a = gw_arena_open(0);
	struct gw_pair out[DP_PROVIDER_MAX_HEADERS], own = { GW_STR("Anthropic-Version"), GW_STR("2026-10-21") };
	const struct gw_module *m;
	struct gw_catalog *cat = dp_catalog_build();
	json_t *options = json_pack("{s:s,s:s}", "organization", "org-1", "project", "p\xc3\xa4");
	void *conf;
	size_t n;

	n = dp_provider_headers(type("deepseek"), NULL, GW_STR("sk-1"), NULL, 0, a, out);
	ck_assert_uint_eq(n, 0 + 1);
	ck_assert(gw_str_is(out[0].name, "authorization") && gw_str_is(out[0].value, "Bearer sk-1"));
	n = dp_provider_headers(type("vllm"), NULL, GW_STR_NONE, NULL, 0, a, out);
	ck_assert_uint_eq(n, 0);
	n = dp_provider_headers(type("anthropic"), NULL, GW_STR("sk-2"), NULL, 0, a, out);
	ck_assert_uint_eq(n, 2);
	ck_assert(gw_str_is(out[0].name, "x-api-key") && gw_str_is(out[1].value, "2023-06-01"));
	ck_assert_uint_eq(dp_provider_headers(type("anthropic"), NULL, GW_STR("sk-2"), &own, 1, a, out), 1);
	m = gw_catalog_find(cat, GW_CAT_PROVIDER_TYPES, GW_STR("openai"));
	conf = gw_arena_alloc(a, m->conf_size);
	ck_assert_int_eq(gw_fields_read(m->fields, options, true, NULL, a, conf, NULL, NULL), GW_OK);
	n = dp_provider_headers(type("openai"), conf, GW_STR("k"), NULL, 0, a, out);
	ck_assert_uint_eq(n, 3);
	ck_assert(gw_str_is(out[1].name, "openai-organization") && gw_str_is(out[1].value, "org-1"));
	json_decref(options);
	gw_catalog_close(&cat);
	gw_arena_close(&a);
}
END_TEST

/* A key with a line end must never reach the wire. */
START_TEST(a_key_that_breaks_the_grammar_is_not_sent)
{
	struct gw_arena *a = gw_arena_open(0);
	struct gw_pair out[DP_PROVIDER_MAX_HEADERS];

	ck_assert_uint_eq(dp_provider_headers(type("openai"), NULL, GW_STR("k\r\nX: y"), NULL, 0, a, out), 0);
	ck_assert_uint_eq(dp_provider_headers(type("anthropic"), NULL, GW_STR("k\n"), NULL, 0, a, out), 1);
	gw_arena_close(&a);
}
END_TEST

START_TEST(the_table_is_sound)
{
	static const char *const wanted[] = { "openai", "openai-compatible", "deepseek", "qwen", "vllm", "ollama", "moonshot", "zhipuai", "doubao",
	                                      "siliconflow", "openrouter", "groq", "mistral", "xai", "anthropic" };
	const struct dp_provider *p;

	for (size_t i = 0; i < GW_COUNT(wanted); i++)
		type(wanted[i]);
	for (size_t i = 0; (p = dp_provider_at(i)); i++) {
		struct dp_base_url u;
		char why[200] = "";

		ck_assert_uint_eq(p->abi, DP_PROVIDER_ABI);
		ck_assert_ptr_eq(dp_provider_find(gw_str_c(p->type)), p);
		ck_assert(p->label && p->label_zh && p->doc && p->doc_zh && p->fields && p->dialects && p->dialects[0]);
		ck_assert(p->conf_size == 0 || p->conf_size >= sizeof(struct dp_provider_options));
		if (p->base_url)
			ck_assert_msg(dp_base_url_parse(&u, gw_str_c(p->base_url), why, sizeof why), "%s: %s", p->type, why);
		if (p->api_key_required)
			ck_assert_ptr_nonnull(p->base_url);
		for (const struct gw_field *f = p->fields; f->name; f++)
			ck_assert(f->doc && f->doc_zh);
	}
	ck_assert_ptr_null(dp_provider_find(GW_STR("nothing")));
	ck_assert(dp_provider_speaks(type("anthropic"), &dp_anthropic_messages) && !dp_provider_speaks(type("anthropic"), &dp_openai_chat));
}
END_TEST

START_TEST(the_catalogue_says_it)
{
	struct gw_catalog *c = dp_catalog_build();
	json_t *v = gw_catalog_json(c), *types = json_object_get(v, "provider_types"), *plugins = json_object_get(v, "plugins");
	size_t i, found = 0;
	json_t *row;

	json_array_foreach(types, i, row)
		if (strcmp(json_string_value(json_object_get(row, "name")), "deepseek") == 0) {
			found++;
			ck_assert_str_eq(json_string_value(json_object_get(row, "default_base_url")), "https://api.deepseek.com/v1");
			ck_assert_ptr_nonnull(json_object_get(json_object_get(row, "label"), "zh"));
			ck_assert(json_array_size(json_object_get(row, "fields")) >= 3);
			ck_assert(json_is_true(json_object_get(row, "api_key_required")));
			ck_assert(json_is_false(json_object_get(row, "base_url_required")));
		}
	ck_assert_uint_eq(found, 1);
	ck_assert_uint_ge(json_array_size(plugins), 2);
	ck_assert_str_eq(json_string_value(json_object_get(json_array_get(plugins, 0), "rank")), "AUTHZ");
	json_decref(v);
	gw_catalog_close(&c);
}
END_TEST

UNIT_MAIN("provider", verdicts, details_of_a_fault, how_long_to_wait, how_long_a_limit_lasts, plans, headers_of_an_attempt,
          a_key_that_breaks_the_grammar_is_not_sent, the_table_is_sound, the_catalogue_says_it)
