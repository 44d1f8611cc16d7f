//! The tool cache port: an ordinary table, so that an erasure finds a person's cached answers, and no process has a
//! copy.

use std::sync::Arc;

use async_trait::async_trait;
use baton_core::id::TenantId;
use baton_core::time::Time;
use baton_ports::journal::JournalError;
use baton_ports::tool_cache::{ANSWER_BYTES_MAX, ANSWERS_MAX, BYTES_MAX, CachedAnswer, ToolCache, ToolCacheKey};
use rusqlite::{OptionalExtension, params};
use serde_json::Value;

use super::session::WriterSession;
use super::sql::numbered;
use super::{SqliteStore, codec};

/// Expired answers that are deleted when one is stored.
const TIDIED: usize = 32;

#[async_trait]
impl ToolCache for SqliteStore {
    async fn find(&self, tenant: &TenantId, key: &ToolCacheKey, now: Time) -> Result<Option<Arc<Value>>, JournalError> {
        let (tenant, key) = (tenant.clone(), *key);
        self.read(move |connection| {
            let mut find = connection.prepare_cached(&numbered(
                "SELECT output FROM tool_answer WHERE tenant = $1 AND key = $2 AND expires_at > $3",
            ))?;
            let found = find.query_row(params![tenant.as_str(), key, now.as_ms()], |row| codec::json(row, 0));
            Ok(found.optional()?.map(Arc::new))
        })
        .await
    }

    async fn keep(&self, answer: CachedAnswer) -> Result<(), JournalError> {
        let output = answer.output.to_string();
        if output.len() > ANSWER_BYTES_MAX {
            return Ok(());
        }
        self.write_relaxed(output.len(), move |session| keep(session, &answer, &output).map(Ok)).await
    }
}

fn keep(session: &WriterSession<'_>, answer: &CachedAnswer, output: &str) -> rusqlite::Result<()> {
    let tenant = answer.tenant.as_str();
    let mut tidy = session.statement(&format!(
        "DELETE FROM tool_answer WHERE id IN (SELECT id FROM tool_answer WHERE expires_at <= $1 LIMIT {TIDIED})"
    ))?;
    tidy.execute([answer.created_at.as_ms()])?;
    session
        .statement("DELETE FROM tool_answer WHERE tenant = $1 AND key = $2")?
        .execute(params![tenant, answer.key])?;
    let bytes = output.len() as u64;
    let mut size = session.statement("SELECT answers, bytes FROM tool_answer_size WHERE id = 1")?;
    let mut oldest = session.statement("DELETE FROM tool_answer WHERE id = (SELECT min(id) FROM tool_answer)")?;
    loop {
        let (answers, taken): (u64, u64) = size.query_row([], |row| Ok((row.get(0)?, row.get(1)?)))?;
        if (answers < ANSWERS_MAX && taken + bytes <= BYTES_MAX) || oldest.execute([])? == 0 {
            break;
        }
    }
    let mut insert = session.statement(
        "INSERT INTO tool_answer (tenant, key, tool, user_id, conversation_id, created_at, expires_at, bytes, output) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
    )?;
    let row = params![
        tenant,
        answer.key,
        &*answer.tool,
        answer.user_id,
        answer.conversation_id,
        answer.created_at.as_ms(),
        answer.expires_at.as_ms(),
        bytes,
        output
    ];
    insert.execute(row).map(drop)
}
