//! What must hold whatever goes wrong, judged from outside: from what was made durable, from what the world was asked,
//! and from when. Nothing here asks the run what it thinks of itself, but to compare it with its own journal.

mod calls;
mod chronicle;
mod flow;
mod inbox;
mod leaves;
mod programs;
mod questions;
mod saga;
mod signals;
mod talks;
mod thoughts;
mod verdict;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use baton_core::bundle::Hash;
use baton_core::graph::Workflow;
use baton_core::id::RunId;
use baton_core::run::{Address, Ask, Began, EffectId, Entry, Event, Run, State};
use baton_core::time::Time;
use baton_core::tool::AuditRow;
use baton_engine::owner::Send;
use baton_engine::{decode, owner::What};
use baton_ports::journal::{Append, Claimed, DeskKind, InboxItem, Ownership, Submit, Submitted};

use crate::draw::Catalog;
use crate::fake::Books;
use crate::services::Services;
use crate::simulation::tenant;

pub use chronicle::Chronicle;
pub use flow::{kind_of, row_of};
pub use talks::{Standing, Talks};

/// A promise that was broken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// Which, in a word.
    pub rule: &'static str,
    pub what: String,
}

pub(crate) fn broken<T>(rule: &'static str, what: impl Into<String>) -> Result<T, Violation> {
    Err(Violation { rule, what: what.into() })
}

/// Submissions of one run that are kept, to be made again.
const SUBMITTED_MAX: usize = 4;

/// Watches everything that becomes durable and everything that leaves.
#[derive(Debug, Default)]
pub struct Witness {
    pub chronicles: BTreeMap<RunId, Chronicle>,
    submitted: BTreeMap<RunId, Vec<Submit>>,
    numbered: BTreeMap<RunId, u64>,
    versions: BTreeMap<Hash, Arc<Workflow>>,
    pub talks: Talks,
}

impl Witness {
    pub fn new(versions: &BTreeMap<Hash, Arc<Workflow>>, talks: Option<&crate::talks::Talks>) -> Self {
        Self { versions: versions.clone(), talks: Talks::new(talks), ..Self::default() }
    }

    /// All versions there are.
    pub fn versions(&self) -> impl Iterator<Item = (&Hash, &Arc<Workflow>)> {
        self.versions.iter()
    }

    fn of(&mut self, run: &RunId) -> &mut Chronicle {
        self.chronicles.entry(run.clone()).or_insert_with(|| Chronicle::new(run.clone()))
    }

    /// A process became the owner.
    pub fn claimed(&mut self, run: &RunId, ownership: Ownership) {
        match self.talks.has(run) {
            true => self.talks.claimed(run, ownership),
            false => self.of(run).claimed(ownership),
        }
    }

    pub fn is_owner(&self, run: &RunId, ownership: &Ownership) -> bool {
        let is_its = |chronicle: &Chronicle| chronicle.owner == Some(*ownership);
        self.chronicles.get(run).is_some_and(is_its) || self.talks.is_owner(run, ownership)
    }

    /// What a new owner folded is what all entries fold to.
    pub fn folded(&self, id: &RunId, run: &Run, entries: u64) -> Result<(), Violation> {
        match self.chronicles.get(id) {
            Some(chronicle) if chronicle.entries.len() as u64 == entries => chronicle.compare(run, &self.versions),
            _ => Ok(()),
        }
    }

    /// Its owner let go of it without an append.
    pub fn released(&mut self, run: &RunId, ownership: Ownership) {
        match self.talks.has(run) {
            true => self.talks.released(run, ownership),
            false => self.of(run).released(ownership),
        }
    }

    /// The entries behind what a claim's snapshot holds.
    pub fn tail(&self, run: &RunId, claimed: &Claimed) -> &[Entry] {
        let Some(chronicle) = self.chronicles.get(run) else { return &[] };
        let last = usize::try_from(claimed.seq).unwrap_or(usize::MAX);
        chronicle.entries.get(last.saturating_sub(claimed.tail.len())..last).unwrap_or_default()
    }

    pub fn accepted(&mut self, submit: &Submit, submitted: &Submitted) {
        match self.talks.has(&submit.aggregate) {
            true => self.talks.accepted(submit),
            false => {
                self.of(&submit.aggregate);
            }
        }
        if matches!(submitted, Submitted::Duplicate) {
            return;
        }
        let kept = self.submitted.entry(submit.aggregate.clone()).or_default();
        if kept.len() == SUBMITTED_MAX {
            kept.remove(0);
        }
        kept.push(submit.clone());
    }

    pub fn submitted(&self, run: &RunId) -> &[Submit] {
        self.submitted.get(run).map_or(&[], Vec::as_slice)
    }

    /// How many numbered senders this run has had.
    pub fn numbered(&mut self, run: &RunId) -> u64 {
        let count = self.numbered.entry(run.clone()).or_default();
        *count += 1;
        *count - 1
    }

    /// An append is on its way.
    pub fn proposed(&mut self, append: &Append) {
        if self.talks.has(&append.aggregate) {
            return;
        }
        let chronicle = self.of(&append.aggregate);
        if chronicle.owner == Some(append.ownership) {
            chronicle.proposed = std::mem::take(&mut chronicle.heard);
            chronicle.proposed_late = std::mem::take(&mut chronicle.heard_late);
            chronicle.proposed_dropped = std::mem::take(&mut chronicle.dropped);
        }
    }

    /// An append was taken; `taken` are the inbox items it consumed.
    pub fn committed(
        &mut self,
        append: &Append,
        taken: &[InboxItem],
        services: &Services,
        catalog: &Catalog,
    ) -> Result<(), Violation> {
        let entry = match append.entry.as_deref().map(decode) {
            Some(Ok(entry)) if says_nothing(append, &entry) => {
                return broken(
                    "empty entry",
                    format!("`{}` recorded an entry in which nothing happened", append.aggregate),
                );
            }
            Some(Ok(entry)) => entry,
            None => Entry { at: append.at, events: Vec::new() },
            Some(Err(error)) => return broken("codec", format!("an entry cannot be read back: {error}")),
        };
        for submit in append.outbox.iter().filter(|submit| !self.talks.has(&submit.aggregate)).collect::<Vec<_>>() {
            self.of(&submit.aggregate);
        }
        let started = entry.events.iter().find_map(|event| match event {
            Event::Started(started) => self.versions.get(&started.bundle).cloned(),
            _ => None,
        });
        let chronicle = self.of(&append.aggregate);
        chronicle.workflow = started.or(chronicle.workflow.take());
        chronicle.committed(append, entry, taken, services, catalog)
    }

    /// Its owner was told that the last append is durable.
    pub fn acknowledged(&mut self, run: &RunId, ownership: Ownership) {
        self.of(run).inbox.acknowledged(ownership.epoch);
    }

    pub fn refused(&mut self, run: &RunId, ownership: Ownership, item: i64) {
        self.of(run).inbox.refused(ownership.epoch, item);
    }

    /// All that an owner refuses of its last append has been said.
    pub fn settled_items(&mut self, run: &RunId, ownership: Ownership) -> Result<(), Violation> {
        self.of(run).inbox.settle(run, ownership.epoch)
    }

    /// An owner was told what a performed attempt came to.
    pub fn heard(&mut self, run: &RunId, ownership: Ownership, row: &AuditRow) {
        let key = row.details["key"].as_str().unwrap_or_default().to_owned();
        let chronicle = self.of(run);
        if chronicle.owner == Some(ownership) {
            chronicle.heard.insert(key);
        }
    }

    /// An owner lets an effect out.
    pub fn lets_out(&self, run: &RunId, effect: &EffectId, ownership: Ownership) -> Result<(), Violation> {
        self.chronicles.get(run).map_or(Ok(()), |chronicle| chronicle.lets_out(effect, ownership))
    }

    /// An owner was given an answer that came after its call was given up.
    pub fn heard_late(&mut self, run: &RunId, ownership: Ownership, effect: &EffectId) {
        let chronicle = self.of(run);
        if chronicle.owner == Some(ownership) && chronicle.calls.wants_late(effect) {
            chronicle.heard_late.insert(effect.clone());
        }
    }

    /// An owner dropped a model call that had been answered.
    pub fn paid_for_nothing(&mut self, run: &RunId, ownership: Ownership, effect: &EffectId) {
        let chronicle = self.of(run);
        if chronicle.owner == Some(ownership) {
            chronicle.dropped.insert(effect.clone());
        }
    }

    /// A call leaves its process.
    pub fn leaves(
        &self,
        run: &RunId,
        send: &Send,
        ownership: Ownership,
        now: Time,
        services: &Services,
    ) -> Result<(), Violation> {
        let key = match &send.what {
            What::Tool(call) => &call.key,
            What::Model { key, .. } | What::Code { key, .. } | What::Step { key, .. } => key,
        };
        if *key != send.effect.key(run) {
            return broken("key", format!("{} went out under `{key}`", send.effect));
        }
        match self.chronicles.get(run) {
            Some(chronicle) => chronicle.leaves(send, ownership, now, services),
            None => broken("append before effects", format!("{} left a run that has no journal", send.effect)),
        }
    }

    pub fn looks_up(&self, run: &RunId, effect: &EffectId, now: Time) -> Result<(), Violation> {
        self.chronicles.get(run).map_or(Ok(()), |chronicle| chronicle.calls.looks_up(effect, now))
    }

    /// Desk items are open exactly while their question is.
    pub fn desk(&self, run: &RunId, asks: &[Ask], books: &Books) -> Result<(), Violation> {
        let open = books.open_desk(&tenant(), Some(run));
        let shown: BTreeSet<String> =
            open.into_iter().filter(|item| item.kind != DeskKind::NotUndone).map(|item| item.id).collect();
        let asked: BTreeSet<String> = asks.iter().map(|ask| item_of(run, ask)).collect();
        if shown == asked {
            return Ok(());
        }
        broken("desk", format!("`{run}` asks {asked:?}, and the desk shows {shown:?}"))
    }

    /// Runs that have not ended, or that have something in their inbox.
    pub fn unfinished(&self, books: &Books) -> Vec<RunId> {
        let is_open = |run: &&RunId| {
            let is_open = match self.talks.has(run) {
                true => self.talks.is_open(run),
                false => !self.chronicles.get(*run).is_some_and(Chronicle::has_ended),
            };
            is_open || books.left_in_inbox(run) > 0 || books.owner(run).is_some()
        };
        books.names().filter(is_open).cloned().collect()
    }

    /// The rows of the table whose nodes this run has settled.
    pub fn settled_rows(&self, run: &RunId) -> BTreeSet<&'static str> {
        let Some(chronicle) = self.chronicles.get(run) else { return BTreeSet::new() };
        let Some(workflow) = &chronicle.workflow else { return BTreeSet::new() };
        chronicle.ended().filter_map(|(at, _)| row_of(workflow, at)).collect()
    }

    /// The row of a node of this run's.
    pub fn row(&self, run: &RunId, at: &Address) -> Option<&'static str> {
        row_of(self.chronicles.get(run)?.workflow.as_ref()?, at)
    }

    /// Of the last entry: the signals that nodes began to wait for, and how the run ended.
    pub fn last(&self, run: &RunId) -> (Vec<(Address, String)>, Option<State>) {
        let (mut waits, mut end) = (Vec::new(), None);
        let last = self.chronicles.get(run).and_then(|chronicle| chronicle.entries.last());
        for event in last.into_iter().flat_map(|entry| &entry.events) {
            match event {
                Event::Began { node, wait } => {
                    if let Began::Signal { name, .. } = &**wait {
                        waits.push((node.clone(), name.clone()));
                    }
                }
                Event::Finished(finished) => end = Some(finished.state),
                _ => {}
            }
        }
        (waits, end)
    }

    /// Names of signals this run waits for.
    pub fn waits(&self, run: &RunId) -> Vec<String> {
        self.chronicles.get(run).map(Chronicle::waits).unwrap_or_default()
    }
}

fn says_nothing(append: &Append, entry: &Entry) -> bool {
    entry.events.is_empty() && append.audit.is_empty() && append.spends.is_empty()
}

fn item_of(run: &RunId, ask: &Ask) -> String {
    match ask {
        Ask::Human(node) => format!("{run}/{node}"),
        Ask::Customer(node) => format!("{run}/{node}/customer"),
        Ask::Doubt(effect) => format!("{}/doubt", effect.key(run)),
        Ask::Approval(effect) => format!("{}/approval", effect.key(run)),
        Ask::Question(effect) => format!("{}/question", effect.key(run)),
        Ask::Budget(effect) => format!("{}/budget", effect.key(run)),
        Ask::Key(effect) => format!("{}/key", effect.key(run)),
    }
}
