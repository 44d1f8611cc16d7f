//! What became durable of one run, in order.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use baton_core::bundle::Hash;
use baton_core::graph::Workflow;
use baton_core::id::RunId;
use baton_core::run::{Address, Began, Block, EffectId, Entry, Event, Finished, How, Role, Run};
use baton_core::time::Time;
use baton_core::tool::AuditRow;
use baton_engine::owner::Send;
use baton_ports::journal::{Append, InboxItem, Ownership};

use super::calls::Calls;
use super::inbox::Inbox;
use super::leaves::Leaves;
use super::questions::Questions;
use super::{Violation, broken};
use crate::draw::Catalog;
use crate::services::Services;

#[derive(Debug)]
pub struct Chronicle {
    pub run: RunId,
    pub entries: Vec<Entry>,
    /// Who may append: the newest claim.
    pub owner: Option<Ownership>,
    /// The owner before it gave the run back, with nothing out.
    was_let_go: bool,
    pub calls: Calls,
    leaves: Leaves,
    questions: Questions,
    pub inbox: Inbox,
    pub finished: Option<Finished>,
    pub is_paused: bool,
    /// Markers written before the pause that holds: their calls may still go out.
    marked_before_pause: BTreeSet<EffectId>,
    /// Keys of outcomes that brought an audit row and are in no append yet.
    pub heard: BTreeSet<String>,
    /// Those of them that the append on its way must bring.
    pub proposed: BTreeSet<String>,
    /// Late answers that an owner was given and that are in no append yet, and those that the append on its way must
    /// bring.
    pub heard_late: BTreeSet<EffectId>,
    pub proposed_late: BTreeSet<EffectId>,
    /// Model calls that an owner dropped after they were answered: the next append says what they cost.
    pub dropped: BTreeSet<EffectId>,
    pub proposed_dropped: BTreeSet<EffectId>,
    /// The version it started on.
    pub workflow: Option<Arc<Workflow>>,
    signals: BTreeMap<Address, String>,
}

impl Chronicle {
    pub fn new(run: RunId) -> Self {
        Self {
            run,
            entries: Vec::new(),
            owner: None,
            calls: Calls::default(),
            leaves: Leaves::default(),
            questions: Questions::default(),
            inbox: Inbox::default(),
            finished: None,
            is_paused: false,
            marked_before_pause: BTreeSet::new(),
            was_let_go: false,
            heard: BTreeSet::new(),
            proposed: BTreeSet::new(),
            heard_late: BTreeSet::new(),
            proposed_late: BTreeSet::new(),
            dropped: BTreeSet::new(),
            proposed_dropped: BTreeSet::new(),
            workflow: None,
            signals: BTreeMap::new(),
        }
    }

    pub fn released(&mut self, ownership: Ownership) {
        self.owner = self.owner.filter(|owner| *owner != ownership);
    }

    pub fn claimed(&mut self, ownership: Ownership) {
        self.was_let_go = self.owner.is_none();
        self.owner = Some(ownership);
        self.heard.clear();
        self.proposed.clear();
        self.heard_late.clear();
        self.proposed_late.clear();
        self.dropped.clear();
        self.proposed_dropped.clear();
        self.inbox.forget();
    }

    pub fn committed(
        &mut self,
        append: &Append,
        entry: Entry,
        taken: &[InboxItem],
        services: &Services,
        catalog: &Catalog,
    ) -> Result<(), Violation> {
        let run = &self.run;
        if self.owner != Some(append.ownership) {
            let epoch = append.ownership.epoch;
            return broken("fence", format!("`{run}` took an append of epoch {epoch}, and {:?} owns it", self.owner));
        }
        if self.entries.last().is_some_and(|last| last.at > entry.at) {
            return broken("time", format!("`{run}` went back from {} to {}", self.entries.len(), entry.at));
        }
        self.inbox.taken(&self.run, append.ownership.epoch, taken, &entry)?;
        self.refusals_audited(append, &entry)?;
        for event in &entry.events {
            self.audited(append, event)?;
            self.leaves.recorded(&self.run, entry.at, event)?;
            self.questions.recorded(&self.run, entry.at, event)?;
            if self.was_let_go && matches!(event, Event::TakenOver { .. }) {
                return broken("needless doubt", format!("`{}` was let go of with nothing out", self.run));
            }
            let most = |effect: &EffectId, tool: &str| attempts_max(self.workflow.as_deref(), catalog, effect, tool);
            self.calls.recorded(&self.run, event, services, &most)?;
            self.note(event);
        }
        if let Some(lost) = self.proposed_late.iter().find(|effect| self.calls.wants_late(effect)) {
            return broken(
                "late answer",
                format!("{lost} of `{}` was done after all, and nobody wrote it down", self.run),
            );
        }
        self.proposed_late.clear();
        let is_paid = |effect: &&EffectId| {
            let is_it = |event: &Event| matches!(event, Event::HoldLost { effect: of, .. } if of == *effect);
            entry.events.iter().any(is_it)
        };
        if let Some(unpaid) = self.proposed_dropped.iter().find(|effect| !is_paid(effect)) {
            return broken("money", format!("{unpaid} of `{}` was dropped, and its answer is not paid for", self.run));
        }
        self.proposed_dropped.clear();
        if append.entry.is_some() {
            self.entries.push(entry);
        }
        if append.release {
            self.owner = None;
        }
        Ok(())
    }

    fn note(&mut self, event: &Event) {
        match event {
            Event::Paused { .. } => {
                self.is_paused = true;
                self.marked_before_pause = self.calls.marked();
            }
            Event::Resumed { .. } => self.is_paused = false,
            Event::Finished(finished) => {
                self.finished = Some((**finished).clone());
                self.is_paused = false;
                self.signals.clear();
            }
            Event::Reopened(_) => self.finished = None,
            Event::Began { node, wait } => {
                if let Began::Signal { name, .. } = &**wait {
                    self.signals.insert(node.clone(), name.clone());
                }
            }
            Event::Ended(ended) => {
                self.signals.remove(&ended.node);
            }
            // An answer that came late may have set an ended run in motion again, or may be kept: undoing tells.
            Event::Scheduled(scheduled) if scheduled.effect.call.role == Role::Undo => self.finished = None,
            Event::ChildUndoing { .. } | Event::NotUndone { .. } | Event::UndoAgain { .. } => self.finished = None,
            _ => {}
        }
    }

    /// Every performed attempt that is recorded is in the audit, in the same append; so is every word of a person's.
    fn audited(&mut self, append: &Append, event: &Event) -> Result<(), Violation> {
        if let Event::Answered { by, .. }
        | Event::Approved { by, .. }
        | Event::Replied { by, .. }
        | Event::Unblocked { by, .. } = event
        {
            let is_there = append.audit.iter().any(|row| row.user_id.as_ref() == Some(by) && !row.sent);
            if !is_there {
                return broken("audit", format!("`{by}` decided in `{}` and left no row", self.run));
            }
        }
        let effect = match event {
            Event::Done(done) | Event::ArrivedLate(done) => &done.effect,
            Event::NotDone { effect, .. }
            | Event::Degraded { effect, attempted: true, .. }
            | Event::Blocked { effect, by: Block::Question { .. } }
            | Event::Doubted { effect, .. }
            | Event::NotUndone { effect, .. } => effect,
            _ => return Ok(()),
        };
        let key = effect.key(&self.run);
        if !self.proposed.remove(&key) {
            return Ok(());
        }
        let is_there = append.audit.iter().any(|row| row.details["key"].as_str() == Some(key.as_str()));
        if is_there { Ok(()) } else { broken("audit", format!("`{key}` was performed and left no row")) }
    }

    /// Every tool that an agent may not have left a row of its own, however often one is refused.
    fn refusals_audited(&self, append: &Append, entry: &Entry) -> Result<(), Violation> {
        let mut rows: Vec<&AuditRow> = append.audit.iter().filter(|row| !row.sent).collect();
        for event in &entry.events {
            let Event::RequestRefused { node, tool, fault, .. } = event else { continue };
            let at = node.to_string();
            let is_its = |row: &&AuditRow| {
                row.action == *tool
                    && row.error_code.as_deref() == Some(&*fault.code)
                    && row.details["node"].as_str() == Some(at.as_str())
            };
            match rows.iter().position(is_its) {
                Some(place) => rows.swap_remove(place),
                None => return broken("audit", format!("`{tool}` was refused in `{}` and left no row", self.run)),
            };
        }
        Ok(())
    }

    /// An owner that knows all that is durable lets an effect out.
    pub fn lets_out(&self, effect: &EffectId, ownership: Ownership) -> Result<(), Violation> {
        let is_owner = self.owner == Some(ownership);
        if is_owner && self.is_paused && !self.marked_before_pause.contains(effect) {
            return broken("pause", format!("{effect} of `{}` was let out while it was paused", self.run));
        }
        Ok(())
    }

    /// A call leaves its process, perhaps some time after it was let out.
    pub fn leaves(&self, send: &Send, ownership: Ownership, now: Time, services: &Services) -> Result<(), Violation> {
        let is_owner = self.owner == Some(ownership);
        if is_owner {
            self.leaves.leaves(&self.run, send)?;
            self.questions.leaves(&self.run, send)?;
        }
        self.calls.leaves(&self.run, send, ownership, is_owner, now, services)
    }

    /// What an owner holds is what its journal says.
    pub fn compare(&self, run: &Run, versions: &BTreeMap<Hash, Arc<Workflow>>) -> Result<(), Violation> {
        let mut folded = Run::new();
        for (hash, workflow) in versions {
            folded.know(hash.clone(), workflow.clone());
        }
        for entry in &self.entries {
            folded.fold(entry);
        }
        let (ours, theirs) = (serde_json::to_string(&folded), serde_json::to_string(run));
        match (ours, theirs) {
            (Ok(ours), Ok(theirs)) if ours == theirs => Ok(()),
            (Ok(ours), Ok(theirs)) => {
                broken("fold", format!("`{}` holds\n{theirs}\nand its journal folds to\n{ours}", self.run))
            }
            (Err(error), _) | (_, Err(error)) => broken("codec", format!("a state cannot be written: {error}")),
        }
    }

    pub fn has_ended(&self) -> bool {
        self.finished.is_some()
    }

    pub fn waits(&self) -> Vec<String> {
        self.signals.values().cloned().collect()
    }

    pub fn events(&self) -> impl Iterator<Item = &Event> {
        self.entries.iter().flat_map(|entry| &entry.events)
    }

    /// Nodes that ended by themselves, and how.
    pub fn ended(&self) -> impl Iterator<Item = (&Address, &How)> {
        self.events().filter_map(|event| match event {
            Event::Ended(ended) => Some((&ended.node, &ended.how)),
            _ => None,
        })
    }
}

/// How often a call may be sent: what its node says, else what its tool says.
fn attempts_max(workflow: Option<&Workflow>, catalog: &Catalog, effect: &EffectId, tool: &str) -> Option<u32> {
    let of_tool = catalog.attempts_max(tool);
    if effect.call.role == Role::Undo {
        return of_tool;
    }
    let at = &effect.call.node;
    let graph = workflow.and_then(|workflow| at.scope.graph_in(workflow))?;
    let node = graph.node(graph.find(at.node.as_str())?);
    node.policy.retry.as_ref().map(|retry| retry.max_attempts).or(of_tool)
}
