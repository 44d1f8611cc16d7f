//! The feed port: entries by row id, which is their commit order.

use async_trait::async_trait;
use baton_core::id::{RunId, TenantId};
use baton_ports::feed::{ConversationActivity, FeedEntry, FeedSpace, JournalFeed};
use baton_ports::journal::JournalError;
use rusqlite::{Connection, params};

use super::SqliteStore;
use super::codec;
use super::sql::numbered;

/// Rows read per page.
const PIECE: i64 = 1_000;
/// Maximum size of the entries in one page, in bytes; a single entry may be larger.
const PIECE_BYTES_MAX: usize = 8 << 20;
/// Maximum number of tenants in one answer.
const TENANTS_MAX: usize = 100_000;

#[async_trait]
impl JournalFeed for SqliteStore {
    async fn tenants(&self, space: FeedSpace) -> Result<Vec<TenantId>, JournalError> {
        // The index covers only the first three spaces, and is used if the query names them literally. Secrets are
        // searched rarely, among all records.
        let which = match space {
            FeedSpace::Schedules => "space = 'schedule'",
            FeedSpace::Subscriptions => "space = 'subscription'",
            FeedSpace::Deliveries => "space = 'webhook_pending'",
            FeedSpace::Secrets => "space IN ('secrets', 'hook_secret', 'subscription_secret')",
        };
        self.read(move |connection| {
            let sql = format!("SELECT DISTINCT tenant FROM record WHERE {which} ORDER BY tenant LIMIT {TENANTS_MAX}");
            let mut all = connection.prepare_cached(&sql)?;
            all.query_map([], |row| Ok(row.get::<_, String>(0)?.into()))?.collect()
        })
        .await
    }

    async fn newest(&self) -> Result<i64, JournalError> {
        self.read(newest).await
    }

    async fn conversation_activity(&self, after: i64) -> Result<(Vec<ConversationActivity>, i64), JournalError> {
        self.read(move |connection| conversation_activity(connection, after)).await
    }

    async fn journal_entries(&self, tenant: &TenantId, after: i64) -> Result<(Vec<FeedEntry>, i64), JournalError> {
        let tenant = tenant.clone();
        self.read(move |connection| journal_entries(connection, &tenant, after)).await
    }
}

fn newest(connection: &Connection) -> rusqlite::Result<i64> {
    connection.prepare_cached("SELECT coalesce(max(id), 0) FROM journal")?.query_row([], |row| row.get(0))
}

/// The last row of a page after `after`. It is read first, so that later commits are left for the next page.
fn page_end(connection: &Connection, after: i64) -> rusqlite::Result<i64> {
    Ok(newest(connection)?.min(after.saturating_add(PIECE)).max(after))
}

fn conversation_activity(connection: &Connection, after: i64) -> rusqlite::Result<(Vec<ConversationActivity>, i64)> {
    let up_to = page_end(connection, after)?;
    let mut piece = connection.prepare_cached(&numbered(
        "SELECT journal.id, tenant, name FROM journal JOIN aggregate ON aggregate.id = aggregate \
         WHERE journal.id > $1 AND journal.id <= $2 AND kind = 'conversation' AND erased_at IS NULL ORDER BY journal.id",
    ))?;
    let found = piece.query_map(params![after, up_to], |row| {
        let (tenant, name): (String, String) = (row.get(1)?, row.get(2)?);
        Ok(ConversationActivity { id: row.get(0)?, tenant: tenant.into(), conversation: RunId::from(name) })
    })?;
    Ok((found.collect::<Result<_, _>>()?, up_to))
}

fn journal_entries(connection: &Connection, tenant: &TenantId, after: i64) -> rusqlite::Result<(Vec<FeedEntry>, i64)> {
    let up_to = page_end(connection, after)?;
    let mut piece = connection.prepare_cached(&numbered(
        "SELECT journal.id, name, workflow, parent IS NOT NULL, coalesce(payload, body), kind \
         FROM journal JOIN aggregate ON aggregate.id = aggregate LEFT JOIN blobs ON hash = blob \
         WHERE journal.id > $1 AND journal.id <= $2 AND tenant = $3 AND kind IN ('run', 'conversation') AND erased_at IS NULL ORDER BY journal.id",
    ))?;
    let mut rows = piece.query(params![after, up_to, tenant.as_str()])?;
    let (mut found, mut bytes) = (Vec::new(), 0);
    while let Some(row) = rows.next()? {
        let id = row.get(0)?;
        // An entry whose blob is missing cannot be reported here; a reader of the run gets the error.
        let Some(entry) = row.get_ref(4)?.as_blob_or_null()? else { continue };
        bytes += entry.len();
        if bytes > PIECE_BYTES_MAX && !found.is_empty() {
            return Ok((found, id - 1));
        }
        let (run, workflow, is_child) = (RunId::from(row.get::<_, String>(1)?), row.get(2)?, row.get(3)?);
        let kind = codec::kind(row, 5)?;
        found.push(FeedEntry { id, kind, run, workflow, is_child, entry: entry.into() });
    }
    Ok((found, up_to))
}
