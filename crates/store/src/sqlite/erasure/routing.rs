//! Removes the requirements of erased conversations from the journal of a routing queue.
//!
//! A routing queue never ends, so its journal is kept, and is folded again whenever a process claims it. Its entries
//! are rewritten without the requirements of conversations that have left it. This does not change the folded state: a
//! conversation's requirements are removed with it.

use baton_core::id::{RunId, TenantId};
use baton_ports::erasure::ErasedIds;
use baton_ports::journal::JournalError;
use rusqlite::{Connection, OptionalExtension as _, params};
use serde_json::{Value, json};

use super::super::SqliteStore;
use super::super::session::WriterSession;
use super::super::sql::numbered;

/// Entries read at once.
const READ_AT_ONCE: usize = 1_000;
/// Entries that one transaction rewrites.
const WRITTEN_AT_ONCE: usize = 50;
/// Events that contain the requirements of a conversation.
const WISHES: [&str; 3] = ["queued", "requeued", "redirected"];

pub(super) async fn clear(
    store: &SqliteStore,
    tenant: &TenantId,
    conversations: &ErasedIds,
) -> Result<u64, JournalError> {
    if conversations.is_empty() {
        return Ok(0);
    }
    let of = tenant.clone();
    let desks: Result<Vec<i64>, JournalError> = store
        .read(move |connection| {
            let sql = numbered("SELECT id FROM aggregate WHERE tenant = $1 AND kind = 'desk'");
            connection.prepare_cached(&sql)?.query_map([of.as_str()], |row| row.get(0))?.collect()
        })
        .await;
    let mut cleared = 0;
    for desk in desks? {
        cleared += clear_one(store, desk, conversations).await?;
    }
    Ok(cleared)
}

async fn clear_one(store: &SqliteStore, desk: i64, conversations: &ErasedIds) -> Result<u64, JournalError> {
    let (mut cleared, mut after) = (0, Some(0));
    while let Some(behind) = after {
        let names = conversations.clone();
        let found: Result<RoutingPage, JournalError> =
            store.read(move |connection| entries_with_requirements(connection, desk, &names, behind)).await;
        let (rows, next) = found?;
        for some in rows.chunks(WRITTEN_AT_ONCE) {
            let (some, names) = (some.to_vec(), conversations.clone());
            let write =
                store.write(0, move |session| strip_requirements(session, &some, &names).map(Ok::<u64, JournalError>));
            cleared += write.await?;
        }
        after = next;
    }
    // A snapshot may contain them. It is a cache: the next one is without them.
    let forget = store.write(0, move |session| {
        let mut forget = session.statement("DELETE FROM snapshot WHERE aggregate = $1")?;
        Ok(Ok::<u64, JournalError>(forget.execute([desk])? as u64))
    });
    forget.await?;
    Ok(cleared)
}

/// Entries of one page that have requirements of these conversations, and the cursor of the next page.
type RoutingPage = (Vec<i64>, Option<i64>);

fn entries_with_requirements(
    connection: &Connection,
    desk: i64,
    conversations: &ErasedIds,
    after: i64,
) -> rusqlite::Result<RoutingPage> {
    let mut page = connection.prepare_cached(&numbered(
        "SELECT id, seq, coalesce(payload, body) FROM journal LEFT JOIN blobs ON hash = blob \
         WHERE aggregate = $1 AND seq > $2 ORDER BY seq LIMIT $3",
    ))?;
    let mut rows = page.query(params![desk, after, READ_AT_ONCE])?;
    let (mut found, mut read, mut last) = (Vec::new(), 0, after);
    while let Some(row) = rows.next()? {
        (read, last) = (read + 1, row.get(1)?);
        let entry = std::str::from_utf8(row.get_ref(2)?.as_bytes()?).unwrap_or_default();
        let wishes = entry.contains("\"wants\"").then(|| serde_json::from_str::<Value>(entry).ok()).flatten();
        if wishes.is_some_and(|mut entry| remove_requirements(&mut entry, conversations)) {
            found.push(row.get(0)?);
        }
    }
    Ok((found, (read == READ_AT_ONCE).then_some(last)))
}

/// Rewrites entries; a large one is stored as a blob by its hash, which is deleted unless another entry uses it.
fn strip_requirements(
    session: &mut WriterSession<'_>,
    rows: &[i64],
    conversations: &ErasedIds,
) -> rusqlite::Result<u64> {
    let mut cleared = 0;
    for row in rows {
        let mut read = session.statement(
            "SELECT coalesce(payload, body), blob FROM journal LEFT JOIN blobs ON hash = blob WHERE id = $1",
        )?;
        let kept = read.query_row([row], |row| Ok((row.get::<_, Vec<u8>>(0)?, row.get::<_, Option<String>>(1)?)));
        let Some((entry, blob)) = kept.optional()? else { continue };
        let Ok(mut entry) = serde_json::from_slice(&entry) else { continue };
        if !remove_requirements(&mut entry, conversations) {
            continue;
        }
        let mut write = session.statement("UPDATE journal SET payload = $2, blob = NULL WHERE id = $1")?;
        cleared += write.execute(params![row, entry.to_string().into_bytes()])? as u64;
        if let Some(hash) = blob {
            let mut free = session.statement(
                "DELETE FROM blobs WHERE hash = $1 AND NOT EXISTS \
                 (SELECT 1 FROM journal WHERE blob = $1 AND blob IS NOT NULL)",
            )?;
            free.execute([hash])?;
        }
    }
    Ok(cleared)
}

/// Returns whether there were any.
fn remove_requirements(entry: &mut Value, conversations: &ErasedIds) -> bool {
    let nothing = json!({ "skills": [] });
    let mut had_some = false;
    let events = entry.get_mut("events").and_then(Value::as_array_mut);
    for event in events.into_iter().flatten() {
        for word in WISHES {
            let Some(said) = event.get_mut(word) else { continue };
            let is_of = said["conversation"].as_str().is_some_and(|id| conversations.contains(&RunId::new(id)));
            if is_of && said["wants"] != nothing {
                said["wants"] = nothing.clone();
                had_some = true;
            }
        }
    }
    had_some
}
