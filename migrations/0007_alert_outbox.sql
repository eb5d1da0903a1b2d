-- Messages about alerts wait in the database until they were taken or given up, so that a restart loses none; and an event
-- knows when people were told last, so that a restart does not tell them again.

ALTER TABLE alert_events ADD COLUMN told_at INTEGER NOT NULL DEFAULT 0;
UPDATE alert_events SET told_at = started_at WHERE silenced = 0;
CREATE INDEX alert_events_by_rule ON alert_events (rule, id);

CREATE TABLE alert_outbox (
    id          INTEGER PRIMARY KEY AUTOINCREMENT,
    event       INTEGER NOT NULL,
    channel     TEXT    NOT NULL,
    state       TEXT    NOT NULL,
    text        TEXT    NOT NULL,
    description TEXT    NOT NULL,
    value       REAL    NOT NULL,
    made_at     INTEGER NOT NULL,
    due_at      INTEGER NOT NULL,
    tries       INTEGER NOT NULL DEFAULT 0,
    detail      TEXT    NOT NULL DEFAULT ''
) STRICT;
CREATE INDEX alert_outbox_by_due ON alert_outbox (due_at, id);
CREATE INDEX alert_outbox_by_event ON alert_outbox (event, channel, id);
