-- Times are whole milliseconds since the Unix epoch. Numbers that name rows of hot tables are integers; names people
-- and other rooms use are kept once, in `aggregate`.

-- Runs, conversations and desks: one row each. `owner` is a `lease.process`, and nobody where it is null. `called` is 1
-- where the inbox has something that whoever must look at it has not been told of in another way.
CREATE TABLE aggregate (
    id         INTEGER PRIMARY KEY,
    seq        INTEGER NOT NULL,
    owner      INTEGER,
    epoch      INTEGER NOT NULL,
    wake_at    INTEGER,
    called     INTEGER NOT NULL,
    items      INTEGER NOT NULL,
    name       TEXT NOT NULL UNIQUE,
    tenant     TEXT NOT NULL,
    kind       TEXT NOT NULL,
    workflow   TEXT NOT NULL,
    parent     TEXT,
    created_at INTEGER NOT NULL,
    state      TEXT,
    started_at INTEGER,
    ended_at   INTEGER,
    cost_nanos INTEGER NOT NULL,
    fault      TEXT
) STRICT;

-- Parked rows are in none of the next three, so finding work costs what there is to do, not what there is.
CREATE INDEX aggregate_timers ON aggregate (wake_at) WHERE owner IS NULL AND wake_at IS NOT NULL;
CREATE INDEX aggregate_called ON aggregate (owner) WHERE called = 1;
CREATE INDEX aggregate_owned ON aggregate (owner) WHERE owner IS NOT NULL;
CREATE INDEX aggregate_states ON aggregate (tenant, state) WHERE state IS NOT NULL;

-- The only truth. Rows are laid down in commit order, so a group of appends of many aggregates dirties few pages.
CREATE TABLE journal (
    id        INTEGER PRIMARY KEY,
    aggregate INTEGER NOT NULL,
    seq       INTEGER NOT NULL,
    at        INTEGER NOT NULL,
    payload   BLOB,
    blob      TEXT
) STRICT;
CREATE UNIQUE INDEX journal_entries ON journal (aggregate, seq);

-- Large payloads by SHA-256, each kept once.
CREATE TABLE blobs (
    hash TEXT PRIMARY KEY,
    body BLOB NOT NULL
) STRICT;

-- A cache of the fold.
CREATE TABLE snapshot (
    aggregate    INTEGER PRIMARY KEY,
    seq          INTEGER NOT NULL,
    fold_version INTEGER NOT NULL,
    state        BLOB NOT NULL
) STRICT;

-- What is still open. A consumed item leaves this table in the append that consumed it.
CREATE TABLE inbox (
    aggregate  INTEGER NOT NULL,
    item       INTEGER NOT NULL,
    at         INTEGER NOT NULL,
    command_id TEXT NOT NULL,
    payload    BLOB NOT NULL,
    PRIMARY KEY (aggregate, item)
) STRICT, WITHOUT ROWID;

-- Every command id an aggregate was ever sent, so that none is taken twice.
CREATE TABLE inbox_seen (
    aggregate  INTEGER NOT NULL,
    command_id TEXT NOT NULL,
    PRIMARY KEY (aggregate, command_id)
) STRICT, WITHOUT ROWID;

-- One row per living process incarnation; `taken` once somebody took over what it owned.
CREATE TABLE lease (
    process INTEGER PRIMARY KEY AUTOINCREMENT,
    until   INTEGER NOT NULL,
    taken   INTEGER NOT NULL DEFAULT 0
) STRICT;

CREATE TABLE audit_trail (
    id              INTEGER PRIMARY KEY,
    at              INTEGER NOT NULL,
    company_id      TEXT NOT NULL,
    run             TEXT NOT NULL,
    user_id         TEXT,
    agent_name      TEXT,
    conversation_id TEXT,
    action_type     TEXT NOT NULL,
    action          TEXT NOT NULL,
    details         TEXT NOT NULL,
    status          TEXT NOT NULL,
    duration_ms     INTEGER NOT NULL
) STRICT;
CREATE INDEX audit_trail_runs ON audit_trail (run);
CREATE INDEX audit_trail_companies ON audit_trail (company_id);
CREATE TRIGGER audit_trail_keeps_its_rows BEFORE UPDATE ON audit_trail
BEGIN SELECT RAISE(ABORT, 'audit_trail is append-only'); END;
CREATE TRIGGER audit_trail_loses_no_row BEFORE DELETE ON audit_trail
BEGIN SELECT RAISE(ABORT, 'audit_trail is append-only'); END;

-- What a person must see or decide.
CREATE TABLE desk (
    id        TEXT PRIMARY KEY,
    tenant    TEXT NOT NULL,
    run       TEXT NOT NULL,
    kind      TEXT NOT NULL,
    title     TEXT NOT NULL,
    details   TEXT NOT NULL,
    opened_at INTEGER NOT NULL,
    deadline  INTEGER,
    closed_at INTEGER,
    outcome   TEXT
) STRICT;
CREATE INDEX desk_open ON desk (tenant, opened_at) WHERE closed_at IS NULL;
CREATE INDEX desk_runs ON desk (run);

-- Bundles by SHA-256 of their text.
CREATE TABLE bundle (
    hash TEXT PRIMARY KEY,
    body BLOB NOT NULL
) STRICT;

CREATE TABLE version (
    tenant     TEXT NOT NULL,
    workflow   TEXT NOT NULL,
    revision   INTEGER NOT NULL,
    label      TEXT NOT NULL,
    bundle     TEXT NOT NULL,
    active     INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    PRIMARY KEY (tenant, workflow, revision)
) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX version_active ON version (tenant, workflow) WHERE active = 1;

-- Small records of internal tools.
CREATE TABLE record (
    tenant  TEXT NOT NULL,
    space   TEXT NOT NULL,
    key     TEXT NOT NULL,
    version INTEGER NOT NULL,
    at      INTEGER NOT NULL,
    value   TEXT NOT NULL,
    PRIMARY KEY (tenant, space, key)
) STRICT, WITHOUT ROWID;

-- Ranges of one resource never overlap: what one key holds in overlapping pieces is kept as one row.
CREATE TABLE held_range (
    tenant   TEXT NOT NULL,
    space    TEXT NOT NULL,
    resource TEXT NOT NULL,
    begins   INTEGER NOT NULL,
    ends     INTEGER NOT NULL,
    key      TEXT NOT NULL,
    at       INTEGER NOT NULL,
    PRIMARY KEY (tenant, space, resource, begins)
) STRICT, WITHOUT ROWID;
CREATE INDEX held_range_keys ON held_range (tenant, space, key);

-- Written to find out whether writing works again.
CREATE TABLE probe (
    id     INTEGER PRIMARY KEY CHECK (id = 1),
    writes INTEGER NOT NULL
) STRICT;
INSERT INTO probe (id, writes) VALUES (1, 0);
