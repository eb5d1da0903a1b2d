/*
 * request-ratelimit: so many requests per window, for each consumer, address or for the whole route.
 *
 * A refused request takes nothing.  The answer always says how much is left (x-ratelimit-*-requests).
 */
#include <stdio.h>

#include "plugin.h"

enum by { BY_CONSUMER, BY_IP, BY_ROUTE };
static const char *const by_words[] = { "consumer", "ip", "route", NULL };

struct conf { int64_t limit_by, requests, window; };

static const struct gw_field fields[] = {
	GW_FIELD_ENUM(struct conf, limit_by, "limit_by", by_words, BY_CONSUMER,
	              "Who has a window of their own: each consumer, each client address, or the route as a whole.",
	              "限流维度：每个消费者、每个客户端地址，或整条路由。"),
	GW_FIELD_INT(struct conf, requests, "requests", 1, 1000000000, 60, "Requests per window.", "每个窗口允许的请求数。"),
	GW_FIELD_MS(struct conf, window, "window", 1000, 86400000, 60000, "Length of the window.", "窗口长度。"),
	GW_FIELD_END
};

/* Two limits of one plugin on different routes must not share a window, so the route is part of the key. */
static struct gw_str key_of(struct dp_call *c, const struct conf *cf, char *buf, size_t cap)
{
	struct gw_str who = cf->limit_by == BY_CONSUMER ? dp_consumer(c) : cf->limit_by == BY_IP ? dp_client_ip(c) : GW_STR("");
	struct gw_str route = dp_route(c);
	int n;

	/* Anonymous callers of a route without keys are told apart by address, or one would use up everybody's share. */
	if (cf->limit_by == BY_CONSUMER && !who.p)
		who = dp_client_ip(c);
	n = snprintf(buf, cap, "rr/%s/%.*s/%.*s", by_words[cf->limit_by], (int)route.n, route.p ? route.p : "", (int)who.n,
	             who.p ? who.p : "");
	return (struct gw_str){ buf, (size_t)n < cap ? (size_t)n : cap - 1 };
}

static void show(struct dp_call *c, const char *name, int64_t value)
{
	char text[24];
	int n = snprintf(text, sizeof text, "%lld", (long long)value);

	dp_reply_header(c, name, (struct gw_str){ text, (size_t)n });
}

static enum dp_verdict on_body(struct dp_call *c)
{
	const struct conf *cf = c->conf;
	char key[256];

	dp_claim(c, &(struct dp_claim){
		.key = key_of(c, cf, key, sizeof key), .kind = DP_CLAIM_BUCKET, .limit = cf->requests, .window_ms = cf->window,
		.amount = { 1, 1 }, .keeps = true, .scope = gw_str_c(by_words[cf->limit_by]), .label = GW_STR("requests"), .unit = "requests",
	});
	return DP_NEXT;
}

static void on_admission(struct dp_call *c, const struct dp_claim_state *v, size_t n, const struct dp_claim_state *refused)
{
	const struct conf *cf = c->conf;

	(void)n;
	show(c, "x-ratelimit-limit-requests", cf->requests);
	show(c, "x-ratelimit-remaining-requests", v->left);
	if (refused)
		dp_deny(c, 429, "rate_limit_error", "rate_limit_exceeded", refused->wait_ms,
		        "request rate limit reached: %lld requests per %lld s; try again in %lld s", (long long)cf->requests,
		        (long long)(cf->window / 1000), (long long)((refused->wait_ms + 999) / 1000));
}

extern const struct dp_plugin dp_plugin_request_ratelimit;
const struct dp_plugin dp_plugin_request_ratelimit = {
	.abi = DP_PLUGIN_ABI, .name = "request-ratelimit", .label = "Request rate limit", .label_zh = "请求限流",
	.rank = DP_RANK_LIMIT, .doc = "Limits how many requests come through per window.",
	.doc_zh = "限制单位时间内的请求数。",
	.fields = fields, .conf_size = sizeof(struct conf), .on = { [DP_HOOK_BODY] = on_body },
	.on_admission = on_admission,
};
