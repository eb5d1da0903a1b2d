/* test_bytes.c - hex, base64url (RFC 4648), digests (FIPS 180, RFC 4231), tokens. */
#include "unit.h"
#include "base/bytes.h"
#include "base/str.h"

START_TEST(hex_both_ways)
{
	char text[GW_HEX_LEN(4)];
	uint8_t out[4];
	gw_hex(text, "\x00\x7f\xab\xff", 4);
	ck_assert_str_eq(text, "007fabff");
	ck_assert(gw_unhex(out, 4, GW_STR("007FaBff")));
	ck_assert_mem_eq(out, "\x00\x7f\xab\xff", 4);
	ck_assert(!gw_unhex(out, 4, GW_STR("007fabf")));
	ck_assert(!gw_unhex(out, 4, GW_STR("007fabff0")));
	ck_assert(!gw_unhex(out, 4, GW_STR("007fabff00")));
	ck_assert(!gw_unhex(out, 4, GW_STR("007fabfg")));
	ck_assert(!gw_unhex(out, 4, GW_STR("")));
	ck_assert(!gw_unhex(out, 4, GW_STR_NONE));
}
END_TEST

START_TEST(little_endian)
{
	char b[8] = "????????";
	gw_le_put(b, 4, 0x1234567890abcdefu);
	ck_assert(memcmp(b, "\xef\xcd\xab\x90????", 8) == 0);
	ck_assert_uint_eq(gw_le_get(b, 4), 0x90abcdefu);
	ck_assert_uint_eq(gw_le_get(b, 0), 0);
	gw_le_put(b, 8, UINT64_MAX - 1);
	ck_assert_uint_eq(gw_le_get(b, 8), UINT64_MAX - 1);
}
END_TEST

START_TEST(base64_vectors)
{
	static const char *const pairs[][2] = { { "", "" }, { "f", "Zg" }, { "fo", "Zm8" }, { "foo", "Zm9v" },
		{ "foob", "Zm9vYg" }, { "fooba", "Zm9vYmE" }, { "foobar", "Zm9vYmFy" }, { "\xff\xfe\xfd", "__79" },
		{ "\xfb\xef", "--8" } };
	for (size_t i = 0; i < GW_COUNT(pairs); i++) {
		struct gw_buf b;
		gw_buf_init(&b, 100);
		gw_b64_add(&b, pairs[i][0], strlen(pairs[i][0]));
		ck_assert(gw_str_is(gw_buf_str(&b), pairs[i][1]));
		gw_buf_clear(&b);
		ck_assert(gw_b64_decode(&b, gw_str_c(pairs[i][1])));
		ck_assert(gw_str_is(gw_buf_str(&b), pairs[i][0]));
		gw_buf_fini(&b);
	}
}
END_TEST

START_TEST(base64_refuses)
{
	static const char *const bad[] = { "Z", "Zg=", "Zg==", "Zh", "Zm9", "Zm+v", "Zm/v", "Zm 9", "Zm9v\n", "Zm9vY", "é" };
	for (size_t i = 0; i < GW_COUNT(bad); i++) {
		struct gw_buf b;
		gw_buf_init(&b, 100);
		ck_assert_msg(!gw_b64_decode(&b, gw_str_c(bad[i])), "%s", bad[i]);
		ck_assert_uint_eq(b.n, 0);
		gw_buf_fini(&b);
	}
	struct gw_buf small;
	gw_buf_init(&small, 2);
	ck_assert(!gw_b64_decode(&small, GW_STR("Zm9v")));
	gw_buf_fini(&small);
}
END_TEST

START_TEST(base64_of_every_length)
{
	uint8_t bytes[70];
	for (size_t n = 0; n < sizeof bytes; n++) {
		struct gw_buf text, back;
		gw_random(bytes, n);
		gw_buf_init(&text, 200);
		gw_buf_init(&back, 200);
		gw_b64_add(&text, bytes, n);
		ck_assert_uint_eq(text.n, (n * 8 + 5) / 6);
		ck_assert(gw_b64_decode(&back, gw_buf_str(&text)));
		ck_assert_uint_eq(back.n, n);
		ck_assert(n == 0 || memcmp(back.p, bytes, n) == 0);
		gw_buf_fini(&text);
		gw_buf_fini(&back);
	}
}
END_TEST

static void check_digest(const uint8_t d[32], const char *want)
{
	char text[GW_HEX_LEN(32)];
	gw_hex(text, d, 32);
	ck_assert_str_eq(text, want);
}

START_TEST(digests)
{
	uint8_t d[32];
	gw_sha256(d, GW_STR(""));
	check_digest(d, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
	gw_sha256(d, GW_STR("abc"));
	check_digest(d, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
	gw_sha256_2(d, GW_STR("a"), GW_STR("bc"));
	check_digest(d, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
	gw_sha256_2(d, GW_STR_NONE, GW_STR_NONE);
	check_digest(d, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
	gw_hmac_sha256(d, GW_STR("Jefe"), GW_STR("what do ya want for nothing?"));
	check_digest(d, "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
	char key[131];
	memset(key, 0xaa, sizeof key);
	gw_hmac_sha256(d, (struct gw_str){ key, sizeof key },
	               GW_STR("Test Using Larger Than Block-Size Key - Hash Key First"));
	check_digest(d, "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54");
}
END_TEST

START_TEST(tokens_are_long_and_new)
{
	char a[64], b[64];
	gw_token_new(a, "tgk_");
	gw_token_new(b, "tgk_");
	ck_assert_uint_eq(strlen(a), 47);
	ck_assert(strncmp(a, "tgk_", 4) == 0);
	ck_assert_str_ne(a, b);
	struct gw_buf raw;
	gw_buf_init(&raw, 64);
	ck_assert(gw_b64_decode(&raw, gw_str_c(a + 4)));
	ck_assert_uint_eq(raw.n, 32);
	gw_buf_fini(&raw);
}
END_TEST

START_TEST(secrets_compared)
{
	ck_assert(gw_secret_eq(GW_STR("abc"), GW_STR("abc")));
	ck_assert(!gw_secret_eq(GW_STR("abc"), GW_STR("abd")));
	ck_assert(!gw_secret_eq(GW_STR("abc"), GW_STR("ab")));
	ck_assert(gw_secret_eq(GW_STR(""), GW_STR_NONE));
	char p[] = "secret";
	gw_secret_wipe(p, 6);
	ck_assert_mem_eq(p, "\0\0\0\0\0\0", 6);
	gw_secret_wipe(NULL, 0);
}
END_TEST

UNIT_MAIN("bytes", hex_both_ways, little_endian, base64_vectors, base64_refuses, base64_of_every_length, digests, tokens_are_long_and_new,
          secrets_compared)
