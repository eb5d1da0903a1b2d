/*
 * settings.h - how tidegate-control was started: its command line and environment.
 *
 * These are the few things that must be known before the database can be read; everything else is configuration and
 * lives there.
 */
#ifndef CP_SETTINGS_H
#define CP_SETTINGS_H

#include "base/gw.h"
#include "base/log.h"

#define CP_DEFAULT_DATA_DIR "/var/lib/tidegate"

enum cp_command { CP_RUN, CP_TOKEN_CREATE, CP_BACKUP, CP_RESTORE, CP_CHECK, CP_SHOW_HELP, CP_SHOW_VERSION };

/* Texts are borrowed from argv and the environment. */
struct cp_settings {
	enum cp_command command;
	const char *data_dir;            /* without trailing slash */
	const char *console_listen, *channel_listen;
	const char *tls_cert, *tls_key;  /* console over TLS; both or NULL */
	const char *channel_names;       /* further names in the channel's certificate; NULL: none */
	const char *admin_password_file; /* set up without a browser; NULL: no */
	enum gw_log_format log_format;
	bool verbose;
	bool supervised;                 /* `tidegate up` speaks to the person, we do not */
	int64_t answer_ms, hello_ms, heartbeat_ms; /* of the channel */
	const char *role, *name, *expires; /* token create */
	const char *file;                /* restore */
};

/* false: a sentence was written to stderr, exit with 2. */
bool cp_settings_parse(struct cp_settings *out, int argc, char **argv);
void cp_settings_help(const struct cp_settings *s);

#endif
