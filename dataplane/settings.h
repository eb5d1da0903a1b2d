/*
 * settings.h - what a worker is told when it starts: options first, then the environment, then defaults.
 *
 * Everything else comes in snapshots.  A setting that is wrong stops the start with one sentence (exit code 2).
 */
#ifndef DP_SETTINGS_H
#define DP_SETTINGS_H

#include "base/gw.h"
#include "base/log.h"

struct dp_settings {
	const char *control;          /* "wss://HOST:8002"; NULL with static_config */
	const char *join_token_file;  /* or env TIDEGATE_JOIN_TOKEN */
	const char *state_dir;
	const char *listen, *admin_listen;
	const char *name;             /* NULL: the host's name and the data port */
	const char *ca_file;          /* NULL: the system's roots only */
	const char *log_dir;          /* NULL: `log` in the state directory */
	const char *syslog_socket;
	int64_t memory_limit_mib;     /* 0: what the machine and the control group have */
	int64_t usage_spool_mib;      /* of usage records in the state directory; 0: in memory only */
	const char *static_config;    /* NULL: configuration comes from the control plane */
	int64_t loops;                /* 0: one a core */
	enum gw_log_format log_format;
	enum gw_log_level log_level;
};

enum dp_start { DP_START_RUN, DP_START_CATALOG, DP_START_VERSION, DP_START_HELP, DP_START_WRONG };

/* WRONG: err->text is the sentence.  Strings are borrowed from argv and the environment. */
enum dp_start dp_settings_read(struct dp_settings *out, int argc, char **argv, struct gw_error *err);
void dp_settings_help(void);

#endif
