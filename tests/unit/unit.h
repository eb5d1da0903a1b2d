/*
 * unit.h - the frame of every Check program: one suite, one main.
 *
 *   START_TEST(adds) { ck_assert_int_eq(1 + 1, 2); } END_TEST
 *   UNIT_MAIN("sums", adds, subtracts)
 *
 * Tests run in this process under sanitizers (forking hides leaks), forked otherwise.
 */
#ifndef TG_UNIT_H
#define TG_UNIT_H

#include <check.h>
#include <stdlib.h>
#include <string.h>

#if defined(__has_feature) /* clang's way to say it */
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define UNIT_SANITIZED 1
#endif
#endif
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__) || defined(UNIT_SANITIZED)
#define UNIT_FORK CK_NOFORK
#else
#define UNIT_FORK CK_FORK
#endif

#define UNIT_MAIN(name, ...)                                                        \
	int main(void)                                                              \
	{                                                                           \
		const TTest *tests[] = { __VA_ARGS__ };                             \
		Suite *s = suite_create(name);                                      \
		TCase *c = tcase_create(name);                                      \
		tcase_set_timeout(c, 60);                                           \
		for (size_t i = 0; i < sizeof tests / sizeof *tests; i++)           \
			tcase_add_test(c, tests[i]);                                \
		suite_add_tcase(s, c);                                              \
		SRunner *r = srunner_create(s);                                     \
		srunner_set_fork_status(r, UNIT_FORK);                              \
		srunner_run_all(r, CK_ENV);                                         \
		int failed = srunner_ntests_failed(r);                              \
		srunner_free(r);                                                    \
		return failed ? EXIT_FAILURE : EXIT_SUCCESS;                        \
	}

#endif
