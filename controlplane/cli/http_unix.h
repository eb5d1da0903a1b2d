/*
 * http_unix.h - a small HTTP/1.1 client for our own daemons: over a socket file, or over loopback TCP.
 *
 * One request, one connection.  The peer is ours, but may be half started or stuck, so every step has a deadline and
 * the answer a ceiling.
 */
#ifndef CLI_HTTP_UNIX_H
#define CLI_HTTP_UNIX_H

#include "base/buf.h"
#include "base/gw.h"

#define CLI_MAX_ANSWER (64u << 20)

struct cli_answer {
	int status;
	struct gw_buf body;          /* gw_buf_fini() */
	char etag[64];
	int64_t revision;            /* X-Tidegate-Revision; -1 when absent */
};

struct cli_request {
	const char *method, *path;   /* path with its query */
	struct gw_str body;          /* JSON; absent: none */
	const char *if_match;        /* NULL: none */
	int64_t timeout_ms;          /* for all of it; 0: 30 s */
};

/*
 * GW_NOTFOUND: nobody listens there.  GW_BUSY: no answer in time.  GW_INVALID: that is not HTTP.  On GW_OK the
 * caller ends with cli_answer_fini().
 */
enum gw_rc cli_http_unix(struct cli_answer *out, const char *socket_path, const struct cli_request *rq,
                         struct gw_error *err) GW_MUST_CHECK;
enum gw_rc cli_http_tcp(struct cli_answer *out, const char *ip, unsigned port, const struct cli_request *rq,
                        struct gw_error *err) GW_MUST_CHECK;
void cli_answer_fini(struct cli_answer *a);

/* Takes an answer apart; `raw` is everything up to the end of the connection.  For tests too. */
enum gw_rc cli_http_parse(struct cli_answer *out, struct gw_str raw, struct gw_error *err) GW_MUST_CHECK;

/* Is somebody accepting on this TCP port? */
bool cli_tcp_open(const char *ip, unsigned port);

#endif
