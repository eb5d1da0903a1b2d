-- What alert rules found, and who was told.

CREATE TABLE alert_events (
    id         INTEGER PRIMARY KEY AUTOINCREMENT,
    rule       TEXT    NOT NULL,
    object     TEXT    NOT NULL,
    severity   TEXT    NOT NULL,
    text       TEXT    NOT NULL,
    value      REAL    NOT NULL,
    started_at INTEGER NOT NULL,
    ended_at   INTEGER,
    silenced   INTEGER NOT NULL
) STRICT;
CREATE INDEX alert_events_open ON alert_events (id) WHERE ended_at IS NULL;
CREATE INDEX alert_events_by_end ON alert_events (ended_at);

CREATE TABLE alert_deliveries (
    id      INTEGER PRIMARY KEY,
    event   INTEGER NOT NULL,
    channel TEXT    NOT NULL,
    state   TEXT    NOT NULL,
    at      INTEGER NOT NULL,
    tries   INTEGER NOT NULL,
    ok      INTEGER NOT NULL,
    detail  TEXT    NOT NULL
) STRICT;
CREATE INDEX alert_deliveries_by_event ON alert_deliveries (event);
