/*
 * settings.c - command line and environment of tidegate-control (see settings.h).
 */
#include "settings.h"

#include <stdio.h>
#include <stdlib.h>

#include "args.h"
#include "base/str.h"
#include "base/time.h"

#define DATA_DIR_ARG(s) \
	{ "data-dir", "data", "DIR", "TIDEGATE_DATA_DIR", "where everything is kept (default " CP_DEFAULT_DATA_DIR ")", \
	  CP_ARG_TEXT, &(s)->data_dir, 0, 0 }

static bool help_wanted, version_wanted; /* only main's thread parses */

static bool parse_log_format(struct cp_settings *s, const char *text)
{
	if (!text || strcmp(text, "json") == 0)
		s->log_format = GW_LOG_JSON;
	else if (strcmp(text, "text") == 0)
		s->log_format = GW_LOG_TEXT;
	else
		gw_complain("--log-format is json or text, not \"%s\"", text);
	return !text || strcmp(text, "json") == 0 || strcmp(text, "text") == 0;
}

static bool env_duration(const char *name, int64_t *ms)
{
	const char *text = getenv(name);
	if (!text || !*text)
		return true;
	if (gw_duration_parse(gw_str_c(text), ms) && *ms > 0)
		return true;
	gw_complain("%s is a duration like 30s, not \"%s\"", name, text);
	return false;
}

static bool finish(struct cp_settings *s)
{
	size_t n = strlen(s->data_dir);
	while (n > 1 && s->data_dir[n - 1] == '/')
		n--;
	if (n == 0 || n > 3000) {
		gw_complain("--data-dir must be a directory");
		return false;
	}
	s->data_dir = gw_strdup_n(s->data_dir, n); /* lives as long as the process */
	if (!s->tls_cert != !s->tls_key) {
		gw_complain("--tls-cert and --tls-key go together");
		return false;
	}
	s->channel_names = getenv("TIDEGATE_CHANNEL_NAMES");
	s->admin_password_file = getenv("TIDEGATE_ADMIN_PASSWORD_FILE");
	s->supervised = getenv("TIDEGATE_SUPERVISED") != NULL;
	if (help_wanted)
		s->command = CP_SHOW_HELP;
	if (version_wanted)
		s->command = CP_SHOW_VERSION;
	return env_duration("TIDEGATE_CHANNEL_ANSWER_TIMEOUT", &s->answer_ms) &&
	       env_duration("TIDEGATE_CHANNEL_HELLO_TIMEOUT", &s->hello_ms) &&
	       env_duration("TIDEGATE_CHANNEL_HEARTBEAT", &s->heartbeat_ms);
}

static bool run_args(struct cp_settings *s, int argc, char **argv, bool only_help)
{
	const char *format = NULL;
	const struct cp_arg table[] = {
		DATA_DIR_ARG(s),
		{ "console-listen", NULL, "ADDR:PORT", "TIDEGATE_CONSOLE_LISTEN", "console and admin API (default 0.0.0.0:8001)",
		  CP_ARG_TEXT, &s->console_listen, 0, 0 },
		{ "channel-listen", NULL, "ADDR:PORT", "TIDEGATE_CHANNEL_LISTEN", "where workers connect (default 0.0.0.0:8002)",
		  CP_ARG_TEXT, &s->channel_listen, 0, 0 },
		{ "tls-cert", NULL, "FILE", "TIDEGATE_TLS_CERT", "certificate chain for the console, PEM", CP_ARG_TEXT,
		  &s->tls_cert, 0, 0 },
		{ "tls-key", NULL, "FILE", "TIDEGATE_TLS_KEY", "its private key, PEM", CP_ARG_TEXT, &s->tls_key, 0, 0 },
		{ "log-format", NULL, "json|text", "TIDEGATE_LOG_FORMAT", "how log lines look (default json)", CP_ARG_TEXT, &format,
		  0, 0 },
		{ "verbose", NULL, NULL, "TIDEGATE_VERBOSE", "log details too", CP_ARG_FLAG, &s->verbose, 0, 0 },
		{ "version", NULL, NULL, NULL, "print the version", CP_ARG_FLAG, &version_wanted, 0, 0 },
		{ "help", "h", NULL, NULL, "print this", CP_ARG_FLAG, &help_wanted, 0, 0 },
	};
	struct cp_args a = { .v = table, .n = GW_COUNT(table), .command = "tidegate-control" };
	if (only_help) {
		cp_args_help(stdout, &a);
		return true;
	}
	return cp_args_parse(&a, argc, argv) && parse_log_format(s, format) && finish(s);
}

static bool token_args(struct cp_settings *s, int argc, char **argv)
{
	const struct cp_arg table[] = {
		DATA_DIR_ARG(s),
		{ "role", NULL, "ROLE", NULL, "admin, operator or viewer", CP_ARG_TEXT, &s->role, 0, 0 },
		{ "name", NULL, "NAME", NULL, "what it is for (default: cli)", CP_ARG_TEXT, &s->name, 0, 0 },
		{ "expires", NULL, "DURATION", NULL, "how long it is valid, like 30d (default: for ever)", CP_ARG_TEXT, &s->expires,
		  0, 0 },
		{ "help", "h", NULL, NULL, "print this", CP_ARG_FLAG, &help_wanted, 0, 0 },
	};
	struct cp_args a = { .v = table, .n = GW_COUNT(table), .command = "tidegate-control token create" };
	s->command = CP_TOKEN_CREATE;
	if (!cp_args_parse(&a, argc, argv) || !finish(s))
		return false;
	if (s->command == CP_TOKEN_CREATE && !s->role) {
		gw_complain("token create needs --role admin, operator or viewer");
		return false;
	}
	return true;
}

static bool restore_args(struct cp_settings *s, int argc, char **argv)
{
	const struct cp_arg table[] = {
		DATA_DIR_ARG(s),
		{ "file", "f", "FILE", NULL, "the backup", CP_ARG_TEXT, &s->file, 0, 0 },
		{ "help", "h", NULL, NULL, "print this", CP_ARG_FLAG, &help_wanted, 0, 0 },
	};
	struct cp_args a = { .v = table, .n = GW_COUNT(table), .command = "tidegate-control restore" };
	s->command = CP_RESTORE;
	if (!cp_args_parse(&a, argc, argv) || !finish(s))
		return false;
	if (s->command == CP_RESTORE && !s->file) {
		gw_complain("restore needs -f FILE, a file made by `tidegate backup`");
		return false;
	}
	return true;
}

static bool plain_args(struct cp_settings *s, enum cp_command command, int argc, char **argv)
{
	const struct cp_arg table[] = {
		DATA_DIR_ARG(s),
		{ "help", "h", NULL, NULL, "print this", CP_ARG_FLAG, &help_wanted, 0, 0 },
	};
	struct cp_args a = { .v = table, .n = GW_COUNT(table), .command = command == CP_CHECK ? "tidegate-control check" : "tidegate-control backup" };
	s->command = command;
	return cp_args_parse(&a, argc, argv) && finish(s);
}

bool cp_settings_parse(struct cp_settings *out, int argc, char **argv)
{
	*out = (struct cp_settings){ .command = CP_RUN, .data_dir = CP_DEFAULT_DATA_DIR, .console_listen = "0.0.0.0:8001",
		.channel_listen = "0.0.0.0:8002", .answer_ms = 30000, .hello_ms = 5000, .heartbeat_ms = 5000, .name = "cli" };
	help_wanted = version_wanted = false;
	if (argc >= 2 && strcmp(argv[1], "token") == 0) {
		if (argc >= 3 && strcmp(argv[2], "create") == 0)
			return token_args(out, argc - 2, argv + 2);
		gw_complain("the only command after token is create: tidegate-control token create --role admin");
		return false;
	}
	if (argc >= 2 && strcmp(argv[1], "backup") == 0)
		return plain_args(out, CP_BACKUP, argc - 1, argv + 1);
	if (argc >= 2 && strcmp(argv[1], "restore") == 0)
		return restore_args(out, argc - 1, argv + 1);
	if (argc >= 2 && strcmp(argv[1], "check") == 0)
		return plain_args(out, CP_CHECK, argc - 1, argv + 1);
	return run_args(out, argc, argv, false);
}

void cp_settings_help(const struct cp_settings *s)
{
	struct cp_settings copy = *s;
	puts("tidegate-control - the control plane of Tidegate: configuration, console, channel to the workers\n\n"
	     "Usage:\n"
	     "  tidegate-control [options]\n"
	     "  tidegate-control token create --role ROLE [--name NAME] [--expires 30d] [--data-dir DIR]\n"
	     "  tidegate-control backup [--data-dir DIR]             while stopped; `tidegate backup` works always\n"
	     "  tidegate-control restore -f FILE [--data-dir DIR]    while stopped\n"
	     "  tidegate-control check [--data-dir DIR]              findings for `tidegate doctor`\n\n"
	     "On one machine `tidegate up` starts this and the workers together.");
	run_args(&copy, 0, NULL, true);
	puts("\nEnvironment:\n"
	     "  TIDEGATE_MASTER_KEY             64 hex digits instead of DIR/master.key\n"
	     "  TIDEGATE_ADMIN_PASSWORD_FILE    set up the user admin with this password at first start\n"
	     "  TIDEGATE_CHANNEL_NAMES          further host names and addresses in the channel's certificate\n"
	     "  TIDEGATE_SHARE_DIR              where migrations, catalogue and console are\n\n"
	     "Example:\n"
	     "  tidegate-control --data-dir /var/lib/tidegate --console-listen 127.0.0.1:8001");
}
