-- The whole store: objects as JSON, their history, the audit chain, sessions, workers and usage.
-- Times are Unix milliseconds. Applied in one transaction; never edited after release.

CREATE TABLE meta (
    name  TEXT PRIMARY KEY,
    value TEXT NOT NULL
) STRICT, WITHOUT ROWID;

-- Every object that an operator can create. `spec` is canonical JSON; secrets stand sealed, credentials hashed.
CREATE TABLE objects (
    kind       TEXT    NOT NULL,
    name       TEXT    NOT NULL,
    owner      TEXT,
    ident      TEXT,
    spec       TEXT    NOT NULL CHECK (spec GLOB '{*}'),
    etag       INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    PRIMARY KEY (kind, name)
) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX objects_by_ident ON objects (kind, ident) WHERE ident IS NOT NULL;
CREATE INDEX objects_by_owner ON objects (kind, owner, name) WHERE owner IS NOT NULL;

-- One row per committed configuration, and what each one changed.
CREATE TABLE revisions (
    revision INTEGER PRIMARY KEY CHECK (revision > 0),
    at       INTEGER NOT NULL,
    actor    TEXT    NOT NULL,
    action   TEXT    NOT NULL,
    kind     TEXT,
    name     TEXT,
    summary  TEXT    NOT NULL
) STRICT;

CREATE TABLE changes (
    revision     INTEGER NOT NULL REFERENCES revisions (revision),
    seq          INTEGER NOT NULL,
    kind         TEXT    NOT NULL,
    name         TEXT    NOT NULL,
    owner        TEXT,
    ident_before TEXT,
    ident_after  TEXT,
    before       TEXT,
    after        TEXT,
    PRIMARY KEY (revision, seq)
) STRICT, WITHOUT ROWID;

CREATE TABLE audit (
    id         INTEGER PRIMARY KEY AUTOINCREMENT,
    at         INTEGER NOT NULL,
    actor_type TEXT    NOT NULL,
    actor      TEXT    NOT NULL,
    role       TEXT,
    address    TEXT,
    request_id TEXT,
    action     TEXT    NOT NULL,
    kind       TEXT,
    name       TEXT,
    outcome    TEXT    NOT NULL,
    revision   INTEGER,
    before     TEXT,
    after      TEXT,
    hash       TEXT    NOT NULL
) STRICT;
CREATE INDEX audit_by_actor ON audit (actor, id);
CREATE INDEX audit_by_object ON audit (kind, name, id);
CREATE TRIGGER audit_keeps_rows BEFORE DELETE ON audit BEGIN SELECT RAISE(ABORT, 'the audit is append-only'); END;
CREATE TRIGGER audit_keeps_text BEFORE UPDATE ON audit BEGIN SELECT RAISE(ABORT, 'the audit is append-only'); END;
CREATE TRIGGER changes_keep_rows BEFORE DELETE ON changes BEGIN SELECT RAISE(ABORT, 'history is append-only'); END;
CREATE TRIGGER changes_keep_text BEFORE UPDATE ON changes BEGIN SELECT RAISE(ABORT, 'history is append-only'); END;

CREATE TABLE sessions (
    hash       BLOB PRIMARY KEY,
    user       TEXT    NOT NULL,
    address    TEXT,
    created_at INTEGER NOT NULL,
    seen_at    INTEGER NOT NULL,
    expires_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX sessions_by_user ON sessions (user);

-- Last use of credentials, tokens, join tokens and users: changes often and is not configuration.
CREATE TABLE uses (
    kind    TEXT    NOT NULL,
    name    TEXT    NOT NULL,
    last_at INTEGER NOT NULL,
    count   INTEGER NOT NULL,
    PRIMARY KEY (kind, name)
) STRICT, WITHOUT ROWID;

CREATE TABLE nodes (
    id         TEXT PRIMARY KEY,
    name       TEXT    NOT NULL,
    version    TEXT,
    address    TEXT,
    listen     TEXT,
    last_error TEXT,
    first_seen INTEGER NOT NULL,
    last_seen  INTEGER NOT NULL,
    started_at INTEGER NOT NULL,
    revision   INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- The ledger: one row per request of the data plane, each exactly once by (boot_id, seq).
CREATE TABLE requests (
    boot_id            TEXT    NOT NULL,
    seq                INTEGER NOT NULL,
    node               TEXT    NOT NULL,
    request_id         TEXT    NOT NULL,
    consumer           TEXT    NOT NULL,
    key_id             TEXT    NOT NULL,
    route              TEXT    NOT NULL,
    provider           TEXT    NOT NULL,
    requested_model    TEXT    NOT NULL,
    served_model       TEXT    NOT NULL,
    operation          TEXT    NOT NULL,
    error_code         TEXT    NOT NULL,
    end_reason         TEXT    NOT NULL,
    usage_source       TEXT    NOT NULL,
    started_at_ms      INTEGER NOT NULL,
    status             INTEGER NOT NULL,
    attempts           INTEGER NOT NULL,
    stream             INTEGER NOT NULL,
    prompt_tokens      INTEGER NOT NULL,
    cached_tokens      INTEGER NOT NULL,
    cache_write_tokens INTEGER NOT NULL,
    completion_tokens  INTEGER NOT NULL,
    reasoning_tokens   INTEGER NOT NULL,
    queue_ms           INTEGER NOT NULL,
    first_byte_ms      INTEGER NOT NULL,
    first_token_ms     INTEGER NOT NULL,
    total_ms           INTEGER NOT NULL,
    request_bytes      INTEGER NOT NULL,
    response_bytes     INTEGER NOT NULL,
    PRIMARY KEY (boot_id, seq)
) STRICT, WITHOUT ROWID;
CREATE INDEX requests_by_time ON requests (started_at_ms);

-- Sums per five minutes; hours and days are added up from these.
CREATE TABLE usage_sums (
    bucket            INTEGER NOT NULL,
    consumer          TEXT    NOT NULL,
    route             TEXT    NOT NULL,
    provider          TEXT    NOT NULL,
    model             TEXT    NOT NULL,
    requests          INTEGER NOT NULL,
    errors            INTEGER NOT NULL,
    prompt_tokens     INTEGER NOT NULL,
    completion_tokens INTEGER NOT NULL,
    cached_tokens     INTEGER NOT NULL,
    reasoning_tokens  INTEGER NOT NULL,
    cost              INTEGER NOT NULL,
    PRIMARY KEY (bucket, consumer, route, provider, model)
) STRICT, WITHOUT ROWID;
