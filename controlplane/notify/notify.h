/*
 * notify.h - one message to one place where people look: a webhook, a chat, a mailbox.
 *
 * Each kind is spoken to as its vendor documents it, signed where a secret is given: DingTalk and Feishu with their
 * timestamp and HMAC-SHA-256, our own webhook with X-Tidegate-Signature.  A chat that answers 200 and an error code in
 * its body has refused.  Sending blocks up to its limit of time and belongs on a thread of its own.
 *
 * What is dialled is judged by its resolved address: metadata and link-local addresses never, loopback and private ones
 * only where the channel allows them.  Redirects are not followed, and no proxy of the environment is used.
 */
#ifndef CP_NOTIFY_NOTIFY_H
#define CP_NOTIFY_NOTIFY_H

#include "base/arena.h"
#include "base/gw.h"
#include "field.h"

#define CP_CHANNEL_TYPE_TABLE(X) \
	X(WEBHOOK, "webhook") X(DINGTALK, "dingtalk") X(FEISHU, "feishu") X(WECOM, "wecom") X(SLACK, "slack") X(EMAIL, "email")
enum cp_channel_type {
#define X(name, text) CP_CHANNEL_##name,
	CP_CHANNEL_TYPE_TABLE(X)
#undef X
	CP_CHANNEL_TYPES
};
const char *cp_channel_type_name(enum cp_channel_type t);
bool cp_channel_type_parse(struct gw_str text, enum cp_channel_type *out);

/* Texts borrowed; absent where the kind has no use for them. */
struct cp_channel {
	enum cp_channel_type type;
	struct gw_str url;             /* all but email */
	struct gw_str secret;          /* signs; absent: unsigned */
	bool chinese, allow_private;
	struct gw_str ca_pem;          /* further authorities to trust */
	struct gw_str smtp_host, username, password, from;
	int64_t smtp_port;
	enum { CP_SMTP_STARTTLS, CP_SMTP_TLS, CP_SMTP_PLAIN } smtp_security;
	struct gw_strv to;
};

struct cp_notice {
	struct gw_str rule, object, severity, description;
	const char *state;             /* "firing" "resolved" "test" */
	struct gw_str text;            /* what was measured, one sentence */
	double value;
	int64_t started_at_ms, ended_at_ms; /* 0: not yet */
	struct gw_str id;              /* of the event, so that a receiver can tell repetitions */
};

void cp_notify_setup(void);            /* once, before the first thread */
/* GW_INVALID: refused by the receiver, GW_DENIED: by the guard, GW_IO: not reached.  err->text holds no secret. */
enum gw_rc cp_notify(const struct cp_channel *c, const struct cp_notice *n, int64_t now_ms, int64_t limit_ms, struct gw_error *err)
	GW_MUST_CHECK;

/* ---- this folder's own ---- */

struct cp_post {
	const char *url;
	struct gw_str body;
	const char *header[4];         /* "Name: value"; NULL past the end */
	bool allow_private;
	struct gw_str ca_pem;
	int64_t limit_ms;
};
/* POST of JSON.  *status is the answer's, `answer` its first 64 KiB. */
enum gw_rc cp_http_post(const struct cp_post *p, long *status, struct gw_buf *answer, struct gw_error *err) GW_MUST_CHECK;
enum gw_rc cp_smtp_send(const struct cp_channel *c, struct gw_str message, int64_t limit_ms, struct gw_error *err) GW_MUST_CHECK;

#endif
