/*
 * main.c - the tidegate command: finds the subcommand and hands over.
 */
#include <signal.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"
#include "cli/cli.h"

struct command {
	const char *name;
	int (*run)(int argc, char **argv);
	const char *doc;
};

static const struct command commands[] = {
	{ "up", cli_up, "start control plane and workers on this machine, in the foreground" },
	{ "status", cli_status, "show the control plane and what each worker serves" },
	{ "doctor", cli_doctor, "look for what is wrong and say what to do" },
	{ "token", cli_token, "token create: make an API token" },
	{ "apply", cli_apply, "make the configuration what a file says" },
	{ "export", cli_export, "print the configuration as a file for apply" },
	{ "backup", cli_backup, "copy the database while it is used" },
	{ "restore", cli_restore, "put a backup in place while nothing runs" },
};

static int usage(FILE *to)
{
	fputs("tidegate - an AI gateway: one address in front of every model\n\nUsage: tidegate COMMAND [options]\n\nCommands:\n",
	    to);
	for (size_t i = 0; i < GW_COUNT(commands); i++)
		fprintf(to, "  %-9s %s\n", commands[i].name, commands[i].doc);
	fputs("  version   print the version\n  help      print this, or the help of a command\n\n"
	      "`tidegate COMMAND --help` shows options and examples.  Start with:\n\n"
	      "  tidegate up --data-dir ~/tidegate\n", to);
	return to == stderr ? 2 : 0;
}

static int unknown(const char *word)
{
	const char *names[GW_COUNT(commands) + 3] = { "version", "help" };
	for (size_t i = 0; i < GW_COUNT(commands); i++)
		names[i + 2] = commands[i].name;
	const char *near = cp_args_closest(word, names);
	if (near)
		gw_complain("there is no command \"%s\"; did you mean \"tidegate %s\"?", word, near);
	else
		gw_complain("there is no command \"%s\"; \"tidegate help\" lists all", word);
	return 2;
}

static int dispatch(int argc, char **argv)
{
	for (size_t i = 0; i < GW_COUNT(commands); i++)
		if (strcmp(argv[0], commands[i].name) == 0)
			return commands[i].run(argc, argv);
	return unknown(argv[0]);
}

static int help(int argc, char **argv)
{
	if (argc < 2)
		return usage(stdout);
	char word[] = "--help";
	char *v[3] = { argv[1], word, NULL };
	return dispatch(2, v);
}

int main(int argc, char **argv)
{
	gw_log_setup(GW_LOG_TEXT, GW_LOG_INFO, "tidegate");
	gw_json_setup();
	signal(SIGPIPE, SIG_IGN);
	umask(077);
	if (argc < 2)
		return usage(stderr);
	const char *word = argv[1];
	if (strcmp(word, "version") == 0 || strcmp(word, "--version") == 0 || strcmp(word, "-V") == 0)
		return puts("tidegate " TIDEGATE_VERSION) < 0;
	if (strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0)
		return usage(stdout);
	if (strcmp(word, "help") == 0)
		return help(argc - 1, argv + 1);
	if (word[0] == '-') {
		gw_complain("the command comes first: tidegate up %s …; \"tidegate help\" lists all", word);
		return 2;
	}
	return dispatch(argc - 1, argv + 1);
}
