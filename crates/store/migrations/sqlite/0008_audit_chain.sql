-- A chain a tenant: each row's `hash` is over the hash before it and over what the row says. `user_id`,
-- `conversation_id` and `details` are held by `sealed`, a commitment made with `salt`: erasing a person empties them and
-- the salt, and the chain still holds.
DROP TRIGGER audit_trail_keeps_its_rows;
DROP TRIGGER audit_trail_loses_no_row;
DROP INDEX audit_trail_runs;
DROP INDEX audit_trail_companies;
ALTER TABLE audit_trail RENAME TO audit_unchained;

CREATE TABLE audit_trail (
    id              INTEGER PRIMARY KEY,
    seq             INTEGER NOT NULL,
    at              INTEGER NOT NULL,
    company_id      TEXT NOT NULL,
    run             TEXT,
    call            TEXT,
    changes         INTEGER NOT NULL,
    user_id         TEXT,
    agent_name      TEXT,
    conversation_id TEXT,
    action_type     TEXT NOT NULL,
    action          TEXT NOT NULL,
    details         TEXT,
    status          TEXT NOT NULL,
    sent            INTEGER NOT NULL,
    error_code      TEXT,
    cost_nanos      INTEGER NOT NULL,
    duration_ms     INTEGER NOT NULL,
    salt            BLOB,
    sealed          BLOB NOT NULL,
    hash            BLOB NOT NULL,
    erased_at       INTEGER
) STRICT;
CREATE UNIQUE INDEX audit_trail_places ON audit_trail (company_id, seq);
CREATE INDEX audit_trail_times ON audit_trail (company_id, at);
CREATE INDEX audit_trail_runs ON audit_trail (run) WHERE run IS NOT NULL;
CREATE INDEX audit_trail_persons ON audit_trail (company_id, user_id, seq) WHERE user_id IS NOT NULL;

-- The end of each chain, so that a row that is missing there is missed.
CREATE TABLE audit_tip (
    company_id TEXT PRIMARY KEY,
    seq        INTEGER NOT NULL,
    hash       BLOB NOT NULL
) STRICT, WITHOUT ROWID;

-- The one change a row may see is that a person is erased from it.
CREATE TRIGGER audit_trail_keeps_its_rows BEFORE UPDATE ON audit_trail
WHEN NOT (
    OLD.erased_at IS NULL AND NEW.erased_at IS NOT NULL
    AND NEW.user_id IS NULL AND NEW.conversation_id IS NULL AND NEW.details IS NULL AND NEW.salt IS NULL
    AND NEW.id = OLD.id AND NEW.seq = OLD.seq AND NEW.at = OLD.at AND NEW.company_id = OLD.company_id
    AND NEW.run IS OLD.run AND NEW.call IS OLD.call AND NEW.changes = OLD.changes
    AND NEW.agent_name IS OLD.agent_name AND NEW.action_type = OLD.action_type AND NEW.action = OLD.action
    AND NEW.status = OLD.status AND NEW.sent = OLD.sent AND NEW.error_code IS OLD.error_code
    AND NEW.cost_nanos = OLD.cost_nanos AND NEW.duration_ms = OLD.duration_ms
    AND NEW.sealed = OLD.sealed AND NEW.hash = OLD.hash
)
BEGIN SELECT RAISE(ABORT, 'audit_trail is append-only'); END;
CREATE TRIGGER audit_trail_loses_no_row BEFORE DELETE ON audit_trail
BEGIN SELECT RAISE(ABORT, 'audit_trail is append-only'); END;

-- How each call stands: its last attempt, with the status that the newest row about it gives.
CREATE VIEW audit_latest AS
SELECT acted.id, acted.seq, acted.at, acted.company_id, acted.run, acted.call, acted.changes, acted.user_id,
    acted.agent_name, acted.conversation_id, acted.action_type, acted.action, acted.details,
    (SELECT newest.status FROM audit_trail newest
     WHERE newest.run = acted.run AND newest.call = acted.call AND newest.company_id = acted.company_id
     ORDER BY newest.seq DESC LIMIT 1) AS status,
    acted.sent, acted.error_code, acted.cost_nanos, acted.duration_ms, acted.salt, acted.sealed, acted.hash,
    acted.erased_at
FROM audit_trail acted
WHERE acted.call IS NOT NULL AND acted.changes = 0 AND NOT EXISTS (
    SELECT 1 FROM audit_trail later
    WHERE later.run = acted.run AND later.call = acted.call AND later.company_id = acted.company_id
        AND later.changes = 0 AND later.seq > acted.seq);
