/* test_log.c - one safe bounded line a fact. */
#include "unit.h"
#include "base/log.h"
#include "base/str.h"
#include "json.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

static int out[2], saved;

static void capture(enum gw_log_format format, enum gw_log_level least)
{
	ck_assert_int_eq(pipe(out), 0);
	saved = dup(2);
	dup2(out[1], 2);
	close(out[1]);
	gw_log_setup(format, least, "unit");
}

/* Everything written so far; stderr is itself again afterwards. */
static const char *captured(void)
{
	static char text[200000];
	fflush(stderr);
	dup2(saved, 2);
	close(saved);
	gw_log_setup(GW_LOG_JSON, GW_LOG_INFO, "unit"); /* lets go of the pipe */
	size_t n = 0;
	ssize_t got;
	while (n < sizeof text - 1 && (got = read(out[0], text + n, sizeof text - 1 - n)) > 0)
		n += (size_t)got;
	close(out[0]);
	text[n] = 0;
	return text;
}

START_TEST(json_line)
{
	capture(GW_LOG_JSON, GW_LOG_INFO);
	errno = 5;
	gw_log(GW_LOG_WARN, "provider", GW_STR("deep\"seek"), "connect failed", "error=%s", "a\nb\x1b[31m\xff\xc2\x9b");
	ck_assert_int_eq(errno, 5);
	gw_log(GW_LOG_DEBUG, NULL, GW_STR_NONE, "not shown", NULL);
	gw_log(GW_LOG_INFO, NULL, GW_STR_NONE, "shown", NULL);
	const char *text = captured();
	const char *end = strchr(text, '\n');
	ck_assert_ptr_nonnull(end);
	json_t *v;
	struct gw_error e = { 0 };
	ck_assert_int_eq(gw_json_parse(&v, (struct gw_str){ text, (size_t)(end - text) }, 10000, &e), GW_OK);
	ck_assert_str_eq(json_string_value(json_object_get(v, "level")), "warn");
	ck_assert_str_eq(json_string_value(json_object_get(v, "provider")), "deep\"seek");
	ck_assert_str_eq(json_string_value(json_object_get(v, "msg")), "connect failed");
	ck_assert_uint_eq(json_string_length(json_object_get(v, "ts")), 24);
	ck_assert_ptr_null(strchr(text, 0x1b));
	json_decref(v);
	ck_assert_ptr_null(strstr(text, "not shown"));
	ck_assert_ptr_nonnull(strstr(end, "\"msg\":\"shown\"}"));
}
END_TEST

START_TEST(long_lines_are_cut_and_stay_json)
{
	static char big[50000];
	memset(big, 'x', sizeof big - 1);
	for (int i = 0; i < 40; i++) {
		memcpy(big + 7900 + 2 * i, "\"\n", 2);
		capture(GW_LOG_JSON, GW_LOG_INFO);
		gw_log(GW_LOG_ERROR, "route", gw_str_c(i % 2 ? big : "r"), i % 3 ? "m" : big, "%s", big);
		const char *text = captured();
		json_t *v;
		struct gw_error e = { 0 };
		ck_assert_uint_le(strlen(text), 8192);
		ck_assert_int_eq(gw_json_parse(&v, gw_str_c(text), 10000, &e), GW_OK);
		json_decref(v);
	}
}
END_TEST

START_TEST(text_line)
{
	capture(GW_LOG_TEXT, GW_LOG_DEBUG);
	gw_log(GW_LOG_DEBUG, "route", GW_STR("r1"), "picked", "target=%d", 3);
	gw_complain("cannot read `%s`", "x\ny");
	const char *text = captured();
	ck_assert_ptr_nonnull(strstr(text, "debug unit: route r1: picked  target=3\n"));
	ck_assert_ptr_nonnull(strstr(text, "unit: cannot read `x\\ny`\n"));
	ck_assert_ptr_null(strchr(text, 0x1b));
}
END_TEST

START_TEST(a_full_pipe_drops_and_counts)
{
	capture(GW_LOG_JSON, GW_LOG_INFO);
	fcntl(out[0], F_SETPIPE_SZ, 4096);
	uint64_t before = gw_log_dropped();
	for (int i = 0; i < 5000; i++)
		gw_log(GW_LOG_INFO, NULL, GW_STR_NONE, "filling the pipe", "n=%d", i);
	uint64_t lost = gw_log_dropped() - before;
	const char *text = captured();
	size_t lines = 0;
	for (const char *p = text; (p = strchr(p, '\n')); p++)
		lines++;
	ck_assert_uint_gt(lost, 0);
	ck_assert_uint_eq(lost + lines, 5000);
}
END_TEST

START_TEST(levels)
{
	gw_log_setup(GW_LOG_JSON, GW_LOG_ERROR, NULL);
	ck_assert(!gw_log_on(GW_LOG_WARN));
	ck_assert(gw_log_on(GW_LOG_ALERT));
}
END_TEST

UNIT_MAIN("log", json_line, long_lines_are_cut_and_stay_json, text_line, a_full_pipe_drops_and_counts, levels)
