-- What tenants and their API keys may spend in one hour, day or month of UTC, and have spent. `key_id` is empty for the
-- tenant's own line; `told` is the highest per cent somebody was told of.
CREATE TABLE budget_line (
    tenant      TEXT NOT NULL,
    per         TEXT NOT NULL,
    begins      INTEGER NOT NULL,
    key_id      TEXT NOT NULL,
    spent_nanos INTEGER NOT NULL,
    limit_nanos INTEGER,
    told        INTEGER NOT NULL,
    PRIMARY KEY (tenant, per, begins, key_id)
) STRICT, WITHOUT ROWID;

-- Allowances: what each process took of a line and has not settled. What a killed process held stays until the line's
-- window is over.
CREATE TABLE budget_hold (
    tenant     TEXT NOT NULL,
    per        TEXT NOT NULL,
    begins     INTEGER NOT NULL,
    key_id     TEXT NOT NULL,
    holder     INTEGER NOT NULL,
    held_nanos INTEGER NOT NULL,
    PRIMARY KEY (tenant, per, begins, key_id, holder)
) STRICT, WITHOUT ROWID;
CREATE INDEX budget_hold_holders ON budget_hold (holder);

-- `settled` is the number of the holder's last settlement.
CREATE TABLE budget_holder (
    id        INTEGER PRIMARY KEY AUTOINCREMENT,
    opened_at INTEGER NOT NULL,
    settled   INTEGER NOT NULL
) STRICT;

-- What was spent, by day and by all that costs are summed up by.
CREATE TABLE daily_cost (
    company_id         TEXT NOT NULL,
    date               TEXT NOT NULL,
    key_id             TEXT NOT NULL,
    workflow           TEXT NOT NULL,
    agent_name         TEXT NOT NULL,
    requested_profile  TEXT NOT NULL,
    selected_model     TEXT NOT NULL,
    selected_provider  TEXT NOT NULL,
    calls              INTEGER NOT NULL,
    answered           INTEGER NOT NULL,
    estimated          INTEGER NOT NULL,
    cost_nanos         INTEGER NOT NULL,
    input_tokens       INTEGER NOT NULL,
    output_tokens      INTEGER NOT NULL,
    cached_tokens      INTEGER NOT NULL,
    cache_write_tokens INTEGER NOT NULL,
    latency_ms         INTEGER NOT NULL,
    PRIMARY KEY (company_id, date, key_id, workflow, agent_name, requested_profile, selected_model, selected_provider)
) STRICT, WITHOUT ROWID;

-- Seed 004's summary, always fresh: its columns, and whose it is.
CREATE VIEW daily_cost_summary AS
SELECT
    company_id,
    date,
    selected_model,
    requested_profile,
    sum(calls) AS total_calls,
    sum(cost_nanos) / 1e9 AS total_cost_usd,
    sum(cost_nanos) / 1e9 / sum(calls) AS avg_cost_usd,
    sum(input_tokens + cached_tokens + cache_write_tokens + output_tokens) AS total_tokens,
    sum(latency_ms) * 1.0 / sum(calls) AS avg_latency_ms,
    sum(answered) * 1.0 / sum(calls) AS success_rate
FROM daily_cost
GROUP BY company_id, date, selected_model, requested_profile;

-- A desk item need not be about a run.
CREATE TABLE desk_next (
    id        TEXT PRIMARY KEY,
    tenant    TEXT NOT NULL,
    run       TEXT,
    kind      TEXT NOT NULL,
    title     TEXT NOT NULL,
    details   TEXT NOT NULL,
    opened_at INTEGER NOT NULL,
    deadline  INTEGER,
    closed_at INTEGER,
    outcome   TEXT
) STRICT;
INSERT INTO desk_next (rowid, id, tenant, run, kind, title, details, opened_at, deadline, closed_at, outcome)
SELECT rowid, id, tenant, run, kind, title, details, opened_at, deadline, closed_at, outcome FROM desk;
DROP TABLE desk;
ALTER TABLE desk_next RENAME TO desk;
CREATE INDEX desk_open ON desk (tenant, opened_at) WHERE closed_at IS NULL;
CREATE INDEX desk_runs ON desk (run) WHERE run IS NOT NULL;
