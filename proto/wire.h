/*
 * wire.h - what control plane and workers say to each other over the WebSocket on :8002.
 *
 * TLS always; the worker checks that the chain ends in the CA whose SHA-256 stands in its join token, then sends the
 * token as `Authorization: Bearer tgj_<id>.<secret>` with the upgrade; subprotocol "tidegate.v1", no Origin (such an
 * upgrade is refused: browsers are not workers).  Every text message is
 * one JSON object with "type"; the binary messages are snapshot, delta and rows: a JSON header line, '\n', then the bytes.
 *
 *  worker → control                                          control → worker
 *   hello  {protocol,name,node_id,boot_id,version,formats,    welcome {node_id,epoch,heartbeat_ms,snapshot_key,
 *           catalog_digest,listen,admin,pid,started_at,deltas,         control_version,series,rows}
 *           serving:{epoch,revision,digest,state}}            snapshot (binary) {type,format,epoch,revision,digest,bytes}\n…
 *                                                             delta    (binary) {type,format,epoch,base,revision,digest,
 *                                                                       state,bytes}\n…
 *   ack    {revision,digest,state,apply_ms,unknown}           usage_ack {boot_id,seq}
 *   nack   {revision,path,text}                               call  {id,op,args}   op: provider_test provider_models
 *   heartbeat {revision,state,in_flight,requests,errors,                           provider_health drain
 *           connections,rss_bytes,usage_dropped,              bye   {reason}
 *           counters_away:0|1,        shared counters that it cannot reach
 *           providers_out:[name,…]}   of which no key or no server can be used, as of the last cut of series
 *   rows   (binary) {type,boot_id}\n…   records of the ledger, as in usage.h
 *   usage  {boot_id,records:[…]}   the same as JSON, seq inside each record: what the first release sent
 *   result {id,ok,result|error:{code,text}}
 *   bye    {reason}                                          series_ack {boot_id,seq}
 *   capture {boot_id,records:[…]}   prompts that a route keeps; sent once, never acknowledged: it may be lost
 *   series {boot_id,seq,layout,ago_ms,span_ms,rows:[[set,[label,…],[slot,more,slot,more,…]],…]}
 *
 * Calls, args → result:
 *   provider_test   {provider,model} → {ok,status,latency_ms,model,detail}      status null: no answer came
 *   provider_models {provider}       → {items:[{id}]}; the vendor's refusal is an error with code "vendor"
 *   provider_health {provider}       → {keys:[{name,state,cooldown_until,last_error,last_error_at,in_flight}],endpoints:[{url,…,
 *                                     pool,queue,resolved_at,expires_at,ttl_ms,lookup_error,addresses,addresses_left_out}]}; what
 *                                     this worker has of an endpoint now, in the words of EndpointWorker in openapi.yaml
 *   provider_health_clear {provider,key|null,endpoint|null} → the same; forgets what stood against them, both null: all
 *   limits          {scope,name}     → {items:[{key,plugin,scope,who,owner_scope,owner,kind,unit,label,window_ms,limit,used,left,
 *                                     reset_ms,refusals,refused_at,shared,age_ms,seen_us}]}: counters of "consumer" "app1" and the like
 *   drain           {}               → {}
 *
 * Quotas: `quotas` {items:[{quota,from,until,ceiling,grant,elsewhere}]} goes down: what this process may use of a quota in
 * the period from…until (milliseconds; until 0: never ends), counted from its start.  `quota_use` {boot_id,items:[{quota,
 * from,grant,ceiling,want}],boots} goes up: the ceiling it keeps to (`grant` says which message it answers) and how much
 * more it could use; `boots`, sent first on each connection, lists the processes of this node whose usage has not all been
 * acknowledged, itself included.
 *
 * fleet {workers}, control → worker: how many workers are connected, when that changed; limits are shared by so many.
 *
 * hello comes first and within 5 s; anything else before it closes the connection.  Unknown types and unknown members
 * are ignored, so either side may be newer.  A worker whose `serving` equals the current revision gets no snapshot.
 * At most one snapshot is on its way to a worker: the next one leaves when it was answered, and is then the newest.
 * A worker that says `deltas` in hello gets what changed since the revision it serves, where the control plane still
 * knows that one; whatever it answers but an ack brings it the whole.  See "Changes" in README.md.
 * A worker refuses a lower revision of the same epoch.  rows are resent until usage_ack covers them, and
 * go only to a control plane whose welcome says `"rows":true` (before that they wait); the receiver drops what it has; the same holds for series and series_ack, whose seq counts messages.  A series tells by how much
 * slots of metric.h grew within span_ms, which ended ago_ms before it was sent; they go only to a control plane whose
 * welcome says `"series":true`.  node_id is the worker's own, 32 hex digits, kept in its state directory.
 *
 * Forms: epoch is 16 hex digits, digest 64, snapshot_key 64; started_at a time as in the admin API; id, name, boot_id and
 * the like any text; numbers whole and not negative.  In a struct gw_wire, `error` of a result is `reason` (its code)
 * and `text`; `serving` of hello may be absent or null: the worker has nothing yet.
 */
#ifndef GW_PROTO_WIRE_H
#define GW_PROTO_WIRE_H

#include "snapshot.h"
#include "usage.h"

#define GW_WIRE_PROTOCOL     1
#define GW_WIRE_SUBPROTOCOL  "tidegate.v1"
#define GW_WIRE_PATH         "/channel"
#define GW_WIRE_MAX_TEXT     (4u << 20)
#define GW_WIRE_USAGE_BATCH  500
#define GW_WIRE_PROVIDERS_OUT 100

#define GW_WIRE_TABLE(X)                                                                               \
	X(HELLO, "hello") X(WELCOME, "welcome") X(SNAPSHOT, "snapshot") X(ACK, "ack") X(NACK, "nack")  \
	X(HEARTBEAT, "heartbeat") X(USAGE, "usage") X(USAGE_ACK, "usage_ack") X(CALL, "call")          \
	X(RESULT, "result") X(BYE, "bye") X(QUOTAS, "quotas") X(QUOTA_USE, "quota_use") X(SERIES, "series") X(SERIES_ACK, "series_ack")       \
	X(CAPTURE, "capture") X(ROWS, "rows")                                                          \
	X(DELTA, "delta") X(FLEET, "fleet")
enum gw_wire_type {
#define X(name, text) GW_WIRE_##name,
	GW_WIRE_TABLE(X)
#undef X
	GW_WIRE_UNKNOWN
};
const char *gw_wire_name(enum gw_wire_type t);

/*
 * A received message.  Texts and `args` are borrowed from `doc`; gw_wire_fini() releases doc.  Which members are
 * filled depends on the type, see the table above; the rest is zero.
 */
struct gw_wire {
	enum gw_wire_type type;
	json_t *doc;
	int64_t workers;                      /* FLEET */
	int64_t protocol, revision, heartbeat_ms, pid, started_at_ms, apply_ms, unknown, seq;
	int64_t base, deltas;
	int64_t in_flight, requests, errors, connections, rss_bytes, usage_dropped, counters_away, layout, ago_ms, span_ms;
	struct gw_str name, node_id, boot_id, version, catalog_digest, listen, admin;
	struct gw_str epoch, digest, snapshot_state, path, text, reason, state, id, op, control_version;
	struct gw_str serving_epoch, serving_digest, serving_state;
	int64_t serving_revision;
	uint8_t snapshot_key[32]; bool has_snapshot_key;
	json_t *args, *result, *records;      /* borrowed from doc */
	json_t *items, *boots;                /* likewise */
	bool ok, series, rows;                /* series, rows: of WELCOME, the control plane takes them */
	struct gw_str payload;                /* SNAPSHOT, DELTA, ROWS: the bytes after the header line, borrowed from the input */
};

/* Parse a text message.  GW_INVALID with a sentence when a known type lacks or mistypes a member. */
enum gw_rc gw_wire_parse(struct gw_wire *out, struct gw_str text, struct gw_error *err) GW_MUST_CHECK;
/* Parse a binary message (snapshot, delta, rows).  Length and digest of the first two are checked against the header. */
enum gw_rc gw_wire_parse_binary(struct gw_wire *out, struct gw_str bytes, struct gw_error *err) GW_MUST_CHECK;
void gw_wire_fini(struct gw_wire *w);

/* Build a message: an object with its type set; the caller adds members and writes it with gw_json_write(). */
json_t *gw_wire_new(enum gw_wire_type t);                     /* owned */
/* The header line of a snapshot message, '\n' included; the caller sends it and then the bytes as one message. */
enum gw_rc gw_wire_snapshot_head(struct gw_buf *out, struct gw_str epoch, uint64_t revision,
                                 const struct gw_digest *digest, size_t bytes) GW_MUST_CHECK;
/* The same for a delta: `body` is what gw_snapshot_diff() wrote, `state` that of the revision it leads to. */
enum gw_rc gw_wire_delta_head(struct gw_buf *out, struct gw_str epoch, uint64_t base, uint64_t revision,
                              const struct gw_digest *state, struct gw_str body) GW_MUST_CHECK;

/*
 * "tgj_<id>.<secret>.<fingerprint hex>" taken apart; false: not a join token.  Borrowed from `token`.  The id comes
 * without "tgj_"; id and secret consist of letters, digits, '-' and '_'.
 */
struct gw_join_token { struct gw_str id, secret, fingerprint; };
bool gw_join_token_parse(struct gw_str token, struct gw_join_token *out);

#endif
