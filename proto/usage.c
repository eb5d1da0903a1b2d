/*
 * usage.c - the ledger's row from JSON, and its words.
 */
#include "usage.h"
#include "base/str.h"

#include <stdio.h>

static const char *const ends[] = {
#define X(name, text, doc) text,
	GW_END_TABLE(X)
#undef X
};
static const char *const sources[] = { "none", "provider", "estimated" };

const char *gw_end_name(enum gw_end_reason r)
{
	assert(r < GW_END_COUNT);
	return ends[r];
}

const char *gw_usage_source_name(enum gw_usage_source s)
{
	assert((size_t)s < GW_COUNT(sources));
	return sources[s];
}

static enum gw_rc read_number(int64_t *out, const json_t *v, const char *name, struct gw_error *err)
{
	const int64_t most = 1LL << 53; /* what every JSON reader can hold */
	if (!v || json_is_null(v))
		return GW_OK;
	if (!json_is_integer(v)) {
		char path[64];
		snprintf(path, sizeof path, "/%s", name);
		return gw_fail(err, GW_INVALID, path, "`%s` must be a whole number", name);
	}
	int64_t n = json_integer_value(v);
	*out = n < -1 ? -1 : n > most ? most : n;
	return GW_OK;
}

static enum gw_end_reason end_of(struct gw_str word, int64_t status)
{
	for (size_t i = 0; i < GW_END_COUNT; i++)
		if (gw_str_is(word, ends[i]))
			return (enum gw_end_reason)i;
	return status >= 200 && status < 300 ? GW_END_COMPLETE : GW_END_UPSTREAM_ERROR;
}

static enum gw_usage_source source_of(struct gw_str word, const struct gw_usage_record *r)
{
	for (size_t i = 0; i < GW_COUNT(sources); i++)
		if (gw_str_is(word, sources[i]))
			return (enum gw_usage_source)i;
	return r->prompt_tokens > 0 || r->completion_tokens > 0 ? GW_USAGE_ESTIMATED : GW_USAGE_NONE;
}

enum gw_rc gw_usage_parse(struct gw_usage_record *out, const json_t *v, struct gw_error *err)
{
	struct gw_usage_record r = {
#define X(name) .name = { "", 0 },
		GW_USAGE_TEXTS(X)
#undef X
		.connect_ms = -1,
	};
	struct gw_str word = GW_STR_NONE, source = GW_STR_NONE;
	enum gw_rc rc;
	if (!json_is_object(v))
		return gw_fail(err, GW_INVALID, NULL, "a usage record must be an object");
#define X(name)                                                                                    \
	if ((rc = gw_json_text(v, #name, &r.name, err)) != GW_OK)                                  \
		return rc;
	GW_USAGE_TEXTS(X)
#undef X
#define X(name)                                                                                    \
	if ((rc = read_number(&r.name, json_object_get(v, #name), #name, err)) != GW_OK)           \
		return rc;
	GW_USAGE_INTS(X)
#undef X
	if ((rc = gw_json_text(v, "end_reason", &word, err)) != GW_OK)
		return rc;
	if ((rc = gw_json_text(v, "usage_source", &source, err)) != GW_OK)
		return rc;
	if (!r.request_id.n)
		return gw_fail(err, GW_INVALID, "/request_id", "`request_id` is required");
	if (!json_is_integer(json_object_get(v, "seq")))
		return gw_fail(err, GW_INVALID, "/seq", "`seq` is required");
	r.end_reason = end_of(word, r.status);
	r.usage_source = source_of(source, &r);
	*out = r;
	return GW_OK;
}
