-- Sums of the ledger by five minutes, hour and day (UTC), kept in step with its rows; and the books of quotas.
-- Steps are seconds, times Unix milliseconds, money is in millionths of its currency.

CREATE TABLE usage_rollups (
    step               INTEGER NOT NULL,
    bucket             INTEGER NOT NULL,
    consumer           TEXT    NOT NULL,
    key_id             TEXT    NOT NULL,
    route              TEXT    NOT NULL,
    provider           TEXT    NOT NULL,
    model              TEXT    NOT NULL,
    currency           TEXT    NOT NULL,
    consumer_groups    TEXT    NOT NULL,
    requests           INTEGER NOT NULL,
    errors             INTEGER NOT NULL,
    estimated          INTEGER NOT NULL,
    unpriced           INTEGER NOT NULL,
    prompt_tokens      INTEGER NOT NULL,
    completion_tokens  INTEGER NOT NULL,
    cached_tokens      INTEGER NOT NULL,
    cache_write_tokens INTEGER NOT NULL,
    reasoning_tokens   INTEGER NOT NULL,
    images             INTEGER NOT NULL,
    cost               INTEGER NOT NULL,
    PRIMARY KEY (step, bucket, consumer, key_id, route, provider, model, currency, consumer_groups)
) STRICT, WITHOUT ROWID;

INSERT INTO usage_rollups
    SELECT 300, bucket, consumer, '', route, provider, model, '', '', requests, errors, 0, requests - errors, prompt_tokens,
           completion_tokens, cached_tokens, 0, reasoning_tokens, 0, 0
    FROM usage_sums;
INSERT INTO usage_rollups
    SELECT 3600, bucket / 3600000 * 3600000, consumer, '', route, provider, model, '', '', sum(requests), sum(errors), 0,
           sum(requests - errors), sum(prompt_tokens), sum(completion_tokens), sum(cached_tokens), 0, sum(reasoning_tokens), 0, 0
    FROM usage_sums GROUP BY 2, 3, 5, 6, 7;
INSERT INTO usage_rollups
    SELECT 86400, bucket / 86400000 * 86400000, consumer, '', route, provider, model, '', '', sum(requests), sum(errors), 0,
           sum(requests - errors), sum(prompt_tokens), sum(completion_tokens), sum(cached_tokens), 0, sum(reasoning_tokens), 0, 0
    FROM usage_sums GROUP BY 2, 3, 5, 6, 7;
DROP TABLE usage_sums;

-- What was used of a quota within a period that began at from_ms; `told` is the highest threshold reported.
CREATE TABLE quota_periods (
    quota    TEXT    NOT NULL,
    from_ms  INTEGER NOT NULL,
    used     INTEGER NOT NULL,
    adjusted INTEGER NOT NULL,
    told     INTEGER NOT NULL,
    PRIMARY KEY (quota, from_ms)
) STRICT, WITHOUT ROWID;

-- How much of it one process of a worker may use without asking, and what it used of that so far.
CREATE TABLE quota_shares (
    quota   TEXT    NOT NULL,
    from_ms INTEGER NOT NULL,
    boot_id TEXT    NOT NULL,
    node    TEXT    NOT NULL,
    ceiling INTEGER NOT NULL,
    used    INTEGER NOT NULL,
    PRIMARY KEY (quota, from_ms, boot_id)
) STRICT, WITHOUT ROWID;

CREATE TABLE quota_entries (
    id      INTEGER PRIMARY KEY AUTOINCREMENT,
    quota   TEXT    NOT NULL,
    from_ms INTEGER NOT NULL,
    at      INTEGER NOT NULL,
    actor   TEXT    NOT NULL,
    kind    TEXT    NOT NULL,
    amount  INTEGER NOT NULL,
    reason  TEXT    NOT NULL,
    balance INTEGER NOT NULL
) STRICT;
CREATE INDEX quota_entries_by_quota ON quota_entries (quota, id);
CREATE TRIGGER quota_entries_keep_rows BEFORE DELETE ON quota_entries BEGIN SELECT RAISE(ABORT, 'books are append-only'); END;
CREATE TRIGGER quota_entries_keep_text BEFORE UPDATE ON quota_entries BEGIN SELECT RAISE(ABORT, 'books are append-only'); END;
