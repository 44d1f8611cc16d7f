//! A store in memory that keeps every promise of the ports and nothing on a disk.
//!
//! [`Books`] is the store itself, synchronous, for the simulation; [`Store`] wraps it in the ports for everybody
//! else's tests. It passes the same conformance suites as the real ones.

mod books;
mod cabinet;
mod feed;
mod index;
mod reads;
mod shelf;
mod stacks;
mod till;
mod trail;

use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use baton_core::audit::{Entry, Tip};
use baton_core::bundle::Hash;
use baton_core::id::{RunId, TenantId};
use baton_core::kpi::Conversations;
use baton_core::run::State;
use baton_core::time::Time;
use baton_core::tool::AuditRow;
use baton_ports::audit::{Audit, Filter, Person, Usage, UsageFilter};
use baton_ports::budget::{Budget, CostFilter, CostRow, Grown, Holder, ROWS_MAX, Settlement, Standing, Want};
use baton_ports::clock::Steady;
use baton_ports::conversations::{ConversationFilter, ConversationHead};
use baton_ports::journal::{
    AggregateId, Append, AstrayPage, Claimed, DeskItem, Error, Handle, InboxItem, Journal, Lease, Ownership, ProcessId,
    Snapshot, Submit, Submitted, TimerKey,
};
use baton_ports::read::{Read, RunFilter, RunHead};
use baton_ports::records::{self, Op, Record, Records};
use baton_ports::registry::{self, Change, Changed, Registry, Version};

pub use books::Books;
pub use cabinet::Cabinet;
pub use index::Index;
pub use shelf::Shelf;
pub use stacks::Stacks;
pub use till::Till;
pub use trail::Trail;

/// The ports over one memory. Clones share it.
#[derive(Clone, Debug, Default)]
pub struct Store {
    inner: Arc<Mutex<Inner>>,
}

#[derive(Debug, Default)]
struct Inner {
    books: Books,
    cabinet: Cabinet,
    shelf: Shelf,
    entries_read: u64,
}

impl Store {
    pub fn new() -> Self {
        Self::default()
    }

    /// Entries handed out to readers so far.
    pub fn entries_read(&self) -> u64 {
        self.with(|inner| inner.entries_read)
    }

    fn with<T>(&self, act: impl FnOnce(&mut Inner) -> T) -> T {
        let inner = &mut *self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        let done = act(inner);
        for (tenant, notice, at) in std::mem::take(&mut inner.books.told) {
            // One that is put is in nobody's way.
            let _ = inner.cabinet.commit(&tenant, vec![notice], at);
        }
        done
    }
}

#[async_trait]
impl Journal for Store {
    async fn join(&self, steady: Steady) -> Result<Lease, Error> {
        Ok(self.with(|inner| inner.books.join(steady)))
    }

    async fn renew(&self, process: ProcessId, steady: Steady) -> Result<Lease, Error> {
        self.with(|inner| inner.books.renew(process, steady))
    }

    async fn leave(&self, process: ProcessId) -> Result<(), Error> {
        self.with(|inner| inner.books.leave(process));
        Ok(())
    }

    async fn submit(&self, submit: Submit) -> Result<Submitted, Error> {
        self.with(|inner| inner.books.submit(submit))
    }

    async fn append(&self, append: Append) -> Result<(), Error> {
        self.with(|inner| inner.books.append(append))
    }

    async fn claim(
        &self,
        aggregate: &AggregateId,
        process: ProcessId,
        fold_version: u32,
        steady: Steady,
    ) -> Result<Option<Claimed>, Error> {
        self.with(|inner| inner.books.claim(aggregate, process, fold_version, steady))
    }

    async fn release(&self, ownership: Ownership, wake_at: Option<Time>) -> Result<(), Error> {
        self.with(|inner| inner.books.release(ownership, wake_at))
    }

    async fn inbox(&self, handle: Handle, after: i64) -> Result<Vec<InboxItem>, Error> {
        Ok(self.with(|inner| inner.books.inbox(handle, after)))
    }

    async fn due(
        &self,
        process: ProcessId,
        now: Time,
        steady: Steady,
        limit: usize,
    ) -> Result<Vec<AggregateId>, Error> {
        Ok(self.with(|inner| inner.books.due(process, now, steady, limit)))
    }

    async fn astray(&self, now: Time, after: TimerKey, limit: usize) -> Result<AstrayPage, Error> {
        Ok(self.with(|inner| inner.books.astray(now, after, limit)))
    }

    async fn nudged(&self, process: ProcessId, limit: usize) -> Result<Vec<AggregateId>, Error> {
        Ok(self.with(|inner| inner.books.nudged(process, limit)))
    }
}

#[async_trait]
impl Read for Store {
    async fn run(&self, tenant: &TenantId, run: &RunId) -> Result<Option<RunHead>, Error> {
        Ok(self.with(|inner| inner.books.run(tenant, run)))
    }

    async fn runs(&self, tenant: &TenantId, filter: RunFilter) -> Result<Vec<RunHead>, Error> {
        Ok(self.with(|inner| inner.books.runs(tenant, &filter)))
    }

    async fn begun_by(&self, tenant: &TenantId, prefix: &str, limit: usize) -> Result<Vec<RunHead>, Error> {
        Ok(self.with(|inner| inner.books.begun_by(tenant, prefix, limit)))
    }

    async fn entries(&self, tenant: &TenantId, run: &RunId, after: u64, limit: usize) -> Result<Vec<Arc<[u8]>>, Error> {
        Ok(self.with(|inner| {
            let entries = inner.books.entries(tenant, run, after, limit);
            inner.entries_read += entries.len() as u64;
            entries
        }))
    }

    async fn snapshot(
        &self,
        tenant: &TenantId,
        id: &AggregateId,
        fold_version: u32,
        after: u64,
    ) -> Result<Option<Snapshot>, Error> {
        Ok(self.with(|inner| inner.books.snapshot(tenant, id, fold_version, after)))
    }

    async fn desk(&self, tenant: &TenantId, run: Option<&RunId>) -> Result<Vec<DeskItem>, Error> {
        Ok(self.with(|inner| inner.books.open_desk(tenant, run)))
    }

    async fn conversation(&self, tenant: &TenantId, id: &RunId) -> Result<Option<ConversationHead>, Error> {
        Ok(self.with(|inner| inner.books.conversation(tenant, id)))
    }

    async fn conversations(
        &self,
        tenant: &TenantId,
        filter: ConversationFilter,
    ) -> Result<Vec<ConversationHead>, Error> {
        Ok(self.with(|inner| inner.books.conversations(tenant, &filter)))
    }

    async fn conversations_ended(&self, tenant: &TenantId, since: Time) -> Result<Conversations, Error> {
        Ok(self.with(|inner| inner.books.conversations_ended(tenant, since)))
    }

    async fn counts(&self) -> Result<Vec<(State, u64)>, Error> {
        Ok(self.with(|inner| inner.books.counts()))
    }
}

#[async_trait]
impl Audit for Store {
    async fn trail(&self, tenant: &TenantId, filter: Filter) -> Result<Vec<Entry>, Error> {
        Ok(self.with(|inner| inner.books.trail.entries(tenant, &filter)))
    }

    async fn latest(&self, tenant: &TenantId, filter: Filter) -> Result<Vec<Entry>, Error> {
        Ok(self.with(|inner| inner.books.trail.latest(tenant, &filter)))
    }

    async fn tip(&self, tenant: &TenantId) -> Result<Tip, Error> {
        Ok(self.with(|inner| inner.books.trail.tip(tenant)))
    }

    async fn usage(&self, filter: UsageFilter) -> Result<Vec<Usage>, Error> {
        Ok(self.with(|inner| inner.books.trail.usage(&filter)))
    }

    async fn note(&self, row: AuditRow) -> Result<(), Error> {
        self.with(|inner| inner.books.trail.add(row));
        Ok(())
    }

    async fn erase(&self, tenant: &TenantId, person: &Person, by: &str, at: Time) -> Result<u64, Error> {
        Ok(self.with(|inner| inner.books.trail.erase(tenant, person, by, at)))
    }
}

#[async_trait]
impl Records for Store {
    async fn commit(&self, tenant: &TenantId, ops: Vec<Op>, at: Time) -> Result<(), records::Error> {
        self.with(|inner| inner.cabinet.commit(tenant, ops, at))
    }

    async fn get(&self, tenant: &TenantId, space: &str, key: &str) -> Result<Option<Record>, records::Error> {
        Ok(self.with(|inner| inner.cabinet.get(tenant, space, key)))
    }

    async fn list(
        &self,
        tenant: &TenantId,
        space: &str,
        prefix: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<Record>, records::Error> {
        Ok(self.with(|inner| inner.cabinet.list(tenant, space, prefix, after, limit)))
    }

    async fn ranges(
        &self,
        tenant: &TenantId,
        space: &str,
        resource: &str,
        from: i64,
        to: i64,
    ) -> Result<Vec<(i64, i64, String)>, records::Error> {
        Ok(self.with(|inner| inner.cabinet.ranges(tenant, space, resource, from, to)))
    }
}

fn few(what: &'static str, size: usize) -> Result<(), Error> {
    if size > ROWS_MAX { Err(Error::TooLarge { what, size, limit: ROWS_MAX }) } else { Ok(()) }
}

#[async_trait]
impl Budget for Store {
    async fn open(&self, _now: Time) -> Result<Holder, Error> {
        Ok(self.with(|inner| inner.books.till.open()))
    }

    async fn grow(&self, holder: Holder, wants: Vec<Want>, now: Time) -> Result<Vec<Grown>, Error> {
        few("the lines of one growth", wants.len())?;
        Ok(self.with(|inner| wants.iter().map(|want| inner.books.grow(holder, want, now)).collect()))
    }

    async fn settle(&self, settlement: Settlement) -> Result<(), Error> {
        few("the spends of one settlement", settlement.spends.len())?;
        few("what one settlement gives back", settlement.back.len())?;
        self.with(|inner| {
            let told = inner.books.till.settle(settlement);
            inner.books.file(told);
        });
        Ok(())
    }

    async fn close(&self, holder: Holder) -> Result<(), Error> {
        self.with(|inner| inner.books.till.close(holder));
        Ok(())
    }

    async fn standings(&self, tenant: &TenantId, now: Time) -> Result<Vec<Standing>, Error> {
        Ok(self.with(|inner| inner.books.till.standings(tenant, now)))
    }

    async fn costs(&self, filter: CostFilter) -> Result<Vec<CostRow>, Error> {
        Ok(self.with(|inner| inner.books.till.costs(&filter)))
    }
}

#[async_trait]
impl Registry for Store {
    async fn change(
        &self,
        tenant: &TenantId,
        workflow: &str,
        change: Change,
        expected: Option<u64>,
        now: Time,
    ) -> Result<Changed, Error> {
        self.with(|inner| inner.shelf.change(tenant, workflow, change, expected, now))
    }

    async fn standing(&self, tenant: &TenantId, workflow: &str) -> Result<Option<registry::Standing>, Error> {
        Ok(self.with(|inner| inner.shelf.standing(tenant, workflow)))
    }

    async fn workflows(&self, tenant: &TenantId) -> Result<Vec<Version>, Error> {
        Ok(self.with(|inner| inner.shelf.workflows(tenant)))
    }

    async fn versions(&self, tenant: &TenantId, workflow: &str) -> Result<Vec<Version>, Error> {
        Ok(self.with(|inner| inner.shelf.versions(tenant, workflow)))
    }

    async fn bundle(&self, hash: &Hash) -> Result<Option<Arc<[u8]>>, Error> {
        Ok(self.with(|inner| inner.shelf.bundle(hash)))
    }
}
