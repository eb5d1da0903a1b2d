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

static int run_control(const char *verb, const char *flag, const char *file, const char *dir)
{
	char path[CP_PATH_MAX];
	if (!cli_sibling(path, "tidegate-control"))
		return 1;
	const char *argv[] = { path, verb, flag, file, "--data-dir", dir, NULL };
	execv(path, (char *const *)argv);
	gw_complain("%s cannot be run: %s", path, strerror(errno));
	return 1;
}

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

static int backup_running(const char *dir, const char *file)
{
	json_t *answer;
	if (!cli_call(&answer, NULL, dir, &(struct cli_request){ .method = "POST", .path = "/api/v1/backup",
		.timeout_ms = 600000 }))
		return 1;
	const char *path = cli_text(answer, "path", NULL);
	char inside[CP_PATH_MAX];
	if (!path && cli_text(answer, "file", NULL)) {
		char rest[600];
		snprintf(rest, sizeof rest, "backups/%.500s", cli_text(answer, "file", ""));
		cp_datadir_path(inside, dir, rest);
		path = inside;
	}
	bool ok = path && (!file || move_file(path, file));
	if (ok)
		puts(file ? file : path);
	else if (!path)
		gw_complain("the control plane did not say where it put the backup");
	json_decref(answer);
	return ok ? 0 : 1;
}

int cli_backup(int argc, char **argv)
{
	const char *dir = CLI_DEFAULT_DATA_DIR, *file = NULL;
	bool help = false;
	char path[CP_PATH_MAX], made[CP_PATH_MAX], when[GW_TIME_LEN], name[80];
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
	if (!file) {
		struct gw_error err = { 0 };
		cp_datadir_path(made, path, "backups");
		if (gw_dir_make(made, 0700, &err) != GW_OK) {
			gw_complain("%s", err.text);
			return 1;
		}
		gw_time_format(when, gw_now_ms());
		snprintf(name, sizeof name, "backups/tidegate-%.4s%.2s%.2sT%.2s%.2s%.2sZ.db", when, when + 5, when + 8, when + 11,
		    when + 14, when + 17);
		cp_datadir_path(made, path, name);
		file = made;
	}
	return run_control("backup", "-o", file, path);
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
	return run_control("restore", "-f", file, path);
}
