/*
 * listen.c - a listening TCP socket from "HOST:PORT" (see listen.h).
 */
#include "ws/listen.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/str.h"

#define BACKLOG 512

static enum gw_rc split(const char *address, char host[256], char port[8], struct gw_error *err)
{
	const char *colon = strrchr(address, ':');
	int64_t number;
	if (!colon || !gw_str_int(gw_str_c(colon + 1), 0, 65535, &number) || colon - address > 255)
		return gw_fail(err, GW_INVALID, NULL, "\"%s\" is not an address with a port, like 0.0.0.0:8002", address);
	struct gw_str h = { address, (size_t)(colon - address) };
	if (h.n >= 2 && h.p[0] == '[' && h.p[h.n - 1] == ']')
		h = (struct gw_str){ h.p + 1, h.n - 2 };
	snprintf(host, 256, "%.*s", GW_FMT(h));
	snprintf(port, 8, "%d", (int)number);
	return GW_OK;
}

static int bind_one(const struct addrinfo *ai)
{
	int yes = 1;
	int fd = socket(ai->ai_family, ai->ai_socktype | SOCK_NONBLOCK | SOCK_CLOEXEC, ai->ai_protocol);
	if (fd < 0)
		return -1;
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
	if (ai->ai_family == AF_INET6) { /* [::] takes IPv4 too, but never a single IPv6 address */
		int no = 0;
		setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &no, sizeof no);
	}
	if (bind(fd, ai->ai_addr, ai->ai_addrlen) == 0 && listen(fd, BACKLOG) == 0)
		return fd;
	int e = errno;
	close(fd);
	errno = e;
	return -1;
}

static unsigned bound_port(int fd)
{
	struct sockaddr_storage sa;
	socklen_t n = sizeof sa;
	if (getsockname(fd, (struct sockaddr *)&sa, &n) != 0)
		return 0;
	return ntohs(sa.ss_family == AF_INET6 ? ((struct sockaddr_in6 *)&sa)->sin6_port
					      : ((struct sockaddr_in *)&sa)->sin_port);
}

enum gw_rc cp_listen_open(int *fd, unsigned *port, const char *address, struct gw_error *err)
{
	char host[256], service[8];
	enum gw_rc rc = split(address, host, service, err);
	if (rc != GW_OK)
		return rc;
	struct addrinfo hints = { .ai_flags = AI_PASSIVE | AI_NUMERICSERV, .ai_socktype = SOCK_STREAM };
	struct addrinfo *list = NULL;
	int e = getaddrinfo(host[0] ? host : "0.0.0.0", service, &hints, &list);
	if (e != 0)
		return gw_fail(err, GW_INVALID, NULL, "cannot listen on %s: %s", address, gai_strerror(e));
	*fd = bind_one(list);
	e = errno;
	freeaddrinfo(list);
	if (*fd < 0 && e == EADDRINUSE)
		return gw_fail(err, GW_IO, NULL, "port %s is in use by another program (wanted %s); stop that program or "
		    "choose another port", service, address);
	if (*fd < 0)
		return gw_fail(err, GW_IO, NULL, "cannot listen on %s: %s", address, strerror(e));
	*port = bound_port(*fd);
	return GW_OK;
}
