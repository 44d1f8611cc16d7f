//! One append: the guard on the head row first, then everything that becomes durable with it.

use baton_core::bundle::ContentHash;
use baton_core::id::RunId;
use baton_core::time::Time;
use baton_ports::budget::ROWS_MAX;
use baton_ports::journal::{
    BLOB_BYTES_MIN, ENTRY_BYTES_MAX, JournalAppend, JournalError, Ownership, ProjectionRow, RunHeadUpdate,
    StateSnapshot, TaskItem,
};
use rusqlite::{OptionalExtension, Statement, params};

use super::session::WriterSession;
use super::submit::{self, DeliveryRoute};
use super::{audit, budget, conversations};

/// Maximum size of one append with everything in it, in bytes.
const APPEND_BYTES_MAX: usize = 128 << 20;
/// A larger snapshot is not stored: it is a cache, and folding the journal gives the same result.
const SNAPSHOT_BYTES_MAX: usize = 64 << 20;

/// An append with all work done that does not need the writer thread.
pub(super) struct PreparedAppend {
    append: JournalAppend,
    /// The entry's hash, if it is stored as a blob.
    blob: Option<ContentHash>,
    audit: Vec<audit::SealedRow>,
    /// The `details` of each task inbox item, as text.
    task_details: Vec<String>,
}

impl PreparedAppend {
    pub(super) fn new(append: JournalAppend) -> Result<Self, JournalError> {
        let size = append.entry.as_ref().map_or(0, |entry| entry.len());
        check_size("a journal entry", size, ENTRY_BYTES_MAX)?;
        append.outbox.iter().try_for_each(submit::check_size)?;
        check_size("the spends of an append", append.spends.len(), ROWS_MAX)?;
        let blob =
            append.entry.as_ref().filter(|entry| entry.len() > BLOB_BYTES_MIN).map(|entry| ContentHash::of(entry));
        let audit = append.audit.iter().map(audit::SealedRow::new).collect::<Result<_, _>>()?;
        let desk_details = append.projections.iter().map(task_details).collect();
        let prepared = Self { append, blob, audit, task_details: desk_details };
        check_size("an append with all that goes with it", prepared.bytes(), APPEND_BYTES_MAX)?;
        Ok(prepared)
    }

    /// Its approximate size.
    pub(super) fn bytes(&self) -> usize {
        let outbox: usize = self.append.outbox.iter().map(|submit| submit.payload.len()).sum();
        let snapshot = self.append.snapshot.as_ref().map_or(0, |snapshot| snapshot.state.len());
        let audit = self.append.audit.iter().map(|row| row.details.text().len());
        let details: usize = audit.chain(self.task_details.iter().map(String::len)).sum();
        let entry = self.append.entry.as_ref().map_or(0, |entry| entry.len());
        entry + outbox + snapshot + details
    }

    pub(super) fn perform(&self, session: &mut WriterSession<'_>) -> rusqlite::Result<Result<(), JournalError>> {
        let append = &self.append;
        if let Err(undeliverable) = self.check_outbox(session)? {
            // For a stale owner, staleness is the error that is reported, whatever else is wrong.
            return Ok(Err(stale_error(session, append)?.unwrap_or(undeliverable)));
        }
        if !move_head(session, append)? {
            let gone = || JournalError::NotFound { aggregate: append.aggregate.clone() };
            return Ok(Err(stale_error(session, append)?.unwrap_or_else(gone)));
        }
        if let Some(entry) = &append.entry {
            self.insert_entry(session, entry)?;
        }
        for (row, sealed) in append.audit.iter().zip(&self.audit) {
            audit::insert(session, row, sealed)?;
        }
        for spend in &append.spends {
            budget::note_spend(session, spend)?;
        }
        self.move_messages(session)?;
        for (projection, details) in append.projections.iter().zip(&self.task_details) {
            project(session, projection, details)?;
        }
        if let Some(snapshot) = &append.snapshot {
            write_snapshot(session, append.ownership, snapshot)?;
        }
        Ok(Ok(()))
    }

    fn check_outbox(&self, session: &mut WriterSession<'_>) -> rusqlite::Result<Result<(), JournalError>> {
        for message in &self.append.outbox {
            match submit::check(session, message)? {
                // Another message of the same append creates it, or it was deleted by retention.
                Err(JournalError::NotFound { .. }) | Ok(()) => {}
                Err(undeliverable) => return Ok(Err(undeliverable)),
            }
        }
        Ok(Ok(()))
    }

    fn insert_entry(&self, session: &mut WriterSession<'_>, entry: &[u8]) -> rusqlite::Result<()> {
        let append = &self.append;
        let payload = match &self.blob {
            None => Some(entry),
            Some(hash) => {
                let mut keep = session.statement("INSERT OR IGNORE INTO blobs (hash, body) VALUES ($1, $2)")?;
                keep.execute(params![hash.as_str(), entry])?;
                None
            }
        };
        let blob = self.blob.as_ref().map(ContentHash::as_str);
        let seq = append.expected_seq + 1;
        let row = params![append.ownership.handle.0, seq, append.at.as_ms(), payload, blob];
        session.hot.entry.execute(row).map(drop)
    }

    /// Removes consumed items from the inbox and sends the outgoing messages.
    fn move_messages(&self, session: &mut WriterSession<'_>) -> rusqlite::Result<()> {
        let append = &self.append;
        let handle = append.ownership.handle.0;
        for item in &append.inbox_done {
            session.hot.consume.execute(params![handle, item])?;
        }
        for message in &append.outbox {
            submit::deliver(session, message, DeliveryRoute::Owner(append.ownership.process))?;
        }
        if append.release || !append.inbox_done.is_empty() {
            session.hot.recall.execute(params![handle, append.release])?;
        }
        Ok(())
    }
}

fn check_size(what: &'static str, size: usize, limit: usize) -> Result<(), JournalError> {
    if size > limit { Err(JournalError::TooLarge { what, size, limit }) } else { Ok(()) }
}

/// Advances the head row if its owner, epoch and sequence match. Otherwise nothing has been written.
fn move_head(session: &mut WriterSession<'_>, append: &JournalAppend) -> rusqlite::Result<bool> {
    let with_head = usize::from(append.head.is_some());
    let statement = &mut session.hot.heads[with_head][usize::from(append.release)];
    let Ownership { handle, process, epoch } = append.ownership;
    statement.raw_bind_parameter(1, handle.0)?;
    statement.raw_bind_parameter(2, process.0)?;
    statement.raw_bind_parameter(3, epoch)?;
    statement.raw_bind_parameter(4, append.expected_seq)?;
    statement.raw_bind_parameter(5, append.wake_at.map(Time::as_ms))?;
    statement.raw_bind_parameter(6, u64::from(append.entry.is_some()))?;
    if let Some(head) = &append.head {
        bind_head(statement, head)?;
    }
    Ok(statement.raw_execute()? == 1)
}

fn bind_head(statement: &mut Statement<'_>, head: &RunHeadUpdate) -> rusqlite::Result<()> {
    statement.raw_bind_parameter(7, head.state.word())?;
    statement.raw_bind_parameter(8, head.started_at.map(Time::as_ms))?;
    statement.raw_bind_parameter(9, head.ended_at.map(Time::as_ms))?;
    statement.raw_bind_parameter(10, head.cost_nanos)?;
    statement.raw_bind_parameter(11, head.fault.as_deref())
}

/// What makes this append stale, if anything does.
fn stale_error(session: &WriterSession<'_>, append: &JournalAppend) -> rusqlite::Result<Option<JournalError>> {
    let Ownership { handle, process, epoch } = append.ownership;
    let mut head = session.statement("SELECT owner, epoch, seq FROM aggregate WHERE id = $1")?;
    let found = head
        .query_row([handle.0], |row| Ok((row.get::<_, Option<i64>>(0)?, row.get::<_, u64>(1)?, row.get::<_, u64>(2)?)))
        .optional()?;
    let aggregate = append.aggregate.clone();
    Ok(match found {
        None => Some(JournalError::NotFound { aggregate }),
        Some((owner, at, _)) if owner != Some(process.0) || at != epoch => Some(JournalError::LeaseLost { aggregate }),
        Some((_, _, found)) if found != append.expected_seq => {
            Some(JournalError::WrongSequence { aggregate, expected: append.expected_seq, found })
        }
        Some(_) => None,
    })
}

fn write_snapshot(session: &WriterSession<'_>, ownership: Ownership, snapshot: &StateSnapshot) -> rusqlite::Result<()> {
    if snapshot.state.len() > SNAPSHOT_BYTES_MAX {
        return Ok(());
    }
    let mut keep = session
        .statement("INSERT OR REPLACE INTO snapshot (aggregate, seq, fold_version, state) VALUES ($1, $2, $3, $4)")?;
    keep.execute(params![ownership.handle.0, snapshot.seq, snapshot.fold_version, &*snapshot.state]).map(drop)
}

fn task_details(projection: &ProjectionRow) -> String {
    match projection {
        ProjectionRow::TaskOpened(item) => item.details.to_string(),
        ProjectionRow::TaskClosed { .. } | ProjectionRow::Conversation(_) | ProjectionRow::RunBegun { .. } => {
            String::new()
        }
    }
}

fn project(session: &WriterSession<'_>, projection: &ProjectionRow, details: &str) -> rusqlite::Result<()> {
    match projection {
        ProjectionRow::TaskOpened(item) => open_task_item(session, item, details),
        ProjectionRow::TaskClosed { id, at, outcome } => {
            let mut close = session
                .statement("UPDATE desk SET closed_at = $2, outcome = $3 WHERE id = $1 AND closed_at IS NULL")?;
            close.execute(params![id, at.as_ms(), outcome]).map(drop)
        }
        ProjectionRow::Conversation(head) => conversations::put(session, head),
        ProjectionRow::RunBegun { run, customer, bundle } => {
            let mut begun = session.statement("UPDATE aggregate SET customer = $2, bundle = $3 WHERE name = $1")?;
            begun.execute(params![run.as_str(), customer, bundle.as_str()]).map(drop)
        }
    }
}

/// An item that is opened again (its question changed) is open, whatever its state was before.
pub(super) fn open_task_item(session: &WriterSession<'_>, item: &TaskItem, details: &str) -> rusqlite::Result<()> {
    let mut open = session.statement(
        "INSERT OR REPLACE INTO desk (id, tenant, run, kind, title, details, opened_at, deadline) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
    )?;
    let row = params![
        item.id,
        item.tenant.as_str(),
        item.run.as_ref().map(RunId::as_str),
        super::codec::task_kind_word(item.kind),
        item.title,
        details,
        item.opened_at.as_ms(),
        item.deadline.map(Time::as_ms),
    ];
    open.execute(row).map(drop)
}
