-- What a ledger row says beside tokens: money, which key and connection served, who refused, and every attempt.

ALTER TABLE requests ADD COLUMN currency TEXT NOT NULL DEFAULT '';
ALTER TABLE requests ADD COLUMN provider_key TEXT NOT NULL DEFAULT '';
ALTER TABLE requests ADD COLUMN client_ip TEXT NOT NULL DEFAULT '';
ALTER TABLE requests ADD COLUMN refused_by TEXT NOT NULL DEFAULT '';
ALTER TABLE requests ADD COLUMN attempt_log TEXT NOT NULL DEFAULT '';
ALTER TABLE requests ADD COLUMN trace_id TEXT NOT NULL DEFAULT '';
ALTER TABLE requests ADD COLUMN consumer_groups TEXT NOT NULL DEFAULT '';
ALTER TABLE requests ADD COLUMN cost INTEGER NOT NULL DEFAULT 0;
ALTER TABLE requests ADD COLUMN connect_ms INTEGER NOT NULL DEFAULT -1;
ALTER TABLE requests ADD COLUMN bad_events INTEGER NOT NULL DEFAULT 0;
ALTER TABLE requests ADD COLUMN cache_write_1h_tokens INTEGER NOT NULL DEFAULT 0;
ALTER TABLE requests ADD COLUMN audio_prompt_tokens INTEGER NOT NULL DEFAULT 0;
ALTER TABLE requests ADD COLUMN audio_completion_tokens INTEGER NOT NULL DEFAULT 0;
ALTER TABLE requests ADD COLUMN images INTEGER NOT NULL DEFAULT 0;
