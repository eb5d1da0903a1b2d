/* rules.c - finding the limits that concern a request. */
#include "plugins/limits/rules.h"

#include <stdio.h>

#define WHO_MAX 160      /* bytes of a value that stand in a key; longer ones are told apart by the host's digest */

const char *const dp_limit_by_words[] = {
#define X(name, text) text,
	DP_LIMIT_BY(X)
#undef X
	NULL
};
const char *const dp_limit_count_words[] = { "total", "prompt", "completion", NULL };
const char *const dp_limit_algorithm_words[] = { "sliding_window", "token_bucket", NULL };
const char *const dp_limit_targets_words[] = { "auto", "all", "primary", "fallback", NULL };
const char *const dp_limit_outage_words[] = { "default", "local_share", "open", "closed", NULL };

/* ---- values of a dimension ---- */

/* value i of this dimension; absent past the last one. */
static struct gw_str value_at(struct dp_call *c, const struct dp_limit *l, size_t i)
{
	struct gw_strv groups;
	struct gw_str v = GW_STR_NONE;

	if (l->limit_by == DP_BY_GROUP) {
		if (dp_scope(c) == GW_SCOPE_GROUP) /* a group's own limit is one for all its members */
			return i == 0 ? dp_owner(c) : GW_STR_NONE;
		groups = dp_groups(c);
		return i < groups.n ? groups.v[i] : GW_STR_NONE;
	}
	if (i > 0)
		return GW_STR_NONE;
	switch ((enum dp_limit_by)l->limit_by) {
	case DP_BY_CONSUMER:
		v = dp_consumer(c);
		return v.p ? v : dp_client_ip(c);
	case DP_BY_API_KEY:
		v = dp_api_key(c);
		return v.p ? v : dp_client_ip(c);
	case DP_BY_IP: return dp_client_ip(c);
	case DP_BY_ROUTE: return dp_route(c);
	case DP_BY_MODEL: return dp_model(c);
	case DP_BY_HEADER: return dp_header(c, l->name.p);
	case DP_BY_QUERY: return dp_query(c, l->name.p);
	case DP_BY_COOKIE: return dp_cookie(c, l->name.p);
	case DP_BY_ALL: return GW_STR("*");
	case DP_BY_GROUP: break;
	}
	return GW_STR_NONE;
}

static bool for_all(const struct dp_limit *l)
{
	return !l->values.n && !l->regex.text.n && !l->networks.n;
}

/* 2: names it; 1: a regex or network holds it, or the rule is for all (0); -1: not meant. */
static int fits(const struct dp_limit *l, struct gw_str value)
{
	struct gw_net ip;

	if (for_all(l))
		return 0;
	for (size_t i = 0; i < l->values.n; i++)
		if (gw_str_eq(l->values.v[i], value))
			return 2;
	if (gw_pattern_matches(&l->regex, value))
		return 1;
	if (l->networks.n && gw_net_parse(value, &ip))
		for (size_t i = 0; i < l->networks.n; i++)
			if (gw_net_holds(&l->networks.v[i], &ip))
				return 1;
	return -1;
}

static bool same_dimension(const struct dp_limit *a, const struct dp_limit *b)
{
	return a->limit_by == b->limit_by && a->count == b->count && a->window == b->window && gw_str_eq(a->name, b->name);
}

/* ---- which limits ---- */

/* Limit i of the settings: the rules, then the base. */
static const struct dp_limit *limit_at(const struct dp_limits *conf, size_t i)
{
	const struct dp_limit *rules = conf->rules.v;

	return i < conf->rules.n ? &rules[i] : &conf->base;
}

static bool seen_before(const struct dp_limits *conf, size_t i)
{
	for (size_t k = 0; k < i; k++)
		if (same_dimension(limit_at(conf, k), limit_at(conf, i)))
			return true;
	return false;
}

/* The limit of this dimension that is meant for the value; NULL: none is. */
static const struct dp_limit *best(const struct dp_limits *conf, size_t from, size_t n, struct gw_str value)
{
	const struct dp_limit *found = NULL, *first = limit_at(conf, from);
	int how = -1;

	for (size_t i = from; i < n; i++) {
		const struct dp_limit *l = limit_at(conf, i);
		int fit = same_dimension(first, l) ? fits(l, value) : -1;

		if (fit > how) {
			how = fit;
			found = l;
		}
	}
	return found;
}

size_t dp_limits_find(struct dp_call *c, const struct dp_limits *conf, struct dp_limit_hit out[DP_LIMIT_HITS_MAX])
{
	size_t n = conf->rules.n + (conf->base.amount > 0), found = 0;

	for (size_t i = 0; i < n; i++) {
		struct gw_str value;

		if (seen_before(conf, i))
			continue;
		for (size_t k = 0; (value = value_at(c, limit_at(conf, i), k)).p; k++) {
			const struct dp_limit *l = best(conf, i, n, value);

			if (!l || value.n == 0)
				continue;
			if (found < DP_LIMIT_HITS_MAX)
				out[found] = (struct dp_limit_hit){ l, value };
			found++;
		}
	}
	return found;
}

/* ---- claims ---- */

static const char *const scope_words[] = {
	[GW_SCOPE_CONSUMER] = "consumer", [GW_SCOPE_GROUP] = "group", [GW_SCOPE_ROUTE] = "route", [GW_SCOPE_GLOBAL] = "global",
};

static void put_targets(struct dp_call *c, const struct dp_limits *conf, int64_t amount, struct dp_claim *out)
{
	bool route_falls = dp_scope(c) == GW_SCOPE_ROUTE && dp_falls_back_when_limited(c);
	int64_t targets = conf->targets != DP_TARGETS_AUTO ? conf->targets : route_falls ? DP_TARGETS_PRIMARY : DP_TARGETS_ALL;

	out->amount[DP_PRIMARY] = targets == DP_TARGETS_FALLBACK ? DP_NOT_CLAIMED : amount;
	out->amount[DP_FALLBACK] = targets == DP_TARGETS_PRIMARY ? DP_NOT_CLAIMED : amount;
}

/* Text into a place of fixed size: each request with a limit has some, and printf was most of their work. */
struct pen { char *at, *end; };

static void put(struct pen *p, struct gw_str s)
{
	size_t room = (size_t)(p->end - p->at), n = s.n < room ? s.n : room;

	if (n > 0)
		memcpy(p->at, s.p, n);
	p->at += n;
}

static void put_c(struct pen *p, const char *z)
{
	put(p, gw_str_c(z));
}

static void put_int(struct pen *p, int64_t v)
{
	char text[GW_INT_TEXT];

	put(p, gw_int_text(text, v));
}

/* What tells this counter from all others, but for whom it counts. */
static struct gw_str counter_name(struct dp_call *c, const char *plugin, const struct dp_limit *l, struct gw_str owner, char *buf, size_t cap)
{
	struct pen p = { buf, buf + cap };

	put_c(&p, plugin);
	put(&p, GW_STR("/"));
	put_c(&p, scope_words[dp_scope(c)]);
	put(&p, GW_STR(":"));
	put(&p, (struct gw_str){ owner.p, owner.n < 100 ? owner.n : 100 });
	put(&p, GW_STR("/"));
	put_c(&p, dp_limit_by_words[l->limit_by]);
	put(&p, l->name.n ? GW_STR(":") : GW_STR(""));
	put(&p, l->name);
	put(&p, GW_STR("/"));
	put_c(&p, dp_limit_count_words[l->count]);
	put(&p, l->algorithm ? GW_STR("/bucket/") : GW_STR("/window/"));
	put_int(&p, l->window);
	put(&p, GW_STR("/"));
	return (struct gw_str){ buf, (size_t)(p.at - buf) };
}

void dp_limit_claim(struct dp_call *c, const char *plugin, const struct dp_limits *conf, const struct dp_limit_hit *hit,
                    int64_t amount, struct dp_claim *out, char buf[DP_LIMIT_TEXT])
{
	const struct dp_limit *l = hit->limit;
	struct gw_str owner = dp_owner(c), who = hit->who;
	const struct dp_limit *rules = conf->rules.v;

	*out = (struct dp_claim){
		.kind = !l->window ? DP_CLAIM_OPEN : l->algorithm ? DP_CLAIM_BUCKET : DP_CLAIM_SLIDING,
		.limit = l->amount, .window_ms = l->window, .outage = (enum dp_outage)conf->outage,
		.scope = gw_str_c(dp_limit_by_words[l->limit_by]), .owner_scope = gw_str_c(scope_words[dp_scope(c)]), .owner = owner,
	};
	if (l->shared && !for_all(l)) {
		who = (struct gw_str){ buf, (size_t)snprintf(buf, 24, "rule %zu", (size_t)(l - rules) + 1) };
	}
	out->who = who;
	out->key = dp_digest_key(c, counter_name(c, plugin, l, owner, buf + 24, DP_LIMIT_TEXT - 24), who);
	put_targets(c, conf, amount, out);
}

/* ---- words ---- */

static void window_words(int64_t ms, char out[24])
{
	static const struct { int64_t ms; const char *unit; } units[] = { { 86400000, "d" }, { 3600000, "h" }, { 60000, "m" }, { 1000, "s" } };

	for (size_t i = 0; i < GW_COUNT(units); i++) {
		if (ms % units[i].ms == 0) {
			snprintf(out, 24, "%lld%s", (long long)(ms / units[i].ms), units[i].unit);
			return;
		}
	}
	snprintf(out, 24, "%lldms", (long long)ms);
}

void dp_limit_words(const struct dp_limit_hit *hit, const char *what, char *out, size_t cap)
{
	const struct dp_limit *l = hit->limit;
	char window[24] = "";
	struct gw_str who = hit->who;

	if (who.n > 80)
		who.n = 80;
	if (l->window)
		window_words(l->window, window);
	if (l->limit_by == DP_BY_ALL || l->shared)
		snprintf(out, cap, "%lld %s%s%s", (long long)l->amount, what, l->window ? " per " : "", window);
	else
		snprintf(out, cap, "%lld %s%s%s for %s `%.*s`", (long long)l->amount, what, l->window ? " per " : "", window,
		         dp_limit_by_words[l->limit_by], (int)who.n, who.p);
}

static void show(struct dp_call *c, const char *what, const char *unit, int64_t value, const char *behind)
{
	char name[48], text[32];
	struct pen n = { name, name + sizeof name - 1 }, t = { text, text + sizeof text };

	put_c(&n, what);
	put_c(&n, unit);
	*n.at = '\0';
	put_int(&t, value);
	put_c(&t, behind);
	dp_reply_header(c, name, (struct gw_str){ text, (size_t)(t.at - text) });
}

void dp_limit_headers(struct dp_call *c, const char *unit, const struct dp_claim_state *v, size_t n)
{
	const struct dp_claim_state *tightest = NULL;

	for (size_t i = 0; i < n; i++) {
		if (v[i].limit <= 0)
			continue;
		if (!tightest || v[i].refused > tightest->refused ||
		    (v[i].refused == tightest->refused && (double)v[i].left / (double)v[i].limit < (double)tightest->left / (double)tightest->limit))
			tightest = &v[i];
	}
	if (!tightest)
		return;
	show(c, "x-ratelimit-limit-", unit, tightest->limit, "");
	show(c, "x-ratelimit-remaining-", unit, tightest->left, "");
	if (tightest->reset_ms > 0 || !tightest->used)
		show(c, "x-ratelimit-reset-", unit, tightest->reset_ms ? dp_limit_seconds(tightest->reset_ms) : 0, "s");
}

long long dp_limit_seconds(int64_t wait_ms)
{
	return wait_ms < 1000 ? 1 : (long long)((wait_ms + 999) / 1000);
}
