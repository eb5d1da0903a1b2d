/*
 * rules.h - whom a limit concerns: what the limiting plugins have in common.
 *
 * A limit has a dimension (each consumer, each address, each value of a header…) and an amount.  The settings hold one,
 * and `rules` for more: a rule for certain values replaces the general one of its dimension, everything else adds up.
 * Two rules are of one dimension when limit_by, name, count and window are the same.  For a value the rule that names it
 * wins, else the first whose regex or networks hold it, else the one for all.
 */
#ifndef DP_PLUGINS_LIMITS_RULES_H
#define DP_PLUGINS_LIMITS_RULES_H

#include "plugin.h"

#define DP_LIMIT_RULES_MAX 64
#define DP_LIMIT_HITS_MAX 32     /* limits of one plugin that concern one request; more are a reason to break */

#define DP_LIMIT_BY(X)                                                                                 \
	X(CONSUMER, "consumer") X(GROUP, "group") X(API_KEY, "api_key") X(IP, "ip") X(ROUTE, "route") \
	X(MODEL, "model") X(HEADER, "header") X(QUERY, "query") X(COOKIE, "cookie") X(ALL, "all")
enum dp_limit_by {
#define X(name, text) DP_BY_##name,
	DP_LIMIT_BY(X)
#undef X
};
extern const char *const dp_limit_by_words[];
extern const char *const dp_limit_count_words[];      /* "total" "prompt" "completion" */
enum dp_limit_count { DP_COUNT_TOTAL, DP_COUNT_PROMPT, DP_COUNT_COMPLETION };
extern const char *const dp_limit_algorithm_words[];  /* "sliding_window" "token_bucket" */
extern const char *const dp_limit_targets_words[];
enum dp_limit_targets { DP_TARGETS_AUTO, DP_TARGETS_ALL, DP_TARGETS_PRIMARY, DP_TARGETS_FALLBACK };
extern const char *const dp_limit_outage_words[];     /* as enum dp_outage */

/* One limit.  Members that a plugin does not offer keep 0. */
struct dp_limit {
	int64_t limit_by;
	struct gw_str name;              /* of the header, query parameter or cookie */
	struct gw_strv values;           /* with regex and networks: whom a rule is for; all empty: everybody */
	struct gw_pattern regex;
	struct gw_netv networks;
	int64_t shared;                  /* all values of the rule use one counter */
	int64_t amount, count, window, algorithm;
};

/* The first member of every such plugin's conf. */
struct dp_limits {
	struct dp_limit base;            /* amount 0: only the rules */
	struct gw_objects rules;         /* of struct dp_limit */
	int64_t targets, outage;
};

/* Rows of field tables; `base` where the settings have it, nothing in a rule's own table: GW_LIMIT_…(struct, member). */
#define DP_LIMIT_BY_FIELD(S, m)                                                                                  \
	GW_FIELD_ENUM(S, m limit_by, "limit_by", dp_limit_by_words, DP_BY_CONSUMER,                               \
	              "Who has a counter of their own: each consumer, group, API key, client address, route, model, " \
	              "value of a header, query parameter or cookie, or all together. A caller without a consumer "   \
	              "counts by address.",                                                                           \
	              "限流维度：每个消费者、消费者组、API 密钥、客户端地址、路由、模型、某个请求头 / 查询参数 / Cookie 的值，或全部合计。匿名调用按地址计算。")
#define DP_LIMIT_NAME_FIELD(S, m)                                                                                 \
	GW_FIELD_TEXT_WHEN(S, m name, "name", GW_F_NEEDED, 128, "limit_by=header|query|cookie",                    \
	                   "Name of the header, query parameter or cookie. Requests without it are not limited by it.", \
	                   "请求头、查询参数或 Cookie 的名称。没有该值的请求不受此限制。")
#define DP_LIMIT_WHOM_FIELDS                                                                                       \
	GW_FIELD_LIST(struct dp_limit, values, "values", 0, 1000,                                                   \
	              "Values this rule is for, such as names of consumers.", "此规则适用的值，例如消费者名称。"),     \
	GW_FIELD_REGEX(struct dp_limit, regex, "regex", 512, "... or a regular expression for whole values.",         \
	               "或用正则表达式匹配整个值。"),                                                                \
	GW_FIELD_NETS_WHEN(struct dp_limit, networks, "networks", 0, 1000, "limit_by=ip",                            \
	                   "... or addresses and networks, like 10.0.0.0/8.", "或地址与网段，例如 10.0.0.0/8。"),        \
	GW_FIELD_BOOL(struct dp_limit, shared, "shared", 0, "All values of this rule use one counter together.",      \
	              "此规则的所有值共用一个计数器。")
#define DP_LIMIT_WINDOW_FIELDS(S, m, usual)                                                                        \
	GW_FIELD_MS(S, m window, "window", 1000, 2678400000, 60000, "Length of the window.", "窗口长度。"),          \
	GW_FIELD_ENUM(S, m algorithm, "algorithm", dp_limit_algorithm_words, usual,                                 \
	              "sliding_window: never more in any window. token_bucket: refills evenly, a burst may be as large as the limit.", \
	              "sliding_window：任意窗口内都不超过；token_bucket：匀速补充，突发最多为一个限额。")
#define DP_LIMIT_COMMON_FIELDS(S, m)                                                                               \
	GW_FIELD_ENUM(S, m targets, "targets", dp_limit_targets_words, DP_TARGETS_AUTO,                             \
	              "Which targets the limit concerns. auto: those of the route and its fallback ones; but a limit " \
	              "of a route whose fallback acts on rate_limited leaves the fallback targets alone.",           \
	              "限制涉及哪些目标。auto：路由自身与回退目标；若路由的回退条件含 rate_limited，则路由自己的限制不涉及回退目标。"), \
	GW_FIELD_ENUM(S, m outage, "on_outage", dp_limit_outage_words, DP_OUTAGE_DEFAULT,                              \
	              "What holds while the shared counters cannot be reached; default: as in the settings.",        \
	              "共享计数器不可用时的做法；default 表示按系统设置。")

/* A limit that concerns this request, and the value that is counted. */
struct dp_limit_hit { const struct dp_limit *limit; struct gw_str who; };
/* How many there are; above DP_LIMIT_HITS_MAX (a consumer in very many groups) the plugin cannot do its duty. */
size_t dp_limits_find(struct dp_call *c, const struct dp_limits *conf, struct dp_limit_hit out[DP_LIMIT_HITS_MAX]);

/*
 * The claim for it: key, kind, window, owner and targets are set, amount for both phases where it concerns them.  Texts
 * are written into `buf`.
 */
#define DP_LIMIT_TEXT 1400
void dp_limit_claim(struct dp_call *c, const char *plugin, const struct dp_limits *conf, const struct dp_limit_hit *hit,
                    int64_t amount, struct dp_claim *out, char buf[DP_LIMIT_TEXT]);

/* "1000 tokens per 1m for consumer `app1`"; what of it is NULL for a limit of what is in flight. */
void dp_limit_words(const struct dp_limit_hit *hit, const char *what, char *out, size_t cap);
/* x-ratelimit-{limit,remaining,reset}-<unit>, of the state with the least left in proportion. */
void dp_limit_headers(struct dp_call *c, const char *unit, const struct dp_claim_state *v, size_t n);
/* Whole seconds of a wait, rounded up, at least 1. */
long long dp_limit_seconds(int64_t wait_ms);

#endif
