/*
 * httpd.h - an HTTP server for the admin API and the console; nothing of the library behind it shows.
 *
 * One thread runs the sockets.  A request whose body is complete is handed to a small pool of threads, where the
 * handler may block (SQLite, a worker's answer, a long poll) without delaying anybody else; the connection sleeps
 * meanwhile.  The target is parsed here, from its raw bytes: what the library decodes is never used.  A request that
 * breaks HTTP, is too large or is ambiguous is answered here and never reaches the handler.
 */
#ifndef CP_HTTPD_HTTPD_H
#define CP_HTTPD_HTTPD_H

#include "base/arena.h"
#include "base/buf.h"
#include "base/gw.h"

#define CP_PATH_SEGMENTS 12

struct cp_pair { struct gw_str name, value; };

/* Everything in here is arena of the request and lives until the handler returns. */
struct cp_request {
	struct gw_arena *arena;
	char id[27];                     /* goes out as X-Request-Id */
	struct gw_str method;            /* "GET"; HEAD arrives as GET with is_head */
	bool is_head;
	struct gw_str path;              /* decoded, normalised, without query */
	struct gw_str segment[CP_PATH_SEGMENTS]; size_t n_segments; /* decoded one by one */
	const struct cp_pair *query; size_t n_query;                /* decoded */
	const struct cp_pair *headers; size_t n_headers;            /* as received */
	struct gw_str body;
	struct gw_str address;           /* of the peer, without port; "local" on the socket file */
	bool is_local;                   /* came over the socket file from our own uid or root */
	bool is_tls;
};
struct gw_str cp_request_header(const struct cp_request *rq, const char *name); /* {NULL,0}: absent */
struct gw_str cp_request_query(const struct cp_request *rq, const char *name);
struct gw_str cp_request_cookie(const struct cp_request *rq, const char *name);

/*
 * A body that is made while it is sent: an export, a stream of events.  No more of it is made than the client has taken,
 * so it costs one piece of memory however long it is.
 */
enum cp_more {
	CP_MORE,                         /* there is more at once */
	CP_WAIT,                         /* ask again in about a second */
	CP_END,
	CP_BROKEN,                       /* cannot go on: the client sees that the body is not whole */
};
#define CP_PIECE 262144                  /* what a source should add at a time; one item more is fine */
struct cp_source {
	/* Adds the next piece.  On a pool thread, never two calls at once; should not block for long. */
	enum cp_more (*more)(void *arg, struct gw_buf *out);
	void (*close)(void *arg);        /* once, whatever became of it; not on a pool thread: must not block */
	void *arg;                       /* consumed; NULL: there is no source */
};

/* Filled by the handler.  Starts as 200 with an empty body. */
struct cp_response {
	unsigned status;
	struct gw_buf body;              /* copied or owned: freed by the server */
	struct gw_str fixed;             /* instead of body: bytes that outlive the server (console files) */
	struct cp_source source;         /* instead of body */
	struct cp_pair headers[24]; size_t n_headers; /* values arena of the request or static */
	const char *content_type;        /* NULL: none */
};
/* `value` is copied into the request's arena; bytes that would break a header are refused (assert). */
void cp_response_header(const struct cp_request *rq, struct cp_response *rs, const char *name, struct gw_str value);

struct cp_httpd_options {
	const char *listen;              /* "0.0.0.0:8001", "[::]:8001", port 0 = any; NULL: none */
	const char *socket_path;         /* AF_UNIX, made 0600; NULL: none */
	const char *tls_cert, *tls_key;  /* PEM files; both or none */
	unsigned max_connections, max_per_address, threads, idle_timeout_s, max_age_s; /* 0: 512 64 12 30 300 */
	/* Largest body this request may have; called with method, path, query and headers known. */
	size_t (*max_body)(void *arg, const struct cp_request *rq);
	/* May block.  Runs on a pool thread, several at once. */
	void (*handle)(void *arg, const struct cp_request *rq, struct cp_response *rs);
	/* Writes the body for an error found before the handler (400, 408, 413, 414, 431, 501, 503). */
	void (*refuse)(void *arg, const struct cp_request *rq, unsigned status, const char *detail, struct cp_response *rs);
	void *arg;
};

struct cp_httpd;
/* *out is owned: cp_httpd_close().  Failures say in one sentence which address or file and why. */
enum gw_rc cp_httpd_open(struct cp_httpd **out, const struct cp_httpd_options *o, struct gw_error *err) GW_MUST_CHECK;
/* Stops accepting, lets running handlers finish, closes.  Never from a handler. */
void cp_httpd_close(struct cp_httpd **h);
unsigned cp_httpd_port(const struct cp_httpd *h);   /* the bound TCP port; 0: none */
/* Read certificate and key again: for connections made from now on.  Keeps the old pair when the new one is broken. */
enum gw_rc cp_httpd_reload_tls(struct cp_httpd *h, struct gw_error *err) GW_MUST_CHECK;

#endif
