//! The erasure port: aggregates are marked in one small write, and cleared in parts by the writer, between other
//! writes. Readers search for what to delete.

mod routing;
pub(super) mod scrub;
mod services;

use async_trait::async_trait;
use baton_core::id::{RunId, TenantId};
use baton_core::time::Time;
use baton_ports::audit::ErasureSubject;
use baton_ports::erasure::{
    ClearedRows, ErasedIds, ErasureRemainder, ErasureStore, MarkResult, ScrubResult, SubjectAggregate, is_begun_for,
};
use baton_ports::journal::{AggregateId, AggregateKind, JournalError};
use baton_ports::records::StoredRecord;
use rusqlite::{Connection, OptionalExtension, Row, params};
use serde_json::Value;

use super::session::WriterSession;
use super::sql::numbered;
use super::writer_task::WriteAnswer;
use super::{SqliteStore, codec};

/// Aggregates that are searched at once.
const LOOKED_AT: usize = 500;
/// Expired runs or conversations per page.
const OLD_AT_ONCE: usize = 100;
/// Rows of one table that one transaction deletes.
const CLEARED_MAX: usize = 200;
/// Maximum number of records per page, and their approximate size in bytes.
const RECORDS_MAX: usize = 500;
const RECORDS_BYTES_MAX: usize = 16 << 20;

impl WriteAnswer for MarkResult {}
impl WriteAnswer for ClearedRows {}

#[async_trait]
impl ErasureStore for SqliteStore {
    async fn begun_for(
        &self,
        tenant: &TenantId,
        person: &ErasureSubject,
        after: i64,
    ) -> Result<(Vec<SubjectAggregate>, Option<i64>), JournalError> {
        let (tenant, person) = (tenant.clone(), person.clone());
        self.read(move |connection| begun_for(connection, &tenant, &person, after)).await
    }

    async fn descendants(&self, tenant: &TenantId, of: &AggregateId) -> Result<Vec<SubjectAggregate>, JournalError> {
        let (tenant, of) = (tenant.clone(), of.clone());
        self.read(move |connection| family(connection, &tenant, &of)).await
    }

    async fn mark(
        &self,
        tenant: &TenantId,
        id: &AggregateId,
        rest: ErasureRemainder,
        at: Time,
    ) -> Result<MarkResult, JournalError> {
        let (tenant, id) = (tenant.clone(), id.clone());
        self.write(0, move |session| mark(session, &tenant, &id, rest, at).map(Ok)).await
    }

    async fn marked(
        &self,
        tenant: &TenantId,
        rest: ErasureRemainder,
        before: Option<Time>,
    ) -> Result<Vec<AggregateId>, JournalError> {
        let (tenant, removal, before) = (tenant.clone(), removal(rest), before.map_or(i64::MAX, Time::as_ms));
        self.read(move |connection| {
            let mut all = connection.prepare_cached(&numbered(
                "SELECT name FROM aggregate WHERE tenant = $1 AND removal > 0 AND removal = $2 \
                 AND coalesce(erased_at, 0) < $3 ORDER BY id DESC",
            ))?;
            let names = all.query_map(params![tenant.as_str(), removal, before], |row| row.get::<_, String>(0))?;
            names.map(|name| Ok(name?.into())).collect()
        })
        .await
    }

    async fn expired(
        &self,
        tenant: &TenantId,
        kind: AggregateKind,
        before: Time,
        after: Option<(Time, i64)>,
    ) -> Result<(Vec<Vec<AggregateId>>, Option<(Time, i64)>), JournalError> {
        let tenant = tenant.clone();
        self.read(move |connection| old(connection, &tenant, kind, before, after)).await
    }

    async fn clear(&self, tenant: &TenantId, id: &AggregateId) -> Result<ClearedRows, JournalError> {
        let (tenant, id) = (tenant.clone(), id.clone());
        self.write(0, move |session| clear(session, &tenant, &id).map(Ok)).await
    }

    async fn clear_answers(&self, tenant: &TenantId) -> Result<u64, JournalError> {
        let tenant = tenant.clone();
        self.write(0, move |session| {
            let sql = format!(
                "DELETE FROM tool_answer WHERE id IN (SELECT id FROM tool_answer WHERE tenant = $1 LIMIT {CLEARED_MAX})"
            );
            Ok(Ok(session.statement(&sql)?.execute([tenant.as_str()])? as u64))
        })
        .await
    }

    async fn clear_routing(&self, tenant: &TenantId, conversations: &ErasedIds) -> Result<u64, JournalError> {
        routing::clear(self, tenant, conversations).await
    }

    async fn clear_services(&self, tenant: &TenantId, person: &ErasureSubject) -> Result<u64, JournalError> {
        services::clear(self, tenant, person).await
    }

    async fn records_of_all(
        &self,
        tenant: &TenantId,
        after: Option<(String, String)>,
    ) -> Result<Vec<StoredRecord>, JournalError> {
        let (tenant, (space, key)) = (tenant.clone(), after.unwrap_or_default());
        self.read(move |connection| records_of_all(connection, &tenant, &space, &key)).await
    }

    async fn scrub(&self, vacuum_bytes_max: u64) -> Result<ScrubResult, JournalError> {
        // A database in memory has no log and no file.
        let Some(path) = self.inner.path.clone() else { return Ok(ScrubResult::default()) };
        scrub::scrub_in_thread(path, vacuum_bytes_max).await
    }

    async fn release_pages(&self, pages_max: u32) -> Result<u64, JournalError> {
        self.write(0, move |session| release_pages(session.connection, pages_max).map(Ok)).await
    }
}

impl SqliteStore {
    /// Marks a whole family in one write, or none of it if a member is live, is being cleared already, or cannot be
    /// deleted. Members that no longer exist are skipped.
    pub async fn mark_all(
        &self,
        tenant: &TenantId,
        family: &[AggregateId],
        rest: ErasureRemainder,
        at: Time,
    ) -> Result<MarkResult, JournalError> {
        let (tenant, family) = (tenant.clone(), family.to_vec());
        self.write(0, move |session| mark_all(session, &tenant, &family, rest, at).map(Ok)).await
    }
}

const HEAD: &str = "aggregate.id, aggregate.name, aggregate.kind, coalesce(aggregate.state, conversation.state, ''), \
     conversation.status, EXISTS (SELECT 1 FROM inbox WHERE aggregate = aggregate.id), aggregate.removal, \
     aggregate.erased_at, conversation.user_id";
const FROM: &str = "FROM aggregate LEFT JOIN conversation ON conversation.name = aggregate.name";

/// The row of an aggregate.
struct ErasureRow {
    id: i64,
    belonging: SubjectAggregate,
    removal: i64,
    is_erased: bool,
}

fn found(row: &Row<'_>) -> rusqlite::Result<ErasureRow> {
    let kind = codec::kind(row, 2)?;
    let state: String = row.get(3)?;
    let status: Option<String> = row.get(4)?;
    let has_items: bool = row.get(5)?;
    let is_over = match kind {
        AggregateKind::Run => baton_core::run::RunState::ALL.iter().any(|one| one.word() == state && one.is_end()),
        AggregateKind::Conversation => {
            status.as_deref() == Some(baton_core::conversation::ConversationStatus::Closed.word())
        }
        // A tenant's routing queue never ends.
        AggregateKind::Desk => false,
    };
    let id = row.get::<_, String>(1)?.into();
    let belonging = SubjectAggregate { id, kind, state, live: !is_over || has_items, user: row.get(8)? };
    let erased_at: Option<i64> = row.get(7)?;
    Ok(ErasureRow { id: row.get(0)?, belonging, removal: row.get(6)?, is_erased: erased_at.is_some() })
}

fn begun_for(
    connection: &Connection,
    tenant: &TenantId,
    person: &ErasureSubject,
    after: i64,
) -> rusqlite::Result<(Vec<SubjectAggregate>, Option<i64>)> {
    let sql = format!(
        "SELECT {HEAD}, aggregate.tenant = $1 {FROM} WHERE aggregate.id > $2 \
         ORDER BY aggregate.id LIMIT {LOOKED_AT}"
    );
    let mut page = connection.prepare_cached(&numbered(&sql))?;
    let mut rows = page.query(params![tenant.as_str(), after])?;
    let (mut all, mut looked_at, mut last) = (Vec::new(), 0, after);
    let whom = person.matcher();
    while let Some(row) = rows.next()? {
        let one = found(row)?;
        (looked_at, last) = (looked_at + 1, one.id);
        let is_own: bool = row.get(9)?;
        if !is_own || one.is_erased || one.belonging.kind == AggregateKind::Desk {
            continue;
        }
        if one.belonging.user.as_deref().is_some_and(|user| whom.matches_name(user))
            || first_of(connection, one.id)?.is_some_and(|first| is_begun_for(&first, &whom))
        {
            all.push(one.belonging);
        }
    }
    Ok((all, (looked_at == LOOKED_AT).then_some(last)))
}

/// An aggregate's first entry, or its first command if it has no entry yet; `None` if it is not JSON.
fn first_of(connection: &Connection, id: i64) -> rusqlite::Result<Option<Value>> {
    let mut entry = connection.prepare_cached(&numbered(
        "SELECT coalesce(payload, body) FROM journal LEFT JOIN blobs ON hash = blob WHERE aggregate = $1 AND seq = 1",
    ))?;
    let first: Option<Option<Vec<u8>>> = entry.query_row([id], |row| row.get(0)).optional()?;
    let first = match first.flatten() {
        Some(first) => Some(first),
        None => connection
            .prepare_cached(&numbered("SELECT payload FROM inbox WHERE aggregate = $1 ORDER BY item LIMIT 1"))?
            .query_row([id], |row| row.get(0))
            .optional()?,
    };
    Ok(first.and_then(|first| serde_json::from_slice(&first).ok()))
}

/// Names of a conversation's runs are `NAME.1`, those of a run's children `NAME/node`: each set is contiguous in the
/// index of names.
fn family(connection: &Connection, tenant: &TenantId, of: &AggregateId) -> rusqlite::Result<Vec<SubjectAggregate>> {
    let all = family_with_erased(connection, tenant, of)?.into_iter();
    Ok(all.filter(|found| !found.is_erased).map(|found| found.belonging).collect())
}

/// Includes erased ones: their rows still exist.
fn all_of(connection: &Connection, tenant: &TenantId, of: &AggregateId) -> rusqlite::Result<Vec<SubjectAggregate>> {
    Ok(family_with_erased(connection, tenant, of)?.into_iter().map(|found| found.belonging).collect())
}

fn family_with_erased(
    connection: &Connection,
    tenant: &TenantId,
    of: &AggregateId,
) -> rusqlite::Result<Vec<ErasureRow>> {
    let sql = format!(
        "SELECT {HEAD} {FROM} WHERE aggregate.name >= $2 AND aggregate.name < $3 AND +aggregate.tenant = $1 \
         ORDER BY aggregate.name"
    );
    let mut between = connection.prepare_cached(&numbered(&sql))?;
    let name = of.as_str();
    // The character after `.` is `/`, and the one after `/` is `0`.
    let mut all = Vec::new();
    for (from, to) in [
        (name.to_owned(), format!("{name}\u{1}")),
        (format!("{name}."), format!("{name}/")),
        (format!("{name}/"), format!("{name}0")),
    ] {
        for row in between.query_map([tenant.as_str(), &from, &to], found)? {
            let one = row?;
            // `NAME.2x` is a run with a user-chosen id, not a run of the conversation.
            let rest = one.belonging.id.as_str().strip_prefix(name).and_then(|rest| rest.strip_prefix('.'));
            let number = rest.map(|rest| rest.split('/').next().unwrap_or_default());
            if number.is_none_or(|number| !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit())) {
                all.push(one);
            }
        }
    }
    Ok(all)
}

fn one(connection: &Connection, tenant: &TenantId, id: &AggregateId) -> rusqlite::Result<Option<ErasureRow>> {
    let sql = format!("SELECT {HEAD} {FROM} WHERE aggregate.name = $1 AND aggregate.tenant = $2");
    connection.prepare_cached(&numbered(&sql))?.query_row([id.as_str(), tenant.as_str()], found).optional()
}

/// Whether an aggregate can be marked, with its row; `None` if it does not exist.
fn markable(
    connection: &Connection,
    tenant: &TenantId,
    id: &AggregateId,
    rest: ErasureRemainder,
) -> rusqlite::Result<Option<(ErasureRow, MarkResult)>> {
    let Some(found) = one(connection, tenant, id)? else { return Ok(None) };
    if found.removal > 0 || found.is_erased && rest == ErasureRemainder::Tombstone {
        return Ok(Some((found, MarkResult::Absent)));
    }
    if found.belonging.live {
        return Ok(Some((found, MarkResult::Live)));
    }
    // Owners hold the numbers of aggregates, so the highest number must not be reused.
    let highest: i64 = connection.prepare_cached("SELECT max(id) FROM aggregate")?.query_row([], |row| row.get(0))?;
    let stays = rest == ErasureRemainder::Nothing && found.id == highest;
    Ok(Some((found, if stays { MarkResult::Absent } else { MarkResult::Done })))
}

fn mark(
    session: &mut WriterSession<'_>,
    tenant: &TenantId,
    id: &AggregateId,
    rest: ErasureRemainder,
    at: Time,
) -> rusqlite::Result<MarkResult> {
    let Some((found, marked)) = markable(session.connection, tenant, id, rest)? else { return Ok(MarkResult::Absent) };
    if marked == MarkResult::Done {
        set_mark(session, id, &found, rest, at)?;
    }
    Ok(marked)
}

fn mark_all(
    session: &mut WriterSession<'_>,
    tenant: &TenantId,
    family: &[AggregateId],
    rest: ErasureRemainder,
    at: Time,
) -> rusqlite::Result<MarkResult> {
    let mut all = Vec::new();
    for id in family {
        match markable(session.connection, tenant, id, rest)? {
            Some((found, MarkResult::Done)) => all.push((id, found)),
            Some((_, marked)) => return Ok(marked),
            None => {}
        }
    }
    for (id, found) in all {
        set_mark(session, id, &found, rest, at)?;
    }
    Ok(MarkResult::Done)
}

/// The previous owner is stale from now on, and the aggregate is no longer woken. The error keeps its code and the
/// colon, by which lists find it.
fn set_mark(
    session: &WriterSession<'_>,
    id: &AggregateId,
    found: &ErasureRow,
    rest: ErasureRemainder,
    at: Time,
) -> rusqlite::Result<()> {
    let version = first_of(session.connection, found.id)?.as_ref().and_then(version_of);
    let mut mark = session.statement(
        "UPDATE aggregate SET removal = $2, erased_at = coalesce(erased_at, $3), \
         erased_version = coalesce(erased_version, $4), owner = NULL, epoch = epoch + 1, released = 1, called = 0, \
         wake_at = NULL, customer = NULL, fault = CASE WHEN instr(fault, ':') > 0 THEN substr(fault, 1, instr(fault, ':')) END \
         WHERE id = $1",
    )?;
    mark.execute(params![found.id, removal(rest), at.as_ms(), version])?;
    let mut row = session.statement(
        "UPDATE conversation SET user_id = NULL, channel = '', last = NULL, hil_reason = NULL, person = NULL, \
         erased_at = $2 WHERE name = $1",
    )?;
    row.execute(params![id.as_str(), at.as_ms()])?;
    Ok(())
}

/// The value of the column.
fn removal(rest: ErasureRemainder) -> i64 {
    match rest {
        ErasureRemainder::Tombstone => 1,
        ErasureRemainder::Nothing => 2,
    }
}

const OLD_RUNS: &str = "SELECT id, name, ended_at FROM aggregate WHERE tenant = $1 AND ended_at IS NOT NULL \
     AND ended_at < $2 AND (ended_at, id) > ($3, $4) AND kind = 'run' AND parent IS NULL AND removal = 0 \
     ORDER BY ended_at, id LIMIT $5";
const OLD_CONVERSATIONS: &str = "SELECT id, name, ended_at FROM conversation WHERE tenant = $1 AND ended_at IS NOT NULL \
     AND ended_at < $2 AND (ended_at, id) > ($3, $4) AND status = 'closed' ORDER BY ended_at, id LIMIT $5";

/// The families of one page, and the cursor of the next page.
type ExpiredPage = (Vec<Vec<AggregateId>>, Option<(Time, i64)>);

fn old(
    connection: &Connection,
    tenant: &TenantId,
    kind: AggregateKind,
    before: Time,
    after: Option<(Time, i64)>,
) -> rusqlite::Result<ExpiredPage> {
    let sql = match kind {
        AggregateKind::Run => OLD_RUNS,
        AggregateKind::Conversation => OLD_CONVERSATIONS,
        AggregateKind::Desk => return Ok((Vec::new(), None)),
    };
    let (ended, id) = after.map_or((i64::MIN, 0), |(ended, id)| (ended.as_ms(), id));
    let mut page = connection.prepare_cached(&numbered(sql))?;
    let rows: Vec<(i64, String, Time)> = page
        .query_map(params![tenant.as_str(), before.as_ms(), ended, id, OLD_AT_ONCE], |row| {
            Ok((row.get(0)?, row.get(1)?, codec::time(row, 2)?))
        })?
        .collect::<rusqlite::Result<_>>()?;
    let next = if rows.len() == OLD_AT_ONCE { rows.last().map(|(id, _, ended)| (*ended, *id)) } else { None };
    let newest = "SELECT name FROM aggregate WHERE id = (SELECT max(id) FROM aggregate)";
    let newest: Option<String> = connection.prepare_cached(newest)?.query_row([], |row| row.get(0)).optional()?;
    let mut families = Vec::new();
    for (_, name, _) in rows {
        let id = AggregateId::from(name);
        let whole = all_of(connection, tenant, &id)?;
        let may_go = whole.iter().all(|one| !one.live && newest.as_deref() != Some(one.id.as_str()))
            && !waits_for_a_person(connection, &whole)?
            && !(kind == AggregateKind::Run && is_of_open_conversation(connection, tenant, &id)?);
        if may_go {
            // A conversation's runs have the retention of runs.
            let own = whole.into_iter().filter(|one| kind == AggregateKind::Run || one.id == id);
            families.push(own.map(|one| one.id).rev().collect());
        }
    }
    Ok((families, next))
}

fn waits_for_a_person(connection: &Connection, all: &[SubjectAggregate]) -> rusqlite::Result<bool> {
    let mut open =
        connection.prepare_cached("SELECT 1 FROM desk WHERE run = ?1 AND run IS NOT NULL AND closed_at IS NULL")?;
    for one in all {
        if open.exists([one.id.as_str()])? {
            return Ok(true);
        }
    }
    Ok(false)
}

/// A conversation's runs have the ids `CONVERSATION.1`, `CONVERSATION.2` and so on.
fn is_of_open_conversation(connection: &Connection, tenant: &TenantId, run: &RunId) -> rusqlite::Result<bool> {
    let Some((conversation, _)) = run.as_str().rsplit_once('.') else { return Ok(false) };
    connection
        .prepare_cached("SELECT 1 FROM conversation WHERE name = ?1 AND tenant = ?2 AND status <> 'closed'")?
        .exists([conversation, tenant.as_str()])
}

/// The version on which a run started.
fn version_of(first: &Value) -> Option<String> {
    let events = first.get("events")?.as_array()?;
    let started = events.iter().find_map(|event| event.get("started"))?;
    Some(started.get("bundle")?.as_str()?.to_owned())
}

fn clear(session: &mut WriterSession<'_>, tenant: &TenantId, name: &AggregateId) -> rusqlite::Result<ClearedRows> {
    let mut cleared = ClearedRows::default();
    let Some(ErasureRow { id, removal: removal @ 1.., .. }) = one(session.connection, tenant, name)? else {
        return Ok(cleared);
    };
    cleared.entries = clear_journal(session, id)?;
    let keyed = |sql: &str, key: &dyn rusqlite::ToSql| -> rusqlite::Result<u64> {
        session.statement(sql)?.execute(params![key, CLEARED_MAX]).map(|rows| rows as u64)
    };
    let items = keyed(
        "DELETE FROM inbox WHERE aggregate = $1 AND item IN (SELECT item FROM inbox WHERE aggregate = $1 LIMIT $2)",
        &id,
    )?;
    let seen = keyed(
        "DELETE FROM inbox_seen WHERE aggregate = $1 AND command_id IN \
         (SELECT command_id FROM inbox_seen WHERE aggregate = $1 LIMIT $2)",
        &id,
    )?;
    cleared.inbox = items + seen;
    cleared.snapshots = keyed("DELETE FROM snapshot WHERE aggregate = $1 AND $2 > 0", &id)?;
    let text = name.as_str();
    cleared.desk_items = keyed(
        "DELETE FROM desk WHERE rowid IN (SELECT rowid FROM desk WHERE run = $1 AND run IS NOT NULL LIMIT $2)",
        &text,
    )?;
    let mut decisions = session.statement(
        "DELETE FROM routing_decision WHERE id IN (SELECT id FROM routing_decision \
         WHERE tenant = $1 AND run = $2 AND run IS NOT NULL LIMIT $3)",
    )?;
    cleared.decisions = decisions.execute(params![tenant.as_str(), text, CLEARED_MAX])? as u64;
    let most = CLEARED_MAX as u64;
    cleared.has_more =
        [cleared.entries, items, seen, cleared.desk_items, cleared.decisions].into_iter().any(|rows| rows >= most);
    if cleared.has_more {
        return Ok(cleared);
    }
    if removal == 1 {
        session.statement("UPDATE aggregate SET removal = 0 WHERE id = $1")?.execute([id])?;
    } else {
        session.statement("DELETE FROM conversation WHERE name = $1")?.execute([text])?;
        session.statement("DELETE FROM aggregate WHERE id = $1")?.execute([id])?;
    }
    Ok(cleared)
}

/// Deletes some entries, and the blobs that no other entry uses.
fn clear_journal(session: &WriterSession<'_>, id: i64) -> rusqlite::Result<u64> {
    // Readers of the feed have a position in the journal: the highest row is kept, without content.
    let highest: i64 =
        session.statement("SELECT coalesce(max(id), 0) FROM journal")?.query_row([], |row| row.get(0))?;
    session.statement("DELETE FROM journal WHERE aggregate < 0 AND id < $1")?.execute([highest])?;
    let mut some = session.statement("SELECT id, blob FROM journal WHERE aggregate = $1 ORDER BY seq LIMIT $2")?;
    let rows: Vec<(i64, Option<String>)> = some
        .query_map(params![id, CLEARED_MAX], |row| Ok((row.get(0)?, row.get(1)?)))?
        .collect::<rusqlite::Result<_>>()?;
    let mut delete = session.statement("DELETE FROM journal WHERE id = $1")?;
    let mut empty =
        session.statement("UPDATE journal SET aggregate = -id, seq = 0, payload = x'', blob = NULL WHERE id = $1")?;
    let mut blob = session.statement(
        "DELETE FROM blobs WHERE hash = $1 AND NOT EXISTS (SELECT 1 FROM journal WHERE blob = $1 AND blob IS NOT NULL)",
    )?;
    for (row, large) in &rows {
        if *row == highest {
            empty.execute([row])?
        } else {
            delete.execute([row])?
        };
        if let Some(hash) = large {
            blob.execute([hash])?;
        }
    }
    Ok(rows.len() as u64)
}

fn records_of_all(
    connection: &Connection,
    tenant: &TenantId,
    space: &str,
    key: &str,
) -> rusqlite::Result<Vec<StoredRecord>> {
    let mut page = connection.prepare_cached(&numbered(
        "SELECT space, key, version, at, value FROM record WHERE tenant = $1 AND (space, key) > ($2, $3) \
         ORDER BY space, key LIMIT $4",
    ))?;
    let mut rows = page.query(params![tenant.as_str(), space, key, RECORDS_MAX])?;
    let (mut all, mut bytes) = (Vec::new(), 0);
    while let Some(row) = rows.next()? {
        bytes += row.get_ref(4)?.as_str()?.len();
        if bytes > RECORDS_BYTES_MAX && !all.is_empty() {
            break;
        }
        all.push(StoredRecord {
            space: row.get(0)?,
            key: row.get(1)?,
            version: row.get(2)?,
            at: codec::time(row, 3)?,
            value: codec::json(row, 4)?,
        });
    }
    Ok(all)
}

fn release_pages(connection: &Connection, pages_max: u32) -> rusqlite::Result<u64> {
    let free = |connection: &Connection| -> rusqlite::Result<u64> {
        connection.pragma_query_value(None, "freelist_count", |row| row.get(0))
    };
    let mode: i64 = connection.pragma_query_value(None, "auto_vacuum", |row| row.get(0))?;
    let before = free(connection)?;
    if mode != 2 || before == 0 {
        return Ok(0);
    }
    let mut vacuum = connection.prepare(&format!("PRAGMA incremental_vacuum({pages_max})"))?;
    let mut rows = vacuum.query([])?;
    while rows.next()?.is_some() {}
    Ok(before.saturating_sub(free(connection)?))
}

/// Whether a run or a conversation was erased.
pub(super) fn is_erased(connection: &Connection, tenant: &TenantId, id: &RunId) -> rusqlite::Result<bool> {
    connection
        .prepare_cached("SELECT 1 FROM aggregate WHERE name = ?1 AND tenant = ?2 AND erased_at IS NOT NULL")?
        .exists([id.as_str(), tenant.as_str()])
}
