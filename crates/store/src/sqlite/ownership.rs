//! Ownership: the leases of process incarnations, and the owner and epoch of each aggregate.

use std::collections::BTreeSet;
use std::io;
use std::sync::Arc;

use baton_core::run::OwnerDeparture;
use baton_core::time::Time;
use baton_ports::clock::MonotonicTime;
use baton_ports::journal::{
    AggregateHandle, AggregateId, ClaimedAggregate, InboxItem, JournalError, LEASE, Ownership, ProcessId, ProcessLease,
    StateSnapshot, StrandedPage, TIMERS_MAX, TimerKey,
};
use rusqlite::{Connection, OptionalExtension, params};

use super::codec;
use super::owner_locks::OwnerLocks;
use super::read;
use super::session::WriterSession;
use super::sql::numbered;

/// Maximum size of the inbox items returned at once, in bytes; the rest is reported by `nudged` until it is consumed.
const INBOX_READ_BYTES_MAX: usize = 64 << 20;

/// The value for programs that judged leases by the wall clock: later than any time, so that they check the lock.
const BEYOND_TIME: i64 = i64::MAX;

/// Registers a new incarnation with its lock and its first lease. `joined` receives the number as soon as the lock is
/// held.
pub(super) fn join(
    session: &mut WriterSession<'_>,
    steady: MonotonicTime,
    joined: &mut Option<ProcessId>,
) -> rusqlite::Result<Result<ProcessLease, JournalError>> {
    remove_dead_owners(session)?;
    let until = steady + LEASE;
    session.statement("INSERT INTO lease (until, beat) VALUES ($1, $2)")?.execute([BEYOND_TIME, until.as_ms()])?;
    let process = ProcessId(session.connection.last_insert_rowid());
    if let Err(error) = session.owners.acquire(process) {
        session.statement("DELETE FROM lease WHERE process = $1")?.execute([process.0])?;
        return Ok(Err(unlockable(&error)));
    }
    *joined = Some(process);
    Ok(Ok(ProcessLease { process, until }))
}

fn unlockable(error: &io::Error) -> JournalError {
    JournalError::Unwritable { reason: format!("the folder `.owners` beside the database cannot be used: {error}") }
}

pub(super) fn renew(
    session: &mut WriterSession<'_>,
    process: ProcessId,
    steady: MonotonicTime,
) -> rusqlite::Result<Result<ProcessLease, JournalError>> {
    remove_dead_owners(session)?;
    let until = steady + LEASE;
    let mut renew =
        session.statement("UPDATE lease SET beat = max(coalesce(beat, $2), $2) WHERE process = $1 AND taken = 0")?;
    let renewed = renew.execute([process.0, until.as_ms()])? == 1;
    Ok(if renewed { Ok(ProcessLease { process, until }) } else { Err(JournalError::LeaseEnded { process }) })
}

/// What the process owned may have calls in flight, so each aggregate must be claimed by the next process that polls.
pub(super) fn leave(session: &mut WriterSession<'_>, process: ProcessId) -> rusqlite::Result<()> {
    session.statement("UPDATE aggregate SET owner = NULL, called = 1 WHERE owner = $1")?.execute([process.0])?;
    session.statement("DELETE FROM lease WHERE process = $1")?.execute([process.0]).map(drop)
}

pub(super) fn release(
    session: &mut WriterSession<'_>,
    ownership: Ownership,
    wake_at: Option<Time>,
) -> rusqlite::Result<Result<(), JournalError>> {
    let mut release = session.statement(
        "UPDATE aggregate SET owner = NULL, released = 1, wake_at = $4, \
         called = EXISTS (SELECT 1 FROM inbox WHERE aggregate = $1) WHERE id = $1 AND owner = $2 AND epoch = $3",
    )?;
    let Ownership { handle, process, epoch } = ownership;
    if release.execute(params![handle.0, process.0, epoch, wake_at.map(Time::as_ms)])? == 1 {
        return Ok(Ok(()));
    }
    let mut head = session.statement("SELECT name, owner IS NULL AND epoch = $2 FROM aggregate WHERE id = $1")?;
    let found = head
        .query_row(params![ownership.handle.0, ownership.epoch], |row| {
            Ok((row.get::<_, String>(0)?, row.get::<_, bool>(1)?))
        })
        .optional()?;
    Ok(match found {
        Some((_, true)) => Ok(()),
        Some((name, false)) => Err(JournalError::LeaseLost { aggregate: name.into() }),
        None => Err(JournalError::NotFound { aggregate: format!("number {}", ownership.handle.0).into() }),
    })
}

/// Releases ownership that no caller received. The new owner may never have read the aggregate, so another must.
pub(super) fn release_unclaimed(session: &mut WriterSession<'_>, ownership: Ownership) -> rusqlite::Result<()> {
    let mut release = session
        .statement("UPDATE aggregate SET owner = NULL, called = 1 WHERE id = $1 AND owner = $2 AND epoch = $3")?;
    release.execute(params![ownership.handle.0, ownership.process.0, ownership.epoch]).map(drop)
}

/// An aggregate's head row as a claim reads it.
struct AggregateRow {
    id: i64,
    tenant: String,
    kind: baton_ports::journal::AggregateKind,
    workflow: String,
    owner: Option<ProcessId>,
    epoch: u64,
    seq: u64,
    released: bool,
    wake_at: Option<Time>,
    last_at: Option<Time>,
    is_erased: bool,
}

/// A claim: the claimant, the aggregate and the fold version.
pub(super) struct ClaimRequest {
    pub(super) aggregate: AggregateId,
    pub(super) process: ProcessId,
    pub(super) fold_version: u32,
    pub(super) steady: MonotonicTime,
}

impl ClaimRequest {
    /// Takes the aggregate over, if it has no owner, a dead one, or the claimant itself.
    pub(super) fn perform(
        &self,
        session: &mut WriterSession<'_>,
    ) -> rusqlite::Result<Result<Option<ClaimedAggregate>, JournalError>> {
        let Some(found) = self.find(session)? else {
            return Ok(Err(JournalError::NotFound { aggregate: self.aggregate.clone() }));
        };
        // No process moves it any more.
        if found.is_erased {
            return Ok(Ok(None));
        }
        let mut lease = session.statement("SELECT 1 FROM lease WHERE process = $1 AND taken = 0")?;
        if !lease.exists([self.process.0])? {
            return Ok(Err(JournalError::LeaseEnded { process: self.process }));
        }
        let previous = found.owner.filter(|owner| *owner != self.process);
        if let Some(owner) = previous
            && !is_dead(session, owner, self.steady)?
        {
            return Ok(Ok(None));
        }
        let released = found.released;
        let claimed = match self.read(session, found)? {
            Ok(claimed) => ClaimedAggregate { departure: OwnerDeparture::of(previous.is_some(), released), ..claimed },
            Err(corrupt) => return Ok(Err(corrupt)),
        };
        if let Some(owner) = previous {
            session.statement("UPDATE lease SET taken = 1 WHERE process = $1 AND taken = 0")?.execute([owner.0])?;
        }
        self.take(session, &claimed)?;
        Ok(Ok(Some(claimed)))
    }

    fn find(&self, session: &WriterSession<'_>) -> rusqlite::Result<Option<AggregateRow>> {
        let mut head = session.statement(
            "SELECT id, tenant, kind, workflow, owner, epoch, seq, released, wake_at, erased_at IS NOT NULL, \
             (SELECT journal.at FROM journal WHERE journal.aggregate = aggregate.id AND journal.seq = aggregate.seq) \
             FROM aggregate WHERE name = $1",
        )?;
        let read = |row: &rusqlite::Row<'_>| {
            Ok(AggregateRow {
                id: row.get(0)?,
                tenant: row.get(1)?,
                kind: codec::kind(row, 2)?,
                workflow: row.get(3)?,
                owner: row.get::<_, Option<i64>>(4)?.map(ProcessId),
                epoch: row.get(5)?,
                seq: row.get(6)?,
                released: row.get(7)?,
                wake_at: row.get::<_, Option<i64>>(8)?.map(Time::from_ms),
                is_erased: row.get(9)?,
                last_at: row.get::<_, Option<i64>>(10)?.map(Time::from_ms),
            })
        };
        head.query_row([self.aggregate.as_str()], read).optional()
    }

    /// What the new owner needs, as of the new epoch: no other process can append from now on.
    fn read(
        &self,
        session: &WriterSession<'_>,
        found: AggregateRow,
    ) -> rusqlite::Result<Result<ClaimedAggregate, JournalError>> {
        let AggregateRow {
            id,
            tenant,
            kind,
            workflow,
            epoch,
            seq,
            wake_at,
            last_at,
            owner: _,
            released: _,
            is_erased: _,
        } = found;
        let snapshot = self.snapshot(session, id)?.filter(|snapshot| snapshot.seq <= seq);
        let behind = snapshot.as_ref().map_or(0, |snapshot| snapshot.seq);
        let tail = match read::tail(session.connection, id, behind, seq)? {
            Ok(tail) => tail,
            Err(reason) => return Ok(Err(JournalError::Corrupt { aggregate: self.aggregate.clone(), reason })),
        };
        let inbox = open_items(session.connection, AggregateHandle(id), 0)?;
        let ownership = Ownership { handle: AggregateHandle(id), process: self.process, epoch: epoch + 1 };
        Ok(Ok(ClaimedAggregate {
            ownership,
            tenant: tenant.into(),
            kind,
            workflow,
            seq,
            departure: OwnerDeparture::Dropped,
            wake_at,
            last_at,
            snapshot,
            tail,
            inbox,
        }))
    }

    fn snapshot(&self, session: &WriterSession<'_>, id: i64) -> rusqlite::Result<Option<StateSnapshot>> {
        let mut newest =
            session.statement("SELECT seq, state FROM snapshot WHERE aggregate = $1 AND fold_version = $2")?;
        let found = |row: &rusqlite::Row<'_>| codec::snapshot(row, self.fold_version);
        newest.query_row(params![id, self.fold_version], found).optional()
    }

    /// Items that were not returned keep their mark.
    fn take(&self, session: &WriterSession<'_>, claimed: &ClaimedAggregate) -> rusqlite::Result<()> {
        let Ownership { handle, process, epoch } = claimed.ownership;
        let last = claimed.inbox.last().map_or(0, |item| item.item);
        let mut take = session.statement(
            "UPDATE aggregate SET owner = $2, epoch = $3, released = 0, \
             called = EXISTS (SELECT 1 FROM inbox WHERE aggregate = $1 AND item > $4) WHERE id = $1",
        )?;
        take.execute(params![handle.0, process.0, epoch, last]).map(drop)
    }
}

/// Open items after `after`, oldest first: all of them, or as many as [`INBOX_READ_BYTES_MAX`] allows.
pub(super) fn open_items(
    connection: &Connection,
    handle: AggregateHandle,
    after: i64,
) -> rusqlite::Result<Vec<InboxItem>> {
    let mut open = connection.prepare_cached(&numbered(
        "SELECT item, command_id, payload, at FROM inbox WHERE aggregate = $1 AND item > $2 ORDER BY item",
    ))?;
    let mut rows = open.query(params![handle.0, after])?;
    let mut items = Vec::new();
    let mut bytes = 0;
    while let Some(row) = rows.next()? {
        let payload: Arc<[u8]> = row.get_ref(2)?.as_blob()?.into();
        bytes += payload.len();
        if bytes > INBOX_READ_BYTES_MAX && !items.is_empty() {
            break;
        }
        items.push(InboxItem { item: row.get(0)?, command_id: row.get(1)?, payload, at: codec::time(row, 3)? });
    }
    Ok(items)
}

/// The aggregates that `process` should claim: those of dead owners, those marked for a claim, and those that are due.
pub(super) fn due(
    connection: &Connection,
    owners: &OwnerLocks,
    process: ProcessId,
    (now, steady): (Time, MonotonicTime),
    limit: usize,
) -> rusqlite::Result<Vec<AggregateId>> {
    let mut found = AggregateNames { limit, ids: BTreeSet::new(), names: Vec::new() };
    for dead in dead_owners(connection, owners, process, steady)? {
        found.add(connection, OWNED, &[dead.0])?;
    }
    found.add(connection, CALLED, &[])?;
    found.add(connection, TIMERS, &[now.as_ms()])?;
    Ok(found.names)
}

/// The aggregates that `process` owns and whose inbox it must read.
pub(super) fn with_new_items(
    connection: &Connection,
    process: ProcessId,
    limit: usize,
) -> rusqlite::Result<Vec<AggregateId>> {
    let mut found = AggregateNames { limit, ids: BTreeSet::new(), names: Vec::new() };
    found.add(connection, NUDGED, &[process.0])?;
    Ok(found.names)
}

/// Aggregates that sleep for a timer set by a clock that has been set back since.
pub(super) fn stranded(
    connection: &Connection,
    now: Time,
    after: TimerKey,
    limit: usize,
) -> rusqlite::Result<StrandedPage> {
    // Timers that are due by now are found as such.
    let after = after.max(TimerKey { at: now, handle: AggregateHandle(i64::MIN) });
    let mut query = connection.prepare_cached(&numbered(LAST_ENTRIES))?;
    let mut rows = query.query((after.at.as_ms(), after.handle.0, TIMERS_MAX))?;
    let (mut page, mut looked_at) = (StrandedPage { found: Vec::new(), next: None }, 0);
    while let Some(row) = rows.next()? {
        let (timer, last_at) = (codec::time(row, 0)?, row.get::<_, Option<i64>>(2)?.map(Time::from_ms));
        // A timer set by the clock of the last entry is after that entry; a corrected one is before it.
        if last_at.is_some_and(|last| last > now && last <= timer) {
            page.found.push(row.get::<_, String>(3)?.into());
        }
        looked_at += 1;
        if looked_at >= TIMERS_MAX || page.found.len() >= limit {
            page.next = Some(TimerKey { at: timer, handle: AggregateHandle(row.get(1)?) });
            break;
        }
    }
    Ok(page)
}

/// Timers of sleeping aggregates, with the time of their last entry.
pub(super) const LAST_ENTRIES: &str = "SELECT wake_at, id, (SELECT at FROM journal \
     WHERE aggregate = aggregate.id AND journal.seq = aggregate.seq), name FROM aggregate \
     WHERE owner IS NULL AND wake_at IS NOT NULL AND (wake_at, id) > ($1, $2) ORDER BY wake_at, id LIMIT $3";

const OWNED: &str = "SELECT id, name FROM aggregate WHERE owner = $1 AND owner IS NOT NULL LIMIT $2";
const CALLED: &str = "SELECT id, name FROM aggregate WHERE owner IS NULL AND called = 1 LIMIT $1";
const TIMERS: &str = "SELECT id, name FROM aggregate \
     WHERE owner IS NULL AND wake_at IS NOT NULL AND wake_at <= $1 ORDER BY wake_at LIMIT $2";
const NUDGED: &str = "SELECT id, name FROM aggregate WHERE owner = $1 AND called = 1 LIMIT $2";

/// All queries, for the test of query plans.
#[cfg(test)]
pub(super) const QUERIES: [&str; 4] = [OWNED, CALLED, TIMERS, NUDGED];

/// Names found so far, each once.
struct AggregateNames {
    limit: usize,
    ids: BTreeSet<i64>,
    names: Vec<AggregateId>,
}

impl AggregateNames {
    /// Runs a query whose last parameter is the maximum number of rows.
    fn add(&mut self, connection: &Connection, sql: &str, first: &[i64]) -> rusqlite::Result<()> {
        if self.names.len() >= self.limit {
            return Ok(());
        }
        let limit = i64::try_from(self.limit).unwrap_or(i64::MAX);
        let mut query = connection.prepare_cached(&numbered(sql))?;
        let parameters = first.iter().copied().chain([limit]);
        let mut rows = query.query(rusqlite::params_from_iter(parameters))?;
        while let Some(row) = rows.next()? {
            if self.names.len() < self.limit && self.ids.insert(row.get(0)?) {
                self.names.push(row.get::<_, String>(1)?.into());
            }
        }
        Ok(())
    }
}

fn dead_owners(
    connection: &Connection,
    owners: &OwnerLocks,
    besides: ProcessId,
    steady: MonotonicTime,
) -> rusqlite::Result<Vec<ProcessId>> {
    let mut others =
        connection.prepare_cached(&numbered("SELECT process, taken, beat FROM lease WHERE process <> $1"))?;
    let leases = others
        .query_map([besides.0], |row| Ok((ProcessId(row.get(0)?), LeaseRow::at(row, 1)?)))?
        .collect::<rusqlite::Result<Vec<_>>>()?;
    let dead = leases.into_iter().filter(|(process, lease)| lease.is_over(owners, *process, steady));
    Ok(dead.map(|(process, _)| process).collect())
}

fn is_dead(session: &WriterSession<'_>, owner: ProcessId, steady: MonotonicTime) -> rusqlite::Result<bool> {
    let mut lease = session.statement("SELECT taken, beat FROM lease WHERE process = $1")?;
    let lease = lease.query_row([owner.0], |row| LeaseRow::at(row, 0)).optional()?;
    Ok(lease.is_none_or(|lease| lease.is_over(&session.owners, owner, steady)))
}

/// The stored state of a lease.
struct LeaseRow {
    /// Another process took over something that its process owned.
    taken: bool,
    /// `None` if an older program keeps the lease.
    beat: Option<MonotonicTime>,
}

impl LeaseRow {
    fn at(row: &rusqlite::Row<'_>, first: usize) -> rusqlite::Result<Self> {
        Ok(Self { taken: row.get(first)?, beat: row.get::<_, Option<i64>>(first + 1)?.map(MonotonicTime::from_ms) })
    }

    /// A process that was once taken for dead is dead for all: if it lives, it has joined again. A lease that ends much
    /// later than one taken now dates from before the machine was booted. One that was renewed after `steady` was read,
    /// while the reader waited to write, ends only a little later.
    fn is_over(&self, owners: &OwnerLocks, process: ProcessId, steady: MonotonicTime) -> bool {
        let has_ended = match self.beat {
            Some(until) => until <= steady || until > steady + LEASE * 2,
            None => !owners.has_lock(process),
        };
        self.taken || has_ended || owners.is_dead(process)
    }
}

/// Deletes incarnations that are certainly dead and own nothing any more.
fn remove_dead_owners(session: &mut WriterSession<'_>) -> rusqlite::Result<()> {
    let mut leases = session.statement("SELECT process FROM lease")?;
    let mut leased: BTreeSet<ProcessId> =
        leases.query_map([], |row| row.get(0).map(ProcessId))?.collect::<rusqlite::Result<_>>()?;
    let gone: Vec<ProcessId> = leased.iter().copied().filter(|process| session.owners.is_dead(*process)).collect();
    for process in gone {
        let mut bury = session.statement(
            "DELETE FROM lease WHERE process = $1 AND NOT EXISTS (SELECT 1 FROM aggregate WHERE owner = $1)",
        )?;
        if bury.execute([process.0])? == 1 {
            leased.remove(&process);
        }
    }
    session.owners.sweep(&leased);
    Ok(())
}
