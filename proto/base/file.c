/*
 * file.c - whole files, read and replaced safely.
 */
#include "base/file.h"
#include "base/str.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define PATH_BYTES 4096

/* errno in words, thread-safely. */
static enum gw_rc io_failed(struct gw_error *err, const char *what, const char *path)
{
	int e = errno;
	char words[128];
	const char *text = strerror_r(e, words, sizeof words);
	return gw_fail(err, e == ENOENT ? GW_NOTFOUND : GW_IO, NULL, "cannot %s `%.200s`: %s", what,
	    path, text);
}

static enum gw_rc read_all(struct gw_buf *out, int fd, const char *path, struct gw_error *err)
{
	for (;;) {
		if (out->n == out->max || out->full) {
			/* At the ceiling: fine if the file ends here too. */
			char one;
			ssize_t more = read(fd, &one, 1);
			if (more == 0)
				return GW_OK;
			if (more < 0 && errno == EINTR)
				continue;
			if (more < 0)
				return io_failed(err, "read", path);
			return gw_fail(err, GW_TOOBIG, NULL, "`%.200s` is larger than %zu bytes", path,
			    out->max);
		}
		size_t want = out->max - out->n < 65536 ? out->max - out->n : 65536;
		char *to = gw_buf_reserve(out, want);
		ssize_t got = read(fd, to, want);
		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return io_failed(err, "read", path);
		if (got == 0)
			return GW_OK;
		gw_buf_commit(out, (size_t)got);
	}
}

static enum gw_rc read_file(struct gw_buf *out, const char *path, bool secret, struct gw_error *err)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
	if (fd < 0)
		return io_failed(err, "open", path);
	struct stat st;
	enum gw_rc rc = GW_OK;
	size_t before = out->n;
	if (fstat(fd, &st) != 0)
		rc = io_failed(err, "look at", path);
	else if (S_ISDIR(st.st_mode))
		rc = gw_fail(err, GW_IO, NULL, "`%.200s` is a directory", path);
	else if (secret && (st.st_mode & 077))
		rc = gw_fail(err, GW_DENIED, NULL,
		    "`%.200s` holds a secret but others may open it (mode %04o): run chmod 600 on it",
		    path, (unsigned)st.st_mode & 07777);
	else
		rc = read_all(out, fd, path, err);
	close(fd);
	if (rc != GW_OK && out->p) {
		if (secret)
			explicit_bzero(out->p + before, out->n - before);
		out->n = before;
		out->p[before] = 0;
	}
	return rc;
}

enum gw_rc gw_file_read(struct gw_buf *out, const char *path, struct gw_error *err)
{
	return read_file(out, path, false, err);
}

enum gw_rc gw_file_read_secret(struct gw_buf *out, const char *path, struct gw_error *err)
{
	return read_file(out, path, true, err);
}

static bool write_all(int fd, struct gw_str s)
{
	while (s.n) {
		ssize_t n = write(fd, s.p, s.n);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return false;
		s = gw_str_from(s, (size_t)n);
	}
	return true;
}

/* The rename itself is durable only when the directory is on disk. */
static enum gw_rc sync_parent(const char *path, struct gw_error *err)
{
	char dir[PATH_BYTES];
	snprintf(dir, sizeof dir, "%s", path);
	char *slash = strrchr(dir, '/');
	if (!slash)
		memcpy(dir, ".", 2);
	else
		slash[slash == dir] = 0;
	int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return io_failed(err, "open", dir);
	int failed = fsync(fd);
	close(fd);
	return failed ? io_failed(err, "sync", dir) : GW_OK;
}

enum gw_rc gw_file_replace(const char *path, struct gw_str bytes, unsigned mode, struct gw_error *err)
{
	char tmp[PATH_BYTES];
	if (snprintf(tmp, sizeof tmp, "%s.XXXXXX", path) >= (int)sizeof tmp)
		return gw_fail(err, GW_INVALID, NULL, "the path `%.100s…` is too long", path);
	int fd = mkostemp(tmp, O_CLOEXEC);
	if (fd < 0)
		return io_failed(err, "create a file beside", path);
	if (fchmod(fd, (mode_t)mode) != 0 || !write_all(fd, bytes) || fsync(fd) != 0) {
		enum gw_rc rc = io_failed(err, "write", path);
		close(fd);
		unlink(tmp);
		return rc == GW_NOTFOUND ? GW_IO : rc;
	}
	close(fd);
	if (rename(tmp, path) != 0) {
		enum gw_rc rc = io_failed(err, "replace", path);
		unlink(tmp);
		return rc;
	}
	return sync_parent(path, err);
}

enum gw_rc gw_file_append(const char *path, struct gw_str bytes, unsigned mode, struct gw_error *err)
{
	bool is_new = access(path, F_OK) != 0;
	int fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOCTTY, (mode_t)mode);
	if (fd < 0)
		return io_failed(err, "open", path);
	if (!write_all(fd, bytes) || fdatasync(fd) != 0) {
		enum gw_rc rc = io_failed(err, "write", path);
		close(fd);
		return rc;
	}
	close(fd);
	return is_new ? sync_parent(path, err) : GW_OK;
}

static enum gw_rc make_one(const char *path, mode_t mode, struct gw_error *err)
{
	if (mkdir(path, mode) == 0)
		return GW_OK;
	struct stat st;
	if (errno == EEXIST && stat(path, &st) == 0) {
		if (S_ISDIR(st.st_mode))
			return GW_OK;
		return gw_fail(err, GW_IO, NULL, "`%.200s` is there but is not a directory", path);
	}
	return io_failed(err, "create directory", path);
}

enum gw_rc gw_dir_make(const char *path, unsigned mode, struct gw_error *err)
{
	char part[PATH_BYTES];
	size_t n = strlen(path);
	if (n == 0 || n >= sizeof part)
		return gw_fail(err, GW_INVALID, NULL, "a directory's path is empty or too long");
	memcpy(part, path, n + 1);
	while (n > 1 && part[n - 1] == '/')
		part[--n] = 0;
	for (size_t i = 1; i < n; i++) {
		if (part[i] != '/')
			continue;
		part[i] = 0;
		enum gw_rc rc = make_one(part, 0755, err);
		part[i] = '/';
		if (rc != GW_OK)
			return rc;
	}
	return make_one(part, (mode_t)mode, err);
}

enum gw_rc gw_share_path(char out[4096], const char *name, struct gw_error *err)
{
	const char *set = getenv("TIDEGATE_SHARE_DIR");
	char exe[PATH_BYTES];
	int n;
	if (set && *set) {
		n = snprintf(out, PATH_BYTES, "%s%s%s", set, *name ? "/" : "", name);
	} else {
		ssize_t len = readlink("/proc/self/exe", exe, sizeof exe - 1);
		if (len < 0)
			return io_failed(err, "read", "/proc/self/exe");
		exe[len] = 0;
		/* Up twice: from the file to bin/, from bin/ to the prefix. */
		for (int i = 0; i < 2; i++) {
			char *slash = strrchr(exe, '/');
			if (slash)
				*slash = 0;
		}
		n = snprintf(out, PATH_BYTES, "%s/share/tidegate%s%s", exe, *name ? "/" : "", name);
	}
	if (n >= PATH_BYTES)
		return gw_fail(err, GW_INVALID, NULL, "the path of the shared files is too long");
	if (access(out, R_OK) != 0)
		return gw_fail(err, GW_NOTFOUND, NULL,
		    "`%.200s` is missing: the installation is incomplete, or TIDEGATE_SHARE_DIR is wrong",
		    out);
	return GW_OK;
}
