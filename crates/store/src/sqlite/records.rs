//! The records port: a batch is one task, and a savepoint makes it atomic.

use async_trait::async_trait;
use baton_core::id::TenantId;
use baton_core::time::Time;
use baton_ports::records::{OPS_MAX, RECORD_BYTES_MAX, RecordError, RecordOp, RecordStore, StoredRecord};
use rusqlite::{Connection, OptionalExtension, Row, params};
use serde_json::json;

use super::session::WriterSession;
use super::sql::numbered;
use super::{SqliteStore, codec};

/// Maximum length of the name of a space, a key or a resource, in bytes.
const NAME_BYTES_MAX: usize = 1_024;
/// Records per page.
const PAGE_MAX: usize = 1_000;

#[async_trait]
impl RecordStore for SqliteStore {
    async fn commit(&self, tenant: &TenantId, ops: Vec<RecordOp>, at: Time) -> Result<(), RecordError> {
        let batch = RecordBatch::new(tenant.clone(), ops, at)?;
        self.write(batch.bytes, move |session| batch.perform(session)).await
    }

    async fn get(&self, tenant: &TenantId, space: &str, key: &str) -> Result<Option<StoredRecord>, RecordError> {
        let (tenant, space, key) = (tenant.clone(), space.to_owned(), key.to_owned());
        self.read(move |connection| get(connection, &tenant, &space, &key)).await
    }

    async fn list(
        &self,
        tenant: &TenantId,
        space: &str,
        prefix: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<StoredRecord>, RecordError> {
        let (tenant, space, prefix) = (tenant.clone(), space.to_owned(), prefix.to_owned());
        let after = after.map(str::to_owned);
        self.read(move |connection| list(connection, &tenant, &space, &prefix, after.as_deref(), limit)).await
    }

    async fn ranges(
        &self,
        tenant: &TenantId,
        space: &str,
        resource: &str,
        from: i64,
        to: i64,
    ) -> Result<Vec<(i64, i64, String)>, RecordError> {
        let place = ResourceKey { tenant: tenant.clone(), space: space.to_owned(), resource: resource.to_owned() };
        self.read(move |connection| {
            let held = overlapping(connection, &place.borrow(), from, to)?;
            Ok(held.into_iter().map(|held| (held.begins, held.ends, held.key)).collect())
        })
        .await
    }
}

/// Writes one record in the current transaction; only [`RecordOp::Put`] is supported.
pub(super) fn put(session: &WriterSession<'_>, tenant: &TenantId, op: RecordOp, at: Time) -> rusqlite::Result<()> {
    let RecordOp::Put { space, key, value } = op else { return Ok(()) };
    let row = params![tenant.as_str(), space, key, at.as_ms(), value.to_string()];
    session.statement(PUT)?.execute(row).map(drop)
}

/// A checked batch, with its values as text.
struct RecordBatch {
    tenant: TenantId,
    ops: Vec<(RecordOp, String)>,
    at: Time,
    bytes: usize,
}

impl RecordBatch {
    fn new(tenant: TenantId, ops: Vec<RecordOp>, at: Time) -> Result<Self, RecordError> {
        check_size("a batch", ops.len(), OPS_MAX)?;
        let mut batch = Self { tenant, ops: Vec::with_capacity(ops.len()), at, bytes: 0 };
        for (index, op) in ops.into_iter().enumerate() {
            names(&op).into_iter().try_for_each(|name| check_size("a record's name", name.len(), NAME_BYTES_MAX))?;
            if let RecordOp::HoldRange { from, to, .. } = &op
                && from >= to
            {
                return Err(RecordError::EmptyRange { index });
            }
            let text = value(&op).map(ToString::to_string).unwrap_or_default();
            check_size("a record's value", text.len(), RECORD_BYTES_MAX)?;
            batch.bytes += text.len();
            batch.ops.push((op, text));
        }
        Ok(batch)
    }

    fn perform(&self, session: &mut WriterSession<'_>) -> rusqlite::Result<Result<(), RecordError>> {
        session.statement("SAVEPOINT batch")?.execute([])?;
        for (index, (op, text)) in self.ops.iter().enumerate() {
            if let Err(found) = self.perform_one(session, op, text)? {
                session.statement("ROLLBACK TO batch")?.execute([])?;
                session.statement("RELEASE batch")?.execute([])?;
                return Ok(Err(RecordError::Conflict { index, found }));
            }
        }
        session.statement("RELEASE batch")?.execute([])?;
        Ok(Ok(()))
    }

    /// Performs one operation, or returns the conflict.
    fn perform_one(
        &self,
        session: &mut WriterSession<'_>,
        op: &RecordOp,
        text: &str,
    ) -> rusqlite::Result<Result<(), Option<StoredRecord>>> {
        let tenant = self.tenant.as_str();
        match op {
            RecordOp::Insert { space, key, .. } => {
                let mut insert = session.statement(INSERT)?;
                let done = insert.execute(params![tenant, space, key, self.at.as_ms(), text])?;
                self.conflict_if_present(session, done, space, key)
            }
            RecordOp::CompareAndSet { space, key, version, .. } => {
                let mut set = session.statement(SET)?;
                let done = set.execute(params![tenant, space, key, self.at.as_ms(), text, version])?;
                self.conflict_if_present(session, done, space, key)
            }
            RecordOp::Put { space, key, .. } => {
                session.statement(PUT)?.execute(params![tenant, space, key, self.at.as_ms(), text])?;
                Ok(Ok(()))
            }
            RecordOp::Delete { space, key } => {
                let mut delete =
                    session.statement("DELETE FROM record WHERE tenant = $1 AND space = $2 AND key = $3")?;
                delete.execute([tenant, space, key])?;
                Ok(Ok(()))
            }
            RecordOp::Expect { space, key, version } => {
                let found = get(session.connection, &self.tenant, space, key)?;
                let is_so = found.as_ref().map(|found| found.version) == *version;
                Ok(if is_so { Ok(()) } else { Err(found) })
            }
            RecordOp::HoldRange { space, resource, from, to, key } => {
                let place = ResourceRef { tenant, space, resource };
                hold_range(session, &place, HeldRange { begins: *from, ends: *to, key: key.clone(), at: self.at })
            }
            RecordOp::FreeRange { space, key } => {
                let mut free =
                    session.statement("DELETE FROM held_range WHERE tenant = $1 AND space = $2 AND key = $3")?;
                free.execute([tenant, space, key])?;
                Ok(Ok(()))
            }
        }
    }

    /// Succeeds if one row changed; otherwise returns a conflict with the stored record.
    fn conflict_if_present(
        &self,
        session: &WriterSession<'_>,
        changed: usize,
        space: &str,
        key: &str,
    ) -> rusqlite::Result<Result<(), Option<StoredRecord>>> {
        if changed == 1 {
            return Ok(Ok(()));
        }
        get(session.connection, &self.tenant, space, key).map(Err)
    }
}

const INSERT: &str = "INSERT OR IGNORE INTO record (tenant, space, key, version, at, value) \
     VALUES ($1, $2, $3, 1, $4, $5)";
const SET: &str = "UPDATE record SET version = version + 1, at = $4, value = $5 \
     WHERE tenant = $1 AND space = $2 AND key = $3 AND version = $6";
const PUT: &str = "INSERT INTO record (tenant, space, key, version, at, value) VALUES ($1, $2, $3, 1, $4, $5) \
     ON CONFLICT (tenant, space, key) DO UPDATE SET version = version + 1, at = excluded.at, value = excluded.value";

fn check_size(what: &'static str, size: usize, limit: usize) -> Result<(), RecordError> {
    if size > limit { Err(RecordError::TooLarge { what, size, limit }) } else { Ok(()) }
}

fn names(op: &RecordOp) -> [&str; 3] {
    match op {
        RecordOp::Insert { space, key, .. }
        | RecordOp::CompareAndSet { space, key, .. }
        | RecordOp::Put { space, key, .. }
        | RecordOp::Delete { space, key }
        | RecordOp::Expect { space, key, .. }
        | RecordOp::FreeRange { space, key } => [space, key, ""],
        RecordOp::HoldRange { space, resource, key, .. } => [space, key, resource],
    }
}

fn value(op: &RecordOp) -> Option<&serde_json::Value> {
    match op {
        RecordOp::Insert { value, .. } | RecordOp::CompareAndSet { value, .. } | RecordOp::Put { value, .. } => {
            Some(value)
        }
        RecordOp::Delete { .. } | RecordOp::Expect { .. } | RecordOp::HoldRange { .. } | RecordOp::FreeRange { .. } => {
            None
        }
    }
}

fn record(row: &Row<'_>) -> rusqlite::Result<StoredRecord> {
    Ok(StoredRecord {
        space: row.get(0)?,
        key: row.get(1)?,
        value: codec::json(row, 2)?,
        version: row.get(3)?,
        at: codec::time(row, 4)?,
    })
}

fn get(connection: &Connection, tenant: &TenantId, space: &str, key: &str) -> rusqlite::Result<Option<StoredRecord>> {
    let mut one = connection.prepare_cached(&numbered(
        "SELECT space, key, value, version, at FROM record WHERE tenant = $1 AND space = $2 AND key = $3",
    ))?;
    one.query_row([tenant.as_str(), space, key], record).optional()
}

fn list(
    connection: &Connection,
    tenant: &TenantId,
    space: &str,
    prefix: &str,
    after: Option<&str>,
    limit: usize,
) -> rusqlite::Result<Vec<StoredRecord>> {
    let behind = if after.is_some() { "AND key > $4" } else { "AND $4 IS NULL" };
    let mut ordered = connection.prepare_cached(&numbered(&format!(
        "SELECT space, key, value, version, at FROM record \
         WHERE tenant = $1 AND space = $2 AND key >= $3 {behind} ORDER BY key LIMIT $5",
    )))?;
    let rows = ordered.query_map(params![tenant.as_str(), space, prefix, after, limit.min(PAGE_MAX)], record)?;
    let within =
        |row: &rusqlite::Result<StoredRecord>| row.as_ref().map_or(true, |record| record.key.starts_with(prefix));
    rows.take_while(within).collect()
}

/// A resource whose ranges are held.
struct ResourceKey {
    tenant: TenantId,
    space: String,
    resource: String,
}

impl ResourceKey {
    fn borrow(&self) -> ResourceRef<'_> {
        ResourceRef { tenant: self.tenant.as_str(), space: &self.space, resource: &self.resource }
    }
}

struct ResourceRef<'p> {
    tenant: &'p str,
    space: &'p str,
    resource: &'p str,
}

struct HeldRange {
    begins: i64,
    ends: i64,
    key: String,
    at: Time,
}

/// Holds a range, merged with what its key holds already, or returns the conflicting range.
fn hold_range(
    session: &WriterSession<'_>,
    place: &ResourceRef<'_>,
    mut wanted: HeldRange,
) -> rusqlite::Result<Result<(), Option<StoredRecord>>> {
    let overlaps = overlapping(session.connection, place, wanted.begins, wanted.ends)?;
    if let Some(other) = overlaps.iter().find(|held| held.key != wanted.key) {
        return Ok(Err(Some(range_record(place, other))));
    }
    let mut drop_piece = session
        .statement("DELETE FROM held_range WHERE tenant = $1 AND space = $2 AND resource = $3 AND begins = $4")?;
    for own in overlaps {
        drop_piece.execute(params![place.tenant, place.space, place.resource, own.begins])?;
        wanted.begins = wanted.begins.min(own.begins);
        wanted.ends = wanted.ends.max(own.ends);
    }
    let mut insert = session.statement(
        "INSERT INTO held_range (tenant, space, resource, begins, ends, key, at) VALUES ($1, $2, $3, $4, $5, $6, $7)",
    )?;
    insert.execute(params![
        place.tenant,
        place.space,
        place.resource,
        wanted.begins,
        wanted.ends,
        wanted.key,
        wanted.at.as_ms()
    ])?;
    Ok(Ok(()))
}

/// Held ranges of a resource that overlap `from..to`, in order. Ranges of one resource never overlap each other, so
/// going back from `to`, the first range that ends before `from` ends the search.
fn overlapping(
    connection: &Connection,
    place: &ResourceRef<'_>,
    from: i64,
    to: i64,
) -> rusqlite::Result<Vec<HeldRange>> {
    let mut backwards = connection.prepare_cached(&numbered(
        "SELECT begins, ends, key, at FROM held_range \
         WHERE tenant = $1 AND space = $2 AND resource = $3 AND begins < $4 ORDER BY begins DESC",
    ))?;
    let mut rows = backwards.query(params![place.tenant, place.space, place.resource, to])?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        let held = HeldRange { begins: row.get(0)?, ends: row.get(1)?, key: row.get(2)?, at: codec::time(row, 3)? };
        if held.ends <= from {
            break;
        }
        found.push(held);
    }
    found.reverse();
    Ok(found)
}

/// A held range as a conflict reports it.
fn range_record(place: &ResourceRef<'_>, held: &HeldRange) -> StoredRecord {
    StoredRecord {
        space: place.space.to_owned(),
        key: held.key.clone(),
        value: json!({ "resource": place.resource, "from": held.begins, "to": held.ends }),
        version: 1,
        at: held.at,
    }
}
