/*
 * crash.c - the handler.
 *
 * Between entry and the end only: reads of memory, write(2), poll(2), clock_gettime(2), sigaction(2), raise(3), and
 * backtrace(3), which is safe once it has run before (its first call loads a library: that happens in setup).  Numbers
 * and times are printed by hand.  A second fault inside the handler ends the process at once, since the handlers are
 * back at what they were before by then.
 */
#include "net/crash.h"

#include <errno.h>
#include <execinfo.h>
#include <link.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/time.h"

#define MAX_LOOPS   256
#define MAX_FRAMES  32
#define STACK_BYTES (64u << 10)
#define PIPE_WAIT_MS 500

static const struct { int number; const char *name; } signals[] = {
	{ SIGSEGV, "SIGSEGV" }, { SIGBUS, "SIGBUS" }, { SIGILL, "SIGILL" }, { SIGFPE, "SIGFPE" }, { SIGABRT, "SIGABRT" },
};

static struct {
	const char *program, *build;
	bool json;
	bool (*describe)(const void *what, struct dp_crash_fact *out);
	struct sigaction before[GW_COUNT(signals)];
	uintptr_t from, to;      /* where the program lies in memory */
	atomic_flag dying;
} crash = { .dying = ATOMIC_FLAG_INIT };

static dp_crash_note notes[MAX_LOOPS];
static _Thread_local int this_loop = -1;

/* ---- a line, built without the C library ---- */

struct line { char p[4000]; size_t n; };

static void add_bytes(struct line *l, const char *p, size_t n)
{
	if (n > sizeof l->p - 8 - l->n)
		n = sizeof l->p - 8 - l->n;
	memcpy(l->p + l->n, p, n);
	l->n += n;
}

static void add(struct line *l, const char *z)
{
	add_bytes(l, z, strlen(z));
}

/* Ids and names are plain text; whatever memory has become is made so. */
static void add_text(struct line *l, const char *z, size_t max)
{
	for (size_t i = 0; i < max && z[i]; i++) {
		char c = z[i];

		add_bytes(l, c > 0x20 && c < 0x7f && c != '"' && c != '\\' ? &c : "?", 1);
	}
}

static void add_number(struct line *l, uint64_t v, unsigned base, unsigned width)
{
	char b[24];
	size_t n = sizeof b;

	do {
		b[--n] = "0123456789abcdef"[v % base];
		v /= base;
	} while (v || sizeof b - n < width);
	add_bytes(l, b + n, sizeof b - n);
}

/* 2026-11-28T10:15:30.123Z; days to a date by Hinnant's algorithm, as in base/time.c. */
static void add_time(struct line *l)
{
	int64_t ms = gw_now_ms(), days = ms / 86400000, of_day = ms % 86400000, z = days + 719468;
	int64_t era = z / 146097, doe = z - era * 146097;
	int64_t yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365, doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
	int64_t mp = (5 * doy + 2) / 153, d = doy - (153 * mp + 2) / 5 + 1, m = mp < 10 ? mp + 3 : mp - 9;
	const int64_t parts[] = { yoe + era * 400 + (m <= 2), m, d, of_day / 3600000, of_day / 60000 % 60, of_day / 1000 % 60, of_day % 1000 };
	static const unsigned width[] = { 4, 2, 2, 2, 2, 2, 3 };

	for (size_t i = 0; i < GW_COUNT(parts); i++) {
		add_number(l, (uint64_t)parts[i], 10, width[i]);
		add_bytes(l, &"--T::.Z"[i], 1);
	}
}

/* ---- what is said ---- */

static const char *name_of(int number)
{
	for (size_t i = 0; i < GW_COUNT(signals); i++)
		if (signals[i].number == number)
			return signals[i].name;
	return "a signal";
}

static void add_loops(struct line *l)
{
	for (int i = 0; i < MAX_LOOPS; i++) {
		const void *what = atomic_load_explicit(&notes[i], memory_order_relaxed);
		struct dp_crash_fact f = { NULL, NULL, 0 };

		if (!what || !crash.describe || !crash.describe(what, &f))
			continue;
		add(l, i == this_loop ? " here: loop=" : " loop=");
		add_number(l, (uint64_t)i, 10, 1);
		add(l, " request=");
		add_text(l, f.request, 80);
		add(l, " step=");
		add_text(l, f.step, 20);
		add(l, " revision=");
		add_number(l, f.revision, 10, 1);
	}
}

/* Offsets into the program, which a debugger of the same build understands; addresses elsewhere as they are. */
static void add_stack(struct line *l)
{
	void *frames[MAX_FRAMES];
	int n = backtrace(frames, MAX_FRAMES);

	add(l, " stack=");
	for (int i = 0; i < n; i++) {
		uintptr_t at = (uintptr_t)frames[i];
		bool ours = at >= crash.from && at < crash.to;

		add(l, i ? "," : "");
		add(l, ours ? "+0x" : "0x");
		add_number(l, ours ? at - crash.from : at, 16, 1);
	}
}

static void say(struct line *l)
{
	struct pollfd p = { .fd = STDERR_FILENO, .events = POLLOUT };
	size_t done = 0;

	while (done < l->n && poll(&p, 1, PIPE_WAIT_MS) > 0) {
		ssize_t k = write(STDERR_FILENO, l->p + done, l->n - done);

		if (k <= 0 && errno != EINTR && errno != EAGAIN)
			return;
		done += k > 0 ? (size_t)k : 0;
	}
}

static void report(int number, const siginfo_t *info)
{
	struct line l = { .n = 0 };

	if (crash.json) {
		add(&l, "{\"ts\":\"");
		add_time(&l);
		add(&l, "\",\"level\":\"alert\",\"program\":\"");
		add(&l, crash.program);
		add(&l, "\",\"msg\":\"crashed\",\"detail\":\"");
	} else {
		add_time(&l);
		add(&l, " ALERT ");
		add(&l, crash.program);
		add(&l, ": crashed  ");
	}
	add(&l, "signal=");
	add(&l, name_of(number));
	if (info->si_code <= 0) {       /* raised, or sent; else it is the fault's address */
		add(&l, " sender=");
		add_number(&l, (uint64_t)info->si_pid, 10, 1);
	} else {
		add(&l, " address=0x");
		add_number(&l, (uintptr_t)info->si_addr, 16, 1);
	}
	add(&l, " build=");
	add(&l, crash.build);
	add_loops(&l);
	add_stack(&l);
	add_bytes(&l, crash.json ? "\"}\n" : "\n", crash.json ? 3 : 1);
	say(&l);
}

static void on_signal(int number, siginfo_t *info, void *context)
{
	(void)context;
	for (size_t i = 0; i < GW_COUNT(signals); i++)
		sigaction(signals[i].number, &crash.before[i], NULL);
	if (!atomic_flag_test_and_set(&crash.dying))
		report(number, info);
	if (info->si_code <= 0)
		raise(number); /* a fault of the processor comes again by itself, where it was */
}

/* ---- setting up ---- */

static int find_program(struct dl_phdr_info *info, size_t size, void *arg)
{
	(void)size;
	(void)arg;
	crash.from = info->dlpi_addr;
	for (size_t i = 0; i < info->dlpi_phnum; i++)
		if (info->dlpi_phdr[i].p_type == PT_LOAD)
			crash.to = info->dlpi_addr + info->dlpi_phdr[i].p_vaddr + info->dlpi_phdr[i].p_memsz;
	return 1; /* the first one is the program itself */
}

void dp_crash_setup(const char *program, const char *build, bool json)
{
	struct sigaction a = { .sa_sigaction = on_signal, .sa_flags = SA_SIGINFO | SA_ONSTACK };
	void *one[1];

	crash.program = program;
	crash.build = build;
	crash.json = json;
	dl_iterate_phdr(find_program, NULL);
	(void)backtrace(one, 1);
	sigfillset(&a.sa_mask);
	for (size_t i = 0; i < GW_COUNT(signals); i++)
		sigaction(signals[i].number, &a, &crash.before[i]);
}

void dp_crash_describe(bool (*fn)(const void *what, struct dp_crash_fact *out))
{
	crash.describe = fn;
}

void dp_crash_thread(unsigned loop)
{
	stack_t s = { .ss_size = STACK_BYTES }, now;

	this_loop = (int)(loop % MAX_LOOPS);
	/* A sanitizer brings its own, and unmaps what it finds at the thread's end. */
	if (!crash.program || sigaltstack(NULL, &now) != 0 || !(now.ss_flags & SS_DISABLE))
		return;
	s.ss_sp = gw_alloc(STACK_BYTES); /* lives as long as the process: a thread of requests ends with it */
	sigaltstack(&s, NULL);
}

dp_crash_note *dp_crash_note_of(unsigned loop)
{
	return &notes[loop % MAX_LOOPS];
}
