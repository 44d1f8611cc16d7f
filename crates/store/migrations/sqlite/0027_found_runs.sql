-- What a run is found by: a hash of the customer it was begun for, and its version. NULL of runs begun before.
ALTER TABLE aggregate ADD COLUMN customer TEXT;
ALTER TABLE aggregate ADD COLUMN bundle TEXT;
UPDATE aggregate SET bundle = (
    SELECT json_extract(entry, '$.events[0].started.bundle') FROM (
        SELECT CAST(coalesce(journal.payload, blobs.body) AS TEXT) AS entry
        FROM journal LEFT JOIN blobs ON blobs.hash = journal.blob
        WHERE journal.aggregate = aggregate.id AND journal.seq = 1)
    WHERE json_valid(entry))
    WHERE kind = 'run';

-- Lists are newest first: each index has a run's time last, so that a page reads the rows it shows.
DROP INDEX aggregate_states;
CREATE INDEX aggregate_states ON aggregate (tenant, state, created_at) WHERE state IS NOT NULL;
CREATE INDEX aggregate_times ON aggregate (tenant, created_at) WHERE kind = 'run';
CREATE INDEX aggregate_workflows ON aggregate (tenant, workflow, created_at) WHERE kind = 'run';
CREATE INDEX aggregate_customers ON aggregate (tenant, customer, created_at) WHERE customer IS NOT NULL;
CREATE INDEX aggregate_bundles ON aggregate (tenant, bundle, created_at) WHERE bundle IS NOT NULL;
CREATE INDEX aggregate_faults ON aggregate (tenant, substr(fault, 1, instr(fault, ':') - 1), created_at)
    WHERE fault IS NOT NULL;
