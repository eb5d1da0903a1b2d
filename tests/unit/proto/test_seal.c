/* test_seal.c - sealing, keys derived (RFC 5869), resealing. */
#include "unit.h"
#include "base/bytes.h"
#include "base/str.h"
#include "seal.h"

static const uint8_t key[32] = { 1, 2, 3 }, other[32] = { 4, 5, 6 };
static struct gw_error e;

START_TEST(opens_under_its_key_only)
{
	struct gw_arena *a = gw_arena_open(0);
	struct gw_str plain;
	for (size_t n = 0; n < 200; n += 7) {
		char text[200];
		gw_random(text, n);
		json_t *v = gw_seal(key, (struct gw_str){ text, n });
		ck_assert(gw_is_sealed(v));
		ck_assert_int_eq(gw_unseal_value(key, v, a, &plain, &e), GW_OK);
		ck_assert(gw_str_eq(plain, (struct gw_str){ text, n }));
		ck_assert_int_eq(plain.p[plain.n], 0);
		ck_assert_int_eq(gw_unseal_value(other, v, a, &plain, &e), GW_DENIED);
		json_decref(v);
	}
	gw_arena_close(&a);
}
END_TEST

START_TEST(equal_secrets_give_equal_bytes)
{
	json_t *a = gw_seal(key, GW_STR("sk-1")), *b = gw_seal(key, GW_STR("sk-1")), *c = gw_seal(key, GW_STR("sk-2")),
	       *d = gw_seal(other, GW_STR("sk-1"));
	ck_assert(json_equal(a, b));
	ck_assert(!json_equal(a, c));
	ck_assert(!json_equal(a, d));
	json_decref(a);
	json_decref(b);
	json_decref(c);
	json_decref(d);
}
END_TEST

START_TEST(any_changed_byte_is_noticed)
{
	struct gw_arena *a = gw_arena_open(0);
	struct gw_str plain;
	struct gw_buf raw, text;
	json_t *v = gw_seal(key, GW_STR("a secret"));
	gw_buf_init(&raw, 1000);
	gw_buf_init(&text, 1000);
	ck_assert(gw_b64_decode(&raw, gw_json_str(json_object_get(v, "sealed"))));
	ck_assert_uint_eq(raw.n, 1 + 12 + 8 + 16);
	for (size_t i = 0; i < raw.n; i++) {
		raw.p[i] ^= 0x10;
		gw_buf_clear(&text);
		gw_b64_add(&text, raw.p, raw.n);
		json_object_set_new(v, "sealed", json_string(text.p));
		memset(&e, 0, sizeof e);
		ck_assert_int_eq(gw_unseal_value(key, v, a, &plain, &e), i == 0 ? GW_VERSION : GW_DENIED);
		ck_assert_ptr_null(strstr(e.text, "a secret"));
		raw.p[i] ^= 0x10;
	}
	for (size_t n = 0; n < raw.n; n++) {
		gw_buf_clear(&text);
		gw_b64_add(&text, raw.p, n);
		json_object_set_new(v, "sealed", json_string(gw_buf_str(&text).p));
		ck_assert_int_ne(gw_unseal_value(key, v, a, &plain, &e), GW_OK);
	}
	json_object_set_new(v, "sealed", json_string("not base64!"));
	ck_assert_int_eq(gw_unseal_value(key, v, a, &plain, &e), GW_INVALID);
	json_decref(v);
	gw_buf_fini(&raw);
	gw_buf_fini(&text);
	gw_arena_close(&a);
}
END_TEST

START_TEST(shapes)
{
	static const char *const bad[] = { "null", "\"x\"", "{}", "{\"sealed\":1}", "{\"sealed\":\"x\",\"y\":1}", "[]" };
	struct gw_arena *a = gw_arena_open(0);
	for (size_t i = 0; i < GW_COUNT(bad); i++) {
		json_t *v = json_loads(bad[i], JSON_DECODE_ANY, NULL);
		struct gw_str plain;
		ck_assert(!gw_is_sealed(v));
		ck_assert_int_eq(gw_unseal_value(key, v, a, &plain, &e), GW_INVALID);
		json_decref(v);
	}
	char *big = gw_alloc(GW_SEAL_MAX_PLAIN);
	json_t *v = gw_seal(key, (struct gw_str){ big, GW_SEAL_MAX_PLAIN });
	struct gw_str plain;
	ck_assert_int_eq(gw_unseal_value(key, v, a, &plain, &e), GW_OK);
	ck_assert_uint_eq(plain.n, GW_SEAL_MAX_PLAIN);
	json_decref(v);
	free(big);
	gw_arena_close(&a);
}
END_TEST

static char *seen;
static void look(void *arg) { seen = arg; }

START_TEST(copies_are_wiped_with_their_arena)
{
	/* Finalisers run newest first, so one registered before the copy sees it after the wipe. */
	struct gw_arena *a = gw_arena_open(0);
	char *where = gw_arena_alloc(a, 16);
	gw_arena_defer(a, look, where);
	struct gw_str copy = gw_secret_copy(a, GW_STR("hush"));
	ck_assert(gw_str_is(copy, "hush"));
	memcpy(where, &copy.p, sizeof copy.p);
	gw_arena_close(&a);
	ck_assert_ptr_eq(seen, where);
}
END_TEST

/* RFC 5869 test case 3 (empty salt and info); its first 32 bytes are ours. */
START_TEST(hkdf_vector)
{
	uint8_t out[32], ikm[22];
	char hex[GW_HEX_LEN(32)];
	memset(ikm, 0x0b, sizeof ikm);
	gw_derive_key(out, (struct gw_str){ (char *)ikm, sizeof ikm }, "");
	gw_hex(hex, out, 32);
	ck_assert_str_eq(hex, "8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d");
	uint8_t again[32];
	gw_derive_key(again, (struct gw_str){ (char *)ikm, sizeof ikm }, "x");
	ck_assert_mem_ne(out, again, 32);
}
END_TEST

START_TEST(reseals_at_any_depth)
{
	struct gw_arena *a = gw_arena_open(0);
	struct gw_str plain;
	json_t *v = json_loads("{\"a\":[{\"b\":null}],\"plain\":\"x\"}", 0, NULL);
	json_object_set_new(json_array_get(json_object_get(v, "a"), 0), "b", gw_seal(key, GW_STR("deep")));
	ck_assert_int_eq(gw_reseal(v, key, other, &e), GW_OK);
	json_t *b = json_object_get(json_array_get(json_object_get(v, "a"), 0), "b");
	ck_assert_int_eq(gw_unseal_value(other, b, a, &plain, &e), GW_OK);
	ck_assert(gw_str_is(plain, "deep"));
	ck_assert_str_eq(json_string_value(json_object_get(v, "plain")), "x");
	ck_assert_int_eq(gw_reseal(v, key, other, &e), GW_DENIED);
	ck_assert_str_eq(e.path, "/a/0/b");
	json_decref(v);
	v = gw_seal(key, GW_STR("root"));
	ck_assert_int_eq(gw_reseal(v, key, other, &e), GW_OK);
	ck_assert_int_eq(gw_unseal_value(other, v, a, &plain, &e), GW_OK);
	json_decref(v);
	gw_arena_close(&a);
}
END_TEST

UNIT_MAIN("seal", opens_under_its_key_only, equal_secrets_give_equal_bytes, any_changed_byte_is_noticed, shapes,
          copies_are_wiped_with_their_arena, hkdf_vector, reseals_at_any_depth)
