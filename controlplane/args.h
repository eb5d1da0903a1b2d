/*
 * args.h - command lines: long options from a table, with the help text and the complaints made from the same table.
 *
 * An option may be written --name VALUE or --name=VALUE; a value that is not given comes from the environment
 * variable of its row, else stays what the caller put there.  A wrong command line costs one sentence on stderr,
 * with a suggestion when something similar exists.
 */
#ifndef CP_ARGS_H
#define CP_ARGS_H

#include <stdio.h>

#include "base/gw.h"

enum cp_arg_kind { CP_ARG_TEXT, CP_ARG_NUMBER, CP_ARG_FLAG };

struct cp_arg {
	const char *name;        /* "data-dir" */
	const char *alias;       /* another spelling, "f" is written -f; NULL: none */
	const char *meta;        /* what the value is called in help; NULL for flags */
	const char *env;         /* variable that gives it when the command line does not; NULL: none */
	const char *doc;
	enum cp_arg_kind kind;
	void *out;               /* const char **, int64_t *, bool * */
	int64_t min, max;        /* numbers */
};

struct cp_args {
	const struct cp_arg *v;
	size_t n;
	const char *command;     /* "tidegate up", for complaints */
	size_t max_rest;         /* positional words allowed */
	const char *rest[4];     /* filled */
	size_t n_rest;
};

/* argv[0] is not looked at.  false: complained already, exit with 2. */
bool cp_args_parse(struct cp_args *a, int argc, char **argv);
void cp_args_help(FILE *to, const struct cp_args *a);

/* The nearest of `words` (NULL-terminated) within two typing errors, or NULL. */
const char *cp_args_closest(const char *word, const char *const *words);

#endif
