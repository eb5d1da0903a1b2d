/*
 * apply.c - tidegate apply and tidegate export: the configuration as a file.
 *
 * The admin API replaces each kind that a document names.  Without --prune nothing may disappear, so what exists
 * and is not in the file is added to the document first, with the export's ETag as condition.
 */
#include <stdlib.h>
#include <unistd.h>

#include "base/file.h"
#include "base/log.h"
#include "base/str.h"
#include "base/time.h"
#include "cli/cli.h"

#define MAX_FILE     (32u << 20)
#define SERVE_WAIT_S 10

/* ---- reading the file ---- */

static bool read_stdin(struct gw_buf *b)
{
	for (;;) {
		char *at = gw_buf_reserve(b, 65536);
		if (!at) {
			gw_complain("standard input is larger than %u MiB", MAX_FILE >> 20);
			return false;
		}
		ssize_t n = read(STDIN_FILENO, at, 65536);
		if (n <= 0)
			return n == 0;
		gw_buf_commit(b, (size_t)n);
	}
}

static json_t *read_document(const char *file)
{
	struct gw_buf b;
	struct gw_error err = { 0 };
	json_t *doc = NULL;
	gw_buf_init(&b, MAX_FILE);
	bool ok = strcmp(file, "-") == 0 ? read_stdin(&b) : gw_file_read(&b, file, &err) == GW_OK;
	if (!ok && err.text[0])
		gw_complain("%s", err.text);
	if (ok && gw_json_parse(&doc, gw_buf_str(&b), MAX_FILE, &err) != GW_OK) {
		gw_complain("%s is not JSON: %s (`tidegate export` shows the form; YAML is not read)", file, err.text);
		doc = NULL;
	}
	gw_buf_fini(&b);
	if (doc && !json_is_object(doc)) {
		gw_complain("%s must be one JSON object: {\"format\":1,\"providers\":[…],\"routes\":[…]}", file);
		json_decref(doc);
		doc = NULL;
	}
	if (doc && !json_object_get(doc, "format"))
		json_object_set_new(doc, "format", json_integer(1));
	return doc;
}

/* ---- keeping what the file does not name ---- */

static bool has_name(const json_t *list, const char *name)
{
	for (size_t i = 0; i < json_array_size(list); i++)
		if (strcmp(cli_text(json_array_get(list, i), "name", ""), name) == 0)
			return true;
	return false;
}

static void keep_list(json_t *doc, const json_t *now, const char *kind)
{
	json_t *want = json_object_get(doc, kind), *have = json_object_get(now, kind);
	for (size_t i = 0; json_is_array(want) && i < json_array_size(have); i++) {
		json_t *o = json_array_get(have, i);
		if (!has_name(want, cli_text(o, "name", "")))
			json_array_append(want, o);
	}
}

static void keep_plugins(json_t *doc, const json_t *now)
{
	json_t *want = json_object_get(doc, "global_plugins"), *v;
	const char *name;
	if (!json_is_object(want))
		return;
	json_object_foreach(json_object_get(now, "global_plugins"), name, v)
		if (!json_object_get(want, name))
			json_object_set(want, name, v);
}

/* ---- showing ---- */

static void print_plan(const json_t *result)
{
	const json_t *plan = json_object_get(result, "plan"), *warnings = json_object_get(result, "warnings");
	size_t count[3] = { 0 };
	for (size_t i = 0; i < json_array_size(plan); i++) {
		const json_t *c = json_array_get(plan, i);
		const char *op = cli_text(c, "op", "change");
		size_t k = strcmp(op, "create") == 0 ? 0 : strcmp(op, "delete") == 0 ? 2 : 1;
		count[k]++;
		printf("%c %s %s\n", "+~-"[k], cli_text(c, "kind", "?"), cli_text(c, "name", "?"));
	}
	for (size_t i = 0; i < json_array_size(warnings); i++) {
		const json_t *w = json_array_get(warnings, i);
		printf("! %s: %s\n", cli_text(w, "path", ""), cli_text(w, "message", ""));
	}
	if (count[0] + count[1] + count[2])
		printf("Plan: %zu to create, %zu to change, %zu to delete.\n", count[0], count[1], count[2]);
	else
		printf("Nothing to change.\n");
}

/* Waits until every connected worker serves it; the exit code. */
static int wait_served(const char *dir, int64_t revision)
{
	char path[128];
	json_t *nodes;
	size_t connected = 0, behind = 0;
	int64_t began = gw_mono_ms();
	snprintf(path, sizeof path, "/api/v1/nodes?limit=200&min_revision=%lld&wait=%ds", (long long)revision, SERVE_WAIT_S);
	if (!cli_call(&nodes, NULL, dir, &(struct cli_request){ .method = "GET", .path = path }))
		return 1;
	const json_t *items = json_object_get(nodes, "items");
	for (size_t i = 0; i < json_array_size(items); i++) {
		const json_t *n = json_array_get(items, i);
		if (strcmp(cli_text(n, "state", ""), "disconnected") == 0)
			continue;
		connected++;
		if (cli_int(n, "revision_served") >= revision)
			continue;
		behind++;
		gw_complain("%s still serves revision %lld%s%s", cli_text(n, "name", "a worker"),
		    (long long)cli_int(n, "revision_served"), cli_text(n, "last_error", NULL) ? ": " : "",
		    cli_text(n, "last_error", ""));
	}
	json_decref(nodes);
	if (!connected)
		printf("Revision %lld is stored; no worker is connected yet.\n", (long long)revision);
	else if (!behind)
		printf("Revision %lld is served by %zu worker%s (%lld ms).\n", (long long)revision, connected,
		    connected == 1 ? "" : "s", (long long)(gw_mono_ms() - began));
	return behind ? 1 : 0;
}

/* ---- apply ---- */

static bool fetch_current(const char *dir, json_t **now, char etag[64])
{
	struct cli_answer answer;
	if (!cli_call(now, &answer, dir, &(struct cli_request){ .method = "GET", .path = "/api/v1/config" }))
		return false;
	snprintf(etag, 64, "%s", answer.etag);
	return true;
}

static int apply(const char *dir, json_t *doc, bool dry_run, bool prune)
{
	char etag[64] = "";
	json_t *now = NULL, *result = NULL;
	struct gw_buf body;
	if (!prune) {
		if (!fetch_current(dir, &now, etag))
			return 1;
		keep_list(doc, now, "providers");
		keep_list(doc, now, "routes");
		keep_list(doc, now, "groups");
		keep_list(doc, now, "jwt_issuers");
		keep_list(doc, now, "consumers");
		keep_list(doc, now, "prices");
		keep_list(doc, now, "quotas");
		keep_list(doc, now, "alert_channels");
		keep_list(doc, now, "alerts");
		keep_list(doc, now, "silences");
		keep_plugins(doc, now);
		json_decref(now);
	}
	gw_buf_init(&body, CLI_MAX_ANSWER);
	struct cli_request rq = { .method = "PUT", .path = dry_run ? "/api/v1/config?dry_run=true" : "/api/v1/config",
		.if_match = etag[0] ? etag : NULL, .timeout_ms = 120000 };
	bool ok = gw_json_write(&body, doc, false) == GW_OK;
	rq.body = gw_buf_str(&body);
	ok = ok && cli_call(&result, NULL, dir, &rq);
	gw_buf_fini(&body);
	if (!ok)
		return 1;
	print_plan(result);
	int64_t revision = cli_int(result, "revision");
	json_decref(result);
	if (dry_run) {
		printf("Dry run: nothing was stored.\n");
		return 0;
	}
	return wait_served(dir, revision);
}

int cli_apply(int argc, char **argv)
{
	const char *dir = CLI_DEFAULT_DATA_DIR, *file = NULL;
	bool help = false, dry_run = false, prune = false;
	char path[CP_PATH_MAX];
	const struct cp_arg table[] = {
		{ "file", "f", "FILE|-", NULL, "JSON document, - for standard input", CP_ARG_TEXT, &file, 0, 0 },
		{ "dry-run", NULL, NULL, NULL, "check it and show the plan, store nothing", CP_ARG_FLAG, &dry_run, 0, 0 },
		{ "prune", NULL, NULL, NULL, "delete what the file does not name, within the kinds that it names", CP_ARG_FLAG, &prune,
		  0, 0 },
		CLI_COMMON_ARGS(dir, help),
	};
	struct cp_args a = { .v = table, .n = GW_COUNT(table), .command = "tidegate apply" };
	if (!cp_args_parse(&a, argc, argv))
		return 2;
	if (help)
		return cli_help("tidegate apply - make the configuration what a JSON file says, in one step\n\n"
		    "Prints the plan (+ create, ~ change, - delete, ! doubt) and waits until every connected worker serves the\n"
		    "result.  All of it is applied or nothing.  Applying the same file again changes nothing.", &a,
		    "  tidegate apply -f gateway.json --dry-run\n  tidegate apply -f gateway.json\n"
		    "  tidegate export > gateway.json      # the form of the file\n\n"
		    "  echo '{\"providers\":[{\"name\":\"deepseek\",\"type\":\"deepseek\",\"api_keys\":[{\"name\":\"main\",\"value\":\"sk-…\"}]}],\n"
		    "         \"routes\":[{\"name\":\"r1\",\"match\":{\"models\":[{\"type\":\"exact\",\"value\":\"deepseek-r1\"}]},\n"
		    "         \"targets\":[{\"provider\":\"deepseek\",\"model\":\"deepseek-reasoner\"}]}]}' | tidegate apply -f -\n");
	if (!file) {
		gw_complain("apply needs -f FILE (or -f - to read standard input)");
		return 2;
	}
	if (!cli_data_dir(path, dir))
		return 2;
	json_t *doc = read_document(file);
	if (!doc)
		return 1;
	int code = apply(path, doc, dry_run, prune);
	json_decref(doc);
	return code;
}

/* ---- export ---- */

int cli_export(int argc, char **argv)
{
	const char *dir = CLI_DEFAULT_DATA_DIR, *file = NULL;
	bool help = false;
	char path[CP_PATH_MAX];
	json_t *doc;
	const struct cp_arg table[] = {
		{ "output", "o", "FILE", NULL, "write there instead of standard output", CP_ARG_TEXT, &file, 0, 0 },
		CLI_COMMON_ARGS(dir, help),
	};
	struct cp_args a = { .v = table, .n = GW_COUNT(table), .command = "tidegate export" };
	if (!cp_args_parse(&a, argc, argv))
		return 2;
	if (help)
		return cli_help("tidegate export - print the whole configuration as JSON, without secrets\n\n"
		    "The file can be given to `tidegate apply`: secrets that it does not carry stay as they are.", &a,
		    "  tidegate export > gateway.json\n  tidegate export -o gateway.json --data-dir ~/tidegate\n");
	if (!cli_data_dir(path, dir) ||
	    !cli_call(&doc, NULL, path, &(struct cli_request){ .method = "GET", .path = "/api/v1/config" }))
		return 1;
	char *text = json_dumps(doc, JSON_INDENT(2));
	struct gw_error err = { 0 };
	int code = 0;
	json_decref(doc);
	if (!file)
		code = puts(text) < 0;
	else if (gw_file_replace(file, gw_str_c(text), 0600, &err) != GW_OK)
		code = 1;
	if (code)
		gw_complain("%s", err.text[0] ? err.text : "standard output cannot be written");
	free(text);
	return code;
}
