/*
 * offline.h - what tidegate-control does beside running: subcommands on a data directory that nobody uses.
 *
 * They take the same lock as the daemon, so the database never has two writers.  `token create` on a directory in
 * use becomes `tidegate token create`, which asks the daemon.
 */
#ifndef CP_OFFLINE_H
#define CP_OFFLINE_H

#include "settings.h"
#include "store/store.h"

/* Runs set->command (not CP_RUN); the exit code. */
int cp_offline(const struct cp_settings *set);

/* Opens DIR/tidegate.db with this installation's migrations, for the daemon too. */
enum gw_rc cp_offline_store(struct cp_store **out, const char *data_dir, struct gw_error *err) GW_MUST_CHECK;

#endif
