//! Undoing, one effect at a time, newest first.

use super::address::{CallId, EffectId, Role};
use super::decide::Draft;
use super::event::{Event, Request, Scheduled, Undo};
use super::state::Phase;
use std::sync::Arc;

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
        if let Some((effect, undo)) = self.run.saga.next().map(|(effect, undo)| (effect.clone(), undo.clone())) {
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
        let has_run = self.run.scope(&super::Path::root()).is_some_and(|outer| !outer.has_reserved());
        if has_aftermath && !has_run {
            self.emit(Event::Aftermath);
        } else {
            self.finish_after(why);
        }
        true
    }

    /// A run whose nodes are all settled may have waited only for losers to be undone.
    fn complete_if_held_up(&mut self) -> bool {
        let outer = self.run.scope(&super::Path::root());
        let over = outer.is_some_and(|outer| outer.unsettled == 0 && outer.winding.is_none());
        if over && self.run.saga.is_settled() && self.run.calls.is_empty() {
            self.scopes.insert(super::Path::root());
            return true;
        }
        false
    }

    fn undo(&mut self, effect: EffectId, undo: Undo) {
        match undo {
            Undo::Call { tool, arguments, class, timeout, .. } => {
                let call = CallId { role: Role::Undo, ..effect.call };
                let effect = EffectId { call, generation: 0 };
                let request = Request::Tool { tool, arguments: Arc::new(arguments), agent: None };
                self.emit(Event::Scheduled(Box::new(Scheduled { effect, request, class, timeout })));
            }
            Undo::Broken { fault } => self.emit(Event::NotUndone { effect, fault }),
            Undo::Child { run } => self.emit(Event::ChildUndoing { effect, run }),
            Undo::Irreversible { .. } => {}
        }
    }
}
