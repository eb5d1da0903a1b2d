/*
 * impl.h - the request in flight, as the files of this folder see it.
 *
 *   client.c   a client's connection: bytes to messages, one request after another
 *   head.c     the head: what for
 *   authn.c    who asks
 *   body.c     the body: read, scanned, kept
 *   route.c    which route, and whether this consumer may
 *   models.c   the list of models
 *   spend.c    quotas and budgets: reserved and settled
 *   plan.c     which target next
 *   pin.c      requests that must go where their state lives
 *   attempt.c  one try at one target: connection, request, judgement
 *   attempt_log.c  what became of every try, for the record
 *   relay.c    the provider's answer on its way to the client
 *   answer.c   heads of answers, and answers of our own
 *   step.c     where a request is, and its limits of time
 *   end.c      the ledger row, the metrics; exactly once
 *   admit.c    limits, quotas and budgets, reserved together
 *   tell.c     the same for those who watch: access log, traces, captured prompts
 *   check.c    health checks of endpoints
 *   hooks.c    what plugins may ask of an exchange
 *
 * Texts of the request's head are borrowed from the client's parser, which keeps them until the exchange ends or, of a
 * stream, until the client has its first bytes (dp_x_forget_head).
 */
#ifndef DP_EXCHANGE_IMPL_H
#define DP_EXCHANGE_IMPL_H

#include <stdatomic.h>

#include "exchange/attempt_log.h"
#include "codec/inflate.h"
#include "exchange/shard.h"
#include "http/h1.h"
#include "http/h1_write.h"
#include "http/headers.h"
#include "http/target.h"
#include "llm/dialect.h"
#include "llm/request.h"
#include "llm/tap.h"
#include "match.h"
#include "net/tls_server.h"
#include "net/crash.h"
#include "plugin_host.h"
#include "provider.h"
#include "services/fetch.h"
#include "services/jwks.h"
#include "services/jwt.h"
#include "services/signature.h"
#include "stream.h"
#include "upstream/pins.h"

#define DP_MAX_ATTEMPTS     4
#define DP_MAX_TARGETS      64        /* of a route, its fallbacks apart */
#define DP_ERROR_BODY_MAX   65536     /* of a provider's error answer, for judging and passing on */
#define DP_OUT_MAX          (192u << 20)
#define DP_UNREAD_MS        150       /* while draining: for a request that is in the socket, or nearly */
#define DP_AFTER_HANDSHAKE_MS 1000    /* likewise, for a request that may be a long way off */
#define DP_BACKLOG_MAX      65536     /* pipelined bytes kept while a request is being answered */

struct dp_client;

struct dp_shard {
	unsigned magic;
#define DP_SHARD_MAGIC 0x54a2d001u
	struct dp_loop *loop;
	dp_crash_note *crash;         /* what this loop works on, for a crash report */
	struct dp_shared shared;
	struct gw_snapshot *snapshot;
	uint32_t swaps;                    /* how often it was replaced */
	bool any_open_route;          /* some enabled route asks for no key */
	struct dp_pools *pools;
	struct dp_jwks *jwks;
	struct dp_tls_server *tls;    /* NULL: plain HTTP only */
	uint8_t tls_digest[32];       /* of the settings it was made from */
	struct dp_desk *desk;
	struct dp_metrics *metrics;
	struct dp_access_ring *ring;  /* NULL: nobody keeps an access log */
	struct gw_node clients, probes, checks;
	struct gw_node listings;      /* requests for the list of models that take more than a turn (models.c) */
	struct dp_timer listing_timer;
	struct dp_model_lists *lists; /* those made since the last change; NULL: none */
	size_t n_clients, n_busy;
	atomic_size_t beginning;      /* clients with half a head or half a handshake */
	bool draining;
	struct gw_buf head, out;      /* scratch: filled and written within one callback */
	const struct dp_exchange *out_of;   /* whose bytes stand in `out`; anybody else begins with an empty one */
	uint64_t random[2];
	char date[40];                /* "Mon, 23 Nov 2026 08:18:00 GMT" of date_ms */
	int64_t date_ms;
};

/* X(NAME, text): where an exchange is.  The text stands in log lines. */
#define DP_STEP_TABLE(X)                                                              \
	X(HEAD,    "head")     /* being judged                                     */ \
	X(BODY,    "body")     /* the body is arriving                             */ \
	X(AUTH,    "auth")     /* the keys of a token's issuer are being fetched   */ \
	X(LISTING, "listing")  /* the list of models is being made                 */ \
	X(PLUGINS, "plugins")  /* a plugin waits for something                     */ \
	X(CONNECT, "connect")  /* in the queue, looking up, connecting, handshake  */ \
	X(BACKOFF, "backoff")  /* a pause before the same provider is asked again  */ \
	X(SEND,    "send")     /* the request is being written                     */ \
	X(WAIT,    "wait")     /* no answer head yet                               */ \
	X(RELAY,   "relay")    /* the answer is passing                            */ \
	X(FLUSH,   "flush")    /* all is said, the client has not taken it yet     */ \
	X(DONE,    "done")
enum dp_step {
#define X(name, text) DP_STEP_##name,
	DP_STEP_TABLE(X)
#undef X
};

/* How an attempt failed; decides what comes next. */
struct dp_failure {
	enum { DP_FAIL_CONNECT, DP_FAIL_TIMEOUT, DP_FAIL_BROKEN, DP_FAIL_STATUS } how;
	enum dp_net_fault net;
	unsigned status;              /* STATUS: the provider's */
	struct dp_fault fault;        /* STATUS */
	char text[240];
};

/* What this request has reserved, by the phase in which it did; arrays are arena. */
struct dp_admission {
	enum dp_phase phase;
	bool limited;                      /* the route's own targets are closed to it by a limit */
	struct dp_reservation *held[DP_PHASES];
	uint8_t *of[DP_PHASES];            /* the claim of each take */
	size_t n[DP_PHASES];
	int64_t asked_us;                  /* when the shared counters were */
	void (*then)(struct dp_exchange *x, enum dp_verdict v); /* who waits; NULL: the plugins' run */
};

struct dp_plan {
	uint64_t tried, tried_fallback;    /* targets, as bits */
	bool in_fallback;
	const struct gw_target *target;    /* the one being tried */
	unsigned tries;                    /* on it */
	struct dp_tried places;            /* keys and endpoints of it */
	bool stay;                         /* what it refers to exists at one account only: no other is tried */
	const struct dp_pin *pin;          /* arena; whoever holds the state it refers to; NULL: anybody will do */
	int64_t wait_ms;                   /* before the next attempt */
};

struct dp_attempt {
	struct gw_arena *a;                /* NULL: no attempt */
	const struct gw_target *target;
	const struct gw_provider *provider;
	const struct dp_provider *type;
	struct dp_pool *pool;
	struct dp_place place;
	struct dp_want ask;
	bool asking;
	struct dp_up *up;
	struct gw_str model;               /* asked of the provider */
	struct dp_rewrite rewrite;
	struct dp_body body;
	size_t part, part_at;              /* how far the body has been handed to the connection */
	bool sent, answered, got_byte;     /* all written; head came; any byte came */
	bool stale_retry;                  /* this is the second go after a stale pooled connection */
	const struct gw_timeouts *limits;  /* the provider's for this model */
	int64_t started_ms, sent_ms;
	unsigned status;                   /* of the answer */
	bool good;                         /* it has counted as a success for key and endpoint */
	bool relaying;                     /* else the body is collected in `error` */
	bool error_dropped;                /* its error event was taken back: the client has not seen it */
	bool paused;
	struct gw_buf error;               /* body of an unhappy answer */
	struct dp_inflate *inflate;        /* NULL: the answer came plain */
	struct dp_id_scan *id_scan;        /* looks for the id of an answer that the provider keeps; NULL: no matter */
	struct dp_tap *tap;
	struct dp_stream *chain;
};

/* Who asks, as far as that is not settled by the head alone. */
struct dp_asker {
	struct dp_jwt *token;              /* arena; NULL: none was sent */
	const struct gw_jwt_issuer *issuer;
	struct dp_jwks_wait wait;
	bool waiting;                      /* for the issuer's keys */
	bool continue_after;               /* the client waits for 100 */
	struct dp_signed *sign;            /* arena; NULL: it is not signed */
	struct gw_sha256_run *digest;      /* of the body, as it arrives; NULL: it is not signed */
};

/* What a plugin asks of another service. */
struct dp_asked {
	struct dp_fetch *fetch;            /* NULL: nothing is under way */
	struct dp_call *call;
	dp_told_fn *told;
	struct dp_deferred later;
};

/* Quotas and budgets of the request (spend.c); arena. */
struct dp_spend {
	struct { const struct gw_quota *def; struct dp_quota_hold hold; } *v;
	size_t n;
	int64_t until_ms;                  /* how long to wait for a larger share; monotonic */
	void (*then)(struct dp_exchange *x, enum dp_verdict v);
	struct dp_timer timer;
};

/* What nearly every exchange without plugins needs, in one block each: itself with names and texts; the reader of a JSON body. */
#define DP_REPLY_HEADERS  8
#define DP_EXCHANGE_ARENA (sizeof(struct dp_exchange) + 256)
#define DP_READER_ARENA   1280

struct dp_exchange {
	unsigned magic;
#define DP_EXCHANGE_MAGIC 0xe8c4a46eu
	struct dp_client *client;
	struct dp_shard *shard;
	struct gw_arena *a;
	struct gw_snapshot *snapshot;      /* NULL: none yet */
	const struct gw_dp_settings *settings;

	/* the request */
	const struct dp_head *head;        /* NULL when the head itself was refused */
	struct dp_uri uri;
	char id[72];                       /* x-request-id */
	struct dp_trace trace;
	struct gw_buf said;                /* of the answer, for a route that keeps it */
	bool keeping, said_cut, said_stream;
	const struct dp_operation *op;
	struct gw_str rest;                /* behind the operation's path */
	const struct dp_dialect *dialect;
	struct dp_asker auth;
	const struct gw_consumer_key *key;
	const struct gw_consumer *consumer;
	const struct gw_route *route;
	struct dp_reader *reader;          /* until the body is whole */
	struct gw_arena *reader_arena;     /* the reader's own: a stream need not keep it */
	bool has_body;                     /* it has been read by a reader */
	struct gw_buf body;
	size_t body_counted;               /* of its memory, in the worker's sum */
	struct dp_request req;
	bool whole;                        /* the request has been read to its end */
	bool refused;                      /* by its head: `refusal` is answered when the body has passed */
	struct dp_refusal *refusal;        /* arena; NULL: not refused */
	const char *allow;                 /* methods, with BAD_METHOD; static */
	bool head_only;                    /* HEAD: no body in the answer */
	struct dp_running *plugins;
	struct dp_asked asked;
	struct dp_listing *listing;        /* arena; NULL: it is not, or no longer, waiting for the list of models */
	char client_ip[DP_ADDR_TEXT];

	/* progress */
	enum dp_step step;
	enum dp_step decided;              /* FLUSH, or refused: the step in which the end was decided */
	int64_t step_ms;                   /* when it began, monotonic */
	struct dp_timer timer;
	struct dp_plan plan;
	struct dp_spend spend;
	struct dp_admission admission;
	struct dp_place next_place;        /* while an attempt waits for its admission or for the end of a pause */
	struct dp_attempt at;
	struct dp_attempt_log log;
	unsigned attempts;
	unsigned turns;                    /* counts attempts begun and dropped, so that a caller up the stack notices */
	struct dp_failure *failure;        /* the last one; arena, NULL: none yet */
	struct gw_buf failure_body;        /* what the provider said with it */
	struct gw_str failure_secret;      /* the key that it was asked with; it may have repeated it */
	const struct gw_provider *failure_provider;

	/* the answer */
	unsigned status;                   /* 0: none yet */
	bool head_sent;                    /* the client has an answer head */
	bool committed;                    /* ... and content: no other target any more */
	bool lean;                         /* ... and what only another target would need was given back */
	bool chunked, until_close;         /* how the answer's end is marked */
	bool sse;                          /* the client reads an event stream */
	bool upstream_ended;
	bool close_after;                  /* this connection takes no further request */
	bool client_full;                  /* its queue is above the mark */
	bool sink_failed;                  /* the answer outgrew what is kept: what was sent is not whole events */
	struct gw_pair *reply_headers;     /* from plugins, DP_REPLY_HEADERS at most; arena, NULL: none yet */
	size_t n_reply_headers;
	int64_t content_length;            /* announced; -1: not */
	int64_t sent_body;                 /* bytes of the answer's body handed to the connection */
	uint64_t sent_mark; int64_t sent_mark_ms;  /* progress of the client's reading */
	bool out_of_time;                  /* the route's total is used up */
	int64_t first_attempt_ms;
	int64_t last_out_ms, last_in_ms;   /* last bytes to the client, last bytes of the provider */

	/* for the record */
	const char *error_code;            /* static; NULL: none */
	enum gw_end_reason end_reason;     /* while in FLUSH: how it will have ended */
	bool cut;                          /* the client's connection must break, its answer has no proper end */
	bool denied;                       /* a plugin or a quota refused it */
	const char *refused_by;            /* when no plugin did; static */
	bool ended;
	bool gone;                         /* the client left, its answer is read to the end all the same */
	int64_t gone_ms;
	int64_t wall_ms, t0_us, body_us, attempt_us, first_byte_us, first_token_us;
	int64_t overhead_us, queue_ms, connect_ms;
	int64_t request_bytes;
	struct dp_deferred deferred;
};

struct dp_client {
	unsigned magic;
#define DP_CLIENT_MAGIC 0xc11e4701u
	struct gw_node node;
	struct dp_shard *shard;
	struct dp_conn *conn;
	struct dp_h1 *parser;
	struct dp_exchange *x;             /* NULL: between requests */
	struct gw_buf backlog;
	struct dp_timer timer;             /* head limit, idle limit: `due_ms`, or earlier, to look */
	int64_t due_ms;
	int64_t last_ms;
	bool closing, gone;
	bool beginning;                    /* counted in the shard's figure of that name */
	bool served;                       /* at least one request of it has been answered */
	bool backlog_set;
	struct dp_deferred later, dead;
	int64_t begun_us;                  /* first byte of the request being read; 0: none */
	/* The key that it sent last: whose it is, as of one configuration.  Of the text only a keyed hash is kept. */
	struct { const struct gw_consumer_key *key; uint64_t hash; uint32_t swaps; } known;
};

/* probe.c */
void dp_probes_cut(struct dp_shard *s);                /* end those under way */
/* check.c */
void dp_checks_bind(struct dp_shard *s);               /* as the configuration says; the first loop's alone */
void dp_checks_cut(struct dp_shard *s);
/* client.c */
void dp_client_next(struct dp_client *c);              /* the exchange is over: go on, or close */
void dp_client_close(struct dp_client *c);
void dp_client_drain(struct dp_client *c);             /* no further request: closed now, or when it has been served */
void dp_client_settings(struct dp_client *c);          /* parser limits of the current configuration */

/* head.c */
struct dp_exchange *dp_x_open(struct dp_client *c);
void dp_x_head(struct dp_exchange *x, const struct dp_head *h);
void dp_x_preflight(struct dp_exchange *x);
void dp_x_continue(struct dp_exchange *x);
bool dp_x_refuse_now(const struct dp_exchange *x);
void dp_x_note_refusal(struct dp_exchange *x, const struct dp_refusal *why);   /* copied; x->refused from here on */
void dp_x_forget_head(struct dp_exchange *x);          /* a stream keeps of it what the record will tell */
struct gw_str dp_x_client_ip(struct dp_exchange *x);   /* seen through trusted proxies; computed once */
struct gw_str dp_x_describe(struct dp_exchange *x, const struct gw_strv *headers, bool with_body, size_t max_bytes); /* plugin.h */
struct gw_str dp_x_cors_origin(const struct dp_exchange *x); /* the Origin, if this configuration answers it; else absent */
/* authn.c */
bool dp_x_authenticate(struct dp_exchange *x, struct dp_refusal *why); /* true: known, anonymous, or auth.waiting */
bool dp_x_authn_whole(struct dp_exchange *x);          /* the body is here; false: refused (answered), or waiting */
void dp_x_refuse_anonymous(struct dp_exchange *x);     /* the route wants somebody to be known */
/* body.c */
void dp_x_known(struct dp_exchange *x);                /* whole, and who asks is settled: go on */
void dp_x_body(struct dp_exchange *x, struct gw_str slice);
void dp_x_expect_body(struct dp_exchange *x, size_t bytes); /* its length was announced */
void dp_x_count_body(struct dp_exchange *x);           /* after its buffer changed */
void dp_x_drop_body(struct dp_exchange *x);            /* nobody needs it any more */
void dp_x_whole(struct dp_exchange *x);
void dp_x_plugins_done(struct dp_exchange *x, enum dp_hook hook, enum dp_verdict v);
/* route.c */
bool dp_x_route(struct dp_exchange *x);                /* false: answered */
/* models.c */
void dp_x_models(struct dp_exchange *x);               /* the list, or one model of it */
void dp_x_models_stop(struct dp_exchange *x);          /* fine when it waits for no list */
struct gw_str dp_x_other_models(struct dp_exchange *x); /* "; your key may use: a, b", to end a refusal; arena */
void dp_models_open(struct dp_shard *s);
void dp_models_forget(struct dp_shard *s);             /* another configuration, or the end */
/* pin.c: state that lives at the provider */
bool dp_op_is_stateful(const struct dp_operation *op);
bool dp_x_pin(struct dp_exchange *x);                  /* before the plan; false: answered */
void dp_x_note_begin(struct dp_exchange *x);           /* a good answer begins */
void dp_x_note_state(struct dp_exchange *x, struct gw_str bytes);  /* of the answer's beginning, as they pass */
/* May this request's consumer be served by this target? */
bool dp_x_may_use(const struct dp_exchange *x, const struct gw_target *t, bool is_fallback);
/* spend.c */
/* Reserve: NEXT, ANSWERED (refused and answered), or WAIT: `then` gets one of these later. */
enum dp_verdict dp_x_spend(struct dp_exchange *x, void (*then)(struct dp_exchange *x, enum dp_verdict v));
void dp_x_spent(struct dp_exchange *x, const struct gw_usage_record *r); /* settle; once, at the end */
/* plan.c */
bool dp_plan_first(struct dp_exchange *x, struct dp_place *place);
bool dp_plan_speaks(const struct dp_exchange *x);      /* some target of the route knows the API that was called */
bool dp_plan_has_fallback(const struct dp_exchange *x); /* a fallback target that could serve this request */
bool dp_plan_next(struct dp_exchange *x, const struct dp_failure *f, struct dp_place *place);
/* attempt.c */
void dp_attempt_first(struct dp_exchange *x);
void dp_attempt_send(struct dp_exchange *x);
void dp_attempt_go_on(struct dp_exchange *x);           /* the pause of BACKOFF is over */
void dp_attempt_failed(struct dp_exchange *x, const struct dp_failure *f);
void dp_attempt_fail(struct dp_exchange *x, int how, enum dp_net_fault net, const char *text);
void dp_attempt_drop(struct dp_exchange *x, bool clean); /* gives the connection back and forgets the attempt */
void dp_attempt_hang_up(struct dp_exchange *x);         /* no connection any more; what is known of the attempt stays */
/* relay.c */
extern const struct dp_conn_ops dp_up_ops;
void dp_relay_ping(struct dp_exchange *x);
void dp_relay_resume(struct dp_exchange *x);
void dp_relay_break(struct dp_exchange *x, enum dp_code code, const char *text); /* after the answer began */
/* answer.c */
void dp_answer_error(struct dp_exchange *x, enum dp_code code, const char *fmt, ...) GW_PRINTF(3, 4);
void dp_answer_refusal(struct dp_exchange *x, const struct dp_refusal *r);
void dp_answer_failure(struct dp_exchange *x);         /* the last attempt's, in the client's words */
void dp_answer_json(struct dp_exchange *x, unsigned status, struct gw_str body);
void dp_answer_full(struct dp_exchange *x, unsigned status, const char *type, struct gw_str body, int64_t retry_after_ms,
                    const char *allow);
/* Head into shard->head; length -1: chunked, or until close for HTTP/1.0; up: the provider's answer or NULL. */
void dp_answer_head(struct dp_exchange *x, unsigned status, struct gw_str type, int64_t length, const struct dp_head *up,
                    int64_t retry_after_ms, const char *allow);
/* step.c */
const char *dp_step_name(enum dp_step s);
void dp_x_step(struct dp_exchange *x, enum dp_step s);
void dp_x_timer_init(struct dp_exchange *x);
void dp_x_arm(struct dp_exchange *x);
/* end.c */
void dp_x_end(struct dp_exchange *x, enum gw_end_reason why);  /* x is gone at the end of this turn */
void dp_x_gone(struct dp_exchange *x);                 /* the client left */
void dp_x_finish(struct dp_exchange *x, enum gw_end_reason why); /* all is written: wait until the client has it, end */
/* admit.c */
enum dp_verdict dp_x_admit(struct dp_exchange *x);     /* ANSWERED: refused and answered; WAIT: goes on by itself */
/* The plan has moved to the fallback chain and this request has claims that were not looked at for it. */
bool dp_x_admission_due(const struct dp_exchange *x);
/* The same as dp_x_admit() for the fallback targets; after a WAIT `then` gets the verdict. */
enum dp_verdict dp_x_admit_fallback(struct dp_exchange *x, void (*then)(struct dp_exchange *x, enum dp_verdict v));
void dp_x_settle(struct dp_exchange *x);               /* at the end: gives back what was not used */
/* tell.c */
void dp_x_keep(struct dp_exchange *x);                 /* an answer begins: is it to be kept? */
void dp_x_said(struct dp_exchange *x, struct gw_str bytes);
void dp_x_trace(struct dp_exchange *x);                /* once the head is there */
void dp_x_tell(struct dp_exchange *x, const struct gw_usage_record *r, int64_t now_us);
/* hooks.c */
extern const struct dp_host dp_exchange_host;

/* All is said: an answer that something was still waiting for changes nothing any more. */
static inline bool dp_x_over(const struct dp_exchange *x)
{
	return x->ended || x->step >= DP_STEP_FLUSH;
}

static inline int64_t dp_x_now(const struct dp_exchange *x) { return dp_loop_now(x->shard->loop); }
uint64_t dp_shard_random(struct dp_shard *s);

#endif
