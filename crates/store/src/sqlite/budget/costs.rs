//! Costs by day and by every dimension.

use baton_core::model::TokenUsage;
use baton_core::money::Usd;
use baton_ports::budget::{COST_ROWS_MAX, CallSpend, CostDimension, CostFilter, CostRow};
use rusqlite::{Connection, Row, params};

use super::super::session::WriterSession;
use super::super::sql::numbered;

pub(super) fn add(session: &WriterSession<'_>, spend: &CallSpend) -> rusqlite::Result<()> {
    let CallSpend { account, usage, .. } = spend;
    let mut add = session.statement(
        "INSERT INTO daily_cost (company_id, date, key_id, workflow, agent_name, requested_profile, selected_model, \
         selected_provider, calls, answered, estimated, cost_nanos, input_tokens, output_tokens, cached_tokens, \
         cache_write_tokens, latency_ms, saved_nanos) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18) \
         ON CONFLICT (company_id, date, key_id, workflow, agent_name, requested_profile, selected_model, \
         selected_provider) DO UPDATE SET calls = calls + excluded.calls, answered = answered + excluded.answered, \
         estimated = estimated + excluded.estimated, cost_nanos = cost_nanos + excluded.cost_nanos, \
         input_tokens = input_tokens + excluded.input_tokens, \
         output_tokens = output_tokens + excluded.output_tokens, \
         cached_tokens = cached_tokens + excluded.cached_tokens, \
         cache_write_tokens = cache_write_tokens + excluded.cache_write_tokens, \
         latency_ms = latency_ms + excluded.latency_ms, saved_nanos = saved_nanos + excluded.saved_nanos",
    )?;
    add.execute(params![
        spend.tenant.as_str(),
        spend.at.to_date(),
        spend.key_id.as_deref().unwrap_or_default(),
        account.workflow,
        account.agent,
        account.profile,
        account.model,
        account.provider,
        spend.calls,
        spend.answered,
        spend.estimated,
        spend.cost.as_nanos(),
        usage.input_tokens,
        usage.output_tokens,
        usage.cached_tokens,
        usage.cache_write_tokens,
        spend.latency_ms,
        spend.saved.as_nanos(),
    ])
    .map(drop)
}

pub(super) fn read(connection: &Connection, filter: &CostFilter) -> rusqlite::Result<Vec<CostRow>> {
    let mut by = filter.by.clone();
    by.sort_unstable();
    by.dedup();
    let mut query = connection.prepare_cached(&numbered(&query_of(filter, &by)))?;
    let tenant = filter.tenant.as_ref().map(|tenant| tenant.as_str());
    let rows = query.query_map(params![tenant, filter.from, filter.to, COST_ROWS_MAX], |row| cost_row(row, &by))?;
    rows.collect()
}

fn query_of(filter: &CostFilter, by: &[CostDimension]) -> String {
    let columns: Vec<&str> = by.iter().copied().map(column).collect();
    let (apart, group) = match columns.as_slice() {
        [] => (String::new(), String::new()),
        some => (format!(", {}", some.join(", ")), format!("GROUP BY {}", some.join(", "))),
    };
    // Newest day first; within a day, most expensive first.
    let order = if by.contains(&CostDimension::Day) { "date DESC, " } else { "" };
    let whose = if filter.tenant.is_some() { "company_id = $1" } else { "$1 IS NULL" };
    format!(
        "SELECT coalesce(sum(calls), 0), coalesce(sum(answered), 0), coalesce(sum(estimated), 0), \
         coalesce(sum(cost_nanos), 0) AS cost, coalesce(sum(input_tokens), 0), coalesce(sum(output_tokens), 0), \
         coalesce(sum(cached_tokens), 0), coalesce(sum(cache_write_tokens), 0), coalesce(sum(latency_ms), 0), \
         coalesce(sum(saved_nanos), 0){apart} \
         FROM daily_cost WHERE {whose} AND ($2 IS NULL OR date >= $2) AND ($3 IS NULL OR date <= $3) {group} \
         ORDER BY {order}cost DESC{apart} LIMIT $4"
    )
}

fn column(by: CostDimension) -> &'static str {
    match by {
        CostDimension::Day => "date",
        CostDimension::Tenant => "company_id",
        CostDimension::Key => "key_id",
        CostDimension::Workflow => "workflow",
        CostDimension::Agent => "agent_name",
        CostDimension::Profile => "requested_profile",
        CostDimension::Model => "selected_model",
        CostDimension::Provider => "selected_provider",
    }
}

fn cost_row(row: &Row<'_>, by: &[CostDimension]) -> rusqlite::Result<CostRow> {
    const FIRST_PART: usize = 10;
    let mut found = CostRow {
        calls: row.get(0)?,
        answered: row.get(1)?,
        estimated: row.get(2)?,
        cost: Usd::from_nanos(row.get(3)?),
        usage: TokenUsage {
            input_tokens: row.get(4)?,
            output_tokens: row.get(5)?,
            cached_tokens: row.get(6)?,
            cache_write_tokens: row.get(7)?,
            // The price of the cache duration is already included in the cost.
            ..TokenUsage::default()
        },
        latency_ms: row.get(8)?,
        saved: Usd::from_nanos(row.get(9)?),
        ..CostRow::default()
    };
    for (place, part) in by.iter().enumerate() {
        let text: String = row.get(FIRST_PART + place)?;
        match part {
            CostDimension::Day => found.day = Some(text),
            CostDimension::Tenant => found.tenant = Some(text.into()),
            CostDimension::Key => found.key = Some(text),
            CostDimension::Workflow => found.workflow = Some(text),
            CostDimension::Agent => found.agent = Some(text),
            CostDimension::Profile => found.profile = Some(text),
            CostDimension::Model => found.model = Some(text),
            CostDimension::Provider => found.provider = Some(text),
        }
    }
    Ok(found)
}
