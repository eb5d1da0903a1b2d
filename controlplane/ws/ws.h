/*
 * ws.h - the WebSocket server that workers connect to.  libwebsockets ends here.
 *
 * One thread of its own does all the network work and calls the handlers; any thread may send, drop or wake.  What
 * other threads ask for is put into a locked mailbox and done by that thread, in order.
 *
 * Before a connection is upgraded it must ask for the path and subprotocol of wire.h, carry no Origin (browsers are
 * not workers), and show a bearer credential that `admit` accepts.  Everything else gets an HTTP status and is
 * closed: HTTP/2, h2c, plain HTTP, other subprotocols.  Messages above max_text and text that is not UTF-8 end the
 * connection.  A peer that does not read is dropped when its queue passes queue_bytes or makes no
 * progress for stall_ms; one that says nothing, not even a pong, is dropped after 25 s.
 */
#ifndef CP_WS_WS_H
#define CP_WS_WS_H

#include "base/gw.h"

struct cp_ws; /* one per process */

/* Immutable bytes, counted, shared by all connections they are sent to.  Counting is atomic. */
struct cp_ws_bytes;
struct cp_ws_bytes *cp_ws_bytes_new(struct gw_str head, struct gw_str body); /* both copied; owned: unref */
struct cp_ws_bytes *cp_ws_bytes_ref(struct cp_ws_bytes *b);                  /* returns b */
void cp_ws_bytes_unref(struct cp_ws_bytes **b);                              /* consumed; NULL is fine */
size_t cp_ws_bytes_size(const struct cp_ws_bytes *b);

/* All are called on the server's own thread and must not block; `id` is never used twice. */
struct cp_ws_handlers {
	void *arg;
	/* May this bearer credential connect?  Asked before the upgrade.  false: `why` gets a sentence for the log. */
	bool (*admit)(void *arg, struct gw_str bearer, struct gw_str address, char why[160]);
	void (*opened)(void *arg, uint64_t id, struct gw_str bearer, struct gw_str address);
	void (*text)(void *arg, uint64_t id, struct gw_str message);   /* borrowed */
	void (*binary)(void *arg, uint64_t id, struct gw_str message); /* likewise; NULL: such messages end the connection */
	void (*closed)(void *arg, uint64_t id, const char *why);       /* once for each opened */
	void (*tick)(void *arg, int64_t mono_ms);                      /* every CP_WS_TICK_MS */
};

#define CP_WS_TICK_MS 200

struct cp_ws_options {
	const char *listen;             /* "0.0.0.0:8002", "[::]:8002"; port 0 takes a free one */
	const char *cert, *key;         /* PEM files */
	const char *path, *subprotocol;
	size_t max_text;                /* ceiling for one received message */
	size_t queue_bytes;             /* ceiling for unsent text of one connection */
	size_t max_connections;
	int64_t stall_ms;
	struct cp_ws_handlers on;
};

/* Binds and listens; the thread runs from cp_ws_start().  A taken port is GW_IO with a sentence that names it. */
enum gw_rc cp_ws_open(struct cp_ws **out, const struct cp_ws_options *o, struct gw_error *err) GW_MUST_CHECK;
void cp_ws_start(struct cp_ws *ws);
/* Ends the thread, closes every connection (`closed` is called for each).  Not from a handler.  NULL is fine. */
void cp_ws_close(struct cp_ws **ws);
unsigned cp_ws_port(const struct cp_ws *ws);

/* ---- from any thread; an id that is gone is ignored ---- */

enum cp_ws_kind {
	CP_WS_TEXT,
	CP_WS_LATEST   /* binary; an older one that has not begun to leave is thrown away */
};
void cp_ws_send(struct cp_ws *ws, uint64_t id, enum cp_ws_kind kind, struct cp_ws_bytes *b); /* takes its own count */
void cp_ws_send_text(struct cp_ws *ws, uint64_t id, struct gw_str text);                     /* copied */
/* Close after what is queued has left, or at once when the peer does not read. */
void cp_ws_drop(struct cp_ws *ws, uint64_t id, const char *why);
/* The certificate files were replaced: new connections get the new one. */
void cp_ws_reload_cert(struct cp_ws *ws);

#endif
