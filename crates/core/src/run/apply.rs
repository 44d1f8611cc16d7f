//! The fold. It never fails, so replay never fails; what each event kind does here is frozen once released.

mod agents;
mod calls;
mod ends;
mod nodes;
mod scopes;
mod signals;
mod variables;

use std::sync::Arc;

use super::address::{Address, Path};
use super::event::{Event, Reopened, Started, Winding};
use super::saga::Undone;
use super::state::{Activity, Phase, Progress, Run, Scope, Status, Timer, Work};
use crate::time::Time;

pub(super) use nodes::is_ready;

impl Run {
    /// Folds one event that happened at `at`.
    pub fn apply(&mut self, at: Time, event: &Event) {
        self.now = self.now.max(at);
        self.events += 1;
        match event {
            Event::Started(started) => self.start(started),
            Event::Scheduled(scheduled) => self.schedule(scheduled),
            Event::Sending { effect, epoch, deadline } => self.mark(effect, *epoch, *deadline),
            Event::Unsent { effect } => self.progress(&effect.call, Progress::Ready),
            Event::TakenOver { epoch, went_back } => self.take_over(*epoch, *went_back),
            Event::Done(done) => self.done(done),
            Event::NotDone { effect, fault, again_at, cost } => {
                self.pay(&effect.call, *cost);
                self.not_done(effect, fault, *again_at);
            }
            Event::Degraded { effect, fault, attempted, detour } => self.degrade(effect, fault, *attempted, detour),
            Event::HoldLost { effect, cost } => self.pay(&effect.call, *cost),
            Event::Doubted { effect, next, .. } => self.doubt(effect, next),
            Event::Resolved { effect, resolution, .. } => self.resolve(effect, resolution),
            Event::Blocked { effect, by } => self.block(effect, by),
            Event::Unblocked { effect, .. } => self.unblock(effect),
            Event::Approved { effect, by, .. } => self.allow(effect, by),
            Event::Replied { effect, said, same_key, .. } => self.reply(effect, said, *same_key),
            Event::ArrivedLate(done) => self.arrived_late(done),
            Event::Abandoned { call } => drop(self.close_call(call)),
            Event::Began { node, wait } => self.begin(node, wait),
            Event::Ended(ended) => self.end(ended),
            Event::Stepped { node, step } => self.stepped(node, step),
            Event::AgentReplaced { node, task, .. } => self.replace_agent(node, task),
            Event::RequestRefused { node, id, tool, fault } => self.refuse_request(node, id, tool, fault),
            Event::CustomerAsked { node, deadline, .. } => self.ask_customer(node, *deadline),
            Event::VariableSet { key, value, .. } => self.set_variable(key, value),
            Event::ScopeOpened { path, item } => self.open_scope(path, item.clone()),
            Event::ScopeWinding { path, why } => self.wind_scope(path, why),
            Event::ScopeClosed { path, output, fault } => self.close_scope(path, output, fault.as_ref()),
            Event::BranchesCut { scope, nodes, undo } => self.cut(scope, nodes, *undo),
            Event::SignalKept { signal } => self.keep_signal(signal),
            Event::SignalTaken { node, name } => self.take_signal(node, name),
            Event::SignalHeld { signal, until } => self.hold_signal(signal, *until),
            Event::Answered { node, by, decision } => {
                if let Some(Activity::Human { answers, .. }) = self.activity_mut(node) {
                    answers.push((by.clone(), decision.clone()));
                }
            }
            Event::Paused { .. } => self.pause(),
            Event::Resumed { .. } => self.resume(),
            Event::NodeWinding { node, fault } => self.wind_node(node, fault),
            Event::ChildCancelling { node, .. } => {
                if let Some(Activity::Child { cancelling, .. }) = self.activity_mut(node) {
                    *cancelling = true;
                }
            }
            Event::Winding { why, compensate } => {
                // Its children undo what they did whether or not it does.
                if let Winding::Cancelled { by, asked_by } = why {
                    self.also_ask(asked_by.iter().chain([by]));
                }
                self.wind(why, *compensate);
            }
            Event::Compensating => self.compensate(),
            Event::NotUndone { effect, fault } => {
                self.close_call(&effect.call);
                self.saga.fail(effect, fault.clone());
            }
            Event::UndoAgain { effect, .. } => self.undo_again(&effect.call),
            Event::UndoneByHand { effect, by } => self.saga.mark(&effect.call, Undone::ByHand(by.clone())),
            Event::ChildUndoing { effect, .. } => self.saga.mark(&effect.call, Undone::Underway),
            Event::ChildUndone { effect, fault: None } => self.saga.mark(&effect.call, Undone::Yes),
            Event::ChildUndone { effect, fault: Some(fault) } => self.saga.fail(effect, fault.clone()),
            Event::Aftermath => self.begin_aftermath(),
            Event::Finished(finished) => self.finish(finished),
            Event::Reopened(reopened) => match &**reopened {
                Reopened::Retry { bundle, .. } => self.reopen_for_retry(bundle),
                Reopened::Rollback { by, asked_by } => {
                    self.also_ask(asked_by.iter().chain([by]));
                    self.reopen_for_rollback();
                }
            },
            Event::Forked(forked) => self.fork(forked),
            Event::JournalFilling { .. } => {}
        }
    }

    fn start(&mut self, started: &Started) {
        self.started_at = self.now;
        self.bundle = Some(started.bundle.clone());
        self.started = Some(Box::new(started.clone()));
        self.phase = Phase::Running;
        // Without its version a run cannot move, and says so when it is asked to; folding goes on.
        let Some(workflow) = self.versions.get(&started.bundle).cloned() else { return };
        self.declare(&workflow);
        if let Some(limit) = workflow.timeout {
            self.timers.insert((self.now + limit, Timer::Run));
        }
        let mut outer = Scope::open(workflow.graph.clone(), None, 0, Arc::default());
        outer.reserve(&workflow.reserved());
        self.workflow = Some(workflow);
        self.admit(Path::root(), outer);
    }

    fn pause(&mut self) {
        self.paused = true;
        let now = self.now;
        self.working(|work, _| work.stop(now));
    }

    fn resume(&mut self) {
        self.paused = false;
        self.working(Work::start);
    }

    /// Takes a scope in and lines up the nodes that may begin.
    fn admit(&mut self, path: Path, scope: Scope) {
        for place in scope.graph.places() {
            let state = &scope.nodes[place.at()];
            if state.status == Status::Idle && is_ready(&scope.graph, place, state.settled_in, state.taken_in) {
                self.ready.push_back(Address::new(path.clone(), scope.graph.node(place).id.clone()));
            }
        }
        self.scopes.insert(path, scope);
    }
}
