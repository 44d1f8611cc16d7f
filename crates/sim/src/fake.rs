//! An in-memory store that keeps every promise of the ports and writes nothing to disk.
//!
//! [`FakeJournal`] is the synchronous store for the simulation; [`FakeStore`] wraps it in the ports for all other
//! tests. It passes the same conformance suites as the real stores.

mod audit_trail;
mod budget;
mod documents;
mod feed;
mod index;
mod journal;
mod reads;
mod records;
mod registry;

use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use baton_core::audit::{AuditEntry, ChainTip};
use baton_core::bundle::ContentHash;
use baton_core::id::{RunId, TenantId};
use baton_core::kpi::ConversationCounts;
use baton_core::run::RunState;
use baton_core::time::Time;
use baton_core::tool::AuditRow;
use baton_ports::audit::{AuditFilter, AuditTrail, ErasureSubject, UsageFilter, UsageSum};
use baton_ports::budget::{
    AllowanceGrant, AllowanceRequest, BudgetHolder, BudgetSettlement, BudgetStanding, BudgetStore, CostFilter, CostRow,
    ROWS_MAX,
};
use baton_ports::clock::MonotonicTime;
use baton_ports::conversations::{ConversationFilter, ConversationHead};
use baton_ports::journal::{
    AggregateHandle, AggregateId, ClaimedAggregate, InboxItem, InboxReceipt, InboxSubmission, JournalAppend,
    JournalError, JournalStore, Ownership, ProcessId, ProcessLease, StateSnapshot, StrandedPage, TaskItem, TimerKey,
};
use baton_ports::read::{ReadModel, RunFilter, RunHead};
use baton_ports::records::{RecordError, RecordOp, RecordStore, StoredRecord};
use baton_ports::registry::{ChangeResult, WorkflowChange, WorkflowRegistry, WorkflowStatus, WorkflowVersion};

pub use audit_trail::FakeAuditTrail;
pub use budget::FakeBudget;
pub use documents::FakeDocuments;
pub use index::FakeIndex;
pub use journal::FakeJournal;
pub use records::FakeRecords;
pub use registry::FakeRegistry;

/// The ports over one in-memory store. Clones share it.
#[derive(Clone, Debug, Default)]
pub struct FakeStore {
    inner: Arc<Mutex<FakeStoreState>>,
}

#[derive(Debug, Default)]
struct FakeStoreState {
    journal: FakeJournal,
    records: FakeRecords,
    registry: FakeRegistry,
    entries_read: u64,
}

impl FakeStore {
    pub fn new() -> Self {
        Self::default()
    }

    /// The number of entries handed out to readers so far.
    pub fn entries_read(&self) -> u64 {
        self.with(|inner| inner.entries_read)
    }

    fn with<T>(&self, act: impl FnOnce(&mut FakeStoreState) -> T) -> T {
        let inner = &mut *self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        let done = act(inner);
        for (tenant, notice, at) in std::mem::take(&mut inner.journal.told) {
            // A `Put` cannot conflict.
            let _ = inner.records.commit(&tenant, vec![notice], at);
        }
        done
    }
}

#[async_trait]
impl JournalStore for FakeStore {
    async fn join(&self, steady: MonotonicTime) -> Result<ProcessLease, JournalError> {
        Ok(self.with(|inner| inner.journal.join(steady)))
    }

    async fn renew(&self, process: ProcessId, steady: MonotonicTime) -> Result<ProcessLease, JournalError> {
        self.with(|inner| inner.journal.renew(process, steady))
    }

    async fn leave(&self, process: ProcessId) -> Result<(), JournalError> {
        self.with(|inner| inner.journal.leave_cluster(process));
        Ok(())
    }

    async fn submit(&self, submit: InboxSubmission) -> Result<InboxReceipt, JournalError> {
        self.with(|inner| inner.journal.submit(submit))
    }

    async fn append(&self, append: JournalAppend) -> Result<(), JournalError> {
        self.with(|inner| inner.journal.append(append))
    }

    async fn claim(
        &self,
        aggregate: &AggregateId,
        process: ProcessId,
        fold_version: u32,
        steady: MonotonicTime,
    ) -> Result<Option<ClaimedAggregate>, JournalError> {
        self.with(|inner| inner.journal.claim(aggregate, process, fold_version, steady))
    }

    async fn release(&self, ownership: Ownership, wake_at: Option<Time>) -> Result<(), JournalError> {
        self.with(|inner| inner.journal.release(ownership, wake_at))
    }

    async fn inbox(&self, handle: AggregateHandle, after: i64) -> Result<Vec<InboxItem>, JournalError> {
        Ok(self.with(|inner| inner.journal.inbox(handle, after)))
    }

    async fn due(
        &self,
        process: ProcessId,
        now: Time,
        steady: MonotonicTime,
        limit: usize,
    ) -> Result<Vec<AggregateId>, JournalError> {
        Ok(self.with(|inner| inner.journal.due(process, now, steady, limit)))
    }

    async fn stranded(&self, now: Time, after: TimerKey, limit: usize) -> Result<StrandedPage, JournalError> {
        Ok(self.with(|inner| inner.journal.stranded(now, after, limit)))
    }

    async fn with_new_items(&self, process: ProcessId, limit: usize) -> Result<Vec<AggregateId>, JournalError> {
        Ok(self.with(|inner| inner.journal.with_new_items(process, limit)))
    }
}

#[async_trait]
impl ReadModel for FakeStore {
    async fn run(&self, tenant: &TenantId, run: &RunId) -> Result<Option<RunHead>, JournalError> {
        Ok(self.with(|inner| inner.journal.run(tenant, run)))
    }

    async fn runs(&self, tenant: &TenantId, filter: RunFilter) -> Result<Vec<RunHead>, JournalError> {
        Ok(self.with(|inner| inner.journal.runs(tenant, &filter)))
    }

    async fn roots_with_prefix(
        &self,
        tenant: &TenantId,
        prefix: &str,
        limit: usize,
    ) -> Result<Vec<RunHead>, JournalError> {
        Ok(self.with(|inner| inner.journal.begun_by(tenant, prefix, limit)))
    }

    async fn entries(
        &self,
        tenant: &TenantId,
        run: &RunId,
        after: u64,
        limit: usize,
    ) -> Result<Vec<Arc<[u8]>>, JournalError> {
        Ok(self.with(|inner| {
            let entries = inner.journal.entries(tenant, run, after, limit);
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
    ) -> Result<Option<StateSnapshot>, JournalError> {
        Ok(self.with(|inner| inner.journal.snapshot(tenant, id, fold_version, after)))
    }

    async fn open_tasks(&self, tenant: &TenantId, run: Option<&RunId>) -> Result<Vec<TaskItem>, JournalError> {
        Ok(self.with(|inner| inner.journal.open_desk(tenant, run)))
    }

    async fn conversation(&self, tenant: &TenantId, id: &RunId) -> Result<Option<ConversationHead>, JournalError> {
        Ok(self.with(|inner| inner.journal.conversation(tenant, id)))
    }

    async fn conversations(
        &self,
        tenant: &TenantId,
        filter: ConversationFilter,
    ) -> Result<Vec<ConversationHead>, JournalError> {
        Ok(self.with(|inner| inner.journal.conversations(tenant, &filter)))
    }

    async fn conversations_ended(&self, tenant: &TenantId, since: Time) -> Result<ConversationCounts, JournalError> {
        Ok(self.with(|inner| inner.journal.conversations_ended(tenant, since)))
    }

    async fn counts(&self) -> Result<Vec<(RunState, u64)>, JournalError> {
        Ok(self.with(|inner| inner.journal.counts()))
    }
}

#[async_trait]
impl AuditTrail for FakeStore {
    async fn trail(&self, tenant: &TenantId, filter: AuditFilter) -> Result<Vec<AuditEntry>, JournalError> {
        Ok(self.with(|inner| inner.journal.audit_trail.entries(tenant, &filter)))
    }

    async fn latest(&self, tenant: &TenantId, filter: AuditFilter) -> Result<Vec<AuditEntry>, JournalError> {
        Ok(self.with(|inner| inner.journal.audit_trail.latest(tenant, &filter)))
    }

    async fn tip(&self, tenant: &TenantId) -> Result<ChainTip, JournalError> {
        Ok(self.with(|inner| inner.journal.audit_trail.tip(tenant)))
    }

    async fn usage(&self, filter: UsageFilter) -> Result<Vec<UsageSum>, JournalError> {
        Ok(self.with(|inner| inner.journal.audit_trail.usage(&filter)))
    }

    async fn append_row(&self, row: AuditRow) -> Result<(), JournalError> {
        self.with(|inner| inner.journal.audit_trail.add(row));
        Ok(())
    }

    async fn erase(&self, tenant: &TenantId, person: &ErasureSubject, by: &str, at: Time) -> Result<u64, JournalError> {
        Ok(self.with(|inner| inner.journal.audit_trail.erase(tenant, person, by, at)))
    }
}

#[async_trait]
impl RecordStore for FakeStore {
    async fn commit(&self, tenant: &TenantId, ops: Vec<RecordOp>, at: Time) -> Result<(), RecordError> {
        self.with(|inner| inner.records.commit(tenant, ops, at))
    }

    async fn get(&self, tenant: &TenantId, space: &str, key: &str) -> Result<Option<StoredRecord>, RecordError> {
        Ok(self.with(|inner| inner.records.get(tenant, space, key)))
    }

    async fn list(
        &self,
        tenant: &TenantId,
        space: &str,
        prefix: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<StoredRecord>, RecordError> {
        Ok(self.with(|inner| inner.records.list(tenant, space, prefix, after, limit)))
    }

    async fn ranges(
        &self,
        tenant: &TenantId,
        space: &str,
        resource: &str,
        from: i64,
        to: i64,
    ) -> Result<Vec<(i64, i64, String)>, RecordError> {
        Ok(self.with(|inner| inner.records.ranges(tenant, space, resource, from, to)))
    }
}

fn check_size(what: &'static str, size: usize) -> Result<(), JournalError> {
    if size > ROWS_MAX { Err(JournalError::TooLarge { what, size, limit: ROWS_MAX }) } else { Ok(()) }
}

#[async_trait]
impl BudgetStore for FakeStore {
    async fn open(&self, _now: Time) -> Result<BudgetHolder, JournalError> {
        Ok(self.with(|inner| inner.journal.budget.open()))
    }

    async fn reserve(
        &self,
        holder: BudgetHolder,
        wants: Vec<AllowanceRequest>,
        now: Time,
    ) -> Result<Vec<AllowanceGrant>, JournalError> {
        check_size("the lines of one growth", wants.len())?;
        Ok(self.with(|inner| wants.iter().map(|want| inner.journal.reserve(holder, want, now)).collect()))
    }

    async fn settle(&self, settlement: BudgetSettlement) -> Result<(), JournalError> {
        check_size("the spends of one settlement", settlement.spends.len())?;
        check_size("what one settlement gives back", settlement.returned.len())?;
        self.with(|inner| {
            let told = inner.journal.budget.settle(settlement);
            inner.journal.add_tasks(told);
        });
        Ok(())
    }

    async fn close(&self, holder: BudgetHolder) -> Result<(), JournalError> {
        self.with(|inner| inner.journal.budget.close(holder));
        Ok(())
    }

    async fn standings(&self, tenant: &TenantId, now: Time) -> Result<Vec<BudgetStanding>, JournalError> {
        Ok(self.with(|inner| inner.journal.budget.standings(tenant, now)))
    }

    async fn costs(&self, filter: CostFilter) -> Result<Vec<CostRow>, JournalError> {
        Ok(self.with(|inner| inner.journal.budget.costs(&filter)))
    }
}

#[async_trait]
impl WorkflowRegistry for FakeStore {
    async fn change(
        &self,
        tenant: &TenantId,
        workflow: &str,
        change: WorkflowChange,
        expected: Option<u64>,
        now: Time,
    ) -> Result<ChangeResult, JournalError> {
        self.with(|inner| inner.registry.change(tenant, workflow, change, expected, now))
    }

    async fn workflow_status(&self, tenant: &TenantId, workflow: &str) -> Result<Option<WorkflowStatus>, JournalError> {
        Ok(self.with(|inner| inner.registry.standing(tenant, workflow)))
    }

    async fn workflows(&self, tenant: &TenantId) -> Result<Vec<WorkflowVersion>, JournalError> {
        Ok(self.with(|inner| inner.registry.workflows(tenant)))
    }

    async fn versions(&self, tenant: &TenantId, workflow: &str) -> Result<Vec<WorkflowVersion>, JournalError> {
        Ok(self.with(|inner| inner.registry.versions(tenant, workflow)))
    }

    async fn bundle(&self, hash: &ContentHash) -> Result<Option<Arc<[u8]>>, JournalError> {
        Ok(self.with(|inner| inner.registry.bundle(hash)))
    }
}
