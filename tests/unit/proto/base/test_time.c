/* test_time.c - RFC 3339 and durations. */
#include "unit.h"
#include "base/str.h"
#include "base/time.h"

#include <stdio.h>
#include <time.h>

START_TEST(parses_rfc3339)
{
	static const struct { const char *s; int64_t ms; } good[] = {
		{ "1970-01-01T00:00:00Z", 0 }, { "1985-04-12T23:20:50.52Z", 482196050520 },
		{ "1996-12-19T16:39:57-08:00", 851042397000 }, { "1996-12-20T00:39:57Z", 851042397000 },
		{ "1990-12-31T23:59:60Z", 662688000000 }, { "1990-12-31T15:59:60-08:00", 662688000000 },
		{ "1937-01-01T12:00:27.87+00:20", -1041337172130 }, { "2000-02-29t00:00:00z", 951782400000 },
		{ "2026-11-23T08:18:00.123456789Z", 1795421880123 }, { "1969-12-31T23:59:59.999Z", -1 },
	};
	static const char *const bad[] = { "", "2026-11-23", "2026-11-23T08:18:00", "2026-11-23 08:18:00Z",
		"2026-11-23T08:18:00ZZ", "2026-13-01T00:00:00Z", "2026-00-01T00:00:00Z", "2026-02-29T00:00:00Z",
		"2100-02-29T00:00:00Z", "2026-04-31T00:00:00Z", "2026-01-00T00:00:00Z", "2026-01-01T24:00:00Z",
		"2026-01-01T00:60:00Z", "2026-01-01T00:00:61Z", "2026-01-01T00:00:00.Z", "2026-01-01T00:00:00+0800",
		"2026-01-01T00:00:00+24:00", "2026-01-01T00:00:00+08:60", "26-01-01T00:00:00Z", "2026-1-1T0:0:0Z",
		" 2026-01-01T00:00:00Z", "2026-01-01T00:00:00-", "+026-01-01T00:00:00Z" };
	for (size_t i = 0; i < GW_COUNT(good); i++) {
		int64_t ms = 7;
		ck_assert_msg(gw_time_parse(gw_str_c(good[i].s), &ms), "%s", good[i].s);
		ck_assert_msg(ms == good[i].ms, "%s: %lld", good[i].s, (long long)ms);
	}
	for (size_t i = 0; i < GW_COUNT(bad); i++) {
		int64_t ms;
		ck_assert_msg(!gw_time_parse(gw_str_c(bad[i]), &ms), "%s", bad[i]);
	}
}
END_TEST

/* There and back, and against the C library, over four centuries of odd instants. */
START_TEST(formats_and_parses_back)
{
	for (int64_t ms = -6000000000000; ms < 9000000000000; ms += 7919331173) {
		char text[GW_TIME_LEN], want[40];
		int64_t back;
		gw_time_format(text, ms);
		ck_assert(gw_time_parse(gw_str_c(text), &back));
		ck_assert_int_eq(back, ms);
		time_t t = (time_t)((ms - ((ms % 1000) + 1000) % 1000) / 1000);
		struct tm tm;
		gmtime_r(&t, &tm);
		strftime(want, sizeof want, "%Y-%m-%dT%H:%M:%S", &tm);
		ck_assert_msg(strncmp(text, want, 19) == 0, "%s %s", text, want);
	}
	char text[GW_TIME_LEN];
	gw_time_format(text, 1795421880123);
	ck_assert_str_eq(text, "2026-11-23T08:18:00.123Z");
	gw_time_format(text, INT64_MAX);
	ck_assert_str_eq(text, "9999-12-31T23:59:59.999Z");
	gw_time_format(text, INT64_MIN);
	ck_assert_str_eq(text, "0000-01-01T00:00:00.000Z");
}
END_TEST

START_TEST(durations)
{
	static const struct { const char *s; int64_t ms; } good[] = { { "250ms", 250 }, { "0s", 0 }, { "0ms", 0 },
		{ "30s", 30000 }, { "5m", 300000 }, { "2h", 7200000 }, { "7d", 604800000 }, { "1m30s", 90000 },
		{ "1h0m1s5ms", 3601005 }, { "90s", 90000 }, { "36525d", 3155760000000 } };
	static const char *const bad[] = { "", "5", "s", "-5s", "+5s", " 5s", "5s ", "5 s", "5S", "5.5s", "5s5s", "5s5m",
		"5ms5s", "5us", "5w", "36526d", "99999999999999999999s", "9999999999999999ms", "5sx", "1e3s" };
	for (size_t i = 0; i < GW_COUNT(good); i++) {
		int64_t ms;
		ck_assert_msg(gw_duration_parse(gw_str_c(good[i].s), &ms) && ms == good[i].ms, "%s", good[i].s);
	}
	for (size_t i = 0; i < GW_COUNT(bad); i++) {
		int64_t ms;
		ck_assert_msg(!gw_duration_parse(gw_str_c(bad[i]), &ms), "%s", bad[i]);
	}
	static const struct { int64_t ms; const char *s; } shown[] = { { 0, "0s" }, { 1, "1ms" }, { 1000, "1s" },
		{ 1500, "1500ms" }, { 90000, "90s" }, { 60000, "1m" }, { 3600000, "1h" }, { 86400000, "1d" },
		{ 90000000, "25h" } };
	for (size_t i = 0; i < GW_COUNT(shown); i++) {
		char text[GW_DURATION_LEN];
		int64_t back;
		gw_duration_format(text, shown[i].ms);
		ck_assert_str_eq(text, shown[i].s);
		ck_assert(gw_duration_parse(gw_str_c(text), &back) && back == shown[i].ms);
	}
}
END_TEST

START_TEST(clocks_go_forward)
{
	int64_t a = gw_mono_us(), b = gw_mono_us();
	ck_assert_int_ge(b, a);
	ck_assert_int_ge(gw_mono_ms(), a / 1000);
	ck_assert_int_gt(gw_now_ms(), 1600000000000);
}
END_TEST

UNIT_MAIN("time", parses_rfc3339, formats_and_parses_back, durations, clocks_go_forward)
