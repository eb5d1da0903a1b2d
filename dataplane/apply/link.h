/*
 * link.h - a WebSocket to the control plane that comes back by itself.  libwebsockets ends here.
 *
 * One thread of its own; all handlers run on it.  TLS always, trust by pin (net/pin.h): the bearer credential leaves
 * only after the peer's certificate was verified, since it travels in the upgrade request.  After a break or a refusal
 * it tries again, after 0.2 s at first, then twice as long each time up to 30 s, always with jitter.  That a connection
 * came about proves little: the pauses begin anew only when the handlers say that one is of use.
 */
#ifndef DP_APPLY_LINK_H
#define DP_APPLY_LINK_H

#include "base/gw.h"

struct dp_link;

struct dp_link_options {
	const char *url;                 /* "wss://HOST:8002" */
	struct gw_str bearer;            /* copied */
	uint8_t fingerprint[32];         /* of the authority's certificate */
	const char *path, *subprotocol;
	size_t max_text, max_binary;     /* ceilings of one message */
	void *arg;
	void (*up)(void *arg);
	void (*text)(void *arg, struct gw_str message);     /* borrowed */
	void (*binary)(void *arg, struct gw_str message);
	bool (*down)(void *arg, const char *why);           /* after every up and every failed try; true: try again */
	void (*tick)(void *arg);                            /* every 200 ms, and soon after dp_link_wake() */
};

enum gw_rc dp_link_open(struct dp_link **out, const struct dp_link_options *o, struct gw_error *err) GW_MUST_CHECK;
void dp_link_stop(struct dp_link *l);                       /* joins the thread: no handler is called after it */
/* Stops it first if need be.  Not from a handler; whoever may wake it must have ended. */
void dp_link_close(struct dp_link **l);
void dp_link_wake(struct dp_link *l);                       /* any thread */

/* Handlers only, while up. */
void dp_link_send(struct dp_link *l, struct gw_str text);   /* copied into the queue */
void dp_link_send_binary(struct dp_link *l, struct gw_str bytes);
size_t dp_link_queued(const struct dp_link *l);             /* bytes not handed to the system yet */
void dp_link_drop(struct dp_link *l);                       /* close what stands; it will be tried again */
void dp_link_steady(struct dp_link *l);                     /* this one is of use: the next pause is a short one */

#endif
