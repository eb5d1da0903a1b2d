/*
 * spec_quota.c - one quota: whose, of what, how much, how often, and what happens then.
 */
#include "base/str.h"
#include "spec.h"

#include <stdio.h>
#include <stdlib.h>

static const char *const units[] = {
#define X(name, word) word,
	GW_QUOTA_UNIT_TABLE(X)
	NULL };
static const char *const periods[] = {
	GW_QUOTA_PERIOD_TABLE(X)
	NULL };
static const char *const subjects[] = {
	GW_QUOTA_SUBJECT_TABLE(X)
#undef X
	NULL };

static enum gw_rc read_subject(struct gw_spec *s, const json_t *o, struct gw_quota *q, struct gw_error *err)
{
	size_t n = 0;

	for (size_t i = 0; i < GW_QUOTA_SUBJECTS; i++) {
		struct gw_str who = GW_STR_NONE;
		enum gw_rc rc = gw_spec_text(o, subjects[i], 1, 128, &who, err);

		if (rc != GW_OK)
			return rc;
		if (!who.p)
			continue;
		n++;
		q->subject = (enum gw_quota_subject)i;
		q->who = gw_arena_copy(s->arena, who);
	}
	if (n == 1)
		return GW_OK;
	return gw_fail(err, GW_INVALID, n ? "/group" : "/consumer", "give exactly one of `consumer`, `group` and `key`");
}

static enum gw_rc read_exchange(struct gw_spec *s, const json_t *o, struct gw_quota *q, struct gw_error *err)
{
	json_t *list, *v;
	const char *name;
	size_t n = 0;
	char path[48];
	enum gw_rc rc = gw_spec_object(o, "exchange", &list, err);

	if (rc != GW_OK || !list)
		return rc;
	if (json_object_size(list) > GW_QUOTA_EXCHANGES)
		return gw_fail(err, GW_INVALID, "/exchange", "`exchange` must have at most %d members", GW_QUOTA_EXCHANGES);
	struct gw_exchange *x = gw_arena_array(s->arena, json_object_size(list), sizeof *x);
	json_object_foreach(list, name, v) {
		snprintf(path, sizeof path, "/exchange/%.20s", name);
		if (!gw_currency_valid(gw_str_c(name)))
			return gw_fail(err, GW_INVALID, path, "a currency must be three capital letters such as USD or CNY");
		if (!json_is_integer(v) || json_integer_value(v) < 1 || json_integer_value(v) > 1000000000000LL)
			return gw_fail(err, GW_INVALID, path, "the worth of one unit must be a whole number of micro-units, from 1 to 10^12");
		x[n++] = (struct gw_exchange){ gw_arena_copy(s->arena, gw_str_c(name)), json_integer_value(v) };
	}
	q->exchange = x;
	q->n_exchange = n;
	return GW_OK;
}

static enum gw_rc read_thresholds(const json_t *o, struct gw_quota *q, struct gw_error *err)
{
	json_t *list, *v;
	size_t i;
	char path[48];
	enum gw_rc rc = gw_spec_array(o, "thresholds", GW_QUOTA_THRESHOLDS, &list, err);

	if (rc != GW_OK || !list)
		return rc;
	q->n_thresholds = 0;
	json_array_foreach(list, i, v) {
		int64_t before = i ? q->thresholds[i - 1] : 0;

		snprintf(path, sizeof path, "/thresholds/%zu", i);
		if (!json_is_integer(v) || json_integer_value(v) <= before || json_integer_value(v) > 1000)
			return gw_fail(err, GW_INVALID, path, "thresholds must be whole per cents from 1 to 1000, each above the one before");
		q->thresholds[q->n_thresholds++] = json_integer_value(v);
	}
	return GW_OK;
}

static bool zone_is_fine(struct gw_str z)
{
	if (z.n == 0 || z.n > 63 || z.p[0] == '/' || z.p[z.n - 1] == '/')
		return false;
	for (size_t i = 0; i < z.n; i++) {
		char c = z.p[i];
		bool word = (c >= '0' && c <= '9') || ((c | 0x20) >= 'a' && (c | 0x20) <= 'z');

		if (!word && (!strchr("/_+-", c) || (c == '/' && z.p[i + 1] == '/')))
			return false;
	}
	return true;
}

static enum gw_rc read_rules(struct gw_spec *s, const json_t *o, struct gw_quota *q, struct gw_error *err)
{
	static const char *const exceeded[] = { "refuse", "allow", NULL }, *const failure[] = { "closed", "open", NULL };
	static const char *const unpriced[] = { "allow", "refuse", NULL };
	struct gw_str zone = GW_STR("UTC");
	int64_t status = 429;
	int soft = 0, open = 0, refuse = 0;
	enum gw_rc rc = gw_spec_text(o, "time_zone", 1, 63, &zone, err);

	if (rc == GW_OK)
		rc = gw_spec_word(o, "on_exceeded", exceeded, &soft, err);
	if (rc == GW_OK)
		rc = gw_spec_word(o, "on_failure", failure, &open, err);
	if (rc == GW_OK)
		rc = gw_spec_word(o, "unpriced", unpriced, &refuse, err);
	if (rc == GW_OK)
		rc = gw_json_int(o, "status", 402, 429, &status, err);
	if (rc == GW_OK && status != 402 && status != 429)
		rc = gw_fail(err, GW_INVALID, "/status", "`status` must be 402 or 429");
	if (rc == GW_OK && !zone_is_fine(zone))
		rc = gw_fail(err, GW_INVALID, "/time_zone", "`time_zone` must be an IANA name such as Asia/Shanghai");
	q->assumed_tokens = 1024;
	if (rc == GW_OK)
		rc = gw_json_int(o, "assumed_tokens", 0, 1000000, &q->assumed_tokens, err);
	q->time_zone = gw_arena_copy(s->arena, zone);
	q->hard = soft == 0;
	q->open_on_failure = open == 1;
	q->refuse_unpriced = refuse == 1;
	q->status = (unsigned)status;
	return rc;
}

static enum gw_rc read_amount(struct gw_spec *s, const json_t *o, struct gw_quota *q, struct gw_error *err)
{
	struct gw_str currency = GW_STR_NONE;
	int unit = -1, period = GW_QUOTA_PER_TOTAL;
	enum gw_rc rc = gw_spec_word(o, "unit", units, &unit, err);

	q->limit = -1;
	if (rc == GW_OK)
		rc = gw_spec_word(o, "period", periods, &period, err);
	if (rc == GW_OK)
		rc = gw_json_int(o, "limit", 0, GW_QUOTA_MAX, &q->limit, err);
	if (rc == GW_OK)
		rc = gw_spec_text(o, "currency", 1, 3, &currency, err);
	if (rc != GW_OK)
		return rc;
	if (unit < 0)
		return gw_fail(err, GW_INVALID, "/unit", "`unit` must be one of: tokens, requests, money");
	if (q->limit < 0)
		return gw_fail(err, GW_INVALID, "/limit", "`limit` is required");
	q->unit = (enum gw_quota_unit)unit;
	q->period = (enum gw_quota_period)period;
	if (unit == GW_QUOTA_MONEY && !gw_currency_valid(currency))
		return gw_fail(err, GW_INVALID, "/currency", "a quota of money needs a `currency`, three capital letters such as USD or CNY");
	if (unit != GW_QUOTA_MONEY && currency.p)
		return gw_fail(err, GW_INVALID, "/currency", "only a quota of money has a `currency`");
	q->currency = currency.p ? gw_arena_copy(s->arena, currency) : GW_STR("");
	return GW_OK;
}

enum gw_rc gw_spec_quota(struct gw_spec *s, const json_t *o, struct gw_quota *out, struct gw_error *err)
{
	static const char *const names[] = { "description", "labels", "enabled", "consumer", "group", "key", "unit", "currency", "exchange",
		"limit", "period", "time_zone", "on_exceeded", "status", "on_failure", "unpriced", "assumed_tokens", "thresholds", NULL };

	if (!json_is_object(o))
		return gw_fail(err, GW_INVALID, NULL, "a quota must be an object");
	out->thresholds[0] = 80;
	out->n_thresholds = 1;
	enum gw_rc rc = gw_spec_members(s, o, names, err);
	if (rc == GW_OK)
		rc = gw_spec_common(s, o, &out->enabled, err);
	if (rc == GW_OK)
		rc = read_subject(s, o, out, err);
	if (rc == GW_OK)
		rc = read_amount(s, o, out, err);
	if (rc == GW_OK)
		rc = read_exchange(s, o, out, err);
	if (rc == GW_OK)
		rc = read_rules(s, o, out, err);
	if (rc == GW_OK)
		rc = read_thresholds(o, out, err);
	return rc;
}

enum gw_rc gw_quota_read(struct gw_quota *out, struct gw_str name, const json_t *spec, struct gw_arena *a, struct gw_error *err)
{
	struct gw_spec s = { .arena = a };

	*out = (struct gw_quota){ .name = name };
	return gw_spec_quota(&s, spec, out, err);
}
