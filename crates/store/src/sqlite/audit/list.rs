//! Queries of the audit trail for any filter.

use baton_core::audit::AuditEntry;
use baton_core::id::{RunId, TenantId};
use baton_core::money::Usd;
use baton_core::time::Time;
use baton_core::tool::{AuditDetails, AuditRow};
use baton_ports::audit::{AuditFilter, AuditOrder};
use rusqlite::{Connection, Row, params};

use super::super::codec;
use super::super::read::rows;
use super::super::sql::numbered;

/// The view to read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum TrailView {
    /// Every row as it was written.
    Trail,
    /// The current state of each call.
    Latest,
}

pub(super) fn page(
    connection: &Connection,
    of: TrailView,
    tenant: &TenantId,
    filter: &AuditFilter,
) -> rusqlite::Result<Vec<AuditEntry>> {
    let mut query = connection.prepare_cached(&numbered(&query(of, filter)))?;
    let end = match filter.order {
        AuditOrder::OldestFirst => 0,
        AuditOrder::NewestFirst => i64::MAX,
    };
    let cursor = filter.cursor.map_or(end, |seq| i64::try_from(seq).unwrap_or(i64::MAX));
    let values = params![
        tenant.as_str(),
        cursor,
        rows(filter.limit),
        filter.run.as_ref().map(RunId::as_str),
        filter.person,
        filter.action,
        filter.status.map(codec::audit_word),
        filter.from.map(Time::as_ms),
        filter.to.map(Time::as_ms),
    ];
    query.query_map(values, entry)?.collect()
}

/// A run or a person has few rows: if one is given, its index must be used; `+` disables the others.
fn query(of: TrailView, filter: &AuditFilter) -> String {
    // An erasure is about no call.
    let (table, erases) = match of {
        TrailView::Trail => ("audit_trail", "erases"),
        TrailView::Latest => ("audit_latest", "NULL"),
    };
    let which = match (&filter.run, &filter.person) {
        (Some(_), _) => "+company_id = $1 AND run = $4 AND +seq",
        (None, _) => "company_id = $1 AND seq",
    };
    let (behind, order) = match filter.order {
        AuditOrder::OldestFirst => (">", "ASC"),
        AuditOrder::NewestFirst => ("<", "DESC"),
    };
    let asked = |is: bool, asked: &'static str, unasked: &'static str| if is { asked } else { unasked };
    let person = match (&filter.run, &filter.person) {
        (Some(_), Some(_)) => "+user_id = $5",
        (None, Some(_)) => "user_id = $5",
        (_, None) => "$5 IS NULL",
    };
    let conditions = [
        asked(filter.run.is_some(), "$4 IS NOT NULL", "$4 IS NULL"),
        person,
        asked(filter.action.is_some(), "action = $6", "$6 IS NULL"),
        asked(filter.status.is_some(), "status = $7", "$7 IS NULL"),
        asked(filter.from.is_some(), "+at >= $8", "$8 IS NULL"),
        asked(filter.to.is_some(), "+at < $9", "$9 IS NULL"),
    ];
    let conditions = conditions.join(" AND ");
    format!(
        "SELECT seq, at, company_id, run, call, changes, user_id, agent_name, conversation_id, action_type, action, \
         details, status, sent, error_code, cost_nanos, duration_ms, salt, sealed, hash, erased_at, {erases} FROM {table} \
         WHERE {which} {behind} $2 AND {conditions} ORDER BY seq {order} LIMIT $3"
    )
}

fn entry(row: &Row<'_>) -> rusqlite::Result<AuditEntry> {
    let details: Option<String> = row.get(11)?;
    let audit = AuditRow {
        at: codec::time(row, 1)?,
        company_id: row.get::<_, String>(2)?.into(),
        run: row.get::<_, Option<String>>(3)?.map(RunId::from),
        call: row.get(4)?,
        changes: row.get(5)?,
        user_id: row.get(6)?,
        agent_name: row.get(7)?,
        conversation_id: row.get(8)?,
        action_type: row.get(9)?,
        action: row.get(10)?,
        details: details.clone().map(AuditDetails::from_text).unwrap_or_default(),
        status: codec::audit_status(row, 12)?,
        sent: row.get(13)?,
        error_code: row.get(14)?,
        cost: Usd::from_nanos(row.get(15)?),
        duration_ms: row.get(16)?,
        erases: codec::maybe_json(row, 21)?.unwrap_or_default(),
    };
    Ok(AuditEntry {
        seq: row.get(0)?,
        row: audit,
        details: details.unwrap_or_default(),
        salt: row.get(17)?,
        sealed: row.get(18)?,
        hash: row.get(19)?,
        erased_at: codec::maybe_time(row, 20)?,
    })
}

/// Each query with the index that it must use, for the test of query plans.
#[cfg(test)]
pub(in crate::sqlite) fn queries() -> Vec<(String, &'static str)> {
    let of_run = AuditFilter { run: Some("r".into()), ..AuditFilter::default() };
    let of_person = AuditFilter { person: Some("p".into()), ..AuditFilter::default() };
    let both = AuditFilter { person: Some("p".into()), ..of_run.clone() };
    let newest = AuditFilter { order: AuditOrder::NewestFirst, ..AuditFilter::default() };
    vec![
        (query(TrailView::Trail, &AuditFilter::default()), "audit_trail_places"),
        (query(TrailView::Trail, &newest), "audit_trail_places"),
        (query(TrailView::Trail, &of_run), "audit_trail_runs"),
        (query(TrailView::Trail, &both), "audit_trail_runs"),
        (query(TrailView::Trail, &of_person), "audit_trail_persons"),
        (query(TrailView::Latest, &of_run), "audit_trail_runs"),
        (query(TrailView::Latest, &newest), "audit_trail_places"),
    ]
}
