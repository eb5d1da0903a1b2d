/* Time zones: where days, weeks and months begin, with and without summer time. */
#include "base/str.h"
#include "base/time.h"
#include "calendar/zone.h"
#include "unit.h"

static int64_t at(const char *text)
{
	int64_t ms;
	ck_assert_msg(gw_time_parse(gw_str_c(text), &ms), "%s", text);
	return ms;
}

static void check(const char *zone, enum cp_span span, const char *when, const char *from, const char *until)
{
	const struct cp_zone *z = cp_zone_find(gw_str_c(zone));
	int64_t f, u;
	char a[GW_TIME_LEN], b[GW_TIME_LEN];
	ck_assert_msg(z != NULL, "%s", zone);
	cp_zone_span(z, span, at(when), &f, &u);
	gw_time_format(a, f);
	gw_time_format(b, u);
	ck_assert_msg(f == at(from) && u == at(until), "%s %s is in %s to %s", zone, when, a, b);
}

START_TEST(without_summer_time)
{
	check("UTC", CP_SPAN_DAY, "2026-11-28T23:59:59Z", "2026-11-28T00:00:00Z", "2026-11-29T00:00:00Z");
	check("UTC", CP_SPAN_WEEK, "2026-11-28T12:00:00Z", "2026-11-23T00:00:00Z", "2026-11-30T00:00:00Z");
	check("UTC", CP_SPAN_MONTH, "2024-02-29T12:00:00Z", "2024-02-01T00:00:00Z", "2024-03-01T00:00:00Z");
	check("UTC", CP_SPAN_MONTH, "1969-12-31T12:00:00Z", "1969-12-01T00:00:00Z", "1970-01-01T00:00:00Z");
	check("Asia/Shanghai", CP_SPAN_DAY, "2026-11-28T15:59:59Z", "2026-11-27T16:00:00Z", "2026-11-28T16:00:00Z");
	check("Asia/Shanghai", CP_SPAN_DAY, "2026-11-28T16:00:00Z", "2026-11-28T16:00:00Z", "2026-11-29T16:00:00Z");
	check("Asia/Shanghai", CP_SPAN_MONTH, "2026-12-31T16:00:00Z", "2026-12-31T16:00:00Z", "2027-01-31T16:00:00Z");
	check("Asia/Shanghai", CP_SPAN_WEEK, "2026-11-29T15:59:00Z", "2026-11-22T16:00:00Z", "2026-11-29T16:00:00Z");
	check("Asia/Kolkata", CP_SPAN_HOUR, "2026-11-28T10:29:00Z", "2026-11-28T09:30:00Z", "2026-11-28T10:30:00Z");
}
END_TEST

START_TEST(days_of_23_and_25_hours)
{
	check("America/New_York", CP_SPAN_DAY, "2026-03-08T12:00:00Z", "2026-03-08T05:00:00Z", "2026-03-09T04:00:00Z");
	check("America/New_York", CP_SPAN_DAY, "2026-11-01T12:00:00Z", "2026-11-01T04:00:00Z", "2026-11-02T05:00:00Z");
	check("America/New_York", CP_SPAN_MONTH, "2026-03-31T12:00:00Z", "2026-03-01T05:00:00Z", "2026-04-01T04:00:00Z");
	check("Europe/Berlin", CP_SPAN_WEEK, "2026-03-29T12:00:00Z", "2026-03-22T23:00:00Z", "2026-03-29T22:00:00Z");
	check("Australia/Sydney", CP_SPAN_DAY, "2026-04-04T20:00:00Z", "2026-04-04T13:00:00Z", "2026-04-05T14:00:00Z");
	/* half an hour of summer time */
	check("Australia/Lord_Howe", CP_SPAN_DAY, "2026-04-04T18:00:00Z", "2026-04-04T13:00:00Z", "2026-04-05T13:30:00Z");
	/* far ahead: the rule of the footer */
	check("America/New_York", CP_SPAN_MONTH, "2060-07-04T12:00:00Z", "2060-07-01T04:00:00Z", "2060-08-01T04:00:00Z");
	check("America/New_York", CP_SPAN_DAY, "2060-12-04T12:00:00Z", "2060-12-04T05:00:00Z", "2060-12-05T05:00:00Z");
}
END_TEST

/* In Beirut the clock goes from 23:59 to 01:00: the day begins at one. */
START_TEST(a_day_without_midnight)
{
	check("Asia/Beirut", CP_SPAN_DAY, "2024-03-31T06:00:00Z", "2024-03-30T22:00:00Z", "2024-03-31T21:00:00Z");
	check("Asia/Beirut", CP_SPAN_DAY, "2024-10-26T22:30:00Z", "2024-10-26T22:00:00Z", "2024-10-27T22:00:00Z");
}
END_TEST

/* Whatever the zone, spans follow one another without a gap and hold their own begin. */
START_TEST(spans_join)
{
	static const char *const names[] = { "Asia/Shanghai", "America/New_York", "Asia/Beirut", "Africa/Cairo", "Pacific/Apia",
		"Australia/Lord_Howe", "America/Sao_Paulo", "Europe/Dublin", "Africa/Casablanca", "Asia/Kathmandu" };
	for (size_t i = 0; i < GW_COUNT(names); i++)
		for (int span = CP_SPAN_DAY; span <= CP_SPAN_MONTH; span++) {
			const struct cp_zone *z = cp_zone_find(gw_str_c(names[i]));
			int64_t t = at("2023-01-01T00:00:00Z"), from, until, again, after;
			while (t < at("2041-01-01T00:00:00Z")) {
				cp_zone_span(z, (enum cp_span)span, t, &from, &until);
				ck_assert_msg(from <= t && t < until, "%s %d %lld", names[i], span, (long long)t);
				cp_zone_span(z, (enum cp_span)span, until - 1, &again, &after);
				ck_assert(again == from && after == until);
				cp_zone_span(z, (enum cp_span)span, until, &again, &after);
				ck_assert_msg(again == until, "%s %d %lld", names[i], span, (long long)until);
				t = until + (span == CP_SPAN_DAY ? 86400000LL * 9 : 0);
			}
		}
}
END_TEST

START_TEST(no_such_zone)
{
	static const char *const bad[] = { "", "Nowhere/City", "../etc/passwd", "/etc/passwd", "Asia", "tzdata.zi" };
	for (size_t i = 0; i < GW_COUNT(bad); i++)
		ck_assert_msg(cp_zone_find(gw_str_c(bad[i])) == NULL, "%s", bad[i]);
	ck_assert(cp_zone_find(GW_STR("UTC")) == cp_zone_find(GW_STR("UTC")));
	ck_assert_ptr_null(cp_zone_read(GW_STR("TZif2")));
	ck_assert_ptr_null(cp_zone_read(GW_STR("")));
}
END_TEST

UNIT_MAIN("calendar.zone", without_summer_time, days_of_23_and_25_hours, a_day_without_midnight, spans_join, no_such_zone)
