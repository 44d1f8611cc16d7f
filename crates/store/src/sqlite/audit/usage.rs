//! Sums up the uses of tools. The rows of the given period are read once; a million takes a second or two.

use std::collections::BTreeMap;

use baton_core::id::TenantId;
use baton_core::money::Usd;
use baton_core::time::{Time, TimeZone};
use baton_core::tool::{AuditDetails, AuditRow};
use baton_core::usage::{UsageTally, is_tool_use};
use baton_ports::audit::{UsageFilter, UsageSum};
use rusqlite::{Connection, Row, params};

use super::super::codec;
use super::super::sql::numbered;

pub(super) fn sums(connection: &Connection, filter: &UsageFilter) -> rusqlite::Result<Vec<UsageSum>> {
    let mut query = connection.prepare_cached(&numbered(&query(filter)))?;
    let values = params![
        filter.tenant.as_ref().map(TenantId::as_str),
        filter.from.map_or(i64::MIN, Time::as_ms),
        filter.to.map_or(i64::MAX, Time::as_ms),
        filter.action,
    ];
    let zone = filter.zone.clone().unwrap_or(TimeZone::UTC);
    let mut sums = BTreeMap::<Vec<String>, UsageTally>::new();
    for row in query.query_map(values, used)? {
        let row = row?;
        if is_tool_use(&row) {
            let parts = filter.by.iter().map(|part| part.of(&row, &zone)).collect();
            sums.entry(parts).or_default().add(&row);
        }
    }
    Ok(sums.into_iter().map(|(parts, tally)| UsageSum { parts, tally }).collect())
}

fn query(filter: &UsageFilter) -> String {
    let of_tenant = if filter.tenant.is_some() { "company_id = $1" } else { "$1 IS NULL" };
    let of_action = if filter.action.is_some() { "action = $4" } else { "$4 IS NULL" };
    format!(
        "SELECT at, company_id, user_id, agent_name, action, status, sent, changes, error_code, cost_nanos, duration_ms, \
         call IS NOT NULL FROM audit_trail WHERE {of_tenant} AND at >= $2 AND at < $3 AND {of_action}"
    )
}

/// The fields of a row that count; the others are left empty.
fn used(row: &Row<'_>) -> rusqlite::Result<AuditRow> {
    Ok(AuditRow {
        at: codec::time(row, 0)?,
        company_id: row.get::<_, String>(1)?.into(),
        run: None,
        call: row.get::<_, bool>(11)?.then(String::new),
        changes: row.get(7)?,
        user_id: row.get(2)?,
        agent_name: row.get(3)?,
        conversation_id: None,
        action_type: String::new(),
        action: row.get(4)?,
        details: AuditDetails::default(),
        status: codec::audit_status(row, 5)?,
        sent: row.get(6)?,
        error_code: row.get(8)?,
        cost: Usd::from_nanos(row.get(9)?),
        duration_ms: row.get(10)?,
        erases: Vec::new(),
    })
}
