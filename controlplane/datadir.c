/*
 * datadir.c - the data directory (see datadir.h).
 */
#include "datadir.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/log.h"
#include "base/str.h"

void cp_datadir_path(char out[CP_PATH_MAX], const char *dir, const char *name)
{
	int n = snprintf(out, CP_PATH_MAX, "%s/%s", dir, name);
	assert(n > 0 && n < CP_PATH_MAX);
}

static bool is_empty(const char *dir)
{
	DIR *d = opendir(dir);
	if (!d)
		return false;
	bool empty = true;
	for (const struct dirent *e; empty && (e = readdir(d));)
		empty = strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0;
	closedir(d);
	return empty;
}

enum gw_rc cp_datadir_prepare(const char *dir, struct gw_error *err)
{
	struct stat st;
	if (stat(dir, &st) != 0) {
		if (errno != ENOENT)
			return gw_fail(err, GW_IO, NULL, "the data directory %s cannot be used: %s", dir, strerror(errno));
		return gw_dir_make(dir, 0700, err);
	}
	if (!S_ISDIR(st.st_mode))
		return gw_fail(err, GW_IO, NULL, "%s is not a directory; --data-dir names the data directory", dir);
	if (st.st_uid != geteuid() && geteuid() != 0)
		return gw_fail(err, GW_IO, NULL, "the data directory %s belongs to uid %u, but this process runs as uid %u; start "
		    "it as that user, or run: chown -R %u %s", dir, (unsigned)st.st_uid, (unsigned)geteuid(), (unsigned)geteuid(), dir);
	if ((st.st_mode & 077) && is_empty(dir) && chmod(dir, 0700) == 0)
		return GW_OK;
	if (st.st_mode & 077)
		return gw_fail(err, GW_IO, NULL, "the data directory %s holds secrets, but others can enter it (mode %04o); run: "
		    "chmod 700 %s", dir, (unsigned)st.st_mode & 07777, dir);
	if (access(dir, R_OK | W_OK | X_OK) != 0)
		return gw_fail(err, GW_IO, NULL, "the data directory %s is not writable: %s", dir, strerror(errno));
	return GW_OK;
}

enum gw_rc cp_datadir_become_owner(const char *dir, struct gw_error *err)
{
	struct stat st;
	if (geteuid() != 0 || stat(dir, &st) != 0 || st.st_uid == 0)
		return GW_OK;
	if (setgroups(0, NULL) == 0 && setresgid(st.st_gid, st.st_gid, st.st_gid) == 0 &&
	    setresuid(st.st_uid, st.st_uid, st.st_uid) == 0)
		return GW_OK;
	return gw_fail(err, GW_IO, NULL, "the data directory %s belongs to uid %u, and this process cannot become that user: %s",
	    dir, (unsigned)st.st_uid, strerror(errno));
}

static enum gw_rc held(int fd, const char *dir, struct gw_error *err)
{
	char pid[32] = "";
	ssize_t n = pread(fd, pid, sizeof pid - 1, 0);
	close(fd);
	pid[n > 0 ? strspn(pid, "0123456789") : 0] = 0;
	return gw_fail(err, GW_BUSY, NULL, "the data directory %s is in use by a running tidegate-control%s%s; stop that one "
	    "first, or give this one another --data-dir", dir, pid[0] ? ", pid " : "", pid);
}

enum gw_rc cp_datadir_lock(int *fd, const char *dir, struct gw_error *err)
{
	char path[CP_PATH_MAX], pid[32];
	cp_datadir_path(path, dir, "lock");
	*fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (*fd < 0)
		return gw_fail(err, GW_IO, NULL, "%s cannot be opened: %s", path, strerror(errno));
	if (flock(*fd, LOCK_EX | LOCK_NB) != 0)
		return held(*fd, dir, err);
	int n = snprintf(pid, sizeof pid, "%d\n", (int)getpid());
	if (ftruncate(*fd, 0) != 0 || pwrite(*fd, pid, (size_t)n, 0) != n) {
		close(*fd);
		return gw_fail(err, GW_IO, NULL, "%s cannot be written: %s", path, strerror(errno));
	}
	return GW_OK;
}
