/*
 * child.h - one supervised process of `tidegate up`.
 *
 * Children stand in process groups of their own, so that Ctrl-C at the terminal reaches the supervisor alone and the
 * order of stopping is its choice; they get SIGTERM from the kernel when the supervisor dies without a word.
 */
#ifndef CLI_CHILD_H
#define CLI_CHILD_H

#include <sys/types.h>

#include "base/buf.h"
#include "base/gw.h"

#define CHILD_MAX_ARGS 24

struct child {
	char name[32];                   /* "control", "worker-1" */
	char *argv[CHILD_MAX_ARGS];      /* owned strings, NULL-terminated */
	pid_t pid;                       /* 0: not running */
	int log_fd;                      /* its stdout and stderr, -1: they are ours */
	struct gw_buf log;               /* a line that is not complete yet */
	int64_t started_ms;              /* monotonic */
	int64_t restart_ms;              /* monotonic; when to start it again, 0: not planned */
	int64_t backoff_ms;
	int exit_status;                 /* of waitpid, once it ended */
	unsigned starts;
};

void child_init(struct child *c, const char *name);
void child_arg(struct child *c, const char *fmt, ...) GW_PRINTF(2, 3);
void child_fini(struct child *c);

/* Starts it; `prefixed`: its output comes through us, line by line, with its name in front. */
enum gw_rc child_start(struct child *c, bool prefixed, struct gw_error *err) GW_MUST_CHECK;
/* Takes what it wrote and passes whole lines on.  false: it closed its output. */
bool child_pump(struct child *c);
void child_signal(const struct child *c, int sig);
/* It was reaped: plans the restart (at once when it had run for a while, else 1 s, 2 s … 30 s) and says why it ended. */
void child_ended(struct child *c, int status, char why[128]);

#endif
