-- How often tools were called, for all processes together: one row a rate limit of a tenant. `taken` is the number of turns
-- it has given so far, `waiting` how many of `rate_reservation` are its own, `seen_at` the latest time anybody asked at.
-- After `expires_at` the row says nothing any more.
CREATE TABLE rate_window (
    id         INTEGER PRIMARY KEY,
    tenant     TEXT NOT NULL,
    name       TEXT NOT NULL,
    taken      INTEGER NOT NULL,
    waiting    INTEGER NOT NULL,
    seen_at    INTEGER NOT NULL,
    expires_at INTEGER NOT NULL,
    UNIQUE (tenant, name)
) STRICT;
CREATE INDEX rate_window_expiry ON rate_window (expires_at);

-- When the newest turns of a window are: as many as its limit counts.
CREATE TABLE rate_turn (
    window_id INTEGER NOT NULL,
    number    INTEGER NOT NULL,
    at        INTEGER NOT NULL,
    PRIMARY KEY (window_id, number)
) STRICT, WITHOUT ROWID;

-- Turns that are reserved for calls that wait. `call` is the SHA-256 of the call's key.
CREATE TABLE rate_reservation (
    window_id INTEGER NOT NULL,
    call      BLOB NOT NULL,
    at        INTEGER NOT NULL,
    PRIMARY KEY (window_id, call)
) STRICT, WITHOUT ROWID;
CREATE INDEX rate_reservation_times ON rate_reservation (window_id, at);

-- Answers of tools that only read. A row may go at any time: the tool is asked again.
CREATE TABLE tool_answer (
    id              INTEGER PRIMARY KEY,
    tenant          TEXT NOT NULL,
    key             BLOB NOT NULL,
    tool            TEXT NOT NULL,
    user_id         TEXT,
    conversation_id TEXT,
    created_at      INTEGER NOT NULL,
    expires_at      INTEGER NOT NULL,
    bytes           INTEGER NOT NULL,
    output          TEXT NOT NULL,
    UNIQUE (tenant, key)
) STRICT;
CREATE INDEX tool_answer_expiry ON tool_answer (expires_at);

-- What all answers take, whoever adds or deletes them.
CREATE TABLE tool_answer_size (
    id      INTEGER PRIMARY KEY CHECK (id = 1),
    answers INTEGER NOT NULL,
    bytes   INTEGER NOT NULL
) STRICT;
INSERT INTO tool_answer_size (id, answers, bytes) VALUES (1, 0, 0);
CREATE TRIGGER tool_answer_added AFTER INSERT ON tool_answer
BEGIN UPDATE tool_answer_size SET answers = answers + 1, bytes = bytes + NEW.bytes; END;
CREATE TRIGGER tool_answer_deleted AFTER DELETE ON tool_answer
BEGIN UPDATE tool_answer_size SET answers = answers - 1, bytes = bytes - OLD.bytes; END;

-- Services that tools of a tenant call, as all processes have found them.
CREATE TABLE service_circuit (
    tenant     TEXT NOT NULL,
    service    TEXT NOT NULL,
    failures   INTEGER NOT NULL,
    open_until INTEGER,
    since      INTEGER NOT NULL,
    PRIMARY KEY (tenant, service)
) STRICT, WITHOUT ROWID;
CREATE INDEX service_circuit_times ON service_circuit (since);
