//! Compensation, one effect at a time, newest first.

use std::sync::Arc;

use super::address::{EffectId, ScopePath};
use super::decide::RunDraft;
use super::event::{CallScheduled, EffectRequest, RunEvent, RunReopened, UndoAction};
use super::refusal::RunRefusal;
use super::state::{RunPhase, RunState};
use crate::fault::Fault;
use crate::id::RunId;
use crate::money::Usd;
use crate::mutant::{self, Mutant, planted};

/// Why another attempt would change nothing.
const NO_COMPENSATION_REASON: &str =
    "nobody could say how it is undone when it was done, so no call can: undo it at the service, and say so then";

impl RunDraft<'_> {
    /// Starts the next compensation, or ends the rollback. Returns true if it moved.
    pub fn continue_rollback(&mut self) -> bool {
        let rolls = match self.run.phase {
            RunPhase::Running | RunPhase::Winding { .. } | RunPhase::Compensating { .. } => !self.run.paused,
            RunPhase::New | RunPhase::Aftermath { .. } | RunPhase::Ended(_) => false,
        };
        if !rolls {
            return false;
        }
        if let Some((effect, undo)) = self.run.saga.next().map(|(effect, undo)| (effect, undo.clone())) {
            self.undo(effect, undo);
            return true;
        }
        if let RunPhase::Running = self.run.phase {
            return self.complete_if_settled();
        }
        let RunPhase::Compensating { why } = self.run.phase else { return false };
        if !self.run.saga.is_settled() || !self.run.calls.is_empty() {
            return false;
        }
        let has_aftermath = self.run.workflow.as_ref().is_some_and(|workflow| workflow.on_compensated.is_some());
        if has_aftermath && self.run.aftermath.is_none() {
            self.emit(RunEvent::Aftermath);
        } else {
            self.finish_after_rollback(why);
        }
        true
    }

    /// Completes the run if all its nodes are settled: it may have waited only for losers to be undone.
    fn complete_if_settled(&mut self) -> bool {
        let outer = self.run.scope(&ScopePath::root());
        let over = outer.is_some_and(|outer| outer.unsettled == 0 && outer.winding.is_none());
        if over && self.run.saga.is_settled() && self.run.calls.is_empty() {
            self.scopes.insert(ScopePath::root());
            return true;
        }
        false
    }

    fn undo(&mut self, effect: EffectId, undo: UndoAction) {
        match undo {
            UndoAction::Call { tool, mut arguments, class, timeout, provider, retry: _ } => {
                if planted(Mutant::ArgumentsRenderedLate) {
                    mutant::render_late(&mut arguments, self.run.variables());
                }
                let request = EffectRequest::Tool { tool, arguments: Arc::new(arguments), agent: None, provider };
                self.emit(RunEvent::Scheduled(Box::new(CallScheduled {
                    effect,
                    request,
                    class,
                    timeout,
                    hold: Usd::ZERO,
                })));
            }
            UndoAction::Broken { fault } => self.emit(RunEvent::NotUndone { effect, fault }),
            UndoAction::Child { run } => self.emit(RunEvent::ChildUndoing { effect, run }),
            // It is never due, because it cannot be undone.
            UndoAction::Irreversible { .. } => {}
        }
    }

    pub fn child_undone(&mut self, run: &RunId, fault: Option<Fault>) -> Result<(), RunRefusal> {
        let effect = self.run.saga.undo_of_child(run);
        let effect = effect.ok_or_else(|| RunRefusal::NothingWaits { node: run.to_string() })?;
        self.emit(RunEvent::ChildUndone { effect, fault });
        Ok(())
    }

    /// Undoes all effects of a run that has ended, and retries compensations that failed in an earlier rollback.
    pub fn roll_back(&mut self, by: String, asked_by: Vec<String>) -> Result<(), RunRefusal> {
        let state = self.run.state();
        let may = matches!(state, RunState::Completed | RunState::Failed | RunState::Cancelled | RunState::TimedOut);
        let left: Vec<EffectId> = self.run.saga.failed_undos().collect();
        if !may || (!self.run.saga.has_undoable() && left.is_empty()) {
            return Err(match may && self.run.saga.has_failed() {
                true => RunRefusal::Impossible { reason: NO_COMPENSATION_REASON.to_owned() },
                false => RunRefusal::WrongState { state, command: "roll back" },
            });
        }
        self.emit(RunEvent::Reopened(Box::new(RunReopened::Rollback { by: by.clone(), asked_by })));
        for effect in left {
            self.emit(RunEvent::UndoAgain { effect, by: by.clone() });
        }
        Ok(())
    }

    /// Retries one failed compensation.
    pub fn retry_undo(&mut self, effect: &EffectId, by: String) -> Result<(), RunRefusal> {
        if self.run.saga.can_retry_undo(effect) {
            self.emit(RunEvent::UndoAgain { effect: effect.clone(), by });
            return Ok(());
        }
        let is_broken = matches!(self.run.saga.undo_of(&effect.call), Some(UndoAction::Broken { .. }));
        Err(match is_broken {
            true => RunRefusal::Impossible { reason: NO_COMPENSATION_REASON.to_owned() },
            // It belongs to an earlier attempt: another one was made since.
            false => RunRefusal::NotInDoubt { effect: effect.to_string() },
        })
    }
}
