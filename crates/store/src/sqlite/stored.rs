//! Everything the database has of an aggregate, and rows that belong to none: for `baton verify`.

use std::collections::BTreeMap;

use baton_core::id::{RunId, TenantId};
use baton_ports::journal::{JournalError, StateSnapshot};
use baton_ports::stored::StoredAggregate;
use rusqlite::{Connection, OptionalExtension, Row};

use super::sql::numbered;
use super::{SqliteStore, codec, conversations, read};

/// Maximum number of aggregates per page.
pub const NUMBERS_MAX: usize = 10_000;

/// Rows that name a missing aggregate: a description for people, and the query that counts them.
// Negative numbers belong to erased aggregates: the highest row of the journal is kept for its number.
const ORPHANS: [(&str, &str); 6] = [
    (
        "journal entries",
        "SELECT count(*) FROM journal WHERE aggregate > 0 AND aggregate NOT IN (SELECT id FROM aggregate)",
    ),
    ("snapshots", "SELECT count(*) FROM snapshot WHERE aggregate NOT IN (SELECT id FROM aggregate)"),
    ("inbox items", "SELECT count(*) FROM inbox WHERE aggregate NOT IN (SELECT id FROM aggregate)"),
    (
        "inbox items that were never noted as seen",
        "SELECT count(*) FROM inbox WHERE NOT EXISTS (SELECT 1 FROM inbox_seen \
      WHERE inbox_seen.aggregate = inbox.aggregate AND inbox_seen.command_id = inbox.command_id)",
    ),
    (
        "open desk items",
        "SELECT count(*) FROM desk WHERE closed_at IS NULL AND run IS NOT NULL AND run NOT IN \
      (SELECT name FROM aggregate)",
    ),
    ("conversations", "SELECT count(*) FROM conversation WHERE name NOT IN (SELECT name FROM aggregate)"),
];

impl SqliteStore {
    /// Numbers of the aggregates after `after` that were not erased, ascending: at most [`NUMBERS_MAX`].
    ///
    /// # Errors
    /// As for any read.
    pub async fn aggregate_numbers(&self, after: i64) -> Result<Vec<i64>, JournalError> {
        self.read(move |connection| {
            let sql =
                format!("SELECT id FROM aggregate WHERE id > $1 AND erased_at IS NULL ORDER BY id LIMIT {NUMBERS_MAX}");
            connection.prepare_cached(&numbered(&sql))?.query_map([after], |row| row.get(0))?.collect()
        })
        .await
    }

    /// One complete aggregate; `None` if it was deleted meanwhile.
    ///
    /// # Errors
    /// As for any read.
    pub async fn stored(&self, number: i64) -> Result<Option<StoredAggregate>, JournalError> {
        self.read(move |connection| {
            let instant = connection.unchecked_transaction()?;
            let stored = stored(&instant, number)?;
            instant.finish()?;
            Ok(stored)
        })
        .await
    }

    /// Number of rows of each kind that belong to no aggregate; kinds without any are left out.
    ///
    /// # Errors
    /// As for any read.
    pub async fn orphans(&self) -> Result<Vec<(&'static str, u64)>, JournalError> {
        self.read(|connection| {
            let counted =
                ORPHANS.iter().map(|(what, sql)| Ok((*what, connection.query_row(sql, [], |row| row.get(0))?)));
            Ok(counted
                .collect::<rusqlite::Result<Vec<(&str, u64)>>>()?
                .into_iter()
                .filter(|(_, count)| *count > 0)
                .collect())
        })
        .await
    }

    /// The tenants that have an audit trail.
    ///
    /// # Errors
    /// As for any read.
    pub async fn audited_tenants(&self) -> Result<Vec<TenantId>, JournalError> {
        self.read(|connection| {
            let mut tenants = connection.prepare_cached("SELECT company_id FROM audit_tip ORDER BY company_id")?;
            tenants.query_map([], |row| Ok(row.get::<_, String>(0)?.into()))?.collect()
        })
        .await
    }
}

fn stored(connection: &Connection, number: i64) -> rusqlite::Result<Option<StoredAggregate>> {
    let sql = "SELECT name, tenant, kind, seq, state, ended_at, cost_nanos, workflow, parent, started_at, fault, customer, \
               bundle FROM aggregate WHERE id = $1";
    let Some(mut stored) = connection.prepare_cached(&numbered(sql))?.query_row([number], head).optional()? else {
        return Ok(None);
    };
    stored.entries = read::tail(connection, number, 0, stored.seq)?;
    if stored.entries.is_ok() {
        let sql = "SELECT count(*) FROM journal WHERE aggregate = $1 AND seq > $2";
        let beyond: u64 =
            connection.prepare_cached(&numbered(sql))?.query_row((number, stored.seq), |row| row.get(0))?;
        if beyond > 0 {
            stored.entries = Err(format!("its journal goes on for {beyond} entries behind what its head knows"));
        }
    }
    let sql = "SELECT fold_version, seq, state FROM snapshot WHERE aggregate = $1";
    let snapshot = |row: &Row<'_>| {
        Ok(StateSnapshot { fold_version: row.get(0)?, seq: row.get(1)?, state: row.get_ref(2)?.as_blob()?.into() })
    };
    stored.snapshot = connection.prepare_cached(&numbered(sql))?.query_row([number], snapshot).optional()?;
    let sql = format!("SELECT {} FROM desk WHERE run = $1 AND closed_at IS NULL", read::DESK_COLUMNS);
    let mut open = connection.prepare_cached(&numbered(&sql))?;
    let item = |row: &Row<'_>| {
        let id = String::from_utf8_lossy(row.get_ref(0)?.as_bytes()?).into_owned();
        Ok((id, read::task_item(row).map_err(|error| error.to_string())))
    };
    stored.open_items = open.query_map([stored.name.as_str()], item)?.collect::<rusqlite::Result<_>>()?;
    stored.conversation = conversations::one(connection, &stored.tenant, &stored.name)?;
    let mut status = connection.prepare_cached(&numbered("SELECT status FROM conversation WHERE name = $1"))?;
    stored.status = status.query_row([stored.name.as_str()], |row| row.get(0)).optional()?;
    Ok(Some(stored))
}

fn head(row: &Row<'_>) -> rusqlite::Result<StoredAggregate> {
    let has_state = row.get_ref(4)? != rusqlite::types::ValueRef::Null;
    Ok(StoredAggregate {
        name: RunId::from(row.get::<_, String>(0)?),
        tenant: row.get::<_, String>(1)?.into(),
        kind: codec::kind(row, 2)?,
        seq: row.get(3)?,
        state: if has_state { Some(codec::state(row, 4)?) } else { None },
        ended_at: codec::maybe_time(row, 5)?,
        cost_nanos: row.get(6)?,
        workflow: row.get(7)?,
        parent: row.get::<_, Option<String>>(8)?.map(RunId::from),
        started_at: codec::maybe_time(row, 9)?,
        fault: row.get(10)?,
        customer: row.get(11)?,
        bundle: row.get(12)?,
        entries: Ok(Vec::new()),
        snapshot: None,
        open_items: BTreeMap::new(),
        conversation: None,
        status: None,
    })
}
