/*
 * parameter-policy: what a request may say, parameter by parameter.
 *
 * A rule is one line of text: a path in the request's body, a colon, what is allowed, and what to do otherwise:
 *
 *   temperature: 0..1                 a range; either end may be left out
 *   max_tokens: ..4096, default 1024  put in where the request says nothing
 *   n: = 1                            always this, whatever the request says
 *   reasoning_effort: low|medium, clamp
 *   tools: absent                     must not be there; clamp takes it out
 *
 * What breaks a rule is refused with 400, or with `clamp` brought to the nearest allowed value (of a list: the first).
 * Two names of old and new APIs are one parameter here: max_tokens also stands for max_completion_tokens and
 * max_output_tokens, reasoning_effort for reasoning.effort; a rule about any of them is about all.
 *
 * Limits come after this plugin, so they see what will be sent.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "plugin.h"

#define RULES_MAX 64
#define PATH_MAX_BYTES 128
#define NAMES_MAX 3

enum on_breach { BREACH_REFUSE, BREACH_CLAMP };
static const char *const breach_words[] = { "refuse", "clamp", NULL };

struct conf { struct gw_strv rules; int64_t on_breach; struct gw_str message; };

/* What read_rule() takes, for those who cannot run it: the control plane refuses a bad rule by its place. */
#define SCALAR "(\"[^\"\\\\]{0,190}\"|(?:(?!\\.\\.)[A-Za-z0-9_.+-]){1,200})"
#define NUM    "-?[0-9]+(\\.[0-9]+)?([eE][+-]?[0-9]+)?"
#define PATH   "(?!(model|stream|messages)\\s*:)[^\\s\".\\\\,:]+(\\.[^\\s\".\\\\,:]+)*"
#define ENDING "(\\s*,\\s*(clamp|refuse|default\\s+" SCALAR "))*"
static const char rule_pattern[] = "\\s*" PATH "\\s*:\\s*(absent(\\s*,\\s*(clamp|refuse))*|(?!absent\\s*(,|$))(any|=\\s*" SCALAR "|" NUM "\\s*\\.\\.\\s*(" NUM
                                   ")?|\\.\\.\\s*" NUM "|" SCALAR "(\\s*\\|\\s*" SCALAR ")*)" ENDING ")\\s*";

static const struct gw_field fields[] = {
	GW_FIELD_LINES(struct conf, rules, "rules", GW_F_REQUIRED, RULES_MAX, rule_pattern,
	              "a rule such as `temperature: 0..1`, `max_tokens: ..4096, default 1024`, `n: = 1` or `tools: absent`",
	              "One rule a line: PATH: RANGE, VALUES, = VALUE or absent; then `, clamp`, `, refuse` or `, default VALUE`. "
	              "For example `temperature: 0..1, clamp`, `max_tokens: ..4096, default 1024`, `n: = 1`, `tools: absent`.",
	              "每行一条规则：路径: 范围、取值列表、= 固定值 或 absent；其后可加 `, clamp`、`, refuse` 或 `, default 值`。"
	              "例如 `temperature: 0..1, clamp`、`max_tokens: ..4096, default 1024`、`n: = 1`、`tools: absent`。"),
	GW_FIELD_ENUM(struct conf, on_breach, "on_breach", breach_words, BREACH_REFUSE,
	              "What happens to a request that breaks a rule which does not say it itself.", "规则自身未注明时，违规请求的处理方式。"),
	GW_FIELD_TEXT(struct conf, message, "message", 0, 200, "",
	              "Put before what a refused client is told.", "拒绝时提示语的前缀。"),
	GW_FIELD_END
};

enum sort { RANGE, VALUES, FORCED, ABSENT, ANY };

struct rule {
	char path[PATH_MAX_BYTES];
	enum sort sort;
	struct gw_str low, high;         /* as written; absent: no end */
	double low_v, high_v;
	struct gw_str values;            /* "a|b|c", or the forced value */
	struct gw_str otherwise;         /* default; absent: none */
	bool clamp, said;                /* said: the rule has its own word on breaches */
};

/* ---- reading a rule; texts are borrowed from it ---- */

static bool number(struct gw_str s, double *out)
{
	char z[40], *end;

	s = gw_str_trim(s);
	if (!s.n || s.n >= sizeof z || !((s.p[0] >= '0' && s.p[0] <= '9') || s.p[0] == '-'))
		return false;
	memcpy(z, s.p, s.n);
	z[s.n] = '\0';
	*out = strtod(z, &end);
	return *end == '\0' && isfinite(*out) && !memchr(z, 'x', s.n) && !memchr(z, 'X', s.n);
}

/* A JSON number, true, false, null, or a string: quoted, or bare where that cannot be mistaken. */
static bool is_scalar(struct gw_str s)
{
	double v;

	if (!s.n || s.n > 200)
		return false;
	if (s.p[0] == '"')
		return s.n >= 2 && s.p[s.n - 1] == '"' && !memchr(s.p + 1, '"', s.n - 2) && !memchr(s.p, '\\', s.n);
	if (number(s, &v))
		return true;
	for (size_t i = 0; i < s.n; i++) {
		unsigned char c = (unsigned char)s.p[i];

		if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '_' || c == '.'))
			return false;
	}
	return true;
}

/* "a|b"; every one of them written in JSON or as a bare word. */
static bool are_scalars(struct gw_str list)
{
	while (list.p)
		if (!is_scalar(gw_str_trim(gw_str_cut(&list, '|'))))
			return false;
	return true;
}

static bool read_path(struct rule *r, struct gw_str path)
{
	if (!path.n || path.n >= sizeof r->path || path.p[0] == '.' || path.p[path.n - 1] == '.')
		return false;
	for (size_t i = 0; i < path.n; i++) {
		unsigned char c = (unsigned char)path.p[i];

		if (c <= 0x20 || c == '"' || c == '\\' || (c == '.' && path.p[i + 1] == '.'))
			return false;
	}
	memcpy(r->path, path.p, path.n);
	r->path[path.n] = '\0';
	return true;
}

static const char *read_allowed(struct rule *r, struct gw_str s)
{
	size_t at;

	if (gw_str_is(s, "absent")) {
		r->sort = ABSENT;
	} else if (gw_str_is(s, "any")) {
		r->sort = ANY;
	} else if (s.n && s.p[0] == '=') {
		r->sort = FORCED;
		r->values = gw_str_trim(gw_str_from(s, 1));
		return is_scalar(r->values) ? NULL : "needs a single value behind `=`";
	} else if (gw_str_find(s, GW_STR(".."), &at)) {
		r->sort = RANGE;
		r->low = gw_str_trim((struct gw_str){ s.p, at });
		r->high = gw_str_trim(gw_str_from(s, at + 2));
		r->low_v = -INFINITY;
		r->high_v = INFINITY;
		if ((!r->low.n && !r->high.n) || (r->low.n && !number(r->low, &r->low_v)) || (r->high.n && !number(r->high, &r->high_v)))
			return "needs numbers on both sides of `..`, or on one";
		if (r->low_v > r->high_v) { /* 2..1 means 1..2 */
			struct gw_str text = r->low;
			double v = r->low_v;

			r->low = r->high;
			r->low_v = r->high_v;
			r->high = text;
			r->high_v = v;
		}
		return NULL;
	} else {
		r->sort = VALUES;
		r->values = s;
		return are_scalars(s) ? NULL : "needs a range like 0..1, values like low|medium, `= VALUE`, `absent` or `any`";
	}
	return NULL;
}

/* NULL: *r is filled; else what is wrong with it. */
static const char *read_rule(struct rule *r, struct gw_str text)
{
	struct gw_str rest = text, path = gw_str_trim(gw_str_cut(&rest, ':')), allowed;
	const char *fault;

	memset(r, 0, sizeof *r);
	if (!rest.p)
		return "needs a colon between the path and what is allowed";
	if (!read_path(r, path))
		return "begins with no path: names joined by dots, like reasoning.effort";
	if (gw_str_is(path, "model") || gw_str_is(path, "stream") || gw_str_is(path, "messages"))
		return "cannot be about `model`, `stream` or `messages`: routes decide about models, clients about streams";
	allowed = gw_str_trim(gw_str_cut(&rest, ','));
	fault = read_allowed(r, allowed);
	while (!fault && rest.p) {
		struct gw_str word = gw_str_trim(gw_str_cut(&rest, ','));

		if (gw_str_is(word, "clamp") || gw_str_is(word, "refuse")) {
			r->said = true;
			r->clamp = gw_str_is(word, "clamp");
		} else if (gw_str_starts(word, GW_STR("default "))) {
			r->otherwise = gw_str_trim(gw_str_from(word, 8));
			if (!is_scalar(r->otherwise) || r->sort == ABSENT)
				fault = "has no usable value behind `default`";
		} else {
			fault = "may only go on with `clamp`, `refuse` or `default VALUE`";
		}
	}
	return fault;
}

static enum gw_rc check(const void *conf, struct gw_error *err)
{
	const struct conf *cf = conf;
	struct rule r;

	for (size_t i = 0; i < cf->rules.n; i++) {
		const char *fault = read_rule(&r, cf->rules.v[i]);

		if (fault) {
			gw_fail(err, GW_INVALID, NULL, "rule %zu %s", i + 1, fault);
			gw_error_prefix(err, "/rules/%zu", i);
			return GW_INVALID;
		}
	}
	return GW_OK;
}

/* ---- a request ---- */

/* The names under which the parameter may stand, the one to put it in under first. */
static size_t names_of(const struct rule *r, struct gw_str operation, const char *names[NAMES_MAX])
{
	static const char *const limits[] = { "max_tokens", "max_completion_tokens", "max_output_tokens" };
	static const char *const efforts[] = { "reasoning_effort", "reasoning.effort" };
	bool responses = gw_str_is(operation, "responses");

	for (size_t i = 0; i < 3; i++)
		if (strcmp(r->path, limits[i]) == 0) {
			names[0] = responses ? limits[2] : limits[0];
			names[1] = limits[1];
			names[2] = responses ? limits[0] : limits[2];
			return 3;
		}
	for (size_t i = 0; i < 2; i++)
		if (strcmp(r->path, efforts[i]) == 0) {
			names[0] = efforts[responses];
			names[1] = efforts[!responses];
			return 2;
		}
	names[0] = r->path;
	return 1;
}

/* `written` as JSON: a bare word gets its quotes.  Into buf, which takes any scalar of a rule. */
static struct gw_str as_json(struct gw_str written, char *buf, size_t cap)
{
	double v;
	int n;

	if (written.p[0] == '"' || number(written, &v) || gw_str_is(written, "true") || gw_str_is(written, "false") ||
	    gw_str_is(written, "null"))
		return written;
	n = snprintf(buf, cap, "\"%.*s\"", (int)written.n, written.p);
	return (struct gw_str){ buf, (size_t)n < cap ? (size_t)n : cap - 1 };
}

static bool same(struct gw_str raw, struct gw_str written)
{
	char buf[220];
	double a, b;

	if (number(raw, &a) && number(written, &b))
		return a == b;
	return gw_str_eq(raw, as_json(written, buf, sizeof buf));
}

static bool among(struct gw_str raw, struct gw_str list)
{
	while (list.p)
		if (same(raw, gw_str_trim(gw_str_cut(&list, '|'))))
			return true;
	return false;
}

/* true: allowed as it stands; else *instead is the nearest allowed value, {NULL,0}: take the member out. */
static bool allowed(const struct rule *r, struct gw_str raw, struct gw_str *instead)
{
	struct gw_str list = r->values;
	double v;

	*instead = GW_STR_NONE;
	switch (r->sort) {
	case RANGE:
		if (!number(raw, &v)) {
			*instead = r->low.n ? r->low : r->high;
			return false;
		}
		*instead = v < r->low_v ? r->low : r->high;
		return v >= r->low_v && v <= r->high_v;
	case VALUES:
		*instead = gw_str_trim(gw_str_cut(&list, '|'));
		return among(raw, r->values);
	case FORCED:
		*instead = r->values;
		return same(raw, r->values);
	case ABSENT:
		return false;
	case ANY:
		return true;
	}
	return true;
}

static void describe(const struct rule *r, char *out, size_t cap)
{
	switch (r->sort) {
	case RANGE:
		if (r->low.n && r->high.n)
			snprintf(out, cap, "must be from %.*s to %.*s", GW_FMT(r->low), GW_FMT(r->high));
		else
			snprintf(out, cap, r->low.n ? "must be at least %.*s" : "must be at most %.*s", GW_FMT(r->low.n ? r->low : r->high));
		break;
	case VALUES:
	case FORCED:
		snprintf(out, cap, "must be %.*s", (int)(r->values.n < 120 ? r->values.n : 120), r->values.p);
		break;
	default:
		snprintf(out, cap, "is not allowed here");
	}
}

static enum dp_verdict refuse(struct dp_call *c, const struct conf *cf, const struct rule *r, const char *name)
{
	char what[160];

	describe(r, what, sizeof what);
	dp_deny(c, 400, "invalid_request_error", "parameter_not_allowed", 0, "%.*s%s`%s` %s.", GW_FMT(cf->message),
	        cf->message.n ? " " : "", name, what);
	return DP_ANSWERED;
}

/* What one rule wants changed; ANSWERED: refused. */
static enum dp_verdict apply(struct dp_call *c, const struct conf *cf, const struct rule *r)
{
	const char *names[NAMES_MAX];
	char buf[220];
	size_t n = names_of(r, dp_operation_name(c), names);
	bool clamp = r->said ? r->clamp : cf->on_breach == BREACH_CLAMP, there = false;

	for (size_t i = 0; i < n; i++) {
		struct gw_str raw = dp_body_member(c, names[i]), instead;
		struct dp_body_change change = { names[i], GW_STR_NONE };

		if (!raw.p || gw_str_is(raw, "null"))
			continue;
		there = true;
		if (allowed(r, raw, &instead))
			continue;
		if (!clamp && r->sort != FORCED)
			return refuse(c, cf, r, names[i]);
		if (instead.p)
			change.json = as_json(instead, buf, sizeof buf);
		if (!dp_body_change(c, &change, 1))
			return DP_BROKEN;
	}
	if (!there && (r->otherwise.p || r->sort == FORCED)) {
		struct dp_body_change change = { names[0], as_json(r->sort == FORCED ? r->values : r->otherwise, buf, sizeof buf) };

		if (!dp_body_change(c, &change, 1))
			return DP_BROKEN;
	}
	return DP_NEXT;
}

static enum dp_verdict on_body(struct dp_call *c)
{
	const struct conf *cf = c->conf;

	if (!dp_body_member(c, "model").p)
		return DP_NEXT; /* a form: it has none of these parameters */
	for (size_t i = 0; i < cf->rules.n; i++) {
		enum dp_verdict v;
		struct rule r;

		if (read_rule(&r, cf->rules.v[i]))
			return DP_BROKEN;
		v = apply(c, cf, &r);
		if (v != DP_NEXT)
			return v;
	}
	return DP_NEXT;
}

extern const struct dp_plugin dp_plugin_parameter_policy;
const struct dp_plugin dp_plugin_parameter_policy = {
	.abi = DP_PLUGIN_ABI, .name = "parameter-policy", .label = "Parameter policy", .label_zh = "参数策略",
	.rank = DP_RANK_AUTHZ, .doc = "Bounds, forces or removes parameters of requests: temperature, length, tools, reasoning effort, any path.",
	.doc_zh = "限制、强制或移除请求参数：温度、长度、工具、推理强度或任意路径。",
	.fields = fields, .conf_size = sizeof(struct conf), .check = check, .on = { [DP_HOOK_BODY] = on_body },
};
