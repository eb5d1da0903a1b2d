/*
 * listen.h - a listening TCP socket from "HOST:PORT", with an error that a person can act on.
 *
 * Binding it ourselves is the only way to be sure that it worked: libwebsockets 4.1 makes a server without a
 * listener when the port is taken, and only logs it.
 */
#ifndef CP_WS_LISTEN_H
#define CP_WS_LISTEN_H

#include "base/gw.h"

/*
 * `address` is "1.2.3.4:80", "[::1]:80", "host:80" or ":80" (all IPv4 addresses).  *fd is owned (close), non-blocking
 * and close-on-exec; *port is what was bound, so port 0 can be asked for.  A taken port is GW_IO and says so.
 */
enum gw_rc cp_listen_open(int *fd, unsigned *port, const char *address, struct gw_error *err) GW_MUST_CHECK;

#endif
