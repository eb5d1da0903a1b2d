/*
 * file.h - whole files, read and replaced safely.
 */
#ifndef GW_BASE_FILE_H
#define GW_BASE_FILE_H

#include "base/buf.h"
#include "base/gw.h"

/* Append the file to `out`.  GW_NOTFOUND when absent, GW_TOOBIG above out's ceiling, GW_IO else.  */
enum gw_rc gw_file_read(struct gw_buf *out, const char *path, struct gw_error *err) GW_MUST_CHECK;
/* tmp + fsync + rename + fsync(dir): readers see the old or the new file, also after a power cut. */
enum gw_rc gw_file_replace(const char *path, struct gw_str bytes, unsigned mode,
                           struct gw_error *err) GW_MUST_CHECK;
/* Add to the end, or make the file; on disk when the call returns.  What fails may have been written in part. */
enum gw_rc gw_file_append(const char *path, struct gw_str bytes, unsigned mode, struct gw_error *err) GW_MUST_CHECK;
/* Like gw_file_read, but refuses a file that group or others may read: for keys and tokens. */
enum gw_rc gw_file_read_secret(struct gw_buf *out, const char *path, struct gw_error *err) GW_MUST_CHECK;
/* mkdir -p with this mode for the last part; fine when it is there. */
enum gw_rc gw_dir_make(const char *path, unsigned mode, struct gw_error *err) GW_MUST_CHECK;
/* Where this installation's read-only files are: $TIDEGATE_SHARE_DIR, else <dir of the executable>/../share/tidegate. */
enum gw_rc gw_share_path(char out[4096], const char *name, struct gw_error *err) GW_MUST_CHECK;

#endif
