//! The audit trail's rows. The table refuses updates and deletes by itself; what links one row to the one before it
//! belongs here, where every row passes in commit order.

use baton_core::tool::AuditRow;
use rusqlite::params;

use super::codec;
use super::session::Session;

/// Adds one row; `details` is the row's, as text.
pub(super) fn insert(session: &mut Session<'_>, row: &AuditRow, details: &str) -> rusqlite::Result<()> {
    let columns = params![
        row.at.as_ms(),
        row.company_id.as_str(),
        row.run.as_str(),
        row.user_id,
        row.agent_name,
        row.conversation_id,
        row.action_type,
        row.action,
        details,
        codec::audit_word(row.status),
        row.duration_ms,
    ];
    session.hot.audit.execute(columns).map(drop)
}
