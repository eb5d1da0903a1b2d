/*
 * status.c - tidegate status: who runs, and does everybody serve the current revision?
 */
#include <stdlib.h>

#include "base/log.h"
#include "base/str.h"
#include "cli/cli.h"

struct state {
	bool running;
	json_t *version, *overview, *nodes, *up;  /* owned */
	int64_t revision;
	size_t connected, current, expected;
};

static bool connected(const json_t *node)
{
	return strcmp(cli_text(node, "state", ""), "disconnected") != 0;
}

static bool fetch(struct state *s, const char *dir)
{
	s->up = cli_up_json(dir);
	s->expected = json_array_size(json_object_get(s->up, "workers"));
	if (!cli_call(&s->version, NULL, dir, &(struct cli_request){ .method = "GET", .path = "/api/v1/version" }))
		return false;
	s->running = true;
	if (!cli_call(&s->overview, NULL, dir, &(struct cli_request){ .method = "GET", .path = "/api/v1/overview" }) ||
	    !cli_call(&s->nodes, NULL, dir, &(struct cli_request){ .method = "GET", .path = "/api/v1/nodes?limit=200" }))
		return false;
	s->revision = cli_int(s->overview, "revision");
	const json_t *items = json_object_get(s->nodes, "items");
	for (size_t i = 0; i < json_array_size(items); i++) {
		const json_t *n = json_array_get(items, i);
		s->connected += connected(n);
		s->current += connected(n) && cli_int(n, "revision_served") >= s->revision;
	}
	return true;
}

static bool good(const struct state *s)
{
	return s->running && s->connected > 0 && s->current == s->connected && s->connected >= s->expected;
}

static void print_json(const struct state *s)
{
	json_t *o = json_object(), *control = json_object();
	json_object_set_new(control, "running", json_boolean(s->running));
	json_object_set_new(control, "version", json_string(cli_text(s->version, "version", "")));
	json_object_set_new(control, "revision", json_integer(s->revision));
	json_object_set_new(o, "control", control);
	json_t *items = json_object_get(s->nodes, "items");
	json_object_set_new(o, "workers", items ? json_incref(items) : json_array());
	json_object_set_new(o, "connected", json_integer((json_int_t)s->connected));
	json_object_set_new(o, "current", json_integer((json_int_t)s->current));
	json_object_set_new(o, "ok", json_boolean(good(s)));
	if (s->up)
		json_object_set(o, "up", s->up);
	char *text = json_dumps(o, JSON_INDENT(2));
	puts(text);
	free(text);
	json_decref(o);
}

static void print_workers(const struct state *s)
{
	const json_t *items = json_object_get(s->nodes, "items");
	if (json_array_size(items))
		printf("\n%-20s %-13s %-14s %9s %10s  %s\n", "WORKER", "STATE", "SERVES", "IN FLIGHT", "REQUESTS", "LISTENS");
	for (size_t i = 0; i < json_array_size(items); i++) {
		const json_t *n = json_array_get(items, i);
		char serves[64];
		snprintf(serves, sizeof serves, "%lld of %lld", (long long)cli_int(n, "revision_served"), (long long)s->revision);
		printf("%-20s %-13s %-14s %9lld %10lld  %s\n", cli_text(n, "name", "?"), cli_text(n, "state", "?"), serves,
		    (long long)cli_int(n, "in_flight"), (long long)cli_int(n, "requests"), cli_text(n, "listen", "-"));
		if (cli_text(n, "last_error", NULL))
			printf("  last error: %s\n", cli_text(n, "last_error", ""));
	}
	putchar('\n');
}

static void print_verdict(const struct state *s)
{
	if (!s->connected)
		printf("No worker is connected: applications are not served.  `tidegate doctor` looks for the cause.\n");
	else if (s->connected < s->expected)
		printf("%zu of %zu workers are connected; the others are starting or failing (see the log of tidegate up).\n",
		    s->connected, s->expected);
	else if (s->current < s->connected)
		printf("%zu of %zu connected workers serve revision %lld; the others still have an older one.\n", s->current,
		    s->connected, (long long)s->revision);
	else
		printf("%zu worker%s serve%s the current revision %lld.\n", s->connected, s->connected == 1 ? "" : "s",
		    s->connected == 1 ? "s" : "", (long long)s->revision);
}

static void print_table(const struct state *s)
{
	printf("Control plane: running, version %s, revision %lld, since %s\n", cli_text(s->version, "version", "?"),
	    (long long)s->revision, cli_text(s->version, "started_at", "?"));
	if (s->up)
		printf("Console: %s   Data plane: %s\n", cli_text(s->up, "console_url", "?"), cli_text(s->up, "data_url", "?"));
	print_workers(s);
	print_verdict(s);
}

int cli_status(int argc, char **argv)
{
	const char *dir = CLI_DEFAULT_DATA_DIR;
	bool help = false, as_json = false;
	char path[CP_PATH_MAX];
	struct state s = { 0 };
	const struct cp_arg table[] = {
		{ "json", NULL, NULL, NULL, "for programs", CP_ARG_FLAG, &as_json, 0, 0 },
		CLI_COMMON_ARGS(dir, help),
	};
	struct cp_args a = { .v = table, .n = GW_COUNT(table), .command = "tidegate status" };
	if (!cp_args_parse(&a, argc, argv))
		return 2;
	if (help)
		return cli_help("tidegate status - the control plane and what each worker serves\n\n"
		    "Ends with 0 when every connected worker serves the current revision (and all that `tidegate up` started are\n"
		    "connected), else with 1.", &a,
		    "  tidegate status --data-dir ~/tidegate\n  tidegate status --json | jq .ok\n");
	if (!cli_data_dir(path, dir))
		return 2;
	bool fetched = fetch(&s, path);
	if (as_json)
		print_json(&s);
	else if (fetched)
		print_table(&s);
	bool ok = fetched && good(&s);
	json_decref(s.version);
	json_decref(s.overview);
	json_decref(s.nodes);
	json_decref(s.up);
	return ok ? 0 : 1;
}
