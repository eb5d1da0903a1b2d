/*
 * gw.h - the vocabulary every other header speaks.
 *
 * Ownership words used in all headers, always in this sense:
 *   borrowed    valid only until the call returns (or until the named owner dies)
 *   owned       the receiver must release it with the named function
 *   consumed    the callee takes it, even when it fails; the caller's copy is NULLed
 *   arena       lives exactly as long as the arena it was carved from; never freed alone
 *
 * Out of memory aborts: every size fed from outside is capped before allocation, a supervisor restarts the
 * process, and constructors that cannot fail keep functions short.
 */
#ifndef GW_BASE_GW_H
#define GW_BASE_GW_H

#include <assert.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define GW_MUST_CHECK   __attribute__((warn_unused_result))
#define GW_PRINTF(f, a) __attribute__((format(printf, f, a)))

#define GW_COUNT(a) (sizeof(a) / sizeof *(a))

/* A borrowed run of bytes.  Not NUL-terminated.  {NULL,0} is "absent", {"",0} is "empty". */
struct gw_str {
	const char *p;
	size_t n;
};
#define GW_STR(lit)  ((struct gw_str){ "" lit, sizeof(lit) - 1 })
#define GW_STR_NONE  ((struct gw_str){ NULL, 0 })
/* For printf: printf("%.*s", GW_FMT(s)).  Lengths above INT_MAX are our own bug. */
#define GW_FMT(s)    (int)(s).n, (s).p

/* One list generates the enum, the names, the docs and the metric labels. */
#define GW_RC_TABLE(X)                                                        \
	X(OK,        "success")                                               \
	X(INVALID,   "input breaks the schema; error.path says where")        \
	X(NOTFOUND,  "no such object")                                        \
	X(EXISTS,    "an object of this name is there already")               \
	X(CONFLICT,  "revision moved on, re-read and try again")              \
	X(INUSE,     "something refers to it; error.path is the referrer")    \
	X(TOOBIG,    "a configured ceiling was reached")                      \
	X(VERSION,   "peer speaks a version we do not")                       \
	X(DENIED,    "credential missing, wrong, or not enough")              \
	X(BUSY,      "try later")                                             \
	X(IO,        "the system said no; error.text has errno's words")
enum gw_rc {
#define X(name, text) GW_##name,
	GW_RC_TABLE(X)
#undef X
};

/*
 * Filled by a failing call that was handed one; untouched on success.
 * Fixed size on purpose: reporting an error never allocates and never fails.
 */
struct gw_error {
	enum gw_rc rc;
	char path[160]; /* JSON pointer of the offending member, or "" */
	char text[320]; /* one sentence for a person, no newline, no secrets */
};

/* Fill *e (NULL allowed) and return rc, so that `return gw_fail(...)` reads well.  `path` NULL means "". */
enum gw_rc gw_fail(struct gw_error *e, enum gw_rc rc, const char *path, const char *fmt, ...)
	GW_PRINTF(4, 5);
/* Put "/prefix" before e->path: how a caller adds where the failing part hangs in the whole. */
void gw_error_prefix(struct gw_error *e, const char *fmt, ...) GW_PRINTF(2, 3);
const char *gw_rc_name(enum gw_rc rc); /* "NOTFOUND"; static */

/* Every long-lived struct starts with `unsigned magic`; every entry point checks it. */
#define GW_CHECK(p, M) assert((p) != NULL && (p)->magic == (M))

/* malloc family that aborts when memory is out.  gw_free(&p) NULLs the pointer. */
void *gw_alloc(size_t n);                     /* zeroed; owned: free() */
void *gw_realloc(void *p, size_t n);
char *gw_strdup_n(const char *p, size_t n);   /* NUL-terminated copy; owned: free() */

#endif
