/* settings.c - options and environment of tidegate-worker. */
#include "settings.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/str.h"

/* One row an option: its name, the environment variable of the same meaning, whether it takes a value, what it does. */
#define OPTIONS(X)                                                                                                       \
	X(control,         "control",         "URL",     "control plane, wss://HOST:8002")                            \
	X(join_token_file, "join-token-file", "FILE",    "join token; else the token itself in TIDEGATE_JOIN_TOKEN")  \
	X(state_dir,       "state-dir",       "DIR",     "identity, last good configuration, usage")                     \
	X(listen,          "listen",          "ADDR:PORT", "data port, 0.0.0.0:8080 by default")                      \
	X(admin_listen,    "admin-listen",    "ADDR:PORT", "health, metrics and drain, 127.0.0.1:9091 by default")    \
	X(name,            "name",            "NAME",    "how the worker is called in the console")                   \
	X(loops,           "loops",           "N",       "event loops; one a core by default")                        \
	X(ca_file,         "ca-file",         "FILE",    "extra roots for TLS to providers, PEM")                     \
	X(static_config,   "static-config",   "FILE",    "serve this snapshot file without a control plane")          \
	X(log_dir,         "log-dir",         "DIR",     "where access logs are written; STATE-DIR/log by default")      \
	X(syslog_socket,   "syslog-socket",   "PATH",    "where syslog listens, /dev/log by default")                    \
	X(memory_limit,    "memory-limit",    "MIB",     "what the worker may count on; 0: what machine and control group have") \
	X(usage_spool,     "usage-spool",     "MIB",     "room on disk for usage that is not stored yet, 256; 0: memory only") \
	X(log_format,      "log-format",      "json|text", "lines for machines or for people")                        \
	X(log_level,       "log-level",       "LEVEL",   "debug, info, warn or error")

enum option_id {
	OPT_FIRST = 255,
#define X(id, name, value, doc) OPT_##id,
	OPTIONS(X)
#undef X
	OPT_LAST
};

static const struct option longs[] = {
#define X(id, name, value, doc) { name, required_argument, NULL, OPT_##id },
	OPTIONS(X)
#undef X
	{ "catalog", no_argument, NULL, 'c' }, { "version", no_argument, NULL, 'V' }, { "help", no_argument, NULL, 'h' },
	{ NULL, 0, NULL, 0 },
};

void dp_settings_help(void)
{
	printf("tidegate-worker: serves applications from the configuration that the control plane pushes.\n\n"
	       "  tidegate-worker --control wss://HOST:8002 --join-token-file FILE --state-dir DIR\n\n");
#define X(id, name, value, doc) printf("  --%-16s %-10s %s\n", name, value, doc);
	OPTIONS(X)
#undef X
	printf("  --%-16s %-10s %s\n", "catalog", "", "print catalog.json and exit");
	printf("  --%-16s %-10s %s\n", "version", "", "print the version and exit");
	printf("\nEvery option also reads the environment: TIDEGATE_CONTROL, TIDEGATE_JOIN_TOKEN_FILE, TIDEGATE_LISTEN…\n"
	       "SIGTERM or Ctrl-C drains: no new connections, requests in flight finish; a second one ends at once.\n\n"
	       "--static-config: the file is a snapshot in the canonical form of proto/snapshot.h, with provider keys and\n"
	       "pepper as plain strings instead of sealed ones; it must be readable by its owner only (mode 0600).\n"
	       "SIGHUP reads it again.  In every mode SIGHUP opens the access log anew.  Usage records then go nowhere but into metrics and the access log.\n");
}

static bool take_word(const char *text, const char *const *words, int *out)
{
	for (int i = 0; words[i]; i++) {
		if (strcmp(words[i], text) == 0) {
			*out = i;
			return true;
		}
	}
	return false;
}

static bool put(struct dp_settings *s, int id, const char *value, struct gw_error *err)
{
	static const char *const formats[] = { "json", "text", NULL };
	static const char *const levels[] = { "debug", "info", "warn", "error", NULL };
	int word;

	switch (id) {
	case OPT_control: s->control = value; return true;
	case OPT_join_token_file: s->join_token_file = value; return true;
	case OPT_state_dir: s->state_dir = value; return true;
	case OPT_listen: s->listen = value; return true;
	case OPT_admin_listen: s->admin_listen = value; return true;
	case OPT_name: s->name = value; return true;
	case OPT_ca_file: s->ca_file = value; return true;
	case OPT_log_dir: s->log_dir = value; return true;
	case OPT_syslog_socket: s->syslog_socket = value; return true;
	case OPT_static_config: s->static_config = value; return true;
	case OPT_loops:
		if (gw_str_int(gw_str_c(value), 1, 256, &s->loops))
			return true;
		gw_fail(err, GW_INVALID, NULL, "--loops takes a number from 1 to 256, not '%s'", value);
		return false;
	case OPT_memory_limit:
		if (gw_str_int(gw_str_c(value), 0, 1 << 30, &s->memory_limit_mib))
			return true;
		gw_fail(err, GW_INVALID, NULL, "--memory-limit takes MiB, a number from 0 to 1073741824, not '%s'", value);
		return false;
	case OPT_usage_spool:
		if (gw_str_int(gw_str_c(value), 0, 1 << 20, &s->usage_spool_mib))
			return true;
		gw_fail(err, GW_INVALID, NULL, "--usage-spool takes MiB, a number from 0 to 1048576, not '%s'", value);
		return false;
	case OPT_log_format:
		if (take_word(value, formats, &word)) {
			s->log_format = word ? GW_LOG_TEXT : GW_LOG_JSON;
			return true;
		}
		gw_fail(err, GW_INVALID, NULL, "--log-format takes json or text, not '%s'", value);
		return false;
	case OPT_log_level:
		if (take_word(value, levels, &word)) {
			s->log_level = (enum gw_log_level)word;
			return true;
		}
		gw_fail(err, GW_INVALID, NULL, "--log-level takes debug, info, warn or error, not '%s'", value);
		return false;
	default:
		return false;
	}
}

static bool read_environment(struct dp_settings *s, struct gw_error *err)
{
	for (const struct option *o = longs; o->name; o++) {
		char env[64] = "TIDEGATE_";
		const char *value;
		size_t n = strlen(env);

		if (o->has_arg == no_argument)
			continue;
		for (const char *p = o->name; *p && n + 1 < sizeof env; p++)
			env[n++] = *p == '-' ? '_' : (char)(*p - 'a' + 'A');
		env[n] = '\0';
		value = getenv(env);
		if (value && *value && !put(s, o->val, value, err))
			return false;
	}
	return true;
}

static enum dp_start complete(struct dp_settings *s, struct gw_error *err)
{
	if (s->static_config && s->control) {
		gw_fail(err, GW_INVALID, NULL, "--static-config and --control exclude each other");
		return DP_START_WRONG;
	}
	if (!s->static_config && !s->control) {
		gw_fail(err, GW_INVALID, NULL, "--control is missing: the address of the control plane, wss://HOST:8002");
		return DP_START_WRONG;
	}
	if (s->control && strncmp(s->control, "wss://", 6) != 0) {
		gw_fail(err, GW_INVALID, NULL, "--control must be wss://HOST:PORT; the channel always uses TLS");
		return DP_START_WRONG;
	}
	if (!s->static_config && !s->state_dir) {
		gw_fail(err, GW_INVALID, NULL, "--state-dir is missing: where identity and last good configuration are kept");
		return DP_START_WRONG;
	}
	if (s->control && !s->join_token_file && !getenv("TIDEGATE_JOIN_TOKEN")) {
		gw_fail(err, GW_INVALID, NULL, "--join-token-file is missing, and TIDEGATE_JOIN_TOKEN is not set");
		return DP_START_WRONG;
	}
	if (s->loops == 0) {
		long cores = sysconf(_SC_NPROCESSORS_ONLN);

		s->loops = cores < 1 ? 1 : cores > 256 ? 256 : cores;
	}
	return DP_START_RUN;
}

enum dp_start dp_settings_read(struct dp_settings *s, int argc, char **argv, struct gw_error *err)
{
	int id;

	*s = (struct dp_settings){ .listen = "0.0.0.0:8080", .admin_listen = "127.0.0.1:9091", .syslog_socket = "/dev/log", .usage_spool_mib = 256, .log_level = GW_LOG_INFO };
	if (!read_environment(s, err))
		return DP_START_WRONG;
	opterr = 0;
	optind = 1;
	while ((id = getopt_long(argc, argv, ":", longs, NULL)) != -1) {
		if (id == 'c')
			return DP_START_CATALOG;
		if (id == 'V')
			return DP_START_VERSION;
		if (id == 'h')
			return DP_START_HELP;
		if (id == ':' || id == '?') {
			gw_fail(err, GW_INVALID, NULL, id == ':' ? "%s needs a value" : "there is no option %s; see --help", argv[optind - 1]);
			return DP_START_WRONG;
		}
		if (!put(s, id, optarg, err))
			return DP_START_WRONG;
	}
	if (optind < argc) {
		gw_fail(err, GW_INVALID, NULL, "'%s' is no option; see --help", argv[optind]);
		return DP_START_WRONG;
	}
	return complete(s, err);
}
