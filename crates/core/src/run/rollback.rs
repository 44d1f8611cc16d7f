//! Undoing, one effect at a time, newest first.

use std::sync::Arc;

use super::address::{EffectId, Path};
use super::decide::Draft;
use super::event::{Event, Reopened, Request, Scheduled, Undo};
use super::refusal::Refusal;
use super::state::{Phase, State};
use crate::fault::Fault;
use crate::id::RunId;
use crate::money::Usd;
use crate::mutant::{self, Mutant, planted};

/// Why trying once more would change nothing.
const NO_CALL_UNDOES_IT: &str =
    "nobody could say how it is undone when it was done, so no call can: undo it at the service, and say so then";

impl Draft<'_> {
    /// Begins the next undoing, or ends the rollback. True if it moved.
    pub fn roll_back_on(&mut self) -> bool {
        let rolls = match self.run.phase {
            Phase::Running | Phase::Winding { .. } | Phase::Compensating { .. } => !self.run.paused,
            Phase::New | Phase::Aftermath { .. } | Phase::Ended(_) => false,
        };
        if !rolls {
            return false;
        }
        if let Some((effect, undo)) = self.run.saga.next().map(|(effect, undo)| (effect, undo.clone())) {
            self.undo(effect, undo);
            return true;
        }
        if let Phase::Running = self.run.phase {
            return self.complete_if_held_up();
        }
        let Phase::Compensating { why } = self.run.phase else { return false };
        if !self.run.saga.is_settled() || !self.run.calls.is_empty() {
            return false;
        }
        let has_aftermath = self.run.workflow.as_ref().is_some_and(|workflow| workflow.on_compensated.is_some());
        if has_aftermath && self.run.aftermath.is_none() {
            self.emit(Event::Aftermath);
        } else {
            self.finish_after(why);
        }
        true
    }

    /// A run whose nodes are all settled may have waited only for losers to be undone.
    fn complete_if_held_up(&mut self) -> bool {
        let outer = self.run.scope(&Path::root());
        let over = outer.is_some_and(|outer| outer.unsettled == 0 && outer.winding.is_none());
        if over && self.run.saga.is_settled() && self.run.calls.is_empty() {
            self.scopes.insert(Path::root());
            return true;
        }
        false
    }

    fn undo(&mut self, effect: EffectId, undo: Undo) {
        match undo {
            Undo::Call { tool, mut arguments, class, timeout, provider, retry: _ } => {
                if planted(Mutant::ArgumentsRenderedLate) {
                    mutant::render_late(&mut arguments, self.run.variables());
                }
                let request = Request::Tool { tool, arguments: Arc::new(arguments), agent: None, provider };
                self.emit(Event::Scheduled(Box::new(Scheduled { effect, request, class, timeout, hold: Usd::ZERO })));
            }
            Undo::Broken { fault } => self.emit(Event::NotUndone { effect, fault }),
            Undo::Child { run } => self.emit(Event::ChildUndoing { effect, run }),
            // It is never due: there is nothing to do about it.
            Undo::Irreversible { .. } => {}
        }
    }

    pub fn child_undone(&mut self, run: &RunId, fault: Option<Fault>) -> Result<(), Refusal> {
        let effect = self.run.saga.undo_of_child(run);
        let effect = effect.ok_or_else(|| Refusal::NothingWaits { node: run.to_string() })?;
        self.emit(Event::ChildUndone { effect, fault });
        Ok(())
    }

    /// Undoes all that a run did that has ended, and tries once more what an earlier rollback could not undo.
    pub fn roll_back(&mut self, by: String, asked_by: Vec<String>) -> Result<(), Refusal> {
        let state = self.run.state();
        let may = matches!(state, State::Completed | State::Failed | State::Cancelled | State::TimedOut);
        let left: Vec<EffectId> = self.run.saga.left().collect();
        if !may || (!self.run.saga.has_undoable() && left.is_empty()) {
            return Err(match may && self.run.saga.has_failed() {
                true => Refusal::Impossible { reason: NO_CALL_UNDOES_IT.to_owned() },
                false => Refusal::WrongState { state, command: "roll back" },
            });
        }
        self.emit(Event::Reopened(Box::new(Reopened::Rollback { by: by.clone(), asked_by })));
        for effect in left {
            self.emit(Event::UndoAgain { effect, by: by.clone() });
        }
        Ok(())
    }

    /// What one compensation could not undo, it tries once more.
    pub fn undo_again(&mut self, effect: &EffectId, by: String) -> Result<(), Refusal> {
        if self.run.saga.can_be_tried_again(effect) {
            self.emit(Event::UndoAgain { effect: effect.clone(), by });
            return Ok(());
        }
        let is_broken = matches!(self.run.saga.undo_of(&effect.call), Some(Undo::Broken { .. }));
        Err(match is_broken {
            true => Refusal::Impossible { reason: NO_CALL_UNDOES_IT.to_owned() },
            // An earlier attempt's: another was made since.
            false => Refusal::NotInDoubt { effect: effect.to_string() },
        })
    }
}
