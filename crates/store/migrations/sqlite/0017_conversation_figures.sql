-- What the service is measured by: how often a conversation was handed over and why last, how often opened again, and when a
-- person first answered since it waited for one.
ALTER TABLE conversation ADD COLUMN handovers INTEGER NOT NULL DEFAULT 0;
ALTER TABLE conversation ADD COLUMN handed_over_for TEXT;
ALTER TABLE conversation ADD COLUMN reopened INTEGER NOT NULL DEFAULT 0;
ALTER TABLE conversation ADD COLUMN waiting_since INTEGER;
ALTER TABLE conversation ADD COLUMN first_response_at INTEGER;
CREATE INDEX conversation_ends ON conversation (tenant, ended_at) WHERE ended_at IS NOT NULL;
