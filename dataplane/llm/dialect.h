/*
 * dialect.h - what a client may ask, in whose words, and how refusals are said in those words.
 *
 * An operation is one row: method, path, where its model stands, whether it can stream.  A dialect is the wire format
 * that a group of operations shares: the shape of errors, what keeps a silent stream alive, how usage is spelled, what
 * ends a stream.  A provider lists the dialects that it speaks; when client and provider speak the same one, bytes pass
 * through unchanged and a tap (tap.h) reads along.
 */
#ifndef DP_LLM_DIALECT_H
#define DP_LLM_DIALECT_H

#include "base/buf.h"
#include "base/gw.h"
#include "codec/json_at.h"
#include "codec/sse.h"
#include "http/code.h"
#include "usage.h"

struct dp_tap;
struct dp_model_row { struct gw_str id, owned_by; };

struct dp_dialect {
	const char *name;            /* "openai-chat": stored in catalogues, never renamed */
	bool done_marker;            /* streams end with `data: [DONE]` */
	bool cached_apart;           /* prompt counts exclude cached tokens (Anthropic): add them up */
	const char *ping;            /* what keeps a silent stream alive, between events only */
	const char *id_header;       /* names the request in answers, beside x-request-id; NULL: nothing more */
	/* The error object as a whole body, {"error":{…}} or {"type":"error",…}; `code` NULL: null. */
	void (*write_error)(struct gw_buf *out, unsigned status, const char *type, const char *code,
	                    struct gw_str message);
	/* The same as one event of a stream, blank line included. */
	void (*write_error_event)(struct gw_buf *out, unsigned status, const char *type, const char *code,
	                          struct gw_str message);
	/* The list of models, and one of them.  `created` is in Unix seconds. */
	void (*write_models)(struct gw_buf *out, const struct dp_model_row *rows, size_t n, int64_t created);
	void (*write_model)(struct gw_buf *out, const struct dp_model_row *row, int64_t created);
	/* Look at one event of an answer's stream and note what it says in the tap. */
	void (*read_event)(struct dp_tap *t, struct gw_str event, struct dp_json data);
};

extern const struct dp_dialect dp_openai_chat;         /* chat, completions, embeddings and OpenAI's other endpoints */
extern const struct dp_dialect dp_openai_responses;    /* POST /v1/responses */
extern const struct dp_dialect dp_anthropic_messages;  /* POST /v1/messages */

enum dp_op_kind {
	DP_OP_CHAT,         /* messages in, choices out; may be collected and spread */
	DP_OP_GENERATE,     /* other text that streams: completions, responses, messages */
	DP_OP_PLAIN,        /* JSON in, JSON or bytes out: embeddings, rerank, moderations, speech, pictures */
	DP_OP_MODELS,       /* answered by the gateway itself: GET /v1/models and /v1/models/{id} */
};

enum dp_model_in { DP_MODEL_NONE, DP_MODEL_JSON, DP_MODEL_MULTIPART };

struct dp_operation {
	const char *name;            /* "chat": goes into usage records and metrics */
	const char *method;
	const char *path;            /* behind "/v1": "/chat/completions"; also what is put behind a provider's base URL */
	enum dp_op_kind kind;
	enum dp_model_in model_in;
	bool streams;                /* knows "stream":true */
	bool stream_options;         /* ... and stream_options.include_usage */
	const struct dp_dialect *dialect;    /* NULL: several have this path; see dp_dialect_guess() */
	bool unbilled;               /* vendors take nothing for it: no tokens are reserved, counted or paid */
};

/*
 * Which operation?  `path` is decoded; a route's prefix may stand before "/v1" ("/team-a/v1/models").  NULL: *why says
 * NO_PATH or BAD_METHOD; then *allow (static) lists the methods.  *rest is what follows the operation's path
 * ("/gpt-4" of /v1/models/gpt-4), else absent.
 */
const struct dp_operation *dp_operation_find(struct gw_str method, struct gw_str path, struct gw_str *rest,
                                             struct dp_refusal *why, const char **allow);
const struct dp_operation *dp_operation_at(size_t i);                 /* NULL past the end */
/*
 * The dialect of a path that several share (/v1/models) or that is unknown: Anthropic's if the client names a version of
 * its API, as the vendor demands and its SDKs do, or the path looks like it; OpenAI's by default.
 */
const struct dp_dialect *dp_dialect_guess(struct gw_str path, bool anthropic_version);

/* ---- errors, in the client's words ---- */

/* Any refusal as a whole JSON body: for plugins, which choose their own words.  `type`, `code` NULL: by the status. */
void dp_error_write(struct gw_buf *out, const struct dp_dialect *d, unsigned status, const char *type,
                    const char *code, struct gw_str message);
/* A refusal of the gateway as a whole JSON body. */
void dp_error_body(struct gw_buf *out, const struct dp_dialect *d, enum dp_code code, struct gw_str message);
/* The same as one in-stream event, blank line included: how a broken stream must end. */
void dp_error_event(struct gw_buf *out, const struct dp_dialect *d, enum dp_code code, struct gw_str message);
/*
 * A provider's error body for the client: passed on as it is when it already has the dialect's shape, else its message
 * is dug out (FastAPI `detail`, vLLM's flat form, plain strings, {"code","msg"}…) and put into the dialect's words.
 * Occurrences of `secret` are blotted out.  HTML and other pages are never passed on: the status is named instead.
 */
void dp_error_convert(struct gw_buf *out, const struct dp_dialect *d, unsigned status, struct gw_str body,
                      struct gw_str secret);
/* Just the sentence that an error body holds, decoded, at most 300 bytes; nothing when there is none. */
void dp_error_message(struct gw_buf *out, struct gw_str body);
/* Append `text` with every occurrence of `secret` as "***", also where a vendor has masked only its middle. */
void dp_add_blotted(struct gw_buf *out, struct gw_str text, struct gw_str secret);

/* ---- usage, whatever the vendor calls it ---- */

struct dp_raw_usage {
	int64_t prompt, cached, cache_write, completion, reasoning, total;   /* -1: never seen */
	int64_t cache_write_1h, audio_prompt, audio_completion;
};
#define DP_RAW_USAGE_NONE ((struct dp_raw_usage){ -1, -1, -1, -1, -1, -1, -1, -1, -1 })
/*
 * Fold a usage object in: a field that is present replaces the earlier value, others stay.  Knows the prompt_tokens
 * and input_tokens spellings, DeepSeek's cache hits, Moonshot's flat cached_tokens, Anthropic's cache_* members.
 * Values are clamped to [0, 2^40].  false: nothing recognised.
 */
bool dp_usage_fold(struct dp_raw_usage *u, struct dp_json usage);
/*
 * In OpenAI's sense: prompt includes cached and cache writes, completion includes reasoning.  `cached_apart` as in the
 * dialect; `reasoning_apart` for vendors whose completion excludes it (also found out when the total says so).
 */
struct gw_tokens dp_usage_settle(const struct dp_raw_usage *u, bool cached_apart, bool reasoning_apart);

#endif
