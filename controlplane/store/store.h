/*
 * store.h - the only header in the control plane behind which SQL exists.
 *
 * Reading takes a cp_txn and sees one consistent revision.  Writing takes a cp_change, which cannot be had without
 * saying who is asking, so an unaudited write does not compile: commit stores the objects, the revision row with
 * before and after of each object, and one hash-chained audit row per object, all in one SQLite transaction.
 *
 * There is one writer connection (WAL, synchronous=FULL) behind a lock; checkpoints and backups run on it alone.
 * Readers have read-only connections of their own from a small pool, so nobody who reads waits for a writer.
 *
 * A specification (`spec`) is canonical JSON without name and read-only members.  A secret in it stands sealed:
 * {"sealed","last4","fingerprint","created_at"}; cp_masked() takes the sealed bytes and hashes out.
 */
#ifndef CP_STORE_STORE_H
#define CP_STORE_STORE_H

#include "base/arena.h"
#include "base/buf.h"
#include "base/gw.h"
#include "json.h"
#include "kind.h"

struct cp_store;  /* one per process; safe from any thread */
struct cp_txn;    /* a consistent view; owned by the thread that began it */
struct cp_change; /* a write in the making; owned by the thread that began it, which holds the writer meanwhile */

#define CP_ACTOR_TABLE(X) \
	X(USER, "user") X(TOKEN, "token") X(LOCAL, "local") X(SYSTEM, "system") X(ANONYMOUS, "anonymous")
enum cp_actor_type {
#define X(name, text) CP_ACTOR_##name,
	CP_ACTOR_TABLE(X)
#undef X
};
const char *cp_actor_name(enum cp_actor_type t);

/* "provider", "consumer-key": how people, plans and audit actions name a kind; static. */
const char *cp_kind_singular(enum gw_kind k);
/* Part of the configuration: a change of one makes a revision, and a revision can be shown, compared and restored. */
bool cp_kind_is_configuration(enum gw_kind k);

/* Borrowed until commit or abort; goes into every audit row.  Absent texts become null. */
struct cp_actor {
	enum cp_actor_type type;
	struct gw_str name, role, address, request_id;
};

struct cp_store_options {
	const char *path;        /* file; created 0600 when absent */
	const char *migrations;  /* folder of NNNN_name.sql, applied in order, checksums recorded */
	int busy_ms;             /* how long to wait for a lock that another process holds; 0: 2000 */
	size_t ballast_bytes;    /* size of the file "<path>.ballast" that is given up when the disk is full; 0: none */
};

/*
 * *out is owned: cp_store_close().  Applies what is missing of the migrations, one transaction each.  Refuses, with
 * one clear sentence: a file that is not ours, a changed checksum, a gap, a database newer than the files, a damaged
 * database.  A new database gets a random epoch and revision 0.
 */
enum gw_rc cp_store_open(struct cp_store **out, const struct cp_store_options *o, struct gw_error *err) GW_MUST_CHECK;
void cp_store_close(struct cp_store **s);                        /* consumed; NULL is fine */

const char *cp_store_epoch(struct cp_store *s);                  /* 16 hex digits; lives as long as the store */
uint64_t cp_store_revision(struct cp_store *s);                  /* last committed one; no lock, any thread */
/* True after the disk was found full, until a write succeeds again: writes answer GW_TOOBIG meanwhile. */
bool cp_store_disk_full(struct cp_store *s);
/*
 * `wake(arg, revision)` runs after every commit that made a revision, on the committing thread, without any lock
 * held.  It must only signal.  Set once, before other threads use the store.
 */
void cp_store_on_commit(struct cp_store *s, void (*wake)(void *arg, uint64_t revision), void *arg);
/* A complete copy in one file, made with the backup API on the writer connection while everything goes on. */
enum gw_rc cp_store_backup(struct cp_store *s, const char *path, struct gw_error *err) GW_MUST_CHECK;
/*
 * Put a backup in the place of a data directory's database.  Refused while `lock_path` is locked (a daemon runs) and
 * when `backup` is not a sound database of ours.  The copy gets a new epoch, so that workers take its snapshots
 * although its revision is lower.
 */
enum gw_rc cp_store_restore(const char *backup, const char *path, const char *migrations, const char *lock_path,
                            struct gw_error *err) GW_MUST_CHECK;

/* Small facts by name ("pepper").  Values are text; GW_NOTFOUND when absent.  *out is arena. */
enum gw_rc cp_meta_get(struct cp_store *s, const char *name, struct gw_arena *a, struct gw_str *out,
                       struct gw_error *err) GW_MUST_CHECK;
enum gw_rc cp_meta_put(struct cp_store *s, const char *name, struct gw_str value, struct gw_error *err) GW_MUST_CHECK;

/* ---- objects ---- */

struct cp_record {               /* texts are borrowed when given, arena when received */
	enum gw_kind kind;
	struct gw_str name;      /* unique within the kind */
	struct gw_str owner;     /* a credential's consumer; absent else */
	struct gw_str ident;     /* unique within the kind when present: a credential's or token's hash, in hex */
	struct gw_str spec;      /* canonical JSON */
	uint64_t etag;           /* revision that last touched it (objects that do not travel count their own) */
	int64_t created_at_ms, updated_at_ms;
};

/* Read.  *out is owned: cp_txn_end(). */
enum gw_rc cp_txn_begin(struct cp_txn **out, struct cp_store *s, struct gw_error *err) GW_MUST_CHECK;
void cp_txn_end(struct cp_txn **t);                              /* consumed; NULL is fine */
uint64_t cp_txn_revision(struct cp_txn *t);                      /* the revision this view shows */

/*
 * Write.  *out is owned: commit or abort.  `action` goes into the revision: create update delete apply rollback
 * initial.  GW_TOOBIG: the disk is full; GW_IO: the database failed.
 */
enum gw_rc cp_change_begin(struct cp_change **out, struct cp_store *s, const struct cp_actor *who,
                           const char *action, struct gw_error *err) GW_MUST_CHECK;
struct cp_txn *cp_change_view(struct cp_change *c);              /* borrowed from c: sees own writes */
/*
 * Consumed either way.  Makes a revision only if an object that travels (or a credential) changed; *revision is the
 * newest one in any case.  A change without writes commits nothing.
 */
enum gw_rc cp_change_commit(struct cp_change **c, uint64_t *revision, struct gw_error *err) GW_MUST_CHECK;
void cp_change_abort(struct cp_change **c);                      /* consumed; NULL is fine */
size_t cp_change_count(const struct cp_change *c);               /* objects written so far */
/* Each of them.  `owner`: a credential's consumer, else absent; one that changed hands comes for both.  Borrowed. */
void cp_change_each(const struct cp_change *c,
                    void (*fn)(void *arg, enum gw_kind k, struct gw_str name, struct gw_str owner), void *arg);

enum gw_rc cp_get(struct cp_txn *t, enum gw_kind k, struct gw_str name, struct gw_arena *a, struct cp_record *out,
                  struct gw_error *err) GW_MUST_CHECK;
enum gw_rc cp_get_ident(struct cp_txn *t, enum gw_kind k, struct gw_str ident, struct gw_arena *a,
                        struct cp_record *out, struct gw_error *err) GW_MUST_CHECK;
/* Calls `row` in name order until it returns false; `owner` absent: of every owner.  Borrowed for that call. */
enum gw_rc cp_each(struct cp_txn *t, enum gw_kind k, struct gw_str owner,
                   bool (*row)(void *arg, const struct cp_record *r), void *arg, struct gw_error *err) GW_MUST_CHECK;
enum gw_rc cp_count(struct cp_txn *t, enum gw_kind k, int64_t *out, struct gw_error *err) GW_MUST_CHECK;

/* if_match: CP_MUST_BE_NEW → GW_EXISTS when there; CP_ANY; else the etag it must still have (GW_CONFLICT). */
#define CP_MUST_BE_NEW 0
#define CP_ANY         UINT64_MAX
/* An equal spec is no write.  A taken `ident` gives GW_EXISTS with err->path "/ident". */
enum gw_rc cp_put(struct cp_change *c, const struct cp_record *r, uint64_t if_match, struct gw_error *err) GW_MUST_CHECK;
enum gw_rc cp_del(struct cp_change *c, enum gw_kind k, struct gw_str name, uint64_t if_match,
                  struct gw_error *err) GW_MUST_CHECK;

/* ---- history ---- */

struct cp_revision_row {         /* texts borrowed for the call */
	uint64_t revision;
	int64_t at_ms;
	struct gw_str actor, action, kind, name, summary; /* kind and name absent when many objects changed */
};
/* Newest first, below `before` (0: from the newest). */
enum gw_rc cp_revisions_each(struct cp_txn *t, uint64_t before,
                             bool (*row)(void *arg, const struct cp_revision_row *r), void *arg,
                             struct gw_error *err) GW_MUST_CHECK;
/*
 * All objects that travel, and the credentials, as they stood at `revision`: {"routes":{"name":{"spec":{…},"owner",
 * "ident"}},…}.  Internal form: secrets sealed, hashes in.  *out is owned.  GW_NOTFOUND: no such revision.
 */
enum gw_rc cp_config_at(struct cp_txn *t, uint64_t revision, json_t **out, struct gw_error *err) GW_MUST_CHECK;

/* `spec` without sealed bytes, password and credential hashes: fit for people.  *out of json is owned. */
json_t *cp_masked(const json_t *spec);

/* ---- audit ---- */

/* One row about something that is no object change: a login, a denied call, a test.  Stands in a transaction of its own. */
struct cp_audit_note {
	const char *action;      /* "session.login" */
	const char *outcome;     /* ok denied failed */
	struct gw_str kind, name;
	struct gw_str detail;    /* JSON object or absent; becomes `after` */
};
enum gw_rc cp_audit_add(struct cp_store *s, const struct cp_actor *who, const struct cp_audit_note *n,
                        struct gw_error *err) GW_MUST_CHECK;

struct cp_audit_filter { struct gw_str actor, kind, name, q; int64_t from_ms, to_ms; /* 0: open */ };
struct cp_audit_row {            /* texts borrowed for the call; before and after are JSON or absent */
	int64_t id, at_ms;
	struct gw_str actor_type, actor, role, address, action, kind, name, outcome, request_id, before, after, hash;
	uint64_t revision;       /* 0: none */
};
/* Newest first, below `before_id` (0: from the newest). */
enum gw_rc cp_audit_each(struct cp_txn *t, const struct cp_audit_filter *f, int64_t before_id,
                         bool (*row)(void *arg, const struct cp_audit_row *r), void *arg,
                         struct gw_error *err) GW_MUST_CHECK;
enum gw_rc cp_audit_get(struct cp_txn *t, int64_t id, struct gw_arena *a, struct cp_audit_row *out,
                        struct gw_error *err) GW_MUST_CHECK;
/* Recompute the chain from the first row.  GW_OK and *rows, or GW_INVALID with a sentence naming the broken row. */
enum gw_rc cp_audit_verify(struct cp_txn *t, int64_t *rows, struct gw_error *err) GW_MUST_CHECK;

/* ---- sessions, uses, nodes: facts that change often and are not configuration ---- */

struct cp_session_row {
	uint8_t hash[32];        /* SHA-256 of the cookie's value */
	struct gw_str user, address;
	int64_t created_at_ms, seen_at_ms, expires_at_ms;
};
enum gw_rc cp_session_put(struct cp_store *s, const struct cp_session_row *r, struct gw_error *err) GW_MUST_CHECK;
enum gw_rc cp_session_get(struct cp_txn *t, const uint8_t hash[32], struct gw_arena *a, struct cp_session_row *out,
                          struct gw_error *err) GW_MUST_CHECK;
enum gw_rc cp_session_touch(struct cp_store *s, const uint8_t hash[32], int64_t now_ms, struct gw_error *err) GW_MUST_CHECK;
/* `hash` NULL: all sessions of `user`; `except` is kept (NULL: none). */
enum gw_rc cp_session_del(struct cp_store *s, const uint8_t *hash, struct gw_str user, const uint8_t *except,
                          struct gw_error *err) GW_MUST_CHECK;
enum gw_rc cp_session_sweep(struct cp_store *s, int64_t now_ms, int64_t idle_ms, struct gw_error *err) GW_MUST_CHECK;

/* Last use and number of uses of a credential, token, join token or user (login).  Kept beside the objects. */
enum gw_rc cp_use_add(struct cp_store *s, enum gw_kind k, struct gw_str name, int64_t at_ms, struct gw_error *err) GW_MUST_CHECK;
/* 0 and 0 when never used. */
enum gw_rc cp_use_get(struct cp_txn *t, enum gw_kind k, struct gw_str name, int64_t *last_ms, int64_t *count,
                      struct gw_error *err) GW_MUST_CHECK;

struct cp_node_row {             /* what is remembered of a worker between connections */
	struct gw_str id, name, version, address, listen, last_error;
	int64_t first_seen_ms, last_seen_ms, started_at_ms;
	uint64_t revision;       /* last one it acknowledged */
};
enum gw_rc cp_node_put(struct cp_store *s, const struct cp_node_row *r, struct gw_error *err) GW_MUST_CHECK;
enum gw_rc cp_node_del(struct cp_store *s, struct gw_str id, struct gw_error *err) GW_MUST_CHECK;
enum gw_rc cp_nodes_each(struct cp_txn *t, bool (*row)(void *arg, const struct cp_node_row *r), void *arg,
                         struct gw_error *err) GW_MUST_CHECK;

#endif
