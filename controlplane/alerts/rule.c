/* rule.c - rules and channels as the store holds them.  The API has checked them; what is missing gets its default. */
#include "alerts/alerts.h"

#include "base/str.h"
#include "base/time.h"
#include "seal.h"

#define MAX_SPEC (1u << 20)

static int word_of(const json_t *v, const char *const *words, size_t n)
{
	struct gw_str s = gw_json_str(v);
	for (size_t i = 0; i < n; i++)
		if (s.p && gw_str_is(s, words[i]))
			return (int)i;
	return 0;
}

static struct gw_str text(const json_t *o, const char *name, struct gw_arena *a)
{
	struct gw_str s = gw_json_str(json_object_get(o, name));
	return s.p ? gw_arena_copy(a, s) : GW_STR_NONE;
}

static int64_t duration(const json_t *o, const char *name, int64_t otherwise)
{
	int64_t ms = otherwise;
	struct gw_str s = gw_json_str(json_object_get(o, name));
	if (s.p)
		gw_duration_parse(s, &ms);
	return ms;
}

static struct gw_strv list(const json_t *v, struct gw_arena *a)
{
	size_t n = json_array_size(v);
	struct gw_str *s = gw_arena_alloc(a, (n + 1) * sizeof *s);
	for (size_t i = 0; i < n; i++)
		s[i] = gw_arena_copy(a, gw_json_str(json_array_get(v, i)));
	return (struct gw_strv){ s, n };
}

bool cp_rule_read(struct cp_rule *out, struct gw_str name, struct gw_str spec, struct gw_arena *a)
{
	static const char *const watches[] = { "series", "provider_down", "worker_lost", "certificate_expiry", "config_rejected", "budget" };
	static const char *const statistics[] = { "total", "rate", "share", "p50", "p95", "p99", "mean", "value" };
	static const char *const filters[] = { "route", "provider", "consumer" };
	json_t *o = NULL;
	if (gw_json_parse(&o, spec, MAX_SPEC, NULL) != GW_OK)
		return false;
	const json_t *only = json_object_get(o, "only"), *threshold = json_object_get(o, "threshold"), *least = json_object_get(o, "min_count");
	*out = (struct cp_rule){ .name = gw_arena_copy(a, name), .description = text(o, "description", a), .severity = text(o, "severity", a),
		.metric = text(o, "metric", a), .by = text(o, "by", a), .enabled = !json_is_false(json_object_get(o, "enabled")),
		.watch = word_of(json_object_get(o, "watch"), watches, GW_COUNT(watches)),
		.statistic = word_of(json_object_get(o, "statistic"), statistics, GW_COUNT(statistics)),
		.below = gw_str_is(gw_json_str(json_object_get(o, "op")), "below"), .threshold = (double)json_integer_value(threshold),
		.window_ms = duration(o, "window", 300000), .for_ms = duration(o, "for", 60000), .repeat_ms = duration(o, "repeat", 4 * 3600000),
		.min_count = least ? json_integer_value(least) : 1, .channels = list(json_object_get(o, "channels"), a) };
	for (size_t i = 0; i < GW_COUNT(filters); i++)
		out->only[i] = text(only, filters[i], a);
	if (!out->severity.p)
		out->severity = GW_STR("warning");
	json_decref(o);
	return true;
}

/* The store keeps what people see of a secret beside its sealed form; opening wants that form alone. */
static enum gw_rc open_secret(struct gw_str *out, const json_t *o, const char *name, const struct cp_keys *keys, struct gw_arena *a,
    struct gw_error *err)
{
	json_t *sealed = json_object_get(json_object_get(o, name), "sealed"), *alone;
	*out = GW_STR_NONE;
	if (!sealed)
		return GW_OK;
	alone = json_object();
	json_object_set(alone, "sealed", sealed);
	enum gw_rc rc = gw_unseal_value(keys->master, alone, a, out, err);
	json_decref(alone);
	return rc;
}

enum gw_rc cp_channel_read(struct cp_channel *out, struct cp_txn *t, const struct cp_keys *keys, struct gw_str name, struct gw_arena *a,
    bool *enabled, struct gw_error *err)
{
	static const char *const securities[] = { "starttls", "tls", "none" };
	struct cp_record r;
	json_t *o = NULL;
	*out = (struct cp_channel){ 0 };
	enum gw_rc rc = cp_get(t, GW_KIND_ALERT_CHANNEL, name, a, &r, err);
	if (rc == GW_OK)
		rc = gw_json_parse(&o, r.spec, MAX_SPEC, err);
	if (rc != GW_OK)
		return rc;
	cp_channel_type_parse(gw_json_str(json_object_get(o, "type")), &out->type);
	*enabled = !json_is_false(json_object_get(o, "enabled"));
	out->chinese = gw_str_is(gw_json_str(json_object_get(o, "language")), "zh");
	out->allow_private = json_is_true(json_object_get(o, "allow_private"));
	out->ca_pem = text(o, "ca_pem", a);
	const json_t *smtp = json_object_get(o, "smtp"), *port = json_object_get(smtp, "port");
	out->smtp_host = text(smtp, "host", a);
	out->smtp_port = port ? json_integer_value(port) : 587;
	out->smtp_security = word_of(json_object_get(smtp, "security"), securities, GW_COUNT(securities));
	out->username = text(smtp, "username", a);
	out->from = text(smtp, "from", a);
	out->to = list(json_object_get(smtp, "to"), a);
	rc = open_secret(&out->url, o, "url", keys, a, err);
	if (rc == GW_OK)
		rc = open_secret(&out->secret, o, "secret", keys, a, err);
	if (rc == GW_OK)
		rc = open_secret(&out->password, o, "password", keys, a, err);
	json_decref(o);
	return rc;
}
