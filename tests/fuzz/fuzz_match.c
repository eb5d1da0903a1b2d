/*
 * fuzz_match.c - requests against routes: the route that wins must match by itself, and none may win only when none does.
 *
 * Input: five lines (host, path, model or empty for none, query, one header as name:value), then a JSON object of
 * routes without targets.
 */
#include <stdlib.h>

#include "../unit/proto/catalog_fixture.h"
#include "match.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct gw_snapshot *build(const struct gw_catalog *cat, const json_t *routes)
{
	struct gw_builder *b;
	struct gw_snapshot *s = NULL;
	struct gw_error err;
	const char *name;
	json_t *spec;
	if (gw_builder_open(&b, cat, 1, GW_STR("0123456789abcdef"), false) != GW_OK)
		abort();
	json_t *provider = json_pack("{s:s}", "type", "deepseek");
	if (gw_builder_add(b, GW_KIND_PROVIDER, GW_STR("p"), provider, &err) != GW_OK)
		abort();
	json_decref(provider);
	json_object_foreach((json_t *)routes, name, spec) {
		if (!json_is_object(spec))
			continue;
		json_object_set_new(spec, "targets", json_pack("[{s:s}]", "provider", "p"));
		(void)!gw_builder_add(b, GW_KIND_ROUTE, gw_str_c(name), spec, &err);
	}
	if (gw_builder_seal(&b, &s, &err) != GW_OK)
		s = NULL;
	return s;
}

static void check(const struct gw_snapshot *s, const struct gw_match_input *in)
{
	char text[160];
	struct gw_trie_at at = { 0 };
	const struct gw_route *win = gw_match(s, in), *r;
	uint64_t limited = gw_match_limited(s);
	if (win && gw_match_one(s, win, in, text) != GW_MISS_NONE && gw_match_limited(s) == limited)
		abort();
	while (!win && (r = gw_snapshot_next_route(s, &at)))
		if (gw_match_one(s, r, in, text) == GW_MISS_NONE && gw_match_limited(s) == limited)
			abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct gw_catalog *cat;
	struct gw_str rest = { (const char *)data, size };
	struct gw_error err;
	json_t *routes;
	if (!cat)
		cat = fx_catalog();
	struct gw_match_input in = { 0 };
	in.host = gw_str_cut(&rest, '\n');
	in.path = gw_str_cut(&rest, '\n');
	in.model = gw_str_cut(&rest, '\n');
	in.query = gw_str_cut(&rest, '\n');
	struct gw_str value = gw_str_cut(&rest, '\n');
	struct gw_pair header = { .name = gw_str_cut(&value, ':') };
	header.value = value;
	in.headers = &header;
	in.n_headers = 1;
	if (!in.model.n)
		in.model = GW_STR_NONE;
	if (gw_json_parse(&routes, rest, 1 << 16, &err) != GW_OK)
		return 0;
	struct gw_snapshot *s = build(cat, routes);
	if (s)
		check(s, &in);
	gw_snapshot_unref(&s);
	json_decref(routes);
	return 0;
}
