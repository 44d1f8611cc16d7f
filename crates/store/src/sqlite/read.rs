//! The read port: queries for people and HTTP endpoints, one tenant at a time.

use std::sync::Arc;

use async_trait::async_trait;
use baton_core::id::{RunId, TenantId};
use baton_core::kpi::ConversationCounts;
use baton_core::money::Usd;
use baton_core::run::RunState;
use baton_core::time::Time;
use baton_ports::conversations::{ConversationFilter, ConversationHead};
use baton_ports::journal::{AggregateId, JournalError, StateSnapshot, TaskItem};
use baton_ports::read::{PAGE_DEFAULT, PAGE_MAX, ReadModel, RunFilter, RunHead, RunPage};
use rusqlite::{Connection, OptionalExtension, Row, params};

use super::sql::numbered;
use super::{SqliteStore, codec, conversations, erasure, runs};

/// Maximum size of the entries in one page, in bytes; a page is shortened to stay below it.
const PAGE_BYTES_MAX: usize = 64 << 20;
/// Maximum number of open task inbox items in one answer, oldest first.
const DESK_ITEMS_MAX: usize = 10_000;

#[async_trait]
impl ReadModel for SqliteStore {
    async fn run(&self, tenant: &TenantId, run: &RunId) -> Result<Option<RunHead>, JournalError> {
        let (tenant, run) = (tenant.clone(), run.clone());
        self.read(move |connection| {
            let sql = format!("SELECT {HEAD} FROM aggregate WHERE name = $1 AND tenant = $2 AND state IS NOT NULL");
            let mut query = connection.prepare_cached(&numbered(&sql))?;
            query.query_row([run.as_str(), tenant.as_str()], head).optional()
        })
        .await
    }

    async fn runs(&self, tenant: &TenantId, filter: RunFilter) -> Result<Vec<RunHead>, JournalError> {
        let tenant = tenant.clone();
        self.read(move |connection| runs::all(connection, &tenant, &filter)).await
    }

    async fn run_page(&self, tenant: &TenantId, filter: RunFilter) -> Result<RunPage, JournalError> {
        let tenant = tenant.clone();
        self.read(move |connection| runs::page(connection, &tenant, &filter)).await
    }

    async fn roots_with_prefix(
        &self,
        tenant: &TenantId,
        prefix: &str,
        limit: usize,
    ) -> Result<Vec<RunHead>, JournalError> {
        let (tenant, prefix) = (tenant.clone(), prefix.to_owned());
        self.read(move |connection| {
            let mut query = connection.prepare_cached(&numbered(&begun_by_query()))?;
            // The last character there is, so that the range contains every name with the prefix.
            let end = format!("{prefix}{}", char::MAX);
            query.query_map(params![prefix, end, tenant.as_str(), rows(limit)], head)?.collect()
        })
        .await
    }

    async fn entries(
        &self,
        tenant: &TenantId,
        run: &RunId,
        after: u64,
        limit: usize,
    ) -> Result<Vec<Arc<[u8]>>, JournalError> {
        let (tenant, name) = (tenant.clone(), run.clone());
        let query = move |connection: &Connection| page(connection, &tenant, &name, after, limit);
        let page = self.read::<_, JournalError, _>(query).await?;
        page.map_err(|reason| match reason {
            Some(reason) => JournalError::Corrupt { aggregate: run.clone(), reason },
            None => JournalError::Erased { aggregate: run.clone() },
        })
    }

    async fn snapshot(
        &self,
        tenant: &TenantId,
        id: &AggregateId,
        fold_version: u32,
        after: u64,
    ) -> Result<Option<StateSnapshot>, JournalError> {
        let (tenant, name) = (tenant.clone(), id.clone());
        self.read(move |connection| {
            let mut query = connection.prepare_cached(&numbered(
                "SELECT snapshot.seq, snapshot.state FROM aggregate JOIN snapshot ON aggregate = id \
                 WHERE name = $1 AND tenant = $2 AND fold_version = $3 AND snapshot.seq > $4 AND erased_at IS NULL",
            ))?;
            let found = |row: &Row<'_>| codec::snapshot(row, fold_version);
            query.query_row(params![name.as_str(), tenant.as_str(), fold_version, after], found).optional()
        })
        .await
    }

    async fn open_tasks(&self, tenant: &TenantId, run: Option<&RunId>) -> Result<Vec<TaskItem>, JournalError> {
        let (tenant, run) = (tenant.clone(), run.cloned());
        self.read(move |connection| {
            let mut open = connection.prepare_cached(&numbered(&open_tasks_query(run.is_some())))?;
            let run = run.as_ref().map(RunId::as_str);
            let mut items = Vec::new();
            for item in open.query_map(params![tenant.as_str(), DESK_ITEMS_MAX, run], |row| Ok(task_item(row)))? {
                match item? {
                    Ok(item) => items.push(item),
                    // One unreadable item must not hide the others.
                    Err(error) => {
                        tracing::error!(%error, "an item of the desk cannot be read and is left out; `baton verify` names it");
                    }
                }
            }
            Ok(items)
        })
        .await
    }

    async fn conversation(&self, tenant: &TenantId, id: &RunId) -> Result<Option<ConversationHead>, JournalError> {
        let (tenant, id) = (tenant.clone(), id.clone());
        self.read(move |connection| conversations::one(connection, &tenant, &id)).await
    }

    async fn conversations(
        &self,
        tenant: &TenantId,
        filter: ConversationFilter,
    ) -> Result<Vec<ConversationHead>, JournalError> {
        let tenant = tenant.clone();
        self.read(move |connection| conversations::list(connection, &tenant, &filter)).await
    }

    async fn conversations_ended(&self, tenant: &TenantId, since: Time) -> Result<ConversationCounts, JournalError> {
        let tenant = tenant.clone();
        self.read(move |connection| conversations::tally(connection, &tenant, since)).await
    }

    async fn counts(&self) -> Result<Vec<(RunState, u64)>, JournalError> {
        self.read(|connection| {
            let mut counts = connection
                .prepare_cached("SELECT state, count(*) FROM aggregate WHERE state IS NOT NULL GROUP BY state")?;
            counts.query_map([], |row| Ok((codec::state(row, 0)?, row.get(1)?)))?.collect()
        })
        .await
    }
}

/// Rows per page: 0 means the default.
pub(super) fn rows(limit: usize) -> usize {
    if limit == 0 { PAGE_DEFAULT } else { limit.min(PAGE_MAX) }
}

pub(super) const HEAD: &str = "name, tenant, workflow, state, parent, created_at, started_at, ended_at, cost_nanos, \
     fault, wake_at, seq, id, erased_at, erased_version";

pub(super) fn head(row: &Row<'_>) -> rusqlite::Result<RunHead> {
    Ok(RunHead {
        run: row.get::<_, String>(0)?.into(),
        tenant: row.get::<_, String>(1)?.into(),
        workflow: row.get(2)?,
        state: codec::state(row, 3)?,
        parent: row.get::<_, Option<String>>(4)?.map(RunId::from),
        created_at: codec::time(row, 5)?,
        started_at: codec::maybe_time(row, 6)?,
        ended_at: codec::maybe_time(row, 7)?,
        cost: Usd::from_nanos(row.get(8)?),
        fault: row.get(9)?,
        wake_at: codec::maybe_time(row, 10)?,
        seq: row.get(11)?,
        erased_at: codec::maybe_time(row, 13)?,
        erased_version: row.get(14)?,
    })
}

/// A tenant has many runs, and few with this prefix: the index by name must be used; `+` disables the others.
fn begun_by_query() -> String {
    format!(
        "SELECT {HEAD} FROM aggregate WHERE name >= $1 AND name < $2 AND +tenant = $3 AND state IS NOT NULL \
         AND parent IS NULL ORDER BY name LIMIT $4"
    )
}

/// Why a journal cannot be read: what is wrong with it, or `None` if it was erased.
type UnreadableReason = Option<String>;

fn page(
    connection: &Connection,
    tenant: &TenantId,
    run: &RunId,
    after: u64,
    limit: usize,
) -> rusqlite::Result<Result<Vec<Arc<[u8]>>, UnreadableReason>> {
    let mut head = connection.prepare_cached(&numbered(
        "SELECT id, seq, erased_at IS NOT NULL FROM aggregate WHERE name = $1 AND tenant = $2",
    ))?;
    let found = head
        .query_row([run.as_str(), tenant.as_str()], |row| {
            Ok((row.get::<_, i64>(0)?, row.get::<_, u64>(1)?, row.get::<_, bool>(2)?))
        })
        .optional()?;
    let (id, seq) = match found {
        None => return Ok(Ok(Vec::new())),
        Some((_, _, true)) => return Ok(Err(None)),
        Some((id, seq, false)) => (id, seq),
    };
    let last = seq.min(after.saturating_add(rows(limit) as u64));
    Ok(match entries(connection, id, after, last, PAGE_BYTES_MAX)? {
        Ok(entries) => Ok(entries),
        // Erased since its head was read.
        Err(_) if erasure::is_erased(connection, tenant, run)? => Err(None),
        Err(reason) => Err(Some(reason)),
    })
}

/// All entries after `after` up to `seq`, which must all exist; or what is wrong with them.
pub(super) fn tail(
    connection: &Connection,
    aggregate: i64,
    after: u64,
    seq: u64,
) -> rusqlite::Result<Result<Vec<Arc<[u8]>>, String>> {
    entries(connection, aggregate, after, seq, usize::MAX)
}

fn entries(
    connection: &Connection,
    aggregate: i64,
    after: u64,
    last: u64,
    bytes_max: usize,
) -> rusqlite::Result<Result<Vec<Arc<[u8]>>, String>> {
    let mut query = connection.prepare_cached(&numbered(
        "SELECT seq, coalesce(payload, body) FROM journal LEFT JOIN blobs ON hash = blob \
         WHERE aggregate = $1 AND seq > $2 AND seq <= $3 ORDER BY seq",
    ))?;
    let mut rows = query.query(params![aggregate, after, last])?;
    let mut entries: Vec<Arc<[u8]>> = Vec::new();
    let (mut expected, mut bytes) = (after, 0);
    while let Some(row) = rows.next()? {
        expected += 1;
        if row.get::<_, u64>(0)? != expected {
            return Ok(Err(format!("entry {expected} is missing")));
        }
        let Some(entry) = row.get_ref(1)?.as_blob_or_null()? else {
            return Ok(Err(format!("the large payload of entry {expected} is missing")));
        };
        bytes += entry.len();
        if bytes > bytes_max && !entries.is_empty() {
            return Ok(Ok(entries));
        }
        entries.push(entry.into());
    }
    if expected < last {
        return Ok(Err(format!("entry {} is missing", expected + 1)));
    }
    Ok(Ok(entries))
}

/// A run has few items and a tenant many: if the run is given, its index must be used; `+` disables the others.
fn open_tasks_query(of_run: bool) -> String {
    let which = if of_run { "+tenant = $1 AND run = $3" } else { "tenant = $1 AND $3 IS NULL" };
    format!("SELECT {DESK_COLUMNS} FROM desk WHERE closed_at IS NULL AND {which} ORDER BY opened_at, rowid LIMIT $2")
}

/// The columns that [`task_item`] reads, in its order.
pub(super) const DESK_COLUMNS: &str = "id, tenant, run, kind, title, details, opened_at, deadline";

pub(super) fn task_item(row: &Row<'_>) -> rusqlite::Result<TaskItem> {
    Ok(TaskItem {
        id: row.get(0)?,
        tenant: row.get::<_, String>(1)?.into(),
        run: row.get::<_, Option<String>>(2)?.map(RunId::from),
        kind: codec::task_kind(row, 3)?,
        title: row.get(4)?,
        details: codec::json(row, 5)?,
        opened_at: codec::time(row, 6)?,
        deadline: codec::maybe_time(row, 7)?,
    })
}

/// Each query of a list with the index that it must use, for the test of query plans.
#[cfg(test)]
pub(super) fn queries() -> Vec<(String, &'static str)> {
    vec![
        (begun_by_query(), "sqlite_autoindex_aggregate"),
        (open_tasks_query(false), "desk_open"),
        (open_tasks_query(true), "desk_runs"),
    ]
}
