/*
 * spec_price.c - one price: for what, in which currency, since when, and its rates.
 */
#include "base/str.h"
#include "base/time.h"
#include "spec.h"

#include <stdio.h>

#define OFFSET_MAX (14 * 60)

static const char *const days[] = { "mon", "tue", "wed", "thu", "fri", "sat", "sun" };

static bool model_is_fine(struct gw_str m)
{
	size_t star;

	for (size_t i = 0; i < m.n; i++)
		if ((unsigned char)m.p[i] <= 0x20 || m.p[i] == 0x7f)
			return false;
	return !gw_str_find(m, GW_STR("*"), &star) || star == m.n - 1;
}

static bool day_is_fine(struct gw_str d)
{
	for (size_t i = 0; i < GW_COUNT(days); i++)
		if (gw_str_is(d, days[i]))
			return true;
	return false;
}

bool gw_currency_valid(struct gw_str s)
{
	for (size_t i = 0; i < s.n; i++)
		if (s.p[i] < 'A' || s.p[i] > 'Z')
			return false;
	return s.n == 3;
}

static enum gw_rc read_rates(struct gw_spec *s, const json_t *o, struct gw_rates *out, struct gw_error *err)
{
	static const char *const names[] = {
#define X(name) #name,
		GW_RATE_TABLE(X)
#undef X
		NULL };
	json_t *rates;
	enum gw_rc rc = gw_spec_object(o, "rates", &rates, err);

#define X(name) out->name = -1;
	GW_RATE_TABLE(X)
#undef X
	if (rc != GW_OK || !rates)
		return rc;
	rc = gw_spec_members(s, rates, names, err);
#define X(name)                                                                                    \
	if (rc == GW_OK)                                                                           \
		rc = gw_json_int(rates, #name, 0, GW_RATE_MAX, &out->name, err);
	GW_RATE_TABLE(X)
#undef X
	if (rc != GW_OK)
		gw_error_prefix(err, "/rates");
	return rc;
}

/* Exactly two digits, up to `most`. */
static bool two_digits(const char *p, int64_t most, int64_t *out)
{
	if (p[0] < '0' || p[0] > '9' || p[1] < '0' || p[1] > '9')
		return false;
	*out = (p[0] - '0') * 10 + (p[1] - '0');
	return *out <= most;
}

/* "08:30", up to "24:00"; *out stays when the member is absent. */
static enum gw_rc read_clock(const json_t *o, const char *name, int64_t *out, struct gw_error *err)
{
	struct gw_str t = GW_STR_NONE;
	int64_t h, m;
	char path[32];
	enum gw_rc rc = gw_spec_text(o, name, 1, 5, &t, err);

	if (rc != GW_OK || !t.p)
		return rc;
	if (t.n == 5 && t.p[2] == ':' && two_digits(t.p, 24, &h) && two_digits(t.p + 3, 59, &m) && h * 60 + m <= 1440) {
		*out = h * 60 + m;
		return GW_OK;
	}
	snprintf(path, sizeof path, "/%s", name);
	return gw_fail(err, GW_INVALID, path, "`%s` must be a time of day such as 08:30, up to 24:00", name);
}

/* "+08:00"; absent: UTC. */
static enum gw_rc read_offset(const json_t *o, int64_t *out, struct gw_error *err)
{
	struct gw_str t = GW_STR_NONE;
	int64_t h, m;
	enum gw_rc rc = gw_spec_text(o, "utc_offset", 1, 6, &t, err);

	*out = 0;
	if (rc != GW_OK || !t.p)
		return rc;
	if (t.n == 6 && (t.p[0] == '+' || t.p[0] == '-') && t.p[3] == ':' && two_digits(t.p + 1, 14, &h) && two_digits(t.p + 4, 59, &m) &&
	    h * 60 + m <= OFFSET_MAX) {
		*out = (h * 60 + m) * (t.p[0] == '-' ? -1 : 1);
		return GW_OK;
	}
	return gw_fail(err, GW_INVALID, "/utc_offset", "`utc_offset` must be a distance from UTC such as +08:00");
}

static enum gw_rc read_days(struct gw_spec *s, const json_t *o, struct gw_variant *v, struct gw_error *err)
{
	static const struct gw_spec_list list = { "days", 7, 3, day_is_fine, "must be one of mon, tue, wed, thu, fri, sat, sun" };
	struct gw_strv words = { NULL, 0 };
	enum gw_rc rc = gw_spec_texts(s, o, &list, &words, err);

	v->days = words.n ? 0 : 0x7f;
	for (size_t i = 0; i < words.n; i++)
		for (unsigned d = 0; d < GW_COUNT(days); d++)
			if (gw_str_is(words.v[i], days[d]))
				v->days |= 1u << d;
	return rc;
}

static enum gw_rc read_variant(struct gw_spec *s, const json_t *o, struct gw_variant *v, struct gw_error *err)
{
	static const char *const names[] = { "above_prompt_tokens", "from", "to", "days", "utc_offset", "rates", NULL };

	*v = (struct gw_variant){ .above_prompt_tokens = -1, .to_min = 1440 };
	if (!json_is_object(o))
		return gw_fail(err, GW_INVALID, NULL, "a variant must be an object with `rates`");
	enum gw_rc rc = gw_spec_members(s, o, names, err);
	if (rc == GW_OK)
		rc = gw_json_int(o, "above_prompt_tokens", 0, (int64_t)1 << 40, &v->above_prompt_tokens, err);
	if (rc == GW_OK)
		rc = read_clock(o, "from", &v->from_min, err);
	if (rc == GW_OK)
		rc = read_clock(o, "to", &v->to_min, err);
	if (rc == GW_OK)
		rc = read_days(s, o, v, err);
	if (rc == GW_OK)
		rc = read_offset(o, &v->utc_offset_min, err);
	if (rc == GW_OK)
		rc = read_rates(s, o, &v->rates, err);
	v->timed = v->from_min != 0 || v->to_min != 1440 || v->days != 0x7f;
	if (rc == GW_OK && v->timed && v->from_min == v->to_min)
		rc = gw_fail(err, GW_INVALID, "/to", "`from` and `to` must differ");
	if (rc == GW_OK && !v->timed && v->above_prompt_tokens < 0)
		rc = gw_fail(err, GW_INVALID, NULL, "a variant needs a condition: `above_prompt_tokens`, `from` and `to`, or `days`");
	return rc;
}

static enum gw_rc read_variants(struct gw_spec *s, const json_t *o, struct gw_price *out, struct gw_error *err)
{
	json_t *list, *item;
	size_t i;
	enum gw_rc rc = gw_spec_array(o, "variants", GW_PRICE_VARIANTS, &list, err);

	if (rc != GW_OK || !list)
		return rc;
	struct gw_variant *v = gw_arena_array(s->arena, json_array_size(list), sizeof *v);
	json_array_foreach(list, i, item) {
		rc = read_variant(s, item, &v[i], err);
		if (rc != GW_OK) {
			gw_error_prefix(err, "/variants/%zu", i);
			return rc;
		}
	}
	out->variants = v;
	out->n_variants = json_array_size(list);
	return GW_OK;
}

static enum gw_rc read_subject(struct gw_spec *s, const json_t *o, struct gw_price *out, struct gw_error *err)
{
	static const struct gw_spec_list models = { "models", GW_PRICE_MODELS, 256, model_is_fine,
		"must be a model's name without blanks, with `*` at its end or not at all" };
	struct gw_str provider = GW_STR_NONE, type = GW_STR_NONE;
	enum gw_rc rc = gw_spec_text(o, "provider", 1, 63, &provider, err);

	if (rc == GW_OK)
		rc = gw_spec_text(o, "provider_type", 1, 63, &type, err);
	if (rc == GW_OK)
		rc = gw_spec_texts(s, o, &models, &out->models, err);
	if (rc != GW_OK)
		return rc;
	if (provider.p && type.p)
		return gw_fail(err, GW_INVALID, "/provider_type", "give `provider` or `provider_type`, not both");
	if (out->models.n == 0)
		return gw_fail(err, GW_INVALID, "/models", "`models` must have at least one entry; `*` means every model");
	if (provider.p)
		out->provider = gw_arena_copy(s->arena, provider);
	if (type.p)
		out->provider_type = gw_arena_copy(s->arena, type);
	return GW_OK;
}

enum gw_rc gw_spec_price(struct gw_spec *s, const json_t *o, struct gw_price *out, struct gw_error *err)
{
	static const char *const names[] = { "description", "labels", "enabled", "provider", "provider_type", "models", "currency",
		"valid_from", "rates", "variants", NULL };
	struct gw_str currency = GW_STR_NONE, from = GW_STR_NONE;

	if (!json_is_object(o))
		return gw_fail(err, GW_INVALID, NULL, "a price must be an object");
	enum gw_rc rc = gw_spec_members(s, o, names, err);
	if (rc == GW_OK)
		rc = gw_spec_common(s, o, &out->enabled, err);
	if (rc == GW_OK)
		rc = read_subject(s, o, out, err);
	if (rc == GW_OK)
		rc = gw_spec_text(o, "currency", 1, 3, &currency, err);
	if (rc == GW_OK)
		rc = gw_spec_text(o, "valid_from", 1, 64, &from, err);
	if (rc == GW_OK)
		rc = read_rates(s, o, &out->rates, err);
	if (rc == GW_OK)
		rc = read_variants(s, o, out, err);
	if (rc != GW_OK)
		return rc;
	if (!gw_currency_valid(currency))
		return gw_fail(err, GW_INVALID, "/currency", "`currency` must be three capital letters such as USD or CNY");
	if (from.p && !gw_time_parse(from, &out->valid_from_ms))
		return gw_fail(err, GW_INVALID, "/valid_from", "`valid_from` must be a time such as 2026-11-23T08:18:00Z");
	out->currency = gw_arena_copy(s->arena, currency);
	return GW_OK;
}
