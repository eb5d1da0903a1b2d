-- Exactly once, by the highest number that is stored of each worker process: rows come in order. Before, a unique index
-- over process and number did it, the largest index of the table, and a row that retention had removed could count again.
CREATE TABLE usage_seen (
    boot_id TEXT PRIMARY KEY,
    seq     INTEGER NOT NULL,
    at      INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

INSERT INTO usage_seen SELECT boot_id, max(seq), max(started_at_ms) FROM requests GROUP BY boot_id;

CREATE TABLE requests_slim (
    id                      INTEGER PRIMARY KEY,
    boot_id                 TEXT    NOT NULL,
    seq                     INTEGER NOT NULL,
    node                    TEXT    NOT NULL,
    request_id              TEXT    NOT NULL,
    consumer                TEXT    NOT NULL,
    key_id                  TEXT    NOT NULL,
    route                   TEXT    NOT NULL,
    provider                TEXT    NOT NULL,
    requested_model         TEXT    NOT NULL,
    served_model            TEXT    NOT NULL,
    operation               TEXT    NOT NULL,
    error_code              TEXT    NOT NULL,
    end_reason              TEXT    NOT NULL,
    usage_source            TEXT    NOT NULL,
    started_at_ms           INTEGER NOT NULL,
    status                  INTEGER NOT NULL,
    attempts                INTEGER NOT NULL,
    stream                  INTEGER NOT NULL,
    prompt_tokens           INTEGER NOT NULL,
    cached_tokens           INTEGER NOT NULL,
    cache_write_tokens      INTEGER NOT NULL,
    completion_tokens       INTEGER NOT NULL,
    reasoning_tokens        INTEGER NOT NULL,
    queue_ms                INTEGER NOT NULL,
    first_byte_ms           INTEGER NOT NULL,
    first_token_ms          INTEGER NOT NULL,
    total_ms                INTEGER NOT NULL,
    request_bytes           INTEGER NOT NULL,
    response_bytes          INTEGER NOT NULL,
    currency                TEXT    NOT NULL DEFAULT '',
    provider_key            TEXT    NOT NULL DEFAULT '',
    client_ip               TEXT    NOT NULL DEFAULT '',
    refused_by              TEXT    NOT NULL DEFAULT '',
    attempt_log             TEXT    NOT NULL DEFAULT '',
    trace_id                TEXT    NOT NULL DEFAULT '',
    consumer_groups         TEXT    NOT NULL DEFAULT '',
    cost                    INTEGER NOT NULL DEFAULT 0,
    connect_ms              INTEGER NOT NULL DEFAULT -1,
    bad_events              INTEGER NOT NULL DEFAULT 0,
    cache_write_1h_tokens   INTEGER NOT NULL DEFAULT 0,
    audio_prompt_tokens     INTEGER NOT NULL DEFAULT 0,
    audio_completion_tokens INTEGER NOT NULL DEFAULT 0,
    images                  INTEGER NOT NULL DEFAULT 0
) STRICT;

INSERT INTO requests_slim (id, boot_id, seq, node, request_id, consumer, key_id, route, provider, requested_model, served_model,
    operation, error_code, end_reason, usage_source, started_at_ms, status, attempts, stream, prompt_tokens, cached_tokens,
    cache_write_tokens, completion_tokens, reasoning_tokens, queue_ms, first_byte_ms, first_token_ms, total_ms, request_bytes,
    response_bytes, currency, provider_key, client_ip, refused_by, attempt_log, trace_id, consumer_groups, cost, connect_ms,
    bad_events, cache_write_1h_tokens, audio_prompt_tokens, audio_completion_tokens, images)
SELECT id, boot_id, seq, node, request_id, consumer, key_id, route, provider, requested_model, served_model,
    operation, error_code, end_reason, usage_source, started_at_ms, status, attempts, stream, prompt_tokens, cached_tokens,
    cache_write_tokens, completion_tokens, reasoning_tokens, queue_ms, first_byte_ms, first_token_ms, total_ms, request_bytes,
    response_bytes, currency, provider_key, client_ip, refused_by, attempt_log, trace_id, consumer_groups, cost, connect_ms,
    bad_events, cache_write_1h_tokens, audio_prompt_tokens, audio_completion_tokens, images
FROM requests ORDER BY id;

DROP TABLE requests;
ALTER TABLE requests_slim RENAME TO requests;

CREATE INDEX requests_by_time ON requests (started_at_ms);
CREATE INDEX requests_by_consumer ON requests (consumer, started_at_ms);
CREATE INDEX requests_by_key ON requests (key_id, started_at_ms);
CREATE INDEX requests_by_route ON requests (route, started_at_ms);
CREATE INDEX requests_by_provider ON requests (provider, started_at_ms);
CREATE INDEX requests_by_model ON requests (requested_model, started_at_ms);
CREATE INDEX requests_by_request_id ON requests (request_id, started_at_ms);
-- Of the few that failed or were traced; the conditions stand in the searches word for word.
CREATE INDEX requests_by_trace ON requests (trace_id, started_at_ms) WHERE trace_id <> '';
CREATE INDEX requests_by_error ON requests (error_code, started_at_ms) WHERE error_code <> '';
CREATE INDEX requests_failed ON requests (started_at_ms) WHERE (end_reason <> 'complete' OR status >= 400);
