/* listen.h - listening sockets: "0.0.0.0:8001", "[::]:8001", "localhost:0", or a socket file. */
#ifndef CP_HTTPD_LISTEN_H
#define CP_HTTPD_LISTEN_H

#include "base/gw.h"

/* *fd is owned: close().  *port is the bound one.  The sentence names the address and the reason. */
enum gw_rc cp_listen_tcp(int *fd, unsigned *port, const char *address, struct gw_error *err) GW_MUST_CHECK;
/* Replaces a socket file that nobody listens on any more; mode 0600; paths longer than sun_path work. */
enum gw_rc cp_listen_file(int *fd, const char *path, struct gw_error *err) GW_MUST_CHECK;

#endif
