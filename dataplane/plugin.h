/*
 * plugin.h - one policy in one file.
 *
 * A plugin is a constant.  It owns no thread, no socket and no global; whatever outlives a request lives behind a
 * service of the host (the counters) that survives a snapshot swap.  To add one, write plugins/<name>.c defining
 * `const struct dp_plugin dp_plugin_<name>` and build: CMake collects it, the catalogue, the console's form and the
 * manual page follow from `fields`.
 *
 * Order is decided here by rank, not by whoever edits the configuration: requests meet plugins top to bottom, replies
 * bottom to top.
 */
#ifndef DP_PLUGIN_H
#define DP_PLUGIN_H

#include "base/str.h"
#include "claim.h"
#include "field.h"
#include "snapshot.h"

#define DP_PLUGIN_ABI 1

#define DP_RANK_TABLE(X)                                               \
	X(AUTHN,   "who is asking: api key, jwt, hmac")                \
	X(AUTHZ,   "may they: route, model, consumer allow-lists")     \
	X(LIMIT,   "how fast: requests and tokens per window")         \
	X(QUOTA,   "how much: budget left")                            \
	X(MASK,    "personal data replaced by tokens, restored after") \
	X(GUARD,   "content safety, before and after the model")       \
	X(PROMPT,  "templates, decorators, role mapping")              \
	X(AUGMENT, "web search, retrieval")                            \
	X(CACHE,   "exact and semantic cache")                         \
	X(ROUTE,   "which targets, in which order, when to fall back")
enum dp_rank {
#define X(name, text) DP_RANK_##name,
	DP_RANK_TABLE(X)
#undef X
	DP_RANK_COUNT
};
const char *dp_rank_name(enum dp_rank r);   /* "AUTHZ" */

enum dp_verdict {
	DP_NEXT,      /* nothing to object */
	DP_ANSWERED,  /* a local reply was queued with dp_deny(); skip to the reply side */
	DP_WAIT,      /* dp_resume(c, verdict) will be called later, exactly once */
	DP_BROKEN,    /* the plugin itself failed; the binding's fail_open decides */
};

/* When hooks run; X(name, when). */
#define DP_HOOK_TABLE(X)                                                               \
	X(HEAD,    "head read, route and consumer known, body not yet")               \
	X(BODY,    "body whole, model and estimate known")                            \
	X(REPLY,   "head of the provider's final answer known")
enum dp_hook {
#define X(name, when) DP_HOOK_##name,
	DP_HOOK_TABLE(X)
#undef X
	DP_HOOK_COUNT
};

struct dp_exchange;   /* the request in flight; opaque to plugins and to the host's pure half */

/* How the request ended; complete when on_end runs. */
struct dp_outcome {
	unsigned status;             /* sent to the client; 0: it left before */
	int64_t prompt, completion;  /* tokens, by the provider or estimated */
	int64_t tokens;              /* both */
	bool estimated;
};

/* Borrowed for the call, or until dp_resume() if the hook said DP_WAIT. */
struct dp_call {
	struct dp_exchange *x;
	const void *conf;            /* read-only, shared by threads, arena of the snapshot x holds */
	void *state;                 /* state_size zeroed bytes, arena of x, private to this plugin */
	struct dp_running *running;  /* the host's own */
};

typedef enum dp_verdict (*dp_hook_fn)(struct dp_call *c);

struct dp_plugin {
	unsigned abi;
	const char *name;            /* kebab-case, stable for ever */
	const char *label, *label_zh;
	enum dp_rank rank;
	const char *doc, *doc_zh;
	/*
	 * Where it is switched on in several places: true, each of them holds, and it runs once for each; false, the most
	 * specific one holds alone.
	 */
	bool adds_up;
	const struct gw_field *fields;
	size_t conf_size, state_size;

	/* Rules that span fields.  Pure; also runs when a worker tries a snapshot on.  NULL: none. */
	enum gw_rc (*check)(const void *conf, struct gw_error *err);
	/* Any hook may be NULL.  A plugin one of whose hooks ran is owed one on_end, whatever happens. */
	dp_hook_fn on[DP_HOOK_COUNT];
	/*
	 * The request's claims were decided; `v` are the counters of this plugin's own n claims, in the order of claiming.
	 * refused: the first of them that was refused, and dp_deny() should say so in the plugin's words (else the host
	 * does); NULL: none of this plugin was.  Twice for a request that moves on to its fallback targets: `v` is then
	 * filled for the claims that concern those, and zero for the rest.  May be NULL.
	 */
	void (*on_admission)(struct dp_call *c, const struct dp_claim_state *v, size_t n, const struct dp_claim_state *refused);
	void (*on_end)(struct dp_call *c, const struct dp_outcome *o);
};

/* ---- what the host offers; a plugin includes nothing else ---- */

/*
 * Queue a complete local reply in the client's own dialect.  `type` and `code` go into the error object; texts are
 * copied.  retry_after_ms > 0 gives Retry-After, rounded up to whole seconds.  Return DP_ANSWERED afterwards.
 */
void dp_deny(struct dp_call *c, unsigned status, const char *type, const char *code, int64_t retry_after_ms,
             const char *fmt, ...) GW_PRINTF(6, 7);
/* A header for the client's answer, local or not; a later one of the same name replaces it.  Copied. */
void dp_reply_header(struct dp_call *c, const char *name, struct gw_str value);
/* End of a DP_WAIT, on the exchange's own loop. */
void dp_resume(struct dp_call *c, enum dp_verdict v);

/*
 * Claims, see claim.h: only in BODY hooks of the ranks LIMIT and QUOTA, at most DP_CLAIMS_MAX a request.  The host
 * reserves those of all plugins together before the first plugin of a later rank runs.  Everything is copied.  Returns
 * the claim's number within this plugin.
 */
unsigned dp_claim(struct dp_call *c, const struct dp_claim *claim);
/*
 * In on_end: what claim number i really used.  One that nobody settles keeps what was reserved, but OPEN claims, which
 * always give everything back.  For a request that was not admitted it does nothing.
 */
void dp_settle(struct dp_call *c, unsigned i, int64_t actual);

/*
 * Members of a JSON body by their path, names joined by dots ("reasoning.effort"); escapes in names are undone.  Only in
 * BODY hooks.  raw is the value as it stands, borrowed until the next change; {NULL,0}: it is not there, or the body is
 * no JSON.
 */
struct gw_str dp_body_member(const struct dp_call *c, const char *path);
/*
 * Change members of the body: `json` replaces the value or is put in, {NULL,0} takes the member out.  Everybody after this
 * plugin, limits included, sees the changed request.  false: it cannot be done (no room, a member on the way is no
 * object, or the result is no request any more); the body may then be half changed, so refuse the request.
 */
struct dp_body_change { const char *path; struct gw_str json; };
bool dp_body_change(struct dp_call *c, const struct dp_body_change *v, size_t n) GW_MUST_CHECK;

/*
 * All borrowed from the exchange.  What the client's head said (header, query, cookie, target) is kept until the answer
 * passes to the client: on_end, which comes after that, may find it absent.
 */
struct gw_str dp_operation_name(const struct dp_call *c);  /* "chat", "responses", "embedding" */
struct gw_str dp_consumer(const struct dp_call *c);        /* {NULL,0} if anonymous */
struct gw_str dp_route(const struct dp_call *c);
struct gw_str dp_model(const struct dp_call *c);           /* the client's; {NULL,0} before BODY */
struct gw_str dp_client_ip(const struct dp_call *c);       /* "203.0.113.9", "2001:db8::1"; trusted proxies seen through */
struct gw_str dp_api_key(const struct dp_call *c);         /* its id, never its text; {NULL,0} if anonymous */
struct gw_strv dp_groups(const struct dp_call *c);         /* of the consumer; may be empty */
struct gw_str dp_header(const struct dp_call *c, const char *name);   /* the client's; {NULL,0} if absent */
struct gw_str dp_query(const struct dp_call *c, const char *name);    /* decoded */
struct gw_str dp_cookie(const struct dp_call *c, const char *name);
int64_t dp_prompt_tokens(const struct dp_call *c);         /* estimated; 0 before BODY */
/* What all answers asked for may have: max_tokens, or `each` where the client did not say; 0 where no text is made. */
int64_t dp_answer_tokens(const struct dp_call *c, int64_t each);
/*
 * Ask another HTTP service, and return DP_WAIT from the hook: a GET, or a POST of `json`, over the worker's own dialer,
 * which judges addresses and follows no redirect.  Everything is copied but ca_pem, which must be of the settings.  One
 * question at a time; it is called off when the request ends.  Headers that cannot be sent as they are make it fail.
 */
struct dp_question {
	struct gw_str url, ca_pem, json;
	const struct gw_pair *headers; size_t n_headers;
	int64_t timeout_ms;
};
/*
 * status 0: there was no answer, and `text` says why.  The plugin goes on with dp_resume(), or asks once more; until then
 * the answer's headers can be asked for.
 */
struct dp_told { unsigned status; const char *text; struct gw_str body; };
typedef void dp_told_fn(struct dp_call *c, const struct dp_told *t);
void dp_ask(struct dp_call *c, const struct dp_question *q, dp_told_fn *told);
struct gw_str dp_told_header(const struct dp_call *c, const char *name);
/*
 * Members of an answer by their path, names joined by dots: as they stand, or the text of a string, decoded, in the
 * request's arena.  {NULL,0}: not there, no string, or the answer is no JSON object.
 */
bool dp_told_is_object(const struct dp_told *t);
struct gw_str dp_told_member(const struct dp_told *t, const char *path);
struct gw_str dp_told_text(struct dp_call *c, const struct dp_told *t, const char *path);
/*
 * Who asks for what, as a JSON object in the request's arena: request_id, method, path, client_ip, consumer, key_id,
 * groups, route, model, operation, stream, prompt_tokens, those of the client's headers that are named (in lower case; never
 * one that speaks in our words), and the body when it is wanted and JSON.  What is not there is null.  {NULL,0}: it would be
 * longer than max_bytes.  Only in BODY hooks.
 */
struct gw_str dp_describe(struct dp_call *c, const struct gw_strv *headers, bool with_body, size_t max_bytes);

struct gw_str dp_request_id(const struct dp_call *c);
struct gw_str dp_method(const struct dp_call *c);          /* "POST" */
struct gw_str dp_target(const struct dp_call *c);          /* "/v1/chat/completions?…", as the client sent it */
/* Where this plugin's settings stand, and the name of that object ({NULL,0} for GLOBAL). */
enum gw_scope dp_scope(const struct dp_call *c);
struct gw_str dp_owner(const struct dp_call *c);
bool dp_falls_back_when_limited(const struct dp_call *c);  /* the route's fallback acts on rate_limited */
/*
 * The key of a counter: `head` followed by `value`, or by a digest of the value when it is long, equal in all workers.
 * Arena of the request.
 */
struct gw_str dp_digest_key(struct dp_call *c, struct gw_str head, struct gw_str value);

#endif
