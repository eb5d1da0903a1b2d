/*
 * token.c - tidegate token create: an API token on stdout and nothing else.
 *
 * A running control plane makes it over the socket file; without one, tidegate-control opens the database itself.
 */
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/log.h"
#include "base/str.h"
#include "base/time.h"
#include "cli/cli.h"

static int without_daemon(const char *dir, const char *role, const char *name, const char *expires)
{
	char path[CP_PATH_MAX];
	if (!cli_sibling(path, "tidegate-control"))
		return 1;
	setenv("TIDEGATE_TOKEN_FALLBACK", "1", 1);
	const char *argv[16] = { path, "token", "create", "--data-dir", dir, "--role", role, "--name", name };
	if (expires) {
		argv[9] = "--expires";
		argv[10] = expires;
	}
	execv(path, (char *const *)argv);
	gw_complain("%s cannot be run: %s", path, strerror(errno));
	return 1;
}

static int with_daemon(const char *dir, const char *role, const char *name, int64_t expires_at)
{
	struct gw_buf body;
	json_t *answer, *rq = json_object();
	gw_buf_init(&body, 1 << 16);
	gw_json_set_str(rq, "name", gw_str_c(name));
	gw_json_set_str(rq, "role", gw_str_c(role));
	if (expires_at)
		gw_json_set_time(rq, "expires_at", expires_at);
	bool ok = gw_json_write(&body, rq, false) == GW_OK &&
	    cli_call(&answer, NULL, dir, &(struct cli_request){ .method = "POST", .path = "/api/v1/tokens",
		.body = gw_buf_str(&body) });
	if (ok) {
		puts(cli_text(answer, "secret", ""));
		json_decref(answer);
	}
	json_decref(rq);
	gw_buf_fini(&body);
	return ok ? 0 : 1;
}

int cli_token(int argc, char **argv)
{
	const char *dir = CLI_DEFAULT_DATA_DIR, *role = NULL, *name = "cli", *expires = NULL;
	bool help = false;
	char path[CP_PATH_MAX];
	const struct cp_arg table[] = {
		{ "role", NULL, "ROLE", NULL, "viewer, operator or admin", CP_ARG_TEXT, &role, 0, 0 },
		{ "name", NULL, "NAME", NULL, "what it is for (default: cli)", CP_ARG_TEXT, &name, 0, 0 },
		{ "expires", NULL, "DURATION", NULL, "how long it is valid, like 30d (default: for ever)", CP_ARG_TEXT, &expires, 0, 0 },
		CLI_COMMON_ARGS(dir, help),
	};
	struct cp_args a = { .v = table, .n = GW_COUNT(table), .command = "tidegate token create" };
	bool create = argc >= 2 && strcmp(argv[1], "create") == 0;
	if (!cp_args_parse(&a, create ? argc - 1 : argc, create ? argv + 1 : argv))
		return 2;
	if (help)
		return cli_help("tidegate token create - make an API token and print it (nothing else goes to stdout)\n\n"
		    "Works while Tidegate runs and while it does not.", &a,
		    "  tidegate token create --role admin --data-dir /var/lib/tidegate\n"
		    "  TOKEN=$(tidegate token create --role operator --name ci --expires 90d)\n");
	if (!create || !role) {
		gw_complain(create ? "token create needs --role viewer, operator or admin"
				   : "the command is: tidegate token create --role admin");
		return 2;
	}
	if (strcmp(role, "viewer") != 0 && strcmp(role, "operator") != 0 && strcmp(role, "admin") != 0) {
		gw_complain("--role is viewer, operator or admin, not \"%s\"", role);
		return 2;
	}
	int64_t ms = 0;
	if (expires && (!gw_duration_parse(gw_str_c(expires), &ms) || ms <= 0)) {
		gw_complain("--expires is a duration like 30d, not \"%s\"", expires);
		return 2;
	}
	if (!cli_data_dir(path, dir))
		return 2;
	if (cli_is_running(path) || getenv("TIDEGATE_TOKEN_FALLBACK"))
		return with_daemon(path, role, name, expires ? gw_now_ms() + ms : 0);
	return without_daemon(path, role, name, expires);
}
