/*
 * log.h - one line a fact, object first.
 *
 *   gw_log(GW_LOG_WARN, "provider", name, "connect failed", "endpoint=%.*s error=%s", ...)
 *
 * prints {"ts":"…","level":"warn","provider":"deepseek","msg":"connect failed","detail":"endpoint=…"} to stderr in
 * JSON mode, or a readable line in text mode.  Messages start lower-case, carry no secret and no final period.
 * Bytes that could break a terminal or a JSON reader are escaped here.  ALERT means a bug of ours: tests fail on it.
 * A line is written with one write(2); a full pipe drops the line and counts it, never blocks the caller.
 */
#ifndef GW_BASE_LOG_H
#define GW_BASE_LOG_H

#include "base/gw.h"

#define GW_LOG_TABLE(X) X(DEBUG, "debug") X(INFO, "info") X(WARN, "warn") X(ERROR, "error") X(ALERT, "alert")
enum gw_log_level {
#define X(name, text) GW_LOG_##name,
	GW_LOG_TABLE(X)
#undef X
};

enum gw_log_format { GW_LOG_JSON, GW_LOG_TEXT };

void gw_log_setup(enum gw_log_format format, enum gw_log_level least, const char *program);
/* `kind` and `name` say which object it is about; both may be NULL.  `fmt` NULL: no detail. */
void gw_log(enum gw_log_level level, const char *kind, struct gw_str name, const char *msg,
            const char *fmt, ...) GW_PRINTF(5, 6);
bool gw_log_on(enum gw_log_level level);
uint64_t gw_log_dropped(void);     /* lines lost to a full or broken stderr */

/* A program that is used wrongly or cannot start: "program: sentence" on stderr, never JSON. */
void gw_complain(const char *fmt, ...) GW_PRINTF(1, 2);

#endif
