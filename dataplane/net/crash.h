/*
 * crash.h - last words: which request, in which step, under which configuration, when the process dies of a signal.
 *
 * A crash is a bug of ours, and "signal 11" does not find it.  Each loop notes what it works on (one store a callback);
 * the handler, which may call almost nothing, writes one alert line to stderr: the signal, the build, the request that
 * each loop touched last, and the stack as offsets into the program (addr2line -e tidegate-worker).  Then the signal
 * takes its course: the supervisor sees the status it would have seen anyway.
 *
 * What is noted is opaque here; the layer that notes it says how it is described, with a function that only reads.
 */
#ifndef DP_NET_CRASH_H
#define DP_NET_CRASH_H

#include <stdatomic.h>

#include "base/gw.h"

/* What the report says of a request.  Texts are borrowed and stay readable until the note is taken back. */
struct dp_crash_fact {
	const char *request;      /* its id */
	const char *step;
	uint64_t revision;        /* of the configuration that it runs under */
};

/* A loop's note; NULL: nothing.  Other threads read it only while the process is dying. */
typedef _Atomic(const void *) dp_crash_note;

/* Once, early in main: handlers for the signals of bugs.  `json`: as a line of the JSON log. */
void dp_crash_setup(const char *program, const char *build, bool json);
/* How a note is described; called in a signal handler: it may read, and nothing else.  false: it is no valid note. */
void dp_crash_describe(bool (*fn)(const void *what, struct dp_crash_fact *out));
/* Each thread that works for requests, at its start: a stack of its own for the handler, and its number. */
void dp_crash_thread(unsigned loop);
/* The note of loop n, for as long as the process lives. */
dp_crash_note *dp_crash_note_of(unsigned loop);

static inline void dp_crash_at(dp_crash_note *note, const void *what)
{
	atomic_store_explicit(note, what, memory_order_relaxed);
}
static inline void dp_crash_forget(dp_crash_note *note, const void *what)
{
	if (atomic_load_explicit(note, memory_order_relaxed) == what)
		atomic_store_explicit(note, NULL, memory_order_relaxed);
}

#endif
