//! The durable entries of one run, in order.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use baton_core::bundle::ContentHash;
use baton_core::graph::Workflow;
use baton_core::id::RunId;
use baton_core::run::{
    BlockReason, CallRole, EffectId, NodeAddress, NodeOutcome, NodeWait, Run, RunEntry, RunEvent, RunFinished,
};
use baton_core::time::Time;
use baton_core::tool::AuditRow;
use baton_engine::owner::Attempt;
use baton_ports::journal::{InboxItem, JournalAppend, Ownership};

use super::approvals::ApprovalOracle;
use super::calls::CallOracle;
use super::inbox::InboxOracle;
use super::questions::QuestionOracle;
use super::{PromiseViolation, violation};
use crate::draw::SimCatalog;
use crate::services::SimServices;

#[derive(Debug)]
pub struct RunHistory {
    pub run: RunId,
    pub entries: Vec<RunEntry>,
    /// The owner that may append: the newest claim.
    pub owner: Option<Ownership>,
    /// The owner before it released the run, with nothing in flight.
    was_released: bool,
    pub calls: CallOracle,
    approvals: ApprovalOracle,
    questions: QuestionOracle,
    pub inbox: InboxOracle,
    pub finished: Option<RunFinished>,
    pub is_paused: bool,
    /// Markers written before the current pause: their calls may still be sent.
    marked_before_pause: BTreeSet<EffectId>,
    /// Keys of outcomes that brought an audit row and are in no append yet.
    pub pending_audits: BTreeSet<String>,
    /// Those of them that the append in flight must contain.
    pub proposed_audits: BTreeSet<String>,
    /// Late answers that an owner received and that are in no append yet, and those that the append in flight must
    /// contain.
    pub late_answers: BTreeSet<EffectId>,
    pub proposed_late_answers: BTreeSet<EffectId>,
    /// Model calls that an owner dropped after they were answered: the next append records their cost.
    pub dropped_calls: BTreeSet<EffectId>,
    pub proposed_dropped_calls: BTreeSet<EffectId>,
    /// The version that it started on.
    pub workflow: Option<Arc<Workflow>>,
    signals: BTreeMap<NodeAddress, String>,
}

impl RunHistory {
    pub fn new(run: RunId) -> Self {
        Self {
            run,
            entries: Vec::new(),
            owner: None,
            calls: CallOracle::default(),
            approvals: ApprovalOracle::default(),
            questions: QuestionOracle::default(),
            inbox: InboxOracle::default(),
            finished: None,
            is_paused: false,
            marked_before_pause: BTreeSet::new(),
            was_released: false,
            pending_audits: BTreeSet::new(),
            proposed_audits: BTreeSet::new(),
            late_answers: BTreeSet::new(),
            proposed_late_answers: BTreeSet::new(),
            dropped_calls: BTreeSet::new(),
            proposed_dropped_calls: BTreeSet::new(),
            workflow: None,
            signals: BTreeMap::new(),
        }
    }

    pub fn released(&mut self, ownership: Ownership) {
        self.owner = self.owner.filter(|owner| *owner != ownership);
    }

    pub fn claimed(&mut self, ownership: Ownership) {
        self.was_released = self.owner.is_none();
        self.owner = Some(ownership);
        self.pending_audits.clear();
        self.proposed_audits.clear();
        self.late_answers.clear();
        self.proposed_late_answers.clear();
        self.dropped_calls.clear();
        self.proposed_dropped_calls.clear();
        self.inbox.owner_changed();
    }

    pub fn committed(
        &mut self,
        append: &JournalAppend,
        entry: RunEntry,
        taken: &[InboxItem],
        services: &SimServices,
        catalog: &SimCatalog,
    ) -> Result<(), PromiseViolation> {
        let run = &self.run;
        if self.owner != Some(append.ownership) {
            let epoch = append.ownership.epoch;
            return violation(
                "fence",
                format!("`{run}` took an append of epoch {epoch}, and {:?} owns it", self.owner),
            );
        }
        if self.entries.last().is_some_and(|last| last.at > entry.at) {
            return violation("time", format!("`{run}` went back from {} to {}", self.entries.len(), entry.at));
        }
        self.inbox.items_consumed(&self.run, append.ownership.epoch, taken, &entry)?;
        self.check_refusal_rows(append, &entry)?;
        for event in &entry.events {
            self.check_audit_rows(append, event)?;
            self.approvals.recorded(&self.run, entry.at, event)?;
            self.questions.recorded(&self.run, entry.at, event)?;
            if self.was_released && matches!(event, RunEvent::TakenOver { .. }) {
                return violation("needless doubt", format!("`{}` was let go of with nothing out", self.run));
            }
            let most = |effect: &EffectId, tool: &str| attempts_max(self.workflow.as_deref(), catalog, effect, tool);
            self.calls.recorded(&self.run, event, services, &most)?;
            self.apply_event(event);
        }
        if let Some(lost) = self.proposed_late_answers.iter().find(|effect| self.calls.expects_late_answer(effect)) {
            return violation(
                "late answer",
                format!("{lost} of `{}` was done after all, and nobody wrote it down", self.run),
            );
        }
        self.proposed_late_answers.clear();
        let is_paid = |effect: &&EffectId| {
            let is_it = |event: &RunEvent| matches!(event, RunEvent::HoldLost { effect: of, .. } if of == *effect);
            entry.events.iter().any(is_it)
        };
        if let Some(unpaid) = self.proposed_dropped_calls.iter().find(|effect| !is_paid(effect)) {
            return violation(
                "money",
                format!("{unpaid} of `{}` was dropped, and its answer is not paid for", self.run),
            );
        }
        self.proposed_dropped_calls.clear();
        if append.entry.is_some() {
            self.entries.push(entry);
        }
        if append.release {
            self.owner = None;
        }
        Ok(())
    }

    fn apply_event(&mut self, event: &RunEvent) {
        match event {
            RunEvent::Paused { .. } => {
                self.is_paused = true;
                self.marked_before_pause = self.calls.marked_effects();
            }
            RunEvent::Resumed { .. } => self.is_paused = false,
            RunEvent::Finished(finished) => {
                self.finished = Some((**finished).clone());
                self.is_paused = false;
                self.signals.clear();
            }
            RunEvent::Reopened(_) => self.finished = None,
            RunEvent::Began { node, wait } => {
                if let NodeWait::Signal { name, .. } = &**wait {
                    self.signals.insert(node.clone(), name.clone());
                }
            }
            RunEvent::Ended(ended) => {
                self.signals.remove(&ended.node);
            }
            // A late answer may have reopened an ended run, or may only be recorded: an undo shows which.
            RunEvent::Scheduled(scheduled) if scheduled.effect.call.role == CallRole::Undo => self.finished = None,
            RunEvent::ChildUndoing { .. } | RunEvent::NotUndone { .. } | RunEvent::UndoAgain { .. } => {
                self.finished = None
            }
            _ => {}
        }
    }

    /// Every performed attempt that is recorded is in the audit, in the same append; so is every decision of a person.
    fn check_audit_rows(&mut self, append: &JournalAppend, event: &RunEvent) -> Result<(), PromiseViolation> {
        if let RunEvent::Answered { by, .. }
        | RunEvent::Approved { by, .. }
        | RunEvent::Replied { by, .. }
        | RunEvent::Unblocked { by, .. } = event
        {
            let is_there = append.audit.iter().any(|row| row.user_id.as_ref() == Some(by) && !row.sent);
            if !is_there {
                return violation("audit", format!("`{by}` decided in `{}` and left no row", self.run));
            }
        }
        let effect = match event {
            RunEvent::Done(done) | RunEvent::ArrivedLate(done) => &done.effect,
            RunEvent::NotDone { effect, .. }
            | RunEvent::Degraded { effect, attempted: true, .. }
            | RunEvent::Blocked { effect, by: BlockReason::Question { .. } }
            | RunEvent::Doubted { effect, .. }
            | RunEvent::NotUndone { effect, .. } => effect,
            _ => return Ok(()),
        };
        let key = effect.key(&self.run);
        if !self.proposed_audits.remove(&key) {
            return Ok(());
        }
        let is_there = append.audit.iter().any(|row| row.details["key"].as_str() == Some(key.as_str()));
        if is_there { Ok(()) } else { violation("audit", format!("`{key}` was performed and left no row")) }
    }

    /// Every refused tool of an agent leaves a row of its own, however often one is refused.
    fn check_refusal_rows(&self, append: &JournalAppend, entry: &RunEntry) -> Result<(), PromiseViolation> {
        let mut rows: Vec<&AuditRow> = append.audit.iter().filter(|row| !row.sent).collect();
        for event in &entry.events {
            let RunEvent::RequestRefused { node, tool, fault, .. } = event else { continue };
            let at = node.to_string();
            let is_its = |row: &&AuditRow| {
                row.action == *tool
                    && row.error_code.as_deref() == Some(&*fault.code)
                    && row.details["node"].as_str() == Some(at.as_str())
            };
            match rows.iter().position(is_its) {
                Some(place) => rows.swap_remove(place),
                None => return violation("audit", format!("`{tool}` was refused in `{}` and left no row", self.run)),
            };
        }
        Ok(())
    }

    /// An owner that knows all durable entries dispatches an effect.
    pub fn check_dispatch(&self, effect: &EffectId, ownership: Ownership) -> Result<(), PromiseViolation> {
        let is_owner = self.owner == Some(ownership);
        if is_owner && self.is_paused && !self.marked_before_pause.contains(effect) {
            return violation("pause", format!("{effect} of `{}` was let out while it was paused", self.run));
        }
        Ok(())
    }

    /// A call leaves its process, possibly some time after it was dispatched.
    pub fn check_send(
        &self,
        send: &Attempt,
        ownership: Ownership,
        now: Time,
        services: &SimServices,
    ) -> Result<(), PromiseViolation> {
        let is_owner = self.owner == Some(ownership);
        if is_owner {
            self.approvals.check_send(&self.run, send)?;
            self.questions.check_send(&self.run, send)?;
        }
        self.calls.check_send(&self.run, send, ownership, is_owner, now, services)
    }

    /// Compares an owner's state with the journal.
    pub fn compare_state(
        &self,
        run: &Run,
        versions: &BTreeMap<ContentHash, Arc<Workflow>>,
    ) -> Result<(), PromiseViolation> {
        let mut folded = Run::new();
        for (hash, workflow) in versions {
            folded.add_version(hash.clone(), workflow.clone());
        }
        for entry in &self.entries {
            folded.fold(entry);
        }
        let (ours, theirs) = (serde_json::to_string(&folded), serde_json::to_string(run));
        match (ours, theirs) {
            (Ok(ours), Ok(theirs)) if ours == theirs => Ok(()),
            (Ok(ours), Ok(theirs)) => {
                violation("fold", format!("`{}` holds\n{theirs}\nand its journal folds to\n{ours}", self.run))
            }
            (Err(error), _) | (_, Err(error)) => violation("codec", format!("a state cannot be written: {error}")),
        }
    }

    pub fn has_ended(&self) -> bool {
        self.finished.is_some()
    }

    pub fn awaited_signals(&self) -> Vec<String> {
        self.signals.values().cloned().collect()
    }

    pub fn events(&self) -> impl Iterator<Item = &RunEvent> {
        self.entries.iter().flat_map(|entry| &entry.events)
    }

    /// Nodes that ended by themselves, and how.
    pub fn ended(&self) -> impl Iterator<Item = (&NodeAddress, &NodeOutcome)> {
        self.events().filter_map(|event| match event {
            RunEvent::Ended(ended) => Some((&ended.node, &ended.how)),
            _ => None,
        })
    }
}

/// Maximum number of attempts at a call: the limit of its node, else that of its tool.
fn attempts_max(workflow: Option<&Workflow>, catalog: &SimCatalog, effect: &EffectId, tool: &str) -> Option<u32> {
    let of_tool = catalog.attempts_max(tool);
    if effect.call.role == CallRole::Undo {
        return of_tool;
    }
    let at = &effect.call.node;
    let graph = workflow.and_then(|workflow| at.scope.graph_of(workflow))?;
    let node = graph.node(graph.find(at.node.as_str())?);
    node.policy.retry.as_ref().map(|retry| retry.max_attempts).or(of_tool)
}
