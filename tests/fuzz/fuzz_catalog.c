/*
 * fuzz_catalog.c - a catalogue that reads must print, read again and print the same; its tables must read objects.
 */
#include <stdlib.h>

#include "base/str.h"
#include "field.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct gw_catalog *again(const struct gw_catalog *c, struct gw_buf *out)
{
	struct gw_catalog *back;
	struct gw_error err = { 0 };
	json_t *v = gw_catalog_json(c);
	gw_buf_init(out, 64u << 20);
	if (gw_json_write(out, v, false) != GW_OK || gw_catalog_parse(&back, gw_buf_str(out), &err) != GW_OK)
		abort();
	json_decref(v);
	return back;
}

/* Whatever the table is, an empty object either reads or lacks something required. */
static void read_empty(const struct gw_module *m)
{
	struct gw_arena *a = gw_arena_open(0);
	struct gw_error err = { 0 };
	json_t *o = json_object();
	enum gw_rc rc = gw_fields_read(m->fields, o, true, NULL, a, gw_arena_alloc(a, m->conf_size), NULL, &err);
	if (rc != GW_OK && !err.text[0])
		abort();
	json_decref(o);
	gw_arena_close(&a);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct gw_error err = { 0 };
	struct gw_catalog *one, *two, *three;
	struct gw_buf first, second;
	if (gw_catalog_parse(&one, (struct gw_str){ (const char *)data, size }, &err) != GW_OK) {
		if (one || !err.text[0])
			abort();
		return 0;
	}
	for (int set = 0; set < GW_CAT_COUNT; set++) {
		const struct gw_module *m;
		for (size_t i = 0; (m = gw_catalog_at(one, (enum gw_catalog_set)set, i)); i++)
			read_empty(m);
	}
	two = again(one, &first);
	three = again(two, &second);
	if (!gw_str_eq(gw_buf_str(&first), gw_buf_str(&second)))
		abort();
	gw_buf_fini(&first);
	gw_buf_fini(&second);
	gw_catalog_close(&one);
	gw_catalog_close(&two);
	gw_catalog_close(&three);
	return 0;
}
