/*
 * doctor.c - tidegate doctor: looks for what is wrong, and says for each finding what to do next.
 */
#include <errno.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/timex.h>
#include <time.h>
#include <unistd.h>

#include "base/log.h"
#include "base/str.h"
#include "base/time.h"
#include "cli/cli.h"

#define DISK_FAIL_BYTES (64LL << 20)
#define DISK_WARN_BYTES (1LL << 30)
#define EARLIEST_YEAR_S 1767225600 /* 2026-01-01: this program is not older */

enum verdict { OK, WARN, FAIL };

struct doctor {
	char dir[CP_PATH_MAX];
	bool running, providers;
	json_t *up;
	unsigned warnings, failures;
};

static void say(struct doctor *d, enum verdict v, const char *what, const char *next, const char *fmt, ...) GW_PRINTF(5, 6);
static void say(struct doctor *d, enum verdict v, const char *what, const char *next, const char *fmt, ...)
{
	static const char *const words[] = { "ok  ", "warn", "FAIL" };
	va_list ap;
	printf("%s  %-18s ", words[v], what);
	va_start(ap, fmt);
	vprintf(fmt, ap);
	va_end(ap);
	putchar('\n');
	if (v != OK && next)
		printf("                         -> %s\n", next);
	d->warnings += v == WARN;
	d->failures += v == FAIL;
}

/* ---- this machine ---- */

static void check_file(struct doctor *d, const char *name, bool must, const char *missing)
{
	char path[CP_PATH_MAX], next[CP_PATH_MAX + 32];
	struct stat st;
	cp_datadir_path(path, d->dir, name);
	snprintf(next, sizeof next, "run: chmod 600 %s", path);
	if (stat(path, &st) != 0) {
		if (must)
			say(d, errno == EACCES ? WARN : FAIL, name, missing, "%s", strerror(errno));
	} else if (st.st_mode & 077) {
		say(d, FAIL, name, next, "others may read it (mode %04o)", (unsigned)st.st_mode & 07777);
	} else {
		say(d, OK, name, NULL, "mode %04o", (unsigned)st.st_mode & 07777);
	}
}

static bool check_directory(struct doctor *d)
{
	char next[CP_PATH_MAX + 64];
	struct stat st;
	if (stat(d->dir, &st) != 0) {
		snprintf(next, sizeof next, errno == ENOENT ? "start it once: tidegate up --data-dir %s" : "look at the path %s", d->dir);
		say(d, FAIL, "data directory", next, "%s: %s", d->dir, strerror(errno));
		return false;
	}
	snprintf(next, sizeof next, "run: chmod 700 %s", d->dir);
	if (st.st_mode & 077)
		say(d, FAIL, "data directory", next, "%s: others can enter it (mode %04o)", d->dir, (unsigned)st.st_mode & 07777);
	else if (access(d->dir, R_OK | W_OK | X_OK) != 0)
		say(d, FAIL, "data directory", "run this as the user who runs Tidegate, or as root", "%s: %s", d->dir, strerror(errno));
	else
		say(d, OK, "data directory", NULL, "%s", d->dir);
	return access(d->dir, X_OK) == 0;
}

static void check_disk(struct doctor *d)
{
	struct statvfs v;
	if (statvfs(d->dir, &v) != 0)
		return;
	long long bytes = (long long)v.f_bavail * (long long)v.f_frsize;
	enum verdict r = bytes < DISK_FAIL_BYTES ? FAIL : bytes < DISK_WARN_BYTES ? WARN : OK;
	say(d, r, "disk space", "free some space on the volume of the data directory; changes are refused when it is full",
	    "%lld MiB free", bytes >> 20);
}

static void check_clock(struct doctor *d)
{
	struct timex t = { 0 };
	char now[GW_TIME_LEN];
	gw_time_format(now, gw_now_ms());
	if (time(NULL) < EARLIEST_YEAR_S)
		say(d, FAIL, "clock", "set the clock; certificates, sessions and key expiry depend on it", "it says %s", now);
	else if (adjtimex(&t) == TIME_ERROR)
		say(d, WARN, "clock", "run a time service (systemd-timesyncd, chrony), unless the host does it for this machine",
		    "%s, not known to be synchronised", now);
	else
		say(d, OK, "clock", NULL, "%s, synchronised", now);
}

static void check_programs(struct doctor *d)
{
	static const char *const names[] = { "tidegate-control", "tidegate-worker" };
	char path[CP_PATH_MAX];
	for (size_t i = 0; i < GW_COUNT(names); i++)
		if (cli_sibling(path, names[i]))
			say(d, OK, names[i], NULL, "%s", path);
		else
			d->failures++;
}

/* One line of `tidegate-control check`: verdict, what, text, what to do next; tabs between. */
static void say_finding(struct doctor *d, struct gw_str line)
{
	struct gw_str word = gw_str_cut(&line, '\t'), what = gw_str_cut(&line, '\t'), text = gw_str_cut(&line, '\t');
	char label[64], next[512];
	snprintf(label, sizeof label, "%.*s", (int)(what.n < 60 ? what.n : 60), what.n ? what.p : "");
	snprintf(next, sizeof next, "%.*s", (int)(line.n < 500 ? line.n : 500), line.n ? line.p : "");
	say(d, gw_str_is(word, "ok") ? OK : gw_str_is(word, "warn") ? WARN : FAIL, label, next[0] ? next : NULL, "%.*s",
	    (int)text.n, text.n ? text.p : "");
}

/* What tidegate-control itself finds in certificates and, when it is not running, in the database. */
static void check_inside(struct doctor *d)
{
	const char *const argv[] = { "tidegate-control", "check", "--data-dir", d->dir, NULL };
	struct gw_buf b;
	gw_buf_init(&b, 1 << 16);
	if (cli_capture(&b, argv) != 0)
		say(d, FAIL, "inner check", "run it to see why: tidegate-control check", "tidegate-control check failed");
	for (struct gw_str rest = gw_buf_str(&b); rest.n;)
		say_finding(d, gw_str_cut(&rest, '\n'));
	gw_buf_fini(&b);
}

/* ---- what runs ---- */

static void check_port(struct doctor *d, const char *what, const char *member)
{
	const char *bind = cli_text(d->up, "bind", "0.0.0.0");
	const char *ip = strcmp(bind, "0.0.0.0") == 0 ? "127.0.0.1" : strcmp(bind, "::") == 0 ? "::1" : bind;
	unsigned port = (unsigned)cli_int(d->up, member);
	if (!port)
		return;
	if (cli_tcp_open(ip, port))
		say(d, OK, what, NULL, "port %u answers", port);
	else
		say(d, FAIL, what, "look at the log of `tidegate up`; restart it if it does not come back", "nobody answers on port %u", port);
}

static void check_control(struct doctor *d)
{
	char next[CP_PATH_MAX + 64];
	d->running = cli_is_running(d->dir);
	snprintf(next, sizeof next, "start it: tidegate up --data-dir %s", d->dir);
	if (d->running)
		say(d, OK, "control plane", NULL, "it answers on %s/control.sock", d->dir);
	else
		say(d, FAIL, "control plane", next, "it does not answer on %s/control.sock", d->dir);
	check_port(d, "console", "console_port");
	check_port(d, "channel", "control_port");
	check_port(d, "data plane", "data_port");
}

static void check_worker_admin(struct doctor *d)
{
	const json_t *workers = json_object_get(d->up, "workers");
	for (size_t i = 0; i < json_array_size(workers); i++) {
		const json_t *w = json_array_get(workers, i);
		struct cli_answer a;
		struct cli_request rq = { .method = "GET", .path = "/readyz", .timeout_ms = 2000 };
		unsigned port = (unsigned)cli_int(w, "admin_port");
		if (cli_http_tcp(&a, "127.0.0.1", port, &rq, NULL) != GW_OK) {
			say(d, FAIL, cli_text(w, "name", "worker"), "look at its lines in the log of `tidegate up`",
			    "it does not answer on 127.0.0.1:%u", port);
			continue;
		}
		cli_answer_fini(&a);
		say(d, a.status == 200 ? OK : FAIL, cli_text(w, "name", "worker"),
		    "it has no configuration yet: is the control plane reachable, and its join token valid?",
		    a.status == 200 ? "ready" : "running, but not ready");
	}
}

static void check_nodes(struct doctor *d)
{
	json_t *nodes, *overview;
	if (!cli_call(&overview, NULL, d->dir, &(struct cli_request){ .method = "GET", .path = "/api/v1/overview" }))
		return;
	int64_t revision = cli_int(overview, "revision");
	const json_t *counts = json_object_get(overview, "counts");
	if (!cli_int(counts, "providers") || !cli_int(counts, "routes"))
		say(d, WARN, "configuration", "add a provider and a route in the console", "%lld providers, %lld routes",
		    (long long)cli_int(counts, "providers"), (long long)cli_int(counts, "routes"));
	else
		say(d, OK, "configuration", NULL, "revision %lld: %lld providers, %lld routes, %lld consumers", (long long)revision,
		    (long long)cli_int(counts, "providers"), (long long)cli_int(counts, "routes"), (long long)cli_int(counts, "consumers"));
	json_decref(overview);
	if (!cli_call(&nodes, NULL, d->dir, &(struct cli_request){ .method = "GET", .path = "/api/v1/nodes?limit=200" }))
		return;
	const json_t *items = json_object_get(nodes, "items");
	size_t connected = 0;
	for (size_t i = 0; i < json_array_size(items); i++) {
		const json_t *n = json_array_get(items, i);
		const char *name = cli_text(n, "name", "worker"), *error = cli_text(n, "last_error", "");
		if (strcmp(cli_text(n, "state", ""), "disconnected") == 0) {
			say(d, WARN, name, "start it again, or remove it on the workers page of the console", "not connected since %s%s%s",
			    cli_text(n, "last_seen_at", "?"), error[0] ? ": " : "", error);
			continue;
		}
		connected++;
		if (cli_int(n, "revision_served") < revision)
			say(d, WARN, name, "run `tidegate status` again; if it stays behind, read its last error", "serves revision %lld of %lld%s%s",
			    (long long)cli_int(n, "revision_served"), (long long)revision, error[0] ? ": " : "", error);
		else
			say(d, OK, name, NULL, "connected, serves revision %lld", (long long)revision);
	}
	if (!connected)
		say(d, FAIL, "workers", "start one: `tidegate up` does, or tidegate-worker with a join token from the console",
		    "none is connected, so applications are not served");
	json_decref(nodes);
}

static void check_providers(struct doctor *d)
{
	json_t *list;
	if (!cli_call(&list, NULL, d->dir, &(struct cli_request){ .method = "GET", .path = "/api/v1/providers?limit=200" }))
		return;
	const json_t *items = json_object_get(list, "items");
	for (size_t i = 0; i < json_array_size(items); i++) {
		const char *name = cli_text(json_array_get(items, i), "name", "");
		char path[160];
		json_t *models;
		snprintf(path, sizeof path, "/api/v1/providers/%.63s/models", name);
		fflush(stdout);
		if (!json_is_true(json_object_get(json_array_get(items, i), "enabled")))
			continue;
		if (cli_call(&models, NULL, d->dir, &(struct cli_request){ .method = "GET", .path = path, .timeout_ms = 60000 })) {
			say(d, OK, name, NULL, "answers, lists %lld models", (long long)cli_int(models, "total"));
			json_decref(models);
		} else {
			say(d, WARN, name, "check base URL and key on the provider's page; its test button shows the answer",
			    "its model list could not be read");
		}
	}
	json_decref(list);
}

int cli_doctor(int argc, char **argv)
{
	const char *dir = CLI_DEFAULT_DATA_DIR;
	bool help = false;
	struct doctor d = { .running = false };
	const struct cp_arg table[] = {
		{ "providers", NULL, NULL, NULL, "ask every provider for its model list too (free of charge)", CP_ARG_FLAG, &d.providers,
		  0, 0 },
		CLI_COMMON_ARGS(dir, help),
	};
	struct cp_args a = { .v = table, .n = GW_COUNT(table), .command = "tidegate doctor" };
	if (!cp_args_parse(&a, argc, argv))
		return 2;
	if (help)
		return cli_help("tidegate doctor - look for what is wrong and say what to do\n\n"
		    "Each line is ok, warn or FAIL.  Ends with 1 when something failed.", &a,
		    "  tidegate doctor --data-dir ~/tidegate\n  tidegate doctor --providers\n");
	if (!cli_data_dir(d.dir, dir))
		return 2;
	check_programs(&d);
	check_clock(&d);
	if (check_directory(&d)) {
		check_disk(&d);
		if (!getenv("TIDEGATE_MASTER_KEY"))
			check_file(&d, "master.key", true, "restore it from where you keep it: without it stored secrets are lost");
		check_file(&d, "tidegate.db", true, "start Tidegate once, or restore a backup: tidegate restore -f FILE");
		check_inside(&d);
		d.up = cli_up_json(d.dir);
		check_control(&d);
		check_worker_admin(&d);
		if (d.running)
			check_nodes(&d);
		if (d.running && d.providers)
			check_providers(&d);
		json_decref(d.up);
	}
	printf("\n%u failed, %u to look at.\n", d.failures, d.warnings);
	return d.failures ? 1 : 0;
}
