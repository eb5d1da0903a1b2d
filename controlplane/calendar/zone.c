/* zone.c - the time zone database's files, and calendar arithmetic over them. */
#include "calendar/zone.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/buf.h"
#include "base/file.h"
#include "base/map.h"
#include "base/str.h"

#define FOLDER   "/usr/share/zoneinfo/"
#define HOUR_S   3600LL
#define DAY_S    86400LL
#define MAX_FILE (1u << 20)

struct change { int64_t at_s; int32_t offset_s; };

/* "M3.2.0/2": the week'th weekday of a month, at so many seconds of that day. */
struct yearly { int month, week, weekday; int64_t at_s; };

struct cp_zone {
	size_t n;
	int32_t first_s;                 /* before the first change */
	bool ruled, has_summer;          /* what holds after the last change stands in the footer */
	int32_t standard_s, summer_s;
	struct yearly to_summer, to_standard;
	struct change v[];
};

/* ---- days and dates (proleptic Gregorian) ---- */

static int64_t floor_div(int64_t a, int64_t b)
{
	return a / b - (a % b < 0);
}

/* Days since 1970-01-01; months count from 1 and may leave the year. */
static int64_t day_of(int64_t year, int64_t month, int64_t day)
{
	year += floor_div(month - 1, 12);
	month = month - 1 - floor_div(month - 1, 12) * 12 + 1;
	int64_t y = month <= 2 ? year - 1 : year, era = floor_div(y, 400), of_era = y - era * 400;
	int64_t of_year = (153 * (month > 2 ? month - 3 : month + 9) + 2) / 5 + day - 1;
	return era * 146097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719468;
}

static void date_of(int64_t day, int64_t *year, int64_t *month)
{
	int64_t z = day + 719468, era = floor_div(z, 146097), of_era = z - era * 146097;
	int64_t y = (of_era - of_era / 1460 + of_era / 36524 - of_era / 146096) / 365;
	int64_t of_year = of_era - (365 * y + y / 4 - y / 100), m = (5 * of_year + 2) / 153;
	*month = m < 10 ? m + 3 : m - 9;
	*year = y + era * 400 + (*month <= 2);
}

static int64_t weekday_of(int64_t day) /* 0: Sunday */
{
	return day + 4 - floor_div(day + 4, 7) * 7;
}

/* ---- the file ---- */

static int64_t big_endian(const char *p, int n)
{
	uint64_t v = 0;
	for (int i = 0; i < n; i++)
		v = v << 8 | (unsigned char)p[i];
	return n == 4 ? (int32_t)(uint32_t)v : (int64_t)v;
}

struct head { int64_t isut, isstd, leap, time, type, chars; };

/* The counts of a block, and how many bytes its data has. */
static bool read_head(struct gw_str in, struct head *h, size_t width, size_t *data)
{
	if (in.n < 44 || memcmp(in.p, "TZif", 4) != 0)
		return false;
	int64_t *const to[] = { &h->isut, &h->isstd, &h->leap, &h->time, &h->type, &h->chars };
	for (size_t i = 0; i < GW_COUNT(to); i++) {
		*to[i] = big_endian(in.p + 20 + 4 * i, 4);
		if (*to[i] < 0 || *to[i] > 10000)
			return false;
	}
	*data = (size_t)(h->time * (int64_t)(width + 1) + h->type * 6 + h->chars + h->leap * (int64_t)(width + 4) + h->isstd + h->isut);
	return in.n - 44 >= *data && h->type > 0;
}

static bool eat(struct gw_str *s, char c)
{
	if (s->n == 0 || s->p[0] != c)
		return false;
	*s = gw_str_from(*s, 1);
	return true;
}

static bool eat_number(struct gw_str *s, int64_t most, int64_t *out)
{
	size_t n = 0;
	*out = 0;
	while (n < s->n && n < 4 && s->p[n] >= '0' && s->p[n] <= '9')
		*out = *out * 10 + (s->p[n++] - '0');
	*s = gw_str_from(*s, n);
	return n > 0 && *out <= most;
}

/* [+-]hh[:mm[:ss]] as seconds. */
static bool eat_time(struct gw_str *s, int64_t *out)
{
	int64_t sign = eat(s, '-') ? -1 : 1, part, scale = HOUR_S;
	if (sign > 0)
		eat(s, '+');
	if (!eat_number(s, 167, &part))
		return false;
	*out = part * scale;
	while (scale > 1 && eat(s, ':')) {
		scale /= 60;
		if (!eat_number(s, 59, &part))
			return false;
		*out += part * scale;
	}
	*out *= sign;
	return true;
}

/* "EST" or "<+08>". */
static bool eat_name(struct gw_str *s)
{
	size_t n = 0;
	if (eat(s, '<')) {
		while (n < s->n && s->p[n] != '>')
			n++;
		*s = gw_str_from(*s, n);
		return eat(s, '>');
	}
	while (n < s->n && (s->p[n] | 0x20) >= 'a' && (s->p[n] | 0x20) <= 'z')
		n++;
	*s = gw_str_from(*s, n);
	return n >= 3;
}

static bool eat_yearly(struct gw_str *s, struct yearly *y)
{
	int64_t month, week, weekday;
	y->at_s = 2 * HOUR_S;
	if (!eat(s, ',') || !eat(s, 'M') || !eat_number(s, 12, &month) || !eat(s, '.') || !eat_number(s, 5, &week) || !eat(s, '.') ||
	    !eat_number(s, 6, &weekday) || month < 1 || week < 1)
		return false;
	y->month = (int)month;
	y->week = (int)week;
	y->weekday = (int)weekday;
	return !eat(s, '/') || eat_time(s, &y->at_s);
}

/* The POSIX rule of the footer, "EST5EDT,M3.2.0,M11.1.0".  One that is not understood: the last change holds on. */
static void read_footer(struct cp_zone *z, struct gw_str s)
{
	int64_t west;
	if (!eat_name(&s) || !eat_time(&s, &west))
		return;
	z->standard_s = (int32_t)-west;
	if (s.n == 0) {
		z->ruled = true;
		return;
	}
	if (!eat_name(&s))
		return;
	z->summer_s = z->standard_s + (int32_t)HOUR_S;
	if (s.n > 0 && s.p[0] != ',') {
		if (!eat_time(&s, &west))
			return;
		z->summer_s = (int32_t)-west;
	}
	z->has_summer = z->ruled = eat_yearly(&s, &z->to_summer) && eat_yearly(&s, &z->to_standard) && s.n == 0;
}

static bool read_changes(struct cp_zone *z, const struct head *h, const char *p)
{
	const char *kinds = p + h->time * 8, *types = kinds + h->time;
	z->first_s = (int32_t)big_endian(types, 4);
	for (int64_t i = 0; i < h->time; i++) {
		unsigned kind = (unsigned char)kinds[i];
		if (kind >= h->type)
			return false;
		z->v[z->n++] = (struct change){ big_endian(p + 8 * i, 8), (int32_t)big_endian(types + 6 * kind, 4) };
		if (z->n > 1 && z->v[z->n - 1].at_s <= z->v[z->n - 2].at_s)
			return false;
	}
	return true;
}

struct cp_zone *cp_zone_read(struct gw_str in)
{
	struct head h;
	size_t data;
	if (!read_head(in, &h, 4, &data) || in.p[4] < '2')
		return NULL;
	in = gw_str_from(in, 44 + data); /* the first block has 32-bit times, for programs of old */
	if (!read_head(in, &h, 8, &data))
		return NULL;
	struct cp_zone *z = gw_alloc(sizeof *z + (size_t)h.time * sizeof *z->v);
	if (!read_changes(z, &h, in.p + 44)) {
		free(z);
		return NULL;
	}
	struct gw_str footer = gw_str_from(in, 44 + data);
	size_t end;
	if (eat(&footer, '\n') && gw_str_find(footer, GW_STR("\n"), &end))
		read_footer(z, (struct gw_str){ footer.p, end });
	return z;
}

/* ---- zones in use ---- */

static struct { pthread_mutex_t lock; struct gw_map *by_name; } zones = { .lock = PTHREAD_MUTEX_INITIALIZER };

static struct cp_zone *load(struct gw_str name)
{
	char path[128];
	struct gw_buf b;
	struct cp_zone *z = NULL;
	size_t at;
	if (gw_str_is(name, "UTC")) {
		z = gw_alloc(sizeof *z);
		z->ruled = true;
		return z;
	}
	if (name.n == 0 || name.n > 63 || name.p[0] == '/' || gw_str_find(name, GW_STR("."), &at))
		return NULL;
	snprintf(path, sizeof path, FOLDER "%.*s", GW_FMT(name));
	gw_buf_init(&b, MAX_FILE);
	if (gw_file_read(&b, path, NULL) == GW_OK)
		z = cp_zone_read(gw_buf_str(&b));
	gw_buf_fini(&b);
	return z;
}

const struct cp_zone *cp_zone_find(struct gw_str name)
{
	pthread_mutex_lock(&zones.lock);
	if (zones.by_name == NULL)
		zones.by_name = gw_map_open(64);
	struct cp_zone *z = gw_map_get(zones.by_name, name);
	if (z == NULL && (z = load(name)) != NULL) {
		char *key = gw_strdup_n(name.p, name.n);
		gw_map_put(zones.by_name, (struct gw_str){ key, name.n }, z);
	}
	pthread_mutex_unlock(&zones.lock);
	return z;
}

/* ---- asking ---- */

static int64_t moment(const struct yearly *y, int64_t year)
{
	int64_t first = day_of(year, y->month, 1), next = day_of(year, y->month + 1, 1);
	int64_t day = first + (y->weekday - weekday_of(first) + 7) % 7 + (y->week - 1) * 7;
	while (day >= next)
		day -= 7; /* week 5 means the last one */
	return day * DAY_S + y->at_s;
}

static int32_t ruled(const struct cp_zone *z, int64_t at_s)
{
	int64_t year, month;
	if (!z->has_summer)
		return z->standard_s;
	date_of(floor_div(at_s + z->standard_s, DAY_S), &year, &month);
	int64_t summer = moment(&z->to_summer, year) - z->standard_s, standard = moment(&z->to_standard, year) - z->summer_s;
	bool is_summer = summer < standard ? at_s >= summer && at_s < standard : at_s >= summer || at_s < standard;
	return is_summer ? z->summer_s : z->standard_s;
}

static int32_t offset_s(const struct cp_zone *z, int64_t at_s)
{
	size_t low = 0, high = z->n;
	while (low < high) {
		size_t mid = low + (high - low) / 2;
		if (z->v[mid].at_s <= at_s)
			low = mid + 1;
		else
			high = mid;
	}
	if (low == z->n && z->ruled)
		return ruled(z, at_s);
	return low == 0 ? z->first_s : z->v[low - 1].offset_s;
}

int64_t cp_zone_offset_ms(const struct cp_zone *z, int64_t at_ms)
{
	return (int64_t)offset_s(z, floor_div(at_ms, 1000)) * 1000;
}

/* The first moment whose local time is `local_s` or later; of two equal local times the first. */
static int64_t begin_of(const struct cp_zone *z, int64_t local_s)
{
	int64_t low = local_s - DAY_S, high = local_s + DAY_S;
	int64_t early = local_s - offset_s(z, low), late = local_s - offset_s(z, high);
	int64_t first = early < late ? early : late, second = early < late ? late : early;
	if (first + offset_s(z, first) == local_s)
		return first;
	if (second + offset_s(z, second) == local_s)
		return second;
	while (low + 1 < high) { /* the clock skips it: where does it jump? */
		int64_t mid = low + (high - low) / 2;
		if (mid + offset_s(z, mid) >= local_s)
			high = mid;
		else
			low = mid;
	}
	return high;
}

void cp_zone_span(const struct cp_zone *z, enum cp_span span, int64_t at_ms, int64_t *from, int64_t *until)
{
	int64_t at_s = floor_div(at_ms, 1000), offset = offset_s(z, at_s), day = floor_div(at_s + offset, DAY_S), next, year, month;
	if (span == CP_SPAN_HOUR) {
		*from = (floor_div(at_s + offset, HOUR_S) * HOUR_S - offset) * 1000;
		*until = *from + HOUR_S * 1000;
		return;
	}
	if (span == CP_SPAN_WEEK) {
		day -= (weekday_of(day) + 6) % 7;
		next = day + 7;
	} else if (span == CP_SPAN_MONTH) {
		date_of(day, &year, &month);
		day = day_of(year, month, 1);
		next = day_of(year, month + 1, 1);
	} else {
		next = day + 1;
	}
	*from = begin_of(z, day * DAY_S) * 1000;
	*until = begin_of(z, next * DAY_S) * 1000;
}
