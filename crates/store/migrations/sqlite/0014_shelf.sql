-- Who made a version ('': it came from the project's files), and when it last became the active one (NULL: never).
ALTER TABLE version ADD COLUMN made_by TEXT NOT NULL DEFAULT '';
ALTER TABLE version ADD COLUMN activated_at INTEGER;
UPDATE version SET activated_at = created_at;

-- How a workflow stands: how often it has changed, whether it is put away, and who shares its runs, as JSON.
CREATE TABLE workflow (
    tenant      TEXT NOT NULL,
    workflow    TEXT NOT NULL,
    changes     INTEGER NOT NULL,
    archived_at INTEGER,
    shares      TEXT NOT NULL DEFAULT '[]',
    PRIMARY KEY (tenant, workflow)
) STRICT, WITHOUT ROWID;
INSERT INTO workflow (tenant, workflow, changes) SELECT tenant, workflow, count(*) FROM version GROUP BY tenant, workflow;
