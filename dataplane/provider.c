/* provider.c - the registry of provider types, their request headers, and how their errors are judged. */
#include "provider.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/str.h"
#include "base/time.h"
#include "http/headers.h"

extern const struct dp_provider *const dp_providers[];

/* What most clients can use comes first: the types that speak OpenAI's chat. */
const struct dp_provider *dp_provider_at(size_t i)
{
	for (int chat = 1; chat >= 0; chat--)
		for (size_t table = 0; dp_providers[table]; table++)
			for (const struct dp_provider *p = dp_providers[table]; p->type; p++)
				if (dp_provider_speaks(p, &dp_openai_chat) == (bool)chat && i-- == 0)
					return p;
	return NULL;
}

const struct dp_provider *dp_provider_find(struct gw_str type)
{
	for (size_t table = 0; dp_providers[table]; table++)
		for (const struct dp_provider *p = dp_providers[table]; p->type; p++)
			if (type.n && p->type[0] == type.p[0] && gw_str_is(type, p->type)) /* lengths of the others do not matter */
				return p;
	return NULL;
}

const char *dp_fault_name(enum dp_fault_kind k)
{
	static const char *const names[] = {
#define X(name, text, doc) text,
		DP_FAULT_TABLE(X)
#undef X
	};

	assert(k < DP_FAULT_COUNT);
	return names[k];
}

bool dp_provider_speaks(const struct dp_provider *p, const struct dp_dialect *d)
{
	for (size_t i = 0; p->dialects[i]; i++)
		if (p->dialects[i] == d)
			return true;
	return false;
}

/* ---- the request ---- */

static bool any_glob(const char *const *globs, struct gw_str model)
{
	for (; globs && *globs; globs++)
		if (gw_glob_match(gw_str_c(*globs), model))
			return true;
	return false;
}

static const struct dp_provider_options *options(const struct dp_provider *p, const void *conf)
{
	static const struct dp_provider_options none;

	return conf && p->conf_size ? conf : &none;
}

bool dp_provider_stream_only(const struct dp_provider *p, const void *conf, struct gw_str model)
{
	const struct dp_provider_options *o = options(p, conf);

	for (size_t i = 0; i < o->stream_only.n; i++)
		if (gw_glob_match(o->stream_only.v[i], model))
			return true;
	return any_glob(p->stream_only, model);
}

struct dp_rewrite dp_provider_plan(const struct dp_provider *p, const void *conf, const struct dp_request *q,
                                   struct gw_str model, bool usage_refused)
{
	const struct dp_provider_options *o = options(p, conf);
	struct dp_rewrite w = { .model = model };
	bool chat = q->op->kind == DP_OP_CHAT;
	bool ask = o->ask_usage == DP_ASK_AUTO ? p->usage == DP_USAGE_ASK : o->ask_usage == DP_ASK_YES;

	w.force_stream = chat && !q->stream && dp_provider_stream_only(p, conf, model);
	w.ask_usage = ask && !usage_refused && q->op->stream_options && (q->stream || w.force_stream) && !q->wants_usage;
	w.strip_reasoning = chat && (o->strip_reasoning == DP_STRIP_AUTO ? any_glob(p->strip_reasoning, model)
	                                                                 : o->strip_reasoning == DP_STRIP_ALWAYS);
	return w;
}

static void add(struct gw_pair *out, size_t *n, struct gw_str name, struct gw_str value)
{
	if (*n < DP_PROVIDER_MAX_HEADERS && dp_header_ok(name, value))
		out[(*n)++] = (struct gw_pair){ name, value };
}

static struct gw_str bearer(struct gw_arena *a, struct gw_str key)
{
	struct gw_str scheme = GW_STR("Bearer ");
	char *text = gw_arena_alloc(a, scheme.n + key.n);

	memcpy(text, scheme.p, scheme.n);
	memcpy(text + scheme.n, key.p, key.n);
	return (struct gw_str){ text, scheme.n + key.n };
}

size_t dp_provider_headers(const struct dp_provider *p, const void *conf, struct gw_str key,
                           const struct gw_pair *client, size_t n_client, struct gw_arena *a,
                           struct gw_pair out[DP_PROVIDER_MAX_HEADERS])
{
	size_t n = 0;

	if (key.n && p->auth == DP_AUTH_BEARER)
		add(out, &n, GW_STR("authorization"), bearer(a, key));
	else if (key.n)
		add(out, &n, GW_STR("x-api-key"), key);
	for (const struct gw_pair *h = p->headers; h && h->name.p; h++)
		if (!dp_header_find(client, n_client, h->name.p).p)
			add(out, &n, h->name, h->value);
	if (p->option_headers && conf)
		p->option_headers(conf, out, DP_PROVIDER_MAX_HEADERS, &n);
	return n;
}

/* ---- how long to wait ---- */

static int64_t capped(double ms)
{
	if (!(ms >= 0))
		return -1;
	return ms > DP_RETRY_AFTER_MAX_MS ? DP_RETRY_AFTER_MAX_MS : (int64_t)ms;
}

/* A plain decimal number, nothing else; -1: it is none. */
static double decimal(struct gw_str s)
{
	double v = 0, unit = 1;
	bool dot = false, any = false;

	for (size_t i = 0; i < s.n; i++) {
		if (s.p[i] == '.' && !dot) {
			dot = true;
			continue;
		}
		if (s.p[i] < '0' || s.p[i] > '9')
			return -1;
		any = true;
		if (dot)
			unit /= 10;
		v = dot ? v + unit * (s.p[i] - '0') : v * 10 + (s.p[i] - '0');
	}
	return any ? v : -1;
}

/* Days since 1970-01-01 in the Gregorian calendar (Howard Hinnant's days_from_civil). */
static int64_t days(int64_t y, int64_t m, int64_t d)
{
	int64_t era, yoe, doy;

	y -= m <= 2;
	era = y / 400;
	yoe = y - era * 400;
	doy = (153 * (m + (m > 2 ? -3 : 9)) + 2) / 5 + d - 1;
	return era * 146097 + yoe * 365 + yoe / 4 - yoe / 100 + doy - 719468;
}

/* n decimal digits, leading zeros included; -1: something else. */
static int64_t fixed(const char *p, size_t n)
{
	int64_t v = 0;

	for (size_t i = 0; i < n; i++) {
		if (p[i] < '0' || p[i] > '9')
			return -1;
		v = v * 10 + (p[i] - '0');
	}
	return v;
}

/* RFC 9110 5.6.7: "Sun, 06 Nov 1994 08:49:37 GMT"; the obsolete forms are left to guesswork elsewhere.  -1: no date. */
static int64_t http_date_ms(struct gw_str s)
{
	static const char months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
	int64_t d, y, h, mi, sec;
	size_t m;

	if (s.n != 29 || !gw_str_ends(s, GW_STR(" GMT")) || s.p[3] != ',')
		return -1;
	for (m = 0; m < 12 && memcmp(months + m * 3, s.p + 8, 3) != 0; m++)
		;
	d = fixed(s.p + 5, 2);
	y = fixed(s.p + 12, 4);
	h = fixed(s.p + 17, 2);
	mi = fixed(s.p + 20, 2);
	sec = fixed(s.p + 23, 2);
	if (m == 12 || d < 1 || d > 31 || y < 1970 || h < 0 || h > 23 || mi < 0 || mi > 59 || sec < 0 || sec > 60)
		return -1;
	return (((days(y, (int64_t)m + 1, d) * 24 + h) * 60 + mi) * 60 + sec) * 1000;
}

/* "1h2m3.5s", "18.642s", "34.4s", "250ms" at the start of s; -1: none. */
static double go_duration_ms(struct gw_str s)
{
	double total = 0;
	bool any = false;

	while (s.n) {
		size_t n = 0, u = 0;
		double v, unit;

		while (n < s.n && ((s.p[n] >= '0' && s.p[n] <= '9') || (s.p[n] == '.' && n + 1 < s.n && s.p[n + 1] >= '0' &&
		                                                         s.p[n + 1] <= '9')))
			n++;
		v = decimal((struct gw_str){ s.p, n });
		if (v < 0)
			break;
		while (n + u < s.n && s.p[n + u] >= 'a' && s.p[n + u] <= 'z')
			u++;
		if (u == 2 && memcmp(s.p + n, "ms", 2) == 0)
			unit = 1;
		else if (u >= 1 && s.p[n] == 's')
			unit = 1000;
		else if (u == 1 && s.p[n] == 'm')
			unit = 60000;
		else if (u == 1 && s.p[n] == 'h')
			unit = 3600000;
		else
			break;
		total += v * unit;
		any = true;
		s = gw_str_from(s, n + u);
	}
	return any ? total : -1;
}

/* The first place in `hay` where `needle` stands, in any case; false: nowhere.  Bodies are at most 16 KiB. */
static bool find_ci(struct gw_str hay, const char *needle, size_t *at)
{
	size_t n = strlen(needle);

	for (size_t i = 0; i + n <= hay.n; i++)
		if ((hay.p[i] | 0x20) == (needle[0] | 0x20) &&
		    gw_str_ieq((struct gw_str){ hay.p + i, n }, (struct gw_str){ needle, n })) {
			*at = i;
			return true;
		}
	return false;
}

/* "Please try again in 18.642s." and its kin: the number behind the words. */
static int64_t wait_in_text(struct gw_str body)
{
	static const char *const words[] = { "try again in ", "retry after ", "retry in ", "wait " };
	size_t at;

	for (size_t i = 0; i < GW_COUNT(words); i++) {
		struct gw_str s;
		size_t n = 0;
		double ms;

		if (!find_ci(body, words[i], &at))
			continue;
		s = gw_str_from(body, at + strlen(words[i]));
		ms = go_duration_ms(s);
		if (ms >= 0)
			return capped(ms);
		while (n < s.n && s.p[n] >= '0' && s.p[n] <= '9')
			n++;
		if (n && gw_str_starts(gw_str_from(s, n), GW_STR(" second")))
			return capped(decimal((struct gw_str){ s.p, n }) * 1000);
		if (n && gw_str_starts(gw_str_from(s, n), GW_STR(" minute")))
			return capped(decimal((struct gw_str){ s.p, n }) * 60000);
	}
	return -1;
}

/* Digits alone are seconds, or a moment in Unix milliseconds when there are many; else a duration or a date. */
static int64_t reset_ms(struct gw_str s, int64_t now_ms)
{
	int64_t date = http_date_ms(s);
	double n = decimal(s);

	if (n > 1e11)
		return capped(n > (double)now_ms ? n - (double)now_ms : 0);
	if (n > 1e9) /* the same in seconds */
		return capped(n * 1000 > (double)now_ms ? n * 1000 - (double)now_ms : 0);
	if (n >= 0)
		return capped(n * 1000);
	if (date < 0 && !gw_time_parse(s, &date))
		return capped(go_duration_ms(s));
	return capped(date > now_ms ? (double)(date - now_ms) : 0);
}

/*
 * x-ratelimit-remaining-tokens: 0 says which limit was met, and x-ratelimit-reset-tokens when it is fresh again
 * (OpenAI, Groq, xAI, OpenRouter, Together); anthropic-ratelimit-tokens-remaining and -reset likewise.  Of several that
 * were met the last to come back counts.
 */
static int64_t wait_in_limits(const struct dp_reply *r, int64_t now_ms)
{
	static const struct { const char *left, *reset; } pairs[] = {
		{ "x-ratelimit-remaining-requests", "x-ratelimit-reset-requests" },
		{ "x-ratelimit-remaining-tokens", "x-ratelimit-reset-tokens" },
		{ "x-ratelimit-remaining", "x-ratelimit-reset" },
		{ "ratelimit-remaining", "ratelimit-reset" },
		{ "anthropic-ratelimit-requests-remaining", "anthropic-ratelimit-requests-reset" },
		{ "anthropic-ratelimit-tokens-remaining", "anthropic-ratelimit-tokens-reset" },
		{ "anthropic-ratelimit-input-tokens-remaining", "anthropic-ratelimit-input-tokens-reset" },
		{ "anthropic-ratelimit-output-tokens-remaining", "anthropic-ratelimit-output-tokens-reset" },
	};
	int64_t wait = -1;

	for (size_t i = 0; i < GW_COUNT(pairs); i++) {
		struct gw_str left = dp_header_find(r->headers, r->n_headers, pairs[i].left);
		struct gw_str reset = dp_header_find(r->headers, r->n_headers, pairs[i].reset);
		int64_t ms = reset.n && left.n && decimal(left) == 0 ? reset_ms(reset, now_ms) : -1;

		wait = ms > wait ? ms : wait;
	}
	return wait;
}

int64_t dp_retry_after_ms(const struct dp_reply *r, int64_t now_ms)
{
	struct gw_str ms = dp_header_find(r->headers, r->n_headers, "retry-after-ms");
	struct gw_str after = dp_header_find(r->headers, r->n_headers, "retry-after");
	struct dp_json details = dp_json_doc_at(r->body, "error.details");
	struct dp_json_iter it = dp_json_iter(details);
	int64_t date;

	if (ms.n && decimal(ms) >= 0)
		return capped(decimal(ms));
	if (after.n) {
		if (decimal(after) >= 0)
			return capped(decimal(after) * 1000);
		if (go_duration_ms(after) >= 0)
			return capped(go_duration_ms(after));
		date = http_date_ms(after);
		if (date >= 0)
			return capped(date > now_ms ? (double)(date - now_ms) : 0);
	}
	while (details.type == DP_J_ARRAY && dp_json_next(&it)) {
		double delay = go_duration_ms(dp_json_inner(dp_json_at(it.value, "retryDelay")));

		if (delay >= 0)
			return capped(delay);
	}
	date = wait_in_text(r->body);
	return date < 0 && r->status == 429 ? wait_in_limits(r, now_ms) : date;
}

/* ---- judging ---- */

/* What holds for every vendor, unless its own table says otherwise; first fit wins. */
static const struct dp_fault_rule general[] = {
	{ 429, "insufficient_quota", DP_FAULT_NO_MONEY },
	{ 429, "credit_balance_exhausted", DP_FAULT_NO_MONEY },
	{ 429, "spend_limit", DP_FAULT_NO_MONEY },
	{ 429, "usage_limit_exceeded", DP_FAULT_NO_MONEY },
	{ 429, "exceeded_current_quota", DP_FAULT_NO_MONEY },
	{ 429, "insufficient balance", DP_FAULT_NO_MONEY },
	{ 429, "overloaded", DP_FAULT_OVERLOAD },
	{ 400, "credit balance is too low", DP_FAULT_NO_MONEY },
	{ 400, "arrearage", DP_FAULT_NO_MONEY },
	{ 403, "not_enough_balance", DP_FAULT_NO_MONEY },
	{ 403, "insufficient balance", DP_FAULT_NO_MONEY },
	{ 403, "overdue", DP_FAULT_NO_MONEY },
	{ 400, "incorrect api key", DP_FAULT_AUTH },
	{ 400, "invalid api key", DP_FAULT_AUTH },
	{ 400, "context_length_exceeded", DP_FAULT_CONTEXT },
	{ 400, "maximum context length", DP_FAULT_CONTEXT },
	{ 400, "prompt is too long", DP_FAULT_CONTEXT },
	{ 400, "range of input length", DP_FAULT_CONTEXT },
	{ 400, "input is too long", DP_FAULT_CONTEXT },
	{ 400, "model not exist", DP_FAULT_NO_MODEL },
	{ 0, "model_not_found", DP_FAULT_NO_MODEL },
	{ 402, NULL, DP_FAULT_NO_MONEY },
	{ 401, NULL, DP_FAULT_AUTH },
	{ 403, NULL, DP_FAULT_AUTH },
	{ 404, NULL, DP_FAULT_NO_MODEL },
	{ 408, NULL, DP_FAULT_SERVER },
	{ 409, NULL, DP_FAULT_SERVER },
	{ 498, NULL, DP_FAULT_OVERLOAD },
	{ 429, NULL, DP_FAULT_RATE },
	{ 503, NULL, DP_FAULT_OVERLOAD },
	{ 529, NULL, DP_FAULT_OVERLOAD },
	{ 0, NULL, DP_FAULT_NONE },
};

/* Errors inside a 200 answer carry no status; these words stand for one. */
static const struct dp_fault_rule inside[] = {
	{ 0, "insufficient_quota", DP_FAULT_NO_MONEY }, { 0, "insufficient balance", DP_FAULT_NO_MONEY },
	{ 0, "authentication", DP_FAULT_AUTH }, { 0, "invalid_api_key", DP_FAULT_AUTH },
	{ 0, "rate_limit", DP_FAULT_RATE }, { 0, "rate limit", DP_FAULT_RATE }, { 0, "\"code\":429", DP_FAULT_RATE },
	{ 0, "overloaded", DP_FAULT_OVERLOAD }, { 0, "context_length", DP_FAULT_CONTEXT },
	{ 0, "invalid_request", DP_FAULT_CLIENT }, { 0, "badrequest", DP_FAULT_CLIENT },
	{ 0, NULL, DP_FAULT_NONE },
};

static enum dp_fault_kind by_rules(const struct dp_fault_rule *rules, unsigned status, struct gw_str body)
{
	size_t at;

	for (; rules && rules->kind != DP_FAULT_NONE; rules++)
		if ((!rules->status || rules->status == status) && (!rules->needle || find_ci(body, rules->needle, &at)))
			return rules->kind;
	return DP_FAULT_NONE;
}

static enum dp_fault_kind kind_of(const struct dp_provider *p, const struct dp_reply *r)
{
	enum dp_fault_kind k = by_rules(p->faults, r->status, r->body);

	if (k != DP_FAULT_NONE)
		return k;
	if (r->status < 400)
		k = by_rules(inside, r->status, r->body);
	else
		k = by_rules(general, r->status, r->body);
	if (k != DP_FAULT_NONE)
		return k;
	return r->status >= 400 && r->status < 500 ? DP_FAULT_CLIENT : DP_FAULT_SERVER;
}

static void say(struct dp_fault *f, const struct dp_reply *r, struct gw_str secret)
{
	struct gw_buf message, clean;
	size_t n;

	gw_buf_init(&message, 1024);
	gw_buf_init(&clean, 4096);
	dp_error_message(&message, r->body);
	dp_add_blotted(&clean, gw_buf_str(&message), secret);
	if (!clean.n)
		gw_buf_printf(&clean, "the provider answered with status %u", r->status);
	n = clean.n < sizeof f->text ? clean.n : sizeof f->text - 1;
	while (n < clean.n && n > 0 && ((unsigned char)clean.p[n] & 0xc0) == 0x80)
		n--;
	memcpy(f->text, clean.p, n);
	gw_buf_fini(&message);
	gw_buf_fini(&clean);
}

struct dp_fault dp_provider_judge(const struct dp_provider *p, const struct dp_reply *r, struct gw_str secret,
                                  int64_t now_ms)
{
	struct dp_fault f = { .retry_after_ms = -1 };
	bool refused;
	size_t at;

	/* A good status without an error object is a good answer; a redirect is nothing we follow, hence broken. */
	if (r->status >= 200 && r->status < 300 && !dp_json_truthy(dp_json_doc_at(r->body, "error")))
		return f;
	f.kind = kind_of(p, r);
	f.usage_refused = (r->status == 400 || r->status == 422) && find_ci(r->body, "stream_options", &at);
	f.key_is_bad = f.kind == DP_FAULT_AUTH || f.kind == DP_FAULT_NO_MONEY;
	/* A model, a prompt or a request that is refused here by a 4xx is answered as it is: hiding it would hide a mistake. */
	refused = f.kind != DP_FAULT_CLIENT && r->status >= 401 && r->status <= 403;
	f.next_key = f.key_is_bad || f.kind == DP_FAULT_RATE || refused;
	f.next_target = f.key_is_bad || f.kind == DP_FAULT_RATE || f.kind == DP_FAULT_OVERLOAD || f.kind == DP_FAULT_SERVER || refused;
	f.retry_after_ms = dp_retry_after_ms(r, now_ms);
	say(&f, r, secret);
	return f;
}
