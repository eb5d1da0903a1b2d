/*
 * time.c - clocks, and times and durations as text, without locale or time zone data.
 */
#include "base/time.h"
#include "base/str.h"

#include <stdio.h>
#include <time.h>

#define DAY_MS 86400000LL
/* About a hundred years; a longer duration is a slip of the keyboard. */
#define DURATION_MAX_MS (36525LL * DAY_MS)

static int64_t clock_us(clockid_t id)
{
	struct timespec t;
	clock_gettime(id, &t);
	return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

int64_t gw_now_ms(void)
{
	return clock_us(CLOCK_REALTIME) / 1000;
}

int64_t gw_mono_ms(void)
{
	return clock_us(CLOCK_MONOTONIC) / 1000;
}

int64_t gw_mono_us(void)
{
	return clock_us(CLOCK_MONOTONIC);
}

/* Days since 1970-01-01 of a Gregorian date (Hinnant's chrono-compatible algorithm). */
static int64_t days_from_civil(int64_t y, unsigned m, unsigned d)
{
	y -= m <= 2;
	int64_t era = (y >= 0 ? y : y - 399) / 400;
	unsigned yoe = (unsigned)(y - era * 400);
	unsigned doy = (153 * (m > 2 ? m - 3 : m + 9) + 2) / 5 + d - 1;
	unsigned doe = yoe * 365 + yoe / 4 - yoe / 100 + doy;
	return era * 146097 + (int64_t)doe - 719468;
}

static void civil_from_days(int64_t z, int64_t *y, unsigned *m, unsigned *d)
{
	z += 719468;
	int64_t era = (z >= 0 ? z : z - 146096) / 146097;
	unsigned doe = (unsigned)(z - era * 146097);
	unsigned yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365;
	unsigned doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
	unsigned mp = (5 * doy + 2) / 153;
	*d = doy - (153 * mp + 2) / 5 + 1;
	*m = mp < 10 ? mp + 3 : mp - 9;
	*y = (int64_t)yoe + era * 400 + (*m <= 2);
}

void gw_time_format(char out[GW_TIME_LEN], int64_t unix_ms)
{
	/* Four digits of year: clamp to what RFC 3339 can write. */
	const int64_t least = -62167219200000, most = 253402300799999;
	if (unix_ms < least)
		unix_ms = least;
	if (unix_ms > most)
		unix_ms = most;
	int64_t days = unix_ms / DAY_MS, rest = unix_ms % DAY_MS;
	if (rest < 0) {
		rest += DAY_MS;
		days--;
	}
	int64_t y;
	unsigned m, d, ms = (unsigned)rest;
	civil_from_days(days, &y, &m, &d);
	snprintf(out, GW_TIME_LEN, "%04u-%02u-%02uT%02u:%02u:%02u.%03uZ", (unsigned)y % 10000, m % 100,
	    d % 100, ms / 3600000 % 100, ms / 60000 % 60, ms / 1000 % 60, ms % 1000);
}

/* Take exactly `n` digits from the front. */
static bool digits(struct gw_str *s, size_t n, unsigned *out)
{
	if (s->n < n)
		return false;
	unsigned v = 0;
	for (size_t i = 0; i < n; i++) {
		if (s->p[i] < '0' || s->p[i] > '9')
			return false;
		v = v * 10 + (unsigned)(s->p[i] - '0');
	}
	*out = v;
	s->p += n;
	s->n -= n;
	return true;
}

static bool take(struct gw_str *s, char a, char b)
{
	if (!s->n || (s->p[0] != a && s->p[0] != b))
		return false;
	s->p++;
	s->n--;
	return true;
}

static bool day_exists(unsigned y, unsigned m, unsigned d)
{
	static const unsigned char len[] = { 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 };
	if (m < 1 || m > 12 || d < 1)
		return false;
	bool leap = (y % 4 == 0 && y % 100 != 0) || y % 400 == 0;
	return d <= (unsigned)len[m - 1] + (m == 2 && leap);
}

/* ".123456": kept to milliseconds, the rest is cut off. */
static bool fraction(struct gw_str *s, unsigned *ms)
{
	*ms = 0;
	if (!take(s, '.', '.'))
		return true;
	size_t n = 0;
	unsigned scale = 100;
	while (n < s->n && s->p[n] >= '0' && s->p[n] <= '9') {
		*ms += (unsigned)(s->p[n] - '0') * scale;
		scale /= 10;
		n++;
	}
	s->p += n;
	s->n -= n;
	return n > 0;
}

static bool offset(struct gw_str *s, int64_t *minutes)
{
	*minutes = 0;
	if (take(s, 'Z', 'z'))
		return true;
	bool minus = s->n && s->p[0] == '-';
	unsigned h, m;
	if (!take(s, '+', '-') || !digits(s, 2, &h) || !take(s, ':', ':') || !digits(s, 2, &m) ||
	    h > 23 || m > 59)
		return false;
	*minutes = (int64_t)h * 60 + m;
	if (minus)
		*minutes = -*minutes;
	return true;
}

bool gw_time_parse(struct gw_str s, int64_t *unix_ms)
{
	unsigned y, mo, d, h, mi, sec, ms;
	int64_t off;
	if (!digits(&s, 4, &y) || !take(&s, '-', '-') || !digits(&s, 2, &mo) || !take(&s, '-', '-') ||
	    !digits(&s, 2, &d) || !take(&s, 'T', 't') || !digits(&s, 2, &h) || !take(&s, ':', ':') ||
	    !digits(&s, 2, &mi) || !take(&s, ':', ':') || !digits(&s, 2, &sec) ||
	    !fraction(&s, &ms) || !offset(&s, &off) || s.n)
		return false;
	/* 60 is a leap second: it becomes the first instant of the next minute. */
	if (!day_exists(y, mo, d) || h > 23 || mi > 59 || sec > 60)
		return false;
	int64_t t = days_from_civil(y, mo, d) * 86400 + (int64_t)h * 3600 + (int64_t)mi * 60 + sec;
	*unix_ms = (t - off * 60) * 1000 + ms;
	return true;
}

static const struct unit {
	const char *name;
	int64_t ms;
} units[] = { { "d", DAY_MS }, { "h", 3600000 }, { "m", 60000 }, { "s", 1000 }, { "ms", 1 } };

void gw_duration_format(char out[GW_DURATION_LEN], int64_t ms)
{
	if (ms == 0) {
		snprintf(out, GW_DURATION_LEN, "0s");
		return;
	}
	size_t i = 0;
	while (ms % units[i].ms)
		i++;
	snprintf(out, GW_DURATION_LEN, "%lld%s", (long long)(ms / units[i].ms), units[i].name);
}

bool gw_duration_parse(struct gw_str s, int64_t *ms)
{
	int64_t sum = 0;
	size_t next = 0; /* units come from large to small, each once */
	if (!s.n)
		return false;
	while (s.n) {
		size_t n = 0;
		while (n < s.n && s.p[n] >= '0' && s.p[n] <= '9')
			n++;
		int64_t v = 0;
		if (n == 0 || n > 15)
			return false;
		for (size_t i = 0; i < n; i++)
			v = v * 10 + (s.p[i] - '0');
		s = gw_str_from(s, n);
		size_t len = 0;
		while (len < s.n && s.p[len] >= 'a' && s.p[len] <= 'z')
			len++;
		size_t u = next;
		while (u < GW_COUNT(units) && !gw_str_is((struct gw_str){ s.p, len }, units[u].name))
			u++;
		if (u == GW_COUNT(units) || v > (DURATION_MAX_MS - sum) / units[u].ms)
			return false;
		sum += v * units[u].ms;
		next = u + 1;
		s = gw_str_from(s, len);
	}
	*ms = sum;
	return true;
}
