//! Journals, inboxes and ownership in memory, synchronous: the state that the simulated processes share.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use baton_core::bundle::ContentHash;
use baton_core::id::{DERIVED_ID_BYTES_MAX, RunId, TenantId};
use baton_core::mutant::{Mutant, planted};
use baton_core::run::OwnerDeparture;
use baton_core::time::Time;
use baton_ports::budget::{AllowanceGrant, AllowanceRequest, BudgetHolder, BudgetNotice};
use baton_ports::clock::MonotonicTime;
use baton_ports::conversations::ConversationHead;
use baton_ports::journal::{
    AggregateHandle, AggregateId, AggregateKind, ClaimedAggregate, ENTRY_BYTES_MAX, INBOX_BYTES_MAX, INBOX_ITEMS_MAX,
    InboxItem, InboxReceipt, InboxSubmission, JournalAppend, JournalError, LEASE, NewAggregate, Ownership, ProcessId,
    ProcessLease, ProjectionRow, RunHeadUpdate, StateSnapshot, StrandedPage, TaskItem, TaskItemKind, TimerKey,
};
use baton_ports::records::RecordOp;

use super::audit_trail::FakeAuditTrail;
use super::budget::FakeBudget;
use super::feed;

/// Maximum length of a command id, in bytes.
const COMMAND_ID_BYTES_MAX: usize = 2 * DERIVED_ID_BYTES_MAX;

/// Everything that a store holds, except records and versions.
#[derive(Debug, Default)]
pub struct FakeJournal {
    leases: BTreeMap<ProcessId, FakeLeaseRow>,
    last_process: i64,
    names: BTreeMap<AggregateId, usize>,
    pub(super) aggregates: Vec<FakeAggregate>,
    pub(super) audit_trail: FakeAuditTrail,
    pub(super) tasks: BTreeMap<String, FakeTaskItem>,
    pub(super) budget: FakeBudget,
    opened: u64,
    /// Every entry, in the order of the appends.
    pub(super) commit_order: Vec<feed::EntryLocation>,
    pub(super) conversations: Vec<ConversationHead>,
    /// The search keys of runs: the hash of the customer, and the version.
    pub(super) begun: BTreeMap<RunId, (Option<String>, ContentHash)>,
    /// Budget notices, for the records.
    pub(super) told: Vec<(TenantId, RecordOp, Time)>,
}

#[derive(Debug)]
struct FakeLeaseRow {
    until: MonotonicTime,
    /// Another process took over its aggregates.
    taken: bool,
    /// Known to be dead before its lease ends.
    dead: bool,
}

#[derive(Debug)]
pub(super) struct FakeAggregate {
    pub name: AggregateId,
    pub tenant: TenantId,
    pub kind: AggregateKind,
    pub workflow: String,
    pub parent: Option<AggregateId>,
    pub created_at: Time,
    pub owner: Option<ProcessId>,
    pub epoch: u64,
    pub wake_at: Option<Time>,
    pub head: Option<RunHeadUpdate>,
    pub journal: Vec<Arc<[u8]>>,
    /// Its last owner released it in order.
    released: bool,
    /// When its last entry was decided.
    last_at: Option<Time>,
    /// A process must look into its inbox.
    called: bool,
    items: i64,
    inbox: BTreeMap<i64, InboxItem>,
    seen: BTreeSet<String>,
    pub(super) snapshot: Option<StateSnapshot>,
}

/// A task inbox item with its position in the order of opening.
#[derive(Debug)]
pub(super) struct FakeTaskItem {
    pub item: TaskItem,
    pub place: u64,
    pub open: bool,
}

impl FakeAggregate {
    pub fn seq(&self) -> u64 {
        self.journal.len() as u64
    }
}

impl FakeJournal {
    pub fn join(&mut self, steady: MonotonicTime) -> ProcessLease {
        self.last_process += 1;
        let process = ProcessId(self.last_process);
        self.leases.insert(process, FakeLeaseRow { until: steady + LEASE, taken: false, dead: false });
        ProcessLease { process, until: steady + LEASE }
    }

    pub fn renew(&mut self, process: ProcessId, steady: MonotonicTime) -> Result<ProcessLease, JournalError> {
        let row = self.leases.get_mut(&process).filter(|row| !row.taken).ok_or(JournalError::LeaseEnded { process })?;
        row.until = row.until.max(steady + LEASE);
        Ok(ProcessLease { process, until: steady + LEASE })
    }

    pub fn leave_cluster(&mut self, process: ProcessId) {
        for aggregate in self.aggregates.iter_mut().filter(|aggregate| aggregate.owner == Some(process)) {
            (aggregate.owner, aggregate.released, aggregate.called) = (None, false, true);
        }
        self.leases.remove(&process);
    }

    /// The process is gone and others can detect it, as if it held a lock that was released when it ended.
    pub fn mark_dead(&mut self, process: ProcessId) {
        if let Some(row) = self.leases.get_mut(&process) {
            row.dead = true;
        }
    }

    pub fn submit(&mut self, submit: InboxSubmission) -> Result<InboxReceipt, JournalError> {
        self.check(&submit)?;
        Ok(self.store_item(submit))
    }

    fn check(&self, submit: &InboxSubmission) -> Result<(), JournalError> {
        let limits = [
            ("the payload of an inbox item", submit.payload.len(), INBOX_BYTES_MAX),
            ("a command id", submit.command_id.len(), COMMAND_ID_BYTES_MAX),
            ("the name of an aggregate", submit.aggregate.as_str().len(), DERIVED_ID_BYTES_MAX),
        ];
        if let Some((what, size, limit)) = limits.into_iter().find(|(_, size, limit)| size > limit) {
            return Err(JournalError::TooLarge { what, size, limit });
        }
        let aggregate = || submit.aggregate.clone();
        match (self.find(&submit.aggregate), &submit.creates) {
            (None, Some(_)) => Ok(()),
            (None, None) => Err(JournalError::NotFound { aggregate: aggregate() }),
            (Some(found), Some(_)) if found.tenant != submit.tenant => {
                Err(JournalError::Taken { aggregate: aggregate() })
            }
            (Some(found), None) if found.tenant != submit.tenant => {
                Err(JournalError::NotFound { aggregate: aggregate() })
            }
            (Some(found), _) if found.inbox.len() >= INBOX_ITEMS_MAX && !found.seen.contains(&submit.command_id) => {
                let (size, limit) = (INBOX_ITEMS_MAX + 1, INBOX_ITEMS_MAX);
                Err(JournalError::TooLarge { what: "the inbox of an aggregate", size, limit })
            }
            (Some(_), _) => Ok(()),
        }
    }

    fn store_item(&mut self, submit: InboxSubmission) -> InboxReceipt {
        let place = self.names.get(&submit.aggregate).copied();
        match (place, submit.creates.clone()) {
            // A message to an aggregate that is gone, or that belongs to another tenant by now, is dropped.
            (Some(place), _) if self.aggregates[place].tenant != submit.tenant => InboxReceipt::Duplicate,
            (Some(place), _) => self.add(place, submit),
            (None, Some(create)) => self.create(create, submit),
            (None, None) => InboxReceipt::Duplicate,
        }
    }

    fn add(&mut self, place: usize, submit: InboxSubmission) -> InboxReceipt {
        let aggregate = &mut self.aggregates[place];
        if !aggregate.seen.insert(submit.command_id.clone()) {
            return InboxReceipt::Duplicate;
        }
        aggregate.called = true;
        let item = aggregate.add_item(submit);
        InboxReceipt::Accepted { item, owned: None, awake_at: aggregate.owner }
    }

    fn create(&mut self, create: NewAggregate, submit: InboxSubmission) -> InboxReceipt {
        let owner = create.owner.filter(|process| self.leases.contains_key(process));
        let handle = AggregateHandle(i64::try_from(self.aggregates.len() + 1).unwrap_or(i64::MAX));
        let mut aggregate = FakeAggregate {
            name: submit.aggregate.clone(),
            tenant: submit.tenant.clone(),
            kind: create.kind,
            workflow: create.workflow,
            parent: create.parent,
            created_at: submit.at,
            owner,
            epoch: 1,
            wake_at: None,
            head: None,
            journal: Vec::new(),
            released: false,
            last_at: None,
            called: owner.is_none(),
            items: 0,
            inbox: BTreeMap::new(),
            seen: BTreeSet::from([submit.command_id.clone()]),
            snapshot: None,
        };
        let item = aggregate.add_item(submit);
        self.names.insert(aggregate.name.clone(), self.aggregates.len());
        self.aggregates.push(aggregate);
        let owned = owner.map(|process| Ownership { handle, process, epoch: 1 });
        InboxReceipt::Accepted { item, owned, awake_at: None }
    }

    pub fn append(&mut self, append: JournalAppend) -> Result<(), JournalError> {
        let size = append.entry.as_ref().map_or(0, |entry| entry.len());
        if size > ENTRY_BYTES_MAX {
            return Err(JournalError::TooLarge { what: "a journal entry", size, limit: ENTRY_BYTES_MAX });
        }
        let found = self
            .at(append.ownership.handle)
            .ok_or_else(|| JournalError::NotFound { aggregate: append.aggregate.clone() })?;
        let is_owner = found.owner == Some(append.ownership.process) && found.epoch == append.ownership.epoch;
        if !is_owner && !planted(Mutant::FenceIgnored) {
            return Err(JournalError::LeaseLost { aggregate: append.aggregate });
        }
        if found.seq() != append.expected_seq {
            let (expected, found) = (append.expected_seq, found.seq());
            return Err(JournalError::WrongSequence { aggregate: append.aggregate, expected, found });
        }
        for message in &append.outbox {
            match self.check(message) {
                // Another message of the same append creates it, or it is gone.
                Err(JournalError::NotFound { .. }) => {}
                checked => checked?,
            }
        }
        self.write(append);
        Ok(())
    }

    fn write(&mut self, append: JournalAppend) {
        let Some(aggregate) = self.at_mut(append.ownership.handle) else { return };
        let place = append.entry.map(|entry| {
            aggregate.journal.push(entry);
            aggregate.last_at = Some(append.at);
            aggregate.journal.len() - 1
        });
        aggregate.wake_at = append.wake_at;
        aggregate.head = append.head.or(aggregate.head.take());
        for item in &append.inbox_done {
            aggregate.inbox.remove(item);
        }
        aggregate.called &= !aggregate.inbox.is_empty();
        if append.release {
            (aggregate.owner, aggregate.released) = (None, true);
            aggregate.called = !aggregate.inbox.is_empty();
        }
        if append.snapshot.is_some() {
            aggregate.snapshot = append.snapshot;
        }
        if let (Ok(aggregate), Some(entry)) = (usize::try_from(append.ownership.handle.0 - 1), place) {
            self.commit_order.push(feed::EntryLocation { aggregate, entry });
        }
        for message in append.outbox {
            self.store_item(message);
        }
        for projection in append.projections {
            self.apply_projection(projection);
        }
        append.audit.into_iter().for_each(|row| self.audit_trail.add(row));
        for spend in append.spends {
            let told = self.budget.record_spend(spend);
            self.add_tasks(told);
        }
    }

    /// Adds items to the task inbox.
    pub(super) fn add_tasks(&mut self, items: impl IntoIterator<Item = TaskItem>) {
        items.into_iter().for_each(|item| self.apply_projection(ProjectionRow::TaskOpened(item)));
    }

    pub(super) fn reserve(&mut self, holder: BudgetHolder, want: &AllowanceRequest, now: Time) -> AllowanceGrant {
        let (grown, desk) = self.budget.reserve(holder, want, now);
        desk.into_iter().for_each(|projection| self.apply_projection(projection));
        grown
    }

    fn apply_projection(&mut self, projection: ProjectionRow) {
        match projection {
            ProjectionRow::TaskOpened(item) => {
                if item.kind == TaskItemKind::Budget {
                    self.told.push((item.tenant.clone(), BudgetNotice::record(&item), item.opened_at));
                }
                self.opened += 1;
                self.tasks.insert(item.id.clone(), FakeTaskItem { item, place: self.opened, open: true });
            }
            ProjectionRow::TaskClosed { id, .. } => {
                if let Some(filed) = self.tasks.get_mut(&id) {
                    filed.open = false;
                }
            }
            ProjectionRow::RunBegun { run, customer, bundle } => drop(self.begun.insert(run, (customer, bundle))),
            ProjectionRow::Conversation(head) => {
                let place = self.conversations.iter().position(|one| one.conversation == head.conversation);
                match place {
                    Some(place) => self.conversations[place] = *head,
                    None => self.conversations.push(*head),
                }
            }
        }
    }

    pub fn claim(
        &mut self,
        name: &AggregateId,
        process: ProcessId,
        fold_version: u32,
        steady: MonotonicTime,
    ) -> Result<Option<ClaimedAggregate>, JournalError> {
        let place = self.names.get(name).copied().ok_or_else(|| JournalError::NotFound { aggregate: name.clone() })?;
        if self.leases.get(&process).is_none_or(|row| row.taken) {
            return Err(JournalError::LeaseEnded { process });
        }
        let previous = self.aggregates[place].owner.filter(|owner| *owner != process);
        if let Some(owner) = previous {
            if !self.is_dead(owner, steady) {
                return Ok(None);
            }
            if let Some(row) = self.leases.get_mut(&owner) {
                row.taken = true;
            }
        }
        let handle = AggregateHandle(i64::try_from(place + 1).unwrap_or(i64::MAX));
        let found = &mut self.aggregates[place];
        let left = OwnerDeparture::of(previous.is_some(), std::mem::take(&mut found.released));
        Ok(Some(ClaimedAggregate { departure: left, ..found.take_over(handle, process, fold_version) }))
    }

    fn is_dead(&self, process: ProcessId, steady: MonotonicTime) -> bool {
        self.leases.get(&process).is_none_or(|row| row.taken || row.dead || row.until <= steady)
    }

    pub fn release(&mut self, ownership: Ownership, wake_at: Option<Time>) -> Result<(), JournalError> {
        let number = || JournalError::NotFound { aggregate: format!("number {}", ownership.handle.0).into() };
        let aggregate = self.at_mut(ownership.handle).ok_or_else(number)?;
        if aggregate.epoch != ownership.epoch || aggregate.owner.is_some_and(|owner| owner != ownership.process) {
            return Err(JournalError::LeaseLost { aggregate: aggregate.name.clone() });
        }
        if aggregate.owner.take().is_some() {
            aggregate.released = true;
            aggregate.wake_at = wake_at;
            aggregate.called = !aggregate.inbox.is_empty();
        }
        Ok(())
    }

    pub fn inbox(&self, handle: AggregateHandle, after: i64) -> Vec<InboxItem> {
        let open = self.at(handle).into_iter().flat_map(|found| found.inbox.range(after + 1..));
        open.map(|(_, item)| item.clone()).collect()
    }

    pub fn due(&self, process: ProcessId, now: Time, steady: MonotonicTime, limit: usize) -> Vec<AggregateId> {
        let is_due = |aggregate: &&FakeAggregate| match aggregate.owner {
            None => aggregate.called || aggregate.wake_at.is_some_and(|at| at <= now),
            Some(owner) => owner != process && self.is_dead(owner, steady),
        };
        self.aggregates.iter().filter(is_due).take(limit).map(|aggregate| aggregate.name.clone()).collect()
    }

    pub fn with_new_items(&self, process: ProcessId, limit: usize) -> Vec<AggregateId> {
        let is_nudged = |aggregate: &&FakeAggregate| aggregate.owner == Some(process) && aggregate.called;
        self.aggregates.iter().filter(is_nudged).take(limit).map(|aggregate| aggregate.name.clone()).collect()
    }

    /// Aggregates without an owner that sleep by a clock that was set back since, with their timers in order.
    pub fn stranded(&self, now: Time, after: TimerKey, limit: usize) -> StrandedPage {
        let astray = |(handle, aggregate): (usize, &FakeAggregate)| {
            let timer = aggregate.wake_at.filter(|at| aggregate.owner.is_none() && *at >= now)?;
            let is_astray = aggregate.last_at.is_some_and(|last| last > now && last <= timer);
            let key = TimerKey { at: timer, handle: AggregateHandle(i64::try_from(handle + 1).unwrap_or(i64::MAX)) };
            (is_astray && key > after).then(|| (key, aggregate.name.clone()))
        };
        let mut found: Vec<_> = self.aggregates.iter().enumerate().filter_map(astray).collect();
        found.sort();
        found.truncate(limit);
        let next = found.last().map(|(key, _)| *key).filter(|_| found.len() >= limit);
        StrandedPage { found: found.into_iter().map(|(_, name)| name).collect(), next }
    }

    /// The aggregates that this incarnation owns.
    pub fn owned_by(&self, process: ProcessId) -> impl Iterator<Item = &AggregateId> {
        self.aggregates.iter().filter(move |found| found.owner == Some(process)).map(|found| &found.name)
    }

    /// Timers of aggregates without an owner.
    pub fn timers(&self) -> impl Iterator<Item = Time> {
        self.aggregates.iter().filter(|aggregate| aggregate.owner.is_none()).filter_map(|aggregate| aggregate.wake_at)
    }

    /// When the leases end under which an aggregate is owned.
    pub fn lease_ends(&self) -> impl Iterator<Item = MonotonicTime> {
        let owners = self.aggregates.iter().filter_map(|aggregate| aggregate.owner);
        owners.filter_map(|owner| self.leases.get(&owner).map(|row| row.until))
    }

    /// The items that an append would consume.
    pub fn items_to_consume(&self, append: &JournalAppend) -> Vec<InboxItem> {
        let Some(found) = self.at(append.ownership.handle) else { return Vec::new() };
        append.inbox_done.iter().filter_map(|item| found.inbox.get(item).cloned()).collect()
    }

    pub fn inbox_len(&self, name: &AggregateId) -> usize {
        self.find(name).map_or(0, |found| found.inbox.len())
    }

    /// The number of items that it was ever given.
    pub fn items_received(&self, name: &AggregateId) -> i64 {
        self.find(name).map_or(0, |found| found.items)
    }

    /// When it is due.
    pub fn wake_at(&self, name: &AggregateId) -> Option<Time> {
        self.find(name).and_then(|found| found.wake_at)
    }

    pub fn owner(&self, name: &AggregateId) -> Option<ProcessId> {
        self.find(name).and_then(|found| found.owner)
    }

    pub fn names(&self) -> impl Iterator<Item = &AggregateId> {
        self.names.keys()
    }

    pub(super) fn find(&self, name: &AggregateId) -> Option<&FakeAggregate> {
        self.names.get(name).map(|place| &self.aggregates[*place])
    }

    fn at(&self, handle: AggregateHandle) -> Option<&FakeAggregate> {
        self.aggregates.get(usize::try_from(handle.0 - 1).ok()?)
    }

    fn at_mut(&mut self, handle: AggregateHandle) -> Option<&mut FakeAggregate> {
        self.aggregates.get_mut(usize::try_from(handle.0 - 1).ok()?)
    }
}

impl FakeAggregate {
    fn add_item(&mut self, submit: InboxSubmission) -> i64 {
        self.items += 1;
        let InboxSubmission { command_id, payload, at, .. } = submit;
        self.inbox.insert(self.items, InboxItem { item: self.items, command_id, payload, at });
        self.items
    }

    fn take_over(&mut self, handle: AggregateHandle, process: ProcessId, fold_version: u32) -> ClaimedAggregate {
        self.epoch += 1;
        self.owner = Some(process);
        self.called = false;
        let fits =
            |snapshot: &&StateSnapshot| snapshot.fold_version == fold_version || planted(Mutant::SnapshotOfAnotherFold);
        let snapshot = self.snapshot.as_ref().filter(fits).cloned();
        let behind = snapshot.as_ref().map_or(0, |snapshot| usize::try_from(snapshot.seq).unwrap_or(usize::MAX));
        ClaimedAggregate {
            ownership: Ownership { handle, process, epoch: self.epoch },
            tenant: self.tenant.clone(),
            kind: self.kind,
            workflow: self.workflow.clone(),
            seq: self.seq(),
            departure: OwnerDeparture::Dropped,
            wake_at: self.wake_at,
            last_at: self.last_at,
            snapshot,
            tail: self.journal.get(behind..).unwrap_or_default().to_vec(),
            inbox: self.inbox.values().cloned().collect(),
        }
    }
}
