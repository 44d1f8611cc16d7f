//! The run's list of completed effects, and how each is undone, in order of completion.
//!
//! It is queried after every decision, so each query is answered from sets and counts that are updated with the
//! entries, not by walking the list.

use std::collections::BTreeSet;
use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::address::{CallId, CallRole, EffectId, NodeAddress};
use super::event::UndoAction;
use crate::fault::Fault;
use crate::id::RunId;
use crate::mutant::{Mutant, planted};

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Saga {
    entries: Vec<SagaEntry>,
    /// The whole list is to be undone, including later entries.
    rolling_back: bool,
    /// Indices of entries that are to be undone and have not started.
    due: BTreeSet<u32>,
    underway: BTreeSet<u32>,
    /// Number of entries that a rollback would have to undo.
    undoable: u32,
    in_doubt: u32,
    failed: u32,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
struct SagaEntry {
    effect: EffectId,
    tool: String,
    undo: UndoAction,
    progress: UndoProgress,
    /// Another run undoes it.
    inherited: bool,
    /// Generation of the next attempt to undo it. Each attempt after one that certainly did nothing has its own
    /// generation, and so its own key.
    #[serde(default, skip_serializing_if = "is_first")]
    generation: u32,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks for a reference")]
fn is_first(generation: &u32) -> bool {
    *generation == 0
}

/// The progress of undoing one effect.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum UndoProgress {
    No,
    Underway,
    /// The compensation may or may not have acted: a person decides, the others continue.
    Doubt,
    Yes,
    /// A person must resolve it.
    Failed(Fault),
    /// A person has resolved it.
    ByHand(String),
}

impl SagaEntry {
    /// Returns whether a rollback would have to undo it.
    fn is_undoable(&self) -> bool {
        !self.inherited && self.progress == UndoProgress::No && self.undo.is_work()
    }

    fn is_undone(&self) -> bool {
        matches!(self.progress, UndoProgress::Yes | UndoProgress::ByHand(_))
    }

    /// Its compensation finally failed, and is a call or a run that could be retried.
    fn is_undo_failed(&self) -> bool {
        let can_be_asked = matches!(self.undo, UndoAction::Call { .. } | UndoAction::Child { .. });
        !self.inherited && can_be_asked && matches!(self.progress, UndoProgress::Failed(_))
    }

    /// Returns the call that undoes it. Its call index is the entry's index, so that no two compensations share a key,
    /// not even those of two generations of one call.
    fn undo_by(&self, place: u32) -> EffectId {
        let call = CallId { node: self.effect.call.node.clone(), call: place, role: CallRole::Undo };
        EffectId { call, generation: self.generation }
    }

    /// Returns the last finished attempt to undo it.
    fn last_undo_by(&self, place: u32) -> EffectId {
        let next = self.undo_by(place);
        EffectId { generation: next.generation.saturating_sub(1), ..next }
    }
}

impl Saga {
    pub(super) fn push(&mut self, effect: EffectId, tool: String, undo: UndoAction, wanted: bool) {
        let entry = SagaEntry { effect, tool, undo, progress: UndoProgress::No, inherited: false, generation: 0 };
        if entry.is_undoable() {
            self.undoable += 1;
            if wanted || self.rolling_back {
                self.due.insert(self.len());
            }
        }
        self.entries.push(entry);
    }

    /// Returns the number of completed effects so far.
    pub(super) fn len(&self) -> u32 {
        u32::try_from(self.entries.len()).unwrap_or(u32::MAX)
    }

    /// Requests that all entries are undone from now on.
    pub(super) fn roll_back(&mut self) {
        self.rolling_back = true;
        self.due.extend((0..).zip(&self.entries).filter(|(_, entry)| entry.is_undoable()).map(|(place, _)| place));
    }

    pub(super) fn is_rolling_back(&self) -> bool {
        self.rolling_back
    }

    /// Requests that the effects of these nodes since the entry `from` are undone although the run as a whole is not.
    pub(super) fn request_undo(&mut self, from: u32, is_wanted: impl Fn(&NodeAddress) -> bool) {
        let fresh = (from..).zip(self.entries.get(from as usize..).unwrap_or_default());
        let wanted = fresh.filter(|(_, entry)| entry.is_undoable() && is_wanted(&entry.effect.call.node));
        self.due.extend(wanted.map(|(place, _)| place));
    }

    /// Marks all effects so far as undone by another run.
    pub(super) fn mark_inherited(&mut self) {
        for entry in &mut self.entries {
            entry.inherited = true;
        }
        *self = Self { entries: std::mem::take(&mut self.entries), rolling_back: self.rolling_back, ..Self::default() };
    }

    /// Returns whether a rollback would have anything to undo.
    pub fn has_undoable(&self) -> bool {
        self.undoable > 0
    }

    /// Returns whether it contains an effect of this run that was not undone.
    pub fn has_acted(&self) -> bool {
        self.entries.iter().any(|entry| !entry.inherited && !entry.is_undone())
    }

    /// Returns the next effect to undo, with the call that undoes it: the newest requested one, unless one is in
    /// progress.
    pub(super) fn next(&self) -> Option<(EffectId, &UndoAction)> {
        let newest = if planted(Mutant::WrongUndoOrder) { self.due.first() } else { self.due.last() };
        let place = *newest.filter(|_| self.underway.is_empty())?;
        let entry = self.entries.get(place as usize)?;
        Some((entry.undo_by(place), &entry.undo))
    }

    /// Returns whether an effect is to be undone whose compensation has not started.
    pub(super) fn has_due(&self) -> bool {
        !self.due.is_empty()
    }

    /// Returns whether nothing is left to start or to wait for.
    pub(super) fn is_settled(&self) -> bool {
        self.due.is_empty() && self.underway.is_empty() && self.in_doubt == 0
    }

    pub(super) fn has_underway(&self) -> bool {
        !self.underway.is_empty()
    }

    /// Returns whether a compensation finally failed.
    pub fn has_failed(&self) -> bool {
        self.failed > 0
    }

    /// Records the progress of the compensation by this call.
    pub(super) fn set_progress(&mut self, undo: &CallId, progress: UndoProgress) {
        let Some(entry) = self.entries.get_mut(undo.call as usize).filter(|entry| !entry.inherited) else { return };
        match &entry.progress {
            UndoProgress::No => self.undoable -= u32::from(entry.undo.is_work()),
            UndoProgress::Doubt => self.in_doubt -= 1,
            UndoProgress::Failed(_) => self.failed -= 1,
            UndoProgress::Underway | UndoProgress::Yes | UndoProgress::ByHand(_) => {}
        }
        self.due.remove(&undo.call);
        self.underway.remove(&undo.call);
        match &progress {
            UndoProgress::Underway => {
                self.underway.insert(undo.call);
            }
            UndoProgress::Doubt => self.in_doubt += 1,
            UndoProgress::Failed(_) => self.failed += 1,
            UndoProgress::No | UndoProgress::Yes | UndoProgress::ByHand(_) => {}
        }
        entry.progress = progress;
    }

    /// Records that this call finally failed to undo it. Another attempt has its own key.
    pub(super) fn fail(&mut self, undo: &EffectId, fault: Fault) {
        if let Some(entry) = self.entries.get_mut(undo.call.call as usize) {
            entry.generation = undo.generation + u32::from(!planted(Mutant::GenerationKept));
        }
        self.set_progress(&undo.call, UndoProgress::Failed(fault));
    }

    /// Retries a failed compensation.
    pub(super) fn retry_undo(&mut self, undo: &CallId) {
        if !self.entries.get(undo.call as usize).is_some_and(SagaEntry::is_undo_failed) {
            return;
        }
        self.set_progress(undo, UndoProgress::No);
        self.undoable += 1;
        self.due.insert(undo.call);
    }

    /// Returns the failed compensations that could be retried, by their failed calls, newest first.
    pub(super) fn failed_undos(&self) -> impl Iterator<Item = EffectId> {
        let left = self.entries.iter().enumerate().rev().filter(|(_, entry)| entry.is_undo_failed());
        left.map(|(place, entry)| entry.last_undo_by(u32::try_from(place).unwrap_or(u32::MAX)))
    }

    /// Returns the last finished attempt of this call.
    pub(super) fn last_attempt(&self, undo: &CallId) -> Option<EffectId> {
        self.entries.get(undo.call as usize).map(|entry| entry.last_undo_by(undo.call))
    }

    /// Forgets that an effect was undone; only used by a mutant.
    pub(super) fn forget_undone(&mut self, undo: &CallId) {
        if let Some(entry) = self.entries.get_mut(undo.call as usize) {
            entry.progress = UndoProgress::No;
            self.due.insert(undo.call);
        }
    }

    /// Returns the undo action of this call.
    pub(super) fn undo_of(&self, undo: &CallId) -> Option<&UndoAction> {
        self.entries.get(undo.call as usize).map(|entry| &entry.undo)
    }

    /// Returns the effect that this call undoes, with the tool of the effect.
    pub fn effect_undone_by(&self, undo: &CallId) -> Option<(&EffectId, &str)> {
        let entry = self.entries.get(undo.call as usize).filter(|_| undo.role == CallRole::Undo)?;
        (entry.effect.call.node == undo.node).then_some((&entry.effect, &entry.tool))
    }

    /// Returns whether this call finally failed to undo its effect: a person must resolve it.
    pub fn is_undo_failed(&self, undo: &CallId) -> bool {
        let entry = self.entries.get(undo.call as usize).filter(|_| self.effect_undone_by(undo).is_some());
        entry.is_some_and(|entry| matches!(entry.progress, UndoProgress::Failed(_)))
    }

    /// Returns whether it finally failed, and was the last attempt of a compensation that can be retried.
    pub(super) fn can_retry_undo(&self, undo: &EffectId) -> bool {
        self.failed_undos().any(|left| left == *undo)
    }

    /// Returns the compensation that waits for this child run.
    pub(super) fn undo_of_child(&self, run: &RunId) -> Option<EffectId> {
        let entry = |place: &u32| self.entries.get(*place as usize).map(|entry| (*place, entry));
        let is_it =
            |(_, entry): &(u32, &SagaEntry)| matches!(&entry.undo, UndoAction::Child { run: child } if child == run);
        self.underway.iter().filter_map(entry).find(is_it).map(|(place, entry)| entry.undo_by(place))
    }

    /// Returns the runs that are undoing their part.
    pub(super) fn children_underway(&self) -> impl Iterator<Item = &crate::id::RunId> {
        self.entries.iter().filter(|entry| entry.progress == UndoProgress::Underway).filter_map(|entry| {
            match &entry.undo {
                UndoAction::Child { run } => Some(run),
                UndoAction::Call { .. } | UndoAction::Irreversible { .. } | UndoAction::Broken { .. } => None,
            }
        })
    }

    /// Returns a report for people: what was undone, in order, and what was not, with the reason.
    pub fn report(&self) -> Value {
        let rows = self.entries.iter().rev().filter(|entry| !entry.inherited).map(|entry| {
            let (state, reason) = match (&entry.undo, &entry.progress) {
                (_, UndoProgress::Yes) => ("undone", None),
                (_, UndoProgress::ByHand(by)) => ("undone_by_hand", Some(format!("by {by}"))),
                (UndoAction::Irreversible { reason }, _) => ("irreversible", Some(reason.clone())),
                (_, UndoProgress::Failed(fault)) => ("not_undone", Some(fault.to_string())),
                (_, UndoProgress::Doubt) => ("in_doubt", None),
                (_, UndoProgress::No | UndoProgress::Underway) => ("kept", None),
            };
            json!({ "node": entry.effect.call.node, "tool": entry.tool, "state": state, "reason": reason })
        });
        Value::Array(rows.collect())
    }

    /// Returns the completed effects so far, with node, tool and how each would be undone, for "if you rolled back
    /// now".
    pub fn plan(&self) -> Vec<(NodeAddress, String, RollbackStep)> {
        self.entries
            .iter()
            .rev()
            .filter(|e| e.progress == UndoProgress::No)
            .map(|e| (e.effect.call.node.clone(), e.tool.clone(), RollbackStep::of(&e.undo)))
            .collect()
    }
}

/// How a rollback would handle an effect.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RollbackStep {
    /// It calls this tool.
    Call(String),
    /// Nothing: it cannot be undone, for this reason.
    Irreversible(String),
    /// A person must undo it, for this reason.
    Manual(String),
    /// It rolls this run back.
    Child(RunId),
}

impl RollbackStep {
    fn of(undo: &UndoAction) -> Self {
        match undo {
            UndoAction::Call { tool, .. } => Self::Call(tool.clone()),
            UndoAction::Irreversible { reason } => Self::Irreversible(reason.clone()),
            UndoAction::Broken { fault } => Self::Manual(fault.to_string()),
            UndoAction::Child { run } => Self::Child(run.clone()),
        }
    }

    /// Returns the step as JSON: `undo` is a readable text, and separate fields contain its parts.
    pub fn as_json(&self, node: &NodeAddress, tool: &str) -> Value {
        let (how, calls, reason, run) = match self {
            Self::Call(tool) => ("call", Some(tool), None, None),
            Self::Irreversible(reason) => ("irreversible", None, Some(reason), None),
            Self::Manual(reason) => ("by_hand", None, Some(reason), None),
            Self::Child(run) => ("child", None, None, Some(run)),
        };
        json!({
            "node": node, "tool": tool, "undo": self.to_string(), "how": how, "calls": calls, "reason": reason, "run": run,
        })
    }
}

impl fmt::Display for RollbackStep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Call(tool) => f.write_str(tool),
            Self::Irreversible(reason) => write!(f, "cannot be undone: {reason}"),
            Self::Manual(fault) => write!(f, "a person must undo it: {fault}"),
            Self::Child(run) => write!(f, "rolls back run {run}"),
        }
    }
}

impl UndoAction {
    /// Returns whether a rollback has work to do for it; irreversible effects are only reported.
    fn is_work(&self) -> bool {
        match self {
            Self::Irreversible { .. } => false,
            Self::Call { .. } | Self::Broken { .. } | Self::Child { .. } => true,
        }
    }
}
