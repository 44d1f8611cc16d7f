//! Forgotten people, by the hash of their id: work that began before cannot restore anything.

use baton_core::bundle::ContentHash;
use baton_core::time::Time;
use baton_ports::index::ForgetWatermark;
use rusqlite::{Connection, OptionalExtension, params};

use super::super::codec;
use super::super::session::WriterSession;
use super::super::sql::numbered;
use super::document::DocumentScope;

/// The hash under which a person is recorded, so that the mark reveals no name.
pub(super) fn person_hash(subject: &str) -> String {
    ContentHash::of(subject.as_bytes()).as_str().to_owned()
}

pub(super) fn count(connection: &Connection, scope: &DocumentScope) -> rusqlite::Result<u64> {
    let mut count = connection.prepare_cached(&numbered(
        "SELECT COALESCE(max(number), 0) FROM memory_forgotten WHERE tenant = $1 AND collection = $2",
    ))?;
    count.query_row(scope.names(), |row| row.get(0))
}

pub(super) fn mark(session: &WriterSession<'_>, scope: &DocumentScope, person: &str, at: Time) -> rusqlite::Result<()> {
    let [tenant, collection] = scope.names();
    let number = count(session.connection, scope)? + 1;
    let mut mark = session.statement(
        "INSERT OR REPLACE INTO memory_forgotten (tenant, collection, person, number, at) VALUES ($1, $2, $3, $4, $5)",
    )?;
    mark.execute(params![tenant, collection, person, number, at.as_ms()]).map(drop)
}

/// Whether a person was forgotten after the work began.
pub(super) fn is_forgotten_since(
    session: &WriterSession<'_>,
    scope: &DocumentScope,
    person: &str,
    since: ForgetWatermark,
) -> rusqlite::Result<bool> {
    let [tenant, collection] = scope.names();
    let mut find = session
        .statement("SELECT number, at FROM memory_forgotten WHERE tenant = $1 AND collection = $2 AND person = $3")?;
    let found: Option<(u64, Time)> = find
        .query_row(params![tenant, collection, person], |row| Ok((row.get(0)?, codec::time(row, 1)?)))
        .optional()?;
    Ok(found.is_some_and(|(number, at)| since.is_superseded_by(number, at)))
}
