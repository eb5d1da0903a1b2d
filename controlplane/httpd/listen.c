/* listen.c - bind and listen, with sentences for what goes wrong. */
#include "httpd/listen.h"

#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/str.h"

#define BACKLOG 128

static enum gw_rc split(const char *address, char host[256], char port[8], struct gw_error *err)
{
	const char *colon = strrchr(address, ':');
	int64_t number;
	if (colon == NULL || !gw_str_int(gw_str_c(colon + 1), 0, 65535, &number) || colon - address >= 255)
		return gw_fail(err, GW_INVALID, NULL, "\"%s\" is not an address with a port, such as 0.0.0.0:8001", address);
	struct gw_str h = { address, (size_t)(colon - address) };
	if (h.n >= 2 && h.p[0] == '[' && h.p[h.n - 1] == ']')
		h = (struct gw_str){ h.p + 1, h.n - 2 };
	snprintf(host, 256, "%.*s", GW_FMT(h));
	snprintf(port, 8, "%d", (int)number);
	return GW_OK;
}

static unsigned bound_port(int fd)
{
	struct sockaddr_storage ss;
	socklen_t n = sizeof ss;
	char port[8];
	int64_t number = 0;
	if (getsockname(fd, (struct sockaddr *)&ss, &n) == 0 &&
	    getnameinfo((struct sockaddr *)&ss, n, NULL, 0, port, sizeof port, NI_NUMERICSERV) == 0)
		gw_str_int(gw_str_c(port), 0, 65535, &number);
	return (unsigned)number;
}

enum gw_rc cp_listen_tcp(int *fd, unsigned *port, const char *address, struct gw_error *err)
{
	char host[256], service[8];
	struct addrinfo hints = { .ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE | AI_NUMERICSERV }, *list = NULL;
	enum gw_rc rc = split(address, host, service, err);
	if (rc != GW_OK)
		return rc;
	int why = getaddrinfo(host[0] ? host : NULL, service, &hints, &list);
	if (why != 0)
		return gw_fail(err, GW_INVALID, NULL, "cannot listen on %s: %s", address, gai_strerror(why));
	int s = -1, on = 1;
	for (struct addrinfo *i = list; i != NULL && s < 0; i = i->ai_next) {
		s = socket(i->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
		if (s < 0)
			continue;
		setsockopt(s, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
		if (bind(s, i->ai_addr, i->ai_addrlen) != 0 || listen(s, BACKLOG) != 0) {
			why = errno;
			close(s);
			s = -1;
			errno = why;
		}
	}
	why = errno;
	freeaddrinfo(list);
	if (s < 0)
		return gw_fail(err, GW_IO, NULL, "cannot listen on %s: %s%s", address, strerror(why),
			       why == EADDRINUSE ? "; another program uses the port" : "");
	*fd = s;
	*port = bound_port(s);
	return GW_OK;
}

/* /proc/self/fd/<directory>/<name> fits into sun_path however long the directory's name is. */
static enum gw_rc short_path(struct sockaddr_un *out, int *dir, const char *path, struct gw_error *err)
{
	char folder[4096];
	const char *slash = strrchr(path, '/');
	const char *name = slash != NULL ? slash + 1 : path;
	snprintf(folder, sizeof folder, "%.*s", slash != NULL ? (int)(slash - path) : 1, slash != NULL ? path : ".");
	*out = (struct sockaddr_un){ .sun_family = AF_UNIX };
	*dir = open(folder[0] ? folder : "/", O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (*dir < 0)
		return gw_fail(err, GW_IO, NULL, "cannot open %s: %s", folder, strerror(errno));
	int n = snprintf(out->sun_path, sizeof out->sun_path, "/proc/self/fd/%d/%s", *dir, name);
	if (n < 0 || (size_t)n >= sizeof out->sun_path) {
		close(*dir);
		return gw_fail(err, GW_INVALID, NULL, "the name of %s is too long for a socket", path);
	}
	return GW_OK;
}

enum gw_rc cp_listen_file(int *fd, const char *path, struct gw_error *err)
{
	struct sockaddr_un address;
	struct stat st;
	int dir;
	enum gw_rc rc = short_path(&address, &dir, path, err);
	if (rc != GW_OK)
		return rc;
	if (lstat(path, &st) == 0 && S_ISSOCK(st.st_mode))
		unlink(path);
	mode_t before = umask(0177);
	int s = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	bool ok = s >= 0 && bind(s, (struct sockaddr *)&address, sizeof address) == 0 && listen(s, BACKLOG) == 0;
	int why = errno;
	umask(before);
	close(dir);
	if (ok) {
		*fd = s;
		return GW_OK;
	}
	if (s >= 0)
		close(s);
	return gw_fail(err, GW_IO, NULL, "cannot listen on %s: %s", path, strerror(why));
}
