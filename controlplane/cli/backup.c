/*
 * backup.c - tidegate backup and tidegate restore.
 */
#include <errno.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/log.h"
#include "base/str.h"
#include "base/time.h"
#include "cli/cli.h"

/* The daemon writes into DIR/backups; a wish for another place is a move of that file. */
static bool move_file(const char *from, const char *to)
{
	struct gw_buf b;
	struct gw_error err = { 0 };
	if (rename(from, to) == 0)
		return true;
	if (errno != EXDEV) {
		gw_complain("the backup cannot be moved to %s: %s; it stands in %s", to, strerror(errno), from);
		return false;
	}
	gw_buf_init(&b, SIZE_MAX / 4);
	bool ok = gw_file_read(&b, from, &err) == GW_OK && gw_file_replace(to, gw_buf_str(&b), 0600, &err) == GW_OK;
	gw_buf_fini(&b);
	if (ok)
		unlink(from);
	else
		gw_complain("the backup cannot be written to %s: %s; it stands in %s", to, err.text, from);
	return ok;
}

/* Says where the copy is, after moving it where it is wanted. */
static int deliver(const char *path, const char *file)
{
	if (file && !move_file(path, file))
		return 1;
	return puts(file ? file : path) < 0;
}

static int backup_running(const char *dir, const char *file)
{
	json_t *answer;
	if (!cli_call(&answer, NULL, dir, &(struct cli_request){ .method = "POST", .path = "/api/v1/backup",
		.timeout_ms = 600000 }))
		return 1;
	const char *path = cli_text(answer, "path", NULL);
	int code = path ? deliver(path, file) : 1;
	if (!path)
		gw_complain("the control plane did not say where it put the backup; look into %s/backups", dir);
	json_decref(answer);
	return code;
}

static int backup_stopped(const char *dir, const char *file)
{
	const char *const argv[] = { "tidegate-control", "backup", "--data-dir", dir, NULL };
	char path[CP_PATH_MAX];
	struct gw_buf b;
	gw_buf_init(&b, CP_PATH_MAX);
	int code = cli_capture(&b, argv);
	struct gw_str made = gw_str_trim(gw_buf_str(&b));
	snprintf(path, sizeof path, "%.*s", GW_FMT(made));
	gw_buf_fini(&b);
	return code == 0 ? deliver(path, file) : 1;
}

int cli_backup(int argc, char **argv)
{
	const char *dir = CLI_DEFAULT_DATA_DIR, *file = NULL;
	bool help = false;
	char path[CP_PATH_MAX];
	const struct cp_arg table[] = {
		{ "output", "o", "FILE", NULL, "where to put it (default: DIR/backups/tidegate-TIME.db)", CP_ARG_TEXT, &file, 0, 0 },
		CLI_COMMON_ARGS(dir, help),
	};
	struct cp_args a = { .v = table, .n = GW_COUNT(table), .command = "tidegate backup" };
	if (!cp_args_parse(&a, argc, argv))
		return 2;
	if (help)
		return cli_help("tidegate backup - copy the database while it is used, and print where the copy is\n\n"
		    "Secrets in it are encrypted with DIR/master.key: keep that file too, but elsewhere.", &a,
		    "  tidegate backup --data-dir /var/lib/tidegate\n  tidegate backup -o /mnt/backup/tidegate.db\n");
	if (!cli_data_dir(path, dir))
		return 2;
	if (cli_is_running(path))
		return backup_running(path, file);
	return backup_stopped(path, file);
}

int cli_restore(int argc, char **argv)
{
	const char *dir = CLI_DEFAULT_DATA_DIR, *file = NULL;
	bool help = false;
	char path[CP_PATH_MAX];
	const struct cp_arg table[] = {
		{ "file", "f", "FILE", NULL, "the backup", CP_ARG_TEXT, &file, 0, 0 },
		CLI_COMMON_ARGS(dir, help),
	};
	struct cp_args a = { .v = table, .n = GW_COUNT(table), .command = "tidegate restore" };
	if (!cp_args_parse(&a, argc, argv))
		return 2;
	if (help)
		return cli_help("tidegate restore - put a backup in the place of the database\n\n"
		    "Refused while Tidegate runs.  The database that was there is kept beside it.  The copy gets a new epoch, so\n"
		    "that every worker takes its configuration.", &a,
		    "  tidegate restore -f /mnt/backup/tidegate.db --data-dir /var/lib/tidegate\n");
	if (!file) {
		gw_complain("restore needs -f FILE, a file made by `tidegate backup`");
		return 2;
	}
	if (!cli_data_dir(path, dir))
		return 2;
	json_t *up = cli_up_json(path);
	if (up || cli_is_running(path)) {
		json_decref(up);
		gw_complain("Tidegate runs on %s; stop it first, then restore", path);
		return 1;
	}
	char exe[CP_PATH_MAX];
	if (!cli_sibling(exe, "tidegate-control"))
		return 1;
	const char *words[] = { exe, "restore", "-f", file, "--data-dir", path, NULL };
	execv(exe, (char *const *)words);
	gw_complain("%s cannot be run: %s", exe, strerror(errno));
	return 1;
}
