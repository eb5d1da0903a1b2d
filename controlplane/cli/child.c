/*
 * child.c - one supervised process (see child.h).
 */
#include "cli/child.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/str.h"
#include "base/time.h"

#define MAX_LINE      65536
#define STEADY_MS     10000  /* who ran this long is started again at once */
#define BACKOFF_FIRST 1000
#define BACKOFF_MAX   30000

void child_init(struct child *c, const char *name)
{
	*c = (struct child){ .log_fd = -1 };
	snprintf(c->name, sizeof c->name, "%s", name);
	gw_buf_init(&c->log, MAX_LINE);
}

void child_arg(struct child *c, const char *fmt, ...)
{
		char text[8192];
	va_list ap;
	size_t n = 0;
	va_start(ap, fmt);
	int len = vsnprintf(text, sizeof text, fmt, ap);
	va_end(ap);
	assert(len >= 0 && (size_t)len < sizeof text);
	while (c->argv[n])
		n++;
	assert(n + 1 < CHILD_MAX_ARGS);
	c->argv[n] = gw_strdup_n(text, (size_t)len);
}

void child_fini(struct child *c)
{
	for (size_t i = 0; c->argv[i]; i++)
		free(c->argv[i]);
	if (c->log_fd >= 0)
		close(c->log_fd);
	gw_buf_fini(&c->log);
}

/* Between fork and exec: only what is safe there. */
static void become(const struct child *c, int out, pid_t parent)
{
	sigset_t none;
	sigemptyset(&none);
	setpgid(0, 0);
	prctl(PR_SET_PDEATHSIG, SIGTERM);
	if (getppid() != parent)
		_exit(1);
	signal(SIGPIPE, SIG_DFL);
	sigprocmask(SIG_SETMASK, &none, NULL);
	int null = open("/dev/null", O_RDONLY);
	if (null >= 0)
		dup2(null, 0);
	if (out >= 0) {
		dup2(out, 1);
		dup2(out, 2);
	} else {
		dup2(2, 1); /* our own stdout is for people */
	}
	execv(c->argv[0], c->argv);
	static const char sorry[] = "tidegate: the program cannot be run\n";
	if (write(2, sorry, sizeof sorry - 1) < 0)
		_exit(126);
	_exit(127);
}

enum gw_rc child_start(struct child *c, bool prefixed, struct gw_error *err)
{
	int pipes[2] = { -1, -1 };
	if (c->log_fd >= 0)
		close(c->log_fd);
	c->log_fd = -1;
	if (prefixed && pipe2(pipes, O_CLOEXEC) != 0)
		return gw_fail(err, GW_IO, NULL, "cannot make a pipe for %s: %s", c->name, strerror(errno));
	pid_t parent = getpid(), pid = fork();
	if (pid == 0)
		become(c, pipes[1], parent);
	int why = errno;
	if (prefixed)
		close(pipes[1]);
	if (pid < 0) {
		if (prefixed)
			close(pipes[0]);
		return gw_fail(err, GW_IO, NULL, "cannot start %s: %s", c->name, strerror(why));
	}
	setpgid(pid, pid);
	if (prefixed) {
		fcntl(pipes[0], F_SETFL, O_NONBLOCK);
		c->log_fd = pipes[0];
	}
	c->pid = pid;
	c->started_ms = gw_mono_ms();
	c->restart_ms = 0;
	c->starts++;
	return GW_OK;
}

static void print_line(const struct child *c, struct gw_str line)
{
	char text[MAX_LINE + 64];
	int n = snprintf(text, sizeof text, "%-9s| %.*s\n", c->name, GW_FMT(line));
	if (n > 0 && write(STDERR_FILENO, text, (size_t)n) < 0)
		return; /* nobody reads: the line is lost, the child goes on */
}

static void flush_lines(struct child *c, bool all)
{
	struct gw_str rest = gw_buf_str(&c->log);
	size_t done = 0;
	for (;;) {
		const char *end = memchr(rest.p, '\n', rest.n);
		if (!end)
			break;
		print_line(c, (struct gw_str){ rest.p, (size_t)(end - rest.p) });
		done += (size_t)(end - rest.p) + 1;
		rest = gw_str_from(rest, (size_t)(end - rest.p) + 1);
	}
	if (rest.n && (all || c->log.n - done > MAX_LINE / 2)) {
		print_line(c, rest);
		done = c->log.n;
	}
	gw_buf_drop_front(&c->log, done);
}

bool child_pump(struct child *c)
{
	while (c->log_fd >= 0) {
		char *at = gw_buf_reserve(&c->log, 4096);
		if (!at) {
			flush_lines(c, true);
			gw_buf_clear(&c->log);
			continue;
		}
		ssize_t n = read(c->log_fd, at, 4096);
		if (n > 0) {
			gw_buf_commit(&c->log, (size_t)n);
			flush_lines(c, false);
		} else if (n < 0 && errno == EAGAIN) {
			return true;
		} else if (n == 0 || errno != EINTR) {
			flush_lines(c, true);
			close(c->log_fd);
			c->log_fd = -1;
		}
	}
	return false;
}

void child_signal(const struct child *c, int sig)
{
	if (c->pid > 0)
		kill(c->pid, sig);
}

void child_ended(struct child *c, int status, char why[128])
{
	int64_t now = gw_mono_ms();
	c->pid = 0;
	c->exit_status = status;
	child_pump(c);
	if (now - c->started_ms >= STEADY_MS) {
		c->backoff_ms = 0;
		c->restart_ms = now + 100;
	} else {
		c->backoff_ms = c->backoff_ms ? c->backoff_ms * 2 : BACKOFF_FIRST;
		if (c->backoff_ms > BACKOFF_MAX)
			c->backoff_ms = BACKOFF_MAX;
		c->restart_ms = now + c->backoff_ms;
	}
	if (WIFSIGNALED(status))
		snprintf(why, 128, "was killed by signal %d (%s)", WTERMSIG(status), strsignal(WTERMSIG(status)));
	else
		snprintf(why, 128, "ended with code %d", WEXITSTATUS(status));
}
