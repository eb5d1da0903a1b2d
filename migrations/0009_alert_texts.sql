-- What was measured, in Chinese beside English: people are told in the language of their channel.

ALTER TABLE alert_events ADD COLUMN text_zh TEXT NOT NULL DEFAULT '';
ALTER TABLE alert_outbox ADD COLUMN text_zh TEXT NOT NULL DEFAULT '';
