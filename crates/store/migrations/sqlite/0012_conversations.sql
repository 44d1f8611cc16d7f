-- Conversations as lists show them; each row is written with the append that changed it.
CREATE TABLE conversation (
    id         INTEGER PRIMARY KEY,
    name       TEXT NOT NULL UNIQUE,
    tenant     TEXT NOT NULL,
    workflow   TEXT NOT NULL,
    state      TEXT NOT NULL,
    status     TEXT NOT NULL,
    owner      TEXT NOT NULL,
    person     TEXT,
    number     INTEGER NOT NULL,
    user_id    TEXT,
    channel    TEXT NOT NULL,
    hil_reason TEXT,
    confidence REAL,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    ended_at   INTEGER,
    messages   INTEGER NOT NULL,
    runs       INTEGER NOT NULL,
    cost_nanos INTEGER NOT NULL,
    rating     INTEGER,
    last       TEXT
) STRICT;
CREATE INDEX conversation_tenants ON conversation (tenant, status);
CREATE INDEX conversation_people ON conversation (tenant, person) WHERE person IS NOT NULL;
