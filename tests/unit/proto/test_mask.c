/* test_mask.c - what is masked, what is left alone, and that no text makes it slow or half done. */
#include "mask.h"
#include "base/str.h"
#include "base/time.h"
#include "unit.h"

static char *masked(const struct gw_masker *m, struct gw_str in, int *places)
{
	static char out[65536];
	struct gw_buf b;
	gw_buf_init(&b, sizeof out - 1);
	*places = gw_mask(m, in, &b);
	memcpy(out, b.p ? b.p : "", b.n);
	out[b.n] = 0;
	gw_buf_fini(&b);
	return out;
}

static void expect(const char *in, const char *out)
{
	int n;
	const char *got = masked(gw_masker_builtin(), gw_str_c(in), &n);
	ck_assert_msg(strcmp(got, out) == 0, "%s\n  gives %s\n  not   %s", in, got, out);
	ck_assert((n > 0) == (strcmp(in, out) != 0));
}

START_TEST(personal_data)
{
	expect("mail zhang.san+x@mail.example.com, please", "mail [email], please");
	expect("<a@b.co>", "<[email]>");
	expect("4111 1111 1111 1111 and 5500-0055-5555-5559.", "[card] and [card].");
	expect("order 4111111111111112 is no card", "order 4111111111111112 is no card");
	expect("call +86 138 0013 8000 or 13800138000 or (415) 555-2671 or 415-555-2671",
	    "call [phone] or [phone] or [phone] or [phone]");
	expect("+44 20 7946 0958", "[phone]");
	expect("邮箱 li@example.cn，电话13900001111。", "邮箱 [email]，电话[phone]。");
}
END_TEST

START_TEST(credentials)
{
	expect("use sk-proj-abcdefghijklmnop1234 now", "use [key] now");
	expect("tgk_0123456789abcdefghij", "[key]");
	expect("AKIAIOSFODNN7EXAMPLE", "[key]");
	expect("Authorization: Bearer abc.def-ghi_jkl123", "Authorization: Bearer [key]");
	expect("eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.dozjgNryP4J3jVmNHl0w5N_XgL0n3I9P", "[key]");
	expect("password = \"hunter2!\" rest", "password = \"[key]\" rest");
	expect("-----BEGIN PRIVATE KEY-----\nMIIE\n-----END PRIVATE KEY-----", "[key]");
}
END_TEST

START_TEST(left_alone)
{
	expect("", "");
	expect("The year 2026, 3.14159, 10:45, v1.2.3, 192.168.1.10 and 1,000,000 tokens", "The year 2026, 3.14159, 10:45, v1.2.3, "
	    "192.168.1.10 and 1,000,000 tokens");
	expect("a @ b, user@localhost, skeleton-key, risk-management-of-things", "a @ b, user@localhost, skeleton-key, "
	    "risk-management-of-things");
}
END_TEST

START_TEST(own_patterns)
{
	struct gw_arena *a = gw_arena_open(0);
	struct gw_str v[] = { GW_STR("EMP-[0-9]{6}"), GW_STR("(?i)project\\s+\\w+") };
	const struct gw_masker *m;
	struct gw_error err = { 0 };
	int n;
	ck_assert_int_eq(gw_masker_make(&m, v, 2, a, &err), GW_OK);
	ck_assert_str_eq(masked(m, GW_STR("EMP-123456 of Project Falcon: a@b.com"), &n), "[masked] of [masked]: [email]");
	ck_assert_int_eq(n, 3);
	v[1] = GW_STR("(");
	ck_assert_int_eq(gw_masker_make(&m, v, 2, a, &err), GW_INVALID);
	ck_assert_str_eq(err.path, "/1");
	v[1] = GW_STR("x*");
	ck_assert_int_eq(gw_masker_make(&m, v, 2, a, &err), GW_INVALID);
	ck_assert_ptr_nonnull(strstr(err.text, "empty"));
	gw_arena_close(&a);
}
END_TEST

/* A pattern that would take years is stopped, and the text is withheld rather than shown half masked. */
START_TEST(withheld)
{
	struct gw_arena *a = gw_arena_open(0);
	struct gw_str v[] = { GW_STR("(a+)+$") };
	const struct gw_masker *m;
	int n;
	int64_t t0 = gw_mono_ms();
	ck_assert_int_eq(gw_masker_make(&m, v, 1, a, NULL), GW_OK);
	ck_assert_str_eq(masked(m, GW_STR("aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa!"), &n), "");
	ck_assert_int_eq(n, -1);
	ck_assert_int_lt(gw_mono_ms() - t0, 20000);
	gw_arena_close(&a);
}
END_TEST

START_TEST(hostile_texts)
{
	static const char *const seeds[] = { "a@", "1-", "+1 ", "sk-", "eyJ", "-----BEGIN ", "password=", "4111 " };
	char *text = gw_alloc(50000);
	struct gw_buf b;
	gw_buf_init(&b, 1 << 20);
	for (size_t i = 0; i < sizeof seeds / sizeof *seeds; i++) {
		size_t n = 0, len = strlen(seeds[i]);
		while (n + len < 50000) {
			memcpy(text + n, seeds[i], len);
			n += len;
		}
		gw_buf_clear(&b);
		ck_assert_msg(gw_mask(gw_masker_builtin(), (struct gw_str){ text, n }, &b) >= 0, "%s", seeds[i]);
	}
	gw_buf_clear(&b);
	ck_assert_int_ge(gw_mask(gw_masker_builtin(), (struct gw_str){ "\xff\xfe x@y.com \xc3", 13 }, &b), 1);
	ck_assert(gw_utf8_valid(gw_buf_str(&b)));
	gw_buf_fini(&b);
	free(text);
}
END_TEST

/* A number that is no card, a megabyte behind the beginning: looking on from each character before it would take hours. */
START_TEST(far_from_the_beginning)
{
	enum { BEFORE = 1000000 };
	static const char no_card[] = ", 4111111111111112.";
	char *text = gw_alloc(BEFORE + sizeof no_card);
	int64_t t0 = gw_mono_ms();
	struct gw_buf b;
	gw_buf_init(&b, 2 * BEFORE);
	memset(text, ' ', BEFORE);
	memcpy(text + BEFORE, no_card, sizeof no_card - 1);
	ck_assert_int_eq(gw_mask(gw_masker_builtin(), (struct gw_str){ text, BEFORE + sizeof no_card - 1 }, &b), 0);
	ck_assert_int_eq(b.n, BEFORE + sizeof no_card - 1);
	ck_assert_int_lt(gw_mono_ms() - t0, 20000);
	gw_buf_fini(&b);
	free(text);
}
END_TEST

UNIT_MAIN("mask", personal_data, credentials, left_alone, own_patterns, withheld, hostile_texts, far_from_the_beginning)
