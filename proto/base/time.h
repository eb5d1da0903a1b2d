/*
 * time.h - clocks for those who may read them, and times and durations as text.
 *
 * Pure folders never call the two clock functions: they are handed the time.
 */
#ifndef GW_BASE_TIME_H
#define GW_BASE_TIME_H

#include "base/gw.h"

int64_t gw_now_ms(void);       /* wall clock, Unix milliseconds: for people and for expiry dates */
int64_t gw_mono_ms(void);      /* monotonic: for timers and durations */
int64_t gw_mono_us(void);

#define GW_TIME_LEN 32
/* "2026-11-23T08:18:00.123Z" (RFC 3339, UTC, milliseconds).  NUL-terminated. */
void gw_time_format(char out[GW_TIME_LEN], int64_t unix_ms);
/* RFC 3339 with any offset, with or without a fraction.  false: not a time. */
bool gw_time_parse(struct gw_str s, int64_t *unix_ms);

#define GW_DURATION_LEN 32
/* "250ms" "30s" "5m" "2h" "7d": the largest unit that divides it.  NUL-terminated. */
void gw_duration_format(char out[GW_DURATION_LEN], int64_t ms);
/* One number with one unit (ms s m h d), no sign, no blanks; also sums like "1m30s".  Result at most ~100 years. */
bool gw_duration_parse(struct gw_str s, int64_t *ms);

#endif
