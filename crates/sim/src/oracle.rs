//! What must hold whatever goes wrong, judged from outside: from the durable entries, from the requests to the
//! services, and from their times. Nothing here uses a run's own state, except to compare it with its journal.

mod agent_trace;
mod approvals;
mod calls;
mod conversations;
mod flow;
mod inbox;
mod programs;
mod questions;
mod run_history;
mod saga;
mod signals;
mod verdict;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use baton_core::bundle::ContentHash;
use baton_core::graph::Workflow;
use baton_core::id::RunId;
use baton_core::run::{EffectId, HumanTask, NodeAddress, NodeWait, Run, RunEntry, RunEvent, RunState};
use baton_core::time::Time;
use baton_core::tool::AuditRow;
use baton_engine::owner::Attempt;
use baton_engine::{decode, owner::CallRequest};
use baton_ports::journal::{
    ClaimedAggregate, InboxItem, InboxReceipt, InboxSubmission, JournalAppend, Ownership, TaskItemKind,
};

use crate::draw::SimCatalog;
use crate::fake::FakeJournal;
use crate::services::SimServices;
use crate::simulation::tenant;

pub use conversations::{ConversationHolder, ConversationOracle};
pub use flow::{kind_of, row_of};
pub use run_history::RunHistory;

/// A promise that was broken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PromiseViolation {
    /// The name of the rule.
    pub rule: &'static str,
    pub what: String,
}

pub(crate) fn violation<T>(rule: &'static str, what: impl Into<String>) -> Result<T, PromiseViolation> {
    Err(PromiseViolation { rule, what: what.into() })
}

/// Maximum number of submissions of one run that are remembered, to be repeated.
const RESUBMISSIONS_MAX: usize = 4;

/// Observes everything that becomes durable and everything that is sent.
#[derive(Debug, Default)]
pub struct SimOracle {
    pub histories: BTreeMap<RunId, RunHistory>,
    submitted: BTreeMap<RunId, Vec<InboxSubmission>>,
    numbered_senders: BTreeMap<RunId, u64>,
    versions: BTreeMap<ContentHash, Arc<Workflow>>,
    pub conversations: ConversationOracle,
}

impl SimOracle {
    pub fn new(
        versions: &BTreeMap<ContentHash, Arc<Workflow>>,
        talks: Option<&crate::conversation_plan::ConversationPlan>,
    ) -> Self {
        Self { versions: versions.clone(), conversations: ConversationOracle::new(talks), ..Self::default() }
    }

    /// All versions.
    pub fn versions(&self) -> impl Iterator<Item = (&ContentHash, &Arc<Workflow>)> {
        self.versions.iter()
    }

    fn history_of(&mut self, run: &RunId) -> &mut RunHistory {
        self.histories.entry(run.clone()).or_insert_with(|| RunHistory::new(run.clone()))
    }

    /// A process became the owner.
    pub fn claimed(&mut self, run: &RunId, ownership: Ownership) {
        match self.conversations.contains(run) {
            true => self.conversations.claimed(run, ownership),
            false => self.history_of(run).claimed(ownership),
        }
    }

    pub fn is_owner(&self, run: &RunId, ownership: &Ownership) -> bool {
        let is_its = |history: &RunHistory| history.owner == Some(*ownership);
        self.histories.get(run).is_some_and(is_its) || self.conversations.is_owner(run, ownership)
    }

    /// Checks that the state of a new owner is the fold of all entries.
    pub fn check_fold(&self, id: &RunId, run: &Run, entries: u64) -> Result<(), PromiseViolation> {
        match self.histories.get(id) {
            Some(history) if history.entries.len() as u64 == entries => history.compare_state(run, &self.versions),
            _ => Ok(()),
        }
    }

    /// Its owner released it without an append.
    pub fn released(&mut self, run: &RunId, ownership: Ownership) {
        match self.conversations.contains(run) {
            true => self.conversations.released(run, ownership),
            false => self.history_of(run).released(ownership),
        }
    }

    /// The entries after a claim's snapshot.
    pub fn tail(&self, run: &RunId, claimed: &ClaimedAggregate) -> &[RunEntry] {
        let Some(history) = self.histories.get(run) else { return &[] };
        let last = usize::try_from(claimed.seq).unwrap_or(usize::MAX);
        history.entries.get(last.saturating_sub(claimed.tail.len())..last).unwrap_or_default()
    }

    pub fn accepted(&mut self, submit: &InboxSubmission, submitted: &InboxReceipt) {
        match self.conversations.contains(&submit.aggregate) {
            true => self.conversations.accepted(submit),
            false => {
                self.history_of(&submit.aggregate);
            }
        }
        if matches!(submitted, InboxReceipt::Duplicate) {
            return;
        }
        let kept = self.submitted.entry(submit.aggregate.clone()).or_default();
        if kept.len() == RESUBMISSIONS_MAX {
            kept.remove(0);
        }
        kept.push(submit.clone());
    }

    pub fn submitted(&self, run: &RunId) -> &[InboxSubmission] {
        self.submitted.get(run).map_or(&[], Vec::as_slice)
    }

    /// How many numbered senders this run has had.
    pub fn next_sender_number(&mut self, run: &RunId) -> u64 {
        let count = self.numbered_senders.entry(run.clone()).or_default();
        *count += 1;
        *count - 1
    }

    /// An append is in flight.
    pub fn append_started(&mut self, append: &JournalAppend) {
        if self.conversations.contains(&append.aggregate) {
            return;
        }
        let history = self.history_of(&append.aggregate);
        if history.owner == Some(append.ownership) {
            history.proposed_audits = std::mem::take(&mut history.pending_audits);
            history.proposed_late_answers = std::mem::take(&mut history.late_answers);
            history.proposed_dropped_calls = std::mem::take(&mut history.dropped_calls);
        }
    }

    /// An append was accepted; `taken` are the inbox items that it consumed.
    pub fn append_committed(
        &mut self,
        append: &JournalAppend,
        taken: &[InboxItem],
        services: &SimServices,
        catalog: &SimCatalog,
    ) -> Result<(), PromiseViolation> {
        let entry = match append.entry.as_deref().map(decode) {
            Some(Ok(entry)) if is_silent_append(append, &entry) => {
                return violation(
                    "empty entry",
                    format!("`{}` recorded an entry in which nothing happened", append.aggregate),
                );
            }
            Some(Ok(entry)) => entry,
            None => RunEntry { at: append.at, events: Vec::new() },
            Some(Err(error)) => return violation("codec", format!("an entry cannot be read back: {error}")),
        };
        for submit in
            append.outbox.iter().filter(|submit| !self.conversations.contains(&submit.aggregate)).collect::<Vec<_>>()
        {
            self.history_of(&submit.aggregate);
        }
        let started = entry.events.iter().find_map(|event| match event {
            RunEvent::Started(started) => self.versions.get(&started.bundle).cloned(),
            _ => None,
        });
        let history = self.history_of(&append.aggregate);
        history.workflow = started.or(history.workflow.take());
        history.committed(append, entry, taken, services, catalog)
    }

    /// Its owner was told that the last append is durable.
    pub fn append_acknowledged(&mut self, run: &RunId, ownership: Ownership) {
        self.history_of(run).inbox.acknowledged(ownership.epoch);
    }

    pub fn item_refused(&mut self, run: &RunId, ownership: Ownership, item: i64) {
        self.history_of(run).inbox.refused(ownership.epoch, item);
    }

    /// Its owner has reported all refusals of its last append.
    pub fn settle_refusals(&mut self, run: &RunId, ownership: Ownership) -> Result<(), PromiseViolation> {
        self.history_of(run).inbox.settle(run, ownership.epoch)
    }

    /// An owner was told the outcome of a performed attempt.
    pub fn outcome_received(&mut self, run: &RunId, ownership: Ownership, row: &AuditRow) {
        let key = row.details["key"].as_str().unwrap_or_default().to_owned();
        let history = self.history_of(run);
        if history.owner == Some(ownership) {
            history.pending_audits.insert(key);
        }
    }

    /// An owner dispatches an effect.
    pub fn check_dispatch(&self, run: &RunId, effect: &EffectId, ownership: Ownership) -> Result<(), PromiseViolation> {
        self.histories.get(run).map_or(Ok(()), |history| history.check_dispatch(effect, ownership))
    }

    /// An owner received an answer after its call was given up.
    pub fn late_answer_received(&mut self, run: &RunId, ownership: Ownership, effect: &EffectId) {
        let history = self.history_of(run);
        if history.owner == Some(ownership) && history.calls.expects_late_answer(effect) {
            history.late_answers.insert(effect.clone());
        }
    }

    /// An owner dropped a model call that had been answered.
    pub fn paid_call_dropped(&mut self, run: &RunId, ownership: Ownership, effect: &EffectId) {
        let history = self.history_of(run);
        if history.owner == Some(ownership) {
            history.dropped_calls.insert(effect.clone());
        }
    }

    /// A call leaves its process.
    pub fn check_send(
        &self,
        run: &RunId,
        send: &Attempt,
        ownership: Ownership,
        now: Time,
        services: &SimServices,
    ) -> Result<(), PromiseViolation> {
        let key = match &send.request {
            CallRequest::Tool(call) => &call.key,
            CallRequest::Model { key, .. } | CallRequest::Code { key, .. } | CallRequest::Step { key, .. } => key,
        };
        if *key != send.effect.key(run) {
            return violation("key", format!("{} went out under `{key}`", send.effect));
        }
        match self.histories.get(run) {
            Some(history) => history.check_send(send, ownership, now, services),
            None => violation("append before effects", format!("{} left a run that has no journal", send.effect)),
        }
    }

    pub fn check_look_up(&self, run: &RunId, effect: &EffectId, now: Time) -> Result<(), PromiseViolation> {
        self.histories.get(run).map_or(Ok(()), |history| history.calls.check_look_up(effect, now))
    }

    /// Checks that task inbox items are open exactly as long as their question.
    pub fn check_tasks(&self, run: &RunId, asks: &[HumanTask], books: &FakeJournal) -> Result<(), PromiseViolation> {
        let open = books.open_desk(&tenant(), Some(run));
        let shown: BTreeSet<String> =
            open.into_iter().filter(|item| item.kind != TaskItemKind::NotUndone).map(|item| item.id).collect();
        let asked: BTreeSet<String> = asks.iter().map(|ask| item_of(run, ask)).collect();
        if shown == asked {
            return Ok(());
        }
        violation("desk", format!("`{run}` asks {asked:?}, and the desk shows {shown:?}"))
    }

    /// Runs that have not ended, or whose inbox is not empty.
    pub fn unfinished(&self, books: &FakeJournal) -> Vec<RunId> {
        let is_open = |run: &&RunId| {
            let is_open = match self.conversations.contains(run) {
                true => self.conversations.is_open(run),
                false => !self.histories.get(*run).is_some_and(RunHistory::has_ended),
            };
            is_open || books.inbox_len(run) > 0 || books.owner(run).is_some()
        };
        books.names().filter(is_open).cloned().collect()
    }

    /// The table rows of the nodes that this run has settled.
    pub fn settled_node_kinds(&self, run: &RunId) -> BTreeSet<&'static str> {
        let Some(history) = self.histories.get(run) else { return BTreeSet::new() };
        let Some(workflow) = &history.workflow else { return BTreeSet::new() };
        history.ended().filter_map(|(at, _)| row_of(workflow, at)).collect()
    }

    /// The table row of a node of this run.
    pub fn node_kind(&self, run: &RunId, at: &NodeAddress) -> Option<&'static str> {
        row_of(self.histories.get(run)?.workflow.as_ref()?, at)
    }

    /// From the last entry: the signals that nodes began to wait for, and how the run ended.
    pub fn last_entry(&self, run: &RunId) -> (Vec<(NodeAddress, String)>, Option<RunState>) {
        let (mut waits, mut end) = (Vec::new(), None);
        let last = self.histories.get(run).and_then(|history| history.entries.last());
        for event in last.into_iter().flat_map(|entry| &entry.events) {
            match event {
                RunEvent::Began { node, wait } => {
                    if let NodeWait::Signal { name, .. } = &**wait {
                        waits.push((node.clone(), name.clone()));
                    }
                }
                RunEvent::Finished(finished) => end = Some(finished.state),
                _ => {}
            }
        }
        (waits, end)
    }

    /// Names of signals that this run waits for.
    pub fn awaited_signals(&self, run: &RunId) -> Vec<String> {
        self.histories.get(run).map(RunHistory::awaited_signals).unwrap_or_default()
    }
}

fn is_silent_append(append: &JournalAppend, entry: &RunEntry) -> bool {
    entry.events.is_empty() && append.audit.is_empty() && append.spends.is_empty()
}

fn item_of(run: &RunId, ask: &HumanTask) -> String {
    match ask {
        HumanTask::Human(node) => format!("{run}/{node}"),
        HumanTask::Customer(node) => format!("{run}/{node}/customer"),
        HumanTask::Doubt(effect) => format!("{}/doubt", effect.key(run)),
        HumanTask::Approval(effect) => format!("{}/approval", effect.key(run)),
        HumanTask::Question(effect) => format!("{}/question", effect.key(run)),
        HumanTask::Budget(effect) => format!("{}/budget", effect.key(run)),
        HumanTask::Key(effect) => format!("{}/key", effect.key(run)),
    }
}
