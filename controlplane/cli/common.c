/*
 * common.c - what the subcommands share (see cli.h).
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/file.h"
#include "base/log.h"
#include "base/str.h"
#include "cli/cli.h"

#define MAX_UP_JSON (1u << 20)

int cli_help(const char *text, const struct cp_args *a, const char *examples)
{
	puts(text);
	cp_args_help(stdout, a);
	printf("\nExamples:\n%s", examples);
	return 0;
}

bool cli_sibling(char out[CP_PATH_MAX], const char *name)
{
	char self[CP_PATH_MAX - 64];
	ssize_t n = readlink("/proc/self/exe", self, sizeof self - 1);
	if (n <= 0) {
		gw_complain("/proc is not mounted, so %s cannot be found", name);
		return false;
	}
	self[n] = 0;
	*strrchr(self, '/') = 0;
	cp_datadir_path(out, self, name);
	if (access(out, X_OK) == 0)
		return true;
	gw_complain("%s is missing; install Tidegate again, or build it whole", out);
	return false;
}

int cli_capture(struct gw_buf *out, const char *const *argv)
{
	char path[CP_PATH_MAX];
	int fds[2], status = -1;
	if (!cli_sibling(path, argv[0]))
		return -1;
	fflush(stdout);
	if (pipe2(fds, O_CLOEXEC) != 0) {
		gw_complain("cannot make a pipe: %s", strerror(errno));
		return -1;
	}
	pid_t pid = fork();
	if (pid == 0) {
		dup2(fds[1], 1);
		execv(path, (char *const *)argv);
		_exit(127);
	}
	close(fds[1]);
	for (;;) {
		char *at = gw_buf_reserve(out, 4096);
		ssize_t n = at ? read(fds[0], at, 4096) : 0;
		if (n <= 0)
			break;
		gw_buf_commit(out, (size_t)n);
	}
	close(fds[0]);
	if (pid < 0 || waitpid(pid, &status, 0) != pid || !WIFEXITED(status))
		return -1;
	return WEXITSTATUS(status);
}

bool cli_data_dir(char out[CP_PATH_MAX], const char *dir)
{
	char here[1024] = "";
	size_t n = strlen(dir);
	while (n > 1 && dir[n - 1] == '/')
		n--;
	if (n == 0 || n > 2000) {
		gw_complain("--data-dir must be a directory");
		return false;
	}
	if (dir[0] != '/' && !getcwd(here, sizeof here)) {
		gw_complain("the current directory is not usable: %s", strerror(errno));
		return false;
	}
	snprintf(out, CP_PATH_MAX, "%s%s%.*s", here, here[0] ? "/" : "", (int)n, dir);
	return true;
}

const char *cli_text(const json_t *o, const char *name, const char *fallback)
{
	const char *z = json_string_value(json_object_get(o, name));
	return z ? z : fallback;
}

int64_t cli_int(const json_t *o, const char *name)
{
	return json_integer_value(json_object_get(o, name));
}

void cli_print_problem(int status, const json_t *problem)
{
	const char *title = cli_text(problem, "title", "the control plane refused it");
	const char *detail = cli_text(problem, "detail", "");
	const json_t *errors = json_object_get(problem, "errors");
	gw_complain("%s (%d)", detail[0] ? detail : title, status);
	for (size_t i = 0; i < json_array_size(errors); i++) {
		const json_t *e = json_array_get(errors, i);
		fprintf(stderr, "  %s: %s\n", cli_text(e, "path", ""), cli_text(e, "message", ""));
	}
}

static void not_running(const char *dir, const struct gw_error *err)
{
	if (err->rc == GW_DENIED)
		gw_complain("%s/control.sock belongs to another user; run this as the user who runs Tidegate, or as root", dir);
	else if (err->rc == GW_NOTFOUND)
		gw_complain("no control plane runs on %s; start it with: tidegate up --data-dir %s", dir, dir);
	else
		gw_complain("the control plane on %s did not answer: %s", dir, err->text);
}

bool cli_call(json_t **json, struct cli_answer *answer, const char *dir, const struct cli_request *rq)
{
	char path[CP_PATH_MAX];
	struct cli_answer local;
	struct gw_error err = { 0 };
	json_t *doc = NULL;
	cp_datadir_path(path, dir, "control.sock");
	*json = NULL;
	if (cli_http_unix(&local, path, rq, &err) != GW_OK) {
		not_running(dir, &err);
		return false;
	}
	bool ok = local.status >= 200 && local.status < 300;
	if (local.body.n && gw_json_parse(&doc, gw_buf_str(&local.body), CLI_MAX_ANSWER, &err) != GW_OK) {
		gw_complain("the answer of the control plane cannot be read: %s", err.text);
		ok = false;
	} else if (!ok) {
		cli_print_problem(local.status, doc);
	}
	gw_buf_fini(&local.body);
	if (answer)
		*answer = local;
	if (ok)
		*json = doc;
	else
		json_decref(doc);
	return ok;
}

bool cli_is_running(const char *dir)
{
	char path[CP_PATH_MAX];
	struct cli_answer a;
	struct cli_request rq = { .method = "GET", .path = "/readyz", .timeout_ms = 5000 };
	cp_datadir_path(path, dir, "control.sock");
	if (cli_http_unix(&a, path, &rq, NULL) != GW_OK)
		return false;
	cli_answer_fini(&a);
	return a.status == 200;
}

/* The lock tells the truth after a crash, when the file is still there and its pid is somebody else's. */
static bool up_runs(const char *dir)
{
	char path[CP_PATH_MAX];
	cp_datadir_path(path, dir, "up.lock");
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return false;
	bool runs = flock(fd, LOCK_SH | LOCK_NB) != 0;
	close(fd);
	return runs;
}

json_t *cli_up_json(const char *dir)
{
	char path[CP_PATH_MAX];
	struct gw_buf b;
	json_t *doc = NULL;
	if (!up_runs(dir))
		return NULL;
	cp_datadir_path(path, dir, "up.json");
	gw_buf_init(&b, MAX_UP_JSON);
	if (gw_file_read(&b, path, NULL) == GW_OK && gw_json_parse(&doc, gw_buf_str(&b), MAX_UP_JSON, NULL) != GW_OK)
		doc = NULL;
	gw_buf_fini(&b);
	return doc;
}
