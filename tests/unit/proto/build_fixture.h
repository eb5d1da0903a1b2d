/*
 * build_fixture.h - building snapshots from JSON texts written with single quotes, for tests.
 *
 * add() gives one object to a strict or lenient builder and expects success; try_add() returns what happened and leaves
 * the error in `fx_err`.  build() seals what was added.  One builder at a time, global to the test program; every test
 * ends with finish().
 */
#ifndef TG_BUILD_FIXTURE_H
#define TG_BUILD_FIXTURE_H

#include "catalog_fixture.h"
#include "match.h"
#include "snapshot.h"

static struct gw_catalog *fx_cat;
static struct gw_builder *fx_builder;
static struct gw_snapshot *fx_snapshot;
static struct gw_error fx_err;

/* Single quotes become double ones, so that the tests can be read. */
static inline json_t *fx_json(const char *text)
{
	char *copy = gw_strdup_n(text, strlen(text));
	for (char *p = copy; *p; p++)
		if (*p == '\'')
			*p = '"';
	json_error_t e;
	json_t *v = json_loads(copy, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, &e);
	ck_assert_msg(v != NULL, "%s: %s", text, e.text);
	free(copy);
	return v;
}

static inline void finish(void)
{
	gw_builder_drop(&fx_builder);
	gw_snapshot_unref(&fx_snapshot);
	gw_catalog_close(&fx_cat);
}

static inline void begin(bool strict)
{
	finish();
	fx_cat = fx_catalog();
	ck_assert_int_eq(gw_builder_open(&fx_builder, fx_cat, 12, GW_STR("0123456789abcdef"), strict), GW_OK);
}

static inline enum gw_rc try_add(enum gw_kind k, const char *name, const char *spec)
{
	json_t *v = fx_json(spec);
	memset(&fx_err, 0, sizeof fx_err);
	enum gw_rc rc = gw_builder_add(fx_builder, k, gw_str_c(name), v, &fx_err);
	json_decref(v);
	return rc;
}

static inline void add(enum gw_kind k, const char *name, const char *spec)
{
	ck_assert_msg(try_add(k, name, spec) == GW_OK, "%s: %s %s", spec, fx_err.path, fx_err.text);
}

/* Expects a refusal at this member with these words in its sentence. */
static inline void refuse(enum gw_kind k, const char *spec, const char *path, const char *words)
{
	ck_assert_msg(try_add(k, "x", spec) == GW_INVALID, "accepted: %s", spec);
	ck_assert_msg(strcmp(fx_err.path, path) == 0, "%s: path %s (%s)", spec, fx_err.path, fx_err.text);
	ck_assert_msg(strstr(fx_err.text, words) != NULL, "%s: %s", spec, fx_err.text);
}

static inline enum gw_rc try_build(void)
{
	memset(&fx_err, 0, sizeof fx_err);
	return gw_builder_seal(&fx_builder, &fx_snapshot, &fx_err);
}

static inline struct gw_snapshot *build(void)
{
	ck_assert_msg(try_build() == GW_OK, "%s %s", fx_err.path, fx_err.text);
	return fx_snapshot;
}

static inline const struct gw_route *fx_route(const char *name)
{
	return gw_snapshot_route(fx_snapshot, gw_str_c(name));
}

#endif
