/*
 * fuzz_snapshot.c - snapshots from anywhere: refused with a sentence, or whole in every view.
 *
 * The key is that of tests/fixtures/snapshot, so that its seeds open.  The objects are also fed to a strict builder, as
 * the control plane does with what operators send.
 */
#include <stdlib.h>

#include "../unit/proto/catalog_fixture.h"
#include "base/bytes.h"
#include "match.h"
#include "snapshot.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void look_at_route(const struct gw_snapshot *s, const struct gw_route *r, struct gw_arena *a)
{
	char text[160];
	struct gw_match_input in = { .host = GW_STR("ai.example.com"), .path = GW_STR("/v1/x"), .model = GW_STR("deepseek-r1"),
		.query = GW_STR("tier=a+b") };
	(void)gw_match_one(s, r, &in, text);
	for (size_t i = 0; i < r->n_targets; i++)
		if (!r->targets[i].provider || !gw_target_model(&r->targets[i], in.model).p)
			abort();
	for (size_t i = 0; i < r->fallback.n_targets; i++)
		if (!r->fallback.targets[i].provider)
			abort();
	struct gw_trie_at at = { 0 };
	const struct gw_consumer *c;
	while ((c = gw_snapshot_next_consumer(s, &at))) {
		(void)gw_route_allows(r, c);
		(void)gw_consumer_may_any(c, r, in.model);
		struct gw_bindings b = gw_snapshot_bindings(s, r, c, a);
		for (size_t k = 0; k < b.n; k++)
			if (!b.v[k].enabled || !b.v[k].conf || (k && b.v[k].rank < b.v[k - 1].rank))
				abort();
	}
}

static void look(struct gw_snapshot *s)
{
	size_t n;
	struct gw_arena *a = gw_arena_open(0);
	const struct gw_route *const *r = gw_snapshot_routes(s, a, &n);
	for (size_t i = 0; i < n && i < 64; i++)
		look_at_route(s, r[i], a);
	const struct gw_provider *const *p = gw_snapshot_providers(s, a, &n);
	for (size_t i = 0; i < n; i++)
		if (p[i]->n_endpoints == 0 || gw_snapshot_provider(s, p[i]->name) != p[i])
			abort();
	const struct gw_consumer *const *c = gw_snapshot_consumers(s, a, &n);
	for (size_t i = 0; i < n; i++)
		if (gw_snapshot_consumer(s, c[i]->name) != c[i])
			abort();
	(void)gw_snapshot_key(s, GW_STR("tgk_fixture-one"));
	json_decref(gw_snapshot_warnings(s));
	gw_arena_close(&a);
}

static void build_strictly(const struct gw_catalog *cat, struct gw_str bytes)
{
	struct gw_error err = { 0 };
	struct gw_builder *b;
	struct gw_snapshot *s;
	json_t *doc, *objects, *members, *spec;
	const char *kind, *name;
	if (gw_json_parse(&doc, bytes, 1 << 20, &err) != GW_OK)
		return;
	if (gw_builder_open(&b, cat, 1, GW_STR("0123456789abcdef"), true) != GW_OK)
		abort();
	objects = json_object_get(doc, "objects");
	json_object_foreach(objects, kind, members) {
		enum gw_kind k;
		if (!gw_kind_parse(gw_str_c(kind), &k))
			continue;
		json_object_foreach(members, name, spec) {
			err = (struct gw_error){ 0 };
			if (gw_builder_add(b, k, gw_str_c(name), spec, &err) != GW_OK && !err.text[0])
				abort();
		}
	}
	if (gw_builder_seal(&b, &s, &err) == GW_OK) {
		look(s);
		gw_snapshot_unref(&s);
	}
	json_decref(doc);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct gw_catalog *cat;
	struct gw_str bytes = { (const char *)data, size };
	struct gw_error err = { 0 };
	struct gw_snapshot *s;
	uint8_t key[32];
	if (!cat)
		cat = fx_catalog();
	for (size_t i = 0; i < sizeof key; i++)
		key[i] = (uint8_t)i;
	if (gw_snapshot_decode(&s, bytes, key, cat, 1 << 20, &err) == GW_OK) {
		look(s);
		gw_snapshot_unref(&s);
	} else if (s || !err.text[0] || !gw_utf8_len((struct gw_str){ err.text, 4 })) {
		abort();
	}
	build_strictly(cat, bytes);
	return 0;
}
