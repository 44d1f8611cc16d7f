//! Converts rows from before the hash chain to a chain.

use std::collections::BTreeMap;

use baton_core::audit::{ChainTip, seal};
use baton_core::id::RunId;
use baton_core::money::Usd;
use baton_core::tool::{AuditRow, AuditStatus};
use rusqlite::{Connection, Row, params};
use serde_json::Value;

use super::super::codec;
use super::super::sql::numbered;
use super::TIP_MOVES;

/// The layout of that time.
const INSERT: &str = "INSERT INTO audit_trail (seq, at, company_id, run, call, changes, user_id, agent_name, \
     conversation_id, action_type, action, details, status, sent, error_code, cost_nanos, duration_ms, salt, sealed, \
     hash) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20)";

/// Chains the rows of `audit_unchained` in the order in which they were written, and drops the table. Changes made
/// before now cannot be detected: the chain starts here.
pub(in crate::sqlite) fn chain_legacy_rows(connection: &Connection) -> rusqlite::Result<()> {
    let mut all = connection.prepare(
        "SELECT at, company_id, run, user_id, agent_name, conversation_id, action_type, action, details, status, \
         duration_ms FROM audit_unchained ORDER BY id",
    )?;
    let mut insert = connection.prepare(&numbered(INSERT))?;
    let mut tips = BTreeMap::<String, ChainTip>::new();
    for row in all.query_map([], legacy_row)? {
        let row = row?;
        let salt = super::salt().map_err(|reason| rusqlite::Error::ToSqlConversionFailure(reason.into()))?;
        let sealed = seal(&salt, &row, row.details.text());
        let tip = tips.entry(row.company_id.to_string()).or_insert(ChainTip::NONE);
        *tip = tip.with_row(&row, &sealed);
        insert.execute(params![
            tip.seq,
            row.at.as_ms(),
            row.company_id.as_str(),
            row.run.as_ref().map(RunId::as_str),
            row.call,
            row.changes,
            row.user_id,
            row.agent_name,
            row.conversation_id,
            row.action_type,
            row.action,
            row.details.text(),
            codec::audit_word(row.status),
            row.sent,
            row.error_code,
            row.cost.as_nanos(),
            row.duration_ms,
            salt,
            sealed,
            tip.hash,
        ])?;
    }
    drop(all);
    let mut moves = connection.prepare(&numbered(TIP_MOVES))?;
    for (company, tip) in tips {
        moves.execute(params![company, tip.seq, tip.hash])?;
    }
    connection.execute_batch("DROP TABLE audit_unchained")
}

fn legacy_row(row: &Row<'_>) -> rusqlite::Result<AuditRow> {
    let details: Value = codec::json(row, 8)?;
    let status = codec::audit_status(row, 9)?;
    let text = |name: &str| details.get(name).and_then(Value::as_str).map(str::to_owned);
    let error_code = text("error_code");
    let changes = status == AuditStatus::Compensated;
    let cost = Usd::from_f64(details.get("cost_usd").and_then(Value::as_f64).unwrap_or_default());
    let call = text("key").and_then(|key| call_of(&key));
    Ok(AuditRow {
        at: codec::time(row, 0)?,
        company_id: row.get::<_, String>(1)?.into(),
        run: Some(row.get::<_, String>(2)?.into()),
        call,
        changes,
        user_id: row.get(3)?,
        agent_name: row.get(4)?,
        conversation_id: row.get(5)?,
        action_type: row.get(6)?,
        action: row.get(7)?,
        details: details.into(),
        status,
        // It was not recorded: a call that took time was sent.
        sent: row.get::<_, u64>(10)? > 0,
        error_code,
        cost,
        duration_ms: row.get(10)?,
        erases: Vec::new(),
    })
}

/// The call in an effect's key, `run/node/call/generation`, with the suffix `/undo` for a compensation. The key does
/// not contain the call that was compensated.
fn call_of(key: &str) -> Option<String> {
    let (act, undo) = match key.strip_suffix("/undo") {
        Some(act) => (act, "/undo"),
        None => (key, ""),
    };
    let (call, _generation) = act.rsplit_once('/')?;
    Some(format!("{call}{undo}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_names_its_call() {
        let cases = [
            ("r/book/0/2", "r/book/0"),
            ("r/each[3]/book/1/0", "r/each[3]/book/1"),
            ("r/book/0/0/undo", "r/book/0/undo"),
        ];
        for (key, expect) in cases {
            assert_eq!(call_of(key).as_deref(), Some(expect));
        }
        assert_eq!(call_of("none"), None);
    }
}
