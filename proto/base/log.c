/*
 * log.c - one bounded line, one write.
 *
 * stderr may be a file, a terminal, a pipe or journald's socket.  None of them may ever hold up the caller: a pipe is
 * opened a second time with O_NONBLOCK (the flag on fd 2 itself is shared with whoever gave it to us), a socket is
 * written with MSG_DONTWAIT, and anything else that can be full (a stopped terminal) is asked first.
 */
#include "base/log.h"
#include "base/buf.h"
#include "base/str.h"
#include "base/time.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#define LINE_MAX_BYTES 8192

static const struct {
	const char *name, *colour;
} levels[] = {
	{ "debug", "\033[2m" }, { "info", "\033[32m" }, { "warn", "\033[33m" },
	{ "error", "\033[31m" }, { "alert", "\033[1;31m" },
};

/* Written by gw_log_setup() before threads start, read by all. */
static struct {
	enum gw_log_format format;
	enum gw_log_level least;
	const char *program;
	int fd;
	bool socket, ask, colour;
} log_to = { GW_LOG_JSON, GW_LOG_INFO, NULL, STDERR_FILENO, false, true, false };

static atomic_uint_fast64_t dropped;
static atomic_bool torn; /* the last write stopped inside a line */

void gw_log_setup(enum gw_log_format format, enum gw_log_level least, const char *program)
{
	struct stat st;
	log_to.format = format;
	log_to.least = least;
	log_to.program = program;
	if (log_to.fd != STDERR_FILENO)
		close(log_to.fd);
	log_to.fd = STDERR_FILENO;
	log_to.socket = false;
	log_to.ask = true;
	log_to.colour = format == GW_LOG_TEXT && isatty(STDERR_FILENO);
	if (fstat(STDERR_FILENO, &st) != 0)
		return;
	log_to.socket = S_ISSOCK(st.st_mode);
	if (S_ISFIFO(st.st_mode)) {
		int fd = open("/proc/self/fd/2", O_WRONLY | O_NONBLOCK | O_CLOEXEC);
		if (fd >= 0) {
			log_to.fd = fd;
			log_to.ask = false;
		}
	} else if (log_to.socket || S_ISREG(st.st_mode)) {
		log_to.ask = false;
	}
}

/* Only where the kernel could make us wait; a line longer than a pipe's free room still may, but never a short one. */
static bool is_ready(void)
{
	struct pollfd p = { .fd = log_to.fd, .events = POLLOUT };
	return !log_to.ask || poll(&p, 1, 0) != 0;
}

bool gw_log_on(enum gw_log_level level)
{
	return level >= log_to.least;
}

uint64_t gw_log_dropped(void)
{
	return atomic_load_explicit(&dropped, memory_order_relaxed);
}

static void put(const char *p, size_t n)
{
	ssize_t done;
	if (!is_ready()) {
		atomic_fetch_add_explicit(&dropped, 1, memory_order_relaxed);
		return;
	}
	do
		done = log_to.socket ?
		    send(log_to.fd, p, n, MSG_DONTWAIT | MSG_NOSIGNAL) :
		    write(log_to.fd, p, n);
	while (done < 0 && errno == EINTR);
	if (done != (ssize_t)n)
		atomic_fetch_add_explicit(&dropped, 1, memory_order_relaxed);
	/* Half a line went out: end it before the next one begins. */
	if (done > 0 && p[done - 1] != '\n')
		atomic_store_explicit(&torn, true, memory_order_relaxed);
}

/* A line under construction, with room kept back for what must close it. */
struct line {
	char p[LINE_MAX_BYTES];
	size_t n, max;
};

static bool add(struct line *l, const char *p, size_t n)
{
	if (n > l->max - l->n)
		return false;
	memcpy(l->p + l->n, p, n);
	l->n += n;
	return true;
}

static bool add_c(struct line *l, const char *z)
{
	return add(l, z, strlen(z));
}

static bool add_unicode_escape(struct line *l, unsigned code)
{
	char esc[8];
	snprintf(esc, sizeof esc, "\\u%04x", code & 0xffff);
	return add_c(l, esc);
}

/* Bytes of `s` made harmless for a JSON reader and for a terminal; cut off where the line is full. */
static void add_safe(struct line *l, struct gw_str s, bool json)
{
	while (s.n) {
		unsigned char c = (unsigned char)s.p[0];
		size_t n = gw_utf8_len(s);
		bool ok;
		if (n == 0) {
			ok = add_c(l, "\xef\xbf\xbd");
			n = 1;
		} else if (c < 0x20 || c == 0x7f) {
			ok = c == '\n' ? add_c(l, "\\n") : c == '\t' ? add_c(l, "\\t") :
			    add_unicode_escape(l, c);
		} else if (c == 0xc2 && (unsigned char)s.p[1] < 0xa0) {
			ok = add_unicode_escape(l, (unsigned char)s.p[1]);
		} else if (json && (c == '"' || c == '\\')) {
			ok = add(l, c == '"' ? "\\\"" : "\\\\", 2);
		} else {
			ok = add(l, s.p, n);
		}
		if (!ok)
			return;
		s = gw_str_from(s, n);
	}
}

static void add_member(struct line *l, const char *name, struct gw_str value)
{
	/* The bytes that close this member stand below max, so they always fit. */
	size_t before = l->n;
	if (!add_c(l, ",\"") || !add_c(l, name) || !add_c(l, "\":\"")) {
		l->n = before;
		return;
	}
	add_safe(l, value, true);
	l->p[l->n++] = '"';
	l->max++;
}

static void json_line(struct line *l, enum gw_log_level level, const char *kind, struct gw_str name,
    const char *msg, const char *detail)
{
	char ts[GW_TIME_LEN];
	gw_time_format(ts, gw_now_ms());
	l->max = sizeof l->p - 16; /* closing quotes, brace, newline */
	add_c(l, "{\"ts\":\"");
	add_c(l, ts);
	l->p[l->n++] = '"';
	add_member(l, "level", gw_str_c(levels[level].name));
	if (log_to.program)
		add_member(l, "program", gw_str_c(log_to.program));
	if (kind)
		add_member(l, kind, name);
	add_member(l, "msg", gw_str_c(msg));
	if (detail)
		add_member(l, "detail", gw_str_c(detail));
	l->p[l->n++] = '}';
	l->p[l->n++] = '\n';
}

static void text_line(struct line *l, enum gw_log_level level, const char *kind, struct gw_str name,
    const char *msg, const char *detail)
{
	char ts[GW_TIME_LEN];
	gw_time_format(ts, gw_now_ms());
	l->max = sizeof l->p - 16;
	add(l, ts + 11, 12); /* hh:mm:ss.mmm */
	add_c(l, " ");
	if (log_to.colour)
		add_c(l, levels[level].colour);
	add_c(l, levels[level].name);
	if (log_to.colour)
		add_c(l, "\033[0m");
	add(l, "      ", 6 - strlen(levels[level].name));
	if (log_to.program) {
		add_c(l, log_to.program);
		add_c(l, ": ");
	}
	if (kind) {
		add_c(l, kind);
		add_c(l, " ");
		add_safe(l, name, false);
		add_c(l, ": ");
	}
	add_safe(l, gw_str_c(msg), false);
	if (detail && *detail) {
		add_c(l, "  ");
		add_safe(l, gw_str_c(detail), false);
	}
	l->p[l->n++] = '\n';
}

void gw_log(enum gw_log_level level, const char *kind, struct gw_str name, const char *msg,
    const char *fmt, ...)
{
	if (!gw_log_on(level))
		return;
	int saved = errno; /* callers log and then look at errno */
	char detail[LINE_MAX_BYTES];
	if (fmt) {
		va_list ap;
		va_start(ap, fmt);
		vsnprintf(detail, sizeof detail, fmt, ap);
		va_end(ap);
	}
	struct line l = { .n = 0 };
	if (atomic_exchange_explicit(&torn, false, memory_order_relaxed))
		l.p[l.n++] = '\n';
	if (log_to.format == GW_LOG_JSON)
		json_line(&l, level, kind, name, msg, fmt ? detail : NULL);
	else
		text_line(&l, level, kind, name, msg, fmt ? detail : NULL);
	put(l.p, l.n);
	errno = saved;
}

void gw_complain(const char *fmt, ...)
{
	struct line l = { .n = 0 };
	char text[LINE_MAX_BYTES / 2];
	va_list ap;
	va_start(ap, fmt);
	vsnprintf(text, sizeof text, fmt, ap);
	va_end(ap);
	l.max = sizeof l.p - 1;
	add_c(&l, log_to.program ? log_to.program : "tidegate");
	add_c(&l, ": ");
	add_safe(&l, gw_str_c(text), false);
	l.p[l.n++] = '\n';
	put(l.p, l.n);
}
