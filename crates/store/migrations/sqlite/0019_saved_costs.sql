-- What tools that a selection left out would have cost: nothing of it was spent.
ALTER TABLE daily_cost ADD COLUMN saved_nanos INTEGER NOT NULL DEFAULT 0;

-- A row of what was saved alone has no calls, and so nothing on average.
DROP VIEW daily_cost_summary;
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
GROUP BY company_id, date, selected_model, requested_profile
HAVING sum(calls) > 0;
