-- Which model was asked and why: one row an attempt.
CREATE TABLE routing_decision (
    id                INTEGER PRIMARY KEY,
    tenant            TEXT NOT NULL,
    key               TEXT NOT NULL,
    attempt           INTEGER NOT NULL,
    run               TEXT,
    workflow          TEXT,
    node              TEXT,
    agent             TEXT NOT NULL,
    key_id            TEXT,
    profile           TEXT NOT NULL,
    model             TEXT NOT NULL,
    provider          TEXT NOT NULL,
    estimated_tokens  INTEGER NOT NULL,
    estimated_nanos   INTEGER NOT NULL,
    input_tokens      INTEGER,
    output_tokens     INTEGER,
    cached_tokens     INTEGER,
    cache_write_tokens INTEGER,
    cost_nanos        INTEGER NOT NULL,
    latency_ms        INTEGER NOT NULL,
    success           INTEGER NOT NULL,
    cached            INTEGER NOT NULL,
    error_code        TEXT,
    error_message     TEXT,
    explanation       TEXT,
    created_at        INTEGER NOT NULL
) STRICT;
CREATE INDEX routing_decision_keys ON routing_decision (tenant, key);
CREATE INDEX routing_decision_runs ON routing_decision (tenant, run) WHERE run IS NOT NULL;
CREATE INDEX routing_decision_times ON routing_decision (tenant, created_at);

-- The same in the words and units of seed 004: US dollars, and a time that its SQL can take the date of.
CREATE VIEW llm_routing_decisions AS
SELECT id, tenant, workflow AS workflow_id, node AS node_id, run AS execution_id, agent AS agent_name, key_id,
    profile AS requested_profile, model AS selected_model, provider AS selected_provider, estimated_tokens,
    estimated_nanos / 1e9 AS estimated_cost,
    input_tokens + cached_tokens + cache_write_tokens AS actual_input_tokens, output_tokens AS actual_output_tokens,
    cost_nanos / 1e9 AS actual_cost, latency_ms, success, cached, error_code, error_message,
    strftime('%Y-%m-%dT%H:%M:%fZ', created_at / 1000.0, 'unixepoch') AS created_at
FROM routing_decision;

-- What processes tell each other of models that fail.
CREATE TABLE model_circuit (
    model      TEXT PRIMARY KEY,
    state      TEXT NOT NULL,
    open_until INTEGER,
    since      INTEGER NOT NULL,
    told_by    TEXT NOT NULL,
    reason     TEXT NOT NULL
) STRICT, WITHOUT ROWID;
