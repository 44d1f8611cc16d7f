-- Runs and conversations whose contents are gone: since when, and the version a run was on. `removal` says what is still to
-- be deleted: 0 nothing, 1 the contents, 2 the row too.
ALTER TABLE aggregate ADD COLUMN erased_at INTEGER;
ALTER TABLE aggregate ADD COLUMN erased_version TEXT;
ALTER TABLE aggregate ADD COLUMN removal INTEGER NOT NULL DEFAULT 0;
CREATE INDEX aggregate_removals ON aggregate (tenant, id) WHERE removal > 0;
-- What has ended, by when: for whoever deletes what is old.
CREATE INDEX aggregate_ends ON aggregate (tenant, ended_at) WHERE ended_at IS NOT NULL;
ALTER TABLE conversation ADD COLUMN erased_at INTEGER;

-- Whether another entry has the same large payload.
CREATE INDEX journal_blobs ON journal (blob) WHERE blob IS NOT NULL;
