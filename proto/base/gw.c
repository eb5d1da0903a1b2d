/*
 * gw.c - errors, and memory that is there or the process is not.
 */
#include "base/gw.h"

#include <stdio.h>
#include <stdlib.h>

const char *gw_rc_name(enum gw_rc rc)
{
	static const char *const names[] = {
#define X(name, text) #name,
		GW_RC_TABLE(X)
#undef X
	};
	return (size_t)rc < GW_COUNT(names) ? names[rc] : "UNKNOWN";
}

enum gw_rc gw_fail(struct gw_error *e, enum gw_rc rc, const char *path, const char *fmt, ...)
{
	if (!e)
		return rc;
	char text[sizeof e->text];
	va_list ap;
	va_start(ap, fmt);
	vsnprintf(text, sizeof text, fmt, ap);
	va_end(ap);
	/* Arguments may have pointed into *e itself, so it is written last.  One sentence, one line. */
	for (char *p = text; *p; p++)
		if ((unsigned char)*p < 0x20 || *p == 0x7f)
			*p = ' ';
	char where[sizeof e->path];
	snprintf(where, sizeof where, "%s", path ? path : "");
	e->rc = rc;
	memcpy(e->path, where, sizeof where);
	memcpy(e->text, text, sizeof text);
	return rc;
}

void gw_error_prefix(struct gw_error *e, const char *fmt, ...)
{
	if (!e)
		return;
	char joined[2 * sizeof e->path];
	va_list ap;
	va_start(ap, fmt);
	int n = vsnprintf(joined, sizeof e->path, fmt, ap);
	va_end(ap);
	size_t at = n < 0 ? 0 : (size_t)n;
	if (at >= sizeof e->path)
		at = sizeof e->path - 1;
	size_t rest = strnlen(e->path, sizeof e->path - 1);
	if (rest > sizeof e->path - 1 - at)
		rest = sizeof e->path - 1 - at;
	memcpy(joined + at, e->path, rest);
	joined[at + rest] = 0;
	memcpy(e->path, joined, at + rest + 1);
}

static void *require(void *p)
{
	if (!p) {
		static const char words[] = "out of memory\n";
		fwrite(words, 1, sizeof words - 1, stderr);
		abort();
	}
	return p;
}

void *gw_alloc(size_t n)
{
	return require(calloc(1, n ? n : 1));
}

void *gw_realloc(void *p, size_t n)
{
	return require(realloc(p, n ? n : 1));
}

char *gw_strdup_n(const char *p, size_t n)
{
	char *z = require(malloc(n + 1));
	if (n)
		memcpy(z, p, n);
	z[n] = 0;
	return z;
}
