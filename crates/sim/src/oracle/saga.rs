//! Done effects are undone in reverse order, once, with the arguments that were stored when they were done.

use std::collections::BTreeSet;

use baton_core::run::{
    CallCompleted, CallId, CallRole, EffectRequest, NodeAddress, RunEvent, RunReopened, RunState, ScopePath, UndoAction,
};

use super::{PromiseViolation, RunHistory, violation};

/// One effect and the state of its undo.
struct OracleUndo {
    done: CallCompleted,
    undo: UndoAction,
    at: OracleUndoState,
    /// A merge cut its branch off and requires it to be undone.
    is_wanted: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum OracleUndoState {
    Kept,
    Underway,
    Undone,
    Failed,
}

/// Whether a node, or one whose body contains it, was cut off.
fn is_cut(cut: &BTreeSet<NodeAddress>, node: &NodeAddress) -> bool {
    let mut at = node.clone();
    loop {
        if cut.contains(&at) {
            return true;
        }
        match at.scope.parent() {
            Some((scope, node, _)) => at = NodeAddress::new(scope, node),
            None => return false,
        }
    }
}

#[derive(Default)]
struct SagaCheck {
    entries: Vec<OracleUndo>,
    rolls_back: bool,
    cut: BTreeSet<NodeAddress>,
}

pub fn check(history: &RunHistory) -> Result<(), PromiseViolation> {
    let mut walk = SagaCheck::default();
    for event in history.events() {
        walk.event(event).or_else(|what| violation("saga", format!("`{}`: {what}", history.run)))?;
    }
    match &history.finished {
        Some(finished) => {
            walk.check_end(finished.state).or_else(|what| violation("saga", format!("`{}`: {what}", history.run)))
        }
        None => Ok(()),
    }
}

impl SagaCheck {
    fn event(&mut self, event: &RunEvent) -> Result<(), String> {
        match event {
            RunEvent::Done(done) if done.effect.call.role == CallRole::Undo => {
                return self.settle_undo(&done.effect.call, OracleUndoState::Undone);
            }
            RunEvent::Done(done) | RunEvent::ArrivedLate(done) => self.record_done(done),
            RunEvent::Scheduled(scheduled) if scheduled.effect.call.role == CallRole::Undo => {
                return self.begin_undo(&scheduled.effect.call, &scheduled.request);
            }
            RunEvent::ChildUndoing { effect, .. } => return self.begin_next_undo(&effect.call).map(drop),
            RunEvent::ChildUndone { effect, fault } => {
                let at = if fault.is_none() { OracleUndoState::Undone } else { OracleUndoState::Failed };
                return self.settle_undo(&effect.call, at);
            }
            RunEvent::NotUndone { effect, .. } => return self.settle_undo(&effect.call, OracleUndoState::Failed),
            RunEvent::UndoAgain { effect, .. } => return self.retry_undo(&effect.call),
            RunEvent::BranchesCut { scope, nodes, undo: true } => self.cut_off(scope, nodes),
            RunEvent::Compensating => self.rolls_back = true,
            RunEvent::Reopened(reopened) if matches!(**reopened, RunReopened::Rollback { .. }) => {
                self.rolls_back = true
            }
            _ => {}
        }
        Ok(())
    }

    fn record_done(&mut self, done: &CallCompleted) {
        let Some(undo) = &done.undo else { return };
        let is_wanted = is_cut(&self.cut, &done.effect.call.node);
        self.entries.push(OracleUndo {
            done: done.clone(),
            undo: (**undo).clone(),
            at: OracleUndoState::Kept,
            is_wanted,
        });
    }

    fn cut_off(&mut self, scope: &ScopePath, nodes: &[baton_core::id::NodeId]) {
        self.cut.extend(nodes.iter().map(|node| NodeAddress::new(scope.clone(), node.clone())));
        for entry in &mut self.entries {
            entry.is_wanted |= is_cut(&self.cut, &entry.done.effect.call.node);
        }
    }

    fn begin_undo(&mut self, call: &CallId, request: &EffectRequest) -> Result<(), String> {
        let entry = self.begin_next_undo(call)?;
        let EffectRequest::Tool { tool: name, arguments: given, .. } = request else {
            return Err(format!("{call:?} is undone by a model"));
        };
        match &entry.undo {
            UndoAction::Call { tool, arguments, .. } if tool == name && *arguments == **given => Ok(()),
            stored => Err(format!("{call:?} is undone by {name} {given}, and {stored:?} was stored")),
        }
    }

    /// The undo of an effect begins: nothing newer may be left.
    fn begin_next_undo(&mut self, call: &CallId) -> Result<&OracleUndo, String> {
        let rolls_back = self.rolls_back;
        let is_work = |entry: &OracleUndo| !matches!(entry.undo, UndoAction::Irreversible { .. });
        let Some(place) = self.place_of(call).filter(|place| self.entries[*place].at == OracleUndoState::Kept) else {
            return Err(format!("{call:?} is undone, and there is nothing to undo"));
        };
        let is_due = |entry: &OracleUndo| (rolls_back || entry.is_wanted) && is_work(entry);
        if !is_due(&self.entries[place]) {
            return Err(format!("{call:?} is undone, and nobody asked for it"));
        }
        let newer = self.entries[place + 1..].iter().find(|entry| is_due(entry) && entry.at == OracleUndoState::Kept);
        if let Some(newer) = newer {
            return Err(format!("{call:?} is undone before the newer {}", newer.done.effect));
        }
        self.entries[place].at = OracleUndoState::Underway;
        Ok(&self.entries[place])
    }

    fn settle_undo(&mut self, call: &CallId, at: OracleUndoState) -> Result<(), String> {
        // An effect that cannot be undone for lack of arguments fails without having begun.
        let is_open = |entry: &OracleUndo| {
            let is_broken = matches!(entry.undo, UndoAction::Broken { .. }) && at == OracleUndoState::Failed;
            entry.at == OracleUndoState::Underway || (is_broken && entry.at == OracleUndoState::Kept)
        };
        match self.place_of(call).filter(|place| is_open(&self.entries[*place])) {
            Some(place) => {
                self.entries[place].at = at;
                Ok(())
            }
            None => Err(format!("{call:?} is {at:?}, and was not being undone")),
        }
    }

    /// Only a failed undo is retried, and only if there is a tool to call.
    fn retry_undo(&mut self, call: &CallId) -> Result<(), String> {
        let is_left = |entry: &OracleUndo| {
            entry.at == OracleUndoState::Failed && !matches!(entry.undo, UndoAction::Broken { .. })
        };
        match self.place_of(call).filter(|place| is_left(&self.entries[*place])) {
            Some(place) => {
                self.entries[place].at = OracleUndoState::Kept;
                self.entries[place].is_wanted = true;
                Ok(())
            }
            None => Err(format!("{call:?} is tried again, and nothing of it is left")),
        }
    }

    /// A compensation's call number is the index of the effect that it undoes.
    fn place_of(&self, call: &CallId) -> Option<usize> {
        let place = usize::try_from(call.call).ok()?;
        let entry = self.entries.get(place)?;
        (entry.done.effect.call.node == call.node && call.role == CallRole::Undo).then_some(place)
    }

    fn check_end(&self, state: RunState) -> Result<(), String> {
        let is_work = |entry: &&OracleUndo| !matches!(entry.undo, UndoAction::Irreversible { .. });
        let left = |entry: &&OracleUndo| entry.at != OracleUndoState::Undone;
        match state {
            RunState::Compensated => match self.entries.iter().filter(is_work).find(left) {
                Some(entry) => Err(format!("{} is {:?}, and the run is compensated", entry.done.effect, entry.at)),
                None => Ok(()),
            },
            _ => {
                match self
                    .entries
                    .iter()
                    .filter(is_work)
                    .find(|entry| entry.is_wanted && entry.at == OracleUndoState::Kept)
                {
                    Some(entry) => Err(format!("{} lost its race, and was never undone", entry.done.effect)),
                    None => Ok(()),
                }
            }
        }
    }
}
