/* Command lines from a table. */
#include <stdio.h>

#include "args.h"
#include "unit.h"

static const char *text;
static int64_t number;
static bool flag;

static const struct cp_arg table[] = {
	{ "data-dir", "data", "DIR", "UNIT_ARGS_DIR", "", CP_ARG_TEXT, &text, 0, 0 },
	{ "port", "p", "PORT", NULL, "", CP_ARG_NUMBER, &number, 1, 65535 },
	{ "dry-run", NULL, NULL, NULL, "", CP_ARG_FLAG, &flag, 0, 0 },
};

static bool parse(struct cp_args *out, size_t max_rest, int argc, const char **argv)
{
	text = "default";
	number = 7;
	flag = false;
	*out = (struct cp_args){ .v = table, .n = GW_COUNT(table), .command = "unit", .max_rest = max_rest };
	return cp_args_parse(out, argc, (char **)argv);
}
#define PARSE(out, max, ...) parse(out, max, (int)GW_COUNT(((const char *[]){ "x", __VA_ARGS__ })), (const char *[]){ "x", __VA_ARGS__ })

START_TEST(takes_both_spellings)
{
	struct cp_args a;
	ck_assert(PARSE(&a, 0, "--data-dir", "/x", "--port=80", "--dry-run"));
	ck_assert_str_eq(text, "/x");
	ck_assert_int_eq(number, 80);
	ck_assert(flag);
	ck_assert(PARSE(&a, 0, "--data=/y", "-p", "81"));
	ck_assert_str_eq(text, "/y");
	ck_assert_int_eq(number, 81);
	ck_assert(!flag);
}
END_TEST

START_TEST(words_and_the_double_dash)
{
	struct cp_args a;
	ck_assert(PARSE(&a, 2, "one", "--dry-run", "--", "--port"));
	ck_assert_uint_eq(a.n_rest, 2);
	ck_assert_str_eq(a.rest[0], "one");
	ck_assert_str_eq(a.rest[1], "--port");
	ck_assert(!PARSE(&a, 1, "one", "two"));
}
END_TEST

START_TEST(refuses_what_is_wrong)
{
	struct cp_args a;
	ck_assert(!PARSE(&a, 0, "--prot", "80"));
	ck_assert(!PARSE(&a, 0, "--port"));
	ck_assert(!PARSE(&a, 0, "--port", "--dry-run"));
	ck_assert(!PARSE(&a, 0, "--port", "0"));
	ck_assert(!PARSE(&a, 0, "--port", "65536"));
	ck_assert(!PARSE(&a, 0, "--port=80x"));
	ck_assert(!PARSE(&a, 0, "--dry-run=yes"));
	ck_assert(!PARSE(&a, 0, "word"));
	ck_assert(!PARSE(&a, 0, "--"
		"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"));
}
END_TEST

START_TEST(the_environment_comes_second)
{
	struct cp_args a;
	setenv("UNIT_ARGS_DIR", "/env", 1);
	ck_assert(PARSE(&a, 0, "--dry-run"));
	ck_assert_str_eq(text, "/env");
	ck_assert(PARSE(&a, 0, "--data-dir", "/line"));
	ck_assert_str_eq(text, "/line");
	unsetenv("UNIT_ARGS_DIR");
}
END_TEST

START_TEST(suggests_the_nearest)
{
	static const char *const words[] = { "status", "apply", "export", "doctor", NULL };
	ck_assert_str_eq(cp_args_closest("statsu", words), "status");
	ck_assert_str_eq(cp_args_closest("aply", words), "apply");
	ck_assert_str_eq(cp_args_closest("doc", words), "doctor");
	ck_assert_ptr_null(cp_args_closest("frobnicate", words));
	ck_assert_ptr_null(cp_args_closest("", (const char *const[]){ "status", NULL }));
}
END_TEST

UNIT_MAIN("args", takes_both_spellings, words_and_the_double_dash, refuses_what_is_wrong, the_environment_comes_second,
	  suggests_the_nearest)
