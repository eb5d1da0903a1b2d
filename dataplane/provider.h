/*
 * provider.h - what is peculiar about one vendor, and nothing else.
 *
 * A provider type is a row: names, default address, how a request is authenticated, which dialects it speaks, what it
 * does about usage in streams, which models have rules of their own, and how its errors are to be read.  Sockets,
 * pools, retries and clocks are not its business.  Everything here is pure, so golden files test it.
 *
 * Adding an OpenAI-compatible vendor is a row in providers/openai_family.c.  A vendor with habits of its own gets
 * providers/<name>.c, which defines `const struct dp_provider dp_provider_<name>[]`, ended by a row whose type is
 * NULL; CMake collects the files, the catalogue and the console's forms follow.
 */
#ifndef DP_PROVIDER_H
#define DP_PROVIDER_H

#include "field.h"
#include "llm/dialect.h"
#include "llm/request.h"
#include "snapshot.h"

#define DP_PROVIDER_ABI 1

enum dp_auth {
	DP_AUTH_BEARER,      /* Authorization: Bearer <key> */
	DP_AUTH_X_API_KEY,   /* x-api-key: <key> */
};

/* Does a stream carry usage, and may we ask for it? */
enum dp_usage_policy {
	DP_USAGE_ASK,        /* only with stream_options.include_usage */
	DP_USAGE_ALWAYS,     /* it comes unasked */
	DP_USAGE_NEVER_ASK,  /* unknown members are refused; what comes, comes */
};

/* What an unhappy answer means to us; drives retry, key cool-down and the client's status. */
#define DP_FAULT_TABLE(X)                                                                                \
	X(NONE,     "none",     "a good answer")                                                         \
	X(CLIENT,   "client",   "the request is wrong; no other target would take it")                   \
	X(AUTH,     "auth",     "the provider refuses our key")                                          \
	X(NO_MONEY, "no_money", "the account behind the key is out of credit")                           \
	X(NO_MODEL, "no_model", "the provider does not have this model, or not for this key")            \
	X(RATE,     "rate",     "too fast for this key")                                                 \
	X(OVERLOAD, "overload", "the provider has no capacity now")                                      \
	X(CONTEXT,  "context",  "the prompt is too long for this model")                                 \
	X(SERVER,   "server",   "the provider broke")
enum dp_fault_kind {
#define X(name, text, doc) DP_FAULT_##name,
	DP_FAULT_TABLE(X)
#undef X
	DP_FAULT_COUNT
};
const char *dp_fault_name(enum dp_fault_kind k);

struct dp_fault {
	enum dp_fault_kind kind;
	bool next_key;           /* another key of the same provider may do */
	bool next_target;        /* another target may do */
	bool key_is_bad;         /* this key is dead until someone mends it: auth and no_money */
	bool usage_refused;      /* it did not know stream_options: repeat without asking for usage */
	int64_t retry_after_ms;  /* -1: not said; capped at DP_RETRY_AFTER_MAX_MS */
	char text[240];          /* the provider's own sentence, the key blotted out; safe for logs and clients */
};
#define DP_RETRY_AFTER_MAX_MS 300000

/* One row of a vendor's error table; the first row that fits wins, general rules of the status come after. */
struct dp_fault_rule {
	unsigned status;         /* 0: any, an error inside a 200 included */
	const char *needle;      /* stands somewhere in the body, any case; NULL: no matter */
	enum dp_fault_kind kind; /* NONE ends the table */
};

/* Values of the options below; AUTO leaves it to the row. */
enum dp_strip { DP_STRIP_AUTO, DP_STRIP_ALWAYS, DP_STRIP_NEVER };
enum dp_ask_usage { DP_ASK_AUTO, DP_ASK_YES, DP_ASK_NO };

/* The options that OpenAI-compatible types share.  A type's conf begins with them, or it has none (conf_size 0). */
struct dp_provider_options {
	int64_t strip_reasoning;             /* enum dp_strip */
	int64_t ask_usage;                   /* enum dp_ask_usage */
	struct gw_strv stream_only;          /* globs, besides the row's own */
};

struct dp_provider {
	unsigned abi;
	const char *type;                    /* "deepseek": stored in databases, never renamed */
	const char *label, *label_zh;
	const char *doc, *doc_zh;
	const char *base_url;                /* default; NULL: must be given */
	const char *docs_url;                /* NULL: none */
	bool api_key_required;
	enum dp_auth auth;
	enum dp_usage_policy usage;
	bool reasoning_apart;                /* completion_tokens excludes reasoning_tokens (xAI) */
	const struct dp_dialect *const *dialects;    /* NULL-terminated */
	const struct gw_pair *headers;       /* fixed ones on every request, e.g. anthropic-version; name absent ends */
	const char *const *models;           /* suggestions for the console; NULL-terminated or NULL */
	const char *const *stream_only;      /* globs of models that refuse "stream":false; NULL: none */
	const char *const *strip_reasoning;  /* globs of models that refuse reasoning_content in the history */
	const struct dp_fault_rule *faults;
	const struct gw_field *fields;       /* options; every type has at least an empty table */
	size_t conf_size;                    /* 0, or at least sizeof(struct dp_provider_options) */
	enum gw_rc (*check)(const void *conf, struct gw_error *err);
	/* Headers that options ask for (OpenAI-Organization…), appended to `out`.  NULL: none. */
	void (*option_headers)(const void *conf, struct gw_pair *out, size_t cap, size_t *n);
};

/* ---- the registry ---- */

const struct dp_provider *dp_provider_at(size_t i);                  /* NULL past the end */
const struct dp_provider *dp_provider_find(struct gw_str type);      /* NULL: unknown */

/* ---- what upstream/ and exchange/ ask ---- */

bool dp_provider_speaks(const struct dp_provider *p, const struct dp_dialect *d);

/* What to change in this request for this provider and model (already mapped).  `usage_refused` as remembered. */
struct dp_rewrite dp_provider_plan(const struct dp_provider *p, const void *conf, const struct dp_request *q,
                                   struct gw_str model, bool usage_refused);
/* Must the answer be collected into one JSON (stream-only model, "stream":false)? */
bool dp_provider_stream_only(const struct dp_provider *p, const void *conf, struct gw_str model);

#define DP_PROVIDER_MAX_HEADERS 12
/*
 * Authentication and fixed headers, built afresh for every attempt.  `line` (arena) is made from `key`, a secret: never
 * logged.  An absent key gives no authentication header.  Names given by the client already (anthropic-version) are
 * left to the client where the row says so.
 */
size_t dp_provider_headers(const struct dp_provider *p, const void *conf, struct gw_str key,
                           const struct gw_pair *client, size_t n_client, struct gw_arena *a,
                           struct gw_pair out[DP_PROVIDER_MAX_HEADERS]);

/* A provider's answer, as far as judging it needs: headers for Retry-After, and the beginning of an error body. */
struct dp_reply {
	unsigned status;
	const struct gw_pair *headers;
	size_t n_headers;
	struct gw_str body;                  /* up to 16 KiB of it; an error event's data for errors inside a stream */
};
/* Never fails.  `now_ms` (Unix) is for dates in Retry-After; `secret` is blotted out of the text. */
struct dp_fault dp_provider_judge(const struct dp_provider *p, const struct dp_reply *r, struct gw_str secret,
                                  int64_t now_ms);
/*
 * How long to wait: retry-after-ms, Retry-After in seconds, fractions or as an HTTP date, RetryInfo in the body, "try
 * again in 1m2.5s", or for a 429 the reset of the limit that was met (x-ratelimit-*, anthropic-ratelimit-*).  -1: not
 * said.
 */
int64_t dp_retry_after_ms(const struct dp_reply *r, int64_t now_ms);

#endif
