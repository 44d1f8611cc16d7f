-- Where a chain begins that older rows were cut off from: the place and the hash of the last row that is gone.
CREATE TABLE audit_anchor (
    company_id TEXT PRIMARY KEY,
    seq        INTEGER NOT NULL,
    hash       BLOB NOT NULL,
    cut_at     INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- Only rows up to the anchor may go.
DROP TRIGGER audit_trail_loses_no_row;
CREATE TRIGGER audit_trail_loses_no_row BEFORE DELETE ON audit_trail
WHEN NOT EXISTS (SELECT 1 FROM audit_anchor WHERE company_id = OLD.company_id AND seq >= OLD.seq)
BEGIN SELECT RAISE(ABORT, 'audit_trail is append-only'); END;
