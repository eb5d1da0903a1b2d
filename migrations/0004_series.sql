-- Series for charts: how much counters grew, by span of time.  Rows add up; `v` is a vector of numbers (store/series_store.c).

-- Whose numbers they are: the set of metric.h, the worker, the labels in the set's order.
CREATE TABLE series_keys (
    id      INTEGER PRIMARY KEY,
    kind    INTEGER NOT NULL,
    node    TEXT    NOT NULL,
    a       TEXT    NOT NULL,
    b       TEXT    NOT NULL,
    c       TEXT    NOT NULL,
    d       TEXT    NOT NULL,
    last_at INTEGER NOT NULL,
    UNIQUE (kind, node, a, b, c, d)
) STRICT;

-- `resolution` and `at` are milliseconds; `at` is the begin of the span.
CREATE TABLE series_points (
    resolution INTEGER NOT NULL,
    kind       INTEGER NOT NULL,
    at         INTEGER NOT NULL,
    key        INTEGER NOT NULL,
    v          BLOB    NOT NULL,
    PRIMARY KEY (resolution, kind, at, key)
) STRICT, WITHOUT ROWID;

-- The last message of each worker process that is in the points: none counts twice.
CREATE TABLE series_seen (
    boot_id TEXT PRIMARY KEY,
    seq     INTEGER NOT NULL,
    at      INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
