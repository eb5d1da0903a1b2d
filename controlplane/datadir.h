/*
 * datadir.h - the data directory: its modes, its lock, and the small secrets that stand in it.
 */
#ifndef CP_DATADIR_H
#define CP_DATADIR_H

#include "base/gw.h"

#define CP_PATH_MAX 4096

/* "DIR/name" into `out`; data directories are at most 3000 bytes long (settings.c). */
void cp_datadir_path(char out[CP_PATH_MAX], const char *dir, const char *name);

/*
 * Make it (0700) or check that it is ours and closed to others.  An empty one that is open is closed; one with
 * content is refused with the command that mends it, since its secrets may have been read.
 */
enum gw_rc cp_datadir_prepare(const char *dir, struct gw_error *err) GW_MUST_CHECK;

/*
 * A directory belongs to one account.  Root who works in it becomes that account for good, so that the service never
 * meets a file of root; files elsewhere are opened before.  Does nothing for anybody else.
 */
enum gw_rc cp_datadir_become_owner(const char *dir, struct gw_error *err) GW_MUST_CHECK;

/*
 * Take DIR/lock for this process; *fd is kept open as long as it is needed and then closed.  GW_BUSY: another
 * process has it, and the sentence names its pid.
 */
enum gw_rc cp_datadir_lock(int *fd, const char *dir, struct gw_error *err) GW_MUST_CHECK;

#endif
