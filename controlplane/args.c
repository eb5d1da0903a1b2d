/*
 * args.c - command lines from a table (see args.h).
 */
#include "args.h"

#include <stdlib.h>

#include "base/log.h"
#include "base/str.h"

#define MAX_WORD 40

/* Levenshtein distance, with both words cut at MAX_WORD. */
static size_t distance(const char *a, const char *b)
{
	size_t n = strnlen(a, MAX_WORD), m = strnlen(b, MAX_WORD), row[MAX_WORD + 1];
	for (size_t j = 0; j <= m; j++)
		row[j] = j;
	for (size_t i = 1; i <= n; i++) {
		size_t diagonal = row[0];
		row[0] = i;
		for (size_t j = 1; j <= m; j++) {
			size_t best = diagonal + (a[i - 1] != b[j - 1]);
			diagonal = row[j];
			if (row[j] + 1 < best)
				best = row[j] + 1;
			if (row[j - 1] + 1 < best)
				best = row[j - 1] + 1;
			row[j] = best;
		}
	}
	return row[m];
}

const char *cp_args_closest(const char *word, const char *const *words)
{
	const char *best = NULL;
	size_t least = 3;
	for (; *words; words++) {
		size_t d = distance(word, *words);
		if (strlen(word) >= 3 && strncmp(*words, word, strlen(word)) == 0)
			d = d < 2 ? d : 2;
		if (d < least) {
			least = d;
			best = *words;
		}
	}
	return best;
}

static const struct cp_arg *find(const struct cp_args *a, struct gw_str name)
{
	for (size_t i = 0; i < a->n; i++)
		if (gw_str_is(name, a->v[i].name) || (a->v[i].alias && gw_str_is(name, a->v[i].alias)))
			return &a->v[i];
	return NULL;
}

static bool unknown(const struct cp_args *a, const char *word)
{
	const char *names[64] = { "help" };
	char bare[MAX_WORD + 1];
	size_t n = strcspn(word, "=");
	snprintf(bare, sizeof bare, "%.*s", (int)(n < MAX_WORD ? n : MAX_WORD), word + strspn(word, "-"));
	bare[strcspn(bare, "=")] = 0;
	for (size_t i = 0; i < a->n && i + 2 < GW_COUNT(names); i++)
		names[i + 1] = a->v[i].name;
	const char *near = cp_args_closest(bare, names);
	if (near)
		gw_complain("%s has no option %.*s; did you mean --%s?  (%s --help lists all)", a->command, (int)n, word, near,
		    a->command);
	else
		gw_complain("%s has no option %.*s; %s --help lists all", a->command, (int)n, word, a->command);
	return false;
}

static bool set(const struct cp_args *a, const struct cp_arg *o, const char *value, const char *from)
{
	if (o->kind == CP_ARG_TEXT) {
		*(const char **)o->out = value;
		return true;
	}
	if (gw_str_int(gw_str_c(value), o->min, o->max, o->out))
		return true;
	gw_complain("%s: %s takes a number from %lld to %lld, not \"%s\"", a->command, from, (long long)o->min,
	    (long long)o->max, value);
	return false;
}

static bool from_environment(const struct cp_args *a)
{
	for (size_t i = 0; i < a->n; i++) {
		const char *value = a->v[i].env ? getenv(a->v[i].env) : NULL;
		if (!value || !*value)
			continue;
		if (a->v[i].kind == CP_ARG_FLAG)
			*(bool *)a->v[i].out = strcmp(value, "0") != 0;
		else if (!set(a, &a->v[i], value, a->v[i].env))
			return false;
	}
	return true;
}

static bool one(struct cp_args *a, int argc, char **argv, int *i)
{
	const char *word = argv[*i];
	struct gw_str rest = gw_str_c(word + (word[1] == '-' ? 2 : 1));
	const char *equals = strchr(word, '=');
	struct gw_str name = gw_str_cut(&rest, '=');
	const struct cp_arg *o = find(a, name);
	char shown[MAX_WORD + 4];
	if (!o)
		return unknown(a, word);
	snprintf(shown, sizeof shown, "%s%.*s", name.n == 1 ? "-" : "--", (int)(name.n < MAX_WORD ? name.n : MAX_WORD), name.p);
	if (o->kind == CP_ARG_FLAG) {
		if (equals)
			gw_complain("%s: %s takes no value", a->command, shown);
		*(bool *)o->out = true;
		return !equals;
	}
	const char *value = equals ? equals + 1 : *i + 1 < argc ? argv[++*i] : NULL;
	if (!value || (!equals && value[0] == '-' && value[1] == '-')) {
		gw_complain("%s: %s needs a value (%s)", a->command, shown, o->meta);
		return false;
	}
	return set(a, o, value, shown);
}

bool cp_args_parse(struct cp_args *a, int argc, char **argv)
{
	bool only_words = false;
	if (!from_environment(a))
		return false;
	for (int i = 1; i < argc; i++) {
		if (!only_words && strcmp(argv[i], "--") == 0) {
			only_words = true;
		} else if (!only_words && argv[i][0] == '-' && argv[i][1]) {
			if (!one(a, argc, argv, &i))
				return false;
		} else if (a->n_rest < a->max_rest && a->n_rest < GW_COUNT(a->rest)) {
			a->rest[a->n_rest++] = argv[i];
		} else {
			gw_complain("%s: \"%s\" is not expected here; %s --help shows what is", a->command, argv[i], a->command);
			return false;
		}
	}
	return true;
}

void cp_args_help(FILE *to, const struct cp_args *a)
{
	fprintf(to, "\nOptions:\n");
	for (size_t i = 0; i < a->n; i++) {
		const struct cp_arg *o = &a->v[i];
		char head[80];
		snprintf(head, sizeof head, "%s%s%s--%s%s%s", o->alias && !o->alias[1] ? "-" : "",
		    o->alias && !o->alias[1] ? o->alias : "", o->alias && !o->alias[1] ? ", " : "", o->name,
		    o->meta ? " " : "", o->meta ? o->meta : "");
		fprintf(to, "  %-30s %s", head, o->doc);
		if (o->env)
			fprintf(to, " [%s]", o->env);
		fputc('\n', to);
	}
}
