/*
 * cli.h - inside the tidegate command: its subcommands and what they share.
 *
 * A subcommand gets its own words and returns the exit code: 0 done, 1 failed (a sentence on stderr says what to do
 * next), 2 used wrongly.
 */
#ifndef CLI_CLI_H
#define CLI_CLI_H

#include "args.h"
#include "base/gw.h"
#include "cli/http_unix.h"
#include "datadir.h"
#include "json.h"

#define CLI_DEFAULT_DATA_DIR "/var/lib/tidegate"

int cli_up(int argc, char **argv);
int cli_status(int argc, char **argv);
int cli_doctor(int argc, char **argv);
int cli_token(int argc, char **argv);
int cli_apply(int argc, char **argv);
int cli_export(int argc, char **argv);
int cli_backup(int argc, char **argv);
int cli_restore(int argc, char **argv);

/* The two options that every subcommand has; `dir` and `help` are variables of the caller. */
#define CLI_COMMON_ARGS(dir, help) \
	{ "data-dir", "data", "DIR", "TIDEGATE_DATA_DIR", "data directory (default " CLI_DEFAULT_DATA_DIR ")", CP_ARG_TEXT, &(dir), 0, 0 }, \
	{ "help", "h", NULL, NULL, "print this", CP_ARG_FLAG, &(help), 0, 0 }

/* Text, options and examples on stdout; returns 0. */
int cli_help(const char *text, const struct cp_args *a, const char *examples);

/* "DIR/.." of the running executable + "/name"; false: complained. */
bool cli_sibling(char out[CP_PATH_MAX], const char *name);
/* Runs a sibling with these words (NULL-terminated, the name first) and collects its stdout; the exit code, -1: not run. */
int cli_capture(struct gw_buf *out, const char *const *argv);
/* Without trailing slashes, absolute; false: complained. */
bool cli_data_dir(char out[CP_PATH_MAX], const char *dir);

/*
 * One call of the admin API as local administrator.  *json is owned (json_decref), NULL when the answer has no body.
 * Anything but 2xx is printed as the server words it and gives false.  `rq->path` starts with "/api/v1" or is "/readyz".
 */
bool cli_call(json_t **json, struct cli_answer *answer, const char *dir, const struct cli_request *rq);
/* Prints a problem document (RFC 9457) on stderr. */
void cli_print_problem(int status, const json_t *problem);
/* Is a control plane answering on DIR/control.sock? */
bool cli_is_running(const char *dir);

const char *cli_text(const json_t *o, const char *name, const char *fallback); /* borrowed from o */
int64_t cli_int(const json_t *o, const char *name);                            /* 0 when absent */
/* DIR/up.json; owned, NULL when `tidegate up` does not run there. */
json_t *cli_up_json(const char *dir);

#endif
