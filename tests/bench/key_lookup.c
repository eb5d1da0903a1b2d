/*
 * key_lookup.c - what finding the consumer of a key costs, by the number of consumers.
 *
 * Builds a snapshot with N consumers and looks M keys up.  Run under callgrind with two values of M: the difference is
 * the look-ups alone, without the building.
 */
#include <stdio.h>
#include <stdlib.h>

#include "base/bytes.h"
#include "base/str.h"
#include "snapshot.h"
#include "snapshot_impl.h"

int main(int argc, char **argv)
{
	size_t n = argc > 1 ? strtoul(argv[1], NULL, 10) : 10, m = argc > 2 ? strtoul(argv[2], NULL, 10) : 1000, found = 0;
	struct gw_catalog *cat = gw_catalog_open();
	struct gw_builder *b;
	struct gw_snapshot *s;
	struct gw_error err = { .text = "" };

	gw_json_setup();
	if (gw_builder_open(&b, cat, 1, GW_STR("0123456789abcdef"), true) != GW_OK)
		return 1;
	for (size_t i = 0; i < n; i++) {
		char name[32], key[40], hex[GW_HEX_LEN(32)];
		uint8_t hash[32];
		json_t *spec, *one;

		snprintf(name, sizeof name, "app%zu", i);
		snprintf(key, sizeof key, "tgk_key-of-consumer-%zu", i);
		gw_sha256(hash, gw_str_c(key));
		gw_hex(hex, hash, sizeof hash);
		spec = json_object();
		one = json_pack("{s:s,s:s}", "id", name, "hash", hex);
		json_object_set_new(spec, "keys", json_pack("[o]", one));
		if (gw_builder_add(b, GW_KIND_CONSUMER, gw_str_c(name), spec, &err) != GW_OK)
			return fprintf(stderr, "%s %s\n", err.path, err.text), 1;
		json_decref(spec);
	}
	if (gw_builder_seal(&b, &s, &err) != GW_OK)
		return fprintf(stderr, "%s %s\n", err.path, err.text), 1;
	for (size_t i = 0; i < m; i++) {
		char key[40];
		int len = snprintf(key, sizeof key, "tgk_key-of-consumer-%zu", i * 7919 % n);

		found += gw_snapshot_key(s, (struct gw_str){ key, (size_t)len }) != NULL;
	}
	printf("%zu consumers, %zu of %zu found\n", n, found, m);
	gw_snapshot_unref(&s);
	gw_catalog_close(&cat);
	return found == m ? 0 : 1;
}
