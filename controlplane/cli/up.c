/*
 * up.c - tidegate up: control plane and workers of one machine, started in order, kept alive, stopped in order.
 *
 * Workers go on serving while the control plane restarts, and the other way round; neither needs this process, so
 * all it does is wait.  A child that fails before it was ever ready ends the start with its own sentence; later it is
 * started again, with growing pauses when it keeps failing.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/file.h"
#include "base/log.h"
#include "base/str.h"
#include "base/time.h"
#include "cli/child.h"
#include "cli/cli.h"
#include "ws/listen.h"

#define MAX_WORKERS     64
#define READY_MS        60000  /* for the control plane: it may have a large database to migrate */
#define WORKER_READY_MS 15000
#define POLL_MS         10
#define CONTROL_STOP_MS 15000
#define KILL_MS         3000

enum stopping { STOP_NO, STOP_DRAIN, STOP_QUICK };

struct up {
	const char *dir_given, *bind, *log_format;
	int64_t console_port, data_port, control_port, admin_port, n_workers, loops;
	char dir[CP_PATH_MAX];
	int lock_fd, signal_fd;
	bool prefixed, ready;
	bool terminal;   /* SIGHUP means that it was closed */
	enum stopping stopping;
	struct child control, workers[MAX_WORKERS];
};

/* ---- addresses ---- */

static bool any_address(const char *bind)
{
	return strcmp(bind, "0.0.0.0") == 0 || strcmp(bind, "::") == 0;
}

/* "HOST:PORT" with brackets where needed; `reach`: how this machine calls it, not what is bound. */
static const char *address(char out[300], const struct up *u, int64_t port, bool reach)
{
	const char *host = u->bind;
	if (reach && any_address(host))
		host = strcmp(host, "::") == 0 ? "::1" : "127.0.0.1";
	snprintf(out, 300, strchr(host, ':') ? "[%.250s]:%d" : "%.250s:%d", host, (int)port);
	return out;
}

static const char *url(char out[300], const struct up *u, int64_t port, const char *path)
{
	char host[300];
	if (any_address(u->bind))
		snprintf(out, 300, "http://localhost:%d%s", (int)port, path);
	else
		snprintf(out, 300, "http://%.250s%.20s", address(host, u, port, true), path);
	return out;
}

/* ---- before the start ---- */

static bool lock(struct up *u)
{
	struct gw_error err = { 0 };
	char path[CP_PATH_MAX], pid[32] = "";
	if (cp_datadir_prepare(u->dir, &err) != GW_OK || cp_datadir_become_owner(u->dir, &err) != GW_OK) {
		gw_complain("%s", err.text);
		return false;
	}
	cp_datadir_path(path, u->dir, "up.lock");
	u->lock_fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (u->lock_fd < 0) {
		gw_complain("%s cannot be opened: %s", path, strerror(errno));
		return false;
	}
	if (flock(u->lock_fd, LOCK_EX | LOCK_NB) == 0) {
		int n = snprintf(pid, sizeof pid, "%d\n", (int)getpid());
		if (ftruncate(u->lock_fd, 0) == 0 && pwrite(u->lock_fd, pid, (size_t)n, 0) == n)
			return true;
	}
	ssize_t n = pread(u->lock_fd, pid, sizeof pid - 1, 0);
	pid[n > 0 ? strspn(pid, "0123456789") : 0] = 0;
	gw_complain("Tidegate runs on %s already (tidegate up, pid %s); see it with: tidegate status --data-dir %s", u->dir, pid,
	    u->dir);
	return false;
}

/* Another control plane, started without `up`, would refuse ours; say so before anything is started. */
static bool directory_free(const struct up *u)
{
	struct gw_error err = { 0 };
	int fd;
	if (cp_datadir_lock(&fd, u->dir, &err) != GW_OK) {
		gw_complain("%s", err.text);
		return false;
	}
	close(fd);
	return true;
}

static bool port_free(const char *listen, const char *what, const char *option)
{
	struct gw_error err = { 0 };
	int fd;
	unsigned port;
	if (cp_listen_open(&fd, &port, listen, &err) == GW_OK) {
		close(fd);
		return true;
	}
	gw_complain("%s: %s (%s)", what, err.text, option);
	return false;
}

/* Workers share their port with whoever of our uid asks for it, so this is the only place where a clash shows. */
static bool ports_free(const struct up *u)
{
	char a[300];
	if (!port_free(address(a, u, u->console_port, false), "console", "--console-port") ||
	    !port_free(address(a, u, u->control_port, false), "channel to the workers", "--control-port") ||
	    !port_free(address(a, u, u->data_port, false), "data plane", "--data-port"))
		return false;
	for (int i = 0; i < u->n_workers; i++) {
		snprintf(a, sizeof a, "127.0.0.1:%d", (int)u->admin_port + i);
		if (!port_free(a, "worker admin", "--worker-admin-port"))
			return false;
	}
	return true;
}

/* ---- the children ---- */

static bool describe_control(struct up *u)
{
	char exe[CP_PATH_MAX], a[300];
	if (!cli_sibling(exe, "tidegate-control"))
		return false;
	child_init(&u->control, "control");
	child_arg(&u->control, "%s", exe);
	child_arg(&u->control, "--data-dir");
	child_arg(&u->control, "%s", u->dir);
	child_arg(&u->control, "--console-listen");
	child_arg(&u->control, "%s", address(a, u, u->console_port, false));
	child_arg(&u->control, "--channel-listen");
	child_arg(&u->control, "%s", address(a, u, u->control_port, false));
	child_arg(&u->control, "--log-format");
	child_arg(&u->control, "%s", u->log_format);
	return true;
}

static bool describe_worker(struct up *u, int i)
{
	struct child *c = &u->workers[i];
	struct gw_error err = { 0 };
	char exe[CP_PATH_MAX], a[300], name[32], state[CP_PATH_MAX], sub[40];
	if (!cli_sibling(exe, "tidegate-worker"))
		return false;
	snprintf(name, sizeof name, "worker-%d", i + 1);
	snprintf(sub, sizeof sub, "workers/%d", i + 1);
	cp_datadir_path(state, u->dir, sub);
	if (gw_dir_make(state, 0700, &err) != GW_OK) {
		gw_complain("%s", err.text);
		return false;
	}
	child_init(c, name);
	child_arg(c, "%s", exe);
	child_arg(c, "--control");
	child_arg(c, "wss://%s", address(a, u, u->control_port, true));
	child_arg(c, "--join-token-file");
	child_arg(c, "%s/join-token", u->dir);
	child_arg(c, "--state-dir");
	child_arg(c, "%s", state);
	child_arg(c, "--listen");
	child_arg(c, "%s", address(a, u, u->data_port, false));
	child_arg(c, "--admin-listen");
	child_arg(c, "127.0.0.1:%d", (int)u->admin_port + i);
	child_arg(c, "--name");
	child_arg(c, "%s", name);
	child_arg(c, "--log-format");
	child_arg(c, "%s", u->log_format);
	if (u->loops) {
		child_arg(c, "--loops");
		child_arg(c, "%d", (int)u->loops);
	}
	return true;
}

static struct child *child_at(struct up *u, int i) /* -1: the control plane */
{
	return i < 0 ? &u->control : &u->workers[i];
}

static void write_up_json(const struct up *u)
{
	char path[CP_PATH_MAX], a[300], now[GW_TIME_LEN];
	struct gw_error err = { 0 };
	struct gw_buf b;
	gw_buf_init(&b, 1 << 20);
	gw_time_format(now, gw_now_ms());
	json_t *o = json_object(), *list = json_array();
	json_object_set_new(o, "pid", json_integer(getpid()));
	json_object_set_new(o, "version", json_string(TIDEGATE_VERSION));
	json_object_set_new(o, "written_at", json_string(now));
	json_object_set_new(o, "data_dir", json_string(u->dir));
	json_object_set_new(o, "bind", json_string(u->bind));
	json_object_set_new(o, "console_port", json_integer(u->console_port));
	json_object_set_new(o, "data_port", json_integer(u->data_port));
	json_object_set_new(o, "control_port", json_integer(u->control_port));
	json_object_set_new(o, "console_url", json_string(url(a, u, u->console_port, "")));
	json_object_set_new(o, "data_url", json_string(url(a, u, u->data_port, "")));
	json_object_set_new(o, "control", json_pack("{s:i,s:I}", "pid", (int)u->control.pid, "starts",
	    (json_int_t)u->control.starts));
	for (int i = 0; i < u->n_workers; i++)
		json_array_append_new(list, json_pack("{s:s,s:i,s:I,s:I}", "name", u->workers[i].name, "pid",
		    (int)u->workers[i].pid, "admin_port", (json_int_t)(u->admin_port + i), "starts",
		    (json_int_t)u->workers[i].starts));
	json_object_set_new(o, "workers", list);
	cp_datadir_path(path, u->dir, "up.json");
	if (gw_json_write(&b, o, false) != GW_OK || gw_file_replace(path, gw_buf_str(&b), 0600, &err) != GW_OK)
		gw_log(GW_LOG_WARN, NULL, GW_STR_NONE, "up.json cannot be written", "%s", err.text);
	gw_buf_fini(&b);
	json_decref(o);
}

static void start_child(struct up *u, struct child *c)
{
	struct gw_error err = { 0 };
	char why[128];
	if (child_start(c, u->prefixed, &err) == GW_OK) {
		write_up_json(u);
		return;
	}
	gw_log(GW_LOG_ERROR, "child", gw_str_c(c->name), "cannot be started", "%s", err.text);
	c->started_ms = gw_mono_ms();
	child_ended(c, 0, why);
}

static void reap(struct up *u)
{
	int status;
	pid_t pid;
	char why[128];
	while ((pid = waitpid(-1, &status, WNOHANG)) > 0)
		for (int i = -1; i < u->n_workers; i++) {
			struct child *c = child_at(u, i);
			if (c->pid != pid)
				continue;
			child_ended(c, status, why);
			if (u->stopping)
				gw_log(GW_LOG_DEBUG, "child", gw_str_c(c->name), "ended", "%s", why);
			else if (!u->ready)
				gw_complain("%s %s", c->name, why);
			else
				gw_log(GW_LOG_ERROR, "child", gw_str_c(c->name), "ended and will be started again", "it %s restart_in_ms=%lld",
				    why, (long long)(c->restart_ms - gw_mono_ms()));
		}
}

/* The control plane reads the console's certificate again, workers open their access logs anew. */
static void hang_up(struct up *u)
{
	child_signal(&u->control, SIGHUP);
	for (int i = 0; i < u->n_workers; i++)
		child_signal(&u->workers[i], SIGHUP);
}

static void read_signals(struct up *u)
{
	struct signalfd_siginfo si;
	while (read(u->signal_fd, &si, sizeof si) == sizeof si) {
		if (si.ssi_signo == SIGCHLD)
			reap(u);
		else if (si.ssi_signo == SIGHUP && !u->terminal)
			hang_up(u);
		else if (u->stopping < STOP_QUICK)
			u->stopping = u->stopping ? STOP_QUICK : STOP_DRAIN;
	}
}

/* Everything that may happen meanwhile is taken care of; returns after `ms`, or earlier when something did. */
static void spin(struct up *u, int64_t ms)
{
	struct pollfd p[MAX_WORKERS + 2] = { { .fd = u->signal_fd, .events = POLLIN } };
	for (int i = -1; i < u->n_workers; i++)
		p[i + 2] = (struct pollfd){ .fd = child_at(u, i)->log_fd, .events = POLLIN };
	if (poll(p, (nfds_t)u->n_workers + 2, ms > 0 ? (int)ms : 0) <= 0)
		return;
	for (int i = -1; i < u->n_workers; i++)
		if (p[i + 2].revents)
			child_pump(child_at(u, i));
	if (p[0].revents)
		read_signals(u);
}

/* ---- getting ready ---- */

static bool worker_ready(const struct up *u, int i)
{
	struct cli_answer a;
	struct cli_request rq = { .method = "GET", .path = "/readyz", .timeout_ms = 1000 };
	if (cli_http_tcp(&a, "127.0.0.1", (unsigned)(u->admin_port + i), &rq, NULL) != GW_OK)
		return false;
	cli_answer_fini(&a);
	return a.status == 200;
}

/* false: it ended, or a signal came. */
static bool wait_control(struct up *u)
{
	int64_t until = gw_mono_ms() + READY_MS;
	while (!u->stopping && u->control.pid && gw_mono_ms() < until) {
		if (cli_is_running(u->dir))
			return true;
		spin(u, POLL_MS);
	}
	if (!u->stopping && u->control.pid)
		gw_complain("the control plane was not ready within %d s; its log above says why", READY_MS / 1000);
	return false;
}

static bool wait_workers(struct up *u)
{
	int64_t until = gw_mono_ms() + WORKER_READY_MS;
	int ready = 0;
	while (!u->stopping && ready < u->n_workers && gw_mono_ms() < until) {
		if (!u->workers[ready].pid)
			return false;
		if (worker_ready(u, ready))
			ready++;
		else
			spin(u, POLL_MS);
	}
	if (!u->stopping && ready < u->n_workers)
		gw_log(GW_LOG_WARN, "child", gw_str_c(u->workers[ready].name), "is not ready yet, going on", "waited_ms=%d",
		    WORKER_READY_MS);
	return !u->stopping;
}

static void banner(const struct up *u)
{
	char path[CP_PATH_MAX], a[300];
	struct gw_buf token;
	gw_buf_init(&token, 256);
	cp_datadir_path(path, u->dir, "setup-token");
	printf("\nTidegate is ready.\n  console    %s\n", url(a, u, u->console_port, ""));
	printf("  data URL   %s   (for applications)\n", url(a, u, u->data_port, "/v1"));
	if (gw_file_read_secret(&token, path, NULL) == GW_OK) {
		struct gw_str t = gw_str_trim(gw_buf_str(&token));
		printf("  set up     open the console and enter the setup token %.*s\n", GW_FMT(t));
	}
	printf("  data       %s   (%d worker%s)\n  stop       Ctrl-C\n\n", u->dir, (int)u->n_workers, u->n_workers == 1 ? "" : "s");
	fflush(stdout);
	gw_buf_fini(&token);
}

static bool start_all(struct up *u)
{
	char names[1024];
	const char *extra = getenv("TIDEGATE_CHANNEL_NAMES");
	if (!any_address(u->bind)) {
		snprintf(names, sizeof names, "%s%s%.250s", extra ? extra : "", extra ? "," : "", u->bind);
		setenv("TIDEGATE_CHANNEL_NAMES", names, 1);
	}
	setenv("TIDEGATE_SUPERVISED", "1", 1);
	start_child(u, &u->control);
	if (!wait_control(u))
		return false;
	for (int i = 0; i < u->n_workers; i++)
		start_child(u, &u->workers[i]);
	return wait_workers(u);
}

/* ---- running and stopping ---- */

static void run(struct up *u)
{
	while (!u->stopping) {
		int64_t now = gw_mono_ms(), next = now + 60000;
		for (int i = -1; i < u->n_workers; i++) {
			struct child *c = child_at(u, i);
			if (!c->pid && c->restart_ms <= now)
				start_child(u, c);
			if (!c->pid && c->restart_ms < next)
				next = c->restart_ms;
		}
		spin(u, next - gw_mono_ms());
	}
}

static bool any_worker(const struct up *u)
{
	for (int i = 0; i < u->n_workers; i++)
		if (u->workers[i].pid)
			return true;
	return false;
}

/* Workers first: they finish what is in flight and hand over their last usage records to a control plane that is there. */
static void stop(struct up *u)
{
	if (!u->stopping)
		u->stopping = STOP_DRAIN; /* a start that failed */
	gw_log(GW_LOG_INFO, NULL, GW_STR_NONE, "stopping: workers finish what is in flight", NULL);
	for (int i = 0; i < u->n_workers; i++)
		child_signal(&u->workers[i], SIGTERM);
	while (any_worker(u) && u->stopping < STOP_QUICK)
		spin(u, 1000);
	int64_t kill_at = gw_mono_ms() + KILL_MS;
	for (int i = 0; i < u->n_workers && u->stopping == STOP_QUICK; i++)
		child_signal(&u->workers[i], SIGKILL);
	while (any_worker(u) && gw_mono_ms() < kill_at)
		spin(u, 100);
	child_signal(&u->control, SIGTERM);
	kill_at = gw_mono_ms() + (u->stopping == STOP_QUICK ? KILL_MS : CONTROL_STOP_MS);
	while (u->control.pid && gw_mono_ms() < kill_at)
		spin(u, 100);
	child_signal(&u->control, SIGKILL);
	while (u->control.pid)
		spin(u, 100);
}

static int supervise(struct up *u)
{
	char path[CP_PATH_MAX];
	sigset_t set;
	sigemptyset(&set);
	sigaddset(&set, SIGCHLD);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGHUP);
	sigprocmask(SIG_BLOCK, &set, NULL);
	u->signal_fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	if (u->signal_fd < 0) {
		gw_complain("cannot watch signals: %s", strerror(errno));
		return 1;
	}
	u->ready = start_all(u);
	bool failed = !u->ready && !u->stopping;
	if (u->ready) {
		banner(u);
		run(u);
	} else if (failed) {
		gw_complain("Tidegate could not be started; the lines above say why");
	}
	stop(u);
	cp_datadir_path(path, u->dir, "up.json");
	unlink(path);
	close(u->signal_fd);
	return failed ? 1 : 0;
}

/* ---- the command ---- */

static bool check(struct up *u)
{
	if (!u->log_format)
		u->log_format = isatty(STDERR_FILENO) ? "text" : "json";
	if (strcmp(u->log_format, "text") != 0 && strcmp(u->log_format, "json") != 0) {
		gw_complain("--log-format is json or text, not \"%s\"", u->log_format);
		return false;
	}
	if (strlen(u->bind) > 250 || strchr(u->bind, '[')) {
		gw_complain("--bind is an address without port and brackets, like 127.0.0.1 or ::");
		return false;
	}
	int64_t p[] = { u->console_port, u->data_port, u->control_port, u->admin_port };
	for (size_t i = 0; i < GW_COUNT(p); i++)
		for (size_t j = i + 1; j < GW_COUNT(p); j++)
			if (p[i] == p[j]) {
				gw_complain("port %d is asked for twice; console, data, control and worker-admin ports must differ", (int)p[i]);
				return false;
			}
	u->prefixed = strcmp(u->log_format, "text") == 0;
	u->terminal = isatty(STDIN_FILENO);
	return cli_data_dir(u->dir, u->dir_given);
}

static int up_run(struct up *u)
{
	if (!lock(u) || !directory_free(u) || !ports_free(u))
		return 1;
	bool ok = describe_control(u);
	for (int i = 0; i < u->n_workers; i++)
		ok = ok && describe_worker(u, i);
	gw_log_setup(u->prefixed ? GW_LOG_TEXT : GW_LOG_JSON, GW_LOG_INFO, "tidegate");
	int code = ok ? supervise(u) : 1;
	for (int i = -1; i < u->n_workers; i++)
		child_fini(child_at(u, i));
	return code;
}

int cli_up(int argc, char **argv)
{
	struct up *u = gw_alloc(sizeof *u);
	bool help = false;
	*u = (struct up){ .dir_given = CLI_DEFAULT_DATA_DIR, .bind = "0.0.0.0", .console_port = 8001, .data_port = 8080,
		.control_port = 8002, .admin_port = 9091, .n_workers = 1, .lock_fd = -1, .signal_fd = -1 };
	for (int i = -1; i < MAX_WORKERS; i++)
		child_init(child_at(u, i), "");
	const struct cp_arg table[] = {
		{ "console-port", NULL, "PORT", NULL, "console and admin API (default 8001)", CP_ARG_NUMBER, &u->console_port, 1, 65535 },
		{ "data-port", NULL, "PORT", NULL, "where applications call (default 8080)", CP_ARG_NUMBER, &u->data_port, 1, 65535 },
		{ "control-port", NULL, "PORT", NULL, "where workers connect (default 8002)", CP_ARG_NUMBER, &u->control_port, 1, 65535 },
		{ "worker-admin-port", NULL, "PORT", NULL, "health and metrics of the first worker (default 9091)", CP_ARG_NUMBER,
		  &u->admin_port, 1, 65535 - MAX_WORKERS },
		{ "workers", NULL, "N", NULL, "worker processes (default 1)", CP_ARG_NUMBER, &u->n_workers, 1, MAX_WORKERS },
		{ "loops", NULL, "N", NULL, "threads of each worker (default: one per core)", CP_ARG_NUMBER, &u->loops, 1, 256 },
		{ "bind", NULL, "ADDR", NULL, "address to listen on (default 0.0.0.0)", CP_ARG_TEXT, &u->bind, 0, 0 },
		{ "log-format", NULL, "json|text", "TIDEGATE_LOG_FORMAT", "default: text at a terminal, else json", CP_ARG_TEXT,
		  &u->log_format, 0, 0 },
		CLI_COMMON_ARGS(u->dir_given, help),
	};
	struct cp_args a = { .v = table, .n = GW_COUNT(table), .command = "tidegate up" };
	int code = 2;
	if (!cp_args_parse(&a, argc, argv))
		code = 2;
	else if (help)
		code = cli_help("tidegate up - start control plane and workers on this machine, in the foreground\n\n"
		    "Keeps them running, prints where the console is, and stops them in order on Ctrl-C: requests in flight are\n"
		    "finished first; a second Ctrl-C does not wait for them.", &a,
		    "  tidegate up --data-dir ~/tidegate\n"
		    "  tidegate up --data-dir ~/tidegate --workers 2 --bind 127.0.0.1 --data-port 18080\n");
	else if (check(u))
		code = up_run(u);
	if (u->lock_fd >= 0)
		close(u->lock_fd);
	free(u);
	return code;
}
