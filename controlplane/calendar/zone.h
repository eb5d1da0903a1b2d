/*
 * zone.h - time zones by their IANA names, and the calendar periods of quotas and reports in them.
 *
 * Rules come from the system's database (/usr/share/zoneinfo, RFC 8536), read once per zone and kept: the C library
 * knows only one zone at a time, its own.  Any thread.  Times are Unix milliseconds.
 */
#ifndef CP_CALENDAR_ZONE_H
#define CP_CALENDAR_ZONE_H

#include "base/gw.h"

struct cp_zone;   /* read-only, lives as long as the process */

/* NULL: there is no such zone.  "UTC" is known without any file. */
const struct cp_zone *cp_zone_find(struct gw_str name);
/* Local time minus UTC at this moment. */
int64_t cp_zone_offset_ms(const struct cp_zone *z, int64_t at_ms);

enum cp_span { CP_SPAN_HOUR, CP_SPAN_DAY, CP_SPAN_WEEK, CP_SPAN_MONTH };
/*
 * The span of the zone's calendar that holds `at_ms`: *from ≤ at_ms < *until.  Days begin at midnight, or where the
 * clock skips midnight at the first moment of the day; weeks begin on Monday.  A day may have 23 or 25 hours.
 */
void cp_zone_span(const struct cp_zone *z, enum cp_span span, int64_t at_ms, int64_t *from, int64_t *until);

/* The rules in the bytes of a file of the database; owned: free().  NULL: they are not understood.  For tests and fuzzing. */
struct cp_zone *cp_zone_read(struct gw_str bytes);

#endif
