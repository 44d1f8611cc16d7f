//! The run's list of done effects, and how each is undone, in the order they were done.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::address::{Address, CallId, EffectId};
use super::event::Undo;
use crate::fault::Fault;

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Saga {
    entries: Vec<Entry>,
    /// The whole list is to be undone; later entries too.
    rolling_back: bool,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
struct Entry {
    effect: EffectId,
    tool: String,
    undo: Undo,
    progress: Undone,
    /// It is to be undone although the run as a whole is not.
    wanted: bool,
    /// Another run undoes it.
    inherited: bool,
}

/// How far the undoing of one effect has come.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Undone {
    No,
    Underway,
    /// The compensation may or may not have acted: a person decides, the others go on.
    Doubt,
    Yes,
    /// A person must see to it.
    Failed(Fault),
}

impl Saga {
    pub(super) fn push(&mut self, effect: EffectId, tool: String, undo: Undo, wanted: bool) {
        self.entries.push(Entry { effect, tool, undo, progress: Undone::No, wanted, inherited: false });
    }

    /// Everything from here on is undone.
    pub(super) fn roll_back(&mut self) {
        self.rolling_back = true;
    }

    pub(super) fn is_rolling_back(&self) -> bool {
        self.rolling_back
    }

    pub(super) fn want(&mut self, is_wanted: impl Fn(&Address) -> bool) {
        for entry in &mut self.entries {
            entry.wanted |= is_wanted(&entry.effect.call.node);
        }
    }

    pub(super) fn inherit(&mut self) {
        for entry in &mut self.entries {
            entry.inherited = true;
        }
    }

    /// Whether a rollback would have anything to undo.
    pub fn has_undoable(&self) -> bool {
        self.entries.iter().any(|entry| !entry.inherited && entry.progress == Undone::No && entry.undo.is_work())
    }

    /// Whether it holds any effect of this run at all.
    pub fn has_acted(&self) -> bool {
        self.entries.iter().any(|entry| !entry.inherited && entry.progress != Undone::Yes)
    }

    /// The next effect to undo: the newest that is wanted, unless one is underway.
    pub(super) fn next(&self) -> Option<(&EffectId, &Undo)> {
        if self.entries.iter().any(|entry| entry.progress == Undone::Underway) {
            return None;
        }
        let newest = self.entries.iter().rev().find(|entry| self.is_due(entry))?;
        Some((&newest.effect, &newest.undo))
    }

    fn is_due(&self, entry: &Entry) -> bool {
        (self.rolling_back || entry.wanted) && !entry.inherited && entry.progress == Undone::No && entry.undo.is_work()
    }

    /// Nothing is left to begin or to wait for.
    pub(super) fn is_settled(&self) -> bool {
        self.entries
            .iter()
            .all(|entry| !matches!(entry.progress, Undone::Underway | Undone::Doubt) && !self.is_due(entry))
    }

    pub(super) fn has_underway(&self) -> bool {
        self.entries.iter().any(|entry| entry.progress == Undone::Underway)
    }

    /// Something finally was not undone.
    pub(super) fn has_failed(&self) -> bool {
        self.entries.iter().any(|entry| matches!(entry.progress, Undone::Failed(_)))
    }

    pub(super) fn mark(&mut self, effect: &CallId, progress: Undone) {
        let same = |entry: &&mut Entry| entry.effect.call.node == effect.node && entry.effect.call.call == effect.call;
        if let Some(entry) = self.entries.iter_mut().filter(same).find(|entry| entry.progress != Undone::Yes) {
            entry.progress = progress;
        }
    }

    pub(super) fn undo_of(&self, call: &CallId) -> Option<&Undo> {
        let same = |entry: &&Entry| entry.effect.call.node == call.node && entry.effect.call.call == call.call;
        self.entries.iter().filter(same).find(|entry| entry.progress != Undone::Yes).map(|entry| &entry.undo)
    }

    pub(super) fn effect_of_child(&self, run: &crate::id::RunId) -> Option<&EffectId> {
        let is_it = |entry: &&Entry| {
            matches!(&entry.undo, Undo::Child { run: child } if child == run) && entry.progress == Undone::Underway
        };
        self.entries.iter().find(is_it).map(|entry| &entry.effect)
    }

    /// For people: what was undone, in the order it was, and what was not, with why.
    pub fn report(&self) -> Value {
        let rows = self.entries.iter().rev().filter(|entry| !entry.inherited).map(|entry| {
            let (state, reason) = match (&entry.undo, &entry.progress) {
                (_, Undone::Yes) => ("undone", None),
                (Undo::Irreversible { reason }, _) => ("irreversible", Some(reason.clone())),
                (_, Undone::Failed(fault)) => ("not_undone", Some(fault.to_string())),
                (_, Undone::Doubt) => ("in_doubt", None),
                (_, Undone::No | Undone::Underway) => ("kept", None),
            };
            json!({ "node": entry.effect.call.node, "tool": entry.tool, "state": state, "reason": reason })
        });
        Value::Array(rows.collect())
    }

    /// Effects done so far: node, tool and how each would be undone, for "if you rolled back now".
    pub fn plan(&self) -> Vec<(Address, String, Arc<str>)> {
        let word = |undo: &Undo| match undo {
            Undo::Call { tool, .. } => tool.as_str().into(),
            Undo::Irreversible { reason } => format!("cannot be undone: {reason}").into(),
            Undo::Broken { fault } => format!("a person must undo it: {fault}").into(),
            Undo::Child { run } => format!("rolls back run {run}").into(),
        };
        self.entries
            .iter()
            .rev()
            .filter(|e| e.progress == Undone::No)
            .map(|e| (e.effect.call.node.clone(), e.tool.clone(), word(&e.undo)))
            .collect()
    }
}

impl Undo {
    /// Whether a rollback has something to do about it; what cannot be undone is only reported.
    fn is_work(&self) -> bool {
        match self {
            Self::Irreversible { .. } => false,
            Self::Call { .. } | Self::Broken { .. } | Self::Child { .. } => true,
        }
    }
}
