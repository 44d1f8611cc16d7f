//! Journals, inboxes and ownership in memory, synchronously: what the simulated processes share.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use baton_core::bundle::Hash;
use baton_core::id::{DERIVED_ID_BYTES_MAX, RunId, TenantId};
use baton_core::mutant::{Mutant, planted};
use baton_core::run::Departure;
use baton_core::time::Time;
use baton_ports::budget::{Grown, Holder, Notice, Want};
use baton_ports::clock::Steady;
use baton_ports::conversations::ConversationHead;
use baton_ports::journal::{
    AggregateId, Append, AstrayPage, Claimed, Create, DeskItem, DeskKind, ENTRY_BYTES_MAX, Error, Handle, Head,
    INBOX_BYTES_MAX, INBOX_ITEMS_MAX, InboxItem, Kind, LEASE, Lease, Ownership, ProcessId, Projection, Snapshot,
    Submit, Submitted, TimerKey,
};
use baton_ports::records::Op;

use super::feed;
use super::till::Till;
use super::trail::Trail;

/// The longest command id, in bytes.
const COMMAND_ID_BYTES_MAX: usize = 2 * DERIVED_ID_BYTES_MAX;

/// Everything a store keeps, but for records and versions.
#[derive(Debug, Default)]
pub struct Books {
    leases: BTreeMap<ProcessId, Row>,
    joined: i64,
    names: BTreeMap<AggregateId, usize>,
    pub(super) aggregates: Vec<Aggregate>,
    pub(super) trail: Trail,
    pub(super) desk: BTreeMap<String, Filed>,
    pub(super) till: Till,
    opened: u64,
    /// Every entry, in the order of the appends.
    pub(super) laid: Vec<feed::Place>,
    pub(super) conversations: Vec<ConversationHead>,
    /// What runs are found by: their customer's hash, and their version.
    pub(super) begun: BTreeMap<RunId, (Option<String>, Hash)>,
    /// What was told of budgets, for the records.
    pub(super) told: Vec<(TenantId, Op, Time)>,
}

#[derive(Debug)]
struct Row {
    until: Steady,
    /// Somebody took over what it owned.
    taken: bool,
    /// Known to be dead before its lease ends.
    dead: bool,
}

#[derive(Debug)]
pub(super) struct Aggregate {
    pub name: AggregateId,
    pub tenant: TenantId,
    pub kind: Kind,
    pub workflow: String,
    pub parent: Option<AggregateId>,
    pub created_at: Time,
    pub owner: Option<ProcessId>,
    pub epoch: u64,
    pub wake_at: Option<Time>,
    pub head: Option<Head>,
    pub journal: Vec<Arc<[u8]>>,
    /// Its last owner let go of it in order.
    released: bool,
    /// When its last entry was decided.
    last_at: Option<Time>,
    /// Somebody must look into its inbox.
    called: bool,
    items: i64,
    inbox: BTreeMap<i64, InboxItem>,
    seen: BTreeSet<String>,
    pub(super) snapshot: Option<Snapshot>,
}

/// A desk item with its place in the order of opening.
#[derive(Debug)]
pub(super) struct Filed {
    pub item: DeskItem,
    pub place: u64,
    pub open: bool,
}

impl Aggregate {
    pub fn seq(&self) -> u64 {
        self.journal.len() as u64
    }
}

impl Books {
    pub fn join(&mut self, steady: Steady) -> Lease {
        self.joined += 1;
        let process = ProcessId(self.joined);
        self.leases.insert(process, Row { until: steady + LEASE, taken: false, dead: false });
        Lease { process, until: steady + LEASE }
    }

    pub fn renew(&mut self, process: ProcessId, steady: Steady) -> Result<Lease, Error> {
        let row = self.leases.get_mut(&process).filter(|row| !row.taken).ok_or(Error::LeaseEnded { process })?;
        row.until = row.until.max(steady + LEASE);
        Ok(Lease { process, until: steady + LEASE })
    }

    pub fn leave(&mut self, process: ProcessId) {
        for aggregate in self.aggregates.iter_mut().filter(|aggregate| aggregate.owner == Some(process)) {
            (aggregate.owner, aggregate.released, aggregate.called) = (None, false, true);
        }
        self.leases.remove(&process);
    }

    /// The process is gone and everybody can tell, as where it held a lock that its end released.
    pub fn bury(&mut self, process: ProcessId) {
        if let Some(row) = self.leases.get_mut(&process) {
            row.dead = true;
        }
    }

    pub fn submit(&mut self, submit: Submit) -> Result<Submitted, Error> {
        self.check(&submit)?;
        Ok(self.put(submit))
    }

    fn check(&self, submit: &Submit) -> Result<(), Error> {
        let limits = [
            ("the payload of an inbox item", submit.payload.len(), INBOX_BYTES_MAX),
            ("a command id", submit.command_id.len(), COMMAND_ID_BYTES_MAX),
            ("the name of an aggregate", submit.aggregate.as_str().len(), DERIVED_ID_BYTES_MAX),
        ];
        if let Some((what, size, limit)) = limits.into_iter().find(|(_, size, limit)| size > limit) {
            return Err(Error::TooLarge { what, size, limit });
        }
        let aggregate = || submit.aggregate.clone();
        match (self.find(&submit.aggregate), &submit.creates) {
            (None, Some(_)) => Ok(()),
            (None, None) => Err(Error::NotFound { aggregate: aggregate() }),
            (Some(found), Some(_)) if found.tenant != submit.tenant => Err(Error::Taken { aggregate: aggregate() }),
            (Some(found), None) if found.tenant != submit.tenant => Err(Error::NotFound { aggregate: aggregate() }),
            (Some(found), _) if found.inbox.len() >= INBOX_ITEMS_MAX && !found.seen.contains(&submit.command_id) => {
                let (size, limit) = (INBOX_ITEMS_MAX + 1, INBOX_ITEMS_MAX);
                Err(Error::TooLarge { what: "the inbox of an aggregate", size, limit })
            }
            (Some(_), _) => Ok(()),
        }
    }

    fn put(&mut self, submit: Submit) -> Submitted {
        let place = self.names.get(&submit.aggregate).copied();
        match (place, submit.creates.clone()) {
            // A message to what is gone, or is somebody else's by now, goes nowhere.
            (Some(place), _) if self.aggregates[place].tenant != submit.tenant => Submitted::Duplicate,
            (Some(place), _) => self.add(place, submit),
            (None, Some(create)) => self.create(create, submit),
            (None, None) => Submitted::Duplicate,
        }
    }

    fn add(&mut self, place: usize, submit: Submit) -> Submitted {
        let aggregate = &mut self.aggregates[place];
        if !aggregate.seen.insert(submit.command_id.clone()) {
            return Submitted::Duplicate;
        }
        aggregate.called = true;
        let item = aggregate.file(submit);
        Submitted::Accepted { item, owned: None, awake_at: aggregate.owner }
    }

    fn create(&mut self, create: Create, submit: Submit) -> Submitted {
        let owner = create.owner.filter(|process| self.leases.contains_key(process));
        let handle = Handle(i64::try_from(self.aggregates.len() + 1).unwrap_or(i64::MAX));
        let mut aggregate = Aggregate {
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
        let item = aggregate.file(submit);
        self.names.insert(aggregate.name.clone(), self.aggregates.len());
        self.aggregates.push(aggregate);
        let owned = owner.map(|process| Ownership { handle, process, epoch: 1 });
        Submitted::Accepted { item, owned, awake_at: None }
    }

    pub fn append(&mut self, append: Append) -> Result<(), Error> {
        let size = append.entry.as_ref().map_or(0, |entry| entry.len());
        if size > ENTRY_BYTES_MAX {
            return Err(Error::TooLarge { what: "a journal entry", size, limit: ENTRY_BYTES_MAX });
        }
        let found =
            self.at(append.ownership.handle).ok_or_else(|| Error::NotFound { aggregate: append.aggregate.clone() })?;
        let is_owner = found.owner == Some(append.ownership.process) && found.epoch == append.ownership.epoch;
        if !is_owner && !planted(Mutant::FenceIgnored) {
            return Err(Error::LeaseLost { aggregate: append.aggregate });
        }
        if found.seq() != append.expected_seq {
            let (expected, found) = (append.expected_seq, found.seq());
            return Err(Error::WrongSequence { aggregate: append.aggregate, expected, found });
        }
        for message in &append.outbox {
            match self.check(message) {
                // One of the same append brings it into being, or it is gone.
                Err(Error::NotFound { .. }) => {}
                checked => checked?,
            }
        }
        self.write(append);
        Ok(())
    }

    fn write(&mut self, append: Append) {
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
            self.laid.push(feed::Place { aggregate, entry });
        }
        for message in append.outbox {
            self.put(message);
        }
        for projection in append.projections {
            self.project(projection);
        }
        append.audit.into_iter().for_each(|row| self.trail.add(row));
        for spend in append.spends {
            let told = self.till.write_down(spend);
            self.file(told);
        }
    }

    /// Puts items on the desk.
    pub(super) fn file(&mut self, items: impl IntoIterator<Item = DeskItem>) {
        items.into_iter().for_each(|item| self.project(Projection::DeskOpened(item)));
    }

    pub(super) fn grow(&mut self, holder: Holder, want: &Want, now: Time) -> Grown {
        let (grown, desk) = self.till.grow(holder, want, now);
        desk.into_iter().for_each(|projection| self.project(projection));
        grown
    }

    fn project(&mut self, projection: Projection) {
        match projection {
            Projection::DeskOpened(item) => {
                if item.kind == DeskKind::Budget {
                    self.told.push((item.tenant.clone(), Notice::record(&item), item.opened_at));
                }
                self.opened += 1;
                self.desk.insert(item.id.clone(), Filed { item, place: self.opened, open: true });
            }
            Projection::DeskClosed { id, .. } => {
                if let Some(filed) = self.desk.get_mut(&id) {
                    filed.open = false;
                }
            }
            Projection::RunBegun { run, customer, bundle } => drop(self.begun.insert(run, (customer, bundle))),
            Projection::Conversation(head) => {
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
        steady: Steady,
    ) -> Result<Option<Claimed>, Error> {
        let place = self.names.get(name).copied().ok_or_else(|| Error::NotFound { aggregate: name.clone() })?;
        if self.leases.get(&process).is_none_or(|row| row.taken) {
            return Err(Error::LeaseEnded { process });
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
        let handle = Handle(i64::try_from(place + 1).unwrap_or(i64::MAX));
        let found = &mut self.aggregates[place];
        let left = Departure::of(previous.is_some(), std::mem::take(&mut found.released));
        Ok(Some(Claimed { left, ..found.take_over(handle, process, fold_version) }))
    }

    fn is_dead(&self, process: ProcessId, steady: Steady) -> bool {
        self.leases.get(&process).is_none_or(|row| row.taken || row.dead || row.until <= steady)
    }

    pub fn release(&mut self, ownership: Ownership, wake_at: Option<Time>) -> Result<(), Error> {
        let number = || Error::NotFound { aggregate: format!("number {}", ownership.handle.0).into() };
        let aggregate = self.at_mut(ownership.handle).ok_or_else(number)?;
        if aggregate.epoch != ownership.epoch || aggregate.owner.is_some_and(|owner| owner != ownership.process) {
            return Err(Error::LeaseLost { aggregate: aggregate.name.clone() });
        }
        if aggregate.owner.take().is_some() {
            aggregate.released = true;
            aggregate.wake_at = wake_at;
            aggregate.called = !aggregate.inbox.is_empty();
        }
        Ok(())
    }

    pub fn inbox(&self, handle: Handle, after: i64) -> Vec<InboxItem> {
        let open = self.at(handle).into_iter().flat_map(|found| found.inbox.range(after + 1..));
        open.map(|(_, item)| item.clone()).collect()
    }

    pub fn due(&self, process: ProcessId, now: Time, steady: Steady, limit: usize) -> Vec<AggregateId> {
        let is_due = |aggregate: &&Aggregate| match aggregate.owner {
            None => aggregate.called || aggregate.wake_at.is_some_and(|at| at <= now),
            Some(owner) => owner != process && self.is_dead(owner, steady),
        };
        self.aggregates.iter().filter(is_due).take(limit).map(|aggregate| aggregate.name.clone()).collect()
    }

    pub fn nudged(&self, process: ProcessId, limit: usize) -> Vec<AggregateId> {
        let is_nudged = |aggregate: &&Aggregate| aggregate.owner == Some(process) && aggregate.called;
        self.aggregates.iter().filter(is_nudged).take(limit).map(|aggregate| aggregate.name.clone()).collect()
    }

    /// What nobody owns and a clock put to sleep that was set back since, with its timers in order.
    pub fn astray(&self, now: Time, after: TimerKey, limit: usize) -> AstrayPage {
        let astray = |(handle, aggregate): (usize, &Aggregate)| {
            let timer = aggregate.wake_at.filter(|at| aggregate.owner.is_none() && *at >= now)?;
            let is_astray = aggregate.last_at.is_some_and(|last| last > now && last <= timer);
            let key = TimerKey { at: timer, handle: Handle(i64::try_from(handle + 1).unwrap_or(i64::MAX)) };
            (is_astray && key > after).then(|| (key, aggregate.name.clone()))
        };
        let mut found: Vec<_> = self.aggregates.iter().enumerate().filter_map(astray).collect();
        found.sort();
        found.truncate(limit);
        let next = found.last().map(|(key, _)| *key).filter(|_| found.len() >= limit);
        AstrayPage { found: found.into_iter().map(|(_, name)| name).collect(), next }
    }

    /// What this incarnation owns.
    pub fn owned_by(&self, process: ProcessId) -> impl Iterator<Item = &AggregateId> {
        self.aggregates.iter().filter(move |found| found.owner == Some(process)).map(|found| &found.name)
    }

    /// Timers of what nobody owns.
    pub fn timers(&self) -> impl Iterator<Item = Time> {
        self.aggregates.iter().filter(|aggregate| aggregate.owner.is_none()).filter_map(|aggregate| aggregate.wake_at)
    }

    /// When the leases end under which something is owned.
    pub fn ends_of_leases(&self) -> impl Iterator<Item = Steady> {
        let owners = self.aggregates.iter().filter_map(|aggregate| aggregate.owner);
        owners.filter_map(|owner| self.leases.get(&owner).map(|row| row.until))
    }

    /// The items an append would consume.
    pub fn peek(&self, append: &Append) -> Vec<InboxItem> {
        let Some(found) = self.at(append.ownership.handle) else { return Vec::new() };
        append.inbox_done.iter().filter_map(|item| found.inbox.get(item).cloned()).collect()
    }

    pub fn left_in_inbox(&self, name: &AggregateId) -> usize {
        self.find(name).map_or(0, |found| found.inbox.len())
    }

    /// Items it was ever given.
    pub fn filed(&self, name: &AggregateId) -> i64 {
        self.find(name).map_or(0, |found| found.items)
    }

    /// When somebody must look at it.
    pub fn wake_at(&self, name: &AggregateId) -> Option<Time> {
        self.find(name).and_then(|found| found.wake_at)
    }

    pub fn owner(&self, name: &AggregateId) -> Option<ProcessId> {
        self.find(name).and_then(|found| found.owner)
    }

    pub fn names(&self) -> impl Iterator<Item = &AggregateId> {
        self.names.keys()
    }

    pub(super) fn find(&self, name: &AggregateId) -> Option<&Aggregate> {
        self.names.get(name).map(|place| &self.aggregates[*place])
    }

    fn at(&self, handle: Handle) -> Option<&Aggregate> {
        self.aggregates.get(usize::try_from(handle.0 - 1).ok()?)
    }

    fn at_mut(&mut self, handle: Handle) -> Option<&mut Aggregate> {
        self.aggregates.get_mut(usize::try_from(handle.0 - 1).ok()?)
    }
}

impl Aggregate {
    fn file(&mut self, submit: Submit) -> i64 {
        self.items += 1;
        let Submit { command_id, payload, at, .. } = submit;
        self.inbox.insert(self.items, InboxItem { item: self.items, command_id, payload, at });
        self.items
    }

    fn take_over(&mut self, handle: Handle, process: ProcessId, fold_version: u32) -> Claimed {
        self.epoch += 1;
        self.owner = Some(process);
        self.called = false;
        let fits =
            |snapshot: &&Snapshot| snapshot.fold_version == fold_version || planted(Mutant::SnapshotOfAnotherFold);
        let snapshot = self.snapshot.as_ref().filter(fits).cloned();
        let behind = snapshot.as_ref().map_or(0, |snapshot| usize::try_from(snapshot.seq).unwrap_or(usize::MAX));
        Claimed {
            ownership: Ownership { handle, process, epoch: self.epoch },
            tenant: self.tenant.clone(),
            kind: self.kind,
            workflow: self.workflow.clone(),
            seq: self.seq(),
            left: Departure::Dropped,
            wake_at: self.wake_at,
            last_at: self.last_at,
            snapshot,
            tail: self.journal.get(behind..).unwrap_or_default().to_vec(),
            inbox: self.inbox.values().cloned().collect(),
        }
    }
}
